/* Convolution at stride 1 with respect to the images, by adding up what each output pixel contributes. Compiled once
 * per element type.
 *
 * Where the image is notably larger than the output, gather_typed.h, which goes the other way, spends much of its time
 * on padding. Here the product of the weights (taps * channels, filters) and dY (filters, pixels) is made tile by tile,
 * and each row of a tile is added at its tap's place in a padded dX.
 */
#include "scatter.h"

#include "base/lanes.h"
#include "pixels.h"

enum { UNIT_PIXELS = 8 * TILE_COLS, UNIT_BYTES = 512 << 10 };

typedef struct {
    const conv2d *v;
    gather dy;                 /* dY as the input of a 1x1 convolution whose output planes are those of padded dX */
    band_shape shape;
    int64_t channels, filters; /* of a group */
    int64_t high, wide, plane; /* padded dX */
    int64_t rows;              /* taps * channels: consecutive rows add to different planes */
    int64_t unit;              /* images at a time */
    int64_t k_blocks;
    const int64_t *row_at, *filter_at; /* place of a row in an image of padded dX; of a filter in the band of dY */
    real *packed, *dx;
} scatter;

int FN(symc_scatter_suits)(const conv2d *v)
{
    int64_t high = v->out_h + (v->taps_h - 1) * v->dil_h, wide = v->out_w + (v->taps_w - 1) * v->dil_w;
    int64_t image = v->channels / v->groups * high * wide * (int64_t)sizeof(real);
    return v->step_h == 1 && v->step_w == 1 && v->filters / v->groups >= 8 && image <= UNIT_BYTES &&
           v->out_h * v->out_w > 0 && v->taps_h * v->taps_w > 1 && v->channels > 0 &&
           10 * v->in_h * v->in_w > 13 * v->out_h * v->out_w;
}

INLINE int64_t row_panels(const scatter *z) { return ceil_div(z->rows, TILE_ROWS); }
INLINE int64_t panel_row(const scatter *z, int64_t i) { return i * z->rows / row_panels(z); }
INLINE int64_t k_start(const scatter *z, int64_t block) { return block * z->filters / z->k_blocks; }

/* Weights by group, k block and panel: filters x rows of the panel. */
static void pack_weights(void *arg, int64_t begin, int64_t end)
{
    const scatter *z = arg;
    const conv2d *v = z->v;
    int64_t panels = row_panels(z), taps = v->taps_h * v->taps_w;
    for (int64_t i = begin; i < end; i++) {
        int64_t group = i / (panels * z->k_blocks), block = i / panels % z->k_blocks;
        int64_t row = panel_row(z, i % panels), rows = panel_row(z, i % panels + 1) - row, k0 = k_start(z, block);
        int64_t k = k_start(z, block + 1) - k0;
        real *to = z->packed + (group * z->filters + k0) * z->rows + row * k;
        for (int64_t m = group * z->filters + k0; k > 0; k--, m++)
            for (int64_t r = row; r < row + rows; r++) {
                const real *filter = z->dy.weights + m * z->rows;
                *to++ = filter[r % z->channels * taps + r / z->channels];
            }
    }
}

typedef real unaligned_half_vec __attribute__((vector_size(VEC_BYTES / 2), aligned(sizeof(real)), may_alias));

/* Adds a run's lanes of each row of a tile to the row's place in dX; the vector's other lanes there stay what they are. */
static void add_run(const real *from, int64_t count, int64_t rows, const int64_t *row_at, real *dx)
{
    index_vec lane;
    for (int i = 0; i < VL; i++)
        lane[i] = i;
    index_vec keep = lane < (lane_index)count;
    for (int64_t r = 0; r < rows; r++, from += TILE_COLS)
        store(dx + row_at[r], load(dx + row_at[r]) + choose(keep, load(from), (vec){0}));
}

