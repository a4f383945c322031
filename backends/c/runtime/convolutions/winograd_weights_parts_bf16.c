/* Minimal filtering with respect to the weights (winograd_weights_typed.h) whose products are those of parts of bfloat16, as in
 * winograd_parts_bf16.c.
 *
 * Sums run over tiles, so that tiles are paired here: in the transformed dY two tiles of VL filters become VL pairs, and
 * transformed images are transposed too, which makes a row of PAIRED tiles for each channel. STEP_TILES tiles are a step of a
 * product. All threads transform a chunk of tiles; then each makes whole products, whose operands stay in the cache. Sums have
 * the form that they have in float32. (With few channels and filters, parts take longer to make and to move than they save.)
 *
 * Where parts cannot hold the values of a panel of channels in a chunk, its products are added in float32.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#include <math.h>

#include "base/lanes.h"
#include "winograd_parts.h"
#include "winograd_weight_tiles.h"

#if SYMC_HAS_TILES
enum {
    STEP_TILES = PAIRED,
    CHAIN = 4,                  /* steps whose products are added in registers */
    TURNED = STEP_TILES * VL + VL, /* elements between points of a step of images before it is transposed */
    CHUNK_BYTES = 48 << 20,     /* of the parts of a chunk */
    LEAST_TILES = 96, LEAST_SUMS = 4 << 20, /* bytes: what pays, found by measurement */
    GRADIENT_GROWTH = 7, GRADIENT_SHRINKING = 5
};

typedef struct {
    weights v;
    int64_t panels;             /* of PAIR_ROWS channels */
    int64_t panel, block;       /* elements of the parts of a panel of channels, and of TILE_COLS filters, at one point */
    int64_t chunk_steps;        /* of the present chunk */
    extremes *found;            /* of the chunk, by group and block of VL channels or filters */
    block_step list[CHAIN];
    pair_parts parts;
} parted;

/* ---- tiles ---- */

typedef struct {
    real *rows, *turned; /* a thread's own */
} workspace;

static workspace take_workspace(const weights *v)
{
    return (workspace){symc_scratch(SLOT_BAND, IN * v->row_length * VL * sizeof(real)),
                       symc_scratch(SLOT_ROW, POINTS * TURNED * sizeof(real))};
}

/* As turn_tiles; the extremes of what is turned. */
static extremes turn_run(const weights *v, const source *s, const tile_run *run, int64_t plane, real *rows)
{
    turn_tiles(v, s, run, plane, rows);
    extremes found = NO_EXTREMES;
    for (int64_t y = 0; y < source_rows(v, s, run); y++)
        found = both_extremes(found, extremes_among(rows + y * v->row_length * VL, source_span(v, s, run)));
    return found;
}

/* A step of VL transformed channels, by point and tile, to rows of pairs. */
static void put_step(const real *turned, real *to, int64_t step)
{
    for (int point = 0; point < POINTS; point++, turned += TURNED, to += step) {
        vec even[VL], odd[VL];
        UNROLL
        for (int i = 0; i < VL; i++)
            even[i] = load(turned + 2 * i * VL);
        transpose_square(even);
        for (int i = 0; i < VL; i++)
            odd[i] = load(turned + (2 * i + 1) * VL);
        transpose_square(odd);
        for (int i = 0; i < VL; i++)
            put_parts(even[i], odd[i], to + i * VL, PAIR_ROWS * VL, 0);
    }
}

/* VL channels of `tiles` tiles from `first` on: by point, `step` apart, steps of tiles, part, channel. */
static extremes prepare_image(const weights *v, workspace w, int64_t group, int64_t channel, int64_t first, int64_t tiles,
                              real *to, int64_t step)
{
    source s = images_of(v, group);
    extremes found = NO_EXTREMES;
    for (int64_t at = 0; at < tiles;) {
        int64_t place = at % STEP_TILES;
        tile_run run = find_run(&v->rows, &v->cols, first + at, smaller(tiles - at, STEP_TILES - place));
        found = both_extremes(found, turn_run(v, &s, &run, channel, w.rows));
        for (int64_t i = 0; i < run.count; i++) {
            transform_image_tile(WHOLE_FORM, WHOLE_FORM, w.rows + i * v->cols.out * VL, v->row_length * VL, VL,
                                 w.turned + (place + i) * VL, TURNED);
        }
        at += run.count, place += run.count;
        if (place < STEP_TILES && at < tiles)
            continue;
        for (int point = 0; point < POINTS; point++)
            memset(w.turned + point * TURNED + place * VL, 0, (STEP_TILES - place) * VL * sizeof(real));
        put_step(w.turned, to, step);
        to += PARTS * PAIR_ROWS * VL;
    }
    return found;
}

