"""The units of one graph on their way into the program: memory for values, nodes in order, symbols bound in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from symc.compiler.bodies import applications_inside
from symc.compiler.fusion import (
    FusionGroup,
    Placement,
    Unit,
    chains_of,
    external_reads,
    fuse,
    may_fail,
    read_along_rows,
    resolve,
    symbols_of_unit,
    terms_map,
)
from symc.compiler.fusion.row_chains import RowChain, in_chain_order, row_chains
from symc.compiler.lowering.epilogue import EpilogueLowering, lower_chain
from symc.compiler.lowering.fusion_group import lower_group
from symc.compiler.lowering.placing import Placed, placed_results
from symc.compiler.lowering.prerequisites import Prerequisites
from symc.compiler.lowering.program import ProgramBuilder, Region
from symc.compiler.lowering.recurrences import in_registers
from symc.compiler.lowering.row_blocks import in_blocks
from symc.compiler.lowering.row_loops import by_rows
from symc.compiler.lowering.sharing import copy_step, viewed
from symc.compiler.lowering.single import lower_single
from symc.compiler.lowering.symbol_bounds import bound_symbols
from symc.compiler.lowering.unrolled_steps import unrolled
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.body import Body, Equality
from symc.graph.op import Loops, Pointwise, Reduction, Structured
from symc.loops.ir import UNBOUNDED, Bind, Carried, Check, Loop, Node, Ref

__all__ = ["Scope"]


class Scope(Region):
    """Lowering of one graph into the program.

    Parameters
    ----------
    builder : ProgramBuilder
    outputs : sequence of Variable
        The results, followed by the variables whose values are ``symbols``.
    symbols : sequence
        Symbols for values of integers of this graph.
    equalities : sequence of Equality
        Equalities to check once the symbols are known.
    known : iterable
        Symbols whose values are known at the beginning of the scope.
    parent : Scope, optional
    """

    def __init__(
        self,
        builder: ProgramBuilder,
        outputs: Sequence[Variable],
        symbols: Sequence[Any] = (),
        equalities: Sequence[Equality] = (),
        known: Iterable[Any] = (),
        parent: Scope | None = None,
    ) -> None:
        super().__init__(parent)
        self.builder = builder
        self.place: dict[Variable, Ref] = {}
        values = outputs[len(outputs) - len(symbols) :]
        self.outputs = list(outputs[: len(outputs) - len(symbols)])
        self.known = set(known)
        # What a body is given has a known symbol already: bound again, it would be unknown when the program begins.
        self.binding = {s: v for s, v in zip(symbols, values) if s not in self.known}
        self.graph = list(outputs)
        self.units: Sequence[Unit] = ()
        self.stored: set[Variable] = set()
        self.waiting = dict(self.binding)
        self.pending: Prerequisites[Any] = Prerequisites(
            [(s, self._before(v)) for s, v in self.binding.items()]
            + [(e, (dims.symbols_of(e.left) | dims.symbols_of(e.right)) - self.known) for e in equalities]
        )
        self.sizing: set[Any] = set()  # symbols on which the sizes of buffers depend
        self.last_use: dict[Variable, int] = {}
        self.placed: Placed = {}
        self.renewed: set[int] = set()  # buffers of the new values of shared variables
        self.copying: dict[int, tuple[Node, Apply, Variable]] = {}  # by id: steps that copy what they change

    def fused(self, units: Sequence[Unit], stored: set[Variable]) -> None:
        """Set the units of work; decides for which symbols memory can be allocated before they are known."""
        self.units, self.stored = units, stored
        if not self.binding:
            return
        made = (*self.graph, *(v for unit in units for v in (*_made(unit), *_in_bodies(unit))))
        self.sizing = {s for v in made for d in v.type.shape for s in dims.symbols_of(d)}
        results = [v for unit in units for v in _made(unit)]
        bound_symbols(self.builder.bounds, self.binding, results, made, self.parent is not None)

    # --- memory ---------------------------------------------------------------------------------------------------

    def new(self, dtype: str, shape: Sequence[dims.Dim], name: str = "partial results") -> Ref:
        """Allocate a temporary of this scope."""
        return Ref(self.builder.buffer(name, dtype, shape, "temp", self))

    def _tables(self, dtype: str, shape: Sequence[dims.Dim]) -> Ref | None:
        """A temporary for the sums of parts; None if its size depends on a symbol that only has a bound by then."""
        if any(dims.symbols_of(d) & self.builder.bounds.keys() for d in shape):
            return None
        return self.new(dtype, shape, "sums of parts")

    def add(self, v: Variable, role: str, slot: int = 0) -> int:
        """Create a buffer for a variable."""
        name = v.name or (v.owner.op.name if v.owner else "input")
        number = self.builder.buffer(name, v.dtype, v.type.shape, role, self if role == "temp" else None)
        made = self.builder.buffers[number]
        made.slot, made.location = slot, v.location
        return number

    def ref_of(self, v: Variable) -> Ref:
        """The memory of the value of ``v``."""
        base, offset = viewed(v)
        found = self.place.get(base)
        if found is None:
            if base in self.placed:
                found = self._ref_within(*self.placed[base])
            elif isinstance(base, Constant):
                found = Ref(self.add(base, "constant"))
                self.builder.buffers[found.buffer].data = base.data
            else:
                found = Ref(self.add(base, "temp"))
            self.place[base] = found
        return found if type(offset) is int and offset == 0 else Ref(found.buffer, dims.add(found.offset, offset))

    def _ref_within(self, node: Apply, placement: Placement) -> Ref:
        """The memory of a result that is a part of the output of ``node``; contiguous parts have an offset."""
        whole = self.ref_of(node.outputs[0])
        return Ref(whole.buffer, dims.add(whole.offset, placement.offset)) if placement.contiguous else whole

    def _may_hold(self, out: Variable) -> bool:
        """Whether the memory of a joined tensor may be written to before the op that joins it runs."""
        if not {s for d in out.type.shape for s in dims.symbols_of(d)} <= self.known:
            return False
        made = self.builder.buffers[self.ref_of(out).buffer]
        return (
            made.alias < 0
            and not made.dynamic
            and (made.role == "temp" or made.role == "output" and self.parent is None)
        )

    def _dies_at(self, v: Variable, position: int) -> bool:
        base, _ = viewed(v)
        ref = self.place.get(base)
        if ref is None or base in self.placed or self.last_use.get(base) != position:
            return False
        return self.builder.buffers[ref.buffer].role == "temp" and self.builder.home[ref.buffer] is self

    # --- nodes ----------------------------------------------------------------------------------------------------

    def lower(self, targets: Sequence[Ref | None] | None = None) -> tuple[list[Node], list[Ref]]:
        """Lower this scope; returns the nodes, and the memory of the outputs: at their targets, if given."""
        copies, refs = self._claim(targets or [None] * len(self.outputs))
        self.last_use = self._last_uses()
        self.placed = placed_results(self.units, self.stored, self.graph, self._may_hold)
        if not self.binding:
            self.flush()  # equalities of dims that are known
        rows = self._row_chains()
        chains = self._chains()
        behind = begun = 0
        for position, unit in enumerate(self.units):
            if id(unit) in rows and unit is rows[id(unit)].units[0]:
                begun = len(self.nodes)
            if self.pending and self._wants(unit):
                self.flush()
            if position in chains:
                behind = position + chains[position]
                self._lower_chain(self.units[position:behind])
            elif position < behind:
                pass
            elif isinstance(unit, FusionGroup):
                if unit.call is None:
                    self._place_parts(unit)
                    self._take_over(unit, position)
                    self.nodes += lower_group(unit, self.stored, self.ref_of, self.new)
                else:
                    self._prepare_call(unit, unit.call)
                    self.nodes.append(EpilogueLowering(unit, self.stored, self.ref_of, self.new).lower())
            elif isinstance(unit.op.record.lower, Structured):
                unit.op.record.lower.build(unit, self)
            else:
                self._lower_single(unit, position)
            self.pending.met(_made(unit))
            chain = rows.get(id(unit))
            if chain is not None and unit is chain.units[-1]:
                self._run_in_blocks(chain, begun)
        self.flush()
        for ref, v in copies:
            self.copy(v, ref)
        return self.nodes, [self.ref_of(v) if r is None else r for r, v in zip(refs, self.outputs)]

    def _lower_single(self, unit: Apply, position: int) -> None:
        in_place = self._single_in_place(unit, position)
        placed = {k for k, v in enumerate(unit.inputs) if self.placed.get(v, (None,))[0] is unit}
        status, messages = self.builder.status, self.builder.messages
        steps = lower_single(unit, self.ref_of, in_place, status, messages, placed, self.builder.target, self._tables)
        self.nodes += steps
        lower = unit.op.record.lower
        if isinstance(lower, Loops) and lower.in_place is not None and not in_place and not placed:
            self.copying[id(steps[0])] = steps[0], unit, unit.inputs[lower.in_place]

    def _row_chains(self) -> dict[int, RowChain]:
        """The chains that may run some rows at a time, by the identities of their first and last units.

        From now on their units follow one another.
        """
        if not self.builder.target.rows_in_blocks or self.pending or self.parent is not None:
            return {}
        found = row_chains(self.units, self.stored, self.outputs, self.placed)
        if found:
            self.units = in_chain_order(self.units, found)
            self.last_use = self._last_uses()
        return {id(unit): chain for chain in found for unit in (chain.units[0], chain.units[-1])}

    def _run_in_blocks(self, chain: RowChain, begun: int) -> None:
        """Let the nodes of a chain, all that were added since ``begun``, run some rows at a time."""

        buffers, whole = self.builder.buffers, self.nodes[begun:]
        nodes = in_blocks(chain, whole, self.stored, self.ref_of, buffers, self.is_own, self._flag)
        if nodes is not None:
            self.nodes[begun:] = nodes

    def _flag(self) -> Ref:
        return Ref(self.builder.buffer("rows in blocks", "bool", (), "temp", self))

    def _chains(self) -> dict[int, int]:
        """The chains of units that one kernel computes: nothing has to be done between these."""
        if not self.builder.target.chains or self.pending or self.parent is not None:
            return {}
        return chains_of(self.units, self.stored, self.outputs, self.placed)

    def _lower_chain(self, units: Sequence[Unit]) -> None:
        for unit in units:
            if isinstance(unit, FusionGroup):
                assert unit.call is not None
                self._prepare_call(unit, unit.call)
        self.nodes.append(lower_chain(units, self.stored, self.ref_of, self.new))

    def _prepare_call(self, unit: FusionGroup, call: Apply) -> None:
        """Choose the memory of the output of a group's call and of its results."""
        self._place_parts(unit)
        self._share_output(unit, call.outputs[0])

    def _place_parts(self, group: FusionGroup) -> None:
        """Note which results of a group are parts of another tensor, row by row."""
        places = {v: self.placed[v][1] for v in group.stored if v in self.placed}
        group.placed = {v: p for v, p in places.items() if not p.contiguous}

    def _wants(self, unit: Unit) -> bool:
        """Whether symbols must be bound before this unit. They are bound late, so that there are few segments."""
        reads = external_reads(unit, self.stored) if isinstance(unit, FusionGroup) else unit.inputs
        if any(v.ndim for v in (*reads, *_made(unit))):
            return True  # it may rely on equalities that are not checked yet
        return bool(symbols_of_unit(unit, reads) & self.waiting.keys()) or may_fail(unit)

    def copy(self, v: Variable, target: Ref) -> None:
        """Copy a value to ``target``."""
        self.nodes.append(copy_step(self.ref_of(v), target, v))

    def move(self, source: Ref, target: Ref, like: Variable) -> None:
        """Copy as many elements as ``like`` has."""
        self.nodes.append(copy_step(source, target, like))

    def _before(self, v: Variable) -> set[Any]:
        """What must be known before the value of ``v`` can be read: what computes it, and symbols in its offset."""
        base, offset = viewed(v)
        return {*(() if base.owner is None else (base,)), *dims.symbols_of(offset) - self.known}

    def flush(self) -> None:
        """Bind the symbols whose values are computed, and check the equalities that are decidable."""
        while (found := self.pending.next()) is not None:
            if isinstance(found, Equality):
                self.nodes.append(Check(found.left, found.right, self.builder.code(found.text()), found.least))
                continue
            v = self.waiting.pop(found)
            bound = self.builder.bounds.get(found)
            if bound is None and (self.parent is not None or found not in self.sizing):
                bound = UNBOUNDED
            self.nodes.append(Bind(found, self.ref_of(v), v.dtype, bound))
            self.known.add(found)
            self.pending.met((found,))

    def _claim(self, targets: Sequence[Ref | None]) -> tuple[list[tuple[Ref, Variable]], list[Ref | None]]:
        """Let steps write outputs to their targets directly; other outputs are copied at the end."""
        copies: list[tuple[Ref, Variable]] = []
        for target, v in zip(targets, self.outputs):
            if target is None:
                continue
            base, offset = viewed(v)
            whole = offset == 0 and dims.equal(dims.product(base.type.shape), dims.product(v.type.shape)) is True
            if base.owner is None or base in self.place or not whole:
                copies.append((target, v))
            else:
                self.place[base] = target
        return copies, list(targets)

    def _last_uses(self) -> dict[Variable, int]:
        """Map each value in memory to the position of the last unit that reads it."""
        last: dict[Variable, int] = {}
        for position, unit in enumerate(self.units):
            reads = external_reads(unit, self.stored) if isinstance(unit, FusionGroup) else unit.inputs
            for v in reads:
                last[viewed(v)[0]] = position
        for v in (*self.outputs, *self.binding.values()):
            last[viewed(v)[0]] = len(self.units)
        return last

    def _take_over(self, group: FusionGroup, position: int) -> None:
        """Let a group's results reuse the memory of temporaries that it reads elementwise for the last time.

        A group that needs sums of a row may read it again after it has stored results of it.
        """
        sums = [node.outputs[0] for node in group.members if isinstance(node.op.record.lower, Reduction)]
        if group.inner and (group.crossed or read_along_rows(group, sums, self.stored)):
            return
        reads: dict[Variable, set[Any]] = {}
        for node in group.members:
            iteration_map = group.iteration_maps[node.outputs[0]]
            for v in node.inputs:
                if isinstance(node.op.record.lower, Reduction):
                    base, at = resolve(v, terms_map(group, node), self.stored)
                elif not isinstance(node.op.record.lower, Pointwise):
                    base, at = resolve(v, (None,) * v.ndim, self.stored)[0], None  # not elementwise
                else:
                    base, at = resolve(v, iteration_map, self.stored)
                if base in group.iteration_maps:
                    continue
                if viewed(base)[1] != 0:
                    at = None
                reads.setdefault(viewed(base)[0], set()).add(at if base.type.shape else None)
        full = tuple(range(len(group.axes)))
        free: dict[str, list[Variable]] = {}  # by dtype
        for base, iteration_maps in reads.items():
            if iteration_maps == {full} and self._dies_at(base, position):
                free.setdefault(base.dtype, []).append(base)
        taken: set[int] = set()
        buffers = self.builder.buffers
        for value in group.stored:
            ref = self.ref_of(value)
            made = buffers[ref.buffer]
            if made.role != "temp" or made.alias >= 0 or value in self.placed or group.iteration_maps[value] != full:
                continue
            if self.builder.home[ref.buffer] is not self or made.dynamic:
                continue
            while free.get(value.dtype):
                buffer = self.place[free[value.dtype].pop(0)].buffer
                if buffer not in taken:
                    made.alias = buffer
                    taken.add(buffer)
                    break

    def _share_output(self, group: FusionGroup, out: Variable) -> None:
        """Let the output of a group's call be in the memory of a result of the same size, if there is one.

        Not in that of a new value of a shared variable, which the group may read and then overwrite.
        """
        for v in group.stored:
            if v.dtype == out.dtype and v not in group.placed and self.ref_of(v).buffer not in self.renewed:
                self.place[out] = self.ref_of(v)
                return

    def _single_in_place(self, node: Any, position: int) -> bool:
        lower = node.op.record.lower
        if not isinstance(lower, Loops) or lower.in_place is None:
            return False
        source, out = node.inputs[lower.in_place], node.outputs[0]
        base, offset = viewed(source)
        others = [viewed(v)[0] for k, v in enumerate(node.inputs) if k != lower.in_place]
        if base in others or offset != 0 or not self._dies_at(source, position):
            return False
        ref = self.ref_of(out)
        made = self.builder.buffers[ref.buffer]
        if made.role != "temp" or self.builder.home[ref.buffer] is not self or source.dtype != out.dtype:
            return False
        if made.dynamic:  # it is allocated on its own
            return False
        made.alias = self.place[base].buffer
        return True

    # --- used by ops with bodies -----------------------------------------------------------------------------------

    def body(
        self,
        body: Body,
        places: Sequence[Ref],
        targets: Sequence[Ref | None] | None = None,
        known: Iterable[Any] = (),
    ) -> tuple[tuple[Node, ...], list[Ref], Scope]:
        """Lower an inner graph with inputs at ``places``; returns its nodes, the memory of its outputs, its scope."""
        inner = Scope(self.builder, body.graph, body.symbols, body.equalities, self.known | set(known), self)
        inner.fused(*fuse(body.graph, self.builder.target, inner.binding, inside=True))
        inner.place.update(zip(body.inputs, places))
        nodes, refs = inner.lower(targets)
        return tuple(nodes), refs, inner

    def loop(self, node: Loop, scope: Scope, carried: Sequence[Carried] = ()) -> None:
        """Add a loop whose body was lowered by ``scope``, and which carries these states."""
        if self.builder.target.loops_in_registers and node.until is None:
            buffers = self.builder.buffers
            step = in_registers(node.body, node.index, node.count, carried, lambda k: buffers[k].role == "status")
            if step is not None:
                self.nodes.append(step)
                return
            step = unrolled(node, carried, buffers, scope.is_own)
            if step is not None:
                self.nodes.append(step)
                return
        if self.builder.target.loops_by_rows:
            node = by_rows(node, self.builder.buffers) or node
        self.builder.inside[id(node)] = scope
        self.nodes.append(node)

    def is_own(self, buffer: int) -> bool:
        """Whether a buffer is a temporary of this scope."""
        return self.builder.buffers[buffer].role == "temp" and self.builder.home[buffer] is self


def _made(unit: Unit) -> Sequence[Variable]:
    return unit.stored if isinstance(unit, FusionGroup) else unit.outputs


def _in_bodies(unit: Unit) -> list[Variable]:
    """What the bodies of an op compute: symbols from outside size their memory, too."""
    return [] if isinstance(unit, FusionGroup) else [v for n in applications_inside(unit.op) for v in n.outputs]
