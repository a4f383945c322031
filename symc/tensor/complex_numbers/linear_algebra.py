"""How the ops of linear algebra act on complex matrices: by ops with the same attributes that call LAPACK for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symc.graph import Variable
from symc.graph.dtypes import is_complex
from symc.graph.op import Op, Record
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers import factorisations, systems
from symc.tensor.complex_numbers.matrices import apply
from symc.tensor.linear_algebra.decompositions import EIGH, EXPM, PINV, QR
from symc.tensor.linear_algebra.determinants import DET, SLOGDET
from symc.tensor.linear_algebra.factorisations import CHOLESKY, SVD
from symc.tensor.linear_algebra.linear_systems import INVERSE, SOLVE, TRIANGULAR
from symc.tensor.linear_algebra.matrices import side

__all__ = ["RULES"]


def _as(made: Record, of_squares: bool = True) -> Callable[[Op, Sequence[Variable]], Any]:
    def rule(op: Op, inputs: Sequence[Variable]) -> Any:
        if of_squares:
            side(op, inputs[0])
        first, *others = inputs
        found = apply(made, first, *(ew.cast(v, first.dtype) if is_complex(v.dtype) else v for v in others), **op.attrs)
        return found if len(found) > 1 else found[0]

    return rule


RULES: dict[Record, Callable[[Op, Sequence[Variable]], Any]] = {
    SOLVE: _as(systems.SOLVE),
    TRIANGULAR: _as(systems.TRIANGULAR),
    INVERSE: _as(systems.INVERSE),
    DET: _as(systems.DET),
    SLOGDET: _as(systems.SLOGDET),
    EXPM: _as(systems.EXPM),
    CHOLESKY: _as(factorisations.CHOLESKY),
    EIGH: _as(factorisations.EIGH),
    SVD: _as(factorisations.SVD, of_squares=False),
    QR: _as(factorisations.QR, of_squares=False),
    PINV: _as(systems.PINV, of_squares=False),
}
"""How ops act on complex matrices, by record."""
