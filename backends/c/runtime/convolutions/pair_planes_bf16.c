/* Convolutions with one tap at stride 1 of operands rounded to bfloat16, by matrix registers, forward and with respect to
 * the images.
 *
 * A tile of filters (rows) times a tile of pixels (columns) is summed over pairs of channels. What the registers want of
 * pixels is a plane of each pair of channels: 16 neighbouring pixels, in 32 bits each the values of both channels. So
 * images are not turned: two planes become one, and the sums are rows of the output's planes. (With more taps this would
 * cost more than it saves: tiles that begin at any pixel cross the lines of the cache.)
 *
 * The planes of a band of the images stay in the second level cache. A stretch of the sum for 32 pixels stays in the
 * first level cache, while all filters pass by.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#include "axis.h"
#include "base/epilogue.h"
#include "base/masked.h"
#include "base/stored.h"

#if SYMC_HAS_TILES
enum {
    TILE = 16,                /* filters, pixels, or pairs of channels */
    DEEP = 2 * TILE,          /* channels of a step of the sum */
    STRETCH = 12,             /* steps summed at a time: of 32 pixels they stay in the first level cache */
    BAND_MOST = 700 << 10,    /* bytes of a band's planes and sums */
    LEAST_PIXELS = 4 * TILE,  /* of a band that is made for the other threads to have work */
    SLACK = 3 * TILE,         /* pixels that tiles read behind the last one */
    LEAST_PLANE = 8 * TILE    /* pixels of a plane: with fewer too much of the last tile is empty */
};

typedef struct {
    const conv2d *v;
    const float *in, *weights;
    float *out;
    int64_t channels, filters, weight_filter, weight_channel; /* of a group; elements between them */
    int64_t in_h, in_w, out_h, out_w, taps;
    axis rows, cols;
    int64_t steps, longest;                   /* blocks of channels; and times taps */
    int64_t row_bands, col_bands, together, sets, splits;
    int64_t high, wide, plane, count;         /* of a band: rows and columns read; pairs of a plane; pixels */
    int in_place;                             /* sums are made where the output is, but for the last pixels */
    float *packed;                            /* by group, block of 32 filters, step and tap: tiles */
    int64_t *offsets;                         /* of steps and taps in the planes */
} planes;

typedef struct {
    int64_t first_row, last_row, first_col, last_col;
} part;

INLINE int64_t blocks(const planes *z) { return ceil_div(z->filters, 2 * TILE); }
INLINE int64_t block_tiles(const planes *z, int64_t block) { return z->filters - block * 2 * TILE > TILE ? 2 : 1; }

/* ---- filters ---- */

/* Channels [channel, channel + DEEP) of a filter's tap, of which `count` exist. */
INLINE __m512i filter_row(const planes *z, const float *from, int64_t count)
{
    if (z->weight_channel == 1)
        return (__m512i)_mm512_cvtne2ps_pbh((__m512)load_lanes(from + TILE, first_lanes(larger(0, count - TILE))),
                                            (__m512)load_lanes(from, first_lanes(smaller(TILE, count))));
    __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i places = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)z->weight_channel));
    __m512 low = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), first_lanes(smaller(TILE, count)), places, from, 4);
    __m512 high = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), first_lanes(larger(0, count - TILE)), places,
                                           from + TILE * z->weight_channel, 4);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Tasks (group, block of filters, step). */
static void pack_filters(void *arg, int64_t begin, int64_t end)
{
    const planes *z = arg;
    for (int64_t task = begin; task < end; task++) {
        int64_t step = task % z->steps, block = task / z->steps % blocks(z), group = task / (z->steps * blocks(z));
        int64_t rows = block_tiles(z, block) * TILE, count = smaller(DEEP, z->channels - step * DEEP);
        float *to = z->packed + ((group * blocks(z) + block) * 2 * z->longest + step * z->taps * rows / TILE) * TILE * TILE;
        for (int64_t tap = 0; tap < z->taps; tap++)
            for (int64_t r = 0; r < rows; r++, to += TILE) {
                int64_t filter = block * 2 * TILE + r;
                const float *from = z->weights + (group * z->filters * z->channels * z->taps) + filter * z->weight_filter +
                                    step * DEEP * z->weight_channel + tap;
                _mm512_storeu_si512(to, filter < z->filters ? filter_row(z, from, count) : _mm512_setzero_si512());
            }
    }
}

