/* Building blocks of the elementary functions: fused multiply-add, rounding, square root, scaling by powers of two.
 *
 * Each has a form for AVX-512 under GCC, which spells the instruction out, and a portable one.
 */
#ifndef SYMC_VECMATH_BASE_H
#define SYMC_VECMATH_BASE_H

#include "vecmath_values.h"

#define VM_INF_F32 __builtin_inff()
#define VM_INF_F64 __builtin_inf()
#define VM_NAN_F32 __builtin_nanf("")
#define VM_NAN_F64 __builtin_nan("")
#define VM_SIGN_I32 ((int32_t)0x80000000)
#define VM_SIGN_I64 ((int64_t)0x8000000000000000)

/* Adding and taking away 1.5 * 2^(p-1) rounds a small number to an integer, which then stands in the low bits. */
#define VM_MAGIC_F32 0x1.8p23f
#define VM_MAGIC_F64 0x1.8p52
#define VM_MAGIC_BITS_F64 0x4338000000000000

#if VM_AVX512_BUILTINS
VM_INLINE v_f32 vfma_f32(v_f32 a, v_f32 b, v_f32 c) {
    return __builtin_ia32_vfmaddps512_mask(a, b, c, (uint16_t)-1, 4);
}
#define VM_PIECE_FMA(i, T) r.p[i] = __builtin_ia32_vfmaddpd512_mask(x.p[i], y.p[i], z.p[i], (uint8_t)-1, 4);
#else
VM_INLINE v_f32 vfma_f32(v_f32 a, v_f32 b, v_f32 c) { return a * b + c; }
#define VM_PIECE_FMA(i, T) r.p[i] = x.p[i] * y.p[i] + z.p[i];
#endif
VM_INLINE v_f64 vfma_f64(v_f64 a, v_f64 b, v_f64 c) {
    vu_f64 x = {a}, y = {b}, z = {c}, r;
    VM_EACH(128, VM_PIECE_FMA, f64) return r.v;
}

/* One step of Horner's rule. */
#define VM_HORNER_F32(r, x, c) r = vfma_f32(r, x, vset1_f32(c))
#define VM_HORNER_F64(r, x, c) r = vfma_f64(r, x, vset1_f64(c))

/* Signs and magnitudes.  `SIGN` is the pattern of the sign bit. */
#define VM_DEFINE_SIGNS(T, I, SIGN)                                                                           \
    VM_INLINE v_##T vsign_##T(v_##T x) { return (v_##T)((v_##I)x & vset1_##I(SIGN)); }                        \
    VM_INLINE v_##T vm_abs_##T(v_##T x) { return (v_##T)((v_##I)x & vset1_##I(~SIGN)); }                      \
    VM_INLINE v_##T vflip_##T(v_##T x, v_##T sign) { return (v_##T)((v_##I)x ^ (v_##I)sign); }                \
    VM_INLINE v_##T vcopysign_##T(v_##T x, v_##T y) {                                                         \
        return (v_##T)((v_##I)vm_abs_##T(x) | (v_##I)vsign_##T(y));                                           \
    }                                                                                                         \
    VM_INLINE v_##I vm_isnan_##T(v_##T x) { return vne_##T(x, x); }                                           \
    VM_INLINE v_##I vm_isinf_##T(v_##T x) { return veq_##T(vm_abs_##T(x), vset1_##T(__builtin_inff())); }
VM_DEFINE_SIGNS(f32, i32, VM_SIGN_I32)
VM_DEFINE_SIGNS(f64, i64, VM_SIGN_I64)
#undef VM_DEFINE_SIGNS

/* Clamping to an interval keeps NaN, and so does an upper limit alone. */
#if VM_AVX512_BUILTINS
VM_INLINE v_f32 vlimit_f32(v_f32 x, float high) {
    return __builtin_ia32_minps512_mask(vset1_f32(high), x, x, (uint16_t)-1, 4);
}
VM_INLINE v_f32 vclamp_f32(v_f32 x, float low, float high) {
    x = vlimit_f32(x, high);
    return __builtin_ia32_maxps512_mask(vset1_f32(low), x, x, (uint16_t)-1, 4);
}
#define VM_PIECE_CLAMP(i, T)                                                                 \
    r.p[i] = __builtin_ia32_minpd512_mask(h.p[i], u.p[i], u.p[i], (uint8_t)-1, 4);           \
    r.p[i] = __builtin_ia32_maxpd512_mask(l.p[i], r.p[i], r.p[i], (uint8_t)-1, 4);
