/* LAPACK: the routines of a library that is loaded at run time, and how many threads they use.
 *
 * The table is filled by `symc_lapack_set` before a program that needs it runs. Without a library its entries are NULL,
 * and what needs them reports that it cannot be done; see `factor.h`.
 */
#ifndef SYMC_LAPACK_H
#define SYMC_LAPACK_H

#include "base/symc_rt.h"

/* The names for real matrices and for complex ones, without the letter of the type. */
#define SYMC_LAPACK_ROUTINES(X)                                                                                       \
    X(potrf, potrf) X(getrf, getrf) X(getri, getri) X(trsm, trsm) X(trsv, trsv) X(gemm, gemm) X(gesv, gesv)           \
    X(gesdd, gesdd) X(syevd, heevd) X(gelqf, gelqf) X(orglq, unglq) X(geev, geev)

#define SYMC_LAPACK_NUMBER(name, of_complex) LAPACK_##name,
enum { SYMC_LAPACK_ROUTINES(SYMC_LAPACK_NUMBER) LAPACK_COUNT };

/* By element type (float, double, and the complex types of both), then by number. */
__attribute__((visibility("hidden"))) extern void *symc_lapack_table[4][LAPACK_COUNT];

/* Lets the library use `threads` threads until `symc_lapack_leave`. Waits while another application thread is inside
 * with another number. */
__attribute__((visibility("hidden"))) void symc_lapack_enter(int threads);
__attribute__((visibility("hidden"))) void symc_lapack_leave(void);

#endif
