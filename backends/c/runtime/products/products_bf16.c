/* Matrix products of operands rounded to bfloat16, or divided into parts of bfloat16. See pairs.h.
 *
 * The sum runs over stretches of k. Of each, all threads pack B, and A too if they share its blocks of rows; otherwise each
 * packs blocks of its own. A block is multiplied by one panel of B after the other: the block stays in the second level
 * cache, the panel in the first. Packed A is a list of row tiles, packed B one of panels; both hold, for each PAIRED
 * elements of k, the parts one after the other.
 *
 * Where an operand has values that parts cannot hold, the tiles that read them are multiplied in float32.
 */
#define SYMC_DOUBLE 0
#include "pairs.h"

#include "base/epilogue.h"
#include "base/lanes.h"
#include "base/stored.h"
#include "pair_packing.h"
#include "unpacked.h"

#if SYMC_HAS_PAIRS
enum {
    PANEL = 2 * VL,              /* columns of a panel of B */
    BLOCK_BYTES = 768 << 10,     /* of a block of packed A: it stays in the second level cache */
    BLOCK_TILES = 8,             /* row tiles of a block */
    FEW_TILES = 4,               /* of A: the next panel of B is fetched meanwhile */
    SHARED_BYTES = 8 << 20,      /* of packed B: it stays in the last level cache */
    SHARED_BLOCK = 1 << 15,      /* elements of A that are packed by all for all rather than by each thread for itself */
    MANY_ROWS = 3 * VL,
    SERIAL = 1 << 20             /* products that one thread does alone */
};

typedef struct {
    operand a, b;
    float *c;
    int64_t ldc, rows, cols, k;
    int accumulate;
    pair_parts parts;
    int64_t first_step, steps, longest;   /* of the stretch in progress */
    int64_t tiles, panels, blocks, splits;
    float *packed_a, *packed_b;           /* of the stretch; A: NULL if each thread packs its own */
    extremes *extremes_a, *extremes_b;
    block_step *list;
    const symc_epilogue *epilogue;        /* or NULL: the first row of C is row `first_row` of its output */
    int64_t first_row;
} product;

INLINE int64_t tile_floats(const product *g, int64_t steps) { return steps * g->parts.count * PAIR_ROWS * VL; }
INLINE int64_t panel_floats(const product *g, int64_t steps) { return steps * g->parts.count * PANEL * VL; }
INLINE int64_t tile_rows_of(const product *g, int64_t tile) { return smaller(PAIR_ROWS, g->rows - tile * PAIR_ROWS); }
INLINE int64_t panel_cols(const product *g, int64_t panel) { return g->cols - panel * PANEL > VL ? PANEL : VL; }

/* ---- packing ---- */

/* PAIR_ROWS rows, or PANEL columns, of a stretch; `line`: floats between two vectors. */
INLINE extremes pack_lanes(const product *g, const operand *x, int by_pairs, int parts, int64_t at, int64_t count,
                            int64_t line, float *to)
{
    extreme_lanes lanes = NO_EXTREME_LANES;
    int64_t halves = count > VL ? 2 : 1, part = by_pairs ? line * VL : PAIR_ROWS * VL;
    for (int64_t step = 0; step < g->steps; step++, to += parts * part) {
        int64_t k = (g->first_step + step) * PAIRED, depth = smaller(PAIRED, g->k - k);
        for (int64_t h = 0; h < halves; h++)
            pack_square(x, by_pairs, parts, at + h * VL, smaller(VL, count - h * VL), k, depth, part, line,
                        to + h * VL * (by_pairs ? 1 : line), &lanes);
    }
    return extremes_of(lanes);
}

static extremes pack_tile(const product *g, int64_t tile, float *to)
{
    int64_t row = tile * PAIR_ROWS, rows = tile_rows_of(g, tile);
    return g->parts.count == 1 ? pack_lanes(g, &g->a, 0, 1, row, rows, VL, to) : pack_lanes(g, &g->a, 0, 3, row, rows, VL, to);
}

static extremes pack_panel(const product *g, int64_t panel, float *to)
{
    int64_t col = panel * PANEL, exist = smaller(PANEL, g->cols - col), line = panel_cols(g, panel);
    return g->parts.count == 1 ? pack_lanes(g, &g->b, 1, 1, col, exist, line, to) : pack_lanes(g, &g->b, 1, 3, col, exist, line, to);
}

static void pack_panels(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    for (int64_t i = begin; i < end; i++)
        g->extremes_b[i] = pack_panel(g, i, g->packed_b + i * panel_floats(g, g->steps));
}

static void pack_tiles(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    for (int64_t i = begin; i < end; i++)
        g->extremes_a[i] = pack_tile(g, i, g->packed_a + i * tile_floats(g, g->steps));
}

/* ---- multiplication ---- */

