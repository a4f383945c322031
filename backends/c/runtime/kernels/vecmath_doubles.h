/* Functions of floats by way of doubles: powers, hyperbolic functions and their inverses.
 *
 * A float needs 24 bits of the 53 that a double has. So exponentials and logarithms here have short polynomials, whose
 * relative error is below 2^-34: what they lose stays below a hundredth of a unit in the last place of the result, which is
 * rounded once. Arguments are floats or follow from them, so that no double is subnormal.
 */
#ifndef SYMC_VECMATH_DOUBLES_H
#define SYMC_VECMATH_DOUBLES_H
#include "vecmath_f32.h"

/* 2^x for |x| <= 1000. */
VM_INLINE v_f64 vexp2_short_f64(v_f64 x) {
    v_f64 shifted = x + VM_MAGIC_F64, r = x - (shifted - VM_MAGIC_F64), p = vset1_f64(0x1.fe1734e9de6efp-17);
    VM_HORNER_F64(p, r, 0x1.446a446553de0p-13);
    VM_HORNER_F64(p, r, 0x1.5d8a712b80072p-10);
    VM_HORNER_F64(p, r, 0x1.3b29dc1395c04p-7);
    VM_HORNER_F64(p, r, 0x1.c6b08aae2b886p-5);
    VM_HORNER_F64(p, r, 0x1.ebfbe0a4f3d13p-3);
    VM_HORNER_F64(p, r, 0x1.62e42ff116de4p-1);
    VM_HORNER_F64(p, r, 0x1.ffffffffab9d3p-1);
    return (v_f64)((v_i64)p + ((v_i64)shifted << 52));
}

/* log2(x) of a positive number: with x = 2^k * (1 + f) and s = f / (f + 2) it is k + 2 artanh(s) / log(2). */
VM_INLINE v_f64 vlog2_short_f64(v_f64 x) {
    const int64_t low = 0x3FE6A09E667F3BCD; /* sqrt(1/2) */
    const v_i64 shifted = (v_i64)x - low + (1023LL << 52), fraction = vset1_i64((1LL << 52) - 1);
    /* The exponent as the low bits of 2^52. */
    const v_f64 k = (v_f64)((v_i64)((v_u64)shifted >> 52) | 0x4330000000000000) - (0x1p52 + 1023);
    const v_f64 f = (v_f64)((shifted & fraction) + low) - 1.0, s = f / (f + 2.0), z = s * s;
    v_f64 p = vset1_f64(0x1.5ce7cd8f69a61p-2);
    VM_HORNER_F64(p, z, 0x1.a58d8fc49d905p-2);
    VM_HORNER_F64(p, z, 0x1.27777fda50da3p-1);
    VM_HORNER_F64(p, z, 0x1.ec709d12e192ap-1);
    VM_HORNER_F64(p, z, 0x1.71547652bede5p+1);
    return vfma_f64(s, p, k);
}
VM_INLINE v_f64 vlog_short_f64(v_f64 x) { return vlog2_short_f64(x) * 0x1.62e42fefa39efp-1; }

/* |x|^y but for zeros and what is not finite. */
VM_INLINE v_f64 vpow_short_f64(v_f64 x, v_f64 y) {
    return vexp2_short_f64(vclamp_f64(y * vlog2_short_f64(vm_abs_f64(x)), -1000.0, 1000.0));
}


/* What the rules of C say where x or y is zero, negative or not finite; `r` is |x|^y where both are finite and x is not 0. */
VM_OUTLINE v_f32 vpow_edges_f32(v_f32 x, v_f32 y, v_f32 r) {
    const v_f32 one = vset1_f32(1.0f), zero = {0}, inf = vset1_f32(VM_INF_F32), half = 0.5f * y, size = vm_abs_f32(x);
    const v_i32 integral = veq_f32(vm_trunc_f32(y), y), odd = integral & vne_f32(vm_floor_f32(half), half);
    /* Towards infinity or zero, as x or y is not between them. */
    const v_i32 ends = veq_f32(size, zero) | veq_f32(size, inf) | veq_f32(vm_abs_f32(y), inf);
    const v_i32 grows = vgt_f32(size, one) ^ vlt_f32(y, zero);
    r = vselect_f32(ends, vselect_f32(grows, inf, zero), r);
    r = vselect_f32(vm_isnan_f32(x) | vm_isnan_f32(y), x + y, r);
    r = vselect_f32(veq_f32(size, one) & integral, one, r);
    r = vflip_f32(r, (v_f32)(odd & (v_i32)vsign_f32(x)));
    const v_i32 undefined = ~integral & vlt_f32(x, zero) & vlt_f32(size, inf) & veq_f32(y, y);
    r = vselect_f32(undefined, vset1_f32(VM_NAN_F32), r);
    return vselect_f32(veq_f32(y, zero) | veq_f32(x, one), one, r);
}

VM_INLINE v_f32 vm_pow_f32(v_f32 x, v_f32 y) {
    v_f32 r = vcast_f64_f32(vpow_short_f64(vcast_f32_f64(x), vcast_f32_f64(y))), inf = vset1_f32(VM_INF_F32);
    const v_i32 plain = vgt_f32(x, (v_f32){0}) & vlt_f32(x, inf) & vlt_f32(vm_abs_f32(y), inf);
    if (VM_UNLIKELY(vany_i32(~plain))) r = vpow_edges_f32(x, y, r);
    return r;
}

