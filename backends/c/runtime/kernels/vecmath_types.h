/* Vectors for every storage type: load, store, select, compare, convert, reduce.
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
#define VM_EACH_LANE(S) S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7) S(8) S(9) S(10) S(11) S(12) S(13) S(14) S(15)
#elif VM_REGISTER == 32
#define VM_LANES 8
#define VM_PIECE_16 8
#define VM_PIECE_32 16
#define VM_PIECE_64 32
#define VM_PIECE_128 32
#define VM_EACH_LANE(S) S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7)
#else
#define VM_LANES 4
#define VM_PIECE_16 4
#define VM_PIECE_32 8
#define VM_PIECE_64 16
#define VM_PIECE_128 16
#define VM_EACH_LANE(S) S(0) S(1) S(2) S(3)
#endif
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
#define VM_ALL_TYPES(X) VM_FLOAT_TYPES(X) VM_SIGNED_TYPES(X) VM_UNSIGNED_TYPES(X)

/* v_T the value, vp_T the piece that fits a register, vu_T both views, va_T at any address. */
#define VM_DEFINE_TYPES(T, S, B, M)                                                \
    typedef S v_##T __attribute__((vector_size(VM_BYTES(B))));                     \
    typedef S vp_##T __attribute__((vector_size(VM_PIECE_##B)));                   \
    typedef S va_##T __attribute__((vector_size(VM_BYTES(B)), aligned(sizeof(S)), may_alias)); \
    typedef union {                                                                \
        v_##T v;                                                                   \
        vp_##T p[VM_COUNT_##B];                                                    \
        S lane[VM_LANES];                                                          \
    } vu_##T;
VM_ALL_TYPES(VM_DEFINE_TYPES)
#undef VM_DEFINE_TYPES

/* Broadcast.  x - 0 keeps every value, the negative zero included; 0 + x would not. */
#define VM_SET_PIECE(i, T) r.p[i] = x - (vp_##T){0};
#define VM_DEFINE_SET1(T, S, B, M)                \
    VM_INLINE v_##T vset1_##T(S x) {              \
        vu_##T r;                                 \
        VM_EACH(B, VM_SET_PIECE, T) return r.v;   \
    }
VM_ALL_TYPES(VM_DEFINE_SET1)
#undef VM_DEFINE_SET1

#define VM_NUMBER(i) i,
VM_INLINE v_i32 viota_i32(void) { return (v_i32){VM_EACH_LANE(VM_NUMBER)}; }
VM_INLINE v_i64 viota_i64(void) { return (v_i64){VM_EACH_LANE(VM_NUMBER)}; }

/* Memory.  A `_n` form touches the first n lanes alone (0 <= n < VM_LANES is usual, n = VM_LANES allowed). */
#define VM_DEFINE_MEMORY(T, S, B, M)                                                              \
    VM_INLINE v_##T vload_##T(const S *p) { return *(const va_##T *)p; }                          \
    VM_INLINE void vstore_##T(S *p, v_##T x) { *(va_##T *)p = x; }                                \
    VM_INLINE v_##T vgather_##T(const S *p, int64_t stride) {                                     \
        return (v_##T){VM_EACH_LANE(VM_STRIDED_LANE)};                                              \
    }                                                                                             \
    VM_INLINE v_##T vgather_n_##T(const S *p, int64_t stride, int64_t n) {                        \
        vu_##T r = {{0}};                                                                         \
        for (int64_t i = 0; i < n; i++) r.lane[i] = p[i * stride];                                \
        return r.v;                                                                               \
    }                                                                                             \
    VM_INLINE void vscatter_##T(S *p, int64_t stride, v_##T x) {                                  \
        vu_##T r = {x};                                                                           \
        for (int i = 0; i < VM_LANES; i++) p[i * stride] = r.lane[i];                                   \
    }                                                                                             \
    VM_INLINE void vscatter_n_##T(S *p, int64_t stride, v_##T x, int64_t n) {                     \
        vu_##T r = {x};                                                                           \
        for (int64_t i = 0; i < n; i++) p[i * stride] = r.lane[i];                                \
    }                                                                                             \
    VM_INLINE v_##T vindex_##T(const S *p, v_i64 index) {                                         \
        vu_##T r;                                                                                 \
        VM_EACH_LANE(VM_INDEXED_LANE) return r.v;                                                   \
    }                                                                                             \
    VM_INLINE v_##T vindex_n_##T(const S *p, v_i64 index, int64_t n) {                            \
        vu_##T r = {{0}};                                                                         \
        for (int64_t i = 0; i < n; i++) r.lane[i] = p[index[i]];                                  \
        return r.v;                                                                               \
    }
#define VM_STRIDED_LANE(i) p[i * stride],
#define VM_INDEXED_LANE(i) r.v[i] = p[index[i]];
VM_ALL_TYPES(VM_DEFINE_MEMORY)
#undef VM_DEFINE_MEMORY

/* Reading and writing the first n lanes: by masked moves where the machine has them for elements of this size, else in pieces
 * of 8, 4, 2 and 1 of them. A copy of n elements would be a call. */
