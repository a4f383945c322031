"""Theano's classes of scalar ops: what ``Elemwise`` applies to the elements of tensors.

A program may define its own: a subclass of ``UnaryScalarOp`` with ``impl``, which computes one number from numbers, and
``grad``. C code that it defines as well is not used.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.compat.tensor_functions import fill
from symc.graph import Apply, Variable
from symc.graph.dtypes import COMPLEX, FLOATS, INTEGERS
from symc.graph.types import TensorType
from symc.tensor.broadcasting import broadcast_together

__all__ = [
    "BinaryBitOp", "BinaryScalarOp", "ComplexError", "FixedLogicalComparison", "InRange", "IntegerDivisionError",
    "LogicalComparison", "ScalarOp", "UnaryBitOp", "UnaryScalarOp", "div_proxy", "float_out", "identity",
    "inclosedrange", "inopenrange", "int_or_true_div", "int_out", "mod_check", "same_out", "same_out_float_only",
    "same_out_nocomplex", "second", "specific_out", "transfer_type", "upcast_out", "upgrade_to_float",
    "upgrade_to_float64", "upgrade_to_float_no_complex",
]  # fmt: skip


ComplexError = IntegerDivisionError = TypeError

# --- dtypes of results ----------------------------------------------------------------------------------------------


def _scalar(dtype: str) -> TensorType:
    return TensorType(dtype)


def same_out(*types: TensorType) -> list[TensorType]:
    """The dtype of the first operand."""
    return [_scalar(types[0].dtype)]


same_out_nocomplex = same_out_float_only = same_out


def upcast_out(*types: TensorType) -> list[TensorType]:
    """The dtype to which the operands are promoted."""
    return [_scalar(np.result_type(*[np.dtype(t.dtype) for t in types]).name)]


def upgrade_to_float(*types: TensorType) -> list[TensorType]:
    """The dtype to which the operands are promoted, float32 or float64 for integers."""
    dtype = upcast_out(*types)[0].dtype
    if dtype in FLOATS or dtype in COMPLEX:
        return [_scalar(dtype)]
    return [_scalar("float32" if np.dtype(dtype).itemsize <= 2 else "float64")]


upgrade_to_float_no_complex = upgrade_to_float


def upgrade_to_float64(*types: TensorType) -> list[TensorType]:
    """float64."""
    return [_scalar("float64")]


def float_out(*types: TensorType) -> list[TensorType]:
    """floatX."""
    return [_scalar("floatX")]


def int_out(*types: TensorType) -> list[TensorType]:
    """int64."""
    return [_scalar("int64")]


class specific_out:  # noqa: N801 - Theano's name
    """Given dtypes."""

    def __init__(self, *spec: Any) -> None:
        self.spec = [_scalar(getattr(t, "dtype", t)) for t in spec]

    def __call__(self, *types: TensorType) -> list[TensorType]:
        return self.spec


class transfer_type:  # noqa: N801 - Theano's name
    """The dtype of an operand by its number, per output; None promotes all."""

    def __init__(self, *transfer: Any) -> None:
        self.transfer = transfer

    def __call__(self, *types: TensorType) -> list[TensorType]:
        return [upcast_out(*types)[0] if k is None else types[k] if isinstance(k, int) else k for k in self.transfer]


# --- ops of programs ------------------------------------------------------------------------------------------------


class ScalarOp:
    """An op on numbers, which a program defines by ``impl(*numbers)`` and ``grad(inputs, output_gradients)``."""

    nin = -1
    nout = 1
    name: str = ""
    output_types_preference: Callable[..., list[TensorType]] | None = None

    def __init__(self, output_types_preference: Any = None, name: str | None = None) -> None:
        self.name = name or type(self).__name__
        if output_types_preference is not None:
            self.output_types_preference = output_types_preference

    def output_types(self, types: Sequence[TensorType]) -> list[TensorType]:
        """The types of the results."""
        prefer = self.output_types_preference or upcast_out
        return prefer(*types)

    def impl(self, *numbers: Any) -> Any:
        """Compute the result from numbers."""
        raise NotImplementedError(f"{type(self).__name__} must define impl")

    def __call__(self, *operands: Any, **ignored: Any) -> Any:
        """Apply the op to the elements of tensors."""
        nin = type(self).nin
        if nin >= 0 and len(operands) != nin:
            raise TypeError(f"{self}: takes {nin} operands, got {len(operands)}")
        return _Elements(self)(*operands)

    def make_node(self, *operands: Any) -> Apply:
        """The application of the op."""
        found = self(*operands)
        return (found[0] if isinstance(found, list) else found).owner

    def __eq__(self, other: object) -> bool:
        mine, yours = self.output_types_preference, getattr(other, "output_types_preference", None)
        return type(self) is type(other) and mine is yours

    def __hash__(self) -> int:
        return hash((type(self), self.output_types_preference))

    def __str__(self) -> str:
        return self.name or type(self).__name__


class UnaryScalarOp(ScalarOp):
    """An op on one number."""

    nin = 1


class BinaryScalarOp(ScalarOp):
    """An op on two numbers."""

    nin = 2


class _Elements(symc.Op):
    """A scalar op on all elements of tensors."""

    __props__ = ("scalar_op",)

    def __init__(self, scalar_op: ScalarOp) -> None:
        self.scalar_op = scalar_op
        if hasattr(scalar_op, "grad") or hasattr(scalar_op, "L_op"):
            self.L_op = self._l_op  # absent, an op without it has no derivative

    def __str__(self) -> str:
        return str(self.scalar_op)

    def __call__(self, *inputs: Any, return_list: bool = False, **kwargs: Any) -> Any:
        """Apply the op to operands that are broadcast together."""
        operands = [T.as_tensor_variable(v) for v in inputs]
        if len(operands) > 1:
            operands = broadcast_together(str(self.scalar_op), operands)
        return super().__call__(*operands, return_list=return_list)

    def make_node(self, *inputs: Any) -> Apply:
        """The types that the scalar op states, of the shape of the operands."""
        types = self.scalar_op.output_types([TensorType(v.dtype) for v in inputs])
        return Apply(self, inputs, [TensorType(t.dtype, inputs[0].static_shape) for t in types])

    def infer_shape(self, node: Apply, shapes: Any) -> list[Any]:
        """The shape of the operands."""
        return [shapes[0] for _ in node.outputs]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list[Any]]) -> None:
        """Call ``impl`` for every element."""
        flat = [a.ravel() for a in inputs]
        results = [self.scalar_op.impl(*numbers) for numbers in zip(*flat)]
        rows = list(zip(*results)) if len(node.outputs) > 1 and results else [results] * len(node.outputs)
        for storage, row, out in zip(output_storage, rows, node.outputs):
            storage[0] = np.array(row, out.dtype).reshape(inputs[0].shape)

    def _l_op(self, inputs: list[Variable], outputs: list[Variable], gradients: list[Variable]) -> list[Any]:
        scalar_op: Any = self.scalar_op
        if hasattr(scalar_op, "L_op"):
            return list(scalar_op.L_op(inputs, outputs, gradients))
        return list(scalar_op.grad(inputs, gradients))


# --- ops of the language --------------------------------------------------------------------------------------------

_CLASSES = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "TrueDiv": "true_div", "IntDiv": "int_div", "Mod": "mod", "Pow": "pow",
    "Clip": "clip", "Second": "fill", "Neg": "neg", "Inv": "inv", "Log": "log", "Log2": "log2", "Log10": "log10",
    "Log1p": "log1p", "Exp": "exp", "Exp2": "exp2", "Expm1": "expm1", "Sqr": "sqr", "Sqrt": "sqrt", "Abs": "abs_",
    "Sgn": "sgn", "Ceil": "ceil", "Floor": "floor", "Trunc": "trunc", "RoundHalfToEven": "round_half_to_even",
    "RoundHalfAwayFromZero": "round_half_away_from_zero", "Deg2Rad": "deg2rad", "Rad2Deg": "rad2deg", "Cos": "cos",
    "Sin": "sin", "Tan": "tan", "ArcCos": "arccos", "ArcSin": "arcsin", "ArcTan": "arctan", "ArcTan2": "arctan2",
    "Cosh": "cosh", "Sinh": "sinh", "Tanh": "tanh", "ArcCosh": "arccosh", "ArcSinh": "arcsinh", "ArcTanh": "arctanh",
    "Real": "real", "Imag": "imag", "Angle": "angle", "Conj": "conj", "Maximum": "maximum", "Minimum": "minimum",
    "EQ": "eq", "NEQ": "neq", "LT": "lt", "GT": "gt", "LE": "le", "GE": "ge", "IsNan": "isnan", "IsInf": "isinf",
    "Switch": "switch", "AND": "and_", "OR": "or_", "XOR": "xor", "Invert": "invert", "Erf": "erf", "Erfc": "erfc",
    "Erfcx": "erfcx", "Erfinv": "erfinv", "Erfcinv": "erfcinv", "Gamma": "gamma", "GammaLn": "gammaln", "Psi": "psi",
    "TriGamma": "tri_gamma", "Chi2SF": "chi2sf", "GammaInc": "gammainc", "GammaIncC": "gammaincc", "J0": "j0",
    "J1": "j1", "Jv": "jv", "I0": "i0", "I1": "i1", "Iv": "iv", "ScalarSigmoid": "sigmoid",
    "ScalarSoftplus": "softplus",
}  # fmt: skip


def _of_language(name: str, function: str) -> type:
    """The class of an op that the language has as a function."""

    def call(self: ScalarOp, *operands: Any, **ignored: Any) -> Any:
        found = getattr(T, function, None) or getattr(T.nnet, function)
        return found(*operands)

    made = type(
        name, (ScalarOp,), {"__call__": call, "__doc__": f"The op of ``T.{function}``.", "__module__": __name__}
    )
    return made


globals().update({name: _of_language(name, function) for name, function in _CLASSES.items()})
__all__ += list(_CLASSES)


class LogicalComparison(BinaryScalarOp):
    """A comparison of two numbers, whose result is a bool."""

    def output_types(self, types: Sequence[TensorType]) -> list[TensorType]:
        return [_scalar("bool")]


class FixedLogicalComparison(UnaryScalarOp):
    """A property of one number, whose result is a bool."""

    def output_types(self, types: Sequence[TensorType]) -> list[TensorType]:
        return [_scalar("bool")]


class BinaryBitOp(BinaryScalarOp):
    """An op on the bits of two integers."""


class UnaryBitOp(UnaryScalarOp):
    """An op on the bits of an integer."""


class InRange(ScalarOp):
    """``InRange(openlow, openhi)(x, low, high)``: whether ``x`` is between two bounds."""

    nin = 3

    def __init__(self, openlow: builtins.bool, openhi: builtins.bool) -> None:
        super().__init__()
        self.openlow, self.openhi = openlow, openhi

    def __call__(self, *operands: Any, **ignored: Any) -> Variable:
        x, low, high = operands
        above = T.gt(x, low) if self.openlow else T.ge(x, low)
        return T.and_(above, T.lt(x, high) if self.openhi else T.le(x, high))


inopenrange, inclosedrange = InRange(True, True), InRange(False, False)
second = fill


def identity(x: Any) -> Variable:
    """Return ``x``."""
    return T.as_tensor_variable(x)


def int_or_true_div(x_discrete: builtins.bool, y_discrete: builtins.bool) -> str:
    """The name of the division of operands of these kinds: of two integers, as ``config.int_division`` says."""
    from symc.compat.flags import config

    if not (x_discrete and y_discrete):
        return "true"
    policy = config.int_division
    if policy == "raise":
        raise IntegerDivisionError("a quotient of integers: write x // y, or cast an operand to a float dtype")
    return "int" if policy == "int" else "true"


def div_proxy(x: Any, y: Any) -> Variable:
    """``x / y`` of Python 2: of integers ``x // y``."""
    x, y = T.as_tensor_variable(x), T.as_tensor_variable(y)
    kind = int_or_true_div(x.dtype in INTEGERS, y.dtype in INTEGERS)
    return T.int_div(x, y) if kind == "int" else T.true_div(x, y)


def mod_check(x: Any, y: Any) -> Variable:
    """``x % y``, which complex numbers do not have."""
    x, y = T.as_tensor_variable(x), T.as_tensor_variable(y)
    if x.dtype in COMPLEX or y.dtype in COMPLEX:
        raise ComplexError("the remainder of complex numbers is not defined")
    return T.mod(x, y)