/* cosh(x) or, for an odd function, sinh(x). With x = n log(2) + r, exp(x) is 2^n (cosh r + sinh r), so that they are
 * a cosh r + b sinh r and b cosh r + a sinh r for a, b = (2^n +- 2^-n) / 2: nothing cancels. */
VM_INLINE v_f64 vhyperbolic_f64(v_f64 x, int odd) {
    x = vclamp_f64(x, -200.0, 200.0);
    const v_f64 shifted = vfma_f64(x, vset1_f64(VM_LOG2E_F64), vset1_f64(VM_MAGIC_F64));
    const v_f64 r = vfma_f64(shifted - VM_MAGIC_F64, vset1_f64(-0x1.62e42fefa39efp-1), x), z = r * r;
    const v_i64 n = (v_i64)shifted << 52, half = vset1_i64(1022LL << 52);
    const v_f64 up = (v_f64)(half + n), down = (v_f64)(half - n);
    v_f64 even = vset1_f64(0x1.6da5f61e5404cp-10), tail = vset1_f64(0x1.a17d99a992d8fp-13);
    VM_HORNER_F64(even, z, 0x1.5554669c8bbe7p-5);
    VM_HORNER_F64(tail, z, 0x1.1110a664b279bp-7);
    VM_HORNER_F64(even, z, 0x1.0000005b18f64p-1);
    VM_HORNER_F64(tail, z, 0x1.5555557e3fa53p-3);
    VM_HORNER_F64(even, z, 0x1.ffffffffa98ecp-1);
    VM_HORNER_F64(tail, z, 0x1.fffffffff635ap-1);
    const v_f64 a = up + down, b = up - down, sine = r * tail;
    return odd ? vfma_f64(a, sine, b * even) : vfma_f64(b, sine, a * even);
}
VM_INLINE v_f64 vcosh_short_f64(v_f64 x) { return vhyperbolic_f64(x, 0); }
VM_INLINE v_f64 vsinh_short_f64(v_f64 x) { return vcopysign_f64(vhyperbolic_f64(x, 1), x); }
VM_INLINE v_f32 vm_cosh_f32(v_f32 x) { return vcast_f64_f32(vcosh_short_f64(vcast_f32_f64(x))); }
VM_INLINE v_f32 vm_sinh_f32(v_f32 x) { return vcast_f64_f32(vsinh_short_f64(vcast_f32_f64(x))); }

/* Close to zero, where the logarithm is of a number next to one, two terms of a series are enough. */
VM_INLINE v_f64 varcsinh_short_f64(v_f64 x) {
    const v_f64 d = vm_abs_f64(x), square = d * d;
    const v_f64 series = d * (1.0 - square * (0x1.5555555555555p-3 - square * 0x1.3333333333333p-4));
    const v_f64 r = vlog_short_f64(d + vm_sqrt_f64(square + 1.0));
    return vcopysign_f64(vselect_f64(vlt_f64(square, vset1_f64(0x1p-12)), series, r), x);
}

VM_INLINE v_f64 varccosh_short_f64(v_f64 x) {
    const v_f64 r = vlog_short_f64(x + vm_sqrt_f64((x - 1.0) * (x + 1.0)));
    return vselect_f64(vge_f64(x, vset1_f64(1.0)), r, vset1_f64(VM_NAN_F64));
}

VM_INLINE v_f64 varctanh_short_f64(v_f64 x) {
    const v_f64 square = x * x, series = x * (1.0 + square * (0x1.5555555555555p-2 + square * 0x1.999999999999ap-3));
    const v_f64 r = 0.5 * vlog_short_f64((1.0 + x) / (1.0 - x));
    return vselect_f64(vlt_f64(square, vset1_f64(0x1p-12)), series, r);
}
#define VM_ENDS(NAME, CONDITION, END)                                                             \
    VM_INLINE v_f32 vm_##NAME##_f32(v_f32 x) {                                                    \
        const v_f32 y = v##NAME##_plain_f32(x);                                                   \
        return vselect_f32(CONDITION, y, END);                                                    \
    }
VM_INLINE v_f32 varcsinh_plain_f32(v_f32 x) { return vcast_f64_f32(varcsinh_short_f64(vcast_f32_f64(x))); }
VM_INLINE v_f32 varccosh_plain_f32(v_f32 x) { return vcast_f64_f32(varccosh_short_f64(vcast_f32_f64(x))); }
VM_INLINE v_f32 varctanh_plain_f32(v_f32 x) { return vcast_f64_f32(varctanh_short_f64(vcast_f32_f64(x))); }
/* Infinite and undefined arguments, at which the bits of a logarithm's argument mean something else. */
VM_ENDS(arcsinh, vlt_f32(vm_abs_f32(x), vset1_f32(VM_INF_F32)), x)
VM_ENDS(arccosh, vlt_f32(x, vset1_f32(VM_INF_F32)), x + x)
VM_ENDS(arctanh, vlt_f32(vm_abs_f32(x), vset1_f32(1.0f)),
        vselect_f32(veq_f32(vm_abs_f32(x), vset1_f32(1.0f)), x * VM_INF_F32, vset1_f32(VM_NAN_F32)))
#undef VM_ENDS

#endif
