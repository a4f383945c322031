"""Independent random streams: Philox4x32-10 in Python integers, and the transformation of each distribution.

References
----------
.. [1] John K. Salmon, Mark A. Moraes, Ron O. Dror and David E. Shaw (2011): Parallel random numbers: as easy as 1, 2,
       3. SC11.
"""

from __future__ import annotations

import math

import numpy as np

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


def words(key, call, count):
    """``(count, 4)``: the words of each element in the order in which they are used."""
    made = []
    for i in range(count):
        w = philox((i % WORD, i // WORD, call % WORD, call // WORD), (key % WORD, key // WORD))
        made.append((w[1], w[3], w[0], w[2]))
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


class Draws:
    """The draws of the streams with a seed, at their call number ``call``."""

    def __init__(self, seed, call, dtype):
        self.seed, self.call, self.dtype, self.number = seed, call, dtype, 0

    def take(self, shape, function):
        key, self.number = key_of(self.seed, self.number), self.number + 1
        return np.array([function(w) for w in words(key, self.call, math.prod(shape))]).reshape(shape)

    def units(self, shape, dtype=None):
        return self.take(shape, lambda w: unit(w, dtype or self.dtype))

    def normals(self, shape):
        return self.take(shape, lambda w: gauss(w, self.dtype))

    def integers(self, shape, low, high):
        return self.take(shape, lambda w: low + (w[0] * (high - low + 1) // WORD))

    def order(self, shape):
        """Permutations along the last axis: the rank of each random word."""
        return self.take(shape, lambda w: w[0]).argsort(-1, kind="stable").argsort(-1)

    def race(self, shape, p):
        """The outcome that comes first when each waits exponentially long with rate ``p``."""
        with np.errstate(divide="ignore"):
            return (-np.log1p(-self.units(shape)) / p).argmin(-1)


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
    ],
    "random_integers": [(lambda s: s.random_integers((40,), -5, 17), lambda d: d.integers((40,), -5, 17))],
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
    "permutation": [(lambda s: s.permutation((3,), 6), lambda d: d.order((3, 6)))],
    "shuffle_row_elements": [
        (lambda s: s.shuffle_row_elements(ROWS), lambda d: np.take_along_axis(ROWS, d.order((2, 4)), 1)),
    ],
}
"""From streams to a draw, and from ``Draws`` to the numbers."""
