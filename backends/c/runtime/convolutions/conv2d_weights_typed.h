/* Convolution with respect to the weights. Compiled once per element type.
 *
 * dW (filters, taps * channels) is the product of dY (filters, pixels) and the matrix whose rows are the pixels'
 * neighbourhoods, channels innermost. Each thread takes a share of the pixels, a few hundred at a time, and adds up a
 * dW of its own; the shares are summed in order at the end, so the result does not depend on timing.
 */
#include "conv2d.h"
#include "conv2d_exchange.h"
#include "paired.h"
#include "dense.h"
#include "direct_weights.h"
#include "grouped.h"
#include "image_lanes.h"
#include "pixels.h"
#include "winograd.h"

enum {
    UNIT_PIXELS = 256,
    DIRECT_FILTERS = 2,             /* groups of one channel with at most this many filters use dot products */
    PARTIAL_BYTES = 256 << 20,      /* the largest memory for shares of dW */
    SERIAL_PRODUCTS = 1 << 16
};

/* A run of neighbouring elements of a neighbourhood. */
typedef struct {
    int64_t column, count, at;
} run;

typedef struct {
    gather g;
    band_shape shape;
    const real *dy;
    real *dw, *partial;
    int flip;
    int64_t columns;               /* taps * channels of a group */
    int64_t row_units, col_units;  /* units of pixels */
    int64_t pixels;                /* the most in one */
    int64_t shares, column_blocks; /* tasks of one group */
    const run *runs;               /* in ascending order of column; taps from first to last in the image */
    int64_t run_count;
} conv;

INLINE int64_t row_panels(const conv *v) { return ceil_div(v->g.filters, TILE_ROWS); }
INLINE int64_t panel_row(const conv *v, int64_t i) { return i * v->g.filters / row_panels(v); }

static void find_runs(conv *v)
{
    const gather *g = &v->g;
    run *list = symc_scratch(SLOT_TABLE, larger(1, g->taps_h * g->taps_w) * sizeof *list);
    int64_t n = 0, column = 0;
    for (int64_t i = 0; i < g->taps_h * g->taps_w; i++, column += g->channels) {
        int64_t tap = v->flip ? g->taps_h * g->taps_w - 1 - i : i;
        int64_t at = FN(symc_band_tap)(g, &v->shape, tap / g->taps_w, tap % g->taps_w) * g->channels;
        if (n > 0 && list[n - 1].at + list[n - 1].count == at)
            list[n - 1].count += g->channels;
        else
            list[n++] = (run){column, g->channels, at};
    }
    v->runs = list;
    v->run_count = n;
}

/* dY of a unit, by panel of filters: pixels x rows of the panel. */
static void pack_filters(const conv *v, const band *part, int64_t group, int64_t pixels, real *to)
{
    const gather *g = &v->g;
    int64_t width = part->last_col - part->first_col, plane = g->out_h * g->out_w;
    for (int64_t i = 0; i < row_panels(v); i++) {
        int64_t first = panel_row(v, i), rows = panel_row(v, i + 1) - first;
        real *panel = to + first * pixels;
        for (int64_t row = part->first_row; row < part->last_row;) {
            int64_t image = row / g->out_h, stop = row + 1;
            if (width == g->out_w) /* the rows of an image follow one another */
                stop = smaller(part->last_row, (image + 1) * g->out_h);
            const real *from = v->dy + ((image * g->groups + group) * g->filters + first) * plane +
                               row % g->out_h * g->out_w + part->first_col;
            FN(symc_transpose)(panel, rows, from, plane, rows, (stop - row) * width);
            panel += (stop - row) * width * rows;
            row = stop;
        }
    }
}

/* The pieces of the runs that make up columns [column, column + cols). */
static void cut_runs(const conv *v, int64_t column, int64_t cols, pixel_panel *to)
{
    const run *r = v->runs;
    while (column >= r->column + r->count)
        r++;
    to->runs = 0;
    for (int64_t lane = 0; lane < cols;) {
        int64_t skip = column + lane - r->column;
        pixel_run *piece = &to->run[to->runs++];
        piece->lane = lane, piece->at = r->at + skip;
        lane += smaller(VL, smaller(r->count - skip, cols - lane));
        if (column + lane == r->column + r->count)
            r++;
    }
    cover_lanes(to, cols);
}

