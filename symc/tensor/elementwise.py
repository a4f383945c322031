"""Elementwise mathematics: every op is one statement (see ``symc.tensor.pointwise`` for its parts)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Constant, Variable
from symc.graph.dtypes import is_float
from symc.graph.gradient_flow import ZERO, Choice, Selected
from symc.loops import expr
from symc.loops.expr import Expr, call
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.pointwise import Elementwise, cast, elementwise  # noqa: F401 (``cast`` is one of the ops)

# --- arithmetic ---------------------------------------------------------------------------------------------------

add = elementwise(
    "add",
    lambda x, y: x + y if x.dtype != "bool" else x | y,
    np.add,
    lambda g, z, x, y: (g, g),
    linear="jointly",
    compute="same",
    commutative=True,
    several=True,
)
sub = elementwise(
    "sub", lambda x, y: x - y, np.subtract, lambda g, z, x, y: (g, -g), compute="arithmetic", linear="jointly"
)
mul = elementwise(
    "mul",
    lambda x, y: x * y if x.dtype != "bool" else x & y,
    np.multiply,
    lambda g, z, x, y: (g * y, g * x),
    linear="separately",
    bounded_slope=True,
    compute="same",
    commutative=True,
    several=True,
)
true_div = elementwise(
    "true_div", lambda x, y: x / y, np.divide, lambda g, z, x, y: (g / y, -(g * z) / y), domain=((-2, 2), (0.5, 2)),
    linear="first",
)  # fmt: skip
floor_div = elementwise(
    "floor_div",
    lambda x, y: call("floordiv", x, y),
    np.floor_divide,
    compute="arithmetic",
    domain=((-9, 9), (1, 4)),
    smooth=False,
)
mod = elementwise(
    "mod", lambda x, y: call("mod", x, y), np.mod, lambda g, z, x, y: (g, -g * floor_div(x, y)),
    compute="arithmetic", domain=((4.1, 4.9), (1.1, 1.3)), smooth=False,
)  # fmt: skip
neg = elementwise("neg", lambda x: -x, np.negative, lambda g, y, x: (-g,), compute="arithmetic", linear="jointly")
abs_ = elementwise(
    "abs",
    lambda x: abs(x),
    np.abs,
    lambda g, y, x: (switch(eq(x, 0), 0, g * sgn(x)),),
    domain=(0.2, 2),
    compute="arithmetic",
    bounded_slope=True,
)


def _sgn_body(x: Expr) -> Expr:
    sign = expr.cast(x > 0, x.dtype) - expr.cast(x < 0, x.dtype)
    return expr.select(call("isnan", x), x, sign) if is_float(x.dtype) else sign


sgn: Elementwise = elementwise(
    "sgn",
    _sgn_body,
    np.sign,
    domain=(0.2, 2),
    compute="arithmetic",
    smooth=False,
)
sqr = elementwise(
    "sqr", lambda x: x * x, np.square, lambda g, y, x: (g * x * 2,), compute="arithmetic", bounded_slope=True
)
sqrt = elementwise("sqrt", lambda x: call("sqrt", x), np.sqrt, lambda g, y, x: (g * 0.5 / y,), domain=(0.3, 3))
inv = elementwise("reciprocal", lambda x: 1.0 / x, np.reciprocal, lambda g, y, x: (-(g * y * y),), domain=(0.5, 2))


def _by_the_first(g: Variable, first: Variable) -> tuple[Selected, Selected]:
    """The gradient flows to the first operand where that was taken, else to the second."""
    return Selected(first, g), Selected(first, g, negated=True)


maximum = elementwise(
    "maximum",
    lambda x, y: call("max", x, y),
    np.maximum,
    lambda g, z, x, y: _by_the_first(g, eq(z, x)),
    domain=((-2, 2), (-1.9, 2.1)),
    compute="same",
    commutative=True,
    bounded_slope=True,
    several=True,
)
minimum = elementwise(
    "minimum",
    lambda x, y: call("min", x, y),
    np.minimum,
    lambda g, z, x, y: _by_the_first(g, eq(z, x)),
    domain=((-2, 2), (-1.9, 2.1)),
    compute="same",
    commutative=True,
    bounded_slope=True,
    several=True,
)


def _pow_body(x: Expr, y: Expr) -> Expr:
    return call("pow", x, y)


def _pow_grad(g: Variable, z: Variable, x: Variable, y: Variable) -> Sequence[Any]:
    """At x = 0 the derivative by y is taken to be 0, and so is that of ``x ** 0`` by x.

    These come up in derivatives of every order of ``x ** n``: after n of them, ``0 * x ** -1`` would be NaN.
    """
    at_zero = eq(x, 0)
    by_y = Selected(at_zero, g * (z * log(x)), negated=True)
    known = _number_repeated(y)
    if known is None:
        return Selected(and_(at_zero, eq(y, 0)), g * (y * power(x, y - 1)), negated=True), by_y
    if known == 0:
        return ZERO, by_y
    return g * (y * power(x, Constant(known - 1, y.dtype))), by_y


def _number_repeated(v: Variable) -> Any:
    """The number that ``v`` repeats, or None where it is not one, or not known now."""
    while v.owner is not None and v.owner.op.name in ("dimshuffle", "expand", "broadcast", "cast"):
        v = v.owner.inputs[0]
    return v.data.reshape(()) if isinstance(v, Constant) and v.data.size == 1 else None


def _pow_numpy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.power(x, y)


_power = elementwise("pow", _pow_body, _pow_numpy, _pow_grad, domain=((0.5, 2), (-2, 2)), compute="float")


def power(x: Any, y: Any, dtype: str | None = None) -> Variable:
    """``x`` to the power ``y``.

    Whole numbers to whole powers stay whole. Where ``y`` is known they are multiplied out and wrap around as NumPy's
    do; otherwise they are right up to 2**53, and negative powers are rounded to whole numbers. A known negative ``y``
    gives floats.
    """
    x, y = as_tensor(x), as_tensor(y)
    met = unify_dtypes([x, y])
    whole = "int8" if met == "bool" else met
    known = isinstance(y, Constant) and y.ndim == 0
    if is_float(met) or (known and y.data < 0):
        made = _power(x, y)
    elif known:
        made = _whole_power(cast(x, whole), int(y.data))
    else:
        made = cast(round_half_to_even(_power(cast(x, "float64"), cast(y, "float64"))), whole)
    return made if dtype is None else cast(made, dtype)


def _whole_power(x: Variable, n: int) -> Variable:
    """A power of whole numbers as products, which wrap around where NumPy's do."""
    result = x * 0 + 1
    while n:
        if n & 1:
            result = mul(result, x)
        n >>= 1
        if n:
            x = sqr(x)
    return result