/* The same for exactly half a vector. */
static void add_half_run(const real *from, int64_t rows, const int64_t *row_at, real *dx)
{
    for (int64_t r = 0; r < rows; r++, from += TILE_COLS)
        *(unaligned_half_vec *)(dx + row_at[r]) += *(const unaligned_half_vec *)from;
}

/* Rows are the inner loop, and half vectors are used where they fit, because vectors of neighbouring runs may overlap,
 * and loading what is still being stored is slow. */
static void add_tile(const pixel_panel *p, const real *tile, int64_t rows, const int64_t *row_at, real *dx)
{
    for (int64_t i = 0; i < p->runs; i++) {
        const pixel_run *r = &p->run[i];
        if (r->count == VL / 2)
            add_half_run(tile + r->lane, rows, row_at, dx + r->out);
        else
            add_run(tile + r->lane, r->count, rows, row_at, dx + r->out);
    }
}

static void crop(const scatter *z, const real *padded, real *plane)
{
    const conv2d *v = z->v;
    int64_t begin = smaller(v->in_w, larger(0, -v->pad_w)), end = larger(begin, smaller(v->in_w, z->wide - v->pad_w));
    for (int64_t y = 0; y < v->in_h; y++, plane += v->in_w) {
        int64_t row = y + v->pad_h;
        memset(plane, 0, v->in_w * sizeof(real));
        if (row >= 0 && row < z->high)
            memcpy(plane + begin, padded + row * z->wide + v->pad_w + begin, (end - begin) * sizeof(real));
    }
}

/* A thread's private memory, sufficient for any unit. */
typedef struct {
    pixel_panel *list;
    real *planes, *own, *dx;
} workspace;

static workspace take_workspace(const scatter *z)
{
    int64_t panels = ceil_div(z->unit * z->v->out_h * z->v->out_w, TILE_COLS);
    int64_t longest = ceil_div(z->filters, z->k_blocks), image = z->channels * z->plane;
    return (workspace){.list = symc_scratch(SLOT_TABLE_2, panels * sizeof(pixel_panel)),
                       .planes = symc_scratch(SLOT_BAND, (longest * z->shape.plane + BAND_SLACK) * sizeof(real)),
                       .own = symc_scratch(SLOT_BLOCK, (panels * TILE_COLS * longest + VL) * sizeof(real)),
                       .dx = symc_scratch(SLOT_BAND_2, (z->unit * image + BAND_SLACK) * sizeof(real))};
}

/* dX of one group for the whole images [first, last). */
static void run_unit(const scatter *z, const workspace *w, int64_t group, int64_t first, int64_t last)
{
    const conv2d *v = z->v;
    band part = {first * v->out_h, last * v->out_h, 0, v->out_w};
    int64_t panels = ceil_div((last - first) * v->out_h * v->out_w, TILE_COLS), image = z->channels * z->plane;
    pixel_panel *list = w->list;
    real *planes = w->planes, *own = w->own, *dx = w->dx;
    real tile[TILE_ROWS * TILE_COLS + VL] __attribute__((aligned(64)));
    memset(dx, 0, ((last - first) * image + BAND_SLACK) * sizeof(real));
    for (int64_t j = 0; j < panels; j++)
        FN(symc_find_runs)(&z->dy, &z->shape, &part, j * TILE_COLS, &list[j]);
    for (int64_t q = 0; q < z->k_blocks; q++) {
        int64_t k0 = k_start(z, q), k = k_start(z, q + 1) - k0;
        FN(symc_fill_band)(&z->dy, &z->shape, &part, group, k0, k0 + k, planes);
        for (int64_t j = 0; j < panels; j++)
            FN(symc_pack_pixels)(z->filter_at, k, planes, &list[j], own + j * TILE_COLS * k);
        for (int64_t i = 0; i < row_panels(z); i++) {
            int64_t row = panel_row(z, i), rows = panel_row(z, i + 1) - row;
            const real *a = z->packed + (group * z->filters + k0) * z->rows + row * k;
            for (int64_t j = 0; j < panels; j++) {
                FN(symc_tile)(rows, list[j].cols > VL ? TILE_COLS : VL, k, a, rows, own + j * TILE_COLS * k, TILE_COLS,
                              tile, TILE_COLS, 0);
                add_tile(&list[j], tile, rows, z->row_at + row, dx - first * image);
            }
        }
    }
    for (int64_t i = first; i < last; i++)
        for (int64_t c = 0; c < z->channels; c++)
            crop(z, dx + (i - first) * image + c * z->plane,
                 z->dx + ((i * v->groups + group) * z->channels + c) * v->in_h * v->in_w);
}

