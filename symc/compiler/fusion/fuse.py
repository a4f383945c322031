"""Units of work in execution order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from symc.compiler.fusion.epilogues import with_epilogues
from symc.compiler.fusion.groups import (
    FusionGroup,
    Unit,
    base_of,
    external_reads,
    nodes_of,
    results,
    symbols_of_unit,
)
from symc.compiler.fusion.merging import merge
from symc.compiler.fusion.placing import Fusion
from symc.compiler.rewrite import failures
from symc.compiler.target import CPU, Target
from symc.graph import Variable

ROUNDS = 6
"""How often all groups are offered to their consumers, unless nothing changes any more.

A group that has absorbed a producer of several groups may be merged with these."""


def schedule(units: Sequence[Unit], binding: Mapping[Any, Variable] | None = None) -> list[Unit]:
    """Sort units: producers before consumers; units that dims depend on early, then fallible units.

    Otherwise the user's order is kept.

    ``binding`` maps symbols to the integers whose values they are: a unit whose dims use a symbol follows its producer.
    """
    stored = {v for unit in units for v in results(unit)}
    maker = {v: k for k, unit in enumerate(units) for v in results(unit)}
    bound_by = {s: base for s, v in (binding or {}).items() if (base := base_of(v)) in maker}
    sources: list[set[int]] = []
    for k, unit in enumerate(units):
        reads = external_reads(unit, stored) if isinstance(unit, FusionGroup) else unit.inputs
        found = {maker[v] for v in reads if v in maker}
        if bound_by:
            found |= {maker[bound_by[s]] for s in symbols_of_unit(unit, reads) if s in bound_by}
        sources.append(found - {k})
    first = _ancestors([maker[v] for v in bound_by.values()], sources)
    early = _ancestors([k for k, unit in enumerate(units) if may_fail(unit)], sources)
    waiting = [len(s) for s in sources]
    users: list[list[int]] = [[] for _ in units]
    for k, found in enumerate(sources):
        for s in found:
            users[s].append(k)
    rank = [
        (0 if k in first else 1 if k in early else 2, min(v.serial for v in results(unit)))
        for k, unit in enumerate(units)
    ]
    ready = [(rank[k], k) for k, n in enumerate(waiting) if n == 0]
    heapify(ready)
    order: list[Unit] = []
    while ready:
        _, k = heappop(ready)
        order.append(units[k])
        for u in users[k]:
            waiting[u] -= 1
            if waiting[u] == 0:
                heappush(ready, (rank[u], u))
    assert len(order) == len(units), "fusion made a cycle"
    return order


def may_fail(unit: Unit) -> bool:
    """Whether the unit may raise an error at call time."""
    return any(map(failures.may_fail, nodes_of(unit)))


def _ancestors(roots: Sequence[int], sources: Sequence[set[int]]) -> set[int]:
    found = set(roots)
    stack = list(roots)
    while stack:
        for s in sources[stack.pop()]:
            if s not in found:
                found.add(s)
                stack.append(s)
    return found


def fuse(
    outputs: Sequence[Variable],
    machine: Target = CPU,
    binding: Mapping[Any, Variable] | None = None,
    inside: bool = False,
) -> tuple[list[Unit], set[Variable]]:
    """Form units in execution order, for loops on ``machine``; also returns the variables stored in memory.

    ``inside`` a body, which may run many times, groups are merged more thoroughly.
    """
    state = Fusion(outputs, machine, binding)
    state.place_all()
    merge(state, ROUNDS if inside or machine.any_rows else 1, inside)
    ordered = schedule(state.units, binding)
    if machine.epilogues and not inside:
        ordered = with_epilogues(ordered, state.stored, [*outputs, *(binding or {}).values()])
    return ordered, state.stored
