"""Ops whose gradient a program changes, and registrations of rules of optimisation.

Rules that a program registers with Theano's optimiser are accepted and never applied: they make a program faster, or
remove ops that do nothing, and symc's compiler has rules of its own for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import symc
from symc.errors import warn
from symc.graph import Variable
from symc.tensor.basic import as_tensor

__all__ = [
    "OpRemove", "OpSub", "PatternSub", "ViewOp", "hashtype", "local_optimizer", "optdb", "register_canonicalize",
    "register_specialize", "register_stabilize", "register_uncanonicalize", "register_useless",
]  # fmt: skip

_told: set[str] = set()


class ViewOp:
    """Base class of ops that return their operand; a subclass defines ``grad(inputs, output_gradients)``.

    It is no op of the compiled program: only gradients are affected.
    """

    __props__: tuple[str, ...] = ()

    def grad(self, inputs: Sequence[Variable], output_gradients: Sequence[Variable]) -> list[Variable]:
        """The gradient by the operand: that of the result."""
        return list(output_gradients)

    def __call__(self, x: Any) -> Variable:
        x = as_tensor(x)
        inside = x.type()
        made = symc.OpFromGraph([inside], [inside], grad_overrides=self._gradient, name=type(self).__name__)
        return made(x)

    def _gradient(self, inputs: Sequence[Variable], output_gradients: Sequence[Variable]) -> list[Variable]:
        return list(self.grad(inputs, output_gradients))

    def make_node(self, x: Any) -> Any:
        """The application of the op."""
        return self(x).owner


class _Rule:
    """A rule of Theano's optimiser, which is never applied."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args

    def __str__(self) -> str:
        return type(self).__name__


class OpRemove(_Rule):
    """``OpRemove(op)``: remove an op that returns its operand."""


class OpSub(_Rule):
    """``OpSub(op, other)``: replace an op by another."""


class PatternSub(_Rule):
    """``PatternSub(pattern, other)``: replace a pattern by another."""


def local_optimizer(tracks: Any = None, inplace: bool = False, requirements: Any = None) -> Callable[[Any], Any]:
    """Decorate a function from a node to its replacements; it is returned unchanged."""
    return lambda function: function


def _registered(rule: Any, *tags: Any, **named: Any) -> Any:
    """Accept a rule with a warning, once per rule; return it, or for a name alone, a decorator."""
    if isinstance(rule, str) and not tags:
        return lambda following: _registered(following, rule, **named)
    label = str(named.get("name") or getattr(rule, "__name__", rule))
    if label not in _told:
        _told.add(label)
        warn(f"symc.compat: the rule {label} is accepted and has no effect: symc's compiler has rules of its own")
    return rule


register_canonicalize = register_specialize = register_stabilize = _registered
register_uncanonicalize = register_useless = _registered


class _Database:
    """``theano.compile.optdb``, the rules of the optimiser."""

    def __getitem__(self, name: str) -> _Database:
        return self

    def register(self, name: str, rule: Any, *tags: Any, **named: Any) -> None:
        """Accept a rule; it has no effect."""
        _registered(rule, *tags, **{**named, "name": name})


optdb = _Database()


def hashtype(thing: Any) -> int:
    """The hash of the class of an op, from which old ops compute their own."""
    return hash(type(thing).__name__) ^ hash(type(thing).__module__)
