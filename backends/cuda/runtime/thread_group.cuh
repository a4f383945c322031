/* What threads do together. A thread group is the blockDim.x threads of one threadIdx.y: a power of two, 1 to 512.
 * Groups of up to 32 share warps and talk through shuffles; a larger one is a whole block. */
#ifndef SYMC_THREAD_GROUP_CUH
#define SYMC_THREAD_GROUP_CUH
#include "scalar.cuh"

/* Positions in memory: 32 bits where every array is short enough, which divides several times faster. */
#ifdef SYMC_WIDE
typedef int64_t idx;
typedef uint64_t uidx;
#else
typedef int32_t idx;
typedef uint32_t uidx;
#endif

SX idx ix_floordiv(idx a, idx b) {
    if (b == 0) return 0;
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
SX idx ix_mod(idx a, idx b) {
    if (b == 0) return 0;
    idx r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
SX idx ix_min(idx a, idx b) { return b < a ? b : a; }
SX idx ix_max(idx a, idx b) { return b > a ? b : a; }

/* Several neighbouring elements that are moved together. */
template <class T, int V>
struct __align__(sizeof(T) * V) Pack {
    T v[V];
};

/* The lanes of this thread's thread group within its warp. */
SX unsigned group_mask() {
    const unsigned thread_group = blockDim.x;
    if (thread_group >= 32) return 0xffffffffu;
    const unsigned lane = (threadIdx.y * thread_group + threadIdx.x) & 31;
    return ((1u << thread_group) - 1) << (lane & ~(thread_group - 1));
}

/* Makes all writes of the thread group visible to all of its threads. */
SX void group_sync() {
    if (blockDim.x > 32) __syncthreads();
    else if (blockDim.x > 1) __syncwarp(group_mask());
}

template <class T>
SX T group_shuffle(unsigned mask, T x, int distance, int width) {
    return __shfl_xor_sync(mask, x, distance, width);
}
#define GROUP_NARROW(S)                                                                \
    template <>                                                                       \
    __device__ __forceinline__ S group_shuffle<S>(unsigned mask, S x, int distance, int width) { \
        return (S)__shfl_xor_sync(mask, (int)x, distance, width);                     \
    }
GROUP_NARROW(int8_t)
GROUP_NARROW(uint8_t)
GROUP_NARROW(int16_t)
GROUP_NARROW(uint16_t)

/* Combines all threads' values; every thread gets the result. The order depends only on the thread group's size. */
template <class T, class Combine>
SX T group_reduce(T x, Combine combine) {
    const int thread_group = blockDim.x, width = thread_group < 32 ? thread_group : 32;
    const unsigned mask = group_mask();
    for (int distance = width / 2; distance > 0; distance /= 2)
        x = combine(x, group_shuffle<T>(mask, x, distance, width));
    if (thread_group <= 32) return x;
    __shared__ T part[16];
    __syncthreads(); /* an earlier reduction has been read */
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = x;
    __syncthreads();
    x = part[0];
    for (int w = 1; w < thread_group / 32; w++) x = combine(x, part[w]);
    return x;
}

/* memory = combine(memory, x), atomically: compare and swap until no other thread interferes. */
template <class T, class Combine>
SX void atomic_combine(T *memory, T x, Combine combine) {
    typedef unsigned int word;
    if (sizeof(T) == 8) {
        unsigned long long *at = (unsigned long long *)memory, old = *at, seen;
        do {
            seen = old;
            T value;
            memcpy(&value, &seen, sizeof(T));
            value = combine(value, x);
            unsigned long long next = 0;
            memcpy(&next, &value, sizeof(T));
            old = atomicCAS(at, seen, next);
        } while (old != seen);
        return;
    }
    /* 1, 2 or 4 bytes: the word around them */
    const unsigned long long address = (unsigned long long)memory;
    word *at = (word *)(address & ~3ull), old = *at, seen;
    const int shift = 8 * (int)(address & 3);
    do {
        seen = old;
        T value;
        word here = seen >> shift;
        memcpy(&value, &here, sizeof(T));
        value = combine(value, x);
        word bits = 0;
        memcpy(&bits, &value, sizeof(T));
        const word mask = sizeof(T) == 4 ? 0xffffffffu : ((1u << (8 * sizeof(T) % 32)) - 1) << shift;
        old = atomicCAS(at, seen, (seen & ~mask) | ((bits << shift) & mask));
    } while (old != seen);
}
/* Sums of floats have a dedicated instruction. */
SX void atomic_sum(float *memory, float x) { atomicAdd(memory, x); }
SX void atomic_sum(double *memory, double x) { atomicAdd(memory, x); }
#endif
