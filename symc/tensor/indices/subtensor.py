"""The primitives of indexing.

``slice`` reads a regular part (a start, a length and a step per axis), ``gather`` reads at index arrays; each has a
writing counterpart (``write_slice``, ``scatter``), which is also its gradient. At repeated indices, all added values
are summed; of replacing values the last one stays, and only it has a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.dtypes import is_integer
from symc.graph.gradient_flow import Choice, Reach, Selected
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Indexed, Loops, Op, Record, View, record
from symc.graph.types import TensorType
from symc.loops.expr import ONE, Expr
from symc.loops.ir import Accumulate, Statement, Store
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant
from symc.tensor.broadcasting import broadcast_like, expand
from symc.tensor.checked import checked_below
from symc.tensor.creation import alloc, arange
from symc.tensor.reshaping import reshape_like
from symc.tensor.shaping import size
from symc.tensor.symbolic_dims import as_dim, length, shape_i

__all__ = [
    "GATHER",
    "PART",
    "SCATTER",
    "SLICE",
    "SLICE_AT",
    "WRITE_AT",
    "WRITE_SLICE",
    "loops_of_writes",
    "part",
    "part_of",
    "put",
    "valid_index",
]


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


def _zeros(template: Variable, dtype: str | None = None) -> Variable:
    return broadcast_like(Constant(np.zeros((), dtype or template.dtype)), template)


def put(node: Apply, ctx: Any, place: Expr, value: Expr) -> Statement:
    """The statement that replaces an element of the output by ``value`` or adds to it, depending on the op."""
    if node.op["replace"]:
        return Store(ctx.output(), place, value)
    return Accumulate(ctx.output(), place, value, "add")


def _slice_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, *bounds = inputs
    return TensorType(x.dtype, [as_dim(length) for length in bounds[1::2]])


def _slices(op: Op, bounds: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    return np.ix_(*[int(s) + np.arange(int(n)) * step for s, n, step in zip(bounds[::2], bounds[1::2], op["steps"])])


def _slice_element(
    node: Apply, at: tuple[Expr, ...], read: Callable[..., Expr], size: Callable[[Any], Expr], step: Expr = ONE
) -> Expr:
    tail, starts = _slice_tail(node), [read(1 + k, ()) for k in range(len(at))]
    if tail is not None:
        starts[tail] = starts[tail] * step
    return read(0, [start + i * by for start, i, by in zip(starts, at, node.op["steps"])])


def _slice_tail(node: Apply) -> int | None:
    """The last axis of which a part is read without steps, or else the one behind it, if others follow."""
    shape = node.outputs[0].type.shape
    last = len(shape) - 1
    while last > 0 and _is_whole(node, last):
        last -= 1
    first = last if last >= 0 and node.op["steps"][last] == 1 else last + 1
    return first if first + 1 < len(shape) else None


def _is_whole(node: Apply, axis: int) -> bool:
    x, out = node.inputs[0], node.outputs[0]
    if node.op["steps"][axis] != 1 or not _starts_at_zero(node.inputs[1 + axis]):
        return False
    return dims.equal(out.type.shape[axis], x.type.shape[axis]) is True


def _with_lengths(starts: Sequence[np.ndarray], shape: Sequence[int]) -> list[Any]:
    return [b for pair in zip(starts, shape) for b in pair]


PART = record(
    "part",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: x.reshape(-1)[op["offset"] :][: math.prod(op["shape"])].reshape(op["shape"]),
    lower=View(lambda node: node.op["offset"]),
)


def part_of(shape: Sequence[dims.Dim], offset: dims.Dim) -> Op:
    """The op that views memory from element ``offset`` on as a tensor of this shape."""
    return Op(PART, shape=tuple(shape), offset=offset)


def part(x: Variable, shape: Sequence[dims.Dim], offset: dims.Dim) -> Variable:
    """View the elements of ``x`` from flat position ``offset`` on as a tensor of this shape; for the compiler."""
    return part_of(shape, offset)(x)


def _contiguous(node: Apply) -> list[int] | None:
    """The starts on the leading axes, if the slice is contiguous: axes of 1, then one range, then whole axes."""
    shape = node.outputs[0].type.shape
    if any(step != 1 for step in node.op["steps"]) or not shape:
        return None
    last = len(shape)
    while last and _is_whole(node, last - 1):
        last -= 1
    if any(not (type(d) is int and d == 1) for d in shape[: max(last - 1, 0)]):
        return None
    return list(range(1, last + 1))


def _starts_at_zero(v: Variable) -> bool:
    return isinstance(v, Constant) and int(v.data) == 0


def _slice_batch(op: Op, inputs: Sequence[Variable], stacked: Sequence[bool], count: dims.Dim) -> Variable | None:
    """The same part of every entry."""
    if any(stacked[1:]):
        return None
    first = constant(0, dtype="int64")
    return Op(SLICE_AT, steps=(1, *op["steps"]), shape=(count, *op["shape"]))(inputs[0], first, *inputs[1:])


SLICE_AT = record(
    "slice_at",
    batch=_slice_batch,
    foldable=True,
    contiguous=_contiguous,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x, *starts: x[_slices(op, _with_lengths(starts, op["shape"]))],
    lower=Indexed(_slice_element, tail=_slice_tail),
    moves=lambda op: slice(0, 1),
    nonnegative="all",
)


def _slice_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    nowhere = _zeros(inputs[0], "bool")
    read = _write(nowhere, broadcast_like(counts, outputs[0]), inputs[1:], op["steps"], True)
    return [read, *[None] * (len(inputs) - 1)]


def _by_position(op: Op) -> Choice:
    return Choice.POSITION


SLICE = record(
    "slice",
    foldable=True,
    infer=_slice_infer,
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    numpy=lambda op, x, *bounds: x[_slices(op, bounds)],
    grad=lambda op, inputs, outputs, gs: [
        _write(_zeros(inputs[0]), gs[0], inputs[1:], op["steps"], False),
        *[None] * (len(inputs) - 1),
    ],
    reach=Reach(_slice_reach, partial=_by_position),
    linear="jointly",
    specialise=lambda op, inputs, types: Op(SLICE_AT, steps=op["steps"], shape=types[0].shape)(
        inputs[0], *inputs[1::2]
    ),
    cases=lambda: [
        Case(lambda x: x[1:], (Arg((4, 3)),), expect=lambda x: x[1:]),
        Case(lambda x: x[:, -1], (Arg((4, 3)),), expect=lambda x: x[:, -1]),
        Case(lambda x: x[::-1, ::2], (Arg((4, 5)),), expect=lambda x: x[::-1, ::2]),
        Case(lambda x: x[-3:-1], (Arg((5,)),), expect=lambda x: x[-3:-1]),
        Case(lambda x: x[2:100, None, ..., 0], (Arg((4, 2, 3)),), expect=lambda x: x[2:100, None, ..., 0]),
        Case(lambda x: x[5:2], (Arg((6,)),), expect=lambda x: x[5:2], grad=False),
        Case(lambda x: x[4:1:-2], (Arg((6,)),), expect=lambda x: x[4:1:-2]),
        Case(lambda x, i: x[i], (Arg((4, 3)), Arg((), "int32", values=-2)), expect=lambda x, i: x[i]),
        Case(
            lambda x, i: x[i * 2 : (i + 1) * 2], (Arg((5, 3)), Arg((), "int64", values=2)), expect=lambda x, i: x[4:6]
        ),
        Case(lambda x, i: x[:i], (Arg((5,)), Arg((), "int64", values=-2)), expect=lambda x, i: x[:-2]),
    ],
)


def _write_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, y, *bounds = inputs
    for axis, (have, want) in enumerate(zip(y.type.shape, bounds[1::2])):
        require_equal(
            have,
            as_dim(want),
            f"writing into a part of a tensor: the value does not fit on axis {axis}",
            [x, y],
            "the value must broadcast to the part",
        )
    return TensorType(x.dtype, x.type.shape)


def _write_numpy(op: Op, x: np.ndarray, y: np.ndarray, *bounds: np.ndarray) -> np.ndarray:
    out = x.copy()
    if op["replace"]:
        out[_slices(op, bounds)] = y
    else:
        out[_slices(op, bounds)] += y
    return out


def _write_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    x, y, *bounds = inputs
    (g,) = gs
    to_x = _write(g, _zeros(y), bounds, op["steps"], True) if op["replace"] else g
    return [to_x, Op(SLICE, steps=op["steps"])(g, *bounds), *[None] * len(bounds)]


def _write_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    x, y, *bounds = inputs
    everywhere = broadcast_like(counts, outputs[0])
    of_x = _write(everywhere, _zeros(y, "bool"), bounds, op["steps"], True) if op["replace"] else counts
    return [of_x, Op(SLICE, steps=op["steps"])(everywhere, *bounds), *[None] * len(bounds)]


def _by_replacing(op: Op) -> Choice | None:
    return Choice.POSITION if op["replace"] else None


def _write_build(node: Apply, ctx: Any) -> list[Statement]:
    x, y = node.inputs[:2]
    statements = ctx.copy(0)

    def body(at: list[Expr], inside: list[Statement]) -> None:
        value = ctx.load(inside, 1, at)
        target = [ctx.load(inside, 2 + k, ()) + i * step for k, (i, step) in enumerate(zip(at, node.op["steps"]))]
        place = ctx.flat(x, target)
        inside.append(put(node, ctx, place, value))

    statements.append(ctx.nest(y.type.shape, body, simd=True))
    return statements


def _write_batch(op: Op, inputs: Sequence[Variable], stacked: Sequence[bool], count: dims.Dim) -> Variable | None:
    """Write the same part of every entry."""
    if any(stacked[2:]):
        return None
    x, y = (v if s else _repeated(v, count) for v, s in zip(inputs[:2], stacked))
    return Op(WRITE_AT, **{**op.attrs, "steps": (1, *op["steps"])})(x, y, constant(0, dtype="int64"), *inputs[2:])


def _repeated(x: Variable, count: dims.Dim) -> Variable:
    return expand(dimshuffle(x, ["x", *range(x.ndim)]), (count, *x.type.shape))


WRITE_AT = record(
    "write_at",
    batch=_write_batch,
    foldable=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=lambda op, x, y, *starts: _write_numpy(op, x, y, *_with_lengths(starts, y.shape)),
    lower=Loops(_write_build, in_place=0),
    moves=lambda op: slice(0, 2) if op["replace"] else None,
)


WRITE_SLICE = record(
    "write_slice",
    infer=_write_infer,
    moves=lambda op: slice(0, 2) if op["replace"] else None,
    numpy=_write_numpy,
    grad=_write_grad,
    reach=Reach(_write_reach, partial=_by_replacing),
    linear="jointly",
    specialise=lambda op, inputs, types: Op(WRITE_AT, **op.attrs)(inputs[0], inputs[1], *inputs[2::2]),
)


def _write(x: Variable, y: Variable, bounds: Sequence[Variable], steps: tuple[int, ...], replace: bool) -> Variable:
    return Op(WRITE_SLICE, steps=steps, replace=replace)(x, y, *bounds)


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
    read = Op(SCATTER, axes=op["axes"], place=op["place"], replace=False)(_zeros(x, "int32"), times, *indices)
    return [ew.gt(read, 0), *[None] * len(indices)]


GATHER = record(
    "gather",
    foldable=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _gather_shape(op, inputs)),
    numpy=_gather_numpy,
    grad=lambda op, inputs, outputs, gs: [
        Op(SCATTER, axes=op["axes"], place=op["place"], replace=False)(_zeros(inputs[0]), gs[0], *inputs[1:]),
        *[None] * (len(inputs) - 1),
    ],
    reach=Reach(_gather_reach, partial=_by_position),
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
    return [Op(op.record, **op.attrs)(g, _zeros(y), *indices), read, *[None] * len(indices)]


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
    of_x = Op(op.record, **op.attrs)(everywhere, _zeros(y, "bool"), *indices) if op["replace"] else counts
    of_y = Op(GATHER, axes=op["axes"], place=op["place"])(everywhere, *indices)
    return [of_x, of_y, *[None] * len(indices)]


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
    if ctx.machine.scatters and x.ndim - 1 in node.op["axes"]:
        return ctx.planes(shape, range(place, place + count), write)  # type: ignore[no-any-return]
    rows = len(shape) > place + count  # whether the last axis is written as a whole
    return [ctx.nest(shape, write, _order_of_writes(node), simd=rows, before=before if rows else None)]


def _scatter_build(node: Apply, ctx: Any) -> list[Statement]:
    x, y = node.inputs[:2]
    statements = ctx.copy(0)

    def body(at: list[Expr], inside: list[Statement]) -> None:
        value = ctx.load(inside, 1, at)
        place = ctx.flat(x, _gather_position(node, at, lambda k, i: ctx.load(inside, k, i), 2))
        inside.append(put(node, ctx, place, value))

    return statements + loops_of_writes(node, ctx, y.type.shape, node.inputs[2].ndim, body)


SCATTER: Record = record(
    "scatter",
    infer=_scatter_infer,
    numpy=_scatter_numpy,
    grad=_scatter_grad,
    reach=Reach(_scatter_reach, partial=_by_replacing),
    linear="jointly",
    moves=lambda op: slice(0, 2) if op["replace"] else None,
    lower=Loops(_scatter_build, in_place=0),
)
