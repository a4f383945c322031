/* Convolutions of images of a few channels, as bfloat16, to maps in blocks of channels, without matrix registers.
 *
 * Two taps that are neighbours in a row of a filter meet two pixels that are neighbours in a row of an image, and a row of an
 * image as bfloat16 is a row of such pairs. So a sum over pairs of taps reads an image as it is, once it is rounded: no patches
 * are made of it. With an even stride all results begin with an even pixel of a window, and each pair of pixels is kept once;
 * with an odd one, each pixel begins a pair, and every other pair is read.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#include "axis.h"
#include "base/masked.h"
#include "base/scratch.h"
#include "base/stored.h"
#include "pooled_pixels.h"

#if SYMC_HAS_PAIRS
enum {
    WINDOW_BYTES = 256 << 10,   /* of a band of an image: in the second level cache */
    FILTER_BYTES = 24 << 10,    /* multiplied at a time: in the first level cache */
    UNITS_PER_THREAD = 8
};

typedef struct {
    const conv2d *v;
    const float *in;
    const float *weights;
    float *out;
    int64_t pool_h, pool_w;     /* of windows of results */
    int64_t width;              /* results of a row that belong to windows */
    int64_t lines, chunk;       /* rows of taps of all channels, and how many are multiplied at a time */
    pair_parts parts;           /* of which the pairs of a row of taps */
    int64_t apart;              /* pairs between two neighbouring results */
    int64_t bands, high, wide;  /* of the images, with the most rows and the pairs of one */
    float *packed;              /* by block of filters, row of taps, pair, filter */
    block_step *list;
} pair_rows;

INLINE int64_t blocks(const pair_rows *z) { return z->v->filters / PIXEL_LANES; }
INLINE int64_t block_elements(const pair_rows *z) { return z->lines * z->parts.few * PIXEL_LANES; }

/* Tasks: blocks of filters. */
static void pack_filters(void *arg, int64_t begin, int64_t end)
{
    const pair_rows *z = arg;
    const int64_t taps = z->v->taps_w, size = z->lines * taps;
    for (int64_t task = begin; task < end; task++) {
        float *to = z->packed + task * block_elements(z);
        for (int64_t line = 0; line < z->lines; line++)
            for (int64_t pair = 0; pair < z->parts.few; pair++)
                for (int64_t half = 0; half < 2; half++, to += VL) {
                    vec even = {0}, odd = {0};
                    for (int64_t i = 0; i < VL; i++) {
                        const float *w = z->weights + (task * PIXEL_LANES + half * VL + i) * size + line * taps;
                        int64_t s = 2 * pair, t = s + 1;
                        even[i] = w[z->v->flip ? taps - 1 - s : s];
                        if (t < taps)
                            odd[i] = w[z->v->flip ? taps - 1 - t : t];
                    }
                    store(to, as_pairs(even, odd));
                }
    }
}

/* ---- windows ---- */

/* A pixel's bfloat16, with zeros beside the row. */
INLINE vec pixels_at(const float *row, int64_t width, int64_t at)
{
    if (at >= 0 && at + VL <= width)
        return load(row + at);
    lane_mask mask = at <= -VL || at >= width ? 0 : first_lanes(smaller(VL, width - at)) & ~first_lanes(larger(0, -at));
    return (vec)_mm512_maskz_loadu_ps((__mmask16)mask, row + at);
}

