/* Singular values, eigenvalues, QR factorisations, pseudo-inverses. Compiled once per element type. */
#include "factor.h"

typedef struct {
    int64_t batch, m, n;
    int vectors, full, lower; /* full: square U and V, or Q */
    double rcond;
    number *first, *third;
    real *values;
    const number *a;
    void *failed;
} job;

/* ---- singular values --------------------------------------------------------------------------------------------- */

/* A, (m, n) by rows, is A' = V S U' to LAPACK (without conjugation: its left vectors are conjugates of ours): its left
 * vectors are our right ones, and stored as we want them. */
typedef struct {
    number *work, *copy;
    real *reals;
    int *integers;
    int given;
} room;

INLINE word job_of(const job *g) { return !g->vectors ? "N" : g->full ? "A" : "S"; }

static room room_for_svd(const job *g)
{
    int rows = (int)g->n, columns = (int)g->m, k = (int)smaller(g->m, g->n), asked = -1, info, integer;
    int64_t least = k, most = larger(g->m, g->n), reals = least * larger(5 * least + 7, 2 * most + 2 * least + 1);
    number size = of_real(0), none = of_real(0);
    real value = 0;
    room found;
    found.reals = SYMC_COMPLEX ? symc_scratch(SLOT_TABLE, (size_t)reals * sizeof(real)) : NULL;
    LAPACK(gesdd)(job_of(g), &rows, &columns, &none, &rows, &value, &none, &rows, &none, g->full ? &columns : &k, &size,
                  &asked, COMPLEX_ONLY(found.reals) &integer, &info, 1);
    found.given = asked_for(size);
    found.work = symc_scratch(SLOT_BLOCK, (size_t)found.given * sizeof(number));
    found.integers = symc_scratch(SLOT_TABLE_2, (size_t)(8 * k) * sizeof(int));
    found.copy = symc_scratch(SLOT_BLOCK_2, (size_t)(g->m * g->n) * sizeof(number));
    return found;
}

static int decompose(const job *g, room *r, const number *a, number *u, real *s, number *vt)
{
    int rows = (int)g->n, columns = (int)g->m, k = (int)smaller(g->m, g->n), info;
    memcpy(r->copy, a, (size_t)(g->m * g->n) * sizeof(number));
    LAPACK(gesdd)(job_of(g), &rows, &columns, r->copy, &rows, s, vt, &rows, u, g->full ? &columns : &k, r->work, &r->given,
                  COMPLEX_ONLY(r->reals) r->integers, &info, 1);
    return info;
}

