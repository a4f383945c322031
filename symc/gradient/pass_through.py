"""Ops that leave values unchanged and modify gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.gradient_flow import ZERO, Reach, Undefined
from symc.graph.op import Op, Record, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor
from symc.tensor.elementwise import clip

__all__ = [
    "consider_constant",
    "disconnected_grad",
    "grad_clip",
    "grad_scale",
    "undefined_grad",
    "zero_grad",
]


def _identity(name: str, grad: Callable[[Op, Variable], Any]) -> Record:
    return record(
        name,
        partwise=True,
        infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
        numpy=lambda op, x: x,
        grad=lambda op, inputs, outputs, gs: [grad(op, gs[0])],
        specialise=lambda op, inputs, types: inputs[0],
        reach=Reach(lambda op, inputs, outputs, counts: [counts], one_to_one=True),
        bounded_slope=True,
    )


DISCONNECTED_GRAD = _identity("disconnected_grad", lambda op, g: None)
ZERO_GRAD = _identity("zero_grad", lambda op, g: ZERO)
UNDEFINED_GRAD = _identity("undefined_grad", lambda op, g: Undefined(op["reason"]))
GRAD_CLIP = _identity("grad_clip", lambda op, g: clip(g, op["low"], op["high"]))
GRAD_SCALE = _identity("grad_scale", lambda op, g: g * op["factor"])


def disconnected_grad(x: Any) -> Variable:
    """Return ``x`` with its gradient cut: ``grad`` treats everything behind it as disconnected."""
    return Op(DISCONNECTED_GRAD)(as_tensor(x))


def zero_grad(x: Any) -> Variable:
    """Return ``x`` with its gradient replaced by zero."""
    return Op(ZERO_GRAD)(as_tensor(x))


consider_constant = zero_grad


def undefined_grad(x: Any, reason: str = "undefined_grad was put here") -> Variable:
    """Return ``x`` with an undefined gradient: ``grad`` raises ``NullGradError`` with this reason.

    It does so even if the output gradient is zero.
    """
    return Op(UNDEFINED_GRAD, reason=reason)(as_tensor(x))


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Variable:
    """Return ``x``; gradients that flow through it are clipped to the bounds, element by element."""
    return Op(GRAD_CLIP, low=float(lower_bound), high=float(upper_bound))(as_tensor(x))


def grad_scale(x: Any, multiplier: float) -> Variable:
    """Return ``x``; gradients that flow through it are multiplied by ``multiplier``."""
    return Op(GRAD_SCALE, factor=float(multiplier))(as_tensor(x))


explain_faults(globals())
