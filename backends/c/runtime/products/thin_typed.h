/* See thin.h. Compiled once per element type.
 *
 * Packing the matrix, or reading a narrow panel of it from top to bottom, takes longer than the arithmetic. Where its rows
 * are added up, a few of them at a time are read from end to end, and the sums stay in the second level cache. Where its
 * rows meet the vectors in dot products, lanes are terms, and VL sums are reduced together by a transposition. Where the
 * matrix is the result, a sum of few outer products, it is written row by row, past the caches where it is large.
 */
#include "thin.h"

#include "base/epilogue.h"
#include "base/lanes.h"
#include "base/masked.h"
#include "base/stream.h"
#include "unpacked.h"

enum {
    FEW = 32,                   /* vectors */
    LEAST_STRETCH = 64,         /* rows of the matrix for a thread of its own */
    LARGE_ELEMENTS = 1 << 18,   /* of the matrix: smaller ones stay in the cache and are packed quickly */
    ROWS_AT_ONCE = 16,          /* rows of the matrix that are added together */
    SUM_ROWS = 512,             /* ... and in one chain of additions */
    SUM_BYTES = 128 << 10,      /* of sums */
    LEAST_COLS = 512,           /* of a task */
    VECTOR_BYTES = 32 << 10,    /* of the vectors' parts in the first level cache */
    LEAST_TERMS = 128,
    LEAST_ELEMENTS = 1 << 16,   /* of the matrix, if the vectors are columns */
    ROWS_TOGETHER = 12,         /* rows of the matrix that meet all vectors in turn; divisible by 2, 3 and 4 */
    MOST_VECTORS = VL / 2,      /* of a tile of dot products */
    RESULT_ELEMENTS = 1 << 17,  /* of a sum of outer products */
    BLOCK_ROWS = 32,            /* of a task that writes one, */
    FINISHED_BYTES = 128 << 10, /* ... and of the rows that are computed before what follows reads them, */
    LEAST_ROWS = 8,             /* ... at least so many, */
    PART_BYTES = 256 << 10,     /* ... and of what they read of the vectors */
    BLOCK_ELEMENTS = 1 << 17,   /* of vectors: in the second level cache */
};

typedef struct {
    const real *a, *b; /* the vectors, and the matrix */
    real *c;
    int64_t rows, cols, k, lda, ldb, c_row, c_col;
    int trans_a, accumulate, stream;
    int columns;       /* the vectors are columns: their terms are lda apart */
    int64_t tasks, width; /* the most columns of a task */
    real *totals;         /* of stretches of rows */
    int swapped;          /* the result is the transpose of what is computed */
    const symc_epilogue *epilogue;
    int64_t first_row;    /* of the result, among the rows that the epilogue counts */
} thin;

/* ---- rows of the matrix are added up ---- */

static void add_sums(const real *sums, int64_t cols, real *to, int accumulate)
{
    if (!accumulate) {
        memcpy(to, sums, cols * sizeof(real));
        return;
    }
    for (int64_t j = 0; j < cols; j++)
        to[j] += sums[j];
}

/* Tasks: blocks of columns. */
static void add_rows(void *arg, int64_t begin, int64_t end)
{
    const thin *z = arg;
    real *sums = symc_scratch(SLOT_BLOCK, z->rows * z->width * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        int64_t first = task * z->cols / z->tasks, cols = (task + 1) * z->cols / z->tasks - first;
        for (int64_t k0 = 0; k0 < z->k; k0 += SUM_ROWS) {
            int64_t stop = smaller(z->k, k0 + SUM_ROWS);
            for (int64_t k = k0; k < stop; k += ROWS_AT_ONCE)
                FN(symc_unpacked_ahead)(z->rows, cols, smaller(ROWS_AT_ONCE, stop - k), z->a + k, z->lda,
                                        z->b + k * z->ldb + first, z->ldb, sums, z->width, k > k0);
            for (int64_t i = 0; i < z->rows; i++)
                add_sums(sums + i * z->width, cols, z->c + i * z->c_row + first, z->accumulate || k0 > 0);
        }
        finish_columns(z->epilogue, z->first_row, z->rows, first, cols);
    }
}

