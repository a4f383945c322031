/* Convolution with respect to the images, by adding up what each output pixel contributes. Compiled once per element type.
 *
 * Where the image is notably larger than the output, and channels do not fill blocks, gather_typed.h, which goes the other way,
 * spends much of its time on padding, and where it has few channels, its tiles have few rows. Here the product of the weights (taps * channels,
 * filters) and dY (filters, pixels) is made tile by tile, and each row of a tile is added at its tap's place in a padded
 * dX. With strides, pixels with the same remainders modulo the strides, a phase, form a plane of padded dX, so that
 * neighbouring output pixels add to neighbouring elements.
 */
#include "scatter.h"

#include "base/lanes.h"
#include "direct.h"
#include "pixels.h"

enum {
    UNIT_PIXELS = 8 * TILE_COLS,
    UNIT_BYTES = 512 << 10,
    IMAGE_BYTES = 4 << 20, /* the most of an image of few channels */
    LEAST_FILTERS = 8,
    MOST_PHASES = 1024
};

typedef struct {
    const conv2d *v;
    gather dy;                 /* dY as the input of a 1x1 convolution whose output planes are those of padded dX */
    band_shape shape;
    int64_t channels, filters; /* of a group */
    int64_t high, wide, plane; /* padded dX: of a phase; all phases of a channel */
    int64_t rows;              /* taps * channels: consecutive rows add to different planes */
    int64_t unit, chunks;      /* images at a time; parts of them whose pixels are packed together */
    int64_t k_blocks;
    const int64_t *row_at, *filter_at; /* place of a row in an image of padded dX; of a filter in the band of dY */
    real *packed, *dx;
} scatter;

/* Rows or columns of a phase. */
INLINE int64_t phase_size(int64_t out, int64_t taps, int64_t dil, int64_t step) { return out + (taps - 1) * dil / step; }

INLINE int64_t image_bytes(const conv2d *v)
{
    return v->channels / v->groups * phase_size(v->out_h, v->taps_h, v->dil_h, v->step_h) *
           phase_size(v->out_w, v->taps_w, v->dil_w, v->step_w) * v->step_h * v->step_w * (int64_t)sizeof(real);
}

int FN(symc_scatter_exists)(const conv2d *v)
{
    return v->out_h * v->out_w > 0 && v->taps_h * v->taps_w > 1 && v->channels > 0 &&
           v->filters / v->groups >= LEAST_FILTERS && smaller(v->pad_h, v->pad_w) >= 0 && image_bytes(v) <= IMAGE_BYTES;
}

int FN(symc_scatter_suits)(const conv2d *v)
{
    if (!FN(symc_scatter_exists)(v))
        return 0;
    if (v->channels / v->groups < larger(4, VL / 2))
        return 1;
    return v->step_h == 1 && v->step_w == 1 && image_bytes(v) <= UNIT_BYTES &&
           10 * v->in_h * v->in_w > 13 * v->out_h * v->out_w && !FN(symc_direct_suits)(v, 1);
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

/* The columns of one row of dX from the phases of a row of padded dX. */
static void crop_row(const scatter *z, const real *phases, real *row)
{
    const conv2d *v = z->v;
    int64_t step = v->step_w;
    for (int64_t i = 0; i < smaller(step, v->in_w); i++) {
        const real *from = phases + (i + v->pad_w) % step * z->high * z->wide;
        int64_t at = (i + v->pad_w) / step, count = ceil_div(v->in_w - i, step);
        int64_t known = larger(0, smaller(count, z->wide - at));
        if (step == 1) {
            memcpy(row, from + at, known * sizeof(real));
            memset(row + known, 0, (count - known) * sizeof(real));
            return;
        }
        for (int64_t k = 0; k < known; k++)
            row[i + k * step] = from[at + k];
        for (int64_t k = known; k < count; k++)
            row[i + k * step] = 0;
    }
}

static void crop(const scatter *z, const real *padded, real *plane)
{
    const conv2d *v = z->v;
    for (int64_t y = 0; y < v->in_h; y++, plane += v->in_w) {
        int64_t row = (y + v->pad_h) / v->step_h, phase = (y + v->pad_h) % v->step_h;
        if (row < z->high)
            crop_row(z, padded + phase * v->step_w * z->high * z->wide + row * z->wide, plane);
        else
            memset(plane, 0, v->in_w * sizeof(real));
    }
}

/* A thread's private memory, sufficient for any unit. */
typedef struct {
    pixel_panel *list;
    real *planes, *own, *dx;
} workspace;

/* The most rows of dY in a chunk. */
INLINE int64_t chunk_rows(const scatter *z) { return ceil_div(z->unit * z->v->out_h, z->chunks); }

static workspace take_workspace(const scatter *z)
{
    int64_t panels = ceil_div(chunk_rows(z) * z->v->out_w, TILE_COLS);
    int64_t longest = ceil_div(z->filters, z->k_blocks), image = z->channels * z->plane;
    return (workspace){.list = symc_scratch(SLOT_TABLE_2, panels * sizeof(pixel_panel)),
                       .planes = symc_scratch(SLOT_BAND, (longest * z->shape.plane + BAND_SLACK) * sizeof(real)),
                       .own = symc_scratch(SLOT_BLOCK, (panels * TILE_COLS * longest + VL) * sizeof(real)),
                       .dx = symc_scratch(SLOT_BAND_2, (z->unit * image + BAND_SLACK) * sizeof(real))};
}

/* Adds what rows of dY contribute to dX at `dx`. */
static void add_rows(const scatter *z, const workspace *w, int64_t group, band part, real *dx)
{
    int64_t panels = ceil_div((part.last_row - part.first_row) * z->v->out_w, TILE_COLS);
    pixel_panel *list = w->list;
    real *planes = w->planes, *own = w->own;
    real tile[TILE_ROWS * TILE_COLS + VL] __attribute__((aligned(64)));
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
                              tile, TILE_COLS, 0, NULL, in_order(a + rows * k));
                add_tile(&list[j], tile, rows, z->row_at + row, dx);
            }
        }
    }
}

