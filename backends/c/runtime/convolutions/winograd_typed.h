/* Winograd's minimal filtering F(4x4, 3x3), F(2x2, 5x5) and F(5x5, 2x2): Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks", 2015. Compiled once per element type.
 *
 * An output tile is A^T [(G w G^T) * (B^T d B)] A, with w the filter, d the 6x6 image tile behind its pixels and *
 * elementwise, summed over channels before the last transformation: 36 matrix products (tiles, channels) (channels,
 * filters), with a quarter of the multiplications for 3x3 filters and 9/25 for 5x5. The matrices follow from the
 * interpolation points 0, +-P, +-Q and infinity; 0.625 and 1.5 make the rounding error less than half of that of the
 * usual 1 and 2, and most constants are exact in binary. Lanes are channels, then filters: images are turned to blocks
 * of VL channels, and outputs back, one row of tiles at a time.
 *
 * The last tile along an axis of three taps has 4 pixels instead of 6 where no more than two results are left, 14 = 3 * 4 + 2: then
 * it is F(2, 3) of four of the points, for which the filters are the same. The tiles that have a point are kept together.
 *
 * Other filters are divided into views, which are further channels with tiles of their own: with strides the taps of each
 * remainder, and of large filters 2, 3 or 5 taps each. With dilation, tiles are made of every second, third, ... pixel. Along
 * one of both axes filtering may be left out: then a tile has one row or column, and 6 points. See winograd_axes.h.
 */
#include "winograd.h"

#include <math.h>

#include "base/stored.h"
#include "conv2d.h"
#include "winograd_blocks.h"
#include "winograd_folded.h"
#include "winograd_tiles.h"

enum {
    TILES_BYTES = 1 << 20,  /* transformed image tiles of a unit: about the second level cache */
    LEAST_TILES = 2 * TILE_ROWS,
    KEPT_BYTES = 3 << 20,   /* larger filters are transformed by each unit, a block at a time in the cache */
    MOST_KEPT_BYTES = 16 << 20, /* the same of filters that stay transformed between calls: units read them from a shared cache */
    STORED_BYTES = 256 << 10, /* of filters that stay transformed between calls for one unit: they are four times as many
                               * bytes as before, which take longer to read from memory than to compute again */
    MOST_TILES = 8 * TILE_ROWS,
    CHANNEL_BLOCK = 128,    /* summed separately: long chains of additions lose accuracy */
    MOST_STEPS = CHANNEL_BLOCK / VL
};

/* What a direct convolution takes to pack an element of a filter that is not stored, in multiplications of vectors. */
#define PACK_COST 1.2

/* And one of vectors of bfloat16, for each element. */
#define BFLOAT16_COST 0.55

double FN(symc_winograd_steps)(const gather *g)
{
    tiling t = {0};
    return find_tiling(g, 1, &t) ? tiling_steps(g, &t) : INFINITY;
}

int FN(symc_winograd_suits)(const gather *g)
{
    if (symc_conv2d_strict || symc_conv2d_preferred > PREFER_WINOGRAD)
        return 0;
    if (g->filters < LEAST_CHANNELS || g->images * g->out_h * g->out_w <= 0)
        return 0;
    double pixels = (double)g->images * g->out_h * g->out_w;
    double weights = (double)g->channels * g->filters * g->taps_h * g->taps_w;
    double direct = weights * (pixels / VL * 1.1 + (g->stored ? 0 : PACK_COST)), steps = FN(symc_winograd_steps)(g);
    return steps < direct || (symc_conv2d_preferred == PREFER_WINOGRAD && steps < INFINITY);
}

/* Whether tiles consist of whole windows. */
static int divides_tiles(const tiling *t, int64_t pool_h, int64_t pool_w)
{
    return pool_h * pool_w == 1 ||
           (t->rows.out % pool_h == 0 && t->cols.out % pool_w == 0 && t->rows.phases * t->cols.phases == 1);
}

int FN(symc_winograd_pools)(const gather *g, int64_t pool_h, int64_t pool_w)
{
    tiling t = {0};
    return find_tiling(g, 1, &t) && divides_tiles(&t, pool_h, pool_w);
}

