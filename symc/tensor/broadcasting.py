"""Broadcasting, and the sum that is its gradient.

Primitives never broadcast: the functions that users call insert it. Only dims known to be 1 are repeated, as in Theano.
The gradient of a repetition is a sum, and that of a sum a repetition.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import is_float
from symc.graph.gradient_flow import Reach
from symc.graph.op import Arg, Axes, Case, Op, Reduction, record
from symc.graph.types import TensorType
from symc.tensor.axes import dimshuffle, pad_left
from symc.tensor.basic import as_tensor
from symc.tensor.conversion import cast
from symc.tensor.keywords import also_named
from symc.tensor.reduction_records import (
    Axis,
    accumulated,
    logic_cases,
    oracle_of,
    reduce_over,
    reduced_type,
    reduction_cases,
    reduction_reach,
)

__all__ = ["any", "before_repetition", "broadcast_like", "broadcast_together", "expand", "restore", "sum", "unrepeated"]


def _expanded_axes(x: TensorType, target: Sequence[dims.Dim]) -> tuple[int, ...]:
    if not x.shape:
        return tuple(range(len(target)))
    return tuple(k for k, (a, b) in enumerate(zip(x.shape, target)) if a == 1 and not b == 1)


def _expand_source(op: Op, node: Any) -> tuple[int | None, ...]:
    grown = _expanded_axes(node.inputs[0].type, node.outputs[0].type.shape)
    return tuple(None if k in grown else k for k in range(node.inputs[0].ndim))


def _expand_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    grown = _expanded_axes(inputs[0].type, outputs[0].type.shape)
    g = sum(gs[0], axis=grown, keepdims=inputs[0].ndim > 0) if grown else gs[0]
    return [g, *[None] * (len(inputs) - 1)]


def _expand_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    """An element counts where one of its copies does."""
    x, grown = inputs[0], _expanded_axes(inputs[0].type, outputs[0].type.shape)
    return [any(counts, axis=grown, keepdims=x.ndim > 0) if grown else counts, *[None] * (len(inputs) - 1)]


EXPAND = record(
    "expand",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: np.broadcast_to(x, op["shape"]),
    grad=_expand_grad,
    reach=Reach(_expand_reach, gathers=True),
    linear="jointly",
    inserted=True,
    enlarges=lambda op: True,
    lower=Axes(_expand_source),
    layout_only=True,
    moves=lambda op: slice(0, 1),
    nonnegative="all",
)


def expand(x: Variable, shape: Sequence[dims.Dim]) -> Variable:
    """Broadcast axes of 1 of ``x`` to ``shape`` (same number of axes), or a scalar to any shape."""
    return x if x.type.shape == tuple(shape) else _expand_op(tuple(shape))(x)


@lru_cache(maxsize=1024)
def _expand_op(shape: dims.Shape) -> Op:
    return Op(EXPAND, shape=shape)


def _broadcast_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, *others = inputs
    axes = op["axes"]
    shape = tuple([x.type.shape[k] if who < 0 else others[who].type.shape[axes[k]] for k, who in enumerate(op["who"])])
    for v in others:  # operands of one type need no comparison of dims
        if v.type.shape == shape and v.type.dtype == x.type.dtype:
            return v.type
    return TensorType(x.dtype, shape)


BROADCAST = record(
    "broadcast",
    infer=_broadcast_infer,
    numpy=lambda op, x, *others: np.broadcast_to(
        x, [x.shape[k] if who < 0 else others[who].shape[op["axes"][k]] for k, who in enumerate(op["who"])]
    ),
    grad=_expand_grad,
    reach=Reach(_expand_reach, gathers=True),
    linear="jointly",
    inserted=True,
    enlarges=lambda op: True,
    layout_only=True,
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    specialise=lambda op, inputs, types: expand(inputs[0], types[0].shape),
    cases=lambda: [
        Case(lambda x, y: broadcast_like(x, y), (Arg((1, 3)), Arg((2, 3))), lambda x, y: np.tile(x, (2, 1))),
        Case(lambda x, y: broadcast_like(x, y), (Arg(()), Arg((2, 3))), lambda x, y: np.full((2, 3), x)),
        Case(lambda x, y: broadcast_like(x, y), (Arg((1,)), Arg((0,))), lambda x, y: y, grad=False),
    ],
)


def broadcast_like(x: Any, template: Any) -> Variable:
    """Broadcast ``x`` to the shape of ``template``, whose values are not read. The result depends on both."""
    x, template = as_tensor(x), as_tensor(template)
    if x.ndim == 0:
        return _broadcast_from(x, dict.fromkeys(range(template.ndim), template), [template])
    x = pad_left(x, template.ndim)
    grown = [k for k in range(x.ndim) if x.type.broadcastable[k] and not template.type.broadcastable[k]]
    return _broadcast_from(x, dict.fromkeys(grown, template), [template])


def _broadcast_to(x: Variable, source: dict[int, Variable]) -> Variable:
    """Broadcast each axis of ``x`` in ``source`` to the length of that axis of the given variable."""
    ndim = x.ndim or len(source)
    kept = [d for k, d in enumerate(x.type.shape) if k not in source]
    # A symbol must not become an attribute: it would not be replaced when equal dims are unified.
    if all(type(d) is int for d in [*kept, *(v.type.shape[k] for k, v in source.items())]):
        return expand(x, [source[k].type.shape[k] if k in source else x.type.shape[k] for k in range(ndim)])
    return _broadcast_from(x, source, [])


def _broadcast_from(x: Variable, source: dict[int, Variable], others: list[Variable]) -> Variable:
    """As ``_broadcast_to``, with the variables that determine the shape as inputs even if their dims are known.

    ``zeros_like(x)`` therefore depends on ``x``: a function of ``x`` may have it as its only output.
    """
    ndim = x.ndim or len(source)
    who = []
    for k in range(ndim):
        if k in source:
            at = next((at for at, v in enumerate(others) if v is source[k]), len(others))
            if at == len(others):
                others.append(source[k])
            who.append(at)
        else:
            who.append(-1)
    return _broadcast_op(tuple(who))(x, *others)


@lru_cache(maxsize=1024)
def _broadcast_op(who: tuple[int, ...]) -> Op:
    return Op(BROADCAST, who=who, axes=tuple(range(len(who))))


def before_repetition(v: Variable) -> Variable:
    """The variable that ``v`` broadcasts; ``v`` itself if it is not a broadcast."""
    while v.owner is not None and v.owner.op.record in (EXPAND, BROADCAST):
        v = v.owner.inputs[0]
    return v


def unrepeated(v: Variable) -> Variable:
    """``v`` before broadcasting, with the same number of axes; the broadcast axes have length 1."""
    return pad_left(before_repetition(v), v.ndim)


def broadcast_together(what: str, variables: Sequence[Variable]) -> list[Variable]:
    """Broadcast variables together by NumPy's rule; only dims known to be 1 are broadcast.

    Raises
    ------
    ShapeError
        If two dims are known to differ and neither is 1; the message names the operands and the axis.
    """
    shapes = {v.type.shape for v in variables}
    if len(shapes) == 1:
        return list(variables)
    ndim = max(map(len, shapes))
    padded = [pad_left(v, ndim) if v.ndim else v for v in variables]
    source: dict[int, Variable] = {}
    for axis in range(ndim):
        leader: Variable | None = None
        for v in padded:
            if v.ndim == 0:
                continue
            dim = v.type.shape[axis]
            if leader is None or leader.type.broadcastable[axis]:
                leader = v
            elif type(dim) is int and dim == 1:
                continue
            elif dims.equal(leader.type.shape[axis], dim) is False:
                one, other = dims.show(leader.type.shape[axis]), dims.show(dim)
                where = f"axis {axis - ndim} is {one} in one operand and {other} in another"
                text = f"{what}: shapes do not go together: {where}"
                repair = "only dims known to be 1 are repeated; transpose, reshape or index one operand"
                raise ShapeError(located(text, variables, repair))
            elif type(dim) is int:
                leader = v
        if leader is not None:
            source[axis] = leader
    return [_broadcast_to(v, needed) if (needed := _growth(v, source)) else v for v in padded]


def _growth(v: Variable, source: dict[int, Variable]) -> dict[int, Variable]:
    if v.ndim == 0:
        return source
    return {k: s for k, s in source.items() if v.type.broadcastable[k] and not s.type.broadcastable[k]}


def restore(g: Variable, x: Variable, axes: Sequence[int]) -> Variable:
    """Broadcast a reduction's result (or its gradient) along the reduced ``axes`` to the shape of ``x``."""
    kept = iter(range(g.ndim))
    return broadcast_like(dimshuffle(g, ["x" if k in axes else next(kept) for k in range(x.ndim)]), x)


