/* Convolution, forward and with respect to the images. See symc_rt.h. Compiled once per element type. */
#include "conv2d.h"

#include "chain.h"
#include "conv2d_parts.h"
#include "conv2d_phases.h"
#include "conv2d_stretches.h"
#include "direct.h"
#include "grouped.h"
#include "image_lanes.h"
#include "planes.h"
#include "products/gemm.h"
#include "paired.h"
#include "pooled_maps.h"
#include "scatter.h"
#include "strips.h"
#include "winograd.h"

conv2d FN(symc_read_conv2d)(const int64_t *p)
{
    return (conv2d){.images = p[0], .channels = p[1], .in_h = p[2], .in_w = p[3], .filters = p[4], .taps_h = p[5],
                    .taps_w = p[6], .out_h = p[7], .out_w = p[8], .step_h = p[9], .step_w = p[10], .pad_h = p[11],
                    .pad_w = p[12], .dil_h = p[13], .dil_w = p[14], .groups = larger(1, p[15]), .flip = p[16] != 0};
}

void FN(symc_forward_taps)(const conv2d *v, gather *g)
{
    int64_t *taps = symc_scratch(SLOT_TAPS, (v->taps_h + v->taps_w) * sizeof *taps);
    for (int64_t r = 0; r < v->taps_h; r++)
        taps[r] = (v->flip ? v->taps_h - 1 - r : r) * v->dil_h - v->pad_h;
    for (int64_t s = 0; s < v->taps_w; s++)
        taps[v->taps_h + s] = (v->flip ? v->taps_w - 1 - s : s) * v->dil_w - v->pad_w;
    g->taps_h = v->taps_h, g->taps_w = v->taps_w;
    g->tap_row = taps, g->tap_col = taps + v->taps_h;
}

/* With one tap and no padding or stride each image is one matrix product, if it has enough pixels to fill tiles; images of one
 * pixel are the rows of one. */
static int is_matrix_product(const conv2d *v)
{
    int64_t pixels = v->in_h * v->in_w;
    return v->taps_h == 1 && v->taps_w == 1 && v->step_h == 1 && v->step_w == 1 && v->pad_h == 0 && v->pad_w == 0 &&
           v->out_h == v->in_h && v->out_w == v->in_w && (pixels >= 128 || (pixels == 1 && v->groups == 1)) &&
           v->channels > v->groups && v->filters > v->groups;
}

/* The same of images of one pixel: out (images, rows) = in (images, k) times the weights (rows, k), or as they are. */
static void multiply_pixels(const conv2d *v, real *out, const real *in, const real *weights, int transpose)
{
    int64_t rows = transpose ? v->channels : v->filters, k = transpose ? v->filters : v->channels;
    void *bufs[3] = {out, (real *)in, (real *)weights};
    int64_t p[9] = {0, !transpose, v->images, rows, k, k, v->channels, rows, 0};
    FN(symc_gemm_stored)(bufs, p, (symc_stored *const[]){NULL, v->stored});
    finish_all(v->epilogue, 0, v->images * rows, 1);
}

/* out (images, groups, rows, pixels) = op(weights of the group) in (images, groups, k, pixels) */
static void multiply_images(const conv2d *v, real *out, const real *in, const real *weights, int transpose)
{
    int64_t filters = v->filters / v->groups, channels = v->channels / v->groups, pixels = v->in_h * v->in_w;
    int64_t rows = transpose ? channels : filters, k = transpose ? filters : channels;
    if (pixels == 1) {
        multiply_pixels(v, out, in, weights, transpose);
        return;
    }
    for (int64_t i = 0; i < v->groups; i++) {
        void *bufs[3] = {out + i * rows * pixels, (real *)weights + i * filters * channels,
                         (real *)in + i * k * pixels};
        int64_t p[13] = {v->images, transpose, 0, rows, pixels, k, channels, pixels, pixels, 0, v->groups * k * pixels,
                         v->groups * rows * pixels, 0};
        FN(symc_batched_product)(bufs, p, (symc_stored *const[]){v->stored, NULL}, v->epilogue, i * rows, v->groups * rows);
    }
}

