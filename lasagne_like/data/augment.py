r"""Random changes of pictures that keep their labels: flips, shifts, zooms, rotations, crops, colours, cutout.

An augmentation is an object that a :class:`Loader` applies to the pictures of a batch, with parameters drawn for each
picture in each epoch. Called directly, it augments an array once::

    from lasagne_like.data import Flip, Rotate, Shift, Zoom

    for augmentation in (Flip(), Shift(0.1), Zoom(0.2), Rotate(15)):
        pictures = augmentation(pictures, seed=1)

Consecutive geometric augmentations in a Loader are combined, so that pictures are interpolated once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..naming import names_arguments
from .decoding import as_size
from .draws import Draws
from .warp import extended, identity, warp

__all__ = ["Augmentation", "Colour", "Crop", "Cutout", "Flip", "Geometric", "Rotate", "Shift", "Zoom", "apply_all"]


class Augmentation:
    """Base class. A subclass defines ``apply(pictures, draws)``, which returns the changed pictures as a new array.

    ``pictures`` has shape ``(n, channels, height, width)`` and dtype uint8 (0 to 255) or float; `draws` is a
    :class:`Draws`, whose ``uniform(count)`` returns ``(count, n)`` random numbers, one column per picture.
    """

    def apply(self, pictures: np.ndarray, draws: Draws) -> np.ndarray:
        """Return the changed pictures."""
        raise NotImplementedError(f"{type(self).__name__} must define apply(self, pictures, draws)")

    def __call__(self, pictures: np.ndarray, seed: int = 0, epoch: int = 0) -> np.ndarray:
        """Augment pictures as a Loader does in the given epoch if they are items 0, 1, 2, ..."""
        pictures = checked_pictures(pictures)
        return self.apply(pictures, Draws(seed, epoch, np.arange(len(pictures))))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


def checked_pictures(pictures: Any) -> np.ndarray:
    """Return pictures as an array, or raise if their shape or dtype is not that of pictures.

    Raises
    ------
    ValueError
        If the array does not have four axes, or the channels are the last one.
    TypeError
        If the dtype is neither uint8 nor floating point.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 4:
        raise ValueError(f"expected pictures of shape (n, channels, height, width), got an array of {pictures.shape}")
    if pictures.shape[3] in (1, 3, 4) and min(pictures.shape[1:3]) > 4:
        raise ValueError(
            f"pictures of shape {pictures.shape} look like (n, height, width, channels), but channels come first here: "
            "use pictures.transpose(0, 3, 1, 2)"
        )
    if pictures.dtype != np.uint8 and pictures.dtype.kind != "f":
        raise TypeError(f"expected pictures of dtype uint8 (0 to 255) or float, got {pictures.dtype}")
    return pictures


def _probability(value: float, name: str) -> float:
    if not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
        raise ValueError(f"{name}={value!r}: expected a probability from 0 to 1")
    return float(value)


def _amount(value: float, what: str, largest: float = np.inf) -> float:
    if not isinstance(value, (int, float, np.number)) or not 0 <= value <= largest:
        raise ValueError(f"{what}={value!r}: expected a number from 0 to {largest:g}")
    return float(value)


class Geometric(Augmentation):
    """Base class of augmentations that move pixels by an affine map.

    A subclass defines ``matrices(draws, height, width)``: ``(n, 2, 3)`` maps from the coordinates of the result to
    those of the picture, ``(row, column)`` in pixels relative to the centre.
    """

    edge: Any = None
    """What lies beyond the edges, see :class:`Shift`; None if the map never leaves the picture."""

    def matrices(self, draws: Draws, height: int, width: int) -> np.ndarray:
        """Return the maps of a batch."""
        raise NotImplementedError(f"{type(self).__name__} must define matrices(self, draws, height, width)")

    def apply(self, pictures: np.ndarray, draws: Draws) -> np.ndarray:
        return _warped(pictures, self.matrices(draws, *pictures.shape[2:]), self.edge)


class Flip(Geometric):
    """Mirror each picture with a probability.

    Parameters
    ----------
    horizontal, vertical : float
        The probability of exchanging left and right, and of exchanging top and bottom.
    """

    @names_arguments
    def __init__(self, horizontal: float = 0.5, vertical: float = 0.0):
        self.horizontal = _probability(horizontal, "Flip: horizontal")
        self.vertical = _probability(vertical, "Flip: vertical")

    def matrices(self, draws: Draws, height: int, width: int) -> np.ndarray:
        columns, rows = draws.uniform(2)
        result = identity(len(draws))
        result[:, 0, 0] = np.where(rows < self.vertical, -1, 1)
        result[:, 1, 1] = np.where(columns < self.horizontal, -1, 1)
        return result


