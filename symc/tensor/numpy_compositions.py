"""Functions of NumPy that have no counterpart of their own here, composed of other functions.

They have the parameters of NumPy's functions, as far as they have a meaning here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce as fold
from itertools import accumulate
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.dtypes import as_dtype, floating, is_float
from symc.tensor import broadcasting, creation, einsum, extra_ops, joining, linalg, reshaping, shaping, sorting
from symc.tensor import elementwise as ew
from symc.tensor import reduce as reductions
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.complex_numbers.parts import conj
from symc.tensor.indices import indexing, selection, subtensor_writing
from symc.tensor.linear_algebra import factorisations, matrix_functions
from symc.tensor.numpy_functions import truth
from symc.tensor.requirements import require_lengths
from symc.tensor.symbolic_dims import shape_i

NONE = np._NoValue


def typed(x: Any, dtype: Any) -> Variable:
    x = as_tensor(x)
    return x if dtype is None else ew.cast(x, as_dtype(dtype))


def flag(keepdims: Any) -> bool:
    return False if keepdims is NONE else bool(keepdims)


def at_least(x: Any, n: int, columns: bool = False) -> Variable:
    """As ``numpy.atleast_1d``, ``atleast_2d`` and ``atleast_3d``; with ``columns``, a vector is a column."""
    x = as_tensor(x)
    missing = n - x.ndim
    if missing <= 0:
        return x
    if columns and x.ndim == 1:
        return dimshuffle(x, [0, "x"])
    if n == 3:
        return dimshuffle(x, {0: ["x"] * 3, 1: ["x", 0, "x"], 2: [0, 1, "x"]}[x.ndim])
    return dimshuffle(x, ["x"] * missing + list(range(x.ndim)))


def each(function: Callable[[Any], Variable]) -> Callable[..., Any]:
    return lambda *arrays: function(arrays[0]) if len(arrays) == 1 else tuple(map(function, arrays))


# --- reductions -----------------------------------------------------------------------------------------------------


def without_nan(function: Callable[..., Variable], instead: Any) -> Callable[..., Variable]:
    """A reduction of the elements that are not NaN."""
    return lambda a, axis=None, dtype=None, out=None, keepdims=False, initial=NONE, where=NONE: function(
        ew.where(ew.isnan(typed(a, dtype)), instead, typed(a, dtype)), axis=axis, keepdims=flag(keepdims)
    )


def nan_extreme(function: Callable[..., Variable], instead: float) -> Callable[..., Variable]:
    """The extreme of the elements that are not NaN; NaN where all are."""

    def apply(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NONE, where: Any = NONE
    ) -> Variable:
        a = as_tensor(a)
        missing = ew.isnan(a)
        options = {"axis": axis, "keepdims": flag(keepdims)}
        found = function(ew.where(missing, instead, a), **options)
        return ew.where(reductions.all(missing, **options), np.nan, found)

    return apply


def nan_mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, where: Any = NONE
) -> Variable:
    a = typed(a, dtype)
    missing, options = ew.isnan(a), {"axis": axis, "keepdims": flag(keepdims)}
    count = reductions.sum(ew.cast(ew.invert(missing), floating(a.dtype)), **options)
    return ew.true_div(reductions.sum(ew.where(missing, 0, a), **options), count)


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: Any = False) -> Any:
    """The mean with weights; a vector of weights lies along ``axis``."""
    a = as_tensor(a)
    if weights is None:
        found = reductions.mean(a, axis=axis, keepdims=flag(keepdims))
        count = ew.true_div(reductions.sum(ew.add(ew.mul(a, 0), 1), axis=axis, keepdims=flag(keepdims)), 1)
        return (found, count) if returned else found
    weights = as_tensor(weights)
    if weights.ndim == 1 and a.ndim > 1 and isinstance(axis, int):
        k = normalize_axis(axis, a.ndim, "average", a)
        weights = dimshuffle(weights, [0 if j == k else "x" for j in range(a.ndim)])
    options = {"axis": axis, "keepdims": flag(keepdims)}
    total = reductions.sum(ew.add(weights, ew.mul(a, 0)) if weights.ndim == a.ndim else weights, **options)
    found = ew.true_div(reductions.sum(ew.mul(a, weights), **options), total)
    return (found, total) if returned else found


def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Variable:
    return reductions.sum(ew.cast(ew.neq(a, 0), "int64"), axis=axis, keepdims=keepdims)


def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Variable:
    """The mean of the middle two of the sorted elements."""
    a = as_tensor(a)
    a = ew.cast(a, floating(a.dtype))
    if axis is None:
        flat, k = shaping.flatten(a), 0
    elif isinstance(axis, Sequence):
        raise ShapeError(located("numpy.median: axis must be an integer or None for symbolic variables", [a]))
    else:
        k = normalize_axis(axis, a.ndim, "median", a)
        flat = a
    ordered = sorting.sort(flat, axis=k)
    n = shape_i(ordered, k)
    middle = slice(ew.floor_div(ew.maximum(ew.sub(n, 1), 0), 2), ew.add(ew.floor_div(n, 2), 1))
    found = reductions.mean(indexing.subtensor(ordered, (*[slice(None)] * k, middle)), axis=k)  # NaN of no elements
    if not is_integral(a):
        missing = reductions.any(ew.isnan(flat), axis=k)
        found = ew.where(missing, np.nan, found)
    if flag(keepdims):
        found = dimshuffle(found, ["x"] * a.ndim if axis is None else inserted(found, k))
    return found


def is_integral(a: Variable) -> bool:
    """Whether the dtype has no NaN."""
    return not is_float(a.dtype)


def inserted(x: Variable, k: int) -> list[Any]:
    order: list[Any] = list(range(x.ndim))
    order.insert(k, "x")
    return order


# --- joining, splitting and moving ------------------------------------------------------------------------------------


def concatenate(arrays: Any, axis: Any = 0, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [typed(a, dtype) for a in arrays]
    if axis is None:
        return joining.concatenate([shaping.flatten(p) for p in parts], axis=0)
    return joining.concatenate(parts, axis=axis)


def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return concatenate([at_least(a, 2) for a in tup], 0, dtype=dtype)


def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [at_least(a, 1) for a in tup]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1, dtype=dtype)


def block(arrays: Any) -> Variable:
    """The innermost lists are joined along the last axis, the outermost along the first of them."""

    def depth(a: Any) -> int:
        return 1 + depth(a[0]) if isinstance(a, list) else 0

    def leaves(a: Any) -> list[Any]:
        return [leaf for part in a for leaf in leaves(part)] if isinstance(a, list) else [a]

    nested = depth(arrays)
    ndim = max(nested, *(as_tensor(leaf).ndim for leaf in leaves(arrays)))

    def build(a: Any, level: int) -> Variable:
        if not isinstance(a, list):
            return (
                at_least(a, ndim)
                if ndim < 3
                else dimshuffle(as_tensor(a), ["x"] * (ndim - as_tensor(a).ndim) + list(range(as_tensor(a).ndim)))
            )
        return joining.concatenate([build(part, level + 1) for part in a], axis=level - nested)

    return build(arrays, 0)


def pieces(x: Variable, ends: Sequence[Any], axis: int) -> list[Variable]:
    starts, stops = [0, *ends], [*ends, None]
    lead = (slice(None),) * axis
    return [indexing.subtensor(x, (*lead, slice(a, b))) for a, b in zip(starts, stops)]


def split(ary: Any, indices_or_sections: Any, axis: int = 0, equal: bool = True) -> list[Variable]:
    """Parts along ``axis``: a number of parts, or the positions where all but the first begin."""
    x = as_tensor(ary)
    k = normalize_axis(axis, x.ndim, "split", x)
    if not isinstance(indices_or_sections, (int, np.integer)):
        return pieces(x, list(indices_or_sections), k)
    parts = int(indices_or_sections)
    n: Any = x.type.shape[k]
    if type(n) is int:
        if equal and n % parts:
            raise ValueError(located(f"split: axis {k} of length {n} has no {parts} equal parts", [x]))
        sizes = [n // parts + (j < n % parts) for j in range(parts)]
        return pieces(x, list(accumulate(sizes))[:-1], k)
    if not equal:
        raise ShapeError(located("numpy.array_split: the length of the axis must be known", [x], "declare its shape"))
    n = shape_i(x, k)
    text = f"split: axis {k} has no {parts} equal parts"
    x = require_lengths(x, [(ew.mod(n, parts), 0, text)], "choose a number that divides the length")
    size = ew.floor_div(n, parts)
    return pieces(x, [ew.mul(size, j) for j in range(1, parts)], k)


def along(axis_of: Callable[[Variable], int]) -> Callable[..., list[Variable]]:
    return lambda ary, indices_or_sections: split(ary, indices_or_sections, axis_of(as_tensor(ary)))


def flipped(m: Any, axis: Any = None) -> Variable:
    x = as_tensor(m)
    given = range(x.ndim) if axis is None else axis if isinstance(axis, Sequence) else (axis,)
    axes = {normalize_axis(k, x.ndim, "flip", x) for k in given}
    return indexing.subtensor(x, tuple(slice(None, None, -1 if k in axes else None) for k in range(x.ndim)))


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Variable:
    first, second = axes
    turns: dict[int, Callable[[], Variable]] = {
        0: lambda: as_tensor(m),
        1: lambda: shaping.swapaxes(flipped(m, second), first, second),
        2: lambda: flipped(m, (first, second)),
        3: lambda: flipped(shaping.swapaxes(m, first, second), second),
    }
    return turns[k % 4]()


def transpose(a: Any, axes: Any = None) -> Variable:
    return shaping.transpose(a, axes)


def rollaxis(a: Any, axis: int, start: int = 0) -> Variable:
    x = as_tensor(a)
    k = normalize_axis(axis, x.ndim, "rollaxis", x)
    place = start + x.ndim if start < 0 else start
    return shaping.moveaxis(x, k, place - 1 if place > k else place)


def roll(a: Any, shift: Any, axis: Any = None) -> Variable:
    if not isinstance(axis, Sequence):
        return extra_ops.roll(a, shift, axis)
    shifts = shift if isinstance(shift, Sequence) else [shift] * len(axis)
    return fold(lambda x, entry: extra_ops.roll(x, *entry), zip(shifts, axis), as_tensor(a))


def reshape(a: Any, /, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None) -> Variable:
    return reshaping.reshape(a, shape if newshape is None else newshape)


def ravel(a: Any, order: str = "C") -> Variable:
    return shaping.flatten(a)


def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Variable:
    if isinstance(shape, (int, np.integer)) or isinstance(shape, Variable) and shape.ndim == 0:
        shape = (shape,)
    return creation.alloc(array, *shape)


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Variable, ...]:
    return tuple(broadcasting.broadcast_together("broadcast_arrays", [as_tensor(a) for a in args]))


def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Variable:
    """``array`` with borders in one of the modes constant, edge, wrap, reflect and symmetric."""
    x = as_tensor(array)
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    values = np.broadcast_to(np.asarray(constant_values), (x.ndim, 2)).tolist()
    if mode not in ("constant", "edge", "wrap", "reflect", "symmetric"):
        raise ValueError(located(f"numpy.pad: mode={mode!r} does not work on symbolic variables", [x]))
    if any(n < 0 for pair in widths for n in pair):
        raise ValueError(located(f"numpy.pad: widths cannot be negative, got pad_width={pad_width!r}", [x]))
    if mode == "constant" and len({v for pair in values for v in pair}) == 1:
        return framed(x, widths, values[0][0])
    for k, (before, after) in enumerate(widths):
        if mode == "constant":
            parts = [border(x, k, n, v) for n, v in zip((before, after), values[k])]
            x = joining.concatenate([parts[0], x, parts[1]], axis=k)
        elif before or after:
            n = shape_i(x, k)
            place = ew.sub(creation.arange(ew.add(n, before + after), dtype="int64"), before)
            x = indexing.take(x, source(place, n, mode), axis=k)
    return x


def framed(x: Variable, widths: Sequence[Sequence[int]], value: Any) -> Variable:
    """``x`` with one value around it."""
    shape = [ew.add(shape_i(x, k), before + after) for k, (before, after) in enumerate(widths)]
    inside = tuple(slice(before, -after if after else None) for before, after in widths)
    around = creation.alloc(ew.cast(as_tensor(value), x.dtype), *shape)
    return subtensor_writing.set_subtensor(indexing.subtensor(around, inside), x) if any(map(any, widths)) else x


def border(x: Variable, axis: int, width: int, value: Any) -> Variable:
    shape = [width if k == axis else shape_i(x, k) for k in range(x.ndim)]
    return creation.alloc(ew.cast(as_tensor(value), x.dtype), *shape)


def source(place: Variable, n: Variable, mode: str) -> Variable:
    """The positions that padded positions repeat."""
    if mode == "edge":
        return ew.minimum(ew.maximum(place, 0), ew.sub(n, 1))
    if mode == "wrap":
        return ew.mod(place, n)
    period = ew.mul(2, n) if mode == "symmetric" else ew.maximum(ew.mul(2, ew.sub(n, 1)), 1)
    turned = ew.mod(place, period)
    back = ew.sub(ew.sub(period, turned), 1 if mode == "symmetric" else 0)
    return ew.minimum(ew.minimum(turned, back), ew.sub(n, 1))  # the last says that no check is needed


# --- reading --------------------------------------------------------------------------------------------------------


def chosen(condition: Any, x: Any = NONE, y: Any = NONE, /) -> Any:
    if x is NONE and y is NONE:
        return tuple(selection.nonzero(truth(condition)))
    return ew.where(truth(condition), x, y)


def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Variable:
    return indexing.take(a, indices, axis=axis, mode=mode)


def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Variable:
    x, index = as_tensor(arr), as_tensor(indices)
    if axis is None:
        return indexing.subtensor(shaping.flatten(x), index)
    k = normalize_axis(axis, x.ndim, "take_along_axis", x)
    places = [
        index if j == k else dimshuffle(creation.arange(shape_i(x, j)), [0 if j == m else "x" for m in range(x.ndim)])
        for j in range(x.ndim)
    ]
    return indexing.subtensor(x, tuple(places))


def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Variable:
    places = selection.flatnonzero(truth(condition))
    return indexing.take(a, places, axis=axis)


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Variable:
    pairs = list(zip(condlist, choicelist))
    return fold(lambda rest, pair: ew.where(truth(pair[0]), pair[1], rest), reversed(pairs), as_tensor(default))


def clipped(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    x = as_tensor(a)
    x = x if low is None else ew.maximum(x, low)
    return x if high is None else ew.minimum(x, high)


# --- arithmetic -----------------------------------------------------------------------------------------------------


def rounded(a: Any, decimals: int = 0, out: Any = None) -> Variable:
    if decimals == 0:
        return ew.round_half_to_even(a)
    x = as_tensor(a)
    if not is_float(x.dtype) and decimals > 0:
        return x
    factor = 10.0 ** abs(decimals)
    if decimals > 0:
        return ew.true_div(ew.round_half_to_even(ew.mul(x, factor)), factor)
    found = ew.mul(ew.round_half_to_even(ew.true_div(x, factor)), factor)
    return found if is_float(x.dtype) else ew.cast(found, x.dtype)


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Variable:
    x = as_tensor(x)
    if not is_float(x.dtype):
        return x
    limits = np.finfo(x.dtype)
    high, low = (limits.max if posinf is None else posinf), (limits.min if neginf is None else neginf)
    bounded = ew.where(ew.isinf(x), ew.where(ew.gt(x, 0), typed(high, x.dtype), typed(low, x.dtype)), x)
    return ew.where(ew.isnan(x), typed(nan, x.dtype), bounded)


def sinc(x: Any) -> Variable:
    scaled = ew.mul(x, float(np.pi))
    nonzero = ew.where(ew.eq(scaled, 0), 1.0, scaled)
    return ew.where(ew.eq(scaled, 0), 1.0, ew.true_div(ew.sin(nonzero), nonzero))


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Variable:
    y = as_tensor(y)
    k = normalize_axis(axis, y.ndim, "trapezoid", y)
    lead = (slice(None),) * k
    pairs = ew.add(indexing.subtensor(y, (*lead, slice(1, None))), indexing.subtensor(y, (*lead, slice(None, -1))))
    width: Any = dx
    if x is not None:
        width = extra_ops.diff(x, axis=-1 if as_tensor(x).ndim == 1 else k)
        if width.ndim == 1:
            width = dimshuffle(width, [0 if j == k else "x" for j in range(y.ndim)])
    return ew.true_div(reductions.sum(ew.mul(pairs, width), axis=k), 2)


def polyval(p: Any, x: Any) -> Variable:
    """Horner's rule over the coefficients, whose number must be known."""
    p = as_tensor(p)
    n = p.type.shape[0]
    if type(n) is not int:
        raise ShapeError(located("numpy.polyval: the number of coefficients must be known", [p], "declare its shape"))
    return fold(lambda total, k: ew.add(ew.mul(total, x), indexing.subtensor(p, k)), range(n), ew.mul(as_tensor(x), 0))


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Variable:
    if axis is not None:
        axisa = axisb = axisc = axis
    u, v = shaping.moveaxis(as_tensor(a), axisa, -1), shaping.moveaxis(as_tensor(b), axisb, -1)
    (a0, a1, a2), (b0, b1, b2) = ([indexing.subtensor(w, (Ellipsis, k)) for k in range(3)] for w in (u, v))
    made = [ew.sub(ew.mul(p, q), ew.mul(r, s)) for p, q, r, s in ((a1, b2, a2, b1), (a2, b0, a0, b2), (a0, b1, a1, b0))]
    return shaping.moveaxis(joining.stack(made, axis=-1), -1, axisc)


