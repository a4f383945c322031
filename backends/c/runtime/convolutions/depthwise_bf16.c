/* Depthwise convolutions of images in blocks of channels, as bfloat16; see symc_conv2d_blocks in symc_rt.h.
 *
 * Lanes are channels. Pixels of two rows are interleaved, so that the instructions on pairs add the products of two taps, one below
 * the other; the sums are put in order at last. A task is a band of rows of one block of channels of an image. Filters with few
 * neighbouring columns leave out what is beside the image; for others what the band reads is copied, with zeros beside it.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#if SYMC_HAS_PAIRS
#include "base/epilogue.h"
#include "base/plain_pixels.h"
#include "axis.h"

enum {
    MOST_PIXELS = 8,          /* of a tile */
    WINDOW_BYTES = 128 << 10, /* of what a band reads: in the second level cache */
    LEAST_FINISHED = 128      /* pixels that an epilogue takes at once, if rows are shorter */
};

typedef struct {
    const conv2d *v;
    const float *weights, *in; /* pixels have VL pairs */
    float *out;
    axis rows, cols;
    int64_t bands, high, wide; /* the most rows, and the columns, that a band reads */
    int64_t together;          /* rows of results that are finished at once */
} depthwise;

/* What results read of the image: the taps [first_row, last_row), and of the pixels under their taps [first_col, last_col); and
 * the elements between two rows of taps. */
typedef struct {
    int64_t first_row, last_row, first_col, last_col, pitch;
} span;

static const float nothing[VL] __attribute__((aligned(64)));

/* Pixels of two rows of taps of which each exists or not. */
typedef struct {
    const float *upper, *lower;
    int has_upper, has_lower;
} row_pair;

INLINE row_pair rows_of(const span *s, const float *from, int64_t r)
{
    from += r * s->pitch;
    return (row_pair){from, from + s->pitch, r >= s->first_row && r < s->last_row, r + 1 >= s->first_row && r + 1 < s->last_row};
}

/* The pairs of two pixels, one below the other, interleaved: the first four of eight channels each, and the others. */
INLINE void interleave(const row_pair *p, int64_t at, int exists, __m512bh *low, __m512bh *high)
{
    __m512i a = (__m512i)load(exists & p->has_upper ? p->upper + at : nothing);
    __m512i b = (__m512i)load(exists & p->has_lower ? p->lower + at : nothing);
    *low = (__m512bh)_mm512_unpacklo_epi16(a, b), *high = (__m512bh)_mm512_unpackhi_epi16(a, b);
}

/* `count` neighbouring results of a row from the window that begins at `from`; filters with `taps` columns that are neighbours,
 * and `step` pixels between results, if these are constants other than 0: then `s` is what they read, else all there is. To `to`
 * go sums, or with an `end` pairs. */
INLINE void sum_tile(int count, int taps, int step, const depthwise *z, const span *s, const float *from, const float *w,
                     const pixel_end *end, float *to)
{
    __m512 low[MOST_PIXELS], high[MOST_PIXELS];
    __m512bh l, h;
    UNROLL
    for (int t = 0; t < count; t++)
        low[t] = high[t] = _mm512_setzero_ps();
    for (int64_t r = 0; r < z->rows.taps; r += 2) {
        const row_pair p = rows_of(s, from, r);
        if (taps) {
            __m512bh wl[5], wh[5];
            UNROLL
            for (int tap = 0; tap < taps; tap++)
                wl[tap] = (__m512bh)load(w + 2 * tap * VL), wh[tap] = (__m512bh)load(w + (2 * tap + 1) * VL);
            UNROLL
            for (int j = 0; j < (count - 1) * step + taps; j++) {
                interleave(&p, j * VL, j >= s->first_col && j < s->last_col, &l, &h);
                UNROLL
                for (int t = 0; t < count; t++) {
                    int tap = j - t * step;
                    if (tap >= 0 && tap < taps)
                        low[t] = _mm512_dpbf16_ps(low[t], l, wl[tap]), high[t] = _mm512_dpbf16_ps(high[t], h, wh[tap]);
                }
            }
            w += 2 * taps * VL;
            continue;
        }
        for (int64_t tap = 0; tap < z->cols.taps; tap++, w += 2 * VL) {
            __m512bh wl = (__m512bh)load(w), wh = (__m512bh)load(w + VL);
            UNROLL
            for (int t = 0; t < count; t++) {
                interleave(&p, (t * z->cols.up + tap * z->cols.dil) * VL, 1, &l, &h);
                low[t] = _mm512_dpbf16_ps(low[t], l, wl), high[t] = _mm512_dpbf16_ps(high[t], h, wh);
            }
        }
    }
    if (end) {
        UNROLL
        for (int t = 0; t < count; t++)
            store(to + t * VL, finished_pixel((vec)low[t], (vec)high[t], 0, end, NULL));
        return;
    }
    const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    UNROLL
    for (int t = 0; t < count; t++) {
        _mm512_storeu_ps(to + 2 * t * VL, _mm512_permutex2var_ps(low[t], first, high[t]));
        _mm512_storeu_ps(to + (2 * t + 1) * VL, _mm512_permutex2var_ps(low[t], second, high[t]));
    }
}

