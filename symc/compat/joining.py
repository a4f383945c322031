"""``theano.tensor.join`` along an axis that is known only at call time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import symc.tensor as T
from symc.errors import ShapeError
from symc.graph import Constant, Variable
from symc.graph.dtypes import INTEGERS
from symc.tensor.assertions import assert_op

__all__ = ["concatenate", "join", "stack"]


def join(axis: Any, *tensors_list: Any) -> Variable:
    """``T.join``; the axis may also be an integer scalar of which only a call tells the value."""
    if not isinstance(axis, Variable) or isinstance(axis, Constant):
        return T.join(axis, *tensors_list)
    many = tensors_list[0] if len(tensors_list) == 1 and isinstance(tensors_list[0], (list, tuple)) else tensors_list
    return _join_along(axis, [T.as_tensor_variable(v) for v in many])


def concatenate(tensor_list: Sequence[Any], axis: Any = 0) -> Variable:
    """``join`` of a list."""
    if isinstance(tensor_list, Variable):
        return T.concatenate(tensor_list, axis)
    return join(axis, *tensor_list)


def stack(*tensors: Any, **named: Any) -> Variable:
    """``T.stack`` of a list, or of the arguments along a new first axis, even of a single one.

    Scalars become a vector, whatever the axis.
    """
    if not named and not (tensors and isinstance(tensors[0], (list, tuple))):
        return T.stack(list(tensors))
    many = named.get("tensors", tensors[0] if tensors else ())
    if isinstance(many, (list, tuple)) and many:
        many = [T.as_tensor_variable(v) for v in many]
        if all(v.ndim == 0 for v in many):
            return T.stack(many)
    return T.stack(*tensors, **named)


def _join_along(axis: Variable, parts: list[Variable]) -> Variable:
    """Write the parts into a tensor of zeros, each behind the ones before it along the axis."""
    ndim = parts[0].ndim
    if axis.ndim or axis.dtype not in INTEGERS or any(v.ndim != ndim for v in parts):
        raise TypeError(f"join: expected an integer scalar and tensors of as many axes, got {axis.type} and {parts}")
    valid = T.and_(T.ge(axis, -ndim), T.lt(axis, ndim))
    axis = assert_op(axis, valid, msg=f"join: the axis is out of range for {ndim} axes", error=IndexError)
    along = [T.or_(T.eq(axis, k), T.eq(axis, k - ndim)) for k in range(ndim)]
    lengths = [[v.shape[k] for v in parts] for k in range(ndim)]
    same = [T.or_(at, T.eq(other, n[0])) for at, n in zip(along, lengths) for other in n[1:]]
    whole = [T.switch(at, sum(n), n[0]) for at, n in zip(along, lengths)]
    dtype = T.add(*[T.zeros((), v.dtype) for v in parts]).dtype if len(parts) > 1 else parts[0].dtype
    text = "join: only the joined axis may differ"
    out = assert_op(T.zeros(whole, dtype), *same, msg=text, error=ShapeError)
    begin: list[Any] = [0] * ndim
    for j, v in enumerate(parts):
        place = tuple(slice(b, b + n[j]) for b, n in zip(begin, lengths))
        out = T.set_subtensor(out[place], T.cast(v, dtype))
        begin = [b + T.switch(at, n[j], 0) for b, at, n in zip(begin, along, lengths)]
    return out
