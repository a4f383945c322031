/* Sorting, the permutation that sorts, the most extreme elements and places in sorted vectors, for one dtype. See symc_rt.h.
 *
 * Included once per dtype, with TAG, TYPE, BITS (32 or 64, of the key), and one of IS_FLOAT, IS_SIGNED, IS_UNSIGNED.
 * A key is an unsigned integer in the order of the elements: NaN is the largest, and -0.0 equals 0.0. Lines run along an
 * axis of an array (outer, n, inner). One long line is sorted by all threads, several are shared out. */

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define FN(name) JOIN(name, TAG)
#define API(name) JOIN(JOIN(symc, name), TAG)
#if BITS == 32
typedef uint32_t FN(key);
typedef narrow_pair FN(pair);
#define SORT_KEYS sort_u32
#define NETWORK_OF_KEYS network_u32
#define SORT_PAIRS sort_narrow
#define PAIR(k, i) ((narrow_pair)(k) << 32 | (uint32_t)(i))
#define PAIR_KEY(p) ((uint32_t)((p) >> 32))
#define PAIR_AT(p) ((int64_t)((p) & 0xFFFFFFFFu))
#else
typedef uint64_t FN(key);
typedef wide_pair FN(pair);
#define SORT_KEYS sort_u64
#define NETWORK_OF_KEYS network_u64
#define SORT_PAIRS sort_wide
#define PAIR(k, i) ((wide_pair){k, i})
#define PAIR_KEY(p) ((p).key)
#define PAIR_AT(p) ((p).at)
#endif
#define TOP ((FN(key))1 << (BITS - 1))

INLINE FN(key) FN(key_of)(TYPE x)
{
#if IS_FLOAT
    FN(key) u;
    if (x != x)
        return (FN(key))-1;
    x += 0; /* -0.0 becomes 0.0 */
    memcpy(&u, &x, sizeof u);
    return u & TOP ? ~u : u | TOP;
#elif IS_SIGNED
    return (FN(key))x ^ TOP;
#else
    return (FN(key))x;
#endif
}

INLINE TYPE FN(of_key)(FN(key) u)
{
#if IS_FLOAT
    TYPE x;
    u = u & TOP ? u ^ TOP : ~u;
    memcpy(&x, &u, sizeof x);
    return x;
#elif IS_SIGNED
    return (TYPE)(u ^ TOP);
#else
    return (TYPE)u;
#endif
}

typedef struct {
    TYPE *values;
    int64_t *places;
    const TYPE *x;
    int64_t outer, n, inner, k;
    int largest, want_places;
    int last; /* whether of equal elements those at higher indices are taken, and the most extreme is last */
    FN(key) *keys;
    FN(pair) *pairs;
    int64_t *counts;
    int64_t shares;
    FN(key) limit; /* of the leading digit */
    int special;   /* whether there are zeros or NaNs */
} FN(job);

/* ---- one line --------------------------------------------------------------------------------------------------- */

/* Zeros and NaNs of the sorted line have lost their bits: those of the line are written in their order. The elements of
 * both are `step` apart. */
static void FN(restore)(TYPE *out, const TYPE *x, int64_t n, int64_t step)
{
#if IS_FLOAT
    int64_t nans = 0, negative = 0, below = 0;
    for (int64_t i = 0; i < n; i++) {
        TYPE e = x[i * step];
        nans += e != e;
        below += e < 0;
        negative += e == 0 && __builtin_signbit(e);
    }
    if (!nans && !negative)
        return;
    int64_t zero = below, nan = n - nans;
    for (int64_t i = 0; i < n; i++) {
        TYPE e = x[i * step];
        if (e == 0)
            out[zero++ * step] = e;
        else if (e != e)
            out[nan++ * step] = e;
    }
#else
    (void)out, (void)x, (void)n, (void)step;
#endif
}

static void FN(encode)(void *arg, int64_t begin, int64_t end)
{
    FN(job) *v = arg;
    int special = 0;
    for (int64_t i = begin; i < end; i++) {
        TYPE x = v->x[i];
        special |= (x != x) | (x == 0);
        v->keys[i] = FN(key_of)(x);
    }
    if (IS_FLOAT && special)
        __atomic_store_n(&v->special, 1, __ATOMIC_RELAXED);
}

static void FN(encode_pairs)(void *arg, int64_t begin, int64_t end)
{
    const FN(job) *v = arg;
    for (int64_t i = begin; i < end; i++)
        v->pairs[i] = PAIR(FN(key_of)(v->x[i]), i);
}

static void FN(decode)(void *arg, int64_t begin, int64_t end)
{
    const FN(job) *v = arg;
    for (int64_t i = begin; i < end; i++)
        v->values[i] = FN(of_key)(v->keys[i]);
}

