"""The loop IR: nine statements, kernels composed of them, and programs composed of kernels.

A kernel names its buffers ``b0, b1, ...`` and its dims ``n0, n1, ...``; a ``Step`` binds them to memory and dims of the
program. Two steps that do the same to different arrays share one kernel, and its compiled code.

A program is a tree: steps, loops and branches around them, dims bound to values in mid-program, calls into Python.

Loops of kind ``"parallel"`` have independent iterations, which may run in any order or concurrently, as may parallel
loops directly inside them. ``"simd"`` loops may be vectorised: their iterations are independent except for
``Accumulate``, whose order is free. They contain no other loops except a serial one, around which an ``Alloc`` of one
element is a register per iteration. In ``"unordered"`` loops, too, only the order of accumulation is free,
but iterations may accumulate into the same positions, which were read from memory. ``"serial"`` loops run in order.

A running sum of floats adds at most ``SUM_TERMS`` terms one by one: of a million small terms added to a large float32
sum, each would lose most of its digits. The lowering ensures this in serial loops, where it adds the sums of blocks of
terms to a float64 total. Back ends ensure it in simd loops, where they choose the order of accumulation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from symc.graph.dims import Dim
from symc.loops.expr import Expr, substituted

__all__ = [
    "Accumulate", "Alloc", "Barrier", "Bind", "Branch", "Buffer", "Call", "Carried", "Check", "Epilogue", "For", "Host",
    "If", "Kernel", "Let", "Load", "Loop", "Native", "Node", "OwnRows", "Program", "ROWS_IN_BLOCKS", "Ref", "Room",
    "Rows", "SUM_TERMS", "Statement", "Step", "Store", "UNBOUNDED", "moved", "roots", "walk",
]  # fmt: skip

SUM_TERMS = {"float32": 32, "float64": 512}
"""The number of terms of a running sum before it is added to a float64 total: small enough for a relative error of the
order of 1e-6 and 1e-13, large enough for the total to cost little."""


@dataclass(frozen=True, eq=False)
class Alloc:
    """Memory private to one iteration of the enclosing parallel loop: ``size`` elements, or one register when 1."""

    name: str
    dtype: str
    size: Expr


@dataclass(frozen=True, eq=False)
class For:
    """Run ``body`` for ``index`` = 0 .. ``extent`` - 1.

    ``work`` estimates the scalar operations of one iteration, from which a back end chooses how to distribute a
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
    """Run ``body`` where ``condition`` holds."""

    condition: Expr
    body: tuple[Statement, ...]


@dataclass(frozen=True, eq=False)
class Barrier:
    """Synchronise the threads of a block: all of them finish the statements above before any starts those below."""


@dataclass(frozen=True, eq=False)
class Call:
    """A library call from ``symc.loops.calls``: written buffers first, integer parameters in order.

    With an ``epilogue``, the elements of its output are then processed further. If it ``passes_on`` its output, nothing
    but the next statement of the kernel, a call too, reads it: a back end may compute both part by part, and need not
    store what is between them.
    """

    name: str
    buffers: tuple[str, ...]
    params: tuple[Expr, ...]
    epilogue: Epilogue | None = None
    passes_on: bool = False


@dataclass(frozen=True, eq=False)
class Epilogue:
    """Statements that process every element of the output of a call, as a matrix of ``rows`` x ``columns``.

    ``body`` contains loops over ``count`` columns from ``first`` on, in row ``row``. It is run for all elements of the
    output, for each exactly once and after the call has computed it: on whole rows after the call, or on parts of rows
    while they are in the cache. It reads the output of the call only at the elements for which it is run. A
    column of a call with ``rows_of_vectors`` is a vector.
    """

    rows: Expr
    columns: Expr
    row: str
    first: str
    count: str
    body: tuple[Statement, ...]


Statement = Alloc | For | Let | Load | Store | Accumulate | If | Barrier | Call


