/* Units of a direct convolution: a band of results of some images and a part of the filters. See direct_typed.h. */
#ifndef SYMC_DIRECT_BANDS_H
#define SYMC_DIRECT_BANDS_H

#include "direct_windows.h"
#include "pooled_pixels.h"

/* Where the pixels of a band of an image go once they are finished, if that is done as their last terms are added: what becomes
 * of them, the image's block of maps, and the same of what is added or NULL. */
typedef struct {
    const pixel_end *end;
    real *maps;
    const real *added;
} sink;

/* One row's `count` pixels, `ldc` elements apart, or finished from pixel `first` of the maps on. */
static void multiply_row(const direct *z, int64_t count, int64_t cols, int64_t steps, const block_step *list,
                         const real *from, const real *filters, real *to, int64_t ldc, int accumulate, sink s, int64_t first,
                         ahead *f)
{
    (void)s, (void)first;
#if SYMC_PAIRS
    if (!z->by_vectors) {
        for (int64_t at = 0; at < count; at += PAIR_ROWS)
            symc_part_tile(&z->parts, smaller(PAIR_ROWS, count - at), cols, z->apart, steps, list, from + at * z->apart * VL,
                           filters, to + at * ldc, ldc, accumulate);
        return;
    }
#endif
    int64_t tiles = ceil_div(count, TILE_ROWS);
    for (int64_t i = 0; i < tiles; i++) {
        int64_t at = i * count / tiles, rows = (i + 1) * count / tiles - at;
#if SYMC_PAIRS
        const pair_tile t = {.parts = &z->parts, .apart = z->apart * VL, .steps = steps, .list = list, .c = to + at * ldc,
                             .ldc = ldc, .accumulate = accumulate, .fetch = *f, .end = s.end,
                             .added = s.added ? s.added + (first + at) * VL : NULL, .pairs = s.maps ? s.maps + (first + at) * VL : NULL};
        symc_vector_tile(rows, cols, &t, from + at * z->apart * VL, filters);
#else
        FN(symc_block_tile)(rows, cols, z->apart, steps, VL, list, from + at * z->apart * VL, filters, to + at * ldc,
                            ldc, accumulate, *f);
#endif
        f->next += f->lines * steps * LINE_ELEMENTS;
    }
}

/* The first `depth` blocks of channels of a block of filters, from step `q` on, for a band; `window` is turned from row `top`
 * and column `left` on. */
static void multiply_chunk(const direct *z, const part *b, int64_t top, int64_t left, const real *window,
                           const real *filters, int64_t depth, int64_t q, int64_t cols, real *pixels, int accumulate, sink s,
                           ahead *f)
{
    int64_t width = b->last_col - b->first_col;
    if (z->flat) {
        int64_t count = (b->last_row - b->first_row - 1) * z->wide + width;
        if (!divides_window(z))
            window += ((b->first_row - top) * z->wide + b->first_col - left) * VL;
        multiply_row(z, count, cols, smaller(chunk(z), depth * z->taps - q), z->lists + q, window, filters, pixels, cols,
                     accumulate, s, b->first_row * z->out_w, f);
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
                             pixels + ((y - b->first_row) * width + k) * cols, z->cols.down * cols, accumulate, s,
                             y * z->out_w + x, f);
        }
}

/* The sink of another image of a piece, whose maps follow. */
INLINE sink sink_of(const direct *z, sink s, int64_t image)
{
    int64_t images = image * blocks(z) * z->out_h * z->out_w * VL;
    if (s.maps)
        s.maps += images;
    if (s.added)
        s.added += images;
    return s;
}

/* The same of all steps; a block of filters is multiplied by a band of each of `images` images, those with `skip` excepted,
 * so that it is read once for all. Their windows are `size` elements apart. */