/* C (rows, cols) = (accumulate ? C : 0) + the stretch's sum, in float32, from operands in memory. */
static void multiply_exactly(const product *g, int64_t row, int64_t rows, int64_t col, int64_t cols, int accumulate)
{
    int64_t k0 = g->first_step * PAIRED, k = smaller(g->steps * PAIRED, g->k - k0);
    const float *b = g->b.from + (g->b.transposed ? k0 * g->b.ld + col : col * g->b.ld + k0);
    const float *a = g->a.from + (g->a.transposed ? k0 * g->a.ld + row : row * g->a.ld + k0);
    int64_t ldb = g->b.ld;
    if (!g->b.transposed) {
        float *turned = symc_scratch(SLOT_ROW, g->longest * PAIRED * PANEL * sizeof(float));
        symc_transpose_f32(turned, cols, b, ldb, cols, k);
        b = turned, ldb = cols;
    }
    symc_unpacked_product_f32(rows, cols, k, a, g->a.transposed ? 1 : g->a.ld, g->a.transposed ? g->a.ld : 1, b, ldb,
                              g->c + row * g->ldc + col, g->ldc, accumulate);
}

/* Adds the columns that exist of a tile that was summed apart. */
static void put_tile(const product *g, int64_t rows, int64_t cols, int64_t exist, const float *from, float *c, int accumulate)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < exist; j += VL) {
            lane_mask mask = first_lanes(smaller(VL, exist - j));
            vec sum = load(from + r * cols + j);
            if (accumulate)
                sum += load_lanes(c + r * g->ldc + j, mask);
            store_lanes(c + r * g->ldc + j, sum, mask);
        }
}

/* Row tiles [first, last) times a panel. Tiles whose columns do not all exist are summed in `sums` first. */
static void multiply_panel(const product *g, int64_t first, int64_t last, int64_t panel, const float *a,
                           const extremes *tiles, float *sums)
{
    int64_t col = panel * PANEL, cols = panel_cols(g, panel), exist = smaller(PANEL, g->cols - col);
    const float *b = g->packed_b + panel * panel_floats(g, g->steps);
    int accumulate = g->accumulate || g->first_step > 0, exact = g->parts.count > 1;
    for (int64_t i = first; i < last; i++) {
        int64_t row = i * PAIR_ROWS, rows = tile_rows_of(g, i);
        if (exact && !parts_hold(tiles[i - first], g->extremes_b[panel])) {
            multiply_exactly(g, row, rows, col, exist, accumulate);
            continue;
        }
        const float *tile = a + (i - first) * tile_floats(g, g->steps);
        float *c = g->c + row * g->ldc + col;
        if (exist == cols) {
            symc_part_tile(&g->parts, rows, cols, 1, g->steps, g->list, tile, b, c, g->ldc, accumulate);
            continue;
        }
        symc_part_tile(&g->parts, rows, cols, 1, g->steps, g->list, tile, b, sums, cols, 0);
        put_tile(g, rows, cols, exist, sums, c, accumulate);
    }
    if ((g->first_step + g->steps) * PAIRED >= g->k)
        finish_columns(g->epilogue, g->first_row + first * PAIR_ROWS, smaller(last * PAIR_ROWS, g->rows) - first * PAIR_ROWS,
                       col, exist);
}

/* Tasks (block of rows, split of the panels). */
static void multiply_blocks(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    int64_t tiles = ceil_div(g->tiles, g->blocks);
    float *own = g->packed_a ? NULL : symc_scratch(SLOT_BLOCK, tiles * tile_floats(g, g->longest) * sizeof(float));
    float *sums = symc_scratch(SLOT_BLOCK_2, PAIR_ROWS * PANEL * sizeof(float));
    extremes tiles_of_block[BLOCK_TILES];
    symc_pair_tiles_begin();
    for (int64_t task = begin; task < end; task++) {
        int64_t block = task / g->splits, split = task % g->splits;
        int64_t first = block * g->tiles / g->blocks, last = (block + 1) * g->tiles / g->blocks;
        if (own)
            for (int64_t i = first; i < last; i++)
                tiles_of_block[i - first] = pack_tile(g, i, own + (i - first) * tile_floats(g, g->steps));
        for (int64_t panel = split * g->panels / g->splits; panel < (split + 1) * g->panels / g->splits; panel++)
            multiply_panel(g, first, last, panel, own ? own : g->packed_a + first * tile_floats(g, g->steps),
                           own ? tiles_of_block : g->extremes_a + first, sums);
    }
    symc_pair_tiles_end();
}

/* ---- the whole product ---- */

/* All of B in pairs, as an earlier call left it, or memory for it; none if it is packed in stretches of k. The extremes of the
 * panels of all stretches follow. */
static symc_form kept_panels(const product *g, symc_stored *stored, int64_t all)
{
    symc_form_key key = {g->b.from, FORM_PAIRED_PANELS,
                         {VL, g->cols, g->k, g->b.transposed, g->b.ld, g->longest, g->parts.count}};
    size_t bytes = g->panels * (panel_floats(g, all) * sizeof(float) + ceil_div(all, g->longest) * sizeof(extremes));
    return stored ? symc_form_of(stored, &key, bytes, -1) : (symc_form){0};
}

