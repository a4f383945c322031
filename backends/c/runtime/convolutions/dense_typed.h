/* Convolutions of many images of few pixels, as one product of matrices. Compiled once per element type.
 *
 * An image is one row of (channel, pixel), a map one row of (filter, pixel), and the filters are a matrix between them: row
 * (filter, output pixel) has, at (channel, input pixel), the weight of the tap through which the output pixel reads the input
 * pixel. For images of 2x2 pixels and filters of 3x3 that are 16 elements for each filter and channel, where 36 products are
 * computed if zeros are read around the image. With respect to the weights, the gradient of the matrix is summed by taps.
 * Every output pixel reads every input pixel: zeros in the matrix would make NaN of infinite pixels that are not read.
 */
#include "dense.h"

#include <math.h>

#include "axis.h"
#include "base/epilogue.h"
#include "base/stored.h"
#include "paired.h"

enum {
    MOST_PAIRS = 1024, /* of an output and an input pixel */
    MATRIX_BYTES = 128 << 20,
    SERIAL_ELEMENTS = 1 << 14, /* of the matrix */
};
#define PRODUCT_STEPS (1.15 / VL) /* for a product */
#define ELEMENT_STEPS 2.          /* for an element of the matrix that is made, packed, or summed by its tap */
#define STORED_STEPS .8           /* for one that is kept between calls */

typedef struct {
    const conv2d *v;
    int64_t in_pixels, out_pixels;
    int64_t channels, row;   /* of a row of the matrix: channels, and elements */
    int16_t tap[MOST_PAIRS]; /* by output and input pixel: the tap in the order of the filter */
    real *matrix;            /* (filters, out_pixels, channels, in_pixels) */
    const real *weights;
    real *dw;
} dense;

/* The tap through which output place i reads input place j, or -1. */
static int64_t tap_between(const axis *a, int64_t i, int64_t j)
{
    const int64_t away = j - i * a->up - a->base, tap = away / a->dil;
    return tap * a->dil == away && tap >= 0 && tap < a->taps ? tap : -1;
}

static int reads_all(const axis *a, int64_t outs, int64_t ins)
{
    for (int64_t i = 0; i < outs; i++)
        for (int64_t j = 0; j < ins; j++)
            if (tap_between(a, i, j) < 0)
                return 0;
    return 1;
}

static dense describe(const conv2d *v)
{
    dense d = {.v = v, .in_pixels = v->in_h * v->in_w, .out_pixels = v->out_h * v->out_w, .channels = v->channels};
    d.row = d.channels * d.in_pixels;
    return d;
}

static void find_taps(dense *d)
{
    const conv2d *v = d->v;
    const axis rows = forward_axis(v, 0), cols = forward_axis(v, 1);
    int16_t *to = d->tap;
    for (int64_t y = 0; y < v->out_h; y++)
        for (int64_t x = 0; x < v->out_w; x++)
            for (int64_t i = 0; i < v->in_h; i++)
                for (int64_t j = 0; j < v->in_w; j++)
                    *to++ = (int16_t)(tap_between(&rows, y, i) * v->taps_w + tap_between(&cols, x, j));
}

double FN(symc_dense_steps)(const conv2d *v)
{
    const int64_t pairs = v->in_h * v->in_w * v->out_h * v->out_w, elements = v->channels * v->filters * pairs;
    if (v->groups != 1 || symc_conv2d_preferred != ANY_METHOD || v->images <= 0 || elements <= 0 || pairs > MOST_PAIRS ||
        v->taps_h * v->taps_w > INT16_MAX || elements > MATRIX_BYTES / (int64_t)sizeof(real))
        return INFINITY;
    const axis rows = forward_axis(v, 0), cols = forward_axis(v, 1);
    if (!reads_all(&rows, v->out_h, v->in_h) || !reads_all(&cols, v->out_w, v->in_w))
        return INFINITY;
#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
    if (symc_pairs) /* products would be rounded */
        return INFINITY;
#endif
    return (double)elements * ((double)v->images * PRODUCT_STEPS + (v->stored ? STORED_STEPS : ELEMENT_STEPS));
}