def vdot(a: Any, b: Any, /) -> Variable:
    return linalg.dot(shaping.flatten(conj(a)), shaping.flatten(b))


def inner(a: Any, b: Any, /) -> Variable:
    a, b = as_tensor(a), as_tensor(b)
    if not a.ndim or not b.ndim:
        return ew.mul(a, b)
    return linalg.tensordot(a, b, axes=[[a.ndim - 1], [b.ndim - 1]])


def sum_of_products(*operands: Any, out: Any = None, optimize: Any = False, dtype: Any = None) -> Variable:
    return einsum.einsum(operands[0], *(typed(o, dtype) for o in operands[1:]))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Variable:
    return reductions.all(ew.eq(a1, a2))


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = NONE, append: Any = NONE) -> Variable:
    return extra_ops.diff(a, n, axis)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Variable:
    return matrix_functions.norm(x, ord, axis=(-2, -1), keepdims=keepdims)


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Variable:
    x = as_tensor(x)
    if axis is None:
        found = matrix_functions.norm(shaping.flatten(x), ord)
        return dimshuffle(found, ["x"] * x.ndim) if keepdims else found
    return matrix_functions.norm(x, ord, axis=axis, keepdims=keepdims)


def cholesky(a: Any, /, *, upper: bool = False) -> Variable:
    return factorisations.cholesky(a, lower=not upper)
