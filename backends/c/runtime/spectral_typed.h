/* Singular values, eigenvalues of symmetric matrices, QR factorisations, pseudo-inverses. Compiled once per element type. */
#include "factor.h"

typedef struct {
    int64_t batch, m, n;
    int vectors, full, lower; /* full: square U and V */
    double rcond;
    real *first, *second, *third;
    const real *a;
    void *failed;
} job;

/* ---- singular values --------------------------------------------------------------------------------------------- */

/* A, (m, n) by rows, is A' = V S U' to LAPACK: its left vectors are our right ones, and stored as we want them. */
typedef struct {
    real *work, *copy;
    int *integers;
    int given;
} room;

INLINE word job_of(const job *g) { return !g->vectors ? "N" : g->full ? "A" : "S"; }

static room room_for_svd(const job *g)
{
    int rows = (int)g->n, columns = (int)g->m, k = (int)smaller(g->m, g->n), asked = -1, info, integer;
    real size = 0, none = 0;
    LAPACK(gesdd)(job_of(g), &rows, &columns, &none, &rows, &none, &none, &rows, &none, g->full ? &columns : &k, &size,
                  &asked, &integer, &info, 1);
    room found;
    found.given = (int)larger((int64_t)((double)size * (SYMC_DOUBLE ? 1 : 1.0001)) + 1, 1); /* a float may be rounded down */
    found.work = symc_scratch(SLOT_BLOCK, (size_t)found.given * sizeof(real));
    found.integers = symc_scratch(SLOT_TABLE_2, (size_t)(8 * k) * sizeof(int));
    found.copy = symc_scratch(SLOT_BLOCK_2, (size_t)(g->m * g->n) * sizeof(real));
    return found;
}

static int decompose(const job *g, room *r, const real *a, real *u, real *s, real *vt)
{
    int rows = (int)g->n, columns = (int)g->m, k = (int)smaller(g->m, g->n), info;
    memcpy(r->copy, a, (size_t)(g->m * g->n) * sizeof(real));
    LAPACK(gesdd)(job_of(g), &rows, &columns, r->copy, &rows, s, vt, &rows, u, g->full ? &columns : &k, r->work, &r->given,
                  r->integers, &info, 1);
    return info;
}

static void singular_values(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t k = smaller(g->m, g->n);
    room r = room_for_svd(g);
    for (int64_t i = begin; i < end; i++) {
        real *u = g->vectors ? g->first + i * g->m * (g->full ? g->m : k) : r.work;
        real *vt = g->vectors ? g->third + i * (g->full ? g->n : k) * g->n : r.work;
        if (decompose(g, &r, g->a + i * g->m * g->n, u, g->second + i * k, vt))
            set_failed(g->failed);
    }
}

static void svd(job g, int known)
{
    if (!known || !countable(g.m, g.n) || (g.full && !countable(larger(g.m, g.n), larger(g.m, g.n))) || !countable(larger(g.m, g.n), 16)) {
        cannot(g.failed);
        return;
    }
    each_matrix(singular_values, &g, g.batch, (double)g.m * g.n * smaller(g.m, g.n) * (g.vectors ? 20 : 4));
}

void FN(symc_svd)(void *const *bufs, const int64_t *p)
{
    svd((job){.batch = p[0], .m = p[1], .n = p[2], .vectors = 1, .full = (int)p[3], .first = bufs[0], .second = bufs[1], .third = bufs[2],
              .a = bufs[3], .failed = bufs[4]}, LAPACK(gesdd) != NULL);
}

void FN(symc_singular_values)(void *const *bufs, const int64_t *p)
{
    svd((job){.batch = p[0], .m = p[1], .n = p[2], .second = bufs[0], .a = bufs[1], .failed = bufs[2]},
        LAPACK(gesdd) != NULL);
}

/* With the thin factors of A' = V S U' by columns, the transpose of the result, by columns, is (U') ' (V / S)'. */
static void pseudo_inverses(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int rows = (int)g->n, columns = (int)g->m, k = (int)smaller(g->m, g->n);
    room r = room_for_svd(g);
    real *u = symc_scratch(SLOT_PARTIAL, (size_t)(k * (g->m + g->n + 1)) * sizeof(real));
    real *vt = u + k * g->m, *s = vt + k * g->n, one = 1, zero = 0;
    for (int64_t i = begin; i < end; i++) {
        if (decompose(g, &r, g->a + i * g->m * g->n, u, s, vt)) {
            set_failed(g->failed);
            return;
        }
        real least = (real)((real)g->rcond * s[0]);
        for (int64_t j = 0; j < k; j++) {
            real factor = s[j] > least ? 1 / s[j] : 0;
            for (int64_t c = 0; c < rows; c++)
                vt[j * rows + c] *= factor;
        }
        LAPACK(gemm)("T", "T", &columns, &rows, &k, &one, u, &k, vt, &rows, &zero, g->first + i * g->m * g->n, &columns, 1, 1);
    }
}

