/* Convolutions with respect to the weights, any taps and strides. Compiled once per element type.
 *
 * The part of the images behind a few hundred output pixels, a unit, is turned so that channels are innermost: by blocks of
 * VL channels, or all together where they do not fill blocks. dY is turned so that a pixel's filters are vectors. The sums
 * of a few neighbouring channels (or taps and channels) and a block of filters then stay in registers over all pixels of
 * the unit: operands are read in place through each tap, at any stride.
 *
 * Each thread takes a share of the units and adds up sums of its own; the shares are added in order at the end.
 */
#include "direct_weights.h"

#include "axis.h"
#include "blocks.h"
#include "products/tile.h"

enum {
    UNIT_PIXELS = 192,          /* operands of a tile of sums stay in the first level cache */
    UNIT_BYTES = 512 << 10,     /* of the turned part of the images: in the second level cache */
    ROW_BYTES = 1 << 20,        /* the most for one output row */
    PARTIAL_BYTES = 256 << 20,  /* the most memory for shares of dW */
    BLOCK_ROWS = VL > 4 ? VL / 2 : VL, /* channels summed together where they are in blocks */
    LEAST_FILTERS = VL / 2,
    SERIAL_PRODUCTS = 1 << 16
};

/* Neighbouring elements of the turned images that are summed together, for a block of filters. */
typedef struct {
    int64_t at, rows, sum; /* the first in a unit, their number, the row of sums */
} panel;

typedef struct {
    const conv2d *v;
    const real *x, *dy;
    real *dw, *partial;
    int64_t channels, filters, taps;           /* of a group */
    axis rows, cols;
    int64_t lanes, steps;                      /* channels that are neighbours, and blocks of them */
    int64_t blocks;                            /* of TILE_COLS filters */
    int64_t images, band, bands, units;        /* of a unit: images and the most output rows; bands of an image; units of all */
    int64_t high, wide;                        /* the most rows and the columns of a unit's part of an image */
    int64_t shares, pieces;                    /* tasks of a group: shares of the units times pieces of the filters */
    const panel *panels;
    int64_t panel_count;
} direct;

typedef struct {
    int64_t first, count, first_row, rows; /* images and output rows */
} unit;

INLINE int64_t block_cols(const direct *z, int64_t block) { return z->filters - block * TILE_COLS > VL ? TILE_COLS : VL; }

/* Rows of TILE_COLS sums for a block of filters. */
INLINE int64_t sum_rows(const direct *z) { return z->taps * z->steps * z->lanes; }
INLINE int64_t share_size(const direct *z) { return z->blocks * sum_rows(z) * TILE_COLS; }
INLINE int64_t unit_size(const direct *z) { return z->images * z->high * z->wide * z->lanes; } /* of a block of channels */

static unit find_unit(const direct *z, int64_t i)
{
    int64_t band = i % z->bands, first = i / z->bands * z->images, row = band * z->v->out_h / z->bands;
    return (unit){first, smaller(z->images, z->v->images - first), row, (band + 1) * z->v->out_h / z->bands - row};
}

/* ---- the inner kernel ---- */

typedef struct {
    int64_t high, wide, a_row, a_col; /* pixels; elements between rows and columns of A */
    int accumulate;
} area;

typedef void area_kernel(const area *s, const real *a, const real *b, real *c);

/* c[r * TILE_COLS + j] = sum over pixels of a[pixel's + r] * b[pixel * TILE_COLS + j] */
INLINE void sum_area(int rows, int vecs, const area *s, const real *a, const real *b, real *c)
{
    vec sum[TILE_ROWS][2];
    const int64_t a_col = s->a_col;
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++) {
            sum[r][v] = (vec){0};
            __builtin_prefetch(c + r * TILE_COLS + v * VL, 1);
        }
    }
    for (int64_t y = 0; y < s->high; y++, a += s->a_row) {
        const real *p = a;
        for (int64_t x = 0; x < s->wide; x++, p += a_col, b += TILE_COLS)
            add_row_products(rows, vecs, p, 1, b, sum);
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++) {
            real *to = c + r * TILE_COLS + v * VL;
            store(to, s->accumulate ? load(to) + sum[r][v] : sum[r][v]);
        }
    }
}

#define KERNEL(ROWS, VECS)                                                                                          \
    static void kernel_##ROWS##_##VECS(const area *s, const real *a, const real *b, real *c)                        \
    {                                                                                                               \
        sum_area(ROWS, VECS, s, a, b, c);                                                                           \
    }
#define KERNELS(ROWS) KERNEL(ROWS, 1) KERNEL(ROWS, 2)
#define KERNEL_PAIR(ROWS) {kernel_##ROWS##_1, kernel_##ROWS##_2}

