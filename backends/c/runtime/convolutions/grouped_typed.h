/* Convolutions with many groups of few channels, forward and with respect to the images. Compiled once per element type.
 *
 * VL groups at a time are turned so that lanes are groups, a band of rows in the cache; then every pixel is a sum over
 * taps and channels of products of vectors, whatever the strides, dilations and phases, and bands of results are turned
 * back.
 */
#include "grouped.h"

#include "blocks.h"
#include "axis.h"

#if TILE_ROWS > 6
enum { PIXELS = 14, PAIR_PIXELS = 14 }; /* whose sums stay in 32 registers */
#else
enum { PIXELS = 8, PAIR_PIXELS = 6 };
#endif
enum { MOST_PRODUCTS = 64, MOST_CHANNELS = 16, SERIAL_PRODUCTS = 1 << 16 };

typedef struct {
    int64_t at, weight;
} tap;

typedef struct {
    const conv2d *v;
    const real *in, *weights;
    real *out;
    int64_t channels, filters;           /* of a group, read and written */
    int64_t weight_filter, weight_channel; /* taps between them */
    int64_t in_h, in_w, out_h, out_w;
    axis rows, cols;
    int64_t bands, band;                 /* of output rows; rows of one */
    int64_t left, wide, high;            /* the window behind a band: first column, sizes */
} grouped;

int FN(symc_grouped_suits)(const conv2d *v)
{
    int64_t channels = v->channels / v->groups, filters = v->filters / v->groups;
    return v->groups >= 2 && channels > 0 && filters > 0 && channels * filters <= MOST_PRODUCTS &&
           channels <= MOST_CHANNELS && filters <= MOST_CHANNELS && 2 * v->groups >= ceil_div(v->groups, VL) * VL &&
           v->taps_h * v->taps_w > 0 && v->out_h * v->out_w > 0;
}

double FN(symc_grouped_time)(const conv2d *v)
{
    const double of_block = 850, of_pixel = (double)VL / 2, of_product = 1.4; /* of vectors */
    double out = (double)(v->out_h * v->out_w * (v->filters / v->groups)), in = (double)(v->in_h * v->in_w);
    return (double)(v->images * group_blocks(v)) *
           (of_block + of_pixel * (in + out) + of_product * out * (double)(v->taps_h * v->taps_w));
}

/* `count` pixels of `filters` filters; weights of the second are weight_step on, its pixels out_plane on. */
INLINE void sum_block(int count, int filters, int64_t n, const tap *list, const real *from, int64_t in_step,
                      const real *weights, int64_t weight_step, real *to, int64_t out_step, int64_t out_plane)
{
    vec sum[2][PIXELS];
    UNROLL
    for (int f = 0; f < filters; f++) {
        UNROLL
        for (int i = 0; i < count; i++)
            sum[f][i] = (vec){0};
    }
    for (int64_t k = 0; k < n; k++) {
        const real *p = from + list[k].at, *w = weights + list[k].weight;
        vec wk[2] = {load(w), load(w + (filters - 1) * weight_step)};
        UNROLL
        for (int i = 0; i < count; i++) {
            vec x = in_register(load(p + i * in_step));
            UNROLL
            for (int f = 0; f < filters; f++)
                sum[f][i] += wk[f] * x;
        }
    }
    UNROLL
    for (int f = 0; f < filters; f++) {
        UNROLL
        for (int i = 0; i < count; i++)
            store(to + f * out_plane + i * out_step, sum[f][i]);
    }
}

typedef void sum_kernel(int64_t n, const tap *list, const real *from, int64_t in_step, const real *weights,
                        int64_t weight_step, real *to, int64_t out_step, int64_t out_plane);

#define KERNEL(COUNT, FILTERS)                                                                                           \
    static void sum_##COUNT##_##FILTERS(int64_t n, const tap *list, const real *from, int64_t in_step, const real *weights, \
                                        int64_t weight_step, real *to, int64_t out_step, int64_t out_plane)              \
    {                                                                                                                    \
        if (in_step == VL)                                                                                               \
            sum_block(COUNT, FILTERS, n, list, from, VL, weights, weight_step, to, out_step, out_plane);                 \
        else                                                                                                             \
            sum_block(COUNT, FILTERS, n, list, from, in_step, weights, weight_step, to, out_step, out_plane);            \
    }
#define KERNELS(COUNT) KERNEL(COUNT, 1) KERNEL(COUNT, 2)
#define KERNEL_PAIR(COUNT) {sum_##COUNT##_1, sum_##COUNT##_2}

KERNELS(1) KERNELS(2) KERNELS(3) KERNELS(4) KERNELS(5) KERNELS(6) KERNEL(7, 1) KERNEL(8, 1)
#if TILE_ROWS > 6
KERNEL(7, 2) KERNEL(8, 2) KERNELS(9) KERNELS(10) KERNELS(11) KERNELS(12) KERNELS(13) KERNELS(14)
#endif

