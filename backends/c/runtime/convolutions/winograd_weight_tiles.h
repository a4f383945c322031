/* What minimal filtering with respect to the weights in float32 (winograd_weights_typed.h) and in parts of bfloat16
 * (winograd_weights_parts_bf16.c) have in common: the description, and the way from sums to filters.
 */
#ifndef SYMC_WINOGRAD_WEIGHT_TILES_H
#define SYMC_WINOGRAD_WEIGHT_TILES_H

#include "winograd.h"

#include "blocks.h"
#include "winograd_units.h"

enum {
    PARTIAL_BYTES = 256 << 20, /* the most memory spent on sums */
    SKEW = 5 * VL              /* keeps points off the same sets of the cache */
};

typedef struct {
    const gather *g;
    const real *dy;
    real *dw;
    tiled_axis rows, cols;
    int64_t points, views;            /* of a tile, and of the filters */
    int64_t high, wide, tiles;        /* tiles of an image, and of all */
    int64_t steps, blocks;            /* blocks of VL channels, all views of one, then of the next; of TILE_COLS filters */
    int64_t units, most;              /* of tiles, and the most in one */
    int64_t together;                 /* views whose image tiles are made together */
    int64_t grain;                    /* a unit has a multiple of it */
    int64_t shares, pieces;           /* tasks of a group: shares of the units times pieces of the channels */
    int64_t first, count;             /* the chunk of tiles that is transformed */
    int64_t splits;                   /* tasks of a product */
    int64_t row_length;               /* pixels in a row of the turned images */
    int64_t image_step, gradient_step, sum_step; /* elements between points */
    real *image, *gradient;           /* all transformed tiles, when they are few */
    real *sums;                       /* else: by group, share, point, block of filters, channel: TILE_COLS filters */
} weights;

INLINE int64_t sum_bytes(const gather *g, const tiling *t)
{
    return points_of(t) *
           (ceil_div(g->channels, VL) * views_of(t) * VL * ceil_div(g->filters, TILE_COLS) * TILE_COLS + SKEW) *
           (int64_t)sizeof(real);
}

INLINE weights describe_weights(const gather *g, const tiling *t, const real *dy, real *dw)
{
    weights v = {.g = g, .dy = dy, .dw = dw, .rows = t->rows, .cols = t->cols, .points = points_of(t), .views = views_of(t),
                 .high = t->rows.tiles, .wide = t->cols.tiles};
    v.tiles = g->images * v.high * v.wide;
    v.steps = ceil_div(g->channels, VL) * v.views, v.blocks = ceil_div(g->filters, TILE_COLS);
    v.sum_step = sum_bytes(g, t) / (v.points * (int64_t)sizeof(real));
    return v;
}

/* Bytes of the sums of a group. */
INLINE int64_t sums_bytes(const weights *v) { return v->points * v->sum_step * (int64_t)sizeof(real); }

INLINE int64_t block_cols(const weights *v, int64_t block)
{
    return v->g->filters - block * TILE_COLS > VL ? TILE_COLS : VL;
}

/* ---- planes to tiles ---- */

/* The images, or dY, of one group, and what tiles read of them. */
typedef struct {
    const real *from, *end;
    int64_t image, planes, high, wide; /* elements of all planes of an image; planes of the group, and their size */
    int gradient;                      /* whether it is dY */
} source;

INLINE source images_of(const weights *v, int64_t group)
{
    const gather *g = v->g;
    int64_t plane = g->in_h * g->in_w, image = g->groups * g->channels * plane;
    return (source){g->in + group * g->channels * plane, g->in + g->images * image, image, g->channels, g->in_h, g->in_w,
                    0};
}

INLINE source gradients_of(const weights *v, int64_t group)
{
    const gather *g = v->g;
    int64_t plane = g->out_h * g->out_w, image = g->groups * g->filters * plane;
    return (source){v->dy + group * g->filters * plane, v->dy + g->images * image, image, g->filters, g->out_h, g->out_w,
                    1};
}

/* Pixels in a row, and rows, that a run of tiles reads of a source. */
INLINE int64_t source_span(const weights *v, const source *s, const tile_run *run)
{
    return s->gradient ? run->count * form_out(run->cols, v->cols.taps) : run_span(&v->cols, run);
}

INLINE int64_t source_rows(const weights *v, const source *s, const tile_run *run)
{
    return s->gradient ? form_out(run->rows, v->rows.taps) : run_rows(&v->rows, run);
}

/* The longest row of either, for at most `tiles` tiles. */
INLINE int64_t longest_row(const weights *v, int64_t tiles)
{
    int64_t count = larger(v->cols.phases, smaller(tiles, v->wide));
    return larger(count * v->cols.out, tiles_span(&v->cols, count));
}

