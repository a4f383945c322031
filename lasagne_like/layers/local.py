"""Locally connected layers: convolutions with filters of their own at every position."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

import itertools
import math
from collections.abc import Callable
from typing import Any

import symc.tensor as T

from .. import init, nonlinearities
from .conv import BaseConvLayer
from .lengths import conv_output_length

__all__ = ["LocallyConnected1DLayer", "LocallyConnected2DLayer", "LocallyConnected3DLayer"]


class _LocallyConnectedLayer(BaseConvLayer):
    """Base class of locally connected layers over `n` axes."""

    axes: int

    def __init__(
        self,
        incoming: Any,
        num_filters: int,
        filter_size: Any,
        stride: Any = 1,
        pad: Any = "same",
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        flip_filters: bool = True,
        channelwise: bool = False,
        **kwargs: Any,
    ):
        self.channelwise = channelwise
        if kwargs.pop("num_groups", 1) != 1:
            raise ValueError(f"{type(self).__name__} has no groups of channels, except for channelwise=True")
        super().__init__(
            incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, flip_filters,
            n=self.axes, **kwargs,
        )  # fmt: skip

    def get_W_shape(self) -> tuple[int, ...]:
        """Compute the shape of the weights.

        Returns
        -------
        tuple of int
            ``(num_filters, channels, ...)`` with the filter sizes and the sizes of the output, without ``channels``
            for a channelwise layer.
        """
        name, sizes = type(self).__name__, self.input_shape[2:]
        output = tuple(
            conv_output_length(size + before + after, width, step)  # type: ignore[operator]
            for size, (before, after), width, step in zip(sizes, self._zeros(), self.filter_size, self.stride)
        )
        if any(size is None or size <= 0 for size in output):
            raise ValueError(f"{name}: filters of size {self.filter_size!r} do not fit in inputs {self.input_shape!r}")
        if not self.channelwise:
            return (self.num_filters, self._channels_per_group, *self.filter_size, *output)  # type: ignore[return-value]
        if self._channels_per_group != self.num_filters:
            raise ValueError(
                f"num_filters and the number of input channels should match when channelwise is true, but got "
                f"num_filters={self.num_filters} and {self._channels_per_group} input channels"
            )
        return (self.num_filters, *self.filter_size, *output)  # type: ignore[return-value]

    def _known_channels(self) -> int:
        if None in self.input_shape[1:]:
            raise ValueError(
                f"A {type(self).__name__} requires a fixed input shape (except for the batch size), because every "
                f"position has filters of its own. Got {self.input_shape!r}."
            )
        return super()._known_channels()

    def _zeros(self) -> list[tuple[int, int]]:
        """The numbers of zeros before and after each axis."""
        if isinstance(self.pad, str):
            widths = [(size - 1) if self.pad == "full" else size // 2 for size in self.filter_size]
            return [(width, width) for width in widths]
        return [each if isinstance(each, tuple) else (each, each) for each in self.pad]

    def _patches(self, input: Any) -> Any:
        """What every position sees: ``(filter positions, batch, channels, ...)`` with the sizes of the output."""
        widths = self._zeros()
        sizes = [size + before + after for size, (before, after) in zip(self.input_shape[2:], widths)]  # type: ignore
        if any(before or after for before, after in widths):
            leading = [own or input.shape[axis] for axis, own in enumerate(input.static_shape[:2])]
            inside = tuple(slice(before, size - after) for size, (before, after) in zip(sizes, widths))
            empty = T.zeros((*leading, *sizes), dtype=input.dtype)
            input = T.set_subtensor(empty[(slice(None), slice(None), *inside)], input)
        output = [(size - width) // step + 1 for size, width, step in zip(sizes, self.filter_size, self.stride)]
        return T.stack([
            input[(slice(None), slice(None), *(
                slice(start, start + (length - 1) * step + 1, step)
                for start, length, step in zip(starts, output, self.stride)
            ))]
            for starts in itertools.product(*map(range, self.filter_size))
        ])  # fmt: skip

    def convolve(self, input: Any, **kwargs: Any) -> Any:
        shape = self.get_W_shape()
        first = 1 if self.channelwise else 2
        weights = self.W
        if self.flip_filters:
            weights = weights[(slice(None),) * first + (slice(None, None, -1),) * self.n]
        flat = (math.prod(self.filter_size), *shape[first + self.n :])
        weights = weights.reshape((*shape[:first], *flat))
        space = "xyz"[: self.n]
        if self.channelwise:
            return T.einsum(f"tbc{space},ct{space}->bc{space}", self._patches(input), weights)
        return T.einsum(f"tbc{space},kct{space}->bk{space}", self._patches(input), weights)


class LocallyConnected2DLayer(_LocallyConnectedLayer):
    """A locally connected layer over images: a convolution with filters of its own at every position.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``; only
        the batch may be None.
    num_filters : int
        The number of filters (output channels).
    filter_size : int or iterable of int
        The size of the filters.
    stride, pad, untie_biases, b, nonlinearity, flip_filters
        See :class:`BaseConvLayer`; the default of `pad` is ``'same'``.
    W : number, array, expression, shared variable or callable
        The weights: ``(num_filters, channels, ...)`` with the filter sizes, then the sizes of the output; for a
        channelwise layer without ``channels``.
    channelwise : bool
        Whether each output channel sees only the input channel of its number. `num_filters` then is the number of
        input channels.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If a size other than that of the batch is None, or if `num_filters` does not fit `channelwise`.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, LocallyConnected2DLayer
    >>> layer = LocallyConnected2DLayer(InputLayer((None, 3, 8, 9)), num_filters=4, filter_size=3)
    >>> layer.W.get_value().shape
    (4, 3, 3, 3, 8, 9)
    """

    axes = 2


class LocallyConnected1DLayer(_LocallyConnectedLayer):
    """A locally connected layer over sequences: a convolution with filters of its own at every position.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, length)``.
    num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, flip_filters, channelwise
        See :class:`LocallyConnected2DLayer`.
    **kwargs
        See :class:`Layer`.
    """

    axes = 1


class LocallyConnected3DLayer(_LocallyConnectedLayer):
    """A locally connected layer over volumes: a convolution with filters of its own at every position.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, depth, rows, columns)``.
    num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, flip_filters, channelwise
        See :class:`LocallyConnected2DLayer`.
    **kwargs
        See :class:`Layer`.
    """

    axes = 3
