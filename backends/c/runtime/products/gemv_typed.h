/* See gemv.h. Compiled once per element type. Its cost is reading the matrix, once and in order. */
#include "gemv.h"
#include "base/lanes.h"
#include "base/masked.h"

enum {
    SERIAL_ELEMENTS = 1 << 15, /* a smaller matrix is read before another thread would wake up */
    COLUMN_BLOCK = 1024,       /* sums that stay in the first level cache while rows are added to them */
    WIDE_BLOCK = (1 << 14) / sizeof(real), /* likewise, and long enough pieces of rows to be read at full speed */
    MOST_ROWS = 512,           /* rows added to sums of `real` before these are added to sums of doubles */
    SAME_SETS = 1 << 12,       /* the distance of rows, in bytes, that take each other's places in the first level cache */
    MOST_VECTORS = 512,        /* vectors likewise: a long sum in float32 loses digits */
    FORESEEN = 1 << 13,        /* the bytes of a row that is read for long enough for the processor to foresee them */
    UNCACHED = 1 << 24,        /* the bytes of a matrix from which on it is read from memory */
    SHORT_ROW = 16 * VL        /* the sums of the lanes of a longer row take less time than its elements */
};

typedef struct {
    int64_t n, k, lda, x_step, y_step;
    const real *a, *x;
    real *y;
    int accumulate;
    real *packed; /* x without the gaps */
    real *parts;  /* sums of MOST_ROWS rows each */
    int64_t ahead; /* the distance to the elements that are fetched meanwhile: those of the next rows; or 0 */
    int64_t width, blocks; /* of the columns of a task; tasks for each row of parts */
} job;

INLINE void put(const job *g, int64_t i, real value)
{
    real *y = g->y + i * g->y_step;
    *y = g->accumulate ? *y + value : value;
}

/* Adds the dot products of `rows` rows with x, from `first` on and up to `last`, to `total`. All rows at once, so that
 * each vector of x is loaded once for all. */
