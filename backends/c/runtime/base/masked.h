/* Loads and stores of the first lanes of a vector: memory behind them is neither read nor written. */
#ifndef SYMC_MASKED_H
#define SYMC_MASKED_H

#include "real.h"

#if defined(__AVX512F__) || defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && SYMC_DOUBLE
typedef __mmask8 lane_mask;
INLINE lane_mask first_lanes(int64_t n) { return (lane_mask)((1u << n) - 1); }
INLINE vec load_lanes(const real *p, lane_mask m) { return (vec)_mm512_maskz_loadu_pd(m, p); }
INLINE void store_lanes(real *p, vec v, lane_mask m) { _mm512_mask_storeu_pd(p, m, (__m512d)v); }
#elif defined(__AVX512F__)
typedef __mmask16 lane_mask;
INLINE lane_mask first_lanes(int64_t n) { return (lane_mask)((1u << n) - 1); }
INLINE vec load_lanes(const real *p, lane_mask m) { return (vec)_mm512_maskz_loadu_ps(m, p); }
INLINE void store_lanes(real *p, vec v, lane_mask m) { _mm512_mask_storeu_ps(p, m, (__m512)v); }
#elif defined(__AVX__)
typedef index_vec lane_mask;
INLINE lane_mask first_lanes(int64_t n)
{
    lane_mask m;
    UNROLL
    for (int i = 0; i < VL; i++)
        m[i] = i < n ? -1 : 0;
    return m;
}
#if SYMC_DOUBLE
INLINE vec load_lanes(const real *p, lane_mask m) { return (vec)_mm256_maskload_pd(p, (__m256i)m); }
INLINE void store_lanes(real *p, vec v, lane_mask m) { _mm256_maskstore_pd(p, (__m256i)m, (__m256d)v); }
#else
INLINE vec load_lanes(const real *p, lane_mask m) { return (vec)_mm256_maskload_ps(p, (__m256i)m); }
INLINE void store_lanes(real *p, vec v, lane_mask m) { _mm256_maskstore_ps(p, (__m256i)m, (__m256)v); }
#endif
#else
typedef int64_t lane_mask; /* the number of lanes */
INLINE lane_mask first_lanes(int64_t n) { return n; }
INLINE vec load_lanes(const real *p, lane_mask m)
{
    vec v = {0};
    memcpy(&v, p, (size_t)m * sizeof(real));
    return v;
}
INLINE void store_lanes(real *p, vec v, lane_mask m) { memcpy(p, &v, (size_t)m * sizeof(real)); }
#endif

#endif
