/* Convolutions of images of a few channels, as bfloat16, to maps in blocks of channels, without matrix registers.
 *
 * Two taps that are neighbours in a row of a filter meet two pixels that are neighbours in a row of an image, and a row of an
 * image as bfloat16 is a row of such pairs. So a sum over pairs of taps reads an image as it is, once it is rounded: no patches
 * are made of it. With an even stride all results begin with an even pixel of a window, and each pair of pixels is kept once;
 * with an odd one, each pixel begins a pair. What an odd number of taps leaves over, the last of each row, is paired with that
 * of the next row: for them the pixels of each row of results are collected.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#include "axis.h"
#include "base/lanes.h"
#include "base/masked.h"
#include "base/scratch.h"
#include "base/stored.h"
#include "pooled_pixels.h"

#if SYMC_HAS_PAIRS
enum {
    WINDOW_BYTES = 256 << 10,   /* of a band of an image: in the second level cache */
    FILTER_BYTES = 24 << 10,    /* multiplied at a time: in the first level cache */
    UNITS_PER_THREAD = 8,
    LEAST_TAPS = 4              /* of a row: with fewer, sums are loaded and stored as long as they are added to */
};

typedef struct {
    const conv2d *v;
    const float *in;
    const float *weights;
    float *out;
    int64_t pool_h, pool_w;       /* of windows of results */
    int64_t width;                /* results of a row that belong to windows */
    int64_t lines;                /* rows of taps, of all channels */
    int64_t chunk;                /* how many of them are multiplied at a time */
    pair_parts pairs, last;       /* of a row of taps, and of the last taps of all rows, if their number is odd */
    int64_t apart;                /* pairs between two neighbouring results */
    int64_t bands, rows, high;    /* of the images; the most rows of results of one, and of pixels */
    int64_t wide, last_wide;      /* the pairs of a row of an image, and of the last taps of a row of results */
    float *packed;                /* by block of filters, pair, filter */
    block_step *list;
} pair_rows;

INLINE int64_t blocks(const pair_rows *z) { return z->v->filters / PIXEL_LANES; }
INLINE int64_t block_elements(const pair_rows *z) { return (z->lines * z->pairs.few + z->last.few) * PIXEL_LANES; }
INLINE int64_t image_elements(const pair_rows *z) { return z->v->channels * z->high * z->wide; }
INLINE int64_t last_elements(const pair_rows *z) { return z->last.few * z->last_wide; } /* of a row of results */

/* ---- filters ---- */

/* Tap `s` of a row of taps of VL filters from `filter` on; zeros if there is no such row. */
INLINE vec taps_of(const pair_rows *z, int64_t filter, int64_t line, int64_t s)
{
    const int64_t taps = z->v->taps_w;
    vec found = {0};
    for (int64_t i = 0; i < VL && line < z->lines; i++)
        found[i] = z->weights[((filter + i) * z->lines + line) * taps + (z->v->flip ? taps - 1 - s : s)];
    return found;
}

/* Tasks: blocks of filters. */
static void pack_filters(void *arg, int64_t begin, int64_t end)
{
    const pair_rows *z = arg;
    const int64_t last = z->v->taps_w - 1;
    for (int64_t task = begin; task < end; task++) {
        float *to = z->packed + task * block_elements(z);
        for (int64_t half = 0; half < 2; half++, to += VL) {
            int64_t filter = task * PIXEL_LANES + half * VL, n = 0;
            for (int64_t line = 0; line < z->lines; line++)
                for (int64_t pair = 0; pair < z->pairs.few; pair++, n += PIXEL_LANES)
                    store(to + n, as_pairs(taps_of(z, filter, line, 2 * pair), taps_of(z, filter, line, 2 * pair + 1)));
            for (int64_t pair = 0; pair < z->last.few; pair++, n += PIXEL_LANES)
                store(to + n, as_pairs(taps_of(z, filter, 2 * pair, last), taps_of(z, filter, 2 * pair + 1, last)));
        }
    }
}

/* ---- windows ---- */

/* VL pixels of a row, with zeros beside it. */
INLINE vec pixels_at(const float *row, int64_t width, int64_t at)
{
    if (at >= 0 && at + VL <= width)
        return load(row + at);
    lane_mask mask = at <= -VL || at >= width ? 0 : first_lanes(smaller(VL, width - at)) & ~first_lanes(larger(0, -at));
    return (vec)_mm512_maskz_loadu_ps((__mmask16)mask, (const float *)((uintptr_t)row + (uintptr_t)at * sizeof(float)));
}

