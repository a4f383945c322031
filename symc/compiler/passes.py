"""The compiler: one tuple of passes from a user's graph to a program of kernels.

Each pass is a plain function from ``State`` to ``State``; ``PASSES`` is all there is. ``symc.printing.debugprint(f,
stage=...)`` shows what came out of any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from symc.compiler.fusion import FusionGroup, Unit, external_reads, fuse, resolve
from symc.compiler.lowering import lower_group, lower_single
from symc.compiler.rewrite import rules
from symc.compiler.rewrite.engine import rewrite
from symc.compiler.shape_specialisation import Specialised, specialise
from symc.compiler.target import CPU, Target
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Constant, SharedVariable, Variable, dims, toposort
from symc.graph.op import Loops, Pointwise, View
from symc.loops.check import check
from symc.loops.expr import index, var
from symc.loops.ir import Buffer, For, Kernel, Load, Program, Step, Store

__all__ = ["PASSES", "State", "compile_graph"]


@dataclass(frozen=True)
class State:
    """What travels through the passes.

    Attributes
    ----------
    inputs, outputs : list of Variable
        The user's; ``outputs`` include the new values of updated shared variables, at the end.
    updates : list of (SharedVariable, position)
        Which shared variable takes which output.
    mode : str
    target : Target
        What the loops are for.
    specialised : Specialised
    graph : list of Variable
        The outputs as the last graph pass left them.
    units, stored : from fusion
    program : Program
    """

    name: str
    inputs: Sequence[Variable]
    outputs: Sequence[Variable]
    updates: Sequence[tuple[SharedVariable, int]]
    mode: str = "fast_run"
    target: Target = CPU
    specialised: Specialised | None = None
    graph: Sequence[Variable] = ()
    units: Sequence[Unit] = ()
    stored: set[Variable] = field(default_factory=set)
    program: Program | None = None


def specialise_shapes(state: State) -> State:
    """The graph built again over the shapes at hand; what only a call can check becomes guards."""
    specialised = specialise([*state.inputs, *(s for s, _ in state.updates)], state.outputs)
    return replace(state, specialised=specialised, graph=specialised.outputs)


def rewrite_canonical(state: State) -> State:
    """Useless work removed, constants folded, equal expressions merged."""
    return state if state.mode == "no_rewrite" else replace(state, graph=rewrite(state.graph, rules.CANONICAL))


def rewrite_stable(state: State) -> State:
    """Forms that overflow or cancel replaced by those that do not. On at every level: this is about being right."""
    return replace(
        state,
        graph=rewrite(state.graph, rules.STABLE if state.mode == "no_rewrite" else rules.CANONICAL + rules.STABLE),
    )


def decompose_composites(state: State) -> State:
    """Ops that are graphs of other ops, replaced by those graphs."""
    numbering = ValueNumbering()
    known: dict[Variable, Variable] = {}
    for node in toposort(state.graph):
        inputs = [numbering.constant(v) if isinstance(v, Constant) else known.get(v, v) for v in node.inputs]
        location = node.outputs[0].location
        if node.op.record.decompose is None:
            made: Sequence[Variable] = numbering.make(node.op, inputs, location, node.outputs[0].name, node)
        else:
            made = _decomposed(node, inputs, numbering)
        known.update(zip(node.outputs, made))
    return replace(state, graph=[known.get(v, v) for v in state.graph])


def _decomposed(node: Apply, inputs: Sequence[Variable], numbering: ValueNumbering) -> Sequence[Variable]:
    """A composite's graph, specialised and with composites inside it expanded as well."""
    assert node.op.record.decompose is not None
    location = node.outputs[0].location
    fresh = node.op.record.decompose(node.op, inputs)
    known: dict[Variable, Variable] = {v: v for v in inputs}
    for inner in toposort(fresh, frozenset(inputs)):
        args = [numbering.constant(v) if isinstance(v, Constant) else known.get(v, v) for v in inner.inputs]
        record = inner.op.record
        if record.specialise is not None:
            types = [v.type for v in inner.op.apply(args, location).outputs]
            made: Sequence[Variable] = numbering.adopt([record.specialise(inner.op, args, types)], location=location)
        elif record.decompose is not None:
            made = _decomposed(inner.op.apply(args, location), args, numbering)
        else:
            made = numbering.make(inner.op, args, location)
        known.update(zip(inner.outputs, made))
    return [known.get(v, v) for v in fresh]


