"""``scan`` in its simplest forms: a function of every entry, and folds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symc.errors import located
from symc.graph import Variable
from symc.tensor.scan import scan

__all__ = ["foldl", "foldr", "map", "reduce"]


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    name: str | None = None,
) -> tuple[Any, dict[Any, Any]]:
    """Apply ``fn`` to every entry of the sequences: ``scan`` without states.

    Parameters
    ----------
    fn : callable
        ``fn(*entries, *non_sequences)`` returns a variable or a list.
    sequences : Variable or sequence of Variable
        Read along the first axis, together; equally long.
    non_sequences : Variable or sequence of Variable, optional
    go_backwards : bool
        Begin with the last entries.
    name : str, optional

    Returns
    -------
    outputs, updates
        As those of ``scan``: ``(n, ...)`` per result of ``fn``.
    """
    return scan(fn, sequences, None, non_sequences, None, go_backwards, name)


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    name: str | None = None,
) -> tuple[Any, dict[Any, Any]]:
    """The last states of a ``scan``.

    Parameters
    ----------
    fn : callable
        ``fn(*entries, *states, *non_sequences)`` returns the next states.
    sequences : Variable or sequence of Variable
        Read along the first axis. There must be at least one entry.
    outputs_info : Variable, number, or sequence of these
        The initial states.
    non_sequences : Variable or sequence of Variable, optional
    go_backwards : bool
        Begin with the last entries.
    name : str, optional

    Returns
    -------
    outputs : Variable or list of Variable
        The states after the last step.
    updates : dict
        As those of ``scan``.
    """
    if outputs_info is None:
        raise ValueError(located("reduce: outputs_info must give the initial states", [], "without states, use map"))
    outputs, updates = scan(fn, sequences, outputs_info, non_sequences, None, go_backwards, name)
    return (outputs[-1] if isinstance(outputs, Variable) else [v[-1] for v in outputs]), updates


def foldl(
    fn: Callable[..., Any], sequences: Any, outputs_info: Any, non_sequences: Any = None, name: str | None = None
) -> tuple[Any, dict[Any, Any]]:
    """``reduce`` from the first entry to the last."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, name)


def foldr(
    fn: Callable[..., Any], sequences: Any, outputs_info: Any, non_sequences: Any = None, name: str | None = None
) -> tuple[Any, dict[Any, Any]]:
    """``reduce`` from the last entry to the first."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, name)
