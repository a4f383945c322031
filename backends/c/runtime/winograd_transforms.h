/* The transformations of minimal filtering, and its tiles. See winograd_typed.h. */
#ifndef SYMC_WINOGRAD_TRANSFORMS_H
#define SYMC_WINOGRAD_TRANSFORMS_H

#include "pixels.h"

enum {
    OUT = 4, /* rows and columns of an output tile */
    IN = 6,  /* of an image tile */
    POINTS = IN * IN
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

INLINE void transform_filter(const vec w[3], vec u[IN])
{
    vec even_p = AT_P * (w[0] + P2 * w[2]), odd_p = AT_P * P * w[1];
    vec even_q = AT_Q * (w[0] + Q2 * w[2]), odd_q = AT_Q * Q * w[1];
    u[0] = AT_0 * w[0];
    u[1] = even_p + odd_p;
    u[2] = even_p - odd_p;
    u[3] = even_q + odd_q;
    u[4] = even_q - odd_q;
    u[5] = w[2];
}

INLINE void transform_output(const vec m[IN], vec y[OUT])
{
    vec sum_p = m[1] + m[2], difference_p = m[1] - m[2], sum_q = m[3] + m[4], difference_q = m[3] - m[4];
    y[0] = m[0] + sum_p + sum_q;
    y[1] = P * difference_p + Q * difference_q;
    y[2] = P2 * sum_p + Q2 * sum_q;
    y[3] = P2 * P * difference_p + Q2 * Q * difference_q + m[5];
}

/* The transposes of the last two, for the gradient with respect to the filter. */
INLINE void transform_gradient(const vec y[OUT], vec m[IN])
{
    vec even_p = y[0] + P2 * y[2], odd_p = P * (y[1] + P2 * y[3]);
    vec even_q = y[0] + Q2 * y[2], odd_q = Q * (y[1] + Q2 * y[3]);
    m[0] = y[0];
    m[1] = even_p + odd_p;
    m[2] = even_p - odd_p;
    m[3] = even_q + odd_q;
    m[4] = even_q - odd_q;
    m[5] = y[3];
}

INLINE void finish_filter(const vec u[IN], vec w[3])
{
    vec sum_p = AT_P * (u[1] + u[2]), difference_p = AT_P * P * (u[1] - u[2]);
    vec sum_q = AT_Q * (u[3] + u[4]), difference_q = AT_Q * Q * (u[3] - u[4]);
    w[0] = AT_0 * u[0] + sum_p + sum_q;
    w[1] = difference_p + difference_q;
    w[2] = P2 * sum_p + Q2 * sum_q + u[5];
}

/* ---- tiles ---- */

/* Whether three taps are neighbours, in either direction. */
INLINE int consecutive(const int64_t *tap)
{
    return (tap[1] - tap[0] == 1 && tap[2] - tap[1] == 1) || (tap[1] - tap[0] == -1 && tap[2] - tap[1] == -1);
}

/* A convolution whose pixels are output tiles and whose taps are the elements of the image tiles; `taps` keeps them. */
INLINE gather image_tiles(const gather *g, int64_t taps[2 * IN])
{
    gather t = *g;
    for (int i = 0; i < IN; i++) {
        taps[i] = smaller(g->tap_row[0], g->tap_row[2]) + i;
        taps[IN + i] = smaller(g->tap_col[0], g->tap_col[2]) + i;
    }
    t.tap_row = taps, t.tap_col = taps + IN;
    t.taps_h = t.taps_w = IN, t.step_h = t.step_w = OUT;
    t.out_h = ceil_div(g->out_h, OUT), t.out_w = ceil_div(g->out_w, OUT);
    t.out_row = OUT * g->out_row, t.out_col = OUT * g->out_col;
    return t;
}

#endif
