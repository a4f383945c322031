"""Values that consist of several tensors, such as sparse matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.graph.variables import Variable

__all__ = ["Composite"]


class Composite:
    """A symbolic value that consists of several variables.

    A function accepts and returns it as one value: ``split`` gives the arrays of an argument, ``join`` makes a result.

    Attributes
    ----------
    parts : tuple of Variable
    name : str or None
    """

    parts: tuple[Variable, ...]
    name: str | None

    def split(self, value: Any, what: str) -> Sequence[Any]:
        """The arrays of ``parts`` for an argument; an error names ``what``."""
        raise NotImplementedError(f"{type(self).__name__} must define split")

    def join(self, arrays: Sequence[Any]) -> Any:
        """The value whose parts are ``arrays``."""
        raise NotImplementedError(f"{type(self).__name__} must define join")

    def differentiable(self) -> Variable:
        """The part with respect to which a cost is differentiated."""
        raise NotImplementedError(f"{type(self).__name__} must define differentiable")

    def with_gradient(self, gradient: Any) -> Any:
        """The gradient by this value, from that by its differentiable part."""
        raise NotImplementedError(f"{type(self).__name__} must define with_gradient")
