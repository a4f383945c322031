/* Products of a large matrix with a few vectors: limited by the one reading of the matrix. */
#ifndef SYMC_THIN_H
#define SYMC_THIN_H

#include "base/real.h"

/* The parameters are those of symc_gemm; the first row of C is row `row` of the epilogue `e`, which may be NULL. Whether the
 * matrix is the result, a sum of few outer products, or is read: then it has not been packed in an earlier call. */
HIDDEN int FN(symc_thin_writes)(const int64_t *p);
HIDDEN int FN(symc_thin_reads)(const int64_t *p);
HIDDEN void FN(symc_thin_product)(const int64_t *p, real *c, const real *a, const real *b, const symc_epilogue *e, int64_t row);

#endif
