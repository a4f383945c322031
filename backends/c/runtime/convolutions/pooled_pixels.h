/* Maxima of windows of pixels that have channels as lanes. */
#ifndef SYMC_POOLED_PIXELS_H
#define SYMC_POOLED_PIXELS_H

#include "base/lanes.h"

/* The maxima of windows of `pixels` of `vecs` vectors each, whose rows are `pitch` pixels apart, take their place; `wide` in each of
 * `high` rows. */
INLINE void pool_pixels(int vecs, int64_t pool_h, int64_t pool_w, int64_t pitch, int64_t high, int64_t wide, real *pixels)
{
    real *to = pixels;
    for (int64_t y = 0; y < high; y++)
        for (int64_t x = 0; x < wide; x++, to += vecs * VL) {
            const real *from = pixels + (y * pool_h * pitch + x * pool_w) * vecs * VL;
            vec most[2];
            UNROLL
            for (int v = 0; v < vecs; v++)
                most[v] = load(from + v * VL);
            UNROLL
            for (int64_t r = 0; r < pool_h; r++)
                UNROLL
                for (int64_t s = 0; s < pool_w; s++)
                    UNROLL
                    for (int v = 0; v < vecs; v++)
                        most[v] = larger_or_nan(most[v], load(from + ((r * pitch + s) * vecs + v) * VL));
            UNROLL
            for (int v = 0; v < vecs; v++)
                store(to + v * VL, most[v]);
        }
}

#endif
