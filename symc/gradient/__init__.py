"""Differentiation: gradients, Jacobian products, Jacobians, and a check by finite differences."""

from symc.errors import DisconnectedInputError, GradientError, NullGradError
from symc.gradient.absent import DisconnectedType, NullType, disconnected_type, grad_not_implemented, grad_undefined
from symc.gradient.derivatives import Lop, Rop, hessian, jacobian
from symc.gradient.gradient_check import numeric_grad, verify_grad
from symc.gradient.pass_through import (
    consider_constant,
    disconnected_grad,
    grad_clip,
    grad_scale,
    undefined_grad,
    zero_grad,
)
from symc.gradient.reverse import grad
from symc.gradient.subgraph import subgraph_grad

NullTypeGradError = NullGradError

__all__ = [
    "DisconnectedInputError",
    "DisconnectedType",
    "GradientError",
    "Lop",
    "NullGradError",
    "NullType",
    "NullTypeGradError",
    "Rop",
    "consider_constant",
    "disconnected_grad",
    "disconnected_type",
    "grad",
    "grad_clip",
    "grad_not_implemented",
    "grad_scale",
    "grad_undefined",
    "hessian",
    "jacobian",
    "numeric_grad",
    "subgraph_grad",
    "undefined_grad",
    "verify_grad",
    "zero_grad",
]
