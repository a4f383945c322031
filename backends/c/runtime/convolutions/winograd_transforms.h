/* The transformations of minimal filtering F(4, 3), F(2, 5) and F(5, 2), and their tiles. See winograd_typed.h. */
#ifndef SYMC_WINOGRAD_TRANSFORMS_H
#define SYMC_WINOGRAD_TRANSFORMS_H

#include "gather.h"

enum {
    IN = 6, /* rows and columns of an image tile */
    POINTS = IN * IN,
    MOST_TAPS = 5, /* rows and columns of a filter: 2, 3 or 5, or 1 along an axis that is not transformed */
    MOST_OUT = 5   /* of an output tile: IN + 1 - taps, or 1 */
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
    vec even_p = w[0], odd_p = w[1], even_q = w[0], odd_q = w[1];
    if (taps > 2)
        even_p += P2 * w[2], even_q += Q2 * w[2];
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
    if (out > 2) {
        y[2] = P2 * sum_p + Q2 * sum_q;
        y[3] = P2 * P * difference_p + Q2 * Q * difference_q;
    }
    if (out == 5)
        y[4] = P2 * P2 * sum_p + Q2 * Q2 * sum_q;
    y[out - 1] += m[5];
}

/* The transposes of the last two, for the gradient with respect to the filter. */
INLINE void transform_gradient(int out, const vec *y, vec m[IN])
{
    vec even_p = y[0], odd_p = y[1], even_q = y[0], odd_q = y[1];
    if (out > 2) {
        even_p += P2 * y[2], odd_p += P2 * y[3];
        even_q += Q2 * y[2], odd_q += Q2 * y[3];
    }
    if (out == 5)
        even_p += P2 * P2 * y[4], even_q += Q2 * Q2 * y[4];
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
    if (taps > 2)
        w[2] = P2 * sum_p + Q2 * sum_q;
    if (taps == 5) {
        w[3] = P2 * difference_p + Q2 * difference_q;
        w[4] = P2 * P2 * sum_p + Q2 * Q2 * sum_q;
    }
    w[taps - 1] += u[5];
}

/* ---- of tiles: columns, then rows; an axis of one tap or one place is left as it is ---- */

/* The image tile whose pixel (y, x) is at from[y * row + x * col], to vectors `step` apart. */
INLINE void transform_image_tile(int in_h, int in_w, const real *from, int64_t row, int64_t col, real *to, int64_t step)
{
    vec half[IN][IN];
    UNROLL
    for (int x = 0; x < in_w; x++) {
        vec d[IN], t[IN];
        UNROLL
        for (int y = 0; y < in_h; y++)
            d[y] = load(from + y * row + x * col);
        if (in_h == 1)
            t[0] = d[0];
        else
            transform_image(d, t);
        UNROLL
        for (int y = 0; y < in_h; y++)
            half[y][x] = t[y];
    }
    UNROLL
    for (int y = 0; y < in_h; y++) {
        vec t[IN];
        if (in_w == 1)
            t[0] = half[y][0];
        else
            transform_image(half[y], t);
        UNROLL
        for (int x = 0; x < in_w; x++)
            store(to + (y * in_w + x) * step, t[x]);
    }
}

/* The filter whose tap (r, s) is w[r][s], to vectors `step` apart. */
INLINE void transform_filter_tile(int taps_h, int taps_w, const vec w[MOST_TAPS][MOST_TAPS], real *to, int64_t step)
{
    const int in_h = taps_h > 1 ? IN : 1, in_w = taps_w > 1 ? IN : 1;
    vec half[IN][MOST_TAPS];
    UNROLL
    for (int s = 0; s < taps_w; s++) {
        vec column[MOST_TAPS], u[IN];
        UNROLL
        for (int r = 0; r < taps_h; r++)
            column[r] = w[r][s];
        if (taps_h == 1)
            u[0] = column[0];
        else
            transform_filter(taps_h, column, u);
        UNROLL
        for (int i = 0; i < in_h; i++)
            half[i][s] = u[i];
    }
    UNROLL
    for (int i = 0; i < in_h; i++) {
        vec u[IN];
        if (taps_w == 1)
            u[0] = half[i][0];
        else
            transform_filter(taps_w, half[i], u);
        UNROLL
        for (int j = 0; j < in_w; j++)
            store(to + (i * in_w + j) * step, u[j]);
    }
}

/* Vectors `step` apart to the pixels of the output tile. */
INLINE void transform_output_tile(int out_h, int out_w, const real *m, int64_t step, vec y[MOST_OUT][MOST_OUT])
{
    const int in_h = out_h > 1 ? IN : 1, in_w = out_w > 1 ? IN : 1;
    vec half[MOST_OUT][IN];
    UNROLL
    for (int x = 0; x < in_w; x++) {
        vec column[IN], t[MOST_OUT];
        UNROLL
        for (int i = 0; i < in_h; i++)
            column[i] = load(m + (i * in_w + x) * step);
        if (out_h == 1)
            t[0] = column[0];
        else
            transform_output(out_h, column, t);
        UNROLL
        for (int i = 0; i < out_h; i++)
            half[i][x] = t[i];
    }
    UNROLL
    for (int i = 0; i < out_h; i++) {
        if (out_w == 1)
            y[i][0] = half[i][0];
        else
            transform_output(out_w, half[i], y[i]);
    }
}

/* A tile of dY whose pixel (y, x) is at from[y * row + x * col]. */
INLINE void transform_gradient_tile(int out_h, int out_w, const real *from, int64_t row, int64_t col, real *to, int64_t step)
{
    const int in_h = out_h > 1 ? IN : 1, in_w = out_w > 1 ? IN : 1;
    vec half[IN][MOST_OUT];
    UNROLL
    for (int x = 0; x < out_w; x++) {
        vec d[MOST_OUT], t[IN];
        UNROLL
        for (int y = 0; y < out_h; y++)
            d[y] = load(from + y * row + x * col);
        if (out_h == 1)
            t[0] = d[0];
        else
            transform_gradient(out_h, d, t);
        UNROLL
        for (int y = 0; y < in_h; y++)
            half[y][x] = t[y];
    }
    UNROLL
    for (int y = 0; y < in_h; y++) {
        vec t[IN];
        if (out_w == 1)
            t[0] = half[y][0];
        else
            transform_gradient(out_w, half[y], t);
        UNROLL
        for (int x = 0; x < in_w; x++)
            store(to + (y * in_w + x) * step, t[x]);
    }
}

#endif