static sum_kernel *const kernels[PIXELS][2] = {
    KERNEL_PAIR(1), KERNEL_PAIR(2), KERNEL_PAIR(3), KERNEL_PAIR(4), KERNEL_PAIR(5), KERNEL_PAIR(6),
#if TILE_ROWS > 6
    KERNEL_PAIR(7), KERNEL_PAIR(8), KERNEL_PAIR(9), KERNEL_PAIR(10), KERNEL_PAIR(11), KERNEL_PAIR(12),
    KERNEL_PAIR(13), KERNEL_PAIR(14),
#else
    {sum_7_1, NULL}, {sum_8_1, NULL},
#endif
};

/* A row, in blocks whose sizes differ by at most one pixel. */
static void sum_rows(int64_t filters, int64_t in_step, int64_t count, int64_t n, const tap *list, const real *from,
                     const real *weights, int64_t weight_step, real *to, int64_t out_step, int64_t out_plane)
{
    int64_t blocks = ceil_div(count, filters > 1 ? PAIR_PIXELS : PIXELS);
    for (int64_t i = 0; i < blocks; i++) {
        int64_t first = i * count / blocks, pixels = (i + 1) * count / blocks - first;
        for (int64_t f = 0; f < filters; f += 2) /* while the pixels are in the first level cache */
            kernels[pixels - 1][f + 1 < filters](n, list, from + first * in_step, in_step, weights + f * weight_step, weight_step,
                                                 to + f * out_plane + first * out_step, out_step, out_plane);
    }
}

/* The taps through which row y reads at column x, with y and x below `down`, in a window that begins with row 0. Those that
 * follow after multiples of `down` read through the same taps, multiples of `up` on. */
static int64_t list_taps(const grouped *z, int64_t y, int64_t x, tap *list)
{
    int64_t n = 0, plane = z->high * z->wide * VL;
    for (int64_t r = 0; r < z->rows.taps; r++) {
        int64_t row, col;
        if (!tap_reads(&z->rows, y, r, &row))
            continue;
        for (int64_t s = 0; s < z->cols.taps; s++) {
            if (!tap_reads(&z->cols, x, s, &col))
                continue;
            for (int64_t c = 0; c < z->channels; c++, n++) {
                list[n].at = c * plane + (row * z->wide + col - z->left) * VL;
                list[n].weight = (c * z->weight_channel + r * z->cols.taps + s) * VL;
            }
        }
    }
    return n;
}

/* The taps of a phase: a part of the table of all; none are listed before the phase is met. */
typedef struct {
    tap *list;
    int64_t count;
} phase_taps;

typedef struct {
    tap *unused; /* the rest of the table: each tap belongs to one phase */
    phase_taps *phases;
    real *window, *weights, *pixels;
} workspace;

INLINE int64_t products(const grouped *z) { return z->channels * z->filters * z->rows.taps * z->cols.taps; }

INLINE int64_t phases_of_row(const grouped *z) { return smaller(z->cols.down, z->out_w); }

static workspace take_workspace(const grouped *z)
{
    const int64_t phases = smaller(z->rows.down, z->out_h) * phases_of_row(z), taps = z->channels * z->rows.taps * z->cols.taps;
    phase_taps *list = symc_scratch(SLOT_TABLE_2, phases * sizeof *list + taps * sizeof(tap));
    memset(list, 0, phases * sizeof *list);
    return (workspace){
        .phases = list, .unused = (tap *)(list + phases),
        .window = symc_scratch(SLOT_BAND, z->channels * z->high * z->wide * VL * sizeof(real)),
        .weights = symc_scratch(SLOT_BLOCK, products(z) * VL * sizeof(real)),
        .pixels = symc_scratch(SLOT_BLOCK_2, z->filters * z->band * z->out_w * VL * sizeof(real))};
}