def rewrite_special(state: State) -> State:
    """Forms for which there is a better primitive, now that composites are open; and once more the canonical rules."""
    if state.mode != "fast_run":
        return replace(state, graph=rewrite(state.graph, rules.STRUCTURAL))
    return replace(state, graph=rewrite(state.graph, rules.CANONICAL + rules.SPECIAL + rules.STRUCTURAL))


def fuse_loops(state: State) -> State:
    """Units of work: groups of fused ops, library calls."""
    units, stored = fuse(state.graph, state.target)
    return replace(state, units=units, stored=stored)


def lower_loops(state: State) -> State:
    """A program: buffers, steps and kernels in loop IR."""
    return replace(state, program=_Lowering(state).run())


def check_loops(state: State) -> State:
    """Types, names and bounds of the loop IR; the state is left as it is."""
    assert state.program is not None
    check(state.program)
    return state


PASSES: tuple[Callable[[State], State], ...] = (
    specialise_shapes,
    rewrite_canonical,
    rewrite_stable,
    decompose_composites,
    rewrite_special,
    fuse_loops,
    lower_loops,
    check_loops,
)


def compile_graph(state: State, watch: Callable[[str, State], None] | None = None) -> State:
    """Run all passes; ``watch(name, state)`` sees what came out of each."""
    for step in PASSES:
        state = step(state)
        if watch is not None:
            watch(step.__name__, state)
    return state


