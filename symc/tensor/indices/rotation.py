"""Cyclic shifts along axes."""

from __future__ import annotations

from collections.abc import Sequence
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
    """One jump along each axis: back ends read the elements before and after it as contiguous memory."""
    axes, place = node.op["axes"], list(at)
    for k, axis in enumerate(axes):
        by = step if axis == axes[-1] else ONE
        there, whole = place[axis] + read(1 + k, ()) * by, size(node.inputs[0].type.shape[axis]) * by
        place[axis] = select(there < whole, there, there - whole)
    return read(0, place)


def _rotate_back(op: Op, x: Variable, first: Sequence[Variable]) -> Variable:
    return op(x, *(ew.sub(length(x, axis), i) for axis, i in zip(op["axes"], first)))


def _together(op: Op, inputs: Sequence[Variable]) -> Variable:
    """The shift; a shift along other axes before it is part of it, and its result is not stored."""
    x, *first = inputs
    before = x.owner
    if before is None or before.op.record is not op.record or not set(op["axes"]).isdisjoint(before.op["axes"]):
        return op(*inputs)
    firsts = dict(zip((*op["axes"], *before.op["axes"]), (*first, *before.inputs[1:])))
    axes = tuple(sorted(firsts))
    return Op(op.record, axes=axes)(before.inputs[0], *(firsts[axis] for axis in axes))


ROTATE: Record = record(
    "rotate",
    partwise=True,
    foldable=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    specialise=lambda op, inputs, types: _together(op, inputs),
    numpy=lambda op, x, *first: np.roll(x, [-int(i) for i in first], op["axes"]),
    grad=lambda op, inputs, outputs, gs: [_rotate_back(op, gs[0], inputs[1:]), *[None] * len(op["axes"])],
    reach=Reach(
        lambda op, inputs, outputs, counts: [
            _rotate_back(op, broadcast_like(counts, outputs[0]), inputs[1:]),
            *[None] * len(op["axes"]),
        ],
        one_to_one=True,
    ),
    linear="jointly",
    lower=Indexed(_element, tail=lambda node: node.op["axes"][-1]),
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    cases=lambda: [
        Case(lambda x: rotated(x, 2, 0), (Arg((5, 3)),), expect=lambda x: np.roll(x, 2, 0)),
        Case(lambda x: rotated(x, -1, 1), (Arg((2, 37)),), expect=lambda x: np.roll(x, -1, 1)),
        Case(lambda x: rotated(x, 50, 1) + rotated(x, 3, 1), (Arg((2, 19)),), expect=lambda x: _both(x, 50, 3)),
        Case(
            lambda x: rotated(rotated(rotated(x, 2, 2), -1, 0), 1, 1) + rotated(x, 1, 2),
            (Arg((3, 4, 19)),),
            expect=lambda x: np.roll(x, (-1, 1, 2), (0, 1, 2)) + np.roll(x, 1, 2),
        ),
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
    return Op(ROTATE, axes=(axis,))(x, ew.sub(back, ew.mul(whole, floor_div(back, whole))))
