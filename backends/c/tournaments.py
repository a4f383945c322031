"""Extremes with what belongs to them, such as positions, over several rows at once.

A loop that keeps the largest element so far and its position replaces both where an element exceeds it. Of several
rows, each element first meets its neighbour, then the winners meet, and the last one meets what is in memory: few
comparisons wait for one another. Of equal elements the earlier one wins, so rows have to be in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from symc.loops.expr import Expr, call, exceeds, names_in, substituted, var
from symc.loops.ir import For, Let, Load, Statement, Store
from symc.loops.names import names_read

__all__ = ["Tournament", "tournaments_of"]


class Tournament(NamedTuple):
    """Stores of ``elements`` where the first of them exceeds what was loaded before, by the reduction ``op``."""

    op: str
    condition: Let
    stores: list[Store]
    elements: list[Expr]
    loads: list[Load]

    def played(self, names: Sequence[Mapping[str, Expr]]) -> list[Statement]:
        """The statements that combine the elements of several rows, with the ``names`` of each, and store the last."""
        rows = [[substituted(e, row) for e in self.elements] for row in names]
        body: list[Statement] = []
        while len(rows) > 1:
            met = [self._meet(*pair, body) for pair in zip(rows[::2], rows[1::2])]
            rows = [*met, *rows[2 * len(met) :]]
        body += self.loads
        last = self._meet([var(s.name, s.dtype) for s in self.loads], rows[0], body)
        return [*body, *(Store(s.buffer, s.index, e) for s, e in zip(self.stores, last))]

    def _meet(self, first: list[Expr], second: list[Expr], body: list[Statement]) -> list[Expr]:
        """What wins of two, with statements that are added to ``body``."""
        number = len(body)
        better = f"{self.condition.name}_{number}"
        body.append(Let(better, exceeds(self.op, second[0], first[0])))
        found = []
        for s, a, b in zip(self.stores, first, second):
            name = f"{s.buffer}_{number}"
            body.append(Let(name, call("select", var(better, "bool"), b, a)))
            found.append(var(name, a.dtype))
        return found


def tournaments_of(inner: For, rows: set[str], is_own: Callable[[str], bool]) -> list[Tournament] | None:
    """The tournaments to which all stores of a loop belong; None if there are other stores.

    ``rows`` are the names of values that differ between rows; ``is_own(buffer)`` says whether a buffer is scratch
    memory, which shares no memory with others.
    """
    defined = {s.name: s for s in inner.body if isinstance(s, (Let, Load))}
    by_condition: dict[str, list[Store]] = {}
    for s in inner.body:
        if isinstance(s, Store):
            e = s.value
            if e.op != "select" or e.args[0].op != "var" or e.args[2].op != "var" or not is_own(s.buffer):
                return None
            by_condition.setdefault(e.args[0].value, []).append(s)
    made = [_tournament(defined, stores, rows, inner.index) for stores in by_condition.values()]
    found = [t for t in made if t is not None]
    private = [name for t in found for name in (t.condition.name, *(s.name for s in t.loads))]
    memory = [s.buffer for t in found for s in t.stores]
    others = [
        s for s in inner.body if not isinstance(s, Store) and all(s not in (t.condition, *t.loads) for t in found)
    ]
    uses = {name for s in others for name in names_read(s)}
    alone = len(set(memory)) == len(memory) and not any(getattr(s, "buffer", None) in memory for s in others)
    uses.update(*(names_in(e) for t in found for e in t.elements))
    return found if len(found) == len(made) and alone and uses.isdisjoint(private) else None


def _tournament(defined: Mapping[str, Statement], stores: list[Store], rows: set[str], lane: str) -> Tournament | None:
    condition = defined.get(stores[0].value.args[0].value)
    elements = [s.value.args[1] for s in stores]
    loads = [found for s in stores if isinstance(found := defined.get(s.value.args[2].value), Load)]
    if not isinstance(condition, Let) or len(loads) != len(stores):
        return None
    for s, load in zip(stores, loads):
        names = names_in(s.index)
        same = load.buffer == s.buffer and load.index.same(s.index)
        if not same or lane not in names or not rows.isdisjoint(names):
            return None
    for op in ("max", "min"):
        for first in range(len(stores)):
            if condition.value.same(exceeds(op, elements[first], stores[first].value.args[2])):
                order = [first, *(k for k in range(len(stores)) if k != first)]
                return Tournament(
                    op, condition, [stores[k] for k in order], [elements[k] for k in order], [loads[k] for k in order]
                )
    return None
