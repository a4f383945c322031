"""Cyclic shifts along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.graph import Apply, Variable
from symc.graph.gradient_flow import Reach
from symc.graph.op import Arg, Case, Indexed, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import ONE, Expr, select
from symc.tensor import elementwise as ew
from symc.tensor.arithmetic import floor_div
from symc.tensor.basic import constant
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.symbolic_dims import length

__all__ = ["ROTATE", "rotated"]


def _element(node: Apply, at: tuple[Expr, ...], read: Any, size: Any, step: Expr = ONE) -> Expr:
    """One jump along the axis: back ends read the elements before and after it as contiguous memory."""
    axis = node.op["axis"]
    place = at[axis] + read(1, ()) * step
    whole = size(node.inputs[0].type.shape[axis]) * step
    return read(0, [*at[:axis], select(place < whole, place, place - whole), *at[axis + 1 :]])


def _rotate_back(op: Op, x: Variable, first: Variable) -> Variable:
    return op(x, ew.sub(length(x, op["axis"]), first))


ROTATE: Record = record(
    "rotate",
    partwise=True,
    foldable=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=lambda op, x, first: np.roll(x, -int(first), op["axis"]),
    grad=lambda op, inputs, outputs, gs: [_rotate_back(op, gs[0], inputs[1]), None],
    reach=Reach(
        lambda op, inputs, outputs, counts: [_rotate_back(op, broadcast_like(counts, outputs[0]), inputs[1]), None],
        one_to_one=True,
    ),
    linear="jointly",
    lower=Indexed(_element, tail=lambda node: node.op["axis"]),
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    cases=lambda: [
        Case(lambda x: rotated(x, 2, 0), (Arg((5, 3)),), expect=lambda x: np.roll(x, 2, 0)),
        Case(lambda x: rotated(x, -1, 1), (Arg((2, 37)),), expect=lambda x: np.roll(x, -1, 1)),
        Case(lambda x: rotated(x, 50, 1) + rotated(x, 3, 1), (Arg((2, 19)),), expect=lambda x: _both(x, 50, 3)),
        Case(lambda x: rotated(x, 3, 0), (Arg((1,)),), expect=lambda x: x),
        Case(lambda x: rotated(x, 3, 1), (Arg((2, 0)),), expect=lambda x: x, grad=False),
        Case(
            lambda x, k: rotated(x, k, 0), (Arg((70,)), Arg((), "int64", values=-9)), expect=lambda x, k: np.roll(x, k)
        ),
    ],
)


def _both(x: np.ndarray, *shifts: int) -> np.ndarray:
    return sum(np.roll(x, k, 1) for k in shifts)  # type: ignore[return-value]


def rotated(x: Variable, by: Any, axis: int) -> Variable:
    """Shift ``x`` cyclically by ``by`` elements, an integer or an integer scalar, along ``axis``."""
    back = constant(-by, dtype="int64") if isinstance(by, int) else ew.neg(ew.cast(by, "int64"))
    whole = ew.maximum(length(x, axis), 1)
    return Op(ROTATE, axis=axis)(x, ew.sub(back, ew.mul(whole, floor_div(back, whole))))
