"""The symbolic functions that scalar nodes of sympy become."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import sympy
from sympy.codegen import cfunctions

from symc.graph import Variable
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.complex_numbers import parts as complex_parts
from symc.tensor.special import gamma_functions, incomplete_gamma, inverse_erf

__all__ = ["COMPARISONS", "FUNCTIONS", "condition", "piecewise"]

Value = Any
"""A variable, or a Python number, which adapts to the dtypes beside it."""


def condition(v: Value) -> Variable:
    """Convert ``v`` to a bool."""
    v = as_tensor(v)
    return v if v.dtype == "bool" else ew.neq(v, 0)


def _over(function: Callable[..., Variable]) -> Callable[..., Variable]:
    """The reciprocal of a function of one argument."""
    return lambda x: ew.inv(function(x))


def _of_inverse(function: Callable[..., Variable]) -> Callable[..., Variable]:
    """A function of the reciprocal."""
    return lambda x: function(ew.inv(x))


def _chain(function: Callable[[Any, Any], Variable]) -> Callable[..., Variable]:
    return lambda *parts: reduce(function, parts)


def _polygamma(n: Value, x: Value) -> Variable:
    if isinstance(n, Variable):
        raise TypeError("from_sympy: the order of polygamma must be a number")
    return gamma_functions.polygamma(int(n), x)


def _log_gamma_ratio(parts: Sequence[Value], total: Value) -> Variable:
    """The product of gamma functions of ``parts`` over that of ``total``, for positive arguments."""
    logs = reduce(ew.add, [gamma_functions.gammaln(p) for p in parts])
    return ew.exp(ew.sub(logs, gamma_functions.gammaln(total)))


def _binomial(n: Value, k: Value) -> Variable:
    """``n`` over ``k``, as in ``scipy.special.binom`` for ``n > -1``: zero where ``k`` is an integer outside 0 to n."""
    top, bottom, rest = (gamma_functions.gammaln(ew.add(v, 1)) for v in (n, k, ew.sub(n, k)))
    size = ew.exp(ew.sub(top, ew.add(bottom, rest)))
    return ew.where(ew.or_(ew.lt(k, 0), ew.gt(k, n)), 0.0, size)


def _harmonic(n: Value, order: Value = 1) -> Variable:
    if isinstance(order, Variable) or order != 1:
        raise TypeError("from_sympy: harmonic numbers must have the order 1")
    return ew.add(gamma_functions.psi(ew.add(n, 1)), float(sympy.EulerGamma))


def _number(value: float, like: Variable) -> Variable:
    return ew.cast(as_tensor(value), like.dtype)


def _heaviside(x: Variable, at_zero: Value = 0.5) -> Variable:
    one, zero = _number(1.0, x), _number(0.0, x)
    return ew.where(ew.gt(x, 0), one, ew.where(ew.lt(x, 0), zero, at_zero))


def _sinc(x: Value) -> Variable:
    """``sin(x) / x``, 1 at zero."""
    nonzero = ew.where(ew.eq(x, 0), 1.0, x)
    return ew.where(ew.eq(x, 0), 1.0, ew.true_div(ew.sin(nonzero), nonzero))


def _cube_root(x: Value) -> Variable:
    return ew.mul(ew.sgn(x), ew.power(ew.abs_(x), 1 / 3))


def _arccot(x: Value) -> Variable:
    """The inverse cotangent with sympy's branch: odd, and pi / 2 at zero."""
    nonzero = ew.where(ew.eq(x, 0), 1.0, x)
    return ew.where(ew.eq(x, 0), math.pi / 2, ew.arctan(ew.inv(nonzero)))


def piecewise(values: Sequence[Value], conditions: Sequence[Value], otherwise: Value) -> Value:
    """The first value whose condition holds; ``otherwise`` where none does."""
    result = otherwise
    for value, holds in zip(reversed(values), reversed(conditions)):
        result = value if holds is True else ew.switch(condition(holds), value, result)
    return result


COMPARISONS: dict[type, Callable[..., Variable]] = {
    sympy.Equality: ew.eq, sympy.Unequality: ew.neq, sympy.StrictLessThan: ew.lt, sympy.LessThan: ew.le,
    sympy.StrictGreaterThan: ew.gt, sympy.GreaterThan: ew.ge,
}  # fmt: skip

