"""Constants, and the normalisation of arguments: conversion to variables, dtype promotion, axis numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import AxisError, ShapeError, entered, located
from symc.graph import Apply, Constant, Variable
from symc.graph.dtypes import SIGNED, complex_of, is_integer, of_number, promote
from symc.graph.variables import as_array, refuse_masked
from symc.tensor.keywords import also_named
from symc.tensor.options import integer

__all__ = [
    "as_tensor",
    "constant",
    "normalize_axis",
    "number_repeated",
    "stack_lists_with",
    "unify_dtypes",
]


@also_named(x="value")
def constant(value: Any, name: str | None = None, ndim: int | None = None, dtype: str | None = None) -> Constant:
    """Create a constant; a Python number without ``dtype`` is weak (it never widens the arrays beside it).

    Leading axes of length 1 are added until there are ``ndim`` axes.
    """
    if ndim is not None:
        ndim = integer("constant", "ndim", ndim, least=0)
    if dtype is None and not ndim and type(value) in (float, int, bool):
        return Constant.number(value, config.floatX if type(value) is float else None, name)
    weak = dtype is None and (
        isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic) or np.ndim(value) == 0
    )
    if weak and isinstance(np.asarray(value)[()], (float, np.floating)):
        dtype = config.floatX
    elif weak and isinstance(np.asarray(value)[()], (complex, np.complexfloating)):
        dtype = complex_of(config.floatX)
    elif dtype is None and isinstance(value, (list, tuple)):
        found = np.asarray(value).dtype
        if found in (np.float64, np.complex128):
            dtype = config.floatX if found == np.float64 else complex_of(config.floatX)
    if ndim is not None and np.ndim(value) < ndim:
        value = np.asarray(value)[(None,) * (ndim - np.ndim(value))]
    made = Constant(value, dtype, name, weak)
    if ndim is not None and made.ndim != ndim:
        raise ShapeError(f"constant: expected {ndim} axes, got a value of shape {made.data.shape}")
    return made


def as_tensor(x: Any, name: str | None = None) -> Variable:
    """Convert ``x`` to a variable: numbers and arrays become constants, lists of variables are stacked.

    Raises
    ------
    TypeError
        For values that are not numbers.
    """
    if isinstance(x, Variable):
        return x
    if isinstance(x, np.ndarray) and x.dtype == object:  # NumPy's arrays of scalar variables
        x = x.tolist()
        if isinstance(x, Variable):
            return x
    if isinstance(x, (list, tuple)) and any(isinstance(v, Variable) for v in _leaves(x)):
        return _stack_lists(x)
    refuse_masked(x, "as_tensor")
    if hasattr(x, "__dlpack__") and not isinstance(x, np.ndarray):
        x = as_array(x, "as_tensor")
    try:
        return constant(x, name)
    except (TypeError, ValueError):
        shown = repr(x) if len(repr(x)) < 80 else repr(x)[:77] + "..."
        text = f"expected a symbolic variable or numbers, got {type(x).__name__}: {shown}"
        caller = entered()
        raise TypeError(located(f"{caller}: {text}" if caller else text)) from None


_stack_lists: Callable[[Any], Variable]


def stack_lists_with(function: Callable[[Any], Variable]) -> None:
    """Tell ``as_tensor`` what stacks nested lists of variables: a function that is itself built on ``as_tensor``."""
    global _stack_lists
    _stack_lists = function


def _leaves(x: Any) -> list[Any]:
    return [leaf for v in x for leaf in (_leaves(v) if isinstance(v, (list, tuple)) else [v])]


def number_repeated(v: Variable) -> Any:
    """The number that ``v`` repeats, as a NumPy scalar array, or None where it is not one, or not known now."""
    while v.owner is not None and (v.owner.op.record.inserted or _only_moves(v.owner)):
        v = v.owner.inputs[0]
    return v.data.reshape(()) if isinstance(v, Constant) and v.data.size == 1 else None


def _only_moves(node: Apply) -> bool:
    moves = node.op.record.moves
    return moves is not None and moves(node.op) == slice(0, 1)


def unify_dtypes(variables: Sequence[Variable]) -> str:
    """Promote the dtypes of ``variables``: weak constants adapt to the others, but no integer loses its value."""
    dtypes = {v.type.dtype for v in variables}
    if len(dtypes) == 1 and not all(isinstance(v, Constant) and v.weak for v in variables):
        return dtypes.pop()
    weak: list[Variable] = []
    strong = []
    for v in variables:
        own = v.type.dtype if not (isinstance(v, Constant) and v.weak) else of_number(v.exact)
        if own is None:
            weak.append(v)
        else:
            strong.append(own)
    found = promote(strong, [v.type.dtype for v in weak])
    for v in weak:
        if is_integer(found) and is_integer(v.type.dtype) and not np.iinfo(found).min <= v.data <= np.iinfo(found).max:
            value = int(v.data)
            signed = value < 0 or found in SIGNED
            found = promote([found, np.min_scalar_type(min(value, -value - 1) if signed else value).name])
    return found


def normalize_axis(axis: Any, ndim: int, what: str, x: Variable | None = None) -> int:
    """Convert ``axis`` to a non-negative axis number.

    Raises
    ------
    AxisError
        If there is no such axis.
    """
    if isinstance(axis, Constant) and axis.ndim == 0:
        axis = axis.data
    try:
        found = operator.index(axis)
    except TypeError:
        raise TypeError(
            located(f"{what}: expected an integer as axis, got {axis!r}", [x] if x is not None else [])
        ) from None
    if not -ndim <= found < ndim:
        raise AxisError(located(f"{what}: axis {found} is out of range for {ndim} axes", [x] if x is not None else []))
    return found % ndim
