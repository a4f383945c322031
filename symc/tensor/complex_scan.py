"""Complex sequences, states and outputs of ``scan``: they are real ones with a last axis of length 2."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from symc.graph import Variable
from symc.graph.dtypes import is_complex
from symc.tensor.basic import as_tensor
from symc.tensor.complex_parts import stacked, unstacked

__all__ = ["of_complex_numbers"]

F = TypeVar("F", bound=Callable[..., Any])


def of_complex_numbers(scan: F) -> F:
    """Let a function with the first parameters of ``scan`` accept complex numbers, and steps that return them."""

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


def _is_complex(v: Any) -> bool:
    return (
        is_complex(v.dtype) if isinstance(v, Variable) else isinstance(v, (complex, np.ndarray)) and np.iscomplexobj(v)
    )


class _Step:
    """A step of real arguments and results around the user's.

    ``complex_args`` says of each argument, and ``complex_results`` of each result, whether it is complex.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.complex_args: list[bool] = []
        self.complex_results: list[bool] = []
        self.__name__ = getattr(fn, "__name__", "step")

    def given(self, entries: Any, key: str) -> Any:
        """The real form of an argument of ``scan``; ``key`` is the entry of a dict that holds the variable."""
        if isinstance(entries, (list, tuple)):
            return [self._entry(e, key) for e in entries]
        return entries if entries is None else self._entry(entries, key)

    def _entry(self, entry: Any, key: str) -> Any:
        value = entry.get(key) if isinstance(entry, dict) else entry
        taps = (entry.get("taps") if isinstance(entry, dict) else None) or [0]
        found = _is_complex(value)
        if value is not None:
            self.complex_args += [found] * (len(taps) if isinstance(taps, (list, tuple)) else 1)
        if not found:
            return entry
        real = stacked(as_tensor(value))
        return {**entry, key: real} if isinstance(entry, dict) else real

    def __call__(self, *args: Any) -> Any:
        flags = self.complex_args + [False] * (len(args) - len(self.complex_args))
        self.complex_results = []
        return self._real(self.fn(*[unstacked(v) if flag else v for v, flag in zip(args, flags)]))

    def _real(self, found: Any) -> Any:
        if isinstance(found, (list, tuple)):
            return type(found)(self._real(v) for v in found)
        if isinstance(found, dict):
            return {
                stacked(s) if _is_complex(s) else s: stacked(as_tensor(v)) if _is_complex(s) else v
                for s, v in found.items()
            }
        if not isinstance(found, (Variable, complex, float, int, np.ndarray)):
            return found  # updates, or the condition of the end
        self.complex_results.append(_is_complex(found))
        return stacked(as_tensor(found)) if self.complex_results[-1] else found

    def joined(self, outputs: Any) -> Any:
        """The outputs of ``scan`` with complex numbers in place of pairs."""
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self._whole(v, flag) for v, flag in zip(outputs, self.complex_results, strict=False))
        return self._whole(outputs, bool(self.complex_results) and self.complex_results[0])

    def _whole(self, v: Any, flag: bool) -> Any:
        if not flag:
            return v
        made = unstacked(v)
        made.name = v.name
        return made
