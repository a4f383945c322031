"""Rules about reductions: of axes of length 1, and of reduced, rearranged, scaled or broadcast tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symc.compiler.rewrite.algebra import dimshuffled, known_number, record_of, repeated, source_of, unrepeated
from symc.compiler.rewrite.engine import NodeRule, RuleList, filled, is_constant
from symc.compiler.rewrite.layout import known_dim
from symc.compiler.rewrite.ops import (
    ALL,
    ANY,
    CAST,
    CHECKED_INDEX,
    DIMSHUFFLE,
    EQ,
    EXPAND,
    IOTA_AT,
    JOIN,
    MAX,
    MIN,
    MUL,
    NEG,
    PROD,
    SUM,
    SWITCH,
    TRUE_DIV,
)
from symc.graph import Apply, Variable, dims
from symc.graph.dtypes import is_integer
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.broadcasting import expand
from symc.tensor.symbolic_dims import dim_value

__all__ = ["REDUCING"]


def _again(node: Apply, x: Variable, axes: Sequence[int]) -> Variable:
    return Op(node.op.record, **{**node.op.attrs, "axes": tuple(axes)})(x) if axes else x


def reduce_over_ones(node: Apply) -> Variable | None:
    """Replace a reduction over axes of length 1 by dropping them."""
    (x,), axes = node.inputs, node.op["axes"]
    kept = [k for k in axes if not x.type.broadcastable[k]]
    if len(kept) == len(axes) and axes or x.dtype != node.outputs[0].dtype:
        return None
    order = [k for k in range(x.ndim) if k not in axes or k in kept]
    return _again(node, dimshuffled(x, order), [order.index(k) for k in kept])


def reduce_of_reduce(node: Apply) -> Variable | None:
    """Merge two reductions of the same kind into one over the axes of both."""
    (x,) = node.inputs
    if x.owner is None or x.owner.op.record is not node.op.record or x.dtype != x.owner.inputs[0].dtype:
        return None
    source, first = x.owner.inputs[0], x.owner.op["axes"]
    left = [k for k in range(source.ndim) if k not in first]
    return _again(node, source, sorted([*first, *(left[k] for k in node.op["axes"])]))


def reduce_of_dimshuffle(node: Apply) -> Variable | None:
    """Reduce before rearranging, if the result then needs no rearrangement."""
    (x,), axes = node.inputs, node.op["axes"]
    if record_of(x) is not DIMSHUFFLE:
        return None
    order, source = x.owner.op["order"], x.owner.inputs[0]  # type: ignore[union-attr]
    kept = [order[k] for k in range(x.ndim) if k not in axes]
    if "x" in kept or kept != sorted(kept):
        return None
    # axes dropped by the rearrangement had length 1: reducing over them changes nothing
    return _again(node, source, [k for k in range(source.ndim) if k not in kept])


def sum_of_neg(node: Apply) -> Variable | None:
    (x,) = node.inputs
    return ew.neg.op(node.op(x.owner.inputs[0])) if record_of(x) is NEG else None  # type: ignore[union-attr]


def sum_of_scaled(node: Apply) -> Variable | None:
    """Replace ``sum(x * s)`` by ``sum(x) * s`` for a known number s, if it cannot overflow earlier."""
    (x,), out = node.inputs, node.outputs[0]
    if record_of(x) not in (MUL, TRUE_DIV) or x.dtype == "bool":
        return None
    left, right = x.owner.inputs  # type: ignore[union-attr]
    choices = [(left, right)] if record_of(x) is TRUE_DIV else [(left, right), (right, left)]
    for values, scale in choices:
        number = known_number(scale)
        if number is None or not (abs(number) >= 1 if record_of(x) is MUL else 0 < abs(number) <= 1):
            continue
        if record_of(scale) is EXPAND and source_of(scale).ndim == 0:
            return x.owner.op(node.op(values), expand(source_of(scale), out.type.shape))  # type: ignore[union-attr]
    return None


def reduce_before_repeating(node: Apply) -> Variable | None:
    """Reduce the entries that a broadcast repeats along the axes that stay, and repeat the results."""
    (x,), axes, out = node.inputs, node.op["axes"], node.outputs[0]
    if record_of(x) is not EXPAND or not source_of(x).ndim:
        return None
    again = {k for k in range(x.ndim) if k not in axes and repeated(x)[k] and not x.type.broadcastable[k]}
    if not again:
        return None
    few = unrepeated(x, [1 if k in again else d for k, d in enumerate(x.type.shape)])
    return expand(_again(node, few, axes), out.type.shape)


def sum_of_expand(node: Apply) -> Variable | None:
    """Replace the sum of a broadcast by a product with the number of copies."""
    (x,), axes, out = node.inputs, node.op["axes"], node.outputs[0]
    if record_of(x) is not EXPAND or x.dtype == "bool":
        return None
    source = source_of(x)
    grown = [k for k in axes if repeated(x)[k]]
    if not grown:
        return None
    if source.ndim == 0:
        total = source
    else:
        summed = _again(node, source, axes)
        total = expand(summed, out.type.shape) if summed.ndim else summed
    count = _count(dims.product(x.type.shape[k] for k in grown), out.dtype)
    if source.ndim == 0:
        return expand(ew.mul.op(total, count), out.type.shape)
    return ew.mul.op(total, expand(count, out.type.shape) if out.ndim else count)


def _count(number: dims.Dim, dtype: str) -> Variable:
    return filled(np.asarray(number), dtype, ()) if type(number) is int else ew.cast(dim_value(number), dtype)


def sum_of_one_hot(node: Apply) -> Variable | None:
    """Replace a sum along an axis by its only non-zero entry, which is selected by a checked index."""
    (x,), axes, out = node.inputs, node.op["axes"], node.outputs[0]
    if record_of(x) is not SWITCH or len(axes) != 1:
        return None
    (axis,) = axes
    condition, value, rest = x.owner.inputs  # type: ignore[union-attr]
    if not is_constant(rest, 0) or not repeated(value)[axis] or not _names_one(condition, axis):
        return None
    source = source_of(value)
    if source.ndim == 0:
        return expand(source, out.type.shape)
    column = unrepeated(value, [1 if k == axis else d for k, d in enumerate(value.type.shape)])
    return dimshuffled(column, [k for k in range(x.ndim) if k != axis])


def _names_one(condition: Variable, axis: int) -> bool:
    """Whether the condition holds for exactly one position along ``axis``."""
    if record_of(condition) is not EQ:
        return False
    for counter, place in (condition.owner.inputs, condition.owner.inputs[::-1]):  # type: ignore[union-attr]
        if record_of(counter) is not IOTA_AT or counter.owner.op["axis"] != axis or not repeated(place)[axis]:  # type: ignore[union-attr]
            continue
        base = place
        while record_of(base) in (EXPAND, DIMSHUFFLE):
            base = base.owner.inputs[0]  # type: ignore[union-attr]
        if record_of(base) is CHECKED_INDEX:
            size = known_dim(base.owner.inputs[1])  # type: ignore[union-attr]
            return size is not None and dims.equal(size, counter.type.shape[axis]) is True
    return False


def extreme_of_join(node: Apply) -> Variable | None:
    """Replace an extremum over joined tensors by the extremum of the extrema, so that nothing is joined."""
    (x,), axes = node.inputs, node.op["axes"]
    if record_of(x) is not JOIN or x.owner.op["axis"] not in axes:  # type: ignore[union-attr]
        return None
    parts = x.owner.inputs  # type: ignore[union-attr]
    if len(parts) > MOST_JOINED or any(dims.equal(d, 0) is True for p in parts for d in p.type.shape):
        return None
    combine = {MAX: ew.maximum, MIN: ew.minimum, ANY: ew.or_, ALL: ew.and_}[node.op.record].op
    result, *others = (node.op(p) for p in parts)
    for other in others:
        result = combine(result, other)
    return result


def extreme_of_expand(node: Apply) -> Variable | None:
    """Replace the extremum of a broadcast value by the value, if there is any element."""
    (x,), axes, out = node.inputs, node.op["axes"], node.outputs[0]
    if record_of(x) is not EXPAND:
        return None
    source = source_of(x)
    lengths = [x.type.shape[k] for k in axes]
    if not all(repeated(x)[k] for k in axes) or not all(type(d) is int and d > 0 for d in lengths):
        return None
    if source.ndim == 0:
        return expand(source, out.type.shape)
    return expand(dimshuffled(source, [k for k in range(x.ndim) if k not in axes]), out.type.shape)


_REDUCTIONS = (SUM, PROD, MAX, MIN, ANY, ALL)


def extreme_of_cast(node: Apply) -> Variable | None:
    """Compare integers before they are converted to a wider dtype, in more lanes."""
    (x,) = node.inputs
    if record_of(x) is not CAST or node.outputs[0].dtype != x.dtype:
        return None
    source = x.owner.inputs[0]  # type: ignore[union-attr]
    if not (is_integer(x.dtype) and is_integer(source.dtype)) or not np.can_cast(source.dtype, x.dtype):
        return None
    return ew.cast(node.op(source), x.dtype)


MOST_JOINED = 4
"""The largest number of joined tensors that are reduced one by one."""

REDUCING = RuleList(
    "reducing",
    [
        NodeRule("reduce_over_ones", _REDUCTIONS, reduce_over_ones),
        NodeRule("reduce_of_reduce", _REDUCTIONS, reduce_of_reduce),
        NodeRule("reduce_of_dimshuffle", _REDUCTIONS, reduce_of_dimshuffle),
        NodeRule("reduce_before_repeating", _REDUCTIONS, reduce_before_repeating),
        NodeRule("sum_of_neg", (SUM,), sum_of_neg),
        NodeRule("sum_of_scaled", (SUM,), sum_of_scaled),
        NodeRule("sum_of_expand", (SUM,), sum_of_expand),
        NodeRule("sum_of_one_hot", (SUM,), sum_of_one_hot),
        NodeRule("extreme_of_cast", (MAX, MIN), extreme_of_cast),
        NodeRule("extreme_of_join", (MAX, MIN, ANY, ALL), extreme_of_join),
        NodeRule("extreme_of_expand", (MAX, MIN, ANY, ALL), extreme_of_expand),
    ],
)
