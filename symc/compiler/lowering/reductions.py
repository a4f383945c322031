"""The forms of groups with reductions: phases over rows, or over blocks of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from symc.compiler.fusion import source_of
from symc.compiler.lowering.accumulators import Accumulators
from symc.compiler.lowering.iteration import is_sum, weight
from symc.compiler.lowering.nest import Level
from symc.compiler.lowering.positions import POSITION_TERMS
from symc.graph import Variable, dims
from symc.graph.op import Reduction
from symc.loops.expr import ONE, ZERO, Expr, call, cast, index, maximum, minimum, var
from symc.loops.ir import SUM_TERMS, Accumulate, Alloc, Load, Store

JOBS = 8
"""Blocks of columns that are enough for the threads of a CPU."""
COLUMN_STEP = 64
"""Widths of blocks are multiples of this."""
CACHED = 1 << 17
"""The number of elements of a block that a later phase finds in the cache."""

Piece = tuple[int, Expr, Expr]
"""A part of an inner axis: the axis, the start of the part, its length."""


class Blocks(NamedTuple):
    """The grouping of the terms of sums into blocks, whose sums are added to totals.

    A block is ``chunk`` steps of the inner axis number ``at``, with all axes inside it. With ``chunk`` 1, it consists
    only of the axes inside ``at``.
    """

    at: int
    chunk: int


class Reductions(Accumulators):
    """The forms of rows and of columns."""

    def phases_over_rows(self) -> None:
        """Generate the loop over the outer axes, if there are any, around the phases."""
        if not self.outer:
            self.row_body(None)
            return
        cost = index(self.member_weight()) * self.total(self.inner)
        self.push(None, None)
        self.spread_outer(var("o"))
        if self.columns_last():
            self.column_body()
            cost = cost * minimum(self.width(), self.k.size(self.sizes[self.outer[-1]]))
        else:
            self.row_body(None)
        self.close("o", self.jobs(), "parallel", cost)

    def columns_last(self) -> bool:
        """Whether the last axis in memory is an outer axis, so that neighbouring results are reduced side by side."""
        return bool(self.outer) and self.order[-1] in self.outer

    def jobs(self) -> Expr:
        """The number of rows, or of blocks of columns."""
        if not self.columns_last():
            return self.total(self.outer)
        *rows, last = self.outer
        return self._blocks_of(last) * self.total(rows)

    def width(self) -> Expr:
        """The number of columns of a block."""
        least, most = self.group.machine.columns, self.most_columns()
        if most <= least:
            return index(least)
        fair = (
            (self.total(self.outer) * self.row_parts + (JOBS * COLUMN_STEP - 1)) // (JOBS * COLUMN_STEP) * COLUMN_STEP
        )
        return maximum(index(least), minimum(fair, index(most)))

    def wide_jobs(self) -> int:
        """The number of blocks of columns that are as wide as possible, of known sizes."""
        *rows, last = (self.sizes[a] for a in self.outer)
        count = dims.product([*rows, dims.ceildiv(last, self.most_columns())])
        assert type(count) is int
        return max(count, 1)

    def most_columns(self) -> int:
        """The largest width of a block: phases after the first find it in the cache, and so do its accumulators."""
        machine = self.group.machine
        most = machine.most_columns // max(len(self.reducing), 1)
        terms = dims.product(self.sizes[a] for a in self.inner)
        if self._passes() > 1:
            most = min(most, CACHED // terms) if type(terms) is int and terms else 0
        return max(most // COLUMN_STEP * COLUMN_STEP, machine.columns)

    def _passes(self) -> int:
        """The number of phases that go through the terms: behind the last reduction there may be only results."""
        return sum(bool(self.reductions_at(phase) or self.stores_at(phase)) for phase in range(self.phases()))

    def _blocks_of(self, last: int) -> Expr:
        width = self.width()
        return call("floordiv", self.k.size(self.sizes[last]) + (width - 1), width)

    def spread_outer(self, counter: Expr) -> None:
        """Compute the position on the outer axes from a counter over all jobs (for columns, of the first column)."""
        if not self.columns_last():
            self.spread(self.outer, counter)
            return
        *rows, last = self.outer
        level = self.levels[-1]
        width = self.let(level, self.width())
        if self.few in rows:  # of few columns, each reads the same block, while it is in the cache
            few = self.k.size(self.sizes[self.few])
            rows.remove(self.few)
            self.at[self.few] = self.let(level, call("mod", counter, few))
            self.depth_of[self.few] = len(self.levels) - 1
            counter = self.let(level, call("floordiv", counter, few))
        self.first_column = counter * width
        if rows:
            blocks = self._blocks_of(last)
            self.spread(rows, self.let(level, call("floordiv", counter, blocks)))
            self.first_column = call("mod", counter, blocks) * width
        self.first_column = self.let(level, self.first_column)
        self.column_count = self.let(level, minimum(self.k.size(self.sizes[last]) - self.first_column, width))

    def row_body(self, piece: Piece | None) -> None:
        """Generate all phases of one row, then the stores of values on the outer axes.

        ``piece`` restricts one inner axis: (axis, start, extent).
        """
        self.lane_index = ZERO
        keep = self._worth_keeping() if piece is None else {}
        for phase in range(self.phases()):
            reductions = self.reductions_at(phase)
            stores = self.stores_at(phase)
            if not reductions and not stores:
                continue
            row = self.levels[-1]
            own = [v for v in reductions if v not in self.column_sums]
            blocks = self._blocks_of_terms(own, piece, lanes=True)
            blocked = [v for v in own if blocks and is_sum(v)]
            self.new_accumulators(own, blocked, ONE)
            self.reset(own)
            outside = self._open_blocks(blocks, piece)
            names = self._open_inner(blocks, piece)
            for v in [v for v, p in keep.items() if p == phase and v not in self.kept]:
                self._keep(v, row)
            self._terms(reductions, stores)
            if {s.buffer for s in self.levels[-1].statements if isinstance(s, Load)} <= set(self.kept.values()):
                self.in_bursts.update(stores)
            self._close_inner(names, simd=True)
            self.end_block(blocked)
            for v in blocked:
                del self.block_sums[v]
            self._close_inner(outside, simd=False)
            for v in stores:
                self.kept.setdefault(v, "")
        if piece is None:
            self._store_outer([v for v in self.group.stored if not self.is_inner(v)])

    def _store_outer(self, values: Sequence[Variable]) -> None:
        """Store values that follow no inner axis. One that follows no axis is stored before the loop over the rows."""
        for v, e in [(v, self.member(v)) for v in values]:
            self.home(self.iteration_maps[v]).statements.append(Store(self.k.writing(v), self.position(v), e))

    def _keep(self, v: Variable, row: Level) -> None:
        """Store a value of the innermost loop in the row's scratch memory."""
        size = self.total(self.inner)
        name = self.k.fresh("keep")
        row.statements.append(Alloc(name, v.dtype, size))
        e = self.member(v)
        self.put(Store(name, self.inner_index(), e))
        self.kept[v] = name

    def _worth_keeping(self) -> dict[Variable, int]:
        """Costly values along the row that a later phase needs, with the phase that first computes them."""
        length = dims.product(self.sizes[a] for a in self.inner)
        if type(length) is int and length > self.group.machine.keep_limit:
            return {}
        wanted: dict[Variable, set[int]] = {}
        for phase in range(self.phases()):
            roots = [self.node_of[v].inputs[0] for v in self.reductions_at(phase)]
            roots += self.stores_at(phase)
            stack = [source_of(v, self.stored) if v not in self.node_of else v for v in roots]
            seen: set[Variable] = set()
            while stack:
                v = stack.pop()
                if v in seen or v not in self.node_of or not self.is_inner(v):
                    continue
                seen.add(v)
                wanted.setdefault(v, set()).add(phase)
                if v not in self.group.stored or self.level(v) == phase:
                    stack.extend(base for base, _ in self.reads_of(self.node_of[v], self.iteration_maps[v]))
        return {
            v: min(phases)
            for v, phases in wanted.items()
            if len(phases) > 1 and v not in self.group.stored and weight(self.node_of[v]) > 1
        }

    def _blocks_of_terms(self, reductions: Sequence[Variable], piece: Piece | None, lanes: bool) -> Blocks | None:
        """The grouping of the terms of a phase's sums; None if they are few enough for one running sum.

        ``lanes``: the innermost loop is a simd loop over the terms, in which back ends group them.
        """
        limits = [SUM_TERMS[v.dtype] for v in reductions if is_sum(v)]
        limits += [POSITION_TERMS for v in reductions if v in self.beside and piece is None]
        if not limits:
            return None
        room = min(limits)
        for at in reversed(range(len(self.inner) - (1 if lanes else 0))):
            size = self.sizes[self.inner[at]]
            known = type(size) is int and not (piece is not None and piece[0] == self.inner[at])
            if not known or size > room:
                return Blocks(at, 1 if lanes else room)
            room //= max(size, 1)
        return None

    def _open_blocks(self, blocks: Blocks | None, piece: Piece | None) -> list[tuple[str, Expr]]:
        """Open the loops around the blocks of terms."""
        self.block_start = self.more_blocks = None
        if blocks is None:
            return []
        names = [self._open(a, *self._extent(a, piece)) for a in self.inner[: blocks.at]]
        axis = self.inner[blocks.at]
        if blocks.chunk == 1:
            return [*names, self._open(axis, *self._extent(axis, piece))]
        name = self.k.fresh("r")
        _, extent = self._extent(axis, piece)
        count = call("floordiv", extent + (blocks.chunk - 1), index(blocks.chunk))
        self.push(None, None)
        self.block_start = self.let(self.levels[-1], var(name) * blocks.chunk)
        self.more_blocks = self.block_start + blocks.chunk < extent
        self.last_block = call("floordiv", extent - 1, index(blocks.chunk)) * blocks.chunk
        return [*names, (name, count)]

    def _open_inner(self, blocks: Blocks | None, piece: Piece | None) -> list[tuple[str, Expr]]:
        """Open the loops over one block of terms, or over all of them."""
        names = []
        if self.block_start is not None:
            assert blocks is not None
            axis = self.inner[blocks.at]
            start, extent = self._extent(axis, piece)
            length = self.let(self.levels[-1], minimum(extent - self.block_start, index(blocks.chunk)))
            names.append(self._open(axis, start + self.block_start, length))
        rest = self.inner if blocks is None else self.inner[blocks.at + 1 :]
        return names + [self._open(a, *self._extent(a, piece)) for a in rest]

    def _open(self, axis: int, start: Expr, extent: Expr) -> tuple[str, Expr]:
        name = self.k.fresh("r")
        self.push(axis, start + var(name))
        self.step = var(name)
        return name, extent

    def _extent(self, axis: int, piece: Piece | None) -> tuple[Expr, Expr]:
        """The start and the length of the loop over an inner axis."""
        if piece is not None and piece[0] == axis:
            return piece[1], piece[2]
        return ZERO, self.k.size(self.sizes[axis])

    def _close_inner(self, names: list[tuple[str, Expr]], simd: bool) -> None:
        for k, (name, extent) in enumerate(reversed(names)):
            self.close(name, extent, "simd" if simd and k == 0 else "serial")

    def _terms(self, reductions: Sequence[Variable], stores: Sequence[Variable]) -> None:
        """Add to the innermost loop a term per reduction, then the stores."""
        positions = {self.beside[v]: v for v in reductions if v in self.beside}
        for v in reductions:
            if v in self.beside:
                continue
            node = self.node_of[v]
            lower = node.op.record.lower
            assert isinstance(lower, Reduction)
            element = cast(self.value(node.inputs[0], self.reduction_iteration_maps[v]), v.dtype)
            if v in self.column_sums:
                self.put(Accumulate(self.column_sums[v], self.inner_index(), element, lower.combine))
                continue
            if v in positions:
                self.put_with_position(v, positions[v], element)
                continue
            target = self.block_sums.get(v) or self.accumulators[v][0]
            self.put(Accumulate(target, self.lane_index, element, lower.combine))
        self.store(stores)

    def column_body(
        self, piece: Piece | None = None, partial: Callable[[Variable], None] | None = None, whole: Expr | None = None
    ) -> None:
        """Generate one block of columns: phases over the inner axes, with one lane per column.

        ``partial`` stores a result of a ``piece`` of the terms, except where ``whole`` holds: the piece is all of them.
        """
        last = self.outer[-1]

        def lanes(work: Callable[..., None], *values: Sequence[Any]) -> None:
            self.push(last, self.first_column + var("i"))
            work(*values)
            self.close("i", self.column_count, "simd")

        def each_partial() -> None:
            assert partial is not None
            for v in self.reductions_at(0):
                partial(v)

        self.lane_index = var("i")
        if self.beside:
            self.terms = self._extent(self.inner[0], piece)
        for phase in range(self.phases()):
            reductions = self.reductions_at(phase)
            stores = self.stores_at(phase)
            if not reductions and not stores:
                continue
            blocks = self._blocks_of_terms(reductions, piece, lanes=False)
            blocked = [v for v in reductions if blocks and (is_sum(v) or v in self.beside)]
            if costly := self._column_values(reductions, stores):
                lanes(self._keep_columns, costly, self._column_memory(costly))
            self.new_accumulators(reductions, blocked, index(self.most_columns()))
            if reductions:
                lanes(self.reset, reductions)
            outside = self._open_blocks(blocks, piece)
            names = self._open_inner(blocks, piece)
            lanes(self._terms, reductions, stores)
            self._close_inner(names, simd=False)
            if blocked:
                self.push(None, None)
                lanes(self.end_block, blocked)
                self.close_if(self.more_blocks)
            self._close_inner(outside, simd=False)
            for v in stores:
                self.kept.setdefault(v, "")
        results = [v for v in self.group.stored if not self.is_inner(v)]
        if whole is not None:
            self.push(None, None)
            lanes(self.store, results)
            self.close_if(whole)
            self.push(None, None)
            lanes(each_partial)
            self.close_if(call("not", whole))
        elif partial is not None:
            lanes(each_partial)
        elif results:
            lanes(self.store, results)

    def _column_values(self, reductions: Sequence[Variable], stores: Sequence[Variable]) -> list[Variable]:
        """Values of a column that the terms of a phase read, and that take more than a load to compute."""
        stack = [self.node_of[v].inputs[0] for v in reductions if v not in self.beside] + list(stores)
        seen: set[Variable] = set()
        found = []
        while stack:
            v = stack.pop()
            v = v if v in self.node_of else source_of(v, self.stored)
            if v in seen or v not in self.node_of or v in self.kept or v in self.column_values:
                continue
            seen.add(v)
            if self.is_inner(v):
                stack.extend(base for base, _ in self.reads_of(self.node_of[v], self.iteration_maps[v]))
            elif self.outer[-1] in self.compact(self.iteration_maps[v]) and self._is_computed(v):
                found.append(v)
        return found

    def _is_computed(self, v: Variable) -> bool:
        """Whether the element of a column is more than a load."""
        if isinstance(self.node_of[v].op.record.lower, Reduction):
            return v in self.block_sums or self.accumulators[v][1] != v.dtype
        return weight(self.node_of[v]) > 0

    def _column_memory(self, values: Sequence[Variable]) -> list[str]:
        """Allocate scratch memory for values of the columns of a block."""
        names = [self.k.fresh("column") for _ in values]
        for v, name in zip(values, names):
            self.put(Alloc(name, v.dtype, index(self.most_columns())))
        return names

    def _keep_columns(self, values: Sequence[Variable], names: Sequence[str]) -> None:
        """Store values of a column; later they are loaded."""
        for v, e in zip(values, [self.member(v) for v in values]):
            self.put(Store(names[values.index(v)], self.lane_index, e))
        self.column_values.update(zip(values, names))
