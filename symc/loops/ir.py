"""The loop IR: nine statements, kernels made of them, and programs made of kernels.

A kernel names its buffers ``b0, b1, ...`` and its dims ``n0, n1, ...``; a ``Step`` binds them to memory and dims of the
program. So two steps that do the same to different arrays share one kernel, and one piece of compiled code.

A program is a tree: steps, loops and branches around them, dims bound to values in mid-program, calls into Python.

Loops of kind ``"parallel"`` have independent iterations and may run in any order or at once, as may parallel loops
right inside them; ``"simd"`` loops are innermost and may run as vectors: their iterations are independent except for
``Accumulate``, whose order is free; in ``"unordered"`` loops, too, nothing but the order in which they accumulate is
free, but iterations may meet at positions that were read from memory; ``"serial"`` loops run in order.

A running sum of floats takes in no more than ``SUM_TERMS`` terms one by one: of a million small terms added to a large
float32 sum, each loses most of its digits. The lowering sees to it in serial loops, where it adds the sums of blocks of
terms to a float64 total. Back ends see to it in simd loops, where the order of accumulation is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from symc.graph.dims import Dim
from symc.loops.expr import Expr

__all__ = [
    "Accumulate", "Alloc", "Barrier", "Bind", "Branch", "Buffer", "Call", "Check", "For", "Host", "If", "Kernel", "Let",
    "Load", "Loop", "Node", "Program", "Ref", "Room", "SUM_TERMS", "Statement", "Step", "Store", "walk",
]  # fmt: skip

SUM_TERMS = {"float32": 32, "float64": 512}
"""The terms that a running sum takes in before it is added to a float64 total: few enough for a relative error of the
order of 1e-6 and 1e-13, many enough for the total to cost little."""


@dataclass(frozen=True, eq=False)
class Alloc:
    """Memory private to one iteration of the enclosing parallel loop: ``size`` elements, or one register when 1."""

    name: str
    dtype: str
    size: Expr


@dataclass(frozen=True, eq=False)
class For:
    """Run ``body`` for ``index`` = 0 .. ``extent`` - 1.

    ``work`` estimates the scalar operations of one iteration, from which a back end chooses how finely to share a
    parallel loop among threads.
    """

    index: str
    extent: Expr
    body: tuple[Statement, ...]
    kind: str = "serial"
    work: Expr | None = None


@dataclass(frozen=True, eq=False)
class Let:
    """Name the value of an expression."""

    name: str
    value: Expr


@dataclass(frozen=True, eq=False)
class Load:
    """Name the element of ``buffer`` at flat position ``index``."""

    name: str
    buffer: str
    index: Expr
    dtype: str


@dataclass(frozen=True, eq=False)
class Store:
    """Write an element."""

    buffer: str
    index: Expr
    value: Expr


@dataclass(frozen=True, eq=False)
class Accumulate:
    """``buffer[index] = op(buffer[index], value)``, with ``op`` one of add, mul, max, min, or, and."""

    buffer: str
    index: Expr
    value: Expr
    op: str


@dataclass(frozen=True, eq=False)
class If:
    """``body`` runs where ``condition`` holds."""

    condition: Expr
    body: tuple[Statement, ...]


@dataclass(frozen=True, eq=False)
class Barrier:
    """All threads of a block have done what stands above before any does what stands below."""


@dataclass(frozen=True, eq=False)
class Call:
    """A library call from ``symc.loops.calls``: written buffers first, whole-number parameters in order."""

    name: str
    buffers: tuple[str, ...]
    params: tuple[Expr, ...]


Statement = Alloc | For | Let | Load | Store | Accumulate | If | Barrier | Call


@dataclass(frozen=True, eq=False)
class Kernel:
    """A piece of a program that runs on its own buffers.

    Attributes
    ----------
    name : str
        What it computes, for profiles and errors.
    buffers : tuple of str
        The dtype of ``b0``, ``b1``, ...
    writes : frozenset of int
        Which of them it writes.
    dims : int
        How many dims ``n0``, ``n1``, ... it takes.
    body : tuple of Statement
    flops : Expr, bytes : Expr
        Estimates for the profile, over its dims.
    """

    name: str
    buffers: tuple[str, ...]
    writes: frozenset[int]
    dims: int
    body: tuple[Statement, ...]
    flops: Expr
    bytes: Expr
    key: str = field(default="")


@dataclass(frozen=True)
class Ref:
    """Memory of a program buffer from element ``offset`` on, a dim over the program's symbols and loop indices."""

    buffer: int
    offset: Dim = 0


@dataclass(frozen=True)
class Step:
    """One run of a kernel: which memory and dims it gets.

    A step that writes the status buffer may store the number of a message there, which ends the call.
    """

    kernel: Kernel
    refs: tuple[Ref, ...]
    dims: tuple[Dim, ...]
    locations: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """What it computes."""
        return self.kernel.name

    @property
    def buffers(self) -> tuple[int, ...]:
        """The program buffers bound to ``b0``, ``b1``, ..."""
        return tuple(r.buffer for r in self.refs)

    @property
    def writes(self) -> tuple[int, ...]:
        """The program buffers that it writes."""
        return tuple(self.refs[k].buffer for k in sorted(self.kernel.writes))