/* The band's part of the images with channels last, at stride 1: straight from the images. Returns its end. */
static real *turn_band(const conv *v, const band *part, int64_t group, real *to)
{
    const gather *g = &v->g;
    int64_t length = v->shape.row_length, plane = g->in_h * g->in_w, n = g->channels;
    int64_t x = part->first_col + v->shape.first_tap_col;
    int64_t width = part->last_col - part->first_col - 1 + v->shape.span_w;
    int64_t from_x = smaller(width, larger(0, -x)), to_x = larger(from_x, smaller(width, g->in_w - x));
    for (int64_t row = part->first_row; row < part->last_row;) {
        int64_t image = row / g->out_h, stop = smaller(part->last_row, (image + 1) * g->out_h);
        int64_t top = row % g->out_h * g->step_h + v->shape.first_tap_row;
        int64_t rows = (stop - row - 1) * g->step_h + v->shape.span_h;
        const real *from = g->in + (image * g->groups + group) * n * plane + x + from_x;
        if (to_x - from_x == length && length == g->in_w && top >= 0 && top + rows <= g->in_h) {
            FN(symc_transpose)(to, n, from + top * g->in_w, plane, n, rows * length);
            to += rows * length * n;
        } else
            for (int64_t y = top; y < top + rows; y++, to += length * n) {
                if (y < 0 || y >= g->in_h || to_x == from_x) {
                    memset(to, 0, length * n * sizeof(real));
                    continue;
                }
                memset(to, 0, from_x * n * sizeof(real));
                memset(to + to_x * n, 0, (length - to_x) * n * sizeof(real));
                FN(symc_transpose)(to + from_x * n, n, from + y * g->in_w, plane, n, to_x - from_x);
            }
        row = stop;
    }
    return to;
}

/* The start of each pixel of a band in the copy with channels last. */
static void locate_pixels(const conv *v, const band *part, int64_t *at)
{
    int64_t n = 0;
    for (int64_t row = part->first_row; row < part->last_row; row++) {
        int64_t begin = FN(symc_band_row)(&v->g, &v->shape, part, row);
        for (int64_t col = 0; col < part->last_col - part->first_col; col++)
            at[n++] = (begin + col) * v->g.channels;
    }
}

static band unit_band(const conv *v, int64_t unit)
{
    const gather *g = &v->g;
    int64_t col = unit % v->col_units, row = unit / v->col_units, total = g->images * g->out_h;
    return (band){row * total / v->row_units, (row + 1) * total / v->row_units, col * g->out_w / v->col_units,
                  (col + 1) * g->out_w / v->col_units};
}

/* A thread's private memory, sufficient for any unit. */
typedef struct {
    real *planes, *by_pixel, *a, *b;
    int64_t *at;
} workspace;

static workspace take_workspace(const conv *v)
{
    size_t band_bytes = (v->g.channels * v->shape.plane + BAND_SLACK) * sizeof(real);
    return (workspace){.planes = symc_scratch(SLOT_BAND, band_bytes),
                       .by_pixel = v->g.channels > 1 ? symc_scratch(SLOT_BAND_2, band_bytes) : NULL,
                       .a = symc_scratch(SLOT_BLOCK, v->g.filters * v->pixels * sizeof(real)),
                       .b = symc_scratch(SLOT_BLOCK_2, (v->pixels * TILE_COLS + VL) * sizeof(real)),
                       .at = symc_scratch(SLOT_TABLE_2, v->pixels * sizeof(int64_t))};
}

