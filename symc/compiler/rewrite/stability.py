"""Stable replacements of forms that overflow, cancel or underflow; enabled in every mode.

``symc.grad`` finds these forms before it differentiates (``symc.compiler.rewrite.forms``), so that derivatives of every
order are those of the stable form. The rules also run after differentiation, on forms that were not recognised before:
quotients by a probability that is multiplied again, ``exp(x) / (1 + exp(x))`` written by hand, the weights of a
log-sum-exp.

No rule replaces an accurate form by one that cancels: ``1 - sigmoid(x)`` becomes ``sigmoid(-x)``, never the reverse.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from symc.compiler.rewrite.algebra import (
    dimshuffled,
    known_number,
    nonnegative,
    opposite_bound,
    record_of,
    source_of,
)
from symc.compiler.rewrite.canonical import CANCELLING, NEGATIVE_OF_NEGATIVE, NEUTRAL, POWERS
from symc.compiler.rewrite.engine import Bindings, NodeRule, Rule, RuleList, Wildcard
from symc.compiler.rewrite.logarithms import DIFFERENTIATED, LOGARITHM_RULES
from symc.compiler.rewrite.matrices import LOG_OF_DETERMINANT, PRODUCT_WITH_INVERSE
from symc.compiler.rewrite.ops import (
    DIMSHUFFLE,
    ERFC,
    EXP,
    LOG,
    LOGSOFTMAX,
    LOGSUMEXP,
    MUL,
    RECIPROCAL,
    SUB,
    SUM,
    TRUE_DIV,
)
from symc.compiler.rewrite.quotients import cancel_in_terms, cancel_overflow
from symc.graph import Apply, Variable, dims
from symc.graph.op import Record
from symc.tensor import elementwise as ew
from symc.tensor import stable
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.nnet.activations import logsoftmax_over, softmax_over
from symc.tensor.special.erfc_forms import log_erfc, log_half_erfc

__all__ = ["FORMS", "STABILITY"]

X, Y, G = Wildcard("X"), Wildcard("Y"), Wildcard("G")
exp, log, log1p, expm1, sigmoid, softplus = ew.exp, ew.log, ew.log1p, ew.expm1, ew.sigmoid, ew.softplus
erf, erfc, tanh, slope = ew.erf, ew.erfc, ew.tanh, ew.sigmoid_slope


def _y_opposes_x(bound: Bindings) -> Bindings:
    return {**bound, "Y": ew.neg(bound["X"])}


def _y_is_smaller(bound: Bindings) -> Bindings:
    return {**bound, "Y": bound["X"] * 0.5 - 2}


def _has_nonnegative_x(bound: Bindings) -> bool:
    return nonnegative(bound["X"])


def _squared(bound: Bindings) -> Bindings:
    return {k: ew.sqr(v) for k, v in bound.items()}


DIFFERENCES = [
    Rule("log_of_exp", log(exp(X)), X),
    Rule("log1p_of_expm1", log1p(expm1(X)), X),
    Rule("expm1_of_log1p", expm1(log1p(X)), X, _has_nonnegative_x, sample=_squared),
    Rule("log1p", log(1 + X), log1p(X)),
    Rule("log1p_of_negative", log(1 - X), log1p(-X), domain=(-2.0, 0.9)),
    Rule("expm1", exp(X) - 1, expm1(X)),
    Rule("expm1_by_addition", exp(X) + -1, expm1(X)),
    Rule("negative_expm1", 1 - exp(X), -expm1(X)),
    Rule("exp_from_expm1", 1 + expm1(X), exp(X)),
    Rule("exp_from_negative_expm1", 1 - (-expm1(X)), exp(X)),
    Rule("log_of_sqrt", log(ew.sqrt(X)), log(X) * 0.5),
    Rule("erfc", 1 - erf(X), erfc(X)),
    Rule("erfc_by_addition", 1 + (-erf(X)), erfc(X)),
    Rule("negative_erfc", erf(X) - 1, -erfc(X)),
    Rule("negative_erfc_by_addition", erf(X) + -1, -erfc(X)),
    Rule("erf", 1 - erfc(X), erf(X)),
    Rule("negative_erf", erfc(X) - 1, -erf(X)),
    Rule("erfc_of_negative", 1 + erf(X), erfc(-X)),
    Rule("half_erfc", 0.5 - 0.5 * erf(X), 0.5 * erfc(X)),
    Rule("half_erfc_of_negative", 0.5 + 0.5 * erf(X), 0.5 * erfc(-X)),
    Rule("one_minus_half_erfc", 1 - 0.5 * erfc(X), 0.5 * erfc(-X)),
]

LOGARITHMS = [
    Rule("log_of_negative_expm1", log(-expm1(X)), stable.log1mexp(X), domain=(-2.0, -0.1)),
    Rule("log1p_of_negative_exp", log1p(-exp(X)), stable.log1mexp(X), domain=(-2.0, -0.1)),
    Rule("log_of_expm1", log(expm1(X)), X + stable.log1mexp(-X)),
    Rule(
        "log_of_difference_of_sigmoids",
        log(sigmoid(X) - sigmoid(Y)),
        stable.log1mexp(Y - X) - softplus(-X) - softplus(Y),
        domain=(-3.0, 3.0),
        sample=_y_is_smaller,
    ),
    Rule("log_of_tanh", log(tanh(X)), stable.log1mexp(X * -2) - softplus(X * -2)),
    Rule("log1p_of_erf", log1p(erf(X)), log_erfc(-X)),
    Rule("log1p_of_negative_erf", log1p(-erf(X)), log_erfc(X)),
    Rule("log_of_half_erfc", log(0.5 * erfc(X)), log_half_erfc(X)),
    Rule("log_of_erfc_over_two", log(erfc(X) / 2), log_half_erfc(X)),
    Rule("softplus", log1p(exp(X)), softplus(X)),
    Rule("log1p_of_negative_sigmoid", log1p(-sigmoid(X)), -softplus(X)),
    Rule("softplus_minus_argument", softplus(X) - X, softplus(-X)),
    Rule("argument_minus_softplus", X - softplus(X), -softplus(-X)),
    Rule("expm1_of_softplus", expm1(softplus(X)), exp(X)),
    Rule("exp_of_negative_softplus", exp(-softplus(X)), sigmoid(-X)),
    Rule("argument_minus_logaddexp", X - stable.logaddexp(X, Y), -softplus(Y - X)),
]

SIGMOIDS = [
    Rule("one_minus_sigmoid", 1 - sigmoid(X), sigmoid(-X)),
    Rule("one_minus_sigmoid_by_addition", 1 + (-sigmoid(X)), sigmoid(-X)),
    Rule("sigmoid_minus_one", sigmoid(X) - 1, -sigmoid(-X)),
    Rule("sigmoid_minus_one_by_addition", sigmoid(X) + -1, -sigmoid(-X)),
    Rule("sigmoid", ew.inv(1 + exp(X)), sigmoid(-X)),
    Rule("sigmoid_by_division", 1 / (1 + exp(X)), sigmoid(-X)),
    # special cases precede the general rule
    Rule("sigmoid_from_exp", exp(X) / (1 + exp(X)), sigmoid(X)),
    Rule("tanh_of_half", expm1(X) / (1 + exp(X)), tanh(X * 0.5)),
    Rule("negative_tanh_of_half", (-expm1(X)) / (1 + exp(X)), -tanh(X * 0.5)),
    Rule("over_one_plus_exp", Y / (1 + exp(X)), Y * sigmoid(-X)),
    Rule("slope_from_exp", exp(X) / ew.sqr(1 + exp(X)), slope(X)),
    Rule("sigmoid_times_exp", sigmoid(X) * exp(Y), sigmoid(Y), opposite_bound, sample=_y_opposes_x),
    Rule("product_sigmoid_exp", (G * sigmoid(X)) * exp(Y), G * sigmoid(Y), opposite_bound, sample=_y_opposes_x),
    Rule("product_exp_sigmoid", (G * exp(X)) * sigmoid(Y), G * sigmoid(X), opposite_bound, sample=_y_opposes_x),
    Rule("squared_sigmoid_times_exp", ew.sqr(sigmoid(X)) * exp(Y), slope(X), opposite_bound, sample=_y_opposes_x),
    Rule(
        "product_squared_sigmoid_exp",
        (G * ew.sqr(sigmoid(X))) * exp(Y),
        G * slope(X),
        opposite_bound,
        sample=_y_opposes_x,
    ),
    Rule("slope", sigmoid(X) * sigmoid(Y), slope(X), opposite_bound, sample=_y_opposes_x),
    Rule("product_slope", (G * sigmoid(X)) * sigmoid(Y), G * slope(X), opposite_bound, sample=_y_opposes_x),
    Rule("tanh_from_sigmoid", 2 * sigmoid(X) - 1, tanh(X * 0.5)),
    Rule("tanh_from_sigmoid_by_addition", 2 * sigmoid(X) + -1, tanh(X * 0.5)),
    Rule("negative_tanh_from_sigmoid", 1 - 2 * sigmoid(X), -tanh(X * 0.5)),
    Rule("one_minus_tanh", 1 - tanh(X), 2 * sigmoid(X * -2)),
    Rule("one_plus_tanh", 1 + tanh(X), 2 * sigmoid(X * 2)),
    Rule("half_of_two_sigmoids", 0.5 * (2 * sigmoid(X)), sigmoid(X)),
    Rule("two_sigmoids_over_two", (2 * sigmoid(X)) / 2, sigmoid(X)),
    Rule("half_one_plus_tanh", 0.5 + 0.5 * tanh(X), sigmoid(X * 2)),
    Rule("half_one_minus_tanh", 0.5 - 0.5 * tanh(X), sigmoid(X * -2)),
    Rule("one_minus_squared_tanh", 1 - ew.sqr(tanh(X)), ew.tanh_slope(X)),
    Rule("tanh", (exp(X) - exp(Y)) / (exp(X) + exp(Y)), tanh(X), opposite_bound, sample=_y_opposes_x),
    Rule("tanh_from_hyperbolic", ew.sinh(X) / ew.cosh(X), tanh(X)),
    Rule("coth_from_hyperbolic", ew.cosh(X) / ew.sinh(X), 1 / tanh(X)),
]

# --- differences of values of a normal distribution function ----------------------------------------------------------


def _factored(v: Variable) -> tuple[Variable, float]:
    """``v`` without a known factor, and the factor."""
    kind = record_of(v)
    if kind is MUL or kind is TRUE_DIV:
        assert v.owner is not None
        for inner, factor in (v.owner.inputs, v.owner.inputs[::-1]) if kind is MUL else (v.owner.inputs,):
            number = known_number(factor)
            if number is not None and number > 0:
                return inner, number if kind is MUL else 1 / number
    return v, 1.0


def log_of_difference_of_erfcs(node: Apply) -> Variable | None:
    """Replace ``log(c * (a * erfc(x) - a * erfc(y)))`` for known positive c and a."""
    difference, scale = _factored(node.inputs[0])
    if record_of(difference) is not SUB:
        return None
    assert difference.owner is not None
    (u, a), (v, b) = map(_factored, difference.owner.inputs)
    if record_of(u) is not ERFC or record_of(v) is not ERFC or a != b:
        return None
    x, y = u.owner.inputs[0], v.owner.inputs[0]  # type: ignore[union-attr]
    found = _log_half_erfc_difference(x, y)
    return found if 2 * a * scale == 1 else found + math.log(2 * a * scale)


def _log_half_erfc_difference(x: Variable, y: Variable) -> Variable:
    """``log((erfc(x) - erfc(y)) / 2)``, of which both may be almost 0, or almost 1 after division by 2."""
    reflected = x + y < 0
    large = log_half_erfc(ew.switch(reflected, -y, x))
    small = log_half_erfc(ew.switch(reflected, -x, y))
    return large + stable.log1mexp(small - large)


ERFC_DIFFERENCES = [NodeRule("log_of_difference_of_erfcs", (LOG,), log_of_difference_of_erfcs)]

# --- normalised exponentials ------------------------------------------------------------------------------------------


def _reduced(v: Variable, kind: Record) -> Apply | None:
    """The reduction whose result ``v`` broadcasts along the reduced axes, keeping the order of the others."""
    ndim, v = v.ndim, source_of(v)
    order: Sequence[Any] | None = None
    if record_of(v) is DIMSHUFFLE:
        order, v = v.owner.op["order"], v.owner.inputs[0]  # type: ignore[union-attr]
    if record_of(v) is not kind:
        return None
    node = v.owner
    assert node is not None
    if order is None:  # a scalar needs no axes before it is broadcast
        return node if v.ndim == 0 else None
    return node if tuple(order) == tuple(_order(ndim, node.op["axes"])) else None


def _order(ndim: int, axes: Sequence[int]) -> list[Any]:
    kept = iter(range(ndim))
    return ["x" if k in axes else next(kept) for k in range(ndim)]


def exp_over_sum(node: Apply) -> Variable | None:
    """Replace ``exp(x) / sum(exp(x))`` by a softmax."""
    power, total = node.inputs
    if record_of(power) is not EXP:
        return None
    found = _reduced(total, SUM)
    if found is None or found.inputs[0] is not power or not found.op["axes"]:
        return None
    return softmax_over(power.owner.inputs[0], found.op["axes"])  # type: ignore[union-attr]


def minus_logsumexp(node: Apply) -> Variable | None:
    """Replace ``x - logsumexp(x)`` by the logarithm of a softmax."""
    x, total = node.inputs
    found = _reduced(total, LOGSUMEXP)
    if found is None or found.inputs[0] is not x:
        return None
    return logsoftmax_over(x, found.op["axes"])


def exp_of_logsoftmax(node: Apply) -> Variable | None:
    (x,) = node.inputs
    if record_of(x) is not LOGSOFTMAX:
        return None
    axis = x.owner.op["axis"]  # type: ignore[union-attr]
    return softmax_over(x.owner.inputs[0], axis if isinstance(axis, tuple) else (axis,))  # type: ignore[union-attr]


def _exponential_sum(v: Variable) -> Apply | None:
    """The application of ``sum(exp(x), axes)``."""
    return v.owner if record_of(v) is SUM and record_of(v.owner.inputs[0]) is EXP else None  # type: ignore[union-attr]


def gradient_of_logsumexp(node: Apply) -> Variable | None:
    """Replace ``exp(x) * (g / sum(exp(x)))``, broadcast along the sum's axes, by ``g * softmax(x)``."""
    for power, spread in (node.inputs, node.inputs[::-1]):
        if record_of(power) is not EXP:
            continue
        source = source_of(spread)
        quotient = source.owner.inputs[0] if record_of(source) is DIMSHUFFLE else source  # type: ignore[union-attr]
        if record_of(quotient) not in (TRUE_DIV, RECIPROCAL):
            continue
        x, divisor = power.owner.inputs[0], quotient.owner.inputs[-1]  # type: ignore[union-attr]
        for found in _divisors(quotient, divisor, source, x):
            if found.inputs[0] is not power:
                continue
            weights = softmax_over(x, found.op["axes"])
            if record_of(quotient) is RECIPROCAL:
                return weights
            above = quotient.owner.inputs[0]  # type: ignore[union-attr]
            return ew.mul.op(_respread(above, source, x), weights)
    return None


