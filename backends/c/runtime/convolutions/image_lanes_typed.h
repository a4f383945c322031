/* See image_lanes.h. Compiled once per element type.
 *
 * VL images are turned, so that each pixel is a vector with one lane per image. A term of the convolution is the product
 * of such a vector with one weight, however short the rows of the images are; other algorithms gather rows of
 * neighbouring pixels, or of channels, into vectors.
 */
#include "image_lanes.h"

#include "axis.h"
#include "base/epilogue.h"
#include "blocks.h"

#if TILE_ROWS > 6
enum { MOST_FILTERS = 8, PIXELS = 3, SUMS = 4, TAPS = 6 }; /* 24 of 32 registers are sums */
#else
enum { MOST_FILTERS = 4, PIXELS = 3, SUMS = 3, TAPS = 4 };
#endif

enum {
    WINDOW_BYTES = 256 << 10, /* of the turned images of a task */
    GRADIENT_BYTES = 320 << 10, /* of turned images and gradients */
    SUM_BYTES = 128 << 10,    /* of the sums of a share of the weights' gradient */
    MOST_DEPTH = 256,         /* channels times taps */
    SHORT_ROW = 6,            /* outputs: other algorithms gain little from longer sums then, and windows may be ... */
    SHORT_DEPTH = 1200,
    SHORT_WINDOW_BYTES = 512 << 10,
    MOST_PHASES = 16,
    FEW_OUTPUTS = 8192,       /* of an image, which are turned back for little arithmetic, unless ... */
    LEAST_DEPTH = 64,         /* ... each is a sum of so many terms */
    MOST_OUTPUTS = 16384,     /* of an image, whose gradients are turned */
    SERIAL_PRODUCTS = 1 << 16
};

/* The terms of outputs with the same remainders modulo the strides, of all channels: from which on, and how many. Forward there is
 * one phase. */
typedef struct {
    int64_t first, count;
} phase_terms;

typedef struct {
    const conv2d *v;
    const real *in, *weights, *dy;
    real *out;
    int64_t channels, filters;             /* read and written */
    int64_t weight_filter, weight_channel; /* elements between them */
    int64_t in_h, in_w, out_h, out_w;
    axis rows, cols;
    int64_t top, left, high, wide;         /* the window behind all outputs */
    int64_t depth;
    int64_t terms;                         /* of all phases */
    const phase_terms *phases;
    const int64_t *at;                     /* by phase, channel and tap: in the window, relative to that of an output */
    const int64_t *weight_at;              /* the same: a weight, relative to the first of its filter */
    real *packed;                          /* weights by block of filters: term, filter; or sums by share */
    int64_t band;                          /* output rows that are turned back together */
    int64_t shares;                        /* of the images, each with sums of its own */
} lanes;

INLINE int64_t image_blocks(const conv2d *v) { return ceil_div(v->images, VL); }
INLINE int64_t block_images(const conv2d *v, int64_t block) { return smaller(VL, v->images - block * VL); }
INLINE int64_t filter_blocks(const lanes *z) { return ceil_div(z->filters, MOST_FILTERS); }
INLINE int64_t first_filter(const lanes *z, int64_t block) { return block * z->filters / filter_blocks(z); }

static lanes forward_lanes(const conv2d *v)
{
    lanes z = {.v = v, .channels = v->channels, .filters = v->filters, .in_h = v->in_h, .in_w = v->in_w,
               .out_h = v->out_h, .out_w = v->out_w, .rows = forward_axis(v, 0), .cols = forward_axis(v, 1)};
    z.weight_channel = v->taps_h * v->taps_w, z.weight_filter = z.channels * z.weight_channel;
    return z;
}

static lanes backward_lanes(const conv2d *v)
{
    lanes z = {.v = v, .channels = v->filters, .filters = v->channels, .in_h = v->out_h, .in_w = v->out_w,
               .out_h = v->in_h, .out_w = v->in_w, .rows = backward_axis(v, 0), .cols = backward_axis(v, 1)};
    z.weight_filter = v->taps_h * v->taps_w, z.weight_channel = z.filters * z.weight_filter;
    return z;
}

