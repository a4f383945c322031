r"""Losses and accuracies.

A loss function returns one value per example (or per prediction); :func:`aggregate` reduces them to the scalar that an
optimiser minimises::

    prediction = get_output(network)
    loss = aggregate(categorical_crossentropy(prediction, targets), mode="mean")

For networks that behave differently in training and evaluation, build a second prediction with ``deterministic=True``
and compute the evaluation loss and accuracy from it.
"""

from typing import TYPE_CHECKING, Any

import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .losses import ctc_loss, dice_loss, focal_loss, label_smoothing, triplet_loss
from .naming import missing_name
from .utils import as_theano_expression

__all__ = [
    "absolute_error",
    "aggregate",
    "align_targets",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_hinge_loss",
    "categorical_accuracy",
    "categorical_crossentropy",
    "ctc_loss",
    "dice_loss",
    "focal_loss",
    "huber_loss",
    "label_smoothing",
    "multiclass_hinge_loss",
    "squared_error",
    "triplet_loss",
]


def align_targets(predictions: Any, targets: Any) -> tuple[Any, Any]:
    """Align a vector of targets with a column of predictions.

    A network with one output unit predicts a matrix ``(batch, 1)``, whereas targets are usually a vector ``(batch,)``.
    Without alignment their difference would broadcast to a ``(batch, batch)`` matrix.

    Parameters
    ----------
    predictions, targets : expression

    Returns
    -------
    predictions, targets : expression
        Reshaped only if one is a vector and the other a column.
    """
    predictions, targets = as_theano_expression(predictions), as_theano_expression(targets)
    if _is_column(predictions) and targets.ndim == 1:
        targets = targets.dimshuffle(0, "x")
    elif _is_column(targets) and predictions.ndim == 1:
        predictions = predictions.dimshuffle(0, "x")
    return predictions, targets


def _is_column(x: Any) -> bool:
    return x.ndim == 2 and x.static_shape[1] == 1


def binary_crossentropy(predictions: Any, targets: Any) -> Any:
    r"""Cross-entropy between probabilities and binary targets.

    .. math:: L = -t \log(p) - (1 - t) \log(1 - p)

    Parameters
    ----------
    predictions : expression
        Values in (0, 1), such as the output of a sigmoid layer.
    targets : expression
        Values in [0, 1], of the same shape as `predictions`.

    Returns
    -------
    expression
        The cross-entropy of each prediction.
    """
    predictions, targets = align_targets(predictions, targets)
    return T.nnet.binary_crossentropy(predictions, targets)


def categorical_crossentropy(predictions: Any, targets: Any) -> Any:
    r"""Cross-entropy between predicted distributions and class labels.

    .. math:: L_i = -\sum_j t_{i,j} \log(p_{i,j})

    Parameters
    ----------
    predictions : expression
        ``(batch, classes)`` values in (0, 1), such as the output of a softmax layer.
    targets : expression
        Either ``(batch,)`` integer class labels, or ``(batch, classes)`` distributions.

    Returns
    -------
    expression
        ``(batch,)`` cross-entropy of each example.

    Notes
    -----
    If `predictions` is the output of a softmax, the compiler uses a numerically stable log-softmax.
    """
    return T.nnet.categorical_crossentropy(predictions, targets)


def squared_error(a: Any, b: Any) -> Any:
    r"""Squared difference :math:`L = (p - t)^2`.

    Parameters
    ----------
    a, b : expression
        Predictions and targets, in either order.

    Returns
    -------
    expression
        The squared error of each element.
    """
    a, b = align_targets(a, b)
    return (a - b) ** 2


def absolute_error(a: Any, b: Any) -> Any:
    r"""Absolute difference :math:`L = |p - t|`.

    Parameters
    ----------
    a, b : expression
        Predictions and targets, in either order.

    Returns
    -------
    expression
        The absolute error of each element.
    """
    a, b = align_targets(a, b)
    return abs(a - b)


def aggregate(loss: Any, weights: Any = None, mode: str = "mean") -> Any:
    """Aggregate the losses of elements or examples to a scalar.

    Parameters
    ----------
    loss : expression
        One loss per element or example.
    weights : expression, optional
        Weights of the losses; of the same shape, or one that broadcasts to it.
    mode : {'mean', 'sum', 'normalized_sum'}
        The mean or sum of the weighted losses, or their sum divided by the sum of the weights.

    Returns
    -------
    expression
        A scalar.

    Raises
    ------
    ValueError
        If `mode` is unknown, or ``'normalized_sum'`` without weights.
    """
    if weights is not None:
        loss = loss * weights
    if mode == "mean":
        return loss.mean()
    if mode == "sum":
        return loss.sum()
    if mode == "normalized_sum":
        if weights is None:
            raise ValueError("require weights for mode='normalized_sum'")
        return loss.sum() / as_theano_expression(weights).sum()
    raise ValueError(f"mode must be 'mean', 'sum' or 'normalized_sum', got {mode!r}")


def binary_hinge_loss(
    predictions: Any, targets: Any, delta: float = 1, log_odds: bool = True, binary: bool = True
) -> Any:
    r"""Hinge loss of binary predictions.

    .. math:: L_i = \max(0, \delta - t_i p_i)

    Parameters
    ----------
    predictions : expression
        Log-odds, or probabilities in (0, 1) if `log_odds` is false.
    targets : expression
        0 or 1; -1 or 1 if `binary` is false.
    delta : float
        The margin.
    log_odds : bool
        Whether `predictions` are log-odds. Probabilities are converted to log-odds.
    binary : bool
        Whether `targets` are 0 or 1 rather than -1 or 1.

    Returns
    -------
    expression
        The loss of each prediction.
    """
    predictions, targets = align_targets(predictions, targets)
    if not log_odds:
        predictions = T.log(predictions / (1 - predictions))
    if binary:
        targets = 2 * targets - 1
    return T.nnet.relu(delta - predictions * targets)


