/* The maxima of windows of maps that do not overlap, where a convolution does not find them itself. */
#ifndef SYMC_POOLED_MAPS_H
#define SYMC_POOLED_MAPS_H

#include "base/real.h"

typedef struct {
    int64_t planes, out_h, out_w, pool_h, pool_w; /* rows and columns of a plane, and of a window */
} maps;

/* Rows and columns that fill no window are left out. */
HIDDEN void FN(symc_pool_maps)(const maps *m, const real *from, real *to);

#endif
