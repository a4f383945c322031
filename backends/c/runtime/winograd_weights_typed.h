/* Minimal filtering with respect to the weights: dW = G^T [sum over tiles of (A dY A^T) * (B^T d B)] G, in the terms of
 * winograd_typed.h. Compiled once per element type.
 *
 * The sums are 36 matrix products (filters, tiles) (tiles, channels), so here lanes are channels or filters. Each thread
 * takes a share of the tiles and adds up sums of its own; the shares are added in order at the end.
 */
#include "winograd.h"

#include "lanes.h"
#include "winograd_transforms.h"

enum {
    ROW_STEP = (TILE_ROWS + VL - 1) / VL * VL, /* of a packed panel of filters: whole vectors */
    UNIT_TILES = 128,
    LEAST_CHANNELS = 32,
    LEAST_TILES = 64,
    PARTIAL_BYTES = 256 << 20 /* the most memory spent on sums */
};

typedef struct {
    const gather *g;
    gather image, gradient; /* by tiles: of the images and of dY */
    band_shape image_shape, gradient_shape;
    int64_t image_at[POINTS], gradient_at[OUT * OUT];
    int64_t units, shares, blocks; /* of tiles; tasks of a group: shares of the units times blocks of the channels */
    int64_t tiles;                 /* the most in a unit */
    int64_t width;                 /* channels of a group in whole panels */
    real *sums;                    /* by group, share, point, filter, channel */
    real *dw;
} weights;

static int64_t sums_bytes(const gather *g)
{
    return g->groups * POINTS * g->filters * ceil_div(g->channels, TILE_COLS) * TILE_COLS * (int64_t)sizeof(real);
}

int FN(symc_winograd_weights_suits)(const gather *g)
{
    if (SYMC_DOUBLE || g->taps_h != 3 || g->taps_w != 3 || g->step_h != 1 || g->step_w != 1)
        return 0;
    int64_t tiles = ceil_div(g->out_h, OUT) * ceil_div(g->out_w, OUT);
    return consecutive(g->tap_row) && consecutive(g->tap_col) && g->channels >= LEAST_CHANNELS &&
           g->filters >= LEAST_CHANNELS && g->images * tiles >= LEAST_TILES &&
           2 * g->out_h * g->out_w >= tiles * OUT * OUT && sums_bytes(g) <= PARTIAL_BYTES;
}

INLINE int64_t row_panels(const weights *v) { return ceil_div(v->g->filters, TILE_ROWS); }
INLINE int64_t panel_row(const weights *v, int64_t i) { return i * v->g->filters / row_panels(v); }

/* One image tile, VL channels: elements at from[at[i]], the 36 points `step` apart. */
INLINE void transform_image_tile(const real *from, const int64_t *at, real *to, int64_t step)
{
    vec half[IN][IN];
    UNROLL
    for (int x = 0; x < IN; x++) {
        vec d[IN], t[IN];
        UNROLL
        for (int y = 0; y < IN; y++)
            d[y] = load(from + at[y * IN + x]);
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
            store(to + (y * IN + x) * step, t[x]);
    }
}

/* One tile of dY, VL filters. */
INLINE void transform_gradient_tile(const real *from, const int64_t *at, real *to, int64_t step)
{
    vec half[IN][OUT];
    UNROLL
    for (int x = 0; x < OUT; x++) {
        vec d[OUT], t[IN];
        UNROLL
        for (int y = 0; y < OUT; y++)
            d[y] = load(from + at[y * OUT + x]);
        transform_gradient(d, t);
        UNROLL
        for (int y = 0; y < IN; y++)
            half[y][x] = t[y];
    }
    UNROLL
    for (int y = 0; y < IN; y++) {
        vec t[IN];
        transform_gradient(half[y], t);
        UNROLL
        for (int x = 0; x < IN; x++)
            store(to + (y * IN + x) * step, t[x]);
    }
}

/* A thread's private memory, sufficient for any unit. */
typedef struct {
    real *planes, *turned, *gradient, *image;
} workspace;

static workspace take_workspace(const weights *v)
{
    int64_t image = v->image_shape.plane * TILE_COLS, gradient = v->gradient_shape.plane * ROW_STEP;
    int64_t most = larger(image, gradient);
    return (workspace){
        .planes = symc_scratch(SLOT_BAND, (most + BAND_SLACK) * sizeof(real)),
        .turned = symc_scratch(SLOT_BAND_2, most * sizeof(real)),
        .gradient = symc_scratch(SLOT_BLOCK, row_panels(v) * POINTS * v->tiles * ROW_STEP * sizeof(real)),
        .image = symc_scratch(SLOT_BLOCK_2, POINTS * v->tiles * TILE_COLS * sizeof(real))};
}

