/* float16 as it is stored: a uint16_t of its bits, converted to and from float with rounding to the nearest even.
 * Written with integers alone, so that no header of the toolkit is needed. */
#ifndef SYMC_HALF_CUH
#define SYMC_HALF_CUH
#include "scalar.cuh"

SX float sx_f32_of_half(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff);
    if (rest < 0x0400) { /* a subnormal: an integer of 2^-24 */
        const float f = (float)rest * 5.9604644775390625e-8f;
        return sign ? -f : f;
    }
    const uint32_t shift = rest >= 0x7c00 ? 255 - 31 : 127 - 15; /* infinity and NaN, or a number */
    return __uint_as_float(sign | ((rest << 13) + (shift << 23)));
}
SX uint16_t sx_half_of_f32(float f) {
    uint32_t bits = __float_as_uint(f);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return sign | 0x7e00;
    if (bits >= 0x477ff000) return sign | 0x7c00; /* from 65520 on */
    if (bits < 0x38800000)                        /* below 2^-14: the sum leaves an integer of 2^-24, rounded */
        return sign | (uint16_t)(__float_as_uint(__uint_as_float(bits) + 0.5f) - 0x3f000000);
    bits += 0xfff + (bits >> 13 & 1); /* to the nearest, halves to the even one */
    return sign | (uint16_t)((bits - ((uint32_t)(127 - 15) << 23)) >> 13);
}
/* Rounded once: the float on the way keeps in its last bit whether anything was lost. */
SX uint16_t sx_half_of_f64(double x) {
    const float f = (float)x;
    if ((double)f == x || x != x) return sx_half_of_f32(f);
    const uint32_t bits = __float_as_uint(f) - (fabs((double)f) > fabs(x));
    return sx_half_of_f32(__uint_as_float(bits | 1));
}
#endif
