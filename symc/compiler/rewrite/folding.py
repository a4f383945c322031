"""Constants computed at compile time, and work done once instead of once for every repetition.

An elementwise op of operands that all repeat the same entries along an axis is computed on one of these entries, and
the result is repeated. So ``expand`` moves towards the outputs, expressions of scalars become scalar expressions
however often they were broadcast, and those of constants reduction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.compiler.rewrite.algebra import op_of, repeated, unrepeated
from symc.compiler.rewrite.engine import NodeRule, RuleList
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import Axes, Op, Pointwise, Reduction
from symc.tensor.broadcasting import expand
from symc.tensor.symbolic_dims import dim_value

__all__ = ["FOLDING"]

FOLD_LIMIT = 1024
"""Elements a folded constant may have: beyond, computing it anew costs less than carrying it in the program."""
_ARRANGING = frozenset(("join", "write_at", "reshape_to", "slice_at", "gather"))


def _may_fold(op: Op) -> bool:
    lower = op.record.lower
    if isinstance(lower, Axes):
        return op.record.name != "expand"  # a repeated constant stays small
    return isinstance(lower, (Pointwise, Reduction)) or op.record.name in _ARRANGING or op.record.name == "dot"


def fold_constants(node: Apply) -> Variable | None:
    """An op of nothing but constants, computed now by its NumPy meaning; what NumPy refuses is left to the call."""
    if not node.inputs or not all(isinstance(v, Constant) for v in node.inputs) or not _may_fold(node.op):
        return None
    out = node.outputs[0]
    if len(node.outputs) != 1 or not all(type(d) is int for d in out.type.shape):
        return None
    if dims.product(out.type.shape) > FOLD_LIMIT:
        return None
    try:
        (value,) = node.op.evaluate([v.data for v in node.inputs])  # type: ignore[attr-defined]
    except (ValueError, IndexError, OverflowError):
        return None
    array = np.asarray(value)
    if array.dtype.name != out.dtype or array.shape != tuple(out.type.shape):
        return None
    return Constant(array, out.dtype)


def compute_before_repeating(node: Apply) -> Variable | None:
    """``f(expand(a), expand(b))`` becomes ``expand(f(a, b))`` along the axes where all operands repeat one entry."""
    if not isinstance(node.op.record.lower, Pointwise) or not any(op_of(v) == "expand" for v in node.inputs):
        return None
    out = node.outputs[0].type
    patterns = [repeated(v) for v in node.inputs]
    everywhere = [all(p[k] for p in patterns) for k in range(out.ndim)]
    if not any(all_repeat and not (type(d) is int and d == 1) for all_repeat, d in zip(everywhere, out.shape)):
        return None
    scalar = all(op_of(v) == "expand" and v.owner.inputs[0].ndim == 0 for v in node.inputs)  # type: ignore[union-attr]
    if scalar:
        return expand(node.op(*[v.owner.inputs[0] for v in node.inputs]), out.shape)  # type: ignore[union-attr]
    small = [1 if all_repeat else d for all_repeat, d in zip(everywhere, out.shape)]
    return expand(node.op(*[unrepeated(v, small) for v in node.inputs]), out.shape)


_DIM_ARITHMETIC: dict[str, Any] = {
    "add": dims.add,
    "sub": dims.sub,
    "mul": dims.mul,
    "maximum": dims.maximum,
    "minimum": dims.minimum,
    "floor_div": dims.floordiv,
}


def _as_known_dim(v: Variable) -> dims.Dim | None:
    if op_of(v) == "dim_value":
        return v.owner.op["dim"]  # type: ignore[union-attr]
    return int(v.data) if isinstance(v, Constant) and v.ndim == 0 and v.dtype == "int64" else None


def dim_arithmetic(node: Apply) -> Variable | None:
    """Sums and products of dims are dims, known when the call starts; ``max(n, 0)`` is n."""
    out = node.outputs[0]
    if out.ndim or out.dtype != "int64" or all(isinstance(v, Constant) for v in node.inputs):
        return None
    left, right = (_as_known_dim(v) for v in node.inputs)
    if left is None or right is None:
        return None
    if node.op.name == "floor_div" and not (type(right) is int and right > 0):
        return None
    return dim_value(_DIM_ARITHMETIC[node.op.name](left, right))


FOLDING = RuleList(
    "folding",
    [
        NodeRule("fold_constants", ("*",), fold_constants),
        NodeRule("compute_before_repeating", ("*",), compute_before_repeating),
        NodeRule("dim_arithmetic", tuple(_DIM_ARITHMETIC), dim_arithmetic),
    ],
)
