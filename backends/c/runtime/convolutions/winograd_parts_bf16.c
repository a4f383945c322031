/* Minimal filtering (winograd_typed.h) whose products are those of parts of bfloat16 (products/pairs.h): transformed tiles of
 * images and filters are divided into three parts, and matrix registers add six products of parts in float32. That is as
 * exact as products in float32: the rounding error of the transformations is larger.
 *
 * Filters are transformed and divided first, by all threads. A unit of work is a number of tiles: their parts, then the products
 * of one point after the other for all filters, then the transformation of the outputs. So the parts of a point's tiles stay
 * in the second level cache while all filters pass, and filters are read once for each unit.
 *
 * Parts here are cut off rather than rounded: 24 significant bits are three times 8 either way, and what is cut off takes
 * two instructions to find. Channels i and VL + i of a block of PAIRED are a pair, so that both blocks of VL are transformed
 * as they are.
 *
 * The tiles of a unit whose values parts cannot hold are computed in float32.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#include <math.h>

#include "base/stored.h"
#include "winograd_parts.h"
#include "winograd_tiles.h"

#if SYMC_HAS_TILES
enum {
    ROW_TILES = 16,               /* of one register */
    MOST_TILES = 8 * PAIR_ROWS,
    CHUNK = 4,                     /* blocks of channels whose filters stay in the first level cache */
    FILTERS_BYTES = 128 << 20,    /* the most memory spent on transformed filters */
    FILTER_GROWTH = 2, FILTER_SHRINKING = 7
};

typedef struct {
    winograd v;
    int64_t depth;                /* blocks of PAIRED channels */
    int64_t halves;               /* of ROW_TILES tiles: all, each of which belongs to one unit */
    int64_t panel, block;         /* elements of the parts of PAIR_ROWS tiles, and of a block of filters */
    real *filters;                /* by group, point, block of filters and of channels, part, pair: TILE_COLS filters */
    extremes *found;              /* of filters, by group, block of filters and of channels */
    block_step *list;
    pair_parts parts;
} parted;

/* Whether parts hold the transformed values of images and filters with these extremes. */
static int hold(extremes image, extremes filter)
{
    return parts_hold(transformed(image, IMAGE_GROWTH, IMAGE_SHRINKING), transformed(filter, FILTER_GROWTH, FILTER_SHRINKING));
}

/* ---- filters ---- */

/* Tasks (group, block of filters, block of channels). */
static void prepare_filters(void *arg, int64_t begin, int64_t end)
{
    const parted *z = arg;
    const winograd *v = &z->v;
    const gather *g = v->g;
    int64_t taps = g->taps_h * g->taps_w, point = blocks(v) * z->block;
    real *turned = symc_scratch(SLOT_ROW, PAIRED * taps * VL * sizeof(real));
    real transformed[2 * POINTS * VL];
    int64_t at[MOST_TAPS * MOST_TAPS];
    locate_taps(&v->rows, &v->cols, 0, 0, at);
    for (int64_t task = begin; task < end; task++) {
        int64_t step = task % z->depth, block = task / z->depth % blocks(v), group = task / (z->depth * blocks(v));
        int64_t cols = block_cols(v, block), first = step * PAIRED, last = smaller(g->channels, first + PAIRED);
        real *to = z->filters + (group * POINTS * blocks(v) + block) * z->block + step * PARTS * VL * cols;
        extremes found = NO_EXTREMES;
        for (int64_t half = 0; half < cols; half += VL) {
            turn_filters(v, group, block * TILE_COLS + half, first, last, turned);
            memset(turned + (last - first) * taps * VL, 0, (first + PAIRED - last) * taps * VL * sizeof(real));
            found = both_extremes(found, extremes_among(turned, (last - first) * taps));
            for (int64_t c = 0; c < VL; c++) {
                transform_block(v, at, turned + c * taps * VL, transformed, VL);
                transform_block(v, at, turned + (VL + c) * taps * VL, transformed + POINTS * VL, VL);
                put_points(transformed, to + half + c * cols, VL * cols, point, 1);
            }
        }
        z->found[task] = found;
    }
    finish_stream();
}

/* ---- units ---- */

/* A thread's private memory, sufficient for any unit. */
typedef struct {
    real *image, *sums, *rows;
    int64_t image_step, sum_step, block_step;
} workspace;

static workspace take_workspace(const parted *z)
{
    const winograd *v = &z->v;
    workspace w = {.image_step = ceil_div(v->most, PAIR_ROWS) * z->panel + SKEW, .sum_step = v->most * TILE_COLS + SKEW};
    w.block_step = POINTS * w.sum_step;
    w.image = symc_scratch(SLOT_BLOCK, POINTS * w.image_step * sizeof(real));
    w.sums = symc_scratch(SLOT_BLOCK_2, blocks(v) * w.block_step * sizeof(real));
    w.rows = symc_scratch(SLOT_BAND, 2 * IN * v->row_length * VL * sizeof(real));
    return w;
}

