/* Convolutions of blocks of channels, any taps and strides, forward and with respect to the images. Compiled once per
 * element type, and once more for operands rounded to bfloat16, see pairs.h.
 *
 * A band of the images is turned to blocks of VL channels in the second level cache. Neighbouring pixels of an output row,
 * times a block of filters, are then a product over (block of channels, tap): nothing is packed for it but the filters.
 * With respect to the images the pixels with the same remainders modulo the strides, a phase, read through the same
 * taps; all phases of a band share its turned part of dY and fill the same rows of results, which are turned back.
 *
 * Where all images fit in the cache and have few pixels, the filters are the larger operand. Then all images are turned
 * first, and each unit takes some channels of one block of filters, which stay in the first level cache while they are
 * multiplied by all pixels: filters are read from memory once. Unless they are stored, they are packed there.
 */
#include "direct_filters.h"

/* ---- units ---- */

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

/* One row's `count` pixels, `ldc` elements apart. */
static void multiply_row(const direct *z, int64_t count, int64_t cols, int64_t steps, const block_step *list,
                         const real *from, const real *filters, real *to, int64_t ldc, int accumulate)
{
    int64_t tiles = ceil_div(count, MOST_ROWS);
    for (int64_t i = 0; i < tiles; i++) {
        int64_t at = SYMC_PAIRS ? i * MOST_ROWS : i * count / tiles;
        int64_t rows = SYMC_PAIRS ? smaller(MOST_ROWS, count - at) : (i + 1) * count / tiles - at;
#if SYMC_PAIRS
        symc_part_tile(&z->parts, rows, cols, z->apart, steps, list, from + at * z->apart * VL, filters, to + at * ldc, ldc,
                       accumulate);
#else
        const real *next = filters + (list->b + steps * VL) * cols + (i > 0 ? steps * VL * VL : 0);
        FN(symc_block_tile)(rows, cols, z->apart, steps, list, from + at * z->apart * VL, filters, to + at * ldc, ldc,
                            accumulate, next);
#endif
    }
}

/* The first `depth` blocks of channels of a block of filters, from step `q` on, for a band; `window` is turned from row `top`
 * and column `left` on. */
static void multiply_chunk(const direct *z, const part *b, int64_t top, int64_t left, const real *window,
                           const real *filters, int64_t depth, int64_t q, int64_t cols, real *pixels, int accumulate)
{
    int64_t width = b->last_col - b->first_col;
    if (z->flat) {
        int64_t count = (b->last_row - b->first_row - 1) * z->wide + width;
        if (!divides_window(z))
            window += ((b->first_row - top) * z->wide + b->first_col - left) * VL;
        multiply_row(z, count, cols, smaller(chunk(z), depth * z->taps - q), z->lists + q, window, filters, pixels, cols,
                     accumulate);
        return;
    }
    for (int64_t y = b->first_row; y < b->last_row; y++)
        for (int64_t k = 0; k < smaller(z->cols.down, width); k++) {
            int64_t x = b->first_col + k, row = y / z->rows.down * z->rows.up - top;
            int64_t col = x / z->cols.down * z->cols.up - left;
            int64_t phase = y % z->rows.down * z->cols.down + x % z->cols.down;
            int64_t steps = larger(0, smaller(chunk(z), z->counts[phase] * depth - q));
            if (steps > 0 || q == 0)
                multiply_row(z, ceil_div(width - k, z->cols.down), cols, steps,
                             z->lists + phase * z->steps * z->taps + q, window + (row * z->wide + col) * VL, filters,
                             pixels + ((y - b->first_row) * width + k) * cols, z->cols.down * cols, accumulate);
        }
}

/* The same of all steps; a block of filters is multiplied by a band of each of `images` images, those with `skip` excepted,
 * so that it is read once for all. Their windows are `size` elements apart. */
