"""Rules as data, and the engine that applies them.

A ``Rule`` is a named pair of ordinary graphs over wildcards, with an optional condition::

    X = Wildcard("X")
    Rule("log1p", log(1 + X), log1p(X))

A constant in a pattern matches a constant of that value however it was broadcast. Where a pair of graphs cannot say it, a
``NodeRule`` is a function from an application to a variable that may stand in its place, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Constant, Variable
from symc.guards import collecting
from symc.numbering import Numbering
from symc.op import Op
from symc.tensor.basic import broadcast_like, constant
from symc.types import TensorType

__all__ = ["NodeRule", "Rule", "RuleList", "Wildcard", "constant_value", "is_constant", "rewrite"]


class Wildcard(Variable):
    """Matches any variable; with ``is_scalar_constant`` only constants, of which ``Bindings`` gives the value."""

    def __init__(self, name: str, dtype: str = "float32", constant: bool = False) -> None:
        super().__init__(TensorType(dtype, ()), None, 0, name)
        self.constant = constant


_SPREADING = ("expand", "broadcast", "dimshuffle", "reshape_to", "cast_like")


def constant_value(v: Variable) -> np.ndarray | None:
    """The scalar that every element of ``v`` is known to be, or None."""
    while v.owner is not None and v.owner.op.name in _SPREADING:
        v = v.owner.inputs[0]
    if isinstance(v, Constant) and v.data.size >= 1:
        first = v.data.flat[0]
        if v.data.size == 1 or v.data.size <= 64 and (v.data == first).all():
            return first
    return None


def is_constant(v: Variable, value: float) -> bool:
    """Is every element of ``v`` known to be ``value``?"""
    found = constant_value(v)
    return found is not None and bool(found == value)


class Rule:
    """``pattern`` is replaced by ``replacement`` where it matches and ``condition(bindings)`` holds.

    Attributes
    ----------
    name : str
    pattern, replacement : Variable
        Graphs over ``Wildcard`` variables. The replacement may use only wildcards that the pattern binds.
    condition : callable, optional
        ``condition({wildcard name: variable})``.
    algebraic : bool
        True if the two sides are equal as formulas over the reals, so that sympy can prove it.
    domain : pair
        From where the generated test draws values for the wildcards.
    """

    def __init__(
        self,
        name: str,
        pattern: Variable,
        replacement: Variable,
        condition: Callable[[dict[str, Variable]], bool] | None = None,
        algebraic: bool = True,
        domain: tuple[float, float] = (0.3, 2.0),
    ) -> None:
        if pattern.owner is None:
            raise ValueError(f"rule {name}: the pattern must be an application")
        self.name = name
        self.pattern = pattern
        self.replacement = replacement
        self.condition = condition
        self.algebraic = algebraic
        self.domain = domain
        self.op = pattern.owner.op

    def __call__(self, node: Apply) -> Variable | None:
        bound: dict[str, Variable] = {}
        assert self.pattern.owner is not None
        if not _match_apply(self.pattern.owner, node, bound):
            return None
        if self.condition is not None and not self.condition(bound):
            return None
        return _instantiate(self.replacement, bound, node.outputs[0])

    def __repr__(self) -> str:
        return f"<rule {self.name}: {self.pattern!r} -> {self.replacement!r}>"


class NodeRule:
    """A rule written as a function; ``ops`` names the ops at whose applications it is tried, ``"*"`` all."""

    def __init__(self, name: str, ops: Sequence[str], function: Callable[[Apply], Variable | None]) -> None:
        self.name = name
        self.ops = tuple(ops)
        self.function = function

    def __call__(self, node: Apply) -> Variable | None:
        return self.function(node)

    def __repr__(self) -> str:
        return f"<rule {self.name}>"


AnyRule = Rule | NodeRule


def _match(pattern: Variable, v: Variable, bound: dict[str, Variable]) -> bool:
    if isinstance(pattern, Wildcard):
        assert pattern.name is not None
        if pattern.constant and constant_value(v) is None:
            return False
        seen = bound.setdefault(pattern.name, v)
        return seen is v
    value = constant_value(pattern)
    if value is not None:
        found = constant_value(v)
        return found is not None and bool(found == value)
    if pattern.owner is None or v.owner is None:
        return False
    return _match_apply(pattern.owner, v.owner, bound)


def _match_apply(pattern: Apply, node: Apply, bound: dict[str, Variable]) -> bool:
    if pattern.op.record is not node.op.record or len(pattern.inputs) != len(node.inputs) or pattern.op.attrs != node.op.attrs:
        return False
    orders = [node.inputs]
    if node.op.record.commutative and len(node.inputs) == 2:
        orders.append(node.inputs[::-1])
    for inputs in orders:
        attempt = dict(bound)
        if all(_match(p, v, attempt) for p, v in zip(pattern.inputs, inputs)):
            bound.update(attempt)
            return True
    return False


def _instantiate(pattern: Variable, bound: dict[str, Variable], like: Variable) -> Variable:
    """The replacement with wildcards filled in; its constants take the dtype and shape they meet."""
    if isinstance(pattern, Wildcard):
        assert pattern.name is not None
        return bound[pattern.name]
    value = constant_value(pattern)
    if value is not None:
        return broadcast_like(constant(np.asarray(value).astype(like.dtype), dtype=like.dtype), like)
    assert pattern.owner is not None
    inputs = [_instantiate(p, bound, like) for p in pattern.owner.inputs]
    return pattern.owner.op(*inputs)


class RuleList:
    """Rules for one purpose; lists add up with ``+``."""

    def __init__(self, name: str, rules: Sequence[AnyRule]) -> None:
        self.name = name
        self.rules = list(rules)
        self._by_op: dict[str, list[AnyRule]] = {}
        self._merged: dict[str, list[AnyRule]] = {}
        for rule in self.rules:
            for op in rule.ops if isinstance(rule, NodeRule) else (rule.op.name,):
                self._by_op.setdefault(op, []).append(rule)

    def __add__(self, other: RuleList) -> RuleList:
        return RuleList(f"{self.name}+{other.name}", self.rules + other.rules)

    def __iter__(self) -> Any:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def at(self, op: Op) -> list[AnyRule]:
        found = self._merged.get(op.name)
        if found is None:
            found = self._merged[op.name] = self._by_op.get(op.name, []) + self._by_op.get("*", [])
        return found


def rewrite(outputs: Sequence[Variable], rules: RuleList) -> list[Variable]:
    """``outputs`` rebuilt bottom-up with every rule applied until none has more to say.

    Types never change: a replacement of another dtype or number of axes is an error in the rule. No equality between
    dims is lost: the user's own were collected before, and those that a rule makes hold by construction.
    """

    def simplify(node: Apply) -> Variable | None:
        for rule in rules.at(node.op):
            found = rule(node)
            if found is not None:
                return found
        return None

    with collecting():
        return Numbering(simplify).adopt(outputs)
