"""NumPy's functions of sequences on variables: convolutions, differences, histograms, sets, insertion and removal."""

from __future__ import annotations

from functools import reduce as fold
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.dtypes import floating, is_float
from symc.tensor import creation, cumulative, extra_ops, grids, joining, linalg, ordering, shaping, sorting
from symc.tensor import elementwise as ew
from symc.tensor import reduce as reductions
from symc.tensor.assertions import assert_op
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.complex_numbers.parts import conj, imag
from symc.tensor.covariance import cov
from symc.tensor.indices import indexing, selection
from symc.tensor.indices.subtensor_writing import inc_subtensor, set_subtensor
from symc.tensor.numpy_compositions import concatenate, flag, flipped, typed
from symc.tensor.numpy_statistics import isin
from symc.tensor.options import choice
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "convolve", "corrcoef", "correlate", "covariance", "cumulative_prod", "cumulative_sum", "delete", "ediff1d",
    "geomspace", "gradient", "histogram", "insert", "intersect1d", "iscomplex", "lexsort", "logspace", "nan_position",
    "nan_running",
    "resize", "setdiff1d", "union1d", "unstack", "vander",
]  # fmt: skip


def _part(x: Variable, axis: int, start: Any, stop: Any) -> Variable:
    return indexing.subtensor(x, (slice(None),) * axis + (slice(start, stop),))


# --- sums of shifted products, differences ----------------------------------------------------------------------------


def convolve(a: Any, v: Any, mode: str = "full") -> Variable:
    """The convolution of two vectors; ``mode`` is "full", "same" or "valid"."""
    choice("convolve", "mode", mode, ("full", "same", "valid"))
    a, v = as_tensor(a), as_tensor(v)
    n, m = shape_i(a, 0), shape_i(v, 0)
    ends = creation.zeros((ew.sub(m, 1),), a.dtype)
    padded = joining.concatenate([ends, a, ends], axis=0)
    shifts = ew.add(dimshuffle(creation.arange(ew.sub(ew.add(n, m), 1)), [0, "x"]), creation.arange(m))
    full = linalg.dot(indexing.take(padded, shifts), flipped(v))
    if mode == "full":
        return full
    less = ew.sub(ew.minimum(n, m), 1)
    start = ew.floor_div(less, 2) if mode == "same" else less
    size = ew.maximum(n, m) if mode == "same" else ew.sub(ew.maximum(n, m), less)
    return _part(full, 0, start, ew.add(start, size))


