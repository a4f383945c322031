/* Loops over narrow elements alone, with two or four times as many lanes: `v_i8x4` has 4 * VM_LANES lanes, and fills a
 * register. */
#ifndef SYMC_VECMATH_WIDE_H
#define SYMC_VECMATH_WIDE_H

#include "vecmath_values.h"

#define VM_DEFINE_WIDE(T, S, B, M)                                                                  \
    VM_INLINE v_##T vload_##T(const S *p) { return *(const va_##T *)p; }                            \
    VM_INLINE void vstore_##T(S *p, v_##T x) { *(va_##T *)p = x; }                                  \
    VM_DEFINE_COMPARISONS(T, S, B, M)
VM_WIDE_TYPES(VM_DEFINE_WIDE)
#undef VM_DEFINE_WIDE

#define vselect_i8x4(m, a, b) VM_SELECT(i8x4, 64, i8x4, m, a, b)
#define vselect_u8x4(m, a, b) VM_SELECT(u8x4, 64, i8x4, m, a, b)
#define vselect_i16x2(m, a, b) VM_SELECT(i16x2, 64, i16x2, m, a, b)
#define vselect_u16x2(m, a, b) VM_SELECT(u16x2, 64, i16x2, m, a, b)
#define vselect_i8x2(m, a, b) VM_SELECT(i8x2, 32, i8x2, m, a, b)
#define vselect_u8x2(m, a, b) VM_SELECT(u8x2, 32, i8x2, m, a, b)

/* Extrema, and magnitudes, of which that of the least number is itself. */
#if VM_AVX512_BUILTINS
#define VM_EXTREMUM_WHOLE(S, K, OP, a, b) __builtin_ia32_p##OP##512_mask((S)a, (S)b, (S)a, (K)-1)
#define VM_EXTREMUM_HALF(S, OP, a, b) __builtin_ia32_p##OP##256((S)a, (S)b)
#define VM_WIDE_BYTES 64
#elif VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
#define VM_EXTREMUM_WHOLE(S, K, OP, a, b) __builtin_ia32_p##OP##256((S)a, (S)b)
#define VM_EXTREMUM_HALF(S, OP, a, b) __builtin_ia32_p##OP##128((S)a, (S)b)
#define VM_WIDE_BYTES 32
#endif
#ifdef VM_WIDE_BYTES
typedef char vn_8 __attribute__((vector_size(VM_WIDE_BYTES)));
typedef char vn_half __attribute__((vector_size(VM_WIDE_BYTES / 2)));
typedef short vn_16 __attribute__((vector_size(VM_WIDE_BYTES)));
#define VM_OF_8(OP, a, b) VM_EXTREMUM_WHOLE(vn_8, uint64_t, OP, a, b)
#define VM_OF_16(OP, a, b) VM_EXTREMUM_WHOLE(vn_16, uint32_t, OP, a, b)
#define VM_OF_HALF(OP, a, b) VM_EXTREMUM_HALF(vn_half, OP, a, b)
#define VM_DEFINE_WIDE_EXTREMA(T, OF, SUFFIX)                                              \
    VM_INLINE v_##T vmin_##T(v_##T a, v_##T b) { return (v_##T)OF(min##SUFFIX, a, b); }    \
    VM_INLINE v_##T vmax_##T(v_##T a, v_##T b) { return (v_##T)OF(max##SUFFIX, a, b); }
VM_DEFINE_WIDE_EXTREMA(i8x4, VM_OF_8, sb)
VM_DEFINE_WIDE_EXTREMA(u8x4, VM_OF_8, ub)
VM_DEFINE_WIDE_EXTREMA(i16x2, VM_OF_16, sw)
VM_DEFINE_WIDE_EXTREMA(u16x2, VM_OF_16, uw)
VM_DEFINE_WIDE_EXTREMA(i8x2, VM_OF_HALF, sb)
VM_DEFINE_WIDE_EXTREMA(u8x2, VM_OF_HALF, ub)
#else
#define VM_DEFINE_WIDE_EXTREMA(T, S, B, M)                                                                    \
    VM_INLINE v_##T vmin_##T(v_##T a, v_##T b) { return VM_BLEND(v_##T, v_##M, (v_##M)(b < a), b, a); }       \
    VM_INLINE v_##T vmax_##T(v_##T a, v_##T b) { return VM_BLEND(v_##T, v_##M, (v_##M)(b > a), b, a); }
VM_WIDE_TYPES(VM_DEFINE_WIDE_EXTREMA)
#endif
#undef VM_DEFINE_WIDE_EXTREMA
#define VM_DEFINE_WIDE_ABS(T) VM_INLINE v_##T vx_abs_##T(v_##T a) { return vmax_##T(a, -a); }
VM_DEFINE_WIDE_ABS(i8x4)
VM_DEFINE_WIDE_ABS(i8x2)
VM_DEFINE_WIDE_ABS(i16x2)
#undef VM_DEFINE_WIDE_ABS
#define vx_abs_u8x4(x) (x)
#define vx_abs_u8x2(x) (x)
#define vx_abs_u16x2(x) (x)

/* Conversions between types with as many lanes. */
#define VM_DEFINE_SAME_SIZE(FROM, TO) VM_INLINE v_##TO vcast_##FROM##_##TO(v_##FROM x) { return (v_##TO)x; }
#define VM_DEFINE_PAIR(A, B) \
    VM_DEFINE_SAME_SIZE(A, A) VM_DEFINE_SAME_SIZE(A, B) VM_DEFINE_SAME_SIZE(B, A) VM_DEFINE_SAME_SIZE(B, B)
