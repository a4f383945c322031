"""Placeholders for gradients that are undefined or disconnected.

``grad`` returns them only on request (``null_gradients="return"``, ``return_disconnected="disconnected"``).
"""

from __future__ import annotations

from typing import Any

from symc.errors import NullGradError
from symc.graph import Variable
from symc.graph.gradient_flow import Undefined
from symc.graph.op import Op

__all__ = ["DisconnectedType", "NullType", "disconnected_type", "grad_not_implemented", "grad_undefined"]


class NullType:
    """The type of a gradient that is not defined; ``why_null`` is the reason. Using such a gradient is an error."""

    def __init__(self, why_null: str = "(no explanation given)") -> None:
        self.why_null = why_null

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NullGradError(f"this gradient is not defined: {self.why_null}")

    def __call__(self, name: str | None = None) -> Variable:
        """A variable of this type: a gradient that is not defined."""
        return Variable(self, None, 0, name)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"NullType({self.why_null})"


class DisconnectedType:
    """The type of the gradient by a variable on which the cost does not depend. Using such a gradient is an error."""

    def __call__(self, name: str | None = None) -> Variable:
        """A variable of this type."""
        return Variable(self, None, 0, name)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NullGradError("this gradient is disconnected: the cost does not depend on the variable")

    def __repr__(self) -> str:
        return "DisconnectedType"


disconnected_type = DisconnectedType()


def null_gradient(reason: str) -> Variable:
    """The result of ``grad(null_gradients="return")`` where the gradient is undefined."""
    return Variable(NullType(reason), None, 0, None)  # type: ignore[arg-type]


def grad_undefined(op: Op, x_pos: int, x: Variable, comment: str = "") -> Undefined:
    """The result that an op's ``grad`` returns for an input ``x_pos`` by which it is not differentiable."""
    return Undefined(f"{op.name} has no derivative by its input {x_pos}" + (f": {comment}" if comment else ""))


def grad_not_implemented(op: Op, x_pos: int, x: Variable, comment: str = "") -> Undefined:
    """The result that an op's ``grad`` returns for an input ``x_pos`` whose derivative is not implemented."""
    text = f"{op.name} does not say what its derivative by its input {x_pos} is"
    return Undefined(text + (f": {comment}" if comment else ""))
