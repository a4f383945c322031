"""Integers, permutations, and draws from a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.errors import DTypeError, ShapeError, located
from symc.gradient.pass_through import undefined_grad
from symc.graph import Constant, SharedVariable, Variable
from symc.graph.dtypes import as_dtype, is_float, is_integer
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant
from symc.tensor.checked import checked_below
from symc.tensor.indices.indexing import subtensor, take
from symc.tensor.indices.positions import iota
from symc.tensor.joining import concatenate
from symc.tensor.linalg import product_of
from symc.tensor.random_numbers.arguments import counts, is_number, of_shape, shape_of
from symc.tensor.random_numbers.bits import draw, stored_bits
from symc.tensor.random_numbers.distributions import Distributions
from symc.tensor.requirements import require_lengths
from symc.tensor.reshaping import reshape
from symc.tensor.sorting import argsort
from symc.tensor.symbolic_dims import shape_i

__all__ = ["Choices"]


def _trials(n: Variable) -> tuple[Variable, Variable]:
    """The numbers of trials of the rows of a multinomial distribution, and the largest of them."""
    if not is_integer(n.dtype):
        raise DTypeError(located(f"multinomial: n must be whole numbers, got {n.dtype}", [n], "cast it to int64"))
    most = constant(2**31 - 1, dtype="int64")
    n = checked_below(n, most, "multinomial: n is negative", "numbers of trials are 0 or more")
    return n, reduce.max(concatenate([reshape(n, (-1,)), constant([0], dtype="int64")]))


class Choices(Distributions):
    """The methods of ``RandomStreams`` that draw integers and entries of lists."""

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
            The shape without the axis of outcomes; by default that in which ``pvals`` without its last axis meets
            ``n``.
        n : int or integer tensor
            The number of trials; a tensor, one per row, is broadcast to ``size``.
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
        of_rows = [subtensor(p, (Ellipsis, 0))]
        each = as_tensor(n)
        if each.ndim:
            each, n = _trials(each)
            of_rows.append(each)
        (n,) = counts([n], "multinomial: n")
        lead = shape_of(size, ndim, "multinomial", of_rows)
        state = self._new_state()
        once = is_number(n, 1)
        shape = [*lead, *([] if once else [n]), shape_i(p, p.ndim - 1)]
        chosen = self._race(
            state, p if once or p.ndim == 1 else dimshuffle(p, (*range(p.ndim - 1), "x", p.ndim - 1)), shape
        )
        hits = ew.eq(iota(chosen[1], -1), dimshuffle(chosen[0], (*range(chosen[0].ndim), "x")))
        if each.ndim:
            hits = ew.and_(hits, ew.lt(iota(chosen[1], -2), dimshuffle(each, (*range(each.ndim), "x", "x"))))
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
