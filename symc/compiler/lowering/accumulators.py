"""The memory in which reductions are computed: totals, and the results of one block of terms."""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.lowering.iteration import total_dtype
from symc.compiler.lowering.positions import NONE, POSITION, Positions, identity_of
from symc.graph import Variable
from symc.loops.expr import Expr, cast, const, var
from symc.loops.ir import Accumulate, Alloc, Load, Store


class Accumulators(Positions):
    """Accumulators of the reductions of a phase."""

    def new_accumulator(self, v: Variable, size: Expr, dtype: str) -> None:
        """Allocate ``size`` accumulators of the reduction ``v`` in the innermost loop."""
        name = self.k.fresh("acc")
        self.accumulators[v] = name, dtype
        self.put(Alloc(name, dtype, size))

    def new_accumulators(self, reductions: Sequence[Variable], blocked: Sequence[Variable], size: Expr) -> None:
        """Allocate accumulators: for sums in blocks, totals and the sums of one block."""
        for v in reductions:
            self.new_accumulator(v, size, total_dtype(v) if v in blocked else self.dtype_of_block(v))
        for v in blocked:
            self.block_sums[v] = self.k.fresh("part")
            self.put(Alloc(self.block_sums[v], self.dtype_of_block(v), size))

    def dtype_of_block(self, v: Variable) -> str:
        """The dtype in which the terms of a block are combined."""
        return POSITION if v in self.beside else v.dtype

    def reset(self, reductions: Sequence[Variable]) -> None:
        for v in reductions:
            name, dtype = self.accumulators[v]
            self.put(Store(name, self.lane_index, self.first_value(v, dtype)))
            if v in self.block_sums:
                self.put(Store(self.block_sums[v], self.lane_index, self.first_value(v, self.dtype_of_block(v))))

    def first_value(self, v: Variable, dtype: str) -> Expr:
        """The content of an accumulator without terms."""
        return const(NONE, dtype) if v in self.beside else identity_of(v, dtype)

    def end_block(self, sums: Sequence[Variable]) -> None:
        """Add the sums of a block to the totals, and start the next block."""
        for v in sums:
            if v in self.beside:
                self.end_block_of_positions(v)
                continue
            name = self.k.fresh("x")
            self.put(Load(name, self.block_sums[v], self.lane_index, v.dtype))
            total, dtype = self.accumulators[v]
            self.put(Accumulate(total, self.lane_index, cast(var(name, v.dtype), dtype), "add"))
            self.put(Store(self.block_sums[v], self.lane_index, identity_of(v, v.dtype)))
