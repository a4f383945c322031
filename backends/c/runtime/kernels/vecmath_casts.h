/* Conversions between vectors of any two storage types. */
#ifndef SYMC_VECMATH_CASTS_H
#define SYMC_VECMATH_CASTS_H

#include "vecmath_lanes.h"
#include "vecmath_reduce.h"

/* Conversions, vcast_<from>_<to>(x).  A float outside the range of an integer type gives what the scalar conversion
 * of C gives on x86, so narrow targets pass through a wider one.  Narrow integers become wider ones by way of
 * 32 bits: compilers convert lane by lane otherwise. */
#define VM_CONVERT(x, T) __builtin_convertvector(x, v_##T)
#if VM_AVX512_BUILTINS /* of the general form GCC 12 makes, without optimisation, an instruction that it does not know */
typedef int32_t vh_i32 __attribute__((vector_size(32)));
VM_INLINE v_f64 vcast_i32_f64(v_i32 x) {
    union {
        v_i32 v;
        vh_i32 half[2];
    } u = {x};
    vu_f64 r;
    r.p[0] = __builtin_ia32_cvtdq2pd512_mask(u.half[0], (vp_f64){0}, (uint8_t)-1);
    r.p[1] = __builtin_ia32_cvtdq2pd512_mask(u.half[1], (vp_f64){0}, (uint8_t)-1);
    return r.v;
}
#else
#define vcast_i32_f64(x) VM_CONVERT(x, f64)
#endif
/* Narrow integers to 32 bits: an instruction, where GCC 12 takes halves apart. */
#if VM_AVX512_BUILTINS || VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
typedef char vm_least_chars __attribute__((vector_size(16)));
#if VM_AVX512_BUILTINS
typedef short vm_half_shorts __attribute__((vector_size(32)));
#define VM_WIDEN(HOW, x) __builtin_ia32_pmov##HOW##512_mask(x, (vp_i32){0}, (uint16_t)-1)
#define VM_CHARS(x) ((vm_least_chars)(x))
#else
typedef short vm_half_shorts __attribute__((vector_size(16)));
typedef long long vm_two_words __attribute__((vector_size(16)));
#define VM_WIDEN(HOW, x) __builtin_ia32_pmov##HOW##256(x)
#define VM_CHARS(x) ((vm_least_chars)(vm_two_words){(long long)(x), 0})
#endif
VM_INLINE v_i32 vwide_i16_i32(v_i16 x) { return (v_i32)VM_WIDEN(sxwd, (vm_half_shorts)x); }
VM_INLINE v_i32 vwide_u16_i32(v_u16 x) { return (v_i32)VM_WIDEN(zxwd, (vm_half_shorts)x); }
VM_INLINE v_i32 vwide_i8_i32(v_i8 x) { return (v_i32)VM_WIDEN(sxbd, VM_CHARS(x)); }
VM_INLINE v_i32 vwide_u8_i32(v_u8 x) { return (v_i32)VM_WIDEN(zxbd, VM_CHARS(x)); }
#else
#define vwide_i16_i32(x) VM_CONVERT(x, i32)
#define vwide_u16_i32(x) VM_CONVERT(x, i32)
#define vwide_i8_i32(x) VM_CONVERT(VM_CONVERT(x, i16), i32)
#define vwide_u8_i32(x) VM_CONVERT(VM_CONVERT(x, u16), i32)
#endif
/* The low halves or quarters of integers. GCC 12 takes lanes out one by one where there is no instruction for all of them. */
#if VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
typedef char vm_chars __attribute__((vector_size(32)));
typedef char vm_few_chars __attribute__((vector_size(16)));
typedef float vm_singles __attribute__((vector_size(32)));
typedef long long vm_words __attribute__((vector_size(32)));
/* Of each half of a register the bytes with these numbers, then the 32-bit parts that hold them next to each other. */
#define VM_GATHERED(x, a, b, c, d, e, f, g, h, ...)                                                            \
    __builtin_ia32_permvarsi256((vp_i32)__builtin_ia32_pshufb256((vm_chars)(x),                                \
        (vm_chars){a, b, c, d, e, f, g, h, -1, -1, -1, -1, -1, -1, -1, -1,                                     \
                   a, b, c, d, e, f, g, h, -1, -1, -1, -1, -1, -1, -1, -1}), (vp_i32){__VA_ARGS__})
#define VM_DEFINE_NARROW(NAME, FROM, TO, ...)                                                                  \
    VM_INLINE v_##TO NAME(v_##FROM x) {                                                                        \
        const union {                                                                                          \
            vp_i32 all;                                                                                        \
            v_##TO first;                                                                                      \
        } r = {__VA_ARGS__};                                                                                   \
        return r.first;                                                                                        \
    }
