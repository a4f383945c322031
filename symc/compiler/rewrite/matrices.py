"""Rules about inverses and determinants of matrices."""

from __future__ import annotations

import numpy as np

from symc.compiler.rewrite.algebra import record_of
from symc.compiler.rewrite.engine import NodeRule, filled_like
from symc.compiler.rewrite.ops import ABS, BATCHED_DOT, DET, DIMSHUFFLE, DOT, INVERSE, LOG
from symc.graph import Apply, Variable
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.linear_algebra.determinants import slogdet
from symc.tensor.linear_algebra.linear_systems import SOLVE
from symc.tensor.linear_algebra.matrices import flipped

__all__ = ["LOG_OF_DETERMINANT", "PRODUCT_WITH_INVERSE"]


def _log_of_determinant(node: Apply) -> Variable | None:
    """``log(det(a))`` and ``log(abs(det(a)))`` from the logarithms of the factors, which do not overflow."""
    (x,) = node.inputs
    absolute = record_of(x) is ABS
    inner = x.owner.inputs[0] if absolute else x  # type: ignore[union-attr]
    if record_of(inner) is not DET:
        return None
    sign, size = slogdet(inner.owner.inputs[0])  # type: ignore[union-attr]
    return size if absolute else ew.switch(ew.lt(sign, 0), filled_like(np.nan, size), size)


LOG_OF_DETERMINANT = NodeRule("log_of_determinant", (LOG,), _log_of_determinant, below=(DET,))


def _inverted(v: Variable, turned: bool) -> tuple[Variable, bool] | None:
    """The matrix of which ``v`` is the inverse, and whether it is transposed: an operand of a product."""
    if record_of(v) is DIMSHUFFLE:
        swap = (*range(v.ndim - 2), v.ndim - 1, v.ndim - 2)
        if v.owner.op["order"] != swap or v.owner.inputs[0].ndim != v.ndim:  # type: ignore[union-attr]
            return None
        v, turned = v.owner.inputs[0], not turned  # type: ignore[union-attr]
    if record_of(v) is not INVERSE or v.owner.op["nan"]:  # type: ignore[union-attr]
        return None
    return v.owner.inputs[0], turned  # type: ignore[union-attr]


def _product_with_inverse(node: Apply) -> Variable | None:
    """``dot(matrix_inverse(a), b)`` by solving the system, which is faster and more accurate."""
    (left, right), op = node.inputs, node.op
    found = _inverted(left, op["trans_a"])
    if found is not None:
        b = flipped(right) if op["trans_b"] else right
        made = Op(SOLVE, turned=found[1])(found[0], b)
    else:
        found = _inverted(right, op["trans_b"])
        if found is None:
            return None
        b = left if op["trans_a"] else flipped(left)
        made = flipped(Op(SOLVE, turned=not found[1])(found[0], b))
    return made if made.type == node.outputs[0].type else None


PRODUCT_WITH_INVERSE = NodeRule("product_with_inverse", (DOT, BATCHED_DOT), _product_with_inverse)