# --- exponentials and logarithms ----------------------------------------------------------------------------------

exp = elementwise("exp", lambda x: call("exp", x), np.exp, lambda g, y, x: (g * y,), bounded_slope=True)
exp2 = elementwise(
    "exp2", lambda x: call("exp2", x), np.exp2, lambda g, y, x: (g * y * float(np.log(2)),), bounded_slope=True
)
expm1 = elementwise("expm1", lambda x: call("expm1", x), np.expm1, lambda g, y, x: (g * (y + 1),), bounded_slope=True)
log = elementwise("log", lambda x: call("log", x), np.log, lambda g, y, x: (g / x,), domain=(0.1, 3))
log2 = elementwise(
    "log2", lambda x: call("log2", x), np.log2, lambda g, y, x: (g / (x * float(np.log(2))),), domain=(0.1, 3)
)
log10 = elementwise(
    "log10", lambda x: call("log10", x), np.log10, lambda g, y, x: (g / (x * float(np.log(10))),), domain=(0.1, 3)
)
log1p = elementwise("log1p", lambda x: call("log1p", x), np.log1p, lambda g, y, x: (g / (x + 1),), domain=(-0.8, 3))

# --- trigonometry -------------------------------------------------------------------------------------------------

sin = elementwise("sin", lambda x: call("sin", x), np.sin, lambda g, y, x: (g * cos(x),), bounded_slope=True)
cos: Elementwise = elementwise(
    "cos", lambda x: call("cos", x), np.cos, lambda g, y, x: (-(g * sin(x)),), bounded_slope=True
)
tan = elementwise(
    "tan", lambda x: call("tan", x), np.tan, lambda g, y, x: (g * (1 + sqr(y)),), domain=(-1, 1), bounded_slope=True
)
arcsin = elementwise(
    "arcsin", lambda x: call("arcsin", x), np.arcsin, lambda g, y, x: (g / sqrt((1 - x) * (1 + x)),), domain=(-0.9, 0.9)
)
arccos = elementwise(
    "arccos",
    lambda x: call("arccos", x),
    np.arccos,
    lambda g, y, x: (-g / sqrt((1 - x) * (1 + x)),),
    domain=(-0.9, 0.9),
)
arctan = elementwise(
    "arctan", lambda x: call("arctan", x), np.arctan, lambda g, y, x: (g / (1 + sqr(x)),), bounded_slope=True
)
arctan2 = elementwise(
    "arctan2", lambda y, x: call("arctan2", y, x), np.arctan2,
    lambda g, z, y, x: (g * x / (sqr(x) + sqr(y)), -(g * y) / (sqr(x) + sqr(y))), domain=(0.3, 2),
)  # fmt: skip
sinh = elementwise("sinh", lambda x: call("sinh", x), np.sinh, lambda g, y, x: (g * cosh(x),), bounded_slope=True)
cosh: Elementwise = elementwise(
    "cosh", lambda x: call("cosh", x), np.cosh, lambda g, y, x: (g * sinh(x),), bounded_slope=True
)
tanh = elementwise("tanh", lambda x: call("tanh", x), np.tanh, lambda g, y, x: (g * (1 - sqr(y)),), bounded_slope=True)
arcsinh = elementwise(
    "arcsinh", lambda x: call("arcsinh", x), np.arcsinh, lambda g, y, x: (g / sqrt(sqr(x) + 1),), bounded_slope=True
)
arccosh = elementwise(
    "arccosh",
    lambda x: call("arccosh", x),
    np.arccosh,
    lambda g, y, x: (g / (sqrt(x - 1) * sqrt(x + 1)),),
    domain=(1.2, 3),
)
arctanh = elementwise(
    "arctanh", lambda x: call("arctanh", x), np.arctanh, lambda g, y, x: (g / ((1 - x) * (1 + x)),), domain=(-0.9, 0.9)
)
deg2rad = elementwise(
    "deg2rad",
    lambda x: x * float(np.pi / 180),
    np.deg2rad,
    lambda g, y, x: (g * float(np.pi / 180),),
    bounded_slope=True,
)
rad2deg = elementwise(
    "rad2deg",
    lambda x: x * float(180 / np.pi),
    np.rad2deg,
    lambda g, y, x: (g * float(180 / np.pi),),
    bounded_slope=True,
)

