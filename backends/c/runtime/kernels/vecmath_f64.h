/* Elementary functions of sixteen doubles.
 *
 * Reductions and polynomials in the manner of Sun's fdlibm, with coefficients fitted anew (minimax, relative error
 * below 2^-57).  Rarely used functions call the C library lane by lane.
 */
#ifndef SYMC_VECMATH_F64_H
#define SYMC_VECMATH_F64_H

#include "vecmath_base.h"

/* A number without its lower 32 bits: the product of two such numbers is exact. */
VM_INLINE v_f64 vcut_f64(v_f64 x) { return (v_f64)((v_i64)x & (v_i64)((v_u64)vset1_i64(-1) << 32)); }

/* exp(r) - 1 - r for |r| <= log(2) / 2. */
VM_INLINE v_f64 vexp_tail_f64(v_f64 r) {
    v_f64 p = vset1_f64(0x1.ad7e341df4ce2p-26);
    VM_HORNER_F64(p, r, 0x1.28ae9841b0b7fp-22);
    VM_HORNER_F64(p, r, 0x1.71df27fa260e5p-19);
    VM_HORNER_F64(p, r, 0x1.a01998dd507e6p-16);
    VM_HORNER_F64(p, r, 0x1.a01a0128538c8p-13);
    VM_HORNER_F64(p, r, 0x1.6c16c18493917p-10);
    VM_HORNER_F64(p, r, 0x1.1111111128437p-7);
    VM_HORNER_F64(p, r, 0x1.55555555506bdp-5);
    VM_HORNER_F64(p, r, 0x1.55555555554f7p-3);
    VM_HORNER_F64(p, r, 0x1.000000000000ap-1);
    return p * (r * r);
}

#define VM_LOG2E_F64 0x1.71547652b82fep0
/* log(2) in two pieces; the first has enough zero bits that its product with any exponent is exact. */
#define VM_LN2_HIGH_F64 0x1.62e42fee00000p-1
#define VM_LN2_LOW_F64 0x1.a39ef35793c76p-33

VM_INLINE v_f64 vm_exp_f64(v_f64 x) {
    x = vclamp_f64(x, -746.0, 710.0);
    v_f64 power = vpower_f64(x, VM_LOG2E_F64), n = vexponent_of_f64(power);
    v_f64 high = vfma_f64(n, vset1_f64(-VM_LN2_HIGH_F64), x);
    v_f64 r = vfma_f64(n, vset1_f64(-VM_LN2_LOW_F64), high);
    return vraise_f64(1.0 + (r + vexp_tail_f64(r)), power);
}

VM_INLINE v_f64 vm_exp2_f64(v_f64 x) {
    x = vclamp_f64(x, -1080.0, 1030.0);
    v_f64 n = vpower_f64(x, 1.0), r = x - vexponent_of_f64(n);
    v_f64 p = vset1_f64(0x1.c4db50e2dbf17p-36);
    VM_HORNER_F64(p, r, 0x1.ea0542fe7c73fp-32);
    VM_HORNER_F64(p, r, 0x1.e4cee7c79fcbcp-28);
    VM_HORNER_F64(p, r, 0x1.b524daa05e7b2p-24);
    VM_HORNER_F64(p, r, 0x1.62c0224dc09f5p-20);
    VM_HORNER_F64(p, r, 0x1.ffcbfc7632dd4p-17);
    VM_HORNER_F64(p, r, 0x1.430912f868d02p-13);
    VM_HORNER_F64(p, r, 0x1.5d87fe78a21e3p-10);
    VM_HORNER_F64(p, r, 0x1.3b2ab6fba4e82p-7);
    VM_HORNER_F64(p, r, 0x1.c6b08d704a0d1p-5);
    VM_HORNER_F64(p, r, 0x1.ebfbdff82c58fp-3);
    VM_HORNER_F64(p, r, 0x1.62e42fefa39efp-1);
    return vraise_f64(vfma_f64(p, r, vset1_f64(1.0)), n);
}

