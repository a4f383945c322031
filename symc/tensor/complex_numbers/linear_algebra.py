"""Linear algebra of complex matrices, by that of real ones twice as large.

``x + iy`` stands for the real matrix ``[[x, -y], [y, x]]``. Products, inverses, pseudo-inverses and exponentials of
such matrices are of that form.
"""

from __future__ import annotations

from collections.abc import Sequence

from symc.graph import Variable
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers.parts import held, parts
from symc.tensor.creation import tril, triu
from symc.tensor.joining import concatenate
from symc.tensor.linear_algebra.decompositions import EXPM, PINV
from symc.tensor.linear_algebra.linear_systems import INVERSE, SOLVE, TRIANGULAR
from symc.tensor.linear_algebra.matrices import flipped
from symc.tensor.symbolic_dims import length

__all__ = ["RULES"]


def _beside(a: Variable, b: Variable) -> Variable:
    return concatenate([a, b], axis=a.ndim - 1)


def _above(a: Variable, b: Variable) -> Variable:
    return concatenate([a, b], axis=a.ndim - 2)


def _doubled(z: Variable) -> Variable:
    x, y = parts(z)
    return _above(_beside(x, -y), _beside(y, x))


def _first_columns(a: Variable, rows: int | Variable, columns: int | Variable) -> Variable:
    """The complex matrix of which ``a`` is the real form, from its left half."""
    return held(a[..., :rows, :columns], a[..., rows:, :columns])


def _function(op: Op, inputs: Sequence[Variable]) -> Variable:
    z, *others = inputs
    return _first_columns(op(_doubled(z), *others), length(z, z.ndim - 1), length(z, z.ndim - 2))


def _systems(a: Variable, b: Variable, turned: bool) -> Variable:
    n = length(a, a.ndim - 1)
    of = flipped(a) if turned else a
    found = Op(SOLVE, turned=False)(_doubled(of), _above(*parts(ew.cast(b, a.dtype))))
    return held(found[..., :n, :], found[..., n:, :])


def _solve(op: Op, inputs: Sequence[Variable]) -> Variable:
    a, b = inputs
    return _systems(a, b, op["turned"])


def _triangular(op: Op, inputs: Sequence[Variable]) -> Variable:
    a, b = inputs
    return _systems(tril(a) if op["lower"] else triu(a), b, op["turned"])


RULES = {SOLVE: _solve, TRIANGULAR: _triangular, INVERSE: _function, PINV: _function, EXPM: _function}
"""How ops act on complex matrices, by record."""
