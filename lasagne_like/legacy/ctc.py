"""``theano.tensor.nnet.ctc``: the connectionist temporal classification loss on times, examples and classes."""

from __future__ import annotations

from typing import Any

import symc.tensor as T
from lasagne_like.losses import ctc_loss

__all__ = ["ConnectionistTemporalClassification", "ctc", "ctc_available"]


def ctc_available() -> bool:
    """Whether ``ctc`` works: always."""
    return True


def ctc(activations: Any, labels: Any, input_lengths: Any) -> Any:
    """The connectionist temporal classification loss, one per example.

    Parameters
    ----------
    activations : expression
        ``(time, batch, classes)``, before the softmax; class 0 is the blank.
    labels : expression
        ``(batch, longest)`` integers; negative ones are padding.
    input_lengths : expression
        ``(batch,)`` integers.

    Returns
    -------
    expression
        ``(batch,)``.
    """
    x, y, lengths = (T.as_tensor_variable(v) for v in (activations, labels, input_lengths))
    if x.ndim != 3 or y.ndim != 2 or lengths.ndim != 1:
        raise ValueError("ctc: expected activations of 3 axes, labels of 2, input lengths of 1")
    rows = x.dimshuffle(1, 0, 2)
    shifted = T.exp(rows - rows.max(axis=2, keepdims=True))
    p = shifted / shifted.sum(axis=2, keepdims=True)
    return ctc_loss(p, T.maximum(y, 0), lengths, T.sum(T.ge(y, 0), axis=1))


class ConnectionistTemporalClassification:
    """``ConnectionistTemporalClassification()(activations, labels, input_lengths)`` is ``ctc``."""

    def __init__(self, compute_grad: bool = True, openmp: Any = None) -> None:
        self.compute_grad = compute_grad

    def __call__(self, activations: Any, labels: Any, input_lengths: Any) -> Any:
        return ctc(activations, labels, input_lengths)