def correlate(a: Any, v: Any, mode: str = "valid") -> Variable:
    """The sums of the products of ``a``, shifted, and the conjugate of ``v``."""
    a, v = as_tensor(a), as_tensor(v)
    if mode != "same":
        return convolve(a, flipped(conj(v)), mode)
    n, m = shape_i(a, 0), shape_i(v, 0)
    less = ew.sub(ew.minimum(n, m), 1)
    start = ew.switch(ew.lt(n, m), ew.sub(less, ew.floor_div(less, 2)), ew.floor_div(less, 2))
    return _part(convolve(a, flipped(conj(v))), 0, start, ew.add(start, ew.maximum(n, m)))


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences, at the ends one-sided ones; ``varargs`` are distances or coordinates for each axis."""
    f = as_tensor(f)
    f = ew.cast(f, floating(f.dtype))
    if edge_order != 1:
        raise ValueError(located("gradient: edge_order must be 1 for symbolic variables", [f]))
    given = range(f.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = [normalize_axis(k, f.ndim, "gradient", f) for k in given]
    spacings = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    if len(spacings) != len(axes):
        raise TypeError(f"gradient: expected 1 distance or one for each of {len(axes)} axes, got {len(varargs)}")
    found = [_slope(f, as_tensor(h), k) for h, k in zip(spacings, axes)]
    return found[0] if len(found) == 1 else tuple(found)


def _slope(f: Variable, h: Variable, k: int) -> Variable:
    if h.ndim:
        h = dimshuffle(extra_ops.diff(h), [0 if j == k else "x" for j in range(f.ndim)])
        before, after = _part(h, k, None, -1), _part(h, k, 1, None)
        first, last = _part(h, k, None, 1), _part(h, k, -1, None)
    else:
        before = after = first = last = h
    steps = extra_ops.diff(f, axis=k)
    down, up = _part(steps, k, None, -1), _part(steps, k, 1, None)
    weighted = ew.add(ew.mul(down, ew.true_div(after, before)), ew.mul(up, ew.true_div(before, after)))
    inner = ew.true_div(weighted, ew.add(before, after))
    ends = ew.true_div(_part(steps, k, None, 1), first), ew.true_div(_part(steps, k, -1, None), last)
    return joining.concatenate([ends[0], inner, ends[1]], axis=k)


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Variable:
    """The differences of the elements in a row, with others before and behind."""
    steps = extra_ops.diff(shaping.flatten(ary))
    parts = [to_begin, steps, to_end]
    return concatenate([shaping.flatten(as_tensor(p)) for p in parts if p is not None], 0, dtype=steps.dtype)


# --- running values -------------------------------------------------------------------------------------------------


def nan_running(function: Any, instead: float) -> Any:
    """A running reduction of the elements that are not NaN."""

    def apply(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Variable:
        a = typed(a, dtype)
        return function(ew.where(ew.isnan(a), instead, a), axis)

    return apply


def _running(name: str, function: Any, x: Any, axis: Any, dtype: Any, first: float | None) -> Variable:
    x = typed(x, dtype)
    if axis is None and x.ndim != 1:
        raise ShapeError(located(f"{name}: give an axis for tensors of several axes", [x]))
    k = normalize_axis(0 if axis is None else axis, x.ndim, name, x)
    found = function(x, k)
    if first is None:
        return found
    start = creation.alloc(np.asarray(first, found.dtype), *[1 if j == k else shape_i(x, j) for j in range(x.ndim)])
    return joining.concatenate([start, found], axis=k)


def cumulative_sum(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
) -> Variable:
    return _running("cumulative_sum", cumulative.cumsum, x, axis, dtype, 0 if include_initial else None)


def cumulative_prod(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
) -> Variable:
    return _running("cumulative_prod", cumulative.cumprod, x, axis, dtype, 1 if include_initial else None)


# --- statistics -----------------------------------------------------------------------------------------------------


def nan_position(function: Any, instead: float) -> Any:
    """``argmax`` or ``argmin`` of the elements that are not NaN; a ValueError if all along the axis are."""

    def apply(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Variable:
        a = as_tensor(a)
        absent = ew.isnan(a)
        found = function(ew.where(absent, instead, a), axis, flag(keepdims))
        if not is_float(a.dtype):
            return found
        some = ew.invert(reductions.any(reductions.all(absent, axis)))
        return assert_op(found, some, msg="All-NaN slice encountered", error=ValueError)

    return apply


def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """How many elements lie in each bin, and the edges of the bins."""
    x = shaping.flatten(as_tensor(a))
    edges = as_tensor(bins)
    if isinstance(bins, str):
        raise ValueError(located(f"histogram: bins={bins!r} does not work on symbolic variables", [x]))
    if edges.ndim == 0:
        low, high = range or (reductions.min(x), reductions.max(x))
        low, high = (ew.cast(as_tensor(v), floating(x.dtype)) for v in (low, high))
        half = ew.where(ew.eq(low, high), 0.5, 0.0)
        edges = grids.linspace(ew.sub(low, half), ew.add(high, half), ew.add(edges, 1), dtype=low.dtype)
    count = ew.sub(shape_i(edges, 0), 1)
    last = indexing.subtensor(edges, -1)
    place = ew.sub(ordering.searchsorted(edges, ew.cast(x, edges.dtype), side="right"), 1)
    place = ew.where(ew.eq(x, last), ew.sub(count, 1), place)
    inside = ew.and_(ew.ge(place, 0), ew.and_(ew.lt(place, count), ew.le(x, last)))
    given: Any = ew.cast(inside, "int64")
    if weights is not None:
        given = ew.where(inside, shaping.flatten(as_tensor(weights)), 0)
    sums = creation.zeros((count,), given.dtype)
    found = inc_subtensor(indexing.subtensor(sums, ew.where(inside, place, 0)), given)
    if not density:
        return found, edges
    found = ew.true_div(found, reductions.sum(found))
    return ew.true_div(found, extra_ops.diff(edges)), edges


def covariance(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Variable:
    """``cov``, as NumPy's a number for one vector."""
    found = cov(m, y, rowvar, bias, ddof)
    return indexing.subtensor(found, (0, 0)) if y is None and as_tensor(m).ndim < 2 and found.ndim else found


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Variable:
    """Correlation coefficients: covariances divided by standard deviations."""
    c = covariance(x, y, rowvar)
    if c.ndim == 0:
        return ew.true_div(c, c)
    deviations = ew.sqrt(extra_ops.diag(c))
    return ew.clip(ew.true_div(ew.true_div(c, dimshuffle(deviations, [0, "x"])), deviations), -1, 1)


# --- sets and order -------------------------------------------------------------------------------------------------


def union1d(ar1: Any, ar2: Any) -> Variable:
    return ordering.unique(concatenate([ar1, ar2], None))


def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Variable:
    return _selected(ordering.unique(shaping.flatten(as_tensor(ar1))), ar2, False)


