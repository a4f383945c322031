"""The VGG networks of Simonyan and Zisserman, and a small variant for small images.

Each builder returns a :class:`Model`, a dictionary of named layers. A key is the name of the layer and prefixes the
names of its parameters (``conv1_1.W``).

References
----------
.. [1] Simonyan, Zisserman (2015): Very deep convolutional networks for large-scale image recognition. ICLR.
       https://arxiv.org/abs/1409.1556
.. [2] Ioffe, Szegedy (2015): Batch normalization. ICML. https://arxiv.org/abs/1502.03167
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..init import HeNormal
from ..layers import BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer, MaxPool2DLayer, NonlinearityLayer
from ..lazy import lazy_init
from ..naming import names_arguments
from ..network import Model
from ..nonlinearities import rectify, softmax
from .stack import Stack, checked_classes_and_shape
from .weights import load_into

__all__ = ["vgg11", "vgg13", "vgg16", "vgg19", "small_vgg"]

_CHANNELS = (64, 128, 256, 512, 512)
_CONVOLUTIONS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


@names_arguments
def vgg16(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 224, 224),
    include_top: bool = True,
    num_classes: int | None = None,
    batch_norm: bool = False,
    input_var: Any = None,
) -> Model:
    """Build VGG-16 (configuration D of [1]_): 13 convolutions, 3 dense layers, 138,357,544 parameters.

    Parameters
    ----------
    weights : 'imagenet', str, path or None
        ``'imagenet'`` or the name of another entry of :mod:`lasagne_like.models.weights`; or a file of weights of this
        network in any format that :func:`lasagne_like.load_weights` reads. None for random values.
    input_shape : tuple
        ``(channels, rows, columns)`` of a picture. Without dense layers, rows and columns may be None if they vary.
    include_top : bool
        Whether to include the dense layers, which need the size of the pictures that the weights were trained on.
        Otherwise the output is ``pool5``, ``(n, 512, rows / 32, columns / 32)``.
    num_classes : int, optional
        The number of classes, 1000 by default. With another number than that of the weights, ``fc8`` keeps its random
        values.
    batch_norm : bool
        Whether to add batch normalisation [2]_ after each convolution, as in torchvision's ``vgg16_bn``.
    input_var : Variable, optional
        The input, ``(n,) + input_shape``.

    Returns
    -------
    Model
        ``input``, ``conv1_1``, ``conv1_2``, ``pool1``, ..., ``conv5_3``, ``pool5``, ``fc6``, ``fc6_dropout``, ``fc7``,
        ``fc7_dropout``, ``fc8``, ``prob``. With `batch_norm`, ``bn1_1`` and ``relu1_1`` follow ``conv1_1``. Its
        ``preprocess`` and ``classes`` are those of the weights.

    Raises
    ------
    ValueError
        If an argument is outside its domain, or pictures are too small for five poolings.
    WeightsMismatchError
        If a file of weights does not match the network.
    WeightsNotFoundError
        If weights cannot be downloaded; the message says which file to put where.

    Notes
    -----
    Convolutions do not flip their filters, as in Caffe, for which the weights were published.

    Examples
    --------
    >>> base = vgg16(input_shape=(3, 160, 160), include_top=False)
    >>> base["pool5"].output_shape
    (None, 512, 5, 5)
    """
    return _vgg("vgg16", weights, input_shape, include_top, num_classes, batch_norm, input_var)


@names_arguments
def vgg11(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 224, 224),
    include_top: bool = True,
    num_classes: int | None = None,
    batch_norm: bool = False,
    input_var: Any = None,
) -> Model:
    """Build VGG-11 (configuration A of [1]_): 8 convolutions; otherwise as :func:`vgg16`."""
    return _vgg("vgg11", weights, input_shape, include_top, num_classes, batch_norm, input_var)


@names_arguments
def vgg13(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 224, 224),
    include_top: bool = True,
    num_classes: int | None = None,
    batch_norm: bool = False,
    input_var: Any = None,
) -> Model:
    """Build VGG-13 (configuration B of [1]_): 10 convolutions; otherwise as :func:`vgg16`."""
    return _vgg("vgg13", weights, input_shape, include_top, num_classes, batch_norm, input_var)


@names_arguments
def vgg19(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (3, 224, 224),
    include_top: bool = True,
    num_classes: int | None = None,
    batch_norm: bool = False,
    input_var: Any = None,
) -> Model:
    """Build VGG-19 (configuration E of [1]_): 16 convolutions; otherwise as :func:`vgg16`."""
    return _vgg("vgg19", weights, input_shape, include_top, num_classes, batch_norm, input_var)


def _vgg(
    name: str,
    weights: str | os.PathLike | None,
    input_shape: Sequence[int | None],
    include_top: bool,
    num_classes: int | None,
    batch_norm: bool,
    input_var: Any,
) -> Model:
    units = checked_classes_and_shape(name, weights, input_shape, num_classes, include_top)
    _check_size(name, input_shape, 5, include_top)
    with lazy_init():
        net = Stack(f"{name}_bn" if batch_norm else name, (None, *input_shape), input_var)
        for block, (count, channels) in enumerate(zip(_CONVOLUTIONS[name], _CHANNELS), start=1):
            for number in range(1, count + 1):
                _convolution(net, f"{block}_{number}", channels, batch_norm)
            net.add(f"pool{block}", MaxPool2DLayer, 2)
        if include_top:
            for layer in ("fc6", "fc7"):
                net.add(layer, DenseLayer, 4096)
                net.add(f"{layer}_dropout", DropoutLayer, p=0.5)
            net.classifier("fc8", units)

    def rebuild(shape: Sequence[int], classes: int) -> Model:
        return _vgg(name, None, shape, classes > 0, classes or None, batch_norm, None)

    return load_into(net.layers, weights, "fc8", rebuild)


def _convolution(net: Stack, at: str, channels: int, batch_norm: bool) -> None:
    options = {"pad": 1, "flip_filters": False, "W": HeNormal("relu")}
    if not batch_norm:
        net.add(f"conv{at}", Conv2DLayer, channels, 3, **options)
        return
    net.add(f"conv{at}", Conv2DLayer, channels, 3, nonlinearity=None, **options)
    net.norm(f"bn{at}")
    net.relu(f"relu{at}")


def _check_size(name: str, input_shape: Sequence[int | None], blocks: int, dense: bool) -> None:
    sizes = tuple(input_shape)[1:]
    smallest = 2**blocks
    if any(size is not None and size < smallest for size in sizes):
        raise ValueError(
            f"{name}: input_shape={input_shape}: {blocks} blocks halve the picture {blocks} times, which needs at "
            f"least {smallest} rows and columns"
        )
    if dense and None in sizes:
        raise ValueError(
            f"{name}: input_shape={input_shape} leaves the size open, but dense layers need it; set include_top=False, "
            "or give rows and columns"
        )


@names_arguments
def small_vgg(
    input_shape: tuple[int, int, int] = (1, 28, 28),
    num_classes: int = 10,
    *,
    channels: Sequence[int] = (16, 32),
    convolutions: int = 2,
    dense: int = 64,
    dropout: float = 0.5,
    input_var: Any = None,
) -> Model:
    """Build a small VGG-style network with batch normalisation and dropout.

    Each block repeats (3 x 3 convolution without bias, batch normalisation [2]_, rectifier) ``convolutions`` times,
    followed by 2 x 2 max-pooling. The blocks are followed by a dense layer with batch normalisation, rectifier and
    dropout, and by the classifier.

    Parameters
    ----------
    input_shape : tuple of int
        The channels, rows and columns of an image.
    num_classes : int
        The number of units of the last layer.
    channels : sequence of int
        The number of filters of the convolutions in each block; one entry per block.
    convolutions : int
        The number of convolutions per block.
    dense : int
        The number of units of the dense layer before the classifier.
    dropout : float
        The dropout probability of these units.
    input_var : Variable, optional
        Images of shape ``(n,) + input_shape`` and dtype floatX.

    Returns
    -------
    Model
        ``input``; ``conv1_1``, ``bn1_1``, ``relu1_1``, ..., ``pool1``, ...; ``fc``, ``fc_bn``, ``fc_relu``,
        ``fc_dropout``; ``out``, ``prob``.

    Raises
    ------
    ValueError
        If the images are too small for the number of pooling layers.
    """
    smallest = 2 ** len(channels)
    if min(input_shape[1:]) < smallest:
        raise ValueError(
            f"input_shape={input_shape}: {len(channels)} blocks halve the picture {len(channels)} times, which needs "
            f"at least {smallest} rows and columns; give fewer entries in channels={tuple(channels)}"
        )
    net = Stack("small_vgg", (None, *input_shape), input_var)
    for block, filters in enumerate(channels, start=1):
        for number in range(1, convolutions + 1):
            at = f"{block}_{number}"
            net.add(f"conv{at}", Conv2DLayer, filters, 3, pad=1, W=HeNormal("relu"), b=None, nonlinearity=None)
            net.add(f"bn{at}", BatchNormLayer)
            net.add(f"relu{at}", NonlinearityLayer, rectify)
        net.add(f"pool{block}", MaxPool2DLayer, 2)
    net.add("fc", DenseLayer, dense, W=HeNormal("relu"), b=None, nonlinearity=None)
    net.add("fc_bn", BatchNormLayer)
    net.add("fc_relu", NonlinearityLayer, rectify)
    net.add("fc_dropout", DropoutLayer, p=dropout)
    net.add("out", DenseLayer, num_classes, nonlinearity=None)
    net.add("prob", NonlinearityLayer, softmax)
    return net.layers
