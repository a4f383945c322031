"""Layers that Lasagne named after a library: cuDNN and the convolutions of caffe (``MM``).

They are the layers of :mod:`lasagne_like.layers` with the defaults of those libraries, on every device.
"""
# ruff: noqa: B008 (initialisers never change)

from collections.abc import Callable
from typing import Any

from .. import init, nonlinearities
from ..errors import _NotSupported
from ..layers import (
    BatchNormLayer,
    Conv2DLayer,
    Conv3DLayer,
    Pool2DLayer,
    Pool3DLayer,
    SpatialPyramidPoolingLayer,
    batch_norm,
)

__all__ = [
    "BatchNormDNNLayer",
    "Conv2DDNNLayer",
    "Conv2DMMLayer",
    "Conv3DDNNLayer",
    "MaxPool2DDNNLayer",
    "MaxPool3DDNNLayer",
    "Pool2DDNNLayer",
    "Pool3DDNNLayer",
    "SpatialPyramidPoolingDNNLayer",
    "batch_norm_dnn",
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


class Conv3DDNNLayer(Conv3DLayer):
    """:class:`Conv3DLayer` that does not flip its filters by default, as cuDNN."""

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
        flip_filters: bool = False,
        num_groups: int = 1,
        **kwargs: Any,
    ):
        super().__init__(
            incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, flip_filters, num_groups,
            **kwargs,
        )  # fmt: skip


class Conv2DMMLayer(Conv2DDNNLayer):
    """:class:`Conv2DLayer` that does not flip its filters by default, as caffe."""


def _check_border(name: str, ignore_border: bool) -> None:
    if not ignore_border:
        raise _NotSupported(f"{name} does not support ignore_border=False, use {name.replace('DNN', '')}")


class Pool2DDNNLayer(Pool2DLayer):
    """:class:`Pool2DLayer` that always leaves out windows that extend beyond the border, as cuDNN."""

    def __init__(
        self,
        incoming: Any,
        pool_size: Any,
        stride: Any = None,
        pad: Any = (0, 0),
        ignore_border: bool = True,
        mode: str = "max",
        **kwargs: Any,
    ):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, mode, **kwargs)
        _check_border("Pool2DDNNLayer", ignore_border)


class MaxPool2DDNNLayer(Pool2DDNNLayer):
    """:class:`Pool2DDNNLayer` with ``mode="max"``."""

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


class Pool3DDNNLayer(Pool3DLayer):
    """:class:`Pool3DLayer` that always leaves out windows that extend beyond the border, as cuDNN."""

    def __init__(
        self,
        incoming: Any,
        pool_size: Any,
        stride: Any = None,
        pad: Any = (0, 0, 0),
        ignore_border: bool = True,
        mode: str = "max",
        **kwargs: Any,
    ):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, mode, **kwargs)
        _check_border("Pool3DDNNLayer", ignore_border)


class MaxPool3DDNNLayer(Pool3DDNNLayer):
    """:class:`Pool3DDNNLayer` with ``mode="max"``."""

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


class SpatialPyramidPoolingDNNLayer(SpatialPyramidPoolingLayer):
    """:class:`SpatialPyramidPoolingLayer` with the fast division of images."""

    def __init__(self, incoming: Any, pool_dims: Any = (4, 2, 1), mode: str = "max", **kwargs: Any):
        super().__init__(incoming, pool_dims, mode, **kwargs)


BatchNormDNNLayer = BatchNormLayer


def batch_norm_dnn(layer: Any, batch_norm_update_averages: Any = None, **kwargs: Any) -> Any:
    """Apply batch normalisation to an existing layer, as :func:`batch_norm`."""
    return batch_norm(layer, **kwargs)
