/* Products of packed operands, and what all products share. Compiled once per element type, into gemm_typed.h.
 *
 * C is cut into regions. A thread packs for itself what its region needs: a block of columns of B, which stays in the second
 * level cache, and one panel of A after the other, each just before the block is multiplied by it. What one core has written
 * reaches another slowly, so that threads share nothing that a call packs. A stored operand is packed whole by all
 * threads, once for all calls until it changes.
 */
#include "pairs.h"
#include "base/epilogue.h"
#include "base/stored.h"
#include "base/stream.h"

enum {
    BLOCK_BYTES = 1 << 20,     /* of the operand that a thread packs in blocks */
    BLOCK_PANELS = BLOCK_BYTES / (PRODUCT_K * TILE_COLS * (int)sizeof(real)),
    IN_PLACE_ROWS = 2 * TILE_ROWS,
    SERIAL_PRODUCTS = 1 << 17, /* the least multiplications for which another thread is used */
    SERIAL_PACKED = 1 << 20,   /* the same if operands are packed: threads then pack the same */
    PACK_COST = 24,            /* of packing an element of B, in multiplications; one of A, which is turned, costs twice as much */
    FETCH_COST = 8,            /* of reading one that is packed in another cache */
};

typedef struct {
    const real *a, *b;
    real *c;
    int64_t rows, cols, k, lda, ldb, ldc;
    int trans_a, trans_b, accumulate, streams; /* results are stored past the caches */
    int shares_a;                  /* the columns are cut into blocks, and A may be kept; or the rows, and B is kept */
    int64_t k_blocks;              /* blocks into which k is divided */
    int64_t blocks, splits;        /* the grid of tasks: blocks of the cut side, times pieces of the other */
    real *shared;                  /* the kept operand, or NULL */
    symc_stored *stored[2];        /* what A and B are, or NULL */
    symc_form whole;               /* ... as it is stored between calls */
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

/* Where the panel that begins at row or column `start` lies in the kept operand, `width` rows or columns in all. */
INLINE int64_t packed_at(int64_t start, int64_t k0, int64_t k, int64_t width) { return k0 * width + start * k; }

static void pack_shared(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    int64_t panels = g->shares_a ? row_panels(g->rows) : col_panels(g->cols);
    for (int64_t i = begin; i < end; i++) {
        int64_t panel = i % panels, block = i / panels;
        int64_t k0 = k_start(g, block), k = k_start(g, block + 1) - k0;
        if (g->shares_a) {
            int64_t row = panel_row(g->rows, panel);
            pack_a_panel(g, g->shared + packed_at(row, k0, k, g->rows), row,
                         panel_row(g->rows, panel + 1) - row, k0, k);
        } else {
            int64_t col = panel * TILE_COLS;
            pack_b_panel(g, g->shared + packed_at(col, k0, k, panels * TILE_COLS), col,
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
                             const real *a, const real *b, int64_t b_step, const plain_rows *end, fetches next)
{
    const int what = g->accumulate || k0 > 0 ? TILE_ADDS : g->streams ? TILE_STREAMS : TILE_STORES;
    plain_rows of_tile;
    FN(symc_tile)(rows, smaller(TILE_COLS, g->cols - col), k, a, rows, b, b_step, g->c + row * g->ldc + col, g->ldc, what,
                  columns_from(end, col, &of_tile), next);
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

/* From a panel of a thread's block of B to the next. Panels of a power of two would share the sets of the caches. */
INLINE int64_t panel_step(int64_t k) { return (k + 1) * TILE_COLS; }

/* What tile `j` of a panel of A fetches of the one that is packed next, which begins at `row`: a row, or a line of each of its
 * columns. If that is nothing, `other`. */
INLINE fetches part_of_panel(const product *g, int64_t row, int64_t k0, int64_t j, const real *other)
{
    const int64_t lines = g->trans_a ? LINE_ELEMENTS : 1, first = row + j * lines;
    if (j * lines >= TILE_ROWS || first >= g->rows || k0 >= g->k)
        return in_order(other);
    return g->trans_a ? (fetches){g->a + k0 * g->lda + first, g->lda} : (fetches){g->a + first * g->lda + k0, 1};
}

/* Packs the panels of B of a region. Whole ones are packed row by row: each row is one stretch of memory. */
static void pack_columns(const product *g, region part, int64_t k0, int64_t k, real *own)
{
    int64_t j = part.first_col, whole = smaller(part.last_col, g->cols / TILE_COLS) - j;
    if (!g->trans_b && g->rows > IN_PLACE_ROWS && whole > 0) {
        FN(symc_pack_panels)(own, panel_step(k), g->b + k0 * g->ldb + j * TILE_COLS, g->ldb, k, whole);
        j += whole;
    }
    for (; j < part.last_col; j++)
        if (!reads_in_place(g, j))
            pack_b_panel(g, own + (j - part.first_col) * panel_step(k), j * TILE_COLS,
                         smaller(TILE_COLS, g->cols - j * TILE_COLS), k0, k);
}

/* One k block of a region, cut into columns: packs the panels of B, then multiplies each panel of A by all of them. */
static void multiply_columns(const product *g, region part, int64_t k0, int64_t k, real *own, real *near)
{
    const int last = k0 + k == g->k;
    plain_rows own_end;
    pack_columns(g, part, k0, k, own);
    for (int64_t i = part.first_row; i < part.last_row; i++) {
        int64_t row = panel_row(g->rows, i), rows = panel_row(g->rows, i + 1) - row;
        const real *a = near;
        if (g->shared)
            a = g->shared + packed_at(row, k0, k, g->rows);
        else
            pack_a_panel(g, near, row, rows, k0, k);
        /* The panel that follows the last one is the first one, of the terms that follow. */
        const int ends = i + 1 == part.last_row;
        const int64_t next_row = ends ? panel_row(g->rows, part.first_row) : row + rows, next_k = ends ? k0 + k : k0;
        const plain_rows *end = last ? plain_ends_of(g->epilogue, g->first_row + row, rows, g->ldc, &own_end) : NULL;
        for (int64_t j = part.first_col; j < part.last_col; j++) {
            int in_place = reads_in_place(g, j);
            const real *b = in_place ? g->b + k0 * g->ldb + j * TILE_COLS : own + (j - part.first_col) * panel_step(k);
            multiply_tile_at(g, row, rows, j * TILE_COLS, k0, k, a, b, in_place ? g->ldb : TILE_COLS, end,
                             g->shared ? in_order(a + rows * k)
                                       : part_of_panel(g, next_row, next_k, j - part.first_col, b + panel_step(k)));
        }
        if (last && !end)
            finish_panels(g, row, rows, part.first_col, part.last_col);
    }
}

/* The same, cut into rows, with B kept. */
static void multiply_rows(const product *g, region part, int64_t k0, int64_t k, real *own)
{
    int64_t first = panel_row(g->rows, part.first_row), width = col_panels(g->cols) * TILE_COLS;
    int64_t behind = panel_row(g->rows, part.last_row);
    const int last = k0 + k == g->k;
    plain_rows all, rest;
    const plain_rows *end = last ? plain_ends_of(g->epilogue, g->first_row + first, behind - first, g->ldc, &all) : NULL;
    for (int64_t i = part.first_row; i < part.last_row; i++) {
        int64_t row = panel_row(g->rows, i);
        pack_a_panel(g, own + (row - first) * k, row, panel_row(g->rows, i + 1) - row, k0, k);
    }
    for (int64_t j = part.first_col; j < part.last_col; j++) {
        const real *b = g->shared + packed_at(j * TILE_COLS, k0, k, width);
        for (int64_t i = part.first_row; i < part.last_row; i++) {
            int64_t row = panel_row(g->rows, i), rows = panel_row(g->rows, i + 1) - row;
            /* The panel of B that follows: the first tiles fetch a part each. */
            multiply_tile_at(g, row, rows, j * TILE_COLS, k0, k, own + (row - first) * k, b, TILE_COLS,
                             rows_from(end, row - first, &rest),
                             in_order(b + TILE_COLS * k + smaller(i - part.first_row, TILE_COLS / VL - 1) * VL * k));
        }
        if (last && !end)
            finish_panels(g, first, behind - first, j, j + 1);
    }
}

static void multiply_tasks(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    int64_t longest_k = ceil_div(g->k, g->k_blocks), near = g->shared ? 0 : TILE_ROWS * longest_k;
    int64_t panels = ceil_div(g->shares_a ? col_panels(g->cols) : row_panels(g->rows), g->blocks);
    int64_t block = panels * (g->shares_a ? panel_step(longest_k) : TILE_ROWS * longest_k);
    real *own = symc_scratch(SLOT_BLOCK, (block + near) * sizeof(real));
    for (int64_t task = begin; task < end; task++) {
        region part = task_region(g, task);
        for (int64_t q = 0; q < g->k_blocks; q++) {
            int64_t k0 = k_start(g, q), k = k_start(g, q + 1) - k0;
            if (g->shares_a)
                multiply_columns(g, part, k0, k, own, own + block);
            else
                multiply_rows(g, part, k0, k, own);
        }
    }
    if (g->streams)
        finish_stream();
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

/* Splits C into regions, enough for all threads and evenly distributed, of blocks of columns of B that fit the cache. Every
 * region packs its block and its rows of A anew; whichever way costs the slowest thread least. */
static void plan_regions(product *g, int64_t threads)
{
    int64_t rows = row_panels(g->rows), cols = col_panels(g->cols), fewest = ceil_div(cols, BLOCK_PANELS), least = INT64_MAX;
    for (int64_t splits = 1; splits <= smaller(rows, threads); splits++) {
        int64_t rounds = ceil_div(fewest * splits, threads);
        int64_t blocks = smaller(cols, larger(fewest, rounds * threads / splits));
        int64_t height = ceil_div(rows, splits) * TILE_ROWS, width = ceil_div(cols, blocks) * TILE_COLS;
        int64_t cost = ceil_div(blocks * splits, threads) * (height * width + PACK_COST * (2 * height + width));
        if (cost < least)
            least = cost, g->blocks = blocks, g->splits = splits;
    }
}

/* The same if one operand is packed already: blocks of the other. If what a thread packs for itself fits one block, threads
 * may share a block, each reading a part of the kept operand. */
static void plan_tasks(product *g)
{
    int64_t threads = symc_num_threads();
    int64_t rows = row_panels(g->rows), cols = col_panels(g->cols);
    int64_t cut = g->shares_a ? cols : rows, other = g->shares_a ? rows : cols;
    g->blocks = smaller(cut, ceil_div(ceil_div(cut, BLOCK_PANELS), threads) * threads);
    g->splits = g->blocks >= threads ? 1 : smaller(other, ceil_div(threads, g->blocks));
    if (cut > BLOCK_PANELS)
        return;
    int64_t least = INT64_MAX;
    for (int64_t b = 1; b <= smaller(cut, threads); b++) {
        int64_t s = smaller(other, ceil_div(threads, b)), cost = task_cost(g, b, s);
        if (b * s <= threads && cost < least)
            least = cost, g->blocks = b, g->splits = s;
    }
}

/* The stored operand as an earlier call packed it, or memory that is kept for it; none if there is no room. */
static symc_form kept_panels(const product *g)
{
    const int a = g->shares_a;
    const int64_t width = a ? g->rows : col_panels(g->cols) * TILE_COLS;
    symc_form_key key = {a ? g->a : g->b, FORM_PANELS,
                         {VL, sizeof(real), a, a ? g->rows : g->cols, g->k, a ? g->trans_a : g->trans_b,
                          a ? g->lda : g->ldb}};
    return symc_form_of(g->stored[!a], &key, width * g->k * sizeof(real), -1);
}

/* Chooses the operand that is packed whole, a stored one, which is packed once for many calls. `few`: whether the other
 * consists of few vectors, for which a matrix A in panels of rows would be read slowly. */
static void choose_shared(product *g, int few)
{
    const int larger_a = g->rows <= 2 * g->cols, a = g->stored[0] && !few, b = g->stored[1] && (!few || g->rows <= g->cols);
    g->shares_a = a == b ? larger_a : a;
    if (a || b)
        g->whole = kept_panels(g);
    g->in_panels = g->whole.memory || g->whole.busy;
}

static void multiply(product *g)
{
    g->shared = g->whole.memory;
    g->shares_a |= !g->shared;
    g->k_blocks = ceil_div(g->k, PRODUCT_K);
    int64_t serial = g->rows * g->cols * g->k < (g->whole.ready ? SERIAL_PRODUCTS : SERIAL_PACKED);
    if (g->shared)
        plan_tasks(g);
    else
        plan_regions(g, serial ? 1 : symc_num_threads());
    int64_t tasks = g->blocks * g->splits;
    plain_rows ends;
    g->streams = !g->accumulate && g->k_blocks == 1 && g->k >= LEAST_STREAMED &&
                 (!g->epilogue || plain_ends_of(g->epilogue, g->first_row, g->rows, g->cols, &ends)) &&
                 may_stream(g->c, g->ldc, g->rows * g->cols * (int64_t)sizeof(real));
    if (g->shared && !g->whole.ready) {
        int64_t packs = (g->shares_a ? row_panels(g->rows) : col_panels(g->cols)) * g->k_blocks;
        symc_parallel(pack_shared, g, packs, serial ? packs : 1);
    }
    symc_parallel(multiply_tasks, g, tasks, serial ? tasks : 1);
    if (!g->whole.ready)
        symc_form_made(&g->whole);
}
