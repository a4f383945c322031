/* Elementary functions of sixteen floats, in single precision: the functions that dominate the time of kernels.
 *
 * Coefficients are minimax fits, relative error below 2^-27.
 */
#ifndef SYMC_VECMATH_F32_H
#define SYMC_VECMATH_F32_H

#include "vecmath_f64.h"

#define VM_LOG2E_F32 0x1.715476p0f
/* log(2) in two pieces; the first has enough zero bits that its product with any exponent is exact. */
#define VM_LN2_HIGH_F32 0x1.62e400p-1f
#define VM_LN2_LOW_F32 0x1.7f7d1cp-20f

/* exp(r) - 1 - r for |r| <= log(2) / 2. */
VM_INLINE v_f32 vexp_tail_f32(v_f32 r) {
    v_f32 p = vset1_f32(0x1.6a2192p-10f);
    VM_HORNER_F32(p, r, 0x1.123b9ap-7f);
    VM_HORNER_F32(p, r, 0x1.5558fcp-5f);
    VM_HORNER_F32(p, r, 0x1.555490p-3f);
    VM_HORNER_F32(p, r, 0x1.fffffcp-2f);
    return p * (r * r);
}

/* x - n * log(2). */
VM_INLINE v_f32 vexp_rest_f32(v_f32 x, v_f32 n) {
    v_f32 high = vfma_f32(n, vset1_f32(-VM_LN2_HIGH_F32), x);
    return vfma_f32(n, vset1_f32(-VM_LN2_LOW_F32), high);
}

/* exp(x) for -104 <= x <= 89. */
VM_INLINE v_f32 vexp_core_f32(v_f32 x) {
    v_f32 n = vpower_f32(x, VM_LOG2E_F32), r = vexp_rest_f32(x, vexponent_of_f32(n));
    return vraise_f32(1.0f + (r + vexp_tail_f32(r)), n);
}

VM_INLINE v_f32 vm_exp_f32(v_f32 x) { return vexp_core_f32(vclamp_f32(x, -104.0f, 89.0f)); }

VM_INLINE v_f32 vm_exp2_f32(v_f32 x) {
    x = vclamp_f32(x, -151.0f, 129.0f);
    v_f32 n = vpower_f32(x, 1.0f), r = x - vexponent_of_f32(n);
    v_f32 p = vset1_f32(0x1.449158p-13f);
    VM_HORNER_F32(p, r, 0x1.5f4940p-10f);
    VM_HORNER_F32(p, r, 0x1.3b29a8p-7f);
    VM_HORNER_F32(p, r, 0x1.c6aeccp-5f);
    VM_HORNER_F32(p, r, 0x1.ebfbe0p-3f);
    VM_HORNER_F32(p, r, 0x1.62e430p-1f);
    return vraise_f32(vfma_f32(p, r, vset1_f32(1.0f)), n);
}

/* 2^(n-1) serves instead of 2^n, which overflows first; what is lost in adding r to it comes back through `low`. */
VM_INLINE v_f32 vm_expm1_f32(v_f32 x) {
    v_f32 c = vclamp_f32(x, -20.0f, 89.0f);
    v_f32 power = vpower_f32(c, VM_LOG2E_F32), n = vexponent_of_f32(power);
    v_f32 high = vfma_f32(n, vset1_f32(-VM_LN2_HIGH_F32), c);
    v_f32 r = vfma_f32(n, vset1_f32(-VM_LN2_LOW_F32), high);
    v_f32 lost = vfma_f32(n, vset1_f32(-VM_LN2_LOW_F32), high - r);
    v_f32 half = vhalf_power_f32(power);
    v_f32 base = half - 0.5f, step = half * r, sum = base + step;
    v_f32 low = step - (sum - base);
    v_f32 y = 2.0f * (sum + vfma_f32(vexp_tail_f32(r) + lost, half, low));
    return vselect_f32(vlt_f32(vm_abs_f32(x), vset1_f32(0x1p-30f)), x, y);
}

