"""Evaluation of a graph with NumPy, op by op: the reference for testing compiled functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symc.graph import dims
from symc.graph.body import Body
from symc.graph.op import Op
from symc.graph.shared_variables import SharedVariable
from symc.graph.traversal import toposort
from symc.graph.variables import Apply, Constant, Variable

__all__ = ["evaluate", "evaluate_body", "symbols_of_op", "with_known_dims"]


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


def evaluate_body(body: Body, arrays: Sequence[Any]) -> list[np.ndarray]:
    """Compute the outputs of a body for the values of its inputs.

    Its symbols have the values of the integers that they stand for, as soon as these are computed.
    """
    given = dict(zip(body.inputs, arrays))
    if not body.symbols:
        return evaluate(body.outputs, given)
    values: dict[Variable, np.ndarray] = {v: np.asarray(x, v.dtype) for v, x in given.items()}
    own = frozenset(body.symbols)
    symbols: dict[Any, int] = {}
    waiting: deque[Apply] = deque(toposort(body.graph, frozenset(values)))
    behind = 0  # applications in a row that have to wait
    while True:
        symbols.update((s, int(_value(v, values))) for s, v in zip(body.symbols, body.values) if _is_known(v, values))
        if not waiting or behind > len(waiting):
            return [_value(v, values) for v in body.outputs]
        node = waiting.popleft()
        if all(_is_known(v, values) for v in node.inputs) and symbols_of_op(node.op) & own <= symbols.keys():
            found = with_known_dims(node.op, symbols).evaluate([_value(v, values) for v in node.inputs])
            values.update(zip(node.outputs, map(np.asarray, found)))
            behind = 0
        else:
            waiting.append(node)
            behind += 1


def _is_known(v: Variable, values: Mapping[Variable, np.ndarray]) -> bool:
    return v in values or isinstance(v, (Constant, SharedVariable))


def symbols_of_op(op: Op) -> set[Any]:
    """The symbols of dims in the attributes of an op, also in its bodies."""
    found: set[Any] = set()
    pending: list[Any] = [op]
    while pending:
        value = pending.pop()
        if isinstance(value, Op):
            pending.extend(value.attrs.values())
        elif isinstance(value, (tuple, list)):
            pending.extend(value)
        elif isinstance(value, Body):
            pending.extend(node.op for node in toposort(value.graph))
        elif hasattr(value, "free_symbols"):
            found |= value.free_symbols
    return found


def with_known_dims(op: Op, symbols: Mapping[Any, int] | None) -> Op:
    """Replace the symbolic dims among the attributes of ``op``, and in its bodies, by their values."""
    if not symbols or not symbols_of_op(op) & symbols.keys():
        return op
    return Op(op.record, **{name: _known(value, symbols) for name, value in op.attrs.items()})


def _known(value: Any, symbols: Mapping[Any, int]) -> Any:
    if type(value) in (tuple, list):
        return type(value)(_known(part, symbols) for part in value)
    if isinstance(value, Body):
        known: dict[Variable, Variable] = {}
        for node in toposort(value.graph, frozenset(value.inputs)):
            inputs = [known.get(v, v) for v in node.inputs]
            op = with_known_dims(node.op, symbols)
            made = Apply(op, inputs, [v.type for v in node.outputs], node.outputs[0].location)
            known.update(zip(node.outputs, made.outputs))
        return value.with_graph([known.get(v, v) for v in value.graph])
    if hasattr(value, "free_symbols") and value.free_symbols and value.free_symbols <= symbols.keys():
        return dims.evaluate(value, symbols)
    return value
