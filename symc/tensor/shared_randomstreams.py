"""Random streams: symbolic draws, each with its own state that every call advances.

A draw's state is a shared uint64 vector, (key, number of the draw); its default update adds 1 to the number. See
``symc.tensor.random_numbers.bits`` for the generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.gradient.pass_through import undefined_grad
from symc.graph import Constant, SharedVariable, Variable
from symc.graph.dtypes import as_dtype, is_float, is_integer
from symc.runtime.shared import shared
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant
from symc.tensor.checked import checked_below
from symc.tensor.indices.indexing import subtensor, take
from symc.tensor.indices.positions import iota
from symc.tensor.linalg import product_of
from symc.tensor.random_numbers.arguments import check_probabilities, counts, float_dtype, is_number, of_shape, shape_of
from symc.tensor.random_numbers.bits import draw, stored_bits
from symc.tensor.random_numbers.distributions import Distributions
from symc.tensor.requirements import require_lengths
from symc.tensor.reshaping import reshape
from symc.tensor.sorting import argsort
from symc.tensor.symbolic_dims import shape_i

__all__ = ["MRG_RandomStreams", "RandomStreams"]


class StateArray(np.ndarray):
    """The value of a draw's state, ``(2,)`` uint64: the key and the number of the draw.

    ``seed`` restarts it, so that old programs which write ``value = x.rng.get_value(borrow=True)``,
    ``value.seed(23)``, ``x.rng.set_value(value, borrow=True)`` work.
    """

    def seed(self, seed: int | None = None) -> None:
        """Set the key that belongs to ``seed``, and the number 0."""
        key = np.random.SeedSequence(_checked_seed(seed)).generate_state(1, np.uint64)[0]
        self[...] = np.array([key, 0], "uint64")

    def get_state(self) -> tuple[int, int]:
        """The key and the number of the draw."""
        return int(self[0]), int(self[1])

    def set_state(self, state: Sequence[int]) -> None:
        """Set what ``get_state`` returned."""
        self[...] = np.array([int(v) for v in state], "uint64")


def state_of(generator: np.random.RandomState) -> np.ndarray:
    """The state, a key and the number 0, that belongs to a generator of NumPy, which is not advanced."""
    words = np.random.RandomState()
    words.set_state(generator.get_state())
    high, low = words.randint(0, 2**32, size=2, dtype=np.uint64)
    return np.array([high << np.uint64(32) | low, 0], "uint64")


class RandomState(SharedVariable):
    """The state of a draw."""

    @classmethod
    def of(cls, variable: SharedVariable) -> RandomState:
        """A variable with the storage of ``variable``."""
        return cls(variable.type, variable.storage, variable.name, variable.strict, variable.allow_downcast)

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """Return the key and the number of the draw, as an array with the method ``seed``."""
        value = super().get_value(borrow, return_internal_type)
        return value.view(StateArray) if isinstance(value, np.ndarray) else value

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replace the key and the number of the draw; a ``numpy.random.RandomState`` determines a key."""
        if isinstance(new_value, np.random.RandomState):
            new_value = state_of(new_value)
        super().set_value(new_value, borrow)

    def clone(self) -> RandomState:
        """Create a variable with the same storage and its own ``default_update``."""
        return RandomState.of(self)