/* log(1 + f) - f for |f| <= 1/3.  Even and odd coefficients apart: half the time from f to the result. */
VM_INLINE v_f32 vlog_tail_f32(v_f32 f) {
    v_f32 z = f * f, even = vset1_f32(-0x1.0e2c6ep-3f), odd = vset1_f32(0x1.1df1bcp-3f);
    VM_HORNER_F32(even, z, -0x1.f03bd4p-4f);
    VM_HORNER_F32(odd, z, 0x1.1ef242p-3f);
    VM_HORNER_F32(even, z, -0x1.55b7e2p-3f);
    VM_HORNER_F32(odd, z, 0x1.99ce30p-3f);
    VM_HORNER_F32(even, z, -0x1.fffe5ep-3f);
    VM_HORNER_F32(odd, z, 0x1.55550cp-2f);
    VM_HORNER_F32(even, z, -0.5f);
    return vfma_f32(odd, f, even) * z;
}

/* k << 23 for x = 2^k * m with 2/3 <= m < 4/3, for normal positive x. */
VM_INLINE v_i32 vexponent_f32(v_f32 x) { return ((v_i32)x - 0x3F2AAAAB) & (v_i32)vset1_u32(0xFF800000u); }

/* x = 2^k * (1 + f) for any positive x, subnormal ones too. */
#if VM_AVX512_BUILTINS
VM_INLINE v_f32 vlog_reduce_f32(v_f32 x, v_f32 *k) {
    /* Hardly less than 3/2, so that the least subnormal number is not rounded up; the limit is for overflow. */
    v_f32 e = __builtin_ia32_getexpps512_mask(x * 1.49f, x, (uint16_t)-1, 4);
    *k = __builtin_ia32_minps512_mask(e, vset1_f32(128.0f), e, (uint16_t)-1, 4);
    return vscale_f32(x, -*k) - 1.0f;
}
#else
VM_INLINE v_f32 vlog_reduce_f32(v_f32 x, v_f32 *k) {
    v_i32 tiny = vlt_f32(x, vset1_f32(0x1p-126f));
    v_f32 scaled = vselect_f32(tiny, x * 0x1p24f, x);
    v_i32 e = vexponent_f32(scaled);
    *k = vcast_i32_f32((e >> 23) - (tiny & 24));
    return (v_f32)((v_i32)scaled - e) - 1.0f;
}
#endif

VM_INLINE v_f32 vlog_of_f32(v_f32 f, v_f32 k) {
    v_f32 r = f + vfma_f32(k, vset1_f32(VM_LN2_LOW_F32), vlog_tail_f32(f));
    return vfma_f32(k, vset1_f32(VM_LN2_HIGH_F32), r);
}

VM_INLINE v_f32 vlog2_of_f32(v_f32 f, v_f32 k) {
    v_f32 tail = vlog_tail_f32(f);
    v_f32 r = vfma_f32(f + tail, vset1_f32(0x1.4ae0c0p-26f), tail * VM_LOG2E_F32);
    return k + vfma_f32(f, vset1_f32(VM_LOG2E_F32), r);
}

VM_INLINE v_f32 vlog10_of_f32(v_f32 f, v_f32 k) {
    v_f32 tail = vlog_tail_f32(f);
    v_f32 r = vfma_f32(k, vset1_f32(0x1.3509f8p-18f), tail * 0x1.bcb7b2p-2f);
    r = vfma_f32(f, vset1_f32(0x1.bcb7b2p-2f), r);
    return vfma_f32(k, vset1_f32(0x1.344000p-2f), r);
}

/* Without instructions for subnormal and other arguments, one comparison finds vectors that have any: as an integer and moved
 * by 2^-126, normal positive numbers are those below a limit. */
#if VM_AVX512_BUILTINS
#define VM_DEFINE_LOG(NAME)                                                                         \
    VM_INLINE v_f32 vm_##NAME##_f32(v_f32 x) {                                                      \
        v_f32 k, f = vlog_reduce_f32(x, &k);                                                        \
        return vlog_edges_f32(x, v##NAME##_of_f32(f, k));                                           \
    }
