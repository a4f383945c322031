/* How minimal filtering divides the axes of a convolution: filters into views, results into tiles. See winograd_typed.h. */
#ifndef SYMC_WINOGRAD_AXES_H
#define SYMC_WINOGRAD_AXES_H

#include <math.h>

#include "winograd_transforms.h"

/* A filter of `all` taps is the sum of smaller ones, views, of up to `taps` taps each: with strides the taps with the same
 * remainder, `residues` of them, and of these any `taps` that follow one another. All views of a tile read an image tile with
 * pixels `apart` from one another, and add to the same sums.
 *
 * With dilation, the results with the same remainder, `phases` of them, have tiles of their own, which lie side by side:
 * tile t consists of the results t / phases * out * phases + t % phases + i * phases, i < out.
 */
typedef struct {
    int taps, in, out;                /* of a tile: of its filter, pixels, and results */
    int64_t all, step, dil;
    int64_t apart, phases, residues, views;
    int64_t start;                    /* of the first tap */
    int ascends;                      /* the filter's taps */
    int64_t tiles, span;              /* see tile_span() */
} tiled_axis;

/* The tap of the filter, in ascending order, that is the first of a view. */
INLINE int64_t view_tap(const tiled_axis *a, int64_t view)
{
    return view % a->residues + view / a->residues * a->taps * a->step;
}

/* The place of tap `at` in the filter, or -1 if there is none. */
INLINE int64_t filter_tap(const tiled_axis *a, int64_t at) { return at >= a->all ? -1 : a->ascends ? at : a->all - 1 - at; }

/* The places in the filter of the taps (r, s) of a view, by r * MOST_TAPS + s, or -1. */
INLINE void locate_taps(const tiled_axis *rows, const tiled_axis *cols, int64_t view, int64_t *at)
{
    int64_t first_row = view_tap(rows, view / cols->views), first_col = view_tap(cols, view % cols->views);
    for (int r = 0; r < rows->taps; r++) {
        int64_t row = filter_tap(rows, first_row + r * rows->step);
        for (int s = 0; s < cols->taps; s++) {
            int64_t col = filter_tap(cols, first_col + s * cols->step);
            at[r * MOST_TAPS + s] = row < 0 || col < 0 ? -1 : row * cols->all + col;
        }
    }
}

/* A quotient by the number of phases, which is mostly 1. */
INLINE int64_t by_phases(const tiled_axis *a, int64_t n) { return a->phases == 1 ? n : n / a->phases; }

/* The first result of a tile. */
INLINE int64_t tile_result(const tiled_axis *a, int64_t tile)
{
    int64_t place = by_phases(a, tile);
    return place * a->out * a->phases + (tile - place * a->phases);
}

/* The first pixel that a tile reads for view 0, and the distance to that of another view. */
INLINE int64_t tile_start(const tiled_axis *a, int64_t tile) { return a->start + tile_result(a, tile) * a->step; }
INLINE int64_t view_start(const tiled_axis *a, int64_t view) { return view_tap(a, view) * a->dil; }

/* Pixels from the first that a tile reads to the last of all views. */
INLINE int64_t tile_span(const tiled_axis *a)
{
    int64_t last = 0;
    for (int64_t i = a->views - smaller(a->views, a->residues); i < a->views; i++)
        last = larger(last, view_start(a, i));
    return last + (a->in - 1) * a->apart + 1;
}

/* Pixels that `count` tiles of a row read, which begin with the first phase. */
INLINE int64_t tiles_span(const tiled_axis *a, int64_t count)
{
    return by_phases(a, count - 1) * a->out * a->phases * a->step + a->phases - 1 + a->span;
}

/* Whether the taps of an axis are at regular distances; these, or 0. */
INLINE int64_t tap_distance(const int64_t *tap, int64_t taps)
{
    if (taps < 2)
        return taps;
    for (int64_t i = 2; i < taps; i++)
        if (tap[i] - tap[i - 1] != tap[1] - tap[0])
            return 0;
    return tap[1] - tap[0];
}

/* An axis with tiles of filters of `taps` taps. */
INLINE tiled_axis tile_axis(const int64_t *tap, int64_t all, int64_t step, int64_t results, int taps)
{
    int64_t distance = tap_distance(tap, all);
    tiled_axis a = {.taps = taps, .in = taps > 1 ? IN : 1, .out = taps > 1 ? IN + 1 - taps : 1, .all = all, .step = step,
                    .dil = distance < 0 ? -distance : distance, .start = smaller(tap[0], tap[all - 1]),
                    .ascends = distance > 0};
    a.phases = taps > 1 ? a.dil : 1;
    a.apart = larger(a.step, a.phases);
    a.residues = smaller(a.step, all);
    int64_t parts = ceil_div(ceil_div(all, a.step), taps);
    a.views = (parts - 1) * a.residues + smaller(a.residues, all - (parts - 1) * taps * a.step);
    a.tiles = ceil_div(results, a.out * a.phases) * a.phases;
    a.span = tile_span(&a);
    return a;
}

/* The shapes of tiles: one axis or both have tiles of several results. */
enum { TILE_SHAPES = 9 };
static const int tile_shapes[TILE_SHAPES][2] = {{3, 3}, {5, 5}, {2, 2}, {1, 3}, {3, 1}, {1, 5}, {5, 1}, {1, 2}, {2, 1}};

