/* Convolution, forward and with respect to the images. See symc_rt.h. Compiled once per element type. */
#include "conv2d.h"

#include "chain.h"
#include "conv2d_methods.h"
#include "pooled_maps.h"
#include "products/gemm.h"

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

/* Of images of one pixel: out (images, rows) = in (images, k) times the weights (rows, k), or as they are. */
static void multiply_dense(const conv2d *v, real *out, const real *in, const real *weights, int transpose)
{
    int64_t rows = transpose ? v->channels : v->filters, k = transpose ? v->filters : v->channels;
    void *bufs[3] = {out, (real *)in, (real *)weights};
    int64_t p[9] = {0, !transpose, v->images, rows, k, k, v->channels, rows, 0};
    FN(symc_gemm_stored)(bufs, p, (symc_stored *const[]){NULL, v->stored});
    finish_all(v->epilogue, 0, v->images * rows, 1);
}

/* So many matrices; elements from the operands of one to those of the next, and rows of the output. */
typedef struct {
    int64_t count, weights, in, out, rows;
} distances;

/* out (images, groups, rows, pixels) = op(weights of the group) in (images, groups, k, pixels) */
static void multiply_images(const conv2d *v, real *out, const real *in, const real *weights, int transpose)
{
    int64_t filters = v->filters / v->groups, channels = v->channels / v->groups, pixels = v->in_h * v->in_w;
    int64_t rows = transpose ? channels : filters, k = transpose ? filters : channels;
    if (pixels == 1) {
        multiply_dense(v, out, in, weights, transpose);
        return;
    }
    /* The operands of a batch of products are equally far apart: either the images of a group, or, if there is one for each
     * thread, the groups of an image. */
    const distances images = {v->images, 0, v->groups * k * pixels, v->groups * rows * pixels, v->groups * rows};
    const distances groups = {v->groups, filters * channels, k * pixels, rows * pixels, rows};
    const int by_image = v->images < v->groups && v->groups >= 2 * symc_num_threads();
    const distances outer = by_image ? images : groups, batch = by_image ? groups : images;
    for (int64_t i = 0; i < outer.count; i++) {
        void *bufs[3] = {out + i * outer.out, (real *)weights + i * outer.weights, (real *)in + i * outer.in};
        int64_t p[13] = {batch.count, transpose, 0, rows, pixels, k, channels, pixels, pixels, batch.weights, batch.in, batch.out, 0};
        FN(symc_batched_product)(bufs, p, (symc_stored *const[]){v->stored, NULL}, v->epilogue, i * outer.rows, batch.rows);
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
    case BY_DENSE: FN(symc_dense_forward)(&v, bufs[0], bufs[1], bufs[2]); return;
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
    case BY_DENSE: FN(symc_dense_backward)(&v, bufs[0], bufs[1], bufs[2]); return;
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
