"""The second traversal: merge a group with its producer over the same axes, if that creates no cycle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symc.compiler.fusion.absorbing import absorb, agree, axis_map, crossed_by, waits
from symc.compiler.fusion.crossing import cross_axes
from symc.compiler.fusion.dependencies import between, inputs_of, sorted_units
from symc.compiler.fusion.groups import FusionGroup, IterationMap, Unit, agreed, is_one, joined_axis, results
from symc.compiler.fusion.placing import Fusion
from symc.compiler.fusion.siblings import merge_siblings
from symc.compiler.fusion.unit_order import UnitOrder
from symc.graph import Variable, dims

MOST_JOINED = 32
"""The number of joined tensors up to which they are computed together."""


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
    joined = False
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
        if len(redirect) > before:
            continue
        if not joined:  # before siblings are merged, whose axes may be others
            joined = True
            _merge_joined(state, producer, current, redirect)
        if len(redirect) == before and not merge_siblings(state, producer, current, redirect):
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
    _merge_groups(state, producer, current, redirect, last, others)


def _merge_joined(
    state: Fusion, producer: dict[Variable, Unit], current: Callable[[Unit], Unit], redirect: dict[int, FusionGroup]
) -> None:
    """Merge the groups whose elements take turns in a joined tensor, so that they are stored together."""
    if not state.machine.any_rows:
        return
    for unit in state.units:
        if isinstance(unit, FusionGroup):
            continue
        axis = joined_axis(unit)
        if (
            axis is None
            or len(unit.inputs) > MOST_JOINED
            or not all(is_one(d) for v in unit.inputs for d in v.type.shape[axis:])
        ):
            continue
        groups: list[FusionGroup] = []
        for v in unit.inputs:
            group = producer.get(v)
            group = None if group is None else current(group)
            if isinstance(group, FusionGroup) and group.inner is None and state.apart.isdisjoint(group.stored):
                groups.append(group)
        groups = sorted({id(g): g for g in groups}.values(), key=state.unit_order.__getitem__, reverse=True)
        if len(groups) > 1 and all(dims.same_shape(g.axes, groups[0].axes) for g in groups):
            _merge_groups(state, producer, current, redirect, groups[0], groups[1:])


def _merge_groups(
    state: Fusion,
    producer: dict[Variable, Unit],
    current: Callable[[Unit], Unit],
    redirect: dict[int, FusionGroup],
    last: FusionGroup,
    others: Sequence[FusionGroup],
) -> None:
    """Merge groups over the same axes that do not read each other into the ``last`` one, if it has room for all."""
    if not last.has_room(sum(len(g.members) for g in others), max(g.longest_chain for g in (last, *others))):
        return
    for unit in others:
        same = {a: a for a in range(len(unit.axes))}
        if not inputs_of(state, last).keys().isdisjoint(unit.stored) or not agree(state, unit, last, same):
            continue
        later = between(state, producer, current, unit, last)
        if later is not None:
            state.unit_order.merged(unit, last, later)
            absorb(state, unit, last, same)
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
        if waits(state, taker, unit):
            continue
        mapping = axis_map(unit, taker, at, demanded, state.stored)
        crossed = None
        if mapping is None:
            mapping = cross_axes(unit, taker, at, demanded)
            crossed = None if mapping is None else crossed_by(state, unit, taker, mapping)
            if crossed is None:
                continue
        if mapping is None or not agree(state, unit, taker, mapping):
            continue
        if needed or readers != {id(taker)}:
            later = between(state, producer, current, unit, taker)
            if later is None:
                continue
            state.unit_order.merged(unit, taker, later)
        else:
            state.unit_order.absorbed(unit)
        absorb(state, unit, taker, mapping, crossed)
        return taker
    return None


def _read_only_by(unit: FusionGroup, readers: dict[FusionGroup, set[IterationMap]]) -> bool:
    return not readers or len(readers) == 1 and unit in readers
