/* Convolutions with many groups of few channels, with respect to the weights: lanes are groups, as in grouped_typed.h.
 * Compiled once per element type.
 *
 * Each thread takes a block of groups and a share of the images; the shares are added in order at the end. The sums of a
 * band of rows are made apart, so that no chain of additions is long.
 */
#include "grouped.h"

#include "blocks.h"
#include "axis.h"

enum { TAPS = 9 /* summed together */ };

typedef struct {
    const conv2d *v;
    const real *x, *dy;
    real *dw, *partial;
    int64_t channels, filters, taps;
    axis rows, cols;
    int64_t bands, band, left, wide, high;
    int64_t shares;
} grouped;

typedef struct {
    real *x, *dy, *turned;
    int64_t *at;
} workspace;

INLINE int64_t products(const grouped *z) { return z->channels * z->filters * z->taps; }

/* Adds the sums of a band through `n` taps to `total`. */
INLINE void sum_taps(int n, const grouped *z, int64_t rows, const int64_t *at, const real *x, const real *dy, real *total)
{
    int64_t row = z->rows.up * z->wide * VL, col = z->cols.up * VL;
    vec sum[TAPS];
    UNROLL
    for (int k = 0; k < n; k++)
        sum[k] = (vec){0};
    for (int64_t y = 0; y < rows; y++, x += row) {
        const real *p[TAPS];
        UNROLL
        for (int k = 0; k < n; k++)
            p[k] = x + at[k];
        for (int64_t i = 0; i < z->v->out_w; i++, dy += VL) {
            vec d = load(dy);
            UNROLL
            for (int k = 0; k < n; k++)
                sum[k] += d * load(p[k] + i * col);
        }
    }
    UNROLL
    for (int k = 0; k < n; k++)
        store(total + k * VL, load(total + k * VL) + sum[k]);
}

static void sum_some(int64_t n, const grouped *z, int64_t rows, const int64_t *at, const real *x, const real *dy,
                     real *total)
{
    switch (n) {
    case 1: sum_taps(1, z, rows, at, x, dy, total); return;
    case 2: sum_taps(2, z, rows, at, x, dy, total); return;
    case 3: sum_taps(3, z, rows, at, x, dy, total); return;
    case 4: sum_taps(4, z, rows, at, x, dy, total); return;
    case 5: sum_taps(5, z, rows, at, x, dy, total); return;
    case 6: sum_taps(6, z, rows, at, x, dy, total); return;
    case 7: sum_taps(7, z, rows, at, x, dy, total); return;
    case 8: sum_taps(8, z, rows, at, x, dy, total); return;
    case 9: sum_taps(9, z, rows, at, x, dy, total); return;
    }
}

static workspace take_workspace(const grouped *z)
{
    return (workspace){
        .x = symc_scratch(SLOT_BAND, z->channels * z->high * z->wide * VL * sizeof(real)),
        .dy = symc_scratch(SLOT_BAND_2, z->filters * z->band * z->v->out_w * VL * sizeof(real)),
        .at = symc_scratch(SLOT_TABLE_2, z->taps * sizeof(int64_t))};
}

