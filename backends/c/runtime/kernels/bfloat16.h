/* bfloat16 as it is stored: a uint16_t of its bits, the upper half of a float; rounded to the nearest even. */
#ifndef SYMC_BFLOAT16_H
#define SYMC_BFLOAT16_H
#include "vecmath_values.h"
#include <string.h>

VM_INLINE float sm_bfloat16_value_u16(uint16_t h) {
    const uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
VM_INLINE uint16_t sm_bfloat16_bits_f32(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40); /* NaN */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
/* Rounded once: the float on the way keeps in its last bit whether anything was lost. */
VM_INLINE uint16_t sm_bfloat16_bits_f64(double x) {
    float f = (float)x;
    if ((double)f != x && x == x && __builtin_fabsf(f) <= 3.40282347e+38f) {
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        if (__builtin_fabs((double)f) > __builtin_fabs(x)) bits -= 1;
        bits |= 1;
        memcpy(&f, &bits, sizeof f);
    }
    return sm_bfloat16_bits_f32(f);
}
/* The upper halves of 32 bits. */
#if VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
VM_INLINE v_u16 vupper_u16(v_i32 x) {
    const v_i32 upper = (v_i32)((v_u32)x >> 16);
    const union {
        vm_words all;
        v_u16 first;
    } r = {__builtin_ia32_permdi256((vm_words)__builtin_ia32_packusdw256(upper, upper), 0xD8)};
    return r.first;
}
#else
#define vupper_u16(x) __builtin_convertvector((v_u32)(x) >> 16, v_u16)
#endif
VM_INLINE v_f32 vm_bfloat16_value_u16(v_u16 h) {
    return (v_f32)(vcast_u16_u32(h) << 16);
}
/* A NaN is not rounded, but becomes a quiet one. */
VM_INLINE v_u16 vm_bfloat16_rounded_f32(v_f32 x) {
    const v_u32 bits = (v_u32)x, nan = (v_u32)(x != x);
    const v_u32 sum = bits + (~nan & ((bits >> 16 & 1) + 0x7fff));
    return vupper_u16((v_i32)(sum | (nan & 0x400000)));
}
#if VM_LANES == 16 && defined(__AVX512BF16__) && defined(__AVX512DQ__)
/* The instruction takes numbers below the normal ones for zero. */
VM_INLINE v_u16 vm_bfloat16_bits_f32(v_f32 x) {
    v_u16 r;
    uint16_t small;
    __asm__("vfpclassps $0x20, %1, %0" : "=Yk"(small) : "v"(x));
    __asm__("vcvtneps2bf16 %1, %0" : "=v"(r) : "v"(x));
    return __builtin_expect(small, 0) ? vm_bfloat16_rounded_f32(x) : r;
}
#else
VM_INLINE v_u16 vm_bfloat16_bits_f32(v_f32 x) { return vm_bfloat16_rounded_f32(x); }
#endif
VM_INLINE v_u16 vm_bfloat16_bits_f64(v_f64 x) {
    v_u16 r = {0};
    for (int i = 0; i < VM_LANES; i++) r[i] = sm_bfloat16_bits_f64(x[i]);
    return r;
}
#endif
