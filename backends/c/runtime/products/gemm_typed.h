/* Matrix products: which way each is computed. Compiled once per element type. */
#include "packed_typed.h"
#include "gemm.h"
#include "gemv.h"
#include "thin.h"
#include "unpacked.h"

enum {
    SMALL_MATRIX = 1 << 12,      /* the most elements of one of many matrices that are multiplied by a vector without planning */
    MOST_TERMS = 512,            /* the most terms of one sum that then is not divided */
    NARROW_COLS = 2 * TILE_COLS, /* an element of A that is used for so few columns is not worth packing */
    NARROW_ELEMENTS = 1 << 18,   /* of B, which stays in the second level cache */
    NEAR_ELEMENTS = SYMC_DOUBLE ? 1 << 12 : 1 << 13,   /* of a block of B in the first level cache, */
    LONGEST_SUM = 1024,                                /* ... and the most terms of a block, */
    LONGEST_TURNED = 256,                              /* ... or if the result is turned */
    MEDIUM_ELEMENTS = SYMC_DOUBLE ? 1 << 15 : 1 << 16, /* of each of two operands in the second level cache */
    NARROW_ROWS = 32,            /* rows of a task */
    TURNED_COLS = 2 * TILE_COLS, /* of a task that transposes B, or rows of one that transposes its result, */
    SERIAL_TURNED = 1 << 13,     /* ... and the elements for which another thread is used */
    OUTER_ROWS = 64,             /* of a sum of outer products without packing */
    MOST_DIVIDED = 1 << 15,      /* elements of a result whose sums are divided among threads */
};

/* Products without packing: small ones, and those of a tall matrix with a narrow one. */
static int is_small(const product *g) { return g->k <= PRODUCT_K && g->rows * g->cols * g->k < SERIAL_PRODUCTS; }

static int is_narrow(const product *g)
{
    return !g->trans_a && g->cols <= NARROW_COLS && g->cols * g->k <= NARROW_ELEMENTS &&
           g->rows >= 4 * g->cols;
}

/* Rows of A and of B meet in outer products: both are read from end to end. */
static int adds_outer(const product *g)
{
    return g->trans_a && !g->trans_b && g->rows <= OUTER_ROWS && g->cols <= NARROW_COLS;
}

/* Both operands, with what lies between their rows, stay in the second level cache, and too few rows meet B for packing it to
 * pay, unless an earlier call has done so; rows are enough for all threads, or packing would leave the product to one. */
static int is_medium(const product *g)
{
    return !g->stored[0] && !g->stored[1] && g->k <= PRODUCT_K && (g->trans_b ? g->cols : g->k) * g->ldb <= MEDIUM_ELEMENTS &&
           (g->trans_a ? g->k : g->rows) * g->lda <= MEDIUM_ELEMENTS &&
           (g->rows >= symc_num_threads() * NARROW_ROWS || g->rows * g->cols * g->k < SERIAL_PACKED);
}

/* The columns of A, which lie side by side, are better lanes than the few columns of the result. */
static int is_turned(const product *g)
{
    int64_t lanes = ceil_div(g->cols, VL) * VL;
    return g->trans_a && !g->accumulate && !g->stored[0] && !g->stored[1] && g->cols > 1 && 4 * g->cols <= 3 * lanes &&
           g->cols <= TILE_COLS && g->rows >= 2 * TURNED_COLS && g->k > 0;
}

INLINE int is_unpacked(const product *g) { return is_turned(g) || is_small(g) || is_narrow(g) || adds_outer(g) || is_medium(g); }

/* Whether an operand in panels can be used. The dot products of one vector with rows of B read these in order anyway. */
static int may_be_packed(const product *g)
{
    return g->rows > (g->trans_b ? 1 : 0) && g->cols > 1 && g->k > 0 && !is_unpacked(g);
}

/* Columns [begin, end) of the result, in units of TURNED_COLS. */
static void transpose_b(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    int64_t col = begin * TURNED_COLS, cols = smaller(end * TURNED_COLS, g->cols) - col;
    if (cols > 0)
        FN(symc_transpose)(g->shared + col, g->cols, g->b + col * g->ldb, g->ldb, cols, g->k);
}