/* dX of one group for the whole images [first, last). */
static void run_unit(const scatter *z, const workspace *w, int64_t group, int64_t first, int64_t last)
{
    const conv2d *v = z->v;
    int64_t image = z->channels * z->plane, rows = (last - first) * v->out_h;
    real *dx = w->dx;
    memset(dx, 0, ((last - first) * image + BAND_SLACK) * sizeof(real));
    for (int64_t i = 0; i < z->chunks; i++) {
        band part = {first * v->out_h + i * rows / z->chunks, first * v->out_h + (i + 1) * rows / z->chunks, 0, v->out_w};
        if (part.last_row > part.first_row)
            add_rows(z, w, group, part, dx - first * image);
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
        for (int64_t s = 0; s < v->taps_w; s++) {
            int64_t y = (v->flip ? v->taps_h - 1 - r : r) * v->dil_h, x = (v->flip ? v->taps_w - 1 - s : s) * v->dil_w;
            int64_t phase = y % v->step_h * v->step_w + x % v->step_w;
            for (int64_t c = 0; c < z->channels; c++)
                *row_at++ = c * z->plane + (phase * z->high + y / v->step_h) * z->wide + x / v->step_w;
        }
}

void FN(symc_scatter_conv)(const conv2d *v, real *dx, const real *dy, const real *weights)
{
    static const int64_t no_offset[1] = {0};
    scatter z = {.v = v, .channels = v->channels / v->groups, .filters = v->filters / v->groups, .dx = dx};
    z.high = phase_size(v->out_h, v->taps_h, v->dil_h, v->step_h);
    z.wide = phase_size(v->out_w, v->taps_w, v->dil_w, v->step_w);
    z.plane = v->step_h * v->step_w * z.high * z.wide;
    z.rows = v->taps_h * v->taps_w * z.channels;
    z.k_blocks = ceil_div(z.filters, BLOCK_K);
    z.dy = (gather){.images = v->images, .groups = v->groups, .channels = z.filters, .in = dy, .in_h = v->out_h,
                    .in_w = v->out_w, .step_h = 1, .step_w = 1, .taps_h = 1, .taps_w = 1, .tap_row = no_offset,
                    .tap_col = no_offset, .weights = weights, .out_h = v->out_h, .out_w = v->out_w, .out_row = z.wide,
                    .out_col = 1, .out_image = z.channels * z.plane};
    int64_t image = z.channels * z.plane, pixels = v->out_h * v->out_w, threads = symc_num_threads();
    z.unit = larger(1, smaller(UNIT_PIXELS / pixels, UNIT_BYTES / (image * (int64_t)sizeof(real))));
    z.unit = smaller(z.unit, ceil_div(v->images, threads));
    z.chunks = smaller(z.unit * v->out_h, ceil_div(z.unit * pixels, 2 * UNIT_PIXELS));
    z.shape = FN(symc_band_shape)(&z.dy, chunk_rows(&z), v->out_w);
    locate(&z);
    int64_t panels = v->groups * z.k_blocks * row_panels(&z);
    z.packed = symc_scratch(SLOT_SHARED, v->groups * z.filters * z.rows * sizeof(real));
    symc_parallel(pack_weights, &z, panels, larger(1, 4096 / (TILE_ROWS * ceil_div(z.filters, z.k_blocks))));
    symc_parallel(run_units, &z, ceil_div(v->images, z.unit) * v->groups,
                  larger(1, 65536 / (z.rows * z.filters * pixels * z.unit)));
}
