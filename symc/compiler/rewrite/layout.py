"""Rules about the layout of elements: transposes, reshapes, broadcasts, slices."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np

from symc.compiler.rewrite.algebra import dimshuffled, record_of, source_of
from symc.compiler.rewrite.engine import NodeRule, RuleList, constant_value
from symc.compiler.rewrite.gathers import gather_rules
from symc.compiler.rewrite.ops import (
    ADD,
    ARANGE_OF,
    BATCHED_DOT,
    CHECKED_INDEX,
    DIM_VALUE,
    DIMSHUFFLE,
    DOT,
    EXPAND,
    GATHER,
    IOTA_AT,
    JOIN,
    PART,
    RESHAPE_TO,
    SCATTER,
    SLICE_AT,
    WRITE_AT,
)
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.broadcasting import expand
from symc.tensor.reshaping import reshape_to
from symc.tensor.symbolic_dims import dim_value

__all__ = ["ARRANGING", "PRODUCTS", "known_dim"]


# --- transposes, reshapes, broadcasts ---------------------------------------------------------------------------------


def merge_dimshuffles(node: Apply) -> Variable | None:
    """Merge successive dimshuffles; remove one that changes nothing."""
    (x,), order = node.inputs, node.op["order"]
    ones = x.type.broadcastable
    if len(order) == x.ndim and all(a == k or a == "x" and ones[k] for k, a in enumerate(order)):
        return x
    if record_of(x) is not DIMSHUFFLE:
        return None
    inner = x.owner.op["order"]  # type: ignore[union-attr]
    merged = tuple("x" if a == "x" else inner[a] for a in order)
    return dimshuffled(x.owner.inputs[0], merged)  # type: ignore[union-attr]


def dimshuffle_of_expand(node: Apply) -> Variable | None:
    """Dimshuffle before broadcasting: fewer elements move."""
    (x,), out = node.inputs, node.outputs[0]
    if record_of(x) is not EXPAND:
        return None
    source = source_of(x)
    if source.ndim == 0:
        return expand(source, out.type.shape)
    return expand(dimshuffled(source, node.op["order"]), out.type.shape)


def merge_expands(node: Apply) -> Variable | None:
    """Merge successive broadcasts, also of a scalar with added axes."""
    (x,), shape = node.inputs, node.op["shape"]
    if dims.same_shape(x.type.shape, shape):
        return x
    if record_of(x) is EXPAND:
        return expand(source_of(x), shape)
    if record_of(x) is DIMSHUFFLE and x.owner.inputs[0].ndim == 0:  # type: ignore[union-attr]
        return expand(x.owner.inputs[0], shape)  # type: ignore[union-attr]
    return None


def merge_reshapes(node: Apply) -> Variable | None:
    """Merge successive reshapes; remove one that keeps the shape; use a dimshuffle if only axes of 1 differ."""
    (x,), shape = node.inputs, node.op["shape"]
    if dims.same_shape(x.type.shape, shape):
        return x
    if record_of(x) is RESHAPE_TO:
        return reshape_to(x.owner.inputs[0], shape)  # type: ignore[union-attr]
    if record_of(x) is EXPAND and source_of(x).ndim == 0:
        return expand(source_of(x), shape)
    old = [k for k, d in enumerate(x.type.shape) if not (type(d) is int and d == 1)]
    new = [k for k, d in enumerate(shape) if not (type(d) is int and d == 1)]
    if not dims.same_shape([x.type.shape[k] for k in old], [shape[k] for k in new]):
        return None
    order: list[Any] = ["x"] * len(shape)
    for k, source in zip(new, old):
        order[k] = source
    return dimshuffled(x, order)


# --- slices -----------------------------------------------------------------------------------------------------------


def known_dim(v: Variable) -> dims.Dim | None:
    if isinstance(v, Constant) and v.ndim == 0:
        return int(v.data)
    return v.owner.op["dim"] if record_of(v) is DIM_VALUE else None  # type: ignore[union-attr]


def _takes_all(x: Variable, shape: Sequence[dims.Dim], starts: Sequence[Variable], steps: Sequence[int]) -> bool:
    return all(s == 1 for s in steps) and all(is_start(v) for v in starts) and dims.same_shape(x.type.shape, shape)


def is_start(v: Variable) -> bool:
    """Whether this start of a slice is the first element."""
    known = known_dim(v)
    return type(known) is int and known == 0


def slice_rules(node: Apply) -> Variable | None:
    """Simplify slices of everything, and of slices, broadcasts, writes and joins."""
    x, *starts = node.inputs
    steps, shape = node.op["steps"], node.op["shape"]
    if _takes_all(x, shape, starts, steps):
        return x
    record = record_of(x)
    if record is EXPAND and source_of(x).ndim == 0:
        return expand(source_of(x), shape)
    if record is SLICE_AT:
        return _slice_of_slice(node, x.owner)  # type: ignore[arg-type]
    if record is WRITE_AT:
        return _slice_of_write(node)
    if record is JOIN:
        return _slice_of_join(node, x.owner)  # type: ignore[arg-type]
    return None


def _slice_of_write(node: Apply) -> Variable | None:
    """Replace a slice of a write to the same part by the written value (plus the base, if it was added)."""
    x, *starts = node.inputs
    added: list[Variable] = []
    total: Variable | None = None
    # a loop, since a chain of writes to the same part may have any length
    while record_of(x) is WRITE_AT and total is None:
        written, (base, value, *places) = x.owner.op, x.owner.inputs  # type: ignore[union-attr]
        same_place = written["steps"] == node.op["steps"] and all(a is b for a, b in zip(places, starts))
        if not same_place or not dims.same_shape(value.type.shape, node.op["shape"]):
            break
        if written["replace"]:
            total = value
        else:
            added.append(value)
            x = base
    if total is None:
        if not added:
            return None
        total = node.op(x, *starts)
    for value in reversed(added):
        total = ew.add.op(total, value)
    return total


def _slice_of_slice(node: Apply, inner: Apply) -> Variable | None:
    starts: list[Variable] = []
    for outer, at, by in zip(node.inputs[1:], inner.inputs[1:], inner.op["steps"]):
        first, second = known_dim(outer), known_dim(at)
        if first is None or second is None:
            return None
        starts.append(dim_value(dims.add(second, dims.mul(first, by))))
    steps = tuple(a * b for a, b in zip(node.op["steps"], inner.op["steps"]))
    return Op(node.op.record, steps=steps, shape=node.op["shape"])(inner.inputs[0], *starts)


def _slice_of_join(node: Apply, joined: Apply) -> Variable | None:
    """Replace a slice within one of the joined tensors by a slice of that tensor."""
    axis = joined.op["axis"]
    start, length, step = known_dim(node.inputs[1 + axis]), node.op["shape"][axis], node.op["steps"][axis]
    if start is None or step < 1:
        return None
    constant, rest = dims.constant_part(start)
    places = _places(tuple(piece.type.shape[axis] for piece in joined.inputs)).get(rest, ())
    k = bisect_right(places, constant, key=itemgetter(0)) - 1  # the last tensor that begins here or before
    if k < 0:
        return None
    offset, piece = constant - places[k][0], joined.inputs[places[k][1]]
    if not _lies_within(offset, length, step, piece.type.shape[axis]):
        return None
    starts = list(node.inputs[1:])
    starts[axis] = dim_value(offset)
    return node.op(piece, *starts)


@lru_cache(maxsize=256)
def _places(sizes: tuple[dims.Dim, ...]) -> dict[dims.Dim, list[tuple[int, int]]]:
    """Where joined tensors begin: by the symbolic part of an offset, its constant parts in order, with positions.

    Slices are looked up here, since a comparison with each of the offsets would take time quadratic in their number.
    """
    found: dict[dims.Dim, list[tuple[int, int]]] = {}
    offset: dims.Dim = 0
    for k, size in enumerate(sizes):
        constant, rest = dims.constant_part(offset)
        found.setdefault(rest, []).append((constant, k))
        offset = dims.add(offset, size)
    return found


def _lies_within(start: dims.Dim, length: dims.Dim, step: int, size: dims.Dim) -> bool:
    if all(type(d) is int for d in (start, length, size)):
        return bool(start >= 0 and length > 0 and start + (length - 1) * step < size)
    return step == 1 and dims.equal(start, 0) is True and dims.equal(length, size) is True


def write_rules(node: Apply) -> Variable | None:
    """Simplify writes of the whole tensor, of unchanged values, and into zeros."""
    x, value, *starts = node.inputs
    if _takes_all(x, value.type.shape, starts, node.op["steps"]):
        return value if node.op["replace"] else ew.add.op(x, value)
    if node.op["replace"] and record_of(value) is SLICE_AT and value.owner.op["steps"] == node.op["steps"]:  # type: ignore[union-attr]
        source, *places = value.owner.inputs  # type: ignore[union-attr]
        if source is x and all(a is b for a, b in zip(places, starts)):
            return x
    return None


def write_everywhere(node: Apply) -> Variable | None:
    """Writes to parts side by side that cover a tensor of zeros are a join. Gradients of slices have this form."""
    out, value = node.outputs[0], node.inputs[1]
    differs = [k for k, (a, b) in enumerate(zip(value.type.shape, out.type.shape)) if dims.equal(a, b) is not True]
    if len(differs) != 1 or type(known_dim(node.inputs[2 + differs[0]])) is not int:
        return None
    axis = differs[0]
    pieces: list[tuple[dims.Dim, Variable]] = []
    base = node.outputs[0]
    while record_of(base) is WRITE_AT and len(pieces) < _MOST_PIECES:
        written, (base, value, *starts) = base.owner.op, base.owner.inputs  # type: ignore[union-attr]
        start = known_dim(starts[axis])
        others = [k for k in range(out.ndim) if k != axis]
        if written["replace"] or any(s != 1 for s in written["steps"]) or type(start) is not int:
            return None
        if any(
            not is_start(starts[k]) or dims.equal(value.type.shape[k], out.type.shape[k]) is not True for k in others
        ):
            return None
        pieces.append((start, value))
    if constant_value(base) is None or constant_value(base) != 0:
        return None
    end = 0
    for start, value in sorted(pieces, key=itemgetter(0)):
        length = value.type.shape[axis]
        if start != end or type(length) is not int or not length:
            return None
        end += length
    if dims.equal(end, out.type.shape[axis]) is not True:
        return None
    return Op(JOIN, axis=axis)(*(value for _, value in sorted(pieces, key=itemgetter(0))))


_MOST_PIECES = 64
"""The number of writes of which it is asked whether they cover a tensor."""


def part_rules(node: Apply) -> Variable | None:
    """Replace a view of one of several joined tensors by that tensor, and a view of one repeated number by fewer."""
    (x,), shape = node.inputs, node.op["shape"]
    if record_of(x) is EXPAND and source_of(x).ndim == 0:
        return expand(source_of(x), shape)
    if record_of(x) is not JOIN or x.owner.op["axis"] != 0:  # type: ignore[union-attr]
        return None
    offset: dims.Dim = 0
    for piece in x.owner.inputs:  # type: ignore[union-attr]
        if dims.same_shape(piece.type.shape, shape) and dims.equal(offset, node.op["offset"]) is True:
            return piece
        offset = dims.add(offset, dims.product(piece.type.shape))
    return None


def add_part(node: Apply) -> Variable | None:
    """Add only the non-zero part of a tensor that is zero elsewhere. Gradients of indexing have this form."""
    for part, other in (node.inputs, node.inputs[::-1]):
        if record_of(part) not in (WRITE_AT, SCATTER) or part.owner.op["replace"]:  # type: ignore[union-attr]
            continue
        base, *rest = part.owner.inputs  # type: ignore[union-attr]
        if constant_value(base) is not None and constant_value(base) == 0 and record_of(other) is not EXPAND:
            return part.owner.op(other, *rest)  # type: ignore[union-attr]
    return None


def _is_empty(v: Variable, axis: int) -> bool:
    return type(v.type.shape[axis]) is int and v.type.shape[axis] == 0


def join_rules(node: Apply) -> Variable | None:
    """Simplify joins of a single tensor, of empty tensors, and of joins along the same axis."""
    axis = node.op["axis"]
    parts: list[Variable] = []
    for v in node.inputs:
        inner = v.owner.inputs if record_of(v) is JOIN and v.owner.op["axis"] == axis else [v]  # type: ignore[union-attr]
        parts += [p for p in inner if not _is_empty(p, axis)]
    if not parts:
        return node.inputs[0]
    if len(parts) == 1:
        return parts[0]
    return (
        node.op(*parts)
        if len(parts) != len(node.inputs) or any(a is not b for a, b in zip(parts, node.inputs))
        else None
    )


def checked_rules(node: Apply) -> Variable | None:
    """Remove the check of an index that is known, was checked against the same length, or counts up to it."""
    index, length = node.inputs
    if record_of(index) is CHECKED_INDEX and index.owner.inputs[1] is length:  # type: ignore[union-attr]
        return index
    size = known_dim(length)
    if isinstance(index, Constant) and type(size) is int:
        wraps = -size if node.op["wrap"] else 0
        if np.all(index.data >= wraps) and np.all(index.data < size):
            return Constant(np.where(index.data < 0, index.data + size, index.data), "int64")
        return None
    source = index if record_of(index) is not EXPAND else source_of(index)
    while record_of(source) is DIMSHUFFLE:
        source = source.owner.inputs[0]  # type: ignore[union-attr]
    if size is None or index.dtype != "int64":
        return None
    if record_of(source) is IOTA_AT:
        top = source.owner.op["shape"][source.owner.op["axis"]]  # type: ignore[union-attr]
    elif record_of(source) is ARANGE_OF and _counts_from_zero(source.owner):  # type: ignore[arg-type]
        top = source.type.shape[0]
    else:
        return None
    return index if dims.equal(top, size) else None


def _counts_from_zero(node: Apply) -> bool:
    start, step = (constant_value(v) for v in node.inputs)
    return start is not None and step is not None and start == 0 and step == 1


ARRANGING = RuleList(
    "arranging",
    [
        NodeRule("merge_dimshuffles", (DIMSHUFFLE,), merge_dimshuffles),
        NodeRule("dimshuffle_of_expand", (DIMSHUFFLE,), dimshuffle_of_expand),
        NodeRule("merge_expands", (EXPAND,), merge_expands),
        NodeRule("merge_reshapes", (RESHAPE_TO,), merge_reshapes),
        NodeRule("slice", (SLICE_AT,), slice_rules),
        NodeRule("part", (PART,), part_rules),
        NodeRule("write", (WRITE_AT,), write_rules),
        NodeRule("write_everywhere", (WRITE_AT,), write_everywhere),
        NodeRule("add_part", (ADD,), add_part),
        NodeRule("join", (JOIN,), join_rules),
        NodeRule("gather", (GATHER,), gather_rules),
        NodeRule("checked_index", (CHECKED_INDEX,), checked_rules),
    ],
)


def transposed_operands(node: Apply) -> Variable | None:
    """Let a product read a transposed operand in place: the library call has a flag for it."""
    a, b = node.inputs
    swap = tuple(range(a.ndim - 2)) + (a.ndim - 1, a.ndim - 2)
    flags = {"trans_a": node.op["trans_a"], "trans_b": node.op["trans_b"]}
    changed = False
    operands = []
    for v, flag in ((a, "trans_a"), (b, "trans_b")):
        if record_of(v) is DIMSHUFFLE and v.owner.op["order"] == swap and v.owner.inputs[0].ndim == v.ndim:  # type: ignore[union-attr]
            v, flags[flag], changed = v.owner.inputs[0], not flags[flag], True  # type: ignore[union-attr]
        operands.append(v)
    return Op(node.op.record, **{**node.op.attrs, **flags})(*operands) if changed else None


PRODUCTS = RuleList("products", [NodeRule("transposed_operands", (DOT, BATCHED_DOT), transposed_operands)])
"""Rules for the operands of matrix products."""
