"""Cumulative sums along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Variable, dims
from symc.graph.dtypes import is_integer
from symc.graph.op import Arg, Case, Loops, Op, record
from symc.graph.types import TensorType
from symc.loops.expr import ZERO, const, var
from symc.loops.ir import Accumulate, Alloc, For, Load, Statement, Store
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.shaping import flatten

__all__ = ["cumsum"]


def _build(node: Apply, ctx: Any) -> list[Statement]:
    """One accumulator per line along the axis; lines are processed in parallel."""
    x = node.inputs[0]
    shape, axis = x.type.shape, node.op["axis"]
    outer, count, inner = dims.product(shape[:axis]), ctx.size(shape[axis]), ctx.size(dims.product(shape[axis + 1 :]))

    def body(at: list[Any], inside: list[Statement]) -> None:
        acc, i, element, total = ctx.fresh("acc"), ctx.fresh("i"), ctx.fresh("x"), ctx.fresh("t")
        place = (at[0] * count + var(i)) * inner + at[1]
        steps: tuple[Statement, ...] = (
            Load(element, ctx.input(0), place, x.dtype),
            Accumulate(acc, ZERO, var(element, x.dtype), "add"),
            Load(total, acc, ZERO, x.dtype),
            Store(ctx.output(), place, var(total, x.dtype)),
        )
        inside += [Alloc(acc, x.dtype, const(1, "int64")), Store(acc, ZERO, const(0, x.dtype))]
        inside.append(For(i, count, steps, "serial"))

    return [ctx.nest((outer, dims.product(shape[axis + 1 :])), body)]


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    back = tuple(slice(None, None, -1) if k == op["axis"] else slice(None) for k in range(inputs[0].ndim))
    return [op(gs[0][back])[back]]


_cumsum = record(
    "cumsum",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=lambda op, x: np.cumsum(x, op["axis"], dtype=x.dtype),
    grad=_grad,
    lower=Loops(_build),
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
    x = as_tensor(x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = normalize_axis(axis, x.ndim, "cumsum", x)
    if x.dtype == "bool" or is_integer(x.dtype):
        x = ew.cast(x, "uint64" if x.dtype.startswith("u") else "int64")
    return Op(_cumsum, axis=axis)(x)