static void multiply_band(const direct *z, const part *b, int64_t top, int64_t left, const real *window, int64_t size,
                          int64_t images, const int *skip, const real *filters, int64_t depth, int64_t cols, real *pixels,
                          int accumulate)
{
    for (int64_t q = 0; q == 0 || q < depth * z->taps; q += chunk(z))
        for (int64_t i = 0; i < images; i++)
            if (!skip || !skip[i])
                multiply_chunk(z, b, top, left, window + i * size, filters, depth, q, cols, pixels + i * z->pixels * cols,
                               accumulate || q > 0);
}

static void put_band(const direct *z, const part *b, const real *pixels, int64_t cols, int64_t rows, real *out)
{
    int64_t width = b->last_col - b->first_col, count = b->last_row - b->first_row, plane = z->out_h * z->out_w;
    int64_t pitch = z->flat ? z->wide : width;
    out += b->first_row * z->out_w + b->first_col;
    if (pitch == z->out_w)
        FN(symc_from_lanes)(pixels, count * width, cols, rows, plane, out);
    else
        for (int64_t i = 0; i < count; i++)
            FN(symc_from_lanes)(pixels + i * pitch * cols, width, cols, rows, plane, out + i * z->out_w);
}

/* Blocks of channels [first, last) of the window behind a band. Returns its extremes, if it has parts. */
static extremes turn_window(const direct *z, int64_t place, const part *b, int64_t first, int64_t last, real *window)
{
    extremes found = NO_EXTREMES;
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

/* `count` pixels of a row of an image, `step` apart from column `left` on, and zeros beside the row. */
static void copy_strided(const float *row, int64_t in_w, int64_t left, int64_t step, int64_t count, float *to)
{
    const __m512i every_second = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    int64_t first = smaller(count, left < 0 ? ceil_div(-left, step) : 0);
    int64_t last = left < in_w ? larger(first, smaller(count, ceil_div(in_w - left, step))) : first, i = first;
    memset(to, 0, first * sizeof(float));
    memset(to + last, 0, (count - last) * sizeof(float));
    if (step == 1) {
        memcpy(to + first, row + left + first, (last - first) * sizeof(float));
        return;
    }
    for (; step == 2 && i + VL <= last && left + 2 * (i + VL) <= in_w; i += VL)
        store(to + i, (vec)_mm512_permutex2var_ps((__m512)load(row + left + 2 * i), every_second,
                                                  (__m512)load(row + left + 2 * i + VL)));
    for (; i < last; i++)
        to[i] = row[left + i * step];
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
                copy_strided(z->few + ((image * v->channels + k / terms) * v->in_h + row) * v->in_w, v->in_w, left, v->step_w,
                             width, planes + k * width);
        }
        for (int64_t step = 0; step < z->steps; step++)
            symc_to_parts(&z->parts, &none, planes + step * BLOCK * width, width, BLOCK, width, end, width, 0,
                          window + (step * z->high + y - b->first_row) * z->wide * VL);
    }
}

INLINE vec larger_or_nan(vec a, vec b)
{
    __m512 x = (__m512)a, y = (__m512)b;
    return (vec)_mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(y, x, _CMP_GT_OQ) | _mm512_cmp_ps_mask(y, y, _CMP_UNORD_Q), y);
}

/* The maxima of windows of `pixels`, whose rows are `pitch` pixels apart, take their place; `wide` in each of `high` rows. */
static void pool_pixels(const direct *z, int64_t pitch, int64_t high, int64_t wide, real *pixels)
{
    real *to = pixels;
    for (int64_t y = 0; y < high; y++)
        for (int64_t x = 0; x < wide; x++, to += TILE_COLS) {
            const real *from = pixels + (y * z->pool_h * pitch + x * z->pool_w) * TILE_COLS;
            vec low = load(from), high_half = load(from + VL);
            for (int64_t i = 0; i < z->pool_h * z->pool_w; i++) {
                const real *other = from + (i / z->pool_w * pitch + i % z->pool_w) * TILE_COLS;
                low = larger_or_nan(low, load(other)), high_half = larger_or_nan(high_half, load(other + VL));
            }
            store(to, low), store(to + VL, high_half);
        }
}

