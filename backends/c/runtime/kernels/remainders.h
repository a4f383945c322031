/* Vectors of quotients that are rounded down and of remainders, by NumPy's rules.
 *
 * Integers are divided as floats that hold them exactly.  With t = (x + 1/2 |..|) / y, that is x / y + 1 / |2 y|, the
 * quotient is t rounded down: no t lies closer to an integer than 1 / |2 y|, which the errors of a multiplication by the
 * reciprocal of y do not reach.  The reciprocal of a divisor that a loop shares is computed before the loop.  Adding
 * 1.5 * 2^(p-1) to t - 1/2 rounds it to the nearest integer, whose low bits then are those of the sum; so quotients that
 * their type does not hold wrap.  A divisor of zero stands for one: the remainder is 0 then, as NumPy's is.
 */
#ifndef SYMC_REMAINDERS_H
#define SYMC_REMAINDERS_H
#include "vecmath.h"

/* v = y where it is not zero, else 1, as floats; q = the quotient as a float, moved by MAGIC. */
#define VX_QUOTIENT(F, MAGIC, x, y)                                                       \
    const v_##F part = 1 / (y), shift = vm_abs_##F(0.5f * part) - 0.5f;                   \
    const v_##F q = vfma_##F(x, part, shift) + MAGIC;
#define VX_BITS_f32(T, x) VM_JOIN(vcast_i32_, T)((v_i32)(x))
#define VX_BITS_f64(T, x) VM_JOIN(vcast_i64_, T)((v_i64)(x))
#define VX_DIVISOR(T) const v_##T zero = {0}, d = vselect_##T(veq_##T(b, zero), zero + 1, b);

#define VX_NARROW_DIVISION(T, F, MAGIC)                                                   \
    VM_INLINE v_##T vx_floordiv_##T(v_##T a, v_##T b) {                                   \
        VX_DIVISOR(T)                                                                     \
        const v_##F x = vcast_##T##_##F(a), y = vcast_##T##_##F(d);                       \
        VX_QUOTIENT(F, MAGIC, x, y)                                                       \
        return vselect_##T(veq_##T(b, zero), zero, VX_BITS_##F(T, q));                    \
    }                                                                                     \
    VM_INLINE v_##T vx_mod_##T(v_##T a, v_##T b) {                                        \
        VX_DIVISOR(T)                                                                     \
        const v_##F x = vcast_##T##_##F(a), y = vcast_##T##_##F(d);                       \
        VX_QUOTIENT(F, MAGIC, x, y)                                                       \
        const v_##F r = x - (q - MAGIC) * y;                                              \
        return VX_BITS_##F(T, r + MAGIC);                                                 \
    }
VX_NARROW_DIVISION(i8, f32, VM_MAGIC_F32)
VX_NARROW_DIVISION(u8, f32, VM_MAGIC_F32)
VX_NARROW_DIVISION(i16, f32, VM_MAGIC_F32)
VX_NARROW_DIVISION(u16, f32, VM_MAGIC_F32)
VX_NARROW_DIVISION(i32, f64, VM_MAGIC_F64)
VX_NARROW_DIVISION(u32, f64, VM_MAGIC_F64)
#undef VX_NARROW_DIVISION

/* 64 bits: numbers below 2^49 by floats, vectors with others lane by lane. */
#define VX_LARGE_i64(a, b) vne_i64((((a) + (1l << 49)) | ((b) + (1l << 49))) >> 50, (v_i64){0})
#define VX_LARGE_u64(a, b) vne_u64(((a) | (b)) >> 49, (v_u64){0})
#define VX_WIDE_DIVISION(T)                                                               \
    VM_BY_LANES_2(vfloordiv_far_##T, T, sx_floordiv_##T)                                  \
    VM_BY_LANES_2(vmod_far_##T, T, sx_mod_##T)                                            \
    VM_INLINE v_##T vx_floordiv_##T(v_##T a, v_##T b) {                                   \
        VX_DIVISOR(T)                                                                     \
        const v_f64 x = vfloat_i64((v_i64)a), y = vfloat_i64((v_i64)d);                   \
        VX_QUOTIENT(f64, VM_MAGIC_F64, x, y)                                              \
        const v_##T r = vselect_##T(veq_##T(b, zero), zero, (v_##T)((v_i64)q - VM_MAGIC_BITS_F64)); \
        return VM_RARELY(T, vany_i64(VX_LARGE_##T(a, b)), r, vfloordiv_far_##T(a, b));    \
    }                                                                                     \
    VM_INLINE v_##T vx_mod_##T(v_##T a, v_##T b) {                                        \
        VX_DIVISOR(T)                                                                     \
        const v_f64 x = vfloat_i64((v_i64)a), y = vfloat_i64((v_i64)d);                   \
        VX_QUOTIENT(f64, VM_MAGIC_F64, x, y)                                              \
        const v_##T r = (v_##T)vinteger_f64(x - (q - VM_MAGIC_F64) * y);                  \
        return VM_RARELY(T, vany_i64(VX_LARGE_##T(a, b)), r, vmod_far_##T(a, b));         \
    }
VX_WIDE_DIVISION(i64)
VX_WIDE_DIVISION(u64)
#undef VX_WIDE_DIVISION

/* Floats: the remainder of C has the sign of the dividend and is exact; what follows rounds as NumPy's scalars do. */
#define VX_FLOAT_DIVISION(T)                                                              \
    VM_INLINE v_##T vx_mod_##T(v_##T a, v_##T b) {                                        \
        const v_##T r = vm_fmod_##T(a, b), zero = {0};                                    \
        const v_##T moved = vselect_##T(vlt_##T(r, zero) ^ vlt_##T(b, zero), r + b, r);   \
        return vselect_##T(veq_##T(r, zero), vcopysign_##T(zero, b), moved);              \
    }                                                                                     \
    VM_INLINE v_##T vx_floordiv_##T(v_##T a, v_##T b) {                                   \
        const v_##T r = vm_fmod_##T(a, b), zero = {0}, whole = (a - r) / b;               \
        const v_##T one = vselect_##T(vne_##T(r, zero) & (vlt_##T(r, zero) ^ vlt_##T(b, zero)), zero + 1, zero); \
        const v_##T q = whole - one, down = vm_floor_##T(q);                              \
        const v_##T near = vselect_##T(vgt_##T(q - down, zero + 0.5f), down + 1, down);   \
        const v_##T signed_ = vselect_##T(veq_##T(q, zero), vcopysign_##T(zero, a / b), near); \
        return vselect_##T(veq_##T(b, zero), a / b, signed_);                             \
    }
VX_FLOAT_DIVISION(f32)
VX_FLOAT_DIVISION(f64)
#undef VX_FLOAT_DIVISION
#endif
