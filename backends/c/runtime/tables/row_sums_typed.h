/* Sums of rows by the places they go to, see symc_row_sums in symc_rt.h. Compiled once per element type.
 *
 * To add row after row to rows anywhere in a large table moves each of them from memory and back. Here the numbers of the
 * rows are sorted by their places first, by counting; then each row of the table is summed in registers and stored once. */
#include "base/ahead.h"
#include "base/masked.h"
#include "base/real.h"
#include "base/stream.h"

enum {
    TERMS = sizeof(real) == 4 ? 32 : 512, /* SUM_TERMS of symc/loops/ir.py: terms of a sum before it is added to a double */
    VECS = VEC_BYTES == 64 ? 16 : 8,      /* vectors that are summed at once */
    PIECE = VECS * VL,
    ROWS_AHEAD = 4,                       /* rows between the one that is added and the one that is fetched */
    CHUNK = 1 << 16,                      /* elements that a thread adds before it takes more rows */
    SAMPLES = 64, OFTEN = 8,              /* rows of which so many of so many terms are few rows */
    LEAST_SHARE = 64                      /* the least number of columns that a thread adds, in place of rows */
};

typedef struct {
    int64_t rows, count, columns; /* rows of the table; rows to be added; columns of both */
    const real *values;
    const int64_t *places;
    real *table;
    int32_t *starts, *order; /* the terms of row r: order[starts[r]] .. order[starts[r + 1] - 1] */
    int unequal;             /* whether many of the terms go to few rows */
    int past;                /* whether results are stored past the caches */
} sums;

static void sort_terms(const sums *v)
{
    memset(v->starts, 0, (v->rows + 2) * sizeof *v->starts);
    int32_t *counts = v->starts + 2, total = 0;
    for (int64_t k = 0; k < v->count; k++)
        counts[v->places[k]]++;
    for (int64_t r = 0; r < v->rows; r++)
        counts[r] = total += counts[r];
    int32_t *next = v->starts + 1; /* where the next term of a row goes, in the end where the next row begins */
    for (int64_t k = 0; k < v->count; k++)
        v->order[next[v->places[k]]++] = (int32_t)k;
}

/* ---- few rows with many terms ---- */

/* Their rows stay in the cache, and one thread would be busy with one of them for long. */
static int are_unequal(const sums *v)
{
    for (int64_t i = 0; i < SAMPLES && v->count >= SAMPLES; i++) {
        int64_t same = 0;
        for (int64_t j = 0; j < SAMPLES; j++)
            same += v->places[j * v->count / SAMPLES] == v->places[i * v->count / SAMPLES];
        if (same >= OFTEN)
            return 1;
    }
    return 0;
}

static void clear_rows(void *arg, int64_t begin, int64_t end)
{
    const sums *v = arg;
    real *to = v->table + begin * v->columns, *last = v->table + end * v->columns;
    for (; to + VL <= last; to += VL)
        store(to, (vec){0});
    for (; to < last; to++)
        *to = 0;
}

/* Adds columns [begin, end) of one row after another. */
static void add_columns(void *arg, int64_t begin, int64_t end)
{
    const sums *v = arg;
    for (int64_t k = 0; k < v->count && begin < end; k++) {
        const real *x = v->values + k * v->columns;
        real *to = v->table + v->places[k] * v->columns;
        fetch_elements(v->table + v->places[smaller(k + 2 * ROWS_AHEAD, v->count - 1)] * v->columns + begin, end - begin);
        int64_t c = begin;
        for (; c + VL <= end; c += VL)
            store(to + c, load(to + c) + load(x + c));
        for (; c < end; c++)
            to[c] += x[c];
    }
}

/* ---- one row ---- */

/* Vectors of a row from a column on, the last of which may have `some` lanes alone. */
INLINE void add_terms(const sums *v, int vecs, int partial, lane_mask some, int64_t column, int64_t first, int64_t last, vec *sum)
{
    for (int64_t e = first; e < last; e++) {
        const real *x = v->values + (int64_t)v->order[e] * v->columns + column;
        if (e + ROWS_AHEAD < v->count)
            fetch_elements(v->values + (int64_t)v->order[e + ROWS_AHEAD] * v->columns + column, vecs * VL);
        UNROLL
        for (int i = 0; i < vecs; i++)
            sum[i] += partial && i == vecs - 1 ? load_lanes(x + i * VL, some) : load(x + i * VL);
    }
}

