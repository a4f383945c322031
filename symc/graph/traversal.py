"""Iterative graph traversals: dependencies, topological order, and copies with replacements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from symc.graph.variables import Apply, Constant, SharedVariable, Variable

__all__ = ["ancestors", "clone_with", "graph_inputs", "is_input", "toposort"]


def is_input(variable: Variable) -> bool:
    """Whether the variable must be given: it is neither computed, nor constant, nor shared."""
    return variable.owner is None and not isinstance(variable, (Constant, SharedVariable))


def toposort(
    outputs: Iterable[Variable], stop: Mapping[Variable, Any] | frozenset[Variable] = frozenset()
) -> list[Apply]:
    """List every application that ``outputs`` depend on, producers before consumers. Stops at ``stop``."""
    order: list[Apply] = []
    done: set[int] = set()
    stack: list[tuple[Apply, int]] = []
    for output in outputs:
        if output.owner is None or output in stop or id(output.owner) in done:
            continue
        done.add(id(output.owner))
        stack.append((output.owner, 0))
        while stack:
            node, position = stack.pop()
            inputs = node.inputs
            while position < len(inputs):
                child = inputs[position]
                position += 1
                owner = child.owner
                if owner is not None and id(owner) not in done and child not in stop:
                    done.add(id(owner))
                    stack.append((node, position))
                    stack.append((owner, 0))
                    break
            else:
                order.append(node)
    return order


def ancestors(outputs: Iterable[Variable], stop: frozenset[Variable] = frozenset()) -> Iterator[Variable]:
    """Iterate over every variable that ``outputs`` depend on, themselves included, each once."""
    stack = list(outputs)[::-1]
    seen: set[int] = set()
    while stack:
        variable = stack.pop()
        if id(variable) in seen:
            continue
        seen.add(id(variable))
        yield variable
        if variable.owner is not None and variable not in stop:
            stack.extend(reversed(variable.owner.inputs))


def graph_inputs(outputs: Iterable[Variable]) -> list[Variable]:
    """List the inputs, shared variables and constants that ``outputs`` depend on, in order of first use."""
    return [v for v in ancestors(outputs) if v.owner is None]


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
    return [known.get(v, v) for v in outputs]
