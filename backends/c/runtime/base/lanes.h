/* Permutations of the lanes of vectors. */
#ifndef SYMC_LANES_H
#define SYMC_LANES_H

#include "real.h"

#define LANE_PAIR(i) (i), (i) + VL
#define FOUR_LANE_PAIRS(i) LANE_PAIR(i), LANE_PAIR((i) + 1), LANE_PAIR((i) + 2), LANE_PAIR((i) + 3)
#define FOUR_EVEN_LANES(i) 2 * (i), 2 * (i) + 2, 2 * (i) + 4, 2 * (i) + 6
#define FOUR_ODD_LANES(i) 2 * (i) + 1, 2 * (i) + 3, 2 * (i) + 5, 2 * (i) + 7
#if VL == 16
#define LOW_PAIRS FOUR_LANE_PAIRS(0), FOUR_LANE_PAIRS(4)
#define HIGH_PAIRS FOUR_LANE_PAIRS(8), FOUR_LANE_PAIRS(12)
#define EVEN_LANES FOUR_EVEN_LANES(0), FOUR_EVEN_LANES(4), FOUR_EVEN_LANES(8), FOUR_EVEN_LANES(12)
#define ODD_LANES FOUR_ODD_LANES(0), FOUR_ODD_LANES(4), FOUR_ODD_LANES(8), FOUR_ODD_LANES(12)
#elif VL == 8
#define LOW_PAIRS FOUR_LANE_PAIRS(0)
#define HIGH_PAIRS FOUR_LANE_PAIRS(4)
#define EVEN_LANES FOUR_EVEN_LANES(0), FOUR_EVEN_LANES(4)
#define ODD_LANES FOUR_ODD_LANES(0), FOUR_ODD_LANES(4)
#elif VL == 4
#define LOW_PAIRS LANE_PAIR(0), LANE_PAIR(1)
#define HIGH_PAIRS LANE_PAIR(2), LANE_PAIR(3)
#define EVEN_LANES FOUR_EVEN_LANES(0)
#define ODD_LANES FOUR_ODD_LANES(0)
#else
#define LOW_PAIRS LANE_PAIR(0)
#define HIGH_PAIRS LANE_PAIR(1)
#define EVEN_LANES 0, 2
#define ODD_LANES 1, 3
#endif

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (index_vec){__VA_ARGS__})
#endif

/* a[0], b[0], a[1], b[1], ... of the first half of the lanes, and of the second. */
INLINE vec interleave_low(vec a, vec b) { return SHUFFLE(a, b, LOW_PAIRS); }
INLINE vec interleave_high(vec a, vec b) { return SHUFFLE(a, b, HIGH_PAIRS); }

/* p[0], p[2], p[4], ... */
INLINE vec load_even(const real *p) { return SHUFFLE(load(p), load(p + VL), EVEN_LANES); }

/* p[0], p[4], p[8], ... */
INLINE vec every_fourth(const real *p) { return SHUFFLE(load_even(p), load_even(p + 2 * VL), EVEN_LANES); }

/* v[0], v[0], v[1], v[1], ... */
INLINE void store_doubled(real *p, vec v)
{
    store(p, interleave_low(v, v));
    store(p + VL, interleave_high(v, v));
}

/* Lane by lane: yes where the mask is set, no elsewhere. */
INLINE vec choose(index_vec mask, vec yes, vec no)
{
    return (vec)(((index_vec)yes & mask) | ((index_vec)no & ~mask));
}

/* The transposition of a square of VL vectors.
 *
 * One round interleaves vector i with vector i + VL / 2, which rotates the bits of an element's (row, lane) address by
 * one place; after log2(VL) rounds row and lane have changed places. */
INLINE void transpose_square(vec v[VL])
{
    UNROLL
    for (int round = 1; round < VL; round *= 2) {
        vec w[VL];
        UNROLL
        for (int i = 0; i < VL / 2; i++) {
            w[2 * i] = interleave_low(v[i], v[i + VL / 2]);
            w[2 * i + 1] = interleave_high(v[i], v[i + VL / 2]);
        }
        UNROLL
        for (int i = 0; i < VL; i++)
            v[i] = w[i];
    }
}

#endif
