"""NumPy's universal functions on variables: ``np.exp(x)`` is ``exp(x)``, ``array * x`` is ``mul(array, x)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Variable
from symc.graph.dtypes import as_dtype, is_float
from symc.tensor import by_numpy, cumulative, linalg, stable
from symc.tensor import elementwise as ew
from symc.tensor import reduce as reductions
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.complex_numbers.functions import hypot
from symc.tensor.complex_numbers.parts import conj

__all__ = ["REDUCED", "UFUNCS", "apply_ufunc", "refuse", "truth"]


def truth(x: Any) -> Variable:
    """Convert to bool."""
    return ew.cast(as_tensor(x), "bool")


def _ignoring_nan(function: Callable[..., Variable]) -> Callable[..., Variable]:
    def apply(x: Any, y: Any) -> Variable:
        return ew.where(ew.isnan(x), y, ew.where(ew.isnan(y), x, function(x, y)))

    return apply


def _truncated(x: Any) -> tuple[Variable, Variable]:
    x = _as_float(x)
    whole = ew.trunc(x)
    return ew.where(ew.isinf(x), _copysign(0.0, x), ew.sub(x, whole)), whole


def _signbit(x: Any) -> Variable:
    x = as_tensor(x)
    below = ew.lt(x, 0)
    return ew.or_(below, ew.and_(ew.eq(x, 0), ew.lt(ew.inv(x), 0))) if is_float(x.dtype) else below


def _copysign(x: Any, y: Any) -> Variable:
    size = ew.abs_(_as_float(x))
    return ew.where(_signbit(y), ew.neg(size), size)


def _cbrt(x: Any) -> Variable:
    return ew.mul(ew.sgn(x), ew.power(ew.abs_(x), 1 / 3))


def _heaviside(x: Any, at_zero: Any) -> Variable:
    x = as_tensor(x)
    side = ew.where(ew.gt(x, 0), 1.0, ew.where(ew.lt(x, 0), 0.0, at_zero))
    return ew.where(ew.isnan(x), x, side)


def _ldexp(x: Any, n: Any) -> Variable:
    """``x * 2 ** n`` in three steps: no power of two overflows unless the result does."""
    x = _as_float(x)
    longest = {"float64": 2100, "float16": 40}.get(x.dtype, 300)
    left = ew.clip(ew.cast(as_tensor(n), "int64"), -longest, longest)
    for parts in (3, 2, 1):
        part = ew.floor_div(left, parts)
        x, left = ew.mul(x, ew.exp2(ew.cast(part, x.dtype))), ew.sub(left, part)
    return x


def _frexp(x: Any) -> tuple[Variable, Variable]:
    """``m`` and ``n`` with ``x = m * 2 ** n`` and m from 0.5 up to 1 in size; n is int32."""
    x = _as_float(x)
    plain = ew.or_(ew.eq(x, 0), ew.or_(ew.isnan(x), ew.isinf(x)))
    safe = ew.where(plain, 1, x)
    n = ew.add(ew.cast(ew.floor(ew.log2(ew.abs_(safe))), "int32"), 1)
    for _ in range(2):  # the logarithm is rounded
        size = ew.abs_(_ldexp(safe, ew.neg(n)))
        n = ew.add(n, ew.sub(ew.cast(ew.ge(size, 1), "int32"), ew.cast(ew.lt(size, 0.5), "int32")))
    n = ew.where(plain, np.int32(0), n)
    return ew.where(plain, x, _ldexp(safe, ew.neg(n))), n


def _as_float(x: Any) -> Variable:
    """Integers as floats, like the results of other functions of real numbers."""
    x = as_tensor(x)
    return x if is_float(x.dtype) else ew.cast(x, ew.exp(x).dtype)


def _fmod(x: Any, y: Any) -> Variable:
    return ew.mul(ew.sgn(x), ew.mod(ew.abs_(x), ew.abs_(y)))


def _vecdot(x: Any, y: Any) -> Variable:
    return reductions.sum(ew.mul(conj(x), y), axis=-1)


def _isfinite(x: Any) -> Variable:
    return ew.invert(ew.or_(ew.isnan(x), ew.isinf(x)))


def _column(v: Any) -> Variable:
    v = as_tensor(v)
    return dimshuffle(v, [*range(v.ndim), "x"])


def _row(v: Any) -> Variable:
    v = as_tensor(v)
    return dimshuffle(v, [*range(v.ndim - 1), "x", v.ndim - 1])


def _matvec(x: Any, v: Any) -> Variable:
    return reductions.sum(ew.mul(x, _row(v)), axis=-1)


def _vecmat(v: Any, x: Any) -> Variable:
    return reductions.sum(ew.mul(conj(_column(v)), x), axis=-2)


UFUNCS: dict[str, Callable[..., Any]] = {
    "add": ew.add, "subtract": ew.sub, "multiply": ew.mul, "divide": ew.true_div, "floor_divide": ew.floor_div,
    "remainder": ew.mod, "fmod": _fmod, "power": ew.power, "divmod": lambda x, y: (ew.floor_div(x, y), ew.mod(x, y)),
    "float_power": lambda x, y: ew.power(ew.cast(as_tensor(x), "float64"), y),
    "matmul": linalg.matmul, "vecdot": _vecdot, "matvec": _matvec, "vecmat": _vecmat,
    "negative": ew.neg, "positive": as_tensor, "absolute": ew.abs_, "sign": ew.sgn,
    "fabs": lambda x: ew.abs_(_as_float(x)),
    "conjugate": conj, "square": ew.sqr, "sqrt": ew.sqrt, "cbrt": _cbrt, "reciprocal": ew.inv,
    "maximum": ew.maximum, "minimum": ew.minimum, "fmax": _ignoring_nan(ew.maximum), "fmin": _ignoring_nan(ew.minimum),
    "exp": ew.exp, "exp2": ew.exp2, "expm1": ew.expm1, "log": ew.log, "log2": ew.log2, "log10": ew.log10,
    "log1p": ew.log1p, "logaddexp": stable.logaddexp,
    "logaddexp2": lambda x, y: ew.true_div(stable.logaddexp(_ln2(x), _ln2(y)), float(np.log(2))),
    "sin": ew.sin, "cos": ew.cos, "tan": ew.tan, "arcsin": ew.arcsin, "arccos": ew.arccos, "arctan": ew.arctan,
    "arctan2": ew.arctan2, "hypot": hypot, "sinh": ew.sinh, "cosh": ew.cosh, "tanh": ew.tanh,
    "arcsinh": ew.arcsinh, "arccosh": ew.arccosh, "arctanh": ew.arctanh,
    "deg2rad": ew.deg2rad, "radians": ew.deg2rad, "rad2deg": ew.rad2deg, "degrees": ew.rad2deg,
    "floor": ew.floor, "ceil": ew.ceil, "trunc": ew.trunc, "modf": _truncated,
    "rint": lambda x: ew.round_half_to_even(_as_float(x)),
    "heaviside": _heaviside, "copysign": _copysign, "signbit": _signbit,
    "ldexp": _ldexp, "frexp": _frexp, "nextafter": by_numpy.nextafter, "gcd": by_numpy.gcd, "lcm": by_numpy.lcm,
    "isnan": ew.isnan, "isinf": ew.isinf, "isfinite": _isfinite,
    "less": ew.lt, "less_equal": ew.le, "greater": ew.gt, "greater_equal": ew.ge, "equal": ew.eq, "not_equal": ew.neq,
    "logical_and": lambda x, y: ew.and_(truth(x), truth(y)), "logical_or": lambda x, y: ew.or_(truth(x), truth(y)),
    "logical_xor": lambda x, y: ew.xor(truth(x), truth(y)), "logical_not": lambda x: ew.invert(truth(x)),
    "bitwise_and": ew.and_, "bitwise_or": ew.or_, "bitwise_xor": ew.xor, "invert": ew.invert,
    "left_shift": ew.left_shift, "right_shift": ew.right_shift,
}  # fmt: skip
"""Universal functions by name."""

REDUCED: dict[str, Callable[..., Variable]] = {
    "add": reductions.sum, "multiply": reductions.prod, "maximum": reductions.max, "minimum": reductions.min,
    "logical_and": reductions.all, "logical_or": reductions.any,
}  # fmt: skip
"""Universal functions with a method ``reduce``."""

_RUNNING: dict[str, Callable[..., Variable]] = {"add": cumulative.cumsum, "multiply": cumulative.cumprod}


def _ln2(x: Any) -> Variable:
    return ew.mul(x, float(np.log(2)))


def refuse(name: str, operands: Any, why: str = "", repair: str = "") -> TypeError:
    """Build the error for a function of NumPy that cannot be applied to variables."""
    variables = [v for v in operands if isinstance(v, Variable)]
    repair = repair or "use symc.tensor's functions, or get values with x.eval({...})"
    return TypeError(located(f"numpy.{name} does not work on symbolic variables{why}", variables, repair))


def apply_ufunc(self: Variable, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
    """Apply the symbolic equivalent of ``ufunc``; called by NumPy if a variable is among the operands.

    ``array == x`` and ``array != x`` compare by identity, as ``x == array`` does: variables are keys of dictionaries.
    ``np.equal(x, array)``, with the variable first, compares elements.
    """
    name = ufunc.__name__
    label = name if method == "__call__" else f"{name}.{method}"
    if ufunc in (np.equal, np.not_equal) and method == "__call__" and not isinstance(operands[0], Variable):
        return ufunc is np.not_equal
    into = options.pop("out", None)
    if into is not None and not (method == "__call__" and into[0] is operands[0]):  # ``array += x`` rebinds the name
        raise refuse(label, operands, " with out=", "expressions are not written into arrays: use the result")
    for option, neutral in (("where", True), ("casting", "same_kind"), ("order", "K"), ("subok", True)):
        given = options.pop(option, neutral)
        if not (given is neutral or isinstance(given, (bool, str)) and given == neutral):
            raise refuse(label, operands, f" with {option}=", "write switch(condition, function(x), otherwise)")
    dtype = options.pop("dtype", None)
    function = UFUNCS.get(name) if getattr(np, name, None) is ufunc else None
    if function is None:
        raise refuse(label, operands)
    if method != "__call__":
        return _apply_method(name, function, method, operands, {**options, "dtype": dtype})
    if options:
        raise refuse(label, operands, f" with {', '.join(options)}=")
    if dtype is not None:
        operands = tuple(ew.cast(as_tensor(v), as_dtype(dtype)) for v in operands)
    return function(*operands)


def _apply_method(name: str, function: Any, method: str, operands: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """``reduce``, ``accumulate`` and ``outer`` of a universal function."""
    label = f"{name}.{method}"
    if method == "outer" and options == {"dtype": None}:
        a, b = map(as_tensor, operands)
        return function(dimshuffle(a, [*range(a.ndim), *["x"] * b.ndim]), b)
    table = {"reduce": REDUCED, "accumulate": _RUNNING}.get(method, {})
    if name not in table:
        raise refuse(label, operands)
    names = ("axis", "dtype", "out", "keepdims", "initial", "where") if method == "reduce" else ("axis", "dtype", "out")
    given = {k: v for k, v in options.items() if v is not None or k == "axis"} | dict(zip(names, operands[1:]))
    given = {k: v for k, v in given.items() if not (v is None and k in ("dtype", "out"))}
    axis, dtype, keepdims = given.pop("axis", 0), given.pop("dtype", None), given.pop("keepdims", False)
    initial = given.pop("initial", np._NoValue)
    if given or (initial is not np._NoValue and initial is not None):
        raise refuse(label, operands, " with initial=, out= or where=")
    x = as_tensor(operands[0])
    if name.startswith("logical"):
        x = truth(x)
    x = x if dtype is None else ew.cast(x, as_dtype(dtype))
    if method == "accumulate":
        return table[name](x, axis=axis)
    return table[name](x, axis=axis, keepdims=keepdims)
