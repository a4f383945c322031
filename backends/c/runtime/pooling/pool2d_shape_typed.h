/* The windows of pooling. See symc_rt.h. Compiled once per element type. */
#include "base/ahead.h"
#include "base/lanes.h"

#include <math.h>

typedef struct {
    int64_t planes, in_h, in_w, out_h, out_w, win_h, win_w, step_h, step_w, pad_h, pad_w;
    int mode;
    int64_t width, layers; /* of a row with padding; of a spread row */
    real *out;
    const real *x, *y, *g; /* g: dY or ddX */
} pool;

enum { SERIAL_ELEMENTS = 1 << 13 };

static pool read_pool(const int64_t *p)
{
    pool v = {.planes = p[0], .in_h = p[1], .in_w = p[2], .out_h = p[3], .out_w = p[4], .win_h = p[5], .win_w = p[6],
              .step_h = p[7], .step_w = p[8], .pad_h = p[9], .pad_w = p[10], .mode = (int)p[11]};
    int64_t reach = (v.out_w - 1) * v.step_w + v.win_w;
    v.width = larger(reach, v.pad_w + v.in_w) + 4 * VL; /* vector loads may run over the end */
    v.layers = ceil_div(v.win_w, v.step_w);
    return v;
}

static void fill(real *row, int64_t n, real value)
{
    for (int64_t i = 0; i < n; i++)
        row[i] = value;
}

/* The rows of X in window row `i`. */
static void window_rows(const pool *v, int64_t i, int64_t *first, int64_t *last)
{
    *first = larger(0, i * v->step_h - v->pad_h);
    *last = smaller(v->in_h, i * v->step_h - v->pad_h + v->win_h);
}

/* The divisor of the sum of window (i, j); 0 for an empty window. */
static int64_t extent(int64_t i, int64_t step, int64_t win, int64_t pad, int64_t size, int mode)
{
    int64_t first = i * step - pad, last = smaller(first + win, size + pad);
    if (mode == SYMC_POOL_AVERAGE_EXC_PAD)
        first = larger(0, first), last = smaller(size, last);
    return larger(0, last - first);
}

