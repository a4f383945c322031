"""Augmented copies of a data set, for features of a frozen base that are computed once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..naming import names_arguments
from .loader import Loader

__all__ = ["augmented_copies"]


@names_arguments
def augmented_copies(
    X: Any, y: Any = None, *, augment: Any, copies: int = 4, seed: int = 0, workers: int | None = None
) -> tuple[Any, np.ndarray]:
    """Return a data set followed by augmented copies of it.

    Training on copies that are made once lets a Trainer compute the features of a frozen base once; a :class:`Loader`
    augments anew in each epoch.

    Parameters
    ----------
    X : numpy.ndarray or PictureSet
        ``(n, channels, height, width)`` pictures. A :class:`PictureSet` provides the targets, too.
    y : array_like, optional
        ``(n, ...)`` targets.
    augment : sequence of Augmentation
        See :class:`Loader`; augmentations that mix pictures are not possible.
    copies : int
        The number of augmented copies.
    seed : int
        The seed. Copy k is what a Loader with this seed yields in epoch k.
    workers : int, optional
        The number of threads, by default one for each core.

    Returns
    -------
    X, y : numpy.ndarray
        ``((copies + 1) * n, ...)``: the data themselves, then the copies.

    Raises
    ------
    ValueError
        If `copies` is negative, targets are missing, or `augment` mixes pictures.
    """
    if isinstance(copies, bool) or int(copies) != copies or copies < 0:
        raise ValueError(f"augmented_copies: copies={copies!r}: expected 0, 1, ...")
    loader = Loader(X, y, augment=augment, batch_size=64, shuffle=False, seed=seed, workers=workers)
    if loader.y is None or not isinstance(loader.y, np.ndarray):
        raise ValueError("augmented_copies: expected one array of targets")
    if loader.mixing:
        raise ValueError(f"augmented_copies: {loader.mixing[0]} mixes pictures of a batch: use a Loader")
    parts = [np.asarray(loader.X), *(batch[0] for _ in range(copies) for batch in loader)]
    return np.concatenate(parts), np.tile(loader.y, (copies + 1, *[1] * (loader.y.ndim - 1)))
