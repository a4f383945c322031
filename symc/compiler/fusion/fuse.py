"""Units of work in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from symc.compiler.fusion.groups import FusionGroup, Unit, external_reads, results
from symc.compiler.fusion.merging import merge
from symc.compiler.fusion.placing import Fusion
from symc.compiler.target import CPU, Target
from symc.graph import Variable


def schedule(units: Sequence[Unit]) -> list[Unit]:
    """Producers before consumers; among those that are ready, the order in which the user built them."""
    stored = {v for unit in units for v in results(unit)}
    maker = {v: k for k, unit in enumerate(units) for v in results(unit)}
    waiting: list[int] = []
    users: list[list[int]] = [[] for _ in units]
    for k, unit in enumerate(units):
        reads = external_reads(unit, stored) if isinstance(unit, FusionGroup) else unit.inputs
        sources = {maker[v] for v in reads if v in maker and maker[v] != k}
        waiting.append(len(sources))
        for s in sources:
            users[s].append(k)
    rank = [min(v.serial for v in results(unit)) for unit in units]
    ready = [(rank[k], k) for k, n in enumerate(waiting) if n == 0]
    heapify(ready)
    result: list[Unit] = []
    while ready:
        _, k = heappop(ready)
        result.append(units[k])
        for u in users[k]:
            waiting[u] -= 1
            if waiting[u] == 0:
                heappush(ready, (rank[u], u))
    if len(result) != len(units):
        raise AssertionError("fusion made a cycle")
    return result


def fuse(outputs: Sequence[Variable], machine: Target = CPU) -> tuple[list[Unit], set[Variable]]:
    """Units in the order in which they run, and the variables that lie in memory, for loops on ``machine``."""
    state = Fusion(outputs, machine)
    state.place_all()
    merge(state)
    return schedule(state.units), state.stored
