"""Forms in which an op becomes part of a program: the values of ``lower`` in its record.

``Pointwise``
    an element of the output is an expression of the inputs' elements at the same index;
``Axes``
    an element of the output is the input's element with its index permuted, extended or shortened: transposes,
    broadcasting;
``Indexed``
    an element of the output is an expression that reads inputs at computed indices: slices, gathers, padding, counters;
``Reduction``
    a reduction over the attribute ``axes``, defined by an identity and a combining operation;
``View``
    the input's elements in the same flat order under another shape;
``LibraryCall``
    a library call (GEMM, convolution, ...), named in ``symc.loops.calls``;
``Loops``
    explicit statements, for ops that fit none of these: scatters, running sums, concatenation;
``HostCall``
    a function of NumPy arrays, called in mid-program;
``Structured``
    nodes of the program: loops and branches around the graphs that the op holds as bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symc.graph.variables import Apply, Variable

__all__ = [
    "Axes", "HostCall", "Indexed", "LibraryCall", "Loops", "Lowering", "Pointwise", "Read", "Reduction", "Structured",
    "View",
]  # fmt: skip

if TYPE_CHECKING:
    from symc.loops.expr import Expr

Read = Callable[[int, Sequence["Expr"]], "Expr"]
"""``read(k, index)``: the element of input ``k`` at a tuple of indices."""


@dataclass(frozen=True)
class Pointwise:
    """``body(*elements, **attrs)`` returns the output's element. ``dtype`` conversions are explicit in the body."""

    body: Callable[..., Expr]


@dataclass(frozen=True)
class Axes:
    """``source(op, node)`` returns, per axis of the input, the corresponding output axis, or None to read index 0."""

    source: Callable[[Any, Apply], tuple[int | None, ...]]


@dataclass(frozen=True)
class Indexed:
    """``element(node, index, read, size)`` returns the output's element at ``index``.

    ``size(dim)`` converts a dim to an index expression. ``recompute`` states that recomputing is cheaper than storing:
    the value depends only on the index and on scalars (counters, constants, random bits). ``flat`` states that
    ``index`` is one flat position instead of one index per axis. ``along(node)`` returns, for each input, the output
    axes that its axes are, if it is read at the element's own position like an operand of an elementwise op; None for
    inputs at computed indices. The index arrays of a gather are read so: they need no memory, and ``read`` ignores
    the index given for them.

    ``tail(node)`` returns an output axis, or None: from it on, input 0 has the same axes at its end, and positions on
    all but the first of these are those of the element. They may be walked as one axis, whose steps are so many
    elements of the first one's positions as ``element`` is told by a fifth argument.
    """

    element: Callable[..., Expr]
    recompute: bool = False
    flat: bool = False
    along: Callable[[Apply], Sequence[tuple[int, ...] | None]] | None = None
    tail: Callable[[Apply], int | None] | None = None


@dataclass(frozen=True)
class Reduction:
    """Reduce over ``op["axes"]`` with ``combine`` (add, mul, max, min, and, or), starting from ``identity(dtype)``."""

    combine: str
    identity: Callable[[str], Any]


@dataclass(frozen=True)
class View:
    """The input's elements in the same flat order with the output's shape, starting at element ``offset(node)``."""

    offset: Callable[[Apply], Any] | None = None


@dataclass(frozen=True)
class HostCall:
    """A call of Python in mid-program: ``call(op, *arrays)``, by default the record's ``numpy``.

    Any exception ends the call; the message names the op, its operands and their source location.

    ``native(node)`` returns a ``symc.loops.ir.Native``, a C function that back ends that compile C call instead, or
    None; ``symc.loops.routines.RoutineCall`` makes it for functions of the run-time library. ``told(op, inputs)``
    returns the name and the operands that messages speak of.
    """

    call: Callable[..., Any] | None = None
    native: Callable[[Apply], Any] | None = None
    told: Callable[[Any, Sequence[Variable]], tuple[str, Sequence[Variable]]] | None = None


@dataclass(frozen=True)
class Structured:
    """``build(node, scope)`` adds nodes to the program: loops and branches around the op's bodies.

    See ``symc.compiler.lowering.scope.Scope``.
    """

    build: Callable[[Apply, Any], None]


@dataclass(frozen=True)
class LibraryCall:
    """The library call ``name`` with the dims ``params(node)``. Buffers are outputs, then inputs.

    ``accumulates`` is the input whose memory the output may reuse, if the library call can add into it.
    """

    name: str
    params: Callable[[Apply], Sequence[Any]]


@dataclass(frozen=True)
class Loops:
    """``build(node, context)`` returns the statements; see ``symc.compiler.lowering.LoopContext``.

    ``in_place`` is the input whose memory the output may reuse, or None. ``side_by_side(node)`` returns the axis along
    which the output consists of all inputs, one after another; ``context.placed`` are the numbers of those that are in
    their places in the output already.
    """

    build: Callable[[Apply, Any], Any]
    in_place: int | None = None
    side_by_side: Callable[[Apply], int] | None = None


Lowering = Pointwise | Axes | Indexed | Reduction | View | LibraryCall | Loops | HostCall | Structured