static void run_units(void *arg, int64_t begin, int64_t end)
{
    const scatter *z = arg;
    int64_t units = ceil_div(z->v->images, z->unit);
    workspace w = take_workspace(z);
    for (int64_t i = begin; i < end; i++)
        run_unit(z, &w, i / units, i % units * z->v->images / units, (i % units + 1) * z->v->images / units);
}

static void locate(scatter *z)
{
    const conv2d *v = z->v;
    int64_t *row_at = symc_scratch(SLOT_TABLE, (z->rows + z->filters) * sizeof *row_at), *filter_at = row_at + z->rows;
    for (int64_t k = 0; k < z->filters; k++)
        filter_at[k] = k * z->shape.plane;
    z->row_at = row_at, z->filter_at = filter_at;
    for (int64_t r = 0; r < v->taps_h; r++)
        for (int64_t s = 0; s < v->taps_w; s++)
            for (int64_t c = 0; c < z->channels; c++)
                *row_at++ = c * z->plane + (v->flip ? v->taps_h - 1 - r : r) * v->dil_h * z->wide +
                            (v->flip ? v->taps_w - 1 - s : s) * v->dil_w;
}

void FN(symc_scatter_conv)(const conv2d *v, real *dx, const real *dy, const real *weights)
{
    static const int64_t no_offset[1] = {0};
    scatter z = {.v = v, .channels = v->channels / v->groups, .filters = v->filters / v->groups, .dx = dx};
    z.high = v->out_h + (v->taps_h - 1) * v->dil_h, z.wide = v->out_w + (v->taps_w - 1) * v->dil_w;
    z.plane = z.high * z.wide;
    z.rows = v->taps_h * v->taps_w * z.channels;
    z.k_blocks = ceil_div(z.filters, BLOCK_K);
    z.dy = (gather){.images = v->images, .groups = v->groups, .channels = z.filters, .in = dy, .in_h = v->out_h,
                    .in_w = v->out_w, .step_h = 1, .step_w = 1, .taps_h = 1, .taps_w = 1, .tap_row = no_offset,
                    .tap_col = no_offset, .weights = weights, .out_h = v->out_h, .out_w = v->out_w, .out_row = z.wide,
                    .out_col = 1, .out_image = z.channels * z.plane};
    int64_t image = z.channels * z.plane, pixels = v->out_h * v->out_w, threads = symc_num_threads();
    z.unit = larger(1, smaller(UNIT_PIXELS / pixels, UNIT_BYTES / (image * (int64_t)sizeof(real))));
    z.unit = smaller(z.unit, ceil_div(v->images, threads));
    z.shape = FN(symc_band_shape)(&z.dy, z.unit * v->out_h, v->out_w);
    locate(&z);
    int64_t panels = v->groups * z.k_blocks * row_panels(&z);
    z.packed = symc_scratch(SLOT_SHARED, v->groups * z.filters * z.rows * sizeof(real));
    symc_parallel(pack_weights, &z, panels, larger(1, 4096 / (TILE_ROWS * ceil_div(z.filters, z.k_blocks))));
    symc_parallel(run_units, &z, ceil_div(v->images, z.unit) * v->groups,
                  larger(1, 65536 / (z.rows * z.filters * pixels * z.unit)));
}
