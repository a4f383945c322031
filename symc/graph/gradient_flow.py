"""What a record tells the gradient pass besides formulas: results of ``grad``, and which elements an op reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from symc.graph.variables import Variable

__all__ = ["ZERO", "Choice", "Reach", "Selected", "Undefined", "Zero"]


class Zero:
    """The output depends on this input, with a derivative of zero almost everywhere (comparisons, rounding)."""

    def __repr__(self) -> str:
        return "ZERO"


ZERO = Zero()


class Choice(IntEnum):
    """Why an element does not count.

    Attributes
    ----------
    ORDER
        It was not the largest of a window or axis, or not above zero. What does not count is no NaN, or the value that
        it was compared for is NaN too.
    BOUND
        The other operand of ``maximum``, ``minimum`` or ``clip`` was taken; the same holds.
    POSITION
        No index selected it, or it was overwritten.
    CONDITION
        A condition selected another value: the element may be anything.
    """

    ORDER = 1
    BOUND = 2
    POSITION = 3
    CONDITION = 4


class Selected(NamedTuple):
    """A result of ``grad``: the gradient is ``g`` where ``condition`` holds, and exactly zero elsewhere.

    ``g`` may be anything where the condition fails, even NaN. The gradient pass selects once, after the last op of the
    backward traversal for which the condition matters, and never multiplies by a mask.

    Attributes
    ----------
    condition : Variable
        A bool tensor with as many axes as the input that the result is for; each dim is the input's or 1.
    g : Variable
    negated : bool
        The gradient is ``g`` where ``condition`` does not hold.
    choice : Choice
    lazy : bool
        The condition is a scalar, and the gradient is not computed at all where the condition fails.
    """

    condition: Variable
    g: Variable
    negated: bool = False
    choice: Choice = Choice.ORDER
    lazy: bool = False


class Undefined(NamedTuple):
    """A result of ``grad``: the output depends on this input, but the derivative by it is undefined."""

    reason: str


@dataclass(frozen=True)
class Reach:
    """Which elements of the inputs the elements of the output that count depend on.

    Attributes
    ----------
    find : callable
        ``find(op, inputs, outputs, counts)`` returns one entry per input: a bool tensor with as many axes as the input,
        each dim the input's or 1, that is true at least where an element of the output for which ``counts`` is true
        depends on the input's element; or None, which means everywhere. ``counts`` has as many axes as the output; each
        dim is the output's or 1.
    one_to_one : bool
        Whether every element of the first input is exactly one element of the output.
    partial : callable or None
        ``partial(op)`` returns why there may be elements of inputs on which no element of the output depends; None if
        there are none.
    gathers : bool
        Finding out takes a reduction, which is made for ``CONDITION`` and ``BOUND`` alone.
    mixes : bool
        Whether the gradient by one input sums products with elements of the others (matrix products): elements that do
        not count must be zeroed first.
    """

    find: Callable[[Any, Sequence[Variable], Sequence[Variable], Variable], Sequence[Any]]
    one_to_one: bool = False
    partial: Callable[[Any], Choice | None] | None = None
    gathers: bool = False
    mixes: bool = False
