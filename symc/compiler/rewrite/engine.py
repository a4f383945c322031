"""Rules as data, and the engine that applies them.

A ``Rule`` is a named pair of ordinary graphs over wildcards, with an optional condition::

    X = Wildcard("X")
    Rule("log1p", log(1 + X), log1p(X))

See ``symc.compiler.rewrite.patterns`` for the semantics of patterns. A ``NodeRule`` is a function from an application
to its replacement, or None, for rules that a pair of graphs cannot express.

The engine rebuilds a graph from its inputs to its outputs through the value-numbering table, and tries the rules at
every new application, whose operands are already in their final form; replacements go through the same table. Rules are
indexed by the op at the root and the ops of its operands, so that only rules that may match are tried.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import Any

from symc.compiler.rewrite.failures import Failures
from symc.compiler.rewrite.patterns import (
    Bindings,
    Pattern,
    Wildcard,
    constant_value,
    filled,
    filled_like,
    instantiate,
    is_constant,
    wildcards,
)
from symc.compiler.value_numbering import ValueNumbering
from symc.errors import building_at
from symc.graph import Apply, Graph, Variable
from symc.graph.guards import collecting
from symc.graph.op import Op, Record

__all__ = [
    "EVERY_OP",
    "AnyRule",
    "Bindings",
    "NodeRule",
    "Rule",
    "RuleList",
    "Wildcard",
    "constant_value",
    "filled",
    "filled_like",
    "instantiate",
    "is_constant",
    "recorded",
    "rewrite",
    "wildcards",
]

Memo = dict[Any, Any]
"""Facts about variables that rules memoise during one run."""


class Rule:
    """A rule that replaces ``pattern`` by ``replacement`` where it matches and ``condition(bindings)`` holds.

    Attributes
    ----------
    name : str
    pattern, replacement : Variable
        Graphs over ``Wildcard`` variables. The replacement may use only wildcards that the pattern binds.
    condition : callable, optional
        ``condition({wildcard name: variable})``.
    algebraic : bool
        Whether the two sides are equal as formulas over the reals, so that sympy can prove it.
    domain : pair
        The interval from which the generated test draws values for the wildcards.
    dtypes : sequence of str
        The dtypes of the wildcards in the generated test.
    sample : callable, optional
        ``sample({wildcard name: variable})`` replaces wildcards by other expressions if the condition rejects plain
        inputs or constants; used only by the generated test.
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
        self.form = Pattern(pattern)
        unbound = {v.name for v in wildcards(replacement)} - {v.name for v in wildcards(pattern)}
        if unbound:
            raise ValueError(
                f"rule {name}: the replacement uses {sorted(map(str, unbound))}, which the pattern does not bind"
            )

    def __call__(self, node: Apply, memo: Memo | None = None) -> Variable | None:
        for bound in self.form.matches(node):
            if self.condition is None or self.condition(bound):
                return instantiate(self.replacement, bound, node.outputs[0])
        return None

    def matches(self, node: Apply) -> bool:
        """Whether the rule applies to this application."""
        return any(self.condition is None or self.condition(bound) for bound in self.form.matches(node))

    def beside(self, children: Sequence[Record | None]) -> Rule | None:
        """The rule with the variants of its pattern that may match operands of these records; None if none does."""
        form = self.form.beside(children)
        if form is None or form is self.form:
            return None if form is None else self
        narrowed = copy(self)
        narrowed.form = form
        return narrowed

    def __repr__(self) -> str:
        return f"<rule {self.name}: {self.pattern!r} -> {self.replacement!r}>"


class _EveryOp:
    def __contains__(self, record: object) -> bool:
        return True


EVERY_OP: Container[Record] = _EveryOp()
"""For rules that are tried at every application."""


class NodeRule:
    """A rule written as a function, tried at applications of the records ``ops``.

    With ``remembers`` the function takes a second argument, a dict that persists during the run, to memoise facts about
    variables that need a traversal of the graph. ``operands(records)`` returns whether the rule may apply to operands
    made by ops of these records (None for an input or a constant); its answers are kept for all runs. ``below`` are
    records that make the search for forms before differentiation begin, if the function looks for them in operands.
    """

    def __init__(
        self,
        name: str,
        ops: Container[Record],
        function: Callable[..., Variable | None],
        remembers: bool = False,
        operands: Callable[[Sequence[Record | None]], bool] | None = None,
        below: Sequence[Record] = (),
    ):
        self.name = name
        self.ops = ops
        self.function = function
        self.remembers = remembers
        self.operands = operands
        self.below = below

    def __call__(self, node: Apply, memo: Memo | None = None) -> Variable | None:
        return self.function(node, {} if memo is None else memo) if self.remembers else self.function(node)

    def beside(self, children: Sequence[Record | None]) -> NodeRule | None:
        """The rule, if it may apply to operands made by ops of these records."""
        return self if self.operands is None or self.operands(children) else None

    def __repr__(self) -> str:
        return f"<rule {self.name}>"


AnyRule = Rule | NodeRule


