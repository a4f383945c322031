/* Maxima of windows of pixels that have PIXEL_LANES channels each. */
#ifndef SYMC_POOLED_PIXELS_H
#define SYMC_POOLED_PIXELS_H

#include "paired.h"

#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
#include "base/epilogue.h"
#include "base/lanes.h"

/* The maxima of windows of `pixels`, whose rows are `pitch` pixels apart, take their place; `wide` in each of `high` rows. */
INLINE void pool_pixels(int64_t pool_h, int64_t pool_w, int64_t pitch, int64_t high, int64_t wide, real *pixels)
{
    real *to = pixels;
    for (int64_t y = 0; y < high; y++)
        for (int64_t x = 0; x < wide; x++, to += PIXEL_LANES) {
            const real *from = pixels + (y * pool_h * pitch + x * pool_w) * PIXEL_LANES;
            vec low = load(from), high_half = load(from + VL);
            for (int64_t i = 0; i < pool_h * pool_w; i++) {
                const real *other = from + (i / pool_w * pitch + i % pool_w) * PIXEL_LANES;
                low = larger_or_nan(low, load(other)), high_half = larger_or_nan(high_half, load(other + VL));
            }
            store(to, low), store(to + VL, high_half);
        }
}
#endif

#endif
