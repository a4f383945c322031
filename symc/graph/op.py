"""The record of an op: everything the compiler knows of a primitive, in one place.

A ``Record`` states a primitive's name, its typing rule ``infer``, its gradient ``grad``, its NumPy implementation
``numpy``, how it is lowered to loops (``lower``), and the ``cases`` from which its tests are generated. An ``Op`` is a
record with fixed attributes, such as the axes of a sum. Facts about a primitive are stated nowhere else.

How an op becomes part of a program is one of the forms of ``symc.graph.forms``.
An op with ``decompose`` instead of ``lower`` is composite: the compiler replaces it by a graph of other ops after
applying the rules that match it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from symc.config import config
from symc.errors import DTypeError, ShapeError, SourceLocation, blame, here, located
from symc.graph import test_values
from symc.graph.dims import Dim
from symc.graph.dtypes import BRAIN, COMPLEX
from symc.graph.forms import (
    Axes,
    HostCall,
    Indexed,
    LibraryCall,
    Loops,
    Lowering,
    Pointwise,
    Reduction,
    Structured,
    View,
)
from symc.graph.gradient_flow import ZERO, Reach
from symc.graph.notation import Text
from symc.graph.repetition import Repeats
from symc.graph.types import TensorType
from symc.graph.variables import Apply, Variable

__all__ = [
    "RECORDS", "ZERO", "Arg", "Axes", "Case", "HostCall", "Indexed", "LibraryCall", "Loops", "Op", "Pointwise",
    "Record", "Reduction", "Scaling", "Structured", "View", "act_on_complex_with", "add_cases", "record",
]  # fmt: skip

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Arg:
    """An argument of a test case: a shape and how to fill it.

    ``dtype="float"`` means each float dtype in turn. Values are drawn from [low, high) unless ``values`` is given.
    """

    shape: tuple[int, ...]
    dtype: str = "float"
    low: float = -2.0
    high: float = 2.0
    values: Any = None
    distinct: bool = False


@dataclass(frozen=True)
class Case:
    """A generated test: ``build(*variables)`` is compiled on every back end and compared with an oracle.

    Attributes
    ----------
    build : callable
        Maps variables to the expression under test.
    args : tuple of Arg
    expect : callable
        The expected result of ``build`` on arrays, from NumPy, SciPy or a formula; never from symc's functions or a
        record's ``numpy``, which would repeat the mistakes of ``build``.
    grad : bool
        Also check first and second derivatives against central differences.
    static : bool
        Also build with known dims, in addition to symbolic ones.
    """

    build: Callable[..., Any]
    args: tuple[Arg, ...]
    expect: Callable[..., Any]
    grad: bool = True
    static: bool = True
    label: str = ""
    rtol: float | None = None


@dataclass(frozen=True)
class Scaling:
    """How an op that is linear in an operand takes factors along an axis of its output into that operand.

    Attributes
    ----------
    axes : tuple of (int, int)
        The positions of such operands, each with the axis of the output.
    scaled : callable
        ``scaled(op, position, operand, factors)`` returns the operand with which the output is multiplied by the vector
        ``factors`` along that axis. ``factors`` is as long as the axis, or has length 1.
    applies : callable or None
        ``applies(op)`` returns whether that is possible with these attributes.
    """

    axes: tuple[tuple[int, int], ...]
    scaled: Callable[[Op, int, Variable, Variable], Variable]
    applies: Callable[[Op], bool] | None = None


RECORDS: dict[str, Record] = {}


@dataclass(frozen=True, eq=False)
class Record:
    """Everything the compiler knows of a primitive; see the module's description.

    Attributes
    ----------
    name : str
    infer : callable
        ``infer(op, inputs)`` returns the output's type, or a list of types; raises ``ShapeError`` or ``DTypeError``.
    numpy : callable
        ``numpy(op, *arrays)`` returns the output, or a tuple of outputs.
    grad : callable or None
        ``grad(op, inputs, outputs, output_gradients)`` returns one result per input: a variable, ``Selected``,
        ``ZERO``, ``Undefined``, or None for an input whose values the outputs do not depend on. A record without
        ``grad`` has no derivative, and differentiating it is an error.
    connections : callable or None
        ``connections(op, inputs)`` returns, per input, whether each output depends on its values. Without it, and for
        inputs for which ``grad`` returns None, that follows from ``grad``.
    push : callable or None
        ``push(op, inputs, outputs, points)`` returns the derivative of each output in the direction ``points`` (one per
        input, None for those that do not vary), or None if the op has no rule of its own. Without it, directional
        derivatives follow from ``grad``.
    reach : Reach or None
        Which elements of the inputs matter for which elements of the output; elementwise ops need none. Without it, all
        elements of the inputs are assumed to matter as soon as one element of the output does.
    linear : str
        ``"jointly"``: linear in all inputs together, so that a gradient of zero stays zero for any values;
        ``"separately"``: linear in each input while the others are fixed; ``"first"``: linear in the first; empty: in
        none.
    scaling : Scaling or None
        How factors along an axis of the output are taken into an operand.
    partwise : bool
        Whether the op maps complex numbers part by part: it is linear in its first input, and others define shapes and
        positions. Ops that only move elements are.
    bounded_slope : bool
        Whether the derivatives are finite for finite inputs, unless they overflow.
    lower : Lowering or None
    decompose : callable or None
        ``decompose(op, inputs)`` returns the outputs as a graph of other ops.
    specialise : callable or None
        ``specialise(op, inputs, types)`` returns an equivalent variable, or one per output, that does not read inputs
        for their shape alone.
    cases : callable
        Gives the list of ``Case``; ``add_cases`` adds more.
    commutative : bool
        Whether the order of the inputs is irrelevant.
    upper : callable or None
        ``upper(op, inputs)`` returns a dim that the value of the output, an integer, cannot exceed.
    fallible : bool
        Whether the op may raise an error at call time; it then runs before anything visible to the caller is written.
    failure : str
        The name of a cause of failure that depends on input 0 alone: ops with the same name fail for the same inputs,
        so that one may replace another.
    lazy : bool
        Whether the first input decides which half of the others is used.
    chooses : bool
        The same of an op that computes both halves, such as lengths: what the other half requires need not hold.
    effect : {"none", "random", "ordered"}
        Ordered ops are never merged and keep their order.
    contiguous : callable or None
        For a slice of a tensor: ``contiguous(node)`` returns the inputs that are the starts on the leading axes, if the
        slice is contiguous in memory, else None.
    checks_late : bool
        Whether a contradiction between the current values of shared variables is reported at call time instead of at
        compile time: ``set_value`` may resolve it.
    distinct : callable or None
        For a vector of integers: ``distinct(node)`` returns whether all of them differ and none is negative, or the
        input for which that must hold.
    drop_unused : callable or None
        ``drop_unused(op, used)`` returns an op without the unused outputs, and which of the old outputs it has.
    bodies : tuple of str
        The attributes that hold a ``Body``.
    inline : str
        The attribute that holds the body of which an application is nothing but a name: compiling begins with the body
        in its place. Empty: none.
    body_types : callable or None
        ``body_types(op, inputs, attribute)`` returns the types of that body's inputs.
    repeats : Repeats or None
        How an op that runs a body several times is read and made by the passes that rewrite repetitions.
    batch : callable or None
        ``batch(op, inputs, stacked, count)`` returns the outputs of ``count`` applications, stacked along a new first
        axis, or None if that would cost more. Inputs with ``stacked`` have one entry per application along their first
        axis, the others are the same for all. Pointwise ops, reductions and ops that only arrange elements need none.
    declared_dtypes : bool
        Whether operands and results have the dtypes that the user declared, regardless of the dtype of computation.
    layout_only : bool
        Whether the output contains only the elements of input 0, rearranged or repeated; the op cannot fail, and other
        inputs only define shapes.
    moves : callable or None
        ``moves(op)`` returns, as a slice, the inputs whose unchanged elements the output consists of: ``f`` of the
        output is the op of ``f`` of these inputs, for every elementwise ``f``. Other inputs define positions.
    nonnegative : str
        When a float output is non-negative or NaN: ``"always"``, or if ``"all"`` or ``"any"`` of the moved or combined
        inputs are.
    bounded : bool
        Whether the output is non-negative and never overflows: its logarithm may only be lost by underflow.
    inserted : bool
        Whether public functions insert the op between an operand and another op: a message names what it was applied
        to.
    enlarges : callable or None
        ``enlarges(op)`` returns whether the op only broadcasts input 0 to the shape of another tensor. Formulas and
        pictures omit such ops, as NumPy does.
    foldable : bool
        Whether the op is evaluated immediately if its inputs are known when the graph is built or compiled. Elementwise
        ops and reductions are always folded during compilation.
    language_only : bool
        Whether functions replace the op before they are compiled.
    dim : callable or None
        For an integer scalar: ``dim(node, dims)`` returns its value as a dim, given those of its inputs.
    dim_reads : int or None
        The number of inputs on whose values ``dim`` depends: 0 if it only reads types; None for all.
    carries_updates : bool
        Whether a function that depends on the op updates the shared variables in the attribute ``targets`` to the other
        inputs.
    formula : callable or None
        ``formula(op, args)`` writes an application in infix notation; see ``symc.graph.notation``. Without it, the
        application is written as a call.
    exponential : bool
        Whether the output overflows for moderate inputs.
    levels_off : callable or None
        ``levels_off(inputs)`` returns a pair of numbers per input. At and below the first, and at and above the second,
        the derivative by it vanishes faster than the input grows, even if that is an exponential; None: nowhere.
    log : callable or None
        ``log(op, inputs)`` returns the logarithm of the output, if it has a form that neither overflows nor underflows.
    unspecified : bool
        Whether elements of the outputs may differ between back ends: nothing reads them, or it works with either.
    title : callable or None
        ``title(op)`` returns the name in messages and listings of an op whose record serves many of them, such as the
        ops that users write.
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
    failure: str = ""
    lazy: bool = False
    chooses: bool = False
    effect: str = "none"
    contiguous: Callable[[Apply], Sequence[int] | None] | None = None
    checks_late: bool = False
    distinct: Callable[[Apply], bool | Variable] | None = None
    drop_unused: Callable[[Op, Sequence[bool]], tuple[Op, list[int]]] | None = None
    bodies: tuple[str, ...] = ()
    inline: str = ""
    body_types: Callable[[Op, Sequence[Variable], str], Sequence[TensorType]] | None = None
    repeats: Repeats | None = None
    batch: Callable[[Op, Sequence[Variable], Sequence[bool], Dim], Variable | None] | None = None
    reach: Reach | None = None
    linear: str = ""
    partwise: bool = False
    scaling: Scaling | None = None
    bounded_slope: bool = False
    declared_dtypes: bool = False
    layout_only: bool = False
    moves: Callable[[Op], slice | None] | None = None
    nonnegative: str = ""
    bounded: bool = False
    exponential: bool = False
    levels_off: Callable[[Sequence[Variable]], Sequence[tuple[float | None, float | None]]] | None = None
    log: Callable[[Op, Sequence[Variable]], Variable] | None = None
    inserted: bool = False
    enlarges: Callable[[Op], bool] | None = None
    foldable: bool = False
    language_only: bool = False
    dim: Callable[[Apply, Sequence[Dim]], Dim] | None = None
    dim_reads: int | None = None
    carries_updates: bool = False
    formula: Callable[[Op, Sequence[Text]], Text] | None = None
    title: Callable[[Op], str] | None = None
    unspecified: bool = False
    push: Callable[..., Any] | None = None
    connections: Callable[[Op, Sequence[Variable]], Sequence[Sequence[bool]]] | None = None


