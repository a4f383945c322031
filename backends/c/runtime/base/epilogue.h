/* Epilogues: what a call does with the elements of its output after it has computed them. See symc_rt.h. */
#ifndef SYMC_EPILOGUE_H
#define SYMC_EPILOGUE_H

#include "real.h"

/* Columns [first, first + count) of `rows` rows from `row` on are computed. `e` may be NULL. */
INLINE void finish_columns(const symc_epilogue *e, int64_t row, int64_t rows, int64_t first, int64_t count)
{
    if (e && rows > 0 && count > 0)
        e->run(e->args, e->output, NULL, row, rows, first, count);
}

/* The same for whole rows of `columns` elements that are not in the output but at `from`. */
INLINE void finish_rows_at(const symc_epilogue *e, const real *from, int64_t row, int64_t rows, int64_t columns)
{
    uintptr_t before = (uintptr_t)(row * columns) * sizeof(real);
    if (rows > 0 && columns > 0)
        e->run(e->args, (void *)((uintptr_t)from - before), NULL, row, rows, 0, columns);
}

/* The same for columns [first, first + count) of row `row`. */
INLINE void finish_part_at(const symc_epilogue *e, const real *from, int64_t row, int64_t columns, int64_t first, int64_t count)
{
    uintptr_t before = (uintptr_t)(row * columns + first) * sizeof(real);
    e->run(e->args, (void *)((uintptr_t)from - before), NULL, row, 1, first, count);
}

/* The same for columns [first, first + count) of row `row`, each of PIXEL_LANES elements, which are at `from`; or without an
 * epilogue, they are put where they belong in `out`, whose rows have `columns` columns. */
enum { PIXEL_LANES = 32 };
INLINE void finish_pixels(const symc_epilogue *e, real *out, const real *from, int64_t row, int64_t columns, int64_t first,
                          int64_t count)
{
    int64_t before = (row * columns + first) * PIXEL_LANES;
    if (e)
        e->run(e->args, (void *)((uintptr_t)from - (uintptr_t)before * sizeof(real)), NULL, row, 1, first, count);
    else
        memcpy(out + before, from, count * PIXEL_LANES * sizeof(real));
}

/* A band of rows and columns of a plane of `width` columns in each of `rows` rows from `row` on. */
INLINE void finish_band(const symc_epilogue *e, int64_t row, int64_t rows, int64_t width, int64_t first_row,
                        int64_t last_row, int64_t first_col, int64_t last_col)
{
    if (!e)
        return;
    if (last_col - first_col == width) {
        finish_columns(e, row, rows, first_row * width, (last_row - first_row) * width);
        return;
    }
    for (int64_t i = first_row; i < last_row; i++)
        finish_columns(e, row, rows, i * width + first_col, last_col - first_col);
}

enum { EPILOGUE_COLUMNS = 4096 }; /* of a task */

typedef struct {
    const symc_epilogue *e;
    int64_t row, columns, pieces;
} whole_output;

static void finish_pieces(void *arg, int64_t begin, int64_t end)
{
    const whole_output *o = arg;
    for (int64_t i = begin; i < end; i++) {
        int64_t piece = i % o->pieces, first = piece * o->columns / o->pieces;
        finish_columns(o->e, o->row + i / o->pieces, 1, first, (piece + 1) * o->columns / o->pieces - first);
    }
}

/* `rows` whole rows from `row` on are computed; all threads take part. */
INLINE void finish_all(const symc_epilogue *e, int64_t row, int64_t rows, int64_t columns)
{
    whole_output o = {e, row, columns, ceil_div(columns, EPILOGUE_COLUMNS)};
    if (e && rows > 0 && columns > 0)
        symc_parallel(finish_pieces, &o, rows * o.pieces, ceil_div(4 * EPILOGUE_COLUMNS, ceil_div(columns, o.pieces)));
}

#endif
