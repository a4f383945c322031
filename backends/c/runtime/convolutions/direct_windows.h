/* The window of a band: all that its results read of the images, by block of channels, as the tiles multiply it. See
 * direct_typed.h.
 */
#ifndef SYMC_DIRECT_WINDOWS_H
#define SYMC_DIRECT_WINDOWS_H

#include "direct_filters.h"

#include "base/lanes.h"

/* With strides, windows of blocks are divided into planes: pixels with the same remainders modulo the strides lie together,
 * as far as taps read them. So results read neighbouring pixels, and those of a band are one row. */
INLINE int divides_window(const direct *z) { return z->planes_h > 0; }

/* What output pixel (y, x), with y and x below the strides, reads; its row and column of the image are added later. */
static int64_t list_steps(const direct *z, int64_t y, int64_t x, block_step *list)
{
    int64_t n = 0, top = window_start(&z->rows, 0), left = window_start(&z->cols, 0);
    for (int64_t step = 0; step < z->steps; step++)
        for (int64_t r = 0; r < z->rows.taps; r++) {
            int64_t row, col;
            if (!tap_reads(&z->rows, y, r, &row))
                continue;
            for (int64_t s = 0; s < z->cols.taps; s++)
                if (tap_reads(&z->cols, x, s, &col)) {
                    int64_t high = row, wide = col;
                    if (divides_window(z)) {
                        int64_t plane = (row - top) % z->rows.up * z->planes_w + (col - left) % z->cols.up;
                        high = plane * z->plane + (row - top) / z->rows.up, wide = (col - left) / z->cols.up;
                    }
                    list[n++] = (block_step){((step * z->high + high) * z->wide + wide) * VL,
                                             (step * z->taps + r * z->cols.taps + s) * z->parts.count * VL};
                }
        }
    return n;
}

typedef struct {
    int64_t first_row, last_row, first_col, last_col;
} part;

#if !SYMC_PAIRS
enum { PIXELS_AT_ONCE = 8 * VL }; /* of a block of channels: in the first level cache */

/* The window of a convolution with one tap and strides: of the images only the pixels under the tap are read. */
static void turn_pixels_under_tap(const direct *z, int64_t place, const part *b, int64_t first, int64_t last, real *window)
{
    const conv2d *v = z->v;
    int64_t high = b->last_row - b->first_row, width = b->last_col - b->first_col, plane = v->in_h * v->in_w;
    int64_t rows = larger(1, PIXELS_AT_ONCE / width), cols = smaller(PIXELS_AT_ONCE, width);
    const real *end = z->in + v->images * v->groups * z->channels * plane;
    real planes[VL * PIXELS_AT_ONCE] __attribute__((aligned(64)));
    for (int64_t step = first; step < last; step++)
        for (int64_t y = 0; y < high; y += rows)
            for (int64_t x = 0; x < width; x += cols) {
                int64_t channels = smaller(VL, z->channels - step * VL), some = smaller(rows, high - y);
                int64_t count = smaller(cols, width - x), left = (b->first_col + x) * v->step_w - v->pad_w;
                const real *in = z->in + (place * z->channels + step * VL) * plane;
                real *to = planes;
                for (int64_t c = 0; c < channels; c++, in += plane, to = planes + c * PIXELS_AT_ONCE)
                    for (int64_t i = 0; i < some; i++, to += count) {
                        int64_t row = (b->first_row + y + i) * v->step_h - v->pad_h;
                        if (row < 0 || row >= v->in_h)
                            memset(to, 0, count * sizeof(real));
                        else
                            take_pixels(in + row * v->in_w, v->in_w, end, left, v->step_w, count, to);
                    }
                FN(symc_to_lanes)(planes, PIXELS_AT_ONCE, channels, count * some, planes + VL * PIXELS_AT_ONCE, count,
                                  z->wide * VL, window + ((step * z->high + y) * z->wide + x) * VL);
            }
}
#endif