static gather forward_gather(const conv2d *v, real *y, const real *x, const real *weights)
{
    gather g = {.images = v->images, .groups = v->groups, .channels = v->channels / v->groups,
                .filters = v->filters / v->groups, .in = x, .in_h = v->in_h, .in_w = v->in_w, .step_h = v->step_h,
                .step_w = v->step_w, .weights = weights, .stored = v->stored, .weight_channel = v->taps_h * v->taps_w, .out = y,
                .out_h = v->out_h, .out_w = v->out_w, .out_row = v->out_w, .out_col = 1,
                .out_plane = v->out_h * v->out_w, .out_image = v->filters * v->out_h * v->out_w,
                .epilogue = v->epilogue};
    g.weight_filter = g.channels * g.weight_channel;
    FN(symc_forward_taps)(v, &g);
    return g;
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
    if (symc_conv2d_preferred == ANY_METHOD && stretches_save(g))
        return BY_PANELS;
    return FN(symc_direct_suits)(v, 0) ? BY_BLOCKS : BY_PANELS;
}

method FN(symc_forward_method)(const conv2d *v)
{
    gather g = forward_gather(v, NULL, NULL, NULL);
    return forward_method(v, &g);
}

static void run_forward(void *const *bufs, const int64_t *p, symc_stored *const *stored, const symc_epilogue *e)
{
    conv2d v = FN(symc_read_conv2d)(p);
    v.stored = stored[0], v.epilogue = e;
    gather g = forward_gather(&v, bufs[0], bufs[1], bufs[2]);
    switch (forward_method(&v, &g)) {
#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
    case BY_PAIRS:
    case BY_PARTS: symc_paired_forward(&v, bufs[0], bufs[1], bufs[2]); return;
#endif
#if SYMC_HAS_TILES && !SYMC_DOUBLE
    case BY_PIXEL_PARTS: symc_pair_pixels_forward(&v, bufs[0], bufs[1], bufs[2]); return;
#endif
    case BY_PRODUCTS: multiply_images(&v, bufs[0], bufs[1], bufs[2], 0); return;
    case BY_PLANES: FN(symc_planes_forward)(&v, bufs[0], bufs[1], bufs[2]); return;
    case BY_GROUPS: FN(symc_grouped_forward)(&v, bufs[0], bufs[1], bufs[2]); return;
    case BY_IMAGES: FN(symc_image_lanes_forward)(&v, bufs[0], bufs[1], bufs[2]); return;
    case BY_WINOGRAD: FN(symc_winograd)(&g); return;
#if SYMC_HAS_TILES && !SYMC_DOUBLE
    case BY_WINOGRAD_PARTS: symc_winograd_parts(&g); return;
#endif
    case BY_STRIPS: FN(symc_strips_conv)(&g); return;
    case BY_BLOCKS: FN(symc_direct_forward)(&v, bufs[0], bufs[1], bufs[2]); return;
    default: conv_panels(&g);
    }
}

void FN(symc_conv2d_forward_stored)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_forward(bufs, p, stored, NULL);
}

void FN(symc_conv2d_forward_epilogue)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_forward(bufs, p, stored, bufs[3]);
}

void FN(symc_conv2d_forward)(void *const *bufs, const int64_t *p)
{
    run_forward(bufs, p, (symc_stored *const[]){NULL}, NULL);
}

/* ---- maxima of windows ---- */

/* Windows of the output: by the algorithm itself, or of all results, in memory of the calling thread. */
static void run_pooled(void *const *bufs, const int64_t *p, symc_stored *const *stored, const symc_epilogue *e)
{
    conv2d v = FN(symc_read_conv2d)(p);
    v.stored = stored[0], v.epilogue = e;
    maps m = {v.images * v.filters, v.out_h, v.out_w, p[CONV_PARAMS], p[CONV_PARAMS + 1]};
    int64_t high = m.out_h / m.pool_h, wide = m.out_w / m.pool_w;
    if (m.planes * high * wide <= 0)
        return;
    gather g = forward_gather(&v, bufs[0], bufs[1], bufs[2]);
    if (forward_method(&v, &g) == BY_WINOGRAD && FN(symc_winograd_pools)(&g, m.pool_h, m.pool_w)) {
        g.pool_h = m.pool_h, g.pool_w = m.pool_w;
        g.out_row = wide, g.out_plane = high * wide, g.out_image = v.filters * high * wide;
        FN(symc_winograd)(&g);
        return;
    }
    real *all = symc_scratch(SLOT_MAPS, m.planes * m.out_h * m.out_w * sizeof(real));
    run_forward((void *const[]){all, bufs[1], bufs[2]}, p, stored, NULL);
    FN(symc_pool_maps)(&m, all, bufs[0]);
    finish_all(e, 0, m.planes, high * wide);
}

