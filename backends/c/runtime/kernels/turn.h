/* Transposition of blocks of VM_LANES x VM_LANES elements, and every second to fourth one, in registers. */
#ifndef SYMC_TURN_H
#define SYMC_TURN_H

#include "vecmath_values.h"

/* Two rows of w lanes, d apart, exchange the lanes in which bit d of the lane number and of the row number differ. */
#define VM_TURN_LOW(w, d, i) (((i) & (d)) ? (w) + (i) - (d) : (i))
#define VM_TURN_HIGH(w, d, i) (((i) & (d)) ? (w) + (i) : (i) + (d))
#if defined(__clang__)
#define VM_LISTED(i) , i
#define VM_SHUFFLE(a, b, EACH, S) __builtin_shufflevector(a, b EACH(S))
#else
#define VM_LISTED(i) i,
#define VM_SHUFFLE(a, b, EACH, S) __builtin_shuffle(a, b, (__typeof__(a)){EACH(S)})
#endif
#define VM_TURN_LANES(a, b, S) VM_SHUFFLE(a, b, VM_EACH_LANE, S)
#define VM_TURN_LOW_8(i) VM_LISTED(VM_TURN_LOW(VM_LANES, 8, i))
#define VM_TURN_LOW_4(i) VM_LISTED(VM_TURN_LOW(VM_LANES, 4, i))
#define VM_TURN_LOW_2(i) VM_LISTED(VM_TURN_LOW(VM_LANES, 2, i))
#define VM_TURN_LOW_1(i) VM_LISTED(VM_TURN_LOW(VM_LANES, 1, i))
#define VM_TURN_HIGH_8(i) VM_LISTED(VM_TURN_HIGH(VM_LANES, 8, i))
#define VM_TURN_HIGH_4(i) VM_LISTED(VM_TURN_HIGH(VM_LANES, 4, i))
#define VM_TURN_HIGH_2(i) VM_LISTED(VM_TURN_HIGH(VM_LANES, 2, i))
#define VM_TURN_HIGH_1(i) VM_LISTED(VM_TURN_HIGH(VM_LANES, 1, i))
#define VM_TURN_HALF_LOW_4(i) VM_LISTED(VM_TURN_LOW(VM_LANES / 2, 4, i))
#define VM_TURN_HALF_LOW_2(i) VM_LISTED(VM_TURN_LOW(VM_LANES / 2, 2, i))
#define VM_TURN_HALF_LOW_1(i) VM_LISTED(VM_TURN_LOW(VM_LANES / 2, 1, i))
#define VM_TURN_HALF_HIGH_4(i) VM_LISTED(VM_TURN_HIGH(VM_LANES / 2, 4, i))
#define VM_TURN_HALF_HIGH_2(i) VM_LISTED(VM_TURN_HIGH(VM_LANES / 2, 2, i))
#define VM_TURN_HALF_HIGH_1(i) VM_LISTED(VM_TURN_HIGH(VM_LANES / 2, 1, i))
#define VM_TURN_PAIR(EACH, LOW, HIGH, d, k)                     \
    if (!((k) & (d))) {                                         \
        const __typeof__(r[0]) a = r[k], b = r[(k) | (d)];      \
        r[k] = VM_SHUFFLE(a, b, EACH, LOW);                     \
        r[(k) | (d)] = VM_SHUFFLE(a, b, EACH, HIGH);            \
    }
#define VM_TURN_PAIR_8(k) VM_TURN_PAIR(VM_EACH_LANE, VM_TURN_LOW_8, VM_TURN_HIGH_8, 8, k)
#define VM_TURN_PAIR_4(k) VM_TURN_PAIR(VM_EACH_LANE, VM_TURN_LOW_4, VM_TURN_HIGH_4, 4, k)
#define VM_TURN_PAIR_2(k) VM_TURN_PAIR(VM_EACH_LANE, VM_TURN_LOW_2, VM_TURN_HIGH_2, 2, k)
#define VM_TURN_PAIR_1(k) VM_TURN_PAIR(VM_EACH_LANE, VM_TURN_LOW_1, VM_TURN_HIGH_1, 1, k)
#define VM_TURN_HALF_PAIR_4(k) VM_TURN_PAIR(VM_FIRST_LANES, VM_TURN_HALF_LOW_4, VM_TURN_HALF_HIGH_4, 4, k)
#define VM_TURN_HALF_PAIR_2(k) VM_TURN_PAIR(VM_FIRST_LANES, VM_TURN_HALF_LOW_2, VM_TURN_HALF_HIGH_2, 2, k)
#define VM_TURN_HALF_PAIR_1(k) VM_TURN_PAIR(VM_FIRST_LANES, VM_TURN_HALF_LOW_1, VM_TURN_HALF_HIGH_1, 1, k)

