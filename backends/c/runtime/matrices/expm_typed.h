/* Matrix exponentials: scaling and squaring with the diagonal Pade approximant of degree 13 (Higham, 2005), in double.
 * Compiled once per element type, which is that of the arrays. */
#include "factor.h"

typedef void (*gemm_double)(word ta, word tb, in m, in n, in k, const double *alpha, const double *a, in lda,
                            const double *b, in ldb, const double *beta, double *c, in ldc, size_t, size_t);
typedef void (*gesv_double)(in n, in k, double *a, in lda, int *pivots, double *b, in ldb, int *info);
#define IN_DOUBLE(name) ((name##_double)symc_lapack_table[2 * SYMC_COMPLEX + 1][LAPACK_##name])

enum { PARTS = 1 + SYMC_COMPLEX }; /* doubles in an element */

typedef struct {
    int64_t batch, n;
    real *out;
    const real *a;
    void *failed;
} job;

static const double pade[] = {64764752532480000., 32382376266240000., 7771770303897600., 1187353796428800.,
                              129060195264000., 10559470521600., 670442572800., 33522128640., 1323241920., 40840800.,
                              960960., 16380., 182., 1.};

/* c = a b + keep c. The order of storage does not matter: all matrices are powers of one. */
static void multiply(int n, const double *a, const double *b, double *c, double keep)
{
    double one[2] = {1, 0}, kept[2] = {keep, 0};
    IN_DOUBLE(gemm)("N", "N", &n, &n, &n, one, a, &n, b, &n, kept, c, &n, 1, 1);
}

/* out = c[0] I + c[2] x2 + c[4] x4 + c[6] x6 + x6 (c[8] x2 + c[10] x4 + c[12] x6). */
static void in_squares(int n, const double *c, double *const *powers, double *out, double *other)
{
    int64_t size = (int64_t)n * n * PARTS;
    for (int64_t i = 0; i < size; i++) {
        out[i] = c[2] * powers[0][i] + c[4] * powers[1][i] + c[6] * powers[2][i];
        other[i] = c[8] * powers[0][i] + c[10] * powers[1][i] + c[12] * powers[2][i];
    }
    for (int64_t i = 0; i < n; i++)
        out[(i * n + i) * PARTS] += c[0];
    multiply(n, powers[2], other, out, 1);
}

/* The largest sum of magnitudes of a column; those of complex numbers are at most too large. */
static double norm(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            for (int part = 0; part < PARTS; part++)
                sum += __builtin_fabs(x[(i * n + j) * PARTS + part]);
        if (!(sum <= most))
            most = sum;
    }
    return most;
}

/* x becomes its exponential, in the place that is returned; NULL if that cannot be done. */
static double *exponential(double *x, double *const *place, int *pivots, int n)
{
    int64_t size = (int64_t)n * n * PARTS;
    double scale = norm(x, n), *even = place[3], *odd = place[4], *rest = place[5];
    if (!(scale < 1e100))
        return NULL;
    int halvings = 0, info;
    for (; scale > 5.37; scale /= 2)
        halvings++;
    double factor = __builtin_ldexp(1, -halvings);
    for (int64_t i = 0; i < size; i++)
        x[i] *= factor;
    multiply(n, x, x, place[0], 0);
    multiply(n, place[0], place[0], place[1], 0);
    multiply(n, place[1], place[0], place[2], 0);
    in_squares(n, pade, place, even, rest);
    in_squares(n, pade + 1, place, odd, rest);
    multiply(n, x, odd, rest, 0);
    for (int64_t i = 0; i < size; i++) {
        odd[i] = even[i] - rest[i];
        rest[i] += even[i];
    }
    IN_DOUBLE(gesv)(&n, &n, odd, &n, pivots, rest, &n, &info);
    if (info)
        return NULL;
    for (int step = 0; step < halvings; step++) {
        double *squared = rest == place[5] ? even : place[5];
        multiply(n, rest, rest, squared, 0);
        rest = squared;
    }
    return rest;
}

static void matrices(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t size = g->n * g->n * PARTS;
    double *block = symc_scratch(SLOT_BLOCK, (size_t)(7 * size) * sizeof(double)), *place[6];
    int *pivots = symc_scratch(SLOT_TABLE_2, (size_t)g->n * sizeof(int));
    for (int i = 0; i < 6; i++)
        place[i] = block + (i + 1) * size;
    for (int64_t k = begin; k < end; k++) {
        for (int64_t i = 0; i < size; i++)
            block[i] = g->a[k * size + i];
        const double *found = exponential(block, place, pivots, (int)g->n);
        if (!found) {
            set_failed(g->failed);
            return;
        }
        for (int64_t i = 0; i < size; i++)
            g->out[k * size + i] = (real)found[i];
    }
}

void OF(expm)(void *const *bufs, const int64_t *p)
{
    job g = {p[0], p[1], bufs[0], bufs[1], bufs[2]};
    if (!IN_DOUBLE(gemm) || !IN_DOUBLE(gesv) || !countable(g.n, g.n))
        cannot(g.failed);
    else
        each_matrix(matrices, &g, g.batch, (double)g.n * g.n * g.n * 30);
}