#else
VM_INLINE v_i32 vrare_f32(v_f32 x) { return (v_i32)((v_i32)x + 0x7F800000 >= vset1_i32(-0x1000000)); }
#define VM_DEFINE_LOG(NAME)                                                                         \
    VM_OUTLINE v_f32 v##NAME##_rare_f32(v_f32 x, v_f32 y) {                                         \
        if (vany_i32(vgt_f32(x, (v_f32){0}) & vlt_f32(x, vset1_f32(0x1p-126f)))) {                  \
            v_f32 k, f = vlog_reduce_f32(x, &k);                                                    \
            y = v##NAME##_of_f32(f, k);                                                             \
        }                                                                                           \
        return vlog_edges_f32(x, y);                                                                \
    }                                                                                               \
    VM_INLINE v_f32 vm_##NAME##_f32(v_f32 x) {                                                      \
        const v_i32 e = vexponent_f32(x);                                                           \
        const v_f32 f = (v_f32)((v_i32)x - e) - 1.0f, y = v##NAME##_of_f32(f, vcast_i32_f32(e >> 23)); \
        return VM_RARELY(f32, vany_i32(vrare_f32(x)), y, v##NAME##_rare_f32(x, y));                 \
    }
#endif
VM_DEFINE_LOG(log)
VM_DEFINE_LOG(log2)
VM_DEFINE_LOG(log10)
#undef VM_DEFINE_LOG

/* log(1 + x) with (1 + x) / 2^k - 1 taken as x / 2^k + (1 / 2^k - 1), so that nothing of x is lost.  Subtracting e
 * divides by 2^k: where e is not zero x is not small.  4 / 2^k exists even for the largest x. */
VM_INLINE v_f32 vlog1p_core_f32(v_f32 x) {
    v_i32 e = vexponent_f32(x + 1.0f);
    v_f32 four = (v_f32)(0x40800000 - e), k = vcast_i32_f32(e >> 23);
    v_f32 f = (v_f32)((v_i32)x - e) + vfma_f32(four, vset1_f32(0.25f), vset1_f32(-1.0f));
    v_f32 r = f + vfma_f32(k, vset1_f32(VM_LN2_LOW_F32), vlog_tail_f32(f));
    return vfma_f32(k, vset1_f32(VM_LN2_HIGH_F32), r);
}

VM_INLINE v_f32 vm_log1p_f32(v_f32 x) {
    return vlog_edges_f32(x + 1.0f, vcopysign_f32(vlog1p_core_f32(x), x));
}

/* m / (m + 2) with m = expm1(2|x|) = (s - 1) + s * expm1(r), s a power of two.  Where m is small, the rounding of m + 2
 * would matter: there the result is m / 2 less m / 2 times that.  From 9.1 on it is 1. */
VM_INLINE v_f32 vm_tanh_f32(v_f32 x) {
    v_f32 c = vlimit_f32(2.0f * vm_abs_f32(x), 20.0f);
    v_f32 shifted = vfma_f32(c, vset1_f32(VM_LOG2E_F32), vset1_f32(VM_MAGIC_F32));
    v_f32 r = vexp_rest_f32(c, shifted - VM_MAGIC_F32), s = (v_f32)(((v_u32)shifted << 23) + 0x3F800000u);
    v_f32 m = vfma_f32(s, r + vexp_tail_f32(r), s - 1.0f), half = 0.5f * m, q = m / (m + 2.0f);
    q = vselect_f32(vlt_f32(m, vset1_f32(0.84f)), vfma_f32(-half, q, half), q);
    return vflip_f32(q, vsign_f32(x));
}

/* 1 / (1 + exp(-x)) is h / d, with exp(-x) = (1 + w) g / h for powers of two, so that nothing overflows and small
 * results underflow gradually; what it lacks of one is rest / d. The slope is q - q^2 for the smaller of the two, at most
 * one half, so that nothing cancels. A kernel with both functions computes d once. */
