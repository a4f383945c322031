"""Conversion between dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Constant, Variable
from symc.graph.dtypes import ALL, BRAIN, COMPLEX, as_dtype, computing, is_float
from symc.graph.gradient_flow import ZERO
from symc.graph.op import Arg, Case, Op, Pointwise, record
from symc.graph.types import TensorType
from symc.loops import expr
from symc.loops.expr import Expr, call
from symc.tensor.basic import as_tensor

__all__ = ["CAST", "cast", "cast_complex_with"]


def _cast_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    """The gradient of a conversion to float; the gradient by an integer is that of the float it is converted to."""
    (x,) = inputs
    if not is_float(op["dtype"]):
        return [ZERO]
    return [cast(gs[0], x.dtype) if is_float(x.dtype) else gs[0]]


def _cast_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return x.astype(op["dtype"])


def _cast_body(x: Expr, dtype: str) -> Expr:
    if dtype != "bool":
        return expr.cast(x, dtype)
    x = expr.cast(x, computing(x.dtype))
    return call("ne", x, expr.const(0, x.dtype))


CAST = record(
    "cast",
    infer=lambda op, inputs: TensorType(op["dtype"], inputs[0].type.shape),
    numpy=_cast_numpy,
    grad=_cast_grad,
    linear="jointly",
    inserted=True,
    foldable=True,
    dim=lambda node, dims: dims[0],
    bounded_slope=True,
    lower=Pointwise(_cast_body),
    cases=lambda: [
        Case(
            lambda x, to=to: cast(x, to),
            (Arg((3, 4), source, 0, 100),),
            lambda x, to=to: x.astype(to),
            grad=source == "float" and to == "float64",
        )
        for source in ("float", "int32", "int8", "uint8", "int64", "bool")
        for to in ("float32", "float64", "int32", "int64", "uint8", "int16", "bool")
    ],
)


def cast(x: Any, dtype: str) -> Variable:
    """Convert ``x`` to ``dtype`` as in C (floats are truncated to integers).

    Integers wrap around. What becomes of floats outside the range of an integer dtype, and of NaN, depends on the
    machine.

    Raises
    ------
    DTypeError
        For complex numbers, unless ``dtype`` is complex, or bool (whether they differ from 0).
    """
    if not isinstance(x, Variable):
        x = as_tensor(x)
    dtype = as_dtype(dtype)
    if x.type.dtype == dtype:
        return x
    if x.type.dtype in _HELD or dtype in _HELD:
        return _cast_complex(x, dtype)
    if isinstance(x, Constant):
        with np.errstate(all="ignore"):
            return Constant(x.exact.astype(dtype), dtype, x.name)
    return _CAST_TO[dtype](x)


_HELD = (*COMPLEX, BRAIN)
_CAST_TO = {dtype: Op(CAST, dtype=dtype) for dtype in ALL}

_cast_complex: Callable[[Variable, str], Variable]


def cast_complex_with(function: Callable[[Variable, str], Variable]) -> None:
    """Tell ``cast`` what converts from and to complex dtypes: a function that is itself built on ``cast``."""
    global _cast_complex
    _cast_complex = function
