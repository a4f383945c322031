/* The transformations of minimal filtering F(4, 3), F(3, 4), F(2, 5), F(5, 2) and F(2, 3), and their tiles. See winograd_typed.h. */
#ifndef SYMC_WINOGRAD_TRANSFORMS_H
#define SYMC_WINOGRAD_TRANSFORMS_H

#include "gather.h"

enum {
    IN = 6, /* rows and columns of an image tile, */
    REST_IN = 4, /* and of one with fewer */
    POINTS = IN * IN,
    MOST_TAPS = 5, /* rows and columns of a filter: 2 to 5, or 1 along an axis that is not transformed */
    MOST_OUT = 5   /* of an output tile: IN + 1 - taps, or 1 */
};

/* What is done to a tile along an axis: nothing; the transformation of IN pixels; or that of REST_IN pixels to the first REST_IN
 * points, for the same filters of three taps. */
typedef enum { NO_FORM, WHOLE_FORM, REST_FORM } axis_form;

INLINE int form_in(axis_form form) { return form == NO_FORM ? 1 : form == WHOLE_FORM ? IN : REST_IN; }
INLINE int form_out(axis_form form, int taps) { return form == NO_FORM ? 1 : form_in(form) + 1 - taps; }

/* ---- of one row or column; by point: 0, P, -P, infinity, Q, -Q ---- */

#define P ((real)0.625)
#define Q ((real)1.5)
#define P2 (P * P)
#define Q2 (Q * Q)
#define AT_0 (1 / (P2 * Q2))
#define AT_P (1 / (2 * P2 * (P2 - Q2)))
#define AT_Q (1 / (2 * Q2 * (Q2 - P2)))

/* The points x and -x have the same even terms, and odd terms of opposite signs. */
INLINE void put_pair(vec even, vec odd, vec *at)
{
    at[0] = even + odd;
    at[1] = even - odd;
}

INLINE void transform_whole_image(const vec d[IN], vec v[IN])
{
    v[0] = d[4] - (P2 + Q2) * d[2] + P2 * Q2 * d[0];
    put_pair(d[4] - Q2 * d[2], P * (d[3] - Q2 * d[1]), v + 1);
    v[3] = d[5] - (P2 + Q2) * d[3] + P2 * Q2 * d[1];
    put_pair(d[4] - P2 * d[2], Q * (d[3] - P2 * d[1]), v + 4);
}

/* The filters have the factors of six points (AT_0, AT_P): here are those by which these differ from the ones of four points. */
INLINE void transform_rest_image(const vec d[REST_IN], vec v[REST_IN])
{
    v[0] = P2 * Q2 * d[0] - Q2 * d[2];
    put_pair((P2 - Q2) * d[2], (P2 - Q2) * P * d[1], v + 1);
    v[3] = d[3] - P2 * d[1];
}

INLINE void transform_image(axis_form form, const vec *d, vec *v)
{
    if (form == NO_FORM)
        v[0] = d[0];
    else if (form == WHOLE_FORM)
        transform_whole_image(d, v);
    else
        transform_rest_image(d, v);
}

/* The even and the odd terms of the sum of w[k] x^k, given x^2; the odd ones are divided by x. */
INLINE void split_polynomial(real x2, int terms, const vec *w, vec *even, vec *odd)
{
    *even = *odd = (vec){0};
    UNROLL
    for (int k = terms - 1; k >= 0; k--) {
        vec *sum = k % 2 ? odd : even;
        *sum = k + 2 < terms ? w[k] + x2 * *sum : w[k];
    }
}

INLINE void transform_filter(int taps, const vec *w, vec u[IN])
{
    vec even_p, odd_p, even_q, odd_q;
    split_polynomial(P2, taps, w, &even_p, &odd_p);
    split_polynomial(Q2, taps, w, &even_q, &odd_q);
    u[0] = AT_0 * w[0];
    put_pair(AT_P * even_p, AT_P * P * odd_p, u + 1);
    u[3] = w[taps - 1];
    put_pair(AT_Q * even_q, AT_Q * Q * odd_q, u + 4);
}

INLINE void transform_whole_output(int out, const vec m[IN], vec *y)
{
    vec sum_p = m[1] + m[2], difference_p = m[1] - m[2], sum_q = m[4] + m[5], difference_q = m[4] - m[5];
    real p = 1, q = 1;
    UNROLL
    for (int k = 0; k < out; k++, p *= P, q *= Q)
        y[k] = k % 2 ? p * difference_p + q * difference_q : p * sum_p + q * sum_q;
    y[0] += m[0];
    y[out - 1] += m[3];
}

INLINE void transform_rest_output(const vec m[REST_IN], vec y[2])
{
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = P * (m[1] - m[2]) + m[3];
}

INLINE void transform_output(axis_form form, int out, const vec *m, vec *y)
{
    if (form == NO_FORM)
        y[0] = m[0];
    else if (form == WHOLE_FORM)
        transform_whole_output(out, m, y);
    else
        transform_rest_output(m, y);
}

