"""The record of an op: everything the compiler knows of a primitive, in one place.

A ``Record`` states a primitive's name, its typing rule ``infer``, its gradient ``grad``, its meaning ``numpy``, how it
becomes loops (``lower``), and the ``cases`` from which its tests are generated. An ``Op`` is a record with its
attributes fixed, such as the axes of a sum. Nothing about a primitive stands anywhere else.

How an op becomes part of a program is one of these forms:

``Pointwise``
    an element of the output is an expression of the inputs' elements at the same index;
``Axes``
    an element of the output is the input's element with its index permuted, extended or cut: transposes, broadcasting;
``Indexed``
    an element of the output is an expression that reads inputs at computed indices: slices, gathers, padding, counters;
``Reduction``
    a reduction over the attribute ``axes``, given by an identity and a combining operation;
``View``
    the input's elements in the same flat order under another shape;
``LibraryCall``
    a library call (GEMM, convolution, ...), named in ``symc.loops.calls``;
``Loops``
    statements written out, for what fits none of these: scatters, running sums, concatenation;
``HostCall``
    a function of NumPy arrays that Python runs in mid-program;
``Structured``
    nodes of the program: loops and branches around the graphs that the op holds as bodies.

An op with ``decompose`` instead of ``lower`` is composite: a graph of other ops, put in its place by the compiler after
the rules that know it by name have had their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symc.errors import ShapeError, SourceLocation, blaming, here
from symc.graph.dims import Dim
from symc.graph.gradient_flow import ZERO, Reach
from symc.graph.notation import Text
from symc.graph.types import TensorType
from symc.graph.variables import Apply, Variable
from symc.loops.expr import Expr

__all__ = [
    "RECORDS", "ZERO", "Arg", "Axes", "Case", "HostCall", "Indexed", "LibraryCall", "Loops", "Op", "Pointwise",
    "Record", "Reduction", "Structured", "View", "add_cases", "record",
]  # fmt: skip

Read = Callable[[int, Sequence[Expr]], Expr]
"""``read(k, index)``: the element of input ``k`` at a tuple of indices."""


@dataclass(frozen=True)
class Pointwise:
    """``body(*elements, **attrs)`` gives the output's element. ``dtype`` conversions are explicit in the body."""

    body: Callable[..., Expr]


@dataclass(frozen=True)
class Axes:
    """``source(op, node)`` gives, for each axis of the input, the output axis it follows, or None to read index 0."""

    source: Callable[[Op, Apply], tuple[int | None, ...]]


@dataclass(frozen=True)
class Indexed:
    """``element(node, index, read, size)`` gives the output's element at ``index``.

    ``size(dim)`` turns a dim into an index expression. ``recompute`` says that recomputing beats storing: the value
    depends on the index and on scalars alone (counters, constants, random bits). ``flat`` says that ``index`` is
    wanted as one flat position instead of one index an axis.
    """

    element: Callable[[Apply, tuple[Expr, ...], Read, Callable[[Any], Expr]], Expr]
    recompute: bool = False
    flat: bool = False


@dataclass(frozen=True)
class Reduction:
    """Reduce over ``op["axes"]`` with ``combine`` (add, mul, max, min, and, or), starting from ``identity(dtype)``."""

    combine: str
    identity: Callable[[str], Any]


@dataclass(frozen=True)
class View:
    """The input's elements in the same flat order under the output's shape, from element ``offset(node)`` on."""

    offset: Callable[[Apply], Any] | None = None


@dataclass(frozen=True)
class HostCall:
    """Python computes it in mid-program: ``call(op, *arrays)``, by default the record's ``numpy``.

    Whatever it raises ends the call, told which op it was, on which operands, and where that was built.
    """

    call: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Structured:
    """``build(node, scope)`` adds nodes to the program: loops and branches around the op's bodies.

    See ``symc.compiler.lowering.program.Scope``.
    """

    build: Callable[[Apply, Any], None]


@dataclass(frozen=True)
class LibraryCall:
    """``name`` and ``params(node)``: whole-number parameters as dims. Buffers are outputs, then inputs.

    ``accumulates``: input whose memory the output may take over, when the routine can add into it.
    """

    name: str
    params: Callable[[Apply], Sequence[Any]]


@dataclass(frozen=True)
class Loops:
    """``build(node, context)`` returns the statements; see ``symc.compiler.lowering.LoopContext``.

    ``in_place`` is the input whose memory the output may take over, or None.
    """

    build: Callable[[Apply, Any], Any]
    in_place: int | None = None


@dataclass(frozen=True)
class Arg:
    """An argument of a test case: a shape and how to fill it.

    ``dtype="float"`` stands for each float dtype in turn. Values are drawn from [low, high) unless ``values`` gives
    them.
    """

    shape: tuple[int, ...]
    dtype: str = "float"
    low: float = -2.0
    high: float = 2.0
    values: Any = None
    distinct: bool = False


