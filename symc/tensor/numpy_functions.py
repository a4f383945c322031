"""NumPy's universal functions on variables: ``np.exp(x)`` is ``exp(x)``, ``array * x`` is ``mul(array, x)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Variable
from symc.tensor import elementwise as ew
from symc.tensor import linalg

__all__ = ["apply_ufunc"]

_MEANT: dict[Any, Callable[..., Variable]] = {
    np.add: ew.add, np.subtract: ew.sub, np.multiply: ew.mul, np.true_divide: ew.true_div,
    np.floor_divide: ew.floor_div, np.remainder: ew.mod, np.power: ew.power, np.matmul: linalg.matmul,
    np.negative: ew.neg, np.positive: lambda x: x, np.absolute: ew.abs_, np.sign: ew.sgn,
    np.square: ew.sqr, np.sqrt: ew.sqrt, np.reciprocal: ew.inv, np.maximum: ew.maximum, np.minimum: ew.minimum,
    np.exp: ew.exp, np.exp2: ew.exp2, np.expm1: ew.expm1,
    np.log: ew.log, np.log2: ew.log2, np.log10: ew.log10, np.log1p: ew.log1p,
    np.sin: ew.sin, np.cos: ew.cos, np.tan: ew.tan, np.arcsin: ew.arcsin, np.arccos: ew.arccos, np.arctan: ew.arctan,
    np.arctan2: ew.arctan2, np.sinh: ew.sinh, np.cosh: ew.cosh, np.tanh: ew.tanh,
    np.arcsinh: ew.arcsinh, np.arccosh: ew.arccosh, np.arctanh: ew.arctanh,
    np.deg2rad: ew.deg2rad, np.rad2deg: ew.rad2deg,
    np.floor: ew.floor, np.ceil: ew.ceil, np.trunc: ew.trunc, np.rint: ew.round_half_to_even,
    np.isnan: ew.isnan, np.isinf: ew.isinf,
    np.less: ew.lt, np.less_equal: ew.le, np.greater: ew.gt, np.greater_equal: ew.ge,
    np.bitwise_and: ew.and_, np.bitwise_or: ew.or_, np.bitwise_xor: ew.xor, np.invert: ew.invert,
}  # fmt: skip


def apply_ufunc(self: Variable, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
    """Apply the symbolic equivalent of ``ufunc``; called by NumPy if a variable is among the operands.

    ``==`` and ``!=`` compare variables by identity, also beside arrays.
    """
    if ufunc in (np.equal, np.not_equal) and method == "__call__" and not options:
        return ufunc is np.not_equal
    into = options.pop("out", (operands[0],))
    in_place = into[0] is operands[0]  # ``array += x`` rebinds the name to the variable
    if ufunc not in _MEANT or method != "__call__" or options or not in_place:
        name = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        text = f"{name} does not work on symbolic variables" + ("" if in_place else " with out=")
        repair = "use symc.tensor's functions, or get values with x.eval({...})"
        raise TypeError(located(text, [v for v in operands if isinstance(v, Variable)], repair))
    return _MEANT[ufunc](*operands)
