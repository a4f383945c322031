"""The exchange of arrays after a fast call: shared variables take the arrays with their next values."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.runtime.storage import Storage, set_array

__all__ = ["Exchange"]

HELD = 2
"""The number of references to an array that nobody else holds, while it is counted."""


class Exchange:
    """Gives shared variables the arrays that a call has written, and keeps their old arrays for the next call.

    Parameters
    ----------
    storages : sequence of Storage
    arrays : sequence of numpy.ndarray
        Memory for the next values, which nobody else uses.
    watcher : object
        The function's own fast path, which knows both arrays of each storage; all others that hold the address of a
        replaced array are notified.
    """

    def __init__(self, storages: Sequence[Storage], arrays: Sequence[np.ndarray], watcher: Any) -> None:
        self.storages = list(storages)
        self.spare = list(arrays)
        self.watcher = watcher

    def __call__(self) -> bool:
        """Exchange the arrays; returns whether the old ones may be overwritten: nobody else holds them.

        The functions that hold old addresses are notified first. All storages change at once: a signal handler cannot
        run in between.
        """
        for storage in self.storages:
            storage.notify(self.watcher)
        old = [storage.array for storage in self.storages]
        deque(map(set_array, self.storages, self.spare), maxlen=0)
        self.spare = old
        del old
        return all(sys.getrefcount(self.spare[k]) <= HELD for k in range(len(self.spare)))
