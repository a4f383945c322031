"""Facts about expressions that rules ask for: signs, shapes, what a value was repeated from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symc.compiler.rewrite.engine import Bindings, constant_value
from symc.graph import Variable, dims
from symc.graph.dtypes import is_float
from symc.graph.op import RECORDS, Op
from symc.tensor.broadcasting import expand

__all__ = [
    "dimshuffled",
    "known_number",
    "nonnegative",
    "op_of",
    "opposite",
    "opposite_bound",
    "repeated",
    "same_shape",
    "source_of",
    "unrepeated",
]

_NONNEGATIVE = frozenset(
    ("abs", "sqr", "exp", "exp2", "sqrt", "sigmoid", "softplus", "softmax", "relu", "erfc", "cosh")
)
_DEPTH = 8


def op_of(v: Variable) -> str:
    """Name of the op that computes ``v``; empty for inputs and constants."""
    return "" if v.owner is None else v.owner.op.record.name


def nonnegative(v: Variable, depth: int = _DEPTH) -> bool:
    """Is every element of the float ``v`` surely at least 0, or NaN?"""
    value = constant_value(v)
    if value is not None:
        return bool(value >= 0)
    if v.owner is None or not is_float(v.dtype) or depth == 0:
        return False
    name, inputs = op_of(v), v.owner.inputs
    if name in _NONNEGATIVE:
        return True
    if name in ("add", "mul", "true_div", "minimum", "sum", "prod", "max", "min", "expand", "dimshuffle", "reshape_to"):
        return all(nonnegative(i, depth - 1) for i in inputs)
    return name == "maximum" and any(nonnegative(i, depth - 1) for i in inputs)


def opposite(a: Variable, b: Variable) -> bool:
    """Is ``b`` surely ``-a``?"""
    for x, y in ((a, b), (b, a)):
        if op_of(x) == "neg" and x.owner.inputs[0] is y:  # type: ignore[union-attr]
            return True
    if op_of(a) == op_of(b) == "sub":
        return a.owner.inputs == b.owner.inputs[::-1]  # type: ignore[union-attr]
    if op_of(a) == op_of(b) == "mul":
        return _opposite_products(a.owner.inputs, b.owner.inputs)  # type: ignore[union-attr]
    return False


def _opposite_products(a: Sequence[Variable], b: Sequence[Variable]) -> bool:
    for x, c in (a, a[::-1]):
        for y, d in (b, b[::-1]):
            if x is y:
                left, right = constant_value(c), constant_value(d)
                if left is not None and right is not None and left == -right:
                    return True
    return False


def opposite_bound(bound: Bindings) -> bool:
    """A condition: are the wildcards X and Y surely of opposite sign?"""
    return opposite(bound["X"], bound["Y"])


def same_shape(a: Sequence[dims.Dim], b: Sequence[dims.Dim]) -> bool:
    """Are the two shapes surely equal?"""
    return len(a) == len(b) and all(x is y or bool(dims.equal(x, y)) for x, y in zip(a, b))


def source_of(v: Variable) -> Variable:
    """``v`` before it was repeated to its shape; itself if it was not."""
    return v.owner.inputs[0] if op_of(v) == "expand" else v  # type: ignore[union-attr]


def repeated(v: Variable) -> tuple[bool, ...]:
    """For each axis: do all entries along it repeat one (or is it of length 1)?"""
    source = source_of(v)
    if source is v:
        return v.type.broadcastable
    return source.type.broadcastable if source.ndim else (True,) * v.ndim


def unrepeated(v: Variable, shape: Sequence[dims.Dim]) -> Variable:
    """``v`` at ``shape``, which has length 1 on axes along which ``v`` repeats one entry and is as ``v`` elsewhere."""
    source = source_of(v)
    return v if source is v else expand(source, shape)


def dimshuffled(v: Variable, order: Sequence[int | str]) -> Variable:
    """``v`` with its axes in this order, without looking whether that changes anything."""
    if list(order) == list(range(v.ndim)):
        return v
    return Op(RECORDS["dimshuffle"], order=tuple(order))(v)


def known_number(v: Variable) -> float | None:
    """The finite number that every element of ``v`` is, as a Python number, or None."""
    value = constant_value(v)
    if value is None or not np.isfinite(value):
        return None
    return value.item()
