"""The form of rows with sums across them: each part of the rows has totals, which another kernel combines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.reductions import Reductions
from symc.graph import Variable, dims
from symc.loops.expr import ZERO, Expr, call, cast, const, index, minimum, var
from symc.loops.ir import SUM_TERMS, Accumulate, Alloc, Load, Ref, Step, Store

__all__ = ["CrossedRows"]

FEWEST_ROWS = 16
"""The smallest number of rows of a part that has a total for each column."""
FEWEST_TERMS = 1 << 14
"""The smallest number of elements of a part."""
TOTAL = "float64"


class CrossedRows(Reductions):
    """Rows whose elements are also added up across rows."""

    def pieces(self) -> dims.Dim:
        """The number of parts of the rows; it may depend on the sizes of a call, but not on threads."""
        rows = dims.product(self.sizes[a] for a in self.outer)
        terms = dims.mul(rows, dims.product(self.sizes[a] for a in self.inner))
        columns = any(map(self._of_columns, self.group.crossed))
        most = dims.floordiv(rows, FEWEST_ROWS) if columns else rows
        most = dims.minimum(most, dims.floordiv(terms, FEWEST_TERMS))
        return dims.maximum(1, dims.minimum(self.group.machine.parts, most))

    def crossed_rows(self, parts: Mapping[Variable, Ref], pieces: dims.Dim) -> Step:
        """Create one kernel: a parallel loop over parts of the rows, which stores the totals of each part."""
        self.begin(KernelBuilder(self.label, self.ref_of))
        rows, count = self.k.size(dims.product(self.sizes[a] for a in self.outer)), self.k.size(pieces)
        self.push(None, None)
        level = self.levels[-1]
        each = self.let(level, call("floordiv", rows + (count - 1), count))
        start = self.let(level, minimum(var("o") * each, rows))
        extent = self.let(level, minimum(rows - start, each))
        columns = [v for v in self.group.crossed if self._of_columns(v)]
        totals = [v for v in self.group.crossed if v not in columns]
        for v in columns:
            self._new_columns(v, parts[v])
        sums = {v: self._new_total() for v in totals}
        if columns:
            self._blocks_of_rows(columns, sums, parts, start, extent)
        else:
            self._rows(sums, start, extent)
        for v in totals:
            name = self.k.fresh("x")
            self.put(Load(name, sums[v], ZERO, TOTAL))
            self.put(Store(self.k.buffer(parts[v], TOTAL, True), var("o"), var(name, TOTAL)))
        cost = index(self.member_weight()) * self.total(self.inner)
        self.close("o", count, "parallel", cost * call("floordiv", rows + (count - 1), count))
        return self.finish()

    def _of_columns(self, v: Variable) -> bool:
        """Whether the sum ``v`` has an element per column."""
        return bool(self.compact(self.iteration_maps[v]))

    def _new_total(self) -> str:
        name = self.k.fresh("acc")
        self.put(Alloc(name, TOTAL, index(1)))
        self.put(Store(name, ZERO, const(0, TOTAL)))
        return name

    def _new_columns(self, v: Variable, part: Ref) -> None:
        """Create the sums of a block of rows, and set the totals of the part to zero."""
        name, size = self.k.fresh("columns"), self.total(self.inner)
        self.put(Alloc(name, v.dtype, size))
        self.column_sums[v] = name
        self.push(None, None)
        self.put(Store(name, var("i"), const(0, v.dtype)))
        self.put(Store(self.k.buffer(part, TOTAL, True), var("o") * size + var("i"), const(0, TOTAL)))
        self.close("i", size, "simd")

    def _blocks_of_rows(
        self,
        columns: Sequence[Variable],
        sums: Mapping[Variable, str],
        parts: Mapping[Variable, Ref],
        start: Expr,
        extent: Expr,
    ) -> None:
        """Generate the loop over blocks of rows, after each of which its sums are added to the totals."""
        block = min(SUM_TERMS[v.dtype] for v in columns)
        self.push(None, None)
        first = self.let(self.levels[-1], var("q") * block)
        self._rows(sums, start + first, self.let(self.levels[-1], minimum(extent - first, index(block))))
        size = self.total(self.inner)
        for v in columns:
            name = self.column_sums[v]
            self.push(None, None)
            x = self.k.fresh("x")
            self.put(Load(x, name, var("i"), v.dtype))
            at = var("o") * size + var("i")
            self.put(Accumulate(self.k.buffer(parts[v], TOTAL, True), at, cast(var(x, v.dtype), TOTAL), "add"))
            self.put(Store(name, var("i"), const(0, v.dtype)))
            self.close("i", size, "simd")
        self.close("q", call("floordiv", extent + (block - 1), index(block)), "serial")

    def _rows(self, sums: Mapping[Variable, str], start: Expr, extent: Expr) -> None:
        """Generate the loop over rows."""
        self.push(None, None)
        self.spread(self.outer, self.let(self.levels[-1], start + var("s")))
        self.row_body(None)
        for v, name in sums.items():
            self.put(Accumulate(name, ZERO, cast(self.accumulated(self.levels[-1], v), TOTAL), "add"))
        self.close("s", extent, "serial")