/* `count` pairs of a row of an image from column `left` on. */
static void fill_row(const float *row, int64_t width, int64_t left, int64_t count, int overlap, float *to)
{
    for (int64_t i = 0; i < count; i += VL, to += VL) {
        if (overlap) {
            store(to, as_pairs(pixels_at(row, width, left + i), pixels_at(row, width, left + i + 1)));
            continue;
        }
        vec low = pixels_at(row, width, left + 2 * i), high = pixels_at(row, width, left + 2 * i + VL);
        store(to, (vec)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
    }
}

/* All channels of the rows of an image that `rows` rows of results from `first` on read. */
static void fill_window(const pair_rows *z, int64_t image, int64_t first, int64_t rows, float *window)
{
    const conv2d *v = z->v;
    int64_t top = first * v->step_h - v->pad_h, high = (rows - 1) * v->step_h + (v->taps_h - 1) * v->dil_h + 1;
    for (int64_t c = 0; c < v->channels; c++)
        for (int64_t y = 0; y < high; y++) {
            float *to = window + (c * z->high + y) * z->wide;
            if (top + y < 0 || top + y >= v->in_h)
                memset(to, 0, z->wide * sizeof *to);
            else
                fill_row(z->in + ((image * v->channels + c) * v->in_h + top + y) * v->in_w, v->in_w, -v->pad_w,
                         z->wide, z->parts.gap > 1, to);
        }
}

/* ---- units ---- */

/* One row of results of a block of filters: to `pixels`, or finished to the maps. */
static void multiply_row(const pair_rows *z, const float *window, const float *filters, float *pixels, const pixel_end *end,
                         float *maps, const float *added)
{
    int64_t tiles = ceil_div(z->width, TILE_ROWS);
    for (int64_t q = 0; q < z->lines; q += z->chunk) {
        int last = q + z->chunk >= z->lines;
        for (int64_t i = 0; i < tiles; i++) {
            int64_t at = i * z->width / tiles, rows = (i + 1) * z->width / tiles - at;
            const pair_tile t = {.parts = &z->parts, .apart = z->apart, .steps = smaller(z->chunk, z->lines - q),
                                 .list = z->list + q, .c = pixels + at * PIXEL_LANES, .ldc = PIXEL_LANES, .accumulate = q > 0,
                                 .end = last ? end : NULL, .added = added ? added + at * VL : NULL,
                                 .pairs = maps ? maps + at * VL : NULL};
            symc_vector_tile(rows, PIXEL_LANES, &t, window + at * z->apart, filters);
        }
    }
}

/* One row of windows of an image and a block of maps. */
static void run_row(const pair_rows *z, int64_t place, int64_t y, int plain, const pixel_end *end, const float *window,
                    const float *filters, float *pixels)
{
    const conv2d *v = z->v;
    int64_t out_w = z->width / z->pool_w, columns = v->out_h / z->pool_h * out_w, at = (place * columns + y * out_w) * VL;
    if (plain) {
        const float *added = v->epilogue->added;
        multiply_row(z, window, filters, pixels, end, (float *)v->epilogue->bits + at, added ? added + at : NULL);
        return;
    }
    for (int64_t r = 0; r < z->pool_h; r++)
        multiply_row(z, window + r * v->step_h * z->wide, filters, pixels + r * z->width * PIXEL_LANES, NULL, NULL, NULL);
    if (z->pool_h * z->pool_w > 1)
        pool_pixels(2, z->pool_h, z->pool_w, z->width, 1, out_w, pixels);
    finish_pixels(v->epilogue, z->out, pixels, place, columns, y * out_w, out_w);
}

/* Tasks (image, band). */
static void run_bands(void *arg, int64_t begin, int64_t end)
{
    const pair_rows *z = arg;
    const conv2d *v = z->v;
    const int64_t windows = v->out_h / z->pool_h;
    const int plain = are_plain_pixels(v->epilogue) && blocks(z) % v->epilogue->period == 0 && z->pool_h * z->pool_w == 1;
    float *window = symc_scratch(SLOT_BAND, v->channels * z->high * z->wide * sizeof(float));
    float *pixels = symc_scratch(SLOT_BLOCK_2, z->pool_h * z->width * PIXEL_LANES * sizeof(float));
    for (int64_t task = begin; task < end; task++) {
        int64_t image = task / z->bands, first = task % z->bands * windows / z->bands;
        int64_t last = (task % z->bands + 1) * windows / z->bands;
        fill_window(z, image, first * z->pool_h, (last - first) * z->pool_h, window);
        for (int64_t block = 0; block < blocks(z); block++) {
            int64_t place = image * blocks(z) + block;
            pixel_end finish;
            if (plain)
                finish = pixel_end_of(v->epilogue, place, 1);
            for (int64_t y = first; y < last; y++)
                run_row(z, place, y, plain, &finish, window + (y - first) * z->pool_h * v->step_h * z->wide,
                        z->packed + block * block_elements(z), pixels);
        }
    }
}

/* ---- all ---- */

static void plan(pair_rows *z)
{
    const conv2d *v = z->v;
    const int overlap = v->step_w % 2 != 0;
    z->width = v->out_w / z->pool_w * z->pool_w;
    z->lines = v->channels * v->taps_h;
    z->parts = (pair_parts){.count = 1, .few = (int)ceil_div(v->taps_w, 2), .gap = overlap ? 2 : 1};
    z->apart = overlap ? v->step_w : v->step_w / 2;
    z->chunk = larger(1, FILTER_BYTES / (z->parts.few * PIXEL_LANES * (int64_t)sizeof(float)));
    z->wide = (ceil_div((z->width - 1) * z->apart + z->parts.few * z->parts.gap, VL) | 1) * VL; /* in different sets of a cache */
    int64_t rows = v->out_h / z->pool_h, wanted = UNITS_PER_THREAD * symc_num_threads();
    z->bands = smaller(rows, ceil_div(wanted, v->images));
    for (;; z->bands++) {
        z->high = (ceil_div(rows, z->bands) * z->pool_h - 1) * v->step_h + (v->taps_h - 1) * v->dil_h + 1;
        if (z->bands == rows || v->channels * z->high * z->wide * (int64_t)sizeof(float) <= WINDOW_BYTES)
            return;
    }
}

/* Where each row of taps is in a window, and among packed filters. */
static void list_lines(const pair_rows *z)
{
    const conv2d *v = z->v;
    for (int64_t q = 0; q < z->lines; q++) {
        int64_t c = q / v->taps_h, r = q % v->taps_h, row = (v->flip ? v->taps_h - 1 - r : r) * v->dil_h;
        z->list[q] = (block_step){(c * z->high + row) * z->wide, q * z->parts.few};
    }
}

int symc_pair_rows_suit(const conv2d *v) { return symc_pairs == PAIRS_BY_VECTORS && v->dil_w == 1; }

void symc_pair_rows_to_blocks(const conv2d *v, const int64_t *pool, float *y, const float *x, const float *weights)
{
    pair_rows z = {.v = v, .in = x, .weights = weights, .out = y, .pool_h = larger(1, pool[0]), .pool_w = larger(1, pool[1])};
    plan(&z);
    z.list = symc_scratch(SLOT_TABLE, z.lines * sizeof *z.list);
    list_lines(&z);
    symc_form_key key = {weights, FORM_PAIRED_ROWS, {v->channels, v->filters, v->taps_h, v->taps_w, v->flip}};
    symc_form packed = symc_form_of(v->stored, &key, blocks(&z) * block_elements(&z) * sizeof(float), SLOT_SHARED);
    z.packed = packed.memory;
    if (!packed.ready) {
        symc_parallel(pack_filters, &z, blocks(&z), larger(1, 16384 / block_elements(&z)));
        symc_form_made(&packed);
    }
    symc_parallel(run_bands, &z, v->images * z.bands, 1);
}
#endif
