"""Factorisations of complex matrices: Cholesky factors, eigenvalues of Hermitian matrices, singular values, QR.

The gradients are those of the real ops, with adjoints in place of transposes. They exist for functions that do not
depend on the phases of eigenvectors and singular vectors, which are arbitrary. ``tests/test_complex_matrices.py``
checks them; the cases of the records check values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Variable, dims
from symc.graph.op import Arg, Case, Op, Record
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers.matrices import (
    Shape,
    apply,
    batch,
    hermitian_triangle,
    of_pairs,
    square,
    turned,
    with_real_diagonal,
)
from symc.tensor.complex_numbers.parts import held, imag, real
from symc.tensor.complex_numbers.systems import TRIANGULAR
from symc.tensor.creation import eye, tril
from symc.tensor.joining import concatenate
from symc.tensor.linalg import matmul
from symc.tensor.linear_algebra.factorisations import by_sides, each_cholesky
from symc.tensor.linear_algebra.matrices import adjoint, over_columns, over_rows, reciprocal_or_zero
from symc.tensor.symbolic_dims import length

__all__ = ["CHOLESKY", "EIGH", "QR", "SVD"]


def _adjoint_of(a: np.ndarray) -> np.ndarray:
    return a.conj().swapaxes(-1, -2)


def _positive(a: Any, b: Any) -> Any:
    """A Hermitian, positive definite matrix of any two real ones of two rows."""
    z: Any = held(a, b) if isinstance(a, Variable) else a + 1j * b
    return z @ (adjoint(z) if isinstance(a, Variable) else _adjoint_of(z)) + np.diag([2, 4]).astype("float32")


_TWO = (Arg((2, 2)), Arg((2, 2)))

# --- Cholesky -------------------------------------------------------------------------------------------------------


def _cholesky_numpy(op: Op, a: np.ndarray) -> np.ndarray:
    of = a if op["lower"] else _adjoint_of(a)
    found = each_cholesky(of) if op["nan"] else np.linalg.cholesky(of)
    return found if op["lower"] else _adjoint_of(found)


def _cholesky_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Any]:
    """``dA = L^-H Phi(L^H dL) L^-1``, of which the Hermitian part counts."""
    (l,), (g,) = outputs, gs
    if not op["lower"]:
        l, g = adjoint(l), adjoint(g)
    inner = matmul(adjoint(l), g)
    phi = (tril(inner) + tril(inner, -1)) / 2

    def solved(b: Variable) -> Variable:
        return turned(lambda v: apply(TRIANGULAR, l, v, lower=True, turned=True)[0], b)

    return [hermitian_triangle(solved(adjoint(solved(phi))), op["lower"])]


CHOLESKY: Record = of_pairs(
    "complex_cholesky", "c", "c", square, _cholesky_numpy, _cholesky_grad,
    lambda node: [batch(node), node.inputs[0].type.shape[-2], int(node.op["lower"]), int(node.op["nan"])],
    cases=lambda: [
        Case(
            lambda a, b: _both_parts(apply(CHOLESKY, _positive(a, b), lower=True, nan=False)[0]), _TWO,
            expect=lambda a, b: _both_parts(np.linalg.cholesky(_positive(a, b))), rtol=1e-4, grad=False,
        ),
        Case(
            lambda a, b: _both_parts(apply(CHOLESKY, _positive(a, b), lower=False, nan=False)[0]), _TWO,
            expect=lambda a, b: _both_parts(_adjoint_of(np.linalg.cholesky(_positive(a, b)))), rtol=1e-4, grad=False,
        ),
    ],
)  # fmt: skip


def _both_parts(z: Any) -> Any:
    """A real expression of both parts."""
    return real(z) + 2 * imag(z) if isinstance(z, Variable) else z.real + 2 * z.imag


# --- Hermitian matrices ---------------------------------------------------------------------------------------------


def _eigh_shapes(op: Op, inputs: Sequence[Variable], given: Sequence[Shape]) -> list[Shape]:
    return [given[0][:-1], given[0]] if op["vectors"] else [given[0][:-1]]


def _eigh_numpy(op: Op, a: np.ndarray) -> tuple[np.ndarray, ...]:
    uplo: Any = "L" if op["lower"] else "U"
    return tuple(np.linalg.eigh(a, uplo)) if op["vectors"] else (np.linalg.eigvalsh(a, uplo),)


def _eigh_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = V (diag(dw) + F o (V^H dV)) V^H`` with ``F_ij = 1 / (w_j - w_i)``, of which the Hermitian part counts."""
    (w, v), (by_w, by_v) = outputs, gs
    inner = reciprocal_or_zero(over_columns(w) - over_rows(w)) * matmul(adjoint(v), by_v)
    diagonal = over_columns(by_w) * eye(length(w, w.ndim - 1), dtype=w.dtype)
    return [hermitian_triangle(matmul(matmul(v, inner + diagonal), adjoint(v)), op["lower"])]


