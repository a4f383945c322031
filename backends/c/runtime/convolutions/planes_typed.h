/* Depthwise convolutions, forward, plane by plane. Compiled once per element type.
 *
 * A band of a plane is copied to the first level cache with zeros around it, and with its columns split into even and odd
 * ones for stride 2, so that vectors of neighbouring output pixels read contiguous memory through every tap. Several
 * rows are summed together, since neighbouring rows read the same pixels.
 */
#include "planes.h"

#include "base/ahead.h"
#include "base/lanes.h"
#include "base/masked.h"

enum {
    ROWS = 4,                  /* summed together */
    WINDOW_BYTES = 32 << 10,   /* of a copied band: it stays in the first level cache */
    MOST_TAPS = 1024,
    FEW_TAPS = 121,            /* more suit one filter in a group, and rows that fill half a vector */
    FINISHED = 4096,           /* elements of small planes that are finished together */
    SERIAL_PRODUCTS = 1 << 16, /* the least multiplications for which another thread is used */
    MOST_FILTERS = 4           /* of a group */
};

INLINE int64_t reach(const axis *a) { return (a->taps - 1) * (a->dil < 0 ? -a->dil : a->dil); }

int FN(symc_planes_suit)(const conv2d *v)
{
    return v->groups >= 2 && v->channels == v->groups && v->filters % v->groups == 0 && v->filters > 0 &&
           v->filters <= MOST_FILTERS * v->groups && v->taps_h * v->taps_w > 0 && v->taps_h * v->taps_w <= MOST_TAPS &&
           v->step_w <= 2 && v->pad_h >= 0 && v->pad_w >= 0 && v->in_h * v->in_w > 0 && v->out_h > 0 &&
           4 * v->out_w >= VL && (v->taps_h * v->taps_w <= FEW_TAPS || (v->filters == v->groups && 2 * v->out_w >= VL));
}

int FN(symc_planes_suit_data)(const conv2d *v, conv2d *t)
{
    *t = *v;
    t->in_h = v->out_h, t->in_w = v->out_w, t->out_h = v->in_h, t->out_w = v->in_w;
    t->pad_h = (v->taps_h - 1) * v->dil_h - v->pad_h, t->pad_w = (v->taps_w - 1) * v->dil_w - v->pad_w;
    t->flip = !v->flip;
    return v->step_h == 1 && v->step_w == 1 && v->filters == v->groups && FN(symc_planes_suit)(t);
}

/* Taps in the order of the pixels that they read. */
INLINE axis ascending(axis a)
{
    return a.dil >= 0 ? a : (axis){a.taps, a.up, 1, a.base - reach(&a), -a.dil};
}

/* ---- copies ---- */

/* `high` rows of an image, whose column 0 becomes column `at` of the window; what is around them stays. */
INLINE void copy_rows(const real *from, int64_t high, int64_t width, int64_t at, int64_t row, row_end e, real *to)
{
    lane_mask last = first_lanes((width - 1) % VL + 1);
    to += at;
    for (; high > 0; high--, from += width, to += row) {
        int64_t x = 0;
        for (; x < width - VL; x += VL)
            store(to + x, finished(load(from + x), e));
        store_lanes(to + x, finished(load_lanes(from + x, last), e), last);
    }
}

