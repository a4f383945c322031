"""Loops that add rows to the rows of a table, by columns: threads own columns, so that they never add to one element.

Every thread goes through all rows in order. So the terms of an element are added in the same order as by one thread,
and the result does not depend on the number of threads. Rows of few columns are added element by element instead.
"""

from __future__ import annotations

from symc.loops.expr import Expr, index, names_in, substituted, var
from symc.loops.ir import Accumulate, For, Let, Load, moved

__all__ = ["by_columns", "by_elements"]

NARROWEST = 64
"""The smallest number of columns of a thread."""
FEW = 6
"""The number of columns up to which vectors, most of whose lanes are unused, take longer than elements one by one."""


def by_columns(loop: For, first: str, end: str) -> tuple[Expr, For] | None:
    """The number of columns, and the loop over the rows of columns ``first`` .. ``end`` - 1; None if they depend.

    The last statement of the loop is a simd loop over the columns, which adds to elements that are as many apart as
    there are columns, or a multiple of that.
    """
    inner = loop.body[-1] if loop.body else None
    if loop.kind != "unordered" or not isinstance(inner, For) or inner.kind != "simd":
        return None
    before = loop.body[:-1]
    if not all(isinstance(s, (Let, Load)) for s in before) or not _constant(inner.extent, loop):
        return None
    if not all(isinstance(s, (Let, Load, Accumulate)) for s in inner.body):
        return None
    added = {s.buffer for s in inner.body if isinstance(s, Accumulate)}
    if any(isinstance(s, Load) and s.buffer in added for s in (*before, *inner.body)):
        return None
    definitions = {s.name: s.value for s in (*before, *inner.body) if isinstance(s, Let) and s.value.dtype == "int64"}
    for s in inner.body:
        if isinstance(s, Accumulate) and not _apart(substituted(s.index, definitions), inner):
            return None
    column = f"{inner.index}_column"
    names = {inner.index: var(first) + var(column)}
    body = tuple(moved(s, names) for s in inner.body)
    return inner.extent, For(
        loop.index, loop.extent, (*before, For(column, var(end) - var(first), body, "simd")), "unordered"
    )


def by_elements(loop: For) -> For | None:
    """The loop over rows with each of its few columns written out; None if there are many, or what it adds depends."""
    inner = loop.body[-1] if loop.body else None
    if not isinstance(inner, For) or inner.extent.op != "const" or inner.extent.value > FEW:
        return None
    if by_columns(loop, "", "") is None:
        return None
    columns = []
    for c in range(inner.extent.value):
        one = f"{inner.index}_{c}"
        body = tuple(moved(s, {inner.index: index(c)}) for s in inner.body)
        columns.append(For(one, index(1), body, "serial"))
    return For(loop.index, loop.extent, (*loop.body[:-1], *columns), "serial")


def _constant(extent: Expr, loop: For) -> bool:
    """Whether the number of columns is the same in all iterations of the loop."""
    inside = {loop.index} | {s.name for s in loop.body if isinstance(s, (Let, Load))}
    return inside.isdisjoint(names_in(extent))


def _apart(at: Expr, inner: For) -> bool:
    """Whether an index is the column plus a multiple of the number of columns."""
    if at.op != "add":
        return False
    for column, rest in (at.args, at.args[::-1]):
        if column.op == "var" and column.value == inner.index and rest.op == "mul":
            return inner.index not in names_in(rest) and any(a.same(inner.extent) for a in rest.args)
    return False
