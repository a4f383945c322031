"""The form of maps whose last axis has a few elements: it and the axis before it are one axis of lanes.

The results are contiguous along both. An operand that follows the first of the two alone gives each element to a few
neighbouring lanes, one that follows the last alone comes round every few lanes, and one that is contiguous along the
first has a row for each element of the last, such as the colours of images: back ends load such operands whole, and
distribute them in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symc.compiler.fusion import is_inline
from symc.compiler.lowering.nest import Nest
from symc.graph import Constant
from symc.graph.dtypes import BITS
from symc.graph.op import Axes, Pointwise
from symc.loops.expr import call, index, minimum, var

__all__ = ["MOST", "TinyAxes"]

MOST = 12
"""The largest number of elements of a last axis that is tiny; of longer ones a vector of their own is well filled."""
MOST_CROSSED = 8
"""The same if an operand has a row for each of them."""
MOST_MEMBERS = 12
"""The most members of a group whose last axis has an unknown length, since its code is written twice."""


class TinyAxes(Nest):
    """The form of tiny last axes."""

    def may_be_tiny(self) -> bool:
        """Whether the last axis has few elements, perhaps, and what is read suits lanes over the last two axes."""
        if not self.group.machine.short_row or len(self.order) < 2:
            return False
        size = self.sizes[self.order[-1]]
        if size > MOST if type(size) is int else len(self.group.members) > MOST_MEMBERS:  # type: ignore[operator]
            return False
        lanes, maps = tuple(self.order[-2:]), self.iteration_maps
        if any(v in self.group.placed or self.compact(maps[v])[-2:] != lanes for v in self.group.stored):
            return False
        return all(isinstance(n.op.record.lower, (Pointwise, Axes)) for n in self.group.members) and self._reads_suit()

    def _reads_suit(self) -> bool:
        """Whether operands follow both axes in this order, or one of them as 32-bit elements, or none."""
        lanes = tuple(self.order[-2:])
        distributed = False
        for node in self.group.members:
            for base, iteration_map in self.reads_of(node, self.iteration_maps[node.outputs[0]]):
                if base in self.node_of or isinstance(base, Constant) and base.data.size == 1:
                    continue
                found = self.compact(iteration_map)
                along = [a for a in found if a in lanes]
                if is_inline(base) and base not in self.stored:
                    return False
                if len(along) == 2 and found[-2:] != lanes:
                    if found[-1] != lanes[0] or BITS.get(base.dtype) != 32 or not self._has_few():
                        return False
                    distributed = True
                if len(along) == 1:
                    if found[-1] != along[0] or BITS.get(base.dtype) != 32:
                        return False
                    distributed = True
        return distributed

    def _has_few(self) -> bool:
        """Whether the rows that a vector would have elements of are few enough not to be turned in tiles."""
        size = self.sizes[self.order[-1]]
        return type(size) is int and size <= MOST_CROSSED

    def spread_lanes(self, cost: int) -> None:
        """Create loops over blocks of the last two axes, with lanes along both."""
        self.over_two_axes(self.order, cost, lambda: self.store(self.group.stored))

    def over_two_axes(self, axes: Sequence[int], cost: int, fill: Callable[[], None]) -> None:
        """Create loops over blocks of the last two of these axes, with lanes along both, and ``fill`` the innermost."""
        *rows, before, last = axes
        block, few = self.group.machine.block, self.k.size(self.sizes[last])
        span = self.k.size(self.sizes[before]) * few
        blocks = call("floordiv", span + (block - 1), index(block))
        self.push(None, None)
        level = self.levels[-1]
        part = var("o")
        if rows:
            blocks = self.let(self.levels[0], blocks)
            part = self.let(level, call("mod", var("o"), blocks))
            self.spread(rows, self.let(level, call("floordiv", var("o"), blocks)))
        start = self.let(level, part * block)
        lane = start + var("i")
        self.push(before, call("floordiv", lane, few))
        self.at[last] = call("mod", lane, few)
        self.depth_of[last] = self.depth_of[before]
        self.lanes_over = (before, last), lane
        fill()
        self.lanes_over = None
        self.close("i", minimum(span - start, index(block)), "simd")
        self.close("o", self.total(rows) * blocks, "parallel", index(block * cost))
