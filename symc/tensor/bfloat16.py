"""bfloat16, a dtype of storage: an expression of that dtype is one of float32, of which results are rounded.

As with float16, ops compute in float32, and values are rounded where they are stored: in shared variables, results of
functions, states of loops, and where the user casts. Here this holds from the start: an op on bfloat16 is the op on
float32, and the record ``bfloat16`` only states the dtype. A bfloat16 input is a float32 one, its *twin*, which
functions compute from the bits that they are given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symc.graph import Constant, Variable
from symc.graph.bfloat16 import bits_of, values_of
from symc.graph.dtypes import BRAIN, is_complex
from symc.graph.op import Arg, Case, Op, Pointwise, Record, record
from symc.graph.shared_variables import twin
from symc.graph.types import TensorType
from symc.loops.expr import call
from symc.tensor.basic import as_tensor
from symc.tensor.conversion import cast

__all__ = ["BITS", "ROUND", "VALUE", "bits", "from_bits", "on_float32", "packed", "rounded", "wide"]

PACKED = record(
    "bfloat16",
    infer=lambda op, inputs: TensorType(BRAIN, inputs[0].type.shape),
    numpy=lambda op, x: x,
    language_only=True,
    cases=lambda: [
        Case(  # rounding has the gradient of the identity, which differences do not see
            lambda x: wide(cast(x, BRAIN) * 2), (Arg((5,), "float"),), expect=lambda x: 2 * _rounded(x), grad=False
        )
    ],
)


def _rounded(x: np.ndarray) -> np.ndarray:
    """The nearest number of 8 significant bits, with ties to even."""
    mantissa, exponent = np.frexp(x.astype("float64"))
    return np.asarray(np.ldexp(np.rint(mantissa * 256) / 256, exponent)).astype("float32")


ROUND: Record = record(
    "round_to_bfloat16",
    infer=lambda op, inputs: TensorType("float32", inputs[0].type.shape),
    numpy=lambda op, x: values_of(bits_of(x)),
    grad=lambda op, inputs, outputs, gs: [cast(gs[0], inputs[0].dtype)],
    linear="jointly",
    bounded_slope=True,
    lower=Pointwise(lambda x: call("bfloat16_value", call("bfloat16_bits", x))),
    cases=lambda: [
        Case(lambda x: Op(ROUND)(x), (Arg((40,), low=-300, high=300),), expect=_rounded, grad=False),
        Case(
            lambda x: Op(ROUND)(x),
            (Arg((9,), values=[0.0, -0.0, np.inf, -np.inf, np.nan, 1.00390625, 1.01171875, 1e-30, 3e38]),),
            expect=_rounded, grad=False, label="special values",
        ),
    ],
)  # fmt: skip
BITS: Record = record(
    "bfloat16_bits",
    infer=lambda op, inputs: TensorType("uint16", inputs[0].type.shape),
    numpy=lambda op, x: bits_of(x),
    lower=Pointwise(lambda x: call("bfloat16_bits", x)),
    cases=lambda: [
        Case(
            lambda x: Op(BITS)(x), (Arg((5,), values=[0, 1, -2, 0.5, np.inf]),),
            expect=lambda x: np.array([0, 0x3F80, 0xC000, 0x3F00, 0x7F80], "uint16"), grad=False,
        )
    ],
)  # fmt: skip
VALUE: Record = record(
    "bfloat16_value",
    infer=lambda op, inputs: TensorType("float32", inputs[0].type.shape),
    numpy=lambda op, x: values_of(x),
    lower=Pointwise(lambda x: call("bfloat16_value", x)),
    cases=lambda: [
        Case(
            lambda x: Op(VALUE)(x), (Arg((5,), "uint16", values=[0, 0x3F80, 0xC000, 0x3F00, 0x7F80]),),
            expect=lambda x: np.array([0, 1, -2, 0.5, np.inf], "float32"), grad=False,
        )
    ],
)  # fmt: skip


def packed(x: Variable) -> Variable:
    """The float32 expression as one of dtype bfloat16."""
    return Op(PACKED)(x)  # type: ignore[no-any-return]


def wide(v: Variable) -> Variable:
    """The float32 expression of a variable of dtype bfloat16, not rounded where it was computed."""
    if v.owner is not None:
        return v.owner.inputs[0]
    return Constant(values_of(bits_of(v.data)), "float32") if isinstance(v, Constant) else twin(v)


def rounded(x: Variable) -> Variable:
    """``x`` rounded to bfloat16, as float32."""
    if x.dtype not in ("float32", "float64"):
        x = cast(x, "float32" if x.dtype in ("bool", "int8", "uint8", "int16", "uint16", "float16") else "float64")
    return Op(ROUND)(x)  # type: ignore[no-any-return]


def bits(v: Variable) -> Variable:
    """The bits of a bfloat16 variable, of dtype uint16."""
    return Op(BITS)(wide(v))  # type: ignore[no-any-return]


def from_bits(x: Variable) -> Variable:
    """The float32 values of uint16 bits."""
    return Op(VALUE)(x)  # type: ignore[no-any-return]


def convert(v: Variable, dtype: str) -> Variable:
    """``cast`` from or to bfloat16; values are rounded on the way."""
    if dtype == BRAIN:
        if isinstance(v, Constant):
            return Constant(v.exact, BRAIN, v.name)
        return packed(rounded(v))
    return cast(rounded(wide(v)), dtype)


def on_float32(op: Op, inputs: Sequence[Variable]) -> tuple[Variable, ...]:
    """Apply an op to operands of which some are of dtype bfloat16, and let its float32 results be of that dtype."""
    attrs = {name: "float32" if type(value) is str and value == BRAIN else value for name, value in op.attrs.items()}
    given = [wide(as_tensor(v)) if v.dtype == BRAIN else v for v in inputs]
    found = Op(op.record, **attrs).all(*given)
    if op.record.lazy:  # each result has the dtype of its own operands
        kept = [v.dtype for v in inputs[1 : 1 + len(found)]]
    else:
        kept = [BRAIN if v.dtype == "float32" else v.dtype for v in found]
    return tuple(packed(v) if dtype == BRAIN and not is_complex(v.dtype) else v for v, dtype in zip(found, kept))