def multiclass_hinge_loss(predictions: Any, targets: Any, delta: float = 1) -> Any:
    r"""Multi-class hinge loss: the margin between the correct class and the best incorrect class.

    .. math:: L_i = \max(0, \max_{j \neq t_i} p_{i,j} - p_{i,t_i} + \delta)

    Parameters
    ----------
    predictions : expression
        ``(batch, classes)`` scores.
    targets : expression
        Either ``(batch,)`` integer class labels, or ``(batch, classes)`` one-hot rows.
    delta : float
        The margin.

    Returns
    -------
    expression
        ``(batch,)`` loss of each example.

    Raises
    ------
    TypeError
        If `targets` has neither as many axes as `predictions` nor one fewer.
    """
    if targets.ndim == predictions.ndim - 1:
        is_target = _is_class(predictions, targets)
    elif targets.ndim == predictions.ndim:
        is_target = T.neq(targets, 0)
    else:
        raise TypeError(f"rank mismatch between targets ({targets.ndim}) and predictions ({predictions.ndim})")
    correct = T.switch(is_target, predictions, 0).sum(axis=1)
    best_wrong = T.switch(is_target, float("-inf"), predictions).max(axis=1)
    return T.nnet.relu(best_wrong - correct + delta)


def _class_numbers(predictions: Any) -> Any:
    return T.arange(predictions.shape[predictions.ndim - 1])


def _is_class(predictions: Any, targets: Any) -> Any:
    return T.eq(T.shape_padright(targets), T.shape_padleft(_class_numbers(predictions), targets.ndim))


def huber_loss(predictions: Any, targets: Any, delta: float = 1) -> Any:
    r"""Huber loss: squared error for small differences, absolute error for large ones.

    .. math:: L = \frac{(p - t)^2}{2} \ \text{if}\ |p - t| \leq \delta, \quad
              \delta (|p - t| - \frac{\delta}{2}) \ \text{otherwise}

    Parameters
    ----------
    predictions, targets : expression
    delta : float
        The difference beyond which the loss is linear.

    Returns
    -------
    expression
        The loss of each element.

    References
    ----------
    .. [1] Peter J. Huber (1992): Robust estimation of a location parameter. Breakthroughs in Statistics.
    """
    predictions, targets = align_targets(predictions, targets)
    distance = abs(targets - predictions)
    return T.switch(distance <= delta, 0.5 * distance**2, delta * (distance - delta / 2.0))


def binary_accuracy(predictions: Any, targets: Any, threshold: float = 0.5) -> Any:
    r"""Binary accuracy: whether a thresholded prediction equals the target, :math:`\mathbb{1}[(p \geq \theta) = t]`.

    Parameters
    ----------
    predictions : expression
        Values in [0, 1].
    targets : expression
        0 or 1.
    threshold : float
        Predictions greater than or equal to it count as 1.

    Returns
    -------
    expression
        One Boolean per prediction; their mean is the accuracy.
    """
    predictions, targets = align_targets(predictions, targets)
    return T.eq(T.ge(predictions, threshold), targets)


def categorical_accuracy(predictions: Any, targets: Any, top_k: int = 1) -> Any:
    r"""Categorical accuracy: whether the correct class is among the `top_k` highest-ranked predictions.

    Parameters
    ----------
    predictions : expression
        ``(batch, classes)`` probabilities or scores.
    targets : expression
        Either ``(batch,)`` integer class labels, or ``(batch, classes)`` with the largest entry at the correct class.
    top_k : int
        The number of highest-ranked predictions to consider.

    Returns
    -------
    expression
        ``(batch,)`` Booleans; their mean is the accuracy.

    Raises
    ------
    TypeError
        If `targets` has neither as many axes as `predictions` nor one fewer.
    ValueError
        If `top_k` is less than 1.

    Notes
    -----
    Ties are broken in favour of the lower class label. A prediction of NaN for the correct class counts as wrong.
    """
    if top_k < 1:
        raise ValueError(f"categorical_accuracy: top_k must be at least 1, got {top_k!r}")
    if targets.ndim == predictions.ndim:
        targets = T.argmax(targets, axis=-1)
    elif targets.ndim != predictions.ndim - 1:
        raise TypeError(f"rank mismatch between targets ({targets.ndim}) and predictions ({predictions.ndim})")
    if top_k == 1:
        return T.eq(T.argmax(predictions, axis=-1), targets)
    return _rank(predictions, targets) < top_k


def _rank(predictions: Any, targets: Any) -> Any:
    """Return the rank of the target: the number of classes before it in descending order of prediction."""
    score = T.switch(_is_class(predictions, targets), predictions, 0).sum(axis=-1, keepdims=True)
    # Written as "not below or equal" so that a score of NaN ranks last instead of first.
    ahead = T.eq(T.le(predictions, score), 0)
    earlier = T.lt(T.shape_padleft(_class_numbers(predictions), targets.ndim), T.shape_padright(targets))
    tied_earlier = T.eq(predictions, score) * earlier
    one, zero = T.constant(1, dtype="int32"), T.constant(0, dtype="int32")
    return T.switch(T.or_(ahead, tied_earlier), one, zero).sum(axis=-1)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)


explain_faults(globals())
