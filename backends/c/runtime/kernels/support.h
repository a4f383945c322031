/* Scalar functions for generated code: extrema, divisions and remainders with NumPy's rules. */
#ifndef SYMC_SUPPORT_H
#define SYMC_SUPPORT_H
#include "vecmath.h"

/* Numbers beyond 2^30 become 2^30 or -2^30, which leaves room for sums in 32 bits. */
#define VM_FAR (1 << 30)
static inline int32_t sx_limited(int64_t x) { return (int32_t)(x > VM_FAR ? VM_FAR : x < -VM_FAR ? -VM_FAR : x); }
/* a - b, limited: the number of a lane compares with it as b plus that number does with a. */
static inline int32_t sx_apart(int64_t a, int64_t b) {
    int64_t d;
    return __builtin_sub_overflow(a, b, &d) ? (a < b ? -VM_FAR : VM_FAR) : sx_limited(d);
}
/* Lines along the lanes of a loop.  Where `apart` + k `slope` has changed its sign for the first time, zero being positive. */
static inline int64_t sx_crossing(int64_t apart, int64_t slope) {
    if (apart < 0 && slope > 0) return slope == 1 ? -apart : (slope - 1 - apart) / slope;
    if (apart >= 0 && slope < 0) return slope == -1 ? apart + 1 : apart / -slope + 1;
    return INT64_MAX;
}
/* The remainder, where it is likely that at most one period is to be added or subtracted. */
static inline int64_t sx_near_mod(int64_t a, int64_t length) {
    if (length <= 0) return length == 0 ? 0 : a - length * (a / length - (a % length > 0));
    if (a < 0 && a >= -length) return a + length;
    if (a >= length && a - length < length) return a - length;
    return a >= 0 && a < length ? a : (a % length + length) % length;
}
/* Where `rest` + k `slope` has left the numbers from 0 to `length` - 1 for the first time. */
static inline int64_t sx_wrapping(int64_t rest, int64_t length, int64_t slope) {
    if (length <= 0) return 1;
    return slope < 0 ? sx_crossing(rest, slope) : sx_crossing(rest - length, slope);
}
/* The end of a stretch that begins at `first` and has at most so many `lanes`. */
static inline int64_t sx_sooner(int64_t stop, int64_t first, int64_t lanes) {
    return lanes < stop - first ? first + lanes : stop;
}

/* One instruction finds an extreme unless its second operand is NaN, which is rare: a branch costs nothing, where a
   selection would take as long again. In a loop over steps, the number that a step waits for comes first. */
#ifdef __AVX2__
#define SX_RARE() __asm__ volatile("") /* keeps the branch */
#else
#define SX_RARE() (void)0
#endif
#define SX_EXTREMA(T, S)                                                                  \
    static inline S sx_min_##T(S a, S b) {                                                \
        S m = b < a ? b : a;                                                              \
        if (__builtin_expect(b != b, 0)) { SX_RARE(); m = b; }                            \
        return m;                                                                         \
    }                                                                                     \
    static inline S sx_max_##T(S a, S b) {                                                \
        S m = b > a ? b : a;                                                              \
        if (__builtin_expect(b != b, 0)) { SX_RARE(); m = b; }                            \
        return m;                                                                         \
    }
/* Division rounds down and the remainder has the sign of the divisor; by zero both give 0, as NumPy's do. */
#define SX_SIGNED(T, S, LOW)                                                              \
    SX_EXTREMA(T, S)                                                                      \
    static inline S sx_abs_##T(S a) { return a < 0 ? (S)-a : a; }                         \
    VM_INLINE v_##T vx_abs_##T(v_##T a) { return vmax_##T(a, -a); }                       \
    static inline S sx_floordiv_##T(S a, S b) {                                           \
        if (b == 0) return 0;                                                             \
        if (b == -1) return (S)-a;                                                        \
        return (S)(a / b - (a % b != 0 && (a < 0) != (b < 0)));                           \
    }                                                                                     \
    static inline S sx_mod_##T(S a, S b) {                                                \
        if (b == 0 || b == -1) return 0;                                                  \
        S r = (S)(a % b);                                                                 \
        return r != 0 && (r < 0) != (b < 0) ? (S)(r + b) : r;                             \
    }
