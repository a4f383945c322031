"""Functions composed of other functions: differences, rolls, choices, flat indices, comparisons."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Constant, Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import is_float
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.assertions import assert_op
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant, normalize_axis
from symc.tensor.broadcasting import broadcast_like, broadcast_together
from symc.tensor.checked import checked_below
from symc.tensor.covariance import cov
from symc.tensor.creation import arange, zeros, zeros_like
from symc.tensor.cumulative import cumprod, cumsum
from symc.tensor.diagonals import diag, diagonal, fill_diagonal, fill_diagonal_offset, trace
from symc.tensor.grids import linspace, mgrid, ogrid
from symc.tensor.indices.gathers import SCATTER
from symc.tensor.indices.indexing import subtensor, take, to_one_hot
from symc.tensor.indices.positions import iota
from symc.tensor.indices.rotation import rotated
from symc.tensor.indices.selection import flatnonzero, nonzero
from symc.tensor.joining import concatenate
from symc.tensor.keywords import also_named
from symc.tensor.known_values import (
    NotScalarConstantError,
    extract_constant,
    get_scalar_constant_value,
    get_vector_length,
)
from symc.tensor.linalg import batched_dot, paired_axes
from symc.tensor.options import choice, integer
from symc.tensor.ordering import Unique, searchsorted, unique
from symc.tensor.repeating import repeat
from symc.tensor.requirements import require_lengths
from symc.tensor.shape_arguments import shape_entries
from symc.tensor.shaping import squeeze
from symc.tensor.symbolic_dims import length, shape_i

__all__ = [
    "NotScalarConstantError", "Unique", "allclose", "bartlett", "batched_tensordot", "bincount", "broadcast_shape",
    "ceil_intdiv", "choose", "compress", "cov", "cumprod", "cumsum", "diag", "diagonal", "diff", "divmod",
    "extract_constant", "fill_diagonal", "fill_diagonal_offset", "get_scalar_constant_value", "get_vector_length",
    "iround", "isclose", "linspace", "mgrid", "ogrid", "ravel_multi_index", "repeat", "roll", "round", "searchsorted",
    "squeeze", "to_one_hot", "trace", "unique", "unravel_index", "where",
]  # fmt: skip


# --- along an axis ------------------------------------------------------------------------------------------------


def diff(x: Any, n: int = 1, axis: int = -1) -> Variable:
    """The ``n``-th differences of neighbouring elements along ``axis``; of truth values, whether they differ."""
    x = as_tensor(x)
    n = integer("diff", "n", n, [x], least=0)
    lead = (slice(None),) * normalize_axis(axis, x.ndim, "diff", x)
    differ = ew.neq if x.dtype == "bool" else ew.sub
    for _ in range(n):
        x = differ(subtensor(x, (*lead, slice(1, None))), subtensor(x, (*lead, slice(None, -1))))
    return x


def roll(x: Any, shift: Any, axis: Any = None) -> Variable:
    """Shift ``x`` cyclically by ``shift`` elements along ``axis`` (None: of ``x`` flattened).

    ``axis`` may be a tuple of axes, with one ``shift`` for all of them or one for each.
    """
    x = as_tensor(x)
    if isinstance(axis, (tuple, list)):
        shifts = list(shift) if isinstance(shift, (tuple, list)) else [shift] * len(axis)
        if len(shifts) != len(axis):
            raise ValueError(located(f"roll: {len(shifts)} shifts for {len(axis)} axes", [x]))
        for by, k in zip(shifts, axis):
            x = roll(x, by, k)
        return x
    by = as_tensor(shift)
    if by.ndim or is_float(by.dtype):
        raise TypeError(located("roll: shift must be an integer", [x, by], "roll along one axis after another"))
    if axis is None:
        return roll(x.flatten(), shift, 0).reshape(x.shape, ndim=x.ndim)
    place = normalize_axis(axis, x.ndim, "roll", x)
    return rotated(x, int(by.data) if isinstance(by, Constant) else by, place)


def bincount(x: Any, weights: Any = None, minlength: Any = None, assert_nonneg: bool = False) -> Variable:
    """Count the occurrences of each integer in the vector ``x``, or sum the ``weights`` at these positions.

    The length of the result is the largest number plus 1, or ``minlength`` if that is larger. Negative numbers raise an
    error at call time: an AssertionError with ``assert_nonneg``, else an IndexError.
    """
    x = as_tensor(x)
    if x.ndim != 1:
        raise ShapeError(located("bincount: expected a vector", [x]))
    if is_float(x.dtype):
        raise DTypeError(located(f"bincount: expected integers, got {x.dtype}", [x], "cast them to int64"))
    if weights is not None:
        weights = as_tensor(weights)
        if weights.ndim != 1:
            raise ShapeError(located("bincount: weights must be a vector", [x, weights]))
        text = "bincount: there must be as many weights as numbers"
        weights = require_lengths(weights, [(shape_i(weights, 0), shape_i(x, 0), text)])
    if minlength is not None and isinstance(as_tensor(minlength), Constant) and int(minlength) < 0:
        raise ValueError(located(f"bincount: minlength cannot be negative, got {minlength}", [x]))
    if assert_nonneg:
        x = assert_op(x, reduce.all(ew.ge(x, 0)), msg="bincount: a number is negative")
    x = ew.cast(x, "int64")
    length = reduce.max(concatenate([x, constant(np.array([-1]))])) + 1
    if minlength is not None:
        length = ew.maximum(length, ew.cast(minlength, "int64"))
    one = constant(1, dtype="int64") if weights is None else as_tensor(weights)
    counts = zeros((length,), one.dtype)
    x = checked_below(x, shape_i(counts, 0), "bincount: a number is negative", "numbers count from 0")
    return Op(SCATTER, axes=(0,), place=0, replace=False)(counts, broadcast_like(one, x), x)


def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Variable:
    """Select, for each entry of ``a``, the entry at the same position of the choice with that number.

    Parameters
    ----------
    a : tensor_like
        Integers from 0 to ``len(choices) - 1``; others raise an IndexError at call time.
    choices : list of tensor_like, or tensor_like
        Broadcast together with ``a``; the choices of a tensor are its entries along the first axis.
    out : None
        Expressions are not written into arrays.
    mode : {'raise', 'wrap', 'clip'}
        Handling of numbers out of range: raise an error, take them modulo the number of choices, or clip them.
    """
    a = as_tensor(a)
    if out is not None:
        raise TypeError(located("choose: out must be None, since expressions are not written into arrays", [a]))
    if is_float(a.dtype):
        raise DTypeError(located(f"choose: expected integers, got {a.dtype}", [a], "cast them to int64"))
    choice("choose", "mode", mode, ("raise", "wrap", "clip"), [a])
    if isinstance(choices, Variable) and choices.ndim and type(choices.type.shape[0]) is not int:
        return _choose_entries(a, choices, mode)
    options = list(choices) if isinstance(choices, (list, tuple)) else [choices[k] for k in range(len(choices))]
    if not options:
        raise ValueError(located("choose: there is nothing to choose from", [a]))
    if mode == "wrap":
        a = ew.mod(ew.cast(a, "int64"), len(options))
    elif mode == "clip":
        a = ew.clip(ew.cast(a, "int64"), 0, len(options) - 1)
    a = checked_below(a, len(options), f"choose: a number is not one of the {len(options)} choices", "use mode='clip'")
    if len(options) == 1:
        return ew.switch(ew.eq(a, 0), options[0], 0)  # the branches must differ, so that the check of ``a`` is kept
    chosen = as_tensor(options[0])
    for k, option in enumerate(options[1:], 1):
        chosen = ew.switch(ew.eq(a, k), option, chosen)
    return chosen


def _choose_entries(a: Variable, choices: Variable, mode: str) -> Variable:
    """Choose among the entries of a tensor along its first axis, however many there are."""
    count = choices.shape[0]
    if mode == "wrap":
        a = ew.mod(ew.cast(a, "int64"), count)
    elif mode == "clip":
        a = ew.clip(ew.cast(a, "int64"), 0, count - 1)
    else:
        a = checked_below(a, count, "choose: a number is not one of the choices", "use mode='clip'")
    ones = [1 if known else choices.shape[k + 1] for k, known in enumerate(choices.type.broadcastable[1:])]
    a, _ = broadcast_together("choose", [a, zeros(ones, "bool")])
    lead = a.ndim - len(ones)
    places = [zeros_like(a) if choices.type.broadcastable[k + 1] else iota(a, lead + k) for k in range(len(ones))]
    return subtensor(choices, (a, *places))


def compress(condition: Any, x: Any, axis: int | None = None) -> Variable:
    """The entries of ``x`` along ``axis`` (None: of ``x`` flattened) where the vector ``condition`` is not zero.

    ``condition`` may be shorter than the axis; the rest is not selected. Its true entries behind the end of the axis
    raise an IndexError at call time.
    """
    condition, x = as_tensor(condition), as_tensor(x)
    if condition.ndim != 1:
        raise ShapeError(located("compress: condition must be a vector", [condition, x]))
    return take(x, flatnonzero(condition), axis=axis)


def bartlett(M: Any) -> Variable:
    """A Bartlett window of ``M`` points: a triangle that begins and ends at zero, in floatX.

    ``M`` is an integer scalar; for less than 1, the result is empty.
    """
    count = as_tensor(M)
    if count.ndim or is_float(count.dtype):
        raise DTypeError(located("bartlett: M must be an integer scalar", [count]))
    at = ew.cast(arange(ew.maximum(ew.cast(count, "int64"), 0)), "floatX")
    last = ew.cast(count - 1, "floatX")
    rise = 2 * at / ew.maximum(last, 1)
    window = ew.switch(ew.le(at, last / 2), rise, 2 - rise)
    return ew.switch(ew.eq(count, 1), ew.cast(1, "floatX"), window)


def broadcast_shape(*arrays: Any) -> tuple[Any, ...]:
    """The shape to which ``arrays`` broadcast: per axis an integer, or an int64 scalar known only at call time.

    Only dims known to be 1 are repeated; other lengths must be equal when the arrays are used together.
    """
    variables = [as_tensor(v) for v in arrays]
    shape: list[Any] = []
    for k in range(-max((v.ndim for v in variables), default=0), 0):
        dims = [(v.type.broadcastable[k], length(v, v.ndim + k)) for v in variables if v.ndim >= -k]
        grown = [n for one, n in dims if not one]
        shape.append(next((n for n in grown if isinstance(n, int)), grown[0]) if grown else 1)
    return tuple(shape)


# --- products -----------------------------------------------------------------------------------------------------


def batched_tensordot(x: Any, y: Any, axes: Any = 2) -> Variable:
    """One ``tensordot`` per entry of axis 0; ``axes`` include that axis in their numbering."""
    x, y = as_tensor(x), as_tensor(y)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(located("batched_tensordot: operands need a first axis of entries", [x, y]))
    over_x, over_y = paired_axes("batched_tensordot", x, y, axes, first=1)
    if 0 in over_x or 0 in over_y:
        text = f"batched_tensordot: axes must pair axes other than the first, got {axes!r}"
        raise ShapeError(located(text, [x, y]))
    text = "batched_tensordot: axis {} of the left operand must be as long as axis {} of the right one"
    pairs = [(shape_i(x, k), shape_i(y, l), text.format(k, l)) for k, l in zip(over_x, over_y)]
    x = require_lengths(x, pairs, "name other axes, or fix the shape of an operand")
    free_x = [k for k in range(1, x.ndim) if k not in over_x]
    free_y = [k for k in range(1, y.ndim) if k not in over_y]
    left = dimshuffle(x, [0, *free_x, *over_x]).reshape(_shape_of(x, free_x, over_x), ndim=3)
    right = dimshuffle(y, [0, *over_y, *free_y]).reshape(_shape_of(y, over_y, free_y), ndim=3)
    return batched_dot(left, right).reshape([x.shape[0], *(x.shape[k] for k in free_x), *(y.shape[k] for k in free_y)])


def _shape_of(x: Variable, first: Sequence[int], second: Sequence[int]) -> list[Any]:
    """The shape of the first axis and two groups of other axes, each merged into one."""
    sizes: list[Any] = [x.shape[0], 1, 1]
    for place, group in ((1, first), (2, second)):
        for k in group:
            sizes[place] = sizes[place] * x.shape[k]
    return sizes


# --- positions ----------------------------------------------------------------------------------------------------


def unravel_index(indices: Any, dims: Any, order: str = "C", ndim: int | None = None) -> tuple[Variable, ...]:
    """Convert flat indices into an array of shape ``dims`` to one index per axis; invalid indices raise an error.

    ``ndim``, the number of axes, is required if ``dims`` is a symbolic vector of unknown length.
    """
    rest, found = _whole("unravel_index", indices), []
    sizes: list[Any] = list(shape_entries(dims, "unravel_index", ndim))
    total: Any = functools.reduce(operator.mul, sizes, 1)
    rest = checked_below(rest, total, "unravel_index: an index is out of range", "check it against dims")
    for n in _from_fastest(sizes, order, "unravel_index"):
        found.append(ew.mod(rest, n))
        rest = ew.floor_div(rest, n)
    return tuple(found[::-1] if order == "C" else found)


def ravel_multi_index(multi_index: Any, dims: Any, mode: str = "raise", order: str = "C") -> Variable:
    """Convert one index per axis to flat indices into an array of shape ``dims``.

    ``mode`` defines the handling of indices out of range: raise an error, take them modulo the length, or clip them.
    """
    at = [_whole("ravel_multi_index", multi_index[k]) for k in range(len(multi_index))]
    sizes: list[Any] = list(shape_entries(dims, "ravel_multi_index", len(at) if isinstance(dims, Variable) else None))
    if len(at) != len(sizes):
        raise ShapeError(located(f"ravel_multi_index: {len(at)} indices for {len(sizes)} axes", at))
    if mode == "wrap":
        at = [ew.mod(i, n) for i, n in zip(at, sizes)]
    elif mode == "clip":
        at = [ew.clip(i, 0, n - 1) for i, n in zip(at, sizes)]
    elif mode == "raise":
        text = "ravel_multi_index: an index is out of range for axis"
        at = [checked_below(i, n, f"{text} {k}", "use mode='clip'") for k, (i, n) in enumerate(zip(at, sizes))]
    else:
        raise ValueError(f"ravel_multi_index: mode must be 'raise', 'wrap' or 'clip', got {mode!r}")
    total: Any = constant(0, dtype="int64")
    step: Any = 1
    for i, n in zip(at[::-1] if order == "C" else at, _from_fastest(sizes, order, "ravel_multi_index")):
        total, step = total + i * step, step * n
    return total


def _whole(what: str, indices: Any) -> Variable:
    found = as_tensor(indices)
    if is_float(found.dtype):
        raise DTypeError(located(f"{what}: indices must be integers, got {found.dtype}", [found]))
    return ew.cast(found, "int64")


def _from_fastest(sizes: list[Any], order: str, what: str) -> list[Any]:
    choice(what, "order", order, ("C", "F"))
    return sizes[::-1] if order == "C" else sizes


# --- integers and comparisons -------------------------------------------------------------------------------------


def divmod(x: Any, y: Any) -> tuple[Variable, Variable]:
    """The quotient rounded down, and the remainder."""
    return ew.floor_div(x, y), ew.mod(x, y)


def ceil_intdiv(a: Any, b: Any) -> Variable:
    """The quotient of integers, rounded up."""
    a, b = as_tensor(a), as_tensor(b)
    for v in (a, b):
        if is_float(v.dtype):
            text = f"ceil_intdiv: expected integers, got {v.dtype}"
            raise DTypeError(located(text, [a, b], "use ceil(a / b) for floats"))
    quotient = ew.floor_div(a, b)
    return quotient + ew.cast(ew.neq(ew.mod(a, b), 0), quotient.dtype)


@also_named(a="x")
def iround(x: Any, mode: str = "half_to_even") -> Variable:
    """Round ``x`` to int64; ``mode`` as for ``round``."""
    return ew.cast(round(x, mode), "int64")


@also_named(a="x")
def round(x: Any, mode: str | None = None) -> Variable:
    """Round ``x`` to integers, in its own dtype.

    Parameters
    ----------
    x : tensor_like
    mode : {'half_to_even', 'half_away_from_zero'}
        Rounding of halves: to the even neighbour (the default, as in NumPy), or away from zero.
    """
    choice("round", "mode", mode, (None, "half_to_even", "half_away_from_zero"))
    return ew.round_half_away_from_zero(x) if mode == "half_away_from_zero" else ew.round_half_to_even(x)


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Variable:
    """Whether ``|a - b| <= atol + rtol |b|``. Equal infinities are close; NaNs only with ``equal_nan``."""
    a, b = as_tensor(a), as_tensor(b)
    near = ew.and_(ew.le(ew.abs_(a - b), atol + rtol * ew.abs_(b)), ew.invert(ew.or_(ew.isinf(a), ew.isinf(b))))
    near = ew.or_(near, ew.eq(a, b))
    return ew.or_(near, ew.and_(ew.isnan(a), ew.isnan(b))) if equal_nan else near


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Variable:
    """Whether all entries are close, as defined by ``isclose``."""
    return reduce.all(isclose(a, b, rtol, atol, equal_nan))


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """``switch(condition, x, y)``; with ``condition`` alone, ``nonzero(condition)``."""
    if (x is None) != (y is None):
        raise TypeError("where: give both x and y, or neither")
    return nonzero(condition) if x is None else ew.switch(condition, x, y)


explain_faults(globals())
