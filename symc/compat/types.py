"""Methods of Theano's types that the types of the language do not have; ``conventions`` attaches them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import symc.tensor as T
from symc.graph import Constant, SharedVariable, Variable, convert_value
from symc.graph.types import TensorType

__all__ = [
    "METHODS", "TOLERANCES", "FlaggedTensorType", "TensorVariable", "tolerances",
    "values_eq_approx", "values_eq_approx_always_true", "values_eq_approx_remove_inf",
    "values_eq_approx_remove_inf_nan", "values_eq_approx_remove_nan",
]  # fmt: skip


class _Flags(type):
    """Makes the types of the language from Theano's arguments, and recognises all of them."""

    def __call__(
        cls, dtype: Any, broadcastable: Any = (), name: str | None = None, sparse_grad: bool = False
    ) -> TensorType:
        """A type with one flag per axis, whether its length is always 1: 0 and 1 stand for False and True.

        A single flag is that of a vector.
        """
        broadcastable = (broadcastable,) if isinstance(broadcastable, bool) else broadcastable
        flags = [bool(b) if isinstance(b, (int, np.integer)) and b in (0, 1) else b for b in broadcastable]
        return TensorType(dtype, flags, name or "n")

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, TensorType)


class _Expressions(type):
    """Recognises variables that are neither shared nor constant; it is equal to the class of all variables.

    Classes of programs that are derived from ``TensorVariable`` are ordinary ones.
    """

    def __call__(cls, *args: Any, **named: Any) -> Any:
        return Variable(*args, **named) if cls is TensorVariable else super().__call__(*args, **named)

    def __instancecheck__(cls, thing: Any) -> bool:
        if cls is not TensorVariable:
            return super().__instancecheck__(thing)
        return isinstance(thing, Variable) and not isinstance(thing, (SharedVariable, Constant))

    def __eq__(cls, other: object) -> bool:
        return other is cls or cls is TensorVariable and other is Variable

    def __hash__(cls) -> int:
        return hash(Variable) if cls is TensorVariable else super().__hash__()


class TensorVariable(Variable, metaclass=_Expressions):
    """The class of inputs and results of ops. As in Theano, shared variables and constants are of other classes.

    Layers of recurrent networks ask by it whether an initial state is an expression or a parameter to be repeated.
    Programs derive classes from it, such as random variables that know their density.
    """

    kept = True

    def __init__(self, type: TensorType, owner: Any = None, index: int | None = None, name: str | None = None) -> None:
        super().__init__(type, owner, index or 0, name)


def _filter(self: TensorType, data: Any, strict: bool = False, allow_downcast: bool | None = None) -> np.ndarray:
    """Convert a value to an array of this type; TypeError if it does not fit."""
    if isinstance(data, Variable):
        raise TypeError(f"expected numbers, got the symbolic variable {data!r}")
    if strict and not isinstance(data, np.ndarray):
        raise TypeError(f"expected an array of type {self}, got {type(data).__name__} (strict)")
    try:
        return convert_value(data, self, "filter", strict, allow_downcast)
    except ValueError as problem:
        raise TypeError(str(problem)) from None


def _is_valid_value(self: TensorType, a: Any) -> bool:
    """Whether a value is of this type as it is."""
    try:
        _filter(self, a, strict=True)
    except TypeError:
        return False
    return True


def _filter_variable(self: TensorType, other: Any, allow_convert: bool = True) -> Variable:
    """Convert a value or variable to a variable of this type; TypeError if it is another one."""
    v = other if isinstance(other, Variable) else Constant(_filter(self, other))
    if v.dtype != self.dtype or v.ndim != self.ndim:
        raise TypeError(f"expected a variable of type {self}, got {v.type}")
    return v


def _convert_variable(self: TensorType, var: Variable) -> Variable | None:
    """The variable with the axes of length 1 of this type; None if dtype or axes are others."""
    if var.dtype != self.dtype or var.ndim != self.ndim:
        return None
    one = [k for k, (have, want) in enumerate(zip(var.broadcastable, self.broadcastable)) if want and not have]
    return T.addbroadcast(var, *one) if one else var


