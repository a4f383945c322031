"""Rows that are fetched before they are read: while a loop computes with one row, it asks for those that follow.

A processor foresees elements that follow each other, but no more of them than it needs for the next few operations, and
it begins anew behind each jump: where a second loop over a row returns to the row's first element, and where parts of
rows are read. So a reduction asks for what it reads some rows later, and so does a loop over parts of rows; of several
loops over the same row, the last reduction does: the first one waits for memory, the others compute. Other loops, which
read one element behind the other once, are not helped. Nor are reductions that do little else, on processors that
follow rows by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import numpy as np

from symc.loops.expr import ONE, Expr, call, coefficient, index, maximum, names_in, substituted, var
from symc.loops.ir import For, Kernel, Let, Load
from symc.loops.names import varying
from symc_backends.c.bursts import is_reduction
from symc_backends.c.lanes import is_affine

__all__ = ["Ahead", "is_large", "rows_ahead"]

AHEAD = 16384
"""The least distance in bytes: what a core reads from memory while one line is on its way, several times over."""
CACHED = 4 << 20
"""The bytes that the cores' own caches may hold: a kernel that reads and writes fewer fetches nothing."""
LONG = 1 << 17
"""The bytes of a row that is too long for them: each loop over it reads memory."""
SEVERAL = 3
"""The largest number of loads of a buffer in one loop that all fetch."""
WASTE = 8
"""Rows that are not one behind the other are fetched if there are this many times more than are fetched in vain."""

_CHEAP = frozenset(("add", "sub", "mul", "neg", "abs", "min", "max"))
"""Functions that cost less than to read what they are computed from."""

Scalar = Callable[[Expr], str]


class Ahead(NamedTuple):
    """How many elements ahead a load is fetched; ``light`` if its loop does little but read each element once."""

    distance: Expr
    light: bool


def is_large(kernel: Kernel, scalar: Scalar) -> str:
    """The condition, in C, that a kernel reads and writes more than a core's own cache may hold."""
    return f"{scalar(kernel.bytes)} >= {CACHED}"


def rows_ahead(rows: For, given: Collection[str]) -> dict[Load, Ahead]:
    """The distances between the elements that simd loops in a loop over rows load, and those that they fetch meanwhile.

    ``given`` are the buffers of the kernel: scratch memory is not fetched.
    """
    loaded = _loaded(rows)
    lets = {s.name: s.value for s in rows.body if isinstance(s, Let) and is_affine(s.value)}
    found = {}
    for read in _reads(rows, given):
        place = substituted(read.load.index, lets)
        if not loaded.isdisjoint(names_in(place)):
            continue
        distance = _distance(place, rows, read)
        if distance is not None:
            found[read.load] = Ahead(distance, read.alone and _is_light(read.lanes))
    return found


def _loaded(rows: For) -> set[str]:
    """The names of values that depend on what an iteration loads before its inner loops: places that do not follow."""
    found: set[str] = set()
    for s in rows.body:
        if isinstance(s, Load) or isinstance(s, Let) and not found.isdisjoint(names_in(s.value)):
            found.add(s.name)
    return found


class _Read(NamedTuple):
    """The loop ``lanes`` in which a row's elements are fetched as they are loaded; whether they are loaded once."""

    load: Load
    lanes: For
    alone: bool


def _reads(rows: For, given: Collection[str]) -> Iterator[_Read]:
    """The last reduction that loads the elements of a row, unless it is the first of several loops; then the last.

    Of many loads of a buffer in one loop, such as those of a pixel's neighbours, one counts.
    """
    found: dict[str, list[tuple[Expr, list[_Read]]]] = {}
    for lanes in rows.body:
        if not isinstance(lanes, For) or lanes.kind != "simd":
            continue
        for s in lanes.body:
            if isinstance(s, Load) and s.buffer in given and _is_row(s, lanes):
                place = substituted(s.index, {lanes.index: var("lane_")})
                many = found.setdefault(s.buffer, [])
                same = next((reads for other, reads in many if other.same(place)), None)
                if same is None:
                    many.append((place, same := []))
                same.append(_Read(s, lanes, not same))
    for many in found.values():
        for _, reads in many:
            later = [read for read in reads[1:] if is_reduction(read.lanes)]
            chosen = later[-1] if later else reads[-1]
            loads = [s for s in chosen.lanes.body if isinstance(s, Load) and s.buffer == chosen.load.buffer]
            if len(loads) <= SEVERAL or chosen.load is loads[0]:
                yield chosen


def _is_light(lanes: For) -> bool:
    """Whether a loop adds up what it loads, or a cheap function of it."""
    lets = [s.value for s in lanes.body if isinstance(s, Let)]
    return len(lets) <= 1 and all(v.op in _CHEAP and v.dtype == "float32" for v in lets)


def _is_row(s: Load, lanes: For) -> bool:
    """Whether a load in a simd loop reads elements that follow each other, from a place known before the loop."""
    step = coefficient(s.index, lanes.index)
    inside = {one.name for one in lanes.body if isinstance(one, (Let, Load))}
    return step is not None and step.op == "const" and step.value == 1 and inside.isdisjoint(names_in(s.index))


def _distance(place: Expr, rows: For, read: _Read) -> Expr | None:
    """The distance; None if all rows have the same elements, or if others lie between them and rows are too few."""
    least = AHEAD // np.dtype(read.load.dtype).itemsize
    differing, step, length = varying(rows.index, rows.body), coefficient(place, rows.index), read.lanes.extent
    if differing.isdisjoint(names_in(place)):
        return None
    inside = {rows.index, *(s.name for s in rows.body if isinstance(s, (Let, Load)))}
    if step is None or rows.index not in names_in(place) or not inside.isdisjoint(names_in(step) | names_in(length)):
        return index(least) if is_reduction(read.lanes) else None
    many = maximum(call("floordiv", length + (least - 1), maximum(length, ONE)), ONE)
    following = many * step
    if not step.same(length):
        following = call("select", rows.extent >= many * WASTE, following, index(0))
    elif read.alone:
        return index(least) if is_reduction(read.lanes) else None
    return call("select", length * np.dtype(read.load.dtype).itemsize > LONG, index(least), following)
