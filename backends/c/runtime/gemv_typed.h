/* See gemv.h. Compiled once per element type. Its cost is reading the matrix, once and in order. */
#include "gemv.h"

enum {
    SERIAL_ELEMENTS = 1 << 15, /* a smaller matrix is read before another thread would wake up */
    COLUMN_BLOCK = 1024        /* sums that stay in the first level cache while rows are added to them */
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

/* `rows` dot products at once, so that each vector of x is loaded once for all. */
INLINE void dot_rows(const job *g, int64_t row, int rows)
{
    vec sum[4][2] = {{{0}}};
    const real *a = g->a + row * g->lda, *x = g->x;
    int64_t j = 0;
    for (; j + 2 * VL <= g->k; j += 2 * VL) {
        UNROLL
        for (int r = 0; r < rows; r++) {
            sum[r][0] += load(a + r * g->lda + j) * load(x + j);
            sum[r][1] += load(a + r * g->lda + j + VL) * load(x + j + VL);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        real total = lane_sum(sum[r][0] + sum[r][1]);
        for (int64_t i = j; i < g->k; i++)
            total += a[r * g->lda + i] * x[i];
        put(g, row + r, total);
    }
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

static void combine_rows(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    real sums[COLUMN_BLOCK];
    for (int64_t first = begin; first < end; first += COLUMN_BLOCK) {
        int64_t count = smaller(COLUMN_BLOCK, end - first), k = 0;
        memset(sums, 0, sizeof sums);
        for (; k + 8 <= g->k; k += 8)
            add_rows(g, sums, first, count, k, 8);
        for (; k < g->k; k++)
            add_rows(g, sums, first, count, k, 1);
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
    symc_parallel(trans ? combine_rows : dots, &g, n, grain);
}