# --- special functions --------------------------------------------------------------------------------------------

_TWO_OVER_SQRT_PI = float(2 / np.sqrt(np.pi))
erf = elementwise(
    "erf",
    lambda x: call("erf", x),
    expr.FUNCTIONS["erf"].numpy,
    lambda g, y, x: (g * exp(-sqr(x)) * _TWO_OVER_SQRT_PI,),
    bounded_slope=True,
)
erfc = elementwise(
    "erfc",
    lambda x: call("erfc", x),
    expr.FUNCTIONS["erfc"].numpy,
    lambda g, y, x: (-g * exp(-sqr(x)) * _TWO_OVER_SQRT_PI,),
    bounded_slope=True,
)


def _stable_sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (np.tanh(0.5 * x.astype("float64")) + 1)


def _stable_softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x.astype("float64"))


sigmoid = elementwise(
    "sigmoid", lambda x: call("sigmoid", x), _stable_sigmoid, lambda g, y, x: (g * y * (1 - y),), bounded_slope=True
)
softplus = elementwise(
    "softplus", lambda x: call("softplus", x), _stable_softplus, lambda g, y, x: (g * sigmoid(x),), bounded_slope=True
)
relu = elementwise(
    "relu",
    lambda x: call("max", x, expr.const(0, x.dtype)),
    lambda x: np.maximum(x, 0),
    lambda g, y, x: (Selected(y > 0, g),),
    domain=(0.2, 2),
    compute="arithmetic",
    bounded_slope=True,
)

