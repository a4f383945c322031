"""Eigenvalues of symmetric matrices, QR decompositions, pseudo-inverses, matrix exponentials.

All take matrices in the last two axes. Compiled functions call LAPACK; other back ends call NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.gradient.pass_through import disconnected_grad
from symc.graph import Constant, Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.routines import RoutineCall
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.creation import eye, tril, zeros_like
from symc.tensor.joining import concatenate
from symc.tensor.linalg import matmul
from symc.tensor.linear_algebra.factorisations import thin
from symc.tensor.linear_algebra.linear_systems import solve_upper_triangular
from symc.tensor.linear_algebra.matrices import (
    apart,
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

__all__ = ["EIGH", "EXPM", "PINV", "QR", "eigh", "expm", "expm_of", "pinv", "qr"]


_QR_CASES = [(s, 4 * np.eye(s[-2], s[-1]).astype("float32")) for s in ((4, 3), (3, 3), (2, 3, 2))]


# --- symmetric matrices ---------------------------------------------------------------------------------------------


def _eigh_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    (a,) = inputs
    side(op, a)
    values = TensorType(a.dtype, a.type.shape[:-1])
    return [values, a.type] if op["vectors"] else [values]


def _eigh_numpy(op: Op, a: np.ndarray) -> tuple[np.ndarray, ...]:
    uplo: Any = "L" if op["lower"] else "U"
    return tuple(np.linalg.eigh(a, uplo)) if op["vectors"] else (np.linalg.eigvalsh(a, uplo),)


def _eigh_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = V (diag(dw) + F o (V' dV)) V'``, symmetrised, with ``F_ij = 1 / (w_j - w_i)`` off the diagonal.

    Of that, the part that belongs to the triangle that is read.

    Giles, "An extended collection of matrix derivative results" (2008), section 3.1.
    """
    w, v = outputs
    by_w, by_v = gs
    inner = reciprocal_or_zero(over_columns(w) - over_rows(w)) * matmul(flipped(v), by_v)
    diagonal = over_columns(by_w) * eye(length(w, w.ndim - 1), dtype=w.dtype)
    found = matmul(matmul(v, inner + diagonal), flipped(v))
    return [of_triangle(found, op["lower"])]


def _without_vectors(op: Op, used: Sequence[bool]) -> tuple[Op, list[int]]:
    if not op["vectors"] or used[1]:
        return op, list(range(len(used)))
    return Op(EIGH, lower=op["lower"], vectors=False), [0]


EIGH: Record = record(
    "eigh",
    infer=_eigh_infer,
    numpy=_eigh_numpy,
    grad=_eigh_grad,
    lower=HostCall(
        native=RoutineCall(
            lambda op: "eigh" if op["vectors"] else "eigenvalues_symmetric",
            lambda node: [batch_of(node), node.inputs[0].type.shape[-1], int(node.op["lower"])],
        )
    ),
    drop_unused=_without_vectors,
    cases=lambda: [
        Case(
            lambda a: eigh(apart(a))[0],
            (Arg((3, 3)),),
            expect=lambda a: np.linalg.eigvalsh(apart(a)),
        ),
        Case(
            lambda a: eigh(apart(a), "U")[0],
            (Arg((2, 3, 3)),),
            expect=lambda a: np.linalg.eigvalsh(apart(a)),
        ),
        Case(lambda a: _projectors(a), (Arg((3, 3)),), expect=_projectors_numpy, rtol=1e-4),
    ],
)


def _projectors(a: Variable) -> Variable:
    """An expression that depends on the eigenvectors, but not on their signs: the logarithm of the matrix."""
    w, v = eigh(apart(a))
    return matmul(v * over_columns(ew.log(w)), flipped(v))


