"""Factorisations in compiled functions: LAPACK and the run-time library's own code against NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import symc
import symc.tensor as T
from symc.graph.op import Op
from symc.tensor import nlinalg, slinalg
from symc.tensor.linear_algebra import linear_systems

toolchain = pytest.importorskip("symc_backends.c.toolchain")
if toolchain.command(symc.config.compiler) is None:
    pytest.skip("no C compiler", allow_module_level=True)

from symc_backends.c import lapack  # noqa: E402

needs_lapack = pytest.mark.skipif(not lapack.available(), reason="scipy-openblas32 is not installed")
SHAPES = [(1, 1), (5, 5), (16, 16), (3, 17, 17), (70, 4, 4), (40, 20, 20), (3, 90, 90), (0, 3, 3)]
"""One or many matrices, some for lanes and some for LAPACK, more than the lanes and fewer."""
DTYPES = ("float32", "float64")


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of ops that NumPy computes in mid-program."""
    names: list[str] = []
    evaluate, no_factors = Op.evaluate, linear_systems.no_factors

    def noted(self: Op, arrays: Any) -> Any:
        names.append(self.name)
        return evaluate(self, arrays)

    monkeypatch.setattr(Op, "evaluate", noted)
    yield names
    assert linear_systems.no_factors is no_factors


@pytest.fixture(autouse=True)
def as_compiled() -> Iterator[None]:
    """No code for short axes, which a call would compile, with ops evaluated and LAPACK loaded for it."""
    with symc.config.change(short_axes=False):
        yield


@pytest.fixture
def without_lapack() -> Iterator[None]:
    """LAPACK as if it were not installed, for functions that exist."""
    lapack.load()
    lapack.unload()
    yield
    lapack.load()


