"""The loop nest of a group under construction: its open loops, and the values known in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from symc.compiler.fusion import IterationMap, along_of, is_dim, is_inline, resolve
from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.iteration import GroupIteration, weight
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import Axes, Indexed, Pointwise, Reduction
from symc.loops.expr import ONE, ZERO, Expr, call, cast, const, parts, var
from symc.loops.ir import For, If, Let, Load, Ref, Statement, Step, Store

TURNED = 64
"""The number of rows that are transposed at once: three such blocks, of rows of 64 floats, fit a first-level cache."""
MOST_NESTED = 64
"""The largest number of members that are computed while one that depends on them is."""


@dataclass
class Level:
    """One loop of the nest: its statements so far, and the values known in it."""

    statements: list[Statement]
    known: dict[Any, Expr]


class Nest(GroupIteration):
    """Builder of a loop nest. Statements are added to the innermost loop, values to the outermost possible loop."""

    def begin(self, builder: KernelBuilder) -> None:
        """Start a kernel: no loop is open, nothing is known."""
        self.k = builder
        # copies of operands with their last axis first, by the axes that they follow
        self.turned: dict[tuple[Variable, tuple[int, ...]], Ref] = {}
        self.levels: list[Level] = [Level([], {})]
        self.nested = 0
        self.restart()

    def restart(self) -> None:
        """Start another form of the same loops."""
        # two axes whose elements are lanes together, and the number of the lane
        self.lanes_over: tuple[tuple[int, int], Expr] | None = None
        self.lane_index: Expr = ZERO  # a reduction's position in its accumulator: the column, if columns are lanes
        self.depth_of: dict[int, int] = {}
        self.at: dict[int, Expr] = dict.fromkeys(range(len(self.sizes)), ZERO)  # axes of length 1 stay at 0
        self.accumulators: dict[Variable, tuple[str, str]] = {}  # each reduction's, with its dtype
        self.block_sums: dict[Variable, str] = {}
        self.row_parts: Expr = ONE  # into which threads divide the terms of a column: blocks of columns are wider then
        self.column_sums: dict[Variable, str] = {}  # sums across rows, an element per column
        self.column_values: dict[Variable, str] = {}  # values of columns that are computed once: their scratch memory
        self.block_start: Expr | None = None
        self.more_blocks: Expr | None = None
        self.short = False  # whether rows are written out, without loops and accumulators
        # values of earlier phases: the row of scratch memory that holds them, or "" if they are stored anyway
        self.kept: dict[Variable, str] = {}
        # results whose rows are stored in bursts, from values in scratch memory alone: caches take these faster
        self.in_bursts: set[Variable] = set()
        # operands in scratch memory, by the axes that they follow: its name, and the number of lanes in it
        self.packed: dict[tuple[Variable, tuple[int, ...]], tuple[str, Expr]] = {}
        self.packed_lane: Expr = ZERO
        # members in scratch memory, transposed as packed operands are, and those among them that a phase stores there
        self.turned_values: dict[Variable, str] = {}
        self.kept_here: list[Variable] = []
        # operands of which a tile is in scratch memory, by the axes that they follow: its name, and the position
        self.tiles: dict[tuple[Variable, tuple[int, ...]], tuple[str, Expr]] = {}

    def flat_index(self, iteration_map: IterationMap) -> Expr:
        """The row-major position of the current element of a variable with the iteration map ``iteration_map``."""
        flat, together = ZERO, self.lanes_over
        axes = self.compact(iteration_map)
        for k, a in enumerate(axes):
            if together is not None and axes[k : k + 2] == together[0]:
                continue
            if together is not None and k and axes[k - 1 : k + 1] == together[0]:
                flat = flat * self.total(together[0]) + together[1]
            else:
                flat = flat * self.k.size(self.sizes[a]) + self.at[a]
        return flat

    def position(self, v: Variable) -> Expr:
        """The position of the current element of a stored value in its memory."""
        iteration_map, placed = self.iteration_maps[v], self.group.placed.get(v)
        if placed is None:
            return self.flat_index(iteration_map)
        row, within = (self.flat_index(part) for part in (iteration_map[: placed.axis], iteration_map[placed.axis :]))
        return row * self.k.size(placed.width) + (self.k.size(placed.offset) + within)

    def home(self, iteration_map: IterationMap) -> Level:
        """The outermost loop in which a value at ``iteration_map`` can be computed."""
        depth = max((self.depth_of[a] for a in self.compact(iteration_map)), default=0)
        return self.levels[depth]

    def value(self, variable: Variable, iteration_map: IterationMap) -> Expr:
        """The element of ``variable`` at ``iteration_map``; missing values are computed in the right loop."""
        base, iteration_map = (
            resolve(variable, iteration_map, self.stored) if variable not in self.node_of else (variable, iteration_map)
        )
        if isinstance(base, Constant) and base.data.size == 1:
            return const(base.data.reshape(())[()], base.dtype)
        if base in self.node_of:
            return self.member(base)
        home = self.home(iteration_map)
        key = (base, self.compact(iteration_map))
        found = home.known.get(key)
        if found is None:
            if is_inline(base) and base not in self.stored:
                assert base.owner is not None
                found = self.let(home, self._element(base.owner, iteration_map))
            elif key in self.tiles:
                name = self.k.fresh("x")
                home.statements.append(Load(name, *self.tiles[key], base.dtype))
                found = var(name, base.dtype)
            elif key in self.packed:
                found = self._load_packed(home, base, key[1])
            elif key in self.turned:
                found = self._load_turned(home, base, key[1])
            else:
                found = self.load(home, base, self.flat_index(iteration_map))
            home.known[key] = found
        return found

    def _load_packed(self, home: Level, base: Variable, axes: tuple[int, ...]) -> Expr:
        """Load an element of ``base``, which follows ``axes``, from scratch memory."""
        memory, lanes = self.packed[base, axes]
        flat = self.flat_index(tuple(a for a in axes if a in self.inner))
        return self._scratch(home, memory, flat * lanes + self.packed_lane, base.dtype)

    def _load_turned(self, home: Level, base: Variable, axes: tuple[int, ...]) -> Expr:
        """Load an element of ``base``, which follows ``axes``, from its copy with the last axis first."""
        memory = self.k.buffer(self.turned[base, axes], base.dtype)
        return self._scratch(home, memory, self.flat_index((axes[-1], *axes[:-1])), base.dtype)

    def _scratch(self, home: Level, memory: str, position: Expr, dtype: str) -> Expr:
        """Load an element of scratch memory in the loop ``home``."""
        name = self.k.fresh("x")
        home.statements.append(Load(name, memory, position, dtype))
        return var(name, dtype)

    def load(self, home: Level, base: Variable, position: Expr) -> Expr:
        """Load an element of ``base`` in the loop ``home``."""
        name = self.k.fresh("x")
        home.statements.append(Load(name, self.k.reads(base), position, base.dtype))
        return var(name, base.dtype)

    def let(self, home: Level, e: Expr) -> Expr:
        """Name the value of ``e`` in the loop ``home``, unless it has a name or is a constant."""
        if e.op in ("const", "var"):
            return e
        e = self._name_shared(home, e)
        name = self.k.fresh()
        home.statements.append(Let(name, e))
        return var(name, e.dtype)

    def _name_shared(self, home: Level, e: Expr) -> Expr:
        """Name every repeated subexpression of ``e``, so that its text is as long as its graph."""
        order = parts(e)
        uses = Counter(id(a) for x in order for a in x.args)
        if all(uses[id(x)] <= 1 or not x.args for x in order):
            return e
        named: dict[int, Expr] = {}
        for x in order:
            args = tuple(named.get(id(a), a) for a in x.args)
            made = x if all(a is b for a, b in zip(args, x.args)) else Expr(x.op, args, x.dtype, x.value)
            if uses[id(x)] > 1 and x.args:
                name = self.k.fresh()
                home.statements.append(Let(name, made))
                made = var(name, x.dtype)
            named[id(x)] = made
        return named[id(e)]

    def _element(self, node: Apply, iteration_map: IterationMap) -> Expr:
        """The element of an ``Indexed`` op, whose reads are loads at computed positions."""
        lower = node.op.record.lower
        assert isinstance(lower, Indexed)
        if lower.flat:
            position: tuple[Expr, ...] = (self.flat_index(iteration_map),)
        else:
            position = tuple(ZERO if a is None else self.at[a] for a in iteration_map)
        home = self.home(iteration_map)
        along = along_of(node)
        shape, step = self._in_rows(node, iteration_map)

        def read(k: int, at: Sequence[Expr]) -> Expr:
            source = node.inputs[k]
            axes = along[k]
            if axes is not None:
                if lower.tail is not None and source not in self.node_of:
                    self._measure(source, tuple(iteration_map[a] for a in axes))
                return self.value(source, tuple(iteration_map[a] for a in axes))
            if isinstance(source, Constant) and source.data.size == 1:
                return const(source.data.reshape(())[()], source.dtype)
            if is_dim(source) or not source.ndim:
                return self.value(source, ())
            self.k.reads_anywhere(source)
            exists = all(source.type.shape) and all(e.op == "const" for e in at)  # even if there is no iteration
            level = self.home(()) if exists else home
            return self.load(level, source, self.k.flat(source.type.shape if k else shape, at))

        more = () if lower.tail is None else (self.k.size(step),)
        return lower.element(node, position, read, self.k.size, *more)

    def _measure(self, positions: Variable, iteration_map: IterationMap) -> None:
        """State the size of a buffer with positions, of which a back end may read those of later rows."""
        base, _ = resolve(positions, iteration_map, self.stored)
        if (
            base not in self.node_of
            and not (is_inline(base) and base not in self.stored)
            and not isinstance(base, Constant)
        ):
            self.k.reads_anywhere(base)

    def _in_rows(self, node: Apply, iteration_map: IterationMap) -> tuple[Sequence[dims.Dim], dims.Dim]:
        """The shape of input 0 of an ``Indexed`` op where axes of its tail are one, and the steps of their first."""
        lower = node.op.record.lower
        assert isinstance(lower, Indexed)
        tail = None if lower.tail is None else lower.tail(node)
        if tail is None:
            return (node.inputs[0].type.shape if node.inputs else ()), 1
        out = node.outputs[0].type.shape
        shape, step, head = list(node.inputs[0].type.shape), 1, tail
        before = len(shape) - len(out)
        for k in range(tail + 1, len(out)):
            if iteration_map[k] not in self.merged_into:
                head = k
                continue
            shape[head + before] = dims.mul(shape[head + before], out[k])
            shape[k + before] = 1
            step = dims.mul(step, out[k]) if head == tail else step
        return shape, step

    def member(self, value: Variable) -> Expr:
        """The element of a member's value, computed in its loop unless it is known there."""
        node, iteration_map = self.node_of[value], self.iteration_maps[value]
        home = self.home(iteration_map)
        found = home.known.get(value)
        if found is not None:
            return found
        if self.nested >= MOST_NESTED:
            for v in self._before(value):
                self.member(v)
        self.nested += 1
        lower = node.op.record.lower
        if value in self.column_values:
            found = self._scratch(home, self.column_values[value], self.lane_index, value.dtype)
        elif value in self.kept and value in self.turned_values:
            found = self._scratch(home, self.turned_values[value], self.turned_position(), value.dtype)
        elif value in self.kept:
            if not self.kept[value]:
                found = self.load(home, value, self.position(value))
            else:
                found = self._scratch(home, self.kept[value], self.inner_index(), value.dtype)
        elif isinstance(lower, Pointwise):
            elements = [self.value(v, iteration_map) for v in node.inputs]
            found = self.let(home, lower.body(*elements, **node.op.attrs))
        elif isinstance(lower, Axes):
            base, at = self.reads_of(node, iteration_map)[0]
            found = self.value(base, at)
        elif isinstance(lower, Indexed):
            found = self.let(home, self._element(node, iteration_map))
        elif self.short:
            found = self.let(home, self.reduced(value))
        else:
            found = self.let(home, cast(self.accumulated(home, value), value.dtype))
        home.known[value] = found
        self.nested -= 1
        return found

    def _before(self, value: Variable) -> list[Variable]:
        """The members to compute before ``value``, producers first: a chain may be longer than Python's stack."""
        found: dict[Variable, None] = {}
        pending = [value]
        while pending:
            v = pending[-1]
            node, iteration_map = self.node_of[v], self.iteration_maps[v]
            ahead: list[Variable] = []
            if v not in self.column_values and v not in self.kept and not isinstance(node.op.record.lower, Reduction):
                bases = [base for base, _ in self.reads_of(node, iteration_map) if base in self.node_of]
                ahead = [b for b in bases if b not in found and b not in self.home(self.iteration_maps[b]).known]
            pending += reversed(ahead)
            if not ahead:
                found[pending.pop()] = None
        return list(found)[:-1]

    def reduced(self, value: Variable) -> Expr:
        """The value of a reduction over a row that is short enough to be written out."""
        raise AssertionError("there are no short rows")

    def accumulated(self, home: Level, value: Variable) -> Expr:
        """The current result of a reduction in its accumulator's dtype: its total plus the last block, if any."""
        accumulator, dtype = self.accumulators[value]
        total = self._scratch(home, accumulator, self.lane_index, dtype)
        if value not in self.block_sums:
            return total
        return total + cast(self._scratch(home, self.block_sums[value], self.lane_index, value.dtype), dtype)

    def inner_index(self) -> Expr:
        """The position within a row of scratch memory."""
        flat = ZERO
        for a in self.inner:
            flat = flat * self.k.size(self.sizes[a]) + self.at[a]
        return flat

    def turned_position(self) -> Expr:
        """The position in scratch memory of the current element of a transposed row."""
        return self.inner_index() * TURNED + self.packed_lane

    def push(self, axis: int | None, position: Expr | None) -> None:
        """Open a loop, over ``axis`` if given; ``close`` sets its name and extent."""
        self.levels.append(Level([], {}))
        if axis is not None:
            assert position is not None
            self.at[axis] = position
            self.depth_of[axis] = len(self.levels) - 1

    def close(self, name: str, extent: Expr, kind: str, work: Expr | None = None) -> None:
        """Close the innermost loop and add it to the enclosing loop."""
        level = self.levels.pop()
        for axis in [a for a, d in self.depth_of.items() if d == len(self.levels)]:
            del self.depth_of[axis]
        if level.statements:
            self.levels[-1].statements.append(For(name, extent, tuple(level.statements), kind, work))

    def close_if(self, condition: Expr | None) -> None:
        """Close a block opened like a loop; it runs where ``condition`` holds, or always."""
        level = self.levels.pop()
        body = tuple(level.statements)
        self.levels[-1].statements += body if condition is None else (If(condition, body),)

    def in_two_forms(self, condition: Expr, form: Callable[[], None], other: Callable[[], None]) -> None:
        """Create the loops of ``form``, which run where ``condition`` holds, and those of ``other`` for elsewhere."""
        self.push(None, None)
        form()
        self.close_if(condition)
        self.restart()
        self.push(None, None)
        other()
        self.close_if(call("not", condition))

    def put(self, s: Statement) -> None:
        """Add a statement to the innermost loop."""
        self.levels[-1].statements.append(s)

    def spread(self, axes: Sequence[int], counter: Expr) -> None:
        """Compute the positions on several axes from one counter over all of them."""
        depth = len(self.levels) - 1
        rest = counter
        for a in reversed(axes):
            size = self.k.size(self.sizes[a])
            first = a == axes[0]
            here = rest if first else call("mod", rest, size)
            self.at[a] = self.let(self.levels[-1], here)
            self.depth_of[a] = depth
            if not first:
                rest = self.let(self.levels[-1], call("floordiv", rest, size))

    def total(self, axes: Iterable[int]) -> Expr:
        """The product of the lengths of ``axes``."""
        result = ONE
        for a in axes:
            result = result * self.k.size(self.sizes[a])
        return result

    def store(self, values: Sequence[Variable]) -> None:
        """Store values of the innermost loop.

        All values are computed first: a result may reuse the memory of an operand.
        """
        computed = [self.member(v) for v in values]
        for v, e in zip(values, computed):
            self.put(Store(self.k.writing(v), self.position(v), e))

    def _positions_at(self, iteration_map: IterationMap) -> dims.Dim:
        """The number of elements at a map: all of a value, or those of the rows that the group computes."""
        return dims.product(self.group.axes[a] for a in iteration_map if a is not None)

    def _sizes_touched(self) -> list[tuple[str, dims.Dim]]:
        touched: dict[Any, tuple[str, dims.Dim]] = {}
        for node in self.group.members:
            for base, at in self.reads_of(node, self.iteration_maps[node.outputs[0]]):
                computed = base in self.node_of or (is_inline(base) and base not in self.stored)
                if not computed and not isinstance(base, Constant):
                    touched[base] = (base.dtype, self._positions_at(at))
        for v in self.group.stored:
            touched[v] = (v.dtype, self._positions_at(self.iteration_maps[v]))
        return list(touched.values())

    def finish(self) -> Step:
        """Create the step of the finished kernel."""
        everything = dims.product(self.sizes[a] for a in self.order)
        self.k.flops = self.k.size(everything) * sum(weight(n) for n in self.group.members)
        for v in self.group.stored:
            number = self.k.number_of(v)
            if number in self.k.writes and v not in self.in_bursts:
                self.k.elements[number] = self.k.size(self._positions_at(self.iteration_maps[v]))
        return self.k.step(self.levels[0].statements, self.locations, self._sizes_touched())
