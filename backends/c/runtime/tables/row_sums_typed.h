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
    PIECE = VECS * VL,                    /* columns of a row that threads share, if most terms go to few rows */
    ROWS_AHEAD = 4,                       /* rows between the one that is added and the one that is fetched */
    CHUNK = 1 << 16                       /* elements that a thread adds before it takes more rows */
};

typedef struct {
    int64_t rows, count, columns; /* rows of the table; rows to be added; columns of both */
    const real *values;
    const int64_t *places;
    real *table;
    int32_t *starts, *order; /* the terms of row r: order[starts[r]] .. order[starts[r + 1] - 1] */
    int64_t most;            /* the largest number of terms of a row */
    int64_t pieces;          /* of a row, each of which is a task */
    int past;                /* whether results are stored past the caches */
} sums;

static void sort_terms(void *arg, int64_t begin, int64_t end)
{
    sums *v = arg;
    v->starts = symc_scratch(SLOT_TABLE, (v->rows + 2) * sizeof *v->starts);
    v->order = symc_scratch(SLOT_SHARED, larger(1, v->count) * sizeof *v->order);
    if (begin >= end)
        return;
    memset(v->starts, 0, (v->rows + 2) * sizeof *v->starts);
    int32_t *counts = v->starts + 2, total = 0, most = 0;
    for (int64_t k = 0; k < v->count; k++)
        counts[v->places[k]]++;
    for (int64_t r = 0; r < v->rows; r++) {
        most = counts[r] > most ? counts[r] : most;
        total += counts[r];
        counts[r] = total;
    }
    int32_t *next = v->starts + 1; /* where the next term of a row goes, in the end where the next row begins */
    for (int64_t k = 0; k < v->count; k++)
        v->order[next[v->places[k]]++] = (int32_t)k;
    v->most = most;
}

/* ---- one row ---- */

/* Vectors of a row from a column on, the last of which may have `some` lanes alone. */
INLINE void add_terms(const sums *v, int vecs, int partial, lane_mask some, int64_t column, int64_t first, int64_t last, vec *sum)
{
    for (int64_t e = first; e < last; e++) {
        const real *x = v->values + (int64_t)v->order[e] * v->columns + column;
        if (e + ROWS_AHEAD < v->count) {
            const real *later = v->values + (int64_t)v->order[e + ROWS_AHEAD] * v->columns + column;
            UNROLL
            for (int i = 0; i < vecs * VL; i += LINE_ELEMENTS)
                __builtin_prefetch(later + i);
        }
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

/* Columns `column` .. `stop` - 1 of a row. */
static void sum_columns(const sums *v, int64_t row, int64_t column, int64_t stop)
{
    const lane_mask none = first_lanes(0);
    int64_t first = v->starts[row], last = v->starts[row + 1];
    real *to = v->table + row * v->columns;
    if (first == last && !v->past) {
        memset(to + column, 0, (stop - column) * sizeof(real));
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
    for (int64_t i = begin; i < end; i++) {
        int64_t row = i / v->pieces, piece = i % v->pieces;
        sum_columns(v, row, piece * PIECE, v->pieces > 1 ? smaller(v->columns, (piece + 1) * PIECE) : v->columns);
    }
    if (v->past)
        finish_stream();
}

void FN(symc_row_sums)(void *const *bufs, const int64_t *p)
{
    sums v = {.rows = p[0], .count = p[1], .columns = p[2], .table = bufs[0], .values = bufs[1], .places = bufs[2]};
    if (v.rows * v.columns <= 0)
        return;
    symc_parallel(sort_terms, &v, 1, 1);
    v.past = are_uncached(v.rows * v.columns) &&
             may_stream(v.table, v.columns, v.rows * v.columns * (int64_t)sizeof(real));
    v.pieces = v.most > v.count / 8 ? ceil_div(v.columns, PIECE) : 1; /* so few rows may keep one thread busy for long */
    int64_t each = v.columns * (2 + v.count / v.rows) / v.pieces;
    symc_parallel(sum_rows, &v, v.rows * v.pieces, larger(1, CHUNK / larger(1, each)));
}
