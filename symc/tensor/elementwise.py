"""Elementwise mathematics: every op is one statement (see ``symc.tensor.pointwise``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Constant, Variable
from symc.graph.dtypes import is_complex, is_float
from symc.graph.gradient_flow import ZERO, Selected
from symc.graph.notation import ATOM, POWER, held
from symc.loops import expr
from symc.loops.expr import Expr, call, select
from symc.loops.functions import FUNCTIONS
from symc.tensor.arithmetic import (  # noqa: F401 (users find all elementwise functions here)
    abs_,
    add,
    and_,
    ceil,
    clip,
    eq,
    floor,
    floor_div,
    ge,
    gt,
    inv,
    invert,
    isinf,
    isnan,
    le,
    left_shift,
    lt,
    maximum,
    minimum,
    mod,
    mul,
    neg,
    neq,
    or_,
    right_shift,
    round_half_away_from_zero,
    round_half_to_even,
    sgn,
    sqr,
    sqrt,
    sub,
    switch,
    true_div,
    trunc,
    where,
    xor,
)
from symc.tensor.basic import as_tensor, number_repeated, unify_dtypes
from symc.tensor.conversion import cast
from symc.tensor.keywords import also_named
from symc.tensor.pointwise import NOTHING_LEFT, Bounds, Elementwise, elementwise, levels_off_at
from symc.tensor.scalar_forms import logcosh_form
from symc.tensor.special.erfc_forms import log_erfc

_LOG_2 = float(np.log(2))

# --- powers -------------------------------------------------------------------------------------------------------


def _pow_body(x: Expr, y: Expr) -> Expr:
    return call("pow", x, y)


def _pow_grad(g: Variable, z: Variable, x: Variable, y: Variable) -> Sequence[Any]:
    """Derivatives of ``x ** y``. At x = 0 the derivative by y is defined as 0, and so is that of ``x ** 0`` by x.

    These cases occur in higher derivatives of ``x ** n``: after n of them, ``0 * x ** -1`` would be NaN.
    """
    at_zero = eq(x, 0)
    by_y = Selected(at_zero, g * (z * log(x)), negated=True)
    known = number_repeated(y)
    if known is None:
        return Selected(and_(at_zero, eq(y, 0)), g * (y * power(x, y - 1)), negated=True), by_y
    if known == 0:
        return ZERO, by_y
    return g * (y * power(x, Constant(known - 1, y.dtype))), by_y


def _pow_levels_off(inputs: Sequence[Variable]) -> Sequence[Bounds]:
    exponent = number_repeated(inputs[1])
    falls = exponent is not None and exponent < 0
    return (-np.inf, np.inf) if falls else (None, None), (None, None)


def _pow_numpy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.power(x, y)


float_power = elementwise(
    "pow",
    _pow_body,
    _pow_numpy,
    _pow_grad,
    domain=((0.5, 2), (-2, 2)),
    compute="float",
    formula=lambda op, args: (f"{held(args[0], ATOM)} ** {held(args[1], POWER)}", POWER),
    levels_off=_pow_levels_off,
)


@also_named(a="x", b="y")
def power(x: Any, y: Any, dtype: str | None = None) -> Variable:
    """``x`` to the power ``y``.

    Integer powers of integers are integers, computed by multiplication, and wrap around as in NumPy (if ``y`` is not
    known, up to ``y`` = 255); negative powers are rounded to integers. A known negative ``y`` returns floats.
    """
    x, y = as_tensor(x), as_tensor(y)
    met = unify_dtypes([x, y])
    whole = "int8" if met == "bool" else met
    known = isinstance(y, Constant) and y.ndim == 0
    if is_float(met) or is_complex(met) or (known and y.data < 0):
        made = float_power(x, y)
    elif known:
        made = _whole_power(cast(x, whole), int(y.data))
    else:
        made = _whole_power_of_any(cast(x, whole), cast(y, whole))
    return made if dtype is None else cast(made, dtype)


def _whole_power(x: Variable, n: int) -> Variable:
    """Compute an integer power by multiplication, which wraps around as in NumPy."""
    result = x * 0 + 1
    while n:
        if n & 1:
            result = mul(result, x)
        n >>= 1
        if n:
            x = sqr(x)
    return result


def _whole_power_of_any(x: Variable, y: Variable) -> Variable:
    """The same for exponents that are not known. Beyond 255, only whether they are odd counts, as for 0, 1 and -1."""
    signed = x.dtype.startswith("int")
    exponent, result, factor = abs_(y) if signed else y, x * 0 + 1, x
    if x.dtype not in ("int8", "uint8"):
        exponent = switch(gt(exponent, 255), 254 + and_(exponent, 1), exponent)
    for k in range(7 if x.dtype == "int8" else 8):
        result = mul(result, switch(neq(and_(exponent, 1 << k), 0), factor, 1))
        factor = sqr(factor)
    if not signed:
        return result
    return switch(ge(y, 0), result, switch(eq(abs_(x), 1), result, 0))


# --- exponentials and logarithms ----------------------------------------------------------------------------------

exp = elementwise(
    "exp",
    lambda x: call("exp", x),
    np.exp,
    lambda g, y, x: (g * y,),
    bounded_slope=True,
    nonnegative="always",
    log=lambda op, inputs: inputs[0],
    exponential=True,
    levels_off=levels_off_at(-NOTHING_LEFT, None),
)
exp2 = elementwise(
    "exp2",
    lambda x: call("exp2", x),
    np.exp2,
    lambda g, y, x: (g * y * float(np.log(2)),),
    bounded_slope=True,
    nonnegative="always",
    log=lambda op, inputs: inputs[0] * float(np.log(2)),
    exponential=True,
    levels_off=levels_off_at(-NOTHING_LEFT, None),
)
expm1 = elementwise(
    "expm1",
    lambda x: call("expm1", x),
    np.expm1,
    lambda g, y, x: (g * exp(x),),
    bounded_slope=True,
    exponential=True,
    levels_off=levels_off_at(-NOTHING_LEFT, None),
)
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
    "arctan",
    lambda x: call("arctan", x),
    np.arctan,
    lambda g, y, x: (g * inv(1 + sqr(x)),),
    bounded_slope=True,
    levels_off=levels_off_at(-np.inf, np.inf),
)
arctan2 = elementwise(
    "arctan2", lambda y, x: call("arctan2", y, x), np.arctan2,
    lambda g, z, y, x: (g * x / (sqr(x) + sqr(y)), -(g * y) / (sqr(x) + sqr(y))), domain=(0.3, 2),
    levels_off=lambda inputs: ((-np.inf, np.inf), (-np.inf, np.inf)),
)  # fmt: skip
sinh = elementwise(
    "sinh",
    lambda x: call("sinh", x),
    np.sinh,
    lambda g, y, x: (g * cosh(x),),
    bounded_slope=True,
    exponential=True,
)
cosh: Elementwise = elementwise(
    "cosh",
    lambda x: call("cosh", x),
    np.cosh,
    lambda g, y, x: (g * sinh(x),),
    bounded_slope=True,
    nonnegative="always",
    log=lambda op, inputs: logcosh(inputs[0]),
    exponential=True,
)
tanh = elementwise(
    "tanh",
    lambda x: call("tanh", x),
    np.tanh,
    lambda g, y, x: (g * tanh_slope(x),),
    bounded_slope=True,
    levels_off=levels_off_at(-NOTHING_LEFT, NOTHING_LEFT),
)
# 1 - y**2, which is wrong in all its digits where y is almost 1
tanh_slope: Elementwise = elementwise(
    "tanh_slope",
    lambda x: 4.0 * call("sigmoid_slope", 2.0 * x),
    lambda x: 1 / np.square(np.cosh(x.astype("float64"))),
    lambda g, y, x: (g * (-2 * y * tanh(x)),),
    bounded_slope=True,
    nonnegative="always",
    bounded=True,
    log=lambda op, inputs: -2 * logcosh(inputs[0]),
    levels_off=levels_off_at(-NOTHING_LEFT, NOTHING_LEFT),
)


logcosh: Elementwise = elementwise(
    "logcosh",
    logcosh_form,
    lambda x: np.logaddexp(x.astype("float64"), -x.astype("float64")) - _LOG_2,
    lambda g, y, x: (g * tanh(x),),
    bounded_slope=True,
)
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
    FUNCTIONS["erf"].numpy,
    lambda g, y, x: (g * exp(-sqr(x)) * _TWO_OVER_SQRT_PI,),
    bounded_slope=True,
    levels_off=levels_off_at(-NOTHING_LEFT, NOTHING_LEFT),
)
erfc = elementwise(
    "erfc",
    lambda x: call("erfc", x),
    FUNCTIONS["erfc"].numpy,
    lambda g, y, x: (-g * exp(-sqr(x)) * _TWO_OVER_SQRT_PI,),
    bounded_slope=True,
    nonnegative="always",
    bounded=True,
    log=lambda op, inputs: log_erfc(inputs[0]),
    levels_off=levels_off_at(-NOTHING_LEFT, NOTHING_LEFT),
)


def _stable_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x.astype("float64")))


def _stable_softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x.astype("float64"))


sigmoid = elementwise(
    "sigmoid",
    lambda x: call("sigmoid", x),
    _stable_sigmoid,
    lambda g, y, x: (g * sigmoid_slope(x),),
    bounded_slope=True,
    nonnegative="always",
    bounded=True,
    log=lambda op, inputs: -softplus(-inputs[0]),
    levels_off=levels_off_at(-NOTHING_LEFT, NOTHING_LEFT),
)
# y * (1 - y), which is wrong in all its digits where y is almost 1
sigmoid_slope: Elementwise = elementwise(
    "sigmoid_slope",
    lambda x: call("sigmoid_slope", x),
    lambda x: 0.25 / np.square(np.cosh(0.5 * x.astype("float64"))),
    lambda g, y, x: (-(g * y * tanh(0.5 * x)),),
    bounded_slope=True,
    nonnegative="always",
    bounded=True,
    log=lambda op, inputs: -(softplus(inputs[0]) + softplus(-inputs[0])),
    levels_off=levels_off_at(-NOTHING_LEFT, NOTHING_LEFT),
)
softplus: Elementwise = elementwise(
    "softplus",
    lambda x: call("softplus", x),
    _stable_softplus,
    lambda g, y, x: (g * sigmoid(x),),
    bounded_slope=True,
    nonnegative="always",
    bounded=True,
    log=lambda op, inputs: log_softplus(inputs[0]),
    levels_off=levels_off_at(-NOTHING_LEFT, None),
)
# below the threshold, where sigmoid and softplus may underflow, series in e = exp(x) with an error of the order of e**3
_SOFTPLUS_TAIL = {"float32": -7.0, "float64": -14.0}


def _in_softplus_tail(x: Expr, series: Callable[[Expr], Expr], otherwise: Expr) -> Expr:
    return select(x < _SOFTPLUS_TAIL[x.dtype], series(call("exp", x)), otherwise)


def _softplus_hazard_body(x: Expr) -> Expr:
    near = call("sigmoid", x) / call("softplus", x)
    return _in_softplus_tail(x, lambda e: 1.0 - e * (0.5 - e * (5 / 12)), near)


def _softplus_bend_body(x: Expr) -> Expr:
    near = call("sigmoid", -x) - call("sigmoid", x) / call("softplus", x)
    return _in_softplus_tail(x, lambda e: e * (e * (7 / 12) - 0.5), near)


def _hazard(x: np.ndarray) -> np.ndarray:
    wide = x.astype("float64")
    return np.where(wide < -700, 1.0, np.exp(-np.logaddexp(0, -wide)) / np.logaddexp(0, wide))


log_softplus: Elementwise = elementwise(
    "log_softplus",
    lambda x: _in_softplus_tail(x, lambda e: x - e * (0.5 - e * (5 / 24)), call("log", call("softplus", x))),
    lambda x: np.log(np.logaddexp(0, x.astype("float64"))),
    lambda g, y, x: (g * softplus_hazard(x),),
    bounded_slope=True,
)
softplus_hazard: Elementwise = elementwise(  # sigmoid(x) / softplus(x)
    "softplus_hazard",
    _softplus_hazard_body,
    _hazard,
    lambda g, y, x: (g * y * softplus_bend(x),),
    bounded_slope=True,
    nonnegative="always",
    levels_off=levels_off_at(-NOTHING_LEFT, np.inf),
)
softplus_bend: Elementwise = elementwise(  # sigmoid(-x) - sigmoid(x) / softplus(x)
    "softplus_bend",
    _softplus_bend_body,
    lambda x: np.exp(-np.logaddexp(0, x.astype("float64"))) - _hazard(x),
    lambda g, y, x: (-(g * (sigmoid_slope(x) + softplus_hazard(x) * y)),),
    bounded_slope=True,
    levels_off=levels_off_at(-NOTHING_LEFT, np.inf),
)
relu = elementwise(
    "relu",
    lambda x: call("max", x, expr.const(0, x.dtype)),
    lambda x: np.maximum(x, 0),
    lambda g, y, x: (Selected(y > 0, g),),
    domain=(0.2, 2),
    compute="arithmetic",
    bounded_slope=True,
    nonnegative="always",
)
