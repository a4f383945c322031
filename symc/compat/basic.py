"""Names of ``theano.tensor.basic``: lists of types, constructors of many axes, checks, names of errors."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.compat.types import TOLERANCES, FlaggedTensorType, TensorVariable, tolerances
from symc.graph import Constant, Variable
from symc.graph.dtypes import COMPLEX, FLOATS, INTEGERS
from symc.graph.types import TensorType as _TensorType

__all__ = [
    "AsTensorError", "EmptyConstantError", "ShapeError", "Tensor", "TensorType", "TensorVariable",
    "alloc_validate_shape", "check_and_normalize_axes", "extract_constant", "get_scalar_constant_value", "mean",
    "complex_matrix_types", "complex_scalar_types", "complex_types", "complex_vector_types", "float_matrix_types",
    "float_scalar_types", "float_vector_types", "int_matrix_types", "int_scalar_types", "int_vector_types", "isinf_",
    "isnan_", "numpy_scalar", "_allclose", "_get_atol_rtol", "python_all", "python_any", "python_complex", "transfer",
]  # fmt: skip

EmptyConstantError = T.extra_ops.NotScalarConstantError
AsTensorError = TypeError
ShapeError = symc.errors.ShapeError
TensorType = FlaggedTensorType
Tensor = _TensorType
python_all, python_any, python_complex = builtins.all, builtins.any, builtins.complex
isnan_, isinf_ = T.isnan, T.isinf
globals().update(TOLERANCES)
__all__ += list(TOLERANCES)


def transfer(var: Any, target: str) -> Variable:
    """Return ``var``: values move to the device that uses them."""
    return T.as_tensor_variable(var)


def mean(
    input: Any,
    axis: Any = None,
    dtype: str | None = None,
    op: bool = False,
    keepdims: bool = False,
    acc_dtype: Any = None,
) -> Variable:
    """``T.mean`` with the order of arguments of ``theano.tensor.mean``: ``op``, which has no effect, is the fourth."""
    return T.mean(input, axis, dtype, keepdims, acc_dtype)


def get_scalar_constant_value(
    orig_v: Any, elemwise: bool = True, only_process_constants: bool = False, max_recur: int = 10
) -> np.ndarray:
    """``T.get_scalar_constant_value``; with ``only_process_constants``, an expression has no constant value.

    ``elemwise`` and ``max_recur``, which limited the search, have no effect.
    """
    if orig_v is None or only_process_constants and getattr(orig_v, "owner", None) is not None:
        raise T.extra_ops.NotScalarConstantError(f"get_scalar_constant_value: {orig_v} is not a constant")
    return T.get_scalar_constant_value(orig_v)


def extract_constant(x: Any, elemwise: bool = True, only_process_constants: bool = False) -> Any:
    """``T.extract_constant``: the value of ``x`` if ``get_scalar_constant_value`` finds it, else ``x``."""
    try:
        return get_scalar_constant_value(x, elemwise, only_process_constants)
    except T.extra_ops.NotScalarConstantError:
        return T.as_tensor_variable(x)


def numpy_scalar(data: Any) -> np.ndarray:
    """The number that an array without axes, or of one element, holds."""
    data = np.asarray(data)
    if data.ndim and data.size == 0:
        raise EmptyConstantError("numpy_scalar: the array is empty")
    return data.reshape(())


def alloc_validate_shape(shape: Any) -> tuple[list[Variable], list[bool]]:
    """The lengths as variables, and for each whether it is known to be 1."""
    lengths = [T.as_tensor_variable(n) for n in shape]
    for n in lengths:
        if n.dtype not in INTEGERS or n.ndim:
            raise TypeError(f"alloc: a length must be an integer scalar, got {n.type}")
    return lengths, [isinstance(n, Constant) and int(n.data) == 1 for n in lengths]


def check_and_normalize_axes(x: Any, axis: Any) -> list[int]:
    """List axes of ``x`` as numbers from 0: those of an integer, a constant, or a list of them; none of None."""
    x = T.as_tensor_variable(x)
    if axis is None:
        return []
    found = []
    for given in axis if isinstance(axis, (tuple, list)) else [axis]:
        if isinstance(given, Variable) and not isinstance(given, Constant):
            raise TypeError(f"the axis must be a constant, got {given}")
        number = int(given.data) if isinstance(given, Constant) else int(given)
        if not -x.ndim <= number < x.ndim:
            raise ValueError(f"axis {number} is out of range for {x.ndim} axes")
        found.append(number % x.ndim)
    return sorted(found)


def _converter(dtype: str) -> Callable[[Any], Variable]:
    def convert(x: Any) -> Variable:
        return T.cast(x, dtype)

    convert.__name__ = f"_convert_to_{dtype}"
    convert.__doc__ = f"Convert to {dtype}."
    return convert


_CONVERTERS = {f"_convert_to_{dtype}": _converter(dtype) for dtype in ("bool", *INTEGERS, *FLOATS, *COMPLEX)}
globals().update(_CONVERTERS)
__all__ += list(_CONVERTERS)


def _get_atol_rtol(a: Any, b: Any) -> tuple[float, float]:
    """The absolute and relative tolerance with which arrays of these dtypes are compared."""
    kinds = {str(np.asarray(v).dtype) for v in (a, b)}
    narrow = ("float16", "float32", "complex64")
    return tolerances(next((d for d in narrow if d in kinds), "float64"))


def _allclose(a: Any, b: Any, rtol: float | None = None, atol: float | None = None) -> bool:
    """Whether two arrays are close, with the tolerances of their dtypes by default."""
    usual_atol, usual_rtol = _get_atol_rtol(a, b)
    return np.allclose(a, b, rtol=usual_rtol if rtol is None else rtol, atol=usual_atol if atol is None else atol)


def _types(ndim: int, kinds: Sequence[str]) -> list[_TensorType]:
    return [_TensorType(dtype, [None] * ndim) for dtype in kinds]


int_scalar_types, int_vector_types, int_matrix_types = (_types(n, INTEGERS) for n in (0, 1, 2))
float_scalar_types, float_vector_types, float_matrix_types = (_types(n, FLOATS) for n in (0, 1, 2))
complex_scalar_types, complex_vector_types, complex_matrix_types = (_types(n, COMPLEX) for n in (0, 1, 2))
complex_types = complex_scalar_types

_LETTERS = {
    "": "floatX", "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64",
    "c": "complex64", "z": "complex128",
}  # fmt: skip


def _constructor(dtype: str, ndim: int, what: str) -> Callable[..., Variable]:
    def make(name: str | None = None, dtype: str | None = dtype) -> Variable:
        return T.tensor(dtype, name=name, shape=[None] * ndim)

    make.__name__ = what
    make.__doc__ = f"A symbolic tensor of {ndim} axes."
    return make


def _several(one: Callable[..., Variable]) -> Callable[..., list[Variable]]:
    def make(*names: Any) -> list[Variable]:
        if len(names) == 1:
            names = tuple(range(names[0])) if isinstance(names[0], int) else tuple(names[0])
        return [one(name if isinstance(name, str) else None) for name in names]

    make.__name__ = f"{one.__name__}s"
    make.__doc__ = f"Several of ``{one.__name__}``: one per name, or as many as a number says."
    return make


def _constructors() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for ndim in (6, 7):
        for letter, dtype in _LETTERS.items():
            what = f"{letter}tensor{ndim}"
            found[what] = _constructor(dtype, ndim, what)
            found[f"{what}s"] = _several(found[what])
    return found


globals().update(_constructors())
__all__ += list(_constructors())
