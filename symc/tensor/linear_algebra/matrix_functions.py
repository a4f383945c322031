"""Functions of matrices composed of products, systems and decompositions: powers, norms, Kronecker products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, TypeMismatchError, located
from symc.graph import Constant, Variable
from symc.graph.argument_faults import explain_faults
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.complex_numbers.parts import real, squared_size
from symc.tensor.creation import eye, tril, triu
from symc.tensor.diagonals import diag, diagonal
from symc.tensor.keywords import also_named
from symc.tensor.linalg import matmul, product_of
from symc.tensor.linear_algebra.decompositions import eigh
from symc.tensor.linear_algebra.factorisations import cholesky, solve, svd
from symc.tensor.linear_algebra.linear_systems import matrix_inverse, solve_lower_triangular
from symc.tensor.linear_algebra.matrices import adjoint, matrix_of
from symc.tensor.options import integer
from symc.tensor.reshaping import reshape
from symc.tensor.symbolic_dims import length

__all__ = [
    "alloc_diag", "cond", "eigvalsh", "extract_diag", "kron", "matrix_dot", "matrix_power", "matrix_rank", "norm",
    "solve_symmetric", "tensorinv", "tensorsolve",
]  # fmt: skip


def matrix_dot(*factors: Any) -> Variable:
    """The product of all ``factors`` from left to right: ``matmul`` of the first two, and so on."""
    if not factors:
        raise ValueError("matrix_dot: expected at least one matrix")
    total = as_tensor(factors[0])
    for other in factors[1:]:
        total = matmul(total, other)
    return total


@also_named(M="a")
def matrix_power(a: Any, n: int) -> Variable:
    """The ``n``-th power of square matrices, by repeated squaring; negative powers are those of the inverses.

    Parameters
    ----------
    a : tensor_like
        ``(..., m, m)``.
    n : int
    """
    a = matrix_of("matrix_power", a)
    n = integer("matrix_power", "n", n, [a])
    if n < 0:
        a, n = matrix_inverse(a), -n
    if n == 0:
        return a * 0 + eye(length(a, a.ndim - 1), dtype=a.dtype)
    result: Variable | None = None
    while True:
        if n & 1:
            result = a if result is None else matmul(result, a)
        n >>= 1
        if not n:
            assert result is not None
            return result
        a = matmul(a, a)


def kron(a: Any, b: Any) -> Variable:
    """The Kronecker product: blocks ``a[i, j] * b``; operands with fewer axes get leading axes of length 1."""
    a, b = as_tensor(a), as_tensor(b)
    n = max(a.ndim, b.ndim)
    if not n:
        return a * b
    a, b = (dimshuffle(v, ["x"] * (n - v.ndim) + list(range(v.ndim))) for v in (a, b))
    left = dimshuffle(a, [e for k in range(n) for e in (k, "x")])
    right = dimshuffle(b, [e for k in range(n) for e in ("x", k)])
    return reshape(left * right, [length(a, k) * length(b, k) for k in range(n)], ndim=n)


def alloc_diag(v: Any) -> Variable:
    """A matrix with the vector ``v`` on its diagonal, and zeros elsewhere."""
    v = as_tensor(v)
    if v.ndim != 1:
        raise TypeMismatchError(located(f"alloc_diag: expected a vector, got {v.ndim} axes", [v]))
    return diag(v)


def extract_diag(a: Any) -> Variable:
    """The diagonal of a matrix."""
    a = as_tensor(a)
    if a.ndim != 2:
        raise TypeMismatchError(located(f"extract_diag: expected a matrix, got {a.ndim} axes", [a]))
    return diagonal(a)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Variable:
    """The norm of a vector or a matrix, as ``numpy.linalg.norm``.

    Parameters
    ----------
    x : tensor_like
    ord : {None, "fro", "nuc", inf, -inf, "inf", "-inf", 0} or number
        None is the root of the sum of squares. For matrices, "fro" is the same, "nuc" the sum of singular values, 1 and
        -1 the largest and smallest sum of absolute values of a column, inf and -inf of a row, 2 and -2 the largest and
        smallest singular value. For vectors, 0 counts what is not zero, and p is ``sum(abs(x) ** p) ** (1 / p)``.
    axis : int or pair of int, optional
        An axis of vectors, or the two axes of matrices. By default ``x`` is one vector or matrix; with ``ord=None`` it
        may have any number of axes.
    keepdims : bool
        Keep the axes with length 1.

    Raises
    ------
    ValueError
        If ``ord`` is not defined for what ``axis`` describes.
    """
    x = as_tensor(x)
    if ord in ("inf", "-inf"):  # Theano's spelling
        ord = float(ord)
    if axis is None and ord is None:
        return ew.sqrt(reduce.sum(squared_size(x), keepdims=keepdims))
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, Sequence) else (axis,)
    over = tuple(normalize_axis(k, x.ndim, "norm", x) for k in axes)
    if len(over) == 1:
        return _vector_norm(x, ord, over, keepdims)
    if len(over) != 2 or over[0] == over[1]:
        raise ValueError(located(f"norm: expected one axis or two different ones, got {tuple(axes)}", [x]))
    return _matrix_norm(x, ord, over, keepdims)


def _vector_norm(x: Variable, ord: Any, over: tuple[int, ...], keepdims: bool) -> Variable:
    options: dict[str, Any] = {"axis": over, "keepdims": keepdims}
    size = ew.abs_(x)
    if ord is None or ord == 2:
        return ew.sqrt(reduce.sum(squared_size(x), **options))
    if isinstance(ord, str):
        raise ValueError(located(f"norm: ord={ord!r} is not defined for vectors", [x], "give a number"))
    if ord in (np.inf, -np.inf):
        return (reduce.max if ord > 0 else reduce.min)(size, **options)
    if ord == 0:
        return reduce.sum(ew.cast(ew.neq(x, 0), size.dtype), **options)
    if ord == 1:
        return reduce.sum(size, **options)
    return reduce.sum(size**ord, **options) ** (1.0 / ord)


def _matrix_norm(x: Variable, ord: Any, over: tuple[int, ...], keepdims: bool) -> Variable:
    if ord is None or ord == "fro":
        return ew.sqrt(reduce.sum(squared_size(x), axis=over, keepdims=keepdims))
    rows, columns = over
    if ord in (1, -1, np.inf, -np.inf):
        summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
        total = reduce.sum(ew.abs_(x), axis=summed, keepdims=True)
        found = (reduce.max if ord > 0 else reduce.min)(total, axis=other, keepdims=True)
    elif ord in (2, -2, "nuc"):
        order = [k for k in range(x.ndim) if k not in over]
        values = svd(dimshuffle(x, [*order, rows, columns]), compute_uv=False)
        pick: Any = {2: reduce.max, -2: reduce.min, "nuc": reduce.sum}[ord]
        found = pick(values, axis=-1)
        found = dimshuffle(found, [order.index(k) if k in order else "x" for k in range(x.ndim)])
    else:
        choices = "None, 'fro', 'nuc', 1, -1, 2, -2, inf and -inf"
        raise ValueError(located(f"norm: ord={ord!r} is not defined for matrices", [x], f"choose one of {choices}"))
    return found if keepdims else dimshuffle(found, [k for k in range(x.ndim) if k not in over])


def eigvalsh(a: Any, b: Any = None, lower: bool = True) -> Variable:
    """The eigenvalues, in ascending order, of symmetric matrices; or those ``w`` with ``a v = w b v``.

    Parameters
    ----------
    a : tensor_like
        ``(..., n, n)``, symmetric.
    b : tensor_like, optional
        ``(..., n, n)``, symmetric and positive definite.
    lower : bool
        Which triangles are read.

    Notes
    -----
    The gradients are those of functions of one triangle, as that of ``eigh``. They exist where no two eigenvalues are
    equal; for sums over equal eigenvalues they are right, too.
    """
    a = matrix_of("eigvalsh", a)
    if b is None or isinstance(b, Constant) and b.data.dtype == object:
        return eigh(a, "L" if lower else "U")[0]
    strict = tril(a, -1) if lower else triu(a, 1)
    diagonal = real(tril(triu(a)))
    factor = cholesky(b, lower=lower)
    if not lower:
        factor = adjoint(factor)
    half = solve_lower_triangular(factor, strict + adjoint(strict) + diagonal)
    return eigh(solve_lower_triangular(factor, adjoint(half)))[0]


def cond(x: Any, p: Any = None) -> Variable:
    """The condition numbers of matrices, as ``numpy.linalg.cond``.

    Parameters
    ----------
    x : tensor_like
        ``(..., m, n)``; square unless ``p`` is None, 2 or -2.
    p : {None, "fro", 1, -1, 2, -2, inf, -inf}
        The norm; None is 2: the ratio of the largest singular value and the smallest one, which is infinite for
        singular matrices.
    """
    x = matrix_of("cond", x)
    if p in (None, 2, -2):
        s = svd(x, compute_uv=False)
        large, small = s[..., 0], s[..., -1]
        return small / large if p == -2 else large / small
    axes = (x.ndim - 2, x.ndim - 1)
    return norm(x, p, axis=axes) * norm(matrix_inverse(x), p, axis=axes)


def matrix_rank(a: Any, tol: Any = None, hermitian: bool = False) -> Variable:
    """The number of singular values greater than ``tol``, as ``numpy.linalg.matrix_rank``; it has no gradient.

    Parameters
    ----------
    a : tensor_like
        ``(..., m, n)``; of a vector, the rank is 0 if it is zero, else 1.
    tol : tensor_like, optional
        By default the largest singular value times ``max(m, n)`` times the machine epsilon of the dtype.
    hermitian : bool
        Whether the matrices are symmetric; their eigenvalues then take the place of singular values.
    """
    a = as_tensor(a)
    if a.ndim < 2:
        return ew.cast(reduce.any(ew.neq(a, 0)), "int64")
    a = matrix_of("matrix_rank", a)
    s = ew.abs_(eigh(a)[0]) if hermitian else svd(a, compute_uv=False)
    if tol is None:
        sides = ew.maximum(length(a, a.ndim - 2), length(a, a.ndim - 1))
        epsilon = np.finfo(s.dtype if s.dtype == "float64" else "float32").eps
        bound = reduce.max(s, axis=-1, keepdims=True) * ew.cast(sides, s.dtype) * epsilon
    else:
        bound = as_tensor(tol)
        bound = dimshuffle(bound, [*range(bound.ndim), "x"]) if bound.ndim else bound
    return reduce.sum(ew.cast(s > bound, "int64"), axis=-1)


def solve_symmetric(a: Any, b: Any) -> Variable:
    """As ``solve`` for symmetric matrices ``a``."""
    return solve(a, b)


def tensorinv(a: Any, ind: int = 2) -> Variable:
    """The inverse of the linear map from the last axes of ``a`` to its first ``ind`` axes; see ``numpy.linalg``."""
    a = as_tensor(a)
    ind = integer("tensorinv", "ind", ind, [a])
    if not 0 < ind < a.ndim:
        raise ValueError(located(f"tensorinv: ind={ind} must leave axes on both sides of {a.ndim}", [a]))
    lengths = [length(a, k) for k in range(a.ndim)]
    inverse = matrix_inverse(reshape(a, [product_of(lengths[:ind]), product_of(lengths[ind:])], ndim=2))
    return reshape(inverse, [*lengths[ind:], *lengths[:ind]], ndim=a.ndim)


def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Variable:
    """Solve ``tensordot(a, x, x.ndim) = b`` for ``x``, as ``numpy.linalg.tensorsolve``.

    Parameters
    ----------
    a : tensor_like
        The axes of ``b``, then those of ``x``.
    b : tensor_like
    axes : sequence of int, optional
        Axes of ``a`` that are moved to its end first.
    """
    a, b = as_tensor(a), as_tensor(b)
    if axes is not None:
        last = [normalize_axis(k, a.ndim, "tensorsolve", a) for k in axes]
        a = dimshuffle(a, [*(k for k in range(a.ndim) if k not in last), *last])
    if a.ndim <= b.ndim:
        raise ShapeError(located("tensorsolve: a must have more axes than b", [a, b]))
    kept = [length(a, k) for k in range(b.ndim, a.ndim)]
    rows = product_of([length(b, k) for k in range(b.ndim)])
    found = solve(reshape(a, [rows, product_of(kept)], ndim=2), reshape(b, [rows], ndim=1))
    return reshape(found, kept, ndim=len(kept))


explain_faults(globals())