/* One block of maps of a band goes to memory in blocks, or to the epilogue. */
static void hand_on_pixels(const direct *z, int64_t image, int64_t block, const part *b, real *pixels)
{
    int64_t out_h = z->out_h / z->pool_h, out_w = z->out_w / z->pool_w;
    int64_t width = b->last_col - b->first_col, pitch = z->flat ? z->wide : width;
    int64_t rows = (b->last_row - b->first_row) / z->pool_h;
    int64_t place = image * blocks(z) + block, first = b->first_row / z->pool_h * out_w + b->first_col / z->pool_w;
    width /= z->pool_w;
    if (z->pool_h * z->pool_w > 1) {
        pool_pixels(z, pitch, rows, width, pixels);
        pitch = width;
    }
    if (pitch == out_w)
        width *= rows, rows = 1;
    for (int64_t y = 0; y < rows; y++, pixels += pitch * TILE_COLS, first += out_w)
        finish_pixels(z->v->epilogue, z->out, pixels, place, out_h * out_w, first, width);
}

/* The sums of one pixel of the output and VL filters over some channels, in float32. */
static vec sum_exactly(const direct *z, const real *in, int64_t y, int64_t x, int64_t channels, const real *turned, vec sum)
{
    for (int64_t c = 0; c < channels; c++, in += z->in_h * z->in_w, turned += z->taps * VL)
        for (int64_t r = 0; r < z->rows.taps; r++)
            for (int64_t s = 0; s < z->cols.taps; s++) {
                int64_t row, col;
                if (!tap_reads(&z->rows, y, r, &row) || !tap_reads(&z->cols, x, s, &col))
                    continue;
                int inside = row >= 0 && row < z->in_h && col >= 0 && col < z->in_w;
                sum += (inside ? in[row * z->in_w + col] : 0) * load(turned + (r * z->cols.taps + s) * VL);
            }
    return sum;
}

/* A block of filters of a band, as multiply_band, of values that parts cannot hold. */
static void multiply_exactly(const direct *z, int64_t place, int64_t block, const part *b, int64_t cols, real *pixels)
{
    int64_t pitch = z->flat ? z->wide : b->last_col - b->first_col;
    real *turned = symc_scratch(SLOT_ROW, turned_filters_bytes(z, 1));
    for (int64_t step = 0; step < z->steps; step++)
        for (int64_t half = 0; half < cols; half += VL) {
            int64_t count = smaller(BLOCK, z->channels - step * BLOCK);
            const real *in = z->in + (place * z->channels + step * BLOCK) * z->in_h * z->in_w;
            turn_filters(z, place % z->v->groups, block * TILE_COLS + half, step * BLOCK, count, turned);
            for (int64_t y = b->first_row; y < b->last_row; y++)
                for (int64_t x = b->first_col; x < b->last_col; x++) {
                    real *to = pixels + ((y - b->first_row) * pitch + x - b->first_col) * cols + half;
                    store(to, sum_exactly(z, in, y, x, count, turned, step ? load(to) : (vec){0}));
                }
        }
}
#endif

/* One block of filters of a band. */
static void put_block(const direct *z, int64_t place, int64_t block, const part *b, const real *pixels)
{
    int64_t cols = block_cols(z, block);
    for (int64_t half = 0; half < cols; half += VL) {
        int64_t filter = block * TILE_COLS + half;
        put_band(z, b, pixels + half, cols, smaller(VL, z->filters - filter),
                 z->out + (place * z->filters + filter) * z->out_h * z->out_w);
        finish_band(z->v->epilogue, place * z->filters + filter, smaller(VL, z->filters - filter), z->out_w, b->first_row,
                    b->last_row, b->first_col, b->last_col);
    }
}

