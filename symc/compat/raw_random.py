"""``theano.tensor.raw_random``: draws from a given state, which return the next state as well.

A state is a vector of two uint64, the key and the number of the draw, as in ``symc.tensor.shared_randomstreams``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import symc.tensor as T
from symc.compat import numpy_streams
from symc.compat.flags import config
from symc.graph import SharedVariable, Variable
from symc.graph.types import TensorType
from symc.tensor.shared_randomstreams import RandomStreams

__all__ = [
    "RandomFunction", "RandomStateType", "RandomStreamsBase", "binomial", "choice", "multinomial", "normal",
    "permutation", "poisson", "random_integers", "random_state_type", "uniform",
]  # fmt: skip

RandomStreamsBase = RandomStreams
Drawn = tuple[Variable, Variable]


class RandomStateType(TensorType):
    """The type of the state of a generator: a vector of two uint64, or for Theano's numbers, of 628 uint32."""

    __slots__ = ()

    def __init__(self) -> None:
        exact = config.exact_random
        super().__init__("uint32" if exact else "uint64", (numpy_streams.WORDS if exact else 2,))


random_state_type = RandomStateType()


class _FromState(RandomStreams):
    """Streams whose next draw uses a given state."""

    def __init__(self, state: Any) -> None:
        super().__init__(0)
        self.state = T.as_tensor_variable(state)
        if self.state.ndim != 1 or self.state.dtype != "uint64":
            raise TypeError(f"expected the state of a generator, got {self.state.type}")

    def _new_state(self) -> SharedVariable:
        return self.state  # type: ignore[return-value]

    def _marked(self, out: Variable, state: SharedVariable) -> Variable:
        out.rng = state  # type: ignore[attr-defined]
        return out


class _FromGenerator(numpy_streams.RandomStreams):
    """Streams of NumPy's numbers whose next draw uses a given state."""

    def __init__(self, state: Variable) -> None:
        super().__init__(0)
        self.state = state
        self.following: Any = None

    def _drawn(self, method: str, size: Any, parameters: Sequence[Any], ndim: int | None, dtype: str) -> Variable:
        self.following, drawn = numpy_streams.draw(self.state, method, size, parameters, ndim, dtype)
        return drawn


def _lengths(size: Any, parameters: Sequence[Variable]) -> Any:
    """A size in which -1 stands for the length of the parameters' axis in its place."""
    if not isinstance(size, (list, tuple)) or not any(isinstance(n, int) and n == -1 for n in size):
        return size
    found = list(size)
    for place in range(-len(found), 0):
        if isinstance(found[place], int) and found[place] == -1:
            known = [v for v in parameters if v.ndim >= -place and not v.broadcastable[place]]
            found[place] = known[0].shape[known[0].ndim + place] if known else 1
    return tuple(found)


def _draw(state: Any, method: str, size: Any, *args: Any, parameters: Sequence[Any] = (), **named: Any) -> Drawn:
    """The next state, and a draw; without a size it has the axes of the parameters, after axes of length 1."""
    size = _lengths(size, [T.as_tensor_variable(v) for v in parameters])
    ndim = named.pop("ndim", None)
    axes = max((T.as_tensor_variable(v).ndim for v in parameters), default=0)
    added = ndim - axes if size is None and ndim is not None and parameters else 0
    following, drawn = _drawn(state, method, size, *args, ndim=None if size is None and parameters else ndim, **named)
    return following, drawn.dimshuffle(*["x"] * max(added, 0), *range(drawn.ndim))


def _drawn(state: Any, method: str, *args: Any, **named: Any) -> Drawn:
    if getattr(state, "dtype", None) == "uint32":
        streams_of_numpy = _FromGenerator(state)
        drawn = getattr(streams_of_numpy, method)(*args, **named)
        return streams_of_numpy.following, drawn
    streams = _FromState(state)
    drawn = getattr(streams, method)(*args, **named)
    return streams.state + T.constant([0, 1], dtype="uint64"), drawn


def uniform(
    random_state: Any, size: Any = None, low: Any = 0.0, high: Any = 1.0, ndim: int | None = None, dtype: Any = None
) -> Drawn:
    """The next state, and numbers in [low, high)."""
    return _draw(random_state, "uniform", size, low, high, ndim=ndim, dtype=dtype, parameters=[low, high])