/* exp(x) - 1 for -40 <= x <= 710; a zero loses its sign and a subnormal number its last bit.  2^(n-1) serves instead of
 * 2^n, which overflows first; what is lost in adding r to it comes back through `low`. */
VM_INLINE v_f64 vexpm1_core_f64(v_f64 x) {
    v_f64 power = vpower_f64(x, VM_LOG2E_F64), n = vexponent_of_f64(power);
    v_f64 high = vfma_f64(n, vset1_f64(-VM_LN2_HIGH_F64), x);
    v_f64 r = vfma_f64(n, vset1_f64(-VM_LN2_LOW_F64), high);
    v_f64 lost = vfma_f64(n, vset1_f64(-VM_LN2_LOW_F64), high - r);
    v_f64 half = vhalf_power_f64(power);
    v_f64 base = half - 0.5, step = half * r, sum = base + step;
    v_f64 low = step - (sum - base);
    return 2.0 * (sum + vfma_f64(vexp_tail_f64(r) + lost, half, low));
}

VM_INLINE v_f64 vm_expm1_f64(v_f64 x) {
    v_f64 r = vexpm1_core_f64(vclamp_f64(x, -40.0, 710.0));
    return vselect_f64(vlt_f64(vm_abs_f64(x), vset1_f64(0x1p-60)), x, r);
}

/* x = 2^k * (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), for normal positive x: the bits of 1 + f, and k. */
VM_INLINE v_i64 vexponent_f64(v_f64 x, v_f64 *mantissa) {
    const int64_t low = 0x3FE6A09E667F3BCD; /* sqrt(1/2) */
    v_u64 shifted = (v_u64)((v_i64)x - low + (1023LL << 52));
    v_i64 k = (v_i64)(shifted >> 52) - 1023;
    *mantissa = (v_f64)((v_i64)x - (k << 52));
    return k;
}

/* log(1 + f) - f + f * f / 2, and f * f / 2 itself. */
VM_INLINE v_f64 vlog_tail_f64(v_f64 f, v_f64 *half_square) {
    v_f64 s = f / (f + 2.0), z = s * s;
    v_f64 p = vset1_f64(0x1.2f1d9f7e9e867p-3);
    VM_HORNER_F64(p, z, 0x1.399fb3bf18163p-3);
    VM_HORNER_F64(p, z, 0x1.74664eb4519b5p-3);
    VM_HORNER_F64(p, z, 0x1.c71c51d573e31p-3);
    VM_HORNER_F64(p, z, 0x1.249249420a44bp-2);
    VM_HORNER_F64(p, z, 0x1.999999997ffacp-2);
    VM_HORNER_F64(p, z, 0x1.5555555555591p-1);
    *half_square = f * f * 0.5;
    return s * vfma_f64(p, z, *half_square);
}

/* x = 2^k * (1 + f) for any positive x, subnormal ones too. */
#if VM_AVX512_BUILTINS
#define VM_PIECE_GETEXP(i, T)                                                                                \
    r.p[i] = __builtin_ia32_getexppd512_mask(u.p[i], u.p[i], (uint8_t)-1, 4);                                \
    r.p[i] = __builtin_ia32_minpd512_mask(r.p[i], (vp_f64){0} + 1024.0, r.p[i], (uint8_t)-1, 4);
VM_INLINE v_f64 vlog_reduce_f64(v_f64 x, v_f64 *k) {
    vu_f64 u = {x * 0x1.6a09e667f3bcdp+0}, r;
    VM_EACH(128, VM_PIECE_GETEXP, f64)
    *k = r.v;
    return vscale_f64(x, -*k) - 1.0;
}
#else
VM_INLINE v_f64 vlog_reduce_f64(v_f64 x, v_f64 *k) {
    v_i64 tiny = vlt_f64(x, vset1_f64(0x1p-1022));
    v_f64 mantissa;
    v_i64 e = vexponent_f64(vselect_f64(tiny, x * 0x1p54, x), &mantissa);
    *k = vfloat_i64(e - (tiny & 54));
    return mantissa - 1.0;
}
#endif

/* log(1 + f) times a constant given in two pieces, the higher with its low half zero, f cut likewise: the leading
 * product is exact, with or without a fused multiply-add. */
