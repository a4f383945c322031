"""Determinants, their logarithms, and matrices of cofactors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.op import Arg, Case, Op, Record, record
from symc.graph.types import TensorType
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import sum
from symc.tensor.linalg import matmul
from symc.tensor.linear_algebra.linear_systems import factors, from_factors, inverse_or_nan
from symc.tensor.linear_algebra.matrices import apart, dominant, flipped, matrix_of, side

__all__ = ["COFACTORS", "DET", "SLOGDET", "cofactors_of", "det", "slogdet"]


def _scalar_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    side(op, inputs[0])
    return TensorType(inputs[0].dtype, inputs[0].type.shape[:-2])


def cofactors_of(a: np.ndarray) -> np.ndarray:
    """The matrices of cofactors, real or complex, from singular values, which singular matrices have, too."""
    u, s, vt = np.linalg.svd(a)
    n = a.shape[-1]
    others = np.stack([np.prod(np.delete(s, k, -1), -1) for k in range(n)], -1) if n else s
    sign = np.linalg.det(u) * np.linalg.det(vt)
    return np.asarray(sign[..., None, None] * (u.conj() * others[..., None, :]) @ vt.conj(), a.dtype)


def _cofactors_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Any]:
    """From ``C = det(A) A^-T``: ``dA = (sum(dC o C) C - C dC' C) / det(A)``; a singular matrix gives NaN."""
    (c,), (g,) = outputs, gs
    inner = sum(g * c, axis=(g.ndim - 2, g.ndim - 1), keepdims=True)
    whole = dimshuffle(det(inputs[0]), [*range(g.ndim - 2), "x", "x"])
    return [(inner * c - matmul(matmul(c, flipped(g)), c)) / whole]


_lu_cofactors = from_factors(
    "lu_cofactors",
    "det",
    infer=lambda op, inputs: inputs[2].type,
    numpy=lambda op, lu, pivots, a: cofactors_of(a),
)
COFACTORS: Record = record(
    "cofactors",
    infer=lambda op, inputs: inputs[0].type,
    numpy=lambda op, a: cofactors_of(a),
    grad=_cofactors_grad,
    decompose=lambda op, inputs: [Op(_lu_cofactors)(*factors(inputs[0]))],
    cases=lambda: [
        Case(
            lambda a: Op(COFACTORS)(dominant(a)), (Arg((3, 3)),),
            expect=lambda a: np.linalg.det(dominant(a)) * np.linalg.inv(dominant(a)).T, rtol=1e-4,
        ),
    ],
)  # fmt: skip
_lu_det = from_factors(
    "lu_det",
    "det",
    infer=lambda op, inputs: _scalar_infer(op, inputs[2:]),
    numpy=lambda op, lu, pivots, a: np.asarray(np.linalg.det(a), a.dtype),
)
DET = record(
    "det",
    infer=_scalar_infer,
    numpy=lambda op, a: np.asarray(np.linalg.det(a), a.dtype),
    grad=lambda op, inputs, outputs, gs: [
        dimshuffle(gs[0], [*range(gs[0].ndim), "x", "x"]) * Op(COFACTORS)(inputs[0])
    ],
    decompose=lambda op, inputs: [Op(_lu_det)(*factors(inputs[0]))],
    cases=lambda: [
        Case(lambda a: det(apart(a)), (Arg((3, 3)),), expect=lambda a: np.prod(np.linalg.eigvalsh(apart(a)))),
        Case(
            lambda a: det(apart(a)), (Arg((2, 3, 3)),),
            expect=lambda a: np.prod(np.linalg.eigvalsh(apart(a)), -1),
        ),
        Case(lambda a: det(a), (Arg((0, 0)),), expect=lambda a: np.ones((), a.dtype), grad=False),
    ],
)  # fmt: skip


def det(a: Any) -> Variable:
    """The determinants of the ``(n, n)`` matrices in the last two axes of ``a``.

    The gradient is the matrix of cofactors, which exists for singular matrices, too.
    """
    return Op(DET)(matrix_of("det", a))


def _slogdet_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    by_log = gs[1]
    return [dimshuffle(by_log, [*range(by_log.ndim), "x", "x"]) * flipped(inverse_or_nan(inputs[0]))]


def _slogdet_numpy(a: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(v, a.dtype) for v in np.linalg.slogdet(a))


_lu_slogdet = from_factors(
    "lu_slogdet",
    "slogdet",
    infer=lambda op, inputs: [_scalar_infer(op, inputs[2:])] * 2,
    numpy=lambda op, lu, pivots, a: _slogdet_numpy(a),
)
SLOGDET: Record = record(
    "slogdet",
    infer=lambda op, inputs: [_scalar_infer(op, inputs)] * 2,
    numpy=lambda op, a: _slogdet_numpy(a),
    grad=_slogdet_grad,
    decompose=lambda op, inputs: Op(_lu_slogdet)(*factors(inputs[0])),
    cases=lambda: [
        Case(
            lambda a: slogdet(apart(a))[1], (Arg(shape),),
            expect=lambda a: np.log(np.abs(np.linalg.eigvalsh(apart(a)))).sum(-1),
        )
        for shape in ((3, 3), (2, 3, 3))
    ],
)  # fmt: skip


def slogdet(a: Any) -> tuple[Variable, Variable]:
    """The signs of determinants and the logarithms of their absolute values, which do not overflow.

    Returns
    -------
    sign, logabsdet : Variable
        For a singular matrix, 0 and minus infinity; the gradient then is NaN.
    """
    sign, size = Op(SLOGDET)(matrix_of("slogdet", a))
    return sign, size
