"""Elements at index arrays: ``gather`` reads them, ``scatter`` writes them or adds to them, which is its gradient.

At repeated indices, all added values are summed; of replacing values the last one stays, and only it has a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.dtypes import is_integer
from symc.graph.gradient_flow import Choice, Reach, Selected
from symc.graph.guards import require_equal
from symc.graph.op import Indexed, Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import ONE, Expr
from symc.loops.ir import Statement
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.checked import checked_below
from symc.tensor.creation import alloc, arange
from symc.tensor.indices.elements import by_position, by_replacing, loops_of_writes, put, zeros_of
from symc.tensor.reshaping import reshape_like
from symc.tensor.shaping import size
from symc.tensor.symbolic_dims import length, shape_i

__all__ = ["GATHER", "SCATTER", "valid_index"]


def valid_index(i: Any, x: Variable, axis: int) -> Variable:
    """Convert ``i`` to checked non-negative int64 indices into ``axis`` of ``x``."""
    i = as_tensor(i)
    if not is_integer(i.dtype):
        text = f"indexing: an index must be an integer, got {i.dtype}"
        raise TypeError(located(text, [x, i], "cast it to int64"))
    text = f"indexing: an index is out of range for axis {axis}"
    dim = x.type.shape[axis]
    if isinstance(i, Constant) and type(dim) is int:
        if np.any(i.data < -dim) or np.any(i.data >= dim):
            shown = f"index {i.data}" if i.data.size < 5 else "an index"
            raise IndexError(located(f"indexing: {shown} is out of range for axis {axis} of {dim}", [x]))
    return checked_below(i, length(x, axis), text, "check the index against the shape it goes into", wrap=True)


def _gather_shape(op: Op, inputs: Sequence[Variable]) -> list[dims.Dim]:
    x, first, *others = inputs
    for other in others:
        for axis, (have, want) in enumerate(zip(other.type.shape, first.type.shape)):
            text = f"indexing: index arrays differ in length on axis {axis}"
            require_equal(have, want, text, [first, other], "index arrays beside each other select element by element")
    rest = [d for k, d in enumerate(x.type.shape) if k not in op["axes"]]
    return [*rest[: op["place"]], *first.type.shape, *rest[op["place"] :]]


def _gather_position(
    node: Apply, at: Sequence[Expr], load: Callable[[int, Sequence[Expr]], Expr], first: int
) -> list[Expr]:
    """The position in ``x`` of the element ``at`` of the result; index arrays start at input ``first``."""
    place, axes = node.op["place"], node.op["axes"]
    count = node.inputs[first].ndim
    inside = at[place : place + count]
    rest = iter([*at[:place], *at[place + count :]])
    return [load(first + axes.index(k), inside) if k in axes else next(rest) for k in range(node.inputs[0].ndim)]


def _gather_along(node: Apply) -> list[tuple[int, ...] | None]:
    place = node.op["place"]
    return [None, *[tuple(range(place, place + v.ndim)) for v in node.inputs[1:]]]


def _gather_tail(node: Apply) -> int | None:
    """The first of the axes behind the chosen ones, if several follow both these and the axes of the indices."""
    x, first = node.inputs[:2]
    end = node.op["place"] + first.ndim
    behind = x.ndim - 1 - max(node.op["axes"])
    return end if behind > 1 and end + behind == node.outputs[0].ndim else None


def _gather_numpy(op: Op, x: np.ndarray, *indices: np.ndarray) -> np.ndarray:
    moved = np.moveaxis(x, op["axes"], range(len(op["axes"])))[tuple(indices)]
    count = indices[0].ndim
    return np.moveaxis(moved, range(count), range(op["place"], op["place"] + count))


def _gather_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    x, *indices = inputs
    times = ew.cast(broadcast_like(counts, outputs[0]), "int32")
    read = Op(SCATTER, axes=op["axes"], place=op["place"], replace=False)(zeros_of(x, "int32"), times, *indices)
    return [ew.gt(read, 0), *[None] * len(indices)]


GATHER = record(
    "gather",
    foldable=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _gather_shape(op, inputs)),
    numpy=_gather_numpy,
    grad=lambda op, inputs, outputs, gs: [
        Op(SCATTER, axes=op["axes"], place=op["place"], replace=False)(zeros_of(inputs[0]), gs[0], *inputs[1:]),
        *[None] * (len(inputs) - 1),
    ],
    reach=Reach(_gather_reach, partial=by_position),
    linear="jointly",
    lower=Indexed(
        lambda node, at, read, size, step=ONE: read(0, _gather_position(node, at, read, 1)),
        along=_gather_along,
        tail=_gather_tail,
    ),
    moves=lambda op: slice(0, 1),
    nonnegative="all",
)


def _scatter_numpy(op: Op, x: np.ndarray, y: np.ndarray, *indices: np.ndarray) -> np.ndarray:
    out = x.copy()
    moved = np.moveaxis(out, op["axes"], range(len(op["axes"])))
    count = indices[0].ndim
    values = np.moveaxis(y, range(op["place"], op["place"] + count), range(count))
    if op["replace"]:
        moved[tuple(indices)] = values
    else:
        np.add.at(moved, tuple(indices), values)
    return out


def _scatter_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, y, *indices = inputs
    wanted = _gather_shape(op, [x, *indices])
    for axis, (have, want) in enumerate(zip(y.type.shape, wanted)):
        require_equal(
            have,
            want,
            f"writing at index arrays: the value does not fit on axis {axis}",
            [x, y],
            "the value must broadcast to the part",
        )
    return TensorType(x.dtype, x.type.shape)


def _scatter_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    x, y, *indices = inputs
    (g,) = gs
    read = Op(GATHER, axes=op["axes"], place=op["place"])(g, *indices)
    if not op["replace"]:
        return [g, read, *[None] * len(indices)]
    stays = _last_writes(x, op["axes"], indices)
    if stays is not None:
        count, place = indices[0].ndim, op["place"]
        order = ["x"] * place + list(range(count)) + ["x"] * (y.ndim - place - count)
        read = Selected(dimshuffle(stays, order), read, choice=Choice.POSITION)
    return [Op(op.record, **op.attrs)(g, zeros_of(y), *indices), read, *[None] * len(indices)]


def _last_writes(x: Variable, axes: Sequence[int], indices: Sequence[Variable]) -> Variable | None:
    """Whether each entry of the index arrays is the last with its index; None if no index is repeated."""
    if any(_distinct(i) for i in indices):
        return None
    first = indices[0]
    if all(isinstance(i, Constant) for i in indices):
        places = np.stack([i.data.ravel() for i in indices], 1)  # type: ignore[attr-defined]
        found, last = np.unique(places[::-1], axis=0, return_index=True)
        if len(found) == len(places):
            return None
        stays = np.zeros(len(places), bool)
        stays[len(places) - 1 - last] = True
        return constant(stays.reshape(first.type.shape))
    lengths = [shape_i(x, k) for k in axes]
    lined_up = {"axes": tuple(range(len(axes))), "place": 0}
    number = reshape_like(arange(size(first)), first)
    latest = Op(SCATTER, **lined_up, replace=True)(alloc(constant(0, dtype="int64"), lengths), number, *indices)
    return ew.eq(Op(GATHER, **lined_up)(latest, *indices), number)


def _distinct(i: Variable) -> bool:
    """Whether a vector of indices is known to have no repetitions."""
    while i.ndim == 1 and i.owner is not None and i.owner.op.record.distinct is not None:
        found = i.owner.op.record.distinct(i.owner)
        if isinstance(found, bool):
            return found
        i = found
    return False


def _scatter_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    x, y, *indices = inputs
    everywhere = broadcast_like(counts, outputs[0])
    of_x = Op(op.record, **op.attrs)(everywhere, zeros_of(y, "bool"), *indices) if op["replace"] else counts
    of_y = Op(GATHER, axes=op["axes"], place=op["place"])(everywhere, *indices)
    return [of_x, of_y, *[None] * len(indices)]


def _scatter_build(node: Apply, ctx: Any) -> list[Statement]:
    x, y = node.inputs[:2]
    statements = ctx.copy(0)

    def body(at: list[Expr], inside: list[Statement]) -> None:
        value = ctx.load(inside, 1, at)
        place = ctx.flat(x, _gather_position(node, at, lambda k, i: ctx.load(inside, k, i), 2))
        inside.append(put(node, ctx, place, value))

    return statements + loops_of_writes(node, ctx, y.type.shape, node.inputs[2:], body)


SCATTER: Record = record(
    "scatter",
    infer=_scatter_infer,
    numpy=_scatter_numpy,
    grad=_scatter_grad,
    reach=Reach(_scatter_reach, partial=by_replacing),
    linear="jointly",
    moves=lambda op: slice(0, 2) if op["replace"] else None,
    lower=Loops(_scatter_build, in_place=0),
)
