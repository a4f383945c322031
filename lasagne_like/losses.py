r"""Losses of the time after Lasagne. They are functions of :mod:`lasagne_like.objectives`."""

from typing import Any

import symc
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .utils import as_theano_expression

__all__ = ["ctc_loss", "dice_loss", "focal_loss", "label_smoothing", "triplet_loss"]


def label_smoothing(targets: Any, smoothing: Any = 0.1, num_classes: int | None = None) -> Any:
    r"""Move a part of the probability of the labels to all classes.

    .. math:: t'_{i,j} = (1 - \alpha) t_{i,j} + \alpha / K

    Parameters
    ----------
    targets : expression
        ``(batch,)`` integer labels, or ``(batch, classes)`` distributions.
    smoothing : float or scalar expression
        The part :math:`\alpha`.
    num_classes : int, optional
        The number of classes `K`; required for labels.

    Returns
    -------
    expression
        ``(batch, classes)`` distributions, for :func:`categorical_crossentropy`.

    Raises
    ------
    ValueError
        If labels are given without `num_classes`.

    References
    ----------
    .. [1] Christian Szegedy, Vincent Vanhoucke, Sergey Ioffe, Jon Shlens and Zbigniew Wojna (2016): Rethinking the
           Inception architecture for computer vision. arXiv:1512.00567.
    """
    targets = as_theano_expression(targets)
    if targets.ndim == 1:
        if num_classes is None:
            raise ValueError("label_smoothing: integer labels need num_classes")
        targets = T.to_one_hot(targets, num_classes)
    count = num_classes or targets.static_shape[-1] or T.cast(targets.shape[-1], targets.dtype)
    return (1 - smoothing) * targets + smoothing / count


def focal_loss(predictions: Any, targets: Any, gamma: Any = 2.0, alpha: Any = None) -> Any:
    r"""Cross-entropy that weighs examples less the better they are predicted.

    .. math:: L_i = -(1 - p_i)^\gamma \log(p_i)

    with the predicted probability :math:`p_i` of the target.

    Parameters
    ----------
    predictions : expression
        ``(batch, classes)`` probabilities with ``(batch,)`` integer labels, or probabilities of any shape with binary
        targets of the same shape.
    targets : expression
    gamma : float or scalar expression
        0 gives the cross-entropy.
    alpha : float or scalar expression, optional
        For binary targets, the weight of the positive ones; that of the others is ``1 - alpha``.

    Returns
    -------
    expression
        One loss per label, ``(batch,)`` or the shape of `predictions`.

    Raises
    ------
    ValueError
        If `alpha` is given for class labels.

    References
    ----------
    .. [1] Tsung-Yi Lin, Priya Goyal, Ross Girshick, Kaiming He and Piotr Dollar (2017): Focal loss for dense object
           detection. arXiv:1708.02002.
    """
    predictions, targets = as_theano_expression(predictions), as_theano_expression(targets)
    if targets.ndim == predictions.ndim - 1 and predictions.ndim == 2:
        if alpha is not None:
            raise ValueError("focal_loss: alpha is the weight of positive targets; class labels have none")
        right = predictions[T.arange(targets.shape[0]), targets]
        return (1 - right) ** gamma * -T.log(right)
    wrong = T.switch(T.gt(targets, 0.5), 1 - predictions, predictions)
    loss = wrong**gamma * T.nnet.binary_crossentropy(predictions, targets)
    return loss if alpha is None else loss * T.switch(T.gt(targets, 0.5), alpha, 1 - alpha)


def dice_loss(predictions: Any, targets: Any, epsilon: Any = 1.0) -> Any:
    r"""One minus the Dice coefficient of predicted and true regions, per example.

    .. math:: L_i = 1 - \frac{2 \sum_j p_{i,j} t_{i,j} + \epsilon}{\sum_j p_{i,j} + \sum_j t_{i,j} + \epsilon}

    Parameters
    ----------
    predictions, targets : expression
        ``(batch, ...)`` values in [0, 1].
    epsilon : float or scalar expression
        Added to both, so that empty regions that are predicted as empty have no loss.

    Returns
    -------
    expression
        ``(batch,)``.

    References
    ----------
    .. [1] Fausto Milletari, Nassir Navab and Seyed-Ahmad Ahmadi (2016): V-Net: fully convolutional neural networks for
           volumetric medical image segmentation. arXiv:1606.04797.
    """
    predictions, targets = as_theano_expression(predictions), as_theano_expression(targets)
    axes = tuple(range(1, predictions.ndim))
    common = (predictions * targets).sum(axis=axes)
    return 1 - (2 * common + epsilon) / (predictions.sum(axis=axes) + targets.sum(axis=axes) + epsilon)


