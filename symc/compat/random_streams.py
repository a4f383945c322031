"""Theano's random streams: symc's with its arguments, or with its numbers if the setting ``exact_random`` is on."""

from __future__ import annotations

from typing import Any

import numpy as np

import symc.tensor as T
from symc.compat import mrg, numpy_streams
from symc.compat.errors import NotOffered
from symc.compat.flags import config
from symc.graph import Variable
from symc.tensor import shared_randomstreams
from symc.tensor.shared_randomstreams import MRG_RandomStreams as _Streams

__all__ = ["CURAND_RandomStreams", "MRGStreams", "MRG_RandomStreams", "RandomStreams", "SharedRandomStreams"]  # noqa: F822 - see __getattr__


class MRGStreams(_Streams):
    """``symc.tensor.shared_randomstreams.MRG_RandomStreams`` with Theano's order of arguments and defaults."""

    def __init__(self, seed: Any = 12345, use_cuda: Any = None) -> None:
        negative = isinstance(seed, (int, np.integer)) and seed < 0  # an int32 in Theano
        super().__init__(seed % 2**32 if negative else seed, use_cuda)

    def normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: Any = None,
        truncate: bool = False,
        **named: Any,
    ) -> Variable:
        """Normal numbers; with ``truncate``, those within two standard deviations of the mean."""
        if truncate:
            return super().truncated_normal(size, avg, std, ndim, dtype, nstreams)
        return super().normal(size, avg, std, ndim, dtype, nstreams, **named)

    def truncated_normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: Any = None,
        **named: Any,
    ) -> Variable:
        """Numbers of a normal distribution cut at two standard deviations; ``std`` is that of the numbers drawn."""
        std = T.as_tensor_variable(std) / mrg.TRUNCATED_DEVIATION
        return super().truncated_normal(size, avg, std, ndim, dtype, nstreams)

    def binomial(  # type: ignore[override]  # Theano has no `prob` before nstreams
        self,
        size: Any = None,
        n: Any = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: Any = None,
        **named: Any,
    ) -> Variable:
        """The number of successes in ``n`` trials with probability ``p``."""
        return super().binomial(size, n, p, ndim, dtype, nstreams=nstreams, **named)

    def multinomial(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: Any = None,
        **named: Any,
    ) -> Variable:
        """The counts of each outcome in ``n`` trials, per row of the matrix ``pvals``."""
        if pvals is None:
            raise TypeError("multinomial: specify pvals, the probabilities of the outcomes")
        for what, given in (("size", size), ("ndim", ndim)):
            if given is not None:
                raise ValueError(f"MRG_RandomStreams.multinomial: {what} is not used, leave it out; got {given}")
        if T.as_tensor_variable(pvals).ndim != 2:
            raise NotOffered("MRG_RandomStreams.multinomial: pvals must have 2 axes")
        return super().multinomial(None, n, pvals, None, dtype, nstreams, **named)

    def choice(
        self,
        size: Any = 1,
        a: Any = None,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: Any = None,
        **named: Any,
    ) -> Variable:
        """Draw ``size`` entries: of each row of the matrix ``p`` different columns, or of ``a`` as in RandomStreams."""
        if p is not None and a is None and T.as_tensor_variable(p).ndim == 2:
            if replace:
                raise NotOffered("MRG_RandomStreams.choice: pass replace=False for a matrix p")
            return super().multinomial_wo_replacement(None, size, p, None, dtype, nstreams, **named)
        return super().choice(size, 2 if a is None else a, replace, p, ndim, dtype, nstreams, **named)


def __getattr__(name: str) -> Any:
    """The classes of streams by the setting ``exact_random``."""
    if name in ("MRG_RandomStreams", "CURAND_RandomStreams"):
        return mrg.ExactMRG if config.exact_random else MRGStreams
    if name in ("RandomStreams", "SharedRandomStreams"):
        return numpy_streams.RandomStreams if config.exact_random else shared_randomstreams.RandomStreams
    raise AttributeError(name)
