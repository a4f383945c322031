"""The form of rows that are short in a call, although their length is known only then.

Lanes are rows, and the reductions of a row are in registers. Operands that are the same for all iterations of another
outer axis, such as one of two sets of points whose distances are computed, are packed: copied to scratch memory, where
neighbouring lanes are neighbours. The kernel also has the form of long rows, and chooses in each call.
"""

from __future__ import annotations

from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.iteration import is_sum, times_of_lanes
from symc.compiler.lowering.nest import Level
from symc.compiler.lowering.positions import POSITION, identity_of
from symc.compiler.lowering.reductions import Reductions
from symc.compiler.lowering.short_rows import FEWEST_ROWS
from symc.graph import Apply, Variable, dims
from symc.graph.op import Indexed
from symc.loops.expr import ONE, ZERO, Expr, call, cast, index, maximum, minimum, var
from symc.loops.ir import SUM_TERMS, Alloc, Load, Step, Store

BLOCK = min(SUM_TERMS.values())
"""The number of terms in a running sum; sums of blocks of them are added."""
LONGEST = 256
"""The number of terms up to which rows are lanes: at most ``BLOCK`` blocks."""
LANES = 256
"""The largest number of rows that are lanes of one simd loop."""
FEWEST_LANES = 64
"""The smallest number."""
PACKED = 8192
"""The number of elements of a packed operand up to which there are more lanes than the fewest."""
STEPS = 32
"""The number of iterations of another outer axis for which operands are packed once."""
MOST_PACKED = 4
"""The largest number of packed operands."""


