"""Analysis of a group's axes: the axes of values, merged axes, and the number of reductions before a value."""

from __future__ import annotations

from collections.abc import Callable

from symc.compiler.fusion import (
    FusionGroup,
    IterationMap,
    along_of,
    axes_of,
    is_costly_op,
    is_inline,
    read_along,
    resolve,
)
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.dtypes import is_float
from symc.graph.op import Axes, Indexed, Pointwise, Reduction
from symc.loops.ir import Ref


def weight(node: Apply) -> int:
    """Estimated scalar operations per output element of ``node``: 1, or 8 for polynomials and divisions."""
    if isinstance(node.op.record.lower, Pointwise):
        return 8 if is_costly_op(node.op, tuple(v.dtype for v in node.inputs)) else 1
    return 30 if isinstance(node.op.record.lower, Indexed) and node.op.record.lower.flat else 1


VECTOR = 16
"""The number of lanes of a wide vector."""
LANES_SUM = 2
"""The time of adding up the lanes of a vector, in operations on vectors."""
FEW_COLUMNS = 4
"""The largest number of columns that are reduced one by one, with terms as lanes, if an element costs little."""
FEW_COSTLY = 8
"""The same if an element costs much."""
FEW_READ_AGAIN = 12
"""The same if operands can be copied such that all of them are contiguous along other axes, which are lanes then."""
COSTLY = 8
"""The ``weight`` from which on an element costs much."""


def times_of_lanes(results: dims.Dim, terms: dims.Dim) -> tuple[dims.Dim, dims.Dim]:
    """The relative times of reductions with results as lanes, and with terms as lanes.

    Vectors that are not full take as long as full ones. Lanes that are terms are added up at the end.
    """
    vectors = dims.add(dims.ceildiv(terms, VECTOR), LANES_SUM)
    return dims.mul(dims.ceildiv(results, VECTOR), terms), dims.mul(results, vectors)


