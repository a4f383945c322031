"""Elementwise ops move before the reshape of a product's rows.

The product of an array of three or more axes with a matrix is one of two matrices, whose rows are then reshaped. What
follows, such as a bias, becomes part of that product (an epilogue) only if it reads the matrix itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence

from symc.compiler.fusion import row_axes
from symc.compiler.fusion.groups import is_one
from symc.compiler.rewrite.failures import may_fail
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Graph, Variable, dims
from symc.graph.op import Pointwise
from symc.tensor.axes import DIMSHUFFLE
from symc.tensor.broadcasting import EXPAND, expand
from symc.tensor.reshaping import RESHAPE_TO, reshape_to

__all__ = ["reshapes_last"]


def reshapes_last(graph: Graph) -> Sequence[Variable]:
    """Apply elementwise ops to products before their rows are reshaped, where nothing else reads these.

    The other operands must be the same for all rows, arguments, or rows that are reshaped in the same way.
    """
    if RESHAPE_TO not in graph.records and DIMSHUFFLE not in graph.records:
        return graph
    readers = Counter(v for node in graph.order for v in dict.fromkeys(node.inputs))
    readers.update([*graph, *graph])  # a result is needed as it is
    numbering = ValueNumbering()
    computed: set[Variable] = set()  # from products by elementwise ops, as matrices

    def made(node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable]:
        first = node.outputs[0]
        if isinstance(node.op.record.lower, Pointwise) and not may_fail(node):
            for old, new in zip(node.inputs, inputs):
                product = _product_of(new, computed)
                if product is None or readers[old] > 1 or _source_is_read(old, readers):
                    continue
                operands = [_as_matrix(v, product.type.shape) for v in inputs]
                known = [v for v in operands if v is not None]
                if len(known) == len(operands):
                    matrix = node.op.apply(known, first.location).outputs[0]
                    found = numbering.adopt([reshape_to(matrix, first.type.shape)], location=first.location)
                    computed.update(v for v in [_source(found[0])] if v is not None)
                    return found
        return numbering.make(node.op, inputs, first.location, first.name, node)

    rebuilt = numbering.rebuild(graph, graph.order, made)
    return rebuilt if computed else graph


def _source(v: Variable) -> Variable | None:
    """What a value is a reshape of: also where only axes of 1 are added, as for a single image."""
    if v.owner is None:
        return None
    (source, *_), op = v.owner.inputs or [v], v.owner.op
    if op.record is RESHAPE_TO:
        return source
    if op.record is DIMSHUFFLE and [a for a in op["order"] if a != "x"] == list(range(source.ndim)):
        return source
    return None


def _source_is_read(old: Variable, readers: Counter[Variable]) -> bool:
    """Whether anything else reads the matrix that a value was reshaped from."""
    source = _source(old)
    return source is not None and readers[source] > 1


def _product_of(v: Variable, computed: Container[Variable]) -> Variable | None:
    """The product, or what was computed from one, of which a value consists of the rows."""
    source = _source(v)
    if source is None or source.ndim != 2 or v.ndim < 3:
        return None
    if not dims.same_shape(source.type.shape[1:], v.type.shape[-1:]):
        return None
    is_product = source.owner is not None and row_axes(source.owner) == 1
    return source if is_product or source in computed else None


def _as_matrix(v: Variable, shape: dims.Shape) -> Variable | None:
    """The matrix of this shape whose rows are those of ``v``, if it is not computed for the purpose.

    An argument, which is in memory, is a matrix in another shape.
    """
    source = _source(v)
    if source is not None and dims.same_shape(source.type.shape, shape):
        return source
    if v.owner is None:
        rows = dims.equal(dims.product(v.type.shape[:-1]), shape[0]) if v.ndim > 1 else None
        return reshape_to(v, shape) if rows and dims.equal(v.type.shape[-1], shape[1]) else None
    if v.owner.op.record is not EXPAND:
        return None
    (source,) = v.owner.inputs
    if source.ndim == 0:
        return expand(source, shape)
    if source.ndim != v.ndim or not all(is_one(d) for d in source.type.shape[:-1]):
        return None
    return expand(reshape_to(source, (1, source.type.shape[-1])), shape)
