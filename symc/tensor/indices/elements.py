"""What the ops that read and write parts of tensors share: how an element is written, and which elements matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Constant, Variable, dims
from symc.graph.dtypes import is_integer
from symc.graph.gradient_flow import Choice
from symc.graph.op import Axes, Op
from symc.loops.expr import Expr
from symc.loops.ir import Accumulate, Statement, Store
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.creation import ARANGE_OF

__all__ = ["by_position", "by_replacing", "loops_of_writes", "put", "zeros_of"]


def zeros_of(template: Variable, dtype: str | None = None) -> Variable:
    """Zeros of the shape of ``template``."""
    return broadcast_like(Constant(np.zeros((), dtype or template.dtype)), template)


def by_position(op: Op) -> Choice:
    """What an op that reads a part chooses by: positions."""
    return Choice.POSITION


def by_replacing(op: Op) -> Choice | None:
    """The same for an op that writes a part, if it replaces elements."""
    return Choice.POSITION if op["replace"] else None


def put(node: Apply, ctx: Any, place: Expr, value: Expr) -> Statement:
    """The statement that replaces an element of the output by ``value`` or adds to it, depending on the op."""
    if node.op["replace"]:
        return Store(ctx.output(), place, value)
    return Accumulate(ctx.output(), place, value, "add")


def _order_of_writes(node: Apply) -> str:
    """The kind of a scatter's loop: values are added in any order, but of replacing values the last one must stay."""
    return "serial" if node.op["replace"] else "unordered"


def _is_one(dim: dims.Dim) -> bool:
    return type(dim) is int and dim == 1


def _counted_axis(i: Variable) -> int | None:
    """The axis along which the elements of an index array are different numbers, and the same along all others."""
    path = []
    while i.owner is not None and isinstance(i.owner.op.record.lower, Axes):
        path.append(i.owner.op.record.lower.source(i.owner.op, i.owner))
        i = i.owner.inputs[0]
    node = i.owner
    if node is None or node.op.record is not ARANGE_OF or not isinstance(node.inputs[1], Constant):
        return None
    axis: int | None = 0 if is_integer(i.dtype) and node.inputs[1].data else None
    for source in reversed(path):
        axis = None if axis is None else source[axis]
    return axis


def loops_of_writes(
    node: Apply,
    ctx: Any,
    shape: Sequence[dims.Dim],
    indices: Sequence[Variable],
    write: Callable[[list[Expr], list[Statement]], None],
    before: Callable[[list[Expr], list[Statement]], None] | None = None,
) -> list[Statement]:
    """The loops of a scatter of a value of this ``shape`` at index arrays.

    ``write(index, statements)`` adds what writes an element, and ``before`` what precedes each row. If the index arrays
    choose elements of the last axis, there are no rows to write: threads have planes of their own, if there are any.
    They also have if an index array counts along an axis.
    """
    place, count = node.op["place"], indices[0].ndim
    order = _order_of_writes(node)
    rows = len(shape) > place + count  # whether the last axis is written as a whole
    own = {place + a for i in indices if (a := _counted_axis(i)) is not None and not _is_one(shape[place + a])}
    inner = [k for k in range(place, place + count) if k not in own]
    if ctx.machine.scatters and node.outputs[0].ndim - 1 in node.op["axes"]:
        loops = ctx.planes(shape, inner, write, order)
        length, each = shape[0] if shape else 1, dims.product(shape[1:])
    elif ctx.machine.scatters and own:
        return ctx.planes(shape, inner, write, order, before if rows else None, rows)  # type: ignore[no-any-return]
    else:
        loops = [ctx.nest(shape, write, order, simd=rows, before=before if rows else None)]
        length, each = (dims.product(shape[:-1]), shape[-1]) if rows else (dims.product(shape), 1)
    if not ctx.machine.scatters or [s.kind for s in loops] != ["unordered"] or not loops[0].body:
        return loops  # type: ignore[no-any-return]
    return ctx.in_parts(loops[0], length, each)
