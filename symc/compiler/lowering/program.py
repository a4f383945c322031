"""From units of work to a program: memory for every value, a tree of steps, and shared memory.

A ``Scope`` lowers the units of one graph, in order, to nodes of the program; ops with bodies open inner scopes. The
``ProgramBuilder`` holds the data that all scopes share, and finally numbers the steps and computes the lifetime of each
temporary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from symc.compiler.fusion import FusionGroup, Unit, external_reads, fuse, may_fail, resolve, symbols_of_unit
from symc.compiler.lowering.fusion_group import lower_group
from symc.compiler.lowering.sharing import copy_step, fails, same_positions, viewed
from symc.compiler.lowering.single import lower_single
from symc.compiler.target import CPU, Target
from symc.graph import Constant, Variable, dims
from symc.graph.body import Body, Equality
from symc.graph.dim_bounds import is_monotone, largest
from symc.graph.op import Loops, Pointwise, Structured
from symc.loops.ir import Bind, Branch, Buffer, Check, Host, Loop, Node, Program, Ref, Room, Step, walk

__all__ = ["ProgramBuilder", "Scope"]

UNBOUNDED = 1 << 62
"""The bound of a symbol on which no size depends."""
COPY_BACK = 1 << 20
"""The number of bytes up to which new values are copied over the old ones at the end of a call instead of swapped."""


class ProgramBuilder:
    """Builder of a program: its buffers and messages."""

    def __init__(self, name: str, target: Target = CPU) -> None:
        self.name = name
        self.target = target
        self.buffers: list[Buffer] = []
        self.home: list[Scope | None] = []
        self.messages: list[str] = []
        self.bounds: dict[Any, dims.Dim | None] = {}
        self.inside: dict[int, Scope] = {}
        self._status: Ref | None = None

    def buffer(self, name: str, dtype: str, shape: Sequence[dims.Dim], role: str, home: Scope | None = None) -> int:
        """Create a buffer and return its number. A temporary is used only by its ``home`` scope and inner scopes."""
        made = Buffer(name, dtype, tuple(shape), role)
        if self.bounds and any(dims.symbols_of(d) & self.bounds.keys() for d in shape):
            made.room = largest(dims.product(shape), self.bounds)
            made.dynamic = made.room is None
        self.buffers.append(made)
        self.home.append(home)
        if made.dynamic and home is not None:
            home.nodes.append(Room(len(self.buffers) - 1, dims.product(shape)))
        return len(self.buffers) - 1

    def status(self) -> Ref:
        """The buffer in which steps report errors."""
        if self._status is None:
            self._status = Ref(self.buffer("status", "int64", (1,), "status"))
        return self._status

    def code(self, message: str) -> int:
        """The status number of ``message``."""
        self.messages.append(message)
        return len(self.messages)

    def program(self, body: Sequence[Node], given: Iterable[Any], updated: Sequence[int] = ()) -> Program:
        """Create the program: inputs first, then outputs, each in the caller's order; then the other buffers."""
        rank = {"input": 0, "output": 1}
        order = sorted(
            range(len(self.buffers)), key=lambda k: (rank.get(self.buffers[k].role, 2), self.buffers[k].slot)
        )
        new = {old: position for position, old in enumerate(order)}
        self._lifetimes(body)
        buffers = [self.buffers[k] for k in order]
        for b in buffers:
            b.alias = new[b.alias] if b.alias >= 0 else -1
        body = tuple(_renumbered(node, new) for node in body)
        symbols, count = _symbols(buffers, body, given)
        made = Program(
            self.name, buffers, symbols, body, self.messages, given=count, updated=tuple(new[k] for k in updated)
        )
        for number, nodes in enumerate(made.segments):
            if number:
                earlier = {n for s in made.segments[:number] for node in walk(s) for n in _used(node)}
                for k in {n for node in walk(nodes) for n in _used(node)} - earlier:
                    if buffers[k].role != "status":  # cleared when a call begins
                        buffers[k].segment = number
        return made

    def _lifetimes(self, body: Sequence[Node]) -> None:
        """Compute the first and last step of every buffer; a loop extends the lifetime of buffers from outside."""
        count = [0]

        def visit(nodes: Sequence[Node]) -> dict[int, tuple[int, int]]:
            found: dict[int, tuple[int, int]] = {}

            def note(numbers: Iterable[int], first: int, last: int) -> None:
                for number in numbers:
                    while number >= 0:
                        a, b = found.get(number, (first, last))
                        found[number] = (min(a, first), max(b, last))
                        buffer = self.buffers[number]
                        number = buffer.alias if buffer.role == "temp" else -1

            for node in nodes:
                now = count[0]
                if isinstance(node, (Step, Host)):
                    count[0] += 1
                    note(node.buffers, now, now)
                elif isinstance(node, Bind):
                    note([node.source.buffer], max(now - 1, 0), now)
                elif isinstance(node, Loop):
                    inner = visit(node.body)
                    if node.until is not None:
                        note([node.until.buffer], now, count[0])
                    for number, (a, b) in inner.items():
                        own = self._is_inside(number, self.inside[id(node)])
                        note([number], *((a, b) if own else (now, max(count[0] - 1, now))))
                elif isinstance(node, Branch):
                    note([node.condition.buffer], max(now - 1, 0), now)
                    for part in (node.then, node.otherwise):
                        for number, (a, b) in visit(part).items():
                            note([number], a, b)
            return found

        for b in self.buffers:
            b.first, b.last = 0, -1
        for number, (first, last) in visit(body).items():
            self.buffers[number].first, self.buffers[number].last = first, last

    def _is_inside(self, number: int, scope: Scope) -> bool:
        home = self.home[number]
        while home is not None and home is not scope:
            home = home.parent
        return home is scope