void FN(symc_conv2d_pooled_stored)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_pooled(bufs, p, stored, NULL);
}

void FN(symc_conv2d_pooled_epilogue)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_pooled(bufs, p, stored, bufs[3]);
}

void FN(symc_conv2d_pooled)(void *const *bufs, const int64_t *p)
{
    run_pooled(bufs, p, (symc_stored *const[]){NULL}, NULL);
}

/* ---- several, each of which reads the output of the one before ---- */

enum { MOST_MEMBERS = 3 };

static int64_t read_members(conv2d *v, const int64_t *p, symc_stored *const *stored, void *const *bufs)
{
    for (int64_t i = 0; i < p[0]; i++) {
        v[i] = FN(symc_read_conv2d)(p + 1 + CONV_PARAMS * i);
        v[i].stored = stored[i], v[i].epilogue = bufs[4 * i + 3];
    }
    return p[0];
}

/* The members that are computed in bands: of float32 or float64 alone. */
static chain_part part_in_bands(const conv2d *v, int64_t count)
{
    int always = symc_conv2d_preferred == PREFER_BANDS;
    double gains[MOST_MEMBERS];
    for (int64_t i = 0; i < count; i++) {
        gather g = forward_gather(&v[i], NULL, NULL, NULL);
        method m = paired_method(&v[i], &g, 0);
        if ((symc_conv2d_preferred != ANY_METHOD && !always) || (m != BY_PANELS && m != BY_PIXEL_PARTS))
            return (chain_part){0, 0};
        gains[i] = gain_of_parts(&v[i], &g, m);
        if (FN(symc_planes_suit)(&v[i]) && lanes_save_time(&v[i])) /* bands consist of planes */
            gains[i] += (FN(symc_planes_time)(&v[i]) - FN(symc_grouped_time)(&v[i])) / 3;
    }
    return FN(symc_chain_part)(v, count, gains, always);
}

void FN(symc_conv2d_chain_stored)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    conv2d v[MOST_MEMBERS];
    int64_t count = read_members(v, p, stored, bufs);
    chain_part part = part_in_bands(v, count);
    for (int64_t i = 0; i < count; i++)
        if (i == part.first && part.count > 0) {
            FN(symc_chain_forward)(v + i, part.count, bufs + 4 * i);
            i += part.count - 1;
        } else {
            run_forward(bufs + 4 * i, p + 1 + CONV_PARAMS * i, stored + i, bufs[4 * i + 3]);
        }
}

int FN(symc_conv2d_chain_part)(int stored, const int64_t *p)
{
    conv2d v[MOST_MEMBERS];
    symc_stored *const some = (symc_stored *)(stored ? v : NULL); /* not read */
    void *const none[4 * MOST_MEMBERS] = {NULL};
    int64_t count = read_members(v, p, (symc_stored *const[]){some, some, some}, none);
    chain_part part = part_in_bands(v, count);
    return (int)(4 * part.first + part.count);
}

/* ---- with respect to the images ---- */