/* The same with even columns of the window at `to`, and odd ones `phase` elements on. */
INLINE void split_rows(const real *from, int64_t high, int64_t width, int64_t at, int64_t phase, int64_t row, row_end e,
                       real *to)
{
    real *even = to + (at % 2) * phase + at / 2, *odd = to + (1 - at % 2) * phase + (at + 1) / 2;
    int64_t rest = (width - 1) % (2 * VL) + 1;
    lane_mask first = first_lanes(smaller(VL, rest)), second = first_lanes(larger(0, rest - VL));
    lane_mask evens = first_lanes((rest + 1) / 2), odds = first_lanes(rest / 2);
    for (; high > 0; high--, from += width, even += row, odd += row) {
        int64_t x = 0;
        for (; x < width - 2 * VL; x += 2 * VL) {
            vec a = finished(load(from + x), e), b = finished(load(from + x + VL), e);
            store(even + x / 2, SHUFFLE(a, b, EVEN_LANES));
            store(odd + x / 2, SHUFFLE(a, b, ODD_LANES));
        }
        vec a = finished(load_lanes(from + x, first), e), b = {0};
        if (rest > VL)
            b = finished(load_lanes(from + x + VL, second), e);
        store_lanes(even + x / 2, SHUFFLE(a, b, EVEN_LANES), evens);
        store_lanes(odd + x / 2, SHUFFLE(a, b, ODD_LANES), odds);
    }
}

window_rows FN(symc_rows_behind)(const planes *z, int64_t first, int64_t last)
{
    int64_t top = window_start(&z->rows, first), high = window_size(&z->rows, first, last);
    int64_t before = smaller(high, larger(0, -top)), behind = larger(before, smaller(high, z->v->in_h - top));
    return (window_rows){high, before, behind, top + before};
}

/* With a constant for whether they are finished. */
INLINE void copy_any_rows(const planes *z, const real *from, int64_t high, row_end e, real *to)
{
    if (z->cols.up == 1)
        copy_rows(from, high, z->v->in_w, -z->left, z->row, e, to);
    else
        split_rows(from, high, z->v->in_w, -z->left, z->phase, z->row, e, to);
}

void FN(symc_copy_window)(const planes *z, const real *from, window_rows r, int clean, const plain_rows *p, real *window)
{
    int64_t before = r.before, behind = r.behind;
    if (!clean) {
        memset(window, 0, before * z->row * sizeof(real));
        memset(window + behind * z->row, 0, (r.high - behind) * z->row * sizeof(real));
    }
    window += before * z->row;
    if (p)
        copy_any_rows(z, from, behind - before, row_end_of(p, 0), window);
    else
        copy_any_rows(z, from, behind - before, row_end_of(NULL, 0), window);
}

/* ---- sums ---- */

/* `rows` rows of vectors, `step` rows of the window apart, with constants for everything but distances. */
INLINE void sum_strip(int rows, int step, int taps_h, int taps_w, const real *window, int64_t row, const int64_t *col,
                      const real *weights, vec *sum)
{
    UNROLL
    for (int b = 0; b < rows; b++)
        sum[b] = (vec){0};
    UNROLL
    for (int q = 0; q < (rows - 1) * step + taps_h; q++) {
        UNROLL
        for (int s = 0; s < taps_w; s++) {
            vec x = load(window + q * row + col[s]);
            UNROLL
            for (int b = 0; b < rows; b++)
                if (q - b * step >= 0 && q - b * step < taps_h)
                    sum[b] += weights[(q - b * step) * taps_w + s] * x;
        }
    }
}

/* The same for any number of taps of neighbouring rows. Each row of the window is read once, for all sums that it is part of. */
INLINE void sum_rows_apart(const planes *z, int rows, const real *window, const real *weights, vec *sum)
{
    int64_t step = z->rows.up, taps_h = z->rows.taps, taps_w = z->cols.taps;
    UNROLL
    for (int b = 0; b < rows; b++)
        sum[b] = (vec){0};
    for (int64_t q = 0; q < (rows - 1) * step + taps_h; q++, window += z->row, weights += taps_w) {
        if (q >= (rows - 1) * step && q < taps_h) {
            for (int64_t s = 0; s < taps_w; s++) {
                vec x = load(window + z->col[s]);
                UNROLL
                for (int b = 0; b < rows; b++)
                    sum[b] += weights[s - b * step * taps_w] * x;
            }
            continue;
        }
        UNROLL
        for (int b = 0; b < rows; b++)
            if (q >= b * step && q < b * step + taps_h)
                for (int64_t s = 0; s < taps_w; s++)
                    sum[b] += weights[s - b * step * taps_w] * load(window + z->col[s]);
    }
}

