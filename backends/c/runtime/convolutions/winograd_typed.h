/* Winograd's minimal filtering F(4x4, 3x3) and F(2x2, 5x5): Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks", 2015. Compiled once per element type.
 *
 * An output tile is A^T [(G w G^T) * (B^T d B)] A, with w the filter, d the 6x6 image tile behind its pixels and *
 * elementwise, summed over channels before the last transformation: 36 matrix products (tiles, channels) (channels,
 * filters), with a quarter of the multiplications for 3x3 filters and 9/25 for 5x5. The matrices follow from the
 * interpolation points 0, +-P, +-Q and infinity; 0.625 and 1.5 make the rounding error less than half of that of the
 * usual 1 and 2, and most constants are exact in binary. Lanes are channels, then filters: images are turned to blocks
 * of VL channels, and outputs back, one row of tiles at a time.
 */
#include "winograd.h"

#include <math.h>

#include "base/stored.h"
#include "conv2d.h"
#include "winograd_tiles.h"

enum {
    TILES_BYTES = 1 << 20,  /* transformed image tiles of a unit: about the second level cache */
    LEAST_TILES = 2 * TILE_ROWS,
    KEPT_BYTES = 8 << 20,   /* larger filters are transformed by each unit, a block at a time in the cache */
    STORED_BYTES = 256 << 10, /* of filters that stay transformed between calls for one unit: they are four times as many
                               * bytes as before, which take longer to read from memory than to compute again */
    MOST_TILES = 8 * TILE_ROWS,
    CHANNEL_BLOCK = 128,    /* summed separately: long chains of additions lose accuracy */
    MOST_STEPS = CHANNEL_BLOCK / VL
};

/* Costs in multiplications of vectors, measured: what transformations take for a tile and a block of channels or filters, for a
 * channel of a filter, and what a direct convolution takes to pack an element of a filter that is not stored. */
#define TILE_COST 110.0
#define FILTER_COST 29.0
#define PACK_COST 1.2

double FN(symc_winograd_steps)(const gather *g)
{
    int taps = tile_taps(g);
    double tiles = (double)g->images * ceil_div(g->out_h, IN + 1 - taps) * ceil_div(g->out_w, IN + 1 - taps);
    double pairs = (double)g->channels * g->filters / VL;
    return tiles * (POINTS * pairs * 1.1 + TILE_COST * (g->channels + g->filters) / VL) +
           FILTER_COST * g->channels * g->filters;
}

int FN(symc_winograd_suits)(const gather *g)
{
    int taps = tile_taps(g);
    if (symc_conv2d_strict || symc_conv2d_preferred > PREFER_WINOGRAD)
        return 0;
    if (!taps || g->out_col != 1 || g->channels < LEAST_CHANNELS || g->filters < LEAST_CHANNELS ||
        g->images * g->out_h * g->out_w <= 0)
        return 0;
    double pixels = (double)g->images * g->out_h * g->out_w;
    double weights = (double)g->channels * g->filters * taps * taps;
    double direct = weights * (pixels / VL * 1.1 + (g->stored ? 0 : PACK_COST));
    return FN(symc_winograd_steps)(g) < direct || symc_conv2d_preferred == PREFER_WINOGRAD;
}

/* ---- filters ---- */

/* Channels [first, last) of a group, last rounded up to whole blocks with zeros, and up to VL filters from `filter` on:
 * by point, `step` apart, and channel, `cols` apart. */
static void prepare_filters(const winograd *v, int64_t group, int64_t filter, int64_t first, int64_t last, real *turned,
                            real *to, int64_t step, int64_t cols)
{
    const gather *g = v->g;
    int64_t taps = g->taps_h * g->taps_w;
    if (g->weight_channel == taps && first < g->channels)
        turn_filters(v, group, filter, first, smaller(last, g->channels), turned);
    for (int64_t c = first; c < last; c++, to += cols) {
        if (c >= g->channels) {
            for (int64_t i = 0; i < POINTS; i++)
                store(to + i * step, (vec){0});
            continue;
        }
        const real *at = turned + (c - first) * taps * VL;
        if (g->weight_channel != taps)
            turn_filters(v, group, filter, c, c + 1, turned), at = turned;
        transform_block(v, at, to, step);
    }
}

INLINE size_t turned_bytes(const winograd *v) { return CHANNEL_BLOCK * v->taps * v->taps * VL * sizeof(real); }

/* Tasks (group, block of filters, block of channels). */
static void prepare_all(void *arg, int64_t begin, int64_t end)
{
    const winograd *v = arg;
    int64_t pieces = ceil_div(v->depth, CHANNEL_BLOCK);
    real *turned = symc_scratch(SLOT_BLOCK, turned_bytes(v));
    for (int64_t i = begin; i < end; i++) {
        int64_t first = i % pieces * CHANNEL_BLOCK, block = i / pieces % blocks(v), group = i / pieces / blocks(v);
        int64_t cols = block_cols(v, block);
        real *to = v->filters + (group * blocks(v) + block) * POINTS * v->depth * TILE_COLS + first * cols;
        for (int64_t half = 0; half < cols; half += VL)
            prepare_filters(v, group, block * TILE_COLS + half, first, smaller(v->depth, first + CHANNEL_BLOCK), turned,
                            to + half, v->depth * cols, cols);
    }
}

