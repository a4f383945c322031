"""The gamma function, its logarithm, and the derivatives of the logarithm, for arguments of both signs.

The argument is moved by recurrences: for ``gammaln`` and ``gamma`` down to [1, 3), where a polynomial is used, for
the others up to where Stirling's asymptotic series holds (NIST DLMF 5.11). Negative arguments are reflected (5.5).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.dtypes import floating
from symc.graph.op import Arg, Case, Op, Pointwise, record
from symc.loops import expr
from symc.loops.expr import Expr, call, polynomial, select
from symc.loops.functions import FUNCTIONS
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.keywords import also_named
from symc.tensor.pointwise import Elementwise, elementwise

__all__ = ["gamma", "gammaln", "polygamma", "psi", "tri_gamma"]

# log(gamma(2 + u)) / (u (1 + u)) for u in [-1, 1]: interpolation at Chebyshev nodes, computed in 60 digits; relative
# errors 7e-9 and 1e-17
_NEAR_TWO = {
    "float32": (
        0.42278433509846713, -0.10031727463565486, 0.03296498784241912, -0.012384943218388256, 0.004998996088804222,
        -0.0021022424319810575, 0.0009125944839177908, -0.0004251541309955558, 0.0001917396866858704,
        -5.283973561217694e-05, 2.388160726934918e-05, -3.85804751925309e-05, 1.8091513104439484e-05,
    ),
    "float64": (
        0.42278433509846713, -0.10031730167435392, 0.03296500062115691, -0.012384192193371805, 0.004998641164627129,
        -0.0021081308339216706, 0.0009153769240386907, -0.0004057073983775151, 0.0001825526153982638,
        -8.309511477709561e-05, 3.816907658276081e-05, -1.7661767658452517e-05, 8.221234475942905e-06,
        -3.846858091533014e-06, 1.8113906873056685e-06, -8.54560908975883e-07, 3.958940459367468e-07,
        -1.878442644643758e-07, 1.042041826608264e-07, -4.9827532071170234e-08, 5.910565853507869e-09,
        -2.7296358592514825e-09, 1.6194359237484174e-08, -7.842557720538356e-09, -4.312495770350818e-09,
        2.0986002157033107e-09, 1.5746606982777302e-09, -7.639292345836201e-10,
    ),
}  # fmt: skip
_FAR = 8
"""From here on the asymptotic series is used."""
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def _bernoulli(count: int) -> list[Fraction]:
    """The Bernoulli numbers B2, B4, ..., ``count`` of them."""
    found = [Fraction(1)]
    for m in range(1, 2 * count + 1):
        found.append(-sum(math.comb(m + 1, k) * found[k] for k in range(m)) / Fraction(m + 1))
    return found[2::2]


_BERNOULLI = _bernoulli(12)


def _stirling_tail(a: Expr) -> Expr:
    """What is missing in ``(a - 1/2) log(a) - a + log(2 pi) / 2``, for ``a`` of at least ``_FAR``."""
    r = 1.0 / a
    terms = [float(b / (2 * k * (2 * k - 1))) for k, b in enumerate(_BERNOULLI, 1)]
    return r * polynomial(r * r, terms[: 4 if a.dtype == "float32" else 9])


def _moved_down(a: Expr) -> tuple[Expr, Expr]:
    """For ``a`` in [0, ``_FAR``): the logarithm of gamma(t), and the factor by which gamma(a) differs from gamma(t).

    Here t in [1, 3) is ``a`` moved by an integer. Where ``a`` is below 1, it is a divisor instead of a factor.
    """
    t, factor = a, expr.const(1, a.dtype)
    for _ in range(_FAR - 3):
        above, lower = t >= 3.0, t - 1.0
        factor = select(above, factor * lower, factor)
        t = select(above, lower, t)
    below = a < 1.0
    u, v = select(below, a - 1.0, t - 2.0), select(below, a, t - 1.0)  # v is 1 + u without its rounding
    return u * v * polynomial(u, _NEAR_TWO[a.dtype]), select(below, a, factor)


def _from_integer(x: Expr) -> Expr:
    """The distance from the nearest integer, with a sign."""
    return x - call("rint", x)


def _gammaln_body(x: Expr) -> Expr:
    a = abs(x)
    far = a >= float(_FAR)
    near, factor = _moved_down(a)
    log = call("log", select(far, a, factor))
    near = near + select(a < 1.0, -log, log)
    positive = select(far, (a - 0.5) * (log - 1.0) + (_HALF_LOG_TAU - 0.5) + _stirling_tail(a), near)
    sine = abs(call("sin", math.pi * _from_integer(a)))
    reflected = call("log", math.pi / (a * sine)) - positive
    reflected = select(call("eq", sine, 0.0), expr.const(math.inf, x.dtype), reflected)  # both may be infinite
    # where the product would underflow, gamma(-a) is about -gamma(a)
    return select(call("and", x < 0.0, call("and", a > 1e-18, a < math.inf)), reflected, positive)


def _gamma_body(x: Expr) -> Expr:
    a = abs(x)
    near, factor = _moved_down(a)
    half = call("pow", a, 0.5 * a - 0.25)  # twice, since the whole power overflows before the product does
    far = half * (call("exp", -a) * (call("exp", _stirling_tail(a)) * math.sqrt(2 * math.pi))) * half
    far = select(call("isinf", half), half, far)
    near = call("exp", near) * select(a < 1.0, 1.0 / factor, factor)
    positive = select(a >= float(_FAR), far, near)
    whole = call("rint", a)
    sine = call("sin", math.pi * (a - whole))
    sine = select(call("eq", whole - 2.0 * call("floor", 0.5 * whole), 1.0), -sine, sine)
    reflected = select(call("eq", a, whole), expr.const(math.nan, x.dtype), -math.pi / (a * sine * positive))
    return select(a < 1e-18, 1.0 / x, select(x < 0.0, reflected, positive))


def _gamma_numpy(x: np.ndarray) -> np.ndarray:
    def one(v: float) -> float:
        try:
            return math.gamma(v)
        except OverflowError:
            return math.inf
        except ValueError:
            return math.copysign(math.inf, v) if v == 0 else math.nan

    return np.array([one(float(v)) for v in np.ravel(x)]).reshape(np.shape(x))


@also_named(a="x")
def psi(x: Any) -> Variable:
    """The derivative of ``gammaln``, elementwise (the digamma function)."""
    return polygamma(0, x)


gammaln: Elementwise = elementwise(
    "gammaln",
    _gammaln_body,
    lambda x: FUNCTIONS["gammaln"].numpy(x.astype("float64")),
    lambda g, y, x: (g * psi(x),),
    domain=(0.2, 9),
)
gamma: Elementwise = elementwise(
    "gamma", _gamma_body, _gamma_numpy, lambda g, y, x: (g * (y * psi(x)),), domain=(0.2, 5)
)


# --- derivatives of gammaln -------------------------------------------------------------------------------------------


def _slopes_of_cotangent(order: int) -> list[int]:
    """The derivative of that order of ``cot(t)``, as a polynomial in ``cot(t)``: the coefficients from c**0 on."""
    found = [0, 1]
    for _ in range(order):
        slope = [k * c for k, c in enumerate(found)][1:]
        found = [0] * (len(slope) + 2)
        for k, c in enumerate(slope):
            found[k] -= c
            found[k + 2] -= c
    return found


def _series(t: Expr, order: int) -> Expr:
    """The asymptotic series of ``polygamma(order, t)``, for order > 0 divided by ``(-1)**(order + 1) order!``."""
    r = 1.0 / t
    count = 5 if t.dtype == "float32" else 10
    if order == 0:
        terms = [float(b / (2 * k)) for k, b in enumerate(_BERNOULLI, 1)]
        return call("log", t) - 0.5 * r - r * r * polynomial(r * r, terms[:count])
    ratios = [math.factorial(2 * k + order - 1) // math.factorial(2 * k - 1) for k in range(1, len(_BERNOULLI) + 1)]
    terms = [float(b * c / (2 * k * math.factorial(order))) for k, (b, c) in enumerate(zip(_BERNOULLI, ratios), 1)]
    return _power(r, order) * (1 / order + r * (0.5 + r * polynomial(r * r, terms[:count])))


def _cotangent(turns: Expr) -> Expr:
    """``cot(pi turns)`` for ``turns`` of at most one half: small values without the rounding of pi."""
    near_zero, size = abs(turns) < 0.25, abs(turns)
    slope = call("tan", math.pi * select(near_zero, size, 0.5 - size))
    found = select(near_zero, 1.0 / slope, slope)
    return select(turns < 0.0, -found, found)


def _power(x: Expr, n: int) -> Expr:
    total = x
    for _ in range(n - 1):
        total = total * x
    return total


def _polygamma_body(x: Expr, order: int) -> Expr:
    negative = x < 0.0
    t = select(negative, 1.0 - x, x)
    total = expr.const(0, x.dtype)
    for _ in range(_FAR + order + (0 if x.dtype == "float32" else 2)):
        near = t < float(_FAR + order + (0 if x.dtype == "float32" else 2))
        total = select(near, total + 1.0 / _power(t, order + 1), total)
        t = select(near, t + 1.0, t)
    if order == 0:
        positive = _series(t, 0) - total
    else:
        positive = float((-1) ** (order + 1) * math.factorial(order)) * (_series(t, order) + total)
    distance = _from_integer(x)
    cotangent = _cotangent(distance)
    slope = polynomial(cotangent, [float(c) for c in _slopes_of_cotangent(order)])
    reflected = float((-1) ** order) * positive - math.pi ** (order + 1) * slope
    if order % 2 == 0:  # poles where the two sides differ
        reflected = select(call("eq", distance, 0.0), expr.const(math.nan, x.dtype), reflected)
    return select(negative, reflected, positive)


def _polygamma_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    """In float64, by the recurrence up to 40 and the asymptotic series there; reflected below 0."""
    order, wide = op["order"], np.asarray(x, "float64")
    sign = -1.0 if order % 2 == 0 else 1.0
    with np.errstate(all="ignore"):
        t = np.where(wide < 0, 1 - wide, wide)
        total = np.zeros_like(t)
        for _ in range(40 + order):
            near = t < 40 + order
            total = np.where(near, total + sign * math.factorial(order) / t ** (order + 1), total)
            t = np.where(near, t + 1, t)
        lead = np.log(t) if order == 0 else sign * math.factorial(order - 1) / t**order
        found = total + lead + sign * math.factorial(order) / (2 * t ** (order + 1))
        for k, b in enumerate(_BERNOULLI[:6], 1):
            found += sign * float(b) * math.factorial(2 * k + order - 1) / math.factorial(2 * k) / t ** (2 * k + order)
        cotangent = 1 / np.tan(np.pi * (wide - np.rint(wide)))
        slope = sum(c * cotangent**k for k, c in enumerate(_slopes_of_cotangent(order)) if c)
        reflected = (-1) ** order * found - np.pi ** (order + 1) * slope
        if order % 2 == 0:
            reflected = np.where(wide == np.rint(wide), np.nan, reflected)
        out = np.where(wide < 0, reflected, found)
    return np.asarray(out, np.asarray(x).dtype)


def _polygamma_cases() -> list[Case]:
    def numbers(order: int) -> Callable[..., Any]:
        def of(x: np.ndarray) -> Any:
            from scipy import special

            return special.polygamma(order, x) if order else special.psi(x)

        return of

    return [
        *[
            Case(lambda x, n=n: polygamma(n, x), (Arg((3, 4), low=0.4, high=9),), numbers(n), label=f"order {n}")
            for n in range(4)
        ],
        Case(psi, (Arg((0, 2)),), numbers(0), grad=False),
        Case(psi, (Arg((5,), values=np.array([-0.5, -1.25, -3.75, 30.0, 1e4])),), numbers(0), grad=False),
    ]


POLYGAMMA = record(
    "polygamma",
    infer=lambda op, inputs: inputs[0].type,
    numpy=_polygamma_numpy,
    grad=lambda op, inputs, outputs, gs: [gs[0] * polygamma(op["order"] + 1, inputs[0])],
    lower=Pointwise(_polygamma_body),
    cases=_polygamma_cases,
)


def polygamma(n: int, x: Any) -> Variable:
    """The ``n``-th derivative of ``psi``, elementwise.

    Parameters
    ----------
    n : int
        At least 0.
    x : tensor_like
        Integers become floatX. At 0, -1, -2, ... are poles, where the result is infinite or NaN.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
        raise ValueError(f"polygamma: n must be an integer of at least 0, got {n!r}")
    x = as_tensor(x)
    return Op(POLYGAMMA, order=int(n))(ew.cast(x, floating(x.dtype)))


@also_named(a="x")
def tri_gamma(x: Any) -> Variable:
    """The second derivative of ``gammaln``, elementwise (the trigamma function)."""
    return polygamma(1, x)
