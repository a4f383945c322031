"""Systems of linear equations, general and triangular, and inverses.

General matrices are factorised by an op of its own, whose result the compiler shares: a system, its gradient, the
inverse and the determinant of one matrix factorise it once. Functions on the CPU call LAPACK, or the run-time library's
own code for small matrices; other back ends call NumPy. A singular matrix raises ``numpy.linalg.LinAlgError``, which
names the matrix and the user's line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Apply, Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import floating
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.routines import RoutineCall
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.complex_numbers.parts import conj
from symc.tensor.creation import tril, triu
from symc.tensor.linalg import matmul, with_equal_batches
from symc.tensor.linear_algebra.matrices import batch_of, dominant, flipped, matrix_of, over_rows, side
from symc.tensor.options import choice

__all__ = [
    "INVERSE", "SOLVE", "TRIANGULAR", "eliminated", "factors", "from_factors", "inverse_of", "inverse_or_nan",
    "matrix_inverse", "no_factors", "solve_general",
    "solve_lower_triangular", "solve_triangular", "solve_upper_triangular", "systems", "triangular",
]  # fmt: skip


# --- the factorisation ----------------------------------------------------------------------------------------------


def eliminated(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian elimination with partial pivoting; the factors are stored transposed, as LAPACK does."""
    n = a.shape[-1]
    work = np.array(a).reshape(-1, n, n) if a.size else np.array(a).reshape(0, n, n)
    pivots = np.zeros((len(work), n), "int32")
    each = np.arange(len(work))
    for j in range(n):
        at = pivots[:, j] = j + np.abs(work[:, j:, j]).argmax(1)
        work[each, j], work[each, at] = work[each, at], work[each, j].copy()
        pivot = work[:, j, j]
        work[:, j + 1 :, j] /= np.where(pivot == 0, 1, pivot)[:, None]
        work[:, j + 1 :, j + 1 :] -= work[:, j + 1 :, j, None] * work[:, j, None, j + 1 :]
    return work.swapaxes(-1, -2).reshape(a.shape), pivots.reshape(a.shape[:-1])


