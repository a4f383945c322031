/* Minimal filtering with respect to the weights: dW = G^T [sum over tiles of (A dY A^T) * (B^T d B)] G, in the terms of
 * winograd_typed.h. Compiled once per element type.
 *
 * The sums are 36 matrix products (channels, tiles) (tiles, filters), lanes are filters. What counts is how often operands
 * pass between the second level cache and memory, so there are three orders.
 *
 * By units: each thread takes a share of the tiles and adds up sums of its own, a unit of tiles at a time; the shares are
 * added in order at the end. For few channels and filters: all sums stay in the cache, and so does a transformed unit. Units are
 * whole rows of tiles, if these are short enough: the pixels behind them are contiguous and begin where vectors do.
 *
 * By points: all threads transform a chunk of tiles; then each makes whole products, whose operands stay in the cache.
 *
 * By blocks, for few tiles: all of them are transformed first, and then each block of channels and filters is summed and
 * finished in the cache, so that the sums, 36 for each channel and filter, are never stored.
 */
#include "winograd_weight_tiles.h"

#include "conv2d.h"

enum {
    ROWS = VL > 4 ? VL / 2 : VL, /* channels of a tile of sums */
    UNIT_BYTES = 896 << 10,      /* of a unit's transformed gradient */
    UNIT_TILES = 128,            /* the most, and the length of a chain of additions */
    FEW_TILES = 80,
    MANY_SUMS = 6 << 20,         /* bytes: fewer stay in the cache from unit to unit */
    CHUNK_BYTES = 5 << 18,       /* of the operands of one product */
    CHANNEL_BLOCKS = 64 / VL,    /* of a task with few tiles */
    LEAST_CHANNELS = 16,
    LEAST_TILES = 16
};

int FN(symc_winograd_weights_suits)(const gather *g)
{
    int taps = tile_taps(g);
    if (symc_conv2d_strict || symc_conv2d_preferred > PREFER_WINOGRAD)
        return 0;
    if (!taps || g->channels < LEAST_CHANNELS || g->filters < LEAST_CHANNELS)
        return 0;
    int64_t out = IN + 1 - taps, tiles = ceil_div(g->out_h, out) * ceil_div(g->out_w, out);
    return g->images * tiles >= LEAST_TILES && 3 * taps * taps * g->out_h * g->out_w >= 4 * tiles * POINTS &&
           g->groups * sum_bytes(g) <= PARTIAL_BYTES;
}

/* ---- tiles ---- */

/* Fetches the places of a tile at all points: there are more of them than the processor's own prefetching follows. */
INLINE void expect_tile(const real *to, int64_t step)
{
    for (int i = 0; i < POINTS; i++)
        __builtin_prefetch(to + i * step, 1);
}

/* VL channels of `tiles` tiles from `first` on: by point, `step` apart, and tile. */
static void prepare_image(const weights *v, int64_t group, int64_t channel, int64_t first, int64_t tiles, real *rows,
                          real *to, int64_t step)
{
    source s = images_of(v, group);
    for (int64_t at = 0; at < tiles;) {
        tile_run run = find_run(v->high, v->wide, first + at, tiles - at);
        turn_tiles(v, &s, &run, channel, rows);
        for (int64_t i = 0; i < run.count; i++, at++) {
            expect_tile(to + (at + 1) * VL, step);
            transform_image_tile(rows + i * v->out * VL, v->row_length * VL, VL, to + at * VL, step);
        }
    }
}

/* The same of dY: VL filters, stored TILE_COLS apart. */
static void prepare_gradient(const weights *v, int64_t group, int64_t filter, int64_t first, int64_t tiles, real *rows,
                             real *to, int64_t step)
{
    source s = gradients_of(v, group);
    for (int64_t at = 0; at < tiles;) {
        tile_run run = find_run(v->high, v->wide, first + at, tiles - at);
        turn_tiles(v, &s, &run, filter, rows);
        for (int64_t i = 0; i < run.count; i++, at++) {
            const real *from = rows + i * v->out * VL;
            expect_tile(to + (at + 1) * TILE_COLS, step);
            if (v->out == 4)
                transform_gradient_tile(4, from, v->row_length * VL, VL, to + at * TILE_COLS, step);
            else
                transform_gradient_tile(2, from, v->row_length * VL, VL, to + at * TILE_COLS, step);
        }
    }
}

INLINE real *take_rows(const weights *v) { return symc_scratch(SLOT_BAND, IN * v->row_length * VL * sizeof(real)); }

/* Adds the products of one block of channels and one of filters at one point. */
INLINE void add_products(int64_t cols, int64_t tiles, const real *image, const real *gradient, real *sums, int accumulate)
{
    for (int64_t row = 0; row < VL; row += ROWS)
        FN(symc_tile)(ROWS, cols, tiles, image + row, VL, gradient, TILE_COLS, sums + row * TILE_COLS, TILE_COLS,
                      accumulate);
}

/* ---- chunks of tiles ---- */

