/* Whether products of parts of bfloat16 (products/pairs.h) are the fastest for a convolution, by estimates of time. */
#ifndef SYMC_CONV2D_PARTS_H
#define SYMC_CONV2D_PARTS_H

#include "conv2d.h"

#include <math.h>

#include "paired.h"
#include "winograd.h"

#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
/* The time in float32, in nanoseconds on one processor. */
static double plain_time(const conv2d *v, const gather *g, int backward)
{
    const double fused = v->step_h * v->step_w > 1 ? 0.0147 : 0.0105, step = 0.225, product = 0.0112, element = 0.12;
    double pixels = (double)(v->images * v->out_h * v->out_w), pairs = (double)(v->channels / v->groups) * (double)v->filters;
    double products = pixels * (double)(v->taps_h * v->taps_w) * pairs;
    if ((!backward || (v->step_h == 1 && v->step_w == 1)) && FN(symc_winograd_suits)(g)) {
        double plain = step * (double)g->groups * FN(symc_winograd_steps)(g);
#if SYMC_HAS_TILES
        double filtering = symc_winograd_parts_time(g);
        plain = filtering < plain ? filtering : plain;
#endif
        return plain;
    }
    if (v->taps_h * v->taps_w == 1 && v->step_h * v->step_w == 1)
        return product * products + element * pixels * (double)(v->channels + v->filters);
    return fused * products;
}

static double pixels_time(const conv2d *v, int backward)
{
#if SYMC_HAS_TILES
    if (symc_pair_pixels_suit(v, backward))
        return symc_pair_pixels_time(v, backward);
#endif
    (void)v, (void)backward;
    return INFINITY;
}

/* The fastest with products of parts, or BY_PANELS if that is none. */
static method parts_method(const conv2d *v, const gather *g, int backward)
{
    double pixels = pixels_time(v, backward), plain = plain_time(v, g, backward);
    double blocks = symc_paired_suits(v, backward) ? symc_paired_time(v, backward) : INFINITY;
    if (pixels < plain && pixels < blocks)
        return BY_PIXEL_PARTS;
    return blocks < plain ? BY_PARTS : BY_PANELS;
}
#endif

/* What products of parts save, in nanoseconds of one thread of one processor. */
static double gain_of_parts(const conv2d *v, const gather *g, method m)
{
#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
    if (m == BY_PIXEL_PARTS)
        return plain_time(v, g, 0) - pixels_time(v, 0);
#endif
    (void)v, (void)g, (void)m;
    return 0;
}

#endif
