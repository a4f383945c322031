/* Weight gradients with images in lanes: sums over images, pixels and lanes, in shares of the images. See image_lanes_typed.h. */
#ifndef SYMC_IMAGE_LANES_WEIGHTS_H
#define SYMC_IMAGE_LANES_WEIGHTS_H

#include "image_lanes_window.h"

typedef void weight_kernel(const lanes *z, const real *window, const int64_t *at, const real *dy, real *sums);

/* Adds to the sums of a few filters and taps what VL images contribute. */
INLINE void sum_weights(int filters, int taps, const lanes *z, const real *window, const int64_t *at, const real *dy,
                        real *sums)
{
    vec sum[SUMS][TAPS];
    const real *from[TAPS];
    int64_t plane = z->out_h * z->out_w * VL, step = z->cols.up * VL, row_step = z->rows.up * z->wide * VL;
    UNROLL
    for (int f = 0; f < filters; f++) {
        UNROLL
        for (int t = 0; t < taps; t++)
            sum[f][t] = (vec){0};
    }
    for (int64_t y = 0; y < z->out_h; y++) {
        UNROLL
        for (int t = 0; t < taps; t++)
            from[t] = window + at[t] + y * row_step;
        for (int64_t x = 0; x < z->out_w; x++, dy += VL) {
            vec g[SUMS];
            UNROLL
            for (int f = 0; f < filters; f++)
                g[f] = load(dy + f * plane);
            UNROLL
            for (int t = 0; t < taps; t++) {
                vec value = in_register(load(from[t] + x * step));
                UNROLL
                for (int f = 0; f < filters; f++)
                    sum[f][t] += g[f] * value;
            }
        }
    }
    UNROLL
    for (int f = 0; f < filters; f++) {
        UNROLL
        for (int t = 0; t < taps; t++) {
            real *to = sums + (f * z->depth + t) * VL;
            store(to, load(to) + sum[f][t]);
        }
    }
}

#define WEIGHT_KERNEL(FILTERS, COUNT)                                                                               \
    static void weights_##FILTERS##_##COUNT(const lanes *z, const real *window, const int64_t *at, const real *dy,  \
                                            real *sums)                                                             \
    {                                                                                                               \
        sum_weights(FILTERS, COUNT, z, window, at, dy, sums);                                                       \
    }

#if TILE_ROWS > 6
#define WEIGHT_KERNELS(FILTERS)                                                                                     \
    WEIGHT_KERNEL(FILTERS, 1) WEIGHT_KERNEL(FILTERS, 2) WEIGHT_KERNEL(FILTERS, 3) WEIGHT_KERNEL(FILTERS, 4)         \
    WEIGHT_KERNEL(FILTERS, 5) WEIGHT_KERNEL(FILTERS, 6)
#define WEIGHT_NAMES(FILTERS)                                                                                       \
    {weights_##FILTERS##_1, weights_##FILTERS##_2, weights_##FILTERS##_3, weights_##FILTERS##_4,                    \
     weights_##FILTERS##_5, weights_##FILTERS##_6}
WEIGHT_KERNELS(1) WEIGHT_KERNELS(2) WEIGHT_KERNELS(3) WEIGHT_KERNELS(4)
static weight_kernel *const weight_kernels[SUMS][TAPS] = {WEIGHT_NAMES(1), WEIGHT_NAMES(2), WEIGHT_NAMES(3),
                                                          WEIGHT_NAMES(4)};
#else
#define WEIGHT_KERNELS(FILTERS)                                                                                     \
    WEIGHT_KERNEL(FILTERS, 1) WEIGHT_KERNEL(FILTERS, 2) WEIGHT_KERNEL(FILTERS, 3) WEIGHT_KERNEL(FILTERS, 4)
#define WEIGHT_NAMES(FILTERS)                                                                                       \
    {weights_##FILTERS##_1, weights_##FILTERS##_2, weights_##FILTERS##_3, weights_##FILTERS##_4}
WEIGHT_KERNELS(1) WEIGHT_KERNELS(2) WEIGHT_KERNELS(3)
static weight_kernel *const weight_kernels[SUMS][TAPS] = {WEIGHT_NAMES(1), WEIGHT_NAMES(2), WEIGHT_NAMES(3)};
#endif

/* Shares of the images. */
static void add_shares(void *arg, int64_t begin, int64_t end)
{
    const lanes *z = arg;
    int64_t plane = z->out_h * z->out_w, blocks = image_blocks(z->v), size = z->filters * z->depth * VL;
    real *window = symc_scratch(SLOT_BAND, z->channels * z->high * z->wide * VEC_BYTES);
    real *turned = symc_scratch(SLOT_BLOCK, smaller(SUMS, z->filters) * plane * VEC_BYTES);
    for (int64_t share = begin; share < end; share++) {
        real *sums = z->packed + share * size;
        memset(sums, 0, size * sizeof(real));
        for (int64_t block = share * blocks / z->shares; block < (share + 1) * blocks / z->shares; block++) {
            turn_window(z, block, window);
            for (int64_t f = 0; f < z->filters; f += SUMS) {
                int64_t some = smaller(SUMS, z->filters - f);
                const real *dy = z->dy + (block * VL * z->filters + f) * plane;
                for (int64_t i = 0; i < some; i++)
                    FN(symc_to_lanes)(dy + i * plane, z->filters * plane, block_images(z->v, block), plane,
                                      z->dy + z->v->images * z->filters * plane, plane, 0, turned + i * plane * VL);
                for (int64_t k = 0; k < z->depth; k += TAPS)
                    weight_kernels[some - 1][smaller(TAPS, z->depth - k) - 1](z, window, z->at + k, turned,
                                                                             sums + (f * z->depth + k) * VL);
            }
        }
    }
}

/* Elements of the gradient. */
static void finish_sums(void *arg, int64_t begin, int64_t end)
{
    const lanes *z = arg;
    for (int64_t i = begin; i < end; i++) {
        vec sum = load(z->packed + i * VL);
        for (int64_t share = 1; share < z->shares; share++)
            sum += load(z->packed + (share * z->filters * z->depth + i) * VL);
        z->out[i] = lane_sum(sum);
    }
}

/* The number of shares: one per thread, if there is enough to do. */
static int64_t shares_of(const lanes *z)
{
    int64_t products = z->v->images * z->out_h * z->out_w * z->filters * z->depth;
    return larger(1, smaller(smaller(symc_num_threads(), image_blocks(z->v)), products / SERIAL_PRODUCTS));
}

int FN(symc_image_lanes_suit_weights)(const conv2d *v)
{
    lanes z = forward_lanes(v);
    if (!suits(z))
        return 0;
    find_window(&z);
    int64_t outputs = z.out_h * z.out_w, pixels = z.channels * z.high * z.wide + smaller(SUMS, z.filters) * outputs;
    return z.filters * z.depth * VEC_BYTES <= SUM_BYTES && pixels * VEC_BYTES <= GRADIENT_BYTES &&
           z.filters * outputs <= MOST_OUTPUTS;
}

void FN(symc_image_lanes_backward_weights)(const conv2d *v, real *dw, const real *x, const real *dy)
{
    lanes z = forward_lanes(v);
    z.in = x, z.dy = dy, z.out = dw;
    find_window(&z);
    locate_taps(&z);
    z.shares = shares_of(&z);
    z.packed = symc_scratch(SLOT_PARTIAL, z.shares * z.filters * z.depth * VEC_BYTES);
    symc_parallel(add_shares, &z, z.shares, 1);
    symc_parallel(finish_sums, &z, z.filters * z.depth, larger(1, 4096 / z.shares));
}

#endif
