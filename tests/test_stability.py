"""Stable forms that people write, and their derivatives of first to third order, against formulas in high precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
import sympy

import symc
import symc.tensor as T

t = sympy.Symbol("t", real=True)
ROOT2 = float(np.sqrt(2))
erf, erfc = sympy.erf, sympy.erfc


def _sigmoid(x: object) -> sympy.Expr:
    return 1 / (1 + sympy.exp(-x))


FAR = (-800.0, -100.0, -88.5, -40.0, -17.0, -3.0, -1e-3, 0.0, 0.25, 2.0, 14.0, 20.0, 40.0, 89.0, 100.0, 800.0)
NEGATIVE = tuple(x for x in FAR if x < 0)
POSITIVE = tuple(x for x in FAR if x > 0)
BEYOND = tuple(x for x in FAR if abs(x) > 1)
LEVEL = (-800.0, -100.0, -89.0, -30.0, -3.0, -0.7, 0.25, 1.5, 3.0, 30.0, 50.0, 88.5, 89.0, 100.0, 800.0)
SOFT = tuple(x for x in FAR if x > -800)  # beyond, the formula's own logarithms lose all digits
TAILS = (-30.0, -9.5, -4.0, -1.0, -0.1, 0.0, 1e-4, 0.4, 0.9, 3.0, 5.0, 9.0, 14.0, 30.0)
CLOGLOG = sympy.log(1 - sympy.exp(-sympy.exp(t)))
# name: what is written in symc, the formula, where it is tried
FORMS: dict[str, tuple[Callable, sympy.Expr, tuple[float, ...]]] = {
    "log(1 + exp(x))": (lambda x: T.log(1 + T.exp(x)), sympy.log(1 + sympy.exp(t)), FAR),
    "log(exp(-x) + 1)": (lambda x: T.log(T.exp(-x) + 1), sympy.log(1 + sympy.exp(-t)), FAR),
    "log1p(exp(x))": (lambda x: T.log1p(T.exp(x)), sympy.log(1 + sympy.exp(t)), FAR),
    "log2(1 + exp(x))": (lambda x: T.log2(1 + T.exp(x)), sympy.log(1 + sympy.exp(t), 2), FAR),
    "1 / (1 + exp(-x))": (lambda x: 1 / (1 + T.exp(-x)), _sigmoid(t), FAR),
    "(1 + exp(-x)) ** -1": (lambda x: (1 + T.exp(-x)) ** -1, _sigmoid(t), FAR),
    "exp(x) / (1 + exp(x))": (lambda x: T.exp(x) / (1 + T.exp(x)), _sigmoid(t), FAR),
    "exp(-x) / (1 + exp(-x))": (lambda x: T.exp(-x) / (1 + T.exp(-x)), _sigmoid(-t), FAR),
    "e / (1 + e)": (lambda x: (lambda e: e / (1 + e))(T.exp(x)), _sigmoid(t), FAR),
    "1 - sigmoid(x)": (lambda x: 1 - T.nnet.sigmoid(x), _sigmoid(-t), FAR),
    "p * (1 - p)": (lambda x: (lambda p: p * (1 - p))(T.nnet.sigmoid(x)), _sigmoid(t) * _sigmoid(-t), FAR),
    "exp(x) / (1 + exp(x)) ** 2": (lambda x: T.exp(x) / (1 + T.exp(x)) ** 2, _sigmoid(t) * _sigmoid(-t), FAR),
    "softplus": (T.nnet.softplus, sympy.log(1 + sympy.exp(t)), FAR),
    "log(sigmoid(x))": (lambda x: T.log(T.nnet.sigmoid(x)), -sympy.log(1 + sympy.exp(-t)), FAR),
    "log(1 - sigmoid(x))": (lambda x: T.log(1 - T.nnet.sigmoid(x)), -sympy.log(1 + sympy.exp(t)), FAR),
    "log1p(-sigmoid(x))": (lambda x: T.log1p(-T.nnet.sigmoid(x)), -sympy.log(1 + sympy.exp(t)), FAR),
    "log(3 * sigmoid(x))": (lambda x: T.log(3 * T.nnet.sigmoid(x)), sympy.log(3) - sympy.log(1 + sympy.exp(-t)), FAR),
    "log(sigmoid(x) ** 2)": (lambda x: T.log(T.nnet.sigmoid(x) ** 2), -2 * sympy.log(1 + sympy.exp(-t)), FAR),
    "log(sqrt(sigmoid(x)))": (lambda x: T.log(T.sqrt(T.nnet.sigmoid(x))), -sympy.log(1 + sympy.exp(-t)) / 2, FAR),
    "log(exp(x) + exp(2 x))": (
        lambda x: T.log(T.exp(x) + T.exp(2 * x)), t + sympy.log(1 + sympy.exp(t)), FAR,
    ),
    "log of three exponentials": (
        lambda x: T.log(T.exp(x) + T.exp(-x) + T.exp(x / 2)),
        sympy.log(sympy.exp(t) + sympy.exp(-t) + sympy.exp(t / 2)), FAR,
    ),
    "log of a weighted sum": (
        lambda x: T.log(0.25 * T.exp(x) + 3 * T.exp(-2 * x) + 2),
        sympy.log(sympy.exp(t) / 4 + 3 * sympy.exp(-2 * t) + 2), FAR,
    ),
    "log of a difference": (
        lambda x: T.log(2 * T.exp(x) - 0.5 * T.exp(-x)), sympy.log(2 * sympy.exp(t) - sympy.exp(-t) / 2), POSITIVE,
    ),
    "log of a mixture": (
        lambda x: T.log(0.5 * T.nnet.sigmoid(x) + 0.5 * T.nnet.sigmoid(x - 3)),
        sympy.log(_sigmoid(t) / 2 + _sigmoid(t - 3) / 2), FAR,
    ),
    "log of a quotient": (lambda x: T.log(T.exp(x) / (1 + T.exp(2 * x))), t - sympy.log(1 + sympy.exp(2 * t)), FAR),
    "log(exp(x) - 1)": (lambda x: T.log(T.exp(x) - 1), sympy.log(sympy.exp(t) - 1), POSITIVE),
    "log(1 - exp(x))": (lambda x: T.log(1 - T.exp(x)), sympy.log(1 - sympy.exp(t)), NEGATIVE),
    "log1p(-exp(x))": (lambda x: T.log1p(-T.exp(x)), sympy.log(1 - sympy.exp(t)), NEGATIVE),
    "log(cosh(x))": (lambda x: T.log(T.cosh(x)), sympy.log(sympy.cosh(t)), FAR),
    "log(exp(x) + exp(-x))": (
        lambda x: T.log(T.exp(x) + T.exp(-x)), sympy.log(sympy.exp(t) + sympy.exp(-t)), FAR,
    ),
    "tanh": (T.tanh, sympy.tanh(t), FAR),
    "tanh from exponentials": (
        lambda x: (T.exp(x) - T.exp(-x)) / (T.exp(x) + T.exp(-x)), sympy.tanh(t), FAR,
    ),
    "tanh from one exponential": (lambda x: (T.exp(x) - 1) / (T.exp(x) + 1), sympy.tanh(t / 2), FAR),
    "2 sigmoid(x) - 1": (lambda x: 2 * T.nnet.sigmoid(x) - 1, sympy.tanh(t / 2), FAR),
    "log(1 - tanh(x))": (lambda x: T.log(1 - T.tanh(x)), sympy.log(2) - sympy.log(1 + sympy.exp(2 * t)), FAR),
    "exp(x) / (exp(x) + exp(-x))": (lambda x: T.exp(x) / (T.exp(x) + T.exp(-x)), _sigmoid(2 * t), FAR),
    "x * sigmoid(x)": (lambda x: x * T.nnet.sigmoid(x), t * _sigmoid(t), FAR),
    "cross-entropy, 1": (
        lambda x: T.nnet.binary_crossentropy(T.nnet.sigmoid(x), 1.0), sympy.log(1 + sympy.exp(-t)), FAR,
    ),
    "cross-entropy, 0": (
        lambda x: T.nnet.binary_crossentropy(1 / (1 + T.exp(-x)), 0.0), sympy.log(1 + sympy.exp(t)), FAR,
    ),
    "cross-entropy, 0.25": (
        lambda x: T.nnet.binary_crossentropy(T.nnet.sigmoid(x), 0.25), sympy.log(1 + sympy.exp(t)) - t / 4, FAR,
    ),
    "cross-entropy after reshape": (
        lambda x: T.nnet.binary_crossentropy(T.nnet.sigmoid(x).reshape((-1, 1))[:, 0], 1.0),
        sympy.log(1 + sympy.exp(-t)), FAR,
    ),
    "cross-entropy by hand": (
        lambda x: (lambda p: -(0.25 * T.log(p) + 0.75 * T.log(1 - p)))(T.nnet.sigmoid(x)),
        sympy.log(1 + sympy.exp(t)) - t / 4, FAR,
    ),
    "log(erfc(x))": (lambda x: T.log(T.erfc(x)), sympy.log(erfc(t)), TAILS),
    "log(1 - erf(x))": (lambda x: T.log(1 - T.erf(x)), sympy.log(erfc(t)), TAILS),
    "log of the normal distribution function": (
        lambda x: T.log(0.5 * (1 + T.erf(x / ROOT2))), sympy.log(erfc(-t / sympy.sqrt(2)) / 2), TAILS,
    ),
    "the same by erfc": (
        lambda x: T.log(0.5 * T.erfc(-x / ROOT2)), sympy.log(erfc(-t / sympy.sqrt(2)) / 2), TAILS,
    ),
    "the same as a quotient": (
        lambda x: T.log((1 + T.erf(x / ROOT2)) / 2), sympy.log(erfc(-t / sympy.sqrt(2)) / 2), TAILS,
    ),
    "log of its complement": (
        lambda x: T.log(1 - 0.5 * (1 + T.erf(x / ROOT2))), sympy.log(erfc(t / sympy.sqrt(2)) / 2), TAILS,
    ),
    "the normal distribution function": (
        lambda x: 0.5 * (1 + T.erf(x / ROOT2)), erfc(-t / sympy.sqrt(2)) / 2, TAILS,
    ),
    "2 / (exp(x) + exp(-x))": (lambda x: 2 / (T.exp(x) + T.exp(-x)), 1 / sympy.cosh(t), FAR),
    "1 / cosh(x) ** 2": (lambda x: 1 / T.cosh(x) ** 2, 1 / sympy.cosh(t) ** 2, FAR),
    "1 / (2 + exp(x) + exp(-x))": (lambda x: 1 / (2 + T.exp(x) + T.exp(-x)), _sigmoid(t) * _sigmoid(-t), FAR),
    "1 / (1 + exp(-x)) ** 2": (lambda x: 1 / (1 + T.exp(-x)) ** 2, _sigmoid(t) ** 2, FAR),
    "(1 + exp(-x)) ** -2.5": (lambda x: (1 + T.exp(-x)) ** -2.5, _sigmoid(t) ** sympy.Rational(5, 2), FAR),
    "1 / sinh(x)": (lambda x: 1 / T.sinh(x), 1 / sympy.sinh(t), BEYOND),
    "cosh(x) / sinh(x)": (lambda x: T.cosh(x) / T.sinh(x), sympy.coth(t), BEYOND),
    "1 / (exp(x) - 1)": (lambda x: 1 / (T.exp(x) - 1), 1 / (sympy.exp(t) - 1), BEYOND),
    "x / (exp(x) - 1)": (lambda x: x / (T.exp(x) - 1), t / (sympy.exp(t) - 1), BEYOND),
    "x / (1 - exp(-x))": (lambda x: x / (1 - T.exp(-x)), t / (1 - sympy.exp(-t)), BEYOND),
    "sqrt(sigmoid(x))": (lambda x: T.sqrt(T.nnet.sigmoid(x)), sympy.sqrt(_sigmoid(t)), FAR),
    "sqrt(1 - sigmoid(x))": (lambda x: T.sqrt(1 - T.nnet.sigmoid(x)), sympy.sqrt(_sigmoid(-t)), FAR),
    "sigmoid(x) ** 0.75": (lambda x: T.nnet.sigmoid(x) ** 0.75, _sigmoid(t) ** sympy.Rational(3, 4), FAR),
    "log(softplus(x))": (lambda x: T.log(T.nnet.softplus(x)), sympy.log(sympy.log(1 + sympy.exp(t))), SOFT),
    "log(log(1 + exp(x)))": (lambda x: T.log(T.log(1 + T.exp(x))), sympy.log(sympy.log(1 + sympy.exp(t))), SOFT),
    "sqrt(log(1 + exp(x)))": (lambda x: T.sqrt(T.log(1 + T.exp(x))), sympy.sqrt(sympy.log(1 + sympy.exp(t))), SOFT),
    "log(exp(softplus(x)) - 1)": (lambda x: T.log(T.exp(T.nnet.softplus(x)) - 1), t, FAR),
    "log(1 + 10 ** x)": (lambda x: T.log(1 + T.pow(10.0, x)), sympy.log(1 + 10**t), FAR),
    "1 / (1 + 2 ** -x)": (lambda x: 1 / (1 + T.pow(2.0, -x)), 1 / (1 + 2**-t), FAR),
    "log(0.5 + 0.5 tanh(x))": (
        lambda x: T.log(0.5 + 0.5 * T.tanh(x)), -sympy.log(1 + sympy.exp(-2 * t)), FAR,
    ),
    "cross-entropy of (1 + tanh(x)) / 2": (
        lambda x: T.nnet.binary_crossentropy((1 + T.tanh(x)) / 2, 0.25), sympy.log(1 + sympy.exp(2 * t)) - t / 2, FAR,
    ),
    "cross-entropy of the normal distribution function": (
        lambda x: T.nnet.binary_crossentropy(0.5 * (1 + T.erf(x / ROOT2)), 0.25),
        -sympy.log(erfc(-t / sympy.sqrt(2)) / 2) / 4 - sympy.log(erfc(t / sympy.sqrt(2)) / 2) * 3 / 4, TAILS,
    ),
    "tanh(exp(x))": (lambda x: T.tanh(T.exp(x)), sympy.tanh(sympy.exp(t)), LEVEL),
    "sigmoid(exp(x))": (lambda x: T.nnet.sigmoid(T.exp(x)), _sigmoid(sympy.exp(t)), LEVEL),
    "tanh(x + cosh(2 x))": (lambda x: T.tanh(x + T.cosh(2 * x)), sympy.tanh(t + sympy.cosh(2 * t)), LEVEL),
    "arctan(exp(x))": (lambda x: T.arctan(T.exp(x)), sympy.atan(sympy.exp(t)), tuple(x for x in LEVEL if x != 88.5)),
    "arctan(sinh(x))": (lambda x: T.arctan(T.sinh(x)), sympy.atan(sympy.sinh(t)), LEVEL),
    "exp(-exp(-x))": (lambda x: T.exp(-T.exp(-x)), sympy.exp(-sympy.exp(-t)), LEVEL),
    "exp(-exp(x) ** 2 / 2)": (lambda x: T.exp(-(T.exp(x) ** 2) / 2), sympy.exp(-sympy.exp(2 * t) / 2), LEVEL),
    "softplus(-exp(x))": (lambda x: T.nnet.softplus(-T.exp(x)), sympy.log(1 + sympy.exp(-sympy.exp(t))), LEVEL),
    "1 / (1 + exp(x) + x ** 2)": (
        lambda x: 1 / (1 + T.exp(x) + x * x), 1 / (1 + sympy.exp(t) + t**2), LEVEL,
    ),
    "x / (1 + exp(x) + x ** 2)": (
        lambda x: x / (1 + T.exp(x) + x * x), t / (1 + sympy.exp(t) + t**2), LEVEL,
    ),
    "1 / sqrt(exp(x) ** 2 + x ** 2)": (
        lambda x: 1 / T.sqrt(T.exp(x) ** 2 + x**2), 1 / sympy.sqrt(sympy.exp(2 * t) + t**2), LEVEL,
    ),
    "(2 + exp(exp(x))) ** -1.5": (
        lambda x: (2 + T.exp(T.exp(x))) ** -1.5, (2 + sympy.exp(sympy.exp(t))) ** sympy.Rational(-3, 2), LEVEL[:-4],
    ),
    "log(maximum(exp(x), exp(-x)))": (lambda x: T.log(T.maximum(T.exp(x), T.exp(-x))), t, POSITIVE),
    "log(minimum(exp(x), 3 exp(2 x)))": (lambda x: T.log(T.minimum(T.exp(x), 3 * T.exp(2 * x))), t, POSITIVE),
    "log of the largest": (lambda x: T.log(T.stack([T.exp(x), T.exp(-x)]).max(axis=0)), t, POSITIVE),
    "log of a matrix product": (
        lambda x: T.log(T.dot(T.stack([T.exp(x), T.exp(-x)], axis=1), np.array([[2.0, 3], [0.5, 1]], x.dtype)))[:, 0],
        sympy.log(2 * sympy.exp(t) + sympy.exp(-t) / 2), FAR,
    ),
    "log(1 - exp(-exp(x)))": (lambda x: T.log(1 - T.exp(-T.exp(x))), CLOGLOG, LEVEL),
    "log(-expm1(-exp(x)))": (lambda x: T.log(-T.expm1(-T.exp(x))), CLOGLOG, LEVEL),
    "log1p(-exp(-x exp(x)))": (
        lambda x: T.log1p(-T.exp(-3 * T.exp(x))), sympy.log(1 - sympy.exp(-3 * sympy.exp(t))), LEVEL,
    ),
    "log(exp(exp(x)) - 1)": (lambda x: T.log(T.exp(T.exp(x)) - 1), CLOGLOG + sympy.exp(t), LEVEL[:9]),
    "log odds of 1 - exp(-exp(x))": (
        lambda x: (lambda p: T.log(p / (1 - p)))(1 - T.exp(-T.exp(x))), CLOGLOG + sympy.exp(t), LEVEL[:9],
    ),
    "log of a difference of sigmoids": (
        lambda x: T.log(T.nnet.sigmoid(x + 2) - T.nnet.sigmoid(x)), sympy.log(_sigmoid(t + 2) - _sigmoid(t)), FAR,
    ),
    "log of a difference of normal distribution functions": (
        lambda x: T.log(0.5 * (1 + T.erf(x + 2)) - 0.5 * (1 + T.erf(x))), sympy.log((erfc(t) - erfc(t + 2)) / 2), TAILS,
    ),
    "log of a difference of exponentials": (
        lambda x: T.log(T.exp(-T.exp(x)) - T.exp(-2 * T.exp(x))), CLOGLOG - sympy.exp(t), LEVEL[:9],
    ),
    "log(1 - p q)": (
        lambda x: T.log(1 - T.nnet.sigmoid(x) * T.nnet.sigmoid(x / 2)),
        sympy.log(1 - _sigmoid(t) * _sigmoid(t / 2)), FAR,
    ),
    "log(1 - p ** k)": (
        lambda x: T.log(1 - T.nnet.sigmoid(x) ** (0 * x + 3)), sympy.log(1 - _sigmoid(t) ** 3), FAR,
    ),
    "p ** k": (lambda x: T.nnet.sigmoid(x) ** (0 * x + 0.5), sympy.sqrt(_sigmoid(t)), FAR),
    "log(sinh(x))": (lambda x: T.log(T.sinh(x)), sympy.log(sympy.sinh(t)), POSITIVE),
    "log(sinh(x) / x)": (lambda x: T.log(T.sinh(x) / x), sympy.log(sympy.sinh(t) / t), BEYOND),
    "log of a sum with a common factor": (
        lambda x: (lambda e: T.log((2 + x * x) * e + 3 * e))(T.exp(x)), sympy.log(5 + t**2) + t, LEVEL,
    ),
    "log of a sum with a factor found to be common": (
        lambda x: T.log((2 + x * x) * T.exp(x) + (1 + x) ** 2 * T.exp(x + 0)), sympy.log(2 + t**2 + (1 + t) ** 2) + t,
        LEVEL,
    ),
    "log of a sum times the exponential of the largest": (
        lambda x: T.log((1 + x * x) * T.exp(T.maximum(x, -x)) + 2), sympy.log((1 + t**2) * sympy.exp(t) + 2), POSITIVE,
    ),
    "log after reshape": (
        lambda x: T.log(T.nnet.sigmoid(x).reshape((-1, 2)).T.flatten().reshape((2, -1)).T.flatten()),
        -sympy.log(1 + sympy.exp(-t)), FAR,
    ),
    "log after gather": (
        lambda x: T.log(T.nnet.sigmoid(x)[T.arange(x.shape[0])[::-1]])[::-1], -sympy.log(1 + sympy.exp(-t)), FAR,
    ),
    "log after join": (
        lambda x: T.log(T.concatenate([T.nnet.sigmoid(x[:2]), 1 / (1 + T.exp(-x[2:]))])),
        -sympy.log(1 + sympy.exp(-t)), FAR,
    ),
    "log after stack": (
        lambda x: T.log(T.stack([T.nnet.sigmoid(x), 1 - T.nnet.sigmoid(x)], axis=1))[:, 1],
        -sympy.log(1 + sympy.exp(t)), FAR,
    ),
    "log after switch": (
        lambda x: T.log(T.switch(x > 0, T.nnet.sigmoid(-x), T.nnet.sigmoid(x))),
        -sympy.log(1 + sympy.exp(t)), POSITIVE,
    ),
    "log after set_subtensor": (
        lambda x: T.log(T.set_subtensor(T.nnet.sigmoid(x)[:2], T.nnet.sigmoid(x[:2]))),
        -sympy.log(1 + sympy.exp(-t)), FAR,
    ),
}  # fmt: skip


# their terms cancel in some place whatever the form, so that rounding counts against 1 there and not against the value
SUMS = {
    "2 / (exp(x) + exp(-x))", "1 / (2 + exp(x) + exp(-x))", "1 / (exp(x) - 1)", "x / (exp(x) - 1)",
    "x / (1 - exp(-x))", "log(softplus(x))", "log(log(1 + exp(x)))", "log of a difference", "log of a mixture",
    "log of a quotient", "log(exp(x) + exp(-x))", "log(1 - tanh(x))",
    "log of a matrix product", "log(1 - p q)", "log(1 - p ** k)", "log of a sum with a common factor",
    "log of a sum with a factor found to be common", "log of a sum times the exponential of the largest",
}  # fmt: skip
# intermediate results underflow where the value is far below 1
UNDERFLOWING = {"arctan(exp(x))", "arctan(sinh(x))", "1 / (1 + exp(x) + x ** 2)", "x / (1 + exp(x) + x ** 2)",
                "1 / sqrt(exp(x) ** 2 + x ** 2)", "(2 + exp(exp(x))) ** -1.5"}  # fmt: skip
ABSOLUTE = SUMS | UNDERFLOWING
NORMAL = {name for name in FORMS if "erf" in name or "normal" in name or "the same" in name or "complement" in name}


@cache
def derivative(name: str, order: int) -> sympy.Expr:
    formula = FORMS[name][1]
    return formula if order == 0 else sympy.diff(derivative(name, order - 1), t)


@cache
def exact(name: str, order: int, point: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """The derivative at ``point`` and how much it changes when the point changes by its own size."""
    with mpmath.workdps(1200 if abs(point) > 100 else 420):
        x = mpmath.mpf(point)
        value, slope = (_compiled(name, k)(x) for k in (order, order + 1))
        return +mpmath.mpf(value), abs(x * slope)


@cache
def _compiled(name: str, order: int) -> Callable:
    return sympy.lambdify(t, derivative(name, order), "mpmath")


def compare(name: str, order: int, dtype: str, points: np.ndarray, got: np.ndarray, ulps: float) -> None:
    info = np.finfo(dtype)
    for point, value in zip(points, got):
        want, sway = exact(name, order, float(point))
        allowed = ulps * info.eps * (abs(want) + sway + (name in ABSOLUTE)) + 8 * info.tiny
        miss = abs(mpmath.mpf(float(value)) - want)
        shown = f"{name}, order {order} at {point}: got {value}, want {mpmath.nstr(want, 9)}"
        assert np.isfinite(value), shown
        assert miss <= allowed, shown


ULPS = {0: 32, 1: 64, 2: 128, 3: 1024}
"""How many units of rounding each order may miss by."""


def function(name: str, dtype: str, device: str, mode: str = "fast_run") -> Callable:
    x = T.tensor(dtype=dtype, shape=(None,), name="x")
    outputs = [FORMS[name][0](x)]
    for _ in range(3):
        outputs.append(T.grad(outputs[-1].sum(), x, disconnected_inputs="ignore"))
    return symc.function([x], outputs, device=device, mode=mode)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMS)
def test_values_and_derivatives(name: str, dtype: str) -> None:
    points = np.array(FORMS[name][2], dtype)
    for order, got in enumerate(function(name, dtype, "interp")(points)):
        if name not in NORMAL:
            compare(name, order, dtype, points, got, ULPS[order])
        elif order < 3:
            compare(name, order, dtype, points, got, 4096 if order == 2 else ULPS[order])


def test_a_weighted_mean_that_is_written_out_takes_one_exponential_a_weight() -> None:
    """A chain of sums of two would take two for each term and each sum."""
    x = T.matrix("x")
    weights = [T.exp(-((x[k : k + 5] - x[2:7]) ** 2) * 40) for k in range(6)]
    mean = sum(w * x[k : k + 5] for k, w in enumerate(weights)) / sum(weights)
    f = symc.function([x], mean)
    exponentials = [node for node in symc.graph.toposort(f.maker.fgraph.outputs) if node.op.record.name == "exp"]
    assert len(exponentials) == len(weights)
    values = np.random.default_rng(5).standard_normal((10, 7)) * 3
    e = np.stack([-((values[k : k + 5] - values[2:7]) ** 2) * 40 for k in range(6)])
    w = np.exp(e - e.max(axis=0))
    w /= w.sum(axis=0)
    want = sum(w[k] * values[k : k + 5] for k in range(6))
    np.testing.assert_allclose(f(values.astype(symc.config.floatX)), want, rtol=2e-5, atol=1e-6)
    far = np.zeros((10, 7), symc.config.floatX)
    far[::2] = 100.0  # of two rows that are equal, the rest underflows
    np.testing.assert_allclose(f(far), far[2:7], rtol=1e-6)


def test_a_weighted_mean_that_is_written_out_is_exact_where_its_weights_overflow() -> None:
    x = T.dvector("x")
    weights = T.exp(x), T.exp(-x), T.exp(x / 2)
    mean = (5 * weights[0] + 2 * weights[1] - 3 * weights[2]) / sum(weights)
    f = symc.function([x], [mean, T.grad(mean.sum(), x)])
    value, slope = f(np.array(FAR))
    formula = (5 * sympy.exp(t) + 2 * sympy.exp(-t) - 3 * sympy.exp(t / 2)) / (
        sympy.exp(t) + sympy.exp(-t) + sympy.exp(t / 2)
    )
    for got, expression in ((value, formula), (slope, sympy.diff(formula, t))):
        with mpmath.workdps(800):
            want = [float(sympy.lambdify(t, expression, "mpmath")(mpmath.mpf(point))) for point in FAR]
        np.testing.assert_allclose(got, want, rtol=1e-14, atol=4e-15)


def test_no_gradient_is_made_up_where_two_operands_overflow() -> None:
    x, y = T.dvectors("x", "y")
    for made, want in (
        (T.arctan2(T.exp(x), T.exp(y)), lambda a, b: [1 / (2 * np.cosh(a - b)), -1 / (2 * np.cosh(a - b))]),
        (T.log(T.exp(-T.exp(x)) + T.exp(-T.exp(y))), lambda a, b: [-np.exp(a) / 2, -np.exp(b) / 2]),
    ):
        found = np.array(symc.function([x, y], symc.grad(made.sum(), [x, y]))([2.0, 800.0], [2.0, 800.0]))
        np.testing.assert_allclose(found[:, 0], want(2.0, 2.0))
        assert not np.any(found[:, 1] == 0)  # NaN or infinite
    levelled = symc.function([x, y], symc.grad(T.arctan2(T.exp(x), T.exp(y)).sum(), [x, y]))
    np.testing.assert_array_equal(levelled([800.0, 2.0], [2.0, 800.0]), 0.0)
