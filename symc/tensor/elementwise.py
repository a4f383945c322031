"""Elementwise mathematics: every op is one statement.

``elementwise(name, body, numpy, grad=...)`` makes the record and the function users call. ``body`` computes one
element as a loop-IR expression; ``grad(g, y, *xs)`` gives the gradients from the incoming ``g``, the output ``y`` and
the inputs, all of one shape. Broadcasting and dtype conversion are inserted by the function, so primitives never see
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np

from symc.dtypes import as_dtype, floating, is_float
from symc.errors import DTypeError, located
from symc.gradient_marks import ZERO
from symc.graph import Constant, Variable
from symc.guards import require_equal
from symc.loops import expr
from symc.loops.expr import Expr, call
from symc.op import Arg, Case, Op, Pointwise, record
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.broadcasting import broadcast_together
from symc.types import TensorType

Grad = Callable[..., Sequence[Any]]


class Elementwise:
    """A user-level elementwise function; calling it on variables, arrays or numbers builds its application."""

    def __init__(self, op: Op, compute: str, mixed: bool) -> None:
        self.op = op
        self.compute = compute
        self.mixed = mixed
        self.__name__ = op.name
        self.__doc__ = op.record.numpy.__doc__

    def __call__(self, *args: Any, dtype: str | None = None) -> Any:
        variables = [as_tensor(a) for a in args]
        if self.mixed:  # switch: the condition keeps its own dtype
            variables = [cast(variables[0], "bool"), *_converted(self.op.name, variables[1:], self.compute)]
        else:
            variables = _converted(self.op.name, variables, self.compute)
        if len(variables) > 1:
            variables = broadcast_together(self.op.name, variables)
        out = self.op(*variables)
        return out if dtype is None else cast(out, dtype)

    def __repr__(self) -> str:
        return f"<symc elementwise function {self.op.name}>"


def _converted(name: str, variables: Sequence[Variable], compute: str) -> list[Variable]:
    dtype = unify_dtypes(variables)
    if compute == "float":
        dtype = floating(dtype)
    elif compute == "arithmetic" and dtype == "bool":
        dtype = "int8"
    elif compute == "bits" and is_float(dtype):
        text = f"{name}: works on bools and integers, got {dtype}"
        raise DTypeError(located(text, variables, "compare first, or cast to an integer dtype"))
    return [cast(v, dtype) for v in variables]


def _domain_of_each(domain: Any, nin: int) -> list[tuple[float, float]]:
    """One pair for each input, where one may serve them all."""
    return [domain] * nin if isinstance(domain[0], (int, float)) else list(domain)


def _infer(result: str, mixed: bool) -> Callable[[Op, Sequence[Variable]], TensorType]:
    def infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
        values = inputs[1:] if mixed else inputs
        dtype = values[0].type.dtype
        for v in values:
            if v.type.dtype != dtype:
                raise DTypeError(located(f"{op.name}: operands must have one dtype", inputs, "cast one of them"))
        shape = list(inputs[0].type.shape)
        for other in inputs[1:]:
            if other.ndim != len(shape):
                raise DTypeError(located(f"{op.name}: operands must have as many axes", inputs))
            for axis, dim in enumerate(other.type.shape):
                if dim is not shape[axis]:
                    shape[axis] = require_equal(
                        shape[axis],
                        dim,
                        f"{op.name}: shapes do not go together on axis {axis}",
                        inputs,
                        "only dims known to be 1 are repeated: declare them so (broadcastable, or shape with 1)",
                    )
        if result != "bool":
            for v in values:
                if v.type.shape == tuple(shape):
                    return v.type
        return TensorType("bool" if result == "bool" else dtype, shape)

    return infer


def elementwise(
    name: str,
    body: Callable[..., Expr],
    numpy: Callable[..., Any],
    grad: Grad | None = None,
    domain: tuple[float, float] | Sequence[tuple[float, float]] = (-2.0, 2.0),
    compute: str = "float",
    result: str = "same",
    mixed: bool = False,
    commutative: bool = False,
    smooth: bool = True,
) -> Elementwise:
    """Make an elementwise op.

    Parameters
    ----------
    name : str
    body : callable
        From the inputs' elements to the output's, as loop-IR expressions.
    numpy : callable
        The same on arrays, independently.
    grad : callable, optional
        ``grad(g, y, *xs)``, one gradient an input; ``ZERO`` for inputs the output does not vary with.
    domain : pair, or one pair an input
        Where test values are drawn: open, away from kinks.
    compute : str
        ``"float"``: integers are converted to floatX; ``"same"``: any dtype; ``"arithmetic"``: bools become int8;
        ``"bits"``: no floats.
    result : str
        ``"same"`` as the operands or ``"bool"``.
    mixed : bool
        The first operand is a condition.
    """
    nin = len(signature(body).parameters)
    domains = _domain_of_each(domain, nin)

    def oracle(op: Op, *arrays: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            out = np.asarray(numpy(*arrays))
        return out.astype("bool" if result == "bool" else arrays[mixed].dtype, copy=False)

    oracle.__doc__ = f"Elementwise ``{name}``; see ``numpy.{getattr(numpy, '__name__', name)}``."

    def differentiate(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> Any:
        if grad is None:
            return [ZERO] * len(inputs)
        return grad(gs[0], outputs[0], *inputs)

    def cases() -> list[Case]:
        kinds = ["bool"] if compute == "bits" else ["float"] if compute == "float" else ["float", "int32"]
        made = []
        for dtype in kinds:
            first = ["bool" if mixed and k == 0 else dtype for k in range(nin)]
            for shape in ((3, 4), (5,), (), (0, 2)):
                args = tuple(Arg(shape, d, lo, hi, distinct=True) for d, (lo, hi) in zip(first, domains))
                smooth_here = dtype == "float" and smooth and result == "same" and shape != (0, 2)
                made.append(Case(function, args, grad=smooth_here))
        special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, 3e38])
        if compute != "bits" and nin <= 2:
            grids = np.meshgrid(*[special] * nin)
            args = tuple(Arg((grids[0].size,), values=g.ravel()) for g in grids)
            made.append(Case(function, args, grad=False, label="special values"))
        return made

    made = record(
        name,
        infer=_infer(result, mixed),
        numpy=oracle,
        grad=differentiate,
        lower=Pointwise(body),
        cases=cases,
        commutative=commutative,
    )
    function = Elementwise(Op(made), compute, mixed)
    return function


# --- conversion ---------------------------------------------------------------------------------------------------


def _cast_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    (x,) = inputs
    return [cast(gs[0], x.dtype) if is_float(x.dtype) and is_float(op["dtype"]) else ZERO]


def _cast_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return x.astype(op["dtype"])


_cast = record(
    "cast",
    infer=lambda op, inputs: TensorType(op["dtype"], inputs[0].type.shape),
    numpy=_cast_numpy,
    grad=_cast_grad,
    lower=Pointwise(lambda x, dtype: expr.cast(x, dtype) if dtype != "bool" else call("ne", x, expr.const(0, x.dtype))),
    cases=lambda: [
        Case(lambda x, to=to: cast(x, to), (Arg((3, 4), source, 0, 100),), grad=source == "float" and to == "float64")
        for source in ("float", "int32", "int8", "uint8", "int64", "bool")
        for to in ("float32", "float64", "int32", "int64", "uint8", "int16", "bool")
    ],
)


def cast(x: Any, dtype: str) -> Variable:
    """``x`` converted to ``dtype`` as C does it (floats to integers truncate)."""
    x = as_tensor(x)
    dtype = as_dtype(dtype)
    if x.dtype == dtype:
        return x
    if isinstance(x, Constant):
        with np.errstate(all="ignore"):
            return Constant(x.exact.astype(dtype), dtype, x.name)
    return Op(_cast, dtype=dtype)(x)


# --- arithmetic ---------------------------------------------------------------------------------------------------

add = elementwise(
    "add",
    lambda x, y: x + y if x.dtype != "bool" else x | y,
    np.add,
    lambda g, z, x, y: (g, g),
    compute="same",
    commutative=True,
)
sub = elementwise("sub", lambda x, y: x - y, np.subtract, lambda g, z, x, y: (g, -g), compute="arithmetic")
mul = elementwise(
    "mul",
    lambda x, y: x * y if x.dtype != "bool" else x & y,
    np.multiply,
    lambda g, z, x, y: (g * y, g * x),
    compute="same",
    commutative=True,
)
true_div = elementwise(
    "true_div", lambda x, y: x / y, np.divide, lambda g, z, x, y: (g / y, -(g * z) / y), domain=((-2, 2), (0.5, 2))
)
floor_div = elementwise(
    "floor_div",
    lambda x, y: call("floordiv", x, y),
    np.floor_divide,
    compute="arithmetic",
    domain=((-9, 9), (1, 4)),
    smooth=False,
)
mod = elementwise(
    "mod", lambda x, y: call("mod", x, y), np.mod, lambda g, z, x, y: (g, -g * floor_div(x, y)),
    compute="arithmetic", domain=((4.1, 4.9), (1.1, 1.3)), smooth=False,
)  # fmt: skip
neg = elementwise("neg", lambda x: -x, np.negative, lambda g, y, x: (-g,), compute="arithmetic")
abs_ = elementwise(
    "abs", lambda x: abs(x), np.abs, lambda g, y, x: (g * sgn(x),), domain=(0.2, 2), compute="arithmetic"
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
sqr = elementwise("sqr", lambda x: x * x, np.square, lambda g, y, x: (g * x * 2,), compute="arithmetic")
sqrt = elementwise("sqrt", lambda x: call("sqrt", x), np.sqrt, lambda g, y, x: (g * 0.5 / y,), domain=(0.3, 3))
inv = elementwise("reciprocal", lambda x: 1.0 / x, np.reciprocal, lambda g, y, x: (-(g * y * y),), domain=(0.5, 2))
maximum = elementwise(
    "maximum",
    lambda x, y: call("max", x, y),
    np.maximum,
    lambda g, z, x, y: (g * eq(z, x), g * neq(z, x)),
    domain=((-2, 2), (-1.9, 2.1)),
    compute="same",
    commutative=True,
)
minimum = elementwise(
    "minimum",
    lambda x, y: call("min", x, y),
    np.minimum,
    lambda g, z, x, y: (g * eq(z, x), g * neq(z, x)),
    domain=((-2, 2), (-1.9, 2.1)),
    compute="same",
    commutative=True,
)


def _pow_body(x: Expr, y: Expr) -> Expr:
    return call("pow", x, y)


def _pow_grad(g: Variable, z: Variable, x: Variable, y: Variable) -> Sequence[Variable]:
    return g * y * power(x, y - 1), g * switch(eq(x, 0), 0, z * log(switch(eq(x, 0), 1, x)))


def _pow_numpy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "f":
        return np.power(x, y)
    return np.power(x.astype("float64"), y.astype("float64"))


power = elementwise("pow", _pow_body, _pow_numpy, _pow_grad, domain=((0.5, 2), (-2, 2)), compute="float")

# --- exponentials and logarithms ----------------------------------------------------------------------------------

exp = elementwise("exp", lambda x: call("exp", x), np.exp, lambda g, y, x: (g * y,))
exp2 = elementwise("exp2", lambda x: call("exp2", x), np.exp2, lambda g, y, x: (g * y * float(np.log(2)),))
expm1 = elementwise("expm1", lambda x: call("expm1", x), np.expm1, lambda g, y, x: (g * (y + 1),))
log = elementwise("log", lambda x: call("log", x), np.log, lambda g, y, x: (g / x,), domain=(0.1, 3))
log2 = elementwise(
    "log2", lambda x: call("log2", x), np.log2, lambda g, y, x: (g / (x * float(np.log(2))),), domain=(0.1, 3)
)
log10 = elementwise(
    "log10", lambda x: call("log10", x), np.log10, lambda g, y, x: (g / (x * float(np.log(10))),), domain=(0.1, 3)
)
log1p = elementwise("log1p", lambda x: call("log1p", x), np.log1p, lambda g, y, x: (g / (x + 1),), domain=(-0.8, 3))

# --- trigonometry -------------------------------------------------------------------------------------------------

sin = elementwise("sin", lambda x: call("sin", x), np.sin, lambda g, y, x: (g * cos(x),))
cos: Elementwise = elementwise("cos", lambda x: call("cos", x), np.cos, lambda g, y, x: (-(g * sin(x)),))
tan = elementwise("tan", lambda x: call("tan", x), np.tan, lambda g, y, x: (g * (1 + sqr(y)),), domain=(-1, 1))
arcsin = elementwise(
    "arcsin", lambda x: call("arcsin", x), np.arcsin, lambda g, y, x: (g / sqrt(1 - sqr(x)),), domain=(-0.9, 0.9)
)
arccos = elementwise(
    "arccos", lambda x: call("arccos", x), np.arccos, lambda g, y, x: (-g / sqrt(1 - sqr(x)),), domain=(-0.9, 0.9)
)
arctan = elementwise("arctan", lambda x: call("arctan", x), np.arctan, lambda g, y, x: (g / (1 + sqr(x)),))
arctan2 = elementwise(
    "arctan2", lambda y, x: call("arctan2", y, x), np.arctan2,
    lambda g, z, y, x: (g * x / (sqr(x) + sqr(y)), -(g * y) / (sqr(x) + sqr(y))), domain=(0.3, 2),
)  # fmt: skip
sinh = elementwise("sinh", lambda x: call("sinh", x), np.sinh, lambda g, y, x: (g * cosh(x),))
cosh: Elementwise = elementwise("cosh", lambda x: call("cosh", x), np.cosh, lambda g, y, x: (g * sinh(x),))
tanh = elementwise("tanh", lambda x: call("tanh", x), np.tanh, lambda g, y, x: (g * (1 - sqr(y)),))
arcsinh = elementwise("arcsinh", lambda x: call("arcsinh", x), np.arcsinh, lambda g, y, x: (g / sqrt(sqr(x) + 1),))
arccosh = elementwise(
    "arccosh", lambda x: call("arccosh", x), np.arccosh, lambda g, y, x: (g / sqrt(sqr(x) - 1),), domain=(1.2, 3)
)
arctanh = elementwise(
    "arctanh", lambda x: call("arctanh", x), np.arctanh, lambda g, y, x: (g / (1 - sqr(x)),), domain=(-0.9, 0.9)
)
deg2rad = elementwise(
    "deg2rad", lambda x: x * float(np.pi / 180), np.deg2rad, lambda g, y, x: (g * float(np.pi / 180),)
)
rad2deg = elementwise(
    "rad2deg", lambda x: x * float(180 / np.pi), np.rad2deg, lambda g, y, x: (g * float(180 / np.pi),)
)

# --- special functions --------------------------------------------------------------------------------------------

_TWO_OVER_SQRT_PI = float(2 / np.sqrt(np.pi))
erf = elementwise(
    "erf",
    lambda x: call("erf", x),
    expr.FUNCTIONS["erf"].numpy,
    lambda g, y, x: (g * exp(-sqr(x)) * _TWO_OVER_SQRT_PI,),
)
erfc = elementwise(
    "erfc",
    lambda x: call("erfc", x),
    expr.FUNCTIONS["erfc"].numpy,
    lambda g, y, x: (-g * exp(-sqr(x)) * _TWO_OVER_SQRT_PI,),
)


def _stable_sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (np.tanh(0.5 * x.astype("float64")) + 1)


def _stable_softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x.astype("float64"))


sigmoid = elementwise("sigmoid", lambda x: call("sigmoid", x), _stable_sigmoid, lambda g, y, x: (g * y * (1 - y),))
softplus = elementwise("softplus", lambda x: call("softplus", x), _stable_softplus, lambda g, y, x: (g * sigmoid(x),))
relu = elementwise(
    "relu",
    lambda x: call("max", x, expr.const(0, x.dtype)),
    lambda x: np.maximum(x, 0),
    lambda g, y, x: (switch(y > 0, g, 0),),
    domain=(0.2, 2),
    compute="arithmetic",
)

# --- rounding -----------------------------------------------------------------------------------------------------


def _rounding(name: str) -> Callable[[Expr], Expr]:
    return lambda x: call(name, x) if is_float(x.dtype) else x


floor = elementwise("floor", _rounding("floor"), np.floor, compute="arithmetic", smooth=False)
ceil = elementwise("ceil", _rounding("ceil"), np.ceil, compute="arithmetic", smooth=False)
trunc = elementwise("trunc", _rounding("trunc"), np.trunc, compute="arithmetic", smooth=False)
round_half_to_even = elementwise("round_half_to_even", _rounding("rint"), np.rint, compute="arithmetic", smooth=False)
round_half_away_from_zero = elementwise(
    "round_half_away_from_zero",
    _rounding("round_away"),
    expr.FUNCTIONS["round_away"].numpy,
    compute="arithmetic",
    smooth=False,
)

# --- comparison, logic, choice ------------------------------------------------------------------------------------

lt = elementwise("lt", lambda x, y: call("lt", x, y), np.less, compute="same", result="bool")
le = elementwise("le", lambda x, y: call("le", x, y), np.less_equal, compute="same", result="bool")
gt = elementwise("gt", lambda x, y: call("gt", x, y), np.greater, compute="same", result="bool")
ge = elementwise("ge", lambda x, y: call("ge", x, y), np.greater_equal, compute="same", result="bool")
eq: Elementwise = elementwise(
    "eq", lambda x, y: call("eq", x, y), np.equal, compute="same", result="bool", commutative=True
)
neq: Elementwise = elementwise(
    "neq", lambda x, y: call("ne", x, y), np.not_equal, compute="same", result="bool", commutative=True
)
isnan = elementwise("isnan", lambda x: call("isnan", x), np.isnan, result="bool")
isinf = elementwise("isinf", lambda x: call("isinf", x), np.isinf, result="bool")
and_ = elementwise("and", lambda x, y: x & y, np.bitwise_and, compute="bits", commutative=True)
or_ = elementwise("or", lambda x, y: x | y, np.bitwise_or, compute="bits", commutative=True)
xor = elementwise("xor", lambda x, y: x ^ y, np.bitwise_xor, compute="bits", commutative=True)
invert = elementwise("invert", lambda x: ~x, np.invert, compute="bits")
switch: Elementwise = elementwise(
    "switch", lambda c, x, y: expr.select(c, x, y), np.where,
    lambda g, z, c, x, y: (ZERO, switch(c, g, 0), switch(c, 0, g)), compute="same", mixed=True,
)  # fmt: skip


def where(condition: Any, x: Any, y: Any) -> Variable:
    """``x`` where ``condition`` holds, else ``y``; all three are broadcast together."""
    return switch(condition, x, y)


def _clip_numpy(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(x, low), high)


clip = elementwise(
    "clip", lambda x, low, high: expr.minimum(expr.maximum(x, low), high), _clip_numpy,
    lambda g, z, x, low, high: (
        switch(and_(ge(x, low), le(x, high)), g, 0), switch(lt(x, low), g, 0), switch(gt(x, high), g, 0),
    ),
    domain=((-0.4, 0.4), (-1, -0.5), (0.5, 1)), compute="same",
)  # fmt: skip
