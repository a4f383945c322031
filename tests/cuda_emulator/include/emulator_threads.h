// What threads do together: barriers, exchanges inside a warp, atomics, cached loads.
#pragma once

// `__builtin_LINE()` as a default argument is the line of the call.
#define EMULATOR_LINE int line = __builtin_LINE()

// --- barriers ----------------------------------------------------------------------------------------------------

static inline void __syncthreads(EMULATOR_LINE) { emulator_barrier("__syncthreads", line); }
static inline int __syncthreads_count(int p, EMULATOR_LINE) { return emulator_vote("__syncthreads_count", line, p, 0); }
static inline int __syncthreads_or(int p, EMULATOR_LINE) { return emulator_vote("__syncthreads_or", line, p, 1); }
static inline int __syncthreads_and(int p, EMULATOR_LINE) { return emulator_vote("__syncthreads_and", line, p, 2); }
static inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATOR_LINE) {
    emulator_exchange("__syncwarp", line, mask, 0);
}
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}
static inline void __nanosleep(unsigned) {}

// --- warps -------------------------------------------------------------------------------------------------------

namespace emulator {

template <class T>
inline T from_lane(const char *what, int line, unsigned mask, T value, int source) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 2, "shuffles move values of 2, 4 or 8 bytes");
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    const unsigned long long *all = emulator_exchange(what, line, mask, bits);
    T result;
    __builtin_memcpy(&result, &all[source & 31], sizeof result);
    return result;
}

// Lanes form groups of `width`; a source outside the own group means the own value.
inline int group_start(int lane, int width) { return lane & ~(width - 1); }
inline int group_end(int lane, int width) { return lane | (width - 1); }

}  // namespace emulator

template <class T> inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMULATOR_LINE) {
    int lane = (int)emulator_lane();
    int from = emulator::group_start(lane, width) | (source & (width - 1));
    return emulator::from_lane("__shfl_sync", line, mask, value, from);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATOR_LINE) {
    int lane = (int)emulator_lane(), from = lane - (int)delta;
    if (from < emulator::group_start(lane, width)) from = lane;
    return emulator::from_lane("__shfl_up_sync", line, mask, value, from);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATOR_LINE) {
    int lane = (int)emulator_lane(), from = lane + (int)delta;
    if (from > emulator::group_end(lane, width)) from = lane;
    return emulator::from_lane("__shfl_down_sync", line, mask, value, from);
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, EMULATOR_LINE) {
    int lane = (int)emulator_lane(), from = lane ^ bits;
    if (from > emulator::group_end(lane, width)) from = lane;
    return emulator::from_lane("__shfl_xor_sync", line, mask, value, from);
}

// A lane outside the mask leaves all bits set, which no lane's `0 or 1` is.
static inline unsigned __ballot_sync(unsigned mask, int p, EMULATOR_LINE) {
    const unsigned long long *all = emulator_exchange("__ballot_sync", line, mask, p != 0);
    unsigned result = 0;
    for (int lane = 0; lane < 32; ++lane) result |= (unsigned)(all[lane] == 1) << lane;
    return result;
}
static inline int __any_sync(unsigned mask, int p, EMULATOR_LINE) { return __ballot_sync(mask, p, line) != 0; }
static inline int __all_sync(unsigned mask, int p, EMULATOR_LINE) { return __ballot_sync(mask, !p, line) == 0; }
static inline unsigned __activemask() { return emulator_active_lanes(); }

// The reductions of compute capability 8.0 and newer; one line each over all values given.
#define EMULATOR_REDUCE(name, type, step)                                                         \
    static inline type __reduce_##name##_sync(unsigned mask, type value, EMULATOR_LINE) {         \
        const unsigned long long *all = emulator_exchange("__reduce_sync", line, mask, (unsigned)value); \
        bool any = false;                                                                         \
        type r = 0;                                                                               \
        for (int lane = 0; lane < 32; ++lane) {                                                   \
            if (!(mask >> lane & 1) || all[lane] == ~0ull) continue;                              \
            type v = (type)(unsigned)all[lane];                                                   \
            r = any ? (step) : v;                                                                 \
            any = true;                                                                           \
        }                                                                                         \
        return r;                                                                                 \
    }
EMULATOR_REDUCE(add, int, r + v)
EMULATOR_REDUCE(add, unsigned, r + v)
EMULATOR_REDUCE(min, int, v < r ? v : r)
EMULATOR_REDUCE(min, unsigned, v < r ? v : r)
EMULATOR_REDUCE(max, int, v > r ? v : r)
EMULATOR_REDUCE(max, unsigned, v > r ? v : r)
EMULATOR_REDUCE(and, unsigned, r & v)
EMULATOR_REDUCE(or, unsigned, r | v)
EMULATOR_REDUCE(xor, unsigned, r ^ v)
#undef EMULATOR_REDUCE

