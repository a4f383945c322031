"""The traversal from outputs to inputs: every op joins the group of its consumers, or starts a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symc.compiler.fusion.compared import compared_again
from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Unit,
    agreed,
    axes_of,
    base_of,
    is_dim,
    is_inline,
    is_one,
    is_slow_op,
    iteration_maps_fit,
    read_along,
    read_along_rows,
    read_elsewhere,
    resolve,
    source_of,
    wide,
)
from symc.compiler.fusion.unit_order import UnitOrder
from symc.compiler.rewrite import failures
from symc.compiler.target import CPU, Target
from symc.graph import Apply, Constant, Graph, Variable, dims
from symc.graph.op import Axes, Indexed, Loops, Pointwise, Reduction

SHORTEST_PIECE = 32
"""The number of contiguous elements from which a row may consist of several pieces."""

MOST_COPIES = 8
"""The largest number of groups in which a cheap op is computed instead of storing its value."""
CHAIN = 6
"""The largest number of such ops in a row."""


class Fusion:
    """The state of the pass: units so far, readers of values, and values stored in memory."""

    def __init__(
        self, outputs: Sequence[Variable], machine: Target = CPU, binding: Mapping[Any, Variable] | None = None
    ) -> None:
        self.machine = machine
        self.binding = {s: base_of(v) for s, v in (binding or {}).items()}  # symbols that are values of this graph
        self.apart = set(self.binding.values())
        self.order = Graph.of(outputs).order
        self.outputs = list(outputs)
        self.stored: set[Variable] = set()  # values that need memory
        self.demands: dict[Variable, dict[FusionGroup, set[IterationMap]]] = {}  # readers of a value, and their maps
        self.group_of: dict[Apply, FusionGroup] = {}
        self.units: list[Unit] = []
        self.lowered: dict[Any, Any] = {}
        self.unit_order = UnitOrder([])  # while groups are merged
        self.reads: dict[int, dict[Variable, None]] = {}  # inputs of units, while groups are merged
        self.indexed: dict[int, set[Variable]] = {}  # reads of groups at computed positions, likewise

    def place_all(self) -> None:
        """Assign every op to a unit; ``units`` are then ordered from consumers to producers."""
        for v in self.outputs:
            self.need(v)
        for node in self.order:
            lower = node.op.record.lower
            if lower is None:
                raise TypeError(f"{node.op.name} has neither loops nor an expansion: its record is incomplete")
            if not isinstance(lower, (Pointwise, Axes, Reduction)):
                for v in read_elsewhere(node):
                    if not (isinstance(lower, (Indexed, Loops)) and is_dim(v)):
                        self.need(v)
        for v in compared_again(self.order, self.outputs):
            self.need(v)
        self.needed = set(self.stored)
        for node in reversed(self.order):
            self.place(node)

    def need(self, variable: Variable) -> None:
        """Store ``variable`` in memory, because it is read at other indices."""
        if variable.owner is not None or isinstance(variable, Constant):
            self.stored.add(variable)

    def place(self, node: Apply) -> None:
        """Join the group of the consumers, if they agree on one; otherwise start a unit, if the value is used."""
        lower = node.op.record.lower
        if not isinstance(lower, (Pointwise, Reduction, Indexed, Axes)):
            if any(v in self.stored for v in node.outputs) or any(self.demands.get(v) for v in node.outputs):
                self.units.append(node)
            return
        (value,) = node.outputs
        demands = self.demands.get(value, {})
        if value not in self.stored and (isinstance(lower, Axes) or is_inline(value)):
            return  # no memory: consumers read through it, and have recorded its source
        if value not in self.stored and len(demands) == 1:
            ((group, iteration_maps),) = demands.items()
            at = agreed(value, iteration_maps)
            if at is not None and self.join(group, node, at):
                return
        if value not in self.stored and len(demands) > 1 and self.recompute(node, demands):
            return
        if value in self.stored or demands:
            self.start(node)

    def recompute(self, node: Apply, demands: Mapping[FusionGroup, set[IterationMap]]) -> bool:
        """Add a cheap op to all groups that read its value, if they then read no more memory than with it stored."""
        if not self.machine.any_rows or len(demands) > MOST_COPIES or not self.is_cheap(node):
            return False
        groups = {group: next(iter(maps)) for group, maps in demands.items() if len(maps) == 1}
        if len(groups) < len(demands) or not all(
            group.has_room(1, group.chains[node.outputs[0]]) and _covers(group, found)
            for group, found in groups.items()
        ):
            return False
        for group, found in groups.items():
            if not self.join(group, node, found):
                raise AssertionError(f"{node.op.name} cannot be recomputed")
        return True

    def is_cheap(self, node: Apply, depth: int = CHAIN) -> bool:
        """Whether a value takes at most ``depth`` elementwise operations, and one array of its size, to compute."""
        if depth == 0 or not isinstance(node.op.record.lower, Pointwise) or failures.may_fail(node):
            return False
        if is_slow_op(node.op, tuple(v.dtype for v in node.inputs)):
            return False
        extent = _extent(node.outputs[0])
        large = 0
        for v in node.inputs:
            base = source_of(v, self.stored)
            if isinstance(base, Constant) or is_inline(base) and base not in self.stored:
                continue
            if _extent(base) < extent:
                continue
            large += extent > 0  # a number takes no memory to speak of
            if large > 1:
                return False
            if base.owner is None or base in self.stored or isinstance(base.owner.op.record.lower, Reduction):
                continue
            if not self.is_cheap(base.owner, depth - 1):
                return False
        return True

    def start(self, node: Apply) -> None:
        """Start a new group for ``node``."""
        (value,) = node.outputs
        group = FusionGroup(self.machine, lowered=self.lowered)
        group.axes = list(value.type.shape)
        self.units.append(group)
        self.stored.add(value)
        group.stored.append(value)
        if not self.join(group, node, tuple(range(len(group.axes)))):
            raise AssertionError(f"{node.op.name} cannot start a group")

    def join(self, group: FusionGroup, node: Apply, iteration_map: IterationMap) -> bool:
        """Add ``node`` to ``group`` with the iteration map ``iteration_map``, if that is correct and worthwhile."""
        lower = node.op.record.lower
        chain = group.chains.setdefault(node.outputs[0], 1)
        if not group.has_room(1, chain, isinstance(lower, Reduction)):
            return False
        input_iteration_map = iteration_map
        if isinstance(lower, Reduction):
            found = _reduction_iteration_map(group, node, iteration_map)
            if found is None:
                return False
            if read_along_rows(group, node.outputs, self.stored) and not group.worth_rows(
                group.outer, group.inner or ()
            ):
                return False
            input_iteration_map = found
        elif not _covers(group, iteration_map) and not _hoist(group, iteration_map):
            return False
        group.members.append(node)
        group.iteration_maps[node.outputs[0]] = iteration_map
        self.group_of[node] = group
        if isinstance(lower, (Pointwise, Reduction)):
            for v in node.inputs:
                self.demand(group, v, input_iteration_map, chain + 1)
        elif isinstance(lower, Axes):
            found = tuple(None if k is None else iteration_map[k] for k in axes_of(node))
            self.demand(group, node.inputs[0], found, chain)
        else:
            for v, found in read_along(node, iteration_map):
                base = source_of(v, self.stored)
                if not is_inline(base) and not _covers(group, found) and not _leads(group, found):
                    self.need(base)  # few indices, for which loops would be in another order than memory
                self.demand(group, v, found, chain + 1)
        return True

    def demand(self, group: FusionGroup, variable: Variable, iteration_map: IterationMap, chain: int) -> None:
        """Record that ``group`` reads ``variable`` at ``iteration_map``: its producer may join, with such a chain."""
        base, found = resolve(variable, iteration_map, self.stored)
        if base.owner is not None:
            group.chains[base] = max(group.chains.get(base, 1), chain)
            self.demands.setdefault(base, {}).setdefault(group, set()).add(found)
            group.demanded.add(base)


def _covers(group: FusionGroup, iteration_map: IterationMap) -> bool:
    """Whether a value at ``iteration_map`` is computed only once: it must follow all axes, all outer axes, or none."""
    used = wide(group, iteration_map)
    if not used or used == wide(group, range(len(group.axes))):
        return True
    return group.inner is not None and used == wide(group, group.outer)


def _leads(group: FusionGroup, iteration_map: IterationMap) -> bool:
    """Whether a value follows the first axes of a group, so that loops in the order of memory compute it once."""
    used = wide(group, iteration_map)
    return used == wide(group, range(max(used) + 1))


def _hoist(group: FusionGroup, iteration_map: IterationMap) -> bool:
    """Admit a value that follows only some axes: the others become inner axes; it is computed once per row."""
    used = [a for a in iteration_map if a is not None]
    rest = tuple(a for a in range(len(group.axes)) if a not in used)
    if group.inner is not None or not used or used != sorted(set(used)) or not group.worth_rows(used, rest):
        return False
    if not group.has_room(1, 1, reducing=True):
        return False
    if used != list(range(len(used))) and not _long_pieces(group, used):
        return False
    if not iteration_maps_fit(group, set(rest)):
        return False
    group.inner, group.order = rest, tuple(range(len(group.axes)))
    return True


def _long_pieces(group: FusionGroup, used: list[int]) -> bool:
    """Whether a row over the other axes consists of long contiguous pieces, which are read as fast as in order."""
    piece = dims.product(group.axes[used[-1] + 1 :])
    return group.machine.any_rows and not (type(piece) is int and piece < SHORTEST_PIECE)


def _extent(v: Variable) -> int:
    """The number of axes along which the value extends."""
    return sum(not is_one(d) for d in v.type.shape)


def _reduction_iteration_map(group: FusionGroup, node: Apply, iteration_map: IterationMap) -> IterationMap | None:
    """The iteration map of a reduction's input, choosing (or adding) the reduced group axes; None if incompatible."""
    (x,) = node.inputs
    reduced = [x.type.shape[k] for k in node.op["axes"]]
    used = [a for a in iteration_map if a is not None]
    if len(set(used)) != len(used):
        return None
    free = [a for a in range(len(group.axes)) if a not in used]
    if group.inner is not None:
        if tuple(free) != group.inner or not dims.same_shape(reduced, [group.axes[a] for a in free]):
            return None
    elif free:
        if not used or not dims.same_shape(reduced, [group.axes[a] for a in free]) or not group.worth_rows(used, free):
            return None
    else:
        free = list(range(len(group.axes), len(group.axes) + len(reduced)))
        group.axes.extend(reduced)
    outer, inner = iter(iteration_map), iter(free)
    found = tuple(next(inner) if k in node.op["axes"] else next(outer) for k in range(x.ndim))
    if group.inner is not None and group.machine.any_rows and group.order != tuple(a for a in found if a is not None):
        return None  # it would read in another order than memory what the others read in that order, and vice versa
    if group.inner is None:
        group.inner = tuple(free)
        group.order = tuple(a for a in found if a is not None)
    return found