class RandomStreams(Distributions):
    """A source of symbolic random tensors.

    Parameters
    ----------
    seed : int, optional
        With the same seed, the same draws in the same order have the same values, on every back end. None takes one
        from the operating system.

    Attributes
    ----------
    state_updates : list of (SharedVariable, Variable)
        The state of each draw so far, and its next value. ``symc.function`` applies these updates automatically.
    default_instance_seed : int
        The current seed.

    Notes
    -----
    Two draws are independent; a draw used twice in one function has the same values in both places. Every call of a
    function advances the draws it uses. The state of a draw ``u`` is ``u.rng``, its update is ``u.update``.

    Examples
    --------
    >>> import symc, symc.tensor as T
    >>> streams = T.shared_randomstreams.RandomStreams(seed=234)
    >>> f = symc.function([], streams.uniform((2, 2)))
    >>> bool((f() == f()).any())
    False
    """

    def __init__(self, seed: int | None = None) -> None:
        self.state_updates: list[tuple[SharedVariable, Variable]] = []
        self.default_instance_seed = _checked_seed(seed)

    def seed(self, seed: int | None = None) -> None:
        """Restart every draw from ``seed`` (default: the seed that the streams were created with)."""
        self.default_instance_seed = self.default_instance_seed if seed is None else _checked_seed(seed)
        for number, (state, _) in enumerate(self.state_updates):
            state.set_value(self._first_state(number))

    def updates(self) -> list[tuple[SharedVariable, Variable]]:
        """Return a copy of ``state_updates``."""
        return list(self.state_updates)

    def __getitem__(self, item: Variable) -> SharedVariable:
        """Look up the state of a draw."""
        for state, _ in self.state_updates:
            if item is state or getattr(item, "rng", None) is state:
                return state
        raise KeyError(f"{item!r} is no draw of these streams")

    def __setitem__(self, item: Variable, value: Any) -> None:
        """Set the state of a draw."""
        self[item].set_value(value)

    def gen(self, op: Callable[..., Any], *args: Any, **kwargs: Any) -> Variable:
        """Draw by ``op(state, *args, **kwargs)``, which returns the next state and the draw.

        The streams keep the state, and every call of a function advances it to the next state.
        """
        state = self._new_state()
        following, drawn = op(state, *args, **kwargs)
        state.default_update = following
        self.state_updates[-1] = (state, following)
        return self._marked(drawn, state)

    def _first_state(self, number: int) -> np.ndarray:
        key = np.random.SeedSequence(self.default_instance_seed, spawn_key=(number,)).generate_state(1, np.uint64)[0]
        return np.array([key, 0], "uint64")

    def _new_state(self) -> SharedVariable:
        number = len(self.state_updates)
        state = RandomState.of(shared(self._first_state(number), f"random state {number}", shape=(2,)))
        state.tag.of_draw = True  # a scan advances it only if the draw was made in its step
        state.default_update = ew.add(state, constant(np.array([0, 1], "uint64")))
        self.state_updates.append((state, state.default_update))
        return state

    def _marked(self, out: Variable, state: SharedVariable) -> Variable:
        out.rng = state  # type: ignore[attr-defined]
        out.update = (state, state.default_update)  # type: ignore[attr-defined]
        return out

    # --- distributions ----------------------------------------------------------------------------------------------

    def uniform(
        self,
        size: Any = None,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: Any = None,
    ) -> Variable:
        """Uniformly distributed numbers in [low, high).

        Parameters
        ----------
        size : int, sequence of int or integer scalars, or integer vector, optional
            The shape; by default the broadcast shape of ``low`` and ``high``.
        low, high : float or tensor_like
            Broadcast to ``size``.
        ndim : int, optional
            The number of axes, if ``size`` is a vector of unknown length.
        dtype : str, optional
            Default floatX.
        nstreams : optional
            Has no effect: there is no such limit. Accepted for old programs.

        Returns
        -------
        Variable
            ``size``, with 24 random bits in float32 and 53 in float64.
        """
        dtype = float_dtype(dtype, "uniform")
        return self._scaled("uniform", size, low, high, ndim, dtype, lambda unit, a, b: a + unit * (b - a))

    def normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: Any = None,
        truncate: bool = False,
    ) -> Variable:
        """Normally distributed numbers with mean ``avg`` and standard deviation ``std``.

        Parameters
        ----------
        size, ndim, dtype, nstreams
            As in :meth:`uniform`.
        avg, std : float or tensor_like
            Broadcast to ``size``.
        truncate : bool
            Whether to draw only numbers within two standard deviations, as :meth:`truncated_normal`.
        """
        if truncate:
            return self.truncated_normal(size, avg, std, ndim, dtype, nstreams)
        dtype = float_dtype(dtype, "normal")
        return self._scaled("normal", size, avg, std, ndim, dtype, lambda unit, a, b: a + unit * b)

    def _scaled(self, kind: str, size: Any, a: Any, b: Any, ndim: int | None, dtype: str, scale: Any) -> Variable:
        a, b = (ew.cast(as_tensor(v), dtype) for v in (a, b))
        shape = shape_of(size, ndim, kind, (a, b))
        state = self._new_state()
        if a.ndim == 0 and b.ndim == 0:
            return self._marked(draw(state, kind, dtype, a, b, shape), state)
        drawn = scale(draw(state, kind, dtype, 0.0, 1.0, shape), a, b)
        return self._marked(of_shape(drawn, shape, kind, (a, b)), state)

    def binomial(
        self,
        size: Any = None,
        n: Any = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: str = "int64",
        prob: Any = None,
        nstreams: Any = None,
    ) -> Variable:
        """The number of successes in ``n`` trials with probability ``p``.

        Parameters
        ----------
        size, ndim, nstreams
            As in :meth:`uniform`.
        n : int or integer tensor
            Broadcast to ``size``. With ``n = 1``, masks of 0 and 1 are recomputed where they are used and never stored.
        p : float or tensor_like
            Broadcast to ``size``.
        dtype : str
        prob : optional
            Old name of ``p``.
        """
        p = as_tensor(p if prob is None else prob)
        p = p if is_float(p.dtype) else ew.cast(p, "floatX")
        check_probabilities(p, "binomial")
        n, dtype = _trials(n), as_dtype(dtype)
        if isinstance(n, Variable):
            return self._rejected("binomial", "binomial", size, ndim, dtype, (n, p))
        shape = shape_of(size, ndim, "binomial", (p,))
        state = self._new_state()
        if p.ndim == 0 and n == 1:
            return self._marked(draw(state, "bernoulli", dtype, p, 0.0, shape), state)
        if n == 1:
            drawn = ew.cast(ew.lt(draw(state, "uniform", p.dtype, 0.0, 1.0, shape), p), dtype)
            return self._marked(of_shape(drawn, shape, "binomial", (p,)), state)
        unit = draw(state, "uniform", p.dtype, 0.0, 1.0, [*shape, n])
        successes = ew.lt(unit, dimshuffle(p, (*range(p.ndim), "x")) if p.ndim else p)
        drawn = ew.cast(reduce.sum(ew.cast(successes, "int64"), axis=-1), dtype)
        return self._marked(of_shape(drawn, shape, "binomial", (p,)), state)

    def random_integers(
        self, size: Any = None, low: Any = 0, high: Any = 1, ndim: int | None = None, dtype: str = "int64"
    ) -> Variable:
        """Integers from ``low`` to ``high``, inclusive.

        Parameters
        ----------
        size, ndim
            As in :meth:`uniform`.
        low, high : int or integer tensor
            Scalars, or tensors that are broadcast to ``size``. ``high`` must be from ``low`` to ``low + 2**32 - 2``,
            for tensors to ``low + 2**31 - 2``; checked at call time if symbolic.
        dtype : str
        """
        low, high = as_tensor(low), as_tensor(high)
        for v in (low, high):
            if is_float(v.dtype):
                raise DTypeError(located("random_integers: low and high must be whole numbers", [low, high]))
        if low.ndim or high.ndim:
            return self._integers_each(size, low, high, ndim, as_dtype(dtype))
        if (
            isinstance(low, Constant)
            and isinstance(high, Constant)
            and not 0 <= int(high.data) - int(low.data) < 2**32 - 1
        ):
            raise ValueError(
                f"random_integers: high must be from low to low + 2**32 - 2, got {int(low.data)} and {int(high.data)}"
            )
        found = as_dtype(dtype)
        for v in (low, high):
            if isinstance(v, Constant) and is_integer(found) and int(v.data) != int(v.data.astype(found)):
                raise ValueError(f"random_integers: {int(v.data)} does not fit dtype {found}")
        if not (isinstance(low, Constant) and isinstance(high, Constant)):
            text = "random_integers: high must be from low to low + 2**32 - 2"
            low = ew.cast(low, "int64")
            high = low + checked_below(ew.cast(high, "int64") - low, 2**32 - 1, text, "exchange low and high")
        state = self._new_state()
        return self._marked(
            draw(state, "integers", found, low, high, shape_of(size, ndim, "random_integers", ())), state
        )

    def _integers_each(self, size: Any, low: Variable, high: Variable, ndim: int | None, dtype: str) -> Variable:
        """Integers with bounds of their own: the upper half of a word times the number of integers."""
        shape = shape_of(size, ndim, "random_integers", (low, high))
        low, high = ew.cast(low, "int64"), ew.cast(high, "int64")
        text = "random_integers: high must be from low to low + 2**31 - 2"
        span = 1 + checked_below(high - low, constant(2**31 - 1, dtype="int64"), text, "exchange low and high")
        state = self._new_state()
        words = ew.cast(draw(state, "bits", "uint32", 0, 0, shape), "int64")
        drawn = ew.cast(low + ew.floor_div(words * span, constant(2**32, dtype="int64")), dtype)
        return self._marked(of_shape(drawn, shape, "random_integers", (low, high)), state)

    def multinomial(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = (0.5, 0.5),
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: Any = None,
    ) -> Variable:
        """The counts of each outcome in ``n`` trials.

        Parameters
        ----------
        size : optional
            The shape without the axis of outcomes; by default that of ``pvals`` without its last axis.
        n : int or integer scalar
        pvals : tensor_like
            ``(..., outcomes)``, the probabilities of the outcomes, up to a common factor.
        ndim, nstreams
            As in :meth:`uniform`.
        dtype : str

        Returns
        -------
        Variable
            ``(*size, outcomes)``; for ``n = 1`` each row has a single 1.
        """
        p = as_tensor(pvals)
        p = undefined_grad(p if is_float(p.dtype) else ew.cast(p, "floatX"), "multinomial has no derivative by pvals")
        if p.ndim == 0:
            raise ShapeError(located("multinomial: pvals must have an axis of outcomes", [p]))
        (n,) = counts([n], "multinomial: n")
        lead = shape_of(size, ndim, "multinomial", (subtensor(p, (Ellipsis, 0)),))
        state = self._new_state()
        once = is_number(n, 1)
        shape = [*lead, *([] if once else [n]), shape_i(p, p.ndim - 1)]
        chosen = self._race(
            state, p if once or p.ndim == 1 else dimshuffle(p, (*range(p.ndim - 1), "x", p.ndim - 1)), shape
        )
        hits = ew.eq(iota(chosen[1], -1), dimshuffle(chosen[0], (*range(chosen[0].ndim), "x")))
        found = ew.cast(hits, "int64")
        drawn = ew.cast(found if once else reduce.sum(found, axis=-2), as_dtype(dtype))
        return self._marked(of_shape(drawn, [*lead, shape_i(p, p.ndim - 1)], "multinomial", (p,)), state)

    def _race(self, state: SharedVariable, p: Variable, shape: Sequence[Any]) -> tuple[Variable, Variable]:
        """Draw exponential waiting times with rates ``p``; returns the first outcome and the times."""
        times = self._times(state, p, shape)
        return reduce.argmin(times, axis=-1), times

    def choice(
        self,
        size: Any = None,
        a: Any = 2,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: Any = None,
    ) -> Variable:
        """Draw entries from a list.

        Parameters
        ----------
        size, ndim, nstreams
            As in :meth:`uniform`.
        a : int, integer scalar or vector
            The population: ``arange(a)``, or the entries of a vector.
        replace : bool
            Whether an entry may be drawn again. If False, no more entries can be drawn than there are.
        p : tensor_like, optional
            ``(entries,)``, the probability of each entry; by default all are equal. A matrix ``(rows, entries)`` gives
            ``(rows, size)``, ``size`` different numbers below ``entries`` per row; it needs ``replace=False`` and no
            ``a``.
        dtype : str
            The dtype of the result if ``a`` is a number.
        """
        if p is not None and (p := as_tensor(p)).ndim == 2 and not replace:
            return self.multinomial_wo_replacement(n=1 if size is None else size, pvals=p, ndim=ndim, dtype=dtype)
        a = as_tensor(2 if a is None else a)
        if a.ndim > 1:
            raise ShapeError(located("choice: a must be an integer or a vector", [a]))
        if a.ndim == 0 and (is_float(a.dtype) or isinstance(a, Constant) and int(a.data) < 1):
            raise ValueError(located("choice: a must be an integer from 1, or a vector", [a]))
        count = a if a.ndim == 0 else shape_i(a, 0)
        shape = shape_of(size, ndim, "choice", ())
        if p is not None:
            p = as_tensor(p)
            if p.ndim != 1:
                raise ShapeError(located("choice: p must be a vector with one entry per choice", [a, p]))
            text = "choice: p must have one entry per choice"
            p = require_lengths(p, [(shape_i(p, 0), count, text)])
            p = undefined_grad(p if is_float(p.dtype) else ew.cast(p, "floatX"), "choice has no derivative by p")
        if not replace:
            drawn = self._without_replacement(shape, count, p)
            state = drawn.rng
        elif p is None:
            drawn = self.random_integers(shape, 0, count - 1)
            state = drawn.rng
        else:
            state = self._new_state()
            drawn = self._race(state, p, [*shape, count])[0]
        return self._marked(take(a, drawn) if a.ndim else ew.cast(drawn, as_dtype(dtype)), state)

    def _without_replacement(self, shape: Sequence[Any], count: Any, p: Variable | None) -> Variable:
        """Different numbers below ``count``: the first of a permutation, or of a race."""
        total = product_of(shape)
        if p is None:
            drawn = self.permutation(n=count)
            state = drawn.rng
            text = "choice: without replacement, no more can be drawn than there are"
            drawn = require_lengths(drawn, [(ew.minimum(count - total, 0), 0, text)], "draw with replacement")
            drawn = subtensor(drawn, slice(0, total))
        else:
            state = self._new_state()
            drawn = self._first(state, p, total, "choice")
        return self._marked(drawn if len(shape) == 1 else reshape(drawn, shape, ndim=len(shape)), state)

    def permutation(self, size: Any = None, n: Any = 1, ndim: int | None = None, dtype: str = "int64") -> Variable:
        """Random permutations of the numbers from 0 to ``n - 1``.

        Parameters
        ----------
        size, ndim
            The shape of the leading axes, before the axis of ``n``; by default none.
        n : int or integer scalar
        dtype : str

        Returns
        -------
        Variable
            ``(*size, n)``: the ranks of random numbers.
        """
        state = self._new_state()
        keys = stored_bits(state, [*shape_of(size, ndim, "permutation", ()), n])
        return self._marked(ew.cast(argsort(argsort(keys, axis=-1), axis=-1), as_dtype(dtype)), state)

    def shuffle_row_elements(self, input: Any) -> Variable:
        """Shuffle the elements of every row of ``input`` (along the last axis) independently."""
        x = as_tensor(input)
        if x.ndim == 0:
            raise ShapeError(located("shuffle_row_elements: expected at least one axis", [x]))
        order = self.permutation([shape_i(x, k) for k in range(x.ndim - 1)], shape_i(x, x.ndim - 1))
        state = order.rng
        return self._marked(subtensor(x, (*[iota(x, k) for k in range(x.ndim - 1)], order)), state)


