"""The ends of sorted lines are selected instead of sorted: ``sort(x)[:, -3:]`` needs the three largest of each row."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from symc.compiler.bodies import uses_of
from symc.compiler.rewrite.layout import known_dim
from symc.errors import building_at
from symc.graph import Apply, Graph, Variable, dims
from symc.graph.op import Op
from symc.tensor.indices.slices import SLICE_AT
from symc.tensor.sorting import ARGSORT, SORT, TOPK
from symc.tensor.symbolic_dims import dim_value

__all__ = ["ends_of_sorts"]

MOST = 32
"""The largest number of elements that are selected from a line; of more, the line is sorted."""


def ends_of_sorts(graph: Graph) -> Sequence[Variable]:
    """Replace sorts of which only an end is read by the selection of that end."""
    if not graph.records & {SORT, ARGSORT}:
        return graph
    readers = uses_of(graph.order)
    whole = set(graph)
    known: dict[Variable, Variable] = {}
    for node in graph.order:
        out = node.outputs[0]
        inputs = [known.get(v, v) for v in node.inputs]
        if node.op.record in (SORT, ARGSORT) and out not in whole:
            ends = [_end(reader, node) for reader in readers.get(out, ())]
            if ends and None not in ends and len(ends) <= 2:
                for reader, end in zip(readers[out], ends):
                    assert end is not None
                    with building_at(reader.outputs[0].location):
                        known[reader.outputs[0]] = _selected(node, inputs[0], reader, *end)
                continue
        if out in known or all(a is b for a, b in zip(inputs, node.inputs)):
            continue
        for old, new in zip(node.outputs, node.op.apply(inputs, out.location).outputs):
            new.name = old.name
            known[old] = new
    return [known.get(v, v) for v in graph]


def _end(reader: Apply, node: Apply) -> tuple[dims.Dim, bool] | None:
    """The length of the end of the lines that a slice reads, and whether it is the last one; None: something else."""
    if reader.op.record is not SLICE_AT:
        return None
    axis, shape, steps = node.op["axis"], reader.op["shape"], reader.op["steps"]
    whole = node.outputs[0].type.shape
    starts = [known_dim(v) for v in reader.inputs[1:]]
    for k, start in enumerate(starts):
        if k != axis and not (steps[k] == 1 and start == 0 and dims.equal(shape[k], whole[k]) is True):
            return None
    length, n, first = shape[axis], whole[axis], starts[axis]
    few = _number_of(length)
    if first is None or few is None or steps[axis] not in (1, -1) or type(n) is int and n < 2 * few:
        return None
    lowest = first if steps[axis] == 1 else dims.add(dims.sub(first, length), 1)
    if _always_equal(lowest, 0, n, few):
        return length, False
    return (length, True) if _always_equal(dims.add(lowest, length), n, n, few) else None


def _number_of(length: dims.Dim) -> int | None:
    """The largest value of a dim that is a number, or the smaller one of a number and another dim."""
    if type(length) is int:
        found: int | None = length
    else:
        found = (
            min((int(a) for a in length.args if a.is_Integer), default=None) if isinstance(length, sympy.Min) else None
        )
    return found if found is not None and 0 < found <= MOST else None


def _always_equal(a: dims.Dim, b: dims.Dim, n: dims.Dim, few: int) -> bool:
    """Whether two dims are equal for every length ``n`` of the lines: for each short one, and for all others."""
    if dims.equal(a, b) is True:
        return True
    if type(n) is int or not n.is_Symbol:
        return False
    values = [*range(few + 2), n + (few + 2)]
    return all(dims.equal(dims.substitute(a, {n: m}), dims.substitute(b, {n: m})) is True for m in values)


def _selected(node: Apply, x: Variable, reader: Apply, length: dims.Dim, last: bool) -> Variable:
    """The end of the sorted lines of ``x``, in the order of the slice."""
    axis = node.op["axis"]
    if last:
        op = Op(TOPK, axis=axis, largest=True, end=True)
    else:
        op = Op(TOPK, axis=axis, largest=False)
    values, places = op.all(x, dim_value(length))
    found = values if node.op.record is SORT else places
    if reader.op["steps"][axis] == 1:
        return found
    starts = [dim_value(dims.sub(length, 1) if k == axis else 0) for k in range(x.ndim)]
    return Op(SLICE_AT, steps=reader.op["steps"], shape=reader.op["shape"])(found, *starts)
