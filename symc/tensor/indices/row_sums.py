"""Rows of a table that are sums of other rows: a scatter into zeros that writes its result once, row by row.

It is the gradient of reading rows of a table, such as those of an embedding. A scatter clears the table, and adds row
after row of the value somewhere to it: a large table is in memory, and each of these rows is moved from there and back.
Instead, ``row_sums`` of the run-time library finds out which rows of the value go where, and sums those of one place
together. Where the shapes are known in a call alone, and where it pays for large tables, there are both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Variable, dims
from symc.graph.op import Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, const, logical_and
from symc.loops.ir import SUM_TERMS, Accumulate, Call, If, Statement, Store
from symc.loops.routines import suffix
from symc.tensor.indices.elements import loops_of_writes

__all__ = ["ROW_SUMS", "are_row_sums"]

LEAST_COLUMNS = 8
"""The least number of columns: shorter rows are scattered one behind the other in the time that sorting takes."""
LEAST_TABLE = 1 << 18
"""The least number of elements of a table: smaller ones stay in the cache."""
FEWEST = 8
"""The result has at most this many times as many rows as the value: of fewer terms, most rows get none."""
MOST = 1 << 31
"""There are fewer rows than this."""


def are_row_sums(value: Variable, indices: Sequence[Variable], shape: Sequence[dims.Dim], op: Op) -> bool:
    """Whether a scatter into zeros of this ``shape`` may be faster in this way."""
    if op["replace"] or tuple(op["axes"]) != (0,) or op["place"] or not indices[0].ndim or len(shape) < 2:
        return False
    if value.dtype not in SUM_TERMS:
        return False
    return all(least <= most for least, most in _limits(shape, indices[0]) if type(least) is type(most) is int)


def _limits(shape: Sequence[dims.Dim], i: Variable) -> list[tuple[dims.Dim, dims.Dim]]:
    """Pairs of dims: it is faster if the second one of each is not the smaller one."""
    rows, columns, terms = shape[0], dims.product(shape[1:]), dims.product(i.type.shape)
    return [
        (LEAST_COLUMNS, columns),
        (LEAST_TABLE, dims.mul(rows, columns)),
        (rows, dims.mul(FEWEST, terms)),
        (rows, MOST - 1),
        (terms, MOST - 1),
    ]


def _numpy(op: Op, value: np.ndarray, i: np.ndarray) -> np.ndarray:
    out = np.zeros(op["shape"], value.dtype)
    np.add.at(out, i, value)
    return out


def _build(node: Apply, ctx: Any) -> list[Statement]:
    value, i = node.inputs
    shape = node.op["shape"]
    counts = [ctx.size(n) for n in (shape[0], dims.product(i.type.shape), dims.product(shape[1:]))]
    name = f"row_sums_{suffix(value.dtype)}"
    sums = Call(name, (ctx.output(), ctx.input(0), ctx.input(1)), tuple(counts))
    worth = logical_and(*(ctx.size(least) <= ctx.size(most) for least, most in _limits(shape, i)))
    if worth is None:
        return [sums]
    return [If(worth, (sums,)), If(call("not", worth), tuple(_scatter(node, ctx)))]


def _scatter(node: Apply, ctx: Any) -> list[Statement]:
    """The statements that clear the result, and add one row after another."""
    value, i = node.inputs
    shape, count = node.op["shape"], i.ndim
    zero = const(0, value.dtype)
    clear = ctx.blocks(ctx.size(dims.product(shape)), lambda at: [Store(ctx.output(), at, zero)])
    row: list[Expr] = []

    def position(at: Sequence[Expr], inside: list[Statement]) -> None:
        row[:] = [ctx.load(inside, 1, at[:count])]

    def add(at: list[Expr], inside: list[Statement]) -> None:
        if not row:
            position(at, inside)
        place = ctx.flat(node.outputs[0], [*row, *at[count:]])
        inside.append(Accumulate(ctx.output(), place, ctx.load(inside, 0, at), "add"))

    return [clear, *loops_of_writes(node, ctx, value.type.shape, [i], add, position)]


ROW_SUMS: Record = record(
    "row_sums",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=_numpy,
    lower=Loops(_build),
)
"""``SCATTER`` into zeros of this ``shape``, along the first axis, of rows that are added."""
