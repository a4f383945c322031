"""Random streams with the numbers that Theano's ``RandomStreams`` drew: those of NumPy's Mersenne Twister.

They are served if the setting ``exact_random`` is on. The numbers are drawn by NumPy, outside of compiled code, so they
take longer than those of ``symc.tensor.shared_randomstreams``. The state of a draw is a vector of 628 uint32: the 624
words of the generator, its position in them, whether a normal number is left over, and the bits of that number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.gradient.absent import grad_undefined
from symc.graph import SharedVariable, Variable
from symc.graph.dtypes import as_dtype
from symc.graph.types import TensorType
from symc.runtime.shared import shared
from symc.tensor.random_numbers.arguments import shape_of
from symc.tensor.shared_randomstreams import RandomStreams as _Streams

__all__ = ["WORDS", "GeneratorState", "RandomStreams", "draw", "generator_of", "words_of"]

_KEYS = 624
WORDS = _KEYS + 4
"""The length of a state."""


def words_of(generator: np.random.RandomState) -> np.ndarray:
    """The state of a generator of NumPy as a vector."""
    _, keys, position, left, number = generator.get_state()
    end = np.array([position, left], "uint32")
    return np.concatenate([np.asarray(keys, "uint32"), end, np.array([number], "float64").view("uint32")])


def generator_of(words: np.ndarray) -> np.random.RandomState:
    """A generator of NumPy in a given state."""
    generator = np.random.RandomState(0)
    number = float(np.array(words[_KEYS + 2 :]).view("float64")[0])
    generator.set_state(("MT19937", words[:_KEYS], int(words[_KEYS]), int(words[_KEYS + 1]), number))
    return generator


class _Attached(np.random.RandomState):
    """A generator of NumPy whose new states become those of a shared variable."""

    variable: Any = None

    def seed(self, seed: Any = None) -> None:
        super().seed(seed)
        self._store()

    def set_state(self, state: Any) -> None:
        super().set_state(state)
        self._store()

    def _store(self) -> None:
        if self.variable is not None:
            self.variable.set_value(self)


class GeneratorState(SharedVariable):
    """The state of a draw; its value is a ``numpy.random.RandomState``."""

    @classmethod
    def of(cls, generator: np.random.RandomState, name: str | None = None) -> GeneratorState:
        """A shared variable with the state of a generator."""
        made = shared(words_of(generator), name, shape=(WORDS,))
        return cls(made.type, made.storage, name)

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """The generator: a copy, or with ``borrow`` one whose ``seed`` and ``set_state`` change this variable."""
        words = super().get_value(borrow=True)
        found: Any = _Attached(0) if borrow else np.random.RandomState(0)
        found.set_state(generator_of(words).get_state())
        if borrow:
            found.variable = self
        return found

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Take over the state of a generator."""
        super().set_value(words_of(new_value) if isinstance(new_value, np.random.RandomState) else new_value)

    def clone(self) -> GeneratorState:
        """Create a variable with the same storage and its own ``default_update``."""
        return GeneratorState(self.type, self.storage, self.name)


# --- draws ------------------------------------------------------------------------------------------------------------

Size = tuple[int, ...]


def _choice(g: Any, size: Size, a: Any, replace: Any, p: Any) -> Any:
    return g.choice(a if a.ndim else int(a), size, bool(replace), p if p.ndim and p.size else None)


def _permutation(g: Any, size: Size, n: Any) -> Any:
    out = np.empty((*size, int(n)), "int64")
    for k in np.ndindex(*size):
        out[k] = g.permutation(int(n))
    return out


def _multinomial(g: Any, size: Size, n: Any, pvals: Any) -> Any:
    """One draw per entry; probabilities that rounding makes too large are reduced, as Theano does."""
    n = np.broadcast_to(n, size)
    pvals = np.broadcast_to(pvals, (*size, pvals.shape[-1]))
    out = np.empty(pvals.shape, "int64")
    for k in np.ndindex(*size):
        p = pvals[k]
        if 1 < p.sum() < 1 + 1e-5 or p.sum() <= 1 and p[-1] < 5e-5:
            p = p * (1 - 5e-5)
        out[k] = g.multinomial(int(n[k]), p.astype("float64"))
    return out