/* ---- planes of pairs of channels ---- */

/* `count` pixels of two channels, of which the second may not exist. Writes whole vectors. */
INLINE void pair_pixels(const float *even, const float *odd, int64_t count, float *to)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5,
                                           20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int64_t i = 0; i < count; i += TILE) {
        lane_mask mask = first_lanes(smaller(TILE, count - i));
        __m512 low = (__m512)load_lanes(even + i, mask), high = odd ? (__m512)load_lanes(odd + i, mask) : _mm512_setzero_ps();
        _mm512_storeu_si512(to + i, _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(high, low)));
    }
}

static void clear(float *to, int64_t count)
{
    for (int64_t i = 0; i < count; i += TILE)
        store_lanes(to + i, (vec){0}, first_lanes(smaller(TILE, count - i)));
}

/* The planes that a band of an image reads. */
static void fill_planes(const planes *z, int64_t place, const part *b, float *to)
{
    int64_t top = window_start(&z->rows, b->first_row), left = window_start(&z->cols, b->first_col);
    int64_t high = window_size(&z->rows, b->first_row, b->last_row), plane = z->in_h * z->in_w;
    int64_t from_x = smaller(z->wide, larger(0, -left)), to_x = larger(from_x, smaller(z->wide, z->in_w - left));
    int whole = z->wide == z->in_w && left == 0 && top >= 0 && top + high <= z->in_h;
    for (int64_t pair = 0; pair < z->steps * TILE; pair++, to += z->plane) {
        if (2 * pair >= z->channels) {
            clear(to, z->plane);
            continue;
        }
        const float *even = z->in + (place * z->channels + 2 * pair) * plane;
        const float *odd = 2 * pair + 1 < z->channels ? even + plane : NULL;
        if (whole) {
            pair_pixels(even + top * z->in_w, odd ? odd + top * z->in_w : NULL, high * z->in_w, to);
            continue;
        }
        for (int64_t y = 0; y < high; y++) {
            float *row = to + y * z->wide;
            int64_t from = (top + y) * z->in_w + left + from_x;
            if (top + y < 0 || top + y >= z->in_h || to_x == from_x) {
                clear(row, z->wide);
                continue;
            }
            pair_pixels(even + from, odd ? odd + from : NULL, to_x - from_x, row + from_x);
            clear(row, from_x);
            clear(row + to_x, z->wide - to_x);
        }
    }
}

/* ---- products ---- */

static void configure(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1};
    for (int i = 0; i < 8; i++)
        c.bytes[i] = 64, c.rows[i] = TILE;
    _tile_loadconfig(&c);
}

