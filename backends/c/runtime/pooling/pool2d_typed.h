/* Pooling over the last two axes. See symc_rt.h. Compiled once per element type.
 *
 * Every mode is done by rows: a window's rows are combined element by element, then its columns. The gradients spread
 * each output row over the columns of its windows first. A column of the padded image lies in up to ceil(win / stride)
 * windows of a row; layer t of a spread row holds, for each column, the t-th of them counted from the right, and NaN,
 * which equals nothing, or 0 where there is none. A row of dX is written once, from the spread rows of all windows that
 * contain it, of which the last few are kept.
 */
#include "pool2d_forward_typed.h"

#include "base/masked.h"
#include "base/stream.h"

/* ---- spread rows ---- */

/* Writes from[j] to the columns of window j that belong to layer t; the others, which hold `none`, keep it. */
static void spread(const pool *v, int64_t t, real none, const real *from, real *to)
{
    int64_t first = t * v->step_w, last = smaller(first + v->step_w, v->win_w), j = 0;
    if (v->step_w == 1) {
        memcpy(to + first, from, v->out_w * sizeof(real));
        return;
    }
    if (last - first == 2)
        for (; v->step_w == 2 && j + VL <= v->out_w; j += VL)
            store_doubled(to + 2 * j + first, load(from + j));
    if (last - first == 1 && v->step_w == 2)
        for (vec empty = (vec){0} + none; j + VL <= v->out_w; j += VL) {
            store(to + 2 * j + first, interleave_low(load(from + j), empty));
            store(to + 2 * j + first + VL, interleave_high(load(from + j), empty));
        }
    for (; j < v->out_w; j++)
        for (int64_t s = first; s < last; s++)
            to[j * v->step_w + s] = from[j];
}

/* The spread rows of the last few output rows. */
typedef struct {
    real *rows;
    const real **list; /* those that a row of dX is made from */
    int64_t depth, parts, next; /* output rows kept; spread rows of a layer: 1, or 2 for max; the next output row */
} ring;

INLINE real *ring_row(const pool *v, const ring *k, int64_t i, int64_t t, int64_t part)
{
    return k->rows + (((i % k->depth) * v->layers + t) * k->parts + part) * v->width;
}

static ring take_ring(const pool *v, int is_max)
{
    ring k = {.depth = ceil_div(v->win_h, v->step_h), .parts = is_max ? 2 : 1};
    int64_t layers = k.depth * v->layers;
    k.list = symc_scratch(SLOT_BLOCK, layers * (sizeof *k.list + k.parts * v->width * sizeof(real)));
    k.rows = (real *)(k.list + layers);
    for (int64_t i = 0; i < layers * k.parts; i++)
        fill(k.rows + i * v->width, v->width, is_max && i % 2 == 0 ? NAN : 0);
    return k;
}

/* Output rows [first, last), whose windows contain row r of X. */
static void containing(const pool *v, int64_t r, int64_t *first, int64_t *last)
{
    *first = larger(0, ceil_div(larger(0, r + v->pad_h - v->win_h + 1), v->step_h));
    *last = larger(*first, smaller(v->out_h, (r + v->pad_h) / v->step_h + 1));
}

/* The spread rows that row r of X is in, at column 0; spreads those that are not there yet. y may be NULL. */
static int64_t list_rows(const pool *v, ring *k, int64_t r, const real *y, const real *g)
{
    int64_t first, last, n = 0;
    containing(v, r, &first, &last);
    for (k->next = larger(k->next, first); k->next < last; k->next++)
        for (int64_t t = 0; t < v->layers; t++) {
            if (y)
                spread(v, t, NAN, y + k->next * v->out_w, ring_row(v, k, k->next, t, 0));
            spread(v, t, 0, g + k->next * v->out_w, ring_row(v, k, k->next, t, k->parts - 1));
        }
    for (int64_t i = first; i < last; i++)
        for (int64_t t = 0; t < v->layers; t++)
            k->list[n++] = ring_row(v, k, i, t, 0) + v->pad_w;
    return n;
}

/* ---- gradient of max ---- */

/* dx[j] += g[j] where x[j] == y[j] */
static void add_where_equal(real *dx, const real *x, const real *y, const real *g, int64_t n)
{
    int64_t j = 0;
    for (; j + VL <= n; j += VL)
        store(dx + j, load(dx + j) + choose(load(x + j) == load(y + j), load(g + j), (vec){0}));
    for (; j < n; j++)
        dx[j] += x[j] == y[j] ? g[j] : 0;
}