/* VL filters of dY: by point, `step` apart, steps of tiles, part, pair of tiles: `cols` filters. */
static extremes prepare_gradient(const weights *v, workspace w, int64_t group, int64_t filter, int64_t first, int64_t tiles,
                                 real *to, int64_t step, int64_t cols)
{
    source s = gradients_of(v, group);
    real pair_of_tiles[2 * POINTS * VL] __attribute__((aligned(64)));
    extremes found = NO_EXTREMES;
    for (int64_t at = 0; at < tiles;) {
        tile_run run = find_run(&v->rows, &v->cols, first + at, tiles - at);
        found = both_extremes(found, turn_run(v, &s, &run, filter, w.rows));
        for (int64_t i = 0; i < run.count; i++, at++) {
            const real *from = w.rows + i * v->cols.out * VL;
            real *tile = pair_of_tiles + at % 2 * POINTS * VL;
            if (v->cols.out == 4)
                transform_gradient_tile(WHOLE_FORM, WHOLE_FORM, 4, 4, from, v->row_length * VL, VL, tile, VL);
            else
                transform_gradient_tile(WHOLE_FORM, WHOLE_FORM, 2, 2, from, v->row_length * VL, VL, tile, VL);
            if (at + 1 == tiles && at % 2 == 0)
                memset(tile + POINTS * VL, 0, POINTS * VL * sizeof(real));
            if (at + 1 == tiles || at % 2)
                put_points(pair_of_tiles, to + (at / STEP_TILES * PARTS * VL + at % STEP_TILES / 2) * cols, VL * cols, step, 0);
        }
    }
    for (int64_t pair = ceil_div(tiles, 2); pair % VL; pair++)
        for (int i = 0; i < POINTS * PARTS; i++)
            store(to + i / PARTS * step + (pair / VL * PARTS * VL + i % PARTS * VL + pair % VL) * cols, (vec){0});
    return found;
}

/* Whether parts hold the transformed values of images and of dY with these extremes. */
static int hold(extremes image, extremes gradient)
{
    return parts_hold(transformed(image, IMAGE_GROWTH, IMAGE_SHRINKING), transformed(gradient, GRADIENT_GROWTH, GRADIENT_SHRINKING));
}

/* ---- products ---- */

/* Adds the products of a panel of channels and a block of filters at one point, of at most CHAIN steps. */
static void add_products(const parted *z, int64_t rows, int64_t cols, int64_t steps, const real *image, const real *gradient,
                         real *sums, int accumulate)
{
    real chain[PAIR_ROWS * TILE_COLS] __attribute__((aligned(64)));
    symc_part_tile(&z->parts, rows, cols, 1, steps, z->list, image, gradient, accumulate ? chain : sums, TILE_COLS, 0);
    for (int64_t i = 0; accumulate && i < rows; i++)
        for (int64_t j = 0; j < cols; j += VL)
            store(sums + i * TILE_COLS + j, load(sums + i * TILE_COLS + j) + load(chain + i * TILE_COLS + j));
}

INLINE int64_t panel_rows(const weights *v, int64_t panel) { return smaller(PAIR_ROWS, v->steps * VL - panel * PAIR_ROWS); }

/* ---- chunks of tiles ---- */

INLINE int64_t chunk_tasks(const weights *v) { return v->steps + ceil_div(v->g->filters, VL); } /* of a group */

/* Transforms a chunk: tasks (group, block of VL channels, or of filters). */
static void prepare_chunk(void *arg, int64_t begin, int64_t end)
{
    const parted *z = arg;
    const weights *v = &z->v;
    workspace w = take_workspace(v);
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / chunk_tasks(v), i = task % chunk_tasks(v), half = i - v->steps;
        if (i < v->steps)
            z->found[task] = prepare_image(v, w, group, i * VL, v->first, v->count,
                                           v->image + (group * z->panels + i / 2) * z->panel + i % 2 * VL * VL, v->image_step);
        else
            z->found[task] = prepare_gradient(v, w, group, half * VL, v->first, v->count,
                                              v->gradient + (group * v->blocks + half / 2) * z->block + half % 2 * VL,
                                              v->gradient_step, block_cols(v, half / 2));
    }
}

/* Whether parts hold all products of a panel of channels. */
static int panel_holds(const parted *z, int64_t group, int64_t panel)
{
    const extremes *found = z->found + group * chunk_tasks(&z->v);
    int64_t first = panel * PAIR_ROWS / VL, count = smaller(z->v.steps - first, PAIR_ROWS / VL);
    return hold(all_extremes(found + first, count),
                all_extremes(found + z->v.steps, chunk_tasks(&z->v) - z->v.steps));
}

