"""``memory_estimate``: the memory use of a function before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Variable, graph_inputs
from symc.graph.argument_faults import explain_faults
from symc.runtime.arguments import MISSING
from symc.runtime.function import Function
from symc.runtime.memory_use import MemoryEstimate, estimate, values_of_symbols

__all__ = ["memory_estimate"]


def memory_estimate(f: Function, shapes: Any = None) -> MemoryEstimate:
    """Estimate the memory of a call of ``f`` with arguments of these shapes, without running or allocating anything.

    Working memory is kept for later calls. Not counted are: memory of other functions, and of this one for other
    shapes; code and the stacks of threads; memory that cuBLAS keeps for all functions; copies of arguments that have
    another dtype or are not C-contiguous.

    Parameters
    ----------
    f : Function
    shapes : sequence or mapping, optional
        One shape per input, in order, or by the input's name or variable; an array is accepted in place of its shape.
        Inputs with a default may be left out. An integer that determines the size of other arrays must be given by
        value.

    Returns
    -------
    MemoryEstimate

    Raises
    ------
    TypeError, ShapeError, GuardError
        As a call with such arguments would.

    Examples
    --------
    >>> x = T.matrix("x")
    >>> f = symc.function([x], T.tanh(x) + 1)
    >>> symc.memory_estimate(f, [(1000, 1000)]).parts["results"]
    4000000
    """
    specialisation = f.fitting()
    named = shapes if isinstance(shapes, Mapping) else {}
    values = [MISSING] * len(f.specs) if isinstance(shapes, Mapping) else list(shapes or ())
    for key in [key for key in named if isinstance(key, Variable)]:
        if key not in f.inputs:
            raise TypeError(located(f"memory_estimate: {f.name}() has no such input", [key]))
        values[f.inputs.index(key)] = named[key]
    values = f.bind(values, {key: value for key, value in named.items() if not isinstance(key, Variable)})
    decisive = set(graph_inputs(specialisation.graph.values))
    arrays = [
        _stand_in(f, k, value, specialisation.graph.sources[f.inputs[k]] in decisive) for k, value in enumerate(values)
    ]
    plan = specialisation.plan(arrays)
    specialisation, known = plan.specialisation, plan.symbols
    return estimate(specialisation, values_of_symbols(specialisation, known, arrays))


def _stand_in(f: Function, k: int, value: Any, decisive: bool) -> Any:
    """An array of the shape of input ``k`` that occupies no memory; the array itself if its elements matter."""
    variable = f.inputs[k]
    given = f"memory_estimate: input {k} of {f.name}()"
    shape = _shape(value, variable.ndim)
    if decisive and not isinstance(value, (tuple, list)):
        return f.convert(k, value)
    if decisive:
        text = f"{given} decides how large others are"
        raise TypeError(located(text, [variable], "give its value instead of a shape"))
    if shape is None or any(n < 0 for n in shape):
        text = f"{given} must be given by a shape or an array, got {value!r}"
        raise TypeError(located(text, [variable], "write a shape as a tuple, such as (128, 784)"))
    array = np.broadcast_to(np.zeros((), variable.dtype), shape)
    return array if len(shape) == variable.ndim else f.convert(k, array)


def _shape(value: Any, ndim: int) -> tuple[int, ...] | None:
    """The shape given by a shape, by an object that has one, or by a number."""
    if isinstance(value, (tuple, list)):
        return tuple(map(int, value)) if all(isinstance(n, (int, np.integer)) for n in value) else None
    if isinstance(value, (int, float)) and ndim == 0:
        return ()
    return tuple(map(int, value.shape)) if hasattr(value, "shape") else None


explain_faults(globals())
