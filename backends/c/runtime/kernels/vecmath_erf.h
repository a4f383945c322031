/* Error functions. The quotients of polynomials of doubles are those of FDLIBM (Sun Microsystems, 1993), whose licence
 * allows to use, copy, modify and distribute them. */
#ifndef SYMC_VECMATH_ERF_H
#define SYMC_VECMATH_ERF_H
#include "vecmath_f32.h"

#define VM_ERF_ONE_F64 8.45062911510467529297e-01 /* about erf(1), with few bits */

/* The polynomial of z with these coefficients, the constant one first; written out, since GCC keeps what a loop carries
 * in memory. */
#define VM_POLY_1(z, a) vset1_f64(a)
#define VM_POLY_2(z, a, ...) vfma_f64(VM_POLY_1(z, __VA_ARGS__), z, vset1_f64(a))
#define VM_POLY_3(z, a, ...) vfma_f64(VM_POLY_2(z, __VA_ARGS__), z, vset1_f64(a))
#define VM_POLY_4(z, a, ...) vfma_f64(VM_POLY_3(z, __VA_ARGS__), z, vset1_f64(a))
#define VM_POLY_5(z, a, ...) vfma_f64(VM_POLY_4(z, __VA_ARGS__), z, vset1_f64(a))
#define VM_POLY_6(z, a, ...) vfma_f64(VM_POLY_5(z, __VA_ARGS__), z, vset1_f64(a))
#define VM_POLY_7(z, a, ...) vfma_f64(VM_POLY_6(z, __VA_ARGS__), z, vset1_f64(a))
#define VM_POLY_8(z, a, ...) vfma_f64(VM_POLY_7(z, __VA_ARGS__), z, vset1_f64(a))
#define VM_POLY_9(z, a, ...) vfma_f64(VM_POLY_8(z, __VA_ARGS__), z, vset1_f64(a))

VM_INLINE v_f64 verf_small_f64(v_f64 z) {
    const v_f64 p = VM_POLY_5(z, 1.28379167095512558561e-01, -3.25042107247001499370e-01,
        -2.84817495755985104766e-02, -5.77027029648944159157e-03, -2.37630166566501626084e-05);
    const v_f64 q = VM_POLY_6(z, 1, 3.97917223959155352819e-01, 6.50222499887672944485e-02,
        5.08130628187576562776e-03, 1.32494738004321644526e-04, -3.96022827877536812320e-06);
    return p / q;
}

VM_INLINE v_f64 verf_middle_f64(v_f64 z) {
    const v_f64 p = VM_POLY_7(z, -2.36211856075265944077e-03, 4.14856118683748331666e-01,
        -3.72207876035701323847e-01, 3.18346619901161753674e-01, -1.10894694282396677476e-01,
        3.54783043256182359371e-02, -2.16637559486879084300e-03);
    const v_f64 q = VM_POLY_7(z, 1, 1.06420880400844228286e-01, 5.40397917702171048937e-01,
        7.18286544141962662868e-02, 1.26171219808761642112e-01, 1.36370839120290507362e-02,
        1.19844998467991074170e-02);
    return p / q;
}

VM_INLINE v_f64 verf_large_f64(v_f64 z) {
    const v_f64 p = VM_POLY_8(z, -9.86494403484714822705e-03, -6.93858572707181764372e-01,
        -1.05586262253232909814e+01, -6.23753324503260060396e+01, -1.62396669462573470355e+02,
        -1.84605092906711035994e+02, -8.12874355063065934246e+01, -9.81432934416914548592e+00);
    const v_f64 q = VM_POLY_9(z, 1, 1.96512716674392571292e+01, 1.37657754143519042600e+02,
        4.34565877475229228821e+02, 6.45387271733267880336e+02, 4.29008140027567833386e+02,
        1.08635005541779435134e+02, 6.57024977031928170135e+00, -6.04244152148580987438e-02);
    return p / q;
}

VM_INLINE v_f64 verf_far_f64(v_f64 z) {
    const v_f64 p = VM_POLY_7(z, -9.86494292470009928597e-03, -7.99283237680523006574e-01,
        -1.77579549177547519889e+01, -1.60636384855821916062e+02, -6.37566443368389627722e+02,
        -1.02509513161107724954e+03, -4.83519191608651397019e+02);
    const v_f64 q = VM_POLY_8(z, 1, 3.03380607434824582924e+01, 3.25792512996573918826e+02,
        1.53672958608443695994e+03, 3.19985821950859553908e+03, 2.55305040643316442583e+03,
        4.74528541206955367215e+02, -2.24409524465858183362e+01);
    return p / q;
}

/* erfc(a) for a from 1.25 on: exp(-a^2) times a quotient in 1 / a^2, over a; a^2 is an exact part and a small one. */
VM_INLINE v_f64 verf_tail_f64(v_f64 a) {
    const v_i64 far = vge_f64(a, vset1_f64(1 / 0.35));
    a = vclamp_f64(a, 1.0, 30.0);
    const v_f64 s = 1 / (a * a);
    const v_f64 large = verf_large_f64(s);
    const v_f64 ratio = VM_EITHER(f64, vany_i64(far), large, vselect_f64(far, verf_far_f64(s), large));
    const v_f64 z = vcut_f64(a);
    const v_f64 e = vm_exp_f64(-z * z - 0.5625) * vm_exp_f64((z - a) * (z + a) + ratio);
    return e / a;
}

/* erf(x) of |x| below 0.84375 is x + x q; from there to 1.25, erf|x| is erf(1) + q. */
VM_INLINE v_f64 verf_ratio_f64(v_f64 x, v_i64 *middle, v_i64 *tail) {
    const v_f64 a = vm_abs_f64(x);
    *middle = vge_f64(a, vset1_f64(0.84375)), *tail = vge_f64(a, vset1_f64(1.25));
    const v_f64 q = verf_small_f64(x * x);
    return VM_EITHER(f64, vany_i64(*middle), q, vselect_f64(*middle, verf_middle_f64(a - 1), q));
}

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

/* Near zero erf(x) is x and a multiple of x, a polynomial in x * x. */
VM_INLINE v_f64 vm_erf_f64(v_f64 x) {
    const v_f64 a = vm_abs_f64(x), z = a * a;
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
    const v_f64 near = vfma_f64(q, a, a);
    const v_i64 outer = vgt_f64(a, vset1_f64(1.0));
    const v_f64 y = VM_EITHER(f64, vany_i64(outer), near,
                              vselect_f64(outer, verf_outer_f64(vclamp_f64(a, 1.0, 5.95)), near));
    return vflip_f64(y, vsign_f64(x));
}

VM_INLINE v_f64 verfc_beyond_f64(v_f64 x) {
    const v_f64 t = verf_tail_f64(vm_abs_f64(x));
    return vselect_f64(vlt_f64(x, vset1_f64(0.0)), 2 - t, t);
}

VM_INLINE v_f64 vm_erfc_f64(v_f64 x) {
    const v_f64 zero = {0};
    v_i64 middle, tail, negative = vlt_f64(x, zero);
    const v_f64 q = verf_ratio_f64(x, &middle, &tail), rest = x * q;
    const v_f64 near = vselect_f64(vlt_f64(x, vset1_f64(0.25)), 1 - (x + rest), 0.5 - (rest + (x - 0.5)));
    const v_f64 beside = vselect_f64(negative, 1 + (VM_ERF_ONE_F64 + q), (1 - VM_ERF_ONE_F64) - q);
    const v_f64 y = vselect_f64(middle, beside, near);
    return VM_EITHER(f64, vany_i64(tail), y, vselect_f64(tail, verfc_beyond_f64(x), y));
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
