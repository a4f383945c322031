/* One pool of threads for the process.
 *
 * A parallel loop is published by one store to `gate`, a word that holds a generation number, whether the loop is open,
 * and how many workers are inside. A worker may enter only while the loop is open; the caller closes it once every
 * chunk is taken and then waits for those inside alone. A worker that wakes too late finds the gate shut, so on a busy
 * machine the caller never waits for a thread that the system has not scheduled.
 */
#define _GNU_SOURCE
#include "scratch.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

enum {
    MAX_THREADS = SYMC_MAX_THREADS,
    CHUNKS_PER_THREAD = 4, /* slack for stealing when a core is slower or taken away */
    SPINS = 400,
    YIELDS = 200,
    LONG = 50000, /* nanoseconds, as long as workers wait awake: to wake one on another processor takes half of it */
};

/* The gate: bits 0-15 count the workers inside, bit 16 says open, the rest is the generation. */
enum { GATE_OPEN = 1 << 16, GATE_INSIDE = GATE_OPEN - 1, GATE_GENERATION = 1 << 17 };

typedef struct {
    _Alignas(64) atomic_int_fast64_t next; /* first chunk of this thread's share that nobody took yet */
} share;

static struct {
    _Alignas(64) atomic_uint gate;
    _Alignas(64) atomic_int sleeping_workers;
    atomic_int caller_sleeps;
    _Alignas(64) atomic_flag taken; /* some application thread runs a parallel loop */
    atomic_int threads;             /* as set; 1 before */
    int started;                    /* workers that exist; guarded by `taken` */
    /* the loop in progress, constant while the gate is open */
    symc_task fn;
    void *arg;
    int64_t n, chunks;
    int width; /* threads that take part */
    int64_t begun, ended; /* nanoseconds: when it began, if workers slept, and when the last loop ended */
    share shares[MAX_THREADS];
} pool = {.taken = ATOMIC_FLAG_INIT, .threads = 1};

/* The workers, from 1 on. One that sleeps may be kept off a processor until it wakes: `allowed` is where it may run then. */
static struct {
    _Alignas(64) pthread_t thread;
    atomic_int asleep;
#ifdef __linux__
    atomic_int kept_off;
    cpu_set_t allowed;
#endif
} workers[MAX_THREADS];

static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static _Thread_local int inside_loop;

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

static void sleep_while(atomic_uint *word, unsigned value)
{
#ifdef __linux__
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
    (void)word, (void)value;
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
#endif
}

static void wake_all(atomic_uint *word)
{
#ifdef __linux__
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
#else
    (void)word;
#endif
}

/* ---- where workers wake ---- */

static void worker_sleeps(int w) { atomic_store(&workers[w].asleep, 1); }

static void worker_is_awake(int w)
{
    atomic_store(&workers[w].asleep, 0);
#ifdef __linux__
    if (atomic_exchange(&workers[w].kept_off, 0))
        pthread_setaffinity_np(pthread_self(), sizeof workers[w].allowed, &workers[w].allowed);
#endif
}

#ifdef __linux__
/* Keeps workers that sleep, or were woken and have not run yet, off the caller's processor. In a virtual machine the system
 * believes a processor that was idle for milliseconds to be busy, and wakes what slept there on the caller's, where it
 * waits until the caller stops. */
static void keep_sleepers_off_caller(void)
{
    const int here = sched_getcpu();
    for (int w = 1; here >= 0 && w < pool.width; w++) {
        cpu_set_t *allowed = &workers[w].allowed, others;
        if (!atomic_load(&workers[w].asleep) || atomic_load(&workers[w].kept_off) ||
            pthread_getaffinity_np(workers[w].thread, sizeof *allowed, allowed))
            continue;
        others = *allowed;
        CPU_CLR(here, &others);
        if (CPU_COUNT(&others) && !pthread_setaffinity_np(workers[w].thread, sizeof others, &others))
            atomic_store(&workers[w].kept_off, 1);
    }
}

#else
static void keep_sleepers_off_caller(void) {}
#endif

/* ---- loops ---- */

/* Waits until the gate differs from `value`: busy at first, then yielding the core, then asleep. `worker`: 0 for the
 * caller. */
static unsigned wait_for_change(unsigned value, atomic_int *sleepers, int worker)
{
    unsigned now;
    for (int i = 0; i < SPINS + YIELDS; i++) {
        if ((now = atomic_load_explicit(&pool.gate, memory_order_acquire)) != value)
            return now;
        if (i < SPINS)
            cpu_relax();
        else
            sched_yield();
    }
    worker_sleeps(worker);
    atomic_fetch_add(sleepers, 1);
    while ((now = atomic_load(&pool.gate)) == value)
        sleep_while(&pool.gate, value);
    worker_is_awake(worker);
    atomic_fetch_sub(sleepers, 1);
    return now;
}

/* Where a chunk begins. Longer chunks lie between shorter ones, so that threads have equally much to do. */
static int64_t chunk_start(int64_t chunk)
{
    return chunk * (pool.n / pool.chunks) + chunk * (pool.n % pool.chunks) / pool.chunks;
}

