/* Convolutions of blocks of channels, any taps and strides, forward and with respect to the images. */
#ifndef SYMC_DIRECT_H
#define SYMC_DIRECT_H

#include "conv2d.h"

/* Whether channels and filters fill blocks, and rows tiles. */
HIDDEN int FN(symc_direct_suits)(const conv2d *v, int backward);

HIDDEN void FN(symc_direct_forward)(const conv2d *v, real *y, const real *x, const real *weights);
HIDDEN void FN(symc_direct_backward_data)(const conv2d *v, real *dx, const real *dy, const real *weights);

#endif
