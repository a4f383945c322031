"""The form of groups without reductions, whose elements are independent."""

from __future__ import annotations

from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.nest import Nest
from symc.loops.expr import Expr, call, index, minimum, var
from symc.loops.ir import Step


class Maps(Nest):
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
        turned = self._turned(last)
        if turned is not None:
            self._tiles([a for a in rows if a != turned], turned, last, cost)
            return self.finish()
        self.push(None, None)
        self.spread(rows, var("o"))
        self.push(last, var("i"))
        self.store(self.group.stored)
        extent = self.k.size(self.sizes[last])
        self.close("i", extent, "simd")
        self.close("o", self.total(rows), "parallel", extent * cost)
        return self.finish()

    def _turned(self, last: int) -> int | None:
        """An axis other than the last along which an operand is contiguous: a transpose, which is faster in tiles."""
        for node in self.group.members:
            for base, iteration_map in self.reads_of(node, self.iteration_maps[node.outputs[0]]):
                found = self.compact(iteration_map)
                if base not in self.node_of and len(found) > 1 and last in found and found[-1] != last:
                    return found[-1]
        return None

    def _tiles(self, rows: list[int], turned: int, last: int, cost: int) -> None:
        """Create loops over tiles of two axes, so that operands contiguous along either axis stay in cache."""
        machine = self.group.machine
        tiles = {turned: machine.tile, last: machine.tile_length or machine.tile}
        sizes = {a: self.k.size(self.sizes[a]) for a in (turned, last)}
        counts = {a: call("floordiv", n + (tiles[a] - 1), index(tiles[a])) for a, n in sizes.items()}
        self.push(None, None)
        level = self.levels[-1]
        starts, extents = {}, {}
        rest: Expr = var("o")
        for a in (last, turned):
            starts[a] = self.let(level, call("mod", rest, counts[a]) * tiles[a])
            extents[a] = self.let(level, minimum(sizes[a] - starts[a], index(tiles[a])))
            rest = self.let(level, call("floordiv", rest, counts[a]))
        if rows:
            self.spread(rows, rest)
        self.push(turned, starts[turned] + var("j"))
        self.push(last, starts[last] + var("i"))
        self.store(self.group.stored)
        self.close("i", extents[last], "simd")
        self.close("j", extents[turned], "parallel")
        work = index(tiles[turned] * tiles[last] * cost)
        self.close("o", self.total(rows) * counts[turned] * counts[last], "parallel", work)

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