#if VM_AVX512_BUILTINS
typedef char vb_i8 __attribute__((vector_size(16)));
typedef long long vb_i64 __attribute__((vector_size(64)));
#define VM_FIRST(n) ((uint32_t)((1u << (n)) - 1u))
#define VM_DEFINE_PARTIAL_1(T, S, P, V, LOAD, STORE, K)                                                       \
    VM_INLINE v_##T vload_n_##T(const S *p, int64_t n) {                                                      \
        return (v_##T)LOAD((const P *)(const void *)p, (V){0}, (K)VM_FIRST(n));                               \
    }                                                                                                         \
    VM_INLINE void vstore_n_##T(S *p, v_##T x, int64_t n) { STORE((P *)(void *)p, (V)x, (K)VM_FIRST(n)); }
#define VM_DEFINE_PARTIAL_2(T, S, P, V, LOAD, STORE, K)                                                       \
    VM_INLINE v_##T vload_n_##T(const S *p, int64_t n) {                                                      \
        vu_##T r;                                                                                             \
        r.p[0] = (vp_##T)LOAD((const P *)(const void *)p, (V){0}, (K)VM_FIRST(n));                            \
        r.p[1] = (vp_##T)LOAD((const P *)(const void *)(p + 8), (V){0}, (K)(VM_FIRST(n) >> 8));               \
        return r.v;                                                                                           \
    }                                                                                                         \
    VM_INLINE void vstore_n_##T(S *p, v_##T x, int64_t n) {                                                   \
        vu_##T r = {x};                                                                                       \
        STORE((P *)(void *)p, (V)r.p[0], (K)VM_FIRST(n));                                                     \
        STORE((P *)(void *)(p + 8), (V)r.p[1], (K)(VM_FIRST(n) >> 8));                                        \
    }
#define VM_LOADF __builtin_ia32_loadups512_mask
#define VM_STOREF __builtin_ia32_storeups512_mask
#define VM_LOADD __builtin_ia32_loadupd512_mask
#define VM_STORED __builtin_ia32_storeupd512_mask
#define VM_LOAD8 __builtin_ia32_loaddquqi128_mask
#define VM_STORE8 __builtin_ia32_storedquqi128_mask
#define VM_LOAD16 __builtin_ia32_loaddquhi256_mask
#define VM_STORE16 __builtin_ia32_storedquhi256_mask
#define VM_LOAD32 __builtin_ia32_loaddqusi512_mask
#define VM_STORE32 __builtin_ia32_storedqusi512_mask
#define VM_LOAD64 __builtin_ia32_loaddqudi512_mask
#define VM_STORE64 __builtin_ia32_storedqudi512_mask
VM_DEFINE_PARTIAL_1(f32, float, float, vp_f32, VM_LOADF, VM_STOREF, uint16_t)
VM_DEFINE_PARTIAL_2(f64, double, double, vp_f64, VM_LOADD, VM_STORED, uint8_t)
VM_DEFINE_PARTIAL_1(i8, int8_t, char, vb_i8, VM_LOAD8, VM_STORE8, uint16_t)
VM_DEFINE_PARTIAL_1(u8, uint8_t, char, vb_i8, VM_LOAD8, VM_STORE8, uint16_t)
VM_DEFINE_PARTIAL_1(i16, int16_t, short, vp_i16, VM_LOAD16, VM_STORE16, uint16_t)
VM_DEFINE_PARTIAL_1(u16, uint16_t, short, vp_i16, VM_LOAD16, VM_STORE16, uint16_t)
VM_DEFINE_PARTIAL_1(i32, int32_t, int, vp_i32, VM_LOAD32, VM_STORE32, uint16_t)
VM_DEFINE_PARTIAL_1(u32, uint32_t, int, vp_i32, VM_LOAD32, VM_STORE32, uint16_t)
VM_DEFINE_PARTIAL_2(i64, int64_t, long long, vb_i64, VM_LOAD64, VM_STORE64, uint8_t)
VM_DEFINE_PARTIAL_2(u64, uint64_t, long long, vb_i64, VM_LOAD64, VM_STORE64, uint8_t)
#else
#define VM_SOME_LANES(k)                                                         \
    if ((n & (k)) && (k) <= VM_LANES) {                                          \
        __builtin_memcpy(to + i, from + i, ((k) <= VM_LANES ? (k) : 1) * sizeof *to); \
        i += (k);                                                                \
    }
#define VM_DEFINE_PARTIAL_LOAD(T, S)                  \
    VM_INLINE v_##T vload_n_##T(const S *from, int64_t n) { \
        vu_##T r = {{0}};                             \
        S *to = r.lane;                               \
        int i = 0;                                    \
        VM_SOME_LANES(16) VM_SOME_LANES(8) VM_SOME_LANES(4) VM_SOME_LANES(2) VM_SOME_LANES(1) \
        return r.v;                                   \
    }
#define VM_DEFINE_PARTIAL_STORE(T, S)                            \
    VM_INLINE void vstore_n_##T(S *to, v_##T x, int64_t n) {     \
        const vu_##T r = {x};                                    \
        const S *from = r.lane;                                  \
        int i = 0;                                               \
        VM_SOME_LANES(16) VM_SOME_LANES(8) VM_SOME_LANES(4) VM_SOME_LANES(2) VM_SOME_LANES(1) \
    }
