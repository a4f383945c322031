"""Formulas of elementwise functions that consist of polynomials, one for each part of the range."""

from __future__ import annotations

import math

from symc.loops.expr import Expr, call, polynomial, select

__all__ = ["logcosh_form"]

_LOG_2 = math.log(2)

# log(cosh(sqrt(z))) / z up to 0.75**2, and log1p(t) / t up to exp(-1.5)
_LOGCOSH_NEAR = {
    "float32": (0.5, -0.08333331346511841, 0.022221719846129417, -0.006740521639585495, 0.002157736336812377,
                -0.0006567658274434507, 0.0001346002973150462),
    "float64": (0.5, -0.08333333333333272, 0.022222222222159894, -0.006746031743564786, 0.002186948802775735,
                -0.0007386023354940436, 0.0002565756166403168, -9.096315471925321e-05, 3.268147362456017e-05,
                -1.1704618646107571e-05, 3.955402619397513e-06, -1.0892025225720252e-06, 1.7173328660625134e-07),
}  # fmt: skip
_LOG1P_SMALL = {
    "float32": (1.0, -0.49999991059303284, 0.3333266079425812, -0.24981296062469482, 0.19748921692371368,
                -0.14888861775398254, 0.0760408267378807),
    "float64": (1.0, -0.4999999999999971, 0.3333333333325968, -0.24999999992615982, 0.19999999614858271,
                -0.1666665468426051, 0.1428547414499765, -0.12496757218879001, 0.11080873866511162,
                -0.09803560367907548, 0.08206175245814193, -0.05622846478610856, 0.022166671953041516),
}  # fmt: skip


def logcosh_form(x: Expr) -> Expr:
    """``x**2`` times a polynomial, or ``|x| - log(2) + log1p(exp(-2 |x|))`` where nothing of it cancels."""
    size = abs(x)
    z, t = x * x, call("exp", -2.0 * size)
    near = z * polynomial(z, _LOGCOSH_NEAR[x.dtype])
    return select(size < 0.75, near, size - _LOG_2 + t * polynomial(t, _LOG1P_SMALL[x.dtype]))