/* Up to PAIRED channels of a run of tiles; both halves of them to `rows`, `half` elements apart. */
static extremes turn_run(const winograd *v, const tile_run *run, int64_t group, int64_t channel, int64_t half, real *rows)
{
    const gather *g = v->g;
    int64_t plane = g->in_h * g->in_w, wide = tiles_span(&v->cols, run->count);
    const real *end = g->in + g->images * g->groups * g->channels * plane;
    const real *planes = g->in + ((run->image * g->groups + group) * g->channels + channel) * plane;
    for (int64_t i = 0; i < 2; i++, rows += half, planes += VL * plane, channel += VL) {
        if (channel >= g->channels) {
            memset(rows, 0, half * sizeof(real));
            continue;
        }
        FN(symc_window_to_lanes)(planes, plane, smaller(VL, g->channels - channel), g->in_h, g->in_w, end,
                                 tile_start(&v->rows, run->row), tile_start(&v->cols, run->col), IN, wide,
                                 v->row_length * VL, rows);
    }
    rows -= 2 * half;
    extremes found = NO_EXTREMES;
    for (int64_t i = 0; i < 2 * IN; i++)
        found = both_extremes(found, extremes_among(rows + i * v->row_length * VL, wide));
    return found;
}

/* All channels of tiles [first, first + tiles), in parts: by point, panel, block of channels, part, tile. */
static extremes prepare_tiles(const parted *z, const workspace *w, int64_t group, int64_t first, int64_t tiles)
{
    const winograd *v = &z->v;
    int64_t half = IN * v->row_length * VL;
    real transformed[2 * POINTS * VL];
    extremes found = NO_EXTREMES;
    for (int64_t step = 0; step < z->depth; step++)
        for (int64_t at = 0; at < tiles;) {
            tile_run run = find_run(&v->rows, &v->cols, first + at, tiles - at);
            found = both_extremes(found, turn_run(v, &run, group, step * PAIRED, half, w->rows));
            for (int64_t i = 0; i < run.count; i++, at++) {
                const real *from = w->rows + i * v->cols.out * VL;
                transform_image_tile(WHOLE_FORM, WHOLE_FORM, from, v->row_length * VL, VL, transformed, VL);
                transform_image_tile(WHOLE_FORM, WHOLE_FORM, from + half, v->row_length * VL, VL, transformed + POINTS * VL, VL);
                put_points(transformed,
                           w->image + at / PAIR_ROWS * z->panel + (step * PARTS * PAIR_ROWS + at % PAIR_ROWS) * VL,
                           PAIR_ROWS * VL, w->image_step, 0);
            }
        }
    return found;
}

/* Whether parts hold all products of tiles with these extremes. */
static int unit_holds(const parted *z, int64_t group, extremes image)
{
    for (int64_t block = 0; block < blocks(&z->v); block++)
        if (!hold(image, all_extremes(z->found + (group * blocks(&z->v) + block) * z->depth, z->depth)))
            return 0;
    return 1;
}

static void multiply_tiles(const parted *z, const workspace *w, int64_t group, int64_t halves)
{
    const winograd *v = &z->v;
    int64_t chunks = ceil_div(z->depth, CHUNK);
    for (int64_t point = 0; point < POINTS; point++)
        for (int64_t i = 0; i < blocks(v) * chunks; i++) {
            int64_t block = i / chunks, cols = block_cols(v, block), step = i % chunks * CHUNK;
            int64_t steps = smaller(CHUNK, z->depth - step);
            const real *image = w->image + point * w->image_step + step * PARTS * PAIR_ROWS * VL;
            const real *filters = z->filters + ((group * POINTS + point) * blocks(v) + block) * z->block + step * PARTS * VL * cols;
            real *sums = w->sums + block * w->block_step + point * w->sum_step;
            for (int64_t at = 0; at < halves; at += 2, image += z->panel, sums += PAIR_ROWS * cols)
                symc_part_tile(&z->parts, smaller(halves - at, 2) * ROW_TILES, cols, 1, steps, z->list, image, filters, sums, cols,
                               step > 0);
        }
}

/* Tasks (group, unit). */
static void run_units(void *arg, int64_t begin, int64_t end)
{
    const parted *z = arg;
    const winograd *v = &z->v;
    if (begin == end) /* asks for memory only */
        FN(symc_winograd_range)(v->g, 0, 0, 0, v->most);
    symc_pair_tiles_begin();
    workspace w = take_workspace(z);
    for (int64_t i = begin; i < end; i++) {
        int64_t unit = i % v->units, group = i / v->units;
        int64_t half = unit * z->halves / v->units, stop = (unit + 1) * z->halves / v->units;
        int64_t first = half * ROW_TILES, tiles = smaller(v->tiles, stop * ROW_TILES) - first;
        if (!unit_holds(z, group, prepare_tiles(z, &w, group, first, tiles))) {
            FN(symc_winograd_range)(v->g, group, first, tiles, v->most);
            w = take_workspace(z);
            continue;
        }
        multiply_tiles(z, &w, group, stop - half);
        tile_unit u = describe_unit(&v->rows, &v->cols, first, tiles);
        for (int64_t block = 0; block < blocks(v); block++) {
            int64_t cols = block_cols(v, block);
            for (int64_t part = 0; part < cols; part += VL)
                put_tiles(v, &u, group, block * TILE_COLS + part, w.sums + block * w.block_step + part, w.sum_step, cols, w.rows);
        }
    }
    symc_pair_tiles_end();
}

