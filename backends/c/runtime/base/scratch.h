/* Measurement of scratch memory: the interface to the thread pool. */
#ifndef SYMC_SCRATCH_H
#define SYMC_SCRATCH_H

#include "symc_rt.h"

enum { SYMC_MAX_THREADS = 256 };

/* Whether the calling thread is measuring. */
SYMC_API int symc_is_measuring(void);

/* Counts memory that is kept between calls (stored.h), unless it would be more than `most` together: then returns 0. */
__attribute__((visibility("hidden"))) int symc_measure_kept(size_t bytes, size_t most);

/* Runs `fn` on an empty range in the place of each of `width` threads. */
__attribute__((visibility("hidden"))) void symc_measure_loop(symc_task fn, void *arg, int width);

#endif