/* Tasks: stretches of rows, each with totals of its own. The gradient of a weight matrix is written by rows, too, so that
 * a thread reads the rows that it wrote. */
static void add_stretches(void *arg, int64_t begin, int64_t end)
{
    const thin *z = arg;
    real *sums = symc_scratch(SLOT_BLOCK, z->rows * z->cols * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        int64_t first = task * z->k / z->tasks, last = (task + 1) * z->k / z->tasks;
        for (int64_t k0 = first; k0 < last; k0 += SUM_ROWS) {
            int64_t stop = smaller(last, k0 + SUM_ROWS);
            for (int64_t k = k0; k < stop; k += ROWS_AT_ONCE)
                FN(symc_unpacked_ahead)(z->rows, z->cols, smaller(ROWS_AT_ONCE, stop - k), z->a + k, z->lda,
                                        z->b + k * z->ldb, z->ldb, sums, z->cols, k > k0);
            add_sums(sums, z->rows * z->cols, z->totals + task * z->rows * z->cols, k0 > first);
        }
    }
}

/* Rows of the result. */
static void add_totals(void *arg, int64_t begin, int64_t end)
{
    const thin *z = arg;
    for (int64_t i = begin; i < end; i++)
        for (int64_t task = 0; task < z->tasks; task++)
            add_sums(z->totals + (task * z->rows + i) * z->cols, z->cols, z->c + i * z->c_row, z->accumulate || task > 0);
    finish_columns(z->epilogue, z->first_row + begin, end - begin, 0, z->cols);
}

/* ---- rows of the matrix meet the vectors ---- */

INLINE void store_sums(int vectors, int rows, vec v[VL], const thin *z, real *c, int accumulate)
{
    transpose_square(v);
    vec sum = v[0];
    UNROLL
    for (int i = 1; i < VL; i++)
        sum += v[i];
    UNROLL
    for (int i = 0; i < vectors; i++) {
        UNROLL
        for (int j = 0; j < rows; j++) {
            real *to = c + i * z->c_row + j * z->c_col;
            *to = accumulate ? *to + sum[i * rows + j] : sum[i * rows + j];
        }
    }
}

/* The next rows of the matrix are fetched while these are multiplied. */
INLINE void dot_tile(int vectors, int rows, const thin *z, int64_t k, const real *a, const real *b, real *c, int accumulate)
{
    const int64_t ldb = z->ldb;
    vec sum[VL];
    UNROLL
    for (int i = 0; i < VL; i++)
        sum[i] = (vec){0};
    for (; k >= VL; k -= VL, a += vectors * VL, b += VL) {
        vec bk[VL];
        UNROLL
        for (int j = 0; j < rows; j++) {
            bk[j] = load(b + j * ldb);
            __builtin_prefetch(b + (rows + j) * ldb);
        }
        UNROLL
        for (int i = 0; i < vectors; i++) {
            vec x = load(a + i * VL);
            UNROLL
            for (int j = 0; j < rows; j++)
                sum[i * rows + j] += x * bk[j];
        }
    }
    if (k > 0) {
        lane_mask some = first_lanes(k);
        UNROLL
        for (int i = 0; i < vectors; i++) {
            vec x = load(a + i * VL);
            UNROLL
            for (int j = 0; j < rows; j++)
                sum[i * rows + j] += x * load_lanes(b + j * ldb, some);
        }
    }
    store_sums(vectors, rows, sum, z, c, accumulate);
}

