"""Where a function has levelled off because its argument overflowed.

The derivative of ``tanh(exp(x))`` is a product of two factors, of which the first vanishes much faster than the second
grows. Where the exponential overflows, it would be computed as zero times infinity. The gradient pass selects zero
there instead, and nothing at all for arguments that cannot overflow, which are almost all: what may is analysed here.

An argument that is infinite for another reason is left alone: ``1 / (1 / x)`` has the derivative 1 at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.compiler.rewrite.algebra import moved_inputs, nonnegative
from symc.compiler.rewrite.engine import constant_value
from symc.compiler.rewrite.magnitudes import is_shifted
from symc.compiler.rewrite.ops import MAX, MAXIMUM, MUL, NEG, POW, RECIPROCAL, SQRT, SUB, TRUE_DIV
from symc.graph import Apply, Variable
from symc.graph.op import Axes, Pointwise, Reduction, View
from symc.tensor import elementwise as ew

__all__ = ["Saturation"]


class Saturation:
    """What overflows and levels off in a graph, whose applications are given in topological order."""

    def __init__(self, order: Sequence[Apply]) -> None:
        self._may_overflow = _overflowing(order)
        self._far: dict[Any, Variable] = {}

    def levelled(self, node: Apply, position: int) -> Variable | None:
        """Where the op has levelled off for large values of its input at ``position``: a bool tensor; None: nowhere."""
        x, levels_off = node.inputs[position], node.op.record.levels_off
        if levels_off is None or x not in self._may_overflow:
            return None
        bounds = levels_off(node.inputs)[position]
        if bounds == (None, None):
            return None
        if (x, bounds) not in self._far:
            self._far[x, bounds] = _beyond(x, *bounds)
        far = self._far[x, bounds]
        if len(node.inputs) > 1:
            far = ew.and_(far, ew.invert(ew.isnan(node.outputs[0])))
        others = [v for k, v in enumerate(node.inputs) if k != position and v in self._may_overflow]
        for other in others:  # where both overflowed, nothing is known of their quotient
            far = ew.and_(far, ew.invert(ew.isinf(other)))
        return far


def _beyond(x: Variable, below: float | None, above: float | None) -> Variable:
    if below is None:
        return ew.ge(x, above)
    return ew.le(x, below) if above is None else ew.or_(ew.le(x, below), ew.ge(x, above))


def _overflowing(order: Sequence[Apply]) -> set[Variable]:
    """The variables that may be infinite, and only because an exponential overflows."""
    if not any(_is_exponential(node) for node in order):
        return set()
    analysis = _Analysis()
    for node in order:
        analysis.visit(node)
    return analysis.grow - analysis.poles


class _Analysis:
    """What is known of the variables visited so far.

    Attributes
    ----------
    grow : set of Variable
        Those that depend on an exponential by growing operations.
    poles : set of Variable
        Those that may be infinite without any overflow.
    positive : set of Variable
        Those that are positive up to underflow.
    """

    def __init__(self) -> None:
        self.grow: set[Variable] = set()
        self.poles: set[Variable] = set()
        self.positive: set[Variable] = set()

    def visit(self, node: Apply) -> None:
        record, moved = node.op.record, moved_inputs(node)
        sources = moved or node.inputs  # others give no values, but shapes or positions
        if not self.poles.isdisjoint(sources) or self._has_pole(node):
            self.poles.update(node.outputs)
        if record.nonnegative == "always" and record.log is not None:
            self.positive.update(node.outputs)
        elif record.nonnegative == "all" and all(self._is_positive(v) for v in sources):
            self.positive.update(node.outputs)
        if not moved and not isinstance(record.lower, (Pointwise, Axes, View, Reduction)):
            return
        if not self.grow.isdisjoint(sources) or (_is_exponential(node) and not _is_at_most_one(node)):
            self.grow.update(node.outputs)

    def _has_pole(self, node: Apply) -> bool:
        record = node.op.record
        if record in (RECIPROCAL, TRUE_DIV, POW):
            divisor = node.inputs[record is TRUE_DIV]
            exponent = constant_value(node.inputs[1]) if record is POW else None
            return not (self._is_positive(divisor) or (exponent is not None and exponent >= 0))
        return isinstance(record.lower, Pointwise) and not (
            record.bounded_slope or record.linear == "jointly" or record is SQRT
        )

    def _is_positive(self, v: Variable) -> bool:
        if v in self.positive:
            return True
        value = constant_value(v)
        return value is not None and value > 0


def _is_exponential(node: Apply) -> bool:
    return node.op.record.exponential or (node.op.record is POW and constant_value(node.inputs[1]) is None)


def _is_at_most_one(node: Apply) -> bool:
    """Whether the argument of an exponential is never positive: a negated square, or a maximum was subtracted."""
    x = node.inputs[-1]
    if x.owner is None:
        return False
    record, inputs = x.owner.op.record, x.owner.inputs
    if record is NEG:
        return nonnegative(inputs[0])
    if record is MUL:
        factors = [constant_value(v) for v in inputs]
        return any(c is not None and c <= 0 and nonnegative(v) for c, v in zip(factors, inputs[::-1]))
    return record is SUB and is_shifted(node.outputs[0], lambda top: top.op.record in (MAX, MAXIMUM))
