"""``shared``: variables whose values persist between calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import located
from symc.graph import SharedVariable, Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.bfloat16 import bits_of, values_of
from symc.graph.dtypes import BRAIN, as_dtype, complex_of, is_complex
from symc.graph.types import TensorType
from symc.graph.variables import as_array, as_pairs, describe_value, refuse_masked
from symc.runtime.storage import Storage

__all__ = ["COMPOSITES", "shared"]

COMPOSITES: list[tuple[Callable[[Any], bool], Callable[..., Any]]] = []
"""Kinds of values that consist of several tensors: a test, and what makes the shared variable; packages add to it."""


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
    """Create a variable whose value persists between calls, and which functions may update.

    Parameters
    ----------
    value : array_like or callable
        The initial value. Python floats are converted to floatX and Python ints to int64; arrays keep their dtype. A
        function without arguments is called when the value is first needed, and never if ``set_value`` replaces it
        before; it must return an array of the ``shape`` and ``dtype`` given here.
    name : str, optional
    strict : bool
        Refuse values of a different dtype in ``set_value``.
    allow_downcast : bool, optional
        Which conversions ``set_value`` permits: any (True), only lossless ones (False), or those of floats to a lower
        precision as well (the default).
    borrow : bool
        Use ``value`` without copying it, if possible: a C-contiguous, writable NumPy array, or a tensor of another
        library that implements DLPack.
    broadcastable : sequence of bool, optional
        The axes declared to have length 1, which broadcast. By default none, as in Theano.
    shape : sequence of int or None, optional
        The shape that the value must always have; None for dims that may change.

    Raises
    ------
    TypeError
        If ``value`` is symbolic, or not an array of numbers, or if it is a function and ``shape`` (with all lengths)
        and ``dtype`` are not given.
    """
    if isinstance(value, Variable):
        text = f"shared: expected an array or a number, got the symbolic variable {value!r}"
        raise TypeError(f"{text}; evaluate it first, with .eval()")
    for test, make in COMPOSITES:
        if test(value):
            return make(value, name, borrow=borrow)
    if callable(value) and not (hasattr(value, "__array__") or hasattr(value, "__dlpack__")):
        return _deferred(value, name, strict, allow_downcast, shape, dtype)
    refuse_masked(value, "shared")
    typed = isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "__dlpack__")
    value = as_array(value, "shared") if typed else value
    brain = dtype is not None and as_dtype(dtype) == BRAIN or getattr(value, "dtype", None) == BRAIN
    if brain:
        value, dtype = values_of(bits_of(np.asarray(value))), "float32"
    array = _as_numbers(value, None if dtype is None else as_dtype(dtype))
    if dtype is None and array.dtype == np.float64 and not typed:
        array = array.astype(config.floatX)
    elif dtype is None and array.dtype == np.complex128 and not typed:
        array = array.astype(complex_of(config.floatX))
    array = array.astype(as_dtype(array.dtype), copy=not borrow)
    pattern: Sequence[Any] = [None] * array.ndim
    if shape is not None and broadcastable is not None:
        raise TypeError("shared: give shape or broadcastable, not both")
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
    named = array.dtype.name
    if owned.dtype.kind == "c":
        owned = as_pairs(owned)
    elif brain:
        owned, named = bits_of(owned), BRAIN
    type = TensorType(named, pattern, name or "shared")
    storage = Storage(owned, borrowed=borrow and np.may_share_memory(owned, value))
    return SharedVariable(type, storage, name, strict, allow_downcast)


def _as_numbers(value: Any, dtype: str | None) -> np.ndarray:
    try:
        array = np.asarray(value, dtype)
    except (TypeError, ValueError) as problem:
        raise type(problem)(located(f"shared: expected an array of numbers: {problem}")) from None
    if array.dtype.kind not in "biufcV":  # bfloat16 of other libraries is of kind V
        raise TypeError(located(f"shared: expected an array of numbers, got {describe_value(value, array)}"))
    return array


def _deferred(
    compute: Callable[[], Any],
    name: str | None,
    strict: bool,
    allow_downcast: bool | None,
    shape: Sequence[int | None] | None,
    dtype: str | None,
) -> SharedVariable:
    """Create a shared variable whose value is computed when it is first needed."""
    lengths = tuple(shape) if shape is not None else None
    if dtype is None or lengths is None or None in lengths:
        raise TypeError("shared: a value given by a function needs a dtype and a shape without None")
    type = TensorType(as_dtype(dtype), lengths, name or "shared")
    stored = (*lengths, 2) if is_complex(type.dtype) else lengths

    def checked() -> np.ndarray:
        array = np.asarray(compute())
        if array.shape != lengths or array.dtype != type.dtype:
            raise ValueError(
                f"the function that computes {name or 'a shared variable'} returned {array.dtype}{array.shape}, "
                f"expected {type.dtype}{lengths}"
            )
        owned = np.require(array, requirements=["C", "W", "A"])
        return as_pairs(owned) if is_complex(type.dtype) else owned

    storage = Storage(None, compute=checked, shape=stored)  # type: ignore[arg-type]
    return SharedVariable(type, storage, name, strict, allow_downcast)


explain_faults(globals())
