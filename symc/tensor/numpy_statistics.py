"""NumPy's statistics, sets and interpolation on variables, composed of other functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Constant, Variable
from symc.graph.dtypes import floating
from symc.tensor import creation, joining, ordering, reshaping, shaping, sorting
from symc.tensor import elementwise as ew
from symc.tensor import reduce as reductions
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant
from symc.tensor.indices import indexing
from symc.tensor.numpy_compositions import flag, nan_mean
from symc.tensor.reduction_records import normalize_axes
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "interp", "isin", "nanmedian", "nanpercentile", "nanquantile", "nanstd", "nanvar", "percentile", "quantile",
]  # fmt: skip


def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False,
) -> Variable:  # fmt: skip
    """Values below which fractions ``q`` of the elements along ``axis`` lie, interpolated between neighbours."""
    return _quantile("quantile", a, q, axis, keepdims, skip=False)


def nanquantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False,
) -> Variable:  # fmt: skip
    """Quantiles of the elements that are not NaN."""
    return _quantile("nanquantile", a, q, axis, keepdims, skip=True)


def _quantile(name: str, a: Any, q: Any, axis: Any, keepdims: Any, skip: bool) -> Variable:
    """Quantiles; with ``skip`` those of the elements that are not NaN."""
    a = as_tensor(a)
    a = ew.cast(a, floating(a.dtype))
    q = q if isinstance(q, Variable) else constant(np.asarray(q, "float64"), dtype=a.dtype)
    if isinstance(q, Constant) and not ((q.data >= 0) & (q.data <= 1)).all():
        raise ValueError(located(f"{name}: fractions must be from 0 to 1", [q]))
    axes = normalize_axes(axis, a, name)
    rest = [k for k in range(a.ndim) if k not in axes]
    moved = dimshuffle(a, [*axes, *rest])
    lines = reshaping.reshape(moved, [-1, *[shape_i(a, k) for k in rest]], ndim=1 + len(rest))
    found = _between_neighbours(lines, q, skip)
    if not flag(keepdims):
        return found
    kept = [q.ndim + rest.index(k) if k in rest else "x" for k in range(a.ndim)]
    return dimshuffle(found, [*range(q.ndim), *kept])


def _between_neighbours(lines: Variable, q: Variable, skip: bool) -> Variable:
    """Of the lines along axis 0; NaN counts as largest when they are sorted."""
    ordered, missing = sorting.sort(lines, axis=0), ew.isnan(lines)
    if skip:
        last: Any = ew.sub(reductions.sum(ew.cast(ew.invert(missing), "int64"), axis=0), 1)
        each = dimshuffle(q, [*range(q.ndim), *["x"] * (lines.ndim - 1)])
    else:
        last, each = ew.sub(shape_i(ordered, 0), 1), q
    place = ew.mul(ew.cast(each, lines.dtype), ew.cast(last, lines.dtype))
    lower = ew.cast(ew.floor(place), "int64")
    share = ew.sub(place, ew.cast(lower, lines.dtype))
    places = lower, ew.minimum(ew.add(lower, 1), last)
    if skip:
        ordered = joining.concatenate([ordered, creation.full((1, *ordered.shape[1:]), np.nan, lines.dtype)])
        entries = [ew.maximum(p, 0) for p in places]  # where all are NaN, or there are none, the first one is NaN
        others = [creation.arange(shape_i(lines, k)) for k in range(1, lines.ndim)]
        open_axes = [dimshuffle(v, [0, *["x"] * (len(others) - 1 - k)]) for k, v in enumerate(others)]
        first, second = (indexing.subtensor(ordered, (p, *open_axes)) for p in entries)
    else:
        first, second = (indexing.take(ordered, p, axis=0) for p in places)
        share = dimshuffle(share, [*range(q.ndim), *["x"] * (lines.ndim - 1)])
    found = ew.add(first, ew.where(ew.eq(first, second), 0, ew.mul(ew.sub(second, first), share)))
    return found if skip else ew.where(reductions.any(missing, axis=0), np.nan, found)


def _fractions(q: Any) -> Any:
    """Per cents as fractions."""
    return ew.true_div(q, 100) if isinstance(q, Variable) else np.asarray(q) / 100


def percentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False,
) -> Variable:  # fmt: skip
    """Quantiles of ``q`` per cent."""
    return quantile(a, _fractions(q), axis, out, overwrite_input, method, keepdims)


def nanpercentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False,
) -> Variable:  # fmt: skip
    """Quantiles of ``q`` per cent of the elements that are not NaN."""
    return nanquantile(a, _fractions(q), axis, out, overwrite_input, method, keepdims)


def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
) -> Variable:
    """The median of the elements that are not NaN."""
    return nanquantile(a, 0.5, axis, keepdims=keepdims)


def nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False
) -> Variable:
    """The variance of the elements that are not NaN."""
    a = as_tensor(a)
    a = ew.cast(a, dtype or floating(a.dtype))
    missing, options = ew.isnan(a), {"axis": axis, "keepdims": flag(keepdims)}
    distances = ew.where(missing, 0, ew.sub(a, nan_mean(a, axis=axis, keepdims=True)))
    rest = ew.sub(reductions.sum(ew.cast(ew.invert(missing), a.dtype), **options), ddof)
    return ew.where(ew.gt(rest, 0), ew.true_div(reductions.sum(ew.sqr(distances), **options), rest), np.nan)


def nanstd(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False
) -> Variable:
    """The standard deviation of the elements that are not NaN."""
    return ew.sqrt(nanvar(a, axis, dtype, out, ddof, keepdims))


def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Variable:
    """Whether elements are among others."""
    element, others = as_tensor(element), shaping.flatten(as_tensor(test_elements))
    found = reductions.any(ew.eq(dimshuffle(element, [*range(element.ndim), "x"]), others), axis=-1)
    return ew.invert(found) if invert else found


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Variable:
    """The function that is linear between the points ``(xp, fp)``, with ``xp`` in ascending order."""
    x, xp, fp = as_tensor(x), as_tensor(xp), as_tensor(fp)
    last = ew.sub(shape_i(xp, 0), 1)
    j = ew.clip(ew.sub(ordering.searchsorted(xp, x, side="right"), 1), 0, ew.maximum(ew.sub(last, 1), 0))
    after = ew.minimum(ew.add(j, 1), last)
    (x0, x1), (f0, f1) = ([indexing.take(v, k) for k in (j, after)] for v in (xp, fp))
    slope = ew.where(ew.gt(x1, x0), ew.true_div(ew.sub(f1, f0), ew.sub(x1, x0)), 0)
    found = ew.add(f0, ew.mul(slope, ew.sub(x, x0)))
    found = ew.where(ew.lt(x, indexing.take(xp, 0)), indexing.take(fp, 0) if left is None else left, found)
    return ew.where(ew.gt(x, indexing.take(xp, -1)), indexing.take(fp, -1) if right is None else right, found)
