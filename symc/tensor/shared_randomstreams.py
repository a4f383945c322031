"""Random streams: symbolic draws, each with its own state that every call advances.

A draw's state is a shared uint64 vector, (key, number of the draw); its default update adds 1 to the number. See
``symc.tensor.random_numbers.bits`` for the generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from symc.errors import DTypeError, located
from symc.graph import Constant, SharedVariable, Variable
from symc.graph.dtypes import HALF, as_dtype, is_float
from symc.runtime.shared import shared
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant
from symc.tensor.random_numbers.arguments import check_probabilities, float_dtype, of_shape, shape_of
from symc.tensor.random_numbers.bits import draw
from symc.tensor.random_numbers.choices import Choices
from symc.tensor.random_numbers.states import RandomState, checked_seed

__all__ = ["MRG_RandomStreams", "RandomStreams"]


class RandomStreams(Choices):
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
        self.default_instance_seed = checked_seed(seed)

    def seed(self, seed: int | None = None) -> None:
        """Restart every draw from ``seed`` (default: the seed that the streams were created with)."""
        self.default_instance_seed = self.default_instance_seed if seed is None else checked_seed(seed)
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
            ``size``, with 11 random bits in float16, 24 in float32 and 53 in float64.
        """
        dtype = float_dtype(dtype, "uniform")
        if dtype == HALF:  # of a number with more bits, rounding could make the bound
            drawn = self._scaled("uniform", size, low, high, ndim, "float32", _of_11_bits, always=True)
            return self._marked(ew.cast(drawn, HALF), self.state_updates[-1][0])
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

    def _scaled(
        self, kind: str, size: Any, a: Any, b: Any, ndim: int | None, dtype: str, scale: Any, always: bool = False
    ) -> Variable:
        a, b = (ew.cast(as_tensor(v), dtype) for v in (a, b))
        shape = shape_of(size, ndim, kind, (a, b))
        state = self._new_state()
        if a.ndim == 0 and b.ndim == 0 and not always:
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


def _of_11_bits(unit: Variable, low: Variable, high: Variable) -> Variable:
    """A number from ``low`` to ``high`` of the leading bits of one in [0, 1)."""
    return low + ew.floor(unit * 2.0**11) * 2.0**-11 * (high - low)


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
