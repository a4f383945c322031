/* One element type: included first by each file that is compiled once for float and once for double.
 *
 * Defines the scalar `real`, the widest vector `vec` of the machine with VL lanes, and FN(name) = name_f32 / name_f64.
 * The file that includes it defines SYMC_DOUBLE as 0 or 1.
 */
#ifndef SYMC_REAL_H
#define SYMC_REAL_H

#include "symc_rt.h"

#include <string.h>

#if defined(__AVX512F__)
#define VEC_BYTES 64
#elif defined(__AVX__)
#define VEC_BYTES 32
#else
#define VEC_BYTES 16
#endif

#if SYMC_DOUBLE
typedef double real;
typedef int64_t lane_index;
#define FN(name) name##_f64
#define VL (VEC_BYTES / 8)
#else
typedef float real;
typedef int32_t lane_index;
#define FN(name) name##_f32
#define VL (VEC_BYTES / 4)
#endif

typedef real vec __attribute__((vector_size(VEC_BYTES)));
typedef real unaligned_vec __attribute__((vector_size(VEC_BYTES), aligned(sizeof(real)), may_alias));
typedef lane_index index_vec __attribute__((vector_size(VEC_BYTES)));

#define INLINE static inline __attribute__((always_inline))
#define HIDDEN __attribute__((visibility("hidden")))

/* Asks for a loop of at most 16 iterations to be unrolled in full, so that arrays of vectors become registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_SOME _Pragma("clang loop unroll_count(4)") /* any other loop: four iterations at a time */
#else
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_SOME _Pragma("GCC unroll 4")
#endif

INLINE vec load(const real *p) { return *(const unaligned_vec *)p; }
INLINE void store(real *p, vec v) { *(unaligned_vec *)p = v; }
/* The same vector, loaded once: compilers read memory again for each operation, which may take as long as the operations. */
INLINE vec in_register(vec v)
{
#if defined(__x86_64__)
    __asm__("" : "+v"(v));
#endif
    return v;
}
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

INLINE real lane_sum(vec v)
{
    real lane[VL];
    store(lane, v);
    UNROLL
    for (int half = VL / 2; half; half /= 2) {
        UNROLL
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    }
    return lane[0];
}

/* Scratch slots of the library calls; a call never holds a slot that a call beneath it uses. */
enum {
    SLOT_SHARED = SYMC_SCRATCH_LIBRARY_SLOT, /* an operand that the calling thread packs for all */
    SLOT_BLOCK,                              /* a thread's own packed operand block */
    SLOT_TABLE,                              /* tables of offsets, made by the calling thread for all */
    SLOT_TABLE_2,                            /* a thread's own tables */
    SLOT_PARTIAL,                            /* partial sums that are added at the end */
    SLOT_BAND,                               /* a padded band of an image */
    SLOT_BAND_2,                             /* the same band with channels last */
    SLOT_BLOCK_2,                            /* the packed block of the other operand */
    SLOT_SHARED_2,                           /* rearranged weights */
    SLOT_ROW,                                /* a thread's own turned filters, or sums that are put back */
    SLOT_TAPS,                               /* offsets of filter taps */
    SLOT_MAPS,                               /* results of which the maxima of windows are wanted */
    SLOT_DENSE,                              /* filters as a matrix of all pixels */
};

#endif
