"""Canonical forms of elementwise arithmetic: equivalent expressions get the same form.

Signs move outwards, constants are merged, operations without effect are removed. IEEE semantics are kept with two
exceptions: sums of floats are never reordered and ``x * 0`` stays (it may be NaN), but a quotient whose parts cancel is
replaced by 1 even where it would be ``0 / 0``, and merged constants are rounded once instead of twice.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symc.compiler.rewrite.algebra import known_number, nonnegative, record_of
from symc.compiler.rewrite.engine import Bindings, NodeRule, Rule, RuleList, Wildcard, constant_value, filled
from symc.compiler.rewrite.ops import BFLOAT16_BITS, BFLOAT16_ROUND, BFLOAT16_VALUE, CAST, POW
from symc.graph import Apply, Variable
from symc.graph.dtypes import BITS, is_float, is_integer
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor

__all__ = ["ARITHMETIC", "CANCELLING", "NEGATIVE_OF_NEGATIVE", "NEUTRAL", "POWERS"]

X, Y = Wildcard("X"), Wildcard("Y")
C, D = Wildcard("C", constant=True), Wildcard("D", constant=True)
I, J = Wildcard("X", "int64"), Wildcard("Y", "int64")
P, Q = Wildcard("P", "bool"), Wildcard("Q", "bool")
NUMBERS = ("float32", "float64", "int32", "int64")
WHOLE = ("int32", "int64", "uint8")
BOOL = ("bool",)


def _with_constants(**values: float) -> Any:
    """Create a sample in which wildcards are known numbers."""

    def sample(bound: Bindings) -> Bindings:
        like = bound["X"]
        return {k: filled(values[k], like.dtype, like.type.shape) if k in values else v for k, v in bound.items()}

    return sample


def _product_is_safe(bound: Bindings) -> bool:
    """Whether merging two factors neither overflows, nor underflows, nor loses digits in the subnormal range."""
    c, d = known_number(bound["C"]), known_number(bound["D"])
    dtype = bound["C"].dtype
    if c is None or d is None or not (is_float(dtype) or is_integer(dtype)):
        return False
    if is_integer(dtype):
        return True
    limits = np.finfo(dtype)
    return bool(c * d == 0 and 0 in (c, d) or limits.tiny <= abs(c * d) <= limits.max)


def _is_power_of_two(bound: Bindings) -> bool:
    """Whether the reciprocal of C is exact, and a normal number."""
    c = known_number(bound["C"])
    if c is None or c == 0 or not is_float(bound["C"].dtype):
        return False
    return math.frexp(abs(c))[0] == 0.5 and bool(np.finfo(bound["C"].dtype).tiny <= abs(1 / c))


def _has_quotient(bound: Bindings) -> bool:
    """Whether C and D are known, and their quotient is finite and a normal number."""
    c, d = known_number(bound["C"]), known_number(bound["D"])
    if c is None or d is None or c == 0 or d == 0 or not is_float(bound["C"].dtype):
        return False
    limits = np.finfo(bound["C"].dtype)
    return bool(limits.tiny <= abs(float(c) / float(d)) <= limits.max)


def _is_known(bound: Bindings) -> bool:
    return known_number(bound["C"]) is not None and is_float(bound["C"].dtype)


def _is_whole(bound: Bindings) -> bool:
    return is_integer(bound["X"].dtype)


def _not_bool(bound: Bindings) -> bool:
    return bound["X"].dtype != "bool"


def _is_signed(bound: Bindings) -> bool:
    return not bound["X"].dtype.startswith("u") and bound["X"].dtype != "bool"


def _has_nonnegative_x(bound: Bindings) -> bool:
    return nonnegative(bound["X"])


def _squared(bound: Bindings) -> Bindings:
    return {k: ew.sqr(v) for k, v in bound.items()}


NEGATIVE_OF_NEGATIVE = Rule("neg_of_neg", ew.neg(-X), X, dtypes=NUMBERS)

SIGNS = [
    NEGATIVE_OF_NEGATIVE,
    Rule("neg_of_sub", -(X - Y), Y - X, dtypes=NUMBERS),
    Rule("add_of_neg", X + (-Y), X - Y, dtypes=NUMBERS),
    Rule("sub_of_neg", X - (-Y), X + Y, dtypes=NUMBERS),
    Rule("neg_minus", (-X) - Y, -(X + Y), dtypes=NUMBERS),
    Rule("zero_minus", 0 - X, -X, condition=_not_bool, dtypes=NUMBERS),
    Rule("times_minus_one", X * -1, -X, condition=_is_signed, dtypes=NUMBERS),
    Rule("over_minus_one", X / -1, -X),
    Rule("neg_times_neg", (-X) * (-Y), X * Y, dtypes=NUMBERS),
    Rule("neg_times_constant", (-X) * C, X * (-C), _is_signed, dtypes=NUMBERS, sample=_with_constants(C=3)),
    Rule("neg_of_times_constant", -(X * C), X * (-C), _is_signed, dtypes=NUMBERS, sample=_with_constants(C=3)),
    Rule("neg_times", (-X) * Y, -(X * Y), dtypes=NUMBERS),
    Rule("neg_over_neg", (-X) / (-Y), X / Y),
    Rule("neg_over", (-X) / Y, -(X / Y)),
    Rule("over_neg", X / (-Y), -(X / Y)),
    Rule("abs_of_neg", ew.abs_(-X), ew.abs_(X)),
    Rule("sqr_of_neg", ew.sqr(-X), ew.sqr(X), dtypes=NUMBERS),
    Rule("cos_of_neg", ew.cos(-X), ew.cos(X)),
    Rule("cosh_of_neg", ew.cosh(-X), ew.cosh(X)),
]

POWERS = [
    Rule("power_two", X**2, ew.sqr(X)),
    Rule("power_half", X**0.5, ew.sqrt(X)),
    Rule("power_minus_half", X**-0.5, ew.inv(ew.sqrt(X))),
    Rule("power_minus_one", X**-1, ew.inv(X)),
    # the square of the reciprocal: the reciprocal of the square would overflow or underflow much earlier
    Rule("power_minus_two", X**-2, ew.sqr(ew.inv(X))),
]

NEUTRAL = [
    Rule("add_zero", X + 0, X, dtypes=NUMBERS),
    Rule("sub_zero", X - 0, X, dtypes=NUMBERS),
    Rule("times_one", X * 1, X, dtypes=NUMBERS),
    Rule("over_one", X / 1, X),
]

UNITS = [
    *NEUTRAL,
    Rule("whole_times_zero", I * 0, as_tensor(0), dtypes=WHOLE, condition=_is_whole),
    Rule("power_zero", X**0, as_tensor(1.0)),
    Rule("power_one", X**1, X),
    *POWERS,
    Rule("one_to_power", ew.power(1.0, X), as_tensor(1.0)),
    Rule("two_to_power", ew.power(2.0, X), ew.exp2(X)),
    Rule("square", X * X, ew.sqr(X), condition=_not_bool, dtypes=NUMBERS),
    Rule("abs_of_abs", ew.abs_(ew.abs_(X)), ew.abs_(X), dtypes=("float32", "float64", "int32")),
    Rule("sqr_of_abs", ew.sqr(ew.abs_(X)), ew.sqr(X), dtypes=NUMBERS),
    Rule("abs_of_nonnegative", ew.abs_(X), X, condition=_has_nonnegative_x, sample=_squared),
    Rule("sqrt_of_sqr", ew.sqrt(ew.sqr(X)), ew.abs_(X)),
    Rule("sqr_of_sqrt", ew.sqr(ew.sqrt(X)), X, condition=_has_nonnegative_x, sample=_squared),
]

MERGING = [
    Rule(
        "times_constants", (X * C) * D, X * (C * D), _product_is_safe, dtypes=NUMBERS, sample=_with_constants(C=3, D=5)
    ),
    Rule("whole_plus_constants", (X + C) + D, X + (C + D), _is_whole, dtypes=WHOLE, sample=_with_constants(C=3, D=5)),
    Rule("over_power_of_two", X / C, X * ew.inv(C), _is_power_of_two, sample=_with_constants(C=4)),
    Rule("one_over", 1 / X, ew.inv(X)),
    Rule("times_reciprocal", X * ew.inv(Y), X / Y),
    Rule("reciprocal_of_reciprocal", ew.inv(ew.inv(X)), X),
    Rule("reciprocal_of_quotient", ew.inv(X / Y), Y / X),
    Rule("reciprocal_of_exp", ew.inv(ew.exp(X)), ew.exp(-X)),
    Rule(
        "squared_reciprocal_of_sqrt",
        ew.sqr(ew.inv(ew.sqrt(X))),
        ew.inv(X),
        condition=_has_nonnegative_x,
        sample=_squared,
    ),
    Rule("exp_of_log", ew.exp(ew.log(X)), X, condition=_has_nonnegative_x, sample=_squared),
]

SIZES = [
    Rule("abs_of_multiple", ew.abs_(X * C), ew.abs_(X) * ew.abs_(C), _is_known, sample=_with_constants(C=-3)),
    Rule("over_its_size", X / ew.abs_(X), ew.sgn(X), algebraic=False),
    Rule("size_over_itself", ew.abs_(X) / X, ew.sgn(X), algebraic=False),
    Rule("multiple_over_size", (X * C) / ew.abs_(X), ew.sgn(X) * C, sample=_with_constants(C=3), algebraic=False),
    Rule(
        "multiples_over_size", (X * C) / (ew.abs_(X) * D), ew.sgn(X) * (C / D), _has_quotient,
        sample=_with_constants(C=3, D=2), algebraic=False,
    ),
    Rule("size_over_factor", (ew.abs_(X) * C) / X, ew.sgn(X) * C, sample=_with_constants(C=3), algebraic=False),
    Rule("square_over_factor", ew.sqr(X) / X, X),
]  # fmt: skip
"""A number divided by its absolute value is its sign, also at 0: quotients whose parts cancel are treated as finite."""

CANCELLING = RuleList(
    "cancelling",
    [
        Rule("over_itself", X / X, as_tensor(1.0)),
        Rule("product_over_factor", (X * Y) / Y, X),
        Rule("quotient_times_divisor", (X / Y) * Y, X),
        Rule("whole_minus_itself", I - I, as_tensor(0), condition=_is_whole, dtypes=WHOLE),
    ],
)
"""Quotients whose parts cancel: numerator and denominator often contain a probability that underflowed."""

CHOICES = [
    Rule("maximum_of_one", ew.maximum(X, X), X, dtypes=NUMBERS),
    Rule("minimum_of_one", ew.minimum(X, X), X, dtypes=NUMBERS),
    Rule("is_maximum", ew.eq(ew.maximum(X, Y), X), ew.ge(X, Y), dtypes=NUMBERS, algebraic=False),
    Rule("is_minimum", ew.eq(ew.minimum(X, Y), X), ew.le(X, Y), dtypes=NUMBERS, algebraic=False),
    Rule("less_than_itself", ew.lt(X, X), as_tensor(False), dtypes=NUMBERS, algebraic=False),
    Rule("greater_than_itself", ew.gt(X, X), as_tensor(False), dtypes=NUMBERS, algebraic=False),
    Rule("differs_from_itself", ew.neq(X, X), ew.isnan(X), algebraic=False, condition=lambda b: is_float(b["X"].dtype)),
    Rule("equals_itself", ew.eq(I, I), as_tensor(True), _is_whole, algebraic=False, dtypes=WHOLE),
    Rule("at_least_itself", ew.ge(I, I), as_tensor(True), _is_whole, algebraic=False, dtypes=WHOLE),
    Rule("at_most_itself", ew.le(I, I), as_tensor(True), _is_whole, algebraic=False, dtypes=WHOLE),
    Rule("not_of_not", ew.invert(ew.invert(P)), P, algebraic=False, dtypes=BOOL),
    Rule("not_of_eq", ew.invert(ew.eq(X, Y)), ew.neq(X, Y), algebraic=False),
    Rule("not_of_neq", ew.invert(ew.neq(X, Y)), ew.eq(X, Y), algebraic=False),
    Rule("and_of_one", ew.and_(P, P), P, algebraic=False, dtypes=BOOL),
    Rule("or_of_one", ew.or_(P, P), P, algebraic=False, dtypes=BOOL),
    Rule("and_true", ew.and_(P, True), P, algebraic=False, dtypes=BOOL, condition=lambda b: b["P"].dtype == "bool"),
    Rule("and_false", ew.and_(P, False), as_tensor(False), algebraic=False, dtypes=BOOL),
    Rule("or_false", ew.or_(P, False), P, algebraic=False, dtypes=BOOL),
    Rule("or_true", ew.or_(P, True), as_tensor(True), lambda b: b["P"].dtype == "bool", algebraic=False, dtypes=BOOL),
    Rule("switch_of_one", ew.switch(P, X, X), X, algebraic=False),
    Rule("switch_true", ew.switch(True, X, Y), X, algebraic=False),
    Rule("switch_false", ew.switch(False, X, Y), Y, algebraic=False),
    Rule("switch_of_not", ew.switch(ew.invert(P), X, Y), ew.switch(P, Y, X), algebraic=False),
]


def _exponent(node: Apply) -> int | None:
    value = constant_value(node.inputs[1])
    return int(value) if value is not None and 3 <= value <= 8 and value == int(value) else None


def power_as_product(node: Apply) -> Variable | None:
    """Compute ``x**n`` for integers n from 3 to 8 by repeated squaring."""
    n = _exponent(node)
    if n is None:
        return None
    result: Variable | None = None
    square = node.inputs[0]
    while n:
        if n & 1:
            result = square if result is None else ew.mul.op(result, square)
        n >>= 1
        if n:
            square = ew.sqr.op(square)
    return result


def _holds_all(wide: str, narrow: str) -> bool:
    """Whether every value of ``narrow`` survives a conversion to ``wide`` and back."""
    if narrow == wide or narrow == "bool":
        return True
    if is_float(wide):
        digits = np.finfo(wide).nmant + 1
        return BITS[narrow] <= BITS[wide] if is_float(narrow) else BITS[narrow] - narrow.startswith("int") <= digits
    return not is_float(narrow) and wide != "bool" and bool(np.can_cast(narrow, wide, "safe"))


def cast_of_cast(node: Apply) -> Variable | None:
    """Remove a conversion to the same dtype, and an intermediate lossless conversion."""
    (x,), dtype = node.inputs, node.op["dtype"]
    if x.dtype == dtype:
        return x
    inner = x.owner
    if inner is None or inner.op.record is not node.op.record or not _holds_all(x.dtype, inner.inputs[0].dtype):
        return None
    source = inner.inputs[0]
    return source if source.dtype == dtype else Op(node.op.record, dtype=dtype)(source)


def rounded_again(node: Apply) -> Variable | None:
    """Round to bfloat16 once: neither what is rounded nor what bits stand for."""
    (x,) = node.inputs
    record = record_of(x)
    if node.op.record is BFLOAT16_ROUND and record in (BFLOAT16_ROUND, BFLOAT16_VALUE):
        return x
    return node.op(x.owner.inputs[0]) if x.owner is not None and record is BFLOAT16_ROUND else None  # type: ignore


ARITHMETIC = RuleList(
    "arithmetic",
    [
        *SIGNS,
        *UNITS,
        *MERGING,
        *SIZES,
        *CHOICES,
        NodeRule("power_as_product", (POW,), power_as_product),
        NodeRule("cast_of_cast", (CAST,), cast_of_cast),
        NodeRule("rounded_again", (BFLOAT16_ROUND, BFLOAT16_BITS), rounded_again),
    ],
)
