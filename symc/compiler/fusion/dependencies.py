"""What units of work read, and which depend on each other, while groups are merged."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from symc.compiler.fusion.groups import (
    FusionGroup,
    Unit,
    external_reads,
    is_inline,
    read_elsewhere,
    results,
    source_of,
    symbols_of_unit,
)
from symc.compiler.fusion.placing import Fusion
from symc.graph import Variable, dims
from symc.graph.op import Indexed

__all__ = ["between", "indexed_reads", "inputs_of", "sorted_units"]

SEARCH_LIMIT = 400
"""The number of units examined to prove that merging two groups creates no cycle; beyond it, they are not merged."""


def between(
    state: Fusion,
    producer: dict[Variable, Unit],
    current: Callable[[Unit], Unit],
    source: FusionGroup,
    target: FusionGroup,
) -> list[Unit] | None:
    """The units behind ``source`` on which ``target`` depends.

    None if one of them depends on ``source``, if ``target`` needs all of it at once, or if they are too many.
    """
    if not indexed_reads(state, target).isdisjoint(source.stored):
        return None  # an iteration would read elements that later iterations write
    found: dict[int, Unit] = {}
    floor = state.unit_order[source]
    frontier: list[tuple[float, int, Unit]] = [(state.unit_order[target], 0, target)]
    while frontier:  # from the earliest, so that a path to the source, if there is one, is found after few units
        unit = heappop(frontier)[2]
        for v in inputs_of(state, unit):
            maker = producer.get(v)
            if maker is None:
                continue
            maker = current(maker)
            if maker is source:
                if unit is not target:
                    return None
            elif maker is not target and id(maker) not in found:
                position = state.unit_order[maker]
                if position > floor:
                    if len(found) > SEARCH_LIMIT:
                        return None
                    found[id(maker)] = maker
                    heappush(frontier, (position, len(found), maker))
    return list(found.values())


def sorted_units(state: Fusion, producer: dict[Variable, Unit]) -> list[Unit]:
    """The units, each after those that it depends on."""
    if not state.binding:  # then the order of their applications will do
        position = {v: k for k, node in enumerate(state.order) for v in node.outputs}
        return sorted(state.units, key=lambda unit: max(position[v] for v in results(unit)))
    order: list[Unit] = []
    seen: set[int] = set()
    stack: list[tuple[Unit, bool]] = [(unit, False) for unit in state.units]
    while stack:
        unit, ready = stack.pop()
        if ready:
            order.append(unit)
        elif id(unit) not in seen:
            seen.add(id(unit))
            stack.append((unit, True))
            sources = (producer.get(v) for v in inputs_of(state, unit))
            stack.extend((s, False) for s in sources if s is not None and id(s) not in seen)
    return order


def inputs_of(state: Fusion, unit: Unit) -> dict[Variable, None]:
    """The values that a unit reads, computed once: a group that absorbs another also takes over what that reads."""
    found = state.reads.get(id(unit))
    if found is None:
        if isinstance(unit, FusionGroup):
            reads = external_reads(unit, state.stored)
        else:
            reads = [source_of(v, state.stored) for v in unit.inputs]
        if state.binding:
            symbols = symbols_of_unit(unit, reads) & state.binding.keys()
            reads = [*reads, *(state.binding[s] for s in dims.ordered(symbols))]
        found = state.reads[id(unit)] = dict.fromkeys(reads)
    return found


def indexed_reads(state: Fusion, group: FusionGroup) -> set[Variable]:
    """The variables in memory that a group reads at positions other than that of the computed element."""
    found = state.indexed.get(id(group))
    if found is not None:
        return found
    found = state.indexed[id(group)] = set()
    own = group.iteration_maps
    stack: list[Variable] = []
    for node in group.members:
        if isinstance(node.op.record.lower, Indexed):
            found.update(read_elsewhere(node))
        stack.extend(node.inputs)
    seen: set[Variable] = set()
    while stack:
        base = source_of(stack.pop(), state.stored)
        if base in seen or base in own or base in state.stored or not is_inline(base):
            continue
        seen.add(base)
        assert base.owner is not None
        found.update(base.owner.inputs)
        stack.extend(base.owner.inputs)
    return found
