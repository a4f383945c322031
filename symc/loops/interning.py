"""Kernels of one form become one object, so that later stages check, keep and write each form once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from symc.loops.expr import Expr, parts
from symc.loops.ir import Kernel

__all__ = ["Kernels"]


class Kernels:
    """A table of kernels. Two have one form if all that they hold is equal: names, statements, expressions."""

    def __init__(self) -> None:
        self._first: dict[Hashable, Kernel] = {}
        self._seen: dict[int, tuple[Kernel, Kernel]] = {}  # by id; holds the kernel, so that the id stays its own
        self._numbers: dict[tuple[Any, ...], int] = {}

    def interned(self, kernel: Kernel) -> Kernel:
        """The first kernel of the form of this one: this one, if there was none before."""
        seen = self._seen.get(id(kernel))
        if seen is None:
            first = self._first.setdefault(self._form(kernel, {}), kernel)
            seen = self._seen[id(kernel)] = kernel, first
        return seen[1]

    def _form(self, x: Any, known: dict[int, int]) -> Hashable:
        """A key that is equal for equal content. ``known`` are numbers of expressions of this kernel, by their id."""
        if isinstance(x, Expr):
            return known[id(x)] if id(x) in known else self._number(x, known)
        if isinstance(x, tuple):
            return tuple([self._form(part, known) for part in x])
        if isinstance(x, dict):
            return tuple([(name, self._form(x[name], known)) for name in sorted(x)])
        if is_dataclass(x):
            kind: type = type(x)
            return (kind, *[self._form(getattr(x, name), known) for name in _names(kind)])
        found: Hashable = x
        return found

    def _number(self, e: Expr, known: dict[int, int]) -> int:
        """The number of an expression; equal ones have the same. Without recursion: expressions can be deep."""
        numbers = self._numbers
        for x in parts(e):
            if id(x) not in known:
                key = (x.op, x.dtype, x.value, *[known[id(a)] for a in x.args])
                known[id(x)] = numbers.setdefault(key, len(numbers))
        return known[id(e)]


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))
