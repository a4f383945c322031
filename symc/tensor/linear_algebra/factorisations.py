"""Cholesky and singular value decompositions.

Functions on the CPU call LAPACK, or the run-time library's own code for small matrices; other back ends call NumPy. A
matrix that cannot be factorised raises ``numpy.linalg.LinAlgError``, which names the matrix and the user's line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.routines import RoutineCall
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers.parts import conj
from symc.tensor.creation import eye, tril
from symc.tensor.ifelse import ifelse
from symc.tensor.linalg import matmul
from symc.tensor.linear_algebra.linear_systems import solve_general, triangular
from symc.tensor.linear_algebra.matrices import (
    batch_of,
    flipped,
    matrix_of,
    of_triangle,
    over_columns,
    over_rows,
    reciprocal_or_zero,
    side,
)
from symc.tensor.options import choice
from symc.tensor.symbolic_dims import length

__all__ = ["CHOLESKY", "SVD", "by_sides", "cho_solve", "cholesky", "each_cholesky", "solve", "svd", "thin"]


def _square_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    side(op, inputs[0])
    return inputs[0].type


# --- Cholesky -------------------------------------------------------------------------------------------------------


def _cholesky_numpy(op: Op, a: np.ndarray) -> np.ndarray:
    turned = a if op["lower"] else a.swapaxes(-1, -2)
    found = each_cholesky(turned) if op["nan"] else np.linalg.cholesky(turned)
    return found if op["lower"] else found.swapaxes(-1, -2)


def each_cholesky(a: np.ndarray) -> np.ndarray:
    """The factors of matrices, of which those that have none are NaN."""
    found = np.full(a.shape, np.nan, a.dtype)
    for k in np.ndindex(a.shape[:-2]):
        try:
            found[k] = np.linalg.cholesky(a[k])
        except np.linalg.LinAlgError:
            pass
    return found


def _cholesky_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Any]:
    """``dA = L^-T Phi(L^T dL) L^-1``, symmetrised; ``Phi`` takes the lower triangle and half of the diagonal.

    Of that, the part that belongs to the triangle that is read.

    Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527.
    """
    (l,), (g,) = outputs, gs
    if not op["lower"]:
        l, g = flipped(l), flipped(g)
    inner = matmul(flipped(l), g)
    phi = (tril(inner) + tril(inner, -1)) / 2
    half = flipped(triangular(l, phi, turned=True))
    whole = triangular(l, half, turned=True)
    return [of_triangle(whole, op["lower"])]


CHOLESKY: Record = record(
    "cholesky",
    infer=_square_infer,
    numpy=_cholesky_numpy,
    grad=_cholesky_grad,
    lower=HostCall(
        native=RoutineCall(
            "cholesky",
            lambda node: [batch_of(node), node.inputs[0].type.shape[-1], int(node.op["lower"]), int(node.op["nan"])],
        )
    ),
    cases=lambda: [
        Case(lambda a: cholesky(_positive(a)), (Arg((3, 3)),), expect=lambda a: np.linalg.cholesky(_positive(a))),
        Case(
            lambda a: cholesky(_positive(a), lower=False), (Arg((3, 3)),),
            expect=lambda a: np.linalg.cholesky(_positive(a)).T,
        ),
        Case(
            lambda a: cholesky(_positive(a)), (Arg((2, 3, 3)),),
            expect=lambda a: np.stack([np.linalg.cholesky(_positive(m)) for m in a]),
        ),
        Case(lambda a: cholesky(a), (Arg((0, 0)),), expect=lambda a: a, grad=False),
    ],
)  # fmt: skip


def _positive(a: Any) -> Any:
    """Make a symmetric positive definite matrix from any matrix."""
    return a @ (flipped(a) if isinstance(a, Variable) else a.swapaxes(-1, -2)) + 3 * np.eye(3).astype("float32")


def cholesky(a: Any, lower: bool = True, on_error: str = "raise") -> Variable:
    """The Cholesky factor: the triangular ``l`` with ``dot(l, l.T) = a`` (with ``lower=False`` its transpose).

    Parameters
    ----------
    a : tensor_like
        ``(..., n, n)``, symmetric and positive definite; only the lower triangles are read, or with ``lower=False`` the
        upper ones.
    lower : bool
        Whether to return the lower triangular factor.
    on_error : {"raise", "nan"}
        What becomes of matrices that are not positive definite: ``numpy.linalg.LinAlgError``, or a factor of NaN.

    Notes
    -----
    The gradient by ``a`` is that of a function of one triangle: it is triangular, and counts what belongs to both
    triangles twice. For a symmetric ``a`` that is computed from other variables this makes no difference to theirs.
    """
    choice("cholesky", "on_error", on_error, ("raise", "nan"))
    return Op(CHOLESKY, lower=bool(lower), nan=on_error == "nan")(matrix_of("cholesky", a))


def cho_solve(c_and_lower: tuple[Any, bool], b: Any) -> Variable:
    """Solve ``matmul(a, x) = b``, given the Cholesky factor of ``a``, as ``scipy.linalg.cho_solve``.

    Parameters
    ----------
    c_and_lower : pair
        The factor, ``(..., n, n)``, and whether it is the lower one.
    b : tensor_like
        ``(..., n, k)`` or ``(n,)``.
    """
    factor, lower = c_and_lower
    lower = bool(lower)
    factor = matrix_of("cho_solve", factor)
    turned = conj(factor)  # of complex matrices the adjoint counts
    half = triangular(factor if lower else turned, b, lower, not lower, what="cho_solve")
    return triangular(turned if lower else factor, half, lower, lower, what="cho_solve")


_ASSUMED = ("gen", "general", "sym", "symmetric", "her", "hermitian", "pos", "positive definite")


def solve(a: Any, b: Any, assume_a: str = "gen", lower: bool = False) -> Variable:
    """Solve ``matmul(a, x) = b`` for ``x``.

    Parameters
    ----------
    a : tensor_like
        ``(..., n, n)``.
    b : tensor_like
        ``(..., n, k)`` or ``(n,)``. Leading axes of both broadcast.
    assume_a : {"gen", "sym", "her", "pos"}
        With "pos", the matrices are positive definite: one triangle is read, and factorised as ``cholesky`` does, which
        takes half as long. The others are solved as general matrices.
    lower : bool
        Which triangle is read with "pos".

    Returns
    -------
    Variable
        ``(..., n, k)``, or ``(..., n)`` if ``b`` is a vector. A singular matrix raises ``numpy.linalg.LinAlgError`` at
        call time.
    """
    choice("solve", "assume_a", assume_a, tuple(_ASSUMED))
    if assume_a in ("pos", "positive definite"):
        return cho_solve((cholesky(a, lower=lower), lower), b)
    return solve_general(a, b)


# --- singular values --------------------------------------------------------------------------------------------------


def _svd_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    (a,) = inputs
    *lead, m, n = a.type.shape
    k = dims.minimum(m, n)
    full = op["full"]
    found = [TensorType(a.dtype, (*lead, *own)) for own in ((m, m if full else k), (k,), (n if full else k, n))]
    return found if op["vectors"] else [found[1]]


def _svd_numpy(op: Op, a: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.linalg.svd(a, full_matrices=op["full"])) if op["vectors"] else (np.linalg.svd(a, compute_uv=False),)


def _svd_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """The gradient by Townsend, "Differentiating the singular value decomposition" (2016), for the thin factors.

    With ``F_ij = 1 / (s_j^2 - s_i^2)`` off the diagonal and 0 on it:
    ``dA = U core V' + (I - UU') dU S^-1 V' + U S^-1 dV' (I - VV')`` and
    ``core = (F o (U'dU - dU'U)) S + S (F o (V'dV - dV'V)) + diag ds``.

    Of the last two terms, one is zero for a tall or wide matrix, and both for a square one.

    Columns ``U2`` beyond the thin factor span the rest of the space: ``dU2 = -U (dU' U2)``, which adds ``-U2 dU2' U``
    to the gradient by ``U``.
    """
    u, s, vt = outputs
    gu, gs_, gvt = gs
    v, gv = flipped(vt), flipped(gvt)
    if op["full"]:
        k = length(s, s.ndim - 1)
        u, gu = thin(u, gu, k)
        v, gv = thin(v, gv, k)
        vt = flipped(v)
    squares, row, column = ew.sqr(s), over_columns(s), over_rows(s)
    f = reciprocal_or_zero(over_columns(squares) - over_rows(squares))
    utgu, vtgv = matmul(flipped(u), gu), matmul(vt, gv)
    diagonal = over_columns(gs_) * eye(length(s, s.ndim - 1), dtype=s.dtype)
    core = f * ((utgu - flipped(utgu)) * row + (vtgv - flipped(vtgv)) * column) + diagonal
    inverse = reciprocal_or_zero(s)
    left, right = over_columns(inverse), over_rows(inverse)

    def tall() -> Variable:
        return matmul(matmul(u, core - utgu * left) + gu * left, vt)

    def wide() -> Variable:
        return matmul(u, matmul(core - right * flipped(vtgv), vt) + right * flipped(gv))

    def square() -> Variable:
        return matmul(u, matmul(core, vt))

    return [by_sides(inputs[0], tall, wide, square)]


def by_sides(
    a: Variable, tall: Callable[[], Variable], wide: Callable[[], Variable], square: Callable[[], Variable]
) -> Variable:
    """One of three values, by whether ``a`` has more rows than columns, or fewer, or as many."""
    m, n = length(a, a.ndim - 2), length(a, a.ndim - 1)
    if isinstance(m, int) and isinstance(n, int):
        return tall() if m > n else wide() if m < n else square()
    return ifelse(ew.gt(m, n), tall(), ifelse(ew.lt(m, n), wide(), square()))  # type: ignore[no-any-return]


def thin(q: Variable, g: Variable, k: Any) -> tuple[Variable, Variable]:
    """The first ``k`` columns of an orthogonal matrix, and the gradient by them, with what the others add to it."""
    first, rest, by_rest = q[..., :k], q[..., k:], g[..., k:]
    return first, g[..., :k] - matmul(rest, matmul(flipped(by_rest), first))


def _without_vectors(op: Op, used: Sequence[bool]) -> tuple[Op, list[int]]:
    if not op["vectors"] or used[0] or used[2]:
        return op, list(range(len(used)))
    return Op(SVD, vectors=False, full=False), [1]


SVD: Record = record(
    "svd",
    infer=_svd_infer,
    numpy=_svd_numpy,
    grad=_svd_grad,
    lower=HostCall(
        native=RoutineCall(
            lambda op: "svd" if op["vectors"] else "singular_values",
            lambda node: [
                batch_of(node),
                *node.inputs[0].type.shape[-2:],
                *([int(node.op["full"])] if node.op["vectors"] else []),
            ],
        )
    ),
    drop_unused=_without_vectors,
    cases=lambda: [
        Case(lambda a: _rebuilt(a), (Arg((4, 3)),), expect=_rebuilt_numpy, rtol=1e-4),
        Case(lambda a: _rebuilt(a), (Arg((2, 4)),), expect=_rebuilt_numpy, rtol=1e-4),
        Case(lambda a: _rebuilt(a), (Arg((2, 3, 2)),), expect=_rebuilt_numpy, rtol=1e-4),
        Case(lambda a: _spanned(a, False), (Arg((4, 2)),), expect=_spanned_numpy, rtol=1e-4),
        Case(lambda a: _spanned(a, True), (Arg((2, 2, 3)),), expect=_spanned_numpy, rtol=1e-4),
        Case(lambda a: svd(a, compute_uv=False), (Arg((3, 3)),), expect=lambda a: np.linalg.svd(a)[1], rtol=1e-4),
    ],
)


def _rebuilt(a: Variable) -> Variable:
    """An expression that depends on all factors, but not on the signs of singular vectors."""
    u, s, vt = svd(a, full_matrices=False)
    return matmul(u * over_columns(ew.sqrt(s)), vt)


def _spanned(a: Variable, wide: bool) -> Variable:
    """An expression that depends on the columns beyond the thin factors through the space that they span."""
    u, s, vt = svd(a)
    k = length(s, s.ndim - 1)
    if wide:
        rest = flipped(vt[..., k:, :])
        return matmul(rest, flipped(rest))
    return matmul(u[..., k:], flipped(u[..., k:]))


def _spanned_numpy(a: np.ndarray) -> np.ndarray:
    """The projection onto what is orthogonal to the columns, or the rows."""
    a = np.asarray(a, "float64") if a.shape[-2] > a.shape[-1] else np.asarray(a, "float64").swapaxes(-1, -2)
    return np.eye(a.shape[-2]) - a @ np.linalg.pinv(a)


def _rebuilt_numpy(a: np.ndarray) -> np.ndarray:
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return (u * np.sqrt(s)[..., None, :]) @ vt


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Singular value decomposition: ``a = dot(u[:, :k] * s, vt[:k])``, as ``numpy.linalg.svd``.

    Parameters
    ----------
    a : tensor_like
        ``(m, n)``, or with leading axes that all results have too.
    full_matrices : bool
        Whether ``u`` and ``vt`` are square. If False, they have as many columns and rows as there are singular values.
    compute_uv : bool
        If False, return only the singular values.

    Returns
    -------
    u : Variable
        ``(m, m)``, or ``(m, k)`` with ``k = min(m, n)``; orthonormal columns.
    s : Variable
        ``(k,)``, in descending order.
    vt : Variable
        ``(n, n)`` or ``(k, n)``; orthonormal rows.

    Notes
    -----
    The derivative exists where no two singular values are equal; terms between equal values are omitted. That of the
    columns beyond the k-th is the one of functions of the space that they span.
    """
    u, s, vt = Op(SVD, vectors=True, full=bool(full_matrices) and bool(compute_uv))(matrix_of("svd", a))
    return (u, s, vt) if compute_uv else s


explain_faults(globals())
