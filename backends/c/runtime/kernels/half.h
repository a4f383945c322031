/* float16 as it is stored: a uint16_t of its bits, converted to and from float with rounding to the nearest even. */
#ifndef SYMC_HALF_H
#define SYMC_HALF_H
#include "vecmath_values.h"
#include <string.h>

#if defined(__FLT16_MANT_DIG__) && defined(__F16C__) && !defined(SYMC_HALF_BY_BITS)
VM_INLINE float sx_f32_of_half(uint16_t h) {
    _Float16 x;
    memcpy(&x, &h, sizeof x);
    return (float)x;
}
VM_INLINE uint16_t sx_half_of_f32(float f) {
    const _Float16 x = (_Float16)f;
    uint16_t h;
    memcpy(&h, &x, sizeof h);
    return h;
}
#else
VM_INLINE float sx_f32_of_half(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff);
    uint32_t bits = rest << 13;
    float f;
    if (rest >= 0x7c00) {
        bits += (uint32_t)(255 - 31) << 23; /* infinity and NaN */
    } else if (rest >= 0x0400) {
        bits += (uint32_t)(127 - 15) << 23;
    } else { /* a subnormal: an integer of 2^-24 */
        f = (float)rest * 0x1p-24f;
        memcpy(&bits, &f, sizeof bits);
    }
    bits |= sign;
    memcpy(&f, &bits, sizeof f);
    return f;
}
VM_INLINE uint16_t sx_half_of_f32(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return sign | 0x7e00;
    if (bits >= 0x477ff000) return sign | 0x7c00; /* from 65520 on */
    if (bits < 0x38800000) {                      /* below 2^-14: the sum leaves an integer of 2^-24, rounded */
        float positive;
        memcpy(&positive, &bits, sizeof positive);
        positive += 0.5f;
        memcpy(&bits, &positive, sizeof bits);
        return sign | (uint16_t)(bits - 0x3f000000);
    }
    bits += 0xfff + (bits >> 13 & 1); /* to the nearest, halves to the even one */
    return sign | (uint16_t)((bits - ((uint32_t)(127 - 15) << 23)) >> 13);
}
#endif

/* Rounded once: the float on the way keeps in its last bit whether anything was lost. */
VM_INLINE uint16_t sx_half_of_f64(double x) {
    float f = (float)x;
    if ((double)f != x && x == x) {
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        if (__builtin_fabs((double)f) > __builtin_fabs(x)) bits -= 1;
        bits |= 1;
        memcpy(&f, &bits, sizeof f);
    }
    return sx_half_of_f32(f);
}

#if defined(__F16C__) && !defined(__clang__) && !defined(SYMC_HALF_BY_BITS) && (VM_LANES == 8 || VM_LANES == 16)
#if VM_LANES == 16
typedef short vm_halves __attribute__((vector_size(32)));
VM_INLINE v_f32 vf32_of_half(v_u16 h) {
    return (v_f32)__builtin_ia32_vcvtph2ps512_mask((vm_halves)h, (v_f32){0}, (short)-1, 4);
}
VM_INLINE v_u16 vhalf_of_f32(v_f32 x) {
    return (v_u16)__builtin_ia32_vcvtps2ph512_mask(x, 0, (vm_halves){0}, (short)-1);
}
#else
typedef short vm_halves __attribute__((vector_size(16)));
VM_INLINE v_f32 vf32_of_half(v_u16 h) { return (v_f32)__builtin_ia32_vcvtph2ps256((vm_halves)h); }
VM_INLINE v_u16 vhalf_of_f32(v_f32 x) { return (v_u16)__builtin_ia32_vcvtps2ph256(x, 0); }
#endif
#else
VM_INLINE v_f32 vf32_of_half(v_u16 h) {
    v_f32 r = {0};
    for (int i = 0; i < VM_LANES; i++) r[i] = sx_f32_of_half(h[i]);
    return r;
}
VM_INLINE v_u16 vhalf_of_f32(v_f32 x) {
    v_u16 r = {0};
    for (int i = 0; i < VM_LANES; i++) r[i] = sx_half_of_f32(x[i]);
    return r;
}
#endif
VM_INLINE v_u16 vhalf_of_f64(v_f64 x) {
    v_u16 r = {0};
    for (int i = 0; i < VM_LANES; i++) r[i] = sx_half_of_f64(x[i]);
    return r;
}
#endif