/* The rows of blocks [begin, end) of NARROW_ROWS rows. */
static void multiply_in_place(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    int64_t row = begin * NARROW_ROWS, rows = smaller(end * NARROW_ROWS, g->rows) - row;
    if (rows <= 0)
        return;
    int64_t a_row = g->trans_a ? 1 : g->lda, a_col = g->trans_a ? g->lda : 1, ldb = g->trans_b ? g->cols : g->ldb;
    for (int64_t q = 0; q < g->k_blocks; q++) {
        int64_t k = k_start(g, q);
        FN(symc_unpacked_product)(rows, g->cols, k_start(g, q + 1) - k, g->a + row * a_row + k * a_col, a_row, a_col,
                                  (g->trans_b ? g->shared : g->b) + k * ldb, ldb, g->c + row * g->ldc, g->ldc,
                                  g->accumulate || q > 0);
    }
    finish_columns(g->epilogue, g->first_row + row, rows, 0, g->cols);
}

/* The same of TURNED_COLS rows each: the transpose of the block is computed, then turned. */
static void multiply_turned(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    real *turned = symc_scratch(SLOT_BLOCK, g->cols * TURNED_COLS * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        int64_t row = task * TURNED_COLS, rows = smaller(TURNED_COLS, g->rows - row);
        int64_t b_row = g->trans_b ? g->ldb : 1, b_col = g->trans_b ? 1 : g->ldb;
        for (int64_t q = 0; q < g->k_blocks; q++) {
            int64_t k = k_start(g, q);
            FN(symc_unpacked_product)(g->cols, rows, k_start(g, q + 1) - k, g->b + k * b_col, b_row, b_col,
                                      g->a + row + k * g->lda, g->lda, turned, rows, q > 0);
        }
        FN(symc_transpose)(g->c + row * g->ldc, g->ldc, turned, rows, g->cols, rows);
        finish_columns(g->epilogue, g->first_row + row, rows, 0, g->cols);
    }
}

static void multiply_unpacked(product *g)
{
    if (is_turned(g)) {
        g->k_blocks = ceil_div(g->k, LONGEST_TURNED);
        symc_parallel(multiply_turned, g, ceil_div(g->rows, TURNED_COLS),
                      ceil_div(SERIAL_PRODUCTS, TURNED_COLS * g->cols * g->k));
        return;
    }
    int64_t blocks = ceil_div(g->rows, NARROW_ROWS);
    g->k_blocks = larger(ceil_div(g->k, LONGEST_SUM), ceil_div(g->k * g->cols, NEAR_ELEMENTS));
    g->k_blocks = smaller(g->k_blocks, ceil_div(g->k, PRODUCT_K));
    if (g->trans_b) {
        symc_form_key key = {g->b, FORM_TRANSPOSED, {sizeof(real), g->cols, g->k, g->ldb}};
        symc_form transposed = symc_form_of(g->stored[1], &key, g->k * g->cols * sizeof(real), SLOT_SHARED);
        g->shared = transposed.memory;
        if (!transposed.ready) {
            symc_parallel(transpose_b, g, ceil_div(g->cols, TURNED_COLS), ceil_div(SERIAL_TURNED, TURNED_COLS * g->k));
            symc_form_made(&transposed);
        }
    }
    symc_parallel(multiply_in_place, g, blocks, ceil_div(SERIAL_PRODUCTS, NARROW_ROWS * g->cols * g->k));
}

static void clear_rows(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    for (int64_t i = begin; i < end; i++)
        memset(g->c + i * g->ldc, 0, g->cols * sizeof(real));
}

static void multiply_any(product g)
{
    if (g.rows <= 0 || g.cols <= 0)
        return;
    if (g.k <= 0) {
        if (!g.accumulate)
            symc_parallel(clear_rows, &g, g.rows, ceil_div(SERIAL_PRODUCTS, g.cols));
    } else if (g.cols == 1) {
        FN(symc_gemv)(g.trans_a, g.rows, g.k, g.a, g.lda, g.b, g.trans_b ? 1 : g.ldb, g.c, g.ldc, g.accumulate);
    } else if (g.rows == 1 && !g.in_panels) {
        FN(symc_gemv)(!g.trans_b, g.cols, g.k, g.b, g.ldb, g.a, g.trans_a ? g.lda : 1, g.c, 1, g.accumulate);
    } else {
        if (is_unpacked(&g))
            multiply_unpacked(&g);
        else
            multiply(&g);
        return;
    }
    finish_all(g.epilogue, g.first_row, g.rows, g.cols);
}

/* ---- terms divided among threads: the sums of a small matrix are long ---- */

typedef struct {
    const product *g;
    int64_t parts;
    real *totals; /* of each part */
} divided;