typedef void tile_kernel(const depthwise *z, const span *s, const float *from, const float *w, const pixel_end *end, float *to);

#define KERNEL(COUNT, TAPS, STEP)                                                                                   \
    static void tile_##COUNT##_##TAPS##_##STEP(const depthwise *z, const span *s, const float *from, const float *w, \
                                               const pixel_end *end, float *to)                                     \
    {                                                                                                               \
        sum_tile(COUNT, TAPS, STEP, z, s, from, w, end, to);                                                        \
    }
#define KERNELS(TAPS, STEP)                                                                                         \
    KERNEL(1, TAPS, STEP) KERNEL(2, TAPS, STEP) KERNEL(3, TAPS, STEP) KERNEL(4, TAPS, STEP)                         \
    KERNEL(5, TAPS, STEP) KERNEL(6, TAPS, STEP) KERNEL(7, TAPS, STEP) KERNEL(8, TAPS, STEP)                         \
    static tile_kernel *const tiles_##TAPS##_##STEP[MOST_PIXELS] = {                                                \
        tile_1_##TAPS##_##STEP, tile_2_##TAPS##_##STEP, tile_3_##TAPS##_##STEP, tile_4_##TAPS##_##STEP,             \
        tile_5_##TAPS##_##STEP, tile_6_##TAPS##_##STEP, tile_7_##TAPS##_##STEP, tile_8_##TAPS##_##STEP,             \
    };

KERNELS(3, 1) KERNELS(3, 2) KERNELS(5, 1) KERNELS(5, 2) KERNELS(0, 0)

static tile_kernel *const *kernels_of(const depthwise *z)
{
    int64_t taps = z->cols.taps, step = z->cols.up;
    if ((taps != 3 && taps != 5) || z->cols.dil != 1 || step > 2)
        return tiles_0_0;
    return taps == 3 ? (step == 1 ? tiles_3_1 : tiles_3_2) : (step == 1 ? tiles_5_1 : tiles_5_2);
}

INLINE int64_t filter_elements(const conv2d *v) { return ceil_div(v->taps_h, 2) * v->taps_w * PAIRED; }

/* The filters of a block of channels, rounded: pairs of two rows of taps in ascending order, by column, as pixels are interleaved. */
static void spread_filters(const depthwise *z, int64_t block, float *to)
{
    const conv2d *v = z->v;
    int64_t taps = v->taps_h * v->taps_w;
    const float *from = z->weights + block * PAIRED * taps;
    for (int64_t r = 0; r < v->taps_h; r += 2)
        for (int64_t s = 0; s < v->taps_w; s++, to += PAIRED) {
            float upper[PAIRED], lower[PAIRED] = {0};
            for (int c = 0; c < PAIRED; c++) {
                int64_t t = r * v->taps_w + s, below = t + v->taps_w;
                upper[place_in_quads(c)] = from[c * taps + (v->flip ? taps - 1 - t : t)];
                if (r + 1 < v->taps_h)
                    lower[place_in_quads(c)] = from[c * taps + (v->flip ? taps - 1 - below : below)];
            }
            store(to, as_pairs(load(upper), load(lower)));
            store(to + VL, as_pairs(load(upper + VL), load(lower + VL)));
        }
}

/* What results of rows [first, last) of a plane read, with zeros beside the image. */
static void copy_band(const depthwise *z, const float *plane, int64_t first, int64_t last, float *window)
{
    const conv2d *v = z->v;
    int64_t top = window_start(&z->rows, first), high = window_size(&z->rows, first, last), left = window_start(&z->cols, 0);
    int64_t from_x = smaller(z->wide, larger(0, -left)), to_x = larger(from_x, smaller(z->wide, v->in_w - left));
    for (int64_t y = top; y < top + high; y++, window += z->wide * VL) {
        int64_t before = y < 0 || y >= v->in_h ? z->wide : from_x;
        memset(window, 0, before * VL * sizeof(float));
        if (before == z->wide)
            continue;
        memcpy(window + from_x * VL, plane + (y * v->in_w + left + from_x) * VL, (to_x - from_x) * VL * sizeof(float));
        memset(window + to_x * VL, 0, (z->wide - to_x) * VL * sizeof(float));
    }
}

