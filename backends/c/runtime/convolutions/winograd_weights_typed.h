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
    VIEWS_BYTES = 512 << 10,     /* of those views of a block of channels that are transformed together */
    UNIT_TILES = 128,            /* the most, and the length of a chain of additions */
    FEW_TILES = 80,
    MANY_SUMS = 6 << 20,         /* bytes: fewer stay in the cache from unit to unit */
    CHUNK_BYTES = 5 << 18,       /* of the operands of one product */
    CHANNEL_BLOCKS = 64 / VL,    /* of a task with few tiles */
    LEAST_TILES = 16
};

int FN(symc_winograd_weights_suits)(const gather *g)
{
    tiling t = {0};
    if (symc_conv2d_strict || symc_conv2d_preferred > PREFER_WINOGRAD)
        return 0;
    if (g->channels < LEAST_CHANNELS || g->filters < LEAST_CHANNELS || !find_tiling(g, 0, &t))
        return 0;
    int64_t tiles = g->images * t.rows.tiles * t.cols.tiles, pixels = g->images * g->out_h * g->out_w;
    int64_t taps = g->taps_h * g->taps_w;
    double direct = 1.1 * (double)(taps * g->channels * g->filters) * (double)pixels / VL;
    return tiles >= LEAST_TILES && 3 * taps * pixels >= 4 * tiles * points_of(&t) * views_of(&t) &&
           (is_plain(&t) || WEIGHTS_MARGIN * tiling_steps(g, &t) < direct) && g->groups * sum_bytes(g, &t) <= PARTIAL_BYTES;
}

/* ---- tiles ---- */

/* Fetches the places of a tile at all points: there are more of them than the processor's own prefetching follows. */
INLINE void expect_tile(int points, const real *to, int64_t step)
{
    for (int i = 0; i < points; i++)
        __builtin_prefetch(to + i * step, 1);
}

/* A view of the tiles of a turned run. */
INLINE void transform_run(axis_form rows_form, axis_form cols_form, const weights *v, const tile_run *run, int64_t view,
                          const real *rows, real *to, int64_t step)
{
    int64_t row = turned_step(&v->rows) * v->row_length * VL, col = v->cols.apart * VL;
    if (v->views > 1)
        rows += (turned_view(&v->rows, view / v->cols.views) * v->row_length + view_start(&v->cols, view % v->cols.views)) * VL;
    for (int64_t i = 0; i < run->count; i++) {
        int64_t first = v->cols.phases == 1 ? i * v->cols.out : tile_result(&v->cols, i);
        expect_tile(form_in(rows_form) * form_in(cols_form), to + (i + 1) * VL, step);
        transform_image_tile(rows_form, cols_form, rows + first * v->cols.advance * VL, row, col, to + i * VL, step);
    }
}

/* Views [block, block + views) of VL channels of the tiles of a unit: by point, `step` apart, view, `apart` apart, and place. */
static void prepare_image(const weights *v, const tile_unit *u, int64_t group, int64_t block, int64_t views, real *rows, real *to,
                          int64_t apart, int64_t step)
{
    source s = images_of(v, group);
    int64_t next[4];
    memcpy(next, u->start, sizeof next);
    for (int64_t at = 0; at < u->tiles;) {
        tile_run run = next_run(&v->rows, &v->cols, u, at, next);
        turn_tiles(v, &s, &run, block / v->views * VL, rows);
        for (int64_t i = 0; i < views; i++) {
            real *place = to + i * apart + run.place * VL;
#define FORMS(ROWS, COLS) transform_run(ROWS, COLS, v, &run, block % v->views + i, rows, place, step)
            BY_FORMS(run.rows, run.cols)
#undef FORMS
        }
        at += run.count;
    }
}

INLINE void transform_gradient_run(axis_form rows_form, axis_form cols_form, int out_h, int out_w, const weights *v,
                                   int64_t count, const real *rows, real *to, int64_t step)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t first = v->cols.phases == 1 ? i * out_w : tile_result(&v->cols, i);
        expect_tile(form_in(rows_form) * form_in(cols_form), to + (i + 1) * TILE_COLS, step);
        transform_gradient_tile(rows_form, cols_form, out_h, out_w, rows + first * VL, v->row_length * VL, v->cols.phases * VL,
                                to + i * TILE_COLS, step);
    }
}

