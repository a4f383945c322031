"""Rules that keep cross-entropies finite if the probabilities come from a saturated softmax or sigmoid."""

from __future__ import annotations

from typing import Any

from symc.compiler.rewrite.algebra import leads_to, moved_inputs, moved_to, record_of
from symc.compiler.rewrite.engine import NodeRule, RuleList
from symc.compiler.rewrite.logarithms import log_of
from symc.compiler.rewrite.ops import (
    BINARY_CROSSENTROPY,
    BINARY_CROSSENTROPY_SLOPE,
    CATEGORICAL_CROSSENTROPY_1HOT,
    CROSSENTROPY_SOFTMAX_1HOT,
    MUL,
    SIGMOID,
    SIGMOID_BINARY_CROSSENTROPY_SLOPE,
    SIGMOID_SLOPE,
    SOFTMAX,
)
from symc.graph import Apply, Variable
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.nnet.losses import binary_of_logs, picked_classes, sigmoid_binary_crossentropy

__all__ = ["CROSSENTROPY_FORMS", "CROSSENTROPY_RULES"]


def _from_logits(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    p, y = node.inputs
    if record_of(p) is SOFTMAX and p.owner.op["axis"] == p.ndim - 1:  # type: ignore[union-attr]
        return Op(CROSSENTROPY_SOFTMAX_1HOT)(p.owner.inputs[0], y)  # type: ignore[union-attr]
    found = log_of(p, memo)
    return None if found is None else -picked_classes(found, y)


def _sigmoid_argument(v: Variable) -> Variable | None:
    """``x`` with ``v = sigmoid(x)``, also if the elements of several sigmoids were rearranged afterwards."""
    order: list[Variable] = []
    stack, seen = [v], {v}
    while stack:
        found = stack.pop()
        order.append(found)
        if record_of(found) is SIGMOID:
            continue
        sources = () if found.owner is None else moved_inputs(found.owner)
        if not sources:
            return None
        for s in sources:
            if s not in seen:
                seen.add(s)
                stack.append(s)
    arguments: dict[Variable, Variable] = {}
    for found in sorted(order, key=lambda x: x.serial):
        node = found.owner
        assert node is not None
        if node.op.record is SIGMOID:
            arguments[found] = node.inputs[0]
        else:
            arguments[found] = moved_to(node, [arguments[s] for s in moved_inputs(node)])
    return arguments[v]


def _binary_of_sigmoid(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    o, t = node.inputs
    x = _sigmoid_argument(o)
    if x is not None:
        return sigmoid_binary_crossentropy(x, t)
    found = log_of(o, memo)
    return None if found is None else binary_of_logs(found, ew.log(1 - o), t)


def _factors(v: Variable) -> list[Variable]:
    found: list[Variable] = []
    stack = [v]
    while stack:
        v = stack.pop()
        if record_of(v) is MUL and len(found) + len(stack) < 8:
            stack.extend(v.owner.inputs[::-1])  # type: ignore[union-attr]
        else:
            found.append(v)
    return found


def _slope_of_sigmoid(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace ``slope(g, o, t)`` times the derivative of the sigmoid ``o`` by ``g * (o - t)``, to avoid 0 / 0."""
    if not leads_to(node.outputs[0], (BINARY_CROSSENTROPY_SLOPE,), (MUL,), memo, "slope"):
        return None
    factors = _factors(node.outputs[0])
    for slope in factors:
        if record_of(slope) is not BINARY_CROSSENTROPY_SLOPE:
            continue
        g, o, t = slope.owner.inputs  # type: ignore[union-attr]
        x = o.owner.inputs[0] if record_of(o) is SIGMOID else None  # type: ignore[union-attr]
        inner = next((v for v in factors if record_of(v) is SIGMOID_SLOPE and v.owner.inputs[0] is x), None)  # type: ignore[union-attr]
        if x is None or inner is None:
            continue
        left = list(factors)
        for gone in (slope, inner):
            left.remove(next(v for v in left if v is gone))
        result = ew.mul(g, Op(SIGMOID_BINARY_CROSSENTROPY_SLOPE)(x, t))
        for v in left:
            result = ew.mul(result, v)
        return result
    return None


CROSSENTROPY_FORMS = RuleList(
    "cross-entropy",
    [
        NodeRule("crossentropy_of_probabilities", (CATEGORICAL_CROSSENTROPY_1HOT,), _from_logits, remembers=True),
        NodeRule("crossentropy_of_sigmoid", (BINARY_CROSSENTROPY,), _binary_of_sigmoid, remembers=True),
    ],
)
"""Rules applied before differentiation."""

CROSSENTROPY_RULES = RuleList(
    "cross-entropy",
    [
        *CROSSENTROPY_FORMS,
        NodeRule("slope_of_crossentropy_of_sigmoid", (MUL,), _slope_of_sigmoid, remembers=True),
    ],
)
"""These are part of the compiler's stability rules."""