/* The same for any taps. */
INLINE void sum_any(const planes *z, int rows, const real *window, const real *weights, vec *sum)
{
    UNROLL
    for (int b = 0; b < rows; b++)
        sum[b] = (vec){0};
    for (int64_t r = 0; r < z->rows.taps; r++, window += z->rows.dil * z->row)
        for (int64_t s = 0; s < z->cols.taps; s++, weights++) {
            UNROLL
            for (int b = 0; b < rows; b++)
                sum[b] += *weights * load(window + b * z->rows.up * z->row + z->col[s]);
        }
}

typedef enum { ANY_TAPS, MANY_ROWS, TAPS_3_1, TAPS_3_2, TAPS_5_1, TAPS_5_2 } kind;

static kind kind_of(const axis *rows, const axis *cols)
{
    int64_t taps = rows->taps, step = rows->up;
    if (cols->taps == taps && rows->dil == 1 && step <= 2 && (taps == 3 || taps == 5))
        return taps == 3 ? (step == 1 ? TAPS_3_1 : TAPS_3_2) : (step == 1 ? TAPS_5_1 : TAPS_5_2);
    return rows->dil == 1 && taps * cols->taps > FEW_TAPS ? MANY_ROWS : ANY_TAPS;
}

double FN(symc_planes_time)(const conv2d *v)
{
    const axis rows = ascending(forward_axis(v, 0)), cols = ascending(forward_axis(v, 1));
    const double of_plane = 130, of_vector = 2.7, of_product = kind_of(&rows, &cols) == ANY_TAPS ? 2.4 : 1.4;
    double filters = (double)(v->filters / v->groups), vectors = (double)(v->out_h * ceil_div(v->out_w, VL));
    double in = (double)(v->in_h * v->in_w), out = (double)(v->out_h * v->out_w) * filters;
    return (double)(v->images * v->groups) * (of_plane + of_vector * (in + out) / VL +
                                              of_product * vectors * filters * (double)(v->taps_h * v->taps_w));
}

INLINE void sum_block(const planes *z, kind k, int rows, int64_t x, const real *window, const real *weights, row_end e,
                      real *to)
{
    vec sum[ROWS];
    window += x;
    switch (k) {
    case TAPS_3_1: sum_strip(rows, 1, 3, 3, window, z->row, z->col, weights, sum); break;
    case TAPS_3_2: sum_strip(rows, 2, 3, 3, window, z->row, z->col, weights, sum); break;
    case TAPS_5_1: sum_strip(rows, 1, 5, 5, window, z->row, z->col, weights, sum); break;
    case TAPS_5_2: sum_strip(rows, 2, 5, 5, window, z->row, z->col, weights, sum); break;
    case MANY_ROWS: sum_rows_apart(z, rows, window, weights, sum); break;
    default: sum_any(z, rows, window, weights, sum);
    }
    UNROLL
    for (int b = 0; b < rows; b++)
        sum[b] = finished(sum[b], e);
    int64_t width = z->v->out_w;
    if (width >= VL) {
        UNROLL
        for (int b = 0; b < rows; b++)
            store(to + b * width + x, sum[b]);
    } else {
        lane_mask mask = first_lanes(width);
        UNROLL
        for (int b = 0; b < rows; b++)
            store_lanes(to + b * width, sum[b], mask);
    }
}

/* All rows of a band; the last vector of a row, and the last rows, overlap with those before. */
INLINE void sum_band(const planes *z, kind k, int64_t count, const real *window, const real *weights, row_end e, real *to)
{
    int64_t width = z->v->out_w, step = z->rows.up * z->row;
    for (int64_t i = 0; i < width; i += VL) {
        int64_t x = larger(0, smaller(i, width - VL));
        if (count < ROWS) {
            for (int64_t y = 0; y < count; y++)
                sum_block(z, k, 1, x, window + y * step, weights, e, to + y * width);
            continue;
        }
        for (int64_t y = 0; y < count; y += ROWS) {
            y = smaller(y, count - ROWS);
            sum_block(z, k, ROWS, x, window + y * step, weights, e, to + y * width);
        }
    }
}

