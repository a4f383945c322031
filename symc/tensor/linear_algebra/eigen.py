"""Eigenvalues and eigenvectors of general matrices, which may be complex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Variable, dims
from symc.graph.dtypes import is_complex
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.graph.types import TensorType
from symc.graph.variables import as_complex, as_pairs
from symc.loops.routines import RoutineCall
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers.parts import conj, held, parts, real, stacked, unstacked
from symc.tensor.creation import eye
from symc.tensor.linalg import matmul
from symc.tensor.linear_algebra.linear_systems import solve_general
from symc.tensor.linear_algebra.matrices import batch_of, flipped, matrix_of, over_columns, over_rows, side
from symc.tensor.symbolic_dims import length

__all__ = ["eig", "eigvals"]


def _infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    (a,) = inputs
    shape = a.type.shape[:-1] if op["pairs"] else a.type.shape
    side(op, a if not op["pairs"] else parts(unstacked(a))[0])
    found = [TensorType(a.dtype, (*shape[:-1], 2)), TensorType(a.dtype, (*shape, 2))]
    return found if op["vectors"] else found[:1]


def _numpy(op: Op, a: np.ndarray) -> tuple[np.ndarray, ...]:
    given = as_complex(a) if op["pairs"] else a
    found = tuple(np.linalg.eig(given)) if op["vectors"] else (np.linalg.eigvals(given),)
    dtype = np.result_type(a.dtype, np.complex64)
    return tuple(as_pairs(np.asarray(v, dtype)) for v in found)


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = V^-H (diag(dw) + (V^H dV - V^H V diag(Re diag(V^H dV))) / E*) V^H``; ``E_ij = w_j - w_i``, i != j.

    Boeddeker et al., "On the computation of complex-valued gradients with application to statistically optimum
    beamforming" (2017), section 4.
    """
    w, v = unstacked(outputs[0]), unstacked(outputs[1])
    by_w, by_v = unstacked(gs[0]), unstacked(gs[1])
    turned = conj(flipped(v))
    identity = eye(length(w, w.ndim - 1), dtype=real(w).dtype)
    inner = matmul(turned, by_v)
    grown = (real(inner) * identity).sum(axis=-1)
    inner = inner - matmul(turned, v) * over_columns(grown)
    gaps = conj(over_columns(w) - over_rows(w))
    same = ew.eq(gaps, 0)
    middle = ew.switch(same, 0, inner / ew.switch(same, 1, gaps)) + over_rows(by_w) * identity
    found = solve_general(turned, matmul(middle, turned))
    return [stacked(found) if op["pairs"] else real(found)]


def _without_vectors(op: Op, used: Sequence[bool]) -> tuple[Op, list[int]]:
    if not op["vectors"] or used[1]:
        return op, list(range(len(used)))
    return Op(EIG, pairs=op["pairs"], vectors=False), [0]


_SPREAD = np.array([[1, 4, 0], [-4, 1, 0], [0, 0, -6]], "float32")


EIG: Record = record(
    "eig",
    infer=_infer,
    numpy=_numpy,
    grad=_grad,
    lower=HostCall(
        native=RoutineCall(
            lambda op: ("complex_" if op["pairs"] else "") + ("eig" if op["vectors"] else "eigenvalues"),
            lambda node: [
                batch_of(node) if not node.op["pairs"] else dims.product(node.inputs[0].type.shape[:-3]),
                node.outputs[0].type.shape[-2],
            ],
        )
    ),
    drop_unused=_without_vectors,
    cases=lambda: [
        Case(
            lambda a: _invariants(*eig(a + _SPREAD)), (Arg((3, 3), low=-1, high=1),),
            expect=_invariants_numpy, rtol=1e-4,
        ),
        Case(
            lambda a: ew.abs_(eig(a + _SPREAD)[0]).sum(-1), (Arg((2, 3, 3), low=-1, high=1),),
            expect=lambda a: np.abs(np.linalg.eigvals(a + _SPREAD)).sum(-1),
        ),
        Case(
            lambda a, b: ew.abs_(eigvals(held(a + _SPREAD, b))).sum(), (Arg((3, 3), low=-1, high=1), Arg((3, 3))),
            expect=lambda a, b: np.abs(np.linalg.eigvals(a + _SPREAD + 1j * b)).sum(),
        ),
    ],
)  # fmt: skip


def _invariants(w: Variable, v: Variable) -> Variable:
    """An expression of eigenvalues and eigenvectors that does not depend on their order and phases."""
    return (over_columns(ew.abs_(w)) * ew.sqr(ew.abs_(v))).sum(axis=-1)


def _invariants_numpy(a: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eig(a + _SPREAD)
    return (np.abs(w)[..., None, :] * np.abs(v) ** 2).sum(-1)


def eig(a: Any) -> tuple[Variable, Variable]:
    """Eigenvalues and eigenvectors of general square matrices, real or complex.

    Parameters
    ----------
    a : tensor_like
        ``(..., n, n)``.

    Returns
    -------
    w : Variable
        ``(..., n)``, of complex dtype, also for real matrices, whose eigenvalues need not be real. In no particular
        order.
    v : Variable
        ``(..., n, n)``, complex; the columns are eigenvectors of norm 1: ``matmul(a, v) = v * w[..., None, :]``.

    Notes
    -----
    The gradient exists where all eigenvalues differ (terms between equal ones are omitted), and for expressions that do
    not depend on the phases of the eigenvectors, which are arbitrary. Use ``eigh`` for symmetric matrices.
    """
    a = matrix_of("eig", a)
    pairs = is_complex(a.dtype)
    w, v = Op(EIG, pairs=pairs, vectors=True)(stacked(a) if pairs else a)
    return unstacked(w), unstacked(v)


def eigvals(a: Any) -> Variable:
    """The eigenvalues of general square matrices, of complex dtype; see ``eig``."""
    return eig(a)[0]
