/* Products of matrices that are read in place: for operands that are used too seldom for packing to pay. */
#ifndef SYMC_UNPACKED_H
#define SYMC_UNPACKED_H

#include "tile.h"

/* C (rows, cols) = (accumulate ? C : 0) + A B, of any size, with A[r, k] at a[r * a_row + k * a_col] and B[k, j] at
 * b[k * ldb + j]. Nothing beyond the matrices is read. */
HIDDEN void FN(symc_unpacked_product)(int64_t rows, int64_t cols, int64_t k, const real *a, int64_t a_row, int64_t a_col,
                                      const real *b, int64_t ldb, real *c, int64_t ldc, int accumulate);

/* The same, while the next k rows of B are fetched, as far as they exist. */
HIDDEN void FN(symc_unpacked_ahead)(int64_t rows, int64_t cols, int64_t k, const real *a, int64_t a_row, const real *b,
                                    int64_t ldb, real *c, int64_t ldc, int accumulate);

/* The first past the caches, see base/stream.h. */
HIDDEN void FN(symc_unpacked_stream)(int64_t rows, int64_t cols, int64_t k, const real *a, int64_t a_row, int64_t a_col,
                                     const real *b, int64_t ldb, real *c, int64_t ldc);

#endif
