/* What the factorisations of one element type share: calls of LAPACK, many matrices at once, transposes.
 *
 * The element type is `number`: `real`, or a pair of these if SYMC_COMPLEX is 1. The routines of `symc_rt.h` that factorise
 * matrices follow the convention of library calls, with one more buffer at the end: a message that they set if they
 * could not do it. That is so without a library that they need, for empty matrices, and for matrices that cannot be
 * factorised; the caller then computes the outputs in another way, which also finds the words for an error.
 *
 * LAPACK stores columns one after another, symc rows. To LAPACK, a row-major matrix is its transpose, so most routines
 * factorise the transpose in the way that gives what is asked for, and copy nothing.
 */
#ifndef SYMC_FACTOR_H
#define SYMC_FACTOR_H

#include "base/lanes.h"
#include "lapack.h"
#include "base/scratch.h"

#include <limits.h>

#ifndef SYMC_COMPLEX
#define SYMC_COMPLEX 0
#endif
#if SYMC_COMPLEX
typedef struct {
    real re, im;
} number;
#define OF(name) FN(symc_complex_##name)
#define COMPLEX_ONLY(...) __VA_ARGS__,
#else
typedef real number;
#define OF(name) FN(symc_##name)
#define COMPLEX_ONLY(...)
#endif

/* Fortran passes everything by address, and the lengths of strings after all other arguments. */
typedef const int *in;
typedef const char *word;
typedef void (*potrf_call)(word uplo, in n, number *a, in lda, int *info, size_t);
typedef void (*getrf_call)(in m, in n, number *a, in lda, int *pivots, int *info);
typedef void (*getri_call)(in n, number *a, in lda, const int *pivots, number *work, in lwork, int *info);
typedef void (*trsm_call)(word side, word uplo, word trans, word diag, in m, in n, const number *alpha, const number *a,
                          in lda, number *b, in ldb, size_t, size_t, size_t, size_t);
typedef void (*trsv_call)(word uplo, word trans, word diag, in n, const number *a, in lda, number *x, in step, size_t,
                          size_t, size_t);
typedef void (*gemm_call)(word ta, word tb, in m, in n, in k, const number *alpha, const number *a, in lda, const number *b,
                          in ldb, const number *beta, number *c, in ldc, size_t, size_t);
typedef void (*gesdd_call)(word jobz, in m, in n, number *a, in lda, real *s, number *u, in ldu, number *vt, in ldvt,
                           number *work, in lwork, COMPLEX_ONLY(real *rwork) int *iwork, int *info, size_t);
typedef void (*syevd_call)(word jobz, word uplo, in n, number *a, in lda, real *w, number *work, in lwork,
                           COMPLEX_ONLY(real *rwork, in lrwork) int *iwork, in liwork, int *info, size_t, size_t);
typedef void (*gelqf_call)(in m, in n, number *a, in lda, number *tau, number *work, in lwork, int *info);
typedef void (*orglq_call)(in m, in n, in k, number *a, in lda, const number *tau, number *work, in lwork, int *info);
#if SYMC_COMPLEX
typedef void (*geev_call)(word jobvl, word jobvr, in n, number *a, in lda, number *w, number *vl, in ldvl, number *vr,
                          in ldvr, number *work, in lwork, real *rwork, int *info, size_t, size_t);
#else
typedef void (*geev_call)(word jobvl, word jobvr, in n, number *a, in lda, real *wr, real *wi, number *vl, in ldvl,
                          number *vr, in ldvr, number *work, in lwork, int *info, size_t, size_t);
#endif

#define LAPACK(name) ((name##_call)symc_lapack_table[2 * SYMC_COMPLEX + SYMC_DOUBLE][LAPACK_##name])

enum {
    LANE_SIDE = 16,       /* the longest side of matrices that are factorised lane by lane, even if there is only one */
    LANE_SIDE_MANY = 32,  /* the same, if there are enough of them to fill the lanes */
    SERIAL_WORK = 1 << 15 /* arithmetic operations that are done before another thread wakes up */
};

INLINE int by_lanes(int64_t batch, int64_t n) { return n <= LANE_SIDE || (n <= LANE_SIDE_MANY && batch >= VL); }

/* Whether right sides of k columns are few enough for lanes most of which may be idle. */
INLINE int few_columns(int64_t batch, int64_t k) { return k <= LANE_SIDE || batch >= VL; }

/* Whether LAPACK's 32-bit integers can count the elements of a matrix. */
INLINE int countable(int64_t m, int64_t n) { return m > 0 && n > 0 && m <= INT_MAX && n <= INT_MAX / m; }

