/* Convolutions one of which reads the output of another, in bands of rows: what one makes of a band the next reads from the
 * caches, and it goes to memory nowhere. */
#ifndef SYMC_CHAIN_H
#define SYMC_CHAIN_H

#include "planes.h"

/* Members of a list of forward passes, each of which reads the output of the one before. */
typedef struct {
    int64_t first, count;
} chain_part;

/* The members that are faster in bands than one after another, or can be computed so (`always`), if any: a pointwise, a
 * depthwise and a pointwise convolution, or the first or the last two of these. `gains` are the nanoseconds of one thread that
 * each member saves outside of bands. */
HIDDEN chain_part FN(symc_chain_part)(const conv2d *v, int64_t count, const double *gains, int always);

/* Computes such members. `bufs` has the output, the images, the filters and the epilogue of each; what is between them is not stored. */
HIDDEN void FN(symc_chain_forward)(const conv2d *v, int64_t count, void *const *bufs);

#endif
