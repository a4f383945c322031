"""Decoding of picture files to arrays of one size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

__all__ = ["CHANNELS", "Size", "as_size", "decode_picture", "decode_pictures", "pillow", "worker_count"]

Size = tuple[int, int]

CHANNELS = {"rgb": 3, "grey": 1}
"""Colour mode to number of channels."""

FITS = ("crop", "stretch", "pad")
_ORIENTATION = 0x0112  # the EXIF tag
_SIDEWAYS = (5, 6, 7, 8)  # its values that exchange width and height


def pillow() -> Any:
    """Import Pillow's module ``Image``, or say how to install it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("pictures require the package pillow: pip install pillow (or symc[examples])") from error
    return Image


def worker_count(workers: int | None) -> int:
    """Return the number of threads to use: `workers`, or one for each usable core, at most 8.

    Raises
    ------
    ValueError
        If `workers` is negative.
    """
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, 8)
    if isinstance(workers, bool) or int(workers) != workers or workers < 0:
        raise ValueError(f"workers={workers!r}: expected a number of threads, or 0 to work in the calling thread")
    return int(workers)


def as_size(size: Any, what: str = "size") -> Size | None:
    """Return a size as ``(height, width)``; a single number stands for a square, None for no size.

    Raises
    ------
    ValueError
        If `size` is neither None, a positive integer nor a pair of them.
    """
    if size is None:
        return None
    pair = (size, size) if isinstance(size, (int, np.integer)) else size
    try:
        height, width = (int(side) for side in pair)
        exact = (height, width) == tuple(pair)
    except (TypeError, ValueError):
        exact = False
    if not exact or height < 1 or width < 1:
        raise ValueError(f"{what}={size!r}: expected (height, width) in pixels, one number for a square, or None")
    return height, width


def decode_picture(file: Any, size: Size | None, mode: str = "rgb", fit: str = "crop") -> np.ndarray:
    """Decode one picture to an array.

    Parameters
    ----------
    file : path, file object or PIL image
        The picture. Of an animation, the first frame is used.
    size : tuple of int, optional
        Height and width of the result. None keeps the size of the picture.
    mode : {'rgb', 'grey'}
        The channels of the result.
    fit : {'crop', 'stretch', 'pad'}
        What happens to pictures of another aspect ratio: scale to cover `size` and cut off what overhangs, equally on
        both sides; scale each axis separately; or scale to fit into `size` and fill the borders with black.

    Returns
    -------
    numpy.ndarray
        uint8, ``(channels, height, width)``.

    Raises
    ------
    ValueError
        If the file is not a readable picture. The message names the file.

    Notes
    -----
    The orientation that cameras note in EXIF data is applied. Transparency is dropped, as by :class:`Preprocess`.
    16-bit greyscale is scaled to 8 bits.
    """
    image_module = pillow()
    if isinstance(file, image_module.Image):
        return _to_array(file, size, mode, fit)
    try:
        with image_module.open(file) as image:
            if size is not None and image.format == "JPEG":
                _draft(image, size, mode)
            return _to_array(image, size, mode, fit)
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:  # decoders of damaged files raise SyntaxError, struct.error, EOFError, ...
        name = file if isinstance(file, (str, os.PathLike)) else getattr(file, "name", "the file")
        raise ValueError(f"{os.fspath(name)} is not a readable picture ({type(error).__name__}: {error})") from error


def _draft(image: Any, size: Size, mode: str) -> None:
    """Let the JPEG decoder scale down by 2, 4 or 8 while it decodes, never below `size`."""
    height, width = size
    if _orientation(image) in _SIDEWAYS:
        height, width = width, height
    image.draft("L" if mode == "grey" and image.mode in ("L", "RGB") else None, (width, height))