#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
int symc_winograd_suits_blocks(const gather *g)
{
    tiling t = {0};
    if (symc_conv2d_strict || symc_conv2d_preferred > PREFER_WINOGRAD || !find_tiling(g, 0, &t))
        return 0;
    if (!divides_tiles(&t, g->pool_h, g->pool_w))
        return 0;
    double pixels = (double)(g->images * g->out_h * g->out_w), weights = (double)(g->channels * g->filters * g->taps_h * g->taps_w);
    return symc_conv2d_preferred == PREFER_WINOGRAD || tiling_steps(g, &t) < BFLOAT16_COST * weights * pixels / VL;
}
#endif

/* ---- filters ---- */

/* Blocks of channels [first, last) of a group, with zeros behind the last channel, and up to VL filters from `filter` on:
 * by point, `step` apart, and channel, `cols` apart. */
static void prepare_filters(const winograd *v, int64_t group, int64_t filter, int64_t first, int64_t last, real *turned,
                            real *to, int64_t step, int64_t cols)
{
    const gather *g = v->g;
    int64_t taps = g->taps_h * g->taps_w, pieces = lane_pieces(&v->cols), fold_h = v->rows.fold, fold_w = v->cols.fold;
    int folded = fold_h * fold_w > 1;
    int64_t channel = first / v->views * pieces / fold_h;
    int64_t end_channel = smaller(g->channels, ceil_div(ceil_div(last, v->views) * pieces, fold_h));
    turn_filters(v, group, filter, channel, end_channel, turned);
    if (g->blocked)
        round_filters(turned, (end_channel - channel) * taps);
    int64_t at[MOST_TAPS * MOST_TAPS];
    for (int64_t i = first; i < last; i++) {
        int64_t before = i / v->views * pieces, view = i % v->views, row_view = view / v->cols.views, col_view = view % v->cols.views;
        if (!folded)
            locate_taps(&v->rows, &v->cols, row_view, col_view, at);
        for (int64_t lane = 0; lane < VL; lane++, to += cols) {
            int64_t place = folded ? lane / fold_w : lane, piece = before + place, c = folded ? piece / fold_h : piece;
            if (folded)
                locate_taps(&v->rows, &v->cols, piece % fold_h, lane % fold_w, at);
            if (place < pieces && c < g->channels)
                transform_block(v, at, turned + (c - channel) * taps * VL, to, step);
            else
                for (int64_t point = 0; point < v->points; point++)
                    store(to + point * step, (vec){0});
        }
    }
}

/* Memory for the turned filters of CHANNEL_BLOCK channels of all views. */
INLINE size_t turned_bytes(const winograd *v)
{
    int64_t most = smaller(v->steps / v->views, MOST_STEPS / v->views + 2);
    return most * VL * v->g->taps_h * v->g->taps_w * VL * sizeof(real);
}

/* Tasks (group, block of filters, CHANNEL_BLOCK channels). */
static void prepare_all(void *arg, int64_t begin, int64_t end)
{
    const winograd *v = arg;
    int64_t pieces = ceil_div(v->steps, MOST_STEPS);
    real *turned = symc_scratch(SLOT_BLOCK, turned_bytes(v));
    for (int64_t i = begin; i < end; i++) {
        int64_t first = i % pieces * MOST_STEPS, block = i / pieces % blocks(v), group = i / pieces / blocks(v);
        int64_t cols = block_cols(v, block);
        real *to = v->filters + (group * blocks(v) + block) * v->points * v->depth * TILE_COLS + first * VL * cols;
        for (int64_t half = 0; half < cols; half += VL)
            prepare_filters(v, group, block * TILE_COLS + half, first, smaller(v->steps, first + MOST_STEPS), turned,
                            to + half, v->depth * cols, cols);
    }
}

/* ---- image tiles ---- */

INLINE int64_t panels(int64_t tiles) { return ceil_div(tiles, TILE_ROWS); }
INLINE int64_t panel_start(int64_t i, int64_t tiles) { return i * tiles / panels(tiles); }

/* A block of channels of the pixels behind a run of tiles. */
static void turn_run(const winograd *v, const tile_run *run, int64_t group, int64_t channel, real *rows)
{
    const gather *g = v->g;
    int64_t plane = g->in_h * g->in_w, high = run_rows(&v->rows, run), apart = v->rows.phases, once = apart == 1 ? high : 1;
    int64_t row = tile_start(&v->rows, run->row), wide = run_span(&v->cols, run);
    const real *planes = g->in + ((run->image * g->groups + group) * g->channels + channel) * plane;
    const real *end = g->in + g->images * g->groups * g->channels * plane;
    for (int64_t i = 0; i < high; i += once)
        FN(symc_window_to_lanes)(planes, plane, smaller(VL, g->channels - channel), g->in_h, g->in_w, end, row + i * apart,
                                 tile_start(&v->cols, run->col), once, wide, v->row_length * VL,
                                 rows + i * v->row_length * VL);
}

