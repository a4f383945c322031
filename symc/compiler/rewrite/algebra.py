"""Properties of expressions used by rules: signs, shapes, sources of broadcasts."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from symc.compiler.rewrite.engine import Bindings, constant_value
from symc.compiler.rewrite.ops import BROADCAST, DIMSHUFFLE, EXPAND, MUL, NEG, SUB
from symc.graph import Apply, Variable, dims
from symc.graph.dtypes import is_float
from symc.graph.op import Op, Record
from symc.tensor.broadcasting import expand

__all__ = [
    "dimshuffled",
    "is_repetition",
    "leads_to",
    "known_number",
    "moved_inputs",
    "moved_to",
    "nonnegative",
    "record_of",
    "opposite",
    "opposite_bound",
    "repeated",
    "source_of",
    "unrepeated",
]


_REACH = 64
"""The number of variables examined to determine a sign."""


def record_of(v: Variable) -> Record | None:
    """The record of the op that computes ``v``; None for inputs and constants."""
    return None if v.owner is None else v.owner.op.record


def leads_to(
    v: Variable, wanted: Container[Record], carriers: Container[Record], memo: dict[Any, Any], key: str
) -> bool:
    """Whether ``v`` is, possibly through ops of ``carriers`` alone, computed by an op of ``wanted``.

    ``memo`` keeps the answers for carriers under ``key``, so that a whole graph is examined once and not per
    application; it decides early that a rule does not apply.
    """
    known: dict[Variable, bool] = memo.setdefault(key, {})

    def answer(x: Variable) -> bool | None:
        record = None if x.owner is None else x.owner.op.record
        return known.get(x) if record in carriers and record not in wanted else record in wanted

    found = answer(v)
    if found is not None:
        return found
    stack = [v]
    while stack:
        x = stack[-1]
        inputs = x.owner.inputs  # type: ignore[union-attr]
        answers = [answer(i) for i in inputs]
        if None in answers and True not in answers:
            stack += [i for i, found in zip(inputs, answers) if found is None]
        else:
            known[x] = True in answers
            stack.pop()
    return known[v]


def nonnegative(v: Variable) -> bool:
    """Whether every element of the float ``v`` is known to be non-negative or NaN; examines a few dozen ops."""
    known: dict[Variable, bool] = {}
    stack = [v]
    while stack:
        x = stack[-1]
        if x in known:
            stack.pop()
            continue
        value = constant_value(x)
        if value is not None:
            known[x] = bool(value >= 0)
        elif x.owner is None or not is_float(x.dtype) or len(known) > _REACH:
            known[x] = False
        else:
            record = x.owner.op.record
            inputs = moved_inputs(x.owner) or x.owner.inputs
            missing = [i for i in inputs if i not in known] if record.nonnegative in ("all", "any") else []
            if missing and len(stack) < _REACH:
                stack.extend(missing)
                continue
            flags = [known.get(i, False) for i in inputs]
            decide = {"always": True, "all": all(flags), "any": any(flags)}
            known[x] = decide.get(record.nonnegative, False)
    return known[v]


def moved_inputs(node: Apply) -> Sequence[Variable]:
    """The inputs whose elements the output consists of, if the op only moves elements; otherwise none."""
    record = node.op.record
    which = None if record.moves is None else record.moves(node.op)
    return () if which is None else node.inputs[which]


def moved_to(node: Apply, values: Sequence[Variable]) -> Variable:
    """Apply the op of ``node`` to other ``values`` in place of its ``moved_inputs``."""
    record = node.op.record
    assert record.moves is not None
    where = list(range(len(node.inputs)))[record.moves(node.op) or slice(0)]
    replaced = dict(zip(where, values))
    return node.op(*[replaced.get(k, v) for k, v in enumerate(node.inputs)])


def opposite(a: Variable, b: Variable) -> bool:
    """Whether ``b`` is known to be ``-a``."""
    for x, y in ((a, b), (b, a)):
        if record_of(x) is NEG and x.owner.inputs[0] is y:  # type: ignore[union-attr]
            return True
    if record_of(a) is record_of(b) is SUB:
        return a.owner.inputs == b.owner.inputs[::-1]  # type: ignore[union-attr]
    if record_of(a) is record_of(b) is MUL:
        return _opposite_products(a.owner.inputs, b.owner.inputs)  # type: ignore[union-attr]
    return False


def _opposite_products(a: Sequence[Variable], b: Sequence[Variable]) -> bool:
    for x, c in (a, a[::-1]):
        for y, d in (b, b[::-1]):
            if x is y:
                left, right = constant_value(c), constant_value(d)
                if left is not None and right is not None and left == -right:
                    return True
    return False


def opposite_bound(bound: Bindings) -> bool:
    """A condition: whether the wildcards X and Y are known to be of opposite sign."""
    return opposite(bound["X"], bound["Y"])


def is_repetition(v: Variable) -> bool:
    """Whether ``v`` is a broadcast, in the user's graph or in the compiler's."""
    return record_of(v) in (EXPAND, BROADCAST)


def source_of(v: Variable) -> Variable:
    """The source of a broadcast ``v``; ``v`` itself if it is not a broadcast."""
    return v.owner.inputs[0] if is_repetition(v) else v  # type: ignore[union-attr]


def repeated(v: Variable) -> tuple[bool, ...]:
    """Whether all entries along an axis repeat one entry (or its length is 1), per axis."""
    source = source_of(v)
    if source is v:
        return v.type.broadcastable
    return source.type.broadcastable if source.ndim else (True,) * v.ndim


def unrepeated(v: Variable, shape: Sequence[dims.Dim]) -> Variable:
    """Reduce ``v`` to ``shape``, which has length 1 on axes along which ``v`` repeats one entry."""
    source = source_of(v)
    return v if source is v else expand(source, shape)


def dimshuffled(v: Variable, order: Sequence[int | str]) -> Variable:
    """Permute the axes of ``v``, even if that changes nothing."""
    if list(order) == list(range(v.ndim)):
        return v
    return Op(DIMSHUFFLE, order=tuple(order))(v)


def known_number(v: Variable) -> float | None:
    """The finite number that equals every element of ``v``, as a Python number, or None."""
    value = constant_value(v)
    if value is None or not np.isfinite(value):
        return None
    return value.item()
