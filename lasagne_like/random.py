"""The random number generator of the library.

Initialisers draw from it, and noise layers use it to seed their symbolic random streams. Setting it makes a network
reproducible::

    import numpy as np
    import lasagne_like

    lasagne_like.random.set_rng(np.random.RandomState(1234))
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from symc.tensor.shared_randomstreams import RandomStreams

__all__ = ["draws_restored", "get_rng", "set_rng"]

_rng: Any = np.random
_temporary: ContextVar[Any] = ContextVar("temporary", default=None)


def get_rng() -> Any:
    """Return the random number generator of the library.

    Returns
    -------
    numpy.random.RandomState or the module ``numpy.random``
        The generator passed to :func:`set_rng`; by default NumPy's global generator.
    """
    temporary = _temporary.get()
    return _rng if temporary is None else temporary


@contextmanager
def drawing_from(rng: Any) -> Iterator[None]:
    """Make :func:`get_rng` return another generator, in this context and thread only."""
    token = _temporary.set(rng)
    try:
        yield
    finally:
        _temporary.reset(token)


def set_rng(new_rng: Any) -> None:
    """Set the random number generator of the library.

    Parameters
    ----------
    new_rng : numpy.random.RandomState or the module ``numpy.random``
        The new generator. It does not affect networks that exist already.

    Raises
    ------
    TypeError
        If `new_rng` lacks a method that the library uses (``normal``, ``uniform``, ``randint``, ``shuffle``).
    """
    global _rng
    missing = [method for method in ("normal", "uniform", "randint", "shuffle") if not hasattr(new_rng, method)]
    if missing:
        raise TypeError(
            f"set_rng: new_rng has no method {', '.join(missing)}; expected a numpy.random.RandomState, "
            f"got {type(new_rng).__name__}; pass np.random.RandomState(seed)"
        )
    _rng = new_rng


@contextmanager
def draws_restored(layers: Iterable[Any]) -> Iterator[None]:
    """A context in which applying layers leaves no trace in their random streams.

    Every application of a noise layer takes the next of its streams, so that an additional one, to look at a network,
    would change the noise of those that follow.

    Parameters
    ----------
    layers : iterable of Layer
        The layers that are applied. Streams in their attributes are restored at the end.
    """
    streams = [value for layer in layers for value in vars(layer).values() if isinstance(value, RandomStreams)]
    counts = [len(each.state_updates) for each in streams]
    try:
        yield
    finally:
        for each, count in zip(streams, counts):
            del each.state_updates[count:]
