"""Curves: histories of training, one or several runs, errors as a function of the number of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import PathLike, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_errors", "plot_history", "plot_runs"]

History = Mapping[str, Sequence[float]]
_PARTS = {"train": ("training", "C0-"), "valid": ("validation", "C1o-"), "test": ("test", "C2s-")}
_NOT_DRAWN = ("epoch", "seconds", "learning_rate")


def plot_history(history: History, path: PathLike | None = None, *, title: str | None = None) -> Figure:
    """Plot the loss and all other quantities of a training run by epoch, one panel per quantity.

    Parameters
    ----------
    history : mapping or Trainer
        The result of :meth:`lasagne_like.training.Trainer.fit`, or the trainer: ``epoch``, and any
        ``train_...`` and ``valid_...`` sequences with one number per epoch. Errors are shown in percent, losses on a
        logarithmic axis if they allow it.
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
    history = getattr(history, "history", history)
    epochs = _epochs(history, "history")
    quantities = _quantities(history)
    figure = new_figure(max(4.5 * len(quantities), 4.5), 3.6)
    panels = figure.subplots(1, max(len(quantities), 1), squeeze=False)[0]
    for axes, (quantity, names) in zip(panels, quantities.items()):
        for part, name in names.items():
            label, style = _PARTS.get(part, (part, "C3-"))
            axes.plot(epochs, _scaled(quantity, history[name]), style, label=label, markersize=3.5)
        _dress(axes, quantity)
    if title:
        figure.suptitle(title)
    return finished(figure, path)


def plot_runs(
    runs: Mapping[str, History | Sequence[History]],
    path: PathLike | None = None,
    *,
    quantity: str = "valid_error",
    title: str | None = None,
) -> Figure:
    """Plot one quantity of several training runs on one axis, to compare them.

    Parameters
    ----------
    runs : mapping
        From the label of a run to its history (:func:`plot_history`), or to a list of histories that differ by their
        seeds: then the line is their mean, with a band from the smallest to the largest value.
    path : path, optional
        The file to write.
    quantity : str
        The sequence of the histories to draw, such as ``"valid_error"`` or ``"train_loss"``.
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
        If a history is empty or lacks the quantity, or there are no runs.

    Examples
    --------
    The effect of dropout::

        plot_runs({"with dropout": first.history, "without": second.history}, "dropout.png")
    """
    if not runs:
        raise ValueError("plot_runs: no runs given")
    figure = new_figure(5.6, 3.8)
    axes: Axes = figure.subplots()
    for number, (label, given) in enumerate(runs.items()):
        histories = [given] if isinstance(given, Mapping) else list(given)
        if not histories:
            raise ValueError(f"plot_runs: the run {label!r} holds no history")
        curves = [_curve(each, quantity, label) for each in histories]
        length = min(len(values) for _, values in curves)
        epochs = curves[0][0][:length]
        values = np.stack([values[:length] for _, values in curves])
        style = f"C{number % 10}"
        axes.plot(epochs, values.mean(axis=0), style, label=label, marker="o" if length < 40 else None, markersize=3)
        if len(histories) > 1:
            axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=style, alpha=0.2, linewidth=0)
    part, _, name = quantity.partition("_")
    _dress(axes, name if part in _PARTS else quantity)
    if part in _PARTS:
        axes.set_ylabel(f"{_PARTS[part][0]} {axes.get_ylabel()}")
    if title:
        axes.set_title(title)
    return finished(figure, path)


def _epochs(history: History, what: str) -> Sequence[float]:
    epochs = history.get("epoch", ())
    if not len(epochs):
        raise ValueError(f"{what} holds no epoch: train for at least one epoch before plotting")
    return epochs


def _curve(history: History, quantity: str, label: str) -> tuple[Sequence[float], np.ndarray]:
    epochs = _epochs(history, f"the history of {label!r}")
    if quantity not in history:
        known = ", ".join(name for name in history if name not in _NOT_DRAWN)
        raise ValueError(f"quantity={quantity!r} is not in the history of {label!r}, which holds {known}")
    part, _, name = quantity.partition("_")
    return epochs, _scaled(name if part in _PARTS else quantity, history[quantity])


def _quantities(history: History) -> dict[str, dict[str, str]]:
    """Group the names of a history by quantity: ``{"loss": {"train": "train_loss", "valid": "valid_loss"}}``."""
    length = len(history["epoch"])
    found: dict[str, dict[str, str]] = {"loss": {}}
    for name, values in history.items():
        if name in _NOT_DRAWN or len(values) != length or np.asarray(values).dtype.kind not in "biuf":
            continue
        part, _, quantity = name.partition("_")
        if part not in _PARTS or not quantity:
            part, quantity = name, name
        found.setdefault(quantity, {})[part] = name
    return {quantity: names for quantity, names in found.items() if names}


def _is_share(quantity: str) -> bool:
    return "error" in quantity or "accuracy" in quantity or quantity.startswith("top")


def _scaled(quantity: str, values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, float) * (100 if _is_share(quantity) else 1)


def _dress(axes: Any, quantity: str) -> None:
    """Set labels, the scale of the axis, and the legend."""
    drawn = [line.get_ydata() for line in axes.get_lines()]
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{quantity} [%]" if _is_share(quantity) else quantity)
    finite = np.concatenate([np.asarray(each, float) for each in drawn]) if drawn else np.zeros(0)
    finite = finite[np.isfinite(finite)]
    if "loss" in quantity and finite.size and finite.min() > 0:
        axes.set_yscale("log")
    if "error" in quantity and finite.size and finite.min() >= 0:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if drawn:
        axes.legend()


def plot_errors(
    counts: Sequence[int],
    errors: Mapping[str, Sequence[float]],
    path: PathLike | None = None,
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
    figure = new_figure(5.2, 3.8)
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
    return finished(figure, path)
