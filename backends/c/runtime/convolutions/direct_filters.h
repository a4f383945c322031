/* The direct convolution's description, and its filters: packed by blocks of filters and of channels, in pairs or parts. See
 * direct_typed.h.
 */
#ifndef SYMC_DIRECT_FILTERS_H
#define SYMC_DIRECT_FILTERS_H

#include "direct.h"

#include "axis.h"
#include "blocks.h"
#include "base/stored.h"
#include "paired.h"

#if SYMC_PAIRS
#define BLOCK PAIRED                          /* channels of a block */
#define DIRECT(name) symc_paired_##name
#else
#define BLOCK VL
#define DIRECT(name) FN(symc_direct_##name)
#endif

enum {
    WINDOW_BYTES = SYMC_PAIRS ? 700 << 10 : 400 << 10, /* of a turned band: it stays in the second level cache */
    PARTS_BYTES = 1 << 20,    /* the same of several parts, which take longer to multiply than to read */
    MANY_FILTERS = 1 << 20,   /* bytes of a group's filters: then several images are multiplied by them together, */
    MOST_TOGETHER = 8,        /* at most so many */
    MOST_PHASES = 64,
    MOST_APART = 2,           /* pixels between those of neighbouring results that tiles of blocks read */
    LEAST_TILE = 5,           /* pixels: narrower rows leave too many additions waiting for one another */
    MOST_WAITING = 24,        /* pixels that all rows of results together have too few where filters are packed at each call, */
    MOST_WAITING_BACK = 192,  /* ... and with respect to the images */
    IMAGES_BYTES = 2 << 20,   /* of all turned images, where each unit packs filters of its own */
    MOST_PIXELS = 1024        /* of all results of a filter, likewise */
};

typedef struct {
    const conv2d *v;
    const real *in, *weights;
    real *out;
    int64_t channels, filters;             /* of a group, read and written */
    int64_t weight_filter, weight_channel; /* elements between them */
    int64_t in_h, in_w, out_h, out_w, taps;
    axis rows, cols;
    int64_t steps;                         /* blocks of channels */
    int flat;                              /* the pixels of a band are one row */
    int64_t planes_h, planes_w;            /* by which a window is divided, see divides_window() */
    int64_t plane;                         /* rows of one of them, `high` in all */
    int64_t apart;                         /* pixels of a window between those of two neighbouring results */
    int by_vectors;                        /* pairs are multiplied without matrix registers */
    int64_t bands, row_bands, col_bands, splits;
    int64_t pieces, together;              /* of the images, and the most images of one */
    int64_t high, wide, pixels;            /* the most of a window and of a band of results */
    block_step *lists;                     /* by phase: for each block of channels and tap */
    int64_t *counts;                       /* taps of each phase */
    real *packed;                          /* by group, block of filters and of channels, tap, part, channel */
    extremes *found;                       /* of pairs by group, block of filters and of channels */
    pair_parts parts;
    int under_tap;                         /* images are read with strides: in_h and in_w count the pixels under the only tap */
    real *turned;                          /* by image and group: whole turned images; or NULL */
    int64_t pool_h, pool_w;                /* of windows of results, of which the maxima are stored: 1, or `blocked` */
    int blocked;                           /* maps are in blocks of channels, see symc_conv2d_blocks; images too, unless: */
    int64_t present;                       /* channels of blocks that are other than zero, `blocked` */
    int finishes;                          /* pixels are finished as their last terms are added */
    int in_place;                          /* images in blocks are read where they are, not copied to windows */
    const float *few;                      /* images of a few channels: their patches are the channels of a pixel */
} direct;

/* Steps summed at a time: their filters stay in the first level cache, and long chains of additions lose accuracy. */
INLINE int64_t chunk(const direct *z) { return SYMC_PAIRS ? 12 / z->parts.count : BLOCK_K / VL; }

INLINE int64_t blocks(const direct *z) { return ceil_div(z->filters, TILE_COLS); }
INLINE int64_t block_cols(const direct *z, int64_t block)
{
    return z->blocked || z->filters - block * TILE_COLS > VL ? TILE_COLS : VL;
}

/* ---- filters ---- */

/* A block of channels of VL filters and one tap: VL rows of each part, `cols` elements apart. Row c is channel c, or
 * channels 2 c and 2 c + 1 as pairs. In `turned` channels are `ld` elements apart. Returns the extremes of pairs. */
