"""The loop IR: nine statements, kernels made of them, and programs made of kernels.

A kernel names its buffers ``b0, b1, ...`` and its dims ``n0, n1, ...``; a ``Step`` binds them to the buffers and dims
of the program. So two steps that do the same to different arrays share one kernel, and one piece of compiled code.

Loops of kind ``"parallel"`` have independent iterations and may run in any order or at once, as may parallel loops
right inside them; ``"simd"`` loops are innermost and may run as vectors: their iterations are independent except for
``Accumulate``, whose order is free; in ``"unordered"`` loops, too, nothing but the order in which they accumulate is
free, but iterations may meet at positions that were read from memory; ``"serial"`` loops run in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from symc.graph.dims import Dim
from symc.loops.expr import Expr

__all__ = [
    "Accumulate", "Alloc", "Barrier", "Buffer", "Call", "For", "If", "Kernel", "Let", "Load", "Program", "Statement",
    "Step", "Store",
]  # fmt: skip


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
class Step:
    """One run of a kernel: which program buffers and dims it gets."""

    kernel: Kernel
    buffers: tuple[int, ...]
    dims: tuple[Dim, ...]
    locations: tuple[Any, ...] = ()


@dataclass
class Buffer:
    """An array of a program.

    ``role`` is ``"input"``, ``"shared"``, ``"constant"``, ``"output"`` or ``"temp"``; ``slot`` is its position among
    the buffers of that role. ``alias`` is the buffer whose memory it shares, or -1.
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


@dataclass
class Program:
    """What a back end gets: buffers, the symbols a call binds, and the steps in order.

    ``notes`` is where a back end's functions leave word for one another.
    """

    name: str
    buffers: list[Buffer]
    symbols: tuple[Any, ...]
    steps: list[Step]
    messages: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
