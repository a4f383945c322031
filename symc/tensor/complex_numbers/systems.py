"""Systems of complex matrices, inverses, determinants, pseudo-inverses, exponentials.

As with real matrices, one factorisation serves the systems, inverses and determinants of a matrix. ``turned`` means the
transposes of matrices, without conjugation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.gradient.pass_through import disconnected_grad
from symc.graph import Constant, Variable
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Op, Record
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import sum
from symc.tensor.complex_numbers.matrices import Shape, apply, batch, imaginary, of_pairs, square
from symc.tensor.complex_numbers.parts import conj, held, imag, real
from symc.tensor.creation import tril, triu, zeros_like
from symc.tensor.joining import concatenate
from symc.tensor.linalg import matmul
from symc.tensor.linear_algebra.decompositions import expm_of
from symc.tensor.linear_algebra.determinants import cofactors_of
from symc.tensor.linear_algebra.linear_systems import eliminated, inverse_of, no_factors
from symc.tensor.linear_algebra.matrices import adjoint, flipped
from symc.tensor.symbolic_dims import length

__all__ = ["COFACTORS", "DET", "EXPM", "INVERSE", "PINV", "SLOGDET", "SOLVE", "TRIANGULAR"]

_SHIFT = np.array([[3, 1], [-1, 2]], "float32")


def _case(built: Callable[..., Variable], expected: Callable[..., Any], *others: Arg) -> Case:
    """A case with a regular complex matrix, made of two real ones.

    Gradients are not part of it: ``tests/test_complex_matrices.py`` has those of all ops.
    """
    return Case(
        lambda a, b, *more: _both_parts(built(held(a + _SHIFT, b), *more)), (Arg((2, 2)), Arg((2, 2)), *others),
        expect=lambda a, b, *more: _both_parts(expected(a + _SHIFT + 1j * b, *more)), rtol=1e-4,
        grad=False,
    )  # fmt: skip


def _both_parts(z: Any) -> Any:
    return real(z) + 2 * imag(z) if isinstance(z, Variable) else np.real(z) + 2 * np.imag(z)


def _scalars(op: Op, inputs: Sequence[Variable], given: Sequence[Shape]) -> list[Shape]:
    return [given[0][:-2]]


def _both_scalars(op: Op, inputs: Sequence[Variable], given: Sequence[Shape]) -> list[Shape]:
    return [given[0][:-2]] * 2


def _of_matrix(g: Variable) -> Variable:
    """Numbers that broadcast over matrices."""
    return dimshuffle(g, [*range(g.ndim), "x", "x"])


def _of_factors(name: str, told: str, outs: str, shapes: Any, numpy: Any, more: Any = None, ins: str = "cic") -> Any:
    """The record of an op on factors, pivots, the matrix, and maybe more operands; messages call it ``told``."""

    def params(node: Any) -> list[Any]:
        return [batch(node), node.inputs[0].type.shape[-2], *([] if more is None else more(node))]

    return of_pairs(
        f"complex_{name}", ins, outs, lambda op, inputs, given: shapes(op, inputs[2:], given[2:]),
        lambda op, lu, pivots, *others: numpy(op, *others), None, params,
        told=lambda op, inputs: (told, inputs[2:]),
    )  # fmt: skip


_lu = of_pairs(
    "complex_lu", "c", "ci", lambda op, inputs, given: [given[0], given[0][:-1]], lambda op, a: eliminated(a), None,
    lambda node: [batch(node), node.inputs[0].type.shape[-2]],
    call=lambda op, a: (no_factors(op, a)[0], np.full(a.shape[:-2], -1, "int32")), unspecified=True,
)  # fmt: skip


def _from_factors(made: Any) -> Callable[[Op, Sequence[Variable]], Any]:
    """The decomposition of an op: the factors of its first operand, then ``made`` with the same attributes."""
    return lambda op, inputs: list(Op(made, **op.attrs).all(*Op(_lu)(inputs[0]), *inputs))


# --- systems --------------------------------------------------------------------------------------------------------


def _systems(op: Op, inputs: Sequence[Variable], given: Sequence[Shape]) -> list[Shape]:
    a, b = given
    text = f"{op.name}: the right side has another number of rows than the matrix"
    require_equal(a[-1], b[-2], text, list(inputs))
    for u, v in zip(a[:-2], b[:-2]):
        require_equal(u, v, f"{op.name}: as many matrices as right sides are needed", list(inputs))
    return [b]


def _turned(a: np.ndarray, yes: bool) -> np.ndarray:
    return a.swapaxes(-1, -2) if yes else a


def _systems_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dB = A^-H dX`` and ``dA = -dB X^H``, or the transpose of that if the matrices are transposed."""
    attrs = op.attrs | {"turned": not op["turned"]}
    by_b = conj(apply(op.record, inputs[0], conj(gs[0]), **attrs)[0])
    by_a = -matmul(by_b, adjoint(outputs[0]))
    by_a = flipped(by_a) if op["turned"] else by_a
    if "lower" in op.attrs:
        by_a = tril(by_a) if op["lower"] else triu(by_a)
    return [by_a, by_b]


