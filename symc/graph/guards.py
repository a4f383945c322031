"""Equalities between dims that a graph relies on.

``infer`` calls ``require_equal`` for every pair of dims that must agree. What can be decided is decided at once, at the
user's line; what only the call can tell is handed to the collector, if one listens: ``symc.function`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

from symc.errors import ShapeError, SourceLocation, blamed, blaming, located
from symc.graph import dims

__all__ = ["Guard", "collecting", "require_equal", "state_guard"]


class Guard(NamedTuple):
    """``left == right``, else ``text()``; ``location`` is the user's line that built the op."""

    left: dims.Dim
    right: dims.Dim
    message: Callable[[], str]
    location: SourceLocation | None = None

    def text(self) -> str:
        """The message, pointing to the op's own line."""
        with blaming(self.location):
            return self.message()


_collector: ContextVar[list[Guard] | None] = ContextVar("collector", default=None)


@contextmanager
def collecting() -> Iterator[list[Guard]]:
    """Collect the undecided equalities of every ``infer`` run inside the block."""
    found: list[Guard] = []
    token = _collector.set(found)
    try:
        yield found
    finally:
        _collector.reset(token)


def state_guard(guard: Guard) -> None:
    """Hand a guard to whoever collects them."""
    found = _collector.get()
    if found is not None:
        found.append(guard)


def require_equal(
    left: dims.Dim,
    right: dims.Dim,
    message: str | Callable[[], str],
    operands: Sequence[Any] = (),
    repair: str | None = None,
) -> dims.Dim:
    """The common value of two dims that must be equal: the known one of them if either is.

    Parameters
    ----------
    left, right : int or symbolic expression
    message : str or callable
        What is wrong where they differ; with ``operands`` and ``repair`` it becomes the text of the error. Where
        putting it into words costs something, a callable without arguments that gives the whole text.
    operands : sequence of Variable, optional
    repair : str, optional

    Raises
    ------
    ShapeError
        When they are known to differ.
    """
    verdict = dims.equal(left, right)
    if verdict is not True:
        tell = message if callable(message) else partial(located, message, operands, repair)
        if verdict is False:
            raise ShapeError(tell())
        state_guard(Guard(left, right, tell, blamed()))
    return right if type(right) is int else left
