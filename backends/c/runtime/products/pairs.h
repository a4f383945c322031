/* Products of operands rounded to bfloat16, summed in float32, where the processor has instructions for them; and products
 * of float32 operands as sums of such products.
 *
 * Channels (of images, or rows of another sum) go in pairs, each in the 32 bits of a lane: the even one in the lower half. A
 * vector holds PAIRED channels of one pixel, where convolutions/blocks.h has VL, and packed filters have the same number of
 * lanes. So all that is said there of lanes holds here of pairs, and its files are compiled once more with SYMC_PAIRS.
 *
 * A float32 number has 24 significant bits, one of bfloat16 has 8. Rounded to bfloat16, x leaves a remainder that float32
 * holds exactly; rounded again, that leaves a second one: x = x0 + x1 + x2, three parts with 24 bits together. Of the nine
 * products of the parts of x and y, the six with x_i y_j, i + j < 3, are as exact as one multiplication in float32, and the
 * three with i + j < 2 of two parts leave a relative error of about 2**-17. AMX multiplies numbers of bfloat16 16 times as
 * fast as AVX-512 multiplies those of float32. (Henry, Tang, Heinecke: Leveraging the bfloat16 artificial intelligence
 * datatype for higher-precision computations, ARITH 2019.) What bfloat16 cannot hold needs care: an infinity has no
 * remainder, and the instructions take parts and sums below 1.2e-38 for zero.
 */
#ifndef SYMC_PAIRS_H
#define SYMC_PAIRS_H

#ifndef SYMC_DOUBLE
#define SYMC_DOUBLE 0
#endif
#include "base/plain_pixels.h"
#include "tile.h"

#ifndef SYMC_PAIRS
#define SYMC_PAIRS 0
#endif
#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#define SYMC_HAS_PAIRS 1
#else
#define SYMC_HAS_PAIRS 0
#endif
#if SYMC_HAS_PAIRS && defined(__AMX_BF16__) && defined(__linux__)
#define SYMC_HAS_TILES 1
#else
#define SYMC_HAS_TILES 0
#endif

enum { PAIRED = 2 * VEC_BYTES / 4, PAIR_ROWS = 32 };

/* How operands are rounded and multiplied, as the user has chosen and the processor can. */
enum { NO_PAIRS, PAIRS_BY_VECTORS, PAIRS_BY_TILES };
extern HIDDEN int symc_pairs;

/* The number of parts of each operand of a product, and the elements between two parts of A, and rows between those of B.
 * `fetch`: each part of B is read for few tiles of A, so that those that follow in memory are fetched meanwhile. `few`: only so
 * many pairs, `gap` elements from one another in A, of steps that read B from `last` on are other than zero; or 0. */
typedef struct {
    int count;
    int64_t a, b;
    int fetch, few, gap;
    int64_t last;
} pair_parts;

/* Bits of the largest absolute value of some operands and of the smallest but zero: they are ordered like the values. */
typedef struct {
    uint32_t largest, smallest;
} extremes;
#define NO_EXTREMES ((extremes){0, UINT32_MAX})

INLINE extremes both_extremes(extremes a, extremes b)
{
    return (extremes){a.largest > b.largest ? a.largest : b.largest, a.smallest < b.smallest ? a.smallest : b.smallest};
}

INLINE extremes all_extremes(const extremes *e, int64_t count)
{
    extremes found = NO_EXTREMES;
    for (int64_t i = 0; i < count; i++)
        found = both_extremes(found, e[i]);
    return found;
}

/* Whether parts hold all values of two operands with these extremes, and their products: nothing is infinite or becomes so when
 * it is rounded, every part is zero or normal, and each product of two values is so large that what is lost of the six
 * products of their parts, less than 2**-126 each, is smaller than its own rounding error. */
INLINE int parts_hold(extremes a, extremes b)
{
    const uint32_t most = 0x7f7f7fff, least = (127 - 102) << 23;
    if (a.largest > most || b.largest > most)
        return 0;
    return a.largest == 0 || b.largest == 0 ||
           (a.smallest >= least && b.smallest >= least && (a.smallest >> 23) + (b.smallest >> 23) >= 254 - 98 &&
            (a.largest >> 23) + (b.largest >> 23) <= 254 + 100);
}

