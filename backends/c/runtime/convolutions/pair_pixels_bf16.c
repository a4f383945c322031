/* Convolutions with one tap as products of filters and pixels in three parts of bfloat16 (products/pairs.h): the left operand
 * of a tile is 32 filters, the right one 32 pixels, so that maps are read and written as planes and nothing is turned.
 *
 * Filters are divided into parts once, and kept if they are stored. A unit of work is a group of pixels and some of the
 * filters: it divides the pixels it reads into parts, which stay in the second level cache, and multiplies one tile of filters
 * after the other by all of them. Pixels of a group may belong to several images, or be apart in memory: they are then
 * gathered first, for a few channels at a time.
 *
 * Where values are such that parts cannot hold them, the tiles that read them are multiplied in float32.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#include <math.h>

#include "base/epilogue.h"
#include "base/stored.h"
#include "products/pair_packing.h"
#include "products/unpacked.h"

#if SYMC_HAS_TILES
enum {
    PANEL = 2 * VL,             /* pixels of a panel */
    CHUNK = 4,                  /* blocks of channels that are multiplied at a time: in the first level cache */
    GROUP_BYTES = 1 << 20,    /* of a group's pixels in parts, */
    MOST_PANELS = 16            /* and the most panels of one */
};

typedef struct {
    operand filters;            /* (rows, depth) */
    int64_t rows, depth;        /* channels written and read */
    const float *in;
    float *out;
    int64_t images, pixels;     /* pixels of an image written */
    int64_t in_plane, in_image, out_image; /* elements between planes, and between images */
    int64_t in_w, out_w, step_h, step_w;
    const symc_epilogue *epilogue;
    int64_t first_row, image_rows; /* of the epilogue's matrix: this product's first one, and those of an image */
    int64_t steps, tiles;       /* blocks of PAIRED channels, of PAIR_ROWS filters */
    int64_t groups, splits, panels; /* the grid of units; the most panels of a group */
    float *packed;              /* the filters in parts: by tile, block of channels and part */
    extremes *found;            /* of tiles */
    block_step *list;
} pixel_product;

INLINE int64_t tile_floats(const pixel_product *z) { return z->steps * PARTS * PAIR_ROWS * VL; }
INLINE int64_t panel_floats(const pixel_product *z) { return z->steps * PARTS * PANEL * VL; }
INLINE int64_t rows_of(const pixel_product *z, int64_t tile) { return smaller(PAIR_ROWS, z->rows - tile * PAIR_ROWS); }

/* Pixels [first, first + count) of all images. */
typedef struct {
    int64_t first, count;
} pixel_range;

INLINE pixel_range group_pixels(const pixel_product *z, int64_t group)
{
    int64_t all = z->images * z->pixels, halves = ceil_div(all, VL), first = group * halves / z->groups * VL;
    return (pixel_range){first, smaller(all, (group + 1) * halves / z->groups * VL) - first};
}

INLINE int64_t panel_cols(pixel_range r, int64_t panel) { return r.count - panel * PANEL > VL ? PANEL : VL; }

/* ---- packing ---- */

/* Tasks: tiles of filters. */
static void pack_tiles(void *arg, int64_t begin, int64_t end)
{
    const pixel_product *z = arg;
    for (int64_t tile = begin; tile < end; tile++) {
        extreme_lanes lanes = NO_EXTREME_LANES;
        float *to = z->packed + tile * tile_floats(z);
        int64_t row = tile * PAIR_ROWS, rows = rows_of(z, tile);
        for (int64_t step = 0; step < z->steps; step++, to += PARTS * PAIR_ROWS * VL)
            for (int64_t h = 0; h * VL < rows; h++)
                pack_square(&z->filters, 0, PARTS, row + h * VL, smaller(VL, rows - h * VL), step * PAIRED,
                            smaller(PAIRED, z->depth - step * PAIRED), PAIR_ROWS * VL, VL, to + h * VL * VL, &lanes);
        z->found[tile] = extremes_of(lanes);
    }
}

/* `channels` channels from `channel` on of a range of pixels, `ld` elements apart. */
static void gather_pixels(const pixel_product *z, int64_t channel, int64_t channels, pixel_range r, float *to, int64_t ld)
{
    int together = z->step_h == 1 && z->step_w == 1;
    for (int64_t i = 0; i < r.count;) {
        int64_t image = (r.first + i) / z->pixels, at = (r.first + i) % z->pixels, y = at / z->out_w, x = at % z->out_w;
        int64_t some = smaller(r.count - i, together ? z->pixels - at : z->out_w - x);
        int64_t offset = together ? at : y * z->step_h * z->in_w + x * z->step_w;
        const float *from = z->in + image * z->in_image + channel * z->in_plane + offset;
        for (int64_t c = 0; c < channels; c++)
            take_strided(from + c * z->in_plane, z->step_w, some, together ? some : z->in_w - x * z->step_w, to + c * ld + i);
        i += some;
    }
}

