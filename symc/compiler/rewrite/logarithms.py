"""Logarithms and quotients of expressions that overflow or underflow, from their scaled forms ``w * exp(m)``.

The logarithm of such an expression is ``log(w) + m``, or ``m`` if ``w`` is 1. Signs do not matter, so weights may be
anything.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symc.compiler.rewrite.engine import NodeRule, constant_value
from symc.compiler.rewrite.magnitudes import NUMBER, is_shifted, kind_of
from symc.compiler.rewrite.ops import (
    LOG,
    LOG1MEXP,
    LOG1P,
    LOG2,
    LOG10,
    MAX,
    MAXIMUM,
    MUL,
    POW,
    RECIPROCAL,
    SINH,
    SQRT,
    SUB,
    TRUE_DIV,
)
from symc.compiler.rewrite.scaled_forms import (
    Scaled,
    negative,
    scaled,
    scaled_known_power,
    scaled_power,
    scaled_quotient,
    scaled_reciprocal,
    weighted_mean,
)
from symc.graph import Apply, Variable
from symc.tensor import elementwise as ew
from symc.tensor import stable

__all__ = ["DIFFERENTIATED", "LOGARITHM_RULES", "log_of", "ratio"]


def log_of(v: Variable, memo: dict[Any, Any]) -> Variable | None:
    """The logarithm of ``v`` from its scaled form; None if the plain logarithm is as accurate."""
    if not kind_of(v, memo).strong:
        return None
    weight, exponent = scaled(v, memo)
    if weight is None:
        return exponent
    return ew.log(weight) if exponent is None else ew.log(weight) + exponent


def _log(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    found = _log_of_difference(node.inputs[0], memo)
    return log_of(node.inputs[0], memo) if found is None else found


def _log_of_difference(v: Variable, memo: dict[Any, Any]) -> Variable | None:
    """The logarithm of a difference of two probabilities or exponentials, which may agree in all their digits."""
    if v.owner is None or v.owner.op.record is not SUB or kind_of(v, memo) == NUMBER:
        return None
    if any(is_shifted(i, lambda top: top.op.record in (MAX, MAXIMUM)) for i in v.owner.inputs):
        return None
    x, y = (log_of(i, memo) if kind_of(i, memo).positive else None for i in v.owner.inputs)
    return None if x is None or y is None else x + stable.log1mexp(y - x)


def _log_of_one_minus_exp(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace ``log(1 - exp(-y))``, where y is an exponential and may underflow, by a function of its logarithm."""
    (x,) = node.inputs
    if not kind_of(x, memo).strong:
        return None
    weight, exponent = scaled(x, memo)
    if weight is None or exponent is None:
        return None
    if constant_value(weight) != -1:
        exponent = ew.log(negative(weight)) + exponent
    return stable.log_gompit(exponent)


