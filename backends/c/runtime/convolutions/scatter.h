/* Convolution with respect to the images, by adding up what each output pixel contributes. */
#ifndef SYMC_SCATTER_H
#define SYMC_SCATTER_H

#include "conv2d.h"

/* Whether this algorithm can be used: images fit in the cache. */
HIDDEN int FN(symc_scatter_exists)(const conv2d *v);

/* Whether it is faster than any other algorithm. */
HIDDEN int FN(symc_scatter_suits)(const conv2d *v);

HIDDEN void FN(symc_scatter_conv)(const conv2d *v, real *dx, const real *dy, const real *weights);

#endif
