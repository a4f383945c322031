"""Neighbourhoods of pixels as rows of a matrix, and back, with Theano's interface."""

from __future__ import annotations

from typing import Any

from symc.errors import ShapeError, TypeMismatchError, located
from symc.graph import Variable
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant
from symc.tensor.checked import checked_below
from symc.tensor.creation import arange, zeros
from symc.tensor.indices.indexing import subtensor
from symc.tensor.joining import concatenate
from symc.tensor.reshaping import reshape
from symc.tensor.shape_arguments import shape_entries
from symc.tensor.symbolic_dims import length

__all__ = ["images2neibs", "neibs2images"]

MODES = ("valid", "ignore_borders", "wrap_centered", "half", "full")
_WORDS = ("rows", "columns")


def _pair(value: Any, what: str, name: str) -> tuple[Any, Any]:
    entries = list(shape_entries(value, what))
    if len(entries) != 2:
        raise ValueError(f"{what}: {name} must have an entry for rows and one for columns, got {len(entries)}")
    for e in entries:
        if isinstance(e, int) and e < 1:
            raise ValueError(f"{what}: {name} must be made of integers from 1, got {e}")
    return entries[0], entries[1]


def _require(condition: Any, text: str, repair: str) -> Any:
    """Zero, which is an error where ``condition`` does not hold."""
    if isinstance(condition, Variable):
        return checked_below(ew.cast(ew.invert(condition), "int64"), 1, text, repair)
    if not condition:
        raise TypeMismatchError(located(text, [], repair))
    return 0


def _fits(size: Any, least: Any) -> Any:
    return ew.ge(size, least) if isinstance(size, Variable) or isinstance(least, Variable) else size >= least


def _is_zero(number: Any) -> Any:
    return ew.eq(number, 0) if isinstance(number, Variable) else number == 0


def _both(a: Any, b: Any) -> Any:
    return ew.and_(a, b) if isinstance(a, Variable) or isinstance(b, Variable) else a and b


def _at_least_zero(n: Any) -> Any:
    return ew.maximum(n, 0) if isinstance(n, Variable) else max(n, 0)


