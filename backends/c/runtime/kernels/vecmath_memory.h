/* Vectors from and to memory: all lanes, the first n, by stride or index, past the caches. */
#ifndef SYMC_VECMATH_MEMORY_H
#define SYMC_VECMATH_MEMORY_H

#include "vecmath_types.h"

/* Memory, register by register, since GCC moves what is wider word by word.  A `_n` form touches the first n lanes alone (0 <= n < VM_LANES is usual, n = VM_LANES allowed). */
#define VM_LOAD_PIECE(i, T) r.p[i] = ((const va_##T *)p)[i];
#define VM_STORE_PIECE(i, T) ((va_##T *)p)[i] = u.p[i];
#define VM_DEFINE_MEMORY(T, S, B, M)                                                              \
    VM_INLINE v_##T vload_##T(const S *p) {                                                       \
        vu_##T r;                                                                                 \
        VM_EACH(B, VM_LOAD_PIECE, T) return r.v;                                                  \
    }                                                                                             \
    VM_INLINE void vstore_##T(S *p, v_##T x) {                                                    \
        const vu_##T u = {x};                                                                     \
        VM_EACH(B, VM_STORE_PIECE, T)                                                             \
    }                                                                                             \
    VM_INLINE v_##T vgather_##T(const S *p, int64_t stride) {                                     \
        vu_##T r;                                                                                 \
        VM_JOIN(VM_STRIDED_, VM_COUNT_##B)(T) return r.v;                                         \
    }                                                                                             \
    VM_INLINE v_##T vgather_n_##T(const S *p, int64_t stride, int64_t n) {                        \
        vu_##T r = {{0}};                                                                         \
        for (int64_t i = 0; i < n; i++) r.lane[i] = p[i * stride];                                \
        return r.v;                                                                               \
    }                                                                                             \
    VM_INLINE void vscatter_##T(S *p, int64_t stride, v_##T x) {                                  \
        VM_JOIN(VM_SCATTERED_, VM_COUNT_##B)(T)                                                   \
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
#define VM_STRIDED_1(T) r.v = (v_##T){VM_EACH_LANE(VM_STRIDED_LANE)};
#define VM_STRIDED_2(T) /* GCC would build a value of two registers in memory */ \
    r.p[0] = (vp_##T){VM_FIRST_LANES(VM_STRIDED_LANE)}, r.p[1] = (vp_##T){VM_LAST_LANES(VM_STRIDED_LANE)};
#define VM_SCATTERED_LANE(i) p[i * stride] = x[i];
#define VM_SCATTERED_FIRST(i) p[i * stride] = u.p[0][i];
#define VM_SCATTERED_LAST(i) p[i * stride] = u.p[1][i - VM_LANES / 2];
#define VM_SCATTERED_1(T) VM_EACH_LANE(VM_SCATTERED_LANE)
#define VM_SCATTERED_2(T) const vu_##T u = {x}; VM_FIRST_LANES(VM_SCATTERED_FIRST) VM_LAST_LANES(VM_SCATTERED_LAST)
#define VM_INDEXED_LANE(i) r.v[i] = p[index[i]];
VM_ALL_TYPES(VM_DEFINE_MEMORY)
#undef VM_DEFINE_MEMORY

/* vfetch_T(p, k): asks for the lines that begin in the k-th vector from p on. */
#define VM_CACHE_LINE 64
#define VM_DEFINE_FETCH(T, S, B, M)                                                         \
    VM_INLINE void vfetch_##T(const S *p, int64_t k) {                                      \
        const char *line = (const char *)p + k * (int64_t)sizeof(v_##T);                    \
        if (k * (int64_t)sizeof(v_##T) % VM_CACHE_LINE == 0) __builtin_prefetch(line);      \
        if (sizeof(v_##T) > VM_CACHE_LINE) __builtin_prefetch(line + VM_CACHE_LINE);        \
    }
VM_ALL_TYPES(VM_DEFINE_FETCH)
#undef VM_DEFINE_FETCH

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

#endif
