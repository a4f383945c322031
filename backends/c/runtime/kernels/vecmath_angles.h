/* Tangents, inverse trigonometric functions, hyperbolic functions and their inverses, float64.
 *
 * The polynomials of arctan and the quotient of arcsin are those of FDLIBM (Sun Microsystems, 1993), whose licence allows
 * to use, copy, modify and distribute them. */
#ifndef SYMC_VECMATH_ANGLES_H
#define SYMC_VECMATH_ANGLES_H
#include "vecmath_f64.h"

#define VM_PI_2_HIGH_F64 0x1.921fb54442d18p+0
#define VM_PI_2_LOW_F64 0x1.1a62633145c07p-54
#define VM_LN2_F64 0x1.62e42fefa39efp-1
#define VM_LARGE_F64 0x1p28 /* from here on, x * x + 1 is x * x */

VM_BY_LANES_1(vtan_far_f64, f64, __builtin_tan)

VM_INLINE v_f64 vm_tan_f64(v_f64 x) {
    v_i64 quadrant;
    v_f64 low, r = vtrig_reduce_f64(x, &low, &quadrant), s = vsin_kernel_f64(r, low), c = vcos_kernel_f64(r, low);
    v_i64 odd = -(quadrant & 1);
    v_f64 y = vselect_f64(odd, -c, s) / vselect_f64(odd, s, c);
    y = vselect_f64(veq_f64(x, vset1_f64(0.0)), x, y);
    return VM_FAR_F64(x, y, vtan_far_f64);
}

/* arctan a = arctan c + arctan t for c = 0, 1/2, 1, 3/2, infinity and t = (a - c) / (1 + a c), |t| at most 7/16. */
#define VM_ARCTAN_FROM(limit, top, bottom, h, l)                                   \
    {                                                                              \
        const v_i64 here = vge_f64(a, vset1_f64(limit));                           \
        n = vselect_f64(here, top, n), d = vselect_f64(here, bottom, d);           \
        high = vselect_f64(here, vset1_f64(h), high), low = vselect_f64(here, vset1_f64(l), low); \
    }
VM_INLINE v_f64 varctan_positive_f64(v_f64 a) {
    const v_f64 zero = {0};
    v_f64 n = a, d = zero + 1, high = zero, low = zero;
    VM_ARCTAN_FROM(7.0 / 16, 2 * a - 1, a + 2, 4.63647609000806093515e-01, 2.26987774529616870924e-17)
    VM_ARCTAN_FROM(11.0 / 16, a - 1, a + 1, 7.85398163397448278999e-01, 3.06161699786838301793e-17)
    VM_ARCTAN_FROM(19.0 / 16, a - 1.5, 1.5 * a + 1, 9.82793723247329054082e-01, 1.39033110312309984516e-17)
    VM_ARCTAN_FROM(39.0 / 16, zero - 1, a, 1.57079632679489655800e+00, 6.12323399573676603587e-17)
    v_f64 t = n / d, z = t * t, p = vset1_f64(1.62858201153657823623e-02);
    VM_HORNER_F64(p, z, -3.65315727442169155270e-02);
    VM_HORNER_F64(p, z, 4.97687799461593236017e-02);
    VM_HORNER_F64(p, z, -5.83357013379057348645e-02);
    VM_HORNER_F64(p, z, 6.66107313738753120669e-02);
    VM_HORNER_F64(p, z, -7.69187620504482999495e-02);
    VM_HORNER_F64(p, z, 9.09088713343650656196e-02);
    VM_HORNER_F64(p, z, -1.11111104054623557880e-01);
    VM_HORNER_F64(p, z, 1.42857142725034663711e-01);
    VM_HORNER_F64(p, z, -1.99999999998764832476e-01);
    VM_HORNER_F64(p, z, 3.33333333333329318027e-01);
    return high - ((t * z * p - low) - t);
}
#undef VM_ARCTAN_FROM

VM_INLINE v_f64 vm_arctan_f64(v_f64 x) { return vcopysign_f64(varctan_positive_f64(vm_abs_f64(x)), x); }

VM_INLINE v_f64 vm_arctan2_f64(v_f64 y, v_f64 x) {
    const v_f64 a = vm_abs_f64(y), b = vm_abs_f64(x), zero = {0};
    /* 0/0 and inf/inf: the axis and the diagonal. */
    v_f64 q = vselect_f64(veq_f64(a, b), vselect_f64(veq_f64(b, zero), zero, zero + 1), a / b);
    v_f64 r = varctan_positive_f64(q);
    const v_i64 left = vlt_f64(vcopysign_f64(zero + 1, x), zero);
    r = vselect_f64(left, 2 * VM_PI_2_HIGH_F64 - (r - 2 * VM_PI_2_LOW_F64), r);
    return vcopysign_f64(r, y);
}

