"""Derivatives of ``OpFromGraph`` that users give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from symc.gradient.absent import DisconnectedType, NullType
from symc.gradient.reverse import zero_gradient
from symc.graph import Variable
from symc.graph.gradient_flow import ZERO, Selected, Undefined
from symc.tensor.basic import as_tensor

__all__ = [
    "DEFAULT", "NONE", "Directional", "Gradient", "Overrides", "as_gradient", "filled", "fitting", "is_default",
    "listed", "single", "whole_gradient",
]  # fmt: skip

DEFAULT = "default"


class Overrides:
    """Derivatives given by the user, compared by identity.

    Attributes
    ----------
    lop : callable, tuple or None
        Gradients as ``lop(inputs, outputs, output_gradients)``, or one such rule per input.
    rop : callable, tuple or None
        Directional derivatives as ``rop(inputs, eval_points)``, or one such rule per output.
    pattern : sequence or None
        The connection pattern.
    """

    def __init__(self, lop: Any, rop: Any, pattern: Sequence[Sequence[bool]] | None) -> None:
        self.lop = lop
        self.rop = rop
        self.pattern = pattern

    @staticmethod
    def terms(found: Any, count: int, name: str) -> list[Any]:
        """The results of a rule, one per variable."""
        return [as_gradient(g) for g in fitting(found, count, name)]


NONE = Overrides(None, None, None)


def listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (list, tuple)) else [found]


def fitting(found: Any, count: int, name: str) -> list[Any]:
    terms = listed(found)
    if len(terms) != count:
        raise ValueError(f"{name}: its derivative gives {len(terms)} terms, expected {count}")
    return terms


def single(rule: Callable[..., Any], *lists: Any) -> Any:
    """The term of a rule for one variable, which may return a list of one term."""
    return fitting(rule(*lists), 1, "OpFromGraph")[0]


def whole_gradient(rule: Callable[..., Any], count: int, more: int, name: str, *lists: Any) -> list[Any]:
    """The terms of a rule for ``count`` inputs, and None for ``more`` shared variables."""
    return [*fitting(rule(*lists), count, name), *[None] * more]


@dataclass(frozen=True, eq=False)
class Gradient:
    """The user's function for a gradient, called as overrides are. Instances can be pickled, unlike inner functions.

    ``flat``: it takes its arguments one by one, as ops do.
    """

    function: Any
    flat: bool
    explicit: int
    with_outputs: bool

    def __call__(self, inputs: Any, outputs: Any, gs: Any) -> Any:
        lists = (inputs[: self.explicit], outputs, gs) if self.with_outputs else (inputs[: self.explicit], gs)
        if self.flat:
            return listed(self.function(*[v for a in lists for v in a]))
        return self.function(*lists)


@dataclass(frozen=True, eq=False)
class Directional:
    """The user's function for a directional derivative, likewise."""

    function: Any
    flat: bool
    explicit: int

    def __call__(self, inputs: Any, points: Any) -> Any:
        given = inputs[: self.explicit]
        if self.flat:
            return listed(self.function(*given, *filled(inputs, points)[: self.explicit]))
        return self.function(given, points[: self.explicit])


def filled(inputs: Sequence[Variable], points: Sequence[Any]) -> list[Variable]:
    """The directions, with zeros for inputs that do not vary."""
    return [zero_gradient(v) if p is None else p for v, p in zip(inputs, points)]


def is_default(rule: Any) -> bool:
    return rule is None or isinstance(rule, str) and rule == DEFAULT


def as_gradient(g: Any) -> Any:
    """A term of a user's gradient as the gradient pass expects it."""
    if g is None or g is ZERO or isinstance(g, (Selected, Undefined)):
        return g
    if isinstance(g, Variable) and isinstance(g.type, DisconnectedType):
        return None
    if isinstance(g, Variable) and isinstance(g.type, NullType):
        return Undefined(g.type.why_null)
    return as_tensor(g)
