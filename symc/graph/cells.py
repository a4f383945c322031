"""The value of a variable or of an input as a list of one entry, as old programs read and set it."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["Cell"]


class Cell:
    """A place for one value: ``data``, or ``storage[0]``, which may be set."""

    data: Any

    @property
    def storage(self) -> Self:
        """Itself, as a list of one entry."""
        return self

    def __getitem__(self, number: int) -> Any:
        return [self.data][number]

    def __setitem__(self, number: int, value: Any) -> None:
        [None][number]  # an IndexError for any other number
        self.data = value

    def __len__(self) -> int:
        return 1
