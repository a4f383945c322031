"""The scalar functions of the loop IR.

``FUNCTIONS`` lists every one with its NumPy implementation, its number of arguments and its result dtype. The dialect
of a back end defines how to write it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from symc.graph.bfloat16 import bits_of, values_of

__all__ = ["FUNCTIONS", "Function"]


class Function(NamedTuple):
    """A scalar function: NumPy implementation, arity, result dtype.

    That is ``"same"`` as the first operand's, ``"second"``, as the second operand's, or a dtype. ``costly`` functions
    take longer than the load of an operand from cache, those with an ``instruction`` no longer than one from memory.
    """

    numpy: Callable[..., Any]
    arity: int
    result: str = "same"
    costly: bool = False
    instruction: bool = False


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(np.asarray(x).dtype)


def _sigmoid_slope(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return e / np.square(1 + e)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _round_away(x: np.ndarray) -> np.ndarray:
    return np.copysign(np.floor(np.abs(x) + np.asarray(0.5, np.asarray(x).dtype)), x)


def _through_libm(name: str) -> Callable[..., np.ndarray]:
    """Vectorise a function of the standard library that NumPy lacks."""
    import math

    function = getattr(math, name)

    def one(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return math.inf
        except ValueError:
            return math.inf if x != -math.inf else math.nan

    def apply(x: np.ndarray) -> np.ndarray:
        array = np.asarray(x)
        flat = [one(float(v)) for v in array.ravel()]
        return np.array(flat, dtype=array.dtype).reshape(array.shape)

    return apply


def _mulhi(a: Any, b: Any) -> np.ndarray:
    return ((np.asarray(a).astype(np.uint64) * np.asarray(b).astype(np.uint64)) >> np.uint64(32)).astype(np.uint32)


def _safe_floordiv(a: Any, b: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.floor_divide(a, b)


def _safe_mod(a: Any, b: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.mod(a, b)


def _select(c: Any, a: Any, b: Any) -> Any:
    return np.where(c, a, b)


FUNCTIONS: dict[str, Function] = {
    "add": Function(np.add, 2),
    "sub": Function(np.subtract, 2),
    "mul": Function(np.multiply, 2),
    "div": Function(np.divide, 2, costly=True, instruction=True),
    "floordiv": Function(_safe_floordiv, 2, costly=True),
    "mod": Function(_safe_mod, 2, costly=True),
    "neg": Function(np.negative, 1),
    "abs": Function(np.abs, 1),
    "min": Function(np.minimum, 2),
    "max": Function(np.maximum, 2),
    "and": Function(np.bitwise_and, 2),
    "or": Function(np.bitwise_or, 2),
    "xor": Function(np.bitwise_xor, 2),
    "not": Function(np.invert, 1),
    "shl": Function(np.left_shift, 2),
    "shr": Function(np.right_shift, 2),
    "mulhi": Function(_mulhi, 2),
    "lt": Function(np.less, 2, "bool"),
    "le": Function(np.less_equal, 2, "bool"),
    "gt": Function(np.greater, 2, "bool"),
    "ge": Function(np.greater_equal, 2, "bool"),
    "eq": Function(np.equal, 2, "bool"),
    "ne": Function(np.not_equal, 2, "bool"),
    "isnan": Function(np.isnan, 1, "bool"),
    "isinf": Function(np.isinf, 1, "bool"),
    "select": Function(_select, 3, "second"),
    "bfloat16_bits": Function(bits_of, 1, "uint16"),
    "bfloat16_value": Function(values_of, 1, "float32"),
    "sqrt": Function(np.sqrt, 1, costly=True, instruction=True),
    "floor": Function(np.floor, 1),
    "ceil": Function(np.ceil, 1),
    "trunc": Function(np.trunc, 1),
    "rint": Function(np.rint, 1),
    "round_away": Function(_round_away, 1),
    "sigmoid": Function(_sigmoid, 1, costly=True),
    "sigmoid_slope": Function(_sigmoid_slope, 1, costly=True),
    "softplus": Function(_softplus, 1, costly=True),
    "erf": Function(_through_libm("erf"), 1, costly=True),
    "erfc": Function(_through_libm("erfc"), 1, costly=True),
    "gammaln": Function(_through_libm("lgamma"), 1, costly=True),
    "pow": Function(np.power, 2, costly=True),
    "arctan2": Function(np.arctan2, 2, costly=True),
    **{
        name: Function(getattr(np, name), 1, costly=True)
        for name in (
            "exp",
            "exp2",
            "expm1",
            "log",
            "log2",
            "log10",
            "log1p",
            "sin",
            "cos",
            "tan",
            "arcsin",
            "arccos",
            "arctan",
            "sinh",
            "cosh",
            "tanh",
            "arcsinh",
            "arccosh",
            "arctanh",
        )  # fmt: skip
    },
}
