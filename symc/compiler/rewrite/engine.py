"""Rules as data, and the engine that applies them.

A ``Rule`` is a named pair of ordinary graphs over wildcards, with an optional condition::

    X = Wildcard("X")
    Rule("log1p", log(1 + X), log1p(X))

Wildcards are scalars, so a pattern of elementwise ops stands for the same expression of tensors of any one shape and
dtype; a constant in a pattern matches a constant of that value however it was broadcast. Where a pair of graphs cannot
say it, a ``NodeRule`` is a function from an application to a variable that may stand in its place, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.guards import collecting
from symc.graph.op import Op, Pointwise
from symc.graph.types import TensorType
from symc.tensor.broadcasting import expand

__all__ = [
    "AnyRule",
    "Bindings",
    "NodeRule",
    "Rule",
    "RuleList",
    "Wildcard",
    "constant_value",
    "filled",
    "instantiate",
    "is_constant",
    "rewrite",
]

Bindings = dict[str, Variable]
"""What each wildcard stands for, by name."""


class Wildcard(Variable):
    """Matches any variable, the same one wherever it occurs; with ``constant`` only what ``constant_value`` knows.

    The dtype is the one the pattern is built in, not one that is asked for: float64 lets a pattern's own numbers keep
    all their digits.
    """

    def __init__(self, name: str, dtype: str = "float64", constant: bool = False) -> None:
        super().__init__(TensorType(dtype, ()), None, 0, name)
        self.constant = constant


_SPREADING = frozenset(("expand", "broadcast", "dimshuffle", "reshape_to"))
_SMALL = 64


def constant_value(v: Variable) -> Any:
    """The NumPy scalar that every element of ``v`` is known to be, or None."""
    while v.owner is not None:
        if v.owner.op.record.name not in _SPREADING:
            return None
        v = v.owner.inputs[0]
    if isinstance(v, Constant) and 1 <= v.data.size <= _SMALL:
        first = v.data.flat[0]
        if v.data.size == 1 or (v.data == first).all():
            return first
    return None


def is_constant(v: Variable, value: float) -> bool:
    """Is every element of ``v`` known to be ``value``?"""
    found = constant_value(v)
    return found is not None and bool(found == value)


def filled(value: Any, dtype: str, shape: Sequence[dims.Dim]) -> Variable:
    """A constant of this dtype, repeated to ``shape``."""
    one = Constant(np.asarray(value).astype(dtype), dtype)
    return expand(one, shape) if len(shape) else one


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
    dtypes : sequence of str
        In which dtypes of the wildcards the generated test tries the rule.
    sample : callable, optional
        ``sample({wildcard name: variable})`` puts other expressions in place of wildcards that the condition refuses
        as plain inputs, or whose constants it does; used by the generated test alone.
    """

    def __init__(
        self,
        name: str,
        pattern: Variable,
        replacement: Variable,
        condition: Callable[[Bindings], bool] | None = None,
        algebraic: bool = True,
        domain: tuple[float, float] = (0.3, 2.0),
        dtypes: Sequence[str] = ("float32", "float64"),
        sample: Callable[[Bindings], Bindings] | None = None,
    ) -> None:
        if pattern.owner is None:
            raise ValueError(f"rule {name}: the pattern must be an application")
        self.name = name
        self.pattern = pattern
        self.replacement = replacement
        self.condition = condition
        self.algebraic = algebraic
        self.domain = domain
        self.dtypes = tuple(dtypes)
        self.sample = sample
        self.op = pattern.owner.op
        self._form = _Form(pattern)
        unbound = {v.name for v in wildcards(replacement)} - {v.name for v in wildcards(pattern)}
        if unbound:
            raise ValueError(
                f"rule {name}: the replacement uses {sorted(map(str, unbound))}, which the pattern does not bind"
            )

    def __call__(self, node: Apply) -> Variable | None:
        for bound in self._form.matches(node, {}):
            if self.condition is None or self.condition(bound):
                return instantiate(self.replacement, bound, node.outputs[0])
        return None

    def matches(self, node: Apply) -> bool:
        """Would the rule fire at this application?"""
        return any(self.condition is None or self.condition(bound) for bound in self._form.matches(node, {}))

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


def wildcards(pattern: Variable) -> list[Wildcard]:
    """The wildcards of a pattern, each once."""
    found: dict[Variable, None] = {}
    stack = [pattern]
    while stack:
        v = stack.pop()
        if isinstance(v, Wildcard):
            found[v] = None
        elif v.owner is not None:
            stack.extend(v.owner.inputs)
    return list(found)  # type: ignore[arg-type]