class Shift(Geometric):
    """Move each picture by a random number of whole pixels.

    Parameters
    ----------
    amount : float or pair of float
        The largest shift, as a fraction of height and width; one number for both.
    edge : {'reflect', 'nearest'} or number
        What appears at the edges: the mirrored picture, its outermost pixels, or a constant.
    """

    @names_arguments
    def __init__(self, amount: float | tuple[float, float] = 0.1, edge: Any = "reflect"):
        rows, columns = amount if isinstance(amount, Sequence) else (amount, amount)
        self.amount = (_amount(rows, "Shift: amount", 1), _amount(columns, "Shift: amount", 1))
        self.edge = edge

    def matrices(self, draws: Draws, height: int, width: int) -> np.ndarray:
        offsets = draws.uniform(2, -1, 1) * [[self.amount[0] * height], [self.amount[1] * width]]
        result = identity(len(draws))
        result[:, :, 2] = np.rint(offsets).T
        return result


class Zoom(Geometric):
    """Magnify or shrink each picture about its centre.

    Parameters
    ----------
    amount : float or pair of float
        The range of the factor: ``0.2`` stands for ``(0.8, 1.2)``. Factors above 1 magnify.
    edge
        See :class:`Shift`.
    """

    @names_arguments
    def __init__(self, amount: float | tuple[float, float] = 0.2, edge: Any = "reflect"):
        low, high = amount if isinstance(amount, Sequence) else (1 - amount, 1 + amount)
        if not 0 < low <= high < np.inf:
            raise ValueError(f"Zoom: amount={amount!r}: expected 0 <= amount < 1, or factors (low, high) above 0")
        self.amount = (float(low), float(high))
        self.edge = edge

    def matrices(self, draws: Draws, height: int, width: int) -> np.ndarray:
        low, high = np.log(self.amount[0]), np.log(self.amount[1])
        factor = np.exp(draws.uniform(1, low, high)[0])  # as often by 1/f as by f
        return identity(len(draws)) / factor[:, None, None]


class Rotate(Geometric):
    """Rotate each picture about its centre.

    Parameters
    ----------
    degrees : float
        The largest angle, in both directions.
    edge
        See :class:`Shift`.
    """

    @names_arguments
    def __init__(self, degrees: float = 15, edge: Any = "reflect"):
        self.degrees = _amount(degrees, "Rotate: degrees", 180)
        self.edge = edge

    def matrices(self, draws: Draws, height: int, width: int) -> np.ndarray:
        angle = np.deg2rad(draws.uniform(1, -self.degrees, self.degrees)[0])
        result = identity(len(draws))
        result[:, 0, 0] = result[:, 1, 1] = np.cos(angle)
        result[:, 0, 1], result[:, 1, 0] = np.sin(angle), -np.sin(angle)
        return result


class Crop(Augmentation):
    """Cut a window at a random position out of each picture.

    Parameters
    ----------
    size : int or pair of int
        Height and width of the window.
    pad : int
        The number of pixels by which each side is extended beforehand.
    edge
        What fills the extension, see :class:`Shift`.
    """

    @names_arguments
    def __init__(self, size: Any, pad: int = 0, edge: Any = "reflect"):
        wanted = as_size(size, "Crop: size")
        if wanted is None:
            raise ValueError("Crop: size=None: expected the height and width of the window")
        self.size, self.pad, self.edge = wanted, int(_amount(pad, "Crop: pad")), edge

    def apply(self, pictures: np.ndarray, draws: Draws) -> np.ndarray:
        if self.pad:
            pictures = extended(pictures, (self.pad, self.pad, self.pad, self.pad), self.edge)
        (height, width), (h, w) = pictures.shape[2:], self.size
        if h > height or w > width:
            raise ValueError(
                f"Crop: the window of {h} x {w} pixels is larger than the pictures of {height} x {width}: "
                "choose a smaller size, or pad"
            )
        rows, columns = (draws.uniform(2) * [[height - h + 1], [width - w + 1]]).astype(int)
        result = np.empty((*pictures.shape[:2], h, w), pictures.dtype)
        for picture, target, top, left in zip(pictures, result, rows, columns):
            target[...] = picture[:, top : top + h, left : left + w]
        return result


