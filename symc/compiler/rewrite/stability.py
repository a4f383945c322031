"""Forms that overflow, cancel or underflow, and the equal ones that do not; on at every level, as being right is.

The rules run after differentiation, so they also meet the gradients of unstable forms: quotients by a probability that
is multiplied in again, ``exp(x) / (1 + exp(x))``, the weights of a log-sum-exp. Theano's list, and these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from symc.compiler.rewrite.algebra import dimshuffled, op_of, opposite, opposite_bound, same_shape, source_of
from symc.compiler.rewrite.canonical import CANCELLING
from symc.compiler.rewrite.engine import Bindings, NodeRule, Rule, RuleList, Wildcard, filled, is_constant
from symc.graph import Apply, Variable
from symc.graph.op import RECORDS, Op
from symc.tensor import elementwise as ew
from symc.tensor.broadcasting import expand

__all__ = ["STABILITY"]

X, Y, G = Wildcard("X"), Wildcard("Y"), Wildcard("G")
exp, log, log1p, expm1, sigmoid, softplus = ew.exp, ew.log, ew.log1p, ew.expm1, ew.sigmoid, ew.softplus


def _y_opposes_x(bound: Bindings) -> Bindings:
    return {**bound, "Y": ew.neg(bound["X"])}


LOGARITHMS = [
    Rule("log_of_exp", log(exp(X)), X),
    Rule("log1p_of_expm1", log1p(expm1(X)), X),
    Rule("expm1_of_log1p", expm1(log1p(X)), X),
    Rule("log1p", log(1 + X), log1p(X)),
    Rule("log1p_of_negative", log(1 - X), log1p(-X), domain=(-2.0, 0.9)),
    Rule("expm1", exp(X) - 1, expm1(X)),
    Rule("expm1_by_addition", exp(X) + -1, expm1(X)),
    Rule("negative_expm1", 1 - exp(X), -expm1(X)),
    Rule("log_of_sqrt", log(ew.sqrt(X)), log(X) * 0.5),
    Rule("erfc", 1 - ew.erf(X), ew.erfc(X)),
    Rule("erfc_by_addition", 1 + (-ew.erf(X)), ew.erfc(X)),
    Rule("erf", 1 - ew.erfc(X), ew.erf(X)),
    Rule("erfc_of_negative", 1 + ew.erf(X), ew.erfc(-X)),
]

SIGMOIDS = [
    Rule("softplus", log1p(exp(X)), softplus(X)),
    Rule("log_of_sigmoid", log(sigmoid(X)), -softplus(-X)),
    Rule("log_of_one_minus_sigmoid", log(1 - sigmoid(X)), -softplus(X)),
    Rule("log1p_of_negative_sigmoid", log1p(-sigmoid(X)), -softplus(X)),
    Rule("sigmoid", ew.inv(1 + exp(X)), sigmoid(-X)),
    Rule("sigmoid_by_division", 1 / (1 + exp(X)), sigmoid(-X)),
    # the special case before the general one, of which it is an instance
    Rule("sigmoid_from_exp", exp(X) / (1 + exp(X)), sigmoid(X)),
    Rule("over_one_plus_exp", Y / (1 + exp(X)), Y * sigmoid(-X)),
    Rule("sigmoid_times_exp", sigmoid(X) * exp(Y), sigmoid(Y), opposite_bound, sample=_y_opposes_x),
    Rule("product_sigmoid_exp", (G * sigmoid(X)) * exp(Y), G * sigmoid(Y), opposite_bound, sample=_y_opposes_x),
    Rule("product_exp_sigmoid", (G * exp(X)) * sigmoid(Y), G * sigmoid(X), opposite_bound, sample=_y_opposes_x),
    Rule(
        "squared_sigmoid_times_exp",
        ew.sqr(sigmoid(X)) * exp(Y),
        sigmoid(X) * sigmoid(Y),
        opposite_bound,
        sample=_y_opposes_x,
    ),
    Rule(
        "product_squared_sigmoid_exp",
        (G * ew.sqr(sigmoid(X))) * exp(Y),
        (G * sigmoid(X)) * sigmoid(Y),
        opposite_bound,
        sample=_y_opposes_x,
    ),
    # The slope of a sigmoid in terms of the sigmoid alone, which the forward pass has in memory.
    Rule(
        "slope_of_sigmoid",
        (G * sigmoid(X)) * sigmoid(Y),
        (G * sigmoid(X)) * (1 - sigmoid(X)),
        opposite_bound,
        sample=_y_opposes_x,
    ),
    Rule("softplus_minus_argument", softplus(X) - X, softplus(-X)),
    Rule("tanh", (exp(X) - exp(Y)) / (exp(X) + exp(Y)), ew.tanh(X), opposite_bound, sample=_y_opposes_x),
]

# --- log of a sum of exponentials -------------------------------------------------------------------------------------


def _exponential_sum(v: Variable) -> tuple[Apply, Variable] | None:
    """For ``sum(exp(x), axes)``: the sum's application and ``x``."""
    if op_of(v) != "sum" or op_of(v.owner.inputs[0]) != "exp":  # type: ignore[union-attr]
        return None
    node = v.owner
    assert node is not None
    return node, node.inputs[0].owner.inputs[0]  # type: ignore[union-attr]


