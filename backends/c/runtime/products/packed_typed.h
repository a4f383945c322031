/* Products of packed operands, and what all products share. Compiled once per element type, into gemm_typed.h.
 *
 * One operand is packed whole by all threads together, the other by each thread for its own block of rows or columns of
 * C, so that the block stays in the second level cache. The larger side of C is the one that is cut into blocks. If one
 * operand is stored, it is the one that is packed whole, once for all calls until it changes.
 */
#include "pairs.h"
#include "base/epilogue.h"
#include "base/stored.h"

enum {
    BLOCK_PANELS = 16,         /* panels of the operand that a thread packs for itself */
    SHARED_ELEMENTS = 4 << 20, /* of the operand packed by all: stays in the last level cache */
    IN_PLACE_ROWS = 2 * TILE_ROWS,
    SERIAL_PRODUCTS = 1 << 17, /* the least multiplications for which another thread is used */
    SERIAL_PACKED = 1 << 20,   /* the same if operands are packed: threads then fetch what others have packed */
    PACK_COST = 24,            /* of packing an element of an operand, in multiplications */
    FETCH_COST = 8,            /* of reading one that is packed in another cache */
};

typedef struct {
    const real *a, *b;
    real *c;
    int64_t rows, cols, k, lda, ldb, ldc;
    int trans_a, trans_b, accumulate;
    int shares_a;                  /* A is packed by all and the columns are cut into blocks, or B and the rows */
    int64_t k_blocks;              /* blocks into which k is divided */
    int64_t first_block, last_block; /* those in progress */
    int64_t blocks, splits;        /* the grid of tasks: blocks of the cut side, times pieces of the other */
    real *shared;
    symc_stored *stored[2];        /* what A and B are, or NULL */
    symc_form whole;               /* the shared operand, if it is kept in packed form between calls */
    int in_panels;                 /* ... here or by another thread: few rows, too, are multiplied by panels */
    const symc_epilogue *epilogue; /* or NULL: the first row of C is row `first_row` of its output */
    int64_t first_row;
} product;

/* Row panels differ by at most one row, so that none needs an inefficient kernel. */
INLINE int64_t row_panels(int64_t rows) { return ceil_div(rows, TILE_ROWS); }
INLINE int64_t panel_row(int64_t rows, int64_t panel) { return panel * rows / row_panels(rows); }
INLINE int64_t col_panels(int64_t cols) { return ceil_div(cols, TILE_COLS); }

INLINE int64_t k_start(const product *g, int64_t block) { return block * g->k / g->k_blocks; }

static void pack_a_panel(const product *g, real *to, int64_t row, int64_t rows, int64_t k0, int64_t k)
{
    if (g->trans_a)
        FN(symc_copy_rows)(to, rows, g->a + k0 * g->lda + row, g->lda, k, rows, rows);
    else
        FN(symc_transpose)(to, rows, g->a + row * g->lda + k0, g->lda, rows, k);
}

static void pack_b_panel(const product *g, real *to, int64_t col, int64_t cols, int64_t k0, int64_t k)
{
    if (!g->trans_b) {
        FN(symc_copy_rows)(to, TILE_COLS, g->b + k0 * g->ldb + col, g->ldb, k, cols, TILE_COLS);
        return;
    }
    if (cols < TILE_COLS)
        memset(to, 0, k * TILE_COLS * sizeof(real));
    FN(symc_transpose)(to, TILE_COLS, g->b + col * g->ldb + k0, g->ldb, cols, k);
}

/* Where the panel that begins at row or column `start` lies in the shared operand, `width` rows or columns in all. */
INLINE int64_t packed_at(const product *g, int64_t start, int64_t k0, int64_t k, int64_t width)
{
    return (k0 - k_start(g, g->first_block)) * width + start * k;
}

static void pack_shared(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    int64_t panels = g->shares_a ? row_panels(g->rows) : col_panels(g->cols);
    for (int64_t i = begin; i < end; i++) {
        int64_t panel = i % panels, block = g->first_block + i / panels;
        int64_t k0 = k_start(g, block), k = k_start(g, block + 1) - k0;
        if (g->shares_a) {
            int64_t row = panel_row(g->rows, panel);
            pack_a_panel(g, g->shared + packed_at(g, row, k0, k, g->rows), row,
                         panel_row(g->rows, panel + 1) - row, k0, k);
        } else {
            int64_t col = panel * TILE_COLS;
            pack_b_panel(g, g->shared + packed_at(g, col, k0, k, panels * TILE_COLS), col,
                         smaller(TILE_COLS, g->cols - col), k0, k);
        }
    }
}

typedef struct {
    int64_t first_row, last_row, first_col, last_col; /* in panels */
} region;

/* The part of C that a task computes. */
static region task_region(const product *g, int64_t task)
{
    int64_t block = task / g->splits, split = task % g->splits;
    int64_t rows = row_panels(g->rows), cols = col_panels(g->cols);
    if (g->shares_a)
        return (region){split * rows / g->splits, (split + 1) * rows / g->splits, block * cols / g->blocks,
                        (block + 1) * cols / g->blocks};
    return (region){block * rows / g->blocks, (block + 1) * rows / g->blocks, split * cols / g->splits,
                    (split + 1) * cols / g->splits};
}

