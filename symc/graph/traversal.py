"""Iterative graph traversals: dependencies, topological order, and copies with replacements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import is_
from typing import Any

from symc.graph.shared_variables import SharedVariable
from symc.graph.variables import Apply, Constant, Variable

__all__ = ["Graph", "ancestors", "clone_with", "graph_inputs", "is_input", "keep_tags", "substituted", "toposort"]


def is_input(variable: Variable) -> bool:
    """Whether the variable must be given: it is neither computed, nor constant, nor shared."""
    return variable.owner is None and not isinstance(variable, (Constant, SharedVariable))


def toposort(
    outputs: Iterable[Variable], stop: Mapping[Variable, Any] | frozenset[Variable] = frozenset()
) -> list[Apply]:
    """List every application that ``outputs`` depend on, producers before consumers. Stops at ``stop``."""
    order: list[Apply] = []
    entered: set[Apply] = set()
    path: list[Apply] = []  # applications whose inputs are being looked at
    stack: list[Apply | None] = []  # None stands for the end of the innermost of these
    for output in outputs:
        if output.owner is None or output.owner in entered or output in stop:
            continue
        stack.append(output.owner)
        while stack:
            node = stack.pop()
            if node is None:
                order.append(path.pop())
                continue
            if node in entered:
                continue
            entered.add(node)
            path.append(node)
            stack.append(None)
            for v in reversed(node.inputs):
                owner = v.owner
                if owner is not None and owner not in entered and v not in stop:
                    stack.append(owner)
    return order


class Graph(tuple[Variable, ...]):
    """The outputs of a graph. What passes ask of the whole graph is found once, since graphs never change.

    Attributes
    ----------
    merged : bool
        Whether no two applications of the graph are known to be equal: it was rebuilt in one value-numbering table.
    """

    merged = False

    @cached_property
    def order(self) -> list[Apply]:
        """The applications that the outputs depend on, producers before consumers."""
        return toposort(self)

    @cached_property
    def records(self) -> frozenset[Any]:
        """The records of all applications, by which a pass decides whether it has anything to do."""
        return frozenset([node.op.record for node in self.order])

    @classmethod
    def of(cls, outputs: Iterable[Variable]) -> Graph:
        """The graph of ``outputs``, which may be one already."""
        return outputs if isinstance(outputs, cls) else cls(outputs)

    def with_outputs(self, outputs: Sequence[Variable]) -> Graph:
        """The graph of other outputs; this one if they are the same."""
        return self if len(outputs) == len(self) and all(map(is_, outputs, self)) else Graph.of(outputs)


def ancestors(outputs: Iterable[Variable], stop: frozenset[Variable] = frozenset()) -> Iterator[Variable]:
    """Iterate over every variable that ``outputs`` depend on, themselves included, each once."""
    stack = list(outputs)[::-1]
    seen: set[Variable] = set()
    while stack:
        variable = stack.pop()
        if variable in seen:
            continue
        seen.add(variable)
        yield variable
        if variable.owner is not None and variable not in stop:
            stack.extend(reversed(variable.owner.inputs))


def graph_inputs(outputs: Iterable[Variable]) -> list[Variable]:
    """List the inputs, shared variables and constants that ``outputs`` depend on, in order of first use."""
    return [v for v in ancestors(outputs) if v.owner is None]


def keep_tags(old: Variable, new: Variable) -> None:
    """Give a copy the notes in ``tag`` that a program made on the original, its test value excepted."""
    if "_tag" in old.__dict__ and new is not old:
        notes = {name: value for name, value in old.tag.__dict__.items() if name != "test_value"}
        new.tag.__dict__.update({**notes, **new.tag.__dict__})


def clone_with(
    outputs: Sequence[Variable],
    replace: Mapping[Variable, Variable],
    rebuild: Callable[[Apply, list[Variable]], Sequence[Variable]] | None = None,
) -> list[Variable]:
    """Copy expressions with some variables replaced; unaffected parts are shared, nothing is changed in place."""
    known: dict[Variable, Variable] = dict(replace)
    for node in toposort(outputs, frozenset(replace)):
        inputs = [known.get(v, v) for v in node.inputs]
        if all(new is old for new, old in zip(inputs, node.inputs)):
            continue
        fresh = rebuild(node, inputs) if rebuild else node.op.apply(inputs, node.outputs[0].location).outputs
        for old, new in zip(node.outputs, fresh):
            if old not in known:
                known[old] = new
                if new.name is None:
                    new.name = old.name
                keep_tags(old, new)
    return [known.get(v, v) for v in outputs]


def substituted(outputs: Sequence[Variable], known: Mapping[Variable, Variable]) -> list[Variable]:
    """Copy expressions with the variables in ``known`` replaced, in what replaces them, too.

    ``clone_with`` takes replacements as they are. Here each is an expression of the graph before any replacement, so
    that many can be found independently of each other and made at once.
    """

    def resolved(v: Variable) -> Variable:
        while v in known:
            v = known[v]
        return v

    made: dict[Variable, Variable] = {}
    entered: set[Apply] = set()
    stack: list[tuple[Apply, bool]] = []
    for output in map(resolved, outputs):
        stack.extend([] if output.owner is None else [(output.owner, False)])
        while stack:
            node, ready = stack.pop()
            sources = [resolved(v) for v in node.inputs]
            if not ready:
                if node not in entered:
                    entered.add(node)
                    stack.append((node, True))
                    stack.extend((v.owner, False) for v in reversed(sources) if v.owner is not None)
                continue
            inputs = [made.get(v, v) for v in sources]
            if all(map(is_, inputs, node.inputs)):
                continue
            for old, new in zip(node.outputs, node.op.apply(inputs, node.outputs[0].location).outputs):
                made[old] = new
                new.name = new.name or old.name
                keep_tags(old, new)
    return [made.get(v, v) for v in map(resolved, outputs)]