def _divisors(quotient: Variable, divisor: Variable, source: Variable, x: Variable) -> Iterator[Apply]:
    """The exponential sum in the divisor, whether or not the reduced axes were restored before the division."""
    keepdims = record_of(divisor) is DIMSHUFFLE
    inner = divisor.owner.inputs[0] if keepdims else divisor  # type: ignore[union-attr]
    found = _exponential_sum(inner)
    if found is None or not found.op["axes"]:
        return
    order = _order(x.ndim, found.op["axes"])
    back = (divisor if keepdims else source).owner
    restored = (
        tuple(back.op["order"]) == tuple(order) if back is not None and back.op.record is DIMSHUFFLE else not inner.ndim
    )
    if restored and (keepdims is False or quotient is source):
        yield found


def _respread(above: Variable, source: Variable, x: Variable) -> Variable:
    column = dimshuffled(above, source.owner.op["order"]) if record_of(source) is DIMSHUFFLE else above  # type: ignore[union-attr]
    return broadcast_like(column, x) if not dims.same_shape(column.type.shape, x.type.shape) else column


NORMALISED = [
    NodeRule("exp_over_sum", (TRUE_DIV,), exp_over_sum),
    NodeRule("minus_logsumexp", (SUB,), minus_logsumexp),
    NodeRule("exp_of_logsoftmax", (EXP,), exp_of_logsoftmax),
]