static void multiply_tile_at(const product *g, int64_t row, int64_t rows, int64_t col, int64_t k0, int64_t k,
                             const real *a, const real *b, int64_t b_step, const plain_rows *end)
{
    FN(symc_tile)(rows, smaller(TILE_COLS, g->cols - col), k, a, rows, b, b_step, g->c + row * g->ldc + col, g->ldc,
                  g->accumulate || k0 > 0, end);
}

/* Whether panel j of B is read in place: packing does not pay for so few rows. */
INLINE int reads_in_place(const product *g, int64_t j)
{
    return g->rows <= IN_PLACE_ROWS && !g->trans_b && (j + 1) * TILE_COLS <= g->cols;
}

/* All terms of these rows and panels of columns are summed. */
static void finish_panels(const product *g, int64_t row, int64_t rows, int64_t first, int64_t last)
{
    finish_columns(g->epilogue, g->first_row + row, rows, first * TILE_COLS, smaller(last * TILE_COLS, g->cols) - first * TILE_COLS);
}

/* One k block of a region with A shared: packs the panels of B, then multiplies each panel of A by all of them. */
static void multiply_columns(const product *g, region part, int64_t k0, int64_t k, real *own)
{
    const int last = k0 + k == g->k;
    plain_rows own_end;
    int64_t whole = 0; /* panels that are packed row by row: each row is one stretch of memory */
    if (!g->trans_b && g->rows > IN_PLACE_ROWS)
        whole = smaller(part.last_col, g->cols / TILE_COLS) - part.first_col;
    if (whole > 0)
        FN(symc_pack_panels)(own, g->b + k0 * g->ldb + part.first_col * TILE_COLS, g->ldb, k, whole);
    for (int64_t j = part.first_col + larger(whole, 0); j < part.last_col; j++)
        if (!reads_in_place(g, j))
            pack_b_panel(g, own + (j - part.first_col) * TILE_COLS * k, j * TILE_COLS,
                         smaller(TILE_COLS, g->cols - j * TILE_COLS), k0, k);
    for (int64_t i = part.first_row; i < part.last_row; i++) {
        int64_t row = panel_row(g->rows, i), rows = panel_row(g->rows, i + 1) - row;
        const real *a = g->shared + packed_at(g, row, k0, k, g->rows);
        const plain_rows *end = last ? plain_rows_of(g->epilogue, g->first_row + row, rows, &own_end) : NULL;
        for (int64_t j = part.first_col; j < part.last_col; j++) {
            int in_place = reads_in_place(g, j);
            const real *b = in_place ? g->b + k0 * g->ldb + j * TILE_COLS : own + (j - part.first_col) * TILE_COLS * k;
            multiply_tile_at(g, row, rows, j * TILE_COLS, k0, k, a, b, in_place ? g->ldb : TILE_COLS, end);
        }
        if (last && !end)
            finish_panels(g, row, rows, part.first_col, part.last_col);
    }
}

/* The same with B shared. */
static void multiply_rows(const product *g, region part, int64_t k0, int64_t k, real *own)
{
    int64_t first = panel_row(g->rows, part.first_row), width = col_panels(g->cols) * TILE_COLS;
    int64_t behind = panel_row(g->rows, part.last_row);
    const int last = k0 + k == g->k;
    plain_rows all, rest;
    const plain_rows *end = last ? plain_rows_of(g->epilogue, g->first_row + first, behind - first, &all) : NULL;
    for (int64_t i = part.first_row; i < part.last_row; i++) {
        int64_t row = panel_row(g->rows, i);
        pack_a_panel(g, own + (row - first) * k, row, panel_row(g->rows, i + 1) - row, k0, k);
    }
    for (int64_t j = part.first_col; j < part.last_col; j++) {
        const real *b = g->shared + packed_at(g, j * TILE_COLS, k0, k, width);
        for (int64_t i = part.first_row; i < part.last_row; i++) {
            int64_t row = panel_row(g->rows, i), rows = panel_row(g->rows, i + 1) - row;
            multiply_tile_at(g, row, rows, j * TILE_COLS, k0, k, own + (row - first) * k, b, TILE_COLS,
                             rows_from(end, row - first, &rest));
        }
        if (last && !end)
            finish_panels(g, first, behind - first, j, j + 1);
    }
}

static void multiply_tasks(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    int64_t longest_k = ceil_div(g->k, g->k_blocks);
    int64_t panels = ceil_div(g->shares_a ? col_panels(g->cols) : row_panels(g->rows), g->blocks);
    real *own = symc_scratch(SLOT_BLOCK, panels * (g->shares_a ? TILE_COLS : TILE_ROWS) * longest_k * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        region part = task_region(g, task);
        for (int64_t q = g->first_block; q < g->last_block; q++) {
            int64_t k0 = k_start(g, q), k = k_start(g, q + 1) - k0;
            (g->shares_a ? multiply_columns : multiply_rows)(g, part, k0, k, own);
        }
    }
}