/* Adds a unit's part to panels [first, last) of columns of the share at `sum` (filters, columns). */
static void add_unit(const conv *v, const workspace *w, int64_t unit, int64_t group, int64_t first, int64_t last,
                     real *sum, int accumulate)
{
    const gather *g = &v->g;
    band part = unit_band(v, unit);
    int64_t pixels = (part.last_row - part.first_row) * (part.last_col - part.first_col);
    int64_t plane = v->shape.plane;
    real *planes = w->planes, *by_pixel = w->by_pixel, *a = w->a, *b = w->b;
    if (g->channels >= VL && g->step_w == 1 && part.last_col - part.first_col >= VL)
        memset(turn_band(v, &part, group, by_pixel), 0, VL * sizeof(real));
    else {
        FN(symc_fill_band)(g, &v->shape, &part, group, 0, g->channels, planes);
        if (g->channels > 1) {
            FN(symc_transpose)(by_pixel, g->channels, planes, plane, g->channels, plane);
            memset(by_pixel + g->channels * plane, 0, VL * sizeof(real));
        } else
            by_pixel = planes;
    }
    pack_filters(v, &part, group, pixels, a);
    locate_pixels(v, &part, w->at);
    for (int64_t j = first; j < last; j++) {
        int64_t column = j * TILE_COLS, cols = smaller(TILE_COLS, v->columns - column);
        pixel_panel panel;
        cut_runs(v, column, cols, &panel);
        FN(symc_pack_pixels)(w->at, pixels, by_pixel, &panel, b);
        for (int64_t i = 0; i < row_panels(v); i++) {
            int64_t row = panel_row(v, i), rows = panel_row(v, i + 1) - row;
            FN(symc_tile)(rows, cols, pixels, a + row * pixels, rows, b, TILE_COLS, sum + row * v->columns + column,
                          v->columns, accumulate, NULL, in_order(a + (row + rows) * pixels));
        }
    }
}

/* ---- groups of one channel and a filter or two: dot products of dY with the shifted image ---- */

static void add_dots(const gather *g, const real *from, const real *dy, int64_t count, const int64_t *tap_at, vec *sums,
                     real *tails)
{
    for (int64_t k = 0; k < g->taps_h * g->taps_w; k++) {
        const real *x = from + tap_at[k];
        int64_t j = 0;
        for (; j + VL <= count; j += VL)
            sums[k] += load(dy + j) * load(x + j);
        for (; j < count; j++)
            tails[k] += dy[j] * x[j];
    }
}

static void dot_group(const conv *v, real *plane, vec *sums, int64_t *tap_at, int64_t group)
{
    const gather *g = &v->g;
    int64_t taps = g->taps_h * g->taps_w, outputs = g->filters * taps;
    real *tails = (real *)(sums + outputs);
    memset(sums, 0, outputs * (sizeof(vec) + sizeof(real)));
    for (int64_t k = 0; k < taps; k++)
        tap_at[k] = FN(symc_band_tap)(g, &v->shape, k / g->taps_w, k % g->taps_w);
    for (int64_t unit = 0; unit < v->row_units * v->col_units; unit++) {
        band part = unit_band(v, unit);
        FN(symc_fill_band)(g, &v->shape, &part, group, 0, 1, plane);
        for (int64_t row = part.first_row; row < part.last_row; row++) {
            const real *from = plane + FN(symc_band_row)(g, &v->shape, &part, row);
            for (int64_t m = 0; m < g->filters; m++) {
                int64_t out = (row / g->out_h * g->groups + group) * g->filters + m;
                const real *dy = v->dy + (out * g->out_h + row % g->out_h) * g->out_w + part.first_col;
                add_dots(g, from, dy, part.last_col - part.first_col, tap_at, sums + m * taps, tails + m * taps);
            }
        }
    }
    for (int64_t i = 0; i < outputs; i++)
        v->dw[group * outputs + i] = lane_sum(sums[i]) + tails[i];
}

static void dot_groups(void *arg, int64_t begin, int64_t end)
{
    const conv *v = arg;
    int64_t taps = v->g.taps_h * v->g.taps_w, outputs = v->g.filters * taps;
    real *plane = symc_scratch(SLOT_BAND, (v->shape.plane + BAND_SLACK) * sizeof(real));
    vec *sums = symc_scratch(SLOT_BLOCK, outputs * (sizeof(vec) + sizeof(real)));
    int64_t *tap_at = symc_scratch(SLOT_TABLE_2, taps * sizeof *tap_at);
    for (int64_t group = begin; group < end; group++)
        dot_group(v, plane, sums, tap_at, group);
}

