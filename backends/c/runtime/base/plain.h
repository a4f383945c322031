/* Plain epilogues, which are most: element = min(max(element + its term, low), high). A call may finish elements so while they
 * are in registers, in place of calling `run`, which reads and writes them once more. Convolutions do it with a term per
 * row, that is per filter, products with terms of columns and of elements, too. */
#ifndef SYMC_PLAIN_H
#define SYMC_PLAIN_H

#include "lanes.h"

#if defined(__AVX512F__) || defined(__AVX__) || defined(__SSE2__)
#include <immintrin.h>
#endif

/* What becomes of the elements of neighbouring rows. `terms` are those of rows; or with `of_columns` those of the columns of the
 * first row, `apart` elements in front of those of the next. */
typedef struct {
    const real *terms;
    real low, high;
    int of_columns;
    int64_t apart;
} plain_rows;

/* The same of one row, in variables: what is behind a pointer must be loaded again after every store. */
typedef struct {
    int wanted;
    real term;
    vec low, high;
} row_end;

INLINE int is_plain_epilogue(const symc_epilogue *e) { return e && e->period > 0 && !e->bits; }

/* What becomes of `rows` rows from `row` on, in `memory`; NULL if `run` is to be called for them, since it does anything else or
 * their terms are no neighbours. */
INLINE const plain_rows *plain_rows_of(const symc_epilogue *e, int64_t row, int64_t rows, plain_rows *memory)
{
    if (!is_plain_epilogue(e) || row % e->period + rows > e->period)
        return NULL;
    *memory = (plain_rows){.terms = (const real *)e->terms + row % e->period, .low = (real)e->low, .high = (real)e->high};
    return memory;
}

/* The same for products, whose output has `columns` columns. */
INLINE const plain_rows *plain_ends_of(const symc_epilogue *e, int64_t row, int64_t rows, int64_t columns, plain_rows *memory)
{
    if (!e || e->period >= 0 || e->bits)
        return plain_rows_of(e, row, rows, memory);
    const int64_t apart = e->period == SYMC_TERM_OF_ELEMENT ? columns : 0;
    *memory = (plain_rows){(const real *)e->terms + row * apart, (real)e->low, (real)e->high, 1, apart};
    return memory;
}

/* The rows from row `r` on, in `memory`; NULL if `p` is. */
INLINE const plain_rows *rows_from(const plain_rows *p, int64_t r, plain_rows *memory)
{
    if (!p)
        return NULL;
    *memory = *p;
    memory->terms += p->of_columns ? r * p->apart : r;
    return memory;
}

/* From column `c` on, in `memory`. */
INLINE const plain_rows *columns_from(const plain_rows *p, int64_t c, plain_rows *memory)
{
    if (!p || !p->of_columns)
        return p;
    *memory = *p;
    memory->terms += c;
    return memory;
}

/* Row `r`; none if `p` is NULL. */
INLINE row_end row_end_of(const plain_rows *p, int64_t r)
{
    return p ? (row_end){1, p->terms[r], (vec){0} + p->low, (vec){0} + p->high} : (row_end){0};
}

/* The machine's extrema are x where that is a NaN, or equal: as those of generated code. No bound is a NaN. */
#if defined(__AVX512F__) && SYMC_DOUBLE
INLINE vec at_least(vec x, vec low) { return (vec)_mm512_max_pd((__m512d)low, (__m512d)x); }
INLINE vec at_most(vec x, vec high) { return (vec)_mm512_min_pd((__m512d)high, (__m512d)x); }
#elif defined(__AVX512F__)
INLINE vec at_least(vec x, vec low) { return (vec)_mm512_max_ps((__m512)low, (__m512)x); }
INLINE vec at_most(vec x, vec high) { return (vec)_mm512_min_ps((__m512)high, (__m512)x); }
#elif defined(__AVX__) && SYMC_DOUBLE
INLINE vec at_least(vec x, vec low) { return (vec)_mm256_max_pd((__m256d)low, (__m256d)x); }
INLINE vec at_most(vec x, vec high) { return (vec)_mm256_min_pd((__m256d)high, (__m256d)x); }
#elif defined(__AVX__)
INLINE vec at_least(vec x, vec low) { return (vec)_mm256_max_ps((__m256)low, (__m256)x); }
INLINE vec at_most(vec x, vec high) { return (vec)_mm256_min_ps((__m256)high, (__m256)x); }
#elif defined(__SSE2__) && SYMC_DOUBLE
INLINE vec at_least(vec x, vec low) { return (vec)_mm_max_pd((__m128d)low, (__m128d)x); }
INLINE vec at_most(vec x, vec high) { return (vec)_mm_min_pd((__m128d)high, (__m128d)x); }
#elif defined(__SSE2__)
INLINE vec at_least(vec x, vec low) { return (vec)_mm_max_ps((__m128)low, (__m128)x); }
INLINE vec at_most(vec x, vec high) { return (vec)_mm_min_ps((__m128)high, (__m128)x); }
#else
INLINE vec at_least(vec x, vec low) { return choose((index_vec)(low > x), low, x); }
INLINE vec at_most(vec x, vec high) { return choose((index_vec)(high < x), high, x); }
#endif

INLINE vec finished(vec x, row_end e) { return e.wanted ? at_most(at_least(x + e.term, e.low), e.high) : x; }

INLINE vec finished_by_columns(vec x, vec terms, const plain_rows *p)
{
    return at_most(at_least(x + terms, (vec){0} + p->low), (vec){0} + p->high);
}

INLINE real finished_element(real x, real term, const plain_rows *p)
{
    x += term;
    x = p->low > x ? p->low : x;
    return p->high < x ? p->high : x;
}

#endif
