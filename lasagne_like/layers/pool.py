"""Pooling and upscaling layers."""

from collections.abc import Callable
from typing import Any

import symc.compat
import symc.tensor as T
from symc.tensor.signal.pool import pool_2d

from ..utils import as_tuple, int_types
from .arrays import takes_arrays
from .axes import chosen_axes
from .base import Layer
from .lengths import pool_output_length

__all__ = [
    "FeaturePoolLayer",
    "GlobalPoolLayer",
    "MaxPool1DLayer",
    "MaxPool2DLayer",
    "Pool1DLayer",
    "Pool2DLayer",
    "Upscale1DLayer",
    "Upscale2DLayer",
    "Upscale3DLayer",
    "pool_output_length",
]


class PoolLayer(Layer):
    """Base class of pooling layers over the last `n` axes."""

    n: int

    def __init__(
        self,
        incoming: Any,
        pool_size: Any,
        stride: Any = None,
        pad: Any = 0,
        ignore_border: bool = True,
        mode: str = "max",
        **kwargs: Any,
    ):
        super().__init__(incoming, **kwargs)
        if len(self.input_shape) != self.n + 2:
            raise ValueError(
                f"Tried to create a {self.n}D pooling layer with input shape {self.input_shape!r}. "
                f"Expected {self.n + 2} input dimensions (batchsize, channels, {self.n} spatial dimensions)."
            )
        self.pool_size = as_tuple(pool_size, self.n, int_types)
        self.stride = self.pool_size if stride is None else as_tuple(stride, self.n, int_types)
        for what, sizes in (("pool_size", self.pool_size), ("stride", self.stride)):
            if min(sizes) < 1:
                raise ValueError(f"{type(self).__name__}: {what} must be made of integers from 1, got {sizes}")
        self.pad = as_tuple(pad, self.n, int_types)
        self.ignore_border = ignore_border
        if not ignore_border and any(self.pad):
            raise ValueError(f"{type(self).__name__}: pad must be 0 if ignore_border is False, got pad={pad!r}")
        modes = ("max", "average_inc_pad", "average_exc_pad", "sum")
        if mode not in modes:
            raise ValueError(f"{type(self).__name__}: mode must be one of {', '.join(modes)}, got {mode!r}")
        self.mode = mode


class Pool2DLayer(PoolLayer):
    """A 2D pooling layer over images.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    pool_size : int or pair of int
        The size of the pooling windows.
    stride : int, pair of int or None
        The distance between adjacent windows; the window size by default.
    pad : int or pair of int
        The number of elements to add on each side; less than the window size.
    ignore_border : bool
        Whether to omit windows that extend beyond the (padded) image. If False, `pad` must be 0.
    mode : {'max', 'average_inc_pad', 'average_exc_pad', 'sum'}
        The reduction of each window; the averages include or exclude padding.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the input does not have 4 axes, `mode` is unknown, or `pad` is given although `ignore_border` is False.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, Pool2DLayer
    >>> Pool2DLayer(InputLayer((None, 3, 33, 33)), pool_size=2, mode="average_inc_pad").output_shape
    (None, 3, 16, 16)
    >>> Pool2DLayer(InputLayer((None, 3, 33, 33)), pool_size=2, ignore_border=False).output_shape
    (None, 3, 17, 17)
    """

    n = 2

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return pool_2d(
            input,
            ws=self.pool_size,
            stride=self.stride,
            ignore_border=self.ignore_border,
            pad=self.pad,
            mode=self.mode,
        )


class MaxPool2DLayer(Pool2DLayer):
    """A 2D max-pooling layer.

    Parameters
    ----------
    incoming, pool_size, stride, pad, ignore_border
        See :class:`Pool2DLayer`.
    **kwargs
        See :class:`Layer`.
    """

    def __init__(
        self,
        incoming: Any,
        pool_size: Any,
        stride: Any = None,
        pad: Any = (0, 0),
        ignore_border: bool = True,
        **kwargs: Any,
    ):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, mode="max", **kwargs)


class Pool1DLayer(PoolLayer):
    """A 1D pooling layer: the largest or mean value of every window of a sequence.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, length)``.
    pool_size : int or iterable of one int
        The size of the pooling windows.
    stride, pad, ignore_border, mode
        See :class:`Pool2DLayer`.
    **kwargs
        See :class:`Layer`.
    """

    n = 1

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        column = pool_2d(
            input.dimshuffle(0, 1, 2, "x"),
            ws=(self.pool_size[0], 1),
            stride=(self.stride[0], 1),
            ignore_border=self.ignore_border,
            pad=(self.pad[0], 0),
            mode=self.mode,
        )
        return column.dimshuffle(0, 1, 2)


class MaxPool1DLayer(Pool1DLayer):
    """A 1D max-pooling layer.

    Parameters
    ----------
    incoming, pool_size, stride, pad, ignore_border
        See :class:`Pool1DLayer`.
    **kwargs
        See :class:`Layer`.
    """

    def __init__(
        self, incoming: Any, pool_size: Any, stride: Any = None, pad: Any = 0, ignore_border: bool = True, **kwargs: Any
    ):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, mode="max", **kwargs)


def _check_function(layer: Layer, pool_function: Any) -> None:
    if not callable(pool_function):
        raise TypeError(
            f"{type(layer).__name__}: pool_function={pool_function!r}: expected a function of an expression with an "
            "argument axis, such as T.mean or T.max of symc.tensor"
        )


