/* Conversions between vectors of any two storage types. */
#ifndef SYMC_VECMATH_CASTS_H
#define SYMC_VECMATH_CASTS_H

#include "vecmath_select.h"

/* Conversions, vcast_<from>_<to>(x).  A float outside the range of an integer type gives what the scalar conversion
 * of C gives on x86, so narrow targets pass through a wider one.  Narrow integers become wider ones in steps, for each
 * of which there is an instruction: compilers convert lane by lane otherwise. */
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
VM_INLINE v_u64 vcast_f64_u64(v_f64 x) {
    v_i64 big = vge_f64(x, vset1_f64(0x1p63));
    v_i64 low = VM_CONVERT(x - (v_f64)(big & (v_i64)vset1_f64(0x1p63)), i64);
    return (v_u64)low ^ ((v_u64)big << 63);
}
#define vcast_f32_f32(x) (x)
#define vcast_f32_f64(x) VM_CONVERT(x, f64)
#define vcast_f32_i8(x) VM_CONVERT(VM_CONVERT(x, i32), i8)
#define vcast_f32_i16(x) VM_CONVERT(VM_CONVERT(x, i32), i16)
#define vcast_f32_i32(x) VM_CONVERT(x, i32)
#define vcast_f32_i64(x) VM_CONVERT(x, i64)
#define vcast_f32_u8(x) VM_CONVERT(VM_CONVERT(x, i32), u8)
#define vcast_f32_u16(x) VM_CONVERT(VM_CONVERT(x, i32), u16)
#define vcast_f32_u32(x) VM_CONVERT(VM_CONVERT(x, i64), u32)
#define vcast_f32_u64(x) vcast_f64_u64(VM_CONVERT(x, f64))
#define vcast_f64_f32(x) VM_CONVERT(x, f32)
#define vcast_f64_f64(x) (x)
#define vcast_f64_i8(x) VM_CONVERT(VM_CONVERT(x, i32), i8)
#define vcast_f64_i16(x) VM_CONVERT(VM_CONVERT(x, i32), i16)
#define vcast_f64_i32(x) VM_CONVERT(x, i32)
#define vcast_f64_i64(x) VM_CONVERT(x, i64)
#define vcast_f64_u8(x) VM_CONVERT(VM_CONVERT(x, i32), u8)
#define vcast_f64_u16(x) VM_CONVERT(VM_CONVERT(x, i32), u16)
#define vcast_f64_u32(x) VM_CONVERT(VM_CONVERT(x, i64), u32)
#define vcast_i8_f32(x) VM_CONVERT(vcast_i8_i32(x), f32)
#define vcast_i8_f64(x) VM_CONVERT(vcast_i8_i32(x), f64)
#define vcast_i8_i8(x) (x)
#define vcast_i8_i16(x) VM_CONVERT(x, i16)
#define vcast_i8_i32(x) VM_CONVERT(VM_CONVERT(x, i16), i32)
#define vcast_i8_i64(x) VM_CONVERT(vcast_i8_i32(x), i64)
#define vcast_i8_u8(x) VM_CONVERT(x, u8)
#define vcast_i8_u16(x) VM_CONVERT(x, u16)
#define vcast_i8_u32(x) VM_CONVERT(x, u32)
#define vcast_i8_u64(x) VM_CONVERT(x, u64)
#define vcast_i16_f32(x) VM_CONVERT(VM_CONVERT(x, i32), f32)
#define vcast_i16_f64(x) VM_CONVERT(VM_CONVERT(x, i32), f64)
#define vcast_i16_i8(x) VM_CONVERT(x, i8)
#define vcast_i16_i16(x) (x)
#define vcast_i16_i32(x) VM_CONVERT(x, i32)
#define vcast_i16_i64(x) VM_CONVERT(VM_CONVERT(x, i32), i64)
#define vcast_i16_u8(x) VM_CONVERT(x, u8)
#define vcast_i16_u16(x) VM_CONVERT(x, u16)
#define vcast_i16_u32(x) VM_CONVERT(x, u32)
#define vcast_i16_u64(x) VM_CONVERT(x, u64)
#define vcast_i32_f32(x) VM_CONVERT(x, f32)
#define vcast_i32_i8(x) VM_CONVERT(x, i8)
#define vcast_i32_i16(x) VM_CONVERT(x, i16)
#define vcast_i32_i32(x) (x)
#define vcast_i32_i64(x) VM_CONVERT(x, i64)
#define vcast_i32_u8(x) VM_CONVERT(x, u8)
#define vcast_i32_u16(x) VM_CONVERT(x, u16)
#define vcast_i32_u32(x) VM_CONVERT(x, u32)
#define vcast_i32_u64(x) VM_CONVERT(x, u64)
#define vcast_i64_f32(x) VM_CONVERT(x, f32)
#define vcast_i64_f64(x) VM_CONVERT(x, f64)
#define vcast_i64_i8(x) VM_CONVERT(x, i8)
#define vcast_i64_i16(x) VM_CONVERT(x, i16)
#define vcast_i64_i32(x) VM_CONVERT(x, i32)
#define vcast_i64_i64(x) (x)
#define vcast_i64_u8(x) VM_CONVERT(x, u8)
#define vcast_i64_u16(x) VM_CONVERT(x, u16)
#define vcast_i64_u32(x) VM_CONVERT(x, u32)
#define vcast_i64_u64(x) VM_CONVERT(x, u64)
#define vcast_u8_f32(x) VM_CONVERT(vcast_u8_i32(x), f32)
#define vcast_u8_f64(x) VM_CONVERT(vcast_u8_i32(x), f64)
#define vcast_u8_i8(x) VM_CONVERT(x, i8)
#define vcast_u8_i16(x) VM_CONVERT(x, i16)
#define vcast_u8_i32(x) VM_CONVERT(VM_CONVERT(x, u16), i32)
#define vcast_u8_i64(x) VM_CONVERT(vcast_u8_i32(x), i64)
#define vcast_u8_u8(x) (x)
#define vcast_u8_u16(x) VM_CONVERT(x, u16)
#define vcast_u8_u32(x) VM_CONVERT(x, u32)
#define vcast_u8_u64(x) VM_CONVERT(x, u64)
#define vcast_u16_f32(x) VM_CONVERT(VM_CONVERT(x, i32), f32)
#define vcast_u16_f64(x) VM_CONVERT(VM_CONVERT(x, i32), f64)
#define vcast_u16_i8(x) VM_CONVERT(x, i8)
#define vcast_u16_i16(x) VM_CONVERT(x, i16)
#define vcast_u16_i32(x) VM_CONVERT(x, i32)
#define vcast_u16_i64(x) VM_CONVERT(VM_CONVERT(x, i32), i64)
#define vcast_u16_u8(x) VM_CONVERT(x, u8)
#define vcast_u16_u16(x) (x)
#define vcast_u16_u32(x) VM_CONVERT(x, u32)
#define vcast_u16_u64(x) VM_CONVERT(x, u64)
#define vcast_u32_f32(x) VM_CONVERT(x, f32)
#define vcast_u32_f64(x) VM_CONVERT(x, f64)
#define vcast_u32_i8(x) VM_CONVERT(x, i8)
#define vcast_u32_i16(x) VM_CONVERT(x, i16)
#define vcast_u32_i32(x) VM_CONVERT(x, i32)
#define vcast_u32_i64(x) VM_CONVERT(x, i64)
#define vcast_u32_u8(x) VM_CONVERT(x, u8)
#define vcast_u32_u16(x) VM_CONVERT(x, u16)
#define vcast_u32_u32(x) (x)
#define vcast_u32_u64(x) VM_CONVERT(x, u64)
#define vcast_u64_f32(x) VM_CONVERT(x, f32)
#define vcast_u64_f64(x) VM_CONVERT(x, f64)
#define vcast_u64_i8(x) VM_CONVERT(x, i8)
#define vcast_u64_i16(x) VM_CONVERT(x, i16)
#define vcast_u64_i32(x) VM_CONVERT(x, i32)
#define vcast_u64_i64(x) VM_CONVERT(x, i64)
#define vcast_u64_u8(x) VM_CONVERT(x, u8)
#define vcast_u64_u16(x) VM_CONVERT(x, u16)
#define vcast_u64_u32(x) VM_CONVERT(x, u32)
#define vcast_u64_u64(x) (x)

#endif
