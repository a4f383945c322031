/* See pairs.h. */
#define _GNU_SOURCE
#include "pairs.h"

int symc_pairs;

#if SYMC_HAS_TILES
#include <sys/syscall.h>
#include <unistd.h>

static __thread int tile_rows; /* of the last configuration */

/* Linux hands out the tiles of AMX to processes that ask for them. */
static int open_tiles(void)
{
    enum { REQUEST = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

/* Tiles: 0 to 3 sums, 4 and 5 pixels, 6 and 7 filters. */
static void configure(int rows)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1};
    int first = rows < 16 ? rows : 16, second = rows > 16 ? rows - 16 : 1;
    uint8_t heights[8] = {first, first, second, second, first, second, 16, 16};
    for (int i = 0; i < 8; i++)
        c.bytes[i] = 64, c.rows[i] = heights[i];
    _tile_loadconfig(&c);
    tile_rows = rows;
}

enum { AHEAD = 12 << 10 /* bytes */ };

/* Fetches what follows on a tile of B, `wide` registers, into the first level cache: loads of registers wait for memory one after
 * another, and with few rows of A much of B comes from far. Harmless beyond its end. */
INLINE void fetch_ahead(const float *w, int wide)
{
    const char *ahead = (const char *)w + AHEAD;
    UNROLL
    for (int i = 0; i < 16 * wide; i++)
        __builtin_prefetch(ahead + i * 64);
}

/* Registers 4 and 5 are loaded from part i of A and 6 and 7 from part j of B, unless they hold them, and multiplied. */
#define MULTIPLY(LOAD_A, I, LOAD_B, J)                                                                              \
    do {                                                                                                            \
        const float *p = a + list[q].a + (I) * parts->a, *w = b + (list[q].b + (J) * parts->b) * wide * VL;         \
        if (LOAD_A) _tile_loadd(4, p, a_step);                                                                      \
        if (LOAD_B && parts->fetch) fetch_ahead(w, wide);                                                           \
        if (LOAD_B) _tile_loadd(6, w, b_step);                                                                      \
        _tile_dpbf16ps(0, 4, 6);                                                                                    \
        if (high > 1) {                                                                                             \
            if (LOAD_A) _tile_loadd(5, p + 16 * pixel * VL, a_step);                                                \
            _tile_dpbf16ps(2, 5, 6);                                                                                \
        }                                                                                                           \
        if (wide > 1) {                                                                                             \
            if (LOAD_B) _tile_loadd(7, w + VL, b_step);                                                             \
            _tile_dpbf16ps(1, 4, 7);                                                                                \
            if (high > 1) _tile_dpbf16ps(3, 5, 7);                                                                  \
        }                                                                                                           \
    } while (0)

INLINE void multiply_tiles(int count, const pair_parts *parts, int high, int wide, int64_t pixel, int64_t steps,
                           const block_step *list, const float *a, const float *b, float *c, int64_t ldc, int accumulate)
{
    const int64_t a_step = pixel * VEC_BYTES, b_step = wide * VEC_BYTES, c_step = ldc * 4;
    if (accumulate) {
        _tile_loadd(0, c, c_step);
        if (wide > 1) _tile_loadd(1, c + VL, c_step);
        if (high > 1) _tile_loadd(2, c + 16 * ldc, c_step);
        if (high > 1 && wide > 1) _tile_loadd(3, c + 16 * ldc + VL, c_step);
    } else {
        _tile_zero(0);
        if (wide > 1) _tile_zero(1);
        if (high > 1) _tile_zero(2);
        if (high > 1 && wide > 1) _tile_zero(3);
    }
    for (int64_t q = 0; q < steps; q++) {
        if (count == 1) {
            MULTIPLY(1, 0, 1, 0);
        } else if (count == 2) {
            MULTIPLY(1, 0, 1, 1);
            MULTIPLY(0, 0, 1, 0);
            MULTIPLY(1, 1, 0, 0);
        } else {
            MULTIPLY(1, 0, 1, 2);
            MULTIPLY(0, 0, 1, 1);
            MULTIPLY(1, 1, 0, 1);
            MULTIPLY(0, 1, 1, 0);
            MULTIPLY(1, 2, 0, 0);
            MULTIPLY(1, 0, 0, 0);
        }
    }
    _tile_stored(0, c, c_step);
    if (wide > 1) _tile_stored(1, c + VL, c_step);
    if (high > 1) _tile_stored(2, c + 16 * ldc, c_step);
    if (high > 1 && wide > 1) _tile_stored(3, c + 16 * ldc + VL, c_step);
}