@dataclass(frozen=True, eq=False)
class Kernel:
    """A unit of compiled code that runs on its own buffers.

    Attributes
    ----------
    name : str
        What it computes, for profiles and errors.
    buffers : tuple of str
        The dtypes of ``b0``, ``b1``, ...
    writes : frozenset of int
        The indices of the buffers that it writes.
    dims : int
        The number of dims ``n0``, ``n1``, ...
    body : tuple of Statement
    flops : Expr, bytes : Expr
        Estimates for the profile, in terms of its dims.
    elements : dict of int to Expr
        The number of elements that it writes to a buffer, where that is known: a back end may store large results past
        the caches.
    sizes : dict of int to Expr
        The number of elements of a buffer that it reads at computed positions: a back end may compute positions in
        fewer bits.
    """

    name: str
    buffers: tuple[str, ...]
    writes: frozenset[int]
    dims: int
    body: tuple[Statement, ...]
    flops: Expr
    bytes: Expr
    elements: dict[int, Expr] = field(default_factory=dict)
    sizes: dict[int, Expr] = field(default_factory=dict)


@dataclass(frozen=True)
class Ref:
    """A reference to a program buffer from element ``offset`` on, a dim over symbols and loop indices."""

    buffer: int
    offset: Dim = 0


@dataclass(frozen=True)
class Step:
    """One execution of a kernel, with the memory and dims bound to it.

    A step that writes the status buffer may store the number of a message in it, which ends the call.
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
class Code:
    """The definition of a C function.

    Attributes
    ----------
    support : str
        Declarations that precede the function: included headers, and other functions.
    text : str
        The body of the function, in braces.
    """

    support: str
    text: str


@dataclass(frozen=True)
class Native:
    """A C function that computes what a ``Host`` does: one of the run-time library, or one with its own ``code``.

    Attributes
    ----------
    name : str
        The function ``void name(void **b_, const int64_t *n_)``. ``b_`` holds the arrays of the ``Host``, and then the
        address of a ``const char *``, which the function sets to a message if it fails.
    params : tuple of Dim
        The integers in ``n_``.
    code : Code, optional
        The definition; without one, the run-time library has the function.
    lapack : bool
        Whether the function may call LAPACK.
    error : callable, optional
        ``error(message)`` returns the exception that ends a call in which the function failed. Without it, the
        callback computes the outputs after all, or raises.
    """

    name: str
    params: tuple[Dim, ...] = ()
    code: Code | None = None
    lapack: bool = False
    error: Callable[[str], Exception] | None = None


@dataclass(frozen=True)
class Host:
    """Call Python with NumPy arrays: ``callback(outputs, inputs)`` writes the outputs.

    ``refs`` are the outputs, then the inputs; ``shapes`` and ``dtypes`` are those of the arrays. An exception raised by
    the callback ends the call and propagates to the caller. Back ends that compile C call ``native`` first.
    """

    name: str
    callback: Callable[[Sequence[Any], Sequence[Any]], None]
    refs: tuple[Ref, ...]
    outputs: int
    shapes: tuple[tuple[Dim, ...], ...]
    dtypes: tuple[str, ...]
    locations: tuple[Any, ...] = ()
    native: Native | None = None

    @property
    def dims(self) -> tuple[Dim, ...]:
        """All dims of its arrays, one after another."""
        return tuple(d for shape in self.shapes for d in shape)

    @property
    def buffers(self) -> tuple[int, ...]:
        """The program buffers that it reads or writes."""
        return tuple(r.buffer for r in self.refs)

    @property
    def writes(self) -> tuple[int, ...]:
        """The program buffers that it writes."""
        return self.buffers[: self.outputs]


ROWS_IN_BLOCKS = "rows in blocks"
"""The kernel of a step before a branch: its dim, 0 or 1, tells whether rows pass through several steps in blocks."""


@dataclass(frozen=True)
class OwnRows:
    """Buffers in the same memory that only the rows of a range use: the range's first row is at their start.

    ``bytes`` is the size of a row.
    """

    buffers: tuple[int, ...]
    bytes: Dim


@dataclass(frozen=True)
class Rows:
    """Independent rows of a loop: its body computes those from ``first`` to ``last`` - 1, out of ``count``.

    The loop may run for any ranges of rows one after another or at the same time, each range with values of its own of
    the symbols ``first`` and ``last`` and of the loop's index, as long as every row is in one of them. With a ``size``,
    no range contains row ``k * size`` unless it begins there, or has more than ``block`` rows. Ranges that run at the
    same time have memory of their own for the buffers in ``own``.
    """

    first: Any
    last: Any
    count: Dim
    size: Dim | None = None
    block: Dim | None = None
    own: tuple[OwnRows, ...] = ()


@dataclass(frozen=True)
class Loop:
    """Run ``body`` for ``index`` = 0 .. ``count`` - 1, until the bool at ``until`` is true after an iteration.

    ``index`` is a symbol that offsets, dims and counts inside may use. ``done``, if given, is a symbol for the number
    of iterations that ran, known after the loop. ``rows`` tells that the rows of its arrays are independent.
    """

    index: Any
    count: Dim
    body: tuple[Node, ...]
    until: Ref | None = None
    done: Any = None
    rows: Rows | None = None


class Carried(NamedTuple):
    """What a loop carries: memory before and after an iteration, and whether the values of all of them are read later.

    The references are in terms of the loop's index. If not all values are read, the memory before iteration ``count``
    holds the last one after the loop.
    """

    before: Ref
    after: Ref
    keep: bool


@dataclass(frozen=True)
class Branch:
    """Run ``then`` if the bool at ``condition`` is true, else ``otherwise``."""

    condition: Ref
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


UNBOUNDED = 1 << 62
"""The bound of a symbol on which no size depends that is allocated beforehand."""


@dataclass(frozen=True)
class Bind:
    """Set ``symbol`` to the value of the integer at ``source``, of dtype ``dtype``.

    With a ``bound``, memory that depends on the symbol was allocated for that value; without one, a segment of the
    program ends here, and memory of the next segment is allocated once the value is known.
    """

    symbol: Any
    source: Ref
    dtype: str
    bound: Dim | None = None


@dataclass(frozen=True)
class Check:
    """End the call with message number ``code`` unless ``left == right`` (with ``least``: ``left >= right``)."""

    left: Dim
    right: Dim
    code: int
    least: bool = False


@dataclass(frozen=True)
class Room:
    """Allocate ``elements`` elements for ``buffer``, whose size is known only here, in the middle of a segment."""

    buffer: int
    elements: Dim


Node = Step | Host | Loop | Branch | Bind | Check | Room


@dataclass
class Buffer:
    """An array of a program.

    ``role`` is ``"input"``, ``"shared"``, ``"constant"``, ``"output"``, ``"update"``, ``"status"`` or ``"temp"``;
    ``slot`` is its position among the buffers of that role. ``alias`` is the buffer whose memory it shares, or -1.
    ``first`` and ``last`` are the numbers of the first and last step of a temporary's lifetime. ``room`` is the number
    of elements to allocate, if that differs from the product of ``shape``, and ``segment`` the segment that allocates
    it.
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
    """The input of a back end: buffers, symbols, and a tree of steps.

    ``symbols`` are all symbols of dims and offsets: the first ``given`` of them are known when a call begins (axes of
    arguments), the others are bound during the call or are loop indices. ``updated`` are the slots of the shared
    variables that a call overwrites. ``notes`` stores information that a back end's functions share.
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
        """Every step of the tree, in program order; profiles and lifetimes refer to these positions."""
        return tuple(n for n in walk(self.body) if isinstance(n, (Step, Host)))

    @cached_property
    def segments(self) -> tuple[tuple[Node, ...], ...]:
        """The body split after each ``Bind`` without a bound."""
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


def moved(s: Statement, names: Mapping[str, Expr]) -> Statement:
    """A statement in which names have these values, such as a loop's index that of another position."""
    if isinstance(s, Let):
        return replace(s, value=substituted(s.value, names))
    if isinstance(s, Load):
        return replace(s, index=substituted(s.index, names))
    if isinstance(s, For):
        return replace(s, extent=substituted(s.extent, names), body=tuple(moved(one, names) for one in s.body))
    assert isinstance(s, (Store, Accumulate))
    return replace(s, index=substituted(s.index, names), value=substituted(s.value, names))


def walk(body: Sequence[Node]) -> Iterator[Node]:
    """Iterate over the nodes of a tree in preorder."""
    stack = list(body)[::-1]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, Loop):
            stack.extend(node.body[::-1])
        elif isinstance(node, Branch):
            stack.extend((*node.then, *node.otherwise)[::-1])


def roots(buffers: Sequence[Buffer]) -> dict[int, int]:
    """For every buffer that shares the memory of another: the one that has memory of its own. Chains can be long."""
    found: dict[int, int] = {}
    for number in range(len(buffers)):
        chain = []
        while number not in found and buffers[number].alias >= 0:
            chain.append(number)
            number = buffers[number].alias
        found |= dict.fromkeys(chain, found.get(number, number))
    return found
