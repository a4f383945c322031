"""Values that depend on stored variables alone are computed when these change, not in every call.

A *stored* variable is a shared variable that the function does not update. A value is *fixed* if it is computed from
stored variables and constants alone, cannot fail and has a known shape. This pass lists the fixed values that other
computations read, and for which it pays to be kept (``symc.runtime.preparation`` keeps them):

- results of reductions, library calls, loops, and of costly elementwise ops that are not larger than what they are
  computed from;
- operands of library calls that would be written to memory before the call, such as ``cast(w)`` in ``dot(x, cast(w))``;
- a few numbers, such as ``1 / sqrt(var + eps)``, which would be a kernel of their own.

Cheap elementwise ops on large arrays, transposes and broadcasts are left where they are: inside the loop that reads
them they cost less than reading their results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np

from symc.compiler.fusion import is_costly_op
from symc.compiler.rewrite.affine import Prepared, fixed_values
from symc.graph import Apply, Graph, Variable
from symc.graph.op import Axes, Indexed, LibraryCall, Pointwise, Reduction, View

__all__ = ["LEAST_WORK", "prepare_stored"]

FEW = 4096
"""The number of elements up to which a fixed value that some elementwise op computes is kept."""
LEAST_WORK = 1 << 16
"""The number of elements that must be computed for values worth a function that prepares them."""


def prepare_stored(
    graph: Graph, results: int, stored: Collection[Variable], room: int, least: int = LEAST_WORK
) -> tuple[Sequence[Variable], list[Prepared]]:
    """Replace the fixed values that are worth keeping by leaves.

    Parameters
    ----------
    graph : Graph
    results : int
        The number of results in ``graph``; what follows them are lengths.
    stored : collection of Variable
    room : int
        The number of bytes that the values may take.
    least : int
        The number of elements that must be computed for the values together; for fewer, nothing is kept.

    Returns
    -------
    pair
        The new outputs, and what must be prepared for them.
    """
    order = graph.order
    fixed = fixed_values(order, stored)
    if not any(fixed(node.outputs[0]) for node in order) or all(map(fixed, graph[:results])):
        return graph, []
    chosen = _Choice(fixed, set(stored), room)
    for node in order:
        if not fixed(node.outputs[0]):
            for v in node.inputs:
                chosen.read(v, alone=_is_alone(node))
    for v in graph[:results]:
        chosen.read(v, alone=True)
    if not chosen.kept or _work(Graph(list(chosen.kept))) < least:
        return graph, []
    return _replaced(graph, order, fixed, chosen.kept)


class _Choice:
    """The fixed values to keep, found from their readers."""

    def __init__(self, fixed: Callable[[Variable], bool], leaves: set[Variable], room: int) -> None:
        self.fixed, self.leaves, self.room = fixed, leaves, room
        self.kept: dict[Variable, None] = {}
        self._seen: set[tuple[Variable, bool]] = set()

    def read(self, v: Variable, alone: bool) -> None:
        """Keep a fixed value, or values that it is computed from; ``alone``: its reader takes it from memory."""
        waiting = [(v, alone)]
        while waiting:
            v, alone = waiting.pop()
            node = v.owner
            if node is None or v in self.leaves or not self.fixed(v) or v in self.kept or (v, alone) in self._seen:
                continue
            self._seen.add((v, alone))
            lower = node.op.record.lower
            referred = isinstance(lower, View) or node.op.record.contiguous is not None
            free = referred or isinstance(lower, Axes) and not alone
            if not free and self._pays(v, node, alone) and self._fits(v):
                self.kept[v] = None
                continue
            waiting += [(u, alone and referred) for u in node.inputs[: 1 if referred else None]]

    def _pays(self, v: Variable, node: Apply, alone: bool) -> bool:
        lower = node.op.record.lower
        if alone or not isinstance(lower, (Pointwise, Indexed, Axes)):
            return True
        if isinstance(lower, Indexed) and lower.recompute:
            return False
        if _count(v) <= FEW:
            return isinstance(lower, Pointwise)
        if not isinstance(lower, Pointwise) or _count(v) > max(map(_count, node.inputs)):
            return False
        return is_costly_op(node.op, tuple(u.dtype for u in node.inputs))

    def _fits(self, v: Variable) -> bool:
        size = _count(v) * np.dtype(v.dtype).itemsize
        if size > self.room:
            return False
        self.room -= size
        return True


def _is_alone(node: Apply) -> bool:
    """Whether an application is no part of a loop nest with others, so that its operands are in memory."""
    return not isinstance(node.op.record.lower, (Pointwise, Axes, Indexed, View, Reduction))


def _work(graph: Graph) -> int:
    """The elements that are computed for these variables; for each of a library call, as many as an operand has."""
    total = 0
    for node in graph.order:
        if not isinstance(node.op.record.lower, (Axes, View)):
            total += max(_count(v) for v in (*node.outputs, *node.inputs))
        if isinstance(node.op.record.lower, LibraryCall):
            total += LEAST_WORK
    return total


def _count(v: Variable) -> int:
    return math.prod(d for d in v.type.shape if type(d) is int)


def _replaced(
    graph: Graph, order: Sequence[Apply], fixed: Callable[[Variable], bool], kept: Collection[Variable]
) -> tuple[Sequence[Variable], list[Prepared]]:
    prepared: list[Prepared] = []
    known: dict[Variable, Variable] = {}
    for v in kept:
        leaf = Variable(v.type, None, 0, v.name or "prepared", v.location)
        known[v] = leaf
        prepared.append(Prepared(leaf, v, checked=False))
    for node in order:
        if all(v in known for v in node.outputs):
            continue
        inputs = [known.get(v, v) for v in node.inputs]
        if any(a is not b for a, b in zip(inputs, node.inputs)):
            made = node.op.apply(inputs, node.outputs[0].location).outputs
            for old, new in zip(node.outputs, made):
                new.name = old.name
                known.setdefault(old, new)
    return [known.get(v, v) for v in graph], prepared