def _used(node: Node) -> tuple[int, ...]:
    if isinstance(node, (Step, Host)):
        return node.buffers
    if isinstance(node, Bind):
        return (node.source.buffer,)
    if isinstance(node, Branch):
        return (node.condition.buffer,)
    return (node.until.buffer,) if isinstance(node, Loop) and node.until is not None else ()


def _renumbered(node: Node, new: Mapping[int, int]) -> Node:
    def moved(ref: Ref) -> Ref:
        return Ref(new[ref.buffer], ref.offset)

    if isinstance(node, (Step, Host)):
        return replace(node, refs=tuple(map(moved, node.refs)))
    if isinstance(node, Bind):
        return replace(node, source=moved(node.source))
    if isinstance(node, Room):
        return replace(node, buffer=new[node.buffer])
    if isinstance(node, Loop):
        until = None if node.until is None else moved(node.until)
        return replace(node, body=tuple(_renumbered(n, new) for n in node.body), until=until)
    if isinstance(node, Branch):
        then, otherwise = (tuple(_renumbered(n, new) for n in part) for part in (node.then, node.otherwise))
        return Branch(moved(node.condition), then, otherwise)
    return node


def _symbols(buffers: Sequence[Buffer], body: Sequence[Node], given: Iterable[Any]) -> tuple[tuple[Any, ...], int]:
    """All symbols that the program uses, those known at its beginning first, and the number of these."""
    found: dict[Any, None] = {}
    late: dict[Any, None] = {}

    def note(dim: dims.Dim | None) -> None:
        if dim is not None and type(dim) is not int:
            fresh = dims.symbols_of(dim) - found.keys()
            if fresh:
                found.update(dict.fromkeys(dims.ordered(fresh)))

    for b in buffers:
        for d in b.shape:
            note(d)
        note(b.room)
    for node in walk(body):
        if isinstance(node, (Step, Host)):
            for d in (*node.dims, *(r.offset for r in node.refs)):
                note(d)
        elif isinstance(node, Check):
            note(node.left)
            note(node.right)
        elif isinstance(node, Room):
            note(node.elements)
        elif isinstance(node, Bind):
            late.setdefault(node.symbol)
            note(node.source.offset)
            note(node.bound)
        elif isinstance(node, Loop):
            late.setdefault(node.index)
            if node.done is not None:
                late.setdefault(node.done)
            note(node.count)
    known = set(given) - late.keys()
    unknown = [s for s in found if s not in known and s not in late]
    if unknown:
        raise AssertionError(f"nothing tells the values of the dims {unknown}")
    first = [s for s in found if s in known]
    return (*first, *late), len(first)


