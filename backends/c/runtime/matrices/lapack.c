/* See lapack.h. */
#include "lapack.h"

#include <pthread.h>
#include <string.h>

#define NAMED(name, of_complex) "s" #name "_", "d" #name "_", "c" #of_complex "_", "z" #of_complex "_",
static const char *const names[] = {SYMC_LAPACK_ROUTINES(NAMED)};

void *symc_lapack_table[4][LAPACK_COUNT];

static void (*set_threads)(int);
static struct {
    pthread_mutex_t lock;
    pthread_cond_t left;
    int inside, threads;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER};
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

const char *symc_lapack_name(int k) { return k >= 0 && k < 4 * LAPACK_COUNT ? names[k] : NULL; }

void symc_lapack_set(int k, void *function) { symc_lapack_table[k % 4][k / 4] = function; }

/* In the child of a fork, the threads that were inside do not exist. */
static void forget(void)
{
    pthread_mutex_init(&state.lock, NULL);
    pthread_cond_init(&state.left, NULL);
    state.inside = state.threads = 0;
}

static void prepare(void) { pthread_atfork(NULL, NULL, forget); }

void symc_lapack_threads(void (*set)(int))
{
    set_threads = set;
    state.threads = 0;
}

void symc_lapack_enter(int threads)
{
    pthread_once(&prepared, prepare);
    pthread_mutex_lock(&state.lock);
    while (state.inside && state.threads != threads)
        pthread_cond_wait(&state.left, &state.lock);
    if (state.threads != threads) {
        if (set_threads)
            set_threads(threads);
        state.threads = threads;
    }
    state.inside++;
    pthread_mutex_unlock(&state.lock);
}

void symc_lapack_leave(void)
{
    pthread_mutex_lock(&state.lock);
    if (!--state.inside)
        pthread_cond_broadcast(&state.left);
    pthread_mutex_unlock(&state.lock);
}
