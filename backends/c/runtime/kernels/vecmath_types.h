/* Vectors for every storage type.
 *
 * A generated loop advances by VM_LANES elements, as many floats as a register holds: 16 with AVX-512, 8 with AVX2, 4
 * elsewhere.  So a value of type T is `v_T`: one register or less for types of up to 32 bits, two for the 64-bit ones.
 * (GCC keeps vectors that are wider than a register in memory, and moves them through it between any two operations.)  Arithmetic is written with the operators of the compiler's vector
 * extension.  Comparisons and selections go through functions, because GCC takes a comparison of vectors wider than
 * one register to pieces of one lane each; here the pieces are whole registers.
 *
 * Comparisons give masks: signed integers of the operand's width, 0 or -1 in each lane.
 * <immintrin.h> is avoided on purpose: reading it costs more time than compiling a small kernel.
 */
#ifndef SYMC_VECMATH_TYPES_H
#define SYMC_VECMATH_TYPES_H

#include <stdint.h>

#if defined(__AVX512F__)
#define VM_REGISTER 64
#elif defined(__AVX2__)
#define VM_REGISTER 32
#else
#define VM_REGISTER 16
#endif

#if defined(__has_builtin)
#define VM_HAS_BUILTIN(name) __has_builtin(name)
#else
#define VM_HAS_BUILTIN(name) 0
#endif

/* GCC's own names of AVX-512 instructions; the test for three of them is for a compiler that calls them otherwise. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && \
    !defined(__clang__) && VM_HAS_BUILTIN(__builtin_ia32_rndscaleps_mask) && \
    VM_HAS_BUILTIN(__builtin_ia32_fixupimmps512_mask) && VM_HAS_BUILTIN(__builtin_ia32_loadups512_mask)
#define VM_AVX512_BUILTINS 1
#else
#define VM_AVX512_BUILTINS 0
#endif

#define VM_INLINE static inline __attribute__((always_inline, unused))
/* A function that needs no inlining and is emitted only where it is called. */
#define VM_OUTLINE static __attribute__((noinline, unused))

#define VM_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Types come in classes, named by the bytes that sixteen lanes of them take: 16, 32, 64, 128.  For each class: how many
 * registers hold a value, the size of each of these pieces, and the size of the whole. */
#define VM_COUNT_16 1
#define VM_COUNT_32 1
#define VM_COUNT_64 1
#define VM_COUNT_128 2
#if VM_REGISTER == 64
#define VM_LANES 16
#define VM_PIECE_16 16
#define VM_PIECE_32 32
#define VM_PIECE_64 64
#define VM_PIECE_128 64
#define VM_FIRST_LANES(S) S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7)
#define VM_LAST_LANES(S) S(8) S(9) S(10) S(11) S(12) S(13) S(14) S(15)
#elif VM_REGISTER == 32
#define VM_LANES 8
#define VM_PIECE_16 8
#define VM_PIECE_32 16
#define VM_PIECE_64 32
#define VM_PIECE_128 32
#define VM_FIRST_LANES(S) S(0) S(1) S(2) S(3)
#define VM_LAST_LANES(S) S(4) S(5) S(6) S(7)
#else
#define VM_LANES 4
#define VM_PIECE_16 4
#define VM_PIECE_32 8
#define VM_PIECE_64 16
#define VM_PIECE_128 16
#define VM_FIRST_LANES(S) S(0) S(1)
#define VM_LAST_LANES(S) S(2) S(3)
#endif
#define VM_EACH_LANE(S) VM_FIRST_LANES(S) VM_LAST_LANES(S)
#define VM_BYTES(B) (VM_LANES * (B) / 16)

#define VM_JOIN_(a, b) a##b
#define VM_JOIN(a, b) VM_JOIN_(a, b)

/* VM_EACH(class, S, T): the statement S(i, T) for every piece i of a value of type T.  Written out, since GCC at
 * -O2 does not promise to unroll a short loop, and a loop would force the pieces through memory. */
#define VM_EACH_1(S, T) S(0, T)
#define VM_EACH_2(S, T) S(0, T) S(1, T)
#define VM_EACH(bytes, S, T) VM_JOIN(VM_EACH_, VM_JOIN(VM_COUNT_, bytes))(S, T)


/* Every storage type: X(name, scalar type, class, name of its mask type). */
#define VM_FLOAT_TYPES(X) X(f32, float, 64, i32) X(f64, double, 128, i64)
#define VM_SIGNED_TYPES(X) \
    X(i8, int8_t, 16, i8) X(i16, int16_t, 32, i16) X(i32, int32_t, 64, i32) X(i64, int64_t, 128, i64)
#define VM_UNSIGNED_TYPES(X) \
    X(u8, uint8_t, 16, i8) X(u16, uint16_t, 32, i16) X(u32, uint32_t, 64, i32) X(u64, uint64_t, 128, i64)
#define VM_NARROW_TYPES(X) X(i8, int8_t, 16, i8) X(i16, int16_t, 32, i16) X(u8, uint8_t, 16, i8) X(u16, uint16_t, 32, i16)
/* Types of loops that read and write narrow elements alone: whole registers, of two or four times as many lanes. */
#define VM_WIDE_TYPES(X)                                                                                      \
    X(i8x4, int8_t, 64, i8x4) X(u8x4, uint8_t, 64, i8x4) X(i16x2, int16_t, 64, i16x2) X(u16x2, uint16_t, 64, i16x2) \
    X(i8x2, int8_t, 32, i8x2) X(u8x2, uint8_t, 32, i8x2)
#define VM_ALL_TYPES(X) VM_FLOAT_TYPES(X) VM_SIGNED_TYPES(X) VM_UNSIGNED_TYPES(X)

/* v_T the value, vp_T the piece that fits a register, vu_T both views, va_T a piece at any address. */
#define VM_DEFINE_TYPES(T, S, B, M)                                                \
    typedef S v_##T __attribute__((vector_size(VM_BYTES(B))));                     \
    typedef S vp_##T __attribute__((vector_size(VM_PIECE_##B)));                   \
    typedef S va_##T __attribute__((vector_size(VM_PIECE_##B), aligned(sizeof(S)), may_alias)); \
    typedef union {                                                                \
        v_##T v;                                                                   \
        vp_##T p[VM_COUNT_##B];                                                    \
        S lane[VM_LANES];                                                          \
    } vu_##T;
VM_ALL_TYPES(VM_DEFINE_TYPES)
VM_WIDE_TYPES(VM_DEFINE_TYPES)
#undef VM_DEFINE_TYPES

/* Broadcast.  x - 0 keeps every value, the negative zero included; 0 + x would not. */
#define VM_SET_PIECE(i, T) r.p[i] = x - (vp_##T){0};
#define VM_DEFINE_SET1(T, S, B, M)                \
    VM_INLINE v_##T vset1_##T(S x) {              \
        vu_##T r;                                 \
        VM_EACH(B, VM_SET_PIECE, T) return r.v;   \
    }
VM_ALL_TYPES(VM_DEFINE_SET1)
VM_WIDE_TYPES(VM_DEFINE_SET1)
#undef VM_DEFINE_SET1

#define VM_NUMBER(i) i,
VM_INLINE v_i32 viota_i32(void) { return (v_i32){VM_EACH_LANE(VM_NUMBER)}; }
VM_INLINE v_i64 viota_i64(void) { return (v_i64){VM_EACH_LANE(VM_NUMBER)}; }

#endif
