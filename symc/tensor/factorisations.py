"""Matrix factorisations: Cholesky and singular value decompositions; inverses and linear systems.

NumPy is called in mid-program on every back end. A matrix that cannot be factorised raises
``numpy.linalg.LinAlgError``, which names the matrix and the user's line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable, dims
from symc.graph.dtypes import floating
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, HostCall, Op, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.creation import identity_like, tril
from symc.tensor.linalg import dot

__all__ = ["cholesky", "matrix_inverse", "solve", "svd"]


def _matrix(what: str, a: Any) -> Variable:
    """Convert ``a`` to a matrix of floats."""
    a = as_tensor(a)
    if a.ndim != 2:
        raise ShapeError(located(f"{what}: expected a matrix, got {a.ndim} axes", [a]))
    return ew.cast(a, floating(a.dtype))


def _square(op: Op, a: Variable) -> dims.Dim:
    rows, columns = a.type.shape
    return require_equal(
        rows, columns, f"{op.name}: the matrix is not square", [a], "it must have as many rows as columns"
    )


# --- linear systems -------------------------------------------------------------------------------------------------


def _solve_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    a, b = inputs
    n = _square(op, a)
    require_equal(n, b.type.shape[0], "solve: the right side has another number of rows than the matrix", [a, b])
    return TensorType(b.dtype, b.type.shape)


def _solve_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dB = A^-T dX`` and ``dA = -dB X^T``."""
    a, _ = inputs
    by_b = Op(_solve)(a.T, gs[0])
    return [-dot(by_b, outputs[0].T), by_b]


_solve = record(
    "solve",
    infer=_solve_infer,
    numpy=lambda op, a, b: np.linalg.solve(a, b),
    grad=_solve_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(lambda a, b: solve(_dominant(a), b), (Arg((3, 3)), Arg((3, 2))), expect=_solved),
        Case(lambda a, b: solve(_dominant(a), b), (Arg((3, 3)), Arg((3,))), expect=_solved),
        Case(lambda a: matrix_inverse(_dominant(a)), (Arg((3, 3)),), expect=lambda a: np.linalg.inv(_dominant(a))),
    ],
)


def _dominant(a: Any) -> Any:
    """Make a matrix far from singular from any matrix."""
    return a + 8 * np.eye(3).astype("float32")


def _solved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.inv(_dominant(a)) @ b


def solve(a: Any, b: Any) -> Variable:
    """Solve ``dot(a, x) = b`` for ``x``.

    Parameters
    ----------
    a : tensor_like
        ``(n, n)``.
    b : tensor_like
        ``(n, k)`` or ``(n,)``.

    Returns
    -------
    Variable
        The shape of ``b``. A singular matrix raises ``numpy.linalg.LinAlgError`` at call time.
    """
    a, b = _matrix("solve", a), as_tensor(b)
    if b.ndim not in (1, 2):
        raise ShapeError(located(f"solve: the right side must be a vector or a matrix, got {b.ndim} axes", [b]))
    dtype = ew.unify_dtypes([a, ew.cast(b, floating(b.dtype))])
    a, b = ew.cast(a, dtype), ew.cast(b, dtype)
    if b.ndim == 1:
        return Op(_solve)(a, b.dimshuffle(0, "x"))[:, 0]
    return Op(_solve)(a, b)


def matrix_inverse(a: Any) -> Variable:
    """The inverse of an ``(n, n)`` matrix."""
    a = _matrix("matrix_inverse", a)
    return Op(_solve)(a, identity_like(a))


# --- Cholesky -------------------------------------------------------------------------------------------------------


def _cholesky_numpy(op: Op, a: np.ndarray) -> np.ndarray:
    return np.linalg.cholesky(a) if op["lower"] else np.linalg.cholesky(a.T).T


def _cholesky_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Any]:
    """``dA = L^-T Phi(L^T dL) L^-1``, symmetrised; ``Phi`` takes the lower triangle and half of the diagonal.

    Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527.
    """
    (l,), (g,) = outputs, gs
    if not op["lower"]:
        l, g = l.T, g.T
    inner = dot(l.T, g)
    phi = (tril(inner) + tril(inner, -1)) / 2
    left = Op(_solve)(l.T, phi)
    whole = Op(_solve)(l.T, left.T)
    return [(whole + whole.T) / 2]


def _cholesky_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    n = _square(op, inputs[0])
    return TensorType(inputs[0].dtype, (n, n))


_cholesky = record(
    "cholesky",
    infer=_cholesky_infer,
    numpy=_cholesky_numpy,
    grad=_cholesky_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(lambda a: cholesky(_positive(a)), (Arg((3, 3)),), expect=lambda a: np.linalg.cholesky(_positive(a))),
        Case(
            lambda a: cholesky(_positive(a), lower=False), (Arg((3, 3)),),
            expect=lambda a: np.linalg.cholesky(_positive(a)).T,
        ),
        Case(lambda a: cholesky(a), (Arg((0, 0)),), expect=lambda a: a, grad=False),
    ],
)  # fmt: skip


