// CUDA's functions of numbers, through the host's libm. Accuracy is the host's, as a rule better than a GPU's.
#pragma once

// --- what the host has under the same name: f(double), ff(float), and f(float) as in C++ ----------------------------

#define EMULATOR_MATH_1(name)                               \
    extern "C" double name(double) noexcept;                \
    extern "C" float name##f(float) noexcept;               \
    static inline float name(float x) { return name##f(x); }
#define EMULATOR_MATH_2(name)                                           \
    extern "C" double name(double, double) noexcept;                    \
    extern "C" float name##f(float, float) noexcept;                    \
    static inline float name(float x, float y) { return name##f(x, y); }
EMULATOR_MATH_1(acos) EMULATOR_MATH_1(acosh) EMULATOR_MATH_1(asin) EMULATOR_MATH_1(asinh) EMULATOR_MATH_1(atan)
EMULATOR_MATH_1(atanh) EMULATOR_MATH_1(cbrt) EMULATOR_MATH_1(ceil) EMULATOR_MATH_1(cos) EMULATOR_MATH_1(cosh)
EMULATOR_MATH_1(erf) EMULATOR_MATH_1(erfc) EMULATOR_MATH_1(exp) EMULATOR_MATH_1(exp10) EMULATOR_MATH_1(exp2)
EMULATOR_MATH_1(expm1) EMULATOR_MATH_1(fabs) EMULATOR_MATH_1(floor) EMULATOR_MATH_1(lgamma) EMULATOR_MATH_1(log)
EMULATOR_MATH_1(log10) EMULATOR_MATH_1(log1p) EMULATOR_MATH_1(log2) EMULATOR_MATH_1(logb) EMULATOR_MATH_1(nearbyint)
EMULATOR_MATH_1(rint) EMULATOR_MATH_1(round) EMULATOR_MATH_1(sin) EMULATOR_MATH_1(sinh) EMULATOR_MATH_1(sqrt)
EMULATOR_MATH_1(tan) EMULATOR_MATH_1(tanh) EMULATOR_MATH_1(tgamma) EMULATOR_MATH_1(trunc)
EMULATOR_MATH_1(j0) EMULATOR_MATH_1(j1) EMULATOR_MATH_1(y0) EMULATOR_MATH_1(y1)
EMULATOR_MATH_2(atan2) EMULATOR_MATH_2(copysign) EMULATOR_MATH_2(fdim) EMULATOR_MATH_2(fmax) EMULATOR_MATH_2(fmin)
EMULATOR_MATH_2(fmod) EMULATOR_MATH_2(hypot) EMULATOR_MATH_2(nextafter) EMULATOR_MATH_2(pow) EMULATOR_MATH_2(remainder)
extern "C" double fma(double, double, double) noexcept;
extern "C" float fmaf(float, float, float) noexcept;
static inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
#define EMULATOR_MATH_OTHER(result, name)                \
    extern "C" result name(double) noexcept; \
    extern "C" result name##f(float) noexcept;
EMULATOR_MATH_OTHER(int, ilogb)
EMULATOR_MATH_OTHER(long, lrint)
EMULATOR_MATH_OTHER(long, lround)
EMULATOR_MATH_OTHER(long long, llrint)
EMULATOR_MATH_OTHER(long long, llround)
extern "C" double ldexp(double, int) noexcept;
extern "C" float ldexpf(float, int) noexcept;
extern "C" double scalbn(double, int) noexcept;
extern "C" float scalbnf(float, int) noexcept;
extern "C" double frexp(double, int *) noexcept;
extern "C" float frexpf(float, int *) noexcept;
extern "C" double modf(double, double *) noexcept;
extern "C" float modff(float, float *) noexcept;
extern "C" void sincos(double, double *, double *) noexcept;
extern "C" void sincosf(float, float *, float *) noexcept;
extern "C" double jn(int, double) noexcept;
extern "C" float jnf(int, float) noexcept;
extern "C" double yn(int, double) noexcept;
extern "C" float ynf(int, float) noexcept;
extern "C" double nan(const char *) noexcept;
extern "C" float nanf(const char *) noexcept;
static inline float ldexp(float x, int n) { return ldexpf(x, n); }
static inline float scalbn(float x, int n) { return scalbnf(x, n); }
static inline float frexp(float x, int *n) { return frexpf(x, n); }
static inline float modf(float x, float *whole) { return modff(x, whole); }
static inline void sincos(float x, float *s, float *c) { sincosf(x, s, c); }
#undef EMULATOR_MATH_1
#undef EMULATOR_MATH_2
#undef EMULATOR_MATH_OTHER

// --- what only CUDA has; the emulated driver exports the double versions ---------------------------------------------

#define EMULATOR_SPECIAL(name)                                                    \
    extern "C" double emulator_##name(double) noexcept;                           \
    static inline double name(double x) { return emulator_##name(x); }            \
    static inline float name(float x) { return (float)emulator_##name((double)x); } \
    static inline float name##f(float x) { return (float)emulator_##name((double)x); }
EMULATOR_SPECIAL(erfcx)
EMULATOR_SPECIAL(erfinv)
EMULATOR_SPECIAL(erfcinv)
EMULATOR_SPECIAL(normcdf)
EMULATOR_SPECIAL(normcdfinv)
EMULATOR_SPECIAL(sinpi)
EMULATOR_SPECIAL(cospi)
EMULATOR_SPECIAL(cyl_bessel_i0)
EMULATOR_SPECIAL(cyl_bessel_i1)
#undef EMULATOR_SPECIAL
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float rsqrtf(float x) { return (float)(1.0 / sqrt((double)x)); }
static inline float rsqrt(float x) { return rsqrtf(x); }
static inline double rcbrt(double x) { return 1.0 / cbrt(x); }
static inline float rcbrtf(float x) { return (float)(1.0 / cbrt((double)x)); }
static inline float rcbrt(float x) { return rcbrtf(x); }
static inline double rhypot(double x, double y) { return 1.0 / hypot(x, y); }
static inline float rhypotf(float x, float y) { return 1.0f / hypotf(x, y); }
static inline void sincospi(double x, double *s, double *c) { *s = sinpi(x), *c = cospi(x); }
static inline void sincospif(float x, float *s, float *c) { *s = sinpif(x), *c = cospif(x); }
static inline float fdividef(float x, float y) { return x / y; }

// --- classes of numbers, absolute values, the smaller and the larger ---------------------------------------------------

static inline bool isnan(float x) { return __builtin_isnan(x); }
static inline bool isnan(double x) { return __builtin_isnan(x); }
static inline bool isinf(float x) { return __builtin_isinf(x); }
static inline bool isinf(double x) { return __builtin_isinf(x); }
static inline bool isfinite(float x) { return __builtin_isfinite(x); }
static inline bool isfinite(double x) { return __builtin_isfinite(x); }
static inline bool signbit(float x) { return __builtin_signbit(x); }
static inline bool signbit(double x) { return __builtin_signbit(x); }

extern "C" int abs(int) noexcept;
extern "C" long labs(long) noexcept;
extern "C" long long llabs(long long) noexcept;
static inline long abs(long x) { return labs(x); }
static inline long long abs(long long x) { return llabs(x); }
static inline float abs(float x) { return fabsf(x); }
static inline double abs(double x) { return fabs(x); }

#define EMULATOR_ORDER(type)                                             \
    static inline type min(type a, type b) { return b < a ? b : a; }     \
    static inline type max(type a, type b) { return a < b ? b : a; }
EMULATOR_ORDER(int) EMULATOR_ORDER(unsigned) EMULATOR_ORDER(long) EMULATOR_ORDER(unsigned long)
EMULATOR_ORDER(long long) EMULATOR_ORDER(unsigned long long)
#undef EMULATOR_ORDER
#define EMULATOR_ORDER_MIXED(a, b, common)                                                     \
    static inline common min(a x, b y) { return min((common)x, (common)y); }                   \
    static inline common max(a x, b y) { return max((common)x, (common)y); }
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
EMULATOR_ORDER_MIXED(int, unsigned, unsigned) EMULATOR_ORDER_MIXED(unsigned, int, unsigned)
EMULATOR_ORDER_MIXED(float, double, double) EMULATOR_ORDER_MIXED(double, float, double)
#undef EMULATOR_ORDER_MIXED

// --- bits and integers -------------------------------------------------------------------------------------------

namespace emulator {
template <class To, class From> inline To bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "");
    To result;
    __builtin_memcpy(&result, &value, sizeof result);
    return result;
}
}  // namespace emulator
static inline int __float_as_int(float x) { return emulator::bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return emulator::bits<unsigned>(x); }
static inline float __int_as_float(int x) { return emulator::bits<float>(x); }
static inline float __uint_as_float(unsigned x) { return emulator::bits<float>(x); }
static inline long long __double_as_longlong(double x) { return emulator::bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return emulator::bits<double>(x); }
static inline int __double2hiint(double x) { return (int)(emulator::bits<unsigned long long>(x) >> 32); }
static inline int __double2loint(double x) { return (int)emulator::bits<unsigned long long>(x); }
static inline double __hiloint2double(int high, int low) {
    return emulator::bits<double>((unsigned long long)(unsigned)high << 32 | (unsigned)low);
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned __brev(unsigned x) {
    unsigned r = 0;
    for (int i = 0; i < 32; ++i) r |= (x >> i & 1) << (31 - i);
    return r;
}
static inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev((unsigned)x) << 32 | __brev((unsigned)(x >> 32));
}
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
static inline int __mul24(int a, int b) { return (a << 8 >> 8) * (b << 8 >> 8); }
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned n) {
    return (unsigned)(((unsigned long long)high << 32 | low) << (n & 31) >> 32);
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned n) {
    return (unsigned)(((unsigned long long)high << 32 | low) >> (n & 31));
}
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    unsigned long long bytes = (unsigned long long)y << 32 | x;
    unsigned r = 0;
    for (int i = 0; i < 4; ++i) r |= (unsigned)(bytes >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
    return r;
}

// --- conversions: a GPU saturates, and makes 0 of NaN ------------------------------------------------------------------

namespace emulator {
template <class To, class From> inline To saturated(From x) {
    constexpr bool is_signed = (To)-1 < (To)0;
    constexpr int digits = 8 * sizeof(To) - is_signed;
    const From end = (From)2 * (From)(1ull << (digits - 1));  // one past the largest value, exact in From
    if (!(x == x)) return 0;
    if (x >= end) return (To)(((1ull << (digits - 1)) - 1) * 2 + 1);
    if (is_signed ? x < -end : x < 0) return is_signed ? (To)(1ull << (8 * sizeof(To) - 1)) : (To)0;
    return (To)x;
}
}  // namespace emulator
#define EMULATOR_CONVERT(from, from_name, to, to_name)                                                               \
    static inline to __##from_name##2##to_name##_rn(from x) { return emulator::saturated<to>(rint(x)); }             \
    static inline to __##from_name##2##to_name##_rz(from x) { return emulator::saturated<to>(trunc(x)); }            \
    static inline to __##from_name##2##to_name##_rd(from x) { return emulator::saturated<to>(floor(x)); }            \
    static inline to __##from_name##2##to_name##_ru(from x) { return emulator::saturated<to>(ceil(x)); }
EMULATOR_CONVERT(float, float, int, int)
EMULATOR_CONVERT(float, float, unsigned, uint)
EMULATOR_CONVERT(float, float, long long, ll)
EMULATOR_CONVERT(float, float, unsigned long long, ull)
EMULATOR_CONVERT(double, double, int, int)
EMULATOR_CONVERT(double, double, unsigned, uint)
EMULATOR_CONVERT(double, double, long long, ll)
EMULATOR_CONVERT(double, double, unsigned long long, ull)
#undef EMULATOR_CONVERT
static inline float __int2float_rn(int x) { return (float)x; }
static inline float __uint2float_rn(unsigned x) { return (float)x; }
static inline float __ll2float_rn(long long x) { return (float)x; }
static inline float __ull2float_rn(unsigned long long x) { return (float)x; }
static inline double __int2double_rn(int x) { return x; }
static inline double __uint2double_rn(unsigned x) { return x; }
static inline double __ll2double_rn(long long x) { return (double)x; }
static inline double __ull2double_rn(unsigned long long x) { return (double)x; }
static inline float __double2float_rn(double x) { return (float)x; }

// --- arithmetic that names its rounding (to nearest; the others are not emulated), and fast approximations -------------

static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __frsqrt_rn(float x) { return rsqrtf(x); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline double __drcp_rn(double x) { return 1.0 / x; }
static inline double __dsqrt_rn(double x) { return sqrt(x); }
static inline float __expf(float x) { return expf(x); }
static inline float __exp10f(float x) { return exp10f(x); }
static inline float __logf(float x) { return logf(x); }
static inline float __log2f(float x) { return log2f(x); }
static inline float __log10f(float x) { return log10f(x); }
static inline float __sinf(float x) { return sinf(x); }
static inline float __cosf(float x) { return cosf(x); }
static inline float __tanf(float x) { return tanf(x); }
static inline float __tanhf(float x) { return tanhf(x); }
static inline float __powf(float x, float y) { return powf(x, y); }
static inline void __sincosf(float x, float *s, float *c) { sincosf(x, s, c); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
