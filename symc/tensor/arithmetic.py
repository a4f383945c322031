"""Elementwise arithmetic, rounding, comparison and selection: every op is one statement.

See ``symc.tensor.pointwise`` for the parts of a statement; ``symc.tensor.elementwise`` also exports these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Variable, dims
from symc.graph.dtypes import BITS, is_float
from symc.graph.gradient_flow import ZERO, Choice, Selected
from symc.graph.notation import ATOM, NEGATED, POWER, PRODUCT, held, infix, prefix
from symc.loops import expr
from symc.loops.expr import Expr, call
from symc.loops.functions import FUNCTIONS
from symc.tensor.conversion import cast
from symc.tensor.pointwise import Elementwise, elementwise, levels_off_at

# --- arithmetic ---------------------------------------------------------------------------------------------------

add = elementwise(
    "add",
    lambda x, y: x + y if x.dtype != "bool" else x | y,
    np.add,
    lambda g, z, x, y: (g, g),
    linear="jointly",
    compute="same",
    commutative=True,
    several=True,
    nonnegative="all",
    formula=infix("+", 6),
    dim=lambda node, known: dims.add(*known),
)
sub = elementwise(
    "sub",
    lambda x, y: x - y,
    np.subtract,
    lambda g, z, x, y: (g, -g),
    compute="arithmetic",
    linear="jointly",
    formula=infix("-", 6),
    dim=lambda node, known: dims.sub(*known),
)
mul = elementwise(
    "mul",
    lambda x, y: x * y if x.dtype != "bool" else x & y,
    np.multiply,
    lambda g, z, x, y: (g * y, g * x),
    linear="separately",
    bounded_slope=True,
    compute="same",
    commutative=True,
    several=True,
    nonnegative="all",
    formula=infix("*", 7),
    dim=lambda node, known: dims.mul(*known),
)
true_div = elementwise(
    "true_div",
    lambda x, y: x / y,
    np.divide,
    lambda g, z, x, y: (g / y, -(g * z) / y),
    domain=((-2, 2), (0.5, 2)),
    compute="quotient",
    linear="first",
    nonnegative="all",
    formula=infix("/", 7),
    levels_off=lambda inputs: ((None, None), (-np.inf, np.inf)),
)
floor_div = elementwise(
    "floor_div",
    lambda x, y: call("floordiv", x, y),
    np.floor_divide,
    compute="arithmetic",
    domain=((-9, 9), (1, 4)),
    smooth=False,
    formula=infix("//", 7),
    dim=lambda node, known: dims.floordiv(*known),
)
mod = elementwise(
    "mod", lambda x, y: call("mod", x, y), np.mod, lambda g, z, x, y: (g, -g * floor_div(x, y)),
    compute="arithmetic", domain=((4.1, 4.9), (1.1, 1.3)), smooth=False,
    formula=infix("%", 7),
)  # fmt: skip
neg = elementwise(
    "neg", lambda x: -x, np.negative, lambda g, y, x: (-g,), compute="arithmetic", linear="jointly", formula=prefix("-")
)
abs_ = elementwise(
    "abs",
    lambda x: abs(x),
    np.abs,
    lambda g, y, x: (switch(eq(x, 0), 0, g * sgn(x)),),
    domain=(0.2, 2),
    compute="arithmetic",
    bounded_slope=True,
    nonnegative="always",
)


def _sgn_body(x: Expr) -> Expr:
    sign = expr.cast(x > 0, x.dtype) - expr.cast(x < 0, x.dtype)
    return expr.select(call("isnan", x), x, sign) if is_float(x.dtype) else sign


sgn: Elementwise = elementwise(
    "sgn",
    _sgn_body,
    np.sign,
    domain=(0.2, 2),
    compute="arithmetic",
    smooth=False,
)
sqr = elementwise(
    "sqr",
    lambda x: x * x,
    np.square,
    lambda g, y, x: (g * x * 2,),
    compute="arithmetic",
    bounded_slope=True,
    nonnegative="always",
    formula=lambda op, args: (f"{held(args[0], ATOM)} ** 2", POWER),
)
sqrt = elementwise(
    "sqrt", lambda x: call("sqrt", x), np.sqrt, lambda g, y, x: (g * 0.5 / y,), domain=(0.3, 3), nonnegative="always"
)
inv = elementwise(
    "reciprocal",
    lambda x: 1.0 / x,
    np.reciprocal,
    lambda g, y, x: (-(g * y * y),),
    domain=(0.5, 2),
    formula=lambda op, args: (f"1 / {held(args[0], NEGATED)}", PRODUCT),
    levels_off=levels_off_at(-np.inf, np.inf),
)


def _by_the_first(g: Variable, first: Variable) -> tuple[Selected, Selected]:
    """The gradient flows to the first operand where it was selected, else to the second."""
    return Selected(first, g, choice=Choice.BOUND), Selected(first, g, negated=True, choice=Choice.BOUND)


maximum = elementwise(
    "maximum",
    lambda x, y: call("max", x, y),
    np.maximum,
    lambda g, z, x, y: _by_the_first(g, eq(z, x)),
    domain=((-2, 2), (-1.9, 2.1)),
    compute="same",
    commutative=True,
    bounded_slope=True,
    several=True,
    nonnegative="any",
    dim=lambda node, known: dims.maximum(*known),
)
minimum = elementwise(
    "minimum",
    lambda x, y: call("min", x, y),
    np.minimum,
    lambda g, z, x, y: _by_the_first(g, eq(z, x)),
    domain=((-2, 2), (-1.9, 2.1)),
    compute="same",
    commutative=True,
    bounded_slope=True,
    several=True,
    nonnegative="all",
    dim=lambda node, known: dims.minimum(*known),
)


# --- rounding -----------------------------------------------------------------------------------------------------


def _rounding(name: str) -> Callable[[Expr], Expr]:
    return lambda x: call(name, x) if is_float(x.dtype) else x


def _rounded(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """NumPy's function, but integers keep their dtype: older versions convert them to floats."""
    return lambda x: function(x) if x.dtype.kind == "f" else x