#define SX_UNSIGNED(T, S, LOW)                                                            \
    SX_EXTREMA(T, S)                                                                      \
    static inline S sx_abs_##T(S a) { return a; }                                         \
    VM_INLINE v_##T vx_abs_##T(v_##T a) { return a; }                                     \
    static inline S sx_floordiv_##T(S a, S b) { return b == 0 ? 0 : (S)(a / b); }         \
    static inline S sx_mod_##T(S a, S b) { return b == 0 ? 0 : (S)(a % b); }
#define SX_FLOAT(T, S, F)                                                                 \
    SX_EXTREMA(T, S)                                                                      \
    static inline S sx_abs_##T(S a) { return __builtin_fabs##F(a); }                      \
    static inline S sx_mod_##T(S a, S b) {                                                \
        S r = __builtin_fmod##F(a, b);                                                    \
        if (r != 0) return (r < 0) != (b < 0) ? r + b : r;                                \
        return __builtin_copysign##F(0, b);                                               \
    }                                                                                     \
    static inline S sx_floordiv_##T(S a, S b) {                                           \
        if (b == 0) return a / b;                                                         \
        S r = __builtin_fmod##F(a, b), q = (a - r) / b;                                   \
        if (r != 0 && (r < 0) != (b < 0)) q -= 1;                                         \
        if (q == 0) return __builtin_copysign##F(0, a / b);                               \
        S down = __builtin_floor##F(q);                                                   \
        return q - down > (S)0.5 ? down + 1 : down;                                       \
    }

/* Constants that kernels get as arguments come as bits among integers. */
static inline float sx_bits_f32(int64_t bits) {
    const int32_t low = (int32_t)bits;
    float x;
    __builtin_memcpy(&x, &low, sizeof x);
    return x;
}
static inline double sx_bits_f64(int64_t bits) {
    double x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

SX_SIGNED(i8, int8_t, INT8_MIN)
SX_SIGNED(i16, int16_t, INT16_MIN)
SX_SIGNED(i32, int32_t, INT32_MIN)
SX_SIGNED(i64, int64_t, INT64_MIN)
SX_UNSIGNED(u8, uint8_t, 0)
SX_UNSIGNED(u16, uint16_t, 0)
SX_UNSIGNED(u32, uint32_t, 0)
SX_UNSIGNED(u64, uint64_t, 0)
SX_FLOAT(f32, float, f)
SX_FLOAT(f64, double, )
#include "remainders.h"

/* The upper half of a product of 32-bit numbers, for counter-based random numbers. */
static inline uint32_t sx_mulhi_u32(uint32_t a, uint32_t b) { return (uint32_t)(((uint64_t)a * b) >> 32); }
#if VM_AVX512_BUILTINS
/* Even and odd lanes apart: the 32-bit multiplication with a 64-bit result looks at every second lane. */
VM_INLINE v_u32 vx_mulhi_u32(v_u32 a, v_u32 b) {
    typedef int32_t half __attribute__((vector_size(64)));
    typedef long long whole __attribute__((vector_size(64)));
    typedef uint64_t wide __attribute__((vector_size(64)));
    typedef float floats __attribute__((vector_size(64)));
    wide even = (wide)__builtin_ia32_pmuludq512_mask((half)a, (half)b, (whole){0}, (uint8_t)-1);
    wide odd = (wide)__builtin_ia32_pmuludq512_mask((half)((wide)a >> 32), (half)((wide)b >> 32), (whole){0}, (uint8_t)-1);
    return (v_u32)__builtin_ia32_movshdup512_mask((floats)even, (floats)odd, 0x5555);
}
#elif defined(__AVX2__) && defined(__GNUC__) && !defined(__clang__)
VM_INLINE v_u32 vx_mulhi_u32(v_u32 a, v_u32 b) {
    typedef int32_t half __attribute__((vector_size(32)));
    typedef uint64_t wide __attribute__((vector_size(32)));
    wide even = (wide)__builtin_ia32_pmuludq256((half)a, (half)b);
    wide odd = (wide)__builtin_ia32_pmuludq256((half)((wide)a >> 32), (half)((wide)b >> 32));
    return (v_u32)__builtin_ia32_pblendd256((half)(even >> 32), (half)odd, 0xAA);
}
#else
VM_INLINE v_u32 vx_mulhi_u32(v_u32 a, v_u32 b) {
    return vcast_u64_u32((vcast_u32_u64(a) * vcast_u32_u64(b)) >> 32);
}
#endif
#endif
