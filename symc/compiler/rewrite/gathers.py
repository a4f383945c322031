"""Gathers from what needs no memory: numbers repeated, counters, transposed tensors, and other gathers; of colours."""

from __future__ import annotations

from symc.compiler.rewrite.algebra import dimshuffled, record_of, source_of
from symc.compiler.rewrite.ops import ARANGE_OF, DIMSHUFFLE, EXPAND, GATHER, IOTA_AT, SLICE_AT
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.basic import constant
from symc.tensor.broadcasting import expand
from symc.tensor.joining import join

__all__ = ["gather_rules"]

CHOSEN = 16
"""The largest number of elements of a last axis that are read as slices, whose vectors take turns in memory."""
LONGEST = 256
"""The length of an axis up to which they are: elements that are farther apart are on many lines and pages."""
FEW = 4
"""The largest number of elements beside the gathered axes, as colours, for which a tensor is read where it is."""


def gather_rules(node: Apply) -> Variable | None:
    """Simplify gathers from what need not be stored: see the module."""
    x, first = node.inputs[:2]
    out = node.outputs[0]
    if record_of(x) is EXPAND and source_of(x).ndim == 0:
        return expand(source_of(x), out.type.shape)
    if record_of(x) is GATHER:
        return _gather_of_gather(node)
    if record_of(x) is DIMSHUFFLE and (found := _gather_of_dimshuffle(node)) is not None:
        return found
    if x.ndim != 1:
        return _gather_of_colours(node)
    if record_of(x) is IOTA_AT and first.dtype == "int64":
        return first
    if record_of(x) is ARANGE_OF and x.dtype == first.dtype:
        start, step = (expand(v, first.type.shape) if first.ndim else v for v in x.owner.inputs)  # type: ignore[union-attr]
        return ew.add.op(start, ew.mul.op(first, step))
    return None


def _gather_of_gather(node: Apply) -> Variable | None:
    """Let one op gather along the axes of both, if their index arrays select other axes and are side by side.

    What the first one would store, often more than the result, is never made: ``x[:, i][:, :, j]``.
    """
    x, *second = node.inputs
    base, *first = x.owner.inputs  # type: ignore[union-attr]
    op = x.owner.op  # type: ignore[union-attr]
    start, count = op["place"], first[0].ndim
    chosen = range(start, start + count)  # the axes of x that the index arrays of the first one are
    if any(k in chosen for k in node.op["axes"]):
        return None
    left = [k for k in range(base.ndim) if k not in op["axes"]]
    of_base = [*left[:start], *[None] * count, *left[start:]]  # for each axis of x
    rest = [k for k in range(x.ndim) if k not in node.op["axes"]]
    before = sum(k < start for k in rest)
    own = second[0].ndim
    if node.op["place"] not in (before, before + count):
        return None
    leads = node.op["place"] == before
    shape = node.outputs[0].type.shape[before : before + own + count]
    outer = [*range(own), *"x" * count] if leads else [*"x" * count, *range(own)]
    inner = [*"x" * own, *range(count)] if leads else [*range(count), *"x" * own]
    indices = {k: expand(dimshuffled(v, inner), shape) for k, v in zip(op["axes"], first)}
    indices |= {of_base[k]: expand(dimshuffled(v, outer), shape) for k, v in zip(node.op["axes"], second)}  # type: ignore[misc]
    axes = tuple(sorted(indices))
    return Op(GATHER, axes=axes, place=before)(base, *[indices[k] for k in axes])


def _gather_of_dimshuffle(node: Apply) -> Variable | None:
    """Gather from a transposed tensor where it is, if few elements are beside the gathered axes."""
    x, *indices = node.inputs
    order, base = x.owner.op["order"], x.owner.inputs[0]  # type: ignore[union-attr]
    if sorted(map(str, order)) != sorted(map(str, range(base.ndim))):
        return None
    rest = [k for k in range(x.ndim) if k not in node.op["axes"]]
    size = dims.product(x.type.shape[k] for k in rest)
    moved = [order[k] for k in rest]
    if moved != sorted(moved) or not rest or type(size) is not int or size > FEW:
        return None
    found = {order[k]: v for k, v in zip(node.op["axes"], indices)}
    axes = tuple(sorted(found))
    return Op(GATHER, axes=axes, place=node.op["place"])(base, *[found[k] for k in axes])


def _gather_of_colours(node: Apply) -> Variable | None:
    """Join slices in place of a gather from a last axis at few known positions, as of colours in another order."""
    x, *indices = node.inputs
    last = x.ndim - 1
    length = x.type.shape[last]
    if node.op["axes"] != (last,) or node.op["place"] != last or type(length) is not int or length > LONGEST:
        return None
    (chosen,) = indices
    if not isinstance(chosen, Constant) or chosen.ndim != 1 or not 1 <= len(chosen.data) <= CHOSEN:
        return None
    if not all(0 <= k < length for k in chosen.data):
        return None
    shape, steps, zeros = (*x.type.shape[:last], 1), (1,) * x.ndim, (constant(0, dtype="int64"),) * last
    return join(
        last, *[Op(SLICE_AT, steps=steps, shape=shape)(x, *zeros, constant(int(k), dtype="int64")) for k in chosen.data]
    )
