"""Scatters that add many values to few places: parts of the values are added up in tables of their own.

The number of parts follows from the shapes alone, so that results do not depend on the number of threads. A place of a
table is a running sum of few terms, whose totals have float64: of a million terms added to one float32 number, each
would lose digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from symc.graph import dims
from symc.graph.dtypes import is_float, is_integer
from symc.loops.expr import ZERO, Expr, call, cast, const, index, minimum, var
from symc.loops.ir import Accumulate, Alloc, For, If, Let, Load, Statement, Store, moved

__all__ = ["in_parts"]

LEAST = 4096
"""The least number of terms of a part."""
SHARE = 8
"""The least number of terms of a part per place: each part clears a table and adds it to the result."""
COLUMNS = 256
"""The number of places whose tables are added up by an iteration of a parallel loop."""
WORK = 4
"""Scalar operations per term."""


def in_parts(ctx: Any, loop: For, rows: dims.Dim, each: dims.Dim) -> list[Statement]:
    """Statements that do what ``loop`` over ``rows`` does: it adds ``each`` terms per row to places of the output.

    ``ctx`` is the ``LoopContext`` of the scatter.
    """
    out = ctx.node.outputs[0]
    if not (is_float(out.dtype) or is_integer(out.dtype)):
        return [loop]
    places, each = dims.product(out.type.shape), dims.maximum(each, 1)
    least = dims.ceildiv(dims.maximum(dims.mul(SHARE, places), LEAST), each)
    count = dims.mul(2, dims.floordiv(rows, dims.mul(2, least)))  # of few parts, two threads have equally many
    if type(count) is int and not count:
        return [loop]
    tables = ctx.tables(out.dtype, (count, places))
    if tables is None:
        return [loop]
    parts = ctx.size(count)
    sizes = parts, ctx.size(dims.ceildiv(rows, dims.maximum(count, 1))), ctx.size(places)
    divided = _divided(ctx, loop, tables, sizes, ctx.size(each))
    return divided if type(count) is int else [If(ZERO < parts, tuple(divided)), If(parts <= ZERO, (loop,))]


def _divided(ctx: Any, loop: For, tables: str, sizes: tuple[Expr, Expr, Expr], each: Expr) -> list[Statement]:
    """The loop over parts, and the one that adds up their tables.

    ``sizes`` are the number of parts, the number of rows of each but the last, and the number of places.
    """
    count, least, places = sizes
    dtype, output = ctx.node.outputs[0].dtype, ctx.output()
    p, first, i, row = (ctx.fresh(name) for name in ("p", "t", "i", "o"))
    here = {loop.index: var(first) + var(row)}
    body = tuple(_to_tables(moved(s, here), output, tables, var(p) * places) for s in loop.body)
    part = (
        For(i, places, (Store(tables, var(p) * places + var(i), const(0, dtype)),), "simd"),
        Let(first, var(p) * least),
        replace(loop, index=row, extent=minimum(loop.extent - var(first), least), body=body, work=None),
    )
    return [For(p, count, part, "parallel", least * each * WORK), _added_up(ctx, tables, count, places)]


def _added_up(ctx: Any, tables: str, count: Expr, places: Expr) -> For:
    """The loop that adds the tables of all parts to the output."""
    dtype, output = ctx.node.outputs[0].dtype, ctx.output()
    total = "float64" if is_float(dtype) else dtype
    o, p, sums, x = (ctx.fresh(name) for name in ("o", "p", "sums", "x"))
    width = ctx.fresh()

    def lanes(body: Sequence[Statement]) -> For:
        return For("i", var(width), tuple(body), "simd")

    at = var(o) * COLUMNS + var("i")
    blocks = call("floordiv", places + (COLUMNS - 1), index(COLUMNS))
    return For(
        o,
        blocks,
        (
            Alloc(sums, total, index(COLUMNS)),
            Let(width, minimum(places - var(o) * COLUMNS, index(COLUMNS))),
            lanes([Load(x, output, at, dtype), Store(sums, var("i"), cast(var(x, dtype), total))]),
            For(p, count, (lanes([
                Load(x, tables, var(p) * places + at, dtype),
                Accumulate(sums, var("i"), cast(var(x, dtype), total), "add"),
            ]),), "serial"),
            lanes([Load(x, sums, var("i"), total), Store(output, at, cast(var(x, total), dtype))]),
        ),
        "parallel",
        count * COLUMNS,
    )  # fmt: skip


def _to_tables(s: Statement, output: str, tables: str, offset: Expr) -> Statement:
    """A statement that adds to a table in place of the output."""
    if isinstance(s, For):
        return replace(s, body=tuple(_to_tables(one, output, tables, offset) for one in s.body))
    if isinstance(s, Accumulate):
        assert s.buffer == output
        return replace(s, buffer=tables, index=offset + s.index)
    return s
