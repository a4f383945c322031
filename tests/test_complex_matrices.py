"""Linear algebra of complex matrices: values against NumPy and SciPy, gradients against differences."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import symc
import symc.tensor as T
from symc.graph.op import Op
from symc.tensor import nlinalg, slinalg

N = 3
_rng = np.random.default_rng(11)


def _numbers(*shape: int) -> np.ndarray:
    return np.asarray(_rng.standard_normal(shape) + 1j * _rng.standard_normal(shape))


def turned(a: Any) -> Any:
    """The conjugate transposes."""
    return a.conj().swapaxes(-1, -2) if isinstance(a, np.ndarray) else T.conj(T.swapaxes(a, -1, -2))


GENERAL, TALL, RIGHT = _numbers(2, N, N) + np.diag([2.0, 3.0, 5.0]), _numbers(2, N + 2, N), _numbers(2, N, 2)
WEIGHTS = _numbers(2, N + 2, N + 2)
POSITIVE = GENERAL @ turned(GENERAL) + np.diag([1.0, 4.0, 9.0])


# --- values ---------------------------------------------------------------------------------------------------------


def _values(z: Any, p: Any, r: Any, b: Any) -> dict[str, tuple[Any, Any]]:
    """Expressions of a general, a positive definite, a tall matrix and right sides; and what NumPy says."""
    lower, upper = np.tril(GENERAL), np.triu(GENERAL)
    u, s, vh = nlinalg.svd(r, full_matrices=False)
    whole_u, _, whole_vh = nlinalg.svd(T.swapaxes(r, 1, 2))
    w, v = nlinalg.eigh(p)
    of_upper, v_upper = nlinalg.eigh(p, "U")
    q, upper_factor = nlinalg.qr(r)
    whole_q, whole_r = nlinalg.qr(r, "complete")
    sign, size = nlinalg.slogdet(z)
    values, vectors = nlinalg.eig(z)
    x, residuals, rank, _ = nlinalg.lstsq(r[0], r[1])
    numpy_sign, numpy_size = np.linalg.slogdet(GENERAL)
    numpy_x, numpy_residuals, numpy_rank, _ = np.linalg.lstsq(TALL[0], TALL[1], rcond=None)
    factor = np.linalg.cholesky(POSITIVE)
    return {
        "cholesky": (slinalg.cholesky(p), factor),
        "upper cholesky": (slinalg.cholesky(p, lower=False), turned(factor)),
        "cho_solve": (slinalg.cho_solve((slinalg.cholesky(p), True), b), np.linalg.solve(POSITIVE, RIGHT)),
        "upper cho_solve": (
            slinalg.cho_solve((slinalg.cholesky(p, lower=False), False), b), np.linalg.solve(POSITIVE, RIGHT),
        ),
        "positive": (slinalg.solve(p, b, assume_a="pos"), np.linalg.solve(POSITIVE, RIGHT)),
        "solve": (T.solve(z, b), np.linalg.solve(GENERAL, RIGHT)),
        "of a vector": (T.solve(z[0], b[0, :, 0]), np.linalg.solve(GENERAL[0], RIGHT[0, :, 0])),
        "lower": (slinalg.solve_triangular(z, b, lower=True), np.linalg.solve(lower, RIGHT)),
        "transposed": (slinalg.solve_triangular(z, b, trans="T"), np.linalg.solve(upper.swapaxes(1, 2), RIGHT)),
        "adjoint": (slinalg.solve_triangular(z, b, trans="C"), np.linalg.solve(turned(upper), RIGHT)),
        "inverse": (nlinalg.matrix_inverse(z), np.linalg.inv(GENERAL)),
        "det": (nlinalg.det(z), np.linalg.det(GENERAL)),
        "sign": (sign, numpy_sign),
        "size": (size, numpy_size),
        "svd": (T.matmul(u * s[:, None], vh), TALL),
        "singular values": (nlinalg.svd(z, compute_uv=False), np.linalg.svd(GENERAL, compute_uv=False)),
        "unitary": (T.matmul(whole_vh, turned(whole_vh)), np.tile(np.eye(N + 2), (2, 1, 1))),
        "left": (T.matmul(turned(whole_u), whole_u), np.tile(np.eye(N), (2, 1, 1))),
        "eigh": (T.matmul(v * w[:, None], turned(v)), POSITIVE),
        "upper eigh": (T.matmul(v_upper * of_upper[:, None], turned(v_upper)), POSITIVE),
        "eigvalsh": (slinalg.eigvalsh(p), np.linalg.eigvalsh(POSITIVE)),
        "of a pair": (
            slinalg.eigvalsh(p[0], p[1]), scipy.linalg.eigh(POSITIVE[0], POSITIVE[1], eigvals_only=True)
        ),
        "q": (q, np.linalg.qr(TALL)[0]),
        "r": (upper_factor, np.linalg.qr(TALL)[1]),
        "complete q": (whole_q, np.linalg.qr(TALL, "complete")[0]),
        "complete r": (whole_r, np.linalg.qr(TALL, "complete")[1]),
        "wide r": (nlinalg.qr(T.swapaxes(r, 1, 2), "r"), np.linalg.qr(TALL.swapaxes(1, 2))[1]),
        "eig": (T.matmul(z, vectors) - vectors * values[:, None], np.zeros((2, N, N))),
        "eigvals": (T.sort(abs(nlinalg.eigvals(z)), -1), np.sort(abs(np.linalg.eigvals(GENERAL)), -1)),
        "pinv": (nlinalg.pinv(r), np.linalg.pinv(TALL)),
        "expm": (slinalg.expm(z), scipy.linalg.expm(GENERAL)),
        "power": (nlinalg.matrix_power(z, -3), np.linalg.matrix_power(GENERAL, -3)),
        "no power": (nlinalg.matrix_power(z, 0), np.linalg.matrix_power(GENERAL, 0)),
        "nuclear": (nlinalg.norm(z[0], "nuc"), np.linalg.norm(GENERAL[0], "nuc")),
        "spectral": (nlinalg.norm(z, 2, axis=(1, 2)), np.linalg.norm(GENERAL, 2, axis=(1, 2))),
        "columns": (nlinalg.norm(z[0], 1), np.linalg.norm(GENERAL[0], 1)),
        "of vectors": (nlinalg.norm(z, 3, axis=1), np.linalg.norm(GENERAL, 3, axis=1)),
        "lstsq": (x, numpy_x),
        "residuals": (residuals, numpy_residuals),
        "rank": (rank, numpy_rank),
        "matrix_rank": (nlinalg.matrix_rank(r), np.linalg.matrix_rank(TALL)),
        "cond": (nlinalg.cond(z), np.linalg.cond(GENERAL)),
    }  # fmt: skip


@pytest.mark.parametrize("device, dtype", [("c", "complex128"), ("interp", "complex64")])
def test_values(device: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate, names = Op.evaluate, []

    def noted(self: Op, arrays: Any) -> Any:
        names.append(self.name)
        return evaluate(self, arrays)

    monkeypatch.setattr(Op, "evaluate", noted)
    inputs = [T.tensor(dtype, shape=(None,) * 3) for _ in range(4)]
    table = _values(*inputs)
    f = symc.function(inputs, [expression for expression, _ in table.values()], device=device)
    names.clear()
    got = f(*(a.astype(dtype) for a in (GENERAL, POSITIVE, TALL, RIGHT)))
    if device == "c" and importlib.util.find_spec("scipy_openblas32") is not None:
        assert not names, "computed by NumPy in mid-program"
    tolerance = 1e-10 if dtype == "complex128" else 2e-3
    for name, found, (expression, want) in zip(table, got, table.values(), strict=True):
        assert found.shape == np.shape(want) and found.dtype == expression.dtype, name
        np.testing.assert_allclose(found, want, rtol=tolerance, atol=tolerance, err_msg=name)


def test_large_and_empty_matrices_and_what_has_no_factor() -> None:
    z = T.tensor("complex128", shape=(None, None))
    q, r = nlinalg.qr(z, "complete")
    w, v = nlinalg.eigh(z)
    f = symc.function([z], [nlinalg.det(z), nlinalg.matrix_inverse(z), q @ r, w, slinalg.expm(z * 0)])
    a = _numbers(70, 70)
    a = a @ turned(a) / 70 + np.eye(70)
    for got, want in zip(f(a), (np.linalg.det(a), np.linalg.inv(a), a, np.linalg.eigvalsh(a), np.eye(70)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)
    assert [v.shape for v in f(np.zeros((0, 0), "complex128"))] == [(), (0, 0), (0, 0), (0,), (0, 0)]
    g = symc.function([z], slinalg.cholesky(z))
    with pytest.raises(np.linalg.LinAlgError, match=r"(?s)cholesky: .*positive definite.*test_complex_matrices"):
        g(-np.eye(2))
    with pytest.raises(np.linalg.LinAlgError, match="(?s)solve: .*[Ss]ingular"):
        symc.function([z], T.solve(z, z))(np.ones((2, 2)))
    assert np.isnan(symc.function([z], slinalg.cholesky(z, on_error="nan"))(-np.eye(2))).all()
    sign, size = symc.function([z], nlinalg.slogdet(z))(np.ones((2, 2)))
    assert sign == 0 and size == -np.inf
    with pytest.raises(symc.errors.ShapeError, match="not square"):
        nlinalg.det(T.tensor("complex64", shape=(2, 3)))


# --- gradients ------------------------------------------------------------------------------------------------------


def _by_vectors(a: Any, w: Any) -> Any:
    """An expression that depends on eigenvectors, but not on their phases."""
    values, v = nlinalg.eigh(T.matmul(a, turned(a)) + np.diag([1.0, 3.0, 6.0]))
    return T.matmul(v * T.log(values), turned(v)) * w


def _by_singular_vectors(a: Any, w: Any, full: bool = False) -> Any:
    u, s, vh = nlinalg.svd(a, full_matrices=full)
    k = s.shape[0]
    return T.matmul(u[:, :k] * T.sqrt(s), vh[:k]) * w


def _complement(a: Any, w: Any) -> Any:
    q, r = nlinalg.qr(a, "complete")
    rest = q[:, r.shape[1] :]
    return T.matmul(rest, turned(rest)) * (w @ w.T)


def _positive(a: Any) -> Any:
    return T.matmul(a, turned(a)) + np.diag([1.0, 2.0, 3.0])


def _eigenprojections(a: Any, w: Any) -> Any:
    values, v = nlinalg.eig(a)
    return (abs(v) ** 2 * T.exp(values / 4)) * w


SQUARE, HIGH, WIDE = (N, N), (N + 2, N), (N, N + 1)
GRADIENTS: dict[str, tuple[Callable[[Any, Any], Any], tuple[int, int]]] = {
    "cholesky": (lambda a, w: slinalg.cholesky(_positive(a)) * w, SQUARE),
    "upper cholesky": (lambda a, w: slinalg.cholesky(_positive(a), lower=False) * w, SQUARE),
    "one triangle": (lambda a, w: slinalg.cholesky(T.tril(_positive(a))) * w, SQUARE),
    "solve": (lambda a, w: T.solve(a, a * w[:, :1]) * w, SQUARE),
    "triangular": (lambda a, w: slinalg.solve_triangular(a, w * a, trans="C", lower=True), SQUARE),
    "transposed": (lambda a, w: slinalg.solve_triangular(a, w * a, trans="T"), SQUARE),
    "inverse": (lambda a, w: nlinalg.matrix_inverse(a) * w, SQUARE),
    "det": (lambda a, w: nlinalg.det(a) * w[0, 0], SQUARE),
    "sign": (lambda a, w: nlinalg.slogdet(a)[0] * w[0, 0], SQUARE),
    "size": (lambda a, w: nlinalg.slogdet(a)[1] * w[0, 0], SQUARE),
    "pinv": (lambda a, w: nlinalg.pinv(a) * w.T, HIGH),
    "expm": (lambda a, w: slinalg.expm(a) * w, SQUARE),
    "eigh": (_by_vectors, SQUARE),
    "upper eigh": (lambda a, w: T.log(nlinalg.eigh(_positive(a), "U")[0]) * w[0], SQUARE),
    "svd": (_by_singular_vectors, SQUARE),
    "tall svd": (_by_singular_vectors, HIGH),
    "wide svd": (_by_singular_vectors, WIDE),
    "full svd": (lambda a, w: _by_singular_vectors(a, w, True), HIGH),
    "qr": (lambda a, w: nlinalg.qr(a)[0] * w + nlinalg.qr(a)[1].sum(), HIGH),
    "wide qr": (lambda a, w: nlinalg.qr(a)[1] * w + nlinalg.qr(a)[0].sum(), WIDE),
    "complete qr": (_complement, HIGH),
    "eig": (_eigenprojections, SQUARE),
    "power": (lambda a, w: nlinalg.matrix_power(a, 3) * w, SQUARE),
    "nuclear norm": (lambda a, w: nlinalg.norm(a, "nuc") * w[0, 0], SQUARE),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    """Of first and second order, along a direction, by central differences."""
    build, (m, n) = GRADIENTS[name]
    x, y, dx, dy = T.dmatrices(4)
    symbolic = T.complex(x, y)
    value = build(symbolic, WEIGHTS[0, :m, :n])
    cost = (T.real(value) + 0.5 * T.imag(value) ** 2).sum() if value.dtype == "complex128" else (value**2).sum()
    slopes = T.grad(cost, [x, y])
    along = (slopes[0] * dx + slopes[1] * dy).sum()
    f = symc.function([x, y, dx, dy], [cost, along, *T.grad(along, [x, y])], device="interp")
    rng = np.random.default_rng(3)
    at, step = rng.standard_normal((2, m, n)), rng.standard_normal((2, m, n))
    at[0] += np.diag([2.0, 3.0, 5.0, 7.0, 9.0])[:m, :n]
    _, found, *second = f(*at, *step)
    e = 1e-5
    above, below = f(*(at + e * step), *step), f(*(at - e * step), *step)
    np.testing.assert_allclose(found, (above[0] - below[0]) / (2 * e), rtol=1e-6, atol=1e-8)
    curvature = float(sum((g * d).sum() for g, d in zip(second, step)))
    np.testing.assert_allclose(curvature, (above[1] - below[1]) / (2 * e), rtol=1e-6, atol=1e-7)
