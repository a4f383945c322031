/* See tile.h. Compiled once per element type. */
#include "tile.h"

#include "base/lanes.h"
#include "base/masked.h"
#include "base/stream.h"

enum { ROWS_AHEAD = 4 };

/* What is fetched, in two arguments: two words that were stored apart are not read as one vector until they are in the first
 * level cache, behind everything that the tile before has stored. */
typedef void tile_kernel(int64_t k, const real *a, int64_t a_step, const real *b, int64_t b_step, real *c, int64_t ldc,
                         int what, const plain_rows *end, const real *ahead, int64_t ahead_step);

INLINE void put(real *to, vec v, int what)
{
    if (what == TILE_STREAMS)
        store_past(to, v);
    else
        store(to, v);
}

INLINE void multiply_tile(int rows, int vecs, int64_t k, const real *a, int64_t a_step, const real *b, int64_t b_step,
                          real *c, int64_t ldc, int what, const plain_rows *end, const real *ahead, int64_t ahead_step)
{
    vec sum[TILE_ROWS][2];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            sum[r][v] = (vec){0};
    }
    for (; k > 0; k--, ahead += ahead_step) {
        __builtin_prefetch(ahead, 0, 2);
        add_row_products(rows, vecs, a, 1, b, sum);
        a += a_step;
        b += b_step;
    }
    if (what == TILE_ADDS) {
        UNROLL
        for (int r = 0; r < rows; r++) {
            UNROLL
            for (int v = 0; v < vecs; v++)
                sum[r][v] += load(c + r * ldc + v * VL);
        }
    }
    if (end && end->of_columns) {
        const plain_rows e = *end;
        UNROLL
        for (int r = 0; r < rows; r++) {
            UNROLL
            for (int v = 0; v < vecs; v++)
                sum[r][v] = finished_by_columns(sum[r][v], load(e.terms + r * e.apart + v * VL), &e);
        }
    } else if (end) {
        row_end e = row_end_of(end, 0);
        UNROLL
        for (int r = 0; r < rows; r++) {
            e.term = end->terms[r];
            UNROLL
            for (int v = 0; v < vecs; v++)
                sum[r][v] = finished(sum[r][v], e);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            put(c + r * ldc + v * VL, sum[r][v], what);
    }
}

#define KERNEL(ROWS, VECS)                                                                                          \
    static void kernel_##ROWS##_##VECS(int64_t k, const real *a, int64_t a_step, const real *b, int64_t b_step,     \
                                       real *c, int64_t ldc, int what, const plain_rows *end,                       \
                                       const real *ahead, int64_t ahead_step)                                       \
    {                                                                                                               \
        multiply_tile(ROWS, VECS, k, a, a_step, b, b_step, c, ldc, what, end, ahead, ahead_step);                   \
    }
#define KERNELS(ROWS) KERNEL(ROWS, 1) KERNEL(ROWS, 2)
#define KERNEL_PAIR(ROWS) {kernel_##ROWS##_1, kernel_##ROWS##_2}

KERNELS(1) KERNELS(2) KERNELS(3) KERNELS(4) KERNELS(5) KERNELS(6)
#if TILE_ROWS > 6
KERNELS(7) KERNELS(8) KERNELS(9) KERNELS(10) KERNELS(11) KERNELS(12) KERNELS(13) KERNELS(14)
#endif

static tile_kernel *const kernels[TILE_ROWS + 1][2] = {
    {NULL, NULL}, KERNEL_PAIR(1), KERNEL_PAIR(2), KERNEL_PAIR(3), KERNEL_PAIR(4), KERNEL_PAIR(5), KERNEL_PAIR(6),
#if TILE_ROWS > 6
    KERNEL_PAIR(7), KERNEL_PAIR(8), KERNEL_PAIR(9), KERNEL_PAIR(10), KERNEL_PAIR(11), KERNEL_PAIR(12),
    KERNEL_PAIR(13), KERNEL_PAIR(14),
#endif
};

