"""Maps of the places that speak for a class, from the feature maps of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import symc.tensor as T

from ..files import Network
from ..layers import DenseLayer, DropoutLayer, GlobalPoolLayer, InputLayer, Layer, NonlinearityLayer
from ..nonlinearities import linear
from ..transfer import select_layers
from .scores import Scores

__all__ = ["cam", "grad_cam", "upsampled"]


def grad_cam(
    network: Network,
    pictures: Any,
    target: Any = None,
    *,
    at: str | Layer | None = None,
    upsample: bool = True,
    batch_size: int = 16,
) -> np.ndarray:
    r"""Compute a map of the places that speak for a class ([3]_ of the module).

    With the feature maps :math:`A_k` of a layer and the score :math:`s` of the class,

    .. math:: \max\Big(0, \sum_k \overline{\partial s / \partial A_k} \, A_k\Big)

    where the bar is the mean over all places.

    Parameters
    ----------
    network, pictures, target, batch_size
        As for :func:`saliency`.
    at : str or Layer, optional
        The layer of the feature maps, or its name; by default the last layer with rows and columns.
    upsample : bool
        Interpolate the map to the size of the pictures.

    Returns
    -------
    numpy.ndarray
        ``(n, rows, columns)``, non-negative, in units of the score.

    Raises
    ------
    ValueError
        As for :func:`saliency`, or if there is no such layer.
    """
    scores = Scores(network)
    layer = _spatial(scores.layers, at, network)
    maps, slopes = scores.at(layer, pictures, target, batch_size)
    found = np.maximum((slopes.mean(axis=(2, 3), keepdims=True) * maps).sum(axis=1), 0)
    return upsampled(found, scores.size) if upsample else found


def cam(
    network: Network, pictures: Any, target: Any = None, *, upsample: bool = True, batch_size: int = 16
) -> np.ndarray:
    """Compute a class activation map of a network that ends with global average pooling ([4]_ of the module).

    Parameters
    ----------
    network, pictures, target, upsample, batch_size
        As for :func:`grad_cam`.

    Returns
    -------
    numpy.ndarray
        ``(n, rows, columns)``. Without interpolation, its mean over rows and columns is the score of the class without
        the bias.

    Raises
    ------
    ValueError
        As for :func:`saliency`, or if the network does not end with a layer with rows and columns, global average
        pooling and one dense layer; :func:`grad_cam` works for all networks.
    """
    scores = Scores(network)
    dense, layer = _pooled_head(scores.output)
    (maps,) = scores.values([layer], pictures, batch_size)
    classes = scores.classes(pictures, target, batch_size)
    weights = dense.W.get_value()
    chosen = np.stack([_column(weights, k) for k in classes])
    found = np.einsum("nkij,nk->nij", maps, chosen)
    return upsampled(found, scores.size) if upsample else found


def _spatial(layers: Sequence[Layer], at: str | Layer | None, network: Network) -> Layer:
    if at is None:
        found = [each for each in layers if len(each.output_shape) == 4 and not isinstance(each, InputLayer)][-1:]
        if not found:
            raise ValueError("grad_cam: the network has no layer with rows and columns")
    else:
        found = select_layers(at, network)
    if len(found) != 1 or len(found[0].output_shape) != 4 or found[0] not in layers:
        raise ValueError(f"grad_cam: at={at!r} selects {found!r}, expected one layer with rows and columns")
    return found[0]


def _pooled_head(output: Layer) -> tuple[Any, Layer]:
    """Return the dense layer of a network that ends with global average pooling, and the layer that is pooled."""
    dense: Any = output.input_layer if isinstance(output, NonlinearityLayer) else output
    if isinstance(dense, DenseLayer) and (dense is output or dense.nonlinearity is linear):
        layer = dense.input_layer
        while isinstance(layer, DropoutLayer):
            layer = layer.input_layer
        if isinstance(layer, GlobalPoolLayer) and layer.pool_function is T.mean and len(layer.input_shape) == 4:
            return dense, layer.input_layer
    raise ValueError(
        "cam: the network does not end with global average pooling and one dense layer; use grad_cam, which works for "
        "all networks"
    )


def _column(weights: np.ndarray, k: int) -> np.ndarray:
    return weights[:, 0] * (2 * k - 1) if weights.shape[1] == 1 else weights[:, k]


def upsampled(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate maps linearly to another number of rows and columns.

    Parameters
    ----------
    maps : numpy.ndarray
        ``(n, rows, columns)``.
    size : pair of int
        The new rows and columns. Centres of pixels correspond: the first half pixel repeats the first value.

    Returns
    -------
    numpy.ndarray
        ``(n,) + size``.
    """
    for axis, length in zip((1, 2), size):
        old = maps.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, old - 1)
        part = (at - low).reshape([-1 if k == axis else 1 for k in range(3)])
        maps = np.take(maps, low, axis) * (1 - part) + np.take(maps, high, axis) * part
    return maps
