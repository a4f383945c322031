/* Scratch memory: per thread, grow-only, so that a warm call allocates nothing. */
#define _GNU_SOURCE
#include "scratch.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

typedef struct {
    void *address;
    size_t bytes;
    void *map; /* start and length of a large block's mapping; NULL for a small block */
    size_t mapped;
} block;

enum {
    CACHE_LINE = 64,
    LARGE = 1 << 16,
    HUGE_PAGE = 2 << 20,
    LEAST_HUGE = 1 << 19, /* bytes of a block that gets a huge page: in small ones it would collide with itself in the caches */
};

typedef block block_table[SYMC_SCRATCH_SLOTS];

static _Thread_local block *thread_blocks;
static _Thread_local block_table *imagined; /* by thread: the blocks of a measurement; NULL when there is none */
static _Thread_local int imagined_thread, imagined_loop;
static _Thread_local size_t imagined_kept;
static _Thread_local jmp_buf no_room; /* target of the jump when a measurement runs out of memory */
static pthread_key_t blocks_key;
static pthread_once_t blocks_key_once = PTHREAD_ONCE_INIT;

static void release(block *b)
{
    if (b->map)
        munmap(b->map, b->mapped);
    else
        free(b->address);
    *b = (block){0};
}

static void free_blocks(void *blocks)
{
    for (int i = 0; i < SYMC_SCRATCH_SLOTS; i++)
        release((block *)blocks + i);
    free(blocks);
}

static void make_key(void) { pthread_key_create(&blocks_key, free_blocks); }

static void out_of_memory(size_t bytes)
{
    if (imagined)
        longjmp(no_room, 1);
    fprintf(stderr, "symc: no memory for %zu bytes of scratch space; use smaller batches or fewer threads\n", bytes);
    abort();
}

/* Memory of its own for a large block: the allocator would keep what it outgrows. Behind the first one only whole huge pages
 * are asked for, so that not much more memory is taken than is written to. */
static int map_block(block *b, size_t bytes)
{
    if (bytes >= LEAST_HUGE && bytes < HUGE_PAGE)
        bytes = HUGE_PAGE;
    size_t unit = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE, mapped = bytes + unit;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
    if (imagined) /* more than the system could give can be measured, too */
        flags |= MAP_NORESERVE;
#endif
    void *map = mmap(NULL, mapped, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (map == MAP_FAILED)
        return 0;
    uintptr_t start = ((uintptr_t)map + unit - 1) / unit * unit;
#ifdef MADV_HUGEPAGE
    if (unit == HUGE_PAGE)
        madvise((void *)start, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    *b = (block){(void *)start, bytes, map, mapped};
    return 1;
}

static void grow(block *b, size_t bytes)
{
    release(b);
    if (bytes >= LARGE) {
        if (!map_block(b, bytes))
            out_of_memory(bytes);
        return;
    }
    bytes = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    b->address = aligned_alloc(CACHE_LINE, bytes);
    if (!b->address)
        out_of_memory(bytes);
    b->bytes = bytes;
}

static void make_blocks(void)
{
    pthread_once(&blocks_key_once, make_key);
    thread_blocks = calloc(SYMC_SCRATCH_SLOTS, sizeof(block));
    if (!thread_blocks)
        out_of_memory(SYMC_SCRATCH_SLOTS * sizeof(block));
    pthread_setspecific(blocks_key, thread_blocks);
}

void *symc_scratch(int slot, size_t bytes)
{
    if (!thread_blocks)
        make_blocks();
    block *b = &(imagined ? imagined[imagined_thread] : thread_blocks)[slot];
    if (!b->address || b->bytes < bytes)
        grow(b, bytes ? bytes : 1);
    return b->address;
}

void symc_scratch_fill(uint32_t pattern)
{
    for (int i = 0; thread_blocks && i < SYMC_SCRATCH_SLOTS; i++)
        for (size_t k = 0; k < thread_blocks[i].bytes / sizeof pattern; k++)
            ((uint32_t *)thread_blocks[i].address)[k] = pattern;
}

/* ---- measuring: the same requests, served from blocks in which nothing is written but tables ---- */

int symc_is_measuring(void) { return imagined != NULL; }

int symc_measure_begin(void)
{
    imagined = calloc(SYMC_MAX_THREADS, sizeof *imagined);
    imagined_kept = 0;
    return imagined != NULL;
}

int symc_measure_call(symc_call call, void *const *bufs, const int64_t *p)
{
    imagined_thread = imagined_loop = 0;
    if (setjmp(no_room))
        return 0;
    call(bufs, p);
    return 1;
}

int symc_measure_stored_call(symc_stored_call call, void *const *bufs, const int64_t *p, symc_stored *const *stored)
{
    imagined_thread = imagined_loop = 0;
    if (setjmp(no_room))
        return 0;
    call(bufs, p, stored);
    return 1;
}

int symc_measure_kept(size_t bytes, size_t most)
{
    if (bytes > most || imagined_kept > most - bytes)
        return 0;
    imagined_kept += bytes;
    return 1;
}

int symc_measure_each(symc_call call, void *const *bufs, const int64_t *p, int width)
{
    imagined_loop = 1;
    int measured = !setjmp(no_room);
    if (measured)
        for (imagined_thread = 0; imagined_thread < width; imagined_thread++)
            call(bufs, p);
    imagined_thread = imagined_loop = 0;
    return measured;
}

int symc_measure_each_stored(symc_stored_call call, void *const *bufs, const int64_t *p, symc_stored *const *stored, int width,
                             int64_t forms)
{
    const size_t before = imagined_kept;
    volatile size_t each = 0;
    imagined_loop = 1;
    int measured = !setjmp(no_room);
    if (measured)
        for (imagined_thread = 0; imagined_thread < width; imagined_thread++) {
            call(bufs, p, stored);
            each = imagined_kept - before;
            imagined_kept = before;
        }
    imagined_kept = before + each * forms;
    imagined_thread = imagined_loop = 0;
    return measured;
}

void symc_measure_loop(symc_task fn, void *arg, int width)
{
    if (imagined_loop)
        width = 1; /* nested loops run on the calling thread */
    int outer = imagined_loop, self = imagined_thread;
    imagined_loop = 1;
    for (int t = 0; t < width; t++) {
        imagined_thread = self + t;
        fn(arg, 0, 0);
    }
    imagined_thread = self;
    imagined_loop = outer;
}

size_t symc_measured(void)
{
    size_t sum = imagined_kept;
    for (int t = 0; t < SYMC_MAX_THREADS; t++)
        for (int i = 0; i < SYMC_SCRATCH_SLOTS; i++)
            sum += imagined[t][i].bytes;
    return sum;
}

void symc_measure_end(void)
{
    for (int t = 0; t < SYMC_MAX_THREADS; t++)
        for (int i = 0; i < SYMC_SCRATCH_SLOTS; i++)
            release(&imagined[t][i]);
    free(imagined);
    imagined = NULL;
}
