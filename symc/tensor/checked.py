"""Range checks of integers: known values are checked immediately, others at call time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Apply, Constant, Variable
from symc.graph.op import Loops, Op, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, index, select
from symc.loops.ir import If, Statement, Store
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, constant

__all__ = ["CHECKED_LENGTH", "checked_below", "unchecked"]


def _check_numpy(op: Op, i: np.ndarray, n: np.ndarray) -> np.ndarray:
    if np.any(i < (-n if op["wrap"] else 0)) or np.any(i >= n):
        raise IndexError(op["text"])
    return np.where(i < 0, i + n, i).astype("int64")


def _check_build(node: Apply, ctx: Any) -> list[Statement]:
    code = ctx.code(located(node.op["text"], node.inputs[:1], node.op["repair"], node.outputs[0].location))
    wrap = node.op["wrap"]

    def body(at: list[Expr], inside: list[Statement]) -> None:
        i, n = ctx.load(inside, 0, at), ctx.load(inside, 1, ())
        wrong = call("or", i < (call("neg", n) if wrap else index(0)), i >= n)
        inside.append(If(wrong, (Store(ctx.status(), index(0), code),)))
        fixed = call("max", index(0), call("min", select(i < 0, i + n, i), n - 1))
        inside.append(Store(ctx.output(), ctx.flat(node.outputs[0], at), fixed))

    return [ctx.nest(node.outputs[0].type.shape, body)]  # all iterations that find an error store the same code


def _check_batch(op: Op, inputs: Sequence[Variable], stacked: Sequence[bool], count: Any) -> Variable | None:
    return op(*inputs) if list(stacked) == [True, False] else None


CHECKED_INDEX = record(
    "checked_index",
    infer=lambda op, inputs: TensorType("int64", inputs[0].type.shape),
    numpy=_check_numpy,
    grad=lambda op, inputs, outputs, gs: [None, None],
    lower=Loops(_check_build),
    fallible=True,
    batch=_check_batch,
    distinct=lambda node: node.inputs[0],
)


def _length_numpy(op: Op, wrong: np.ndarray, n: np.ndarray) -> np.ndarray:
    if wrong:
        raise IndexError(op["message"])
    return n


def _length_build(node: Apply, ctx: Any) -> list[Statement]:
    code = ctx.code(node.op["message"])
    inside: list[Statement] = []
    wrong, n = ctx.load(inside, 0, ()), ctx.load(inside, 1, ())
    return [*inside, If(wrong, (Store(ctx.status(), index(0), code),)), Store(ctx.output(), index(0), n)]


CHECKED_LENGTH = record(
    "checked_length",
    infer=lambda op, inputs: inputs[1].type,
    numpy=_length_numpy,
    grad=lambda op, inputs, outputs, gs: [None, None],
    lower=Loops(_length_build),
    fallible=True,
)
"""A length, once it is known that no index is ``wrong``: what the check of an index vector becomes.

What computes positions from the length runs after the check.
"""


def checked_below(i: Any, n: Any, text: str, repair: str, wrap: bool = False) -> Variable:
    """Convert integers to int64 and require them to be from 0 to ``n - 1``.

    With ``wrap``, numbers from ``-n`` count from the end. A violation raises an IndexError with ``text``.
    """
    i, n = as_tensor(i), as_tensor(n)
    if isinstance(i, Constant) and isinstance(n, Constant):
        if np.any(i.data < (-n.data if wrap else 0)) or np.any(i.data >= n.data):
            raise IndexError(located(text, [i], repair))
        return constant(np.where(i.data < 0, i.data + n.data, i.data).astype("int64"), dtype="int64")
    return Op(CHECKED_INDEX, text=text, repair=repair, wrap=wrap)(ew.cast(i, "int64"), ew.cast(n, "int64"))


def unchecked(i: Variable) -> Variable:
    """The integers before their check, which may count from the end."""
    return i.owner.inputs[0] if i.owner is not None and i.owner.op.record is CHECKED_INDEX else i
