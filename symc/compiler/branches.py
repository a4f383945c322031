"""Laziness: what only one branch of an ``ifelse`` needs moves into that branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from symc.graph import Apply, Constant, Variable, toposort
from symc.graph.body import Body
from symc.graph.op import Op
from symc.tensor.ifelse import branch

__all__ = ["sink_branches"]


@dataclass(eq=False)
class _Place:
    """Where applications run: at top level, or in one side of an ``ifelse``."""

    parent: _Place | None = None
    depth: int = 0
    nodes: list[Apply] = field(default_factory=list)
    sides: dict[tuple[Apply, bool], _Place] = field(default_factory=dict)

    def side(self, node: Apply, then: bool) -> _Place:
        """The place inside one side of ``node``, which runs here."""
        found = self.sides.get((node, then))
        if found is None:
            found = self.sides[node, then] = _Place(self, self.depth + 1)
        return found


def _common(a: _Place, b: _Place) -> _Place:
    """The innermost place that holds both."""
    while a is not b:
        if a.depth >= b.depth:
            assert a.parent is not None
            a = a.parent
        else:
            assert b.parent is not None
            b = b.parent
    return a


def sink_branches(graph: Sequence[Variable]) -> list[Variable]:
    """The graph with every ``ifelse`` as a ``branch`` that holds what only its sides need."""
    order = toposort(graph)
    if not any(node.op.record.lazy for node in order):
        return list(graph)
    top = _Place()
    wanted: dict[Variable, _Place] = dict.fromkeys(graph, top)
    place_of: dict[Apply, _Place] = {}
    for node in reversed(order):
        places = [wanted[v] for v in node.outputs if v in wanted]
        here = places[0]
        for other in places[1:]:
            here = _common(here, other)
        place_of[node] = here
        count = len(node.outputs)
        for k, v in enumerate(node.inputs):
            use = here.side(node, k <= count) if node.op.record.lazy and k else here
            wanted[v] = _common(wanted[v], use) if v in wanted else use
    for node in order:
        place_of[node].nodes.append(node)
    known: dict[Variable, Variable] = {}
    _rebuild(top, known)
    return [known.get(v, v) for v in graph]


def _rebuild(place: _Place, known: dict[Variable, Variable]) -> None:
    """Build the applications of a place again; ``known`` says what stands for the variables met so far."""
    for node in place.nodes:
        location = node.outputs[0].location
        inputs = [known.get(v, v) for v in node.inputs]
        if not node.op.record.lazy:
            if any(a is not b for a, b in zip(inputs, node.inputs)):
                made = node.op.apply(inputs, location).outputs
                for old, new in zip(node.outputs, made):
                    new.name = old.name
                    known[old] = new
            continue
        count = len(node.outputs)
        sides = []
        reads: list[Variable] = [inputs[0]]
        for then, results in ((True, node.inputs[1 : 1 + count]), (False, node.inputs[1 + count :])):
            body, outer = _body(place.sides.get((node, then)), results)
            sides.append(body)
            reads += [known.get(v, v) for v in outer]
        made = Op(branch, then=sides[0], otherwise=sides[1]).apply(reads, location).outputs
        for old, new in zip(node.outputs, made):
            new.name = old.name
            known[old] = new


def _body(place: _Place | None, results: Sequence[Variable]) -> tuple[Body, list[Variable]]:
    """One side as a body, and the variables from outside that it reads."""
    inside = place if place is not None else _Place()
    own = {v for p in _places(inside) for node in p.nodes for v in node.outputs}
    outer: dict[Variable, Variable] = {}

    def inner(v: Variable) -> None:
        if v not in own and v not in outer and not isinstance(v, Constant):
            outer[v] = Variable(v.type, None, 0, v.name, v.location)

    for p in _places(inside):
        for node in p.nodes:
            for v in node.inputs:
                inner(v)
    for v in results:
        inner(v)
    known = dict(outer)
    _rebuild(inside, known)
    return Body(list(outer.values()), [known.get(v, v) for v in results]), list(outer)


def _places(place: _Place) -> list[_Place]:
    """A place and all those inside it."""
    found = [place]
    for p in found:
        found.extend(p.sides.values())
    return found