/* What `count` results of row `y` from column `x` on read, and where they read in the image: not there, if that is beside it. */
INLINE span span_of(const depthwise *z, int64_t y, int64_t x, int64_t count, const float *plane, const float **from)
{
    const conv2d *v = z->v;
    int64_t top = window_start(&z->rows, y), left = window_start(&z->cols, x), wide = window_size(&z->cols, x, x + count);
    int64_t first_row = 0, last_row = z->rows.taps;
    while (first_row < last_row && top + first_row * z->rows.dil < 0)
        first_row++;
    while (last_row > first_row && top + (last_row - 1) * z->rows.dil >= v->in_h)
        last_row--;
    *from = (const float *)((uintptr_t)plane + (uintptr_t)((top * v->in_w + left) * VL) * sizeof(float));
    return (span){first_row, last_row, larger(0, -left), smaller(wide, v->in_w - left), z->rows.dil * v->in_w * VL};
}

/* Tasks (image, block of channels, band). */
static void run_bands(void *arg, int64_t begin, int64_t end)
{
    const depthwise *z = arg;
    const conv2d *v = z->v;
    tile_kernel *const *kernels = kernels_of(z);
    const int plain = are_plain_pixels(v->epilogue) && !v->epilogue->added, in_place = kernels != tiles_0_0;
    pixel_end end_of_place;
    float *window = symc_scratch(SLOT_BAND, in_place ? 0 : z->high * z->wide * VL * sizeof(float));
    float *sums = symc_scratch(SLOT_BLOCK, z->together * v->out_w * PAIRED * sizeof(float));
    float *filters = symc_scratch(SLOT_BLOCK_2, filter_elements(v) * sizeof(float));
    int64_t blocks = v->channels / PAIRED, tiles = ceil_div(v->out_w, MOST_PIXELS), spread = -1;
    for (int64_t task = begin; task < end; task++) {
        int64_t place = task / z->bands, band = task % z->bands;
        int64_t first = band * v->out_h / z->bands, last = (band + 1) * v->out_h / z->bands;
        if (place % blocks != spread)
            spread = place % blocks, spread_filters(z, spread, filters);
        const float *plane = z->in + place * v->in_h * v->in_w * VL;
        if (!in_place)
            copy_band(z, plane, first, last, window);
        if (plain)
            end_of_place = pixel_end_of(v->epilogue, place, 0);
        for (int64_t y = first; y < last; y += z->together) {
            int64_t rows = smaller(z->together, last - y);
            for (int64_t i = 0; i < rows; i++)
                for (int64_t t = 0; t < tiles; t++) {
                    int64_t x = t * v->out_w / tiles, count = (t + 1) * v->out_w / tiles - x;
                    const float *from = window + ((y - first + i) * z->rows.up * z->wide + x * z->cols.up) * VL;
                    span s = {0, z->rows.taps, 0, z->wide, z->rows.dil * z->wide * VL};
                    if (in_place)
                        s = span_of(z, y + i, x, count, plane, &from);
                    if (plain)
                        kernels[count - 1](z, &s, from, filters, &end_of_place,
                                           (float *)v->epilogue->bits + ((place * v->out_h + y + i) * v->out_w + x) * VL);
                    else
                        kernels[count - 1](z, &s, from, filters, NULL, sums + (i * v->out_w + x) * PAIRED);
                }
            if (!plain)
                finish_pixels(v->epilogue, z->out, sums, place, v->out_h * v->out_w, y * v->out_w, rows * v->out_w);
        }
    }
}

/* With the taps in ascending order. */
static axis ascending_axis(const conv2d *v, int which)
{
    axis a = forward_axis(v, which);
    return a.dil < 0 ? (axis){a.taps, a.up, 1, a.base + (a.taps - 1) * a.dil, -a.dil} : a;
}

void symc_depthwise_blocks(const conv2d *v, float *y, const void *x, const float *weights)
{
    depthwise z = {.v = v, .weights = weights, .in = x, .out = y, .rows = ascending_axis(v, 0), .cols = ascending_axis(v, 1)};
    int64_t tasks = v->images * (v->channels / PAIRED), threads = symc_num_threads();
    z.wide = window_size(&z.cols, 0, v->out_w);
    int64_t fit = larger(1, WINDOW_BYTES / (z.wide * VL * (int64_t)sizeof(float) * v->step_h));
    z.bands = smaller(v->out_h, larger(ceil_div(v->out_h, fit), tasks < 4 * threads ? ceil_div(4 * threads, tasks) : 1));
    z.high = window_size(&z.rows, 0, ceil_div(v->out_h, z.bands));
    z.together = smaller(v->out_h, larger(1, LEAST_FINISHED / v->out_w));
    symc_parallel(run_bands, &z, tasks * z.bands, 1);
}
#endif
