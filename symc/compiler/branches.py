"""Lazy branches: computations that only one branch of an ``ifelse`` needs are moved into that branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from symc.compiler.bodies import symbols_in, with_bodies
from symc.compiler.rewrite.failures import Failures
from symc.graph import Apply, Constant, Variable, dims, toposort
from symc.graph.body import Body, Equality
from symc.graph.op import Op
from symc.tensor.ifelse import BRANCH

__all__ = ["Level", "sink_branches"]


@dataclass(eq=False)
class _Place:
    """The scope in which applications run: the top level, or one branch of an ``ifelse``.

    Attributes
    ----------
    branch : tuple, optional
        The ``ifelse``, and whether this is the branch taken where its condition holds; None for the top level.
    copies : set of Apply
        Those of its applications that run in other scopes, too.
    """

    parent: _Place | None = None
    depth: int = 0
    branch: tuple[Apply, bool] | None = None
    nodes: list[Apply] = field(default_factory=list)
    copies: set[Apply] = field(default_factory=set)
    symbols: list[Any] = field(default_factory=list)
    equalities: list[Equality] = field(default_factory=list)
    sides: dict[tuple[Apply, bool], _Place] = field(default_factory=dict)

    def side(self, node: Apply, then: bool) -> _Place:
        """The scope of one branch of ``node``, which runs in this scope."""
        found = self.sides.get((node, then))
        if found is None:
            found = self.sides[node, then] = _Place(self, self.depth + 1, (node, then))
        return found

    def opposite(self) -> _Place | None:
        """The other branch of the same ``ifelse``."""
        if self.branch is None or self.parent is None:
            return None
        node, then = self.branch
        return self.parent.sides.get((node, not then))


def _common(a: _Place, b: _Place) -> _Place:
    """The innermost scope that contains both."""
    while a is not b:
        if a.depth >= b.depth:
            assert a.parent is not None
            a = a.parent
        else:
            assert b.parent is not None
            b = b.parent
    return a


def _outermost(places: Sequence[_Place]) -> list[_Place]:
    """The different scopes of some that are in no other one of them; for both branches of an ``ifelse``, its scope."""
    found = list(dict.fromkeys(places))
    for p in found:  # grows
        if p.opposite() in found and p.parent not in found:
            assert p.parent is not None
            found.append(p.parent)
    return [p for p in found if not any(p is not other and _common(p, other) is other for other in found)]


@dataclass
class Level:
    """A graph with the symbols of its dims, the integers whose values they are, and their equalities."""

    outputs: list[Variable]
    symbols: tuple[Any, ...] = ()
    values: list[Variable] = field(default_factory=list)
    equalities: list[Equality] = field(default_factory=list)


def sink_branches(level: Level) -> Level:
    """Replace every ``ifelse``, also in bodies, by a ``branch`` that contains what only its branches need.

    What several branches need is computed before them, unless it may fail: then it is computed in each of them.
    """
    order = toposort([*level.outputs, *level.values])
    if any(node.op.record.bodies for node in order):
        level = _bodies_first(level, order)
        order = toposort([*level.outputs, *level.values])
    if not any(node.op.record.lazy for node in order):
        return level
    binding = dict(zip(level.symbols, level.values))
    order = _ordered(level, binding)
    top = _Place()
    wanted: dict[Variable, list[_Place]] = {v: [top] for v in level.outputs}
    shown = {s for v in level.outputs for d in v.type.shape for s in dims.symbols_of(d)} & binding.keys()
    wanted.update((binding[s], [top]) for s in shown)
    wanted.update((v, [top]) for v in _required_only(level, binding, order, shown))
    places_of: dict[Apply, list[_Place]] = {}
    failures, measures = Failures(), set(binding.values())
    for node in reversed(order):
        places = _outermost([p for v in node.outputs for p in wanted.get(v, ())]) or [top]
        if len(places) > 1 and (not measures.isdisjoint(node.outputs) or not any(map(failures.behind, node.outputs))):
            places = [reduce(_common, places)]
        places_of[node] = places
        count = len(node.outputs)
        for here in places:
            for k, v in enumerate(node.inputs):
                use = here.side(node, k <= count) if node.op.record.lazy and k else here
                wanted.setdefault(v, []).append(use)
            for s in _symbols_of(node, binding):
                wanted.setdefault(binding[s], []).append(here)
    for node in order:
        for place in places_of[node]:
            place.nodes.append(node)
            if len(places_of[node]) > 1:
                place.copies.add(node)
    where = {s: reduce(_common, wanted.get(v, [top])) for s, v in binding.items()}
    for s, place in where.items():
        place.symbols.append(s)
    for e in level.equalities:
        used = (dims.symbols_of(e.left) | dims.symbols_of(e.right)) & where.keys()
        max((where[s] for s in used), key=lambda p: p.depth, default=top).equalities.append(e)
    known: dict[Variable, Variable] = {}
    _rebuild(top, known, binding)
    return Level(
        [known.get(v, v) for v in level.outputs],
        tuple(top.symbols),
        [known[v] if v in known else v for v in (binding[s] for s in top.symbols)],
        top.equalities,
    )


def _required_only(
    level: Level, binding: dict[Any, Variable], order: Sequence[Apply], shown: set[Any]
) -> list[Variable]:
    """The numbers that equalities require to be some length, and of which no dim is left to say in which branch.

    They are checked before all branches, unless finding them may fail.
    """
    sized = shown.union(*(_symbols_of(node, binding) for node in order))
    required = {s for e in level.equalities for s in dims.symbols_of(e.left) | dims.symbols_of(e.right)}
    failures = Failures()
    return [binding[s] for s in binding if s in required - sized and not failures.behind(binding[s])]


def _bodies_first(level: Level, order: Sequence[Apply]) -> Level:
    """Process the bodies of a level first."""
    known: dict[Variable, Variable] = {}

    def changed(name: str, body: Body) -> Body:
        inner = sink_branches(Level(list(body.outputs), body.symbols, list(body.values), list(body.equalities)))
        return Body(body.inputs, inner.outputs, inner.symbols, inner.values, inner.equalities)

    for node in order:
        _apply_again(node, known, with_bodies(node.op, changed))
    outputs, values = ([known.get(v, v) for v in group] for group in (level.outputs, level.values))
    return Level(outputs, level.symbols, values, level.equalities)


def _apply_again(node: Apply, known: dict[Variable, Variable], op: Op, anew: bool = False) -> None:
    """Rebuild ``node`` if its op or inputs have changed, or always, and record its outputs in ``known``."""
    inputs = [known.get(v, v) for v in node.inputs]
    if anew or op is not node.op or any(a is not b for a, b in zip(inputs, node.inputs)):
        _note(node, op.apply(inputs, node.outputs[0].location).outputs, known)


def _note(node: Apply, made: Sequence[Variable], known: dict[Variable, Variable]) -> None:
    for old, new in zip(node.outputs, made):
        new.name = old.name
        known[old] = new


def _symbols_of(node: Apply, binding: dict[Any, Variable]) -> set[Any]:
    """The symbols whose values must be known before ``node`` runs."""
    if not binding:
        return set()
    found = {s for v in node.outputs for d in v.type.shape for s in dims.symbols_of(d)}
    return (found | symbols_in(node.op.attrs.values())) & binding.keys()


def _ordered(level: Level, binding: dict[Any, Variable]) -> list[Apply]:
    """Sort applications topologically; the computation of a symbol's value precedes uses of the symbol."""
    found: list[Apply] = []
    state: dict[Apply, int] = {}
    stack: list[Apply] = [v.owner for v in (*level.outputs, *level.values) if v.owner is not None]
    while stack:
        node = stack[-1]
        if state.get(node, 0):
            stack.pop()
            if state[node] == 1:
                state[node] = 2
                found.append(node)
            continue
        state[node] = 1
        needs = [*node.inputs, *(binding[s] for s in dims.ordered(_symbols_of(node, binding)))]
        stack.extend(v.owner for v in needs if v.owner is not None and not state.get(v.owner, 0))
    return found