/* The first of the results along an axis in piece `i` of `pieces`; pieces consist of whole windows of `pool` results. */
INLINE int64_t edge(int64_t out, int64_t pool, int64_t i, int64_t pieces) { return i * (out / pool) / pieces * pool; }

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

/* A band of `count` images from `image` on, for a part of the filters. */
static void run_band(const direct *z, int64_t image, int64_t count, int64_t group, const part *b, int64_t split, real *window,
                     real *pixels)
{
    int64_t top = window_start(&z->rows, b->first_row), left = window_start(&z->cols, b->first_col);
    extremes found[MOST_TOGETHER];
    int exact[MOST_TOGETHER] = {0};
    for (int64_t i = 0; i < count; i++)
        found[i] = fill_window(z, image + i, group, b, window + i * window_elements(z));
    (void)found;
    for (int64_t block = split * blocks(z) / z->splits; block < (split + 1) * blocks(z) / z->splits; block++) {
        int64_t cols = block_cols(z, block);
#if SYMC_PAIRS
        extremes of_filters = z->parts.count > 1 ? extremes_of_block(z, group, block) : NO_EXTREMES;
        for (int64_t i = 0; z->parts.count > 1 && i < count; i++) {
            exact[i] = !parts_hold(found[i], of_filters);
            if (exact[i])
                multiply_exactly(z, (image + i) * z->v->groups + group, block, b, cols, pixels + i * z->pixels * cols);
        }
#endif
        multiply_band(z, b, top, left, window, window_elements(z), count, exact, packed_block(z, group, block), z->steps, cols,
                      pixels, 0);
        for (int64_t i = 0; i < count; i++) {
#if SYMC_PAIRS
            if (z->blocked) {
                hand_on_pixels(z, image + i, block, b, pixels + i * z->pixels * cols);
                continue;
            }
#endif
            put_block(z, (image + i) * z->v->groups + group, block, b, pixels + i * z->pixels * cols);
        }
    }
}

/* Tasks (group, piece of the images, band, split of the filters). */
static void run_bands(void *arg, int64_t begin, int64_t end)
{
    const direct *z = arg;
    real *window = symc_scratch(SLOT_BAND, z->together * window_elements(z) * sizeof(real));
    real *pixels = symc_scratch(SLOT_BLOCK_2, z->together * z->pixels * TILE_COLS * sizeof(real));
#if SYMC_PAIRS
    if (z->few)
        symc_scratch(SLOT_ROW, larger(z->steps * BLOCK * z->out_w * sizeof(real), turned_filters_bytes(z, 1)));
    symc_pair_tiles_begin();
#endif
    for (int64_t task = begin; task < end; task++) {
        int64_t split = task % z->splits, band = task / z->splits % z->bands, unit = task / (z->splits * z->bands);
        int64_t piece = unit % z->pieces, image = piece * z->v->images / z->pieces;
        int64_t row = band / z->col_bands, col = band % z->col_bands;
        part b = {edge(z->out_h, z->pool_h, row, z->row_bands), edge(z->out_h, z->pool_h, row + 1, z->row_bands),
                  edge(z->out_w, z->pool_w, col, z->col_bands), edge(z->out_w, z->pool_w, col + 1, z->col_bands)};
        run_band(z, image, (piece + 1) * z->v->images / z->pieces - image, unit / z->pieces, &b, split, window, pixels);
    }
#if SYMC_PAIRS
    symc_pair_tiles_end();
#endif
}

/* ---- few pixels ---- */

INLINE part whole_image(const direct *z) { return (part){0, z->out_h, 0, z->out_w}; }
INLINE int64_t image_size(const direct *z) { return z->steps * z->high * z->wide * VL; }

/* Blocks of channels packed at a time. */
INLINE int64_t chunk_steps(const direct *z) { return smaller(z->steps, larger(1, chunk(z) / z->taps)); }