floor = elementwise("floor", _rounding("floor"), _rounded(np.floor), compute="arithmetic", smooth=False)
ceil = elementwise("ceil", _rounding("ceil"), _rounded(np.ceil), compute="arithmetic", smooth=False)
trunc = elementwise("trunc", _rounding("trunc"), _rounded(np.trunc), compute="arithmetic", smooth=False)
round_half_to_even = elementwise(
    "round_half_to_even", _rounding("rint"), _rounded(np.rint), compute="arithmetic", smooth=False
)
round_half_away_from_zero = elementwise(
    "round_half_away_from_zero",
    _rounding("round_away"),
    _rounded(FUNCTIONS["round_away"].numpy),
    compute="arithmetic",
    smooth=False,
)

# --- comparison, logic, selection ---------------------------------------------------------------------------------

lt = elementwise("lt", lambda x, y: call("lt", x, y), np.less, compute="same", result="bool", formula=infix("<", 4))
le = elementwise(
    "le", lambda x, y: call("le", x, y), np.less_equal, compute="same", result="bool", formula=infix("<=", 4)
)
gt = elementwise("gt", lambda x, y: call("gt", x, y), np.greater, compute="same", result="bool", formula=infix(">", 4))
ge = elementwise(
    "ge", lambda x, y: call("ge", x, y), np.greater_equal, compute="same", result="bool", formula=infix(">=", 4)
)
eq: Elementwise = elementwise(
    "eq",
    lambda x, y: call("eq", x, y),
    np.equal,
    compute="same",
    result="bool",
    commutative=True,
    formula=infix("==", 4),
)
neq: Elementwise = elementwise(
    "neq",
    lambda x, y: call("ne", x, y),
    np.not_equal,
    compute="same",
    result="bool",
    commutative=True,
    formula=infix("!=", 4),
)


