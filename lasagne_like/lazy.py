"""Deferred initial values: random numbers are drawn only if a parameter is used before its value is set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

import symc

from . import random

__all__ = ["deferred_value", "lazy_init"]

_lazy: ContextVar[str] = ContextVar("lazy", default="")


@contextmanager
def lazy_init(constants: bool = False) -> Iterator[None]:
    """Defer the initial values of the parameters that are created in this context.

    Initialisers of :mod:`lasagne_like.init` are not called at once, but when the value is first needed: by the call of
    a function, or by ``get_value``. If ``set_value`` replaces it before, as when weights are loaded, no numbers are
    drawn. For each parameter, the seed of its numbers is drawn from :func:`lasagne_like.random.get_rng` at once, so
    that the values do not depend on when and in which order they are computed.

    Parameters
    ----------
    constants : bool
        Whether to defer the values of :class:`lasagne_like.init.Constant` as well, which usually are small.

    Examples
    --------
    >>> from lasagne_like.layers import DenseLayer, get_all_params
    >>> with lazy_init():
    ...     layer = DenseLayer((None, 100_000), num_units=100_000)  # 40 GB, which are not allocated
    >>> layer.W.static_shape
    (100000, 100000)
    """
    token = _lazy.set("all" if constants else "random")
    try:
        yield
    finally:
        _lazy.reset(token)


def deferred_value(spec: Any, shape: tuple[int | None, ...]) -> Callable[[], np.ndarray] | None:
    """Return a function that computes the initial value, or None if it is not to be deferred."""
    deferrable = getattr(spec, "deferrable", None)
    if not _lazy.get() or deferrable is None or not (deferrable or _lazy.get() == "all"):
        return None
    dtype = symc.config.floatX
    if not deferrable:
        return lambda: np.asarray(spec(shape), dtype)
    seed = int(random.get_rng().randint(0, 2**31 - 1))

    def compute() -> np.ndarray:
        with random.drawing_from(np.random.RandomState(seed)):
            if symc.config.floatX == dtype:
                return spec(shape)
            with symc.config.change(floatX=dtype):
                return spec(shape)

    return compute