def square(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    n = shape[-1]
    x = np.random.default_rng(n).standard_normal(shape) / np.sqrt(n)
    return (0.3 * x + 1.2 * np.diag(np.where(np.arange(n) % 3 == 1, -1, 1))).astype(dtype)


def positive(a: np.ndarray) -> np.ndarray:
    return a @ flip(a) + np.eye(a.shape[-1], dtype=a.dtype)


def flip(a: Any) -> Any:
    return a.swapaxes(-1, -2) if isinstance(a, np.ndarray) else T.swapaxes(a, -1, -2)


def right(a: np.ndarray, k: int) -> np.ndarray:
    return np.random.default_rng(k).standard_normal((*a.shape[:-1], k)).astype(a.dtype)


FUNCTIONS: dict[str, tuple[Callable, Callable]] = {
    "solve": (T.solve, lambda a, b: np.linalg.inv(a) @ b),
    "solve, the transposes": (
        lambda a, b: Op(linear_systems.SOLVE, turned=True)(a, b),
        lambda a, b: np.linalg.inv(flip(a)) @ b,
    ),
    **{
        f"triangular, {lower}, {turned}": (
            lambda a, b, lower=lower, turned=turned: linear_systems.triangular(a, b, lower, turned),
            lambda a, b, lower=lower, turned=turned: np.linalg.inv(
                flip((np.tril if lower else np.triu)(a)) if turned else (np.tril if lower else np.triu)(a)
            )
            @ b,
        )
        for lower in (True, False)
        for turned in (True, False)
    },
    "inverse": (lambda a, b: nlinalg.matrix_inverse(a), lambda a, b: np.linalg.solve(a, np.eye(a.shape[-1]) + 0 * a)),
    "det": (lambda a, b: nlinalg.det(a), lambda a, b: np.prod(np.linalg.eigvals(a), -1).real),
    "sign": (lambda a, b: nlinalg.slogdet(a)[0], lambda a, b: np.sign(np.prod(np.linalg.eigvals(a), -1).real)),
    "logdet": (
        lambda a, b: nlinalg.slogdet(a)[1],
        lambda a, b: np.log(np.linalg.svd(a, compute_uv=False)).sum(-1),
    ),
    "cofactors": (
        lambda a, b: T.grad(nlinalg.det(a).sum(), a),
        lambda a, b: np.prod(np.linalg.eigvals(a), -1).real[..., None, None] * flip(np.linalg.inv(a)),
    ),
    "cholesky": (lambda a, b: slinalg.cholesky(positive_(a)), lambda a, b: np.linalg.cholesky(positive(a))),
    "cholesky, upper": (
        lambda a, b: slinalg.cholesky(positive_(a), lower=False), lambda a, b: flip(np.linalg.cholesky(positive(a))),
    ),
    "singular values": (
        lambda a, b: nlinalg.svd(a, compute_uv=False), lambda a, b: np.sqrt(np.linalg.eigvalsh(a @ flip(a)))[..., ::-1],
    ),
    "svd": (lambda a, b: rebuilt(*nlinalg.svd(a)), lambda a, b: a),
    "eigenvalues": (
        lambda a, b: slinalg.eigvalsh(positive_(a)), lambda a, b: np.linalg.svd(positive(a))[1][..., ::-1],
    ),
    "eigh": (lambda a, b: by_eigenvalues(*nlinalg.eigh(positive_(a))), lambda a, b: positive(a)),
    "eigh, of the upper triangle": (
        lambda a, b: by_eigenvalues(*nlinalg.eigh(a, "U")), lambda a, b: np.triu(a) + flip(np.triu(a, 1)),
    ),
    "qr": (lambda a, b: T.matmul(*nlinalg.qr(a)), lambda a, b: a),
    "orthonormal": (
        lambda a, b: T.matmul(flip(nlinalg.qr(a)[0]), nlinalg.qr(a)[0]), lambda a, b: np.eye(a.shape[-1]) + 0 * a,
    ),
    "qr, complete": (
        lambda a, b: T.matmul(*nlinalg.qr(T.concatenate([a, a], -2), "complete")),
        lambda a, b: np.concatenate([a, a], -2),
    ),
    "orthogonal": (
        lambda a, b: T.matmul(flip(nlinalg.qr(b, "complete")[0]), nlinalg.qr(b, "complete")[0]),
        lambda a, b: np.eye(a.shape[-1]) + 0 * a,
    ),
    "eig": (lambda a, b: a + defect(a, *nlinalg.eig(a)), lambda a, b: a),
    "eigvals": (lambda a, b: T.real(nlinalg.eigvals(a)).sum(-1), lambda a, b: np.trace(a, axis1=-2, axis2=-1)),
    "pinv": (lambda a, b: nlinalg.pinv(a), lambda a, b: np.linalg.inv(a)),
    "expm": (lambda a, b: slinalg.expm(a), lambda a, b: scipy.linalg.expm(a) if len(a) else a),
}  # fmt: skip


def positive_(a: Any) -> Any:
    return T.matmul(a, flip(a)) + T.eye(a.shape[-1], dtype=a.dtype)


def rebuilt(u: Any, s: Any, vt: Any) -> Any:
    return T.matmul(u * s.dimshuffle(*range(s.ndim - 1), "x", s.ndim - 1), vt)


def defect(a: Any, w: Any, v: Any) -> Any:
    """How far eigenvalues and vectors are from being what they should."""
    return abs(T.matmul(a, v) - v * w.dimshuffle(*range(w.ndim - 1), "x", w.ndim - 1)).sum(-1, keepdims=True)


def by_eigenvalues(w: Any, v: Any) -> Any:
    return rebuilt(v, w, flip(v))


@pytest.fixture(scope="module")
def compiled() -> dict[tuple[str, int], Callable]:
    """All functions as one, by dtype and number of axes."""
    made = {}
    for dtype in DTYPES:
        for ndim in (2, 3):
            a, b = (T.tensor(dtype, shape=(None,) * ndim) for _ in range(2))
            made[dtype, ndim] = symc.function([a, b], [f(a, b) for f, _ in FUNCTIONS.values()], device="c")
    return made


def check(found: list[np.ndarray], a: np.ndarray, b: np.ndarray) -> None:
    wide = [v.astype("float64") for v in (a, b)]
    for (name, (_, oracle)), value in zip(FUNCTIONS.items(), found):
        want = oracle(*wide)
        assert value.shape == want.shape and value.dtype == a.dtype, name
        tolerance = (2e-4 if a.dtype == "float32" else 1e-11) * np.abs(want).max(initial=0)
        np.testing.assert_allclose(value, want, rtol=0, atol=tolerance, err_msg=name)


@needs_lapack
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("columns", [1, 3])
def test_values_without_python(
    compiled: dict, evaluated: list[str], shape: tuple[int, ...], dtype: str, columns: int
) -> None:
    a = square(shape, dtype)
    b = right(a, columns)
    evaluated.clear()
    found = compiled[dtype, len(shape)](a, b)
    assert not evaluated or not a.size
    check(found, a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 5), (3, 17, 17)])
