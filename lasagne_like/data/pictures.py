"""Pictures from files, PIL images and arrays, as ``(n, rows, columns, channels)`` uint8 arrays; resizing."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["INTERPOLATIONS", "is_one_picture", "read_picture", "pictures_of", "resized"]


def is_one_picture(pictures: Any) -> bool:
    """Whether `pictures` is one picture (a path, a PIL image, an array of at most three axes), not several."""
    if isinstance(pictures, str | os.PathLike) or _is_pil(pictures):
        return True
    return isinstance(pictures, np.ndarray) and pictures.ndim <= 3


def _is_pil(picture: Any) -> bool:
    # Without importing PIL: an object of a class of PIL implies that PIL is loaded.
    return any(cls.__module__.split(".")[0] == "PIL" and cls.__name__ == "Image" for cls in type(picture).__mro__)


def read_picture(path: str | os.PathLike) -> np.ndarray:
    """Read an image file, turned upright according to its EXIF orientation.

    Parameters
    ----------
    path : path
        A file in any format that Pillow reads.

    Returns
    -------
    numpy.ndarray
        ``(rows, columns, 3)``, red, green, blue, uint8. Transparency is dropped.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is not a picture, or is damaged.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError(f"reading the picture {path} requires the package pillow: pip install pillow") from error
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: pass the files in it, such as sorted(Path({str(path)!r}).glob('*.jpg'))")
    try:
        with Image.open(path) as image:
            return _from_pil(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise FileNotFoundError(f"no picture {path}") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a picture that Pillow reads, or is damaged: {error}") from error


def _from_pil(image: Any) -> np.ndarray:
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16-bit values at 255.
        values = np.asarray(image).astype(np.int64)
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            raise ValueError(f"the picture holds values from {values.min()} to {values.max()}, expected 8 or 16 bits")
        grey = np.rint(values / 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("the picture holds floating-point values; convert it to 8 bits first")
    return np.asarray(image.convert("RGB"))


def pictures_of(pictures: Any) -> list[np.ndarray]:
    """Bring pictures to ``(n, rows, columns, channels)`` uint8 arrays, one array per group of pictures of one size.

    Parameters
    ----------
    pictures : path, PIL image, numpy.ndarray, or iterable of these
        Arrays of integers from 0 to 255: ``(rows, columns)``, ``(rows, columns, 1, 3 or 4)``, ``(1 or 3, rows,
        columns)``, or batches ``(n, 1 or 3, rows, columns)`` and ``(n, rows, columns, 1, 3 or 4)``. Where several of
        these apply, three channels precede one, and channels-first precedes channels-last.

    Returns
    -------
    list of numpy.ndarray
        With 1 channel (grey) or 3 (red, green, blue).

    Raises
    ------
    TypeError
        If a picture is of another type, or an array does not contain integers.
    ValueError
        If an array has another shape or values outside 0 to 255.
    """
    if isinstance(pictures, str | os.PathLike):
        return [read_picture(pictures)[None]]
    if _is_pil(pictures):
        return [_from_pil(pictures)[None]]
    if isinstance(pictures, np.ndarray):
        return [_from_array(pictures)]
    if isinstance(pictures, Iterable) and not isinstance(pictures, bytes | dict):
        parts = [part for each in pictures for part in pictures_of(each)]
        if not parts:
            raise ValueError("no pictures were given")
        return parts
    raise TypeError(
        f"expected pictures as file names, PIL images or uint8 arrays, got {type(pictures).__name__}: "
        f"{str(pictures)[:60]}"
    )


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"pictures are arrays of integers from 0 to 255, got dtype {array.dtype}; for values from 0 to 1, pass "
            "(255 * pictures).round().astype('uint8')"
        )
    shape = array.shape
    if 0 in shape:
        raise ValueError(f"got an array of pictures of shape {shape}, which has no elements")
    if array.ndim == 2:
        array = array[None, :, :, None]
    elif array.ndim in (3, 4) and (axis := _channel_axis(shape)) is not None:
        array = np.moveaxis(array if array.ndim == 4 else array[None], axis, -1)
    else:
        raise ValueError(
            f"an array of shape {shape} is not a picture or a batch of pictures: expected (rows, columns), "
            "(3, rows, columns), (rows, columns, 3), (n, 3, rows, columns) or (n, rows, columns, 3); for n grey "
            "pictures pass (n, 1, rows, columns)"
        )
    if array.dtype != np.uint8:
        if array.min() < 0 or array.max() > 255:
            raise ValueError(f"pictures have values from 0 to 255, got {array.min()} to {array.max()}")
        array = array.astype(np.uint8)
    return array[..., :3] if array.shape[3] == 4 else array


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    """Return the axis of the channels, counted from the end; three channels are more likely than one."""
    for sizes, axis in (((3,), -3), ((3, 4), -1), ((1,), -3), ((1,), -1)):
        if shape[axis] in sizes:
            return axis
    return None


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Return Keys' cubic convolution kernel with a = -0.5, as in Pillow and in torchvision with antialiasing."""
    x = np.abs(x)
    inner = (1.5 * x - 2.5) * x * x + 1.0
    outer = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


#: Interpolation to (filter, radius of the filter in pixels of the coarser grid); None for the nearest pixel.
INTERPOLATIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float] | None] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
    "nearest": None,
}


def resized(pictures: np.ndarray, rows: int, columns: int, interpolation: str) -> np.ndarray:
    """Resize pictures along each axis, with a filter that widens for downscaling, as in Pillow.

    Parameters
    ----------
    pictures : numpy.ndarray
        ``(n, rows, columns, channels)``.
    rows, columns : int
        The new size.
    interpolation : str
        A key of :data:`INTERPOLATIONS`.

    Returns
    -------
    numpy.ndarray
        ``(n, rows, columns, channels)``, float32, not rounded; from 0 to 255, to which the overshoot of ``"bicubic"``
        and ``"lanczos"`` is clipped.
    """
    for axis, size in ((2, columns), (1, rows)):
        pictures = _resized_axis(pictures, axis, size, interpolation)
    return pictures.astype(np.float32, copy=False)


def _resized_axis(pictures: np.ndarray, axis: int, new: int, interpolation: str) -> np.ndarray:
    old = pictures.shape[axis]
    if old == new:
        return pictures
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale - 0.5
    if (method := INTERPOLATIONS[interpolation]) is None:
        return pictures.take(np.minimum(np.floor(centres + 0.5).astype(int), old - 1), axis)
    kernel, radius = method
    width = max(scale, 1.0)
    first = np.floor(centres - radius * width).astype(int)
    taps = first[:, None] + np.arange(math.ceil(2 * radius * width) + 2)
    weights = kernel((taps - centres[:, None]) / width) * ((taps >= 0) & (taps < old))
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    taps = taps.clip(0, old - 1)
    spread = [1] * pictures.ndim
    spread[axis] = new
    result: Any = 0.0
    for tap, weight in zip(taps.T, weights.T):
        if weight.any():
            result = result + pictures.take(tap, axis) * weight.reshape(spread)
    # Cubic and Lanczos filters overshoot.
    return np.clip(result, 0, 255)
