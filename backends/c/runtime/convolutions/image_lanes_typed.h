/* See image_lanes.h. Compiled once per element type.
 *
 * VL images are turned, so that each pixel is a vector with one lane per image. A term of the convolution is the product
 * of such a vector with one weight, however short the rows of the images are; other algorithms gather rows of
 * neighbouring pixels, or of channels, into vectors.
 */
#include "image_lanes_weights.h"
#include "image_lanes_window.h"

/* ---- forward, and with respect to the images ---- */

/* Blocks of filters. */
static void pack_filters(void *arg, int64_t begin, int64_t end)
{
    const lanes *z = arg;
    for (int64_t b = begin; b < end; b++) {
        int64_t first = first_filter(z, b), last = first_filter(z, b + 1);
        real *to = z->packed + first * z->terms;
        for (int64_t k = 0; k < z->terms; k++)
            for (int64_t f = first; f < last; f++)
                *to++ = z->weights[f * z->weight_filter + z->weight_at[k]];
    }
}

typedef void pixel_kernel(int64_t depth, const int64_t *at, const real *weights, const real *from, int64_t step,
                          real *to, int64_t apart, int64_t plane);

/* A few outputs, `apart` elements from one another, of a few filters. */
INLINE void sum_pixels(int filters, int pixels, int64_t depth, const int64_t *at, const real *weights, const real *from,
                       int64_t step, real *to, int64_t apart, int64_t plane)
{
    vec sum[MOST_FILTERS][PIXELS];
    UNROLL
    for (int f = 0; f < filters; f++) {
        UNROLL
        for (int i = 0; i < pixels; i++)
            sum[f][i] = (vec){0};
    }
    for (int64_t k = 0; k < depth; k++, weights += filters) {
        const real *p = from + at[k];
        vec x[PIXELS];
        UNROLL
        for (int i = 0; i < pixels; i++)
            x[i] = load(p + i * step);
        UNROLL
        for (int f = 0; f < filters; f++) {
            UNROLL
            for (int i = 0; i < pixels; i++)
                sum[f][i] += weights[f] * x[i];
        }
    }
    UNROLL
    for (int f = 0; f < filters; f++) {
        UNROLL
        for (int i = 0; i < pixels; i++)
            store(to + f * plane + i * apart, sum[f][i]);
    }
}

#define PIXEL_KERNEL(FILTERS, COUNT)                                                                                \
    static void pixels_##FILTERS##_##COUNT(int64_t depth, const int64_t *at, const real *weights, const real *from, \
                                           int64_t step, real *to, int64_t apart, int64_t plane)                    \
    {                                                                                                               \
        sum_pixels(FILTERS, COUNT, depth, at, weights, from, step, to, apart, plane);                               \
    }
#define PIXEL_KERNELS(FILTERS) PIXEL_KERNEL(FILTERS, 1) PIXEL_KERNEL(FILTERS, 2) PIXEL_KERNEL(FILTERS, 3)
#define PIXEL_NAMES(FILTERS) {pixels_##FILTERS##_1, pixels_##FILTERS##_2, pixels_##FILTERS##_3}

PIXEL_KERNELS(1) PIXEL_KERNELS(2) PIXEL_KERNELS(3) PIXEL_KERNELS(4)
#if TILE_ROWS > 6
PIXEL_KERNELS(5) PIXEL_KERNELS(6) PIXEL_KERNELS(7) PIXEL_KERNELS(8)
#endif

static pixel_kernel *const pixel_kernels[MOST_FILTERS][PIXELS] = {
    PIXEL_NAMES(1), PIXEL_NAMES(2), PIXEL_NAMES(3), PIXEL_NAMES(4),
#if TILE_ROWS > 6
    PIXEL_NAMES(5), PIXEL_NAMES(6), PIXEL_NAMES(7), PIXEL_NAMES(8),
#endif
};

