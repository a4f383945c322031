/* Convolutions at stride 1 with few filters. See strips.h. Compiled once per element type.
 *
 * Tiles of a matrix product have few rows then, and what it takes to pack pixels for them serves few multiplications. Here the
 * rows of a padded copy of the images are one long row, without ends: a strip of neighbouring pixels reads neighbouring
 * elements through every tap, whichever rows they belong to, and its sums for all filters of a block are in registers. The
 * sums of the pixels between two rows are left out.
 */
#include "strips.h"

#include "base/masked.h"
#include "products/tile.h"

#if VECTOR_REGISTERS == 32
enum { MOST_FILTERS = 8 };
#else
enum { MOST_FILTERS = 4 };
#endif

enum {
    FEW_FILTERS = VL - VL / 4,  /* of a group; blocks of channels suit more */
    LEAST_DEPTH = 8,           /* products per sum */
    MOST_VECS = 8,             /* vectors of a strip: as many as a band has to spare */
    UNIT_PIXELS = 4096,
    BAND_BYTES = 128 << 10,    /* of the channels that are copied at a time */
    SERIAL_PRODUCTS = 1 << 16  /* the least multiplications for which another thread is used */
};

typedef struct {
    gather g;
    band_shape shape;
    int64_t rows, units;       /* rows of a unit; of all images, counted together */
    int64_t blocks, channels;  /* of filters; copied at a time */
    const int64_t *tap_at;     /* where a tap lies relative to its pixel */
    real *packed;              /* weights by group, block, channel, tap and filter */
} strips;

/* What is copied next, fetched while sums are computed: rows of so many elements, each `apart` elements behind the one before. Of
 * as many channels as are summed, a part with each strip; no elements, or some. */
typedef struct {
    const real *from;
    int64_t apart, elements;
} following;

INLINE int64_t first_filter(const strips *z, int64_t block) { return block * z->g.filters / z->blocks; }
INLINE int64_t taps_of(const gather *g) { return g->taps_h * g->taps_w; }

/* Vectors of a strip, for which sums, pixels and a weight fit in the registers. */
INLINE int strip_vecs(int filters)
{
    const int most = (VECTOR_REGISTERS - 1) / (filters + 1);
    return most < MOST_VECS ? most : MOST_VECS;
}

/* `count` sums of each filter, `apart` elements from those of the next, or as many more as fill strips. */
INLINE void sum_filters(const strips *z, int filters, int64_t channels, const real *from, int64_t count, const real *weights,
                        int adds, real *to, int64_t apart, following next)
{
    const int vecs = strip_vecs(filters);
    const int64_t taps = taps_of(&z->g), plane = z->shape.plane;
    const int64_t share = ceil_div(ceil_div(next.elements, LINE_ELEMENTS), ceil_div(count, vecs * VL)) * LINE_ELEMENTS;
    for (int64_t i = 0; i < count; i += vecs * VL, from += vecs * VL, to += vecs * VL, next.from += share) {
        vec sum[MOST_FILTERS][MOST_VECS];
        UNROLL
        for (int f = 0; f < filters; f++) {
            UNROLL
            for (int p = 0; p < vecs; p++)
                sum[f][p] = adds ? load(to + f * apart + p * VL) : (vec){0};
        }
        const real *w = weights, *channel = from, *line = next.from;
        for (int64_t c = 0; c < channels; c++, channel += plane, line += next.apart) {
            fetch_elements(line, share);
            for (int64_t t = 0; t < taps; t++, w += filters) {
                const real *at = channel + z->tap_at[t];
                vec x[MOST_VECS];
                UNROLL
                for (int p = 0; p < vecs; p++)
                    x[p] = in_register(load(at + p * VL));
                UNROLL
                for (int f = 0; f < filters; f++) {
                    UNROLL
                    for (int p = 0; p < vecs; p++)
                        sum[f][p] += w[f] * x[p];
                }
            }
        }
        UNROLL
        for (int f = 0; f < filters; f++) {
            UNROLL
            for (int p = 0; p < vecs; p++)
                store(to + f * apart + p * VL, sum[f][p]);
        }
    }
}

#define CASE(n)                                                                                                                  \
    case n: sum_filters(z, n, channels, from, count, weights, adds, to, apart, next); return;

static void sum_block(const strips *z, int64_t filters, int64_t channels, const real *from, int64_t count, const real *weights,
                      int adds, real *to, int64_t apart, following next)
{
    switch (filters) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
#if VECTOR_REGISTERS == 32
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
#endif
    }
}

/* The sums of a row of output, of neighbouring pixels, to where it belongs. */
static void put_row(const gather *g, const real *from, real *to)
{
    int64_t j = 0;
    if (g->out_col == 1) {
        for (; j + VL <= g->out_w; j += VL)
            store(to + j, load(from + j));
        store_lanes(to + j, load(from + j), first_lanes(g->out_w - j));
    } else {
        for (; j < g->out_w; j++)
            to[j * g->out_col] = from[j];
    }
}

/* The sums of a unit, from where strips left them. */
static void put_unit(const strips *z, const band *part, int64_t group, const real *sums, int64_t apart)
{
    const gather *g = &z->g;
    for (int64_t row = part->first_row; row < part->last_row; row++) {
        const real *from = sums + FN(symc_band_row)(g, &z->shape, part, row);
        real *to = g->out + row / g->out_h * g->out_image + group * g->filters * g->out_plane + row % g->out_h * g->out_row;
        for (int64_t f = 0; f < g->filters; f++)
            put_row(g, from + f * apart, to + f * g->out_plane);
    }
    finish_part(g, part, group, 0, g->filters);
}

