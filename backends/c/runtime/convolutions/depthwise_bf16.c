/* Depthwise convolutions of images in blocks of channels, as bfloat16; see symc_conv2d_blocks in symc_rt.h.
 *
 * Lanes are channels: the two of a pair of bfloat16 are widened by a shift and by a mask, so that even and odd channels have sums
 * of their own, which are put in order at last. A task is a band of rows of one block of channels of an image. It copies what
 * the band reads, with zeros beside the image, so that all its pixels are alike.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#if SYMC_HAS_PAIRS
#include "base/epilogue.h"
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

/* `count` neighbouring results of a row from the window that begins at `from`; filters with `taps` columns that are neighbours,
 * and `step` pixels between results, if these are constants other than 0. */
INLINE void sum_tile(int count, int taps, int step, const depthwise *z, const float *from, const float *w, float *to)
{
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    vec even[MOST_PIXELS], odd[MOST_PIXELS];
    UNROLL
    for (int t = 0; t < count; t++)
        even[t] = odd[t] = (vec){0};
    for (int64_t r = 0; r < z->rows.taps; r++, from += z->rows.dil * z->wide * VL) {
        if (taps) {
            UNROLL
            for (int j = 0; j < (count - 1) * step + taps; j++) {
                __m512i pairs = (__m512i)load(from + j * VL);
                vec e = (vec)_mm512_slli_epi32(pairs, 16), o = (vec)_mm512_and_si512(pairs, upper);
                UNROLL
                for (int t = 0; t < count; t++) {
                    int s = j - t * step;
                    if (s >= 0 && s < taps)
                        even[t] += e * load(w + 2 * s * VL), odd[t] += o * load(w + (2 * s + 1) * VL);
                }
            }
            w += 2 * taps * VL;
            continue;
        }
        for (int64_t s = 0; s < z->cols.taps; s++, w += 2 * VL) {
            vec we = load(w), wo = load(w + VL);
            UNROLL
            for (int t = 0; t < count; t++) {
                __m512i pairs = (__m512i)load(from + (t * z->cols.up + s * z->cols.dil) * VL);
                even[t] += (vec)_mm512_slli_epi32(pairs, 16) * we, odd[t] += (vec)_mm512_and_si512(pairs, upper) * wo;
            }
        }
    }
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    UNROLL
    for (int t = 0; t < count; t++) {
        _mm512_storeu_ps(to + 2 * t * VL, _mm512_permutex2var_ps((__m512)even[t], first, (__m512)odd[t]));
        _mm512_storeu_ps(to + (2 * t + 1) * VL, _mm512_permutex2var_ps((__m512)even[t], second, (__m512)odd[t]));
    }
}

typedef void tile_kernel(const depthwise *z, const float *from, const float *w, float *to);

#define KERNEL(COUNT, TAPS, STEP)                                                                                   \
    static void tile_##COUNT##_##TAPS##_##STEP(const depthwise *z, const float *from, const float *w, float *to)    \
    {                                                                                                               \
        sum_tile(COUNT, TAPS, STEP, z, from, w, to);                                                                \
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

/* The filters of a block of channels, rounded: by tap in ascending order, even channels and odd ones. */
static void spread_filters(const depthwise *z, int64_t block, float *to)
{
    const conv2d *v = z->v;
    int64_t taps = v->taps_h * v->taps_w;
    const float *from = z->weights + block * PAIRED * taps;
    for (int64_t t = 0; t < taps; t++, to += 2 * VL) {
        float w[PAIRED];
        for (int64_t c = 0; c < PAIRED; c++)
            w[c % 2 * VL + c / 2] = from[c * taps + (v->flip ? taps - 1 - t : t)];
        __m512i pairs = (__m512i)as_pairs(load(w), load(w + VL));
        store(to, (vec)_mm512_slli_epi32(pairs, 16));
        store(to + VL, (vec)_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000u)));
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

/* Tasks (image, block of channels, band). */
static void run_bands(void *arg, int64_t begin, int64_t end)
{
    const depthwise *z = arg;
    const conv2d *v = z->v;
    tile_kernel *const *kernels = kernels_of(z);
    float *window = symc_scratch(SLOT_BAND, z->high * z->wide * VL * sizeof(float));
    float *sums = symc_scratch(SLOT_BLOCK, z->together * v->out_w * PAIRED * sizeof(float));
    float *filters = symc_scratch(SLOT_BLOCK_2, v->taps_h * v->taps_w * PAIRED * sizeof(float));
    int64_t blocks = v->channels / PAIRED, tiles = ceil_div(v->out_w, MOST_PIXELS), spread = -1;
    for (int64_t task = begin; task < end; task++) {
        int64_t place = task / z->bands, band = task % z->bands;
        int64_t first = band * v->out_h / z->bands, last = (band + 1) * v->out_h / z->bands;
        if (place % blocks != spread)
            spread = place % blocks, spread_filters(z, spread, filters);
        copy_band(z, z->in + place * v->in_h * v->in_w * VL, first, last, window);
        for (int64_t y = first; y < last; y += z->together) {
            int64_t rows = smaller(z->together, last - y);
            for (int64_t i = 0; i < rows; i++)
                for (int64_t t = 0; t < tiles; t++) {
                    int64_t x = t * v->out_w / tiles, count = (t + 1) * v->out_w / tiles - x;
                    kernels[count - 1](z, window + ((y - first + i) * z->rows.up * z->wide + x * z->cols.up) * VL, filters,
                                       sums + (i * v->out_w + x) * PAIRED);
                }
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
