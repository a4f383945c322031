/* The convolution behind both the forward pass and the gradient with respect to the images.
 *
 * Output pixel (i, j) of channel m is the sum over channels c and taps (r, s) of
 *
 *     weights[m, c, r, s] * in[c, i * step_h + tap_row[r], j * step_w + tap_col[s]]
 *
 * with zeros outside the image. Taps stand for padding, dilation and flipping, and need no regular distances; the
 * output may be any regular subset of the pixels of an array.
 */
#ifndef SYMC_GATHER_H
#define SYMC_GATHER_H

#include "base/epilogue.h"

typedef struct {
    int64_t images, groups, channels, filters; /* channels and filters of one group */
    const real *in;                            /* (images, groups, channels, in_h, in_w) */
    int64_t in_h, in_w, step_h, step_w;
    int64_t taps_h, taps_w;
    const int64_t *tap_row, *tap_col;
    const real *weights; /* (groups, filters, channels, taps_h, taps_w), or filters and channels exchanged: */
    int64_t weight_filter, weight_channel; /* elements from one filter, and channel, to the next */
    symc_stored *stored; /* what they are, or NULL */
    real *out;           /* (images, groups, filters, out_h, out_w), with these strides: */
    int64_t out_h, out_w, out_row, out_col, out_plane, out_image;
    const symc_epilogue *epilogue; /* of an output whose columns are neighbours; or NULL */
    int blocked;            /* images and maps are in blocks of channels: see symc_conv2d_blocks */
    int64_t pool_h, pool_w; /* of windows of results, of which the maxima are the output; or 0 */
} gather;

HIDDEN void FN(symc_gather_conv)(const gather *g);

/* A rectangle of output rows and columns as seen in a padded copy of the input, in which the columns that one tap
 * reads, step_w apart in the image, are neighbours: a row is kept as step_w phases of phase_length elements. */
typedef struct {
    int64_t first_tap_row, first_tap_col; /* smallest tap offsets */
    int64_t span_h, span_w;               /* rows and columns that the taps of one pixel cover */
    int64_t phase_length, row_length, plane;
} band_shape;

typedef struct {
    int64_t first_row, last_row; /* output rows, counted through all images: image * out_h + row */
    int64_t first_col, last_col;
} band;

/* `rows` filters of a group from `row` on are computed for a band of pixels. */
INLINE void finish_part(const gather *g, const band *part, int64_t group, int64_t row, int64_t rows)
{
    for (int64_t y = part->first_row; g->epilogue && y < part->last_row;) {
        int64_t image = y / g->out_h, stop = smaller(part->last_row, (image + 1) * g->out_h);
        finish_band(g->epilogue, (image * g->groups + group) * g->filters + row, rows, g->out_w, y - image * g->out_h,
                    stop - image * g->out_h, part->first_col, part->last_col);
        y = stop;
    }
}

/* Elements that vector loads may read beyond the last plane. */
#define BAND_SLACK (8 * VL)

/* The shape of bands of at most `rows` x `cols` output pixels. */
HIDDEN band_shape FN(symc_band_shape)(const gather *g, int64_t rows, int64_t cols);

/* The offset of output row `row` of the band in a plane of its copy. */
HIDDEN int64_t FN(symc_band_row)(const gather *g, const band_shape *shape, const band *part, int64_t row);

/* The offset of tap (r, s) relative to its pixel. */
HIDDEN int64_t FN(symc_band_tap)(const gather *g, const band_shape *shape, int64_t r, int64_t s);

/* Copies the band's part of channels [first, last) of a group to planes at `to`. BAND_SLACK elements behind what it reads are
 * zero: vectors that begin in the band end there. */
HIDDEN void FN(symc_fill_band)(const gather *g, const band_shape *shape, const band *part, int64_t group,
                               int64_t first, int64_t last, real *to);

#endif
