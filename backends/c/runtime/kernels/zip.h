/* Registers whose elements take turns in memory: element i of the whole is element i / P of register i % P. */
#ifndef SYMC_ZIP_H
#define SYMC_ZIP_H

#include "turn.h"

/* vzipP_m_T(x, y, ...): the m-th register of P ones that take turns. The first shuffle takes the elements of two registers,
 * each further one those of one more. W is the number of lanes of a register. */
#define VM_ZIP_FIRST(i, P, m, W) (((m) * (W) + (i)) % (P) == 1 ? (W) : 0) + ((m) * (W) + (i)) / (P)
#define VM_ZIP_NEXT(i, P, m, W, j) (((m) * (W) + (i)) % (P) == (j) ? (W) + ((m) * (W) + (i)) / (P) : (i))
#define VM_ZIP_2(S, ...) S(0, __VA_ARGS__), S(1, __VA_ARGS__)
#define VM_ZIP_4(S, ...) VM_ZIP_2(S, __VA_ARGS__), S(2, __VA_ARGS__), S(3, __VA_ARGS__)
#define VM_ZIP_8(S, ...) VM_ZIP_4(S, __VA_ARGS__), S(4, __VA_ARGS__), S(5, __VA_ARGS__), S(6, __VA_ARGS__), S(7, __VA_ARGS__)
#define VM_ZIP_16(S, ...)                                                                                     \
    VM_ZIP_8(S, __VA_ARGS__), S(8, __VA_ARGS__), S(9, __VA_ARGS__), S(10, __VA_ARGS__), S(11, __VA_ARGS__),   \
        S(12, __VA_ARGS__), S(13, __VA_ARGS__), S(14, __VA_ARGS__), S(15, __VA_ARGS__)
#if VM_LANES == 16
#define VM_HALF_LANES 8
#elif VM_LANES == 8
#define VM_HALF_LANES 4
#else
#define VM_HALF_LANES 2
#endif
#define VM_ZIP_LANES(W, S, ...) VM_JOIN(VM_ZIP_, W)(S, __VA_ARGS__)
#if defined(__clang__)
#define VM_ZIPPED(T, a, b, W, S, ...) __builtin_shufflevector(a, b, VM_ZIP_LANES(W, S, __VA_ARGS__))
#else
#define VM_ZIPPED(T, a, b, W, S, ...) __builtin_shuffle(a, b, (vp_##T){VM_ZIP_LANES(W, S, __VA_ARGS__)})
#endif
/* Registers that take turns, and their inverse: vunzipP_m_T(x, y, ...) has every P-th element from the m-th one on.  F is
 * the rule of the first shuffle, N that of the others. */
#define VM_UNZIP_FIRST(i, P, m, W) ((i) * (P) + (m) < 2 * (W) ? (i) * (P) + (m) : 0)
#define VM_UNZIP_NEXT(i, P, m, W, j) (((i) * (P) + (m)) / (W) == (j) ? (W) + ((i) * (P) + (m)) % (W) : (i))
#define VM_ZIP_START(T, W, F, P, m) vp_##T r = VM_ZIPPED(T, a, b, W, F, P, m, W);
#define VM_ZIP_MORE(T, W, N, P, m, j, x) r = VM_ZIPPED(T, r, x, W, N, P, m, W, j);
#define VM_DEFINE_ZIP2(NAME, F, N, T, W, m)                                                                    \
    VM_INLINE vp_##T NAME##2_##m##_##T(vp_##T a, vp_##T b) { VM_ZIP_START(T, W, F, 2, m) return r; }
#define VM_DEFINE_ZIP3(NAME, F, N, T, W, m)                                                                    \
    VM_INLINE vp_##T NAME##3_##m##_##T(vp_##T a, vp_##T b, vp_##T c) {                                         \
        VM_ZIP_START(T, W, F, 3, m) VM_ZIP_MORE(T, W, N, 3, m, 2, c) return r;                                 \
    }
#define VM_DEFINE_ZIP5(NAME, F, N, T, W, m)                                                                    \
    VM_INLINE vp_##T NAME##5_##m##_##T(vp_##T a, vp_##T b, vp_##T c, vp_##T d, vp_##T e) {                     \
        VM_ZIP_START(T, W, F, 5, m) VM_ZIP_MORE(T, W, N, 5, m, 2, c) VM_ZIP_MORE(T, W, N, 5, m, 3, d)          \
        VM_ZIP_MORE(T, W, N, 5, m, 4, e) return r;                                                             \
    }
#define VM_DEFINE_ZIP7(NAME, F, N, T, W, m)                                                                    \
    VM_INLINE vp_##T NAME##7_##m##_##T(vp_##T a, vp_##T b, vp_##T c, vp_##T d, vp_##T e, vp_##T f, vp_##T g) { \
        VM_ZIP_START(T, W, F, 7, m) VM_ZIP_MORE(T, W, N, 7, m, 2, c) VM_ZIP_MORE(T, W, N, 7, m, 3, d)          \
        VM_ZIP_MORE(T, W, N, 7, m, 4, e) VM_ZIP_MORE(T, W, N, 7, m, 5, f) VM_ZIP_MORE(T, W, N, 7, m, 6, g)     \
        return r;                                                                                              \
    }
#define VM_DEFINE_ZIPS(NAME, F, N, T, W)                                                                       \
    VM_DEFINE_ZIP2(NAME, F, N, T, W, 0) VM_DEFINE_ZIP2(NAME, F, N, T, W, 1)                                    \
    VM_DEFINE_ZIP3(NAME, F, N, T, W, 0) VM_DEFINE_ZIP3(NAME, F, N, T, W, 1) VM_DEFINE_ZIP3(NAME, F, N, T, W, 2) \
    VM_DEFINE_ZIP5(NAME, F, N, T, W, 0) VM_DEFINE_ZIP5(NAME, F, N, T, W, 1) VM_DEFINE_ZIP5(NAME, F, N, T, W, 2) \
    VM_DEFINE_ZIP5(NAME, F, N, T, W, 3) VM_DEFINE_ZIP5(NAME, F, N, T, W, 4)                                    \
    VM_DEFINE_ZIP7(NAME, F, N, T, W, 0) VM_DEFINE_ZIP7(NAME, F, N, T, W, 1) VM_DEFINE_ZIP7(NAME, F, N, T, W, 2) \
    VM_DEFINE_ZIP7(NAME, F, N, T, W, 3) VM_DEFINE_ZIP7(NAME, F, N, T, W, 4) VM_DEFINE_ZIP7(NAME, F, N, T, W, 5) \
    VM_DEFINE_ZIP7(NAME, F, N, T, W, 6)
/* The elements of a register in reverse order. */
#define VM_ZIP_BACK(i, W) (W) - 1 - (i)
#define VM_DEFINE_ZIP(T, W)                                                                                    \
    VM_DEFINE_ZIPS(vzip, VM_ZIP_FIRST, VM_ZIP_NEXT, T, W)                                                      \
    VM_DEFINE_ZIPS(vunzip, VM_UNZIP_FIRST, VM_UNZIP_NEXT, T, W)                                                \
    VM_INLINE vp_##T vback_##T(vp_##T a) { return VM_ZIPPED(T, a, a, W, VM_ZIP_BACK, W); }
VM_DEFINE_ZIP(i8, VM_LANES)
VM_DEFINE_ZIP(i16, VM_LANES)
VM_DEFINE_ZIP(i32, VM_LANES)
VM_DEFINE_ZIP(i64, VM_HALF_LANES)
#undef VM_DEFINE_ZIP

#endif
