/* Convolutions of many images with few channels and pixels: lanes are images. */
#ifndef SYMC_IMAGE_LANES_H
#define SYMC_IMAGE_LANES_H

#include "conv2d.h"

/* Whether a pass is of that kind: forward, with respect to the images (`backward`), with respect to the weights. */
HIDDEN int FN(symc_image_lanes_suit)(const conv2d *v, int backward);
HIDDEN int FN(symc_image_lanes_suit_weights)(const conv2d *v);

HIDDEN void FN(symc_image_lanes_forward)(const conv2d *v, real *y, const real *x, const real *weights);
HIDDEN void FN(symc_image_lanes_backward_data)(const conv2d *v, real *dx, const real *dy, const real *weights);
HIDDEN void FN(symc_image_lanes_backward_weights)(const conv2d *v, real *dw, const real *x, const real *dy);

#endif