/* Rows [begin, end) of filters. */
static void make_rows(void *arg, int64_t begin, int64_t end)
{
    const dense *d = arg;
    const int64_t taps = d->v->taps_h * d->v->taps_w;
    real *to = d->matrix + begin * d->out_pixels * d->row;
    for (int64_t m = begin; m < end; m++) {
        const real *filter = d->weights + m * d->channels * taps;
        for (int64_t o = 0; o < d->out_pixels; o++, to += d->row)
            for (int64_t i = 0; i < d->in_pixels; i++) {
                const int64_t tap = d->tap[o * d->in_pixels + i];
                for (int64_t c = 0; c < d->channels; c++)
                    to[c * d->in_pixels + i] = filter[c * taps + tap];
            }
    }
}

static void sum_rows(void *arg, int64_t begin, int64_t end)
{
    const dense *d = arg;
    const int64_t taps = d->v->taps_h * d->v->taps_w;
    const real *from = d->matrix + begin * d->out_pixels * d->row;
    for (int64_t m = begin; m < end; m++) {
        real *filter = d->dw + m * d->channels * taps;
        memset(filter, 0, d->channels * taps * sizeof(real));
        for (int64_t o = 0; o < d->out_pixels; o++, from += d->row)
            for (int64_t i = 0; i < d->in_pixels; i++) {
                const int64_t tap = d->tap[o * d->in_pixels + i];
                for (int64_t c = 0; c < d->channels; c++)
                    filter[c * taps + tap] += from[c * d->in_pixels + i];
            }
    }
}

static void of_all_filters(dense *d, void (*task)(void *, int64_t, int64_t))
{
    symc_parallel(task, d, d->v->filters, larger(1, SERIAL_ELEMENTS / larger(1, d->row * d->out_pixels)));
}

/* out (images, cols) = in (images, k) times the matrix, transposed or as it is. */
static void multiply_rows(dense *d, real *out, const real *in, const real *weights, int transposed)
{
    const conv2d *v = d->v;
    const int64_t maps = v->filters * d->out_pixels, cols = transposed ? maps : d->row, k = transposed ? d->row : maps;
    symc_form_key key = {weights, FORM_DENSE,
                         {sizeof(real), v->filters, v->channels, v->taps_h, v->taps_w, v->in_h, v->in_w, v->step_h << 32 | v->step_w,
                          v->pad_h << 32 | v->pad_w, v->dil_h << 32 | v->dil_w, v->out_h << 32 | v->out_w, v->flip}};
    symc_form form = symc_form_of(v->stored, &key, maps * d->row * sizeof(real), SLOT_DENSE);
    d->matrix = form.memory, d->weights = weights;
    if (!form.ready) {
        find_taps(d);
        of_all_filters(d, make_rows);
        symc_form_made(&form);
    }
    void *bufs[3] = {out, (real *)in, d->matrix};
    const int64_t p[9] = {0, transposed, v->images, cols, k, k, d->row, cols, 0};
    FN(symc_gemm)(bufs, p);
    finish_all(v->epilogue, 0, v->images * (transposed ? v->filters : v->channels), transposed ? d->out_pixels : d->in_pixels);
}

void FN(symc_dense_forward)(const conv2d *v, real *y, const real *x, const real *weights)
{
    dense d = describe(v);
    multiply_rows(&d, y, x, weights, 1);
}

void FN(symc_dense_backward)(const conv2d *v, real *dx, const real *dy, const real *weights)
{
    dense d = describe(v);
    multiply_rows(&d, dx, dy, weights, 0);
}

void FN(symc_dense_backward_weights)(const conv2d *v, real *dw, const real *x, const real *dy)
{
    dense d = describe(v);
    const int64_t maps = v->filters * d.out_pixels;
    d.dw = dw, d.matrix = symc_scratch(SLOT_DENSE, maps * d.row * sizeof(real));
    find_taps(&d);
    void *bufs[3] = {d.matrix, (real *)dy, (real *)x};
    const int64_t p[9] = {1, 0, maps, d.row, v->images, maps, d.row, d.row, 0};
    FN(symc_gemm)(bufs, p);
    of_all_filters(&d, sum_rows);
}
