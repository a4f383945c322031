"""Storage of shared variables' values, and the memory spaces of functions' arrays."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from symc.runtime.turns import taken

__all__ = ["HOST", "Remote", "Space", "Storage", "set_array"]

COPIED = 1 << 12
"""The number of bytes up to which a new value is copied over the old one."""


class Remote(Protocol):
    """An array in device memory."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def download(self) -> np.ndarray:
        """Copy the elements to a new NumPy array."""

    def copy(self) -> Remote:
        """Copy the array to new memory on the device."""


class Space(Protocol):
    """The memory space of a back end's arrays."""

    def given(self, value: Any) -> Any:
        """Convert an argument that is already in this memory to an array of this space; None for any other value."""

    def of(self, storage: Storage) -> Any:
        """The value of a shared variable, copied to this memory if necessary."""

    def empty(self, shape: Sequence[int], dtype: str) -> Any:
        """Allocate memory for a result."""

    def keep(self, storage: Storage, array: Any) -> None:
        """Make ``array``, which is in this memory, the shared variable's value."""

    def changed(self, storage: Storage) -> None:
        """Record that the value in this memory was overwritten in place."""

    def part(self, array: Any, shape: Sequence[int]) -> Any:
        """Return the first elements of a flat array as an array of this shape, without excess memory."""

    def result(self, array: Any, borrow: bool) -> Any:
        """Convert a result in this memory to what the caller receives; with ``borrow`` it may stay in place."""


class Storage:
    """The storage of a shared variable's value; clones of the variable share it.

    The value is in host memory, on a device, or in both, and is copied when a function on the other side needs it.
    ``version`` increases with every ``set_value``, so that caches of derived data can be invalidated. Functions that
    hold the array's address register with ``watch`` to be notified when the array is replaced.

    ``writes`` holds one number that increases with every change: by ``set_value``, by updates, and by a caller to whom
    the array was lent, who may have written to it. While it is lent, changes are not counted: what is computed from the
    value is then computed again in every call. ``derived`` is for what back ends keep with the value.

    With ``compute`` and ``shape`` instead of an array, the value is ``compute()``, which is called when the value is
    first needed, and never if it is replaced before.
    """

    __slots__ = (
        "_array",
        "_compute",
        "_loans",
        "_remote",
        "_shape",
        "_watchers",
        "derived",
        "turn",
        "version",
        "writes",
    )

    def __init__(
        self,
        array: np.ndarray | None,
        borrowed: bool = False,
        compute: Callable[[], np.ndarray] | None = None,
        shape: tuple[int, ...] = (),
    ) -> None:
        self._array = array
        self._compute = compute
        self._shape = shape
        self._remote: Any = None
        self._watchers: list[weakref.ref[Any]] = []
        self.version = 0
        self.turn = np.zeros(3, "int64")  # see symc.runtime.turns
        self._loans = _Loans(self.turn)
        self._loans.borrowed = borrowed
        self.derived: dict[Any, Any] = {}
        self.writes: Any = memoryview(self.turn)[1:]  # type: ignore[arg-type]  # of numpy's stubs

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        if self._array is not None:
            return self._array.shape
        return self._shape if self._remote is None else self._remote.shape

    @property
    def array(self) -> np.ndarray:
        """The value in host memory: the array itself, not a copy."""
        if self._array is None:
            if self._remote is None and self._compute is not None:
                self._array = self._compute()
                self._compute = None
            else:
                self._array = self._remote.download()
        return self._array

    @array.setter
    def array(self, array: np.ndarray) -> None:
        self._array = array
        self._remote = self._compute = None
        self.notify()

    def read(self, borrow: bool, in_place: bool = False) -> Any:
        """The value, between calls that update it: a copy, or the array itself with ``borrow``.

        With ``in_place``, a value on a device is returned as the device's own array.
        """
        if not borrow:
            with taken([self.turn], []):
                return (self._remote if in_place and self._remote is not None else self.array).copy()
        with taken([], [self.turn]):  # a write, since the caller may write to it
            if in_place and self._remote is not None:
                self._loans.borrowed = True
                return self._remote
            return self._lend()

    @property
    def lent(self) -> bool:
        """Whether a caller may hold the array, and write to it at any time."""
        return bool(self.turn[2])

    def _lend(self) -> np.ndarray:
        """Return the array for a caller to keep; it counts as lent for as long as that or a view of it exists."""
        array = np.asarray(_Lent(self.array))
        self._loans.add(array)
        return array

    def write(self, array: np.ndarray, borrowed: bool = False) -> None:
        """Replace the value, between calls that use it; ``borrowed`` if the caller keeps the array."""
        with taken([], [self.turn]):
            if self._overwritable(array, borrowed):
                np.copyto(self._array, array)  # type: ignore[arg-type]
            else:
                self.array = array
                self._loans.borrowed = borrowed
            self.version += 1

    def _overwritable(self, array: np.ndarray, borrowed: bool) -> bool:
        """Whether a small array can be copied over the value, so that functions may keep the address."""
        own = self._array
        if own is None or self._remote is not None or borrowed or self.lent or array.nbytes > COPIED:
            return False
        return own.shape == array.shape and own.dtype == array.dtype and own.flags.c_contiguous and own.flags.writeable

    def clear(self, dtype: str) -> None:
        """Replace the value by zeros of its shape."""
        with taken([], [self.turn]):
            self.array = np.zeros(self.shape, dtype)
            self._loans.borrowed = False
            self.version += 1

    @property
    def remote(self) -> Any:
        """The value on a device, or None if it is not there."""
        return self._remote

    def place(self, remote: Remote, only: bool) -> None:
        """Record that the value is on a device; with ``only``, the value in host memory is outdated."""
        self._remote = remote
        if only:
            self._array = None
        self.notify()

    def recall(self) -> None:
        """Record that the value was overwritten in host memory: a copy on a device is outdated."""
        if self._remote is not None:
            self.array = self.array

    def watch(self, watcher: Any) -> None:
        """Call ``watcher.forget()`` whenever the array is replaced, for as long as ``watcher`` is alive."""
        self._watchers = [r for r in self._watchers if r() is not None and r() is not watcher]
        self._watchers.append(weakref.ref(watcher))

    def notify(self, but: Any = None) -> None:
        """Call ``watcher.forget()`` of all watchers ``but`` one."""
        for reference in self._watchers:
            watcher = reference()
            if watcher is not None and watcher is not but:
                watcher.forget()

    def __getstate__(self) -> tuple[np.ndarray, int]:
        return self.array, self.version

    def __setstate__(self, state: tuple[np.ndarray, int]) -> None:
        self.__init__(state[0])  # type: ignore[misc]
        self.version = state[1]


