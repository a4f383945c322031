/* Minimal filtering of images in blocks of channels, as bfloat16: lanes are channels as they are in memory, so that images are
 * widened instead of turned, and results are handed on as they leave the transformation. See symc_winograd_blocks.
 */
#ifndef SYMC_WINOGRAD_BLOCKS_H
#define SYMC_WINOGRAD_BLOCKS_H

#include "paired.h"
#include "winograd_tiles.h"

#if SYMC_HAS_PAIRS && !SYMC_DOUBLE
/* Rounds turned filters to bfloat16, as other methods do. */
static void round_filters(real *turned, int64_t vectors)
{
    for (int64_t i = 0; i < vectors; i++, turned += VL) {
        __m512i bits = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)load(turned)));
        store(turned, (vec)_mm512_slli_epi32(bits, 16));
    }
}

/* VL channels of the pixels behind a run of tiles, as turn_run() makes them. */
static void widen_run(const winograd *v, const tile_run *run, int64_t group, int64_t channel, real *rows)
{
    const gather *g = v->g;
    (void)group;
    int64_t high = run_rows(&v->rows, run), wide = run_span(&v->cols, run);
    int64_t top = tile_start(&v->rows, run->row), left = tile_start(&v->cols, run->col);
    int64_t from_x = smaller(wide, larger(0, -left)), to_x = larger(from_x, smaller(wide, g->in_w - left));
    const uint16_t *plane = (const uint16_t *)g->in + channel % PIXEL_LANES +
                            (run->image * g->channels + channel) / PIXEL_LANES * g->in_h * g->in_w * PIXEL_LANES;
    for (int64_t i = 0; i < high; i++, rows += v->row_length * VL) {
        int64_t y = top + i * v->rows.phases;
        if (y < 0 || y >= g->in_h) {
            memset(rows, 0, wide * VL * sizeof(real));
            continue;
        }
        memset(rows, 0, from_x * VL * sizeof(real));
        const uint16_t *from = plane + (y * g->in_w + left) * PIXEL_LANES;
        for (int64_t x = from_x; x < to_x; x++) {
            __m512i whole = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(from + x * PIXEL_LANES)));
            store(rows + x * VL, (vec)_mm512_slli_epi32(whole, 16));
        }
        memset(rows + to_x * VL, 0, (wide - to_x) * VL * sizeof(real));
    }
}

/* One block of maps of a unit: sums by point and tile go to memory in blocks, or to the epilogue. */
static void put_blocks(const winograd *v, const tile_unit *u, int64_t block, const real *sums, real *pixels)
{
    const gather *g = v->g;
    int64_t out_h = g->out_h / g->pool_h, out_w = g->out_w / g->pool_w, apart = v->rows.phases, next[4];
    memcpy(next, u->start, sizeof next);
    for (int64_t at = 0; at < u->tiles;) {
        tile_run run = next_run(&v->rows, &v->cols, u, at, next);
        int64_t row = tile_result(&v->rows, run.row), col = tile_result(&v->cols, run.col);
        int64_t high = run_high(v, &run), wide = run_wide(v, &run), all = wide;
        const real *from = sums + run.place * PIXEL_LANES;
        at += run.count;
        if (high <= 0)
            continue;
        for (int64_t half = 0; half < PIXEL_LANES; half += VL)
            finish_tiles(v, &run, from + half, v->sum_step, PIXEL_LANES, high, wide, PIXEL_LANES, pixels + half);
        int64_t pitch = wide;
        if (g->pool_h * g->pool_w > 1) {
            high /= g->pool_h, wide /= g->pool_w, row /= g->pool_h, col /= g->pool_w, pitch = wide;
            pool_pixels(2, g->pool_h, g->pool_w, all, high, wide, pixels);
        }
        for (int64_t y = 0; y < high && wide > 0; y++)
            finish_pixels(g->epilogue, g->out, pixels + y * pitch * PIXEL_LANES, run.image * blocks(v) + block, out_h * out_w,
                          (row + y * apart) * out_w + col, wide);
    }
}
#else
/* Other processors never have images in blocks here. */
static void round_filters(real *turned, int64_t vectors) { (void)turned, (void)vectors; }

static void widen_run(const winograd *v, const tile_run *run, int64_t group, int64_t channel, real *rows)
{
    (void)v, (void)run, (void)group, (void)channel, (void)rows;
}

static void put_blocks(const winograd *v, const tile_unit *u, int64_t block, const real *sums, real *pixels)
{
    (void)v, (void)u, (void)block, (void)sums, (void)pixels;
}
#endif

#endif
