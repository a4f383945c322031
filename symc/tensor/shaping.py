"""Transposes, flattening and other views, built on ``dimshuffle`` and ``reshape``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import AxisError, ShapeError, located
from symc.graph import Constant, Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant, normalize_axis
from symc.tensor.elementwise import cast
from symc.tensor.joining import stack
from symc.tensor.keywords import also_named
from symc.tensor.options import integer
from symc.tensor.reshaping import reshape
from symc.tensor.shape_arguments import specify_shape
from symc.tensor.symbolic_dims import length, shape_i, typed_by

__all__ = [
    "addbroadcast", "as_tensor_variable", "atleast_1d", "atleast_2d", "expand_dims", "flatten", "moveaxis",
    "patternbroadcast", "shape", "shape_padaxis", "shape_padleft", "shape_padright", "size", "squeeze", "swapaxes",
    "transpose", "unbroadcast",
]  # fmt: skip


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None, dtype: str | None = None) -> Variable:
    """Convert ``x`` to a variable: numbers and arrays become constants, lists of variables are stacked.

    Parameters
    ----------
    x : tensor_like
    name : str
        The name of a constant.
    ndim : int
        The number of axes: leading axes of length 1 are added, or dropped.
    dtype : str
        Cast to this dtype.

    Raises
    ------
    TypeError
        For values that are not numbers.
    ShapeError
        If axes would have to be dropped whose length is not known to be 1.
    """
    made = as_tensor(x, name)
    if dtype is not None:
        made = constant(x, name, dtype=dtype) if isinstance(made, Constant) and made is not x else cast(made, dtype)
    if ndim is None or made.ndim == integer("as_tensor_variable", "ndim", ndim, [made], least=0):
        return made
    if made.ndim > ndim:
        first = made.ndim - ndim
        if not all(made.broadcastable[:first]):
            repair = "only axes of length 1 are dropped"
            raise ShapeError(located(f"as_tensor_variable: expected {ndim} axes, got {made.ndim}", [made], repair))
        return dimshuffle(made, list(range(first, made.ndim)))
    if isinstance(made, Constant):
        return constant(made.data, name, ndim, made.dtype)
    return shape_padleft(made, ndim - made.ndim)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Variable:
    """Permute the axes of ``x``, or reverse them if ``axes`` is None."""
    x = as_tensor(x)
    order = list(range(x.ndim))[::-1] if axes is None else [normalize_axis(a, x.ndim, "transpose", x) for a in axes]
    if len(order) != x.ndim:
        raise ShapeError(located(f"transpose: expected {x.ndim} axes, got {tuple(order)}", [x]))
    return dimshuffle(x, order)


@also_named(y="x")
def swapaxes(x: Any, axis1: int, axis2: int) -> Variable:
    """Exchange two axes of ``x``."""
    x = as_tensor(x)
    a, b = (normalize_axis(k, x.ndim, "swapaxes", x) for k in (axis1, axis2))
    order = list(range(x.ndim))
    order[a], order[b] = order[b], order[a]
    return dimshuffle(x, order)


def moveaxis(x: Any, source: Any, destination: Any) -> Variable:
    """Move the axes ``source`` of ``x`` to the positions ``destination``."""
    x = as_tensor(x)
    moved, places = (
        [normalize_axis(k, x.ndim, "moveaxis", x) for k in (side if isinstance(side, (list, tuple)) else [side])]
        for side in (source, destination)
    )
    if len(moved) != len(places) or len(set(moved)) != len(moved) or len(set(places)) != len(places):
        text = f"moveaxis: expected as many different axes on both sides, got {source!r} and {destination!r}"
        raise ValueError(located(text, [x]))
    order = [k for k in range(x.ndim) if k not in moved]
    for place, axis in sorted(zip(places, moved)):
        order.insert(place, axis)
    return dimshuffle(x, order)


def flatten(x: Any, ndim: int = 1, outdim: int | None = None) -> Variable:
    """Merge the last axes of ``x`` so that ``ndim`` remain: the leading ``ndim - 1`` axes stay, as in Theano."""
    x = as_tensor(x)
    if outdim is not None:
        if ndim != 1:
            raise TypeError("flatten: outdim is the old name of ndim: give one of them")
        ndim = outdim
    ndim = integer("flatten", "ndim", ndim, [x])
    if x.ndim == 0 and ndim == 1:
        return dimshuffle(x, ("x",))
    if not 1 <= ndim <= x.ndim:
        raise ShapeError(located(f"flatten: cannot leave {ndim} axes of {x.ndim}", [x]))
    if ndim == x.ndim:
        return x
    tail = dims.product(x.type.shape[ndim - 1 :])
    return reshape(x, [*[length(x, k) for k in range(ndim - 1)], tail if type(tail) is int else -1])


def squeeze(x: Any, axis: Any = None) -> Variable:
    """Drop the axes of ``x`` known to be 1, or those in ``axis``."""
    x = as_tensor(x)
    if axis is None:
        gone = [k for k, b in enumerate(x.type.broadcastable) if b]
    else:
        gone = [normalize_axis(a, x.ndim, "squeeze", x) for a in (axis if isinstance(axis, (tuple, list)) else [axis])]
    return dimshuffle(x, [k for k in range(x.ndim) if k not in gone])


@also_named(t="x")
def shape_padleft(x: Any, n_ones: int = 1) -> Variable:
    """Prepend ``n_ones`` axes of 1 to ``x``."""
    x = as_tensor(x)
    return dimshuffle(x, ["x"] * _count("shape_padleft", n_ones, x) + list(range(x.ndim)))


def _count(what: str, n_ones: Any, x: Variable) -> int:
    return integer(what, "n_ones", n_ones, [x], least=0)


@also_named(t="x")
def shape_padright(x: Any, n_ones: int = 1) -> Variable:
    """Append ``n_ones`` axes of 1 to ``x``."""
    x = as_tensor(x)
    return dimshuffle(x, [*range(x.ndim), *["x"] * _count("shape_padright", n_ones, x)])


@also_named(t="x")
def shape_padaxis(x: Any, axis: int) -> Variable:
    """Insert an axis of 1 into ``x`` at ``axis``."""
    return _expanded("shape_padaxis", x, [axis])


def expand_dims(a: Any, axis: int | Sequence[int]) -> Variable:
    """Insert axes of 1, which are at ``axis`` (one or several) in the result."""
    return _expanded("expand_dims", a, axis if isinstance(axis, Sequence) else [axis])


def _expanded(what: str, x: Any, axes: Sequence[int]) -> Variable:
    x = as_tensor(x)
    total = x.ndim + len(axes)
    new = {normalize_axis(k, total, what, x) for k in axes}
    if len(new) < len(axes):
        raise AxisError(located(f"{what}: an axis is given twice in {tuple(axes)}", [x]))
    old = iter(range(x.ndim))
    return dimshuffle(x, ["x" if k in new else next(old) for k in range(total)])


def size(x: Any) -> Variable:
    """The number of elements of ``x``, an int64 scalar."""
    x = as_tensor(x)
    total: Any = typed_by(constant(1, dtype="int64"), x) if x.ndim == 0 else None
    for k in range(x.ndim):
        total = shape_i(x, k) if k == 0 else total * shape_i(x, k)
    return total


def addbroadcast(x: Any, *axes: int) -> Variable:
    """Declare that ``axes`` of ``x`` have length 1, so that they broadcast; checked at call time."""
    x = as_tensor(x)
    wanted = {normalize_axis(a, x.ndim, "addbroadcast", x) for a in axes}
    return specify_shape(x, [1 if k in wanted else None for k in range(x.ndim)])


def unbroadcast(x: Any, *axes: int) -> Variable:
    """Return ``x``; accepted for old programs. An axis known to be 1 still broadcasts."""
    x = as_tensor(x)
    for a in axes:
        normalize_axis(a, x.ndim, "unbroadcast", x)
    return x


def patternbroadcast(x: Any, broadcastable: Sequence[bool]) -> Variable:
    """Declare that the axes of ``x`` marked True have length 1; ``broadcastable`` has one entry per axis."""
    x = as_tensor(x)
    if len(broadcastable) != x.ndim:
        text = f"patternbroadcast: expected {x.ndim} entries, one per axis, got {tuple(broadcastable)}"
        raise ValueError(located(text, [x]))
    return addbroadcast(x, *[k for k, b in enumerate(broadcastable) if b])


def atleast_1d(x: Any) -> Variable:
    """Return ``x``; a scalar becomes a vector of one element."""
    x = as_tensor(x)
    return x if x.ndim else shape_padleft(x)


def atleast_2d(x: Any) -> Variable:
    """Return ``x`` with axes of 1 prepended until it has at least two."""
    x = as_tensor(x)
    return x if x.ndim >= 2 else shape_padleft(x, 2 - x.ndim)


def shape(x: Any) -> Variable:
    """The shape of ``x`` as an int64 vector; ``shape(x)[i]`` and iteration return its entries without building it."""
    x = as_tensor(x)
    if x.ndim == 0:
        return typed_by(np.zeros(0, "int64"), x)
    return stack([shape_i(x, k) for k in range(x.ndim)])


explain_faults(globals())
