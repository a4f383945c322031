/* Depthwise convolutions, plane by plane: lanes are neighbouring pixels. */
#ifndef SYMC_PLANES_H
#define SYMC_PLANES_H

#include "axis.h"
#include "base/plain.h"

/* Whether every group has one channel, and the forward pass can be done by planes. */
HIDDEN int FN(symc_planes_suit)(const conv2d *v);

/* The cycles of one thread that it takes then. */
HIDDEN double FN(symc_planes_time)(const conv2d *v);

HIDDEN void FN(symc_planes_forward)(const conv2d *v, real *y, const real *x, const real *weights);

/* Whether the gradient with respect to the images is such a forward pass, of dY, as `t` describes it. */
HIDDEN int FN(symc_planes_suit_data)(const conv2d *v, conv2d *t);

/* The same in pieces, for other methods. */
typedef struct {
    const conv2d *v;
    const real *in, *weights;
    real *out;
    int64_t filters;           /* of a group */
    axis rows, cols;           /* with ascending taps */
    int64_t bands;             /* of rows of the output */
    int64_t left, high;        /* the first column of a window; the most rows */
    int64_t phase, row;        /* elements between the two phases of a row of a window, and between rows */
    const int64_t *col;        /* where the taps of a row read, for output column 0 */
} planes;

INLINE int64_t band_start(const planes *z, int64_t band) { return band * z->v->out_h / z->bands; }
INLINE int64_t window_size_of(const planes *z) { return z->high * z->row + 2 * VL; }

/* A plan without bands: some of it lives in the calling thread's scratch. The least bands whose windows stay in the first
 * level cache; the plan for a number of bands. */
HIDDEN planes FN(symc_planes_of)(const conv2d *v, const real *weights);
HIDDEN int64_t FN(symc_least_bands)(const planes *z);
HIDDEN void FN(symc_divide_planes)(planes *z, int64_t bands);

/* A window of `high` rows: those from `before` on, as far as `behind`, are rows of the image from `top` on, the others 0. */
typedef struct {
    int64_t high, before, behind, top;
} window_rows;

/* What rows [first, last) of the output read. */
HIDDEN window_rows FN(symc_rows_behind)(const planes *z, int64_t first, int64_t last);

/* Copies the rows of the image, which begin at `from`, to a window that was filled with zeros once, and finishes them unless
 * `p` is NULL. The rows around them are zero already where it is `clean`. */
HIDDEN void FN(symc_copy_window)(const planes *z, const real *from, window_rows r, int clean, const plain_rows *p, real *window);

/* The sums of `count` rows of all filters of a group, each `plane` elements behind the one before. They are rows of the output
 * from `row` on, and are finished if that is plain. */
HIDDEN void FN(symc_sum_window)(const planes *z, int64_t group, int64_t count, int64_t row, const real *window, real *to,
                                int64_t plane);

#endif
