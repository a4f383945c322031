"""Several iterations of a loop over rows at once, so that their terms meet in registers.

In a reduction over a leading or middle axis, each row is combined with the same accumulators, which are in memory.
Eight rows at a time need an eighth of these accesses, and are read side by side, as the hardware prefetches them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symc.loops.expr import Expr, call, names_in, substituted, var
from symc.loops.ir import Accumulate, For, Let, Load, Statement
from symc_backends.c.vector import can_vectorise

__all__ = ["jammed"]

ROWS = 8
"""The largest number of rows at once."""
STATEMENTS = 96
"""The largest number of statements of all rows together, which bounds the number of registers and the compile time."""
COMBINATIONS = ("add", "mul", "max", "min")


def jammed(loop: For) -> tuple[int, list[Statement]] | None:
    """The body of a serial loop for several of its iterations, and their number; None if that does not help."""
    if loop.kind != "serial" or not loop.body:
        return None
    *before, inner = loop.body
    if not isinstance(inner, For) or inner.kind != "simd" or not can_vectorise(inner):
        return None
    sums = [s for s in inner.body if isinstance(s, Accumulate)]
    if not sums or not all(_in_memory(s, inner.index, loop.index) for s in sums):
        return None
    plain = all(isinstance(s, (Let, Load)) for s in before)
    if not plain or not all(isinstance(s, (Let, Load, Accumulate)) for s in inner.body):
        return None
    if _depends(inner.extent, {loop.index, *(s.name for s in before if isinstance(s, (Let, Load)))}):
        return None
    rows = ROWS
    while rows > 1 and rows * len(inner.body) > STATEMENTS:
        rows //= 2
    return (rows, _copies(loop, before, inner, rows)) if rows > 1 else None


def _in_memory(s: Accumulate, lane: str, row: str) -> bool:
    """Whether each lane has an accumulator of its own, the same in all rows."""
    names = names_in(s.index)
    return lane in names and row not in names and s.op in COMBINATIONS and s.value.dtype != "bool"


def _depends(e: Expr, names: set[str]) -> bool:
    return not names.isdisjoint(names_in(e))


def _copies(loop: For, before: Sequence[Statement], inner: For, rows: int) -> list[Statement]:
    """The statements of ``rows`` iterations, with an accumulation of all of their terms at the end."""
    head: list[Statement] = []
    body: list[Statement] = []
    terms: dict[int, list[Expr]] = {}
    for row in range(rows):
        names: dict[str, Expr] = {}
        rename = _renamer(row, names)
        if row:
            name = f"{loop.index}_{row}"
            head.append(Let(name, var(loop.index) + row))
            names[loop.index] = var(name)
        head += [rename(s) for s in before]
        for k, s in enumerate(inner.body):
            if isinstance(s, Accumulate):
                terms.setdefault(k, []).append(substituted(s.value, names))
            else:
                body.append(rename(s))
    for k, s in enumerate(inner.body):
        if isinstance(s, Accumulate):
            values = terms[k]
            while len(values) > 1:
                values = [call(s.op, *values[at : at + 2]) for at in range(0, len(values), 2)]
            body.append(Accumulate(s.buffer, s.index, values[0], s.op))
    return [*head, For(inner.index, inner.extent, tuple(body), "simd")]


def _renamer(row: int, names: dict[str, Expr]) -> Callable[[Statement], Statement]:
    """A function that copies a statement under names of its own, with which it extends ``names``."""

    def rename(s: Statement) -> Statement:
        assert isinstance(s, (Let, Load))
        name = f"{s.name}_{row}"
        made: Statement
        if isinstance(s, Let):
            made = Let(name, substituted(s.value, names))
            names[s.name] = var(name, s.value.dtype)
        else:
            made = Load(name, s.buffer, substituted(s.index, names), s.dtype)
            names[s.name] = var(name, s.dtype)
        return made

    return rename