INLINE int64_t strip_space(const strips *z) { return z->shape.plane + MOST_VECS * VL; }

/* The rows of a unit in the first of some channels of a group. */
static following rows_of(const strips *z, int64_t task, int64_t channel)
{
    const gather *g = &z->g;
    int64_t group = task / z->units, unit = task % z->units, row = unit * g->images * g->out_h / z->units;
    int64_t image = row / g->out_h, plane = (image * g->groups + group) * g->channels + channel;
    return (following){g->in + plane * g->in_h * g->in_w + row % g->out_h * g->in_w, g->in_h * g->in_w, z->rows * g->in_w};
}

/* Tasks (group, unit of rows). */
static void run_units(void *arg, int64_t begin, int64_t end)
{
    const strips *z = arg;
    const gather *g = &z->g;
    int64_t total = g->images * g->out_h, taps = taps_of(g), apart = strip_space(z);
    const int fetches = are_uncached(g->images * g->groups * g->channels * g->in_h * g->in_w);
    real *planes = symc_scratch(SLOT_BAND, (z->channels * z->shape.plane + BAND_SLACK) * sizeof(real));
    real *sums = symc_scratch(SLOT_BLOCK, g->filters * apart * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / z->units, unit = task % z->units;
        band part = {unit * total / z->units, (unit + 1) * total / z->units, 0, g->out_w};
        int64_t count = FN(symc_band_row)(g, &z->shape, &part, part.last_row - 1) + g->out_w;
        for (int64_t c = 0; c < g->channels; c += z->channels) {
            int64_t channels = smaller(z->channels, g->channels - c);
            int more = c + channels < g->channels;
            following next = {g->in, 0, 0};
            if (fetches && (more || task + 1 < end))
                next = more ? rows_of(z, task, c + channels) : rows_of(z, task + 1, 0);
            FN(symc_fill_band)(g, &z->shape, &part, group, c, c + channels, planes);
            for (int64_t block = 0; block < z->blocks; block++) {
                int64_t first = first_filter(z, block), filters = first_filter(z, block + 1) - first;
                const real *weights = z->packed + (group * g->filters + first) * g->channels * taps + c * taps * filters;
                sum_block(z, filters, channels, planes, count, weights, c > 0, sums + first * apart, apart, next);
                next.elements = 0;
            }
        }
        put_unit(z, &part, group, sums, apart);
    }
}

/* Tasks (group, block of filters). */
static void pack_weights(void *arg, int64_t begin, int64_t end)
{
    const strips *z = arg;
    const gather *g = &z->g;
    int64_t taps = taps_of(g);
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / z->blocks, first = first_filter(z, task % z->blocks);
        int64_t last = first_filter(z, task % z->blocks + 1), row = group * g->filters + first;
        real *to = z->packed + row * g->channels * taps;
        /* of a group there are as many weights as filters times channels times taps, in either order */
        const real *from = g->weights + group * g->filters * g->channels * taps;
        for (int64_t c = 0; c < g->channels; c++)
            for (int64_t t = 0; t < taps; t++)
                for (int64_t f = first; f < last; f++)
                    *to++ = from[f * g->weight_filter + c * g->weight_channel + t];
    }
}

int FN(symc_strips_suit)(const gather *g)
{
    return g->step_h == 1 && g->step_w == 1 && !g->blocked && !g->pool_h && g->filters > 0 && g->filters <= FEW_FILTERS &&
           g->channels * taps_of(g) >= LEAST_DEPTH && g->images * g->out_h * g->out_w > 0;
}

/* Units of rows: as few rows again as are read in addition, and at least one unit per thread. */
static void plan_units(strips *z)
{
    const gather *g = &z->g;
    int64_t threads = symc_num_threads(), total = g->images * g->out_h;
    int64_t wanted = ceil_div(total, larger(1, UNIT_PIXELS / g->out_w));
    if (wanted * g->groups < 8 * threads)
        wanted = ceil_div(wanted * g->groups, threads) * threads / g->groups;
    z->units = larger(1, smaller(total, wanted));
    z->rows = ceil_div(total, z->units);
    z->shape = FN(symc_band_shape)(g, z->rows, g->out_w);
    z->channels = larger(1, smaller(g->channels, BAND_BYTES / (z->shape.plane * (int64_t)sizeof(real))));
    z->channels = ceil_div(g->channels, ceil_div(g->channels, z->channels));
}

void FN(symc_strips_conv)(const gather *g)
{
    strips z = {.g = *g, .blocks = ceil_div(g->filters, MOST_FILTERS)};
    int64_t taps = taps_of(g), *tap_at = symc_scratch(SLOT_TABLE, taps * sizeof *tap_at);
    plan_units(&z);
    z.tap_at = tap_at;
    for (int64_t r = 0; r < g->taps_h; r++)
        for (int64_t s = 0; s < g->taps_w; s++)
            *tap_at++ = FN(symc_band_tap)(g, &z.shape, r, s);
    int64_t weights = g->filters * g->channels * taps;
    z.packed = symc_scratch(SLOT_SHARED, g->groups * weights * sizeof(real));
    symc_parallel(pack_weights, &z, g->groups * z.blocks, larger(1, SERIAL_PRODUCTS / weights));
    symc_parallel(run_units, &z, g->groups * z.units, larger(1, SERIAL_PRODUCTS / (weights * z.rows * g->out_w)));
}