def _values_eq(a: Any, b: Any, force_same_dtype: bool = True) -> bool:
    """Whether two arrays are equal, NaN to itself."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or force_same_dtype and a.dtype != b.dtype:
        return False
    return bool(np.all((a == b) | ((a != a) & (b != b))))


TOLERANCES = {
    "float16_atol": 1e-3, "float16_rtol": 5e-3, "float32_atol": 1e-5, "float32_rtol": 1e-5, "float64_atol": 1e-8,
    "float64_rtol": 1e-5,
}  # fmt: skip
"""Names of ``theano.tensor.basic`` by which programs set the tolerances of comparisons."""


def tolerances(dtype: str) -> tuple[float, float]:
    """The absolute and the relative tolerance of comparisons in a dtype: those that the program has set, or Theano's.

    The real and imaginary parts of complex numbers count.
    """
    held = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    told = vars(sys.modules["theano.tensor.basic"]) if "theano.tensor.basic" in sys.modules else {}
    atol, rtol = (told.get(f"{held}_{kind}", TOLERANCES[f"{held}_{kind}"]) for kind in ("atol", "rtol"))
    return atol, rtol


def values_eq_approx(
    a: Any,
    b: Any,
    allow_remove_inf: bool = False,
    allow_remove_nan: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
) -> bool:
    """Whether two arrays are close; infinities and NaN of ``a`` count as equal to anything if they may be removed."""
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return False
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind not in "fc":
        return bool(np.all(a == b))
    usual_atol, usual_rtol = tolerances(a.dtype.name)
    rtol = usual_rtol if rtol is None else rtol
    atol = usual_atol if atol is None else atol
    close = np.isclose(a, b, rtol, atol, equal_nan=True)
    if allow_remove_inf:
        close |= np.isinf(a)
    if allow_remove_nan:
        close |= np.isnan(a)
    return bool(np.all(close))


def values_eq_approx_remove_inf(a: Any, b: Any) -> bool:
    """``values_eq_approx`` in which infinities of ``a`` count as equal to anything."""
    return values_eq_approx(a, b, True)


def values_eq_approx_remove_nan(a: Any, b: Any) -> bool:
    """``values_eq_approx`` in which NaN of ``a`` count as equal to anything."""
    return values_eq_approx(a, b, False, True)


def values_eq_approx_remove_inf_nan(a: Any, b: Any) -> bool:
    """``values_eq_approx`` in which infinities and NaN of ``a`` count as equal to anything."""
    return values_eq_approx(a, b, True, True)


def values_eq_approx_always_true(a: Any, b: Any) -> bool:
    """True."""
    return True


def _dtype_specs(self: TensorType) -> tuple[Any, str, str]:
    """NumPy's type of the elements, its name in C, and NumPy's number of it."""
    dtype = np.dtype(self.dtype)
    return dtype.type, f"npy_{self.dtype}", f"NPY_{self.dtype.upper()}"


METHODS: dict[str, Any] = {
    "filter": _filter,
    "is_valid_value": _is_valid_value,
    "filter_variable": _filter_variable,
    "convert_variable": _convert_variable,
    "values_eq": staticmethod(_values_eq),
    "values_eq_approx": staticmethod(values_eq_approx),
    "value_zeros": lambda self, shape: np.zeros(shape, self.dtype),
    "may_share_memory": staticmethod(lambda a, b: np.may_share_memory(a, b)),
    "dtype_specs": _dtype_specs,
    "numpy_dtype": property(lambda self: np.dtype(self.dtype)),
    "filter_checks_isfinite": False,
}
"""What ``TensorType`` has besides, by name."""


class FlaggedTensorType(metaclass=_Flags):
    """``theano.tensor.TensorType``."""

    values_eq = staticmethod(_values_eq)
    values_eq_approx = staticmethod(values_eq_approx)
    may_share_memory = staticmethod(np.may_share_memory)
