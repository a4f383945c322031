"""Matrix factorisations: Cholesky and singular value decompositions; inverses and linear systems.

NumPy is called in mid-program on every back end. A matrix that cannot be factorised raises
``numpy.linalg.LinAlgError``, which names the matrix and the user's line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable, dims
from symc.graph.dtypes import floating
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, HostCall, Op, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.creation import tril, triu
from symc.tensor.linalg import matmul, with_equal_batches
from symc.tensor.shaping import swapaxes

__all__ = [
    "cholesky", "dominant", "flipped", "matrix_inverse", "matrix_of", "over_columns", "over_rows",
    "reciprocal_or_zero", "side", "solve", "solve_lower_triangular", "solve_upper_triangular", "svd",
]  # fmt: skip


def matrix_of(what: str, a: Any) -> Variable:
    """Convert ``a`` to a matrix, or to matrices in the last two axes, of floats."""
    a = as_tensor(a)
    if a.ndim < 2:
        raise ShapeError(located(f"{what}: expected a matrix, got {a.ndim} axes", [a]))
    return ew.cast(a, floating(a.dtype))


def side(op: Op, a: Variable) -> dims.Dim:
    """The number of rows and columns of square matrices; raises ``ShapeError`` if they are known to differ."""
    rows, columns = a.type.shape[-2:]
    return require_equal(
        rows, columns, f"{op.name}: the matrix is not square", [a], "it must have as many rows as columns"
    )


def flipped(a: Variable) -> Variable:
    """The transposes of the matrices in the last two axes."""
    return swapaxes(a, -1, -2)


def over_columns(v: Variable) -> Variable:
    """``v``, ``(..., n)``, as rows that broadcast over ``(..., n, n)``."""
    return dimshuffle(v, [*range(v.ndim - 1), "x", v.ndim - 1])


def over_rows(v: Variable) -> Variable:
    """``v``, ``(..., n)``, as columns that broadcast over ``(..., n, n)``."""
    return dimshuffle(v, [*range(v.ndim), "x"])


# --- linear systems -------------------------------------------------------------------------------------------------

_READ: dict[str, Callable[[Any], Any]] = {"general": lambda a: a, "lower": np.tril, "upper": np.triu}
_TURNED = {"general": "general", "lower": "upper", "upper": "lower"}


def _solve_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    a, b = inputs
    n = side(op, a)
    text = f"{op.name}: the right side has another number of rows than the matrix"
    require_equal(n, b.type.shape[-2], text, [a, b])
    for u, v in zip(a.type.shape[:-2], b.type.shape[:-2]):
        require_equal(u, v, f"{op.name}: as many matrices as right sides are needed", [a, b])
    return TensorType(b.dtype, b.type.shape)


def _solve_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dB = A^-T dX`` and ``dA = -dB X^T``, of which a triangular matrix has its triangle."""
    structure = op["structure"]
    by_b = Op(_solve, structure=_TURNED[structure])(flipped(inputs[0]), gs[0])
    by_a = -matmul(by_b, flipped(outputs[0]))
    return [{"general": by_a, "lower": tril(by_a), "upper": triu(by_a)}[structure], by_b]


_solve = record(
    "solve",
    infer=_solve_infer,
    numpy=lambda op, a, b: np.linalg.solve(_READ[op["structure"]](a), b),
    grad=_solve_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(lambda a, b: solve(dominant(a), b), (Arg((3, 3)), Arg((3, 2))), expect=_solved),
        Case(lambda a, b: solve(dominant(a), b), (Arg((3, 3)), Arg((3,))), expect=_solved),
        Case(lambda a, b: solve(dominant(a), b), (Arg((2, 3, 3)), Arg((2, 3, 4))), expect=_solved),
        Case(lambda a, b: solve(dominant(a), b), (Arg((3, 3)), Arg((2, 3, 1))), expect=_solved),
        Case(
            lambda a, b: solve_lower_triangular(dominant(a), b),
            (Arg((3, 3)), Arg((3, 2))),
            expect=lambda a, b: np.linalg.inv(np.tril(dominant(a))) @ b,
        ),
        Case(
            lambda a, b: solve_upper_triangular(dominant(a), b),
            (Arg((2, 3, 3)), Arg((2, 3, 2))),
            expect=lambda a, b: np.linalg.inv(np.triu(dominant(a))) @ b,
        ),
    ],
)


