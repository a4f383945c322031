/* Winograd's minimal filtering F(4x4, 3x3): Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015.
 * Compiled once per element type.
 *
 * An output tile of 4x4 pixels is A^T [(G w G^T) * (B^T d B)] A, with w the filter, d the 6x6 image tile behind the
 * pixels and * elementwise, summed over channels before the last transformation: 36 matrix products (filters, channels)
 * (channels, tiles), a quarter of the multiplications. The matrices follow from the interpolation points 0, +-P, +-Q
 * and infinity; 0.625 and 1.5 make the rounding error less than half of that of the usual 1 and 2, and most constants
 * are exact in binary. Lanes are neighbouring tiles.
 */
#include "winograd.h"

#include "lanes.h"
#include "winograd_transforms.h"

enum {
    ROW_STEP = (TILE_ROWS + VL - 1) / VL * VL, /* of packed filters: whole vectors */
    PANEL_BYTES = 1200 << 10,/* transformed tiles of a unit: about the second level cache */
    FILTER_BYTES = 16 << 20, /* larger transformed filters are worth reading less often */
    CHANNEL_BLOCK = 128,
    LEAST_CHANNELS = 16,
    LEAST_PIXELS = 256,
    MOST_WEIGHTS = 4 << 20,  /* transformed, they take four times their memory */
};

typedef struct {
    gather tiles;             /* the convolution by tiles: taps are the elements of an image tile */
    const gather *g;
    band_shape shape;
    int64_t row_units, rows, panels; /* units of tile rows; the most rows, panels in one */
    int64_t splits;           /* pieces of the filters */
    int64_t tap_at[POINTS];
    real *filters;            /* by group, panel of rows, point, channel: ROW_STEP filters */
} winograd;

int FN(symc_winograd_suits)(const gather *g)
{
    if (SYMC_DOUBLE || g->taps_h != 3 || g->taps_w != 3 || g->step_h != 1 || g->step_w != 1 || g->out_col != 1)
        return 0;
    if (g->groups * g->channels * g->filters * 9 > MOST_WEIGHTS)
        return 0;
    int64_t pixels = g->out_h * g->out_w, computed = ceil_div(g->out_h, OUT) * ceil_div(g->out_w, OUT) * OUT * OUT;
    return consecutive(g->tap_row) && consecutive(g->tap_col) && g->channels >= LEAST_CHANNELS &&
           g->filters >= LEAST_CHANNELS && g->images * pixels >= LEAST_PIXELS && 2 * pixels >= computed;
}

/* ---- filters ---- */

INLINE int64_t row_panels(const winograd *v) { return ceil_div(v->g->filters, TILE_ROWS); }
INLINE int64_t panel_row(const winograd *v, int64_t i) { return i * v->g->filters / row_panels(v); }

/* One channel of up to VL filters, lanes = filters: taps in image order at w[3][3], to 36 points `step` apart. */
INLINE void transform_filters(const real *w[3][3], real *to, int64_t step)
{
    vec rows[IN][3];
    for (int s = 0; s < 3; s++) {
        vec column[3] = {load(w[0][s]), load(w[1][s]), load(w[2][s])}, u[IN];
        transform_filter(column, u);
        UNROLL
        for (int i = 0; i < IN; i++)
            rows[i][s] = u[i];
    }
    for (int i = 0; i < IN; i++) {
        vec u[IN];
        transform_filter(rows[i], u);
        UNROLL
        for (int j = 0; j < IN; j++)
            store(to + (i * IN + j) * step, u[j]);
    }
}

/* Transforms panels [begin, end) of filters, counted through all groups. */
static void prepare_filters(void *arg, int64_t begin, int64_t end)
{
    const winograd *v = arg;
    const gather *g = v->g;
    int64_t depth = g->channels * 9, panels = row_panels(v);
    int down = g->tap_row[1] < g->tap_row[0], left = g->tap_col[1] < g->tap_col[0];
    real *turned = symc_scratch(SLOT_BLOCK, depth * ROW_STEP * sizeof(real));
    memset(turned, 0, depth * ROW_STEP * sizeof(real));
    for (int64_t i = begin; i < end; i++) {
        int64_t row = panel_row(v, i % panels), rows = panel_row(v, i % panels + 1) - row;
        FN(symc_transpose)(turned, ROW_STEP, g->weights + (i / panels * g->filters + row) * depth, depth, rows, depth);
        real *to = v->filters + i * POINTS * g->channels * ROW_STEP;
        for (int64_t c = 0; c < g->channels; c++)
            for (int64_t lane = 0; lane < ROW_STEP; lane += VL) {
                const real *w[3][3];
                for (int r = 0; r < 3; r++)
                    for (int s = 0; s < 3; s++)
                        w[r][s] = turned + (c * 9 + (down ? 2 - r : r) * 3 + (left ? 2 - s : s)) * ROW_STEP + lane;
                transform_filters(w, to + c * ROW_STEP + lane, g->channels * ROW_STEP);
            }
    }
}

