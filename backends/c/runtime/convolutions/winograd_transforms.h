/* The transformations of minimal filtering F(4, 3) and F(2, 5), and their tiles. See winograd_typed.h. */
#ifndef SYMC_WINOGRAD_TRANSFORMS_H
#define SYMC_WINOGRAD_TRANSFORMS_H

#include "gather.h"

enum {
    IN = 6, /* rows and columns of an image tile */
    POINTS = IN * IN,
    MOST_TAPS = 5, /* rows and columns of a filter: 3, or 5 */
    MOST_OUT = 4   /* of an output tile: IN + 1 - taps */
};

#define P ((real)0.625)
#define Q ((real)1.5)
#define P2 (P * P)
#define Q2 (Q * Q)
#define AT_0 (1 / (P2 * Q2))
#define AT_P (1 / (2 * P2 * (P2 - Q2)))
#define AT_Q (1 / (2 * Q2 * (Q2 - P2)))

/* ---- of one row or column ---- */

INLINE void transform_image(const vec d[IN], vec v[IN])
{
    vec even_p = d[4] - Q2 * d[2], odd_p = P * (d[3] - Q2 * d[1]);
    vec even_q = d[4] - P2 * d[2], odd_q = Q * (d[3] - P2 * d[1]);
    v[0] = d[4] - (P2 + Q2) * d[2] + P2 * Q2 * d[0];
    v[1] = even_p + odd_p;
    v[2] = even_p - odd_p;
    v[3] = even_q + odd_q;
    v[4] = even_q - odd_q;
    v[5] = d[5] - (P2 + Q2) * d[3] + P2 * Q2 * d[1];
}

INLINE void transform_filter(int taps, const vec *w, vec u[IN])
{
    vec even_p = w[0] + P2 * w[2], odd_p = w[1], even_q = w[0] + Q2 * w[2], odd_q = w[1];
    if (taps == 5) {
        even_p += P2 * P2 * w[4], odd_p += P2 * w[3];
        even_q += Q2 * Q2 * w[4], odd_q += Q2 * w[3];
    }
    even_p *= AT_P, odd_p *= AT_P * P, even_q *= AT_Q, odd_q *= AT_Q * Q;
    u[0] = AT_0 * w[0];
    u[1] = even_p + odd_p;
    u[2] = even_p - odd_p;
    u[3] = even_q + odd_q;
    u[4] = even_q - odd_q;
    u[5] = w[taps - 1];
}

INLINE void transform_output(int out, const vec m[IN], vec *y)
{
    vec sum_p = m[1] + m[2], difference_p = m[1] - m[2], sum_q = m[3] + m[4], difference_q = m[3] - m[4];
    y[0] = m[0] + sum_p + sum_q;
    y[1] = P * difference_p + Q * difference_q;
    if (out == 4) {
        y[2] = P2 * sum_p + Q2 * sum_q;
        y[3] = P2 * P * difference_p + Q2 * Q * difference_q;
    }
    y[out - 1] += m[5];
}

/* The transposes of the last two, for the gradient with respect to the filter. */
INLINE void transform_gradient(int out, const vec *y, vec m[IN])
{
    vec even_p = y[0], odd_p = y[1], even_q = y[0], odd_q = y[1];
    if (out == 4) {
        even_p += P2 * y[2], odd_p += P2 * y[3];
        even_q += Q2 * y[2], odd_q += Q2 * y[3];
    }
    odd_p *= P, odd_q *= Q;
    m[0] = y[0];
    m[1] = even_p + odd_p;
    m[2] = even_p - odd_p;
    m[3] = even_q + odd_q;
    m[4] = even_q - odd_q;
    m[5] = y[out - 1];
}

INLINE void finish_filter(int taps, const vec u[IN], vec *w)
{
    vec sum_p = AT_P * (u[1] + u[2]), difference_p = AT_P * P * (u[1] - u[2]);
    vec sum_q = AT_Q * (u[3] + u[4]), difference_q = AT_Q * Q * (u[3] - u[4]);
    w[0] = AT_0 * u[0] + sum_p + sum_q;
    w[1] = difference_p + difference_q;
    w[2] = P2 * sum_p + Q2 * sum_q;
    if (taps == 5) {
        w[3] = P2 * difference_p + Q2 * difference_q;
        w[4] = P2 * P2 * sum_p + Q2 * Q2 * sum_q;
    }
    w[taps - 1] += u[5];
}

/* ---- of tiles: columns, then rows ---- */