/* VL planes from `plane` on of a run of tiles, in lanes: rows of row_length pixels. */
INLINE void turn_tiles(const weights *v, const source *s, const tile_run *run, int64_t plane, real *to)
{
    int64_t apart = v->rows.phases, high = source_rows(v, s, run), once = apart == 1 ? high : 1;
    int64_t row = s->gradient ? tile_result(&v->rows, run->row) : tile_start(&v->rows, run->row);
    int64_t col = s->gradient ? tile_result(&v->cols, run->col) : tile_start(&v->cols, run->col);
    for (int64_t i = 0; i < high; i += once)
        FN(symc_window_to_lanes)(s->from + run->image * s->image + plane * s->high * s->wide, s->high * s->wide,
                                 smaller(VL, s->planes - plane), s->high, s->wide, s->end, row + i * apart, col, once,
                                 source_span(v, s, run), v->row_length * VL, to + i * v->row_length * VL);
}

/* ---- sums to filters ---- */

/* One channel of VL filters and one view: adds the shares, `share_step` apart, and transforms to taps, which are put at `at`
 * (locate_taps). */
INLINE void finish_channel(int taps_h, int taps_w, const int64_t *at, const real *sums, int64_t step, int64_t shares,
                           int64_t share_step, real *to)
{
    const int in_h = taps_h > 1 ? IN : 1, in_w = taps_w > 1 ? IN : 1;
    vec half[MOST_TAPS][IN];
    for (int x = 0; x < in_w; x++) {
        vec u[IN], w[MOST_TAPS];
        for (int y = 0; y < in_h; y++) {
            const real *from = sums + (y * in_w + x) * step;
            __builtin_prefetch(from + 2 * TILE_COLS);
            u[y] = load(from);
            for (int64_t s = 1; s < shares; s++)
                u[y] += load(from + s * share_step);
        }
        if (taps_h == 1)
            w[0] = u[0];
        else
            finish_filter(taps_h, u, w);
        for (int r = 0; r < taps_h; r++)
            half[r][x] = w[r];
    }
    for (int r = 0; r < taps_h; r++) {
        vec w[MOST_TAPS];
        if (taps_w == 1)
            w[0] = half[r][0];
        else
            finish_filter(taps_w, half[r], w);
        for (int s = 0; s < taps_w; s++) {
            int64_t tap = at[r * MOST_TAPS + s];
            if (tap >= 0)
                store(to + tap * VL, w[s]);
        }
    }
}

/* Channels [first, last) of a block of filters; sums by point, `step` apart, block of channels, view and channel. */
static void finish_block(const weights *v, int64_t group, int64_t block, int64_t first, int64_t last, const real *sums,
                         int64_t step, int64_t shares, int64_t share_step, real *turned)
{
    const gather *g = v->g;
    int64_t taps = g->taps_h * g->taps_w, at[MOST_TAPS * MOST_TAPS];
    for (int64_t half = 0; half < block_cols(v, block); half += VL) {
        int64_t filter = block * TILE_COLS + half;
        for (int64_t i = 0; i < ceil_div(last - first, VL) * v->views; i++) {
            const real *from = sums + half + i * VL * TILE_COLS;
            int64_t c = i / v->views * VL, end = smaller(last - first, c + VL);
            locate_taps(&v->rows, &v->cols, i % v->views / v->cols.views, i % v->cols.views, at);
            for (; c < end; c++, from += TILE_COLS) {
                real *to = turned + c * taps * VL;
#define FOR_SHAPE(ROWS, COLS, TAPS_H, TAPS_W) \
    finish_channel(TAPS_H, TAPS_W, at, from, step, shares, share_step, to)
                BY_SHAPE(v->rows.taps, v->cols.taps)
#undef FOR_SHAPE
            }
        }
        FN(symc_from_lanes)(turned, (last - first) * taps, VL, smaller(VL, g->filters - filter),
                            g->channels * taps, NULL,
                            v->dw + ((group * g->filters + filter) * g->channels + first) * taps);
    }
}

INLINE real *take_turned(const weights *v, int64_t channels)
{
    return symc_scratch(SLOT_ROW, channels * v->g->taps_h * v->g->taps_w * VL * sizeof(real));
}

/* Tasks (group, block of filters, block of channels). */
static void finish_blocks(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    real *turned = take_turned(v, VL);
    for (int64_t task = begin; task < end; task++) {
        int64_t pieces = v->steps / v->views, i = task % pieces, block = task / pieces % v->blocks;
        int64_t group = task / (pieces * v->blocks);
        const real *sums =
            v->sums + group * v->shares * v->points * v->sum_step + (block * v->steps + i * v->views) * VL * TILE_COLS;
        finish_block(v, group, block, i * VL, smaller(v->g->channels, (i + 1) * VL), sums, v->sum_step, v->shares,
                     v->points * v->sum_step, turned);
    }
}

INLINE void finish_all_blocks(weights *v)
{
    symc_parallel(finish_blocks, v, v->g->groups * v->blocks * (v->steps / v->views), 1);
}

/* Adds the products of tiles [start, start + tiles) and of blocks [first, last) of channels in float32 to the sums of a share;
 * by the calling thread. */
HIDDEN void FN(symc_winograd_weights_range)(const weights *v, int64_t group, int64_t start, int64_t tiles, int64_t first,
                                            int64_t last, real *sums, int accumulate);

#endif