/* Channels [first, last) of a unit, with channels last: `lanes` per pixel, zeros for those that do not exist. */
static const real *channels_last(const workspace *w, const gather *t, const band_shape *shape, const band *part,
                                 int64_t group, int64_t first, int64_t last, int64_t lanes)
{
    real *planes = w->planes, *turned = w->turned;
    if (last - first < lanes)
        memset(turned, 0, shape->plane * lanes * sizeof(real));
    FN(symc_fill_band)(t, shape, part, group, first, last, planes);
    FN(symc_transpose)(turned, lanes, planes, shape->plane, last - first, shape->plane);
    return turned;
}

/* Panel j of channels: by point and tile, TILE_COLS channels. */
static void prepare_image(const weights *v, const workspace *w, const band *part, int64_t group, int64_t j,
                          int64_t tiles, real *to)
{
    const gather *t = &v->image;
    int64_t first = j * TILE_COLS, last = smaller(t->channels, first + TILE_COLS), at[POINTS];
    const real *turned = channels_last(w, t, &v->image_shape, part, group, first, last, TILE_COLS);
    for (int i = 0; i < POINTS; i++)
        at[i] = v->image_at[i] * TILE_COLS;
    for (int64_t row = part->first_row; row < part->last_row; row++) {
        const real *from = turned + FN(symc_band_row)(t, &v->image_shape, part, row) * TILE_COLS;
        for (int64_t col = 0; col < t->out_w; col++, from += TILE_COLS, to += TILE_COLS)
            for (int64_t lane = 0; lane < TILE_COLS; lane += VL)
                transform_image_tile(from + lane, at, to + lane, tiles * TILE_COLS);
    }
}

/* Panel i of filters: by point and tile, ROW_STEP filters. */
static void prepare_gradient(const weights *v, const workspace *w, const band *part, int64_t group, int64_t i,
                             int64_t tiles, real *to)
{
    const gather *t = &v->gradient;
    int64_t at[OUT * OUT];
    const real *turned =
        channels_last(w, t, &v->gradient_shape, part, group, panel_row(v, i), panel_row(v, i + 1), ROW_STEP);
    for (int k = 0; k < OUT * OUT; k++)
        at[k] = v->gradient_at[k] * ROW_STEP;
    for (int64_t row = part->first_row; row < part->last_row; row++) {
        const real *from = turned + FN(symc_band_row)(t, &v->gradient_shape, part, row) * ROW_STEP;
        for (int64_t col = 0; col < t->out_w; col++, from += ROW_STEP, to += ROW_STEP)
            for (int64_t lane = 0; lane < ROW_STEP; lane += VL)
                transform_gradient_tile(from + lane, at, to + lane, tiles * ROW_STEP);
    }
}

/* Adds a unit's part to the sums of panels [first, last) of channels. */
static void add_unit(const weights *v, const workspace *w, const band *part, int64_t group, int64_t first,
                     int64_t last, real *sums, int accumulate)
{
    const gather *g = v->g;
    int64_t tiles = (part->last_row - part->first_row) * v->image.out_w, panels = row_panels(v);
    int64_t gradient_step = tiles * ROW_STEP, image_step = tiles * TILE_COLS;
    real *gradient = w->gradient, *image = w->image;
    for (int64_t i = 0; i < panels; i++)
        prepare_gradient(v, w, part, group, i, tiles, gradient + i * POINTS * gradient_step);
    for (int64_t j = first; j < last; j++) {
        prepare_image(v, w, part, group, j, tiles, image);
        for (int64_t point = 0; point < POINTS; point++)
            for (int64_t i = 0; i < panels; i++) {
                int64_t row = panel_row(v, i), rows = panel_row(v, i + 1) - row;
                FN(symc_tile)(rows, TILE_COLS, tiles, gradient + (i * POINTS + point) * gradient_step, ROW_STEP,
                              image + point * image_step, TILE_COLS,
                              sums + (point * g->filters + row) * v->width + j * TILE_COLS, v->width, accumulate);
            }
    }
}

