"""Logarithms of the complementary error function, and their slopes, without overflow or underflow.

Beyond a threshold, erfc(x) = exp(-x^2) / (x sqrt(pi)) * S, with the asymptotic series S = 1 - t + 3 t^2 - 15 t^3 ...
in t = 1 / (2 x^2). The series is truncated where its terms are below the rounding of the dtype, which the threshold
ensures.
"""

from __future__ import annotations

import math

import numpy as np

from symc.loops import expr
from symc.loops.expr import Expr, call, select
from symc.loops.functions import FUNCTIONS
from symc.tensor.pointwise import NOTHING_LEFT, Elementwise, elementwise, levels_off_at

__all__ = ["erfc_hazard", "erfcx", "log_erfc", "log_half_erfc"]

_LOG2 = math.log(2.0)
_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
_erf, _erfc = FUNCTIONS["erf"].numpy, FUNCTIONS["erfc"].numpy


_FAR = {"float32": (4.0, 10), "float64": (8.0, 14)}


def _far(x: Expr) -> tuple[Expr, Expr, Expr]:
    """Return whether ``x`` is beyond the threshold; ``max(x, threshold)``; and ``(1 - S) / t``."""
    threshold, terms = _FAR[x.dtype]
    big = expr.maximum(x, threshold)
    t = 0.5 / big / big
    tail = expr.const(0, x.dtype)
    for k in range(terms, 1, -1):
        tail = (2.0 * k - 1.0) * t * (1.0 - tail)
    return x > threshold, big, 1.0 - tail


def _exp_of_negative_square(x: Expr) -> Expr:
    """``exp(-x * x)`` without the rounding error of the square, which the exponential would amplify."""
    x = expr.minimum(expr.maximum(x, -30.0), 30.0)  # beyond, the result is zero in every dtype
    high = call("rint", x * 16.0) * 0.0625
    return call("exp", -(high * high)) * call("exp", -((x - high) * (x + high)))


def _missing(big: Expr, rest: Expr) -> Expr:
    """``1 - S``."""
    return 0.5 / big / big * rest


def _log_erfc_far(big: Expr, rest: Expr) -> Expr:
    return -(big * big) - call("log", big * math.sqrt(math.pi)) + call("log1p", -_missing(big, rest))


def _log_erfc_body(x: Expr) -> Expr:
    far, big, rest = _far(x)
    near = select(abs(x) < 0.5, call("log1p", -call("erf", x)), call("log", call("erfc", x)))
    return select(far, _log_erfc_far(big, rest), near)


def _log_half_erfc_body(x: Expr) -> Expr:
    far, big, rest = _far(x)
    near = select(x < 0.0, call("log1p", -0.5 * call("erfc", -x)), call("log", 0.5 * call("erfc", x)))
    return select(far, _log_erfc_far(big, rest) - _LOG2, near)


def _hazard_body(x: Expr) -> Expr:
    far, big, rest = _far(x)
    return select(
        far, 2.0 * big / (1.0 - _missing(big, rest)), _TWO_OVER_SQRT_PI * _exp_of_negative_square(x) / call("erfc", x)
    )


def _excess_body(x: Expr) -> Expr:
    far, big, rest = _far(x)
    return select(far, rest / big / (1.0 - _missing(big, rest)), _hazard_body(x) - 2.0 * x)


def _erfcx_body(x: Expr) -> Expr:
    far, big, rest = _far(x)
    return select(
        far, (1.0 - _missing(big, rest)) / (big * math.sqrt(math.pi)), call("erfc", x) / _exp_of_negative_square(x)
    )


def _erfcx_fraction(x: np.ndarray) -> np.ndarray:
    """``exp(x^2) erfc(x)`` for x of at least 3, by Laplace's continued fraction."""
    found = x
    for k in range(120, 0, -1):
        found = x + k / 2 / found
    return 1 / (found * math.sqrt(math.pi))


def _erfcx_numpy(x: np.ndarray) -> np.ndarray:
    wide = x.astype("float64")
    near = np.minimum(wide, 3)
    return np.where(wide > 3, _erfcx_fraction(np.maximum(wide, 3)), np.exp(near * near) * _erfc(near))


def _log_erfc_numpy(x: np.ndarray) -> np.ndarray:
    wide = x.astype("float64")
    far = np.maximum(wide, 3)
    near = np.where(np.abs(wide) < 0.5, np.log1p(-_erf(wide)), np.log(_erfc(np.minimum(wide, 3))))
    return np.where(wide > 3, np.log(_erfcx_fraction(far)) - far * far, near)


def _log_half_erfc_numpy(x: np.ndarray) -> np.ndarray:
    wide = x.astype("float64")
    return np.where(wide < 0, np.log1p(-_erfc(np.abs(wide)) / 2), _log_erfc_numpy(wide) - _LOG2)


def _hazard_numpy(x: np.ndarray) -> np.ndarray:
    wide = x.astype("float64")
    near = np.minimum(wide, 3)
    return _TWO_OVER_SQRT_PI * np.where(
        wide > 3, 1 / _erfcx_fraction(np.maximum(wide, 3)), np.exp(-near * near) / _erfc(near)
    )


def _excess_numpy(x: np.ndarray) -> np.ndarray:
    wide = x.astype("float64")
    far = np.maximum(wide, 3)
    found = far
    for k in range(120, 1, -1):
        found = far + k / 2 / found
    return np.where(wide > 3, 1 / found, _hazard_numpy(wide) - 2 * wide)


erfc_hazard = elementwise(
    "erfc_hazard",
    _hazard_body,
    _hazard_numpy,
    lambda g, y, x: (g * y * _erfc_excess(x),),
    bounded_slope=True,
    nonnegative="always",
    levels_off=levels_off_at(-NOTHING_LEFT, None),
)
"""The negated derivative of ``log(erfc(x))``: about ``2 x`` for large x, and near zero for negative x."""


_erfc_excess: Elementwise = elementwise(
    "erfc_excess",
    _excess_body,
    _excess_numpy,
    lambda g, y, x: (g * (erfc_hazard(x) * y - 2),),
    bounded_slope=True,
    nonnegative="always",
    levels_off=levels_off_at(None, np.inf),
)
"""``erfc_hazard(x) - 2 x`` without cancellation."""


log_erfc = elementwise(
    "log_erfc", _log_erfc_body, _log_erfc_numpy, lambda g, y, x: (-(g * erfc_hazard(x)),), bounded_slope=True
)


log_half_erfc = elementwise(
    "log_half_erfc",
    _log_half_erfc_body,
    _log_half_erfc_numpy,
    lambda g, y, x: (-(g * erfc_hazard(x)),),
    bounded_slope=True,
)


erfcx = elementwise(
    "erfcx", _erfcx_body, _erfcx_numpy, lambda g, y, x: (-(g * y * _erfc_excess(x)),), bounded_slope=True,
    nonnegative="always", levels_off=levels_off_at(None, np.inf),
)  # fmt: skip
"""``exp(x ** 2) * erfc(x)``, the scaled complementary error function."""
