"""Eigenvalues of symmetric matrices, QR decompositions, determinants, pseudo-inverses, matrix exponentials.

All take matrices in the last two axes. NumPy is called in mid-program on every back end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Variable, dims
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import sum
from symc.tensor.creation import eye, tril, zeros_like
from symc.tensor.factorisations import (
    dominant,
    flipped,
    matrix_inverse,
    matrix_of,
    over_columns,
    over_rows,
    reciprocal_or_zero,
    side,
    solve_upper_triangular,
)
from symc.tensor.joining import concatenate
from symc.tensor.linalg import matmul
from symc.tensor.symbolic_dims import length

__all__ = ["det", "eigh", "expm", "pinv", "qr", "slogdet"]


def _symmetric(a: Any) -> Any:
    """Make a symmetric matrix with distant eigenvalues from any matrix."""
    turned = flipped(a) if isinstance(a, Variable) else a.swapaxes(-1, -2)
    return 0.2 * (a + turned) + np.diag([1.0, 3.0, 6.0]).astype("float32")


_QR_CASES = [(s, 4 * np.eye(s[-2], s[-1]).astype("float32")) for s in ((4, 3), (3, 3), (2, 3, 2))]


# --- symmetric matrices ---------------------------------------------------------------------------------------------


def _eigh_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    (a,) = inputs
    side(op, a)
    return [TensorType(a.dtype, a.type.shape[:-1]), a.type]


def _eigh_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = V (diag(dw) + F o (V' dV)) V'``, symmetrised, with ``F_ij = 1 / (w_j - w_i)`` off the diagonal.

    Giles, "An extended collection of matrix derivative results" (2008), section 3.1.
    """
    w, v = outputs
    by_w, by_v = gs
    inner = reciprocal_or_zero(over_columns(w) - over_rows(w)) * matmul(flipped(v), by_v)
    diagonal = over_rows(by_w) * eye(length(w, w.ndim - 1), dtype=w.dtype)
    found = matmul(matmul(v, inner + diagonal), flipped(v))
    return [(found + flipped(found)) / 2]


_eigh = record(
    "eigh",
    infer=_eigh_infer,
    numpy=lambda op, a: tuple(np.linalg.eigh(a, "L" if op["lower"] else "U")),
    grad=_eigh_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(lambda a: eigh(_symmetric(a))[0], (Arg((3, 3)),), expect=lambda a: np.linalg.eigvalsh(_symmetric(a))),
        Case(
            lambda a: eigh(_symmetric(a), "U")[0], (Arg((2, 3, 3)),), expect=lambda a: np.linalg.eigvalsh(_symmetric(a))
        ),
        Case(lambda a: _projectors(a), (Arg((3, 3)),), expect=_projectors_numpy, rtol=1e-4),
    ],
)


def _projectors(a: Variable) -> Variable:
    """An expression that depends on the eigenvectors, but not on their signs: the logarithm of the matrix."""
    w, v = eigh(_symmetric(a))
    return matmul(v * over_columns(ew.log(w)), flipped(v))