static void add_units(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    int64_t total = v->image.images * v->image.out_h, panels = v->width / TILE_COLS;
    workspace w = take_workspace(v);
    for (int64_t task = begin; task < end; task++) {
        int64_t block = task % v->blocks, share = task / v->blocks % v->shares, group = task / (v->blocks * v->shares);
        int64_t first = share * v->units / v->shares, last = (share + 1) * v->units / v->shares;
        real *sums = v->sums + (group * v->shares + share) * POINTS * v->g->filters * v->width;
        for (int64_t unit = first; unit < last; unit++) {
            band part = {unit * total / v->units, (unit + 1) * total / v->units, 0, v->image.out_w};
            add_unit(v, &w, &part, group, block * panels / v->blocks, (block + 1) * panels / v->blocks, sums,
                     unit > first);
        }
    }
}

/* VL channels of one filter: adds the shares, `share_step` apart, and transforms to 9 taps in image order. */
INLINE void finish_channels(const real *sums, int64_t step, int64_t shares, int64_t share_step, vec taps[3][3])
{
    vec half[3][IN];
    for (int x = 0; x < IN; x++) {
        vec u[IN], w[3];
        for (int y = 0; y < IN; y++) {
            const real *from = sums + (y * IN + x) * step;
            u[y] = load(from);
            for (int64_t s = 1; s < shares; s++)
                u[y] += load(from + s * share_step);
        }
        finish_filter(u, w);
        for (int r = 0; r < 3; r++)
            half[r][x] = w[r];
    }
    for (int r = 0; r < 3; r++)
        finish_filter(half[r], taps[r]);
}

static void finish_filters(void *arg, int64_t begin, int64_t end)
{
    const weights *v = arg;
    const gather *g = v->g;
    int down = g->tap_row[1] < g->tap_row[0], left = g->tap_col[1] < g->tap_col[0];
    int64_t step = g->filters * v->width;
    for (int64_t m = begin; m < end; m++) {
        const real *sums = v->sums + m / g->filters * v->shares * POINTS * step + m % g->filters * v->width;
        for (int64_t c = 0; c < g->channels; c += VL) {
            vec taps[3][3], turned[9];
            finish_channels(sums + c, step, v->shares, POINTS * step, taps);
            for (int i = 0; i < 9; i++)
                turned[i] = taps[down ? 2 - i / 3 : i / 3][left ? 2 - i % 3 : i % 3];
            FN(symc_transpose)(v->dw + (m * g->channels + c) * 9, 9, (const real *)turned, VL, 9,
                               smaller(VL, g->channels - c));
        }
    }
}

static void plan(weights *v)
{
    const gather *g = v->g;
    int64_t threads = symc_num_threads(), total = v->image.images * v->image.out_h;
    int64_t wanted = ceil_div(threads, g->groups);
    v->units = ceil_div(total, larger(1, UNIT_TILES / v->image.out_w));
    if (v->units < wanted * 8)
        v->units = ceil_div(v->units, wanted) * wanted;
    v->units = smaller(total, v->units);
    v->shares = smaller(smaller(wanted, v->units), larger(1, PARTIAL_BYTES / sums_bytes(g)));
    v->width = ceil_div(g->channels, TILE_COLS) * TILE_COLS;
    v->blocks = smaller(v->width / TILE_COLS, ceil_div(wanted, v->shares));
    int64_t rows = ceil_div(total, v->units);
    v->tiles = rows * v->image.out_w;
    v->image_shape = FN(symc_band_shape)(&v->image, rows, v->image.out_w);
    v->gradient_shape = FN(symc_band_shape)(&v->gradient, rows, v->image.out_w);
    for (int i = 0; i < POINTS; i++)
        v->image_at[i] = FN(symc_band_tap)(&v->image, &v->image_shape, i / IN, i % IN);
    for (int i = 0; i < OUT * OUT; i++)
        v->gradient_at[i] = FN(symc_band_tap)(&v->gradient, &v->gradient_shape, i / OUT, i % OUT);
}

void FN(symc_winograd_weights)(const gather *g, const real *dy, real *dw)
{
    static const int64_t first_rows[OUT] = {0, 1, 2, 3};
    int64_t taps[2 * IN];
    weights v = {.g = g, .image = image_tiles(g, taps), .dw = dw};
    v.gradient = v.image;
    v.gradient.in = dy, v.gradient.channels = g->filters, v.gradient.in_h = g->out_h, v.gradient.in_w = g->out_w;
    v.gradient.taps_h = v.gradient.taps_w = OUT, v.gradient.tap_row = v.gradient.tap_col = first_rows;
    plan(&v);
    v.sums = symc_scratch(SLOT_PARTIAL, v.shares * sums_bytes(g));
    symc_parallel(add_units, &v, g->groups * v.shares * v.blocks, 1);
    symc_parallel(finish_filters, &v, g->groups * g->filters, 1);
}
