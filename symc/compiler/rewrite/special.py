"""Cheaper equivalent forms, applied after all rules for correctness."""

from __future__ import annotations

from symc.compiler.rewrite.algebra import record_of
from symc.compiler.rewrite.engine import NodeRule, Rule, RuleList, Wildcard, constant_value, filled, is_constant
from symc.compiler.rewrite.ops import EQ, GE, GT, LE, LT, NEQ, POOL_GRAD, SWITCH
from symc.graph import Apply, Variable
from symc.graph.op import Op
from symc.tensor import elementwise as ew

__all__ = ["SPECIALISED"]

X = Wildcard("X")

COMPARISONS = (EQ, GE, GT, LE, LT, NEQ)


def selected_maxima(node: Apply) -> Variable | None:
    """Apply a mask of a max-pooling's input to the gradient of its output, which has fewer elements.

    The gradient of the pooling is zero except where the input equals the maximum of a window, and there the two compare
    alike with any constant: ``switch(x > c, pool_grad(x, y, g), 0)`` is ``pool_grad(x, y, switch(y > c, g, 0))``.
    """
    mask, gradient, rest = node.inputs
    if record_of(gradient) is not POOL_GRAD or record_of(mask) not in COMPARISONS or not is_constant(rest, 0):
        return None
    pooling, comparison = gradient.owner, mask.owner
    assert pooling is not None and comparison is not None
    x, y, g = pooling.inputs
    if pooling.op["mode"] != "max" or sum(v is x for v in comparison.inputs) != 1:
        return None
    numbers = [y if v is x else constant_value(v) for v in comparison.inputs]
    if any(v is None for v in numbers) or rest.dtype != g.dtype:
        return None
    shape = y.type.shape
    sides = [v if isinstance(v, Variable) else filled(v, x.dtype, shape) for v in numbers]
    return Op(POOL_GRAD, **pooling.op.attrs)(
        x, y, ew.switch.op(Op(comparison.op.record)(*sides), g, filled(0, g.dtype, shape))
    )


SPECIALISED = RuleList(
    "specialised",
    [
        Rule("rectifier", ew.maximum(X, 0), ew.relu(X), algebraic=False),
        NodeRule("selected_maxima", (SWITCH,), selected_maxima),
    ],
)