/* The pairs of a row of an image from column `left` on. */
static void fill_row(const pair_rows *z, const float *row, float *to)
{
    const int64_t width = z->v->in_w, left = -z->v->pad_w;
    for (int64_t i = 0; i < z->wide; i += VL, to += VL)
        if (z->v->step_w % 2)
            store(to, as_pairs(pixels_at(row, width, left + i), pixels_at(row, width, left + i + 1)));
        else
            store(to, (vec)_mm512_cvtne2ps_pbh((__m512)pixels_at(row, width, left + 2 * i + VL),
                                               (__m512)pixels_at(row, width, left + 2 * i)));
}

/* A row of a channel of an image, or NULL if it is beside it. */
INLINE const float *row_of(const pair_rows *z, int64_t image, int64_t channel, int64_t y)
{
    const conv2d *v = z->v;
    return y >= 0 && y < v->in_h ? z->in + ((image * v->channels + channel) * v->in_h + y) * v->in_w : NULL;
}

/* The rows of all channels that `rows` rows of results from `first` on read. */
static void fill_image(const pair_rows *z, int64_t image, int64_t first, int64_t rows, float *window)
{
    const conv2d *v = z->v;
    int64_t top = first * v->step_h - v->pad_h, high = (rows - 1) * v->step_h + (v->taps_h - 1) * v->dil_h + 1;
    for (int64_t c = 0; c < v->channels; c++)
        for (int64_t y = 0; y < high; y++) {
            const float *row = row_of(z, image, c, top + y);
            float *to = window + (c * z->high + y) * z->wide;
            if (row)
                fill_row(z, row, to);
            else
                memset(to, 0, z->wide * sizeof *to);
        }
}

/* What the last taps of all rows read for a row of results, each two of them as pairs. `rows` is memory for two rows. */
static void fill_last(const pair_rows *z, int64_t image, int64_t y, float *rows, float *to)
{
    const conv2d *v = z->v;
    const float *end = z->in + v->images * v->channels * v->in_h * v->in_w;
    for (int64_t pair = 0; pair < z->last.few; pair++, to += z->last_wide) {
        for (int64_t k = 0; k < 2; k++) {
            int64_t line = 2 * pair + k, r = line % v->taps_h;
            int64_t at = y * v->step_h - v->pad_h + (v->flip ? v->taps_h - 1 - r : r) * v->dil_h;
            const float *row = line < z->lines ? row_of(z, image, line / v->taps_h, at) : NULL;
            if (row)
                take_pixels(row, v->in_w, end, v->taps_w - 1 - v->pad_w, v->step_w, z->width, rows + k * z->last_wide);
            else
                memset(rows + k * z->last_wide, 0, z->width * sizeof *rows);
        }
        for (int64_t i = 0; i < z->width; i += VL)
            store(to + i, as_pairs(load(rows + i), load(rows + z->last_wide + i)));
    }
}

/* ---- units ---- */

/* Where the results of a row go: sums to `sums`, or finished to the maps. */
typedef struct {
    float *sums;
    const pixel_end *end;
    float *maps;
    const float *added;
} row_sink;

/* `rows` results of one tile of a block of filters, from pairs of a row of taps and from pairs of last taps. */
static void multiply_tile(const pair_rows *z, int64_t rows, const float *image, const float *last, const float *filters, row_sink s)
{
    pair_tile t = {.apart = z->apart, .c = s.sums, .ldc = PIXEL_LANES, .added = s.added, .pairs = s.maps};
    const int64_t lines = z->pairs.few ? z->lines : 0;
    for (int64_t q = 0; q < lines; q += z->chunk, t.accumulate = 1) {
        t.parts = &z->pairs, t.list = z->list + q, t.steps = smaller(z->chunk, lines - q);
        t.end = q + z->chunk >= lines && !z->last.few ? s.end : NULL;
        symc_vector_tile(rows, PIXEL_LANES, &t, image, filters);
    }
    if (z->last.few) {
        const block_step only = {0, lines * z->pairs.few};
        t.parts = &z->last, t.list = &only, t.steps = 1, t.apart = 1, t.end = s.end;
        symc_vector_tile(rows, PIXEL_LANES, &t, last, filters);
    }
}

static void multiply_row(const pair_rows *z, const float *image, const float *last, const float *filters, row_sink s)
{
    int64_t tiles = ceil_div(z->width, TILE_ROWS);
    for (int64_t i = 0; i < tiles; i++) {
        int64_t at = i * z->width / tiles, rows = (i + 1) * z->width / tiles - at;
        row_sink part = {s.sums + at * PIXEL_LANES, s.end, s.maps ? s.maps + at * VL : NULL, s.added ? s.added + at * VL : NULL};
        multiply_tile(z, rows, image + at * z->apart, last + at, filters, part);
    }
}