class Scope:
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
        self.builder = builder
        self.parent = parent
        self.place: dict[Variable, Ref] = {}
        self.nodes: list[Node] = []
        values = outputs[len(outputs) - len(symbols) :]
        self.outputs = list(outputs[: len(outputs) - len(symbols)])
        self.binding = dict(zip(symbols, values))
        self.graph = list(outputs)
        self.units: Sequence[Unit] = ()
        self.stored: set[Variable] = set()
        self.known = set(known)
        self.waiting = dict(self.binding)
        self.equalities = list(equalities)
        self.sizing: set[Any] = set()  # symbols on which the sizes of buffers depend
        self.done: set[Variable] = set()
        self.last_use: dict[Variable, int] = {}

    def fused(self, units: Sequence[Unit], stored: set[Variable]) -> None:
        """Set the units of work; decides for which symbols memory can be allocated before they are known."""
        self.units, self.stored = units, stored
        if not self.binding:
            return
        made = (*self.graph, *(v for unit in units for v in _made(unit)))
        self.sizing = {s for v in made for d in v.type.shape for s in dims.symbols_of(d)}
        bounds = self.builder.bounds
        for symbol, v in self.binding.items():
            bound = _upper_bound(v)
            if self.parent is not None or bound is not None and self._grows_with(symbol):
                bounds[symbol] = None if bound is None else largest(bound, bounds)
        if self.parent is None:
            sizes = {dims.product(v.type.shape) for v in made}
            while stuck := {s for n in sizes if largest(n, bounds) is None for s in dims.symbols_of(n) & bounds.keys()}:
                for symbol in stuck:  # as if it had no bound: what depends on it begins a segment
                    del bounds[symbol]

    def _grows_with(self, symbol: Any) -> bool:
        """Whether every dim that depends on the symbol is largest for the largest value of the symbol."""
        shapes = {d for unit in self.units for v in _made(unit) for d in v.type.shape if symbol in dims.symbols_of(d)}
        return all(is_monotone(d) for d in shapes)

    # --- memory ---------------------------------------------------------------------------------------------------

    def new(self, dtype: str, shape: Sequence[dims.Dim], name: str = "partial results") -> Ref:
        """Allocate a temporary of this scope."""
        return Ref(self.builder.buffer(name, dtype, shape, "temp", self))

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
            if isinstance(base, Constant):
                found = Ref(self.add(base, "constant"))
                self.builder.buffers[found.buffer].data = base.data
            else:
                found = Ref(self.add(base, "temp"))
            self.place[base] = found
        return found if type(offset) is int and offset == 0 else Ref(found.buffer, dims.add(found.offset, offset))

    def _dies_at(self, v: Variable, position: int) -> bool:
        base, _ = viewed(v)
        ref = self.place.get(base)
        if ref is None or self.last_use.get(base) != position:
            return False
        return self.builder.buffers[ref.buffer].role == "temp" and self.builder.home[ref.buffer] is self

    # --- nodes ----------------------------------------------------------------------------------------------------

    def lower(self, targets: Sequence[Ref | None] | None = None) -> tuple[list[Node], list[Ref]]:
        """Lower this scope; returns the nodes, and the memory of the outputs: at their targets, if given."""
        copies, refs = self._claim(targets or [None] * len(self.outputs))
        self.last_use = self._last_uses()
        for position, unit in enumerate(self.units):
            if (self.waiting or self.equalities) and self._wants(unit):
                self.flush()
            if isinstance(unit, FusionGroup):
                self._take_over(unit, position)
                self.nodes += lower_group(unit, self.stored, self.ref_of, self.new)
            elif isinstance(unit.op.record.lower, Structured):
                unit.op.record.lower.build(unit, self)
            else:
                in_place = self._single_in_place(unit, position)
                self.nodes += lower_single(unit, self.ref_of, in_place, self.builder.status, self.builder.messages)
            self.done.update(_made(unit))
        self.flush()
        for ref, v in copies:
            self.copy(v, ref)
        return self.nodes, [self.ref_of(v) if r is None else r for r, v in zip(refs, self.outputs)]

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

    def flush(self) -> None:
        """Bind the symbols whose values are computed, and check the equalities that are decidable."""
        for symbol, v in list(self.waiting.items()):
            base, offset = viewed(v)
            if base.owner is not None and base not in self.done or not dims.symbols_of(offset) <= self.known:
                continue
            del self.waiting[symbol]
            bound = self.builder.bounds.get(symbol)
            if bound is None and (self.parent is not None or symbol not in self.sizing):
                bound = UNBOUNDED
            self.nodes.append(Bind(symbol, self.ref_of(v), v.dtype, bound))
            self.known.add(symbol)
        for e in list(self.equalities):
            if dims.symbols_of(e.left) | dims.symbols_of(e.right) <= self.known:
                self.equalities.remove(e)
                self.nodes.append(Check(e.left, e.right, self.builder.code(e.text()), e.least))

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
        """Let a group's results reuse the memory of temporaries that it reads elementwise for the last time."""
        if group.inner:
            return
        reads: dict[Variable, set[Any]] = {}
        for node in group.members:
            iteration_map = group.iteration_maps[node.outputs[0]]
            for v in node.inputs:
                if not isinstance(node.op.record.lower, Pointwise):
                    base, at = resolve(v, (None,) * v.ndim, self.stored)[0], None  # not elementwise
                else:
                    base, at = resolve(v, iteration_map, self.stored)
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
            if made.role != "temp" or made.alias >= 0 or group.iteration_maps[value] != full:
                continue
            if self.builder.home[ref.buffer] is not self:
                continue
            while free.get(value.dtype):
                buffer = self.place[free[value.dtype].pop(0)].buffer
                if buffer not in taken:
                    made.alias = buffer
                    taken.add(buffer)
                    break

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
        inner.fused(*fuse(body.graph, self.builder.target, inner.binding))
        inner.place.update(zip(body.inputs, places))
        nodes, refs = inner.lower(targets)
        return tuple(nodes), refs, inner

    def loop(self, node: Loop, scope: Scope) -> None:
        """Add a loop whose body was lowered by ``scope``."""
        self.builder.inside[id(node)] = scope
        self.nodes.append(node)


