/* What minimal filtering in float32 (winograd_typed.h) and in parts of bfloat16 (winograd_parts_bf16.c) have in common: the
 * description of a convolution, filters on their way to their transformation, and output tiles on their way back.
 */
#ifndef SYMC_WINOGRAD_TILES_H
#define SYMC_WINOGRAD_TILES_H

#include "winograd.h"

#include "blocks.h"
#include "pooled_pixels.h"
#include "winograd_units.h"

enum {
    SKEW = 5 * VL /* keeps points off the same sets of the cache */
};

typedef struct {
    const gather *g;
    tiled_axis rows, cols;
    int64_t points, views;     /* of a tile, and of the filters */
    int64_t tiles;             /* of all images */
    int64_t depth, steps;      /* channels of all views in whole blocks; blocks: all views of one, then of the next */
    int64_t units, most;       /* of tiles, and the most in one */
    int64_t splits;            /* pieces of the blocks of filters */
    int64_t tile_step, sum_step, row_length; /* elements between points; pixels in a row of the turned image */
    real *filters;             /* by group and block of filters, point, channel: up to TILE_COLS filters; or NULL */
} winograd;

INLINE winograd describe_tiling(const gather *g, const tiling *t)
{
    winograd v = {.g = g, .rows = t->rows, .cols = t->cols, .points = points_of(t), .views = views_of(t)};
    v.tiles = g->images * v.rows.tiles * v.cols.tiles;
    v.steps = lane_blocks(g, &v.rows, &v.cols) * v.views, v.depth = v.steps * VL;
    return v;
}

/* Lanes of the last block of the last view that are not zeros behind others. */
INLINE int64_t lanes_left(const winograd *v)
{
    int64_t pieces = lane_pieces(&v->cols), all = v->g->channels * v->rows.fold;
    return (all - (v->steps / v->views - 1) * pieces) * v->cols.fold;
}

/* Pixels in a row of the turned image, for at most `tiles` tiles at a time. */
INLINE int64_t turned_row(const winograd *v, int64_t tiles)
{
    return tiles_span(&v->cols, larger(v->cols.phases, smaller(tiles, v->cols.tiles)));
}

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

INLINE void transform_taps(int taps_h, int taps_w, int complete, const int64_t *at, const real *turned, real *to, int64_t step)
{
    vec w[MOST_TAPS][MOST_TAPS];
    for (int r = 0; r < taps_h; r++)
        for (int s = 0; s < taps_w; s++) {
            int64_t tap = at[r * MOST_TAPS + s];
            w[r][s] = complete || tap >= 0 ? load(turned + tap * VL) : (vec){0};
        }
    transform_filter_tile(taps_h, taps_w, w, to, step);
}

/* A channel of turned filters, of the view with taps `at` (locate_taps), to vectors `step` apart. */
INLINE void transform_block(const winograd *v, const int64_t *at, const real *turned, real *to, int64_t step)
{
    if (v->views * v->rows.fold * v->cols.fold == 1) { /* which has all taps */
#define FOR_SHAPE(ROWS, COLS, TAPS_H, TAPS_W) transform_taps(TAPS_H, TAPS_W, 1, at, turned, to, step)
        BY_SHAPE(v->rows.taps, v->cols.taps)
#undef FOR_SHAPE
        return;
    }
#define FOR_SHAPE(ROWS, COLS, TAPS_H, TAPS_W) transform_taps(TAPS_H, TAPS_W, 0, at, turned, to, step)
    BY_SHAPE(v->rows.taps, v->cols.taps)
#undef FOR_SHAPE
}

/* ---- output tiles ---- */

/* The results of a run, `lanes` elements between neighbouring pixels. */
INLINE void finish_run(axis_form rows_form, axis_form cols_form, int taps_h, int taps_w, const winograd *v, const tile_run *run,
                       const real *m, int64_t step, int64_t ld, int64_t high, int64_t wide, int64_t lanes, real *to)
{
    const int out_h = form_out(rows_form, taps_h), out_w = form_out(cols_form, taps_w);
    const int points = cols_form == NO_FORM ? 1 : IN;
    const tiled_axis *cols = &v->cols;
    for (int64_t i = 0; i < run->count; i++, m += ld) {
        vec y[MOST_OUT][MOST_OUT];
        transform_output_tile(rows_form, cols_form, out_h, out_w, points, m, step, y);
        int64_t apart = cols->phases;
        if (apart == 1) {
            int64_t first = i * out_w, width = smaller(out_w, wide - first);
            if (high == out_h && width == out_w) { /* from registers */
                UNROLL
                for (int r = 0; r < out_h; r++)
                    UNROLL
                    for (int s = 0; s < out_w; s++)
                        store(to + (r * wide + first + s) * lanes, y[r][s]);
                continue;
            }
            for (int64_t r = 0; r < high; r++)
                for (int64_t s = 0; s < width; s++)
                    store(to + (r * wide + first + s) * lanes, y[r][s]);
            continue;
        }
        int64_t first = tile_result(cols, i), width = smaller(out_w, ceil_div(wide - first, apart));
        for (int64_t r = 0; r < high; r++)
            for (int64_t s = 0; s < width; s++)
                store(to + (r * wide + first + s * apart) * lanes, y[r][s]);
    }
}

/* Columns of the map: of results or their windows. */
INLINE int64_t map_width(const gather *g) { return g->out_w / larger(1, g->pool_w); }