static void run_band(const grouped *z, workspace *w, int64_t image, int64_t first_group, int64_t first, int64_t last)
{
    int64_t groups = smaller(VL, z->v->groups - first_group), in_plane = z->in_h * z->in_w;
    int64_t out_plane = z->out_h * z->out_w, pixels = (last - first) * z->out_w, top = window_start(&z->rows, first);
    const real *end = z->in + z->v->images * z->v->groups * z->channels * in_plane;
    const real *in = z->in + (image * z->v->groups + first_group) * z->channels * in_plane;
    real *out = z->out + (image * z->v->groups + first_group) * z->filters * out_plane + first * z->out_w;
    int64_t high = window_size(&z->rows, first, last), weight_step = z->weight_filter * VL;
    for (int64_t c = 0; c < z->channels; c++)
        FN(symc_window_to_lanes)(in + c * in_plane, z->channels * in_plane, groups, z->in_h, z->in_w, end, top, z->left,
                                 high, z->wide, z->wide * VL, w->window + c * z->high * z->wide * VL);
    for (int64_t y = first; y < last; y++)
        for (int64_t x = 0; x < phases_of_row(z); x++) {
            phase_taps *p = w->phases + y % z->rows.down * phases_of_row(z) + x;
            if (!p->list) {
                *p = (phase_taps){w->unused, list_taps(z, y % z->rows.down, x, w->unused)};
                w->unused += p->count;
            }
            sum_rows(z->filters, z->cols.up * VL, ceil_div(z->out_w - x, z->cols.down), p->count, p->list,
                     w->window + (y / z->rows.down * z->rows.up - top) * z->wide * VL, w->weights, weight_step,
                     w->pixels + ((y - first) * z->out_w + x) * VL, z->cols.down * VL, pixels * VL);
        }
    int64_t row = (image * z->v->groups + first_group) * z->filters;
    plain_rows own;
    const plain_rows *plain = z->filters == 1 ? plain_rows_of(z->v->epilogue, row, groups, &own) : NULL;
    for (int64_t f = 0; f < z->filters; f++)
        FN(symc_from_lanes)(w->pixels + f * pixels * VL, pixels, VL, groups, z->filters * out_plane, plain,
                            out + f * out_plane);
    if (!plain)
        finish_band(z->v->epilogue, row, groups * z->filters, z->out_w, first, last, 0, z->out_w);
}

/* Tasks (block of groups, image, band). */
static void run_bands(void *arg, int64_t begin, int64_t end)
{
    const grouped *z = arg;
    workspace w = take_workspace(z);
    int64_t turned = -1, count = products(z), all = z->v->groups * count;
    for (int64_t task = begin; task < end; task++) {
        int64_t band = task % z->bands, image = task / z->bands % z->v->images;
        int64_t block = task / (z->bands * z->v->images), rows = smaller(VL, z->v->groups - block * VL);
        if (block != turned)
            FN(symc_to_lanes)(z->weights + block * VL * count, count, rows, count, z->weights + all, count, 0, w.weights);
        turned = block;
        run_band(z, &w, image, block * VL, band * z->out_h / z->bands, (band + 1) * z->out_h / z->bands);
    }
}

static void run(grouped *z)
{
    int64_t tasks = z->v->images * group_blocks(z->v);
    if (tasks <= 0 || z->out_h * z->out_w <= 0)
        return;
    z->bands = ceil_div(z->out_h, z->band);
    while (z->bands * tasks % symc_num_threads() && z->bands < z->out_h && z->bands * tasks < 4 * symc_num_threads())
        z->bands++;
    z->band = ceil_div(z->out_h, z->bands);
    z->high = 0;
    for (int64_t i = 0; i < z->bands; i++) {
        int64_t first = i * z->out_h / z->bands, last = (i + 1) * z->out_h / z->bands;
        z->high = larger(z->high, window_size(&z->rows, first, last));
    }
    int64_t work = products(z) * z->band * z->out_w * VL;
    symc_parallel(run_bands, z, tasks * z->bands, larger(1, SERIAL_PRODUCTS / work));
}

static grouped grouped_of(const conv2d *v, int data)
{
    int64_t taps = v->taps_h * v->taps_w, channels = v->channels / v->groups, filters = v->filters / v->groups;
    grouped z = {.v = v, .channels = channels, .filters = filters, .in_h = v->in_h, .in_w = v->in_w, .out_h = v->out_h,
                 .out_w = v->out_w, .weight_channel = taps, .weight_filter = channels * taps};
    if (data)
        z.channels = filters, z.filters = channels, z.in_h = v->out_h, z.in_w = v->out_w, z.out_h = v->in_h, z.out_w = v->in_w,
        z.weight_filter = taps, z.weight_channel = channels * taps;
    z.rows = data ? backward_axis(v, 0) : forward_axis(v, 0), z.cols = data ? backward_axis(v, 1) : forward_axis(v, 1);
    z.left = window_start(&z.cols, 0), z.wide = window_size(&z.cols, 0, z.out_w);
    int64_t bytes = VL * (int64_t)sizeof(real);
    z.band = band_rows(&z.rows, z.out_h, z.filters * z.out_w * bytes, z.channels * z.wide * bytes);
    return z;
}

int64_t FN(symc_grouped_rows)(const conv2d *v, int data) { return grouped_of(v, data).band; }

void FN(symc_grouped_forward)(const conv2d *v, real *y, const real *x, const real *weights)
{
    grouped z = grouped_of(v, 0);
    z.in = x, z.weights = weights, z.out = y;
    run(&z);
}

void FN(symc_grouped_backward_data)(const conv2d *v, real *dx, const real *dy, const real *weights)
{
    grouped z = grouped_of(v, 1);
    z.in = dy, z.weights = weights, z.out = dx;
    run(&z);
}