typedef void tiles_kernel(const pair_parts *parts, int64_t pixel, int64_t steps, const block_step *list, const float *a,
                          const float *b, float *c, int64_t ldc, int accumulate);

#define KERNEL(COUNT, HIGH, WIDE)                                                                                   \
    static void tiles_##COUNT##_##HIGH##_##WIDE(const pair_parts *parts, int64_t pixel, int64_t steps,              \
                                                const block_step *list, const float *a, const float *b, float *c,   \
                                                int64_t ldc, int accumulate)                                        \
    {                                                                                                               \
        multiply_tiles(COUNT, parts, HIGH, WIDE, pixel, steps, list, a, b, c, ldc, accumulate);                     \
    }
#define KERNELS(COUNT) KERNEL(COUNT, 1, 1) KERNEL(COUNT, 1, 2) KERNEL(COUNT, 2, 1) KERNEL(COUNT, 2, 2)
#define NAMES(COUNT) {{tiles_##COUNT##_1_1, tiles_##COUNT##_1_2}, {tiles_##COUNT##_2_1, tiles_##COUNT##_2_2}}

KERNELS(1) KERNELS(2) KERNELS(3)

static tiles_kernel *const by_tiles[3][2][2] = {NAMES(1), NAMES(2), NAMES(3)};
#endif

#if SYMC_HAS_PAIRS
/* Rows of A, `apart` elements from one another, are three to a pointer: what is one or two distances behind a pointer has an
 * address in the same instruction. */
typedef struct {
    const float *rows[(TILE_ROWS + 2) / 3];
    int64_t apart;
} row_pointers;

INLINE row_pointers row_pointers_of(int rows, const float *a, int64_t apart)
{
    row_pointers p = {.apart = apart};
    UNROLL
    for (int i = 0; i < (rows + 2) / 3; i++)
        p.rows[i] = a + 3 * i * apart;
    return p;
}

/* Element `i` of row `r`. */
INLINE float element_of(const row_pointers *p, int r, int i) { return p->rows[r / 3][r % 3 * p->apart + i]; }

/* Adds the products of pair `i` of each row and of a row of B. */
INLINE void add_pair(int rows, int vecs, const row_pointers *a, int i, const float *b, __m512 sum[TILE_ROWS][2])
{
    vec w[2];
    UNROLL
    for (int v = 0; v < vecs; v++)
        w[v] = load(b + v * VL);
    UNROLL
    for (int r = 0; r < rows; r++) {
        __m512bh pair = (__m512bh)_mm512_set1_ps(element_of(a, r, i));
        UNROLL
        for (int v = 0; v < vecs; v++)
            sum[r][v] = _mm512_dpbf16_ps(sum[r][v], pair, (__m512bh)w[v]);
    }
}

INLINE void multiply_pairs(int rows, int vecs, const pair_tile *t, const float *a, const float *b)
{
    enum { AT_ONCE = 4 };
    __m512 sum[TILE_ROWS][2];
    float *c = t->c;
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            sum[r][v] = t->accumulate ? _mm512_loadu_ps(c + r * t->ldc + v * VL) : _mm512_setzero_ps();
    }
    if (vecs == 2 && t->end) {
        UNROLL
        for (int r = 0; r < rows; r++)
            __builtin_prefetch(t->pairs + r * VL, 1);
    }
    ahead fetch = t->fetch;
    for (int64_t q = 0; q < t->steps; q++) {
        fetch_lines(&fetch);
        const float *p = a + t->list[q].a, *w = b + t->list[q].b * vecs * VL;
        const int few = t->parts->few && t->list[q].b >= t->parts->last;
        const int64_t pairs = few ? t->parts->few : VL, gap = few ? t->parts->gap : 1;
        int64_t i = 0;
        for (; gap == 1 && i + AT_ONCE <= pairs; i += AT_ONCE, p += AT_ONCE, w += AT_ONCE * vecs * VL) {
            const row_pointers from = row_pointers_of(rows, p, t->apart);
            UNROLL
            for (int k = 0; k < AT_ONCE; k++)
                add_pair(rows, vecs, &from, k, w + k * vecs * VL, sum);
        }
        for (; i < pairs; i++, p += gap, w += vecs * VL) {
            const row_pointers from = row_pointers_of(rows, p, t->apart);
            add_pair(rows, vecs, &from, 0, w, sum);
        }
    }
    if (vecs == 2 && t->end) {
        UNROLL
        for (int r = 0; r < rows; r++)
            store(t->pairs + r * VL,
                  finished_pixel((vec)sum[r][0], (vec)sum[r][1], 1, t->end, t->added ? t->added + r * VL : NULL));
        return;
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            _mm512_storeu_ps(c + r * t->ldc + v * VL, sum[r][v]);
    }
}

