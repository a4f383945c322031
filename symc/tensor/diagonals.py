"""Diagonals of matrices: read, sum, write."""

from __future__ import annotations

from typing import Any

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Variable
from symc.graph.dtypes import is_float
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.creation import arange, zeros
from symc.tensor.indices.indexing import subtensor
from symc.tensor.indices.subtensor_writing import set_subtensor
from symc.tensor.keywords import also_named
from symc.tensor.options import integer
from symc.tensor.requirements import require_lengths
from symc.tensor.symbolic_dims import shape_i

__all__ = ["diag", "diagonal", "fill_diagonal", "fill_diagonal_offset", "trace"]


def _on_diagonal(rows: Any, columns: Any, offset: Any) -> tuple[Variable, Variable]:
    """Row and column indices of the entries of a diagonal."""
    if isinstance(offset, Variable):
        if offset.ndim or is_float(offset.dtype):
            raise DTypeError(located("the offset of a diagonal must be an integer or an integer scalar", [offset]))
        offset = ew.cast(offset, "int64")
        down, right = ew.maximum(-offset, 0), ew.maximum(offset, 0)
    else:
        offset = integer("diagonal", "offset", offset)
        down, right = max(-offset, 0), max(offset, 0)
    along = arange(ew.maximum(ew.minimum(rows - down, columns - right), 0))
    return along + down, along + right


@also_named(a="x")
def diagonal(x: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """A diagonal of ``x``: the entries whose index along ``axis2`` is that along ``axis1`` plus ``offset``.

    They are along the last axis of the result, as in ``numpy.diagonal``.
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(located("diagonal: expected at least two axes", [x], "use diag to put a vector on a diagonal"))
    first, second = (normalize_axis(a, x.ndim, "diagonal", x) for a in (axis1, axis2))
    if first == second:
        raise ShapeError(located(f"diagonal: axis1 and axis2 must differ, got {axis1} and {axis2}", [x]))
    x = dimshuffle(x, [*(k for k in range(x.ndim) if k not in (first, second)), first, second])
    rows, columns = _on_diagonal(x.shape[-2], x.shape[-1], offset)
    return subtensor(x, (Ellipsis, rows, columns))


@also_named(x="v")
def diag(v: Any, k: int = 0) -> Variable:
    """The diagonal ``k`` of a matrix, or a square matrix with the vector ``v`` on its diagonal ``k``."""
    v = as_tensor(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ShapeError(located("diag: expected a vector or a matrix", [v], "use diagonal for more axes"))
    if not isinstance(k, Variable):
        k = integer("diag", "k", k, [v])
    n = v.shape[0] + abs(k)
    empty = zeros((n, n), v.dtype)
    rows, columns = _on_diagonal(n, n, k)
    return set_subtensor(subtensor(empty, (rows, columns)), v)


@also_named(X="x")
def trace(x: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The sum of a diagonal."""
    return reduce.sum(diagonal(x, offset, axis1, axis2), axis=-1)


def fill_diagonal(a: Any, val: Any) -> Variable:
    """``a`` with ``val`` on its main diagonal; if it has more than two axes, all must have the same length."""
    a = as_tensor(a)
    if a.ndim < 2:
        raise ShapeError(located("fill_diagonal: expected at least two axes", [a]))
    if a.ndim == 2:
        return fill_diagonal_offset(a, val, 0)
    text = "fill_diagonal: all axes of a tensor of more than two must have one length"
    a = require_lengths(a, [(shape_i(a, 0), shape_i(a, k), text) for k in range(1, a.ndim)])
    return set_subtensor(subtensor(a, (arange(a.shape[0]),) * a.ndim), val)


def fill_diagonal_offset(a: Any, val: Any, offset: Any) -> Variable:
    """The matrix ``a`` with ``val`` on its diagonal ``offset``."""
    a = as_tensor(a)
    if a.ndim != 2:
        raise ShapeError(located("fill_diagonal_offset: expected a matrix", [a]))
    return set_subtensor(subtensor(a, _on_diagonal(a.shape[0], a.shape[1], offset)), val)
