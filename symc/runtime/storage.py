"""Where the value of a shared variable lies, and what functions must know of where their arrays lie."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

__all__ = ["HOST", "Remote", "Space", "Storage"]


class Remote(Protocol):
    """An array in a device's memory."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def download(self) -> np.ndarray:
        """The elements, as a new NumPy array."""

    def copy(self) -> Remote:
        """The same elements in memory of their own, on the device."""


class Space(Protocol):
    """The memory in which a back end's code finds its arrays."""

    def given(self, value: Any) -> Any:
        """An argument of a call that lies in this memory already, as an array of it; None for any other value."""

    def of(self, storage: Storage) -> Any:
        """The value of a shared variable, brought here if need be."""

    def empty(self, shape: Sequence[int], dtype: str) -> Any:
        """Room for a result."""

    def keep(self, storage: Storage, array: Any) -> None:
        """Make ``array``, which lies here, the shared variable's value."""

    def changed(self, storage: Storage) -> None:
        """Take note that the value lying here was overwritten in place."""

    def part(self, array: Any, shape: Sequence[int]) -> Any:
        """The first elements of a flat array, as an array of this shape with no more memory than it needs."""

    def result(self, array: Any, borrow: bool) -> Any:
        """What the caller gets for a result that lies here; with ``borrow`` it may stay where it is."""


class Storage:
    """The value of a shared variable; clones of the variable share one.

    It lies in the host's memory, on a device, or in both alike, and moves when a function of the other side asks for
    it. ``version`` grows with every ``set_value``, so that whoever caches something derived from the value can tell.
    Functions that hold the array's address ask to be told when another array takes its place: ``watch``.
    """

    __slots__ = ("_array", "_remote", "_watchers", "turn", "version")

    def __init__(self, array: np.ndarray) -> None:
        self._array: np.ndarray | None = array
        self._remote: Any = None
        self._watchers: list[weakref.ref[Any]] = []
        self.version = 0
        self.turn = np.zeros(1, "int64")  # see symc.runtime.turns

    @property
    def shape(self) -> tuple[int, ...]:
        """The value's shape, wherever it lies."""
        return self._remote.shape if self._array is None else self._array.shape

    @property
    def array(self) -> np.ndarray:
        """The value in the host's memory: the array itself, not a copy."""
        if self._array is None:
            self._array = self._remote.download()
        return self._array

    @array.setter
    def array(self, array: np.ndarray) -> None:
        self._array = array
        self._remote = None
        self._tell()

    @property
    def remote(self) -> Any:
        """The value on a device, or None if it does not lie there."""
        return self._remote

    def place(self, remote: Remote, only: bool) -> None:
        """The value lies on a device now; ``only`` there, if the host's is an old one."""
        self._remote = remote
        if only:
            self._array = None
        self._tell()

    def recall(self) -> None:
        """The value was overwritten in the host's memory: a device's is an old one."""
        if self._remote is not None:
            self.array = self.array

    def watch(self, watcher: Any) -> None:
        """Call ``watcher.forget()`` whenever another array takes this one's place, for as long as ``watcher`` lives."""
        self._watchers = [r for r in self._watchers if r() is not None and r() is not watcher]
        self._watchers.append(weakref.ref(watcher))

    def _tell(self) -> None:
        for reference in self._watchers:
            watcher = reference()
            if watcher is not None:
                watcher.forget()

    def __getstate__(self) -> tuple[np.ndarray, int]:
        return self.array, self.version

    def __setstate__(self, state: tuple[np.ndarray, int]) -> None:
        self.__init__(state[0])  # type: ignore[misc]
        self.version = state[1]


class _Host:
    """The host's memory: arrays are NumPy's."""

    def given(self, value: Any) -> Any:
        return None

    def of(self, storage: Storage) -> np.ndarray:
        return storage.array

    def empty(self, shape: Sequence[int], dtype: str) -> np.ndarray:
        return np.empty(shape, dtype)

    def keep(self, storage: Storage, array: np.ndarray) -> None:
        storage.array = array

    def changed(self, storage: Storage) -> None:
        storage.recall()

    def part(self, array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        count = math.prod(shape)
        found = array[:count].reshape(shape)
        return found.copy() if count < array.size else found

    def result(self, array: np.ndarray, borrow: bool) -> np.ndarray:
        return array


HOST: Space = _Host()