void FN(symc_pinv)(void *const *bufs, const int64_t *p)
{
    job g = {.batch = p[0], .m = p[1], .n = p[2], .vectors = 1, .first = bufs[0], .a = bufs[1], .failed = bufs[3]};
    if (!symc_is_measuring())
        memcpy(&g.rcond, bufs[2], sizeof g.rcond);
    if (!LAPACK(gesdd) || !LAPACK(gemm) || !countable(g.m, g.n) || !countable(larger(g.m, g.n), 16))
        cannot(g.failed);
    else
        each_matrix(pseudo_inverses, &g, g.batch, (double)g.m * g.n * smaller(g.m, g.n) * 22);
}

/* ---- eigenvalues of symmetric matrices --------------------------------------------------------------------------- */

static void eigenvalues(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int n = (int)g->n, asked = -1, info, integer = 0;
    word jobz = g->vectors ? "V" : "N", uplo = g->lower ? "U" : "L"; /* rows are columns to LAPACK */
    real size = 0, none = 0;
    LAPACK(syevd)(jobz, uplo, &n, &none, &n, &none, &size, &asked, &integer, &asked, &info, 1, 1);
    int given = (int)((double)size * (SYMC_DOUBLE ? 1 : 1.0001)) + 1;
    real *work = symc_scratch(SLOT_BLOCK, (size_t)given * sizeof(real));
    int *integers = symc_scratch(SLOT_TABLE_2, (size_t)larger(integer, 1) * sizeof(int));
    real *own = g->vectors ? NULL : symc_scratch(SLOT_BLOCK_2, (size_t)(g->n * g->n) * sizeof(real));
    for (int64_t i = begin; i < end; i++) {
        real *v = g->vectors ? g->second + i * g->n * g->n : own;
        memcpy(v, g->a + i * g->n * g->n, (size_t)(g->n * g->n) * sizeof(real));
        LAPACK(syevd)(jobz, uplo, &n, v, &n, g->first + i * g->n, work, &given, integers, &integer, &info, 1, 1);
        if (info)
            set_failed(g->failed);
        if (g->vectors)
            transpose_in_place(v, n);
    }
}

static void eigh(job g)
{
    if (!LAPACK(syevd) || !countable(g.n, g.n))
        cannot(g.failed);
    else
        each_matrix(eigenvalues, &g, g.batch, (double)g.n * g.n * g.n * (g.vectors ? 9 : 2));
}

void FN(symc_eigh)(void *const *bufs, const int64_t *p)
{
    eigh((job){.batch = p[0], .n = p[1], .lower = (int)p[2], .vectors = 1, .first = bufs[0], .second = bufs[1], .a = bufs[2],
               .failed = bufs[3]});
}

void FN(symc_eigenvalues_symmetric)(void *const *bufs, const int64_t *p)
{
    eigh((job){.batch = p[0], .n = p[1], .lower = (int)p[2], .first = bufs[0], .a = bufs[1], .failed = bufs[2]});
}

/* ---- QR ---------------------------------------------------------------------------------------------------------- */

/* A' = L Q' to LAPACK: the transposes of what is asked for, stored by columns. */
static void orthonormal(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int rows = (int)g->n, columns = (int)g->m, k = (int)smaller(g->m, g->n), asked = -1, info;
    real size[2] = {0}, none = 0;
    LAPACK(gelqf)(&rows, &columns, &none, &rows, &none, &size[0], &asked, &info);
    LAPACK(orglq)(&k, &columns, &k, &none, &rows, &none, &size[1], &asked, &info);
    int given = (int)larger(larger((int64_t)size[0], (int64_t)size[1]) + 1, larger(rows, columns));
    real *work = symc_scratch(SLOT_BLOCK, (size_t)given * sizeof(real));
    real *copy = symc_scratch(SLOT_BLOCK_2, (size_t)(g->m * g->n + k) * sizeof(real)), *tau = copy + g->m * g->n;
    for (int64_t i = begin; i < end; i++) {
        real *q = g->first + i * g->m * k, *r = g->second + i * k * g->n;
        memcpy(copy, g->a + i * g->m * g->n, (size_t)(g->m * g->n) * sizeof(real));
        LAPACK(gelqf)(&rows, &columns, copy, &rows, tau, work, &given, &info);
        int failed = info != 0;
        for (int64_t y = 0; y < k; y++)
            for (int64_t x = 0; x < g->n; x++)
                r[y * g->n + x] = x < y ? 0 : copy[y * g->n + x];
        LAPACK(orglq)(&k, &columns, &k, copy, &rows, tau, work, &given, &info);
        if (failed || info)
            set_failed(g->failed);
        for (int64_t y = 0; y < g->m; y++)
            memcpy(q + y * k, copy + y * g->n, (size_t)k * sizeof(real));
    }
}

void FN(symc_qr)(void *const *bufs, const int64_t *p)
{
    job g = {.batch = p[0], .m = p[1], .n = p[2], .first = bufs[0], .second = bufs[1], .a = bufs[2], .failed = bufs[3]};
    if (!LAPACK(gelqf) || !LAPACK(orglq) || !countable(g.m, g.n))
        cannot(g.failed);
    else
        each_matrix(orthonormal, &g, g.batch, (double)g.m * g.n * smaller(g.m, g.n) * 4);
}
