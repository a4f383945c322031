"""The form of groups without reductions, whose elements are independent."""

from __future__ import annotations

from collections.abc import Callable

from symc.compiler.fusion import IterationMap
from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.tiny_axes import MOST, TinyAxes
from symc.graph import Variable
from symc.graph.dtypes import BITS
from symc.loops.expr import Expr, call, index, maximum, minimum, var
from symc.loops.ir import Alloc, Step, Store

Turned = tuple[Variable, tuple[int, ...], IterationMap]
"""A transposed operand: the axes that it follows, and with axes of length one."""
FEWEST_TILES = 4
"""The number of tiles along an axis from which on they are as large as possible."""
ALIGNED = 16
"""The number of elements of which the sides of tiles are multiples."""
NEAREST = 4
"""The largest number of 32-bit elements apart of which back ends load vectors as such."""
MOST_PACKED = 4
"""The largest number of operands that are copied to scratch memory."""


class Maps(TinyAxes):
    """The map form."""

    def map(self) -> Step:
        """Create one kernel: a simd loop over the last axis in a parallel loop over the others, or tiles or blocks."""
        self.begin(KernelBuilder(self.label, self.ref_of))
        axes = self.order
        cost = self.member_weight()
        if not axes:
            self.store(self.group.stored)
            return self.finish()
        if len(axes) == 1:
            self._blocks(axes[0], cost)
            return self.finish()
        *rows, last = axes
        tiny = self.may_be_tiny()
        turned = self._turned(last)
        if turned and not (tiny and type(self.sizes[last]) is int):
            along = turned[0][1][-1]
            self._tiles([a for a in rows if a != along], along, last, cost, [v for v in turned if v[1][-1] == along])
            return self.finish()
        few = self.k.size(self.sizes[last])
        if not tiny:
            self._plain_rows(cost)
        elif few.op == "const":
            self.spread_lanes(cost)
        else:
            self.in_two_forms(few <= MOST, lambda: self.spread_lanes(cost), lambda: self._plain_rows(cost))
        return self.finish()

    def _plain_rows(self, cost: int) -> None:
        """Create a simd loop over the last axis in a parallel loop over the others."""
        *rows, last = self.order
        self.push(None, None)
        self.spread(rows, var("o"))
        self.push(last, var("i"))
        self.store(self.group.stored)
        extent = self.k.size(self.sizes[last])
        self.close("i", extent, "simd")
        self.close("o", self.total(rows), "parallel", extent * cost)

    def _turned(self, last: int) -> list[Turned]:
        """Operands that are contiguous along another axis than the last: transposes, which are faster in tiles."""
        turned: dict[tuple[Variable, tuple[int, ...]], IterationMap] = {}
        for node in self.group.members:
            for base, iteration_map in self.reads_of(node, self.iteration_maps[node.outputs[0]]):
                found = self.compact(iteration_map)
                if base in self.node_of or len(found) < 2 or last not in found:
                    continue
                if found[-1] != last and not self._is_near(base, found[-1]):
                    turned.setdefault((base, found), iteration_map)
        return [(base, axes, iteration_map) for (base, axes), iteration_map in turned.items()]

    def _is_near(self, base: Variable, axis: int) -> bool:
        """Whether elements along the last axis are near to each other, as those between them are of a tiny axis."""
        size = self.sizes[axis]
        return type(size) is int and size <= NEAREST and BITS.get(base.dtype) == 32

    def _tiles(self, rows: list[int], turned: int, last: int, cost: int, operands: list[Turned]) -> None:
        """Create loops over tiles of two axes, so that operands contiguous along either axis stay in cache."""
        machine = self.group.machine
        sizes = {a: self.k.size(self.sizes[a]) for a in (turned, last)}
        tiles = {turned: index(machine.tile), last: index(machine.tile_length or machine.tile)}
        if machine.packed_tile:
            fair = call("floordiv", sizes[turned], index(FEWEST_TILES * ALIGNED)) * ALIGNED
            tiles[turned] = minimum(maximum(fair, tiles[turned]), index(machine.packed_tile))
        counts = {a: call("floordiv", n + (tiles[a] - 1), tiles[a]) for a, n in sizes.items()}
        self.push(None, None)
        level = self.levels[-1]
        starts, extents = {}, {}
        rest: Expr = var("o")
        jobs = self.total(rows) * counts[turned] * counts[last]
        work = tiles[turned] * tiles[last] * cost
        tiles[turned] = self.let(level, tiles[turned])
        for a in (last, turned):
            starts[a] = self.let(level, call("mod", rest, counts[a]) * tiles[a])
            extents[a] = self.let(level, minimum(sizes[a] - starts[a], tiles[a]))
            rest = self.let(level, call("floordiv", rest, counts[a]))
        if rows:
            self.spread(rows, rest)

        def loops(statements: Callable[[], None], i: str, j: str) -> None:
            self.push(turned, starts[turned] + var(j))
            self.push(last, starts[last] + var(i))
            statements()
            self.close(i, extents[last], "simd")
            self.close(j, extents[turned], "parallel")

        if machine.packed_tile and len(operands) <= MOST_PACKED:
            for operand in operands:
                self._pack_tile(operand, loops)
        loops(lambda: self.store(self.group.stored), "i", "j")
        self.close("o", jobs, "parallel", work)

    def _pack_tile(self, operand: Turned, loops: Callable[[Callable[[], None], str, str], None]) -> None:
        """Copy a tile of an operand to scratch memory, in the order in which the result is stored."""
        base, axes, iteration_map = operand
        machine = self.group.machine
        width = machine.tile_length + ALIGNED  # the rows of a tile begin in different sets of a cache
        name, i, j = self.k.fresh("tile"), self.k.fresh("i"), self.k.fresh("j")
        self.levels[-1].statements.append(Alloc(name, base.dtype, index(machine.packed_tile * width)))
        loops(lambda: self.put(Store(name, var(j) * width + var(i), self.value(base, iteration_map))), i, j)
        self.tiles[base, axes] = name, var("j") * width + var("i")

    def _blocks(self, axis: int, cost: int) -> None:
        block = self.group.machine.block
        size = self.k.size(self.sizes[axis])
        if size.op == "const" and size.value <= block:
            self.push(axis, var("i"))
            self.store(self.group.stored)
            self.close("i", size, "simd")
            return
        self.push(None, None)
        self.push(axis, var("o") * block + var("i"))
        self.store(self.group.stored)
        self.close("i", minimum(size - var("o") * block, index(block)), "simd")
        self.close("o", call("floordiv", size + (block - 1), index(block)), "parallel", index(block * cost))
