"""Lowering: from a fused group to kernels of loop IR.

A group becomes loops in one of three forms:

*map*
    no folds. Axes that every operand walks alike are merged; the last one is a ``simd`` loop, the others share a parallel
    loop (a single axis is cut into blocks).
*rows*
    folds along the axis that is last in memory: a parallel loop over the outer axes, and inside it one *phase* after
    another, each a loop over the inner axes. A phase computes the folds whose inputs are known by then, and stores
    what it can; costly values that a later phase wants again are kept in a row of scratch memory.
*columns*
    folds whose last axis in memory is an outer one: the same phases, with the simd loop over a block of columns, each
    lane accumulating for itself.

A fold with few results and many terms is *split*: a parallel loop makes partial results, a second kernel combines them. The
number of parts does not depend on the number of threads, so neither do the bits of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from symc import dims
from symc.fusion import Frame, Group, is_costly, is_inline, resolve
from symc.graph import Apply, Constant, Variable
from symc.loops.expr import ONE, ZERO, Expr, call, cast, const, index, minimum, var
from symc.loops.ir import Accumulate, Alloc, Call, For, Kernel, Let, Load, Statement, Step, Store
from symc.op import Axes, Fold, Indexed, Loops, Op, Pointwise, Routine

__all__ = ["KernelBuilder", "LoopContext", "lower_group", "lower_single"]

BLOCK = 4096
"""Elements of a one-axis map that one iteration of its parallel loop handles."""
TILE = 64
"""Side of the tiles in which a map with transposed operands is walked."""
COLUMNS = 128
"""Columns that one iteration of a column form handles."""
PARTS = 64
"""Partial results of a split fold."""
SPLIT_ABOVE = 16384
"""Terms from which a fold with few results is split."""
FEW_RESULTS = 32
KEEP_LIMIT = 1 << 16
"""Longest row, in elements, of which a phase keeps values for a later one."""


class KernelBuilder:
    """Collects what one kernel uses, and names it: buffers ``b0..``, dims ``n0..``, values ``t0..``."""

    def __init__(self, name: str, buffer_of: Callable[[Variable], int]) -> None:
        self.name = name
        self.buffer_of = buffer_of
        self.buffers: list[int] = []
        self.dtypes: list[str] = []
        self.writes: set[int] = set()
        self.dims: list[dims.Dim] = []
        self._counter = 0
        self.flops: Expr = ZERO

    def fresh(self, prefix: str = "t") -> str:
        self._counter += 1
        return f"{prefix}{self._counter}"

    def buffer(self, number: int, dtype: str, write: bool = False) -> str:
        """The local name of program buffer ``number``."""
        if number not in self.buffers:
            self.buffers.append(number)
            self.dtypes.append(dtype)
        k = self.buffers.index(number)
        if write:
            self.writes.add(k)
        return f"b{k}"

    def reads(self, v: Variable) -> str:
        return self.buffer(self.buffer_of(v), v.dtype)

    def writing(self, v: Variable) -> str:
        return self.buffer(self.buffer_of(v), v.dtype, True)

    def size(self, dim: dims.Dim) -> Expr:
        """A dim as an index expression."""
        if type(dim) is int:
            return index(dim)
        if dim not in self.dims:
            self.dims.append(dim)
        return var(f"n{self.dims.index(dim)}")

    def flat(self, shape: Sequence[dims.Dim], position: Sequence[Expr]) -> Expr:
        """The flat (row-major) position of a multi-index."""
        flat = ZERO
        for dim, i in zip(shape, position):
            flat = flat * self.size(dim) + i
        return flat

    def step(self, body: Iterable[Statement], traces: Iterable[Any] = (), sizes: Sequence[tuple[str, dims.Dim]] = ()) -> Step:
        total = ZERO
        for dtype, count in sizes:
            total = total + self.size(count) * np.dtype(dtype).itemsize
        kernel = Kernel(
            self.name, tuple(self.dtypes), frozenset(self.writes), len(self.dims), tuple(body), self.flops, total
        )
        return Step(kernel, tuple(self.buffers), tuple(self.dims), tuple(dict.fromkeys(t for t in traces if t)))


@lru_cache(maxsize=4096)
def _pointwise_weight(op: Op, dtypes: tuple[str, ...]) -> int:
    """Estimated scalar operations of an elementwise op: 1, or 8 for what takes a polynomial or a division."""
    lower = op.record.lower
    assert isinstance(lower, Pointwise)
    return 8 if is_costly(lower.body(*[var(f"x{k}", d) for k, d in enumerate(dtypes)], **op.attrs)) else 1


def weight(node: Apply) -> int:
    if isinstance(node.op.record.lower, Pointwise):
        return _pointwise_weight(node.op, tuple(v.dtype for v in node.inputs))
    return 30 if isinstance(node.op.record.lower, Indexed) and node.op.record.lower.flat else 1


@dataclass
class _Level:
    """One loop of the nest being filled: its statements so far and the values known in it."""

    statements: list[Statement]
    known: dict[Any, Expr]


class _GroupLowering:
    def __init__(self, group: Group, stored: set[Variable], buffer_of: Callable[[Variable], int], new_buffer: Callable[..., int]) -> None:
        self.group = group
        self.stored = stored
        self.buffer_of = buffer_of
        self.new_buffer = new_buffer
        self.node_of = {node.outputs[0]: node for node in group.members}
        self.frames = dict(group.frames)
        self.fold_frames: dict[Variable, Frame] = {}
        order = list(group.order or ())
        self.order = order + [a for a in range(len(group.axes)) if a not in order]
        if not group.inner:
            self.order = list(range(len(group.axes)))
        self._merge_axes()
        self.inner = [a for a in self.order if a in set(group.inner or ())]
        self.outer = [a for a in self.order if a not in self.inner]
        self.levels_of: dict[Variable, int] = {}
        self.traces = [node.outputs[0].trace for node in reversed(group.members)]
        self.label = "+".join(dict.fromkeys(n.op.name for n in reversed(group.members) if not isinstance(n.op.record.lower, Axes)))[:60] or "copy"

    # --- frames ---------------------------------------------------------------------------------------------------

    def reads_of(self, node: Apply, frame: Frame) -> list[tuple[Variable, Frame]]:
        """What a member (or a recomputed value at ``frame``) reads elementwise: base variables and their frames."""
        lower = node.op.record.lower
        if isinstance(lower, Pointwise):
            return [resolve(v, frame, self.stored) for v in node.inputs]
        if isinstance(lower, Fold):
            return [resolve(node.inputs[0], self.fold_frames[node.outputs[0]], self.stored)]
        if isinstance(lower, Axes):
            source = lower.source(node.op, node)
            return [resolve(node.inputs[0], tuple(None if k is None else frame[k] for k in source), self.stored)]
        return []

    def _fold_frame(self, node: Apply) -> Frame:
        outer, inner = iter(self.group.frames[node.outputs[0]]), iter(self.group.inner or ())
        return tuple(next(inner) if k in node.op["axes"] else next(outer) for k in range(node.inputs[0].ndim))

    def _merge_axes(self) -> None:
        """Join neighbouring axes that every operand walks alike into one, so that loops are few and long."""
        group = self.group
        self.sizes: list[dims.Dim] = list(group.axes)
        self.order = [a for a in self.order if not (type(self.sizes[a]) is int and self.sizes[a] == 1)]
        counted = set(self.order)
        seen: set[Frame] = set()
        pinned: set[int] = set()
        for node in group.members:
            value = node.outputs[0]
            if isinstance(node.op.record.lower, Fold):
                self.fold_frames[value] = self._fold_frame(node)
                seen.add(self.fold_frames[value])
            seen.add(group.frames[value])
            _pin(node, group.frames[value], pinned)
            for base, frame in self.reads_of(node, group.frames[value]):
                seen.add(frame)
                if base not in self.node_of and is_inline(base) and base not in self.stored:
                    assert base.owner is not None
                    _pin(base.owner, frame, pinned)
        compact = [tuple(a for a in f if a is not None and a in counted) for f in seen]
        inner = set(group.inner or ())
        into: dict[int, int] = {}
        for a, b in zip(self.order, self.order[1:]):
            if a in pinned or b in pinned or (a in inner) != (b in inner):
                continue
            if all(_adjacent(f, a, b) for f in compact):
                into[b] = a
        if not into:
            return
        for b in reversed(self.order):
            if b in into:
                self.sizes[into[b]] = dims.mul(self.sizes[into[b]], self.sizes[b])
        self.order = [a for a in self.order if a not in into]

    def compact(self, frame: Frame) -> Frame:
        """A frame without unit axes, with merged axes counted once."""
        kept = set(self.order)
        return tuple(a for a in frame if a is not None and a in kept)

    # --- levels: how many folds lie on the way to a value ------------------------------------------------------------

    def level(self, value: Variable) -> int:
        found = self.levels_of.get(value)
        if found is None:
            node = self.node_of.get(value)
            if node is None:
                found = 0
            else:
                reads = self.reads_of(node, self.frames[value])
                found = max((self.level(base) for base, _ in reads), default=0)
                if isinstance(node.op.record.lower, Fold):
                    found += 1
            self.levels_of[value] = found
        return found

    # --- values ---------------------------------------------------------------------------------------------------

    def begin(self, builder: KernelBuilder) -> None:
        self.k = builder
        self.levels: list[_Level] = [_Level([], {})]
        self.depth_of: dict[int, int] = {}
        self.at: dict[int, Expr] = dict.fromkeys(range(len(self.sizes)), ZERO)  # axes of length 1 stay at 0
        self.accumulators: dict[Variable, str] = {}
        self.kept: dict[Variable, str] = {}

    def flat_index(self, frame: Frame) -> Expr:
        flat = ZERO
        for a in self.compact(frame):
            flat = flat * self.k.size(self.sizes[a]) + self.at[a]
        return flat

    def home(self, frame: Frame) -> _Level:
        """The outermost loop in which a value at ``frame`` can be computed."""
        depth = max((self.depth_of[a] for a in self.compact(frame)), default=0)
        return self.levels[depth]

    def value(self, variable: Variable, frame: Frame) -> Expr:
        """The element of ``variable`` at ``frame``, computing what is needed in the right loop."""
        base, frame = resolve(variable, frame, self.stored) if variable not in self.node_of else (variable, frame)
        if isinstance(base, Constant) and base.data.size == 1:
            return const(base.data.reshape(())[()], base.dtype)
        if base in self.node_of:
            return self._member(base)
        home = self.home(frame)
        key = (base, self.compact(frame))
        found = home.known.get(key)
        if found is None:
            if is_inline(base) and base not in self.stored:
                assert base.owner is not None
                found = self._let(home, self._element(base.owner, frame))
            else:
                found = self._load(home, base, self.flat_index(frame))
            home.known[key] = found
        return found

    def _load(self, home: _Level, base: Variable, position: Expr) -> Expr:
        name = self.k.fresh("x")
        home.statements.append(Load(name, self.k.reads(base), position, base.dtype))
        return var(name, base.dtype)

    def _let(self, home: _Level, e: Expr) -> Expr:
        if e.op in ("const", "var"):
            return e
        e = self._name_shared(home, e)
        name = self.k.fresh()
        home.statements.append(Let(name, e))
        return var(name, e.dtype)

    def _name_shared(self, home: _Level, e: Expr) -> Expr:
        """``e`` with every part that stands in it more than once named, so that its text is as long as its graph is large."""
        uses: dict[int, int] = {}
        order: list[Expr] = []
        stack: list[tuple[Expr, bool]] = [(e, False)]
        while stack:
            x, done = stack.pop()
            if done:
                order.append(x)
                continue
            uses[id(x)] = uses.get(id(x), 0) + 1
            if uses[id(x)] == 1:
                stack.append((x, True))
                stack.extend((a, False) for a in reversed(x.args))
        if all(count == 1 or not x.args for x in order for count in (uses[id(x)],)):
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

    def _element(self, node: Apply, frame: Frame) -> Expr:
        """An ``Indexed`` op's element: its own reads are loads at computed positions."""
        lower = node.op.record.lower
        assert isinstance(lower, Indexed)
        if lower.flat:
            position: tuple[Expr, ...] = (self.flat_index(frame),)
        else:
            position = tuple(ZERO if a is None else self.at[a] for a in frame)
        home = self.home(frame)

        def read(k: int, at: Sequence[Expr]) -> Expr:
            source = node.inputs[k]
            if isinstance(source, Constant) and source.data.size == 1:
                return const(source.data.reshape(())[()], source.dtype)
            flat = self.k.flat(source.type.shape, at)
            return self._load(home, source, flat)

        return lower.element(node, position, read, self.k.size)

    def _member(self, value: Variable) -> Expr:
        node, frame = self.node_of[value], self.frames[value]
        home = self.home(frame)
        found = home.known.get(value)
        if found is not None:
            return found
        lower = node.op.record.lower
        if value in self.kept:
            name = self.k.fresh("x")
            if self.kept[value] in ("", None):
                found = self._load(home, value, self.flat_index(frame))
            else:
                home.statements.append(Load(name, self.kept[value], self.inner_index(), value.dtype))
                found = var(name, value.dtype)
        elif isinstance(lower, Pointwise):
            elements = [self.value(v, frame) for v in node.inputs]
            found = self._let(home, lower.body(*elements, **node.op.attrs))
        elif isinstance(lower, Axes):
            base, at = self.reads_of(node, frame)[0]
            found = self.value(base, at)
        elif isinstance(lower, Indexed):
            found = self._let(home, self._element(node, frame))
        else:
            name = self.k.fresh("x")
            home.statements.append(Load(name, self.accumulators[value], self.lane(), value.dtype))
            found = var(name, value.dtype)
        home.known[value] = found
        return found

    def inner_index(self) -> Expr:
        flat = ZERO
        for a in self.inner:
            flat = flat * self.k.size(self.sizes[a]) + self.at[a]
        return flat

    def lane(self) -> Expr:
        return self.lane_index

    # --- loops ----------------------------------------------------------------------------------------------------

    def push(self, axis: int | None, position: Expr | None) -> None:
        self.levels.append(_Level([], {}))
        if axis is not None:
            assert position is not None
            self.at[axis] = position
            self.depth_of[axis] = len(self.levels) - 1

    def close(self, name: str, extent: Expr, kind: str, work: Expr | None = None) -> None:
        """End the innermost loop and put it into the one around it."""
        level = self.levels.pop()
        for axis in [a for a, d in self.depth_of.items() if d == len(self.levels)]:
            del self.depth_of[axis]
        if level.statements:
            self.levels[-1].statements.append(For(name, extent, tuple(level.statements), kind, work))

    def put(self, s: Statement) -> None:
        self.levels[-1].statements.append(s)

    def spread(self, axes: Sequence[int], counter: Expr) -> None:
        """Recover the positions on several axes from one counter over all of them."""
        depth = len(self.levels) - 1
        rest = counter
        for a in reversed(axes):
            size = self.k.size(self.sizes[a])
            first = a == axes[0]
            here = rest if first else call("mod", rest, size)
            self.at[a] = self._let(self.levels[-1], here)
            self.depth_of[a] = depth
            if not first:
                rest = self._let(self.levels[-1], call("floordiv", rest, size))

    def total(self, axes: Iterable[int]) -> Expr:
        result = ONE
        for a in axes:
            result = result * self.k.size(self.sizes[a])
        return result

    def store(self, values: Sequence[Variable]) -> None:
        """Store values of the innermost loop. All are computed first: a result may lie where one of the operands lay."""
        computed = [self._member(v) for v in values]
        for v, e in zip(values, computed):
            self.put(Store(self.k.writing(v), self.flat_index(self.frames[v]), e))

    def member_weight(self) -> int:
        return 1 + sum(weight(n) for n in self.group.members)

    # --- forms ----------------------------------------------------------------------------------------------------

    def lower(self) -> list[Step]:
        if not self.group.inner:
            return [self._map()]
        outputs = dims.product(self.sizes[a] for a in self.outer)
        terms = dims.product(self.sizes[a] for a in self.inner)
        few = type(outputs) is int and outputs <= FEW_RESULTS
        long = not (type(terms) is int and terms * (outputs if few else 1) <= SPLIT_ABOVE)
        if few and long and self._single_phase():
            return self._split()
        return [self._phased()]

    def _single_phase(self) -> bool:
        inner = set(self.group.inner or ())
        if any(any(a in inner for a in self.frames[v]) for v in self.group.stored):
            return False
        return all(self.level(n.outputs[0]) == 1 for n in self.group.members if isinstance(n.op.record.lower, Fold))

    def _sizes_touched(self) -> list[tuple[str, dims.Dim]]:
        touched: dict[Any, tuple[str, dims.Dim]] = {}
        for node in self.group.members:
            for base, frame in self.reads_of(node, self.frames[node.outputs[0]]):
                if base not in self.node_of and not isinstance(base, Constant) and not (is_inline(base) and base not in self.stored):
                    touched[base] = (base.dtype, dims.product(base.type.shape))
        for v in self.group.stored:
            touched[v] = (v.dtype, dims.product(v.type.shape))
        return list(touched.values())

    def _finish(self) -> Step:
        everything = dims.product(self.sizes[a] for a in self.order)
        self.k.flops = self.k.size(everything) * sum(weight(n) for n in self.group.members)
        return self.k.step(self.levels[0].statements, self.traces, self._sizes_touched())

    def _map(self) -> Step:
        self.begin(KernelBuilder(self.label, self.buffer_of))
        axes = self.order
        cost = self.member_weight()
        if not axes:
            self.store(self.group.stored)
            return self._finish()
        if len(axes) == 1:
            self._blocks(axes[0], cost)
            return self._finish()
        *rows, last = axes
        turned = self._turned(last)
        if turned is not None:
            self._tiles([a for a in rows if a != turned], turned, last, cost)
            return self._finish()
        self.push(None, None)
        self.spread(rows, var("o"))
        self.push(last, var("i"))
        self.store(self.group.stored)
        extent = self.k.size(self.sizes[last])
        self.close("i", extent, "simd")
        self.close("o", self.total(rows), "parallel", extent * cost)
        return self._finish()

    def _turned(self, last: int) -> int | None:
        """An axis, other than the last, along which some operand is contiguous: a transpose, better walked in tiles."""
        for node in self.group.members:
            for base, frame in self.reads_of(node, self.frames[node.outputs[0]]):
                found = self.compact(frame)
                if base not in self.node_of and len(found) > 1 and last in found and found[-1] != last:
                    return found[-1]
        return None

    def _tiles(self, rows: list[int], turned: int, last: int, cost: int) -> None:
        """Loops over square tiles of two axes, so that operands contiguous along either stay in cache."""
        sizes = {a: self.k.size(self.sizes[a]) for a in (turned, last)}
        counts = {a: call("floordiv", n + (TILE - 1), index(TILE)) for a, n in sizes.items()}
        self.push(None, None)
        level = self.levels[-1]
        starts, extents = {}, {}
        rest: Expr = var("o")
        for a in (last, turned):
            starts[a] = self._let(level, call("mod", rest, counts[a]) * TILE)
            extents[a] = self._let(level, minimum(sizes[a] - starts[a], index(TILE)))
            rest = self._let(level, call("floordiv", rest, counts[a]))
        if rows:
            self.spread(rows, rest)
        self.push(turned, starts[turned] + var("j"))
        self.push(last, starts[last] + var("i"))
        self.store(self.group.stored)
        self.close("i", extents[last], "simd")
        self.close("j", extents[turned], "serial")
        self.close("o", self.total(rows) * counts[turned] * counts[last], "parallel", index(TILE * TILE * cost))

    def _blocks(self, axis: int, cost: int) -> None:
        size = self.k.size(self.sizes[axis])
        if size.op == "const" and size.value <= BLOCK:
            self.push(axis, var("i"))
            self.store(self.group.stored)
            self.close("i", size, "simd")
            return
        self.push(None, None)
        self.push(axis, var("o") * BLOCK + var("i"))
        self.store(self.group.stored)
        self.close("i", minimum(size - var("o") * BLOCK, index(BLOCK)), "simd")
        self.close("o", call("floordiv", size + (BLOCK - 1), index(BLOCK)), "parallel", index(BLOCK * cost))

    def _folds_at(self, phase: int) -> list[Variable]:
        return [n.outputs[0] for n in reversed(self.group.members) if isinstance(n.op.record.lower, Fold) and self.level(n.outputs[0]) == phase + 1]

    def _phased(self) -> Step:
        self.begin(KernelBuilder(self.label, self.buffer_of))
        columns = bool(self.outer) and self.order[-1] in self.outer
        cost = index(self.member_weight()) * self.total(self.inner)
        if columns:
            self._column_form(cost)
        elif self.outer:
            self.push(None, None)
            self.spread(self.outer, var("o"))
            self._row_body(None)
            self.close("o", self.total(self.outer), "parallel", cost)
        else:
            self._row_body(None)
        return self._finish()

    def _phases(self) -> int:
        return max(self.level(v) for v in self.frames) + 1

    def _row_body(self, piece: tuple[int, Expr, Expr] | None) -> None:
        """All phases of one row, then what lives on the outer axes. ``piece`` restricts one inner axis: (axis, start, extent)."""
        self.lane_index = ZERO
        inner = set(self.group.inner or ())
        keep = self._worth_keeping() if piece is None else {}
        for phase in range(self._phases()):
            folds = self._folds_at(phase)
            stores = [v for v in self.group.stored if any(a in inner for a in self.frames[v]) and self.level(v) == phase]
            if not folds and not stores:
                continue
            for v in folds:
                self._new_accumulator(v, ONE)
                self.put(Store(self.accumulators[v], ZERO, _identity(v)))
            names = self._open_inner(self.inner, piece)
            for v in [v for v, p in keep.items() if p == phase and v not in self.kept]:
                self._keep(v)
            for v in folds:
                self._accumulate(v, ZERO)
            self.store(stores)
            self._close_inner(names, simd=True)
            for v in stores:
                self.kept.setdefault(v, "")
        if piece is None:
            self.store([v for v in self.group.stored if not any(a in inner for a in self.frames[v])])

    def _keep(self, v: Variable) -> None:
        """Store a value of the innermost loop in a row of scratch memory."""
        size = self.total(self.inner)
        name = self.k.fresh("keep")
        self.levels[-len(self.inner) - 1].statements.append(Alloc(name, v.dtype, size))
        e = self._member(v)
        self.put(Store(name, self.inner_index(), e))
        self.kept[v] = name

    def _worth_keeping(self) -> dict[Variable, int]:
        """Costly values along the row that a later phase wants again, with the phase that first computes them."""
        length = dims.product(self.sizes[a] for a in self.inner)
        if type(length) is int and length > KEEP_LIMIT:
            return {}
        inner = set(self.group.inner or ())
        wanted: dict[Variable, set[int]] = {}
        for phase in range(self._phases()):
            roots = [self.node_of[v].inputs[0] for v in self._folds_at(phase)]
            roots += [v for v in self.group.stored if any(a in inner for a in self.frames[v]) and self.level(v) == phase]
            stack, seen = [resolve(v, (None,) * v.ndim, self.stored)[0] if v not in self.node_of else v for v in roots], set()
            while stack:
                v = stack.pop()
                if v in seen or v not in self.node_of or not any(a in inner for a in self.frames[v] if a is not None):
                    continue
                seen.add(v)
                wanted.setdefault(v, set()).add(phase)
                if v not in self.group.stored or self.level(v) == phase:
                    stack.extend(base for base, _ in self.reads_of(self.node_of[v], self.frames[v]))
        return {
            v: min(phases)
            for v, phases in wanted.items()
            if len(phases) > 1 and v not in self.group.stored and weight(self.node_of[v]) > 1
        }

    def _open_inner(self, axes: Sequence[int], piece: tuple[int, Expr, Expr] | None) -> list[tuple[str, Expr]]:
        names = []
        for a in axes:
            name = self.k.fresh("r")
            if piece is not None and piece[0] == a:
                start, extent = piece[1], piece[2]
                self.push(a, start + var(name))
            else:
                extent = self.k.size(self.sizes[a])
                self.push(a, var(name))
            names.append((name, extent))
        return names

    def _close_inner(self, names: list[tuple[str, Expr]], simd: bool) -> None:
        for k, (name, extent) in enumerate(reversed(names)):
            self.close(name, extent, "simd" if simd and k == 0 else "serial")

    def _new_accumulator(self, v: Variable, size: Expr) -> None:
        name = self.k.fresh("acc")
        self.accumulators[v] = name
        self.put(Alloc(name, v.dtype, size))

    def _accumulate(self, v: Variable, lane: Expr) -> None:
        node = self.node_of[v]
        lower = node.op.record.lower
        assert isinstance(lower, Fold)
        element = cast(self.value(node.inputs[0], self.fold_frames[v]), v.dtype)
        self.put(Accumulate(self.accumulators[v], lane, element, lower.combine))

    def _column_form(self, cost: Expr, piece: tuple[int, Expr, Expr] | None = None, partial: Callable[[Variable], None] | None = None) -> None:
        """Blocks of columns in parallel; in each, phases over the inner axes with one lane a column."""
        *rows, last = self.outer
        size = self.k.size(self.sizes[last])
        blocks = call("floordiv", size + (COLUMNS - 1), index(COLUMNS))
        counter = var("o")
        self.push(None, None)
        if rows:
            self.spread(rows, self._let(self.levels[-1], call("floordiv", counter, blocks)))
            start = self._let(self.levels[-1], call("mod", counter, blocks) * COLUMNS)
        else:
            start = self._let(self.levels[-1], counter * COLUMNS)
        width = self._let(self.levels[-1], minimum(size - start, index(COLUMNS)))
        inner = set(self.group.inner or ())

        def lanes(work: Callable[[], None]) -> None:
            self.push(last, start + var("i"))
            work()
            self.close("i", width, "simd")

        self.lane_index = var("i")
        for phase in range(self._phases()):
            folds = self._folds_at(phase)
            stores = [v for v in self.group.stored if any(a in inner for a in self.frames[v]) and self.level(v) == phase]
            if not folds and not stores:
                continue
            for v in folds:
                self._new_accumulator(v, index(COLUMNS))
            if folds:
                lanes(lambda folds=folds: [self.put(Store(self.accumulators[v], var("i"), _identity(v))) for v in folds])  # type: ignore[misc]
            names = self._open_inner(self.inner, piece)

            def body(folds: list[Variable] = folds, stores: list[Variable] = stores) -> None:
                for v in folds:
                    self._accumulate(v, var("i"))
                self.store(stores)

            lanes(body)
            self._close_inner(names, simd=False)
            for v in stores:
                self.kept.setdefault(v, "")
        if partial is not None:
            lanes(lambda: [partial(v) for v in self._folds_at(0)])  # type: ignore[misc]
        else:
            outer_values = [v for v in self.group.stored if not any(a in inner for a in self.frames[v])]
            if outer_values:
                lanes(lambda: self.store(outer_values))
        total = blocks * self.total(rows)
        self.close("o", total, "serial" if piece else "parallel", cost * COLUMNS)

    def _split(self) -> list[Step]:
        """Partial folds over pieces of one inner axis in parallel, then a small kernel that combines them."""
        sizes = [(self.sizes[a], a) for a in self.inner]
        axis = next((a for s, a in sizes if type(s) is not int), None)
        if axis is None:
            axis = max(sizes)[1]
        folds = self._folds_at(0)
        results = dims.product(self.sizes[a] for a in self.outer)
        parts = {v: self.new_buffer(v.dtype, (PARTS, results)) for v in folds}

        self.begin(KernelBuilder(self.label, self.buffer_of))
        whole = self.k.size(self.sizes[axis])
        self.push(None, None)
        length = self._let(self.levels[-1], call("floordiv", whole + (PARTS - 1), index(PARTS)))
        start = self._let(self.levels[-1], minimum(var("p") * length, whole))
        extent = self._let(self.levels[-1], minimum(whole - start, length))
        piece = (axis, start, extent)

        def partial(v: Variable) -> None:
            name = self.k.fresh("x")
            self.put(Load(name, self.accumulators[v], self.lane(), v.dtype))
            at = ZERO
            for a in self.outer:
                at = at * self.k.size(self.sizes[a]) + self.at[a]
            self.put(Store(self.k.buffer(parts[v], v.dtype, True), var("p") * self.k.size(results) + at, var(name, v.dtype)))

        if self.outer and self.order[-1] in self.outer:
            self._column_form(ONE, piece, partial)
        elif self.outer:
            self.push(None, None)
            self.spread(self.outer, var("o"))
            self._row_body(piece)
            for v in folds:
                partial(v)
            self.close("o", self.total(self.outer), "serial")
        else:
            self._row_body(piece)
            for v in folds:
                partial(v)
        share = dims.product(self.sizes[a] for a in self.order)
        self.close("p", index(PARTS), "parallel", call("floordiv", self.k.size(share), index(PARTS)) * self.member_weight())
        first = self._finish()
        return [first, self._combine(folds, parts, results)]

    def _combine(self, folds: list[Variable], parts: dict[Variable, int], results: dims.Dim) -> Step:
        self.begin(KernelBuilder(self.label + " (combine)", self.buffer_of))
        self.lane_index = ZERO
        counter = ZERO
        if self.outer:
            counter = var("o")
            self.push(None, None)
            self.spread(self.outer, counter)
        for v in folds:
            self._new_accumulator(v, ONE)
            self.put(Store(self.accumulators[v], ZERO, _identity(v)))
        self.push(None, None)
        for v in folds:
            lower = self.node_of[v].op.record.lower
            assert isinstance(lower, Fold)
            name = self.k.fresh("x")
            self.put(Load(name, self.k.buffer(parts[v], v.dtype), var("p") * self.k.size(results) + counter, v.dtype))
            self.put(Accumulate(self.accumulators[v], ZERO, var(name, v.dtype), lower.combine))
        self.close("p", index(PARTS), "simd")
        self.store(self.group.stored)
        if self.outer:
            self.close("o", self.total(self.outer), "serial")
        return self.k.step(self.levels[0].statements, self.traces)


