"""Indices of the non-zero elements of a tensor, whose number depends on the values.

One pass writes the flat indices of true elements to the front of a vector as long as the mask, and counts them. The
count becomes a dim, so that the front of the vector is a tensor: memory for the maximal length is allocated beforehand,
and tensors selected by the indices have the actual length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.op import Arg, Case, Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import ONE, ZERO, cast, index, var
from symc.loops.ir import Accumulate, Alloc, For, Load, Statement, Store
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.checked import unchecked
from symc.tensor.indices.gathers import GATHER
from symc.tensor.indices.slices import part
from symc.tensor.joining import stack
from symc.tensor.reshaping import reshape
from symc.tensor.shaping import flatten
from symc.tensor.symbolic_dims import as_dim, length

__all__ = ["TRUE_PLACES", "argwhere", "flatnonzero", "mask_of", "nonzero", "nonzero_values"]


def _numpy(op: Op, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    places = np.flatnonzero(mask)
    return np.asarray(len(places), "int64"), np.resize(np.append(places, 0), mask.shape)


def _build(node: Apply, ctx: Any) -> list[Statement]:
    """Store every index; the position of the next store advances only after a true element."""
    found, m = ctx.fresh("found"), ctx.fresh("m")
    c, i, total = ctx.fresh("c"), ctx.fresh("i"), ctx.fresh("c")
    step: tuple[Statement, ...] = (
        Load(m, ctx.input(0), var(i), "bool"),
        Load(c, found, ZERO, "int64"),
        Store(ctx.output(1), var(c), var(i)),
        Accumulate(found, ZERO, cast(var(m, "bool"), "int64"), "add"),
    )
    return [
        Alloc(found, "int64", ONE),
        Store(found, ZERO, index(0)),
        For(i, ctx.size(node.inputs[0].type.shape[0]), step, "serial"),
        Load(total, found, ZERO, "int64"),
        Store(ctx.output(0), ZERO, var(total)),
    ]


TRUE_PLACES = record(
    "true_places",
    infer=lambda op, inputs: [TensorType("int64", ()), TensorType("int64", inputs[0].type.shape)],
    numpy=_numpy,
    grad=lambda op, inputs, outputs, gs: [None],
    lower=Loops(_build),
    unspecified=True,
    upper=lambda op, inputs: inputs[0].type.shape[0],
)

_front = record(
    "front",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, (as_dim(inputs[1]), *inputs[0].type.shape[1:])),
    numpy=lambda op, x, n: x[: int(n)],
    grad=lambda op, inputs, outputs, gs: [None, None],
    specialise=lambda op, inputs, types: part(inputs[0], types[0].shape, 0),
    distinct=lambda node: True,
    cases=lambda: [
        Case(lambda x: flatnonzero(x), (Arg((7,), values=[0, 1, 0, -2, 3, 0, 0]),), expect=np.flatnonzero, grad=False),
        Case(lambda x: nonzero(x), (Arg((2, 3), values=[0, 1, 0, 2, 3, 0]),), expect=np.nonzero, grad=False),
        Case(lambda x: nonzero(x), (Arg((3, 2), "bool", values=[0] * 6),), expect=np.nonzero, grad=False),
        Case(
            lambda x: nonzero_values(x),
            (Arg((2, 3), values=[0, 1, 0, 2, 3, 0]),),
            expect=lambda x: x[x != 0],
            grad=False,
        ),
        Case(lambda x: nonzero_values(x), (Arg((2, 2), low=0.5),), expect=lambda x: x[x != 0]),
        Case(lambda x: argwhere(x), (Arg((0, 3)),), expect=np.argwhere, grad=False),
    ],
)


def _places(x: Any) -> tuple[Variable, Variable]:
    """Return ``x`` with at least one axis, and the flat indices of its non-zero elements."""
    x = as_tensor(x)
    if not x.ndim:
        x = reshape(x, (1,))
    mask = x if x.dtype == "bool" else ew.neq(x, 0)
    count, places = Op(TRUE_PLACES).all(flatten(mask))
    return x, Op(_front)(places, count)


def flatnonzero(a: Any) -> Variable:
    """The flat indices of the non-zero elements of ``a``, in row-major order: an int64 vector."""
    return _places(a)[1]


def nonzero(a: Any, return_matrix: bool = False) -> Any:
    """The indices of the non-zero elements of ``a``, in row-major order.

    Parameters
    ----------
    a : tensor_like
        A scalar is treated as a vector of one element.
    return_matrix : bool
        Return one ``(ndim, count)`` matrix instead of a tuple.

    Returns
    -------
    tuple of Variable, or Variable
        One int64 vector of the same length per axis.
    """
    x, rest = _places(a)
    found: list[Variable] = []
    for axis in reversed(range(x.ndim)):
        if axis == 0:
            found.append(rest)
        else:
            size = length(x, axis)
            found.append(ew.mod(rest, size))
            rest = ew.floor_div(rest, size)
    found.reverse()
    if return_matrix:
        return stack(found)
    return tuple(found)


def mask_of(indices: Sequence[Variable]) -> Variable | None:
    """The mask of whose true elements these are all the indices, axis by axis; None if they are something else."""
    first, *others = map(unchecked, indices)
    for i in others:  # see ``nonzero``
        if not _made_by(first, ew.floor_div.record) or not _made_by(i, ew.mod.record):
            return None
        place, size = first.owner.inputs  # type: ignore[union-attr]
        dividend, divisor = i.owner.inputs  # type: ignore[union-attr]
        if dividend is not place or _number(divisor) is not _number(size):
            return None
        first = place
    if not _made_by(first, _front):
        return None
    count = first.owner.inputs[1]  # type: ignore[union-attr]
    (flat,) = count.owner.inputs  # type: ignore[union-attr]
    whole = flat if not others or flat.owner is None else flat.owner.inputs[0]
    return whole if whole.ndim == len(indices) and whole.dtype == "bool" else None


def _number(v: Variable) -> Variable:
    """The number that was broadcast to ``v``."""
    while v.ndim and v.owner is not None:
        v = v.owner.inputs[0]
    return v


def _made_by(v: Variable, record: Record) -> bool:
    return v.owner is not None and v.owner.op.record is record


def argwhere(a: Any) -> Variable:
    """The indices of the non-zero elements of ``a``: ``(count, ndim)``."""
    return nonzero(a, return_matrix=True).T


def nonzero_values(a: Any) -> Variable:
    """The non-zero elements of ``a``, in row-major order: a vector."""
    x, places = _places(a)
    return Op(GATHER, axes=(0,), place=0)(flatten(x), places)


explain_faults(globals())
