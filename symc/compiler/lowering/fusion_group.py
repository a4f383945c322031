"""The choice of a group's form, and reductions split into parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from symc.compiler.fusion import FusionGroup, divided
from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.crossed_rows import CrossedRows
from symc.compiler.lowering.few_columns import FewColumns
from symc.compiler.lowering.iteration import total_dtype
from symc.compiler.lowering.maps import Maps
from symc.compiler.lowering.positions import POSITION_TERMS
from symc.compiler.lowering.reductions import JOBS
from symc.compiler.lowering.reuse import Lowered, form_of
from symc.compiler.lowering.short_rows import ShortRows
from symc.compiler.lowering.turned_rows import TurnedRows
from symc.graph import Variable, dims
from symc.graph.op import Reduction
from symc.loops.expr import ONE, ZERO, Expr, call, cast, index, minimum, var
from symc.loops.ir import Accumulate, Load, Ref, Step, Store

COMBINED = 512
"""The number of columns whose parts are combined at once."""
SHORTEST = 1024
"""The smallest number of elements of a part."""
LANES = 64
"""The smallest number of elements of a part along the axis of lanes."""
TALL = 1 << 16
"""The smallest number of elements of a part of a tall matrix."""
LARGE_PART = 1 << 18
"""The smallest number of elements of a part of a matrix with many columns."""
LEAST_ROWS = 64
"""The rows of a matrix below which a part of any size would have few."""
PARTS_OF_TALL = 8
"""The largest number of parts of a tall matrix."""


class GroupLowering(Maps, ShortRows, TurnedRows, CrossedRows, FewColumns):
    """Lowering of a group, in the form that suits it."""

    def lower(self) -> list[Step]:
        """Create the steps that compute the group's stored values."""
        if not self.group.inner:
            return [self.short_lines() if self.has_short_lines() else self.map()]
        self.begin(KernelBuilder(self.label, self.ref_of))
        self.pair_positions()
        if self.has_short_rows() and not (self.may_be_short() and self.gains_by_packing()):
            return [self.short_rows()]
        parts = self._parts() if self._single_phase() and self._worth_parts() else 1
        if type(parts) is int and parts == 1 and self.may_be_short():
            return [self.short_in_call()]
        if type(parts) is int and parts == 1 and self.may_turn_rows():
            return [self.turned_rows()]
        return self.phased() if type(parts) is int and parts == 1 else self._split(parts)

    def _worth_parts(self) -> bool:
        """Whether there are reductions, or so few rows without any that threads share a row.

        Every part computes the values that are the same along a row, such as the scale of a channel.
        """
        rows = dims.product(self.sizes[a] for a in self.outer)
        few = type(rows) is int and rows < self.group.machine.min_rows
        return few or bool(self.reducing)

    def _parts(self) -> dims.Dim:
        """The number of parts of every reduction; it may depend on the sizes of a call."""
        machine = self.group.machine
        outputs = dims.product(self.sizes[a] for a in self.outer)
        terms = dims.product(self.sizes[a] for a in self.inner)
        if not machine.rows:
            few = type(outputs) is int and outputs <= machine.few_results
            if not few and not self.columns_last():
                return 1
            if type(outputs) is not int:
                return self._parts_of_any(outputs, terms)
            if not few:
                return self._parts_of_tall(outputs, terms)
            elements = dims.mul(terms, outputs)
            if type(elements) is int and elements <= machine.split_above:
                return 1
            jobs = dims.product(self.sizes[a] for a in self.outer[:-1]) if self.columns_last() else outputs
            most = dims.minimum(dims.ceildiv(machine.parts, dims.maximum(jobs, 1)), self._most_pieces())
            return dims.maximum(1, dims.minimum(most, dims.floordiv(elements, SHORTEST)))
        if type(terms) is int and terms <= machine.split_above:
            return 1
        wanted, jobs = machine.rows, outputs
        if self.columns_last():
            *rows, last = self.outer
            wanted = wanted * machine.row_threads // machine.columns
            jobs = dims.mul(dims.product(self.sizes[a] for a in rows), dims.ceildiv(self.sizes[last], machine.columns))
        missing = dims.floordiv(wanted, dims.maximum(jobs, 1))
        each = dims.mul(terms, machine.columns) if self.columns_last() else terms
        useful = dims.minimum(self.sizes[self._split_axis()], dims.ceildiv(each, SHORTEST))
        return dims.maximum(1, dims.minimum(machine.parts, dims.minimum(missing, useful)))

    def _parts_of_tall(self, columns: int, rows: dims.Dim) -> dims.Dim:
        """The number of parts of a tall matrix, whose columns alone would not occupy all threads.

        With more columns, blocks of them would be enough, but narrow: short pieces of rows that are far apart, which
        memory delivers slowly. A large matrix is split into rows of blocks that are as wide as possible.
        """
        machine = self.group.machine
        known = type(rows) is int
        if columns > machine.columns * (4 if known else 1):
            parts = -(-JOBS // self.wide_jobs()) if known and type(self.sizes[self.outer[-1]]) is int else 1
            return parts if parts > 1 and rows * columns >= parts * LARGE_PART else 1
        return dims.maximum(1, dims.minimum(PARTS_OF_TALL, dims.floordiv(dims.mul(rows, columns), TALL)))

    def _parts_of_any(self, columns: dims.Dim, rows: dims.Dim) -> dims.Dim:
        """The number of parts of a matrix whose number of columns is known at call time."""
        if len(self.outer) > 1 or type(rows) is int and rows < LEAST_ROWS:
            return 1
        wanted = dims.ceildiv(JOBS, dims.maximum(1, dims.ceildiv(columns, self.most_columns())))
        least = dims.minimum(LARGE_PART, dims.maximum(TALL, dims.mul(columns, TALL // self.group.machine.columns)))
        enough = dims.minimum(self.sizes[self._split_axis()], dims.floordiv(dims.mul(rows, columns), least))
        return dims.maximum(1, dims.minimum(wanted, enough))

    def _split_axis(self) -> int:
        """The inner axis that is split: one whose length is known only at call time, else the longest."""
        unknown = [a for a in self.inner if type(self.sizes[a]) is not int]
        return unknown[0] if unknown else max((self.sizes[a], a) for a in self.inner)[1]

    def _most_pieces(self) -> dims.Dim:
        """The number of pieces of the split axis that are long enough: lanes should be full."""
        axis = self._split_axis()
        return dims.floordiv(self.sizes[axis], LANES) if axis == self.order[-1] else self.sizes[axis]

    def _single_phase(self) -> bool:
        if any(self.is_inner(v) and self.level(v) for v in self.group.stored):
            return False
        return all(self.level(n.outputs[0]) == 1 for n in self.reducing)

    def _split(self, pieces: dims.Dim) -> list[Step]:
        """Create parallel partial reductions over pieces of one inner axis, and a small kernel that combines them."""
        axis = self._split_axis()
        if self.beside and type(self.sizes[axis]) is not int:
            pieces = dims.maximum(pieces, dims.ceildiv(self.sizes[axis], POSITION_TERMS))
        reductions = self.reductions_at(0)
        results = dims.product(self.sizes[a] for a in self.outer)
        kept = dims.mul(pieces, dims.minimum(1, dims.sub(pieces, 1))) if self._may_be_whole(pieces) else pieces
        parts = {v: self.new_buffer(total_dtype(v), (kept, results)) for v in reductions}

        self.begin(KernelBuilder(self.label, self.ref_of))
        may_be_whole = self._may_be_whole(pieces)

        def loops() -> None:
            self._loops_of_parts(axis, pieces, results, parts)

        if may_be_whole:
            self.or_short_columns(loops)
        else:
            loops()
        self.row_parts = ONE
        first = self.finish()
        return [first, self.combine(reductions, parts, pieces, results, may_be_whole)]

    def _loops_of_parts(self, axis: int, pieces: dims.Dim, results: dims.Dim, parts: dict[Variable, Ref]) -> None:
        """Generate the loop over the pieces of an inner axis, which stores what each finds in ``parts``."""
        whole = self.k.size(self.sizes[axis])
        count = self.row_parts = self.k.size(pieces)
        part = self.open_parts()
        length = self.let(self.levels[-1], call("floordiv", whole + (count - 1), count))
        start = self.let(self.levels[-1], minimum(part * length, whole))
        extent = self.let(self.levels[-1], minimum(whole - start, length))
        piece = (axis, start, extent)

        def partial(v: Variable) -> None:
            found = cast(self.accumulated(self.levels[-1], v), total_dtype(v))
            at = ZERO
            for a in self.outer:
                at = at * self.k.size(self.sizes[a]) + self.at[a]
            target = self.k.buffer(parts[v], found.dtype, True)
            self.put(Store(target, part * self.k.size(results) + at, found))

        if self.columns_last():
            self.column_body(piece, partial, call("eq", count, ONE) if self._may_be_whole(pieces) else None)
        else:
            self.row_body(piece)
            for v in parts:
                partial(v)
        share = call("floordiv", self.k.size(dims.product(self.sizes[a] for a in self.order)), count)
        each = call("floordiv", share, call("max", self.jobs(), ONE))
        self.close("o", self.jobs() * count, "parallel", each * self.member_weight())

    def _may_be_whole(self, pieces: dims.Dim) -> bool:
        """Whether there may be one part alone, which then stores the results."""
        return type(pieces) is not int and self._combines_columns()

    def _combines_columns(self) -> bool:
        return self.columns_last() and len(self.outer) == 1 and not self.group.machine.rows

    def open_parts(self) -> Expr:
        """Open one parallel loop over all parts of all rows or blocks of columns; returns the number of the part."""
        self.push(None, None)
        if not self.outer:
            return var("o")
        jobs = self.jobs()
        self.spread_outer(self.let(self.levels[-1], call("mod", var("o"), jobs)))
        return self.let(self.levels[-1], call("floordiv", var("o"), jobs))

    def combine(
        self,
        reductions: list[Variable],
        parts: dict[Variable, Ref],
        pieces: dims.Dim,
        results: dims.Dim,
        but_one: bool = False,
    ) -> Step:
        """Create a small kernel that combines the partial results of reductions, and computes what depends on them.

        With ``but_one`` it does nothing where there is one part.
        """
        self.begin(KernelBuilder(self.label + " (combine)", self.ref_of))
        beside, self.beside = self.beside, {}
        rounds = [found for found in ([v for v in reductions if v not in beside], list(beside)) if found]
        if self._combines_columns():
            return self._combine_columns(rounds, parts, beside, pieces, results, but_one)
        self.lane_index = ZERO
        counter = ZERO
        if self.outer:
            counter = var("o")
            self.push(None, None)
            self.spread(self.outer, counter)
        for v in reductions:
            self.new_accumulator(v, ONE, total_dtype(v))
        self.reset(reductions)
        for round_ in rounds:
            self.push(None, None)
            for v, found in self._parts_of(round_, parts, beside, var("p") * self.k.size(results) + counter):
                lower = self.node_of[v].op.record.lower
                assert isinstance(lower, Reduction)
                self.put(Accumulate(self.accumulators[v][0], self.lane_index, found, lower.combine))
            self.close("p", self.k.size(pieces), "simd")
        self.store([v for v in self.group.stored if not self.is_inner(v)])
        if self.outer:
            self.close("o", self.total(self.outer), "parallel", self.k.size(pieces))
        return self.k.step(self.levels[0].statements, self.locations)

    def _parts_of(
        self, reductions: list[Variable], parts: dict[Variable, Ref], beside: dict[Variable, Variable], at: Expr
    ) -> Iterator[tuple[Variable, Expr]]:
        """The parts of reductions ``at`` a place in memory; of positions, those where the extreme is."""
        for v in reductions:
            _, dtype = self.accumulators[v]
            memory = self.k.buffer(parts[v], dtype)
            if v in beside:
                extreme = beside[v]
                yield v, self.combine_position(v, extreme, memory, self.k.buffer(parts[extreme], extreme.dtype), at)
                continue
            name = self.k.fresh("x")
            self.put(Load(name, memory, at, dtype))
            yield v, var(name, dtype)

    def _combine_columns(
        self,
        rounds: list[list[Variable]],
        parts: dict[Variable, Ref],
        beside: dict[Variable, Variable],
        pieces: dims.Dim,
        results: dims.Dim,
        but_one: bool,
    ) -> Step:
        """The same with columns as lanes; positions are combined in a round of their own, behind extremes."""
        count, columns = self.k.size(pieces), self.k.size(results)
        self.push(None, None)
        first = self.let(self.levels[-1], var("o") * COMBINED)
        here = self.let(self.levels[-1], minimum(columns - first, index(COMBINED)))
        self.push(self.outer[0], first + var("i"))
        for v in [v for values in rounds for v in values]:
            self.accumulators[v] = self.register(v, total_dtype(v)), total_dtype(v)
        for values in rounds:
            name = self.k.fresh("p")
            self.push(None, None)
            for v, found in self._parts_of(values, parts, beside, var(name) * columns + (first + var("i"))):
                self.combine_register(v, self.accumulators[v][0], found)
            self.close(name, count, "serial")
        self.store([v for v in self.group.stored if not self.is_inner(v)])
        self.close("i", here, "simd")
        blocks = (columns + (COMBINED - 1)) // COMBINED
        if but_one:
            blocks = blocks * minimum(count - 1, ONE)
        self.close("o", blocks, "parallel", count * COMBINED)
        return self.k.step(self.levels[0].statements, self.locations)


def lower_group(
    group: FusionGroup, stored: set[Variable], ref_of: Callable[[Variable], Ref], new_buffer: Callable[..., Ref]
) -> list[Step]:
    """Create the steps that compute a group's stored values, reusing the kernels of an equal group."""
    form = form_of(group, stored)
    known: Lowered | None = group.lowered.get(form.key)
    if known is not None:
        locations = [node.outputs[0].location for node in reversed(group.members)]
        steps = known.bind(form, locations, ref_of, new_buffer)
        if steps is not None:
            return steps
    made = Lowered(form, ref_of, new_buffer)
    lower = _lower_crossed if group.crossed else lambda *made: GroupLowering(*made).lower()
    steps = lower(group, stored, made.ref_of, made.new_buffer)
    made.close(steps)
    if made.sound:
        group.lowered[form.key] = made
    return steps


def _lower_crossed(
    group: FusionGroup, stored: set[Variable], ref_of: Callable[[Variable], Ref], new_buffer: Callable[..., Ref]
) -> list[Step]:
    """Create the kernel of rows with sums across them, and those that combine the totals of its parts."""
    rows, others = divided(group, stored)
    walk = GroupLowering(rows, stored, ref_of, new_buffer)
    pieces = walk.pieces()
    combined = [GroupLowering(other, stored, ref_of, new_buffer) for other in others]
    parts: dict[Variable, Ref] = {}
    sums = []
    for one in combined:
        results = dims.product(one.sizes[a] for a in one.outer)
        mine = [v for v in one.iteration_maps if v in group.crossed]
        parts.update({v: new_buffer(total_dtype(v), (pieces, results)) for v in mine})
        sums.append((one, mine, results))
    first = walk.crossed_rows(parts, pieces)
    return [first, *(one.combine(mine, parts, pieces, results) for one, mine, results in sums)]