/* Sums of `high` tiles of filters and `wide` tiles of pixels over some steps: tiles 0 to 3; 4, 5 filters; 6, 7 pixels. */
INLINE void multiply_tiles(int high, int wide, int64_t steps, const float *filters, const int64_t *offsets,
                           const float *pixels, int64_t plane, float *c, int64_t ldc, int accumulate)
{
    if (accumulate) {
        _tile_loadd(0, c, ldc * 4);
        if (wide > 1) _tile_loadd(1, c + TILE, ldc * 4);
        if (high > 1) _tile_loadd(2, c + TILE * ldc, ldc * 4);
        if (high > 1 && wide > 1) _tile_loadd(3, c + TILE * ldc + TILE, ldc * 4);
    } else {
        _tile_zero(0);
        if (wide > 1) _tile_zero(1);
        if (high > 1) _tile_zero(2);
        if (high > 1 && wide > 1) _tile_zero(3);
    }
    for (int64_t q = 0; q < steps; q++, filters += high * TILE * TILE) {
        const float *p = pixels + offsets[q];
        _tile_loadd(6, p, plane * 4);
        _tile_loadd(4, filters, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (wide > 1) {
            _tile_loadd(7, p + TILE, plane * 4);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (high > 1) {
            _tile_loadd(5, filters + TILE * TILE, 64);
            _tile_dpbf16ps(2, 5, 6);
            if (wide > 1) _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, c, ldc * 4);
    if (wide > 1) _tile_stored(1, c + TILE, ldc * 4);
    if (high > 1) _tile_stored(2, c + TILE * ldc, ldc * 4);
    if (high > 1 && wide > 1) _tile_stored(3, c + TILE * ldc + TILE, ldc * 4);
}

/* ---- units ---- */

typedef struct {
    int64_t group, first_image, images, first_block, last_block;
    part band;
    float *window, *sums; /* sums by image and filter, `pitch` apart; in place: of the last pixels */
    int64_t count, pitch;
} unit;

INLINE int64_t padded(const planes *z) { return blocks(z) * 2 * TILE; }

INLINE float *out_of(const planes *z, const unit *u, int64_t image, int64_t filter)
{
    int64_t place = (u->first_image + image) * z->v->groups + u->group;
    return z->out + (place * z->filters + filter) * z->out_h * z->out_w + u->band.first_row * z->out_w + u->band.first_col;
}

/* Steps [q, q + steps) of the sums of 32 pixels from `at` on. */
static void multiply_pixels(const planes *z, const unit *u, int64_t image, int64_t at, int64_t q, int64_t steps)
{
    const float *pixels = u->window + image * z->steps * TILE * z->plane + at;
    int wide = u->count - at > TILE ? 2 : 1, here = z->in_place && at + wide * TILE <= u->count;
    for (int64_t block = u->first_block; block < u->last_block; block++) {
        int high = (int)block_tiles(z, block);
        const float *filters =
            z->packed + ((u->group * blocks(z) + block) * 2 * z->longest + q * high) * TILE * TILE;
        float *c = u->sums + (image * padded(z) + block * 2 * TILE) * u->pitch + (z->in_place ? 0 : at);
        int64_t ldc = u->pitch;
        if (here)
            c = out_of(z, u, image, block * 2 * TILE) + at, ldc = z->out_h * z->out_w;
#define MULTIPLY(HIGH, WIDE) \
    multiply_tiles(HIGH, WIDE, steps, filters, z->offsets + q, pixels, z->plane, c, ldc, q > 0)
        if (high > 1)
            wide > 1 ? MULTIPLY(2, 2) : MULTIPLY(2, 1);
        else
            wide > 1 ? MULTIPLY(1, 2) : MULTIPLY(1, 1);
#undef MULTIPLY
    }
}

static void copy_pixels(const float *from, int64_t count, float *to)
{
    for (int64_t i = 0; i < count; i += TILE)
        store_lanes(to + i, load_lanes(from + i, first_lanes(smaller(TILE, count - i))), first_lanes(smaller(TILE, count - i)));
}

/* The sums that were not made in place. */
static void put_sums(const planes *z, const unit *u)
{
    int64_t width = u->band.last_col - u->band.first_col, last = (u->count - 1) / (2 * TILE) * 2 * TILE;
    int64_t stop = smaller(z->filters, u->last_block * 2 * TILE);
    if (z->in_place && u->count % TILE == 0)
        return;
    for (int64_t image = 0; image < u->images; image++)
        for (int64_t filter = u->first_block * 2 * TILE; filter < stop; filter++) {
            const float *from = u->sums + (image * padded(z) + filter) * u->pitch;
            float *to = out_of(z, u, image, filter);
            if (z->in_place) {
                copy_pixels(from, u->count - last, to + last);
                continue;
            }
            for (int64_t y = u->band.first_row; y < u->band.last_row; y++, from += z->wide, to += z->out_w)
                copy_pixels(from, width, to);
        }
}

static void finish_unit(const planes *z, const unit *u)
{
    int64_t first = u->first_block * 2 * TILE, rows = smaller(z->filters, u->last_block * 2 * TILE) - first;
    for (int64_t image = 0; image < u->images; image++) {
        int64_t place = (u->first_image + image) * z->v->groups + u->group;
        finish_band(z->v->epilogue, place * z->filters + first, rows, z->out_w, u->band.first_row, u->band.last_row,
                    u->band.first_col, u->band.last_col);
    }
}

/* Tasks (group, set of images, band, split of the filters). */
static void run_units(void *arg, int64_t begin, int64_t end)
{
    const planes *z = arg;
    int64_t bands = z->row_bands * z->col_bands, pitch = z->in_place ? 2 * TILE : ceil_div(z->count, 2 * TILE) * 2 * TILE;
    unit u = {.pitch = pitch};
    u.window = symc_scratch(SLOT_BAND, z->together * z->steps * TILE * z->plane * sizeof(float));
    u.sums = symc_scratch(SLOT_BLOCK_2, z->together * padded(z) * pitch * sizeof(float));
    if (begin >= end)
        return;
    configure();
    for (int64_t task = begin; task < end; task++) {
        int64_t split = task % z->splits, band = task / z->splits % bands, set = task / (z->splits * bands) % z->sets;
        int64_t row = band / z->col_bands, col = band % z->col_bands;
        u.group = task / (z->splits * bands * z->sets);
        u.first_image = set * z->v->images / z->sets, u.images = (set + 1) * z->v->images / z->sets - u.first_image;
        u.first_block = split * blocks(z) / z->splits, u.last_block = (split + 1) * blocks(z) / z->splits;
        u.band = (part){row * z->out_h / z->row_bands, (row + 1) * z->out_h / z->row_bands, col * z->out_w / z->col_bands,
                        (col + 1) * z->out_w / z->col_bands};
        u.count = (u.band.last_row - u.band.first_row - 1) * z->wide + u.band.last_col - u.band.first_col;
        for (int64_t i = 0; i < u.images; i++)
            fill_planes(z, (u.first_image + i) * z->v->groups + u.group, &u.band,
                        u.window + i * z->steps * TILE * z->plane);
        for (int64_t q = 0; q < z->longest; q += STRETCH)
            for (int64_t i = 0; i < u.images; i++)
                for (int64_t at = 0; at < u.count; at += 2 * TILE)
                    multiply_pixels(z, &u, i, at, q, smaller(STRETCH, z->longest - q));
        put_sums(z, &u);
        finish_unit(z, &u);
    }
    _tile_release();
}

/* ---- all ---- */

/* Sets the bands' sizes; returns the bytes of one. */
static int64_t measure(planes *z)
{
    int64_t out_rows = ceil_div(z->out_h, z->row_bands), out_cols = ceil_div(z->out_w, z->col_bands);
    z->high = window_size(&z->rows, 0, out_rows), z->wide = window_size(&z->cols, 0, out_cols);
    z->count = (out_rows - 1) * z->wide + out_cols;
    z->plane = ceil_div(z->high * z->wide + SLACK, TILE) * TILE;
    z->plane += z->plane / TILE % 2 ? 0 : TILE; /* rows of a tile are in different sets of the cache */
    return (z->steps * TILE * z->plane + padded(z) * z->count) * (int64_t)sizeof(float);
}

static void plan(planes *z)
{
    int64_t threads = symc_num_threads(), images = z->v->images;
    z->row_bands = z->col_bands = z->together = z->splits = 1;
    while (measure(z) > BAND_MOST && z->row_bands < z->out_h)
        z->row_bands++;
    while (measure(z) > BAND_MOST && ceil_div(z->out_w, z->col_bands) > 2 * TILE)
        z->col_bands++;
    int64_t others = images * z->v->groups * z->col_bands, wanted = ceil_div(ceil_div(others * z->row_bands, threads) * threads, others);
    if (others * z->row_bands < 8 * threads && others * z->row_bands % threads && wanted <= z->out_h &&
        z->out_h / wanted * z->out_w >= LEAST_PIXELS)
        z->row_bands = wanted;
    int64_t bytes = measure(z), bands = z->row_bands * z->col_bands;
    if (bands == 1)
        z->together = larger(1, smaller(BAND_MOST / larger(1, bytes), images * z->v->groups / threads));
    z->sets = ceil_div(images, z->together);
    z->together = ceil_div(images, z->sets);
    int64_t units = z->v->groups * z->sets * bands;
    if (units < threads || (units < 4 * threads && units % threads))
        z->splits = smaller(blocks(z), threads);
    z->in_place = z->wide == z->out_w && z->filters % TILE == 0;
}

static void run(planes *z)
{
    z->taps = z->rows.taps * z->cols.taps;
    z->steps = ceil_div(z->channels, DEEP), z->longest = z->steps * z->taps;
    plan(z);
    z->offsets = symc_scratch(SLOT_TABLE, z->longest * sizeof *z->offsets);
    int64_t top = window_start(&z->rows, 0), left = window_start(&z->cols, 0), n = 0;
    for (int64_t step = 0; step < z->steps; step++)
        for (int64_t r = 0; r < z->rows.taps; r++)
            for (int64_t s = 0; s < z->cols.taps; s++)
                z->offsets[n++] = step * TILE * z->plane + (z->rows.base + r * z->rows.dil - top) * z->wide +
                                  z->cols.base + s * z->cols.dil - left;
    int64_t tasks = z->v->groups * blocks(z);
    symc_form_key key = {z->weights, FORM_PAIRED_PLANES,
                         {z->v->groups, z->channels, z->filters, z->taps, z->weight_filter, z->weight_channel}};
    symc_form packed =
        symc_form_of(z->v->stored, &key, tasks * 2 * z->longest * TILE * TILE * sizeof(float), SLOT_SHARED);
    z->packed = packed.memory;
    if (!packed.ready) {
        symc_parallel(pack_filters, z, tasks * z->steps, larger(1, 16384 / (z->taps * DEEP * 2 * TILE)));
        symc_form_made(&packed);
    }
    symc_parallel(run_units, z, z->v->groups * z->sets * z->row_bands * z->col_bands * z->splits, 1);
}

int symc_pair_planes_suits(const conv2d *v)
{
    return symc_pairs == PAIRS_BY_TILES && v->step_h == 1 && v->step_w == 1 && v->taps_h * v->taps_w == 1 &&
           v->out_h * v->out_w >= LEAST_PLANE;
}

void symc_pair_planes_forward(const conv2d *v, float *y, const float *x, const float *weights)
{
    planes z = {.v = v, .in = x, .weights = weights, .out = y, .channels = v->channels / v->groups,
                .filters = v->filters / v->groups, .in_h = v->in_h, .in_w = v->in_w, .out_h = v->out_h,
                .out_w = v->out_w, .rows = forward_axis(v, 0), .cols = forward_axis(v, 1)};
    z.weight_channel = v->taps_h * v->taps_w, z.weight_filter = z.channels * z.weight_channel;
    run(&z);
}

void symc_pair_planes_backward_data(const conv2d *v, float *dx, const float *dy, const float *weights)
{
    planes z = {.v = v, .in = dy, .weights = weights, .out = dx, .channels = v->filters / v->groups,
                .filters = v->channels / v->groups, .in_h = v->out_h, .in_w = v->out_w, .out_h = v->in_h,
                .out_w = v->in_w, .rows = backward_axis(v, 0), .cols = backward_axis(v, 1)};
    z.weight_filter = v->taps_h * v->taps_w, z.weight_channel = z.filters * z.weight_filter;
    run(&z);
}
#endif
