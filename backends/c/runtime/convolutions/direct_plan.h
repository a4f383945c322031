/* The division of a direct convolution into bands, pieces of the images and parts of the filters. See direct_typed.h. */
#ifndef SYMC_DIRECT_PLAN_H
#define SYMC_DIRECT_PLAN_H

#include "direct_bands.h"

/* Rows or columns of a window, or of a plane of it. */
INLINE int64_t plane_size(const direct *z, const axis *a, int64_t size)
{
    return divides_window(z) ? ceil_div(size, a->up) : size;
}

/* The same of all planes together. */
INLINE int64_t high_of(const direct *z, int64_t size)
{
    return plane_size(z, &z->rows, size) * larger(1, z->planes_h * z->planes_w);
}

/* The largest window of `pieces` bands along an axis. */
static int64_t largest_window(const axis *a, int64_t out, int64_t pool, int64_t pieces)
{
    int64_t size = 0;
    for (int64_t i = 0; i < pieces; i++)
        size = larger(size, window_size(a, edge(out, pool, i, pieces), edge(out, pool, i + 1, pieces)));
    return size;
}

/* The most results along an axis of one of them. */
INLINE int64_t largest_piece(int64_t out, int64_t pool, int64_t pieces) { return ceil_div(out / pool, pieces) * pool; }

enum {
    PAGE_PIXELS = 4096 / (VL * (int)sizeof(real)), /* pixels that lie so far apart compete for the same places of a cache, */
    MOST_COMPETING = 4                             /* which hold a few of them */
};

/* Whether bands of images in blocks are what one tap reads, and may be multiplied where they are. */
static int reads_in_place(const direct *z)
{
    const conv2d *v = z->v;
    return z->blocked && !z->few && v->taps_h * v->taps_w == 1 && v->step_h * v->step_w == 1 && v->pad_h == 0 && v->pad_w == 0 &&
           z->in_h == z->out_h && z->in_w == z->out_w && z->col_bands == 1 &&
           (z->in_h * z->in_w % PAGE_PIXELS != 0 || z->steps <= MOST_COMPETING);
}

#if SYMC_PAIRS
/* Whether the pixels of a band lie in the maps as they are multiplied, and what follows is plain. */
static int finishes_pixels(const direct *z)
{
    return z->blocked && z->by_vectors && are_plain_pixels(z->v->epilogue) &&
           blocks(z) % z->v->epilogue->period == 0 && z->pool_h * z->pool_w == 1 && z->cols.down == 1 && z->steps * z->taps > 0 &&
           (!z->flat || (z->wide == z->out_w && z->col_bands == 1));
}
#endif

static void plan(direct *z)
{
    int64_t pixel = z->steps * VL * z->parts.count * (int64_t)sizeof(real), threads = symc_num_threads();
    int64_t window_bytes = z->parts.count > 1 ? PARTS_BYTES : WINDOW_BYTES;
    int64_t rows = z->out_h / z->pool_h, cols = z->out_w / z->pool_w; /* of windows */
    z->row_bands = z->col_bands = 1;
    while (z->col_bands < cols &&
           high_of(z, window_size(&z->rows, 0, z->pool_h)) *
                   plane_size(z, &z->cols, largest_window(&z->cols, z->out_w, z->pool_w, z->col_bands)) * pixel > window_bytes)
        z->col_bands++;
    z->wide = plane_size(z, &z->cols, largest_window(&z->cols, z->out_w, z->pool_w, z->col_bands));
    int64_t most_cols = largest_piece(z->out_w, z->pool_w, z->col_bands);
    while (z->row_bands < rows &&
           (high_of(z, window_size(&z->rows, 0, largest_piece(z->out_h, z->pool_h, z->row_bands))) * z->wide * pixel >
                window_bytes ||
            largest_piece(z->out_h, z->pool_h, z->row_bands) * most_cols > 1024))
        z->row_bands++;
    z->together = 1;
    int64_t filter_bytes = blocks(z) * TILE_COLS * z->steps * packed_rows(z) * (int64_t)sizeof(real), threads_of_one = 1;
    if (SYMC_PAIRS && filter_bytes > MANY_FILTERS && z->row_bands * z->col_bands == 1) {
        int64_t bytes = high_of(z, largest_window(&z->rows, z->out_h, z->pool_h, 1)) * z->wide * pixel;
        z->together = larger(1, smaller(smaller(window_bytes / bytes, MOST_TOGETHER),
                                        MOST_PIXELS / (z->out_h * (z->flat ? z->wide : z->out_w))));
    }
    z->pieces = ceil_div(z->v->images, z->together);
    z->together = ceil_div(z->v->images, z->pieces);
    int64_t others = z->pieces * z->v->groups * z->col_bands, units = others * z->row_bands;
    if (units < 8 * threads && units % threads) { /* so few that an uneven distribution would matter */
        if (SYMC_PAIRS && filter_bytes > MANY_FILTERS && (blocks(z) % threads == 0 || blocks(z) >= 4 * threads))
            threads_of_one = threads;
        else
            z->row_bands = smaller(rows, ceil_div(ceil_div(units, threads) * threads, others));
    }
    z->plane = plane_size(z, &z->rows, largest_window(&z->rows, z->out_h, z->pool_h, z->row_bands));
    z->high = z->plane * larger(1, z->planes_h * z->planes_w);
    if (z->high * z->wide % 16 == 0) /* else the same pixel of all blocks of channels would compete for a few places of the caches */
        z->high++;
    if (reads_in_place(z))
        z->in_place = 1, z->high = z->plane = z->in_h, z->wide = z->in_w;
    z->parts.a = z->steps * z->high * z->wide * VL;
    z->bands = z->row_bands * z->col_bands;
    z->pixels = largest_piece(z->out_h, z->pool_h, z->row_bands) * (z->flat ? z->wide : most_cols);
    z->parts.fetch = z->together * z->pixels <= 4 * PAIR_ROWS;
    units = others * z->row_bands;
    z->splits = threads_of_one > 1 ? threads_of_one : units >= threads ? 1 : smaller(blocks(z), ceil_div(threads, units));
}

#endif
