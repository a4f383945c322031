"""The form of reductions over a few elements: a map over the rows, in which each reduction is written out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.nest import Nest
from symc.compiler.lowering.positions import identity_of
from symc.graph import Variable, dims
from symc.graph.op import Reduction
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


class ShortRows(Nest):
    """The form of short rows: lanes are rows."""

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

    def short_rows(self) -> Step:
        """Create one kernel: a simd loop over the last of the outer axes in a parallel loop over the others."""
        self.begin(KernelBuilder(self.label, self.ref_of))
        self.short = True
        *rows, last = self.outer
        cost = self.member_weight() * dims.product(self.sizes[a] for a in self.inner)
        size = self.k.size(self.sizes[last])
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
        stores = [v for v in self.group.stored if self.is_inner(v)]
        single = [v for v in self.group.stored if not self.is_inner(v)]
        computed = [(v, self.position(v), self.member(v)) for v in single]
        for _ in self._elements():
            computed += [(v, self.position(v), self.member(v)) for v in stores]
        for v, at, e in computed:
            self.put(Store(self.k.writing(v), at, e))
        self.close("i", extent, "simd")

    def _elements(self) -> Iterator[None]:
        """Visit the positions along a row; what was computed at one of them is forgotten at the next."""
        outside = {a: (self.at[a], self.depth_of.get(a)) for a in self.inner}
        sizes = [self.sizes[a] for a in self.inner]
        for position in () if 0 in sizes else product(*(range(int(d)) for d in sizes)):
            for a, i in zip(self.inner, position):
                self.at[a] = index(i)
                self.depth_of[a] = 0
            yield
            self._forget()
        for a, (at, depth) in outside.items():
            self.at[a] = at
            if depth is None:
                self.depth_of.pop(a, None)
            else:
                self.depth_of[a] = depth

    def _forget(self) -> None:
        """Forget the values that vary along a row."""
        along = set(self.inner)
        for level in self.levels:
            for key in list(level.known):
                axes = self.compact(self.iteration_maps[key]) if isinstance(key, Variable) else key[1]
                if not along.isdisjoint(axes):
                    del level.known[key]

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
