/* Rare cases, and functions of numbers for each lane. */
#ifndef SYMC_VECMATH_LANES_H
#define SYMC_VECMATH_LANES_H

#include "vecmath_types.h"

/* `usual` or, on a condition, `other`, which is computed then alone. What comes from either side of the branch is a register,
 * or two of them: one value of two registers GCC would keep in memory on both sides. */
#define VM_RARELY(T, condition, usual, other) VM_EITHER(T, VM_UNLIKELY(condition), usual, other)
#define VM_EITHER(T, condition, usual, other) VM_JOIN(VM_EITHER_, VM_COUNT_OF_##T)(T, condition, usual, other)
#define VM_EITHER_1(T, condition, usual, other)                                                 \
    __extension__({                                                                             \
        v_##T vm_usual = usual;                                                                 \
        if (condition) vm_usual = other;                                                        \
        vm_usual;                                                                               \
    })
#define VM_EITHER_2(T, condition, usual, other)                                                 \
    __extension__({                                                                             \
        const vu_##T vm_usual = {usual};                                                        \
        vp_##T vm_first = vm_usual.p[0], vm_second = vm_usual.p[1];                             \
        if (condition) {                                                                        \
            const vu_##T vm_other = {other};                                                    \
            vm_first = vm_other.p[0], vm_second = vm_other.p[1];                                \
        }                                                                                       \
        ((vu_##T){.p = {vm_first, vm_second}}).v;                                               \
    })

/* A function of vectors that calls one of numbers for each lane, register by register. */
#define VM_COUNT_OF_f32 1
#define VM_COUNT_OF_i32 1
#define VM_COUNT_OF_f64 2
#define VM_COUNT_OF_i64 2
#define VM_COUNT_OF_u64 2
#define VM_LANES_OF_1(i, NAME) r.p[i] = NAME##_piece(x.p[i]);
#define VM_LANES_OF_2(i, NAME) r.p[i] = NAME##_piece(x.p[i], y.p[i]);
#define VM_BY_LANES_1(NAME, T, OF)                                                              \
    VM_OUTLINE vp_##T NAME##_piece(vp_##T a) {                                                  \
        for (unsigned i = 0; i < sizeof a / sizeof a[0]; i++) a[i] = OF(a[i]);                  \
        return a;                                                                               \
    }                                                                                           \
    VM_INLINE v_##T NAME(v_##T a) {                                                             \
        vu_##T x = {a}, r;                                                                      \
        VM_JOIN(VM_EACH_, VM_COUNT_OF_##T)(VM_LANES_OF_1, NAME) return r.v;                     \
    }
#define VM_BY_LANES_2(NAME, T, OF)                                                              \
    VM_OUTLINE vp_##T NAME##_piece(vp_##T a, vp_##T b) {                                        \
        for (unsigned i = 0; i < sizeof a / sizeof a[0]; i++) a[i] = OF(a[i], b[i]);            \
        return a;                                                                               \
    }                                                                                           \
    VM_INLINE v_##T NAME(v_##T a, v_##T b) {                                                    \
        vu_##T x = {a}, y = {b}, r;                                                             \
        VM_JOIN(VM_EACH_, VM_COUNT_OF_##T)(VM_LANES_OF_2, NAME) return r.v;                     \
    }

#endif
