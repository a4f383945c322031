r"""Bessel functions J and I of real order, with NumPy in float64.

For x >= 0 and orders v >= 0: the power series where its terms do not cancel (NIST DLMF 10.2.2, 10.25.2), Hankel's
expansion for large x (10.17.3, 10.40.1), and for J in between, the recurrence in the order: upwards where the order is
below x, else Miller's, backwards, normalised by
:math:`(x / 2)^\nu = \sum_k (\nu + 2k) \Gamma(\nu + k) / k! \, J_{\nu + 2k}(x)` (10.23.15). Negative orders of J
follow by recurrence, negative x of integer orders by symmetry.
"""

from __future__ import annotations

import math

import numpy as np

from symc.tensor.special.gamma_integrals import lgamma

__all__ = ["bessel"]

_FAR = 30.0
_MOST_STEPS = 50_000
"""Values that would need more steps of a recurrence are NaN."""
_BLOCK = 2048


def bessel(v: np.ndarray, x: np.ndarray, modified: bool) -> np.ndarray:
    """J of order ``v`` at ``x``, or I if ``modified``."""
    v, x = np.broadcast_arrays(np.asarray(v, "float64"), np.asarray(x, "float64"))
    size, whole = np.abs(x), v == np.rint(v)
    odd = whole & (np.mod(v, 2) == 1)
    order = np.where(whole, np.abs(v), v)  # I_-n = I_n, J_-n = (-1)**n J_n
    found = np.full(v.shape, np.nan)
    usual = np.isfinite(v) & np.isfinite(x) & (size > 0) & (whole | (x > 0))
    found[usual] = _of_any_order(order[usual], size[usual], modified)
    found[(x == 0) & np.isfinite(v)] = 0.0
    found[(x == 0) & (v == 0)] = 1.0
    found[(x == 0) & (v < 0) & ~whole] = np.inf
    found[(x == np.inf) & np.isfinite(v)] = np.inf if modified else 0.0
    found[(x == -np.inf) & whole] = np.inf if modified else 0.0
    flips = odd & (x < 0)
    if not modified:
        flips = flips ^ (odd & (v < 0))
    return np.where(flips, -found, found)


def _of_any_order(v: np.ndarray, x: np.ndarray, modified: bool) -> np.ndarray:
    found = np.empty_like(v)
    backwards = v < (-np.inf if modified else 0)  # backwards, I would be unstable
    found[~backwards] = _directly(v[~backwards], x[~backwards], modified)
    if np.any(backwards):
        found[backwards] = _downwards(v[backwards], x[backwards])
    return found


