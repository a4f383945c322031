/* Convolutions with many groups of few channels, depthwise ones above all: lanes are groups. */
#ifndef SYMC_GROUPED_H
#define SYMC_GROUPED_H

#include "conv2d.h"

/* Whether a convolution is of that kind. */
HIDDEN int FN(symc_grouped_suits)(const conv2d *v);

/* The cycles of one thread that the forward pass of one with one channel in a group takes. */
HIDDEN double FN(symc_grouped_time)(const conv2d *v);

/* The rows of output of a band, forward or of images (`data`). */
HIDDEN int64_t FN(symc_grouped_rows)(const conv2d *v, int data);

HIDDEN void FN(symc_grouped_forward)(const conv2d *v, real *y, const real *x, const real *weights);
HIDDEN void FN(symc_grouped_backward_data)(const conv2d *v, real *dx, const real *dy, const real *weights);
HIDDEN void FN(symc_grouped_backward_weights)(const conv2d *v, real *dw, const real *x, const real *dy);

#endif