def _across_signs(compare: Elementwise, low: bool, high: bool) -> Callable[[Variable, Variable], Variable]:
    """Compare uint64 with signed integers exactly.

    ``low`` and ``high`` are the results for a negative left operand, and for a negative right one.
    """

    def compared(x: Variable, y: Variable) -> Variable:
        left = x.dtype.startswith("int")
        below, found = lt(x if left else y, 0), compare(cast(x, "uint64"), cast(y, "uint64"))
        return or_(below, found) if (low if left else high) else and_(invert(below), found)

    return compared


for _compare, _low, _high in (
    (lt, True, False), (le, True, False), (gt, False, True), (ge, False, True), (eq, False, False), (neq, True, True),
):  # fmt: skip
    _compare.across_signs = _across_signs(_compare, _low, _high)


def _within(n: Expr) -> Expr:
    """Whether ``n`` is a number of bits that a number of its dtype can be shifted by."""
    low = n < expr.const(BITS[n.dtype], n.dtype)
    return low if n.dtype.startswith("uint") else low & (n >= expr.const(0, n.dtype))


def _shifted_right(x: Expr, n: Expr) -> Expr:
    """``x >> n``; of too many bits, only copies of the sign are left."""
    last = expr.const(BITS[n.dtype] - 1, n.dtype)
    if n.dtype.startswith("uint"):
        return expr.select(_within(n), x >> (n & last), expr.const(0, x.dtype))
    return x >> expr.select(_within(n), n, last)


isnan = elementwise("isnan", lambda x: call("isnan", x), np.isnan, result="bool")
isinf = elementwise("isinf", lambda x: call("isinf", x), np.isinf, result="bool")
and_ = elementwise(
    "and", lambda x, y: x & y, np.bitwise_and, compute="bits", commutative=True, several=True, formula=infix("&", 3)
)
or_ = elementwise(
    "or", lambda x, y: x | y, np.bitwise_or, compute="bits", commutative=True, several=True, formula=infix("|", 1)
)
xor = elementwise(
    "xor", lambda x, y: x ^ y, np.bitwise_xor, compute="bits", commutative=True, several=True, formula=infix("^", 2)
)
left_shift = elementwise(
    "left_shift",
    lambda x, n: expr.select(_within(n), x << (n & expr.const(BITS[n.dtype] - 1, n.dtype)), expr.const(0, x.dtype)),
    np.left_shift, domain=((-9, 9), (0, 9)), compute="shift", formula=infix("<<", 5),
)  # fmt: skip
right_shift = elementwise(
    "right_shift", lambda x, n: _shifted_right(x, n),
    np.right_shift, domain=((-9, 9), (0, 9)), compute="shift", formula=infix(">>", 5),
)  # fmt: skip
invert = elementwise("invert", lambda x: ~x, np.invert, compute="bits", formula=prefix("~"))
switch: Elementwise = elementwise(
    "switch", lambda c, x, y: expr.select(c, x, y), np.where,
    lambda g, z, c, x, y: (
        ZERO, Selected(c, g, choice=Choice.CONDITION), Selected(c, g, negated=True, choice=Choice.CONDITION),
    ),
    compute="same", mixed=True, bounded_slope=True,
    moves=lambda op: slice(1, 3), nonnegative="all",
)  # fmt: skip


def where(condition: Any, x: Any, y: Any) -> Variable:
    """Select ``x`` where ``condition`` holds, else ``y``; all three are broadcast together."""
    return switch(condition, x, y)


def _clip_numpy(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(x, low), high)


def _clip_grad(g: Variable, z: Variable, x: Variable, low: Variable, high: Variable) -> Sequence[Any]:
    above = gt(maximum(x, low), high)
    below = lt(x, low)
    return (
        Selected(or_(above, below), g, negated=True, choice=Choice.BOUND),
        Selected(and_(below, invert(above)), g, choice=Choice.BOUND),
        Selected(above, g, choice=Choice.BOUND),
    )


clip = elementwise(
    "clip",
    lambda x, low, high: expr.minimum(expr.maximum(x, low), high),
    _clip_numpy,
    _clip_grad,
    domain=((-0.4, 0.4), (-1, -0.5), (0.5, 1)),
    compute="same",
    bounded_slope=True,
)