/* Tasks (image, group, block of channels). */
static void turn_images(void *arg, int64_t begin, int64_t end)
{
    const direct *z = arg;
    part b = whole_image(z);
    for (int64_t task = begin; task < end; task++) {
        int64_t place = task / z->steps, step = task % z->steps;
        turn_window(z, place, &b, step, step + 1, z->turned + place * image_size(z));
    }
}

/* Tasks (group, block of filters), for all images. */
static void run_blocks(void *arg, int64_t begin, int64_t end)
{
    const direct *z = arg;
    int64_t most = chunk_steps(z);
    real *turned = NULL, *filters = NULL;
    if (!z->packed) {
        turned = symc_scratch(SLOT_ROW, turned_filters_bytes(z, most));
        filters = symc_scratch(SLOT_BLOCK, turned_filters_bytes(z, most) / VL * TILE_COLS);
    }
    real *pixels = symc_scratch(SLOT_BLOCK_2, z->v->images * z->pixels * TILE_COLS * sizeof(real));
    part all = whole_image(z);
    int64_t top = window_start(&z->rows, 0), left = window_start(&z->cols, 0);
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / blocks(z), block = task % blocks(z), cols = block_cols(z, block);
        for (int64_t step = 0; step < z->steps; step += most) {
            int64_t count = smaller(most, z->steps - step);
            const real *b = filters;
            if (z->packed)
                b = packed_block(z, group, block) + step * packed_rows(z) * cols;
            else
                pack_block(z, group, block, step, step + count, turned, filters);
            multiply_band(z, &all, top, left, z->turned + group * image_size(z) + step * z->high * z->wide * VL,
                          z->v->groups * image_size(z), z->v->images, NULL, b, count, cols, pixels, step > 0);
        }
        for (int64_t image = 0; image < z->v->images; image++)
            put_block(z, image * z->v->groups + group, block, &all, pixels + image * z->pixels * cols);
    }
}

/* Whether the filters are the larger operand, and can be divided among the threads. */
static int has_few_pixels(const direct *z)
{
    int64_t tasks = z->v->groups * blocks(z), threads = symc_num_threads();
    int64_t bytes = z->v->images * z->v->groups * z->steps * VL * window_size(&z->rows, 0, z->out_h) *
                    window_size(&z->cols, 0, z->out_w) * (int64_t)sizeof(real);
    int64_t filter_bytes = z->v->groups * z->filters * z->channels * z->taps * (int64_t)sizeof(real);
    return z->steps > 0 && z->v->images * z->out_h * z->out_w <= MOST_PIXELS && bytes <= filter_bytes &&
           (bytes <= IMAGES_BYTES || (bytes <= 2 * IMAGES_BYTES && 2 * bytes <= filter_bytes)) &&
           (tasks % threads == 0 || tasks >= 4 * threads);
}

/* ---- all ---- */

/* Rows or columns of a window, or of a plane of it. */
INLINE int64_t plane_size(const direct *z, const axis *a, int64_t size)
{
    return divides_window(z) ? ceil_div(size, a->up) : size;
}

/* The same of all planes together. */
INLINE int64_t high_of(const direct *z, int64_t size)
{
    return plane_size(z, &z->rows, size) * larger(1, z->planes_h * z->planes_w);
}

/* The largest window of `pieces` bands along an axis. */
static int64_t largest_window(const axis *a, int64_t out, int64_t pool, int64_t pieces)
{
    int64_t size = 0;
    for (int64_t i = 0; i < pieces; i++)
        size = larger(size, window_size(a, edge(out, pool, i, pieces), edge(out, pool, i + 1, pieces)));
    return size;
}

/* The most results along an axis of one of them. */
INLINE int64_t largest_piece(int64_t out, int64_t pool, int64_t pieces) { return ceil_div(out / pool, pieces) * pool; }

