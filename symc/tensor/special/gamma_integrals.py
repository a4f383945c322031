r"""The regularised incomplete gamma functions and their derivatives, with NumPy in float64.

With :math:`f(t) = t^{k - 1} e^{-t} / \Gamma(k)`, :math:`P` is its integral from 0 to x and :math:`Q` the one from x on.
Small k and x up to k + 1 or 1: the power series of P (NIST DLMF 8.7.1). Else: Gauss-Legendre quadrature over the part
of the integral in which f falls by a factor of :math:`e^{45}` from x on. Derivatives by k are the integrals of f times
polynomials in :math:`\log t - \psi(k)`, or sums of differentiated terms. Both are computed relative to :math:`x f(x)`.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

__all__ = ["density", "lgamma", "regularised", "relative"]

_SERIES_UP_TO = 50.0
_SHIFT = 10
_DROP = 45.0
_NODES = 80
_BLOCK = 1024
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


def _tail(k: np.ndarray) -> np.ndarray:
    """What Stirling's formula lacks in ``log(gamma(k))``, for k of at least 10."""
    r = 1 / k
    return r * np.polyval(_STIRLING[::-1], r * r)


def _shifted(k: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """``k`` moved to at least 10, and the numbers passed on the way (infinite where none was)."""
    small = k < _SHIFT
    return np.where(small, k + _SHIFT, k), [np.where(small, k + j, np.inf) for j in range(_SHIFT)]


def lgamma(k: np.ndarray) -> np.ndarray:
    """The logarithm of the gamma function, for k > 0."""
    far, passed = _shifted(k)
    product = np.ones_like(k)
    for p in passed:
        product = product * np.where(np.isinf(p), 1.0, p)
    return (far - 0.5) * np.log(far) - far + 0.5 * math.log(2 * math.pi) + _tail(far) - np.log(product)


def _polygamma(k: np.ndarray, order: int) -> np.ndarray:
    """``psi(k) - log(k)`` for order 0, else the derivative of that order of psi; for k > 0."""
    far, passed = _shifted(k)
    r = 1 / far
    if order == 0:
        terms = [b / (2 * j) for j, b in enumerate(_BERNOULLI, 1)]
        found = -0.5 * r - r * r * np.polyval(terms[::-1], r * r)
        for p in passed:
            found = found - 1 / p
        return found + np.log(far / k)
    found = r * (1 + r * (0.5 + r * np.polyval(_BERNOULLI[::-1], r * r)))
    for p in passed:
        found = found + 1 / p**2
    return found


def _weight(k: np.ndarray, t: np.ndarray, order: int) -> np.ndarray:
    """The derivative by k of that order of the density at ``t``, divided by the density."""
    if order == 0:
        return np.ones_like(t)
    excess = (t - k) / k
    slope = np.where(np.abs(excess) < 0.5, np.log1p(excess), np.log(t / k)) - _polygamma(k, 0)
    return slope if order == 1 else slope * slope - _polygamma(k, 1)


def _scaled(k: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``x**k exp(-x) / gamma(k)``, for k > 0 and x > 0."""
    excess = (x - k) / k
    log = np.where(np.abs(excess) < 0.5, np.log1p(excess), np.log(x / k))
    near = np.sqrt(k / (2 * math.pi)) * np.exp(-k * (excess - log) - _tail(np.maximum(k, _SHIFT)))
    return np.where(k >= _SHIFT, near, np.exp(k * np.log(x) - x - lgamma(k)))


# --- the density ----------------------------------------------------------------------------------------------------


def density(k: np.ndarray, x: np.ndarray, order: int) -> np.ndarray:
    """The derivative of that order by ``k`` of ``x**(k - 1) exp(-x) / gamma(k)``, for x >= 0 and any k."""
    with np.errstate(all="ignore"):
        k, x = np.broadcast_arrays(np.asarray(k, "float64"), np.asarray(x, "float64"))
        return _density(k, x, order, 40)


def _density(k: np.ndarray, x: np.ndarray, order: int, steps: int) -> np.ndarray:
    found = _scaled(k, x) / x * _weight(k, x, order)
    at_zero = np.where(k > 1, 0.0, np.where(k == 1, 1.0 if order == 0 else -np.inf, np.inf))
    found = np.where(x == 0, at_zero, np.where(np.isinf(x) & (k < np.inf), 0.0, found))
    found = np.where((x < 0) | np.isnan(k), np.nan, found)
    low = k <= 0
    if steps and np.any(low):  # f(k) = k f(k + 1) / x
        up = np.where(low, k + 1, 1.0)
        moved = k * _density(up, x, order, steps - 1)
        if order:
            moved = moved + order * _density(up, x, order - 1, steps - 1)
        moved = np.where((x == 0) & (k == 0) & (order == 0), 0.0, moved / x)
        found = np.where(low, moved, found)
    return found


# --- the integrals --------------------------------------------------------------------------------------------------


def regularised(k: np.ndarray, x: np.ndarray, order: int, upper: bool) -> np.ndarray:
    """The derivative of that order (0, 1, 2) by ``k`` of Q(k, x) if ``upper``, else of P(k, x)."""
    k, x = np.broadcast_arrays(np.asarray(k, "float64"), np.asarray(x, "float64"))
    with np.errstate(all="ignore"):
        zero, one = 0.0, 1.0 if order == 0 else 0.0
        at_least, at_most = (one, zero) if upper else (zero, one)  # the values where x is small, and where it is large
        found = np.full(k.shape, np.nan)
        found[((x == 0) & (k > 0)) | ((x >= 0) & np.isfinite(x) & (k == np.inf))] = at_least
        found[((x == np.inf) & (k >= 0) & np.isfinite(k)) | ((k == 0) & (x > 0))] = at_most
        if order:
            found[(k == 0) & (x > 0) & np.isfinite(x)] = np.nan
        inside = (k > 0) & (x > 0) & np.isfinite(k) & np.isfinite(x)
        found[inside] = _inside(k[inside], x[inside], order, upper)
        return found


def relative(k: np.ndarray, log_x: np.ndarray, order: int) -> np.ndarray:
    """The derivative of that order (1, 2) by ``k`` of P(k, x), divided by ``x f(x)``: it exists where x underflows.

    ``k`` is positive.
    """
    k, log_x = np.broadcast_arrays(np.asarray(k, "float64"), np.asarray(log_x, "float64"))
    found = np.full(k.shape, np.nan)
    with np.errstate(all="ignore"):
        x = np.exp(log_x)
        inside = (k > 0) & np.isfinite(k) & np.isfinite(log_x) & np.isfinite(x)
        small = inside & (k <= _SERIES_UP_TO) & (x <= np.maximum(k + 1, 1.0))
        found[small] = _series(k[small], x[small], order, log_x[small])
        for where, sign, compute in ((inside & (x < k), 1, _below), (inside & (x >= k), -1, _above)):
            where = where & ~small
            if np.any(where):
                found[where] = sign * compute(k[where], x[where], order)
    return found


def _inside(k: np.ndarray, x: np.ndarray, order: int, upper: bool) -> np.ndarray:
    found = np.empty_like(k)
    small = (k <= _SERIES_UP_TO) & (x <= np.maximum(k + 1, 1.0))
    below = ~small & (x < k)
    above = ~small & ~below
    tiny = small & (x <= 1) if upper and order == 0 else np.zeros_like(small)
    for where, is_upper, compute in (
        (small & ~tiny, False, _series),
        (below, False, _below),
        (above, True, _above),
        (tiny, True, _small_upper),
    ):
        if np.any(where):
            part = compute(k[where], x[where], order)
            if compute is not _small_upper:
                part = part * _scaled(k[where], x[where])
            if is_upper != upper:
                part = (1.0 if order == 0 else 0.0) - part
            found[where] = part
    return found


def _series(k: np.ndarray, x: np.ndarray, order: int, log_x: np.ndarray | None = None) -> np.ndarray:
    """P by its series: ``1 / k`` times the sum of ``x**n / ((k + 1) ... (k + n))``, relative to ``x f(x)``."""
    term, ones, squares = np.ones_like(k), np.zeros_like(k), np.zeros_like(k)
    total, first, second = term.copy(), np.zeros_like(k), np.zeros_like(k)
    for n in range(1, 1000):
        r = 1 / (k + n)
        term = term * x * r
        total += term
        if order:
            ones, squares = ones + r, squares + r * r
            first -= term * ones
            second += term * (ones * ones + squares)
        if not np.any(term * max(1.0, float(np.max(ones, initial=0)) ** order) > 1e-18 * total):
            break
    if order == 0:
        return total / k
    slope = (np.log(x) if log_x is None else log_x) - (_polygamma(k, 0) + np.log(k) + 1 / k)  # psi(k + 1)
    if order == 1:
        return (slope * total + first) / k
    return ((slope * slope - (_polygamma(k, 1) - 1 / k**2)) * total + 2 * slope * first + second) / k


@lru_cache(maxsize=1)
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for [0, 1]."""
    at, weights = np.polynomial.legendre.leggauss(_NODES)
    return (at + 1) / 2, weights / 2


def _quadrature(k: np.ndarray, x: np.ndarray, order: int, reach: np.ndarray, sign: int) -> np.ndarray:
    """The integral of the weighted density from ``x`` over a length of ``reach`` up or down, relative to ``x f(x)``."""
    at, weights = _nodes()
    found = np.empty_like(k)
    for begin in range(0, len(k), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        kk, xx, length = k[part, None], x[part, None], reach[part, None]
        d = sign * length * at
        ratio = np.exp((kk - 1) * np.log1p(d / xx) - d)
        sums = (ratio * _weight(kk, xx + d, order)) @ weights
        found[part] = reach[part] * sums
    return found / x


def _below(k: np.ndarray, x: np.ndarray, order: int) -> np.ndarray:
    """P for x < k: the logarithm of the density falls at least as fast as a parabola."""
    slope, bend = (k - 1) / x - 1, (k - 1) / (2 * x * x)
    reach = 2 * _DROP / (slope + np.sqrt(slope * slope + 4 * bend * _DROP))
    return _quadrature(k, x, order, np.minimum(reach, x), -1)


def _above(k: np.ndarray, x: np.ndarray, order: int) -> np.ndarray:
    """Q for x of at least k and 1."""
    slope, bend = 1 - (k - 1) / x, np.maximum(k - 1, 0) / (2 * x * x)
    reach = 2 * _DROP / (slope + np.sqrt(slope * slope + 4 * bend * _DROP))
    for _ in range(8):  # Newton's method for a fall of 45, from a convex function
        fall = reach - (k - 1) * np.log1p(reach / x)
        reach = np.maximum(reach - (fall - _DROP) / (1 - (k - 1) / (x + reach)), reach * 0.1)
    return _quadrature(k, x, order, reach, 1)


def _small_upper(k: np.ndarray, x: np.ndarray, order: int) -> np.ndarray:
    """Q for x of at most 1: the integral from 1 on, and that from x to 1 by the series of ``exp(-t)``."""
    log, total, factor = np.log(x), np.zeros_like(k), 1.0
    for n in range(20):
        total += factor * -np.expm1((k + n) * log) / (k + n)
        factor /= -(n + 1)
    return total * k / np.exp(lgamma(k + 1)) + _above_one(k)


def _above_one(k: np.ndarray) -> np.ndarray:
    one = np.ones_like(k)
    far = k > 1.0
    found = np.empty_like(k)
    for where, compute in ((~far, _upper), (far, _one_minus_series)):
        if np.any(where):
            found[where] = compute(k[where], one[where], 0)
    return found


def _upper(k: np.ndarray, x: np.ndarray, order: int) -> np.ndarray:
    return _above(k, x, 0) * _scaled(k, x)


def _one_minus_series(k: np.ndarray, x: np.ndarray, order: int) -> np.ndarray:
    return 1 - _series(k, x, 0) * _scaled(k, x)
