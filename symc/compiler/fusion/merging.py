"""The second traversal: merge a group with its producer over the same axes, if that creates no cycle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count, permutations

from symc.compiler.fusion.crossing import behind, cross, cross_axes, large_reads
from symc.compiler.fusion.dependencies import between, indexed_reads, inputs_of, sorted_units
from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Unit,
    agreed,
    is_one,
    iteration_maps_fit,
    read_along_rows,
    results,
    wide,
)
from symc.compiler.fusion.placing import Fusion
from symc.compiler.fusion.unit_order import UnitOrder
from symc.graph import Variable, dims
from symc.graph.op import Reduction

MOST_SIBLINGS = 16
"""The number of groups reading an array up to which they are merged with one another."""


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

    state.unit_order = UnitOrder(sorted_units(state, producer))
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
        while _cross_siblings(state, producer, current, redirect):
            pass
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
    if not last.has_room(sum(len(g.members) for g in others), max(g.longest_chain for g in groups)):
        return
    for unit in others:
        same = {a: a for a in range(len(unit.axes))}
        if not inputs_of(state, last).keys().isdisjoint(unit.stored) or not _agree(state, unit, last, same):
            continue
        later = between(state, producer, current, unit, last)
        if later is not None:
            state.unit_order.merged(unit, last, later)
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
        at, demanded = unit.iteration_maps[value], agreed(value, iteration_maps)
        if taker is unit or demanded is None or not state.apart.isdisjoint(taker.stored):
            continue
        if _waits(state, taker, unit):
            continue
        mapping = _axis_map(unit, taker, at, demanded, state.stored)
        crossed = None
        if mapping is None:
            mapping = cross_axes(unit, taker, at, demanded)
            crossed = None if mapping is None else _crossed(state, unit, taker, mapping)
            if crossed is None:
                continue
        if mapping is None or not _agree(state, unit, taker, mapping):
            continue
        if needed or readers != {id(taker)}:
            later = between(state, producer, current, unit, taker)
            if later is None:
                continue
            state.unit_order.merged(unit, taker, later)
        else:
            state.unit_order.absorbed(unit)
        _absorb(state, unit, taker, mapping, crossed)
        return taker
    return None


Crossed = tuple[bool, dict[Variable, IterationMap]]


def _crossed(state: Fusion, source: FusionGroup, target: FusionGroup, mapping: dict[int, int]) -> Crossed | None:
    """What ``crossing.cross`` finds, unless the rows, or other sums across them, depend on the sums."""
    found = cross(source, target, mapping, state.stored)
    if found is None:
        return None
    source_has_rows, sums = found
    rows, other = (source, target) if source_has_rows else (target, source)
    if any(rows in state.demands.get(v, {}) for v in behind(other, sums, state.stored)):
        return None
    return None if _waits(state, other, rows) else found


def _waits(state: Fusion, reader: FusionGroup, group: FusionGroup) -> bool:
    """Whether ``reader`` needs sums across the rows of ``group``, which are known only after its last row."""
    if not group.crossed:
        return False
    return any(reader in state.demands.get(v, {}) for v in behind(group, group.crossed, state.stored))


def _cross_siblings(
    state: Fusion, producer: dict[Variable, Unit], current: Callable[[Unit], Unit], redirect: dict[int, FusionGroup]
) -> bool:
    """Merge a group of sums into one that walks the rows of the same array, though neither reads the other's values."""
    groups = [unit for unit in state.units if isinstance(unit, FusionGroup) and id(unit) not in redirect]
    groups = [unit for unit in groups if unit.inner and unit.machine.any_rows and state.apart.isdisjoint(unit.stored)]
    if len(groups) < 2:
        return False
    readers: dict[Variable, list[tuple[FusionGroup, IterationMap]]] = {}
    for unit in groups:
        for v, at in large_reads(unit, state.stored).items():
            readers.setdefault(v, []).append((unit, at))
    changed: set[int] = set()
    for found in readers.values():
        if len(found) > MOST_SIBLINGS:
            continue
        for (a, at), (b, of_b) in permutations(found, 2):
            if a is b or not changed.isdisjoint((id(a), id(b))) or state.unit_order[a] > state.unit_order[b]:
                continue
            mapping = cross_axes(a, b, at, of_b)
            crossed = None if mapping is None else _crossed(state, a, b, mapping)
            if mapping is None or crossed is None or not _agree(state, a, b, mapping):
                continue
            later = between(state, producer, current, a, b)
            if later is None:
                continue
            state.unit_order.merged(a, b, later)
            _absorb(state, a, b, mapping, crossed)
            redirect[id(a)] = b
            changed |= {id(a), id(b)}
    return bool(changed)


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
    chain = target.chain_behind(source) + source.longest_chain
    if not target.has_room(len(source.members), chain, source.inner is not None):
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
            return mapping if _same_rows(source, target, mapping, stored) else None
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


