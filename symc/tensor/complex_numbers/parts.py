"""Complex numbers as pairs: an expression of complex dtype is made of the expressions of its two real parts.

Functions of complex numbers are built from functions of the parts when they are called (``rules``,
``functions``), so that all expressions that are differentiated, rewritten and compiled are real. The record
``complex`` only holds two parts together. A complex input or shared variable is a real one with a last axis of length
2, its *twin*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, located
from symc.graph import Constant, Variable
from symc.graph.dtypes import BRAIN, complex_of, floating, is_complex, is_float, part_of
from symc.graph.op import Arg, Case, Op, record
from symc.graph.shared_variables import twin
from symc.graph.types import TensorType
from symc.graph.variables import as_complex
from symc.tensor import bfloat16
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, number_repeated, unify_dtypes
from symc.tensor.broadcasting import broadcast_together
from symc.tensor.conversion import cast, cast_complex_with
from symc.tensor.creation import zeros_like
from symc.tensor.indices.indexing import subtensor
from symc.tensor.joining import JOIN
from symc.tensor.symbolic_dims import typed_by

__all__ = [
    "angle",
    "complex",
    "complex_from_polar",
    "conj",
    "held",
    "imag",
    "parts",
    "real",
    "real_sources",
    "squared_size",
    "stacked",
    "unstacked",
]


def _infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, y = inputs
    if x.dtype != y.dtype or not is_float(x.dtype):
        raise DTypeError(located("complex: the parts must have one float dtype", inputs, "cast them"))
    return TensorType(complex_of(x.dtype), ew.add.op.types(inputs, None)[0].shape)


COMPLEX_NUMBER = record(
    "complex",
    infer=_infer,
    numpy=lambda op, x, y: as_complex(np.stack([x, y], axis=-1)),
    linear="jointly",
    language_only=True,
    cases=lambda: [
        Case(lambda x, y: real(complex(x, y) * complex(y, x)), (Arg((2, 3)), Arg((2, 3))), lambda x, y: 0 * x),
        Case(lambda x, y: imag(complex(x, y) * complex(y, x)), (Arg((3,)), Arg((3,))), lambda x, y: x**2 + y**2),
    ],
)


def held(x: Variable, y: Variable) -> Variable:
    """The complex numbers with parts of one float type."""
    return Op(COMPLEX_NUMBER)(x, y)  # type: ignore[no-any-return]


def parts(z: Variable) -> tuple[Variable, Variable]:
    """The real and the imaginary part of a variable of complex dtype."""
    if z.owner is not None and z.owner.op.record is COMPLEX_NUMBER:
        return z.owner.inputs  # type: ignore[return-value]
    if isinstance(z, Constant):
        x, y = (Constant(part, part_of(z.dtype)) for part in (z.data.real, z.data.imag))
        return x, y
    if z.owner is not None:
        raise TypeError(f"{z.owner.op.name} gave complex numbers that are no pair")
    found = z.__dict__.get("_parts")
    if found is None:
        found = z.__dict__["_parts"] = _parts_of(twin(z))
    return found  # type: ignore[no-any-return]


def _parts_of(pairs: Variable) -> tuple[Variable, Variable]:
    """Both parts, as tensors of their own: a part of ``z[i]`` is no part of ``pairs`` that ``set_subtensor`` finds."""
    return typed_by(subtensor(pairs, (Ellipsis, 0))), typed_by(subtensor(pairs, (Ellipsis, 1)))


def stacked(z: Variable) -> Variable:
    """The parts of complex numbers along a new last axis of length 2."""
    if z.owner is None and not isinstance(z, Constant):
        return twin(z)
    n = z.ndim
    return Op(JOIN, axis=n)(*(dimshuffle(part, [*range(n), "x"]) for part in parts(z)))  # type: ignore[no-any-return]


def unstacked(pairs: Variable) -> Variable:
    """The complex numbers whose parts are along the last axis: the inverse of ``stacked``."""
    return held(*_parts_of(pairs))


def real_sources(z: Variable) -> tuple[Variable, ...]:
    """The real variables of which ``z`` is made: its twin, if it is an input, else both parts; one of bfloat16."""
    if z.dtype == BRAIN:
        return (bfloat16.wide(z),)
    return (twin(z),) if z.owner is None and not isinstance(z, Constant) else parts(z)


def is_zero(x: Variable) -> bool:
    """Whether all elements are known to be 0."""
    number = number_repeated(x)
    return number is not None and bool(number == 0)


def _convert(z: Variable, dtype: str) -> Variable:
    """``cast`` from or to a complex dtype or bfloat16."""
    if dtype == BRAIN and not is_complex(z.dtype) or z.dtype == BRAIN and not is_complex(dtype):
        return bfloat16.convert(z, dtype)
    if z.dtype == BRAIN:
        z = bfloat16.convert(z, "float32")
    if not is_complex(z.dtype):
        if isinstance(z, Constant):
            return Constant(z.exact.astype(dtype), dtype, z.name)
        x = cast(z, part_of(dtype))
        return held(x, zeros_like(x))
    if dtype == "bool":
        return ew.neq(z, 0)
    if not is_complex(dtype):
        text = f"cast: from {z.dtype} to {dtype} is ambiguous"
        raise DTypeError(located(text, [z], "use real(z), imag(z), angle(z) or abs(z), and cast that"))
    if isinstance(z, Constant):
        return Constant(z.exact.astype(dtype), dtype, z.name)
    x, y = parts(z)
    return held(cast(x, part_of(dtype)), cast(y, part_of(dtype)))


cast_complex_with(_convert)


def _pair(what: str, x: Any, y: Any) -> list[Variable]:
    """Two real operands, of one float dtype and broadcast together."""
    given = [as_tensor(x), as_tensor(y)]
    dtype = floating(unify_dtypes(given))
    if is_complex(dtype):
        raise DTypeError(located(f"{what}: expected real operands", given, "take their parts with real and imag"))
    dtype = "float32" if dtype == "float16" else dtype
    return broadcast_together(what, [cast(v, dtype) for v in given])


def complex(real: Any, imag: Any) -> Variable:
    """The complex numbers with these real and imaginary parts, which are broadcast together.

    The dtype is complex128 if one of them is float64, else complex64; integers count as floatX.
    """
    return held(*_pair("complex", real, imag))


def complex_from_polar(abs: Any, angle: Any) -> Variable:
    """The complex numbers ``abs exp(i angle)``; dtypes as for ``complex``."""
    size, phase = _pair("complex_from_polar", abs, angle)
    return held(size * ew.cos(phase), size * ew.sin(phase))


def real(z: Any) -> Variable:
    """The real part; real numbers are returned unchanged."""
    z = as_tensor(z)
    return parts(z)[0] if is_complex(z.dtype) else z


def imag(z: Any) -> Variable:
    """The imaginary part; zeros of the same dtype for real numbers."""
    z = as_tensor(z)
    return parts(z)[1] if is_complex(z.dtype) else zeros_like(z)


def conj(z: Any) -> Variable:
    """The complex conjugate; real numbers are returned unchanged."""
    z = as_tensor(z)
    if not is_complex(z.dtype):
        return z
    x, y = parts(z)
    return held(x, -y)


def squared_size(z: Variable) -> Variable:
    """The squares of absolute values."""
    if not is_complex(z.dtype):
        return ew.sqr(z)
    x, y = parts(z)
    return ew.sqr(x) + ew.sqr(y)


def angle(z: Any) -> Variable:
    """The angle of complex numbers in the plane, in radians from -pi to pi; 0 or pi for real numbers."""
    z = as_tensor(z)
    if is_complex(z.dtype):
        x, y = parts(z)
        return ew.arctan2(y, x)
    x = cast(z, floating(z.dtype))
    return ew.arctan2(zeros_like(x), x)