/* ---- image tiles ---- */

/* VL tiles of one channel, elements `from_step` apart, to 36 points `to_step` apart. */
INLINE void transform_tiles(const real *from, real *to, int64_t to_step)
{
    vec half[IN][IN];
    UNROLL
    for (int x = 0; x < IN; x++) {
        vec d[IN], t[IN];
        UNROLL
        for (int y = 0; y < IN; y++)
            d[y] = load(from + (y * IN + x) * TILE_COLS);
        transform_image(d, t);
        UNROLL
        for (int y = 0; y < IN; y++)
            half[y][x] = t[y];
    }
    UNROLL
    for (int y = 0; y < IN; y++) {
        vec t[IN];
        transform_image(half[y], t);
        UNROLL
        for (int x = 0; x < IN; x++)
            store(to + (y * IN + x) * to_step, t[x]);
    }
}

/* All channels of a unit's tiles: by panel, point and channel, TILE_COLS tiles. */
static void prepare_tiles(const winograd *v, const band *part, int64_t group, const pixel_panel *list, int64_t panels,
                          real *plane, real *to)
{
    const gather *t = &v->tiles;
    int64_t step = t->channels * TILE_COLS;
    real raw[POINTS * TILE_COLS + VL] __attribute__((aligned(64)));
    memset(raw, 0, sizeof raw);
    for (int64_t c = 0; c < t->channels; c++) {
        FN(symc_fill_band)(t, &v->shape, part, group, c, c + 1, plane);
        for (int64_t j = 0; j < panels; j++) {
            FN(symc_pack_pixels)(v->tap_at, POINTS, plane, &list[j], raw);
            for (int64_t lane = 0; lane < TILE_COLS; lane += VL)
                transform_tiles(raw + lane, to + j * POINTS * step + c * TILE_COLS + lane, step);
        }
    }
}

/* ---- output tiles ---- */

/* VL tiles of one filter, points `step` apart, to four rows of 4 * VL pixels, `row_length` apart. */
INLINE void finish_tiles(const real *m, int64_t step, real *rows, int64_t row_length)
{
    vec half[OUT][IN];
    UNROLL
    for (int x = 0; x < IN; x++) {
        vec column[IN], t[OUT];
        UNROLL
        for (int y = 0; y < IN; y++)
            column[y] = load(m + (y * IN + x) * step);
        transform_output(column, t);
        UNROLL
        for (int y = 0; y < OUT; y++)
            half[y][x] = t[y];
    }
    UNROLL
    for (int y = 0; y < OUT; y++) {
        vec t[OUT];
        transform_output(half[y], t);
        vec even_low = interleave_low(t[0], t[2]), odd_low = interleave_low(t[1], t[3]);
        vec even_high = interleave_high(t[0], t[2]), odd_high = interleave_high(t[1], t[3]);
        real *to = rows + y * row_length;
        store(to, interleave_low(even_low, odd_low));
        store(to + VL, interleave_high(even_low, odd_low));
        store(to + 2 * VL, interleave_low(even_high, odd_high));
        store(to + 3 * VL, interleave_high(even_high, odd_high));
    }
}

INLINE void copy_pixels(real *to, const real *from, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        store(to + i, load(from + i));
    for (; i < n; i++)
        to[i] = from[i];
}

/* One filter's panel of tiles to its plane of the output, as far as the pixels exist. */
static void put_tiles(const winograd *v, const pixel_panel *p, const real *m, int64_t step, real *plane)
{
    const gather *g = v->g;
    real rows[OUT][OUT * TILE_COLS] __attribute__((aligned(64)));
    for (int64_t lane = 0; lane < p->cols; lane += VL)
        finish_tiles(m + lane, step, rows[0] + OUT * lane, OUT * TILE_COLS);
    for (int64_t i = 0; i < p->runs; i++) {
        const pixel_run *r = &p->run[i];
        int64_t height = smaller(OUT, g->out_h - r->row * OUT);
        int64_t width = smaller(r->count * OUT, g->out_w - r->col * OUT);
        for (int64_t y = 0; y < height; y++)
            copy_pixels(plane + r->out + y * g->out_row, rows[y] + OUT * r->lane, width);
    }
}

/* Blocks of channels are summed separately: long chains of additions lose accuracy. */
static void multiply_point(int64_t channels, int64_t rows, int64_t cols, const real *filters, const real *tiles,
                           real *m)
{
    for (int64_t c = 0; c < channels; c += CHANNEL_BLOCK)
        FN(symc_tile)(rows, cols > VL ? TILE_COLS : VL, smaller(CHANNEL_BLOCK, channels - c), filters + c * ROW_STEP,
                      ROW_STEP, tiles + c * TILE_COLS, TILE_COLS, m, TILE_COLS, c > 0);
}