@dataclass(frozen=True)
class Host:
    """Hand arrays to Python: ``callback(outputs, inputs)`` writes the former, given NumPy arrays.

    ``refs`` are the outputs, then the inputs; ``shapes`` and ``dtypes`` say how each is seen. An exception that the
    callback raises ends the call and reaches the caller.
    """

    name: str
    callback: Callable[[Sequence[Any], Sequence[Any]], None]
    refs: tuple[Ref, ...]
    outputs: int
    shapes: tuple[tuple[Dim, ...], ...]
    dtypes: tuple[str, ...]
    locations: tuple[Any, ...] = ()

    @property
    def dims(self) -> tuple[Dim, ...]:
        """All dims of its arrays, one after another."""
        return tuple(d for shape in self.shapes for d in shape)

    @property
    def buffers(self) -> tuple[int, ...]:
        """The program buffers that it sees."""
        return tuple(r.buffer for r in self.refs)

    @property
    def writes(self) -> tuple[int, ...]:
        """The program buffers that it writes."""
        return self.buffers[: self.outputs]


@dataclass(frozen=True)
class Loop:
    """Run ``body`` for ``index`` = 0 .. ``count`` - 1, until the bool at ``until`` is true after an iteration.

    ``index`` is a symbol that offsets, dims and counts inside may use. ``done``, if given, is a symbol that holds the
    number of iterations that ran, from the end of the loop on.
    """

    index: Any
    count: Dim
    body: tuple[Node, ...]
    until: Ref | None = None
    done: Any = None


@dataclass(frozen=True)
class Branch:
    """Run ``then`` if the bool at ``condition`` is true, else ``otherwise``."""

    condition: Ref
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True)
class Bind:
    """Make ``symbol`` the value of the whole number at ``source``, of dtype ``dtype``.

    With a ``bound``, memory for what depends on the symbol was laid out for that value; without one, the program
    falls into segments here, and memory of the next one is laid out once the value is known.
    """

    symbol: Any
    source: Ref
    dtype: str
    bound: Dim | None = None


@dataclass(frozen=True)
class Check:
    """End the call with message number ``code`` unless ``left`` equals ``right`` (with ``least``: is at least)."""

    left: Dim
    right: Dim
    code: int
    least: bool = False


@dataclass(frozen=True)
class Room:
    """Give ``buffer`` memory for ``elements`` elements: its size is known only here, in the middle of a segment."""

    buffer: int
    elements: Dim


Node = Step | Host | Loop | Branch | Bind | Check | Room


@dataclass
class Buffer:
    """An array of a program.

    ``role`` is ``"input"``, ``"shared"``, ``"constant"``, ``"output"``, ``"update"``, ``"status"`` or ``"temp"``;
    ``slot`` is its position among the buffers of that role. ``alias`` is the buffer whose memory it shares, or -1.
    ``first`` and ``last`` are the numbers of the steps between which a temporary holds its value. ``room`` is the
    number of elements to reserve, where that differs from the product of ``shape``, and ``segment`` the one that lays
    it out.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...]
    role: str
    slot: int = 0
    alias: int = -1
    first: int = 0
    last: int = 0
    location: Any = None
    data: Any = None
    room: Dim | None = None
    segment: int = 0
    dynamic: bool = False


@dataclass
class Program:
    """What a back end gets: buffers, symbols, and a tree of steps.

    ``symbols`` are all that dims and offsets use: the first ``given`` of them are known when a call begins (axes of
    arguments), the others are bound or are indices of loops. ``updated`` are the slots of the shared variables that a
    call overwrites. ``notes`` is where a back end's functions leave word for one another.
    """

    name: str
    buffers: list[Buffer]
    symbols: tuple[Any, ...]
    body: tuple[Node, ...]
    messages: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    given: int = 0
    updated: tuple[int, ...] = ()

    @cached_property
    def steps(self) -> tuple[Step | Host, ...]:
        """Every step of the tree, in the order of the text: what profiles and lifetimes number."""
        return tuple(n for n in walk(self.body) if isinstance(n, (Step, Host)))

    @cached_property
    def segments(self) -> tuple[tuple[Node, ...], ...]:
        """The body cut behind each ``Bind`` without a bound."""
        found: list[list[Node]] = [[]]
        bound = False
        for node in self.body:
            if isinstance(node, Bind) and node.bound is None:
                bound = True
            elif bound and not isinstance(node, (Bind, Check)):
                found.append([])
                bound = False
            found[-1].append(node)
        return tuple(tuple(nodes) for nodes in found)


def walk(body: Sequence[Node]) -> Iterator[Node]:
    """Every node of a tree, each before what is inside it."""
    stack = list(body)[::-1]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, Loop):
            stack.extend(node.body[::-1])
        elif isinstance(node, Branch):
            stack.extend((*node.then, *node.otherwise)[::-1])
