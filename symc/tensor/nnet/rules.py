"""Rules that keep cross-entropies finite when the probabilities come from a softmax or a sigmoid that saturates.

They stand apart from the ops because the engine of rules is itself built on the tensor language.
"""

from __future__ import annotations

from symc.compiler.rewrite.engine import NodeRule, RuleList, is_constant
from symc.graph import Apply, Variable
from symc.graph.op import RECORDS, Op
from symc.tensor import elementwise as ew
from symc.tensor.nnet.activations import logsoftmax
from symc.tensor.nnet.losses import sigmoid_binary_crossentropy

__all__ = ["CROSSENTROPY_RULES"]


def _made_by(v: Variable, op: str) -> Apply | None:
    """The application of ``op`` that computes ``v``, if that is what does."""
    return v.owner if v.owner is not None and v.owner.op.name == op else None


def _from_logits(node: Apply) -> Variable | None:
    p, y = node.inputs
    made = _made_by(p, "softmax")
    if made is None or made.op["axis"] != p.ndim - 1:
        return None
    return Op(RECORDS["crossentropy_softmax_1hot"])(made.inputs[0], y)


def _log_of_softmax(node: Apply) -> Variable | None:
    made = _made_by(node.inputs[0], "softmax")
    return None if made is None else logsoftmax(made.inputs[0], made.op["axis"])


def _binary_of_sigmoid(node: Apply) -> Variable | None:
    o, t = node.inputs
    made = _made_by(o, "sigmoid")
    return None if made is None else sigmoid_binary_crossentropy(made.inputs[0], t)


def _factors(v: Variable) -> list[Variable]:
    found: list[Variable] = []
    stack = [v]
    while stack:
        v = stack.pop()
        product = _made_by(v, "mul")
        if product is not None and len(found) + len(stack) < 8:
            stack.extend(product.inputs[::-1])
        else:
            found.append(v)
    return found


def _slope_of_sigmoid(node: Apply) -> Variable | None:
    """``slope(g, o, t) * o * (1 - o)`` is ``g * (o - t)``; a saturated ``o`` would make it 0 / 0."""
    factors = _factors(node.outputs[0])
    for slope in factors:
        made = _made_by(slope, "binary_crossentropy_slope")
        if made is None:
            continue
        g, o, t = made.inputs
        complement = next((v for v in factors if _is_complement(v, o)), None)
        if complement is None or not any(v is o for v in factors):
            continue
        left = list(factors)
        for gone in (slope, o, complement):
            left.remove(next(v for v in left if v is gone))
        result = ew.mul(g, ew.sub(o, t))
        for v in left:
            result = ew.mul(result, v)
        return result
    return None


def _is_complement(v: Variable, o: Variable) -> bool:
    made = _made_by(v, "sub")
    return made is not None and made.inputs[1] is o and is_constant(made.inputs[0], 1)


CROSSENTROPY_RULES = RuleList(
    "cross-entropy",
    [
        NodeRule("log of softmax", ("log",), _log_of_softmax),
        NodeRule("cross-entropy of softmax", ("categorical_crossentropy_1hot",), _from_logits),
        NodeRule("cross-entropy of sigmoid", ("binary_crossentropy",), _binary_of_sigmoid),
        NodeRule("slope of the cross-entropy of sigmoid", ("mul",), _slope_of_sigmoid),
    ],
)
"""The compiler's stable rules take these in."""