static void plan(direct *z)
{
    int64_t pixel = z->steps * VL * z->parts.count * (int64_t)sizeof(real), threads = symc_num_threads();
    int64_t window_bytes = z->parts.count > 1 ? PARTS_BYTES : WINDOW_BYTES;
    int64_t rows = z->out_h / z->pool_h, cols = z->out_w / z->pool_w; /* of windows */
    z->row_bands = z->col_bands = 1;
    while (z->col_bands < cols &&
           high_of(z, window_size(&z->rows, 0, z->pool_h)) *
                   plane_size(z, &z->cols, largest_window(&z->cols, z->out_w, z->pool_w, z->col_bands)) * pixel > window_bytes)
        z->col_bands++;
    z->wide = plane_size(z, &z->cols, largest_window(&z->cols, z->out_w, z->pool_w, z->col_bands));
    int64_t most_cols = largest_piece(z->out_w, z->pool_w, z->col_bands);
    while (z->row_bands < rows &&
           (high_of(z, window_size(&z->rows, 0, largest_piece(z->out_h, z->pool_h, z->row_bands))) * z->wide * pixel >
                window_bytes ||
            largest_piece(z->out_h, z->pool_h, z->row_bands) * most_cols > 1024))
        z->row_bands++;
    z->together = 1;
    int64_t filter_bytes = blocks(z) * TILE_COLS * z->steps * packed_rows(z) * (int64_t)sizeof(real), threads_of_one = 1;
    if (SYMC_PAIRS && filter_bytes > MANY_FILTERS && z->row_bands * z->col_bands == 1) {
        int64_t bytes = high_of(z, largest_window(&z->rows, z->out_h, z->pool_h, 1)) * z->wide * pixel;
        z->together = larger(1, smaller(smaller(window_bytes / bytes, MOST_TOGETHER),
                                        MOST_PIXELS / (z->out_h * (z->flat ? z->wide : z->out_w))));
    }
    z->pieces = ceil_div(z->v->images, z->together);
    z->together = ceil_div(z->v->images, z->pieces);
    int64_t others = z->pieces * z->v->groups * z->col_bands, units = others * z->row_bands;
    if (units < 8 * threads && units % threads) { /* so few that an uneven distribution would matter */
        if (SYMC_PAIRS && filter_bytes > MANY_FILTERS && (blocks(z) % threads == 0 || blocks(z) >= 4 * threads))
            threads_of_one = threads;
        else
            z->row_bands = smaller(rows, ceil_div(ceil_div(units, threads) * threads, others));
    }
    z->plane = plane_size(z, &z->rows, largest_window(&z->rows, z->out_h, z->pool_h, z->row_bands));
    z->high = z->plane * larger(1, z->planes_h * z->planes_w);
    if (z->high * z->wide % 16 == 0) /* else the same pixel of all blocks of channels would compete for a few places of the caches */
        z->high++;
    z->parts.a = z->steps * z->high * z->wide * VL;
    z->bands = z->row_bands * z->col_bands;
    z->pixels = largest_piece(z->out_h, z->pool_h, z->row_bands) * (z->flat ? z->wide : most_cols);
    z->parts.fetch = z->together * z->pixels <= 4 * MOST_ROWS;
    units = others * z->row_bands;
    z->splits = threads_of_one > 1 ? threads_of_one : units >= threads ? 1 : smaller(blocks(z), ceil_div(threads, units));
}

/* Packs all filters, if they are stored or there is a slot for them. */
static void keep_filters(direct *z, int slot)
{
    int64_t tasks = z->v->groups * blocks(z), size = tasks * z->steps * packed_rows(z) * TILE_COLS;
    symc_form_key key = {z->weights, SYMC_PAIRS ? FORM_PAIRED_BLOCKS : FORM_BLOCKS,
                         {VL, sizeof(real), z->v->groups, z->channels, z->filters, z->taps, z->weight_filter,
                          z->weight_channel, z->parts.count, z->blocked}};
    symc_form packed = symc_form_of(z->v->stored, &key, size * sizeof(real) + tasks * z->steps * sizeof(extremes), slot);
    z->packed = packed.memory;
    if (!packed.memory)
        return;
    z->found = (extremes *)(z->packed + size);
    if (!packed.ready) {
        symc_parallel(pack_filters, z, tasks * z->steps, larger(1, 16384 / (z->taps * VL * TILE_COLS)));
        symc_form_made(&packed);
    }
}

