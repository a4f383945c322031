/* Which algorithm a convolution takes: by what exists for its shape, and what was measured to be the fastest there. */
#ifndef SYMC_CONV2D_METHODS_H
#define SYMC_CONV2D_METHODS_H

#include "conv2d.h"

#include "conv2d_parts.h"
#include "conv2d_phases.h"
#include "conv2d_stretches.h"
#include "dense.h"
#include "direct.h"
#include "grouped.h"
#include "image_lanes.h"
#include "paired.h"
#include "planes.h"
#include "products/tile.h"
#include "scatter.h"
#include "strips.h"
#include "winograd.h"

/* With one tap and no padding or stride each image is one matrix product, if it has enough pixels to fill tiles; images of one
 * pixel are the rows of one. */
static int is_matrix_product(const conv2d *v)
{
    int64_t pixels = v->in_h * v->in_w;
    return v->taps_h == 1 && v->taps_w == 1 && v->step_h == 1 && v->step_w == 1 && v->pad_h == 0 && v->pad_w == 0 &&
           v->out_h == v->in_h && v->out_w == v->in_w && (pixels >= 128 || (pixels == 1 && v->groups == 1)) &&
           v->channels > v->groups && v->filters > v->groups;
}

/* Whether operands are rounded, BY_PAIRS, or divided, BY_PARTS or BY_PIXEL_PARTS; else BY_PANELS. Minimal filtering is faster
 * than instructions on vectors. */
static method paired_method(const conv2d *v, const gather *g, int backward)
{
#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
    int parts = chosen_parts();
    if (!parts || symc_conv2d_preferred != ANY_METHOD)
        return BY_PANELS;
    if (parts > 1)
        return parts_method(v, g, backward);
    if (symc_paired_suits(v, backward) &&
        (symc_pairs == PAIRS_BY_TILES || v->step_h > 1 || v->step_w > 1 || !FN(symc_winograd_suits)(g)))
        return BY_PAIRS;
#endif
    (void)v, (void)g, (void)backward;
    return BY_PANELS;
}

/* Minimal filtering, which suits: in float32 or in parts. */
static method winograd_method(const gather *g)
{
#if SYMC_HAS_TILES && !SYMC_DOUBLE
    if (symc_winograd_parts_time(g) < INFINITY)
        return BY_WINOGRAD_PARTS;
#endif
    (void)g;
    return BY_WINOGRAD;
}

/* Whether a depthwise convolution is faster with groups in lanes than plane by plane. */
static int lanes_save_time(const conv2d *v)
{
    return FN(symc_grouped_suits)(v) && FN(symc_grouped_time)(v) < FN(symc_planes_time)(v);
}

/* Whether one product of all pixels is faster than a product for each tap, zeros around the image included. */
#define DIRECT_STEPS (1.1 / VL) /* of a product */
static int dense_saves_time(const conv2d *v, const gather *g)
{
    const double dense = FN(symc_dense_steps)(v), weights = (double)(v->channels * v->filters * v->taps_h * v->taps_w);
    const int plain = v->step_h == 1 && v->step_w == 1;
    return dense < weights * (double)(v->images * v->out_h * v->out_w) * DIRECT_STEPS &&
           !(plain && FN(symc_winograd_suits)(g) && FN(symc_winograd_steps)(g) < dense);
}

/* The channels of many groups, in bands of so many rows that more than every second one is turned again. */
static int strips_save_reading(const gather *g, int64_t band)
{
    const int64_t few_filters = 4; /* which read a pixel too seldom */
    return VECTOR_REGISTERS == 32 && symc_conv2d_preferred == ANY_METHOD && g->filters >= few_filters && 2 * (g->taps_h - 1) > band &&
           band < g->out_h && FN(symc_strips_suit)(g);
}

