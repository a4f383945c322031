"""An order of units in which each follows those that it depends on, kept up to date while units are merged."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence

from symc.compiler.fusion.groups import Unit

__all__ = ["UnitOrder"]

CLOSE = 2.0**-30
"""Positions nearer than this to each other are numbered anew."""


class UnitOrder:
    """Positions of units: a unit's position is larger than those of all units that it depends on."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._position = {id(unit): float(k) for k, unit in enumerate(units)}
        self._taken = [float(k) for k in range(len(units))]

    def __getitem__(self, unit: Unit) -> float:
        return self._position[id(unit)]

    def merged(self, source: Unit, target: Unit, between: Iterable[Unit]) -> None:
        """Move ``target``, which has absorbed ``source``, to a place after ``between`` and before all that need either.

        ``between`` are the units behind ``source`` on which ``target`` depends. None of them depends on ``source``.
        """
        low = self._position.pop(id(source))
        moved = [*sorted(between, key=self.__getitem__), target]
        at = bisect_right(self._taken, low)
        gap = (self._taken[at] if at < len(self._taken) else low + 1.0) - low
        for k, unit in enumerate(moved):
            position = low + gap * k / len(moved)
            self._position[id(unit)] = position
            if k:
                insort(self._taken, position)
        if gap / len(moved) < CLOSE:
            order = sorted(self._position, key=self._position.__getitem__)
            self._position = {key: float(k) for k, key in enumerate(order)}
            self._taken = [float(k) for k in range(len(order))]

    def absorbed(self, source: Unit) -> None:
        """Forget ``source``, which was absorbed by the only unit that needs it; that stays where it is."""
        del self._position[id(source)]