/* Rows of `wide` pixels of a run, `high` of them, to an epilogue: planes from `row` on, elements from `first` on, `apart` rows
 * from one another. The planes of one row of pixels are made in `own`, in the first level cache: images are often so large that
 * planes collide there. */
static void hand_on_rows(const gather *g, const real *pixels, int64_t high, int64_t wide, int64_t row, int64_t rows,
                         int64_t first, int64_t apart, real *own)
{
    int64_t ld = (wide + VL - 1) / VL * VL + VL, out_w = map_width(g), out_h = g->out_h / larger(1, g->pool_h);
    for (int64_t y = 0; y < high; y++, first += apart * out_w) {
        FN(symc_from_lanes)(pixels + y * wide * VL, wide, VL, rows, ld, NULL, own);
        for (int64_t r = 0; r < rows; r++)
            finish_part_at(g->epilogue, own + r * ld, row + r, out_h * out_w, first, wide);
    }
}

/* Rows of `wide` pixels to planes whose columns are not neighbours; `own` as above. */
static void spread_rows(const gather *g, const real *pixels, int64_t high, int64_t wide, int64_t rows, int64_t row_step,
                        real *own, real *to)
{
    int64_t ld = (wide + VL - 1) / VL * VL + VL;
    for (int64_t y = 0; y < high; y++, to += row_step) {
        FN(symc_from_lanes)(pixels + y * wide * VL, wide, VL, rows, ld, NULL, own);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t x = 0; x < wide; x++)
                to[r * g->out_plane + x * g->out_col] = own[r * ld + x];
    }
}

/* The results of a run: rows of up to `wide` pixels, `high` of them. */
INLINE void finish_tiles(const winograd *v, const tile_run *run, const real *m, int64_t step, int64_t ld, int64_t high,
                         int64_t wide, int64_t lanes, real *to)
{
#define FOR_SHAPE(ROWS, COLS, TAPS_H, TAPS_W) \
    finish_run(ROWS, COLS, TAPS_H, TAPS_W, v, run, m, step, ld, high, wide, lanes, to)
    BY_TILE_SHAPE(run->rows, run->cols, v->rows.taps, v->cols.taps)
#undef FOR_SHAPE
}

/* Rows and columns of results of a run, from its first on; none of a phase that the last tiles do not have. */
INLINE int64_t run_high(const winograd *v, const tile_run *run)
{
    int64_t row = tile_result(&v->rows, run->row), apart = v->rows.phases;
    return smaller(form_out(run->rows, v->rows.taps), by_phases(&v->rows, v->g->out_h - row + apart - 1));
}

INLINE int64_t run_wide(const winograd *v, const tile_run *run)
{
    return smaller(run->count * form_out(run->cols, v->cols.taps), v->g->out_w - tile_result(&v->cols, run->col));
}

/* The maxima of windows of a run of tiles take its place, and its place among the results becomes one of windows. */
static void pool_run(const gather *g, int64_t *row, int64_t *col, int64_t *high, int64_t *wide, real *pixels)
{
    int64_t pool_h = g->pool_h, pool_w = g->pool_w, pitch = *wide;
    *row /= pool_h, *col /= pool_w, *high /= pool_h, *wide /= pool_w;
    if (pool_h == 2 && pool_w == 2)
        pool_pixels(1, 2, 2, pitch, *high, *wide, pixels);
    else
        pool_pixels(1, pool_h, pool_w, pitch, *high, *wide, pixels);
}

/* VL filters from `filter` on: sums by point, `step` apart, and tile, `cols` apart, to planes. */
static void put_tiles(const winograd *v, const tile_unit *u, int64_t group, int64_t filter, const real *m, int64_t step,
                      int64_t cols, real *pixels)
{
    const gather *g = v->g;
    int64_t rows = smaller(VL, g->filters - filter), next[4];
    memcpy(next, u->start, sizeof next);
    real *plane = g->out + (group * g->filters + filter) * g->out_plane;
    for (int64_t at = 0; at < u->tiles;) {
        tile_run run = next_run(&v->rows, &v->cols, u, at, next);
        int64_t row = tile_result(&v->rows, run.row), col = tile_result(&v->cols, run.col), apart = v->rows.phases;
        int64_t high = run_high(v, &run), wide = run_wide(v, &run);
        at += run.count;
        if (high <= 0)
            continue;
        finish_tiles(v, &run, m + run.place * cols, step, cols, high, wide, VL, pixels);
        real *spare = pixels + high * wide * VL;
        if (g->pool_h * g->pool_w > 1)
            pool_run(g, &row, &col, &high, &wide, pixels);
        if (high * wide <= 0)
            continue;
        int64_t first_row = (run.image * g->groups + group) * g->filters + filter;
        plain_rows own;
        const plain_rows *end = g->out_col == 1 ? plain_rows_of(g->epilogue, first_row, rows, &own) : NULL;
        if (g->epilogue && !end) {
            hand_on_rows(g, pixels, high, wide, first_row, rows, row * map_width(g) + col, apart, spare);
            continue;
        }
        real *to = plane + run.image * g->out_image + row * g->out_row + col * g->out_col;
        if (g->out_col != 1)
            spread_rows(g, pixels, high, wide, rows, apart * g->out_row, spare, to);
        else if (wide == g->out_row && apart == 1)
            FN(symc_from_lanes)(pixels, high * wide, VL, rows, g->out_plane, end, to);
        else
            for (int64_t r = 0; r < high; r++)
                FN(symc_from_lanes)(pixels + r * wide * VL, wide, VL, rows, g->out_plane, end, to + r * apart * g->out_row);
    }
}

#endif