static void multiply_band(const direct *z, const part *b, int64_t top, int64_t left, const real *window, int64_t size,
                          int64_t images, const int *skip, const real *filters, int64_t depth, int64_t cols, real *pixels,
                          int accumulate, sink s)
{
    const sink none = {NULL, NULL, NULL};
    int64_t high = b->last_row - b->first_row, wide = b->last_col - b->first_col;
    int64_t tiles = z->flat ? ceil_div((high - 1) * z->wide + wide, TILE_ROWS) : high * ceil_div(wide, TILE_ROWS);
    for (int64_t q = 0; q == 0 || q < depth * z->taps; q += chunk(z)) {
        int64_t steps = smaller(chunk(z), depth * z->taps - q);
        ahead f = ahead_of(filters + (q + steps) * VL * cols, steps, cols, tiles * images);
        for (int64_t i = 0; i < images; i++)
            if (!skip || !skip[i])
                multiply_chunk(z, b, top, left, window + i * size, filters, depth, q, cols, pixels + i * z->pixels * cols,
                               accumulate || q > 0, q + chunk(z) < depth * z->taps ? none : sink_of(z, s, i), &f);
    }
}

static void put_band(const direct *z, const part *b, const real *pixels, int64_t cols, int64_t rows, const plain_rows *end,
                     real *out)
{
    int64_t width = b->last_col - b->first_col, count = b->last_row - b->first_row, plane = z->out_h * z->out_w;
    int64_t pitch = z->flat ? z->wide : width;
    out += b->first_row * z->out_w + b->first_col;
    if (pitch == z->out_w)
        FN(symc_from_lanes)(pixels, count * width, cols, rows, plane, end, out);
    else
        for (int64_t i = 0; i < count; i++)
            FN(symc_from_lanes)(pixels + i * pitch * cols, width, cols, rows, plane, end, out + i * z->out_w);
}

#if SYMC_PAIRS
/* One block of maps of a band goes to memory in blocks, or to the epilogue. */
static void hand_on_pixels(const direct *z, int64_t image, int64_t block, const part *b, real *pixels)
{
    int64_t out_h = z->out_h / z->pool_h, out_w = z->out_w / z->pool_w;
    int64_t width = b->last_col - b->first_col, pitch = z->flat ? z->wide : width;
    int64_t rows = (b->last_row - b->first_row) / z->pool_h;
    int64_t place = image * blocks(z) + block, first = b->first_row / z->pool_h * out_w + b->first_col / z->pool_w;
    width /= z->pool_w;
    if (z->pool_h * z->pool_w > 1) {
        pool_pixels(2, z->pool_h, z->pool_w, pitch, rows, width, pixels);
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
        int64_t filter = block * TILE_COLS + half, row = place * z->filters + filter, rows = smaller(VL, z->filters - filter);
        plain_rows own;
        const plain_rows *end = plain_rows_of(z->v->epilogue, row, rows, &own);
        put_band(z, b, pixels + half, cols, rows, end, z->out + row * z->out_h * z->out_w);
        if (!end)
            finish_band(z->v->epilogue, row, rows, z->out_w, b->first_row, b->last_row, b->first_col, b->last_col);
    }
}

/* The first of the results along an axis in piece `i` of `pieces`; pieces consist of whole windows of `pool` results. */
INLINE int64_t edge(int64_t out, int64_t pool, int64_t i, int64_t pieces) { return i * (out / pool) / pieces * pool; }

/* A band of `count` images from `image` on, for a part of the filters. */
static void run_band(const direct *z, int64_t image, int64_t count, int64_t group, const part *b, int64_t split, real *window,
                     real *pixels)
{
    int64_t top = window_start(&z->rows, b->first_row), left = window_start(&z->cols, b->first_col);
    extremes found[MOST_TOGETHER];
    int exact[MOST_TOGETHER] = {0};
    if (z->in_place)
        window = (real *)z->in + image * window_elements(z) + b->first_row * z->wide * VL;
    for (int64_t i = 0; i < count && !z->in_place; i++)
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
        sink s = {NULL, NULL, NULL};
#if SYMC_PAIRS
        pixel_end end;
        if (z->finishes) {
            end = pixel_end_of(z->v->epilogue, image * blocks(z) + block, 1);
            int64_t at = (image * blocks(z) + block) * z->out_h * z->out_w * VL;
            s = (sink){&end, (real *)z->v->epilogue->bits + at, (const real *)z->v->epilogue->added};
            s.added += s.added ? at : 0;
        }
#endif
        multiply_band(z, b, top, left, window, window_elements(z), count, exact, packed_block(z, group, block), z->steps, cols,
                      pixels, 0, s);
        if (s.end)
            continue;
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
    real *window = symc_scratch(SLOT_BAND, z->in_place ? 0 : z->together * window_elements(z) * sizeof(real));
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

#endif
