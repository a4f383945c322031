"""Indexing under the names of ``theano.tensor.subtensor``."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import symc.tensor as T
from symc.compat.op_class import OpClass
from symc.compat.tensor_functions import inc_subtensor, set_subtensor
from symc.graph import Variable
from symc.graph.dtypes import INTEGERS
from symc.tensor.indices.stretching import stretch, stretch_together

_any: Any = T

__all__ = [
    "AdvancedBooleanIncSubtensor", "AdvancedBooleanIndexingError", "AdvancedBooleanSubtensor", "AdvancedIncSubtensor",
    "AdvancedIncSubtensor1", "AdvancedIndexingError", "AdvancedSubtensor", "AdvancedSubtensor1",
    "BaseAdvancedIncSubtensor", "BaseAdvancedSubtensor", "advanced_boolean_inc_subtensor",
    "advanced_boolean_set_subtensor", "advanced_boolean_subtensor", "advanced_inc_subtensor",
    "advanced_inc_subtensor1", "advanced_set_subtensor", "advanced_set_subtensor1", "advanced_subtensor",
    "advanced_subtensor1", "choose", "get_canonical_form_slice", "get_idx_list", "inc_subtensor", "set_subtensor",
]  # fmt: skip

AdvancedIndexingError = TypeError
AdvancedBooleanIndexingError = TypeError


def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Variable:
    """``T.choose``; an axis whose length is 1 at call time is broadcast as well, as by NumPy."""
    a = T.as_tensor_variable(a)
    if not isinstance(choices, Variable):
        options = [T.as_tensor_variable(v) for v in choices]
        if options:
            a, *options = _broadcast([a, *options])
        return T.choose(a, options, out, mode)
    if choices.ndim == 0 or choices.type.broadcastable[1:] == a.type.broadcastable == ():
        return T.choose(a, choices, out, mode)
    lengths = [choices.shape[k] for k in range(choices.ndim)]
    a, like = _broadcast([a, T.zeros(lengths[1:], "bool")])
    lead = [1] * (like.ndim - len(lengths) + 1)
    whole = T.zeros([lengths[0], *(like.shape[k] for k in range(like.ndim))], "bool")
    return T.choose(a, stretch("choose", T.reshape(choices, [lengths[0], *lead, *lengths[1:]]), whole), out, mode)


def _broadcast(operands: Sequence[Variable]) -> list[Variable]:
    """The operands, broadcast together along every axis of length 1, known now or at call time."""
    ndim = max(v.ndim for v in operands)
    padded = [T.shape_padleft(v, ndim - v.ndim) for v in operands]
    common = stretch_together("choose", [T.zeros_like(v, dtype="bool") for v in padded])[0]
    return [stretch("choose", v, common) for v in padded]


class BaseAdvancedSubtensor(OpClass):
    """``AdvancedSubtensor()(x, *indices)`` is ``x[indices]``."""

    def __call__(self, x: Any, *indices: Any) -> Variable:
        return T.as_tensor_variable(x)[tuple(indices)]


class AdvancedSubtensor(BaseAdvancedSubtensor):
    """``AdvancedSubtensor()(x, *indices)`` is ``x[indices]``."""

    examples = staticmethod(lambda: [_any.matrix()[_any.lvector(), _any.lvector()]])


class AdvancedSubtensor1(BaseAdvancedSubtensor):
    """``AdvancedSubtensor1()(x, indices)``: rows of ``x`` by a vector of integers."""

    examples = staticmethod(lambda: [_any.matrix()[_any.lvector()]])

    takes = {"sparse_grad": False}

    def __call__(self, x: Any, *indices: Any) -> Variable:
        (at,) = map(T.as_tensor_variable, indices)
        if at.ndim != 1 or at.dtype not in INTEGERS:
            raise TypeError(f"AdvancedSubtensor1: expected a vector of integers, got {at.type}")
        return T.as_tensor_variable(x)[at]


class AdvancedBooleanSubtensor(BaseAdvancedSubtensor):
    """``AdvancedBooleanSubtensor()(x, *indices)`` is ``x[indices]``."""


class BaseAdvancedIncSubtensor(OpClass):
    """``AdvancedIncSubtensor()(x, y, *indices)``: ``x`` with ``y`` added to, or put in place of, ``x[indices]``."""

    takes = {"inplace": False, "set_instead_of_inc": False}

    def __call__(self, x: Any, y: Any, *indices: Any) -> Variable:
        write = set_subtensor if self.set_instead_of_inc else T.inc_subtensor
        return write(T.as_tensor_variable(x)[tuple(indices)], y)


class AdvancedIncSubtensor(BaseAdvancedIncSubtensor):
    """``AdvancedIncSubtensor()(x, y, *indices)``: ``x`` with ``y`` added to, or put in place of, ``x[indices]``."""

    examples = staticmethod(lambda: [_any.inc_subtensor(_any.matrix()[_any.lvector(), _any.lvector()], 1.0)])


class AdvancedIncSubtensor1(BaseAdvancedIncSubtensor):
    """``AdvancedIncSubtensor1()(x, y, indices)``: the same for rows by a vector of integers."""

    examples = staticmethod(lambda: [_any.inc_subtensor(_any.matrix()[_any.lvector()], 1.0)])


class AdvancedBooleanIncSubtensor(BaseAdvancedIncSubtensor):
    """``AdvancedBooleanIncSubtensor()(x, y, *indices)``: the same for masks."""


advanced_subtensor, advanced_subtensor1 = AdvancedSubtensor(), AdvancedSubtensor1()
advanced_boolean_subtensor = AdvancedBooleanSubtensor()
advanced_inc_subtensor, advanced_inc_subtensor1 = AdvancedIncSubtensor(), AdvancedIncSubtensor1()
advanced_set_subtensor = AdvancedIncSubtensor(set_instead_of_inc=True)
advanced_set_subtensor1 = AdvancedIncSubtensor1(set_instead_of_inc=True)
advanced_boolean_inc_subtensor = AdvancedBooleanIncSubtensor()
advanced_boolean_set_subtensor = AdvancedBooleanIncSubtensor(set_instead_of_inc=True)


def get_idx_list(inputs: Any, idx_list: Any, get_count: bool = False) -> Any:
    """Put ``inputs[1:]`` in place of the types in ``idx_list``, an index in which symbolic entries are types."""
    pending = list(reversed(list(inputs)[1:]))

    def filled(entry: Any) -> Any:
        if isinstance(entry, slice):
            return slice(filled(entry.start), filled(entry.stop), filled(entry.step))
        return pending.pop() if hasattr(entry, "broadcastable") else entry

    found = tuple(filled(entry) for entry in idx_list)
    return (found, len(inputs) - 1 - len(pending)) if get_count else found


def get_canonical_form_slice(theslice: Any, length: Any) -> tuple[Any, Any]:
    """Write a slice, or an index, with bounds between 0 and ``length``.

    Parameters
    ----------
    theslice : slice or scalar
        Its entries may be symbolic.
    length : scalar

    Returns
    -------
    slice or scalar
        With a positive step.
    direction : 1, -1 or scalar
        Whether the elements of that slice must be reversed: ``x[theslice]`` is ``x[slice][::direction]``.
    """
    if not isinstance(theslice, slice):
        at = _known(theslice)
        if isinstance(at, int):
            return (at if at >= 0 else at + length), 1
        return T.switch(T.lt(at, 0), at + length, at), 1
    start, stop, step = (_known(v) for v in (theslice.start, theslice.stop, theslice.step))
    step = 1 if step is None else step
    if isinstance(step, int):
        if step == 0:
            raise ValueError("get_canonical_form_slice: the step is 0")
        ends = _ascending if step > 0 else _descending
        first, last = ends(start, stop, abs(step), length)
        return slice(first, last, abs(step)), (1 if step > 0 else -1)
    size = T.abs_(step)
    up, down = _ascending(start, stop, size, length), _descending(start, stop, size, length)
    first, last = (T.switch(T.gt(step, 0), u, d) for u, d in zip(up, down))
    return slice(first, last, size), T.sgn(step)


def _known(v: Any) -> Any:
    """An entry of a slice as an integer, if it is known."""
    if v is None or isinstance(v, builtins.int):
        return v
    try:
        return int(T.get_scalar_constant_value(v))
    except (T.extra_ops.NotScalarConstantError, TypeError):
        return T.as_tensor_variable(v)


def _within(v: Any, length: Any, low: int, high: Any) -> Variable:
    v = T.as_tensor_variable(v)
    return T.clip(T.switch(T.lt(v, 0), v + length, v), low, high)


def _ascending(start: Any, stop: Any, step: Any, length: Any) -> tuple[Any, Any]:
    first = 0 if start is None else _within(start, length, 0, length)
    last = length if stop is None else _within(stop, length, 0, length)
    return first, last


def _descending(start: Any, stop: Any, step: Any, length: Any) -> tuple[Any, Any]:
    """The same elements in ascending order: from the last one that is reached to the first one."""
    first = length - 1 if start is None else _within(start, length, -1, length - 1)
    last = -1 if stop is None else _within(stop, length, -1, length - 1)
    count = T.maximum((first - last + step - 1) // step, 0)
    lowest = first - (count - 1) * step
    return T.switch(T.gt(count, 0), lowest, 0), T.switch(T.gt(count, 0), first + 1, 0)