VM_DEFINE_NARROW(vlow_i32_i16, i32, i16, VM_GATHERED(x, 0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 2, 3, 6, 7))
VM_DEFINE_NARROW(vlow_i32_i8, i32, i8, VM_GATHERED(x, 0, 4, 8, 12, -1, -1, -1, -1, 0, 4, 2, 3, 1, 5, 6, 7))
VM_INLINE v_i8 vlow_i16_i8(v_i16 x) {
    const union {
        vm_few_chars all;
        v_i8 first;
    } r = {__builtin_ia32_pshufb128((vm_few_chars)x, (vm_few_chars){0, 2, 4, 6, 8, 10, 12, 14, -1, -1, -1, -1, -1, -1, -1, -1})};
    return r.first;
}
VM_INLINE v_i32 vlow_i64_i32(v_i64 x) {
    const vu_i64 u = {x};
    return (v_i32)__builtin_ia32_permdi256(
        (vm_words)__builtin_ia32_shufps256((vm_singles)u.p[0], (vm_singles)u.p[1], 0x88), 0xD8);
}
#else
#define vlow_i32_i16(x) VM_CONVERT(x, i16)
#define vlow_i32_i8(x) VM_CONVERT(x, i8)
#define vlow_i16_i8(x) VM_CONVERT(x, i8)
#define vlow_i64_i32(x) VM_CONVERT(x, i32)
#endif
#define vlow_i64_i16(x) vlow_i32_i16(vlow_i64_i32(x))
#define vlow_i64_i8(x) vlow_i32_i8(vlow_i64_i32(x))
/* Between floats and integers of 64 bits AVX2 has no instruction. Adding 1.5 * 2^52 makes a whole number below 2^51 the low
 * bits of a double, and the same integer added to its bits is a double; vectors with other numbers go lane by lane. */
#if VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
#define VM_WHOLE_F64 0x1.8p52
#define VM_WHOLE_I64 0x4338000000000000
#define VM_EACH_OF_4(x, S, ...) {(S)__VA_ARGS__ x[0], (S)__VA_ARGS__ x[1], (S)__VA_ARGS__ x[2], (S)__VA_ARGS__ x[3]}
VM_OUTLINE vp_i64 vtruncated_piece(vp_f64 x) { return (vp_i64)VM_EACH_OF_4(x, int64_t); }
VM_OUTLINE vp_f64 vfloated_piece(vp_i64 x) { return (vp_f64)VM_EACH_OF_4(x, double); }
VM_OUTLINE vp_f64 vrounded_piece(vp_i64 x) { return (vp_f64)VM_EACH_OF_4(x, double, (float)); }
VM_INLINE v_i64 vcast_f64_i64(v_f64 x) {
    const vu_f64 u = {x};
    const vp_f64 a = __builtin_ia32_roundpd256(u.p[0], 11), b = __builtin_ia32_roundpd256(u.p[1], 11);
    const vp_f64 end = {0x1p51, 0x1p51, 0x1p51, 0x1p51};
    const vp_i64 near = (a > -end) & (a < end) & (b > -end) & (b < end);
    vp_i64 first = (vp_i64)(a + VM_WHOLE_F64) - VM_WHOLE_I64, second = (vp_i64)(b + VM_WHOLE_F64) - VM_WHOLE_I64;
    if (VM_UNLIKELY(vpany_i64(~near))) first = vtruncated_piece(a), second = vtruncated_piece(b);
    return ((vu_i64){.p = {first, second}}).v;
}
#define VM_DEFINE_FLOATED(NAME, FAR)                                                                          \
    VM_INLINE v_f64 NAME(v_i64 x) {                                                                           \
        const vu_i64 u = {x};                                                                                 \
        const vp_i64 far = ((u.p[0] + (1LL << 51)) | (u.p[1] + (1LL << 51))) & -(1LL << 52);                  \
        vp_f64 first = (vp_f64)(u.p[0] + VM_WHOLE_I64) - VM_WHOLE_F64;                                        \
        vp_f64 second = (vp_f64)(u.p[1] + VM_WHOLE_I64) - VM_WHOLE_F64;                                       \
        if (VM_UNLIKELY(vpany_i64((vp_i64)(far != 0)))) first = FAR(u.p[0]), second = FAR(u.p[1]);            \
        return ((vu_f64){.p = {first, second}}).v;                                                            \
    }