static void sum_rows(const planes *z, int64_t count, const real *window, const real *weights, row_end e, real *to)
{
    switch (kind_of(&z->rows, &z->cols)) {
    case TAPS_3_1: sum_band(z, TAPS_3_1, count, window, weights, e, to); return;
    case TAPS_3_2: sum_band(z, TAPS_3_2, count, window, weights, e, to); return;
    case TAPS_5_1: sum_band(z, TAPS_5_1, count, window, weights, e, to); return;
    case TAPS_5_2: sum_band(z, TAPS_5_2, count, window, weights, e, to); return;
    case MANY_ROWS: sum_band(z, MANY_ROWS, count, window, weights, e, to); return;
    default: sum_band(z, ANY_TAPS, count, window, weights, e, to);
    }
}

/* ---- tasks ---- */

/* Whether pixels are fetched while those before them are summed: copying alone would wait for them. */
INLINE int fetches_pixels(const conv2d *v)
{
    return are_uncached(v->images * (v->channels * v->in_h * v->in_w + v->filters * v->out_h * v->out_w));
}

INLINE int64_t plane_size(const planes *z) { return z->v->out_h * z->v->out_w; }

void FN(symc_sum_window)(const planes *z, int64_t group, int64_t count, int64_t row, const real *window, real *to, int64_t plane)
{
    int64_t taps = z->rows.taps * z->cols.taps;
    const real *from = z->weights + group * z->filters * taps;
    real turned[MOST_TAPS];
    for (int64_t f = 0; f < z->filters; f++, from += taps, to += plane) {
        if (z->v->flip)
            for (int64_t t = 0; t < taps; t++)
                turned[t] = from[taps - 1 - t];
        plain_rows own;
        const plain_rows *p = plain_rows_of(z->v->epilogue, row + f, 1, &own);
        sum_rows(z, count, window, z->v->flip ? turned : from, row_end_of(p, 0), to);
    }
}

/* The sums of rows [first, first + count) of all filters of a group, from a window. */
static void sum_filters(const planes *z, int64_t plane, int64_t group, int64_t first, int64_t count, const real *window)
{
    real *to = z->out + plane * z->filters * plane_size(z) + first * z->v->out_w;
    FN(symc_sum_window)(z, group, count, plane * z->filters, window, to, plane_size(z));
}

/* What is not plain: columns of `count` planes of the images. */
static void finish_rest(const planes *z, int64_t plane, int64_t count, int64_t first, int64_t columns)
{
    if (!is_plain_epilogue(z->v->epilogue))
        finish_columns(z->v->epilogue, plane * z->filters, count * z->filters, first, columns);
}

/* Whole planes. The next one is copied before one is summed: what was just written is slow to read across stores. */
static void run_planes(const planes *z, int64_t begin, int64_t end, real *window)
{
    const conv2d *v = z->v;
    window_rows r = FN(symc_rows_behind)(z, 0, v->out_h);
    int64_t size = v->in_h * v->in_w, group = begin % v->groups, waiting = begin;
    const int fetches = fetches_pixels(v);
    int64_t together = larger(1, FINISHED / (z->filters * plane_size(z)));
    real *next = window + window_size_of(z);
    if (begin < end)
        FN(symc_copy_window)(z, z->in + begin * size + r.top * v->in_w, r, 1, NULL, window);
    for (int64_t plane = begin; plane < end; plane++) {
        if (plane + 1 < end)
            FN(symc_copy_window)(z, z->in + (plane + 1) * size + r.top * v->in_w, r, 1, NULL, next);
        if (fetches && plane + 3 < end)
            fetch_elements(z->in + (plane + 3) * size, size);
        sum_filters(z, plane, group, 0, v->out_h, window);
        group = group + 1 == v->groups ? 0 : group + 1;
        real *other = window;
        window = next, next = other;
        if (plane + 1 - waiting == together || plane + 1 == end) { /* small planes together */
            finish_rest(z, waiting, plane + 1 - waiting, 0, plane_size(z));
            waiting = plane + 1;
        }
    }
}

