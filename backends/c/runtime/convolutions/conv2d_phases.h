/* The phases of a convolution with respect to the images.
 *
 * Image row y takes part in output row i through tap r when y = i * step - pad + r * dil. So the pixels with the same
 * remainder modulo the strides, a phase, form a separate convolution over dY, at stride 1, with some of the taps. */
#ifndef SYMC_CONV2D_PHASES_H
#define SYMC_CONV2D_PHASES_H

#include "conv2d.h"

typedef struct {
    const conv2d *v;
    const real *from;
    real *to;
    const int64_t *tap_h, *tap_w; /* the taps that take part */
    int64_t taps_h, taps_w;
} rearrangement;

/* (groups, filters, channels, all taps) to (groups, channels, filters, some taps), for a range of (group, channel). */
static void rearrange_weights(void *arg, int64_t begin, int64_t end)
{
    const rearrangement *a = arg;
    const conv2d *v = a->v;
    int64_t filters = v->filters / v->groups, channels = v->channels / v->groups, taps = v->taps_h * v->taps_w;
    real *to = a->to + begin * filters * a->taps_h * a->taps_w;
    for (int64_t i = begin; i < end; i++) {
        const real *from = a->from + (i / channels * filters * channels + i % channels) * taps;
        for (int64_t k = 0; k < filters; k++, from += channels * taps)
            for (int64_t r = 0; r < a->taps_h; r++)
                for (int64_t s = 0; s < a->taps_w; s++)
                    *to++ = from[a->tap_h[r] * v->taps_w + a->tap_w[s]];
    }
}

/* Lists the taps that reach pixels of a phase, and the output row (or column) each reads relative to the pixel's. */
static int64_t list_taps(int64_t phase, int64_t taps, int64_t step, int64_t pad, int64_t dil, int flip, int64_t *tap,
                         int64_t *at)
{
    int64_t count = 0;
    for (int64_t r = 0; r < taps; r++) {
        int64_t distance = phase + pad - (flip ? taps - 1 - r : r) * dil;
        if (distance % step == 0) {
            tap[count] = r;
            at[count++] = distance / step;
        }
    }
    return count;
}

/* The convolution over dY that makes phase (y, x); its taps live in the calling thread's scratch, and are those of the
 * filter that `a` lists. Weights are as given, which is right for a phase that has all taps. */
static gather phase_gather(const conv2d *v, real *dx, const real *dy, const real *weights, int64_t y, int64_t x,
                           rearrangement *a)
{
    int64_t *tap_h = symc_scratch(SLOT_TAPS, 2 * (v->taps_h + v->taps_w) * sizeof *tap_h);
    int64_t *at_h = tap_h + v->taps_h, *tap_w = at_h + v->taps_h, *at_w = tap_w + v->taps_w;
    int64_t filters = v->filters / v->groups, channels = v->channels / v->groups;
    *a = (rearrangement){.v = v, .from = weights, .tap_h = tap_h, .tap_w = tap_w};
    a->taps_h = list_taps(y, v->taps_h, v->step_h, v->pad_h, v->dil_h, v->flip, tap_h, at_h);
    a->taps_w = list_taps(x, v->taps_w, v->step_w, v->pad_w, v->dil_w, v->flip, tap_w, at_w);
    int64_t taps = a->taps_h * a->taps_w;
    return (gather){.images = v->images, .groups = v->groups, .channels = filters, .filters = channels, .in = dy,
                    .in_h = v->out_h, .in_w = v->out_w, .step_h = 1, .step_w = 1, .taps_h = a->taps_h,
                    .taps_w = a->taps_w, .tap_row = at_h, .tap_col = at_w, .weights = weights, .stored = v->stored, .weight_filter = taps,
                    .weight_channel = channels * taps, .out = dx + y * v->in_w + x,
                    .out_h = ceil_div(v->in_h - y, v->step_h), .out_w = ceil_div(v->in_w - x, v->step_w),
                    .out_row = v->step_h * v->in_w, .out_col = v->step_w, .out_plane = v->in_h * v->in_w,
                    .out_image = v->channels * v->in_h * v->in_w,
                    .epilogue = v->step_h == 1 && v->step_w == 1 ? v->epilogue : NULL};
}

#endif