class _Form:
    """A pattern prepared for matching; patterns are as small as a line, so it may recurse."""

    __slots__ = ("children", "free", "made_by", "name", "needs_constant", "op", "orders", "value")

    def __init__(self, pattern: Variable) -> None:
        self.free = isinstance(pattern, Wildcard)
        self.name = pattern.name or ""
        self.needs_constant = isinstance(pattern, Wildcard) and pattern.constant
        self.value = None if self.free else constant_value(pattern)
        self.op: Op | None = None
        self.children: tuple[_Form, ...] = ()
        if self.free or self.value is not None:
            return
        if pattern.owner is None:
            raise ValueError(f"a pattern is made of ops, wildcards and constants, got {pattern!r}")
        self.op = pattern.owner.op
        self.children = tuple(_Form(v) for v in pattern.owner.inputs)
        self.orders = 2 if self.op.record.commutative and len(self.children) == 2 else 1
        self.made_by = [child.op.record for child in self.children if child.op is not None]

    def fits(self, v: Variable, bound: Bindings) -> Iterator[Bindings]:
        """All ways to read ``v`` as this pattern that agree with ``bound``."""
        if self.free:
            seen = bound.get(self.name)
            if seen is v:
                yield bound
            elif seen is None and not (self.needs_constant and constant_value(v) is None):
                yield {**bound, self.name: v}
        elif self.value is not None:
            found = constant_value(v)
            if found is not None and found == self.value:
                yield bound
        elif v.owner is not None:
            yield from self.matches(v.owner, bound)

    def matches(self, node: Apply, bound: Bindings) -> Iterator[Bindings]:
        """All ways to read an application as this pattern that agree with ``bound``."""
        assert self.op is not None
        if (
            node.op.record is not self.op.record
            or len(node.inputs) != len(self.children)
            or node.op.attrs != self.op.attrs
        ):
            return
        for record in self.made_by:  # most applications are seen here not to match, before any reading is tried
            for v in node.inputs:
                if v.owner is not None and v.owner.op.record is record:
                    break
            else:
                return
        if len(self.children) == 1:
            yield from self.children[0].fits(node.inputs[0], bound)
            return
        yield from self._all_fit(node.inputs, 0, bound)
        if self.orders == 2:
            yield from self._all_fit(node.inputs[::-1], 0, bound)

    def _all_fit(self, inputs: Sequence[Variable], k: int, bound: Bindings) -> Iterator[Bindings]:
        if k == len(inputs):
            yield bound
            return
        for found in self.children[k].fits(inputs[k], bound):
            yield from self._all_fit(inputs, k + 1, found)


def instantiate(pattern: Variable, bound: Bindings, like: Variable) -> Variable:
    """A pattern with its wildcards filled in; its constants take the dtype and shape of the operands they meet."""
    if isinstance(pattern, Wildcard):
        assert pattern.name is not None
        return bound[pattern.name]
    value = constant_value(pattern)
    if value is not None:
        return filled(value, like.dtype, like.type.shape)
    assert pattern.owner is not None
    op, inputs = pattern.owner.op, pattern.owner.inputs
    made = [None if constant_value(p) is not None else instantiate(p, bound, like) for p in inputs]
    peers = [v for v in made if v is not None]
    if isinstance(op.record.lower, Pointwise) and peers:
        # a condition is a bool beside numbers: constants follow the last operand, which never is one
        like = peers[-1]
    return op(*[instantiate(p, bound, like) if v is None else v for p, v in zip(inputs, made)])


class RuleList:
    """Rules for one purpose; lists add up with ``+``. Of several that fit, the first in the list is taken."""

    def __init__(self, name: str, rules: Sequence[AnyRule]) -> None:
        self.name = name
        self.rules = list(rules)
        self._by_op: dict[str, list[AnyRule]] = {}

    def __add__(self, other: RuleList) -> RuleList:
        return RuleList(f"{self.name}+{other.name}", self.rules + other.rules)

    def __iter__(self) -> Iterator[AnyRule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def at(self, op: Op) -> list[AnyRule]:
        """The rules to try at applications of ``op``, in the order of the list."""
        found = self._by_op.get(op.record.name)
        if found is None:
            found = self._by_op[op.record.name] = [rule for rule in self.rules if _concerns(rule, op.record.name)]
        return found


def _concerns(rule: AnyRule, name: str) -> bool:
    return rule.op.record.name == name if isinstance(rule, Rule) else name in rule.ops or "*" in rule.ops


def rewrite(outputs: Sequence[Variable], rules: RuleList) -> list[Variable]:
    """``outputs`` rebuilt bottom-up with every rule applied until none has more to say.

    Types never change: a replacement of another dtype or number of axes is an error in the rule. No equality between
    dims is lost: the user's own were collected before, and those that a rule makes hold by construction.
    """

    def simplify(node: Apply) -> Variable | None:
        for rule in rules.at(node.op):
            found = rule(node)
            if found is not None and found is not node.outputs[0]:
                return found
        return None

    with collecting():
        return ValueNumbering(simplify).adopt(outputs)