#if !SYMC_PAIRS
/* The same in planes, row by row. */
static void turn_planes(const direct *z, int64_t place, const part *b, int64_t first, int64_t last, real *window)
{
    int64_t plane = z->in_h * z->in_w, top = window_start(&z->rows, b->first_row), left = window_start(&z->cols, b->first_col);
    int64_t high = window_size(&z->rows, b->first_row, b->last_row), wide = window_size(&z->cols, b->first_col, b->last_col);
    const real *in = z->in + place * z->channels * plane;
    const real *end = z->in + z->v->images * z->v->groups * z->channels * plane;
    real *turned = symc_scratch(SLOT_ROW, wide * VL * sizeof(real));
    for (int64_t step = first; step < last; step++)
        for (int64_t y = 0; y < high; y++) {
            int64_t row = y % z->rows.up;
            if (row >= z->planes_h) /* no tap reads it */
                continue;
            FN(symc_window_to_lanes)(in + step * VL * plane, plane, smaller(VL, z->channels - step * VL), z->in_h, z->in_w, end,
                                     top + y, left, 1, wide, wide * VL, turned);
            real *to = window + (step * z->high + row * z->planes_w * z->plane + y / z->rows.up) * z->wide * VL;
            for (int64_t c = 0; c < z->planes_w; c++, to += z->plane * z->wide * VL)
                for (int64_t k = 0, x = c; x < wide; k++, x += z->cols.up)
                    store(to + k * VL, load(turned + x * VL));
        }
}
#endif

