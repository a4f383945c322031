/* The parameters of a convolution, with the names of the library call. */
#ifndef SYMC_CONV2D_H
#define SYMC_CONV2D_H

#include "gather.h"

enum { CONV_PARAMS = 17 }; /* of a library call */

typedef struct {
    int64_t images, channels, in_h, in_w, filters, taps_h, taps_w, out_h, out_w, step_h, step_w, pad_h, pad_w, dil_h,
        dil_w, groups;
    int flip;
    symc_stored *stored; /* what the weights are, or NULL */
    const symc_epilogue *epilogue; /* or NULL */
} conv2d;

/* The algorithms, in the order in which they are considered. */
typedef enum { BY_PAIRS, BY_PARTS, BY_PRODUCTS, BY_GROUPS, BY_SCATTER, BY_WINOGRAD, BY_BLOCKS, BY_PANELS, BY_DOTS, BY_PLANES,
               BY_IMAGES, BY_WINOGRAD_PARTS, BY_PIXEL_PARTS, BY_STRIPS, BY_DENSE } method;

/* What the user prefers, see symc_conv2d_choose. */
enum { ANY_METHOD, PREFER_WINOGRAD, PREFER_BLOCKS, ONLY_PANELS, PREFER_BANDS };
extern HIDDEN int symc_conv2d_preferred, symc_conv2d_strict;

HIDDEN conv2d FN(symc_read_conv2d)(const int64_t *p);

/* Sets the taps of the forward pass in `g`; they live in the calling thread's scratch. */
HIDDEN void FN(symc_forward_taps)(const conv2d *v, gather *g);

/* What a pass would take. */
HIDDEN method FN(symc_forward_method)(const conv2d *v);
HIDDEN method FN(symc_backward_method)(const conv2d *v);
HIDDEN method FN(symc_weights_method)(const conv2d *v);

#endif