/* Columns [first, last) of the result, from terms [k0, k0 + k). */
INLINE void dot_rows(int vectors, const thin *z, const real *a, int64_t row, int64_t first, int64_t last, int64_t k0,
                     int64_t k)
{
    int rows = VL / vectors;
    const real *b = z->b + k0;
    real *c = z->c + row * z->c_row;
    int64_t j = first;
    for (; j + rows <= last; j += rows)
        dot_tile(vectors, rows, z, k, a, b + j * z->ldb, c + j * z->c_col, z->accumulate || k0 > 0);
    for (; j < last; j++)
        dot_tile(vectors, 1, z, k, a, b + j * z->ldb, c + j * z->c_col, z->accumulate || k0 > 0);
}

static void dot_some(int64_t vectors, const thin *z, const real *a, int64_t row, int64_t first, int64_t last, int64_t k0,
                     int64_t k)
{
    switch (vectors) {
    case 1: dot_rows(1, z, a, row, first, last, k0, k); return;
#if VL >= 4
    case 2: dot_rows(2, z, a, row, first, last, k0, k); return;
#endif
#if VL >= 8
    case 3: dot_rows(3, z, a, row, first, last, k0, k); return;
    case 4: dot_rows(4, z, a, row, first, last, k0, k); return;
#endif
#if VL >= 16
    case 5: dot_rows(5, z, a, row, first, last, k0, k); return;
    case 6: dot_rows(6, z, a, row, first, last, k0, k); return;
    case 7: dot_rows(7, z, a, row, first, last, k0, k); return;
    case 8: dot_rows(8, z, a, row, first, last, k0, k); return;
#endif
    }
}

/* The first vector of a group of them. */
INLINE int64_t group_start(const thin *z, int64_t group)
{
    return group * z->rows / ceil_div(z->rows, MOST_VECTORS);
}

/* For pack_vectors, one group of vectors that are columns: VL of their terms at a time are turned. */
static void pack_columns(const thin *z, int64_t k0, int64_t k, real *to)
{
    const lane_mask all = first_lanes(z->rows);
    for (int64_t t = k0; t < k0 + k; t += VL) {
        vec v[VL];
        for (int64_t i = 0; i < VL; i++)
            v[i] = t + i < k0 + k ? load_lanes(z->a + (t + i) * z->lda, all) : (vec){0};
        transpose_square(v);
        for (int64_t row = 0; row < z->rows; row++, to += VL)
            store(to, v[row]);
    }
}

/* Terms [k0, k0 + k) of the vectors, by group, VL terms, vector: rows of a matrix may all lie in the same sets of the
 * cache. */
static void pack_vectors(const thin *z, int64_t k0, int64_t k, real *to)
{
    if (z->columns) {
        pack_columns(z, k0, k, to);
        return;
    }
    for (int64_t i = 0; i < ceil_div(z->rows, MOST_VECTORS); i++)
        for (int64_t t = k0; t < k0 + k; t += VL)
            for (int64_t row = group_start(z, i); row < group_start(z, i + 1); row++, to += VL) {
                const real *from = z->a + row * z->lda + t;
                store(to, t + VL <= k0 + k ? load(from) : load_lanes(from, first_lanes(k0 + k - t)));
            }
}

/* Tasks: blocks of rows of the matrix, which are columns of the result. A few rows at a time meet all vectors. */
static void meet_rows(void *arg, int64_t begin, int64_t end)
{
    const thin *z = arg;
    int64_t terms = larger(LEAST_TERMS, VECTOR_BYTES / (int64_t)sizeof(real) / z->rows / VL * VL);
    int64_t groups = ceil_div(z->rows, MOST_VECTORS), some = groups > 1 ? ROWS_TOGETHER : z->cols;
    int64_t first = begin * z->cols / z->tasks, last = end * z->cols / z->tasks;
    real *packed = symc_scratch(SLOT_BLOCK, z->rows * terms * sizeof(real));
    for (int64_t k0 = 0; first < last && k0 < z->k; k0 += terms) {
        int64_t k = smaller(terms, z->k - k0), padded = ceil_div(k, VL) * VL;
        pack_vectors(z, k0, k, packed);
        for (int64_t j = first; j < last; j += some)
            for (int64_t i = 0; i < groups; i++) {
                int64_t row = group_start(z, i);
                dot_some(group_start(z, i + 1) - row, z, packed + row * padded, row, j, smaller(last, j + some), k0, k);
            }
    }
    if (z->swapped)
        finish_columns(z->epilogue, z->first_row + first, last - first, 0, z->rows);
    else
        finish_columns(z->epilogue, z->first_row, z->rows, first, last - first);
}

