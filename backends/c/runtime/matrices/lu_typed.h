/* LU factorisations with partial pivoting, and what is computed from them. Compiled once per element type.
 *
 * The factors of A are stored by columns, as LAPACK does: the element (i, j) at j * n + i. Row i was exchanged with row
 * pivots[i], counted from 0, for i = 0, 1, ... A pivot of -1 in the first place means that there are no factors. A
 * singular matrix has factors; there is a zero on the diagonal of U.
 */
#include "factor.h"

typedef struct {
    int64_t batch, n, k, turned, nan;
    number *out;
    int32_t *pivots;
    const number *lu, *a, *b;
    void *failed;
} job;

/* ---- the factorisation ------------------------------------------------------------------------------------------- */

#if !SYMC_COMPLEX
/* Exchanges row j with another one per lane. */
INLINE void exchange(vec *a, int64_t n, int64_t j, index_vec at)
{
    for (int64_t i = j + 1; i < n; i++) {
        index_vec here = at == (index_vec){0} + (lane_index)i;
        if (!any_lane(here))
            continue;
        for (int64_t c = 0; c < n; c++) {
            vec upper = a[j * n + c], lower = a[i * n + c];
            a[j * n + c] = choose(here, lower, upper);
            a[i * n + c] = choose(here, upper, lower);
        }
    }
}

INLINE vec magnitude(vec v) { return choose(v < splat(0), -v, v); }

/* a: VL matrices, element by element, by rows. */
static void factorise(vec *a, index_vec *pivots, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        vec best = magnitude(a[j * n + j]);
        index_vec at = (index_vec){0} + (lane_index)j;
        for (int64_t i = j + 1; i < n; i++) {
            vec size = magnitude(a[i * n + j]);
            index_vec larger_one = size > best;
            best = choose(larger_one, size, best);
            at = (at & ~larger_one) | (((index_vec){0} + (lane_index)i) & larger_one);
        }
        pivots[j] = at;
        exchange(a, n, j, at);
        vec pivot = a[j * n + j];
        vec inverse = 1 / choose(pivot == splat(0), splat(1), pivot);
        for (int64_t i = j + 1; i < n; i++) {
            vec factor = a[i * n + j] * inverse;
            a[i * n + j] = factor;
            for (int64_t c = j + 1; c < n; c++)
                a[i * n + c] -= factor * a[j * n + c];
        }
    }
}

static void factor_groups(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t n = g->n;
    vec *a = symc_scratch(SLOT_BLOCK, (size_t)(n * n + n) * sizeof(vec));
    index_vec *pivots = (index_vec *)(a + n * n);
    for (int64_t group = begin; group < end; group++) {
        int64_t first = group * VL, count = smaller(VL, g->batch - first);
        if (count < VL)
            memset(a, 0, (size_t)(n * n) * sizeof(vec));
        for (int64_t k = 0; k < count; k++)
            for (int64_t i = 0; i < n * n; i++)
                ((real *)(a + i))[k] = g->a[(first + k) * n * n + i];
        factorise(a, pivots, n);
        for (int64_t k = 0; k < count; k++) {
            real *out = g->out + (first + k) * n * n;
            for (int64_t j = 0; j < n; j++) {
                for (int64_t i = 0; i < n; i++)
                    out[j * n + i] = ((const real *)(a + i * n + j))[k];
                g->pivots[(first + k) * n + j] = (int32_t)((const lane_index *)(pivots + j))[k];
            }
        }
    }
}

#endif

static void factor_matrices(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int n = (int)g->n, info;
    for (int64_t k = begin; k < end; k++) {
        number *out = g->out + k * g->n * g->n;
        int32_t *pivots = g->pivots + k * g->n;
        transpose(out, g->a + k * g->n * g->n, n, n);
        LAPACK(getrf)(&n, &n, out, &n, pivots, &info);
        for (int64_t i = 0; i < n; i++)
            pivots[i]--;
    }
}

