/* Tiles of minimal filtering as they are worked on: in runs along a row, and in units. See winograd_typed.h. */
#ifndef SYMC_WINOGRAD_UNITS_H
#define SYMC_WINOGRAD_UNITS_H

#include <string.h>

#include "winograd_axes.h"

/* Neighbouring tiles of one row and form: the first of at most `most` from `tile` on, counted through all images. */
typedef struct {
    int64_t image, row, col, count;
    axis_form rows, cols;
    int64_t place; /* of the first among the tiles of a unit */
} tile_run;

INLINE tile_run find_run(const tiled_axis *rows, const tiled_axis *cols, int64_t tile, int64_t most)
{
    int64_t wide = cols->tiles, high = rows->tiles, col = tile % wide, row = tile / wide % high;
    int64_t end = col < cols->whole ? cols->whole : wide;
    return (tile_run){tile / (wide * high), row, col, smaller(end - col, most), tile_form(rows, row), tile_form(cols, col), 0};
}

/* Pixels that the tiles of a run read along a row, and rows of the turned image. */
INLINE int64_t run_span(const tiled_axis *cols, const tile_run *run)
{
    return run->cols == REST_FORM ? REST_IN : tiles_span(cols, run->count);
}

INLINE int64_t run_rows(const tiled_axis *rows, const tile_run *run)
{
    return run->rows == REST_FORM ? REST_IN : turned_rows(rows);
}

/* Tiles [first, first + tiles), in an order in which those that have a point follow one another: whole along rows and
 * not along columns, whole along both, along columns alone, and along none. */
typedef struct {
    int64_t first, tiles;
    int64_t start[4];           /* the place of the first of each kind */
    int64_t begin[4], count[4]; /* the places of the tiles that have a point, by kind of point */
} tile_unit;

/* The kind of a run of tiles: not whole along columns, rows. */
INLINE int kind_of_run(const tile_run *run) { return (run->rows == REST_FORM) * 2 + (run->cols == REST_FORM); }

/* The kind of a point: which tiles that are whole along columns, rows, have alone. */
INLINE int kind_of_point(const tiled_axis *cols, int64_t point)
{
    return (point / cols->in >= REST_IN) * 2 + (point % cols->in >= REST_IN);
}

INLINE tile_unit describe_unit(const tiled_axis *rows, const tiled_axis *cols, int64_t first, int64_t tiles)
{
    tile_unit u = {.first = first, .tiles = tiles, .count = {tiles}};
    if (rows->whole == rows->tiles && cols->whole == cols->tiles) {
        for (int kind = 1; kind < 4; kind++)
            u.count[kind] = tiles;
        return u;
    }
    int64_t kinds[4] = {0};
    for (int64_t at = 0; at < tiles;) {
        tile_run run = find_run(rows, cols, first + at, tiles - at);
        kinds[kind_of_run(&run)] += run.count;
        at += run.count;
    }
    u.start[0] = kinds[1], u.start[2] = kinds[1] + kinds[0], u.start[3] = tiles - kinds[3];
    u.begin[1] = u.begin[3] = kinds[1];
    u.count[1] = kinds[0] + kinds[2], u.count[2] = kinds[1] + kinds[0], u.count[3] = kinds[0];
    return u;
}

/* The run of tiles that follows `at` others of a unit; `next` has the places that the runs before have left, at first `start`. */
INLINE tile_run next_run(const tiled_axis *rows, const tiled_axis *cols, const tile_unit *u, int64_t at, int64_t next[4])
{
    tile_run run = find_run(rows, cols, u->first + at, u->tiles - at);
    int kind = kind_of_run(&run);
    run.place = next[kind], next[kind] += run.count;
    return run;
}

#endif
