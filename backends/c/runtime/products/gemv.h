/* The product of a matrix and a vector. */
#ifndef SYMC_GEMV_H
#define SYMC_GEMV_H

#include "base/real.h"

/* y[i * y_step] = (accumulate ? y[i * y_step] : 0) + sum over j of A[i, j] x[j * x_step], for i < n, j < k; A is stored
 * (n, k), or under `trans` (k, n), with rows lda elements apart. */
HIDDEN void FN(symc_gemv)(int trans, int64_t n, int64_t k, const real *a, int64_t lda, const real *x, int64_t x_step,
                          real *y, int64_t y_step, int accumulate);

/* The same by the calling thread alone, for one of many small matrices. */
HIDDEN void FN(symc_small_gemv)(int trans, int64_t n, int64_t k, const real *a, int64_t lda, const real *x, int64_t x_step,
                                real *y, int64_t y_step, int accumulate);

#endif
