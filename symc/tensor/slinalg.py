"""Linear algebra under the names of ``theano.tensor.slinalg``."""

from __future__ import annotations

from symc.tensor.decompositions import expm
from symc.tensor.factorisations import cholesky
from symc.tensor.linear_systems import solve, solve_lower_triangular, solve_upper_triangular
from symc.tensor.matrix_functions import eigvalsh, kron, solve_symmetric

__all__ = [
    "cholesky", "eigvalsh", "expm", "kron", "solve", "solve_lower_triangular", "solve_symmetric",
    "solve_upper_triangular",
]  # fmt: skip
