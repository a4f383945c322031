/* Pooling over the last two axes, forward. See symc_rt.h. Compiled once per element type.
 *
 * The rows of a window are combined first, in vectors over the columns, into a scratch row that has the padding (-inf
 * or 0) on both sides; then the columns of the windows. Every way combines in this order, so all give the same bits.
 */
#include "pool2d_shape_typed.h"

INLINE vec combine_vec(int is_max, vec a, vec b) { return is_max ? larger_or_nan(a, b) : a + b; }

/* Where an output row goes: vectors may run over its end while they stay in `room`, as later rows are written later. */
typedef struct {
    real *y;
    const real *scale; /* what its elements are multiplied with; NULL: nothing */
    int64_t room;
} target;

INLINE void put(const pool *v, const target *to, int64_t j, vec all)
{
    if (to->scale)
        all *= load(to->scale + j);
    if (j + VL <= to->room)
        store(to->y + j, all);
    else
        memcpy(to->y + j, &all, (v->out_w - j) * sizeof(real));
}

/* Element j of the result is the combination of row[j * step + s] over s < win_w. */
INLINE void combine_columns(const pool *v, int is_max, int step, const real *row, const target *to)
{
    for (int64_t j = 0; j < v->out_w; j += VL) {
        const real *from = row + j * step;
        vec all = step == 1 ? load(from) : load_even(from);
        for (int64_t s = 1; s < v->win_w; s++)
            all = combine_vec(is_max, all, step == 1 ? load(from + s) : load_even(from + s));
        put(v, to, j, all);
    }
}

/* The same for larger steps: windows at every column are combined into `dense`, and every step_w-th one is taken. */
INLINE void combine_sparse_columns(const pool *v, int is_max, const real *row, real *dense, const target *to)
{
    for (int64_t j = 0; j < (v->out_w - 1) * v->step_w + 1; j += VL) {
        vec all = load(row + j);
        for (int64_t s = 1; s < v->win_w; s++)
            all = combine_vec(is_max, all, load(row + j + s));
        store(dense + j, all);
    }
    for (int64_t j = 0; j < v->out_w; j++)
        to->y[j] = to->scale ? dense[j * v->step_w] * to->scale[j] : dense[j * v->step_w];
}

/* One output row from small windows that lie inside the image, in whole vectors. */
INLINE void forward_inside(const pool *v, int is_max, int win, int step, const real *x, const target *to)
{
    for (int64_t j = 0; j < v->out_w; j += VL) {
        vec all = {0};
        UNROLL
        for (int s = 0; s < win; s++) {
            vec column = {0};
            UNROLL
            for (int r = 0; r < win; r++) {
                const real *from = x + r * v->in_w + j * step + s;
                vec part = step == 1 ? load(from) : load_even(from);
                column = r ? combine_vec(is_max, column, part) : part;
            }
            all = s ? combine_vec(is_max, all, column) : column;
        }
        put(v, to, j, all);
    }
}

/* Is there a fast way for the output rows whose windows lie inside the image? */
static int has_fast_way(const pool *v)
{
    int64_t win = v->win_h, step = v->step_w;
    return ((win == 2 && step == 2) || (win == 3 && step <= 2)) && win == v->win_w && !v->pad_h && !v->pad_w &&
           (v->out_w - 1) * step + win <= v->in_w;
}

/* Is output row `i` one of them? Its vectors run over the end of rows: `x_room` elements may be read. */
INLINE int has_room(const pool *v, int64_t i, int64_t x_room)
{
    int64_t whole = ceil_div(v->out_w, VL) * VL;
    return i * v->step_h + v->win_h <= v->in_h &&
           (v->win_h - 1) * v->in_w + whole * v->step_w + v->win_w <= x_room;
}

INLINE void forward_fast(const pool *v, int is_max, const real *x, const target *to)
{
    if (v->win_w == 2)
        forward_inside(v, is_max, 2, 2, x, to);
    else if (v->step_w == 2)
        forward_inside(v, is_max, 3, 2, x, to);
    else
        forward_inside(v, is_max, 3, 1, x, to);
}

INLINE void combine_any_columns(const pool *v, int is_max, const real *row, real *dense, const target *to)
{
    if (v->step_w == 1)
        combine_columns(v, is_max, 1, row, to);
    else if (v->step_w == 2)
        combine_columns(v, is_max, 2, row, to);
    else
        combine_sparse_columns(v, is_max, row, dense, to);
}

/* row[pad_w + c] = combination of the elements of column c in window row `i`, and `empty` right of the image. Vectors
 * run over the end of rows: `x_room` elements of x may be read. */
