"""Residual networks.

References
----------
.. [1] Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun (2016): Deep residual learning for image recognition. CVPR.
       arXiv:1512.03385.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..init import HeNormal
from ..layers import ElemwiseSumLayer, GlobalPoolLayer, Layer, MaxPool2DLayer
from ..lazy import lazy_init
from ..naming import names_arguments
from ..network import Model
from .stack import Stack, checked_classes_and_shape
from .weights import load_into

__all__ = ["resnet18", "resnet34", "resnet50"]


@names_arguments
def resnet18(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 224, 224),
    include_top: bool = True,
    num_classes: int | None = None,
    input_var: Any = None,
) -> Model:
    """Build ResNet-18 [1]_, with the layer names of torchvision: 11,689,512 parameters.

    Parameters
    ----------
    weights : 'imagenet', str, path or None
        ``'imagenet'`` or the name of another entry of :mod:`lasagne_like.models.weights`; or a file of weights of this
        network, such as one of torchvision. None for random values.
    input_shape : tuple
        ``(channels, rows, columns)`` of a picture; None for rows and columns that may vary.
    include_top : bool
        Whether to include the average over all positions, the classifier ``fc`` and its softmax ``prob``. Otherwise the
        output is the last block's, ``(n, 512, rows / 32, columns / 32)``.
    num_classes : int, optional
        The number of classes, 1000 by default. With another number than that of the weights, ``fc`` keeps its random
        values.
    input_var : Variable, optional
        The input, ``(n,) + input_shape``.

    Returns
    -------
    Model
        ``input``, ``conv1``, ``bn1``, ``relu``, ``maxpool``, ``layer1.0.conv1``, ..., ``layer4.1.relu2``, ``avgpool``,
        ``fc``, ``prob``.
    """
    return _resnet("resnet18", (2, 2, 2, 2), False, weights, input_shape, include_top, num_classes, input_var)


@names_arguments
def resnet34(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 224, 224),
    include_top: bool = True,
    num_classes: int | None = None,
    input_var: Any = None,
) -> Model:
    """Build ResNet-34 [1]_: 21,797,672 parameters; otherwise as :func:`resnet18`."""
    return _resnet("resnet34", (3, 4, 6, 3), False, weights, input_shape, include_top, num_classes, input_var)


@names_arguments
def resnet50(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 224, 224),
    include_top: bool = True,
    num_classes: int | None = None,
    input_var: Any = None,
) -> Model:
    """Build ResNet-50 [1]_: 25,557,032 parameters; otherwise as :func:`resnet18`.

    The output without the top has 2048 channels. In blocks that halve the picture, the 3 x 3 convolution has the
    stride, as in torchvision.
    """
    return _resnet("resnet50", (3, 4, 6, 3), True, weights, input_shape, include_top, num_classes, input_var)


def _resnet(
    name: str,
    blocks: Sequence[int],
    bottleneck: bool,
    weights: str | os.PathLike | None,
    input_shape: Sequence[int | None],
    include_top: bool,
    num_classes: int | None,
    input_var: Any,
) -> Model:
    units = checked_classes_and_shape(name, weights, input_shape, num_classes, include_top)
    with lazy_init():
        net = Stack(name, (None, *input_shape), input_var)
        _conv(net, "conv1", 64, 7, 2)
        net.norm("bn1")
        net.relu("relu")
        net.add("maxpool", MaxPool2DLayer, 3, stride=2, pad=1)
        for group, (count, channels) in enumerate(zip(blocks, (64, 128, 256, 512)), start=1):
            for number in range(count):
                stride = 2 if number == 0 and group > 1 else 1
                _block(net, f"layer{group}.{number}", channels, stride, bottleneck, number == 0)
        if include_top:
            net.add("avgpool", GlobalPoolLayer)
            net.classifier("fc", units)

    def rebuild(shape: Sequence[int], classes: int) -> Model:
        return _resnet(name, blocks, bottleneck, None, shape, classes > 0, classes or None, None)

    return load_into(net.layers, weights, "fc", rebuild)


def _conv(net: Stack, name: str, filters: int, size: int, stride: int = 1) -> Layer:
    return net.conv(name, filters, size, stride=stride, W=HeNormal("relu"))


def _block(net: Stack, name: str, channels: int, stride: int, bottleneck: bool, first: bool) -> None:
    start = net.top
    sizes = (1, 3, 1) if bottleneck else (3, 3)
    filters = (channels, channels, 4 * channels) if bottleneck else (channels, channels)
    strided = 2 if bottleneck else 1
    for number, (size, count) in enumerate(zip(sizes, filters), start=1):
        _conv(net, f"{name}.conv{number}", count, size, stride if number == strided else 1)
        net.norm(f"{name}.bn{number}")
        if number < len(sizes):
            net.relu(f"{name}.relu{number}")
    residual, shortcut = net.top, start
    if stride > 1 or start.output_shape[1] != filters[-1]:
        net.top = start
        _conv(net, f"{name}.downsample.0", filters[-1], 1, stride)
        shortcut = net.norm(f"{name}.downsample.1")
    net.add(f"{name}.add", ElemwiseSumLayer, on=[residual, shortcut])
    net.relu(f"{name}.relu{len(sizes)}")
