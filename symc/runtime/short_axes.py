"""Short axes of arguments: when code is made for their lengths alone.

How loops are best written depends on the lengths of short axes: the coordinates of a point, the channels of a picture,
the components of a mixture are better written out, or lanes run across them. The code of a function whose arguments may
have any shape contains a few forms and chooses in each call, but not all. So the first call that does enough work on
axes of a few elements compiles the expressions again with these lengths, those of all other axes remaining unknown.
Calls with other lengths run the code for any.

An axis of length 1 is never taken for known: it would broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symc.compiler.bodies import applications_inside
from symc.errors import SymcError
from symc.graph import Apply, dims, toposort
from symc.graph.op import Axes, Reduction, View
from symc.runtime.definition import Definition

__all__ = ["ShortAxes", "is_enough_work", "short_lengths"]

LONGEST = 16
"""The largest number of elements of a short axis."""
LIMIT = 4
"""The number of combinations of lengths for which a function has code of its own."""
JUDGED = 128
"""The number of combinations of shapes that are known to need none."""
MOST_NODES = 640
"""The largest number of applications that are compiled again."""
LEAST_WORK = 1 << 20
"""The bytes that a call moves, and operations that it does, from which on it is worth it: about 40 microseconds."""


def short_lengths(owner: Definition, unified: Mapping[Any, dims.Dim], arrays: Sequence[np.ndarray]) -> dict[Any, int]:
    """The lengths of short axes of arguments on which the form of loops may depend, by their symbols.

    These are axes before which an array has other axes, unless they only come there by a transposition that an op
    reads, and first axes that are reduced to matrices: loops seldom depend on the number of pictures.
    """
    short = {
        d: n
        for v, array in zip(owner.inputs, arrays)
        for d, n in zip(v.type.shape, array.shape)
        if type(d) is not int and d.is_Symbol and 1 < n <= LONGEST
    }
    if not short:
        return {}
    order = toposort(owner.all_outputs, frozenset(owner.inputs))
    if len(order) > MOST_NODES:
        return {}
    matter = {s for node in order for d in _inner(node) for s in dims.symbols_of(dims.substitute(d, unified))}
    found = {s: n for s, n in short.items() if dims.symbols_of(dims.substitute(s, unified)) & matter}
    return found if all(array.size for array in arrays) else {}


def _inner(node: Apply) -> list[dims.Dim]:
    """The axes of an application on which the form of its loops may depend, also in its bodies."""
    found: list[dims.Dim] = []
    for inside in (node, *applications_inside(node.op)):
        if isinstance(inside.op.record.lower, (Axes, View)):
            continue
        for v in (*inside.inputs, *inside.outputs):
            if v.owner is None or not isinstance(v.owner.op.record.lower, (Axes, View)):
                found += v.type.shape[1:]
        if isinstance(inside.op.record.lower, Reduction) and inside.outputs[0].ndim > 1 and 0 in inside.op["axes"]:
            found.append(inside.inputs[0].type.shape[0])
    return found


def is_enough_work(moved: Sequence[int], computed: Sequence[int]) -> bool:
    """Whether a call whose steps move these bytes and do these operations takes long enough."""
    return sum(moved) + sum(computed) >= LEAST_WORK


class ShortAxes:
    """The code of a function for given lengths of short axes.

    Attributes
    ----------
    codes : list of Specialisation
    """

    def __init__(self) -> None:
        self.codes: list[Any] = []
        self._judged: set[Any] = set()

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
        for code in self.codes:
            if code.suits(arrays):
                return code
        shapes = tuple([a.shape for a in arrays])
        if shapes in self._judged or len(self.codes) >= LIMIT:
            return None
        if len(self._judged) >= JUDGED:
            self._judged.clear()
        self._judged.add(shapes)
        found = lengths(arrays)
        if not found:
            return None
        try:
            made = make(found)
        except SymcError:  # the expressions contradict these lengths: the code for any says so, as an error of the call
            return None
        self.codes.append(made)
        return made
