"""Figures without pyplot: nothing global changes, and no display is needed."""

from __future__ import annotations

import io
import math
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PathLike", "finished", "grid", "new_figure", "shown"]

PathLike = str | os.PathLike


def new_figure(width: float, height: float) -> Figure:
    """Create a figure of a size in inches, which notebooks show."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "plotting requires the package matplotlib: pip install matplotlib (or symc[examples])"
        ) from error
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    # IPython shows figures of pyplot only, unless they have this method
    figure._repr_png_ = partial(_as_png, figure)  # type: ignore[attr-defined]
    return figure


def _as_png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def finished(figure: Figure, path: PathLike | None) -> Figure:
    """Write the figure, if a path is given, and return it."""
    if path is not None:
        figure.savefig(os.fspath(path))
    return figure


def grid(count: int, columns: int | None = None, size: float = 0.7) -> tuple[Figure, list[Any]]:
    """Create a figure with a nearly square grid of panels without axes, and return both."""
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    figure = new_figure(columns * size, rows * size)
    panels = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for axes in panels:
        axes.axis("off")
    return figure, panels[:count]


def shown(picture: np.ndarray, preprocess: Any = None) -> np.ndarray:
    """Convert a picture to what matplotlib shows.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(channels, rows, columns)`` with 1 or 3 channels, ``(rows, columns)``, or ``(rows, columns, 3)`` integers.
        Integers are from 0 to 255. Floats are undone by `preprocess` or, without it, scaled so that the smallest
        becomes black and the largest white; those from 0 to 1 stay as they are.
    preprocess : lasagne_like.data.Preprocess, optional
        What made the picture an input of a network.

    Returns
    -------
    numpy.ndarray
        ``(rows, columns, 3)``, or ``(rows, columns)`` for one channel, from 0 to 1.

    Raises
    ------
    ValueError
        For another shape.
    """
    array = np.asarray(picture)
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3 and array.shape[0] not in (1, 3) and array.shape[2] in (1, 3):
        array = array.transpose(2, 0, 1)
    if array.ndim != 3 or array.shape[0] not in (1, 3):
        raise ValueError(f"a picture has shape {np.shape(picture)}: expected (3, rows, columns) or (1, rows, columns)")
    values = array.astype(np.float64)
    if array.dtype.kind in "ui":
        values /= 255
    elif preprocess is not None:
        mean, std = (np.reshape(np.asarray(each, float), (-1, 1, 1)) for each in (preprocess.mean, preprocess.std))
        values = (values * std + mean) / preprocess.scale / 255
        values = values[::-1] if preprocess.channels == "bgr" else values
    elif values.size and not 0 <= values.min() <= values.max() <= 1:
        values = (values - values.min()) / max(values.max() - values.min(), 1e-12)
    values = np.clip(values, 0, 1)
    return values[0] if len(values) == 1 else values.transpose(1, 2, 0)
