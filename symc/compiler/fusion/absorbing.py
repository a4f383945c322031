"""One group takes over another: whether their axes and values agree, and the merged group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from symc.compiler.fusion.crossing import behind, cross
from symc.compiler.fusion.dependencies import indexed_reads, inputs_of
from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    is_one,
    iteration_maps_fit,
    read_along_rows,
    wide,
)
from symc.compiler.fusion.placing import Fusion
from symc.graph import Variable, dims
from symc.graph.op import Reduction

__all__ = ["absorb", "agree", "axis_map", "crossed_by", "same_rows", "waits"]

Crossed = tuple[bool, dict[Variable, IterationMap]]


def crossed_by(state: Fusion, source: FusionGroup, target: FusionGroup, mapping: dict[int, int]) -> Crossed | None:
    """What ``crossing.cross`` finds, unless the rows, or other sums across them, depend on the sums."""
    found = cross(source, target, mapping, state.stored)
    if found is None:
        return None
    source_has_rows, sums = found
    rows, other = (source, target) if source_has_rows else (target, source)
    if any(rows in state.demands.get(v, {}) for v in behind(other, sums, state.stored)):
        return None
    return None if waits(state, other, rows) else found


def waits(state: Fusion, reader: FusionGroup, group: FusionGroup) -> bool:
    """Whether ``reader`` needs sums across the rows of ``group``, which are known only after its last row."""
    if not group.crossed:
        return False
    return any(reader in state.demands.get(v, {}) for v in behind(group, group.crossed, state.stored))


def agree(state: Fusion, source: FusionGroup, target: FusionGroup, mapping: dict[int, int]) -> bool:
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


def axis_map(
    source: FusionGroup, target: FusionGroup, at: IterationMap, demanded: IterationMap, stored: set[Variable]
) -> dict[int, int] | None:
    """Map the axes of ``source`` to those of ``target``; None if they are incompatible."""
    chain = target.chain_behind(source) + source.longest_chain
    if not target.has_room_for(source, chain, source.inner is not None):
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
            return mapping if same_rows(source, target, mapping, stored) else None
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
        if tuple(free) != target.inner or not _same_order(source, target, mapping):
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


def same_rows(source: FusionGroup, target: FusionGroup, mapping: dict[int, int], stored: set[Variable]) -> bool:
    """Whether both groups, whose common value follows all of their axes, may walk the same rows, phase after phase.

    If they need one pass together, long rows are split into parts, as those of each of them alone.
    """
    assert source.inner is not None
    inner = tuple(mapping[a] for a in source.inner)
    if not inner or not (source.worth_rows(source.outer, source.inner) or _one_pass(source, target, stored)):
        return False
    if target.inner is None:
        return iteration_maps_fit(target, set(inner))
    return target.inner == inner and _same_order(source, target, mapping)


def _same_order(source: FusionGroup, target: FusionGroup, mapping: dict[int, int]) -> bool:
    """Whether both groups, which have rows, read memory in the same order of axes, where columns may be lanes."""
    if not target.machine.any_rows or not source.order or not target.order:
        return True
    return [mapping[a] for a in source.order] == [a for a in target.order if a in mapping.values()]


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


def absorb(
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
