/* Error functions of float64. The quotients of polynomials are those of FDLIBM (Sun Microsystems, 1993), whose licence
 * allows to use, copy, modify and distribute them. */
#ifndef SYMC_VECMATH_ERF_H
#define SYMC_VECMATH_ERF_H
#include "vecmath_f64.h"

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

VM_INLINE v_f64 vm_erf_f64(v_f64 x) {
    v_i64 middle, tail;
    const v_f64 q = verf_ratio_f64(x, &middle, &tail);
    const v_f64 near = vselect_f64(middle, vcopysign_f64(VM_ERF_ONE_F64 + q, x), x + x * q);
    const v_f64 y = VM_EITHER(f64, vany_i64(tail), near,
                              vselect_f64(tail, vcopysign_f64(1 - verf_tail_f64(vm_abs_f64(x)), x), near));
    return vselect_f64(veq_f64(x, vset1_f64(0.0)), x, y);
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

#endif