VM_INLINE v_f32 vsigmoid_parts_f32(v_f32 x, v_f32 *h, v_f32 *rest) {
    x = vclamp_f32(x, -104.0f, 104.0f);
    v_f32 n = vpower_f32(x, -VM_LOG2E_F32), r = vexp_rest_f32(-x, vexponent_of_f32(n)), g = vratio_f32(n, h);
    v_f32 w = r + vexp_tail_f32(r);
    *rest = vfma_f32(g, w, g);
    return vfma_f32(g, w, *h) + g;
}

VM_INLINE v_f32 vm_sigmoid_f32(v_f32 x) {
    v_f32 h, rest, d = vsigmoid_parts_f32(x, &h, &rest);
    return h / d;
}

VM_INLINE v_f32 vm_sigmoid_slope_f32(v_f32 x) {
    v_f32 h, rest, d = vsigmoid_parts_f32(x, &h, &rest), q = vselect_f32(vlt_f32(h, rest), h, rest) / d;
    return vfma_f32(-q, q, q);
}

VM_INLINE v_f32 vm_softplus_f32(v_f32 x) {
    return vmax_f32(x, vset1_f32(0.0f)) + vlog1p_core_f32(vm_exp_f32(-vm_abs_f32(x)));
}

/* x = n * pi/2 + r, |r| <= pi/4, worked out in double precision. */
#define VM_TRIG_LIMIT_F32 1.0e6f
VM_INLINE v_f32 vtrig_reduce_f32(v_f32 x, v_i32 *quadrant) {
    v_f64 d = vcast_f32_f64(x);
    v_f64 n = vnear_f64(d * 0x1.45f306dc9c883p-1);
    *quadrant = vcast_i64_i32(vinteger_f64(n));
    d = vfma_f64(n, vset1_f64(-0x1.921fb54400000p+0), d);
    return vcast_f64_f32(vfma_f64(n, vset1_f64(-0x1.0b4611a626331p-34), d));
}

VM_INLINE v_f32 vsin_kernel_f32(v_f32 r) {
    v_f32 z = r * r, p = vset1_f32(-0x1.99460ep-13f);
    VM_HORNER_F32(p, z, 0x1.110748p-7f);
    VM_HORNER_F32(p, z, -0x1.555546p-3f);
    return vfma_f32(p * z, r, r);
}

VM_INLINE v_f32 vcos_kernel_f32(v_f32 r) {
    v_f32 z = r * r, p = vset1_f32(0x1.99fae0p-16f);
    VM_HORNER_F32(p, z, -0x1.6c0c72p-10f);
    VM_HORNER_F32(p, z, 0x1.55554ap-5f);
    VM_HORNER_F32(p, z, -0.5f);
    return vfma_f32(p, z, vset1_f32(1.0f));
}

/* Arguments so large that the reduction needs hundreds of digits of pi. */
VM_BY_LANES_1(vsin_far_f32, f32, __builtin_sinf)
VM_BY_LANES_1(vcos_far_f32, f32, __builtin_cosf)
VM_BY_LANES_1(vtan_far_f32, f32, __builtin_tanf)

/* The sine of r + low, or its cosine in odd quadrants, with the sign of the quadrant. */
VM_INLINE v_f32 vturned_f32(v_f32 r, v_f32 low, v_i32 quadrant) {
    v_f32 y = vselect_f32(-(quadrant & 1), vcos_kernel_f32(r), vsin_kernel_f32(r) + low);
    return vflip_f32(y, (v_f32)((quadrant & 2) << 30));
}

VM_INLINE v_i32 vfar_f32(v_f32 x) { return ~vle_f32(vm_abs_f32(x), vset1_f32(VM_TRIG_LIMIT_F32)); }

