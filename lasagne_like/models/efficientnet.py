"""EfficientNet-Lite: networks of depthwise convolutions, without squeeze-and-excitation and with ReLU6.

References
----------
.. [1] Mingxing Tan and Quoc V. Le (2019): EfficientNet: Rethinking model scaling for convolutional neural networks.
       ICML. arXiv:1905.11946.
.. [2] https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from ..init import HeNormal
from ..layers import ElemwiseSumLayer, GlobalPoolLayer, NonlinearityLayer
from ..lazy import lazy_init
from ..naming import names_arguments
from ..network import Model
from ..nonlinearities import relu6
from .stack import Stack, checked_classes_and_shape
from .weights import load_into

__all__ = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]

# Per group of blocks: repetitions, filter size, stride of the first block, expansion, filters.
_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_EPSILON = 1e-3


@names_arguments
def efficientnet_lite0(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 224, 224),
    include_top: bool = True,
    num_classes: int | None = None,
    input_var: Any = None,
) -> Model:
    """Build EfficientNet-Lite0 [2]_: 4.7 million parameters.

    Parameters
    ----------
    weights : 'imagenet', str, path or None
        ``'imagenet'`` or the name of another entry of :mod:`lasagne_like.models.weights`; or a file of weights of this
        network. None for random values.
    input_shape : tuple of int
        ``(channels, rows, columns)`` of a picture.
    include_top : bool
        Whether to include the average over all positions, the classifier ``fc`` and its softmax ``prob``. Otherwise the
        output is ``head_relu``, ``(n, 1280, rows / 32, columns / 32)``.
    num_classes : int, optional
        The number of classes, 1000 by default. With another number than that of the weights, ``fc`` keeps its random
        values.
    input_var : Variable, optional
        The input, ``(n,) + input_shape``.

    Returns
    -------
    Model
        ``input``, ``stem_conv``, ``stem_bn``, ``stem_relu``; per block ``block1a_dwconv``, ``block1a_bn``,
        ``block1a_relu``, ``block1a_project_conv``, ``block1a_project_bn``, preceded by ``..._expand_conv``,
        ``..._expand_bn``, ``..._expand_relu`` from group 2 on, and followed by ``..._add`` where input and output have
        one shape; ``head_conv``, ``head_bn``, ``head_relu``; ``avgpool``, ``fc_dropout``, ``fc``, ``prob``.

    Raises
    ------
    ValueError
        If a size in `input_shape` is None: convolutions with a stride are padded as in TensorFlow, which depends on it.
    """
    return _lite("efficientnet_lite0", 1.0, 1.0, 0.2, weights, input_shape, include_top, num_classes, input_var)


@names_arguments
def efficientnet_lite1(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 240, 240),
    include_top: bool = True,
    num_classes: int | None = None,
    input_var: Any = None,
) -> Model:
    """Build EfficientNet-Lite1: deeper than :func:`efficientnet_lite0`, whose parameters it has."""
    return _lite("efficientnet_lite1", 1.0, 1.1, 0.2, weights, input_shape, include_top, num_classes, input_var)


@names_arguments
def efficientnet_lite2(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 260, 260),
    include_top: bool = True,
    num_classes: int | None = None,
    input_var: Any = None,
) -> Model:
    """Build EfficientNet-Lite2: deeper and wider than :func:`efficientnet_lite0`, whose parameters it has."""
    return _lite("efficientnet_lite2", 1.1, 1.2, 0.3, weights, input_shape, include_top, num_classes, input_var)


def _lite(
    name: str,
    width: float,
    depth: float,
    dropout: float,
    weights: str | os.PathLike | None,
    input_shape: Sequence[int | None],
    include_top: bool,
    num_classes: int | None,
    input_var: Any,
) -> Model:
    units = checked_classes_and_shape(name, weights, input_shape, num_classes, include_top)
    if None in tuple(input_shape):
        raise ValueError(f"{name}: input_shape={input_shape!r} must not contain None: the padding depends on the sizes")
    with lazy_init():
        net = Stack(name, (None, *input_shape), input_var)
        _conv(net, "stem", "conv", 32, 3, stride=2)
        for group, (count, size, stride, expansion, filters) in enumerate(_GROUPS, start=1):
            last = group in (1, len(_GROUPS))  # the first and the last group keep their depth
            for number in range(count if last else math.ceil(depth * count)):
                block = f"block{group}{chr(ord('a') + number)}"
                _block(net, block, size, stride if number == 0 else 1, expansion, _rounded(filters * width))
        _conv(net, "head", "conv", 1280, 1)
        if include_top:
            net.add("avgpool", GlobalPoolLayer)
            net.classifier("fc", units, dropout)

    def rebuild(shape: Sequence[int], classes: int) -> Model:
        return _lite(name, width, depth, dropout, None, shape, classes > 0, classes or None, None)

    return load_into(net.layers, weights, "fc", rebuild)


def _rounded(filters: float) -> int:
    """Round to a multiple of 8, down by at most 10 %."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _same(net: Stack, size: int, stride: int) -> tuple[tuple[int, int], ...]:
    """Return the padding before and after with which the output has ``ceil(length / stride)`` positions."""
    lengths = [int(length or 0) for length in net.top.output_shape[2:]]
    totals = [max((-(-length // stride) - 1) * stride + size - length, 0) for length in lengths]
    return tuple((total // 2, total - total // 2) for total in totals)


def _conv(net: Stack, name: str, conv: str, filters: int, size: int, *, relu: bool = True, **options: Any) -> None:
    """Add a convolution called ``name_conv``, batch normalisation and ReLU6."""
    pad = _same(net, size, options.get("stride", 1))
    net.conv(f"{name}_{conv}", filters, size, pad=pad, W=HeNormal(), **options)
    net.norm(f"{name}_bn", _EPSILON, alpha=0.01)
    if relu:
        net.add(f"{name}_relu", NonlinearityLayer, relu6)


def _block(net: Stack, name: str, size: int, stride: int, expansion: int, filters: int) -> None:
    start = net.top
    channels = int(start.output_shape[1] or 0)
    if expansion != 1:
        channels *= expansion
        _conv(net, f"{name}_expand", "conv", channels, 1)
    _conv(net, name, "dwconv", channels, size, stride=stride, num_groups=channels)
    _conv(net, f"{name}_project", "conv", filters, 1, relu=False)
    if stride == 1 and start.output_shape[1] == filters:
        net.add(f"{name}_add", ElemwiseSumLayer, on=[net.top, start])
