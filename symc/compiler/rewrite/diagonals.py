"""Sums and products that a diagonal matrix reduces to one term, as in Jacobians.

Every row of a Jacobian is a gradient that begins with a row of the identity matrix: a comparison of two counters. If
the function is elementwise, or begins with a matrix product, the rows are sums of ``n`` products of which one is not
zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.rewrite.algebra import dimshuffled, record_of, repeated, source_of, unrepeated
from symc.compiler.rewrite.engine import NodeRule, RuleList, constant_value, filled, is_constant
from symc.compiler.rewrite.failures import may_fail
from symc.compiler.rewrite.ops import (
    ARANGE_OF,
    CAST,
    DIMSHUFFLE,
    DOT,
    EQ,
    EXPAND,
    IOTA_AT,
    MUL,
    NEG,
    SUM,
    SWITCH,
    TRUE_DIV,
)
from symc.graph import Apply, Variable, dims
from symc.graph.op import Pointwise
from symc.tensor import elementwise as ew
from symc.tensor.broadcasting import expand

__all__ = ["DIAGONALS"]

_COUNTS = ("int32", "int64", "uint32", "uint64")
"""The dtypes of numbers that tell all positions along an axis from one another."""
_REACH = 64
"""The number of ops of a value that are searched for its diagonal."""


def sum_on_diagonal(node: Apply) -> Variable | None:
    """Replace a sum along one of two axes on whose diagonal alone the terms are not zero by these terms."""
    (x,), axes = node.inputs, node.op["axes"]
    if len(axes) != 1 or x.dtype != node.outputs[0].dtype:
        return None
    found = [other for pair in _diagonals_of(x) if axes[0] in pair for other in pair if other != axes[0]]
    return _Diagonal(x, axes[0], found[0]).of(x) if found else None


def product_with_diagonal(node: Apply) -> Variable | None:
    """Replace the product of a diagonal matrix and another by that of every row with a number, or of every column."""
    for k, factor in enumerate(node.inputs):
        if factor.ndim != 2 or not _diagonals_of(factor):
            continue
        diagonal = _Diagonal(factor, 1, 0).of(factor)
        if diagonal is None:
            continue
        other = node.inputs[1 - k]
        if node.op["trans_b" if k == 0 else "trans_a"]:
            other = dimshuffled(other, (1, 0))
        spread = dimshuffled(diagonal, (0, "x") if k == 0 else ("x", 0))
        return ew.mul.op(expand(spread, other.type.shape), other)
    return None


def _diagonals_of(x: Variable) -> list[tuple[int, int]]:
    """Pairs of axes of equal lengths outside of whose diagonal ``x`` is zero, from its factors."""
    found = []
    stack, met = [x], {x}
    while stack and len(met) < _REACH:
        v = stack.pop()
        record = record_of(v)
        if record is None:
            continue
        inputs: Sequence[Variable] = v.owner.inputs  # type: ignore[union-attr]
        if record is EQ:
            pair = _counted_along(inputs[0]), _counted_along(inputs[1])
            if None not in pair and pair[0] != pair[1]:
                a, b = (v.type.shape[k] for k in pair)  # type: ignore[index]
                if dims.equal(a, b) is True:
                    found.append(pair)
            continue
        if record is SWITCH and is_constant(inputs[2], 0):
            factors = inputs[:2]
        elif record is TRUE_DIV:
            factors = inputs[:1]
        elif record in (MUL, NEG) or record is CAST:
            factors = inputs
        else:
            continue
        for i in factors:
            if i not in met:
                met.add(i)
                stack.append(i)
    return found  # type: ignore[return-value]


def _counted_along(v: Variable) -> int | None:
    """The axis along which ``v`` is 0, 1, 2, ...; None if it is anything else."""
    order: Sequence[int | str] = range(v.ndim)
    while v.dtype in _COUNTS:  # a narrower counter begins again
        record = record_of(v)
        if record is CAST:
            pass
        elif record is EXPAND and source_of(v).ndim == v.ndim:
            pass
        elif record is DIMSHUFFLE:
            inner = v.owner.op["order"]  # type: ignore[union-attr]
            order = [k if k == "x" else inner[k] for k in order]
        else:
            break
        v = v.owner.inputs[0]  # type: ignore[union-attr]
    else:
        return None
    if record is IOTA_AT:
        axis = v.owner.op["axis"]  # type: ignore[union-attr]
    elif record is ARANGE_OF and [constant_value(i) for i in v.owner.inputs] == [0, 1]:  # type: ignore[union-attr]
        axis = 0
    else:
        return None
    return next((k for k, entry in enumerate(order) if entry == axis), None)


class _Diagonal:
    """The values of expressions where the indices of two axes are equal; ``axis`` is left out.

    Elementwise ops are applied to the diagonals of their operands, of which each repeats its elements along one of the
    two axes, or is such an op itself.
    """

    def __init__(self, x: Variable, axis: int, other: int) -> None:
        self.axis, self.other = axis, other
        self.kept = [k for k in range(x.ndim) if k != axis]
        self.shape = tuple(x.type.shape[k] for k in self.kept)
        self.known: dict[Variable, Variable | None] = {}

    def of(self, v: Variable) -> Variable | None:
        if v not in self.known:
            self.known[v] = self._made(v) if len(self.known) < _REACH else None
        return self.known[v]

    def _made(self, v: Variable) -> Variable | None:
        if v.ndim == 0:
            return v
        for axis in (self.axis, self.other):
            if repeated(v)[axis]:
                return self._without(v, axis)
        node = v.owner
        if node is None or not isinstance(node.op.record.lower, Pointwise) or may_fail(node):
            return None
        if node.op.record is EQ and {_counted_along(i) for i in node.inputs} == {self.axis, self.other}:
            return filled(True, "bool", self.shape)
        parts = [self.of(i) for i in node.inputs]
        return None if any(p is None for p in parts) else node.op(*parts)

    def _without(self, v: Variable, axis: int) -> Variable:
        """``v`` without an axis along which it repeats its elements; the other of the two is in its place."""
        if source_of(v).ndim == 0:
            return expand(source_of(v), self.shape)
        once = unrepeated(v, [1 if k == axis else d for k, d in enumerate(v.type.shape)])
        place = {self.other: self.axis} if axis == self.other else {}
        return dimshuffled(once, [place.get(k, k) for k in self.kept])


DIAGONALS = RuleList(
    "diagonals",
    [
        NodeRule("sum_on_diagonal", (SUM,), sum_on_diagonal),
        NodeRule("product_with_diagonal", (DOT,), product_with_diagonal),
    ],
)