/* Tasks (image and group, band). */
static void run_bands(void *arg, int64_t begin, int64_t end)
{
    const planes *z = arg;
    const conv2d *v = z->v;
    size_t bytes = 2 * window_size_of(z) * sizeof(real);
    real *window = symc_scratch(SLOT_BAND, bytes);
    if (begin < end)
        memset(window, 0, bytes);
    if (z->bands == 1) {
        run_planes(z, begin, end, window);
        return;
    }
    const int fetches = fetches_pixels(v);
    for (int64_t task = begin; task < end; task++) {
        int64_t plane = task / z->bands, band = task % z->bands;
        int64_t first = band_start(z, band), count = band_start(z, band + 1) - first;
        window_rows r = FN(symc_rows_behind)(z, first, first + count);
        FN(symc_copy_window)(z, z->in + (plane * v->in_h + r.top) * v->in_w, r, 0, NULL, window);
        if (fetches && task + 1 < end)
            fetch_elements(z->in + (plane * v->in_h + r.top + r.behind - r.before) * v->in_w, (r.behind - r.before) * v->in_w);
        sum_filters(z, plane, plane % v->groups, first, count, window);
        finish_rest(z, plane, 1, first * v->out_w, count * v->out_w);
    }
}

void FN(symc_divide_planes)(planes *z, int64_t bands)
{
    z->bands = bands, z->high = 0;
    for (int64_t i = 0; i < bands; i++)
        z->high = larger(z->high, window_size(&z->rows, band_start(z, i), band_start(z, i + 1)));
}

int64_t FN(symc_least_bands)(const planes *z)
{
    int64_t bands = 1, most = WINDOW_BYTES / (z->row * (int64_t)sizeof(real));
    while (bands < z->v->out_h && window_size(&z->rows, 0, ceil_div(z->v->out_h, bands)) > most)
        bands++;
    return bands;
}

planes FN(symc_planes_of)(const conv2d *v, const real *weights)
{
    planes z = {.v = v, .weights = weights, .filters = v->filters / v->groups, .rows = ascending(forward_axis(v, 0)),
                .cols = ascending(forward_axis(v, 1))};
    z.left = window_start(&z.cols, 0);
    int64_t wide = larger(window_size(&z.cols, 0, v->out_w), v->in_w - z.left);
    z.phase = (ceil_div(wide, z.cols.up) / VL + 2) * VL;
    z.row = z.phase * z.cols.up;
    int64_t *col = symc_scratch(SLOT_TAPS, z.cols.taps * sizeof *col);
    for (int64_t s = 0; s < z.cols.taps; s++) {
        int64_t at = z.cols.base + s * z.cols.dil - z.left;
        col[s] = at % z.cols.up * z.phase + at / z.cols.up;
    }
    z.col = col;
    return z;
}

void FN(symc_planes_forward)(const conv2d *v, real *y, const real *x, const real *weights)
{
    int64_t threads = symc_num_threads(), tasks = v->images * v->groups;
    if (v->images <= 0)
        return;
    planes z = FN(symc_planes_of)(v, weights);
    z.in = x, z.out = y;
    int64_t bands = FN(symc_least_bands)(&z);
    if (tasks * bands < 4 * threads)
        bands = smaller(v->out_h, larger(bands, ceil_div(threads, tasks)));
    FN(symc_divide_planes)(&z, bands);
    int64_t work = z.filters * z.rows.taps * z.cols.taps * ceil_div(v->out_h, z.bands) * (v->out_w + VL);
    symc_parallel(run_bands, &z, v->images * v->groups * z.bands, larger(1, SERIAL_PRODUCTS / work));
}
