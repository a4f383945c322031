/* What minimal filtering in float32 (winograd_typed.h) and in parts of bfloat16 (winograd_parts_bf16.c) have in common: the
 * description of a convolution, filters on their way to their transformation, and output tiles on their way back.
 */
#ifndef SYMC_WINOGRAD_TILES_H
#define SYMC_WINOGRAD_TILES_H

#include "winograd.h"

#include "blocks.h"
#include "winograd_transforms.h"

enum {
    LEAST_CHANNELS = 16,
    SKEW = 5 * VL /* keeps points off the same sets of the cache */
};

typedef struct {
    const gather *g;
    int taps, out;             /* rows and columns of a filter and of an output tile */
    int64_t top, left;         /* of the first tap */
    int down, right;           /* whether taps ascend */
    int64_t high, wide, tiles; /* tiles of an image, and of all */
    int64_t depth, steps;      /* channels in whole blocks; blocks */
    int64_t units, most;       /* of tiles, and the most in one */
    int64_t splits;            /* pieces of the blocks of filters */
    int64_t tile_step, sum_step, row_length; /* elements between points; pixels in a row of the turned image */
    real *filters;             /* by group and block of filters, point, channel: up to TILE_COLS filters; or NULL */
} winograd;

INLINE winograd describe(const gather *g)
{
    int taps = (int)g->taps_h;
    winograd v = {.g = g, .taps = taps, .out = IN + 1 - taps, .down = g->tap_row[0] < g->tap_row[1],
                  .right = g->tap_col[0] < g->tap_col[1]};
    v.top = smaller(g->tap_row[0], g->tap_row[taps - 1]), v.left = smaller(g->tap_col[0], g->tap_col[taps - 1]);
    v.high = ceil_div(g->out_h, v.out), v.wide = ceil_div(g->out_w, v.out);
    v.tiles = g->images * v.high * v.wide;
    v.steps = ceil_div(g->channels, VL), v.depth = v.steps * VL;
    return v;
}

/* Pixels in a row of the turned image, for at most `tiles` tiles at a time. */
INLINE int64_t turned_row(const winograd *v, int64_t tiles) { return smaller(tiles, v->wide) * v->out + v->taps - 1; }

INLINE int64_t blocks(const winograd *v) { return ceil_div(v->g->filters, TILE_COLS); }
INLINE int64_t block_cols(const winograd *v, int64_t block)
{
    return v->g->filters - block * TILE_COLS > VL ? TILE_COLS : VL;
}

/* ---- filters ---- */

/* Channels [first, last) of up to VL filters from `filter` on, to lanes: by channel and tap. */
INLINE void turn_filters(const winograd *v, int64_t group, int64_t filter, int64_t first, int64_t last, real *to)
{
    const gather *g = v->g;
    int64_t rows = smaller(VL, g->filters - filter), taps = g->taps_h * g->taps_w, size = g->filters * g->channels * taps;
    const real *end = g->weights + g->groups * size, *from = g->weights + group * size + filter * g->weight_filter;
    if (g->weight_channel == taps) {
        int64_t count = (last - first) * taps;
        FN(symc_to_lanes)(from + first * taps, g->weight_filter, rows, count, end, count, 0, to);
        return;
    }
    for (int64_t c = first; c < last; c++, to += taps * VL)
        FN(symc_to_lanes)(from + c * g->weight_channel, g->weight_filter, rows, taps, end, taps, 0, to);
}

INLINE void transform_taps(int taps, const winograd *v, const real *turned, real *to, int64_t step)
{
    vec w[MOST_TAPS][MOST_TAPS];
    for (int r = 0; r < taps; r++)
        for (int s = 0; s < taps; s++)
            w[r][s] = load(turned + ((v->down ? r : taps - 1 - r) * taps + (v->right ? s : taps - 1 - s)) * VL);
    transform_filter_tile(taps, w, to, step);
}

/* A channel of turned filters to POINTS vectors `step` apart. */
INLINE void transform_block(const winograd *v, const real *turned, real *to, int64_t step)
{
    if (v->taps == 3)
        transform_taps(3, v, turned, to, step);
    else
        transform_taps(5, v, turned, to, step);
}

/* ---- output tiles ---- */

INLINE void finish_run(int out, const tile_run *run, const real *m, int64_t step, int64_t cols, int64_t high, int64_t wide,
                       real *to)
{
    for (int64_t i = 0; i < run->count; i++, m += cols) {
        vec y[MOST_OUT][MOST_OUT];
        transform_output_tile(out, m, step, y);
        int64_t width = smaller(out, wide - i * out);
        for (int64_t r = 0; r < high; r++)
            for (int64_t s = 0; s < width; s++)
                store(to + (r * wide + i * out + s) * VL, y[r][s]);
    }
}

/* Rows of `wide` pixels of a run, `high` of them, to an epilogue: planes from `row` on, elements from `first` on. The planes of
 * one row of pixels are made in `own`, in the first level cache: images are often so large that planes collide there. */
static void hand_on_rows(const gather *g, const real *pixels, int64_t high, int64_t wide, int64_t row, int64_t rows,
                         int64_t first, real *own)
{
    int64_t ld = (wide + VL - 1) / VL * VL + VL;
    for (int64_t y = 0; y < high; y++, first += g->out_w) {
        FN(symc_from_lanes)(pixels + y * wide * VL, wide, VL, rows, ld, own);
        for (int64_t r = 0; r < rows; r++)
            finish_part_at(g->epilogue, own + r * ld, row + r, g->out_h * g->out_w, first, wide);
    }
}

/* VL filters from `filter` on: sums by point, `step` apart, and tile, `cols` apart, to planes. */
static void put_tiles(const winograd *v, int64_t group, int64_t filter, int64_t first, int64_t tiles, const real *m,
                      int64_t step, int64_t cols, real *pixels)
{
    const gather *g = v->g;
    int64_t rows = smaller(VL, g->filters - filter);
    real *plane = g->out + (group * g->filters + filter) * g->out_plane;
    for (int64_t at = 0; at < tiles;) {
        tile_run run = find_run(v->high, v->wide, first + at, tiles - at);
        int64_t high = smaller(v->out, g->out_h - run.row * v->out);
        int64_t wide = smaller(run.count * v->out, g->out_w - run.col * v->out);
        if (v->out == 4)
            finish_run(4, &run, m + at * cols, step, cols, high, wide, pixels);
        else
            finish_run(2, &run, m + at * cols, step, cols, high, wide, pixels);
        at += run.count;
        if (g->epilogue) {
            hand_on_rows(g, pixels, high, wide, (run.image * g->groups + group) * g->filters + filter, rows,
                         run.row * v->out * g->out_w + run.col * v->out, pixels + high * wide * VL);
            continue;
        }
        real *to = plane + run.image * g->out_image + run.row * v->out * g->out_row + run.col * v->out;
        if (wide == g->out_row)
            FN(symc_from_lanes)(pixels, high * wide, VL, rows, g->out_plane, to);
        else
            for (int64_t r = 0; r < high; r++)
                FN(symc_from_lanes)(pixels + r * wide * VL, wide, VL, rows, g->out_plane, to + r * g->out_row);
    }
}

#endif
