"""The form of columns of a few terms, such as a sum over three rows; their number may be known only in a call.

Each column has its reductions in registers, in one loop over the columns. Blocks of columns with accumulators in memory
would be read and written once for every term.
"""

from __future__ import annotations

from collections.abc import Callable

from symc.compiler.lowering.short_in_call import ShortInCall
from symc.loops.expr import Expr, call, index, minimum, var

MOST_TERMS = 16
"""The number of terms up to which columns are short: fewer than those of a part of a split reduction."""
WIDTH = 4096
"""The number of columns per iteration of the parallel loop."""


class ShortColumns(ShortInCall):
    """The form of columns of a few terms."""

    def or_short_columns(self, form: Callable[[], None]) -> None:
        """Create the loops of ``form``, and those of short columns for calls with few terms, if there may be any."""
        terms = self.total(self.inner)
        long = terms.op == "const" and terms.value > MOST_TERMS
        if long or not self.group.machine.short_row or not self._may_be_short_columns():
            form()
            return
        if terms.op == "const":
            self._short_columns(terms)
            return
        self.in_two_forms(index(MOST_TERMS) < terms, form, lambda: self._short_columns(terms))

    def _may_be_short_columns(self) -> bool:
        """Whether columns are lanes; a position that is found beside its extreme needs one pass in either form."""
        suits = self.columns_last() and self.few is None and self._suits_lanes()
        return suits and bool(self.reducing) and not self.beside

    def _short_columns(self, terms: Expr) -> None:
        *rows, lane = self.outer
        columns = self.k.size(self.sizes[lane])
        blocks = call("floordiv", columns + (WIDTH - 1), index(WIDTH))
        self.push(None, None)
        level = self.levels[-1]
        first = self.let(level, (call("mod", var("o"), blocks) if rows else var("o")) * WIDTH)
        if rows:
            self.spread(rows, self.let(level, call("floordiv", var("o"), blocks)))
        self.push(lane, first + var("i"))
        for phase in range(self.phases()):
            self.phase_in_registers(self.reductions_at(phase), self.stores_at(phase), terms, MOST_TERMS)
        self.store([v for v in self.group.stored if not self.is_inner(v)])
        self.close("i", minimum(columns - first, index(WIDTH)), "simd")
        self.close("o", self.total(rows) * blocks, "parallel", terms * (WIDTH * self.member_weight()))