def dominant(a: Any) -> Any:
    """Make a matrix far from singular from any matrix."""
    return a + 8 * np.eye(3).astype("float32")


def _solved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.inv(dominant(a)) @ b


def _solved_as(structure: str, what: str, a: Any, b: Any) -> Variable:
    a, b = matrix_of(what, a), as_tensor(b)
    if not b.ndim:
        raise ShapeError(located(f"{what}: the right side must be a vector or a matrix, got a scalar", [b]))
    dtype = ew.unify_dtypes([a, ew.cast(b, floating(b.dtype))])
    a, b = ew.cast(a, dtype), ew.cast(b, dtype)
    column = b.ndim == 1
    a, b = with_equal_batches(what, a, over_rows(b) if column else b)
    found = Op(_solve, structure=structure)(a, b)
    return dimshuffle(found, list(range(found.ndim - 1))) if column else found


def solve(a: Any, b: Any) -> Variable:
    """Solve ``matmul(a, x) = b`` for ``x``.

    Parameters
    ----------
    a : tensor_like
        ``(..., n, n)``.
    b : tensor_like
        ``(..., n, k)`` or ``(n,)``. Leading axes of both broadcast.

    Returns
    -------
    Variable
        ``(..., n, k)``, or ``(..., n)`` if ``b`` is a vector. A singular matrix raises ``numpy.linalg.LinAlgError`` at
        call time.
    """
    return _solved_as("general", "solve", a, b)


def solve_lower_triangular(a: Any, b: Any) -> Variable:
    """As ``solve`` for lower triangular matrices ``a``; what is above their diagonals is not read."""
    return _solved_as("lower", "solve_lower_triangular", a, b)


def solve_upper_triangular(a: Any, b: Any) -> Variable:
    """As ``solve`` for upper triangular matrices ``a``; what is below their diagonals is not read."""
    return _solved_as("upper", "solve_upper_triangular", a, b)


def _square_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    side(op, inputs[0])
    return inputs[0].type


