/* Powers of doubles.
 *
 * x^y = 2^(y log2 x). A unit in the last place of y log2 x, which may be near 1024, is 2^10 of them in the power, so that
 * doubles need the logarithm with 65 bits: in two parts, as in FDLIBM (Sun Microsystems, 1993, whose licence allows to use,
 * copy, modify and distribute it). What is cut to its upper half has few enough bits for exact products.
 */
#ifndef SYMC_VECMATH_POW_H
#define SYMC_VECMATH_POW_H
#include "vecmath_f64.h"

/* What the rules of C say of x^y, given r = exp(y log |x|): the sign of an odd power, a NaN for a negative number to a
 * fraction, and x^0 = 1^y = 1 whatever x and y are. */
VM_INLINE v_f64 vpow_rules_f64(v_f64 x, v_f64 y, v_f64 r) {
    const v_f64 one = vset1_f64(1.0), zero = vset1_f64(0.0), half = 0.5 * y, size = vm_abs_f64(x);
    const v_i64 integral = veq_f64(vm_trunc_f64(y), y), odd = integral & vne_f64(vm_floor_f64(half), half);
    r = vselect_f64(veq_f64(size, one) & ~vm_isnan_f64(y) & integral, one, r);
    r = vflip_f64(r, (v_f64)(odd & (v_i64)vsign_f64(x)));
    const v_i64 undefined = ~integral & vlt_f64(x, zero) & vlt_f64(size, vset1_f64(VM_INF_F64));
    r = vselect_f64(undefined, vset1_f64(VM_NAN_F64), r);
    return vselect_f64(veq_f64(y, zero) | veq_f64(x, one), one, r);
}

/* log2 of a positive number but for `low`: with s = f / (f + 2) it is k + (s + s^3 / 3 + s^5 / 5 + ...) 2 / log(2). */
VM_INLINE v_f64 vlog2_parts_f64(v_f64 x, v_f64 *low) {
    v_f64 k, f = vlog_reduce_f64(x, &k);
    const v_f64 d = f + 2.0, d_high = vcut_f64(d), d_low = f - (d_high - 2.0), inverse = 1.0 / d;
    const v_f64 s = f * inverse, s_high = vcut_f64(s);
    const v_f64 s_low = ((f - s_high * d_high) - s_high * d_low) * inverse;
    const v_f64 square = s_high * s_high, square_low = s_low * (s_high + s), z = square + square_low;
    /* 3 + s^2 + 3 s^4 / 5 + ... */
    v_f64 p = vset1_f64(0x1.6821d5ae9f25cp-3);
    VM_HORNER_F64(p, z, 0x1.679daefe2bc2fp-3);
    VM_HORNER_F64(p, z, 0x1.99a52aee8e8b8p-3);
    VM_HORNER_F64(p, z, 0x1.d89d60bf6bcbep-3);
    VM_HORNER_F64(p, z, 0x1.1745d19beb654p-2);
    VM_HORNER_F64(p, z, 0x1.555555552ffe9p-2);
    VM_HORNER_F64(p, z, 0x1.b6db6db6db7b2p-2);
    VM_HORNER_F64(p, z, 0x1.3333333333333p-1);
    const v_f64 rest = vfma_f64(p, z * z, square_low);
    const v_f64 sum_high = vcut_f64(3.0 + square + rest), sum_low = rest - ((sum_high - 3.0) - square);
    /* s times it, times 2 / (3 log(2)) */
    const v_f64 lead = s_high * sum_high, tail = vfma_f64(s_low, sum_high, sum_low * s);
    const v_f64 log_high = vcut_f64(lead + tail), log_low = tail - (log_high - lead);
    const v_f64 big = log_high * 0x1.ec70900000000p-1;
    const v_f64 small = vfma_f64(log_low, vset1_f64(0x1.ec709dc3a03fdp-1), log_high * 0x1.b87407fae93f8p-22);
    const v_f64 high = vcut_f64(big + small + k);
    *low = small - ((high - k) - big);
    return high;
}

/* 2^(high + low), where high has few bits, and low is small. */
VM_INLINE v_f64 vexp2_parts_f64(v_f64 high, v_f64 low) {
    high = vclamp_f64(high, -1200.0, 1200.0), low = vclamp_f64(low, -1.0, 1.0);
    const v_f64 power = vpower_f64(high + low, 1.0), n = vexponent_of_f64(power);
    high -= n;
    /* The natural logarithm of what 2^n leaves, r + lost. */
    const v_f64 t = vcut_f64(high + low), big = t * 0x1.62e4200000000p-1;
    const v_f64 small = vfma_f64(low - (t - high), vset1_f64(0x1.62e42fefa39efp-1), t * 0x1.fdf473de6af28p-22);
    const v_f64 r = big + small, lost = small - (r - big);
    const v_f64 sum = 1.0 + r, left = r - (sum - 1.0);
    return vraise_f64(sum + (left + (vexp_tail_f64(r) + vfma_f64(lost, r, lost))), power);
}

/* Where x or y is zero, negative or not finite; `r` elsewhere, and of the negative numbers |x|^y. */
VM_INLINE v_f64 vpow_any_f64(v_f64 x, v_f64 y, v_f64 r) {
    const v_f64 size = vm_abs_f64(x), inf = vset1_f64(VM_INF_F64);
    const v_i64 plain = vgt_f64(size, vset1_f64(0.0)) & vlt_f64(size, inf) & vlt_f64(vm_abs_f64(y), inf);
    return vpow_rules_f64(x, y, vselect_f64(plain, r, vm_exp_f64(y * vm_log_f64(size))));
}

/* A register at a time: values of two would go through memory, not only where they are rare. */
VM_OUTLINE vp_f64 vpow_edges_piece(vp_f64 x, vp_f64 y, vp_f64 r) {
    const vu_f64 a = {.p = {x, x}}, b = {.p = {y, y}}, c = {.p = {r, r}};
    return ((vu_f64){vpow_any_f64(a.v, b.v, c.v)}).p[0];
}
VM_INLINE v_f64 vpow_edges_f64(v_f64 x, v_f64 y, v_f64 r) {
    const vu_f64 a = {x}, b = {y}, c = {r};
    return ((vu_f64){.p = {vpow_edges_piece(a.p[0], b.p[0], c.p[0]), vpow_edges_piece(a.p[1], b.p[1], c.p[1])}}).v;
}

VM_INLINE v_f64 vm_pow_f64(v_f64 x, v_f64 y) {
    v_f64 log_low, log_high = vlog2_parts_f64(vm_abs_f64(x), &log_low);
    /* Beyond 2^65 only 1^y is neither zero nor infinite. */
    const v_f64 exponent = vclamp_f64(y, -0x1p65, 0x1p65), cut = vcut_f64(exponent);
    const v_f64 low = vfma_f64(exponent - cut, log_high, exponent * log_low);
    const v_f64 r = vexp2_parts_f64(cut * log_high, low);
    const v_f64 inf = vset1_f64(VM_INF_F64);
    const v_i64 plain = vgt_f64(x, vset1_f64(0.0)) & vlt_f64(x, inf) & vlt_f64(vm_abs_f64(y), inf);
    return VM_RARELY(f64, vany_i64(~plain), r, vpow_edges_f64(x, y, r));
}

VM_ONE_LANE_2(pow, f64, double)

#endif