def _is_centred(x: Variable, axes: Sequence[int]) -> bool:
    """Was a maximum over ``axes`` subtracted already? It is looked for in sums, as rules move signs about."""
    terms = list(x.owner.inputs) if op_of(x) in ("add", "sub", "neg") else []  # type: ignore[union-attr]
    seen: set[Variable] = set()
    while terms:
        v = terms.pop()
        if v in seen:
            continue
        seen.add(v)
        while op_of(v) in ("dimshuffle", "switch", "expand"):
            v = v.owner.inputs[-1 if op_of(v) == "switch" else 0]  # type: ignore[union-attr]
        if op_of(v) == "max" and v.owner.op["axes"] == axes:  # type: ignore[union-attr]
            return True
        if op_of(v) in ("add", "sub", "neg"):
            terms.extend(v.owner.inputs)  # type: ignore[union-attr]
    return False


def _along(v: Variable, x: Variable, axes: Sequence[int]) -> Variable:
    """A reduction of ``x`` over ``axes``, repeated along them again."""
    kept = iter(range(v.ndim))
    column = dimshuffled(v, ["x" if k in axes else next(kept) for k in range(x.ndim)]) if v.ndim else v
    return expand(column, x.type.shape)


def stable_logsumexp(x: Variable, axes: Sequence[int]) -> Variable:
    r""":math:`m + \log \sum e^{x - m}` with ``m`` the largest, or 0 where that is infinite."""
    top = Op(RECORDS["max"], axes=tuple(axes), dtype=None)(x)
    top = ew.switch.op(ew.isinf.op(top), filled(0, x.dtype, top.type.shape), top)
    powers = exp.op(ew.sub.op(x, _along(top, x, axes)))
    return ew.add.op(log.op(Op(RECORDS["sum"], axes=tuple(axes), dtype=None)(powers)), top)


def log_of_sum_of_exp(node: Apply) -> Variable | None:
    (s,) = node.inputs
    order = None
    if op_of(s) == "dimshuffle":
        order, s = s.owner.op["order"], s.owner.inputs[0]  # type: ignore[union-attr]
    found = _exponential_sum(s)
    if found is None or _is_centred(found[1], found[0].op["axes"]) or not found[0].op["axes"]:
        return None
    stable = stable_logsumexp(found[1], found[0].op["axes"])
    return stable if order is None else dimshuffled(stable, order)


# --- normalised exponentials ------------------------------------------------------------------------------------------


def _column_of(v: Variable, order: Sequence[Any]) -> Variable | None:
    """What ``v`` repeats, if it repeats a reduction's result along the axes marked ``"x"`` in ``order``."""
    source = source_of(v)
    if all(a == "x" for a in order) and source.ndim == 0:
        return source
    if op_of(source) != "dimshuffle" or tuple(source.owner.op["order"]) != tuple(order):  # type: ignore[union-attr]
        return None
    return source.owner.inputs[0]  # type: ignore[union-attr]


def _order(ndim: int, axes: Sequence[int]) -> list[Any]:
    kept = iter(range(ndim))
    return ["x" if k in axes else next(kept) for k in range(ndim)]


def _weights(x: Variable, axes: Sequence[int]) -> Variable:
    """``exp(x) / sum(exp(x), axes)``, without overflow."""
    if len(axes) == 1 and "softmax" in RECORDS:
        return Op(RECORDS["softmax"], axis=axes[0])(x)
    return exp.op(ew.sub.op(x, _along(stable_logsumexp(x, axes), x, axes)))


def exp_over_sum(node: Apply) -> Variable | None:
    """``exp(x) / sum(exp(x))`` is a softmax."""
    power, total = node.inputs
    if op_of(power) != "exp":
        return None
    x = power.owner.inputs[0]  # type: ignore[union-attr]
    for found, axes in _sums_behind(total):
        if found is not None and found[1] is x:
            return _weights(x, axes)
    return None


def _sums_behind(v: Variable) -> Iterator[tuple[tuple[Apply, Variable] | None, Sequence[int]]]:
    source = source_of(v)
    inner = source.owner.inputs[0] if op_of(source) == "dimshuffle" else source  # type: ignore[union-attr]
    found = _exponential_sum(inner)
    if found is not None:
        axes = found[0].op["axes"]
        if _column_of(v, _order(v.ndim, axes)) is inner:
            yield found, axes


def gradient_of_logsumexp(node: Apply) -> Variable | None:
    """``exp(x) * (g / sum(exp(x)))``, repeated along the sum's axes, is ``g * softmax(x)``."""
    for power, spread in (node.inputs, node.inputs[::-1]):
        if op_of(power) != "exp":
            continue
        source = source_of(spread)
        quotient = source.owner.inputs[0] if op_of(source) == "dimshuffle" else source  # type: ignore[union-attr]
        if op_of(quotient) not in ("true_div", "reciprocal"):
            continue
        x, divisor = power.owner.inputs[0], quotient.owner.inputs[-1]  # type: ignore[union-attr]
        for found, axes in _divisors(quotient, divisor, source, x):
            if found[1] is not x:
                continue
            weights = _weights(x, axes)
            if op_of(quotient) == "reciprocal":
                return weights
            above = quotient.owner.inputs[0]  # type: ignore[union-attr]
            return ew.mul.op(_respread(above, source, spread, x), weights)
    return None


