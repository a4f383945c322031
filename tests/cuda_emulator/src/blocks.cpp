// Runs kernels: block after block, each thread a fiber.
//
// A fiber takes the block's threads one after another, as a loop would, until one has to wait for others; then a fresh
// fiber takes the next ones. So a kernel without barriers switches no stack at all, and barriers switch as rarely as
// they can.
#include <atomic>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <vector>

#include "fiber.h"

#define EMULATOR_DRIVER
#include "../include/emulator_kernel.h"
#include "emulator.h"
#include "races.h"

#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))

EMULATOR_EXPORT emulator_position emulator_here;
EMULATOR_EXPORT char *emulator_dynamic_shared;
emulator_position emulator_here = {};
char *emulator_dynamic_shared = nullptr;

namespace emulator {

bool reverse = false;

namespace {

constexpr unsigned MOST_THREADS = 1024, WARP = 32;
constexpr size_t PAGE = 4096, STACK = 128 << 10;
constexpr size_t MOST_SHARED = 256 << 10;  // more than any GPU has
constexpr unsigned MOST_MASKS = 64;

std::atomic<size_t> blocks_run{0};

// --- state of the running block --------------------------------------------------------------------------------------

// What a thread waits for: it may go on once `*generation` is no longer `seen`.
struct Waiting {
    const unsigned *generation;
    unsigned seen;
    const char *what;
    int line;
    unsigned mask;
};

struct Fiber {
    StackPointer stack;
    bool made;
    unsigned thread;
    Waiting waiting;
};

// Lanes that exchange values under one mask. Two sets of values, since who leaves early may come to the next exchange
// before the others have read; it cannot come to the one after that.
struct Exchange {
    unsigned mask, arrived, generation;
    const char *what;
    int line;
    unsigned first_thread;
    unsigned long long values[2][WARP];
};

struct Warp {
    unsigned alive, count;
    unsigned completed;  // exchanges, ever
    Exchange exchanges[MOST_MASKS];
};

Fiber fibers[MOST_THREADS];
Fiber *current = nullptr;
Warp warps[MOST_THREADS / WARP];
StackPointer driver_stack;
char *stacks = nullptr;
char *shared_end = nullptr;  // dynamic shared memory ends here, at an unmapped page

const Launch *launch;
unsigned threads, next_thread, alive, used_fibers;

struct Barrier {
    unsigned arrived, generation;
    const char *what;
    int line;
    unsigned first_thread;
    unsigned votes[2][3];  // count, or, and: of this generation and of the last
} barrier;

// --- giving up -------------------------------------------------------------------------------------------------------

sigjmp_buf escape;
pthread_t launcher;
volatile sig_atomic_t running = 0;
CUresult error_code;
char error_text[700];

const unsigned never = 0;

const char *where(const uint3 &v) {
    static char texts[4][40];
    static unsigned turn = 0;
    char *text = texts[turn++ % 4];
    snprintf(text, sizeof texts[0], "(%u,%u,%u)", v.x, v.y, v.z);
    return text;
}

uint3 coordinates(unsigned thread) {
    const uint3 &size = emulator_here.block_size;
    return {thread % size.x, thread / size.x % size.y, thread / (size.x * size.y)};
}

[[noreturn]] __attribute__((format(printf, 2, 3))) void give_up(CUresult code, const char *format, ...) {
    char what[500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(error_text, sizeof error_text, "kernel %s, block %s: %s", launch->name, where(emulator_here.block), what);
    error_code = code;
    siglongjmp(escape, 1);
}

void describe_waiting(const Fiber &fiber, char *text, size_t bytes) {
    const Waiting &w = fiber.waiting;
    if (w.mask)
        snprintf(text, bytes, "thread %s in %s with mask %#x at line %d", where(coordinates(fiber.thread)), w.what,
                 w.mask, w.line);
    else
        snprintf(text, bytes, "thread %s in %s at line %d", where(coordinates(fiber.thread)), w.what, w.line);
}

[[noreturn]] void deadlock() {
    const Fiber *first = nullptr, *other = nullptr;
    unsigned count = 0;
    for (unsigned i = 0; i < used_fibers; ++i) {
        if (!fibers[i].waiting.generation || fibers[i].waiting.generation == &never) continue;
        ++count;
        if (!first) first = &fibers[i];
        if (!other && fibers[i].waiting.generation != first->waiting.generation) other = &fibers[i];
    }
    char a[160] = "", b[160] = "";
    if (first) describe_waiting(*first, a, sizeof a);
    if (other) describe_waiting(*other, b, sizeof b);
    give_up(CUDA_ERROR_LAUNCH_TIMEOUT, "deadlock, %u of %u threads wait for ever: %s%s%s", count, threads, a,
            other ? ", " : "", b);
}

// --- switching -------------------------------------------------------------------------------------------------------

void resume(Fiber *fiber) {
    Fiber *leaving = current;
    fiber->waiting.generation = nullptr;
    if (fiber == leaving) return;
    current = fiber;
    emulator_here.thread = coordinates(fiber->thread);
    emulator_switch(&leaving->stack, fiber->stack);
}

// A fiber that cannot go on calls this; it returns when what `current->waiting` names has happened.
__attribute__((noinline)) void leave() {
    if (next_thread < threads) return resume(&fibers[used_fibers++]);
    unsigned start = (unsigned)(current - fibers);
    for (unsigned k = 1; k <= used_fibers; ++k) {
        Fiber *fiber = &fibers[(start + k) % used_fibers];
        if (fiber->waiting.generation && *fiber->waiting.generation != fiber->waiting.seen) return resume(fiber);
    }
    if (alive) deadlock();
    Fiber *last = current;  // the block is done; this fiber goes on with the next block
    emulator_switch(&last->stack, driver_stack);
}

void wait_for(const unsigned *generation, const char *what, int line, unsigned mask) {
    current->waiting = {generation, *generation, what, line, mask};
    leave();
}

// --- barriers and exchanges ------------------------------------------------------------------------------------------

void complete_barrier() {
    barrier.arrived = 0;
    unsigned *votes = barrier.votes[++barrier.generation & 1];
    votes[0] = votes[1] = 0;
    votes[2] = 1;
}

// The first thread to arrive sets what all others must do, too: the same call at the same line.
void must_agree(const char *what, int line, const char *first_what, int first_line, unsigned first_thread) {
    if (line != first_line || strcmp(what, first_what))
        give_up(CUDA_ERROR_LAUNCH_FAILED, "threads diverge: thread %s is in %s at line %d, thread %s in %s at line %d",
                where(coordinates(first_thread)), first_what, first_line, where(coordinates(current->thread)), what, line);
}

void arrive(const char *what, int line) {
    if (!barrier.arrived) {
        barrier.what = what, barrier.line = line, barrier.first_thread = current->thread;
    } else {
        must_agree(what, line, barrier.what, barrier.line, barrier.first_thread);
    }
    if (++barrier.arrived == alive)
        complete_barrier();
    else
        wait_for(&barrier.generation, what, line, 0);
}

Exchange &exchange_of(Warp &warp, unsigned mask, const char *what) {
    for (unsigned i = 0; i < warp.count; ++i)
        if (warp.exchanges[i].mask == mask) return warp.exchanges[i];
    if (warp.count == MOST_MASKS) give_up(CUDA_ERROR_NOT_SUPPORTED, "%s: too many different masks in a warp", what);
    Exchange &made = warp.exchanges[warp.count++];
    made.mask = mask, made.arrived = 0, made.generation = 0;
    return made;
}

unsigned lanes_of(unsigned warp) {  // the lanes that a block's last warp has
    unsigned left = threads - warp * WARP;
    return left >= WARP ? ~0u : (1u << left) - 1;
}

// --- running ---------------------------------------------------------------------------------------------------------

void run_thread(unsigned thread) {
    current->thread = thread;
    emulator_here.thread = coordinates(thread);
    launch->call(launch->parameters);
    --alive;
    warps[thread / WARP].alive &= ~(1u << thread % WARP);
    // Who has ended is no longer waited for.
    if (barrier.arrived && barrier.arrived == alive) complete_barrier();
}

void fiber_body() {
    for (;;) {
        while (next_thread < threads) {
            unsigned turn = next_thread++;
            run_thread(reverse ? threads - 1 - turn : turn);
        }
        current->waiting = {&never, never, "", 0, 0};
        leave();
    }
}

void run_block() {
    next_thread = 0, alive = threads, used_fibers = 1;
    complete_barrier();
    for (unsigned w = 0; w * WARP < threads; ++w) warps[w].alive = lanes_of(w), warps[w].count = 0;
    // Poison, so that reading shared memory before writing it shows.
    memset(emulator_dynamic_shared, 0xff, launch->dynamic_bytes);
    if (launch->static_bytes) memset(launch->static_memory, 0xff, launch->static_bytes);
    current = &fibers[0];
    current->waiting.generation = nullptr;
    emulator_switch(&driver_stack, current->stack);
    ++blocks_run;
}

void make_fibers() {
    if (!stacks) {
        size_t bytes = MOST_THREADS * STACK + MOST_SHARED + PAGE;
        stacks = (char *)mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stacks == MAP_FAILED) abort();
        for (unsigned i = 0; i < MOST_THREADS; ++i) mprotect(stacks + i * STACK, PAGE, PROT_NONE);  // overflows stop here
        shared_end = stacks + MOST_THREADS * STACK + MOST_SHARED;
        mprotect(shared_end, PAGE, PROT_NONE);
    }
    for (unsigned i = 0; i < threads; ++i) {
        if (fibers[i].made) continue;
        fibers[i].stack = fresh_fiber(stacks + i * STACK, STACK, fiber_body);
        fibers[i].made = true;
    }
}

// --- faults ----------------------------------------------------------------------------------------------------------

const int FAULTS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
constexpr int FAULT_COUNT = 5;
struct sigaction former[FAULT_COUNT];

void on_fault(int signal, siginfo_t *info, void *) {
    if (!running || !pthread_equal(launcher, pthread_self())) {  // not the kernel's: whoever was asked before us decides
        for (int i = 0; i < FAULT_COUNT; ++i)
            if (FAULTS[i] == signal) sigaction(signal, &former[i], nullptr);
        return;
    }
    const char *thread = where(emulator_here.thread);
    char *address = (char *)info->si_addr;
    if (signal == SIGFPE) give_up(CUDA_ERROR_LAUNCH_FAILED, "thread %s divides an integer by zero", thread);
    if (signal == SIGILL || signal == SIGTRAP)  // how -fsanitize=bounds,alignment ends, on x86-64 and on aarch64
        give_up(CUDA_ERROR_ILLEGAL_ADDRESS, "thread %s uses an index outside its array, or a misaligned address", thread);
    if (address >= stacks && address < stacks + MOST_THREADS * STACK)
        give_up(CUDA_ERROR_LAUNCH_FAILED, "thread %s needs more than %zu bytes of stack", thread, STACK);
    if (address >= shared_end && address < shared_end + PAGE)
        give_up(CUDA_ERROR_ILLEGAL_ADDRESS, "thread %s is %zd bytes past the end of the %zu bytes of dynamic shared memory",
                thread, address - shared_end, launch->dynamic_bytes);
    give_up(CUDA_ERROR_ILLEGAL_ADDRESS, "thread %s touches %s", thread, describe(address));
}

// Faults of the kernel become errors for the length of this object. Handlers run on a stack of their own: a fiber's
// may be what is exhausted.
class FaultsCaught {
    static constexpr size_t BYTES = 64 << 10;
    stack_t former_stack;