/* The transposes of the last two, for the gradient with respect to the filter. */
INLINE void transform_whole_gradient(int out, const vec *y, vec m[IN])
{
    vec even_p, odd_p, even_q, odd_q;
    split_polynomial(P2, out, y, &even_p, &odd_p);
    split_polynomial(Q2, out, y, &even_q, &odd_q);
    m[0] = y[0];
    put_pair(even_p, P * odd_p, m + 1);
    m[3] = y[out - 1];
    put_pair(even_q, Q * odd_q, m + 4);
}

INLINE void transform_gradient(axis_form form, int out, const vec *y, vec *m)
{
    if (form == WHOLE_FORM) {
        transform_whole_gradient(out, y, m);
        return;
    }
    m[0] = y[0];
    if (form == REST_FORM) {
        put_pair(y[0], P * y[1], m + 1);
        m[3] = y[1];
    }
}

INLINE void finish_filter(int taps, const vec u[IN], vec *w)
{
    vec sum_p = AT_P * (u[1] + u[2]), difference_p = AT_P * P * (u[1] - u[2]);
    vec sum_q = AT_Q * (u[4] + u[5]), difference_q = AT_Q * Q * (u[4] - u[5]);
    real p2 = 1, q2 = 1; /* P and Q to the power of k, without the factor of odd terms */
    UNROLL
    for (int k = 0; k < taps; k++) {
        w[k] = k % 2 ? p2 * difference_p + q2 * difference_q : p2 * sum_p + q2 * sum_q;
        if (k % 2)
            p2 *= P2, q2 *= Q2;
    }
    w[0] += AT_0 * u[0];
    w[taps - 1] += u[3];
}

/* ---- of tiles: columns, then rows; an axis of one tap or one place is left as it is ---- */

/* The image tile whose pixel (y, x) is at from[y * row + x * col], to vectors `step` apart, `wide` of them in a row of points.
 * Points that tiles of REST_IN columns, rows, do not have begin elsewhere, at to[1], to[2], and those of both at to[3]. */
INLINE void transform_image_tile_to(axis_form rows, axis_form cols, int wide, const real *from, int64_t row, int64_t col,
                                    real *const to[4], int64_t step)
{
    const int in_h = form_in(rows), in_w = form_in(cols);
    vec half[IN][IN];
    UNROLL
    for (int x = 0; x < in_w; x++) {
        vec d[IN], t[IN];
        UNROLL
        for (int y = 0; y < in_h; y++)
            d[y] = load(from + y * row + x * col);
        transform_image(rows, d, t);
        UNROLL
        for (int y = 0; y < in_h; y++)
            half[y][x] = t[y];
    }
    UNROLL
    for (int y = 0; y < in_h; y++) {
        vec t[IN];
        transform_image(cols, half[y], t);
        UNROLL
        for (int x = 0; x < in_w; x++)
            store(to[(y >= REST_IN) * 2 + (x >= REST_IN)] + (y * wide + x) * step, t[x]);
    }
}

/* The same with all points in one place. */
INLINE void transform_image_tile(axis_form rows, axis_form cols, const real *from, int64_t row, int64_t col, real *to,
                                 int64_t step)
{
    real *const place[4] = {to, to, to, to};
    transform_image_tile_to(rows, cols, cols == NO_FORM ? 1 : IN, from, row, col, place, step);
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

/* Vectors `step` apart, `wide` of them in a row of points, to the pixels of the output tile. */
INLINE void transform_output_tile(axis_form rows, axis_form cols, int out_h, int out_w, int wide, const real *m, int64_t step,
                                  vec y[MOST_OUT][MOST_OUT])
{
    const int in_h = form_in(rows), in_w = form_in(cols);
    vec half[MOST_OUT][IN];
    UNROLL
    for (int x = 0; x < in_w; x++) {
        vec column[IN], t[MOST_OUT];
        UNROLL
        for (int i = 0; i < in_h; i++)
            column[i] = load(m + (i * wide + x) * step);
        transform_output(rows, out_h, column, t);
        UNROLL
        for (int i = 0; i < out_h; i++)
            half[i][x] = t[i];
    }
    UNROLL
    for (int i = 0; i < out_h; i++)
        transform_output(cols, out_w, half[i], y[i]);
}

/* A tile of dY whose pixel (y, x) is at from[y * row + x * col]. */
INLINE void transform_gradient_tile(axis_form rows, axis_form cols, int out_h, int out_w, const real *from, int64_t row,
                                    int64_t col, real *to, int64_t step)
{
    const int in_h = form_in(rows), in_w = form_in(cols), wide = cols == NO_FORM ? 1 : IN;
    vec half[IN][MOST_OUT];
    UNROLL
    for (int x = 0; x < out_w; x++) {
        vec d[MOST_OUT], t[IN];
        UNROLL
        for (int y = 0; y < out_h; y++)
            d[y] = load(from + y * row + x * col);
        transform_gradient(rows, out_h, d, t);
        UNROLL
        for (int y = 0; y < in_h; y++)
            half[y][x] = t[y];
    }
    UNROLL
    for (int y = 0; y < in_h; y++) {
        vec t[IN];
        transform_gradient(cols, out_w, half[y], t);
        UNROLL
        for (int x = 0; x < in_w; x++)
            store(to + (y * wide + x) * step, t[x]);
    }
}

#endif