void OF(lu)(void *const *bufs, const int64_t *p)
{
    job g = {.batch = p[0], .n = p[1], .out = bufs[0], .pivots = bufs[1], .a = bufs[2], .failed = bufs[3]};
    if (!countable(g.n, g.n))
        cannot(g.failed);
#if !SYMC_COMPLEX
    else if (by_lanes(g.batch, g.n))
        each_group(factor_groups, &g, g.batch, g.n * g.n * g.n);
#endif
    else if (!LAPACK(getrf))
        cannot(g.failed);
    else
        each_matrix_shared(factor_matrices, &g, g.batch, (double)g.n * g.n * g.n, 6e8); /* as measured */
}

/* ---- solving ----------------------------------------------------------------------------------------------------- */

INLINE int singular(const number *lu, const int32_t *pivots, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (is_zero(lu[i * n + i]))
            return 1;
    return pivots[0] < 0;
}

/* A singular matrix has no solution: NaN, or a refusal. Returns whether to go on. */
static int without_solution(const job *g, int64_t which)
{
    if (!g->nan) {
        set_failed(g->failed);
        return 0;
    }
    for (int64_t i = 0; i < g->n * g->k; i++)
        g->out[which * g->n * g->k + i] = of_real((real)__builtin_nan(""));
    return 1;
}

#if !SYMC_COMPLEX
/* order[i] is the row of the matrix that became row i. */
INLINE void order_of(int32_t *order, const int32_t *pivots, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = (int32_t)i;
    for (int64_t i = 0; i < n; i++) {
        int32_t kept = order[i];
        order[i] = order[pivots[i]];
        order[pivots[i]] = kept;
    }
}

/* x, (n, k): VL right sides, row by row; lu: the factors, element by element, by columns. */
static void substitute(const vec *lu, vec *x, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = j + 1; i < n; i++) {
            vec factor = lu[j * n + i];
            for (int64_t c = 0; c < k; c++)
                x[i * k + c] -= factor * x[j * k + c];
        }
    for (int64_t j = n - 1; j >= 0; j--) {
        vec inverse = 1 / lu[j * n + j];
        for (int64_t c = 0; c < k; c++)
            x[j * k + c] *= inverse;
        for (int64_t i = 0; i < j; i++) {
            vec factor = lu[j * n + i];
            for (int64_t c = 0; c < k; c++)
                x[i * k + c] -= factor * x[j * k + c];
        }
    }
}

/* The same for the transposes of the matrices. */
static void substitute_turned(const vec *lu, vec *x, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j++) {
        vec inverse = 1 / lu[j * n + j];
        for (int64_t c = 0; c < k; c++)
            x[j * k + c] *= inverse;
        for (int64_t i = j + 1; i < n; i++) {
            vec factor = lu[i * n + j];
            for (int64_t c = 0; c < k; c++)
                x[i * k + c] -= factor * x[j * k + c];
        }
    }
    for (int64_t j = n - 1; j > 0; j--)
        for (int64_t i = 0; i < j; i++) {
            vec factor = lu[i * n + j];
            for (int64_t c = 0; c < k; c++)
                x[i * k + c] -= factor * x[j * k + c];
        }
}

/* The right side of matrix `which`: the given one, or the identity. */
INLINE real right_side(const job *g, int64_t which, int64_t i, int64_t c)
{
    return g->b ? g->b[which * g->n * g->k + i * g->k + c] : i == c;
}

