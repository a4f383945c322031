/* Products of a large matrix with a few vectors: limited by the one reading of the matrix. */
#ifndef SYMC_THIN_H
#define SYMC_THIN_H

#include "base/real.h"

/* The parameters are those of symc_gemm; the first row of C is row `row` of the epilogue `e`, which may be NULL. `stored`:
 * whether B is kept in packed form. */
HIDDEN int FN(symc_thin_suits)(const int64_t *p, int stored);
HIDDEN void FN(symc_thin_product)(const int64_t *p, real *c, const real *a, const real *b, int stored,
                                   const symc_epilogue *e, int64_t row);

#endif
