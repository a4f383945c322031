/* See blocks.h. Compiled once per element type, and once more for pairs, see pairs.h. */
#include "blocks.h"

#include "base/lanes.h"
#include "base/masked.h"
#include "paired.h"

/* Loads VL elements, of which only `count` exist where that would read beyond the end of the array. */
INLINE vec load_within(const real *p, int64_t count, const real *end)
{
    if (end - p >= VL)
        return load(p);
    real whole[VL] = {0};
    for (int64_t i = 0; i < count; i++)
        whole[i] = p[i];
    return load(whole);
}

/* Stores the first `count` vectors from pixel x of a row on, going on in the next rows. */
INLINE void put_pixels(const vec v[VL], int64_t count, int64_t x, int64_t width, int64_t row_step, real *row)
{
    if (count == VL && x + VL <= width) {
        UNROLL
        for (int i = 0; i < VL; i++)
            store(row + (x + i) * VL, v[i]);
        return;
    }
    real *end = row + width * VL; /* of the pixels of the row */
    row += x * VL;
    UNROLL
    for (int i = 0; i < VL; i++) { /* with constant indices, vectors stay in registers */
        if (i >= count)
            return;
        store(row, v[i]);
        row += VL;
        if (row == end)
            row += row_step - width * VL, end += row_step;
    }
}

INLINE vec plane_within(const real *p, int64_t ld, int64_t r, int64_t rows, int64_t count, const real *end)
{
    return r < rows ? load_within(p + r * ld, count, end) : (vec){0};
}

#if SYMC_PAIRS
#define BLOCK PAIRED
#define TO_LANES symc_to_parts
#define WINDOW_TO_LANES symc_window_to_parts
#define PARTS_PARAMS const pair_parts *parts, extremes *found,
#define PARTS_GIVEN parts, found,

/* VL pixels from `from` on of PAIRED planes become `some` vectors of each part. */
INLINE void turn_pixels(int parts, int64_t part, extreme_lanes *lanes, const real *from, int64_t ld, int64_t rows, int64_t some,
                        const real *end, int64_t x, int64_t width, int64_t row_step, real *to)
{
    vec even[VL], odd[VL], v[VL];
    if (rows == PAIRED && end - (from + (PAIRED - 1) * ld) >= VL) {
        UNROLL
        for (int r = 0; r < VL; r++) {
            even[r] = load(from + 2 * r * ld), odd[r] = load(from + (2 * r + 1) * ld);
            __builtin_prefetch(from + (r + PAIRED) * ld);
        }
    } else {
        for (int64_t r = 0; r < VL; r++) {
            even[r] = plane_within(from, ld, 2 * r, rows, some, end);
            odd[r] = plane_within(from, ld, 2 * r + 1, rows, some, end);
        }
    }
    UNROLL
    for (int i = 0; i < parts; i++) {
        UNROLL
        for (int r = 0; r < VL; r++) {
            if (i == 0 && parts > 1)
                note_extremes(lanes, even[r], odd[r]);
            v[r] = as_pairs(even[r], odd[r]);
            if (i + 1 < parts)
                subtract_pairs(v[r], &even[r], &odd[r]);
        }
        transpose_square(v);
        put_pixels(v, some, x, width, row_step, to + i * part);
    }
}

void symc_to_parts(const pair_parts *parts, extremes *found, const real *from, int64_t ld, int64_t rows, int64_t count,
                   const real *end, int64_t width, int64_t row_step, real *to)
{
    extreme_lanes lanes = NO_EXTREME_LANES;
    for (int64_t i = 0; i < count; i += VL) {
        int64_t some = smaller(VL, count - i);
        if (some < VL && count >= VL) /* the last vector overlaps with the one before */
            i = count - VL, some = VL;
#define TURN(COUNT) \
    turn_pixels(COUNT, parts->a, &lanes, from + i, ld, rows, some, end, i % width, width, row_step, to + i / width * row_step)
        parts->count == 1 ? TURN(1) : TURN(3);
#undef TURN
    }
    if (parts->count > 1)
        *found = both_extremes(*found, extremes_of(lanes));
}
#else
#define BLOCK VL
#define TO_LANES FN(symc_to_lanes)
#define WINDOW_TO_LANES FN(symc_window_to_lanes)
#define PARTS_PARAMS
#define PARTS_GIVEN

enum {
    PIXELS_AHEAD = 4 * VL,
    LONG_ROW = 16 * VL /* pixels of VL planes, turned, and of as many planes fill the first level cache */
};