/* ---- image tiles ---- */

INLINE int64_t panels(int64_t tiles) { return ceil_div(tiles, TILE_ROWS); }
INLINE int64_t panel_start(int64_t i, int64_t tiles) { return i * tiles / panels(tiles); }

/* All channels of tiles [first, first + tiles): by point, panel of tiles, block of channels, tile: VL channels. */
static void prepare_tiles(const winograd *v, int64_t group, int64_t first, int64_t tiles, real *rows, real *to)
{
    const gather *g = v->g;
    int64_t plane = g->in_h * g->in_w;
    const real *end = g->in + g->images * g->groups * g->channels * plane;
    for (int64_t step = 0; step < v->steps; step++) {
        int64_t panel = 0;
        for (int64_t at = 0; at < tiles;) {
            tile_run run = find_run(v->high, v->wide, first + at, tiles - at);
            const real *planes = g->in + ((run.image * g->groups + group) * g->channels + step * VL) * plane;
            FN(symc_window_to_lanes)(planes, plane, smaller(VL, g->channels - step * VL), g->in_h, g->in_w, end,
                                     run.row * v->out + v->top, run.col * v->out + v->left, IN,
                                     run.count * v->out + v->taps - 1, v->row_length * VL, rows);
            for (int64_t i = 0; i < run.count; i++, at++) {
                if (at >= panel_start(panel + 1, tiles))
                    panel++;
                int64_t begin = panel_start(panel, tiles), size = panel_start(panel + 1, tiles) - begin;
                transform_image_tile(rows + i * v->out * VL, v->row_length * VL, VL,
                                     to + begin * v->depth + (step * size + at - begin) * VL, v->tile_step);
            }
        }
    }
}

/* ---- units ---- */

/* A thread's private memory, sufficient for any unit. */
typedef struct {
    real *tiles, *sums, *rows, *filters, *turned;
} workspace;

static void size_workspace(winograd *v)
{
    v->tile_step = v->most * v->depth + SKEW;
    v->sum_step = v->most * TILE_COLS + SKEW;
    v->row_length = turned_row(v, v->most);
}

static workspace take_workspace(const winograd *v)
{
    int64_t own = v->filters ? 0 : POINTS * (smaller(v->depth, CHANNEL_BLOCK) * TILE_COLS + VL);
    return (workspace){.tiles = symc_scratch(SLOT_BLOCK, POINTS * v->tile_step * sizeof(real)),
                       .sums = symc_scratch(SLOT_BLOCK_2, POINTS * v->sum_step * sizeof(real)),
                       .rows = symc_scratch(SLOT_BAND, (IN * v->row_length + 2 * VL) * VL * sizeof(real)),
                       .filters = symc_scratch(SLOT_BAND_2, own * sizeof(real)),
                       .turned = symc_scratch(SLOT_ROW, turned_bytes(v))};
}

/* Adds blocks of channels [step, stop) to the sums of a block of filters. */
static void multiply_tiles(const winograd *v, int64_t tiles, int64_t step, int64_t stop, const real *image,
                           const real *filters, int64_t filter_step, int64_t cols, real *sums)
{
    block_step list[2][MOST_STEPS];
    int64_t least = tiles / panels(tiles);
    for (int64_t i = 0; i < stop - step; i++)
        list[0][i] = (block_step){i * least * VL, i * VL}, list[1][i] = (block_step){i * (least + 1) * VL, i * VL};
    for (int64_t point = 0; point < POINTS; point++, image += v->tile_step, filters += filter_step, sums += v->sum_step)
        for (int64_t j = 0; j < panels(tiles); j++) {
            int64_t begin = panel_start(j, tiles), size = panel_start(j + 1, tiles) - begin;
            FN(symc_block_tile)(size, cols, 1, stop - step, list[size > least],
                                image + begin * v->depth + step * size * VL, filters, sums + begin * cols, cols,
                                step > 0, filters + filter_step + (j > 0 ? (stop - step) * VL * VL : 0));
        }
}

/* Tiles [first, first + tiles) of a split of the filters. */
static void run_tiles(const winograd *v, const workspace *w, int64_t group, int64_t first, int64_t tiles, int64_t split)
{
    prepare_tiles(v, group, first, tiles, w->rows, w->tiles);
    for (int64_t block = split * blocks(v) / v->splits; block < (split + 1) * blocks(v) / v->splits; block++) {
        int64_t cols = block_cols(v, block);
        for (int64_t step = 0; step < v->steps; step += MOST_STEPS) {
            int64_t stop = smaller(v->steps, step + MOST_STEPS), filter_step = (stop - step) * VL * cols + VL;
            const real *filters = w->filters;
            if (v->filters) {
                filter_step = v->depth * cols;
                filters = v->filters + (group * blocks(v) + block) * POINTS * v->depth * TILE_COLS + step * VL * cols;
            } else
                for (int64_t half = 0; half < cols; half += VL)
                    prepare_filters(v, group, block * TILE_COLS + half, step * VL, stop * VL, w->turned,
                                    w->filters + half, filter_step, cols);
            multiply_tiles(v, tiles, step, stop, w->tiles, filters, filter_step, cols, w->sums);
        }
        for (int64_t half = 0; half < cols; half += VL)
            put_tiles(v, group, block * TILE_COLS + half, first, tiles, w->sums + half, v->sum_step, cols, w->rows);
    }
}

