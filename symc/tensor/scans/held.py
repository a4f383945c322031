"""Sequences, states and outputs of ``scan`` of dtypes of the language alone.

Complex ones are real ones with a last axis of length 2, those of bfloat16 are of float32.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from symc.graph import Variable
from symc.graph.dtypes import BRAIN, is_held
from symc.tensor.basic import as_tensor
from symc.tensor.bfloat16 import packed, rounded, wide
from symc.tensor.complex_numbers.parts import stacked, unstacked

__all__ = ["of_held_dtypes"]

F = TypeVar("F", bound=Callable[..., Any])


def of_held_dtypes(scan: F) -> F:
    """Let a function with the first parameters of ``scan``, and its steps, use complex numbers and bfloat16."""

    @wraps(scan)
    def accepting(
        fn: Any, sequences: Any = None, outputs_info: Any = None, non_sequences: Any = None, *rest: Any, **options: Any
    ) -> Any:
        step = _Step(fn)
        sequences = step.given(sequences, "input")
        outputs_info = step.given(outputs_info, "initial")
        non_sequences = step.given(non_sequences, "")
        outputs, updates = scan(step if callable(fn) else fn, sequences, outputs_info, non_sequences, *rest, **options)
        return step.joined(outputs), updates

    return cast(F, accepting)


def _held(v: Any) -> str:
    """The dtype of a value if that is of the language alone, else an empty text."""
    if isinstance(v, Variable):
        return v.dtype if is_held(v.dtype) else ""
    return "complex128" if isinstance(v, (complex, np.ndarray)) and np.iscomplexobj(v) else ""


def _real(v: Any) -> Variable:
    v = as_tensor(v)
    return rounded(wide(v)) if v.dtype == BRAIN else stacked(v)


def _whole(v: Variable, dtype: str) -> Variable:
    return packed(v) if dtype == BRAIN else unstacked(v)


class _Step:
    """A step of real arguments and results around the user's.

    ``held_args`` holds the dtype of each argument, and ``held_results`` of each result, if it is of the language alone.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.held_args: list[str] = []
        self.held_results: list[str] = []
        self.__name__ = getattr(fn, "__name__", "step")
        with suppress(TypeError, ValueError):  # of functions in C
            self.__signature__ = inspect.signature(fn)

    def given(self, entries: Any, key: str) -> Any:
        """The real form of an argument of ``scan``; ``key`` is the entry of a dict that holds the variable."""
        if isinstance(entries, (list, tuple)):
            return [self._entry(e, key) for e in entries]
        return entries if entries is None else self._entry(entries, key)

    def _entry(self, entry: Any, key: str) -> Any:
        value = entry.get(key) if isinstance(entry, dict) else entry
        taps = (entry.get("taps") if isinstance(entry, dict) else None) or [0]
        found = _held(value)
        if value is not None:
            self.held_args += [found] * (len(taps) if isinstance(taps, (list, tuple)) else 1)
        if not found:
            return entry
        real = _real(value)
        return {**entry, key: real} if isinstance(entry, dict) else real

    def __call__(self, *args: Any) -> Any:
        flags = self.held_args + [""] * (len(args) - len(self.held_args))
        self.held_results = []
        return self._results(self.fn(*[_whole(v, flag) if flag else v for v, flag in zip(args, flags)]))

    def _results(self, found: Any) -> Any:
        if isinstance(found, (list, tuple)):
            return type(found)(self._results(v) for v in found)
        if isinstance(found, dict):
            whole = [_held(target).startswith("complex") for target in found]
            return {
                stacked(target) if pair else target: stacked(as_tensor(v)) if pair else v
                for pair, (target, v) in zip(whole, found.items())
            }
        if not isinstance(found, (Variable, complex, float, int, np.ndarray)):
            return found  # updates, or the condition of the end
        self.held_results.append(_held(found))
        return _real(found) if self.held_results[-1] else found

    def joined(self, outputs: Any) -> Any:
        """The outputs of ``scan`` with complex numbers in place of pairs."""
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self._joined(v, flag) for v, flag in zip(outputs, self.held_results, strict=False))
        return self._joined(outputs, self.held_results[0] if self.held_results else "")

    def _joined(self, v: Any, flag: str) -> Any:
        if not flag:
            return v
        made = _whole(v, flag)
        made.name = v.name
        return made
