/* Padded copies of parts of images. See gather.h. Compiled once per element type. */
#include "gather.h"

#include "base/ahead.h"
#include "base/lanes.h"
#include "base/masked.h"

static void extent(const int64_t *taps, int64_t count, int64_t *first, int64_t *span)
{
    int64_t low = taps[0], high = taps[0];
    for (int64_t i = 1; i < count; i++) {
        low = smaller(low, taps[i]);
        high = larger(high, taps[i]);
    }
    *first = low;
    *span = high - low + 1;
}

/* Number of input rows read by `rows` consecutive output rows of one image. */
INLINE int64_t rows_behind(const gather *g, const band_shape *shape, int64_t rows)
{
    return (rows - 1) * g->step_h + shape->span_h;
}

band_shape FN(symc_band_shape)(const gather *g, int64_t rows, int64_t cols)
{
    band_shape shape;
    extent(g->tap_row, g->taps_h, &shape.first_tap_row, &shape.span_h);
    extent(g->tap_col, g->taps_w, &shape.first_tap_col, &shape.span_w);
    shape.phase_length = cols + (shape.span_w - 1) / g->step_w;
    shape.row_length = shape.phase_length * g->step_w;
    /* a band that spans images has a slab of rows per image, of which the first and last may be short */
    int64_t slabs = smaller(g->images, (rows + g->out_h - 2) / g->out_h + 1);
    int64_t band_rows = rows * g->step_h + slabs * larger(0, shape.span_h - g->step_h);
    shape.plane = band_rows * shape.row_length;
    return shape;
}

int64_t FN(symc_band_row)(const gather *g, const band_shape *shape, const band *part, int64_t row)
{
    int64_t image = row / g->out_h, first = larger(part->first_row, image * g->out_h), before = 0;
    if (first > part->first_row) {
        int64_t whole = image - part->first_row / g->out_h - 1, rest = g->out_h - part->first_row % g->out_h;
        before = rows_behind(g, shape, rest) + whole * rows_behind(g, shape, g->out_h);
    }
    return (before + (row - first) * g->step_h) * shape->row_length;
}

int64_t FN(symc_band_tap)(const gather *g, const band_shape *shape, int64_t r, int64_t s)
{
    int64_t row = g->tap_row[r] - shape->first_tap_row, col = g->tap_col[s] - shape->first_tap_col;
    return row * shape->row_length + col % g->step_w * shape->phase_length + col / g->step_w;
}

/* Zeros from `begin` on: whole vectors, up to VL - 1 elements beyond `end`. */
INLINE void clear_from(int64_t begin, int64_t end, real *to)
{
    for (; begin < end; begin += VL)
        store(to + begin, (vec){0});
}

/* One row: `count` elements from column `col` on, zeros outside [0, in_w). Writes whole vectors, up to VL - 1 elements beyond the
 * end. */
static void copy_padded(const real *from, int64_t in_w, int64_t col, int64_t count, real *to)
{
    int64_t begin = smaller(count, larger(0, -col)), end = larger(begin, smaller(count, in_w - col)), x = begin;
    clear_from(0, begin, to);
    for (; x <= end - VL; x += VL)
        store(to + x, load(from + col + x));
    if (x < end) {
        store(to + x, load_lanes(from + col + x, first_lanes(end - x)));
        x += VL;
    }
    clear_from(x, count, to);
}

/* Every `step`-th element of a row from column `col` on, zeros outside [0, in_w), straight from the image, which ends at `end`:
 * loads that span what was just stored would wait. Writes up to VL - 1 elements beyond the end. */
static void take_phase(const real *from, int64_t in_w, const real *end, int64_t col, int64_t step, int64_t count, real *to)
{
    int64_t first, last;
    find_inside(in_w, col, step, count, &first, &last);
    clear_from(0, first, to);
    from += col + first * step;
    take_strided(from, step, last - first, end - from, to + first);
    clear_from(last, count, to);
}

/* Splits a row into phases, each of which may run into the next one, which is written later. */
static void fill_row(const gather *g, const band_shape *shape, const real *from, const real *end, int64_t col, real *to)
{
    if (g->step_w == 1)
        copy_padded(from, g->in_w, col, shape->row_length, to);
    else
        for (int64_t phase = 0; phase < g->step_w; phase++, to += shape->phase_length)
            take_phase(from, g->in_w, end, col + phase, g->step_w, shape->phase_length, to);
}

/* The rows of one image: output rows [first, last). Returns the number of rows of the copy. */
static int64_t fill_slab(const gather *g, const band_shape *shape, const real *plane, int64_t first, int64_t last,
                         int64_t col, real *to)
{
    const real *end = g->in + g->images * g->groups * g->channels * g->in_h * g->in_w;
    int64_t rows = rows_behind(g, shape, last - first), top = first * g->step_h + shape->first_tap_row;
    for (int64_t i = 0; i < rows; i++, to += shape->row_length) {
        if (top + i < 0 || top + i >= g->in_h)
            memset(to, 0, shape->row_length * sizeof(real));
        else
            fill_row(g, shape, plane + (top + i) * g->in_w, end, col, to);
        /* The same row of the next channel: too far for the hardware prefetcher. */
        fetch_elements(plane + (g->in_h + top + i) * g->in_w + col, shape->row_length);
    }
    return rows;
}

void FN(symc_fill_band)(const gather *g, const band_shape *shape, const band *part, int64_t group, int64_t first,
                        int64_t last, real *to)
{
    int64_t col = part->first_col * g->step_w + shape->first_tap_col;
    for (int64_t c = first; c < last; c++, to += shape->plane) {
        real *slab = to;
        for (int64_t row = part->first_row; row < part->last_row;) {
            int64_t image = row / g->out_h, stop = smaller(part->last_row, (image + 1) * g->out_h);
            const real *plane = g->in + ((image * g->groups + group) * g->channels + c) * g->in_h * g->in_w;
            slab += shape->row_length * fill_slab(g, shape, plane, row - image * g->out_h, stop - image * g->out_h,
                                                  col, slab);
            row = stop;
        }
        memset(slab, 0, smaller(to + shape->plane - slab, BAND_SLACK) * sizeof(real));
    }
    memset(to, 0, BAND_SLACK * sizeof(real));
}
