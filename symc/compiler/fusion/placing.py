"""The walk from outputs to inputs: every op joins the group of its consumers, or starts one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Unit,
    axes_of,
    base_of,
    is_inline,
    itermaps_fit,
    read_along_rows,
    resolve,
    same,
)
from symc.compiler.target import CPU, Target
from symc.graph import Apply, Constant, Variable, toposort
from symc.graph.op import Axes, Indexed, Pointwise, Reduction


class Fusion:
    """The state of the pass: units so far, who reads what, and what lies in memory."""

    def __init__(
        self, outputs: Sequence[Variable], machine: Target = CPU, binding: Mapping[Any, Variable] | None = None
    ) -> None:
        self.machine = machine
        self.binding = {s: base_of(v) for s, v in (binding or {}).items()}  # symbols that are values of this graph
        self.apart = set(self.binding.values())
        self.order = toposort(outputs)
        self.outputs = list(outputs)
        self.stored: set[Variable] = set()  # values that need memory of their own
        self.demands: dict[Variable, dict[FusionGroup, set[IterationMap]]] = {}  # who reads a value, and where
        self.group_of: dict[Apply, FusionGroup] = {}
        self.units: list[Unit] = []
        self.lowered: dict[Any, Any] = {}
        self.rank: dict[int, tuple[int, int]] = {}
        self.reads: dict[int, list[Variable]] = {}  # what units read, while groups are being merged
        self.indexed: dict[int, set[Variable]] = {}  # what groups read at computed positions, likewise

    def place_all(self) -> None:
        """Give every op its unit; ``units`` then stand from consumers to producers."""
        for v in self.outputs:
            self.need(v)
        for node in self.order:
            lower = node.op.record.lower
            if lower is None:
                raise TypeError(f"{node.op.name} has neither loops nor an expansion: its record is incomplete")
            if not isinstance(lower, (Pointwise, Axes, Reduction)):
                for v in node.inputs:
                    self.need(v)
        self.needed = set(self.stored)
        for node in reversed(self.order):
            self.place(node)

    def need(self, variable: Variable) -> None:
        """``variable`` must lie in memory: somebody reads it at indices of their own."""
        if variable.owner is not None or isinstance(variable, Constant):
            self.stored.add(variable)

    def place(self, node: Apply) -> None:
        """Join the group of the consumers, if they agree on one; else start a unit, if the value is wanted at all."""
        lower = node.op.record.lower
        if not isinstance(lower, (Pointwise, Reduction, Indexed, Axes)):
            if any(v in self.stored for v in node.outputs) or any(self.demands.get(v) for v in node.outputs):
                self.units.append(node)
            return
        (value,) = node.outputs
        demands = self.demands.get(value, {})
        if value not in self.stored and (isinstance(lower, Axes) or is_inline(value)):
            return  # no memory of its own: consumers read through it, and have noted what lies behind
        if value not in self.stored and len(demands) == 1:
            ((group, itermaps),) = demands.items()
            if len(itermaps) == 1 and self.join(group, node, next(iter(itermaps))):
                return
        if value in self.stored or demands:
            self.start(node)

    def start(self, node: Apply) -> None:
        """A group of its own for ``node``."""
        (value,) = node.outputs
        group = FusionGroup(self.machine, lowered=self.lowered)
        group.axes = list(value.type.shape)
        self.units.append(group)
        self.stored.add(value)
        group.stored.append(value)
        if not self.join(group, node, tuple(range(len(group.axes)))):
            raise AssertionError(f"{node.op.name} cannot start a group")

    def join(self, group: FusionGroup, node: Apply, itermap: IterationMap) -> bool:
        """Make ``node`` a member of ``group`` with its output at ``itermap``, if that is sound and worth it."""
        lower = node.op.record.lower
        if len(group.members) >= group.machine.group_limit:
            return False
        input_itermap = itermap
        if isinstance(lower, Reduction):
            found = _reduction_itermap(group, node, itermap)
            if found is None:
                return False
            if read_along_rows(group, node.outputs, self.stored) and not group.worth_rows(
                group.outer, group.inner or ()
            ):
                return False
            input_itermap = found
        elif not _covers(group, itermap) and not _hoist(group, itermap):
            return False
        group.members.append(node)
        group.itermaps[node.outputs[0]] = itermap
        self.group_of[node] = group
        if isinstance(lower, (Pointwise, Reduction)):
            for v in node.inputs:
                self.demand(group, v, input_itermap)
        elif isinstance(lower, Axes):
            self.demand(group, node.inputs[0], tuple(None if k is None else itermap[k] for k in axes_of(node)))
        return True

    def demand(self, group: FusionGroup, variable: Variable, itermap: IterationMap) -> None:
        """Note that ``group`` reads ``variable`` at ``itermap``: whoever computes it may join."""
        base, found = resolve(variable, itermap, self.stored)
        if base.owner is not None:
            self.demands.setdefault(base, {}).setdefault(group, set()).add(found)
            group.demanded.add(base)


def _covers(group: FusionGroup, itermap: IterationMap) -> bool:
    """Does a value at ``itermap`` get computed once only? It must follow all axes, or all outer ones, or none."""
    used = {a for a in itermap if a is not None}
    if not used or len(used) == len(group.axes):
        return True
    return group.inner is not None and used == set(group.outer) or group.inner is None and _unit_axes(group, used)


def _hoist(group: FusionGroup, itermap: IterationMap) -> bool:
    """Let a value that follows only the leading axes in: the others become inner ones, it is computed once a row."""
    used = [a for a in itermap if a is not None]
    rest = tuple(range(len(used), len(group.axes)))
    if group.inner is not None or not used or used != list(range(len(used))) or not group.worth_rows(used, rest):
        return False
    if not itermaps_fit(group, set(rest)):
        return False
    group.inner, group.order = rest, tuple(range(len(group.axes)))
    return True


def _unit_axes(group: FusionGroup, used: set[int]) -> bool:
    """Without reductions yet: is every axis left out of length 1, or could it become inner (a reduction decides)?"""
    return all(size == 1 for a, size in enumerate(group.axes) if a not in used)


def _reduction_itermap(group: FusionGroup, node: Apply, itermap: IterationMap) -> IterationMap | None:
    """The itermap of a reduction's input, choosing (or adding) the group axes it reduces over; None if it does not
    fit."""
    (x,) = node.inputs
    reduced = [x.type.shape[k] for k in node.op["axes"]]
    used = [a for a in itermap if a is not None]
    if len(set(used)) != len(used):
        return None
    free = [a for a in range(len(group.axes)) if a not in used]
    if group.inner is not None:
        if tuple(free) != group.inner or not same(reduced, [group.axes[a] for a in free]):
            return None
    elif free:
        if not used or not same(reduced, [group.axes[a] for a in free]) or not group.worth_rows(used, free):
            return None
    else:
        free = list(range(len(group.axes), len(group.axes) + len(reduced)))
        group.axes.extend(reduced)
    outer, inner = iter(itermap), iter(free)
    found = tuple(next(inner) if k in node.op["axes"] else next(outer) for k in range(x.ndim))
    if group.inner is None:
        group.inner = tuple(free)
        group.order = tuple(a for a in found if a is not None)
    return found
