/* Convolutions with respect to the weights, any taps and strides, without a matrix of neighbourhoods. */
#ifndef SYMC_DIRECT_WEIGHTS_H
#define SYMC_DIRECT_WEIGHTS_H

#include "conv2d.h"

/* Whether filters fill vectors, and the rows of an image fit in the cache. */
HIDDEN int FN(symc_direct_weights_suits)(const conv2d *v);

HIDDEN void FN(symc_direct_backward_weights)(const conv2d *v, real *dw, const real *x, const real *dy);

#endif