  public:
    FaultsCaught() {
        static char *own = (char *)malloc(BYTES);
        stack_t stack = {};
        stack.ss_sp = own;
        stack.ss_size = BYTES;
        sigaltstack(&stack, &former_stack);
        struct sigaction action = {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        for (int i = 0; i < FAULT_COUNT; ++i) sigaction(FAULTS[i], &action, &former[i]);
        launcher = pthread_self();
        running = 1;
    }
    ~FaultsCaught() {
        running = 0;
        for (int i = 0; i < FAULT_COUNT; ++i) sigaction(FAULTS[i], &former[i], nullptr);
        sigaltstack(&former_stack, nullptr);
    }
};

unsigned in_turn(unsigned i, unsigned count) { return reverse ? count - 1 - i : i; }

void run_grid() {
    const unsigned *grid = launch->grid;
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) {
                emulator_here.block = {in_turn(x, grid[0]), in_turn(y, grid[1]), in_turn(z, grid[2])};
                run_block();
            }
}

}  // namespace

Moment moment() {
    unsigned thread = current->thread;
    return {thread, thread / WARP, barrier.generation, warps[thread / WARP].completed};
}

void report_race(bool dynamic, size_t byte, bool wrote_before, unsigned thread_before, bool writes_now) {
    char before[60] = "several threads";
    if (thread_before < MOST_THREADS) snprintf(before, sizeof before, "thread %s", where(coordinates(thread_before)));
    give_up(CUDA_ERROR_LAUNCH_FAILED, "race on %s, byte %zu: %s %s it, thread %s %s it, and no barrier lies between",
            dynamic ? "dynamic shared memory" : launch->shared_name(byte), byte, before, wrote_before ? "wrote" : "read",
            where(emulator_here.thread), writes_now ? "writes" : "reads");
}

CUresult run(const Launch &wanted) {
    launch = &wanted;
    threads = wanted.block[0] * wanted.block[1] * wanted.block[2];
    emulator_here.grid_size = {wanted.grid[0], wanted.grid[1], wanted.grid[2]};
    emulator_here.block_size = {wanted.block[0], wanted.block[1], wanted.block[2]};
    barrier.arrived = 0;
    make_fibers();
    // The end of what is asked for is the end of what there is; 16 bytes is what a real start is aligned to at least.
    emulator_dynamic_shared = shared_end - (wanted.dynamic_bytes + 15) / 16 * 16;
    watch(wanted.static_memory, wanted.static_bytes, emulator_dynamic_shared, wanted.dynamic_bytes);
    {
        FaultsCaught caught;
        if (!sigsetjmp(escape, 1)) {
            run_grid();
            watch_nothing();
            return CUDA_SUCCESS;
        }
    }
    watch_nothing();
    for (Fiber &fiber : fibers) fiber.made = false;  // they stand in the middle of something: begin anew
    return failed(error_code, "%s", error_text);
}

}  // namespace emulator