KERNELS(1) KERNELS(2) KERNELS(3) KERNELS(4) KERNELS(5) KERNELS(6)
#if TILE_ROWS > 6
KERNELS(7) KERNELS(8) KERNELS(9) KERNELS(10) KERNELS(11) KERNELS(12) KERNELS(13) KERNELS(14)
#endif

static area_kernel *const kernels[TILE_ROWS][2] = {
    KERNEL_PAIR(1), KERNEL_PAIR(2), KERNEL_PAIR(3), KERNEL_PAIR(4), KERNEL_PAIR(5), KERNEL_PAIR(6),
#if TILE_ROWS > 6
    KERNEL_PAIR(7), KERNEL_PAIR(8), KERNEL_PAIR(9), KERNEL_PAIR(10), KERNEL_PAIR(11), KERNEL_PAIR(12), KERNEL_PAIR(13),
    KERNEL_PAIR(14),
#endif
};

/* ---- units ---- */

/* One image's part of a unit, all channels together: rows of pixels of `lanes` elements. */
static void turn_together(const direct *z, const real *in, int64_t top, int64_t left, int64_t high, real *to)
{
    const conv2d *v = z->v;
    int64_t n = z->lanes, plane = v->in_h * v->in_w;
    int64_t from_x = smaller(z->wide, larger(0, -left)), to_x = larger(from_x, smaller(z->wide, v->in_w - left));
    for (int64_t y = top; y < top + high; y++, to += z->wide * n) {
        if (y < 0 || y >= v->in_h || from_x == to_x) {
            memset(to, 0, z->wide * n * sizeof(real));
            continue;
        }
        const real *from = in + y * v->in_w + left + from_x;
        memset(to, 0, from_x * n * sizeof(real));
        memset(to + to_x * n, 0, (z->wide - to_x) * n * sizeof(real));
        if (n == 1)
            memcpy(to + from_x, from, (to_x - from_x) * sizeof(real));
        else
            FN(symc_transpose)(to + from_x * n, n, from, plane, n, to_x - from_x);
    }
}

static void turn_images(const direct *z, const unit *u, int64_t group, real *to)
{
    const conv2d *v = z->v;
    int64_t plane = v->in_h * v->in_w, size = z->high * z->wide * z->lanes;
    int64_t top = window_start(&z->rows, u->first_row), left = window_start(&z->cols, 0);
    int64_t high = window_size(&z->rows, u->first_row, u->first_row + u->rows);
    const real *end = z->x + v->images * v->channels * plane;
    for (int64_t i = 0; i < u->count; i++) {
        const real *in = z->x + ((u->first + i) * v->groups + group) * z->channels * plane;
        if (z->steps == 1 && z->lanes == z->channels) {
            turn_together(z, in, top, left, high, to + i * size);
            continue;
        }
        for (int64_t step = 0; step < z->steps; step++)
            FN(symc_window_to_lanes)(in + step * VL * plane, plane, smaller(VL, z->channels - step * VL), v->in_h,
                                     v->in_w, end, top, left, high, z->wide, z->wide * VL,
                                     to + step * unit_size(z) + i * size);
    }
}

/* A block of filters: pixels of TILE_COLS elements. */
static void turn_gradient(const direct *z, const unit *u, int64_t group, int64_t block, real *to)
{
    const conv2d *v = z->v;
    int64_t plane = v->out_h * v->out_w, pixels = u->rows * v->out_w;
    int64_t rows = smaller(TILE_COLS, z->filters - block * TILE_COLS);
    if (rows % VL)
        memset(to, 0, u->count * pixels * TILE_COLS * sizeof(real));
    for (int64_t i = 0; i < u->count; i++)
        FN(symc_transpose)(to + i * pixels * TILE_COLS, TILE_COLS,
                           z->dy + (((u->first + i) * v->groups + group) * z->filters + block * TILE_COLS) * plane +
                               u->first_row * v->out_w,
                           plane, rows, pixels);
}

/* dY of a block of filters where it is: what is turned next is fetched while the one before is multiplied. */
typedef struct {
    const real *from;
    int64_t filters, pixels; /* none, or some */
} following;

static following find_gradient(const direct *z, const unit *u, int64_t group, int64_t block)
{
    const conv2d *v = z->v;
    int64_t first = block * TILE_COLS, plane = (u->first * v->groups + group) * z->filters + first;
    return (following){z->dy + (plane * v->out_h + u->first_row) * v->out_w, smaller(TILE_COLS, z->filters - first),
                       u->rows * v->out_w};
}

