"""Distributions as transformations of uniform, normal and gamma numbers.

The parameters of location and scale, and others of which a number is a smooth function for fixed random bits, have
gradients: those of the transformation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.gradient.pass_through import undefined_grad
from symc.graph import SharedVariable, Variable
from symc.graph.dtypes import as_dtype, is_float
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.creation import alloc
from symc.tensor.indices.indexing import subtensor
from symc.tensor.random_numbers.arguments import float_dtype, of_shape, shape_of
from symc.tensor.random_numbers.bits import draw
from symc.tensor.random_numbers.rejection import draw_by_rejection
from symc.tensor.requirements import require_lengths
from symc.tensor.sorting import argsort
from symc.tensor.special.inverse_erf import erfinv
from symc.tensor.symbolic_dims import shape_i

__all__ = ["Distributions"]

_STANDARD_DEVIATIONS = 2.0
"""Where ``truncated_normal`` is cut."""


def _waiting(signed: Variable) -> Variable:
    """A standard exponential number from one in [-1, 1] without zero: accurate near zero, and in the tail.

    Half of the numbers are ``-log(u)``, the others ``-log(1 - u)``, with u uniform in (0, 1/2].
    """
    half = 0.5 * ew.abs_(signed)
    return -ew.switch(ew.gt(signed, 0), ew.log(half), ew.log1p(-half))


class Distributions:
    """The distributions of ``RandomStreams`` that are transformations.

    Every method takes ``size`` (by default the broadcast shape of the parameters), ``ndim`` (the number of axes, if
    ``size`` is a vector of unknown length) and ``dtype``. Parameters are numbers or tensors and broadcast to ``size``.
    """

    def _new_state(self) -> SharedVariable:
        raise NotImplementedError(f"{type(self).__name__} must define _new_state")

    def _marked(self, out: Variable, state: SharedVariable) -> Variable:
        raise NotImplementedError(f"{type(self).__name__} must define _marked")

    def _transformed(
        self,
        what: str,
        size: Any,
        ndim: int | None,
        dtype: str | None,
        parameters: Sequence[Any],
        formula: Callable[..., Variable],
        kind: str = "signed",
    ) -> Variable:
        """Draw standard numbers, and transform them: ``formula(drawn, *parameters)``."""
        dtype = float_dtype(dtype, what)
        given = [ew.cast(as_tensor(p), dtype) for p in parameters]
        shape = shape_of(size, ndim, what, given)
        state = self._new_state()
        drawn = formula(draw(state, kind, dtype, 0.0, 1.0, shape), *given)
        return self._marked(of_shape(drawn, shape, what, given), state)

    def _rejected(
        self,
        what: str,
        kind: str,
        size: Any,
        ndim: int | None,
        dtype: str,
        parameters: Sequence[Any],
        formula: Callable[..., Variable] | None = None,
    ) -> Variable:
        """Draw by rejection. ``formula(state, make)`` combines numbers ``make(kind, lane, dtype, *parameters)``."""
        given = [as_tensor(p) for p in parameters]
        shape = shape_of(size, ndim, what, given)
        state = self._new_state()

        def make(kind: str, lane: int, dtype: str, *parameters: Variable) -> Variable:
            spread = [_spread(p, shape, what) for p in parameters]
            return draw_by_rejection(state, kind, dtype, what, spread, lane)

        drawn = make(kind, 0, dtype, *given) if formula is None else formula(state, shape, make)
        return self._marked(of_shape(drawn, shape, what, given), state)

    # --- transformations of one uniform number ------------------------------------------------------------------------

    def exponential(self, size: Any = None, scale: Any = 1.0, ndim: int | None = None, dtype: Any = None) -> Variable:
        """Exponential numbers with mean ``scale``: ``exp(-x / scale) / scale``."""
        return self._transformed("exponential", size, ndim, dtype, [scale], lambda u, s: s * _waiting(u))

    def laplace(
        self, size: Any = None, loc: Any = 0.0, scale: Any = 1.0, ndim: int | None = None, dtype: Any = None
    ) -> Variable:
        """Laplace numbers, with density ``exp(-abs(x - loc) / scale) / (2 * scale)``."""

        def formula(u: Variable, m: Variable, s: Variable) -> Variable:
            return m - s * (ew.sgn(u) * ew.log(ew.abs_(u)))

        return self._transformed("laplace", size, ndim, dtype, [loc, scale], formula)

    def logistic(
        self, size: Any = None, loc: Any = 0.0, scale: Any = 1.0, ndim: int | None = None, dtype: Any = None
    ) -> Variable:
        """Logistic numbers: the distribution function is ``sigmoid((x - loc) / scale)``."""

        def formula(u: Variable, m: Variable, s: Variable) -> Variable:
            half = 0.5 * ew.abs_(u)
            return m + s * (ew.sgn(u) * (ew.log1p(-half) - ew.log(half)))

        return self._transformed("logistic", size, ndim, dtype, [loc, scale], formula)

    def gumbel(
        self, size: Any = None, loc: Any = 0.0, scale: Any = 1.0, ndim: int | None = None, dtype: Any = None
    ) -> Variable:
        """Gumbel numbers: the distribution function is ``exp(-exp(-(x - loc) / scale))``."""

        def formula(u: Variable, m: Variable, s: Variable) -> Variable:
            return m - s * ew.log(_waiting(u))

        return self._transformed("gumbel", size, ndim, dtype, [loc, scale], formula)

    def cauchy(
        self, size: Any = None, loc: Any = 0.0, scale: Any = 1.0, ndim: int | None = None, dtype: Any = None
    ) -> Variable:
        """Cauchy numbers, with density ``1 / (pi * scale * (1 + ((x - loc) / scale) ** 2))``."""

        def formula(u: Variable, m: Variable, s: Variable) -> Variable:
            return m + s * (ew.sgn(u) / ew.tan((0.5 * math.pi) * ew.abs_(u)))

        return self._transformed("cauchy", size, ndim, dtype, [loc, scale], formula)

    def weibull(self, size: Any = None, a: Any = 1.0, ndim: int | None = None, dtype: Any = None) -> Variable:
        """Weibull numbers with shape ``a``: the survival function is ``exp(-x ** a)``."""
        return self._transformed("weibull", size, ndim, dtype, [a], lambda u, a: ew.exp(ew.log(_waiting(u)) / a))

    def pareto(self, size: Any = None, a: Any = 1.0, ndim: int | None = None, dtype: Any = None) -> Variable:
        """Pareto II (Lomax) numbers with shape ``a``, as in NumPy: the survival function is ``(1 + x) ** -a``."""
        return self._transformed("pareto", size, ndim, dtype, [a], lambda u, a: ew.expm1(_waiting(u) / a))

    def rayleigh(self, size: Any = None, scale: Any = 1.0, ndim: int | None = None, dtype: Any = None) -> Variable:
        """Rayleigh numbers: the survival function is ``exp(-(x / scale) ** 2 / 2)``."""
        return self._transformed("rayleigh", size, ndim, dtype, [scale], lambda u, s: s * ew.sqrt(2.0 * _waiting(u)))

    def truncated_normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
        nstreams: Any = None,
    ) -> Variable:
        """Normal numbers within two standard deviations of the mean.

        ``avg`` and ``std`` are those of the distribution before it is cut.
        """
        share, root = math.erf(_STANDARD_DEVIATIONS / math.sqrt(2)), math.sqrt(2)
        return self._transformed(
            "truncated_normal",
            size,
            ndim,
            dtype,
            [avg, std],
            lambda u, m, s: m + s * (root * erfinv(share * u)),
        )

    def lognormal(
        self, size: Any = None, mean: Any = 0.0, sigma: Any = 1.0, ndim: int | None = None, dtype: Any = None
    ) -> Variable:
        """Numbers whose logarithm is normal with mean ``mean`` and standard deviation ``sigma``."""
        return self._transformed(
            "lognormal", size, ndim, dtype, [mean, sigma], lambda z, m, s: ew.exp(m + s * z), "normal"
        )

    def bernoulli(self, size: Any = None, p: Any = 0.5, ndim: int | None = None, dtype: str = "int64") -> Variable:
        """1 with probability ``p``, else 0."""
        return self.binomial(size, 1, p, ndim, dtype)  # type: ignore[attr-defined, no-any-return]

    def geometric(self, size: Any = None, p: Any = 0.5, ndim: int | None = None, dtype: str = "int64") -> Variable:
        """The number of trials up to the first success, from 1; each succeeds with probability ``p``."""
        p = _probability(p, "geometric has no derivative by p")

        def formula(u: Variable, p: Variable) -> Variable:
            return 1 + ew.floor(_waiting(u) / -ew.log1p(-p))

        drawn = self._transformed("geometric", size, ndim, p.dtype, [p], formula)
        return self._marked(ew.cast(drawn, as_dtype(dtype)), drawn.rng)

    # --- gamma and what is built on it --------------------------------------------------------------------------------

    def gamma(
        self, size: Any = None, shape: Any = 1.0, scale: Any = 1.0, ndim: int | None = None, dtype: Any = None
    ) -> Variable:
        """Gamma numbers, with density proportional to ``x ** (shape - 1) * exp(-x / scale)``.

        There are gradients by both parameters, by ``shape`` through implicit reparameterisation [1]_.

        References
        ----------
        .. [1] Michael Figurnov, Shakir Mohamed and Andriy Mnih (2018): Implicit reparameterization gradients. NeurIPS.
        """
        found = float_dtype(dtype, "gamma")
        k, scale = ew.cast(as_tensor(shape), found), ew.cast(as_tensor(scale), found)
        return self._rejected(
            "gamma", "log_gamma", size, ndim, found, [k, scale],
            lambda state, at, make: scale * ew.exp(make("log_gamma", 0, found, k)),
        )  # fmt: skip

    def chisquare(self, size: Any = None, df: Any = 1.0, ndim: int | None = None, dtype: Any = None) -> Variable:
        """The sum of the squares of ``df`` standard normal numbers; ``df`` need not be whole."""
        found = float_dtype(dtype, "chisquare")
        half = ew.cast(as_tensor(df), found) * 0.5
        return self._rejected(
            "chisquare", "log_gamma", size, ndim, found, [half],
            lambda state, at, make: 2.0 * ew.exp(make("log_gamma", 0, found, half)),
        )  # fmt: skip

    def beta(
        self, size: Any = None, a: Any = 1.0, b: Any = 1.0, ndim: int | None = None, dtype: Any = None
    ) -> Variable:
        """Beta numbers, with density proportional to ``x ** (a - 1) * (1 - x) ** (b - 1)``.

        There are gradients by ``a`` and ``b``: those of the two gamma numbers of which it is composed. Small ``a`` and
        ``b`` are no problem: the quotient is computed from logarithms.
        """
        found = float_dtype(dtype, "beta")
        a, b = (ew.cast(as_tensor(v), found) for v in (a, b))

        def formula(state: Any, at: Any, make: Any) -> Variable:
            return ew.sigmoid(make("log_gamma", 0, found, a) - make("log_gamma", 1, found, b))

        return self._rejected("beta", "log_gamma", size, ndim, found, [a, b], formula)

    def student_t(
        self,
        size: Any = None,
        df: Any = 1.0,
        loc: Any = 0.0,
        scale: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Variable:
        """``loc + scale * z / sqrt(c / df)`` of a normal ``z``, and ``c`` from ``chisquare(df)``.

        There are gradients by all parameters.
        """
        found = float_dtype(dtype, "student_t")
        df, loc, scale = (ew.cast(as_tensor(v), found) for v in (df, loc, scale))

        def formula(state: Any, at: Any, make: Any) -> Variable:
            normal = draw(state, "normal", found, 0.0, 1.0, at)
            half = 0.5 * df
            return loc + scale * (normal * ew.exp(0.5 * (ew.log(half) - make("log_gamma", 0, found, half))))

        return self._rejected("student_t", "log_gamma", size, ndim, found, [df, loc, scale], formula)

    def dirichlet(
        self, size: Any = None, alpha: Any = (1.0, 1.0), ndim: int | None = None, dtype: Any = None
    ) -> Variable:
        """Probabilities with density proportional to the product of ``x[k] ** (alpha[k] - 1)``.

        There are gradients by ``alpha``: those of the gamma numbers of which the probabilities are shares.
        ``alpha`` is ``(..., outcomes)``; ``size`` is the shape without the axis of outcomes, by default that of
        ``alpha``.
        """
        found = float_dtype(dtype, "dirichlet")
        alpha = ew.cast(as_tensor(alpha), found)
        if not alpha.ndim:
            raise ShapeError(located("dirichlet: alpha must have an axis of outcomes", [alpha]))
        lead = shape_of(size, ndim, "dirichlet", (subtensor(alpha, (Ellipsis, 0)),))
        shape = [*lead, shape_i(alpha, alpha.ndim - 1)]

        def formula(state: Any, at: Any, make: Any) -> Variable:
            logs = make("log_gamma", 0, found, alpha)
            size = ew.exp(logs - reduce.max(logs, axis=-1, keepdims=True))
            return size / reduce.sum(size, axis=-1, keepdims=True)

        return self._rejected("dirichlet", "log_gamma", shape, None, found, [alpha], formula)

    # --- counts -------------------------------------------------------------------------------------------------------

    def poisson(self, size: Any = None, lam: Any = 1.0, ndim: int | None = None, dtype: str = "int64") -> Variable:
        """Counts with mean ``lam``: k has the probability ``lam ** k * exp(-lam) / k!``."""
        rate = as_tensor(lam)
        return self._rejected("poisson", "poisson", size, ndim, as_dtype(dtype), [_floats(rate)])

    def negative_binomial(
        self, size: Any = None, n: Any = 1, p: Any = 0.5, ndim: int | None = None, dtype: str = "int64"
    ) -> Variable:
        """The number of failures before the ``n``-th success; each trial succeeds with probability ``p``.

        ``n`` is positive and need not be whole. It is a Poisson number whose rate is a gamma number.
        """
        p = _probability(p, "negative_binomial has no derivative by p")
        n = undefined_grad(ew.cast(as_tensor(n), p.dtype), "negative_binomial has no derivative by n")
        rate = (1 - p) / p

        def formula(state: Any, at: Any, make: Any) -> Variable:
            return make("poisson", 1, as_dtype(dtype), rate * ew.exp(make("log_gamma", 0, p.dtype, n)))

        return self._rejected("negative_binomial", "poisson", size, ndim, as_dtype(dtype), [n, p], formula)

    def categorical(
        self, size: Any = None, p: Any = (0.5, 0.5), ndim: int | None = None, dtype: str = "int64"
    ) -> Variable:
        """The number of an outcome, with the probabilities ``p``, ``(..., outcomes)``, up to a common factor.

        ``size`` is the shape of the result; by default that of ``p`` without its last axis.
        """
        p = _probability(p, "categorical has no derivative by p")
        if not p.ndim:
            raise ShapeError(located("categorical: p must have an axis of outcomes", [p]))
        lead = shape_of(size, ndim, "categorical", (subtensor(p, (Ellipsis, 0)),))
        state = self._new_state()
        first = reduce.argmin(self._times(state, p, [*lead, shape_i(p, p.ndim - 1)]), axis=-1)
        return self._marked(ew.cast(of_shape(first, lead, "categorical", (p,)), as_dtype(dtype)), state)

    def multinomial_wo_replacement(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: Any = None,
    ) -> Variable:
        """``n`` different outcomes per row of ``pvals``, one after the other by their probabilities.

        Parameters
        ----------
        n : int or integer scalar
            At most the number of outcomes; outcomes of probability zero come last.
        pvals : tensor_like
            ``(rows, outcomes)`` or ``(outcomes,)``, up to a common factor per row.
        size, ndim, nstreams
            Not used, as in Theano.

        Returns
        -------
        Variable
            ``(rows, n)`` or ``(n,)``: the numbers of the outcomes.
        """
        p = _probability(pvals, "multinomial_wo_replacement has no derivative by pvals")
        if not p.ndim:
            raise ShapeError(located("multinomial_wo_replacement: pvals must have an axis of outcomes", [p]))
        state = self._new_state()
        return self._marked(ew.cast(self._first(state, p, n, "multinomial_wo_replacement"), as_dtype(dtype)), state)

    def _times(self, state: SharedVariable, p: Variable, shape: Sequence[Any]) -> Variable:
        """Exponential waiting times with rates ``p``."""
        wait = -ew.log1p(-draw(state, "uniform", p.dtype, 0.0, 1.0, shape))
        return ew.switch(ew.gt(p, 0), wait / p, np.inf)

    def _first(self, state: SharedVariable, p: Variable, n: Any, what: str) -> Variable:
        """The ``n`` outcomes along the last axis whose waiting times end first, in order."""
        times = self._times(state, p, [shape_i(p, k) for k in range(p.ndim)])
        order = argsort(times, axis=-1)
        text = f"{what}: without replacement, no more can be drawn than there are"
        missing = ew.minimum(shape_i(order, order.ndim - 1) - n, 0)
        order = require_lengths(order, [(missing, 0, text)], "draw with replacement")
        return subtensor(order, (Ellipsis, slice(0, n)))


def _floats(v: Variable) -> Variable:
    return v if is_float(v.dtype) else ew.cast(v, "float64")


def _probability(p: Any, reason: str) -> Variable:
    p = as_tensor(p)
    return undefined_grad(p if is_float(p.dtype) else ew.cast(p, "floatX"), reason)


def _spread(p: Variable, shape: Sequence[Any], what: str) -> Variable:
    """A parameter, repeated to the shape of the result."""
    if p.ndim > len(shape):
        raise ShapeError(located(f"{what}: the parameters have more axes than the size, which has {len(shape)}", [p]))
    return alloc(p, *shape) if len(shape) else dimshuffle(p, [])