/* The same of dY: VL filters, stored TILE_COLS apart. */
static void prepare_gradient(const weights *v, const tile_unit *u, int64_t group, int64_t filter, real *rows, real *to,
                             int64_t step)
{
    source s = gradients_of(v, group);
    int64_t next[4];
    memcpy(next, u->start, sizeof next);
    for (int64_t at = 0; at < u->tiles;) {
        tile_run run = next_run(&v->rows, &v->cols, u, at, next);
        turn_tiles(v, &s, &run, filter, rows);
#define FOR_SHAPE(ROWS, COLS, TAPS_H, TAPS_W)                                                                             \
    transform_gradient_run(ROWS, COLS, form_out(ROWS, TAPS_H), form_out(COLS, TAPS_W), v, run.count, rows,              \
                           to + run.place * TILE_COLS, step)
        BY_TILE_SHAPE(run.rows, run.cols, v->rows.taps, v->cols.taps)
#undef FOR_SHAPE
        at += run.count;
    }
}

INLINE real *take_rows(const weights *v)
{
    return symc_scratch(SLOT_BAND, larger(v->rows.out, turned_rows(&v->rows)) * v->row_length * VL * sizeof(real));
}

/* Adds the products of one block of channels and one of filters at one point. */
INLINE void add_products(int64_t cols, int64_t tiles, const real *image, const real *gradient, real *sums, int accumulate)
{
    for (int64_t row = 0; row < VL; row += ROWS)
        FN(symc_tile)(ROWS, cols, tiles, image + row, VL, gradient, TILE_COLS, sums + row * TILE_COLS, TILE_COLS,
                      accumulate, NULL, in_order(image + row + tiles * VL));
}

/* The tiles of a unit that have a point: the first of their places, and how many there are. */
INLINE int64_t first_place(const weights *v, const tile_unit *u, int64_t point)
{
    return u->begin[kind_of_point(&v->cols, point)];
}

INLINE int64_t places(const weights *v, const tile_unit *u, int64_t point) { return u->count[kind_of_point(&v->cols, point)]; }

/* ---- chunks of tiles ---- */

/* Transforms a chunk: tasks (group, block of channels with all views, or of VL filters). */
static void prepare_chunk(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    int64_t blocks = v->steps / v->views, tasks = blocks + ceil_div(v->g->filters, VL);
    real *rows = take_rows(v);
    tile_unit u = describe_unit(&v->rows, &v->cols, v->first, v->count);
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / tasks, i = task % tasks, half = i - blocks;
        if (i < blocks)
            prepare_image(v, &u, group, i * v->views, v->views, rows,
                          v->image + (group * v->steps + i * v->views) * v->count * VL, v->count * VL, v->image_step);
        else
            prepare_gradient(v, &u, group, half * VL, rows,
                             v->gradient + (group * v->blocks + half / 2) * v->count * TILE_COLS + half % 2 * VL,
                             v->gradient_step);
    }
}

/* Blocks of channels, with all views, of a task with few tiles. */
INLINE int64_t task_blocks(const weights *v) { return larger(1, CHANNEL_BLOCKS / v->views); }

/* Tasks (group, block of filters, some blocks of channels): sums, and finishes them. */
static void sum_blocks(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    const gather *g = v->g;
    int64_t some = task_blocks(v), pieces = ceil_div(v->steps / v->views, some);
    int64_t step = some * v->views * VL * TILE_COLS + VL;
    real *sums = symc_scratch(SLOT_BLOCK, v->points * step * sizeof(real));
    real *turned = take_turned(v, some * VL);
    tile_unit u = describe_unit(&v->rows, &v->cols, 0, v->tiles);
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / (pieces * v->blocks), block = task / pieces % v->blocks, channel = task % pieces * some;
        int64_t first = channel * v->views, last = smaller(v->steps, first + some * v->views);
        const real *gradient = v->gradient + (group * v->blocks + block) * v->tiles * TILE_COLS;
        for (int64_t point = 0; point < v->points; point++) {
            int64_t place = first_place(v, &u, point), tiles = places(v, &u, point);
            for (int64_t i = first; i < last; i++)
                add_products(block_cols(v, block), tiles,
                             v->image + point * v->image_step + ((group * v->steps + i) * v->tiles + place) * VL,
                             gradient + point * v->gradient_step + place * TILE_COLS,
                             sums + point * step + (i - first) * VL * TILE_COLS, 0);
        }
        finish_block(v, group, block, channel * VL, smaller(g->channels, (channel + some) * VL), sums, step, 1, 0, turned);
    }
}

