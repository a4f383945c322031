/* Plain epilogues of columns that are vectors of 32 elements, which become bfloat16. See plain.h. */
#ifndef SYMC_PLAIN_PIXELS_H
#define SYMC_PLAIN_PIXELS_H

#include "plain.h"

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && !SYMC_DOUBLE
/* What becomes of the pixels of a row, each of two vectors: its halves, or the elements that pairs of two pixels have where these
 * are interleaved: four of eight elements each. */
typedef struct {
    vec first, second, low, high;
    __m512i kept, order; /* the places of bfloat16 among those of the first and then of the second vector */
} pixel_end;

INLINE int are_plain_pixels(const symc_epilogue *e) { return e && e->period > 0 && e->bits; }

/* Bfloat16 of a pixel that are added to its halves. */
INLINE vec widened_half(const real *pixel, int which)
{
    __m256i bits = _mm256_loadu_si256((const __m256i *)pixel + which);
    return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
}

/* Where element `i` is, the first vector before the second. */
INLINE int place_in_quads(int i) { return i / 8 * 4 + i % 4 + i / 4 % 2 * VL; }

INLINE pixel_end pixel_end_of(const symc_epilogue *e, int64_t row, int halves)
{
    const real *terms = (const real *)e->terms + row % e->period * 2 * VL;
    pixel_end end = {.low = (vec){0} + (real)e->low, .high = (vec){0} + (real)e->high, .kept = _mm512_set1_epi32(-1)};
    uint16_t order[2 * VL];
    for (int i = 0; i < 2 * VL; i++) {
        int at = halves ? i : place_in_quads(i);
        order[i] = (uint16_t)at;
        if (at < VL)
            end.first[at] = terms[i];
        else
            end.second[at - VL] = terms[i];
    }
    end.order = _mm512_loadu_si512(order);
    if (e->kept)
        end.kept = _mm512_loadu_si512(e->kept + row % e->period * 2 * VL);
    return end;
}

/* The upper halves of floats, rounded to nearest even, as the first bfloat16 of pairs. */
INLINE __m512i rounded_exactly(vec x)
{
    const __m512i bits = (__m512i)x;
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q);
    return _mm512_srli_epi32(_mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000)), 16);
}

/* The sums of a pixel, as bfloat16; to halves a pixel `added` is added unless that is NULL. The instruction takes numbers below
 * the normal ones for zero. */
INLINE vec finished_pixel(vec a, vec b, int halves, const pixel_end *e, const real *added)
{
    a += e->first, b += e->second;
    if (halves && added)
        a += widened_half(added, 0), b += widened_half(added, 1);
    a = at_most(at_least(a, e->low), e->high), b = at_most(at_least(b, e->low), e->high);
    const __mmask16 small = _mm512_fpclass_ps_mask((__m512)a, 0x20) | _mm512_fpclass_ps_mask((__m512)b, 0x20);
    __m512i bits = (__m512i)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
    if (__builtin_expect(small, 0)) {
        __m256i low = _mm512_cvtepi32_epi16(rounded_exactly(a)), high = _mm512_cvtepi32_epi16(rounded_exactly(b));
        bits = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    return (vec)_mm512_and_si512(halves ? bits : _mm512_permutexvar_epi16(e->order, bits), e->kept);
}
#else
typedef struct pixel_end pixel_end;
#endif

#endif
