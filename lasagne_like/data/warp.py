"""Affine maps of pictures with bilinear interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .decoding import pillow

__all__ = ["extended", "identity", "warp"]

EDGES = {"reflect": "symmetric", "nearest": "edge"}
"""Name of a way to continue a picture beyond its edges to NumPy's name of it."""


def identity(count: int) -> np.ndarray:
    """Return ``(count, 2, 3)`` identity maps."""
    return np.tile(np.eye(2, 3), (count, 1, 1))


def check_edge(edge: Any) -> None:
    """Raise if `edge` is neither ``'reflect'``, ``'nearest'`` nor a number.

    Raises
    ------
    ValueError
        If so.
    """
    if not (edge in EDGES if isinstance(edge, str) else isinstance(edge, (int, float, np.number))):
        raise ValueError(f"edge={edge!r}: expected 'reflect', 'nearest' or a number")


def extended(pictures: np.ndarray, margins: tuple[int, int, int, int], edge: Any) -> np.ndarray:
    """Extend pictures by margins at the top, bottom, left and right.

    Parameters
    ----------
    pictures : numpy.ndarray
        The last two axes are rows and columns.
    margins : tuple of int
        Pixels at the top, bottom, left and right.
    edge : {'reflect', 'nearest'} or number
        What the margins show.

    Returns
    -------
    numpy.ndarray
    """
    check_edge(edge)
    top, bottom, left, right = margins
    widths = [(0, 0)] * (pictures.ndim - 2) + [(top, bottom), (left, right)]
    if isinstance(edge, str):
        return np.pad(pictures, widths, mode=EDGES[edge])  # type: ignore[call-overload]
    return np.pad(pictures, widths, constant_values=edge)


def warp(pictures: np.ndarray, maps: np.ndarray, edge: Any = "reflect") -> np.ndarray:
    """Apply an affine map to each picture.

    Parameters
    ----------
    pictures : numpy.ndarray
        ``(n, channels, height, width)``, uint8 or float.
    maps : numpy.ndarray
        ``(n, 2, 3)`` maps from ``(row, column)`` of the result to that of the picture, in pixels relative to the
        centre: ``maps[:, :, :2]`` is multiplied by the position, ``maps[:, :, 2]`` added.
    edge : {'reflect', 'nearest'} or number
        What lies beyond the edges: the mirrored picture, its outermost pixels, or a constant.

    Returns
    -------
    numpy.ndarray
        Of the same shape and dtype. Maps that only mirror and shift by whole pixels are exact; other results are
        interpolated between the four nearest pixels.
    """
    check_edge(edge)
    result = np.empty(pictures.shape, pictures.dtype)
    # Mirrors and whole shifts need slices only.
    exact = (np.abs(maps[:, [0, 1], [0, 1]]) == 1).all(1) & (maps[:, [0, 1], [1, 0]] == 0).all(1)
    exact &= (maps[:, :, 2] == np.rint(maps[:, :, 2])).all(1)
    for picture, target, each, whole in zip(pictures, result, maps, exact):
        if whole:
            _moved(picture, target, each, edge)
        else:
            _interpolated(picture, target, each, edge)
    return result


def _moved(picture: np.ndarray, target: np.ndarray, each: np.ndarray, edge: Any) -> None:
    height, width = picture.shape[1:]
    source = picture[:, :: int(each[0, 0]), :: int(each[1, 1])]
    # In the mirrored picture, the offset is mirrored, too.
    rows, columns = (int(each[axis, 2] * each[axis, axis]) for axis in (0, 1))
    if rows or columns:
        margins = (max(-rows, 0), max(rows, 0), max(-columns, 0), max(columns, 0))
        source = extended(source, margins, edge)
        source = source[:, max(rows, 0) :, max(columns, 0) :]
    target[...] = source[:, :height, :width]


def _interpolated(picture: np.ndarray, target: np.ndarray, each: np.ndarray, edge: Any) -> None:
    image_module = pillow()
    height, width = picture.shape[1:]
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    corners = np.array([[-1, -1, 1, 1], [-1, 1, -1, 1]]) * centre[:, None]
    reached = each[:, :2] @ corners + (each[:, 2] + centre)[:, None]
    # The picture is extended as far as the map reaches, but no farther than is sensible: beyond, edges repeat.
    low = np.clip(np.ceil(-reached.min(axis=1)) + 1, 1, 2 * max(height, width)).astype(int)
    high = np.clip(np.ceil(reached.max(axis=1)) + 2 - (height, width), 1, 2 * max(height, width)).astype(int)
    source = extended(picture, (low[0], high[0], low[1], high[1]), edge)
    # Pillow maps the centre (x + 1/2, y + 1/2) of each pixel of the result; x is the column.
    a, b, c, d = each[1, 1], each[1, 0], each[0, 1], each[0, 0]
    offset_x = each[1, 2] + centre[1] + low[1] - a * centre[1] - b * centre[0]
    offset_y = each[0, 2] + centre[0] + low[0] - c * centre[1] - d * centre[0]
    # A position p in pixels is p + 1/2 for Pillow, before and after the map.
    data = (a, b, offset_x + 0.5 - (a + b) / 2, c, d, offset_y + 0.5 - (c + d) / 2)
    for plane, out in zip(source, target):
        image = image_module.fromarray(np.ascontiguousarray(plane, np.uint8 if plane.dtype == np.uint8 else np.float32))
        moved = image.transform((width, height), image_module.Transform.AFFINE, data, image_module.Resampling.BILINEAR)
        out[...] = np.asarray(moved)
