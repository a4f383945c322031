"""Standardisation, whitening, and statistics of channels, in one pass over data of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import symc

__all__ = ["ChannelStatistics", "Standardiser", "Whitening", "channel_statistics", "standardise", "whiten"]

_BLOCK = 64 << 20  # bytes of data that are converted at a time


class _Moments:
    """Counts, means and sums of squared deviations, merged block by block (Chan et al. 1983)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(()), np.zeros(())

    def add(self, block: np.ndarray) -> None:
        """Add a block ``(n, columns)`` of float64 values."""
        if not len(block):
            return
        mean = block.mean(axis=0)
        squares = np.square(block - mean).sum(axis=0)
        total = self.count + len(block)
        delta = mean - self.mean
        self.squares = self.squares + squares + np.square(delta) * (self.count * len(block) / total)
        self.mean = self.mean + delta * (len(block) / total)
        self.count = total

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(self.squares / max(self.count, 1))


def _blocks(X: Any) -> Iterator[np.ndarray]:
    """Consecutive parts of an array of any size (a memory map, lazy pictures), or the inputs of a batch source."""
    if hasattr(X, "shape") and hasattr(X, "__getitem__") and not hasattr(X, "iloc"):
        item = max(1, int(np.prod(X.shape[1:])) * 8)
        step = max(1, _BLOCK // item)
        for start in range(0, len(X), step):
            yield np.asarray(X[start : start + step])
        return
    if isinstance(X, (list, tuple)) or hasattr(X, "iloc"):
        yield np.asarray(X)
        return
    for batch in X:
        yield np.asarray(batch[0] if isinstance(batch, tuple) else batch)


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and standard deviation of each channel. It unpacks to ``mean, std``.

    Attributes
    ----------
    mean, std : tuple of float
        One number per channel, in the units of the data.
    count : int
        The number of values per channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    count: int

    def __iter__(self) -> Iterator[tuple[float, ...]]:
        return iter((self.mean, self.std))


def channel_statistics(X: Any) -> ChannelStatistics:
    """Compute mean and standard deviation of each channel in one pass.

    Parameters
    ----------
    X : array, LazyPictures, Loader or iterable of batches
        ``(n, channels, ...)``: pictures, or vectors, whose columns are channels. Of the batches of a
        :class:`Loader`, the inputs are used, as augmented and preprocessed.

    Returns
    -------
    ChannelStatistics

    Raises
    ------
    ValueError
        If there are no values, fewer than two axes, or values are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> channel_statistics(np.array([[1.0, 10.0], [3.0, 10.0]]))
    ChannelStatistics(mean=(2.0, 10.0), std=(1.0, 0.0), count=2)
    """
    moments = _Moments()
    for block in _blocks(X):
        if block.ndim < 2:
            raise ValueError(f"channel_statistics: expected data of shape (n, channels, ...), got {block.shape}")
        moments.add(np.moveaxis(block, 1, -1).reshape(-1, block.shape[1]).astype(np.float64))
    if not moments.count:
        raise ValueError("channel_statistics: there are no values")
    _check_finite(moments.mean, "channel_statistics: the values of channel")
    return ChannelStatistics(tuple(map(float, moments.mean)), tuple(map(float, moments.std)), moments.count)


def _check_finite(values: np.ndarray, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(np.ravel(values)))
    if bad.size:
        raise ValueError(f"{what} {', '.join(map(str, bad[:5]))} are not all finite: replace NaN and infinity first")


@dataclass(frozen=True, eq=False)
class Standardiser:
    r"""Subtract a mean and divide by a standard deviation, and the inverse.

    Attributes
    ----------
    mean, std : numpy.ndarray
        Arrays that broadcast with the items. Where the standard deviation of the data is zero, `std` is 1.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, X: Any, per: str = "feature") -> Standardiser:
        """Take mean and standard deviation from data.

        Parameters
        ----------
        X : array_like, LazyPictures, Loader or iterable of batches
            ``(n, ...)`` items; numbers ``(n,)`` are allowed.
        per : {'feature', 'channel', 'all'}
            One mean and deviation for each position in an item; for each channel (axis 1); or for all values.

        Returns
        -------
        Standardiser

        Raises
        ------
        ValueError
            If `per` is unknown, or values are missing or not finite.
        """
        if per not in ("feature", "channel", "all"):
            raise ValueError(f"standardise: per={per!r}: expected 'feature', 'channel' or 'all'")
        moments, shape = _Moments(), ()
        for block in _blocks(X):
            if per == "channel" and block.ndim < 2:
                raise ValueError(
                    f"standardise: per='channel' requires data of shape (n, channels, ...), got {block.shape}"
                )
            kept = {"feature": block.shape[1:], "channel": block.shape[1:2], "all": ()}[per]
            shape = (*kept, *([1] * (block.ndim - 2) if per == "channel" else []))
            columns = np.moveaxis(block, 1, -1) if per == "channel" else block
            moments.add(columns.reshape(-1, int(np.prod(kept))).astype(np.float64))
        if not moments.count:
            raise ValueError("standardise: there are no values")
        _check_finite(moments.mean, "standardise: the values of column")
        std = moments.std
        # A constant column has a deviation of about 1e-16 of its size.
        flat = std <= 1e-12 * np.abs(moments.mean)
        return cls(moments.mean.reshape(shape), np.where(flat, 1.0, std).reshape(shape))

    def __call__(self, X: Any) -> np.ndarray:
        """Return ``(X - mean) / std`` as floats of dtype ``symc.config.floatX``."""
        dtype = np.result_type(symc.config.floatX)
        X = np.asarray(X)
        wide = X.astype(np.float64 if X.dtype.itemsize > 2 else np.float32)
        return ((wide - self.mean) / self.std).astype(dtype)

    transform = __call__

    def inverse(self, Y: Any) -> np.ndarray:
        """Return ``Y * std + mean``: predictions of standardised targets in the units of the targets."""
        return np.asarray(np.asarray(Y, np.float64) * self.std + self.mean, symc.config.floatX)


def standardise(X: Any, *others: Any, per: str = "feature") -> tuple:
    """Subtract the mean of the data and divide by its standard deviation.

    Parameters
    ----------
    X : array_like
        ``(n, ...)`` training data: inputs, or targets of a regression.
    *others : array_like
        Further data (validation, test), transformed by mean and deviation of `X`.
    per : {'feature', 'channel', 'all'}
        See :meth:`Standardiser.fit`.

    Returns
    -------
    tuple
        The transformed arrays, and the :class:`Standardiser`, whose ``inverse`` leads back.

    Examples
    --------
    >>> import numpy as np
    >>> y_train, y_test, scaler = standardise(np.array([1.0, 3.0]), np.array([5.0]))
    >>> y_train, y_test, scaler.inverse(y_test)
    (array([-1.,  1.], dtype=float32), array([3.], dtype=float32), array([5.], dtype=float32))
    """
    scaler = Standardiser.fit(X, per)
    return (*(scaler(each) for each in (X, *others)), scaler)


@dataclass(frozen=True, eq=False)
class Whitening:
    r"""A linear map after which the components of the training data are uncorrelated with variance 1, and its inverse.

    .. math:: y = D^{-1/2} U^T (x - \mu), \qquad y_{ZCA} = U D^{-1/2} U^T (x - \mu)

    with the covariance matrix :math:`U D U^T` of the data.

    Attributes
    ----------
    mean : numpy.ndarray
        ``(features,)``.
    components : numpy.ndarray
        ``(k, features)``: the orthonormal principal directions, by decreasing variance.
    variance : numpy.ndarray
        ``(k,)``: the variances of the data along them.
    explained : numpy.ndarray
        ``(k,)``: their fractions of the total variance.
    epsilon : float
        Added to the variances, relative to the largest, so that directions of pure noise are not magnified.
    zca : bool
        Whether results are turned back to the original axes.
    shape : tuple of int
        The shape of an item.
    """

    mean: np.ndarray
    components: np.ndarray
    variance: np.ndarray
    explained: np.ndarray
    epsilon: float
    zca: bool
    shape: tuple[int, ...]

    @classmethod
    def fit(cls, X: Any, components: int | float | None = None, zca: bool = False, epsilon: float = 1e-6) -> Whitening:
        """Compute the principal directions of data, by a singular value decomposition.

        Parameters
        ----------
        X : array_like
            ``(n, ...)`` items, which are flattened to vectors.
        components : int or float, optional
            The number of directions, or the fraction of the variance that they must explain; by default all in which
            the data vary.
        zca : bool
            Turn results back to the original axes: whitened pictures remain pictures.
        epsilon : float
            See above.

        Returns
        -------
        Whitening

        Raises
        ------
        ValueError
            If there are fewer than two items, values are not finite, or `components` is out of range.
        """
        X = np.asarray(X)
        if X.ndim < 2 or len(X) < 2:
            raise ValueError(f"whiten: expected at least two items, (n, ...), got shape {X.shape}")
        flat = X.reshape(len(X), -1).astype(np.float64)
        mean = flat.mean(axis=0)
        _check_finite(mean, "whiten: the values of column")
        _, singular, directions = np.linalg.svd(flat - mean, full_matrices=False)
        variance = singular**2 / len(flat)
        total = variance.sum()
        if not total:
            raise ValueError("whiten: all items are equal")
        count = int((singular > singular[0] * max(flat.shape) * np.finfo(float).eps).sum())
        if isinstance(components, float):
            if not 0 < components <= 1:
                raise ValueError(f"whiten: components={components}: expected a fraction of the variance, above 0 to 1")
            count = min(count, int(np.searchsorted(variance.cumsum() / total, components - 1e-12)) + 1)
        elif components is not None:
            if not 1 <= components <= len(variance):
                raise ValueError(f"whiten: components={components}: expected 1 to {len(variance)}")
            count = min(count, components)
        # The sign of a direction is arbitrary: its largest entry is positive.
        signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
        kept = (directions * signs[:, None])[:count]
        return cls(mean, kept, variance[:count], variance[:count] / total, float(epsilon), bool(zca), X.shape[1:])

    def _scale(self) -> np.ndarray:
        return np.sqrt(self.variance + self.epsilon * self.variance[0])

    def __call__(self, X: Any) -> np.ndarray:
        """Return whitened items: ``(n, k)``, or of the original shape for ZCA."""
        X = np.asarray(X)
        if X.shape[1:] != self.shape:
            raise ValueError(f"Whitening: expected items of shape {self.shape}, got {X.shape[1:]}")
        result = (X.reshape(len(X), -1).astype(np.float64) - self.mean) @ self.components.T / self._scale()
        if self.zca:
            result = (result @ self.components).reshape(X.shape)
        return result.astype(symc.config.floatX)

    transform = __call__

    def inverse(self, Y: Any) -> np.ndarray:
        """Return the items of which `Y` are the whitened ones, as far as the components determine them."""
        Y = np.asarray(Y, np.float64).reshape(len(Y), -1)
        if self.zca:
            Y = Y @ self.components.T
        flat = (Y * self._scale()) @ self.components + self.mean
        return flat.reshape(len(Y), *self.shape).astype(symc.config.floatX)


def whiten(
    X: Any, *others: Any, components: int | float | None = None, zca: bool = False, epsilon: float = 1e-6
) -> tuple:
    """Project data on their principal directions and scale these to variance 1 (PCA whitening).

    Parameters
    ----------
    X : array_like
        ``(n, ...)`` training data.
    *others : array_like
        Further data, transformed by the same map.
    components, zca, epsilon
        See :meth:`Whitening.fit`.

    Returns
    -------
    tuple
        The transformed arrays, and the :class:`Whitening`, whose ``inverse`` leads back.
    """
    whitening = Whitening.fit(X, components, zca, epsilon)
    return (*(whitening(each) for each in (X, *others)), whitening)
