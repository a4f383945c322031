/* Matrix products of operands rounded to bfloat16. See pairs.h.
 *
 * All threads pack a stretch of k of B, then each packs blocks of rows of A and multiplies them by all of it, or by a part if
 * there are few rows. Packed A has pixels' form, PAIRED elements of k in a vector, so that the kernel is that of
 * convolutions.
 */
#define SYMC_DOUBLE 0
#include "pairs.h"

#include "base/lanes.h"
#include "base/masked.h"
#include "base/stored.h"

#if SYMC_HAS_PAIRS
enum {
    BLOCK_ROWS = 128,
    MANY_ROWS = 3 * VL,
    SHARED_PAIRS = 2 << 20, /* of packed B: it stays in the last level cache */
    LEAST_STEPS = 16,
    SERIAL = 1 << 18 /* products that one thread does alone */
};

typedef struct {
    int transposed;
    const float *from;
    int64_t ld;
} operand;

typedef struct {
    operand a, b;
    float *c;
    int64_t ldc, rows, cols, k, first_step, steps, blocks, splits;
    int accumulate;
    float *packed;
    block_step *list;
} product;

/* PAIRED neighbours of memory, of which `count` exist. */
INLINE vec load_pairs(const float *p, int64_t count)
{
    vec low = load_lanes(p, first_lanes(smaller(VL, count))), high = load_lanes(p + VL, first_lanes(larger(0, count - VL)));
    return (vec)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}

/* VL rows of A or columns of B from `at` on, of which `count` exist, times PAIRED elements of k: vector i holds pair i of k of
 * each. An operand is transposed if its memory is not contiguous along k. */
static void pack_square(const operand *x, int64_t at, int64_t count, int64_t k, int64_t depth, vec v[VL])
{
    if (x->transposed) {
        lane_mask mask = first_lanes(count);
        for (int i = 0; i < VL; i++) {
            const float *p = x->from + (k + 2 * i) * x->ld + at;
            vec even = load_lanes(p, 2 * i < depth ? mask : 0);
            v[i] = as_pairs(even, load_lanes(p + x->ld, 2 * i + 1 < depth ? mask : 0));
        }
        return;
    }
    for (int i = 0; i < VL; i++)
        v[i] = i < count ? load_pairs(x->from + (at + i) * x->ld + k, depth) : (vec){0};
    transpose_square(v);
}

/* The same, but vector i holds all pairs of row i. */
static void pack_square_by_place(const operand *x, int64_t at, int64_t count, int64_t k, int64_t depth, vec v[VL])
{
    if (x->transposed) {
        pack_square(x, at, count, k, depth, v);
        transpose_square(v);
    } else
        for (int i = 0; i < VL; i++)
            v[i] = i < count ? load_pairs(x->from + (at + i) * x->ld + k, depth) : (vec){0};
}

INLINE int64_t panel_cols(const product *g, int64_t panel) { return g->cols - panel * 2 * VL > VL ? 2 * VL : VL; }

/* Tasks (step, panel of columns). */
static void pack_b(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    for (int64_t task = begin; task < end; task++) {
        int64_t panels = ceil_div(g->cols, 2 * VL), panel = task % panels, step = task / panels, cols = panel_cols(g, panel);
        int64_t k = (g->first_step + step) * PAIRED, depth = smaller(PAIRED, g->k - k);
        float *to = g->packed + (panel * g->steps * 2 + step * cols / VL) * VL * VL;
        for (int64_t half = 0; half < cols; half += VL) {
            vec v[VL];
            int64_t at = panel * 2 * VL + half;
            pack_square(&g->b, at, smaller(VL, g->cols - at), k, depth, v);
            for (int i = 0; i < VL; i++)
                store(to + i * cols + half, v[i]);
        }
    }
}

static void pack_a(const product *g, int64_t row, int64_t rows, float *to)
{
    for (int64_t step = 0; step < g->steps; step++) {
        int64_t k = (g->first_step + step) * PAIRED, depth = smaller(PAIRED, g->k - k);
        for (int64_t i = 0; i < rows; i += VL) {
            vec v[VL];
            pack_square_by_place(&g->a, row + i, smaller(VL, rows - i), k, depth, v);
            for (int j = 0; j < VL; j++)
                store(to + (step * BLOCK_ROWS + i + j) * VL, v[j]);
        }
    }
}

