/* Positions of 32 bits: integers cut to them, and loads at them, for symc_backends.c.narrow and .bursts. */
#ifndef SYMC_NARROW_H
#define SYMC_NARROW_H

#include "support.h"

/* Vectors limited as sx_limited does.  Floats beyond the range of int64_t, and NaN, become what their conversion to int64_t
 * does: negative. */
VM_INLINE v_i32 vlimited_i64(v_i64 x) {
    return vcast_i64_i32(vmax_i64(vmin_i64(x, vset1_i64(VM_FAR)), vset1_i64(-VM_FAR)));
}
VM_INLINE v_i32 vlimited_u32(v_u32 x) { return (v_i32)vmin_u32(x, vset1_u32(VM_FAR)); }
VM_INLINE v_i32 vlimited_f32(v_f32 x) { /* the conversion of a number out of range is the least integer */
    const v_i32 far = vge_f32(x, vset1_f32(VM_FAR)) & vlt_f32(x, vset1_f32(0x1p63f));
    return vmax_i32(vselect_i32(far, vset1_i32(VM_FAR), vcast_f32_i32(x)), vset1_i32(-VM_FAR));
}
VM_INLINE v_i32 vlimited_f64(v_f64 x) {
    const v_i32 far = vcast_i64_i32(vge_f64(x, vset1_f64(VM_FAR)) & vlt_f64(x, vset1_f64(0x1p63)));
    return vmax_i32(vselect_i32(far, vset1_i32(VM_FAR), vcast_f64_i32(x)), vset1_i32(-VM_FAR));
}

/* vindex32_T(p, at): the elements at the positions `at`, and with _n the first n of them; vburst_T: n elements, one by one.
 * Several loads and stores in a row keep all ports of a processor busy, which the instructions that load at the lanes of a
 * vector do not. The empty instruction keeps compilers from making these of them. */
#define VM_POSITIONED_LANE(i) r.v[i] = p[at[i]];
#define VM_DEFINE_INDEX32(T, S, B, M)                                                                  \
    VM_INLINE v_##T vindex32_##T(const S *p, v_i32 at) {                                               \
        vu_##T r;                                                                                      \
        VM_EACH_LANE(VM_POSITIONED_LANE) return r.v;                                                   \
    }                                                                                                  \
    VM_INLINE v_##T vindex32_n_##T(const S *p, v_i32 at, int64_t n) {                                  \
        vu_##T r = {{0}};                                                                              \
        for (int64_t i = 0; i < n; i++) r.lane[i] = p[at[i]];                                          \
        return r.v;                                                                                    \
    }                                                                                                  \
    VM_OUTLINE void vburst_##T(S *to, const S *p, const int32_t *at, int64_t n) {                     \
        int64_t k = 0;                                                                                 \
        for (; k + 8 <= n; k += 8) {                                                                   \
            const S a = p[at[k]], b = p[at[k + 1]], c = p[at[k + 2]], d = p[at[k + 3]];                \
            const S e = p[at[k + 4]], f = p[at[k + 5]], g = p[at[k + 6]], h = p[at[k + 7]];            \
            to[k] = a, to[k + 1] = b, to[k + 2] = c, to[k + 3] = d;                                    \
            to[k + 4] = e, to[k + 5] = f, to[k + 6] = g, to[k + 7] = h;                                \
            __asm__ volatile("" ::: "memory");                                                         \
        }                                                                                              \
        for (; k < n; k++) {                                                                           \
            to[k] = p[at[k]];                                                                          \
            __asm__ volatile("" ::: "memory");                                                         \
        }                                                                                              \
    }
VM_ALL_TYPES(VM_DEFINE_INDEX32)
#undef VM_DEFINE_INDEX32

#endif
