"""Linear least squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.dtypes import floating, part_of
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.basic import as_tensor
from symc.tensor.complex_numbers.parts import squared_size
from symc.tensor.linalg import dot
from symc.tensor.linear_algebra.decompositions import pinv
from symc.tensor.linear_algebra.factorisations import svd
from symc.tensor.linear_algebra.matrices import matrix_of
from symc.tensor.symbolic_dims import length

__all__ = ["lstsq"]


def lstsq(a: Any = None, b: Any = None, rcond: Any = None) -> Any:
    """The least-squares solution ``x`` of ``dot(a, x) = b``: of those with the smallest residual, the shortest.

    Parameters
    ----------
    a : tensor_like
        ``(m, n)``. Theano's form ``lstsq()(a, b, rcond)`` works, too.
    b : tensor_like
        ``(m,)`` or ``(m, k)``.
    rcond : number or scalar, optional
        Singular values of at most ``rcond`` times the largest one count as zero. By default the machine epsilon times
        ``max(m, n)``; what is not between 0 and 1 means the machine epsilon, as in LAPACK.

    Returns
    -------
    x : Variable
        ``(n,)`` or ``(n, k)``.
    residuals : Variable
        ``(k,)``: sums of squares of ``b - dot(a, x)``; empty if ``a`` has rank less than n, or m <= n.
    rank : Variable
        The number of singular values that count; int64.
    s : Variable
        The singular values of ``a``.

    Notes
    -----
    The gradient of ``x`` is that for matrices whose rank does not change (Golub and Pereyra, 1973).
    """
    if a is None and b is None and rcond is None:
        return lstsq
    a, b = matrix_of("lstsq", a), as_tensor(b)
    if a.ndim != 2 or b.ndim not in (1, 2):
        text = f"lstsq: expected a matrix and a vector or a matrix, got {a.ndim} and {b.ndim} axes"
        raise ShapeError(located(text, [a, b], "apply it to one system at a time"))
    dtype = ew.unify_dtypes([a, ew.cast(b, floating(b.dtype))])
    a, b = ew.cast(a, dtype), ew.cast(b, dtype)
    m, n = length(a, 0), length(a, 1)
    bound = _bound(rcond, m, n, part_of(dtype))
    x = dot(pinv(a, bound), b)
    s = svd(a, compute_uv=False)
    rank = reduce.sum(ew.cast(s > ew.cast(bound, s.dtype) * reduce.max(s), "int64"))
    squares = reduce.sum(squared_size(b - dot(a, x)), axis=0, keepdims=b.ndim == 1)
    determined = ew.and_(ew.eq(rank, n), ew.gt(m, n))
    return x, squares[: ew.switch(determined, length(squares, 0), 0)], rank, s


def _bound(rcond: Any, m: Any, n: Any, dtype: str) -> Variable:
    """The relative size of singular values that count as zero, as a float64 scalar."""
    epsilon = float(np.finfo(np.float64 if dtype == "float64" else np.float32).eps)
    if rcond is None:
        return ew.cast(ew.maximum(m, n), "float64") * epsilon
    rcond = ew.cast(as_tensor(rcond), "float64")
    if rcond.ndim:
        raise ShapeError(located(f"lstsq: rcond must be a number or a scalar, got {rcond.ndim} axes", [rcond]))
    return ew.switch(ew.or_(ew.le(rcond, 0), ew.ge(rcond, 1)), epsilon, rcond)