/* One row of windows of an image and a block of maps; `end` if its results are finished as they are multiplied. */
static void run_row(const pair_rows *z, int64_t place, int64_t y, const pixel_end *end, const float *image, const float *last,
                    const float *filters, float *sums)
{
    const conv2d *v = z->v;
    int64_t out_w = z->width / z->pool_w, columns = v->out_h / z->pool_h * out_w, at = (place * columns + y * out_w) * VL;
    if (end) {
        const float *added = (const float *)v->epilogue->added;
        multiply_row(z, image, last, filters, (row_sink){sums, end, (float *)v->epilogue->bits + at, added ? added + at : NULL});
        return;
    }
    for (int64_t r = 0; r < z->pool_h; r++)
        multiply_row(z, image + r * v->step_h * z->wide, last + r * last_elements(z), filters,
                     (row_sink){sums + r * z->width * PIXEL_LANES, NULL, NULL, NULL});
    if (z->pool_h * z->pool_w > 1)
        pool_pixels(2, z->pool_h, z->pool_w, z->width, 1, out_w, sums);
    finish_pixels(v->epilogue, z->out, sums, place, columns, y * out_w, out_w);
}

/* Tasks (image, band). */
static void run_bands(void *arg, int64_t begin, int64_t end)
{
    const pair_rows *z = arg;
    const conv2d *v = z->v;
    const int64_t windows = v->out_h / z->pool_h;
    const int plain = are_plain_pixels(v->epilogue) && blocks(z) % v->epilogue->period == 0 && z->pool_h * z->pool_w == 1;
    float *image = symc_scratch(SLOT_BAND, image_elements(z) * sizeof(float));
    float *last = symc_scratch(SLOT_BAND_2, z->rows * last_elements(z) * sizeof(float));
    float *sums = symc_scratch(SLOT_BLOCK_2, z->pool_h * z->width * PIXEL_LANES * sizeof(float));
    float *rows = symc_scratch(SLOT_ROW, 2 * z->last_wide * sizeof(float));
    for (int64_t task = begin; task < end; task++) {
        int64_t number = task / z->bands, band = task % z->bands;
        int64_t first = band * windows / z->bands, stop = (band + 1) * windows / z->bands;
        fill_image(z, number, first * z->pool_h, (stop - first) * z->pool_h, image);
        for (int64_t y = first * z->pool_h; y < stop * z->pool_h; y++)
            fill_last(z, number, y, rows, last + (y - first * z->pool_h) * last_elements(z));
        for (int64_t block = 0; block < blocks(z); block++) {
            int64_t place = number * blocks(z) + block;
            pixel_end finish;
            if (plain)
                finish = pixel_end_of(v->epilogue, place, 1);
            for (int64_t y = first; y < stop; y++) {
                int64_t at = (y - first) * z->pool_h;
                run_row(z, place, y, plain ? &finish : NULL, image + at * v->step_h * z->wide, last + at * last_elements(z),
                        z->packed + block * block_elements(z), sums);
            }
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
    z->pairs = (pair_parts){.count = 1, .few = (int)(v->taps_w / 2), .gap = overlap ? 2 : 1};
    z->apart = overlap ? v->step_w : v->step_w / 2;
    z->chunk = larger(1, FILTER_BYTES / (larger(1, z->pairs.few) * PIXEL_LANES * (int64_t)sizeof(float)));
    z->wide = (ceil_div((z->width - 1) * z->apart + z->pairs.few * z->pairs.gap, VL) | 1) * VL; /* in other sets of a cache */
    z->last_wide = (ceil_div(z->width, VL) | 1) * VL;
    z->last = (pair_parts){.count = 1, .few = v->taps_w % 2 ? (int)ceil_div(z->lines, 2) : 0, .gap = (int)z->last_wide};
    int64_t windows = v->out_h / z->pool_h, wanted = UNITS_PER_THREAD * symc_num_threads();
    z->bands = smaller(windows, ceil_div(wanted, v->images));
    for (;; z->bands++) {
        z->rows = ceil_div(windows, z->bands) * z->pool_h;
        z->high = (z->rows - 1) * v->step_h + (v->taps_h - 1) * v->dil_h + 1;
        if (z->bands == windows || (image_elements(z) + z->rows * last_elements(z)) * (int64_t)sizeof(float) <= WINDOW_BYTES)
            return;
    }
}

/* Where each row of taps is in a window, and among packed filters. */
static void list_lines(const pair_rows *z)
{
    const conv2d *v = z->v;
    for (int64_t q = 0; q < z->lines; q++) {
        int64_t c = q / v->taps_h, r = q % v->taps_h, row = (v->flip ? v->taps_h - 1 - r : r) * v->dil_h;
        z->list[q] = (block_step){(c * z->high + row) * z->wide, q * z->pairs.few};
    }
}

int symc_pair_rows_suit(const conv2d *v)
{
    return symc_pairs == PAIRS_BY_VECTORS && v->dil_w == 1 && v->taps_w >= LEAST_TAPS;
}

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
