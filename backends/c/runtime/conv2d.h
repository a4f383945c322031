/* The parameters of a convolution, with the names of the library call. */
#ifndef SYMC_CONV2D_H
#define SYMC_CONV2D_H

#include "gather.h"

typedef struct {
    int64_t images, channels, in_h, in_w, filters, taps_h, taps_w, out_h, out_w, step_h, step_w, pad_h, pad_w, dil_h,
        dil_w, groups;
    int flip;
} conv2d;

HIDDEN conv2d FN(symc_read_conv2d)(const int64_t *p);

/* Sets the taps of the forward pass in `g`; they live in the calling thread's scratch. */
HIDDEN void FN(symc_forward_taps)(const conv2d *v, gather *g);

#endif
