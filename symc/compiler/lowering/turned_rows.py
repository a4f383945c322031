"""The form of rows that are short in a call and follow one another in memory, as those of a matrix.

Lanes are rows: a block of rows is transposed in scratch memory, its reductions are in registers, and results along rows
are transposed back. A loop over the few elements of one row would spend its time on the sums of lanes.
"""

from __future__ import annotations

from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.nest import TURNED
from symc.compiler.lowering.short_in_call import MOST_PACKED, ShortInCall
from symc.compiler.lowering.short_rows import FEWEST_ROWS
from symc.graph import Variable
from symc.loops.expr import Expr, call, index, minimum, var
from symc.loops.ir import Alloc, Load, Step, Store

LONGEST = 64
"""The number of elements up to which rows are turned if they have several reductions."""
LONGEST_SINGLE = 24
"""The same for one reduction."""
MOST_ROWS = 6
"""The largest number of rows of operands, results and kept values, all of which are in scratch memory."""


class TurnedRows(ShortInCall):
    """The form of short rows of a matrix."""

    def may_turn_rows(self) -> bool:
        """Whether rows may be short in a call, all operands suit, and there are sums of lanes to be avoided."""
        if not self.group.machine.short_row or len(self.inner) != 1 or not self.outer or self.columns_last():
            return False
        length, rows = self.sizes[self.inner[0]], self.sizes[self.outer[-1]]
        if type(length) is int and length > self._longest() or type(rows) is int and rows < FEWEST_ROWS:
            return False
        if not self._suits_lanes() or not self._turned_operands() or not self.reducing:
            return False
        rows_kept = len(self._worth_keeping()) + sum(self.is_inner(v) for v in self.group.stored)
        return len(self._turned_operands()) <= MOST_PACKED and len(self._turned_operands()) + rows_kept <= MOST_ROWS

    def _longest(self) -> int:
        """The number of elements up to which a loop over each row would take longer."""
        return LONGEST if len(self.reducing) > 1 else LONGEST_SINGLE

    def _turned_operands(self) -> list[tuple[Variable, tuple[int, ...]]]:
        """The operands of which each row follows the previous one."""
        along = (self.outer[-1], self.inner[0])
        return [(base, axes) for base, axes in self.operands() if axes[-2:] == along]

    def turned_rows(self) -> Step:
        """Create one kernel with the form of few terms in many rows, and then the usual one, which suits any sizes."""
        self.begin(KernelBuilder(self.label, self.ref_of))
        terms, rows = self.total(self.inner), self.k.size(self.sizes[self.outer[-1]])
        short = call("and", terms <= self._longest(), index(FEWEST_ROWS) <= rows)
        self.in_two_forms(short, lambda: self._turned_lanes(terms, rows), self.phases_over_rows)
        return self.finish()

    def _turned_lanes(self, terms: Expr, rows: Expr) -> None:
        """Generate the loop over blocks of rows."""
        *others, lane = self.outer
        blocks = call("floordiv", rows + (TURNED - 1), index(TURNED))
        self.push(None, None)
        level = self.levels[-1]
        first = self.let(level, (call("mod", var("o"), blocks) if others else var("o")) * TURNED)
        count = self.let(level, minimum(rows - first, index(TURNED)))
        if others:
            self.spread(others, self.let(level, call("floordiv", var("o"), blocks)))
        for base, axes in self._turned_operands():
            memory = self._pack(base, axes, first, count, index(TURNED), index(TURNED * LONGEST))
            self.packed[base, axes] = memory, index(TURNED)
        keep = self._worth_keeping()
        stored = [v for v in self.group.stored if self.is_inner(v)]
        for v in (*keep, *stored):
            self.turned_values[v] = self.k.fresh("rows")
            self.put(Alloc(self.turned_values[v], v.dtype, index(TURNED * LONGEST)))
        self.push(lane, first + var("i"))
        self.lane_index, self.packed_lane = index(0), var("i")
        for phase in range(self.phases()):
            self.kept_here = [v for v, p in keep.items() if p == phase]
            self.phase_in_registers(self.reductions_at(phase), self.stores_at(phase), terms, LONGEST)
        self.kept_here = []
        self.store([v for v in self.group.stored if not self.is_inner(v)])
        self.close("i", count, "simd")
        for v in stored:
            self._turn_back(v, first, count, terms)
        self.close("o", self.total(others) * blocks, "parallel", terms * (TURNED * self.member_weight()))
        self.packed.clear()
        self.turned_values.clear()

    def _turn_back(self, v: Variable, first: Expr, count: Expr, terms: Expr) -> None:
        """Store the rows of a result, from scratch memory."""
        i, r, name = self.k.fresh("i"), self.k.fresh("r"), self.k.fresh("x")
        self.push(self.outer[-1], first + var(i))
        self.push(self.inner[0], var(r))
        self.put(Load(name, self.turned_values[v], var(r) * TURNED + var(i), v.dtype))
        self.put(Store(self.k.writing(v), self.position(v), var(name, v.dtype)))
        self.close(r, terms, "simd")
        self.close(i, count, "serial")
