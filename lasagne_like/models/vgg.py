"""The VGG networks of Simonyan and Zisserman, and a small variant for small images.

Each builder returns an ordered dictionary of named layers, from ``"input"`` to ``"prob"``. A key is the name of the
layer and prefixes the names of its parameters (``conv1_1.W``).

References
----------
.. [1] Simonyan, Zisserman (2015): Very deep convolutional networks for large-scale image recognition. ICLR.
       https://arxiv.org/abs/1409.1556
.. [2] Ioffe, Szegedy (2015): Batch normalization. ICML. https://arxiv.org/abs/1502.03167
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..init import HeNormal
from ..layers import (
    BatchNormLayer,
    Conv2DLayer,
    DenseLayer,
    DropoutLayer,
    InputLayer,
    Layer,
    MaxPool2DLayer,
    NonlinearityLayer,
)
from ..nonlinearities import rectify, softmax

__all__ = ["vgg16", "vgg19", "small_vgg", "preprocess", "IMAGENET_MEAN_BGR"]

#: Mean pixel of ImageNet in the order blue, green, red, to be subtracted from inputs of the published weights.
IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)

_CHANNELS = (64, 128, 256, 512, 512)


class _Stack:
    """A chain of named layers under construction."""

    def __init__(self, shape: tuple[int | None, ...], input_var: Any) -> None:
        self.layers: OrderedDict[str, Layer] = OrderedDict()
        self.top: Layer = InputLayer(shape, input_var, name="input")
        self.layers["input"] = self.top

    def add(self, name: str, kind: Callable[..., Layer], *args: Any, **kwargs: Any) -> None:
        self.top = self.layers[name] = kind(self.top, *args, name=name, **kwargs)


def vgg16(input_var: Any = None, num_classes: int = 1000) -> OrderedDict[str, Layer]:
    """Build VGG-16 (configuration D of [1]_): 13 convolutions, 3 dense layers, 138,357,544 parameters.

    Parameters
    ----------
    input_var : Variable, optional
        Images of shape ``(n, 3, 224, 224)`` (image; channel in the order blue, green, red; row; column) and dtype
        floatX, with the mean pixel subtracted, see :func:`preprocess`.
    num_classes : int
        The number of units of the last layer.

    Returns
    -------
    OrderedDict of str to Layer
        ``input``, ``conv1_1``, ``conv1_2``, ``pool1``, ..., ``conv5_3``, ``pool5``, ``fc6``, ``fc6_dropout``, ``fc7``,
        ``fc7_dropout``, ``fc8``, ``prob``. ``get_output(net["prob"])`` has shape ``(n, num_classes)``; rows sum to 1.

    Notes
    -----
    Convolutions do not flip their filters, as in Caffe, for which the weights were published.
    """
    return _vgg((2, 2, 3, 3, 3), input_var, num_classes)


def vgg19(input_var: Any = None, num_classes: int = 1000) -> OrderedDict[str, Layer]:
    """Build VGG-19 (configuration E of [1]_): 16 convolutions, 3 dense layers, 143,667,240 parameters.

    Parameters
    ----------
    input_var : Variable, optional
        Images of shape ``(n, 3, 224, 224)``, see :func:`vgg16`.
    num_classes : int
        The number of units of the last layer.

    Returns
    -------
    OrderedDict of str to Layer
        As for :func:`vgg16`, with a fourth convolution in blocks 3, 4 and 5.
    """
    return _vgg((2, 2, 4, 4, 4), input_var, num_classes)


def _vgg(convolutions: Sequence[int], input_var: Any, num_classes: int) -> OrderedDict[str, Layer]:
    net = _Stack((None, 3, 224, 224), input_var)
    for block, (count, channels) in enumerate(zip(convolutions, _CHANNELS), start=1):
        for number in range(1, count + 1):
            net.add(f"conv{block}_{number}", Conv2DLayer, channels, 3, pad=1, flip_filters=False)
        net.add(f"pool{block}", MaxPool2DLayer, 2)
    for name in ("fc6", "fc7"):
        net.add(name, DenseLayer, 4096)
        net.add(f"{name}_dropout", DropoutLayer, p=0.5)
    net.add("fc8", DenseLayer, num_classes, nonlinearity=None)
    net.add("prob", NonlinearityLayer, softmax)
    return net.layers


def small_vgg(
    input_shape: tuple[int, int, int] = (1, 28, 28),
    num_classes: int = 10,
    *,
    channels: Sequence[int] = (16, 32),
    convolutions: int = 2,
    dense: int = 64,
    dropout: float = 0.5,
    input_var: Any = None,
) -> OrderedDict[str, Layer]:
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
    OrderedDict of str to Layer
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
    net = _Stack((None, *input_shape), input_var)
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


def preprocess(
    image: np.ndarray, *, size: int = 224, shorter_side: int = 256, mean: Sequence[float] = IMAGENET_MEAN_BGR
) -> np.ndarray:
    """Convert a photograph to an input of a VGG network: scale, crop the centre, reorder to BGR, subtract the mean.

    Parameters
    ----------
    image : numpy.ndarray
        ``(rows, columns, 3)`` values in the order red, green, blue, or ``(rows, columns)`` grey values; 0 to 255.
    size : int
        The number of rows and columns of the crop.
    shorter_side : int
        The length to which the shorter side is scaled by bilinear interpolation before cropping.
    mean : sequence of float
        The mean values of blue, green and red.

    Returns
    -------
    numpy.ndarray
        ``(1, 3, size, size)`` (image, channel in BGR, row, column), float32.

    Raises
    ------
    ValueError
        If `image` has another shape, or the crop is larger than the scaled photograph.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] not in (3, 4) or 0 in image.shape:
        raise ValueError(f"image has shape {image.shape}: expected (rows, columns, 3) or (rows, columns)")
    if size > shorter_side:
        raise ValueError(f"size={size} is larger than shorter_side={shorter_side}: nothing to crop from")
    rows, columns = image.shape[:2]
    scale = shorter_side / min(rows, columns)
    scaled = _resize(image[:, :, :3].astype(np.float32), round(rows * scale), round(columns * scale))
    top, left = ((length - size) // 2 for length in scaled.shape[:2])
    crop = scaled[top : top + size, left : left + size]
    bgr = crop[:, :, ::-1] - np.asarray(mean, dtype=np.float32)
    return np.ascontiguousarray(bgr.transpose(2, 0, 1)[None], dtype=np.float32)


def _resize(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Resize by linear interpolation along each axis, with an averaging filter for downscaling."""
    return _resampling(image.shape[1], columns) @ np.tensordot(_resampling(image.shape[0], rows), image, axes=(1, 0))


def _resampling(old: int, new: int) -> np.ndarray:
    """Return the ``(new, old)`` matrix of a triangular filter as wide as the larger of input and output pixels."""
    scale = old / new
    width = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale - 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(centres[:, None] - np.arange(old)) / width)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