/* ---- sums of outer products ---- */

/* Tasks: blocks of rows. */
static void add_outer(void *arg, int64_t begin, int64_t end)
{
    const thin *z = arg;
    int64_t row = begin * BLOCK_ROWS, rows = smaller(end * BLOCK_ROWS, z->rows) - row;
    if (rows <= 0)
        return;
    int64_t a_row = z->trans_a ? 1 : z->lda, a_col = z->trans_a ? z->lda : 1, most = BLOCK_ELEMENTS / z->k / VL * VL;
    const real *a = z->a + row * a_row;
    real *c = z->c + row * z->c_row;
    for (int64_t first = 0; first < z->cols; first += most) {
        int64_t cols = smaller(most, z->cols - first);
        if (z->stream)
            FN(symc_unpacked_stream)(rows, cols, z->k, a, a_row, a_col, z->b + first, z->ldb, c + first, z->c_row);
        else
            FN(symc_unpacked_product)(rows, cols, z->k, a, a_row, a_col, z->b + first, z->ldb, c + first, z->c_row,
                                      z->accumulate);
    }
    finish_stream();
    finish_columns(z->epilogue, z->first_row + row, rows, 0, z->cols);
}

/* The same with an epilogue: the product is never stored. Tasks: blocks of columns, and blocks of rows of each. What a task
 * reads of the vectors stays in the cache, and so does a piece of a few rows until what follows has read it. */
static void finish_outer(void *arg, int64_t begin, int64_t end)
{
    const thin *z = arg;
    int64_t blocks = ceil_div(z->rows, BLOCK_ROWS), a_row = z->trans_a ? 1 : z->lda, a_col = z->trans_a ? z->lda : 1;
    int64_t fit = FINISHED_BYTES / (z->width * (int64_t)sizeof(real)) / LEAST_ROWS * LEAST_ROWS;
    int64_t some = larger(LEAST_ROWS, smaller(BLOCK_ROWS, fit));
    real *sums = symc_scratch(SLOT_BLOCK, some * z->width * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        int64_t part = task / blocks, first = part * z->width, cols = smaller(z->width, z->cols - first);
        int64_t start = task % blocks * BLOCK_ROWS, last = smaller(start + BLOCK_ROWS, z->rows);
        for (int64_t row = start; row < last; row += some) {
            int64_t rows = smaller(some, last - row);
            FN(symc_unpacked_product)(rows, cols, z->k, z->a + row * a_row, a_row, a_col, z->b + first, z->ldb, sums, cols,
                                      0);
            if (cols == z->cols)
                finish_rows_at(z->epilogue, sums, z->first_row + row, rows, cols);
            else
                for (int64_t i = 0; i < rows; i++)
                    finish_part_at(z->epilogue, sums + i * cols, z->first_row + row + i, z->cols, first, cols);
        }
    }
}

/* p: trans_a, trans_b, rows, cols, k, ... */
int FN(symc_thin_writes)(const int64_t *p)
{
    return !p[1] && p[4] >= 1 && p[4] <= FEW && p[2] >= 2 * p[4] && p[3] >= 2 * p[4] && p[2] * p[3] >= RESULT_ELEMENTS;
}

/* ---- all ---- */

