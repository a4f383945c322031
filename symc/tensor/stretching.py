"""Broadcasting along axes whose length is found to be 1 at call time.

Elementwise functions broadcast only axes known to have length 1. Writing into a part of a tensor follows NumPy: a value
whose length is 1 at call time is broadcast to a part of any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Apply, Variable, dims
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Indexed, Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, const, index, select, var
from symc.loops.ir import Accumulate, For, Statement, Store
from symc.tensor.broadcasting import expand, sum

__all__ = ["stretch"]

_REPAIR = "the value must broadcast to the part"


def _decided(have: dims.Dim, want: dims.Dim) -> bool | None:
    """Whether an axis is broadcast; None if known only at call time."""
    if dims.equal(have, want) is True or (type(have) is int and have != 1) or (type(want) is int and want == 1):
        return False
    return True if type(have) is int else None


def _stretch_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, template = inputs
    if x.ndim != template.ndim:
        raise ShapeError(located(f"{op['what']}: the value must have as many axes as the part", inputs))
    for axis, (have, want) in enumerate(zip(x.type.shape, template.type.shape)):
        text = f"{op['what']}: the value does not fit the part on axis {axis}"
        decided = _decided(have, want)
        if decided is False:
            require_equal(have, want, text, inputs, _REPAIR)
        elif decided is None:  # equal, or 1
            either = dims.mul(dims.sub(have, 1), dims.sub(have, want))
            require_equal(either, 0, text, inputs, _REPAIR)
    return TensorType(x.dtype, template.type.shape)


def _stretch_specialised(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Variable:
    x, shape = inputs[0], types[0].shape
    known = [_decided(have, want) for have, want in zip(x.type.shape, shape)]
    if None in known:
        return Op(_stretch_at, shape=shape)(x)
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


_stretch_at = record(
    "stretch_at",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: np.broadcast_to(x, op["shape"]),
    lower=Indexed(lambda node, at, read, size: read(0, _position(at, node.inputs[0].type.shape, size))),
)

_stretch = record(
    "stretch",
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


def _sum_to_numpy(x: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    grown = tuple(k for k, (have, want) in enumerate(zip(x.shape, shape)) if want == 1 and have != 1)
    return x.sum(grown, keepdims=True, dtype=x.dtype)


def _unstretch_specialised(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Variable:
    g, shape = inputs[0], types[0].shape
    known = [_decided(have, want) for have, want in zip(shape, g.type.shape)]
    if None in known:
        return Op(_unstretch_at, shape=shape)(g)
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
    return [cleared, ctx.nest(node.inputs[0].type.shape, body, "unordered")]


_unstretch_at = record(
    "unstretch_at",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: _sum_to_numpy(x, op["shape"]),
    lower=Loops(_unstretch_build),
)

_unstretch: Record = record(
    "unstretch",
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
    return Op(_stretch, what=what)(x, template)