/* A thread's private memory, sufficient for any unit. */
typedef struct {
    pixel_panel *list;
    real *image, *m, *plane;
} workspace;

static workspace take_workspace(const winograd *v)
{
    int64_t panels = ceil_div(v->rows * v->tiles.out_w, TILE_COLS), tile_step = v->g->channels * TILE_COLS;
    return (workspace){.list = symc_scratch(SLOT_TABLE_2, panels * sizeof(pixel_panel)),
                       .image = symc_scratch(SLOT_BLOCK, panels * POINTS * tile_step * sizeof(real)),
                       .m = symc_scratch(SLOT_BLOCK_2, POINTS * TILE_ROWS * TILE_COLS * sizeof(real)),
                       .plane = symc_scratch(SLOT_BAND, (v->shape.plane + BAND_SLACK) * sizeof(real))};
}

static void run_unit(const winograd *v, const workspace *w, const band *part, int64_t group, int64_t first,
                     int64_t last)
{
    const gather *g = v->g;
    int64_t tiles = (part->last_row - part->first_row) * v->tiles.out_w, panels = ceil_div(tiles, TILE_COLS);
    int64_t tile_step = g->channels * TILE_COLS, filter_step = g->channels * ROW_STEP;
    pixel_panel *list = w->list;
    real *image = w->image, *m = w->m;
    for (int64_t j = 0; j < panels; j++)
        FN(symc_find_runs)(&v->tiles, &v->shape, part, j * TILE_COLS, &list[j]);
    prepare_tiles(v, part, group, list, panels, w->plane, image);
    for (int64_t i = first; i < last; i++) {
        int64_t row = panel_row(v, i), rows = panel_row(v, i + 1) - row, step = TILE_ROWS * TILE_COLS;
        const real *filters = v->filters + (group * row_panels(v) + i) * POINTS * filter_step;
        for (int64_t j = 0; j < panels; j++) {
            for (int64_t point = 0; point < POINTS; point++)
                multiply_point(g->channels, rows, list[j].cols, filters + point * filter_step,
                               image + (j * POINTS + point) * tile_step, m + point * step);
            for (int64_t r = 0; r < rows; r++)
                put_tiles(v, &list[j], m + r * TILE_COLS, step,
                          g->out + (group * g->filters + row + r) * g->out_plane);
        }
    }
}

static void run_units(void *arg, int64_t begin, int64_t end)
{
    const winograd *v = arg;
    int64_t total = v->tiles.images * v->tiles.out_h, panels = row_panels(v);
    workspace w = take_workspace(v);
    for (int64_t i = begin; i < end; i++) {
        int64_t split = i % v->splits, unit = i / v->splits % v->row_units, group = i / (v->splits * v->row_units);
        band part = {unit * total / v->row_units, (unit + 1) * total / v->row_units, 0, v->tiles.out_w};
        run_unit(v, &w, &part, group, split * panels / v->splits, (split + 1) * panels / v->splits);
    }
}

/* Units of whole rows of tiles, whose transformed tiles stay in the cache. */
static void plan_units(winograd *v)
{
    const gather *g = v->g;
    int64_t threads = symc_num_threads(), total = v->tiles.images * v->tiles.out_h;
    int64_t panel = POINTS * g->channels * TILE_COLS * (int64_t)sizeof(real);
    int64_t filters = POINTS * g->channels * g->filters * (int64_t)sizeof(real);
    int64_t panels = larger(filters > FILTER_BYTES ? 4 : 1, PANEL_BYTES / panel);
    int64_t units = ceil_div(total, larger(1, panels * TILE_COLS / v->tiles.out_w)) * g->groups;
    if (units < 8 * threads)
        units = ceil_div(units, threads) * threads;
    v->row_units = smaller(total, ceil_div(units, g->groups));
    v->rows = ceil_div(total, v->row_units);
    units = v->row_units * g->groups;
    v->splits = units >= threads ? 1 : smaller(row_panels(v), ceil_div(threads, units));
}

void FN(symc_winograd)(const gather *g)
{
    int64_t taps[2 * IN];
    winograd v = {.g = g, .tiles = image_tiles(g, taps)};
    const gather *t = &v.tiles;
    plan_units(&v);
    v.shape = FN(symc_band_shape)(t, v.rows, t->out_w);
    for (int i = 0; i < POINTS; i++)
        v.tap_at[i] = FN(symc_band_tap)(t, &v.shape, i / IN, i % IN);
    int64_t panels = g->groups * row_panels(&v);
    v.filters = symc_scratch(SLOT_SHARED, panels * POINTS * g->channels * ROW_STEP * sizeof(real));
    symc_parallel(prepare_filters, &v, panels, 1);
    symc_parallel(run_units, &v, g->groups * v.row_units * v.splits, 1);
}
