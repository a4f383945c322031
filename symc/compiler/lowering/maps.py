"""The form of groups without reductions, whose elements are independent."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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
FEWEST_PAIRS = 2
"""The same of an axis whose tiles are visited in pairs, which are no longer than they are wide."""
MIRRORED = 192
"""The largest side of such a tile: the second-level cache holds two, and what is fetched meanwhile."""
FEWEST_MIRRORED = 512
"""The number of rows from which on a matrix has such tiles: smaller ones are in a cache anyway."""
NEAREST = 4
"""The largest number of 32-bit elements apart of which back ends load vectors as such."""
MOST_PACKED = 4
"""The largest number of operands that are copied to scratch memory."""


class _Tiles(NamedTuple):
    """The tiles of two axes, the last one first.

    By axis: its length, the sides of a tile, the number of tiles, and where the tile of an iteration begins and how
    long it is.
    """

    sizes: dict[int, Expr]
    sides: dict[int, Expr]
    counts: dict[int, Expr]
    starts: dict[int, Expr]
    extents: dict[int, Expr]


def _pairs(count: Expr) -> Expr:
    """The number of distances between tiles of a square matrix that has ``count`` of them along an axis."""
    return call("floordiv", count, index(2)) + 1


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
        sizes = {a: self.k.size(self.sizes[a]) for a in (last, turned)}
        mirrored = bool(machine.packed_tile) and self._is_mirrored(turned, last, operands)
        sides = {last: index(machine.tile_length or machine.tile), turned: index(machine.tile)}
        if machine.packed_tile:
            fewest = FEWEST_PAIRS if mirrored else FEWEST_TILES
            fair = call("floordiv", sizes[turned], index(fewest * ALIGNED)) * ALIGNED
            most = index(MIRRORED if mirrored else machine.packed_tile)
            sides[turned] = minimum(maximum(fair, sides[turned]), most)
        if mirrored:
            sides[last] = sides[turned]
        counts = {a: call("floordiv", n + (sides[a] - 1), sides[a]) for a, n in sizes.items()}
        tiles = _Tiles(sizes, sides, counts, {}, {})
        self.push(None, None)
        jobs, work = self.total(rows), sides[turned] * sides[last] * cost
        if mirrored:
            jobs = jobs * tiles.counts[last] * _pairs(tiles.counts[last])
            self._mirrored_tiles(tiles, rows)
        else:
            jobs = jobs * tiles.counts[turned] * tiles.counts[last]
            self._all_tiles(tiles, rows)

        def loops(statements: Callable[[], None], i: str, j: str) -> None:
            self.push(turned, tiles.starts[turned] + var(j))
            self.push(last, tiles.starts[last] + var(i))
            statements()
            self.close(i, tiles.extents[last], "simd")
            self.close(j, tiles.extents[turned], "parallel")

        if machine.packed_tile and len(operands) <= MOST_PACKED:
            for operand in operands:
                self._pack_tile(operand, loops)
        loops(lambda: self.store(self.group.stored), "i", "j")
        if mirrored:
            self.close("m", index(2), "serial")
            work = work * 2
        self.close("o", jobs, "parallel", work)

    def _all_tiles(self, tiles: _Tiles, rows: list[int]) -> None:
        """Find the tile of each number ``o``."""
        level = self.levels[-1]
        rest: Expr = var("o")
        for a, side in tiles.sides.items():
            side = tiles.sides[a] = self.let(level, side)
            tiles.starts[a] = self.let(level, call("mod", rest, tiles.counts[a]) * side)
            tiles.extents[a] = self.let(level, minimum(tiles.sizes[a] - tiles.starts[a], side))
            rest = self.let(level, call("floordiv", rest, tiles.counts[a]))
        if rows:
            self.spread(rows, rest)

    def _mirrored_tiles(self, tiles: _Tiles, rows: list[int]) -> None:
        """Find two tiles for each ``o`` that mirror each other, in a loop over both: what one reads, the other turns.

        Pairs are numbered by the first tile's row and by how many tiles there are, round the matrix, to its column. So
        a tile on the diagonal is its own pair, and of an even number, half of the pairs that are farthest apart are the
        other half: these have no elements.
        """
        (last, turned), level = tiles.sizes, self.levels[-1]
        count, side = self.let(level, tiles.counts[last]), self.let(level, tiles.sides[last])
        pairs = self.let(level, _pairs(count))
        apart = self.let(level, call("mod", var("o"), pairs))
        rest = self.let(level, call("floordiv", var("o"), pairs))
        first = self.let(level, call("mod", rest, count))
        rest = self.let(level, call("floordiv", rest, count))
        second = self.let(level, call("mod", first + apart, count))
        if rows:
            self.spread(rows, rest)
        half = call("and", call("eq", apart * 2, count), call("ge", first, apart))
        self.push(None, None)
        level, turn = self.levels[-1], call("eq", var("m"), index(1))
        none = call("or", half, call("and", turn, call("eq", apart, index(0))))
        length = self.let(level, call("select", none, index(0), side))
        for a, (here, there) in {last: (second, first), turned: (first, second)}.items():
            tiles.starts[a] = self.let(level, call("select", turn, there, here) * side)
            tiles.extents[a] = self.let(level, minimum(tiles.sizes[a] - tiles.starts[a], length))

    def _is_mirrored(self, turned: int, last: int, operands: list[Turned]) -> bool:
        """Whether a square operand is read in both orders, and may be larger than a cache."""
        size = self.sizes[turned]
        if size != self.sizes[last] or type(size) is int and size < FEWEST_MIRRORED:
            return False
        swapped = {turned: last, last: turned}
        straight = {(base, tuple(swapped.get(a, a) for a in axes)) for base, axes, _ in operands}
        places = ((node, self.iteration_maps[node.outputs[0]]) for node in self.group.members)
        reads = (read for node, place in places for read in self.reads_of(node, place))
        return any((base, self.compact(iteration_map)) in straight for base, iteration_map in reads)

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
