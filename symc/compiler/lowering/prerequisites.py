"""What can be done once other things are known: symbols that are bound, equalities that are checked."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from heapq import heappop, heappush
from typing import Generic, TypeVar

__all__ = ["Prerequisites"]

T = TypeVar("T")


class Prerequisites(Generic[T]):
    """Items, each of which waits for several things; those that wait no longer are given out in their order.

    The work is proportional to what the items wait for, however often it is asked which of them are ready.

    Parameters
    ----------
    items : iterable of (item, iterable)
        Items, with what they wait for.
    """

    def __init__(self, items: Iterable[tuple[T, Iterable[Hashable]]]) -> None:
        self._items: list[T] = []
        self._missing: list[int] = []
        self._waiting: dict[Hashable, list[int]] = {}
        self._ready: list[int] = []
        for k, (item, needs) in enumerate(items):
            wanted = set(needs)
            self._items.append(item)
            self._missing.append(len(wanted))
            for key in wanted:
                self._waiting.setdefault(key, []).append(k)
            if not wanted:
                self._ready.append(k)
        self._left = len(self._items)

    def __bool__(self) -> bool:
        """Whether there are items that have not been given out."""
        return self._left > 0

    def met(self, keys: Iterable[Hashable]) -> None:
        """Note that these things are known."""
        for key in keys:
            for k in self._waiting.pop(key, ()):
                self._missing[k] -= 1
                if not self._missing[k]:
                    heappush(self._ready, k)

    def next(self) -> T | None:
        """The first item that waits for nothing more, once; None if there is none."""
        if not self._ready:
            return None
        self._left -= 1
        return self._items[heappop(self._ready)]
