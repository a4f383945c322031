"""The form of reductions of few columns, such as the coordinates of points in sums over pairs of points.

Vectors of columns would be nearly empty, so that another axis is lanes: the one along which the largest operands are
contiguous. Operands whose last axis are the columns are read with a stride then. Those that are the same in all
iterations of some axis, so that each element is read again and again, are copied first, with the columns as rows.
"""

from __future__ import annotations

from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.short_columns import ShortColumns
from symc.graph import Variable, dims
from symc.loops.expr import Expr, call, index, minimum, var
from symc.loops.ir import For, If, Load, Ref, Statement, Step, Store


class FewColumns(ShortColumns):
    """The form of rows or columns, with a second form for calls with few columns."""

    def phased(self) -> list[Step]:
        """Create a kernel with a parallel loop over the outer axes, if there are any, around the phases.

        Columns whose number is known only in a call have two forms, of which one is that of few columns. Before it are
        the kernels that copy operands for that form. It has to gain more where elements cost much: functions that two
        forms use are no longer inlined.
        """
        columns = self.columns_in_call()
        self.begin(KernelBuilder(self.label, self.ref_of))
        copies: list[Step] = []
        if columns is None:
            copies = self._copies(0)
            self.or_short_columns(self.phases_over_rows)
            return [*copies, self.finish()]
        count, most, order, outer = self.k.size(columns), self.few_columns(), self.order, self.outer

        def columns_turned() -> None:
            self.turn_columns()
            self.pair_positions()
            copies.extend(self._copies(most))
            self.phases_over_rows()

        as_columns, turned = self.times_of_columns()
        if self.is_costly():
            turned = dims.mul(turned, self._passes())
        full = self.k.size(as_columns) <= self.k.size(turned)
        self.in_two_forms(call("or", index(most) < count, full), self.phases_over_rows, columns_turned)
        self.order, self.outer, self.few = order, outer, None
        self.pair_positions()
        return [*copies, self.finish()]

    def _copies(self, most: int) -> list[Step]:
        """Create kernels that copy operands with the columns first; unless always, then for up to ``most`` columns."""
        for base, axes in self.repeated:
            self.turned[base, axes] = self.new_buffer(base.dtype, [self.sizes[a] for a in (axes[-1], *axes[:-1])])
        return [self._copy(*operand, copy, most) for operand, copy in self.turned.items()]

    def _copy(self, base: Variable, axes: tuple[int, ...], copy: Ref, most: int) -> Step:
        """Create a kernel that copies an operand with its last axis first, if that has few elements in a call."""
        k = KernelBuilder("turned operand", self.ref_of)
        rows = dims.product(self.sizes[a] for a in axes[:-1])
        few, count, block = k.size(self.sizes[axes[-1]]), k.size(rows), self.group.machine.block
        source, target = k.reads(base), k.buffer(copy, base.dtype, True)
        row: Expr = var("o") * block + var("i")
        body: tuple[Statement, ...] = (
            Load("x", source, row * few + var("c"), base.dtype),
            Store(target, var("c") * count + row, var("x", base.dtype)),
        )
        lanes = For("i", minimum(count - var("o") * block, index(block)), body, "simd")
        blocks = call("floordiv", count + (block - 1), index(block))
        loop = For("o", blocks, (For("c", few, (lanes,), "serial"),), "parallel", few * block)
        copied = (loop,) if few.op == "const" else (If(few <= most, (loop,)),)
        return k.step(copied, self.locations, [(base.dtype, dims.mul(2, dims.mul(rows, self.sizes[axes[-1]])))])