VM_INLINE v_f64 vclamp_f64(v_f64 x, double low, double high) {
    vu_f64 u = {x}, l = {vset1_f64(low)}, h = {vset1_f64(high)}, r;
    VM_EACH(128, VM_PIECE_CLAMP, f64) return r.v;
}
#elif VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
/* These give the second operand where one is a NaN. */
VM_INLINE v_f32 vlimit_f32(v_f32 x, float high) { return __builtin_ia32_minps256(vset1_f32(high), x); }
VM_INLINE v_f32 vclamp_f32(v_f32 x, float low, float high) {
    return __builtin_ia32_maxps256(vset1_f32(low), vlimit_f32(x, high));
}
#define VM_PIECE_CLAMP(i, T) r.p[i] = __builtin_ia32_maxpd256(l.p[i], __builtin_ia32_minpd256(h.p[i], u.p[i]));
VM_INLINE v_f64 vclamp_f64(v_f64 x, double low, double high) {
    vu_f64 u = {x}, l = {vset1_f64(low)}, h = {vset1_f64(high)}, r;
    VM_EACH(128, VM_PIECE_CLAMP, f64) return r.v;
}
#else
VM_INLINE v_f32 vlimit_f32(v_f32 x, float high) {
    return vselect_f32(vgt_f32(x, vset1_f32(high)), vset1_f32(high), x);
}
#define VM_DEFINE_CLAMP(T, S)                                             \
    VM_INLINE v_##T vclamp_##T(v_##T x, S low, S high) {                  \
        v_##T l = vset1_##T(low), h = vset1_##T(high);                    \
        x = vselect_##T(vgt_##T(x, h), h, x);                             \
        return vselect_##T(vlt_##T(x, l), l, x);                          \
    }
VM_DEFINE_CLAMP(f32, float)
VM_DEFINE_CLAMP(f64, double)
#undef VM_DEFINE_CLAMP
#endif

/* Rounding to integers of any size; the sign of zero survives. */
#if VM_AVX512_BUILTINS
#define VM_DEFINE_ROUNDING(NAME, HOW)                                                                       \
    VM_INLINE v_f32 vm_##NAME##_f32(v_f32 x) { return __builtin_ia32_rndscaleps_mask(x, HOW, x, (uint16_t)-1, 4); } \
    VM_INLINE v_f64 vm_##NAME##_f64(v_f64 x) {                                                              \
        vu_f64 u = {x}, r;                                                                                  \
        r.p[0] = __builtin_ia32_rndscalepd_mask(u.p[0], HOW, u.p[0], (uint8_t)-1, 4);                       \
        r.p[1] = __builtin_ia32_rndscalepd_mask(u.p[1], HOW, u.p[1], (uint8_t)-1, 4);                       \
        return r.v;                                                                                         \
    }
#elif VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
#define VM_DEFINE_ROUNDING(NAME, HOW)                                                              \
    VM_INLINE v_f32 vm_##NAME##_f32(v_f32 x) { return __builtin_ia32_roundps256(x, HOW); }         \
    VM_INLINE v_f64 vm_##NAME##_f64(v_f64 x) {                                                     \
        vu_f64 u = {x}, r;                                                                         \
        r.p[0] = __builtin_ia32_roundpd256(u.p[0], HOW);                                           \
        r.p[1] = __builtin_ia32_roundpd256(u.p[1], HOW);                                           \
        return r.v;                                                                                \
    }
