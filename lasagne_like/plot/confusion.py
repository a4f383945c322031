"""Confusion matrices, with the worst mistakes as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import PathLike, finished, new_figure, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "plot_confusion", "worst_mistakes"]


def confusion_matrix(targets: Any, predictions: Any, num_classes: int | None = None) -> np.ndarray:
    """Count how often each class was taken for each.

    Parameters
    ----------
    targets : array_like
        ``(n,)`` class labels, or one-hot rows.
    predictions : array_like
        ``(n,)`` class labels, or ``(n, classes)`` probabilities or scores; ``(n, 1)`` probabilities of class 1.
    num_classes : int, optional
        The number of classes; by default as many as occur.

    Returns
    -------
    numpy.ndarray
        ``(classes, classes)`` counts: rows are true classes, columns predicted ones.

    Raises
    ------
    ValueError
        If the lengths differ or are 0, a class is out of range, or the targets are fractions.
    TypeError
        If the classes are no numbers.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1], [0, 1, 1])
    array([[1, 1],
           [0, 1]])
    """
    true, found, probabilities = _labels(targets, predictions)
    known = 0 if probabilities is None else probabilities.shape[1]
    highest = int(max(true.max(), found.max()))
    count = num_classes if num_classes is not None else max(highest + 1, known)
    if highest >= count or min(true.min(), found.min()) < 0:
        raise ValueError(
            f"confusion_matrix: classes must be 0 to {count - 1}, got {min(true.min(), found.min())} to {highest}"
        )
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (true, found), 1)
    return matrix


def worst_mistakes(targets: Any, predictions: Any, count: int = 8) -> np.ndarray:
    """Return the positions of wrong predictions, those with the largest margin of the wrong class first.

    Parameters
    ----------
    targets, predictions
        As for :func:`confusion_matrix`; without probabilities, the order is that of the examples.
    count : int
        The largest number of positions.

    Returns
    -------
    numpy.ndarray
        Positions of examples.
    """
    true, found, probabilities = _labels(targets, predictions)
    wrong = np.flatnonzero(true != found)
    if probabilities is not None:
        margin = probabilities[wrong, found[wrong]] - probabilities[wrong, true[wrong]]
        wrong = wrong[np.argsort(-margin, kind="stable")]
    return wrong[:count]


def _labels(targets: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return true labels, predicted labels, and probabilities if there are any."""
    true, found = np.asarray(targets), np.asarray(predictions)
    for name, labels in (("targets", true), ("predictions", found)):
        if labels.dtype.kind not in "biuf":
            raise TypeError(f"{name} have dtype {labels.dtype}: expected class numbers, such as classes.index(label)")
    if true.dtype.kind == "f" and (true != np.rint(true)).any():
        raise ValueError("targets are fractions: the true classes come first, then the predictions")
    if true.ndim == 2:
        true = true[:, 0] if true.shape[1] == 1 else true.argmax(axis=1)
    probabilities = None
    if found.ndim == 2:
        probabilities = np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found
        found = probabilities.argmax(axis=1)
    if true.ndim != 1 or true.shape != found.shape or not len(true):
        raise ValueError(f"{np.shape(targets)} targets and {np.shape(predictions)} predictions: expected equal numbers")
    if found.dtype.kind == "f" and (found != found.astype(int)).any():
        raise ValueError("predictions are fractions: pass class labels, or probabilities of shape (n, classes)")
    return true.astype(int), found.astype(int), probabilities


def plot_confusion(
    targets: Any,
    predictions: Any,
    classes: Sequence[str] | None = None,
    path: PathLike | None = None,
    *,
    pictures: Sequence[Any] | None = None,
    worst: int = 8,
    preprocess: Any = None,
    title: str | None = None,
) -> Figure:
    """Plot a confusion matrix and, if `pictures` are given, the worst mistakes.

    Parameters
    ----------
    targets, predictions : array_like
        See :func:`confusion_matrix`. The worst mistakes need probabilities.
    classes : sequence of str, optional
        The names of the classes.
    path : path, optional
        The file to write.
    pictures : sequence of array_like, optional
        The pictures of all examples, in the same order; see :func:`plot_pictures`.
    worst : int
        The number of mistakes to show: those where the wrong class is furthest ahead of the true one.
    preprocess : lasagne_like.data.Preprocess, optional
        What made the pictures inputs of a network, to undo it.
    title : str, optional
        The title; by default the share of correct predictions.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. Colours are shares of the true class, numbers are counts.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        As for :func:`confusion_matrix`, or if the numbers of classes or pictures do not fit.
    """
    matrix = confusion_matrix(targets, predictions, None if classes is None else len(classes))
    names = [str(k) for k in range(len(matrix))] if classes is None else list(classes)
    _, found, probabilities = _labels(targets, predictions)
    chosen: np.ndarray = np.zeros(0, int)
    if pictures is not None:
        if len(pictures) != len(found):
            raise ValueError(f"plot_confusion: {len(pictures)} pictures for {len(found)} predictions")
        chosen = worst_mistakes(targets, predictions, worst)
    size = max(3.2, 0.35 * len(matrix) + 1.5)
    rows = -(-len(chosen) // 4)
    figure = new_figure(size + (6.0 if rows else 0), max(size, 1.7 * rows))
    parts: Any = figure.subfigures(1, 2, width_ratios=[size, 6.0]) if rows else [figure]
    axes: Any = parts[0].subplots()
    _draw_matrix(axes, matrix, names)
    axes.set_title(title or f"{np.trace(matrix) / matrix.sum():.1%} correct of {matrix.sum():,}")
    if rows:
        panels = np.ravel(parts[1].subplots(rows, 4, squeeze=False))
        _draw_mistakes(panels, chosen, pictures, _labels(targets, predictions), names, preprocess)
    return finished(figure, path)


def _draw_matrix(axes: Any, matrix: np.ndarray, names: Sequence[str]) -> None:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 3 else 0, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(names) <= 20:
        for (k, j), count in np.ndenumerate(matrix):
            axes.text(
                j, k, f"{count}", ha="center", va="center", color="white" if shares[k, j] > 0.5 else "black", fontsize=8
            )


def _draw_mistakes(
    panels: Any, chosen: np.ndarray, pictures: Any, labels: tuple[Any, Any, Any], names: Sequence[str], preprocess: Any
) -> None:
    true, found, probabilities = labels
    for axes in panels:
        axes.axis("off")
    for axes, n in zip(panels, chosen):
        axes.imshow(shown(pictures[n], preprocess), cmap="gray", vmin=0, vmax=1)
        sure = "" if probabilities is None else f" ({probabilities[n, found[n]]:.0%})"
        axes.set_title(f"{names[true[n]]}\ntaken for {names[found[n]]}{sure}", fontsize=7)