def _identity(v: Variable) -> Expr:
    assert v.owner is not None and isinstance(v.owner.op.record.lower, Fold)
    return const(v.owner.op.record.lower.identity(v.dtype), v.dtype)


def _pin(node: Apply, frame: Frame, pinned: set[int]) -> None:
    lower = node.op.record.lower
    if isinstance(lower, Indexed) and not lower.flat:
        pinned.update(a for a in frame if a is not None)


def _adjacent(frame: tuple[int, ...], a: int, b: int) -> bool:
    if a not in frame and b not in frame:
        return True
    return a in frame and b in frame and frame.index(b) == frame.index(a) + 1


def lower_group(group: Group, stored: set[Variable], buffer_of: Callable[[Variable], int], new_buffer: Callable[..., int]) -> list[Step]:
    """The steps that compute a group's stored values."""
    return _GroupLowering(group, stored, buffer_of, new_buffer).lower()


# --- applications that stand alone -----------------------------------------------------------------------------------


class LoopContext:
    """What a record's ``Loops`` builds its statements with.

    ``input(k)`` and ``output(k)`` name the buffers, ``size(dim)`` turns a dim into an expression, ``flat(v, index)`` a
    multi-index into a position in ``v``, ``fresh()`` makes a name. ``in_place`` tells that the output has taken over the
    memory of the record's ``in_place`` input, which then need not be copied.
    """

    def __init__(self, node: Apply, builder: KernelBuilder, in_place: bool, new_status: Callable[[], int], messages: list[str]) -> None:
        self.node = node
        self.builder = builder
        self.in_place = in_place
        self.new_status = new_status
        self.messages = messages

    def input(self, k: int) -> str:
        return self.builder.reads(self.node.inputs[k])

    def output(self, k: int = 0) -> str:
        return self.builder.writing(self.node.outputs[k])

    def size(self, dim: dims.Dim) -> Expr:
        return self.builder.size(dim)

    def flat(self, v: Variable, position: Sequence[Expr]) -> Expr:
        return self.builder.flat(v.type.shape, position)

    def fresh(self, prefix: str = "t") -> str:
        return self.builder.fresh(prefix)

    def load(self, body: list[Statement], k: int, position: Sequence[Expr]) -> Expr:
        """Add a load of input ``k`` at a multi-index to ``body``; gives the element."""
        v = self.node.inputs[k]
        if isinstance(v, Constant) and v.data.size == 1:
            return const(v.data.reshape(())[()], v.dtype)
        name = self.fresh("x")
        body.append(Load(name, self.input(k), self.flat(v, position), v.dtype))
        return var(name, v.dtype)

    def copy(self, k: int) -> list[Statement]:
        """Statements that copy input ``k`` to the output, unless it took over its memory."""
        if self.in_place:
            return []
        v = self.node.inputs[k]
        total = self.size(dims.product(v.type.shape))
        i, x = self.fresh("i"), self.fresh("x")
        body: tuple[Statement, ...] = (Load(x, self.input(k), var(i), v.dtype), Store(self.output(), var(i), var(x, v.dtype)))
        return [For(i, total, body, "simd")]

    def status(self) -> str:
        """The buffer in which a step reports that something is wrong: store ``code(message)`` at 0."""
        return self.builder.buffer(self.new_status(), "int64", True)

    def code(self, message: str) -> Expr:
        """The number under which the caller will find ``message``."""
        self.messages.append(message)
        return index(len(self.messages))

    def nest(
        self,
        shape: Sequence[dims.Dim],
        body: Callable[[list[Expr], list[Statement]], None],
        parallel: bool = True,
        simd: bool = False,
    ) -> Statement:
        """A loop nest over ``shape``: ``body(index, statements)`` fills the innermost loop.

        ``parallel`` says that iterations of the outermost loop are independent, ``simd`` that those of the innermost are.
        """
        names = [self.fresh("i") for _ in shape]
        inside: list[Statement] = []
        body([var(n) for n in names], inside)
        statements = tuple(inside)
        if not shape:
            return For(self.fresh("i"), ONE, statements, "serial")
        for k, (name, dim) in reversed(list(enumerate(zip(names, shape)))):
            kind = "simd" if simd and k == len(shape) - 1 else "parallel" if k == 0 and parallel else "serial"
            statements = (For(name, self.size(dim), statements, kind, self.size(dims.product(shape[1:])) if k == 0 else None),)
        return statements[0]