/* ---- all ---- */

static int64_t filter_bytes(const gather *g)
{
    return g->groups * POINTS * ceil_div(g->filters, TILE_COLS) * ceil_div(g->channels, PAIRED) * PARTS * VL * TILE_COLS *
           (int64_t)sizeof(real);
}

/* The description of a plain tiling, if there is one. */
static winograd describe(const gather *g)
{
    tiling t = {0};
    return find_plain_tiling(g, &t) ? describe_tiling(g, &t) : (winograd){.g = g};
}

/* Nanoseconds on one processor, fitted to times measured there: of a multiplication, of a channel of a tile and a filter of one,
 * and of a channel of a filter, which is transformed and divided unless it is stored, and which each unit reads. */
static double parts_time(const gather *g, int is_stored)
{
    const double multiply = 0.0076, turn = 14.3, prepare = 31.6, read = 9.6;
    const int64_t near = 10000; /* channels of all filters that stay in the second level cache */
    double tiles = (double)describe(g).tiles, pairs = (double)g->channels * (double)g->filters, units = ceil(tiles / MOST_TILES);
    double whole = (double)(ceil_div(g->channels, PAIRED) * PAIRED) * (double)(ceil_div(g->filters, VL) * VL);
    return (double)g->groups * (multiply * POINTS * ceil(tiles / ROW_TILES) * ROW_TILES * whole +
                                turn * tiles * (double)(g->channels + g->filters) + (is_stored ? 0 : prepare * pairs) +
                                (pairs > near ? read * units * pairs : 0));
}

/* The same of minimal filtering in float32. */
static double time_in_float32(const gather *g)
{
    const double multiply = 0.0158, turn = 4.04, prepare = 5.66;
    double tiles = (double)describe(g).tiles, pairs = (double)g->channels * (double)g->filters;
    double whole = (double)g->channels * (double)(ceil_div(g->filters, VL) * VL);
    return (double)g->groups * (multiply * POINTS * tiles * whole + turn * tiles * (double)(g->channels + g->filters) +
                                prepare * pairs);
}

/* Filters are stored only while there is room for them, so that they may have to be transformed in each call after all. */
double symc_winograd_parts_time(const gather *g)
{
    tiling t = {0};
    if (chosen_parts() < PARTS || !find_plain_tiling(g, &t) || !FN(symc_winograd_suits)(g) || filter_bytes(g) > FILTERS_BYTES)
        return INFINITY;
    double plain = time_in_float32(g), time = parts_time(g, g->stored != NULL);
    return time < 0.9 * plain && parts_time(g, 0) < 1.5 * plain ? time : INFINITY;
}

void symc_winograd_parts(const gather *g)
{
    parted z = {.v = describe(g), .depth = ceil_div(g->channels, PAIRED), .parts = {PARTS, PAIR_ROWS * VL, VL, 0}};
    winograd *v = &z.v;
    int64_t threads = symc_num_threads(), steps = g->groups * blocks(v) * z.depth;
    z.panel = z.depth * PARTS * PAIR_ROWS * VL, z.block = z.depth * PARTS * VL * TILE_COLS;
    z.halves = ceil_div(v->tiles, ROW_TILES);
    int64_t units = ceil_div(v->tiles, MOST_TILES) * g->groups;
    if (units < 8 * threads)
        units = ceil_div(units, threads) * threads;
    v->units = smaller(z.halves, ceil_div(units, g->groups));
    v->most = ceil_div(z.halves, v->units) * ROW_TILES;
    v->row_length = turned_row(v, v->most);
    z.list = symc_scratch(SLOT_TABLE, CHUNK * sizeof *z.list);
    for (int64_t q = 0; q < CHUNK; q++)
        z.list[q] = (block_step){q * PARTS * PAIR_ROWS * VL, q * PARTS * VL};
    symc_form_key key = {g->weights, FORM_WINOGRAD_PARTS,
                         {v->rows.taps, g->groups, g->channels, g->filters, g->weight_filter, g->weight_channel, v->rows.ascends,
                          v->cols.ascends}};
    symc_form form = symc_form_of(g->stored, &key, filter_bytes(g) + steps * sizeof *z.found, SLOT_SHARED);
    z.filters = form.memory;
    z.found = (extremes *)((char *)z.filters + filter_bytes(g));
    if (!form.ready) {
        symc_parallel(prepare_filters, &z, steps, 1);
        symc_form_made(&form);
    }
    symc_parallel(run_units, &z, g->groups * v->units, 1);
}
#endif
