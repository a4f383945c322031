/* Sorting of elements by an unsigned key. Included once per kind of element, with these macros:
 *
 * NAME(x)  the function's name for this kind;  ELEMENT  the type;  KEY(e)  the key of an element;  KEY_BITS  its width
 *
 * All sorts are stable. Short arrays are merged, long ones distributed digit by digit, the lowest first; digits that all
 * keys share are skipped. */

static void NAME(insertion)(ELEMENT *a, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        ELEMENT e = a[i];
        int64_t j = i;
        for (; j > 0 && KEY(a[j - 1]) > KEY(e); j--)
            a[j] = a[j - 1];
        a[j] = e;
    }
}

/* Merges runs of doubling length; the result is in `a`. */
static void NAME(merge)(ELEMENT *a, ELEMENT *spare, int64_t n)
{
    for (int64_t i = 0; i < n; i += RUN)
        NAME(insertion)(a + i, smaller(RUN, n - i));
    ELEMENT *from = a, *to = spare;
    for (int64_t run = RUN; run < n; run *= 2) {
        for (int64_t i = 0; i < n; i += 2 * run) {
            const ELEMENT *left = from + i, *left_end = from + smaller(i + run, n), *right = left_end;
            const ELEMENT *right_end = from + smaller(i + 2 * run, n);
            ELEMENT *out = to + i;
            while (left < left_end && right < right_end) {
                int take_right = KEY(*right) < KEY(*left);
                *out++ = take_right ? *right : *left;
                right += take_right;
                left += !take_right;
            }
            memcpy(out, left, (size_t)(left_end - left) * sizeof *left);
            memcpy(out + (left_end - left), right, (size_t)(right_end - right) * sizeof *right);
        }
        ELEMENT *other = from;
        from = to, to = other;
    }
    if (from != a)
        memcpy(a, from, (size_t)n * sizeof *a);
}

typedef struct {
    const ELEMENT *from;
    ELEMENT *to;
    int64_t n, shares;
    int shift, bits;
    int64_t *places; /* [share][digit] */
} NAME(pass);

INLINE int64_t NAME(share)(const NAME(pass) *v, int64_t i) { return v->n * i / v->shares; }

static void NAME(count)(void *arg, int64_t begin, int64_t end)
{
    const NAME(pass) *v = arg;
    int64_t digits = (int64_t)1 << v->bits;
    for (int64_t i = begin; i < end; i++) {
        int64_t *count = v->places + i * digits, last = NAME(share)(v, i + 1);
        memset(count, 0, (size_t)digits * sizeof *count);
        for (int64_t k = NAME(share)(v, i); k < last; k++)
            count[(KEY(v->from[k]) >> v->shift) & (digits - 1)]++;
    }
}

static void NAME(distribute)(void *arg, int64_t begin, int64_t end)
{
    const NAME(pass) *v = arg;
    int64_t digits = (int64_t)1 << v->bits;
    for (int64_t i = begin; i < end; i++) {
        int64_t *place = v->places + i * digits, last = NAME(share)(v, i + 1);
        for (int64_t k = NAME(share)(v, i); k < last; k++) {
            ELEMENT e = v->from[k];
            v->to[place[(KEY(e) >> v->shift) & (digits - 1)]++] = e;
        }
    }
}

/* Turns counts into places; returns whether all keys have one digit. */
static int NAME(place)(const NAME(pass) *v)
{
    int64_t digits = (int64_t)1 << v->bits, at = 0;
    for (int64_t d = 0; d < digits; d++) {
        int64_t start = at;
        for (int64_t i = 0; i < v->shares; i++) {
            int64_t count = v->places[i * digits + d];
            v->places[i * digits + d] = at;
            at += count;
        }
        if (at - start == v->n)
            return 1;
    }
    return 0;
}

/* Sorts by distribution; returns where the result is, `a` or `spare`. `places` has room for shares << bits numbers. */
static ELEMENT *NAME(radix)(ELEMENT *a, ELEMENT *spare, int64_t n, int64_t shares, int bits, int64_t *places)
{
    NAME(pass) v = {.from = a, .to = spare, .n = n, .shares = shares, .bits = bits, .places = places};
    for (v.shift = 0; v.shift < KEY_BITS; v.shift += bits) {
        symc_parallel(NAME(count), &v, shares, 1);
        if (NAME(place)(&v))
            continue;
        symc_parallel(NAME(distribute), &v, shares, 1);
        ELEMENT *other = v.to;
        v.to = (ELEMENT *)v.from, v.from = other;
    }
    return (ELEMENT *)v.from;
}

/* Sorts; returns where the result is. */
static ELEMENT *NAME(sort)(ELEMENT *a, ELEMENT *spare, int64_t n, int64_t shares, int64_t *places)
{
    if (n < SHORT) {
        NAME(merge)(a, spare, n);
        return a;
    }
    return NAME(radix)(a, spare, n, shares, n < LONG ? NARROW : WIDE, places);
}

#undef NAME
#undef ELEMENT
#undef KEY
#undef KEY_BITS
