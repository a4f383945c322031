"""Cumulative sums and products along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Variable, dims
from symc.graph.dtypes import is_float, is_integer
from symc.graph.op import Arg, Case, Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import ZERO, Expr, call, cast, const, index, maximum, minimum, var
from symc.loops.ir import Accumulate, Alloc, For, Let, Load, Statement, Store
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.indices.positions import iota
from symc.tensor.recurrence import linear_recurrence, shifted
from symc.tensor.shaping import flatten

__all__ = ["cumprod", "cumsum"]

FEWEST_COLUMNS = 8
"""The number of lines side by side from which on they are lanes."""
COLUMN_STEP = 64
"""The smallest number of lines of a block, of which others are multiples."""
MOST_COLUMNS = 1024
"""The largest number."""
JOBS = 8
"""The number of blocks that is enough for the threads of a CPU."""
TOGETHER = 4
"""The number of lines, apart in memory, that are gone through together: each addition waits for the one before."""


def _build(node: Apply, ctx: Any, combine: str, start: int) -> list[Statement]:
    """One accumulator per line along the axis; lines are processed in parallel, or as lanes if they are side by side.

    Floats are accumulated in float64: in float32, 5 million terms of 0.1 would lose 4 % of their sum.
    """
    x = node.inputs[0]
    wide = "float64" if is_float(x.dtype) else x.dtype
    shape, axis = x.type.shape, node.op["axis"]
    columns = dims.product(shape[axis + 1 :])
    if ctx.machine.short_row and not (type(columns) is int and columns < FEWEST_COLUMNS):
        return [_columns(node, ctx, combine, const(start, wide))]
    lines = dims.product((*shape[:axis], *shape[axis + 1 :]))
    together = TOGETHER if ctx.machine.short_row else 1
    whole = call("floordiv", ctx.size(lines), index(together))
    loops = [_lines(node, ctx, combine, const(start, wide), ZERO, whole, together)]
    if together > 1 and not (type(lines) is int and lines % together == 0):
        rest = ctx.size(lines) - whole * together
        loops.append(_lines(node, ctx, combine, const(start, wide), whole * together, rest, 1))
    return loops


def _lines(node: Apply, ctx: Any, combine: str, start: Expr, first: Expr, groups: Expr, together: int) -> Statement:
    """A loop over groups of lines, from line ``first`` on, whose totals do not wait for one another."""
    x, wide = node.inputs[0], start.dtype
    shape, axis = x.type.shape, node.op["axis"]
    count, inner = ctx.size(shape[axis]), ctx.size(dims.product(shape[axis + 1 :]))
    group, i = ctx.fresh("o"), ctx.fresh("i")
    before: list[Statement] = []
    loads: list[Statement] = []
    steps: list[Statement] = []
    for k in range(together):
        line, acc, element, total = (ctx.fresh(p) for p in ("p", "acc", "x", "t"))
        before += [Let(line, first + (var(group) * together + k)), Alloc(acc, wide, index(1)), Store(acc, ZERO, start)]
        place = (call("floordiv", var(line), inner) * count + var(i)) * inner + call("mod", var(line), inner)
        loads.append(Load(element, ctx.input(0), place, x.dtype))
        steps += [
            Accumulate(acc, ZERO, cast(var(element, x.dtype), wide), combine),
            Load(total, acc, ZERO, wide),
            Store(ctx.output(), place, cast(var(total, wide), x.dtype)),
        ]
    body = (*before, For(i, count, (*loads, *steps), "serial"))
    return For(group, groups, body, "parallel", count * (4 * together))


def _columns(node: Apply, ctx: Any, combine: str, start: Expr) -> Statement:
    """Blocks of neighbouring lines, each with a row of accumulators in scratch memory."""
    x, wide = node.inputs[0], start.dtype
    shape, axis = x.type.shape, node.op["axis"]
    count, columns = ctx.size(shape[axis]), ctx.size(dims.product(shape[axis + 1 :]))
    fair = call("floordiv", columns, index(JOBS * COLUMN_STEP)) * COLUMN_STEP
    width = maximum(index(COLUMN_STEP), minimum(fair, index(MOST_COLUMNS)))
    blocks = call("floordiv", columns + (width - 1), width)
    o, row, first, wanted, acc, i, c, element, old, total = (ctx.fresh(p) for p in "o p p t acc i c x x t".split())
    place = (var(row) * count + var(i)) * columns + (var(first) + var(c))
    steps: tuple[Statement, ...] = (
        Load(element, ctx.input(0), place, x.dtype),
        Load(old, acc, var(c), wide),
        Let(total, call(combine, var(old, wide), cast(var(element, x.dtype), wide))),
        Store(acc, var(c), var(total, wide)),
        Store(ctx.output(), place, cast(var(total, wide), x.dtype)),
    )
    body: tuple[Statement, ...] = (
        Let(row, call("floordiv", var(o), blocks)),
        Let(first, call("mod", var(o), blocks) * width),
        Let(wanted, minimum(columns - var(first), width)),
        Alloc(acc, wide, index(MOST_COLUMNS)),
        For(c, var(wanted), (Store(acc, var(c), start),), "simd"),
        For(i, count, (For(c, var(wanted), steps, "simd"),), "serial"),
    )
    return For(o, ctx.size(dims.product(shape[:axis])) * blocks, body, "parallel", count * width * 4)


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    back = tuple(slice(None, None, -1) if k == op["axis"] else slice(None) for k in range(inputs[0].ndim))
    return [op(gs[0][back])[back]]


CUMSUM = record(
    "cumsum",
    partwise=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=lambda op, x: np.cumsum(x, op["axis"], dtype=x.dtype),
    grad=_grad,
    lower=Loops(lambda node, ctx: _build(node, ctx, "add", 0)),
    cases=lambda: [
        Case(lambda x: cumsum(x, 0), (Arg((4, 3)),), expect=lambda x: np.cumsum(x, 0)),
        Case(lambda x: cumsum(x, 1), (Arg((2, 5, 3)),), expect=lambda x: np.cumsum(x, 1)),
        Case(lambda x: cumsum(x, -1), (Arg((2, 3)),), expect=lambda x: np.cumsum(x, -1)),
        Case(lambda x: cumsum(x), (Arg((2, 3)),), expect=np.cumsum),
        Case(lambda x: cumsum(x), (Arg((3,), "int8", values=[100, 100, 3]),), expect=np.cumsum, grad=False),
        Case(lambda x: cumsum(x, 0), (Arg((0, 2)),), expect=lambda x: np.cumsum(x, 0), grad=False),
    ],
)


def cumsum(x: Any, axis: int | None = None) -> Variable:
    """Cumulative sums of ``x`` along ``axis``: element k is the sum of the elements up to and including k.

    Parameters
    ----------
    x : tensor_like
    axis : int, optional
        By default ``x`` is flattened first, and the result is a vector.

    Returns
    -------
    Variable
        The shape of ``x`` (or flat). Integers narrower than 64 bits and bools are summed as int64 (unsigned ones as
        uint64), as in NumPy.
    """
    return _along(CUMSUM, x, axis)


def _along(what: Record, x: Any, axis: int | None) -> Variable:
    x = as_tensor(x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = normalize_axis(axis, x.ndim, what.name, x)
    if x.dtype == "bool" or is_integer(x.dtype):
        x = ew.cast(x, "uint64" if x.dtype.startswith("u") else "int64")
    return Op(what, axis=axis)(x)


# --- products -------------------------------------------------------------------------------------------------------


def _cumprod_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """The product of the elements before, times ``s``, which is the sum of ``g`` times products of the elements after.

    ``s[k] = g[k] + x[k + 1] * s[k + 1]``: nothing is divided, so that zeros do no harm.
    """
    axis = op["axis"]
    order = [k for k in range(inputs[0].ndim) if k != axis] + [axis]
    x, y, g = (dimshuffle(v, order) for v in (inputs[0], outputs[0], gs[0]))
    before = ew.switch(ew.eq(iota(y, -1), 0), 1, shifted(y, backward=False))
    found = before * linear_recurrence(x, g, reverse=True, own=False)
    return [dimshuffle(found, [order.index(k) for k in range(found.ndim)])]


CUMPROD = record(
    "cumprod",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=lambda op, x: np.cumprod(x, op["axis"], dtype=x.dtype),
    grad=_cumprod_grad,
    lower=Loops(lambda node, ctx: _build(node, ctx, "mul", 1)),
    cases=lambda: [
        Case(lambda x: cumprod(x, 0), (Arg((4, 3)),), expect=lambda x: np.cumprod(x, 0)),
        Case(lambda x: cumprod(x, 1), (Arg((2, 4, 3)),), expect=lambda x: np.cumprod(x, 1)),
        Case(lambda x: cumprod(x), (Arg((2, 3)),), expect=np.cumprod),
        Case(lambda x: cumprod(x), (Arg((5,), values=[2.0, 0.0, -1.5, 0.0, 3.0]),), expect=np.cumprod),
        Case(lambda x: cumprod(x), (Arg((3,), "int8", values=[100, 100, 3]),), expect=np.cumprod, grad=False),
        Case(lambda x: cumprod(x, 0), (Arg((0, 2)),), expect=lambda x: np.cumprod(x, 0), grad=False),
    ],
)


def cumprod(x: Any, axis: int | None = None) -> Variable:
    """Cumulative products of ``x`` along ``axis``; parameters and dtypes as for ``cumsum``."""
    return _along(CUMPROD, x, axis)
