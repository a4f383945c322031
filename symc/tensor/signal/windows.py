"""Pooling with windows, strides or padding known only at call time: windows are read by index, then reduced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Constant, Variable
from symc.graph.dtypes import is_float
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.basic import as_tensor
from symc.tensor.creation import arange
from symc.tensor.indices.indexing import take
from symc.tensor.symbolic_dims import shape_i

__all__ = ["are_symbolic", "entries_of", "pool_by_windows"]


def are_symbolic(*options: Any) -> bool:
    """Whether one of several options of pooling has an entry that is not a number yet."""
    entries = [e for o in options for e in (o if isinstance(o, (list, tuple)) else [o])]
    return any(isinstance(e, Variable) and not isinstance(e, Constant) for e in entries)


def entries_of(value: Any, what: str, count: int) -> list[Any]:
    """One integer or integer scalar per axis, from a number, a sequence or an integer vector."""
    if isinstance(value, Variable) and value.ndim == 1:
        return [value[k] for k in range(count)]
    entries = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(entries) != count or any(isinstance(e, Variable) and (e.ndim or is_float(e.dtype)) for e in entries):
        shown = [e for e in entries if isinstance(e, Variable)]
        raise ValueError(located(f"{what} must have {count} integers or integer scalars", shown))
    return entries


def _positions(n: Any, window: Any, stride: Any, pad: Any, ignore_border: bool) -> tuple[Variable, Variable]:
    """The place in an axis of length ``n`` of every element of every window, and the end of the padding.

    Places are ``(windows, elements of a window)``.
    """
    if ignore_border:
        count = ew.maximum((n + 2 * pad - window) // stride + 1, 0)
    else:  # one window per stride that begins inside, except those that only contain the end of the previous one
        rest = ew.maximum((n - window + stride - 1) // stride, 0) + 1
        count = ew.switch(ew.ge(stride, window), (n - 1) // stride + 1, rest)
    count = ew.cast(count, "int64")
    place = arange(count).dimshuffle(0, "x") * stride + arange(ew.cast(window, "int64")).dimshuffle("x", 0) - pad
    return place, n + pad


def pool_by_windows(
    x: Any, window: Sequence[Any], stride: Sequence[Any], pad: Sequence[Any], mode: str, ignore_border: bool
) -> Variable:
    """Reduce every window of the last axes, one per entry of ``window``, to one value; see ``pool_2d``."""
    given = as_tensor(x)
    count = len(window)
    found = given if is_float(given.dtype) else ew.cast(given, "float64")
    inside: list[Variable] = []
    padded: list[Variable] = []
    for k in range(count):
        axis = given.ndim - count + 2 * k  # every axis before has become two
        n = shape_i(found, axis)
        place, end = _positions(n, as_tensor(window[k]), as_tensor(stride[k]), as_tensor(pad[k]), ignore_border)
        found = take(found, ew.clip(place, 0, ew.maximum(n - 1, 0)), axis=axis)
        spread = [0 if j == 2 * k else 1 if j == 2 * k + 1 else "x" for j in range(2 * count)]
        inside.append(ew.and_(ew.ge(place, 0), ew.lt(place, n)).dimshuffle(spread))
        padded.append(ew.lt(place, end).dimshuffle(spread))
    axes = [given.ndim - count + 2 * k + 1 for k in range(count)]
    within = _all(inside)
    if mode == "max":
        result = reduce.max(ew.switch(within, found, -np.inf), axis=axes)
    else:
        result = reduce.sum(ew.switch(within, found, 0), axis=axes)
        if mode != "sum":
            counted = within if mode == "average_exc_pad" else _all(padded)
            sizes = reduce.sum(ew.cast(counted, "int64"), axis=[2 * k + 1 for k in range(count)])
            result = result / ew.cast(ew.maximum(sizes, 1), result.dtype)
    if is_float(given.dtype):
        return result
    return ew.cast(result, given.dtype if mode in ("max", "sum") else "floatX")


def _all(masks: Sequence[Variable]) -> Variable:
    found = masks[0]
    for other in masks[1:]:
        found = ew.and_(found, other)
    return found