/* Blocks of channels [first, last) of the window behind a band. Returns its extremes, if it has parts. */
static extremes turn_window(const direct *z, int64_t place, const part *b, int64_t first, int64_t last, real *window)
{
    extremes found = NO_EXTREMES;
#if !SYMC_PAIRS
    if (z->under_tap) {
        turn_pixels_under_tap(z, place, b, first, last, window);
        return found;
    }
    if (divides_window(z)) {
        turn_planes(z, place, b, first, last, window);
        return found;
    }
#endif
    int64_t plane = z->in_h * z->in_w;
    int64_t top = window_start(&z->rows, b->first_row), left = window_start(&z->cols, b->first_col);
    const real *in = z->in + place * z->channels * plane;
    const real *end = z->in + z->v->images * z->v->groups * z->channels * plane;
    for (int64_t step = first; step < last; step++)
#if SYMC_PAIRS
        symc_window_to_parts(&z->parts, &found,
#else
        FN(symc_window_to_lanes)(
#endif
                     in + step * BLOCK * plane, plane, smaller(BLOCK, z->channels - step * BLOCK), z->in_h, z->in_w, end, top,
                     left, window_size(&z->rows, b->first_row, b->last_row),
                     window_size(&z->cols, b->first_col, b->last_col), z->wide * VL,
                     window + step * z->high * z->wide * VL);
    return found;
}

#if SYMC_PAIRS
/* The window behind a band of an image in blocks: copied, with zeros beside the image. */
static void copy_window(const direct *z, int64_t image, const part *b, real *window)
{
    int64_t top = window_start(&z->rows, b->first_row), left = window_start(&z->cols, b->first_col);
    int64_t high = window_size(&z->rows, b->first_row, b->last_row), wide = window_size(&z->cols, b->first_col, b->last_col);
    int64_t from_x = smaller(wide, larger(0, -left)), to_x = larger(from_x, smaller(wide, z->in_w - left));
    for (int64_t step = 0; step < z->steps; step++)
        for (int64_t y = 0; y < high; y++) {
            real *row = window + (step * z->high + y) * z->wide * VL;
            int inside = top + y >= 0 && top + y < z->in_h && to_x > from_x;
            const real *from = z->in + (((image * z->steps + step) * z->in_h + top + y) * z->in_w + left + from_x) * VL;
            memset(row, 0, (inside ? from_x : wide) * VL * sizeof(real));
            if (!inside)
                continue;
            memcpy(row + from_x * VL, from, (to_x - from_x) * VL * sizeof(real));
            memset(row + to_x * VL, 0, (wide - to_x) * VL * sizeof(real));
        }
}

/* The same in planes. */
static void copy_planes(const direct *z, int64_t image, const part *b, real *window)
{
    int64_t top = window_start(&z->rows, b->first_row), left = window_start(&z->cols, b->first_col);
    int64_t high = window_size(&z->rows, b->first_row, b->last_row);
    for (int64_t step = 0; step < z->steps; step++)
        for (int64_t y = 0; y < high; y++)
            for (int64_t c = 0; y % z->rows.up < z->planes_h && c < z->planes_w; c++) {
                int64_t plane = y % z->rows.up * z->planes_w + c, first = left + c, step_x = z->cols.up;
                real *row = window + (step * z->high + plane * z->plane + y / z->rows.up) * z->wide * VL;
                const real *from = z->in + (((image * z->steps + step) * z->in_h + top + y) * z->in_w + first) * VL;
                int inside = top + y >= 0 && top + y < z->in_h;
                int64_t begin = inside ? smaller(z->wide, first < 0 ? ceil_div(-first, step_x) : 0) : z->wide;
                int64_t end = larger(begin, smaller(z->wide, first < z->in_w ? ceil_div(z->in_w - first, step_x) : 0));
                memset(row, 0, begin * VL * sizeof(real));
                for (int64_t k = begin; k < end; k++)
                    store(row + k * VL, load(from + k * step_x * VL));
                memset(row + end * VL, 0, (z->wide - end) * VL * sizeof(real));
            }
}

/* The window of images of a few channels: each pixel of the band with all elements under the filter, as its channels. */
static void fill_patches(const direct *z, int64_t image, const part *b, real *window)
{
    const conv2d *v = z->v;
    extremes none = NO_EXTREMES;
    int64_t width = b->last_col - b->first_col, terms = v->taps_h * v->taps_w;
    real *planes = symc_scratch(SLOT_ROW, z->steps * BLOCK * width * sizeof(real));
    const real *end = planes + z->steps * BLOCK * width;
    memset(planes + z->channels * width, 0, (z->steps * BLOCK - z->channels) * width * sizeof(real));
    for (int64_t y = b->first_row; y < b->last_row; y++) {
        for (int64_t k = 0; k < z->channels; k++) {
            int64_t r = k % terms / v->taps_w, s = k % v->taps_w;
            int64_t row = y * v->step_h - v->pad_h + (v->flip ? v->taps_h - 1 - r : r) * v->dil_h;
            int64_t left = b->first_col * v->step_w - v->pad_w + (v->flip ? v->taps_w - 1 - s : s) * v->dil_w;
            if (row < 0 || row >= v->in_h)
                memset(planes + k * width, 0, width * sizeof(real));
            else
                take_pixels(z->few + ((image * v->channels + k / terms) * v->in_h + row) * v->in_w, v->in_w,
                            z->few + v->images * v->channels * v->in_h * v->in_w, left, v->step_w, width, planes + k * width);
        }
        for (int64_t step = 0; step < z->steps; step++)
            symc_to_parts(&z->parts, &none, planes + step * BLOCK * width, width, BLOCK, width, end, width, 0,
                          window + (step * z->high + y - b->first_row) * z->wide * VL);
    }
}
#endif

/* Elements of the window of one image. */
INLINE int64_t window_elements(const direct *z) { return z->steps * z->high * z->wide * VL * z->parts.count; }

static extremes fill_window(const direct *z, int64_t image, int64_t group, const part *b, real *window)
{
#if SYMC_PAIRS
    if (z->blocked) {
        (z->few             ? fill_patches
         : divides_window(z) ? copy_planes
                             : copy_window)(z, image, b, window);
        return NO_EXTREMES;
    }
#endif
    return turn_window(z, image * z->v->groups + group, b, 0, z->steps, window);
}

#endif