class GroupIteration:
    """The axes of a group: their ``sizes``, their ``order`` in memory, and the ``inner`` and ``outer`` axes.

    ``reducing`` are the members that are reductions.
    """

    def __init__(
        self,
        group: FusionGroup,
        stored: set[Variable],
        ref_of: Callable[[Variable], Ref],
        new_buffer: Callable[..., Ref],
    ) -> None:
        self.group = group
        self.stored = stored
        self.ref_of = ref_of
        self.new_buffer = new_buffer
        self.node_of = {node.outputs[0]: node for node in group.members}
        self.reducing = [node for node in group.members if isinstance(node.op.record.lower, Reduction)]
        self.iteration_maps = dict(group.iteration_maps)
        self.reduction_iteration_maps: dict[Variable, IterationMap] = {}
        order = list(group.order or ())
        self.order = order + [a for a in range(len(group.axes)) if a not in order]
        if not group.inner:
            self.order = list(range(len(group.axes)))
        self._merge_axes()
        self.inner = [a for a in self.order if a in set(group.inner or ())]
        self.outer = [a for a in self.order if a not in self.inner]
        # the axis of few columns, where other axes are lanes, and the operands to be copied for that
        self.few: int | None = None
        self.repeated: list[tuple[Variable, tuple[int, ...]]] = []
        columns = self.sizes[self.order[-1]] if self.order else 0
        if self._may_have_few_columns() and type(columns) is int and columns <= self.few_columns():
            as_columns, turned = self.times_of_columns()
            if not (type(as_columns) is int and type(turned) is int and as_columns <= turned):
                self.turn_columns()
        self.levels_of: dict[Variable, int] | None = None
        self.beside: dict[Variable, Variable] = {}  # positions that are found beside an extreme, with it
        self.locations = [node.outputs[0].location for node in reversed(group.members)]
        names = [n.op.name for n in reversed(group.members) if not isinstance(n.op.record.lower, Axes)]
        self.label = "+".join(dict.fromkeys(names))[:60] or "copy"

    def reads_of(self, node: Apply, iteration_map: IterationMap) -> list[tuple[Variable, IterationMap]]:
        """The elementwise reads of a member (or of a recomputed value at ``iteration_map``), with iteration maps."""
        lower = node.op.record.lower
        if isinstance(lower, Pointwise):
            return [resolve(v, iteration_map, self.stored) for v in node.inputs]
        if isinstance(lower, Reduction):
            return [resolve(node.inputs[0], self.reduction_iteration_maps[node.outputs[0]], self.stored)]
        if isinstance(lower, Axes):
            found = tuple(None if k is None else iteration_map[k] for k in axes_of(node))
            return [resolve(node.inputs[0], found, self.stored)]
        return [resolve(v, found, self.stored) for v, found in read_along(node, iteration_map)]

    def reduction_iteration_map(self, node: Apply) -> IterationMap:
        """The axes that the input of the reduction ``node`` follows."""
        crossed = self.group.crossed.get(node.outputs[0])
        if crossed is not None:
            return crossed
        outer, inner = iter(self.group.iteration_maps[node.outputs[0]]), iter(self.group.inner or ())
        return tuple(next(inner) if k in node.op["axes"] else next(outer) for k in range(node.inputs[0].ndim))

    def _merge_axes(self) -> None:
        """Merge neighbouring axes that all operands traverse in the same way, so that loops are few and long."""
        group = self.group
        self.sizes: list[dims.Dim] = list(group.axes)
        self.merged_into: dict[int, int] = {}  # the axis before, for each axis that is one with it
        self.order = [a for a in self.order if not (type(self.sizes[a]) is int and self.sizes[a] == 1)]
        counted = set(self.order)
        seen: set[IterationMap] = set()
        pins: dict[Pin, None] = {}
        for node in group.members:
            value = node.outputs[0]
            if isinstance(node.op.record.lower, Reduction):
                self.reduction_iteration_maps[value] = self.reduction_iteration_map(node)
                seen.add(self.reduction_iteration_maps[value])
            seen.add(group.iteration_maps[value])
            _pin(node, group.iteration_maps[value], pins)
            for base, iteration_map in self.reads_of(node, group.iteration_maps[value]):
                seen.add(iteration_map)
                if base not in self.node_of and is_inline(base) and base not in self.stored:
                    assert base.owner is not None
                    _pin(base.owner, iteration_map, pins)
        compact = [tuple(a for a in f if a is not None and a in counted) for f in seen]
        inner = set(group.inner or ())
        into = self.merged_into
        for a, b in zip(self.order, self.order[1:]):
            if (a in inner) != (b in inner) or any(_separates(pin, a, b) for pin in pins):
                continue
            if all(_adjacent(f, a, b) for f in compact) and not self._divides(a, b):
                into[b] = a
        if not into:
            return
        for b in reversed(self.order):
            if b in into:
                self.sizes[into[b]] = dims.mul(self.sizes[into[b]], self.sizes[b])
        self.order = [a for a in self.order if a not in into]

    def _divides(self, a: int, b: int) -> bool:
        """Whether a row of a stored value in a larger array ends between these axes."""
        for v, placed in self.group.placed.items():
            iteration_map = self.group.iteration_maps[v]
            if a in iteration_map[: placed.axis] and b in iteration_map[placed.axis :]:
                return True
        return False

    def _may_have_few_columns(self) -> bool:
        """Whether reductions of columns might have terms as lanes, if there are few columns."""
        return bool(self.group.machine.short_row and self.inner and self.order[-1] not in self.inner)

    def times_of_columns(self) -> tuple[dims.Dim, dims.Dim]:
        """The relative times of columns as lanes, and of the other axis as lanes if columns are few."""
        terms = dims.product(self.sizes[a] for a in self.inner)
        columns, lanes = self.sizes[self.order[-1]], self._axis_of_lanes()
        if lanes in self.inner or not self._reads_again():
            return times_of_lanes(columns, terms)
        others = self.sizes[lanes]
        return dims.mul(dims.ceildiv(columns, VECTOR), others), dims.mul(dims.ceildiv(others, VECTOR), columns)

    def columns_in_call(self) -> dims.Dim | None:
        """The number of columns that may be few in a call; None if that should not matter.

        It matters where there are blocks of them for many rows, so that loops take the time.
        """
        if not self._may_have_few_columns() or len(self.outer) < 2:
            return None
        columns = self.sizes[self.order[-1]]
        return None if type(columns) is int else columns

    def is_costly(self) -> bool:
        return any(weight(node) >= COSTLY for node in self.group.members)

    def few_columns(self) -> int:
        """The largest number of columns that are few: their vectors would be nearly empty."""
        if self._reads_again():
            return FEW_READ_AGAIN
        return FEW_COSTLY if self.is_costly() else FEW_COLUMNS

    def turn_columns(self) -> None:
        """Move the columns away from the end of the order, since the last axis becomes the lanes of vectors.

        The last axis is then the one along which the largest operands are contiguous: the terms, or other columns.
        """
        self.few, self.repeated = self.order[-1], self._repeated_operands()
        lanes = self._axis_of_lanes()
        if lanes in self.inner:
            self.order = self.outer + self.inner
            return
        self.outer = [*(a for a in self.outer if a != lanes), lanes]
        self.order = [*(a for a in self.order if a != lanes), lanes]

    def _axis_of_lanes(self) -> int:
        """The axis of lanes if there are few columns: see ``turn_columns``. It is the terms if operands disagree."""
        few = self.order[-1]
        large = [axes for axes in self.operands().values() if few not in axes and len(axes) > 1]
        most = max(map(len, large), default=0)
        found = {axes[-1] for axes in large if len(axes) == most}
        return found.pop() if len(found) == 1 else self.inner[-1]

    def _repeated_operands(self) -> list[tuple[Variable, tuple[int, ...]]]:
        """The operands that are read with a stride along the lanes if there are few columns, but are read often."""
        few, lanes = self.order[-1], self._axis_of_lanes()
        return [
            (base, axes)
            for base, axes in self.operands()
            if len(axes) > 1 and axes[-1] == few and axes[-2] == lanes and len(axes) < len(self.order)
        ]

    def _reads_again(self) -> bool:
        """Whether all operands are contiguous along the lanes of few columns, or can be copied for that."""
        few, lanes = self.order[-1], self._axis_of_lanes()
        read = self.operands()
        strided = {found for found in read if lanes in found[1] and found[1][-1] != lanes}
        repeated = self._repeated_operands()
        gains = bool(repeated) or lanes not in self.inner
        return few not in self.inner and gains and strided == set(repeated)

    def operands(self) -> dict[tuple[Variable, tuple[int, ...]], tuple[int, ...]]:
        """The variables in memory that the group reads in its loops, by the axes that they follow."""
        found = {}
        for node in self.group.members:
            for base, at in self.reads_of(node, self.iteration_maps[node.outputs[0]]):
                computed = base in self.node_of or is_inline(base) and base not in self.stored
                if not computed and not (isinstance(base, Constant) and base.data.size == 1):
                    found[base, self.compact(at)] = self.compact(at)
        return found

    def compact(self, iteration_map: IterationMap) -> tuple[int, ...]:
        """An iteration map without unit axes, with merged axes counted once."""
        kept = set(self.order)
        return tuple(a for a in iteration_map if a is not None and a in kept)

    def level(self, value: Variable) -> int:
        """The number of reductions that precede a value."""
        if self.levels_of is None:
            self.levels_of = {}
            for member in reversed(self.group.members):  # producers first: a chain may be longer than Python's stack
                self.level(member.outputs[0])
        found = self.levels_of.get(value)
        if found is None:
            node = self.node_of.get(value)
            if node is None:
                found = 0
            elif value in self.beside:
                found = self.level(self.beside[value])
            else:
                reads = self.reads_of(node, self.iteration_maps[value])
                found = max((self.level(base) for base, _ in reads), default=0)
                if isinstance(node.op.record.lower, Reduction):
                    found += 1
            self.levels_of[value] = found
        return found

    def is_inner(self, value: Variable) -> bool:
        """Whether the value follows an inner axis, so that it varies along a row."""
        inner = self.group.inner or self.inner
        return any(a in inner for a in self.iteration_maps[value])

    def stores_at(self, phase: int) -> list[Variable]:
        """The values that vary along a row and are stored in this phase."""
        return [v for v in self.group.stored if self.is_inner(v) and self.level(v) == phase]

    def reductions_at(self, phase: int) -> list[Variable]:
        """The reductions whose terms are known in this phase."""
        return [n.outputs[0] for n in reversed(self.reducing) if self.level(n.outputs[0]) == phase + 1]

    def phases(self) -> int:
        """The number of successive loops over the inner axes."""
        return max(self.level(v) for v in self.iteration_maps) + 1

    def member_weight(self) -> int:
        """Estimated scalar operations per point of the group's loops."""
        return 1 + sum(weight(n) for n in self.group.members)


