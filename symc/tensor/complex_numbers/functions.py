"""Elementary functions of complex numbers, as real expressions of the two parts.

Every function maps the parts of its operands to the parts of its result. Branch cuts are NumPy's: along the real axis
for ``log``, ``sqrt``, ``arcsin``, ``arccos``, ``arccosh`` and ``arctanh``, along the imaginary axis for ``arctan`` and
``arcsinh``. A part that is known to be 0 is left out of products, so that a real factor costs two products.

The inverse functions follow Kahan, "Branch cuts for complex elementary functions" (1987), and division Smith (1962).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symc.graph import Constant, Variable
from symc.loops import expr
from symc.loops.expr import Expr, call
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers.parts import is_zero
from symc.tensor.creation import ones_like, zeros_like
from symc.tensor.pointwise import Elementwise, elementwise

__all__ = ["FUNCTIONS", "Pair", "divided", "hypot", "power", "product"]

Pair = tuple[Variable, Variable]


def _hypot_body(x: Expr, y: Expr) -> Expr:
    big, small = expr.maximum(abs(x), abs(y)), expr.minimum(abs(x), abs(y))
    ratio = small / expr.select(call("eq", big, 0.0), 1.0, big)
    found = big * call("sqrt", 1.0 + ratio * ratio)
    return expr.select(call("isinf", x) | call("isinf", y), expr.const(np.inf, x.dtype), found)


hypot = elementwise(
    "hypot",
    _hypot_body,
    np.hypot,
    lambda g, z, x, y: (ew.switch(ew.eq(z, 0), 0, g * x / z), ew.switch(ew.eq(z, 0), 0, g * y / z)),
    domain=((0.2, 2), (-2, -0.2)),
    bounded_slope=True,
    commutative=True,
    nonnegative="always",
)

# --- values that are not finite -------------------------------------------------------------------------------------
#
# The tables of C99, annex G, which NumPy follows. Conditions hold only where a part is infinite or NaN, so that they do
# not take part in derivatives elsewhere.


def _number(value: float, like: Variable) -> Variable:
    return Constant(np.asarray(value, like.dtype))


def _stretched(size: Variable, factor: Variable) -> Variable:
    """``size * factor``, and 0 where ``factor`` is 0 and ``size`` is infinite or NaN."""
    return ew.switch(ew.and_(ew.eq(factor, 0), _circling(size)), factor, size * factor)


def _circling(y: Variable) -> Variable:
    """Whether ``y`` is infinite or NaN: an angle without a direction."""
    return ew.or_(ew.isinf(y), ew.isnan(y))


def _signed(value: float, by: Variable) -> Variable:
    """A positive number with the sign of ``by``."""
    return ew.switch(_negative(by), _number(-value, by), _number(value, by))


def _infinite(z: Pair) -> Variable:
    return ew.or_(ew.isinf(z[0]), ew.isinf(z[1]))


def _direction(z: Pair, signed: bool) -> Variable:
    """The angle of a number with an infinite part; NaN if the other is.

    It is from 0 to pi/2, or with ``signed``, where the sign of ``x`` counts, to pi.
    """
    x, y = z
    one, zero = _number(1, x), _number(0, x)
    across = ew.switch(ew.isinf(x), _signed(1, x) if signed else one, zero)
    angle = ew.arctan2(ew.switch(ew.isinf(y), one, zero), across)
    return ew.switch(ew.or_(ew.isnan(x), ew.isnan(y)), _number(np.nan, x), angle)


# --- arithmetic -----------------------------------------------------------------------------------------------------


def _times(x: Variable, y: Variable) -> Variable | None:
    return None if is_zero(x) or is_zero(y) else x * y


def product(a: Pair, b: Pair, times: Callable[[Variable, Variable], Variable | None] = _times) -> Pair:
    """The product by a function that is linear in both operands; ``times`` returns None for zeros."""
    (x, y), (u, v) = a, b
    xu, yv, xv, yu = times(x, u), times(y, v), times(x, v), times(y, u)
    re = xu if yv is None else -yv if xu is None else xu - yv
    im = yu if xv is None else xv if yu is None else xv + yu
    some = next((p for p in (xu, yv, xv, yu) if p is not None), x)
    return zeros_like(some) if re is None else re, zeros_like(some) if im is None else im


def divided(a: Pair, b: Pair) -> Pair:
    """The quotient, without overflow of squares."""
    (x, y), (u, v) = a, b
    if is_zero(v):
        return x / u, y if is_zero(y) else y / u
    wide, nothing = ew.ge(ew.abs_(u), ew.abs_(v)), ew.and_(ew.eq(u, 0), ew.eq(v, 0))
    big, small = ew.switch(wide, u, v), ew.switch(wide, v, u)
    ratio = ew.switch(nothing, 0, small / big)
    scale = big + small * ratio
    re = ew.switch(wide, x + y * ratio, x * ratio + y) / scale
    im = ew.switch(wide, y - x * ratio, y * ratio - x) / scale
    return re, im


def _reciprocal(z: Pair) -> Pair:
    return divided((ones_like(z[0]), zeros_like(z[0])), z)


def _square(z: Pair) -> Pair:
    x, y = z
    return (x - y) * (x + y), 2 * (x * y)


def _sign(z: Pair) -> Pair:
    x, y = z
    size = hypot(x, y)
    some = ew.switch(ew.eq(size, 0), 1, size)
    one_is = ew.neq(ew.isinf(x), ew.isinf(y))
    zero = _number(0, x)
    re, im = (ew.switch(ew.isinf(part), _signed(1, part), zero) for part in z)
    return ew.switch(one_is, re, x / some), ew.switch(one_is, im, y / some)


def power(z: Pair, w: Pair) -> Pair:
    """``exp(w log(z))``. 0 to the power 0 is 1; to other powers it is 0 if their real part is positive, else NaN."""
    re, im = _exp(product(w, _log(z)))
    zero = ew.and_(ew.eq(z[0], 0), ew.eq(z[1], 0))
    none = ew.and_(ew.eq(w[0], 0), ew.eq(w[1], 0))
    at_zero = ew.switch(ew.gt(w[0], 0), 0.0, np.nan)
    return (
        ew.switch(none, 1, ew.switch(zero, at_zero, re)),
        ew.switch(none, 0, ew.switch(zero, at_zero, im)),
    )


def whole_power(z: Pair, n: int) -> Pair:
    """An integer power, by products."""
    if n < 0:
        return _reciprocal(whole_power(z, -n))
    found: Pair | None = None
    while n:
        if n & 1:
            found = z if found is None else product(found, z)
        n >>= 1
        if n:
            z = _square(z)
    return (ones_like(z[0]), zeros_like(z[0])) if found is None else found


# --- exponentials and logarithms ------------------------------------------------------------------------------------


def _exp(z: Pair) -> Pair:
    size = ew.exp(z[0])
    x, y = z
    if is_zero(y):
        return size, y
    ended = ew.and_(ew.isinf(x), _circling(y))
    re = ew.switch(ended, size, _stretched(size, ew.cos(y)))
    return re, ew.switch(ew.and_(ended, ew.lt(x, 0)), size, _stretched(size, ew.sin(y)))


def _expm1(z: Pair) -> Pair:
    x, y = z
    half = ew.sin(y / 2)
    return ew.expm1(x) * ew.cos(y) - 2 * ew.sqr(half), ew.exp(x) * ew.sin(y)


def _log_size(z: Pair) -> Variable:
    """``log|z|``, with all its digits near ``|z| = 1``."""
    size = hypot(*z)
    large = ew.ge(ew.abs_(z[0]), ew.abs_(z[1]))
    big, small = ew.switch(large, z[0], z[1]), ew.switch(large, z[1], z[0])
    big = ew.abs_(big)
    near = ew.and_(ew.gt(size, 0.7), ew.lt(size, 1.5))
    return ew.switch(near, 0.5 * ew.log1p((big - 1) * (big + 1) + ew.sqr(small)), ew.log(size))


def _log(z: Pair) -> Pair:
    return _log_size(z), ew.arctan2(z[1], z[0])


def _log1p(z: Pair) -> Pair:
    x, y = z
    near = ew.lt(hypot(x, y), 0.5)
    size = ew.switch(near, 0.5 * ew.log1p(x * (2 + x) + ew.sqr(y)), ew.log(hypot(1 + x, y)))
    return size, ew.arctan2(y, 1 + x)


def _scaled(function: Callable[[Pair], Pair], number: float) -> Callable[[Pair], Pair]:
    def scaled(z: Pair) -> Pair:
        x, y = function(z)
        return x * number, y * number

    return scaled


def _exp2(z: Pair) -> Pair:
    return _exp((z[0] * float(np.log(2)), z[1] * float(np.log(2))))


def _negative(x: Variable) -> Variable:
    """Whether the sign of ``x`` is a minus sign, also that of -0.0."""
    return ew.or_(ew.lt(x, 0), ew.and_(ew.eq(x, 0), ew.lt(1 / x, 0)))


def _sqrt(z: Pair) -> Pair:
    x, y = z
    root = ew.sqrt(ew.abs_(x) * 0.5 + hypot(x, y) * 0.5)
    below = _negative(y)
    sized = ew.switch(below, -y, y)  # |y|, with the derivative of one side on the branch cut
    right = ew.ge(x, 0)
    zero = ew.eq(root, 0)
    other = sized * 0.5 / ew.switch(zero, 1, root)
    re = ew.switch(right, root, other)
    im = ew.switch(right, other, root)
    upright = ew.isinf(y)
    return ew.switch(upright, sized, re), ew.switch(upright, y, ew.switch(below, -im, im))


# --- trigonometry ---------------------------------------------------------------------------------------------------


def _sinh(z: Pair) -> Pair:
    x, y = z
    size = ew.sinh(x)
    plain = ew.and_(_circling(y), ew.or_(ew.eq(x, 0), ew.isinf(x)))
    return ew.switch(plain, ew.abs_(size), _stretched(size, ew.cos(y))), _stretched(ew.cosh(x), ew.sin(y))


def _cosh(z: Pair) -> Pair:
    x, y = z
    size, circling = ew.cosh(x), _circling(y)
    re = ew.switch(ew.and_(circling, ew.isinf(x)), size, _stretched(size, ew.cos(y)))
    return re, ew.switch(ew.and_(circling, ew.eq(x, 0)), x, _stretched(ew.sinh(x), ew.sin(y)))


def _tanh(z: Pair) -> Pair:
    """``tanh(x) (1 + t t) / (1 + s s t t) + i t (1 - s s) / (1 + s s t t)`` with ``s = tanh(x)``, ``t = tan(y)``."""
    x, y = z
    s, cosine, sine = ew.tanh(x), ew.cos(y), ew.sin(y)
    below = ew.sqr(cosine) + ew.sqr(s * sine)
    circling, level = _circling(y), ew.isinf(x)
    re = ew.switch(ew.and_(circling, ew.or_(ew.eq(x, 0), level)), s, s / below)
    flat = ew.or_(ew.and_(circling, level), ew.and_(ew.eq(y, 0), ew.isnan(x)))
    return re, ew.switch(flat, _number(0, x), sine * cosine * ew.tanh_slope(x) / below)


def _arcsin(z: Pair) -> Pair:
    (a, b), (c, d) = _sqrt((1 - z[0], -z[1])), _sqrt((1 + z[0], z[1]))
    x, y = z
    far = _infinite(z)
    angle = _direction((y, x), signed=False)
    re = ew.switch(far, ew.switch(_negative(x), -angle, angle), ew.arctan2(x, a * c - b * d))
    re = ew.switch(ew.and_(ew.eq(x, 0), ew.isnan(y)), x, re)
    return re, ew.switch(far, _signed(np.inf, y), ew.arcsinh(a * d - b * c))


def _arccos(z: Pair) -> Pair:
    (a, b), (c, d) = _sqrt((1 - z[0], -z[1])), _sqrt((1 + z[0], z[1]))
    x, y = z
    far = _infinite(z)
    re = ew.switch(far, _direction(z, signed=True), 2 * ew.arctan2(a, c))
    re = ew.switch(ew.and_(ew.eq(x, 0), ew.isnan(y)), _number(np.pi / 2, x), re)
    return re, ew.switch(far, -_signed(np.inf, y), ew.arcsinh(c * b - d * a))


def _arccosh(z: Pair) -> Pair:
    (a, b), (c, d) = _sqrt((z[0] - 1, z[1])), _sqrt((z[0] + 1, z[1]))
    x, y = z
    far, angle = _infinite(z), _direction(z, signed=True)
    re = ew.switch(far, _number(np.inf, x), ew.arcsinh(a * c + b * d))
    im = ew.switch(far, ew.switch(_negative(y), -angle, angle), 2 * ew.arctan2(b, c))
    return re, ew.switch(ew.and_(ew.eq(x, 0), ew.isnan(y)), _number(np.pi / 2, x), im)


def _arctanh(z: Pair) -> Pair:
    x, y = z
    size = 0.25 * ew.log1p(4 * x / (ew.sqr(1 - x) + ew.sqr(y)))
    far, zero = _infinite(z), _number(0, x)
    re = ew.switch(ew.or_(far, ew.and_(ew.eq(x, 0), ew.isnan(y))), zero, size)
    turn = ew.switch(ew.isnan(y), y, _signed(np.pi / 2, y))
    return re, ew.switch(far, turn, 0.5 * ew.arctan2(2 * y, (1 - x) * (1 + x) - ew.sqr(y)))


def _turned(function: Callable[[Pair], Pair]) -> Callable[[Pair], Pair]:
    """``-i f(i z)``: the circular function of a hyperbolic one, and the other way round."""

    def turned(z: Pair) -> Pair:
        x, y = function((-z[1], z[0]))
        return y, -x

    return turned


def _cos(z: Pair) -> Pair:
    return _cosh((-z[1], z[0]))


FUNCTIONS: dict[Elementwise, Callable[[Pair], Pair]] = {
    ew.neg: lambda z: (-z[0], -z[1]), ew.inv: _reciprocal, ew.sqr: _square, ew.sgn: _sign, ew.sqrt: _sqrt,
    ew.exp: _exp, ew.exp2: _exp2, ew.expm1: _expm1, ew.log: _log, ew.log1p: _log1p,
    ew.log2: _scaled(_log, float(1 / np.log(2))), ew.log10: _scaled(_log, float(1 / np.log(10))),
    ew.sinh: _sinh, ew.cosh: _cosh, ew.tanh: _tanh, ew.sin: _turned(_sinh), ew.cos: _cos, ew.tan: _turned(_tanh),
    ew.arcsin: _arcsin, ew.arccos: _arccos, ew.arccosh: _arccosh, ew.arctanh: _arctanh,
    ew.arctan: _turned(_arctanh), ew.arcsinh: _turned(_arcsin),
    ew.deg2rad: lambda z: (ew.deg2rad(z[0]), ew.deg2rad(z[1])),
    ew.rad2deg: lambda z: (ew.rad2deg(z[0]), ew.rad2deg(z[1])),
    ew.round_half_to_even: lambda z: (ew.round_half_to_even(z[0]), ew.round_half_to_even(z[1])),
    ew.round_half_away_from_zero: lambda z: (ew.round_half_away_from_zero(z[0]), ew.round_half_away_from_zero(z[1])),
}  # fmt: skip
"""Functions of one complex number, by the function of real numbers that they extend."""
