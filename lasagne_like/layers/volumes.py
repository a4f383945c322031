"""Convolution, transposed convolution and pooling of volumes."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

from collections.abc import Callable
from typing import Any

import symc.tensor as T

from .. import init, nonlinearities
from .conv import BaseConvLayer
from .pool import PoolLayer
from .transposed import BaseTransposedConvLayer

__all__ = ["Conv3DLayer", "Deconv3DLayer", "MaxPool3DLayer", "Pool3DLayer", "TransposedConv3DLayer"]


class Conv3DLayer(BaseConvLayer):
    """A 3D convolutional layer over volumes, or over sequences of images.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, depth, rows, columns)``.
    num_filters : int
        The number of filters (output channels).
    filter_size : int or iterable of three int
        The size of the filters, ``(depth, rows, columns)``.
    stride, pad, untie_biases, b, nonlinearity, flip_filters
        See :class:`BaseConvLayer`.
    W : number, array, expression, shared variable or callable
        The weights, ``(num_filters, channels // num_groups, ...)`` with the filter sizes.
    num_groups : int
        The number of groups of channels that are convolved separately.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import Conv3DLayer, InputLayer
    >>> Conv3DLayer(InputLayer((None, 1, 16, 32, 32)), num_filters=8, filter_size=3).output_shape
    (None, 8, 14, 30, 30)
    """

    def __init__(
        self,
        incoming: Any,
        num_filters: int,
        filter_size: Any,
        stride: Any = (1, 1, 1),
        pad: Any = 0,
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        flip_filters: bool = True,
        num_groups: int = 1,
        **kwargs: Any,
    ):
        super().__init__(
            incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, flip_filters, num_groups,
            n=3, **kwargs,
        )  # fmt: skip

    def convolve(self, input: Any, **kwargs: Any) -> Any:
        return T.nnet.conv3d(
            input,
            self.W,
            border_mode=self._border_mode(),
            subsample=self.stride,
            filter_flip=self.flip_filters,
            num_groups=self.num_groups,
        )


class TransposedConv3DLayer(BaseTransposedConvLayer):
    """A 3D transposed convolutional layer: the gradient of a convolution with respect to its volumes.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, depth, rows, columns)``.
    num_filters : int
        The number of output channels.
    filter_size : int or iterable of three int
        The size of the filters, ``(depth, rows, columns)``.
    stride, crop, untie_biases, b, nonlinearity, flip_filters, output_size
        See :class:`TransposedConv2DLayer`.
    W : number, array, expression, shared variable or callable
        The weights, ``(channels, num_filters // num_groups, ...)`` with the filter sizes.
    **kwargs
        See :class:`BaseConvLayer`, whose `num_groups` is available.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, TransposedConv3DLayer
    >>> TransposedConv3DLayer(InputLayer((None, 8, 4, 7, 7)), 4, filter_size=2, stride=2).output_shape
    (None, 4, 8, 14, 14)
    """

    axes = 3

    def convolve(self, input: Any, **kwargs: Any) -> Any:
        shape = (None, self.num_filters, *self._sizes(input))
        return T.nnet.conv3d_grad_wrt_inputs(input, self.W, shape, **self._convolution())


Deconv3DLayer = TransposedConv3DLayer


class Pool3DLayer(PoolLayer):
    """A 3D pooling layer over volumes.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, depth, rows, columns)``.
    pool_size : int or iterable of three int
        The size of the pooling windows.
    stride, pad, ignore_border, mode
        See :class:`Pool2DLayer`.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, Pool3DLayer
    >>> Pool3DLayer(InputLayer((None, 3, 8, 9, 10)), pool_size=2, mode="average_inc_pad").output_shape
    (None, 3, 4, 4, 5)
    """

    n = 3

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return T.signal.pool.pool_3d(
            input,
            ws=self.pool_size,
            stride=self.stride,
            ignore_border=self.ignore_border,
            pad=self.pad,
            mode=self.mode,
        )


class MaxPool3DLayer(Pool3DLayer):
    """A 3D max-pooling layer.

    Parameters
    ----------
    incoming, pool_size, stride, pad, ignore_border
        See :class:`Pool3DLayer`.
    **kwargs
        See :class:`Layer`.
    """

    def __init__(
        self,
        incoming: Any,
        pool_size: Any,
        stride: Any = None,
        pad: Any = (0, 0, 0),
        ignore_border: bool = True,
        **kwargs: Any,
    ):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, mode="max", **kwargs)