def normal(
    random_state: Any, size: Any = None, avg: Any = 0.0, std: Any = 1.0, ndim: int | None = None, dtype: Any = None
) -> Drawn:
    """The next state, and normally distributed numbers."""
    return _draw(random_state, "normal", size, avg, std, ndim=ndim, dtype=dtype, parameters=[avg, std])


def binomial(
    random_state: Any,
    size: Any = None,
    n: Any = 1,
    p: Any = 0.5,
    ndim: int | None = None,
    dtype: str = "int64",
    prob: Any = None,
) -> Drawn:
    """The next state, and numbers of successes."""
    return _draw(random_state, "binomial", size, n, p, ndim=ndim, dtype=dtype, prob=prob, parameters=[n, p])


def random_integers(
    random_state: Any, size: Any = None, low: Any = 0, high: Any = 1, ndim: int | None = None, dtype: str = "int64"
) -> Drawn:
    """The next state, and integers from ``low`` to ``high``, inclusive."""
    return _draw(random_state, "random_integers", size, low, high, ndim=ndim, dtype=dtype, parameters=[low, high])


def choice(
    random_state: Any,
    size: Any = None,
    a: Any = 2,
    replace: bool = True,
    p: Any = None,
    ndim: int | None = None,
    dtype: str = "int64",
) -> Drawn:
    """The next state, and entries of a list."""
    return _draw(random_state, "choice", size, a, replace, p, ndim=ndim, dtype=dtype)


def poisson(
    random_state: Any, size: Any = None, lam: Any = 1.0, ndim: int | None = None, dtype: str = "int64"
) -> Drawn:
    """The next state, and numbers of a Poisson distribution."""
    return _draw(random_state, "poisson", size, lam, ndim=ndim, dtype=dtype, parameters=[lam])


def permutation(
    random_state: Any, size: Any = None, n: Any = 1, ndim: int | None = None, dtype: str = "int64"
) -> Drawn:
    """The next state, and permutations of the numbers below ``n``."""
    if size is None or size == ():
        if ndim not in (None, 1):
            raise TypeError(f"permutation: one permutation has one axis, not {ndim}")
        size, ndim = (), None
    return _draw(random_state, "permutation", size, n, ndim=ndim, dtype=dtype)


def multinomial(
    random_state: Any,
    size: Any = None,
    n: Any = 1,
    pvals: Any = (0.5, 0.5),
    ndim: int | None = None,
    dtype: str = "int64",
) -> Drawn:
    """The next state, and counts of each outcome."""
    chances = T.as_tensor_variable(pvals)
    rows = chances[..., 0] if chances.ndim else chances
    size = _lengths(size, [T.as_tensor_variable(n), rows])
    return _draw(random_state, "multinomial", size, n, pvals, ndim=ndim, dtype=dtype)


_FUNCTIONS: dict[str, Callable[..., Drawn]] = {
    "uniform": uniform, "normal": normal, "binomial": binomial, "random_integers": random_integers, "choice": choice,
    "poisson": poisson, "permutation": permutation, "multinomial": multinomial,
}  # fmt: skip


class RandomFunction:
    """``RandomFunction("uniform", T.dmatrix)(state, size, *args)``: a draw of a given type, and the next state."""

    def __init__(self, fn: Any, outtype: Any, inplace: bool = False, ndim_added: int = 0) -> None:
        name = fn if isinstance(fn, str) else getattr(fn, "__name__", "").removesuffix("_helper")
        if name not in _FUNCTIONS:
            raise ValueError(f"RandomFunction: expected one of {', '.join(_FUNCTIONS)}, got {fn!r}")
        self.fn, self.outtype, self.ndim_added = name, getattr(outtype, "type", outtype), ndim_added

    def __call__(self, r: Any, shape: Any = None, *args: Any) -> Drawn:
        """The next state and the draw."""
        ndim = self.outtype.ndim - self.ndim_added
        size = None if shape is None or isinstance(shape, (list, tuple)) and not shape and ndim else shape
        return _FUNCTIONS[self.fn](r, size, *args, ndim=ndim, dtype=self.outtype.dtype)

    def make_node(self, r: Any, shape: Any = None, *args: Any) -> Any:
        """The application of the draw."""
        return self(r, shape, *args)[1].owner