INLINE void set_failed(void *message) { __atomic_store_n((const char **)message, "refused", __ATOMIC_RELAXED); }

INLINE void cannot(void *message)
{
    if (!symc_is_measuring())
        set_failed(message);
}

INLINE number of_real(real x)
{
#if SYMC_COMPLEX
    return (number){x, 0};
#else
    return x;
#endif
}

INLINE real real_part(number x)
{
#if SYMC_COMPLEX
    return x.re;
#else
    return x;
#endif
}

INLINE int is_zero(number x)
{
#if SYMC_COMPLEX
    return x.re == 0 && x.im == 0;
#else
    return x == 0;
#endif
}

INLINE number scaled(number x, real factor)
{
#if SYMC_COMPLEX
    return (number){x.re * factor, x.im * factor};
#else
    return x * factor;
#endif
}

INLINE number product(number x, number y)
{
#if SYMC_COMPLEX
    return (number){x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
#else
    return x * y;
#endif
}

INLINE double magnitude_of(number x)
{
#if SYMC_COMPLEX
    return __builtin_hypot((double)x.re, (double)x.im);
#else
    return __builtin_fabs((double)x);
#endif
}

/* The number of elements that a query of LAPACK for room asks for; a float may have been rounded down. */
INLINE int asked_for(number size) { return (int)((double)real_part(size) * (SYMC_DOUBLE ? 1 : 1.0001)) + 1; }

/* Runs `fn` over the matrices of a batch, of which each takes about `work` operations of LAPACK: many at a time with one
 * thread each, or one after another with all threads, which LAPACK uses if they take more than `shared` operations. */
INLINE void each_matrix_shared(symc_task fn, void *arg, int64_t batch, double work, double shared)
{
    int threads = symc_num_threads();
    work *= SYMC_COMPLEX ? 4 : 1;
    int64_t count = symc_is_measuring() ? 0 : batch;
    if (batch < 2 || (batch < 2 * threads && work > 1e7)) {
        symc_lapack_enter(work > shared ? threads : 1); /* threads that wait for each other cost more than they save */
        fn(arg, 0, count);
    } else {
        symc_lapack_enter(1);
        symc_parallel(fn, arg, batch, (int64_t)(SERIAL_WORK / larger((int64_t)smaller((int64_t)work, SERIAL_WORK), 1)));
    }
    symc_lapack_leave();
}

INLINE void each_matrix(symc_task fn, void *arg, int64_t batch, double work)
{
    each_matrix_shared(fn, arg, batch, work, 2e7);
}

/* The same for groups of VL matrices, whose lanes work side by side. */
INLINE void each_group(symc_task fn, void *arg, int64_t batch, int64_t work)
{
    symc_parallel(fn, arg, ceil_div(batch, VL), larger(SERIAL_WORK / larger(work, 1), 1));
}

/* out, (n, m), becomes the transpose of a, (m, n). */
INLINE void transpose(number *out, const number *a, int64_t m, int64_t n)
{
    enum { SIDE = 16 };
    for (int64_t i = 0; i < m; i += SIDE)
        for (int64_t j = 0; j < n; j += SIDE) {
            int64_t rows = smaller(m, i + SIDE), columns = smaller(n, j + SIDE);
            for (int64_t c = j; c < columns; c++)
                for (int64_t r = i; r < rows; r++)
                    out[c * m + r] = a[r * n + c];
        }
}

INLINE void transpose_in_place(number *a, int64_t n)
{
    enum { SIDE = 16 };
    for (int64_t i = 0; i < n; i += SIDE)
        for (int64_t j = 0; j <= i; j += SIDE)
            for (int64_t r = i; r < smaller(n, i + SIDE); r++)
                for (int64_t c = j; c < smaller(r, j + SIDE); c++) {
                    number kept = a[r * n + c];
                    a[r * n + c] = a[c * n + r];
                    a[c * n + r] = kept;
                }
}

INLINE vec splat(real x) { return x - (vec){0}; }

/* The root lane by lane. */
INLINE vec roots(vec v)
{
    for (int i = 0; i < VL; i++)
#if SYMC_DOUBLE
        v[i] = __builtin_sqrt(v[i]);
#else
        v[i] = __builtin_sqrtf(v[i]);
#endif
    return v;
}

INLINE int any_lane(index_vec mask)
{
    lane_index found = 0;
    for (int i = 0; i < VL; i++)
        found |= mask[i];
    return found != 0;
}

#endif
