/* Transposition of blocks of VM_LANES x VM_LANES elements of 32 bits, and every second to fourth one, in registers. */
#ifndef SYMC_TURN_H
#define SYMC_TURN_H

#include "vecmath_values.h"

/* Two rows, d apart, exchange the lanes in which bit d of the lane number and of the row number differ. */
#define VM_TURN_LOW(d, i) (((i) & (d)) ? VM_LANES + (i) - (d) : (i))
#define VM_TURN_HIGH(d, i) (((i) & (d)) ? VM_LANES + (i) : (i) + (d))
#if defined(__clang__)
#define VM_TURN_LANES(a, b, S) __builtin_shufflevector(a, b VM_EACH_LANE(S))
#define VM_TURN_LOW_8(i) , VM_TURN_LOW(8, i)
#define VM_TURN_LOW_4(i) , VM_TURN_LOW(4, i)
#define VM_TURN_LOW_2(i) , VM_TURN_LOW(2, i)
#define VM_TURN_LOW_1(i) , VM_TURN_LOW(1, i)
#define VM_TURN_HIGH_8(i) , VM_TURN_HIGH(8, i)
#define VM_TURN_HIGH_4(i) , VM_TURN_HIGH(4, i)
#define VM_TURN_HIGH_2(i) , VM_TURN_HIGH(2, i)
#define VM_TURN_HIGH_1(i) , VM_TURN_HIGH(1, i)
#else
#define VM_TURN_LANES(a, b, S) __builtin_shuffle(a, b, (v_i32){VM_EACH_LANE(S)})
#define VM_TURN_LOW_8(i) VM_TURN_LOW(8, i),
#define VM_TURN_LOW_4(i) VM_TURN_LOW(4, i),
#define VM_TURN_LOW_2(i) VM_TURN_LOW(2, i),
#define VM_TURN_LOW_1(i) VM_TURN_LOW(1, i),
#define VM_TURN_HIGH_8(i) VM_TURN_HIGH(8, i),
#define VM_TURN_HIGH_4(i) VM_TURN_HIGH(4, i),
#define VM_TURN_HIGH_2(i) VM_TURN_HIGH(2, i),
#define VM_TURN_HIGH_1(i) VM_TURN_HIGH(1, i),
#endif
#define VM_TURN_PAIR(d, k)                                                                \
    if (!((k) & (d))) {                                                                  \
        const v_i32 a = r[k], b = r[(k) | (d)];                                          \
        r[k] = VM_TURN_LANES(a, b, VM_TURN_LOW_##d);                                     \
        r[(k) | (d)] = VM_TURN_LANES(a, b, VM_TURN_HIGH_##d);                            \
    }
#define VM_TURN_PAIR_8(k) VM_TURN_PAIR(8, k)
#define VM_TURN_PAIR_4(k) VM_TURN_PAIR(4, k)
#define VM_TURN_PAIR_2(k) VM_TURN_PAIR(2, k)
#define VM_TURN_PAIR_1(k) VM_TURN_PAIR(1, k)
#define VM_TURN_LOAD(k) r[k] = vload_i32(p + (k) * stride);
#define VM_TURN_STORE(k) vstore_i32(to + (k) * ld, r[k]);

/* VM_EACH_LANE, which a macro with lanes of its own cannot expand. */
#if VM_LANES == 16
#define VM_TURN_ROWS(S) S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7) S(8) S(9) S(10) S(11) S(12) S(13) S(14) S(15)
#elif VM_LANES == 8
#define VM_TURN_ROWS(S) S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7)
#else
#define VM_TURN_ROWS(S) S(0) S(1) S(2) S(3)
#endif

/* Row c of `to` is the column c of the rows p, p + stride, p + 2 * stride, ...  Written out, so that the rows are
 * registers. */
VM_INLINE void vturn_to_i32(int32_t *to, int64_t ld, const int32_t *p, int64_t stride) {
    v_i32 r[VM_LANES];
    VM_TURN_ROWS(VM_TURN_LOAD)
#if VM_LANES == 16
    VM_TURN_ROWS(VM_TURN_PAIR_8)
#endif
#if VM_LANES >= 8
    VM_TURN_ROWS(VM_TURN_PAIR_4)
#endif
    VM_TURN_ROWS(VM_TURN_PAIR_2)
    VM_TURN_ROWS(VM_TURN_PAIR_1)
    VM_TURN_ROWS(VM_TURN_STORE)
}
VM_OUTLINE void vturn_i32(v_i32 *t, const int32_t *p, int64_t stride) { vturn_to_i32((int32_t *)t, VM_LANES, p, stride); }

/* The same for types of any size, element by element: lines of memory are read whole, which is what counts. */
#define VM_DEFINE_TURN(T, S, B, M)                                                         \
    VM_INLINE void vturn_to_any_##T(S *to, int64_t ld, const S *p, int64_t stride) {       \
        for (int k = 0; k < VM_LANES; k++)                                                 \
            for (int c = 0; c < VM_LANES; c++) to[c * ld + k] = p[k * stride + c];         \
    }                                                                                      \
    VM_OUTLINE void vturn_any_##T(v_##T *t, const S *p, int64_t stride) {                  \
        vturn_to_any_##T((S *)t, VM_LANES, p, stride);                                     \
    }
