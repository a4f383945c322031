/* Accumulators, and one value from all lanes of a vector. */
#ifndef SYMC_VECMATH_REDUCE_H
#define SYMC_VECMATH_REDUCE_H

#include "vecmath_select.h"

/* An accumulator of a 64-bit type is two variables, a register each, `<name>_0` and `<name>_1`: one value that is wider
 * than a register, or a union, GCC would keep in memory from one iteration to the next, or from one loop to another. */
#define VM_ACCUMULATE(T, name, x) vp_##T name##_0, name##_1; VM_REFILL(T, name, x)
#define VM_REFILL(T, name, x) VM_DIVIDE(T, name, vset1_##T(x))
/* The value of the two variables, and what they are from now on. */
#define VM_JOINED(T, name) (((vu_##T){.p = {name##_0, name##_1}}).v)
#define VM_DIVIDE(T, name, x)                                                \
    do {                                                                     \
        const vu_##T vm_whole = {x};                                         \
        name##_0 = vm_whole.p[0], name##_1 = vm_whole.p[1];                  \
    } while (0)
#define VM_FOLD(OP, T, name, x)                                              \
    do {                                                                     \
        const vu_##T vm_fold = {x};                                          \
        name##_0 = vp##OP##_##T(name##_0, vm_fold.p[0]);                     \
        name##_1 = vp##OP##_##T(name##_1, vm_fold.p[1]);                     \
    } while (0)
/* Accumulator `other` joins `name`. */
#define VM_MEET(OP, T, name, other)                                          \
    (name##_0 = vp##OP##_##T(name##_0, other##_0), name##_1 = vp##OP##_##T(name##_1, other##_1))
#define VM_TOTAL(OP, T, name) vreduce_##OP##_##T(VM_JOINED(T, name))

/* Horizontal reductions: first between registers, then lane i with lane i + half of them, until one is left. */
#if defined(__clang__)
#define VM_ROTATE(M, x, ...) __builtin_shufflevector(x, x, __VA_ARGS__)
#else
#define VM_ROTATE(M, x, ...) __builtin_shuffle(x, (vp_##M){__VA_ARGS__})
#endif
#define VM_WITHIN_16(F, M, r)                                                              \
    r = F(r, VM_ROTATE(M, r, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));       \
    r = F(r, VM_ROTATE(M, r, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3));       \
    r = F(r, VM_ROTATE(M, r, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1));       \
    r = F(r, VM_ROTATE(M, r, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0));
#define VM_WITHIN_8(F, M, r)                                \
    r = F(r, VM_ROTATE(M, r, 4, 5, 6, 7, 0, 1, 2, 3));      \
    r = F(r, VM_ROTATE(M, r, 2, 3, 4, 5, 6, 7, 0, 1));      \
    r = F(r, VM_ROTATE(M, r, 1, 2, 3, 4, 5, 6, 7, 0));
#define VM_WITHIN_4(F, M, r)                    \
    r = F(r, VM_ROTATE(M, r, 2, 3, 0, 1));      \
    r = F(r, VM_ROTATE(M, r, 1, 2, 3, 0));
#define VM_WITHIN_2(F, M, r) r = F(r, VM_ROTATE(M, r, 1, 0));
#if VM_LANES == 16
#define VM_ACROSS_1(F, M, p) p[0]; VM_WITHIN_16(F, M, r)
#define VM_ACROSS_2(F, M, p) F(p[0], p[1]); VM_WITHIN_8(F, M, r)
#elif VM_LANES == 8
#define VM_ACROSS_1(F, M, p) p[0]; VM_WITHIN_8(F, M, r)
#define VM_ACROSS_2(F, M, p) F(p[0], p[1]); VM_WITHIN_4(F, M, r)
#else
#define VM_ACROSS_1(F, M, p) p[0]; VM_WITHIN_4(F, M, r)
#define VM_ACROSS_2(F, M, p) F(p[0], p[1]); VM_WITHIN_2(F, M, r)
#endif
#define VM_DEFINE_REDUCTION(NAME, F, T, S, B, M)                                     \
    VM_INLINE S vreduce_##NAME##_##T(v_##T x) {                                      \
        vu_##T u = {x};                                                              \
        vp_##T r = VM_JOIN(VM_ACROSS_, VM_COUNT_##B)(F##_##T, M, u.p) return r[0];   \
    }
#define VM_DEFINE_REDUCTIONS(T, S, B, M)         \
    VM_DEFINE_REDUCTION(add, vpadd, T, S, B, M)  \
    VM_DEFINE_REDUCTION(mul, vpmul, T, S, B, M)  \
    VM_DEFINE_REDUCTION(min, vpmin, T, S, B, M)  \
    VM_DEFINE_REDUCTION(max, vpmax, T, S, B, M)
VM_ALL_TYPES(VM_DEFINE_REDUCTIONS)
#undef VM_DEFINE_REDUCTIONS

/* Whether any lane of a mask is set. */
#if VM_AVX512_BUILTINS
VM_INLINE int vany_i32(v_i32 m) { return __builtin_ia32_ptestmd512(m, m, (uint16_t)-1) != 0; }
VM_INLINE int vany_i64(v_i64 m) {
    vu_i64 u = {m};
    vb_i64 r = (vb_i64)(u.p[0] | u.p[1]);
    return __builtin_ia32_ptestmq512(r, r, (uint8_t)-1) != 0;
}
#elif defined(__SSE2__) && !defined(__AVX512F__)
typedef float vm_signs __attribute__((vector_size(VM_REGISTER)));
#if VM_REGISTER == 32
#define VM_SIGNS(m) __builtin_ia32_movmskps256((vm_signs)(m))
#else
#define VM_SIGNS(m) __builtin_ia32_movmskps((vm_signs)(m))
#endif
VM_INLINE int vany_i32(v_i32 m) { return VM_SIGNS(m) != 0; }
VM_INLINE int vpany_i64(vp_i64 m) { return VM_SIGNS(m) != 0; } /* the words' upper halves are enough */
VM_INLINE int vany_i64(v_i64 m) {
    vu_i64 u = {m};
    return vpany_i64(u.p[0] | u.p[1]);
}
#else
#define VM_PIECE_OR(i, T) r |= u.p[i];
#define VM_DEFINE_ANY(T, S, B, M)                  \
    VM_INLINE int vany_##T(v_##T m) {              \
        vu_##T u = {m};                            \
        vp_##T r = {0};                            \
        VM_EACH(B, VM_PIECE_OR, T)                 \
        union { vp_##T v; uint64_t w[VM_PIECE_##B / 8]; } bits = {r};                    \
        uint64_t all = 0;                          \
        for (int i = 0; i < VM_PIECE_##B / 8; i++) all |= bits.w[i]; \
        return all != 0;                           \
    }
VM_DEFINE_ANY(i32, int32_t, 64, i32)
VM_DEFINE_ANY(i64, int64_t, 128, i64)
#undef VM_DEFINE_ANY
#endif

#endif
