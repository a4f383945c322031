/* Panels of neighbouring pixels: the columns of a convolution's matrix. */
#ifndef SYMC_PIXELS_H
#define SYMC_PIXELS_H

#include "gather.h"
#include "products/tile.h"

/* At most VL neighbouring pixels of one output row, or none. */
typedef struct {
    int64_t at;    /* place in a plane of the band */
    int64_t lane;  /* first column of the panel */
    int64_t count;
    int64_t out;   /* place in a plane of the output, image included */
    int64_t row, col; /* in the output image */
} pixel_run;

typedef struct {
    int64_t runs, cols;
    int direct; /* the columns are neighbours in the output, too */
    pixel_run run[TILE_COLS];
} pixel_panel;

/* Lanes of the last vector of a panel that no run writes repeat the pixels of the last one, because a tile multiplies whole
 * vectors: arithmetic on undefined memory, which may be subnormal numbers, takes many times as long. */
INLINE void cover_lanes(pixel_panel *to, int64_t cols)
{
    const pixel_run *last = &to->run[to->runs - 1];
    if (last->lane + VL >= ceil_div(cols, VL) * VL)
        return;
    pixel_run rest = *last;
    rest.lane += VL, rest.count = 0;
    to->run[to->runs++] = rest;
}

/* The runs that make up columns [first, first + TILE_COLS) of the pixels of a band. */
HIDDEN void FN(symc_find_runs)(const gather *g, const band_shape *shape, const band *part, int64_t first,
                               pixel_panel *to);

/* to[i * TILE_COLS + lane] = the element that tap i of the lane's pixel reads; writes up to VL elements more. */
HIDDEN void FN(symc_pack_pixels)(const int64_t *tap_at, int64_t taps, const real *planes, const pixel_panel *p,
                                 real *to);

#endif