def _only_values(op: Op, used: Sequence[bool]) -> tuple[Op, list[int]]:
    if not op["vectors"] or used[1]:
        return op, list(range(len(used)))
    return Op(EIGH, lower=op["lower"], vectors=False), [0]


def _logarithm(a: Variable, b: Variable) -> Variable:
    w, v = apply(EIGH, _positive(a, b), lower=True, vectors=True)
    return _both_parts(matmul(v * over_columns(ew.log(w)), adjoint(v)))


def _logarithm_numpy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eigh(_positive(a, b))
    return np.asarray(_both_parts((v * np.log(w)) @ _adjoint_of(v)))


EIGH: Record = of_pairs(
    "complex_eigh", "c", "rc", _eigh_shapes, _eigh_numpy, _eigh_grad,
    lambda node: [batch(node), node.inputs[0].type.shape[-2], int(node.op["lower"])],
    routine=lambda op: "complex_eigh" if op["vectors"] else "complex_eigenvalues_symmetric",
    drop_unused=_only_values,
    cases=lambda: [
        Case(_logarithm, _TWO, expect=_logarithm_numpy, rtol=1e-4, grad=False),
        Case(
            lambda a, b: apply(EIGH, _positive(a, b), lower=False, vectors=True)[0], _TWO,
            expect=lambda a, b: np.linalg.eigvalsh(_positive(a, b)), rtol=1e-4, grad=False,
        ),
    ],
)  # fmt: skip


# --- singular values ------------------------------------------------------------------------------------------------


def _svd_shapes(op: Op, inputs: Sequence[Variable], given: Sequence[Shape]) -> list[Shape]:
    *lead, m, n = given[0]
    k, full = dims.minimum(m, n), op["full"]
    found: list[Shape] = [(*lead, m, m if full else k), (*lead, k), (*lead, n if full else k, n)]
    return found if op["vectors"] else [found[1]]


def _svd_numpy(op: Op, a: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.linalg.svd(a, full_matrices=op["full"])) if op["vectors"] else (np.linalg.svd(a, compute_uv=False),)


def _thin(q: Variable, g: Variable, k: Any) -> tuple[Variable, Variable]:
    """The first ``k`` columns of a unitary matrix, and the gradient by them, with what the others add to it."""
    first, rest, by_rest = q[..., :k], q[..., k:], g[..., k:]
    return first, g[..., :k] - matmul(rest, matmul(adjoint(by_rest), first))


def _svd_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """That of the real op, with adjoints, and ``i Im(U^H dU) / S`` on the diagonal of the core.

    Wan and Zhang, "Automatic differentiation for complex valued SVD" (2019).
    """
    (u, s, vh), (gu, gs_, gvh) = outputs, gs
    v, gv = adjoint(vh), adjoint(gvh)
    if op["full"]:
        k = length(s, s.ndim - 1)
        u, gu = _thin(u, gu, k)
        v, gv = _thin(v, gv, k)
        vh = adjoint(v)
    squares, row, column = ew.sqr(s), over_columns(s), over_rows(s)
    f = reciprocal_or_zero(over_columns(squares) - over_rows(squares))
    by_u, by_v = matmul(adjoint(u), gu), matmul(vh, gv)
    inverse = reciprocal_or_zero(s)
    left, right = over_columns(inverse), over_rows(inverse)
    unit = eye(length(s, s.ndim - 1), dtype=s.dtype)
    diagonal = held(over_columns(gs_) * unit, imag(by_u) * left * unit)
    core = (by_u - adjoint(by_u)) * (f * row) + (by_v - adjoint(by_v)) * (f * column) + diagonal

    def tall() -> Variable:
        return matmul(matmul(u, core - by_u * left) + gu * left, vh)

    def wide() -> Variable:
        return matmul(u, matmul(core - adjoint(by_v) * right, vh) + adjoint(gv) * right)

    def equal() -> Variable:
        return matmul(u, matmul(core, vh))

    return [by_sides(inputs[0], tall, wide, equal)]


