/* Triangular systems. Compiled once per element type. */
#include "factor.h"

typedef struct {
    int64_t batch, n, k, lower, turned;
    number *out;
    const number *a, *b;
    void *failed;
} job;

INLINE int singular(const number *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (is_zero(a[i * n + i]))
            return 1;
    return 0;
}

#if !SYMC_COMPLEX
/* Eliminates in the order of the triangle: a column of the matrix (a row, if it is transposed) at a time. */
static void substitute(const job *g, const vec *a, vec *x)
{
    int64_t n = g->n, k = g->k, down = g->turned ? 1 : n, right = g->turned ? n : 1;
    int forward = (g->lower != 0) != (g->turned != 0);
    for (int64_t step = 0; step < n; step++) {
        int64_t j = forward ? step : n - 1 - step, from = forward ? j + 1 : 0, to = forward ? n : j;
        vec inverse = 1 / a[j * n + j];
        for (int64_t c = 0; c < k; c++)
            x[j * k + c] *= inverse;
        for (int64_t i = from; i < to; i++) {
            vec factor = a[i * down + j * right];
            for (int64_t c = 0; c < k; c++)
                x[i * k + c] -= factor * x[j * k + c];
        }
    }
}

static void groups(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t n = g->n, m = g->k;
    vec *a = symc_scratch(SLOT_BLOCK, (size_t)(n * n) * sizeof(vec));
    vec *x = symc_scratch(SLOT_BLOCK_2, (size_t)(n * m) * sizeof(vec));
    for (int64_t group = begin; group < end; group++) {
        int64_t first = group * VL, count = smaller(VL, g->batch - first);
        if (count < VL) {
            memset(a, 0, (size_t)(n * n) * sizeof(vec));
            memset(x, 0, (size_t)(n * m) * sizeof(vec));
        }
        for (int64_t k = 0; k < count; k++) {
            const real *one = g->a + (first + k) * n * n;
            if (singular(one, n)) {
                set_failed(g->failed);
                return;
            }
            for (int64_t i = 0; i < n * n; i++)
                ((real *)(a + i))[k] = one[i];
            for (int64_t i = 0; i < n * m; i++)
                ((real *)(x + i))[k] = g->b[(first + k) * n * m + i];
        }
        substitute(g, a, x);
        for (int64_t k = 0; k < count; k++)
            for (int64_t i = 0; i < n * m; i++)
                g->out[(first + k) * n * m + i] = ((const real *)(x + i))[k];
    }
}

#endif

/* X' = B' (A')^-1: to LAPACK, the rows of x are columns, and the matrix is its transpose, to their right. */
static void matrices(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int n = (int)g->n, m = (int)g->k, one = 1;
    number unit = of_real(1);
    word uplo = g->lower ? "U" : "L";
    for (int64_t k = begin; k < end; k++) {
        const number *a = g->a + k * g->n * g->n;
        number *x = g->out + k * g->n * g->k;
        if (singular(a, n)) {
            set_failed(g->failed);
            return;
        }
        memcpy(x, g->b + k * g->n * g->k, (size_t)(g->n * g->k) * sizeof(number));
        if (m == 1)
            LAPACK(trsv)(uplo, g->turned ? "N" : "T", "N", &n, a, &n, x, &one, 1, 1, 1);
        else
            LAPACK(trsm)("R", uplo, g->turned ? "T" : "N", "N", &m, &n, &unit, a, &n, x, &m, 1, 1, 1, 1);
    }
}

void OF(triangular)(void *const *bufs, const int64_t *p)
{
    job g = {p[0], p[1], p[2], p[3], p[4], bufs[0], bufs[1], bufs[2], bufs[3]};
    if (!countable(g.n, g.n) || !countable(g.n, g.k))
        cannot(g.failed);
#if !SYMC_COMPLEX
    else if (by_lanes(g.batch, g.n) && (few_columns(g.batch, g.k) || !LAPACK(trsm)))
        each_group(groups, &g, g.batch, g.n * (g.n + g.k + g.n * g.k / 2));
#endif
    else if (!LAPACK(trsm))
        cannot(g.failed);
    else
        each_matrix(matrices, &g, g.batch, (double)g.n * g.n * g.k);
}