Pin = tuple[IterationMap, frozenset[int], int | None]
"""The axes of a value, the positions among them at which it needs each axis, and its ``tail``."""


def _pin(node: Apply, iteration_map: IterationMap, pins: dict[Pin, None]) -> None:
    """Record which axes an ``Indexed`` op needs: all that are not read as operands of elementwise ops are."""
    lower = node.op.record.lower
    if not isinstance(lower, Indexed) or lower.flat:
        return
    free = {k for axes in along_of(node) if axes is not None for k in axes}
    needed = frozenset(k for k, a in enumerate(iteration_map) if a is not None and k not in free)
    pins[iteration_map, needed, None if lower.tail is None else lower.tail(node)] = None


def _separates(pin: Pin, a: int, b: int) -> bool:
    """Whether an ``Indexed`` op needs one of two axes, and they are no neighbours in its tail."""
    iteration_map, needed, tail = pin
    at = [k for k in needed if iteration_map[k] in (a, b)]
    if not at:
        return False
    first = min(at)
    together = len(at) == 2 and max(at) == first + 1 and iteration_map[first] == a
    return not (together and tail is not None and first >= tail)


def _adjacent(iteration_map: tuple[int, ...], a: int, b: int) -> bool:
    if a not in iteration_map and b not in iteration_map:
        return True
    return a in iteration_map and b in iteration_map and iteration_map.index(b) == iteration_map.index(a) + 1


def is_sum(v: Variable) -> bool:
    """Whether the reduction is a sum of floats, which is inaccurate with a single running sum of many terms."""
    assert v.owner is not None and isinstance(v.owner.op.record.lower, Reduction)
    return v.owner.op.record.lower.combine == "add" and is_float(v.dtype)


def total_dtype(v: Variable) -> str:
    """The dtype in which the parts of a reduction are combined: sums of floats have float64 totals."""
    return "float64" if is_sum(v) else v.dtype