def _inverse_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = -X^T dX X^T``."""
    turned = flipped(outputs[0])
    return [-matmul(matmul(turned, gs[0]), turned)]


_inverse = record(
    "matrix_inverse",
    infer=_square_infer,
    numpy=lambda op, a: np.linalg.inv(a),
    grad=_inverse_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(
            lambda a: matrix_inverse(dominant(a)), (Arg(shape),),
            expect=lambda a: np.linalg.solve(dominant(a), np.broadcast_to(np.eye(3), a.shape)),
        )
        for shape in ((3, 3), (2, 3, 3))
    ],
)  # fmt: skip


def matrix_inverse(a: Any) -> Variable:
    """The inverses of the ``(n, n)`` matrices in the last two axes of ``a``.

    A singular matrix raises ``numpy.linalg.LinAlgError`` at call time.
    """
    return Op(_inverse)(matrix_of("matrix_inverse", a))


# --- Cholesky -------------------------------------------------------------------------------------------------------


def _cholesky_numpy(op: Op, a: np.ndarray) -> np.ndarray:
    return np.linalg.cholesky(a) if op["lower"] else np.linalg.cholesky(a.swapaxes(-1, -2)).swapaxes(-1, -2)


def _cholesky_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Any]:
    """``dA = L^-T Phi(L^T dL) L^-1``, symmetrised; ``Phi`` takes the lower triangle and half of the diagonal.

    Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527.
    """
    (l,), (g,) = outputs, gs
    if not op["lower"]:
        l, g = flipped(l), flipped(g)
    inner, upper = matmul(flipped(l), g), Op(_solve, structure="upper")
    phi = (tril(inner) + tril(inner, -1)) / 2
    whole = upper(flipped(l), flipped(upper(flipped(l), phi)))
    return [(whole + flipped(whole)) / 2]


_cholesky = record(
    "cholesky",
    infer=_square_infer,
    numpy=_cholesky_numpy,
    grad=_cholesky_grad,
    lower=HostCall(),
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


def cholesky(a: Any, lower: bool = True) -> Variable:
    """The Cholesky factor: the triangular ``l`` with ``dot(l, l.T) = a`` (with ``lower=False`` its transpose).

    With more than two axes, ``a`` contains matrices in the last two. They must be symmetric and positive definite;
    only their lower triangles are read. Otherwise the call raises ``numpy.linalg.LinAlgError``. The gradient by ``a``
    is symmetric.
    """
    return Op(_cholesky, lower=bool(lower))(matrix_of("cholesky", a))


# --- singular values --------------------------------------------------------------------------------------------------


def _svd_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    (a,) = inputs
    *lead, m, n = a.type.shape
    k = dims.minimum(m, n)
    return [TensorType(a.dtype, (*lead, *own)) for own in ((m, k), (k,), (k, n))]


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
    v, gv = flipped(vt), flipped(gvt)
    squares, row, column = ew.sqr(s), over_columns(s), over_rows(s)
    f = reciprocal_or_zero(over_columns(squares) - over_rows(squares))
    utgu, vtgv = matmul(flipped(u), gu), matmul(vt, gv)
    core = f * (utgu - flipped(utgu)) * row + column * (f * (vtgv - flipped(vtgv)))
    diagonal = matmul(u * over_columns(gs_), vt)
    inverse = over_columns(reciprocal_or_zero(s))
    left = (gu - matmul(u, utgu)) * inverse
    right = (gv - matmul(v, vtgv)) * inverse
    return [matmul(u, matmul(core, vt)) + diagonal + matmul(left, vt) + matmul(u, flipped(right))]


def reciprocal_or_zero(x: Variable) -> Variable:
    """``1 / x``, and 0 where ``x`` is 0: terms between equal values are left out."""
    apart = ew.neq(x, 0)
    return ew.switch(apart, 1 / ew.switch(apart, x, 1), 0)


_svd = record(
    "svd",
    infer=_svd_infer,
    numpy=_svd_numpy,
    grad=_svd_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(lambda a: _rebuilt(a), (Arg((4, 3)),), expect=_rebuilt_numpy, rtol=1e-4),
        Case(lambda a: _rebuilt(a), (Arg((2, 4)),), expect=_rebuilt_numpy, rtol=1e-4),
        Case(lambda a: _rebuilt(a), (Arg((2, 3, 2)),), expect=_rebuilt_numpy, rtol=1e-4),
        Case(lambda a: svd(a, compute_uv=False), (Arg((3, 3)),), expect=lambda a: np.linalg.svd(a)[1], rtol=1e-4),
    ],
)


def _rebuilt(a: Variable) -> Variable:
    """An expression that depends on all factors, but not on the signs of singular vectors."""
    u, s, vt = svd(a)
    return matmul(u * over_columns(ew.sqrt(s)), vt)


def _rebuilt_numpy(a: np.ndarray) -> np.ndarray:
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return (u * np.sqrt(s)[..., None, :]) @ vt


def svd(a: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """Singular value decomposition: ``a = dot(u * s, vt)``.

    Parameters
    ----------
    a : tensor_like
        ``(m, n)``, or with leading axes that all results have too.
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
    u, s, vt = Op(_svd)(matrix_of("svd", a))
    return (u, s, vt) if compute_uv else s