class _Lowering:
    """Gives every value in memory a buffer, lowers unit by unit, and decides which buffers share memory."""

    def __init__(self, state: State) -> None:
        assert state.specialised is not None
        self.state = state
        self.specialised = state.specialised
        self.buffers: list[Buffer] = []
        self.number: dict[Variable, int] = {}
        self.steps: list[Step] = []
        self.messages: list[str] = []
        self.status = -1
        self.outputs = list(state.graph)
        self.shared_of = {
            self.specialised.sources[s]: s for s in self.specialised.sources if isinstance(s, SharedVariable)
        }

    def run(self) -> Program:
        self._sources()
        self._claim_outputs()
        self.last_use = self._last_uses()
        for position, unit in enumerate(self.state.units):
            if isinstance(unit, FusionGroup):
                self._take_over(unit, position)
                self.steps += lower_group(unit, self.state.stored, self.buffer_of, self.new_buffer)
            else:
                in_place = self._single_in_place(unit, position)
                self.steps += lower_single(unit, self.buffer_of, in_place, self.new_status, self.messages)
        self._copy_outputs()
        self._update_in_place()
        self._reorder()
        self._lifetimes()
        return Program(self.state.name, self.buffers, self._symbols(), self.steps, self.messages)

    # --- buffers --------------------------------------------------------------------------------------------------

    def add(self, v: Variable, role: str, slot: int = 0) -> int:
        self.buffers.append(
            Buffer(
                v.name or (v.owner.op.name if v.owner else "input"),
                v.dtype,
                v.type.shape,
                role,
                slot,
                location=v.location,
            )
        )
        return len(self.buffers) - 1

    def new_buffer(self, dtype: str, shape: Sequence[dims.Dim]) -> int:
        self.buffers.append(Buffer("partial results", dtype, tuple(shape), "temp"))
        return len(self.buffers) - 1

    def new_status(self) -> int:
        """The one buffer in which steps report trouble."""
        if self.status < 0:
            self.buffers.append(Buffer("status", "int64", (1,), "status"))
            self.status = len(self.buffers) - 1
        return self.status

    def buffer_of(self, v: Variable) -> int:
        base = viewed(v)
        found = self.number.get(base)
        if found is None:
            if isinstance(base, Constant):
                found = self.add(base, "constant")
                self.buffers[found].data = base.data
            else:
                found = self.add(base, "temp")
            self.number[base] = found
        return found

    def _sources(self) -> None:
        slots = {"input": 0, "shared": 0}
        for leaf, source in self.specialised.sources.items():
            if source in self.number:
                continue
            role = "shared" if isinstance(leaf, SharedVariable) else "input"
            self.number[source] = self.add(source, role, slots[role])
            slots[role] += 1

    def _claim_outputs(self) -> None:
        """Outputs that a step of their own computes are written where the caller wants them; others are copied last."""
        self.copies: list[tuple[int, Variable]] = []
        self.output_buffers: list[int] = []
        for slot, v in enumerate(self.outputs):
            base = viewed(v)
            if base.owner is None or base in self.number:
                number = self.add(v, "output", slot)
                self.copies.append((number, v))
            else:
                number = self.number[base] = self.add(v, "output", slot)
            self.output_buffers.append(number)

    def _last_uses(self) -> dict[Variable, int]:
        """For each value in memory the position of the last unit that reads it."""
        last: dict[Variable, int] = {}
        for position, unit in enumerate(self.state.units):
            reads = external_reads(unit, self.state.stored) if isinstance(unit, FusionGroup) else unit.inputs
            for v in reads:
                last[viewed(v)] = position
        return last

    def _dies_at(self, v: Variable, position: int) -> bool:
        base = viewed(v)
        number = self.number.get(base)
        return number is not None and self.buffers[number].role == "temp" and self.last_use.get(base) == position

    def _take_over(self, group: FusionGroup, position: int) -> None:
        """Let a group's results use the memory of temporaries it reads element by element for the last time."""
        if group.inner:
            return
        reads: dict[Variable, set[Any]] = {}
        for node in group.members:
            itermap = group.itermaps[node.outputs[0]]
            for v in node.inputs:
                if not isinstance(node.op.record.lower, Pointwise):
                    base, at = resolve(v, (None,) * v.ndim, self.state.stored)[0], None  # not element by element
                else:
                    base, at = resolve(v, itermap, self.state.stored)
                reads.setdefault(viewed(base), set()).add(at if base.type.shape else None)
        full = tuple(range(len(group.axes)))
        taken: set[int] = set()
        for value in group.stored:
            number = self.buffer_of(value)
            if self.buffers[number].role != "temp" or self.buffers[number].alias >= 0 or group.itermaps[value] != full:
                continue
            for base, itermaps in reads.items():
                if (
                    itermaps == {full}
                    and base.dtype == value.dtype
                    and self._dies_at(base, position)
                    and self.number[base] not in taken
                ):
                    self.buffers[number].alias = self.number[base]
                    taken.add(self.number[base])
                    break

    def _single_in_place(self, node: Apply, position: int) -> bool:
        lower = node.op.record.lower
        if not isinstance(lower, Loops) or lower.in_place is None:
            return False
        source, out = node.inputs[lower.in_place], node.outputs[0]
        others = [viewed(v) for k, v in enumerate(node.inputs) if k != lower.in_place]
        if viewed(source) in others or not self._dies_at(source, position):
            return False
        number = self.buffer_of(out)
        if self.buffers[number].role != "temp" or source.dtype != out.dtype:
            return False
        self.buffers[number].alias = self.number[viewed(source)]
        return True

    def _copy_outputs(self) -> None:
        for number, v in self.copies:
            self.steps.append(
                copy_step(self.buffer_of(v) if not isinstance(v, Constant) else self._constant(v), number, v)
            )

    def _constant(self, v: Constant) -> int:
        number = self.add(v, "constant")
        self.buffers[number].data = v.data
        return number

    def _update_in_place(self) -> None:
        """Write a shared variable's new value straight over the old one where no later step reads the old one."""
        uses: dict[int, list[int]] = {}
        writes: dict[int, list[int]] = {}
        for k, step in enumerate(self.steps):
            for number in dict.fromkeys(step.buffers):
                uses.setdefault(number, []).append(k)
            for number in {step.buffers[w] for w in step.kernel.writes}:
                writes.setdefault(number, []).append(k)
        for shared, position in self.state.updates:
            source = self.specialised.sources[shared]
            old, new = self.number[source], self.output_buffers[position]
            self.buffers[new].role = "update"
            if new not in writes or self.buffers[new].shape != self.buffers[old].shape:
                continue
            readers, first_write, writer = uses.get(old, []), writes[new][0], writes[new][-1]
            if all(k < first_write for k in readers) or (
                all(k <= first_write for k in readers)
                and first_write == writer
                and same_positions(self.steps[writer], old, new)
            ):
                self.buffers[new].alias = old

    def _reorder(self) -> None:
        """Inputs first, then outputs, each in the caller's order: the table a call fills in anew; then all else."""
        rank = {"input": 0, "output": 1}
        order = sorted(
            range(len(self.buffers)), key=lambda k: (rank.get(self.buffers[k].role, 2), self.buffers[k].slot)
        )
        new = {old: position for position, old in enumerate(order)}
        self.buffers = [self.buffers[k] for k in order]
        for b in self.buffers:
            b.alias = new[b.alias] if b.alias >= 0 else -1
        self.steps = [replace(s, buffers=tuple(new[n] for n in s.buffers)) for s in self.steps]

    def _lifetimes(self) -> None:
        for b in self.buffers:
            b.first, b.last = len(self.steps), -1
        for k, step in enumerate(self.steps):
            for number in step.buffers:
                while number >= 0:
                    b = self.buffers[number]
                    b.first, b.last = min(b.first, k), max(b.last, k)
                    number = b.alias if b.role == "temp" else -1

    def _symbols(self) -> tuple[Any, ...]:
        found: dict[Any, None] = {}
        for b in self.buffers:
            for d in b.shape:
                for s in sorted(dims.symbols_of(d), key=str):
                    found.setdefault(s)
        for step in self.steps:
            for d in step.dims:
                for s in sorted(dims.symbols_of(d), key=str):
                    found.setdefault(s)
        return tuple(found)


