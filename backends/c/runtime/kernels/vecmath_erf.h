/* Error functions: polynomials for each part of the range, and exponentials. */
#ifndef SYMC_VECMATH_ERF_H
#define SYMC_VECMATH_ERF_H
#include "vecmath_f32.h"

/* 1 - exp(p(a)) for 1 <= a < 6, p a polynomial close to log(erfc(a)): the larger a, the less its error counts. Even and odd
 * coefficients apart: half the time from a to the result. */
VM_INLINE v_f64 verf_outer_f64(v_f64 a) {
    const v_f64 z = a * a;
    v_f64 p = vset1_f64(0x1.2478fbeed8309p-40), odd = vset1_f64(-0x1.a1f9aafe40c6bp-35);
    VM_HORNER_F64(p, z, 0x1.179264c3935e1p-30);
    VM_HORNER_F64(odd, z, -0x1.d0a268941080fp-27);
    VM_HORNER_F64(p, z, 0x1.0c14a095d30a8p-23);
    VM_HORNER_F64(odd, z, -0x1.c5c60abc4f4e8p-21);
    VM_HORNER_F64(p, z, 0x1.20b249afb43a7p-18);
    VM_HORNER_F64(odd, z, -0x1.1383e74bc8bc7p-16);
    VM_HORNER_F64(p, z, 0x1.7791e6b0dc41dp-15);
    VM_HORNER_F64(odd, z, -0x1.2491c174c2d73p-14);
    VM_HORNER_F64(p, z, -0x1.817389b435fe5p-15);
    VM_HORNER_F64(odd, z, 0x1.51065e59e5375p-11);
    VM_HORNER_F64(p, z, -0x1.d03c0516e94dfp-10);
    VM_HORNER_F64(odd, z, 0x1.27ed4e3901d14p-12);
    VM_HORNER_F64(p, z, 0x1.388e9506fd953p-6);
    VM_HORNER_F64(odd, z, -0x1.a4d9aaf19fa27p-4);
    VM_HORNER_F64(p, z, -0x1.45f4327fb7dbcp-1);
    VM_HORNER_F64(odd, z, -0x1.20dd5566e107fp+0);
    VM_HORNER_F64(p, z, -0x1.8be3ab26e9e4bp-23);
    p = vfma_f64(odd, a, p);
    const v_f64 shifted = vfma_f64(p, vset1_f64(VM_LOG2E_F64), vset1_f64(VM_MAGIC_F64)), n = shifted - VM_MAGIC_F64;
    const v_f64 r = vfma_f64(n, vset1_f64(-VM_LN2_LOW_F64), vfma_f64(n, vset1_f64(-VM_LN2_HIGH_F64), p));
    const v_f64 e = 1.0 + (r + vexp_tail_f64(r));
    return 1.0 - (v_f64)((v_u64)e + ((v_u64)shifted << 52));
}

/* erf(x) / x - 1 for |x| <= 1, a polynomial in z = x * x. */
VM_INLINE v_f64 verf_near_f64(v_f64 z) {
    v_f64 q = vset1_f64(0x1.062759c5be8ecp-34);
    VM_HORNER_F64(q, z, -0x1.38ac2290d3965p-30);
    VM_HORNER_F64(q, z, 0x1.f7b99d7c8709ap-27);
    VM_HORNER_F64(q, z, -0x1.5f1f40faeea79p-23);
    VM_HORNER_F64(q, z, 0x1.b9df305cad6f7p-20);
    VM_HORNER_F64(q, z, -0x1.f4d1e434bc0cfp-17);
    VM_HORNER_F64(q, z, 0x1.f9a321e4b84f9p-14);
    VM_HORNER_F64(q, z, -0x1.c02db3db49762p-11);
    VM_HORNER_F64(q, z, 0x1.565bcd0dbd921p-8);
    VM_HORNER_F64(q, z, -0x1.b82ce31284f38p-6);
    VM_HORNER_F64(q, z, 0x1.ce2f21a042b34p-4);
    VM_HORNER_F64(q, z, -0x1.812746b0379e6p-2);
    VM_HORNER_F64(q, z, 0x1.06eba8214db69p-3);
    return q;
}

VM_INLINE v_f64 vm_erf_f64(v_f64 x) {
    const v_f64 a = vm_abs_f64(x), near = vfma_f64(verf_near_f64(a * a), a, a);
    const v_i64 outer = vgt_f64(a, vset1_f64(1.0));
    const v_f64 y = VM_EITHER(f64, vany_i64(outer), near,
                              vselect_f64(outer, verf_outer_f64(vclamp_f64(a, 1.0, 5.95)), near));
    return vflip_f64(y, vsign_f64(x));
}

