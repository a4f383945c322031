"""Pictures: filters, feature maps, and grids of photographs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import Network
from ..layers import Layer
from .figures import PathLike, finished, grid, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_activations", "plot_filters", "plot_pictures"]


def plot_filters(W: Any, path: PathLike | None = None, *, columns: int | None = None, channels: str = "rgb") -> Figure:
    """Plot the filters of a convolution, or the weights of a dense layer on images, as a grid of images.

    Parameters
    ----------
    W : numpy.ndarray or Layer
        The weights, or the layer that has them as ``W``: either ``(filters, channels, rows, columns)``, where filters
        with 3 channels are shown in colour and the channels of others side by side; or ``(pixels, units)`` with a
        square number of pixels.
    path : path, optional
        The file to write.
    columns : int, optional
        The number of images per row; by default the grid is nearly square.
    channels : 'rgb' or 'bgr'
        The order of three channels.

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
    if channels not in ("rgb", "bgr"):
        raise ValueError(f"plot_filters: channels={channels!r}: expected 'rgb' or 'bgr'")
    if isinstance(W, Layer):
        if not hasattr(getattr(W, "W", None), "get_value"):
            raise ValueError(f"plot_filters: {W!r} has no weights W")
        W = W.W.get_value()  # type: ignore[attr-defined]
    weights = np.asarray(W, dtype=np.float64)
    if channels == "bgr" and weights.ndim == 4 and weights.shape[1] == 3:
        weights = weights[:, ::-1]
    pictures = _as_pictures(weights)
    figure, panels = grid(len(pictures), columns)
    for axes, picture in zip(panels, pictures):
        largest = np.abs(picture).max() or 1.0
        axes.imshow(0.5 + 0.5 * picture / largest, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    return finished(figure, path)


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


def plot_activations(
    network: Network,
    picture: Any,
    at: str | Layer,
    path: PathLike | None = None,
    *,
    count: int = 64,
    columns: int | None = None,
) -> Figure:
    """Plot the outputs of a layer for one picture: one image per feature map, or bars for the units of a dense layer.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The network.
    picture : array_like
        An input of the network, ``(channels, rows, columns)``; for a :class:`lasagne_like.models.Model`, whatever its
        ``preprocess`` takes as well.
    at : str or Layer
        The layer, or its name.
    path : path, optional
        The file to write.
    count : int
        The largest number of feature maps: the first ones are shown.
    columns : int, optional
        The number of images per row; by default the grid is nearly square.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. Black is 0 or the smallest value, white the largest value of all maps that are shown.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the picture does not fit the network, or `at` does not select one layer.
    """
    from ..transfer import precompute_features

    preprocess = getattr(network, "preprocess", None)
    raw = not isinstance(picture, np.ndarray) or picture.dtype.kind in "iub"
    inputs = np.asarray(preprocess(picture) if preprocess is not None and raw else picture)
    inputs = inputs if inputs.ndim == 4 else inputs[None]
    if len(inputs) != 1:
        raise ValueError(f"plot_activations: expected one picture, got {len(inputs)}")
    outputs = precompute_features(network, inputs, at=at, progress=False)[0]
    if outputs.ndim == 1:
        figure, (axes,) = grid(1, size=5.0)
        axes.axis("on")
        axes.bar(np.arange(len(outputs)), outputs)
        axes.set_xlabel("unit")
        axes.set_ylabel("output")
        return finished(figure, path)
    if outputs.ndim != 3:
        raise ValueError(f"plot_activations: the outputs have shape {outputs.shape}: expected maps or units")
    maps = outputs[:count]
    figure, panels = grid(len(maps), columns, size=1.0)
    low, high = min(float(maps.min()), 0.0), max(float(maps.max()), 1e-12)
    for axes, each in zip(panels, maps):
        axes.imshow(each, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    return finished(figure, path)


def plot_pictures(
    pictures: Sequence[Any],
    path: PathLike | None = None,
    *,
    titles: Sequence[str] | None = None,
    preprocess: Any = None,
    columns: int | None = None,
) -> Figure:
    """Plot pictures as a grid, with a title each.

    Parameters
    ----------
    pictures : sequence of array_like
        ``(channels, rows, columns)`` each: integers from 0 to 255, or floats, see `preprocess`.
    path : path, optional
        The file to write.
    titles : sequence of str, optional
        One per picture.
    preprocess : lasagne_like.data.Preprocess, optional
        What made the pictures inputs of a network, to undo it. Without it, floats are scaled to the range from black
        to white.
    columns : int, optional
        The number of pictures per row; by default the grid is nearly square.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there are no pictures, or not as many titles.
    """
    if not len(pictures):
        raise ValueError("plot_pictures: no pictures given")
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"plot_pictures: {len(titles)} titles for {len(pictures)} pictures")
    figure, panels = grid(len(pictures), columns, size=1.8)
    for number, (axes, picture) in enumerate(zip(panels, pictures)):
        axes.imshow(shown(picture, preprocess), cmap="gray", vmin=0, vmax=1)
        if titles is not None:
            axes.set_title(titles[number], fontsize=7)
    return finished(figure, path)