static void solve_groups(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t n = g->n, m = g->k;
    vec *lu = symc_scratch(SLOT_BLOCK, (size_t)(n * n) * sizeof(vec));
    vec *x = symc_scratch(SLOT_BLOCK_2, (size_t)(n * m) * sizeof(vec));
    int32_t *order = symc_scratch(SLOT_TABLE_2, (size_t)(VL * n) * sizeof(int32_t));
    for (int64_t group = begin; group < end; group++) {
        int64_t first = group * VL, count = smaller(VL, g->batch - first);
        if (count < VL) {
            memset(lu, 0, (size_t)(n * n) * sizeof(vec));
            memset(x, 0, (size_t)(n * m) * sizeof(vec));
        }
        for (int64_t k = 0; k < count; k++) {
            const real *one = g->lu + (first + k) * n * n;
            const int32_t *pivots = g->pivots + (first + k) * n;
            if (pivots[0] < 0 || (singular(one, pivots, n) && !g->nan)) {
                set_failed(g->failed);
                return;
            }
            order_of(order + k * n, pivots, n);
            for (int64_t i = 0; i < n * n; i++)
                ((real *)(lu + i))[k] = one[i];
            for (int64_t i = 0; i < n; i++) {
                int64_t row = g->turned ? i : order[k * n + i];
                for (int64_t c = 0; c < m; c++)
                    ((real *)(x + i * m + c))[k] = right_side(g, first + k, row, c);
            }
        }
        if (g->turned)
            substitute_turned(lu, x, n, m);
        else
            substitute(lu, x, n, m);
        for (int64_t k = 0; k < count; k++)
            for (int64_t i = 0; i < n; i++) {
                int64_t row = g->turned ? order[k * n + i] : i;
                for (int64_t c = 0; c < m; c++)
                    g->out[(first + k) * n * m + row * m + c] = ((const real *)(x + i * m + c))[k];
            }
        for (int64_t k = 0; k < count && g->nan; k++)
            if (singular(g->lu + (first + k) * n * n, g->pivots + (first + k) * n, n))
                without_solution(g, first + k);
    }
}

#endif

/* Exchanges rows of x, (n, m), as the factorisation did, or undoes that. */
static void exchange_rows(number *x, const int32_t *pivots, int64_t n, int64_t m, int undo)
{
    for (int64_t step = 0; step < n; step++) {
        int64_t i = undo ? n - 1 - step : step, j = pivots[i];
        if (i != j)
            for (int64_t c = 0; c < m; c++) {
                number kept = x[i * m + c];
                x[i * m + c] = x[j * m + c];
                x[j * m + c] = kept;
            }
    }
}

/* X' = B' (A')^-1: to LAPACK, the rows of x are columns, so the factors are to its right. */
static void solve_matrices(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int n = (int)g->n, m = (int)g->k, one = 1, t = g->turned != 0;
    number unit = of_real(1);
    for (int64_t k = begin; k < end; k++) {
        const number *lu = g->lu + k * g->n * g->n;
        const int32_t *pivots = g->pivots + k * g->n;
        number *x = g->out + k * g->n * g->k;
        if (singular(lu, pivots, n)) {
            set_failed(g->failed);
            return;
        }
        memcpy(x, g->b + k * g->n * g->k, (size_t)(g->n * g->k) * sizeof(number));
        if (!t)
            exchange_rows(x, pivots, n, m, 0);
        for (int step = 0; step < 2; step++) {
            int lower = step == t;
            word uplo = lower ? "L" : "U", diag = lower ? "U" : "N";
            if (m == 1)
                LAPACK(trsv)(uplo, t ? "T" : "N", diag, &n, lu, &n, x, &one, 1, 1, 1);
            else
                LAPACK(trsm)("R", uplo, t ? "N" : "T", diag, &m, &n, &unit, lu, &n, x, &m, 1, 1, 1, 1);
        }
        if (t)
            exchange_rows(x, pivots, n, m, 1);
    }
}

void OF(lu_solve)(void *const *bufs, const int64_t *p)
{
    job g = {.batch = p[0], .n = p[1], .k = p[2], .turned = p[3], .out = bufs[0], .lu = bufs[1], .pivots = bufs[2],
             .b = bufs[4], .failed = bufs[5]};
    if (!countable(g.n, g.n) || !countable(g.n, g.k))
        cannot(g.failed);
#if !SYMC_COMPLEX
    else if (by_lanes(g.batch, g.n) && (few_columns(g.batch, g.k) || !LAPACK(trsm)))
        each_group(solve_groups, &g, g.batch, g.n * (g.n + g.k + g.n * g.k));
#endif
    else if (!LAPACK(trsm))
        cannot(g.failed);
    else
        each_matrix(solve_matrices, &g, g.batch, (double)g.n * g.n * g.k * 2);
}