#define VM_DEFINE_PARTIAL(T, S, B, M) VM_JOIN(VM_PARTIAL_LOAD_, B)(T, S) VM_DEFINE_PARTIAL_STORE(T, S)
#define VM_PARTIAL_LOAD_16 VM_DEFINE_PARTIAL_LOAD
#define VM_PARTIAL_LOAD_32 VM_DEFINE_PARTIAL_LOAD
#if VM_REGISTER == 32 && VM_HAS_BUILTIN(__builtin_ia32_maskloadd256) && VM_HAS_BUILTIN(__builtin_ia32_maskloadq256)
/* What is read are whole numbers, whatever they stand for. Masked stores take dozens of steps on some processors. */
typedef int32_t vm_four_bytes __attribute__((vector_size(32), may_alias));
typedef long long vm_eight_bytes __attribute__((vector_size(32), may_alias));
#define VM_PARTIAL_LOAD_64(T, S)                                                                              \
    VM_INLINE v_##T vload_n_##T(const S *p, int64_t n) {                                                      \
        const vm_four_bytes first = viota_i32() < vset1_i32((int32_t)n);                                      \
        return (v_##T)__builtin_ia32_maskloadd256((const vm_four_bytes *)(const void *)p, first);             \
    }
#define VM_PARTIAL_LOAD_128(T, S)                                                                             \
    VM_INLINE v_##T vload_n_##T(const S *p, int64_t n) {                                                      \
        vu_##T r;                                                                                             \
        const vm_eight_bytes lane = {0, 1, 2, 3}, low = lane < (long long)n, high = lane + 4 < (long long)n;  \
        r.p[0] = (vp_##T)__builtin_ia32_maskloadq256((const vm_eight_bytes *)(const void *)p, low);           \
        r.p[1] = (vp_##T)__builtin_ia32_maskloadq256((const vm_eight_bytes *)(const void *)(p + 4), high);    \
        return r.v;                                                                                           \
    }
#else
#define VM_PARTIAL_LOAD_64 VM_DEFINE_PARTIAL_LOAD
#define VM_PARTIAL_LOAD_128 VM_DEFINE_PARTIAL_LOAD
#endif
VM_ALL_TYPES(VM_DEFINE_PARTIAL)
#undef VM_DEFINE_PARTIAL
#endif

/* Streaming stores: past the caches, to addresses that are multiples of 64 bytes (or of the vector's size where
 * that is less).  Call vstream_fence() before another thread may read what was streamed. */
#if defined(__clang__)
#define VM_STREAM_PIECE(i, T) __builtin_nontemporal_store(u.p[i], q + i);
VM_INLINE void vstream_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#elif defined(__SSE2__)
typedef float vr_16 __attribute__((vector_size(16)));
typedef float vr_32 __attribute__((vector_size(32)));
typedef float vr_64 __attribute__((vector_size(64)));
typedef float vr_8 __attribute__((vector_size(8)));
typedef int32_t vr_4;
VM_INLINE void vstream_piece_4(void *p, vr_4 x) { __builtin_memcpy(p, &x, 4); }
VM_INLINE void vstream_piece_8(void *p, vr_8 x) { __builtin_memcpy(p, &x, 8); }
VM_INLINE void vstream_piece_16(void *p, vr_16 x) { __builtin_ia32_movntps((float *)p, x); }
#if VM_REGISTER >= 32
VM_INLINE void vstream_piece_32(void *p, vr_32 x) { __builtin_ia32_movntps256((float *)p, x); }
#endif
#if VM_REGISTER >= 64
VM_INLINE void vstream_piece_64(void *p, vr_64 x) { __builtin_ia32_movntps512((float *)p, x); }
#endif
#define VM_STREAM_PIECE(i, T) \
    VM_JOIN(vstream_piece_, VM_PIECE_OF_##T)(q + i, (VM_JOIN(vr_, VM_PIECE_OF_##T))u.p[i]);
VM_INLINE void vstream_fence(void) { __builtin_ia32_sfence(); }
#else
#define VM_STREAM_PIECE(i, T) q[i] = u.p[i];
VM_INLINE void vstream_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#endif
#define VM_PIECE_OF_f32 VM_PIECE_64
#define VM_PIECE_OF_f64 VM_PIECE_128
#define VM_PIECE_OF_i8 VM_PIECE_16
#define VM_PIECE_OF_i16 VM_PIECE_32
#define VM_PIECE_OF_i32 VM_PIECE_64
#define VM_PIECE_OF_i64 VM_PIECE_128
#define VM_PIECE_OF_u8 VM_PIECE_16
#define VM_PIECE_OF_u16 VM_PIECE_32
#define VM_PIECE_OF_u32 VM_PIECE_64
#define VM_PIECE_OF_u64 VM_PIECE_128
#define VM_DEFINE_STREAM(T, S, B, M)             \
    VM_INLINE void vstream_##T(S *p, v_##T x) {  \
        vu_##T u = {x};                          \
        vp_##T *q = (vp_##T *)(void *)p;         \
        VM_EACH(B, VM_STREAM_PIECE, T)           \
    }
VM_ALL_TYPES(VM_DEFINE_STREAM)
#undef VM_DEFINE_STREAM

/* A store past the caches where `past` says so and the address allows it; and the number of elements in front of the first
 * address that does.  The empty instruction keeps compilers from making a second copy of the loop around. */
#define VM_LINE(B) (VM_BYTES(B) < 64 ? VM_BYTES(B) : 64)
#define VM_DEFINE_PUT(T, S, B, M)                                                      \
    VM_INLINE void vput_##T(S *p, v_##T x, int past) {                                 \
        __asm__("" : "+r"(past));                                                      \
        if (past && (uint64_t)p % VM_LINE(B) == 0) vstream_##T(p, x);                  \
        else vstore_##T(p, x);                                                         \
    }                                                                                  \
    VM_INLINE int64_t vhead_##T(const S *p) {                                          \
        return (int64_t)(-(uint64_t)p % VM_LINE(B) / sizeof(S));                       \
    }