static void sum_parts(void *arg, int64_t begin, int64_t end)
{
    const divided *d = arg;
    for (int64_t i = begin; i < larger(end, begin + 1); i++) { /* with an empty range: one, which asks for scratch */
        product part = *d->g;
        int64_t k = i * part.k / d->parts, last = (i + 1) * part.k / d->parts;
        part.a += k * (part.trans_a ? part.lda : 1), part.b += k * (part.trans_b ? 1 : part.ldb);
        part.k = last - k, part.c = d->totals + i * part.rows * part.cols, part.ldc = part.cols;
        part.accumulate = 0, part.epilogue = NULL;
        int64_t p[9] = {part.trans_a, part.trans_b, part.rows, part.cols, part.k, part.lda, part.ldb, part.ldc, 0};
        if (FN(symc_thin_reads)(p))
            FN(symc_thin_product)(p, part.c, part.a, part.b, NULL, 0);
        else
            multiply_any(part);
    }
}

/* Rows of the result. */
static void add_parts(void *arg, int64_t begin, int64_t end)
{
    const divided *d = arg;
    const product *g = d->g;
    for (int64_t i = begin; i < end; i++)
        for (int64_t part = 0; part < d->parts; part++) {
            const real *from = d->totals + (part * g->rows + i) * g->cols;
            real *to = g->c + i * g->ldc;
            for (int64_t j = 0; j < g->cols; j++)
                to[j] = g->accumulate || part > 0 ? to[j] + from[j] : from[j];
        }
    finish_columns(g->epilogue, g->first_row + begin, end - begin, 0, g->cols);
}

/* Whether there are fewer blocks of the result than threads, each with sums that are worth dividing. `few`: it would be a
 * thin product. */
static int divides_terms(const product *g, int few)
{
    int64_t threads = symc_num_threads(), blocks = g->rows <= 2 * g->cols ? col_panels(g->cols) : row_panels(g->rows);
    if (few)
        blocks = ceil_div(larger(g->rows, g->cols), VL);
    return threads > 1 && blocks < threads && g->rows > 1 && g->cols > 1 && g->k >= threads * BLOCK_K &&
           g->rows * g->cols * g->k >= SERIAL_PACKED && g->rows * g->cols <= MOST_DIVIDED;
}

static void multiply_parts(const product *g)
{
    divided d = {g, symc_num_threads(), NULL};
    d.totals = symc_scratch(SLOT_PARTIAL, d.parts * g->rows * g->cols * sizeof(real));
    symc_parallel(sum_parts, &d, d.parts, 1);
    symc_parallel(add_parts, &d, g->rows, larger(1, SERIAL_PRODUCTS / d.parts / g->cols));
}

static product product_of(void *const *bufs, const int64_t *p)
{
    return (product){.c = bufs[0], .a = bufs[1], .b = bufs[2], .trans_a = p[0] != 0, .trans_b = p[1] != 0,
                     .rows = p[2], .cols = p[3], .k = p[4], .lda = p[5], .ldb = p[6], .ldc = p[7],
                     .accumulate = p[8] != 0};
}

static void multiply_one(void *const *bufs, const int64_t *p, symc_stored *const *stored, const symc_epilogue *e, int64_t row)
{
    product g = product_of(bufs, p);
    g.epilogue = e, g.first_row = row;
#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
    if (symc_paired_gemm(p, bufs[0], bufs[1], bufs[2], stored[1], e, row))
        return;
#endif
    g.stored[0] = stored[0], g.stored[1] = stored[1];
    if (!FN(symc_thin_writes)(p)) {
        /* Columns that fill most of a vector are lanes. */
        const int few = FN(symc_thin_reads)(p) && !(g.cols > VL / 2 && is_narrow(&g));
        if (may_be_packed(&g))
            choose_shared(&g, few || g.rows == 1);
        if (!g.in_panels && divides_terms(&g, few)) {
            multiply_parts(&g);
            return;
        }
        if (!few || g.in_panels) {
            multiply_any(g);
            return;
        }
    }
    FN(symc_thin_product)(p, bufs[0], bufs[1], bufs[2], e, row);
}

void FN(symc_gemm_stored)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    multiply_one(bufs, p, stored, NULL, 0);
}

void FN(symc_gemm_epilogue)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    multiply_one(bufs, p, stored, bufs[3], 0);
}

void FN(symc_gemm)(void *const *bufs, const int64_t *p) { FN(symc_gemm_stored)(bufs, p, (symc_stored *const[]){NULL, NULL}); }

typedef struct {
    void *const *bufs;
    const int64_t *p;
    symc_stored *stored[2]; /* of operands that all products share */
    const symc_epilogue *epilogue;
    int64_t first_row, row_step;
} batch;