/* Two channels of VL pixels, of which those under the mask exist, become a vector of pairs of each part. */
INLINE void pack_pair(const float *even, const float *odd, lane_mask mask, lane_mask odd_mask, int64_t line, float *to,
                      extreme_lanes *lanes)
{
    vec e = load_lanes(even, mask), o = load_lanes(odd, odd_mask);
    note_extremes(lanes, e, o);
    put_parts(e, o, to, VL * line, 0);
}

/* A block of channels of a panel, of which `count` pixels and `depth` channels exist; vectors of pairs are `line` apart. */
static void pack_block(const float *from, int64_t ld, int64_t count, int64_t depth, int64_t line, float *to, extreme_lanes *found)
{
    extreme_lanes lanes = *found;
    if (count == PANEL && depth == PAIRED) {
        for (int64_t j = 0; j < VL; j++, from += 2 * ld, to += PANEL) {
            const float *next = from + PAIRED * ld; /* too far for the processor to foresee; harmless beyond the end */
            __builtin_prefetch(next), __builtin_prefetch(next + VL);
            __builtin_prefetch(next + ld), __builtin_prefetch(next + ld + VL);
            pack_pair(from, from + ld, first_lanes(VL), first_lanes(VL), PANEL, to, &lanes);
            pack_pair(from + VL, from + ld + VL, first_lanes(VL), first_lanes(VL), PANEL, to + VL, &lanes);
        }
        *found = lanes;
        return;
    }
    for (int64_t j = 0; j < VL; j++, from += 2 * ld, to += line)
        for (int64_t h = 0; h < line; h += VL) {
            lane_mask mask = 2 * j < depth ? first_lanes(smaller(VL, count - h)) : 0;
            pack_pair(from + h, from + ld + h, mask, 2 * j + 1 < depth ? mask : 0, line, to + h, &lanes);
        }
    *found = lanes;
}

/* Whether the pixels of a range lie in one image, side by side. */
INLINE int is_plain(const pixel_product *z, pixel_range r)
{
    return z->step_h == 1 && z->step_w == 1 && r.first / z->pixels == (r.first + r.count - 1) / z->pixels;
}

/* The columns of a block of channels, in memory or gathered in `gathered`; `*ld` elements between channels. */
static const float *columns_of(const pixel_product *z, int64_t step, pixel_range r, float *gathered, int64_t *ld)
{
    int64_t channel = step * PAIRED;
    if (is_plain(z, r)) {
        *ld = z->in_plane;
        return z->in + r.first / z->pixels * z->in_image + channel * z->in_plane + r.first % z->pixels;
    }
    *ld = ceil_div(r.count, VL) * VL;
    gather_pixels(z, channel, smaller(PAIRED, z->depth - channel), r, gathered, *ld);
    return gathered;
}

/* All channels of a range of pixels: by panel, block of channels, part, pair. */
static void pack_pixels(const pixel_product *z, pixel_range r, float *gathered, float *to, extremes *found)
{
    extreme_lanes lanes[MOST_PANELS];
    int64_t panels = ceil_div(r.count, PANEL);
    for (int64_t p = 0; p < panels; p++)
        lanes[p] = NO_EXTREME_LANES;
    for (int64_t step = 0; step < z->steps; step++) {
        int64_t ld, depth = smaller(PAIRED, z->depth - step * PAIRED);
        const float *from = columns_of(z, step, r, gathered, &ld);
        for (int64_t p = 0; p < panels; p++) {
            int64_t line = panel_cols(r, p);
            pack_block(from + p * PANEL, ld, smaller(PANEL, r.count - p * PANEL), depth, line,
                       to + p * panel_floats(z) + step * PARTS * line * VL, &lanes[p]);
        }
    }
    for (int64_t p = 0; p < panels; p++)
        found[p] = extremes_of(lanes[p]);
}

/* ---- units ---- */

/* A tile of sums of a panel that begins with pixel `first`, rows `cols` elements apart, to the images. */
static void put_sums(const pixel_product *z, int64_t row, int64_t rows, int64_t first, int64_t count, const float *sums, int64_t cols)
{
    for (int64_t i = 0; i < count;) {
        int64_t image = (first + i) / z->pixels, at = (first + i) % z->pixels, some = smaller(count - i, z->pixels - at);
        float *to = z->out + image * z->out_image + row * z->pixels + at;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < some; j += VL)
                store_lanes(to + r * z->pixels + j, load(sums + r * cols + i + j), first_lanes(smaller(VL, some - j)));
        i += some;
    }
}

