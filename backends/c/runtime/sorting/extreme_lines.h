/* The most extreme elements of lines, for one dtype: part of sort_lines.h. */

/* ---- the most extreme elements ---------------------------------------------------------------------------------- */

/* Element i in the order in which equal ones are taken: that of the line, or from its end. */
INLINE int64_t FN(index_of)(const FN(job) *v, int64_t i) { return v->last ? v->n - 1 - i : i; }

INLINE FN(key) FN(rank_of)(const FN(job) *v, TYPE x)
{
    FN(key) key = FN(key_of)(x);
    return v->largest ? (FN(key))~key : key;
}

INLINE FN(key) FN(rank)(const FN(job) *v, int64_t i) { return FN(rank_of)(v, v->x[FN(index_of)(v, i)]); }

/* Stores the element of rank r, which is element i in the order of `index_of`. */
INLINE void FN(take)(const FN(job) *v, int64_t r, int64_t i)
{
    int64_t at = v->last ? v->k - 1 - r : r, from = FN(index_of)(v, i);
    v->places[at] = from;
    v->values[at] = v->x[from];
}

/* Whether any of BLOCK elements may have a lower rank than the element `limit`. */
INLINE int FN(any_beyond)(const TYPE *x, TYPE limit, int largest)
{
    FN(key) any = 0;
    if (largest) {
        for (int i = 0; i < BLOCK; i++)
            any |= (FN(key)) !(x[i] <= limit); /* NaN is the largest */
    } else {
        for (int i = 0; i < BLOCK; i++)
            any |= (FN(key)) !(x[i] >= limit);
    }
    return any != 0;
}

/* The few elements of lowest rank, in order: nearly all others are passed over, a block at a time. */
static void FN(few_of_line)(const FN(job) *v)
{
    FN(key) rank[FEW];
    int64_t from[FEW], k = v->k, found = 0;
    TYPE limit = 0;
    for (int64_t i = 0; i < v->n;) {
        int64_t count = smaller(BLOCK, v->n - i);
        if (found == k && count == BLOCK &&
            !FN(any_beyond)(v->x + (v->last ? v->n - i - BLOCK : i), limit, v->largest)) {
            i += BLOCK;
            continue;
        }
        for (int64_t end = i + count; i < end; i++) {
            TYPE x = v->x[FN(index_of)(v, i)];
            if (found == k && (v->largest ? x <= limit : x >= limit))
                continue;
            FN(key) here = FN(rank_of)(v, x);
            if (found == k && here >= rank[k - 1])
                continue;
            int64_t at = found < k ? found++ : k - 1;
            for (; at > 0 && rank[at - 1] > here; at--)
                rank[at] = rank[at - 1], from[at] = from[at - 1];
            rank[at] = here, from[at] = i;
            limit = v->x[FN(index_of)(v, from[found - 1])];
        }
    }
    for (int64_t r = 0; r < k; r++)
        FN(take)(v, r, from[r]);
}

static void FN(count_leading)(void *arg, int64_t begin, int64_t end)
{
    const FN(job) *v = arg;
    for (int64_t s = begin; s < end; s++) {
        int64_t *count = v->counts + (s << WIDE), last = v->n * (s + 1) / v->shares;
        memset(count, 0, sizeof *count << WIDE);
        for (int64_t i = v->n * s / v->shares; i < last; i++)
            count[FN(rank)(v, i) >> (BITS - WIDE)]++;
    }
}

/* The elements whose leading digit is at most the limit, in their order. */
static void FN(collect)(void *arg, int64_t begin, int64_t end)
{
    const FN(job) *v = arg;
    for (int64_t s = begin; s < end; s++) {
        int64_t at = v->counts[s << WIDE], last = v->n * (s + 1) / v->shares;
        for (int64_t i = v->n * s / v->shares; i < last; i++) {
            FN(key) key = FN(rank)(v, i);
            if (key >> (BITS - WIDE) <= v->limit)
                v->pairs[at++] = PAIR(key, i);
        }
    }
}