INLINE extremes put_filters(const direct *z, const real *turned, int64_t ld, int64_t channels, int64_t cols, real *to)
{
#if SYMC_PAIRS
    extreme_lanes lanes = NO_EXTREME_LANES;
    for (int64_t c = 0; c < VL; c++) {
        vec even = 2 * c < channels ? load(turned + 2 * c * ld) : (vec){0};
        vec odd = 2 * c + 1 < channels ? load(turned + (2 * c + 1) * ld) : (vec){0};
        note_extremes(&lanes, even, odd);
        for (int i = 0; i < z->parts.count; i++) {
            vec pairs = as_pairs(even, odd);
            store(to + (i * VL + c) * cols, pairs);
            subtract_pairs(pairs, &even, &odd);
        }
    }
    return extremes_of(lanes);
#else
    (void)z;
    for (int64_t c = 0; c < VL; c++)
        store(to + c * cols, c < channels ? load(turned + c * ld) : (vec){0});
    return NO_EXTREMES;
#endif
}

/* The elements of a packed block of filters for one block of channels and one column. */
INLINE int64_t packed_rows(const direct *z) { return z->taps * z->parts.count * VL; }

/* A block of filters, packed whole. */
INLINE const real *packed_block(const direct *z, int64_t group, int64_t block)
{
    return z->packed + (group * blocks(z) + block) * z->steps * packed_rows(z) * TILE_COLS;
}

INLINE int64_t turned_filters_bytes(const direct *z, int64_t steps)
{
    return steps * BLOCK * z->taps * VL * (int64_t)sizeof(real);
}

/* VL filters from `filter` on, `count` channels from `channel` on, to lanes: by channel and tap. */
static void turn_filters(const direct *z, int64_t group, int64_t filter, int64_t channel, int64_t count, real *to)
{
    int64_t taps = z->taps, size = z->filters * z->channels * taps, rows = smaller(VL, z->filters - filter);
    const real *stop = z->weights + z->v->groups * size;
    const real *from = z->weights + group * size + filter * z->weight_filter + channel * z->weight_channel;
    if (z->weight_channel == taps)
        FN(symc_to_lanes)(from, z->weight_filter, rows, count * taps, stop, count * taps, 0, to);
    else if (z->weight_filter == 1)
        FN(symc_copy_rows)(to, VL, from, z->weight_channel, count, rows, VL);
    else
        for (int64_t c = 0; c < count; c++)
            FN(symc_to_lanes)(from + c * z->weight_channel, z->weight_filter, rows, taps, stop, taps, 0,
                              to + c * taps * VL);
}

/* Blocks of channels [first, last) of a block of filters, by block of channels, tap, part and channel; `turned` is memory
 * for one half of them. Returns the extremes of pairs. */
static extremes pack_block(const direct *z, int64_t group, int64_t block, int64_t first, int64_t last, real *turned, real *to)
{
    int64_t cols = block_cols(z, block), taps = z->taps, count = smaller(z->channels, last * BLOCK) - first * BLOCK;
    extremes found = NO_EXTREMES;
    for (int64_t half = 0; half < cols; half += VL) {
        turn_filters(z, group, block * TILE_COLS + half, first * BLOCK, count, turned);
        for (int64_t step = 0; step < last - first; step++)
            for (int64_t t = 0; t < taps; t++) {
                extremes some = put_filters(z, turned + (step * BLOCK * taps + t) * VL, taps * VL, count - step * BLOCK, cols,
                                            to + step * packed_rows(z) * cols + t * z->parts.count * VL * cols + half);
                found = both_extremes(found, some);
            }
    }
    return found;
}

#if SYMC_PAIRS
static extremes extremes_of_block(const direct *z, int64_t group, int64_t block)
{
    return all_extremes(z->found + (group * blocks(z) + block) * z->steps, z->steps);
}
#endif

/* Tasks (group, block of filters, block of channels). */
static void pack_filters(void *arg, int64_t begin, int64_t end)
{
    const direct *z = arg;
    real *turned = symc_scratch(SLOT_ROW, turned_filters_bytes(z, 1));
    for (int64_t task = begin; task < end; task++) {
        int64_t step = task % z->steps, block = task / z->steps % blocks(z), group = task / (z->steps * blocks(z));
        z->found[task] = pack_block(
            z, group, block, step, step + 1, turned,
            z->packed + ((group * blocks(z) + block) * z->steps * TILE_COLS + step * block_cols(z, block)) * packed_rows(z));
    }
}

#endif