def test_values_without_lapack(
    compiled: dict, without_lapack: None, evaluated: list[str], shape: tuple[int, ...], dtype: str
) -> None:
    a = square(shape, dtype)
    b = right(a, 2)
    evaluated.clear()
    found = compiled[dtype, len(shape)](a, b)
    assert {"svd", "eigh", "qr", "pinv", "expm"} <= set(evaluated)
    assert ("lu_solve" in evaluated) == ("solve_triangular" in evaluated) == (shape[-1] > 16)
    check(found, a, b)


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 40, 9), (3, 2, 30)])
def test_matrices_that_are_not_square(shape: tuple[int, ...]) -> None:
    a = T.tensor("float64", shape=(None,) * len(shape))
    f = symc.function(
        [a], [rebuilt(*nlinalg.svd(a, full_matrices=False)), T.matmul(*nlinalg.qr(a)), nlinalg.pinv(a), *nlinalg.qr(a)]
    )
    value = np.random.default_rng(0).standard_normal(shape)
    whole, product, inverse, q, r = f(value)
    np.testing.assert_allclose(whole, value, atol=1e-12)
    np.testing.assert_allclose(product, value, atol=1e-12)
    np.testing.assert_allclose(inverse, np.linalg.pinv(value), atol=1e-12)
    np.testing.assert_array_equal(r, np.triu(r))
    np.testing.assert_allclose(flip(q) @ q, np.eye(q.shape[-1]) + 0 * (flip(q) @ q), atol=1e-12)
    *full, square = symc.function([a], [*nlinalg.svd(a), nlinalg.qr(a, "complete")[0]])(value)
    for q in (full[0], full[2], square):
        np.testing.assert_allclose(flip(q) @ q, np.eye(q.shape[-1]) + 0 * (flip(q) @ q), atol=1e-12)
    k = full[1].shape[-1]
    np.testing.assert_allclose(full[0][..., :k] * full[1][..., None, :] @ full[2][..., :k, :], value, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (30, 8, 8), (40, 40)])
def test_factors_multiply_to_the_matrix(shape: tuple[int, ...]) -> None:
    """In both implementations: the factors are stored transposed, and pivots are exchanges of rows."""
    a = T.tensor("float64", shape=(None,) * len(shape))
    value = np.random.default_rng(1).standard_normal(shape)
    for lu, pivots in (symc.function([a], Op(linear_systems._lu)(a))(value), Op(linear_systems._lu).evaluate([value])):
        lu = flip(lu)
        product = (np.tril(lu, -1) + np.eye(shape[-1])) @ np.triu(lu)
        for index in np.ndindex(shape[:-2]):
            for k in reversed(range(shape[-1])):
                rows = [k, pivots[index][k]]
                product[index][rows] = product[index][rows[::-1]]
        np.testing.assert_allclose(product, value, atol=1e-12)
        assert (np.abs(np.tril(lu, -1)) <= 1).all()


