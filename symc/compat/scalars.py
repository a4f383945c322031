"""Names of ``theano.scalar``: scalars are tensors without axes here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import symc
import symc.tensor as T
from symc.graph.dtypes import INTEGERS
from symc.graph.types import TensorType

__all__ = [
    "Composite", "Scalar", "ScalarOp", "as_scalar", "bool", "constant", "convert", "discrete_dtypes", "float16",
    "float32", "float64", "floats", "get_scalar_type", "int16", "int32", "int64", "int8", "ints", "uint16",
    "uint32", "uint64", "uint8", "upcast",
]  # fmt: skip

discrete_dtypes = tuple(INTEGERS)
as_scalar = T.as_tensor_variable
constant = T.constant
bool, int8, int16, int32, int64 = (TensorType(d) for d in ("bool", "int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = (TensorType(d) for d in ("uint8", "uint16", "uint32", "uint64"))
float16, float32, float64 = (TensorType(d) for d in ("float16", "float32", "float64"))


def get_scalar_type(dtype: str) -> TensorType:
    """The type of a scalar of this dtype."""
    return TensorType(dtype)


Scalar = get_scalar_type


def upcast(dtype: str, *dtypes: str) -> str:
    """The dtype to which operands of these dtypes are promoted by NumPy's rule."""
    import numpy as np

    return np.result_type(*[np.dtype(d) for d in (dtype, *dtypes)]).name


def convert(value: Any, dtype: str | None = None) -> Any:
    """The value as a NumPy array of a dtype."""
    import numpy as np

    return np.asarray(value, dtype)


def floats(*names: str) -> list[Any]:
    """Scalars of float64, one per name."""
    return [T.tensor("float64", name=n, shape=()) for n in names]


def ints(*names: str) -> list[Any]:
    """Scalars of int64, one per name."""
    return [T.tensor("int64", name=n, shape=()) for n in names]


class Composite:
    """``Composite(inputs, outputs)`` as a function of tensors: the expressions with the inputs replaced."""

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)

    def __call__(self, *operands: Any) -> Any:
        replaced = dict(zip(self.inputs, map(T.as_tensor_variable, operands)))
        made = symc.clone(self.outputs, replaced, strict=False)
        return made[0] if len(made) == 1 else made


class ScalarOp:
    """Theano's base class of elementwise ops, which compile C code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(
            "theano.scalar ops are not available: an elementwise op is written with symc.tensor functions, "
            "or from a NumPy function with symc.as_op"
        )


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("_") or name not in T.__all__:
        raise AttributeError(name)
    return getattr(T, name)
