"""``reshape``: the elements of a tensor in the same order with another shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Op, View, record
from symc.graph.types import TensorType
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.shape_arguments import shape_entries
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = ["reshape", "reshape_like", "reshape_to"]


def _reshape_dims(op: Op, inputs: Sequence[Variable]) -> list[dims.Dim]:
    x, *scalars = inputs
    wanted = [as_dim(scalars[k]) if given < -1 else given for k, given in _numbered(op["given"])]
    total = dims.product(x.type.shape)
    free = [k for k, d in enumerate(wanted) if type(d) is int and d == -1]
    if len(free) > 1:
        raise ShapeError(located(f"reshape: at most one entry may be -1, got {op['given']}", [x]))
    if free:
        rest = dims.product(d for k, d in enumerate(wanted) if k not in free)
        wanted[free[0]] = dims.floordiv(total, rest) if rest != 0 else 0
    require_equal(dims.product(wanted), total, lambda: _reshape_refusal(x, total, wanted))
    return wanted


def _reshape_refusal(x: Variable, total: dims.Dim, wanted: Sequence[dims.Dim]) -> str:
    have, want = dims.show_shape(x.type.shape), dims.show_shape(wanted)
    text = f"reshape: {have} holds {dims.show(total)} elements, {want} {dims.show(dims.product(wanted))}"
    return located(text, [x], "the product of the new shape must be the same")


def _numbered(given: Sequence[int]) -> list[tuple[int, int]]:
    """List pairs (position among the scalar inputs, entry); entries below -1 denote a scalar input."""
    pairs, at = [], 0
    for entry in given:
        pairs.append((at, entry))
        at += entry < -1
    return pairs


def _reshape_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    x = inputs[0]
    if all(counts.type.broadcastable):
        return [dimshuffle(counts, ["x"] * x.ndim)]
    return [reshape_like(broadcast_like(counts, outputs[0]), x)]


RESHAPE = record(
    "reshape",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _reshape_dims(op, inputs)),
    numpy=lambda op, x, *scalars: x.reshape([int(scalars[k]) if g < -1 else g for k, g in _numbered(op["given"])]),
    grad=lambda op, inputs, outputs, gs: [reshape_like(gs[0], inputs[0]), *[None] * (len(inputs) - 1)],
    reach=Reach(_reshape_reach, one_to_one=True),
    linear="jointly",
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    specialise=lambda op, inputs, types: reshape_to(inputs[0], types[0].shape),
    cases=lambda: [
        Case(lambda x: reshape(x, (3, -1)), (Arg((2, 3, 2)),), lambda x: x.reshape(3, 4)),
        Case(lambda x: reshape(x, (shape_i(x, 1), shape_i(x, 0))), (Arg((2, 3)),), lambda x: x.reshape(3, 2)),
        Case(lambda x: reshape(x, (-1,)), (Arg((2, 0)),), np.ravel, grad=False),
        Case(lambda x: reshape(x, ()), (Arg((1, 1)),), lambda x: x[0, 0]),
    ],
)


RESHAPE_TO = record(
    "reshape_to",
    foldable=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: x.reshape(op["shape"]),
    grad=lambda op, inputs, outputs, gs: [reshape_like(gs[0], inputs[0])],
    reach=Reach(_reshape_reach, one_to_one=True),
    linear="jointly",
    lower=View(),
    layout_only=True,
    moves=lambda op: slice(0, 1),
    nonnegative="all",
)


def reshape_to(x: Variable, shape: Sequence[dims.Dim]) -> Variable:
    """Reshape ``x`` to a shape given as dims."""
    return Op(RESHAPE_TO, shape=tuple(shape))(x) if tuple(shape) != x.type.shape else x


def reshape(x: Any, newshape: Any, ndim: int | None = None) -> Variable:
    """Reshape ``x`` to ``newshape``, keeping the order of the elements.

    Parameters
    ----------
    newshape : sequence of int or integer scalars, or an integer vector
        One entry may be -1; it is computed from the others.
    ndim : int, optional
        Required only if ``newshape`` is a symbolic vector of unknown length.
    """
    x = as_tensor(x)
    entries = shape_entries(newshape, "reshape", ndim)
    given: list[int] = []
    scalars: list[Variable] = []
    for entry in entries:
        if isinstance(entry, int):
            if entry < -1:
                raise ShapeError(located(f"reshape: a dim cannot be {entry}", [x]))
            given.append(entry)
        else:
            given.append(-2)
            scalars.append(entry)
    return Op(RESHAPE, given=tuple(given))(x, *scalars)


def reshape_like(x: Variable, template: Variable) -> Variable:
    """Reshape ``x`` to the shape of ``template``."""
    return reshape(x, [shape_i(template, k) for k in range(template.ndim)]) if template.ndim else reshape(x, ())


explain_faults(globals())
