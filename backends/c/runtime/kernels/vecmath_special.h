/* Rarely used functions: those of the C library, and special functions that it does not have. */
#ifndef SYMC_VECMATH_SPECIAL_H
#define SYMC_VECMATH_SPECIAL_H

#include "vecmath_f32.h"
#include "vecmath_angles.h"
#include "vecmath_erf.h"
#include "vecmath_pow.h"
#include "vecmath_doubles.h"

VM_BY_LANES_2(vfmod_far_f32, f32, __builtin_fmodf)

/* While the quotient fits 24 bits, double precision holds it, its product with b and the remainder exactly. */
VM_INLINE v_f32 vm_fmod_f32(v_f32 a, v_f32 b) {
    v_f64 x = vcast_f32_f64(a), y = vcast_f32_f64(b);
    v_f64 n = vm_trunc_f64(x / y);
    v_i64 good = vlt_f64(vm_abs_f64(n), vset1_f64(0x1p24)) & vlt_f64(vm_abs_f64(y), vset1_f64(VM_INF_F64));
    v_f32 r = vcopysign_f32(vcast_f64_f32(x - n * y), a);
    if (VM_UNLIKELY(vany_i64(~good))) r = vselect_f32(vcast_i64_i32(good), r, vfmod_far_f32(a, b));
    return r;
}

VM_BY_LANES_2(vfmod_far_f64, f64, __builtin_fmod)

/* The remainder is a multiple of the last bit of b and less than b: where the processor multiplies and adds without
 * rounding in between, one step finds it, from a quotient below 2^53 that may be too large by one. */
#if defined(__FMA__)
#define VM_LANE_REST(i) r.lane[i] = __builtin_fma(-n.lane[i], y.lane[i], r.lane[i]);
VM_INLINE v_f64 vm_fmod_f64(v_f64 a, v_f64 b) {
    const v_f64 size = vm_abs_f64(b), zero = {0};
    vu_f64 n = {vm_trunc_f64(a / b)}, r = {a};
    const v_i64 good = vlt_f64(vm_abs_f64(n.v), vset1_f64(0x1p53)) & vlt_f64(size, vset1_f64(VM_INF_F64));
#if VM_AVX512_BUILTINS
    r.v = vfma_f64(-n.v, b, a);
#else
    const vu_f64 y = {b};
    VM_EACH_LANE(VM_LANE_REST)
#endif
    const v_i64 past = vne_f64(r.v, zero) & (vlt_f64(r.v, zero) ^ vlt_f64(a, zero));
    const v_f64 rest = vcopysign_f64(vselect_f64(past, r.v + vcopysign_f64(size, a), r.v), a);
    return VM_RARELY(f64, vany_i64(~good), rest, vselect_f64(good, rest, vfmod_far_f64(a, b)));
}
#else
VM_INLINE v_f64 vm_fmod_f64(v_f64 a, v_f64 b) { return vfmod_far_f64(a, b); }
#endif

/* The inverse of erf (Giles, "Approximating the erfinv function", 2010), polished by two steps of Halley's method on
 * erfc, which keeps its relative accuracy out to the last number below one. */
VM_OUTLINE double sm_erfinv_f64(double x) {
    static const double middle[9] = {2.81022636e-08,  3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                                     -0.00125372503, -0.00417768164, 0.246640727,    1.50140941};
    static const double edge[9] = {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                                   -0.0076224613,   0.00943887047,  1.00167406,    2.83297682};
    double a = __builtin_fabs(x);
    if (!(a < 1.0)) return a == 1.0 ? __builtin_copysign(VM_INF_F64, x) : VM_NAN_F64;
    if (a < 1e-9) return x * 0.88622692545275801365;
    double w = -__builtin_log1p(-a * a), p = 0.0;
    const double *c = w < 5.0 ? middle : edge;
    double v = w < 5.0 ? w - 2.5 : __builtin_sqrt(w) - 3.0;
    for (int i = 0; i < 9; i++) p = p * v + c[i];
    double y = p * a;
    for (int i = 0; i < 2; i++) {
        double miss = a > 0.5 ? (1.0 - a) - __builtin_erfc(y) : __builtin_erf(y) - a;
        double step = miss * 0.88622692545275801365 * __builtin_exp(y * y);
        y -= step / (1.0 + y * step);
    }
    return __builtin_copysign(y, x);
}

