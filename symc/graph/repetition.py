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
    until : bool
        Whether the body has one more output, a bool that ends the loop after the step. The application then has one
        more output, the number of steps that were done, and what it stacks of later steps is undefined.
    memory : int
        The number of bytes that kept states and values of all steps may take; 0 for no limit.
    blocked : bool
        Whether the steps are a block of which the states are known to take at most half of ``memory``.
    """

    count: Dim
    backwards: bool
    body: Body
    sequences: Sequence[Variable]
    states: Sequence[Variable]
    constants: Sequence[Variable]
    keep: Sequence[bool]
    until: bool = False
    memory: int = 0
    blocked: bool = False


@dataclass(frozen=True)
class Repeats:
    """How an op is read as a ``Repetition``, and made from one.

    ``read(node)`` returns None for an application that the passes must leave as it is. ``write(op, repetition)``
    returns an op with the other attributes of ``op``, and its inputs.
    """

    read: Callable[[Apply], Repetition | None]
    write: Callable[[Any, Repetition], tuple[Any, Sequence[Variable]]]
