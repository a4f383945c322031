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

/* `count` elements from `from` on, `step` apart; `rest` elements may be read. */
static inline void take_strided(const real *from, int64_t step, int64_t count, int64_t rest, real *to)
{
    int64_t i = 0;
    if (step == 1) {
        memcpy(to, from, count * sizeof(real));
        return;
    }
    if (step == 2 && count >= VL)
        for (; i < count && 2 * smaller(i + VL, count) <= rest; i += VL) {
            int64_t at = smaller(i, count - VL); /* the last vector overlaps with the one before */
            store(to + at, load_even(from + 2 * at));
        }
    if (step == 4)
        for (; i + VL <= count && 4 * (i + VL) <= rest; i += VL)
            store(to + i, every_fourth(from + 4 * i));
    for (; i < count; i++)
        to[i] = from[i * step];
}

/* Which of `count` pixels, `step` apart from column `left` on, a row of an image has: [first, last). */
INLINE void find_inside(int64_t in_w, int64_t left, int64_t step, int64_t count, int64_t *first, int64_t *last)
{
    *first = smaller(count, left < 0 ? ceil_div(-left, step) : 0);
    *last = left < in_w ? larger(*first, smaller(count, ceil_div(in_w - left, step))) : *first;
}

/* `count` pixels of a row of an image, `step` apart from column `left` on, and zeros beside the row; loads nothing behind `end`. */
static inline void take_pixels(const real *row, int64_t in_w, const real *end, int64_t left, int64_t step, int64_t count, real *to)
{
    int64_t first, last;
    find_inside(in_w, left, step, count, &first, &last);
    if (last - first < count)
        memset(to, 0, first * sizeof(real)), memset(to + last, 0, (count - last) * sizeof(real));
    const real *from = row + left + first * step;
    take_strided(from, step, last - first, end - from, to + first);
}

/* Lane by lane: yes where the mask is set, no elsewhere. */
INLINE vec choose(index_vec mask, vec yes, vec no)
{
    return (vec)(((index_vec)yes & mask) | ((index_vec)no & ~mask));
}

/* The larger one; NaN if one of both is. */
INLINE vec larger_or_nan(vec a, vec b) { return choose((b > a) | (b != b), b, a); }

/* ---- transposition ---- */

/* Vectors consist of blocks of 128 bits, inside which most instructions on lanes stay; those that cross them take longer, and
 * registers for their indices. */
#if SYMC_DOUBLE
#define BLOCK_LANES 2
#define BLOCK_AT(i) (i), (i) + 1
#define LOW_PAIRS_AT(i) LANE_PAIR(i)
#define HIGH_PAIRS_AT(i) LANE_PAIR((i) + 1)
#else
#define BLOCK_LANES 4
#define BLOCK_AT(i) (i), (i) + 1, (i) + 2, (i) + 3
#define LOW_PAIRS_AT(i) LANE_PAIR(i), LANE_PAIR((i) + 1)
#define HIGH_PAIRS_AT(i) LANE_PAIR((i) + 2), LANE_PAIR((i) + 3)
#endif
#define TWO_BLOCKS(lanes, i, step) lanes(i), lanes((i) + (step) * BLOCK_LANES)
#define FOUR_BLOCKS(lanes, i, step) TWO_BLOCKS(lanes, i, step), TWO_BLOCKS(lanes, (i) + 2 * (step) * BLOCK_LANES, step)
#if VL == 4 * BLOCK_LANES
#define ALL_BLOCKS(lanes) FOUR_BLOCKS(lanes, 0, 1)
#elif VL == 2 * BLOCK_LANES
#define ALL_BLOCKS(lanes) TWO_BLOCKS(lanes, 0, 1)
#else
#define ALL_BLOCKS(lanes) lanes(0)
#endif

/* The transposition of squares of blocks: vector i of each of VL / BLOCK_LANES groups, for each i. */
INLINE void transpose_blocks(vec v[VL])
{
#if VL == 4 * BLOCK_LANES
    UNROLL
    for (int i = 0; i < BLOCK_LANES; i++) {
        vec a = v[i], b = v[i + BLOCK_LANES], c = v[i + 2 * BLOCK_LANES], d = v[i + 3 * BLOCK_LANES];
        vec ab = SHUFFLE(a, b, TWO_BLOCKS(BLOCK_AT, 0, 1), TWO_BLOCKS(BLOCK_AT, VL, 1));
        vec cd = SHUFFLE(c, d, TWO_BLOCKS(BLOCK_AT, 0, 1), TWO_BLOCKS(BLOCK_AT, VL, 1));
        v[i] = SHUFFLE(ab, cd, FOUR_BLOCKS(BLOCK_AT, 0, 2));
        v[i + BLOCK_LANES] = SHUFFLE(ab, cd, FOUR_BLOCKS(BLOCK_AT, BLOCK_LANES, 2));
        ab = SHUFFLE(a, b, TWO_BLOCKS(BLOCK_AT, VL / 2, 1), TWO_BLOCKS(BLOCK_AT, VL + VL / 2, 1));
        cd = SHUFFLE(c, d, TWO_BLOCKS(BLOCK_AT, VL / 2, 1), TWO_BLOCKS(BLOCK_AT, VL + VL / 2, 1));
        v[i + 2 * BLOCK_LANES] = SHUFFLE(ab, cd, FOUR_BLOCKS(BLOCK_AT, 0, 2));
        v[i + 3 * BLOCK_LANES] = SHUFFLE(ab, cd, FOUR_BLOCKS(BLOCK_AT, BLOCK_LANES, 2));
    }
#elif VL == 2 * BLOCK_LANES
    UNROLL
    for (int i = 0; i < BLOCK_LANES; i++) {
        vec a = v[i], b = v[i + BLOCK_LANES];
        v[i] = SHUFFLE(a, b, BLOCK_AT(0), BLOCK_AT(VL));
        v[i + BLOCK_LANES] = SHUFFLE(a, b, BLOCK_AT(BLOCK_LANES), BLOCK_AT(VL + BLOCK_LANES));
    }
#else
    (void)v;
#endif
}

/* The transposition of a square of VL vectors: of each block, then of the blocks.
 *
 * One round interleaves, inside blocks, vector i of a group of BLOCK_LANES vectors with vector i + BLOCK_LANES / 2, which rotates
 * the bits of an element's (row, lane) address by one place; after log2(BLOCK_LANES) rounds row and lane have changed places. */
INLINE void transpose_square(vec v[VL])
{
    UNROLL
    for (int round = 1; round < BLOCK_LANES; round *= 2) {
        vec w[VL];
        UNROLL
        for (int i = 0; i < VL / 2; i++) {
            int from = i / (BLOCK_LANES / 2) * BLOCK_LANES + i % (BLOCK_LANES / 2);
            w[2 * i] = SHUFFLE(v[from], v[from + BLOCK_LANES / 2], ALL_BLOCKS(LOW_PAIRS_AT));
            w[2 * i + 1] = SHUFFLE(v[from], v[from + BLOCK_LANES / 2], ALL_BLOCKS(HIGH_PAIRS_AT));
        }
        UNROLL
        for (int i = 0; i < VL; i++)
            v[i] = w[i];
    }
    transpose_blocks(v);
}

#endif
