"""Random numbers by rejection and inversion: gamma, Poisson and binomial, in NumPy on every back end.

An element that is rejected draws again, from counters that no other draw uses: attempt ``t`` of element ``i`` of draw
``d`` is Philox of the counter ``(i, d + (t << 32))``, for ``t`` from 1. All back ends return the same numbers.

References
----------
.. [1] G. Marsaglia and W. W. Tsang (2000): A simple method for generating gamma variables. ACM TOMS 26.
.. [2] W. Hörmann (1993): The transformed rejection method for generating Poisson random variables. Insurance:
   Mathematics and Economics 12.
.. [3] W. Hörmann (1993): The generation of binomial random variates. Journal of Statistical Computation and Simulation
   46.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.gradient_flow import Undefined
from symc.graph.op import HostCall, Op, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.random_numbers.bits import ORDER, philox_numpy
from symc.tensor.random_numbers.implicit import log_gamma_slope

__all__ = ["REJECTION", "draw_by_rejection"]

LANE = 1 << 20
"""The number of attempts that each lane of a draw may take; a lane is one of several numbers per element."""


class _Uniforms:
    """Pairs of uniform numbers in (0, 1) for elements, by attempt."""

    def __init__(self, state: np.ndarray, lane: int) -> None:
        self.state = state
        self.first = lane * LANE

    def pair(self, places: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        """Two numbers with 53 bits for each of the elements at ``places``."""
        number = (int(self.state[1]) + ((self.first + attempt) << 32)) % 2**64
        words = philox_numpy(places, np.array([self.state[0], number], "uint64"))
        a, b, c, d = (words[k] for k in ORDER)
        return _open_unit(a, b), _open_unit(c, d)


def _open_unit(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    bits = (high >> np.uint64(5)) << np.uint64(26) | (low >> np.uint64(6))
    return np.asarray((bits.astype("float64") + 0.5) * 2.0**-53)


_SMALL = np.array([math.lgamma(k + 1) for k in range(16)])


def log_factorial(k: np.ndarray) -> np.ndarray:
    """The logarithms of factorials of whole floats: a table, and Stirling's series from 16."""
    at = np.maximum(k, 16.0)
    inverse = 1 / at
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    large = (at + 0.5) * np.log(at) - at + 0.5 * math.log(2 * math.pi) + series
    return np.asarray(np.where(k < 16, _SMALL[np.clip(k, 0, 15).astype("int64")], large))


