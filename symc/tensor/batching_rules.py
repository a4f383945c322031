"""The rules by which ops work on a new leading axis; see ``symc.tensor.batching``."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.gradient.pass_through import DISCONNECTED_GRAD, GRAD_CLIP, GRAD_SCALE, UNDEFINED_GRAD, ZERO_GRAD
from symc.graph import Constant, Variable
from symc.graph.op import Op
from symc.tensor.assertions import ASSERTED
from symc.tensor.axes import DIMSHUFFLE, dimshuffle
from symc.tensor.batching import Operands, Results, batch_rule, results
from symc.tensor.broadcasting import BROADCAST, broadcast_like
from symc.tensor.checked import CHECKED_INDEX
from symc.tensor.creation import ALLOC, alloc, arange
from symc.tensor.cumulative import CUMPROD, CUMSUM
from symc.tensor.indices.gathers import GATHER, SCATTER
from symc.tensor.indices.positions import IOTA, iota
from symc.tensor.indices.rotation import ROTATE
from symc.tensor.indices.slices import SLICE, WRITE_SLICE
from symc.tensor.indices.stretching import STRETCH, STRETCH_TOGETHER
from symc.tensor.joining import JOIN
from symc.tensor.linalg import BATCHED_DOT, DOT
from symc.tensor.linear_algebra.decompositions import EIGH, EXPM, PINV, QR
from symc.tensor.linear_algebra.determinants import COFACTORS, DET, SLOGDET
from symc.tensor.linear_algebra.factorisations import CHOLESKY, SVD
from symc.tensor.linear_algebra.linear_systems import INVERSE, SOLVE, TRIANGULAR
from symc.tensor.nnet.conv_ops import BACKWARD_DATA, CONV2D
from symc.tensor.requirements import REQUIRED
from symc.tensor.reshaping import RESHAPE, reshape
from symc.tensor.shape_arguments import SPECIFY
from symc.tensor.signal.pool import POOL, POOL_GRAD, POOL_MAX_GRAD_GRAD
from symc.tensor.sorting import ARGSORT, SORT
from symc.tensor.symbolic_dims import SHAPE_I, TYPED_BY, length, shape_i
from symc.tensor.user_ops.print_op import PRINT

__all__: list[str] = []


# --- shapes -----------------------------------------------------------------------------------------------------------


@batch_rule(SHAPE_I)
def _shape(o: Operands) -> Results:
    return [(shape_i(o.values[0], o.op["axis"] + 1), False)]


@batch_rule(TYPED_BY)
def _typed(o: Operands) -> Results:
    return [(o.op(*o.values), o.batched[0])]


@batch_rule(REQUIRED)
def _required(o: Operands) -> Results:
    return results(o.op, *o.values) if o.batched[0] and o.only(1) else None


@batch_rule(SPECIFY)
def _specified(o: Operands) -> Results:
    return results(Op(o.op.record, **{**o.op.attrs, "shape": (None, *o.op["shape"])}), *o.values)


@batch_rule(DISCONNECTED_GRAD, ZERO_GRAD, UNDEFINED_GRAD, GRAD_CLIP, GRAD_SCALE, PRINT)
def _unchanged(o: Operands) -> Results:
    return results(o.op, *o.values)


@batch_rule(ASSERTED)
def _assert(o: Operands) -> Results:
    x, *conditions = o.all() if not o.batched[0] else o.values
    return results(o.op, x, *conditions)


@batch_rule(DIMSHUFFLE)
def _dimshuffle(o: Operands) -> Results:
    order = [k if k == "x" else k + 1 for k in o.op["order"]]
    return [(dimshuffle(o.values[0], [0, *order]), True)]


@batch_rule(BROADCAST)
def _broadcast(o: Operands) -> Results:
    """The other operands only give lengths."""
    who, axes = o.op["who"], o.op["axes"]
    moved = tuple(a + 1 if w >= 0 and o.batched[w + 1] else a for w, a in zip(who, axes))
    if not o.batched[0]:
        return [(Op(BROADCAST, who=who, axes=moved)(*o.values), False)]
    x = o.values[0]
    if x.ndim == 1:  # a scalar, broadcast to any number of axes
        x = dimshuffle(x, [0, *["x"] * len(who)])
    return results(Op(BROADCAST, who=(-1, *who), axes=(0, *moved)), x, *o.values[1:])


@batch_rule(ALLOC)
def _alloc(o: Operands) -> Results:
    if not o.only(1):
        return None
    scalars = iter(o.values[1:])
    shape = [next(scalars) if g < 0 else g for g in o.op["given"]]
    value = o.values[0]
    order = [0, *["x"] * (len(shape) - value.ndim + 1), *range(1, value.ndim)]
    return [(alloc(dimshuffle(value, order), [o.size, *shape]), True)]


@batch_rule(RESHAPE)
def _reshape(o: Operands) -> Results:
    if not o.only(1):
        return None
    scalars = iter(o.values[1:])
    shape = [next(scalars) if g < -1 else g for g in o.op["given"]]
    return [(reshape(o.values[0], [o.size, *shape], ndim=len(shape) + 1), True)]


@batch_rule(STRETCH, STRETCH_TOGETHER, POOL, POOL_GRAD, POOL_MAX_GRAD_GRAD)
def _with_more_entries(o: Operands) -> Results:
    return results(o.op, *o.all())


@batch_rule(SOLVE, TRIANGULAR, INVERSE, DET, SLOGDET, COFACTORS, CHOLESKY, SVD, EIGH, QR, EXPM)
def _matrices(o: Operands) -> Results:
    """These take matrices in the last two axes."""
    return results(o.op, *o.all())


@batch_rule(PINV)
def _pinv(o: Operands) -> Results:
    return results(o.op, *o.values) if o.only(1) else None


# --- parts ------------------------------------------------------------------------------------------------------------


@batch_rule(JOIN)
def _join(o: Operands) -> Results:
    return results(Op(o.op.record, **{**o.op.attrs, "axis": o.op["axis"] + 1}), *o.all())


@batch_rule(CUMSUM, CUMPROD, SORT, ARGSORT)
def _along_axis(o: Operands) -> Results:
    return results(Op(o.op.record, **{**o.op.attrs, "axis": o.op["axis"] + 1}), *o.values)


@batch_rule(CHECKED_INDEX)
def _checked(o: Operands) -> Results:
    return results(o.op, *o.values) if o.only(1) else None


@batch_rule(IOTA)
def _iota(o: Operands) -> Results:
    return [(iota(o.values[0], o.op["axis"] + 1), True)]


def _whole_axis(x: Variable, axis: int = 0) -> list[Variable]:
    return [Constant(np.int64(0)), shape_i(x, axis)]


@batch_rule(SLICE)
def _slice(o: Operands) -> Results:
    """Where only the starts have the new axis, as in ``x[i]``, entries are gathered."""
    bounds, steps = o.values[1:], list(o.op["steps"])
    if any(o.batched[2::2]):
        return None
    x = o.all()[0]
    own = [k for k, known in enumerate(o.batched[1::2]) if known]
    plain = [b for k in range(len(steps)) for b in (_whole_axis(x, k + 1) if k in own else bounds[2 * k : 2 * k + 2])]
    x = Op(SLICE, steps=(1, *(1 if k in own else step for k, step in enumerate(steps))))(x, *_whole_axis(x), *plain)
    for k in own:
        at = dimshuffle(bounds[2 * k], (0, "x")) + dimshuffle(arange(bounds[2 * k + 1]) * steps[k], ("x", 0))
        entry = broadcast_like(dimshuffle(arange(o.size), (0, "x")), at)
        found = Op(GATHER, axes=(0, k + 1), place=0)(x, entry, at)  # (entries, positions, other axes)
        rest = list(range(2, found.ndim))
        x = dimshuffle(found, [0, *rest[:k], 1, *rest[k:]])
    return [(x, True)]


@batch_rule(WRITE_SLICE)
def _write_slice(o: Operands) -> Results:
    if not o.only(2):
        return None
    x, y = o.all()[:2]
    bounds = [Constant(np.int64(0)), shape_i(x, 0), *o.values[2:]]
    return results(Op(WRITE_SLICE, steps=(1, *o.op["steps"]), replace=o.op["replace"]), x, y, *bounds)


def _with_positions(o: Operands, first: int) -> list[Variable]:
    """The index arrays with the new axis, after one that selects the entry along it."""
    found = o.all()[first:]
    order = [0, *["x"] * (found[0].ndim - 1)]
    return [broadcast_like(dimshuffle(arange(o.size), order), found[0]), *found]


@batch_rule(ROTATE)
def _rotate(o: Operands) -> Results:
    return results(Op(ROTATE, axes=tuple(axis + 1 for axis in o.op["axes"])), *o.values) if o.only(1) else None


def _to_front(x: Variable, axis: int) -> Variable:
    return dimshuffle(x, [axis, *[k for k in range(x.ndim) if k != axis]])


@batch_rule(GATHER)
def _gather(o: Operands) -> Results:
    axes, place = o.op["axes"], o.op["place"]
    beyond = tuple(k + 1 for k in axes)
    if o.only(1):
        return results(Op(GATHER, axes=beyond, place=place + 1), *o.values)
    if not o.batched[0]:
        found = Op(GATHER, axes=axes, place=place)(o.values[0], *o.all()[1:])
    else:
        found = Op(GATHER, axes=(0, *beyond), place=place)(o.values[0], *_with_positions(o, 1))
    return [(_to_front(found, place), True)]


@batch_rule(SCATTER)
def _scatter(o: Operands) -> Results:
    axes, place, replace = o.op["axes"], o.op["place"], o.op["replace"]
    beyond = tuple(k + 1 for k in axes)
    x, y = o.all()[:2]
    if o.only(2):
        return results(Op(SCATTER, axes=beyond, place=place + 1, replace=replace), x, y, *o.values[2:])
    order = [*range(1, place + 1), 0, *range(place + 1, y.ndim)]
    op = Op(SCATTER, axes=(0, *beyond), place=place, replace=replace)
    return results(op, x, dimshuffle(y, order), *_with_positions(o, 2))


# --- images -----------------------------------------------------------------------------------------------------------


@batch_rule(CONV2D)
def _images(o: Operands) -> Results:
    return _more_images(o)


@batch_rule(BACKWARD_DATA)
def _adjoint(o: Operands) -> Results:
    return _more_images(o) if len(o.values) == 3 else None


def _more_images(o: Operands) -> Results:
    """The new axis and that of the images as one; the filters must be the same for all entries."""
    if o.batched[1]:
        return None
    whole = o.all()
    count = length(whole[0], 1)
    merged = [
        o.values[k] if k == 1 else reshape(v, [o.size * count, *[length(v, a) for a in range(2, 5)]], ndim=4)
        for k, v in enumerate(whole)
    ]
    found = o.op(*merged)
    return [(reshape(found, [o.size, count, *[length(found, a) for a in range(1, 4)]], ndim=5), True)]


# --- products ---------------------------------------------------------------------------------------------------------


@batch_rule(DOT)
def _dot(o: Operands) -> Results:
    a, b = o.values
    if all(o.batched):
        return results(Op(BATCHED_DOT, **o.op.attrs), a, b)
    turned_a, turned_b = o.op["trans_a"], o.op["trans_b"]
    if o.batched[0]:
        return [(_rows_by_matrix(a, turned_a, b, turned_b, o.size), True)]
    found = _rows_by_matrix(b, not turned_b, a, not turned_a, o.size)  # (A B)' = B' A'
    return [(dimshuffle(found, (0, 2, 1)), True)]


def _rows_by_matrix(many: Variable, turn: bool, one: Variable, turned: bool, size: Any) -> Variable:
    """The products of many matrices with one, as one product."""
    rows = dimshuffle(many, (0, 2, 1)) if turn else many
    m, k = length(rows, 1), length(rows, 2)
    product = Op(DOT, trans_a=False, trans_b=turned)(reshape(rows, [size * m, k], ndim=2), one)
    return reshape(product, [size, m, length(product, 1)], ndim=3)


@batch_rule(BATCHED_DOT)
def _batched_dot(o: Operands) -> Results:
    a, b = o.all()
    count = shape_i(a, 1)
    flat = [reshape(v, [o.size * count, length(v, 2), length(v, 3)], ndim=3) for v in (a, b)]
    product = o.op(*flat)
    return [(reshape(product, [o.size, count, length(product, 1), length(product, 2)], ndim=4), True)]
