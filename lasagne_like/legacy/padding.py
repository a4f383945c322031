"""``lasagne.theano_extensions.padding``: tensors surrounded by a constant."""

from collections.abc import Sequence
from typing import Any

import symc.tensor as T

__all__ = ["pad"]


def pad(x: Any, width: int | Sequence[Any], val: Any = 0, batch_ndim: int = 1) -> Any:
    """Surround a tensor with a constant.

    Parameters
    ----------
    x : tensor_like
    width : int, or sequence of int or pair of int
        The number of elements to add at both ends of every axis after the first `batch_ndim`: one number for all, one
        per axis, or a pair (before, after) per axis.
    val : float
        The constant.
    batch_ndim : int
        The number of leading axes that are not padded.

    Returns
    -------
    expression
    """
    x = T.as_tensor_variable(x)
    widths = [width] * (x.ndim - batch_ndim) if isinstance(width, int) else list(width)
    ends = [tuple(w) if isinstance(w, tuple | list) else (w, w) for w in widths]
    ends = [(0, 0)] * batch_ndim + ends + [(0, 0)] * (x.ndim - batch_ndim - len(ends))
    shape = [n if before == after == 0 else n + before + after for n, (before, after) in zip(_lengths(x), ends)]
    room = T.fill(T.zeros(shape, x.dtype), T.cast(val, x.dtype))
    place = tuple(slice(before, before + n) for n, (before, _) in zip(_lengths(x), ends))
    return T.set_subtensor(room[place], x)


def _lengths(x: Any) -> list[Any]:
    return [n if n is not None else x.shape[k] for k, n in enumerate(x.type.static_shape)]
