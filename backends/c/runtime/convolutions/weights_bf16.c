/* The gradient of a convolution with respect to its weights, of operands rounded to bfloat16. See pairs.h.
 *
 * Sums run over pixels, so that pixels are paired here. A unit is a band of output rows of one image, as wide as the part of X
 * that it reads, with zeros in dY where X is wider. For every tap the sum of a unit is then one product of dY (filters,
 * pixels) with X (pixels, channels) from the tap's distance on; X is kept twice, paired from an even pixel on and from an
 * odd one.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#include "axis.h"
#include "base/masked.h"

#if SYMC_HAS_PAIRS
enum {
    OPERAND_BYTES = 1 << 20, /* of a unit: they stay in the second level cache */
    PANEL = 2 * VL,          /* channels that are multiplied together */
    LEAST_PIXELS = 100       /* of an image: smaller units read and write more sums than they add */
};

typedef struct {
    const conv2d *v;
    const float *x, *dy;
    float *dw, *partial; /* by group, share, tap, filter, padded channel */
    int64_t channels, filters, padded;
    axis rows, cols;
    int64_t wide, bands, pixels; /* of a unit: its pitch, units of an image, and most pixels, a multiple of PAIRED */
    int64_t a_step;              /* vectors from one filter to the next */
    int64_t high;                /* pairs of pixels in a copy of X */
    int64_t shares, splits;
    int64_t distance;            /* of the farthest tap */
    block_step *list;
} weights;

/* dY of a band as (filters, pixels). */
static void pack_outputs(const weights *z, const float *from, int64_t rows, float *to)
{
    const conv2d *v = z->v;
    memset(to, 0, z->filters * z->a_step * VEC_BYTES);
    for (int64_t k = 0; k < z->filters; k++)
        for (int64_t y = 0; y < rows; y++) {
            const float *p = from + (k * v->out_h + y) * v->out_w;
            uint16_t *q = (uint16_t *)(to + k * z->a_step * VL) + y * z->wide;
            for (int64_t x = 0; x < v->out_w; x += VL) {
                lane_mask mask = first_lanes(smaller(VL, v->out_w - x));
                _mm256_mask_storeu_epi16(q + x, mask, (__m256i)_mm512_cvtneps_pbh((__m512)load_lanes(p + x, mask)));
            }
        }
}

/* Copies of VL channels of pixels, paired from pixel 0 and from pixel 1 on. */
static void pair_pixels(const float *pixels, int64_t pairs, float *even, float *odd)
{
    for (int64_t i = 0; i < pairs; i++, pixels += 2 * VL) {
        vec middle = load(pixels + VL);
        store(even + i * PANEL, as_pairs(load(pixels), middle));
        store(odd + i * PANEL, as_pairs(middle, load(pixels + 2 * VL)));
    }
}

typedef struct {
    float *outputs, *pixels, *even, *odd;
} room;

static void multiply_unit(const weights *z, const room *w, int64_t rows, float *sum, int accumulate)
{
    int64_t steps = ceil_div(rows * z->wide, PAIRED), taps = z->rows.taps * z->cols.taps;
    int64_t low_row = smaller(0, (z->rows.taps - 1) * z->rows.dil), low_col = smaller(0, (z->cols.taps - 1) * z->cols.dil);
    for (int64_t t = 0; t < taps; t++) {
        int64_t row = t / z->cols.taps * z->rows.dil - low_row, col = t % z->cols.taps * z->cols.dil - low_col;
        int64_t distance = row * z->wide + col;
        const float *b = (distance & 1 ? w->odd : w->even) + distance / 2 * PANEL;
        for (int64_t k = 0; k < z->filters; k += PAIR_ROWS)
            symc_pair_tile(smaller(PAIR_ROWS, z->filters - k), PANEL, z->a_step, steps, z->list,
                           w->outputs + k * z->a_step * VL, b, sum + (t * z->filters + k) * z->padded, z->padded,
                           accumulate);
    }
}

static void add_unit(const weights *z, const room *w, int64_t unit, int64_t group, int64_t split, float *sum, int accumulate)
{
    const conv2d *v = z->v;
    int64_t image = unit / z->bands, band = unit % z->bands, place = image * v->groups + group;
    int64_t first = band * v->out_h / z->bands, last = (band + 1) * v->out_h / z->bands;
    int64_t panels = z->padded / PANEL, plane = v->in_h * v->in_w;
    const float *end = z->x + v->images * v->channels * plane;
    pack_outputs(z, z->dy + (place * z->filters * v->out_h + first) * v->out_w, last - first, w->outputs);
    for (int64_t panel = split * panels / z->splits; panel < (split + 1) * panels / z->splits; panel++) {
        for (int64_t half = 0; half < PANEL; half += VL) {
            int64_t channel = panel * PANEL + half, count = larger(0, smaller(VL, z->channels - channel));
            int64_t high = window_size(&z->rows, first, last);
            memset(w->pixels + high * z->wide * VL, 0, (2 * z->high + 1 - high * z->wide) * VEC_BYTES);
            if (count > 0)
                symc_window_to_lanes_f32(z->x + (place * z->channels + channel) * plane, plane, count, v->in_h, v->in_w, end,
                                         window_start(&z->rows, first), window_start(&z->cols, 0), high, z->wide,
                                         z->wide * VL, w->pixels);
            else
                memset(w->pixels, 0, high * z->wide * VEC_BYTES);
            pair_pixels(w->pixels, z->high, w->even + half, w->odd + half);
        }
        multiply_unit(z, w, last - first, sum + panel * PANEL, accumulate);
    }
}

