/* See unpacked.h. Compiled once per element type. */
#include "unpacked.h"

#include "base/masked.h"
#include "base/stream.h"

#if TILE_ROWS > 6
#define UNPACKED_ROWS 8 /* 16 sums, 2 of B: the rest of 32 registers is for elements of A */
#else
#define UNPACKED_ROWS 4
#endif

enum { LONG_ROW = 64 };

typedef struct {
    int64_t k, a_row, a_col, ldb, ldc;
    const real *next; /* what is fetched meanwhile, in step k: next[k * next_col + (k & next_rows) * a_row] */
    int64_t next_col, next_rows;
    lane_mask last; /* the lanes of the last vector of a row of C */
    int accumulate;
    int stream, whole; /* past the caches; the last vector is whole */
} shape;

typedef void unpacked_kernel(const shape *s, const real *a, const real *b, real *c);

INLINE void unpacked_tile(int rows, int vecs, const shape *s, const real *a, const real *b, real *c)
{
    vec sum[UNPACKED_ROWS][2];
    const int64_t a_row = s->a_row, a_col = s->a_col, ldb = s->ldb, ldc = s->ldc;
    const int64_t next_col = s->next_col, next_rows = s->next_rows;
    const real *next = s->next;
    const lane_mask last = s->last;
    const real *a4 = a + 4 * a_row;
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            sum[r][v] = (vec){0};
    }
    for (int64_t k = 0; k < s->k; k++) {
        vec bk[2];
        UNROLL
        for (int v = 0; v < vecs; v++)
            bk[v] = v + 1 < vecs ? load(b + v * VL) : load_lanes(b + v * VL, last);
        UNROLL
        for (int v = 0; v < vecs; v++)
            __builtin_prefetch(next + (k & next_rows) * a_row + v * VL, 0, 2);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const real x = r < 4 ? a[r * a_row] : a4[(r - 4) * a_row];
            UNROLL
            for (int v = 0; v < vecs; v++)
                sum[r][v] += x * bk[v];
        }
        a += a_col;
        a4 += a_col;
        b += ldb;
        next += next_col;
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++) {
            real *to = c + r * ldc + v * VL;
            if (s->stream && (v + 1 < vecs || s->whole))
                store_past(to, sum[r][v]);
            else if (v + 1 < vecs)
                store(to, s->accumulate ? load(to) + sum[r][v] : sum[r][v]);
            else
                store_lanes(to, s->accumulate ? load_lanes(to, last) + sum[r][v] : sum[r][v], last);
        }
    }
}

#define KERNEL(ROWS, VECS)                                                                                          \
    static void unpacked_##ROWS##_##VECS(const shape *s, const real *a, const real *b, real *c)                       \
    {                                                                                                               \
        unpacked_tile(ROWS, VECS, s, a, b, c);                                                                        \
    }
#define KERNELS(ROWS) KERNEL(ROWS, 1) KERNEL(ROWS, 2)
#define KERNEL_PAIR(ROWS) {unpacked_##ROWS##_1, unpacked_##ROWS##_2}

KERNELS(1) KERNELS(2) KERNELS(3) KERNELS(4)
#if UNPACKED_ROWS > 4
KERNELS(5) KERNELS(6) KERNELS(7) KERNELS(8)
#endif

static unpacked_kernel *const kernels[UNPACKED_ROWS][2] = {
    KERNEL_PAIR(1), KERNEL_PAIR(2), KERNEL_PAIR(3), KERNEL_PAIR(4),
#if UNPACKED_ROWS > 4
    KERNEL_PAIR(5), KERNEL_PAIR(6), KERNEL_PAIR(7), KERNEL_PAIR(8),
#endif
};

/* `ahead`: elements from what is read of B to what is fetched; none: the next rows of A are, if they are long. */
static void multiply(shape s, int64_t rows, int64_t cols, const real *a, const real *b, real *c, int64_t ahead)
{
    const int by_rows = !ahead && s.a_col == 1 && s.k >= LONG_ROW;
    int64_t panels = ceil_div(rows, UNPACKED_ROWS);
    for (int64_t p = 0; p < panels; p++) {
        int64_t row = p * rows / panels, count = (p + 1) * rows / panels - row;
        for (int64_t col = 0; col < cols; col += TILE_COLS) {
            int64_t width = smaller(TILE_COLS, cols - col), wide = width > VL;
            s.next = by_rows ? a + (row + count) * s.a_row : b + col + ahead;
            s.next_col = by_rows ? 1 : s.ldb, s.next_rows = by_rows ? UNPACKED_ROWS - 1 : 0;
            s.last = first_lanes(width - wide * VL), s.whole = width % VL == 0;
            kernels[count - 1][wide](&s, a + row * s.a_row, b + col, c + row * s.ldc + col);
        }
    }
}

void FN(symc_unpacked_product)(int64_t rows, int64_t cols, int64_t k, const real *a, int64_t a_row, int64_t a_col,
                               const real *b, int64_t ldb, real *c, int64_t ldc, int accumulate)
{
    multiply((shape){.k = k, .a_row = a_row, .a_col = a_col, .ldb = ldb, .ldc = ldc, .accumulate = accumulate}, rows,
             cols, a, b, c, 0);
}

void FN(symc_unpacked_ahead)(int64_t rows, int64_t cols, int64_t k, const real *a, int64_t a_row, const real *b, int64_t ldb,
                             real *c, int64_t ldc, int accumulate)
{
    multiply((shape){.k = k, .a_row = a_row, .a_col = 1, .ldb = ldb, .ldc = ldc, .accumulate = accumulate}, rows,
             cols, a, b, c, k * ldb);
}

void FN(symc_unpacked_stream)(int64_t rows, int64_t cols, int64_t k, const real *a, int64_t a_row, int64_t a_col,
                              const real *b, int64_t ldb, real *c, int64_t ldc)
{
    multiply((shape){.k = k, .a_row = a_row, .a_col = a_col, .ldb = ldb, .ldc = ldc, .stream = 1}, rows, cols, a, b, c, 0);
}
