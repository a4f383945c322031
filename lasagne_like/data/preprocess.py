"""Preprocessing: from pictures to the inputs of a network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..naming import names_constructor
from .pictures import INTERPOLATIONS, pictures_of, resized

__all__ = ["Preprocess"]

_CHANNELS = {"rgb": 3, "bgr": 3, "grey": 1}
_LARGEST = 16384
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@names_constructor
@dataclass(frozen=True)
class Preprocess:
    r"""Turn pictures into the inputs of a network: resize, crop, reorder the channels, scale, standardise.

    .. math:: y = \frac{\mathrm{scale} \cdot x - \mathrm{mean}}{\mathrm{std}}

    for pixel values :math:`x` from 0 to 255.

    Parameters
    ----------
    resize : int, pair of int, or None
        An int resizes the shorter side to this length and keeps the aspect ratio; a pair ``(rows, columns)`` resizes to
        this size and does not keep it. None does not resize.
    crop : int, pair of int, or None
        The size of the central part to keep: ``(rows, columns)``, or an int for a square.
    interpolation : 'bilinear', 'bicubic', 'lanczos' or 'nearest'
        How pixels are interpolated; all but ``'nearest'`` average when pictures become smaller, as Pillow does.
    channels : 'rgb', 'bgr' or 'grey'
        The order of the channels of the input. ``'grey'`` converts to one channel by the weights of ITU-R 601.
    scale : float
        The factor of the pixel values.
    mean, std : float or sequence of float
        The offset and divisor after scaling: one number, or one per channel in the order of `channels`.

    Raises
    ------
    ValueError
        If an argument is outside its domain; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> preprocess = Preprocess(resize=256, crop=224, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=0.225)
    >>> preprocess(np.zeros((300, 400, 3), "uint8")).shape
    (1, 3, 224, 224)
    >>> Preprocess.from_dict(preprocess.to_dict()) == preprocess
    True
    """

    resize: int | tuple[int, int] | None = None
    crop: int | tuple[int, int] | None = None
    interpolation: str = "bilinear"
    channels: str = "rgb"
    scale: float = 1.0
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        for name in ("resize", "crop"):
            object.__setattr__(self, name, _size(name, getattr(self, name)))
        _choice("interpolation", self.interpolation, INTERPOLATIONS)
        _choice("channels", self.channels, _CHANNELS)
        object.__setattr__(self, "scale", _number("scale", self.scale))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _per_channel(name, getattr(self, name), self.channels))
        if any(value == 0 for value in np.atleast_1d(self.std)):
            raise ValueError(f"Preprocess: std={self.std!r} contains a zero, by which pixels would be divided")
        if self.scale == 0:
            raise ValueError("Preprocess: scale=0 would make all pictures equal")
        if self.crop is not None and self.resize is not None:
            crop, size = self._pair(self.crop), self._pair(self.resize)
            if crop[0] > size[0] or crop[1] > size[1]:
                raise ValueError(f"Preprocess: crop={self.crop!r} is larger than resize={self.resize!r}")

    @staticmethod
    def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
        return (size, size) if isinstance(size, int) else size

    @property
    def num_channels(self) -> int:
        """int : The number of channels of the inputs, 3 or 1."""
        return _CHANNELS[self.channels]

    @property
    def output_shape(self) -> tuple[int | None, int | None, int | None]:
        """tuple : ``(channels, rows, columns)`` of the inputs; None for sizes that depend on the picture."""
        if self.crop is not None:
            return (self.num_channels, *self._pair(self.crop))
        if isinstance(self.resize, tuple):
            return (self.num_channels, *self.resize)
        return (self.num_channels, None, None)

    def whole(self) -> Preprocess:
        """Return the same without a margin that is cropped off: pictures are resized to the size of the crop.

        Classifiers are tested with a margin, 224 of 256 pixels. To learn from pictures of the size of the network's
        input, such as those of :func:`lasagne_like.data.image_folder`, they are taken as they are.

        Examples
        --------
        >>> Preprocess(resize=256, crop=224).whole().resize
        224
        """
        if self.crop is None or not isinstance(self.resize, int):
            return self
        return dataclasses.replace(self, resize=max(self._pair(self.crop)))

    def __call__(self, pictures: Any) -> np.ndarray:
        """Preprocess one or several pictures.

        Parameters
        ----------
        pictures : path, PIL image, numpy.ndarray, or iterable of these
            Files in any format that Pillow reads; arrays of integers from 0 to 255, ``(rows, columns)``,
            ``(rows, columns, 3)``, ``(3, rows, columns)``, or batches ``(n, 3, rows, columns)`` and
            ``(n, rows, columns, 3)``. Arrays may have one channel; channels-last arrays four, of which the last is
            dropped. Three channels are red, green, blue.

        Returns
        -------
        numpy.ndarray
            ``(n, channels, rows, columns)``, float32, contiguous; `n` is 1 for one picture.

        Raises
        ------
        TypeError
            If a picture is of another type.
        ValueError
            If a picture is damaged or smaller than the crop, or the results differ in size.
        """
        parts = [self._convert(part) for part in pictures_of(pictures)]
        shapes = {part.shape[1:] for part in parts}
        if len(shapes) > 1:
            sizes = ", ".join(f"{shape[1]} x {shape[2]}" for shape in sorted(shapes)[:4])
            raise ValueError(
                f"the pictures differ in size ({sizes}), but a batch has one size: set crop=(rows, columns) or "
                f"resize=(rows, columns) in {self}"
            )
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _convert(self, pictures: np.ndarray) -> np.ndarray:
        values = self.resized_and_cropped(pictures)
        values = self._reordered(values) * np.float32(self.scale)
        values = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=np.float32)

    def resized_and_cropped(self, pictures: np.ndarray) -> np.ndarray:
        """Apply the geometric part to pictures ``(n, rows, columns, channels)``.

        Returns
        -------
        numpy.ndarray
            ``(n, rows, columns, channels)``, pixel values from 0 to 255: float32 if the pictures were resized, else of
            the given dtype.
        """
        rows, columns = pictures.shape[1:3]
        if isinstance(self.resize, int):
            scale = self.resize / min(rows, columns)
            # The shorter side exactly; the longer one as torchvision does, without rounding up.
            target = (
                self.resize if rows <= columns else int(rows * scale + 1e-9),
                self.resize if columns <= rows else int(columns * scale + 1e-9),
            )
            pictures = resized(pictures, *target, self.interpolation)
        elif self.resize is not None:
            pictures = resized(pictures, *self.resize, self.interpolation)
        return pictures if self.crop is None else self._cropped(pictures)

    def _cropped(self, pictures: np.ndarray) -> np.ndarray:
        assert self.crop is not None
        height, width = self._pair(self.crop)
        rows, columns = pictures.shape[1:3]
        if height > rows or width > columns:
            raise ValueError(
                f"cannot crop {height} x {width} pixels from a picture of {rows} x {columns}; set "
                f"resize={max(height, width)} to scale pictures first"
            )
        top, left = round((rows - height) / 2), round((columns - width) / 2)
        return pictures[:, top : top + height, left : left + width]

    def _reordered(self, pictures: np.ndarray) -> np.ndarray:
        grey = pictures.shape[3] == 1
        pictures = pictures.astype(np.float32, copy=False)
        if self.channels == "grey":
            return pictures if grey else (pictures @ _GREY)[..., None]
        if grey:
            return np.repeat(pictures, 3, axis=3)
        return pictures[..., ::-1] if self.channels == "bgr" else pictures

    def undo(self, inputs: np.ndarray) -> np.ndarray:
        """Turn inputs back into pictures, for display.

        Parameters
        ----------
        inputs : numpy.ndarray
            ``(n, channels, rows, columns)``, or one input without the first axis.

        Returns
        -------
        numpy.ndarray
            Of the same shape, uint8, red, green, blue; values outside 0 to 255 are clipped. The size is not changed.
        """
        shape = (-1, 1, 1)
        mean, std = (np.reshape(np.asarray(each, np.float32), shape) for each in (self.mean, self.std))
        values = (np.asarray(inputs, np.float32) * std + mean) / np.float32(self.scale)
        if self.channels == "bgr":
            values = np.flip(values, -3)
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as a dictionary of numbers, strings and lists, as JSON has them."""
        return {
            field.name: list(value) if isinstance(value := getattr(self, field.name), tuple) else value
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Preprocess:
        """Create from the result of :meth:`to_dict`; missing entries have their defaults.

        Raises
        ------
        ValueError
            If an entry is unknown or not valid.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"Preprocess: expected a dictionary, got {type(content).__name__}")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = [str(key)[:40] for key in content if key not in known]
        if unknown:
            raise ValueError(
                f"Preprocess: unknown entries {', '.join(unknown[:5])}; known are {', '.join(sorted(known))}"
            )
        return cls(**content)


def _size(name: str, size: Any) -> Any:
    def valid(value: Any) -> bool:
        return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(1 <= value <= _LARGEST)

    if size is None:
        return None
    if valid(size):
        return int(size)
    if isinstance(size, Sequence) and not isinstance(size, str) and len(size) == 2 and all(map(valid, size)):
        return (int(size[0]), int(size[1]))
    raise ValueError(
        f"Preprocess: {name}={str(size)[:60]} must be a number of pixels from 1 to {_LARGEST}, a pair (rows, columns) "
        "of these, or None"
    )


def _choice(name: str, value: Any, choices: Mapping[str, Any]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"Preprocess: {name}={str(value)[:60]!r} must be one of {', '.join(map(repr, choices))}")


def _number(name: str, value: Any) -> float:
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number) and abs(number) < 1e30:
            return number
    raise ValueError(f"Preprocess: {name}={str(value)[:60]} must be a finite number")


def _per_channel(name: str, value: Any, channels: str) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str):
        return _number(name, value)
    if len(value) != _CHANNELS[channels]:
        raise ValueError(
            f"Preprocess: {name} has {len(value)} values, expected one number or {_CHANNELS[channels]}, "
            f"one for each channel of {channels!r}"
        )
    return tuple(_number(name, each) for each in value)
