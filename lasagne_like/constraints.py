"""Norm constraints on weights and gradients; exported by :mod:`lasagne_like.updates`."""

from collections.abc import Sequence
from typing import Any

import symc
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .utils import norm_axes_of

__all__ = ["norm_constraint", "total_norm_constraint"]


def norm_constraint(
    tensor_var: Any, max_norm: Any, norm_axes: Sequence[int] | None = None, epsilon: float = 1e-7
) -> Any:
    """Rescale the incoming weights of every unit whose norm exceeds a bound.

    Parameters
    ----------
    tensor_var : expression
        Weights, their update or their gradient.
    max_norm : float or scalar expression
        The upper bound of the norm.
    norm_axes : sequence of int, optional
        The axes over which each norm is computed. By default axis 0 of a matrix ``(inputs, units)``, and all axes but
        the first of the weights of a convolution, ``(filters, channels, ...)``.
    epsilon : float
        Added to the divisor, to avoid division by zero.

    Returns
    -------
    expression
        The same shape as `tensor_var`.

    Raises
    ------
    ValueError
        If `tensor_var` does not have 2 to 5 axes and `norm_axes` is not given.

    Notes
    -----
    Apply it to the updated value of a parameter to keep the weights within a ball::

        updates[layer.W] = norm_constraint(updates[layer.W], max_norm=1.0)
    """
    axes = norm_axes_of(tensor_var.ndim, norm_axes)
    norms = T.sqrt(T.sum(tensor_var**2, axis=axes, keepdims=True))
    return tensor_var * (T.clip(norms, 0, max_norm) / (epsilon + norms))


def total_norm_constraint(
    tensor_vars: Sequence, max_norm: Any, epsilon: float = 1e-7, return_norm: bool = False
) -> Any:
    """Rescale several tensors jointly if their total norm exceeds a bound.

    Parameters
    ----------
    tensor_vars : sequence of expressions
        Typically all gradients of a loss.
    max_norm : float or scalar expression
        The upper bound of the norm over all elements of all tensors.
    epsilon : float
        Added to the divisor, to avoid division by zero.
    return_norm : bool
        Whether to return the norm before rescaling as well.

    Returns
    -------
    list of expressions, or tuple of that list and a scalar expression

    References
    ----------
    .. [1] Ilya Sutskever, Oriol Vinyals and Quoc V. Le (2014): Sequence to sequence learning with neural networks.
           Advances in Neural Information Processing Systems.
    """
    if isinstance(tensor_vars, symc.Variable):
        raise TypeError(f"total_norm_constraint: expected a list of tensors, got {tensor_vars!r}; write it in a list")
    tensor_vars = list(tensor_vars)
    norm = T.sqrt(sum(T.sum(tensor**2) for tensor in tensor_vars))
    multiplier = T.clip(norm, 0, max_norm) / (epsilon + norm)
    scaled = [tensor * multiplier for tensor in tensor_vars]
    return (scaled, norm) if return_norm else scaled


explain_faults(globals())