@dataclass(frozen=True)
class Case:
    """One generated test: ``build(*variables)`` is compiled on every back end and compared with the oracle.

    Attributes
    ----------
    build : callable
        From variables to the expression under test.
    args : tuple of Arg
    expect : callable
        The meaning of ``build`` on arrays, from NumPy, SciPy or a formula; never from symc's functions or a record's
        ``numpy``, which would follow ``build`` into its mistakes.
    grad : bool
        Also check first and second derivatives against central differences.
    static : bool
        Build once with known dims too, besides symbolic ones.
    """

    build: Callable[..., Any]
    args: tuple[Arg, ...]
    expect: Callable[..., Any]
    grad: bool = True
    static: bool = True
    label: str = ""
    rtol: float | None = None


Lowering = Pointwise | Axes | Indexed | Reduction | View | LibraryCall | Loops | HostCall | Structured

RECORDS: dict[str, Record] = {}


@dataclass(frozen=True, eq=False)
class Record:
    """See the module's description.

    Attributes
    ----------
    name : str
    infer : callable
        ``infer(op, inputs)`` gives the output's type, or a list of types; raises ``ShapeError`` or ``DTypeError``.
    numpy : callable
        ``numpy(op, *arrays)`` gives the output, or a tuple of outputs.
    grad : callable or None
        ``grad(op, inputs, outputs, output_gradients)`` gives one answer per input: a variable, ``Selected``, ``ZERO``,
        ``Undefined``, or None for an input whose values the outputs do not depend on. A record without ``grad`` has no
        derivative, and asking for one is an error.
    reach : Reach or None
        Which elements of the inputs matter for which elements of the output; elementwise ops need none. Without it,
        all elements of the inputs are taken to matter as soon as one of the output does.
    linear : str
        ``"jointly"``: linear in all inputs together, so that a gradient of zero stays zero whatever they hold;
        ``"separately"``: linear in each input while the others are fixed; ``"first"``: so in the first; empty: in none.
    bounded_slope : bool
        The derivatives are finite for finite inputs, unless they overflow.
    lower : Lowering or None
    decompose : callable or None
        ``decompose(op, inputs)`` gives the outputs as a graph of other ops.
    specialise : callable or None
        ``specialise(op, inputs, types)`` gives a variable, or one per output, that needs no inputs read for their
        shape alone.
    cases : callable
        Gives the list of ``Case``; ``add_cases`` adds more.
    commutative : bool
        The order of the inputs makes no difference.
    upper : callable or None
        ``upper(op, inputs)`` is a dim that the value of the output, a whole number, cannot exceed.
    fallible : bool
        A call may end with an error here, so it runs before anything that the caller can see is written.
    lazy : bool
        The first input decides which half of the others is wanted.
    effect : {"none", "random", "ordered"}
        Ordered ops are never merged and keep their order.
    contiguous : callable or None
        For a part of a tensor: ``contiguous(node)`` gives the inputs that are the starts on the leading axes, if the
        part is one piece of memory, else None.
    checks_late : bool
        Where only the present values of shared variables contradict each other, the call says so and not the compiler:
        ``set_value`` may make them fit.
    distinct : callable or None
        For a vector of whole numbers: ``distinct(node)`` says whether all of them differ and none is negative, or gives
        the input of which that must be true.
    drop_unused : callable or None
        ``drop_unused(op, used)`` gives an op without the outputs that nobody reads, and which old outputs it has.
    bodies : tuple of str
        The attributes that hold a ``Body``.
    inline : str
        The attribute that holds the body of which an application is nothing but a name: compiling begins with the body
        in its place. Empty: none.
    body_types : callable or None
        ``body_types(op, inputs, attribute)`` gives the types of that body's inputs.
    declared_dtypes : bool
        Operands and results have the dtypes that the user declared, whatever the compiler computes in.
    layout_only : bool
        The output holds the elements of input 0, rearranged or repeated; nothing can fail, other inputs give shapes.
    moves : callable or None
        ``moves(op)`` gives, as a slice, the inputs whose elements the output consists of, unchanged: ``f`` of the
        output is the op of ``f`` of these inputs, for every elementwise ``f``. Other inputs say where elements go.
    nonnegative : str
        Of floats: ``"always"`` at least 0 or NaN; if ``"all"`` or ``"any"`` of the moved or combined inputs are.
    bounded : bool
        Always in [0, 2]: its logarithm may be lost by underflow, but never by overflow.
    inserted : bool
        The functions that users call apply it to operands on their own account: a message names what it was applied to.
    enlarges : callable or None
        ``enlarges(op)`` says whether all it does is to make input 0 as large as another tensor. Formulas and pictures
        leave that out, as NumPy does.
    foldable : bool
        Worked out at once where the inputs are known, while the graph is built or compiled. Elementwise ops and
        reductions are worked out while compiling in any case.
    dim : callable or None
        Of an integer scalar: ``dim(node, dims)`` gives the dim that its value is, from those of its inputs.
    dim_reads : int or None
        On how many of the inputs' values ``dim`` depends: none of them where it reads types; None for all.
    carries_updates : bool
        A function that depends on it makes the updates of the shared variables in the attribute ``targets`` by the
        further inputs.
    formula : callable or None
        ``formula(op, args)`` writes an application in infix form; see ``symc.graph.notation``. Without it, it is
        written as a call.
    log : callable or None
        ``log(op, inputs)`` gives the logarithm of the output where it has a form that neither overflows nor
        underflows.
    """

    name: str
    infer: Callable[[Op, Sequence[Variable]], TensorType | list[TensorType]]
    numpy: Callable[..., Any]
    grad: Callable[..., Sequence[Variable | None]] | None = None
    lower: Lowering | None = None
    decompose: Callable[[Op, Sequence[Variable]], Sequence[Variable]] | None = None
    specialise: Callable[[Op, Sequence[Variable], Sequence[TensorType]], Variable | Sequence[Variable]] | None = None
    cases: Callable[[], list[Case]] = field(default=list)
    commutative: bool = False
    upper: Callable[[Op, Sequence[Variable]], Any] | None = None
    fallible: bool = False
    lazy: bool = False
    effect: str = "none"
    contiguous: Callable[[Apply], Sequence[int] | None] | None = None
    checks_late: bool = False
    distinct: Callable[[Apply], bool | Variable] | None = None
    drop_unused: Callable[[Op, Sequence[bool]], tuple[Op, list[int]]] | None = None
    bodies: tuple[str, ...] = ()
    inline: str = ""
    body_types: Callable[[Op, Sequence[Variable], str], Sequence[TensorType]] | None = None
    reach: Reach | None = None
    linear: str = ""
    bounded_slope: bool = False
    declared_dtypes: bool = False
    layout_only: bool = False
    moves: Callable[[Op], slice | None] | None = None
    nonnegative: str = ""
    bounded: bool = False
    log: Callable[[Op, Sequence[Variable]], Variable] | None = None
    inserted: bool = False
    enlarges: Callable[[Op], bool] | None = None
    foldable: bool = False
    dim: Callable[[Apply, Sequence[Dim]], Dim] | None = None
    dim_reads: int | None = None
    carries_updates: bool = False
    formula: Callable[[Op, Sequence[Text]], Text] | None = None