VM_INLINE v_f64 vlog_scaled_f64(v_f64 f, double high, double low, v_f64 k, double k_high, double k_low) {
    v_f64 square, tail = vlog_tail_f64(f, &square);
    v_f64 lead = vcut_f64(f - square);
    v_f64 rest = (f - lead - square) + tail;
    v_f64 small = vfma_f64(lead + rest, vset1_f64(low), rest * high) + k * k_low;
    v_f64 big = k * k_high, product = lead * high, sum = big + product;
    return sum + ((product - (sum - big)) + small);
}

VM_INLINE v_f64 vlog_of_f64(v_f64 f, v_f64 k) {
    v_f64 square, tail = vlog_tail_f64(f, &square);
    v_f64 r = vfma_f64(k, vset1_f64(VM_LN2_LOW_F64), tail);
    return vfma_f64(k, vset1_f64(VM_LN2_HIGH_F64), f - (square - r));
}
VM_INLINE v_f64 vlog2_of_f64(v_f64 f, v_f64 k) {
    return vlog_scaled_f64(f, 0x1.7154760000000p+0, 0x1.4ae0bf85ddf44p-26, k, 1.0, 0.0);
}
VM_INLINE v_f64 vlog10_of_f64(v_f64 f, v_f64 k) {
    return vlog_scaled_f64(f, 0x1.bcb7b00000000p-2, 0x1.526e50e32a6abp-26, k, 0x1.3441350900000p-2,
                           0x1.ef3fde623e256p-35);
}

/* As for floats: without instructions for them, one comparison finds vectors with arguments that are not normal and
 * positive. */
#if VM_AVX512_BUILTINS
#define VM_DEFINE_LOG(NAME)                                                                         \
    VM_INLINE v_f64 vm_##NAME##_f64(v_f64 x) {                                                      \
        v_f64 k, f = vlog_reduce_f64(x, &k);                                                        \
        return vlog_edges_f64(x, v##NAME##_of_f64(f, k));                                           \
    }
