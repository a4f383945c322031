"""Equalities between dims that a graph relies on.

``infer`` calls ``require_equal`` for every pair of dims that must agree. Decidable cases are checked at once, at the
user's line; cases known only at call time are passed to the active collector, if any: ``symc.function`` has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

from symc.errors import ShapeError, SourceLocation, blame, blamed, located
from symc.graph import dims

__all__ = ["Guard", "collecting", "errors_come_late", "report_late", "require_equal", "require_windows", "state_guard"]

_late = False


def report_late(late: bool) -> None:
    """Report at call time only what the values of shared variables may still change, and what a shape lacks.

    That also holds for windows larger than what they slide over. It is Theano's convention. Otherwise contradictions
    are errors as soon as they are seen.
    """
    global _late
    _late = late


def errors_come_late() -> bool:
    """Whether ``report_late`` is in force."""
    return _late


class Guard(NamedTuple):
    """A check of every call: ``left == right``; ``text()`` is the error message, ``location`` the line of the op.

    ``lazy`` marks what only a branch that may not be taken requires.
    """

    left: dims.Dim
    right: dims.Dim
    message: Callable[[], str]
    location: SourceLocation | None = None
    lazy: bool = False

    def text(self) -> str:
        """The message, with the source location of the op."""
        return blame(self.location, self.message)


_collector: ContextVar[list[Guard] | None] = ContextVar("collector", default=None)


@contextmanager
def collecting() -> Iterator[list[Guard]]:
    """Collect the undecided equalities of every ``infer`` called inside the block."""
    found: list[Guard] = []
    token = _collector.set(found)
    try:
        yield found
    finally:
        _collector.reset(token)


def state_guard(guard: Guard) -> None:
    """Pass a guard to the active collector."""
    found = _collector.get()
    if found is not None:
        found.append(guard)


def require_windows(count: dims.Dim, tell: Callable[[], str]) -> dims.Dim:
    """Require at least one window along an axis; return their number, 0 if the error comes at call time.

    Raises
    ------
    ShapeError
        If the number is known to be less, unless ``report_late`` is in force: the guard of the call fails then.
    """
    if _late and type(count) is int and count < 1:
        state_guard(Guard(0, 1, tell, blamed()))
        return 0
    require_equal(dims.minimum(count, 1), 1, tell)
    return count


def require_equal(
    left: dims.Dim,
    right: dims.Dim,
    message: str | Callable[[], str],
    operands: Sequence[Any] = (),
    repair: str | None = None,
) -> dims.Dim:
    """Require two dims to be equal; return their common value, the known one if either is known.

    Parameters
    ----------
    left, right : int or symbolic expression
    message : str or callable
        The problem if they differ; with ``operands`` and ``repair`` it becomes the text of the error. If the text is
        expensive to build, a callable without arguments that returns the whole text.
    operands : sequence of Variable, optional
    repair : str, optional

    Raises
    ------
    ShapeError
        If they are known to differ.
    """
    verdict = dims.equal(left, right)
    if verdict is not True:
        tell = message if callable(message) else partial(located, message, operands, repair)
        if verdict is False:
            raise ShapeError(tell())
        state_guard(Guard(left, right, tell, blamed()))
    return right if type(right) is int else left