/* The same tile in float32, from operands in memory. */
static void sum_exactly(const pixel_product *z, int64_t row, int64_t rows, pixel_range r, float *sums, int64_t cols)
{
    const operand *f = &z->filters;
    float *gathered = symc_scratch(SLOT_ROW, PAIRED * (MOST_PANELS * PANEL + VL) * sizeof(float));
    for (int64_t step = 0; step < z->steps; step++) {
        int64_t ld, k = step * PAIRED;
        const float *from = columns_of(z, step, r, gathered, &ld);
        symc_unpacked_product_f32(rows, r.count, smaller(PAIRED, z->depth - k), f->from + (f->transposed ? k * f->ld + row : row * f->ld + k),
                                  f->transposed ? 1 : f->ld, f->transposed ? f->ld : 1, from, ld, sums, cols, step > 0);
    }
}

/* One tile of filters times all panels of a group. */
static void multiply_tile(const pixel_product *z, int64_t tile, pixel_range r, const float *pixels, const extremes *found, float *sums)
{
    const pair_parts parts = {PARTS, PAIR_ROWS * VL, VL, z->panels <= 2};
    const float *filters = z->packed + tile * tile_floats(z);
    int64_t row = tile * PAIR_ROWS, rows = rows_of(z, tile), panels = ceil_div(r.count, PANEL), plain = is_plain(z, r);
    float *out = z->out + r.first / z->pixels * z->out_image + row * z->pixels + r.first % z->pixels;
    for (int64_t q = 0; q < z->steps; q += CHUNK)
        for (int64_t p = 0; p < panels; p++) {
            int64_t cols = panel_cols(r, p), exist = smaller(PANEL, r.count - p * PANEL);
            int direct = plain && exist == cols && z->steps <= CHUNK && parts_hold(z->found[tile], found[p]);
            symc_part_tile(&parts, rows, cols, 1, smaller(CHUNK, z->steps - q), z->list, filters + q * PARTS * PAIR_ROWS * VL,
                           pixels + p * panel_floats(z) + q * PARTS * cols * VL,
                           direct ? out + p * PANEL : sums + p * PAIR_ROWS * PANEL, direct ? z->pixels : cols, q > 0);
        }
    for (int64_t p = 0; p < panels; p++) {
        int64_t cols = panel_cols(r, p), exist = smaller(PANEL, r.count - p * PANEL);
        float *sum = sums + p * PAIR_ROWS * PANEL;
        int holds = parts_hold(z->found[tile], found[p]);
        if (!holds)
            sum_exactly(z, row, rows, (pixel_range){r.first + p * PANEL, exist}, sum, cols);
        if (!(holds && plain && exist == cols && z->steps <= CHUNK))
            put_sums(z, row, rows, r.first + p * PANEL, exist, sum, cols);
    }
}

/* All filters of a tile are summed for a range of pixels. */
static void finish_tile(const pixel_product *z, int64_t tile, pixel_range r)
{
    if (!z->epilogue)
        return;
    for (int64_t i = 0; i < r.count;) {
        int64_t image = (r.first + i) / z->pixels, at = (r.first + i) % z->pixels, some = smaller(r.count - i, z->pixels - at);
        finish_columns(z->epilogue, z->first_row + image * z->image_rows + tile * PAIR_ROWS, rows_of(z, tile), at, some);
        i += some;
    }
}

/* Tasks (group of pixels, split of the tiles). */
static void run_groups(void *arg, int64_t begin, int64_t end)
{
    const pixel_product *z = arg;
    float *pixels = symc_scratch(SLOT_BLOCK, z->panels * panel_floats(z) * sizeof(float));
    float *sums = symc_scratch(SLOT_BLOCK_2, z->panels * PAIR_ROWS * PANEL * sizeof(float));
    float *gathered = symc_scratch(SLOT_ROW, PAIRED * (MOST_PANELS * PANEL + VL) * sizeof(float));
    extremes found[MOST_PANELS];
    symc_pair_tiles_begin();
    for (int64_t task = begin; task < end; task++) {
        int64_t split = task % z->splits;
        pixel_range r = group_pixels(z, task / z->splits);
        pack_pixels(z, r, gathered, pixels, found);
        for (int64_t tile = split * z->tiles / z->splits; tile < (split + 1) * z->tiles / z->splits; tile++) {
            multiply_tile(z, tile, r, pixels, found, sums);
            finish_tile(z, tile, r);
        }
    }
    symc_pair_tiles_end();
}

/* ---- all ---- */

