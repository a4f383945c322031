"""Linear algebra under the names of ``theano.tensor.nlinalg``.

The names of Theano's ops are classes whose objects are called with variables: ``MatrixInverse()(x)``, ``Eigh("U")(x)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symc.graph import Variable
from symc.tensor.diagonals import diag, trace
from symc.tensor.linear_algebra.decompositions import eigh, pinv, qr
from symc.tensor.linear_algebra.determinants import det, slogdet
from symc.tensor.linear_algebra.eigen import eig, eigvals
from symc.tensor.linear_algebra.factorisations import svd
from symc.tensor.linear_algebra.least_squares import lstsq
from symc.tensor.linear_algebra.linear_systems import matrix_inverse
from symc.tensor.linear_algebra.matrix_functions import (
    alloc_diag,
    cond,
    extract_diag,
    matrix_dot,
    matrix_power,
    matrix_rank,
    norm,
    tensorinv,
    tensorsolve,
)

inv = matrix_inverse

__all__ = [
    "AllocDiag", "Det", "Eig", "Eigh", "ExtractDiag", "MatrixInverse", "MatrixPinv", "QRFull", "QRIncomplete", "SVD",
    "TensorInv", "alloc_diag", "cond", "det", "diag", "eig", "eigh", "eigvals", "extract_diag", "inv", "lstsq",
    "matrix_dot", "matrix_inverse", "matrix_power", "matrix_rank", "norm", "pinv", "qr", "slogdet", "svd", "tensorinv",
    "tensorsolve", "trace",
]  # fmt: skip


@dataclass(frozen=True)
class AllocDiag:
    """``AllocDiag()(v)`` is ``alloc_diag(v)``."""

    def __call__(self, v: Any) -> Variable:
        return alloc_diag(v)


@dataclass(frozen=True)
class ExtractDiag:
    """``ExtractDiag()(a)`` is ``extract_diag(a)``; ``view`` has no effect: the compiler shares memory by itself."""

    view: bool = False

    def __call__(self, a: Any) -> Variable:
        return extract_diag(a)


@dataclass(frozen=True)
class MatrixInverse:
    """``MatrixInverse()(a)`` is ``matrix_inverse(a)``."""

    def __call__(self, a: Any) -> Variable:
        return matrix_inverse(a)


@dataclass(frozen=True)
class MatrixPinv:
    """``MatrixPinv()(a)`` is ``pinv(a)``."""

    def __call__(self, a: Any) -> Variable:
        return pinv(a)


@dataclass(frozen=True)
class Det:
    """``Det()(a)`` is ``det(a)``."""

    def __call__(self, a: Any) -> Variable:
        return det(a)


@dataclass(frozen=True)
class Eig:
    """``Eig()(a)`` is ``eig(a)``."""

    def __call__(self, a: Any) -> Any:
        return eig(a)


@dataclass(frozen=True)
class Eigh:
    """``Eigh(UPLO)(a)`` is ``eigh(a, UPLO)``."""

    UPLO: str = "L"

    def __call__(self, a: Any) -> tuple[Variable, Variable]:
        return eigh(a, self.UPLO)


@dataclass(frozen=True)
class QRFull:
    """``QRFull(mode)(a)`` is ``qr(a, mode)``, for modes with two results."""

    mode: str

    def __call__(self, a: Any) -> Any:
        return qr(a, self.mode)


@dataclass(frozen=True)
class QRIncomplete:
    """``QRIncomplete(mode)(a)`` is ``qr(a, mode)``, for modes with one result."""

    mode: str

    def __call__(self, a: Any) -> Any:
        return qr(a, self.mode)


@dataclass(frozen=True)
class SVD:
    """``SVD(full_matrices, compute_uv)(a)`` is ``svd(a, full_matrices, compute_uv)``."""

    full_matrices: bool = True
    compute_uv: bool = True

    def __call__(self, a: Any) -> Any:
        return svd(a, self.full_matrices, self.compute_uv)


@dataclass(frozen=True)
class TensorInv:
    """``TensorInv(ind)(a)`` is ``tensorinv(a, ind)``."""

    ind: int = 2

    def __call__(self, a: Any) -> Variable:
        return tensorinv(a, self.ind)
