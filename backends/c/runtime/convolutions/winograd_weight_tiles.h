/* What minimal filtering with respect to the weights in float32 (winograd_weights_typed.h) and in parts of bfloat16
 * (winograd_weights_parts_bf16.c) have in common: the description, and the way from sums to filters.
 */
#ifndef SYMC_WINOGRAD_WEIGHT_TILES_H
#define SYMC_WINOGRAD_WEIGHT_TILES_H

#include "winograd.h"

#include "blocks.h"
#include "winograd_transforms.h"

enum {
    PARTIAL_BYTES = 256 << 20, /* the most memory spent on sums */
    SKEW = 5 * VL              /* keeps points off the same sets of the cache */
};

typedef struct {
    const gather *g;
    const real *dy;
    real *dw;
    int taps, out;                    /* rows and columns of a filter and of a tile of dY */
    int64_t top, left;                /* of the first tap */
    int down, right;                  /* whether taps ascend */
    int64_t high, wide, tiles;        /* tiles of an image, and of all */
    int64_t steps, blocks;            /* blocks of VL channels and of TILE_COLS filters */
    int64_t units, most;              /* of tiles, and the most in one */
    int64_t grain;                    /* a unit has a multiple of it */
    int64_t shares, pieces;           /* tasks of a group: shares of the units times pieces of the channels */
    int64_t first, count;             /* the chunk of tiles that is transformed */
    int64_t splits;                   /* tasks of a product */
    int64_t row_length;               /* pixels in a row of the turned images */
    int64_t image_step, gradient_step, sum_step; /* elements between points */
    real *image, *gradient;           /* all transformed tiles, when they are few */
    real *sums;                       /* else: by group, share, point, block of filters, channel: TILE_COLS filters */
} weights;

INLINE int64_t sum_bytes(const gather *g)
{
    return POINTS * (ceil_div(g->channels, VL) * VL * ceil_div(g->filters, TILE_COLS) * TILE_COLS + SKEW) *
           (int64_t)sizeof(real);
}

INLINE weights describe_weights(const gather *g, const real *dy, real *dw)
{
    int taps = (int)g->taps_h;
    weights v = {.g = g, .dy = dy, .dw = dw, .taps = taps, .out = IN + 1 - taps,
                 .down = g->tap_row[0] < g->tap_row[1], .right = g->tap_col[0] < g->tap_col[1]};
    v.top = smaller(g->tap_row[0], g->tap_row[taps - 1]), v.left = smaller(g->tap_col[0], g->tap_col[taps - 1]);
    v.high = ceil_div(g->out_h, v.out), v.wide = ceil_div(g->out_w, v.out);
    v.tiles = g->images * v.high * v.wide;
    v.steps = ceil_div(g->channels, VL), v.blocks = ceil_div(g->filters, TILE_COLS);
    return v;
}

INLINE int64_t block_cols(const weights *v, int64_t block)
{
    return v->g->filters - block * TILE_COLS > VL ? TILE_COLS : VL;
}

/* ---- planes to tiles ---- */

/* The images, or dY, of one group, and what tiles read of them: `rows` rows, and `more` columns beyond their own. */
typedef struct {
    const real *from, *end;
    int64_t image, planes, high, wide; /* elements of all planes of an image; planes of the group, and their size */
    int64_t top, left;                 /* of the first tile */
    int rows, more;
} source;

INLINE source images_of(const weights *v, int64_t group)
{
    const gather *g = v->g;
    int64_t plane = g->in_h * g->in_w, image = g->groups * g->channels * plane;
    return (source){g->in + group * g->channels * plane, g->in + g->images * image, image, g->channels, g->in_h, g->in_w,
                    v->top, v->left, IN, v->taps - 1};
}

INLINE source gradients_of(const weights *v, int64_t group)
{
    const gather *g = v->g;
    int64_t plane = g->out_h * g->out_w, image = g->groups * g->filters * plane;
    return (source){v->dy + group * g->filters * plane, v->dy + g->images * image, image, g->filters, g->out_h, g->out_w,
                    0, 0, v->out, 0};
}