/* The image tile whose pixel (y, x) is at from[y * row + x * col], to POINTS vectors `step` apart. */
INLINE void transform_image_tile(const real *from, int64_t row, int64_t col, real *to, int64_t step)
{
    vec half[IN][IN];
    UNROLL
    for (int x = 0; x < IN; x++) {
        vec d[IN], t[IN];
        UNROLL
        for (int y = 0; y < IN; y++)
            d[y] = load(from + y * row + x * col);
        transform_image(d, t);
        UNROLL
        for (int y = 0; y < IN; y++)
            half[y][x] = t[y];
    }
    UNROLL
    for (int y = 0; y < IN; y++) {
        vec t[IN];
        transform_image(half[y], t);
        UNROLL
        for (int x = 0; x < IN; x++)
            store(to + (y * IN + x) * step, t[x]);
    }
}

/* The filter whose tap (r, s) is w[r][s], to POINTS vectors `step` apart. */
INLINE void transform_filter_tile(int taps, const vec w[MOST_TAPS][MOST_TAPS], real *to, int64_t step)
{
    vec half[IN][MOST_TAPS];
    UNROLL
    for (int s = 0; s < taps; s++) {
        vec column[MOST_TAPS], u[IN];
        UNROLL
        for (int r = 0; r < taps; r++)
            column[r] = w[r][s];
        transform_filter(taps, column, u);
        UNROLL
        for (int i = 0; i < IN; i++)
            half[i][s] = u[i];
    }
    UNROLL
    for (int i = 0; i < IN; i++) {
        vec u[IN];
        transform_filter(taps, half[i], u);
        UNROLL
        for (int j = 0; j < IN; j++)
            store(to + (i * IN + j) * step, u[j]);
    }
}

/* POINTS vectors `step` apart to the pixels of the output tile. */
INLINE void transform_output_tile(int out, const real *m, int64_t step, vec y[MOST_OUT][MOST_OUT])
{
    vec half[MOST_OUT][IN];
    UNROLL
    for (int x = 0; x < IN; x++) {
        vec column[IN], t[MOST_OUT];
        UNROLL
        for (int i = 0; i < IN; i++)
            column[i] = load(m + (i * IN + x) * step);
        transform_output(out, column, t);
        UNROLL
        for (int i = 0; i < out; i++)
            half[i][x] = t[i];
    }
    UNROLL
    for (int i = 0; i < out; i++)
        transform_output(out, half[i], y[i]);
}

/* A tile of dY whose pixel (y, x) is at from[y * row + x * col]. */
INLINE void transform_gradient_tile(int out, const real *from, int64_t row, int64_t col, real *to, int64_t step)
{
    vec half[IN][MOST_OUT];
    UNROLL
    for (int x = 0; x < out; x++) {
        vec d[MOST_OUT], t[IN];
        UNROLL
        for (int y = 0; y < out; y++)
            d[y] = load(from + y * row + x * col);
        transform_gradient(out, d, t);
        UNROLL
        for (int y = 0; y < IN; y++)
            half[y][x] = t[y];
    }
    UNROLL
    for (int y = 0; y < IN; y++) {
        vec t[IN];
        transform_gradient(out, half[y], t);
        UNROLL
        for (int x = 0; x < IN; x++)
            store(to + (y * IN + x) * step, t[x]);
    }
}

/* ---- tiles ---- */

/* How many taps the filters of a convolution have in both directions if minimal filtering exists for it, else 0. */
INLINE int tile_taps(const gather *g)
{
    if (SYMC_DOUBLE || g->taps_h != g->taps_w || (g->taps_h != 3 && g->taps_h != 5) || g->step_h != 1 || g->step_w != 1)
        return 0;
    int64_t down = g->tap_row[1] - g->tap_row[0], right = g->tap_col[1] - g->tap_col[0];
    if (down * down != 1 || right * right != 1)
        return 0;
    for (int64_t i = 2; i < g->taps_h; i++)
        if (g->tap_row[i] - g->tap_row[i - 1] != down || g->tap_col[i] - g->tap_col[i - 1] != right)
            return 0;
    return (int)g->taps_h;
}

/* Neighbouring tiles of one row: the first of at most `most` from `tile` on, counted through all images. */
typedef struct {
    int64_t image, row, col, count;
} tile_run;

INLINE tile_run find_run(int64_t high, int64_t wide, int64_t tile, int64_t most)
{
    int64_t col = tile % wide;
    return (tile_run){tile / (wide * high), tile / wide % high, col, smaller(wide - col, most)};
}

#endif