_lu_solve = _of_factors(
    "lu_solve", "solve", "c", _systems, lambda op, a, b: np.linalg.solve(_turned(a, op["turned"]), b),
    lambda node: [node.inputs[3].type.shape[-2], int(node.op["turned"])], "cicc",
)  # fmt: skip
SOLVE: Record = of_pairs(
    "complex_solve", "cc", "c", _systems, lambda op, a, b: np.linalg.solve(_turned(a, op["turned"]), b), _systems_grad,
    fallible=True, failure="singular", decompose=_from_factors(_lu_solve),
    cases=lambda: [
        _case(
            lambda z, b, turned=turned: apply(SOLVE, z, held(b, b * b), turned=turned)[0],
            lambda z, b, turned=turned: np.linalg.inv(z.T if turned else z) @ (b + 1j * b * b), Arg((2, 1)),
        )
        for turned in (False, True)
    ],
)  # fmt: skip


def _triangle(op: Op, a: np.ndarray) -> np.ndarray:
    return _turned(np.tril(a) if op["lower"] else np.triu(a), op["turned"])


TRIANGULAR: Record = of_pairs(
    "complex_solve_triangular", "cc", "c", _systems, lambda op, a, b: np.linalg.solve(_triangle(op, a), b),
    _systems_grad,
    lambda node: [batch(node), *node.inputs[1].type.shape[-3:-1], int(node.op["lower"]), int(node.op["turned"])],
    routine="complex_triangular",
    cases=lambda: [
        _case(
            lambda z, b, lower=lower, turned=turned: apply(
                TRIANGULAR, z, held(b, b * b), lower=lower, turned=turned
            )[0],
            lambda z, b, lower=lower, turned=turned: np.linalg.inv(
                _turned((np.tril if lower else np.triu)(z), turned)
            ) @ (b + 1j * b * b), Arg((2, 2)),
        )
        for lower, turned in ((True, False), (False, True))
    ],
)  # fmt: skip


# --- inverses -------------------------------------------------------------------------------------------------------


def _inverse_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = -X^H dX X^H``."""
    turn = adjoint(outputs[0])
    return [-matmul(matmul(turn, gs[0]), turn)]


_lu_inverse = _of_factors("lu_inverse", "matrix_inverse", "c", square, inverse_of, lambda node: [int(node.op["nan"])])
INVERSE: Record = of_pairs(
    "complex_inverse", "c", "c", square, inverse_of, _inverse_grad,
    fallible=True, failure="singular", decompose=_from_factors(_lu_inverse),
    cases=lambda: [
        _case(lambda z: apply(INVERSE, z, nan=False)[0], lambda z: np.linalg.solve(z, np.eye(2)))
    ],
)  # fmt: skip


def _pinv_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dA = -P^H dP P^H + (I - A P) dP^H P P^H + P^H P dP^H (I - P A)``, where the rank does not change."""
    (a, _), (p,), (g,) = inputs, outputs, gs
    ph, gh = adjoint(p), adjoint(g)
    first, second = matmul(matmul(gh, p), ph), matmul(ph, matmul(p, gh))
    outside = first - matmul(a, matmul(p, first)) + second - matmul(matmul(second, p), a)
    return [outside - matmul(matmul(ph, g), ph), None]


PINV: Record = of_pairs(
    "complex_pinv", "cd", "c", lambda op, inputs, given: [(*given[0][:-2], given[0][-1], given[0][-2])],
    lambda op, a, rcond: np.linalg.pinv(a, rcond=float(rcond)), _pinv_grad,
    lambda node: [batch(node), *node.inputs[0].type.shape[-3:-1]], told=lambda op, inputs: ("pinv", inputs[:1]),
    cases=lambda: [
        _case(
            lambda z: apply(PINV, z[:, :1], Constant(np.asarray(1e-15)))[0],
            lambda z: np.linalg.solve(z[:, :1].conj().T @ z[:, :1], z[:, :1].conj().T),
        )
    ],
)  # fmt: skip


# --- determinants ---------------------------------------------------------------------------------------------------