/* The panels of the tiles that have points of a kind, from the one with tile `at` of them on. */
typedef struct {
    int64_t first, tiles, panel, begin, end;
} panel_walk;

INLINE panel_walk walk_panels(const tile_unit *u, int kind, int64_t place)
{
    int64_t tiles = u->count[kind], panel = (place - u->begin[kind]) * panels(tiles) / tiles;
    return (panel_walk){u->begin[kind], tiles, panel, panel_start(panel, tiles), panel_start(panel + 1, tiles)};
}

/* Where a tile has its vectors of block `step`, as elements from the first tile on. */
INLINE int64_t panel_place(const winograd *v, panel_walk *w, int64_t place, int64_t step)
{
    int64_t at = place - w->first;
    while (at >= w->end)
        w->begin = w->end, w->panel++, w->end = panel_start(w->panel + 1, w->tiles);
    return (w->first + w->begin) * v->depth + (step * (w->end - w->begin) + at - w->begin) * VL;
}

/* One view of a run of tiles to panels of tiles; `near` if pixels of a tile are neighbours, `alike` if all tiles have all
 * points. */
INLINE void transform_run(axis_form rows_form, axis_form cols_form, int near, int alike, const winograd *v, const tile_unit *u,
                          const tile_run *run, int64_t step, const real *rows, real *to)
{
    const int whole_h = rows_form == WHOLE_FORM, whole_w = cols_form == WHOLE_FORM, wide = cols_form == NO_FORM ? 1 : IN;
    int64_t row = turned_step(&v->rows) * v->row_length * VL, col = near ? VL : v->cols.apart * VL;
    if (v->views > 1)
        rows += (turned_view(&v->rows, step % v->views / v->cols.views) * v->row_length +
                 view_start(&v->cols, step % v->cols.views)) * VL;
    panel_walk walks[4];
    for (int kind = 0; kind < 4; kind++)
        walks[kind] = walk_panels(u, (!whole_h && kind / 2) || (!whole_w && kind % 2) || alike ? 0 : kind, run->place);
    for (int64_t i = 0; i < run->count; i++) {
        int64_t first = v->cols.phases == 1 ? i * v->cols.out : tile_result(&v->cols, i);
        real *places[4];
        for (int kind = 0; kind < 4; kind++)
            places[kind] = kind && alike ? places[0] : to + panel_place(v, &walks[kind], run->place + i, step);
        transform_image_tile_to(rows_form, cols_form, wide, rows + first * v->cols.advance * VL, row, col, places, v->tile_step);
    }
}

