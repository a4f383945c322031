"""Constant folding, and computation before broadcasting instead of after.

An elementwise op whose operands all repeat the same entries along an axis is computed on one of these entries, and the
result is broadcast. ``expand`` therefore moves towards the outputs, expressions of broadcast scalars become scalar
expressions, and expressions of constants are folded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symc.compiler.rewrite.algebra import record_of, repeated, unrepeated
from symc.compiler.rewrite.engine import EVERY_OP, NodeRule, RuleList
from symc.compiler.rewrite.ops import ADD, DIM_VALUE, EXPAND, FLOOR_DIV, MAXIMUM, MINIMUM, MUL, SUB
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import Op, Pointwise, Record, Reduction
from symc.tensor.broadcasting import expand
from symc.tensor.symbolic_dims import dim_value

__all__ = ["FOLDING"]

FOLD_LIMIT = 1024
"""The largest number of elements of a folded constant: recomputing larger ones is cheaper than storing them."""


def _may_fold(op: Op) -> bool:
    return op.record.foldable or isinstance(op.record.lower, (Pointwise, Reduction))


def _unmade(children: Sequence[Record | None]) -> bool:
    """Whether all operands are inputs or constants."""
    return all(record is None for record in children)


def fold_constants(node: Apply) -> Variable | None:
    """Evaluate an op of constants with its NumPy implementation; errors are left to the call."""
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
    """Replace ``f(expand(a), expand(b))`` by ``expand(f(a, b))`` along axes where all operands repeat one entry."""
    if not isinstance(node.op.record.lower, Pointwise):
        return None
    out = node.outputs[0].type
    patterns = [repeated(v) for v in node.inputs]
    if not all(map(any, patterns)):
        return None
    everywhere = [all(p) for p in zip(*patterns)]
    if not any(all_repeat and not (type(d) is int and d == 1) for all_repeat, d in zip(everywhere, out.shape)):
        return None
    scalar = all(record_of(v) is EXPAND and v.owner.inputs[0].ndim == 0 for v in node.inputs)  # type: ignore[union-attr]
    if scalar:
        return expand(node.op(*[v.owner.inputs[0] for v in node.inputs]), out.shape)  # type: ignore[union-attr]
    small = [1 if all_repeat else d for all_repeat, d in zip(everywhere, out.shape)]
    return expand(node.op(*[unrepeated(v, small) for v in node.inputs]), out.shape)


_DIM_ARITHMETIC = (ADD, SUB, MUL, MAXIMUM, MINIMUM, FLOOR_DIV)


def _as_known_dim(v: Variable) -> dims.Dim | None:
    if record_of(v) is DIM_VALUE:
        return v.owner.op["dim"]  # type: ignore[union-attr]
    return int(v.data) if isinstance(v, Constant) and v.ndim == 0 and v.dtype == "int64" else None


def dim_arithmetic(node: Apply) -> Variable | None:
    """Replace sums and products of dims by dims, known when the call starts; ``max(n, 0)`` is n."""
    out = node.outputs[0]
    if out.ndim or out.dtype != "int64" or all(isinstance(v, Constant) for v in node.inputs):
        return None
    left, right = (_as_known_dim(v) for v in node.inputs)
    if left is None or right is None:
        return None
    divides = node.op.record is FLOOR_DIV
    if divides and dims.equal(dims.maximum(right, 1), right) is not True:
        return None
    assert node.op.record.dim is not None
    found = node.op.record.dim(node, [left, right])
    return None if divides and type(right) is not int and type(found) is not int else dim_value(found)


FOLDING = RuleList(
    "folding",
    [
        NodeRule("fold_constants", EVERY_OP, fold_constants, operands=_unmade),
        NodeRule("compute_before_repeating", EVERY_OP, compute_before_repeating, operands=lambda made: EXPAND in made),
        NodeRule("dim_arithmetic", _DIM_ARITHMETIC, dim_arithmetic),
    ],
)
