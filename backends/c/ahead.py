"""Rows that are fetched before they are read: while a loop computes with one row, it asks for those that follow.

A processor foresees elements that follow each other, but no more of them than it needs for the next few operations, and
it begins anew where a second loop over a row returns to the row's first element. So a reduction asks for what it reads
some rows later; of several loops over the same row, the last one does: the first one waits for memory, the others
compute.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import numpy as np

from symc.loops.expr import ONE, Expr, call, coefficient, index, maximum, names_in, substituted, var
from symc.loops.ir import Accumulate, For, Kernel, Let, Load
from symc.loops.names import varying
from symc_backends.c.vector import is_affine

__all__ = ["is_large", "rows_ahead"]

AHEAD = 16384
"""The least distance in bytes: what a core reads from memory while one line is on its way, several times over."""
CACHED = 1 << 20
"""The bytes that a core's own cache may hold: a kernel that reads and writes fewer fetches nothing."""
WASTE = 8
"""Rows that are not one behind the other are fetched if there are this many times more than are fetched in vain."""

Scalar = Callable[[Expr], str]


def is_large(kernel: Kernel, scalar: Scalar) -> str:
    """The condition, in C, that a kernel reads and writes more than a core's own cache may hold."""
    return f"{scalar(kernel.bytes)} >= {CACHED}"


def rows_ahead(rows: For, given: Collection[str]) -> dict[Load, Expr]:
    """The distances between the elements that simd loops in a loop over rows load, and those that they fetch meanwhile.

    ``given`` are the buffers of the kernel: scratch memory is not fetched.
    """
    loaded = varying(rows.index, rows.body) & {s.name for s in rows.body if isinstance(s, Load)}
    lets = {s.name: s.value for s in rows.body if isinstance(s, Let) and is_affine(s.value)}
    found = {}
    for last in _last_loads(rows, given):
        place = substituted(last.load.index, lets)
        if not loaded.isdisjoint(names_in(place)):
            continue
        distance = _distance(place, rows, last)
        if distance is not None:
            found[last.load] = distance
    return found


class _Last(NamedTuple):
    """The last load of a row's elements, by the loop ``lanes``; whether it is the only one."""

    load: Load
    lanes: For
    alone: bool


def _last_loads(rows: For, given: Collection[str]) -> Iterator[_Last]:
    """The last loads of the elements of rows; one that is not the last does not count."""
    found: dict[str, list[tuple[Expr, _Last]]] = {}
    for lanes in rows.body:
        if not isinstance(lanes, For) or lanes.kind != "simd":
            continue
        for s in lanes.body:
            if isinstance(s, Load) and s.buffer in given and _is_row(s, lanes):
                place = substituted(s.index, {lanes.index: var("lane_")})
                others = [one for one in found.get(s.buffer, []) if not one[0].same(place)]
                alone = len(others) == len(found.get(s.buffer, []))
                found[s.buffer] = [*others, (place, _Last(s, lanes, alone))]
    for many in found.values():
        yield from (last for _, last in many if not last.alone or _is_reduction(last.lanes))


def _is_row(s: Load, lanes: For) -> bool:
    """Whether a load in a simd loop reads elements that follow each other, from a place known before the loop."""
    step = coefficient(s.index, lanes.index)
    inside = {one.name for one in lanes.body if isinstance(one, (Let, Load))}
    return step is not None and step.op == "const" and step.value == 1 and inside.isdisjoint(names_in(s.index))


def _is_reduction(lanes: For) -> bool:
    return any(isinstance(s, Accumulate) and lanes.index not in names_in(s.index) for s in lanes.body)


def _distance(place: Expr, rows: For, last: _Last) -> Expr | None:
    """The distance; None if all rows have the same elements, or if others lie between them and rows are too few."""
    least = AHEAD // np.dtype(last.load.dtype).itemsize
    differing, step, length = varying(rows.index, rows.body), coefficient(place, rows.index), last.lanes.extent
    if differing.isdisjoint(names_in(place)):
        return None
    inside = {s.name for s in rows.body if isinstance(s, (Let, Load))}
    if step is None or rows.index not in names_in(place) or not inside.isdisjoint(names_in(step) | names_in(length)):
        return index(least)  # ranges of one long row
    many = maximum(call("floordiv", length + (least - 1), maximum(length, ONE)), ONE)
    if step.same(length):
        return many * step
    return call("select", rows.extent >= many * WASTE, many * step, index(0))