// --- atomics -----------------------------------------------------------------------------------------------------
// All threads are fibers of one thread of the host, so plain code is atomic. CUDA has each atomic for a few types only,
// and so have we. The search for races does not look at them.

#define EMULATOR_NO_RACE __attribute__((no_sanitize("thread")))

#define EMULATOR_ATOMIC_NAMED(name, type, result)                              \
    EMULATOR_NO_RACE static inline type name(type *address, type value) {      \
        type old = *address;                                                   \
        *address = result;                                                     \
        return old;                                                            \
    }
#define EMULATOR_ATOMIC(name, type, result)                \
    EMULATOR_ATOMIC_NAMED(name, type, result)              \
    EMULATOR_ATOMIC_NAMED(name##_block, type, result)      \
    EMULATOR_ATOMIC_NAMED(name##_system, type, result)
#define EMULATOR_ATOMIC_32(name, result) EMULATOR_ATOMIC(name, int, result) EMULATOR_ATOMIC(name, unsigned, result)
#define EMULATOR_ATOMIC_ALL(name, result) EMULATOR_ATOMIC_32(name, result) EMULATOR_ATOMIC(name, unsigned long long, result)
EMULATOR_ATOMIC_ALL(atomicAdd, old + value)
EMULATOR_ATOMIC(atomicAdd, float, old + value)
EMULATOR_ATOMIC(atomicAdd, double, old + value)
EMULATOR_ATOMIC_32(atomicSub, old - value)
EMULATOR_ATOMIC_ALL(atomicExch, value)
EMULATOR_ATOMIC(atomicExch, float, value)
EMULATOR_ATOMIC_ALL(atomicMin, value < old ? value : old)
EMULATOR_ATOMIC(atomicMin, long long, value < old ? value : old)
EMULATOR_ATOMIC_ALL(atomicMax, value > old ? value : old)
EMULATOR_ATOMIC(atomicMax, long long, value > old ? value : old)
EMULATOR_ATOMIC_ALL(atomicAnd, old & value)
EMULATOR_ATOMIC_ALL(atomicOr, old | value)
EMULATOR_ATOMIC_ALL(atomicXor, old ^ value)
EMULATOR_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
EMULATOR_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
#define EMULATOR_CAS(name, type)                                        \
    EMULATOR_NO_RACE static inline type name(type *address, type compare, type value) { \
        type old = *address;                                            \
        if (old == compare) *address = value;                           \
        return old;                                                     \
    }
#define EMULATOR_CAS_ALL(type) \
    EMULATOR_CAS(atomicCAS, type) EMULATOR_CAS(atomicCAS_block, type) EMULATOR_CAS(atomicCAS_system, type)
EMULATOR_CAS_ALL(int)
EMULATOR_CAS_ALL(unsigned)
EMULATOR_CAS_ALL(unsigned long long)
EMULATOR_CAS_ALL(unsigned short)
#undef EMULATOR_CAS_ALL
#undef EMULATOR_CAS
#undef EMULATOR_ATOMIC_ALL
#undef EMULATOR_ATOMIC_32
#undef EMULATOR_ATOMIC
#undef EMULATOR_ATOMIC_NAMED

// --- loads and stores with cache hints ----------------------------------------------------------------------------

namespace emulator {
template <class T> struct Same { typedef T type; };  // keeps a parameter from taking part in deduction
}
#define EMULATOR_LOAD(name) \
    template <class T> inline T name(const T *address) { return *address; }
#define EMULATOR_STORE(name) \
    template <class T> inline void name(T *address, typename emulator::Same<T>::type value) { *address = value; }
EMULATOR_LOAD(__ldg)
EMULATOR_LOAD(__ldcs)
EMULATOR_LOAD(__ldca)
EMULATOR_LOAD(__ldcg)
EMULATOR_LOAD(__ldcv)
EMULATOR_LOAD(__ldlu)
EMULATOR_STORE(__stcs)
EMULATOR_STORE(__stcg)
EMULATOR_STORE(__stwb)
EMULATOR_STORE(__stwt)
#undef EMULATOR_LOAD
#undef EMULATOR_STORE

// --- the rest of the language ------------------------------------------------------------------------------------

extern "C" int printf(const char *format, ...);
extern "C" void *memcpy(void *to, const void *from, size_t bytes);
extern "C" void *memset(void *to, int byte, size_t bytes);
#define assert(condition) ((condition) ? (void)0 : emulator_fail(710, "assert(" #condition ")", __LINE__))
static inline void __trap(EMULATOR_LINE) { emulator_fail(719, "__trap()", line); }
extern "C" long long emulator_clock();
static inline long long clock64() { return emulator_clock(); }
static inline unsigned long long __globaltimer() { return (unsigned long long)emulator_clock(); }