#else
/* Whether x is not a normal number below the one with these bits. */
VM_INLINE v_i64 vbeyond_f64(v_f64 x, int64_t end) {
    const int64_t least = 0x10000000000000;
    const v_i64 above = (v_i64)((v_u64)x - (v_u64)vset1_i64(least));
    return vge_i64(above ^ vset1_i64(VM_SIGN_I64), vset1_i64(end - least + VM_SIGN_I64));
}
/* A register at a time: values of two would go through memory, not only where they are rare. */
#define VM_RARE_FORM(NAME, OF)                                                                      \
    VM_OUTLINE vp_f64 v##NAME##_rare_piece(vp_f64 x) {                                              \
        return ((vu_f64){OF(((vu_f64){.p = {x, x}}).v)}).p[0];                                      \
    }                                                                                               \
    VM_INLINE v_f64 v##NAME##_rare_f64(v_f64 x) {                                                   \
        const vu_f64 u = {x};                                                                       \
        return ((vu_f64){.p = {v##NAME##_rare_piece(u.p[0]), v##NAME##_rare_piece(u.p[1])}}).v;     \
    }
#define VM_DEFINE_LOG(NAME)                                                                         \
    VM_INLINE v_f64 v##NAME##_any_f64(v_f64 x) {                                                    \
        v_f64 k, f = vlog_reduce_f64(x, &k);                                                        \
        return vlog_edges_f64(x, v##NAME##_of_f64(f, k));                                           \
    }                                                                                               \
    VM_RARE_FORM(NAME, v##NAME##_any_f64)                                                           \
    VM_INLINE v_f64 vm_##NAME##_f64(v_f64 x) {                                                      \
        v_f64 mantissa, k = vfloat_i64(vexponent_f64(x, &mantissa));                                \
        const v_f64 y = v##NAME##_of_f64(mantissa - 1.0, k);                                        \
        return VM_RARELY(f64, vany_i64(vbeyond_f64(x, 0x7FF0000000000000)), y, v##NAME##_rare_f64(x));      \
    }
#endif
VM_DEFINE_LOG(log)
VM_DEFINE_LOG(log2)
VM_DEFINE_LOG(log10)
#undef VM_DEFINE_LOG

/* log(1 + x) of u, the rounded sum, and what rounding has lost, where x is `near`: for the largest x, 2^-k is infinite. */
VM_INLINE v_f64 vlog_exact_f64(v_f64 u, v_f64 x, v_i64 near) {
    v_f64 mantissa;
    v_i64 e = vexponent_f64(u, &mantissa);
    v_f64 lost = (x - (u - 1.0)) * (v_f64)(vset1_i64(1023LL << 52) - (e << 52));
    return vlog_of_f64((mantissa - 1.0) + vselect_f64(near, lost, vset1_f64(0.0)), vfloat_i64(e));
}
VM_INLINE v_f64 vlog1p_any_f64(v_f64 x) {
    v_f64 u = x + 1.0;
    return vlog_edges_f64(u, vcopysign_f64(vlog_exact_f64(u, x, vlt_f64(x, vset1_f64(0x1p53))), x));
}
#if VM_AVX512_BUILTINS
VM_INLINE v_f64 vm_log1p_f64(v_f64 x) { return vlog1p_any_f64(x); }
#else
VM_RARE_FORM(log1p, vlog1p_any_f64)
VM_INLINE v_f64 vm_log1p_f64(v_f64 x) {
    v_f64 u = x + 1.0, y = vcopysign_f64(vlog_exact_f64(u, x, vset1_i64(-1)), x);
    return VM_RARELY(f64, vany_i64(vbeyond_f64(u, 0x4340000000000000)), y, vlog1p_rare_f64(x));
}
#endif

VM_INLINE v_f64 vm_tanh_f64(v_f64 x) {
    v_f64 e = vexpm1_core_f64(vclamp_f64(2.0 * vm_abs_f64(x), 0.0, 40.0));
    return vcopysign_f64(e / (e + 2.0), x);
}

/* As for floats, see there. */
VM_INLINE v_f64 vsigmoid_parts_f64(v_f64 x, v_f64 *h, v_f64 *rest) {
    x = vclamp_f64(x, -746.0, 746.0);
    v_f64 n = vpower_f64(x, -VM_LOG2E_F64), k = vexponent_of_f64(n), g = vratio_f64(n, h);
    v_f64 r = vfma_f64(k, vset1_f64(-VM_LN2_LOW_F64), vfma_f64(k, vset1_f64(-VM_LN2_HIGH_F64), -x));
    v_f64 w = r + vexp_tail_f64(r);
    *rest = vfma_f64(g, w, g);
    return vfma_f64(g, w, *h) + g;
}

VM_INLINE v_f64 vm_sigmoid_f64(v_f64 x) {
    v_f64 h, rest, d = vsigmoid_parts_f64(x, &h, &rest);
    return h / d;
}

VM_INLINE v_f64 vm_sigmoid_slope_f64(v_f64 x) {
    v_f64 h, rest, d = vsigmoid_parts_f64(x, &h, &rest), q = vselect_f64(vlt_f64(h, rest), h, rest) / d;
    return vfma_f64(-q, q, q);
}

VM_INLINE v_f64 vm_softplus_f64(v_f64 x) {
    return vmax_f64(x, vset1_f64(0.0)) + vm_log1p_f64(vm_exp_f64(-vm_abs_f64(x)));
}

/* x = n * pi/2 + (r + low), |r| <= pi/4, for |x| below VM_TRIG_LIMIT_F64. The first two pieces of pi/2 have 33 bits, so
 * that n times each is exact. */
#define VM_TRIG_LIMIT_F64 1.0e6
VM_INLINE v_f64 vtrig_reduce_f64(v_f64 x, v_f64 *low, v_i64 *quadrant) {
    v_f64 n = vnear_f64(x * 0x1.45f306dc9c883p-1);
    v_f64 first = vfma_f64(n, vset1_f64(-0x1.921fb54400000p+0), x);
    v_f64 second = n * 0x1.0b4611a600000p-34;
    v_f64 high = first - second;
    v_f64 lost = (first - high) - second;
    v_f64 third = vfma_f64(n, vset1_f64(0x1.3198a2e037073p-69), -lost);
    v_f64 r = high - third;
    *low = (high - r) - third;
    *quadrant = vinteger_f64(n);
    return r;
}

VM_INLINE v_f64 vsin_kernel_f64(v_f64 r, v_f64 low) {
    v_f64 z = r * r, p = vset1_f64(0x1.5d8f62e42e734p-33);
    VM_HORNER_F64(p, z, -0x1.ae5e5a328a10ap-26);
    VM_HORNER_F64(p, z, 0x1.71de3568fa1b5p-19);
    VM_HORNER_F64(p, z, -0x1.a01a019c016d0p-13);
    VM_HORNER_F64(p, z, 0x1.111111110f801p-7);
    VM_HORNER_F64(p, z, -0x1.5555555555549p-3);
    v_f64 tail = vfma_f64(p * z, r, low * vfma_f64(z, vset1_f64(-0.5), vset1_f64(1.0)));
    return r + tail;
}

VM_INLINE v_f64 vcos_kernel_f64(v_f64 r, v_f64 low) {
    v_f64 z = r * r, p = vset1_f64(-0x1.8fab657e4a673p-37);
    VM_HORNER_F64(p, z, 0x1.1ee9e61efbcf4p-29);
    VM_HORNER_F64(p, z, -0x1.27e4f8021fbddp-22);
    VM_HORNER_F64(p, z, 0x1.a01a019ca80f1p-16);
    VM_HORNER_F64(p, z, -0x1.6c16c16c15129p-10);
    VM_HORNER_F64(p, z, 0x1.555555555554cp-5);
    v_f64 half = 0.5 * z, lead = 1.0 - half;
    return lead + (((1.0 - lead) - half) + vfma_f64(p * z, z, -(r * low)));
}

/* Arguments so large that the reduction needs hundreds of digits of pi. */
VM_BY_LANES_1(vsin_far_f64, f64, __builtin_sin)
VM_BY_LANES_1(vcos_far_f64, f64, __builtin_cos)
VM_INLINE v_i64 vfar_f64(v_f64 x) { return ~vle_f64(vm_abs_f64(x), vset1_f64(VM_TRIG_LIMIT_F64)); }
#define VM_FAR_F64(x, y, OF) VM_RARELY(f64, vany_i64(vfar_f64(x)), y, vselect_f64(vfar_f64(x), OF(x), y))

/* sin for turn = 0, cos for turn = 1: the sine a quarter turn further on. */
VM_INLINE v_f64 vsincos_f64(v_f64 x, int64_t turn) {
    v_i64 quadrant;
    v_f64 low, r = vtrig_reduce_f64(x, &low, &quadrant);
    quadrant += turn;
    v_i64 odd = -(quadrant & 1);
    v_f64 y = vselect_f64(odd, vcos_kernel_f64(r, low), vsin_kernel_f64(r, low));
    return vflip_f64(y, (v_f64)((quadrant & 2) << 62));
}

VM_INLINE v_f64 vm_sin_f64(v_f64 x) {
    const v_f64 y = vselect_f64(veq_f64(x, vset1_f64(0.0)), x, vsincos_f64(x, 0));
    return VM_FAR_F64(x, y, vsin_far_f64);
}

VM_INLINE v_f64 vm_cos_f64(v_f64 x) {
    const v_f64 y = vsincos_f64(x, 1);
    return VM_FAR_F64(x, y, vcos_far_f64);
}

#define VM_F64_VECTOR(X) X(exp) X(exp2) X(expm1) X(log) X(log2) X(log10) X(log1p) X(sin) X(cos) X(tanh) X(sigmoid) \
    X(sigmoid_slope) X(softplus) X(sqrt) X(rsqrt) X(floor) X(ceil) X(trunc) X(rint) X(round_away) X(abs)
#define VM_DEFINE(NAME) VM_ONE_LANE_1(NAME, f64, double)
VM_F64_VECTOR(VM_DEFINE)
#undef VM_DEFINE

#endif