#endif
#ifdef VM_DEFINE_ROUNDING
VM_DEFINE_ROUNDING(rint, 8)
VM_DEFINE_ROUNDING(floor, 9)
VM_DEFINE_ROUNDING(ceil, 10)
VM_DEFINE_ROUNDING(trunc, 11)
#undef VM_DEFINE_ROUNDING
#elif VM_HAS_BUILTIN(__builtin_elementwise_roundeven)
#define VM_DEFINE_ROUNDING(T)                                                                     \
    VM_INLINE v_##T vm_rint_##T(v_##T x) { return __builtin_elementwise_roundeven(x); }           \
    VM_INLINE v_##T vm_floor_##T(v_##T x) { return __builtin_elementwise_floor(x); }              \
    VM_INLINE v_##T vm_ceil_##T(v_##T x) { return __builtin_elementwise_ceil(x); }                \
    VM_INLINE v_##T vm_trunc_##T(v_##T x) { return __builtin_elementwise_trunc(x); }
VM_DEFINE_ROUNDING(f32)
VM_DEFINE_ROUNDING(f64)
#undef VM_DEFINE_ROUNDING
#else
#define VM_DEFINE_ROUNDING(T, LIMIT)                                                                  \
    VM_INLINE v_##T vm_rint_##T(v_##T x) {                                                            \
        v_##T shift = vcopysign_##T(vset1_##T(LIMIT), x);                                             \
        v_##T r = (x + shift) - shift;                                                                \
        return vselect_##T(vlt_##T(vm_abs_##T(x), vset1_##T(LIMIT)), vcopysign_##T(r, x), x);         \
    }                                                                                                 \
    VM_INLINE v_##T vm_floor_##T(v_##T x) {                                                           \
        v_##T r = vm_rint_##T(x);                                                                     \
        return vcopysign_##T(vselect_##T(vgt_##T(r, x), r - 1, r), x);                                \
    }                                                                                                 \
    VM_INLINE v_##T vm_ceil_##T(v_##T x) {                                                            \
        v_##T r = vm_rint_##T(x);                                                                     \
        return vcopysign_##T(vselect_##T(vlt_##T(r, x), r + 1, r), x);                                \
    }                                                                                                 \
    VM_INLINE v_##T vm_trunc_##T(v_##T x) { return vcopysign_##T(vm_floor_##T(vm_abs_##T(x)), x); }
VM_DEFINE_ROUNDING(f32, 0x1p23f)
VM_DEFINE_ROUNDING(f64, 0x1p52)
#undef VM_DEFINE_ROUNDING
#endif

#define VM_DEFINE_ROUND_AWAY(T)                                                                       \
    VM_INLINE v_##T vm_round_away_##T(v_##T x) {                                                      \
        v_##T a = vm_abs_##T(x), r = vm_trunc_##T(a);                                                 \
        return vcopysign_##T(vselect_##T(vge_##T(a - r, vset1_##T(0.5f)), r + 1, r), x);              \
    }
VM_DEFINE_ROUND_AWAY(f32)
VM_DEFINE_ROUND_AWAY(f64)
#undef VM_DEFINE_ROUND_AWAY