/* VM_EACH_LANE and VM_FIRST_LANES, which a macro with lanes of its own cannot expand; and the exchanges of all rows. */
#if VM_LANES == 16
#define VM_TURN_HALF(S) S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7)
#define VM_TURN_ROWS(S) VM_TURN_HALF(S) S(8) S(9) S(10) S(11) S(12) S(13) S(14) S(15)
#define VM_TURN_FAR_PAIRS VM_TURN_ROWS(VM_TURN_PAIR_8) VM_TURN_ROWS(VM_TURN_PAIR_4)
#define VM_TURN_FAR_HALF_PAIRS VM_TURN_HALF(VM_TURN_HALF_PAIR_4) VM_TURN_HALF(VM_TURN_HALF_PAIR_2)
#elif VM_LANES == 8
#define VM_TURN_HALF(S) S(0) S(1) S(2) S(3)
#define VM_TURN_ROWS(S) VM_TURN_HALF(S) S(4) S(5) S(6) S(7)
#define VM_TURN_FAR_PAIRS VM_TURN_ROWS(VM_TURN_PAIR_4)
#define VM_TURN_FAR_HALF_PAIRS VM_TURN_HALF(VM_TURN_HALF_PAIR_2)
#else
#define VM_TURN_HALF(S) S(0) S(1)
#define VM_TURN_ROWS(S) VM_TURN_HALF(S) S(2) S(3)
#define VM_TURN_FAR_PAIRS
#define VM_TURN_FAR_HALF_PAIRS
#endif
#define VM_TURN_LOAD(k) __builtin_memcpy(&r[k], p + (k) * stride, sizeof r[k]);
#define VM_TURN_STORE(k) __builtin_memcpy(to + (k) * ld, &r[k], sizeof r[k]);

/* Row c of `to` is the column c of the rows p, p + stride, p + 2 * stride, ...  Written out, so that the rows are
 * registers.  Rows of 64-bit elements are two registers: a block has four blocks of registers. */
#define VM_DEFINE_TURN_WHOLE(T, S)                                                         \
    VM_INLINE void vturn_to_##T(S *to, int64_t ld, const S *p, int64_t stride) {           \
        v_##T r[VM_LANES];                                                                 \
        VM_TURN_ROWS(VM_TURN_LOAD)                                                         \
        VM_TURN_FAR_PAIRS VM_TURN_ROWS(VM_TURN_PAIR_2) VM_TURN_ROWS(VM_TURN_PAIR_1)        \
        VM_TURN_ROWS(VM_TURN_STORE)                                                        \
    }
#define VM_DEFINE_TURN_HALVES(T, S)                                                        \
    VM_INLINE void vturn_part_##T(S *to, int64_t ld, const S *p, int64_t stride) {         \
        vp_##T r[VM_LANES / 2];                                                            \
        VM_TURN_HALF(VM_TURN_LOAD)                                                         \
        VM_TURN_FAR_HALF_PAIRS VM_TURN_HALF(VM_TURN_HALF_PAIR_1)                           \
        VM_TURN_HALF(VM_TURN_STORE)                                                        \
    }                                                                                      \
    VM_INLINE void vturn_to_##T(S *to, int64_t ld, const S *p, int64_t stride) {           \
        const int64_t half = VM_LANES / 2;                                                 \
        vturn_part_##T(to, ld, p, stride);                                                 \
        vturn_part_##T(to + half, ld, p + half * stride, stride);                          \
        vturn_part_##T(to + half * ld, ld, p + half, stride);                              \
        vturn_part_##T(to + half * ld + half, ld, p + half * stride + half, stride);       \
    }