class MRG_RandomStreams(RandomStreams):
    """``RandomStreams`` under Theano's other name, with its fixed default seed. The generator is also Philox."""

    def __init__(self, seed: int = 12345, use_cuda: Any = None) -> None:
        super().__init__(seed)

    def set_rstate(self, seed: int) -> None:
        """Restart every draw from ``seed``."""
        self.seed(seed)

    @property
    def rstate(self) -> np.ndarray:
        """``(6,)`` int32 in the form of Theano's generator, determined by the seed."""
        return np.random.SeedSequence(self.default_instance_seed).generate_state(6).view("int32")

    def n_streams(self, size: Any) -> int:
        """The number of streams in Theano's generator; there is no such limit here, and draws do not depend on it."""
        known = [int(n) for n in size if isinstance(n, (int, np.integer))] if isinstance(size, (tuple, list)) else []
        return min(math.prod(known), 60 * 256) if known else 60 * 256


def _placed(draw: Callable[..., Variable]) -> Callable[..., Variable]:
    """The same draw, which accepts Theano's ``target``: values move by themselves to the device that uses them."""

    @wraps(draw)
    def placed(self: Any, *args: Any, target: Any = None, **named: Any) -> Variable:
        return draw(self, *args, **named)

    return placed


_DRAWS = ("uniform", "normal", "binomial", "multinomial", "choice", "truncated_normal", "multinomial_wo_replacement")
for _name in _DRAWS:
    setattr(MRG_RandomStreams, _name, _placed(getattr(RandomStreams, _name)))


_FEW = 32
"""Up to this number, trials are drawn one by one."""


def _trials(n: Any) -> Any:
    """A small number of trials as an int, others as a variable."""
    n = as_tensor(n)
    if is_float(n.dtype):
        raise DTypeError(located("binomial: n must be an integer or a tensor of integers", [n]))
    if isinstance(n, Constant):
        if np.any(n.data < 0):
            raise ValueError(f"binomial: n cannot be negative, got {n.data.min()}")
        if n.ndim == 0 and n.data <= _FEW:
            return int(n.data)
    return n


def _checked_seed(seed: Any) -> int:
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(seed, Iterable) and not isinstance(seed, str):
        return int(np.random.SeedSequence([int(s) for s in seed]).generate_state(1, np.uint64)[0])
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"RandomStreams: seed must be an integer from 0, or a sequence of them, got {seed!r}")
    return int(seed)