static void run(direct *z)
{
    z->taps = z->rows.taps * z->cols.taps;
    z->pool_h = larger(1, z->pool_h), z->pool_w = larger(1, z->pool_w);
    z->parts = (pair_parts){1, 0, VL};
#if SYMC_PAIRS
    if (!z->blocked)
        z->parts.count = chosen_parts();
#endif
    z->steps = ceil_div(z->channels, BLOCK);
    z->apart = z->cols.up;
    if (z->blocked && z->rows.up * z->cols.up > 1) {
        z->planes_h = smaller(z->rows.up, window_size(&z->rows, 0, 1));
        z->planes_w = smaller(z->cols.up, window_size(&z->cols, 0, 1));
        z->apart = 1;
    }
    z->flat = divides_window(z) ||
              (z->rows.up == 1 && z->cols.up == 1 && z->rows.down == 1 && z->cols.down == 1 &&
               (SYMC_PAIRS || (z->cols.taps == 1 && z->cols.base == 0 && z->in_w == z->out_w)));
    int few = !SYMC_PAIRS && has_few_pixels(z);
    if (few) {
        z->high = window_size(&z->rows, 0, z->out_h), z->wide = window_size(&z->cols, 0, z->out_w);
        z->pixels = z->out_h * z->out_w;
    } else
        plan(z);
    int64_t phases = z->rows.down * z->cols.down, longest = z->steps * z->taps;
    z->counts = symc_scratch(SLOT_TABLE, phases * (sizeof(int64_t) + longest * sizeof(block_step)));
    z->lists = (block_step *)(z->counts + phases);
    for (int64_t i = 0; i < phases; i++)
        z->counts[i] = list_steps(z, i / z->cols.down, i % z->cols.down, z->lists + i * longest) / larger(1, z->steps);
    if (few) {
        int64_t places = z->v->images * z->v->groups;
        keep_filters(z, -1);
        z->turned = symc_scratch(SLOT_SHARED, places * image_size(z) * sizeof(real));
        symc_parallel(turn_images, z, places * z->steps, larger(1, 16384 / (z->high * z->wide * VL)));
        symc_parallel(run_blocks, z, z->v->groups * blocks(z), 1);
        return;
    }
    keep_filters(z, SLOT_SHARED);
    symc_parallel(run_bands, z, z->v->groups * z->pieces * z->bands * z->splits, 1);
}

INLINE int fills(int64_t count, int64_t step) { return 7 * ceil_div(count, step) * step <= 8 * count; }

int DIRECT(suits)(const conv2d *v, int backward)
{
    int64_t channels = v->channels / v->groups, filters = v->filters / v->groups, width = v->out_w;
    if (v->images * v->groups * v->out_h * v->out_w * v->in_h * v->in_w <= 0 || v->taps_h * v->taps_w <= 0 ||
        v->step_h * v->step_w > MOST_PHASES)
        return 0;
    if (v->taps_w == 1 && v->step_h == 1 && v->step_w == 1)
        width *= v->out_h;
    if (SYMC_PAIRS)
        return smaller(channels, filters) >= VL;
    if (symc_conv2d_preferred == PREFER_BLOCKS)
        return backward || v->step_w <= 2;
    return fills(channels, VL) && fills(filters, VL) && width >= LEAST_TILE && (backward || v->step_w <= 2);
}

#if SYMC_PAIRS
/* Nanoseconds on one processor, measured there: of one multiplication, of an image's element that is turned or turned
 * back, and of a filter's element, which takes six bytes of memory, and is packed unless it is stored. Pixels beside the
 * image, and incomplete tiles, are multiplied too; with strides, each row of pixels has tiles of its own. */