#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
#include <immintrin.h>

/* Rounded to the nearest, ties to even: the elements of `even` in the lower halves. */
INLINE vec as_pairs(vec even, vec odd)
{
    __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)even));
    __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)odd));
    return (vec)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/* What of `even` and `odd` is left when their pairs are subtracted. */
INLINE void subtract_pairs(vec pairs, vec *even, vec *odd)
{
    *even -= (vec)_mm512_slli_epi32((__m512i)pairs, 16);
    *odd -= (vec)_mm512_and_si512((__m512i)pairs, _mm512_set1_epi32((int)0xffff0000u));
}

/* The extremes of each lane; twice the bits, without the sign, and less one of the smallest, so that zeros are the largest. */
typedef struct {
    __m512i largest, smallest;
} extreme_lanes;
#define NO_EXTREME_LANES ((extreme_lanes){_mm512_setzero_si512(), _mm512_set1_epi32(-1)})

INLINE void note_extremes(extreme_lanes *e, vec x, vec y)
{
    const __m512i one = _mm512_set1_epi32(1);
    __m512i a = _mm512_slli_epi32((__m512i)x, 1), b = _mm512_slli_epi32((__m512i)y, 1);
    e->largest = _mm512_max_epu32(e->largest, _mm512_max_epu32(a, b));
    e->smallest = _mm512_min_epu32(e->smallest, _mm512_min_epu32(_mm512_sub_epi32(a, one), _mm512_sub_epi32(b, one)));
}

INLINE extremes extremes_of(extreme_lanes e)
{
    return (extremes){_mm512_reduce_max_epu32(e.largest) >> 1, (_mm512_reduce_min_epu32(e.smallest) >> 1) + 1};
}
#endif

/* As symc_block_tile (convolutions/blocks.h); rows <= PAIR_ROWS. Tiles are multiplied between `begin` and `end` only. */
HIDDEN void symc_pair_tiles_begin(void);
HIDDEN void symc_pair_tile(int64_t rows, int64_t cols, int64_t pixel, int64_t steps, const block_step *list,
                           const float *a, const float *b, float *c, int64_t ldc, int accumulate);
/* The same with operands of several parts; more than one only where symc_has_parts. */
HIDDEN void symc_part_tile(const pair_parts *parts, int64_t rows, int64_t cols, int64_t pixel, int64_t steps,
                           const block_step *list, const float *a, const float *b, float *c, int64_t ldc, int accumulate);
HIDDEN void symc_pair_tiles_end(void);
#if SYMC_HAS_PAIRS
/* A tile without matrix registers, of one part. Its rows of A are `apart` elements from one another. The sums go to C or,
 * finished, to `pairs`, in which rows are neighbours, as in `added`; then there are 2 * VL columns, and C is only read. */
typedef struct {
    const pair_parts *parts;
    int64_t apart, steps;
    const block_step *list;
    float *c;
    int64_t ldc;
    int accumulate;
    ahead fetch;
    const pixel_end *end; /* or NULL */
    const float *added;   /* or NULL */
    float *pairs;
} pair_tile;

/* rows <= TILE_ROWS */
HIDDEN void symc_vector_tile(int64_t rows, int64_t cols, const pair_tile *t, const float *a, const float *b);
#endif

/* Whether products of parts are faster than those of float32: the processor has AMX. */
HIDDEN int symc_has_parts(void);

/* The parts of each operand: 1 if they are rounded to bfloat16, 3 if they are divided, which is as exact as float32; or 0. (Two
 * parts, which leave a relative error of 4.5e-6 rms in convolutions, are not used.) */
INLINE int chosen_parts(void) { return symc_pairs ? 1 : symc_has_parts() ? 3 : 0; }

/* The parameters of symc_gemm_f32. Returns 0, without having done anything, if there is not enough to multiply: with few
 * rows, B takes longer to pack than to multiply, unless it is stored and packed already. */
HIDDEN int symc_paired_gemm(const int64_t *p, float *c, const float *a, const float *b, symc_stored *stored_b,
                            const symc_epilogue *epilogue, int64_t first_row);

#endif
