"""``dimshuffle``: permuting, adding and dropping axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.notation import ATOM, Text, held
from symc.graph.op import Arg, Axes, Case, Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor, normalize_axis

__all__ = ["dimshuffle", "pad_left"]


def _dimshuffle_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (x,) = inputs
    order = op["order"]
    for axis, dim in enumerate(x.type.shape):
        if axis not in order:
            require_equal(
                dim,
                1,
                f"dimshuffle{order}: axis {axis} is dropped, which needs a dim of 1",
                [x],
                "keep the axis, or declare it broadcastable",
            )
    return TensorType(x.dtype, [1 if a == "x" else x.type.shape[a] for a in order])


def _dimshuffle_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    order, (x,), (g,) = op["order"], inputs, gs
    kept = [order.index(a) if a in order else "x" for a in range(x.ndim)]
    return [dimshuffle(g, kept)]


def _dimshuffle_reach(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Variable]:
    return _dimshuffle_grad(op, inputs, outputs, [counts])


def _dimshuffle_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    order = op["order"]
    kept = [a for a in order if a != "x"]
    dropped = tuple(a for a in range(x.ndim) if a not in kept)
    moved = np.squeeze(x, dropped).transpose(np.argsort(np.argsort(kept)) if kept else [])
    return np.expand_dims(moved, tuple(k for k, a in enumerate(order) if a == "x"))


def _only_adds_axes(op: Op) -> bool:
    kept = [a for a in op["order"] if a != "x"]
    return kept == sorted(kept)


def _formula(op: Op, args: Sequence[Text]) -> Text:
    if op["order"] == (1, 0):
        return f"{held(args[0], ATOM)}.T", ATOM
    return f"dimshuffle({args[0][0]}, order={op['order']})", ATOM


DIMSHUFFLE = record(
    "dimshuffle",
    infer=_dimshuffle_infer,
    numpy=_dimshuffle_numpy,
    grad=_dimshuffle_grad,
    reach=Reach(_dimshuffle_reach, one_to_one=True),
    linear="jointly",
    inserted=True,
    foldable=True,
    enlarges=_only_adds_axes,
    formula=_formula,
    layout_only=True,
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    lower=Axes(
        lambda op, node: tuple(op["order"].index(a) if a in op["order"] else None for a in range(node.inputs[0].ndim))
    ),
    cases=lambda: [
        Case(lambda x: dimshuffle(x, (1, 0)), (Arg((2, 3)),), lambda x: x.T),
        Case(lambda x: dimshuffle(x, (2, "x", 0, 1)), (Arg((2, 3, 4)),), lambda x: x.transpose(2, 0, 1)[:, None]),
        Case(lambda x: dimshuffle(x, ("x", 0)), (Arg((0,)),), lambda x: x[None], grad=False),
        Case(lambda x: dimshuffle(x, ()), (Arg((1, 1)),), lambda x: x[0, 0]),
    ],
)


def dimshuffle(x: Any, *pattern: Any) -> Variable:
    """Permute, add and drop axes. ``pattern`` lists an input axis, or ``"x"`` for a new axis of 1, per output axis.

    An input axis that ``pattern`` leaves out must have dim 1.
    """
    x = as_tensor(x)
    if len(pattern) == 1 and isinstance(pattern[0], (tuple, list)):
        pattern = tuple(pattern[0])
    order: list[Any] = []
    for entry in pattern:
        if isinstance(entry, str):
            if entry != "x":
                raise ValueError(f"dimshuffle: expected axes and 'x', got {entry!r}")
            order.append("x")
        else:
            axis = normalize_axis(entry, x.ndim, "dimshuffle", x)
            if axis in order:
                raise ValueError(f"dimshuffle: axis {axis} is used twice in {pattern}")
            order.append(axis)
    if order == list(range(x.ndim)):
        return x
    return Op(DIMSHUFFLE, order=tuple(order))(x)


def pad_left(x: Variable, ndim: int) -> Variable:
    """Prepend axes of 1 to ``x`` until it has ``ndim`` axes."""
    missing = ndim - x.ndim
    return dimshuffle(x, ["x"] * missing + list(range(x.ndim))) if missing > 0 else x
