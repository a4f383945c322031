"""Names of ``theano.tensor.nnet`` that differ in how they are called, and its ops as classes."""

from __future__ import annotations

from typing import Any

import symc.tensor as T
from symc.compat.convolution import conv3D
from symc.graph import Variable

_nnet: Any = T.nnet

__all__ = [
    "CrossentropyCategorical1Hot", "CrossentropySoftmaxArgmax1HotWithBias", "LogSoftmax", "Softmax", "SoftmaxWithBias",
    "conv2d", "conv3D", "softmax_graph", "softmax_op",
]  # fmt: skip


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
    **ignored: Any,
) -> Variable:
    """``T.nnet.conv2d``; further keywords, which told Theano how to compile it, have no effect."""
    return T.nnet.conv2d(
        input, filters, input_shape, filter_shape, border_mode, subsample, filter_flip, image_shape, filter_dilation,
        num_groups, unshared,
    )  # fmt: skip


class CrossentropyCategorical1Hot:
    """``CrossentropyCategorical1Hot()(p, y)`` is ``T.nnet.crossentropy_categorical_1hot(p, y)``."""

    def __call__(self, coding_dist: Any, true_one_of_n: Any) -> Variable:
        return T.nnet.crossentropy_categorical_1hot(coding_dist, true_one_of_n)


class Softmax:
    """``Softmax()(x)`` is ``T.nnet.softmax(x)``."""

    def __call__(self, x: Any) -> Variable:
        return T.nnet.softmax(x)


class LogSoftmax:
    """``LogSoftmax()(x)`` is ``T.nnet.logsoftmax(x)``."""

    def __call__(self, x: Any) -> Variable:
        return T.nnet.logsoftmax(x)


class SoftmaxWithBias:
    """``SoftmaxWithBias()(x, b)`` is ``T.nnet.softmax_with_bias(x, b)``."""

    def __call__(self, x: Any, b: Any) -> Variable:
        return _nnet.softmax_with_bias(x, b)


class CrossentropySoftmaxArgmax1HotWithBias:
    """As an op: the cross-entropy, the softmax and the largest class of ``x + b``."""

    def __call__(self, x: Any, b: Any, y_idx: Any) -> Any:
        return _nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, y_idx)


softmax_op = Softmax()
softmax_graph = T.nnet.softmax_graph