VM_ALL_TYPES(VM_DEFINE_PUT)
#undef VM_DEFINE_PUT

/* Selection, a where the mask is set, else b.  Macros, because GCC 12 makes one masked move of this expression only
 * if it meets the comparison and the selection in the same function. */
#define VM_BLEND(T, M, m, a, b)                                         \
    __extension__({                                                     \
        M vm_mask = (m);                                                \
        T vm_yes = (a), vm_no = (b);                                    \
        (T)((vm_mask & (M)vm_yes) | (~vm_mask & (M)vm_no));             \
    })
#define VM_BLEND_PIECE(i, T)                                            \
    vm_out.p[i] = (vp_##T)((vm_mask.p[i] & (vm_bits)vm_yes.p[i]) | (~vm_mask.p[i] & (vm_bits)vm_no.p[i]));
#define VM_SELECT_MANY(T, B, M, m, a, b)                                \
    __extension__({                                                     \
        typedef vp_##M vm_bits;                                         \
        vu_##M vm_mask = {m};                                           \
        vu_##T vm_yes = {a}, vm_no = {b}, vm_out;                       \
        VM_EACH(B, VM_BLEND_PIECE, T)                                   \
        vm_out.v;                                                       \
    })
#define VM_SELECT_1(T, B, M, m, a, b) VM_BLEND(v_##T, v_##M, m, a, b)
#define VM_SELECT_2(T, B, M, m, a, b) VM_SELECT_MANY(T, B, M, m, a, b)
#define VM_SELECT(T, B, M, m, a, b) VM_JOIN(VM_SELECT_, VM_COUNT_##B)(T, B, M, m, a, b)
#define vselect_f32(m, a, b) VM_SELECT(f32, 64, i32, m, a, b)
#define vselect_f64(m, a, b) VM_SELECT(f64, 128, i64, m, a, b)
#define vselect_i8(m, a, b) VM_SELECT(i8, 16, i8, m, a, b)
#define vselect_i16(m, a, b) VM_SELECT(i16, 32, i16, m, a, b)
#define vselect_i32(m, a, b) VM_SELECT(i32, 64, i32, m, a, b)
#define vselect_i64(m, a, b) VM_SELECT(i64, 128, i64, m, a, b)
#define vselect_u8(m, a, b) VM_SELECT(u8, 16, i8, m, a, b)
#define vselect_u16(m, a, b) VM_SELECT(u16, 32, i16, m, a, b)
#define vselect_u32(m, a, b) VM_SELECT(u32, 64, i32, m, a, b)
#define vselect_u64(m, a, b) VM_SELECT(u64, 128, i64, m, a, b)

/* Comparisons. */
#define VM_COMPARE_PIECE(i, OP) r.p[i] = x.p[i] OP y.p[i];
#define VM_COMPARE_MANY(T, M, OP, COUNT)          \
    vu_##T x = {a}, y = {b};                      \
    vu_##M r;                                     \
    VM_JOIN(VM_EACH_, COUNT)(VM_COMPARE_PIECE, OP) return r.v;
/* Where one register is enough nothing may pass through a union: the fold to a masked move comes before unions go. */
#define VM_COMPARE_1(T, M, OP) return (v_##M)(a OP b);
#define VM_COMPARE_2(T, M, OP) VM_COMPARE_MANY(T, M, OP, 2)
#define VM_DEFINE_COMPARE(NAME, OP, T, B, M) \
    VM_INLINE v_##M NAME##_##T(v_##T a, v_##T b) { VM_JOIN(VM_COMPARE_, VM_COUNT_##B)(T, M, OP) }
#define VM_DEFINE_CHOICE(T, S, B, M)                                                \
    VM_DEFINE_COMPARE(vlt, <, T, B, M)                                    \
    VM_DEFINE_COMPARE(vle, <=, T, B, M)                                    \
    VM_DEFINE_COMPARE(vgt, >, T, B, M)                                    \
    VM_DEFINE_COMPARE(vge, >=, T, B, M)                                    \
    VM_DEFINE_COMPARE(veq, ==, T, B, M)                                    \
    VM_DEFINE_COMPARE(vne, !=, T, B, M)
VM_ALL_TYPES(VM_DEFINE_CHOICE)
#undef VM_DEFINE_CHOICE

/* Sum, product, minimum and maximum of pieces and of whole values.  A NaN in either operand of an extremum wins, as
 * in numpy.minimum; for integers the test for it disappears. */
#define VM_PIECE_MIN(i, T) r.p[i] = vpmin_##T(x.p[i], y.p[i]);
#define VM_PIECE_MAX(i, T) r.p[i] = vpmax_##T(x.p[i], y.p[i]);
#define VM_DEFINE_PIECE_EXTREMA(T, S, B, M)                                                          \
    VM_INLINE vp_##T vpmin_##T(vp_##T a, vp_##T b) {                                                 \
        vp_##T r = VM_BLEND(vp_##T, vp_##M, (vp_##M)(b < a), b, a);                                  \
        return VM_BLEND(vp_##T, vp_##M, (vp_##M)(b != b), b, r);                                     \
    }                                                                                                \
    VM_INLINE vp_##T vpmax_##T(vp_##T a, vp_##T b) {                                                 \
        vp_##T r = VM_BLEND(vp_##T, vp_##M, (vp_##M)(b > a), b, a);                                  \
        return VM_BLEND(vp_##T, vp_##M, (vp_##M)(b != b), b, r);                                     \
    }
VM_SIGNED_TYPES(VM_DEFINE_PIECE_EXTREMA)
VM_UNSIGNED_TYPES(VM_DEFINE_PIECE_EXTREMA)
/* The machine's extrema of (b, a) give a where the two are equal or either is a NaN, as the comparisons above do: only
 * a NaN in b is left to restore, which AVX-512 does in one instruction. */
#if VM_AVX512_BUILTINS
#define VM_DEFINE_FLOAT_EXTREMA(T, M, K, SUFFIX)                                                     \
    VM_INLINE vp_##T vpmin_##T(vp_##T a, vp_##T b) {                                                 \
        vp_##T r = __builtin_ia32_min##SUFFIX##512_mask(b, a, b, (K)-1, 4);                          \
        return __builtin_ia32_fixupimm##SUFFIX##512_mask(r, b, (M){0} + 0x11, 0, (K)-1, 4);          \
    }                                                                                                \
    VM_INLINE vp_##T vpmax_##T(vp_##T a, vp_##T b) {                                                 \
        vp_##T r = __builtin_ia32_max##SUFFIX##512_mask(b, a, b, (K)-1, 4);                          \
        return __builtin_ia32_fixupimm##SUFFIX##512_mask(r, b, (M){0} + 0x11, 0, (K)-1, 4);          \
    }
