"""Independent random streams: Philox4x32-10 in Python integers, and the transformation of each distribution.

References
----------
.. [1] John K. Salmon, Mark A. Moraes, Ron O. Dror and David E. Shaw (2011): Parallel random numbers: as easy as 1, 2,
       3. SC11.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

WORD = 2**32


def philox(counter, key):
    """Four random words for a counter of four words and a key of two."""
    a, b, c, d = counter
    k, l = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * a, WORD)
        high1, low1 = divmod(0xCD9E8D57 * c, WORD)
        a, b, c, d = high1 ^ b ^ k, low1, high0 ^ d ^ l, low0
        k, l = (k + 0x9E3779B9) % WORD, (l + 0xBB67AE85) % WORD
    return a, b, c, d


def key_of(seed, number):
    """The key of a stream's draw number ``number``."""
    return int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)[0])


def words(key, call, count, each):
    """``(count, each)``: the words of each element; elements 16 apart share four words, in the order 1, 3, 0, 2."""
    made = []
    for i in range(count):
        group, rest = divmod(i, 64 // each)
        share, lane = divmod(rest, 16)
        block = i if each == 4 else 16 * group + lane
        w = philox((block % WORD, block // WORD, call % WORD, call // WORD), (key % WORD, key // WORD))
        ordered = (w[1], w[3], w[0], w[2])
        made.append(ordered if each == 4 else ordered[each * share : each * share + each])
    return made


def unit(w, dtype):
    """A number in [0, 1) with 24 bits of one word, or 53 of two."""
    if dtype == "float32":
        return (w[0] >> 8) / 2**24
    return ((w[0] >> 5) * 2**26 + (w[1] >> 6)) / 2**53


def gauss(w, dtype):
    """Box and Muller's transform."""
    if dtype == "float32":
        radius, angle = (w[0] + 0.5) / WORD, unit(w[1:], dtype)
    else:
        radius, angle = unit(w, dtype) + 2.0**-54, unit(w[2:], dtype)
    return math.sqrt(-2 * math.log(radius)) * math.cos(2 * math.pi * angle)


def signed(w, dtype):
    """A number in [-1, 1] without zero."""
    if dtype == "float32":
        return np.float32((w[0] + 0.5) / WORD) * (-1 if w[1] % 2 else 1)
    return (unit(w, dtype) + 2.0**-54) * (-1 if w[2] % 2 else 1)


def waiting(u):
    """A standard exponential number."""
    return -math.log(abs(u) / 2) if u > 0 else -math.log1p(-abs(u) / 2)


def log_gamma(pairs, shape):
    """Marsaglia and Tsang; ``pairs(t)`` are the two uniform numbers of attempt t."""
    d = (shape + 1 if shape < 1 else shape) - 1 / 3
    for t in range(1, 1000, 2):
        radius, angle = pairs(t + 1)
        z = math.sqrt(-2 * math.log(radius)) * math.cos(2 * math.pi * angle)
        v = (1 + z / math.sqrt(9 * d)) ** 3
        if v > 0 and math.log(pairs(t + 2)[0]) < z * z / 2 + d * (1 - v + math.log(v)):
            return math.log(d * v) + (math.log(pairs(1)[0]) / shape if shape < 1 else 0)


def inverted(u, probabilities):
    """The first outcome up to which the probabilities add up to u."""
    total = 0.0
    for k, p in enumerate(probabilities):
        total += p
        if u <= total:
            return k


def hormann(pairs, b, a, centre, quick, scale, density, top):
    """Transformed rejection: the density is relative to that of the hat."""
    for t in range(1, 1000, 2):
        u, v = pairs(t)
        u -= 0.5
        margin = 0.5 - abs(u)
        k = math.floor((2 * a / margin + b) * u + centre)
        if not 0 <= k <= top:
            continue
        if margin >= 0.07 and v <= quick:
            return k
        if math.log(v * scale / (a / margin**2 + b)) <= density(k):
            return k


def poisson(pairs, rate):
    if rate < 10:
        return inverted(pairs(1)[0], (math.exp(-rate) * rate**k / math.factorial(k) for k in range(150)))
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    density = lambda k: -rate + k * math.log(rate) - math.lgamma(k + 1)  # noqa: E731
    scale = 1.1239 + 1.1328 / (b - 3.4)
    return hormann(pairs, b, a, rate + 0.43, 0.9277 - 3.6224 / (b - 2), scale, density, math.inf)


def binomial(pairs, n, p):
    if p > 0.5:
        return n - binomial(pairs, n, 1 - p)
    if n * p < 10:
        return inverted(pairs(1)[0], (math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(min(n, 150) + 1)))
    spread = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    mode = math.floor((n + 1) * p)
    weight = lambda k: -math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p / (1 - p))  # noqa: E731
    density = lambda k: weight(k) - weight(mode)  # noqa: E731
    return hormann(pairs, b, a, n * p + 0.5, 0.92 - 4.2 / b, (2.83 + 5.1 / b) * spread, density, n)


class Draws:
    """The draws of the streams with a seed, at their call number ``call``."""

    def __init__(self, seed, call, dtype):
        self.seed, self.call, self.dtype, self.number = seed, call, dtype, 0

    def take(self, shape, function, each=1):
        """``function`` of the ``each`` words of every element."""
        key, self.number = key_of(self.seed, self.number), self.number + 1
        return np.array([function(w) for w in words(key, self.call, math.prod(shape), each)]).reshape(shape)

    def units(self, shape, dtype=None):
        dtype = dtype or self.dtype
        return self.take(shape, lambda w: unit(w, dtype), self.halves(dtype))

    def signeds(self, shape):
        return self.take(shape, lambda w: signed(w, self.dtype), 2 * self.halves(self.dtype))

    def waits(self, shape):
        return self.take(shape, lambda w: waiting(float(signed(w, self.dtype))), 2 * self.halves(self.dtype))

    @staticmethod
    def halves(dtype):
        """The words of a number of this dtype."""
        return 1 if dtype == "float32" else 2

    def rejected(self, function, *parameters, lane=0, more=False):
        """``function(pairs, *parameters)`` for each element; with ``more``, another lane of the same draw follows."""
        key = key_of(self.seed, self.number)
        self.number += not more
        given = np.broadcast_arrays(*parameters)

        def pairs(i, t):
            number = self.call + ((lane * 2**20 + t) << 32)
            w = philox((i, 0, number % WORD, number // WORD % WORD), (key % WORD, key // WORD))
            w = (w[1], w[3], w[0], w[2])
            return [((w[j] >> 5) * 2**26 + (w[j + 1] >> 6) + 0.5) / 2**53 for j in (0, 2)]

        made = [
            function(lambda t, i=i: pairs(i, t), *p) for i, p in enumerate(zip(*(g.ravel().tolist() for g in given)))
        ]
        return np.array(made).reshape(given[0].shape)

    def normals(self, shape):
        return self.take(shape, lambda w: gauss(w, self.dtype), 2 * self.halves(self.dtype))

    def integers(self, shape, low, high):
        return self.take(shape, lambda w: low + (w[0] * (high - low + 1) // WORD))

    def order(self, shape):
        """Permutations along the last axis: the rank of each random word."""
        return self.take(shape, lambda w: w[0]).argsort(-1, kind="stable").argsort(-1)

    def race(self, shape, p):
        """The outcome that comes first when each waits exponentially long with rate ``p``."""
        with np.errstate(divide="ignore"):
            return (-np.log1p(-self.units(shape, p.dtype.name)) / p).argmin(-1)


SHAPES = np.array([0.0625, 0.5, 1.0, 3.5, 40.0, 1e4])
RATES = np.array([0.0, 0.25, 4.0, 9.5, 10.0, 75.0, 1e4])
TRIALS, CHANCES = np.array([0, 5, 100, 1000, 50, 300]), np.array([0.5, 0.25, 0.0625, 0.25, 0.75, 1.0])


def student(d):
    """A normal and a gamma number of the same draw."""
    half = d.rejected(log_gamma, np.full(6, 2.5), more=True)
    return 1 + 2 * d.normals((6,)) * np.exp(0.5 * (np.log(2.5) - half))


def ratio(d):
    first, second = (d.rejected(log_gamma, SHAPES, lane=lane, more=not lane) for lane in (0, 1))
    return 1 / (1 + np.exp(second - first))


def shares(d):
    size = np.exp(d.rejected(log_gamma, np.full((4, 3), [0.5, 1.0, 2.0])))
    return size / size.sum(-1, keepdims=True)


def counted(d):
    rate = 0.25 / 0.75 * np.exp(d.rejected(log_gamma, np.full(8, 3.0), more=True))
    return d.rejected(poisson, rate.astype(d.dtype), lane=1)


P = np.array([[0.125, 0.0, 0.875], [0.5, 0.25, 0.25]])
ROWS = np.arange(8.0).reshape(2, 4)

DISTRIBUTIONS = {
    "uniform": [
        (lambda s: s.uniform((3, 5)), lambda d: d.units((3, 5))),
        (lambda s: s.uniform((3, 5), -2.0, 6.0), lambda d: -2 + 8 * d.units((3, 5))),
    ],
    "normal": [
        (lambda s: s.normal((3, 5)), lambda d: d.normals((3, 5))),
        (lambda s: s.normal((3, 5), 1.0, 0.5), lambda d: 1 + 0.5 * d.normals((3, 5))),
    ],
    "binomial": [
        (lambda s: s.binomial((40,), p=0.25), lambda d: (d.units((40,)) < 0.25).astype("int64")),
        (lambda s: s.binomial((9,), n=7, p=0.625), lambda d: (d.units((9, 7)) < 0.625).sum(-1)),
        (
            lambda s: s.binomial(n=np.repeat(TRIALS, 5), p=np.repeat(CHANCES, 5)),
            lambda d: d.rejected(binomial, np.repeat(TRIALS, 5), np.repeat(CHANCES, 5)),
        ),
    ],
    "random_integers": [
        (lambda s: s.random_integers((40,), -5, 17), lambda d: d.integers((40,), -5, 17)),
        (
            lambda s: s.random_integers((20, 2), np.array([-5, 3]), np.array([17, 3])),
            lambda d: np.array([-5, 3]) + d.take((20, 2), lambda w: w[0]) * np.array([23, 1]) // WORD,
        ),
    ],
    "multinomial": [
        (lambda s: s.multinomial(pvals=P), lambda d: np.eye(3, dtype="int64")[d.race((2, 3), P)]),
        (
            lambda s: s.multinomial(n=6, pvals=P),
            lambda d: np.eye(3, dtype="int64")[d.race((2, 6, 3), P[:, None])].sum(1),
        ),
    ],
    "choice": [
        (lambda s: s.choice((20,), 7), lambda d: d.integers((20,), 0, 6)),
        (lambda s: s.choice((20,), [5, 3, 8], p=P[1]), lambda d: np.array([5, 3, 8])[d.race((20, 3), P[1])]),
        (lambda s: s.choice((4,), 9, replace=False), lambda d: d.order((9,))[:4]),
    ],
    "exponential": [(lambda s: s.exponential((30,), 2.0), lambda d: 2 * d.waits((30,)))],
    "laplace": [
        (
            lambda s: s.laplace((30,), 1.0, 2.0),
            lambda d: (lambda u: 1 - 2 * np.sign(u) * np.log(abs(u)))(d.signeds((30,))),
        ),
    ],
    "logistic": [
        (
            lambda s: s.logistic((30,), 1.0, 2.0),
            lambda d: (lambda u: 1 + 2 * np.sign(u) * np.log(2 / abs(u) - 1))(d.signeds((30,)).astype("float64")),
        ),
    ],
    "gumbel": [(lambda s: s.gumbel((30,), 1.0, 2.0), lambda d: 1 - 2 * np.log(d.waits((30,))))],
    "cauchy": [
        (
            lambda s: s.cauchy((30,), 1.0, 2.0),
            lambda d: (lambda u: 1 + 2 * np.sign(u) / np.tan(np.pi / 2 * abs(u)))(d.signeds((30,)).astype("float64")),
        ),
    ],
    "weibull": [(lambda s: s.weibull((30,), 1.5), lambda d: d.waits((30,)) ** (1 / 1.5))],
    "pareto": [(lambda s: s.pareto((30,), 2.5), lambda d: np.expm1(d.waits((30,)) / 2.5))],
    "rayleigh": [(lambda s: s.rayleigh((30,), 2.0), lambda d: 2 * np.sqrt(2 * d.waits((30,))))],
    "truncated_normal": [
        (
            lambda s: s.truncated_normal((30,), 1.0, 2.0),
            lambda d: (
                1 + 2 * math.sqrt(2) * special.erfinv(special.erf(math.sqrt(2)) * d.signeds((30,)).astype("float64"))
            ),
        ),
    ],
    "lognormal": [(lambda s: s.lognormal((30,), 0.5, 0.25), lambda d: np.exp(0.5 + 0.25 * d.normals((30,))))],
    "bernoulli": [(lambda s: s.bernoulli((40,), 0.25), lambda d: (d.units((40,)) < 0.25).astype("int64"))],
    "geometric": [
        (lambda s: s.geometric((40,), 0.3), lambda d: 1 + np.floor(d.waits((40,)) / -np.log1p(-0.3)).astype("int64")),
    ],
    "gamma": [
        (lambda s: s.gamma(shape=SHAPES, scale=2.0), lambda d: 2 * np.exp(d.rejected(log_gamma, SHAPES))),
        (lambda s: s.gamma((3, 6), SHAPES), lambda d: np.exp(d.rejected(log_gamma, np.tile(SHAPES, (3, 1))))),
    ],
    "chisquare": [(lambda s: s.chisquare(df=2 * SHAPES), lambda d: 2 * np.exp(d.rejected(log_gamma, SHAPES)))],
    "beta": [(lambda s: s.beta(a=SHAPES, b=SHAPES), ratio)],
    "student_t": [(lambda s: s.student_t((6,), 5.0, 1.0, 2.0), student)],
    "dirichlet": [(lambda s: s.dirichlet((4,), [0.5, 1.0, 2.0]), shares)],
    "poisson": [(lambda s: s.poisson(lam=np.repeat(RATES, 6)), lambda d: d.rejected(poisson, np.repeat(RATES, 6)))],
    "negative_binomial": [(lambda s: s.negative_binomial((8,), 3, 0.75), counted)],
    "categorical": [
        (lambda s: s.categorical(p=P), lambda d: d.race((2, 3), P)),
        (lambda s: s.categorical((5, 2), P), lambda d: d.race((5, 2, 3), P)),
    ],
    "multinomial_wo_replacement": [
        (
            lambda s: s.multinomial_wo_replacement(n=2, pvals=[[0.5, 0.25, 0.25], [0.125, 0.5, 0.375]]),
            lambda d: (-np.log1p(-d.units((2, 3))) / [[0.5, 0.25, 0.25], [0.125, 0.5, 0.375]]).argsort(-1)[:, :2],
        ),
    ],
    "permutation": [(lambda s: s.permutation((3,), 6), lambda d: d.order((3, 6)))],
    "shuffle_row_elements": [
        (lambda s: s.shuffle_row_elements(ROWS), lambda d: np.take_along_axis(ROWS, d.order((2, 4)), 1)),
    ],
}
"""From streams to a draw, and from ``Draws`` to the numbers."""
