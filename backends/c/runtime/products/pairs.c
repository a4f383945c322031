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
/* Adds the products of one pair of each row, `apart` elements from one another, and of a row of B. */
INLINE void add_pair(int rows, int vecs, const float *a, int64_t apart, const float *b, __m512 sum[8][2])
{
    UNROLL
    for (int r = 0; r < rows; r++) {
        __m512bh pair = (__m512bh)_mm512_set1_ps(a[r * apart]);
        UNROLL
        for (int v = 0; v < vecs; v++)
            sum[r][v] = _mm512_dpbf16_ps(sum[r][v], pair, (__m512bh)_mm512_loadu_ps(b + v * VL));
    }
}

INLINE void multiply_pairs(const pair_parts *parts, int rows, int vecs, int64_t pixel, int64_t steps, const block_step *list,
                           const float *a, const float *b, float *c, int64_t ldc, int accumulate, const pixel_end *end,
                           const float *added, float *pairs)
{
    __m512 sum[8][2];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            sum[r][v] = accumulate ? _mm512_loadu_ps(c + r * ldc + v * VL) : _mm512_setzero_ps();
    }
    for (int64_t q = 0; q < steps; q++) {
        const float *p = a + list[q].a, *w = b + list[q].b * vecs * VL;
        if (parts->few && list[q].b >= parts->last) {
            for (int i = 0; i < parts->few; i++)
                add_pair(rows, vecs, p + i, pixel * VL, w + i * vecs * VL, sum);
            continue;
        }
        UNROLL_SOME
        for (int i = 0; i < VL; i++)
            add_pair(rows, vecs, p + i, pixel * VL, w + i * vecs * VL, sum);
    }
    if (end) {
        UNROLL
        for (int r = 0; r < rows; r++)
            store(pairs + r * VL, finished_pixel((vec)sum[r][0], (vec)sum[r][1], 1, end, added ? added + r * VL : NULL));
        return;
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            _mm512_storeu_ps(c + r * ldc + v * VL, sum[r][v]);
    }
}

static void by_vectors(const pair_parts *parts, int64_t rows, int64_t cols, int64_t pixel, int64_t steps,
                       const block_step *list, const float *a, const float *b, float *c, int64_t ldc, int accumulate)
{
    while (rows > 0) {
        int some = rows >= 8 ? 8 : rows >= 4 ? 4 : 1;
#define SOME(ROWS, VECS) multiply_pairs(parts, ROWS, VECS, pixel, steps, list, a, b, c, ldc, accumulate, NULL, NULL, NULL)
        if (cols > VL)
            some == 8 ? SOME(8, 2) : some == 4 ? SOME(4, 2) : SOME(1, 2);
        else
            some == 8 ? SOME(8, 1) : some == 4 ? SOME(4, 1) : SOME(1, 1);
#undef SOME
        rows -= some, a += some * pixel * VL, c += some * ldc;
    }
}

void symc_pair_tile_to(int64_t rows, const pair_parts *parts, int64_t pixel, int64_t steps, const block_step *list,
                       const float *a, const float *b, const float *c, int64_t ldc, int accumulate, const pixel_end *end,
                       const float *added, float *pairs)
{
    while (rows > 0) {
        int some = rows >= 8 ? 8 : rows >= 4 ? 4 : 1;
#define SOME(ROWS) multiply_pairs(parts, ROWS, 2, pixel, steps, list, a, b, (float *)c, ldc, accumulate, end, added, pairs)
        some == 8 ? SOME(8) : some == 4 ? SOME(4) : SOME(1);
#undef SOME
        rows -= some, a += some * pixel * VL, c += some * ldc, pairs += some * VL, added += added ? some * VL : 0;
    }
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
    by_vectors(parts, rows, cols, pixel, steps, list, a, b, c, ldc, accumulate);
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