/* Windows of 2x2 side by side that cover the image: every element has one. Vectors run over the end of rows, into rows
 * that are written later; `past` the caches they may not. */
INLINE void quads_backward(const pool *v, int past, const real *x, const real *y, const real *g, real *dx)
{
    for (int r = 0; r < 2; r++, x += v->in_w, dx += v->in_w)
        for (int64_t j = 0; j < v->out_w; j += VL) {
            vec top = load(y + j), grad = load(g + j), zero = {0};
            vec low = choose(load(x + 2 * j) == interleave_low(top, top), interleave_low(grad, grad), zero);
            vec high = choose(load(x + 2 * j + VL) == interleave_high(top, top), interleave_high(grad, grad), zero);
            if (past) {
                store_past(dx + 2 * j, low);
                store_past(dx + 2 * j + VL, high);
            } else {
                store(dx + 2 * j, low);
                store(dx + 2 * j + VL, high);
            }
        }
}

/* dx[j] = sum over the list of spread rows of grad[j] where x[j] == top[j] */
static void max_backward_row(const pool *v, const real *const *list, int64_t n, const real *x, real *dx)
{
    for (int64_t j = 0; j < v->in_w; j += VL) {
        lane_mask some = first_lanes(smaller(VL, v->in_w - j));
        int whole = j + VL <= v->in_w;
        vec here = whole ? load(x + j) : load_lanes(x + j, some), sum = {0};
        for (int64_t k = 0; k < n; k++)
            sum += choose(here == load(list[k] + j), load(list[k] + v->width + j), (vec){0});
        if (whole)
            store(dx + j, sum);
        else
            store_lanes(dx + j, sum, some);
    }
}

INLINE int has_quads(const pool *v)
{
    return v->win_h == 2 && v->win_w == 2 && v->step_h == 2 && v->step_w == 2 && !v->pad_h && !v->pad_w &&
           v->in_h == 2 * v->out_h && v->in_w == 2 * v->out_w;
}

static void max_backward(void *arg, int64_t begin, int64_t end)
{
    const pool *v = arg;
    ring k = take_ring(v, 1);
    int64_t size = v->in_h * v->in_w, places = v->out_h * v->out_w, whole = ceil_div(v->out_w, VL) * VL, quads = has_quads(v);
    int fetches = are_uncached(2 * v->planes * (size + places));
    int past = quads && v->in_w % (2 * VL) == 0 && may_stream(v->out, v->in_w, v->planes * size * (int64_t)sizeof(real));
    for (int64_t plane = begin; plane < end; plane++) {
        const real *x = v->x + plane * size, *y = v->y + plane * places, *g = v->g + plane * places;
        real *dx = v->out + plane * size;
        int64_t r = 0;
        for (; quads && r < v->in_h; r += 2) {
            int64_t at = r / 2 * v->out_w, pair = r * v->in_w;
            if (v->in_w + 2 * whole > (end - plane) * size - pair || at + whole > (end - plane) * places)
                break;
            if (fetches) {
                fetch_elements(x + pair + FETCHED_AHEAD, 2 * v->in_w);
                fetch_elements(y + at + FETCHED_AHEAD, v->out_w);
                fetch_elements(g + at + FETCHED_AHEAD, v->out_w);
            }
            if (past)
                quads_backward(v, 1, x + pair, y + at, g + at, dx + pair);
            else
                quads_backward(v, 0, x + pair, y + at, g + at, dx + pair);
        }
        for (k.next = 0; r < v->in_h; r++) {
            int64_t n = list_rows(v, &k, r, y, g);
            if (fetches)
                fetch_elements(x + r * v->in_w + FETCHED_AHEAD, v->in_w);
            max_backward_row(v, k.list, n, x + r * v->in_w, dx + r * v->in_w);
        }
    }
    finish_stream();
}

/* ---- gradient of sums and averages ---- */

static void sum_backward_row(const pool *v, const real *const *list, int64_t n, real *dx)
{
    for (int64_t j = 0; j < v->in_w; j += VL) {
        vec sum = {0};
        for (int64_t k = 0; k < n; k++)
            sum += load(list[k] + j);
        if (j + VL <= v->in_w)
            store(dx + j, sum);
        else
            store_lanes(dx + j, sum, first_lanes(v->in_w - j));
    }
}

