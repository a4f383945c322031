"""Conditions that must hold when a value is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Constant, Variable
from symc.graph.op import Arg, Case, HostCall, Op, Reach, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor

__all__ = ["ASSERTED", "Assert", "absent_length", "assert_op"]


def _numpy(op: Op, x: np.ndarray, *conditions: np.ndarray) -> np.ndarray:
    if not all(map(np.all, conditions)):  # of all entries, where the op was vectorised
        raise op["error"](op["text"])
    return x


ASSERTED = record(
    "assert_op",
    partwise=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=_numpy,
    grad=lambda op, inputs, outputs, gs: [gs[0], *[None] * (len(inputs) - 1)],
    reach=Reach(lambda op, inputs, outputs, counts: [counts, *[None] * (len(inputs) - 1)], one_to_one=True),
    lower=HostCall(),
    fallible=True,
    cases=lambda: [
        Case(
            lambda x: assert_op(x, (x * x).sum() >= 0, msg="a negative square") * 2,
            (Arg((2, 3)),),
            lambda x: 2 * x,
        ),
        Case(lambda x, n: Assert("n")(x, n > 0, n < 9) * 2, (Arg((2,)), Arg((), values=3)), lambda x, n: x * 2),
    ],
)


def assert_op(
    value: Any, *conditions: Any, msg: str = "an assertion does not hold", error: type[Exception] = AssertionError
) -> Variable:
    """Return ``value``, and require conditions to hold when it is computed.

    Parameters
    ----------
    value : tensor_like
    *conditions : tensor_like
        Scalars; each must be true.
    msg : str
        The message of the error.
    error : type, optional
        The class of the error.

    Returns
    -------
    Variable
        ``value``; its gradient passes through.

    Raises
    ------
    AssertionError
        If a condition is known to be false; others are checked at call time, if the result is used.
    """
    x = as_tensor(value)
    checked = []
    for given in conditions:
        condition = as_tensor(given)
        if condition.ndim:
            repair = "combine its elements, as in T.all(condition)"
            raise ShapeError(located("assert_op: a condition must be a scalar", [condition], repair))
        if not isinstance(condition, Constant):
            checked.append(ew.neq(condition, 0))
        elif not condition.data:
            raise error(located(f"assert_op: {msg}", [x]))
    return Op(ASSERTED, text=msg, error=error)(x, *checked) if checked else x


def _absent(op: Op, shape: np.ndarray) -> np.ndarray:
    raise IndexError(op["text"])


ABSENT = record(
    "absent_length",
    infer=lambda op, inputs: TensorType("int64", ()),
    numpy=_absent,
    lower=HostCall(),
    fallible=True,
)


def absent_length(shape: Variable, text: str) -> Variable:
    """An entry that a shape does not have: a call that needs it raises an IndexError with this text."""
    return Op(ABSENT, text=text)(shape)


class Assert:
    """``Assert(msg)(value, *conditions)`` is ``assert_op(value, *conditions, msg=msg)``."""

    def __init__(self, msg: str = "an assertion does not hold") -> None:
        self.msg = msg

    def __call__(self, value: Any, *conditions: Any) -> Variable:
        """Apply the op."""
        return assert_op(value, *conditions, msg=self.msg)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Assert) and self.msg == other.msg

    def __hash__(self) -> int:
        return hash(self.msg)

    def __str__(self) -> str:
        return f"Assert{{msg={self.msg!r}}}"
