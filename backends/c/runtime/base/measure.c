/* Measurement of the scratch memory of parallel loops, with the pool that would run them. */
#include "symc_rt.h"

enum { SLOT, BYTES, LENGTH, GRAIN };

static void ask(void *p, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    symc_scratch((int)((const int64_t *)p)[SLOT], (size_t)((const int64_t *)p)[BYTES]);
}

/* A parallel loop in the form of a library call. */
static void loop(void *const *bufs, const int64_t *p)
{
    (void)bufs;
    symc_parallel(ask, (void *)p, p[LENGTH], p[GRAIN]);
}

int symc_measure_scratch(int slot, size_t bytes, int64_t n, int64_t grain)
{
    return symc_measure_call(loop, NULL, (const int64_t[]){slot, (int64_t)bytes, n, grain});
}

int symc_measure_scratch_of_each(int slot, size_t bytes, int width)
{
    return symc_measure_each(loop, NULL, (const int64_t[]){slot, (int64_t)bytes, 1, 1}, width);
}
