"""What a record tells the gradient pass besides formulas: answers of ``grad``, and which elements an op reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from symc.graph.op import Op
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
        No index named it, or it was written over.
    CONDITION
        A condition chose another value: the element may be anything.
    """

    ORDER = 1
    BOUND = 2
    POSITION = 3
    CONDITION = 4


class Selected(NamedTuple):
    """An answer of ``grad``: the gradient is ``g`` where ``condition`` holds, and exactly zero elsewhere.

    ``g`` may be anything where the condition fails, NaN too. The gradient pass selects once, behind the last op on the
    way back for which the condition matters, and never multiplies by a mask.

    Attributes
    ----------
    condition : Variable
        bool, of the axes of the input that the answer is for; its dims are the input's or 1.
    g : Variable
    negated : bool
        The gradient is ``g`` where ``condition`` does not hold.
    choice : Choice
    lazy : bool
        The condition is a scalar, and the gradient is not even computed where it is not wanted.
    """

    condition: Variable
    g: Variable
    negated: bool = False
    choice: Choice = Choice.ORDER
    lazy: bool = False


class Undefined(NamedTuple):
    """An answer of ``grad``: the output depends on this input, but no derivative by it is defined."""

    reason: str


@dataclass(frozen=True)
class Reach:
    """Which elements of the inputs the counting elements of the output depend on.

    Attributes
    ----------
    find : callable
        ``find(op, inputs, outputs, counts)`` gives one entry per input: a bool tensor of as many axes, whose dims are
        the input's or 1, that holds at least where an element of the output at which ``counts`` holds depends on the
        input's element; or None, which stands for everywhere. ``counts`` has the output's number of axes, its dims are
        the output's or 1.
    one_to_one : bool
        Every element of the first input is exactly one element of the output.
    partial : callable or None
        ``partial(op)``: why there may be elements of inputs on which no element of the output depends; None if there
        are none.
    gathers : bool
        Finding out takes a reduction, which is made for ``CONDITION`` and ``BOUND`` alone.
    mixes : bool
        The gradient by one input adds up products with elements of the others (matrix products): elements that do not
        count must be taken out of these first.
    """

    find: Callable[[Op, Sequence[Variable], Sequence[Variable], Variable], Sequence[Any]]
    one_to_one: bool = False
    partial: Callable[[Op], Choice | None] | None = None
    gathers: bool = False
    mixes: bool = False
