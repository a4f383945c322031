"""Graphs as lists without references between applications, whose depth is limited only by memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symc.graph.traversal import ancestors, toposort
from symc.graph.variables import Apply, Variable

__all__ = ["assembled", "flattened"]


def flattened(outputs: Sequence[Variable]) -> tuple[list[Variable], list[tuple[Apply, list[int]]], list[int]]:
    """The leaves of a graph, its applications, and the positions of the outputs.

    With each application are the positions of its inputs among all values before it: the leaves, then the outputs of
    the applications one after another.
    """
    leaves = [v for v in ancestors(outputs) if v.owner is None]
    places = {v: k for k, v in enumerate(leaves)}
    nodes = []
    for node in toposort(outputs):
        nodes.append((node, [places[v] for v in node.inputs]))
        for v in node.outputs:
            places[v] = len(places)
    return leaves, nodes, [places[v] for v in outputs]


def assembled(
    leaves: Sequence[Variable],
    nodes: Iterable[tuple[Any, Sequence[int]]],
    outputs: Sequence[int],
    make: Callable[[Any, list[Variable]], Sequence[Variable]],
) -> list[Variable]:
    """Invert :func:`flattened`: ``make(node, inputs)`` returns the outputs of an application in its flat form."""
    values = list(leaves)
    for node, inputs in nodes:
        values.extend(make(node, [values[k] for k in inputs]))
    return [values[k] for k in outputs]
