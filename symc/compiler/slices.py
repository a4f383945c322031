"""Conversion of slices that are contiguous in memory to views: a reference with an offset instead of a copy.

So are tensors in memory that an unfused op reads with axes of length 1 added or dropped, such as the operands of a
convolution along one axis, and results of library calls that a function returns so.

``x[k]``, ``x[a:b]`` and ``x[k, a:b]`` are contiguous. If an unfused op reads such a slice (a product, a factorisation),
or its start is known, it is replaced by ``part``, whose offset is a dim: a start that the program computes is bound to
a symbol first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Constant, Graph, Variable, dims
from symc.graph.op import Axes, HostCall, Indexed, LibraryCall, Pointwise, Reduction, View
from symc.tensor.indices.slices import PART, part_of
from symc.tensor.symbolic_dims import as_dim, value_symbols

__all__ = ["views_of_slices", "views_where_needed"]


def views_of_slices(graph: Graph, known: Sequence[Any]) -> tuple[Sequence[Variable], tuple[Any, ...], list[Variable]]:
    """Replace contiguous slices by views; also returns the symbols used besides ``known``, and their integers."""
    if not any(record.contiguous is not None or isinstance(record.lower, Axes) for record in graph.records):
        return graph, (), []
    order = graph.order
    whole = _read_in_memory(order)
    results = set(graph)
    replaced: dict[Variable, Variable] = {}
    symbols: dict[Any, Variable] = {}
    numbering = ValueNumbering()
    for node in order:
        inputs = [replaced.get(v, v) for v in node.inputs]
        location = node.outputs[0].location
        offset = _offset(node, inputs, node.outputs[0] in whole)
        if offset is not None:
            shape = node.outputs[0].type.shape
            made: Sequence[Variable] = numbering.make(part_of(shape, offset), inputs[:1], location)
            for symbol, v in value_symbols(inputs[1:]).items():
                if symbol not in known and symbol in dims.symbols_of(offset):
                    symbols.setdefault(symbol, v)
        elif (
            inputs
            and _keeps_order(node)
            and (_is_view(inputs[0]) or _needs_memory(node, whole, results) and _is_stored(inputs[0]))
        ):
            made = numbering.make(part_of(node.outputs[0].type.shape, 0), inputs, location)
        else:
            made = numbering.make(node.op, inputs, location, node.outputs[0].name, node)
        replaced.update(zip(node.outputs, made))
    return [replaced.get(v, v) for v in graph], tuple(symbols), list(symbols.values())


def views_where_needed(graph: Graph) -> Sequence[Variable]:
    """The same in a body, of slices with known starts that an unfused op reads: others are read where they are used."""
    if not any(record.contiguous is not None for record in graph.records):
        return graph
    whole = _read_in_memory(graph.order)
    replaced: dict[Variable, Variable] = {}
    numbering = ValueNumbering()
    for node in graph.order:
        inputs = [replaced.get(v, v) for v in node.inputs]
        out = node.outputs[0]
        slices = out in whole and all(_is_known(v) for v in node.inputs[1:])
        offset = _offset(node, inputs, True) if slices else None
        if offset is not None:
            made: Sequence[Variable] = numbering.make(part_of(out.type.shape, offset), inputs[:1], out.location)
        else:
            made = numbering.make(node.op, inputs, out.location, out.name, node)
        replaced.update(zip(node.outputs, made))
    return [replaced.get(v, v) for v in graph]


def _read_in_memory(order: Sequence[Apply]) -> set[Variable]:
    """The values that are read by an op that needs them in memory."""
    whole: set[Variable] = set()
    for node in reversed(order):
        passes_on = isinstance(node.op.record.lower, View) or _keeps_order(node)
        if not isinstance(node.op.record.lower, (Pointwise, Axes, Reduction, Indexed, View)) or (
            passes_on and node.outputs[0] in whole
        ):
            whole.update(node.inputs)
    return whole


def _offset(node: Apply, inputs: Sequence[Variable], whole: bool) -> dims.Dim | None:
    """The offset of the slice in flat memory, if it is contiguous and a view is worthwhile."""
    found = None if node.op.record.contiguous is None else node.op.record.contiguous(node)
    if found is None or inputs[0].owner is None and isinstance(inputs[0], Constant):
        return None
    starts = [inputs[k] for k in found]
    if not whole and not all(_is_known(v) for v in starts):
        return None
    shape = inputs[0].type.shape
    offset: dims.Dim = 0
    for axis, start in enumerate(starts):
        offset = dims.add(offset, dims.mul(as_dim(start), dims.product(shape[axis + 1 :])))
    unread = [v for v in starts if not _is_known(v) and not dims.symbols_of(as_dim(v)) & dims.symbols_of(offset)]
    return None if unread else offset  # a start that nothing reads would not be checked


def _needs_memory(node: Apply, whole: set[Variable], results: set[Variable]) -> bool:
    """Whether the output is in memory: an op needs it there, or it is a result that an op, not a copy, can write."""
    out = node.outputs[0]
    return out in whole or (out in results and node.inputs[0].owner is not None)


def _is_view(v: Variable) -> bool:
    return v.owner is not None and v.owner.op.record is PART


def _is_stored(v: Variable) -> bool:
    """Whether the value is in memory, whatever reads it."""
    if v.owner is None:
        return not isinstance(v, Constant)
    return isinstance(v.owner.op.record.lower, (HostCall, LibraryCall, View))


def _keeps_order(node: Apply) -> bool:
    """Whether the op only adds and drops axes of length 1."""
    if not isinstance(node.op.record.lower, Axes):
        return False
    follows = [a for a in node.op.record.lower.source(node.op, node) if a is not None]
    sizes = [dims.product(v.type.shape) for v in (node.inputs[0], node.outputs[0])]
    return follows == sorted(follows) and dims.equal(*sizes) is True


def _is_known(v: Variable) -> bool:
    """Whether the value is a constant, or a dim of the arguments."""
    return isinstance(v, Constant) or v.owner is not None and "dim" in v.owner.op.attrs and not v.owner.inputs