set_array: Callable[[Storage, np.ndarray], None] = Storage.__dict__["_array"].__set__
"""Replace the array in host memory without notifying watchers, in C code that signal handlers do not interrupt."""


class _Loans:
    """The arrays that callers hold, and may write to; their number is the third element of the storage's turn."""

    __slots__ = ("_arrays", "_borrowed", "_turn")

    def __init__(self, turn: np.ndarray) -> None:
        self._turn = turn
        self._arrays: dict[int, weakref.ref[np.ndarray]] = {}
        self._borrowed = False

    @property
    def borrowed(self) -> bool:
        """Whether a caller has the array for as long as it is the value."""
        return self._borrowed

    @borrowed.setter
    def borrowed(self, borrowed: bool) -> None:
        self._borrowed = borrowed
        self._count()

    def add(self, array: np.ndarray) -> None:
        """Count an array as lent for as long as it exists."""
        loan = weakref.ref(array, self._returned)
        self._arrays[id(loan)] = loan
        self._count()

    def _returned(self, loan: weakref.ref[np.ndarray]) -> None:
        self._arrays.pop(id(loan), None)
        self._count()

    def _count(self) -> None:
        self._turn[2] = len(self._arrays) + self._borrowed


class _Lent:
    """The memory of an array, as the base of a new array.

    Views of the new array refer to it, and not to the array itself, so that it exists for as long as they do.
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = array.__array_interface__


class _Host:
    """Host memory, with NumPy arrays."""

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
