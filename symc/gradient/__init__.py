"""Differentiation: gradients, products with Jacobians, Jacobians, and their check by differences."""

from symc.gradient.derivatives import Lop, Rop, hessian, jacobian, verify_grad
from symc.gradient.reverse import consider_constant, disconnected_grad, grad, grad_clip, grad_scale, zero_grad

__all__ = [
    "Lop",
    "Rop",
    "consider_constant",
    "disconnected_grad",
    "grad",
    "grad_clip",
    "grad_scale",
    "hessian",
    "jacobian",
    "verify_grad",
    "zero_grad",
]