/* Square root. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__SSE2__)
#if VM_AVX512_BUILTINS
#define VM_SQRTPS(x) __builtin_ia32_sqrtps512_mask(x, x, (uint16_t)-1, 4)
#define VM_SQRTPD(x) __builtin_ia32_sqrtpd512_mask(x, x, (uint8_t)-1, 4)
#elif VM_REGISTER == 32
#define VM_SQRTPS __builtin_ia32_sqrtps256
#define VM_SQRTPD __builtin_ia32_sqrtpd256
#elif VM_REGISTER == 16
#define VM_SQRTPS __builtin_ia32_sqrtps
#define VM_SQRTPD __builtin_ia32_sqrtpd
#endif
#endif
#if VM_HAS_BUILTIN(__builtin_elementwise_sqrt)
VM_INLINE v_f32 vm_sqrt_f32(v_f32 x) { return __builtin_elementwise_sqrt(x); }
VM_INLINE v_f64 vm_sqrt_f64(v_f64 x) { return __builtin_elementwise_sqrt(x); }
#elif defined(VM_SQRTPS)
#define VM_PIECE_SQRT_f32(i, T) r.p[i] = VM_SQRTPS(u.p[i]);
#define VM_PIECE_SQRT_f64(i, T) r.p[i] = VM_SQRTPD(u.p[i]);
VM_INLINE v_f32 vm_sqrt_f32(v_f32 x) {
    vu_f32 u = {x}, r;
    VM_EACH(64, VM_PIECE_SQRT_f32, f32) return r.v;
}
VM_INLINE v_f64 vm_sqrt_f64(v_f64 x) {
    vu_f64 u = {x}, r;
    VM_EACH(128, VM_PIECE_SQRT_f64, f64) return r.v;
}
#else
#define VM_LANE_SQRT_F32(i) r[i] = __builtin_sqrtf(x[i]);
#define VM_LANE_SQRT_F64(i) r[i] = __builtin_sqrt(x[i]);
VM_INLINE v_f32 vm_sqrt_f32(v_f32 x) {
    v_f32 r = x;
    VM_EACH_LANE(VM_LANE_SQRT_F32) return r;
}
VM_INLINE v_f64 vm_sqrt_f64(v_f64 x) {
    v_f64 r = x;
    VM_EACH_LANE(VM_LANE_SQRT_F64) return r;
}
#endif
VM_INLINE v_f32 vm_rsqrt_f32(v_f32 x) { return 1.0f / vm_sqrt_f32(x); }
VM_INLINE v_f64 vm_rsqrt_f64(v_f64 x) { return 1.0 / vm_sqrt_f64(x); }

/* Nearest integer of a number below 2^22 (2^51), and the integer itself. */
#if VM_AVX512_BUILTINS
#define vnear_f32 vm_rint_f32
#define vnear_f64 vm_rint_f64
#else
VM_INLINE v_f32 vnear_f32(v_f32 x) { return (x + VM_MAGIC_F32) - VM_MAGIC_F32; }
VM_INLINE v_f64 vnear_f64(v_f64 x) { return (x + VM_MAGIC_F64) - VM_MAGIC_F64; }
#endif
VM_INLINE v_i32 vinteger_f32(v_f32 n) { return vcast_f32_i32(n); }
VM_INLINE v_i64 vinteger_f64(v_f64 n) { return (v_i64)(n + VM_MAGIC_F64) - VM_MAGIC_BITS_F64; }
VM_INLINE v_f64 vfloat_i64(v_i64 n) { return (v_f64)(n + VM_MAGIC_BITS_F64) - VM_MAGIC_F64; }

/* Results of logarithms where the argument is not a positive number: a NaN below zero, -inf at it, +inf at +inf. */
#if VM_AVX512_BUILTINS
/* A nibble for each class of x: NaN -> itself, 0 -> -inf, 1 -> y, -inf -> NaN, inf -> inf, < 0 -> NaN, > 0 -> y. */
#define VM_LOG_EDGES 0x03530422
VM_INLINE v_f32 vlog_edges_f32(v_f32 x, v_f32 y) {
    return __builtin_ia32_fixupimmps512_mask(y, x, vset1_i32(VM_LOG_EDGES), 0, (uint16_t)-1, 4);
}
typedef long long vf_i64 __attribute__((vector_size(64)));
#define VM_PIECE_EDGES(i, T) \
    r.p[i] = __builtin_ia32_fixupimmpd512_mask(w.p[i], u.p[i], (vf_i64){0} + VM_LOG_EDGES, 0, (uint8_t)-1, 4);
VM_INLINE v_f64 vlog_edges_f64(v_f64 x, v_f64 y) {
    vu_f64 u = {x}, w = {y}, r;
    VM_EACH(128, VM_PIECE_EDGES, f64) return r.v;
}
#else
#define VM_DEFINE_LOG_EDGES(T)                                                                           \
    VM_INLINE v_##T vlog_edges_##T(v_##T x, v_##T y) {                                                   \
        v_##T zero = {0}, inf = vset1_##T(__builtin_inff());                                             \
        y = vselect_##T(vlt_##T(x, inf), y, x);                                                          \
        y = vselect_##T(vlt_##T(x, zero), vset1_##T(__builtin_nanf("")), y);                             \
        return vselect_##T(veq_##T(x, zero), -inf, y);                                                   \
    }
VM_DEFINE_LOG_EDGES(f32)
VM_DEFINE_LOG_EDGES(f64)
#undef VM_DEFINE_LOG_EDGES
#endif

