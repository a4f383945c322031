"""Loads whose index has jumps along the lanes of a loop, such as that of a cyclic shift.

Between two jumps the elements are contiguous. Whether a vector lies between jumps is tested in each iteration, which
costs less than to gather its elements one by one. An index that grows by one every few lanes, or comes round every few
lanes, selects from elements that fit into one vector.
"""

from __future__ import annotations

from typing import NamedTuple

from symc.loops.expr import ZERO, Expr, call, coefficient, names_in

__all__ = ["Steps", "is_piecewise", "jumps", "steps"]

MOST = 3
"""The largest number of jumps that are tested."""
COMPARISONS = ("lt", "le", "gt", "ge")


def jumps(e: Expr, lane: str) -> list[Expr] | None:
    """The conditions on lanes that choose between the affine pieces of an index; None if it consists of anything else.

    A condition compares affine expressions, so it changes at most once along the lanes: an index is affine on all
    lanes of a vector if all of its conditions agree on the first and on the last lane.
    """
    found: list[Expr] = []
    stack = [e]
    while stack:
        x = stack.pop()
        if coefficient(x, lane) is not None:
            continue
        if x.op in ("add", "sub"):
            stack += x.args
        elif x.op == "mul" and any(lane not in names_in(a) for a in x.args):
            stack += x.args
        elif x.op == "select" and lane not in names_in(x.args[0]):
            stack += x.args[1:]
        elif x.op == "select" and x.args[0].op in COMPARISONS:
            found.append(x.args[0])
            stack += x.args[1:]
        elif x.op in ("min", "max"):
            found.append(call("lt", *x.args))
            stack += x.args
        else:
            return None
    if len(found) > MOST or not all(_is_affine(c, lane) for c in found):
        return None
    return found


def _is_affine(condition: Expr, lane: str) -> bool:
    return all(a.dtype == "int64" and coefficient(a, lane) is not None for a in condition.args)


def is_piecewise(e: Expr, lane: str) -> bool:
    """Whether the index consists of several affine pieces."""
    return e.dtype == "int64" and coefficient(e, lane) is None and jumps(e, lane) is not None


class Steps(NamedTuple):
    """The index ``base + at // length``, or ``base + at % length`` if it ``repeats``; ``at`` grows by one per lane."""

    base: Expr
    at: Expr
    length: Expr
    repeats: bool


def steps(e: Expr, lane: str) -> Steps | None:
    """The steps of an index; None if it is anything else."""
    if e.op == "add":
        for part, rest in (e.args, e.args[::-1]):
            found = steps(part, lane) if lane not in names_in(rest) else None
            if found is not None:
                return found._replace(base=call("add", found.base, rest))
        return None
    if e.op not in ("floordiv", "mod") or lane in names_in(e.args[1]):
        return None
    stride = coefficient(e.args[0], lane)
    if stride is None or stride.op != "const" or stride.value != 1:
        return None
    at, length = e.args
    return Steps(ZERO, at, length, e.op == "mod")
