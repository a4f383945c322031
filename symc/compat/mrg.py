"""Theano's generator MRG31k3p, number by number.

P. L'Ecuyer, R. Touzin: Fast combined multiple recursive generators with multipliers of the form a = +-2**q +- 2**r
(Winter Simulation Conference, 2000). Two recurrences of order 3 are combined::

    x[n] = (2**22 x[n-2] + (2**7 + 1) x[n-3]) mod M1
    y[n] = (2**15 y[n-1] + (2**15 + 1) y[n-3]) mod M2
    u[n] = ((x[n] - y[n]) mod M1, or M1 if that is 0) * 2**-31

A state is a vector of six int32: the last three x, the newest first, and the last three y. A draw has many streams,
whose states are 2**72 steps apart; the numbers are taken from them in turn. NumPy computes them, outside of compiled
code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

import symc
import symc.gradient
import symc.tensor as T
from symc.compat.multinomial import ChoiceFromUniform, MultinomialFromUniform
from symc.compat.op_class import OpClass
from symc.gradient.absent import grad_undefined
from symc.graph import SharedVariable, Variable
from symc.graph.dtypes import as_dtype
from symc.graph.types import TensorType
from symc.runtime.shared import shared
from symc.tensor.random_numbers.arguments import shape_of
from symc.tensor.shared_randomstreams import MRG_RandomStreams as _Streams

__all__ = [
    "M1", "M2", "DotModulo", "ExactMRG", "ff_2p134", "ff_2p72", "guess_n_streams", "matVecModM", "mrg_uniform",
    "multMatVect",
]  # fmt: skip

M1 = 2**31 - 1
M2 = 2**31 - 21069
_FIRST = ((0, 2**22, 2**7 + 1), (1, 0, 0), (0, 1, 0))
_SECOND = ((2**15, 0, 2**15 + 1), (1, 0, 0), (0, 1, 0))
_MOST_STREAMS = 60 * 256

Matrix = tuple[tuple[int, ...], ...]


def _product(a: Matrix, b: Matrix, modulus: int) -> Matrix:
    return tuple(tuple(sum(a[i][k] * b[k][j] for k in range(3)) % modulus for j in range(3)) for i in range(3))


@cache
def _jump(k: int) -> tuple[Matrix, Matrix]:
    """The matrices of ``2**k`` steps of both recurrences."""
    first: Matrix = _FIRST
    second: Matrix = _SECOND
    for _ in range(k):
        first, second = _product(first, first, M1), _product(second, second, M2)
    return first, second


def multMatVect(v: Any, A: Any, m1: int, B: Any, m2: int) -> np.ndarray:  # noqa: N802, N803 - Theano's names
    """The products of ``A`` and ``v[:3]`` modulo ``m1`` and of ``B`` and ``v[3:]`` modulo ``m2``."""
    values = [int(n) for n in v]
    first = [sum(int(a) * n for a, n in zip(row, values[:3])) % m1 for row in A]
    second = [sum(int(b) * n for b, n in zip(row, values[3:])) % m2 for row in B]
    return np.array(first + second, "int32")


def matVecModM(A: Any, s: Any, m: Any) -> np.ndarray:  # noqa: N802, N803 - Theano's names
    """``A @ s`` modulo ``m``, of int64 numbers whose products fit in 64 bits."""
    return np.asarray(np.sum((A * s) % m, 1) % m, "int32")


class DotModulo(OpClass):
    """The symbolic ``multMatVect``: ``DotModulo()(A, s, m, A2, s2, m2)`` joins ``A s % m`` and ``A2 s2 % m2``."""

    def __call__(self, A: Any, s: Any, m: Any, A2: Any, s2: Any, m2: Any) -> Variable:  # noqa: N803
        halves = [
            T.sum(T.cast(a, "int64") * T.cast(v, "int64") % by, axis=1) % by for a, v, by in ((A, s, m), (A2, s2, m2))
        ]
        return T.cast(T.concatenate(halves), T.as_tensor_variable(s).dtype)


def _advanced(states: np.ndarray, matrices: tuple[Matrix, Matrix]) -> np.ndarray:
    """The products of matrices with the halves of many states; three products of 31 bits fit in 64."""
    first, second = (np.array(m, "uint64") for m in matrices)
    return np.concatenate([states[:, :3] @ first.T % M1, states[:, 3:] @ second.T % M2], axis=1)


def ff_2p72(rstate: Any) -> np.ndarray:
    """The state 2**72 steps later."""
    first, second = _jump(72)
    return multMatVect(rstate, first, M1, second, M2)


def ff_2p134(rstate: Any) -> np.ndarray:
    """The state 2**134 steps later."""
    first, second = _jump(134)
    return multMatVect(rstate, first, M1, second, M2)


def guess_n_streams(size: Any, warn: bool = False) -> int:
    """The number of streams for a draw: a sixth of its numbers, at most 15360, or 15360 for an unknown size."""
    if not isinstance(size, (tuple, list)) or not all(isinstance(n, (int, np.integer)) for n in size):
        return _MOST_STREAMS
    count = math.prod(int(n) for n in size)
    return min(count // 6 if count > 6 else count, _MOST_STREAMS)


def _numbers(states: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The states after ``count`` numbers, and these, from 1 to M1."""
    x3, x2, x1, y3, y2, y1 = np.ascontiguousarray(states.T.astype("int64"))[[2, 1, 0, 5, 4, 3]]
    streams = len(x1)
    out = np.empty(count, "int64")
    for start in range(0, count, max(streams, 1)):
        n = min(streams, count - start)
        x = (x2[:n] * 2**22 + x3[:n] * (2**7 + 1)) % M1
        y = (y1[:n] * 2**15 + y3[:n] * (2**15 + 1)) % M2
        x3[:n], x2[:n], x1[:n] = x2[:n], x1[:n], x
        y3[:n], y2[:n], y1[:n] = y2[:n], y1[:n], y
        difference = x - y
        out[start : start + n] = difference + (difference <= 0) * M1
    return np.stack([x1, x2, x3, y1, y2, y3], axis=1).astype("int32"), out


