"""``Repetition``: what the passes know of an op that runs a body several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from symc.graph.body import Body
from symc.graph.dims import Dim
from symc.graph.variables import Apply, Variable

__all__ = ["Repeats", "Repetition"]


@dataclass(frozen=True)
class Repetition:
    """A body that runs ``count`` times.

    The inputs of the body are one entry of every sequence, the current states, and the constants; its outputs are the
    next states, then values that are stacked. The outputs of the application are one per state, then the stacked ones,
    in the order of the sequences.

    Attributes
    ----------
    count : Dim
    backwards : bool
        Whether the sequences are read from their last entry to the first.
    body : Body
    sequences, states, constants : sequence of Variable
        Outside of the body; ``states`` are the initial values.
    keep : sequence of bool
        Per state, whether the output is the trajectory ``(count + 1, ...)``, beginning with the initial value and in
        the order of the steps, or only the last value.
    """

    count: Dim
    backwards: bool
    body: Body
    sequences: Sequence[Variable]
    states: Sequence[Variable]
    constants: Sequence[Variable]
    keep: Sequence[bool]


@dataclass(frozen=True)
class Repeats:
    """How an op is read as a ``Repetition``, and made from one.

    ``read(node)`` returns None for an application that the passes must leave as it is. ``write(op, repetition)``
    returns an op with the other attributes of ``op``, and its inputs.
    """

    read: Callable[[Apply], Repetition | None]
    write: Callable[[Any, Repetition], tuple[Any, Sequence[Variable]]]