/* exp(a^2) erfc(a) is a polynomial in (a - 4) / (a + 4), over 1 + 2a. The square is an exact part and a small one; as for
 * floats, half of n may be added to the exponent of the quotient. Beyond 27.3 the result is zero. */
VM_INLINE v_f64 verfc_outer_f64(v_f64 a) {
    const v_f64 t = (a - 4.0) / (a + 4.0), z = t * t;
    v_f64 p = vset1_f64(-0x1.eec705d5a1cd7p-30), odd = vset1_f64(-0x1.d4f8f3c5abf10p-27);
    VM_HORNER_F64(p, z, -0x1.0d65a54de0fc2p-27);
    VM_HORNER_F64(odd, z, 0x1.ee9a3a6614e4fp-24);
    VM_HORNER_F64(p, z, 0x1.0e152b41621f1p-24);
    VM_HORNER_F64(odd, z, -0x1.c02966a98668ap-21);
    VM_HORNER_F64(p, z, 0x1.437ee2a579628p-22);
    VM_HORNER_F64(odd, z, 0x1.7fb1e972af7dfp-18);
    VM_HORNER_F64(p, z, -0x1.78a482fbe4d08p-17);
    VM_HORNER_F64(odd, z, -0x1.9969e5a26b05fp-16);
    VM_HORNER_F64(p, z, 0x1.3be0ba19aefeep-13);
    VM_HORNER_F64(odd, z, -0x1.a1de8634599c6p-13);
    VM_HORNER_F64(p, z, -0x1.8d4a9e734393cp-11);
    VM_HORNER_F64(odd, z, 0x1.49c6719925c7ap-8);
    VM_HORNER_F64(p, z, -0x1.096238822ffb3p-6);
    VM_HORNER_F64(odd, z, 0x1.3079edf9d26bbp-5);
    VM_HORNER_F64(p, z, -0x1.0fb06dfe4f9adp-4);
    VM_HORNER_F64(odd, z, 0x1.7fee004df8373p-4);
    VM_HORNER_F64(p, z, -0x1.9ddb23c3e9094p-4);
    VM_HORNER_F64(odd, z, 0x1.16ecefcfa5f6fp-4);
    VM_HORNER_F64(p, z, 0x1.f7f5df66fd7f5p-7);
    VM_HORNER_F64(odd, z, -0x1.1df1ad154a29bp-3);
    VM_HORNER_F64(p, z, 0x1.3ba5916e9fd7fp+0);
    const v_f64 q = vfma_f64(odd, t, p) / (1.0 + 2.0 * a);
    const v_f64 cut = vcut_f64(a), square = -cut * cut, rest = (cut - a) * (cut + a);
    const v_f64 power = vpower_f64(square, VM_LOG2E_F64), n = vexponent_of_f64(power);
    const v_f64 high = vfma_f64(n, vset1_f64(-VM_LN2_HIGH_F64), square);
    const v_f64 r = vfma_f64(n, vset1_f64(-VM_LN2_LOW_F64), high + rest);
    return vraise_f64(vfma_f64(q, r + vexp_tail_f64(r), q), power);
}

VM_INLINE v_f64 vm_erfc_f64(v_f64 x) {
    const v_f64 a = vclamp_f64(vm_abs_f64(x), 0.0, 27.3), y = verfc_outer_f64(a), rest = x * verf_near_f64(x * x);
    const v_f64 outer = vselect_f64(vlt_f64(x, vset1_f64(0.0)), 2.0 - y, y);
    const v_f64 near = vselect_f64(vlt_f64(x, vset1_f64(0.25)), 1.0 - (x + rest), 0.5 - (rest + (x - 0.5)));
    return vselect_f64(vlt_f64(a, vset1_f64(0.75)), near, outer);
}

VM_ONE_LANE_1(erf, f64, double)
VM_ONE_LANE_1(erfc, f64, double)

/* Near zero erf(x) / x as a polynomial in x * x; farther out 1 - 1 / h(|x|)^8, h a polynomial too, whose power overflows
 * only where the result is one. */
