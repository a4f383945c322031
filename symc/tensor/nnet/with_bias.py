"""Softmaxes of scores plus a bias, their cross-entropies, and a softmax in two levels."""

from __future__ import annotations

from typing import Any

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.basic import as_tensor
from symc.tensor.indices.indexing import subtensor
from symc.tensor.indices.positions import iota
from symc.tensor.linalg import batched_dot, dot
from symc.tensor.nnet.activations import softmax
from symc.tensor.nnet.conv import conv2d
from symc.tensor.nnet.losses import crossentropy_softmax_1hot
from symc.tensor.reshaping import reshape
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "causal_conv1d", "crossentropy_softmax_1hot_with_bias", "crossentropy_softmax_argmax_1hot_with_bias",
    "crossentropy_softmax_max_and_argmax_1hot", "crossentropy_softmax_max_and_argmax_1hot_with_bias", "h_softmax",
    "softmax_with_bias",
]  # fmt: skip


def softmax_with_bias(x: Any, b: Any) -> Variable:
    """``softmax(x + b)`` for scores ``(batch, classes)`` and a bias ``(classes,)``."""
    return softmax(ew.add(x, b))


def crossentropy_softmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Variable, Variable]:
    """The cross-entropy of the softmax of ``x + b``, and the softmax; see :func:`crossentropy_softmax_1hot`."""
    return crossentropy_softmax_1hot(ew.add(x, b), y_idx)


def crossentropy_softmax_argmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Variable, Variable, Variable]:
    """Classify, with labels.

    Parameters
    ----------
    x : tensor_like
        ``(batch, classes)`` scores.
    b : tensor_like
        ``(classes,)`` added to each row.
    y_idx : tensor_like
        ``(batch,)`` integers, the true classes.

    Returns
    -------
    tuple of Variable
        The cross-entropy ``(batch,)`` of the softmax of ``x + b``; the softmax ``(batch, classes)``; and the most
        probable class ``(batch,)``, in the dtype of ``y_idx``.
    """
    scores, labels = ew.add(x, b), as_tensor(y_idx)
    loss, probabilities = crossentropy_softmax_1hot(scores, labels)
    return loss, probabilities, ew.cast(reduce.argmax(scores, axis=-1), labels.dtype)


def crossentropy_softmax_max_and_argmax_1hot(x: Any, y_idx: Any) -> tuple[Variable, Variable, Variable, Variable]:
    """The cross-entropy of the softmax of ``x``, the softmax, its largest probability and the class of that."""
    loss, probabilities = crossentropy_softmax_1hot(x, y_idx)
    largest, place = reduce.max_and_argmax(probabilities, axis=-1)
    return loss, probabilities, largest, place


def crossentropy_softmax_max_and_argmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Variable, ...]:
    """:func:`crossentropy_softmax_max_and_argmax_1hot` of ``x + b``."""
    return crossentropy_softmax_max_and_argmax_1hot(ew.add(x, b), y_idx)


def h_softmax(
    x: Any,
    batch_size: Any,
    n_outputs: Any,
    n_classes: Any,
    n_outputs_per_class: Any,
    W1: Any,
    b1: Any,
    W2: Any,
    b2: Any,
    target: Any = None,
) -> Variable:
    r"""A softmax in two levels: of a class, and of an output within its class.

    .. math:: p(o) = \mathrm{softmax}(x W_1 + b_1)_c \, \mathrm{softmax}(x W_{2,c} + b_{2,c})_{o - c m}, \qquad
        c = \lfloor o / m \rfloor

    where :math:`m` is the number of outputs per class.

    Parameters
    ----------
    x : tensor_like
        ``(batch, features)``.
    batch_size, n_outputs, n_classes, n_outputs_per_class : int or integer scalar
        ``n_classes * n_outputs_per_class`` must be at least ``n_outputs``.
    W1, b1 : tensor_like
        ``(features, classes)`` and ``(classes,)``.
    W2, b2 : tensor_like
        ``(classes, features, outputs per class)`` and ``(classes, outputs per class)``.
    target : tensor_like, optional
        ``(batch,)`` or ``(batch, 1)`` integers, the output of each row whose probability is wanted.

    Returns
    -------
    Variable
        ``(batch,)`` the probabilities of ``target``, computed from one class per row; without a target ``(batch,
        n_outputs)``, those of all outputs.

    References
    ----------
    .. [1] Joshua Goodman (2001): Classes for fast maximum entropy training. ICASSP.
    """
    x, W2, b2 = as_tensor(x), as_tensor(W2), as_tensor(b2)
    of_class = softmax(ew.add(dot(x, W1), b1))
    if target is None:
        scores = dot(x, W2.dimshuffle(1, 0, 2).reshape((shape_i(W2, 1), shape_i(W2, 0) * shape_i(W2, 2))))
        scores = reshape(scores, (shape_i(x, 0), shape_i(W2, 0), shape_i(W2, 2))) + b2.dimshuffle("x", 0, 1)
        both = softmax(scores) * of_class.dimshuffle(0, 1, "x")
        flat = reshape(both, (shape_i(x, 0), shape_i(W2, 0) * shape_i(W2, 2)))
        return subtensor(flat, (slice(None), slice(0, n_outputs)))
    chosen = as_tensor(target).flatten()
    group, within = chosen // n_outputs_per_class, chosen % n_outputs_per_class
    scores = batched_dot(x.dimshuffle(0, "x", 1), subtensor(W2, group)).dimshuffle(0, 2) + subtensor(b2, group)
    row = iota(chosen, 0)
    return subtensor(of_class, (row, group)) * subtensor(softmax(scores), (row, within))


def causal_conv1d(
    input: Any,
    filters: Any,
    filter_shape: Any,
    input_shape: Any = None,
    subsample: int = 1,
    filter_flip: bool = True,
    filter_dilation: int = 1,
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """Convolve signals so that each output depends on no later inputs: zeros are added before the first input alone.

    Parameters
    ----------
    input : tensor_like
        ``(batch, channels, length)``.
    filters : tensor_like
        ``(filters, channels / num_groups, filter length)``.
    filter_shape : sequence of int
        The shape of the filters; the length must be known.
    input_shape : sequence of int or None, optional
    subsample, filter_dilation : int
        The stride, and the distance of neighbouring weights.
    filter_flip, num_groups, unshared
        As in :func:`conv2d`.

    Returns
    -------
    Variable
        ``(batch, filters, (length - 1) // subsample + 1)``.

    References
    ----------
    .. [1] Aäron van den Oord et al. (2016): WaveNet: a generative model for raw audio. arXiv:1609.03499.
    """
    x, w = as_tensor(input), as_tensor(filters)
    for what, v in (("input", x), ("filters", w)):
        if v.ndim != 3:
            raise ShapeError(located(f"causal_conv1d: {what} must have 3 axes, got {v.ndim}", [x, w]))
    before = (int(filter_shape[2]) - 1) * filter_dilation
    maps = conv2d(
        x.dimshuffle(0, 1, "x", 2),
        w.dimshuffle(0, 1, "x", 2),
        None if input_shape is None else (input_shape[0], input_shape[1], 1, input_shape[2]),
        (filter_shape[0], filter_shape[1], 1, filter_shape[2]),
        border_mode=((0, 0), (before, 0)),
        subsample=(1, subsample),
        filter_flip=filter_flip,
        filter_dilation=(1, filter_dilation),
        num_groups=num_groups,
        unshared=unshared,
    )
    return maps.dimshuffle(0, 1, 3)