INLINE void combine_window_rows(const pool *v, int is_max, int64_t i, const real *x, int64_t x_room, real empty,
                                real *row)
{
    int64_t first, last, reach = (v->out_w - 1) * v->step_w + v->win_w;
    vec none = (vec){0} + empty;
    window_rows(v, i, &first, &last);
    for (int64_t c = 0; c < v->in_w; c += VL) {
        vec all = none;
        if (first < last && (last - 1) * v->in_w + c + VL <= x_room) {
            all = load(x + first * v->in_w + c);
            for (int64_t r = first + 1; r < last; r++)
                all = combine_vec(is_max, all, load(x + r * v->in_w + c));
        } else {
            for (int64_t r = first; r < last; r++) {
                vec part = none;
                memcpy(&part, x + r * v->in_w + c, smaller(VL, v->in_w - c) * sizeof(real));
                all = r > first ? combine_vec(is_max, all, part) : part;
            }
        }
        store(row + v->pad_w + c, all);
    }
    for (int64_t c = v->pad_w + v->in_w; c < reach; c += VL)
        store(row + c, none);
}

/* The factors of a row of averages from windows that count `high` rows; `wide` has the number of columns of each. */
static void row_scale(const pool *v, int64_t high, const real *wide, real *scale)
{
    for (int64_t j = 0; j < v->out_w; j += VL) {
        vec count = load(wide + j) * (real)high;
        store(scale + j, choose(count > (vec){0}, 1 / count, (vec){0}));
    }
}

/* A few output rows at once: a load that covers parts of two stores must wait until both have reached the cache. */
enum { ROWS_AT_ONCE = 8 };

INLINE void forward_rows(const pool *v, int is_max, int64_t begin, int64_t end)
{
    int64_t places = v->out_w + VL, high = -1, size = v->in_h * v->in_w;
    real empty = is_max ? -(real)INFINITY : 0;
    real *rows = symc_scratch(SLOT_BLOCK, ((ROWS_AT_ONCE + 1) * v->width + 2 * places) * sizeof(real));
    real *dense = rows + ROWS_AT_ONCE * v->width, *wide = dense + v->width, *scale = wide + places;
    int average = !is_max && v->mode != SYMC_POOL_SUM;
    const real *corner[ROWS_AT_ONCE]; /* of an output row's windows, if there is a fast way */
    int known = has_fast_way(v), fetches = are_uncached(v->planes * (size + v->out_h * v->out_w));
    fill(rows, ROWS_AT_ONCE * v->width, empty);
    for (int64_t j = 0; average && j < places; j++)
        wide[j] = j < v->out_w ? (real)extent(j, v->step_w, v->win_w, v->pad_w, v->in_w, v->mode) : 0;
    for (int64_t block = begin; block < end; block += ROWS_AT_ONCE) {
        int64_t count = smaller(ROWS_AT_ONCE, end - block);
        if (fetches) {
            int64_t first = block / v->out_h * size + block % v->out_h * v->step_h * v->in_w;
            fetch_elements(v->x + first + FETCHED_AHEAD, count * v->step_h * v->in_w);
        }
        for (int64_t k = 0; k < count; k++) {
            int64_t i = (block + k) % v->out_h, plane = (block + k) / v->out_h * size, room = v->planes * size - plane;
            int64_t first = i * v->step_h * v->in_w;
            corner[k] = known && has_room(v, i, room - first) ? v->x + plane + first : NULL;
            if (!corner[k])
                combine_window_rows(v, is_max, i, v->x + plane, room, empty, rows + k * v->width);
        }
        for (int64_t k = 0; k < count; k++) {
            int64_t at = block + k;
            target to = {v->out + at * v->out_w, average ? scale : NULL, (end - at) * v->out_w};
            if (average) {
                int64_t counted = extent(at % v->out_h, v->step_h, v->win_h, v->pad_h, v->in_h, v->mode);
                if (counted != high)
                    row_scale(v, high = counted, wide, scale);
            }
            if (corner[k])
                forward_fast(v, is_max, corner[k], &to);
            else
                combine_any_columns(v, is_max, rows + k * v->width, dense, &to);
        }
    }
}

/* Runs a task for all output rows. */
static void run_by_row(symc_task task, pool *v)
{
    if (v->planes > 0 && v->out_h > 0 && v->out_w > 0)
        symc_parallel(task, v, v->planes * v->out_h, ceil_div(SERIAL_ELEMENTS, larger(1, v->step_h * v->in_w)));
}