# --- rounding -----------------------------------------------------------------------------------------------------


def _rounding(name: str) -> Callable[[Expr], Expr]:
    return lambda x: call(name, x) if is_float(x.dtype) else x


def _rounded(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """NumPy's function, but integers keep their dtype: older versions make them floats."""
    return lambda x: function(x) if x.dtype.kind == "f" else x


floor = elementwise("floor", _rounding("floor"), _rounded(np.floor), compute="arithmetic", smooth=False)
ceil = elementwise("ceil", _rounding("ceil"), _rounded(np.ceil), compute="arithmetic", smooth=False)
trunc = elementwise("trunc", _rounding("trunc"), _rounded(np.trunc), compute="arithmetic", smooth=False)
round_half_to_even = elementwise(
    "round_half_to_even", _rounding("rint"), _rounded(np.rint), compute="arithmetic", smooth=False
)
round_half_away_from_zero = elementwise(
    "round_half_away_from_zero",
    _rounding("round_away"),
    _rounded(expr.FUNCTIONS["round_away"].numpy),
    compute="arithmetic",
    smooth=False,
)

# --- comparison, logic, choice ------------------------------------------------------------------------------------

lt = elementwise("lt", lambda x, y: call("lt", x, y), np.less, compute="same", result="bool")
le = elementwise("le", lambda x, y: call("le", x, y), np.less_equal, compute="same", result="bool")
gt = elementwise("gt", lambda x, y: call("gt", x, y), np.greater, compute="same", result="bool")
ge = elementwise("ge", lambda x, y: call("ge", x, y), np.greater_equal, compute="same", result="bool")
eq: Elementwise = elementwise(
    "eq", lambda x, y: call("eq", x, y), np.equal, compute="same", result="bool", commutative=True
)
neq: Elementwise = elementwise(
    "neq", lambda x, y: call("ne", x, y), np.not_equal, compute="same", result="bool", commutative=True
)
isnan = elementwise("isnan", lambda x: call("isnan", x), np.isnan, result="bool")
isinf = elementwise("isinf", lambda x: call("isinf", x), np.isinf, result="bool")
and_ = elementwise("and", lambda x, y: x & y, np.bitwise_and, compute="bits", commutative=True, several=True)
or_ = elementwise("or", lambda x, y: x | y, np.bitwise_or, compute="bits", commutative=True, several=True)
xor = elementwise("xor", lambda x, y: x ^ y, np.bitwise_xor, compute="bits", commutative=True, several=True)
invert = elementwise("invert", lambda x: ~x, np.invert, compute="bits")
switch: Elementwise = elementwise(
    "switch", lambda c, x, y: expr.select(c, x, y), np.where,
    lambda g, z, c, x, y: (
        ZERO, Selected(c, g, choice=Choice.CONDITION), Selected(c, g, negated=True, choice=Choice.CONDITION),
    ),
    compute="same", mixed=True, bounded_slope=True,
)  # fmt: skip


def where(condition: Any, x: Any, y: Any) -> Variable:
    """``x`` where ``condition`` holds, else ``y``; all three are broadcast together."""
    return switch(condition, x, y)


def _clip_numpy(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(x, low), high)


def _clip_grad(g: Variable, z: Variable, x: Variable, low: Variable, high: Variable) -> Sequence[Any]:
    above = gt(maximum(x, low), high)
    below = lt(x, low)
    return (
        Selected(or_(above, below), g, negated=True),
        Selected(and_(below, invert(above)), g),
        Selected(above, g),
    )


clip = elementwise(
    "clip",
    lambda x, low, high: expr.minimum(expr.maximum(x, low), high),
    _clip_numpy,
    _clip_grad,
    domain=((-0.4, 0.4), (-1, -0.5), (0.5, 1)),
    compute="same",
    bounded_slope=True,
)
