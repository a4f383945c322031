/* Depthwise convolutions, plane by plane: lanes are neighbouring pixels. */
#ifndef SYMC_PLANES_H
#define SYMC_PLANES_H

#include "conv2d.h"

/* Whether every group has one channel, and the forward pass can be done by planes. */
HIDDEN int FN(symc_planes_suit)(const conv2d *v);

HIDDEN void FN(symc_planes_forward)(const conv2d *v, real *y, const real *x, const real *weights);

#endif