void TO_LANES(const real *from, int64_t ld, int64_t rows, int64_t count, const real *end, int64_t width,
                       int64_t row_step, real *to)
{
    /* so many planes are more streams than processors follow; the planes that follow would be evicted by long rows again */
    int64_t ahead = count > LONG_ROW ? PIXELS_AHEAD : BLOCK * ld;
    for (int64_t i = 0; i < count; i += VL) {
        int64_t some = smaller(VL, count - i);
        if (some < VL && count >= VL) /* the last vector overlaps with the one before */
            i = count - VL, some = VL;
        vec v[VL];
        if (rows == BLOCK && end - (from + (BLOCK - 1) * ld + i) >= VL) {
            UNROLL
            for (int r = 0; r < VL; r++) {
                v[r] = load(from + r * ld + i);
                __builtin_prefetch(from + r * ld + i + ahead);
            }
        } else {
            for (int64_t r = 0; r < VL; r++)
                v[r] = plane_within(from + i, ld, r, rows, some, end);
        }
        transpose_square(v);
        put_pixels(v, some, i % width, width, row_step, to + i / width * row_step);
    }
}
#endif

/* Zeros, in each part. */
INLINE void clear_pixels(PARTS_PARAMS real *to, int64_t count)
{
#if SYMC_PAIRS
    (void)found;
    for (int i = 0; i < parts->count; i++)
        memset(to + i * parts->a, 0, count * VL * sizeof(real));
#else
    memset(to, 0, count * VL * sizeof(real));
#endif
}

void WINDOW_TO_LANES(PARTS_PARAMS const real *planes, int64_t ld, int64_t count, int64_t in_h, int64_t in_w,
                              const real *end, int64_t y, int64_t x, int64_t high, int64_t wide, int64_t row_step,
                              real *to)
{
    int64_t from_x = smaller(wide, larger(0, -x)), to_x = larger(from_x, smaller(wide, in_w - x));
    int64_t from_y = smaller(high, larger(0, -y)), to_y = larger(from_y, smaller(high, in_h - y));
    int64_t width = to_x - from_x;
    if (width == 0)
        to_y = from_y;
    for (int64_t i = 0; i < high; i++) {
        real *row = to + i * row_step;
        int64_t before = i < from_y || i >= to_y ? wide : from_x;
        clear_pixels(PARTS_GIVEN row, before);
        if (before < wide)
            clear_pixels(PARTS_GIVEN row + to_x * VL, wide - to_x);
    }
    if (to_y == from_y)
        return;
    const real *from = planes + (y + from_y) * in_w + x + from_x;
    to += from_y * row_step + from_x * VL;
    if (width == in_w) { /* whole rows follow one another */
        TO_LANES(PARTS_GIVEN from, ld, count, (to_y - from_y) * width, end, width, row_step, to);
        return;
    }
    for (int64_t i = from_y; i < to_y; i++, from += in_w, to += row_step)
        TO_LANES(PARTS_GIVEN from, ld, count, width, end, width, 0, to);
}

#if !SYMC_PAIRS
void FN(symc_from_lanes)(const real *from, int64_t count, int64_t step, int64_t rows, int64_t ld, const plain_rows *end, real *to)
{
    for (int64_t i = 0; i < count; i += VL) {
        int64_t some = smaller(VL, count - i);
        if (some < VL && count >= VL)
            i = count - VL, some = VL;
        vec v[VL];
        if (some == VL) {
            UNROLL
            for (int r = 0; r < VL; r++)
                v[r] = load(from + (i + r) * step);
        } else {
            for (int64_t r = 0; r < VL; r++)
                v[r] = r < some ? load(from + (i + r) * step) : (vec){0};
        }
        transpose_square(v);
        if (some == VL && rows == VL && end) {
            row_end e = row_end_of(end, 0);
            const real *terms = end->terms;
            UNROLL
            for (int r = 0; r < VL; r++) {
                e.term = terms[r];
                store(to + r * ld + i, finished(v[r], e));
            }
        } else if (some == VL && rows == VL) {
            UNROLL
            for (int r = 0; r < VL; r++)
                store(to + r * ld + i, v[r]);
        } else {
            lane_mask mask = first_lanes(some);
            for (int64_t r = 0; r < rows; r++) {
                vec x = finished(v[r], row_end_of(end, r));
                if (some == VL)
                    store(to + r * ld + i, x);
                else
                    store_lanes(to + r * ld + i, x, mask);
            }
        }
    }
}