class RuleList:
    """Rules for one purpose; lists are concatenated with ``+``. Of several matching rules, the first is applied."""

    def __init__(self, name: str, rules: Sequence[AnyRule]) -> None:
        self.name = name
        self.rules = list(rules)
        self._by_op: dict[Record, tuple[list[AnyRule], bool]] = {}
        self._by_operands: dict[Any, list[AnyRule]] = {}
        self._sums: dict[int, RuleList] = {}
        self._rests: dict[RuleList, RuleList] = {}

    def __add__(self, other: RuleList) -> RuleList:
        # cached, so that the index of a sum is built once per process and not once per compilation
        found = self._sums.get(id(other))
        if found is None:
            found = self._sums[id(other)] = RuleList(f"{self.name}+{other.name}", self.rules + other.rules)
            found._parts = (self, other)  # type: ignore[attr-defined]  # keeps ``other``, whose id is the key
        return found

    def without(self, other: RuleList) -> RuleList:
        """The rules that are not in ``other``."""
        found = self._rests.get(other)
        if found is None:
            done = set(other.rules)
            found = self._rests[other] = RuleList(f"{self.name}-{other.name}", [r for r in self.rules if r not in done])
        return found

    def __iter__(self) -> Iterator[AnyRule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def at(self, op: Op) -> list[AnyRule]:
        """The rules to try at applications of ``op``, in the order of the list."""
        return self._rooted(op)[0]

    def _rooted(self, op: Op) -> tuple[list[AnyRule], bool]:
        found = self._by_op.get(op.record)
        if found is None:
            rules = [rule for rule in self.rules if _concerns(rule, op.record)]
            look = any(isinstance(r, Rule) or r.operands is not None for r in rules)
            found = self._by_op[op.record] = (rules, look)
        return found

    def candidates(self, node: Apply) -> list[AnyRule]:
        """The rules of ``at(node.op)`` that may match the ops of the operands."""
        rules, look = self._rooted(node.op)
        if not look:
            return rules
        children = tuple([None if v.owner is None else v.owner.op.record for v in node.inputs])
        key = (node.op.record, children)
        found = self._by_operands.get(key)
        if found is None:
            found = [narrowed for r in rules if (narrowed := r.beside(children)) is not None]
            self._by_operands[key] = found
        return found


def _concerns(rule: AnyRule, record: Record) -> bool:
    return rule.op.record is record if isinstance(rule, Rule) else record in rule.ops


_applied: ContextVar[list[tuple[str, Variable, Variable]] | None] = ContextVar("applied", default=None)


@contextmanager
def recorded() -> Iterator[list[tuple[str, Variable, Variable]]]:
    """List every replacement inside the block: the name of the rule, what was replaced, by what."""
    found: list[tuple[str, Variable, Variable]] = []
    token = _applied.set(found)
    try:
        yield found
    finally:
        _applied.reset(token)


_FEW, _MANY = 10_000, 100
"""How often rules may be applied, in all and besides once per application of the graph: far more than rules need."""


def simplifier(rules: RuleList, specialised: bool, order: Sequence[Apply]) -> Callable[[Apply], Variable | None]:
    """Create the function that the value-numbering table calls at every new application of a graph.

    ``order`` are the applications of the graph.

    With ``specialised``, ops lose the operands of which they read only the shape; rules may build such ops.
    """
    memo: Memo = {}
    left = _FEW + _MANY * len(order)
    latest: deque[str] = deque(maxlen=6)
    failures = Failures({node.op.record for node in order})

    def simplify(node: Apply) -> Variable | None:
        nonlocal left
        record = node.op.record
        if specialised and record.specialise is not None:
            made = record.specialise(node.op, node.inputs, [v.type for v in node.outputs])
            first = made if isinstance(made, Variable) else made[0]
            if not _applies_the_same(first, node):
                return first
        # rules depend only on a node and its graph, which never change: rules that did not apply to this node in an
        # earlier pass do not apply now
        todo = rules if node.unchanged_by is None else rules.without(node.unchanged_by)
        for rule in todo.candidates(node):
            with building_at(node.outputs[0].location):  # what a rule builds keeps the user's line
                found = rule(node, memo)
            if found is not None and found is not node.outputs[0] and not failures.lost(node, found):
                left -= 1
                latest.append(rule.name)
                applied = _applied.get()
                if applied is not None:
                    applied.append((rule.name, node.outputs[0], found))
                if left < 0:
                    raise RuntimeError(f"rewriting does not end: the rules {', '.join(latest)} go on without end")
                return found
        node.unchanged_by = rules
        return None

    return simplify


def _applies_the_same(v: Variable, node: Apply) -> bool:
    """Whether ``v`` is made as the first output of ``node``, so that nothing is left to specialise."""
    other = v.owner
    return other is not None and other.op == node.op and [*map(id, other.inputs)] == [*map(id, node.inputs)]


def rewrite(outputs: Sequence[Variable], rules: RuleList) -> Graph:
    """Rebuild ``outputs`` of the compiler's graph, applying the rules until none applies.

    Types never change: a replacement with another dtype or number of axes is an error in the rule. A replacement that
    drops an operand which may fail, such as a checked index, is passed over. No equality between dims is lost: the
    user's were collected before, and those introduced by a rule hold by construction.
    """
    graph = Graph.of(outputs)
    simplify = simplifier(rules, True, graph.order)
    with collecting():
        if graph.merged and all(len(node.outputs) > 1 or simplify(node) is None for node in graph.order):
            return graph  # no rule applies: the table is not needed
        made = graph.with_outputs(ValueNumbering(simplify).rebuild(graph, graph.order))
    made.merged = True
    return made