CANCEL_OVERFLOW = NodeRule("cancel_overflow", (MUL,), cancel_overflow, remembers=True)

FORMS = RuleList(
    "forms",
    [
        NEGATIVE_OF_NEGATIVE,
        *POWERS,
        *NEUTRAL,
        *DIFFERENCES,
        *LOGARITHMS,
        *SIGMOIDS,
        *NORMALISED,
        *ERFC_DIFFERENCES,
        *LOGARITHM_RULES,
        *DIFFERENTIATED,
        CANCEL_OVERFLOW,
        LOG_OF_DETERMINANT,
    ],
)
"""Rules applied before differentiation: each replacement depends on everything that the replaced form depends on."""

STABILITY = RuleList(
    "stability",
    [
        *DIFFERENCES,
        *LOGARITHMS,
        *SIGMOIDS,
        *CANCELLING,
        *NORMALISED,
        *ERFC_DIFFERENCES,
        *LOGARITHM_RULES,
        NodeRule("gradient_of_logsumexp", (MUL,), gradient_of_logsumexp),
        NodeRule("cancel_in_terms", (MUL,), cancel_in_terms, remembers=True),
        CANCEL_OVERFLOW,
        LOG_OF_DETERMINANT,
        PRODUCT_WITH_INVERSE,
    ],
)
