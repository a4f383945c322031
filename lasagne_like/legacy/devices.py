"""Layers that Lasagne named after a library: cuDNN, the convolutions of caffe (``MM``) and cuda-convnet (``CC``).

They are the layers of :mod:`lasagne_like.layers` with the defaults of those libraries, on every device.
"""
# ruff: noqa: B008 (initialisers never change)

from collections.abc import Callable
from typing import Any

from .. import init, nonlinearities
from ..layers import (
    BatchNormLayer,
    Conv2DLayer,
    DimshuffleLayer,
    MaxPool2DLayer,
    Pool2DLayer,
    batch_norm,
)
from ..layers.base import Layer

__all__ = [
    "BatchNormDNNLayer",
    "Conv2DCCLayer",
    "Conv2DDNNLayer",
    "Conv2DMMLayer",
    "MaxPool2DCCLayer",
    "MaxPool2DDNNLayer",
    "NINLayer_c01b",
    "Pool2DDNNLayer",
    "ShuffleBC01ToC01BLayer",
    "ShuffleC01BToBC01Layer",
    "batch_norm_dnn",
    "bc01_to_c01b",
    "c01b_to_bc01",
]


class Conv2DDNNLayer(Conv2DLayer):
    """:class:`Conv2DLayer` that does not flip its filters by default, as cuDNN."""

    def __init__(
        self,
        incoming: Any,
        num_filters: int,
        filter_size: Any,
        stride: Any = (1, 1),
        pad: Any = 0,
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        flip_filters: bool = False,
        num_groups: int = 1,
        **kwargs: Any,
    ):
        super().__init__(
            incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, flip_filters,
            num_groups=num_groups, **kwargs,
        )  # fmt: skip


class Conv2DMMLayer(Conv2DDNNLayer):
    """:class:`Conv2DLayer` that does not flip its filters by default, as caffe."""


Pool2DDNNLayer = Pool2DLayer
MaxPool2DDNNLayer = MaxPool2DLayer
BatchNormDNNLayer = BatchNormLayer


def batch_norm_dnn(layer: Any, batch_norm_update_averages: Any = None, **kwargs: Any) -> Any:
    """Apply batch normalisation to an existing layer, as :func:`batch_norm`."""
    return batch_norm(layer, **kwargs)


def _requires_bc01(name: str, dimshuffle: bool) -> None:
    if not dimshuffle:
        raise ValueError(
            f"{name}: axes in the order c01b are not supported; drop dimshuffle=False and the layers that exchange "
            "the axes: layers compute on (batch, channels, rows, columns)"
        )


class Conv2DCCLayer(Conv2DDNNLayer):
    """:class:`Conv2DLayer` that does not flip its filters by default, as cuda-convnet.

    `dimshuffle` must be True. `partial_sum` has no effect.
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
        _requires_bc01("Conv2DCCLayer", dimshuffle)
        W = init.GlorotUniform() if W is None else W
        super().__init__(
            incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, flip_filters, **kwargs
        )


class MaxPool2DCCLayer(MaxPool2DLayer):
    """:class:`MaxPool2DLayer` that keeps windows that extend beyond the border by default, as cuda-convnet."""

    def __init__(
        self,
        incoming: Any,
        pool_size: Any,
        stride: Any = None,
        ignore_border: bool = False,
        dimshuffle: bool = True,
        **kwargs: Any,
    ):
        _requires_bc01("MaxPool2DCCLayer", dimshuffle)
        super().__init__(incoming, pool_size, stride, kwargs.pop("pad", 0), ignore_border, **kwargs)


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
