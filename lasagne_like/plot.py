"""Plots: learning curves, first-layer filters, error as a function of the number of labels.

Each function creates a figure, saves it if ``path`` is given (the suffix determines the format), and returns it.
matplotlib is imported only when a function is called. pyplot is not used, so that the functions work without a display
and do not change global state.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_history", "plot_filters", "plot_errors"]


def _new_figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "plotting requires the package matplotlib: pip install matplotlib (or symc[examples])"
        ) from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _finish(figure: Figure, path: str | os.PathLike | None) -> Figure:
    if path is not None:
        figure.savefig(os.fspath(path))
    return figure


def plot_history(
    history: Mapping[str, Sequence[float]], path: str | os.PathLike | None = None, *, title: str | None = None
) -> Figure:
    """Plot the loss (left) and the error (right) by epoch.

    Parameters
    ----------
    history : mapping
        The result of :meth:`lasagne_like.training.Trainer.fit`: ``epoch`` and any of ``train_loss``, ``valid_loss``,
        ``train_error``, ``valid_error``.
    path : path, optional
        The file to write.
    title : str, optional
        The title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the history is empty.
    """
    epochs = history.get("epoch", ())
    if not len(epochs):
        raise ValueError("history holds no epoch: train for at least one epoch before plotting")
    figure = _new_figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    drawn_errors = 0
    for axes, kind, scale in ((left, "loss", 1.0), (right, "error", 100.0)):
        for part, label, style in (("train", "training", "C0-"), ("valid", "validation", "C1o-")):
            values = history.get(f"{part}_{kind}")
            if values is not None and len(values):
                axes.plot(epochs, scale * np.asarray(values), style, label=label, markersize=3.5)
                drawn_errors += kind == "error"
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    left.set_ylabel("loss")
    if all(np.min(line.get_ydata()) > 0 for line in left.lines):
        left.set_yscale("log")
    right.set_ylabel("error [%]")
    if drawn_errors:
        right.set_ylim(bottom=0)
    if title:
        figure.suptitle(title)
    return _finish(figure, path)


def plot_filters(W: np.ndarray, path: str | os.PathLike | None = None, *, columns: int | None = None) -> Figure:
    """Plot the filters of a convolution, or the weights of a dense layer on images, as a grid of images.

    Parameters
    ----------
    W : numpy.ndarray
        Either ``(filters, channels, rows, columns)``: filters with 3 channels are shown in colour, the channels of
        others side by side; or ``(pixels, units)`` with a square number of pixels.
    path : path, optional
        The file to write.
    columns : int, optional
        The number of images per row; by default the grid is nearly square.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. Each filter is normalised by its largest absolute value.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If `W` has another shape.
    """
    pictures = _as_pictures(np.asarray(W, dtype=np.float64))
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    figure = _new_figure(columns * 0.7, rows * 0.7)
    for axes in np.ravel(grid := figure.subplots(rows, columns, squeeze=False)):
        axes.axis("off")
    for axes, picture in zip(np.ravel(grid), pictures):
        largest = np.abs(picture).max() or 1.0
        axes.imshow(0.5 + 0.5 * picture / largest, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    return _finish(figure, path)


def _as_pictures(W: np.ndarray) -> list[np.ndarray]:
    if W.ndim == 2 and math.isqrt(W.shape[0]) ** 2 == W.shape[0]:
        side = math.isqrt(W.shape[0])
        return [column.reshape(side, side) for column in W.T]
    if W.ndim == 4 and W.shape[1] == 3:
        return [np.moveaxis(one, 0, -1) for one in W]
    if W.ndim == 4:
        return [np.concatenate(list(one), axis=1) for one in W]
    raise ValueError(
        f"W has shape {W.shape}: expected (filters, channels, rows, columns), or (pixels, units) with a square number "
        "of pixels"
    )


def plot_errors(
    counts: Sequence[int],
    errors: Mapping[str, Sequence[float]],
    path: str | os.PathLike | None = None,
    *,
    spread: Mapping[str, Sequence[float]] | None = None,
    xlabel: str = "labelled examples",
    title: str | None = None,
) -> Figure:
    """Plot the error as a function of the number of labelled examples, one curve per method.

    Parameters
    ----------
    counts : sequence of int
        The numbers of examples, shown on a logarithmic axis.
    errors : mapping
        Maps the name of a method to its errors (fractions, one per count).
    path : path, optional
        The file to write.
    spread : mapping, optional
        Maps the name of a method to the standard deviation of each error, shown as error bars.
    xlabel, title : str, optional
        The axis label and the title.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    figure = _new_figure(5.2, 3.8)
    axes: Axes = figure.subplots()
    for method, values in errors.items():
        bars: Any = None if spread is None else 100 * np.asarray(spread[method])
        axes.errorbar(counts, 100 * np.asarray(values), yerr=bars, fmt="o-", capsize=3, label=method)
    axes.set_xscale("log")
    axes.set_xticks(list(counts), [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(xlabel)
    axes.set_ylabel("error [%]")
    axes.grid(alpha=0.3)
    axes.legend()
    if title:
        axes.set_title(title)
    return _finish(figure, path)
