/* Matrix products for other calls of the library. */
#ifndef SYMC_GEMM_H
#define SYMC_GEMM_H

#include "base/epilogue.h"

/* symc_batched_gemm_stored, with an epilogue (or NULL) for whose output product b begins at row `row` + b * `row_step`. */
HIDDEN void FN(symc_batched_product)(void *const *bufs, const int64_t *p, symc_stored *const *stored,
                                     const symc_epilogue *e, int64_t row, int64_t row_step);

#endif