static void multiply_batch(void *arg, int64_t begin, int64_t end)
{
    const batch *all = arg;
    const int64_t *p = all->p;
    for (int64_t i = begin; i < larger(end, begin + 1); i++) { /* with an empty range: one, which asks for scratch */
        void *bufs[3] = {(real *)all->bufs[0] + i * p[11], (real *)all->bufs[1] + i * p[9],
                         (real *)all->bufs[2] + i * p[10]};
        int64_t one[9] = {p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[12]};
        multiply_one(bufs, one, all->stored, all->epilogue, all->first_row + i * all->row_step);
    }
}

/* Small products, without planning or packing: only transposed operands on the right are turned, in scratch memory. */
static void multiply_small_batch(void *arg, int64_t begin, int64_t end)
{
    const batch *all = arg;
    const int64_t *p = all->p;
    int64_t one[9] = {p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[12]};
    product g = product_of(all->bufs, one);
    const real *b = g.b;
    if (g.trans_b)
        g.shared = symc_scratch(SLOT_BLOCK, g.k * g.cols * sizeof(real));
    for (int64_t i = begin; i < end; i++) {
        if (g.trans_b && (i == begin || p[10])) {
            g.b = b + i * p[10];
            transpose_b(&g, 0, ceil_div(g.cols, TURNED_COLS));
        }
        FN(symc_unpacked_product)(g.rows, g.cols, g.k, g.a + i * p[9], g.trans_a ? 1 : g.lda, g.trans_a ? g.lda : 1,
                                  g.trans_b ? g.shared : b + i * p[10], g.trans_b ? g.cols : g.ldb, g.c + i * p[11],
                                  g.ldc, g.accumulate);
        finish_columns(all->epilogue, all->first_row + i * all->row_step, g.rows, 0, g.cols);
    }
}

/* Small matrices times vectors. */
static void multiply_vector_batch(void *arg, int64_t begin, int64_t end)
{
    const batch *all = arg;
    const int64_t *p = all->p;
    int64_t one[9] = {p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[12]};
    const product g = product_of(all->bufs, one);
    for (int64_t i = begin; i < end; i++) {
        const real *a = g.a + i * p[9], *b = g.b + i * p[10];
        real *c = g.c + i * p[11];
        if (g.cols == 1)
            FN(symc_small_gemv)(g.trans_a, g.rows, g.k, a, g.lda, b, g.trans_b ? 1 : g.ldb, c, g.ldc, g.accumulate);
        else
            FN(symc_small_gemv)(!g.trans_b, g.cols, g.k, b, g.ldb, a, g.trans_a ? g.lda : 1, c, 1, g.accumulate);
        finish_columns(all->epilogue, all->first_row + i * all->row_step, g.rows, 0, g.cols);
    }
}

/* Many products run one per thread; few share all threads one after another. */
void FN(symc_batched_product)(void *const *bufs, const int64_t *p, symc_stored *const *stored, const symc_epilogue *e,
                              int64_t row, int64_t row_step)
{
    const int64_t n = p[0];
    batch all = {bufs, p, {p[9] && n > 1 ? NULL : stored[0], p[10] && n > 1 ? NULL : stored[1]}, e, row, row_step};
    int64_t products = larger(1, p[3]) * larger(1, p[4]) * larger(1, p[5]);
    int64_t one[9] = {p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[12]};
    product first = product_of(bufs, one);
    if (p[3] > 1 && p[4] > 1 && p[5] > 0 && is_small(&first))
        symc_parallel(multiply_small_batch, &all, n, larger(1, SERIAL_PRODUCTS / 4 / products));
    else if (p[3] > 0 && p[4] > 0 && (p[3] == 1 || p[4] == 1) && p[5] > 0 && p[5] <= MOST_TERMS &&
             products <= SMALL_MATRIX && n > 1)
        symc_parallel(multiply_vector_batch, &all, n, larger(1, SERIAL_PRODUCTS / 4 / products));
    else if (n >= 2 * symc_num_threads() || products < SERIAL_PRODUCTS)
        symc_parallel(multiply_batch, &all, n, larger(1, SERIAL_PRODUCTS / 4 / products));
    else if (n > 0)
        multiply_batch(&all, 0, n);
}

void FN(symc_batched_gemm_stored)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    FN(symc_batched_product)(bufs, p, stored, NULL, 0, 0);
}

void FN(symc_batched_gemm_epilogue)(void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    FN(symc_batched_product)(bufs, p, stored, bufs[3], 0, p[3]);
}

void FN(symc_batched_gemm)(void *const *bufs, const int64_t *p)
{
    FN(symc_batched_gemm_stored)(bufs, p, (symc_stored *const[]){NULL, NULL});
}