static void FN(decode_places)(void *arg, int64_t begin, int64_t end)
{
    const FN(job) *v = arg;
    for (int64_t i = begin; i < end; i++)
        v->places[i] = PAIR_AT(v->pairs[i]);
}

/* Sorts the line x of n elements into v->values, or its permutation into v->places. */
static void FN(line)(const FN(job) *job)
{
    FN(job) v = *job;
    int64_t n = v.n, shares = shares_of(n);
    int64_t *places = symc_scratch(SLOT_PLACES, (size_t)(shares << WIDE) * sizeof *places);
    if (v.want_places) {
        v.pairs = symc_scratch(SLOT_KEYS, (size_t)n * sizeof *v.pairs);
        FN(pair) *spare = symc_scratch(SLOT_SPARE, (size_t)n * sizeof *spare);
        if (symc_is_measuring())
            return;
        symc_parallel(FN(encode_pairs), &v, n, SPLIT / 2);
        v.pairs = SORT_PAIRS(v.pairs, spare, n, shares, places);
        symc_parallel(FN(decode_places), &v, n, SPLIT / 2);
        return;
    }
    v.keys = symc_scratch(SLOT_KEYS, (size_t)n * sizeof *v.keys);
    FN(key) *spare = symc_scratch(SLOT_SPARE, (size_t)n * sizeof *spare);
    if (symc_is_measuring())
        return;
    symc_parallel(FN(encode), &v, n, SPLIT / 2);
    v.keys = SORT_KEYS(v.keys, spare, n, shares, places);
    symc_parallel(FN(decode), &v, n, SPLIT / 2);
    if (v.special)
        FN(restore)(v.values, v.x, n, 1);
}

#include "extreme_lines.h"
#include "search_sorted.h"

/* ---- many lines ------------------------------------------------------------------------------------------------- */

/* Sorts `count` short lines side by side: line c has its element r at x[c * apart + r * step], and so have the results.
 * One of the distances is 1, the other one the number of elements of a line or more. */
static void FN(side_by_side)(const FN(job) *v, int64_t count, int64_t apart, int64_t step)
{
    const int64_t n = v->n, rows = step == 1 ? count : n, row = step == 1 ? apart : step, length = step == 1 ? n : count;
    const int64_t of_line = step == 1 ? 1 : LINES, of_element = step == 1 ? LINES : 1; /* of rows of memory, in `keys` */
    FN(key) keys[NETWORK * LINES], line[NETWORK];
    int special = 0;
    for (int64_t r = 0; r < n && count < LINES; r++)
        for (int64_t c = count; c < LINES; c++)
            keys[r * LINES + c] = 0;
    for (int64_t i = 0; i < rows; i++) {
        const TYPE *x = v->x + i * row;
        for (int64_t k = 0; k < length; k++) {
            special |= (x[k] != x[k]) | (x[k] == 0);
            line[k] = FN(key_of)(x[k]);
        }
        for (int64_t k = 0; k < length; k++)
            keys[i * of_line + k * of_element] = line[k];
    }
#if BITS == 32
    if (v->want_places) {
        FN(pair) pairs[NETWORK * LINES];
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = 0; c < LINES; c++)
                pairs[r * LINES + c] = PAIR(keys[r * LINES + c], r);
        network_u64(pairs, n);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < length; k++)
                v->places[i * row + k] = PAIR_AT(pairs[i * of_line + k * of_element]);
        return;
    }
#endif
    NETWORK_OF_KEYS(keys, n);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t k = 0; k < length; k++)
            line[k] = keys[i * of_line + k * of_element];
        for (int64_t k = 0; k < length; k++)
            v->values[i * row + k] = FN(of_key)(line[k]);
    }
    for (int64_t c = 0; IS_FLOAT && special && c < count; c++)
        FN(restore)(v->values + c * apart, v->x + c * apart, n, step);
}

/* Whether lines are short enough to be sorted side by side, and enough of them. */
INLINE int FN(are_short)(const FN(job) *v)
{
    int pairs = v->want_places || v->k >= 0, few = v->k <= FEW_OF_SHORT;
    if (v->n > (v->k >= 0 ? SHORTEST : NETWORK) || v->outer * v->inner < (v->n > SHORTEST ? LINES : LINES / 4))
        return 0;
    return few && !(BITS == 64 && pairs);
}

INLINE void FN(one)(const FN(job) *v) { v->k >= 0 ? FN(extremes)(v) : FN(line)(v); }

