/* Scratch memory: per thread, grow-only, so that a warm call allocates nothing. */
#define _GNU_SOURCE
#include "symc_rt.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

typedef struct {
    void *address;
    size_t bytes;
} block;

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

static _Thread_local block *thread_blocks;
static pthread_key_t blocks_key;
static pthread_once_t blocks_key_once = PTHREAD_ONCE_INIT;

static void free_blocks(void *blocks)
{
    for (int i = 0; i < SYMC_SCRATCH_SLOTS; i++)
        free(((block *)blocks)[i].address);
    free(blocks);
}

static void make_key(void) { pthread_key_create(&blocks_key, free_blocks); }

static void out_of_memory(size_t bytes)
{
    fprintf(stderr, "symc: no memory for %zu bytes of scratch space; use smaller batches or fewer threads\n", bytes);
    abort();
}

static void grow(block *b, size_t bytes)
{
    size_t unit = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    bytes = (bytes + unit - 1) / unit * unit;
    free(b->address);
    b->bytes = 0;
    b->address = aligned_alloc(unit, bytes);
    if (!b->address)
        out_of_memory(bytes);
#ifdef MADV_HUGEPAGE
    if (unit == HUGE_PAGE)
        madvise(b->address, bytes, MADV_HUGEPAGE);
#endif
    b->bytes = bytes;
}

void *symc_scratch(int slot, size_t bytes)
{
    if (!thread_blocks) {
        pthread_once(&blocks_key_once, make_key);
        thread_blocks = calloc(SYMC_SCRATCH_SLOTS, sizeof(block));
        if (!thread_blocks)
            out_of_memory(SYMC_SCRATCH_SLOTS * sizeof(block));
        pthread_setspecific(blocks_key, thread_blocks);
    }
    block *b = &thread_blocks[slot];
    if (!b->address || b->bytes < bytes)
        grow(b, bytes ? bytes : 1);
    return b->address;
}
