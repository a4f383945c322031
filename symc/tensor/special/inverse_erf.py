"""Inverses of the error function and of its complement, from the quantiles of the normal distribution.

The rational approximations are those of M. J. Wichura, Algorithm AS 241, Applied Statistics 37 (1988), PPND16, whose
relative error is about 1e-16.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from symc.graph import Variable
from symc.loops import expr
from symc.loops.expr import Expr, call, select
from symc.loops.functions import FUNCTIONS
from symc.tensor import elementwise as ew
from symc.tensor.pointwise import elementwise

__all__ = ["erfcinv", "erfinv"]

_CENTRE = (
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
        4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
        3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
    ),
)  # fmt: skip
_TAIL = (
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
        1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
        1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
    ),
)  # fmt: skip
_FAR_TAIL = (
    (
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
        2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
    ),
    (
        1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4,
        1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
    ),
)  # fmt: skip


def _ratio(r: Expr, coefficients: tuple[Sequence[float], Sequence[float]]) -> Expr:
    above, below = (expr.const(c[-1], r.dtype) for c in coefficients)
    for a, b in zip(coefficients[0][-2::-1], coefficients[1][-2::-1]):
        above, below = above * r + a, below * r + b
    return above / below


def _half_quantile(q: Expr, tails: Expr) -> Expr:
    """The normal quantile of 0.5 + q, divided by sqrt(2); ``tails`` is 1 - 2 * abs(q) without its rounding."""
    r = call("sqrt", math.log(2) - call("log", tails))  # half of the least positive number would be 0
    outside = select(r <= 5.0, _ratio(r - 1.6, _TAIL), _ratio(r - 5.0, _FAR_TAIL))
    outside = select(call("eq", tails, 0.0), expr.const(math.inf, q.dtype), outside)
    outside = select(q < 0.0, -outside, outside)
    found = select(abs(q) <= 0.425, q * _ratio(0.180625 - q * q, _CENTRE), outside)
    return found * math.sqrt(0.5)


def _by_bisection(function: Callable[[np.ndarray], np.ndarray], falls: bool) -> Callable[[np.ndarray], np.ndarray]:
    """The inverse of a monotonic function on the interval [-30, 30]."""

    def inverse(y: np.ndarray) -> np.ndarray:
        wide = np.asarray(y, "float64")
        low, high = np.full(wide.shape, -30.0), np.full(wide.shape, 30.0)
        for _ in range(100):
            middle = (low + high) / 2
            right = (function(middle) < wide) != falls
            low, high = np.where(right, middle, low), np.where(right, high, middle)
        least, most = (0.0, 2.0) if falls else (-1.0, 1.0)
        found = np.where((wide > least) & (wide < most), high, np.nan)
        found = np.where(wide == least, np.inf if falls else -np.inf, found)
        return np.where(wide == most, -np.inf if falls else np.inf, found)

    return inverse


def _slope(y: Variable) -> Variable:
    return ew.exp(ew.sqr(y)) * (math.sqrt(math.pi) / 2)


erfinv = elementwise(
    "erfinv",
    lambda x: _half_quantile(0.5 * x, 1.0 - abs(x)),
    _by_bisection(FUNCTIONS["erf"].numpy, False),
    lambda g, y, x: (g * _slope(y),),
    domain=(-0.9, 0.9),
)
erfcinv = elementwise(
    "erfcinv",
    lambda x: _half_quantile(0.5 * (1.0 - x), select(x < 1.0, x, 2.0 - x)),
    _by_bisection(FUNCTIONS["erfc"].numpy, True),
    lambda g, y, x: (-(g * _slope(y)),),
    domain=(0.1, 1.9),
)