/* ---- few columns: the rows of A, which lie side by side, are the lanes ---- */

#if defined(__AVX__)
#define VECS_DOWN ((TILE_ROWS + VL - 1) / VL)
#define FEW_COLS (VL / 2 / VECS_DOWN) /* more are about as many multiplications as whole vectors of columns */
#else
#define FEW_COLS 0 /* loads of a part of a vector are slow */
#endif
enum { FEW_TERMS = 8 /* of sums that are longer than it takes to turn them */ };

#if FEW_COLS
/* Row r of column j at sums[j * VECS_DOWN * VL + r]. Each sum is divided into `parts`, which do not wait for one another. */
INLINE void sum_columns(int cols, int parts, int64_t rows, int64_t k, const real *a, int64_t a_step, const real *b,
                        int64_t b_step, real *sums)
{
    vec sum[2 * FEW_COLS + 4][VECS_DOWN]; /* cols * parts of them */
    lane_mask lanes[VECS_DOWN];
    UNROLL
    for (int d = 0; d < VECS_DOWN; d++)
        lanes[d] = first_lanes(larger(0, smaller(VL, rows - d * VL)));
    UNROLL
    for (int i = 0; i < cols * parts; i++) {
        UNROLL
        for (int d = 0; d < VECS_DOWN; d++)
            sum[i][d] = (vec){0};
    }
    for (; k >= parts; k -= parts) {
        UNROLL
        for (int i = 0; i < parts; i++, a += a_step, b += b_step) {
            UNROLL
            for (int d = 0; d < VECS_DOWN; d++) {
                vec x = load_lanes(a + d * VL, lanes[d]);
                UNROLL
                for (int j = 0; j < cols; j++)
                    sum[j * parts + i][d] += b[j] * x;
            }
        }
    }
    for (; k > 0; k--, a += a_step, b += b_step) {
        UNROLL
        for (int d = 0; d < VECS_DOWN; d++) {
            vec x = load_lanes(a + d * VL, lanes[d]);
            UNROLL
            for (int j = 0; j < cols; j++)
                sum[j * parts][d] += b[j] * x;
        }
    }
    UNROLL
    for (int j = 0; j < cols; j++) {
        UNROLL
        for (int d = 0; d < VECS_DOWN; d++) {
            vec all = sum[j * parts][d];
            UNROLL
            for (int i = 1; i < parts; i++)
                all += sum[j * parts + i][d];
            store(sums + (j * VECS_DOWN + d) * VL, all);
        }
    }
}

#define PARTS(COLS) ((COLS) * VECS_DOWN <= 2 ? 4 : (COLS) * VECS_DOWN <= 4 ? 2 : 1)
#define SUM_COLUMNS(COLS) \
    case COLS: sum_columns(COLS, PARTS(COLS), rows, k, a, a_step, b, b_step, sums); break

static void multiply_few(int64_t rows, int64_t cols, int64_t k, const real *a, int64_t a_step, const real *b, int64_t b_step,
                         real *c, int64_t ldc, int accumulate, const plain_rows *end)
{
    real sums[FEW_COLS * VECS_DOWN * VL] __attribute__((aligned(64)));
    switch (cols) {
        SUM_COLUMNS(1);
#if FEW_COLS >= 2
        SUM_COLUMNS(2);
#endif
#if FEW_COLS >= 4
        SUM_COLUMNS(3);
        SUM_COLUMNS(4);
#endif
#if FEW_COLS >= 8
        SUM_COLUMNS(5);
        SUM_COLUMNS(6);
        SUM_COLUMNS(7);
        SUM_COLUMNS(8);
#endif
    }
    for (int64_t r = 0; r < rows; r++, c += ldc)
        for (int64_t j = 0; j < cols; j++) {
            real x = sums[j * VECS_DOWN * VL + r];
            x = accumulate ? c[j] + x : x;
            c[j] = end ? finished_element(x, end->terms[end->of_columns ? r * end->apart + j : r], end) : x;
        }
}