def triplet_loss(anchors: Any, positives: Any, negatives: Any, margin: Any = 1.0) -> Any:
    r"""The amount by which an example of the same class is not closer by a margin than one of another class.

    .. math:: L_i = \max(0, \lVert a_i - p_i \rVert^2 - \lVert a_i - n_i \rVert^2 + m)

    Parameters
    ----------
    anchors, positives, negatives : expression
        ``(batch, features)``: examples, others of their classes, and some of other classes.
    margin : float or scalar expression
        The margin `m`.

    Returns
    -------
    expression
        ``(batch,)``.

    References
    ----------
    .. [1] Florian Schroff, Dmitry Kalenichenko and James Philbin (2015): FaceNet: a unified embedding for face
           recognition and clustering. arXiv:1503.03832.
    """
    near = ((anchors - positives) ** 2).sum(axis=-1)
    far = ((anchors - negatives) ** 2).sum(axis=-1)
    return T.maximum(near - far + margin, 0)


def ctc_loss(
    predictions: Any, targets: Any, input_lengths: Any = None, target_lengths: Any = None, blank: int = 0
) -> Any:
    r"""The negative logarithm of the probability of a sequence of labels of which the times are not known.

    The probability is the sum over all ways to write the labels, in their order, into the times of the input, each
    once or several times in a row, with blanks between them where needed, which they must be between equal labels.

    Parameters
    ----------
    predictions : expression
        ``(batch, time, classes)`` probabilities, such as the output of a softmax over the last axis.
    targets : expression
        ``(batch, longest)`` integer labels without blanks; those beyond the length of a target are ignored.
    input_lengths, target_lengths : expression, optional
        ``(batch,)`` integers: the number of times and of labels of each example; all by default.
    blank : int
        The class of the blank.

    Returns
    -------
    expression
        ``(batch,)``; infinite where the labels do not fit in the times.

    Raises
    ------
    ValueError
        If `predictions` does not have three axes or `targets` two, or, at a call, if the numbers of examples differ.

    Notes
    -----
    The recursion is in logarithms over :func:`symc.scan`. If `predictions` is a softmax, the compiler takes its
    logarithm in the stable form.

    References
    ----------
    .. [1] Alex Graves, Santiago Fernandez, Faustino Gomez and Juergen Schmidhuber (2006): Connectionist temporal
           classification: labelling unsegmented sequence data with recurrent neural networks. International Conference
           on Machine Learning.
    """
    predictions, targets = as_theano_expression(predictions), as_theano_expression(targets)
    for name, value, axes in (
        ("predictions", predictions, "(batch, time, classes)"),
        ("targets", targets, "(batch, longest)"),
    ):
        if value.ndim != axes.count(",") + 1:
            raise ValueError(f"ctc_loss: {name} must have the axes {axes}, got {value.ndim} axes: {value!r}")
    targets = T.specify_shape(targets, (predictions.shape[0], targets.shape[1]))
    batch, times = predictions.shape[0], predictions.shape[1]
    longest = targets.shape[1]
    inputs = T.alloc(times, batch) if input_lengths is None else as_theano_expression(input_lengths)
    lengths = T.alloc(longest, batch) if target_lengths is None else as_theano_expression(target_lengths)
    places = 2 * longest + 1
    at = T.arange(places)
    # Blanks at even places, labels at odd ones.
    label = targets[:, T.minimum(at // 2, T.maximum(longest - 1, 0))]
    symbols = T.switch(T.eq(at % 2, 1).dimshuffle("x", 0), label, blank)
    earlier = symbols[:, T.maximum(at - 2, 0)]
    skips = T.eq(at % 2, 1).dimshuffle("x", 0) & T.ge(at, 2).dimshuffle("x", 0) & T.neq(symbols, earlier)
    rows = T.arange(batch).dimshuffle(0, "x")
    logs = T.log(predictions).dimshuffle(1, 0, 2)
    never = T.cast(_NEVER, logs.dtype)

    def step(t: Any, log: Any, before: Any) -> Any:
        one = T.switch(T.ge(at, 1).dimshuffle("x", 0), before[:, T.maximum(at - 1, 0)], never)
        two = T.switch(skips, before[:, T.maximum(at - 2, 0)], never)
        found = _log_of_sum(before, one, two) + log[rows, symbols]
        return T.switch(T.lt(t, inputs).dimshuffle(0, "x"), T.maximum(found, never), before)

    first = T.switch(T.le(at, 1).dimshuffle("x", 0), logs[0][rows, symbols], never)
    states, _ = symc.scan(step, sequences=[T.arange(1, times), logs[1:]], outputs_info=[first])
    final = T.concatenate([first.dimshuffle("x", 0, 1), states])[-1]
    last = (2 * lengths).dimshuffle(0, "x")
    ends = T.eq(at, last) | T.eq(at, last - 1)
    total = T.nnet.logsumexp(T.switch(ends, final, never), axis=1)
    return T.switch(T.lt(total, 0.5 * never), T.cast(float("inf"), logs.dtype), -total)


def _log_of_sum(*logs: Any) -> Any:
    largest = logs[0]
    for each in logs[1:]:
        largest = T.maximum(largest, each)
    return largest + T.log(T.add(*(T.exp(each - largest) for each in logs)))


_NEVER = -1e30
"""The logarithm that stands for probability zero: with a finite one, the gradients of sums of nothing are zero."""


explain_faults(globals())
