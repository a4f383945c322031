"""Groups that read the same large arrays become one, though neither reads what the other computes.

A loss and its gradient, the sums of a normalisation, several functions of one tensor: what they have in common is read
from memory once. Either both walk the same elements in the same order, or one of them adds up what the other has in the
cache while it walks rows (``symc.compiler.fusion.crossing``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from symc.compiler.fusion.absorbing import absorb, agree, crossed_by, same_rows
from symc.compiler.fusion.crossing import behind, cross_axes, large_reads, terms_map
from symc.compiler.fusion.dependencies import between, inputs_of
from symc.compiler.fusion.epilogues import row_axes
from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Unit,
    axes_of,
    is_one,
    is_slow_op,
    read_along,
    resolve,
)
from symc.compiler.fusion.placing import Fusion
from symc.compiler.rewrite import failures
from symc.graph import Apply, Variable, dims
from symc.graph.op import Axes, Indexed, Pointwise, Reduction

__all__ = ["merge_siblings"]

NEAREST = 6
"""The number of groups to which one that reads the same array is offered: the next ones in order."""
MOST_STREAMS = 12
"""The number of large arrays that a loop may read and write: processors fetch few at a time ahead."""
MOST_SLOW = 2
"""The number of functions by polynomials in one loop over sums, beyond which their constants exceed the registers."""
SHORTEST = 64
"""The number of elements in a row from which on a loop over them is as good as one over all elements."""

Renaming = dict[int, int]


@dataclass
class Walk:
    """How a group goes through memory: its long axes in order, and before which of them a loop over rows begins.

    ``streams`` are the arrays that follow all of these axes, ``calls`` the results of library calls that it might
    continue, ``slow`` the members that take polynomials.
    """

    axes: list[int]
    cuts: set[int]
    streams: set[Variable]
    calls: set[Variable]
    slow: set[Variable]
    fails: bool


def merge_siblings(
    state: Fusion, producer: dict[Variable, Unit], current: Callable[[Unit], Unit], redirect: dict[int, FusionGroup]
) -> bool:
    """Merge groups that read the same arrays along all of their axes; returns whether there were any."""
    groups = [unit for unit in state.units if isinstance(unit, FusionGroup) and id(unit) not in redirect]
    groups = [unit for unit in groups if unit.machine.any_rows and state.apart.isdisjoint(unit.stored)]
    readers: dict[Variable, list[tuple[FusionGroup, IterationMap]]] = {}
    for unit in groups if len(groups) > 1 else ():
        for v, at in large_reads(unit, state.stored).items():
            if at:
                readers.setdefault(v, []).append((unit, at))
    walks: dict[int, Walk | None] = {}
    moved: dict[int, tuple[FusionGroup, Renaming]] = {}
    for found in readers.values():
        places: dict[int, tuple[FusionGroup, IterationMap]] = {}
        for unit, at in found:
            while id(unit) in moved:
                unit, into = moved[id(unit)]
                at = tuple([None if a is None else into[a] for a in at])
            places[id(unit)] = unit, at
        waiting = sorted(places.values(), key=lambda place: state.unit_order[place[0]])
        while waiting:
            first = waiting.pop(0)
            waiting[:NEAREST] = sorted(waiting[:NEAREST], key=lambda place: state.unit_order[place[0]])
            for other in waiting[:NEAREST]:
                renaming = _merged(state, producer, current, first, other, walks)
                if renaming is not None:
                    redirect[id(first[0])] = other[0]
                    moved[id(first[0])] = other[0], renaming
                    walks.pop(id(other[0]), None)
                    break
    return bool(moved)


def _merged(
    state: Fusion,
    producer: dict[Variable, Unit],
    current: Callable[[Unit], Unit],
    place: tuple[FusionGroup, IterationMap],
    other: tuple[FusionGroup, IterationMap],
    walks: dict[int, Walk | None],
) -> Renaming | None:
    """Merge a group into another one that is later, if that is possible and pays; how its axes are renamed, or None.

    Both read the same array, with these iteration maps.
    """
    (a, at), (b, of_b) = place, other
    if state.unit_order[a] > state.unit_order[b]:
        return None
    renaming = cross_axes(a, b, at, of_b)
    if renaming is None:
        return None
    crossed = None
    if not _walk_alike(state, producer, a, b, renaming, walks):
        crossed = crossed_by(state, a, b, renaming) if a.inner and b.inner else None
        if crossed is None:
            return None
    later = between(state, producer, current, a, b) if agree(state, a, b, renaming) else None
    if later is None:
        return None
    state.unit_order.merged(a, b, later)
    absorb(state, a, b, renaming, crossed)
    return renaming


def _walk_alike(
    state: Fusion,
    producer: dict[Variable, Unit],
    a: FusionGroup,
    b: FusionGroup,
    renaming: Renaming,
    walks: dict[int, Walk | None],
) -> bool:
    """Whether loops over the elements of ``b`` can compute ``a`` as well, and are then as good as those of each."""
    for unit in (a, b):
        if id(unit) not in walks:
            walks[id(unit)] = _walk(state, producer, unit)
    first, second = walks[id(a)], walks[id(b)]
    if first is None or second is None or [renaming[k] for k in first.axes] != second.axes:
        return False
    if first.fails != second.fails or first.calls != second.calls:
        return False
    if len(first.streams | second.streams) > MOST_STREAMS:
        return False
    reducing = a.inner is not None or b.inner is not None
    if reducing and first.slow and second.slow and len(first.slow | second.slow) > MOST_SLOW:
        return False
    if not a.has_room(0, 1) or not b.has_room_for(a, a.longest_chain, a.inner is not None):
        return False
    if _waits_for_sums(state, a, b):
        return False
    back = {m: k for k, m in renaming.items()}
    if not back.keys() >= set(b.inner or ()):
        return False  # an axis of length 1 that only one of them has
    if a.inner is not None:
        if not same_rows(a, b, renaming, state.stored):
            return False
    elif b.inner is not None and not same_rows(b, a, back, state.stored):
        return False
    alone = max(_row(b, second.axes, first.cuts), _row(b, second.axes, second.cuts))
    return _row(b, second.axes, first.cuts | second.cuts) >= min(SHORTEST, alone)


def _waits_for_sums(state: Fusion, source: FusionGroup, reader: FusionGroup) -> bool:
    """Whether ``reader`` needs what ``source`` knows only after a walk through its elements."""
    read = [v for v in source.stored if reader in state.demands.get(v, {})]
    return bool(read) and not behind(source, _reduced(source), state.stored).isdisjoint(read)


def _reduced(group: FusionGroup) -> list[Variable]:
    return [node.outputs[0] for node in group.members if isinstance(node.op.record.lower, Reduction)]


def _row(group: FusionGroup, axes: list[int], cuts: Iterable[int]) -> float:
    """The number of elements that follow each other in memory, if it is known."""
    length = dims.product(group.axes[a] for a in axes[max(cuts, default=0) :])
    return length if type(length) is int else float("inf")


def _walk(state: Fusion, producer: dict[Variable, Unit], group: FusionGroup) -> Walk | None:
    """How a group goes through memory; None if not all that it reads and writes is in the same order."""
    order = [*(group.order or ())]
    order += [a for a in range(len(group.axes)) if a not in order]
    axes = [a for a in order if not is_one(group.axes[a])]
    place = {a: k for k, a in enumerate(axes)}
    maps = set(group.iteration_maps.values())
    streams = {v for v in group.stored if _places(group.iteration_maps[v], place) == list(place.values())}
    for node in group.members:
        for base, at in _reads(state, group, node):
            maps.add(at)
            if _places(at, place) == list(place.values()):
                streams.add(base)
    cuts: set[int] = set()
    for at in maps:
        found = _places(at, place)
        if found != sorted(set(found)):
            return None
        here = set(found)
        cuts |= {k for k in range(1, len(axes)) if (k in here) != (k - 1 in here)}
    inner = set(group.inner or ())
    cuts |= {k for k in range(1, len(axes)) if (axes[k] in inner) != (axes[k - 1] in inner)}
    if any(isinstance(node.op.record.lower, Indexed) and not node.op.record.lower.flat for node in group.members):
        cuts |= set(range(1, len(axes)))
    pointwise = [node for node in group.members if isinstance(node.op.record.lower, Pointwise)]
    slow = {n.outputs[0] for n in pointwise if is_slow_op(n.op, tuple(v.dtype for v in n.inputs))}
    reads = inputs_of(state, group)
    calls = {v for v in reads if isinstance(maker := producer.get(v), Apply) and row_axes(maker)}
    return Walk(axes, cuts, streams, calls, slow, any(map(failures.may_fail, group.members)))


def _places(at: IterationMap, place: dict[int, int]) -> list[int]:
    return [place[a] for a in at if a is not None and a in place]


def _reads(state: Fusion, group: FusionGroup, node: Apply) -> list[tuple[Variable, IterationMap]]:
    """What a member reads from memory element by element, with iteration maps."""
    lower = node.op.record.lower
    at = group.iteration_maps[node.outputs[0]]
    if isinstance(lower, Reduction):
        at = terms_map(group, node)
    elif isinstance(lower, Axes):
        at = tuple(None if k is None else at[k] for k in axes_of(node))
    elif not isinstance(lower, Pointwise):
        return [(v, found) for v, found in read_along(node, at) if v not in group.iteration_maps]
    found = [resolve(v, at, state.stored) for v in node.inputs]
    return [(base, axes) for base, axes in found if base not in group.iteration_maps]
