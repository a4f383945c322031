/* Images of few channels with strides, for minimal filtering: the pixels of all remainders become lanes beside the channels. See
 * winograd_axes.h.
 */
#ifndef SYMC_WINOGRAD_FOLDED_H
#define SYMC_WINOGRAD_FOLDED_H

#include "winograd_tiles.h"

/* Places [first, last) of a row that is folded, to vectors; columns outside are 0. */
INLINE void fold_at_edge(int64_t fold, const real *row, int64_t step, int64_t col, int64_t in_w, int64_t first, int64_t last,
                         real *to)
{
    for (int64_t x = first; x < last; x++)
        for (int64_t k = 0, at = col + x * step; k < fold; k++, at++)
            to[x * VL + k] = at >= 0 && at < in_w ? row[at] : 0;
}

/* The same where all columns are inside. */
INLINE void fold_inside(int64_t fold, const real *row, int64_t step, int64_t first, int64_t last, real *to)
{
    for (int64_t x = first; x < last; x++)
        memcpy(to + x * VL, row + x * step, fold * sizeof(real));
}

/* One row of an image that is folded, from column `col` on, to a piece of `wide` vectors. */
static void fold_row(const tiled_axis *cols, const real *row, int64_t in_w, int64_t col, int64_t wide, real *to)
{
    int64_t fold = cols->fold, step = cols->step, inside = ceil_div(in_w - fold - col + 1, step);
    int64_t first = smaller(wide, larger(0, ceil_div(-col, step))), last = larger(first, smaller(wide, inside));
    fold_at_edge(fold, row, step, col, in_w, 0, first, to);
    switch (fold) {
    case 1: fold_inside(1, row + col, step, first, last, to); break;
    case 2: fold_inside(2, row + col, step, first, last, to); break;
    case 3: fold_inside(3, row + col, step, first, last, to); break;
    case 4: fold_inside(4, row + col, step, first, last, to); break;
    default: fold_inside(fold, row + col, step, first, last, to);
    }
    fold_at_edge(fold, row, step, col, in_w, last, wide, to);
}

/* A block of lanes of the pixels behind a run of tiles of an image that is folded. */
static void fold_run(const winograd *v, const tile_run *run, int64_t group, int64_t block, real *rows)
{
    const gather *g = v->g;
    int64_t pieces = lane_pieces(&v->cols), fold_h = v->rows.fold, fold_w = v->cols.fold, all = g->channels * fold_h;
    int64_t top = tile_start(&v->rows, run->row), col = tile_start(&v->cols, run->col), wide = run_span(&v->cols, run);
    const real *planes = g->in + (run->image * g->groups + group) * g->channels * g->in_h * g->in_w;
    for (int64_t y = 0; y < run_rows(&v->rows, run); y++, rows += v->row_length * VL) {
        if (pieces * fold_w < VL || (block + 1) * pieces > all)
            memset(rows, 0, wide * VL * sizeof(real));
        for (int64_t k = 0; k < smaller(pieces, all - block * pieces); k++) {
            int64_t piece = block * pieces + k, row = top + y * v->rows.step + piece % fold_h, inside = row >= 0 && row < g->in_h;
            fold_row(&v->cols, planes + (piece / fold_h * g->in_h + (inside ? row : 0)) * g->in_w, inside ? g->in_w : 0, col,
                     wide, rows + k * fold_w);
        }
    }
}

#endif