/* Whether so many columns, fewer than a vector, are multiplied faster in this way. */
INLINE int are_few(int64_t rows, int64_t cols, int64_t k)
{
    return cols <= FEW_COLS && k >= FEW_TERMS && 3 * cols * ceil_div(rows, VL) <= 2 * rows;
}
#endif

/* Elements of row `r` from column `c` on, of which terms are loaded for `some` lanes alone. */
INLINE vec finished_lanes(vec x, const plain_rows *p, int64_t r, int64_t c, lane_mask some)
{
    vec term = p->of_columns ? load_lanes(p->terms + r * p->apart + c, some) : (vec){0} + p->terms[r];
    return finished_by_columns(x, term, p);
}

/* Asks for lines of C, which are there when the sums are. Vectors of a whole line need none to be stored. */
INLINE void fetch_tile(int64_t rows, const real *c, int64_t ldc, int64_t last_vector)
{
    for (int64_t r = 0; r < rows; r++) {
        __builtin_prefetch(c + r * ldc, 1);
        __builtin_prefetch(c + r * ldc + last_vector, 1);
    }
}

void FN(symc_tile)(int64_t rows, int64_t cols, int64_t k, const real *a, int64_t a_step, const real *b, int64_t b_step,
                   real *c, int64_t ldc, int what, const plain_rows *end, fetches next)
{
    const real *ahead = next.from;
    const int64_t ahead_step = next.apart;
    int wide = cols > VL;
    if (what == TILE_ADDS || (what == TILE_STORES && VL < LINE_ELEMENTS))
        fetch_tile(rows, c, ldc, wide * VL);
    tile_kernel *kernel = kernels[rows][wide];
    if (cols == VL * (1 + wide)) {
        kernel(k, a, a_step, b, b_step, c, ldc, what, end, ahead, ahead_step);
        return;
    }
#if FEW_COLS
    if (are_few(rows, cols - wide * VL, k)) {
        if (wide)
            kernels[rows][0](k, a, a_step, b, b_step, c, ldc, what, end, ahead, ahead_step);
        plain_rows rest;
        multiply_few(rows, cols - wide * VL, k, a, a_step, b + wide * VL, b_step, c + wide * VL, ldc, what == TILE_ADDS,
                     columns_from(end, wide * VL, &rest));
        return;
    }
#endif
    real whole[TILE_ROWS * TILE_COLS] __attribute__((aligned(64)));
    kernel(k, a, a_step, b, b_step, whole, TILE_COLS, 0, NULL, ahead, ahead_step);
    const lane_mask all = first_lanes(VL), last = first_lanes(cols - wide * VL);
    for (int64_t r = 0; r < rows; r++, c += ldc)
        for (int v = 0; v <= wide; v++) { /* terms are not readable over whole vectors */
            const lane_mask some = v < wide ? all : last;
            vec x = load(whole + r * TILE_COLS + v * VL);
            x = what == TILE_ADDS ? load_lanes(c + v * VL, some) + x : x;
            store_lanes(c + v * VL, end ? finished_lanes(x, end, r, v * VL, some) : x, some);
        }
}

/* ---- transposition ---- */

/* Stores whole vectors in ascending order: the next row overwrites what a short row wrote beyond its end. */
static void transpose_whole(real *dst, int64_t ld_dst, const real *src, int64_t ld_src, int64_t rows)
{
    vec v[VL];
    UNROLL
    for (int r = 0; r < VL; r++)
        v[r] = load(src + (r < rows ? r : 0) * ld_src);
    transpose_square(v);
    UNROLL
    for (int c = 0; c < VL; c++)
        store(dst + c * ld_dst, v[c]);
}

