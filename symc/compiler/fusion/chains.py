"""Chains of convolutions that one kernel computes, so that what is between them stays in the caches.

A pointwise convolution, a depthwise one and another pointwise one are made of few operations per element: most of their
time would go into values that one stores and the next reads. Such convolutions, with their epilogues, form a chain if
each alone reads the result of the one before. A back end decides at call time, by their shapes, which of them it
computes band by band.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from symc.compiler.fusion.epilogues import reads_of, unit_readers
from symc.compiler.fusion.groups import FusionGroup, Unit, results
from symc.graph import Apply, Variable
from symc.graph.op import LibraryCall
from symc.loops.calls import CALLS

__all__ = ["chains_of"]

_CHAINS = ("pointwise depthwise pointwise", "pointwise depthwise", "depthwise pointwise")


def chains_of(
    units: Sequence[Unit], stored: set[Variable], outputs: Iterable[Variable], placed: Container[Variable]
) -> dict[int, int]:
    """The chains among units that follow one another: the position of the first unit, and their number.

    Values in ``placed`` are parts of other tensors, and not what a chain passes on.
    """
    kinds = [_kind(unit) for unit in units]
    if "depthwise" not in kinds:
        return {}
    readers = unit_readers(units, stored, outputs)
    linked = [False] * len(units)  # to the unit before
    for k in range(1, len(units)):
        linked[k] = bool(kinds[k - 1] and kinds[k]) and _passes_on(units[k - 1], units[k], stored, readers, placed)
    found: dict[int, int] = {}
    at = 0
    while at < len(units):
        found[at] = count = next(
            (n for n in (3, 2) if all(linked[at + 1 : at + n]) and " ".join(kinds[at : at + n]) in _CHAINS), 1
        )
        at += count
    return {at: count for at, count in found.items() if count > 1}


def _convolution(unit: Unit) -> Apply | None:
    """The convolution of a unit, with or without an epilogue."""
    node = unit.call if isinstance(unit, FusionGroup) else unit
    lower = None if node is None else node.op.record.lower
    return node if isinstance(lower, LibraryCall) and lower.name == "conv2d_forward" else None


def _kind(unit: Unit) -> str:
    node = _convolution(unit)
    if node is None or node.outputs[0].dtype not in ("float32", "float64"):
        return ""
    lower = node.op.record.lower
    assert isinstance(lower, LibraryCall)
    p = dict(zip(CALLS[lower.name].params, lower.params(node)))
    if type(p["groups"]) is int and p["groups"] > 1 and p["groups"] == p["C"]:
        return "depthwise"
    plain = {"R": 1, "S": 1, "stride_h": 1, "stride_w": 1, "pad_top": 0, "pad_left": 0, "groups": 1}
    return "pointwise" if all(type(p[name]) is int and p[name] == n for name, n in plain.items()) else ""


def _passes_on(
    unit: Unit, reader: Unit, stored: set[Variable], readers: dict[Variable, int], placed: Container[Variable]
) -> bool:
    """Whether the result of ``unit`` is read by the convolution of ``reader`` alone, and by that as its images."""
    made, node = results(unit), _convolution(reader)
    assert node is not None
    if len(made) != 1 or made[0].dtype != node.outputs[0].dtype or made[0] in placed:
        return False
    if readers.get(made[0]) != 1 or node.inputs[0] is not made[0] or made[0] in node.inputs[1:]:
        return False
    if not isinstance(reader, FusionGroup):
        return True
    return all(base is not made[0] for member in reader.members for base, _ in reads_of(member, reader, stored))
