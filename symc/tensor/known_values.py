"""Values that are known when the graph is built."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Constant, Variable, ancestors, toposort
from symc.graph.evaluate import evaluate
from symc.tensor.basic import as_tensor, number_repeated
from symc.tensor.symbolic_dims import known_value

__all__ = ["NotScalarConstantError", "extract_constant", "get_scalar_constant_value", "get_vector_length"]


class NotScalarConstantError(ValueError):
    """The value of a variable is not known when the graph is built."""


def get_scalar_constant_value(v: Any) -> np.ndarray:
    """The value of ``v``, if it is known when the graph is built.

    Raises
    ------
    NotScalarConstantError
        If it is not a number, or known only at call time.
    """
    v = as_tensor(v)
    found = number_repeated(v)
    if found is None:
        found = _computed_now(v)
    if found is not None:
        return found.copy()
    raise NotScalarConstantError(located("get_scalar_constant_value: not a number that is known now", [v]))


def extract_constant(x: Any) -> Any:
    """The value of ``x`` if it is a number that is known when the graph is built, else ``x`` itself."""
    try:
        return get_scalar_constant_value(x)
    except NotScalarConstantError:
        return as_tensor(x)


def _computed_now(v: Variable) -> np.ndarray | None:
    """The single number that an expression of constants or of known shapes has as its value, or None."""
    order = toposort([v])
    if len(order) > 100:
        return None
    outputs = {o: known_value(o) for node in order for o in node.outputs}
    given = {o: value for o, value in outputs.items() if value is not None}
    needed = list(ancestors([v], frozenset(given)))
    computed = [o.owner for o in needed if o.owner is not None and o not in given]
    open_ = [o for o in needed if o.owner is None and not isinstance(o, Constant)]
    if open_ or any(node.op.record.effect != "none" for node in computed):
        return None
    known = given[v] if v in given else evaluate([v], given)[0]
    if known.size == 0 or not (known == known.flat[0]).all():
        return None
    return known.reshape(-1)[0].reshape(())


def get_vector_length(v: Any) -> int:
    """The length of a vector, if it is known when the graph is built."""
    v = as_tensor(v)
    if v.ndim != 1 or type(v.type.shape[0]) is not int:
        raise ValueError(located("get_vector_length: not a vector of known length", [v]))
    return v.type.shape[0]