/* The multiplications of the slowest thread, if the cut side is divided into `blocks` and the other into `splits`, and what
 * its operands cost: elements of its own part are packed, those of the shared operand fetched from another cache. */
static int64_t task_cost(const product *g, int64_t blocks, int64_t splits)
{
    int64_t worst = 0;
    for (int64_t task = 0; task < blocks * splits; task++) {
        product part = *g;
        part.blocks = blocks, part.splits = splits;
        region r = task_region(&part, task);
        int64_t rows = panel_row(g->rows, r.last_row) - panel_row(g->rows, r.first_row);
        int64_t cols = smaller(ceil_div(g->cols, VL) * VL, r.last_col * TILE_COLS) - r.first_col * TILE_COLS;
        int64_t own = g->shares_a ? cols : rows, shared = g->shares_a ? rows : cols;
        worst = larger(worst, rows * cols + PACK_COST * own + FETCH_COST * shared);
    }
    return worst;
}

/* Splits C into tasks: blocks that fit the cache, enough for all threads, evenly distributed. If the other operand is packed
 * already, and what a thread packs for itself fits one block, threads may share a block, each reading a part of the other:
 * whichever way costs the slowest thread less. */
static void plan_tasks(product *g, int packed)
{
    int64_t threads = symc_num_threads();
    int64_t rows = row_panels(g->rows), cols = col_panels(g->cols);
    int64_t cut = g->shares_a ? cols : rows, other = g->shares_a ? rows : cols;
    g->blocks = smaller(cut, ceil_div(ceil_div(cut, BLOCK_PANELS), threads) * threads);
    g->splits = g->blocks >= threads ? 1 : smaller(other, ceil_div(threads, g->blocks));
    if (!packed || cut > BLOCK_PANELS)
        return;
    int64_t least = INT64_MAX;
    for (int64_t b = 1; b <= smaller(cut, threads); b++) {
        int64_t s = smaller(other, ceil_div(threads, b)), cost = task_cost(g, b, s);
        if (b * s <= threads && cost < least)
            least = cost, g->blocks = b, g->splits = s;
    }
}

/* The shared operand as an earlier call left it, or memory that is kept for it; none if there is no room. */
static symc_form kept_panels(const product *g)
{
    const int a = g->shares_a;
    const int64_t width = a ? g->rows : col_panels(g->cols) * TILE_COLS;
    symc_form_key key = {a ? g->a : g->b, FORM_PANELS,
                         {VL, sizeof(real), a, a ? g->rows : g->cols, g->k, a ? g->trans_a : g->trans_b,
                          a ? g->lda : g->ldb}};
    return symc_form_of(g->stored[!a], &key, width * g->k * sizeof(real), -1);
}

/* Chooses the operand that is packed whole: a stored one, which is packed once for many calls. `few`: whether the other
 * consists of few vectors, for which a matrix A in panels of rows would be read slowly. */
static void choose_shared(product *g, int few)
{
    const int larger_a = g->rows <= 2 * g->cols, a = g->stored[0] && !few, b = g->stored[1] && (!few || g->rows <= g->cols);
    g->shares_a = a == b ? larger_a : a;
    if (a || b)
        g->whole = kept_panels(g);
    g->in_panels = g->whole.memory || g->whole.busy;
    if (!g->in_panels)
        g->shares_a = larger_a;
}

static void multiply(product *g)
{
    const int kept = g->whole.memory != NULL;
    int64_t serial = g->rows * g->cols * g->k < (g->whole.ready ? SERIAL_PRODUCTS : SERIAL_PACKED);
    int64_t panels = g->shares_a ? row_panels(g->rows) : col_panels(g->cols);
    int64_t width = g->shares_a ? g->rows : panels * TILE_COLS;
    plan_tasks(g, kept);
    g->k_blocks = ceil_div(g->k, PRODUCT_K);
    int64_t stretch = smaller(g->k_blocks, larger(1, SHARED_ELEMENTS / width / PRODUCT_K));
    real *packed = g->whole.memory;
    if (!kept)
        packed = symc_scratch(SLOT_SHARED, width * smaller(g->k, stretch * ceil_div(g->k, g->k_blocks)) * sizeof(real));
    for (g->first_block = 0; g->first_block < g->k_blocks; g->first_block = g->last_block) {
        g->last_block = smaller(g->k_blocks, g->first_block + stretch);
        g->shared = kept ? packed + k_start(g, g->first_block) * width : packed;
        int64_t packs = panels * (g->last_block - g->first_block), tasks = g->blocks * g->splits;
        if (!g->whole.ready)
            symc_parallel(pack_shared, g, packs, serial ? packs : 1);
        symc_parallel(multiply_tasks, g, tasks, serial ? tasks : 1);
    }
    if (!g->whole.ready)
        symc_form_made(&g->whole);
}
