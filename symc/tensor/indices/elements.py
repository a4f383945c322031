"""What the ops that read and write parts of tensors share: how an element is written, and which elements matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Constant, Variable, dims
from symc.graph.gradient_flow import Choice
from symc.graph.op import Op
from symc.loops.expr import Expr
from symc.loops.ir import Accumulate, Statement, Store
from symc.tensor.broadcasting import broadcast_like

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


def loops_of_writes(
    node: Apply,
    ctx: Any,
    shape: Sequence[dims.Dim],
    count: int,
    write: Callable[[list[Expr], list[Statement]], None],
    before: Callable[[list[Expr], list[Statement]], None] | None = None,
) -> list[Statement]:
    """The loops of a scatter of a value of this ``shape``, whose index arrays have ``count`` axes.

    ``write(index, statements)`` adds what writes an element, and ``before`` what precedes each row. If the index arrays
    choose elements of the last axis, there are no rows to write: threads have planes of their own, if there are any.
    """
    x, place = node.inputs[0], node.op["place"]
    order = _order_of_writes(node)
    if ctx.machine.scatters and x.ndim - 1 in node.op["axes"]:
        loops = ctx.planes(shape, range(place, place + count), write, order)
        length, each = shape[0] if shape else 1, dims.product(shape[1:])
    else:
        rows = len(shape) > place + count  # whether the last axis is written as a whole
        loops = [ctx.nest(shape, write, order, simd=rows, before=before if rows else None)]
        length, each = (dims.product(shape[:-1]), shape[-1]) if rows else (dims.product(shape), 1)
    if not ctx.machine.scatters or [s.kind for s in loops] != ["unordered"] or not loops[0].body:
        return loops  # type: ignore[no-any-return]
    return ctx.in_parts(loops[0], length, each)