/* ---- inverses ---------------------------------------------------------------------------------------------------- */

static void invert_matrices(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int n = (int)g->n, info, asked = -1;
    number size = of_real(0);
    LAPACK(getri)(&n, &size, &n, &n, &size, &asked, &info);
    int given = (int)larger(asked_for(size), n);
    number *work = symc_scratch(SLOT_BLOCK, (size_t)given * sizeof(number));
    int *pivots = symc_scratch(SLOT_TABLE_2, (size_t)n * sizeof(int));
    for (int64_t k = begin; k < end; k++) {
        const number *lu = g->lu + k * g->n * g->n;
        number *out = g->out + k * g->n * g->n;
        if (singular(lu, g->pivots + k * g->n, n)) {
            if (g->pivots[k * g->n] < 0 || !without_solution(g, k)) {
                set_failed(g->failed);
                return;
            }
            continue;
        }
        for (int64_t i = 0; i < n; i++)
            pivots[i] = g->pivots[k * g->n + i] + 1;
        memcpy(out, lu, (size_t)(g->n * g->n) * sizeof(number));
        LAPACK(getri)(&n, out, &n, pivots, work, &given, &info);
        if (info)
            set_failed(g->failed);
        transpose_in_place(out, n);
    }
}

static void invert(void *const *bufs, const int64_t *p, int64_t nan)
{
    job g = {.batch = p[0], .n = p[1], .k = p[1], .nan = nan, .out = bufs[0], .lu = bufs[1], .pivots = bufs[2],
             .failed = bufs[4]};
    if (!countable(g.n, g.n))
        cannot(g.failed);
#if !SYMC_COMPLEX
    else if (by_lanes(g.batch, g.n))
        each_group(solve_groups, &g, g.batch, g.n * g.n * g.n);
#endif
    else if (!LAPACK(getri))
        cannot(g.failed);
    else
        each_matrix(invert_matrices, &g, g.batch, (double)g.n * g.n * g.n * 1.4);
}

void OF(lu_inverse)(void *const *bufs, const int64_t *p) { invert(bufs, p, p[2]); }

/* ---- determinants ------------------------------------------------------------------------------------------------ */

typedef struct {
    int64_t batch, n;
    number *sign; /* without a place for the logarithm of the size, that of the sign is the determinant's */
    real *size;
    const number *lu;
    const int32_t *pivots;
    void *failed;
} determinants;

/* A number that is scaled by a power of two so that it neither overflows nor vanishes. */
typedef struct {
    double re, im;
    int64_t exponent;
} long_number;

INLINE void scale(long_number *x)
{
    int exponent;
    double size = __builtin_fmax(__builtin_fabs(x->re), __builtin_fabs(x->im));
    if (!(size > 0) || size > __DBL_MAX__)
        return;
    (void)__builtin_frexp(size, &exponent);
    x->re = __builtin_ldexp(x->re, -exponent);
    x->im = __builtin_ldexp(x->im, -exponent);
    x->exponent += exponent;
}

INLINE void multiply(long_number *x, number by)
{
#if SYMC_COMPLEX
    long_number u = {(double)by.re, (double)by.im, 0};
    scale(&u);
    *x = (long_number){x->re * u.re - x->im * u.im, x->re * u.im + x->im * u.re, x->exponent + u.exponent};
#else
    long_number u = {(double)by, 0, 0};
    scale(&u);
    *x = (long_number){x->re * u.re, 0, x->exponent + u.exponent};
#endif
    scale(x);
}

/* What stands for u in the product that is the sign of a determinant; the sign of a real number is never NaN. */
INLINE number sign_factor(number u)
{
#if SYMC_COMPLEX
    return u;
#else
    return u < 0 ? -1 : 1;
#endif
}

