/* Convolution as a matrix product: weights (filters, channels * taps) times the matrix whose columns are the pixels'
 * neighbourhoods. The latter is never formed whole: each thread makes the panels for a few hundred pixels from a
 * padded copy of their surroundings. See gather.h. Compiled once per element type.
 */
#include "gather.h"
#include "pixels.h"

#include "base/stream.h"

enum {
    UNIT_PIXELS = 14 * 2 * VL,  /* pixels that a task processes at a time: their panels fit the second level cache */
    DIRECT_FILTERS = 2,         /* with so few filters in a group, packing for a matrix product does not pay */
    DIRECT_PIXELS = 4096,
    DIRECT_VECS = 4,            /* vectors of neighbouring pixels summed together */
    SERIAL_PRODUCTS = 1 << 16   /* the least multiplications for which another thread is used */
};

typedef struct {
    gather g;
    band_shape shape;
    int64_t depth;                 /* channels * taps */
    int64_t rows, cols;            /* output pixels of a unit */
    int64_t row_units, col_units;
    int64_t splits;                /* pieces of the filters, when there are more threads than units */
    int64_t k_blocks;
    int streams;                   /* results are stored past the caches */
    const int64_t *tap_at;         /* by (channel, tap): where it lies in the band relative to its pixel */
    real *packed;                  /* by group, k block and panel: the weights */
} conv;

INLINE int64_t row_panels(const conv *v) { return ceil_div(v->g.filters, TILE_ROWS); }
INLINE int64_t panel_row(const conv *v, int64_t i) { return i * v->g.filters / row_panels(v); }

/* Blocks of k hold whole channels unless a single one is too deep. */
INLINE int64_t k_start(const conv *v, int64_t block)
{
    int64_t taps = v->g.taps_h * v->g.taps_w;
    return taps <= BLOCK_K ? block * v->g.channels / v->k_blocks * taps : block * v->depth / v->k_blocks;
}

static void pack_weights(void *arg, int64_t begin, int64_t end)
{
    const conv *v = arg;
    int64_t panels = row_panels(v);
    for (int64_t i = begin; i < end; i++) {
        int64_t group = i / (panels * v->k_blocks), block = i / panels % v->k_blocks;
        int64_t k0 = k_start(v, block), k = k_start(v, block + 1) - k0;
        int64_t row = panel_row(v, i % panels), rows = panel_row(v, i % panels + 1) - row;
        int64_t base = group * v->g.filters * v->depth;
        FN(symc_transpose)(v->packed + base + k0 * v->g.filters + row * k, rows,
                           v->g.weights + base + row * v->depth + k0, v->depth, rows, k);
    }
}

/* Stores a tile whose columns are not contiguous in the output. */
static void scatter_tile(const conv *v, const pixel_panel *p, const real *whole, int64_t rows, real *out,
                         int accumulate)
{
    int64_t step = v->g.out_col;
    for (int64_t i = 0; i < rows; i++, out += v->g.out_plane, whole += TILE_COLS) {
        for (int64_t r = 0; r < p->runs; r++) {
            real *to = out + p->run[r].out;
            const real *from = whole + p->run[r].lane;
            for (int64_t j = 0; j < p->run[r].count; j++)
                to[j * step] = from[j] + (accumulate ? to[j * step] : 0);
        }
    }
}

static void multiply_panel(const conv *v, const pixel_panel *p, int64_t rows, int64_t k, const real *a, const real *b,
                           real *out, int accumulate, const plain_rows *end)
{
    if (p->direct) {
        real *to = out + p->run[0].out;
        int what = accumulate ? TILE_ADDS : v->streams && (uintptr_t)to % VEC_BYTES == 0 ? TILE_STREAMS : TILE_STORES;
        FN(symc_tile)(rows, p->cols, k, a, rows, b, TILE_COLS, to, v->g.out_plane, what, end, in_order(a + rows * k));
        return;
    }
    real whole[TILE_ROWS * TILE_COLS] __attribute__((aligned(64)));
    FN(symc_tile)(rows, p->cols > VL ? TILE_COLS : VL, k, a, rows, b, TILE_COLS, whole, TILE_COLS, 0, end, in_order(a + rows * k));
    scatter_tile(v, p, whole, rows, out, accumulate);
}

/* A thread's private memory, sufficient for any unit. */
typedef struct {
    pixel_panel *list;
    real *own, *planes;
} workspace;