/* sin for turn = 0, cos for turn = 1: the sine a quarter turn further on. */
#define VM_SINCOS_WIDE(NAME, TURN)                                               \
    VM_INLINE v_f32 v##NAME##_wide_f32(v_f32 x) {                              \
        v_i32 quadrant, far = vfar_f32(x);                                       \
        v_f32 r = vtrig_reduce_f32(x, &quadrant);                                \
        v_f32 y = vturned_f32(r, vset1_f32(0.0f), quadrant + TURN);              \
        if (VM_UNLIKELY(vany_i32(far))) y = vselect_f32(far, v##NAME##_far_f32(x), y); \
        return y;                                                                \
    }
VM_SINCOS_WIDE(sin, 0)
VM_SINCOS_WIDE(cos, 1)

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
/* The same in single precision. Of x - n * first nothing is lost: both are multiples of 2^-23 (2^-24 for x below one)
 * and the difference is below one. The second part of pi/2 has 12 bits, so that the second difference is exact as well
 * where it is small; what it loses elsewhere is added to the sine at the end. Of a cosine, it is too little to count. */
#define VM_NEAR_LIMIT_F32 4096.0f
VM_INLINE v_f32 vsincos_f32(v_f32 x, int turn) {
    const v_f32 n = vnear_f32(x * 0x1.45f306p-1f), second = vset1_f32(0x1.778p-25f);
    v_f32 first = vfma_f32(n, vset1_f32(-0x1.921fb6p+0f), x), r = vfma_f32(n, second, first);
    v_f32 low = vfma_f32(n, vset1_f32(-0x1.68c234p-39f), vfma_f32(n, second, first - r));
    return vturned_f32(r, low, vinteger_f32(n) + turn);
}
#define VM_SINCOS(NAME, TURN)                                                    \
    static __attribute__((noinline, unused)) v_f32 v##NAME##_rest_f32(v_f32 x) { return v##NAME##_wide_f32(x); } \
    VM_INLINE v_f32 v##NAME##_any_f32(v_f32 x) {                                 \
        v_i32 rest = ~vle_f32(vm_abs_f32(x), vset1_f32(VM_NEAR_LIMIT_F32));      \
        v_f32 y = vsincos_f32(x, TURN);                                          \
        if (VM_UNLIKELY(vany_i32(rest))) y = vselect_f32(rest, v##NAME##_rest_f32(x), y); \
        return y;                                                                \
    }
#else
#define VM_SINCOS(NAME, TURN) \
    VM_INLINE v_f32 v##NAME##_any_f32(v_f32 x) { return v##NAME##_wide_f32(x); }
#endif
VM_SINCOS(sin, 0)
VM_SINCOS(cos, 1)

VM_INLINE v_f32 vm_sin_f32(v_f32 x) { return vselect_f32(veq_f32(x, vset1_f32(0.0f)), x, vsin_any_f32(x)); }
VM_INLINE v_f32 vm_cos_f32(v_f32 x) { return vcos_any_f32(x); }

VM_INLINE v_f32 vm_tan_f32(v_f32 x) {
    v_i32 quadrant, far = vfar_f32(x);
    v_f32 r = vtrig_reduce_f32(x, &quadrant), s = vsin_kernel_f32(r), c = vcos_kernel_f32(r);
    v_i32 odd = -(quadrant & 1);
    v_f32 y = vselect_f32(odd, -c, s) / vselect_f32(odd, s, c);
    y = vselect_f32(veq_f32(x, vset1_f32(0.0f)), x, y);
    if (VM_UNLIKELY(vany_i32(far))) y = vselect_f32(far, vtan_far_f32(x), y);
    return y;
}

/* arctan on [0, 1]. */
VM_INLINE v_f32 vatan_kernel_f32(v_f32 t) {
    v_f32 z = t * t, p = vset1_f32(-0x1.df22f8p-10f);
    VM_HORNER_F32(p, z, 0x1.6aa496p-7f);
    VM_HORNER_F32(p, z, -0x1.01b9bcp-5f);
    VM_HORNER_F32(p, z, 0x1.dd1998p-5f);
    VM_HORNER_F32(p, z, -0x1.58dfcap-4f);
    VM_HORNER_F32(p, z, 0x1.c0d3bep-4f);
    VM_HORNER_F32(p, z, -0x1.242718p-3f);
    VM_HORNER_F32(p, z, 0x1.99927ap-3f);
    VM_HORNER_F32(p, z, -0x1.555540p-2f);
    return vfma_f32(p * z, t, t);
}