/* The number with another power of two. */
INLINE number with_exponent(long_number x, int64_t exponent)
{
    int shift = (int)larger(smaller(exponent, 10000), -10000);
#if SYMC_COMPLEX
    return (number){(real)__builtin_ldexp(x.re, shift), (real)__builtin_ldexp(x.im, shift)};
#else
    return (real)__builtin_ldexp(x.re, shift);
#endif
}

/* The determinant, or, with a place for the logarithm of its size, only its sign. One zero on the diagonal decides, whatever
 * else is there. */
static number determinant(const number *lu, const int32_t *pivots, int64_t n, real *size)
{
    double log_sum = 0;
    long_number product = {1, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        number u = lu[i * n + i];
        if (is_zero(u)) {
            if (size)
                *size = (real)-__builtin_inf();
            return of_real(0);
        }
        if (size) {
            log_sum += __builtin_log(magnitude_of(u));
            u = sign_factor(u);
        }
        multiply(&product, pivots[i] != i ? scaled(u, -1) : u);
    }
    if (!size)
        return with_exponent(product, product.exponent);
    *size = (real)log_sum;
    double whole = __builtin_hypot(product.re, product.im);
    product.re /= whole;
    product.im /= whole;
    return with_exponent(product, 0);
}

static void determinant_range(void *arg, int64_t begin, int64_t end)
{
    const determinants *g = arg;
    for (int64_t k = begin; k < end; k++)
        if (g->pivots[k * g->n] < 0)
            set_failed(g->failed);
        else
            g->sign[k] = determinant(g->lu + k * g->n * g->n, g->pivots + k * g->n, g->n, g->size ? g->size + k : NULL);
}

static void all_determinants(determinants g)
{
    if (!countable(g.n, g.n))
        cannot(g.failed);
    else
        symc_parallel(determinant_range, &g, g.batch, larger(SERIAL_WORK / (g.n * 16), 1));
}

void OF(lu_det)(void *const *bufs, const int64_t *p)
{
    all_determinants((determinants){p[0], p[1], bufs[0], NULL, bufs[1], bufs[2], bufs[4]});
}

void OF(lu_slogdet)(void *const *bufs, const int64_t *p)
{
    all_determinants((determinants){p[0], p[1], bufs[0], bufs[1], bufs[2], bufs[3], bufs[5]});
}

/* ---- cofactors --------------------------------------------------------------------------------------------------- */

/* The largest sum of magnitudes of a row. */
static double norm(const number *a, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += magnitude_of(a[i * n + j]);
        if (!(sum <= most))
            most = sum;
    }
    return most;
}

/* Inverses become det(A) A^-T; not where A is so close to a singular matrix that the inverse has few correct digits. */
static void cofactor_range(void *arg, int64_t begin, int64_t end)
{
    const job *g = arg;
    int64_t n = g->n;
    for (int64_t k = begin; k < end; k++) {
        number *out = g->out + k * n * n, whole = determinant(g->lu + k * n * n, g->pivots + k * n, n, NULL);
        double size = magnitude_of(whole), condition = norm(g->a + k * n * n, n) * norm(out, n);
        if (!(condition < (SYMC_DOUBLE ? 1e8 : 1e3)) || !(size < 1e30) || !(size > 1e-30)) {
            set_failed(g->failed);
            return;
        }
        for (int64_t i = 0; i < n * n; i++)
            out[i] = product(out[i], whole);
        transpose_in_place(out, n);
    }
}

void OF(lu_cofactors)(void *const *bufs, const int64_t *p)
{
    job g = {.batch = p[0], .n = p[1], .out = bufs[0], .lu = bufs[1], .pivots = bufs[2], .a = bufs[3], .failed = bufs[4]};
    invert(bufs, p, 0);
    if (countable(g.n, g.n) && (symc_is_measuring() || !*(const int64_t *)g.failed))
        symc_parallel(cofactor_range, &g, g.batch, larger(SERIAL_WORK / (g.n * g.n * 4), 1));
}