static void find_window(lanes *z)
{
    z->depth = z->channels * z->rows.taps * z->cols.taps;
    z->top = window_start(&z->rows, 0), z->high = window_size(&z->rows, 0, z->out_h);
    z->left = window_start(&z->cols, 0), z->wide = window_size(&z->cols, 0, z->out_w);
}

INLINE int64_t phases_of(const lanes *z) { return z->rows.down * z->cols.down; }

static int suits(lanes z)
{
    const conv2d *v = z.v;
    int64_t blocks = image_blocks(v);
    if (v->groups != 1 || 2 * v->images < blocks * VL || z.channels <= 0 || z.rows.taps * z.cols.taps <= 0 ||
        z.out_h * z.out_w * z.filters <= 0 || phases_of(&z) > MOST_PHASES)
        return 0;
    find_window(&z);
    int64_t products = v->images * z.out_h * z.out_w * z.filters * z.depth / phases_of(&z);
    const int short_rows = ceil_div(z.out_w, z.cols.down) <= SHORT_ROW;
    return z.depth <= (short_rows ? SHORT_DEPTH : MOST_DEPTH) && (short_rows || phases_of(&z) == 1) &&
           z.channels * z.high * z.wide * VEC_BYTES <= (short_rows ? SHORT_WINDOW_BYTES : WINDOW_BYTES) &&
           (blocks >= symc_num_threads() || products < 8 * SERIAL_PRODUCTS);
}

/* The terms of outputs of phase (y, x); returns their number. */
static int64_t list_terms(const lanes *z, int64_t y, int64_t x, int64_t *at, int64_t *weight_at)
{
    int64_t n = 0, row, col;
    for (int64_t c = 0; c < z->channels; c++)
        for (int64_t r = 0; r < z->rows.taps; r++) {
            if (!tap_reads(&z->rows, y, r, &row))
                continue;
            for (int64_t s = 0; s < z->cols.taps; s++)
                if (tap_reads(&z->cols, x, s, &col)) {
                    at[n] = ((c * z->high + row - z->top) * z->wide + col - z->left) * VL;
                    weight_at[n++] = c * z->weight_channel + r * z->cols.taps + s;
                }
        }
    return n;
}

/* Pairs of a phase along an axis and a tap that it reads through. */
static int64_t pairs_along(const axis *a)
{
    int64_t n = 0, at;
    for (int64_t i = 0; i < a->down; i++)
        for (int64_t t = 0; t < a->taps; t++)
            n += tap_reads(a, i, t, &at);
    return n;
}

static void locate_taps(lanes *z)
{
    int64_t most = z->channels * pairs_along(&z->rows) * pairs_along(&z->cols);
    phase_terms *phases = symc_scratch(SLOT_TABLE, phases_of(z) * sizeof *phases + 2 * most * sizeof *z->at);
    int64_t *at = (int64_t *)(phases + phases_of(z)), *weight_at = at + most;
    z->at = at, z->weight_at = weight_at, z->phases = phases, z->terms = 0;
    for (int64_t i = 0; i < phases_of(z); i++) {
        int64_t count = list_terms(z, i / z->cols.down, i % z->cols.down, at + z->terms, weight_at + z->terms);
        phases[i] = (phase_terms){z->terms, count};
        z->terms += count;
    }
}

static void turn_window(const lanes *z, int64_t block, real *window)
{
    int64_t plane = z->in_h * z->in_w, image = z->channels * plane;
    const real *from = z->in + block * VL * image, *end = z->in + z->v->images * image;
    for (int64_t c = 0; c < z->channels; c++)
        FN(symc_window_to_lanes)(from + c * plane, image, block_images(z->v, block), z->in_h, z->in_w, end, z->top,
                                 z->left, z->high, z->wide, z->wide * VL, window + c * z->high * z->wide * VL);
}

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

/* ---- with respect to the weights ---- */

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