#define VM_PI_F32 0x1.921fb6p+1f
#define VM_PI_2_F32 0x1.921fb6p+0f
/* What the float nearest to pi/2 misses. */
#define VM_PI_2_LOW_F32 -0x1.777a5cp-25f

VM_INLINE v_f32 vm_arctan_f32(v_f32 x) {
    v_f32 a = vm_abs_f32(x);
    v_i32 steep = vgt_f32(a, vset1_f32(1.0f));
    v_f32 t = vatan_kernel_f32(vselect_f32(steep, 1.0f / a, a));
    return vflip_f32(vselect_f32(steep, VM_PI_2_F32 - (t - VM_PI_2_LOW_F32), t), vsign_f32(x));
}

VM_INLINE v_f32 vm_arctan2_f32(v_f32 y, v_f32 x) {
    v_f32 a = vm_abs_f32(y), b = vm_abs_f32(x);
    v_i32 steep = vgt_f32(a, b), same = veq_f32(a, b), zero = veq_f32(b, vset1_f32(0.0f));
    v_f32 q = vselect_f32(steep, b, a) / vselect_f32(steep, a, b);
    /* 0/0 and inf/inf: the axis and the diagonal. */
    q = vselect_f32(same, vselect_f32(zero, vset1_f32(0.0f), vset1_f32(1.0f)), q);
    v_f32 t = vatan_kernel_f32(q);
    t = vselect_f32(steep, VM_PI_2_F32 - (t - VM_PI_2_LOW_F32), t);
    v_i32 left = (v_i32)x >> 31;
    t = vselect_f32(left, VM_PI_F32 - (t - 2.0f * VM_PI_2_LOW_F32), t);
    return vcopysign_f32(vselect_f32(vm_isnan_f32(x), x, t), y);
}

/* arcsin(t) - t for t * t = z <= 1/4. */
VM_INLINE v_f32 vasin_tail_f32(v_f32 t, v_f32 z) {
    v_f32 p = vset1_f32(0x1.5a49a0p-5f);
    VM_HORNER_F32(p, z, 0x1.8b2af6p-6f);
    VM_HORNER_F32(p, z, 0x1.749738p-5f);
    VM_HORNER_F32(p, z, 0x1.3300f0p-4f);
    VM_HORNER_F32(p, z, 0x1.5555ccp-3f);
    return p * z * t;
}

VM_INLINE v_f32 vm_arcsin_f32(v_f32 x) {
    v_f32 a = vm_abs_f32(x);
    v_i32 big = vgt_f32(a, vset1_f32(0.5f));
    v_f32 z = vselect_f32(big, 0.5f - 0.5f * a, a * a);
    v_f32 t = vselect_f32(big, vm_sqrt_f32(z), a);
    v_f32 s = t + vasin_tail_f32(t, z);
    return vflip_f32(vselect_f32(big, VM_PI_2_F32 - (2.0f * s - VM_PI_2_LOW_F32), s), vsign_f32(x));
}

VM_INLINE v_f32 vm_arccos_f32(v_f32 x) {
    v_f32 a = vm_abs_f32(x);
    v_i32 big = vgt_f32(a, vset1_f32(0.5f)), left = vlt_f32(x, vset1_f32(0.0f));
    v_f32 z = vselect_f32(big, 0.5f - 0.5f * a, a * a);
    v_f32 t = vselect_f32(big, vm_sqrt_f32(z), x);
    v_f32 s = t + vasin_tail_f32(t, z);
    v_f32 middle = VM_PI_2_F32 - (s - VM_PI_2_LOW_F32);
    v_f32 edge = vselect_f32(left, VM_PI_F32 - (2.0f * s - 2.0f * VM_PI_2_LOW_F32), 2.0f * s);
    return vselect_f32(big, edge, middle);
}

#endif