def _log_to_base(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    found = log_of(node.inputs[0], memo)
    return None if found is None else found * (1 / math.log(2 if node.op.record is LOG2 else 10))


def _log1p(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    (v,) = node.inputs
    kind = kind_of(v, memo)
    if kind.negative:  # of probabilities: 1 - p * q
        exponent = scaled(v, memo).exponent
        return None if exponent is None else stable.log1mexp(exponent)
    if not (kind.grows and kind.positive):
        return None
    exponent = scaled(v, memo).exponent
    return None if exponent is None else ew.softplus(exponent)


def _quotient(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace a quotient whose parts may both overflow or underflow by ``exp`` of a difference of logarithms."""
    x, y = node.inputs
    return ratio(x, y, memo)


def ratio(x: Variable, y: Variable, memo: dict[Any, Any]) -> Variable | None:
    """``x / y`` as ``exp`` of a difference, if each has a scaled form and one may overflow; else None."""
    above, below = kind_of(x, memo), kind_of(y, memo)
    if not (above.strong and below.strong and (above.grows or below.grows)):
        return None
    found = weighted_mean(x, y, memo)
    return _value(scaled_quotient([scaled(x, memo), scaled(y, memo)])) if found is None else found


def _value(form: Scaled) -> Variable | None:
    """The value of a form with an exponent."""
    weight, exponent = form
    if exponent is None:
        return None
    return ew.exp(exponent) if weight is None else weight * ew.exp(exponent)


def _root(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace a root or another power with an infinite slope at 0 by ``exp`` of a multiple of the logarithm."""
    base = kind_of(node.inputs[0], memo)
    if not (base.strong and base.positive):
        return None
    if node.op.record is SQRT:
        return _value(scaled_power(node, [scaled(node.inputs[0], memo)]))
    power = constant_value(node.inputs[1])
    if power is None or not np.isfinite(power) or (power >= 0 and power == int(power)):
        return None
    return _value(scaled_known_power(node, [scaled(node.inputs[0], memo)]))


def _power(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace ``x ** y``, where x may underflow and y is not known, by ``exp(y * log(x))``."""
    base = kind_of(node.inputs[0], memo)
    if not (base.strong and base.positive) or constant_value(node.inputs[1]) is not None:
        return None
    return _value(scaled_known_power(node, [scaled(node.inputs[0], memo)]))


def _log_of_sinh(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace ``log(a * sinh(x))`` by ``log(cosh(x)) + log(a * tanh(x))``, and ``log(a / sinh(x))`` likewise."""
    v = node.inputs[0]
    if v.owner is None or v.owner.op.record not in (SINH, MUL, TRUE_DIV):
        return None
    factors = [v] if v.owner.op.record is SINH else v.owner.inputs
    for k, factor in enumerate(factors):
        if factor.owner is not None and factor.owner.op.record is SINH:
            x = factor.owner.inputs[0]
            rest = [ew.tanh(x) if i == k else other for i, other in enumerate(factors)]
            weight = rest[0] if v is factor else v.owner.op(*rest)
            below = v.owner.op.record is TRUE_DIV and k == 1
            return ew.log(weight) - ew.logcosh(x) if below else ew.log(weight) + ew.logcosh(x)
    return None


# --- forms only for derivatives ---------------------------------------------------------------------------------------
# The values of these expressions are accurate as written, but their derivatives multiply zeros by infinities.


def _over_a_power(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace ``x / y``, where ``y`` may overflow, by ``x * exp(-log(y))``."""
    x, y = node.inputs
    below = kind_of(y, memo)
    if not (below.strong and below.grows and below.positive):
        return None
    return _value(scaled_quotient([scaled(x, memo), scaled(y, memo)]))


def _one_over_a_power(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    below = kind_of(node.inputs[0], memo)
    if not (below.strong and below.grows and below.positive):
        return None
    return _value(scaled_reciprocal(node, [scaled(node.inputs[0], memo)]))


DIFFERENTIATED = [
    NodeRule("over_a_power", (TRUE_DIV,), _over_a_power, remembers=True),
    NodeRule("one_over_a_power", (RECIPROCAL,), _one_over_a_power, remembers=True),
]
"""Rules for ``grad`` alone."""

LOGARITHM_RULES = [
    NodeRule("log_of_scaled", (LOG,), _log, remembers=True),
    NodeRule("log_to_base_of_scaled", (LOG2, LOG10), _log_to_base, remembers=True),
    NodeRule("log1p_of_scaled", (LOG1P,), _log1p, remembers=True),
    NodeRule("log1mexp_of_scaled", (LOG1MEXP,), _log_of_one_minus_exp, remembers=True),
    NodeRule("quotient_of_scaled", (TRUE_DIV,), _quotient, remembers=True),
    NodeRule("log_of_sinh", (LOG,), _log_of_sinh, remembers=True),
    NodeRule("power_of_scaled", (POW,), _power, remembers=True),
    NodeRule("root_of_scaled", (SQRT, POW), _root, remembers=True),
]
