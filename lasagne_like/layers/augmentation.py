"""Layers that change pictures at random during training, and a layer that scales pixel values.

They belong directly above the input layer. With ``get_output(..., deterministic=True)`` the random ones return their
input.
"""

import math
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from .base import Layer
from .noise import new_streams

__all__ = [
    "RandomAffine",
    "RandomBrightness",
    "RandomContrast",
    "RandomFlip",
    "RandomRotation",
    "RandomShift",
    "RandomZoom",
    "RescaleLayer",
]


class _PictureLayer(Layer):
    """A layer on pictures ``(batch, channels, rows, columns)`` that computes in floating point."""

    def __init__(self, incoming: Any, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        if len(self.input_shape) != 4:
            raise ValueError(
                f"{type(self).__name__} requires pictures of shape (batch, channels, rows, columns), "
                f"got the input shape {self.input_shape!r}"
            )
        rows, columns, last = (size or 5 for size in self.input_shape[1:])
        if last in (1, 3) and min(rows, columns) > 4:
            raise ValueError(
                f"{type(self).__name__}: the input shape {self.input_shape!r} looks like (batch, rows, columns, "
                "channels), but channels come first here: (batch, channels, rows, columns)"
            )
        self._srng = new_streams()

    def get_output_for(self, input: Any, deterministic: bool = False, **kwargs: Any) -> Any:
        if "float" not in input.dtype:  # the type of the output must not depend on the mode
            input = T.cast(input, symc.config.floatX)
        return input if deterministic else self._changed(input)

    def _changed(self, input: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _changed(self, input)")

    def _draws(self, input: Any, count: int) -> list:
        """Draw `count` numbers from -1 to 1 per picture, each of shape ``(batch, 1, 1)``."""
        unit = self._srng.uniform((input.shape[0], count), low=-1.0, high=1.0, dtype=input.dtype)
        return [unit[:, k].dimshuffle(0, "x", "x") for k in range(count)]


def _range(layer: Layer, name: str, value: Any, largest: float = math.inf) -> float:
    if not isinstance(value, Real) or not 0 <= float(value) <= largest:
        limit = f"a number from 0 to {largest:g}" if largest < math.inf else "a number that is not negative"
        raise ValueError(f"{type(layer).__name__}: {name}={value!r}: expected {limit}")
    return float(value)


class _Affine(_PictureLayer):
    """Base class of layers that flip, shift, zoom and rotate; a constructor calls :meth:`_set`."""

    def _set(self, horizontal: Any, vertical: Any, shift: Any, zoom: Any, degrees: Any, edge: Any) -> None:
        self.horizontal = _range(self, "horizontal", horizontal, 1)
        self.vertical = _range(self, "vertical", vertical, 1)
        rows, columns = shift if isinstance(shift, Sequence) else (shift, shift)
        self.shift = (_range(self, "shift", rows, 1), _range(self, "shift", columns, 1))
        low, high = zoom if isinstance(zoom, Sequence) else (1 - zoom, 1 + zoom)
        if not 0 < low <= high < math.inf:
            raise ValueError(
                f"{type(self).__name__}: zoom={zoom!r}: expected a number from 0 to below 1, or factors (low, high)"
            )
        self.zoom = (float(low), float(high))
        self.degrees = _range(self, "degrees", degrees, 180)
        if 0 < self.degrees < 1:
            warnings.warn(
                f"{type(self).__name__}: degrees={degrees!r} is less than one degree; angles are in degrees, not "
                f"fractions of a turn: {degrees!r} of a turn is degrees={360 * self.degrees:g}",
                stacklevel=4,
            )
        if not (edge in ("reflect", "nearest") if isinstance(edge, str) else isinstance(edge, Real)):
            raise ValueError(f"{type(self).__name__}: edge={edge!r}: expected 'reflect', 'nearest' or a number")
        self.edge = edge

    def _changed(self, input: Any) -> Any:
        across, down, move_rows, move_columns, scale, turn = self._draws(input, 6)
        rows, columns = input.shape[2], input.shape[3]
        zooms, turns = self.zoom != (1.0, 1.0), self.degrees > 0
        if any(self.shift) or zooms or turns:
            offsets = (_whole(move_rows * self.shift[0], rows), _whole(move_columns * self.shift[1], columns))
            input = self._sampled(input, offsets, scale if zooms else None, turn if turns else None)
        if self.horizontal:
            input = T.switch(T.lt(_per_picture(across), 2 * self.horizontal - 1), input[:, :, :, ::-1], input)
        if self.vertical:
            input = T.switch(T.lt(_per_picture(down), 2 * self.vertical - 1), input[:, :, ::-1], input)
        return input

    def _sampled(self, input: Any, offsets: tuple, scale: Any, turn: Any) -> Any:
        """Move, magnify and turn about the centre: each pixel of the result is read at its place in the input."""
        sizes = (input.shape[2], input.shape[3])
        centres = [T.cast(size - 1, input.dtype) / 2 for size in sizes]
        y = _positions(sizes[0], input.dtype).dimshuffle("x", 0, "x") - centres[0]
        x = _positions(sizes[1], input.dtype).dimshuffle("x", "x", 0) - centres[1]
        if turn is not None:
            angle = turn * (self.degrees * math.pi / 180)
            cos, sin = T.cos(angle), T.sin(angle)
            y, x = cos * y + sin * x, cos * x - sin * y
        if scale is not None:
            low, high = math.log(self.zoom[0]), math.log(self.zoom[1])
            factor = T.exp(scale * ((low - high) / 2) - (low + high) / 2)  # as often 1 / f as f
            y, x = y * factor, x * factor
        y, x = y + centres[0] + offsets[0], x + centres[1] + offsets[1]
        if isinstance(self.edge, str):
            y, x = self._inside(y, sizes[0]), self._inside(x, sizes[1])
        pixels = _Pixels(input, self.edge)
        if scale is None and turn is None:
            return pixels.at(T.round(y), T.round(x)).dimshuffle(0, 3, 1, 2)
        top, left = T.floor(y), T.floor(x)
        below, right = (part.dimshuffle(0, 1, 2, "x") for part in (y - top, x - left))
        upper = pixels.at(top, left) * (1 - right) + pixels.at(top, left + 1) * right
        lower = pixels.at(top + 1, left) * (1 - right) + pixels.at(top + 1, left + 1) * right
        return (upper * (1 - below) + lower * below).dimshuffle(0, 3, 1, 2)

    def _inside(self, position: Any, size: Any) -> Any:
        """Move positions beyond the edges to where the same value is found inside."""
        size = T.cast(size, position.dtype)
        if (
            self.edge == "reflect"
        ):  # about the outer borders of the outermost pixels: -1 is 0, and ``size`` is ``size - 1``
            position = abs(position + 0.5)
            position = position - 2 * size * T.floor(position / (2 * size))
            position = size - abs(size - position) - 0.5
        return T.clip(position, 0, size - 1)


class _Pixels:
    """The pixels of a batch, read at whole positions; one position per picture serves all channels."""

    def __init__(self, input: Any, edge: Any):
        self.count, channels, self.rows, self.columns = (input.shape[axis] for axis in range(4))
        self.edge, self.dtype = edge, input.dtype
        self.table = input.dimshuffle(0, 2, 3, 1).reshape((self.count * self.rows * self.columns, channels))

    def at(self, y: Any, x: Any) -> Any:
        """Return ``(batch, rows, columns, channels)``: the pixels at positions ``(batch, rows, columns)``."""
        y, x = T.cast(y, "int64"), T.cast(x, "int64")
        row, column = T.clip(y, 0, self.rows - 1), T.clip(x, 0, self.columns - 1)
        first = (T.arange(self.count) * (self.rows * self.columns)).dimshuffle(0, "x", "x")
        pixels = self.table[first + row * self.columns + column]
        if isinstance(self.edge, str):
            return pixels
        inside = T.ge(y, 0) & T.lt(y, self.rows) & T.ge(x, 0) & T.lt(x, self.columns)
        return T.switch(inside.dimshuffle(0, 1, 2, "x"), pixels, T.constant(np.asarray(self.edge, self.dtype)))


def _per_picture(draw: Any) -> Any:
    return draw.dimshuffle(0, "x", 1, 2)


def _positions(size: Any, dtype: str) -> Any:
    return T.cast(T.arange(size), dtype)


def _whole(fraction: Any, size: Any) -> Any:
    return T.round(fraction * T.cast(size, fraction.dtype))


class RandomAffine(_Affine):
    """Flip, shift, zoom and rotate pictures at random, with one interpolation.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    horizontal, vertical : float
        The probability of exchanging left and right, and of exchanging top and bottom.
    shift : float or pair of float
        The largest shift, as a fraction of the number of rows and of columns. Shifts are whole pixels.
    zoom : float or pair of float
        The range of the magnification: ``0.2`` stands for ``(0.8, 1.2)``.
    degrees : float
        The largest angle of rotation, in both directions.
    edge : {'reflect', 'nearest'} or number
        What appears at the edges: the mirrored picture, its outermost pixels, or a constant.
    **kwargs
        See :class:`Layer`.

    Notes
    -----
    With ``get_output(..., deterministic=True)`` the output is the input. Flips and shifts alone are exact; otherwise
    values are interpolated between the four nearest pixels. The random numbers are seeded by
    :func:`lasagne_like.random.set_rng`.
    """

    def __init__(
        self,
        incoming: Any,
        horizontal: float = 0.5,
        vertical: float = 0.0,
        shift: Any = 0.1,
        zoom: Any = 0.2,
        degrees: float = 15.0,
        edge: Any = "reflect",
        **kwargs: Any,
    ):
        super().__init__(incoming, **kwargs)
        self._set(horizontal, vertical, shift, zoom, degrees, edge)


class RandomFlip(_Affine):
    """Mirror each picture with a probability.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    horizontal, vertical : float
        The probability of exchanging left and right, and of exchanging top and bottom.
    **kwargs
        See :class:`Layer`.
    """

    def __init__(self, incoming: Any, horizontal: Any = 0.5, vertical: float = 0.0, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        if isinstance(horizontal, str):
            raise ValueError(
                f"RandomFlip: horizontal={horizontal!r}: expected a probability; horizontal=0.5 mirrors left and "
                "right, vertical=0.5 top and bottom"
            )
        self._set(horizontal, vertical, 0.0, 0.0, 0.0, "nearest")


class RandomShift(_Affine):
    """Move each picture by a random number of whole pixels.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    shift : float or pair of float
        The largest shift, as a fraction of the number of rows and of columns.
    edge : {'reflect', 'nearest'} or number
        What appears at the edges: the mirrored picture, its outermost pixels, or a constant.
    **kwargs
        See :class:`Layer`.
    """

    def __init__(self, incoming: Any, shift: Any = 0.1, edge: Any = "reflect", **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self._set(0.0, 0.0, shift, 0.0, 0.0, edge)


class RandomZoom(_Affine):
    """Magnify or shrink each picture about its centre.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    zoom : float or pair of float
        The range of the factor: ``0.2`` stands for ``(0.8, 1.2)``. Factors above 1 magnify.
    edge : {'reflect', 'nearest'} or number
        What appears at the edges: the mirrored picture, its outermost pixels, or a constant.
    **kwargs
        See :class:`Layer`.
    """

    def __init__(self, incoming: Any, zoom: Any = 0.2, edge: Any = "reflect", **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self._set(0.0, 0.0, 0.0, zoom, 0.0, edge)


class RandomRotation(_Affine):
    """Rotate each picture about its centre.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    degrees : float
        The largest angle, in both directions.
    edge : {'reflect', 'nearest'} or number
        What appears at the edges: the mirrored picture, its outermost pixels, or a constant.
    **kwargs
        See :class:`Layer`.
    """

    def __init__(self, incoming: Any, degrees: float = 15.0, edge: Any = "reflect", **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self._set(0.0, 0.0, 0.0, 0.0, degrees, edge)


class RandomContrast(_PictureLayer):
    """Scale the distance of the values of each picture from their mean by a random factor.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    amount : float
        The largest relative change: with 0.2, factors lie in ``[0.8, 1.2]``.
    **kwargs
        See :class:`Layer`.

    Notes
    -----
    The mean is that of each channel. With ``get_output(..., deterministic=True)`` the output is the input.
    """

    def __init__(self, incoming: Any, amount: float = 0.2, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self.amount = _range(self, "amount", amount, 1)

    def _changed(self, input: Any) -> Any:
        (draw,) = self._draws(input, 1)
        mean = input.mean(axis=(2, 3), keepdims=True)
        return input + (_per_picture(draw) * self.amount) * (input - mean)


class RandomBrightness(_PictureLayer):
    """Scale the values of each picture by a random factor.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``. Black must
        be 0: place the layer below a layer that subtracts a mean.
    amount : float
        The largest relative change: with 0.2, factors lie in ``[0.8, 1.2]``.
    **kwargs
        See :class:`Layer`.

    Notes
    -----
    With ``get_output(..., deterministic=True)`` the output is the input.
    """

    def __init__(self, incoming: Any, amount: float = 0.2, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self.amount = _range(self, "amount", amount, 1)

    def _changed(self, input: Any) -> Any:
        (draw,) = self._draws(input, 1)
        return input * (1 + _per_picture(draw) * self.amount)


class RescaleLayer(Layer):
    r"""Scale and shift values by constants, so that a network takes pictures with values from 0 to 255.

    .. math:: y = \frac{\mathrm{scale} \cdot x - \mathrm{mean}}{\mathrm{std}}

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, ...)``.
    scale : float
        The factor of the values. The default maps 0 to 255 to 0 to 1.
    mean, std : float or sequence of float
        The offset and divisor after scaling: one number, or one per channel (axis 1).
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the number of means or deviations is not that of the channels, or a deviation is zero.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, RescaleLayer
    >>> network = InputLayer((None, 3, 160, 160))
    >>> RescaleLayer(network, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)).output_shape
    (None, 3, 160, 160)
    """

    def __init__(self, incoming: Any, scale: float = 1 / 255, mean: Any = 0.0, std: Any = 1.0, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self.scale = float(scale)
        self.mean, self.std = self._constant("mean", mean), self._constant("std", std)
        if not np.all(self.std):
            raise ValueError(f"RescaleLayer: std={std!r} contains a zero, by which values would be divided")

    def _constant(self, name: str, value: Any) -> Any:
        value = np.squeeze(np.asarray(value, float))
        if value.ndim == 0:
            return float(value)
        channels = self.input_shape[1] if len(self.input_shape) > 1 else None
        if value.ndim > 1 or channels not in (None, len(value)):
            raise ValueError(
                f"RescaleLayer: {name} has shape {value.shape}: expected one number, or one for each of the {channels} "
                f"channels of the input shape {self.input_shape!r}"
            )
        return tuple(value.tolist())

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        if "float" not in input.dtype:
            input = T.cast(input, symc.config.floatX)
        axes = (1, -1, *[1] * (input.ndim - 2))
        mean, std = (np.reshape(value, axes if isinstance(value, tuple) else ()) for value in (self.mean, self.std))
        factor, offset = self.scale / std, mean / std  # in float64, rounded once
        return input * T.constant(factor.astype(input.dtype)) - T.constant(offset.astype(input.dtype))