/* ---- tasks ---- */

static void add_units(void *arg, int64_t begin, int64_t end)
{
    const conv *v = arg;
    int64_t units = v->row_units * v->col_units, panels = ceil_div(v->columns, TILE_COLS);
    workspace w = take_workspace(v);
    for (int64_t task = begin; task < end; task++) {
        int64_t block = task % v->column_blocks, share = task / v->column_blocks % v->shares;
        int64_t group = task / (v->column_blocks * v->shares);
        int64_t first = share * units / v->shares, last = (share + 1) * units / v->shares;
        real *sum = v->partial + (group * v->shares + share) * v->g.filters * v->columns;
        for (int64_t unit = first; unit < last; unit++)
            add_unit(v, &w, unit, group, block * panels / v->column_blocks, (block + 1) * panels / v->column_blocks,
                     sum, unit > first);
    }
}

/* Sums the shares of filters [begin, end) and puts the taps last. */
static void finish_filters(void *arg, int64_t begin, int64_t end)
{
    const conv *v = arg;
    const gather *g = &v->g;
    int64_t taps = g->taps_h * g->taps_w;
    real *total = symc_scratch(SLOT_BLOCK, v->columns * sizeof(real));
    for (int64_t m = begin; m < end; m++) {
        int64_t group = m / g->filters;
        const real *from = v->partial + (group * v->shares * g->filters + m % g->filters) * v->columns;
        for (int64_t tap = 0; tap < taps; tap++) {
            real *to = total + (v->flip ? taps - 1 - tap : tap) * g->channels;
            for (int64_t c = 0; c < g->channels; c++) {
                to[c] = from[tap * g->channels + c];
                for (int64_t s = 1; s < v->shares; s++)
                    to[c] += from[s * g->filters * v->columns + tap * g->channels + c];
            }
        }
        FN(symc_transpose)(v->dw + m * v->columns, taps, total, g->channels, taps, g->channels);
    }
}

static void clear_filters(void *arg, int64_t begin, int64_t end)
{
    const conv *v = arg;
    memset(v->dw + begin * v->columns, 0, (end - begin) * v->columns * sizeof(real));
}

/* Units of about UNIT_PIXELS pixels; one share per thread unless there are enough groups, or too little memory. */
static void plan(conv *v, int64_t pixels)
{
    const gather *g = &v->g;
    int64_t threads = symc_num_threads(), total = g->images * g->out_h;
    v->col_units = ceil_div(g->out_w, pixels);
    int64_t cols = ceil_div(g->out_w, v->col_units);
    v->row_units = larger(1, ceil_div(total, larger(1, pixels / cols)));
    v->shape = FN(symc_band_shape)(g, ceil_div(total, v->row_units), cols);
    v->pixels = ceil_div(total, v->row_units) * cols;
    int64_t wanted = ceil_div(threads, g->groups);
    v->shares = smaller(wanted, v->row_units * v->col_units);
    v->shares = smaller(v->shares, 1 + PARTIAL_BYTES / (g->groups * g->filters * v->columns * (int64_t)sizeof(real)));
    v->column_blocks = smaller(ceil_div(v->columns, TILE_COLS), ceil_div(wanted, v->shares));
}

static gather forward_gather(const conv2d *c, const real *x)
{
    gather g = {.images = c->images, .groups = c->groups, .channels = c->channels / c->groups,
                .filters = c->filters / c->groups, .in = x, .in_h = c->in_h, .in_w = c->in_w, .step_h = c->step_h,
                .step_w = c->step_w, .out_h = c->out_h, .out_w = c->out_w};
    FN(symc_forward_taps)(c, &g);
    return g;
}

/* Whether one product of all pixels is faster than a product for each tap. */
static int dense_saves_time(const conv2d *c, const gather *g)
{
    const double direct = 1.1 / VL * (double)(c->taps_h * c->taps_w * c->images * c->out_h * c->out_w) * (double)(c->channels * c->filters);
    const double dense = FN(symc_dense_steps)(c);
    return dense < direct && !(FN(symc_winograd_weights_suits)(g) && FN(symc_winograd_steps)(g) < dense);
}

