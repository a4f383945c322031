"""``Assert``: an identity that requires conditions to hold whenever its value is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Constant, Variable
from symc.graph.gradient_flow import Reach
from symc.graph.op import Arg, Case, HostCall, Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor

__all__ = ["ASSERT", "Assert", "assert_op"]


class Assert:
    """An identity that requires conditions to hold: ``Assert("x is negative")(x, T.all(x >= 0))`` is ``x``.

    A call in which a condition does not hold raises an AssertionError. Conditions are checked whenever the value is
    needed; gradients pass through unchanged.

    Parameters
    ----------
    msg : str
        The message of the error.
    """

    def __init__(self, msg: str = "Theano Assert failed!") -> None:
        self.msg = msg

    def __call__(self, value: Any, *conds: Any) -> Variable:
        """Return ``value``, provided that the conditions hold, which are scalars.

        Raises
        ------
        AssertionError
            If a condition is known not to hold.
        TypeError
            If a condition is no scalar.
        """
        value, open_ = as_tensor(value), []
        for cond in map(as_tensor, conds):
            if cond.ndim:
                raise TypeError(
                    located(f"Assert: a condition has {cond.ndim} axes", [cond], "reduce it with T.all(condition)")
                )
            if not isinstance(cond, Constant):
                open_.append(cond)
            elif not cond.data:
                raise AssertionError(self.msg)
        return Op(ASSERT, text=self.msg)(value, *open_) if open_ else value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Assert) and self.msg == other.msg

    def __hash__(self) -> int:
        return hash(self.msg)

    def __str__(self) -> str:
        return f"Assert{{msg={self.msg!r}}}"


assert_op = Assert()


def _numpy(op: Op, x: np.ndarray, *conditions: np.ndarray) -> np.ndarray:
    if not all(map(np.all, conditions)):
        raise AssertionError(op["text"])
    return x


def _reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Any) -> list[Any]:
    return [counts, *[None] * (len(inputs) - 1)]


ASSERT = record(
    "assert",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=_numpy,
    grad=lambda op, inputs, outputs, gs: [gs[0], *[None] * (len(inputs) - 1)],
    reach=Reach(_reach, one_to_one=True),
    fallible=True,
    lower=HostCall(),
    cases=lambda: [
        Case(lambda x: assert_op(x, (x < 9).all()) * 2, (Arg((2, 3)),), lambda x: x * 2),
        Case(lambda x, n: Assert("n")(x, n > 0, n < 9) * 2, (Arg((2,)), Arg((), values=3)), lambda x, n: x * 2),
    ],
)
