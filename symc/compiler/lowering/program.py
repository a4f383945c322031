"""The program that scopes fill: its buffers and messages, then the order of its steps and the lifetimes of buffers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from symc.compiler.target import CPU, Target
from symc.graph import dims
from symc.graph.dim_bounds import largest
from symc.loops.interning import Kernels
from symc.loops.ir import Bind, Branch, Buffer, Check, Host, Loop, Node, OwnRows, Program, Ref, Room, Step, walk

__all__ = ["ProgramBuilder", "Region", "used"]


class Region:
    """A part of the program being built: the nodes of one graph, and of bodies in it.

    Attributes
    ----------
    parent : Region or None
        The region around it.
    nodes : list of Node
    """

    def __init__(self, parent: Region | None) -> None:
        self.parent = parent
        self.nodes: list[Node] = []


class ProgramBuilder:
    """Builder of a program: its buffers and messages."""

    def __init__(self, name: str, target: Target = CPU) -> None:
        self.name = name
        self.target = target
        self.buffers: list[Buffer] = []
        self.home: list[Region | None] = []
        self.messages: list[str] = []
        self.bounds: dict[Any, dims.Dim | None] = {}
        self.inside: dict[int, Region] = {}
        self._status: Ref | None = None

    def buffer(self, name: str, dtype: str, shape: Sequence[dims.Dim], role: str, home: Region | None = None) -> int:
        """Create a buffer and return its number. A temporary is used only in its ``home`` and in regions inside."""
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
        kernels = Kernels()
        body = tuple(_renumbered(node, new, kernels) for node in body)
        symbols, count = _symbols(buffers, body, given)
        made = Program(
            self.name, buffers, symbols, body, self.messages, given=count, updated=tuple(new[k] for k in updated)
        )
        for number, nodes in enumerate(made.segments):
            if number:
                earlier = {n for s in made.segments[:number] for node in walk(s) for n in used(node)}
                for k in {n for node in walk(nodes) for n in used(node)} - earlier:
                    if buffers[k].role != "status":  # cleared when a call begins
                        buffers[k].segment = number
        last = len(made.segments) - 1
        if last:
            touched = {n for node in walk(body) for n in used(node)}
            for k, b in enumerate(buffers):  # a result without elements, whose length is known at the end alone
                if k not in touched and b.role != "status":
                    b.segment = last
        return made

    def _lifetimes(self, body: Sequence[Node]) -> None:
        """Compute the first and last step of every buffer; a loop extends the lifetime of buffers from outside.

        In a loop over independent rows, ranges of them may be in different steps: no two buffers share memory there.
        """
        count = [0]

        def visit(nodes: Sequence[Node]) -> dict[int, tuple[int, int]]:
            found: dict[int, tuple[int, int]] = {}

            def note(numbers: Iterable[int], first: int, last: int) -> None:
                for number in numbers:
                    a, b = found.get(number, (first, last))
                    found[number] = (min(a, first), max(b, last))

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
                        own = node.rows is None and self._is_inside(number, self.inside[id(node)])
                        note([number], *((a, b) if own else (now, max(count[0] - 1, now))))
                elif isinstance(node, Branch):
                    note([node.condition.buffer], max(now - 1, 0), now)
                    for part in (node.then, node.otherwise):
                        for number, (a, b) in visit(part).items():
                            note([number], a, b)
            self._extend_shared(found)
            return found

        for b in self.buffers:
            b.first, b.last = 0, -1
        for number, (first, last) in visit(body).items():
            self.buffers[number].first, self.buffers[number].last = first, last

    def _extend_shared(self, found: dict[int, tuple[int, int]]) -> None:
        """Extend the lifetimes of buffers by those of temporaries in their memory, each chain of these once."""
        shares: dict[int, int] = {}
        for number in found:
            while number not in shares and self.buffers[number].role == "temp" and self.buffers[number].alias >= 0:
                shares[number] = self.buffers[number].alias
                number = shares[number]
        users = Counter(shares.values())
        free = [number for number in shares if not users[number]]
        while free:
            number = free.pop()
            below = shares.get(number)
            if below is not None:
                first, last = found[number]
                a, b = found.get(below, (first, last))
                found[below] = (min(a, first), max(b, last))
                users[below] -= 1
                if not users[below]:
                    free.append(below)

    def _is_inside(self, number: int, region: Region) -> bool:
        home = self.home[number]
        while home is not None and home is not region:
            home = home.parent
        return home is region


def used(node: Node) -> tuple[int, ...]:
    """The buffers that a node itself names, without those of nodes inside."""
    if isinstance(node, (Step, Host)):
        return node.buffers
    if isinstance(node, Bind):
        return (node.source.buffer,)
    if isinstance(node, Branch):
        return (node.condition.buffer,)
    return (node.until.buffer,) if isinstance(node, Loop) and node.until is not None else ()


def _renumbered(node: Node, new: Mapping[int, int], kernels: Kernels) -> Node:
    """The node with the new numbers of buffers; steps that do the same share one kernel."""

    def moved(ref: Ref) -> Ref:
        return Ref(new[ref.buffer], ref.offset)

    if isinstance(node, Step):
        return replace(node, kernel=kernels.interned(node.kernel), refs=tuple(map(moved, node.refs)))
    if isinstance(node, Host):
        return replace(node, refs=tuple(map(moved, node.refs)))
    if isinstance(node, Bind):
        return replace(node, source=moved(node.source))
    if isinstance(node, Room):
        return replace(node, buffer=new[node.buffer])
    if isinstance(node, Loop):
        until = None if node.until is None else moved(node.until)
        rows = node.rows
        if rows is not None and rows.own:
            own = tuple(OwnRows(tuple(new[k] for k in part.buffers), part.bytes) for part in rows.own)
            rows = replace(rows, own=own)
        body = tuple(_renumbered(n, new, kernels) for n in node.body)
        return replace(node, body=body, until=until, rows=rows)
    if isinstance(node, Branch):
        then, otherwise = (tuple(_renumbered(n, new, kernels) for n in part) for part in (node.then, node.otherwise))
        return Branch(moved(node.condition), then, otherwise)
    return node


def _symbols(buffers: Sequence[Buffer], body: Sequence[Node], given: Iterable[Any]) -> tuple[tuple[Any, ...], int]:
    """All symbols that the program uses, those known at its beginning first, and the number of these."""
    found: dict[Any, None] = {}
    late: dict[Any, None] = {}

    def note(dim: dims.Dim | None) -> None:
        if dim is not None and type(dim) is not int:
            fresh = [s for s in dims.symbols_of(dim) if s not in found]
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
            if node.rows is not None:
                late.setdefault(node.rows.first)
                late.setdefault(node.rows.last)
                note(node.rows.count)
                note(node.rows.size)
                note(node.rows.block)
                for part in node.rows.own:
                    note(part.bytes)
            note(node.count)
    known = set(given) - late.keys()
    unknown = [s for s in found if s not in known and s not in late]
    if unknown:
        raise AssertionError(f"nothing tells the values of the dims {unknown}")
    first = [s for s in found if s in known]
    return (*first, *late), len(first)
