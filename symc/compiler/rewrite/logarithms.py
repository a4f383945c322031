"""Logarithms of expressions that overflow or underflow: products, quotients and sums of exponentials.

A *scaled form* of an expression is a pair ``w, m`` that represents ``w * exp(m)``. Exponentials, sigmoids, softmaxes
and similar ops have one from the ``log`` of their records, and arithmetic, reductions and ops that only move elements
propagate it. The logarithm of such an expression is ``log(w) + m``, or ``m`` if ``w`` is 1; sums are computed after
subtracting the largest exponent. Signs do not matter, so weights may be anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.compiler.rewrite.algebra import moved_inputs, moved_to
from symc.compiler.rewrite.engine import NodeRule, constant_value, filled_like
from symc.compiler.rewrite.magnitudes import NUMBER, finite_part, is_shifted, kind_of, operands
from symc.compiler.rewrite.ops import (
    ADD,
    CAST,
    DISCONNECTED_GRAD,
    DOT,
    EXPM1,
    LOG,
    LOG1MEXP,
    LOG1P,
    LOG2,
    LOG10,
    MAX,
    MAXIMUM,
    MIN,
    MINIMUM,
    MUL,
    NEG,
    POW,
    PROD,
    RECIPROCAL,
    SINH,
    SQR,
    SQRT,
    SUB,
    SUM,
    TRUE_DIV,
)
from symc.graph import Apply, Variable
from symc.graph.op import Op, Record
from symc.tensor import elementwise as ew
from symc.tensor import reduce, stable
from symc.tensor.nnet.activations import logsumexp

__all__ = ["DIFFERENTIATED", "LOGARITHM_RULES", "log_of", "ratio"]


class Scaled(NamedTuple):
    """A scaled form ``weight * exp(exponent)``; None means a weight of 1 or an exponent of 0."""

    weight: Variable | None
    exponent: Variable | None


# --- building forms ---------------------------------------------------------------------------------------------------


def _fixed(v: Variable) -> Variable:
    """``v`` without a gradient, as a shift that cancels."""
    return Op(DISCONNECTED_GRAD)(v)


def _both(a: Variable | None, b: Variable | None, combine: Callable[..., Variable]) -> Variable | None:
    if a is None or b is None:
        return a if b is None else b
    return combine(a, b)


def _scaled_product(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    a, b = forms
    return Scaled(_both(a.weight, b.weight, ew.mul), _both(a.exponent, b.exponent, ew.add))


def _scaled_quotient(forms: Sequence[Scaled]) -> Scaled:
    a, b = forms
    weight = a.weight
    if b.weight is not None:
        weight = ew.inv(b.weight) if weight is None else weight / b.weight
    exponent = a.exponent
    if b.exponent is not None:
        exponent = _negative(b.exponent) if exponent is None else exponent - b.exponent
    return Scaled(weight, exponent)


def _negative(v: Variable) -> Variable:
    return v.owner.inputs[0] if v.owner is not None and v.owner.op.record is NEG else -v


def _scaled_sum_of_two(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    a, b = forms
    out = node.outputs[0]
    if node.op.record is ADD and a.weight is None and b.weight is None:
        if a.exponent is None or b.exponent is None:
            other = b.exponent if a.exponent is None else a.exponent
            return Scaled(None, filled_like(math.log(2), out) if other is None else ew.softplus(other))
        return Scaled(None, stable.logaddexp(a.exponent, b.exponent))
    if a.exponent is b.exponent:
        return Scaled(node.op(*[filled_like(1, out) if f.weight is None else f.weight for f in forms]), a.exponent)
    zero = filled_like(0, out)
    x, y = (zero if f.exponent is None else f.exponent for f in forms)
    top = _fixed(finite_part(ew.maximum(x, y)))
    left, right = (ew.exp(v - top) if f.weight is None else f.weight * ew.exp(v - top) for f, v in zip(forms, (x, y)))
    return Scaled(node.op(left, right), top)


def _scaled_negative(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    (a,) = forms
    if a.weight is None:
        return Scaled(filled_like(-1, node.outputs[0]), a.exponent)
    return Scaled(None if constant_value(a.weight) == -1 else _negative(a.weight), a.exponent)


def _scaled_expm1(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    """The form of ``expm1(-y)``, where y is an exponential, which may underflow."""
    (a,) = forms
    assert a.exponent is not None
    return Scaled(filled_like(-1, node.outputs[0]), stable.log_gompit(a.exponent))


def _scaled_power(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    (a,) = forms
    assert a.exponent is not None
    if node.op.record is SQRT:
        return Scaled(None, a.exponent * 0.5)
    return Scaled(None if a.weight is None else ew.sqr(a.weight), a.exponent * 2)


def _scaled_known_power(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    a, power = forms[0], node.inputs[1]
    base = constant_value(node.inputs[0])
    if base is not None and constant_value(power) is None:
        return Scaled(None, power * math.log(base))
    assert a.exponent is not None
    if constant_value(power) is None:  # 0 ** 0 is 1
        neither = ew.and_(ew.eq(power, 0), ew.eq(a.exponent, -np.inf))
        return Scaled(None, power * ew.switch(neither, 0, a.exponent))
    return Scaled(None if a.weight is None else ew.power(a.weight, power), a.exponent * power)


def _scaled_reciprocal(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    return _scaled_quotient((Scaled(None, None), forms[0]))


def _scaled_sum(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    (a,), axes = forms, node.op["axes"]
    assert a.exponent is not None
    if a.weight is None:
        return Scaled(None, logsumexp(a.exponent, axes))
    top = _fixed(finite_part(reduce.max(a.exponent, axis=axes)))
    powers = a.weight * ew.exp(a.exponent - reduce.restore(top, a.exponent, axes))
    return Scaled(node.op(powers), top)


def _scaled_cast(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    (a,) = forms
    return Scaled(None, None if a.exponent is None else ew.cast(a.exponent, node.op["dtype"]))


def _scaled_prod(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    assert forms[0].exponent is not None
    return Scaled(None, Op(SUM, **node.op.attrs)(forms[0].exponent))


def _scaled_extreme_of_two(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    zero = filled_like(0, node.outputs[0])
    return Scaled(None, node.op(*[zero if f.exponent is None else f.exponent for f in forms]))


def _scaled_extreme(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    assert forms[0].exponent is not None
    return Scaled(None, node.op(forms[0].exponent))


def _scaled_matrix_product(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    """The largest exponent of each row of the first matrix, and of each column of the second, is taken out."""
    op, out = node.op, node.outputs[0]
    summed = (0 if op["trans_a"] else 1, 1 if op["trans_b"] else 0)
    factors, tops = [], []
    for position, (v, form, axis) in enumerate(zip(node.inputs, forms, summed)):
        factor = filled_like(1, v) if form.weight is None else form.weight
        if form.exponent is not None:
            top = _fixed(finite_part(reduce.max(form.exponent, axis=(axis,))))
            powers = ew.exp(form.exponent - reduce.restore(top, form.exponent, (axis,)))
            factor = powers if form.weight is None else factor * powers
            tops.append(reduce.restore(top, out, (1 - position,)))
        factors.append(factor)
    product = op(*factors)
    exponent = tops[0] if len(tops) == 1 else ew.add(*tops)
    if all(f.weight is None for f in forms):
        return Scaled(None, ew.log(product) + exponent)
    return Scaled(product, exponent)


def _scaled_move(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    """Weights and exponents are moved separately."""
    sources = moved_inputs(node)
    weight = None
    if any(f.weight is not None for f in forms):
        weight = moved_to(node, [filled_like(1, v) if f.weight is None else f.weight for f, v in zip(forms, sources)])
    exponents = [filled_like(0, v) if f.exponent is None else f.exponent for f, v in zip(forms, sources)]
    return Scaled(weight, moved_to(node, exponents))


_SCALED: dict[Record, Callable[[Apply, Sequence[Scaled]], Scaled]] = {
    MUL: _scaled_product,
    TRUE_DIV: lambda node, forms: _scaled_quotient(forms),
    ADD: _scaled_sum_of_two,
    SUB: _scaled_sum_of_two,
    NEG: _scaled_negative,
    SQR: _scaled_power,
    SQRT: _scaled_power,
    POW: _scaled_known_power,
    RECIPROCAL: _scaled_reciprocal,
    SUM: _scaled_sum,
    PROD: _scaled_prod,
    MAXIMUM: _scaled_extreme_of_two,
    MINIMUM: _scaled_extreme_of_two,
    MAX: _scaled_extreme,
    MIN: _scaled_extreme,
    DOT: _scaled_matrix_product,
    CAST: _scaled_cast,
    EXPM1: _scaled_expm1,
}


def _leaf_form(v: Variable, memo: dict[Any, Any]) -> Scaled | None:
    if v.owner is not None and v.owner.op.record.log is not None:
        return Scaled(None, v.owner.op.record.log(v.owner.op, v.owner.inputs))
    kind = kind_of(v, memo)
    value = constant_value(v)
    if kind == NUMBER and value is None:
        assert v.owner is not None
        if v.owner.inputs[0].dtype == "bool":  # a condition as a number
            return Scaled(None, ew.switch(v.owner.inputs[0], filled_like(0, v), filled_like(-np.inf, v)))
    elif kind == NUMBER:
        if value == 1:
            return Scaled(None, None)
        return Scaled(None, filled_like(math.log(value) if value > 0 else -np.inf, v))
    return None if kind.strong or kind == NUMBER else Scaled(v, None)


def scaled(v: Variable, memo: dict[Any, Any]) -> Scaled:
    """The scaled form of ``v``, which always exists: every expression may be its own weight."""
    stack = [v]
    while stack:
        x = stack[-1]
        if ("scaled", x) in memo:
            stack.pop()
            continue
        found = _leaf_form(x, memo)
        if found is None:
            assert x.owner is not None
            parts = operands(x.owner)
            left = [i for i in parts if ("scaled", i) not in memo]
            if left:
                stack.extend(left)
                continue
            found = _SCALED.get(x.owner.op.record, _scaled_move)(x.owner, [memo["scaled", i] for i in parts])
        memo["scaled", x] = found
        stack.pop()
    return memo["scaled", v]


# --- rules ------------------------------------------------------------------------------------------------------------


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
        exponent = ew.log(_negative(weight)) + exponent
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
    return _value(_scaled_quotient([scaled(x, memo), scaled(y, memo)]))


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
        return _value(_scaled_power(node, [scaled(node.inputs[0], memo)]))
    power = constant_value(node.inputs[1])
    if power is None or not np.isfinite(power) or (power >= 0 and power == int(power)):
        return None
    return _value(_scaled_known_power(node, [scaled(node.inputs[0], memo)]))


def _power(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    """Replace ``x ** y``, where x may underflow and y is not known, by ``exp(y * log(x))``."""
    base = kind_of(node.inputs[0], memo)
    if not (base.strong and base.positive) or constant_value(node.inputs[1]) is not None:
        return None
    return _value(_scaled_known_power(node, [scaled(node.inputs[0], memo)]))


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
    return _value(_scaled_quotient([scaled(x, memo), scaled(y, memo)]))


def _one_over_a_power(node: Apply, memo: dict[Any, Any]) -> Variable | None:
    below = kind_of(node.inputs[0], memo)
    if not (below.strong and below.grows and below.positive):
        return None
    return _value(_scaled_reciprocal(node, [scaled(node.inputs[0], memo)]))


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