/* Lines [begin, end); those whose elements are apart are copied, several at once. */
static void FN(lines)(void *arg, int64_t begin, int64_t end)
{
    const FN(job) *v = arg;
    int64_t n = v->n, made = v->k >= 0 ? v->k : n, inner = v->inner;
    if (FN(are_short)(v)) {
        for (int64_t i = begin, count; i < end; i += count) {
            int64_t column = i % inner, first = i / inner * n * inner + column;
            count = smaller(LINES, inner == 1 ? end - i : smaller(inner - column, end - i));
            FN(job) w = *v;
            w.x = v->x + first;
            if (v->k < 0)
                w.values = v->values + first, w.places = v->places + first;
#if BITS == 32
            if (v->k >= 0) {
                int64_t to = i / inner * made * inner + column;
                w.values = v->values + to, w.places = v->places + to;
                FN(few_side_by_side)(&w, count, inner == 1 ? n : 1, inner == 1 ? made : 1, inner);
                continue;
            }
#endif
            FN(side_by_side)(&w, count, inner == 1 ? n : 1, inner);
        }
        return;
    }
    if (inner == 1) {
        FN(job) w = *v;
        if (begin == end)
            FN(one)(&w);
        for (int64_t i = begin; i < end; i++) {
            w.x = v->x + i * n, w.values = v->values + i * made, w.places = v->places + i * made;
            FN(one)(&w);
        }
        return;
    }
    size_t room = (size_t)(COLUMNS * n) * sizeof(TYPE) + (size_t)(COLUMNS * made) * (sizeof(TYPE) + sizeof(int64_t));
    int64_t *places = symc_scratch(SLOT_LINES, room);
    TYPE *values = (TYPE *)(places + COLUMNS * made), *x = values + COLUMNS * made;
    FN(job) w = *v;
    if (begin == end)
        FN(one)(&w);
    for (int64_t i = begin; i < end;) {
        int64_t column = i % inner, count = smaller(smaller(COLUMNS, inner - column), end - i);
        const TYPE *from = v->x + i / inner * n * inner + column;
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = 0; c < count; c++)
                x[c * n + r] = from[r * inner + c];
        for (int64_t c = 0; c < count; c++) {
            w.x = x + c * n, w.values = values + c * made, w.places = places + c * made;
            FN(one)(&w);
        }
        int64_t to = i / inner * made * inner + column;
        for (int64_t r = 0; r < made; r++)
            for (int64_t c = 0; c < count; c++) {
                if (!v->want_places || v->k >= 0)
                    v->values[to + r * inner + c] = values[c * made + r];
                if (v->want_places || v->k >= 0)
                    v->places[to + r * inner + c] = places[c * made + r];
            }
        i += count;
    }
}

static void FN(run)(FN(job) *v, void *refused)
{
    int64_t lines = v->outer * v->inner;
    if (BITS == 32 && v->n > INT32_MAX) { /* indices of pairs are narrow */
        if (!symc_is_measuring())
            *(int64_t *)refused = 1;
        return;
    }
    if (lines == 0 || v->n == 0 || v->k == 0)
        return;
    if (v->n >= SPLIT && lines < symc_num_threads()) {
        for (int64_t i = 0; i < (symc_is_measuring() ? 0 : lines); i++)
            FN(lines)(v, i, i + 1);
        if (symc_is_measuring())
            FN(lines)(v, 0, 0);
        return;
    }
    int64_t grain = larger(1, (1 << 12) / v->n);
    symc_parallel(FN(lines), v, lines, v->inner > 1 || FN(are_short)(v) ? larger(grain, COLUMNS) : grain);
}

SYMC_API void API(sort)(void *const *bufs, const int64_t *p)
{
    FN(job) v = {.values = bufs[0], .x = bufs[1], .outer = p[0], .n = p[1], .inner = p[2], .k = -1};
    FN(run)(&v, bufs[2]);
}

SYMC_API void API(argsort)(void *const *bufs, const int64_t *p)
{
    FN(job) v = {.places = bufs[0], .x = bufs[1], .outer = p[0], .n = p[1], .inner = p[2], .k = -1, .want_places = 1};
    FN(run)(&v, bufs[2]);
}

SYMC_API void API(topk)(void *const *bufs, const int64_t *p)
{
    FN(job) v = {.values = bufs[0], .places = bufs[1], .x = bufs[2], .outer = p[0], .n = p[1], .inner = p[2], .k = p[3],
                 .largest = p[4] != 0, .last = p[4] == 2};
    if (v.k < 0 || v.k > v.n) {
        if (!symc_is_measuring())
            *(int64_t *)bufs[4] = 1; /* the caller finds the words */
        return;
    }
    FN(run)(&v, bufs[4]);
}

#undef FN
#undef API
#undef JOIN
#undef JOIN_
#undef SORT_KEYS
#undef NETWORK_OF_KEYS
#undef SORT_PAIRS
#undef PAIR
#undef PAIR_KEY
#undef PAIR_AT
#undef TOP
#undef TAG
#undef TYPE
#undef BITS
#undef IS_FLOAT
#undef IS_SIGNED
