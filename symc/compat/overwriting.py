"""Functions that overwrite their arguments, as Theano's in-place ops do in functions that accept them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Variable, toposort

__all__ = ["OverwritingFunction", "overwriting", "overwritten"]


def overwriting(result: Any, operand: Any) -> Any:
    """Return ``result``, marked: a function that accepts in-place ops stores it in the argument for ``operand``."""
    if isinstance(result, Variable) and isinstance(operand, Variable) and result is not operand:
        result.__dict__["_overwrites"] = operand
    return result


def overwritten(inputs: Sequence[Any], outputs: Any) -> list[tuple[int, Variable]]:
    """The numbers of the inputs that results behind ``outputs`` overwrite, and these results, in order."""
    listed = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    behind = [v for v in (getattr(o, "variable", o) for o in listed) if isinstance(v, Variable)]
    given = [getattr(v, "variable", v) for v in inputs]
    places = {v: k for k, v in enumerate(given) if isinstance(v, Variable)}
    found = (v for node in toposort(behind) for v in node.outputs)
    marked = [(v.__dict__.get("_overwrites"), v) for v in found]
    return [(places[operand], v) for operand, v in marked if operand in places]


class OverwritingFunction:
    """A compiled function whose call also stores results in its arguments.

    Attributes
    ----------
    inner : Function
        The function; its last results are those to store.
    places : list of int
        The number of the argument for each of them. Arrays of the dtype and shape of the result are overwritten.
    """

    def __init__(self, inner: Any, places: Sequence[int], single: bool) -> None:
        self.inner, self.places, self.single = inner, list(places), single

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the function, and store results in arguments."""
        found = self.inner(*args, **named)
        count = len(found) - len(self.places)
        for place, value in zip(self.places, found[count:]):
            target = args[place] if place < len(args) else None
            if isinstance(target, np.ndarray) and (target.dtype, target.shape) == (value.dtype, value.shape):
                target[...] = value
        return found[0] if self.single else found[:count]
