/* See gemv.h. Compiled once per element type. Its cost is reading the matrix, once and in order. */
#include "gemv.h"

enum {
    SERIAL_ELEMENTS = 1 << 15, /* a smaller matrix is read before another thread would wake up */
    COLUMN_BLOCK = 1024,       /* sums that stay in the first level cache while rows are added to them */
    MOST_ROWS = 512,           /* rows added to sums of `real` before these are added to sums of doubles */
    MOST_VECTORS = 512         /* vectors likewise: a long sum in float32 loses digits */
};

typedef struct {
    int64_t n, k, lda, x_step, y_step;
    const real *a, *x;
    real *y;
    int accumulate;
    real *packed; /* x without the gaps */
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
        UNROLL
        for (int r = 0; r < rows; r++) {
            sum[r][0] += load(a + r * g->lda + j) * load(x + j);
            sum[r][1] += load(a + r * g->lda + j + VL) * load(x + j + VL);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        real found = lane_sum(sum[r][0] + sum[r][1]);
        for (int64_t i = j; i < last; i++)
            found += a[r * g->lda + i] * x[i];
        total[r] += found;
    }
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
    for (; j < count; j++)
        for (int r = 0; r < rows; r++)
            sums[j] += x[r] * a[r * g->lda + j];
}

/* Adds all rows in [k, stop) to the sums. */
INLINE void add_block(const job *g, real *sums, int64_t first, int64_t count, int64_t k, int64_t stop)
{
    memset(sums, 0, (size_t)count * sizeof(real));
    for (; k + 8 <= stop; k += 8)
        add_rows(g, sums, first, count, k, 8);
    for (; k < stop; k++)
        add_rows(g, sums, first, count, k, 1);
}

static void combine_rows(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    real sums[COLUMN_BLOCK];
    double totals[COLUMN_BLOCK];
    for (int64_t first = begin; first < end; first += COLUMN_BLOCK) {
        int64_t count = smaller(COLUMN_BLOCK, end - first);
        add_block(g, sums, first, count, 0, smaller(g->k, MOST_ROWS));
        if (g->k <= MOST_ROWS) {
            for (int64_t j = 0; j < count; j++)
                put(g, first + j, sums[j]);
            continue;
        }
        for (int64_t j = 0; j < count; j++)
            totals[j] = sums[j];
        for (int64_t k = MOST_ROWS; k < g->k; k += MOST_ROWS) {
            add_block(g, sums, first, count, k, smaller(g->k, k + MOST_ROWS));
            for (int64_t j = 0; j < count; j++)
                totals[j] += sums[j];
        }
        for (int64_t j = 0; j < count; j++)
            put(g, first + j, (real)totals[j]);
    }
}

static void pack_x(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    for (int64_t j = begin; j < end; j++)
        g->packed[j] = g->x[j * g->x_step];
}

void FN(symc_gemv)(int trans, int64_t n, int64_t k, const real *a, int64_t lda, const real *x, int64_t x_step, real *y,
                   int64_t y_step, int accumulate)
{
    job g = {n, k, lda, x_step, y_step, a, x, y, accumulate, NULL};
    if (x_step != 1) {
        g.packed = symc_scratch(SLOT_SHARED, k * sizeof(real));
        symc_parallel(pack_x, &g, k, k);
        g.x = g.packed;
    }
    int64_t grain = larger(trans ? 4 * VL : 4, SERIAL_ELEMENTS / larger(1, k));
    if (trans && n <= 2 * COLUMN_BLOCK) { /* a range of columns per thread: short pieces of rows are read slowly */
        int64_t each = symc_num_threads() * VL;
        grain = larger(grain, (n + each - 1) / each * VL);
    }
    symc_parallel(trans ? combine_rows : dots, &g, n, grain);
}