def _made(unit: Unit) -> Sequence[Variable]:
    return unit.stored if isinstance(unit, FusionGroup) else unit.outputs


def _upper_bound(v: Variable) -> dims.Dim | None:
    """The upper bound of the value of an integer, from its record."""
    if v.owner is None or v.owner.op.record.upper is None or v.ndim:
        return None
    return v.owner.op.record.upper(v.owner.op, v.owner.inputs)


class Root(Scope):
    """The outermost scope: arguments, shared variables, results, updates."""

    def sources(self, leaves: Mapping[Variable, Variable], is_shared: Callable[[Variable], bool]) -> None:
        """Create buffers of arguments and shared variables; ``leaves`` maps the user's variables to the compiler's."""
        slots = {"input": 0, "shared": 0}
        for leaf, source in leaves.items():
            if source in self.place:
                continue
            role = "shared" if is_shared(leaf) else "input"
            self.place[source] = Ref(self.add(source, role, slots[role]))
            slots[role] += 1

    def results(self, updates: Sequence[tuple[Variable, int]]) -> tuple[list[Node], list[int]]:
        """Lower the program; ``updates`` pairs shared variables with the positions of their next values.

        Returns the nodes, and the buffers of shared variables that they overwrite.
        """
        targets = [Ref(self.add(v, "output", slot)) for slot, v in enumerate(self.outputs)]
        self.lower(targets)
        nodes, written = self.nodes, []
        uses: dict[int, list[int]] = {}
        writes: dict[int, list[int]] = {}
        barrier = -1
        for k, node in enumerate(nodes):
            for inner in walk([node]):
                for number in dict.fromkeys(_used(inner)):
                    uses.setdefault(number, []).append(k)
                if isinstance(inner, (Step, Host)):
                    for number in inner.writes:
                        writes.setdefault(number, []).append(k)
                if fails(inner, self.builder.buffers):
                    barrier = k
        back: list[tuple[int, int, Variable]] = []
        for source, position in updates:
            old, new = self.place[source].buffer, targets[position].buffer
            made = self.builder.buffers[new]
            made.role = "update"
            if new not in writes or made.shape != self.builder.buffers[old].shape:
                continue
            readers, first_write, writer = uses.get(old, []), writes[new][0], writes[new][-1]
            last = nodes[writer]
            same = all(k <= first_write for k in readers) and first_write == writer
            same = same and isinstance(last, Step) and old in last.buffers and same_positions(last, old, new)
            if first_write > barrier and (same or all(k < first_write for k in readers)):
                made.alias = old
                written.append(old)
            else:
                back.append((new, old, self.outputs[position]))
        sizes = [dims.product(v.type.shape) for *_, v in back]
        if all(type(n) is int for n in sizes) and sum(8 * n for n in sizes) <= COPY_BACK:
            for new, old, v in back:
                self.builder.buffers[new].role = "temp"
                self.builder.home[new] = self
                nodes.append(copy_step(Ref(new), Ref(old), v))
                written.append(old)
        return nodes, written
