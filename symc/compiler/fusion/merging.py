"""The second traversal: merge a group with its producer over the same axes, if that creates no cycle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Unit,
    external_reads,
    is_inline,
    is_one,
    iteration_maps_fit,
    read_along_rows,
    results,
    source_of,
    symbols_of_unit,
    wide,
)
from symc.compiler.fusion.placing import Fusion
from symc.compiler.fusion.unit_order import UnitOrder
from symc.graph import Variable, dims
from symc.graph.op import Indexed

SEARCH_LIMIT = 400
"""The number of units examined to prove that merging two groups creates no cycle; beyond it, they are not merged."""


def merge(state: Fusion, rounds: int, inside: bool) -> None:
    """Merge groups with producing groups over the same axes, where that creates no cycle.

    ``inside`` a body, elementwise groups that do not read each other are merged, too.
    """
    producer = {v: unit for unit in state.units for v in results(unit)}
    redirect: dict[int, FusionGroup] = {}

    def current(unit: Unit) -> Unit:
        while id(unit) in redirect:
            unit = redirect[id(unit)]
        return unit

    state.unit_order = UnitOrder(_sorted_units(state, producer))
    # units are ordered from consumers to producers; a producer is offered to its nearest consumer first
    for _ in range(rounds):  # a group that has absorbed a producer of several groups may be merged with these
        before = len(redirect)
        for unit in state.units:
            if id(unit) in redirect or not isinstance(unit, FusionGroup) or not state.apart.isdisjoint(unit.stored):
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
    if inside:
        state.units = [u for u in state.units if id(u) not in redirect]
        _merge_all(state, producer, current, redirect)
    state.units = [u for u in state.units if id(u) not in redirect]
    for unit in state.units:
        if isinstance(unit, FusionGroup):
            hidden = {v for v in unit.stored if v not in state.needed and _read_only_by(unit, state.demands.get(v, {}))}
            unit.stored = [v for v in unit.stored if v not in hidden]
            state.stored.difference_update(hidden)


def _merge_all(
    state: Fusion, producer: dict[Variable, Unit], current: Callable[[Unit], Unit], redirect: dict[int, FusionGroup]
) -> None:
    """Merge groups that do not read each other, if all units are elementwise over the same axes.

    One loop nest then is the whole body of a loop, whose states may stay in registers.
    """
    groups = [unit for unit in state.units if isinstance(unit, FusionGroup)]
    if len(groups) < 2 or len(groups) < len(state.units) or state.binding:
        return
    last, *others = sorted(groups, key=state.unit_order.__getitem__, reverse=True)  # a reader before what it reads
    if any(g.inner is not None or not dims.same_shape(g.axes, last.axes) for g in groups):
        return
    if sum(len(g.members) for g in groups) > last.machine.group_limit:
        return
    for unit in others:
        same = {a: a for a in range(len(unit.axes))}
        if not _inputs_of(state, last).keys().isdisjoint(unit.stored) or not _agree(state, unit, last, same):
            continue
        between = _between(state, producer, current, unit, last)
        if between is not None:
            state.unit_order.merged(unit, last, between)
            _absorb(state, unit, last, same)
            redirect[id(unit)] = last


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
        if mapping is None or not _agree(state, unit, taker, mapping):
            continue
        if needed or readers != {id(taker)}:
            between = _between(state, producer, current, unit, taker)
            if between is None:
                continue
            state.unit_order.merged(unit, taker, between)
        else:
            state.unit_order.absorbed(unit)
        _absorb(state, unit, taker, mapping)
        return taker
    return None


def _agree(state: Fusion, source: FusionGroup, target: FusionGroup, mapping: dict[int, int]) -> bool:
    """Whether values of ``source`` follow the same axes wherever ``target`` computes or reads them.

    In the merged group, an iteration has one element of each value: it cannot read another one, as a sum of a matrix
    and its transpose does.
    """
    for v, at in source.iteration_maps.items():
        moved = tuple(None if a is None else mapping[a] for a in at)
        if target.iteration_maps.get(v, moved) != moved:
            return False
        for read in state.demands.get(v, {}).get(target, ()):
            if any(m != r and not is_one(source.axes[a]) for a, m, r in zip(at, moved, read) if a is not None):
                return False
    return True


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
        if a is None and b is None or target.machine.any_rows and _unit_pair(source, target, a, b):
            continue
        if a is None or b is None or a in mapping or b in mapping.values():
            return None
        mapping[a] = b
    missing = [a for a in range(len(source.axes)) if a not in mapping]
    free = [b for b in range(len(target.axes)) if b not in mapping.values()]
    if target.machine.any_rows:
        missing, free = _match_unit_axes(source, target, mapping, missing, free)
    if source.inner is None:
        # a producer of maps must cover every axis, else it would be recomputed
        if missing or free and set(free) != set(target.inner or ()):
            return None
        return mapping
    if target.machine.any_rows:
        if not missing and not free:
            return mapping if _same_rows(source, target, mapping) else None
        if tuple(missing) == source.inner and mapping and target.inner is None and not free:
            over = [b for b in mapping.values() if b < len(target.axes)]
            if not source.worth_rows(source.outer, source.inner) or not _over_rows(target, over):
                return None
            mapping.update(zip(missing, count(max(len(target.axes), 1 + max(mapping.values())))))
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


def _unit_pair(source: FusionGroup, target: FusionGroup, a: int | None, b: int | None) -> bool:
    """Whether one of the groups has no axis for an axis of length 1 of the other."""
    if a is None:
        return b is not None and is_one(target.axes[b])
    return b is None and is_one(source.axes[a])


def _match_unit_axes(
    source: FusionGroup, target: FusionGroup, mapping: dict[int, int], missing: list[int], free: list[int]
) -> tuple[list[int], list[int]]:
    """Map axes of length 1 of ``source`` to others, or to new ones; returns the axes that are left in both groups."""
    spare = [b for b in free if is_one(target.axes[b]) and b not in (target.inner or ())]
    new = count(len(target.axes))
    for a in missing:
        if is_one(source.axes[a]) and a not in (source.inner or ()):
            mapping[a] = spare.pop(0) if spare else next(new)
    used = set(mapping.values())
    left = [b for b in free if b not in used and b not in spare]
    return [a for a in missing if a not in mapping], left


def _same_rows(source: FusionGroup, target: FusionGroup, mapping: dict[int, int]) -> bool:
    """Whether both groups, whose common value follows all of their axes, may walk the same rows, phase after phase."""
    assert source.inner is not None
    inner = tuple(mapping[a] for a in source.inner)
    if not inner or not source.worth_rows(source.outer, source.inner):
        return False
    return iteration_maps_fit(target, set(inner)) if target.inner is None else target.inner == inner


def _over_rows(group: FusionGroup, rows: Sequence[int]) -> bool:
    """Whether every member follows all of these axes, or none, besides axes of length 1.

    Such a group becomes the end of the rows of another one, whose inner axes it gets.
    """
    wanted = wide(group, rows)
    return all(wide(group, found) in (wanted, set()) for found in group.iteration_maps.values())


def _between(
    state: Fusion,
    producer: dict[Variable, Unit],
    current: Callable[[Unit], Unit],
    source: FusionGroup,
    target: FusionGroup,
) -> list[Unit] | None:
    """The units behind ``source`` on which ``target`` depends.

    None if one of them depends on ``source``, if ``target`` needs all of it at once, or if they are too many.
    """
    if not _indexed_reads(state, target).isdisjoint(source.stored):
        return None  # an iteration would read elements that later iterations write
    stack: list[Unit] = [target]
    found: dict[int, Unit] = {}
    floor = state.unit_order[source]
    while stack:
        unit = stack.pop()
        for v in _inputs_of(state, unit):
            maker = producer.get(v)
            if maker is None:
                continue
            maker = current(maker)
            if maker is source:
                if unit is not target:
                    return None
            elif maker is not target and id(maker) not in found and state.unit_order[maker] > floor:
                if len(found) > SEARCH_LIMIT:
                    return None
                found[id(maker)] = maker
                stack.append(maker)
    return list(found.values())


def _sorted_units(state: Fusion, producer: dict[Variable, Unit]) -> list[Unit]:
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
            sources = (producer.get(v) for v in _inputs_of(state, unit))
            stack.extend((s, False) for s in sources if s is not None and id(s) not in seen)
    return order


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

    for a, b in sorted(mapping.items(), key=lambda pair: pair[1]):
        if b == len(target.axes):
            target.axes.append(source.axes[a])
    if source.inner is not None and target.inner is None:
        target.inner = tuple(mapping[a] for a in source.inner)
        target.order = tuple(mapping[a] for a in source.order) if source.order else None
    own = set(target.iteration_maps)
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
    if any(v in source.iteration_maps for v in own):
        known = set(source.members)
        target.members = [node for node in target.members if node not in known]
    target.members.extend(source.members)
    target.stored.extend(source.stored)
    for value in source.demanded:
        demands = state.demands[value]
        demands.setdefault(target, set()).update(map(move, demands.pop(source)))
    target.demanded |= source.demanded
