"""Operands of products that are the same in every step, in the order in which products read them fastest."""

from __future__ import annotations

from symc.compiler.rewrite.ops import DOT
from symc.compiler.scans.loop import Loop
from symc.graph import Apply
from symc.graph.op import Op
from symc.tensor.axes import dimshuffle

__all__ = ["turn_operands"]


def turn_operands(loop: Loop) -> bool:
    """Transpose right factors that are constants of the loop before it, instead of in every step.

    Returns whether there were any.
    """
    found = False
    while node := next((node for node in loop.order if _reads_turned(node, loop)), None):
        found = True
        a, b = node.inputs
        turned = loop.constant(dimshuffle(loop.constants[b], (1, 0)), b.name)
        loop.replace({node.outputs[0]: Op(DOT, trans_a=node.op["trans_a"], trans_b=False)(a, turned)})
    return found


def _reads_turned(node: Apply, loop: Loop) -> bool:
    if node.op.record is not DOT or not node.op["trans_b"] or node.inputs[1] not in loop.constants:
        return False
    rows = node.outputs[0].type.shape[0]
    return not (type(rows) is int and rows == 1)  # a product with one row reads the matrix once, in either order
