/* Where elements belong in a sorted vector, for one dtype. Included by sort_lines.h.
 *
 * A block of elements is searched in step: the halves that remain have one length for all of them, and no step branches
 * on what it compares. A NaN is larger than all numbers. */

typedef struct {
    int64_t *places;
    const TYPE *a, *x;
    int64_t n, of_nan;
    int after; /* whether behind equal elements */
} FN(search);

INLINE int FN(goes_before)(TYPE a, TYPE x, int after) { return after ? a <= x : a < x; }

INLINE void FN(search_block)(const FN(search) *v, int64_t first, int64_t count, int after)
{
    const TYPE *a[SOUGHT], *x = v->x + first;
    int64_t length = v->n;
    for (int64_t k = 0; k < count; k++)
        a[k] = v->a;
    for (; length > 1; length -= length / 2)
        for (int64_t k = 0, half = length / 2; k < count; k++)
            a[k] += FN(goes_before)(a[k][half - 1], x[k], after) ? half : 0;
    for (int64_t k = 0; k < count; k++) {
        int64_t place = a[k] - v->a + (length == 1 && FN(goes_before)(*a[k], x[k], after));
        v->places[first + k] = x[k] == x[k] ? place : v->of_nan;
    }
}

INLINE void FN(search_side)(const FN(search) *v, int64_t begin, int64_t end, int after)
{
    for (; begin + SOUGHT <= end; begin += SOUGHT)
        FN(search_block)(v, begin, SOUGHT, after);
    FN(search_block)(v, begin, end - begin, after);
}

static void FN(search_range)(void *arg, int64_t begin, int64_t end)
{
    const FN(search) *v = arg;
    v->after ? FN(search_side)(v, begin, end, 1) : FN(search_side)(v, begin, end, 0);
}

SYMC_API void API(searchsorted)(void *const *bufs, const int64_t *p)
{
    FN(search) v = {.places = bufs[0], .a = bufs[1], .x = bufs[2], .n = p[0], .of_nan = p[0], .after = p[2] != 0};
#if IS_FLOAT
    const TYPE most = (TYPE)__builtin_inf();
    FN(search) numbers = {.places = &v.of_nan, .a = v.a, .x = &most, .n = v.n};
    if (!v.after && !symc_is_measuring())
        FN(search_block)(&numbers, 0, 1, 1);
#endif
    symc_parallel(FN(search_range), &v, p[1], 1 << 12);
}

/* The same where limits ascend; of others the caller finds the places, or the words. */
SYMC_API void API(digitize)(void *const *bufs, const int64_t *p)
{
    const TYPE *a = bufs[1];
    int ascends = 1;
    for (int64_t i = 1; i < (symc_is_measuring() ? 0 : p[0]); i++)
        ascends &= a[i - 1] <= a[i];
    if (ascends)
        API(searchsorted)(bufs, p);
    else
        *(int64_t *)bufs[3] = 1;
}
