"""Replacement of ops in graphs, and application of passes to the graphs inside of ops like to the outer one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from symc.graph import Apply, Graph, Variable, clone_with, toposort
from symc.graph.body import Body
from symc.graph.op import Op

__all__ = [
    "applications_inside", "drop_unused_outputs", "opened", "symbols_in", "uses_of", "with_bodies", "with_ops",
    "within",
]  # fmt: skip


def applications_inside(op: Op) -> Iterator[Apply]:
    """Iterate over the applications in the bodies of ``op``, and in the bodies of ops in these."""
    pending = [op]
    while pending:
        outer = pending.pop()
        for name in outer.record.bodies:
            for node in toposort(outer[name].graph):
                yield node
                if node.op.record.bodies:
                    pending.append(node.op)


def with_bodies(op: Op, change: Callable[[str, Body], Body]) -> Op:
    """Replace each body of ``op`` by ``change(attribute, body)``."""
    changed = {name: change(name, op[name]) for name in op.record.bodies}
    return Op(op.record, **{**op.attrs, **changed}) if changed else op


def uses_of(order: Iterable[Apply]) -> dict[Variable, list[Apply]]:
    """The applications that read a variable, each once."""
    uses: dict[Variable, list[Apply]] = {}
    for node in order:
        for v in dict.fromkeys(node.inputs):
            uses.setdefault(v, []).append(node)
    return uses


def with_ops(graph: Graph, replacement: Callable[[Apply], tuple[Op, Sequence[Variable]]]) -> list[Variable]:
    """The outputs of a graph with other applications: ``replacement`` gives an op and its inputs in place of each."""
    known: dict[Variable, Variable] = {}
    for node in graph.order:
        op, read = replacement(node)
        inputs = [known.get(v, v) for v in read]
        if op is node.op and len(inputs) == len(node.inputs) and all(a is b for a, b in zip(inputs, node.inputs)):
            continue
        for old, new in zip(node.outputs, op.apply(inputs, node.outputs[0].location).outputs):
            new.name = old.name
            known[old] = new
    return [known.get(v, v) for v in graph]


def within(
    outputs: Sequence[Variable], transform: Callable[..., Sequence[Variable]], symbols: Sequence[Any] | None = None
) -> Graph:
    """Apply ``transform`` to the bodies in the graph of ``outputs``, innermost first, then to the graph itself.

    With ``symbols``, whose values the last outputs are, ``transform(graph, symbols)`` gets those of the body.
    """
    own = () if symbols is None else (symbols,)
    graph = Graph.of(outputs)
    if not any(record.bodies for record in graph.records):
        return graph.with_outputs(transform(graph, *own))
    done: dict[Body, Body] = {}

    def changed(name: str, body: Body) -> Body:
        if body not in done:
            inside = within(body.graph, transform, None if symbols is None else body.symbols)
            done[body] = body.with_graph(inside)
        return done[body]

    graph = graph.with_outputs(with_ops(graph, lambda node: (with_bodies(node.op, changed), node.inputs)))
    return graph.with_outputs(transform(graph, *own))


def opened(graph: Sequence[Variable], stop: frozenset[Variable] = frozenset()) -> list[Variable]:
    """The graph with the bodies of ops that only name one in their place, inside the bodies of other ops too.

    Every application gets variables of its own, so that the whole numbers inside, whose values may be dims, are told
    apart. Variables in ``stop`` are left as they are.
    """
    order = toposort(graph, stop)
    if not any(node.op.record.bodies for node in order):
        return list(graph)
    known: dict[Variable, Variable] = {}
    for node in order:
        inputs = [known.get(v, v) for v in node.inputs]
        if node.op.record.inline:
            body: Body = node.op[node.op.record.inline]
            made: Sequence[Variable] = clone_with(opened(body.outputs), dict(zip(body.inputs, inputs)))
        else:
            op = with_bodies(node.op, lambda name, body: body.with_graph(opened(body.graph)))
            if op == node.op and all(a is b for a, b in zip(inputs, node.inputs)):
                continue
            made = op.apply(inputs, node.outputs[0].location).outputs
        for old, new in zip(node.outputs, made):
            if new.owner is not None and new.name is None:
                new.name = old.name
            known[old] = new
    return [known.get(v, v) for v in graph]


def drop_unused_outputs(graph: Graph) -> Sequence[Variable]:
    """Remove unused outputs of ops with several outputs."""
    if not any(record.drop_unused is not None for record in graph.records):
        return graph
    order = graph.order
    used = set(graph)
    smaller: dict[Apply, tuple[Op, list[int]]] = {}
    for node in reversed(order):
        if not any(v in used for v in node.outputs):
            continue
        drop = node.op.record.drop_unused
        if drop is not None and not all(v in used for v in node.outputs):
            smaller[node] = drop(node.op, [v in used for v in node.outputs])
        used.update(node.inputs)
    known: dict[Variable, Variable] = {}
    for node in order:
        op, kept = smaller.get(node, (node.op, list(range(len(node.outputs)))))
        inputs = [known.get(v, v) for v in node.inputs]
        if op is node.op and all(a is b for a, b in zip(inputs, node.inputs)):
            continue
        made = op.apply(inputs, node.outputs[0].location).outputs
        for k, new in zip(kept, made):
            new.name = node.outputs[k].name
            known[node.outputs[k]] = new
    return [known.get(v, v) for v in graph]


def symbols_in(values: Iterable[Any]) -> set[Any]:
    """The symbols in dims among attributes, including bodies."""
    found: set[Any] = set()
    stack = list(values)
    while stack:
        value = stack.pop()
        if isinstance(value, (tuple, list)):
            stack.extend(value)
        elif isinstance(value, Body):
            for v in value.inputs:
                stack.extend(v.type.shape)
            for e in value.equalities:
                stack.extend((e.left, e.right))
            for node in toposort(value.graph):
                stack.extend(node.op.attrs.values())
                stack.extend(d for v in node.outputs for d in v.type.shape)
        elif hasattr(value, "free_symbols"):
            found.update(value.free_symbols)
    return found
