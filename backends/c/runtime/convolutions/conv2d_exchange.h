/* Convolutions of few filters with respect to the weights: the images take the place of dY, and dY that of the images. */
#ifndef SYMC_CONV2D_EXCHANGE_H
#define SYMC_CONV2D_EXCHANGE_H

#include "conv2d.h"
#include "direct_weights.h"

/* The same sums at stride 1, in the order of the pixels of the images, with filters and channels of dW exchanged. */
static conv2d exchange_images(const conv2d *c)
{
    conv2d t = *c;
    t.channels = c->filters, t.filters = c->channels;
    t.in_h = c->out_h, t.in_w = c->out_w, t.out_h = c->in_h, t.out_w = c->in_w;
    t.pad_h = (c->taps_h - 1) * c->dil_h - c->pad_h, t.pad_w = (c->taps_w - 1) * c->dil_w - c->pad_w;
    t.flip = !c->flip;
    return t;
}

/* Whether filters leave lanes of vectors empty that channels do not. */
static int exchange_suits(const conv2d *c)
{
    conv2d t = exchange_images(c);
    int64_t filters = c->filters / c->groups, channels = c->channels / c->groups;
    return c->step_h == 1 && c->step_w == 1 && t.pad_h >= 0 && t.pad_w >= 0 && FN(symc_direct_weights_suits)(&t) &&
           ((4 * filters <= 3 * VL && channels >= VL) || !FN(symc_direct_weights_suits)(c));
}

static void exchanged_weights(const conv2d *c, real *dw, const real *x, const real *dy)
{
    conv2d t = exchange_images(c);
    int64_t filters = c->filters / c->groups, channels = c->channels / c->groups, taps = c->taps_h * c->taps_w;
    real *turned = symc_scratch(SLOT_SHARED, c->filters * channels * taps * sizeof(real));
    FN(symc_direct_backward_weights)(&t, turned, dy, x);
    for (int64_t m = 0; m < c->filters; m++)
        for (int64_t k = 0; k < channels; k++, dw += taps)
            memcpy(dw, turned + ((m / filters * channels + k) * filters + m % filters) * taps, taps * sizeof(real));
}

#endif
