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
from symc.tensor.pointwise import NOTHING_LEFT, elementwise, levels_off_at

__all__ = ["log1mexp", "logaddexp"]

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
