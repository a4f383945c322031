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
 *
 * Images of few channels would leave lanes without work. There a view is not a further channel with tiles of its own: an axis
 * is folded, which makes `fold` pixels, one of each remainder, one place of the turned image, and they are lanes of it. The tile
 * reads neighbouring places.
 *
 * The last tile along an axis of three taps may have REST_IN pixels, where no more than two results are left.
 */
typedef struct {
    int taps, in, out;                /* of a tile, if it is whole: of its filter, pixels, and results */
    int64_t whole;                    /* tiles before the one that is not, if there is one */
    int64_t all, step, dil;
    int64_t fold;
    int64_t apart, advance, phases, residues, views; /* the first two in places of the turned image, between those of a tile, and
                                                        between the tiles of neighbouring results */
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

/* The places in the filter of the taps (r, s) of two axes' views, by r * MOST_TAPS + s, or -1. */
INLINE void locate_taps(const tiled_axis *rows, const tiled_axis *cols, int64_t row_view, int64_t col_view, int64_t *at)
{
    int64_t first_row = view_tap(rows, row_view), first_col = view_tap(cols, col_view);
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

INLINE axis_form tile_form(const tiled_axis *a, int64_t tile)
{
    return a->taps == 1 ? NO_FORM : tile < a->whole ? WHOLE_FORM : REST_FORM;
}

/* The first result of a tile. */
INLINE int64_t tile_result(const tiled_axis *a, int64_t tile)
{
    int64_t place = by_phases(a, tile);
    return place * a->out * a->phases + (tile - place * a->phases);
}

/* The first pixel that a tile reads for view 0, and the distance to that of another view. */
INLINE int64_t tile_start(const tiled_axis *a, int64_t tile) { return a->start + tile_result(a, tile) * a->step; }
INLINE int64_t view_start(const tiled_axis *a, int64_t view) { return view_tap(a, view) * a->dil; }

/* Places from the first that a tile reads to the last of all views. */
INLINE int64_t tile_span(const tiled_axis *a)
{
    int64_t last = 0;
    for (int64_t i = a->views - smaller(a->views, a->residues); i < a->views; i++)
        last = larger(last, view_start(a, i));
    return last + (a->in - 1) * a->apart + 1;
}

/* Places that `count` tiles of a row read, which begin with the first phase. */
INLINE int64_t tiles_span(const tiled_axis *a, int64_t count)
{
    return by_phases(a, count - 1) * a->out * a->phases * a->advance + a->phases - 1 + a->span;
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
    axis_form form = taps > 1 ? WHOLE_FORM : NO_FORM;
    tiled_axis a = {.taps = taps, .in = form_in(form), .out = form_out(form, taps), .all = all, .step = step,
                    .dil = distance < 0 ? -distance : distance, .start = smaller(tap[0], tap[all - 1]),
                    .ascends = distance > 0};
    a.phases = taps > 1 ? a.dil : 1;
    a.fold = 1, a.advance = a.step;
    a.apart = larger(a.step, a.phases);
    a.residues = smaller(a.step, all);
    int64_t parts = ceil_div(ceil_div(all, a.step), taps);
    a.views = (parts - 1) * a.residues + smaller(a.residues, all - (parts - 1) * taps * a.step);
    a.tiles = ceil_div(results, a.out * a.phases) * a.phases;
    a.whole = a.tiles;
    a.span = tile_span(&a);
    return a;
}

/* Whether each view of an axis is one remainder; then it is folded. */
INLINE int fold_axis(tiled_axis *a)
{
    if (a->views > a->residues || a->phases > 1 || a->residues > VL)
        return 0;
    a->fold = a->residues, a->views = a->apart = a->advance = 1;
    a->span = tile_span(a);
    return 1;
}

/* Lets the last tile have fewer pixels where that is enough for its results. */
INLINE void shorten_last_tile(tiled_axis *a, int64_t results)
{
    int64_t left = results - (a->tiles - 1) * a->out;
    if (a->taps == 3 && a->phases == 1 && a->step * a->views == 1 && a->tiles > 1 && left <= form_out(REST_FORM, 3))
        a->whole = a->tiles - 1;
}

/* Points of all tiles along an axis. */
INLINE int64_t axis_points(const tiled_axis *a) { return a->whole * a->in + (a->tiles - a->whole) * REST_IN; }

enum { LEAST_CHANNELS = 16 };

/* The shapes of tiles: one axis or both have tiles of several results. */
enum { TILE_SHAPES = 12 };
static const int tile_shapes[TILE_SHAPES][2] = {{3, 3}, {5, 5}, {4, 4}, {2, 2}, {1, 3}, {3, 1},
                                                {1, 4}, {4, 1}, {1, 5}, {5, 1}, {1, 2}, {2, 1}};

/* FOR_SHAPE(form of rows, form of columns, taps_h, taps_w) with the constants of a shape: of one with whole tiles, and of any. */
#define SHAPE(ROWS, COLS, TAPS_H, TAPS_W) ((((ROWS) * 4 + (COLS)) * 8 + (TAPS_H)) * 8 + (TAPS_W))
#define SHAPE_CASE(ROWS, COLS, TAPS_H, TAPS_W) \
    case SHAPE(ROWS, COLS, TAPS_H, TAPS_W): FOR_SHAPE(ROWS, COLS, TAPS_H, TAPS_W); break;
#define WHOLE_CASES                          \
    SHAPE_CASE(WHOLE_FORM, WHOLE_FORM, 3, 3) \
    SHAPE_CASE(WHOLE_FORM, WHOLE_FORM, 5, 5) \
    SHAPE_CASE(WHOLE_FORM, WHOLE_FORM, 4, 4) \
    SHAPE_CASE(WHOLE_FORM, WHOLE_FORM, 2, 2) \
    SHAPE_CASE(NO_FORM, WHOLE_FORM, 1, 3)    \
    SHAPE_CASE(WHOLE_FORM, NO_FORM, 3, 1)    \
    SHAPE_CASE(NO_FORM, WHOLE_FORM, 1, 4)    \
    SHAPE_CASE(WHOLE_FORM, NO_FORM, 4, 1)    \
    SHAPE_CASE(NO_FORM, WHOLE_FORM, 1, 5)    \
    SHAPE_CASE(WHOLE_FORM, NO_FORM, 5, 1)    \
    SHAPE_CASE(NO_FORM, WHOLE_FORM, 1, 2)    \
    SHAPE_CASE(WHOLE_FORM, NO_FORM, 2, 1)
#define BY_SHAPE(TAPS_H, TAPS_W)                                                                                  \
    switch (SHAPE((TAPS_H) > 1 ? WHOLE_FORM : NO_FORM, (TAPS_W) > 1 ? WHOLE_FORM : NO_FORM, TAPS_H, TAPS_W)) { \
        WHOLE_CASES                                                                                               \
    }
#define BY_TILE_SHAPE(ROWS, COLS, TAPS_H, TAPS_W)  \
    switch (SHAPE(ROWS, COLS, TAPS_H, TAPS_W)) {   \
        WHOLE_CASES                                \
        SHAPE_CASE(WHOLE_FORM, REST_FORM, 3, 3)    \
        SHAPE_CASE(REST_FORM, WHOLE_FORM, 3, 3)    \
        SHAPE_CASE(REST_FORM, REST_FORM, 3, 3)     \
        SHAPE_CASE(NO_FORM, REST_FORM, 1, 3)       \
        SHAPE_CASE(REST_FORM, NO_FORM, 3, 1)       \
    }

/* FORMS(form of rows, form of columns) with those of a tile as constants. */
#define FORMS_CASE(ROWS, COLS) \
    case SHAPE(ROWS, COLS, 0, 0): FORMS(ROWS, COLS); break;
#define BY_FORMS(ROWS, COLS)                 \
    switch (SHAPE(ROWS, COLS, 0, 0)) {       \
        FORMS_CASE(WHOLE_FORM, WHOLE_FORM)   \
        FORMS_CASE(WHOLE_FORM, REST_FORM)    \
        FORMS_CASE(REST_FORM, WHOLE_FORM)    \
        FORMS_CASE(REST_FORM, REST_FORM)     \
        FORMS_CASE(NO_FORM, WHOLE_FORM)      \
        FORMS_CASE(NO_FORM, REST_FORM)       \
        FORMS_CASE(WHOLE_FORM, NO_FORM)      \
        FORMS_CASE(REST_FORM, NO_FORM)       \
    }

typedef struct {
    tiled_axis rows, cols;
} tiling;

INLINE int64_t views_of(const tiling *t) { return t->rows.views * t->cols.views; }
INLINE int points_of(const tiling *t) { return t->rows.in * t->cols.in; }
INLINE int is_folded(const tiling *t) { return t->rows.fold * t->cols.fold > 1; }

/* A block of VL lanes consists of this many pieces, each `fold` neighbouring pixels of a row: first the rows of one place, then
 * those of the next channel. Where nothing is folded, they are channels. */
INLINE int64_t lane_pieces(const tiled_axis *cols) { return VL / cols->fold; }
INLINE int64_t lane_blocks(const gather *g, const tiled_axis *rows, const tiled_axis *cols)
{
    return ceil_div(g->channels * rows->fold, lane_pieces(cols));
}

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

/* Folds both axes of images of few channels, or where that leaves fewer blocks. */
INLINE int fold_tiling(const gather *g, tiling *t)
{
    tiling folded = *t;
    if (!fold_axis(&folded.rows) || !fold_axis(&folded.cols) || !is_folded(&folded))
        return 0;
    if (g->channels >= LEAST_CHANNELS &&
        lane_blocks(g, &folded.rows, &folded.cols) >= lane_blocks(g, &t->rows, &t->cols) * views_of(t))
        return 0;
    *t = folded;
    return 1;
}

/* Costs in multiplications of vectors, measured: what transformations take for a tile of 36 points and a block of channels or
 * filters, and for a channel of a filter, whose taps are turned first. Tilings that are not plain take more than these
 * explain, and for the gradient with respect to the weights still more. */
#define TILE_COST 110.0
#define FILTER_COST 20.0
#define TAP_COST 1.0
#define FOLD_COST 1.5      /* times as much to turn and transform a block of lanes of a folded image, */
#define FEW_COST 7.0       /* and this for each vector of sums there: few terms are added to each */
#define MARGIN 1.25        /* tiles of one row or column */
#define SQUARE_MARGIN 1.3  /* others: their transformed tiles fill the second level cache */
#define WEIGHTS_MARGIN 1.12

/* The costs of a tiling, of `images` images. */
INLINE double tiling_steps(const gather *g, const tiling *t)
{
    double products = (double)(g->images * axis_points(&t->rows) * axis_points(&t->cols)), filters = (double)g->filters;
    double views = (double)(views_of(t) * t->rows.fold * t->cols.fold), channels = (double)g->channels * views, few = 0;
    double turned = channels, part = (double)points_of(t) / POINTS;
    if (is_folded(t))
        turned = FOLD_COST * (double)(lane_blocks(g, &t->rows, &t->cols) * VL), few = FEW_COST;
    double steps = products * (channels + few) * filters / VL * 1.1 + TILE_COST * products / POINTS * (turned + filters) / VL +
                   (FILTER_COST * part * views + TAP_COST * (double)(g->taps_h * g->taps_w)) * (double)g->channels * filters;
    return is_plain(t) ? steps : (points_of(t) < POINTS ? MARGIN : SQUARE_MARGIN) * steps;
}

/* Rows of the turned image behind a row of tiles: those between rows of a phase are left out. Pixels between neighbouring rows of
 * a tile there, and from the first row to that of a view. */
INLINE int64_t turned_rows(const tiled_axis *rows) { return by_phases(rows, rows->span - 1) + 1; }
INLINE int64_t turned_step(const tiled_axis *rows) { return by_phases(rows, rows->apart); }
INLINE int64_t turned_view(const tiled_axis *rows, int64_t view) { return by_phases(rows, view_start(rows, view)); }

/* Whether a filter of `all` taps along an axis is divided into some of `taps` taps: 3 and 4 are for more, too. */
INLINE int divides_taps(int taps, int64_t all, int64_t step)
{
    int64_t longest = ceil_div(all, step);
    return taps == 1 || longest == taps || (longest > taps && (taps == 3 || taps == 4));
}

/* Whether minimal filtering exists for a convolution; its cheapest tiling, with shorter tiles at the ends. */
INLINE int find_tiling(const gather *g, int may_fold, tiling *found)
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
        if (!(may_fold && fold_tiling(g, &t)) && g->channels < LEAST_CHANNELS)
            continue;
        shorten_last_tile(&t.rows, g->out_h), shorten_last_tile(&t.cols, g->out_w);
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

#endif
