"""Augmentations that mix pictures and their targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..naming import names_arguments
from .draws import Draws

__all__ = ["CutMix", "Mix", "Mixup", "one_hot_targets"]


class Mix:
    """Base class. A subclass defines ``weights(pictures, draws)`` or overrides :meth:`apply`.

    Mixing is applied to the preprocessed inputs of a batch, after all other augmentations, and to the targets.
    """

    def apply(self, pictures: np.ndarray, targets: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """Return mixed pictures and targets, both float."""
        raise NotImplementedError(f"{type(self).__name__} must define apply(self, pictures, targets, draws)")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


def _positive(alpha: float, name: str) -> float:
    if not alpha > 0:
        raise ValueError(f"{name}: alpha={alpha!r}: expected a number above 0")
    return float(alpha)


def _blend(values: np.ndarray, partners: np.ndarray, share: np.ndarray) -> np.ndarray:
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float32)
    share = share.astype(dtype).reshape(-1, *[1] * (values.ndim - 1))
    return values * share + values[partners].astype(dtype, copy=False) * (1 - share)


class Mixup(Mix):
    r"""Replace each picture and its target by a weighted mean with another picture of the batch.

    .. math:: x' = \lambda x_i + (1 - \lambda) x_j, \quad y' = \lambda y_i + (1 - \lambda) y_j

    Parameters
    ----------
    alpha : float
        The weights :math:`\lambda` have the distribution Beta(alpha, alpha): small values mix little.

    References
    ----------
    .. [1] Hongyi Zhang, Moustapha Cisse, Yann Dauphin and David Lopez-Paz (2018): mixup: Beyond empirical risk
           minimization. ICLR.
    """

    @names_arguments
    def __init__(self, alpha: float = 0.2):
        self.alpha = _positive(alpha, "Mixup")

    def apply(self, pictures: np.ndarray, targets: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        generator = draws.generator()
        partners = generator.permutation(len(pictures))
        share = generator.beta(self.alpha, self.alpha, len(pictures))
        return _blend(pictures, partners, share), _blend(targets, partners, share)


class CutMix(Mix):
    """Replace a rectangle of each picture by that of another picture, and the target by the mean weighted by area.

    Parameters
    ----------
    alpha : float
        The fraction of the picture that is kept has the distribution Beta(alpha, alpha).

    References
    ----------
    .. [1] Sangdoo Yun et al. (2019): CutMix: Regularization strategy to train strong classifiers with localizable
           features. ICCV.
    """

    @names_arguments
    def __init__(self, alpha: float = 1.0):
        self.alpha = _positive(alpha, "CutMix")

    def apply(self, pictures: np.ndarray, targets: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        generator = draws.generator()
        count, _, height, width = pictures.shape
        partners = generator.permutation(count)
        side = np.sqrt(1 - generator.beta(self.alpha, self.alpha, count))
        centre = generator.uniform(size=(2, count)) * [[height], [width]]
        reach = side * [[height / 2], [width / 2]]
        limits = np.array([[height], [width]])
        low, high = (np.clip(np.rint(edge), 0, limits).astype(int) for edge in (centre - reach, centre + reach))
        result = pictures.copy()
        for k, partner in enumerate(partners):
            window = (slice(None), slice(low[0, k], high[0, k]), slice(low[1, k], high[1, k]))
            result[k][window] = pictures[partner][window]
        kept = 1 - np.prod(high - low, axis=0) / (height * width)
        return result, _blend(targets, partners, kept)


def one_hot_targets(targets: np.ndarray, classes: int) -> np.ndarray:
    """Return ``(n, classes)`` float32 rows with a 1 at each class label.

    Raises
    ------
    ValueError
        If a label is not from 0 to ``classes - 1``.
    """
    if targets.size and not 0 <= targets.min() <= targets.max() < classes:
        raise ValueError(f"labels from {targets.min()} to {targets.max()}: expected 0 to {classes - 1}")
    result = np.zeros((len(targets), classes), np.float32)
    result[np.arange(len(targets)), targets] = 1
    return result


def mixes(augmentation: Any) -> bool:
    """Whether an augmentation changes targets, too."""
    return isinstance(augmentation, Mix)