@pytest.mark.parametrize("n", [3, 24, 60])
def test_what_fails_in_one_of_many_fails_whole(n: int) -> None:
    a = T.tensor("float64", shape=(None, None, None), name="a")
    kept = symc.shared(np.zeros(2), "kept")
    value = np.random.default_rng(2).standard_normal((20, n, n)) + 30 * np.eye(n)
    singular = value.copy()
    singular[13] = np.ones((n, n))
    for build, name in [
        (lambda: T.solve(a, a), "solve"),
        (lambda: nlinalg.matrix_inverse(a), "matrix_inverse"),
        (lambda: slinalg.cholesky(T.matmul(a, flip(a)) - 2 * T.eye(n)), "cholesky"),
    ]:
        out = build()
        f = symc.function([a], out, updates={kept: kept + out.sum()})
        f(value)
        before = kept.get_value()
        with pytest.raises(np.linalg.LinAlgError, match=name):
            f(singular)
        np.testing.assert_array_equal(kept.get_value(), before)
    lower = symc.function([a], slinalg.solve_lower_triangular(a, a))
    singular[13] = np.eye(n)
    singular[13, 1, 1] = 0
    with pytest.raises(np.linalg.LinAlgError, match="solve_triangular"):
        lower(singular)
    sign, size = symc.function([a], nlinalg.slogdet(a))(singular)
    assert sign[13] == 0 and size[13] == -np.inf and np.isfinite(np.delete(size, 13)).all()
    assert symc.function([a], nlinalg.det(a))(singular)[13] == 0


@pytest.mark.parametrize("n", [3, 24, 60])
def test_cholesky_with_nan_for_errors(n: int) -> None:
    a = T.tensor("float64", shape=(None, None, None), name="a")
    value = np.broadcast_to(2 * np.eye(n), (20, n, n)).copy()
    value[7, 1, 1] = -1
    for device in ("c", "interp"):
        f = symc.function([a], slinalg.cholesky(a, on_error="nan"), device=device)
        found = f(value)
        assert np.isnan(found[7]).all()
        np.testing.assert_allclose(np.delete(found, 7, 0), np.sqrt(np.delete(value, 7, 0)))


def test_determinants_of_many_magnitudes() -> None:
    """Partial products would overflow and underflow."""
    a = T.dmatrix("a")
    f = symc.function([a], nlinalg.det(a))
    assert f(np.diag([1e200, 1e200, -1e-200, 1e-200])) == pytest.approx(-1, rel=1e-12)
    assert f(np.diag([1e200, 1e200])) == np.inf
    assert f(np.diag([1e-200, 1e-200])) == 0


@pytest.mark.parametrize("n", [4, 40])
def test_nan_is_as_numpy_says(n: int) -> None:
    a = T.dmatrix("a")
    value = np.eye(n)
    value[1, 2] = np.nan
    for build, oracle in [
        (nlinalg.matrix_inverse, np.linalg.inv),
        (lambda a: nlinalg.svd(a, compute_uv=False), lambda a: np.linalg.svd(a, compute_uv=False)),
        (lambda a: nlinalg.det(a), np.linalg.det),
    ]:
        try:
            want = oracle(value)
        except np.linalg.LinAlgError:
            with pytest.raises(np.linalg.LinAlgError):
                symc.function([a], build(a))(value)
            continue
        found = symc.function([a], build(a))(value)
        assert np.isnan(found).any() == np.isnan(want).any()


@needs_lapack
def test_a_matrix_is_factorised_once() -> None:
    a, b = T.dmatrix("a"), T.dmatrix("b")
    cost = T.sqr(T.solve(a, b)).sum() + nlinalg.slogdet(a)[1]
    f = symc.function([a, b], [cost, *T.grad(cost, [a, b])], profile=True)
    f(np.eye(3) * 2, np.ones((3, 1)))
    assert f.profile.summary().count("lu ") == 1
