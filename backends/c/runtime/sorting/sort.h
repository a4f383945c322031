/* Sorting: order-preserving keys, and the kinds of elements that are sorted. */
#ifndef SYMC_SORT_H
#define SYMC_SORT_H

#include "base/scratch.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    RUN = 16,           /* elements that are sorted by insertion */
    SHORT = 512,        /* below this number, merging */
    LONG = 1 << 16,     /* from this number on, wide digits */
    NARROW = 8,         /* bits of a digit */
    WIDE = 11,
    SPLIT = 1 << 16,    /* from this number on, a line is sorted by all threads */
    COLUMNS = 16,       /* lines that are copied side by side if their elements are not contiguous */
    MAX_SHARES = 64,
#if defined(__AVX2__)
    NETWORK = 512,      /* up to this number, several lines are sorted side by side */
#else
    NETWORK = 64,       /* fewer, as vectors of unsigned numbers have no minimum */
#endif
    LINES = COLUMNS,    /* so many */
    SHORTEST = 64,      /* up to this number, also if there are only a quarter of LINES, or if a few are selected */
    FEW = 32,           /* up to this number, the most extreme elements are kept in order while a line is read */
    FEW_OF_SHORT = 8,   /* the same of lines side by side */
    BLOCK = 32,         /* elements that are compared with the last of those at once */
    SOUGHT = 16,        /* elements that are searched for at once */
    SLOT_KEYS = SYMC_SCRATCH_LIBRARY_SLOT,
    SLOT_SPARE,
    SLOT_PLACES,
    SLOT_LINES
};

INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

typedef struct {
    uint64_t key;
    int64_t at;
} wide_pair;

/* A 32-bit key above a 32-bit index. */
typedef uint64_t narrow_pair;

#define NAME(x) x##_u32
#define ELEMENT uint32_t
#define KEY(e) (e)
#define KEY_BITS 32
#include "sort_typed.h"

#define NAME(x) x##_u64
#define ELEMENT uint64_t
#define KEY(e) (e)
#define KEY_BITS 64
#include "sort_typed.h"

#define NAME(x) x##_narrow
#define ELEMENT narrow_pair
#define KEY(e) ((e) >> 32)
#define KEY_BITS 32
#include "sort_typed.h"

#define NAME(x) x##_wide
#define ELEMENT wide_pair
#define KEY(e) ((e).key)
#define KEY_BITS 64
#include "sort_typed.h"

/* A sorting network, merge exchange (Knuth, The Art of Computer Programming, volume 3, algorithm 5.2.2 M): its comparisons
 * do not depend on the elements, so that lanes of vectors sort a line each. Element r of line c is a[r * LINES + c]. */
#define NETWORK_OF(name, type)                                                                                         \
    static void name(type *a, int64_t n)                                                                               \
    {                                                                                                                  \
        int64_t top = 1;                                                                                               \
        while (2 * top < n)                                                                                            \
            top *= 2;                                                                                                  \
        for (int64_t p = n > 1 ? top : 0; p > 0; p /= 2) {                                                             \
            int64_t q = top, r = 0, d = p;                                                                             \
            for (;; d = q - p, q /= 2, r = p) {                                                                        \
                for (int64_t i = 0; i < n - d; i++)                                                                    \
                    if ((i & p) == r)                                                                                  \
                        name##_exchange(a + i * LINES, a + (i + d) * LINES);                                           \
                if (q == p)                                                                                            \
                    break;                                                                                             \
            }                                                                                                          \
        }                                                                                                              \
    }
#define EXCHANGE_OF(name, type)                                                                                        \
    INLINE void name(type *restrict a, type *restrict b)                                                               \
    {                                                                                                                  \
        for (int c = 0; c < LINES; c++) {                                                                              \
            type x = a[c], y = b[c];                                                                                   \
            a[c] = x < y ? x : y;                                                                                      \
            b[c] = x < y ? y : x;                                                                                      \
        }                                                                                                              \
    }

EXCHANGE_OF(network_u32_exchange, uint32_t)
NETWORK_OF(network_u32, uint32_t)
EXCHANGE_OF(network_u64_exchange, uint64_t)
NETWORK_OF(network_u64, uint64_t)

/* How many shares a long line is sorted in. */
INLINE int64_t shares_of(int64_t n)
{
    return n < SPLIT ? 1 : smaller(smaller(symc_num_threads(), MAX_SHARES), n / (SPLIT / 2));
}

#endif