def _between_0_and_1(whole: np.ndarray, dtype: str) -> np.ndarray:
    """The integers from 1 to M1 as numbers between 0 and 1; for float16 of their lowest 15 bits, so that none is 1."""
    if dtype == "float16":
        found: np.ndarray = ((whole & 0x7FFF) + 1) * float(np.float16(3.0458e-05))
        return found.astype(dtype)
    wide = np.dtype("float64" if dtype == "float64" else "float32")
    factor = 2.0**-31 if wide == "float64" else np.nextafter(np.float32(2.0**-31), np.float32(0))
    return (whole.astype(wide) * factor).astype(dtype)


class mrg_uniform(symc.Op):  # noqa: N801 - Theano's name
    """A draw: from the states of the streams and a size, the next states and numbers between 0 and 1."""

    __props__ = ("dtype", "shape")

    def __init__(self, dtype: str, shape: tuple[int | None, ...]) -> None:
        self.dtype, self.shape = dtype, shape

    @classmethod
    def new(cls, rstate: Any, ndim: int | None, dtype: str, size: Any) -> tuple[Variable, Variable]:
        """The next states, and the numbers."""
        lengths = shape_of(size, ndim, "uniform", ())
        vector = T.stack([T.cast(n, "int64") for n in lengths]) if lengths else T.constant(np.empty(0, "int64"))
        known = tuple(1 if isinstance(n, int) and n == 1 else None for n in lengths)
        following, numbers = cls(as_dtype(dtype), known)(rstate, vector)
        return following, numbers

    def make_node(self, rstate: Any, size: Any) -> symc.Apply:
        """The application: the next states and the numbers."""
        rstate = T.as_tensor_variable(rstate)
        return symc.Apply(self, [rstate, size], [rstate.type(), TensorType(self.dtype, self.shape)()])

    def infer_shape(self, node: Any, shapes: Any) -> list[Any]:
        """The shapes of the states and of the numbers: the size."""
        return [shapes[0], [node.inputs[1][k] for k in range(len(self.shape))]]

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: Any) -> None:
        """Draw."""
        states, size = inputs
        following, whole = _numbers(states, math.prod(int(n) for n in size))
        output_storage[0][0] = following
        output_storage[1][0] = _between_0_and_1(whole, self.dtype).reshape(tuple(size))

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """A state and a size are no quantities to differentiate by."""
        return [[False, False], [False, False]]

    def grad(self, inputs: Sequence[Variable], output_gradients: Sequence[Variable]) -> list[Any]:
        """There are no derivatives by states and sizes."""
        op: Any = self
        return [grad_undefined(op, k, v, "no derivative by a state") for k, v in enumerate(inputs)]