/* All channels of a unit: by point, panel of tiles, block of channels, tile: VL channels. */
static void prepare_tiles(const winograd *v, const tile_unit *u, int64_t group, real *rows, real *to)
{
    for (int64_t block = 0; block < v->steps; block += v->views) {
        int64_t next[4];
        memcpy(next, u->start, sizeof next);
        for (int64_t at = 0; at < u->tiles;) {
            tile_run run = next_run(&v->rows, &v->cols, u, at, next);
            if (v->rows.fold * v->cols.fold > 1)
                fold_run(v, &run, group, block, rows);
            else
                (v->g->blocked ? widen_run : turn_run)(v, &run, group, block / v->views * VL, rows);
            for (int64_t step = block; step < block + v->views; step++) {
#define FORMS(ROWS, COLS) transform_run(ROWS, COLS, 0, 0, v, u, &run, step, rows, to)
                if (v->cols.apart > 1 || run.rows != WHOLE_FORM || run.cols != WHOLE_FORM)
                    BY_FORMS(run.rows, run.cols)
                else if (u->count[3] < u->tiles)
                    transform_run(WHOLE_FORM, WHOLE_FORM, 1, 0, v, u, &run, step, rows, to);
                else
                    transform_run(WHOLE_FORM, WHOLE_FORM, 1, 1, v, u, &run, step, rows, to);
#undef FORMS
            }
            at += run.count;
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
    int64_t own = v->filters ? 0 : v->points * (smaller(v->depth, CHANNEL_BLOCK) * TILE_COLS + VL);
    int64_t wide = smaller(v->most, v->cols.tiles) * v->cols.out; /* of results, which take the same memory */
    int64_t results = v->g->blocked ? v->rows.out * wide * PIXEL_LANES / VL : (v->rows.out + 1) * wide + 2 * VL;
    int64_t pixels = larger(turned_rows(&v->rows) * v->row_length, results);
    return (workspace){.tiles = symc_scratch(SLOT_BLOCK, v->points * v->tile_step * sizeof(real)),
                       .sums = symc_scratch(SLOT_BLOCK_2, v->points * v->sum_step * sizeof(real)),
                       .rows = symc_scratch(SLOT_BAND, pixels * VL * sizeof(real)),
                       .filters = symc_scratch(SLOT_BAND_2, own * sizeof(real)),
                       .turned = symc_scratch(SLOT_ROW, turned_bytes(v))};
}

/* Adds blocks of channels [step, stop) to the sums of a block of filters. */
static void multiply_tiles(const winograd *v, const tile_unit *u, int64_t step, int64_t stop, const real *image,
                           const real *filters, int64_t filter_step, int64_t cols, real *sums)
{
    int64_t left = stop < v->steps ? VL : lanes_left(v);
    block_step lists[4][2][MOST_STEPS];
    for (int kind = 0; kind < 4; kind++) {
        int64_t least = u->count[kind] / larger(1, panels(u->count[kind]));
        for (int64_t i = 0; i < stop - step && u->count[kind]; i++) {
            lists[kind][0][i] = (block_step){i * least * VL, i * VL};
            lists[kind][1][i] = (block_step){i * (least + 1) * VL, i * VL};
        }
    }
    for (int64_t point = 0; point < v->points; point++, image += v->tile_step, filters += filter_step, sums += v->sum_step) {
        int kind = kind_of_point(&v->cols, point);
        int64_t tiles = u->count[kind], least = tiles / larger(1, panels(tiles));
        ahead fetch = ahead_of(filters + filter_step, stop - step, cols, panels(tiles));
        for (int64_t j = 0; j < panels(tiles); j++, fetch.next += fetch.lines * (stop - step) * LINE_ELEMENTS) {
            int64_t begin = panel_start(j, tiles), size = panel_start(j + 1, tiles) - begin, place = u->begin[kind] + begin;
            FN(symc_block_tile)(size, cols, 1, stop - step, left, lists[kind][size > least],
                                image + place * v->depth + step * size * VL, filters, sums + place * cols, cols, step > 0,
                                fetch);
        }
    }
}

/* A unit of tiles and a split of the filters. */
static void run_tiles(const winograd *v, const workspace *w, int64_t group, int64_t first, int64_t tiles, int64_t split)
{
    tile_unit u = describe_unit(&v->rows, &v->cols, first, tiles);
    prepare_tiles(v, &u, group, w->rows, w->tiles);
    for (int64_t block = split * blocks(v) / v->splits; block < (split + 1) * blocks(v) / v->splits; block++) {
        int64_t cols = block_cols(v, block);
        for (int64_t step = 0; step < v->steps; step += MOST_STEPS) {
            int64_t stop = smaller(v->steps, step + MOST_STEPS), filter_step = (stop - step) * VL * cols + VL;
            const real *filters = w->filters;
            if (v->filters) {
                filter_step = v->depth * cols;
                filters = v->filters + (group * blocks(v) + block) * v->points * v->depth * TILE_COLS + step * VL * cols;
            } else
                for (int64_t half = 0; half < cols; half += VL)
                    prepare_filters(v, group, block * TILE_COLS + half, step, stop, w->turned,
                                    w->filters + half, filter_step, cols);
            multiply_tiles(v, &u, step, stop, w->tiles, filters, filter_step, cols, w->sums);
        }
        if (v->g->blocked) {
            put_blocks(v, &u, block, w->sums, w->rows);
            continue;
        }
        for (int64_t half = 0; half < cols; half += VL)
            put_tiles(v, &u, group, block * TILE_COLS + half, w->sums + half, v->sum_step, cols, w->rows);
    }
}

static void run_units(void *arg, int64_t begin, int64_t end)
{
    const winograd *v = arg;
    workspace w = take_workspace(v);
    for (int64_t i = begin; i < end; i++) {
        int64_t unit = i / v->splits % v->units, phases = v->cols.phases, places = v->tiles / phases;
        int64_t first = unit * places / v->units * phases, last = (unit + 1) * places / v->units * phases;
        run_tiles(v, &w, i / (v->splits * v->units), first, last - first, i % v->splits);
    }
}

/* The transformed filters as they were left by an earlier call, or memory for them; none if each unit transforms them. */
static symc_form transformed(const winograd *v, int64_t filter_bytes, int64_t wanted)
{
    const gather *g = v->g;
    symc_form_key key = {g->weights, FORM_WINOGRAD,
                         {VL, (v->rows.fold * 8 + v->cols.fold) * 64 + v->rows.taps * 8 + v->cols.taps,
                          v->rows.step << 32 | v->cols.step, g->taps_h << 32 | g->taps_w, g->groups, g->channels, g->filters, g->weight_filter, g->weight_channel,
                          g->blocked * 4 + v->rows.ascends * 2 + v->cols.ascends}};
    int many = v->tiles > wanted;
    if (many ? filter_bytes > (g->stored ? MOST_KEPT_BYTES : KEPT_BYTES) : !g->stored || filter_bytes > STORED_BYTES)
        return (symc_form){0};
    return symc_form_of(g->stored, &key, filter_bytes, filter_bytes <= KEPT_BYTES && many ? SLOT_SHARED : -1);
}

/* The costs of a thread that takes one of `units` pieces of the tiles and one of `splits` pieces of the filters. */
static double piece_steps(const winograd *v, int64_t units, int64_t splits)
{
    double channels = (double)v->depth, filters = (double)(ceil_div(blocks(v), splits) * TILE_COLS);
    double points = (double)(axis_points(&v->rows) * axis_points(&v->cols)) / (double)(v->rows.tiles * v->cols.tiles);
    double products = (double)ceil_div(v->tiles, units) * points;
    return products * channels * filters / VL * 1.1 + TILE_COST * products / POINTS * (channels + filters) / VL +
           (FILTER_COST * (double)v->points / POINTS + TAP_COST * (double)(v->g->taps_h * v->g->taps_w) / (double)v->views) *
               channels * filters;
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
        int64_t u = smaller(v->tiles / v->cols.phases, larger(units, ceil_div(pieces, splits)));
        double steps = piece_steps(v, u, splits);
        if (steps < least)
            least = steps, v->units = u, v->splits = splits;
    }
}

/* Units whose transformed tiles stay in the cache, or, where filters are transformed again for each, larger ones. */
static symc_form plan_units(winograd *v, int64_t filter_bytes)
{
    const gather *g = v->g;
    int64_t threads = symc_num_threads(), fit = TILES_BYTES / (v->points * v->depth * (int64_t)sizeof(real));
    int64_t wanted = larger(LEAST_TILES, smaller(MOST_TILES, fit / TILE_ROWS * TILE_ROWS));
    symc_form kept = transformed(v, filter_bytes, wanted);
    v->filters = kept.memory;
    if (!v->filters)
        wanted = MOST_TILES;
    int64_t units = ceil_div(v->tiles, wanted) * g->groups;
    if (units > 1 && units < 8 * threads)
        units = ceil_div(units, threads) * threads;
    v->units = smaller(v->tiles / v->cols.phases, ceil_div(units, g->groups));
    occupy_threads(v);
    v->most = ceil_div(v->tiles / v->cols.phases, v->units) * v->cols.phases;
    size_workspace(v);
    return kept;
}

void FN(symc_winograd)(const gather *g)
{
    tiling t = {0};
    if (!find_tiling(g, 1, &t))
        return;
    winograd v = describe_tiling(g, &t);
    symc_form kept =
        plan_units(&v, g->groups * blocks(&v) * v.points * v.depth * TILE_COLS * (int64_t)sizeof(real));
    if (v.filters && !kept.ready) {
        symc_parallel(prepare_all, &v, g->groups * blocks(&v) * ceil_div(v.steps, MOST_STEPS), 1);
        symc_form_made(&kept);
    }
    symc_parallel(run_units, &v, g->groups * v.units * v.splits, 1);
}

void FN(symc_winograd_range)(const gather *g, int64_t group, int64_t first, int64_t tiles, int64_t most)
{
    tiling t = {0};
    if (!find_plain_tiling(g, &t))
        return;
    winograd v = describe_tiling(g, &t);
    v.most = most, v.splits = 1;
    size_workspace(&v);
    workspace w = take_workspace(&v);
    if (tiles > 0)
        run_tiles(&v, &w, group, first, tiles, 0);
}
