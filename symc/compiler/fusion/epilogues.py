"""Library calls take the elementwise ops that follow them as epilogues.

A bias, an activation or a residual is added to the parts of a convolution while these are in the cache. Any group of
elementwise ops without reductions becomes an epilogue, if it alone reads the output of the call, element by element,
and if its other operands follow a row of that output (the pixels of a map) in full or not at all. A row may be one of
vectors, such as pixels of 32 channels: then operands may also follow the vectors alone.

A group with reductions is divided if it stores a value that such an epilogue could compute, and reduces only this: the
gradient of a rectifier is one, of which a bias needs the sum. The sum then reads the value alone.

A group that reads several calls continues the last of them. What it computes of another call alone becomes the epilogue
of that call if this takes less memory than the output of the call: a sum of two convolutions, one of which is rounded,
reads the rounded one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Unit,
    base_of,
    external_reads,
    is_dim,
    is_inline,
    is_one,
    resolve,
)
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.dtypes import BITS, is_float
from symc.graph.op import LibraryCall, Pointwise
from symc.loops.calls import CALLS

__all__ = ["reads_of", "row_axes", "rows_of_vectors", "unit_readers", "with_epilogues"]


SHORTEST = 8
"""Of rows of so few elements, another loop has several in a vector, while an epilogue computes one row at a time."""


def with_epilogues(units: Sequence[Unit], stored: set[Variable], outputs: Iterable[Variable]) -> list[Unit]:
    """Let groups begin with the library call that they continue; such a unit stands where the group stood."""
    calls = {unit.outputs[0]: unit for unit in units if not isinstance(unit, FusionGroup) and _takes_epilogue(unit)}
    if not calls:
        return list(units)
    readers = unit_readers(units, stored, outputs)
    place = {id(unit): k for k, unit in enumerate(units)}
    gone: set[int] = set()
    before: dict[int, list[FusionGroup]] = {}
    for whole in units:
        if not isinstance(whole, FusionGroup) or whole.call is not None:
            continue
        unit = _elementwise_part(whole, stored) if whole.inner else whole
        if unit is None:
            continue
        found = [
            calls[v]
            for v in external_reads(unit, stored)
            if v in calls and readers.get(v) == 1 and _continues(unit, calls[v], stored)
        ]
        if found:
            unit.call = max(found, key=lambda node: place[id(node)])
            gone.add(id(unit.call))
            if unit is not whole:
                _take_from(whole, unit)
                before[id(whole)] = [unit]
            for node in found:
                part = _narrower_part(unit, node, found, stored) if node is not unit.call else None
                if part is not None:
                    _take_from(unit, part)
                    stored.update(part.stored)
                    gone.add(id(node))
                    before[id(whole)] = [part, *before.get(id(whole), [])]
    return [u for unit in units if id(unit) not in gone for u in (*before.get(id(unit), ()), unit)]


def _narrower_part(
    group: FusionGroup, node: Apply, calls: Iterable[Apply], stored: set[Variable]
) -> FusionGroup | None:
    """What a group computes of one of the calls that it reads alone, in fewer bytes, as the epilogue of that call.

    Nothing else of the group may read what it computes on the way. The members of the group stay as they are.
    """
    out = node.outputs[0]
    elsewhere = {*group.iteration_maps, *(call.outputs[0] for call in calls)}
    behind: dict[Variable, set[Variable]] = {out: set()}  # for each value of this call alone, it and those before it
    for member in reversed(group.members):  # producers first
        bases = {base for base, _ in reads_of(member, group, stored)}
        mine = bases & behind.keys()
        if mine and elsewhere.isdisjoint(bases - mine):
            behind[member.outputs[0]] = {member.outputs[0]}.union(*(behind[v] for v in mine))
    for member in group.members:  # consumers first
        value = member.outputs[0]
        taken = behind.get(value, set())
        if not taken or BITS[value.dtype] >= BITS[out.dtype] or not taken.isdisjoint(group.stored):
            continue
        hidden = {out, *taken} - {value}
        others = [m for m in group.members if m.outputs[0] not in taken]
        if any(base in hidden for m in others for base, _ in reads_of(m, group, stored)):
            continue
        members = [m for m in group.members if m.outputs[0] in taken]
        maps = {v: group.iteration_maps[v] for v in taken}
        axes = list(group.axes)
        return FusionGroup(group.machine, axes, None, None, maps, members, [value], lowered=group.lowered, call=node)
    return None


def _elementwise_part(group: FusionGroup, stored: set[Variable]) -> FusionGroup | None:
    """What a group with reductions stores element by element, as a group, if its other members read nothing else of it.

    The members of the group stay as they are.
    """
    kept = [v for v in group.stored if _is_full(group, group.iteration_maps[v])]
    if not kept or len({group.iteration_maps[v] for v in kept}) > 1:
        return None
    order = group.iteration_maps[kept[0]]
    taken = {v.owner for v in kept}
    behind: set[Variable] = set()  # what the remaining members read
    for node in group.members:  # consumers first
        value = node.outputs[0]
        inputs = {resolve(v, (None,) * v.ndim, stored)[0] for v in node.inputs}
        if node not in taken:
            behind |= inputs
        elif value not in kept and value in behind or not isinstance(node.op.record.lower, Pointwise):
            return None
        elif group.iteration_maps[value] != order:
            return None
        else:
            taken |= {v.owner for v in inputs if v in group.iteration_maps}
    members = [node for node in group.members if node in taken]
    maps: dict[Variable, IterationMap] = {n.outputs[0]: tuple(range(len(order))) for n in members}
    axes = [group.axes[a] for a in order if a is not None]
    return FusionGroup(group.machine, axes, None, None, maps, members, kept, lowered=group.lowered)


def _is_full(group: FusionGroup, found: IterationMap) -> bool:
    """Whether a value with this iteration map has an element for each iteration."""
    return sorted(a for a in found if a is not None) == list(range(len(group.axes))) and None not in found


def _take_from(group: FusionGroup, part: FusionGroup) -> None:
    """Remove the members of a part from the group, which reads the values that the part stores from memory."""
    taken = set(part.members)
    group.members = [node for node in group.members if node not in taken]
    group.stored = [v for v in group.stored if v.owner not in taken]
    group.iteration_maps = {v: m for v, m in group.iteration_maps.items() if v.owner not in taken}


def row_axes(node: Apply) -> int:
    """The number of axes of the output of a library call that make up a row for an epilogue."""
    lower = node.op.record.lower
    return CALLS[lower.name].row_axes if isinstance(lower, LibraryCall) else 0


def rows_of_vectors(node: Apply) -> bool:
    """Whether a row of the output of a library call is one of vectors; see ``CallSpec``."""
    lower = node.op.record.lower
    return isinstance(lower, LibraryCall) and CALLS[lower.name].rows_of_vectors


def _takes_epilogue(node: Apply) -> bool:
    count = row_axes(node)
    if not count or len(node.outputs) != 1 or not is_float(node.outputs[0].dtype):
        return False
    shape = node.outputs[0].type.shape
    row = dims.product(shape[-count:])
    return len(shape) > count and not (type(row) is int and row <= SHORTEST)


def unit_readers(units: Sequence[Unit], stored: set[Variable], outputs: Iterable[Variable]) -> dict[Variable, int]:
    """How many units read each value in memory; results of the program and values read through views count twice."""
    readers: dict[Variable, int] = {base_of(v): 2 for v in outputs}
    for unit in units:
        for v in external_reads(unit, stored) if isinstance(unit, FusionGroup) else unit.inputs:
            base = base_of(v)
            readers[base] = readers.get(base, 0) + (1 if base is v else 2)
    return readers


def _continues(group: FusionGroup, node: Apply, stored: set[Variable]) -> bool:
    """Whether the group reads the output of ``node`` element by element, and other operands by whole rows of it."""
    out = node.outputs[0]
    if not dims.same_shape(group.axes, out.type.shape):
        return False
    full = tuple(range(len(group.axes)))
    columns = tuple(a for a in full[-row_axes(node) :] if not is_one(group.axes[a]))
    followed = ((), columns, columns[-1:]) if rows_of_vectors(node) else ((), columns)
    for member in group.members:
        lower = member.op.record.lower
        if not isinstance(lower, Pointwise):
            return False
        for base, found in reads_of(member, group, stored):
            if base is out and found != full:
                return False
            if base is not out and base not in stored and is_inline(base) and not is_dim(base):
                return False  # it may read at other positions
            along = tuple(a for a in found if a in columns)
            if along not in followed or along and _after(found, columns[-1]):
                return False
    return all(group.iteration_maps[v] == full for v in group.stored)


def reads_of(member: Apply, group: FusionGroup, stored: set[Variable]) -> list[tuple[Variable, tuple[int | None, ...]]]:
    """What a member reads, with iteration maps."""
    found = group.iteration_maps[member.outputs[0]]
    return [resolve(v, found, stored) for v in member.inputs if not (isinstance(v, Constant) and v.data.size == 1)]


def _after(found: Sequence[int | None], last: int) -> bool:
    """Whether other axes follow the last axis of a row: then a row is not contiguous."""
    return any(a is not None for a in found[list(found).index(last) + 1 :])