_METHODS: dict[str, Callable[..., Any]] = {
    "uniform": lambda g, size, low, high: g.uniform(low, high, size),
    "normal": lambda g, size, avg, std: g.normal(avg, std, size),
    "binomial": lambda g, size, n, p: g.binomial(n, p, size),
    "random_integers": lambda g, size, low, high: g.randint(low, high + 1, size),
    "poisson": lambda g, size, lam: g.poisson(lam, size),
    "choice": _choice,
    "permutation": _permutation,
    "multinomial": _multinomial,
}


class _Draw(symc.Op):
    """A draw of NumPy: from a state, a size and parameters, the next state and the numbers."""

    __props__ = ("method", "dtype", "shape")

    def __init__(self, method: str, dtype: str, shape: tuple[int | None, ...]) -> None:
        self.method, self.dtype, self.shape = method, dtype, shape

    def make_node(self, state: Any, size: Any, *parameters: Any) -> symc.Apply:
        """The application: the next state and the numbers."""
        types = [TensorType("uint32", (WORDS,)), TensorType(self.dtype, self.shape)]
        return symc.Apply(self, [state, size, *parameters], [t() for t in types])

    def infer_shape(self, node: Any, shapes: Any) -> list[Any]:
        """The shapes of the state and of the numbers: the size, and the axis of outcomes."""
        size, *parameters = node.inputs[1:]
        outcomes = {"permutation": lambda: [parameters[0]], "multinomial": lambda: [shapes[3][-1]]}
        more = outcomes[self.method]() if self.method in outcomes else []
        return [(WORDS,), [*(size[k] for k in range(len(self.shape) - len(more))), *more]]

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: Any) -> None:
        """Draw."""
        words, size, *parameters = inputs
        generator = generator_of(words)
        numbers = _METHODS[self.method](generator, tuple(int(n) for n in size), *parameters)
        output_storage[0][0] = words_of(generator)
        output_storage[1][0] = np.asarray(numbers).astype(self.dtype)

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """The numbers depend on the parameters; a state and a size are no quantities to differentiate by."""
        return [[False, k > 1] for k in range(len(node.inputs))]

    def grad(self, inputs: Sequence[Variable], output_gradients: Sequence[Variable]) -> list[Any]:
        """Numbers drawn by NumPy have no derivative by the parameters."""
        op: Any = self
        text = f"the numbers of {self.method} have no derivative by its parameters"
        return [grad_undefined(op, k, v, text) for k, v in enumerate(inputs)]


def draw(
    state: Any, method: str, size: Any, parameters: Sequence[Any], ndim: int | None, dtype: str
) -> tuple[Variable, Variable]:
    """Draw from a state.

    Parameters
    ----------
    state : Variable
    method : str
        A method of ``RandomStreams``.
    size, ndim
        The shape, without the axis of outcomes that ``permutation`` and ``multinomial`` add.
    parameters : sequence of tensor_like
    dtype : str

    Returns
    -------
    tuple of two Variables
        The next state, and the numbers.
    """
    given = [T.as_tensor_variable(v) for v in parameters]
    broadcast = [] if method in ("permutation", "choice") else given
    if method == "multinomial":
        broadcast = [given[0], given[1][..., 0]]
    shape = shape_of(size, ndim, method, broadcast)
    length = T.stack([T.cast(n, "int64") for n in shape]) if shape else T.constant(np.empty(0, "int64"))
    more: list[int | None] = [None] if method in ("permutation", "multinomial") else []
    known = tuple([1 if isinstance(n, int) and n == 1 else None for n in shape] + more)
    following, numbers = _Draw(method, as_dtype(dtype), known)(state, length, *given)
    return following, numbers


