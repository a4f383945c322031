"""Functions of ``theano.tensor`` whose behaviour differs from that of the functions of ``symc.tensor``."""

from __future__ import annotations

from typing import Any

import numpy as np

import symc.tensor as T
from symc.compat.scalars import number_dtype
from symc.graph import Apply, Constant, Variable
from symc.graph.dtypes import COMPLEX, FLOATS, INTEGERS, is_float
from symc.tensor.pointwise import Elementwise

__all__ = [
    "alloc", "arange", "as_tensor_variable", "batched_dot", "ceil", "ceil_intdiv", "clip", "conj", "constant", "fill",
    "flatnonzero", "floor", "inc_subtensor", "is_flat", "nonzero", "nonzero_values", "second", "set_subtensor",
    "trunc",
]  # fmt: skip


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None) -> Variable:
    """``T.as_tensor_variable``; numbers have dtypes as in ``constant``, an application stands for its only output."""
    if isinstance(x, Apply):
        default = getattr(x.op, "default_output", None)
        if default is None and len(x.outputs) != 1:
            raise ValueError(f"as_tensor_variable: {x} has {len(x.outputs)} outputs, choose one of them")
        place = 0 if default is None else default
        if not isinstance(place, int) or not 0 <= place < len(x.outputs):
            raise AttributeError(
                f"as_tensor_variable: default_output of {x.op} is {place}, of {len(x.outputs)} outputs"
            )
        x = x.outputs[place]
    if type(x) in (int, float) or isinstance(x, (np.generic, np.ndarray)) and x.ndim == 0 and x.dtype != object:
        return constant(x, name, ndim)
    if isinstance(x, (list, tuple)) and any(isinstance(v, Apply) for v in x):
        x = [as_tensor_variable(v) if isinstance(v, Apply) else v for v in x]
    return T.as_tensor_variable(x, name, ndim)


def constant(x: Any, name: str | None = None, ndim: int | None = None, dtype: str | None = None) -> Constant:
    """``T.constant``; a number of a NumPy dtype keeps it, and one of Python has the smallest dtype that holds it."""
    if dtype is None and not ndim and type(x) in (int, float):
        return Constant.number(x, number_dtype(x), name)
    if dtype is None and isinstance(x, (np.generic, np.ndarray)) and x.ndim == 0 and x.dtype != object:
        dtype = x.dtype.name
    return T.constant(x, name, ndim, dtype)


def alloc(value: Any, *shape: Any) -> Variable:
    """``T.alloc``; a number has the dtype of ``constant``, so that ``alloc(0, n)`` widens no tensor beside it."""
    return T.alloc(as_tensor_variable(value), *shape)


def fill(a: Any, b: Any) -> Variable:
    """Fill the shape of ``a`` with ``b``; as any elementwise function, it broadcasts both operands."""
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    missing = (True,) * (a.ndim - b.ndim) + b.broadcastable
    if b.ndim <= a.ndim and all(one or not wide for one, wide in zip(missing, a.broadcastable)):
        return T.fill(a, b)
    return T.switch(True, b, T.zeros_like(a, dtype=b.dtype))


second = fill


def batched_dot(a: Any, b: Any) -> Variable:
    """One product per entry of axis 0, for operands of one axis and more: ``out[i] = dot(a[i], b[i])``.

    Raises
    ------
    TypeError
        If an operand has no axes.
    """
    a, b = T.as_tensor_variable(a), T.as_tensor_variable(b)
    if not a.ndim or not b.ndim:
        raise TypeError(f"batched_dot: operands need an axis of entries, got {a.type} and {b.type}")
    if a.ndim == 1:
        return a.dimshuffle(0, *["x"] * (b.ndim - 1)) * b
    if b.ndim == 1:
        return a * b.dimshuffle(0, *["x"] * (a.ndim - 1))
    if a.ndim > 3 or b.ndim > 3:
        return T.batched_tensordot(a, b, [[a.ndim - 1], [max(1, b.ndim - 2)]])
    return T.batched_dot(a, b)


def _of_floats(function: Any) -> Elementwise:
    """An elementwise function that computes integers as floats, as Theano's roundings do."""
    return Elementwise(function.op, "float", function.mixed, function.operands, function.several)


ceil, floor, trunc = map(_of_floats, (T.ceil, T.floor, T.trunc))


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: str | None = None) -> Variable:
    """``T.arange``; of arguments of which some are floats, it has the dtype of their sum."""
    if dtype is None:
        given = [T.as_tensor_variable(v) for v in (0 if stop is None else start, start if stop is None else stop, step)]
        if any(v.dtype in FLOATS for v in given):
            dtype = T.add(*given).dtype
    return T.arange(start, stop, step, dtype)


def ceil_intdiv(a: Any, b: Any) -> Variable:
    """The quotient rounded upwards, of integers or of floats."""
    a, b = T.as_tensor_variable(a), T.as_tensor_variable(b)
    down = T.int_div(a, b)
    return T.cast(T.neq(T.mod(a, b), 0), down.dtype) + down


def conj(z: Any) -> Variable:
    """The complex conjugate; of a real tensor a copy."""
    z = T.as_tensor_variable(z)
    return T.conj(z) if z.dtype in COMPLEX else z.copy()


def clip(x: Any, min: Any, max: Any) -> Variable:
    """``T.clip``; where ``min`` exceeds ``max``, elements less than ``min`` become ``min``, and others ``max``."""
    x, low, high = (T.as_tensor_variable(v) for v in (x, min, max))
    clipped = T.clip(x, low, high)
    if isinstance(low, Constant) and isinstance(high, Constant) and bool(np.all(low.data <= high.data)):
        return clipped
    return T.switch(T.gt(low, high), T.switch(T.lt(x, low), low, high), clipped)


def _with_axes(name: str, a: Any) -> Variable:
    a = as_tensor_variable(a)
    if a.ndim == 0:
        raise ValueError(f"{name}: expected a tensor with axes, got {a.type}")
    return a


def nonzero(a: Any, return_matrix: bool = False) -> Any:
    """``T.nonzero``; ValueError for a scalar."""
    return T.nonzero(_with_axes("nonzero", a), return_matrix)


def flatnonzero(a: Any) -> Variable:
    """``T.flatnonzero``; ValueError for a scalar."""
    return T.flatnonzero(_with_axes("flatnonzero", a))


def nonzero_values(a: Any) -> Variable:
    """``T.nonzero_values``; ValueError for a scalar."""
    return T.nonzero_values(_with_axes("nonzero_values", a))


def is_flat(var: Any, ndim: int = 1) -> bool:
    """Whether ``var`` has that many axes."""
    return bool(T.as_tensor_variable(var).ndim == ndim)


def set_subtensor(x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Variable:
    """``T.set_subtensor``; floats are truncated to write them into integers, as by NumPy.

    Whether memory is overwritten is the compiler's decision.
    """
    y = T.as_tensor_variable(y)
    truncated = isinstance(x, Variable) and x.dtype in INTEGERS and is_float(y.dtype)
    return T.set_subtensor(x, T.cast(y, x.dtype) if truncated else y)


def inc_subtensor(
    x: Any,
    y: Any,
    inplace: bool = False,
    set_instead_of_inc: bool = False,
    tolerate_inplace_aliasing: bool = False,
) -> Variable:
    """``T.inc_subtensor``, or with ``set_instead_of_inc`` ``set_subtensor``."""
    return (set_subtensor if set_instead_of_inc else T.inc_subtensor)(x, y)
