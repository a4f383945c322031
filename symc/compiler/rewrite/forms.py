"""Stable forms of the user's expressions, found before differentiation.

The gradient of ``log(1 + exp(x))``, computed op by op, is a quotient of two infinities for large x, and a rule applied
afterwards does not help its second derivative. ``symc.grad`` therefore looks up the stable forms of applications in the
user's graph, and differentiates these. The graph itself is unchanged: forms are expressions of the user's own
variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from symc.compiler.rewrite.algebra import moved_inputs
from symc.compiler.rewrite.engine import Rule, simplifier
from symc.compiler.rewrite.magnitudes import carries_logarithms, has_logarithm
from symc.compiler.rewrite.rules import BEFORE_GRADIENT
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Constant, Variable, clone_with, toposort
from symc.graph.guards import collecting
from symc.graph.op import Record

__all__ = ["Form", "stable_forms"]


@dataclass(frozen=True)
class Form:
    """A stable expression for an application's output, and the applications between it and user variables."""

    value: Variable
    nodes: Sequence[Apply]


def _functions_in_patterns() -> frozenset[Record]:
    """The ops that patterns have below their roots, except common arithmetic."""
    found = set()
    for rule in BEFORE_GRADIENT:
        if isinstance(rule, Rule):
            inner = [n for n in toposort([rule.pattern]) if n is not rule.pattern.owner]
            found |= {n.op.record for n in inner if not carries_logarithms(n.op)}
        else:
            found.update(rule.below)
    return frozenset(found)


_FUNCTIONS = _functions_in_patterns()


def _starts(node: Apply) -> bool:
    """Whether a stable form may exist above this application."""
    return has_logarithm(node) or node.op.record in _FUNCTIONS


def stable_forms(order: Sequence[Apply], opaque: Iterable[Variable]) -> dict[Apply, Form]:
    """Find the stable forms of applications in ``order``, which is topologically sorted.

    Parameters
    ----------
    order : sequence of Apply
        The user's graph.
    opaque : iterable of Variable
        Variables that forms must not look behind, such as those to differentiate with respect to.

    Returns
    -------
    dict
        Maps applications to their ``Form``, which depends only on variables computed before them in ``order``.
    """
    if not any(_starts(node) for node in order):
        return {}
    with collecting():
        return _Search(opaque, order).run()


class _Search:
    def __init__(self, opaque: Iterable[Variable], order: Sequence[Apply]) -> None:
        self.order = order
        self.simplify = simplifier(BEFORE_GRADIENT, False, order)
        self.numbering = ValueNumbering(self.simplify)
        self.opaque = frozenset(opaque)
        self.same: dict[Any, Variable] = {}  # from (op, operands) to the first of the user's variables of that value
        self.first: dict[Variable, Variable] = {}  # to that variable, from the others
        self.rebuilt: dict[Variable, Variable] = {}
        self.users: dict[Variable, Variable] = {}  # back from rebuilt variables to the user's of the same value
        self.known: set[Variable] = set()  # the user's variables computed so far
        self.live: set[Variable] = set()  # those above which a form may be found

    def run(self) -> dict[Apply, Form]:
        found: dict[Apply, Form] = {}
        for node in self.order:
            self.known.update(node.inputs)
            if len(node.outputs) == 1:
                self._visit(node, found)
            self.known.update(node.outputs)
            for v in node.outputs:
                if v in self.opaque:
                    stand_in = Variable(v.type, None, 0, v.name, v.location)
                    self.first[v] = self.rebuilt[v] = stand_in
                    self.users[stand_in] = v
                    self.live.discard(v)
                elif v not in self.rebuilt and v not in self.first:
                    self.numbering.adopt_as_it_is(v)
        return found

    def _visit(self, node: Apply, found: dict[Apply, Form]) -> None:
        out = node.outputs[0]
        inputs = [self._operand(v) for v in node.inputs]
        key = (node.op, *(sorted(map(id, inputs)) if node.op.record.commutative else map(id, inputs)))
        twin = self.same.setdefault(key, out)
        if twin is not out:
            self.first[out] = twin
            if twin in self.rebuilt:
                self.rebuilt[out] = self.rebuilt[twin]
            if twin in self.live:
                self.live.add(out)
            if twin.owner in found:
                found[node] = found[twin.owner]
            return
        if self.live.isdisjoint(inputs) and not _starts(node):
            return
        value = self._rebuild(node, inputs)
        if value is not None:
            found[node] = self._form(value)
        if value is not None or _starts(node) or carries_logarithms(node.op) or moved_inputs(node):
            self.live.add(out)

    def _operand(self, v: Variable) -> Variable:
        return self.numbering.constant(v) if isinstance(v, Constant) else self.first.get(v, v)

    def _rebuild(self, node: Apply, inputs: Sequence[Variable]) -> Variable | None:
        """Rebuild the application of ``inputs`` with rebuilt operands; returns the replacement if a rule applies."""
        out = node.outputs[0]
        for v in node.inputs:
            if v in self.rebuilt or v in self.first:
                break
        else:  # the common case: the table is not needed if no rule applies
            if self.simplify(node) is None:
                return None
        inputs = [self.rebuilt.get(v, v) for v in inputs]
        (made,) = self.numbering.make(node.op, inputs, out.location, None, node)
        if made is not out:
            self.rebuilt[out] = made
        if made.owner is not None and made.owner.op == node.op and _same(made.owner.inputs, inputs):
            self.users.setdefault(made, out)
            return None
        return made

    def _form(self, value: Variable) -> Form:
        """Express ``value`` in terms of the user's variables."""
        if value in self.users or value in self.known:
            return Form(self.users.get(value, value), ())
        stop: dict[Variable, Variable] = {}
        stack, seen = [value], {value}
        while stack:
            v = stack.pop()
            if v in self.users or v in self.known or v.owner is None:
                stop[v] = self.users.get(v, v)
                continue
            for i in v.owner.inputs:
                if i not in seen:
                    seen.add(i)
                    stack.append(i)
        (made,) = clone_with([value], stop)  # what is below these stays: it is the user's
        return Form(made, toposort([made], frozenset(stop.values())))


def _same(a: Sequence[Variable], b: Sequence[Variable]) -> bool:
    return len(a) == len(b) and sorted(map(id, a)) == sorted(map(id, b))