FUNCTIONS: dict[type, Callable[..., Any]] = {
    # exponentials, logarithms and roots
    sympy.exp: ew.exp, sympy.log: ew.log, cfunctions.exp2: ew.exp2, cfunctions.expm1: ew.expm1,
    cfunctions.log2: ew.log2, cfunctions.log10: ew.log10, cfunctions.log1p: ew.log1p, cfunctions.Sqrt: ew.sqrt,
    cfunctions.Cbrt: _cube_root, cfunctions.hypot: lambda x, y: ew.sqrt(ew.add(ew.sqr(x), ew.sqr(y))),
    cfunctions.fma: lambda x, y, z: ew.add(ew.mul(x, y), z),
    # trigonometric and hyperbolic functions
    sympy.sin: ew.sin, sympy.cos: ew.cos, sympy.tan: ew.tan, sympy.cot: _over(ew.tan), sympy.sec: _over(ew.cos),
    sympy.csc: _over(ew.sin), sympy.sinc: _sinc,
    sympy.asin: ew.arcsin, sympy.acos: ew.arccos, sympy.atan: ew.arctan, sympy.atan2: ew.arctan2,
    sympy.acot: _arccot, sympy.asec: _of_inverse(ew.arccos), sympy.acsc: _of_inverse(ew.arcsin),
    sympy.sinh: ew.sinh, sympy.cosh: ew.cosh, sympy.tanh: ew.tanh, sympy.coth: _over(ew.tanh),
    sympy.sech: _over(ew.cosh), sympy.csch: _over(ew.sinh),
    sympy.asinh: ew.arcsinh, sympy.acosh: ew.arccosh, sympy.atanh: ew.arctanh,
    sympy.acoth: _of_inverse(ew.arctanh), sympy.asech: _of_inverse(ew.arccosh), sympy.acsch: _of_inverse(ew.arcsinh),
    # parts of numbers
    sympy.Abs: ew.abs_, sympy.sign: ew.sgn, sympy.floor: ew.floor, sympy.ceiling: ew.ceil,
    sympy.frac: lambda x: ew.sub(x, ew.floor(x)), sympy.Mod: ew.mod,
    sympy.re: complex_parts.real, sympy.conjugate: complex_parts.conj, sympy.im: complex_parts.imag,
    sympy.arg: complex_parts.angle,
    sympy.Max: _chain(ew.maximum), sympy.Min: _chain(ew.minimum),
    sympy.Heaviside: _heaviside, sympy.KroneckerDelta: lambda i, j: ew.cast(ew.eq(i, j), "int64"),
    # special functions
    sympy.erf: ew.erf, sympy.erfc: ew.erfc, sympy.erfinv: inverse_erf.erfinv, sympy.erfcinv: inverse_erf.erfcinv,
    sympy.erf2: lambda x, y: ew.sub(ew.erf(y), ew.erf(x)),
    sympy.gamma: gamma_functions.gamma, sympy.loggamma: gamma_functions.gammaln, sympy.polygamma: _polygamma,
    sympy.digamma: gamma_functions.psi, sympy.trigamma: gamma_functions.tri_gamma,
    sympy.beta: lambda x, y: _log_gamma_ratio([x, y], ew.add(x, y)),
    sympy.harmonic: _harmonic,
    sympy.lowergamma: lambda a, x: ew.mul(gamma_functions.gamma(a), incomplete_gamma.gammainc(a, x)),
    sympy.uppergamma: lambda a, x: ew.mul(gamma_functions.gamma(a), incomplete_gamma.gammaincc(a, x)),
    sympy.factorial: lambda n: gamma_functions.gamma(ew.add(n, 1)), sympy.binomial: _binomial,
    # logic
    sympy.And: lambda *parts: reduce(ew.and_, map(condition, parts)),
    sympy.Or: lambda *parts: reduce(ew.or_, map(condition, parts)),
    sympy.Xor: lambda *parts: reduce(ew.xor, map(condition, parts)),
    sympy.Not: lambda x: ew.invert(condition(x)),
    sympy.Implies: lambda a, b: ew.or_(ew.invert(condition(a)), condition(b)),
    sympy.Equivalent: lambda *parts: _all_equal([condition(p) for p in parts]),
    sympy.ITE: lambda c, a, b: ew.switch(condition(c), a, b),
}  # fmt: skip
"""Public classes of sympy, and what builds the expression from their arguments."""


def _all_equal(parts: Sequence[Variable]) -> Variable:
    return reduce(ew.and_, [ew.invert(ew.xor(parts[0], p)) for p in parts[1:]])
