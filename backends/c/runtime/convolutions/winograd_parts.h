/* Transformed tiles of minimal filtering in parts of bfloat16. See winograd_parts_bf16.c. */
#ifndef SYMC_WINOGRAD_PARTS_H
#define SYMC_WINOGRAD_PARTS_H

#include "products/pair_packing.h"

#include "winograd_transforms.h"

#if SYMC_HAS_TILES
enum {
    IMAGE_GROWTH = 5,   /* the transformation makes values at most 2**5 times as large, */
    IMAGE_SHRINKING = 2 /* and one value alone at most 2**2 times as small */
};

/* The parts (put_parts) of all points: `from` holds POINTS vectors of even channels, then of odd ones. */
INLINE void put_points(const real *from, real *to, int64_t part, int64_t step, int past)
{
    for (int i = 0; i < POINTS; i++) {
        if (!past)
            for (int j = 0; j < PARTS; j++) /* of the next ones: there are more places than the processor follows by itself */
                __builtin_prefetch(to + i * step + j * part + VL, 1);
        put_parts(load(from + i * VL), load(from + (POINTS + i) * VL), to + i * step, part, past);
    }
}

INLINE extremes extremes_among(const real *from, int64_t count)
{
    extreme_lanes lanes = NO_EXTREME_LANES;
    for (int64_t i = 0; i < count; i++) {
        vec v = load(from + i * VL);
        note_extremes(&lanes, v, v);
    }
    return extremes_of(lanes);
}

/* The extremes of transformed values, or rather bounds of what counts: cancellation makes smaller values, whose parts are lost
 * without harm beside the rounding errors of the transformation. */
INLINE extremes transformed(extremes e, uint32_t growth, uint32_t shrinking)
{
    uint32_t less = shrinking << 23;
    if (e.largest == 0)
        return e;
    return (extremes){e.largest + (growth << 23), e.smallest > less ? e.smallest - less : 0};
}
#endif

#endif
