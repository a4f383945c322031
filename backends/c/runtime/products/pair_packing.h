/* Operands of products in pairs (pairs.h) as they are packed: rounded or divided into parts. */
#ifndef SYMC_PAIR_PACKING_H
#define SYMC_PAIR_PACKING_H

#include "pairs.h"

#include "base/lanes.h"
#include "base/masked.h"
#include "base/stream.h"

#if SYMC_HAS_PAIRS
enum { PARTS = 3 };

typedef struct {
    int transposed; /* memory is not contiguous along k */
    const float *from;
    int64_t ld;
} operand;

/* The parts of PAIRED neighbours along k, of which `count` exist: vector i is part i. */
INLINE void load_neighbours(const float *p, int64_t count, int parts, vec v[], extreme_lanes *lanes)
{
    __m512 low = (__m512)load_lanes(p, first_lanes(smaller(VL, count)));
    __m512 high = (__m512)load_lanes(p + VL, first_lanes(larger(0, count - VL)));
    note_extremes(lanes, (vec)low, (vec)high);
    UNROLL
    for (int i = 0; i < parts; i++) {
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        v[i] = (vec)both;
        low -= (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(both)), 16);
        high -= (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(both, 1)), 16);
    }
}

/* The parts of VL neighbours in each of two rows of k, the second of which exists or not. */
INLINE void load_pair(const float *p, int64_t ld, lane_mask mask, int both, int parts, vec v[], extreme_lanes *lanes)
{
    vec even = load_lanes(p, mask), odd = load_lanes(p + (both ? ld : 0), both ? mask : 0);
    note_extremes(lanes, even, odd);
    UNROLL
    for (int i = 0; i < parts; i++) {
        v[i] = as_pairs(even, odd);
        subtract_pairs(v[i], &even, &odd);
    }
}

/* The vectors of a step: VL rows of A or columns of B from `at` on, of which `count` exist, times PAIRED elements of k. Vector j
 * of part i goes to to[i * part + j * line]; it holds one row or column, or with `by_pairs` one pair of all of them. */
INLINE void pack_square(const operand *x, int by_pairs, int parts, int64_t at, int64_t count, int64_t k, int64_t depth,
                        int64_t part, int64_t line, float *to, extreme_lanes *lanes)
{
    vec v[3][VL];
    lane_mask mask = first_lanes(count);
    for (int j = 0; j < VL; j++) {
        vec w[3] = {{0}, {0}, {0}};
        if (x->transposed && 2 * j < depth)
            load_pair(x->from + (k + 2 * j) * x->ld + at, x->ld, mask, 2 * j + 1 < depth, parts, w, lanes);
        else if (!x->transposed && j < count)
            load_neighbours(x->from + (at + j) * x->ld + k, depth, parts, w, lanes);
        UNROLL
        for (int i = 0; i < parts; i++)
            if (x->transposed == by_pairs)
                store(to + i * part + j * line, w[i]);
            else
                v[i][j] = w[i];
    }
    if (x->transposed != by_pairs)
        for (int i = 0; i < parts; i++) {
            transpose_square(v[i]);
            for (int j = 0; j < VL; j++)
                store(to + i * part + j * line, v[i][j]);
        }
}

/* Parts of VL pairs, cut off rather than rounded: part i goes to to[i * part], `past` the caches or not. */
INLINE void put_parts(vec even, vec odd, real *to, int64_t part, int past)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    UNROLL
    for (int i = 0; i < PARTS; i++) {
        __m512i e = (__m512i)even, o = _mm512_and_si512((__m512i)odd, high);
        vec pairs = (vec)_mm512_or_si512(_mm512_srli_epi32(e, 16), o);
        past ? store_past(to + i * part, pairs) : store(to + i * part, pairs);
        even -= (vec)_mm512_and_si512(e, high);
        odd -= (vec)o;
    }
}

#endif

#endif
