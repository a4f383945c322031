"""Names of ``theano.tensor.nnet`` that differ in how they are called, and its ops as classes."""

from __future__ import annotations

from typing import Any

import numpy as np

import symc.tensor as T
from symc.compat.convolution import conv3D
from symc.compat.function import mention
from symc.graph import Variable
from symc.tensor.assertions import assert_op

_nnet: Any = T.nnet

__all__ = [
    "CrossentropyCategorical1Hot", "CrossentropySoftmaxArgmax1HotWithBias", "LogSoftmax", "Softmax", "SoftmaxWithBias",
    "confusion_matrix", "conv2d", "conv3D", "crossentropy_softmax_1hot", "crossentropy_softmax_1hot_with_bias",
    "crossentropy_softmax_argmax_1hot_with_bias", "labels_in_range", "relu", "softmax", "softmax_graph", "softmax_op",
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


def softmax(c: Any) -> Variable:
    """``T.nnet.softmax``; as in Theano, a vector is taken as one row of a matrix."""
    x = T.as_tensor_variable(c)
    return T.nnet.softmax(x.dimshuffle("x", 0) if x.ndim == 1 else x)


def relu(x: Any, alpha: Any = 0) -> Any:
    """``T.nnet.relu`` with Theano's gradient; of an array, an array.

    Theano computes ``(x + abs(x)) / 2``, whose gradient at 0 is 1/2; with ``alpha`` it is ``(1 + alpha) / 2``.
    """
    if isinstance(x, np.ndarray) and not isinstance(alpha, Variable):
        return np.where(x > 0, x, alpha * x).astype(x.dtype)
    x = T.as_tensor_variable(x)
    if not isinstance(alpha, Variable) and np.ndim(alpha) == 0 and alpha == 0:
        return 0.5 * (x + abs(x))
    alpha = T.as_tensor_variable(alpha)
    return 0.5 * (1 + alpha) * x + 0.5 * (1 - alpha) * abs(x)


def labels_in_range(y_idx: Any, classes: Any) -> Variable:
    """Labels that must be from 0 to ``classes - 1``, as Theano's fused cross-entropies require: else a ValueError."""
    y = T.as_tensor_variable(y_idx)
    valid = T.all(T.ge(y, 0) & T.lt(y, classes))
    return assert_op(y, valid, msg="y_idx: a label is not from 0 to the number of classes - 1", error=ValueError)


def crossentropy_softmax_1hot(x: Any, y_idx: Any, **ignored: Any) -> Any:
    """``T.nnet.crossentropy_softmax_1hot``; negative labels raise a ValueError at call time."""
    x = T.as_tensor_variable(x)
    return T.nnet.crossentropy_softmax_1hot(x, labels_in_range(y_idx, x.shape[x.ndim - 1]))


def crossentropy_softmax_1hot_with_bias(x: Any, b: Any, y_idx: Any, **ignored: Any) -> Any:
    """``T.nnet.crossentropy_softmax_1hot_with_bias``; negative labels raise a ValueError at call time."""
    return crossentropy_softmax_1hot(T.as_tensor_variable(x) + b, y_idx)


def crossentropy_softmax_argmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> Any:
    """``T.nnet.crossentropy_softmax_argmax_1hot_with_bias``; negative labels raise a ValueError at call time."""
    x, b, y_idx = (T.as_tensor_variable(v) for v in (x, b, y_idx))
    mention([x, b, y_idx])
    return _nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, labels_in_range(y_idx, x.shape[1]))


def confusion_matrix(actual: Any, pred: Any) -> list[Variable]:
    """How often each class was predicted as each other: one row and column per class that occurs, and these classes.

    Parameters
    ----------
    actual, pred : tensor_like
        ``(n,)``, the true and the predicted classes.
    """
    given = [T.as_tensor_variable(v) for v in (actual, pred)]
    for what, v in zip(("actual", "pred"), given):
        if v.ndim != 1:
            raise ValueError(f"confusion_matrix: {what} must be a vector, got {v.type}")
    order = T.extra_ops.Unique()(T.concatenate(given))
    hits = [T.cast(T.eq(v.dimshuffle(0, "x"), order.dimshuffle("x", 0)), "int64") for v in given]
    return [T.dot(hits[0].T, hits[1]), order]


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
        return crossentropy_softmax_argmax_1hot_with_bias(x, b, y_idx)


softmax_op = Softmax()
softmax_graph = T.nnet.softmax_graph
