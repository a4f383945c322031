"""Metrics of whole sets of predictions, with NumPy: area under the curve, F1, precision, recall, R2."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["auc", "f1", "precision", "r2", "recall"]

Weights = np.ndarray | None


def auc(predictions: np.ndarray, targets: np.ndarray, weights: Weights = None) -> float:
    """Area under the receiver operating characteristic; of several classes or labels, the mean of one against the rest.

    It is the probability that a positive item has a larger prediction than a negative one; ties count half.
    Classes without positive or without negative items do not count; NaN if that leaves none.
    """
    areas = [_area(score, truth, weight) for score, truth, weight in _columns(predictions, targets, weights)]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def _area(score: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    order = np.argsort(score, kind="stable")
    score, positive, negative = score[order], (weight * truth)[order], (weight * ~truth)[order]
    if not positive.sum() or not negative.sum() or not np.isfinite(score).all():
        return float("nan")
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])
    positives, negatives = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / (positive.sum() * negative.sum()))


def precision(predictions: np.ndarray, targets: np.ndarray, weights: Weights = None) -> float:
    """Share of items assigned to a class that belong to it; the mean over classes, unless there are two."""
    return _counted(predictions, targets, weights, lambda hits, found, true: hits / found if found else 0.0)


def recall(predictions: np.ndarray, targets: np.ndarray, weights: Weights = None) -> float:
    """Share of items of a class that are assigned to it; the mean over classes, unless there are two."""
    return _counted(predictions, targets, weights, lambda hits, found, true: hits / true if true else 0.0)


def f1(predictions: np.ndarray, targets: np.ndarray, weights: Weights = None) -> float:
    """Harmonic mean of precision and recall; the mean over classes, unless there are two."""

    def score(hits: float, found: float, true: float) -> float:
        return 2 * hits / (found + true) if found + true else 0.0

    return _counted(predictions, targets, weights, score)


def _counted(predictions: np.ndarray, targets: np.ndarray, weights: Weights, score) -> float:  # type: ignore[no-untyped-def]
    predictions, targets = np.asarray(predictions), np.asarray(targets)
    if predictions.ndim > 1 and predictions.shape[-1] > 1 and _one_class(predictions, targets):
        predictions = np.eye(predictions.shape[-1])[predictions.argmax(axis=-1)]
    scores = [
        score(float((w * (p >= 0.5) * t).sum()), float((w * (p >= 0.5)).sum()), float((w * t).sum()))
        for p, t, w in _columns(predictions, targets, weights)
    ]
    return float(np.mean(scores))


def _one_class(predictions: np.ndarray, targets: np.ndarray) -> bool:
    """Whether each item belongs to exactly one of the classes."""
    return targets.ndim < predictions.ndim or bool((targets.sum(axis=-1) == 1).all())


def _columns(
    predictions: np.ndarray, targets: np.ndarray, weights: Weights
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield predictions, truth and weights for every class or label; of two classes, for the second one alone."""
    predictions, targets = np.asarray(predictions), np.asarray(targets)
    classes = predictions.shape[-1] if predictions.ndim > 1 else 1
    if targets.ndim == predictions.ndim - 1 and classes > 1:
        truth = targets.reshape(-1, 1) == np.arange(classes)
    else:
        truth = targets.reshape(-1, classes) >= 0.5
    scores = predictions.reshape(-1, classes).astype(np.float64)
    if weights is None:
        weight = np.ones(len(scores))
    else:
        weight = np.repeat(np.asarray(weights, np.float64).ravel(), len(scores) // max(np.size(weights), 1))
    both = classes == 2 and _one_class(predictions, targets)
    for column in range(1 if both else 0, classes):
        yield scores[:, column], truth[:, column], weight


def r2(predictions: np.ndarray, targets: np.ndarray, weights: Weights = None) -> float:
    """Coefficient of determination: 1 minus the ratio of the squared error to the variance of the targets.

    The mean over the outputs, if there are several. For constant targets it is 1 if all predictions are right, and 0
    otherwise.
    """
    p = np.asarray(predictions, np.float64).reshape(len(predictions), -1)
    t = np.asarray(targets, np.float64).reshape(len(targets), -1)
    w = np.ones((len(p), 1)) if weights is None else np.asarray(weights, np.float64).reshape(len(p), -1)
    residual = (w * (t - p) ** 2).sum(axis=0)
    total = (w * (t - (w * t).sum(axis=0) / w.sum(axis=0)) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(total > 0, 1 - residual / total, np.where(residual > 0, 0.0, 1.0))
    return float(scores.mean())