/* Whether rows are divided among threads, since there are few columns for each. */
static int in_stretches(const int64_t *p)
{
    return p[3] >= LEAST_COLS / 2 && p[3] < symc_num_threads() * LEAST_COLS &&
           p[2] * p[3] * (int64_t)sizeof(real) <= SUM_BYTES;
}

int FN(symc_thin_reads)(const int64_t *p)
{
    int64_t rows = p[2], cols = p[3], k = p[4];
    if (p[0] || rows < 2 || cols < 2)
        return 0;
    if (!p[1] && cols <= MOST_VECTORS)
        return rows >= 8 * cols && rows * k >= LEAST_ELEMENTS && k >= 2 * VL * cols;
    if (!p[1])
        return rows <= FEW && cols * k >= LARGE_ELEMENTS && k >= 2 * rows && (cols >= LEAST_COLS || in_stretches(p));
    return smaller(rows, cols) <= FEW && larger(rows, cols) * k >= LARGE_ELEMENTS && k >= LEAST_TERMS &&
           (larger(rows, cols) >= 8 * smaller(rows, cols) || larger(rows, cols) <= MOST_VECTORS);
}

void FN(symc_thin_product)(const int64_t *p, real *c, const real *a, const real *b, const symc_epilogue *e, int64_t row)
{
    int64_t threads = symc_num_threads();
    thin z = {.a = a, .b = b, .c = c, .rows = p[2], .cols = p[3], .k = p[4], .lda = p[5], .ldb = p[6], .c_row = p[7],
              .c_col = 1, .trans_a = p[0] != 0, .accumulate = p[8] != 0, .epilogue = e, .first_row = row};
    if (FN(symc_thin_writes)(p)) {
        if (e && !z.accumulate) {
            int64_t most = smaller(PART_BYTES / z.k, FINISHED_BYTES / LEAST_ROWS) / (int64_t)sizeof(real);
            int64_t parts = ceil_div(z.cols, larger(LEAST_COLS, most));
            z.width = ceil_div(ceil_div(z.cols, parts), TILE_COLS) * TILE_COLS;
            z.tasks = ceil_div(z.cols, z.width);
            symc_parallel(finish_outer, &z, z.tasks * ceil_div(z.rows, BLOCK_ROWS), 1);
            return;
        }
        z.stream = !e && !z.accumulate && may_stream(c, z.c_row, z.rows * z.cols * (int64_t)sizeof(real));
        symc_parallel(add_outer, &z, ceil_div(z.rows, BLOCK_ROWS), 1);
        return;
    }
    if (!p[1] && in_stretches(p)) {
        z.tasks = larger(1, smaller(threads, z.k / LEAST_STRETCH));
        z.totals = symc_scratch(SLOT_SHARED, z.tasks * z.rows * z.cols * sizeof(real));
        symc_parallel(add_stretches, &z, z.tasks, 1);
        symc_parallel(add_totals, &z, z.rows, larger(1, 16384 / z.cols));
        return;
    }
    if (!p[1] && z.cols > MOST_VECTORS) {
        int64_t widest = SUM_BYTES / (int64_t)sizeof(real) / z.rows;
        z.tasks = larger(1, smaller(z.cols / LEAST_COLS, ceil_div(ceil_div(z.cols, widest), threads) * threads));
        z.width = ceil_div(z.cols, z.tasks);
        symc_parallel(add_rows, &z, z.tasks, 1);
        return;
    }
    if (z.rows > z.cols || !p[1])
        z = (thin){.a = b, .b = a, .c = c, .rows = z.cols, .cols = z.rows, .k = z.k, .lda = z.ldb, .ldb = z.lda,
                   .c_row = 1, .c_col = p[7], .accumulate = z.accumulate, .swapped = 1, .columns = !p[1], .epilogue = e, .first_row = row};
    z.tasks = smaller(ceil_div(z.cols, VL), 8 * threads);
    symc_parallel(meet_rows, &z, z.tasks, 1);
}
