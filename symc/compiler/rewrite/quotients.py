"""Cancellation of quotients that are multiplied by their divisor again, as in gradients through logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.compiler.rewrite.algebra import leads_to, opposite, record_of
from symc.compiler.rewrite.engine import filled_like, is_constant
from symc.compiler.rewrite.logarithms import ratio
from symc.compiler.rewrite.magnitudes import kind_of
from symc.compiler.rewrite.ops import (
    ADD,
    COSH,
    EXP,
    EXPM1,
    MUL,
    NEG,
    SIGMOID,
    SIGMOID_SLOPE,
    SINH,
    SUB,
    SWITCH,
    TRUE_DIV,
)
from symc.graph import Apply, Variable
from symc.tensor import elementwise as ew

__all__ = ["cancel_in_terms", "cancel_overflow"]

_REACH = 12
"""The number of ops of a factor that are searched for a quotient that cancels."""
_CARRIERS = (ADD, SUB, NEG, MUL, SWITCH)


def _times(total: Variable, y: Variable, p: Variable | None = None, part: Variable | None = None) -> Variable | None:
    """Compute ``total * y`` without the quotients by ``y`` in the terms of ``total``; None if there are none.

    With ``p`` and ``part``, which is ``p / y``, compute ``total * p`` instead.
    """
    order: list[Variable] = []
    stack, seen = [total], {total}
    while stack:
        v = stack.pop()
        order.append(v)
        record = record_of(v)
        if record is TRUE_DIV and v.owner.inputs[1] is y:  # type: ignore[union-attr]
            continue
        if record is not TRUE_DIV and record not in _CARRIERS:
            continue
        inputs = v.owner.inputs  # type: ignore[union-attr]
        for i in inputs[:1] if record is TRUE_DIV else inputs[1:] if record is SWITCH else inputs:
            if i not in seen and len(seen) < _REACH:
                seen.add(i)
                stack.append(i)
    made: dict[Variable, Variable] = {}  # those of ``order`` that contain a quotient, multiplied by ``y``
    for v in _operands_first(order):
        found = _multiplied(v, y, y if p is None else p, part, made)
        if found is not None:
            made[v] = found
    return made.get(total)


def _operands_first(found: Sequence[Variable]) -> list[Variable]:
    return sorted(found, key=lambda v: v.serial)


def _multiplied(
    v: Variable, y: Variable, p: Variable, part: Variable | None, made: dict[Variable, Variable]
) -> Variable | None:
    record = record_of(v)
    if record is None:
        return None
    assert v.owner is not None
    inputs = v.owner.inputs
    if record is TRUE_DIV:
        if inputs[1] is y:
            return inputs[0] if part is None else ew.mul.op(inputs[0], part)
        return ew.true_div.op(made[inputs[0]], inputs[1]) if inputs[0] in made else None
    if record is MUL:
        for one, other in (inputs, inputs[::-1]):
            if one in made:
                return ew.mul.op(made[one], other)
        return None
    if record not in _CARRIERS:
        return None
    terms = inputs[1:] if record is SWITCH else inputs
    if not any(t in made for t in terms):
        return None
    products = [made[t] if t in made else _plain_product(t, p) for t in terms]
    return v.owner.op(*inputs[: len(inputs) - len(terms)], *products)


def _plain_product(v: Variable, y: Variable) -> Variable:
    # A term that is zero stays zero for any other factor: it is the branch that was not taken.
    return v if is_constant(v, 0) else ew.mul.op(v, y)


def cancel_in_terms(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace ``(a / p + b) * p`` by ``a + b * p``.

    A gradient through ``log(p)`` is a quotient by ``p``, and below a softmax or a sigmoid it is multiplied by ``p``
    again; where ``p`` has underflowed to zero, both operations together are NaN. The derivative of a sigmoid is the
    product of the sigmoid and its complement, and quotients by either cancel.
    """
    if not any(leads_to(v, (TRUE_DIV,), _CARRIERS, memo, "quotient") for v in node.inputs):
        return None
    for total, y in (node.inputs, node.inputs[::-1]):
        if not y.type.dtype.startswith("float"):
            return None
        found = _times(total, y)
        if found is not None:
            return found
        if record_of(y) is SIGMOID_SLOPE:
            x = y.owner.inputs[0]  # type: ignore[union-attr]
            found = _through_slope(total, x)
            if found is not None:
                return found
    return None


def _through_slope(total: Variable, x: Variable) -> Variable | None:
    """Compute ``total * sigmoid(x) * sigmoid(-x)`` without the quotients in ``total`` by one of the two sigmoids."""
    for divisor in _divisors_in(total):
        if record_of(divisor) is not SIGMOID:
            continue
        argument = divisor.owner.inputs[0]  # type: ignore[union-attr]
        if argument is x or opposite(argument, x):
            found = _times(total, divisor)
            if found is not None:
                return ew.mul.op(found, ew.sigmoid.op(ew.neg.op(argument)))
    return None


def _divisors_in(total: Variable) -> list[Variable]:
    found: dict[Variable, None] = {}
    stack, seen = [total], {total}
    while stack:
        v = stack.pop()
        record = record_of(v)
        if record is TRUE_DIV:
            found[v.owner.inputs[1]] = None  # type: ignore[union-attr]
        if record is TRUE_DIV or record in _CARRIERS:
            for i in v.owner.inputs:  # type: ignore[union-attr]
                if i not in seen and len(seen) < _REACH:
                    seen.add(i)
                    stack.append(i)
    return list(found)


def cancel_overflow(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace ``(a / y) * p`` by ``a * (p / y)`` where ``p`` and ``y`` overflow together.

    The derivative of a quotient by ``y`` is a quotient by ``y`` times the derivative of ``y``: zero times infinity.
    """
    for total, p in (node.inputs, node.inputs[::-1]):
        if not (record_of(p) is COSH or kind_of(p, memo).grows):
            continue
        if not leads_to(total, (TRUE_DIV,), _CARRIERS, memo, "quotient"):
            continue
        for y in _divisors_in(total):
            part = _ratio(p, y, memo)
            found = None if part is None else _times(total, y, p, part)
            if found is not None:
                return found
    return None


def _ratio(p: Variable, y: Variable, memo: dict[Any, Any]) -> Variable | None:
    if record_of(y) is NEG:
        found = _ratio(p, y.owner.inputs[0], memo)  # type: ignore[union-attr]
        return None if found is None else ew.neg.op(found)
    record, inner = record_of(y), record_of(p)
    if record not in (EXPM1, SINH):
        return ratio(p, y, memo) if kind_of(y, memo).grows else None
    if p.owner.inputs[0] is not y.owner.inputs[0]:  # type: ignore[union-attr]
        return None
    x = y.owner.inputs[0]  # type: ignore[union-attr]
    if record is EXPM1 and inner is EXP:
        return ew.neg.op(ew.true_div.op(filled_like(1, x), ew.expm1.op(ew.neg.op(x))))
    return ew.true_div.op(filled_like(1, x), ew.tanh.op(x)) if record is SINH and inner is COSH else None