VM_INLINE v_f32 vm_erf_f32(v_f32 x) {
    v_f32 a = vm_abs_f32(x), z = a * a;
    v_f32 p = vset1_f32(0x1.11702cp-14f);
    VM_HORNER_F32(p, z, -0x1.8c5488p-11f);
    VM_HORNER_F32(p, z, 0x1.50424ep-8f);
    VM_HORNER_F32(p, z, -0x1.b76af6p-6f);
    VM_HORNER_F32(p, z, 0x1.ce2374p-4f);
    VM_HORNER_F32(p, z, -0x1.812702p-2f);
    VM_HORNER_F32(p, z, 0x1.06eba6p-3f);
    v_f32 h = vset1_f32(0x1.5c2218p-11f);
    VM_HORNER_F32(h, a, -0x1.6891a8p-8f);
    VM_HORNER_F32(h, a, 0x1.a3cef4p-6f);
    VM_HORNER_F32(h, a, -0x1.c78774p-5f);
    VM_HORNER_F32(h, a, 0x1.ca8f3ep-4f);
    VM_HORNER_F32(h, a, 0x1.6f2c9ep-7f);
    VM_HORNER_F32(h, a, 0x1.70e1f8p-3f);
    VM_HORNER_F32(h, a, 0x1.fbba24p-1f);
    h *= h, h *= h, h *= h;
    v_f32 near = vfma_f32(p, a, a), far = 1.0f - 1.0f / h;
    return vflip_f32(vselect_f32(vlt_f32(a, vset1_f32(1.15f)), near, far), vsign_f32(x));
}

/* A square and what is left of a^2; without fused operations it is the square of the upper half of a. */
#if VM_AVX512_BUILTINS
VM_INLINE v_f32 vsquare_f32(v_f32 a, v_f32 *rest) {
    const v_f32 z = a * a;
    *rest = vfma_f32(a, a, -z);
    return z;
}
#elif VM_REGISTER == 32 && defined(__FMA__) && defined(__GNUC__) && !defined(__clang__)
VM_INLINE v_f32 vsquare_f32(v_f32 a, v_f32 *rest) {
    const v_f32 z = a * a;
    *rest = __builtin_ia32_vfmaddps256(a, a, -z);
    return z;
}
#else
VM_INLINE v_f32 vsquare_f32(v_f32 a, v_f32 *rest) {
    const v_f32 upper = (v_f32)((v_i32)a & (v_i32)vset1_u32(0xFFFFF000u));
    *rest = (a - upper) * (a + upper);
    return upper * upper;
}
#endif

/* q exp(-a^2) for 0 <= a < 10.2 and q from 1/32 to 1: half of n, at least -76, may be added to the exponents of such
 * numbers too. */
VM_INLINE v_f32 vby_exp_minus_square_f32(v_f32 q, v_f32 a) {
    v_f32 rest, z = vsquare_f32(a, &rest), power = vpower_f32(z, -VM_LOG2E_F32), n = vexponent_of_f32(power);
    v_f32 high = vfma_f32(n, vset1_f32(-VM_LN2_HIGH_F32), -z);
    v_f32 r = vfma_f32(n, vset1_f32(-VM_LN2_LOW_F32), high) - rest;
    return vraise_f32(vfma_f32(q, r + vexp_tail_f32(r), q), power);
}

/* exp(a^2) erfc(a) as s / (b s + r), b linear in a and the others polynomials: for large a, where Horner's rule adds up most
 * rounding errors, those of s cancel and r hardly matters. Beyond 10.1 the result is zero. */
VM_INLINE v_f32 vm_erfc_f32(v_f32 x) {
    v_f32 a = vlimit_f32(vm_abs_f32(x), 10.19f);
    v_f32 s = a + 0x1.bea5e6p+2f;
    VM_HORNER_F32(s, a, 0x1.63f3eap+4f);
    VM_HORNER_F32(s, a, 0x1.2cf2e8p+5f);
    VM_HORNER_F32(s, a, 0x1.e56038p+4f);
    v_f32 r = vset1_f32(0x1.bc0a86p-1f);
    VM_HORNER_F32(r, a, 0x1.9257b8p+2f);
    VM_HORNER_F32(r, a, 0x1.20b9f2p+4f);
    VM_HORNER_F32(r, a, 0x1.e4ebecp+4f);
    v_f32 b = vfma_f32(a, vset1_f32(0x1.c5be2ap+0f), vset1_f32(0x1.eab516p-11f));
    v_f32 y = vby_exp_minus_square_f32(s / vfma_f32(b, s, r), a);
    return vselect_f32(vlt_f32(x, vset1_f32(0.0f)), 2.0f - y, y);
}

#endif
