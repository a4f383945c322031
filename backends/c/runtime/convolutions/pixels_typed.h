/* See pixels.h. Compiled once per element type. */
#include "pixels.h"

void FN(symc_find_runs)(const gather *g, const band_shape *shape, const band *part, int64_t first, pixel_panel *to)
{
    int64_t width = part->last_col - part->first_col, pixels = width * (part->last_row - part->first_row);
    to->cols = smaller(TILE_COLS, pixels - first);
    to->runs = 0;
    to->direct = g->out_col == 1;
    for (int64_t lane = 0; lane < to->cols;) {
        int64_t row = part->first_row + (first + lane) / width, col = (first + lane) % width;
        pixel_run *r = &to->run[to->runs++];
        r->lane = lane;
        r->count = smaller(VL, smaller(width - col, to->cols - lane));
        r->at = FN(symc_band_row)(g, shape, part, row) + col;
        r->row = row % g->out_h, r->col = part->first_col + col;
        r->out = row / g->out_h * g->out_image + r->row * g->out_row + r->col * g->out_col;
        to->direct = to->direct && r->out == to->run[0].out + lane;
        lane += r->count;
    }
    cover_lanes(to, to->cols);
}

/* Writes whole vectors in ascending order: what one run writes too far, the next one overwrites. */
INLINE void pack_runs(const int64_t *tap_at, int64_t taps, const real *planes, const pixel_panel *p, real *to,
                      int runs)
{
    int64_t at[8], lane[8];
    for (int r = 0; r < runs; r++)
        at[r] = p->run[r].at, lane[r] = p->run[r].lane;
    for (int64_t i = 0; i < taps; i++, to += TILE_COLS) {
        const real *from = planes + tap_at[i];
        UNROLL
        for (int r = 0; r < runs; r++)
            store(to + lane[r], load(from + at[r]));
    }
}

void FN(symc_pack_pixels)(const int64_t *tap_at, int64_t taps, const real *planes, const pixel_panel *p, real *to)
{
    switch (p->runs) {
    case 1: pack_runs(tap_at, taps, planes, p, to, 1); return;
    case 2: pack_runs(tap_at, taps, planes, p, to, 2); return;
    case 3: pack_runs(tap_at, taps, planes, p, to, 3); return;
    case 4: pack_runs(tap_at, taps, planes, p, to, 4); return;
    case 5: pack_runs(tap_at, taps, planes, p, to, 5); return;
    }
    for (int64_t i = 0; i < taps; i++, to += TILE_COLS)
        for (int64_t r = 0; r < p->runs; r++)
            store(to + p->run[r].lane, load(planes + tap_at[i] + p->run[r].at));
}
