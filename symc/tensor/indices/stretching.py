"""Broadcasting along axes whose length is found to be 1 at call time.

Elementwise functions broadcast only axes known to have length 1. Indexing follows NumPy: a value whose length is 1 at
call time is broadcast to a part of any length, and so are index arrays beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Apply, Variable, dims
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Indexed, Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, const, index, select, var
from symc.loops.ir import Accumulate, For, If, Statement, Store
from symc.tensor.broadcasting import expand, sum

__all__ = ["STRETCH_AT", "UNSTRETCH_AT", "stretch", "stretch_together"]

_REPAIR = "the value must broadcast to the part"


def _decided(have: dims.Dim, want: dims.Dim) -> bool | None:
    """Whether an axis is broadcast; None if known only at call time."""
    if dims.equal(have, want) is True or (type(have) is int and have != 1) or (type(want) is int and want == 1):
        return False
    return True if type(have) is int else None


def _common(a: dims.Dim, b: dims.Dim) -> dims.Dim:
    """The length of an axis to which lengths that are equal, or of which one is 1, are broadcast."""
    if dims.equal(a, b) is True or (type(b) is int and b == 1):
        return a
    if type(b) is int or (type(a) is int and a == 1):
        return b
    if type(a) is int:
        return a
    return dims.mul(dims.maximum(a, b), dims.minimum(1, dims.minimum(a, b)))  # 0 beside 1 is 0


def _check_axis(text: str, have: dims.Dim, want: dims.Dim, operands: Sequence[Variable], repair: str) -> None:
    """Require that an axis of length ``have`` can be broadcast to ``want``."""
    decided = _decided(have, want)
    if decided is False:
        require_equal(have, want, text, operands, repair)
    elif decided is None:  # equal, or 1
        require_equal(dims.mul(dims.sub(have, 1), dims.sub(have, want)), 0, text, operands, repair)


def _stretch_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, template = inputs
    if x.ndim != template.ndim:
        raise ShapeError(located(f"{op['what']}: the value must have as many axes as the part", inputs))
    for axis, (have, want) in enumerate(zip(x.type.shape, template.type.shape)):
        _check_axis(f"{op['what']}: the value does not fit the part on axis {axis}", have, want, inputs, _REPAIR)
    return TensorType(x.dtype, template.type.shape)


def _together_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    shape = [reduce(_common, lengths) for lengths in zip(*(v.type.shape for v in inputs))]
    for axis, (have, want) in enumerate(zip(inputs[0].type.shape, shape)):
        text = f"{op['what']}: index arrays do not go together on axis {axis}"
        _check_axis(text, have, want, inputs, "their lengths must be equal, or 1")
    return TensorType(inputs[0].dtype, shape)


def _stretch_specialised(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Variable:
    """Write a stretch by what is known of the lengths: nothing, a repetition, or a choice at call time."""
    x, shape = inputs[0], types[0].shape
    known = [_decided(have, want) for have, want in zip(x.type.shape, shape)]
    if None in known:
        return Op(STRETCH_AT, shape=shape)(x)
    return expand(x, [want if grows else have for grows, have, want in zip(known, x.type.shape, shape)])


def _position(at: Sequence[Expr], shape: Sequence[dims.Dim], size: Any) -> list[Expr]:
    """Convert an index into the stretched tensor to an index into the tensor of ``shape``."""
    position: list[Expr] = []
    for i, d in zip(at, shape):
        if type(d) is int:
            position.append(index(0) if d == 1 else i)
        else:
            position.append(select(call("eq", size(d), index(1)), index(0), i))
    return position


STRETCH_AT = record(
    "stretch_at",
    partwise=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: np.broadcast_to(x, op["shape"]),
    lower=Indexed(lambda node, at, read, size: read(0, _position(at, node.inputs[0].type.shape, size))),
)

STRETCH = record(
    "stretch",
    partwise=True,
    infer=_stretch_infer,
    numpy=lambda op, x, template: np.broadcast_to(x, template.shape),
    grad=lambda op, inputs, outputs, gs: [Op(_unstretch)(gs[0], inputs[0]), None],
    specialise=_stretch_specialised,
    cases=lambda: [
        Case(lambda x, y: stretch("stretch", x, y), (Arg((1, 3)), Arg((2, 3))), expect=lambda x, y: np.tile(x, (2, 1))),
        Case(lambda x, y: stretch("stretch", x, y), (Arg((1, 1)), Arg((2, 3))), expect=lambda x, y: np.tile(x, (2, 3))),
        Case(lambda x, y: stretch("stretch", x, y) * 2, (Arg((3,)), Arg((3,))), expect=lambda x, y: x * 2),
    ],
)


STRETCH_TOGETHER = record(
    "stretch_together",
    infer=_together_infer,
    numpy=lambda op, x, *others: np.broadcast_to(x, np.broadcast_shapes(x.shape, *(v.shape for v in others))),
    grad=lambda op, inputs, outputs, gs: [None] * len(inputs),
    specialise=_stretch_specialised,
    cases=lambda: [
        Case(
            lambda i, j: stretch_together("indexing", [i, j])[0] * 2 + stretch_together("indexing", [i, j])[1],
            (Arg((length,), dtype="int64"), Arg((3,), dtype="int64")),
            expect=lambda i, j: i * 2 + j,
            grad=False,
        )
        for length in (1, 3)
    ],
)


def _sum_to_numpy(x: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    grown = tuple(k for k, (have, want) in enumerate(zip(x.shape, shape)) if want == 1 and have != 1)
    return x.sum(grown, keepdims=True, dtype=x.dtype)


def _unstretch_specialised(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Variable:
    g, shape = inputs[0], types[0].shape
    known = [_decided(have, want) for have, want in zip(shape, g.type.shape)]
    if None in known:
        return Op(UNSTRETCH_AT, shape=shape)(g)
    grown = tuple(k for k, grows in enumerate(known) if grows)
    return sum(g, axis=grown, keepdims=True) if grown else g


def _unstretch_build(node: Apply, ctx: Any) -> list[Statement]:
    out = node.outputs[0]

    def body(at: list[Expr], inside: list[Statement]) -> None:
        value = ctx.load(inside, 0, at)
        place = ctx.flat(out, _position(at, out.type.shape, ctx.size))
        inside.append(Accumulate(ctx.output(), place, value, "add"))

    i = ctx.fresh("i")
    zero = Store(ctx.output(), var(i), const(0, out.dtype))
    cleared = For(i, ctx.size(dims.product(out.type.shape)), (zero,), "simd")
    summed = (cleared, ctx.nest(node.inputs[0].type.shape, body, "unordered"))
    sizes = [ctx.size(dims.product(v.type.shape)) for v in (out, node.inputs[0])]
    same = call("eq", *sizes)  # then no axis of length 1 was broadcast
    return [If(same, tuple(ctx.copy(0))), If(call("not", same), summed)]


UNSTRETCH_AT = record(
    "unstretch_at",
    partwise=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: _sum_to_numpy(x, op["shape"]),
    lower=Loops(_unstretch_build),
)

_unstretch: Record = record(
    "unstretch",
    partwise=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[1].type.shape),
    numpy=lambda op, g, x: _sum_to_numpy(g, x.shape),
    grad=lambda op, inputs, outputs, gs: [stretch("gradient", gs[0], inputs[0]), None],
    specialise=_unstretch_specialised,
    cases=lambda: [
        Case(
            lambda g, x: Op(_unstretch)(g, x),
            (Arg((2, 3)), Arg((1, 3))),
            expect=lambda g, x: g.sum(0, keepdims=True),
            grad=False,
        ),
        Case(
            lambda g, x: Op(_unstretch)(g, x),
            (Arg((2, 3)), Arg((1, 1))),
            expect=lambda g, x: g.sum(keepdims=True).reshape(1, 1),
            grad=False,
        ),
    ],
)


def stretch(what: str, x: Variable, template: Variable) -> Variable:
    """Broadcast ``x`` to the shape of ``template`` along every axis of length 1, known now or at call time."""
    if x.ndim == template.ndim and all(dims.equal(a, b) is True for a, b in zip(x.type.shape, template.type.shape)):
        return x
    return Op(STRETCH, what=what)(x, template)


def stretch_together(what: str, indices: Sequence[Variable]) -> list[Variable]:
    """Broadcast index arrays of as many axes together along every axis of length 1, known now or at call time."""
    shapes = [v.type.shape for v in indices]
    if all(dims.equal(a, b) is True for shape in shapes[1:] for a, b in zip(shapes[0], shape)):
        return list(indices)
    together = Op(STRETCH_TOGETHER, what=what)
    return [together(v, *indices[:k], *indices[k + 1 :]) for k, v in enumerate(indices)]
