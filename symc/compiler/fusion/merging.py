"""The second traversal: merge a group with its producer over the same axes, if that creates no cycle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Unit,
    external_reads,
    is_inline,
    iteration_maps_fit,
    read_along_rows,
    results,
    source_of,
    symbols_of_unit,
)
from symc.compiler.fusion.placing import Fusion
from symc.graph import Variable, dims
from symc.graph.op import Indexed

SEARCH_LIMIT = 400
"""The number of units examined to prove that merging two groups creates no cycle; beyond it, they are not merged."""


def merge(state: Fusion, rounds: int) -> None:
    """Merge groups with producing groups over the same axes, where that creates no cycle."""
    producer = {v: unit for unit in state.units for v in results(unit)}
    redirect: dict[int, FusionGroup] = {}

    def current(unit: Unit) -> Unit:
        while id(unit) in redirect:
            unit = redirect[id(unit)]
        return unit

    # units are ordered from consumers to producers; a producer is offered to its nearest consumer first
    for number in range(rounds):
        before = len(redirect)
        if number or state.binding:
            state.units = _consumers_first([u for u in state.units if id(u) not in redirect], state, producer, current)
        state.rank = {id(unit): -k for k, unit in enumerate(state.units)}
        for unit in state.units:
            if not isinstance(unit, FusionGroup) or not state.apart.isdisjoint(unit.stored):
                continue
            readers = {id(g) for v in unit.stored for g in state.demands.get(v, ())}
            needed = any(v in state.needed for v in unit.stored)
            for value in unit.stored:
                taker = _taker(state, producer, current, unit, value, readers, needed)
                if taker is not None:
                    redirect[id(unit)] = taker
                    break
        if len(redirect) == before:
            break
    if rounds > 1:
        state.units = _consumers_first([u for u in state.units if id(u) not in redirect], state, producer, current)
        redirect.update(_merge_all(state, producer, current))
    state.units = [u for u in state.units if id(u) not in redirect]
    for unit in state.units:
        if isinstance(unit, FusionGroup):
            inside = {v for v in unit.stored if v not in state.needed and _read_only_by(unit, state.demands.get(v, {}))}
            unit.stored = [v for v in unit.stored if v not in inside]
            state.stored.difference_update(inside)


def _merge_all(
    state: Fusion, producer: dict[Variable, Unit], current: Callable[[Unit], Unit]
) -> dict[int, FusionGroup]:
    """Merge groups that do not read each other, if all units are elementwise over the same axes.

    One loop nest then is the whole body of a loop, whose states may stay in registers.
    """
    groups = [unit for unit in state.units if isinstance(unit, FusionGroup)]
    if len(groups) < 2 or len(groups) < len(state.units) or state.binding:
        return {}
    last, *others = groups
    if any(g.inner is not None or not dims.same_shape(g.axes, last.axes) for g in groups):
        return {}
    if sum(len(g.members) for g in groups) > last.machine.group_limit:
        return {}
    state.rank = {id(unit): -k for k, unit in enumerate(state.units)}
    found: dict[int, FusionGroup] = {}
    for unit in others:
        reads = not _inputs_of(state, last).keys().isdisjoint(unit.stored)
        if not reads and not _path_between(state, producer, lambda u: found.get(id(u), current(u)), unit, last):
            _absorb(state, unit, last, {a: a for a in range(len(unit.axes))})
            found[id(unit)] = last
    return found


def _taker(
    state: Fusion,
    producer: dict[Variable, Unit],
    current: Callable[[Unit], Unit],
    unit: FusionGroup,
    value: Variable,
    readers: set[int],
    needed: bool,
) -> FusionGroup | None:
    """Merge ``unit`` into the first possible consumer of ``value``, and return that; None if there is none."""
    for taker, iteration_maps in state.demands.get(value, {}).items():
        if taker is unit or len(iteration_maps) != 1 or not state.apart.isdisjoint(taker.stored):
            continue
        mapping = _axis_map(unit, taker, unit.iteration_maps[value], next(iter(iteration_maps)), state.stored)
        if mapping is None:
            continue
        if (needed or readers != {id(taker)}) and _path_between(state, producer, current, unit, taker):
            continue
        _absorb(state, unit, taker, mapping)
        return taker
    return None


def _read_only_by(unit: FusionGroup, readers: dict[FusionGroup, set[IterationMap]]) -> bool:
    return not readers or len(readers) == 1 and unit in readers


def _axis_map(
    source: FusionGroup, target: FusionGroup, at: IterationMap, demanded: IterationMap, stored: set[Variable]
) -> dict[int, int] | None:
    """Map the axes of ``source`` to those of ``target``; None if they are incompatible."""
    if len(source.members) + len(target.members) > target.machine.group_limit:
        return None
    mapping: dict[int, int] = {}
    for a, b in zip(at, demanded):
        if a is None and b is None:
            continue
        if a is None or b is None or a in mapping or b in mapping.values():
            return None
        mapping[a] = b
    missing = [a for a in range(len(source.axes)) if a not in mapping]
    free = [b for b in range(len(target.axes)) if b not in mapping.values()]
    if source.inner is None:
        # a producer of maps must cover every axis, else it would be recomputed
        if missing or free and set(free) != set(target.inner or ()):
            return None
        return mapping
    if tuple(missing) != source.inner or not mapping and target.axes:
        return None
    if len(free) != len(missing) or not dims.same_shape(
        [source.axes[a] for a in missing], [target.axes[b] for b in free]
    ):
        return None
    mapping.update(zip(missing, free))
    if target.inner is not None:
        if tuple(free) != target.inner:
            return None
        if read_along_rows(target, source.stored, stored) and not target.worth_rows(target.outer, target.inner):
            return None
    elif not source.worth_rows(source.outer, source.inner) or not iteration_maps_fit(target, set(free)):
        return None
    return mapping


def _path_between(
    state: Fusion,
    producer: dict[Variable, Unit],
    current: Callable[[Unit], Unit],
    source: FusionGroup,
    target: FusionGroup,
) -> bool:
    """Whether ``target`` also depends on ``source`` through a third unit, or on all of it at once.

    True if a long search does not decide it.

    A unit of a lower rank than ``source`` does not depend on it: all groups that absorbed others in this round, and all
    that they absorbed, precede ``source`` in the traversal, so the order among the remaining units is unchanged.
    """
    if not _indexed_reads(state, target).isdisjoint(source.stored):
        return True  # an iteration would read elements that later iterations write
    stack: list[Unit] = [target]
    seen = {id(target)}
    floor = state.rank[id(source)]
    while stack:
        unit = stack.pop()
        for v in _inputs_of(state, unit):
            found = producer.get(v)
            if found is None:
                continue
            found = current(found)
            if found is source:
                if unit is not target:
                    return True
                continue
            if id(found) not in seen and state.rank[id(found)] > floor:
                if len(seen) > SEARCH_LIMIT:
                    return True
                seen.add(id(found))
                stack.append(found)
    return False


def _consumers_first(
    units: Sequence[Unit], state: Fusion, producer: dict[Variable, Unit], current: Callable[[Unit], Unit]
) -> list[Unit]:
    """Sort units: each before those that it depends on.

    The first traversal leaves them in this order, unless dims are values: a unit follows those that compute its dims,
    which are no inputs of its applications. Merging does not keep it: readers of a group depend on all that it
    absorbed.
    """
    order: list[Unit] = []
    seen: set[int] = set()
    stack: list[tuple[Unit, bool]] = [(unit, False) for unit in units]  # the last one, which depends on none, first
    while stack:
        unit, ready = stack.pop()
        if ready:
            order.append(unit)
        elif id(unit) not in seen:
            seen.add(id(unit))
            stack.append((unit, True))
            sources = (current(producer[v]) for v in _inputs_of(state, unit) if v in producer)
            stack.extend((s, False) for s in sources if id(s) not in seen)
    return order[::-1]


def _inputs_of(state: Fusion, unit: Unit) -> dict[Variable, None]:
    """The values that a unit reads, computed once: a group that absorbs another also takes over what that reads."""
    found = state.reads.get(id(unit))
    if found is None:
        if isinstance(unit, FusionGroup):
            reads = external_reads(unit, state.stored)
        else:
            reads = [source_of(v, state.stored) for v in unit.inputs]
        if state.binding:
            symbols = symbols_of_unit(unit, reads)
            reads = [*reads, *(v for s, v in state.binding.items() if s in symbols)]
        found = state.reads[id(unit)] = dict.fromkeys(reads)
    return found


def _indexed_reads(state: Fusion, group: FusionGroup) -> set[Variable]:
    """The variables in memory that a group reads at positions other than that of the computed element."""
    found = state.indexed.get(id(group))
    if found is not None:
        return found
    found = state.indexed[id(group)] = set()
    own = group.iteration_maps
    stack: list[Variable] = []
    for node in group.members:
        if isinstance(node.op.record.lower, Indexed):
            found.update(node.inputs)
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


def _absorb(state: Fusion, source: FusionGroup, target: FusionGroup, mapping: dict[int, int]) -> None:
    """Move the members of ``source`` to ``target``, with axes renamed by ``mapping``."""
    unchanged = all(a == b for a, b in mapping.items())

    def move(iteration_map: IterationMap) -> IterationMap:
        return iteration_map if unchanged else tuple(None if a is None else mapping[a] for a in iteration_map)

    if source.inner is not None and target.inner is None:
        target.inner = tuple(mapping[a] for a in source.inner)
        target.order = tuple(mapping[a] for a in source.order) if source.order else None
    for value, iteration_map in source.iteration_maps.items():
        target.iteration_maps[value] = move(iteration_map)
    for node in source.members:
        state.group_of[node] = target
    reads = state.reads.get(id(target))
    if reads is not None:
        reads.update(_inputs_of(state, source))
        for value in source.iteration_maps:
            reads.pop(value, None)
    if id(target) in state.indexed:
        state.indexed[id(target)] |= _indexed_reads(state, source)
    target.members.extend(source.members)
    target.stored.extend(source.stored)
    for value in source.demanded:
        demands = state.demands[value]
        demands.setdefault(target, set()).update(map(move, demands.pop(source)))
    target.demanded |= source.demanded
