/* Scalar functions of generated code, with the names and rules of the C back end's header:
 * extrema that pass NaN on, divisions that round down, remainders with the sign of the divisor. */
#ifndef SYMC_SCALAR_CUH
#define SYMC_SCALAR_CUH

#ifdef __CUDACC_RTC__
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#else
#include <stdint.h>
#endif

#define SX static __device__ __forceinline__

#define SX_EXTREMA(T, S)                                                 \
    SX S sx_min_##T(S a, S b) { return b != b ? b : b < a ? b : a; }     \
    SX S sx_max_##T(S a, S b) { return b != b ? b : b > a ? b : a; }
#define SX_SIGNED(T, S)                                                  \
    SX_EXTREMA(T, S)                                                     \
    SX S sx_abs_##T(S a) { return a < 0 ? (S)-a : a; }                   \
    SX S sx_floordiv_##T(S a, S b) {                                     \
        if (b == 0) return 0;                                            \
        if (b == -1) return (S)(0 - (uint64_t)a);                        \
        return (S)(a / b - (a % b != 0 && (a < 0) != (b < 0)));          \
    }                                                                    \
    SX S sx_mod_##T(S a, S b) {                                          \
        if (b == 0 || b == -1) return 0;                                 \
        S r = (S)(a % b);                                                \
        return r != 0 && (r < 0) != (b < 0) ? (S)(r + b) : r;            \
    }
#define SX_UNSIGNED(T, S)                                                \
    SX_EXTREMA(T, S)                                                     \
    SX S sx_abs_##T(S a) { return a; }                                   \
    SX S sx_floordiv_##T(S a, S b) { return b == 0 ? 0 : (S)(a / b); }   \
    SX S sx_mod_##T(S a, S b) { return b == 0 ? 0 : (S)(a % b); }
#define SX_FLOAT(T, S, F)                                                \
    SX_EXTREMA(T, S)                                                     \
    SX S sx_abs_##T(S a) { return fabs##F(a); }                          \
    SX S sx_mod_##T(S a, S b) {                                          \
        S r = fmod##F(a, b);                                             \
        if (r != 0) return (r < 0) != (b < 0) ? r + b : r;               \
        return copysign##F((S)0, b);                                     \
    }                                                                    \
    SX S sx_floordiv_##T(S a, S b) {                                     \
        if (b == 0) return a / b;                                        \
        S r = fmod##F(a, b), q = (a - r) / b;                            \
        if (r != 0 && (r < 0) != (b < 0)) q -= 1;                        \
        if (q == 0) return copysign##F((S)0, a / b);                     \
        S down = floor##F(q);                                            \
        return q - down > (S)0.5 ? down + 1 : down;                      \
    }

SX_SIGNED(i8, int8_t)
SX_SIGNED(i16, int16_t)
SX_SIGNED(i32, int32_t)
SX_SIGNED(i64, int64_t)
SX_UNSIGNED(u8, uint8_t)
SX_UNSIGNED(u16, uint16_t)
SX_UNSIGNED(u32, uint32_t)
SX_UNSIGNED(u64, uint64_t)
SX_FLOAT(f32, float, f)
SX_FLOAT(f64, double, )

SX uint32_t sx_mulhi_u32(uint32_t a, uint32_t b) { return __umulhi(a, b); }

/* Mathematics: CUDA's own functions, a few ulp at most; never the fast approximations. */
#define SM1(NAME, F)                                                     \
    SX float sm_##NAME##_f32(float x) { return F##f(x); }                \
    SX double sm_##NAME##_f64(double x) { return F(x); }
#define SM2(NAME, F)                                                     \
    SX float sm_##NAME##_f32(float x, float y) { return F##f(x, y); }    \
    SX double sm_##NAME##_f64(double x, double y) { return F(x, y); }
SM1(sqrt, sqrt)
SM1(floor, floor)
SM1(ceil, ceil)
SM1(trunc, trunc)
SM1(rint, rint)
SM1(round_away, round)
SM1(exp, exp)
SM1(exp2, exp2)
SM1(expm1, expm1)
SM1(log, log)
SM1(log2, log2)
SM1(log10, log10)
SM1(log1p, log1p)
SM1(sin, sin)
SM1(cos, cos)
SM1(tan, tan)
SM1(arcsin, asin)
SM1(arccos, acos)
SM1(arctan, atan)
SM1(sinh, sinh)
SM1(cosh, cosh)
SM1(tanh, tanh)
SM1(arcsinh, asinh)
SM1(arccosh, acosh)
SM1(arctanh, atanh)
SM1(erf, erf)
SM1(erfc, erfc)
SM1(erfinv, erfinv)
SM1(gammaln, lgamma)
SM2(pow, pow)
SM2(arctan2, atan2)
SM2(fmod, fmod)

#define SM_REST(T, S, F)                                                                                   \
    SX uint8_t sm_isnan_##T(S x) { return x != x; }                                                        \
    SX uint8_t sm_isinf_##T(S x) { return x - x != x - x && x == x; }                                      \
    /* exp of a number that is not positive cannot overflow, so neither form loses anything. */            \
    SX S sm_sigmoid_##T(S x) {                                                                             \
        S e = exp##F(-fabs##F(x));                                                                         \
        return (x < 0 ? e : (S)1) / (1 + e);                                                               \
    }                                                                                                      \
    SX S sm_sigmoid_slope_##T(S x) {                                                                       \
        S e = exp##F(-fabs##F(x));                                                                         \
        return e / ((1 + e) * (1 + e));                                                                    \
    }                                                                                                      \
    SX S sm_softplus_##T(S x) { return sx_max_##T((S)0, x) + log1p##F(exp##F(-fabs##F(x))); }              \
    /* Recurrence up to 10, then the asymptotic series (Abramowitz and Stegun 6.3.18); below zero by       \
     * reflection (6.3.7). */                                                                              \
    SX S sm_digamma_##T(S x) {                                                                             \
        S below = 0;                                                                                       \
        if (x <= 0) {                                                                                      \
            if (x == floor##F(x)) return x == 0 ? copysign##F((S)INFINITY, -x) : (S)NAN;                   \
            S f = x - floor##F(x);                                                                         \
            below = -(S)3.14159265358979323846 / tan##F((S)3.14159265358979323846 * f);                    \
            x = 1 - x;                                                                                     \
        }                                                                                                  \
        while (x < 10) {                                                                                   \
            below -= 1 / x;                                                                                \
            x += 1;                                                                                        \
        }                                                                                                  \
        S r = 1 / (x * x);                                                                                 \
        S tail = r * ((S)(1. / 12) - r * ((S)(1. / 120) - r * ((S)(1. / 252) - r * ((S)(1. / 240) -        \
                 r * ((S)(1. / 132) - r * ((S)(691. / 32760) - r * (S)(1. / 12)))))));                     \
        return below + log##F(x) - (S)0.5 / x - tail;                                                      \
    }
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fc00000)
#endif
SM_REST(f32, float, f)
SM_REST(f64, double, )
#endif