/* ---- products ---- */

typedef void block_kernel(int64_t steps, int64_t left, const block_step *list, const real *a, const real *b, real *c, int64_t ldc,
                          int accumulate, ahead fetch);

enum { LANES = VL < 4 ? VL : 4 }; /* at a time, of a step */

INLINE void multiply_block(int rows, int vecs, int pixel, int64_t steps, int64_t left, const block_step *list,
                           const real *a, const real *b, real *c, int64_t ldc, int accumulate, ahead fetch)
{
    const int whole_lines = VL * sizeof(real) == 64; /* VL elements of a row of A are one line of the cache */
    vec sum[TILE_ROWS][2];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            sum[r][v] = (vec){0};
    }
    int64_t whole = steps - (left < VL);
    for (int64_t q = 0; q < whole; q++) {
        const real *p = a + list[q].a, *w = b + list[q].b * vecs * VL;
        /* A step begins with as many new lines as there are rows: more than the processor's own order hides if they come
         * from beyond the second level cache. Behind the last step: the tile that follows in memory. */
        const real *next = q + 1 < steps ? a + list[q + 1].a : p + rows * pixel * VL;
        fetch_lines(&fetch);
        for (int i = 0; i < VL; i += LANES, p += LANES, w += LANES * vecs * VL, next += LANES * pixel * VL) {
            UNROLL
            for (int k = 0; k < LANES; k++) {
                if (whole_lines && rows > VL / 2)
                    __builtin_prefetch(next + k * pixel * VL);
                add_row_products(rows, vecs, p + k, pixel * VL, w + k * vecs * VL, sum);
            }
        }
    }
    if (whole < steps) {
        const real *p = a + list[whole].a, *w = b + list[whole].b * vecs * VL;
        for (int64_t i = 0; i < left; i++, p++, w += vecs * VL)
            add_row_products(rows, vecs, p, pixel * VL, w, sum);
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++) {
            real *to = c + r * ldc + v * VL;
            store(to, accumulate ? load(to) + sum[r][v] : sum[r][v]);
        }
    }
}

#define KERNEL(ROWS, VECS, PIXEL)                                                                                   \
    static void kernel_##ROWS##_##VECS##_##PIXEL(int64_t steps, int64_t left, const block_step *list, const real *a, \
                                                 const real *b, real *c, int64_t ldc, int accumulate, ahead fetch) \
    {                                                                                                               \
        multiply_block(ROWS, VECS, PIXEL, steps, left, list, a, b, c, ldc, accumulate, fetch);                      \
    }
#define KERNELS(ROWS) KERNEL(ROWS, 1, 1) KERNEL(ROWS, 2, 1) KERNEL(ROWS, 1, 2) KERNEL(ROWS, 2, 2)
#define KERNEL_NAMES(ROWS)                                                                                          \
    {{kernel_##ROWS##_1_1, kernel_##ROWS##_2_1}, {kernel_##ROWS##_1_2, kernel_##ROWS##_2_2}}

KERNELS(1) KERNELS(2) KERNELS(3) KERNELS(4) KERNELS(5) KERNELS(6)
#if TILE_ROWS > 6
KERNELS(7) KERNELS(8) KERNELS(9) KERNELS(10) KERNELS(11) KERNELS(12) KERNELS(13) KERNELS(14)
#endif

static block_kernel *const kernels[TILE_ROWS][2][2] = {
    KERNEL_NAMES(1), KERNEL_NAMES(2), KERNEL_NAMES(3), KERNEL_NAMES(4), KERNEL_NAMES(5), KERNEL_NAMES(6),
#if TILE_ROWS > 6
    KERNEL_NAMES(7), KERNEL_NAMES(8), KERNEL_NAMES(9), KERNEL_NAMES(10), KERNEL_NAMES(11), KERNEL_NAMES(12),
    KERNEL_NAMES(13), KERNEL_NAMES(14),
#endif
};

void FN(symc_block_tile)(int64_t rows, int64_t cols, int64_t pixel, int64_t steps, int64_t left, const block_step *list,
                         const real *a, const real *b, real *c, int64_t ldc, int accumulate, ahead fetch)
{
    kernels[rows - 1][pixel - 1][cols > VL](steps, left, list, a, b, c, ldc, accumulate, fetch);
}
#endif
