"""Sums over a few elements of pairs are written out, such as squared distances of points in space.

A value that no operand fills is computed from small ones: ``x[:, None, :] - y[None, :, :]`` has an element for each
pair of rows and each coordinate, but only the rows are in memory. Its sum over three coordinates, written out as three
terms, is an elementwise function of the pair, which is computed where it is read, whether rows, columns or all of it
are added up. Sums over the pairs become one for each coordinate, which share a loop. Otherwise the matrix of pairs
would be stored.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from symc.compiler.fusion.groups import IterationMap, axes_of, is_one
from symc.compiler.rewrite.failures import may_fail
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Graph, Variable
from symc.graph.op import Axes, Op, Pointwise
from symc.tensor.axes import DIMSHUFFLE, dimshuffle
from symc.tensor.broadcasting import EXPAND, SUM, expand
from symc.tensor.indices.slices import SLICE_AT
from symc.tensor.joining import stack
from symc.tensor.symbolic_dims import dim_value

__all__ = ["short_sums"]

MOST = 4
"""The largest number of elements whose sum is written out."""
MOST_OPS = 64
"""The largest number of ops that compute an element."""


def short_sums(graph: Graph) -> Sequence[Variable]:
    """Write out sums over short axes of values that have an element for each pair of others."""
    if not any(node.op.record is SUM and _short_axes(node.inputs[0]) for node in graph.order):
        return graph
    numbering = ValueNumbering()
    written: list[Variable] = []

    def made(node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable]:
        first = node.outputs[0]
        found = _written_out(node.op, inputs[0]) if node.op.record is SUM else None
        if found is not None and found.type == first.type:
            written.append(first)
            return numbering.adopt([found], location=first.location)
        return numbering.make(node.op, inputs, first.location, first.name, node)

    rebuilt = numbering.rebuild(graph, graph.order, made)
    return rebuilt if written else graph


def _short_axes(x: Variable) -> list[int]:
    """The axes of a few elements beside at least two others."""
    shape = x.type.shape
    long = sum(not is_one(d) for d in shape)
    return [a for a, d in enumerate(shape) if type(d) is int and 1 < d <= MOST] if long > 2 else []


def _written_out(op: Op, x: Variable) -> Variable | None:
    """The sum ``op`` of ``x`` without one of its short axes."""
    for axis in _short_axes(x):
        if not _is_of_pairs(x, axis):
            continue
        terms = [_cut(x, axis, k, {}) for k in range(int(x.type.shape[axis]))]
        axes = tuple(a - (a > axis) for a in op["axes"] if a != axis)
        reduce = Op(op.record, **{**op.attrs, "axes": axes})
        if axis not in op["axes"]:
            return stack([reduce(term) for term in terms], axis - sum(a < axis for a in op["axes"]))
        total = functools.reduce(lambda a, b: a + b, terms)
        return reduce(total) if axes else total
    return None


def _is_of_pairs(x: Variable, axis: int) -> bool:
    """Whether elementwise ops compute ``x`` from operands of which none follows all of its other axes."""
    others = {a for a, d in enumerate(x.type.shape) if a != axis and not is_one(d)}
    waiting: list[tuple[Variable, IterationMap]] = [(x, tuple(range(x.ndim)))]
    seen: set[tuple[Variable, IterationMap]] = set()
    while waiting:
        v, at = waiting.pop()
        if (v, at) in seen:
            continue
        seen.add((v, at))
        if len(seen) > MOST_OPS:
            return False
        if not _passes(v):
            followed = {a for a, d in zip(at, v.type.shape) if a is not None and not is_one(d)}
            if others <= followed:
                return False
            continue
        node = v.owner
        assert node is not None
        if isinstance(node.op.record.lower, Axes):
            at = tuple(None if k is None else at[k] for k in axes_of(node))
        waiting += [(source, at) for source in node.inputs]
    return x.owner is not None and _passes(x)


def _passes(v: Variable) -> bool:
    """Whether a part of ``v`` is computed from parts of what it is made of."""
    node = v.owner
    if node is None:
        return False
    if isinstance(node.op.record.lower, Pointwise):
        return not may_fail(node)
    return node.op.record is DIMSHUFFLE or node.op.record is EXPAND and node.inputs[0].ndim in (0, v.ndim)


def _cut(v: Variable, axis: int, k: int, known: dict[tuple[Variable, int], Variable]) -> Variable:
    """``v`` at position ``k`` of an axis, which it then has no longer."""
    found = known.get((v, axis))
    if found is None:
        found = known[v, axis] = _cut_anew(v, axis, k, known)
    return found


def _cut_anew(v: Variable, axis: int, k: int, known: dict[tuple[Variable, int], Variable]) -> Variable:
    node, rest = v.owner, [a for a in range(v.ndim) if a != axis]
    if is_one(v.type.shape[axis]):
        return dimshuffle(v, *rest)
    if node is None or not _passes(v):
        shape = tuple(1 if a == axis else d for a, d in enumerate(v.type.shape))
        starts = [dim_value(k if a == axis else 0) for a in range(v.ndim)]
        return dimshuffle(Op(SLICE_AT, steps=(1,) * v.ndim, shape=shape)(v, *starts), *rest)
    if isinstance(node.op.record.lower, Pointwise):
        return node.op(*(_cut(source, axis, k, known) for source in node.inputs))
    (source,) = node.inputs
    if node.op.record is EXPAND:
        shape = tuple(v.type.shape[a] for a in rest)
        return expand(_cut(source, axis, k, known) if source.ndim else source, shape)
    order = [node.op["order"][a] for a in rest]
    place = node.op["order"][axis]
    if place == "x":
        return dimshuffle(source, *order)
    return dimshuffle(_cut(source, place, k, known), *(a if a == "x" else a - (a > place) for a in order))
