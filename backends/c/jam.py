"""Several iterations of a loop over rows at once, so that their terms meet in registers.

In a reduction over a leading or middle axis, each row is combined with the same accumulators, which are in memory.
Eight rows at a time need an eighth of these accesses. They are far apart: of eight pieces of the rows that follow each
other, each is read from its first row to its last, as long streams, which the hardware prefetches however short a row
is. An odd number of steps lies between them, so that rows of 2^n bytes do not all collide in the caches.

Where sums are of blocks of rows, a block has its rows from all pieces.

Rows at once follow each other where their order counts: of equal elements, the position of the first is wanted. So do
rows at computed positions, which are streams in no order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from symc.loops.expr import Expr, call, index, minimum, names_in, substituted, var
from symc.loops.ir import Accumulate, For, If, Let, Load, Statement, Store
from symc.loops.names import varying
from symc_backends.c.fetching import fetched_rows
from symc_backends.c.tournaments import Tournament, tournaments_of
from symc_backends.c.vector import can_vectorise

__all__ = ["emit_jammed"]

ROWS = 8
"""The largest number of rows at once."""
STATEMENTS = 96
"""The largest number of statements of all rows together, which bounds the number of registers and the compile time."""
NARROW = 128
"""The bytes of rows so narrow that those at once follow each other: together they are one stream."""
FEW = 64
"""The number of rows below which they do, too: eight streams would be short."""
COMBINATIONS = ("add", "mul", "max", "min")


Emit = Callable[[Sequence[Statement]], list[str]]


def emit_jammed(
    loop: For,
    scalar: Callable[[Expr], str],
    emit: Emit,
    is_own: Callable[[str], bool],
    sizes: Mapping[str, Expr],
) -> list[str] | None:
    """C for a serial loop, several iterations at once; None if that does not help.

    ``is_own(buffer)`` says whether a buffer is scratch memory, which shares no memory with others; ``sizes`` are those
    of buffers that are read at computed positions.
    """
    if loop.kind != "serial":
        return None
    blocks = _blocks_of_rows(loop)
    jam = _jammed(loop if blocks is None else blocks.inner, is_own)
    if jam is None:
        return None
    rows = loop if blocks is None else blocks.inner
    next_row = var(rows.index) + var("by_") * 2 + var("k_") * var(f"{rows.index}_apart")
    fetched = fetched_rows(rows, next_row, jam.rows, sizes, scalar)
    together = emit(jam.body)
    if fetched is not None:
        jam = jam._replace(in_order=True)
        lanes = rows.body[-1]
        assert isinstance(lanes, For)
        together = fetched.beside(together, lanes.index)
    if blocks is None:
        return _emit(loop, scalar(loop.extent), jam, together, emit(loop.body), scalar)
    inner, i, first = blocks.inner, blocks.inner.index, blocks.first.name
    step, streams = blocks.width // jam.rows, _streams(inner, jam, scalar, first, "total_")
    return [
        f"{{ int64_t {first} = 0; const int64_t total_ = {scalar(blocks.total)};",
        f"while ({first} + {blocks.width} <= total_) {{", *streams,
        f"for (int64_t many_; {first} < last_; {first} += many_) {{",
        f"many_ = last_ - {first} < {step} * by_ ? last_ - {first} : {step} * by_;",
        f"for (int64_t {i} = 0; {i} < many_; {i} += by_) {{", *together, "}", *emit(blocks.end), "}",
        f"{first} += others_;", "}",
        f"if ({first} < total_) {{",
        *_emit(inner, f"total_ - {first}", jam, together, emit(inner.body), scalar), "}", "}",
    ]  # fmt: skip


class _Jam(NamedTuple):
    """The ``body`` of a serial loop for several ``rows`` of its iterations, which have to be ``in_order`` or not."""

    rows: int
    body: list[Statement]
    in_order: bool


def _emit(
    loop: For, extent: str, jam: _Jam, together: Sequence[str], alone: Sequence[str], scalar: Callable[[Expr], str]
) -> list[str]:
    """C for a loop whose iterations ``i``, ``i + apart``, ... are ``together``; those that are left are ``alone``."""
    i = loop.index
    return [
        f"{{ int64_t {i} = 0; const int64_t {i}_end = {extent};",
        f"while ({i} + {jam.rows} <= {i}_end) {{", *_streams(loop, jam, scalar, i, f"{i}_end"),
        f"for (; {i} < last_; {i} += by_) {{", *together, "}", f"{i} += others_;", "}",
        f"for (; {i} < {i}_end; {i}++) {{", *alone, "}", "}",
    ]  # fmt: skip


def _streams(loop: For, jam: _Jam, scalar: Callable[[Expr], str], at: str, end: str) -> list[str]:
    """C that plans iterations from ``at`` on: how far ``apart`` are those at once, by how much they move on, until the
    first is ``last_``, and how many others are done then."""
    lanes = loop.body[-1]
    assert isinstance(lanes, For)
    rows, narrow = jam.rows, f"{scalar(lanes.extent)} <= {NARROW // max(_itemsize(lanes), 1)}"
    return [
        f"const int near_ = {'1' if jam.in_order else f'{end} - {at} < {FEW} || {narrow}'};",
        f"const int64_t {loop.index}_apart = near_ ? 1 : (({end} - {at}) / {rows} - 1) | 1, by_ = near_ ? {rows} : 1;",
        f"const int64_t others_ = near_ ? 0 : {rows - 1} * {loop.index}_apart;",
        f"const int64_t last_ = {at} + (near_ ? ({end} - {at}) / {rows} * {rows} : {loop.index}_apart);",
    ]


def _itemsize(lanes: For) -> int:
    return max((np.dtype(s.dtype).itemsize for s in lanes.body if isinstance(s, Load)), default=1)


class _Blocks(NamedTuple):
    """A loop over blocks of ``width`` rows, of ``total`` ones, around one over the rows of a block.

    ``first`` names a block's first row. The statements ``end`` run between blocks, and may run after every whole one.
    """

    first: Let
    width: int
    total: Expr
    inner: For
    end: Sequence[Statement]


def _blocks_of_rows(loop: For) -> _Blocks | None:
    if len(loop.body) != 4:
        return None
    first, length, inner, end = loop.body
    if not (isinstance(first, Let) and isinstance(length, Let) and isinstance(inner, For) and isinstance(end, If)):
        return None
    at, e = first.value, length.value
    if at.op != "mul" or at.args[1].op != "const" or not at.args[0].same(var(loop.index)):
        return None
    width, start = int(at.args[1].value), var(first.name)
    if e.op != "min" or e.args[0].op != "sub" or width % ROWS:
        return None
    total = e.args[0].args[0]
    whole = e.same(minimum(total - start, index(width))) and loop.extent.same((total + (width - 1)) // width)
    between = end.condition.same(start + width < total)
    if not (whole and between and inner.extent.same(var(length.name))):
        return None
    return _Blocks(first, width, total, inner, end.body)


def _jammed(loop: For, is_own: Callable[[str], bool]) -> _Jam | None:
    """The body of a serial loop for several of its iterations; None if that does not help."""
    if loop.kind != "serial" or not loop.body:
        return None
    *before, inner = loop.body
    if not isinstance(inner, For) or inner.kind != "simd" or not can_vectorise(inner):
        return None
    rows_differ = varying(loop.index, before)
    sums = [s for s in inner.body if isinstance(s, Accumulate)]
    extremes = tournaments_of(inner, rows_differ, is_own)
    if extremes is None or not (sums or extremes) or not all(_in_memory(s, inner.index, rows_differ) for s in sums):
        return None
    plain = all(isinstance(s, (Let, Load)) for s in before)
    if not plain or not all(isinstance(s, (Let, Load, Accumulate, Store)) for s in inner.body):
        return None
    if not names_in(inner.extent).isdisjoint({loop.index, *(s.name for s in before if isinstance(s, (Let, Load)))}):
        return None
    rows = ROWS
    while rows > 1 and rows * len(inner.body) > STATEMENTS:
        rows //= 2
    return _Jam(rows, _copies(loop, before, inner, rows, extremes), bool(extremes)) if rows > 1 else None


def _in_memory(s: Accumulate, lane: str, rows: set[str]) -> bool:
    """Whether each lane has an accumulator of its own, the same in all rows."""
    names = names_in(s.index)
    return lane in names and rows.isdisjoint(names) and s.op in COMBINATIONS and s.value.dtype != "bool"


def _copies(
    loop: For, before: Sequence[Statement], inner: For, rows: int, extremes: Sequence[Tournament]
) -> list[Statement]:
    """The statements of ``rows`` iterations, with an accumulation of all of their terms at the end."""
    head: list[Statement] = []
    body: list[Statement] = []
    renamed: list[dict[str, Expr]] = []
    apart = [s for t in extremes for s in (t.condition, *t.loads)]
    for row in range(rows):
        names: dict[str, Expr] = {}
        rename = _renamer(row, names)
        if row:
            name = f"{loop.index}_{row}"
            head.append(Let(name, var(loop.index) + var(f"{loop.index}_apart") * row))
            names[loop.index] = var(name)
        head += [rename(s) for s in before]
        body += [rename(s) for s in inner.body if isinstance(s, (Let, Load)) and s not in apart]
        renamed.append(names)
    for s in inner.body:
        if isinstance(s, Accumulate):
            values = [substituted(s.value, names) for names in renamed]
            while len(values) > 1:
                values = [call(s.op, *values[at : at + 2]) for at in range(0, len(values), 2)]
            body.append(Accumulate(s.buffer, s.index, values[0], s.op))
    for t in extremes:
        body += t.played(renamed)
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
