"""Linear algebra under the names of ``theano.tensor.nlinalg``."""

from __future__ import annotations

from symc.tensor.decompositions import eigh, pinv, qr
from symc.tensor.determinants import det, slogdet
from symc.tensor.eigen import eig, eigvals
from symc.tensor.extra_ops import diag, trace
from symc.tensor.factorisations import svd
from symc.tensor.linear_systems import matrix_inverse
from symc.tensor.matrix_functions import (
    alloc_diag,
    extract_diag,
    matrix_dot,
    matrix_power,
    norm,
    tensorinv,
    tensorsolve,
)

inv = matrix_inverse

__all__ = [
    "alloc_diag", "det", "diag", "eig", "eigh", "eigvals", "extract_diag", "inv", "matrix_dot", "matrix_inverse",
    "matrix_power", "norm", "pinv", "qr", "slogdet", "svd", "tensorinv", "tensorsolve", "trace",
]  # fmt: skip
