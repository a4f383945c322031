/* Pooling of images in blocks of channels, as bfloat16; see symc_pool2d_blocks in symc_rt.h. */
#include "base/symc_rt.h"

#include <math.h>
#include <string.h>

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

static inline lanes larger_or_nan(lanes a, lanes b)
{
    bits32 second = (bits32)((b > a) | (b != b));
    return (lanes)((second & (bits32)b) | (~second & (bits32)a));
}

/* A window, whose elements in the image are rows [top, bottom) and columns [left, right): the maximum, or the quotient of the
 * sum and `size`. */
static inline __attribute__((always_inline)) void pool_window(int is_max, const pooling *z, const uint16_t *image, int64_t top,
                                                              int64_t bottom, int64_t left, int64_t right, float size,
                                                              uint16_t *to)
{
    const lanes zero = {0};
    lanes low = is_max ? zero - INFINITY : zero, high = low;
    for (int64_t y = top; y < bottom; y++)
        for (const uint16_t *p = image + (y * z->in_w + left) * LANES, *end = p + (right - left) * LANES; p < end; p += LANES) {
            lanes first = load_half(p), second = load_half(p + HALF);
            low = is_max ? larger_or_nan(low, first) : low + first;
            high = is_max ? larger_or_nan(high, second) : high + second;
        }
    if (!is_max)
        low /= size, high /= size;
    store_half(to, low);
    store_half(to + HALF, high);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Rows of the output. */
static void pool_rows(void *arg, int64_t begin, int64_t end)
{
    const pooling *z = arg;
    for (int64_t task = begin; task < end; task++) {
        int64_t y = task % z->out_h * z->step_h - z->pad_h, y_end = least(y + z->win_h, z->in_h + z->pad_h);
        int64_t top = most(y, 0), bottom = most(top, least(y_end, z->in_h));
        const uint16_t *image = z->in + task / z->out_h * z->in_h * z->in_w * LANES;
        uint16_t *to = z->out + task * z->out_w * LANES;
        for (int64_t i = 0; i < z->out_w; i++, to += LANES) {
            int64_t x = i * z->step_w - z->pad_w, x_end = least(x + z->win_w, z->in_w + z->pad_w);
            int64_t left = most(x, 0), right = most(left, least(x_end, z->in_w));
            int64_t size = z->mode == SYMC_POOL_AVERAGE_INC_PAD   ? (y_end - y) * (x_end - x)
                           : z->mode == SYMC_POOL_AVERAGE_EXC_PAD ? (bottom - top) * (right - left)
                                                                  : 1;
            if (z->mode == SYMC_POOL_MAX)
                pool_window(1, z, image, top, bottom, left, right, 1, to);
            else
                pool_window(0, z, image, top, bottom, left, right, (float)most(size, 1), to);
        }
    }
}

void symc_pool2d_blocks_u16(void *const *bufs, const int64_t *p)
{
    pooling z = {bufs[1], bufs[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], (int)p[11]};
    if (p[0] * z.out_h * z.out_w > 0)
        symc_parallel(pool_rows, &z, p[0] * z.out_h, most(1, 16384 / (z.out_w * z.win_h * z.win_w + 1)));
}
