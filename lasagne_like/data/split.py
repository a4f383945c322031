"""Random splits of data into training and test sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..naming import names_arguments

__all__ = ["split_indices", "train_test_split"]


def split_indices(
    count: int, fraction: float | int = 0.2, seed: int = 0, labels: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split the positions ``0, ..., count - 1`` at random.

    Parameters
    ----------
    count : int
        The number of items.
    fraction : float or int
        The size of the second part: a fraction between 0 and 1, or a number of items.
    seed : int
        The seed of the choice.
    labels : array_like, optional
        ``(count,)`` class labels, of which both parts get the same proportions (as far as whole items allow).

    Returns
    -------
    first, second : numpy.ndarray
        Increasing positions; each position is in one of them.

    Raises
    ------
    ValueError
        If a part would be empty; or with `labels`, if a class has a single item, or the second part is too small for
        the number of classes.
    """
    whole = isinstance(fraction, (int, np.integer)) and not isinstance(fraction, bool)
    size = int(fraction) if whole else int(round(count * fraction))
    if not 0 < fraction or not (whole or fraction < 1) or not 0 < size < count:
        raise ValueError(
            f"a part of {fraction!r} of {count} items: expected a fraction between 0 and 1, or a number from 1 to "
            f"{count - 1}, that leaves no part empty"
        )
    rng = np.random.default_rng(seed)
    if labels is None:
        chosen = rng.permutation(count)[:size]
    else:
        chosen = _stratified(rng, np.asarray(labels), size, count)
    taken = np.zeros(count, bool)
    taken[chosen] = True
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def _stratified(rng: Any, labels: np.ndarray, size: int, count: int) -> np.ndarray:
    if labels.shape != (count,):
        raise ValueError(f"stratify: expected one label per item, shape ({count},), got shape {labels.shape}")
    kinds, codes = np.unique(labels, return_inverse=True)
    counts = np.bincount(codes)
    if counts.min() < 2:
        raise ValueError(
            f"class {kinds[counts.argmin()]!r} has a single item, which cannot be in both parts: pass stratify=None, "
            "or add items"
        )
    if min(size, count - size) < len(kinds):
        raise ValueError(f"a part of {min(size, count - size)} items cannot hold each of {len(kinds)} classes")
    # The largest remainders get the items that rounding down leaves; each class keeps an item in both parts.
    exact = counts * (size / count)
    quota = np.clip(np.floor(exact).astype(int), 1, counts - 1)
    while quota.sum() != size:
        step = 1 if quota.sum() < size else -1
        possible = (quota < counts - 1) if step > 0 else (quota > 1)
        quota[np.argmax(np.where(possible, (exact - quota) * step, -np.inf))] += step
    return np.concatenate([rng.permutation(np.flatnonzero(codes == k))[: quota[k]] for k in range(len(kinds))])


@names_arguments
def train_test_split(*arrays: Any, test: float | int = 0.2, seed: int = 0, stratify: Any = None) -> list:
    """Split arrays of the same length at random into training and test arrays.

    Parameters
    ----------
    *arrays : array_like
        Arrays, lists, or anything that an integer array can index (a memory map, :class:`LazyPictures`).
    test : float or int
        The size of the test arrays: a fraction, or a number of items.
    seed : int
        The seed of the choice.
    stratify : array_like, optional
        ``(n,)`` class labels, of which both parts get the same proportions.

    Returns
    -------
    list
        ``[X_train, X_test, y_train, y_test, ...]``, each in the original order.

    Raises
    ------
    ValueError
        If the lengths differ, or a part would be empty (see :func:`split_indices`).

    Examples
    --------
    >>> import numpy as np
    >>> X_train, X_test, y_train, y_test = train_test_split(np.zeros((10, 3)), np.arange(10) % 2, test=0.2)
    >>> X_train.shape, y_test.shape
    ((8, 3), (2,))
    """
    if not arrays:
        raise ValueError("train_test_split: expected at least one array")
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"train_test_split: the arrays have different lengths {lengths}")
    first, second = split_indices(lengths[0], test, seed, stratify)
    return [_taken(array, chosen) for array in arrays for chosen in (first, second)]


def _taken(array: Any, chosen: np.ndarray) -> Any:
    if isinstance(array, (list, tuple)):
        return type(array)(array[k] for k in chosen)
    if hasattr(array, "lazy"):
        return array.lazy(chosen)
    return array[chosen] if hasattr(array, "__getitem__") and hasattr(array, "shape") else np.asarray(array)[chosen]
