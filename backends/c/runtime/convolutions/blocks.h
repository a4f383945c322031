/* Blocks of VL channels: images whose pixels are vectors of channels, made from planes and turned back inside a unit of
 * work, row by row in the first level cache, and the inner kernel of the products that read them.
 */
#ifndef SYMC_BLOCKS_H
#define SYMC_BLOCKS_H

#include "gather.h"
#include "products/tile.h"

/* Planes to pixels. Pixel i < count of row r < rows, which is from[r * ld + i], becomes lane r of the vector at
 * to[i / width * row_step + i % width * VL]; lanes of rows that do not exist are 0. rows <= VL. Loads whole vectors, but
 * nothing at or behind `end`. */
HIDDEN void FN(symc_to_lanes)(const real *from, int64_t ld, int64_t rows, int64_t count, const real *end, int64_t width,
                              int64_t row_step, real *to);

/* The window of rows [y, y + high) and columns [x, x + wide) of planes of in_h x in_w elements, `ld` apart, with zeros
 * outside; rows of vectors at `to` are row_step elements apart. As above: up to VL planes, nothing behind `end`. */
HIDDEN void FN(symc_window_to_lanes)(const real *planes, int64_t ld, int64_t count, int64_t in_h, int64_t in_w,
                                     const real *end, int64_t y, int64_t x, int64_t high, int64_t wide,
                                     int64_t row_step, real *to);

/* The reverse of the first: to[r * ld + i] = from[i * step + r] for r < rows, i < count, finished unless `end` is NULL. Writes
 * nothing else. */
HIDDEN void FN(symc_from_lanes)(const real *from, int64_t count, int64_t step, int64_t rows, int64_t ld, const plain_rows *end,
                                real *to);

/* C (rows, cols) = (accumulate ? C : 0) + the sum over steps q and lanes i, `left` of the last step, of
 *
 *     a[list[q].a + r * pixel * VL + i] * b[(list[q].b + i) * cols + j]
 *
 * with rows <= TILE_ROWS, cols either VL or TILE_COLS, and pixel 1 or 2: pixels times filters, over blocks of channels
 * and taps. Meanwhile `fetch` is fetched. */
HIDDEN void FN(symc_block_tile)(int64_t rows, int64_t cols, int64_t pixel, int64_t steps, int64_t left,
                                const block_step *list, const real *a, const real *b, real *c, int64_t ldc, int accumulate,
                                ahead fetch);

#endif
