"""Sums across rows beside the phases of the rows: column sums of a layer norm's gradient, a loss over all elements.

A group walks rows, such as a normalisation and its gradient. Another one adds up the same elements over these rows: for
each column, or all of them. Merged, the terms of the sums are computed while a row is in cache. Each part of the rows
has totals of its own, and ``divided`` separates the loops over rows from those that combine these totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symc.compiler.fusion.groups import FusionGroup, IterationMap, is_one, resolve, source_of, wide
from symc.graph import Apply, Variable, dims
from symc.graph.op import Pointwise, Reduction
from symc.loops.ir import SUM_TERMS

__all__ = ["cross", "cross_axes", "divided", "large_reads", "terms_map"]

SHORTEST = 32
"""The length of rows, if known, from which on sums across them are worth merging."""
LONGEST = 1 << 15
"""The length of rows, if known, up to which each column may have a sum."""


def cross_axes(
    source: FusionGroup, target: FusionGroup, at: IterationMap, demanded: IterationMap
) -> dict[int, int] | None:
    """Map all axes of ``source`` to those of ``target``, where both have the element at ``at`` and ``demanded``."""
    if not target.machine.any_rows:
        return None
    mapping: dict[int, int] = {}
    for a, b in zip(at, demanded):
        if a is None or b is None:
            one = a is None and (b is None or is_one(target.axes[b])) or a is not None and is_one(source.axes[a])
            if not one:
                return None
        elif a in mapping or b in mapping.values():
            return None
        else:
            mapping[a] = b
    missing = [a for a in range(len(source.axes)) if a not in mapping and not is_one(source.axes[a])]
    free = [b for b in range(len(target.axes)) if b not in mapping.values() and not is_one(target.axes[b])]
    if len(missing) != len(free) or not dims.same_shape(
        [source.axes[a] for a in missing], [target.axes[b] for b in free]
    ):
        return None
    mapping.update(zip(missing, free))
    new = len(target.axes)
    for a in range(len(source.axes)):
        if a not in mapping:
            mapping[a] = new
            new += 1
    return mapping


def cross(
    source: FusionGroup, target: FusionGroup, mapping: dict[int, int], stored: set[Variable]
) -> tuple[bool, dict[Variable, IterationMap]] | None:
    """Whether ``source`` has the rows (else ``target`` has), and the sums across them with the axes of their terms.

    All axes are those of ``target``. None if the groups are not of this form.
    """
    same = {a: a for a in range(len(target.axes))}
    if not target.has_room_for(source, 1, reducing=True):
        return None
    for source_has_rows in (True, False):
        rows, other = (source, target) if source_has_rows else (target, source)
        of_rows, of_other = (mapping, same) if source_has_rows else (same, mapping)
        if _walks_rows(rows) and _fits(rows, other, of_rows, of_other, stored):
            found = {
                node.outputs[0]: tuple(None if a is None else of_other[a] for a in terms_map(other, node))
                for node in other.members
                if isinstance(node.op.record.lower, Reduction)
            }
            return source_has_rows, found
    return None


def terms_map(group: FusionGroup, node: Apply) -> IterationMap:
    """The axes that the terms of a reduction follow."""
    crossed = group.crossed.get(node.outputs[0])
    if crossed is not None:
        return crossed
    outer, inner = iter(group.iteration_maps[node.outputs[0]]), iter(group.inner or ())
    return tuple(next(inner) if k in node.op["axes"] else next(outer) for k in range(node.inputs[0].ndim))


def _walks_rows(group: FusionGroup) -> bool:
    """Whether the group goes through rows in memory."""
    if not group.inner or not group.order:
        return False
    order = [a for a in group.order if not is_one(group.axes[a])]
    if not order or order[-1] not in group.inner or all(a in group.inner for a in order):
        return False
    length = dims.product(group.axes[a] for a in group.inner)
    if type(length) is int and length < SHORTEST:
        return False
    return group.worth_rows(group.outer, group.inner)


def _reductions(group: FusionGroup) -> list[Apply]:
    return [node for node in group.members if isinstance(node.op.record.lower, Reduction)]


def _fits(
    rows: FusionGroup,
    other: FusionGroup,
    of_rows: dict[int, int],
    of_other: dict[int, int],
    stored: set[Variable],
) -> bool:
    """Whether ``other`` adds up elements of the rows for each column, or all elements."""
    if not other.inner or other.crossed:
        return False
    everything = {of_rows[a] for a in wide(rows, range(len(rows.axes)))}
    if {of_other[a] for a in wide(other, range(len(other.axes)))} != everything:
        return False
    inner = {of_rows[a] for a in wide(rows, rows.inner or ())}
    reduced = {of_other[a] for a in wide(other, other.inner)}
    kept = everything - reduced
    if kept and kept != inner or not everything - inner <= reduced:
        return False
    if kept:
        length = dims.product(rows.axes[a] for a in rows.inner or ())
        if type(length) is int and length > LONGEST:
            return False
    sums = _reductions(other)
    if not sums or not all(_adds_floats(node) for node in sums):
        return False
    after = behind(other, [node.outputs[0] for node in sums], stored)
    if any(source_of(node.inputs[0], stored) in after for node in sums):
        return False
    if any(not reduced.isdisjoint(of_other[a] for a in wide(other, other.iteration_maps[v])) for v in after):
        return False  # the rows would have to be walked again once the sums are known
    allowed: tuple[set[int], ...] = (set(), everything - inner, everything)
    terms = _needed(other, _row_roots(other, sums, after), after, stored)
    return all({of_other[a] for a in wide(other, other.iteration_maps[v])} in allowed for v in terms)


def _adds_floats(node: Apply) -> bool:
    lower = node.op.record.lower
    return isinstance(lower, Reduction) and lower.combine == "add" and node.outputs[0].dtype in SUM_TERMS


def behind(group: FusionGroup, values: Iterable[Variable], stored: set[Variable]) -> set[Variable]:
    """These values, and the members that depend on them."""
    known = set(values)
    for node in reversed(group.members):  # producers first
        if any(v in known or source_of(v, stored) in known for v in node.inputs):
            known.add(node.outputs[0])
    return known


def _row_roots(group: FusionGroup, sums: Sequence[Apply], after: set[Variable]) -> list[Variable]:
    return [node.inputs[0] for node in sums] + [v for v in group.stored if v not in after]


def _needed(
    group: FusionGroup, roots: Iterable[Variable], without: set[Variable], stored: set[Variable]
) -> set[Variable]:
    """The members from which these values are computed, except those in ``without``."""
    maker = {node.outputs[0]: node for node in group.members}
    found: set[Variable] = set()
    stack = list(roots)
    while stack:
        v = stack.pop()
        v = v if v in maker else source_of(v, stored)
        if v in maker and v not in found and v not in without:
            found.add(v)
            stack.extend(maker[v].inputs)
    return found


def large_reads(group: FusionGroup, stored: set[Variable]) -> dict[Variable, IterationMap]:
    """The variables in memory that a group reads along all of its axes, with their iteration maps."""
    everything = wide(group, range(len(group.axes)))
    found: dict[Variable, IterationMap] = {}
    for node in group.members:
        value = node.outputs[0]
        if isinstance(node.op.record.lower, Pointwise):
            at = group.iteration_maps[value]
        elif isinstance(node.op.record.lower, Reduction):
            at = terms_map(group, node)
        else:
            continue
        for v in node.inputs:
            base, followed = resolve(v, at, stored)
            if base not in group.iteration_maps and wide(group, followed) == everything:
                found.setdefault(base, followed)
    return found


def divided(group: FusionGroup, stored: set[Variable]) -> tuple[FusionGroup, list[FusionGroup]]:
    """The loops over rows, and the groups that combine the sums across them: for each column, and of everything."""
    after = behind(group, group.crossed, stored)
    sums = [node for node in group.members if node.outputs[0] in group.crossed]
    own = [node.outputs[0] for node in _reductions(group) if node.outputs[0] not in after]
    roots = [*_row_roots(group, sums, after), *own]
    members = _needed(group, roots, after, stored) | group.crossed.keys()
    rows = _part(group, members, group.inner or (), [v for v in group.stored if v not in after])
    made = []
    for columns in (True, False):
        mine = [v for v in group.crossed if bool(wide(group, group.iteration_maps[v])) == columns]
        if mine:
            known = behind(group, mine, stored)
            targets = [v for v in group.stored if v in known]
            members = _needed(group, targets, set(group.crossed), stored) | set(mine)
            reduced = wide(group, group.outer if columns else range(len(group.axes)))
            made.append(_part(group, members, tuple(reduced), targets))
    return rows, made


def _part(group: FusionGroup, members: set[Variable], inner: Sequence[int], targets: list[Variable]) -> FusionGroup:
    """The group of some of the members, with other inner axes, that stores ``targets``."""
    order = [*(group.order or ())]
    order += [a for a in range(len(group.axes)) if a not in order]
    nodes = [node for node in group.members if node.outputs[0] in members]
    return FusionGroup(
        group.machine,
        list(group.axes),
        tuple(a for a in order if a in set(inner)),
        tuple(order),
        {node.outputs[0]: group.iteration_maps[node.outputs[0]] for node in nodes},
        nodes,
        stored=targets,
        placed={v: group.placed[v] for v in targets if v in group.placed},
        crossed=group.crossed,
    )
