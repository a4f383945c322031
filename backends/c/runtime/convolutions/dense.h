/* Convolutions of many images of few pixels, as one product of matrices. See dense_typed.h. */
#ifndef SYMC_DENSE_H
#define SYMC_DENSE_H

#include "conv2d.h"

/* Vector steps that a pass would take, about one a cycle: to be compared with those of minimal filtering. INFINITY if the pass does
 * not exist in this form. */
HIDDEN double FN(symc_dense_steps)(const conv2d *v);

HIDDEN void FN(symc_dense_forward)(const conv2d *v, real *y, const real *x, const real *weights);
HIDDEN void FN(symc_dense_backward)(const conv2d *v, real *dx, const real *dy, const real *weights);
HIDDEN void FN(symc_dense_backward_weights)(const conv2d *v, real *dw, const real *x, const real *dy);

#endif
