/* Convolutions of operands rounded to bfloat16, or divided into parts of bfloat16; see products/pairs.h.
 *
 * Where a band of the images and a block of filters have values that parts cannot hold, they are multiplied in float32.
 */
#ifndef SYMC_PAIRED_H
#define SYMC_PAIRED_H

#include "products/pairs.h"

#include "blocks.h"
#include "conv2d.h"

/* As symc_to_lanes and symc_window_to_lanes, for PAIRED planes; part i lies i * parts->a elements behind the first. With
 * several parts the extremes of the planes are added to *found. */
HIDDEN void symc_to_parts(const pair_parts *parts, extremes *found, const float *from, int64_t ld, int64_t rows,
                          int64_t count, const float *end, int64_t width, int64_t row_step, float *to);
HIDDEN void symc_window_to_parts(const pair_parts *parts, extremes *found, const float *planes, int64_t ld,
                                 int64_t count, int64_t in_h, int64_t in_w, const float *end, int64_t y, int64_t x,
                                 int64_t high, int64_t wide, int64_t row_step, float *to);

/* As in direct.h. */
HIDDEN int symc_paired_suits(const conv2d *v, int backward);
HIDDEN void symc_paired_forward(const conv2d *v, float *y, const float *x, const float *weights);
HIDDEN void symc_paired_backward_data(const conv2d *v, float *dx, const float *dy, const float *weights);

/* Of images in blocks, see symc_conv2d_blocks; `pool` are rows and columns of windows, which are in the maps, and the channels
 * that are other than zero. */
HIDDEN void symc_paired_blocks(const conv2d *v, const int64_t *pool, float *y, const void *x, const float *weights);

/* The same where each group has one channel and one filter; without windows. */
HIDDEN void symc_depthwise_blocks(const conv2d *v, float *y, const void *x, const float *weights);

/* The same of images of a few channels, see symc_conv2d_to_blocks. */
HIDDEN void symc_paired_to_blocks(const conv2d *v, const int64_t *pool, float *y, const float *x, const float *weights);
HIDDEN int symc_pair_rows_suit(const conv2d *v);
HIDDEN void symc_pair_rows_to_blocks(const conv2d *v, const int64_t *pool, float *y, const float *x, const float *weights);

/* An estimate of the time in three parts on one processor, in nanoseconds. */
HIDDEN double symc_paired_time(const conv2d *v, int backward);

/* Minimal filtering with products of parts, and an estimate of its time in nanoseconds on one processor: infinite where it is
 * not possible, or slower than minimal filtering in float32. */
HIDDEN double symc_winograd_parts_time(const gather *g);
HIDDEN void symc_winograd_parts(const gather *g);

/* The same of the gradient with respect to the weights, with the parameters of symc_winograd_weights. */
HIDDEN int symc_winograd_weights_parts_pay(const gather *g);
HIDDEN void symc_winograd_weights_parts(const gather *g, const float *dy, float *dw);

/* The same with one tap at stride 1, by matrix registers alone. */
HIDDEN int symc_pair_planes_suits(const conv2d *v);
HIDDEN void symc_pair_planes_forward(const conv2d *v, float *y, const float *x, const float *weights);
HIDDEN void symc_pair_planes_backward_data(const conv2d *v, float *dx, const float *dy, const float *weights);

/* Those with one tap, in three parts, and an estimate of their time in nanoseconds on one processor. */
HIDDEN int symc_pair_pixels_suit(const conv2d *v, int backward);
HIDDEN double symc_pair_pixels_time(const conv2d *v, int backward);
HIDDEN void symc_pair_pixels_forward(const conv2d *v, float *y, const float *x, const float *weights);
HIDDEN void symc_pair_pixels_backward_data(const conv2d *v, float *dx, const float *dy, const float *weights);

HIDDEN int symc_paired_weights_suits(const conv2d *v);
HIDDEN void symc_paired_backward_weights(const conv2d *v, float *dw, const float *x, const float *dy);

#endif