class Colour(Augmentation):
    """Change brightness, contrast and saturation of each picture by random factors.

    Parameters
    ----------
    brightness, contrast, saturation : float
        The largest relative change: with 0.2, factors lie in ``[0.8, 1.2]``. 0 leaves the property unchanged.

    Notes
    -----
    Brightness multiplies all values; contrast scales their distance from the mean grey of the picture, and saturation
    that from the grey of the pixel. uint8 results are rounded and limited to 0 to 255; float results are not limited.
    """

    @names_arguments
    def __init__(self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2):
        self.brightness = _amount(brightness, "Colour: brightness", 1)
        self.contrast = _amount(contrast, "Colour: contrast", 1)
        self.saturation = _amount(saturation, "Colour: saturation", 1)

    def apply(self, pictures: np.ndarray, draws: Draws) -> np.ndarray:
        amounts = np.array([[self.brightness], [self.contrast], [self.saturation]])
        factors = (1 + draws.uniform(3, -1, 1) * amounts).astype(np.float32)
        result = np.empty_like(pictures)
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        coloured = pictures.shape[1] == 3
        for picture, target, bright, contrast, saturation in zip(pictures, result, *factors):
            values = picture.astype(np.float32, copy=picture.dtype == np.float32)
            grey = np.tensordot(weights, values, 1) if coloured else values.mean(axis=0)
            # All three together are linear in the value, the grey of the pixel and the mean grey of the picture.
            values *= bright * contrast * (saturation if coloured else 1)
            if coloured and self.saturation:
                values += (bright * contrast * (1 - saturation)) * grey
            if self.contrast:
                values += bright * (1 - contrast) * grey.mean()
            if picture.dtype == np.uint8:
                np.rint(values, out=values)
                np.clip(values, 0, 255, out=values)
            target[...] = values
        return result


class Cutout(Augmentation):
    """Replace a square at a random position by a constant.

    Parameters
    ----------
    size : float
        The side of the square, as a fraction of the shorter side of the picture. The centre lies anywhere in the
        picture, so that part of the square may lie outside.
    probability : float
        The probability of changing a picture.
    value : float, sequence of float or None
        The constant, for all channels or for each; None takes the mean of each channel of the picture.

    References
    ----------
    .. [1] Terrance DeVries and Graham W. Taylor (2017): Improved regularization of convolutional neural networks with
           cutout. arXiv:1708.04552.
    """

    @names_arguments
    def __init__(self, size: float = 0.3, probability: float = 1.0, value: float | Sequence[float] | None = None):
        self.size = _amount(size, "Cutout: size", 1)
        self.probability = _probability(probability, "Cutout: probability")
        self.value = value

    def apply(self, pictures: np.ndarray, draws: Draws) -> np.ndarray:
        height, width = pictures.shape[2:]
        half = self.size * min(height, width) / 2
        chosen, rows, columns = draws.uniform(3)
        result = pictures.copy()
        for picture, choice, row, column in zip(result, chosen, rows * height, columns * width):
            if choice >= self.probability:
                continue
            top, bottom = (int(np.clip(round(row + side), 0, height)) for side in (-half, half))
            left, right = (int(np.clip(round(column + side), 0, width)) for side in (-half, half))
            value = picture.mean(axis=(1, 2)) if self.value is None else np.asarray(self.value, float)
            picture[:, top:bottom, left:right] = np.reshape(value, (-1, 1, 1))
        return result


def apply_all(augmentations: Sequence[Augmentation], pictures: np.ndarray, draws: Sequence[Draws]) -> np.ndarray:
    """Apply augmentations one after another; consecutive geometric ones are combined to one interpolation.

    Parameters
    ----------
    augmentations : sequence of Augmentation
        The augmentations, the first one first.
    pictures : numpy.ndarray
        ``(n, channels, height, width)``.
    draws : sequence of Draws
        The random numbers of each.

    Returns
    -------
    numpy.ndarray
    """
    waiting: np.ndarray | None = None
    edge: Any = None
    for augmentation, numbers in zip(augmentations, draws):
        if isinstance(augmentation, Geometric) and type(augmentation).apply is Geometric.apply:
            own = augmentation.matrices(numbers, *pictures.shape[2:])
            # A flip shows nothing beyond the edges, so that it fits any neighbour.
            if waiting is not None and None not in (edge, augmentation.edge) and edge != augmentation.edge:
                pictures, waiting = _warped(pictures, waiting, edge), None
            waiting = own if waiting is None else _composed(waiting, own)
            edge = augmentation.edge if augmentation.edge is not None else edge
            continue
        if waiting is not None:
            pictures, waiting, edge = _warped(pictures, waiting, edge), None, None
        pictures = augmentation.apply(pictures, numbers)
    return pictures if waiting is None else _warped(pictures, waiting, edge)


def _warped(pictures: np.ndarray, maps: np.ndarray, edge: Any) -> np.ndarray:
    return warp(pictures, maps, "reflect" if edge is None else edge)


def _composed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The maps of results of `second`, applied to results of `first`, to the pictures that `first` got."""
    result = np.empty_like(first)
    result[:, :, :2] = first[:, :, :2] @ second[:, :, :2]
    result[:, :, 2] = (first[:, :, :2] @ second[:, :, 2:])[:, :, 0] + first[:, :, 2]
    return result