typedef void vectors_kernel(const pair_tile *t, const float *a, const float *b);

#define BY_VECTORS(ROWS)                                                                                            \
    static void vectors_##ROWS##_1(const pair_tile *t, const float *a, const float *b) { multiply_pairs(ROWS, 1, t, a, b); } \
    static void vectors_##ROWS##_2(const pair_tile *t, const float *a, const float *b) { multiply_pairs(ROWS, 2, t, a, b); }
#define VECTORS(ROWS) {vectors_##ROWS##_1, vectors_##ROWS##_2}

BY_VECTORS(1) BY_VECTORS(2) BY_VECTORS(3) BY_VECTORS(4) BY_VECTORS(5) BY_VECTORS(6) BY_VECTORS(7)
BY_VECTORS(8) BY_VECTORS(9) BY_VECTORS(10) BY_VECTORS(11) BY_VECTORS(12) BY_VECTORS(13) BY_VECTORS(14)

static vectors_kernel *const by_vectors[TILE_ROWS][2] = {VECTORS(1), VECTORS(2), VECTORS(3), VECTORS(4), VECTORS(5), VECTORS(6),
                                                         VECTORS(7), VECTORS(8), VECTORS(9), VECTORS(10), VECTORS(11),
                                                         VECTORS(12), VECTORS(13), VECTORS(14)};

void symc_vector_tile(int64_t rows, int64_t cols, const pair_tile *t, const float *a, const float *b)
{
    by_vectors[rows - 1][cols > VL](t, a, b);
}

void symc_part_tile(const pair_parts *parts, int64_t rows, int64_t cols, int64_t pixel, int64_t steps,
                    const block_step *list, const float *a, const float *b, float *c, int64_t ldc, int accumulate)
{
#if SYMC_HAS_TILES
    if (symc_pairs == PAIRS_BY_TILES || parts->count > 1) {
        if (rows != tile_rows)
            configure((int)rows);
        by_tiles[parts->count - 1][rows > 16][cols > VL](parts, pixel, steps, list, a, b, c, ldc, accumulate);
        return;
    }
#endif
    const int64_t tiles = ceil_div(rows, TILE_ROWS), apart = pixel * VL;
    for (int64_t i = 0; i < tiles; i++) {
        int64_t at = i * rows / tiles;
        const pair_tile t = {.parts = parts, .apart = apart, .steps = steps, .list = list, .c = c + at * ldc, .ldc = ldc,
                             .accumulate = accumulate};
        symc_vector_tile((i + 1) * rows / tiles - at, cols, &t, a + at * apart, b);
    }
}

void symc_pair_tile(int64_t rows, int64_t cols, int64_t pixel, int64_t steps, const block_step *list, const float *a,
                    const float *b, float *c, int64_t ldc, int accumulate)
{
    symc_part_tile(&(pair_parts){.count = 1}, rows, cols, pixel, steps, list, a, b, c, ldc, accumulate);
}

void symc_pair_tiles_begin(void)
{
#if SYMC_HAS_TILES
    tile_rows = 0; /* other libraries in this process configure tiles too */
#endif
}

void symc_pair_tiles_end(void)
{
#if SYMC_HAS_TILES
    if (tile_rows)
        _tile_release();
#endif
}
#endif

static int parts; /* whether they are chosen, and the processor has AMX */

int symc_has_parts(void) { return parts; }

int symc_choose_bfloat16(int most)
{
    int how = SYMC_HAS_PAIRS;
#if SYMC_HAS_TILES
    how += open_tiles();
#endif
    symc_pairs = most <= 0 ? 0 : most < how ? most : how;
    parts = most >= 0 && how == PAIRS_BY_TILES;
    return how;
}
