"""Chains of operations in a loop over steps, arranged so that what a step waits for comes last.

A step waits for the state that the one before has computed. Of ``min(a, min(b, state))`` it waits for two minima, of
``min(state, min(a, b))`` for one: the other is computed meanwhile. A back end compares the first operand once, the
second also with itself, to find NaN. Of ``a * b - c * state`` it waits for one operation if the second product and the
difference are one, and C compilers unite the product that comes first with the difference: early products come last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from symc.loops.expr import Expr, call, names_in, var
from symc.loops.ir import Let, Load, Statement, Store

__all__ = ["late_operands_last"]

EXACT = ("min", "max")
"""Operations of which chains have the same result in any order."""


def late_operands_last(body: Sequence[Statement], states: Collection[str]) -> list[Statement]:
    """The statements of a step, with operands that depend on the registers ``states`` at the end of chains."""
    uses = Counter(name for s in body for e in _reads(s) for name in names_in(e))
    late: set[str] = set()
    chains: dict[str, tuple[Expr, Expr]] = {}  # of results of these operations: the late operand, and the other one
    made: dict[str, Statement] = {}
    for k, s in enumerate(body):
        name = s.name if isinstance(s, (Let, Load)) else f"statement {k}"
        if isinstance(s, Load) and s.buffer in states or any(not late.isdisjoint(names_in(e)) for e in _reads(s)):
            late.add(name)
        if isinstance(s, Let) and s.value.op in EXACT and name in late:
            last, *others = sorted(s.value.args, key=lambda e: late.isdisjoint(names_in(e)))
            if others and late.isdisjoint(names_in(others[0])):
                before = str(last.value) if last.op == "var" else ""
                earlier = made.get(before)
                if (
                    before in chains
                    and uses[before] == 1
                    and isinstance(earlier, Let)
                    and earlier.value.op == s.value.op
                ):
                    last, other = chains[before]
                    del made[before]  # it is made here, behind what it reads now
                    made[before] = Let(before, call(s.value.op, other, others[0]))
                    others = [var(before, s.value.dtype)]
                    late.discard(before)
                chains[name] = last, others[0]
                s = replace(s, value=call(s.value.op, last, others[0]))
        made[name] = s
    return _late_products_first(list(made.values()), late, uses)


def _late_products_first(body: Sequence[Statement], late: Collection[str], uses: Counter[str]) -> list[Statement]:
    """The statements, with an early product directly before its sum with, or difference from, a late product."""
    products = {s.name: s for s in body if isinstance(s, Let) and s.value.op == "mul" and uses[s.name] == 1}
    moved: dict[str, list[Statement]] = {}
    for s in body:
        if isinstance(s, Let) and s.value.op in ("add", "sub"):
            names = [str(e.value) for e in s.value.args if e.op == "var" and e.value in products]
            early = [name for name in names if name not in late]
            if len(names) == 2 and len(early) == 1:
                moved[s.name] = [products[early[0]]]
    gone = {id(s) for statements in moved.values() for s in statements}
    return [t for s in body if id(s) not in gone for t in (*moved.get(s.name if isinstance(s, Let) else "", ()), s)]


def _reads(s: Statement) -> list[Expr]:
    """The expressions of a statement."""
    if isinstance(s, Load):
        return [s.index]
    if isinstance(s, Store):
        return [s.index, s.value]
    assert isinstance(s, Let)
    return [s.value]