static method forward_method(const conv2d *v, const gather *g)
{
    method paired = paired_method(v, g, 0);
    if (paired != BY_PANELS)
        return paired;
    if (symc_conv2d_preferred == ONLY_PANELS || g->channels <= 0)
        return BY_PANELS;
    if (is_matrix_product(v))
        return BY_PRODUCTS;
    if (dense_saves_time(v, g))
        return BY_DENSE;
    if (FN(symc_planes_suit)(v) && !lanes_save_time(v))
        return BY_PLANES;
    if (FN(symc_grouped_suits)(v))
        return strips_save_reading(g, FN(symc_grouped_rows)(v, 0)) ? BY_STRIPS : BY_GROUPS;
    if (FN(symc_winograd_suits)(g))
        return winograd_method(g);
    if (symc_conv2d_preferred == ANY_METHOD && FN(symc_image_lanes_suit)(v, 0))
        return BY_IMAGES;
    if (symc_conv2d_preferred == ANY_METHOD && FN(symc_strips_suit)(g))
        return BY_STRIPS;
    if (symc_conv2d_preferred == ANY_METHOD && useful_stretches(g).count)
        return BY_PANELS;
    return FN(symc_direct_suits)(v, 0) ? BY_BLOCKS : BY_PANELS;
}

/* ---- with respect to the images ---- */

/* Whether minimal filtering suits all phases, and saves more than it takes to read dY and to write results phase by phase: other
 * algorithms do that for all phases at once. */
static int filtering_suits_phases(const conv2d *v)
{
    const double by_phase = 1.4, multiply = 1.1 / VL;
    double steps = 0, direct = 0;
    rearrangement a;
    for (int64_t y = 0; y < v->step_h; y++)
        for (int64_t x = 0; x < v->step_w; x++) {
            gather g = phase_gather(v, NULL, NULL, NULL, y, x, &a);
            g.stored = NULL;
            if (!FN(symc_winograd_suits)(&g))
                return 0;
            steps += FN(symc_winograd_steps)(&g);
            direct += multiply * (double)(g.images * g.out_h * g.out_w * g.taps_h * g.taps_w) *
                      (double)(g.channels * g.filters);
        }
    return by_phase * steps < direct || symc_conv2d_preferred == PREFER_WINOGRAD || !FN(symc_direct_suits)(v, 1);
}

/* Minimal filtering is faster where both suit. */
static int images_in_lanes(const conv2d *v, const gather *g)
{
    return symc_conv2d_preferred == ANY_METHOD && FN(symc_image_lanes_suit)(v, 1) && !FN(symc_winograd_suits)(g);
}

/* All phases of an image with few channels are made at once by scattered sums, and a single channel of many taps, for which every
 * product of a strip loads its pixels. */
static int strips_save_time(const conv2d *v, const gather *g)
{
    const int64_t many_taps = 16;
    return symc_conv2d_preferred == ANY_METHOD && v->step_h == 1 && v->step_w == 1 && FN(symc_strips_suit)(g) &&
           (g->filters > 1 || g->taps_h * g->taps_w < many_taps || !FN(symc_scatter_suits)(v));
}

/* `g` is phase (0, 0), at stride 1 all there is. */
static method backward_method(const conv2d *v, const gather *g)
{
    method paired = paired_method(v, g, 1);
    if (paired != BY_PANELS)
        return paired;
    if (symc_conv2d_preferred == ONLY_PANELS)
        return BY_PANELS;
    if (is_matrix_product(v))
        return BY_PRODUCTS;
    if (dense_saves_time(v, g))
        return BY_DENSE;
    conv2d forward;
    if (FN(symc_planes_suit_data)(v, &forward) && !lanes_save_time(&forward))
        return BY_PLANES;
    if (FN(symc_grouped_suits)(v))
        return strips_save_reading(g, FN(symc_grouped_rows)(v, 1)) ? BY_STRIPS : BY_GROUPS;
    if (images_in_lanes(v, g))
        return BY_IMAGES;
    if (strips_save_time(v, g))
        return BY_STRIPS;
    if (FN(symc_scatter_suits)(v))
        return BY_SCATTER;
    if (v->step_h == 1 && v->step_w == 1 && g->channels > 0 && FN(symc_winograd_suits)(g))
        return winograd_method(g);
    if (v->step_h * v->step_w > 1 && g->channels > 0 && filtering_suits_phases(v))
        return BY_WINOGRAD;
    if (symc_conv2d_preferred == ANY_METHOD && v->step_h == 1 && v->step_w == 1 && useful_stretches(g).count)
        return BY_PANELS;
    if (FN(symc_direct_suits)(v, 1))
        return BY_BLOCKS;
    return v->step_h * v->step_w > 1 && FN(symc_scatter_exists)(v) ? BY_SCATTER : BY_PANELS; /* phase by phase */
}

#endif