VM_DEFINE_FLOAT_EXTREMA(f32, vp_i32, uint16_t, ps)
VM_DEFINE_FLOAT_EXTREMA(f64, vb_i64, uint8_t, pd)
#undef VM_DEFINE_FLOAT_EXTREMA
#elif VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
#define VM_DEFINE_FLOAT_EXTREMA(T, M, SUFFIX)                                                        \
    VM_INLINE vp_##T vpmin_##T(vp_##T a, vp_##T b) {                                                 \
        vp_##T r = __builtin_ia32_min##SUFFIX##256(b, a);                                            \
        return VM_BLEND(vp_##T, vp_##M, (vp_##M)(b != b), b, r);                                     \
    }                                                                                                \
    VM_INLINE vp_##T vpmax_##T(vp_##T a, vp_##T b) {                                                 \
        vp_##T r = __builtin_ia32_max##SUFFIX##256(b, a);                                            \
        return VM_BLEND(vp_##T, vp_##M, (vp_##M)(b != b), b, r);                                     \
    }
VM_DEFINE_FLOAT_EXTREMA(f32, i32, ps)
VM_DEFINE_FLOAT_EXTREMA(f64, i64, pd)
#undef VM_DEFINE_FLOAT_EXTREMA
#else
VM_FLOAT_TYPES(VM_DEFINE_PIECE_EXTREMA)
#endif
#undef VM_DEFINE_PIECE_EXTREMA
#define VM_DEFINE_EXTREMA(T, S, B, M)                                                                \
    VM_INLINE vp_##T vpadd_##T(vp_##T a, vp_##T b) { return a + b; }                                 \
    VM_INLINE vp_##T vpmul_##T(vp_##T a, vp_##T b) { return a * b; }                                 \
    VM_INLINE v_##T vmin_##T(v_##T a, v_##T b) {                                                     \
        vu_##T x = {a}, y = {b}, r;                                                                  \
        VM_EACH(B, VM_PIECE_MIN, T) return r.v;                                                      \
    }                                                                                                \
    VM_INLINE v_##T vmax_##T(v_##T a, v_##T b) {                                                     \
        vu_##T x = {a}, y = {b}, r;                                                                  \
        VM_EACH(B, VM_PIECE_MAX, T) return r.v;                                                      \
    }
VM_ALL_TYPES(VM_DEFINE_EXTREMA)
#undef VM_DEFINE_EXTREMA

/* An accumulator of a 64-bit type is two variables, a register each, `<name>_0` and `<name>_1`: one value that is wider
 * than a register, or a union, GCC would keep in memory from one iteration to the next, or from one loop to another. */