/* Runs chunks until none is left: first one's own share, which keeps a thread on the data it touched last time, then
 * what the others have not taken. */
static void run_chunks(int self)
{
    int width = pool.width;
    for (int i = 0; i < width; i++) {
        int victim = (self + i) % width;
        atomic_int_fast64_t *next = &pool.shares[victim].next;
        int64_t end = pool.chunks * (victim + 1) / width;
        while (atomic_load_explicit(next, memory_order_relaxed) < end) {
            int64_t chunk = atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
            if (chunk >= end)
                break;
            pool.fn(pool.arg, chunk_start(chunk), chunk_start(chunk + 1));
            if (!self && !i && chunk + 1 < end && atomic_load(&pool.sleeping_workers) && nanoseconds() - pool.begun > LONG)
                keep_sleepers_off_caller();
        }
    }
}

static void *worker(void *id)
{
    int self = (int)(intptr_t)id;
    unsigned seen = 0;
    inside_loop = 1;
    worker_is_awake(self);
    for (;;) {
        unsigned gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
        if (!(gate & GATE_OPEN) || gate / GATE_GENERATION == seen) {
            wait_for_change(gate, &pool.sleeping_workers, self);
            continue;
        }
        if (!atomic_compare_exchange_weak(&pool.gate, &gate, gate + 1))
            continue;
        seen = gate / GATE_GENERATION;
        if (self < pool.width)
            run_chunks(self);
        gate = atomic_fetch_sub(&pool.gate, 1) - 1;
        if (!(gate & (GATE_INSIDE | GATE_OPEN)) && atomic_load(&pool.caller_sleeps))
            wake_all(&pool.gate);
    }
    return NULL;
}

/* Only the thread that forked lives on in the child: the pool there starts from nothing. */
static void forget_workers(void)
{
    atomic_store(&pool.gate, 0);
    atomic_store(&pool.sleeping_workers, 0);
    atomic_store(&pool.caller_sleeps, 0);
    pool.started = 0;
    if (!inside_loop)
        atomic_flag_clear(&pool.taken);
}

/* Workers live as long as the process, so the library must stay loaded: a host may close it before it exits. */
static void prepare_process(void)
{
    Dl_info self;
    if (dladdr(&pool, &self))
        dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    pthread_atfork(NULL, NULL, forget_workers);
}

/* Brings the pool to `width` - 1 workers, as far as the system allows; returns how many threads there are. */
static int start_workers(int width)
{
    if (pool.started >= width - 1)
        return width;
    pthread_once(&prepared, prepare_process);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the application's threads */
    while (pool.started < width - 1) {
        int w = pool.started + 1;
        memset(&workers[w], 0, sizeof workers[w]);
        worker_sleeps(w); /* until it runs */
        if (pthread_create(&workers[w].thread, NULL, worker, (void *)(intptr_t)w))
            break;
        pthread_detach(workers[w].thread);
        pool.started = w;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool.started + 1;
}

int symc_num_threads(void) { return atomic_load_explicit(&pool.threads, memory_order_relaxed); }

void symc_set_num_threads(int n) { atomic_store(&pool.threads, n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n); }

static void open_loop(int width)
{
    pool.width = width;
    for (int t = 0; t < width; t++)
        atomic_store_explicit(&pool.shares[t].next, pool.chunks * t / width, memory_order_relaxed);
    unsigned gate = atomic_load(&pool.gate);
    atomic_store(&pool.gate, (gate & ~(unsigned)(GATE_OPEN | GATE_INSIDE)) + GATE_GENERATION + GATE_OPEN);
    if (atomic_load(&pool.sleeping_workers)) {
        if (nanoseconds() - pool.ended < LONG)
            keep_sleepers_off_caller();
        wake_all(&pool.gate);
        pool.begun = nanoseconds();
    }
}

static void close_loop(void)
{
    unsigned gate = atomic_fetch_and(&pool.gate, ~(unsigned)GATE_OPEN) & ~(unsigned)GATE_OPEN;
    while (gate & GATE_INSIDE)
        gate = wait_for_change(gate, &pool.caller_sleeps, 0);
}

void symc_parallel(symc_task fn, void *arg, int64_t n, int64_t grain)
{
    if (n <= 0)
        return;
    int width = symc_num_threads();
    int64_t chunks = grain > 1 ? n / grain : n;
    if (chunks > (int64_t)width * CHUNKS_PER_THREAD)
        chunks = (int64_t)width * CHUNKS_PER_THREAD;
    if (chunks < width)
        width = (int)chunks;
    if (symc_is_measuring()) {
        symc_measure_loop(fn, arg, width < 1 ? 1 : width);
        return;
    }
    if (width <= 1 || inside_loop || atomic_flag_test_and_set(&pool.taken)) {
        fn(arg, 0, n);
        return;
    }
    inside_loop = 1;
    width = start_workers(width);
    pool.fn = fn, pool.arg = arg, pool.n = n, pool.chunks = chunks;
    open_loop(width);
    run_chunks(0);
    close_loop();
    pool.ended = nanoseconds();
    inside_loop = 0;
    atomic_flag_clear(&pool.taken);
}