def no_factors(op: Op, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a back end without the routine stores: the ops that read factors start from the matrix again."""
    return a, np.full(a.shape[:-1], -1, "int32")


def _lu_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    side(op, inputs[0])
    return [inputs[0].type, TensorType("int32", inputs[0].type.shape[:-1])]


_lu = record(
    "lu",
    infer=_lu_infer,
    numpy=lambda op, a: eliminated(a),
    unspecified=True,
    lower=HostCall(no_factors, native=RoutineCall("lu", lambda node: [batch_of(node), node.inputs[0].type.shape[-1]])),
)


def from_factors(name: str, told: str, **facts: Any) -> Record:
    """Create the record of an op on factors, pivots, the matrix, and maybe more operands; messages call it ``told``."""

    def params(node: Apply) -> list[Any]:
        return [batch_of(node), node.inputs[0].type.shape[-1], *more(node)]

    more: Callable[[Apply], list[Any]] = facts.pop("more", lambda node: [])
    lower = HostCall(native=RoutineCall(name, params), told=lambda op, inputs: (told, inputs[2:]))
    return record(name, lower=lower, **facts)


# --- general systems ------------------------------------------------------------------------------------------------


def _systems_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    a, b = inputs
    n = side(op, a)
    text = f"{op.name}: the right side has another number of rows than the matrix"
    require_equal(n, b.type.shape[-2], text, [a, b])
    for u, v in zip(a.type.shape[:-2], b.type.shape[:-2]):
        require_equal(u, v, f"{op.name}: as many matrices as right sides are needed", [a, b])
    return TensorType(b.dtype, b.type.shape)


def _systems_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dB = A^-T dX`` and ``dA = -dB X^T``, or the transpose of that if the matrices are transposed."""
    by_b = Op(op.record, **(op.attrs | {"turned": not op["turned"]}))(inputs[0], gs[0])
    left, right = (outputs[0], by_b) if op["turned"] else (by_b, outputs[0])
    single = left.type.broadcastable[-1]  # one right side: the product has one term per element, and joins a loop
    by_a = -(left * flipped(right) if single else matmul(left, flipped(right)))
    if "lower" in op.attrs:
        by_a = tril(by_a) if op["lower"] else triu(by_a)
    return [by_a, by_b]


def _turned(a: np.ndarray, yes: bool) -> np.ndarray:
    return a.swapaxes(-1, -2) if yes else a


_lu_solve = from_factors(
    "lu_solve",
    "solve",
    infer=lambda op, inputs: _systems_infer(op, inputs[2:]),
    numpy=lambda op, lu, pivots, a, b: np.linalg.solve(_turned(a, op["turned"]), b),
    more=lambda node: [node.inputs[3].type.shape[-1], int(node.op["turned"])],
)
SOLVE: Record = record(
    "solve",
    infer=_systems_infer,
    numpy=lambda op, a, b: np.linalg.solve(_turned(a, op["turned"]), b),
    grad=_systems_grad,
    fallible=True,
    failure="singular",
    decompose=lambda op, inputs: [Op(_lu_solve, turned=op["turned"])(*Op(_lu)(inputs[0]), *inputs)],
    cases=lambda: [
        Case(lambda a, b: solve_general(dominant(a), b), (Arg((3, 3)), Arg((3, 2))), expect=_solved),
        Case(lambda a, b: solve_general(dominant(a), b), (Arg((3, 3)), Arg((3,))), expect=_solved),
        Case(lambda a, b: solve_general(dominant(a), b), (Arg((2, 3, 3)), Arg((2, 3, 4))), expect=_solved),
        Case(lambda a, b: solve_general(dominant(a), b), (Arg((3, 3)), Arg((2, 3, 1))), expect=_solved),
        Case(
            lambda a, b: Op(SOLVE, turned=True)(dominant(a), b),
            (Arg((3, 3)), Arg((3, 2))),
            expect=lambda a, b: _solved(a.T, b),
        ),
    ],
)


def _solved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.inv(dominant(a)) @ b


def systems(what: str, a: Any, b: Any, solved: Callable[[Variable, Variable], Variable]) -> Variable:
    """Apply ``solved`` to matrices and right sides of one dtype and equal leading axes; vectors count as columns."""
    a, b = matrix_of(what, a), as_tensor(b)
    if not b.ndim:
        raise ShapeError(located(f"{what}: the right side must be a vector or a matrix, got a scalar", [b]))
    dtype = ew.unify_dtypes([a, ew.cast(b, floating(b.dtype))])
    a, b = ew.cast(a, dtype), ew.cast(b, dtype)
    column = b.ndim == 1
    a, b = with_equal_batches(what, a, over_rows(b) if column else b)
    found = solved(a, b)
    return dimshuffle(found, list(range(found.ndim - 1))) if column else found


def solve_general(a: Any, b: Any) -> Variable:
    """Solve ``matmul(a, x) = b`` for ``x``; see ``solve``."""
    return systems("solve", a, b, Op(SOLVE, turned=False))


# --- triangular systems ---------------------------------------------------------------------------------------------


def _triangle(op: Op, a: np.ndarray) -> np.ndarray:
    return _turned(np.tril(a) if op["lower"] else np.triu(a), op["turned"])


TRIANGULAR: Record = record(
    "solve_triangular",
    infer=_systems_infer,
    numpy=lambda op, a, b: np.linalg.solve(_triangle(op, a), b),
    grad=_systems_grad,
    lower=HostCall(
        native=RoutineCall(
            "triangular",
            lambda node: [
                batch_of(node), *node.inputs[1].type.shape[-2:], int(node.op["lower"]), int(node.op["turned"]),
            ],
        )
    ),
    cases=lambda: [
        Case(
            lambda a, b, lower=lower, turned=turned: triangular(dominant(a), b, lower, turned),
            (Arg(left), Arg(right)),
            expect=lambda a, b, lower=lower, turned=turned: np.linalg.inv(
                _turned((np.tril if lower else np.triu)(dominant(a)), turned)
            ) @ b,
        )
        for lower, turned, left, right in [
            (True, False, (3, 3), (3, 2)), (False, False, (2, 3, 3), (2, 3, 2)),
            (True, True, (3, 3), (3,)), (False, True, (3, 3), (3, 2)),
        ]
    ],
)  # fmt: skip


def triangular(a: Any, b: Any, lower: bool = True, turned: bool = False, what: str = "solve_triangular") -> Variable:
    """Solve systems of triangular matrices, or, with ``turned``, of their transposes."""
    return systems(what, a, b, Op(TRIANGULAR, lower=bool(lower), turned=bool(turned)))


_TRANSPOSED = {0: False, 1: True, 2: True, "N": False, "T": True, "C": True}


def solve_triangular(a: Any, b: Any, trans: int | str = 0, lower: bool = False) -> Variable:
    """As ``solve`` for triangular matrices ``a``, of which only one triangle is read.

    Parameters
    ----------
    a : tensor_like
        ``(..., n, n)``.
    b : tensor_like
        ``(..., n, k)`` or ``(n,)``.
    trans : {0, 1, 2, "N", "T", "C"}
        Whether the systems are ``a x = b`` (0, "N"), ``a.T x = b`` (1, "T") or ``conj(a.T) x = b`` (2, "C").
    lower : bool
        Whether the matrices are lower triangular.
    """
    choice("solve_triangular", "trans", trans, tuple(_TRANSPOSED))
    a = matrix_of("solve_triangular", a)
    return triangular(conj(a) if trans in (2, "C") else a, b, lower, _TRANSPOSED[trans])


def solve_lower_triangular(a: Any, b: Any) -> Variable:
    """As ``solve`` for lower triangular matrices ``a``; what is above their diagonals is not read."""
    return triangular(a, b, True, what="solve_lower_triangular")


def solve_upper_triangular(a: Any, b: Any) -> Variable:
    """As ``solve`` for upper triangular matrices ``a``; what is below their diagonals is not read."""
    return triangular(a, b, False, what="solve_upper_triangular")


# --- inverses -------------------------------------------------------------------------------------------------------


def _square_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    side(op, inputs[0])
    return inputs[0].type


def _inverse_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = -X^T dX X^T``."""
    turned = flipped(outputs[0])
    return [-matmul(matmul(turned, gs[0]), turned)]


def inverse_of(op: Op, a: np.ndarray) -> np.ndarray:
    """The inverses of arrays; with ``op["nan"]``, NaN for those that have none."""
    if not op["nan"]:
        return np.asarray(np.linalg.inv(a))
    found = np.full(a.shape, np.nan, a.dtype)
    for k in np.ndindex(a.shape[:-2]):
        with contextlib.suppress(np.linalg.LinAlgError):
            found[k] = np.linalg.inv(a[k])
    return found


_lu_inverse = from_factors(
    "lu_inverse",
    "matrix_inverse",
    infer=lambda op, inputs: inputs[2].type,
    numpy=lambda op, lu, pivots, a: inverse_of(op, a),
    more=lambda node: [int(node.op["nan"])],
)
INVERSE: Record = record(
    "matrix_inverse",
    infer=_square_infer,
    numpy=inverse_of,
    grad=_inverse_grad,
    fallible=True,
    failure="singular",
    decompose=lambda op, inputs: [Op(_lu_inverse, nan=op["nan"])(*factors(inputs[0]))],
    cases=lambda: [
        Case(
            lambda a: matrix_inverse(dominant(a)), (Arg(shape),),
            expect=lambda a: np.linalg.solve(dominant(a), np.broadcast_to(np.eye(3), a.shape)),
        )
        for shape in ((3, 3), (2, 3, 3))
    ],
)  # fmt: skip


def matrix_inverse(a: Any) -> Variable:
    """The inverses of the ``(n, n)`` matrices in the last two axes of ``a``.

    A singular matrix raises ``numpy.linalg.LinAlgError`` at call time.
    """
    return Op(INVERSE, nan=False)(matrix_of("matrix_inverse", a))


def inverse_or_nan(a: Variable) -> Variable:
    """The inverses of matrices of floats; NaN for those that have none."""
    return Op(INVERSE, nan=True)(a)


def factors(a: Variable) -> list[Variable]:
    """The factors, the pivots and the matrix, from which ops of ``from_factors`` start."""
    return [*Op(_lu)(a), a]


explain_faults(globals())
