/* bfloat16 as it is stored: a uint16_t of its bits, the upper half of a float; rounded to the nearest even.
 * Written with integers alone, so that no header of the toolkit is needed. */
#ifndef SYMC_BFLOAT16_CUH
#define SYMC_BFLOAT16_CUH
#include "scalar.cuh"

SX float sm_bfloat16_value_u16(uint16_t h) { return __uint_as_float((uint32_t)h << 16); }
SX uint16_t sm_bfloat16_bits_f32(float f) {
    const uint32_t bits = __float_as_uint(f);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40); /* NaN */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
/* Rounded once: the float on the way keeps in its last bit whether anything was lost. */
SX uint16_t sm_bfloat16_bits_f64(double x) {
    const float f = (float)x;
    if ((double)f == x || x != x || !(f <= 3.40282347e+38f && f >= -3.40282347e+38f)) return sm_bfloat16_bits_f32(f);
    const double back = f < 0 ? -(double)f : (double)f, size = x < 0 ? -x : x;
    return sm_bfloat16_bits_f32(__uint_as_float((__float_as_uint(f) - (back > size)) | 1));
}
#endif
