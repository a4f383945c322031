/* Elements that are fetched before they are read. A processor fetches few of those that follow each other, and none of those
 * behind a jump: arrays in memory are read in time if a loop asks for them while it computes. */
#ifndef SYMC_AHEAD_H
#define SYMC_AHEAD_H

#include "lanes.h"

enum {
    LINE_ELEMENTS = 64 / sizeof(real),
    FETCHED_AHEAD = (1 << 14) / sizeof(real), /* elements between one that is read and one that is fetched meanwhile */
};

/* Whether so many elements, read and written, are more than caches hold. */
INLINE int are_uncached(int64_t elements) { return elements * (int64_t)sizeof(real) >= 24 << 20; }

/* Asks for `count` elements; harmless outside an array. */
INLINE void fetch_elements(const real *from, int64_t count)
{
    for (int64_t i = 0; i < count; i += LINE_ELEMENTS)
        __builtin_prefetch(from + i);
}

#endif