class GlobalPoolLayer(Layer):
    """A layer that pools over all positions, from ``(batch, channels, ...)`` to ``(batch, channels)``.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape, with at least 3 axes.
    pool_function : callable
        Called as ``pool_function(x, axis=...)``: ``symc.tensor.mean``, ``max``, ``sum`` ...
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import GlobalPoolLayer, InputLayer
    >>> GlobalPoolLayer(InputLayer((None, 3, 8, 8))).output_shape
    (None, 3)
    """

    def __init__(self, incoming: Any, pool_function: Callable = T.mean, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        _check_function(self, pool_function)
        if len(self.input_shape) < 3 and not symc.compat.installed():
            raise ValueError(f"GlobalPoolLayer needs an input of at least 3 dimensions, got shape {self.input_shape!r}")
        self.pool_function = pool_function

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return self.pool_function(input.flatten(3), axis=2)


class FeaturePoolLayer(Layer):
    """A layer that pools over groups of adjacent channels; maxout if the pooling function is the maximum.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    pool_size : int
        The number of channels per group.
    axis : int
        The axis of the channels.
    pool_function : callable
        Called as ``pool_function(x, axis=...)``: ``symc.tensor.max``, ``mean``, ``sum`` ...
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the number of channels is unknown or not a multiple of `pool_size`.

    References
    ----------
    .. [1] Ian Goodfellow, David Warde-Farley, Mehdi Mirza, Aaron Courville and Yoshua Bengio (2013): Maxout networks.
           International Conference on Machine Learning.
    """

    def __init__(self, incoming: Any, pool_size: int, axis: int = 1, pool_function: Callable = T.max, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        _check_function(self, pool_function)
        self.pool_size = pool_size
        (self.axis,) = chosen_axes(axis, len(self.input_shape), ())
        self.pool_function = pool_function
        channels = self.input_shape[self.axis]
        if channels is None or channels % pool_size:
            raise ValueError(
                f"Number of input feature maps ({channels}) is not a multiple of the pool size (pool_size={pool_size})"
            )
        self._groups = channels // pool_size

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        sizes = [input.shape[axis] if size is None else size for axis, size in enumerate(input.static_shape)]
        sizes[self.axis : self.axis + 1] = [self._groups, self.pool_size]
        return self.pool_function(input.reshape(tuple(sizes), ndim=input.ndim + 1), axis=self.axis + 1)


class _UpscaleLayer(Layer):
    """Base class of upscaling layers over the last `n` axes."""

    n: int

    def __init__(self, incoming: Any, scale_factor: Any, mode: str = "repeat", **kwargs: Any):
        super().__init__(incoming, **kwargs)
        if len(self.input_shape) != self.n + 2:
            raise ValueError(
                f"Tried to create a {self.n}D upscaling layer with input shape {self.input_shape!r}. "
                f"Expected {self.n + 2} input dimensions (batchsize, channels, {self.n} spatial dimensions)."
            )
        self.scale_factor = as_tuple(scale_factor, self.n, int_types)
        if any(factor < 1 for factor in self.scale_factor):
            raise ValueError(f"Scale factor must be >= 1, not {scale_factor!r}")
        if mode not in ("repeat", "dilate"):
            raise ValueError(f"Mode must be either 'repeat' or 'dilate', not {mode!r}")
        self.mode = mode

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        first = input.ndim - self.n
        if self.mode == "dilate":
            return self._dilate(input, first)
        for axis, factor in enumerate(self.scale_factor, start=first):
            if factor > 1:
                input = T.repeat(input, factor, axis=axis)
        return input

    def _dilate(self, input: Any, first: int) -> Any:
        factors = (1,) * first + self.scale_factor
        sizes = [
            (input.shape[axis] if size is None else size) * factor
            for axis, (size, factor) in enumerate(zip(input.static_shape, factors))
        ]
        zeros = T.zeros(tuple(sizes), dtype=input.dtype)
        return T.set_subtensor(zeros[tuple(slice(None, None, factor) for factor in factors)], input)


class Upscale1DLayer(_UpscaleLayer):
    """A 1D upscaling layer over sequences.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, length)``.
    scale_factor : int or iterable of one int
        The upscaling factor.
    mode : {'repeat', 'dilate'}
        Whether to repeat elements or to insert zeros between them.
    **kwargs
        See :class:`Layer`.
    """

    n = 1


class Upscale2DLayer(_UpscaleLayer):
    """A 2D upscaling layer over images.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    scale_factor : int or pair of int
        The upscaling factor.
    mode : {'repeat', 'dilate'}
        Whether to repeat pixels or to insert zeros between them.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, Upscale2DLayer
    >>> Upscale2DLayer(InputLayer((None, 3, 8, 5)), scale_factor=(2, 3)).output_shape
    (None, 3, 16, 15)
    """

    n = 2


class Upscale3DLayer(_UpscaleLayer):
    """A 3D upscaling layer over volumes.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, depth, rows, columns)``.
    scale_factor : int or iterable of three int
        The upscaling factor.
    mode : {'repeat', 'dilate'}
        Whether to repeat elements or to insert zeros between them.
    **kwargs
        See :class:`Layer`.
    """

    n = 3
