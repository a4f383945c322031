"""Results that are joined or changed afterwards are written to their places in the joined or changed tensor at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from symc.compiler.fusion import FusionGroup, Placement, Unit, external_reads
from symc.compiler.fusion.groups import is_one, joined_axis
from symc.compiler.lowering.sharing import viewed
from symc.graph import Apply, Variable, dims
from symc.graph.op import LibraryCall, Loops

__all__ = ["Placed", "placed_results"]

Placed = dict[Variable, tuple[Apply, Placement]]
"""Maps results to the op that joins or changes them, and to their places in its output."""


def placed_results(
    units: Sequence[Unit], stored: set[Variable], outputs: Iterable[Variable], may_hold: Callable[[Variable], bool]
) -> Placed:
    """Find the results that only an op that joins or changes tensors reads, and that can be written into its output.

    Results of groups may have any place. Those of library calls, which write contiguous memory, must be contiguous
    there. ``may_hold`` tells whether memory of a join can be written before the op itself runs.
    """
    joins = [unit for unit in units if not isinstance(unit, FusionGroup) and _has_places(unit)]
    if not joins:
        return {}
    makers = {v: unit for unit in units for v in (unit.stored if isinstance(unit, FusionGroup) else unit.outputs)}
    readers = _readers(units, stored, outputs)
    found: Placed = {}
    for node in joins:
        out = node.outputs[0]
        if not may_hold(out) or out in found:
            continue
        axis = joined_axis(node)
        if axis is None:
            v = node.inputs[node.op.record.lower.in_place]
            if readers.get(v) == 1 and v.dtype == out.dtype and v in makers and _can_write(makers[v], True):
                found[v] = node, Placement(0, dims.product(out.type.shape), 0, True)
            continue
        width = dims.product(out.type.shape[axis:])
        contiguous = all(is_one(d) for d in out.type.shape[:axis])
        offset: dims.Dim = 0
        for v in node.inputs:
            maker = makers.get(v)
            if readers.get(v) == 1 and maker is not None and _can_write(maker, contiguous):
                found[v] = node, Placement(axis, width, offset, contiguous)
            offset = dims.add(offset, dims.product(v.type.shape[axis:]))
    return found


def _has_places(node: Apply) -> bool:
    lower = node.op.record.lower
    return joined_axis(node) is not None or isinstance(lower, Loops) and lower.in_place is not None


def _can_write(maker: Unit, contiguous: bool) -> bool:
    if isinstance(maker, FusionGroup):
        return True
    return contiguous and isinstance(maker.op.record.lower, LibraryCall) and len(maker.outputs) == 1


def _readers(units: Sequence[Unit], stored: set[Variable], outputs: Iterable[Variable]) -> Mapping[Variable, int]:
    """How often each value in memory is read, by itself or through views, which count twice."""
    readers: dict[Variable, int] = {viewed(v)[0]: 2 for v in outputs}
    for unit in units:
        for v in external_reads(unit, stored) if isinstance(unit, FusionGroup) else unit.inputs:
            base = viewed(v)[0]
            readers[base] = readers.get(base, 0) + (1 if base is v else 2)
    return readers
