"""Evaluation of a graph with NumPy, op by op: the reference for testing compiled functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symc.graph import dims
from symc.graph.op import Op
from symc.graph.shared_variables import SharedVariable
from symc.graph.traversal import toposort
from symc.graph.variables import Constant, Variable

__all__ = ["evaluate", "with_known_dims"]


def evaluate(
    outputs: Sequence[Variable], given: Mapping[Variable, Any], symbols: Mapping[Any, int] | None = None
) -> list[np.ndarray]:
    """Compute the values of ``outputs`` for the given values of variables.

    ``symbols`` gives the values of symbolic dims in attributes of ops (only graphs inside the compiler have such).

    Raises
    ------
    KeyError
        If an input is missing.
    """
    values: dict[Variable, np.ndarray] = {v: np.asarray(x, v.dtype) for v, x in given.items()}
    for node in toposort(outputs, frozenset(values)):
        arrays = [_value(v, values) for v in node.inputs]
        for output, array in zip(node.outputs, with_known_dims(node.op, symbols).evaluate(arrays)):
            values[output] = np.asarray(array)
    return [_value(v, values) for v in outputs]


def _value(v: Variable, values: Mapping[Variable, np.ndarray]) -> np.ndarray:
    if v in values:
        return values[v]
    if isinstance(v, Constant):
        return v.data
    if isinstance(v, SharedVariable):
        return v.storage.array
    raise KeyError(f"no value is given for the input {v!r}")


def with_known_dims(op: Op, symbols: Mapping[Any, int] | None) -> Op:
    """Replace the symbolic dims among the attributes of ``op`` by their values."""
    if not symbols:
        return op
    attrs = dict(op.attrs)
    if "shape" in attrs:
        attrs["shape"] = tuple(dims.evaluate(d, symbols) if dims.symbols_of(d) else d for d in attrs["shape"])
    if "dim" in attrs and not isinstance(attrs["dim"], int):
        attrs["dim"] = dims.evaluate(attrs["dim"], symbols)
    return Op(op.record, **attrs)
