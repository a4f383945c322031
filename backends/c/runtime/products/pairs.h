/* Products of operands rounded to bfloat16, summed in float32, where the processor has instructions for them.
 *
 * Channels (of images, or rows of another sum) go in pairs, each in the 32 bits of a lane: the even one in the lower half. A
 * vector holds PAIRED channels of one pixel, where convolutions/blocks.h has VL, and packed filters have the same number of
 * lanes. So all that is said there of lanes holds here of pairs, and its files are compiled once more with SYMC_PAIRS.
 */
#ifndef SYMC_PAIRS_H
#define SYMC_PAIRS_H

#ifndef SYMC_DOUBLE
#define SYMC_DOUBLE 0
#endif
#include "tile.h"

#ifndef SYMC_PAIRS
#define SYMC_PAIRS 0
#endif
#if defined(__AVX512BF16__) && defined(__AVX512BW__)
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

#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
#include <immintrin.h>

/* Rounded to the nearest, ties to even: the elements of `even` in the lower halves. */
INLINE vec as_pairs(vec even, vec odd)
{
    __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)even));
    __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)odd));
    return (vec)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}
#endif

/* As symc_block_tile (convolutions/blocks.h); rows <= PAIR_ROWS. Tiles are multiplied between `begin` and `end` only. */
HIDDEN void symc_pair_tiles_begin(void);
HIDDEN void symc_pair_tile(int64_t rows, int64_t cols, int64_t pixel, int64_t steps, const block_step *list,
                           const float *a, const float *b, float *c, int64_t ldc, int accumulate);
HIDDEN void symc_pair_tiles_end(void);

/* The parameters of symc_gemm_f32. Returns 0, without having done anything, if there is not enough to multiply: with few
 * rows, B takes longer to pack than to multiply, unless it is stored and packed already. */
HIDDEN int symc_paired_gemm(const int64_t *p, float *c, const float *a, const float *b, symc_stored *stored_b);

#endif
