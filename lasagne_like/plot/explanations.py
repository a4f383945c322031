"""Attribution maps over pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..attribution import cam, grad_cam, guided_backprop, occlusion, saliency
from ..attribution.scores import Scores
from ..files import Network
from .figures import PathLike, finished, new_figure, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_attribution", "plot_explanations"]

METHODS: dict[str, Any] = {
    "saliency": saliency,
    "guided_backprop": guided_backprop,
    "grad_cam": grad_cam,
    "cam": cam,
    "occlusion": occlusion,
}


def plot_attribution(
    pictures: Any,
    maps: Mapping[str, np.ndarray],
    path: PathLike | None = None,
    *,
    preprocess: Any = None,
    titles: Sequence[str] | None = None,
) -> Figure:
    """Plot pictures, and beside each its attribution maps.

    Parameters
    ----------
    pictures : array_like
        ``(n, channels, rows, columns)``, see :func:`plot_pictures`; or a single one.
    maps : mapping of str to numpy.ndarray
        From a label to maps, one per picture: ``(n, rows, columns)`` are drawn in colours over the picture (maps with
        negative values from blue to red), ``(n, channels, rows, columns)`` as pictures of their own.
    path : path, optional
        The file to write.
    preprocess : lasagne_like.data.Preprocess, optional
        What made the pictures inputs of a network, to undo it.
    titles : sequence of str, optional
        One per picture.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the numbers or sizes of pictures and maps do not fit.
    """
    pictures = np.asarray(pictures)
    pictures = pictures[None] if pictures.ndim == 3 else pictures
    if pictures.ndim != 4 or not len(pictures):
        raise ValueError(f"pictures have shape {pictures.shape}: expected (n, channels, rows, columns)")
    size = pictures.shape[2:]
    for label, values in maps.items():
        if len(values) != len(pictures) or np.ndim(values) not in (3, 4) or values.shape[-2:] != size:
            raise ValueError(f"the maps {label!r} have shape {np.shape(values)} for pictures {pictures.shape}")
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"{len(titles)} titles for {len(pictures)} pictures")
    figure = new_figure(1.9 * (1 + len(maps)), 2.0 * len(pictures))
    grid = figure.subplots(len(pictures), 1 + len(maps), squeeze=False)
    for n, row in enumerate(grid):
        picture = shown(pictures[n], preprocess)
        row[0].imshow(picture, cmap="gray", vmin=0, vmax=1)
        if titles is not None:
            row[0].set_title(titles[n], fontsize=7)
        for axes, (label, values) in zip(row[1:], maps.items()):
            _draw(axes, picture, values[n])
            if n == 0:
                axes.set_title(label, fontsize=8)
        for axes in row:
            axes.axis("off")
    return finished(figure, path)


def _draw(axes: Any, picture: np.ndarray, values: np.ndarray) -> None:
    if values.ndim == 3:
        scaled = np.clip(0.5 + 0.5 * values / _largest(values), 0, 1)
        axes.imshow(scaled[0] if len(scaled) == 1 else scaled.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=1)
        return
    axes.imshow(picture if picture.ndim == 2 else picture.mean(axis=2), cmap="gray", vmin=0, vmax=1)
    largest = _largest(values)
    if values.min() < 0:
        axes.imshow(values, cmap="coolwarm", vmin=-largest, vmax=largest, alpha=0.6)
    else:
        axes.imshow(values, cmap="inferno", vmin=0, vmax=largest, alpha=0.6)


def _largest(values: np.ndarray) -> float:
    """The absolute value that becomes the strongest colour: a few outliers do not hide the rest."""
    return float(np.quantile(np.abs(values), 0.995)) or float(np.abs(values).max()) or 1.0


def plot_explanations(
    network: Network,
    pictures: Any,
    target: Any = None,
    path: PathLike | None = None,
    *,
    methods: str | Sequence[str] = ("saliency", "guided_backprop", "grad_cam", "occlusion"),
    titles: Sequence[str] | None = None,
) -> Figure:
    """Compute and plot several kinds of attribution maps (:mod:`lasagne_like.attribution`).

    Parameters
    ----------
    network, pictures, target
        As for :func:`lasagne_like.attribution.saliency`.
    path : path, optional
        The file to write.
    methods : str or sequence of str
        Of ``"saliency"``, ``"guided_backprop"``, ``"grad_cam"``, ``"cam"`` and ``"occlusion"``.
    titles : sequence of str, optional
        One per picture.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        For an unknown method, or as the functions of :mod:`lasagne_like.attribution`.
    """
    methods = [methods] if isinstance(methods, str) else methods
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ValueError(f"methods: {unknown[0]!r} is none of {', '.join(METHODS)}")
    preprocess = getattr(network, "preprocess", None)
    raw = not isinstance(pictures, np.ndarray) or pictures.dtype.kind in "iub"
    inputs = np.asarray(preprocess(pictures) if preprocess is not None and raw else pictures)
    inputs = inputs[None] if inputs.ndim == 3 else inputs
    if preprocess is None and raw:
        drawn, inputs = inputs, inputs.astype(np.float32)
    else:
        drawn = inputs
    target = Scores(network).classes(inputs, target, 16)  # once, and not for every method
    maps = {name.replace("_", " "): METHODS[name](network, inputs, target) for name in methods}
    return plot_attribution(drawn, maps, path, preprocess=preprocess, titles=titles)