INLINE void sum_vectors(const sums *v, int vecs, int partial, lane_mask some, int64_t column, int64_t first, int64_t last, real *to)
{
    vec sum[VECS];
    UNROLL
    for (int i = 0; i < vecs; i++)
        sum[i] = (vec){0};
    if (last - first <= TERMS) {
        add_terms(v, vecs, partial, some, column, first, last, sum);
    } else {
        double total[PIECE] = {0};
        for (; first < last; first += TERMS) {
            real part[PIECE];
            add_terms(v, vecs, partial, some, column, first, smaller(last, first + TERMS), sum);
            UNROLL
            for (int i = 0; i < vecs; i++)
                store(part + i * VL, sum[i]), sum[i] = (vec){0};
            for (int i = 0; i < vecs * VL; i++)
                total[i] += (double)part[i];
        }
        real part[PIECE];
        for (int i = 0; i < vecs * VL; i++)
            part[i] = (real)total[i];
        UNROLL
        for (int i = 0; i < vecs; i++)
            sum[i] = load(part + i * VL);
    }
    UNROLL
    for (int i = 0; i < vecs; i++) {
        if (partial && i == vecs - 1)
            store_lanes(to + i * VL, sum[i], some);
        else if (v->past)
            store_past(to + i * VL, sum[i]);
        else
            store(to + i * VL, sum[i]);
    }
}

static void sum_columns(const sums *v, int64_t row)
{
    int64_t column = 0, stop = v->columns;
    const lane_mask none = first_lanes(0);
    int64_t first = v->starts[row], last = v->starts[row + 1];
    real *to = v->table + row * v->columns;
    if (first == last && !v->past) {
        memset(to, 0, stop * sizeof(real));
        return;
    }
    for (; column + VECS * VL <= stop; column += VECS * VL)
        sum_vectors(v, VECS, 0, none, column, first, last, to + column);
    for (; column + 4 * VL <= stop; column += 4 * VL)
        sum_vectors(v, 4, 0, none, column, first, last, to + column);
    for (; column + VL <= stop; column += VL)
        sum_vectors(v, 1, 0, none, column, first, last, to + column);
    if (column < stop)
        sum_vectors(v, 1, 1, first_lanes(stop - column), column, first, last, to + column);
}

static void sum_rows(void *arg, int64_t begin, int64_t end)
{
    const sums *v = arg;
    for (int64_t row = begin; row < end; row++)
        sum_columns(v, row);
    if (v->past)
        finish_stream();
}

/* Reads the places, and sorts the terms unless they are unequal. */
static void examine(void *arg, int64_t begin, int64_t end)
{
    sums *v = arg;
    v->unequal = begin < end && are_unequal(v);
    if (v->unequal)
        return;
    v->starts = symc_scratch(SLOT_TABLE, (v->rows + 2) * sizeof *v->starts);
    v->order = symc_scratch(SLOT_SHARED, larger(1, v->count) * sizeof *v->order);
    if (begin < end)
        sort_terms(v);
}

void FN(symc_row_sums)(void *const *bufs, const int64_t *p)
{
    sums v = {.rows = p[0], .count = p[1], .columns = p[2], .table = bufs[0], .values = bufs[1], .places = bufs[2]};
    if (v.rows * v.columns <= 0)
        return;
    symc_parallel(examine, &v, 1, 1);
    if (v.unequal) {
        symc_parallel(clear_rows, &v, v.rows, larger(1, CHUNK / v.columns));
        symc_parallel(add_columns, &v, v.columns, larger(LEAST_SHARE, ceil_div(v.columns, symc_num_threads())));
        return;
    }
    v.past = are_uncached(v.rows * v.columns) &&
             may_stream(v.table, v.columns, v.rows * v.columns * (int64_t)sizeof(real));
    symc_parallel(sum_rows, &v, v.rows, larger(1, CHUNK / (v.columns * (2 + v.count / v.rows))));
}
