/* See stored.h. */
#define _GNU_SOURCE
#include "stored.h"

#include "scratch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { UNMADE = -1, BEING_MADE = -2, PAGE = 4096, HUGE_PAGE = 2 << 20 };

typedef struct form {
    struct form *next;
    symc_form_key key;
    int64_t version; /* the count of writes for which it was made, or one of the above */
    void *memory, *map;
    size_t bytes, mapped;
} form;

struct symc_stored {
    const int64_t *turn; /* readers, writes, loans; NULL for a constant */
    int64_t renewed;     /* how often a constant changed */
    form *forms;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all forms; never held while one is made */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static size_t held, most = (size_t)1 << 30;

static void take(void) { pthread_mutex_lock(&lock); }
static void give(void) { pthread_mutex_unlock(&lock); }
static void survive_forks(void) { pthread_atfork(take, give, give); }

symc_stored *symc_stored_new(const int64_t *turn)
{
    pthread_once(&once, survive_forks);
    symc_stored *made = calloc(1, sizeof *made);
    if (made)
        made->turn = turn;
    return made;
}

void symc_stored_renew(symc_stored *stored)
{
    if (stored)
        stored->renewed++;
}

/* Under the lock. */
static void drop(form **at)
{
    form *gone = *at;
    *at = gone->next;
    held -= gone->bytes;
    munmap(gone->map, gone->mapped);
    free(gone);
}

void symc_stored_free(symc_stored *stored)
{
    if (!stored)
        return;
    take();
    while (stored->forms)
        drop(&stored->forms);
    give();
    free(stored);
}

void symc_stored_limit(size_t bytes)
{
    take();
    most = bytes;
    give();
}

size_t symc_stored_bytes(void) { return held; }

/* Whole huge pages for large forms: they are read once per call, and misses of the page table would cost more. */
static int allocate(form *f, size_t bytes)
{
    size_t unit = bytes >= HUGE_PAGE ? HUGE_PAGE : PAGE;
    f->bytes = bytes, f->mapped = (bytes + unit - 1) / unit * unit + (unit == PAGE ? 0 : unit);
    f->map = mmap(NULL, f->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f->map == MAP_FAILED)
        return 0;
    uintptr_t start = ((uintptr_t)f->map + unit - 1) / unit * unit;
    f->memory = (void *)start;
#ifdef MADV_HUGEPAGE
    if (unit == HUGE_PAGE)
        madvise(f->memory, f->mapped - unit, MADV_HUGEPAGE);
#endif
    return 1;
}

static int same(const symc_form_key *a, const symc_form_key *b, int whatever_from)
{
    return a->kind == b->kind && (whatever_from || a->from == b->from) && !memcmp(a->numbers, b->numbers, sizeof a->numbers);
}

static int is_outdated(const form *f, int64_t version) { return f->version != version && f->version != BEING_MADE; }

/* Whether a form was not used for the value before either: in the next call, others may have its place. */
static int is_left(const form *f, int64_t version) { return is_outdated(f, version) && f->version < version - 1; }

/* The form, or the memory of an outdated one of the same kind, or new memory; NULL if there is no room. Under the lock. */
static form *found_or_new(symc_stored *stored, const symc_form_key *key, size_t bytes, int64_t version)
{
    for (form *f = stored->forms; f; f = f->next)
        if (same(&f->key, key, 0) && f->bytes == bytes)
            return f;
    for (form **at = &stored->forms; *at;) {
        form *f = *at;
        if (!is_outdated(f, version)) {
            at = &f->next;
        } else if (same(&f->key, key, 1) && f->bytes == bytes) {
            f->key = *key, f->version = UNMADE;
            return f;
        } else if (!is_left(f, version)) {
            at = &f->next;
        } else {
            drop(at); /* an array of another shape, or one that is written to between calls that read it differently */
        }
    }
    if (bytes > most || held > most - bytes)
        return NULL;
    form *f = calloc(1, sizeof *f);
    if (!f || !allocate(f, bytes)) {
        free(f);
        return NULL;
    }
    f->key = *key, f->version = UNMADE, f->next = stored->forms;
    stored->forms = f;
    held += f->bytes;
    return f;
}

symc_form symc_form_of(symc_stored *stored, const symc_form_key *key, size_t bytes, int slot)
{
    int busy = 0;
    if (stored && symc_is_measuring() && symc_measure_kept(bytes, most))
        return (symc_form){(void *)(uintptr_t)PAGE, 0, NULL, 0, 0}; /* measuring touches no memory */
    if (stored && !symc_is_measuring() && !(stored->turn && stored->turn[2])) {
        int64_t version = stored->turn ? stored->turn[1] : stored->renewed;
        take();
        form *f = found_or_new(stored, key, bytes, version);
        int ready = f && f->version == version;
        busy = f && !ready && f->version == BEING_MADE;
        if (f && !ready && !busy)
            f->version = BEING_MADE;
        give();
        if (f && !busy)
            return (symc_form){f->memory, ready, f, version, 0};
    }
    return (symc_form){slot < 0 ? NULL : symc_scratch(slot, bytes), 0, NULL, 0, busy};
}

void symc_form_made(const symc_form *made)
{
    if (!made->kept)
        return;
    take();
    ((form *)made->kept)->version = made->version;
    give();
}