def add_cases(record: Record, cases: Callable[[], list[Case]]) -> None:
    """Give a record cases from a module of its own, written with the functions that are built on the record."""
    earlier = record.cases
    object.__setattr__(record, "cases", lambda: [*earlier(), *cases()])


def record(name: str, **facts: Any) -> Record:
    """Make a record and enter it in ``RECORDS``, where the generated tests find it."""
    if name in RECORDS:
        raise ValueError(f"an op named {name!r} exists already")
    made = RECORDS[name] = Record(name, **facts)
    return made


class Op:
    """A record with its attributes fixed; two with equal attributes are equal.

    ``op["axes"]`` reads an attribute. Calling an op on variables applies it.
    """

    __slots__ = ("_hash", "attrs", "record")

    def __init__(self, record: Record, **attrs: Any) -> None:
        self.record = record
        self.attrs = attrs
        self._hash = hash((record.name, tuple(sorted(attrs.items(), key=lambda item: item[0]))))

    @property
    def name(self) -> str:
        """The name of the record."""
        return self.record.name

    def __getitem__(self, key: str) -> Any:
        return self.attrs[key]

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Op) and self.record is other.record and self.attrs == other.attrs)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        inner = ", ".join(f"{k}={v!r}" for k, v in self.attrs.items())
        return f"{self.name}{{{inner}}}" if inner else self.name

    def apply(self, inputs: Sequence[Variable], location: SourceLocation | None = None) -> Apply:
        """A new application, its output types inferred; raises what ``infer`` raises."""
        location = location or here()
        with blaming(location):
            try:
                types = self.record.infer(self, inputs)
            except ShapeError as problem:
                problem.op = self
                raise
        return Apply(self, inputs, types if isinstance(types, list) else [types], location)

    def __call__(self, *inputs: Variable) -> Any:
        outputs = self.apply(inputs).outputs
        return outputs[0] if len(outputs) == 1 else list(outputs)

    def all(self, *inputs: Variable) -> tuple[Variable, ...]:
        """All outputs of applying the op, also where there is one only."""
        return self.apply(inputs).outputs

    def evaluate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The record's NumPy meaning on arrays, as a tuple."""
        found = self.record.numpy(self, *arrays)
        return found if isinstance(found, tuple) else (found,)
