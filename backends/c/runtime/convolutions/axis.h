/* One axis of a convolution in either direction. */
#ifndef SYMC_AXIS_H
#define SYMC_AXIS_H

#include "conv2d.h"

/* Output place i reads, through tap t, input place (i * up + base + t * dil) / down where that is a whole number: forward
 * `down` is 1, with respect to the images `up` is 1. */
typedef struct {
    int64_t taps, up, down, base, dil;
} axis;

/* Axis 0 (rows) or 1 of the forward pass; taps are in the order of the filter. */
INLINE axis forward_axis(const conv2d *v, int which)
{
    int64_t taps = which ? v->taps_w : v->taps_h, dil = which ? v->dil_w : v->dil_h, pad = which ? v->pad_w : v->pad_h;
    int64_t last = (taps - 1) * dil;
    return (axis){taps, which ? v->step_w : v->step_h, 1, (v->flip ? last : 0) - pad, v->flip ? -dil : dil};
}

INLINE axis backward_axis(const conv2d *v, int which)
{
    axis a = forward_axis(v, which);
    return (axis){a.taps, 1, a.up, -a.base, -a.dil};
}

INLINE int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

/* The input places that outputs [first, last) may read begin here, and their number. */
INLINE int64_t window_start(const axis *a, int64_t first)
{
    return floor_div(first * a->up + a->base + smaller(0, (a->taps - 1) * a->dil), a->down);
}

INLINE int64_t window_size(const axis *a, int64_t first, int64_t last)
{
    int64_t high = (last - 1) * a->up + a->base + larger(0, (a->taps - 1) * a->dil);
    return floor_div(high, a->down) - window_start(a, first) + 1;
}

/* Whether output i reads through tap t, and where. */
INLINE int tap_reads(const axis *a, int64_t i, int64_t t, int64_t *at)
{
    int64_t place = i * a->up + a->base + t * a->dil;
    *at = floor_div(place, a->down);
    return *at * a->down == place;
}

INLINE int64_t group_blocks(const conv2d *v) { return ceil_div(v->groups, VL); }

enum { BAND_BYTES = 160 << 10 }; /* of the turned parts of images: in the second level cache */

/* Output rows of a band, given the bytes of an output row and of an input row. */
INLINE int64_t band_rows(const axis *rows, int64_t out_rows, int64_t out_bytes, int64_t in_bytes)
{
    int64_t count = 1;
    while (count < out_rows && (count + 1) * out_bytes + window_size(rows, 0, count + 1) * in_bytes <= BAND_BYTES)
        count++;
    return out_rows > 0 ? ceil_div(out_rows, ceil_div(out_rows, count)) : 0;
}

#endif
