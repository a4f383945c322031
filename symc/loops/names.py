"""The names that statements read, and those whose values differ between the iterations of a loop."""

from __future__ import annotations

from collections.abc import Iterable

from symc.loops.expr import names_in
from symc.loops.ir import Accumulate, Alloc, Barrier, Call, For, If, Let, Load, Statement, Store

__all__ = ["names_read", "varying"]


def names_read(s: Statement) -> frozenset[str]:
    """The names in the expressions of a statement, apart from those of its body."""
    if isinstance(s, Let):
        return names_in(s.value)
    if isinstance(s, Load):
        return names_in(s.index)
    if isinstance(s, (Store, Accumulate)):
        return names_in(s.index) | names_in(s.value)
    if isinstance(s, For):
        return names_in(s.extent)
    if isinstance(s, If):
        return names_in(s.condition)
    if isinstance(s, Alloc):
        return names_in(s.size)
    if isinstance(s, Call):
        return frozenset().union(*[names_in(p) for p in s.params])
    assert isinstance(s, Barrier)
    return frozenset()


def varying(index: str, body: Iterable[Statement]) -> set[str]:
    """The names, ``index`` among them, of values that depend on it in statements of a loop over ``index``."""
    found = {index}
    for s in body:
        if isinstance(s, (Let, Load)) and not found.isdisjoint(names_read(s)):
            found.add(s.name)
    return found
