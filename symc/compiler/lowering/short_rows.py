"""The form of reductions over a few elements: a map over the rows, in which each reduction is written out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from symc.compiler.fusion import along_of, is_inline
from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.nest import Level
from symc.compiler.lowering.positions import identity_of
from symc.compiler.lowering.tiny_axes import TinyAxes
from symc.graph import Apply, Variable, dims
from symc.graph.dtypes import BITS
from symc.graph.op import Indexed, Reduction
from symc.loops.expr import Expr, call, cast, index, minimum, var
from symc.loops.ir import Step, Store

MOST_COPIES = 160
"""The largest number of elements of all members together that are written out, which bounds compile time."""
FEWEST_ROWS = 32
"""The number of rows from which on they are worth being lanes."""
TINY = 4
"""The number of elements up to which neighbouring rows are loaded whole and distributed in registers."""
FEWEST_TINY = 4
"""The smallest number of such rows."""
MOST_SHARED = 16
"""The number of rows up to which they share lanes with those of the next iteration of the axis around them."""
MOST_APART = 4
"""The largest distance of elements that a back end distributes to lanes."""

MOST_IN_TURN = 8
"""The largest number of elements of a last axis that take turns in memory."""
FEWEST_LANES = 16
"""The number of elements of the axis before it from which on they are worth being lanes."""


class ShortRows(TinyAxes):
    """The form of short rows: lanes are rows."""

    _here: tuple[int, ...] | None = None  # the position along a row that is being visited
    _computed: dict[tuple[int, ...], list[tuple[Level, dict[Any, Expr]]]]  # by position: what each loop knows there

    def has_short_rows(self) -> bool:
        """Whether rows are short, and there are enough of them."""
        machine = self.group.machine
        length = dims.product(self.sizes[a] for a in self.inner)
        if not machine.short_row or type(length) is not int or length > machine.short_row or not self.outer:
            return False
        last = self.sizes[self.outer[-1]]
        along = sum(self.is_inner(v) for v in self.iteration_maps) + len(self.reducing)
        enough = FEWEST_TINY if length <= TINY else FEWEST_ROWS
        return length * along <= MOST_COPIES and not (type(last) is int and last < enough)

    def has_short_lines(self) -> bool:
        """Whether the last axis of a map has a few elements, which are written out, and the axis before it is lanes.

        Then the elements of results take turns in memory, and those of operands do. Other maps have lanes along both
        axes, or these are one.
        """
        if not self.group.machine.short_row or len(self.order) < 2 or self.may_be_tiny():
            return False
        before, size = (self.sizes[a] for a in self.order[-2:])
        if type(size) is not int or size > MOST_IN_TURN or type(before) is int and before < FEWEST_LANES:
            return False
        if any(self.compact(self.iteration_maps[v])[-1:] != (self.order[-1],) for v in self.group.stored):
            return False
        at_indices = any(axes is not None for n in self.group.members for axes in self._axes_of_indices(n))
        return size * len(self.group.members) <= MOST_COPIES and not at_indices

    def _axes_of_indices(self, node: Apply) -> Sequence[Sequence[int] | None]:
        """The axes of an op that each of its index arrays follows."""
        return along_of(node)[1:] if isinstance(node.op.record.lower, Indexed) else ()

    def short_lines(self) -> Step:
        """Create one kernel in which the elements of the last axis are written out."""
        self.inner, self.outer = self.order[-1:], self.order[:-1]
        return self.short_rows()

    def short_rows(self) -> Step:
        """Create one kernel: a simd loop over the last of the outer axes in a parallel loop over the others."""
        self.begin(KernelBuilder(self.label, self.ref_of))
        self.short, self._computed = True, {}
        *rows, last = self.outer
        cost = self.member_weight() * dims.product(self.sizes[a] for a in self.inner)
        size = self.k.size(self.sizes[last])
        if rows and self._may_share_lanes():
            assert type(cost) is int
            self.over_two_axes(self.outer, cost, self._fill)
            return self.finish()
        if rows:
            self.push(None, None)
            self.spread(rows, var("o"))
            self._lanes(last, var("i"), size)
            self.close("o", self.total(rows), "parallel", size * cost)
            return self.finish()
        block = self.group.machine.block
        self.push(None, None)
        self._lanes(last, var("o") * block + var("i"), minimum(size - var("o") * block, index(block)))
        self.close("o", call("floordiv", size + (block - 1), index(block)), "parallel", index(block) * cost)
        return self.finish()

    def _lanes(self, last: int, position: Expr, extent: Expr) -> None:
        """Create the simd loop over rows: all values are computed before the first is stored."""
        self.push(last, position)
        self._fill()
        self.close("i", extent, "simd")

    def _fill(self) -> None:
        """Compute and store the values of a row."""
        stores = [v for v in self.group.stored if self.is_inner(v)]
        single = [v for v in self.group.stored if not self.is_inner(v)]
        computed = [(v, self.position(v), self.member(v)) for v in single]
        for _ in self._elements():
            computed += [(v, self.position(v), self.member(v)) for v in stores]
        for v, at, e in computed:
            self.put(Store(self.k.writing(v), at, e))

    def _may_share_lanes(self) -> bool:
        """Whether the last of the outer axes is short, and shares lanes with the one before it.

        Results are contiguous along both. An operand may be, too, or it follows one of them alone, with 32-bit elements
        that a back end distributes in registers.
        """
        lanes, maps = tuple(self.outer[-2:]), self.iteration_maps
        size = self.sizes[lanes[-1]]
        if type(size) is not int or size > MOST_SHARED or any(map(self.is_inner, self.group.stored)):
            return False
        if any(v in self.group.placed or self.compact(maps[v])[-2:] != lanes for v in self.group.stored):
            return False
        found = [self._shares(node, lanes) for node in self.group.members]
        return None not in found and any(found)

    def _shares(self, node: Apply, lanes: tuple[int, ...]) -> bool | None:
        """Whether an operand of a member follows one axis of lanes alone; None if one is not suitable for lanes."""
        iteration_map, alone = self.iteration_maps[node.outputs[0]], False
        if isinstance(node.op.record.lower, Indexed):
            free = {k for axes in along_of(node) if axes is not None for k in axes}
            if any(a in lanes for k, a in enumerate(iteration_map) if k not in free):
                return None
        for base, at in self.reads_of(node, iteration_map):
            axes = self.compact(at)
            along = tuple(a for a in axes if a in lanes)
            if not along or base in self.node_of:
                continue
            if is_inline(base) and base not in self.stored:
                return None
            first = axes.index(along[0])
            if len(along) == 2:
                if axes[first : first + 2] != lanes:
                    return None
                continue
            each = dims.product(self.sizes[a] for a in axes[first + 1 :])
            alone = True
            if (
                BITS.get(base.dtype) != 32
                or type(each) is not int
                or each > (MOST_APART if along[0] == lanes[0] else 1)
            ):
                return None
        return alone

    def _elements(self) -> Iterator[None]:
        """Visit the positions along a row; what was computed at one of them is known when it is visited again."""
        outside = {a: (self.at[a], self.depth_of.get(a)) for a in self.inner}
        here = self._here
        sizes = [self.sizes[a] for a in self.inner]
        for position in () if 0 in sizes else product(*(range(int(d)) for d in sizes)):
            for a, i in zip(self.inner, position):
                self.at[a] = index(i)
                self.depth_of[a] = 0
            self._arrive(position)
            yield
            self._leave()
        for a, (at, depth) in outside.items():
            self.at[a] = at
            if depth is None:
                self.depth_of.pop(a, None)
            else:
                self.depth_of[a] = depth
        if here is not None:
            self._arrive(here)

    def _arrive(self, position: tuple[int, ...]) -> None:
        """Know what was computed at a position along a row."""
        self._here = position
        for level, known in self._computed.get(position, ()):
            if any(level is one for one in self.levels):
                level.known |= known

    def _leave(self) -> None:
        """Keep the values that vary along a row for the next visit of this position, and know them no longer."""
        along = set(self.inner)
        assert self._here is not None
        found = []
        for level in self.levels:
            known = {}
            for key in list(level.known):
                axes = self.compact(self.iteration_maps[key]) if isinstance(key, Variable) else key[1]
                if not along.isdisjoint(axes):
                    known[key] = level.known.pop(key)
            found.append((level, known))
        self._computed[self._here] = found
        self._here = None

    def reduced(self, value: Variable) -> Expr:
        """The value of a reduction, term by term."""
        node = self.node_of[value]
        lower = node.op.record.lower
        assert isinstance(lower, Reduction)
        found: Expr | None = None
        for _ in self._elements():
            term = cast(self.value(node.inputs[0], self.reduction_iteration_maps[value]), value.dtype)
            found = term if found is None else call(lower.combine, found, term)
        return identity_of(value, value.dtype) if found is None else found