def _orientation(image: Any) -> int:
    """The orientation of a picture, 1 to 8; 1 (upright) if its EXIF data are damaged."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # the reader of EXIF data raises whatever it stumbles upon; the picture itself is readable
        return 1


def _to_array(image: Any, size: Size | None, mode: str, fit: str) -> np.ndarray:
    from PIL import ImageOps

    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    image = _in_colours(image, mode)
    if size is not None and image.size != (size[1], size[0]):
        image = _resized(image, size, fit)
    pixels = np.asarray(image)
    return pixels[None].copy() if mode == "grey" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _in_colours(image: Any, mode: str) -> Any:
    wanted = "RGB" if mode == "rgb" else "L"
    if image.mode == wanted:
        return image
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip at 255
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = pillow().fromarray(np.rint(grey / 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("it holds floating-point values; convert it to 8 bits first")
    if wanted == "L" and image.mode not in ("L", "1", "RGB"):
        image = image.convert("RGB")
    return image.convert(wanted)


def _resized(image: Any, size: Size, fit: str) -> Any:
    image_module = pillow()
    bilinear = image_module.Resampling.BILINEAR
    height, width = size
    if fit == "stretch":
        return image.resize((width, height), bilinear)
    scales = (width / image.width, height / image.height)
    if fit == "crop":
        scale = max(scales)
        left, top = (image.width - width / scale) / 2, (image.height - height / scale) / 2
        box = (max(left, 0), max(top, 0), min(image.width - left, image.width), min(image.height - top, image.height))
        return image.resize((width, height), bilinear, box=box)
    scale = min(scales)
    inner = (min(width, max(1, round(image.width * scale))), min(height, max(1, round(image.height * scale))))
    canvas = image_module.new(image.mode, (width, height))
    canvas.paste(image.resize(inner, bilinear), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


def check_decoding(mode: str, fit: str) -> None:
    """Check the names of a colour mode and of a way to fit.

    Raises
    ------
    ValueError
        If one is unknown.
    """
    if mode not in CHANNELS:
        raise ValueError(f"mode={mode!r}: expected one of {', '.join(map(repr, CHANNELS))}")
    if fit not in FITS:
        raise ValueError(f"fit={fit!r}: expected one of {', '.join(map(repr, FITS))}")


def decode_pictures(
    files: Sequence, size: Any, mode: str = "rgb", fit: str = "crop", workers: int | None = None
) -> tuple[np.ndarray, list[int], list[str]]:
    """Decode pictures in threads.

    Parameters
    ----------
    files : sequence of paths
        The pictures.
    size, mode, fit
        See :func:`decode_picture`. With size None all pictures must have one size.
    workers : int, optional
        The number of threads, see :func:`worker_count`.

    Returns
    -------
    pictures : numpy.ndarray
        uint8, ``(n, channels, height, width)``: those that could be decoded.
    decoded : list of int
        Their positions in `files`.
    messages : list of str
        What is wrong with the others.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If size is None and the sizes differ.
    """
    check_decoding(mode, fit)
    size = as_size(size)
    pillow()
    result = None if size is None else np.empty((len(files), CHANNELS[mode], *size), np.uint8)

    def decode(index: int) -> Any:
        try:
            pixels = decode_picture(files[index], size, mode, fit)
        except ValueError as error:
            return str(error)
        if result is None:
            return pixels
        result[index] = pixels
        return None

    outcomes = list(_mapped(decode, range(len(files)), worker_count(workers)))
    decoded = [k for k, outcome in enumerate(outcomes) if not isinstance(outcome, str)]
    messages = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if result is not None:
        return (result if not messages else result[decoded]), decoded, messages
    for k in decoded[1:]:
        if outcomes[k].shape != outcomes[decoded[0]].shape:
            (_, h0, w0), (_, h1, w1) = outcomes[decoded[0]].shape, outcomes[k].shape
            raise ValueError(
                f"the pictures have different sizes: {files[decoded[0]]} has {h0} x {w0} pixels (height x width), "
                f"{files[k]} has {h1} x {w1}: pass size=(height, width)"
            )
    pictures = np.stack([outcomes[k] for k in decoded]) if decoded else np.empty((0, CHANNELS[mode], 0, 0), np.uint8)
    return pictures, decoded, messages


def _mapped(function: Callable, items: Iterable, workers: int) -> Iterable:
    if workers < 2:
        return map(function, items)
    with ThreadPoolExecutor(workers, thread_name_prefix="symc-decode") as pool:
        return list(pool.map(function, items))