def _places(size: Any, neib: Any, step: Any, mode: str, word: str) -> tuple[Variable, Any]:
    """The index along an axis of ``size`` at (window, position in it), and their number; outside is padding."""
    what = "images2neibs"
    if mode == "wrap_centered":
        odd = _is_zero((neib + 1) % 2)
        text = f"{what}: mode 'wrap_centered' requires an odd number of {word}, no larger than the image"
        wrong = _require(_both(odd, _fits(size, neib)), text, "choose another neib_shape")
        count = (size + step - 1) // step + wrong
        return _grid(count, neib, step, neib // 2), count
    pad = neib // 2 if mode == "half" else neib - 1 if mode == "full" else 0
    left = size + 2 * pad - neib
    count = left // step + 1
    if mode == "ignore_borders":
        return _grid(_at_least_zero(count), neib, step, pad), _at_least_zero(count)
    text = f"{what}: neighbourhoods do not cover the {word} of the images in mode '{mode}'"
    repair = "use mode 'ignore_borders', or another neib_shape or neib_step"
    count = count + _require(_both(_fits(left, 0), _is_zero(left % step)), text, repair)
    return _grid(count, neib, step, pad), count


def _grid(count: Any, neib: Any, step: Any, before: Any) -> Variable:
    windows, inside = dimshuffle(arange(count), (0, "x")), dimshuffle(arange(neib), ("x", 0))
    return windows * step + inside - before


def images2neibs(ten4: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid") -> Variable:
    """The neighbourhoods of images, one per row of a matrix.

    Parameters
    ----------
    ten4 : tensor_like
        Images, ``(batch, channels, rows, columns)``.
    neib_shape : pair of int, integer scalars, or an integer vector
        The size of a neighbourhood, (rows, columns).
    neib_step : pair, optional
        Distance of neighbouring ones; by default ``neib_shape``, so that they do not overlap.
    mode : {'valid', 'ignore_borders', 'wrap_centered', 'half', 'full'}
        ``'valid'``: neighbourhoods must cover the images exactly; ``'ignore_borders'``: the remainder is dropped;
        ``'wrap_centered'``: neighbourhoods of odd size, centred at every ``neib_step``-th pixel, continue at the
        opposite edge; ``'half'``, ``'full'``: as ``'valid'``, of images padded on both sides by ``neib_shape // 2`` or
        ``neib_shape - 1`` zeros.

    Returns
    -------
    Variable
        ``(batch * channels * neighbourhoods, neighbourhood size)``, in row-major order.

    Raises
    ------
    ShapeError, IndexError
        If neighbourhoods do not cover the images as ``mode`` requires; an IndexError where that is known only at call
        time.

    Examples
    --------
    >>> import numpy as np
    >>> import symc.tensor as T
    >>> T.nnet.neighbours.images2neibs(np.arange(8.0).reshape(1, 1, 2, 4), (2, 2)).eval()
    array([[0., 1., 4., 5.],
           [2., 3., 6., 7.]])
    """
    if mode not in MODES:
        raise ValueError(f"images2neibs: mode must be one of {', '.join(map(repr, MODES))}, got {mode!r}")
    x = as_tensor(ten4)
    if x.ndim != 4:
        text = f"images2neibs: expected images (batch, channels, rows, columns), got {x.ndim} axes"
        raise ShapeError(located(text, [x], "add axes with dimshuffle"))
    neibs = _pair(neib_shape, "images2neibs", "neib_shape")
    steps = neibs if neib_step is None else _pair(neib_step, "images2neibs", "neib_step")
    at, counts, inside = [], [], []
    for k in (0, 1):
        size = length(x, 2 + k)
        places, count = _places(size, neibs[k], steps[k], mode, _WORDS[k])
        if mode == "wrap_centered":
            places = ew.mod(places, size)
        elif mode in ("half", "full"):
            inside.append(ew.and_(ew.ge(places, 0), ew.lt(places, size)))
            places = ew.clip(places, 0, ew.maximum(constant(0), as_tensor(size) - 1))
        at.append(places)
        counts.append(count)
    rows, columns = dimshuffle(at[0], (0, "x", 1, "x")), dimshuffle(at[1], ("x", 0, "x", 1))
    found = subtensor(x, (slice(None), slice(None), rows, columns))
    if inside:
        mask = ew.and_(dimshuffle(inside[0], (0, "x", 1, "x")), dimshuffle(inside[1], ("x", 0, "x", 1)))
        found = ew.switch(dimshuffle(mask, ("x", "x", 0, 1, 2, 3)), found, ew.cast(constant(0), x.dtype))
    return reshape(found, [length(x, 0) * length(x, 1) * counts[0] * counts[1], neibs[0] * neibs[1]])


def neibs2images(neibs: Any, neib_shape: Any, original_shape: Any, mode: str = "valid") -> Variable:
    """The images whose neighbourhoods, which do not overlap, are the rows of ``neibs``.

    Parameters
    ----------
    neibs : tensor_like
        The result of :func:`images2neibs` with the default ``neib_step``.
    neib_shape : pair of int, integer scalars, or an integer vector
        The size of a neighbourhood, (rows, columns).
    original_shape : sequence of int or integer scalars, or an integer vector
        The shape of the images.
    mode : {'valid', 'ignore_borders'}
        In mode ``'ignore_borders'``, pixels that no neighbourhood covers become zero.

    Returns
    -------
    Variable
        ``original_shape``.
    """
    what = "neibs2images"
    if mode not in ("valid", "ignore_borders"):
        text = "'valid' or 'ignore_borders', in which neighbourhoods do not overlap"
        raise ValueError(f"{what}: mode must be {text}, got {mode!r}")
    x = as_tensor(neibs)
    if x.ndim != 2:
        raise ShapeError(located(f"{what}: expected one neighbourhood per row of a matrix, got {x.ndim} axes", [x]))
    shape = list(shape_entries(original_shape, what, 4))
    if len(shape) != 4:
        raise ValueError(located(f"{what}: original_shape must have 4 entries, got {len(shape)}", [x]))
    sizes = _pair(neib_shape, what, "neib_shape")
    batch, channels, rows, columns = shape
    wide, tall = rows // sizes[0], columns // sizes[1]
    if mode == "valid":
        for have, size, word in ((rows, sizes[0], "rows"), (columns, sizes[1], "columns")):
            text = f"{what}: the {word} of original_shape are no multiple of those of neib_shape"
            wide = wide + _require(_is_zero(have % size), text, "use mode 'ignore_borders'")
    grid = reshape(x, [batch, channels, wide, tall, sizes[0], sizes[1]])
    found = reshape(dimshuffle(grid, (0, 1, 2, 4, 3, 5)), [batch, channels, wide * sizes[0], tall * sizes[1]])
    if mode == "valid":
        return found
    below = zeros((batch, channels, rows - wide * sizes[0], tall * sizes[1]), x.dtype)
    found = concatenate([found, below], axis=2)
    beside = zeros((batch, channels, rows, columns - tall * sizes[1]), x.dtype)
    return concatenate([found, beside], axis=3)
