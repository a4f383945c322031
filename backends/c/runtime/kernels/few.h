/* Few elements of 32 bits, distributed to the lanes of a vector: lane k has element (at + k) / length, or
 * (at + k) % length, or the former of row (at + k) % length, if rows are `apart`. Only the first `lanes` lanes count, and
 * no element is read that none of these has, in its own row or another.
 */
#ifndef SYMC_FEW_H
#define SYMC_FEW_H

#include "turn.h"
#include "vecmath_values.h"

/* Quotients of numbers below 2 * VM_LANES are exact so, for lengths of up to as many. */
VM_INLINE v_i32 vquotients(v_i32 x, int32_t length) { return (x * ((65535 + length) / length)) >> 16; }

#if defined(__clang__)
#define VM_DEFINE_PICK(T)                                                                                     \
    VM_INLINE v_##T vpick_##T(v_##T x, v_i32 places) {                                                        \
        union { v_##T v; uint32_t lane[VM_LANES]; } from = {x}, to;                                           \
        union { v_i32 v; int32_t lane[VM_LANES]; } place = {places};                                          \
        for (int i = 0; i < VM_LANES; i++) to.lane[i] = from.lane[place.lane[i] & (VM_LANES - 1)];            \
        return to.v;                                                                                          \
    }
#else
#define VM_DEFINE_PICK(T)                                                                                     \
    VM_INLINE v_##T vpick_##T(v_##T x, v_i32 places) { return __builtin_shuffle(x, places); }
#endif

#define VM_DEFINE_FEW(T, S)                                                                                   \
    VM_DEFINE_PICK(T)                                                                                         \
    VM_INLINE v_##T vreversed_n_##T(const S *last, int64_t n) {                                               \
        return vpick_##T(vload_n_##T(last - (n - 1), n), (int32_t)(n - 1) - viota_i32());                     \
    }                                                                                                         \
    VM_INLINE v_##T vrepeat_##T(const S *p, int64_t at, int64_t length, int64_t lanes) {                      \
        int64_t first = at / length;                                                                          \
        int32_t skipped = (int32_t)(at - first * length), count = (skipped + (int32_t)lanes - 1) / (int32_t)length + 1; \
        return vpick_##T(vload_n_##T(p + first, count), vquotients(viota_i32() + skipped, (int32_t)length));  \
    }                                                                                                         \
    VM_INLINE v_##T vcycle_##T(const S *p, int64_t at, int64_t length, int64_t lanes) {                       \
        v_i32 place = viota_i32() + (int32_t)(at % length);                                                   \
        place -= vquotients(place, (int32_t)length) * (int32_t)length;                                        \
        if (length <= VM_LANES) return vpick_##T(vload_n_##T(p, length), place);                              \
        union { v_i32 v; int32_t lane[VM_LANES]; } from = {place};                                            \
        union { v_##T v; S lane[VM_LANES]; } to = {(v_##T){0}};                                               \
        for (int i = 0; i < lanes; i++) to.lane[i] = p[from.lane[i]];                                         \
        return to.v;                                                                                          \
    }                                                                                                         \
    VM_INLINE v_##T vcross_##T(const S *p, int64_t at, int64_t length, int64_t apart, int64_t lanes) {        \
        int64_t first = at / length;                                                                          \
        int32_t skipped = (int32_t)(at - first * length), count = (skipped + (int32_t)lanes - 1) / (int32_t)length + 1; \
        const v_i32 lane = viota_i32() + skipped, place = vquotients(lane, (int32_t)length);                  \
        const v_i32 row = lane - place * (int32_t)length;                                                     \
        v_##T r = vpick_##T(vload_n_##T(p + first, count), place);                                            \
        for (int64_t k = 1; k < length; k++) {                                                                \
            const v_##T next = vpick_##T(vload_n_##T(p + k * apart + first, count), place);                   \
            r = vselect_##T(veq_i32(row, vset1_i32((int32_t)k)), next, r);                                    \
        }                                                                                                     \
        return r;                                                                                             \
    }
VM_DEFINE_FEW(f32, float)
VM_DEFINE_FEW(i32, int32_t)
VM_DEFINE_FEW(u32, uint32_t)
#undef VM_DEFINE_FEW

/* vrepeat3_T: as vrepeat, of every third element; and so for 2 and 4. */
#define VM_DEFINE_REPEAT(T, S, EACH)                                                                          \
    VM_INLINE v_##T vrepeat##EACH##_##T(const S *p, int64_t at, int64_t length, int64_t lanes) {              \
        int64_t first = at / length;                                                                          \
        int32_t skipped = (int32_t)(at - first * length), count = (skipped + (int32_t)lanes - 1) / (int32_t)length + 1; \
        return vpick_##T(vevery##EACH##_n_##T(p + first * EACH, count), vquotients(viota_i32() + skipped, (int32_t)length)); \
    }
#define VM_DEFINE_REPEATS(T, S) VM_DEFINE_REPEAT(T, S, 2) VM_DEFINE_REPEAT(T, S, 3) VM_DEFINE_REPEAT(T, S, 4)
VM_DEFINE_REPEATS(f32, float)
VM_DEFINE_REPEATS(i32, int32_t)
VM_DEFINE_REPEATS(u32, uint32_t)
#undef VM_DEFINE_REPEAT
#undef VM_DEFINE_REPEATS
#undef VM_DEFINE_PICK

#endif