/* Rows that fill no register are numbers W, whose lanes are moved by shifts. */
#define VM_TURN_SHIFT(d, k)                                                                \
    if (!((k) & (d)) && (k) + (d) < VM_LANES) {                                            \
        const int n = (d) * (int)(8 * sizeof r[0] / VM_LANES);                             \
        const __typeof__(r[0]) first = (__typeof__(r[0]))-1 / (((__typeof__(r[0]))1 << n) + 1), a = r[k], b = r[(k) | (d)]; \
        r[k] = (a & first) | (b & first) << n;                                             \
        r[(k) | (d)] = (a >> n & first) | (b & ~first);                                    \
    }
#define VM_TURN_SHIFT_4(k) VM_TURN_SHIFT(4, k)
#define VM_TURN_SHIFT_2(k) VM_TURN_SHIFT(2, k)
#define VM_TURN_SHIFT_1(k) VM_TURN_SHIFT(1, k)
#if VM_LANES == 8
#define VM_TURN_FAR_SHIFTS VM_TURN_ROWS(VM_TURN_SHIFT_4)
#else
#define VM_TURN_FAR_SHIFTS
#endif
#define VM_DEFINE_TURN_NUMBERS(T, S, W)                                                    \
    VM_INLINE void vturn_to_##T(S *to, int64_t ld, const S *p, int64_t stride) {           \
        W r[VM_LANES];                                                                     \
        VM_TURN_ROWS(VM_TURN_LOAD)                                                         \
        VM_TURN_FAR_SHIFTS VM_TURN_ROWS(VM_TURN_SHIFT_2) VM_TURN_ROWS(VM_TURN_SHIFT_1)     \
        VM_TURN_ROWS(VM_TURN_STORE)                                                        \
    }
VM_DEFINE_TURN_HALVES(i64, int64_t)
VM_DEFINE_TURN_WHOLE(i32, int32_t)
#if VM_LANES == 4
VM_DEFINE_TURN_NUMBERS(i16, int16_t, uint64_t)
VM_DEFINE_TURN_NUMBERS(i8, int8_t, uint32_t)
#else
VM_DEFINE_TURN_WHOLE(i16, int16_t)
#if VM_LANES == 8
VM_DEFINE_TURN_NUMBERS(i8, int8_t, uint64_t)
#else
VM_DEFINE_TURN_WHOLE(i8, int8_t)
#endif
#endif

/* Rows that are a multiple of so many bytes apart fall into so few sets of a first-level cache that it cannot hold two
 * blocks of rows: the next one is not fetched into it. */
#define VM_SAME_SETS 2048
/* to[r * ld + c] = p[c * stride + r]: lines of p are read along their rows, a block of rows at a time. */
#define VM_DEFINE_TURN(T, S)                                                                                           \
    VM_OUTLINE void vturn_##T(v_##T *t, const S *p, int64_t stride) { vturn_to_##T((S *)t, VM_LANES, p, stride); }     \
    VM_OUTLINE void vturn_all_##T(S *to, int64_t ld, const S *p, int64_t stride, int64_t rows, int64_t columns) {      \
        const int apart = stride * (int64_t)sizeof(S) % VM_SAME_SETS != 0;                                             \
        int64_t c = 0;                                                                                                 \
        for (; c + VM_LANES <= columns; c += VM_LANES) {                                                               \
            int64_t r = 0;                                                                                             \
            const int64_t next = c + 2 * VM_LANES <= columns && apart ? VM_LANES * stride : 0;                         \
            for (; r + VM_LANES <= rows; r += VM_LANES) {                                                              \
                const S *first = p + c * stride + r;                                                                   \
                for (int k = 0; next && k < VM_LANES; k++) __builtin_prefetch(first + next + k * stride);              \
                vturn_to_##T(to + r * ld + c, ld, first, stride);                                                      \
            }                                                                                                          \
            for (; r < rows; r++) vstore_##T(to + r * ld + c, vgather_##T(p + c * stride + r, stride));                \
        }                                                                                                              \
        for (; c < columns; c++)                                                                                       \
            for (int64_t r = 0; r < rows; r++) to[r * ld + c] = p[c * stride + r];                                     \
    }                                                                                                                  \
    /* Part j of some rows of `length` elements, `stride` apart, comes to the second-level cache. */                   \
    VM_OUTLINE void vturn_fetch_##T(const S *p, int64_t stride, int64_t rows, int64_t length, int64_t j, int64_t parts) {  \
        const int64_t end = rows * (j + 1) / parts;                                                                    \
        for (int64_t r = rows * j / parts; r < end; r++)                                                               \
            for (int64_t k = 0; k < length; k += 64 / (int64_t)sizeof(S)) __builtin_prefetch(p + r * stride + k, 0, 2); \
    }