TRUNCATED_DEVIATION = 0.87962566103423978
"""The standard deviation of normal numbers within two standard deviations, in standard deviations."""


class ExactMRG(_Streams):
    """``theano.sandbox.rng_mrg.MRG_RandomStreams`` with its numbers.

    Attributes
    ----------
    rstate : ndarray
        ``(6,)``, the first state of the next draw; each draw begins 2**134 steps after the one before.
    """

    rstate: Any = None

    def __init__(self, seed: Any = 12345, use_cuda: Any = None) -> None:
        self.state_updates = []
        self._draws: list[tuple[Any, Any, str]] = []
        self.default_instance_seed = seed
        self.set_rstate(seed)

    def set_rstate(self, seed: Any) -> None:
        """Set the first state of the next draw: a number six times, or six numbers."""
        given = [seed] * 6 if isinstance(seed, (int, np.integer)) else list(seed)
        if len(given) != 6:
            raise TypeError(f"seed should be 1 integer or 6 integers, got {seed!r}")
        if not any(given[:3]) or not any(given[3:]):
            raise ValueError("seed should not be 0", seed)
        if not all(0 <= n < M1 for n in given[:3]) or not all(0 <= n < M2 for n in given[3:]):
            raise ValueError(f"seed should be less than {M2}", seed)
        self.rstate = np.array(given, "int32")

    def inc_rstate(self) -> None:
        """Move the first state of the next draw by 2**134 steps."""
        self.rstate = ff_2p134(self.rstate)

    def get_substream_rstates(self, n_streams: int, dtype: str, inc_rstate: bool = True) -> np.ndarray:
        """The states of ``n_streams`` streams, 2**72 steps apart."""
        found = self.rstate[None].astype("uint64")
        power = 72
        while len(found) < n_streams:  # each time as many again, 2**72 steps times their number later
            found = np.concatenate([found, _advanced(found, _jump(power))])
            power += 1
        if inc_rstate:
            self.inc_rstate()
        return found[:n_streams].astype("int32")

    def n_streams(self, size: Any) -> int:
        """The number of streams for a draw of this size."""
        return guess_n_streams(size)

    def seed(self, seed: Any = None) -> None:
        """Restart every draw from ``seed`` (default: the seed that the streams were created with)."""
        self.set_rstate(self.default_instance_seed if seed is None else seed)
        for (state, _), (size, nstreams, dtype) in zip(self.state_updates, self._draws):
            state.set_value(self.get_substream_rstates(nstreams or self.n_streams(size), dtype))

    def uniform(
        self,
        size: Any = None,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """Numbers between ``low`` and ``high``."""
        size = _checked_size(size)
        dtype = as_dtype(dtype or "floatX")
        state: SharedVariable = shared(self.get_substream_rstates(nstreams or self.n_streams(size), dtype))
        following, numbers = mrg_uniform.new(state, ndim, dtype, size)
        state.default_update = following
        state.tag.is_rng = True
        self.state_updates.append((state, following))
        self._draws.append((size, nstreams, dtype))
        made: Any = numbers
        made.rstate, made.update = state, (state, following)
        low, high = (symc.gradient.undefined_grad(T.cast(T.as_tensor_variable(v), dtype)) for v in (low, high))
        return numbers * (high - low) + low

    def binomial(  # type: ignore[override]
        self,
        size: Any = None,
        n: Any = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """1 with probability ``p``, else 0; for ``n`` above 1, symc's own numbers."""
        if n != 1:
            return super().binomial(size, n, p, ndim, dtype)
        p = symc.gradient.undefined_grad(T.as_tensor_variable(p))
        return T.cast(T.lt(self.uniform(size, ndim=ndim, nstreams=nstreams), p), dtype)

    def multinomial(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """The counts of each outcome in ``n`` trials, per row of the matrix ``pvals``."""
        return self._of_rows(MultinomialFromUniform(dtype), n, pvals, nstreams)

    def choice(
        self,
        size: Any = 1,
        a: Any = None,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """``size`` different columns per row of the matrix ``p``; other draws have symc's own numbers."""
        if p is not None and a is None and not replace and T.as_tensor_variable(p).ndim == 2:
            return self.multinomial_wo_replacement(None, size, p, None, dtype, nstreams)
        return super().choice(size, 2 if a is None else a, replace, p, ndim, dtype)

    def multinomial_wo_replacement(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """``n`` different outcomes per row of the matrix ``pvals``."""
        return self._of_rows(ChoiceFromUniform(dtype), n, pvals, nstreams)

    def _of_rows(self, op: Any, n: Any, pvals: Any, nstreams: int | None) -> Variable:
        """What ``op`` makes of the rows of the matrix ``pvals`` and of ``n`` uniform numbers for each of them."""
        p = T.as_tensor_variable(pvals)
        numbers = self.uniform((p.shape[0] * n,), ndim=1, nstreams=nstreams)
        return op(symc.gradient.undefined_grad(p), numbers, n)

    def normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: int | None = None,
        truncate: bool = False,
        target: Any = None,
    ) -> Variable:
        """Normally distributed numbers, from pairs of uniform ones (G. E. P. Box, M. E. Muller, 1958).

        With ``truncate``, those beyond two standard deviations are drawn again.
        """
        size = _checked_size(size)
        dtype = as_dtype(dtype or "floatX")
        shape = shape_of(size, ndim, "normal", ())
        count: Any = math.prod(shape) if all(isinstance(n, int) for n in shape) else T.prod(T.stack(shape))
        pairs = (count + count % 2) // 2
        u = self.uniform((pairs * 2,), ndim=1, dtype=dtype, nstreams=nstreams)
        radius, angle = T.sqrt(-2.0 * T.log(u[:pairs])), T.constant(2 * np.pi, dtype=dtype) * u[pairs:]
        z = [radius * T.cos(angle), radius * T.sin(angle)]
        if truncate:
            z = self._drawn_again(z, angle, dtype, nstreams)
        flat = T.concatenate(z)[:count]
        avg, std = (symc.gradient.undefined_grad(T.cast(T.as_tensor_variable(v), dtype)) for v in (avg, std))
        return T.reshape(flat, shape, ndim=len(shape)) * std + avg

    def _drawn_again(self, z: list[Variable], angle: Variable, dtype: str, nstreams: int | None) -> list[Variable]:
        """The numbers within two standard deviations, and new ones with the angles of the others behind them."""
        far = [T.nonzero(T.gt(abs(v), 2))[0] for v in z]
        lower = np.array(1 / np.e**2, dtype)
        u = self.uniform((far[0].size + far[1].size,), lower, 1.0, 1, dtype, nstreams)
        radius = T.sqrt(-2.0 * T.log(u))
        parts = []
        for v, at, turn, r in zip(z, far, (T.cos, T.sin), (radius[: far[0].size], radius[far[0].size :])):
            parts += [v[T.nonzero(T.le(abs(v), 2))[0]], r * turn(angle)[at]]
        return parts

    def truncated_normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """Numbers within two standard deviations, with the standard deviation ``std``."""
        return self.normal(size, avg, std / TRUNCATED_DEVIATION, ndim, dtype, nstreams, True)


def _checked_size(size: Any) -> Any:
    """A size as a tuple or a vector; ValueError for a length that is not positive."""
    if isinstance(size, Variable):
        return size if size.ndim else (size,)
    given = (size,) if isinstance(size, (int, np.integer)) else tuple(size)
    if any(isinstance(n, (int, np.integer)) and n <= 0 for n in given):
        raise ValueError("The specified size contains a dimension with value <= 0", size)
    return given
