"""A matrix of zeros with one written element per row is a comparison with the position, where ops on elements read it.

Such is the gradient of picking one element of each row, as for the class of an example or for the pair that belongs
together. The loops that read the matrix compute its elements, and it is not stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.rewrite.algebra import record_of
from symc.compiler.rewrite.engine import filled, is_constant
from symc.compiler.rewrite.ops import ARANGE_OF, SCATTER
from symc.compiler.value_numbering import ValueNumbering
from symc.errors import building_at
from symc.graph import Apply, Graph, Variable, dims
from symc.graph.op import Op, Pointwise
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import constant
from symc.tensor.broadcasting import expand

__all__ = ["one_per_row"]


def one_per_row(graph: Graph) -> Sequence[Variable]:
    """Replace scatters of one element per row into zeros by comparisons, if only ops on elements read them."""
    if SCATTER not in graph.records:
        return graph
    stored = set(graph)
    for node in graph.order:
        if not isinstance(node.op.record.lower, Pointwise):
            stored.update(node.inputs)
    numbering = ValueNumbering()

    def made(node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable]:
        first = node.outputs[0]
        if node.op.record is not SCATTER or first in stored or not _is_one_per_row(node):
            return numbering.make(node.op, inputs, first.location, first.name, node)
        with building_at(first.location):
            found = _compared(inputs[1], inputs[3], first)
        return numbering.adopt([found], location=first.location)

    return numbering.rebuild(graph, graph.order, made)


def _is_one_per_row(node: Apply) -> bool:
    x, _, *indices = node.inputs
    if x.ndim != 2 or node.op["axes"] != (0, 1) or not is_constant(x, 0):
        return False
    return _counts(indices[0], x.type.shape[0])


def _counts(i: Variable, size: dims.Dim) -> bool:
    """Whether the indices are 0, 1, 2, … up to the length of the axis."""
    if record_of(i) is not ARANGE_OF or dims.equal(i.type.shape[0], size) is not True:
        return False
    start, step = i.owner.inputs[:2]  # type: ignore[union-attr]
    return is_constant(start, 0) and is_constant(step, 1)


def _compared(value: Variable, i: Variable, out: Variable) -> Variable:
    """The matrix with ``value`` in the columns ``i`` of its rows."""
    shape = out.type.shape
    numbers = Op(ARANGE_OF, dtype=i.dtype, shape=shape[1:])(constant(0, dtype=i.dtype), constant(1, dtype=i.dtype))
    columns = expand(dimshuffle(numbers, ["x", 0]), shape)
    rows = [expand(dimshuffle(v, [0, "x"]), shape) for v in (i, value)]
    return ew.switch.op(ew.eq.op(columns, rows[0]), rows[1], filled(0, out.dtype, shape))
