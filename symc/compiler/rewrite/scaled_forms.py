"""Scaled forms of expressions that overflow or underflow: products, quotients and sums of exponentials.

A *scaled form* of an expression is a pair ``w, m`` that represents ``w * exp(m)``. Exponentials, sigmoids, softmaxes
and similar ops have one from the ``log`` of their records, and arithmetic, reductions and ops that only move elements
propagate it. Sums are computed after subtracting the largest exponent.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.compiler.rewrite.algebra import moved_inputs, moved_to
from symc.compiler.rewrite.engine import constant_value, filled_like
from symc.compiler.rewrite.magnitudes import NUMBER, finite_part, kind_of, operands
from symc.compiler.rewrite.ops import (
    ADD,
    CAST,
    DISCONNECTED_GRAD,
    DOT,
    EXPM1,
    MAX,
    MAXIMUM,
    MIN,
    MINIMUM,
    MUL,
    NEG,
    POW,
    PROD,
    RECIPROCAL,
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

__all__ = [
    "Scaled",
    "negative",
    "scaled",
    "scaled_known_power",
    "scaled_power",
    "scaled_quotient",
    "scaled_reciprocal",
    "weighted_mean",
]


class Scaled(NamedTuple):
    """A scaled form ``weight * exp(exponent)``; None means a weight of 1 or an exponent of 0."""

    weight: Variable | None
    exponent: Variable | None


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


def scaled_quotient(forms: Sequence[Scaled]) -> Scaled:
    a, b = forms
    weight = a.weight
    if b.weight is not None:
        weight = ew.inv(b.weight) if weight is None else weight / b.weight
    exponent = a.exponent
    if b.exponent is not None:
        exponent = negative(b.exponent) if exponent is None else exponent - b.exponent
    return Scaled(weight, exponent)


def negative(v: Variable) -> Variable:
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


def _terms(v: Variable, memo: dict[Any, Any]) -> dict[Variable, float]:
    """The terms of nested sums and differences, each with its coefficient; ``v`` is their sum."""
    found = {v: 1.0}
    stack = [v]
    divided = 0
    while stack and divided < _MOST_SUMS:  # sums of shared sums have exponentially many terms
        x = stack.pop()
        if x not in found or x.owner is None or not kind_of(x, memo).strong:
            continue
        addends = _addends(x.owner)
        if not addends:
            continue
        divided += 1
        times = found.pop(x)
        for i, factor in addends:
            found[i] = found.get(i, 0) + factor * times
            stack.append(i)
    return found


def _addends(node: Apply) -> list[tuple[Variable, float]]:
    record, inputs = node.op.record, node.inputs
    if record in (ADD, SUB):
        return [(inputs[0], 1), (inputs[1], 1 if record is ADD else -1)]
    if record is MUL:
        for factor, other in (inputs, inputs[::-1]):
            value = constant_value(factor)
            if value is not None and np.isfinite(value):
                return [(other, float(value))]
    return []


_MOST_SUMS = 256
"""The number of sums, differences and products that are divided into terms; what is left is a term itself."""


def _are_weighted(terms: dict[Variable, float], memo: dict[Any, Any]) -> bool:
    return any(times < 0 or memo["scaled", v].weight is not None for v, times in terms.items())


def _sum_of_many(terms: dict[Variable, float], memo: dict[Any, Any]) -> Scaled:
    """The largest exponent of all terms is taken out once, where a chain of sums of two would do so at each."""
    top = _largest(terms, memo)
    total = None
    for v, times in terms.items():
        weight, exponent = memo["scaled", v]
        if ("power", exponent, top) not in memo:
            memo["power", exponent, top] = ew.exp(-top if exponent is None else exponent - top)
        term = memo["power", exponent, top]
        if weight is not None:
            term = weight * term
        if abs(times) != 1:
            term = filled_like(abs(times), term) * term
        if total is None:
            total = term if times > 0 else -term
        else:
            total = total + term if times > 0 else total - term
    return Scaled(total, top)


def _largest(terms: dict[Variable, float], memo: dict[Any, Any]) -> Variable:
    """The largest exponent of the terms, the same variable for the same exponents, as in a weighted mean."""
    key = ("largest", _exponents(terms, memo))
    if key not in memo:
        forms = [(v, memo["scaled", v].exponent) for v in terms]
        exponents = dict.fromkeys(filled_like(0, v) if exponent is None else exponent for v, exponent in forms)
        memo[key] = _fixed(finite_part(functools.reduce(ew.maximum, exponents)))
    return memo[key]


def _exponents(terms: dict[Variable, float], memo: dict[Any, Any]) -> frozenset[Variable | None]:
    return frozenset(memo["scaled", v].exponent for v in terms)


def _scaled_negative(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    (a,) = forms
    if a.weight is None:
        return Scaled(filled_like(-1, node.outputs[0]), a.exponent)
    return Scaled(None if constant_value(a.weight) == -1 else negative(a.weight), a.exponent)


def _scaled_expm1(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    """The form of ``expm1(-y)``, where y is an exponential, which may underflow."""
    (a,) = forms
    assert a.exponent is not None
    return Scaled(filled_like(-1, node.outputs[0]), stable.log_gompit(a.exponent))


def scaled_power(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    (a,) = forms
    assert a.exponent is not None
    if node.op.record is SQRT:
        return Scaled(None, a.exponent * 0.5)
    return Scaled(None if a.weight is None else ew.sqr(a.weight), a.exponent * 2)


def scaled_known_power(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    a, power = forms[0], node.inputs[1]
    base = constant_value(node.inputs[0])
    if base is not None and constant_value(power) is None:
        return Scaled(None, power * math.log(base))
    assert a.exponent is not None
    if constant_value(power) is None:  # 0 ** 0 is 1
        neither = ew.and_(ew.eq(power, 0), ew.eq(a.exponent, -np.inf))
        return Scaled(None, power * ew.switch(neither, 0, a.exponent))
    return Scaled(None if a.weight is None else ew.power(a.weight, power), a.exponent * power)


def scaled_reciprocal(node: Apply, forms: Sequence[Scaled]) -> Scaled:
    return scaled_quotient((Scaled(None, None), forms[0]))


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
    TRUE_DIV: lambda node, forms: scaled_quotient(forms),
    ADD: _scaled_sum_of_two,
    SUB: _scaled_sum_of_two,
    NEG: _scaled_negative,
    SQR: scaled_power,
    SQRT: scaled_power,
    POW: scaled_known_power,
    RECIPROCAL: scaled_reciprocal,
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
            terms = _terms(x, memo)
            many = len(terms) > 2
            parts = list(terms) if many else operands(x.owner)
            left = [i for i in parts if ("scaled", i) not in memo]
            if not left and many and not _are_weighted(terms, memo):  # logarithms of sums of two are exact
                many, parts = False, operands(x.owner)
                left = [i for i in parts if ("scaled", i) not in memo]
            if left:
                stack.extend(left)
                continue
            if many:
                found = _sum_of_many(terms, memo)
            else:
                found = _SCALED.get(x.owner.op.record, _scaled_move)(x.owner, [memo["scaled", i] for i in parts])
        memo["scaled", x] = found
        stack.pop()
    return memo["scaled", v]


def weighted_mean(x: Variable, y: Variable, memo: dict[Any, Any]) -> Variable | None:
    """``x / y`` for sums of at least three terms with the same exponentials, whose largest cancels; else None."""
    terms = [_terms(v, memo) for v in (x, y)]
    if min(map(len, terms)) < 3:
        return None
    for v in (*terms[0], *terms[1]):
        scaled(v, memo)
    if _exponents(terms[0], memo) != _exponents(terms[1], memo):
        return None
    return scaled_quotient([_sum_of_many(t, memo)._replace(exponent=None) for t in terms]).weight
