"""Statistics of layers as curves over depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..watch import LayerStatistics
from .figures import PathLike, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_statistics"]


def plot_statistics(
    statistics: LayerStatistics | Mapping[str, LayerStatistics],
    path: PathLike | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """Plot the standard deviation of outputs, the share of zeros, and that of gradients, layer by layer.

    Parameters
    ----------
    statistics : LayerStatistics, or mapping of str to LayerStatistics
        The results of :func:`lasagne_like.watch.layer_statistics`; several are compared under their labels, for
        example one per initialisation.
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
        If there are no statistics.
    """
    several = {"": statistics} if isinstance(statistics, LayerStatistics) else dict(statistics)
    if not several or any(not each.rows for each in several.values()):
        raise ValueError("plot_statistics: no statistics given")
    gradients = any(np.isfinite(row.gradient_std) for each in several.values() for row in each.rows)
    panels: list[tuple[str, str, float]] = [("std", "standard deviation", 1), ("zeros", "zeros [%]", 100)]
    panels += [("gradient_std", "standard deviation of gradients", 1)] if gradients else []
    figure = new_figure(4.2 * len(panels), 3.8)
    for axes, (name, label, factor) in zip(np.ravel(figure.subplots(1, len(panels), squeeze=False)), panels):
        for key, each in several.items():
            _draw(axes, each, name, factor, key)
        if name != "zeros":
            axes.set_yscale("log")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if "" not in several:
            axes.legend(fontsize=8)
    if title:
        figure.suptitle(title)
    return finished(figure, path)


def _draw(axes: Any, statistics: LayerStatistics, name: str, factor: float, label: str) -> None:
    names = [row.name for row in statistics.rows]
    values = np.array([factor * getattr(row, name) for row in statistics.rows])
    if name != "zeros":
        values = np.where(values > 0, values, np.nan)  # a logarithmic axis has no zero
    axes.plot(range(len(names)), values, "o-", label=label, markersize=3.5)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