def _projectors_numpy(a: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eigh(_symmetric(a))
    return (v * np.log(w)) @ v.T


def eigh(a: Any, UPLO: str = "L") -> tuple[Variable, Variable]:
    """Eigenvalues and eigenvectors of symmetric matrices.

    Parameters
    ----------
    a : tensor_like
        ``(..., n, n)``.
    UPLO : {"L", "U"}
        Which triangle is read.

    Returns
    -------
    w : Variable
        ``(..., n)``, in ascending order.
    v : Variable
        ``(..., n, n)``; the columns are the eigenvectors.

    Notes
    -----
    The gradient by ``a`` is symmetric. That of eigenvectors exists where no two eigenvalues are equal; terms between
    equal values are omitted.
    """
    if UPLO not in ("L", "U"):
        raise ValueError(f"eigh: UPLO must be 'L' or 'U', got {UPLO!r}")
    w, v = Op(_eigh, lower=UPLO == "L")(matrix_of("eigh", a))
    return w, v


# --- QR -------------------------------------------------------------------------------------------------------------


def _qr_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    *lead, m, n = inputs[0].type.shape
    k = dims.minimum(m, n)
    return [TensorType(inputs[0].dtype, (*lead, *own)) for own in ((m, k), (k, n))]


def _qr_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dX = (dQ + Y dV' + Q copyltu(M)) U^-T`` and ``dY = Q dV`` for ``A = [X, Y]`` and ``R = [U, V]``.

    ``X`` are the first k columns, all of them unless there are more columns than rows; then ``X = Q U``, ``V = Q' Y``.
    ``M = U dU' - (dQ + Y dV')' Q``, and ``copyltu`` copies the lower triangle onto the upper one. Walter and Lehmann,
    "Algorithmic differentiation of linear algebra functions" (2018).
    """
    q, r = outputs
    by_q, by_r = gs
    k = length(q, q.ndim - 1)
    by_v = by_r[..., k:]
    by_q = by_q + matmul(inputs[0][..., k:], flipped(by_v))
    u, by_u = r[..., :k], by_r[..., :k]
    m = matmul(u, flipped(by_u)) - matmul(flipped(by_q), q)
    copied = tril(m) + flipped(tril(m, -1))
    left = flipped(solve_upper_triangular(u, flipped(by_q + matmul(q, copied))))
    return [concatenate([left, matmul(q, by_v)], axis=q.ndim - 1)]


_qr = record(
    "qr",
    infer=_qr_infer,
    numpy=lambda op, a: tuple(np.linalg.qr(a)),
    grad=_qr_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(
            lambda a, c=shift: _unsigned(a + c),
            (Arg(shape),),
            expect=lambda a, c=shift: _unsigned_numpy(a + c),
            rtol=1e-4,
        )
        for shape, shift in [*_QR_CASES, ((2, 4), 4 * np.eye(2, 4).astype("float32"))]
    ],
)


def _unsigned(a: Variable) -> Variable:
    """Expressions of both factors that do not depend on the signs of columns."""
    q, r = qr(a)
    return matmul(ew.sqr(q), ew.sqr(r))


def _unsigned_numpy(a: np.ndarray) -> np.ndarray:
    q, r = np.linalg.qr(a)
    return q**2 @ r**2


def qr(a: Any, mode: str = "reduced") -> Any:
    """QR decompositions: ``a = matmul(q, r)`` with orthonormal columns of ``q`` and upper triangular ``r``.

    Parameters
    ----------
    a : tensor_like
        ``(..., m, n)``.
    mode : {"reduced", "r"}
        With ``"r"``, only ``r`` is returned.

    Returns
    -------
    q : Variable
        ``(..., m, k)`` with ``k = min(m, n)``.
    r : Variable
        ``(..., k, n)``.

    Notes
    -----
    The derivative exists where the first k columns are independent; otherwise it raises ``numpy.linalg.LinAlgError``.
    """
    if mode not in ("reduced", "r"):
        text = f"qr: mode must be 'reduced' or 'r', got {mode!r}"
        raise ValueError(located(text, [], "the complete factor is not determined, and has no derivative"))
    q, r = Op(_qr)(matrix_of("qr", a))
    return r if mode == "r" else (q, r)


# --- determinants ---------------------------------------------------------------------------------------------------


def _scalar_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    side(op, inputs[0])
    return TensorType(inputs[0].dtype, inputs[0].type.shape[:-2])


def _cofactors_numpy(op: Op, a: np.ndarray) -> np.ndarray:
    """The matrix of cofactors from singular values, which singular matrices have, too."""
    u, s, vt = np.linalg.svd(a)
    n = a.shape[-1]
    others = np.stack([np.prod(np.delete(s, k, -1), -1) for k in range(n)], -1) if n else s
    sign = np.linalg.det(u) * np.linalg.det(vt)
    return np.asarray(sign[..., None, None] * (u * others[..., None, :]) @ vt, a.dtype)


def _cofactors_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Any]:
    """From ``C = det(A) A^-T``: ``dA = (sum(dC o C) C - C dC' C) / det(A)``; a singular matrix gives NaN."""
    (c,), (g,) = outputs, gs
    inner = sum(g * c, axis=(g.ndim - 2, g.ndim - 1), keepdims=True)
    whole = dimshuffle(det(inputs[0]), [*range(g.ndim - 2), "x", "x"])
    return [(inner * c - matmul(matmul(c, flipped(g)), c)) / whole]


_cofactors: Record = record(
    "cofactors",
    infer=lambda op, inputs: inputs[0].type,
    numpy=_cofactors_numpy,
    grad=_cofactors_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(
            lambda a: Op(_cofactors)(dominant(a)), (Arg((3, 3)),),
            expect=lambda a: np.linalg.det(dominant(a)) * np.linalg.inv(dominant(a)).T, rtol=1e-4,
        ),
    ],
)  # fmt: skip
_det = record(
    "det",
    infer=_scalar_infer,
    numpy=lambda op, a: np.asarray(np.linalg.det(a), a.dtype),
    grad=lambda op, inputs, outputs, gs: [
        dimshuffle(gs[0], [*range(gs[0].ndim), "x", "x"]) * Op(_cofactors)(inputs[0])
    ],
    lower=HostCall(),
    cases=lambda: [
        Case(lambda a: det(_symmetric(a)), (Arg((3, 3)),), expect=lambda a: np.prod(np.linalg.eigvalsh(_symmetric(a)))),
        Case(
            lambda a: det(_symmetric(a)), (Arg((2, 3, 3)),),
            expect=lambda a: np.prod(np.linalg.eigvalsh(_symmetric(a)), -1),
        ),
        Case(lambda a: det(a), (Arg((0, 0)),), expect=lambda a: np.ones((), a.dtype), grad=False),
    ],
)  # fmt: skip


def det(a: Any) -> Variable:
    """The determinants of the ``(n, n)`` matrices in the last two axes of ``a``.

    The gradient is the matrix of cofactors, which exists for singular matrices, too.
    """
    return Op(_det)(matrix_of("det", a))


def _slogdet_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    by_log = gs[1]
    return [dimshuffle(by_log, [*range(by_log.ndim), "x", "x"]) * flipped(matrix_inverse(inputs[0]))]


_slogdet = record(
    "slogdet",
    infer=lambda op, inputs: [_scalar_infer(op, inputs)] * 2,
    numpy=lambda op, a: tuple(np.asarray(v, a.dtype) for v in np.linalg.slogdet(a)),
    grad=_slogdet_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(
            lambda a: slogdet(_symmetric(a))[1], (Arg(shape),),
            expect=lambda a: np.log(np.abs(np.linalg.eigvalsh(_symmetric(a)))).sum(-1),
        )
        for shape in ((3, 3), (2, 3, 3))
    ],
)  # fmt: skip


