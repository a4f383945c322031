"""Gradients together with the conditions under which they count.

The gradient that flows into a branch of a ``switch`` is zero where that branch was not taken. Multiplied by the
derivatives inside the branch, which may be infinite or NaN there, it would become NaN: zeros must be selected, never
multiplied. A ``Flow`` therefore carries a gradient with the conditions under which it counts; where one of them fails,
the gradient is zero, and the elements of the graph ``Flow.g`` may be anything. ``selected`` inserts the zeros once,
where a gradient leaves the elementwise ops behind a choice. This works for derivatives of every order, since the
derivative of a selection is a selection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from symc.graph import Constant, Variable, dims
from symc.graph.gradient_flow import Choice
from symc.tensor import elementwise as ew
from symc.tensor.basic import constant
from symc.tensor.broadcasting import before_repetition, unrepeated
from symc.tensor.creation import zeros_like
from symc.tensor.ifelse import ifelse

__all__ = [
    "Condition", "Flow", "Literal", "apart", "both", "common_lazy", "either", "known_factor", "merged", "selected",
]  # fmt: skip


class Condition:
    """A bool tensor, built from other conditions when first needed.

    Attributes
    ----------
    parents : sequence of Condition
    build : callable
        Maps the parents' values to the value of this condition.
    choice : Choice
    uniform : bool
        Whether it is a scalar: one truth value for all elements. Such a condition is the same for all variables.
    lazy : bool
        Whether values that it does not select must not be computed.
    """

    __slots__ = ("_value", "build", "choice", "lazy", "parents", "uniform")

    def __init__(
        self,
        parents: Sequence[Condition],
        build: Callable[..., Variable],
        choice: Choice,
        uniform: bool = False,
        lazy: bool = False,
    ) -> None:
        self.parents = tuple(parents)
        self.build = build
        self.choice = choice
        self.uniform = uniform
        self.lazy = lazy
        self._value: Variable | None = None

    @property
    def value(self) -> Variable:
        """The tensor. Computed with an explicit stack, since conditions may be nested to any depth."""
        stack = [self]
        while stack:
            top = stack[-1]
            pending = [p for p in top.parents if p._value is None] if top._value is None else []
            if pending:
                stack.extend(pending)
                continue
            stack.pop()
            if top._value is None:
                top._value = unrepeated(top.build(*[p._value for p in top.parents]))
        assert self._value is not None
        return self._value


class Literal(NamedTuple):
    """A condition, or with ``holds=False`` its negation."""

    condition: Condition
    holds: bool = True

    @property
    def opposite(self) -> Literal:
        """The literal that holds where this one fails."""
        return Literal(self.condition, not self.holds)

    @property
    def value(self) -> Variable:
        """The literal as a bool tensor."""
        return self.condition.value if self.holds else ew.invert(self.condition.value)


class Flow:
    """A gradient with the conditions under which it counts.

    Attributes
    ----------
    g : Variable
    literals : dict from Literal to bool
        The gradient counts where all of them hold. The value is whether ``g`` may differ from zero where that literal
        fails.
    """

    __slots__ = ("_selected", "g", "literals")

    def __init__(self, g: Variable, literals: dict[Literal, bool] | None = None) -> None:
        self.g = g
        self.literals = literals or {}
        self._selected: Variable | None = None

    def __repr__(self) -> str:
        return f"<{self.g!r} under {len(self.literals)} conditions>"


def selected(flow: Flow, of: Variable | None = None) -> Variable:
    """The gradient, exactly zero where it does not count.

    It has the shape of the variable ``of``, whose gradient it is: the values of an ``ifelse`` need not agree in length
    as long as the condition does not select the one with the wrong length.
    """
    if of is not None and any(literal.condition.lazy for literal in flow.literals):
        return _lazily(flow, of)
    if flow._selected is None:
        g = flow.g
        for literal, open_ in flow.literals.items():
            if open_:
                g = _choice(literal, g, _no_gradient(literal, g))
        flow._selected = g
    return flow._selected


def _lazily(flow: Flow, of: Variable) -> Variable:
    """The gradient of ``of``. Other selections than lazy ones are made inside of these: their conditions are values of
    the branch, which need not exist where it is not taken."""
    g = flow.g
    outside = not dims.same_shape(g.type.shape, of.type.shape)
    for literal, open_ in flow.literals.items():
        if open_ and not literal.condition.lazy:
            g, outside = _choice(literal, g, _no_gradient(literal, g)), True
    for literal, open_ in flow.literals.items():
        if literal.condition.lazy and (open_ or outside):
            g = _choice(literal, g, zeros_like(of, g.dtype))
    return g


def _no_gradient(literal: Literal, g: Variable) -> Variable:
    return zeros_like(g) if literal.condition.lazy else constant(0, dtype=g.dtype)


def _choice(literal: Literal, g: Variable, otherwise: Variable) -> Variable:
    """Select ``g`` where the literal holds, and ``otherwise`` elsewhere."""
    first, second = (g, otherwise) if literal.holds else (otherwise, g)
    choose = ifelse if literal.condition.lazy else ew.switch
    return choose(literal.condition.value, first, second)


def both(literals: Iterable[Literal]) -> Condition | None:
    """The conjunction of literals; None if there are none."""
    each = list(literals)
    if not each:
        return None
    if len(each) == 1 and each[0].holds:
        return each[0].condition
    signs = [literal.holds for literal in each]

    def build(*values: Variable) -> Variable:
        return _folded(ew.and_, [v if sign else ew.invert(v) for v, sign in zip(values, signs)])

    conditions = [literal.condition for literal in each]
    return Condition(conditions, build, max(c.choice for c in conditions), all(c.uniform for c in conditions))


def either(conditions: Sequence[Condition]) -> Condition:
    """The disjunction of conditions."""
    if len(conditions) == 1:
        return conditions[0]
    choice, uniform = min(c.choice for c in conditions), all(c.uniform for c in conditions)
    return Condition(conditions, lambda *values: _folded(ew.or_, values), choice, uniform)


def _folded(combine: Callable[..., Variable], values: Sequence[Variable]) -> Variable:
    total = values[0]
    for v in values[1:]:
        total = combine(total, v)
    return total


# --- sums of gradients ------------------------------------------------------------------------------------------------

_FEW = {Choice.ORDER: 3, Choice.BOUND: 3, Choice.POSITION: 3, Choice.CONDITION: 16}
"""An element with more conditions than this is taken to count: evaluating all of them would cost too much."""


def merged(flows: Sequence[Flow], of: Variable | None = None) -> Flow:
    """Sum the gradients of one variable, ``of``.

    Gradients under opposite conditions, such as those from the two branches of a ``switch``, become one selection.
    """
    if len(flows) == 1:
        return flows[0]
    groups: dict[frozenset[Literal], Flow] = {}
    for flow in flows:
        _put(groups, flow)
    _join_branches(groups, list(groups))
    if len(groups) > 1:
        _join_branches(groups, _weakened(groups))
    left = list(groups.values())
    if len(left) == 1:
        return left[0]
    inner, outer = apart(left)
    total = _folded(ew.add, [selected(flow, of) for flow in inner])
    conditions = [c for c in (both(flow.literals) for flow in inner) if c is not None]
    if len(conditions) < len(left) or len(left) > _FEW[min(c.choice for c in conditions)]:
        return Flow(total, outer)
    return Flow(total, {**outer, Literal(either(conditions)): False})


def common_lazy(flows: Sequence[Flow]) -> list[Literal]:
    """The lazy conditions of all the flows. In a combination with others a condition would no longer be lazy."""
    return [k for k in flows[0].literals if k.condition.lazy and all(k in flow.literals for flow in flows[1:])]


def apart(flows: Sequence[Flow]) -> tuple[Sequence[Flow], dict[Literal, bool]]:
    """The flows without the lazy conditions of all of them, and these, which are selected last.

    What the others select by is computed in the branch: a lazy condition is open where another one is.
    """
    lazy = common_lazy(flows)
    if not lazy:
        return flows, {}
    inner = [Flow(flow.g, {k: open_ for k, open_ in flow.literals.items() if k not in lazy}) for flow in flows]
    masked = any(any(flow.literals.values()) for flow in inner)
    return inner, {k: masked or any(flow.literals[k] for flow in flows) for k in lazy}


def _join_branches(groups: dict[frozenset[Literal], Flow], changed: Sequence[frozenset[Literal]]) -> None:
    """Merge entries that differ in a single condition, beginning with the entries that changed."""
    waiting = deque(changed)
    while waiting:
        key = waiting.popleft()
        if key not in groups:
            continue
        for literal in groups[key].literals:
            partner = key - {literal} | {literal.opposite}
            if partner in groups:
                found = _chosen(groups.pop(key), groups.pop(partner), literal)
                waiting.append(_put(groups, found))
                break


def _weakened(groups: dict[frozenset[Literal], Flow]) -> list[frozenset[Literal]]:
    """Drop ORDER and POSITION conditions inside a branch of a choice whose other branch is present too."""
    branches = {k for key in groups for k in key if k.condition.choice is Choice.CONDITION}
    changed = []
    for key in list(groups):
        kept = [k for k in groups[key].literals if k.condition.choice is Choice.CONDITION]
        if len(kept) < len(key) and any(k.opposite in branches for k in kept):
            flow = groups.pop(key)
            inner = {k: open_ for k, open_ in flow.literals.items() if k not in kept}
            masked = any(inner.values())  # by values of the branch
            rest = {k: flow.literals[k] or k.condition.lazy and masked for k in kept}
            changed.append(_put(groups, Flow(selected(Flow(flow.g, inner)), rest)))
    return changed


def _put(groups: dict[frozenset[Literal], Flow], flow: Flow) -> frozenset[Literal]:
    key = frozenset(flow.literals)
    other = groups.get(key)
    groups[key] = flow if other is None else Flow(ew.add(other.g, flow.g), _united(other, flow))
    return key


def _united(a: Flow, b: Flow) -> dict[Literal, bool]:
    return {literal: open_ or b.literals.get(literal, False) for literal, open_ in a.literals.items()}


def _chosen(a: Flow, b: Flow, literal: Literal) -> Flow:
    """Combine ``a``, which counts where ``literal`` holds, and ``b``, which counts elsewhere, into one gradient."""
    rest = {k: open_ or b.literals.get(k, False) for k, open_ in a.literals.items() if k != literal}
    if not a.literals[literal] and not b.literals[literal.opposite]:
        return Flow(ew.add(a.g, b.g), rest)
    return Flow(_choice(literal, a.g, b.g), rest)


# --- preservation of zeros --------------------------------------------------------------------------------------------


def known_factor(v: Variable) -> bool:
    """Whether ``v`` is a (broadcast) constant by which zeros can be multiplied or divided and remain zeros."""
    v = before_repetition(v)
    return isinstance(v, Constant) and bool((np.isfinite(v.data) & (v.data != 0)).all())
