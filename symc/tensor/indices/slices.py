"""Regular parts of tensors: ``slice`` reads a part (a start, a length and a step per axis), ``write_slice`` writes it.

Each is the gradient of the other. ``part`` views memory as a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Constant, Variable, dims
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Indexed, Loops, Op, View, record
from symc.graph.types import TensorType
from symc.loops.expr import ONE, Expr
from symc.loops.ir import Statement
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import constant
from symc.tensor.broadcasting import broadcast_like, expand
from symc.tensor.indices.elements import by_position, by_replacing, put, zeros_of
from symc.tensor.symbolic_dims import as_dim

__all__ = ["PART", "SLICE", "SLICE_AT", "WRITE_AT", "WRITE_SLICE", "part", "part_of"]


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
    nowhere = zeros_of(inputs[0], "bool")
    read = _write(nowhere, broadcast_like(counts, outputs[0]), inputs[1:], op["steps"], True)
    return [read, *[None] * (len(inputs) - 1)]


SLICE = record(
    "slice",
    foldable=True,
    infer=_slice_infer,
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    numpy=lambda op, x, *bounds: x[_slices(op, bounds)],
    grad=lambda op, inputs, outputs, gs: [
        _write(zeros_of(inputs[0]), gs[0], inputs[1:], op["steps"], False),
        *[None] * (len(inputs) - 1),
    ],
    reach=Reach(_slice_reach, partial=by_position),
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
    to_x = _write(g, zeros_of(y), bounds, op["steps"], True) if op["replace"] else g
    return [to_x, Op(SLICE, steps=op["steps"])(g, *bounds), *[None] * len(bounds)]


def _write_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    x, y, *bounds = inputs
    everywhere = broadcast_like(counts, outputs[0])
    of_x = _write(everywhere, zeros_of(y, "bool"), bounds, op["steps"], True) if op["replace"] else counts
    return [of_x, Op(SLICE, steps=op["steps"])(everywhere, *bounds), *[None] * len(bounds)]


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
    reach=Reach(_write_reach, partial=by_replacing),
    linear="jointly",
    specialise=lambda op, inputs, types: Op(WRITE_AT, **op.attrs)(inputs[0], inputs[1], *inputs[2::2]),
)


def _write(x: Variable, y: Variable, bounds: Sequence[Variable], steps: tuple[int, ...], replace: bool) -> Variable:
    return Op(WRITE_SLICE, steps=steps, replace=replace)(x, y, *bounds)
