"""Predictions averaged over crops of each picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .augment import checked_pictures
from .decoding import as_size

__all__ = ["average_crops", "ten_crop"]


def ten_crop(pictures: np.ndarray, size: Any) -> np.ndarray:
    """Cut ten windows out of each picture: the four corners and the centre, and their mirror images.

    Parameters
    ----------
    pictures : numpy.ndarray
        ``(n, channels, height, width)``.
    size : int or pair of int
        Height and width of the windows.

    Returns
    -------
    numpy.ndarray
        ``(n, 10, channels, height, width)``: top left, top right, bottom left, bottom right, centre, and the same
        windows mirrored.

    Raises
    ------
    ValueError
        If the windows are larger than the pictures.
    """
    pictures = checked_pictures(pictures)
    wanted = as_size(size)
    if wanted is None:
        raise ValueError("ten_crop: size=None: expected the height and width of the windows")
    (h, w), (height, width) = wanted, pictures.shape[2:]
    if h > height or w > width:
        raise ValueError(f"ten_crop: windows of {h} x {w} pixels are larger than the pictures of {height} x {width}")
    bottom, right = height - h, width - w
    places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    windows = [pictures[:, :, top : top + h, left : left + w] for top, left in places]
    return np.stack([*windows, *(window[..., ::-1] for window in windows)], axis=1)


def average_crops(
    predict: Callable[[np.ndarray], Any], pictures: np.ndarray, size: Any, preprocess: Callable | None = None
) -> np.ndarray:
    """Average predictions over the ten crops of each picture.

    Parameters
    ----------
    predict : callable
        Maps ``(m, channels, height, width)`` inputs to ``(m, ...)`` predictions, such as ``trainer.predict``.
    pictures : numpy.ndarray
        ``(n, channels, height, width)``.
    size : int or pair of int
        Height and width of the crops: those of the network's input.
    preprocess : callable, optional
        Applied to the crops before `predict`.

    Returns
    -------
    numpy.ndarray
        ``(n, ...)`` means of predictions.
    """
    results = []
    for start in range(0, len(pictures), 32):  # ten times as many pictures as an ordinary batch
        crops = ten_crop(pictures[start : start + 32], size)
        flat = crops.reshape(-1, *crops.shape[2:])
        predicted = np.asarray(predict(flat if preprocess is None else preprocess(flat)))
        results.append(predicted.reshape(-1, 10, *predicted.shape[1:]).mean(axis=1))
    if not results:
        raise ValueError("average_crops: got no pictures")
    return np.concatenate(results)