def _divisors(
    quotient: Variable, divisor: Variable, source: Variable, x: Variable
) -> Iterator[tuple[tuple[Apply, Variable], Sequence[int]]]:
    """The exponential sum that divides, whether the quotient was made before or after the reduced axes came back."""
    keepdims = op_of(divisor) == "dimshuffle"
    inner = divisor.owner.inputs[0] if keepdims else divisor  # type: ignore[union-attr]
    found = _exponential_sum(inner)
    if found is None:
        return
    axes = found[0].op["axes"]
    order = _order(x.ndim, axes)
    back = (divisor if keepdims else source).owner
    restored = (
        tuple(back.op["order"]) == tuple(order) if back is not None and back.op.name == "dimshuffle" else not inner.ndim
    )
    if restored and (keepdims is False or quotient is source):
        yield found, axes


def _respread(above: Variable, source: Variable, spread: Variable, x: Variable) -> Variable:
    column = dimshuffled(above, source.owner.op["order"]) if op_of(source) == "dimshuffle" else above  # type: ignore[union-attr]
    return expand(column, x.type.shape) if not same_shape(column.type.shape, x.type.shape) else column


# --- the gradient of a logarithm of a sigmoid -------------------------------------------------------------------------


def _sigmoid_argument(v: Variable) -> Variable | None:
    return v.owner.inputs[0] if op_of(v) == "sigmoid" else None  # type: ignore[union-attr]


def _are_complements(p: Variable, q: Variable) -> bool:
    """Is ``q`` one minus the sigmoid ``p``?"""
    x, y = _sigmoid_argument(p), _sigmoid_argument(q)
    if x is None:
        return False
    if y is not None:
        return opposite(x, y)
    return op_of(q) == "sub" and q.owner.inputs[1] is p and is_constant(q.owner.inputs[0], 1)  # type: ignore[union-attr]


def _is_same(a: Variable, b: Variable) -> bool:
    """Are the two one quantity: the same variable, or one minus a sigmoid in its two forms?"""
    if a is b:
        return True
    for one, other in ((a, b), (b, a)):
        if op_of(one) == "sub" and op_of(other) == "sigmoid" and _are_complements(one.owner.inputs[1], one):  # type: ignore[union-attr]
            return _are_complements(one.owner.inputs[1], other)  # type: ignore[union-attr]
    return False


_REACH = 12
"""How many ops of a factor are searched for a quotient that cancels."""


def _times(total: Variable, y: Variable, reach: list[int]) -> Variable | None:
    """``total * y`` without the quotients by ``y`` that ``total`` holds in its terms; None if it holds none."""
    name = op_of(total)
    reach[0] -= 1
    if name not in ("add", "sub", "neg", "mul", "true_div", "switch") or reach[0] < 0:
        return None
    assert total.owner is not None
    inputs = total.owner.inputs
    if name == "true_div":
        if _is_same(inputs[1], y):
            return inputs[0]
        above = _times(inputs[0], y, reach)
        return None if above is None else ew.true_div.op(above, inputs[1])
    if name == "mul":
        for one, other in (inputs, inputs[::-1]):
            found = _times(one, y, reach)
            if found is not None:
                return ew.mul.op(found, other)
        return None
    terms = inputs[1:] if name == "switch" else inputs
    parts = [_times(v, y, reach) for v in terms]
    if all(part is None for part in parts):
        return None
    made = [_plain_product(v, y) if part is None else part for v, part in zip(terms, parts)]
    return total.owner.op(*inputs[: len(inputs) - len(terms)], *made)


def _plain_product(v: Variable, y: Variable) -> Variable:
    # A term that is zero stays so, however large the other factor: it is the branch that was not taken.
    return v if is_constant(v, 0) else ew.mul.op(v, y)


def cancel_in_terms(node: Apply) -> Variable | None:
    """``(a / p + b) * p`` is ``a + b * p``.

    A gradient that comes through ``log(p)`` is a quotient by ``p``, and below a softmax or a sigmoid it is multiplied
    by ``p`` again; where ``p`` underflowed to zero the one without the other is right, and both together are NaN.
    """
    for total, y in (node.inputs, node.inputs[::-1]):
        if not y.type.dtype.startswith("float"):
            return None
        found = _times(total, y, [_REACH])
        if found is not None:
            return found
    return None


SUMS = [
    NodeRule("log_of_sum_of_exp", ("log",), log_of_sum_of_exp),
    NodeRule("exp_over_sum", ("true_div",), exp_over_sum),
    NodeRule("gradient_of_logsumexp", ("mul",), gradient_of_logsumexp),
    NodeRule("cancel_in_terms", ("mul",), cancel_in_terms),
]

STABILITY = RuleList("stability", [*LOGARITHMS, *SIGMOIDS, *CANCELLING, *SUMS])