/* Adds a band's part to total (filters, channels, taps): vectors. */
static void add_band(const grouped *z, const workspace *w, int64_t image, int64_t first_group, int64_t first, int64_t last,
                     real *total)
{
    const conv2d *v = z->v;
    int64_t groups = smaller(VL, v->groups - first_group), in_plane = v->in_h * v->in_w, out_plane = v->out_h * v->out_w;
    int64_t top = window_start(&z->rows, first), high = window_size(&z->rows, first, last), rows = last - first;
    const real *x = z->x + (image * v->groups + first_group) * z->channels * in_plane;
    const real *dy = z->dy + (image * v->groups + first_group) * z->filters * out_plane + first * v->out_w;
    const real *x_end = z->x + v->images * v->channels * in_plane, *dy_end = z->dy + v->images * v->filters * out_plane;
    for (int64_t c = 0; c < z->channels; c++)
        FN(symc_window_to_lanes)(x + c * in_plane, z->channels * in_plane, groups, v->in_h, v->in_w, x_end, top, z->left,
                                 high, z->wide, z->wide * VL, w->x + c * z->high * z->wide * VL);
    for (int64_t f = 0; f < z->filters; f++)
        FN(symc_to_lanes)(dy + f * out_plane, z->filters * out_plane, groups, rows * v->out_w, dy_end, rows * v->out_w, 0,
                          w->dy + f * rows * v->out_w * VL);
    for (int64_t k = 0; k < z->taps; k++) {
        int64_t row, col;
        tap_reads(&z->rows, first, k / v->taps_w, &row);
        tap_reads(&z->cols, 0, k % v->taps_w, &col);
        w->at[k] = ((row - top) * z->wide + col - z->left) * VL;
    }
    int64_t parts = ceil_div(z->taps, TAPS);
    for (int64_t i = 0; i < z->filters * z->channels; i++, total += z->taps * VL)
        for (int64_t part = 0; part < parts; part++) {
            int64_t k = part * z->taps / parts, n = (part + 1) * z->taps / parts - k;
            sum_some(n, z, rows, w->at + k, w->x + i % z->channels * z->high * z->wide * VL,
                     w->dy + i / z->channels * rows * v->out_w * VL, total + k * VL);
        }
}

/* Tasks (block of groups, share of the images and bands). */
static void add_shares(void *arg, int64_t begin, int64_t end)
{
    const grouped *z = arg;
    workspace w = take_workspace(z);
    int64_t units = z->v->images * z->bands;
    for (int64_t task = begin; task < end; task++) {
        int64_t share = task % z->shares, block = task / z->shares;
        real *total = z->partial + task * products(z) * VL;
        memset(total, 0, products(z) * VL * sizeof(real));
        for (int64_t unit = share * units / z->shares; unit < (share + 1) * units / z->shares; unit++) {
            int64_t image = unit / z->bands, band = unit % z->bands;
            add_band(z, &w, image, block * VL, band * z->v->out_h / z->bands, (band + 1) * z->v->out_h / z->bands, total);
        }
    }
}

/* Adds the shares of blocks of groups, and turns them back. */
static void finish_blocks(void *arg, int64_t begin, int64_t end)
{
    const grouped *z = arg;
    int64_t count = products(z);
    for (int64_t block = begin; block < end; block++) {
        real *total = z->partial + block * z->shares * count * VL;
        for (int64_t share = 1; share < z->shares; share++)
            for (int64_t i = 0; i < count * VL; i += VL)
                store(total + i, load(total + i) + load(total + share * count * VL + i));
        FN(symc_from_lanes)(total, count, VL, smaller(VL, z->v->groups - block * VL), count, NULL, z->dw + block * VL * count);
    }
}

void FN(symc_grouped_backward_weights)(const conv2d *v, real *dw, const real *x, const real *dy)
{
    grouped z = {.v = v, .x = x, .dy = dy, .dw = dw, .channels = v->channels / v->groups,
                 .filters = v->filters / v->groups, .taps = v->taps_h * v->taps_w, .rows = forward_axis(v, 0),
                 .cols = forward_axis(v, 1)};
    int64_t size = VL * (int64_t)sizeof(real), blocks = group_blocks(v);
    z.left = window_start(&z.cols, 0), z.wide = window_size(&z.cols, 0, v->out_w);
    z.band = band_rows(&z.rows, v->out_h, z.filters * v->out_w * size, z.channels * z.wide * size);
    z.bands = ceil_div(v->out_h, z.band);
    z.band = ceil_div(v->out_h, z.bands);
    z.high = window_size(&z.rows, 0, z.band);
    z.shares = smaller(v->images * z.bands, ceil_div(4 * symc_num_threads(), blocks));
    z.partial = symc_scratch(SLOT_PARTIAL, blocks * z.shares * products(&z) * size);
    symc_parallel(add_shares, &z, blocks * z.shares, 1);
    symc_parallel(finish_blocks, &z, blocks, 1);
}