static void singular_values(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t k = smaller(g->m, g->n);
    room r = room_for_svd(g);
    for (int64_t i = begin; i < end; i++) {
        number *u = g->vectors ? g->first + i * g->m * (g->full ? g->m : k) : r.work;
        number *vt = g->vectors ? g->third + i * (g->full ? g->n : k) * g->n : r.work;
        if (decompose(g, &r, g->a + i * g->m * g->n, u, g->values + i * k, vt))
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

void OF(svd)(void *const *bufs, const int64_t *p)
{
    svd((job){.batch = p[0], .m = p[1], .n = p[2], .vectors = 1, .full = (int)p[3], .first = bufs[0], .values = bufs[1], .third = bufs[2],
              .a = bufs[3], .failed = bufs[4]}, LAPACK(gesdd) != NULL);
}

void OF(singular_values)(void *const *bufs, const int64_t *p)
{
    svd((job){.batch = p[0], .m = p[1], .n = p[2], .values = bufs[0], .a = bufs[1], .failed = bufs[2]},
        LAPACK(gesdd) != NULL);
}

/* With the thin factors of A' = V S U' by columns, the transpose of the result, by columns, is (U') ' (V / S)'; the outer
 * transposes are conjugate. */
static void pseudo_inverses(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int rows = (int)g->n, columns = (int)g->m, k = (int)smaller(g->m, g->n);
    room r = room_for_svd(g);
    number *u = symc_scratch(SLOT_PARTIAL, (size_t)(k * (g->m + g->n + 1)) * sizeof(number));
    number *vt = u + k * g->m, one = of_real(1), zero = of_real(0);
    real *s = (real *)(vt + k * g->n);
    for (int64_t i = begin; i < end; i++) {
        if (decompose(g, &r, g->a + i * g->m * g->n, u, s, vt)) {
            set_failed(g->failed);
            return;
        }
        real least = (real)((real)g->rcond * s[0]);
        for (int64_t j = 0; j < k; j++) {
            real factor = s[j] > least ? 1 / s[j] : 0;
            for (int64_t c = 0; c < rows; c++)
                vt[j * rows + c] = scaled(vt[j * rows + c], factor);
        }
        LAPACK(gemm)("C", "C", &columns, &rows, &k, &one, u, &k, vt, &rows, &zero, g->first + i * g->m * g->n, &columns, 1, 1);
    }
}

void OF(pinv)(void *const *bufs, const int64_t *p)
{
    job g = {.batch = p[0], .m = p[1], .n = p[2], .vectors = 1, .first = bufs[0], .a = bufs[1], .failed = bufs[3]};
    if (!symc_is_measuring())
        memcpy(&g.rcond, bufs[2], sizeof g.rcond);
    if (!LAPACK(gesdd) || !LAPACK(gemm) || !countable(g.m, g.n) || !countable(larger(g.m, g.n), 16))
        cannot(g.failed);
    else
        each_matrix(pseudo_inverses, &g, g.batch, (double)g.m * g.n * smaller(g.m, g.n) * 22);
}

/* ---- eigenvalues of symmetric and Hermitian matrices ------------------------------------------------------------- */

/* Rows are columns to LAPACK, which sees the conjugate matrix: the same values, and conjugate vectors. */
static void eigenvalues_of_half(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int n = (int)g->n, asked = -1, info, integer = 0;
    word jobz = g->vectors ? "V" : "N", uplo = g->lower ? "U" : "L";
    number size = of_real(0), none = of_real(0);
    real value = 0, reals = 0;
    LAPACK(syevd)(jobz, uplo, &n, &none, &n, &value, &size, &asked, COMPLEX_ONLY(&reals, &asked) &integer, &asked, &info, 1, 1);
    int given = asked_for(size), more = asked_for(of_real(reals));
    number *work = symc_scratch(SLOT_BLOCK, (size_t)given * sizeof(number));
    real *real_work = SYMC_COMPLEX ? symc_scratch(SLOT_TABLE, (size_t)more * sizeof(real)) : NULL;
    int *integers = symc_scratch(SLOT_TABLE_2, (size_t)larger(integer, 1) * sizeof(int));
    number *own = g->vectors ? NULL : symc_scratch(SLOT_BLOCK_2, (size_t)(g->n * g->n) * sizeof(number));
    (void)real_work;
    for (int64_t i = begin; i < end; i++) {
        number *v = g->vectors ? g->first + i * g->n * g->n : own;
        memcpy(v, g->a + i * g->n * g->n, (size_t)(g->n * g->n) * sizeof(number));
        LAPACK(syevd)(jobz, uplo, &n, v, &n, g->values + i * g->n, work, &given, COMPLEX_ONLY(real_work, &more) integers,
                      &integer, &info, 1, 1);
        if (info)
            set_failed(g->failed);
        if (g->vectors)
            transpose_in_place(v, n);
#if SYMC_COMPLEX
        for (int64_t j = 0; j < g->n * g->n && g->vectors; j++)
            v[j].im = -v[j].im;
#endif
    }
}

static void eigh(job g)
{
    if (!LAPACK(syevd) || !countable(g.n, g.n))
        cannot(g.failed);
    else
        each_matrix(eigenvalues_of_half, &g, g.batch, (double)g.n * g.n * g.n * (g.vectors ? 9 : 2));
}

void OF(eigh)(void *const *bufs, const int64_t *p)
{
    eigh((job){.batch = p[0], .n = p[1], .lower = (int)p[2], .vectors = 1, .values = bufs[0], .first = bufs[1], .a = bufs[2],
               .failed = bufs[3]});
}

void OF(eigenvalues_symmetric)(void *const *bufs, const int64_t *p)
{
    eigh((job){.batch = p[0], .n = p[1], .lower = (int)p[2], .values = bufs[0], .a = bufs[1], .failed = bufs[2]});
}

/* ---- eigenvalues of general matrices ------------------------------------------------------------------------------ */

/* Pairs of numbers: eigenvalues and vectors are complex, whatever the matrices are. */
typedef struct {
    real re, im;
} pair;

static int all_finite(const number *a, int64_t count)
{
    const real *parts = (const real *)a;
    for (int64_t i = 0; i < count * (1 + SYMC_COMPLEX); i++)
        if (!(__builtin_fabs((double)parts[i]) <= __DBL_MAX__))
            return 0;
    return 1;
}

typedef struct {
    number *copy, *vectors, *work;
    real *reals;
    int given;
} eig_room;

/* The eigenvalues of the matrix of columns in r->copy, and its vectors by columns in r->vectors. */
static int solved(eig_room *r, int n, int vectors, pair *w)
{
    int info, one = 1;
    number none;
    word job = vectors ? "V" : "N";
#if SYMC_COMPLEX
    LAPACK(geev)("N", job, &n, r->copy, &n, (number *)w, &none, &one, r->vectors, &n, r->work, &r->given, r->reals, &info, 1, 1);
#else
    real *re = r->reals, *im = re + n;
    LAPACK(geev)("N", job, &n, r->copy, &n, re, im, &none, &one, r->vectors, &n, r->work, &r->given, &info, 1, 1);
    for (int64_t j = 0; j < n && r->given > 0; j++)
        w[j] = (pair){re[j], im[j]};
#endif
    return info;
}

/* Vector j as pairs: of a real matrix, two columns are the parts of both vectors of a conjugate pair. */
INLINE pair vector_element(const number *v, const pair *w, int64_t n, int64_t i, int64_t j)
{
#if SYMC_COMPLEX
    (void)w;
    return (pair){v[j * n + i].re, v[j * n + i].im};
#else
    if (w[j].im == 0)
        return (pair){v[j * n + i], 0};
    return w[j].im > 0 ? (pair){v[j * n + i], v[(j + 1) * n + i]} : (pair){v[(j - 1) * n + i], -v[j * n + i]};
#endif
}

static void general_eigenvalues(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int n = (int)g->n;
    int64_t size = g->n * g->n;
    number asked;
    pair none[1];
    eig_room r = {.vectors = &asked, .copy = &asked, .work = &asked, .given = -1};
    r.reals = symc_scratch(SLOT_TABLE, (size_t)(2 * n) * sizeof(real));
    solved(&r, n, g->vectors, none);
    r.given = asked_for(asked);
    r.work = symc_scratch(SLOT_BLOCK, (size_t)r.given * sizeof(number));
    r.copy = symc_scratch(SLOT_BLOCK_2, (size_t)(2 * size) * sizeof(number));
    r.vectors = r.copy + size;
    for (int64_t k = begin; k < end; k++) {
        pair *w = (pair *)g->values + k * g->n, *v = (pair *)g->first + (g->vectors ? k * size : 0);
        const number *a = g->a + k * size;
        transpose(r.copy, a, n, n);
        if (!all_finite(a, size) || solved(&r, n, g->vectors, w)) {
            set_failed(g->failed);
            return;
        }
        for (int64_t i = 0; i < n && g->vectors; i++)
            for (int64_t j = 0; j < n; j++)
                v[i * n + j] = vector_element(r.vectors, w, n, i, j);
    }
}

static void eig(job g)
{
    if (!LAPACK(geev) || !countable(g.n, g.n) || !countable(g.n, 16))
        cannot(g.failed);
    else
        each_matrix(general_eigenvalues, &g, g.batch, (double)g.n * g.n * g.n * (g.vectors ? 25 : 10));
}

void OF(eig)(void *const *bufs, const int64_t *p)
{
    eig((job){.batch = p[0], .n = p[1], .vectors = 1, .values = bufs[0], .first = bufs[1], .a = bufs[2], .failed = bufs[3]});
}

void OF(eigenvalues)(void *const *bufs, const int64_t *p)
{
    eig((job){.batch = p[0], .n = p[1], .values = bufs[0], .a = bufs[1], .failed = bufs[2]});
}

/* ---- QR ---------------------------------------------------------------------------------------------------------- */

/* A' = L Q' to LAPACK: the transposes of what is asked for, stored by columns; Q' has as many rows as Q columns. */
static void orthonormal(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int rows = (int)g->n, columns = (int)g->m, k = (int)smaller(g->m, g->n), asked = -1, info;
    int side = g->full ? columns : k, wide = (int)larger(rows, side);
    number size[2] = {of_real(0), of_real(0)}, none = of_real(0);
    LAPACK(gelqf)(&rows, &columns, &none, &rows, &none, &size[0], &asked, &info);
    LAPACK(orglq)(&side, &columns, &k, &none, &wide, &none, &size[1], &asked, &info);
    int given = (int)larger(larger(asked_for(size[0]), asked_for(size[1])), larger(rows, columns));
    number *work = symc_scratch(SLOT_BLOCK, (size_t)given * sizeof(number));
    number *copy = symc_scratch(SLOT_BLOCK_2, (size_t)(g->m * g->n + k) * sizeof(number)), *tau = copy + g->m * g->n;
    for (int64_t i = begin; i < end; i++) {
        number *q = g->first + i * g->m * side, *r = g->third + i * side * g->n;
        memcpy(copy, g->a + i * g->m * g->n, (size_t)(g->m * g->n) * sizeof(number));
        LAPACK(gelqf)(&rows, &columns, copy, &rows, tau, work, &given, &info);
        int failed = info != 0;
        for (int64_t y = 0; y < side; y++)
            for (int64_t x = 0; x < g->n; x++)
                r[y * g->n + x] = x < y ? of_real(0) : copy[y * g->n + x];
        if (g->full) /* Q' fills its place, which is as large */
            for (int64_t y = 0; y < g->m; y++)
                memcpy(q + y * side, copy + y * g->n, (size_t)k * sizeof(number));
        number *made = g->full ? q : copy;
        LAPACK(orglq)(&side, &columns, &k, made, g->full ? &side : &rows, tau, work, &given, &info);
        if (failed || info)
            set_failed(g->failed);
        for (int64_t y = 0; y < g->m && !g->full; y++)
            memcpy(q + y * k, copy + y * g->n, (size_t)k * sizeof(number));
    }
}

void OF(qr)(void *const *bufs, const int64_t *p)
{
    job g = {.batch = p[0], .m = p[1], .n = p[2], .full = (int)p[3], .first = bufs[0], .third = bufs[1], .a = bufs[2],
             .failed = bufs[3]};
    if (!LAPACK(gelqf) || !LAPACK(orglq) || !countable(g.m, g.n) || (g.full && !countable(g.m, g.m)))
        cannot(g.failed);
    else
        each_matrix(orthonormal, &g, g.batch, (double)g.m * (g.full ? g.m : g.n) * smaller(g.m, g.n) * 4);
}