def _without_vectors(op: Op, used: Sequence[bool]) -> tuple[Op, list[int]]:
    if not op["vectors"] or used[0] or used[2]:
        return op, list(range(len(used)))
    return Op(SVD, vectors=False, full=False), [1]


def _rebuilt(a: Variable, b: Variable) -> Variable:
    u, s, vh = apply(SVD, held(a, b), vectors=True, full=False)
    return _both_parts(matmul(u * over_columns(ew.sqrt(s)), vh))


def _rebuilt_numpy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    u, s, vh = np.linalg.svd(a + 1j * b, full_matrices=False)
    return np.asarray(_both_parts((u * np.sqrt(s)) @ vh))


SVD: Record = of_pairs(
    "complex_svd", "c", "crc", _svd_shapes, _svd_numpy, _svd_grad,
    lambda node: [
        batch(node), *node.inputs[0].type.shape[-3:-1], *([int(node.op["full"])] if node.op["vectors"] else []),
    ],
    routine=lambda op: "complex_svd" if op["vectors"] else "complex_singular_values",
    drop_unused=_without_vectors,
    cases=lambda: [
        Case(_rebuilt, (Arg((2, 2)), Arg((2, 2))), expect=_rebuilt_numpy, rtol=1e-4, grad=False),
        Case(_rebuilt, (Arg((2, 3)), Arg((2, 3))), expect=_rebuilt_numpy, rtol=1e-4, grad=False),
    ],
)  # fmt: skip


# --- QR -------------------------------------------------------------------------------------------------------------


def _qr_shapes(op: Op, inputs: Sequence[Variable], given: Sequence[Shape]) -> list[Shape]:
    *lead, m, n = given[0]
    k = m if op["complete"] else dims.minimum(m, n)
    return [(*lead, m, k), (*lead, k, n)]


def _qr_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """That of the real op, with adjoints. The diagonal of R is real."""
    (q, r), (by_q, by_r) = outputs, gs
    if op["complete"]:
        lengths = length(r, r.ndim - 2), length(r, r.ndim - 1)
        known = all(isinstance(n, int) for n in lengths)
        k = min(lengths) if known else ew.minimum(*lengths)
        q, by_q = _thin(q, by_q, k)
        r, by_r = r[..., :k, :], by_r[..., :k, :]
    k = length(q, q.ndim - 1)
    by_v = by_r[..., k:]
    by_q = by_q + matmul(inputs[0][..., k:], adjoint(by_v))
    u, by_u = r[..., :k], by_r[..., :k]
    m = matmul(u, adjoint(by_u)) - matmul(adjoint(by_q), q)
    copied = with_real_diagonal(tril(m) + adjoint(tril(m, -1)))
    left = adjoint(apply(TRIANGULAR, u, adjoint(by_q + matmul(q, copied)), lower=False, turned=False)[0])
    return [concatenate([left, matmul(q, by_v)], axis=q.ndim - 1)]


def _factors(shape: tuple[int, int], complete: bool) -> Any:
    k, shift = min(shape), 2 * np.eye(*shape, dtype="float32")

    def built(a: Variable, b: Variable) -> Variable:
        q, r = apply(QR, held(a + shift, b), complete=complete)
        q = q[:, k:] if complete else q
        return _both_parts(matmul(q, adjoint(q))) + (0 if complete else real(r).sum() + imag(r).sum())

    return built


def _factors_numpy(shape: tuple[int, int], complete: bool) -> Any:
    def expected(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        q, r = np.linalg.qr(a + 2 * np.eye(*shape) + 1j * b, "complete" if complete else "reduced")
        q = q[:, min(shape) :] if complete else q
        found = _both_parts(q @ _adjoint_of(q))
        return np.asarray(found if complete else found + r.real.sum() + r.imag.sum())

    return expected


QR: Record = of_pairs(
    "complex_qr", "c", "cc", _qr_shapes,
    lambda op, a: tuple(np.linalg.qr(a, "complete" if op["complete"] else "reduced")), _qr_grad,
    lambda node: [batch(node), *node.inputs[0].type.shape[-3:-1], int(node.op["complete"])],
    cases=lambda: [
        Case(
            _factors(shape, complete), (Arg(shape), Arg(shape)), expect=_factors_numpy(shape, complete), rtol=1e-4,
            grad=False,
        )
        for shape, complete in (((2, 2), False), ((2, 3), False), ((3, 2), True))
    ],
)  # fmt: skip