/* Tasks (group, point, split of the blocks of filters): adds a chunk's products. */
static void add_points(void *arg, int64_t begin, int64_t end)
{
    const parted *z = arg;
    const weights *v = &z->v;
    symc_pair_tiles_begin();
    for (int64_t task = begin; task < end; task++) {
        int64_t split = task % v->splits, point = task / v->splits % POINTS, group = task / (v->splits * POINTS);
        const real *image = v->image + point * v->image_step + group * z->panels * z->panel;
        const real *gradient = v->gradient + point * v->gradient_step + group * v->blocks * z->block;
        real *sums = v->sums + (group * POINTS + point) * v->sum_step;
        for (int64_t q = 0; q < z->chunk_steps; q += CHAIN)
            for (int64_t block = split * v->blocks / v->splits; block < (split + 1) * v->blocks / v->splits; block++) {
                int64_t cols = block_cols(v, block);
                for (int64_t panel = 0; panel < z->panels; panel++)
                    if (panel_holds(z, group, panel))
                        add_products(z, panel_rows(v, panel), cols, smaller(CHAIN, z->chunk_steps - q),
                                     image + panel * z->panel + q * PARTS * PAIR_ROWS * VL,
                                     gradient + block * z->block + q * PARTS * VL * cols,
                                     sums + (block * v->steps * VL + panel * PAIR_ROWS) * TILE_COLS, v->first > 0 || q > 0);
            }
    }
    symc_pair_tiles_end();
}

/* Tasks (group, panel): those of which parts do not hold all values. */
static void add_exactly(void *arg, int64_t begin, int64_t end)
{
    const parted *z = arg;
    const weights *v = &z->v;
    FN(symc_winograd_weights_range)(v, 0, 0, 0, 0, 0, NULL, 0); /* asks for memory only */
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / z->panels, panel = task % z->panels, first = panel * PAIR_ROWS / VL;
        if (!panel_holds(z, group, panel))
            FN(symc_winograd_weights_range)(v, group, v->first, v->count, first, smaller(v->steps, first + PAIR_ROWS / VL),
                                            v->sums + group * POINTS * v->sum_step, v->first > 0);
    }
}

static void sum_by_points(parted *z)
{
    weights *v = &z->v;
    const gather *g = v->g;
    int64_t threads = symc_num_threads(), products = g->groups * POINTS, steps = ceil_div(v->tiles, STEP_TILES);
    int64_t step = g->groups * POINTS * PARTS * VL * (z->panels * PAIR_ROWS + v->blocks * TILE_COLS) * (int64_t)sizeof(real);
    int64_t chunks = ceil_div(steps, larger(1, CHUNK_BYTES / step / CHAIN * CHAIN)), most = ceil_div(steps, chunks);
    z->panel = most * PARTS * PAIR_ROWS * VL, z->block = most * PARTS * VL * TILE_COLS;
    v->image_step = g->groups * z->panels * z->panel + SKEW, v->gradient_step = g->groups * v->blocks * z->block + SKEW;
    v->image = symc_scratch(SLOT_SHARED, POINTS * v->image_step * sizeof(real));
    v->gradient = symc_scratch(SLOT_SHARED_2, POINTS * v->gradient_step * sizeof(real));
    v->sums = symc_scratch(SLOT_PARTIAL, g->groups * sums_bytes(v));
    z->found = symc_scratch(SLOT_TABLE, g->groups * chunk_tasks(v) * sizeof *z->found);
    v->row_length = longest_row(v, most * STEP_TILES);
    v->splits = products % threads == 0 || products >= 8 * threads ? 1 : smaller(v->blocks, ceil_div(8 * threads, products));
    v->shares = 1;
    for (v->first = 0; v->first < v->tiles; v->first += v->count) {
        v->count = smaller(most * STEP_TILES, v->tiles - v->first), z->chunk_steps = ceil_div(v->count, STEP_TILES);
        symc_parallel(prepare_chunk, z, g->groups * chunk_tasks(v), 1);
        symc_parallel(add_points, z, products * v->splits, 1);
        symc_parallel(add_exactly, z, g->groups * z->panels, 1);
    }
}

/* ---- all ---- */

int symc_winograd_weights_parts_pay(const gather *g)
{
    tiling t = {0};
    if (chosen_parts() < PARTS || !find_plain_tiling(g, &t) || !FN(symc_winograd_weights_suits)(g))
        return 0;
    return g->images * t.rows.tiles * t.cols.tiles >= LEAST_TILES && sum_bytes(g, &t) >= LEAST_SUMS;
}

void symc_winograd_weights_parts(const gather *g, const real *dy, real *dw)
{
    tiling t = {0};
    if (!find_plain_tiling(g, &t))
        return;
    parted z = {.v = describe_weights(g, &t, dy, dw), .parts = {PARTS, PAIR_ROWS * VL, VL, 0}};
    z.panels = ceil_div(z.v.steps, PAIR_ROWS / VL);
    for (int64_t q = 0; q < CHAIN; q++)
        z.list[q] = (block_step){q * PARTS * PAIR_ROWS * VL, q * PARTS * VL};
    sum_by_points(&z);
    finish_all_blocks(&z.v);
}
#endif
