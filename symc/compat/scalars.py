"""Names of ``theano.scalar``: scalars are tensors without axes here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import symc
import symc.tensor as T
from symc.graph.dtypes import INTEGERS
from symc.graph.types import TensorType

__all__ = [
    "Composite", "Scalar", "all_types", "complex64", "complex128", "complex_types", "continuous_types",
    "discrete_types", "float_types", "int_types", "integer_types", "uint_types", "as_scalar", "autocast_float",
    "autocast_float_as", "autocast_int", "bool", "constant", "convert", "discrete_dtypes", "float16",
    "float32", "float64", "floats", "get_scalar_type", "int16", "int32", "int64", "int8", "ints", "uint16",
    "round_half_away_from_zero_", "round_half_away_from_zero_vec",
    "uint32", "uint64", "uint8", "upcast",
]  # fmt: skip

discrete_dtypes = ("bool", *INTEGERS)
as_scalar = T.as_tensor_variable


class Scalar(TensorType):
    """The type of a scalar, whose text is its dtype."""

    __slots__ = ()

    def __init__(self, dtype: str) -> None:
        super().__init__(dtype, ())

    def __str__(self) -> str:
        return self.dtype


bool, int8, int16, int32, int64 = (Scalar(d) for d in ("bool", "int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = (Scalar(d) for d in ("uint8", "uint16", "uint32", "uint64"))
float16, float32, float64 = (Scalar(d) for d in ("float16", "float32", "float64"))
complex64, complex128 = Scalar("complex64"), Scalar("complex128")
int_types, uint_types = (int8, int16, int32, int64), (uint8, uint16, uint32, uint64)
integer_types = int_types + uint_types
float_types, complex_types = (float16, float32, float64), (complex64, complex128)
discrete_types = (bool, *integer_types)
continuous_types = float_types + complex_types
all_types = discrete_types + continuous_types


def round_half_away_from_zero_vec(a: Any) -> Any:
    """Round numbers of NumPy; halves are rounded away from zero."""
    import numpy as np

    a = np.asarray(a)
    return np.where(a < 0, np.ceil(a - 0.5), np.floor(a + 0.5)).astype(a.dtype)


round_half_away_from_zero_ = round_half_away_from_zero_vec


def get_scalar_type(dtype: str) -> TensorType:
    """The type of a scalar of this dtype."""
    return Scalar(dtype)


def upcast(dtype: str, *dtypes: str) -> str:
    """The dtype to which operands of these dtypes are promoted by NumPy's rule."""
    import numpy as np

    return np.result_type(*[np.dtype(d) for d in (dtype, *dtypes)]).name


def convert(value: Any, dtype: str | None = None) -> Any:
    """The value as a NumPy array of a dtype."""
    import numpy as np

    return np.asarray(value, dtype)


def constant(x: Any, name: str | None = None, dtype: str | None = None) -> Any:
    """A constant scalar; a number written in Python has the smallest integer dtype, or float32 or 64, that holds it."""
    if dtype is None and type(x) in (int, float):
        x = autocast_int(x) if type(x) is int else _Autocast(("float32", "float64"))(x)
        dtype = x.dtype.name
    return T.constant(x, name=name, ndim=0, dtype=dtype)


def floats(*names: str) -> list[Any]:
    """Scalars of float64, one per name, or per letter of a single one."""
    return [T.tensor("float64", name=n, shape=()) for n in (names[0] if len(names) == 1 else names)]


def ints(*names: str) -> list[Any]:
    """Scalars of int64, one per name, or per letter of a single one."""
    return [T.tensor("int64", name=n, shape=()) for n in (names[0] if len(names) == 1 else names)]


class Composite:
    """``Composite(inputs, outputs)`` as a function of tensors: the expressions with the inputs replaced."""

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)

    def __call__(self, *operands: Any) -> Any:
        replaced = dict(zip(self.inputs, map(T.as_tensor_variable, operands)))
        made = symc.clone(self.outputs, replaced, strict=False)
        return made[0] if len(made) == 1 else made

    def make_node(self, *operands: Any) -> Any:
        """An application: its ``inputs`` and ``outputs``."""
        given = [T.as_tensor_variable(v) for v in operands]
        made = self(*given)
        outputs = list(made) if isinstance(made, list) else [made]
        return SimpleNamespace(op=self, inputs=given, outputs=outputs, out=outputs[0])


class _Autocast:
    """The dtypes of which the first that holds a number exactly is the dtype of a number written in Python."""

    def __init__(self, dtypes: tuple[str, ...]) -> None:
        self.dtypes = dtypes

    def __call__(self, x: Any) -> Any:
        """The number as an array."""
        import numpy as np

        for dtype in self.dtypes:
            found = np.asarray(x, dtype)
            if found == x:
                break
        return found


autocast_int = _Autocast(("int8", "int16", "int32", "int64"))
autocast_float = _Autocast(("float16", "float32", "float64"))


def number_dtype(value: Any) -> str:
    """The dtype of a number beside arrays: the smallest that holds it; for a float, float32 at once if floatX is."""
    import numpy as np

    value = np.asarray(value)
    if value.dtype.kind == "f":
        candidates: Sequence[str] = autocast_float.dtypes
        if symc.config.floatX != "float64" and symc.config.floatX in candidates:
            return symc.config.floatX
        candidates = [d for d in candidates if d != "float16" or symc.config.floatX == "float16"]
    else:
        candidates = autocast_int.dtypes
    with np.errstate(all="ignore"):
        fitting = (d for d in candidates if np.array_equal(value.astype(d), value, equal_nan=True))
    return next(fitting, candidates[-1])


class autocast_float_as:  # noqa: N801 - Theano's name
    """A ``with`` block in which ``autocast_float.dtypes`` are others: the dtypes of floats written beside arrays."""

    def __init__(self, *dtypes: str) -> None:
        self.dtypes = dtypes

    def __enter__(self) -> None:
        self.before = autocast_float.dtypes
        autocast_float.dtypes = self.dtypes

    def __exit__(self, *args: object) -> None:
        autocast_float.dtypes = self.before


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("_") or name not in T.__all__:
        raise AttributeError(name)
    return getattr(T, name)