def viewed(v: Variable) -> Variable:
    """The variable whose memory ``v`` shows: ``v`` itself unless it is a view."""
    while v.owner is not None and isinstance(v.owner.op.record.lower, View):
        v = v.owner.inputs[0]
    return v


def copy_step(source: int, target: int, v: Variable) -> Step:
    """Copy one buffer to another."""
    total = dims.product(v.type.shape)
    known = type(total) is int
    size = index(total) if known else var("n0")
    body = (Load("x", "b0", var("i"), v.dtype), Store("b1", var("i"), var("x", v.dtype)))
    bytes_moved = size * (2 * (8 if v.dtype.endswith("64") else 4))
    kernel = Kernel(
        "copy",
        (v.dtype, v.dtype),
        frozenset((1,)),
        0 if known else 1,
        (For("i", size, body, "simd"),),
        index(0),
        bytes_moved,
    )
    return Step(kernel, (source, target), () if known else (total,), (v.location,) if v.location else ())


def same_positions(step: Step, old: int, new: int) -> bool:
    """Does the step read ``old`` only at the very positions where it then writes ``new``?"""
    kernel = step.kernel
    a, b = (f"b{step.buffers.index(n)}" for n in (old, new))
    loads: list[Any] = []
    stores: list[Any] = []
    stack = list(kernel.body)
    while stack:
        s = stack.pop()
        if isinstance(s, For):
            stack.extend(s.body)
        elif isinstance(s, Load) and s.buffer == a:
            loads.append(s.index)
        elif isinstance(s, Store) and s.buffer == b:
            stores.append(s.index)
        elif hasattr(s, "buffers") or hasattr(s, "condition"):
            return False
    positions = loads + stores
    return bool(stores) and all(p.same(stores[0]) for p in positions)
