/* The inner kernel of every matrix product: one tile of C, from packed operands.
 *
 * A tile has up to TILE_ROWS rows and TILE_COLS columns. A panel of A is packed as k x rows, a panel of B as
 * k x TILE_COLS, so both are read sequentially. The tile's elements stay in registers over the whole of k.
 */
#ifndef SYMC_TILE_H
#define SYMC_TILE_H

#include "base/ahead.h"
#include "base/plain.h"

#if defined(__AVX512F__) || defined(__aarch64__)
#define VECTOR_REGISTERS 32
#define TILE_ROWS 14 /* 28 sums, 2 of B and 1 of A in 32 registers */
#else
#define VECTOR_REGISTERS 16
#define TILE_ROWS 6 /* 12 sums, 2 of B and 1 of A in 16 registers */
#endif
#define TILE_COLS (2 * VL)

/* k-extent of a packed block: panels of A and B then stay in the first and second level cache. */
#define BLOCK_K (SYMC_DOUBLE ? 192 : 384)
/* The same in products of matrices, which then are not divided, packed or not: every tile adds to C once per block, which
 * costs more than a panel of A that leaves the first level cache where panels of B pass through it. */
#define PRODUCT_K (SYMC_DOUBLE ? 352 : 512)

/* What a tile does with C; the last one stores whole tiles past the caches, see base/stream.h: their rows are aligned. */
enum { TILE_STORES, TILE_ADDS, TILE_STREAMS };

/* The terms of sums that are stored past the caches: shorter ones are made faster than memory takes them. */
enum { LEAST_STREAMED = 25 };

/* What is fetched to the second level cache while a tile is multiplied: a line with each of its steps, so many elements apart. */
typedef struct {
    const real *from;
    int64_t apart;
} fetches;

INLINE fetches in_order(const real *from) { return (fetches){from, VL}; }

/* C (rows, cols) = (adds ? C : 0) + A B, with A[r, k] at a[k * a_step + r] and B[k, j] at b[k * b_step + j].
 * cols <= TILE_COLS; b must be readable over ceil(cols / VL) whole vectors. The sums are finished unless `end` is NULL, by
 * terms that begin with those of the first row and column. What is used next is fetched meanwhile. */
HIDDEN void FN(symc_tile)(int64_t rows, int64_t cols, int64_t k, const real *a, int64_t a_step, const real *b,
                          int64_t b_step, real *c, int64_t ldc, int what, const plain_rows *end, fetches next);

/* Adds the products of `rows` elements of A, `a_step` apart, and up to two vectors of B. */
INLINE void add_row_products(int rows, int vecs, const real *a, int64_t a_step, const real *b, vec sum[TILE_ROWS][2])
{
    vec bk[2];
    UNROLL
    for (int v = 0; v < vecs; v++)
        bk[v] = load(b + v * VL);
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            sum[r][v] += a[r * a_step] * bk[v];
    }
}

/* The elements that a step of a sum begins with, in operands that are not packed for one tile. */
typedef struct {
    int64_t a, b;
} block_step;

/* The same of tiles that take more from memory, [next, last): so many lines with each step.
 * Shared evenly among the tiles that precede its use: memory beyond the cache does not answer as fast as one tile asks. */
typedef struct {
    const real *next, *last;
    int64_t lines;
} ahead;

INLINE void fetch_lines(ahead *f)
{
    for (int64_t i = 0; i < f->lines && f->next < f->last; i++, f->next += LINE_ELEMENTS)
        __builtin_prefetch(f->next, 0, 2);
}

/* `steps` steps of VL rows of `cols` elements that follow, shared among `tiles` tiles of as many steps. */
INLINE ahead ahead_of(const real *next, int64_t steps, int64_t cols, int64_t tiles)
{
    return (ahead){next, next + steps * VL * cols, ceil_div(VL * cols / LINE_ELEMENTS, larger(1, tiles))};
}

/* dst[c * ld_dst + r] = src[r * ld_src + c] for r < rows, c < cols; ld_dst >= rows. Writes nothing else. */
HIDDEN void FN(symc_transpose)(real *dst, int64_t ld_dst, const real *src, int64_t ld_src, int64_t rows, int64_t cols);

/* dst[r * ld_dst + c] = src[r * ld_src + c] for c < cols, and 0 for cols <= c < padded. */
HIDDEN void FN(symc_copy_rows)(real *dst, int64_t ld_dst, const real *src, int64_t ld_src, int64_t rows, int64_t cols,
                               int64_t padded);

/* Packs `panels` panels of B that lie side by side, in one pass over the rows: each `step` elements behind the one before. */
HIDDEN void FN(symc_pack_panels)(real *to, int64_t step, const real *src, int64_t ld_src, int64_t rows, int64_t panels);

#endif