def _projectors_numpy(a: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eigh(apart(a))
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
    The gradient by ``a`` is that of a function of one triangle: it is triangular, and counts what belongs to both
    triangles twice. That of eigenvectors exists where no two eigenvalues are equal; terms between equal values are
    omitted.
    """
    choice("eigh", "UPLO", UPLO, ("L", "U"))
    w, v = Op(EIGH, lower=UPLO == "L", vectors=True)(matrix_of("eigh", a))
    return w, v


# --- QR -------------------------------------------------------------------------------------------------------------


def _qr_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    *lead, m, n = inputs[0].type.shape
    k = dims.minimum(m, n)
    k = m if op["complete"] else k
    return [TensorType(inputs[0].dtype, (*lead, *own)) for own in ((m, k), (k, n))]


def _qr_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dX = (dQ + Y dV' + Q copyltu(M)) U^-T`` and ``dY = Q dV`` for ``A = [X, Y]`` and ``R = [U, V]``.

    ``X`` are the first k columns, all of them unless there are more columns than rows; then ``X = Q U``, ``V = Q' Y``.
    ``M = U dU' - (dQ + Y dV')' Q``, and ``copyltu`` copies the lower triangle onto the upper one. Walter and Lehmann,
    "Algorithmic differentiation of linear algebra functions" (2018).
    """
    q, r = outputs
    by_q, by_r = gs
    if op["complete"]:
        lengths = length(r, r.ndim - 2), length(r, r.ndim - 1)
        known = all(isinstance(n, int) for n in lengths)
        k = min(lengths) if known else ew.minimum(*lengths)
        q, by_q = thin(q, by_q, k)
        r, by_r = r[..., :k, :], by_r[..., :k, :]
    k = length(q, q.ndim - 1)
    by_v = by_r[..., k:]
    by_q = by_q + matmul(inputs[0][..., k:], flipped(by_v))
    u, by_u = r[..., :k], by_r[..., :k]
    m = matmul(u, flipped(by_u)) - matmul(flipped(by_q), q)
    copied = tril(m) + flipped(tril(m, -1))
    left = flipped(solve_upper_triangular(u, flipped(by_q + matmul(q, copied))))
    return [concatenate([left, matmul(q, by_v)], axis=q.ndim - 1)]


QR: Record = record(
    "qr",
    infer=_qr_infer,
    numpy=lambda op, a: tuple(np.linalg.qr(a, "complete" if op["complete"] else "reduced")),
    grad=_qr_grad,
    lower=HostCall(
        native=RoutineCall(
            "qr", lambda node: [batch_of(node), *node.inputs[0].type.shape[-2:], int(node.op["complete"])]
        )
    ),
    cases=lambda: (
        [
            Case(
                lambda a, c=shift: _unsigned(a + c),
                (Arg(shape),),
                expect=lambda a, c=shift: _unsigned_numpy(a + c),
                rtol=1e-4,
            )
            for shape, shift in [*_QR_CASES, ((2, 4), 4 * np.eye(2, 4).astype("float32"))]
        ]
        + [
            Case(
                lambda a, c=shift: _complement(a + c),
                (Arg(shape),),
                expect=lambda a, c=shift: np.eye(a.shape[-2]) - (a + c) @ _least_squares(a + c),
                rtol=1e-4,
            )
            for shape, shift in _QR_CASES
        ]
    ),
)


def _complement(a: Variable) -> Variable:
    """The projection onto what is orthogonal to the columns, by the columns of the complete factor beyond them."""
    q, r = qr(a, "complete")
    rest = q[..., length(a, a.ndim - 1) :]
    return matmul(rest, flipped(rest)) + 0 * r[..., :1, :1]


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
    mode : {"reduced", "full", "complete", "r"}
        "full" is "reduced", as in Theano. With "complete", ``q`` is square, and ``r`` as large as ``a``; with "r", only
        ``r`` is returned.

    Returns
    -------
    q : Variable
        ``(..., m, k)`` with ``k = min(m, n)``.
    r : Variable
        ``(..., k, n)``, or ``(..., m, n)``.

    Notes
    -----
    The derivative exists where the first k columns are independent; otherwise it raises ``numpy.linalg.LinAlgError``.
    That of the columns beyond the k-th is the one of functions of the space that they span.
    """
    if mode not in ("reduced", "full", "complete", "r"):
        text = f"qr: mode must be 'reduced', 'full', 'complete' or 'r', got {mode!r}"
        raise ValueError(located(text, [], "Householder vectors ('raw', 'economic') are not available"))
    q, r = Op(QR, complete=mode == "complete")(matrix_of("qr", a))
    return r if mode == "r" else (q, r)


# --- functions of matrices ------------------------------------------------------------------------------------------


def _pinv_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    *lead, m, n = inputs[0].type.shape
    return TensorType(inputs[0].dtype, (*lead, n, m))


def _pinv_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = -P' dP P' + (I - A P) dP' P P' + P' P dP' (I - P A)``, where the rank does not change.

    Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems" (1973).
    """
    (a, _), (p,), (g,) = inputs, outputs, gs
    pt, gt = flipped(p), flipped(g)
    first, second = matmul(matmul(gt, p), pt), matmul(pt, matmul(p, gt))
    outside = first - matmul(a, matmul(p, first)) + second - matmul(matmul(second, p), a)
    return [outside - matmul(matmul(pt, g), pt), None]


PINV: Record = record(
    "pinv",
    infer=_pinv_infer,
    numpy=lambda op, a, rcond: np.linalg.pinv(a, rcond=float(rcond)),
    grad=_pinv_grad,
    lower=HostCall(
        native=RoutineCall("pinv", lambda node: [batch_of(node), *node.inputs[0].type.shape[-2:]]),
        told=lambda op, inputs: ("pinv", inputs[:1]),
    ),
    cases=lambda: [
        Case(lambda a, c=shift: pinv(a + c), (Arg(shape),), expect=lambda a, c=shift: _least_squares(a + c), rtol=1e-4)
        for shape, shift in _QR_CASES
    ],
)


def _least_squares(a: np.ndarray) -> np.ndarray:
    """The pseudo-inverse of a matrix of full column rank, from the normal equations."""
    turned = a.swapaxes(-1, -2).astype("float64")
    return np.linalg.solve(turned @ a, turned)


def pinv(a: Any, rcond: Any = 1e-15) -> Variable:
    """The Moore-Penrose pseudo-inverses of the ``(m, n)`` matrices in the last two axes of ``a``: ``(..., n, m)``.

    Singular values of at most ``rcond``, a number or a scalar, times the largest one count as zero. The derivative is
    that for matrices whose rank does not change.
    """
    if not isinstance(rcond, Variable):
        rcond = Constant(np.asarray(rcond, "float64"))
    if rcond.ndim:
        raise ShapeError(located(f"pinv: rcond must be a number or a scalar, got {rcond.ndim} axes", [rcond]))
    return Op(PINV)(matrix_of("pinv", a), ew.cast(rcond, "float64"))


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


def expm_of(op: Op, a: np.ndarray) -> np.ndarray:
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

    It is linear in ``dY``, which is divided by its largest element before: the error of the exponential is relative to
    the norm of the whole matrix.

    Mathias, "A chain rule for matrix functions and applications" (1996).
    """
    turned = flipped(inputs[0])
    rows, columns = turned.ndim - 2, turned.ndim - 1
    largest = reduce.max(ew.abs_(gs[0]), axis=(rows, columns), keepdims=True)
    scale = disconnected_grad(ew.switch((largest > 0) & (largest < np.inf), largest, 1))
    top = concatenate([turned, gs[0] / scale], axis=columns)
    bottom = concatenate([zeros_like(turned), turned], axis=columns)
    n = length(turned, columns)
    return [expm(concatenate([top, bottom], axis=rows))[..., :n, n:] * scale]


EXPM: Record = record(
    "expm",
    infer=lambda op, inputs: (side(op, inputs[0]), inputs[0].type)[1],
    numpy=expm_of,
    grad=_expm_grad,
    lower=HostCall(native=RoutineCall("expm", lambda node: [batch_of(node), node.inputs[0].type.shape[-1]])),
    cases=lambda: [
        Case(lambda a: expm(apart(a)), (Arg((3, 3)),), expect=_expm_by_eigenvalues, rtol=1e-4),
        Case(lambda a: expm(apart(a)), (Arg((2, 3, 3)),), expect=_expm_by_eigenvalues, rtol=1e-4),
        Case(
            lambda a: expm(a), (Arg((2, 2), values=[0.0, -1.5, 1.5, 0.0]),),
            expect=lambda a: np.array([[np.cos(1.5), -np.sin(1.5)], [np.sin(1.5), np.cos(1.5)]]),
        ),
    ],
)  # fmt: skip


def _expm_by_eigenvalues(a: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eigh(apart(a).astype("float64"))
    return (v * np.exp(w)[..., None, :]) @ v.swapaxes(-1, -2)


def expm(a: Any) -> Variable:
    """The exponentials of the ``(n, n)`` matrices in the last two axes of ``a``."""
    return Op(EXPM)(matrix_of("expm", a))


explain_faults(globals())