/* Adds a unit's part to the sums of a block of filters. */
static void add_block(const direct *z, const unit *u, int64_t cols, const real *image, const real *gradient, real *sums,
                      int accumulate, following next)
{
    int64_t pixels = u->rows * z->v->out_w, size = z->high * z->wide * z->lanes, count = u->count;
    area s = {u->rows, z->v->out_w, z->rows.up * z->wide * z->lanes, z->cols.up * z->lanes, accumulate};
    if (s.a_row == s.wide * s.a_col) { /* rows follow one another, and perhaps images */
        s.wide *= s.high, s.high = 1;
        if (size == s.wide * s.a_col)
            s.wide *= count, count = 1;
    }
    for (int64_t k = 0; k < z->panel_count; k++) {
        const panel *p = &z->panels[k];
        for (int64_t f = k * next.filters / z->panel_count; f < (k + 1) * next.filters / z->panel_count; f++)
            fetch_elements(next.from + f * z->v->out_h * z->v->out_w, next.pixels);
        for (int64_t i = 0; i < count; i++) {
            s.accumulate = accumulate || i > 0;
            kernels[p->rows - 1][cols > VL](&s, image + p->at + i * size, gradient + i * pixels * TILE_COLS,
                                            sums + p->sum * TILE_COLS);
        }
    }
}

/* Tasks (group, share, piece of the filters). */
static void add_units(void *arg, int64_t begin, int64_t end)
{
    const direct *z = arg;
    real *image = symc_scratch(SLOT_BAND, z->steps * unit_size(z) * sizeof(real));
    const int fetches = z->bands > 1 && are_uncached(z->v->images * z->v->filters * z->v->out_h * z->v->out_w);
    real *gradient = symc_scratch(SLOT_BLOCK, z->images * z->band * z->v->out_w * TILE_COLS * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        int64_t piece = task % z->pieces, share = task / z->pieces % z->shares, group = task / (z->pieces * z->shares);
        int64_t first = share * z->units / z->shares, last = (share + 1) * z->units / z->shares;
        real *sums = z->partial + (group * z->shares + share) * share_size(z);
        for (int64_t i = first; i < last; i++) {
            unit u = find_unit(z, i);
            turn_images(z, &u, group, image);
            int64_t from = piece * z->blocks / z->pieces, to = (piece + 1) * z->blocks / z->pieces;
            for (int64_t block = from; block < to; block++) {
                int behind = block + 1 == to;
                unit after = behind && i + 1 < last ? find_unit(z, i + 1) : u;
                following next = {0};
                if (fetches && (!behind || i + 1 < last))
                    next = find_gradient(z, &after, group, behind ? from : block + 1);
                turn_gradient(z, &u, group, block, gradient);
                add_block(z, &u, block_cols(z, block), image, gradient, sums + block * sum_rows(z) * TILE_COLS, i > first, next);
            }
        }
    }
}

/* ---- sums to filters ---- */

/* The row of sums of a tap and channel 0: neighbouring taps are summed in the order of the image. */
INLINE int64_t tap_row(const direct *z, int64_t tap)
{
    int64_t s = tap % z->cols.taps;
    return (tap - s + (z->cols.dil < 0 ? z->cols.taps - 1 - s : s)) * z->steps * z->lanes;
}

enum { FINISHED_CHANNELS = 32 };

/* Tasks (group, block of filters, FINISHED_CHANNELS channels): adds the shares, and turns them back. */
static void finish_blocks(void *arg, int64_t begin, int64_t end)
{
    const direct *z = arg;
    int64_t pieces = ceil_div(z->channels, FINISHED_CHANNELS);
    real *turned = symc_scratch(SLOT_ROW, smaller(z->channels, FINISHED_CHANNELS) * z->taps * VL * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        int64_t block = task / pieces % z->blocks, group = task / (pieces * z->blocks);
        int64_t first = task % pieces * FINISHED_CHANNELS, count = smaller(FINISHED_CHANNELS, z->channels - first);
        for (int64_t half = 0; half < block_cols(z, block); half += VL) {
            const real *sums = z->partial + group * z->shares * share_size(z) + (block * sum_rows(z) + first) * TILE_COLS + half;
            int64_t filter = block * TILE_COLS + half;
            for (int64_t tap = 0; tap < z->taps; tap++)
                for (int64_t c = 0; c < count; c++) {
                    const real *from = sums + (tap_row(z, tap) + c) * TILE_COLS;
                    vec sum = load(from);
                    for (int64_t s = 1; s < z->shares; s++)
                        sum += load(from + s * share_size(z));
                    store(turned + (c * z->taps + tap) * VL, sum);
                }
            FN(symc_from_lanes)(turned, count * z->taps, VL, smaller(VL, z->filters - filter), z->channels * z->taps, NULL,
                                z->dw + ((group * z->filters + filter) * z->channels + first) * z->taps);
        }
    }
}

/* ---- all ---- */

INLINE int fill_blocks(int64_t channels) { return 7 * ceil_div(channels, VL) * VL <= 8 * channels; }

