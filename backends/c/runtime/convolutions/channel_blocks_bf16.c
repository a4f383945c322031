/* Convolutions of images in blocks of channels, as bfloat16; see symc_conv2d_blocks in symc_rt.h.
 *
 * Blocks are those that instructions on bfloat16 multiply, so that they take images as they are. Other processors multiply in
 * float32, one block of maps of one row of an image after the other.
 */
#define SYMC_DOUBLE 0
#include "paired.h"

#include "base/epilogue.h"
#include "winograd.h"

#if SYMC_HAS_PAIRS
static gather gather_of(const conv2d *v, const int64_t *pool, void *const *bufs)
{
    gather g = {.images = v->images, .groups = 1, .channels = v->channels, .filters = v->filters, .in = bufs[1], .in_h = v->in_h,
                .in_w = v->in_w, .step_h = v->step_h, .step_w = v->step_w, .weights = bufs[2], .stored = v->stored,
                .weight_channel = v->taps_h * v->taps_w, .weight_filter = v->channels * v->taps_h * v->taps_w, .out = bufs[0],
                .out_h = v->out_h, .out_w = v->out_w, .epilogue = v->epilogue, .blocked = 1, .pool_h = pool[0], .pool_w = pool[1]};
    symc_forward_taps_f32(v, &g);
    return g;
}
#else
enum { LANES = PIXEL_LANES }; /* channels of a block */

typedef struct {
    const conv2d *v;
    const int64_t *pool; /* rows and columns of a window */
    float *out;
    const uint16_t *in;
    const float *few; /* or images of a few channels */
    const float *weights;
} plain;

INLINE float widened(uint16_t bits)
{
    uint32_t whole = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &whole, sizeof x);
    return x;
}

INLINE float rounded(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x == x ? widened((uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)) : x;
}

/* The sums of one pixel and the 32 filters from `filter` on. */
static void sum_pixel(const plain *z, int64_t image, int64_t filter, int64_t y, int64_t x, float *sums)
{
    const conv2d *v = z->v;
    memset(sums, 0, LANES * sizeof *sums);
    for (int64_t r = 0; r < v->taps_h; r++)
        for (int64_t s = 0; s < v->taps_w; s++) {
            int64_t row = y * v->step_h - v->pad_h + (v->flip ? v->taps_h - 1 - r : r) * v->dil_h;
            int64_t col = x * v->step_w - v->pad_w + (v->flip ? v->taps_w - 1 - s : s) * v->dil_w;
            if (row < 0 || row >= v->in_h || col < 0 || col >= v->in_w)
                continue;
            for (int64_t k = 0; k < LANES && v->groups > 1; k++) { /* each filter has a channel of its own */
                int64_t at = (image * (v->channels / LANES) + filter / LANES) * v->in_h * v->in_w + row * v->in_w + col;
                sums[k] += widened(z->in[at * LANES + k]) * rounded(z->weights[((filter + k) * v->taps_h + r) * v->taps_w + s]);
            }
            for (int64_t c = 0; c < v->channels && v->groups == 1; c++) {
                int64_t block = image * (v->channels / LANES) + c / LANES, pixel = row * v->in_w + col;
                float value = z->few ? rounded(z->few[(image * v->channels + c) * v->in_h * v->in_w + pixel])
                                     : widened(z->in[(block * v->in_h * v->in_w + pixel) * LANES + c % LANES]);
                const float *w = z->weights + ((filter * v->channels + c) * v->taps_h + r) * v->taps_w + s;
                for (int64_t k = 0; k < LANES; k++)
                    sums[k] += value * rounded(w[k * v->channels * v->taps_h * v->taps_w]);
            }
        }
}

/* The maxima of one window of pixels, NaN where one is. */
static void pool_window(const plain *z, int64_t image, int64_t filter, int64_t y, int64_t x, float *found)
{
    float sums[LANES];
    for (int64_t i = 0; i < z->pool[0] * z->pool[1]; i++) {
        sum_pixel(z, image, filter, y * z->pool[0] + i / z->pool[1], x * z->pool[1] + i % z->pool[1], i ? sums : found);
        for (int64_t k = 0; i > 0 && k < LANES; k++)
            found[k] = sums[k] > found[k] || sums[k] != sums[k] ? sums[k] : found[k];
    }
}

/* Tasks (image, block of maps, row of windows). */
static void run_rows(void *arg, int64_t begin, int64_t end)
{
    const plain *z = arg;
    const conv2d *v = z->v;
    int64_t blocks = v->filters / LANES, out_h = v->out_h / z->pool[0], out_w = v->out_w / z->pool[1];
    float *found = symc_scratch(SLOT_BLOCK_2, out_w * LANES * sizeof *found);
    for (int64_t task = begin; task < end; task++) {
        int64_t place = task / out_h, y = task % out_h;
        for (int64_t x = 0; x < out_w; x++)
            pool_window(z, place / blocks, place % blocks * LANES, y, x, found + x * LANES);
        finish_pixels(v->epilogue, z->out, found, place, out_h * out_w, y * out_w, out_w);
    }
}
#endif

static void run_blocks(void *const *bufs, const int64_t *p, int few, symc_stored *stored, const symc_epilogue *epilogue)
{
    conv2d v = symc_read_conv2d_f32(p);
    v.stored = stored, v.epilogue = epilogue;
    const int64_t *pool = p + CONV_PARAMS;
    if (v.images * v.filters * (v.out_h / pool[0]) * (v.out_w / pool[1]) <= 0)
        return;
#if SYMC_HAS_PAIRS
    gather g = gather_of(&v, pool, bufs);
    if (few && symc_pair_rows_suit(&v))
        symc_pair_rows_to_blocks(&v, pool, bufs[0], bufs[1], bufs[2]);
    else if (few)
        symc_paired_to_blocks(&v, pool, bufs[0], bufs[1], bufs[2]);
    else if (v.groups > 1)
        symc_depthwise_blocks(&v, bufs[0], bufs[1], bufs[2]);
    else if (symc_pairs != PAIRS_BY_TILES && symc_winograd_suits_blocks(&g))
        symc_winograd_f32(&g);
    else
        symc_paired_blocks(&v, pool, bufs[0], bufs[1], bufs[2]);
#else
    plain z = {&v, pool, bufs[0], few ? NULL : bufs[1], few ? bufs[1] : NULL, bufs[2]};
    symc_parallel(run_rows, &z, v.images * v.filters / LANES * (v.out_h / pool[0]), 1);
#endif
}

void symc_conv2d_blocks_f32(void *const *bufs, const int64_t *p) { run_blocks(bufs, p, 0, NULL, NULL); }

void symc_conv2d_blocks_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_blocks(bufs, p, 0, stored[0], NULL);
}

void symc_conv2d_blocks_epilogue_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_blocks(bufs, p, 0, stored[0], bufs[3]);
}

void symc_conv2d_to_blocks_f32(void *const *bufs, const int64_t *p) { run_blocks(bufs, p, 1, NULL, NULL); }

void symc_conv2d_to_blocks_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_blocks(bufs, p, 1, stored[0], NULL);
}

void symc_conv2d_to_blocks_epilogue_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    run_blocks(bufs, p, 1, stored[0], bufs[3]);
}