INLINE void add_dots(const job *g, double *total, int64_t row, int rows, int64_t first, int64_t last)
{
    vec sum[4][2] = {{{0}}};
    const real *a = g->a + row * g->lda, *x = g->x;
    int64_t j = first;
    for (; j + 2 * VL <= last; j += 2 * VL) {
        if (g->ahead) {
            UNROLL
            for (int r = 0; r < rows; r++) {
                __builtin_prefetch(a + r * g->lda + j + g->ahead);
                __builtin_prefetch(a + r * g->lda + j + VL + g->ahead);
            }
        }
        UNROLL
        for (int r = 0; r < rows; r++) {
            sum[r][0] += load(a + r * g->lda + j) * load(x + j);
            sum[r][1] += load(a + r * g->lda + j + VL) * load(x + j + VL);
        }
    }
    if (j + VL <= last) {
        UNROLL
        for (int r = 0; r < rows; r++)
            sum[r][0] += load(a + r * g->lda + j) * load(x + j);
        j += VL;
    }
    if (j < last) {
        lane_mask mask = first_lanes(last - j);
        UNROLL
        for (int r = 0; r < rows; r++)
            sum[r][1] += load_lanes(a + r * g->lda + j, mask) * load_lanes(x + j, mask);
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        total[r] += lane_sum(sum[r][0] + sum[r][1]);
}

INLINE void dot_rows(const job *g, int64_t row, int rows)
{
    double total[4] = {0};
    for (int64_t first = 0; first < g->k; first += MOST_VECTORS * VL)
        add_dots(g, total, row, rows, first, smaller(g->k, first + MOST_VECTORS * VL));
    for (int r = 0; r < rows; r++)
        put(g, row + r, (real)total[r]);
}

static void dots(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t i = begin;
    for (; i + 4 <= end; i += 4)
        dot_rows(g, i, 4);
    for (; i < end; i++)
        dot_rows(g, i, 1);
}

/* The dot products of VL short rows with x, of which the first `count` are rows of A and the others repeat the last one.
 *
 * Sums of lanes are made for all rows together: one round adds the halves of two vectors and interleaves the results,
 * so that after log2(VL) rounds each lane has the sum of a row. */
INLINE vec dots_of_lanes(const job *g, int64_t row, int count)
{
    vec sum[VL] = {{0}};
    const real *a = g->a + row * g->lda, *x = g->x;
    int64_t j = 0;
    for (; j + VL <= g->k; j += VL) {
        UNROLL
        for (int r = 0; r < VL; r++)
            sum[r] += load(a + smaller(r, count - 1) * g->lda + j) * load(x + j);
    }
    if (j < g->k) {
        lane_mask mask = first_lanes(g->k - j);
        vec factor = load_lanes(x + j, mask);
        UNROLL
        for (int r = 0; r < VL; r++)
            sum[r] += load_lanes(a + smaller(r, count - 1) * g->lda + j, mask) * factor;
    }
    UNROLL
    for (int half = VL / 2; half; half /= 2) {
        UNROLL
        for (int r = 0; r < half; r++)
            sum[r] = interleave_low(sum[r], sum[r + half]) + interleave_high(sum[r], sum[r + half]);
    }
    return sum[0];
}

INLINE void put_lanes(const job *g, int64_t row, vec found, int count)
{
    if (g->y_step == 1 && !g->accumulate && count == VL)
        store(g->y + row, found);
    else
        for (int r = 0; r < count; r++)
            put(g, row + r, found[r]);
}

static void short_dots(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t i = begin;
    for (; i + VL <= end; i += VL)
        put_lanes(g, i, dots_of_lanes(g, i, VL), VL);
    if (i < end)
        put_lanes(g, i, dots_of_lanes(g, i, (int)(end - i)), (int)(end - i));
}

/* Adds x[k] * A[k, first .. first + count) for `rows` rows to the sums. */
INLINE void add_rows(const job *g, real *sums, int64_t first, int64_t count, int64_t k, int rows)
{
    const real *a = g->a + k * g->lda + first, *x = g->x + k;
    int64_t j = 0;
    for (; j + VL <= count; j += VL) {
        vec sum = load(sums + j);
        UNROLL
        for (int r = 0; r < rows; r++)
            sum += x[r] * load(a + r * g->lda + j);
        store(sums + j, sum);
    }
    if (j < count) {
        const lane_mask last = first_lanes(count - j);
        vec sum = load_lanes(sums + j, last);
        UNROLL
        for (int r = 0; r < rows; r++)
            sum += x[r] * load_lanes(a + r * g->lda + j, last);
        store_lanes(sums + j, sum, last);
    }
}

/* Adds all rows in [k, stop) to the sums. */
INLINE void add_block(const job *g, real *sums, int64_t first, int64_t count, int64_t k, int64_t stop)
{
    const int many = g->lda * (int64_t)sizeof(real) % SAME_SETS != 0;
    memset(sums, 0, (size_t)count * sizeof(real));
    for (; many && k + 16 <= stop; k += 16)
        add_rows(g, sums, first, count, k, 16);
    for (; k + 4 <= stop; k += 4)
        add_rows(g, sums, first, count, k, 4);
    for (; k < stop; k++)
        add_rows(g, sums, first, count, k, 1);
}

/* The sums over up to MOST_ROWS rows of a block of columns each: pieces of rows are read in order, and the sums do not
 * depend on the number of threads. */
static void combine_parts(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    for (int64_t task = begin; task < end; task++) {
        int64_t part = task / g->blocks, first = task % g->blocks * g->width, k = part * MOST_ROWS;
        add_block(g, g->parts + part * g->n + first, first, smaller(g->width, g->n - first), k,
                  smaller(g->k, k + MOST_ROWS));
    }
}

static void add_parts(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    double totals[COLUMN_BLOCK];
    for (int64_t first = begin; first < end; first += COLUMN_BLOCK) {
        int64_t count = smaller(COLUMN_BLOCK, end - first);
        memset(totals, 0, (size_t)count * sizeof(double));
        for (int64_t k = 0; k < g->k; k += MOST_ROWS) {
            const real *sums = g->parts + k / MOST_ROWS * g->n + first;
            for (int64_t j = 0; j < count; j++)
                totals[j] += sums[j];
        }
        for (int64_t j = 0; j < count; j++)
            put(g, first + j, (real)totals[j]);
    }
}

static void combine_columns(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    real sums[COLUMN_BLOCK];
    for (int64_t first = begin; first < end; first += COLUMN_BLOCK) {
        int64_t count = smaller(COLUMN_BLOCK, end - first);
        add_block(g, sums, first, count, 0, g->k);
        for (int64_t j = 0; j < count; j++)
            put(g, first + j, sums[j]);
    }
}

static void pack_x(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    for (int64_t j = begin; j < end; j++)
        g->packed[j] = g->x[j * g->x_step];
}

/* Sums of MOST_ROWS rows each, then their sums. */
static void combine_long(job *g)
{
    int64_t parts = (g->k + MOST_ROWS - 1) / MOST_ROWS, wanted = 4 * symc_num_threads();
    g->parts = symc_scratch(SLOT_PARTIAL, parts * g->n * sizeof(real));
    g->width = WIDE_BLOCK;
    while (g->width > 16 * VL && parts * ((g->n + g->width - 1) / g->width) < wanted)
        g->width /= 2;
    g->blocks = (g->n + g->width - 1) / g->width;
    symc_parallel(combine_parts, g, parts * g->blocks, larger(1, SERIAL_ELEMENTS / MOST_ROWS / smaller(g->n, g->width)));
    symc_parallel(add_parts, g, g->n, larger(COLUMN_BLOCK, SERIAL_ELEMENTS / parts));
}

void FN(symc_gemv)(int trans, int64_t n, int64_t k, const real *a, int64_t lda, const real *x, int64_t x_step, real *y,
                   int64_t y_step, int accumulate)
{
    job g = {.n = n, .k = k, .lda = lda, .x_step = x_step, .y_step = y_step, .a = a, .x = x, .y = y};
    g.accumulate = accumulate;
    const int64_t row_bytes = k * (int64_t)sizeof(real);
    if (row_bytes <= FORESEEN && n * row_bytes >= UNCACHED)
        g.ahead = 4 * lda;
    if (x_step != 1) {
        g.packed = symc_scratch(SLOT_SHARED, k * sizeof(real));
        symc_parallel(pack_x, &g, k, k);
        g.x = g.packed;
    }
    if (n && !trans)
        symc_parallel(k < SHORT_ROW ? short_dots : dots, &g, n, larger(VL, SERIAL_ELEMENTS / larger(1, k)));
    else if (n && k > MOST_ROWS)
        combine_long(&g);
    else if (n) { /* a range of columns per thread: short pieces of rows are read slowly */
        int64_t each = symc_num_threads() * VL, share = (n + each - 1) / each * VL;
        int64_t grain = larger(4 * VL, SERIAL_ELEMENTS / larger(1, k));
        symc_parallel(combine_columns, &g, n, n <= 2 * COLUMN_BLOCK ? larger(grain, share) : grain);
    }
}

/* ---- small matrices ---------------------------------------------------------------------------------------------- */

/* The dot products of all rows with x; k is a constant where this is inlined. */
INLINE void dots_of_length(const job *g, int64_t k)
{
    for (int64_t i = 0; i < g->n; i++) {
        real sum = 0;
        UNROLL
        for (int64_t j = 0; j < k; j++)
            sum += g->a[i * g->lda + j] * g->x[j * g->x_step];
        put(g, i, sum);
    }
}

static void few_terms(const job *g)
{
    switch (g->k) {
    case 1: dots_of_length(g, 1); break;
    case 2: dots_of_length(g, 2); break;
    case 3: dots_of_length(g, 3); break;
    case 4: dots_of_length(g, 4); break;
    case 5: dots_of_length(g, 5); break;
    case 6: dots_of_length(g, 6); break;
    case 7: dots_of_length(g, 7); break;
    case 8: dots_of_length(g, 8); break;
    default: dots_of_length(g, g->k);
    }
}

/* Sums of rows of A: columns are lanes. */
static void few_rows(const job *g)
{
    for (int64_t j = 0; j < g->n; j += VL) {
        int64_t count = smaller(VL, g->n - j);
        lane_mask mask = first_lanes(count);
        vec sum = {0};
        for (int64_t r = 0; r < g->k; r++)
            sum += g->x[r * g->x_step] * load_lanes(g->a + r * g->lda + j, mask);
        put_lanes(g, j, sum, (int)count);
    }
}

void FN(symc_small_gemv)(int trans, int64_t n, int64_t k, const real *a, int64_t lda, const real *x, int64_t x_step,
                         real *y, int64_t y_step, int accumulate)
{
    job g = {.n = n, .k = k, .lda = lda, .x_step = x_step, .y_step = y_step, .a = a, .x = x, .y = y};
    g.accumulate = accumulate;
    if (trans)
        few_rows(&g);
    else if (k <= 8 || x_step != 1)
        few_terms(&g);
    else if (n >= VL / 2)
        short_dots(&g, 0, n);
    else
        dots(&g, 0, n);
}
