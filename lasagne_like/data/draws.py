"""Random numbers that are functions of (seed, epoch, item), for augmentation in any number of threads."""

from __future__ import annotations

import numpy as np

__all__ = ["Draws"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64, a bijection of 64-bit integers whose output bits depend on all input bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Draws:
    """The random numbers of one batch.

    Parameters
    ----------
    seed, epoch : int
        The seed and the epoch.
    items : numpy.ndarray
        ``(n,)`` positions of the items in the data set.
    stream : int
        Separates the numbers of different augmentations of one batch.

    Notes
    -----
    The numbers of an item depend on `seed`, `epoch`, `stream` and the position of the item only: not on the batch that
    contains the item, and not on earlier draws.
    """

    def __init__(self, seed: int, epoch: int, items: np.ndarray, stream: int = 0):
        self.seed, self.epoch, self.items, self.stream = seed, epoch, np.asarray(items), stream

    def __len__(self) -> int:
        return len(self.items)

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Return ``(count, n)`` numbers that are uniform on ``[low, high)``, float64."""
        with np.errstate(over="ignore"):
            key = np.zeros(1, np.uint64)
            for word in (self.seed, self.epoch, self.stream):
                key = _mixed(key * _GOLDEN + np.uint64(word & 0xFFFFFFFFFFFFFFFF) + _GOLDEN)
            items = _mixed(self.items.astype(np.uint64) + key)
            rows = np.arange(1, count + 1, dtype=np.uint64)[:, None] * _GOLDEN
            bits = _mixed(_mixed(items[None] + rows) + key)
        unit = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + (high - low) * unit

    def generator(self) -> np.random.Generator:
        """Return a generator seeded by seed, epoch, stream and the first item: one per batch."""
        first = int(self.items[0]) if len(self.items) else 0
        return np.random.default_rng([self.seed & 0xFFFFFFFFFFFFFFFF, self.epoch, self.stream, first])