/* x / d for a divisor that is the same for all lanes, and usually for many vectors: the compiler computes 1 / d once. The
 * quotient by multiplication is corrected by what it leaves of x, as Markstein does ("Computation of elementary functions
 * on the IBM RISC System/6000 processor", 1990), to the bits of a division. Where that is zero or not finite, because x or
 * the quotient is not, the quotient stands. Divisors near the ends of the range divide, for their reciprocals are inexact.
 * Where x or the quotient is so small that what is left of it is subnormal, the last bit may differ. */
#if VM_AVX512_BUILTINS && defined(__AVX512DQ__)
#define VM_ZERO_OR_NOT_FINITE 0x9F
VM_INLINE v_f32 vcorrect_f32(v_f32 q, v_f32 rest, v_f32 r) {
    uint16_t none = __builtin_ia32_fpclassps512_mask(rest, VM_ZERO_OR_NOT_FINITE, (uint16_t)-1);
    return __builtin_ia32_vfmaddps512_mask3(rest, r, q, (uint16_t)~none, 4);
}
#define VM_PIECE_CORRECT(i, T)                                                                                \
    x.p[i] = __builtin_ia32_vfmaddpd512_mask3(                                                                \
        y.p[i], z.p[i], x.p[i],                                                                               \
        (uint8_t)~__builtin_ia32_fpclasspd512_mask(y.p[i], VM_ZERO_OR_NOT_FINITE, (uint8_t)-1), 4);
VM_INLINE v_f64 vcorrect_f64(v_f64 q, v_f64 rest, v_f64 r) {
    vu_f64 x = {q}, y = {rest}, z = {r};
    VM_EACH(128, VM_PIECE_CORRECT, f64) return x.v;
}
#else
#define VM_DEFINE_CORRECT(T)                                                                                  \
    VM_INLINE v_##T vcorrect_##T(v_##T q, v_##T rest, v_##T r) {                                              \
        v_##T size = vm_abs_##T(rest);                                                                        \
        return vselect_##T(vgt_##T(size, vset1_##T(0)) & vlt_##T(size, vset1_##T(__builtin_inff())),          \
                           vfma_##T(rest, r, q), q);                                                          \
    }
VM_DEFINE_CORRECT(f32)
VM_DEFINE_CORRECT(f64)
#undef VM_DEFINE_CORRECT
#endif
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define VM_DEFINE_OVER(T, C, ABS, LOW, HIGH)                                                                  \
    VM_INLINE v_##T vover_##T(v_##T x, C d) {                                                                 \
        v_##T r = vset1_##T(1 / d), q = x * r;                                                                \
        q = vcorrect_##T(q, vfma_##T(-q, vset1_##T(d), x), r);                                                \
        return VM_RARELY(T, !(ABS(d) >= LOW && ABS(d) <= HIGH), q, x / vset1_##T(d));                         \
    }
#else
#define VM_DEFINE_OVER(T, C, ABS, LOW, HIGH)                                                                  \
    VM_INLINE v_##T vover_##T(v_##T x, C d) { return x / vset1_##T(d); }
#endif
VM_DEFINE_OVER(f32, float, __builtin_fabsf, 0x1p-100f, 0x1p100f)
VM_DEFINE_OVER(f64, double, __builtin_fabs, 0x1p-900, 0x1p900)
#undef VM_DEFINE_OVER

/* x * 2^n for an integral n with |n| < 250 (2000); one rounding, so that results underflow gradually. */
#if VM_AVX512_BUILTINS
VM_INLINE v_f32 vscale_f32(v_f32 x, v_f32 n) { return __builtin_ia32_scalefps512_mask(x, n, x, (uint16_t)-1, 4); }
#define vraise_f32 vscale_f32
#define vraise_f64 vscale_f64
#define vhalf_power_f32(n) vscale_f32(vset1_f32(0.5f), n)
#define vhalf_power_f64(n) vscale_f64(vset1_f64(0.5), n)
#define VM_PIECE_SCALE(i, T) r.p[i] = __builtin_ia32_scalefpd512_mask(u.p[i], k.p[i], u.p[i], (uint8_t)-1, 4);
VM_INLINE v_f64 vscale_f64(v_f64 x, v_f64 n) {
    vu_f64 u = {x}, k = {n}, r;
    VM_EACH(128, VM_PIECE_SCALE, f64) return r.v;
}
#else
VM_INLINE v_f32 vscale_f32(v_f32 x, v_f32 n) {
    v_i32 k = vinteger_f32(n), half = k >> 1;
    return x * (v_f32)((half + 127) << 23) * (v_f32)((k - half + 127) << 23);
}
VM_INLINE v_f64 vscale_f64(v_f64 x, v_f64 n) {
    v_i64 k = vinteger_f64(vclamp_f64(n, -2000.0, 2000.0));
    v_i64 half = (v_i64)((v_u64)(k + 4096) >> 1) - 2048;
    return x * (v_f64)((half + 1023) << 52) * (v_f64)((k - half + 1023) << 52);
}
#endif