def _same_rows(source: FusionGroup, target: FusionGroup, mapping: dict[int, int], stored: set[Variable]) -> bool:
    """Whether both groups, whose common value follows all of their axes, may walk the same rows, phase after phase.

    If they need one pass together, long rows are split into parts, as those of each of them alone.
    """
    assert source.inner is not None
    inner = tuple(mapping[a] for a in source.inner)
    if not inner or not (source.worth_rows(source.outer, source.inner) or _one_pass(source, target, stored)):
        return False
    return iteration_maps_fit(target, set(inner)) if target.inner is None else target.inner == inner


def _one_pass(source: FusionGroup, target: FusionGroup, stored: set[Variable]) -> bool:
    """Whether nothing along the rows of either group depends on a reduction of rows."""
    late: list[Variable] = []
    for group in (source, target):
        late += [v for n in group.members for v in n.outputs if isinstance(n.op.record.lower, Reduction)]
        if read_along_rows(group, late, stored):
            return False
    return True


def _over_rows(group: FusionGroup, rows: Sequence[int]) -> bool:
    """Whether every member follows all of these axes, or none, besides axes of length 1.

    Such a group becomes the end of the rows of another one, whose inner axes it gets.
    """
    wanted = wide(group, rows)
    return all(wide(group, found) in (wanted, set()) for found in group.iteration_maps.values())


def _absorb(
    state: Fusion,
    source: FusionGroup,
    target: FusionGroup,
    mapping: dict[int, int],
    crossed: Crossed | None = None,
) -> None:
    """Move the members of ``source`` to ``target``, with axes renamed by ``mapping``; one may have sums across rows."""
    unchanged = all(a == b for a, b in mapping.items())

    def move(iteration_map: IterationMap) -> IterationMap:
        return iteration_map if unchanged else tuple(None if a is None else mapping[a] for a in iteration_map)

    for a, b in sorted(mapping.items(), key=lambda pair: pair[1]):
        if b == len(target.axes):
            target.axes.append(source.axes[a])
    target.crossed.update((v, move(terms)) for v, terms in source.crossed.items())
    if crossed is not None:
        target.crossed.update(crossed[1])
    if source.inner is not None and (target.inner is None or crossed is not None and crossed[0]):
        target.inner = tuple(mapping[a] for a in source.inner)
        target.order = tuple(mapping[a] for a in source.order) if source.order else None
    own = set(target.iteration_maps)
    for value, iteration_map in source.iteration_maps.items():
        target.iteration_maps[value] = move(iteration_map)
    for node in source.members:
        state.group_of[node] = target
    behind = target.chain_behind(source)
    for value, chain in source.chains.items():
        target.chains[value] = max(target.chains.get(value, 1), chain + behind)
    reads = state.reads.get(id(target))
    if reads is not None:
        reads.update(inputs_of(state, source))
        for value in source.iteration_maps:
            reads.pop(value, None)
    if id(target) in state.indexed:
        state.indexed[id(target)] |= indexed_reads(state, source)
    if any(v in source.iteration_maps for v in own):
        known = set(source.members)
        target.members = [node for node in target.members if node not in known]
    target.members.extend(source.members)
    target.stored.extend(source.stored)
    for value in source.demanded:
        demands = state.demands[value]
        demands.setdefault(target, set()).update(map(move, demands.pop(source)))
    target.demanded |= source.demanded