Proposal = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""From indices of elements, their places and the attempt to values, and whether they are accepted."""


def _accepted(places: np.ndarray, propose: Proposal) -> np.ndarray:
    """Propose values for all elements, and again for those that were rejected."""
    out = np.empty(places.shape)
    waiting = np.arange(places.size)
    attempt = 1
    while waiting.size:
        values, accepted = propose(waiting, places[waiting], attempt)
        out[waiting[accepted]] = values[accepted]
        waiting = waiting[~accepted]
        attempt += 2
        if attempt >= LANE:
            raise ArithmeticError("a random number was rejected half a million times")
    return out


def _log_gamma(draws: _Uniforms, places: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The logarithm of a gamma variable, which does not underflow for small ``shape``.

    Below a shape of 1, it is that of shape + 1 times a uniform number to the power 1 / shape.
    """
    raised = np.where(shape < 1, shape + 1, shape)
    d = raised - 1 / 3
    c = 1 / np.sqrt(9 * d)

    def propose(k: np.ndarray, at: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        (radius, angle), (u, _) = draws.pair(at, attempt + 1), draws.pair(at, attempt + 2)
        z = np.sqrt(-2 * np.log(radius)) * np.cos(2 * math.pi * angle)
        root = 1 + c[k] * z
        v = np.maximum(root, 1e-300) ** 3
        fits = np.log(u) < 0.5 * z * z + d[k] * (1 - v + np.log(v))
        return np.log(d[k]) + np.log(v), (root > 0) & fits

    out = _accepted(places, propose)
    boost, _ = draws.pair(places, 1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(shape < 1, out + np.log(boost) / shape, out))


def _by_inversion(u: np.ndarray, first: np.ndarray, ratio: Callable[[int], np.ndarray]) -> np.ndarray:
    """The smallest k up to which probabilities add up to ``u``: they begin with ``first``, and grow by ``ratio(k)``."""
    out = np.zeros(u.shape)
    term, total = first.copy(), first.copy()
    for k in range(1, 200):
        beyond = u > total
        if not beyond.any():
            break
        out[beyond] = k
        term = term * ratio(k)
        total = total + term
    return out


def _poisson(draws: _Uniforms, places: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Inversion for rates below 10, transformed rejection above."""
    out = np.empty(rate.shape)
    small = rate < 10
    u, _ = draws.pair(places[small], 1)
    low = rate[small]
    out[small] = _by_inversion(u, np.exp(-low), lambda k: low / k)
    rate = rate[~small]
    b = 0.931 + 2.53 * np.sqrt(rate)
    a = -0.059 + 0.02483 * b
    scale = 1.1239 + 1.1328 / (b - 3.4)
    quick = 0.9277 - 3.6224 / (b - 2)

    def propose(k: np.ndarray, at: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        u, v = draws.pair(at, attempt)
        u, mean = u - 0.5, rate[k]
        margin = 0.5 - np.abs(u)
        count = np.floor((2 * a[k] / margin + b[k]) * u + mean + 0.43)
        density = -mean + count * np.log(mean) - log_factorial(np.maximum(count, 0))
        fits = np.log(v * scale[k] / (a[k] / (margin * margin) + b[k])) <= density
        fits &= (count >= 0) & ~((margin < 0.013) & (v > margin))
        return count, fits | ((margin >= 0.07) & (v <= quick[k]))

    out[~small] = _accepted(places[~small], propose)
    return out


def _binomial(draws: _Uniforms, places: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Inversion for a mean below 10, transformed rejection above; p above 1/2 counts failures."""
    turned = p > 0.5
    q = np.where(turned, 1 - p, p)
    out = np.empty(n.shape)
    small = n * q < 10
    u, _ = draws.pair(places[small], 1)
    odds, trials = q[small] / (1 - q[small]), n[small]
    first = np.exp(trials * np.log1p(-q[small]))
    out[small] = np.minimum(_by_inversion(u, first, lambda k: np.maximum(trials - k + 1, 0) / k * odds), trials)
    large = _large_binomial(draws, places[~small], n[~small], q[~small])
    out[~small] = large
    return np.asarray(np.where(turned, n - out, out))


def _large_binomial(draws: _Uniforms, places: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    spread = np.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    quick = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * spread
    mode = np.floor((n + 1) * p)
    log_odds = np.log(p / (1 - p))
    top = log_factorial(mode) + log_factorial(n - mode)

    def propose(k: np.ndarray, at: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        u, v = draws.pair(at, attempt)
        u = u - 0.5
        margin = 0.5 - np.abs(u)
        count = np.floor((2 * a[k] / margin + b[k]) * u + n[k] * p[k] + 0.5)
        inside = (count >= 0) & (count <= n[k])
        safe = np.where(inside, count, 0)
        density = top[k] - log_factorial(safe) - log_factorial(n[k] - safe) + (safe - mode[k]) * log_odds[k]
        fits = np.log(v * alpha[k] / (a[k] / (margin * margin) + b[k])) <= density
        return count, inside & (fits | ((margin >= 0.07) & (v <= quick[k])))

    return _accepted(places, propose)


KINDS: dict[str, tuple[Callable[..., np.ndarray], tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...]]] = {
    "log_gamma": (_log_gamma, (("shape must be positive and finite", lambda a: (a > 0) & np.isfinite(a)),)),
    "poisson": (_poisson, (("the rate must be from 0 to 1e15", lambda a: (a >= 0) & (a <= 1e15)),)),
    "binomial": (
        _binomial,
        (
            ("n must be a whole number from 0 to 1e15", lambda a: (a >= 0) & (a <= 1e15) & (a == np.floor(a))),
            ("p must be a probability from 0 to 1", lambda a: (a >= 0) & (a <= 1)),
        ),
    ),
}
"""The algorithm of each kind, and what its parameters must be."""


def _numpy(op: Op, state: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    function, rules = KINDS[op["kind"]]
    flat = [np.ravel(p).astype("float64") for p in parameters]
    for values, (text, holds) in zip(flat, rules):
        wrong = values[~holds(values)]
        if wrong.size:
            raise ValueError(f"{op['what']}: {text}, got {wrong[0]:g}")
    with np.errstate(all="ignore"):
        found = function(_Uniforms(state, op["lane"]), np.arange(flat[0].size), *flat)
    return found.reshape(parameters[0].shape).astype(op["dtype"])


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """Gamma variables move with their shape; counts do not."""
    if op["kind"] == "log_gamma":
        shape, drawn = ew.cast(inputs[1], op["dtype"]), outputs[0]
        return [None, gs[0] * log_gamma_slope(shape, drawn)]
    undefined = Undefined(f"{op['what']} has no derivative by what its distribution depends on")
    return [None, *[undefined] * (len(inputs) - 1)]


REJECTION = record(
    "random_by_rejection",
    infer=lambda op, inputs: TensorType(op["dtype"], inputs[1].type.shape),
    numpy=_numpy,
    grad=_grad,
    lower=HostCall(),
)


def draw_by_rejection(
    state: Variable, kind: str, dtype: str, what: str, parameters: Sequence[Variable], lane: int = 0
) -> Variable:
    """Draw random numbers with a parameter, or several, for each of them.

    Parameters
    ----------
    state : Variable
        ``(2,)`` uint64: the key, and the number of the draw.
    kind : {"log_gamma", "poisson", "binomial"}
        The logarithms of gamma variables with the shapes ``parameters[0]``; Poisson variables with the rates
        ``parameters[0]``; binomial variables of ``parameters[0]`` trials with the probabilities ``parameters[1]``.
    dtype : str
    what : str
        The name of the distribution in messages.
    parameters : sequence of Variable
        All of the shape of the result.
    lane : int
        Distinguishes several numbers of one draw.

    Raises
    ------
    ValueError
        When called, for parameters outside of their range.
    """
    return Op(REJECTION, kind=kind, dtype=dtype, what=what, lane=lane)(state, *parameters)
