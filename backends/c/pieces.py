"""Loads whose index has jumps along the lanes of a loop, such as that of a cyclic shift.

Between two jumps the elements are contiguous. Whether a vector lies between jumps is tested in each iteration, which
costs less than to gather its elements one by one. An index that grows by one every few lanes, or comes round every few
lanes, selects from elements that fit into one vector; one that does both, from a few of these.
"""

from __future__ import annotations

from typing import NamedTuple

from symc.loops.expr import ONE, ZERO, Expr, call, coefficient, names_in

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
    """The index ``base + each * (at // length) + apart * (at % length)``; ``at`` grows by one per lane."""

    base: Expr
    each: Expr
    apart: Expr
    at: Expr
    length: Expr

    def scaled(self, by: Expr) -> Steps:
        """The index times a number that is the same for all lanes."""
        base, each, apart = (call("mul", e, by) for e in self[:3])
        return self._replace(base=base, each=each, apart=apart)

    def plus(self, other: Steps) -> Steps | None:
        """The sum of two indices with the same steps."""
        if not (self.at.same(other.at) and self.length.same(other.length)):
            return None
        base, each, apart = (call("add", a, b) for a, b in zip(self[:3], other[:3]))
        return self._replace(base=base, each=each, apart=apart)


def steps(e: Expr, lane: str) -> Steps | None:
    """The steps of an index; None if it is anything else."""
    if e.op in ("floordiv", "mod") and lane not in names_in(e.args[1]):
        stride = coefficient(e.args[0], lane)
        if stride is None or stride.op != "const" or stride.value != 1:
            return None
        return Steps(ZERO, *((ONE, ZERO) if e.op == "floordiv" else (ZERO, ONE)), *e.args)
    if e.op not in ("add", "mul"):
        return None
    same = [lane not in names_in(a) for a in e.args]
    first, second = (None if fixed else steps(a, lane) for a, fixed in zip(e.args, same))
    if e.op == "add" and first is not None and second is not None:
        return first.plus(second)
    found, other = (first, e.args[1]) if second is None else (second, e.args[0])
    if found is None or not any(same):
        return None
    return found.scaled(other) if e.op == "mul" else found._replace(base=call("add", found.base, other))
