"""Transposed convolutions, which enlarge images."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

from collections.abc import Callable
from typing import Any

import symc.tensor as T

from .. import init, nonlinearities
from ..utils import as_tuple, int_types
from .conv import BaseConvLayer
from .lengths import conv_input_length

__all__ = ["Deconv2DLayer", "TransposedConv2DLayer"]


class BaseTransposedConvLayer(BaseConvLayer):
    """Base class of transposed convolutional layers over `n` axes."""

    axes: int

    def __init__(
        self,
        incoming: Any,
        num_filters: int,
        filter_size: Any,
        stride: Any = 1,
        crop: Any = 0,
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        flip_filters: bool = False,
        output_size: Any = None,
        **kwargs: Any,
    ):
        if "pad" in kwargs:
            raise TypeError(f"{type(self).__name__} has no argument 'pad': the output is cropped; use crop=")
        self.output_size = output_size
        if output_size is not None and not hasattr(output_size, "ndim"):
            self.output_size = as_tuple(output_size, self.axes, int_types)
        super().__init__(
            incoming, num_filters, filter_size, stride, crop, untie_biases, W, b, nonlinearity, flip_filters,
            n=self.axes, **kwargs,
        )  # fmt: skip

    @property
    def crop(self) -> Any:
        """tuple or str : What is removed at the ends of each axis: the padding of the transposed convolution."""
        return self.pad

    def get_W_shape(self) -> tuple[int, ...]:
        """Compute the shape of the weights.

        Returns
        -------
        tuple of int
            ``(channels, num_filters // num_groups, ...)`` with the filter sizes: the first two axes are swapped
            compared to :class:`BaseConvLayer`.
        """
        channels = self._channels_per_group * self.num_groups
        return (channels, self.num_filters // self.num_groups, *self.filter_size)

    def _sizes(self, input: Any) -> list:
        """The sizes of the output; expressions where those of the input are known only at call time."""
        if self.output_size is not None:
            return [self.output_size[k] for k in range(self.n)]
        crops = [self.crop] * self.n if isinstance(self.crop, str) else list(self.crop)
        found: list[Any] = []
        for k in range(self.n):
            size = input.static_shape[k + 2]
            size = input.shape[k + 2] if size is None else size
            cut, width, step = crops[k], self.filter_size[k], self.stride[k]
            if isinstance(cut, tuple):
                found.append(conv_input_length(size, width, step, 0) - sum(cut))  # type: ignore[operator]
            else:
                found.append(conv_input_length(size, width, step, cut))
        return found

    def _convolution(self) -> dict[str, Any]:
        return {
            "border_mode": self._border_mode(),
            "subsample": self.stride,
            "filter_flip": not self.flip_filters,
            "num_groups": self.num_groups,
        }


class TransposedConv2DLayer(BaseTransposedConvLayer):
    """A 2D transposed convolutional layer: the gradient of a convolution with respect to its images.

    With a stride of `s`, images become `s` times as large. It is also called a fractionally strided convolution, or a
    deconvolution.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    num_filters : int
        The number of output channels.
    filter_size : int or pair of int
        The size of the filters, ``(rows, columns)``.
    stride : int or pair of int
        The distance in the output between the contributions of adjacent inputs.
    crop : int, pair of int, 'full', 'same' or 'valid'
        The number of rows and columns to remove at each side of the result: `pad` of the convolution that this layer
        transposes.
    untie_biases : bool
        Whether every position has biases of its own.
    W : number, array, expression, shared variable or callable
        The weights, ``(channels, num_filters // num_groups, filter_rows, filter_columns)``.
    b : number, array, expression, shared variable, callable or None
        The biases, ``(num_filters,)`` or, if untied, ``(num_filters, output_rows, output_columns)``.
    nonlinearity : callable or None
        Applied to the activations. None for a linear layer.
    flip_filters : bool
        Whether the transposed convolution flips the filters. The default, False, transposes a :class:`Conv2DLayer`,
        which does.
    output_size : int, pair of int or None
        The size of the output. With a stride, several sizes of images lead to the same size after a convolution; the
        smallest is the default.
    **kwargs
        See :class:`BaseConvLayer`, whose `num_groups` is available.

    References
    ----------
    .. [1] Vincent Dumoulin and Francesco Visin (2016): A guide to convolution arithmetic for deep learning.
           arXiv:1603.07285.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, TransposedConv2DLayer
    >>> TransposedConv2DLayer(InputLayer((None, 32, 7, 7)), 16, filter_size=5, stride=2, crop="same").output_shape
    (None, 16, 13, 13)
    >>> layer = InputLayer((None, 32, 7, 7))
    >>> TransposedConv2DLayer(layer, 16, filter_size=5, stride=2, crop="same", output_size=14).output_shape
    (None, 16, 14, 14)
    """

    axes = 2

    def convolve(self, input: Any, **kwargs: Any) -> Any:
        shape = (None, self.num_filters, *self._sizes(input))
        return T.nnet.conv2d_grad_wrt_inputs(input, self.W, shape, **self._convolution())


Deconv2DLayer = TransposedConv2DLayer