method FN(symc_weights_method)(const conv2d *c)
{
    gather g = forward_gather(c, NULL);
#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
    if (symc_pairs == PAIRS_BY_TILES && symc_conv2d_preferred == ANY_METHOD && symc_paired_weights_suits(c))
        return BY_PAIRS;
#endif
    if (symc_conv2d_preferred == ONLY_PANELS || c->out_h * c->out_w <= 0)
        return BY_PANELS;
    if (FN(symc_grouped_suits)(c))
        return BY_GROUPS;
    if (g.channels == 1 && g.filters <= DIRECT_FILTERS)
        return BY_DOTS;
    if (dense_saves_time(c, &g))
        return BY_DENSE;
#if SYMC_HAS_TILES && !SYMC_DOUBLE
    if (symc_winograd_weights_parts_pay(&g))
        return BY_WINOGRAD_PARTS;
#endif
    if (FN(symc_winograd_weights_suits)(&g))
        return BY_WINOGRAD;
    if (symc_conv2d_preferred == ANY_METHOD && FN(symc_image_lanes_suit_weights)(c))
        return BY_IMAGES;
    return FN(symc_direct_weights_suits)(c) || exchange_suits(c) ? BY_BLOCKS : BY_PANELS;
}

void FN(symc_conv2d_backward_weights)(void *const *bufs, const int64_t *p)
{
    conv2d c = FN(symc_read_conv2d)(p);
    conv v = {.g = forward_gather(&c, bufs[1]), .dy = bufs[2], .dw = bufs[0], .flip = c.flip};
    const gather *g = &v.g;
    v.columns = c.taps_h * c.taps_w * g->channels;
    if (c.filters * v.columns <= 0)
        return;
    if (c.images * c.out_h * c.out_w <= 0) {
        symc_parallel(clear_filters, &v, c.filters, ceil_div(SERIAL_PRODUCTS, v.columns));
        return;
    }
    int64_t products = c.images * c.out_h * c.out_w * g->filters * v.columns; /* of one group */
    switch (FN(symc_weights_method)(&c)) {
#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
    case BY_PAIRS: symc_paired_backward_weights(&c, bufs[0], bufs[1], bufs[2]); return;
#endif
    case BY_GROUPS: FN(symc_grouped_backward_weights)(&c, bufs[0], bufs[1], bufs[2]); return;
    case BY_DENSE: FN(symc_dense_backward_weights)(&c, bufs[0], bufs[1], bufs[2]); return;
    case BY_IMAGES: FN(symc_image_lanes_backward_weights)(&c, bufs[0], bufs[1], bufs[2]); return;
    case BY_WINOGRAD: FN(symc_winograd_weights)(g, v.dy, v.dw); return;
#if SYMC_HAS_TILES && !SYMC_DOUBLE
    case BY_WINOGRAD_PARTS: symc_winograd_weights_parts(g, v.dy, v.dw); return;
#endif
    case BY_BLOCKS:
        if (exchange_suits(&c))
            exchanged_weights(&c, bufs[0], bufs[1], bufs[2]);
        else
            FN(symc_direct_backward_weights)(&c, bufs[0], bufs[1], bufs[2]);
        return;
    case BY_DOTS:
        plan(&v, 4096);
        symc_parallel(dot_groups, &v, g->groups, larger(1, SERIAL_PRODUCTS / products));
        return;
    default: break;
    }
    plan(&v, UNIT_PIXELS);
    find_runs(&v);
    v.partial = symc_scratch(SLOT_PARTIAL, c.groups * v.shares * g->filters * v.columns * sizeof(real));
    int64_t tasks = c.groups * v.shares * v.column_blocks;
    symc_parallel(add_units, &v, tasks, ceil_div(SERIAL_PRODUCTS * tasks, products * c.groups));
    symc_parallel(finish_filters, &v, c.filters, larger(1, 16384 / v.columns));
}