def lower_single(
    node: Apply, buffer_of: Callable[[Variable], int], in_place: bool, new_status: Callable[[], int], messages: list[str]
) -> list[Step]:
    """The steps of an application that stands alone; a view has none."""
    lower = node.op.record.lower
    builder = KernelBuilder(node.op.name, buffer_of)
    traces = [node.outputs[0].trace]
    sizes = [(v.dtype, dims.product(v.type.shape)) for v in (*node.inputs, *node.outputs)]
    if isinstance(lower, Routine):
        buffers = [builder.writing(v) for v in node.outputs] + [builder.reads(v) for v in node.inputs]
        params = tuple(builder.size(p) for p in lower.params(node))
        builder.flops = routine_flops(lower.name, params)
        body: Sequence[Statement] = [Call(f"{lower.name}_{suffix(node.outputs[0].dtype)}", tuple(buffers), params)]
        return [builder.step(body, traces, sizes)]
    if isinstance(lower, Loops):
        statements = list(lower.build(node, LoopContext(node, builder, in_place, new_status, messages)))
        return [builder.step(statements, traces, sizes)]
    return []


def routine_flops(name: str, params: Sequence[Expr]) -> Expr:
    """Multiply-adds of a library routine, counted twice."""
    from symc.loops.calls import CALLS

    return CALLS[name].flops(*params)


def suffix(dtype: str) -> str:
    """``f32`` for float32 and so on, as in the names of library routines."""
    return {"float32": "f32", "float64": "f64"}.get(dtype) or dtype[0].replace("b", "u8") + dtype.lstrip("uintbol")