/* Narrows m candidates, digit by digit, down to little more than the k of lowest rank; returns how many are left. */
static int64_t FN(narrow)(FN(pair) *c, int64_t m, int64_t k, FN(key) prefix, int64_t *count)
{
    int shift = BITS - WIDE;
    while (shift > 0 && m > 2 * k + SHORT) {
        int next = shift > WIDE ? shift - WIDE : 0, bits = shift - next;
        int64_t below = 0, kept = 0;
        memset(count, 0, sizeof *count << bits);
        for (int64_t i = 0; i < m; i++) {
            FN(key) leading = PAIR_KEY(c[i]) >> shift;
            if (leading < prefix)
                below++;
            else
                count[PAIR_KEY(c[i]) >> next & (((FN(key))1 << bits) - 1)]++;
        }
        FN(key) digit = 0;
        while (below + count[digit] < k)
            below += count[digit++];
        prefix = prefix << bits | digit;
        for (int64_t i = 0; i < m; i++)
            if (PAIR_KEY(c[i]) >> next <= prefix)
                c[kept++] = c[i];
        m = kept, shift = next;
    }
    return m;
}

static void FN(extreme_line)(const FN(job) *job)
{
    FN(job) v = *job;
    v.shares = shares_of(v.n);
    v.counts = symc_scratch(SLOT_PLACES, (size_t)(v.shares << WIDE) * sizeof *v.counts);
    int64_t m = v.n;
    if (symc_is_measuring()) { /* at most, all elements have one leading digit */
        symc_scratch(SLOT_KEYS, (size_t)m * sizeof *v.pairs);
        symc_scratch(SLOT_SPARE, (size_t)m * sizeof *v.pairs);
        return;
    }
    if (4 * v.k < v.n && v.n >= SHORT) {
        symc_parallel(FN(count_leading), &v, v.shares, 1);
        m = 0;
        for (v.limit = 0;; v.limit++) {
            for (int64_t s = 0; s < v.shares; s++)
                m += v.counts[(s << WIDE) + (int64_t)v.limit];
            if (m >= v.k)
                break;
        }
        int64_t at = 0;
        for (int64_t s = 0; s < v.shares; s++) {
            int64_t found = 0;
            for (int64_t d = 0; d <= (int64_t)v.limit; d++)
                found += v.counts[(s << WIDE) + d];
            v.counts[s << WIDE] = at;
            at += found;
        }
    } else {
        v.limit = ((FN(key))1 << WIDE) - 1, v.shares = 1;
        v.counts[0] = 0;
    }
    v.pairs = symc_scratch(SLOT_KEYS, (size_t)m * sizeof *v.pairs);
    symc_parallel(FN(collect), &v, v.shares, 1);
    m = FN(narrow)(v.pairs, m, v.k, v.limit, v.counts);
    FN(pair) *spare = symc_scratch(SLOT_SPARE, (size_t)m * sizeof *spare);
    v.pairs = SORT_PAIRS(v.pairs, spare, m, shares_of(m), v.counts);
    for (int64_t r = 0; r < v.k; r++)
        FN(take)(&v, r, PAIR_AT(v.pairs[r]));
}

#if BITS == 32
/* The few elements of lowest rank of up to LINES short lines, which are the lanes of vectors. Line c has its element r at
 * x[c * apart + r * step], and result r at values[c * made_apart + r * step]. */
static void FN(few_side_by_side)(const FN(job) *v, int64_t count, int64_t apart, int64_t made_apart, int64_t step)
{
    const int64_t n = v->n, k = v->k;
    FN(pair) best[FEW * LINES], next[LINES];
    for (int64_t r = 0; r < k * LINES; r++)
        best[r] = (FN(pair))-1;
    for (int64_t i = 0; i < n; i++) {
        const TYPE *x = v->x + FN(index_of)(v, i) * step;
        for (int64_t c = 0; c < LINES; c++)
            next[c] = PAIR(c < count ? FN(rank_of)(v, x[c * apart]) : 0, i);
        for (int64_t r = 0; r < k; r++)
            network_u64_exchange(best + r * LINES, next);
    }
    for (int64_t c = 0; c < count; c++)
        for (int64_t r = 0; r < k; r++) {
            int64_t from = FN(index_of)(v, PAIR_AT(best[r * LINES + c]));
            int64_t at = c * made_apart + (v->last ? k - 1 - r : r) * step;
            v->places[at] = from;
            v->values[at] = v->x[c * apart + from * step];
        }
}
#endif

INLINE void FN(extremes)(const FN(job) *v)
{
    if (v->k <= FEW && !symc_is_measuring())
        FN(few_of_line)(v);
    else
        FN(extreme_line)(v);
}