/* An exponential's power of two: `vpower` holds the integer n next to x * c, vexponent_of gives it as a float; vraise
 * multiplies 1/2 < m < 2 by 2^n, |n| < 250 (2000), with one rounding, so that results underflow gradually; vhalf_power is
 * 2^(n-1), a normal number; vratio gives g / h = 2^n, both normal. Without instructions for them n is the low bits of a sum
 * with 1.5 * 2^(p-1). Half of n is added to the exponent of m. */
#if VM_AVX512_BUILTINS
#define VM_DEFINE_POWERS(T, S, U, MAGIC, ONE, HALF, BITS)                                                           \
    VM_INLINE v_##T vpower_##T(v_##T x, S c) { return vm_rint_##T(x * c); }                                   \
    VM_INLINE v_##T vexponent_of_##T(v_##T n) { return n; }                                                   \
    VM_INLINE v_##T vratio_##T(v_##T n, v_##T *h) {                                                           \
        v_##T half = vm_rint_##T(n * 0.5f), one = vset1_##T(1.0f);                                            \
        *h = vscale_##T(one, -half);                                                                          \
        return vscale_##T(one, n - half);                                                                     \
    }
#else
#define VM_DEFINE_POWERS(T, S, U, MAGIC, ONE, HALF, BITS)                                                           \
    VM_INLINE v_##T vpower_##T(v_##T x, S c) { return vfma_##T(x, vset1_##T(c), vset1_##T(MAGIC)); }          \
    VM_INLINE v_##T vexponent_of_##T(v_##T n) { return n - MAGIC; }                                           \
    VM_INLINE v_##T vraise_##T(v_##T m, v_##T n) {                                                            \
        v_##U k = (v_##U)n, half = k >> 1;                                                                    \
        return (v_##T)((v_##U)m + (half << BITS)) * (v_##T)(((k - half) << BITS) + ONE);                      \
    }                                                                                                         \
    VM_INLINE v_##T vratio_##T(v_##T n, v_##T *h) {                                                           \
        v_##U k = (v_##U)n, half = k >> 1;                                                                    \
        *h = (v_##T)(ONE - (half << BITS));                                                                   \
        return (v_##T)(((k - half) << BITS) + ONE);                                                           \
    }                                                                                                         \
    VM_INLINE v_##T vhalf_power_##T(v_##T n) { return (v_##T)(((v_##U)n << BITS) + HALF); }
#endif
VM_DEFINE_POWERS(f32, float, u32, VM_MAGIC_F32, 0x3F800000u, 0x3F000000u, 23)
VM_DEFINE_POWERS(f64, double, u64, VM_MAGIC_F64, 0x3FF0000000000000u, 0x3FE0000000000000u, 52)
#undef VM_DEFINE_POWERS

#define VM_LANEWISE_1(NAME, T) VM_BY_LANES_1(vm_##NAME##_##T, T, sm_##NAME##_##T)
/* The scalar form of a vector function is one lane of it, so that both give the same bits. */
#define VM_ONE_LANE_1(NAME, T, S) \
    VM_INLINE S sm_##NAME##_##T(S x) { return vm_##NAME##_##T(vset1_##T(x))[0]; }
#define VM_ONE_LANE_2(NAME, T, S) \
    VM_INLINE S sm_##NAME##_##T(S a, S b) { return vm_##NAME##_##T(vset1_##T(a), vset1_##T(b))[0]; }

#endif