static workspace take_workspace(const conv *v)
{
    const gather *g = &v->g;
    if (g->filters <= DIRECT_FILTERS)
        return (workspace){
            .planes = symc_scratch(SLOT_BAND, (g->channels * v->shape.plane + BAND_SLACK) * sizeof(real))};
    int64_t panels = ceil_div(v->rows * v->cols, TILE_COLS), longest = 0;
    for (int64_t q = 0; q < v->k_blocks; q++)
        longest = larger(longest, k_start(v, q + 1) - k_start(v, q));
    int64_t channels = smaller(g->channels, ceil_div(longest, g->taps_h * g->taps_w) + 1);
    return (workspace){
        .list = symc_scratch(SLOT_TABLE_2, panels * sizeof(pixel_panel)),
        .own = symc_scratch(SLOT_BLOCK, (panels * TILE_COLS * longest + VL) * sizeof(real)),
        .planes = symc_scratch(SLOT_BAND, (channels * v->shape.plane + BAND_SLACK) * sizeof(real))};
}

/* What tiles of filters of a group do with the last sums: of all images at once, and only if none is added to what is in memory
 * elsewhere than in a tile. */
static const plain_rows *end_of_tiles(const conv *v, const pixel_panel *list, int64_t panels, int64_t group, plain_rows *memory)
{
    const gather *g = &v->g;
    const plain_rows *end = plain_rows_of(g->epilogue, group * g->filters, g->filters, memory);
    if (end && g->groups * g->filters % g->epilogue->period)
        return NULL;
    for (int64_t j = 0; end && v->k_blocks > 1 && j < panels; j++)
        if (!list[j].direct)
            return NULL;
    return end;
}

static void multiply_unit(const conv *v, const workspace *w, const band *part, int64_t group, int64_t first,
                          int64_t last)
{
    const gather *g = &v->g;
    int64_t taps = g->taps_h * g->taps_w;
    int64_t panels = ceil_div((part->last_row - part->first_row) * (part->last_col - part->first_col), TILE_COLS);
    pixel_panel *list = w->list;
    real *own = w->own, *planes = w->planes;
    for (int64_t j = 0; j < panels; j++)
        FN(symc_find_runs)(g, &v->shape, part, j * TILE_COLS, &list[j]);
    plain_rows all, rest;
    const plain_rows *end = end_of_tiles(v, list, panels, group, &all);
    for (int64_t q = 0; q < v->k_blocks; q++) {
        int64_t k0 = k_start(v, q), k = k_start(v, q + 1) - k0, channel = k0 / taps, last_block = q == v->k_blocks - 1;
        FN(symc_fill_band)(g, &v->shape, part, group, channel, ceil_div(k0 + k, taps), planes);
        for (int64_t j = 0; j < panels; j++)
            FN(symc_pack_pixels)(v->tap_at + k0, k, planes - channel * v->shape.plane, &list[j],
                                 own + j * TILE_COLS * k);
        for (int64_t i = first; i < last; i++) {
            int64_t row = panel_row(v, i), rows = panel_row(v, i + 1) - row;
            const real *a = v->packed + group * g->filters * v->depth + k0 * g->filters + row * k;
            real *out = g->out + (group * g->filters + row) * g->out_plane;
            for (int64_t j = 0; j < panels; j++)
                multiply_panel(v, &list[j], rows, k, a, own + j * TILE_COLS * k, out, q > 0,
                               last_block ? rows_from(end, row, &rest) : NULL);
            if (last_block && !end)
                finish_part(g, part, group, row, rows);
        }
    }
}

/* One filter: sums over all taps for a few vectors of neighbouring pixels at a time, straight from the band. */
static void sum_row(const conv *v, const real *weights, const real *from, int64_t count, real *to)
{
    for (int64_t j = 0; j < count; j += DIRECT_VECS * VL) {
        vec sum[DIRECT_VECS] = {{0}};
        for (int64_t k = 0; k < v->depth; k++) {
            UNROLL
            for (int i = 0; i < DIRECT_VECS; i++)
                sum[i] += weights[k] * load(from + v->tap_at[k] + j + i * VL);
        }
        real whole[DIRECT_VECS * VL];
        UNROLL
        for (int i = 0; i < DIRECT_VECS; i++)
            store(whole + i * VL, sum[i]);
        for (int64_t i = 0; i < smaller(DIRECT_VECS * VL, count - j); i++)
            to[(j + i) * v->g.out_col] = whole[i];
    }
}

static void sum_unit(const conv *v, real *planes, const band *part, int64_t group)
{
    const gather *g = &v->g;
    FN(symc_fill_band)(g, &v->shape, part, group, 0, g->channels, planes);
    for (int64_t row = part->first_row; row < part->last_row; row++) {
        const real *from = planes + FN(symc_band_row)(g, &v->shape, part, row);
        for (int64_t m = group * g->filters; m < (group + 1) * g->filters; m++) {
            real *to = g->out + row / g->out_h * g->out_image + m * g->out_plane + row % g->out_h * g->out_row +
                       part->first_col * g->out_col;
            sum_row(v, g->weights + m * v->depth, from, part->last_col - part->first_col, to);
        }
    }
    finish_part(g, part, group, 0, g->filters);
}

