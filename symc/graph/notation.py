"""How formulas are written: pieces of text with how strongly they bind, and the ways in which ops put them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["ATOM", "NEGATED", "POWER", "PRODUCT", "Text", "held", "infix", "prefix"]

Text = tuple[str, int]
"""A piece of a formula, and how strongly its outermost sign binds, in Python's order."""
PRODUCT, NEGATED, POWER, ATOM = 7, 8, 9, 10


def held(arg: Text, strength: int) -> str:
    """The text of an operand of a sign of this strength: in parentheses, where it binds less strongly."""
    return arg[0] if arg[1] >= strength else f"({arg[0]})"


def infix(sign: str, strength: int) -> Callable[[Any, Sequence[Text]], Text]:
    """The sign between two operands. Operands of equal strength need parentheses on the right."""
    return lambda op, args: (f"{held(args[0], strength)} {sign} {held(args[1], strength + 1)}", strength)


def prefix(sign: str) -> Callable[[Any, Sequence[Text]], Text]:
    """The sign in front of its operand."""
    return lambda op, args: (f"{sign}{held(args[0], NEGATED)}", NEGATED)
