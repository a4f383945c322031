"""Numerically stable logarithms of expressions that overflow or underflow, and derivatives of saturating functions.

These elementwise ops are exact up to rounding over the whole range of floats, unlike the formulas that define them.
Rules replace those formulas by these ops, and the gradients of ``sigmoid`` and ``tanh`` use them. Their own gradients
are equally accurate, so derivatives of any order stay finite where they exist.
"""

from __future__ import annotations

import math

import numpy as np

from symc.graph import Variable
from symc.loops import expr
from symc.loops.expr import Expr, call, select
from symc.tensor import elementwise as ew
from symc.tensor.pointwise import NOTHING_LEFT, Elementwise, elementwise, levels_off_at

__all__ = ["gompit_bend", "gompit_hazard", "log1mexp", "log_gompit", "logaddexp"]

_LOG2 = math.log(2.0)


# --- sums of exponentials ---------------------------------------------------------------------------------------------


def _logaddexp_body(x: Expr, y: Expr) -> Expr:
    # equal operands may both be infinite, and their difference would be NaN
    gap = select(call("eq", x, y), expr.const(0, x.dtype), abs(x - y))
    return expr.maximum(x, y) + call("log1p", call("exp", -gap))


def _logaddexp_grad(g: Variable, z: Variable, x: Variable, y: Variable) -> tuple[Variable, Variable]:
    return g * ew.sigmoid(x - y), g * ew.sigmoid(y - x)


logaddexp = elementwise(
    "logaddexp",
    _logaddexp_body,
    lambda x, y: np.logaddexp(x.astype("float64"), y.astype("float64")),
    _logaddexp_grad,
    commutative=True,
    bounded_slope=True,
    levels_off=lambda inputs: ((-np.inf, None), (-np.inf, None)),
)


def _log1mexp_body(x: Expr) -> Expr:
    return select(x > -_LOG2, call("log", -call("expm1", x)), call("log1p", -call("exp", x)))


def _log1mexp_numpy(x: np.ndarray) -> np.ndarray:
    wide = x.astype("float64")
    return np.where(wide > -_LOG2, np.log(-np.expm1(wide)), np.log1p(-np.exp(wide)))


log1mexp = elementwise(
    "log1mexp",
    _log1mexp_body,
    _log1mexp_numpy,
    lambda g, y, x: (g * ew.exp(x) / ew.expm1(x),),
    domain=(-3, -0.1),
    levels_off=levels_off_at(-NOTHING_LEFT, None),
)


# --- 1 - exp(-exp(x)), the inverse of the complementary log-log link --------------------------------------------------

_GOMPIT_END = 8.0  # exp(-exp(8)) is zero in every dtype
_GOMPIT_START = -15.0  # below, two terms of the series in exp(x) are exact to rounding


def _log_gompit_body(x: Expr) -> Expr:
    rate = call("exp", x)
    return select(x < _GOMPIT_START, x - 0.5 * rate, _log1mexp_body(-rate))


def _rate(x: Expr) -> Expr:
    return call("exp", expr.minimum(expr.maximum(x, _GOMPIT_START), _GOMPIT_END))


def _gompit_hazard_body(x: Expr) -> Expr:
    rate = _rate(x)
    inside = select(x < _GOMPIT_START, 1.0 - 0.5 * call("exp", x), rate / call("expm1", rate))
    return select(x > _GOMPIT_END, expr.const(0, x.dtype), inside)


def _gompit_bend_body(x: Expr) -> Expr:
    rate = call("exp", expr.minimum(x, _GOMPIT_END))
    square = rate * rate
    series = 0.5 * rate + square * (1 / 12 - square * (1 / 720 - square * (1 / 30240 - square * (1 / 1209600))))
    return select(x < -1.2, series, _rate(x) / -call("expm1", -_rate(x)) - 1.0)


def _gompit_hazard_numpy(x: np.ndarray) -> np.ndarray:
    rate = np.exp(np.clip(x.astype("float64"), -100, 6.5))
    return np.where(x > 6.5, 0, rate / np.expm1(rate))


def _gompit_bend_numpy(x: np.ndarray) -> np.ndarray:
    rate = np.exp(np.minimum(x.astype("float64"), _GOMPIT_END))
    with np.errstate(all="ignore"):
        return np.where(rate < 1e-3, rate / 2 + rate**2 / 12, rate / -np.expm1(-rate) - 1)


log_gompit: Elementwise = elementwise(
    "log_gompit",
    _log_gompit_body,
    lambda x: np.where(x < -30, x, _log1mexp_numpy(-np.exp(np.maximum(x.astype("float64"), -30)))),
    lambda g, y, x: (g * gompit_hazard(x),),
    bounded_slope=True,
    levels_off=levels_off_at(None, np.inf),
)
"""``log(1 - exp(-exp(x)))``."""

gompit_hazard: Elementwise = elementwise(
    "gompit_hazard",
    _gompit_hazard_body,
    _gompit_hazard_numpy,
    lambda g, y, x: (-(g * y * gompit_bend(x)),),
    bounded_slope=True,
    nonnegative="always",
    bounded=True,
    levels_off=levels_off_at(-NOTHING_LEFT, np.inf),
)
"""The derivative of ``log_gompit``: ``exp(x) / (exp(exp(x)) - 1)``."""

gompit_bend: Elementwise = elementwise(
    "gompit_bend",
    _gompit_bend_body,
    _gompit_bend_numpy,
    lambda g, y, x: (g * (ew.exp(ew.minimum(x, _GOMPIT_END)) - gompit_hazard(x) * y),),
    bounded_slope=True,
    nonnegative="always",
    levels_off=levels_off_at(-NOTHING_LEFT, None),
)
"""``exp(x) / (1 - exp(-exp(x))) - 1`` up to x = 8, and constant beyond, where it is multiplied by a hazard of zero."""