static void run_units(void *arg, int64_t begin, int64_t end)
{
    const conv *v = arg;
    const gather *g = &v->g;
    int64_t total = g->images * g->out_h, panels = row_panels(v);
    workspace w = take_workspace(v);
    for (int64_t i = begin; i < end; i++) {
        int64_t split = i % v->splits, unit = i / v->splits;
        int64_t col = unit % v->col_units, row = unit / v->col_units % v->row_units;
        int64_t group = unit / (v->col_units * v->row_units);
        band part = {row * total / v->row_units, (row + 1) * total / v->row_units, col * g->out_w / v->col_units,
                     (col + 1) * g->out_w / v->col_units};
        if (g->filters <= DIRECT_FILTERS)
            sum_unit(v, w.planes, &part, group);
        else
            multiply_unit(v, &w, &part, group, split * panels / v->splits, (split + 1) * panels / v->splits);
    }
    if (v->streams)
        finish_stream();
}

/* Splits the output into units of about the same size, at least one per thread if possible. */
static void plan_units(conv *v)
{
    const gather *g = &v->g;
    int64_t threads = symc_num_threads(), total = g->images * g->out_h;
    int64_t pixels = g->filters <= DIRECT_FILTERS ? DIRECT_PIXELS : UNIT_PIXELS;
    v->col_units = ceil_div(g->out_w, pixels);
    v->cols = ceil_div(g->out_w, v->col_units);
    int64_t wanted = ceil_div(total, larger(1, pixels / v->cols)), others = v->col_units * g->groups;
    if (wanted * others < 8 * threads) /* so few that an uneven distribution would matter */
        wanted = ceil_div(wanted * others, threads) * threads / others;
    v->row_units = larger(1, smaller(total, wanted));
    v->rows = ceil_div(total, v->row_units);
    int64_t units = v->row_units * others;
    v->splits = g->filters <= DIRECT_FILTERS || units >= threads ? 1 : smaller(row_panels(v), ceil_div(threads, units));
}

static void locate_taps(conv *v)
{
    const gather *g = &v->g;
    int64_t *tap_at = symc_scratch(SLOT_TABLE, v->depth * sizeof *tap_at);
    v->shape = FN(symc_band_shape)(g, v->rows, v->cols);
    v->tap_at = tap_at;
    for (int64_t c = 0; c < g->channels; c++)
        for (int64_t r = 0; r < g->taps_h; r++)
            for (int64_t s = 0; s < g->taps_w; s++)
                *tap_at++ = c * v->shape.plane + FN(symc_band_tap)(g, &v->shape, r, s);
}

static void clear_planes(void *arg, int64_t begin, int64_t end)
{
    const gather *g = arg;
    for (int64_t plane = begin; plane < end; plane++)
        for (int64_t i = 0; i < g->out_h; i++)
            for (int64_t j = 0; j < g->out_w; j++)
                g->out[plane * g->out_plane + i * g->out_row + j * g->out_col] = 0;
}

void FN(symc_gather_conv)(const gather *g)
{
    conv v = {.g = *g, .depth = g->channels * g->taps_h * g->taps_w};
    if (g->images * g->groups * g->filters * g->out_h * g->out_w <= 0)
        return;
    if (v.depth <= 0) {
        symc_parallel(clear_planes, &v.g, g->images * g->groups * g->filters,
                      ceil_div(SERIAL_PRODUCTS, g->out_h * g->out_w));
        finish_all(g->epilogue, 0, g->images * g->groups * g->filters, g->out_h * g->out_w);
        return;
    }
    plan_units(&v);
    locate_taps(&v);
    int64_t taps = g->taps_h * g->taps_w, serial = v.depth * g->filters * g->out_h * g->out_w < SERIAL_PRODUCTS;
    v.k_blocks = taps <= BLOCK_K ? ceil_div(g->channels, BLOCK_K / taps) : ceil_div(v.depth, BLOCK_K);
    if (g->filters > DIRECT_FILTERS) {
        int64_t panels = g->groups * v.k_blocks * row_panels(&v);
        v.packed = symc_scratch(SLOT_SHARED, g->groups * g->filters * v.depth * sizeof(real));
        symc_parallel(pack_weights, &v, panels, serial ? panels : 1);
    }
    int64_t bytes = g->images * g->groups * g->filters * g->out_plane * (int64_t)sizeof(real);
    v.streams = v.k_blocks == 1 && v.depth >= LEAST_STREAMED && (!g->epilogue || is_plain_epilogue(g->epilogue)) &&
                may_stream(g->out, g->out_plane, bytes);
    int64_t units = g->groups * v.row_units * v.col_units * v.splits;
    int64_t grain = larger(1, SERIAL_PRODUCTS / larger(1, v.rows * v.cols * v.depth * g->filters / v.splits));
    symc_parallel(run_units, &v, units, grain);
}
