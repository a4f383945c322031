"""Slices move before elementwise ops, and both before joins, so that what is cut away is never computed.

``f(join(a, b))`` becomes ``join(f(a), f(b))``, whose operands are written to their places in the result. ``f(a)[:n]``
becomes ``f(a[:n])``. A value that anything else reads stays where it is.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Container, Sequence

from symc.compiler.fusion.groups import is_one, joined_axis
from symc.compiler.rewrite.failures import may_fail
from symc.compiler.rewrite.layout import known_dim
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Graph, Variable, dims
from symc.graph.op import Op, Pointwise
from symc.tensor.broadcasting import EXPAND, expand
from symc.tensor.indices.slices import SLICE_AT
from symc.tensor.symbolic_dims import dim_value

__all__ = ["joins_last"]

MOST = 8
"""The largest number of joined tensors on which an op is applied one by one."""
MOST_UNKNOWN = 3
"""The largest number of those that are cut if their lengths are known only at call time."""
DEEPEST = 40
"""The largest number of elementwise ops, one after another, before which a slice moves."""


def joins_last(graph: Graph) -> Sequence[Variable]:
    """Move slices before elementwise ops that only slices read, and both before joins that nothing else reads."""
    if not any(node.op.record is SLICE_AT or _joins(node) for node in graph.order):
        return graph
    readers = Counter(v for node in graph.order for v in node.inputs)
    readers.update([*graph, *graph])  # a result is needed as a whole
    cut = _only_cut(graph)
    numbering = ValueNumbering()
    moved: list[Variable] = []

    def made(node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable]:
        first = node.outputs[0]
        joins = [v.owner for v, old in zip(inputs, node.inputs) if readers[old] == 1 and v.owner and _joins(v.owner)]
        joins = [j for j in joins if len(j.inputs) <= MOST]
        found = None
        if joins and isinstance(node.op.record.lower, Pointwise) and not may_fail(node):
            found = _of_pieces(node, inputs, joins[0])
        elif joins and node.op.record is SLICE_AT:
            found = _slice_of_pieces(node, inputs, joins[0])
        elif node.op.record is SLICE_AT and node.inputs[0] in cut:
            found = _slice_of_elementwise(node, inputs, cut)
        if found is not None and dims.same_shape(found.type.shape, first.type.shape):
            moved.append(first)
            return numbering.adopt([found], location=first.location)
        return numbering.make(node.op, inputs, first.location, first.name, node)

    rebuilt = numbering.rebuild(graph, graph.order, made)
    return rebuilt if moved else graph


def _only_cut(graph: Graph) -> set[Variable]:
    """The results of elementwise ops of which only slices are read, also behind such ops.

    No more elements are read than there are: where slices overlap, values are computed once and stored.
    """
    found: set[Variable] = set()
    depth: dict[Variable, int] = {}
    whole = set(graph)
    read: dict[Variable, list[dims.Dim]] = {}  # how many elements each slice reads
    for node in reversed(graph.order):
        out = node.outputs[0]
        if out not in whole and out in read and depth.get(out, 0) < DEEPEST and _can_be_cut(out, read[out]):
            found.add(out)
            for v in dict.fromkeys(node.inputs):
                read.setdefault(v, []).extend(read[out])
                depth[v] = max(depth.get(v, 0), depth.get(out, 0) + 1)
        elif node.op.record is SLICE_AT:
            whole.update(node.inputs[1:])
            read.setdefault(node.inputs[0], []).append(dims.product(out.type.shape))
        else:
            whole.update(node.inputs)
    return found


def _can_be_cut(v: Variable, read: Sequence[dims.Dim]) -> bool:
    node = v.owner
    if node is None or not isinstance(node.op.record.lower, Pointwise) or may_fail(node) or len(read) > MOST:
        return False
    if len(read) == 1:
        return True
    total, size = functools.reduce(dims.add, read), dims.product(v.type.shape)
    if type(total) is int and type(size) is int:
        return total <= size
    return dims.equal(total, size) is True


def _slice_of_elementwise(node: Apply, inputs: Sequence[Variable], cut: Container[Variable]) -> Variable | None:
    """The elementwise op applied to slices of its operands, and the ops before it likewise."""
    known: dict[Variable, Variable] = {}
    pairs = [(node.inputs[0], inputs[0])]  # of the old graph and of the new one
    order: list[tuple[Variable, Variable]] = []
    while pairs:
        old, new = pairs.pop()
        order.append((old, new))
        if _follows(old, new, cut):
            pairs.extend(zip(old.owner.inputs, new.owner.inputs))  # type: ignore[union-attr]
    for old, new in reversed(order):
        if new in known:
            continue
        if _follows(old, new, cut):
            owner = new.owner
            assert owner is not None
            known[new] = owner.op(*(known[v] for v in owner.inputs))
        else:
            known[new] = _cut(node.op, new, inputs[1:])
    return known[inputs[0]]


def _follows(old: Variable, new: Variable, cut: Container[Variable]) -> bool:
    """Whether a slice of this value is computed from slices of its operands."""
    return old in cut and old.owner is not None and new.owner is not None and old.owner.op == new.owner.op


def _cut(op: Op, v: Variable, starts: Sequence[Variable]) -> Variable:
    """The slice ``op`` of a value; what is repeated is cut before."""
    steps, shape = op["steps"], op["shape"]
    if v.owner is not None and v.owner.op.record is EXPAND:
        source = v.owner.inputs[0]
        if source.ndim == 0:
            return expand(source, shape)
        if source.ndim == len(shape):
            ones = [is_one(d) for d in source.type.shape]
            kept = tuple(1 if one else d for one, d in zip(ones, shape))
            at = [dim_value(0) if one else start for one, start in zip(ones, starts)]
            by = tuple(1 if one else step for one, step in zip(ones, steps))
            return expand(Op(op.record, steps=by, shape=kept)(source, *at), shape)
    return op(v, *starts)


def _joins(node: Apply) -> bool:
    return joined_axis(node) is not None


def _of_pieces(node: Apply, inputs: Sequence[Variable], join: Apply) -> Variable:
    """The join of an elementwise op applied to each of the joined tensors."""
    axis = joined_axis(join)
    assert axis is not None
    operands = [_pieces(v, join, axis) for v in inputs]
    return join.op(*(node.op(*piece) for piece in zip(*operands)))


def _pieces(v: Variable, join: Apply, axis: int) -> Sequence[Variable]:
    """The parts of an operand that go with each of the joined tensors."""
    owner = v.owner
    if owner is not None and joined_axis(owner) == axis and len(owner.inputs) == len(join.inputs):
        if all(dims.same_shape(a.type.shape, b.type.shape) for a, b in zip(owner.inputs, join.inputs)):
            return owner.inputs
    if owner is not None and owner.op.record is EXPAND:
        source = owner.inputs[0]
        if source.ndim == 0 or is_one(source.type.shape[axis]):
            return [expand(source, piece.type.shape) for piece in join.inputs]
    found: list[Variable] = []
    offset: dims.Dim = 0
    for piece in join.inputs:
        starts = [dim_value(offset if k == axis else 0) for k in range(v.ndim)]
        found.append(_cut(Op(SLICE_AT, steps=(1,) * v.ndim, shape=piece.type.shape), v, starts))
        offset = dims.add(offset, piece.type.shape[axis])
    return found


def _slice_of_pieces(node: Apply, inputs: Sequence[Variable], join: Apply) -> Variable | None:
    """The join of slices of the joined tensors; those that the slice cuts away are left out."""
    axis = joined_axis(join)
    assert axis is not None
    start, shape = known_dim(inputs[1 + axis]), list(node.op["shape"])
    if start is None or node.op["steps"][axis] != 1:
        return None
    known = all(type(d) is int for d in (start, shape[axis], *(p.type.shape[axis] for p in join.inputs)))
    if not known and len(join.inputs) > MOST_UNKNOWN:
        return None
    stop, left = dims.add(start, shape[axis]), shape[axis]
    found: list[Variable] = []
    offset: dims.Dim = 0
    for k, piece in enumerate(join.inputs):
        size = piece.type.shape[axis]
        first, last = (dims.maximum(0, dims.minimum(dims.sub(d, offset), size)) for d in (start, stop))
        length = left if k + 1 == len(join.inputs) else dims.sub(last, first)  # all lengths add up to the whole
        left, offset = dims.sub(left, length), dims.add(offset, size)
        if type(length) is int and length == 0:
            continue
        starts = list(inputs[1:])
        starts[axis] = dim_value(first)
        part = (*shape[:axis], length, *shape[axis + 1 :])
        found.append(Op(node.op.record, steps=node.op["steps"], shape=part)(piece, *starts))
    if not found:
        return None
    return found[0] if len(found) == 1 else join.op(*found)
