"""Which number a range check rejected: looked up after a call has failed, so that checks themselves stay cheap.

Compiled code reports only which check failed. The operands of the check are computed once more, with NumPy, from the
arguments of the call, provided that they follow from them by a few cheap ops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Constant, SharedVariable, Variable, clone_with, graph_inputs, toposort
from symc.graph.evaluate import evaluate
from symc.graph.op import HostCall, LibraryCall, Structured
from symc.graph.types import TensorType
from symc.runtime.definition import Definition
from symc.tensor.checked import CHECKED_INDEX
from symc.tensor.symbolic_dims import SHAPE_I

__all__ = ["rejected"]

_OPS = 200
_ELEMENTS = 10_000_000
"""The largest number of ops, and of elements of a result, that are computed for a message."""

_UNBOUNDED = 2**31 - 2
"""Limits beyond the lengths of axes: such checks only reject negative numbers."""


def rejected(owner: Definition, message: str, arguments: Sequence[Any]) -> str:
    """Describe the first number that the check with this message rejects, as a line of its own; empty if unknown.

    The arguments are those of the call: arrays, or numbers.
    """
    arrays = [np.asarray(a).astype(v.dtype) for v, a in zip(owner.inputs, arguments)]
    text = message.partition("\n")[0]
    expressions = [*owner.outputs, *[v for _, v in owner.updates]]
    shapes: dict[Variable, Sequence[int]] = {v: a.shape for v, a in zip(owner.inputs, arrays)}
    shapes |= {v: v.storage.shape for v in graph_inputs(expressions) if isinstance(v, SharedVariable)}
    known = {v: Variable(TensorType(v.dtype, shape), None, 0, v.name) for v, shape in shapes.items()}
    sources = {new: old for old, new in known.items()}
    values = dict(zip(owner.inputs, arrays))
    for check in clone_with(list(_checks(expressions, text)), known, _with_known_lengths):
        node = check.owner
        assert node is not None
        if _cheap(node):
            leaves = [v for v in graph_inputs(node.inputs) if v in sources]
            given = {v: _value(sources[v], values) for v in leaves}
            numbers, limit = evaluate(node.inputs, given)
            found = _described(np.asarray(numbers), int(limit), bool(node.op["wrap"]))
            if found:
                return f"\n  found: {found}"
    return ""


def _value(v: Variable, arguments: dict[Variable, np.ndarray]) -> np.ndarray:
    return v.storage.array if isinstance(v, SharedVariable) else arguments[v]


def _checks(expressions: Sequence[Variable], text: str) -> Iterator[Variable]:
    """The checks with this text in expressions, and in what their ops are made of."""
    for node in toposort(expressions):
        record = node.op.record
        parts = [] if record.decompose is None or record.bodies else record.decompose(node.op, node.inputs)
        for n in (node, *toposort(parts if isinstance(parts, (list, tuple)) else [parts], frozenset(node.inputs))):
            if n.op.record is CHECKED_INDEX and n.op["text"] == text:
                yield n.outputs[0]


def _with_known_lengths(node: Apply, inputs: list[Variable]) -> Sequence[Variable]:
    """Apply an op to other operands; a length that their type states is a number, whatever the operand costs."""
    if node.op.record is SHAPE_I:
        length = inputs[0].type.shape[node.op["axis"]]
        if type(length) is int:
            return [Constant(np.asarray(length, "int64"))]
    return node.op.apply(inputs, node.outputs[0].location).outputs


def _cheap(check: Apply) -> bool:
    """Whether NumPy computes the operands of a check at once: no bodies, products, host calls or ops with effects."""
    nodes = toposort(check.inputs)
    if len(nodes) > _OPS:
        return False
    for n in nodes:
        record = n.op.record
        plain = record.effect == "none" and not record.bodies and not record.declared_dtypes
        if not plain or isinstance(record.lower, (HostCall, LibraryCall, Structured)):
            return False
        if any(np.prod([d for d in v.type.shape if type(d) is int], dtype=float) > _ELEMENTS for v in n.outputs):
            return False
    return True


def _described(numbers: np.ndarray, limit: int, wrap: bool) -> str:
    low = -limit if wrap else 0
    if not wrap and limit == 1:
        return ""  # the number stands for a condition
    wrong = np.argwhere((numbers < low) | (numbers >= limit))
    if not len(wrong):
        return ""
    place = tuple(int(k) for k in wrong[0])
    where = f" at position {place[0] if len(place) == 1 else place}" if place else ""
    allowed = f"{low} to {limit - 1}" if limit <= _UNBOUNDED else "0 and more"
    return f"{numbers[place]}{where}; allowed: {allowed if limit > 0 else 'none, there are no entries'}"