/* A tile whose columns do not all exist goes by way of `whole`. */
static void multiply_tile(const product *g, int64_t rows, int64_t cols, int64_t exist, const float *a, const float *b, float *c,
                          float *whole)
{
    int accumulate = g->accumulate || g->first_step > 0;
    if (exist == cols) {
        symc_pair_tile(rows, cols, 1, g->steps, g->list, a, b, c, g->ldc, accumulate);
        return;
    }
    symc_pair_tile(rows, cols, 1, g->steps, g->list, a, b, whole, cols, 0);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < exist; j += VL) {
            lane_mask mask = first_lanes(smaller(VL, exist - j));
            vec sum = load(whole + r * cols + j);
            if (accumulate)
                sum += load_lanes(c + r * g->ldc + j, mask);
            store_lanes(c + r * g->ldc + j, sum, mask);
        }
}

/* Tasks (block of rows, split of the columns). */
static void multiply_blocks(void *arg, int64_t begin, int64_t end)
{
    const product *g = arg;
    float *a = symc_scratch(SLOT_BLOCK, BLOCK_ROWS * g->steps * VEC_BYTES);
    float *whole = symc_scratch(SLOT_BLOCK_2, PAIR_ROWS * 2 * VEC_BYTES);
    int64_t panels = ceil_div(g->cols, 2 * VL);
    symc_pair_tiles_begin();
    for (int64_t task = begin; task < end; task++) {
        int64_t block = task / g->splits, split = task % g->splits;
        int64_t row = block * BLOCK_ROWS, rows = smaller(BLOCK_ROWS, g->rows - row);
        pack_a(g, row, rows, a);
        for (int64_t panel = split * panels / g->splits; panel < (split + 1) * panels / g->splits; panel++)
            for (int64_t i = 0; i < rows; i += PAIR_ROWS)
                multiply_tile(g, smaller(PAIR_ROWS, rows - i), panel_cols(g, panel), smaller(2 * VL, g->cols - panel * 2 * VL),
                              a + i * VL, g->packed + panel * g->steps * 2 * VL * VL,
                              g->c + (row + i) * g->ldc + panel * 2 * VL, whole);
    }
    symc_pair_tiles_end();
}

/* All of B in pairs, as an earlier call left it, or memory for it; none if it is packed in stretches of k. */
static symc_form packed_whole(const product *g, symc_stored *stored, int64_t longest, int64_t all)
{
    int64_t width = ceil_div(g->cols, 2 * VL) * 2 * VL;
    symc_form_key key = {g->b.from, FORM_PAIRED_PANELS, {VL, g->cols, g->k, g->b.transposed, g->b.ld, longest}};
    return stored ? symc_form_of(stored, &key, width * all * VEC_BYTES, -1) : (symc_form){0};
}

int symc_paired_gemm(const int64_t *p, float *c, const float *a, const float *b, symc_stored *stored_b)
{
    if (p[3] < VL || p[4] < PAIRED || p[2] < (stored_b ? 1 : MANY_ROWS))
        return 0;
    product g = {.a = {p[0] != 0, a, p[5]}, .b = {p[1] == 0, b, p[6]}, .c = c, .ldc = p[7], .rows = p[2], .cols = p[3],
                 .k = p[4], .accumulate = p[8] != 0};
    int64_t threads = symc_num_threads(), panels = ceil_div(g.cols, 2 * VL), all = ceil_div(g.k, PAIRED);
    int64_t longest = smaller(all, larger(LEAST_STEPS, SHARED_PAIRS / (panels * 2 * VL * VL)));
    int serial = g.rows * g.cols * g.k < SERIAL;
    symc_form whole = packed_whole(&g, stored_b, longest, all);
    if (g.rows < MANY_ROWS && !whole.memory)
        return 0;
    g.blocks = ceil_div(g.rows, BLOCK_ROWS);
    g.splits = g.blocks >= 2 * threads ? 1 : smaller(panels, ceil_div(2 * threads, g.blocks));
    g.list = symc_scratch(SLOT_TABLE, longest * sizeof *g.list);
    for (int64_t q = 0; q < longest; q++)
        g.list[q] = (block_step){q * BLOCK_ROWS * VL, q * VL};
    float *packed = whole.memory ? whole.memory : symc_scratch(SLOT_SHARED, panels * longest * 2 * VL * VEC_BYTES);
    for (g.first_step = 0; g.first_step < all; g.first_step += g.steps) {
        g.steps = smaller(longest, all - g.first_step);
        g.packed = whole.memory ? packed + panels * g.first_step * 2 * VL * VL : packed;
        int64_t packs = panels * g.steps, tasks = g.blocks * g.splits;
        if (!whole.ready)
            symc_parallel(pack_b, &g, packs, serial ? packs : 16);
        symc_parallel(multiply_blocks, &g, tasks, serial ? tasks : 1);
    }
    if (!whole.ready)
        symc_form_made(&whole);
    return 1;
}
#endif
