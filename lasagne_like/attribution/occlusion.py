"""How the probability of a class drops when parts of a picture are covered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..files import Network
from .scores import Scores

__all__ = ["occlusion"]


def occlusion(
    network: Network,
    pictures: Any,
    target: Any = None,
    *,
    size: int | tuple[int, int] | None = None,
    stride: int | None = None,
    value: float | None = None,
    batch_size: int = 64,
) -> np.ndarray:
    """Compute how much the probability of a class drops when a part of the picture is covered ([5]_ of the module).

    Parameters
    ----------
    network, pictures, target
        As for :func:`saliency`.
    size : int or pair of int, optional
        The rows and columns of the patch that covers a part; by default an eighth of the picture.
    stride : int, optional
        The distance of neighbouring patches; by default that of patches side by side. A smaller one gives a finer map,
        for more time: every patch costs an evaluation of the network. The last patches end with the picture.
    value : float, optional
        The value of covered pixels, in units of the inputs; by default the mean of each channel of the picture.
    batch_size : int
        The number of covered pictures per batch.

    Returns
    -------
    numpy.ndarray
        ``(n, rows, columns)``: for each pixel, the mean drop over all patches that cover it. For a network without
        softmax or sigmoid, the drop of the output.

    Raises
    ------
    ValueError
        As for :func:`saliency`, or if the patch is larger than the picture.
    """
    scores = Scores(network)
    inputs = scores.inputs(pictures)
    classes = scores.classes(inputs, target, batch_size)
    rows, columns = scores.size
    patch = _patch_size(size, rows, columns)
    places = [
        (top, left)
        for top in _starts(rows, patch[0], patch[0] if stride is None else stride)
        for left in _starts(columns, patch[1], patch[1] if stride is None else stride)
    ]
    result = np.zeros((len(inputs), rows, columns))
    for n, (picture, k) in enumerate(zip(inputs, classes)):
        cover = picture.mean(axis=(1, 2), keepdims=True) if value is None else value
        covered = _covered(picture, cover, places, patch, batch_size)
        probabilities = np.concatenate([scores.probabilities(batch)[:, k] for batch in covered])
        drops = scores.probabilities(picture[None])[0, k] - probabilities
        counts = np.zeros((rows, columns))
        for (top, left), drop in zip(places, drops):
            part = slice(top, top + patch[0]), slice(left, left + patch[1])
            result[n][part] += drop
            counts[part] += 1
        result[n] /= np.maximum(counts, 1)
    return result


def _patch_size(size: int | tuple[int, int] | None, rows: int, columns: int) -> tuple[int, int]:
    if size is None:
        return max(rows // 8, 1), max(columns // 8, 1)
    patch = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if not 1 <= patch[0] <= rows or not 1 <= patch[1] <= columns:
        raise ValueError(f"occlusion: size={size} does not fit into pictures of {rows} x {columns} pixels")
    return patch


def _starts(length: int, size: int, stride: int) -> list[int]:
    if stride < 1:
        raise ValueError(f"occlusion: stride={stride}: expected at least 1")
    return sorted({*range(0, length - size + 1, stride), length - size})


def _covered(
    picture: np.ndarray, cover: Any, places: Sequence[tuple[int, int]], patch: tuple[int, int], batch_size: int
) -> Iterator[np.ndarray]:
    for start in range(0, len(places), batch_size):
        some = places[start : start + batch_size]
        batch = np.repeat(picture[None], len(some), axis=0)
        for each, (top, left) in zip(batch, some):
            each[:, top : top + patch[0], left : left + patch[1]] = cover
        yield batch