/* arcsin s = s + s * ratio(s * s) for s up to 1/2; beyond, with s = sqrt((1 - |x|) / 2), it is pi/2 - 2 arcsin s. */
VM_INLINE v_f64 varcsin_ratio_f64(v_f64 z) {
    v_f64 p = vset1_f64(3.47933107596021167570e-05), q = vset1_f64(7.70381505559019352791e-02);
    VM_HORNER_F64(p, z, 7.91534994289814532176e-04);
    VM_HORNER_F64(p, z, -4.00555345006794114027e-02);
    VM_HORNER_F64(p, z, 2.01212532134862925881e-01);
    VM_HORNER_F64(p, z, -3.25565818622400915405e-01);
    VM_HORNER_F64(p, z, 1.66666666666666657415e-01);
    VM_HORNER_F64(q, z, -6.88283971605453293030e-01);
    VM_HORNER_F64(q, z, 2.02094576023350569471e+00);
    VM_HORNER_F64(q, z, -2.40339491173441421878e+00);
    VM_HORNER_F64(q, z, 1.0);
    return z * p / q;
}

/* arcsin of s = |x| or, where `steep`, of sqrt((1 - |x|) / 2), and what rounding the root has lost. */
VM_INLINE v_f64 varcsin_part_f64(v_f64 x, v_i64 *steep) {
    const v_f64 a = vm_abs_f64(x);
    *steep = vgt_f64(a, vset1_f64(0.5));
    const v_f64 half = 0.5 - 0.5 * a, z = vselect_f64(*steep, half, a * a);
    const v_f64 root = vm_sqrt_f64(half), lost = vfma_f64(-root, root, half) / (2 * root);
    const v_f64 s = vselect_f64(*steep, root, a), ratio = varcsin_ratio_f64(z);
    const v_f64 rest = vselect_f64(*steep & vgt_f64(half, vset1_f64(0.0)), lost, vset1_f64(0.0));
    return s + vfma_f64(s, ratio, rest);
}

VM_INLINE v_f64 vm_arcsin_f64(v_f64 x) {
    v_i64 steep;
    const v_f64 y = varcsin_part_f64(x, &steep);
    return vcopysign_f64(vselect_f64(steep, VM_PI_2_HIGH_F64 - (2 * y - VM_PI_2_LOW_F64), y), x);
}

VM_INLINE v_f64 vm_arccos_f64(v_f64 x) {
    v_i64 steep, negative = vlt_f64(x, vset1_f64(0.0));
    const v_f64 y = varcsin_part_f64(x, &steep), twice = 2 * y;
    const v_f64 far = vselect_f64(negative, 2 * VM_PI_2_HIGH_F64 - (twice - 2 * VM_PI_2_LOW_F64), twice);
    return vselect_f64(steep, far, VM_PI_2_HIGH_F64 - (vselect_f64(negative, -y, y) - VM_PI_2_LOW_F64));
}

/* Where exp(x) comes near the largest float, half of it is a product of two roots. */
VM_INLINE v_f64 vm_cosh_f64(v_f64 x) {
    const v_f64 a = vm_abs_f64(x);
    const v_i64 large = vgt_f64(a, vset1_f64(700.0));
    const v_f64 e = vm_exp_f64(vselect_f64(large, 0.5 * a, a)), half = 0.5 * e;
    return vselect_f64(large, half * e, half + 0.5 / e);
}

VM_INLINE v_f64 vm_sinh_f64(v_f64 x) {
    const v_f64 a = vm_abs_f64(x);
    const v_i64 large = vgt_f64(a, vset1_f64(700.0));
    const v_f64 e = vm_expm1_f64(vselect_f64(large, 0.5 * a, a));
    return vcopysign_f64(vselect_f64(large, 0.5 * e * e, 0.5 * (e + e / (e + 1))), x);
}

VM_INLINE v_f64 vm_arcsinh_f64(v_f64 x) {
    const v_f64 a = vm_abs_f64(x), square = a * a;
    const v_i64 large = vgt_f64(a, vset1_f64(VM_LARGE_F64));
    const v_f64 y = vm_log1p_f64(vselect_f64(large, a - 1, a + square / (1 + vm_sqrt_f64(square + 1))));
    return vcopysign_f64(vselect_f64(large, y + VM_LN2_F64, y), x);
}

VM_INLINE v_f64 vm_arccosh_f64(v_f64 x) {
    const v_f64 t = x - 1;
    const v_i64 large = vgt_f64(x, vset1_f64(VM_LARGE_F64));
    const v_f64 y = vm_log1p_f64(vselect_f64(large, t, t + vm_sqrt_f64(t * (t + 2))));
    const v_f64 r = vselect_f64(large, y + VM_LN2_F64, y);
    return vselect_f64(vlt_f64(x, vset1_f64(1.0)), vset1_f64(VM_NAN_F64), r);
}

VM_INLINE v_f64 vm_arctanh_f64(v_f64 x) {
    const v_f64 a = vm_abs_f64(x), twice = 2 * a, rest = 1 - a;
    const v_f64 u = vselect_f64(vlt_f64(a, vset1_f64(0.5)), twice + twice * a / rest, twice / rest);
    return vcopysign_f64(0.5 * vm_log1p_f64(u), x);
}

#define VM_F64_ANGLES(X) X(tan) X(arctan) X(arcsin) X(arccos) X(cosh) X(sinh) X(arcsinh) X(arccosh) X(arctanh)
#define VM_DEFINE(NAME) VM_ONE_LANE_1(NAME, f64, double)
VM_F64_ANGLES(VM_DEFINE)
#undef VM_DEFINE
VM_ONE_LANE_2(arctan2, f64, double)

#endif