/* Tasks (group, share of the units, split of the channels). */
static void add_units(void *arg, int64_t begin, int64_t end)
{
    const weights *z = arg;
    int64_t units = z->v->images * z->bands, size = z->rows.taps * z->cols.taps * z->filters * z->padded;
    room w = {.outputs = symc_scratch(SLOT_BLOCK, z->filters * z->a_step * VEC_BYTES),
              .pixels = symc_scratch(SLOT_BAND, (2 * z->high + 1) * VEC_BYTES),
              .even = symc_scratch(SLOT_BAND_2, 2 * z->high * PANEL * sizeof(float))};
    w.odd = w.even + z->high * PANEL;
    symc_pair_tiles_begin();
    for (int64_t task = begin; task < end; task++) {
        int64_t split = task % z->splits, share = task / z->splits % z->shares, group = task / (z->splits * z->shares);
        int64_t first = share * units / z->shares, last = (share + 1) * units / z->shares;
        for (int64_t unit = first; unit < last; unit++)
            add_unit(z, &w, unit, group, split, z->partial + (group * z->shares + share) * size, unit > first);
    }
    symc_pair_tiles_end();
}

/* Sums the shares of filters [begin, end), counted through all groups, and puts the taps last. */
static void finish(void *arg, int64_t begin, int64_t end)
{
    const weights *z = arg;
    int64_t taps = z->rows.taps * z->cols.taps, size = taps * z->filters * z->padded;
    float *total = symc_scratch(SLOT_BLOCK_2, taps * z->channels * sizeof(float));
    for (int64_t m = begin; m < end; m++) {
        const float *from = z->partial + m / z->filters * z->shares * size + m % z->filters * z->padded;
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = 0; c < z->channels; c++) {
                float sum = from[t * z->filters * z->padded + c];
                for (int64_t s = 1; s < z->shares; s++)
                    sum += from[s * size + t * z->filters * z->padded + c];
                total[t * z->channels + c] = sum;
            }
        symc_transpose_f32(z->dw + m * taps * z->channels, taps, total, z->channels, taps, z->channels);
    }
}

static void plan(weights *z)
{
    const conv2d *v = z->v;
    int64_t threads = symc_num_threads(), panels = ceil_div(z->channels, PANEL);
    z->padded = panels * PANEL;
    z->wide = window_size(&z->cols, 0, v->out_w);
    int64_t most = OPERAND_BYTES / (2 * (z->filters + 2 * PANEL)); /* pixels */
    z->bands = smaller(v->out_h, ceil_div(v->out_h, larger(1, most / z->wide)));
    int64_t rows = ceil_div(v->out_h, z->bands);
    z->pixels = ceil_div(rows * z->wide, PAIRED) * PAIRED;
    z->a_step = z->pixels / PAIRED | 1; /* odd, so that the lines of a tile fall into different sets of the cache */
    z->distance = (window_size(&z->rows, 0, 1) - 1) * z->wide + window_size(&z->cols, 0, 1) - 1;
    z->high = larger(z->pixels + z->distance, window_size(&z->rows, 0, rows) * z->wide) / 2 + 1;
    z->splits = smaller(panels, ceil_div(threads, v->groups));
    z->shares = smaller(v->images * z->bands, ceil_div(threads, v->groups * z->splits));
    z->list = symc_scratch(SLOT_TABLE, z->pixels / PAIRED * sizeof *z->list);
    for (int64_t q = 0; q < z->pixels / PAIRED; q++)
        z->list[q] = (block_step){q * VL, q * VL};
}

int symc_paired_weights_suits(const conv2d *v)
{
    return v->step_h == 1 && v->step_w == 1 && v->out_h * v->out_w >= LEAST_PIXELS &&
           smaller(v->channels, v->filters) / v->groups >= VL;
}

void symc_paired_backward_weights(const conv2d *v, float *dw, const float *x, const float *dy)
{
    weights z = {.v = v, .x = x, .dy = dy, .dw = dw, .channels = v->channels / v->groups,
                 .filters = v->filters / v->groups, .rows = forward_axis(v, 0), .cols = forward_axis(v, 1)};
    plan(&z);
    int64_t taps = z.rows.taps * z.cols.taps;
    z.partial = symc_scratch(SLOT_PARTIAL, v->groups * z.shares * taps * z.filters * z.padded * sizeof(float));
    symc_parallel(add_units, &z, v->groups * z.shares * z.splits, 1);
    symc_parallel(finish, &z, v->filters, larger(1, 16384 / (taps * z.channels)));
}
#endif