/* Transforms a chunk: tasks (group, block of channels, or of VL filters). */
static void prepare_chunk(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    int64_t halves = ceil_div(v->g->filters, VL), tasks = v->steps + halves;
    real *rows = take_rows(v);
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / tasks, i = task % tasks, half = i - v->steps;
        if (i < v->steps)
            prepare_image(v, group, i * VL, v->first, v->count, rows,
                          v->image + (group * v->steps + i) * v->count * VL, v->image_step);
        else
            prepare_gradient(v, group, half * VL, v->first, v->count, rows,
                             v->gradient + (group * v->blocks + half / 2) * v->count * TILE_COLS + half % 2 * VL,
                             v->gradient_step);
    }
}

/* Tasks (group, block of filters, CHANNEL_BLOCKS blocks of channels): sums, and finishes them. */
static void sum_blocks(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    const gather *g = v->g;
    int64_t pieces = ceil_div(v->steps, CHANNEL_BLOCKS), step = CHANNEL_BLOCKS * VL * TILE_COLS + VL;
    real *sums = symc_scratch(SLOT_BLOCK, POINTS * step * sizeof(real));
    real *turned = take_turned(v, CHANNEL_BLOCKS * VL);
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / (pieces * v->blocks), block = task / pieces % v->blocks;
        int64_t first = task % pieces * CHANNEL_BLOCKS, last = smaller(v->steps, first + CHANNEL_BLOCKS);
        const real *gradient = v->gradient + (group * v->blocks + block) * v->tiles * TILE_COLS;
        for (int64_t point = 0; point < POINTS; point++)
            for (int64_t i = first; i < last; i++)
                add_products(block_cols(v, block), v->tiles,
                             v->image + point * v->image_step + (group * v->steps + i) * v->tiles * VL,
                             gradient + point * v->gradient_step,
                             sums + point * step + (i - first) * VL * TILE_COLS, 0);
        finish_block(v, group, block, first * VL, smaller(g->channels, last * VL), sums, step, 1, 0, turned);
    }
}

/* Tasks (group, point, split of the blocks of filters): adds a chunk's products. */
static void add_points(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    for (int64_t task = begin; task < end; task++) {
        int64_t split = task % v->splits, point = task / v->splits % POINTS, group = task / (v->splits * POINTS);
        const real *image = v->image + point * v->image_step + group * v->steps * v->count * VL;
        const real *gradient = v->gradient + point * v->gradient_step + group * v->blocks * v->count * TILE_COLS;
        real *sums = v->sums + (group * POINTS + point) * v->sum_step;
        int64_t pieces = ceil_div(v->count, UNIT_TILES);
        for (int64_t piece = 0; piece < pieces; piece++) {
            int64_t first = piece * v->count / pieces, tiles = (piece + 1) * v->count / pieces - first;
            for (int64_t block = split * v->blocks / v->splits; block < (split + 1) * v->blocks / v->splits; block++)
                for (int64_t step = 0; step < v->steps; step++)
                    add_products(block_cols(v, block), tiles, image + (step * v->count + first) * VL,
                                 gradient + (block * v->count + first) * TILE_COLS,
                                 sums + (block * v->steps + step) * VL * TILE_COLS, v->first > 0 || piece > 0);
        }
    }
}

/* ---- units of tiles ---- */

/* The tiles [start, start + tiles), and blocks [first, last) of channels. */
static void add_unit(const weights *v, int64_t group, int64_t start, int64_t tiles, int64_t first, int64_t last, real *rows,
                     real *image, real *gradient, real *sums, int accumulate)
{
    for (int64_t i = 0; i < ceil_div(v->g->filters, VL); i++)
        prepare_gradient(v, group, i * VL, start, tiles, rows, gradient + i / 2 * v->most * TILE_COLS + i % 2 * VL,
                         v->gradient_step);
    for (int64_t step = first; step < last; step++) {
        prepare_image(v, group, step * VL, start, tiles, rows, image, v->image_step);
        for (int64_t point = 0; point < POINTS; point++)
            for (int64_t block = 0; block < v->blocks; block++)
                add_products(block_cols(v, block), tiles, image + point * v->image_step,
                             gradient + point * v->gradient_step + block * v->most * TILE_COLS,
                             sums + point * v->sum_step + (block * v->steps + step) * VL * TILE_COLS, accumulate);
    }
}

/* Steps of the tiles, for whose transformed values a thread has memory. */
static void size_units(weights *v, int64_t most)
{
    v->most = most;
    v->row_length = smaller(most, v->wide) * v->out + v->taps - 1;
    v->image_step = most * VL + VL;
    v->gradient_step = v->blocks * most * TILE_COLS + SKEW;
}

void FN(symc_winograd_weights_range)(const weights *described, int64_t group, int64_t start, int64_t tiles, int64_t first,
                                     int64_t last, real *sums, int accumulate)
{
    weights v = *described;
    size_units(&v, LEAST_TILES);
    real *rows = take_rows(&v), *image = symc_scratch(SLOT_BLOCK_2, POINTS * v.image_step * sizeof(real));
    real *gradient = symc_scratch(SLOT_BLOCK, POINTS * v.gradient_step * sizeof(real));
    for (int64_t at = 0; at < tiles; at += v.most)
        add_unit(&v, group, start + at, smaller(v.most, tiles - at), first, last, rows, image, gradient, sums,
                 accumulate || at > 0);
}