static void run_units(void *arg, int64_t begin, int64_t end)
{
    const winograd *v = arg;
    workspace w = take_workspace(v);
    for (int64_t i = begin; i < end; i++) {
        int64_t unit = i / v->splits % v->units, first = unit * v->tiles / v->units;
        run_tiles(v, &w, i / (v->splits * v->units), first, (unit + 1) * v->tiles / v->units - first, i % v->splits);
    }
}

/* The transformed filters as they were left by an earlier call, or memory for them; none if each unit transforms them. */
static symc_form transformed(const winograd *v, int64_t filter_bytes, int64_t wanted)
{
    const gather *g = v->g;
    symc_form_key key = {g->weights, FORM_WINOGRAD,
                         {VL, sizeof(real), v->taps, g->groups, g->channels, g->filters, g->weight_filter,
                          g->weight_channel, v->down, v->right}};
    int many = v->tiles > wanted;
    if (many ? filter_bytes > KEPT_BYTES : !g->stored || filter_bytes > STORED_BYTES)
        return (symc_form){0};
    return symc_form_of(g->stored, &key, filter_bytes, filter_bytes <= KEPT_BYTES && many ? SLOT_SHARED : -1);
}

/* The costs of a thread that takes one of `units` pieces of the tiles and one of `splits` pieces of the filters. */
static double piece_steps(const winograd *v, int64_t units, int64_t splits)
{
    double channels = (double)v->depth, filters = (double)(ceil_div(blocks(v), splits) * TILE_COLS);
    double tiles = (double)ceil_div(v->tiles, units);
    return tiles * (POINTS * channels * filters / VL * 1.1 + TILE_COST * (channels + filters) / VL) +
           FILTER_COST * channels * filters;
}

/* More units, or splits of the filters, so that there is work for all threads, if there is less than one unit for each. */
static void occupy_threads(winograd *v)
{
    int64_t threads = symc_num_threads(), pieces = ceil_div(threads, v->g->groups), units = v->units;
    double least = INFINITY;
    v->splits = 1;
    if (v->units * v->g->groups >= threads)
        return;
    for (int64_t splits = 1; splits <= smaller(blocks(v), pieces); splits++) {
        int64_t u = smaller(v->tiles, larger(units, ceil_div(pieces, splits)));
        double steps = piece_steps(v, u, splits);
        if (steps < least)
            least = steps, v->units = u, v->splits = splits;
    }
}

/* Units whose transformed tiles stay in the cache, or, where filters are transformed again for each, larger ones. */
static symc_form plan_units(winograd *v, int64_t filter_bytes)
{
    const gather *g = v->g;
    int64_t threads = symc_num_threads(), fit = TILES_BYTES / (POINTS * v->depth * (int64_t)sizeof(real));
    int64_t wanted = larger(LEAST_TILES, smaller(MOST_TILES, fit / TILE_ROWS * TILE_ROWS));
    symc_form kept = transformed(v, filter_bytes, wanted);
    v->filters = kept.memory;
    if (!v->filters)
        wanted = MOST_TILES;
    int64_t units = ceil_div(v->tiles, wanted) * g->groups;
    if (units > 1 && units < 8 * threads)
        units = ceil_div(units, threads) * threads;
    v->units = smaller(v->tiles, ceil_div(units, g->groups));
    occupy_threads(v);
    v->most = ceil_div(v->tiles, v->units);
    size_workspace(v);
    return kept;
}

void FN(symc_winograd)(const gather *g)
{
    winograd v = describe(g);
    symc_form kept =
        plan_units(&v, g->groups * blocks(&v) * POINTS * v.depth * TILE_COLS * (int64_t)sizeof(real));
    if (v.filters && !kept.ready) {
        symc_parallel(prepare_all, &v, g->groups * blocks(&v) * ceil_div(v.depth, CHANNEL_BLOCK), 1);
        symc_form_made(&kept);
    }
    symc_parallel(run_units, &v, g->groups * v.units * v.splits, 1);
}

void FN(symc_winograd_range)(const gather *g, int64_t group, int64_t first, int64_t tiles, int64_t most)
{
    winograd v = describe(g);
    v.most = most, v.splits = 1;
    size_workspace(&v);
    workspace w = take_workspace(&v);
    if (tiles > 0)
        run_tiles(&v, &w, group, first, tiles, 0);
}