def _sum_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    (x,) = inputs
    return [restore(cast(gs[0], x.dtype) if is_float(x.dtype) else gs[0], x, op["axes"])]


@also_named(input="x")
def sum(
    x: Any, axis: Axis = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: str | None = None
) -> Variable:
    """Sum over ``axis`` (None: all).

    Integers narrower than 64 bits are summed as 64-bit integers, unless ``dtype`` is given. ``acc_dtype`` is the dtype
    of the accumulator, from which the result is converted.
    """
    return accumulated(SUM, x, axis, dtype, keepdims, acc_dtype)


SUM = record(
    "sum",
    partwise=True,
    infer=reduced_type,
    numpy=oracle_of(np.sum, True),
    grad=_sum_grad,
    reach=Reach(reduction_reach),
    linear="jointly",
    lower=Reduction("add", lambda dtype: 0),
    nonnegative="all",
    cases=reduction_cases(lambda x, **k: sum(x, **k), np.sum),
)


ANY = record(
    "any",
    infer=reduced_type,
    numpy=oracle_of(np.any, False),
    lower=Reduction("or", lambda dtype: False),
    cases=logic_cases(lambda x, **k: any(x, **k), np.any),
)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Whether any element along ``axis`` is true."""
    return reduce_over(ANY, cast(x, "bool"), axis, keepdims, None)


explain_faults(globals())
