"""The result of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Scores"]


class Scores(tuple):
    """The mean loss and the metrics, by position (the loss first) and by name.

    Examples
    --------
    >>> scores = Scores({"loss": 0.25, "error": 0.1})
    >>> loss, error = scores
    >>> scores["error"], scores.loss
    (0.1, 0.25)
    >>> scores
    Scores(loss=0.25, error=0.1)
    """

    names: tuple[str, ...]

    def __new__(cls, values: Mapping[str, float]) -> Scores:
        made = super().__new__(cls, values.values())
        made.names = tuple(values)
        return made

    def __getnewargs__(self) -> tuple:
        return (self.as_dict(),)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key not in self.names:
            raise KeyError(f"no quantity {key!r}: there are {', '.join(self.names)}")
        return super().__getitem__(self.names.index(key))

    def __getattr__(self, name: str) -> float:
        if name != "names" and name in self.names:
            return self[name]
        raise AttributeError(f"Scores has no {name!r}")

    def keys(self) -> Iterator[str]:
        """The names of the quantities."""
        return iter(self.names)

    def as_dict(self) -> dict[str, float]:
        """Return a dict from names to values."""
        return dict(zip(self.names, self))

    def __repr__(self) -> str:
        return f"Scores({', '.join(f'{name}={value:.6g}' for name, value in self.as_dict().items())})"