static void transpose_scalar(real *dst, int64_t ld_dst, const real *src, int64_t ld_src, int64_t rows, int64_t cols)
{
    for (int64_t c = 0; c < cols; c++)
        for (int64_t r = 0; r < rows; r++)
            dst[c * ld_dst + r] = src[r * ld_src + c];
}

/* A last, short block of rows overlaps with the previous whole block if there is one, and one of columns likewise. */
static void transpose_rest(real *dst, int64_t ld_dst, const real *src, int64_t ld_src, int64_t rows, int64_t cols,
                           int64_t rows_before)
{
    int64_t c = 0;
    if (rows_before >= VL) {
        int64_t back = VL - rows;
        for (; c + VL <= cols; c += VL)
            transpose_whole(dst - back + c * ld_dst, ld_dst, src - back * ld_src + c, ld_src, VL);
        if (c < cols && cols >= VL) {
            c = cols - VL;
            transpose_whole(dst - back + c * ld_dst, ld_dst, src - back * ld_src + c, ld_src, VL);
            return;
        }
    } else if (ld_dst == rows) { /* only the last vectors reach past the end of dst */
        for (; (c + VL) * ld_dst + VL <= cols * ld_dst; c += VL)
            transpose_whole(dst + c * ld_dst, ld_dst, src + c, ld_src, rows);
    }
    transpose_scalar(dst + c * ld_dst, ld_dst, src + c, ld_src, rows, cols - c);
}

void FN(symc_transpose)(real *dst, int64_t ld_dst, const real *src, int64_t ld_src, int64_t rows, int64_t cols)
{
    int64_t r = 0;
    for (; r + VL <= rows; r += VL, src += VL * ld_src, dst += VL) {
        int64_t c = 0;
        for (; c + VL <= cols; c += VL)
            transpose_whole(dst + c * ld_dst, ld_dst, src + c, ld_src, VL);
        if (c < cols && cols >= VL)
            transpose_whole(dst + (cols - VL) * ld_dst, ld_dst, src + cols - VL, ld_src, VL);
        else
            transpose_scalar(dst + c * ld_dst, ld_dst, src + c, ld_src, VL, cols - c);
    }
    if (r < rows)
        transpose_rest(dst, ld_dst, src, ld_src, rows - r, cols, r);
}

void FN(symc_copy_rows)(real *dst, int64_t ld_dst, const real *src, int64_t ld_src, int64_t rows, int64_t cols,
                        int64_t padded)
{
    int64_t r = 0;
    if (cols == padded && cols == ld_dst && cols < VL) /* what is stored beyond a row the next one overwrites */
        for (; (rows - 1 - r) * ld_dst + cols >= VL && (rows - 1 - r) * ld_src + cols >= VL; r++, dst += ld_dst, src += ld_src)
            store(dst, load(src));
    for (; r < rows; r++, dst += ld_dst, src += ld_src) {
        int64_t c = 0;
        for (; c + VL <= cols; c += VL) {
            __builtin_prefetch(src + c + ROWS_AHEAD * ld_src); /* too far for the hardware; harmless beyond the end */
            store(dst + c, load(src + c));
        }
        for (; c < cols; c++)
            dst[c] = src[c];
        for (; c < padded; c++)
            dst[c] = 0;
    }
}

void FN(symc_pack_panels)(real *to, int64_t step, const real *src, int64_t ld_src, int64_t rows, int64_t panels)
{
    for (int64_t r = 0; r < rows; r++, src += ld_src, to += TILE_COLS)
        for (int64_t j = 0; j < panels; j++) {
            __builtin_prefetch(src + j * TILE_COLS + ROWS_AHEAD * ld_src);
            __builtin_prefetch(src + j * TILE_COLS + VL + ROWS_AHEAD * ld_src);
            store(to + j * step, load(src + j * TILE_COLS));
            store(to + j * step + VL, load(src + j * TILE_COLS + VL));
        }
}