VM_DEFINE_PAIR(i8x4, u8x4)
VM_DEFINE_PAIR(i8x2, u8x2)
VM_DEFINE_PAIR(i16x2, u16x2)
#undef VM_DEFINE_PAIR
#undef VM_DEFINE_SAME_SIZE
#if VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
/* The lower bytes of each half, and both halves next to each other. */
VM_INLINE v_i8x2 vlow_i16x2_i8x2(v_i16x2 x) {
    const union {
        vm_words all;
        v_i8x2 first;
    } r = {__builtin_ia32_permdi256((vm_words)__builtin_ia32_pshufb256((vm_chars)x,
        (vm_chars){0, 2, 4, 6, 8, 10, 12, 14, -1, -1, -1, -1, -1, -1, -1, -1,
                   0, 2, 4, 6, 8, 10, 12, 14, -1, -1, -1, -1, -1, -1, -1, -1}), 0x08)};
    return r.first;
}
#else
#define vlow_i16x2_i8x2(x) VM_CONVERT(x, i8x2)
#endif
#if VM_AVX512_BUILTINS
#define VM_WIDEN_CHARS(HOW, x) __builtin_ia32_pmov##HOW##512_mask((vn_half)(x), (vn_16){0}, (uint32_t)-1)
#elif defined(VM_WIDE_BYTES)
#define VM_WIDEN_CHARS(HOW, x) __builtin_ia32_pmov##HOW##256((vn_half)(x))
#endif
#ifdef VM_WIDEN_CHARS
VM_INLINE v_i16x2 vcast_i8x2_i16x2(v_i8x2 x) { return (v_i16x2)VM_WIDEN_CHARS(sxbw, x); }
VM_INLINE v_u16x2 vcast_u8x2_u16x2(v_u8x2 x) { return (v_u16x2)VM_WIDEN_CHARS(zxbw, x); }
#else
#define vcast_i8x2_i16x2(x) VM_CONVERT(x, i16x2)
#define vcast_u8x2_u16x2(x) VM_CONVERT(x, u16x2)
#endif
#define vcast_i8x2_u16x2(x) ((v_u16x2)vcast_i8x2_i16x2(x))
#define vcast_u8x2_i16x2(x) ((v_i16x2)vcast_u8x2_u16x2(x))
#define vcast_i16x2_i8x2(x) vlow_i16x2_i8x2(x)
#define vcast_i16x2_u8x2(x) ((v_u8x2)vlow_i16x2_i8x2(x))
#define vcast_u16x2_i8x2(x) vlow_i16x2_i8x2((v_i16x2)(x))
#define vcast_u16x2_u8x2(x) ((v_u8x2)vlow_i16x2_i8x2((v_i16x2)(x)))

/* Sums of neighbours: VM_LANES lanes of 32 bits. */
VM_INLINE v_i32 vsum_i16x2(v_i16x2 x) { return (((v_i32)x << 16) >> 16) + ((v_i32)x >> 16); }
VM_INLINE v_i32 vsum_u16x2(v_u16x2 x) { return (v_i32)(((v_u32)x & 0xFFFF) + ((v_u32)x >> 16)); }
VM_INLINE v_i32 vsum_i8x4(v_i8x4 x) { return vsum_i16x2((((v_i16x2)x << 8) >> 8) + ((v_i16x2)x >> 8)); }
VM_INLINE v_i32 vsum_u8x4(v_u8x4 x) { return vsum_u16x2(((v_u16x2)x & 0xFF) + ((v_u16x2)x >> 8)); }
VM_INLINE v_i32 vsum_i8x2(v_i8x2 x) { return vsum_i16x2(vcast_i8x2_i16x2(x)); }
VM_INLINE v_i32 vsum_u8x2(v_u8x2 x) { return vsum_u16x2(vcast_u8x2_u16x2(x)); }

/* An accumulator becomes one of VM_LANES lanes. */
#define VM_JOINT_and(T, a, b) (a & b)
#define VM_JOINT_or(T, a, b) (a | b)
#define VM_JOINT_min(T, a, b) vmin_##T(a, b)
#define VM_JOINT_max(T, a, b) vmax_##T(a, b)
#define VM_MET_x2(OP, T) VM_JOINT_##OP(T, u.part[0], u.part[1])
#define VM_MET_x4(OP, T) VM_JOINT_##OP(T, VM_JOINT_##OP(T, u.part[0], u.part[1]), VM_JOINT_##OP(T, u.part[2], u.part[3]))
#define VM_DEFINE_FOLD(OP, T, COUNT)                                          \
    VM_INLINE v_##T vfold_##OP##_##T##COUNT(v_##T##COUNT x) {                 \
        const union {                                                         \
            v_##T##COUNT all;                                                 \
            v_##T part[sizeof(v_##T##COUNT) / sizeof(v_##T)];                 \
        } u = {x};                                                            \
        return VM_MET_##COUNT(OP, T);                                         \
    }
#define VM_DEFINE_FOLDS(T, COUNT) VM_DEFINE_FOLD(min, T, COUNT) VM_DEFINE_FOLD(max, T, COUNT)
VM_DEFINE_FOLDS(i8, x4) VM_DEFINE_FOLDS(u8, x4)
VM_DEFINE_FOLDS(i8, x2) VM_DEFINE_FOLDS(u8, x2)
VM_DEFINE_FOLDS(i16, x2) VM_DEFINE_FOLDS(u16, x2)
VM_DEFINE_FOLD(and, i8, x4) VM_DEFINE_FOLD(or, i8, x4)
VM_DEFINE_FOLD(and, i8, x2) VM_DEFINE_FOLD(or, i8, x2)
#undef VM_DEFINE_FOLDS
#undef VM_DEFINE_FOLD

#endif
