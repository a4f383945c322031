"""Names of ``theano.tensor.nlinalg`` that differ in what they accept."""

from __future__ import annotations

from typing import Any

import symc.tensor as T
from symc.compat.errors import NotOffered
from symc.graph import Variable

__all__ = ["norm"]


def norm(x: Any, ord: Any = None) -> Variable:
    """``T.nlinalg.norm`` of a vector or a matrix; ``'inf'`` and ``'-inf'`` are the infinities.

    Raises
    ------
    ValueError
        Of a scalar, or for an ``ord`` that there is not.
    NotOffered
        Of a tensor of more than two axes.
    """
    x = T.as_tensor_variable(x)
    if x.ndim == 0:
        raise ValueError("norm: expected a vector or a matrix, got a scalar")
    if x.ndim > 2:
        raise NotOffered(f"norm: expected a vector or a matrix, got {x.type}")
    return T.nlinalg.norm(x, ord)