def add_cases(record: Record, cases: Callable[[], list[Case]]) -> None:
    """Add cases to a record from a separate module, which uses the functions built on the record."""
    earlier = record.cases
    object.__setattr__(record, "cases", lambda: [*earlier(), *cases()])


def record(name: str, **facts: Any) -> Record:
    """Create a record and register it in ``RECORDS``, where the generated tests find it."""
    if name in RECORDS:
        raise ValueError(f"an op named {name!r} exists already")
    made = RECORDS[name] = Record(name, **facts)
    return made


_HELD = (*COMPLEX, BRAIN)
"""The dtypes of the language alone."""


def _refuse_complex(op: Op, inputs: Sequence[Variable]) -> tuple[Variable, ...]:
    raise DTypeError(located(f"{op.name}: not defined for complex numbers", inputs))


_on_complex: Callable[[Op, Sequence[Variable]], tuple[Variable, ...]] = _refuse_complex


def act_on_complex_with(function: Callable[[Op, Sequence[Variable]], tuple[Variable, ...]]) -> None:
    """Tell ops what applies them to complex numbers: a function that is itself built on ops."""
    global _on_complex
    _on_complex = function


class Op:
    """A record with fixed attributes; two ops with equal attributes are equal.

    ``op["axes"]`` reads an attribute. Calling an op on variables applies it.
    """

    __slots__ = ("_hash", "attrs", "record")

    def __init__(self, record: Record, **attrs: Any) -> None:
        self.record = record
        self.attrs = attrs
        self._hash = hash((record.name, tuple(sorted(attrs.items(), key=lambda item: item[0]))))

    @property
    def name(self) -> str:
        """The name in messages: that of the record, unless it has a ``title``."""
        title = self.record.title
        return self.record.name if title is None else title(self)

    def __getitem__(self, key: str) -> Any:
        return self.attrs[key]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Op):
            return NotImplemented
        return self is other or (self.record is other.record and self.attrs == other.attrs)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        inner = ", ".join(f"{k}={v!r}" for k, v in self.attrs.items())
        return f"{self.name}{{{inner}}}" if inner else self.name

    def types(self, inputs: Sequence[Variable], location: SourceLocation | None) -> list[TensorType]:
        """Infer the types of the outputs; raises what ``infer`` raises."""
        try:
            types = blame(location, self.record.infer, self, inputs)
        except ShapeError as problem:
            problem.op = self
            raise
        return types if isinstance(types, list) else [types]

    def apply(self, inputs: Sequence[Variable], location: SourceLocation | None = None) -> Apply:
        """Create an application with inferred output types; raises what ``infer`` raises."""
        location = location or here()
        made = Apply(self, inputs, self.types(inputs, location), location)
        if config.compute_test_value != "off":
            test_values.compute(made, self.evaluate, isinstance(self.record.lower, Pointwise))
        return made

    def __call__(self, *inputs: Variable) -> Any:
        outputs = self.all(*inputs)
        return outputs[0] if len(outputs) == 1 else list(outputs)

    def all(self, *inputs: Variable) -> tuple[Variable, ...]:
        """Apply the op and return all outputs as a tuple, even if there is only one.

        Of complex numbers, the op is applied to their parts; see ``symc.tensor.complex_numbers.rules``.
        """
        for v in inputs:
            if v.type.dtype in _HELD:
                return _on_complex(self, inputs)
        return self.apply(inputs).outputs

    def evaluate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Evaluate the record's NumPy implementation on arrays; returns a tuple."""
        found = self.record.numpy(self, *arrays)
        return found if isinstance(found, tuple) else (found,)