static void backward_phase(const conv2d *v, real *dx, const real *dy, const real *weights, int64_t y, int64_t x)
{
    rearrangement a;
    gather g = phase_gather(v, dx, dy, weights, y, x, &a);
    int64_t taps = a.taps_h * a.taps_w, row = g.channels * taps;
    a.to = symc_scratch(SLOT_SHARED_2, v->channels * row * sizeof(real));
    if (row > 0)
        symc_parallel(rearrange_weights, &a, v->channels, larger(1, 16384 / row));
    g.weights = a.to, g.weight_filter = row, g.weight_channel = taps, g.stored = NULL;
    if (symc_conv2d_preferred != ONLY_PANELS && FN(symc_winograd_suits)(&g))
        FN(symc_winograd)(&g);
    else
        conv_panels(&g);
}

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
    if (symc_conv2d_preferred == ANY_METHOD && v->step_h == 1 && v->step_w == 1 && stretches_save(g))
        return BY_PANELS;
    if (FN(symc_direct_suits)(v, 1))
        return BY_BLOCKS;
    return v->step_h * v->step_w > 1 && FN(symc_scatter_exists)(v) ? BY_SCATTER : BY_PANELS; /* phase by phase */
}

method FN(symc_backward_method)(const conv2d *v)
{
    rearrangement a;
    gather g = phase_gather(v, NULL, NULL, NULL, 0, 0, &a);
    return backward_method(v, &g);
}

static void run_phases(const conv2d *v, real *dx, const real *dy, const real *weights)
{
    for (int64_t y = 0; y < smaller(v->step_h, v->in_h); y++)
        for (int64_t x = 0; x < smaller(v->step_w, v->in_w); x++)
            backward_phase(v, dx, dy, weights, y, x);
    if (v->step_h > 1 || v->step_w > 1)
        finish_all(v->epilogue, 0, v->images * v->channels, v->in_h * v->in_w);
}

static void run_backward_data(void *const *bufs, const int64_t *p, symc_stored *const *stored, const symc_epilogue *e)
{
    conv2d v = FN(symc_read_conv2d)(p);
    v.stored = stored[0], v.epilogue = e;
    if (v.images * v.channels * v.in_h * v.in_w <= 0)
        return;
    rearrangement a;
    conv2d forward;
    gather g = phase_gather(&v, bufs[0], bufs[1], bufs[2], 0, 0, &a);
    switch (backward_method(&v, &g)) {
#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
    case BY_PAIRS:
    case BY_PARTS: symc_paired_backward_data(&v, bufs[0], bufs[1], bufs[2]); return;
#endif
#if SYMC_HAS_TILES && !SYMC_DOUBLE
    case BY_PIXEL_PARTS: symc_pair_pixels_backward_data(&v, bufs[0], bufs[1], bufs[2]); return;
#endif
    case BY_PRODUCTS: multiply_images(&v, bufs[0], bufs[1], bufs[2], 1); return;
    case BY_PLANES:
        FN(symc_planes_suit_data)(&v, &forward);
        FN(symc_planes_forward)(&forward, bufs[0], bufs[1], bufs[2]);
        return;
    case BY_GROUPS: FN(symc_grouped_backward_data)(&v, bufs[0], bufs[1], bufs[2]); return;
    case BY_IMAGES: FN(symc_image_lanes_backward_data)(&v, bufs[0], bufs[1], bufs[2]); return;
    case BY_SCATTER:
        FN(symc_scatter_conv)(&v, bufs[0], bufs[1], bufs[2]);
        finish_all(e, 0, v.images * v.channels, v.in_h * v.in_w);
        return;
    case BY_WINOGRAD:
        if (v.step_h * v.step_w > 1)
            run_phases(&v, bufs[0], bufs[1], bufs[2]);
        else
            FN(symc_winograd)(&g);
        return;
#if SYMC_HAS_TILES && !SYMC_DOUBLE
    case BY_WINOGRAD_PARTS: symc_winograd_parts(&g); return;
#endif
    case BY_STRIPS: FN(symc_strips_conv)(&g); return;
    case BY_BLOCKS: FN(symc_direct_backward_data)(&v, bufs[0], bufs[1], bufs[2]); return;
    default: run_phases(&v, bufs[0], bufs[1], bufs[2]);
    }
}

void FN(symc_conv2d_backward_data)(void *const *bufs, const int64_t *p)
{
    run_backward_data(bufs, p, (symc_stored *const[]){NULL}, NULL);
}

void FN(symc_conv2d_backward_data_stored)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_backward_data(bufs, p, stored, NULL);
}

void FN(symc_conv2d_backward_data_epilogue)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_backward_data(bufs, p, stored, bufs[3]);
}
