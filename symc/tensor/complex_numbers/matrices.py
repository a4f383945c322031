"""Ops on complex matrices: records that work on pairs of real numbers, described in terms of complex ones.

A complex matrix is an array with a last axis of length 2, which is how LAPACK stores it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Variable, dims
from symc.graph.dtypes import complex_of, is_complex
from symc.graph.op import HostCall, Op, Record, record
from symc.graph.types import TensorType
from symc.graph.variables import as_complex, as_pairs
from symc.loops.routines import RoutineCall
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers.parts import conj, held, imag, real, stacked, unstacked
from symc.tensor.creation import eye, tril, triu
from symc.tensor.linear_algebra.matrices import adjoint
from symc.tensor.symbolic_dims import length

__all__ = [
    "apply", "batch", "hermitian_triangle", "imaginary", "of_complex_matrices", "of_pairs", "square", "turned",
    "with_real_diagonal",
]  # fmt: skip

Shape = tuple[dims.Dim, ...]
_OPERANDS: dict[Record, tuple[str, str]] = {}


def of_pairs(
    name: str,
    ins: str,
    outs: str,
    shapes: Callable[[Op, Sequence[Variable], Sequence[Shape]], Sequence[Shape]],
    numpy: Callable[..., Any],
    grad: Callable[[Op, Sequence[Variable], Sequence[Variable], Sequence[Variable]], list[Any]] | None = None,
    params: Callable[[Apply], Sequence[Any]] | None = None,
    **facts: Any,
) -> Record:
    """Create the record of an op on complex matrices.

    Parameters
    ----------
    name : str
        That of the op. With ``params``, its routine has the same name, or ``facts["routine"](op)``.
    ins, outs : str
        A letter per operand and result: "c" for complex numbers, "r" for real ones, "i" for int32, "d" for float64.
    shapes : callable
        ``shapes(op, inputs, given)`` maps the shapes of operands, without the axis of parts, to those of the results.
    numpy, grad : callable
        As of a record, with complex arrays and variables.
    params : callable, optional
        The parameters of the routine.
    """

    def letters(op: Op) -> str:
        return outs if op.attrs.get("vectors", True) else outs.replace("c", "")

    def infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
        found = shapes(op, inputs, _shapes(ins, inputs))
        dtypes = {"c": inputs[0].dtype, "r": inputs[0].dtype, "i": "int32", "d": "float64"}
        pairs = zip(found, letters(op), strict=True)
        return [TensorType(dtypes[kind], (*shape, 2) if kind == "c" else shape) for shape, kind in pairs]

    def run(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        found = numpy(op, *(as_complex(a) if kind == "c" else a for a, kind in zip(arrays, ins)))
        results = found if isinstance(found, tuple) else (found,)
        return tuple(_as_kind(v, kind, arrays[0].dtype.name) for v, kind in zip(results, letters(op), strict=True))

    def slope(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
        assert grad is not None
        kinds = letters(op)
        found = grad(op, _unstacked(ins, inputs), _unstacked(kinds, outputs), _unstacked(kinds, gs))
        return [g if g is None or kind != "c" else stacked(_complex(g)) for g, kind in zip(found, ins)]

    routine = facts.pop("routine", name)
    told = facts.pop("told", lambda op, inputs: (name.removeprefix("complex_"), inputs))
    if params is not None:
        facts["lower"] = HostCall(facts.pop("call", None), told=told, native=RoutineCall(routine, params))
    made = record(name, infer=infer, numpy=run, grad=None if grad is None else slope, **facts)
    _OPERANDS[made] = (ins, outs)
    return made


def apply(made: Record, *inputs: Variable, **attrs: Any) -> list[Variable]:
    """Apply the op of a record to complex variables; returns complex ones."""
    ins, outs = _OPERANDS[made]
    found = Op(made, **attrs).all(*(stacked(v) if kind == "c" else v for v, kind in zip(inputs, ins, strict=True)))
    return [unstacked(v) if kind == "c" else v for v, kind in zip(found, outs, strict=True)]


def of_complex_matrices(made: Record) -> bool:
    """Whether ``of_pairs`` made the record."""
    return made in _OPERANDS


def _shapes(kinds: str, inputs: Sequence[Variable]) -> list[Shape]:
    return [tuple(v.type.shape[:-1] if kind == "c" else v.type.shape) for v, kind in zip(inputs, kinds)]


def _as_kind(value: Any, kind: str, dtype: str) -> np.ndarray:
    if kind == "c":
        return as_pairs(np.asarray(value, complex_of(dtype)))
    return np.asarray(value, {"r": dtype, "i": "int32", "d": "float64"}[kind])


def _unstacked(kinds: str, given: Sequence[Variable]) -> list[Variable]:
    return [unstacked(v) if kind == "c" else v for v, kind in zip(given, kinds)]


def _complex(g: Variable) -> Variable:
    return g if is_complex(g.dtype) else held(g, g * 0)


def batch(node: Apply, position: int = 0) -> dims.Dim:
    """The number of complex matrices in an operand of an application."""
    return dims.product(node.inputs[position].type.shape[:-3])


def square(op: Op, inputs: Sequence[Variable], given: Sequence[Shape]) -> list[Shape]:
    """The shape of one result that is like the first operand, a square matrix."""
    return [given[0]]


# --- what gradients share -------------------------------------------------------------------------------------------


def imaginary(x: Variable) -> Variable:
    """``i x`` for real numbers."""
    return held(x * 0, x)


def with_real_diagonal(a: Variable) -> Variable:
    """Square matrices without the imaginary parts of their diagonals."""
    on_diagonal = ew.eq(eye(length(a, a.ndim - 1), dtype="float32"), 1)
    return held(real(a), ew.switch(on_diagonal, 0, imag(a)))


def hermitian_triangle(g: Variable, lower: bool) -> Variable:
    """The gradient by the triangle of a Hermitian matrix that a function reads, given that by all elements.

    That by all elements may be any matrix with the right Hermitian part.
    """
    whole = g + adjoint(g)
    kept = tril(whole) if lower else triu(whole)
    return with_real_diagonal(kept - tril(triu(g)))


def turned(function: Callable[[Variable], Variable], b: Variable) -> Variable:
    """Solve systems with adjoint matrices by ``function``, which does it with transposes."""
    return conj(function(conj(b)))
