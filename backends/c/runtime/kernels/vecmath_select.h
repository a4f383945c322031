/* Selection by masks, comparisons, and extrema of vectors. */
#ifndef SYMC_VECMATH_SELECT_H
#define SYMC_VECMATH_SELECT_H

#include "vecmath_memory.h"

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
#define VM_DEFINE_COMPARISONS(T, S, B, M)                                           \
    VM_DEFINE_COMPARE(vlt, <, T, B, M)                                    \
    VM_DEFINE_COMPARE(vle, <=, T, B, M)                                    \
    VM_DEFINE_COMPARE(vgt, >, T, B, M)                                    \
    VM_DEFINE_COMPARE(vge, >=, T, B, M)                                    \
    VM_DEFINE_COMPARE(veq, ==, T, B, M)                                    \
    VM_DEFINE_COMPARE(vne, !=, T, B, M)
VM_ALL_TYPES(VM_DEFINE_COMPARISONS)

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
#if VM_AVX512_BUILTINS
#define VM_DEFINE_INTEGER_EXTREMA(T, V, K, SUFFIX)                                                   \
    VM_INLINE vp_##T vpmin_##T(vp_##T a, vp_##T b) {                                                 \
        return (vp_##T)__builtin_ia32_pmin##SUFFIX##512_mask((V)a, (V)b, (V)a, (K)-1);               \
    }                                                                                                \
    VM_INLINE vp_##T vpmax_##T(vp_##T a, vp_##T b) {                                                 \
        return (vp_##T)__builtin_ia32_pmax##SUFFIX##512_mask((V)a, (V)b, (V)a, (K)-1);               \
    }
VM_DEFINE_INTEGER_EXTREMA(i32, vp_i32, uint16_t, sd)
VM_DEFINE_INTEGER_EXTREMA(u32, vp_i32, uint16_t, ud)
VM_DEFINE_INTEGER_EXTREMA(i64, vb_i64, uint8_t, sq)
VM_DEFINE_INTEGER_EXTREMA(u64, vb_i64, uint8_t, uq)
VM_NARROW_TYPES(VM_DEFINE_PIECE_EXTREMA)
#elif VM_REGISTER == 32 && defined(__GNUC__) && !defined(__clang__)
#define VM_DEFINE_INTEGER_EXTREMA(T, SUFFIX)                                                         \
    VM_INLINE vp_##T vpmin_##T(vp_##T a, vp_##T b) {                                                 \
        return (vp_##T)__builtin_ia32_pmin##SUFFIX##256((vp_i32)a, (vp_i32)b);                       \
    }                                                                                                \
    VM_INLINE vp_##T vpmax_##T(vp_##T a, vp_##T b) {                                                 \
        return (vp_##T)__builtin_ia32_pmax##SUFFIX##256((vp_i32)a, (vp_i32)b);                       \
    }
VM_DEFINE_INTEGER_EXTREMA(i32, sd)
VM_DEFINE_INTEGER_EXTREMA(u32, ud)
VM_DEFINE_PIECE_EXTREMA(i64, int64_t, 128, i64)
VM_DEFINE_PIECE_EXTREMA(u64, uint64_t, 128, i64)
VM_NARROW_TYPES(VM_DEFINE_PIECE_EXTREMA)
#else
VM_SIGNED_TYPES(VM_DEFINE_PIECE_EXTREMA)
VM_UNSIGNED_TYPES(VM_DEFINE_PIECE_EXTREMA)
#endif
#undef VM_DEFINE_INTEGER_EXTREMA
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

#endif
