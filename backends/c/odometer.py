"""Loops that count the digits of their index, in place of dividing it in every iteration.

An index over several axes is divided by their lengths to find the position along each. From one iteration to the next
the last position grows by one; if it reaches the length of its axis, it begins again and the one before it grows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from symc.loops.expr import Expr, names_in
from symc.loops.ir import For, Let, Load, Statement

__all__ = ["Odometer", "odometer"]


class Odometer(NamedTuple):
    """The C lines in front of a loop, those at the end of its body, what is left of the body, and what is counted."""

    before: list[str]
    after: list[str]
    body: tuple[Statement, ...]
    counted: list[Statement]


class _Digit:
    """A divisor of a number that grows by one, with the names of the quotient and of the remainder."""

    def __init__(self, dividend: str, divisor: Expr) -> None:
        self.dividend, self.divisor = dividend, divisor
        self.names: dict[str, str] = {}


def odometer(loop: For, begin: str, scalar: Callable[[Expr], str]) -> Odometer:
    """Divide the index of a loop that begins at ``begin`` once; ``scalar`` writes an expression."""
    inside = {s.name for s in loop.body if isinstance(s, (Let, Load))} | {loop.index}
    digits: list[_Digit] = []
    growing = {loop.index}
    counted: list[Statement] = []
    for s in loop.body:
        if not (isinstance(s, Let) and s.value.op in ("floordiv", "mod")):
            continue
        dividend, divisor = s.value.args
        if dividend.op != "var" or dividend.value not in growing:
            continue
        if not inside.isdisjoint(names_in(divisor)):
            continue
        same = (d for d in digits if d.dividend == dividend.value and d.divisor.same(divisor))
        digit = next(same, None)
        if digit is None:
            digit = _Digit(dividend.value, divisor)
            digits.append(digit)
        if s.value.op not in digit.names:
            digit.names[s.value.op] = s.name
            counted.append(s)
            if s.value.op == "floordiv":
                growing.add(s.name)
    before: list[str] = []
    for number, d in enumerate(digits):
        quotient, rest = (d.names.setdefault(op, f"{loop.index}_{op}{number}") for op in ("floordiv", "mod"))
        start, length = begin if d.dividend == loop.index else d.dividend, f"{loop.index}_of{number}"
        before.append(f"const int64_t {length} = {scalar(d.divisor)};")
        before.append(
            f"int64_t {quotient} = sx_floordiv_i64({start}, {length}), {rest} = {start} - {quotient} * {length};"
        )
        before.append(f"(void){quotient};")
    names = {id(s) for s in counted}
    body = tuple(s for s in loop.body if id(s) not in names)
    return Odometer(before, _grown(digits, loop.index, loop.index), body, counted)


def _grown(digits: list[_Digit], number: str, index: str) -> list[str]:
    """The lines that follow where a number has grown by one."""
    lines = []
    for k, d in enumerate(digits):
        if d.dividend == number:
            quotient, rest = d.names["floordiv"], d.names["mod"]
            carried = _grown(digits, quotient, index)
            lines += [f"if (++{rest} == {index}_of{k}) {{ {rest} = 0; ++{quotient};", *carried, "}"]
    return lines