/* Tasks (group, point, split of the blocks of filters): adds a chunk's products. */
static void add_points(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    tile_unit u = describe_unit(&v->rows, &v->cols, v->first, v->count);
    for (int64_t task = begin; task < end; task++) {
        int64_t split = task % v->splits, point = task / v->splits % v->points, group = task / (v->splits * v->points);
        const real *image = v->image + point * v->image_step + group * v->steps * v->count * VL;
        const real *gradient = v->gradient + point * v->gradient_step + group * v->blocks * v->count * TILE_COLS;
        real *sums = v->sums + (group * v->points + point) * v->sum_step;
        int64_t count = places(v, &u, point), pieces = larger(1, ceil_div(count, UNIT_TILES));
        for (int64_t piece = 0; piece < pieces; piece++) {
            int64_t first = piece * count / pieces, tiles = (piece + 1) * count / pieces - first;
            first += first_place(v, &u, point);
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
    tile_unit u = describe_unit(&v->rows, &v->cols, start, tiles);
    for (int64_t i = 0; i < ceil_div(v->g->filters, VL); i++)
        prepare_gradient(v, &u, group, i * VL, rows, gradient + i / 2 * v->most * TILE_COLS + i % 2 * VL,
                         v->gradient_step);
    int64_t some = 1;
    for (int64_t step = first; step < last; step += some) {
        some = smaller(smaller(v->together, last - step), v->views - step % v->views);
        prepare_image(v, &u, group, step, some, rows, image, v->most * VL, v->image_step);
        for (int64_t point = 0; point < v->points; point++)
            for (int64_t block = 0; block < v->blocks; block++)
                for (int64_t i = 0; i < some; i++)
                    add_products(block_cols(v, block), places(v, &u, point),
                                 image + point * v->image_step + (i * v->most + first_place(v, &u, point)) * VL,
                                 gradient + point * v->gradient_step + (block * v->most + first_place(v, &u, point)) * TILE_COLS,
                                 sums + point * v->sum_step + (block * v->steps + step + i) * VL * TILE_COLS, accumulate);
    }
}

/* Steps of the tiles, for whose transformed values a thread has memory. */
static void size_units(weights *v, int64_t most)
{
    v->most = most;
    v->row_length = longest_row(v, most);
    v->together = smaller(v->views, larger(1, VIEWS_BYTES / (v->points * most * VL * (int64_t)sizeof(real))));
    v->image_step = v->together * most * VL + VL;
    v->gradient_step = v->blocks * most * TILE_COLS + SKEW;
}

void FN(symc_winograd_weights_range)(const weights *described, int64_t group, int64_t start, int64_t tiles, int64_t first,
                                     int64_t last, real *sums, int accumulate)
{
    weights v = *described;
    size_units(&v, LEAST_TILES);
    real *rows = take_rows(&v), *image = symc_scratch(SLOT_BLOCK_2, v.points * v.image_step * sizeof(real));
    real *gradient = symc_scratch(SLOT_BLOCK, v.points * v.gradient_step * sizeof(real));
    for (int64_t at = 0; at < tiles; at += v.most)
        add_unit(&v, group, start + at, smaller(v.most, tiles - at), first, last, rows, image, gradient, sums,
                 accumulate || at > 0);
}

/* Tasks (group, share, piece of the channels). */
static void add_units(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    real *rows = take_rows(v), *image = symc_scratch(SLOT_BLOCK_2, v->points * v->image_step * sizeof(real));
    real *gradient = symc_scratch(SLOT_BLOCK, v->points * v->gradient_step * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        int64_t piece = task % v->pieces, share = task / v->pieces % v->shares, group = task / (v->pieces * v->shares);
        int64_t first = share * v->units / v->shares, last = (share + 1) * v->units / v->shares;
        real *sums = v->sums + (group * v->shares + share) * v->points * v->sum_step;
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
    v->row_length = longest_row(v, most);
    v->image_step = g->groups * v->steps * most * VL + SKEW;
    v->gradient_step = g->groups * v->blocks * most * TILE_COLS + SKEW;
    v->image = symc_scratch(SLOT_SHARED, v->points * v->image_step * sizeof(real));
    v->gradient = symc_scratch(SLOT_SHARED_2, v->points * v->gradient_step * sizeof(real));
}

INLINE int64_t chunk_tasks(const weights *v) { return v->g->groups * (v->steps / v->views + ceil_div(v->g->filters, VL)); }

static void sum_by_blocks(weights *v)
{
    v->count = v->tiles;
    take_chunk(v, v->tiles);
    symc_parallel(prepare_chunk, v, chunk_tasks(v), 1);
    symc_parallel(sum_blocks, v, v->g->groups * v->blocks * ceil_div(v->steps / v->views, task_blocks(v)), 1);
}

static void sum_by_points(weights *v)
{
    const gather *g = v->g;
    int64_t tile = (v->steps * VL + v->blocks * TILE_COLS) * (int64_t)sizeof(real), threads = symc_num_threads();
    int64_t chunks = ceil_div(v->tiles, larger(UNIT_TILES, CHUNK_BYTES / tile)), products = g->groups * v->points;
    v->sums = symc_scratch(SLOT_PARTIAL, g->groups * sums_bytes(v));
    v->splits = products % threads == 0 || products >= 8 * threads ? 1 : smaller(v->blocks, ceil_div(8 * threads, products));
    int64_t places = v->tiles / v->cols.phases;
    chunks = smaller(chunks, places);
    take_chunk(v, ceil_div(places, chunks) * v->cols.phases);
    for (int64_t i = 0; i < chunks; i++) {
        v->first = i * places / chunks * v->cols.phases, v->count = (i + 1) * places / chunks * v->cols.phases - v->first;
        symc_parallel(prepare_chunk, v, chunk_tasks(v), 1);
        symc_parallel(add_points, v, products * v->splits, 1);
    }
    v->shares = 1;
    finish_all_blocks(v);
}

static void sum_by_units(weights *v)
{
    const gather *g = v->g;
    int64_t wanted = ceil_div(symc_num_threads(), g->groups);
    int64_t most = UNIT_BYTES / (v->points * v->blocks * TILE_COLS * (int64_t)sizeof(real));
    most = smaller(UNIT_TILES, larger(LEAST_TILES, most));
    v->grain = most < v->wide ? v->cols.phases : v->wide;
    int64_t places = v->tiles / v->grain;
    v->units = ceil_div(places, larger(1, most / v->grain));
    if (v->units < wanted * 8)
        v->units = smaller(places, ceil_div(v->units, wanted) * wanted);
    v->shares = smaller(smaller(wanted, v->units), larger(1, PARTIAL_BYTES / (g->groups * sums_bytes(v))));
    v->pieces = smaller(v->steps, ceil_div(wanted, v->shares));
    size_units(v, ceil_div(places, v->units) * v->grain);
    v->sums = symc_scratch(SLOT_PARTIAL, g->groups * v->shares * sums_bytes(v));
    symc_parallel(add_units, v, g->groups * v->shares * v->pieces, 1);
    finish_all_blocks(v);
}

void FN(symc_winograd_weights)(const gather *g, const real *dy, real *dw)
{
    tiling t = {0};
    if (!find_tiling(g, 0, &t))
        return;
    weights v = describe_weights(g, &t, dy, dw);
    if (sums_bytes(&v) <= MANY_SUMS)
        sum_by_units(&v);
    else if (v.tiles > FEW_TILES)
        sum_by_points(&v);
    else
        sum_by_blocks(&v);
}