/* Groups that stay in the cache, evenly distributed; the filters are split where there are fewer than threads. */
static void plan(pixel_product *z)
{
    int64_t threads = symc_num_threads(), halves = ceil_div(z->images * z->pixels, VL);
    int64_t fit = GROUP_BYTES / (z->steps * PARTS * PANEL * VL * (int64_t)sizeof(float));
    int64_t most = larger(1, smaller(MOST_PANELS, fit));
    z->groups = ceil_div(halves, 2 * most);
    if (z->groups < 8 * threads && (z->groups > 1 || halves >= 4 * threads))
        z->groups = smaller(halves, ceil_div(z->groups, threads) * threads);
    z->splits = z->groups >= threads ? 1 : smaller(z->tiles, ceil_div(threads, z->groups));
    z->panels = ceil_div(ceil_div(halves, z->groups), 2);
}

static void multiply_group(pixel_product *z, symc_stored *stored)
{
    z->steps = ceil_div(z->depth, PAIRED), z->tiles = ceil_div(z->rows, PAIR_ROWS);
    plan(z);
    z->list = symc_scratch(SLOT_TABLE, CHUNK * sizeof *z->list);
    for (int64_t q = 0; q < CHUNK; q++)
        z->list[q] = (block_step){q * PARTS * PAIR_ROWS * VL, q * PARTS * VL};
    symc_form_key key = {z->filters.from, FORM_PIXEL_FILTERS, {z->rows, z->depth, z->filters.transposed, z->filters.ld}};
    size_t bytes = z->tiles * tile_floats(z) * sizeof(float);
    symc_form form = symc_form_of(stored, &key, bytes + z->tiles * sizeof(extremes), SLOT_SHARED);
    z->packed = form.memory;
    z->found = (extremes *)((char *)form.memory + bytes);
    if (!form.ready) {
        symc_parallel(pack_tiles, z, z->tiles, 1);
        symc_form_made(&form);
    }
    symc_parallel(run_groups, z, z->groups * z->splits, 1);
}

static pixel_product product_of(const conv2d *v, const float *weights, int backward)
{
    int64_t filters = v->filters / v->groups, channels = v->channels / v->groups;
    pixel_product z = {.filters = {backward, weights, channels}, .rows = backward ? channels : filters,
                       .depth = backward ? filters : channels, .images = v->images, .pixels = v->out_h * v->out_w,
                       .in_plane = v->in_h * v->in_w, .in_w = v->in_w, .out_w = v->out_w, .step_h = v->step_h,
                       .step_w = v->step_w, .image_rows = backward ? v->channels : v->filters, .epilogue = v->epilogue};
    z.in_image = v->groups * z.depth * z.in_plane, z.out_image = v->groups * z.rows * z.pixels;
    return z;
}

static void multiply_all(const conv2d *v, float *out, const float *in, const float *weights, int backward)
{
    pixel_product z = product_of(v, weights, backward);
    for (int64_t g = 0; g < v->groups; g++) {
        pixel_product one = z;
        one.in = in + g * z.depth * z.in_plane, one.out = out + g * z.rows * z.pixels, one.first_row = g * z.rows;
        one.filters.from = weights + g * z.rows * z.depth;
        multiply_group(&one, v->stored);
    }
}

int symc_pair_pixels_suit(const conv2d *v, int backward)
{
    int64_t least = smaller(v->channels, v->filters) / v->groups;
    return v->taps_h == 1 && v->taps_w == 1 && v->pad_h == 0 && v->pad_w == 0 && least >= VL &&
           v->out_h == (v->in_h - 1) / v->step_h + 1 && v->out_w == (v->in_w - 1) / v->step_w + 1 &&
           (!backward || (v->step_h == 1 && v->step_w == 1)) && v->images * v->out_h * v->out_w >= VL;
}

double symc_pair_pixels_time(const conv2d *v, int backward)
{
    const double multiply = 0.0056, pack = 0.33, filter = v->stored ? 0.3 : 0.7, put = 0.1;
    double rows = (double)((backward ? v->channels : v->filters) / v->groups), depth = (double)((backward ? v->filters : v->channels) / v->groups);
    double pixels = (double)(v->images * v->out_h * v->out_w), whole = ceil(pixels / VL) * VL * ceil(rows / VL) * VL * ceil(depth / PAIRED) * PAIRED;
    return (double)v->groups * (multiply * whole + pack * depth * pixels + put * rows * pixels + filter * rows * depth);
}

void symc_pair_pixels_forward(const conv2d *v, float *y, const float *x, const float *weights)
{
    multiply_all(v, y, x, weights, 0);
}

void symc_pair_pixels_backward_data(const conv2d *v, float *dx, const float *dy, const float *weights)
{
    multiply_all(v, dx, dy, weights, 1);
}
#endif