/* A plane's dY, divided by the number of elements that each window counts. */
static void scale_plane(const pool *v, const real *wide, const real *g, real *scale, real *to)
{
    int64_t high = -1;
    for (int64_t i = 0; i < v->out_h; i++, g += v->out_w, to += v->out_w) {
        int64_t count = extent(i, v->step_h, v->win_h, v->pad_h, v->in_h, v->mode);
        if (count != high)
            row_scale(v, high = count, wide, scale);
        for (int64_t j = 0; j < v->out_w; j++)
            to[j] = g[j] * scale[j];
    }
}

static void sum_backward(void *arg, int64_t begin, int64_t end)
{
    const pool *v = arg;
    ring k = take_ring(v, 0);
    int average = v->mode != SYMC_POOL_SUM;
    int64_t places = v->out_w + VL;
    real *wide = symc_scratch(SLOT_ROW, (2 * places + v->out_h * v->out_w) * sizeof(real));
    real *scale = wide + places, *scaled = scale + places;
    for (int64_t j = 0; average && j < places; j++)
        wide[j] = j < v->out_w ? (real)extent(j, v->step_w, v->win_w, v->pad_w, v->in_w, v->mode) : 0;
    for (int64_t plane = begin; plane < end; plane++) {
        const real *g = v->g + plane * v->out_h * v->out_w;
        real *dx = v->out + plane * v->in_h * v->in_w;
        if (average)
            scale_plane(v, wide, g, scale, scaled);
        k.next = 0;
        for (int64_t r = 0; r < v->in_h; r++) {
            int64_t n = list_rows(v, &k, r, NULL, average ? scaled : g);
            sum_backward_row(v, k.list, n, dx + r * v->in_w);
        }
    }
}

/* ---- gradient of the gradient of max ---- */

static void max_grad_grad(void *arg, int64_t begin, int64_t end)
{
    const pool *v = arg;
    real *top = symc_scratch(SLOT_BLOCK, 2 * v->width * sizeof(real)), *sum = top + v->width;
    for (int64_t at = begin; at < end; at++) {
        const real *x = v->x + at / v->out_h * v->in_h * v->in_w, *g = v->g + at / v->out_h * v->in_h * v->in_w;
        real *out = v->out + at * v->out_w;
        int64_t first, last;
        window_rows(v, at % v->out_h, &first, &last);
        fill(out, v->out_w, 0);
        for (int64_t t = 0; t < v->layers; t++) {
            fill(top, v->width, NAN);
            fill(sum, v->width, 0);
            spread(v, t, NAN, v->y + at * v->out_w, top);
            for (int64_t r = first; r < last; r++)
                add_where_equal(sum + v->pad_w, x + r * v->in_w, top + v->pad_w, g + r * v->in_w, v->in_w);
            for (int64_t j = 0; j < v->out_w; j++)
                for (int64_t s = t * v->step_w; s < smaller((t + 1) * v->step_w, v->win_w); s++)
                    out[j] += sum[j * v->step_w + s];
        }
    }
}

/* ---- library calls ---- */

static void forward(void *arg, int64_t begin, int64_t end)
{
    const pool *v = arg;
    if (v->mode == SYMC_POOL_MAX)
        forward_rows(v, 1, begin, end);
    else
        forward_rows(v, 0, begin, end);
}

void FN(symc_pool2d_forward)(void *const *bufs, const int64_t *p)
{
    pool v = read_pool(p);
    v.out = bufs[0], v.x = bufs[1];
    run_by_row(forward, &v);
}

void FN(symc_pool2d_backward)(void *const *bufs, const int64_t *p)
{
    pool v = read_pool(p);
    v.out = bufs[0], v.x = bufs[1], v.y = bufs[2], v.g = bufs[3];
    int64_t size = v.in_h * v.in_w;
    if (v.planes > 0 && size > 0)
        symc_parallel(v.mode == SYMC_POOL_MAX ? max_backward : sum_backward, &v, v.planes,
                      ceil_div(SERIAL_ELEMENTS, size));
}

void FN(symc_pool2d_max_grad_grad)(void *const *bufs, const int64_t *p)
{
    pool v = read_pool(p);
    v.out = bufs[0], v.x = bufs[1], v.y = bufs[2], v.g = bufs[3];
    run_by_row(max_grad_grad, &v);
}