def _cofactors_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Any]:
    """From ``C = det(A) A^-T``: the conjugate of ``(sum(dC* o C) C - C dC^H C) / det(A)``."""
    (c,), (g,) = outputs, gs
    inner = sum(conj(g) * c, axis=(g.ndim - 2, g.ndim - 1), keepdims=True)
    whole = _of_matrix(apply(DET, inputs[0])[0])
    return [conj((inner * c - matmul(matmul(c, adjoint(g)), c)) / whole)]


_lu_cofactors = _of_factors("lu_cofactors", "det", "c", square, lambda op, a: cofactors_of(a))
COFACTORS: Record = of_pairs(
    "complex_cofactors", "c", "c", square, lambda op, a: cofactors_of(a), _cofactors_grad,
    decompose=_from_factors(_lu_cofactors),
    cases=lambda: [_case(lambda z: apply(COFACTORS, z)[0], lambda z: np.linalg.det(z) * np.linalg.inv(z).T)],
)  # fmt: skip
_lu_det = _of_factors("lu_det", "det", "c", _scalars, lambda op, a: np.linalg.det(a))
DET: Record = of_pairs(
    "complex_det", "c", "c", _scalars, lambda op, a: np.linalg.det(a),
    lambda op, inputs, outputs, gs: [_of_matrix(gs[0]) * conj(apply(COFACTORS, inputs[0])[0])],
    decompose=_from_factors(_lu_det),
    cases=lambda: [_case(lambda z: apply(DET, z)[0], lambda z: z[0, 0] * z[1, 1] - z[0, 1] * z[1, 0])],
)  # fmt: skip


def _slogdet_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``(dlog + i q) A^-H`` with ``q = -Im(dsign* sign)``: the sign turns, its size is 1."""
    (by_sign, by_log), sign = gs, outputs[0]
    turning = by_log - imaginary(imag(conj(by_sign) * sign))
    return [_of_matrix(turning) * adjoint(apply(INVERSE, inputs[0], nan=True)[0])]


_lu_slogdet = _of_factors("lu_slogdet", "slogdet", "cr", _both_scalars, lambda op, a: tuple(np.linalg.slogdet(a)))
SLOGDET: Record = of_pairs(
    "complex_slogdet", "c", "cr", _both_scalars, lambda op, a: tuple(np.linalg.slogdet(a)), _slogdet_grad,
    decompose=_from_factors(_lu_slogdet),
    cases=lambda: [
        _case(
            lambda z: apply(SLOGDET, z)[0] * apply(SLOGDET, z)[1],
            lambda z: (d := z[0, 0] * z[1, 1] - z[0, 1] * z[1, 0]) / abs(d) * np.log(abs(d)),
        )
    ],
)  # fmt: skip


# --- exponentials ---------------------------------------------------------------------------------------------------


def _expm_numpy(op: Op, a: np.ndarray) -> np.ndarray:
    """By the exponentials of real matrices twice as large."""
    n, wide = a.shape[-1], np.asarray(a, "complex128")
    whole = np.concatenate([
        np.concatenate([wide.real, -wide.imag], -1), np.concatenate([wide.imag, wide.real], -1)
    ], -2)  # fmt: skip
    found = expm_of(op, whole)
    return np.asarray(found[..., :n, :n] + 1j * found[..., n:, :n])


def _expm_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """The adjoint Frechet derivative: the upper right block of ``expm([[A^H, dY], [0, A^H]])``; ``dY`` is scaled."""
    turn, (g,) = adjoint(inputs[0]), gs
    rows, columns = turn.ndim - 2, turn.ndim - 1
    sizes = ew.maximum(ew.abs_(real(g)), ew.abs_(imag(g)))
    largest = reduce.max(sizes, axis=(rows, columns), keepdims=True)
    scale = disconnected_grad(ew.switch((largest > 0) & (largest < np.inf), largest, 1))
    top = concatenate([turn, g / scale], axis=columns)
    bottom = concatenate([zeros_like(turn), turn], axis=columns)
    n = length(turn, columns)
    return [apply(EXPM, concatenate([top, bottom], axis=rows))[0][..., :n, n:] * scale]


def _expm_by_eigenvalues(z: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eig(z)
    return np.asarray((v * np.exp(w)) @ np.linalg.inv(v))


EXPM: Record = of_pairs(
    "complex_expm", "c", "c", square, _expm_numpy, _expm_grad,
    lambda node: [batch(node), node.inputs[0].type.shape[-2]],
    cases=lambda: [_case(lambda z: apply(EXPM, z / 4)[0], lambda z: _expm_by_eigenvalues(z / 4))],
)  # fmt: skip