#define VM_ACCUMULATE(T, name, x) vp_##T name##_0, name##_1; VM_REFILL(T, name, x)
#define VM_REFILL(T, name, x)                                                \
    do {                                                                     \
        const vu_##T vm_first = {vset1_##T(x)};                              \
        name##_0 = vm_first.p[0], name##_1 = vm_first.p[1];                  \
    } while (0)
#define VM_FOLD(OP, T, name, x)                                              \
    do {                                                                     \
        const vu_##T vm_fold = {x};                                          \
        name##_0 = vp##OP##_##T(name##_0, vm_fold.p[0]);                     \
        name##_1 = vp##OP##_##T(name##_1, vm_fold.p[1]);                     \
    } while (0)
/* Accumulator `other` joins `name`. */
#define VM_MEET(OP, T, name, other)                                          \
    (name##_0 = vp##OP##_##T(name##_0, other##_0), name##_1 = vp##OP##_##T(name##_1, other##_1))
#define VM_TOTAL(OP, T, name) vreduce_##OP##_##T(((vu_##T){.p = {name##_0, name##_1}}).v)

/* Horizontal reductions: first between registers, then lane i with lane i + half of them, until one is left. */
#if defined(__clang__)
#define VM_ROTATE(M, x, ...) __builtin_shufflevector(x, x, __VA_ARGS__)
#else
#define VM_ROTATE(M, x, ...) __builtin_shuffle(x, (vp_##M){__VA_ARGS__})
#endif
#define VM_WITHIN_16(F, M, r)                                                              \
    r = F(r, VM_ROTATE(M, r, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));       \
    r = F(r, VM_ROTATE(M, r, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3));       \
    r = F(r, VM_ROTATE(M, r, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1));       \
    r = F(r, VM_ROTATE(M, r, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0));
#define VM_WITHIN_8(F, M, r)                                \
    r = F(r, VM_ROTATE(M, r, 4, 5, 6, 7, 0, 1, 2, 3));      \
    r = F(r, VM_ROTATE(M, r, 2, 3, 4, 5, 6, 7, 0, 1));      \
    r = F(r, VM_ROTATE(M, r, 1, 2, 3, 4, 5, 6, 7, 0));
#define VM_WITHIN_4(F, M, r)                    \
    r = F(r, VM_ROTATE(M, r, 2, 3, 0, 1));      \
    r = F(r, VM_ROTATE(M, r, 1, 2, 3, 0));
#define VM_WITHIN_2(F, M, r) r = F(r, VM_ROTATE(M, r, 1, 0));
#if VM_LANES == 16
#define VM_ACROSS_1(F, M, p) p[0]; VM_WITHIN_16(F, M, r)
#define VM_ACROSS_2(F, M, p) F(p[0], p[1]); VM_WITHIN_8(F, M, r)
#elif VM_LANES == 8
#define VM_ACROSS_1(F, M, p) p[0]; VM_WITHIN_8(F, M, r)
#define VM_ACROSS_2(F, M, p) F(p[0], p[1]); VM_WITHIN_4(F, M, r)
#else
#define VM_ACROSS_1(F, M, p) p[0]; VM_WITHIN_4(F, M, r)
#define VM_ACROSS_2(F, M, p) F(p[0], p[1]); VM_WITHIN_2(F, M, r)
#endif
#define VM_DEFINE_REDUCTION(NAME, F, T, S, B, M)                                     \
    VM_INLINE S vreduce_##NAME##_##T(v_##T x) {                                      \
        vu_##T u = {x};                                                              \
        vp_##T r = VM_JOIN(VM_ACROSS_, VM_COUNT_##B)(F##_##T, M, u.p) return r[0];   \
    }
#define VM_DEFINE_REDUCTIONS(T, S, B, M)         \
    VM_DEFINE_REDUCTION(add, vpadd, T, S, B, M)  \
    VM_DEFINE_REDUCTION(mul, vpmul, T, S, B, M)  \
    VM_DEFINE_REDUCTION(min, vpmin, T, S, B, M)  \
    VM_DEFINE_REDUCTION(max, vpmax, T, S, B, M)
VM_ALL_TYPES(VM_DEFINE_REDUCTIONS)
#undef VM_DEFINE_REDUCTIONS

