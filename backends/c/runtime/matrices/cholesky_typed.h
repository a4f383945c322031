/* Cholesky factors. Compiled once per element type. */
#include "factor.h"

typedef struct {
    int64_t batch, n, lower, nan;
    number *out;
    const number *a;
    void *failed;
} job;

/* The n x n elements of a matrix that has no factor. */
static void without_factor(const job *g, int64_t k)
{
    if (!g->nan) {
        set_failed(g->failed);
        return;
    }
    for (int64_t i = 0; i < g->n * g->n; i++)
        g->out[k * g->n * g->n + i] = of_real((real)__builtin_nan(""));
}

#if !SYMC_COMPLEX
/* l: the lower triangle of VL matrices, element by element; returns the lanes that are not positive definite. */
static index_vec factorise(vec *l, int64_t n)
{
    index_vec bad = {0};
    for (int64_t j = 0; j < n; j++) {
        vec pivot = l[j * n + j];
        bad |= ~(pivot > splat(0));
        vec root = roots(pivot), inverse = 1 / root;
        l[j * n + j] = root;
        for (int64_t i = j + 1; i < n; i++)
            l[i * n + j] *= inverse;
        for (int64_t i = j + 1; i < n; i++) {
            vec factor = l[i * n + j];
            for (int64_t k = j + 1; k <= i; k++)
                l[i * n + k] -= factor * l[k * n + j];
        }
    }
    return bad;
}

static void groups(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t n = g->n, down = g->lower ? n : 1, right = g->lower ? 1 : n;
    vec *l = symc_scratch(SLOT_BLOCK, (size_t)(n * n) * sizeof(vec));
    for (int64_t group = begin; group < end; group++) {
        int64_t first = group * VL, count = smaller(VL, g->batch - first);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j <= i; j++) {
                vec v = splat(i == j);
                for (int64_t k = 0; k < count; k++)
                    v[k] = g->a[(first + k) * n * n + i * down + j * right];
                l[i * n + j] = v;
            }
        index_vec bad = factorise(l, n);
        for (int64_t k = 0; k < count; k++) {
            real *out = g->out + (first + k) * n * n;
            for (int64_t i = 0; i < n; i++)
                for (int64_t j = 0; j < n; j++)
                    out[i * down + j * right] = j <= i ? ((const real *)(l + i * n + j))[k] : 0;
            if (bad[k])
                without_factor(g, first + k);
        }
    }
}

#endif

/* The lower triangle of rows is the upper one of columns. */
static void matrices(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int n = (int)g->n, info;
    for (int64_t k = begin; k < end; k++) {
        number *out = g->out + k * g->n * g->n;
        const number *a = g->a + k * g->n * g->n;
        for (int64_t i = 0; i < n; i++) {
            int64_t from = g->lower ? 0 : i, to = g->lower ? i + 1 : n;
            memset(out + i * n, 0, (size_t)from * sizeof(number));
            memcpy(out + i * n + from, a + i * n + from, (size_t)(to - from) * sizeof(number));
            memset(out + i * n + to, 0, (size_t)(n - to) * sizeof(number));
        }
        LAPACK(potrf)(g->lower ? "U" : "L", &n, out, &n, &info, 1);
        if (info)
            without_factor(g, k);
    }
}

void OF(cholesky)(void *const *bufs, const int64_t *p)
{
    job g = {p[0], p[1], p[2], p[3], bufs[0], bufs[1], bufs[2]};
    if (!countable(g.n, g.n))
        cannot(g.failed);
#if !SYMC_COMPLEX
    else if (by_lanes(g.batch, g.n))
        each_group(groups, &g, g.batch, g.n * g.n * g.n);
#endif
    else if (!LAPACK(potrf))
        cannot(g.failed);
    else
        each_matrix(matrices, &g, g.batch, (double)g.n * g.n * g.n / 3);
}
