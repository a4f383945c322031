"""Layers that Lasagne named after cuda-convnet, with its order of the axes: (channels, rows, columns, batch), or c01b.

They compute on every device, with the limits that cuda-convnet has.
"""
# ruff: noqa: B008 (initialisers never change)

from collections.abc import Callable
from typing import Any

import symc.tensor as T

from .. import init, nonlinearities
from ..errors import _NotSupported
from ..layers import DimshuffleLayer, MaxPool2DLayer
from ..layers.base import Layer
from ..utils import as_tuple
from .devices import Conv2DDNNLayer

__all__ = [
    "Conv2DCCLayer",
    "MaxPool2DCCLayer",
    "NINLayer_c01b",
    "ShuffleBC01ToC01BLayer",
    "ShuffleC01BToBC01Layer",
    "bc01_to_c01b",
    "c01b_to_bc01",
]


def _bc01(x: Any) -> Any:
    return T.as_tensor_variable(x).dimshuffle(3, 0, 1, 2)


class Conv2DCCLayer(Conv2DDNNLayer):
    """:class:`Conv2DLayer` that does not flip its filters by default, as cuda-convnet.

    Parameters
    ----------
    dimshuffle : bool
        True: inputs, outputs and weights have the axes of :class:`Conv2DLayer`. False: inputs and outputs are
        ``(channels, rows, columns, batch)``, and weights ``(channels, rows, columns, filters)``.
    partial_sum
        Has no effect.
    incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, flip_filters, **kwargs
        See :class:`Conv2DLayer`.

    Raises
    ------
    ValueError
        For filters, strides or pads that are not square, or numbers of filters or channels that cuda-convnet excludes.
    """

    def __init__(
        self,
        incoming: Any,
        num_filters: int,
        filter_size: Any,
        stride: Any = (1, 1),
        pad: Any = 0,
        untie_biases: bool = False,
        W: Any = None,
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        dimshuffle: bool = True,
        flip_filters: bool = False,
        partial_sum: int | None = 1,
        **kwargs: Any,
    ):
        self.dimshuffle = dimshuffle  # first: the base constructor asks for shapes
        self.partial_sum = partial_sum
        W = init.GlorotUniform(c01b=not dimshuffle) if W is None else W
        super().__init__(
            incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, flip_filters, **kwargs
        )
        self._check_limits()

    def _check_limits(self) -> None:
        def limit(holds: bool, text: str) -> None:
            if not holds:
                raise _NotSupported(f"Conv2DCCLayer {text}; use Conv2DLayer(..., flip_filters=False)")

        filters, channels = self.num_filters, self._batch_first(self.input_shape)[1]
        limit(len(set(self.filter_size)) == 1, f"only supports square filters, but filter_size={self.filter_size}")
        limit(len(set(self.stride)) == 1, f"only supports square strides, but stride={self.stride}")
        limit(filters % 16 == 0, f"requires num_filters to be a multiple of 16, but num_filters is {filters}")
        limit(
            channels < 4 or channels % 4 == 0,
            f"requires the number of input channels to be 1, 2, 3 or a multiple of 4, but it is {channels}",
        )
        limit(isinstance(self.pad, str) or len(set(self.pad)) == 1, f"only supports square padding, but pad={self.pad}")

    def _batch_first(self, shape: Any) -> Any:
        return shape if self.dimshuffle else (shape[3], *shape[:3])

    def get_W_shape(self) -> tuple[int, ...]:
        """Compute the shape of the weights, with the filters last if `dimshuffle` is False."""
        filters, *others = super().get_W_shape()
        return (filters, *others) if self.dimshuffle else (*others, filters)

    def _filters(self) -> Any:
        return self.W if self.dimshuffle else self.W.dimshuffle(3, 0, 1, 2)

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        if self.dimshuffle:
            return super().get_output_for(input, **kwargs)
        return super().get_output_for(_bc01(input), **kwargs).dimshuffle(1, 2, 3, 0)


class MaxPool2DCCLayer(MaxPool2DLayer):
    """:class:`MaxPool2DLayer` that keeps windows that extend beyond the border, as cuda-convnet.

    Parameters
    ----------
    dimshuffle : bool
        False: inputs and outputs are ``(channels, rows, columns, batch)``.
    incoming, pool_size, stride, ignore_border, **kwargs
        See :class:`MaxPool2DLayer`.

    Raises
    ------
    ValueError
        For padding, windows or strides that are not square, or gaps between windows.
    """

    def __init__(
        self,
        incoming: Any,
        pool_size: Any,
        stride: Any = None,
        ignore_border: bool = False,
        dimshuffle: bool = True,
        **kwargs: Any,
    ):
        def limit(holds: bool, text: str) -> None:
            if not holds:
                raise _NotSupported(f"MaxPool2DCCLayer {text}; use MaxPool2DLayer")

        limit(as_tuple(kwargs.pop("pad", 0), 2) == (0, 0), "does not support padding")
        limit(not ignore_border, "does not support ignore_border=True")
        super().__init__(incoming, pool_size, stride, 0, ignore_border, **kwargs)
        self.dimshuffle = dimshuffle
        size, step = self.pool_size, self.stride
        limit(size[0] == size[1], f"only supports square pooling regions, but pool_size={size}")
        limit(step[0] == step[1], f"only supports using the same stride in both directions, but stride={step}")
        limit(step[0] <= size[0], f"only supports stride <= pool_size, but stride={step[0]} and pool_size={size[0]}")

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        if self.dimshuffle:
            return super().get_output_for(input, **kwargs)
        return super().get_output_for(_bc01(input), **kwargs).dimshuffle(1, 2, 3, 0)


class ShuffleBC01ToC01BLayer(DimshuffleLayer):
    """Exchange the axes (batch, channels, rows, columns) for (channels, rows, columns, batch)."""

    def __init__(self, incoming: Any, **kwargs: Any):
        super().__init__(incoming, (1, 2, 3, 0), **kwargs)


class ShuffleC01BToBC01Layer(DimshuffleLayer):
    """Exchange the axes (channels, rows, columns, batch) for (batch, channels, rows, columns)."""

    def __init__(self, incoming: Any, **kwargs: Any):
        super().__init__(incoming, (3, 0, 1, 2), **kwargs)


bc01_to_c01b = ShuffleBC01ToC01BLayer
c01b_to_bc01 = ShuffleC01BToBC01Layer


class NINLayer_c01b(Layer):  # noqa: N801 - Lasagne's name
    """:class:`NINLayer` for axes in the order (channels, rows, columns, batch)."""

    def __init__(
        self,
        incoming: Any,
        num_units: int,
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        **kwargs: Any,
    ):
        super().__init__(incoming, **kwargs)
        self.nonlinearity = nonlinearities.resolve(nonlinearity)
        self.num_units, self.untie_biases = num_units, untie_biases
        channels, rows, columns, _ = self.input_shape
        self.W = self.add_param(W, (num_units, channels), name="W")
        shape = (num_units, rows, columns) if untie_biases else (num_units,)
        self.b = None if b is None else self.add_param(b, shape, name="b", regularizable=False)

    def _shape_by_units(self, input_shape: Any) -> Any:
        return (self.num_units, *input_shape[1:])

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        channels_last = input.dimshuffle(1, 2, 3, 0).dot(self.W.T)
        activation = channels_last.dimshuffle(3, 0, 1, 2)
        if self.b is not None:
            pattern = (0, 1, 2, "x") if self.untie_biases else (0, "x", "x", "x")
            activation = activation + self.b.dimshuffle(*pattern)
        return self.nonlinearity(activation)