def _downwards(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Recurrence from the orders in (0, 1) and (1, 2): ``J[v - 1] = 2 v / x J[v] - J[v + 1]``."""
    top = v - np.floor(v)
    return _steps(v, x, top, _directly(top + 1, x, False), _directly(top, x, False), -1)


def _upwards(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Recurrence from the orders in [0, 1) and [1, 2), stable while the order is below x."""
    low = v - np.floor(v)
    return _steps(v, x, low + 1, _far(low, x), _far(low + 1, x), 1)


def _steps(v: np.ndarray, x: np.ndarray, at: np.ndarray, before: np.ndarray, here: np.ndarray, step: int) -> np.ndarray:
    """From the values of order ``at`` and of the one before it to those of order ``v``, in steps of one order."""
    found = np.where(np.abs(at - v) < 0.5, here, np.where(np.abs(at - step - v) < 0.5, before, np.nan))
    for _ in range(int(min(np.max(step * (v - at)) + 0.5, _MOST_STEPS))):
        before, here, at = here, 2 * at / x * here - before, at + step
        found = np.where(np.abs(at - v) < 0.5, here, found)
    return found


def _directly(v: np.ndarray, x: np.ndarray, modified: bool) -> np.ndarray:
    """For x > 0 and v, for J at least 0, both finite."""
    found = np.empty_like(v)
    far = x >= np.maximum(_FAR, v * v)
    series = ~far if modified else ~far & (x * x <= 4 * (v + 1))
    between = ~far & ~series
    upwards = between & (x >= np.maximum(_FAR, v))
    for where, compute in (
        (far, _modified_far if modified else _far),
        (series, _modified_series if modified else _series),
        (upwards, _upwards),
        (between & ~upwards, _miller),
    ):
        if np.any(where):
            found[where] = compute(v[where], x[where])
    return found


def _power_series(v: np.ndarray, x: np.ndarray, sign: float) -> np.ndarray:
    quarter, term, total = sign * x * x / 4, np.ones_like(v), np.ones_like(v)
    least = -np.min(v)
    for m in range(1, 3000 + int(min(max(least, 0), _MOST_STEPS))):
        term = term * quarter / (m * (v + m))
        total += term
        if m > least and not np.any(np.abs(term) > 1e-18 * np.abs(total)):
            break
    negative = v < 0
    size = np.abs(v) + np.where(negative, 0, 1)
    shape = np.exp(v * np.log(x / 2) + np.where(negative, 1, -1) * lgamma(size))
    odd = np.mod(np.rint(v), 2)
    return shape * total * np.where(negative, np.sin(np.pi * (np.rint(v) - v)) * (1 - 2 * odd) / np.pi, 1.0)


def _series(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    return _power_series(v, x, -1.0)


def _modified_series(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    return _power_series(v, x, 1.0)


def _coefficients(v: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    """Hankel's ``a_k(v) / x**k``, until they are negligible."""
    found = [np.ones_like(v)]
    for k in range(1, 60):
        found.append(found[-1] * (4 * v * v - (2 * k - 1) ** 2) / (8 * k * x))
        if not np.any(np.abs(found[-1]) > 1e-18):
            break
    return found


def _far(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    terms = _coefficients(v, x)
    p = np.sum([t * (-1) ** j for j, t in enumerate(terms[::2])], axis=0)
    q = np.sum([np.zeros_like(v), *(t * (-1) ** j for j, t in enumerate(terms[1::2]))], axis=0)
    shift = np.mod(v / 2 + 0.25, 2) * math.pi
    cosine = np.cos(x) * np.cos(shift) + np.sin(x) * np.sin(shift)
    sine = np.sin(x) * np.cos(shift) - np.cos(x) * np.sin(shift)
    return np.sqrt(2 / math.pi / x) * (cosine * p - sine * q)


def _modified_far(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    total = np.sum([t * (-1) ** k for k, t in enumerate(_coefficients(v, x))], axis=0)
    half = np.exp(x / 2)  # twice, since exp(x) overflows first
    return half * (total / (np.sqrt(2 * math.pi) * np.sqrt(x))) * half


def _miller(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Where v is above x, unless both are small."""
    found = np.full(v.shape, np.nan)
    vanishes = (v > x) & (v * np.log(math.e / 2 * np.minimum(x / v, 1)) < -800)  # DLMF 10.14.4
    found[vanishes] = 0.0
    order = np.argsort(np.where(vanishes, np.inf, np.maximum(v, x)))
    order = order[: np.count_nonzero(~vanishes & (v <= _MOST_STEPS))]
    for begin in range(0, len(order), _BLOCK):
        part = order[begin : begin + _BLOCK]
        found[part] = _recurrence(v[part], x[part])
    return found


def _recurrence(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    lowest, n = v - np.floor(v), np.floor(v)
    largest = float(np.max(np.maximum(v, x)))
    start = 2 * int((largest + 40 + 12 * largest ** (1 / 3)) / 2)
    above, here = np.zeros_like(v), np.full_like(v, 1e-300)
    wanted, norm = np.zeros_like(v), np.zeros_like(v)
    # the weights of the normalising sum, (nu + 2k) gamma(nu + k) / k!; for nu = k = 0 the factors give 1
    k = start // 2
    steps = np.where(lowest > 0, lowest, 1.0)
    weight = np.exp(lgamma(lowest + k) - lgamma(np.full_like(v, k + 1.0)))
    for m in range(start, -1, -1):
        wanted = np.where(n == m, here, wanted)
        if m % 2 == 0:
            k = m // 2
            first = np.where(lowest > 0, np.exp(lgamma(steps + 1)), 1.0)
            norm = norm + (first if k == 0 else (lowest + m) * weight) * here
            if k > 1:
                weight = weight * k / (lowest + k - 1)
        if m:
            lower = 2 * (lowest + m) / x * here - above
            above, here = here, lower
            big = np.abs(here) > 1e200
            if np.any(big):
                scale = np.where(big, 1e-200, 1.0)
                above, here, wanted, norm = above * scale, here * scale, wanted * scale, norm * scale
    return wanted / norm * (x / 2) ** lowest
