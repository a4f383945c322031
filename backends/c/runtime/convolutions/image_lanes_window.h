/* Turned images with a lane for each, and where the terms of their convolution lie. See image_lanes_typed.h. */
#ifndef SYMC_IMAGE_LANES_WINDOW_H
#define SYMC_IMAGE_LANES_WINDOW_H

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

#endif