VM_DEFINE_TURN(i8, int8_t) VM_DEFINE_TURN(i16, int16_t) VM_DEFINE_TURN(i32, int32_t) VM_DEFINE_TURN(i64, int64_t)
#undef VM_DEFINE_TURN
/* Other types are moved as integers of their size. */
#define VM_DEFINE_TURN_AS(T, S, I, SI)                                                                                 \
    VM_INLINE void vturn_##T(v_##T *t, const S *p, int64_t stride) {                                                   \
        vturn_##I((v_##I *)(void *)t, (const SI *)(const void *)p, stride);                                            \
    }                                                                                                                  \
    VM_INLINE void vturn_all_##T(S *to, int64_t ld, const S *p, int64_t stride, int64_t rows, int64_t columns) {       \
        vturn_all_##I((SI *)(void *)to, ld, (const SI *)(const void *)p, stride, rows, columns);                       \
    }                                                                                                                  \
    VM_INLINE void vturn_fetch_##T(const S *p, int64_t stride, int64_t rows, int64_t length, int64_t j, int64_t parts) {   \
        vturn_fetch_##I((const SI *)(const void *)p, stride, rows, length, j, parts);                                  \
    }
VM_DEFINE_TURN_AS(u8, uint8_t, i8, int8_t)
VM_DEFINE_TURN_AS(u16, uint16_t, i16, int16_t)
VM_DEFINE_TURN_AS(u32, uint32_t, i32, int32_t)
VM_DEFINE_TURN_AS(u64, uint64_t, i64, int64_t)
VM_DEFINE_TURN_AS(f32, float, i32, int32_t)
VM_DEFINE_TURN_AS(f64, double, i64, int64_t)
#undef VM_DEFINE_TURN_AS

/* n elements, every second, third or fourth from p on: if they fill a register, whole registers are read, the last of which ends with the last element
 * wanted, and each lane is taken from the one that holds it.  Element number e is in register e / VM_LANES, but at most
 * the last one. */
