/* Convolutions by Winograd's minimal filtering: any filters of at least two taps at regular distances. */
#ifndef SYMC_WINOGRAD_H
#define SYMC_WINOGRAD_H

#include "gather.h"

/* Whether a convolution has that form, and is large enough to benefit. */
HIDDEN int FN(symc_winograd_suits)(const gather *g);

HIDDEN void FN(symc_winograd)(const gather *g);

/* Tiles [first, first + tiles) of a group alone, in the plain tiling of 3x3 or 5x5 filters, by the calling thread, which has
 * memory for `most`. */
HIDDEN void FN(symc_winograd_range)(const gather *g, int64_t group, int64_t first, int64_t tiles, int64_t most);

/* The same for the gradient with respect to the weights, given dY (images, groups, filters, out_h, out_w); `g` describes
 * the forward pass, without weights and output. */
HIDDEN int FN(symc_winograd_weights_suits)(const gather *g);
HIDDEN void FN(symc_winograd_weights)(const gather *g, const real *dy, real *dw);

/* An estimate of its time, in multiplications and additions of vectors; infinite if it does not exist. */
HIDDEN double FN(symc_winograd_steps)(const gather *g);

/* Whether its tiles consist of whole windows of pool_h x pool_w results, of which `g` may ask for the maxima. */
HIDDEN int FN(symc_winograd_pools)(const gather *g, int64_t pool_h, int64_t pool_w);

/* Whether symc_winograd is faster than vectors of bfloat16 for images and maps in blocks of channels (symc_conv2d_blocks), where
 * `g` has windows of maps. Its products are of float32. */
HIDDEN int symc_winograd_suits_blocks(const gather *g);

#endif
