"""``shared``: variables that keep their value between calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc.graph import SharedVariable, Variable
from symc.graph.dtypes import as_dtype
from symc.graph.types import TensorType
from symc.runtime.storage import Storage

__all__ = ["shared"]


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    broadcastable: Sequence[bool] | None = None,
    shape: Sequence[int | None] | None = None,
    dtype: str | None = None,
) -> SharedVariable:
    """A variable that functions keep between calls and may update.

    Parameters
    ----------
    value : array_like
        The first value. A Python float becomes floatX, a Python int int64; arrays keep their dtype.
    name : str, optional
    strict : bool
        Refuse values of another dtype in ``set_value``.
    allow_downcast : bool, optional
        What ``set_value`` may lose: anything (True), nothing (False), or the precision of floats (the default).
    borrow : bool
        Keep ``value`` itself where possible instead of a copy.
    broadcastable : sequence of bool, optional
        Axes declared to be of length 1, which then broadcast. Default: none, as in Theano.
    shape : sequence of int or None, optional
        Dims that the value will always have; None leaves one open.

    Raises
    ------
    TypeError
        When ``value`` is symbolic or no array of numbers.
    """
    if isinstance(value, Variable):
        text = f"shared: expected an array or a number, got the symbolic variable {value!r}"
        raise TypeError(f"{text}; evaluate it first, with .eval()")
    array = np.asarray(value, None if dtype is None else as_dtype(dtype))
    if dtype is None and array.dtype == np.float64 and not isinstance(value, (np.ndarray, np.generic)):
        array = array.astype(config.floatX)
    array = array.astype(as_dtype(array.dtype), copy=not borrow)
    pattern: Sequence[Any] = [None] * array.ndim
    if shape is not None:
        pattern = shape
    elif broadcastable is not None:
        pattern = [1 if b else None for b in broadcastable]
    if len(pattern) != array.ndim:
        raise ValueError(f"shared: the declared shape {tuple(pattern)} has {len(pattern)} axes, the value {array.ndim}")
    for axis, (declared, actual) in enumerate(zip(pattern, array.shape)):
        if declared is not None and declared != actual:
            raise ValueError(f"shared: axis {axis} is declared to be {declared}, but the value has shape {array.shape}")
    owned = np.require(array, requirements=["C", "W", "A"])
    type = TensorType(array.dtype.name, pattern, name or "shared")
    return SharedVariable(type, Storage(owned), name, strict, allow_downcast)