class ShortInCall(Reductions):
    """The form of rows that are short in a call."""

    def may_be_short(self) -> bool:
        """Whether lanes should be rows if these are short: no operand is as large as the space of iterations.

        The time of other reductions is that of reading their operands.
        """
        length = dims.product(self.sizes[a] for a in self.inner)
        if not self.group.machine.short_row or len(self.outer) < 2 or self.columns_last() or self.few is not None:
            return False
        if type(length) is int and length > LONGEST or not self._suits_lanes():
            return False
        lanes = self.sizes[self.outer[-1]]
        rows, terms = times_of_lanes(lanes, length)
        if type(rows) is int and type(terms) is int and rows > terms:
            return False
        if type(lanes) is int and lanes < FEWEST_ROWS and self._stores_rows():
            return False
        reads = self.operands()
        packed = sum(self._is_packed(found) for found in reads.values())
        return packed <= MOST_PACKED and all(len(found) < len(self.order) for found in reads.values())

    def gains_by_packing(self) -> bool:
        """Whether operands have a stride along lanes, but are the same for many rows, and no result has a stride."""
        return any(map(self._is_packed, self.operands().values())) and not self._stores_rows()

    def _stores_rows(self) -> bool:
        """Whether values along rows are stored: neighbouring lanes store far apart."""
        return any(map(self.is_inner, self.group.stored))

    def _suits_lanes(self) -> bool:
        """Whether reductions have accumulators in registers, and no member is a gather."""
        if any(n.outputs[0].dtype in ("bool", "float16") for n in self.reducing):
            return False
        return not any(map(self._picks_rows, self.group.members))

    def _picks_rows(self, node: Apply) -> bool:
        """Whether a member reads other elements in each iteration, at positions that are operands: a gather.

        Neighbouring lanes would be far apart in memory, neighbouring terms are not.
        """
        lower, axes = node.op.record.lower, self.compact(self.iteration_maps[node.outputs[0]])
        arrays = sum(v.ndim > 0 for v in node.inputs)
        return isinstance(lower, Indexed) and len(axes) == len(self.order) and arrays > 1

    def short_in_call(self) -> Step:
        """Create one kernel with both forms, or with this one if rows are known to be short."""
        self.begin(KernelBuilder(self.label, self.ref_of))
        terms = self.total(self.inner)
        lanes = self.sizes[self.outer[-1]]
        if terms.op == "const" and type(lanes) is int:
            self._rows_as_lanes(terms)
            return self.finish()
        as_rows, as_terms = times_of_lanes(lanes, dims.product(self.sizes[a] for a in self.inner))
        short = call("and", terms <= LONGEST, self.k.size(as_rows) <= self.k.size(as_terms))
        self.in_two_forms(short, lambda: self._rows_as_lanes(terms), self.phases_over_rows)
        return self.finish()

    def _is_packed(self, axes: tuple[int, ...]) -> bool:
        """Whether an operand has a stride along lanes, and is the same in all iterations of the axis around them."""
        row, lane = self.outer[-2:]
        return lane in axes and axes[-1] != lane and row not in axes

    def _rows_as_lanes(self, terms: Expr) -> None:
        *others, row, lane = self.outer
        lanes, steps = self.k.size(self.sizes[lane]), self.k.size(self.sizes[row])
        fitting = call("floordiv", index(PACKED // FEWEST_LANES), maximum(terms, ONE)) * FEWEST_LANES
        width = self.let(self.levels[-1], maximum(index(FEWEST_LANES), minimum(fitting, index(LANES))))
        blocks = call("floordiv", lanes + (width - 1), width)
        chunks = call("floordiv", steps + (STEPS - 1), index(STEPS))
        self.push(None, None)
        level = self.levels[-1]
        first = self.let(level, call("mod", var("o"), blocks) * width)
        count = self.let(level, minimum(lanes - first, width))
        rest = self.let(level, call("floordiv", var("o"), blocks))
        start = self.let(level, call("mod", rest, chunks) * STEPS)
        if others:
            self.spread(others, self.let(level, call("floordiv", rest, chunks)))
        for (base, axes), _ in self.operands().items():
            if self._is_packed(axes):
                room = maximum(index(PACKED), terms * FEWEST_LANES)
                self.packed[base, axes] = self._pack(base, axes, first, count, width, room), width
        self.push(row, start + var("s"))
        self.push(lane, first + var("i"))
        self.lane_index = ZERO
        self.packed_lane = var("i")
        for phase in range(self.phases()):
            self.phase_in_registers(self.reductions_at(phase), self.stores_at(phase), terms, LONGEST)
        self.store([v for v in self.group.stored if not self.is_inner(v)])
        self.close("i", count, "simd")
        self.close("s", minimum(steps - start, index(STEPS)), "serial")
        cost = minimum(width, lanes) * (minimum(steps, index(STEPS)) * self.member_weight()) * terms
        self.close("o", self.total(others) * chunks * blocks, "parallel", cost)
        self.packed.clear()

    def _pack(self, base: Variable, axes: tuple[int, ...], first: Expr, count: Expr, width: Expr, room: Expr) -> str:
        """Copy an operand's elements for the lanes of an iteration, to scratch memory with ``room`` elements."""
        inner = [a for a in axes if a in self.inner]
        name = self.k.fresh("pack")
        self.put(Alloc(name, base.dtype, room))
        counter = self.k.fresh("r")
        self._open_terms(inner, var(counter))
        self.push(self.outer[-1], first + var("i"))
        element = self.load(self.levels[-1], base, self.flat_index(axes))
        self.put(Store(name, var(counter) * width + var("i"), element))
        self.close("i", count, "simd")
        self.close(counter, self.total(inner), "serial")
        return name

    def phase_in_registers(self, reductions: list[Variable], stores: list[Variable], terms: Expr, most: int) -> None:
        """Create loops over the terms of each lane's row, at most ``most``, with accumulators in registers."""
        if not reductions and not stores and not self.kept_here:
            return
        most = terms.value if terms.op == "const" else most
        sums = [v for v in reductions if is_sum(v)] if most > BLOCK else []
        for v in reductions:
            dtype = POSITION if self.is_position(v) else v.dtype
            self.accumulators[v] = self.register(v, dtype), dtype
        total, parts = dict(self.accumulators), {}
        outside = self.k.fresh("r") if sums else ""
        if sums:
            self.push(None, None)
            parts = {v: self.register(v, v.dtype) for v in sums}
        start = var(outside) * BLOCK if sums else ZERO
        length = self.let(self.levels[-1], minimum(terms - start, index(BLOCK))) if sums else terms
        counter = self.k.fresh("r")
        self._open_terms(self.inner, start + var(counter))
        for v in reductions:
            self.combine_register(v, parts.get(v, total[v][0]), self._term(v))
        self._store_terms(stores)
        self.close(counter, length, "serial")
        for v in sums:
            self.combine_register(v, total[v][0], self._register_value(parts[v], v.dtype))
        if sums:
            self.close(outside, call("floordiv", terms + (BLOCK - 1), index(BLOCK)), "serial")
        for v in (*self.kept_here, *stores):
            self.kept.setdefault(v, "")

    def _store_terms(self, values: list[Variable]) -> None:
        """Store values of the innermost loop: in scratch memory, if they have rows there."""
        self.store([v for v in values if v not in self.turned_values])
        turned = [v for v in (*self.kept_here, *values) if v in self.turned_values]
        for v, e in zip(turned, [self.member(v) for v in turned]):
            self.put(Store(self.turned_values[v], self.turned_position(), e))

    def _term(self, v: Variable) -> Expr:
        """The current term of a reduction, in the dtype of its register."""
        node, dtype = self.node_of[v], self.accumulators[v][1]
        if dtype == v.dtype:
            return cast(self.value(node.inputs[0], self.reduction_iteration_maps[v]), dtype)
        axes = self.iteration_maps[node.inputs[0]]
        condition, position, _ = (self.value(a, axes) for a in self.node_of[node.inputs[0]].inputs)
        return call("select", condition, cast(position, dtype), identity_of(v, dtype))

    def accumulated(self, home: Level, value: Variable) -> Expr:
        """The result of a reduction; of a position in a narrower register, there may be none."""
        found = super().accumulated(home, value)
        if found.dtype != POSITION or value.dtype == POSITION:
            return found
        found = self.let(home, found)
        none = call("eq", found, identity_of(value, POSITION))
        return call("select", none, identity_of(value, value.dtype), cast(found, value.dtype))

    def register(self, v: Variable, dtype: str) -> str:
        """Make a register for the reduction ``v``, in the innermost loop."""
        name = self.k.fresh("acc")
        self.put(Alloc(name, dtype, ONE))
        self.put(Store(name, ZERO, identity_of(v, dtype)))
        return name

    def _register_value(self, register: str, dtype: str) -> Expr:
        name = self.k.fresh("x")
        self.put(Load(name, register, ZERO, dtype))
        return var(name, dtype)

    def combine_register(self, v: Variable, register: str, element: Expr) -> None:
        old = self._register_value(register, element.dtype)
        self.put(Store(register, ZERO, self.combined(v, old, element)))

    def _open_terms(self, axes: list[int], position: Expr) -> None:
        """Open one loop over all of these inner axes."""
        if len(axes) == 1:
            self.push(axes[0], position)
        else:
            self.push(None, None)
            if axes:
                self.spread(axes, self.let(self.levels[-1], position))
