/* Pooling of images in blocks of channels, as bfloat16; see symc_pool2d_blocks in symc_rt.h. */
#define SYMC_DOUBLE 0
#include "base/real.h"

enum { LANES = 32, HALF = LANES / 2 };

typedef uint16_t bits16 __attribute__((vector_size(HALF * 2), aligned(2), may_alias));
typedef uint32_t bits32 __attribute__((vector_size(HALF * 4)));
typedef float lanes __attribute__((vector_size(HALF * 4)));

typedef struct {
    const uint16_t *in;
    uint16_t *out;
    int64_t in_h, in_w, out_h, out_w, win_h, win_w, step_h, step_w, pad_h, pad_w;
    int mode;
} pooling;

static inline lanes load_half(const uint16_t *p)
{
    return (lanes)(__builtin_convertvector(*(const bits16 *)p, bits32) << 16);
}

/* Rounded to the nearest, ties to even; a NaN stays one. */
static inline void store_half(uint16_t *p, lanes x)
{
    bits32 bits = (bits32)x, nan = (bits32)(x != x);
    bits32 rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    *(bits16 *)p = __builtin_convertvector((nan & (bits >> 16 | 0x40)) | (~nan & rounded), bits16);
}

/* The mean of a window, whose elements in the image are rows [top, bottom) and columns [left, right): their sum by `size`. */
static void average_window(const pooling *z, const uint16_t *image, int64_t top, int64_t bottom, int64_t left, int64_t right,
                           float size, uint16_t *to)
{
    lanes low = {0}, high = {0};
    for (int64_t y = top; y < bottom; y++)
        for (const uint16_t *p = image + (y * z->in_w + left) * LANES, *end = p + (right - left) * LANES; p < end; p += LANES)
            low += load_half(p), high += load_half(p + HALF);
    store_half(to, low / size);
    store_half(to + HALF, high / size);
}

/* ---- maxima ----
 *
 * The bits of a number, with all but the sign inverted if it is negative, are in the order of the numbers as whole numbers of 16
 * bits; NaN shall be the largest. */
typedef int16_t keys __attribute__((vector_size(LANES * 2)));
typedef int16_t stored_keys __attribute__((vector_size(LANES * 2), aligned(2), may_alias));

static inline keys turned(keys bits) { return bits ^ (bits >> 15 & 0x7fff); }
static inline keys larger_keys(keys a, keys b)
{
    const keys first = a > b;
    return (a & first) | (b & ~first);
}

static inline keys keys_of(const uint16_t *p)
{
    const keys bits = *(const stored_keys *)p, nan = (bits & 0x7fff) > 0x7f80;
    return (turned(bits) & ~nan) | (nan & 0x7fff);
}

/* The keys of the maxima of all columns of rows [top, bottom) of an image. */
static void column_maxima(const pooling *z, const uint16_t *image, int64_t top, int64_t bottom, keys *to)
{
    for (int64_t x = 0; x < z->in_w; x++) {
        keys most = turned((keys){0} + (int16_t)0xff80); /* minus infinity */
        for (int64_t y = top; y < bottom; y++)
            most = larger_keys(most, keys_of(image + (y * z->in_w + x) * LANES));
        to[x] = most;
    }
}

static void maximum_of(const keys *columns, int64_t left, int64_t right, uint16_t *to)
{
    keys most = turned((keys){0} + (int16_t)0xff80);
    for (int64_t x = left; x < right; x++)
        most = larger_keys(most, columns[x]);
    *(stored_keys *)to = turned(most);
}

/* ---- rows ---- */

/* Rows of the output. */
static void pool_rows(void *arg, int64_t begin, int64_t end)
{
    const pooling *z = arg;
    keys *columns = symc_scratch(SLOT_ROW, z->in_w * sizeof *columns);
    for (int64_t task = begin; task < end; task++) {
        int64_t y = task % z->out_h * z->step_h - z->pad_h, y_end = smaller(y + z->win_h, z->in_h + z->pad_h);
        int64_t top = larger(y, 0), bottom = larger(top, smaller(y_end, z->in_h));
        const uint16_t *image = z->in + task / z->out_h * z->in_h * z->in_w * LANES;
        uint16_t *to = z->out + task * z->out_w * LANES;
        if (z->mode == SYMC_POOL_MAX)
            column_maxima(z, image, top, bottom, columns);
        for (int64_t i = 0; i < z->out_w; i++, to += LANES) {
            int64_t x = i * z->step_w - z->pad_w, x_end = smaller(x + z->win_w, z->in_w + z->pad_w);
            int64_t left = larger(x, 0), right = larger(left, smaller(x_end, z->in_w));
            int64_t size = z->mode == SYMC_POOL_AVERAGE_INC_PAD   ? (y_end - y) * (x_end - x)
                           : z->mode == SYMC_POOL_AVERAGE_EXC_PAD ? (bottom - top) * (right - left)
                                                                  : 1;
            if (z->mode == SYMC_POOL_MAX)
                maximum_of(columns, left, right, to);
            else
                average_window(z, image, top, bottom, left, right, (float)larger(size, 1), to);
        }
    }
}

void symc_pool2d_blocks_u16(void *const *bufs, const int64_t *p)
{
    pooling z = {bufs[1], bufs[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], (int)p[11]};
    if (p[0] * z.out_h * z.out_w > 0)
        symc_parallel(pool_rows, &z, p[0] * z.out_h, larger(1, 16384 / (z.out_w * z.win_h * z.win_w + 1)));
}