class RandomStreams(_Streams):
    """``theano.tensor.shared_randomstreams.RandomStreams`` with its numbers.

    The state of each draw begins as ``numpy.random.RandomState(s)`` for a number ``s`` below 2**30 that a generator
    with the seed of the streams draws.
    """

    def __init__(self, seed: Any = None) -> None:
        self.state_updates = []
        self.default_instance_seed = seed
        self.gen_seedgen = np.random.RandomState(seed)

    def seed(self, seed: Any = None) -> None:
        """Restart every draw from ``seed`` (default: the seed that the streams were created with)."""
        self.gen_seedgen = np.random.RandomState(self.default_instance_seed if seed is None else seed)
        for state, _ in self.state_updates:
            state.set_value(self._fresh())

    def _fresh(self) -> np.random.RandomState:
        return np.random.RandomState(int(self.gen_seedgen.randint(2**30)))

    def _new_state(self) -> SharedVariable:
        state = GeneratorState.of(self._fresh(), f"random state {len(self.state_updates)}")
        self.state_updates.append((state, state))
        return state

    def __getitem__(self, item: Variable) -> Any:
        """The generator of a draw: its ``seed`` and ``set_state`` change the state of the draw."""
        return super().__getitem__(item).get_value(borrow=True)

    def __setitem__(self, item: Variable, value: Any) -> None:
        """Set the state of a draw to that of a generator of NumPy."""
        super().__getitem__(item).set_value(value)

    def _drawn(self, method: str, size: Any, parameters: Sequence[Any], ndim: int | None, dtype: str) -> Variable:
        return self.gen(lambda state: draw(state, method, size, parameters, ndim, dtype))

    def uniform(
        self,
        size: Any = None,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: Any = None,
        dtype: Any = None,
        nstreams: Any = None,
    ) -> Variable:
        """Numbers in [low, high)."""
        return self._drawn("uniform", size, [low, high], ndim, dtype or "floatX")

    def normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: Any = None,
        dtype: Any = None,
        nstreams: Any = None,
        truncate: Any = False,
    ) -> Variable:
        """Normally distributed numbers."""
        return self._drawn("normal", size, [avg, std], ndim, dtype or "floatX")

    def binomial(
        self,
        size: Any = None,
        n: Any = 1,
        p: Any = 0.5,
        ndim: Any = None,
        dtype: Any = "int64",
        prob: Any = None,
        nstreams: Any = None,
    ) -> Variable:
        """Numbers of successes."""
        return self._drawn("binomial", size, [n, p if prob is None else prob], ndim, dtype)

    def random_integers(
        self, size: Any = None, low: Any = 0, high: Any = 1, ndim: Any = None, dtype: Any = "int64"
    ) -> Variable:
        """Integers from ``low`` to ``high``, inclusive."""
        return self._drawn("random_integers", size, [low, high], ndim, dtype)

    def choice(
        self,
        size: Any = None,
        a: Any = 2,
        replace: Any = True,
        p: Any = None,
        ndim: Any = None,
        dtype: Any = "int64",
        nstreams: Any = None,
    ) -> Variable:
        """Entries of a list."""
        weights = np.empty(0) if p is None else p
        return self._drawn("choice", size, [a, replace, weights], ndim, dtype)

    def poisson(
        self, size: Any = None, lam: Any = 1.0, ndim: Any = None, dtype: Any = "int64", nstreams: Any = None
    ) -> Variable:
        """Numbers of a Poisson distribution."""
        return self._drawn("poisson", size, [lam], ndim, dtype)

    def permutation(self, size: Any = None, n: Any = 1, ndim: Any = None, dtype: Any = "int64") -> Variable:
        """Permutations of the numbers below ``n``."""
        return self._drawn("permutation", size, [n], ndim, dtype)

    def multinomial(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = (0.5, 0.5),
        ndim: Any = None,
        dtype: Any = "int64",
        nstreams: Any = None,
    ) -> Variable:
        """Counts of each outcome."""
        return self._drawn("multinomial", size, [n, pvals], ndim, dtype)
