"""Linear algebra under the names of ``theano.tensor.slinalg``.

The names of Theano's ops are classes whose objects are called with variables: ``Cholesky(lower=False)(a)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symc.errors import TypeMismatchError, located
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.linalg import outer
from symc.tensor.linear_algebra.decompositions import expm
from symc.tensor.linear_algebra.factorisations import cho_solve, cholesky, solve
from symc.tensor.linear_algebra.linear_systems import solve_lower_triangular, solve_triangular, solve_upper_triangular
from symc.tensor.linear_algebra.matrix_functions import eigvalsh, solve_symmetric
from symc.tensor.reshaping import reshape
from symc.tensor.symbolic_dims import length

__all__ = [
    "Cholesky", "Eigvalsh", "Expm", "MATRIX_STRUCTURES", "Solve", "cho_solve", "cholesky", "eigvalsh", "expm", "kron",
    "solve", "solve_lower_triangular", "solve_symmetric", "solve_triangular", "solve_upper_triangular",
]  # fmt: skip

MATRIX_STRUCTURES = (
    "general", "symmetric", "lower_triangular", "upper_triangular", "hermitian", "banded", "diagonal", "toeplitz",
)  # fmt: skip
"""The structures that ``Solve`` may be told. All but the triangular ones are solved as general matrices."""


@dataclass(frozen=True)
class Cholesky:
    """``Cholesky(lower, on_error)(a)`` is ``cholesky(a, lower, on_error)``. ``destructive`` has no effect."""

    lower: bool = True
    on_error: str = "raise"
    destructive: bool = False

    def __call__(self, a: Any) -> Variable:
        return cholesky(a, self.lower, self.on_error)


@dataclass(frozen=True)
class Solve:
    """``Solve(A_structure)(a, b)`` solves ``dot(a, x) = b`` for ``x``.

    Triangular structures read one triangle of ``a``; ``A_structure`` decides which, as in Theano, and not ``lower``.
    The other arguments have no effect, since the compiler reuses memory by itself.
    """

    A_structure: str = "general"
    lower: bool = False
    overwrite_A: bool = False
    overwrite_b: bool = False

    def __post_init__(self) -> None:
        if self.A_structure not in MATRIX_STRUCTURES:
            raise ValueError(f"Solve: A_structure must be one of {MATRIX_STRUCTURES}, got {self.A_structure!r}")

    def __call__(self, a: Any, b: Any) -> Variable:
        if self.A_structure == "lower_triangular":
            return solve_lower_triangular(a, b)
        if self.A_structure == "upper_triangular":
            return solve_upper_triangular(a, b)
        return solve(a, b)


@dataclass(frozen=True)
class Eigvalsh:
    """``Eigvalsh(lower)(a, b)`` is ``eigvalsh(a, b, lower)``."""

    lower: bool = True

    def __call__(self, a: Any, b: Any = None) -> Variable:
        return eigvalsh(a, b, self.lower)


@dataclass(frozen=True)
class Expm:
    """``Expm()(a)`` is ``expm(a)``."""

    def __call__(self, a: Any) -> Variable:
        return expm(a)


def kron(a: Any, b: Any) -> Variable:
    """The Kronecker product as in Theano: blocks ``a[i, j] * b`` of two matrices.

    Parameters
    ----------
    a, b : tensor_like
        At least three axes together.

    Returns
    -------
    Variable
        As many axes as ``a`` and ``b`` have together, less two. For two matrices ``numpy.kron(a, b)``; for a vector and
        a matrix ``numpy.kron(a[None], b)``, flattened. With more axes, the first two axes are products, and the other
        ones follow as they are.
    """
    a, b = as_tensor(a), as_tensor(b)
    if a.ndim + b.ndim <= 2:
        text = f"kron: the operands must have three or more axes together, got {a.ndim} and {b.ndim}"
        raise TypeMismatchError(located(text, [a, b], "use outer for two vectors"))
    sizes = [*(length(a, k) for k in range(a.ndim)), *(length(b, k) for k in range(b.ndim))]
    every = reshape(outer(a, b), sizes, ndim=len(sizes))
    if len(sizes) == 3:
        return dimshuffle(every, (1, 0, 2)).flatten()
    turned = dimshuffle(every, (0, 2, 1, *range(3, len(sizes))))
    return reshape(turned, [sizes[0] * sizes[2], sizes[1] * sizes[3], *sizes[4:]], ndim=len(sizes) - 2)


explain_faults(globals())