#define VM_PART(s, i) ((s) * (i) / VM_LANES < (s) - 1 ? (s) * (i) / VM_LANES : (s) - 1)
#define VM_PART_START(s, j) ((j) < (s) - 1 ? (j) * VM_LANES : ((s) - 1) * (VM_LANES - 1))
#define VM_PART_FIRST(s, i) (VM_PART(s, i) == 0 ? (s) * (i) : VM_PART(s, i) == 1 ? VM_LANES + (s) * (i) - VM_PART_START(s, 1) : 0)
#define VM_PART_NEXT(s, j, i) (VM_PART(s, i) == (j) ? VM_LANES + (s) * (i) - VM_PART_START(s, j) : (i))
#define VM_EVERY_2_1(i) VM_LISTED(VM_PART_FIRST(2, i))
#define VM_EVERY_3_1(i) VM_LISTED(VM_PART_FIRST(3, i))
#define VM_EVERY_3_2(i) VM_LISTED(VM_PART_NEXT(3, 2, i))
#define VM_EVERY_4_1(i) VM_LISTED(VM_PART_FIRST(4, i))
#define VM_EVERY_4_2(i) VM_LISTED(VM_PART_NEXT(4, 2, i))
#define VM_EVERY_4_3(i) VM_LISTED(VM_PART_NEXT(4, 3, i))
VM_INLINE v_i32 vload_part_i32(const int32_t *p, int64_t start, int64_t step, int64_t n) {
    const int64_t count = (n - 1) * step + 1 - start;
    return count >= VM_LANES ? vload_i32(p + start) : vload_n_i32(p + start, count > 0 ? count : 0);
}
#define VM_EVERY_PART(s, j) vload_part_i32(p, VM_PART_START(s, j), s, n)
VM_INLINE v_i32 vevery2_n_i32(const int32_t *p, int64_t n) {
    return VM_TURN_LANES(VM_EVERY_PART(2, 0), VM_EVERY_PART(2, 1), VM_EVERY_2_1);
}
VM_INLINE v_i32 vevery3_n_i32(const int32_t *p, int64_t n) {
    const v_i32 r = VM_TURN_LANES(VM_EVERY_PART(3, 0), VM_EVERY_PART(3, 1), VM_EVERY_3_1);
    return VM_TURN_LANES(r, VM_EVERY_PART(3, 2), VM_EVERY_3_2);
}
VM_INLINE v_i32 vevery4_n_i32(const int32_t *p, int64_t n) {
    v_i32 r = VM_TURN_LANES(VM_EVERY_PART(4, 0), VM_EVERY_PART(4, 1), VM_EVERY_4_1);
    r = VM_TURN_LANES(r, VM_EVERY_PART(4, 2), VM_EVERY_4_2);
    return VM_TURN_LANES(r, VM_EVERY_PART(4, 3), VM_EVERY_4_3);
}
#undef VM_EVERY_PART
#define VM_DEFINE_EVERY_OF(T, S, s)                                             \
    VM_INLINE v_##T vevery##s##_n_##T(const S *p, int64_t n) {                  \
        return (v_##T)vevery##s##_n_i32((const int32_t *)(const void *)p, n);   \
    }
#define VM_DEFINE_EVERY(T, S)    \
    VM_DEFINE_EVERY_OF(T, S, 2)  \
    VM_DEFINE_EVERY_OF(T, S, 3)  \
    VM_DEFINE_EVERY_OF(T, S, 4)
VM_DEFINE_EVERY(f32, float)
VM_DEFINE_EVERY(u32, uint32_t)
#undef VM_DEFINE_EVERY_OF
#undef VM_DEFINE_EVERY

/* Elements in reverse order: p[0], p[-1], and so on. The first n of them end at p[1 - n]. */
#if defined(__clang__)
#define VM_REVERSE(M, x, ...) __builtin_shufflevector(x, x __VA_ARGS__)
#define VM_FROM_LAST(i) , VM_LANES - 1 - (i)
#define VM_FROM_MIDDLE(i) , VM_LANES / 2 - 1 - (i)
#else
#define VM_REVERSE(M, x, ...) __builtin_shuffle(x, (vp_##M){__VA_ARGS__})
#define VM_FROM_LAST(i) VM_LANES - 1 - (i),
#define VM_FROM_MIDDLE(i) VM_LANES / 2 - 1 - (i),
#endif
#define VM_REVERSE_1(T, M) r.p[0] = VM_REVERSE(M, ((const va_##T *)p)[0], VM_EACH_LANE(VM_FROM_LAST));
#define VM_REVERSE_2(T, M)                                                               \
    r.p[0] = VM_REVERSE(M, ((const va_##T *)p)[1], VM_FIRST_LANES(VM_FROM_MIDDLE));      \
    r.p[1] = VM_REVERSE(M, ((const va_##T *)p)[0], VM_FIRST_LANES(VM_FROM_MIDDLE));
#define VM_DEFINE_REVERSED(T, S, B, M)                       \
    VM_INLINE v_##T vreversed_##T(const S *last) {           \
        const S *p = last - (VM_LANES - 1);                  \
        vu_##T r;                                            \
        VM_JOIN(VM_REVERSE_, VM_COUNT_##B)(T, M) return r.v; \
    }
VM_ALL_TYPES(VM_DEFINE_REVERSED)
#undef VM_DEFINE_REVERSED

#endif