def slogdet(a: Any) -> tuple[Variable, Variable]:
    """The signs of determinants and the logarithms of their absolute values, which do not overflow.

    Returns
    -------
    sign, logabsdet : Variable
        For a singular matrix, 0 and minus infinity; the gradient then raises ``numpy.linalg.LinAlgError``.
    """
    sign, size = Op(_slogdet)(matrix_of("slogdet", a))
    return sign, size


# --- functions of matrices ------------------------------------------------------------------------------------------


def _pinv_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    *lead, m, n = inputs[0].type.shape
    return TensorType(inputs[0].dtype, (*lead, n, m))


def _pinv_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = -P' dP P' + (I - A P) dP' P P' + P' P dP' (I - P A)``, where the rank does not change.

    Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems" (1973).
    """
    (a,), (p,), (g,) = inputs, outputs, gs
    pt, gt = flipped(p), flipped(g)
    first, second = matmul(matmul(gt, p), pt), matmul(pt, matmul(p, gt))
    outside = first - matmul(a, matmul(p, first)) + second - matmul(matmul(second, p), a)
    return [outside - matmul(matmul(pt, g), pt)]


_pinv = record(
    "pinv",
    infer=_pinv_infer,
    numpy=lambda op, a: np.linalg.pinv(a, rcond=op["rcond"]),
    grad=_pinv_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(lambda a, c=shift: pinv(a + c), (Arg(shape),), expect=lambda a, c=shift: _least_squares(a + c), rtol=1e-4)
        for shape, shift in _QR_CASES
    ],
)


def _least_squares(a: np.ndarray) -> np.ndarray:
    """The pseudo-inverse of a matrix of full column rank, from the normal equations."""
    turned = a.swapaxes(-1, -2).astype("float64")
    return np.linalg.solve(turned @ a, turned)


def pinv(a: Any, rcond: float = 1e-15) -> Variable:
    """The Moore-Penrose pseudo-inverses of the ``(m, n)`` matrices in the last two axes of ``a``: ``(..., n, m)``.

    Singular values of at most ``rcond`` times the largest one count as zero. The derivative is that for matrices whose
    rank does not change.
    """
    return Op(_pinv, rcond=float(rcond))(matrix_of("pinv", a))


_PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
    670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip


def _in_squares(coefficients: Sequence[int], powers: Sequence[np.ndarray]) -> np.ndarray:
    """A polynomial of degree 6 in the square of a matrix, of which powers up to the third are given."""
    low = [c * p for c, p in zip(coefficients[:4], powers)]
    high = [c * p for c, p in zip(coefficients[4:], powers[1:])]
    total = np.add.reduce(low)
    return np.asarray(total + powers[3] @ np.add.reduce(high))


def _expm_numpy(op: Op, a: np.ndarray) -> np.ndarray:
    """Scaling and squaring with the diagonal Pade approximant of degree 13 (Higham, 2005)."""
    wide = np.asarray(a, "float64")
    norm = np.abs(wide).sum(-2).max(-1, initial=0)
    halvings = np.maximum(0, np.ceil(np.log2(np.maximum(norm, 1e-300) / 5.37))).astype(int)
    x = wide / (2.0**halvings)[..., None, None]
    square = x @ x
    identity = np.broadcast_to(np.eye(a.shape[-1]), wide.shape)
    powers = [identity, square, square @ square]
    powers.append(powers[2] @ square)
    even = _in_squares(_PADE[0::2], powers)
    odd = x @ _in_squares(_PADE[1::2], powers)
    found = np.linalg.solve(even - odd, even + odd)
    for step in range(int(halvings.max(initial=0))):
        found = np.where((step < halvings)[..., None, None], found @ found, found)
    return np.asarray(found, a.dtype)


def _expm_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """The adjoint Frechet derivative: the upper right block of ``expm([[A', dY], [0, A']])``.

    Mathias, "A chain rule for matrix functions and applications" (1996).
    """
    turned = flipped(inputs[0])
    rows, columns = turned.ndim - 2, turned.ndim - 1
    top = concatenate([turned, gs[0]], axis=columns)
    bottom = concatenate([zeros_like(turned), turned], axis=columns)
    n = length(turned, columns)
    return [expm(concatenate([top, bottom], axis=rows))[..., :n, n:]]


_expm = record(
    "expm",
    infer=lambda op, inputs: (side(op, inputs[0]), inputs[0].type)[1],
    numpy=_expm_numpy,
    grad=_expm_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(lambda a: expm(_symmetric(a)), (Arg((3, 3)),), expect=_expm_by_eigenvalues, rtol=1e-4),
        Case(lambda a: expm(_symmetric(a)), (Arg((2, 3, 3)),), expect=_expm_by_eigenvalues, rtol=1e-4),
        Case(
            lambda a: expm(a), (Arg((2, 2), values=[0.0, -1.5, 1.5, 0.0]),),
            expect=lambda a: np.array([[np.cos(1.5), -np.sin(1.5)], [np.sin(1.5), np.cos(1.5)]]),
        ),
    ],
)  # fmt: skip


def _expm_by_eigenvalues(a: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eigh(_symmetric(a).astype("float64"))
    return (v * np.exp(w)[..., None, :]) @ v.swapaxes(-1, -2)


def expm(a: Any) -> Variable:
    """The exponentials of the ``(n, n)`` matrices in the last two axes of ``a``."""
    return Op(_expm)(matrix_of("expm", a))
