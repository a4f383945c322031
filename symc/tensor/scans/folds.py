"""``scan`` in its simplest forms: a function of every entry, and folds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symc.errors import located
from symc.graph import Variable
from symc.tensor.scans.scan import scan

__all__ = ["foldl", "foldr", "map", "reduce"]


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, dict[Any, Any]]:
    """Apply ``fn`` to every entry of the sequences: ``scan`` without states.

    Parameters
    ----------
    fn : callable
        ``fn(*entries, *non_sequences)`` returns a variable or a list, and updates if there are any, as for ``scan``.
    sequences : Variable, dict, or sequence of these
        Read along the first axis, together, up to the end of the shortest one.
    non_sequences : Variable or sequence of Variable, optional
    truncate_gradient : int
        As in ``scan``.
    go_backwards : bool
        Begin with the last entries.
    mode : optional
        Has no effect. Accepted for old programs.
    name : str, optional

    Returns
    -------
    outputs, updates
        As those of ``scan``: ``(n, ...)`` per result of ``fn``.
    """
    return scan(
        fn, sequences, None, non_sequences, truncate_gradient=truncate_gradient, go_backwards=go_backwards, name=name
    )


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, dict[Any, Any]]:
    """The last states of a ``scan``.

    Parameters
    ----------
    fn : callable
        ``fn(*entries, *states, *non_sequences)`` returns the next states, and updates if there are any, as for
        ``scan``.
    sequences : Variable, dict, or sequence of these
        Read along the first axis. There must be at least one entry.
    outputs_info : Variable, number, dict, or sequence of these
        The initial states. For an entry of None, the output of the last step is returned.
    non_sequences : Variable or sequence of Variable, optional
    go_backwards : bool
        Begin with the last entries.
    mode : optional
        Has no effect. Accepted for old programs.
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
    outputs, updates = scan(fn, sequences, outputs_info, non_sequences, go_backwards=go_backwards, name=name)
    if outputs is None:
        return None, updates
    return (outputs[-1] if isinstance(outputs, Variable) else [v[-1] for v in outputs]), updates


def foldl(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, dict[Any, Any]]:
    """``reduce`` from the first entry to the last."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, mode, name)


def foldr(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, dict[Any, Any]]:
    """``reduce`` from the last entry to the first."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, mode, name)