// --- what kernels call -----------------------------------------------------------------------------------------------

using namespace emulator;

EMULATOR_EXPORT void emulator_barrier(const char *what, int line) { arrive(what, line); }

EMULATOR_EXPORT unsigned emulator_vote(const char *what, int line, bool yes, int which) {
    unsigned *votes = barrier.votes[barrier.generation & 1];
    votes[0] += yes;
    votes[1] |= yes;
    votes[2] &= yes;
    arrive(what, line);
    return votes[which];
}

EMULATOR_EXPORT const unsigned long long *emulator_exchange(const char *what, int line, unsigned mask,
                                                            unsigned long long value) {
    unsigned thread = current->thread, lane = thread % WARP;
    Warp &warp = warps[thread / WARP];
    if (!(mask >> lane & 1))
        give_up(CUDA_ERROR_LAUNCH_FAILED, "%s at line %d: thread %s is not in its own mask %#x", what, line,
                where(emulator_here.thread), mask);
    mask &= lanes_of(thread / WARP);
    if (mask & ~warp.alive)
        give_up(CUDA_ERROR_LAUNCH_FAILED, "%s at line %d: the mask %#x of thread %s names lanes that have ended (%#x live)",
                what, line, mask, where(emulator_here.thread), warp.alive);
    Exchange &exchange = exchange_of(warp, mask, what);
    unsigned long long *values = exchange.values[exchange.generation & 1];
    if (!exchange.arrived) {
        memset(values, 0xff, sizeof exchange.values[0]);
        exchange.what = what, exchange.line = line, exchange.first_thread = thread;
    } else {
        must_agree(what, line, exchange.what, exchange.line, exchange.first_thread);
    }
    values[lane] = value;
    exchange.arrived |= 1u << lane;
    if (exchange.arrived == mask) {
        exchange.arrived = 0;
        ++exchange.generation;
        ++warp.completed;
    } else {
        wait_for(&exchange.generation, what, line, mask);
    }
    return values;
}

EMULATOR_EXPORT unsigned emulator_lane() { return current->thread % WARP; }
EMULATOR_EXPORT unsigned emulator_active_lanes() { return warps[current->thread / WARP].alive; }

EMULATOR_EXPORT void emulator_fail(int code, const char *what, int line) {
    give_up((CUresult)code, "thread %s fails at line %d: %s", where(emulator_here.thread), line, what);
}

EMULATOR_EXPORT long long emulator_clock() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// --- for tests -------------------------------------------------------------------------------------------------------

EMULATOR_EXPORT void emulator_set_reverse(int on) { reverse = on; }
EMULATOR_EXPORT size_t emulator_blocks() { return blocks_run; }