def _positive(a: Any) -> Any:
    """Make a symmetric positive definite matrix from any matrix."""
    product = dot(a, a.T) if isinstance(a, Variable) else a @ a.T
    return product + 3 * np.eye(3).astype("float32")


def cholesky(a: Any, lower: bool = True) -> Variable:
    """The Cholesky factor: the triangular ``l`` with ``dot(l, l.T) = a`` (with ``lower=False`` its transpose).

    ``a`` must be symmetric and positive definite; only its lower triangle is read. Otherwise the call raises
    ``numpy.linalg.LinAlgError``. The gradient by ``a`` is symmetric.
    """
    return Op(_cholesky, lower=bool(lower))(_matrix("cholesky", a))


# --- singular values --------------------------------------------------------------------------------------------------


def _svd_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    (a,) = inputs
    m, n = a.type.shape
    k = dims.minimum(m, n)
    return [TensorType(a.dtype, (m, k)), TensorType(a.dtype, (k,)), TensorType(a.dtype, (k, n))]


def _svd_numpy(op: Op, a: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.linalg.svd(a, full_matrices=False))


def _svd_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """The gradient by Townsend, "Differentiating the singular value decomposition" (2016), for the thin factors.

    With ``F_ij = 1 / (s_j^2 - s_i^2)`` off the diagonal and 0 on it:
    ``dA = U [(F o (U'dU - dU'U)) S + S (F o (V'dV - dV'V)) + diag ds] V' + (I - UU') dU S^-1 V' + U S^-1 dV' (I -
    VV')``.
    """
    u, s, vt = outputs
    gu, gs_, gvt = gs
    v, gv = vt.T, gvt.T
    squares = ew.sqr(s)
    gaps = squares.dimshuffle("x", 0) - squares.dimshuffle(0, "x")
    apart = ew.neq(gaps, 0)
    f = ew.switch(apart, 1 / ew.switch(apart, gaps, 1), 0)
    row, column = s.dimshuffle("x", 0), s.dimshuffle(0, "x")
    utgu, vtgv = dot(u.T, gu), dot(vt, gv)
    core = f * (utgu - utgu.T) * row + column * (f * (vtgv - vtgv.T))
    diagonal = dot(u * (gs_.dimshuffle("x", 0)), vt)
    inside = ew.neq(s, 0)
    inverse = ew.switch(inside, 1 / ew.switch(inside, s, 1), 0).dimshuffle("x", 0)
    left = (gu - dot(u, utgu)) * inverse
    right = (gv - dot(v, vtgv)) * inverse
    return [dot(u, dot(core, vt)) + diagonal + dot(left, vt) + dot(u, right.T)]


_svd = record(
    "svd",
    infer=_svd_infer,
    numpy=_svd_numpy,
    grad=_svd_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(lambda a: _rebuilt(a), (Arg((4, 3)),), expect=_rebuilt_numpy, rtol=1e-4),
        Case(lambda a: _rebuilt(a), (Arg((2, 4)),), expect=_rebuilt_numpy, rtol=1e-4),
        Case(lambda a: svd(a, compute_uv=False), (Arg((3, 3)),), expect=lambda a: np.linalg.svd(a)[1], rtol=1e-4),
    ],
)


def _rebuilt(a: Variable) -> Variable:
    """An expression that depends on all factors, but not on the signs of singular vectors."""
    u, s, vt = svd(a)
    return dot(u * ew.sqrt(s).dimshuffle("x", 0), vt)


def _rebuilt_numpy(a: np.ndarray) -> np.ndarray:
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return (u * np.sqrt(s)) @ vt


def svd(a: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """Singular value decomposition: ``a = dot(u * s, vt)``.

    Parameters
    ----------
    a : tensor_like
        ``(m, n)``.
    full_matrices : bool
        Must be False: the number of columns of ``u`` and of rows of ``vt`` is the number of singular values.
    compute_uv : bool
        If False, return only the singular values.

    Returns
    -------
    u : Variable
        ``(m, k)`` with ``k = min(m, n)``; orthonormal columns.
    s : Variable
        ``(k,)``, in descending order.
    vt : Variable
        ``(k, n)``; orthonormal rows.

    Notes
    -----
    The derivative exists where no two singular values are equal; terms between equal values are omitted.
    """
    if full_matrices:
        text = "svd: full_matrices=True is not supported: the extra columns are not determined, and have no derivative"
        raise ValueError(located(text, [], "leave it out"))
    u, s, vt = Op(_svd)(_matrix("svd", a))
    return (u, s, vt) if compute_uv else s
