/* Pooling over the last two axes. See symc_rt.h. Compiled once per element type.
 *
 * Every mode is done by rows: a window's rows are combined element by element, then its columns. The gradients spread
 * each output row over the columns of its windows first. A column of the padded image lies in up to ceil(win / stride)
 * windows of a row; layer t of a spread row holds, for each column, the t-th of them counted from the right, and NaN,
 * which equals nothing, where there is none.
 */
#include "pool2d_forward_typed.h"

/* ---- spread rows ---- */

/* Writes from[j] to the columns of window j that belong to layer t; the others stay as they are. */
static void spread(const pool *v, int64_t t, const real *from, real *to)
{
    int64_t first = t * v->step_w, last = smaller(first + v->step_w, v->win_w), j = 0;
    if (v->step_w == 1) {
        memcpy(to + first, from, v->out_w * sizeof(real));
        return;
    }
    if (last - first == 2)
        for (; v->step_w == 2 && j + VL <= v->out_w; j += VL)
            store_doubled(to + 2 * j + first, load(from + j));
    for (; j < v->out_w; j++)
        for (int64_t s = first; s < last; s++)
            to[j * v->step_w + s] = from[j];
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

/* Windows of 2x2 side by side that cover the image: every element has one, and dX is written once. Vectors run over the
 * end of rows, into rows that are written later. */
static void quads_backward(const pool *v, const real *x, const real *y, const real *g, real *dx)
{
    for (int r = 0; r < 2; r++, x += v->in_w, dx += v->in_w)
        for (int64_t j = 0; j < v->out_w; j += VL) {
            vec top = load(y + j), grad = load(g + j), zero = {0};
            store(dx + 2 * j, choose(load(x + 2 * j) == interleave_low(top, top), interleave_low(grad, grad), zero));
            store(dx + 2 * j + VL, choose(load(x + 2 * j + VL) == interleave_high(top, top),
                                          interleave_high(grad, grad), zero));
        }
}

/* The general way, for one output row; the scratch rows hold NaN and 0 where no window will write. */
static void max_backward_row(const pool *v, int64_t i, const real *x, const real *y, const real *g, real *scratch,
                             real *dx)
{
    int64_t first, last;
    window_rows(v, i, &first, &last);
    for (int64_t t = 0; t < v->layers; t++) {
        real *top = scratch + 2 * t * v->width, *grad = top + v->width;
        spread(v, t, y, top);
        spread(v, t, g, grad);
        for (int64_t r = first; r < last; r++)
            add_where_equal(dx + r * v->in_w, x + r * v->in_w, top + v->pad_w, grad + v->pad_w, v->in_w);
    }
}

static void max_backward(void *arg, int64_t begin, int64_t end)
{
    const pool *v = arg;
    real *scratch = symc_scratch(SLOT_BLOCK, 2 * v->layers * v->width * sizeof(real));
    for (int64_t t = 0; t < v->layers; t++) {
        fill(scratch + 2 * t * v->width, v->width, NAN);
        fill(scratch + (2 * t + 1) * v->width, v->width, 0);
    }
    int quads = v->win_h == 2 && v->win_w == 2 && v->step_h == 2 && v->step_w == 2 && !v->pad_h && !v->pad_w &&
                v->in_h == 2 * v->out_h && v->in_w == 2 * v->out_w;
    int64_t size = v->in_h * v->in_w, whole = ceil_div(v->out_w, VL) * VL;
    for (int64_t plane = begin; plane < end; plane++) {
        const real *x = v->x + plane * size;
        real *dx = v->out + plane * size;
        if (!quads)
            memset(dx, 0, size * sizeof(real));
        for (int64_t i = 0; i < v->out_h; i++) {
            int64_t at = (plane * v->out_h + i) * v->out_w, pair = 2 * i * v->in_w;
            int64_t room = (end - plane) * size - pair;
            if (quads && v->in_w + 2 * whole <= room && at + whole <= end * v->out_h * v->out_w) {
                quads_backward(v, x + pair, v->y + at, v->g + at, dx + pair);
                continue;
            }
            if (quads)
                memset(dx + pair, 0, 2 * v->in_w * sizeof(real));
            max_backward_row(v, i, x, v->y + at, v->g + at, scratch, dx);
        }
    }
}

/* ---- gradient of sums and averages ---- */

/* to[0, n) += from[0, n) */
static void add_row(real *to, const real *from, int64_t n)
{
    int64_t j = 0;
    for (; j + VL <= n; j += VL)
        store(to + j, load(to + j) + load(from + j));
    for (; j < n; j++)
        to[j] += from[j];
}

static void sum_backward(void *arg, int64_t begin, int64_t end)
{
    const pool *v = arg;
    real *row = symc_scratch(SLOT_BLOCK, v->width * sizeof(real));
    for (int64_t plane = begin; plane < end; plane++) {
        real *dx = v->out + plane * v->in_h * v->in_w;
        memset(dx, 0, v->in_h * v->in_w * sizeof(real));
        for (int64_t i = 0; i < v->out_h; i++) {
            int64_t first, last;
            window_rows(v, i, &first, &last);
            fill(row, v->width, 0);
            for (int64_t j = 0; j < v->out_w; j++) {
                real g = v->g[(plane * v->out_h + i) * v->out_w + j] * weight(v, i, j);
                for (int64_t s = 0; s < v->win_w; s++)
                    row[j * v->step_w + s] += g;
            }
            for (int64_t r = first; r < last; r++)
                add_row(dx + r * v->in_w, row + v->pad_w, v->in_w);
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
            spread(v, t, v->y + at * v->out_w, top);
            for (int64_t r = first; r < last; r++)
                add_where_equal(sum + v->pad_w, x + r * v->in_w, top + v->pad_w, g + r * v->in_w, v->in_w);
            for (int64_t j = 0; j < v->out_w; j++)
                for (int64_t s = t * v->step_w; s < smaller((t + 1) * v->step_w, v->win_w); s++)
                    out[j] += sum[j * v->step_w + s];
        }
    }
}

/* ---- library calls ---- */

static void run_by_row(symc_task task, pool *v)
{
    if (v->planes > 0 && v->out_h > 0 && v->out_w > 0)
        symc_parallel(task, v, v->planes * v->out_h, ceil_div(SERIAL_ELEMENTS, larger(1, v->step_h * v->in_w)));
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