/* The outputs of a row from column x on that have its phase, in pieces that differ by at most one. */
static void sum_row(const lanes *z, const real *window, int64_t y, int64_t x, int64_t filters, const real *weights, real *to,
                    int64_t plane)
{
    const phase_terms *t = &z->phases[y % z->rows.down * z->cols.down + x];
    int64_t outputs = ceil_div(z->out_w - x, z->cols.down), pieces = ceil_div(outputs, PIXELS), apart = z->cols.down * VL;
    const real *from = window + y / z->rows.down * z->rows.up * z->wide * VL;
    for (int64_t i = 0; i < pieces; i++) {
        int64_t first = i * outputs / pieces, some = (i + 1) * outputs / pieces - first;
        pixel_kernels[filters - 1][some - 1](t->count, z->at + t->first, weights + t->first * filters,
                                             from + first * z->cols.up * VL, z->cols.up * VL, to + first * apart, apart, plane);
    }
}

/* Output rows [first, last) of a block of filters and of images. */
static void run_band(const lanes *z, const real *window, real *pixels, int64_t block, int64_t filters, int64_t first,
                     int64_t last)
{
    int64_t filter = first_filter(z, filters), count = first_filter(z, filters + 1) - filter;
    int64_t plane = (last - first) * z->out_w;
    const real *weights = z->packed + filter * z->terms;
    for (int64_t y = first; y < last; y++)
        for (int64_t x = 0; x < smaller(z->cols.down, z->out_w); x++)
            sum_row(z, window, y, x, count, weights, pixels + ((y - first) * z->out_w + x) * VL, plane * VL);
    int64_t images = block_images(z->v, block), all = z->out_h * z->out_w, at = first * z->out_w;
    int64_t row = block * VL * z->filters + filter;
    for (int64_t f = 0; f < count; f++)
        FN(symc_from_lanes)(pixels + f * plane * VL, plane, VL, images, z->filters * all, NULL, z->out + (row + f) * all + at);
    for (int64_t i = 0; i < images; i++)
        finish_columns(z->v->epilogue, row + i * z->filters, count, at, plane);
}

/* Blocks of images. */
static void run_images(void *arg, int64_t begin, int64_t end)
{
    const lanes *z = arg;
    real *window = symc_scratch(SLOT_BAND, z->channels * z->high * z->wide * VEC_BYTES);
    real *pixels = symc_scratch(SLOT_BLOCK, MOST_FILTERS * z->band * z->out_w * VEC_BYTES);
    for (int64_t block = begin; block < end; block++) {
        turn_window(z, block, window);
        for (int64_t filters = 0; filters < filter_blocks(z); filters++)
            for (int64_t y = 0; y < z->out_h; y += z->band)
                run_band(z, window, pixels, block, filters, y, smaller(z->out_h, y + z->band));
    }
}

static void run(lanes *z)
{
    find_window(z);
    locate_taps(z);
    z->band = larger(1, smaller(z->out_h, BAND_BYTES / (MOST_FILTERS * z->out_w * VEC_BYTES)));
    z->packed = symc_scratch(SLOT_SHARED, z->filters * z->terms * sizeof(real));
    symc_parallel(pack_filters, z, filter_blocks(z), larger(1, 16384 / larger(1, MOST_FILTERS * z->terms)));
    int64_t products = z->out_h * z->out_w * z->filters * larger(1, z->depth / phases_of(z)) * VL;
    symc_parallel(run_images, z, image_blocks(z->v), larger(1, SERIAL_PRODUCTS / products));
}

int FN(symc_image_lanes_suit)(const conv2d *v, int backward)
{
    lanes z = backward ? backward_lanes(v) : forward_lanes(v);
    int64_t depth = z.channels * z.rows.taps * z.cols.taps;
    return suits(z) && (z.filters * z.out_h * z.out_w <= FEW_OUTPUTS || depth >= LEAST_DEPTH);
}

void FN(symc_image_lanes_forward)(const conv2d *v, real *y, const real *x, const real *weights)
{
    lanes z = forward_lanes(v);
    z.in = x, z.weights = weights, z.out = y;
    run(&z);
}

void FN(symc_image_lanes_backward_data)(const conv2d *v, real *dx, const real *dy, const real *weights)
{
    lanes z = backward_lanes(v);
    z.in = dy, z.weights = weights, z.out = dx;
    run(&z);
}