/* The first element that tap (r, s) reads for a unit's first pixel, relative to the unit's start. */
static int64_t tap_at(const direct *z, int64_t r, int64_t s)
{
    int64_t row, col;
    tap_reads(&z->rows, 0, r, &row);
    tap_reads(&z->cols, 0, s, &col);
    return ((row - window_start(&z->rows, 0)) * z->wide + col - window_start(&z->cols, 0)) * z->lanes;
}

static void list_panels(direct *z)
{
    int64_t together = z->steps == 1 && z->lanes == z->channels, most = together ? TILE_ROWS : BLOCK_ROWS;
    int64_t merged = together && z->cols.dil * z->cols.dil == 1 ? z->cols.taps : 1, run = merged * z->lanes;
    int64_t parts = ceil_div(run, most), n = 0;
    panel *list = symc_scratch(SLOT_TABLE, z->taps / merged * z->steps * parts * sizeof *list);
    for (int64_t tap = 0; tap < z->taps; tap += merged)
        for (int64_t step = 0; step < z->steps; step++)
            for (int64_t i = 0; i < parts; i++) {
                int64_t first = i * run / parts, s = merged > 1 && z->cols.dil < 0 ? z->cols.taps - 1 : tap % z->cols.taps;
                int64_t sum = merged > 1 ? tap * z->lanes : tap_row(z, tap) + step * z->lanes;
                list[n++] = (panel){tap_at(z, tap / z->cols.taps, s) + step * unit_size(z) + first,
                                    (i + 1) * run / parts - first, sum + first};
            }
    z->panels = list, z->panel_count = n;
}

static void plan(direct *z)
{
    const conv2d *v = z->v;
    int64_t threads = symc_num_threads(), pixel = z->steps * z->lanes * (int64_t)sizeof(real);
    z->wide = window_size(&z->cols, 0, v->out_w);
    z->bands = 1;
    while (z->bands < v->out_h && (ceil_div(v->out_h, z->bands) * v->out_w > UNIT_PIXELS ||
                                   window_size(&z->rows, 0, ceil_div(v->out_h, z->bands)) * z->wide * pixel > UNIT_BYTES))
        z->bands++;
    z->band = ceil_div(v->out_h, z->bands);
    z->high = window_size(&z->rows, 0, z->band);
    z->images = z->bands > 1 ? 1 : smaller(UNIT_PIXELS / (v->out_h * v->out_w), UNIT_BYTES / (z->high * z->wide * pixel));
    z->images = larger(1, smaller(z->images, ceil_div(v->images * v->groups, threads)));
    z->units = ceil_div(v->images, z->images) * z->bands;
    int64_t wanted = ceil_div(threads, v->groups), bytes = v->groups * share_size(z) * (int64_t)sizeof(real);
    z->shares = smaller(smaller(wanted, z->units), 1 + PARTIAL_BYTES / bytes);
    z->pieces = smaller(z->blocks, ceil_div(wanted, z->shares));
}

int FN(symc_direct_weights_suits)(const conv2d *v)
{
    int64_t channels = v->channels / v->groups;
    axis rows = forward_axis(v, 0), cols = forward_axis(v, 1);
    if (channels <= 0 || v->filters / v->groups < LEAST_FILTERS || v->taps_h * v->taps_w <= 0 || v->out_h * v->out_w <= 0)
        return 0;
    int64_t lanes = fill_blocks(channels) ? ceil_div(channels, VL) * VL : channels;
    return window_size(&rows, 0, 1) * window_size(&cols, 0, v->out_w) * lanes * (int64_t)sizeof(real) <= ROW_BYTES;
}

void FN(symc_direct_backward_weights)(const conv2d *v, real *dw, const real *x, const real *dy)
{
    direct z = {.v = v, .x = x, .dy = dy, .dw = dw, .channels = v->channels / v->groups,
                .filters = v->filters / v->groups, .taps = v->taps_h * v->taps_w, .rows = forward_axis(v, 0),
                .cols = forward_axis(v, 1)};
    z.lanes = fill_blocks(z.channels) ? VL : z.channels;
    z.steps = ceil_div(z.channels, z.lanes);
    z.blocks = ceil_div(z.filters, TILE_COLS);
    plan(&z);
    list_panels(&z);
    z.partial = symc_scratch(SLOT_PARTIAL, v->groups * z.shares * share_size(&z) * sizeof(real));
    int64_t tasks = v->groups * z.shares * z.pieces;
    int64_t products = v->images * v->out_h * v->out_w * z.filters * z.channels * z.taps * v->groups / tasks;
    symc_parallel(add_units, &z, tasks, larger(1, SERIAL_PRODUCTS / larger(1, products)));
    symc_parallel(finish_blocks, &z, v->groups * z.blocks * ceil_div(z.channels, FINISHED_CHANNELS),
                  larger(1, 16384 / (FINISHED_CHANNELS * z.taps * TILE_COLS)));
}
