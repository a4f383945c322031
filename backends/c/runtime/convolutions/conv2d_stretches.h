/* Convolutions whose taps often read above or below the images: far apart ones, of images that are not much higher.
 *
 * The same rows of taps reach the images from a stretch of rows of results, which is a convolution of its own with these taps
 * alone: of a filter of 3 x 3 whose taps are 18 pixels apart, over 33 rows, one product of three is with zeros.
 */
#ifndef SYMC_CONV2D_STRETCHES_H
#define SYMC_CONV2D_STRETCHES_H

#include "gather.h"

enum {
    MOST_STRETCHES = 7,
    MOST_TAP_ROWS = 8,
    LEAST_ROWS = 5, /* of a stretch, on average: each packs the weights of its taps */
    LEAST_COLS = 8
};

/* Rows of results [first, last), and the rows of taps that reach the images from there, from `tap` on. */
typedef struct {
    int64_t first, last, tap, taps;
} stretch;

typedef struct {
    int count; /* 0: more than MOST_STRETCHES */
    stretch of[MOST_STRETCHES];
} stretches;

static stretch stretch_from(const gather *g, int64_t row)
{
    int64_t first = g->taps_h, last = 0;
    for (int64_t t = 0; t < g->taps_h; t++) {
        int64_t read = row * g->step_h + g->tap_row[t];
        if (read >= 0 && read < g->in_h)
            first = smaller(first, t), last = t + 1;
    }
    return last ? (stretch){row, row + 1, first, last - first} : (stretch){row, row + 1, 0, 0};
}

static stretches find_stretches(const gather *g)
{
    stretches found = {0};
    for (int64_t row = 0; row < g->out_h; row++) {
        stretch next = stretch_from(g, row), *before = &found.of[larger(1, found.count) - 1];
        if (found.count && before->tap == next.tap && before->taps == next.taps) {
            before->last = row + 1;
            continue;
        }
        if (found.count == MOST_STRETCHES)
            return (stretches){0};
        found.of[found.count++] = next;
    }
    return found;
}

/* The stretches that a convolution is divided into; none if that would not save much. */
static stretches useful_stretches(const gather *g)
{
    const int64_t few_filters = 2; /* are summed without packing */
    if (g->blocked || g->pool_h || g->filters <= few_filters || g->channels * g->taps_w <= 0 || g->taps_h < 2 ||
        g->taps_h > MOST_TAP_ROWS)
        return (stretches){0};
    stretches rows = find_stretches(g);
    int64_t products = 0;
    for (int i = 0; i < rows.count; i++)
        products += (rows.of[i].last - rows.of[i].first) * rows.of[i].taps;
    const int saves = rows.count > 1 && g->out_h >= LEAST_ROWS * rows.count && g->out_w >= LEAST_COLS &&
                      6 * products <= 5 * g->out_h * g->taps_h;
    return saves ? rows : (stretches){0};
}

typedef struct {
    const gather *g;
    stretch rows;
    real *to;
} taken_weights;

/* Of (filters of all groups, channels) the weights of some rows of taps, for a range of filters. */
static void take_weights(void *arg, int64_t begin, int64_t end)
{
    const taken_weights *t = arg;
    const gather *g = t->g;
    const int64_t taps = t->rows.taps * g->taps_w, all = g->taps_h * g->taps_w;
    const real *from = g->weights + t->rows.tap * g->taps_w;
    for (int64_t plane = begin * g->channels; plane < end * g->channels; plane++)
        for (int64_t i = 0; i < taps; i++)
            t->to[plane * taps + i] = from[plane * all + i];
}

static void conv_stretch(const gather *g, stretch rows)
{
    int64_t at[MOST_TAP_ROWS], taps = rows.taps * g->taps_w, filters = g->groups * g->filters;
    gather part = *g;
    part.epilogue = NULL, part.stored = NULL;
    part.out += rows.first * g->out_row, part.out_h = rows.last - rows.first;
    part.taps_h = rows.taps, part.tap_row = at;
    for (int64_t r = 0; r < rows.taps; r++)
        at[r] = g->tap_row[rows.tap + r] + rows.first * g->step_h;
    if (rows.taps > 0 && rows.taps < g->taps_h) {
        taken_weights t = {g, rows, symc_scratch(SLOT_ROW, filters * g->channels * taps * sizeof(real))};
        symc_parallel(take_weights, &t, filters, larger(1, 16384 / (g->channels * taps)));
        part.weights = t.to, part.weight_channel = taps, part.weight_filter = g->channels * taps;
    }
    FN(symc_gather_conv)(&part);
}

/* Products of packed panels, of stretches of rows where that saves much. */
static void conv_panels(const gather *g)
{
    stretches rows = useful_stretches(g);
    if (!rows.count) {
        FN(symc_gather_conv)(g);
        return;
    }
    for (int i = 0; i < rows.count; i++)
        conv_stretch(g, rows.of[i]);
    finish_all(g->epilogue, 0, g->images * g->groups * g->filters, g->out_h * g->out_w);
}

#endif
