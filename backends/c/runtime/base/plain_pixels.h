/* Plain epilogues of columns that are vectors of 32 elements, which become bfloat16. See plain.h. */
#ifndef SYMC_PLAIN_PIXELS_H
#define SYMC_PLAIN_PIXELS_H

#include "plain.h"

#if defined(__AVX512BF16__) && defined(__AVX512DQ__) && !SYMC_DOUBLE
#define SYMC_PLAIN_PIXELS 1

/* What becomes of the pixels of a row: of even and odd elements, and in pairs. */
typedef struct {
    vec even, odd, low, high;
    __m512i kept, order; /* of all even and then all odd elements */
} pixel_end;

INLINE int are_plain_pixels(const symc_epilogue *e) { return e && e->period > 0 && e->bits; }

INLINE pixel_end pixel_end_of(const symc_epilogue *e, int64_t row)
{
    const real *terms = (const real *)e->terms + row % e->period * 2 * VL;
    pixel_end end = {.low = (vec){0} + (real)e->low, .high = (vec){0} + (real)e->high, .kept = _mm512_set1_epi32(-1)};
    for (int i = 0; i < VL; i++)
        end.even[i] = terms[2 * i], end.odd[i] = terms[2 * i + 1];
    end.order = _mm512_add_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                 _mm512_slli_epi32(_mm512_set_epi32(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16), 16));
    if (e->kept)
        end.kept = _mm512_loadu_si512(e->kept + row % e->period * 2 * VL);
    return end;
}

/* The upper halves of floats, rounded to nearest even. */
INLINE __m512i rounded_exactly(vec x)
{
    const __m512i bits = (__m512i)x;
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q);
    return _mm512_srli_epi32(_mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000)), 16);
}

/* The sums of a pixel, in pairs. The instruction takes numbers below the normal ones for zero. */
INLINE vec finished_pixel(vec even, vec odd, const pixel_end *e)
{
    even = at_most(at_least(even + e->even, e->low), e->high), odd = at_most(at_least(odd + e->odd, e->low), e->high);
    const __mmask16 small = _mm512_fpclass_ps_mask((__m512)even, 0x20) | _mm512_fpclass_ps_mask((__m512)odd, 0x20);
    __m512i pairs;
    if (__builtin_expect(small, 0))
        pairs = _mm512_or_si512(rounded_exactly(even), _mm512_slli_epi32(rounded_exactly(odd), 16));
    else
        pairs = _mm512_permutexvar_epi16(e->order, (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even));
    return (vec)_mm512_and_si512(pairs, e->kept);
}
#endif

#endif