/* Blocks that fit the cache, and enough tasks for all threads. */
static void plan(product *g, int64_t all, int serial)
{
    int64_t threads = serial ? 1 : symc_num_threads();
    int64_t shared = SHARED_BYTES / (panel_floats(g, 1) * g->panels * (int64_t)sizeof(float));
    int64_t own = BLOCK_BYTES / (BLOCK_TILES * tile_floats(g, 1) * (int64_t)sizeof(float));
    g->longest = smaller(all, larger(1, smaller(shared, own)));
    g->blocks = ceil_div(g->tiles, BLOCK_TILES);
    g->splits = 1;
    if (threads == 1 || g->blocks % threads == 0 || g->blocks >= 4 * threads)
        return;
    if (g->tiles >= g->panels) /* smaller blocks: each thread reads all of B */
        g->blocks = smaller(g->tiles, ceil_div(g->blocks, threads) * threads);
    else /* each reads all of A */
        g->splits = smaller(g->panels, (g->rows * g->k < SHARED_BLOCK ? 1 : 2) * threads);
}

/* Whether parts pay, by times in nanoseconds that were measured on one processor: of a multiplication in float32 and one in parts, of
 * an element that is packed into parts rather than panels, and of one of C. They are on the safe side: what is packed takes place in
 * the cache that others need. */
static int parts_pay(int64_t rows, int64_t cols, int64_t k, int is_stored)
{
    const double plain = 0.0114, parts = 0.0062, pack = 0.33, pack_near = 0.44, pack_far = 0.72, put = 0.17;
    const int64_t near = 1 << 16;
    double whole = (double)(ceil_div(rows, VL) * VL) * (double)(ceil_div(cols, VL) * VL) * (double)(ceil_div(k, PAIRED) * PAIRED);
    double packed = pack * (double)(rows * k) + (is_stored ? 0 : (cols * k > near ? pack_far : pack_near) * (double)(cols * k));
    return parts * whole + packed + put * (double)(rows * cols) < plain * (double)rows * (double)cols * (double)k;
}

static int is_worthwhile(int64_t rows, int64_t cols, int64_t k, int count, int is_stored)
{
    return cols >= VL && k >= PAIRED && rows >= (count > 1 ? VL : is_stored ? 1 : MANY_ROWS) &&
           (count == 1 || parts_pay(rows, cols, k, is_stored));
}

int symc_paired_gemm(const int64_t *p, float *c, const float *a, const float *b, symc_stored *stored_b,
                     const symc_epilogue *epilogue, int64_t first_row)
{
    int count = chosen_parts();
    if (!count || !is_worthwhile(p[2], p[3], p[4], count, stored_b != NULL))
        return 0;
    product g = {.a = {p[0] != 0, a, p[5]}, .b = {p[1] == 0, b, p[6]}, .c = c, .ldc = p[7], .rows = p[2], .cols = p[3],
                 .k = p[4], .accumulate = p[8] != 0, .parts = {count, PAIR_ROWS * VL, VL, 0},
                 .tiles = ceil_div(p[2], PAIR_ROWS), .panels = ceil_div(p[3], PANEL), .epilogue = epilogue,
                 .first_row = first_row};
    int64_t all = ceil_div(g.k, PAIRED);
    int serial = g.rows * g.cols * g.k < SERIAL;
    plan(&g, all, serial);
    symc_form whole = kept_panels(&g, stored_b, all);
    if (count == 1 && g.rows < MANY_ROWS && !whole.memory)
        return 0; /* parts are as exact as float32, but not equal: the choice does not depend on what is kept just now */
    g.parts.fetch = g.tiles <= FEW_TILES;
    g.list = symc_scratch(SLOT_TABLE, g.longest * sizeof *g.list + (g.tiles + g.panels) * sizeof(extremes));
    g.extremes_a = (extremes *)(g.list + g.longest), g.extremes_b = g.extremes_a + g.tiles;
    for (int64_t q = 0; q < g.longest; q++)
        g.list[q] = (block_step){tile_floats(&g, q), q * count * VL};
    if (g.splits > 1 && g.rows * g.k >= SHARED_BLOCK)
        g.packed_a = symc_scratch(SLOT_SHARED_2, g.tiles * tile_floats(&g, g.longest) * sizeof(float));
    float *packed = whole.memory;
    if (!packed)
        packed = symc_scratch(SLOT_SHARED, g.panels * panel_floats(&g, g.longest) * sizeof(float));
    for (g.first_step = 0; g.first_step < all; g.first_step += g.steps) {
        g.steps = smaller(g.longest, all - g.first_step);
        g.packed_b = packed;
        if (whole.memory) {
            g.packed_b += g.panels * panel_floats(&g, g.first_step);
            g.extremes_b = (extremes *)(packed + g.panels * panel_floats(&g, all)) + g.first_step / g.longest * g.panels;
        }
        int64_t tasks = g.blocks * g.splits;
        if (!whole.ready)
            symc_parallel(pack_panels, &g, g.panels, serial ? g.panels : 1);
        if (g.packed_a)
            symc_parallel(pack_tiles, &g, g.tiles, serial ? g.tiles : 1);
        symc_parallel(multiply_blocks, &g, tasks, serial ? tasks : 1);
    }
    if (!whole.ready)
        symc_form_made(&whole);
    return 1;
}
#endif