def _rebuild(place: _Place, known: dict[Variable, Variable], binding: dict[Any, Variable]) -> None:
    """Rebuild the applications of a scope; ``known`` maps the variables so far to their replacements."""
    for node in place.nodes:
        if not node.op.record.lazy:
            _apply_again(node, known, node.op, anew=node in place.copies)
            continue
        count = len(node.outputs)
        sides = []
        reads: list[Variable] = [known.get(node.inputs[0], node.inputs[0])]
        for then, results in ((True, node.inputs[1 : 1 + count]), (False, node.inputs[1 + count :])):
            body, outer = _body(place.sides.get((node, then)), results, binding)
            sides.append(body)
            reads += [known.get(v, v) for v in outer]
        shapes = tuple(tuple(v.type.shape) for v in node.outputs)
        requires = node.op.attrs.get("requires", ())
        op = Op(BRANCH, then=sides[0], otherwise=sides[1], shapes=shapes, requires=requires)
        made = op.apply(reads, node.outputs[0].location).outputs
        _note(node, made, known)


def _body(
    place: _Place | None, results: Sequence[Variable], binding: dict[Any, Variable]
) -> tuple[Body, list[Variable]]:
    """Convert one branch to a body; also returns the outside variables that it reads."""
    inside = place if place is not None else _Place()
    nodes = [node for p in _places(inside) for node in p.nodes]
    own = {v for node in nodes for v in node.outputs}
    values = [binding[s] for p in _places(inside) for s in p.symbols]
    outer: dict[Variable, Variable] = {}
    for v in (*(v for node in nodes for v in node.inputs), *results, *values):
        if v not in own and v not in outer and not isinstance(v, Constant):
            outer[v] = Variable(v.type, None, 0, v.name, v.location)
    known = dict(outer)
    _rebuild(inside, known, binding)
    body = Body(
        list(outer.values()),
        [known.get(v, v) for v in results],
        inside.symbols,
        [known.get(binding[s], binding[s]) for s in inside.symbols],
        inside.equalities,
    )
    return body, list(outer)


def _places(place: _Place) -> list[_Place]:
    """A scope and all scopes inside it."""
    found = [place]
    for p in found:
        found.extend(p.sides.values())
    return found