VM_DEFINE_FLOATED(vcast_i64_f64, vfloated_piece)
VM_DEFINE_FLOATED(vnext_f32_i64, vrounded_piece) /* of floats, to which numbers beyond 2^51 are rounded once */
#undef VM_DEFINE_FLOATED
#define vcast_i64_f32(x) VM_CONVERT(vnext_f32_i64(x), f32)
#define vcast_f32_i64(x) vcast_f64_i64(VM_CONVERT(x, f64))
#else
#define vcast_f64_i64(x) VM_CONVERT(x, i64)
#define vcast_i64_f64(x) VM_CONVERT(x, f64)
#define vcast_f32_i64(x) VM_CONVERT(x, i64)
#define vcast_i64_f32(x) VM_CONVERT(x, f32)
#endif
VM_INLINE v_u64 vcast_f64_u64(v_f64 x) {
    v_i64 big = vge_f64(x, vset1_f64(0x1p63));
    v_i64 low = VM_CONVERT(x - (v_f64)(big & (v_i64)vset1_f64(0x1p63)), i64);
    return (v_u64)low ^ ((v_u64)big << 63);
}
#define vcast_f32_f32(x) (x)
#define vcast_f32_f64(x) VM_CONVERT(x, f64)
#define vcast_f32_i8(x) vcast_i32_i8(VM_CONVERT(x, i32))
#define vcast_f32_i16(x) vcast_i32_i16(VM_CONVERT(x, i32))
#define vcast_f32_i32(x) VM_CONVERT(x, i32)
#define vcast_f32_u8(x) vcast_i32_u8(VM_CONVERT(x, i32))
#define vcast_f32_u16(x) vcast_i32_u16(VM_CONVERT(x, i32))
#define vcast_f32_u32(x) vcast_i64_u32(vcast_f32_i64(x))
#define vcast_f32_u64(x) vcast_f64_u64(VM_CONVERT(x, f64))
#define vcast_f64_f32(x) VM_CONVERT(x, f32)
#define vcast_f64_f64(x) (x)
#define vcast_f64_i8(x) vcast_i32_i8(VM_CONVERT(x, i32))
#define vcast_f64_i16(x) vcast_i32_i16(VM_CONVERT(x, i32))
#define vcast_f64_i32(x) VM_CONVERT(x, i32)
#define vcast_f64_u8(x) vcast_i32_u8(VM_CONVERT(x, i32))
#define vcast_f64_u16(x) vcast_i32_u16(VM_CONVERT(x, i32))
#define vcast_f64_u32(x) vcast_i64_u32(vcast_f64_i64(x))
#define vcast_i8_f32(x) VM_CONVERT(vwide_i8_i32(x), f32)
#define vcast_i8_f64(x) VM_CONVERT(vwide_i8_i32(x), f64)
#define vcast_i8_i8(x) (x)
#define vcast_i8_i16(x) VM_CONVERT(x, i16)
#define vcast_i8_i32(x) vwide_i8_i32(x)
#define vcast_i8_i64(x) VM_CONVERT(vwide_i8_i32(x), i64)
#define vcast_i8_u8(x) VM_CONVERT(x, u8)
#define vcast_i8_u16(x) VM_CONVERT(x, u16)
#define vcast_i8_u32(x) ((v_u32)vwide_i8_i32(x))
#define vcast_i8_u64(x) ((v_u64)VM_CONVERT(vwide_i8_i32(x), i64))
#define vcast_i16_f32(x) VM_CONVERT(vwide_i16_i32(x), f32)
#define vcast_i16_f64(x) VM_CONVERT(vwide_i16_i32(x), f64)
#define vcast_i16_i8(x) vlow_i16_i8(x)
#define vcast_i16_i16(x) (x)
#define vcast_i16_i32(x) vwide_i16_i32(x)
#define vcast_i16_i64(x) VM_CONVERT(vwide_i16_i32(x), i64)
#define vcast_i16_u8(x) ((v_u8)vlow_i16_i8(x))
#define vcast_i16_u16(x) VM_CONVERT(x, u16)
#define vcast_i16_u32(x) ((v_u32)vwide_i16_i32(x))
#define vcast_i16_u64(x) ((v_u64)VM_CONVERT(vwide_i16_i32(x), i64))
#define vcast_i32_f32(x) VM_CONVERT(x, f32)
#define vcast_i32_i8(x) vlow_i32_i8(x)
#define vcast_i32_i16(x) vlow_i32_i16(x)
#define vcast_i32_i32(x) (x)
#define vcast_i32_i64(x) VM_CONVERT(x, i64)
#define vcast_i32_u8(x) ((v_u8)vlow_i32_i8(x))
#define vcast_i32_u16(x) ((v_u16)vlow_i32_i16(x))
#define vcast_i32_u32(x) VM_CONVERT(x, u32)
#define vcast_i32_u64(x) VM_CONVERT(x, u64)
#define vcast_i64_i8(x) vlow_i64_i8(x)
#define vcast_i64_i16(x) vlow_i64_i16(x)
#define vcast_i64_i32(x) vlow_i64_i32(x)
#define vcast_i64_i64(x) (x)
#define vcast_i64_u8(x) ((v_u8)vlow_i64_i8(x))
#define vcast_i64_u16(x) ((v_u16)vlow_i64_i16(x))
#define vcast_i64_u32(x) ((v_u32)vlow_i64_i32(x))
#define vcast_i64_u64(x) VM_CONVERT(x, u64)
#define vcast_u8_f32(x) VM_CONVERT(vwide_u8_i32(x), f32)
#define vcast_u8_f64(x) VM_CONVERT(vwide_u8_i32(x), f64)
#define vcast_u8_i8(x) VM_CONVERT(x, i8)
#define vcast_u8_i16(x) VM_CONVERT(x, i16)
#define vcast_u8_i32(x) vwide_u8_i32(x)
#define vcast_u8_i64(x) VM_CONVERT(vwide_u8_i32(x), i64)
#define vcast_u8_u8(x) (x)
#define vcast_u8_u16(x) VM_CONVERT(x, u16)
#define vcast_u8_u32(x) ((v_u32)vwide_u8_i32(x))
#define vcast_u8_u64(x) ((v_u64)VM_CONVERT(vwide_u8_i32(x), i64))
#define vcast_u16_f32(x) VM_CONVERT(vwide_u16_i32(x), f32)
#define vcast_u16_f64(x) VM_CONVERT(vwide_u16_i32(x), f64)
#define vcast_u16_i8(x) vlow_i16_i8((v_i16)(x))
#define vcast_u16_i16(x) VM_CONVERT(x, i16)
#define vcast_u16_i32(x) vwide_u16_i32(x)
#define vcast_u16_i64(x) VM_CONVERT(vwide_u16_i32(x), i64)
#define vcast_u16_u8(x) ((v_u8)vlow_i16_i8((v_i16)(x)))
#define vcast_u16_u16(x) (x)
#define vcast_u16_u32(x) ((v_u32)vwide_u16_i32(x))
#define vcast_u16_u64(x) ((v_u64)VM_CONVERT(vwide_u16_i32(x), i64))
#define vcast_u32_f32(x) VM_CONVERT(x, f32)
#define vcast_u32_f64(x) VM_CONVERT(x, f64)
#define vcast_u32_i8(x) vlow_i32_i8((v_i32)(x))
#define vcast_u32_i16(x) vlow_i32_i16((v_i32)(x))
#define vcast_u32_i32(x) VM_CONVERT(x, i32)
#define vcast_u32_i64(x) VM_CONVERT(x, i64)
#define vcast_u32_u8(x) ((v_u8)vlow_i32_i8((v_i32)(x)))
#define vcast_u32_u16(x) ((v_u16)vlow_i32_i16((v_i32)(x)))
#define vcast_u32_u32(x) (x)
#define vcast_u32_u64(x) VM_CONVERT(x, u64)
#define vcast_u64_f32(x) VM_CONVERT(x, f32)
#define vcast_u64_f64(x) VM_CONVERT(x, f64)
#define vcast_u64_i8(x) vlow_i64_i8((v_i64)(x))
#define vcast_u64_i16(x) vlow_i64_i16((v_i64)(x))
#define vcast_u64_i32(x) vlow_i64_i32((v_i64)(x))
#define vcast_u64_i64(x) VM_CONVERT(x, i64)
#define vcast_u64_u8(x) ((v_u8)vlow_i64_i8((v_i64)(x)))
#define vcast_u64_u16(x) ((v_u16)vlow_i64_i16((v_i64)(x)))
#define vcast_u64_u32(x) ((v_u32)vlow_i64_i32((v_i64)(x)))
#define vcast_u64_u64(x) (x)

/* Masks to floats, 1 where they are set, else 0.  AVX-512 has conversions of 64-bit integers, and masks in registers of their
 * own; elsewhere the bits of 1 are kept where the mask is set. */
#if VM_AVX512_BUILTINS
#define vones_f32(mask) vcast_i32_f32((mask) & 1)
#define vones_f64(mask) vcast_i64_f64((mask) & 1)
#else
VM_INLINE v_f32 vones_f32(v_i32 mask) { return (v_f32)(mask & (v_i32)vset1_f32(1)); }
VM_INLINE v_f64 vones_f64(v_i64 mask) { return (v_f64)(mask & (v_i64)vset1_f64(1)); }
#endif

#endif