def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Variable:
    first = shaping.flatten(as_tensor(ar1))
    return _selected(first if assume_unique else ordering.unique(first), ar2, True)


def _selected(x: Any, others: Any, invert: bool) -> Variable:
    return indexing.take(x, selection.flatnonzero(isin(x, others, invert=invert)))


def lexsort(keys: Any, axis: int = -1) -> Variable:
    """The order by several vectors: the last one decides, those before it where it has ties."""
    vectors = [as_tensor(k) for k in (keys if not isinstance(keys, Variable) else unstack(keys))]

    def refined(order: Variable, key: Variable) -> Variable:
        return indexing.take(order, sorting.argsort(indexing.take(key, order)))

    return fold(refined, vectors[1:], sorting.argsort(vectors[0]))


# --- insertion and removal ------------------------------------------------------------------------------------------


def _as_lines(x: Any, axis: Any, name: str) -> tuple[Variable, int]:
    x = as_tensor(x)
    return (shaping.flatten(x), 0) if axis is None else (x, normalize_axis(axis, x.ndim, name, x))


def delete(arr: Any, obj: Any, axis: Any = None) -> Variable:
    """``arr`` without the entries that ``obj`` (an integer, a slice, or indices) selects along ``axis``."""
    x, k = _as_lines(arr, axis, "delete")
    kept = creation.ones((shape_i(x, k),), "bool")
    index = obj if isinstance(obj, slice) else as_tensor(obj)
    kept = set_subtensor(indexing.subtensor(kept, index), False)
    return indexing.take(x, selection.flatnonzero(kept), axis=k)


def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Variable:
    """``arr`` with ``values`` before the entry ``obj``, an integer, along ``axis``."""
    x, k = _as_lines(arr, axis, "insert")
    if isinstance(obj, slice) or as_tensor(obj).ndim:
        raise TypeError(located("insert: expected one integer as place for symbolic variables", [x]))
    values = ew.cast(as_tensor(values), x.dtype)
    if axis is None:
        values = shaping.flatten(values)
    elif values.ndim < x.ndim:  # one entry
        order: list[Any] = ["x"] * (x.ndim - 1 - values.ndim) + list(range(values.ndim))
        values = dimshuffle(values, [*order[:k], "x", *order[k:]])
    full = [shape_i(values if j == k else x, j) for j in range(x.ndim)]
    return joining.concatenate([_part(x, k, None, obj), creation.alloc(values, *full), _part(x, k, obj, None)], axis=k)


def resize(a: Any, new_shape: Any) -> Variable:
    """The elements of ``a`` in a row, repeated or cut off, in another shape."""
    flat = shaping.flatten(as_tensor(a))
    shape = list(new_shape) if isinstance(new_shape, (tuple, list)) else [new_shape]
    total = fold(ew.mul, shape[1:], as_tensor(shape[0])) if shape else as_tensor(1)
    return indexing.take(flat, ew.mod(creation.arange(total), shape_i(flat, 0))).reshape(shape, ndim=len(shape))


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Variable, ...]:
    """The entries along an axis whose length is known."""
    x = as_tensor(x)
    k = normalize_axis(axis, x.ndim, "unstack", x)
    n = x.type.shape[k]
    if type(n) is not int:
        raise ShapeError(located("unstack: the length of the axis must be known", [x], "declare its shape"))
    return tuple(indexing.subtensor(x, (slice(None),) * k + (j,)) for j in range(n))


# --- numbers --------------------------------------------------------------------------------------------------------


def iscomplex(x: Any) -> Variable:
    """Whether the imaginary part is not 0."""
    return ew.neq(imag(as_tensor(x)), 0)


def vander(x: Any, N: Any = None, increasing: bool = False) -> Variable:
    """Powers of the elements of a vector: with exponents ``N - 1, ..., 0``, or 0, ..., N - 1 if ``increasing``."""
    x = as_tensor(x)
    exponents = creation.arange(shape_i(x, 0) if N is None else N)
    return ew.power(dimshuffle(x, [0, "x"]), exponents if increasing else flipped(exponents))


def logspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None) -> Any:
    found = ew.power(base, extra_ops.linspace(start, stop, num, endpoint))
    return found if dtype is None else ew.cast(found, dtype)


def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None) -> Variable:
    """Numbers of one sign whose logarithms are evenly spaced."""
    ends = [ew.log(ew.abs_(as_tensor(v))) for v in (start, stop)]
    found = ew.mul(ew.sgn(as_tensor(start)), ew.exp(extra_ops.linspace(ends[0], ends[1], num, endpoint)))
    return found if dtype is None else ew.cast(found, dtype)
