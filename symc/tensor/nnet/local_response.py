"""Normalisation by the activity of neighbouring channels."""

from __future__ import annotations

from typing import Any

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.dtypes import floating
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.creation import zeros
from symc.tensor.indices.indexing import subtensor
from symc.tensor.indices.subtensor_writing import set_subtensor
from symc.tensor.options import integer
from symc.tensor.symbolic_dims import length

__all__ = ["local_response_normalization"]


def local_response_normalization(x: Any, alpha: Any = 1e-4, k: Any = 2, beta: Any = 0.75, n: int = 5) -> Variable:
    r"""Divide every element by the activity of the channels around it at the same position.

    .. math:: y_i = \frac{x_i}{\left(k + \alpha \sum_j x_j^2\right)^\beta}

    where the sum is over the `n` channels centred at :math:`i`.

    Parameters
    ----------
    x : tensor_like
        ``(batch, channels, ...)``, with any number of further axes.
    alpha, k, beta : float or scalar
        The coefficients of the formula.
    n : int
        The number of channels in the sum. It must be odd.

    Returns
    -------
    Variable
        The shape of ``x``. Integers become floatX.

    Raises
    ------
    ValueError
        If `n` is even or less than 1.
    ShapeError
        If ``x`` has fewer than 2 axes.

    References
    ----------
    .. [1] Alex Krizhevsky, Ilya Sutskever and Geoffrey Hinton (2012): ImageNet classification with deep convolutional
           neural networks. Advances in Neural Information Processing Systems.
    """
    what = "local_response_normalization"
    if integer(what, "n", n, least=1) % 2 == 0:
        raise ValueError(located(f"{what}: n must be odd, got {n}"))
    x = as_tensor(x)
    if x.ndim < 2:
        text = f"{what}: expected at least 2 axes (batch, channels, ...), got {x.ndim}"
        raise ShapeError(located(text, [x], "add axes with dimshuffle"))
    x = ew.cast(x, floating(x.dtype))
    half, channels = n // 2, length(x, 1)
    sizes = [channels + 2 * half if axis == 1 else length(x, axis) for axis in range(x.ndim)]
    inner = subtensor(zeros(sizes, x.dtype), (slice(None), slice(half, half + channels)))
    squares = set_subtensor(inner, ew.sqr(x))
    total = subtensor(squares, (slice(None), slice(0, channels)))
    for start in range(1, n):
        total = total + subtensor(squares, (slice(None), slice(start, start + channels)))
    return x / (k + alpha * total) ** beta
