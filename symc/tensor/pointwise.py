"""Construction of elementwise ops.

``elementwise(name, body, numpy, grad=...)`` creates the record and the public function. ``body`` computes one element
as a loop-IR expression; ``grad(g, y, *xs)`` returns the gradients, given the output gradient ``g``, the output ``y``
and the inputs, all of the same shape. The public function inserts broadcasting and dtype conversion, so primitives need
neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from inspect import signature
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import DTypeError, located
from symc.graph import Constant, Variable
from symc.graph.dtypes import floating, is_complex, is_float, is_integer
from symc.graph.guards import require_equal
from symc.graph.op import ZERO, Arg, Case, Op, Pointwise, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.broadcasting import broadcast_together
from symc.tensor.conversion import cast

Grad = Callable[..., Sequence[Any]]
Bounds = tuple[float | None, float | None]


_ALIASES = {"low": ("min", "a_min"), "high": ("max", "a_max")}


class Elementwise:
    """A public elementwise function; calling it on variables, arrays or numbers builds an application.

    ``across_signs`` computes a comparison of integers that no integer dtype can hold together: uint64 and signed ones.
    ``operands`` are the names of its operands; with ``several`` it accepts more, combined from left to right. ``name``
    is that of the op, and programs may assign another one.
    """

    def __init__(self, op: Op, compute: str, mixed: bool, operands: Sequence[str], several: bool) -> None:
        self.op = op
        self.compute = compute
        self.mixed = mixed
        self.operands = tuple(operands)
        self.several = several
        self.across_signs: Callable[[Variable, Variable], Variable] | None = None
        self.name = self.__name__ = op.name
        self.__doc__ = op.record.numpy.__doc__

    @property
    def record(self) -> Record:
        """The record of the op."""
        return self.op.record

    def __eq__(self, other: object) -> bool:
        """Whether ``other`` is this function or its op, so that ``x.owner.op == T.add`` is true for sums."""
        return self is other or self.op == (other.op if isinstance(other, Elementwise) else other)

    def __hash__(self) -> int:
        return hash(self.op)

    def __call__(self, *args: Any, dtype: str | None = None, **named: Any) -> Any:
        if named:
            args = self._in_order(args, named)
        if len(args) != len(self.operands):
            return self._of_another_number(args, dtype)
        if dtype is None and self.compute not in INTEGRAL and not self.mixed and _of_one_float_type(args):
            return self.op(*args)  # the common case: nothing to convert
        variables = [as_tensor(a) for a in args]
        if self.across_signs is not None and _of_no_common_integer(variables):
            return self.across_signs(*variables)
        if self.mixed:  # switch: the condition keeps its dtype
            variables = [cast(variables[0], "bool"), *_converted(self.op.name, variables[1:], self.compute)]
        else:
            variables = _converted(self.op.name, variables, self.compute)
        if len(variables) > 1:
            variables = broadcast_together(self.op.name, variables)
        out = self.op(*variables)
        return out if dtype is None else cast(out, dtype)

    def _in_order(self, args: Sequence[Any], named: dict[str, Any]) -> tuple[Any, ...]:
        """Operands of which some are given by name: their own, or one of Theano's or NumPy's."""
        place = {own: k for k, own in enumerate(self.operands)}
        for k, own in enumerate(self.operands):
            aliases = (("cond", "condition"), ("ift",), ("iff",))[k] if self.mixed else _ALIASES.get(own, ())
            for alias in (*aliases, *("ab"[k] if k < 2 and not self.mixed else "")):
                place.setdefault(alias, k)
        found = dict(enumerate(args))
        for name, value in named.items():
            k = place.get(name, -1)
            if k < 0 or k in found:
                why = "is given twice" if k >= 0 else f"is none of its operands ({', '.join(self.operands)})"
                raise TypeError(located(f"{self.op.name}: the operand {name!r} {why}"))
            found[k] = value
        return tuple(found[k] for k in sorted(found))

    def _of_another_number(self, args: Sequence[Any], dtype: str | None) -> Variable:
        if not self.several or len(args) < 2:
            takes = f"{len(self.operands)} operands ({', '.join(self.operands)})"
            more = " or more" if self.several else ""
            text = f"{self.op.name}: takes {takes}{more}, got {len(args)}"
            raise TypeError(located(text, [a for a in args if isinstance(a, Variable)]))
        out = reduce(self, args)
        return out if dtype is None else cast(out, dtype)

    def __repr__(self) -> str:
        return f"<symc elementwise function {self.op.name}>"


def _of_one_float_type(args: Sequence[Any]) -> bool:
    """Whether all are variables of exactly one type, of floats, and not numbers that would adapt to another dtype."""
    if not isinstance(args[0], Variable) or isinstance(args[0], Constant):
        return False
    first = args[0].type
    for other in args[1:]:
        if not isinstance(other, Variable) or other.type is not first or isinstance(other, Constant):
            return False
    return is_float(first.dtype)


def _of_no_common_integer(variables: Sequence[Variable]) -> bool:
    return all(is_integer(v.dtype) for v in variables) and not is_integer(unify_dtypes(variables))


def _converted(name: str, variables: Sequence[Variable], compute: str) -> list[Variable]:
    dtype = unify_dtypes(variables)
    if compute == "float":
        dtype = floating(dtype)
    elif compute == "quotient" and not (is_float(dtype) or is_complex(dtype)):
        dtype = config.floatX
    elif compute in ("arithmetic", "shift") and dtype == "bool":
        dtype = "int8"
    elif compute in INTEGRAL and (is_float(dtype) or is_complex(dtype)):
        text = f"{name}: works on bools and integers, got {dtype}"
        raise DTypeError(located(text, variables, "compare first, or cast to an integer dtype"))
    return [cast(v, dtype) for v in variables]


INTEGRAL = ("bits", "shift")
"""Kinds of ``compute`` that have no floats."""

NOTHING_LEFT = 8192.0
"""``exp(-x)`` is zero in every dtype for x of this size, and so is its product with any power of x."""


def levels_off_at(below: float | None, above: float | None) -> Callable[[Sequence[Variable]], Sequence[Bounds]]:
    """The trait ``levels_off`` of a function of one operand."""
    return lambda inputs: ((below, above),)


def _domain_of_each(domain: Any, nin: int) -> list[tuple[float, float]]:
    """Return one pair per input; a single pair applies to all."""
    return [domain] * nin if isinstance(domain[0], (int, float)) else list(domain)


def _infer(result: str, mixed: bool) -> Callable[[Op, Sequence[Variable]], TensorType]:
    def infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
        first = inputs[0].type
        if result != "bool":
            for v in inputs:
                type = v.type
                if type is not first and (type.dtype != first.dtype or type.shape != first.shape):
                    break
            else:
                return first
        values = inputs[1:] if mixed else inputs
        dtype = values[0].type.dtype
        for v in values:
            if v.type.dtype != dtype:
                raise DTypeError(located(f"{op.name}: operands must have one dtype", inputs, "cast one of them"))
        shape = list(inputs[0].type.shape)
        for other in inputs[1:]:
            if other.ndim != len(shape):
                raise DTypeError(located(f"{op.name}: operands must have as many axes", inputs))
            for axis, dim in enumerate(other.type.shape):
                if dim is not shape[axis]:
                    shape[axis] = require_equal(
                        shape[axis],
                        dim,
                        f"{op.name}: shapes do not go together on axis {axis}",
                        inputs,
                        "only dims known to be 1 are repeated: declare them so (broadcastable, or shape with 1)",
                    )
        if result != "bool":
            for v in values:
                if v.type.shape == tuple(shape):
                    return v.type
        return TensorType("bool" if result == "bool" else dtype, shape)

    return infer


infer_elementwise = _infer("same", False)
"""The type of a result that has the shape and dtype of its operands."""

_KINDS = {"bits": ["bool"], "shift": ["int32"], "float": ["float"], "quotient": ["float"]}
"""The dtypes that cases are tested with."""


def elementwise(
    name: str,
    body: Callable[..., Expr],
    numpy: Callable[..., Any],
    grad: Grad | None = None,
    domain: tuple[float, float] | Sequence[tuple[float, float]] = (-2.0, 2.0),
    compute: str = "float",
    result: str = "same",
    mixed: bool = False,
    commutative: bool = False,
    smooth: bool = True,
    several: bool = False,
    **traits: Any,
) -> Elementwise:
    """Create an elementwise op.

    Parameters
    ----------
    name : str
    body : callable
        Maps the inputs' elements to the output's element, as loop-IR expressions.
    numpy : callable
        An independent implementation on arrays.
    grad : callable, optional
        ``grad(g, y, *xs)`` returns one gradient per input; ``ZERO`` for inputs by which the derivative is zero,
        ``Selected`` where a condition decides whether the gradient flows.
    domain : pair, or one pair per input
            The open interval of test values, away from kinks.
    compute : str
        ``"float"``: integers are converted to floatX; ``"quotient"``: likewise, whatever
        ``symc.graph.dtypes.set_rules`` was given; ``"same"``: any dtype; ``"arithmetic"``: bools become int8;
        ``"bits"``: no floats; ``"shift"``: no floats, and bools become int8.
    result : str
        ``"same"`` as the operands or ``"bool"``.
    mixed : bool
        The first operand is a condition.
    several : bool
        Whether the function accepts more than two operands, combined from left to right.
    **traits
        Further facts of the record, such as ``linear``, ``nonnegative`` and ``log``.
    """
    operands = list(signature(body).parameters)
    nin = len(operands)
    domains = _domain_of_each(domain, nin)

    def oracle(op: Op, *arrays: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            out = np.asarray(numpy(*arrays))
            return out.astype("bool" if result == "bool" else arrays[mixed].dtype, copy=False)

    same = next((n for n in (getattr(numpy, "__name__", ""), name) if hasattr(np, n)), None)
    oracle.__doc__ = f"Elementwise ``{name}``{f'; see ``numpy.{same}``' if same else ''}."

    def differentiate(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> Any:
        if grad is None:
            return [ZERO] * len(inputs)
        return grad(gs[0], outputs[0], *inputs)

    def cases() -> list[Case]:
        kinds = _KINDS.get(compute, ["float", "int32"])
        made = []
        for dtype in kinds:
            first = ["bool" if mixed and k == 0 else dtype for k in range(nin)]
            for shape in ((3, 4), (5,), (), (0, 2)):
                args = tuple(Arg(shape, d, lo, hi, distinct=True) for d, (lo, hi) in zip(first, domains))
                smooth_here = dtype == "float" and smooth and result == "same" and shape != (0, 2)
                made.append(Case(function, args, numpy, grad=smooth_here))
        special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, 3e38])
        if compute not in INTEGRAL and nin <= 2:
            grids = np.meshgrid(*[special] * nin)
            args = tuple(Arg((grids[0].size,), values=g.ravel()) for g in grids)
            made.append(Case(function, args, numpy, grad=False, label="special values"))
        return made

    made = record(
        name,
        infer=_infer(result, mixed),
        numpy=oracle,
        grad=differentiate,
        lower=Pointwise(body),
        cases=cases,
        commutative=commutative,
        **traits,
    )
    function = Elementwise(Op(made), compute, mixed, operands, several)
    return function


# --- conversion ---------------------------------------------------------------------------------------------------
