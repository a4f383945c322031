"""Repetition of elements and of whole tensors: ``repeat`` and ``tile``."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Constant, Variable
from symc.graph.dtypes import is_float
from symc.graph.op import Arg, Case, add_cases
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant, normalize_axis
from symc.tensor.checked import checked_below
from symc.tensor.creation import ALLOC, alloc, ones, zeros
from symc.tensor.cumulative import cumsum
from symc.tensor.indices.indexing import take
from symc.tensor.indices.subtensor_writing import inc_subtensor, set_subtensor
from symc.tensor.requirements import require_lengths
from symc.tensor.reshaping import reshape
from symc.tensor.shape_arguments import shape_entries
from symc.tensor.symbolic_dims import length

__all__ = ["repeat", "tile"]


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Repeat every element ``repeats`` times along ``axis`` (None: of ``x`` flattened).

    Parameters
    ----------
    x : tensor_like
    repeats : int, or integer scalar or vector
        One number for all elements, or one per element; a vector that is known to have one entry is one number.
    axis : int, optional

    Raises
    ------
    ShapeError
        If there are not as many counts as elements; lengths known only at call time are checked there.
    ValueError
        If a known count is negative; others raise an IndexError at call time.
    """
    x = as_tensor(x)
    if axis is None:
        x, axis = x.flatten(), 0
    place = normalize_axis(axis, x.ndim, "repeat", x)
    count = as_tensor(repeats)
    if is_float(count.dtype):
        raise TypeError(located(f"repeat: repeats must be integers, got {count.dtype}", [x, count]))
    if isinstance(count, Constant) and np.any(count.data < 0):
        raise ValueError(located(f"repeat: repeats cannot be negative, got {count.data}", [x]))
    if count.ndim > 1:
        raise ShapeError(located("repeat: repeats must be a number or a vector", [x, count]))
    if count.ndim:
        if count.type.broadcastable[0]:
            return repeat(x, count[0], place)
        text = f"repeat: axis {place} must have as many elements as there are counts"
        x = require_lengths(x, [(length(x, place), length(count, 0), text)], "give one count per element")
        return take(x, _sources(count), axis=place)
    if not isinstance(repeats, int):
        repeats = ew.cast(count, "int64")  # an uint64 times a length would be a float
    order: list[Any] = [*range(place + 1), "x", *range(place + 1, x.ndim)]
    lengths = [length(x, k) for k in range(x.ndim)]
    spread = alloc(dimshuffle(x, order), [*lengths[: place + 1], repeats, *lengths[place + 1 :]])
    return reshape(spread, [n * repeats if k == place else n for k, n in enumerate(lengths)])


def _sources(counts: Variable) -> Variable:
    """The number of the element from which each element of the result comes: element k comes ``counts[k]`` times."""
    if isinstance(counts, Constant):
        return constant(np.repeat(np.arange(len(counts.data)), counts.data), dtype="int64")
    most = constant(np.iinfo("int64").max, dtype="int64")
    counts = checked_below(counts, most, "repeat: a count is negative", "repeats must be 0 or more")
    ends = cumsum(counts)
    marks = inc_subtensor(zeros((reduce.sum(counts) + 1,), "int64")[ends], 1)  # where the next element begins
    return cumsum(marks[:-1])


def tile(x: Any, reps: Any, ndim: int | None = None) -> Variable:
    """Repeat ``x`` as a whole ``reps[k]`` times along axis k, as ``numpy.tile``.

    Parameters
    ----------
    x : tensor_like
    reps : int, sequence of int or integer scalars, or integer vector
    ndim : int, optional
        The number of axes of the result: missing entries of ``reps`` are 1, missing axes of ``x`` are prepended.
        Required if ``reps`` is a vector whose length is known only at call time.
    """
    x = as_tensor(x)
    if isinstance(reps, Variable) and reps.ndim == 1 and type(reps.type.shape[0]) is not int and ndim is not None:
        return tile(x, _as_many(reps, ndim))
    counts = list(shape_entries(reps, "tile"))
    for c in counts:
        if isinstance(c, int) and c < 0:
            raise ValueError(located(f"tile: reps cannot be negative, got {c}", [x]))
    total = max(x.ndim, len(counts))
    if ndim is not None:
        if ndim < total:
            text = f"tile: ndim={ndim} is less than the axes of the operand ({x.ndim}) or the length of reps"
            raise ValueError(located(text, [x]))
        total = ndim
    counts = [*[1] * (total - len(counts)), *counts]
    if x.ndim < len(counts):
        x = dimshuffle(x, ["x"] * (len(counts) - x.ndim) + list(range(x.ndim)))
    order = [e for k in range(x.ndim) for e in ("x", k)]
    lengths = [length(x, k) for k in range(x.ndim)]
    spread = alloc(dimshuffle(x, order), [e for c, n in zip(counts, lengths) for e in (c, n)])
    return reshape(spread, [n * c for c, n in zip(counts, lengths)])


def _as_many(reps: Variable, ndim: int) -> list[Variable]:
    """The entries of a vector of unknown length, preceded by ones, so that there are ``ndim``."""
    text = "tile: there are more entries in reps than ndim"
    short = ndim - ew.cast(checked_below(length(reps, 0), ndim + 1, text, "give a larger ndim"), "int64")
    padded = set_subtensor(ones((ndim,), "int64")[short:], ew.cast(reps, "int64"))
    return [padded[k] for k in range(ndim)]


add_cases(
    ALLOC,
    lambda: [
        Case(lambda x: repeat(x, 3, axis=1), (Arg((2, 3)),), expect=lambda x: np.repeat(x, 3, 1)),
        Case(lambda x: tile(x, (2, 3)), (Arg((2, 3)),), expect=lambda x: np.tile(x, (2, 3))),
    ],
)