/* log |Gamma(x)|; the form with a place for the sign, since the other writes to a global variable. */
double lgamma_r(double x, int *sign);
VM_OUTLINE double sm_gammaln_f64(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

/* The positive root of digamma, and digamma(root + d) / d for 1 <= root + d <= 2. */
#define VM_DIGAMMA_ROOT 0x1.762d86356be3fp+0
#define VM_DIGAMMA_ROOT_LOW 0x1.b86a722197829p-54
static const double __attribute__((unused)) vdigamma_series[22] = {
    -0x1.72645578f3da0p-13, 0x1.a5c4039a194dbp-12, -0x1.a471298c3e947p-12, 0x1.b8684fe8465e9p-12,
    -0x1.6db14d932e91dp-11, 0x1.20d7f6f65c98ap-10, -0x1.a0d43fb270a1fp-10, 0x1.2da6629525eeap-9,
    -0x1.b95e14c2ff57ep-9, 0x1.42e7e815ec98dp-8, -0x1.d82cac0bc2d78p-8, 0x1.595599d21658dp-7,
    -0x1.f97026d0c159fp-7, 0x1.723d68e8381f3p-6, -0x1.0fa7eca6a7593p-5, 0x1.8fce02b017b31p-5,
    -0x1.27baba24d3890p-4, 0x1.b9a5b6371178dp-4, -0x1.4fc1317259959p-3, 0x1.08b4294d5037cp-2,
    -0x1.c563b54aa1a2ap-2, 0x1.ef72bc8ee38acp-1,
};

/* The logarithmic derivative of Gamma: reflection for x < 0, a polynomial times the distance from the
 * positive root on [1, 2], recurrence up to 10, then the asymptotic series in the Bernoulli numbers (Abramowitz and
 * Stegun 6.3.18). */
VM_OUTLINE double sm_digamma_f64(double x) {
    if (x != x || x == VM_INF_F64) return x;
    if (x == 0.0) return __builtin_copysign(VM_INF_F64, -x);
    if (x < 0.0) {
        double fraction = x - __builtin_floor(x);
        if (fraction == 0.0 || x == -VM_INF_F64) return VM_NAN_F64;
        double turn = 3.14159265358979323846 * (fraction > 0.5 ? fraction - 1.0 : fraction);
        return sm_digamma_f64(1.0 - x) - 3.14159265358979323846 / __builtin_tan(turn);
    }
    double sum = 0.0;
    if (x < 1.0) {
        sum = -1.0 / x;
        x += 1.0;
    }
    if (x <= 2.0) {
        double d = (x - VM_DIGAMMA_ROOT) - VM_DIGAMMA_ROOT_LOW, p = 0.0;
        for (int i = 0; i < 22; i++) p = p * d + vdigamma_series[i];
        return p * d + sum;
    }
    for (; x < 10.0; x += 1.0) sum -= 1.0 / x;
    double z = 1.0 / (x * x);
    double tail = z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 -
                  z * (691.0 / 32760 - z / 12.0))))));
    return sum + (__builtin_log(x) - 0.5 / x - tail);
}

VM_INLINE double sm_fmod_f64(double a, double b) { return __builtin_fmod(a, b); }
VM_INLINE float sm_erfinv_f32(float x) { return (float)sm_erfinv_f64(x); }
VM_INLINE float sm_gammaln_f32(float x) { return (float)sm_gammaln_f64(x); }
VM_INLINE float sm_digamma_f32(float x) { return (float)sm_digamma_f64(x); }

#define VM_LIBRARY_1(X) X(erfinv) X(gammaln) X(digamma)
#define VM_DEFINE(NAME) VM_LANEWISE_1(NAME, f64)
VM_LIBRARY_1(VM_DEFINE)
#undef VM_DEFINE
VM_LANEWISE_1(erfinv, f32)
VM_LANEWISE_1(gammaln, f32)
VM_LANEWISE_1(digamma, f32)

#define VM_F32_VECTOR(X) VM_F64_VECTOR(X) X(tan) X(arcsin) X(arccos) X(arctan) X(sinh) X(cosh) X(arcsinh) X(arccosh) \
    X(arctanh) X(erf) X(erfc)
#define VM_DEFINE(NAME) VM_ONE_LANE_1(NAME, f32, float)
VM_F32_VECTOR(VM_DEFINE)
#undef VM_DEFINE
VM_ONE_LANE_2(pow, f32, float)
VM_ONE_LANE_2(arctan2, f32, float)
VM_ONE_LANE_2(fmod, f32, float)

VM_INLINE int sm_isnan_f32(float x) { return x != x; }
VM_INLINE int sm_isnan_f64(double x) { return x != x; }
VM_INLINE int sm_isinf_f32(float x) { return __builtin_fabsf(x) == VM_INF_F32; }
VM_INLINE int sm_isinf_f64(double x) { return __builtin_fabs(x) == VM_INF_F64; }

/* Magnitudes of signed integers; the least of them stays what it is, as in NumPy. */
#define VM_DEFINE_ABS(T, S, B, M)                                                                    \
    VM_INLINE v_##T vm_abs_##T(v_##T x) { return vselect_##T(vlt_##T(x, (v_##T){0}), -x, x); }       \
    VM_INLINE S sm_abs_##T(S x) { return (S)(x < 0 ? -(uint64_t)x : (uint64_t)x); }
VM_SIGNED_TYPES(VM_DEFINE_ABS)
#undef VM_DEFINE_ABS

#endif