double symc_paired_time(const conv2d *v, int backward)
{
    const int strided = v->step_h > 1 || v->step_w > 1;
    const double multiply = strided ? 0.0085 : 0.0052, turn = 0.4, turn_back = 0.5, filter = v->stored ? 0.6 : 0.9;
    int64_t channels = backward ? v->filters : v->channels, filters = backward ? v->channels : v->filters;
    double in = (double)v->images * (backward ? v->out_h * v->out_w : v->in_h * v->in_w);
    double out = (double)v->images * (backward ? v->in_h * v->in_w : v->out_h * v->out_w);
    double width = (double)v->out_w, weights = (double)v->filters * (double)(v->channels / v->groups * v->taps_h * v->taps_w);
    double wide = strided ? (double)(ceil_div(v->out_w, VL) * VL) : width + (double)((v->taps_w - 1) * v->dil_w);
    double whole = (double)(ceil_div(channels / v->groups, BLOCK) * BLOCK) * (double)(ceil_div(filters / v->groups, VL) * VL) *
                   (double)(v->groups * v->taps_h * v->taps_w);
    return multiply * (double)(v->images * v->out_h) * wide * whole + turn * in * (double)channels +
           turn_back * out * (double)filters + filter * weights;
}
#endif

static direct forward_of(const conv2d *v, real *y, const real *x, const real *weights)
{
    direct z = {.v = v, .in = x, .weights = weights, .out = y, .channels = v->channels / v->groups,
                .filters = v->filters / v->groups, .in_h = v->in_h, .in_w = v->in_w, .out_h = v->out_h,
                .out_w = v->out_w, .rows = forward_axis(v, 0), .cols = forward_axis(v, 1)};
    z.weight_channel = v->taps_h * v->taps_w, z.weight_filter = z.channels * z.weight_channel;
    return z;
}

#if SYMC_PAIRS
void symc_paired_blocks(const conv2d *v, const int64_t *pool, real *y, const void *x, const real *weights)
{
    direct z = forward_of(v, y, x, weights);
    z.blocked = 1, z.pool_h = pool[0], z.pool_w = pool[1];
    run(&z);
}

/* One tap at stride 1 of patches. */
void symc_paired_to_blocks(const conv2d *v, const int64_t *pool, real *y, const real *x, const real *weights)
{
    const axis one = {.up = 1, .down = 1, .taps = 1, .dil = 1};
    direct z = forward_of(v, y, NULL, weights);
    z.blocked = 1, z.pool_h = pool[0], z.pool_w = pool[1], z.few = x, z.rows = z.cols = one;
    z.in_h = z.out_h, z.in_w = z.out_w, z.channels = z.weight_filter, z.weight_channel = 1;
    run(&z);
}
#endif

void DIRECT(forward)(const conv2d *v, real *y, const real *x, const real *weights)
{
#if SYMC_PAIRS && SYMC_HAS_TILES
    if (symc_pair_planes_suits(v)) {
        symc_pair_planes_forward(v, y, x, weights);
        return;
    }
#endif
    direct z = forward_of(v, y, x, weights);
    run(&z);
}

void DIRECT(backward_data)(const conv2d *v, real *dx, const real *dy, const real *weights)
{
#if SYMC_PAIRS && SYMC_HAS_TILES
    if (symc_pair_planes_suits(v)) {
        symc_pair_planes_backward_data(v, dx, dy, weights);
        return;
    }
#endif
    direct z = {.v = v, .in = dy, .weights = weights, .out = dx, .channels = v->filters / v->groups,
                .filters = v->channels / v->groups, .in_h = v->out_h, .in_w = v->out_w, .out_h = v->in_h,
                .out_w = v->in_w, .rows = backward_axis(v, 0), .cols = backward_axis(v, 1)};
    z.weight_filter = v->taps_h * v->taps_w, z.weight_channel = z.filters * z.weight_filter;
    run(&z);
}
