"""Enlarging images by linear interpolation, with Theano's interface."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Constant, Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import floating, is_integer
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.creation import arange
from symc.tensor.indices.indexing import take
from symc.tensor.shape_arguments import specify_shape
from symc.tensor.symbolic_dims import length

__all__ = ["bilinear_kernel_1D", "bilinear_kernel_2D", "bilinear_upsampling", "frac_bilinear_upsampling"]

_FRACTION = "a pair (numerator, denominator), or one such pair for rows and one for columns"


def _whole_ratio(ratio: Any) -> Any:
    if isinstance(ratio, Constant) and ratio.ndim == 0:
        ratio = ratio.data.item()
    if isinstance(ratio, Variable):
        if ratio.ndim or not is_integer(ratio.dtype):
            raise TypeError(located("bilinear_upsampling: ratio must be an integer scalar", [ratio]))
        return ew.cast(ratio, "int64")
    if isinstance(ratio, bool) or not isinstance(ratio, (int, np.integer)) or ratio < 1:
        raise ValueError(f"bilinear_upsampling: ratio must be an integer from 1, got {ratio!r}")
    return int(ratio)


def _fraction(value: Any) -> tuple[int, int]:
    entries = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(entries) != 2 or any(isinstance(e, bool) or not isinstance(e, (int, np.integer)) or e < 1 for e in entries):
        raise ValueError(f"bilinear_upsampling: frac_ratio must be {_FRACTION}, got {value!r}")
    top, bottom = int(entries[0]), int(entries[1])
    common = math.gcd(top, bottom)
    return top // common, bottom // common


def _ratios(ratio: Any, frac_ratio: Any) -> list[tuple[Any, int]]:
    """The ratio of rows and that of columns, each as numerator and denominator."""
    if (ratio is None) == (frac_ratio is None):
        raise ValueError("bilinear_upsampling: give either ratio or frac_ratio")
    if ratio is not None:
        pair = tuple(ratio) if isinstance(ratio, (tuple, list)) else (ratio, ratio)
        if len(pair) != 2:
            raise ValueError(f"bilinear_upsampling: ratio must be an integer or a pair of them, got {ratio!r}")
        return [(_whole_ratio(r), 1) for r in pair]
    if not isinstance(frac_ratio, (tuple, list)) or len(frac_ratio) != 2:
        raise ValueError(f"bilinear_upsampling: frac_ratio must be {_FRACTION}, got {frac_ratio!r}")
    nested = isinstance(frac_ratio[0], (tuple, list))
    return [_fraction(f) for f in (frac_ratio if nested else (frac_ratio, frac_ratio))]


def _interpolated(x: Variable, axis: int, top: Any, bottom: int) -> Variable:
    """Element k is ``x`` at ``(k * bottom - (top - 1) // 2) / top`` along ``axis``; ``x`` is constant outside."""
    size = length(x, axis)
    count = (size * top - 1) // bottom + 1
    place = arange(count) * bottom - (top - 1) // 2
    below = ew.floor_div(place, top)
    weight = ew.cast(ew.mod(place, top), x.dtype) / ew.cast(as_tensor(top), x.dtype)
    weight = dimshuffle(weight, [0 if k == axis else "x" for k in range(x.ndim)])
    low, high = (take(x, p, axis=axis, mode="clip") for p in (below, below + 1))
    return low * (1 - weight) + high * weight


def bilinear_upsampling(
    input: Any,
    ratio: Any = None,
    frac_ratio: Any = None,
    batch_size: int | None = None,
    num_input_channels: int | None = None,
    use_1D_kernel: bool = True,
) -> Variable:
    """Enlarge images by linear interpolation of rows and columns.

    Row i of the result is the image at row ``(i - (ratio - 1) // 2) / ratio``; beyond the edges, the image continues
    with its first and last row. Columns likewise.

    Parameters
    ----------
    input : tensor_like
        Images, ``(batch, channels, rows, columns)``.
    ratio : int, integer scalar, or a pair of them
        The number of rows and columns per row and column of ``input``.
    frac_ratio : pair of int, or pair of pairs, optional
        A fraction (numerator, denominator) instead of ``ratio``, or one for rows and one for columns: the images are
        enlarged by the numerator, of which every ``denominator``-th row and column stays.
    batch_size, num_input_channels : int, optional
        The first two dims of ``input``; checked at call time.
    use_1D_kernel : bool
        Has no effect: rows and columns are always interpolated one after the other. Accepted for old programs.

    Returns
    -------
    Variable
        ``(batch, channels, rows * ratio, columns * ratio)``; for a fraction ``p / q``,
        ``(rows * p - 1) // q + 1`` rows. Integers become floatX.

    Raises
    ------
    ValueError
        If not exactly one of ``ratio`` and ``frac_ratio`` is given, or it is not made of integers from 1.
    ShapeError
        If ``input`` does not have 4 axes.

    Examples
    --------
    >>> import numpy as np
    >>> import symc.tensor as T
    >>> T.nnet.bilinear_upsampling(np.array([[[[0.0, 4.0]]]]), 2).eval()
    array([[[[0., 2., 4., 4.],
             [0., 2., 4., 4.]]]])
    """
    x = as_tensor(input)
    if x.ndim != 4:
        text = f"bilinear_upsampling: expected images (batch, channels, rows, columns), got {x.ndim} axes"
        raise ShapeError(located(text, [x], "add axes with dimshuffle"))
    x = ew.cast(x, floating(x.dtype))
    if batch_size is not None or num_input_channels is not None:
        x = specify_shape(x, [batch_size, num_input_channels, None, None])
    for axis, (top, bottom) in zip((2, 3), _ratios(ratio, frac_ratio)):
        x = _interpolated(x, axis, top, bottom)
    return x


def bilinear_kernel_1D(ratio: Any, normalize: bool = True) -> Variable:
    """The weights of linear interpolation for an enlargement by ``ratio``: 1, 2, ..., ratio, ..., 2, 1, in floatX.

    With ``normalize``, they are divided by ``ratio``.
    """
    whole = _whole_ratio(ratio)
    at = ew.cast(arange(2 * whole - 1) + 1, "floatX")
    top = ew.cast(as_tensor(whole), "floatX")
    kernel = top - ew.abs_(at - top)
    return kernel / top if normalize else kernel


def bilinear_kernel_2D(ratio: Any, normalize: bool = True) -> Variable:
    """The products of :func:`bilinear_kernel_1D` for rows and columns; ``ratio`` is one number or a pair."""
    pair = tuple(ratio) if isinstance(ratio, (tuple, list)) else (ratio, ratio)
    rows, columns = (bilinear_kernel_1D(r, normalize) for r in pair)
    return dimshuffle(rows, (0, "x")) * dimshuffle(columns, ("x", 0))


def frac_bilinear_upsampling(input: Any, frac_ratio: Any) -> Variable:
    """:func:`bilinear_upsampling` by a fraction."""
    return bilinear_upsampling(input, frac_ratio=frac_ratio)


explain_faults(globals())