/* VL planes from `plane` on of a run of tiles, in lanes: rows of row_length pixels. */
INLINE void turn_tiles(const weights *v, const source *s, const tile_run *run, int64_t plane, real *to)
{
    FN(symc_window_to_lanes)(s->from + run->image * s->image + plane * s->high * s->wide, s->high * s->wide,
                             smaller(VL, s->planes - plane), s->high, s->wide, s->end, run->row * v->out + s->top,
                             run->col * v->out + s->left, s->rows, run->count * v->out + s->more, v->row_length * VL, to);
}

/* ---- sums to filters ---- */

/* One channel of VL filters: adds the shares, `share_step` apart, and transforms to taps, in the order of the filter. */
INLINE void finish_channel(int taps, const weights *v, const real *sums, int64_t step, int64_t shares, int64_t share_step,
                           real *to)
{
    vec half[MOST_TAPS][IN];
    for (int x = 0; x < IN; x++) {
        vec u[IN], w[MOST_TAPS];
        for (int y = 0; y < IN; y++) {
            const real *from = sums + (y * IN + x) * step;
            __builtin_prefetch(from + 2 * TILE_COLS);
            u[y] = load(from);
            for (int64_t s = 1; s < shares; s++)
                u[y] += load(from + s * share_step);
        }
        finish_filter(taps, u, w);
        for (int r = 0; r < taps; r++)
            half[r][x] = w[r];
    }
    for (int r = 0; r < taps; r++) {
        vec w[MOST_TAPS];
        finish_filter(taps, half[r], w);
        for (int s = 0; s < taps; s++)
            store(to + ((v->down ? r : taps - 1 - r) * taps + (v->right ? s : taps - 1 - s)) * VL, w[s]);
    }
}

/* Channels [first, last) of a block of filters; sums by point, `step` apart, and channel. */
static void finish_block(const weights *v, int64_t group, int64_t block, int64_t first, int64_t last, const real *sums,
                         int64_t step, int64_t shares, int64_t share_step, real *turned)
{
    const gather *g = v->g;
    int64_t taps = v->taps * v->taps;
    for (int64_t half = 0; half < block_cols(v, block); half += VL) {
        int64_t filter = block * TILE_COLS + half;
        for (int64_t c = 0; c < last - first; c++) {
            if (v->taps == 3)
                finish_channel(3, v, sums + half + c * TILE_COLS, step, shares, share_step, turned + c * taps * VL);
            else
                finish_channel(5, v, sums + half + c * TILE_COLS, step, shares, share_step, turned + c * taps * VL);
        }
        FN(symc_from_lanes)(turned, (last - first) * taps, VL, smaller(VL, g->filters - filter),
                            g->channels * taps,
                            v->dw + ((group * g->filters + filter) * g->channels + first) * taps);
    }
}

INLINE real *take_turned(const weights *v, int64_t channels)
{
    return symc_scratch(SLOT_ROW, channels * v->taps * v->taps * VL * sizeof(real));
}

/* Tasks (group, block of filters, block of channels). */
static void finish_blocks(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    real *turned = take_turned(v, VL);
    for (int64_t task = begin; task < end; task++) {
        int64_t step = task % v->steps, block = task / v->steps % v->blocks, group = task / (v->steps * v->blocks);
        const real *sums =
            v->sums + group * v->shares * POINTS * v->sum_step + (block * v->steps + step) * VL * TILE_COLS;
        finish_block(v, group, block, step * VL, smaller(v->g->channels, (step + 1) * VL), sums, v->sum_step, v->shares,
                     POINTS * v->sum_step, turned);
    }
}

/* Adds the products of tiles [start, start + tiles) and of blocks [first, last) of channels in float32 to the sums of a share;
 * by the calling thread. */
HIDDEN void FN(symc_winograd_weights_range)(const weights *v, int64_t group, int64_t start, int64_t tiles, int64_t first,
                                            int64_t last, real *sums, int accumulate);

#endif