/* Whether any lane of a mask is set. */
#define VM_PIECE_OR(i, T) r |= u.p[i];
#if VM_AVX512_BUILTINS
VM_INLINE int vany_i32(v_i32 m) { return __builtin_ia32_ptestmd512(m, m, (uint16_t)-1) != 0; }
VM_INLINE int vany_i64(v_i64 m) {
    vu_i64 u = {m};
    vb_i64 r = (vb_i64)(u.p[0] | u.p[1]);
    return __builtin_ia32_ptestmq512(r, r, (uint8_t)-1) != 0;
}
#elif defined(__SSE2__) && !defined(__AVX512F__)
typedef float vm_signs __attribute__((vector_size(VM_REGISTER)));
#if VM_REGISTER == 32
#define VM_SIGNS(m) __builtin_ia32_movmskps256((vm_signs)(m))
#else
#define VM_SIGNS(m) __builtin_ia32_movmskps((vm_signs)(m))
#endif
VM_INLINE int vany_i32(v_i32 m) { return VM_SIGNS(m) != 0; }
VM_INLINE int vany_i64(v_i64 m) {
    vu_i64 u = {m};
    return VM_SIGNS(u.p[0] | u.p[1]) != 0; /* the words' upper halves are enough, and the lower ones say the same */
}
#else
#define VM_DEFINE_ANY(T, S, B, M)                  \
    VM_INLINE int vany_##T(v_##T m) {              \
        vu_##T u = {m};                            \
        vp_##T r = {0};                            \
        VM_EACH(B, VM_PIECE_OR, T)                 \
        union { vp_##T v; uint64_t w[VM_PIECE_##B / 8]; } bits = {r};                    \
        uint64_t all = 0;                          \
        for (int i = 0; i < VM_PIECE_##B / 8; i++) all |= bits.w[i]; \
        return all != 0;                           \
    }
VM_DEFINE_ANY(i32, int32_t, 64, i32)
VM_DEFINE_ANY(i64, int64_t, 128, i64)
#undef VM_DEFINE_ANY
#endif

/* Conversions, vcast_<from>_<to>(x).  A float outside the range of an integer type gives what the scalar conversion
 * of C gives on x86, so narrow targets pass through a wider one.  Narrow integers become wider ones in steps, for each
 * of which there is an instruction: compilers convert lane by lane otherwise. */
#define VM_CONVERT(x, T) __builtin_convertvector(x, v_##T)
#if VM_AVX512_BUILTINS /* of the general form GCC 12 makes, without optimisation, an instruction that it does not know */
typedef int32_t vh_i32 __attribute__((vector_size(32)));
VM_INLINE v_f64 vcast_i32_f64(v_i32 x) {
    union {
        v_i32 v;
        vh_i32 half[2];
    } u = {x};
    vu_f64 r;
    r.p[0] = __builtin_ia32_cvtdq2pd512_mask(u.half[0], (vp_f64){0}, (uint8_t)-1);
    r.p[1] = __builtin_ia32_cvtdq2pd512_mask(u.half[1], (vp_f64){0}, (uint8_t)-1);
    return r.v;
}
#else
#define vcast_i32_f64(x) VM_CONVERT(x, f64)
#endif
VM_INLINE v_u64 vcast_f64_u64(v_f64 x) {
    v_i64 big = vge_f64(x, vset1_f64(0x1p63));
    v_i64 low = VM_CONVERT(x - (v_f64)(big & (v_i64)vset1_f64(0x1p63)), i64);
    return (v_u64)low ^ ((v_u64)big << 63);
}
#define vcast_f32_f32(x) (x)
#define vcast_f32_f64(x) VM_CONVERT(x, f64)
#define vcast_f32_i8(x) VM_CONVERT(VM_CONVERT(x, i32), i8)
#define vcast_f32_i16(x) VM_CONVERT(VM_CONVERT(x, i32), i16)
#define vcast_f32_i32(x) VM_CONVERT(x, i32)
#define vcast_f32_i64(x) VM_CONVERT(x, i64)
#define vcast_f32_u8(x) VM_CONVERT(VM_CONVERT(x, i32), u8)
#define vcast_f32_u16(x) VM_CONVERT(VM_CONVERT(x, i32), u16)
#define vcast_f32_u32(x) VM_CONVERT(VM_CONVERT(x, i64), u32)
#define vcast_f32_u64(x) vcast_f64_u64(VM_CONVERT(x, f64))
#define vcast_f64_f32(x) VM_CONVERT(x, f32)
#define vcast_f64_f64(x) (x)
#define vcast_f64_i8(x) VM_CONVERT(VM_CONVERT(x, i32), i8)
#define vcast_f64_i16(x) VM_CONVERT(VM_CONVERT(x, i32), i16)
#define vcast_f64_i32(x) VM_CONVERT(x, i32)
#define vcast_f64_i64(x) VM_CONVERT(x, i64)
#define vcast_f64_u8(x) VM_CONVERT(VM_CONVERT(x, i32), u8)
#define vcast_f64_u16(x) VM_CONVERT(VM_CONVERT(x, i32), u16)
#define vcast_f64_u32(x) VM_CONVERT(VM_CONVERT(x, i64), u32)
#define vcast_i8_f32(x) VM_CONVERT(vcast_i8_i32(x), f32)
#define vcast_i8_f64(x) VM_CONVERT(vcast_i8_i32(x), f64)
#define vcast_i8_i8(x) (x)
#define vcast_i8_i16(x) VM_CONVERT(x, i16)
#define vcast_i8_i32(x) VM_CONVERT(VM_CONVERT(x, i16), i32)
#define vcast_i8_i64(x) VM_CONVERT(vcast_i8_i32(x), i64)
#define vcast_i8_u8(x) VM_CONVERT(x, u8)
#define vcast_i8_u16(x) VM_CONVERT(x, u16)
#define vcast_i8_u32(x) VM_CONVERT(x, u32)
#define vcast_i8_u64(x) VM_CONVERT(x, u64)
#define vcast_i16_f32(x) VM_CONVERT(VM_CONVERT(x, i32), f32)
#define vcast_i16_f64(x) VM_CONVERT(VM_CONVERT(x, i32), f64)
#define vcast_i16_i8(x) VM_CONVERT(x, i8)
#define vcast_i16_i16(x) (x)
#define vcast_i16_i32(x) VM_CONVERT(x, i32)
#define vcast_i16_i64(x) VM_CONVERT(VM_CONVERT(x, i32), i64)
#define vcast_i16_u8(x) VM_CONVERT(x, u8)
#define vcast_i16_u16(x) VM_CONVERT(x, u16)
#define vcast_i16_u32(x) VM_CONVERT(x, u32)
#define vcast_i16_u64(x) VM_CONVERT(x, u64)
#define vcast_i32_f32(x) VM_CONVERT(x, f32)
#define vcast_i32_i8(x) VM_CONVERT(x, i8)
#define vcast_i32_i16(x) VM_CONVERT(x, i16)
#define vcast_i32_i32(x) (x)
#define vcast_i32_i64(x) VM_CONVERT(x, i64)
#define vcast_i32_u8(x) VM_CONVERT(x, u8)
#define vcast_i32_u16(x) VM_CONVERT(x, u16)
#define vcast_i32_u32(x) VM_CONVERT(x, u32)
#define vcast_i32_u64(x) VM_CONVERT(x, u64)
#define vcast_i64_f32(x) VM_CONVERT(x, f32)
#define vcast_i64_f64(x) VM_CONVERT(x, f64)
#define vcast_i64_i8(x) VM_CONVERT(x, i8)
#define vcast_i64_i16(x) VM_CONVERT(x, i16)
#define vcast_i64_i32(x) VM_CONVERT(x, i32)
#define vcast_i64_i64(x) (x)
#define vcast_i64_u8(x) VM_CONVERT(x, u8)
#define vcast_i64_u16(x) VM_CONVERT(x, u16)
#define vcast_i64_u32(x) VM_CONVERT(x, u32)
#define vcast_i64_u64(x) VM_CONVERT(x, u64)
#define vcast_u8_f32(x) VM_CONVERT(vcast_u8_i32(x), f32)
#define vcast_u8_f64(x) VM_CONVERT(vcast_u8_i32(x), f64)
#define vcast_u8_i8(x) VM_CONVERT(x, i8)
#define vcast_u8_i16(x) VM_CONVERT(x, i16)
#define vcast_u8_i32(x) VM_CONVERT(VM_CONVERT(x, u16), i32)
#define vcast_u8_i64(x) VM_CONVERT(vcast_u8_i32(x), i64)
#define vcast_u8_u8(x) (x)
#define vcast_u8_u16(x) VM_CONVERT(x, u16)
#define vcast_u8_u32(x) VM_CONVERT(x, u32)
#define vcast_u8_u64(x) VM_CONVERT(x, u64)
#define vcast_u16_f32(x) VM_CONVERT(VM_CONVERT(x, i32), f32)
#define vcast_u16_f64(x) VM_CONVERT(VM_CONVERT(x, i32), f64)
#define vcast_u16_i8(x) VM_CONVERT(x, i8)
#define vcast_u16_i16(x) VM_CONVERT(x, i16)
#define vcast_u16_i32(x) VM_CONVERT(x, i32)
#define vcast_u16_i64(x) VM_CONVERT(VM_CONVERT(x, i32), i64)
#define vcast_u16_u8(x) VM_CONVERT(x, u8)
#define vcast_u16_u16(x) (x)
#define vcast_u16_u32(x) VM_CONVERT(x, u32)
#define vcast_u16_u64(x) VM_CONVERT(x, u64)
#define vcast_u32_f32(x) VM_CONVERT(x, f32)
#define vcast_u32_f64(x) VM_CONVERT(x, f64)
#define vcast_u32_i8(x) VM_CONVERT(x, i8)
#define vcast_u32_i16(x) VM_CONVERT(x, i16)
#define vcast_u32_i32(x) VM_CONVERT(x, i32)
#define vcast_u32_i64(x) VM_CONVERT(x, i64)
#define vcast_u32_u8(x) VM_CONVERT(x, u8)
#define vcast_u32_u16(x) VM_CONVERT(x, u16)
#define vcast_u32_u32(x) (x)
#define vcast_u32_u64(x) VM_CONVERT(x, u64)
#define vcast_u64_f32(x) VM_CONVERT(x, f32)
#define vcast_u64_f64(x) VM_CONVERT(x, f64)
#define vcast_u64_i8(x) VM_CONVERT(x, i8)
#define vcast_u64_i16(x) VM_CONVERT(x, i16)
#define vcast_u64_i32(x) VM_CONVERT(x, i32)
#define vcast_u64_i64(x) VM_CONVERT(x, i64)
#define vcast_u64_u8(x) VM_CONVERT(x, u8)
#define vcast_u64_u16(x) VM_CONVERT(x, u16)
#define vcast_u64_u32(x) VM_CONVERT(x, u32)
#define vcast_u64_u64(x) (x)

#endif