/* FOR_SHAPE(taps_h, taps_w, out_h, out_w) with the constants of a shape. */
#define BY_SHAPE(TAPS_H, TAPS_W)                       \
    switch ((TAPS_H) * 8 + (TAPS_W)) {                 \
    case 3 * 8 + 3: FOR_SHAPE(3, 3, 4, 4); break;      \
    case 5 * 8 + 5: FOR_SHAPE(5, 5, 2, 2); break;      \
    case 2 * 8 + 2: FOR_SHAPE(2, 2, 5, 5); break;      \
    case 1 * 8 + 3: FOR_SHAPE(1, 3, 1, 4); break;      \
    case 3 * 8 + 1: FOR_SHAPE(3, 1, 4, 1); break;      \
    case 1 * 8 + 5: FOR_SHAPE(1, 5, 1, 2); break;      \
    case 5 * 8 + 1: FOR_SHAPE(5, 1, 2, 1); break;      \
    case 1 * 8 + 2: FOR_SHAPE(1, 2, 1, 5); break;      \
    default: FOR_SHAPE(2, 1, 5, 1);                    \
    }

typedef struct {
    tiled_axis rows, cols;
} tiling;

INLINE int64_t views_of(const tiling *t) { return t->rows.views * t->cols.views; }
INLINE int points_of(const tiling *t) { return t->rows.in * t->cols.in; }

/* Whether there is nothing but one view of 3x3 or 5x5 taps. */
INLINE int is_plain(const tiling *t)
{
    return t->rows.taps == t->cols.taps && t->rows.taps > 2 && views_of(t) == 1 && t->rows.step * t->cols.step == 1 &&
           t->rows.phases * t->cols.phases == 1;
}

INLINE tiling tiling_of(const gather *g, int shape)
{
    return (tiling){tile_axis(g->tap_row, g->taps_h, g->step_h, g->out_h, tile_shapes[shape][0]),
                    tile_axis(g->tap_col, g->taps_w, g->step_w, g->out_w, tile_shapes[shape][1])};
}

/* Costs in multiplications of vectors, measured: what transformations take for a tile of 36 points and a block of channels or
 * filters, and for a channel of a filter, whose taps are turned first. Tilings that are not plain take more than these
 * explain, and for the gradient with respect to the weights still more. */
#define TILE_COST 110.0
#define FILTER_COST 20.0
#define TAP_COST 1.0
#define MARGIN 1.25        /* tiles of one row or column */
#define SQUARE_MARGIN 1.3  /* others: their transformed tiles fill the second level cache */
#define WEIGHTS_MARGIN 1.12

/* The costs of a tiling, of `images` images. */
INLINE double tiling_steps(const gather *g, const tiling *t)
{
    double tiles = (double)(g->images * t->rows.tiles * t->cols.tiles), views = (double)views_of(t), points = points_of(t);
    double channels = (double)g->channels * views, filters = (double)g->filters, part = points / POINTS;
    double steps = tiles * (points * channels * filters / VL * 1.1 + TILE_COST * part * (channels + filters) / VL) +
                   (FILTER_COST * part * views + TAP_COST * (double)(g->taps_h * g->taps_w)) * (double)g->channels * filters;
    return is_plain(t) ? steps : (points_of(t) < POINTS ? MARGIN : SQUARE_MARGIN) * steps;
}

/* Rows of the turned image behind a row of tiles: those between rows of a phase are left out. Pixels between neighbouring rows of
 * a tile there, and from the first row to that of a view. */
INLINE int64_t turned_rows(const tiled_axis *rows) { return by_phases(rows, rows->span - 1) + 1; }
INLINE int64_t turned_step(const tiled_axis *rows) { return by_phases(rows, rows->apart); }
INLINE int64_t turned_view(const tiled_axis *rows, int64_t view) { return by_phases(rows, view_start(rows, view)); }

/* Whether a filter of `all` taps along an axis is divided into some of `taps` taps: 2 are for even numbers, 5 for 5. */
INLINE int divides_taps(int taps, int64_t all, int64_t step)
{
    int64_t longest = ceil_div(all, step);
    return taps == 1 || (taps == 2 && (longest == 2 || longest == 4)) || (taps == 3 && longest > 2) || (taps == 5 && longest == 5);
}

/* Whether minimal filtering exists for a convolution; its cheapest tiling. */
INLINE int find_tiling(const gather *g, tiling *found)
{
    if (SYMC_DOUBLE || g->taps_h * g->taps_w < 2 || smaller(g->step_h, g->step_w) < 1)
        return 0;
    int64_t down = tap_distance(g->tap_row, g->taps_h), right = tap_distance(g->tap_col, g->taps_w);
    if (!down || !right || (down * down != 1 && g->step_h != 1) || (right * right != 1 && g->step_w != 1))
        return 0;
    double least = INFINITY;
    for (int i = 0; i < TILE_SHAPES; i++) {
        if (!divides_taps(tile_shapes[i][0], g->taps_h, g->step_h) || !divides_taps(tile_shapes[i][1], g->taps_w, g->step_w))
            continue;
        tiling t = tiling_of(g, i);
        double steps = tiling_steps(g, &t);
        if (steps < least)
            least = steps, *found = t;
    }
    return least < INFINITY;
}

/* Whether it is one of the two plain ones, whatever its costs. */
INLINE int find_plain_tiling(const gather *g, tiling *found)
{
    for (int i = 0; i < 2 && !SYMC_DOUBLE; i++)
        if (g->taps_h == tile_shapes[i][0] && g->taps_w == tile_shapes[i][1] && tap_distance(g->tap_row, g->taps_h) &&
            tap_distance(g->tap_col, g->taps_w)) {
            *found = tiling_of(g, i);
            return is_plain(found);
        }
    return 0;
}

/* Neighbouring tiles of one row: the first of at most `most` from `tile` on, counted through all images. */
typedef struct {
    int64_t image, row, col, count;
} tile_run;

INLINE tile_run find_run(int64_t high, int64_t wide, int64_t tile, int64_t most)
{
    int64_t col = tile % wide;
    return (tile_run){tile / (wide * high), tile / wide % high, col, smaller(wide - col, most)};
}

#endif
