"""Rows of a table that are sums of other rows: a scatter into zeros that writes its result once, row by row.

It is the gradient of reading rows of a table, such as those of an embedding. A scatter clears the table, and adds row
after row of the value somewhere to it: a large table is in memory, and each of these rows is moved from there and back.
Instead, ``row_sums`` of the run-time library finds out which rows of the value go where, and sums those of one place
together. Where the shapes are known in a call alone, there are both: the call is chosen for large tables with about as
many terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Variable, dims
from symc.graph.body import Body
from symc.graph.evaluate import evaluate_body
from symc.graph.op import Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, const, logical_and
from symc.loops.ir import SUM_TERMS, Call, If, Statement, Store
from symc.loops.routines import suffix
from symc.tensor.indices.scatter_of import Elements, scattered

__all__ = ["ROW_SUMS", "are_row_sums"]

LEAST_ROW = 512
"""The least number of bytes of a row: shorter ones are scattered in the time that sorting takes."""
LEAST_TABLE = 1 << 18
"""The least number of elements of a table: smaller ones stay in the cache."""
FEWEST = 4
"""The result has at most this many times as many rows as the value: of fewer terms, most rows get none."""
MOST = 1 << 31
"""There are fewer rows than this."""


def are_row_sums(value: Variable, indices: Sequence[Variable], shape: Sequence[dims.Dim], op: Op) -> bool:
    """Whether a scatter into zeros of this ``shape`` may be faster in this way."""
    if op["replace"] or tuple(op["axes"]) != (0,) or op["place"] or not indices[0].ndim or len(shape) < 2:
        return False
    if value.dtype not in SUM_TERMS:
        return False
    return all(
        least <= most for least, most in _limits(shape, value.dtype, indices[0]) if type(least) is type(most) is int
    )


def _limits(shape: Sequence[dims.Dim], dtype: str, i: Variable) -> list[tuple[dims.Dim, dims.Dim]]:
    """Pairs of dims: it is faster if the second one of each is not the smaller one."""
    rows, columns, terms = shape[0], dims.product(shape[1:]), dims.product(i.type.shape)
    return [
        (LEAST_ROW // np.dtype(dtype).itemsize, columns),
        (LEAST_TABLE, dims.mul(rows, columns)),
        (rows, dims.mul(FEWEST, terms)),
        (rows, MOST - 1),
        (terms, MOST - 1),
    ]


def _numpy(op: Op, *operands: np.ndarray) -> np.ndarray:
    body: Body = op["made"]
    value, i = evaluate_body(body, operands)
    out = np.zeros(op["shape"], value.dtype)
    np.add.at(out, i, value)
    return out


def _build(node: Apply, ctx: Any) -> list[Statement]:
    value, i = node.op["made"].outputs
    elements = Elements(node.op["made"], ctx, 0)
    zero, shape = const(0, value.dtype), node.op["shape"]
    clear = ctx.blocks(ctx.size(dims.product(shape)), lambda at: [Store(ctx.output(), at, zero)])
    one_by_one = clear, *scattered(node, ctx, elements)
    places, store = _places(i, ctx, elements)
    if places is None:
        return [*elements.ahead, *one_by_one]
    counts = [ctx.size(n) for n in (shape[0], dims.product(i.type.shape), dims.product(shape[1:]))]
    buffers = ctx.output(), ctx.input(elements.numbers[value]), places
    summed = *store, Call(f"row_sums_{suffix(value.dtype)}", buffers, tuple(counts))
    worth = logical_and(*(ctx.size(least) <= ctx.size(most) for least, most in _limits(shape, value.dtype, i)))
    if worth is None:
        return [*elements.ahead, *summed]
    return [*elements.ahead, If(worth, summed), If(call("not", worth), one_by_one)]


def _places(i: Variable, ctx: Any, elements: Elements) -> tuple[str | None, list[Statement]]:
    """The buffer of the places, None if there can be none, and the statements that compute and store them there."""
    if i in elements.numbers:
        return ctx.input(elements.numbers[i]), []
    table = ctx.tables("int64", i.type.shape)
    if table is None:
        return None, []
    elements.forget()

    def store(at: list[Expr], inside: list[Statement]) -> None:
        inside.append(Store(table, ctx.flat(i, at), elements.element(i, at, inside)))

    return table, [ctx.nest(i.type.shape, store, simd=True)]


ROW_SUMS: Record = record(
    "row_sums",
    infer=lambda op, inputs: TensorType(op["made"].outputs[0].dtype, op["shape"]),
    numpy=_numpy,
    lower=Loops(_build),
)
"""``SCATTER`` into zeros of this ``shape``, along the first axis. The attribute ``made`` returns the rows, which are
one of the inputs, and computes their places."""