VM_ALL_TYPES(VM_DEFINE_TURN)
#undef VM_DEFINE_TURN

/* to[r * ld + c] = p[c * stride + r]: lines of p are read along their rows, a block of rows at a time. */
#define VM_DEFINE_TURN_ALL(NAME, T, S, BLOCK)                                                                          \
    VM_OUTLINE void NAME(S *to, int64_t ld, const S *p, int64_t stride, int64_t rows, int64_t columns) {               \
        int64_t c = 0;                                                                                                 \
        for (; c + VM_LANES <= columns; c += VM_LANES) {                                                               \
            int64_t r = 0;                                                                                             \
            const int64_t next = c + 2 * VM_LANES <= columns ? VM_LANES * stride : 0;                                  \
            for (; r + VM_LANES <= rows; r += VM_LANES) {                                                              \
                const S *first = p + c * stride + r;                                                                   \
                for (int k = 0; next && k < VM_LANES; k++) __builtin_prefetch(first + next + k * stride);              \
                BLOCK(to + r * ld + c, ld, first, stride);                                                             \
            }                                                                                                          \
            for (; r < rows; r++) vstore_##T(to + r * ld + c, vgather_##T(p + c * stride + r, stride));                \
        }                                                                                                              \
        for (; c < columns; c++)                                                                                       \
            for (int64_t r = 0; r < rows; r++) to[r * ld + c] = p[c * stride + r];                                     \
    }
#define VM_DEFINE_TURN_ALL_ANY(T, S, B, M) VM_DEFINE_TURN_ALL(vturn_all_any_##T, T, S, vturn_to_any_##T)
VM_ALL_TYPES(VM_DEFINE_TURN_ALL_ANY)
VM_DEFINE_TURN_ALL(vturn_all_i32, i32, int32_t, vturn_to_i32)
#undef VM_DEFINE_TURN_ALL
#undef VM_DEFINE_TURN_ALL_ANY
#define vturn_all_f32(to, ld, p, ...) vturn_all_i32((int32_t *)(to), ld, (const int32_t *)(p), __VA_ARGS__)
#define vturn_all_u32(to, ld, p, ...) vturn_all_i32((int32_t *)(to), ld, (const int32_t *)(p), __VA_ARGS__)
#define vturn_all_f64 vturn_all_any_f64
#define vturn_all_i64 vturn_all_any_i64
#define vturn_all_u64 vturn_all_any_u64
#define vturn_all_i16 vturn_all_any_i16
#define vturn_all_u16 vturn_all_any_u16
#define vturn_all_i8 vturn_all_any_i8
#define vturn_all_u8 vturn_all_any_u8
#define vturn_f32(t, p, stride) vturn_i32((v_i32 *)(t), (const int32_t *)(p), stride)
#define vturn_u32(t, p, stride) vturn_i32((v_i32 *)(t), (const int32_t *)(p), stride)
#define vturn_f64 vturn_any_f64
#define vturn_i64 vturn_any_i64
#define vturn_u64 vturn_any_u64
#define vturn_i16 vturn_any_i16
#define vturn_u16 vturn_any_u16
#define vturn_i8 vturn_any_i8
#define vturn_u8 vturn_any_u8

/* n elements, every second, third or fourth from p on: if they fill a register, whole registers are read, the last of which ends with the last element
 * wanted, and each lane is taken from the one that holds it.  Element number e is in register e / VM_LANES, but at most
 * the last one. */
#define VM_PART(s, i) ((s) * (i) / VM_LANES < (s) - 1 ? (s) * (i) / VM_LANES : (s) - 1)
#define VM_PART_START(s, j) ((j) < (s) - 1 ? (j) * VM_LANES : ((s) - 1) * (VM_LANES - 1))
#define VM_PART_FIRST(s, i) (VM_PART(s, i) == 0 ? (s) * (i) : VM_PART(s, i) == 1 ? VM_LANES + (s) * (i) - VM_PART_START(s, 1) : 0)
#define VM_PART_NEXT(s, j, i) (VM_PART(s, i) == (j) ? VM_LANES + (s) * (i) - VM_PART_START(s, j) : (i))
#if defined(__clang__)
#define VM_EVERY_2_1(i) , VM_PART_FIRST(2, i)
#define VM_EVERY_3_1(i) , VM_PART_FIRST(3, i)
#define VM_EVERY_3_2(i) , VM_PART_NEXT(3, 2, i)
#define VM_EVERY_4_1(i) , VM_PART_FIRST(4, i)
#define VM_EVERY_4_2(i) , VM_PART_NEXT(4, 2, i)
#define VM_EVERY_4_3(i) , VM_PART_NEXT(4, 3, i)
#else
#define VM_EVERY_2_1(i) VM_PART_FIRST(2, i),
#define VM_EVERY_3_1(i) VM_PART_FIRST(3, i),
#define VM_EVERY_3_2(i) VM_PART_NEXT(3, 2, i),
#define VM_EVERY_4_1(i) VM_PART_FIRST(4, i),
#define VM_EVERY_4_2(i) VM_PART_NEXT(4, 2, i),
#define VM_EVERY_4_3(i) VM_PART_NEXT(4, 3, i),
#endif
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

#endif
