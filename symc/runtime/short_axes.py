"""Short axes of arguments: when code is made for their lengths alone.

How loops are best written depends on the lengths of short axes: the coordinates of a point, the channels of a picture,
the components of a mixture are better written out, or lanes run across them. The code of a function whose arguments may
have any shape contains a few forms and chooses in each call, but not all. So the first call that does enough work on
axes of a few elements compiles the expressions again with these lengths, those of all other axes remaining unknown.
Calls with other lengths, and those with little work, run the code for any.

An axis of length 1 is never taken for known: it would broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symc.compiler.bodies import applications_inside
from symc.errors import SymcError
from symc.graph import Apply, Variable, dims, toposort
from symc.graph.op import Axes, LibraryCall, Reduction, View
from symc.runtime.definition import Definition

__all__ = ["ShortAxes", "is_enough_work", "short_lengths", "symbols_that_matter"]

LONGEST = 16
"""The largest number of elements of a short axis."""
LONGEST_IN_STEPS = 1024
"""The same of an axis along which the steps of loops go."""
LIMIT = 4
"""The number of combinations of lengths for which a function has code of its own."""
JUDGED = 128
"""The number of combinations of shapes whose code is known."""
MOST_NODES = 640
"""The largest number of applications that are compiled again."""
LEAST_WORK = 1 << 20
"""The bytes that a call moves, and operations that it does, from which on it is worth it: about 40 microseconds."""
START = 512
"""How many of these take as long as to start a kernel, of which a loop over steps starts some in each of them."""


def symbols_that_matter(owner: Definition, unified: Mapping[Any, dims.Dim]) -> dict[Any, int]:
    """The symbols of axes on whose lengths the form of loops may depend, and the length up to which it does.

    These are axes before which an array has other axes, unless they only come there by a transposition that an op
    reads, and first axes that are reduced, to vectors only if no library call has that many rows: loops seldom depend
    on the number of pictures. In the steps of loops, threads can have rows of their own if the lengths of rows are
    known, so that longer ones count. Programs of many applications have none.
    """
    order = toposort(owner.all_outputs, frozenset(owner.inputs))
    found: dict[Any, int] = {}
    if len(order) > MOST_NODES:
        return found

    def count(axes: Iterable[dims.Dim], longest: int) -> None:
        for symbol in {s for d in axes for s in dims.symbols_of(dims.substitute(d, unified))}:
            found[symbol] = max(found.get(symbol, 0), longest)

    rows = {d for node in order if isinstance(node.op.record.lower, LibraryCall) for d in _first_axes(node.inputs)}
    count((d for node in order for d in _inner(node)), LONGEST)
    count((d for node in order for d in _reduced_first(node) if d not in rows), LONGEST)
    count((d for v in owner.all_outputs if _is_arranged(v) for d in v.type.shape[1:]), LONGEST)
    count((d for node in order for inside in applications_inside(node.op) for d in _inner(inside)), LONGEST_IN_STEPS)
    return found


def short_lengths(
    inputs: Sequence[Variable], arrays: Sequence[np.ndarray], unified: Mapping[Any, dims.Dim], matter: Mapping[Any, int]
) -> dict[Any, int]:
    """The lengths of those axes of arguments that are short and matter, by their symbols."""
    if not all(array.size for array in arrays):
        return {}
    lengths = {
        d: n
        for v, array in zip(inputs, arrays)
        for d, n in zip(v.type.shape, array.shape)
        if type(d) is not int and d.is_Symbol and 1 < n <= LONGEST_IN_STEPS
    }

    def longest(symbol: Any) -> int:
        return max([matter.get(s, 0) for s in dims.symbols_of(dims.substitute(symbol, unified))], default=0)

    return {symbol: n for symbol, n in lengths.items() if n <= longest(symbol)}


def _inner(node: Apply) -> list[dims.Dim]:
    """The axes of an application on which the form of its loops may depend."""
    found: list[dims.Dim] = []
    if isinstance(node.op.record.lower, (Axes, View)):
        return found
    for v in (*node.inputs, *node.outputs):
        if v.owner is None or not isinstance(v.owner.op.record.lower, (Axes, View)):
            found += v.type.shape[1:]
    if node.outputs[0].ndim > 1:
        found += _reduced_first(node)
    return found


def _is_arranged(v: Variable) -> bool:
    """Whether a result is a copy of something with its axes in another order."""
    return v.owner is not None and isinstance(v.owner.op.record.lower, Axes)


def _reduced_first(node: Apply) -> list[dims.Dim]:
    """The first axis of a reduction's operand, if it is reduced and others are left."""
    reduces = isinstance(node.op.record.lower, Reduction) and node.outputs[0].ndim and 0 in node.op["axes"]
    return _first_axes(node.inputs) if reduces else []


def _first_axes(values: Iterable[Variable]) -> list[dims.Dim]:
    return [v.type.shape[0] for v in values if v.ndim]


def is_enough_work(moved: Sequence[int], computed: Sequence[int], runs: Sequence[int]) -> bool:
    """Whether a call whose steps run so often, move these bytes and do these operations in all takes long enough."""
    return sum(moved) + sum(computed) + START * sum(runs) >= LEAST_WORK


class ShortAxes:
    """The code of a function for given lengths of short axes.

    Which code a call runs follows from its shapes, whatever calls came before, up to the limit of such codes.

    Attributes
    ----------
    codes : list of Specialisation
    """

    def __init__(self) -> None:
        self.codes: list[Any] = []
        self._by_lengths: dict[frozenset[tuple[Any, int]], Any] = {}
        self._judged: dict[Any, Any] = {}

    def code_for(
        self,
        arrays: Sequence[Any],
        lengths: Callable[[Sequence[Any]], Mapping[Any, int]],
        make: Callable[[Mapping[Any, int]], Any],
    ) -> Any:
        """The code for these arguments; None if that for any lengths does.

        Parameters
        ----------
        arrays : sequence
        lengths : callable
            The lengths for which code is worth it, by the arguments.
        make : callable
            Compiles the code for such lengths.
        """
        shapes = tuple([a.shape for a in arrays])
        if shapes not in self._judged:
            if len(self._judged) >= JUDGED:
                self._judged.clear()
            self._judged[shapes] = self._of(lengths(arrays), make)
        return self._judged[shapes]

    def _of(self, lengths: Mapping[Any, int], make: Callable[[Mapping[Any, int]], Any]) -> Any:
        key = frozenset(lengths.items())
        if not key or key in self._by_lengths or len(self.codes) >= LIMIT:
            return self._by_lengths.get(key)
        self._by_lengths[key] = None
        try:
            self._by_lengths[key] = made = make(lengths)
        except SymcError:  # the expressions contradict these lengths: the code for any says so, as an error of the call
            return None
        self.codes.append(made)
        return made