/* Tasks (group, share, piece of the channels). */
static void add_units(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    real *rows = take_rows(v), *image = symc_scratch(SLOT_BLOCK_2, POINTS * v->image_step * sizeof(real));
    real *gradient = symc_scratch(SLOT_BLOCK, POINTS * v->gradient_step * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        int64_t piece = task % v->pieces, share = task / v->pieces % v->shares, group = task / (v->pieces * v->shares);
        int64_t first = share * v->units / v->shares, last = (share + 1) * v->units / v->shares;
        real *sums = v->sums + (group * v->shares + share) * POINTS * v->sum_step;
        for (int64_t unit = first; unit < last; unit++) {
            int64_t places = v->tiles / v->grain, start = unit * places / v->units * v->grain;
            int64_t tiles = (unit + 1) * places / v->units * v->grain - start;
            add_unit(v, group, start, tiles, piece * v->steps / v->pieces, (piece + 1) * v->steps / v->pieces, rows, image,
                     gradient, sums, unit > first);
        }
    }
}

/* Memory for the transformed tiles of a chunk. */
static void take_chunk(weights *v, int64_t most)
{
    const gather *g = v->g;
    v->row_length = smaller(most, v->wide) * v->out + v->taps - 1;
    v->image_step = g->groups * v->steps * most * VL + SKEW;
    v->gradient_step = g->groups * v->blocks * most * TILE_COLS + SKEW;
    v->image = symc_scratch(SLOT_SHARED, POINTS * v->image_step * sizeof(real));
    v->gradient = symc_scratch(SLOT_SHARED_2, POINTS * v->gradient_step * sizeof(real));
}

INLINE int64_t chunk_tasks(const weights *v) { return v->g->groups * (v->steps + ceil_div(v->g->filters, VL)); }

static void sum_by_blocks(weights *v)
{
    v->count = v->tiles;
    take_chunk(v, v->tiles);
    symc_parallel(prepare_chunk, v, chunk_tasks(v), 1);
    symc_parallel(sum_blocks, v, v->g->groups * v->blocks * ceil_div(v->steps, CHANNEL_BLOCKS), 1);
}

static void sum_by_points(weights *v)
{
    const gather *g = v->g;
    int64_t tile = (v->steps * VL + v->blocks * TILE_COLS) * (int64_t)sizeof(real), threads = symc_num_threads();
    int64_t chunks = ceil_div(v->tiles, larger(UNIT_TILES, CHUNK_BYTES / tile)), products = g->groups * POINTS;
    v->sum_step = sum_bytes(g) / (POINTS * (int64_t)sizeof(real));
    v->sums = symc_scratch(SLOT_PARTIAL, g->groups * sum_bytes(g));
    v->splits = products % threads == 0 || products >= 8 * threads ? 1 : smaller(v->blocks, ceil_div(8 * threads, products));
    take_chunk(v, ceil_div(v->tiles, chunks));
    for (int64_t i = 0; i < chunks; i++) {
        v->first = i * v->tiles / chunks, v->count = (i + 1) * v->tiles / chunks - v->first;
        symc_parallel(prepare_chunk, v, chunk_tasks(v), 1);
        symc_parallel(add_points, v, products * v->splits, 1);
    }
    v->shares = 1;
    symc_parallel(finish_blocks, v, g->groups * v->blocks * v->steps, 1);
}

static void sum_by_units(weights *v)
{
    const gather *g = v->g;
    int64_t wanted = ceil_div(symc_num_threads(), g->groups);
    int64_t most = UNIT_BYTES / (POINTS * v->blocks * TILE_COLS * (int64_t)sizeof(real));
    most = smaller(UNIT_TILES, larger(LEAST_TILES, most));
    v->grain = most < v->wide ? 1 : v->wide;
    int64_t places = v->tiles / v->grain;
    v->units = ceil_div(places, most / v->grain);
    if (v->units < wanted * 8)
        v->units = smaller(places, ceil_div(v->units, wanted) * wanted);
    v->shares = smaller(smaller(wanted, v->units), larger(1, PARTIAL_BYTES / (g->groups * sum_bytes(g))));
    v->pieces = smaller(v->steps, ceil_div(wanted, v->shares));
    size_units(v, ceil_div(places, v->units) * v->grain);
    v->sum_step = sum_bytes(g) / (POINTS * (int64_t)sizeof(real));
    v->sums = symc_scratch(SLOT_PARTIAL, g->groups * v->shares * sum_bytes(g));
    symc_parallel(add_units, v, g->groups * v->shares * v->pieces, 1);
    symc_parallel(finish_blocks, v, g->groups * v->blocks * v->steps, 1);
}

void FN(symc_winograd_weights)(const gather *g, const real *dy, real *dw)
{
    weights v = describe_weights(g, dy, dw);
    if (sum_bytes(g) <= MANY_SUMS)
        sum_by_units(&v);
    else if (v.tiles > FEW_TILES)
        sum_by_points(&v);
    else
        sum_by_blocks(&v);
}
