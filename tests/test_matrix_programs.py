"""Programs that lean on linear algebra, as Theano users wrote them: against SciPy and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.stats

import symc
import symc.tensor as T
from symc.graph.op import Op
from symc.tensor import nlinalg, slinalg

RNG = np.random.default_rng(7)


def slope(f: Any, x: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """The gradient by central differences."""
    found = np.zeros(x.shape)
    for k in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[k] = h
        found[k] = (f(x + step) - f(x - step)) / (2 * h)
    return found


# --- Gaussian process regression --------------------------------------------------------------------------------------

POINTS = np.sort(RNG.uniform(0, 5, 40))
TARGETS = np.sin(2 * POINTS) + 0.1 * RNG.standard_normal(40)


def kernel(module: Any, a: Any, b: Any, logs: Any) -> Any:
    """The squared exponential kernel with scale ``exp(logs[0])`` and length ``exp(logs[1])``."""
    apart = a[:, None] - b[None, :] if module is np else a.dimshuffle(0, "x") - b.dimshuffle("x", 0)
    return module.exp(2 * logs[0]) * module.exp(-0.5 * apart**2 * module.exp(-2 * logs[1]))


def negative_evidence(logs: np.ndarray) -> float:
    k = kernel(np, POINTS, POINTS, logs) + np.exp(2 * logs[2]) * np.eye(40)
    return float(-scipy.stats.multivariate_normal(np.zeros(40), k).logpdf(TARGETS))


def test_gaussian_process_with_learned_lengthscale() -> None:
    x, y, logs, new = T.dvector("x"), T.dvector("y"), T.tensor("float64", shape=(3,), name="logs"), T.dvector("new")
    covariance = kernel(T, x, x, logs) + T.exp(2 * logs[2]) * T.eye(x.shape[0], dtype="float64")
    factor = slinalg.cholesky(covariance)
    half = slinalg.solve_lower_triangular(factor, y)
    n = T.cast(x.shape[0], "float64")
    cost = 0.5 * T.sqr(half).sum() + T.log(nlinalg.extract_diag(factor)).sum() + 0.5 * n * np.log(2 * np.pi)
    value = symc.function([x, y, logs], [cost, T.grad(cost, logs)])
    curvature = symc.function([x, y, logs], symc.gradient.hessian(cost, logs))

    start = np.array([0.3, 0.5, -1.0])
    found, gradient = value(POINTS, TARGETS, start)
    assert found == pytest.approx(negative_evidence(start), rel=1e-9)
    np.testing.assert_allclose(gradient, slope(negative_evidence, start), rtol=1e-5)
    rows = [slope(lambda p, k=k: value(POINTS, TARGETS, p)[1][k], start) for k in range(3)]
    np.testing.assert_allclose(curvature(POINTS, TARGETS, start), rows, rtol=1e-5, atol=1e-5)

    learned = scipy.optimize.minimize(lambda p: value(POINTS, TARGETS, p), start, jac=True, method="L-BFGS-B")
    reference = scipy.optimize.minimize(negative_evidence, start, method="L-BFGS-B")
    np.testing.assert_allclose(learned.x, reference.x, atol=2e-3)
    assert np.exp(learned.x[2]) == pytest.approx(0.1, abs=0.04)

    across = kernel(T, new, x, logs)
    reduced = slinalg.solve_lower_triangular(factor, across.T)
    mean = T.dot(across, slinalg.solve_upper_triangular(factor.T, half))
    spread = T.exp(2 * logs[0]) - T.sqr(reduced).sum(0)
    at = np.linspace(0, 5, 7)
    got_mean, got_spread = symc.function([x, y, logs, new], [mean, spread])(POINTS, TARGETS, learned.x, at)
    inverse = np.linalg.inv(kernel(np, POINTS, POINTS, learned.x) + np.exp(2 * learned.x[2]) * np.eye(40))
    cross = kernel(np, at, POINTS, learned.x)
    np.testing.assert_allclose(got_mean, cross @ inverse @ TARGETS, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(got_spread, np.exp(2 * learned.x[0]) - ((cross @ inverse) * cross).sum(1), atol=1e-7)


# --- the normal distribution of vectors -------------------------------------------------------------------------------


def test_log_density_of_the_multivariate_normal_distribution() -> None:
    """By an inverse and a determinant, as people write it, and by Cholesky; gradients by all parameters."""
    x, mean, root = T.dmatrix("x"), T.dvector("mean"), T.dmatrix("root")
    covariance = T.dot(root, root.T) + 0.5 * T.eye(4, dtype="float64")
    centred = x - mean
    form = (T.dot(centred, nlinalg.matrix_inverse(covariance)) * centred).sum(1)
    plain = -0.5 * (form + T.log(nlinalg.det(covariance)) + 4 * np.log(2 * np.pi))
    factor = slinalg.Cholesky(lower=False)(covariance)
    half = slinalg.solve_triangular(factor, centred.T, trans=1)
    by_factor = -0.5 * T.sqr(half).sum(0) - T.log(T.diag(factor)).sum() - 2 * np.log(2 * np.pi)
    values = [RNG.standard_normal((6, 4)), RNG.standard_normal(4), RNG.standard_normal((4, 4))]

    def reference(x: np.ndarray, mean: np.ndarray, root: np.ndarray) -> np.ndarray:
        return np.asarray(scipy.stats.multivariate_normal(mean, root @ root.T + 0.5 * np.eye(4)).logpdf(x))

    want = reference(*values)
    slopes = [
        slope(lambda v, k=k: reference(*(v if j == k else old for j, old in enumerate(values))).sum(), values[k])
        for k in range(3)
    ]
    for density in (plain, by_factor):
        inputs = [x, mean, root]
        got, *gradients = symc.function(inputs, [density, *T.grad(density.sum(), inputs)])(*values)
        np.testing.assert_allclose(got, want, rtol=1e-10)
        for g, w in zip(gradients, slopes):
            np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6)


# --- Bayesian linear regression ---------------------------------------------------------------------------------------


def test_evidence_of_bayesian_linear_regression() -> None:
    design, targets, logs = T.dmatrix("design"), T.dvector("targets"), T.dvector("logs")
    alpha, beta = T.exp(logs[0]), T.exp(logs[1])
    n, m = T.cast(design.shape[0], "float64"), design.shape[1]
    precision = alpha * T.eye(m, dtype="float64") + beta * T.dot(design.T, design)
    mean = beta * T.solve(precision, T.dot(design.T, targets), assume_a="pos")
    misfit = 0.5 * beta * T.sqr(targets - T.dot(design, mean)).sum() + 0.5 * alpha * T.sqr(mean).sum()
    evidence = (
        0.5 * (m * T.log(alpha) + n * T.log(beta) - nlinalg.slogdet(precision)[1] - n * np.log(2 * np.pi)) - misfit
    )
    f = symc.function([design, targets, logs], [evidence, mean, T.grad(evidence, logs)])
    features = np.vander(np.linspace(-1, 1, 20), 4)
    observed = features @ np.array([1.0, -2, 0.5, 0]) + 0.2 * RNG.standard_normal(20)

    def reference(logs: np.ndarray) -> float:
        covariance = np.exp(-logs[0]) * features @ features.T + np.exp(-logs[1]) * np.eye(20)
        return float(scipy.stats.multivariate_normal(np.zeros(20), covariance).logpdf(observed))

    at = np.array([-0.5, 2.0])
    value, weights, gradient = f(features, observed, at)
    assert value == pytest.approx(reference(at), rel=1e-9)
    ridge = np.vstack([features, np.sqrt(np.exp(at[0] - at[1])) * np.eye(4)])
    np.testing.assert_allclose(weights, np.linalg.lstsq(ridge, np.append(observed, np.zeros(4)))[0], rtol=1e-9)
    np.testing.assert_allclose(gradient, slope(reference, at), rtol=1e-5)


# --- principal components and whitening -------------------------------------------------------------------------------

DATA = RNG.standard_normal((200, 5)) @ np.diag([3, 2, 1, 0.5, 0.1]) @ scipy.linalg.qr(RNG.standard_normal((5, 5)))[0]


def test_principal_components() -> None:
    x = T.dmatrix("x")
    centred = x - x.mean(0)
    variances, axes = nlinalg.eigh(T.dot(centred.T, centred) / x.shape[0])
    scores = T.dot(centred, axes[:, :-3:-1])
    lost = T.sqr(centred - T.dot(scores, axes[:, :-3:-1].T)).sum()
    got_variances, got_scores, got_lost, gradient = symc.function([x], [variances, scores, lost, T.grad(lost, x)])(DATA)
    u, s, vt = np.linalg.svd(DATA - DATA.mean(0), full_matrices=False)
    np.testing.assert_allclose(got_variances[::-1], s**2 / 200)
    np.testing.assert_allclose(abs(got_scores), abs(u * s)[:, :2], atol=1e-9)
    assert got_lost == pytest.approx((s[2:] ** 2).sum())
    np.testing.assert_allclose(gradient, 2 * (u[:, 2:] * s[2:]) @ vt[2:], atol=1e-7)  # Eckart and Young


@pytest.mark.parametrize("way", ["eigenvalues", "Cholesky", "singular values"])
def test_whitening(way: str) -> None:
    x = T.matrix("x")
    centred = x - x.mean(0)
    covariance = T.dot(centred.T, centred) / x.shape[0]
    if way == "eigenvalues":
        w, v = nlinalg.eigh(covariance)
        white = T.dot(centred, T.dot(v / T.sqrt(w), v.T))
    elif way == "Cholesky":
        white = slinalg.solve_lower_triangular(slinalg.cholesky(covariance), centred.T).T
    else:
        u, _, vt = nlinalg.svd(centred, full_matrices=False)
        white = T.sqrt(T.cast(x.shape[0], "float32")) * T.dot(u, vt)
    got, gradient = symc.function([x], [white, T.grad(T.sqr(white).sum(), x)])(DATA.astype("float32"))
    np.testing.assert_allclose(got.T @ got / 200, np.eye(5), atol=2e-3)
    np.testing.assert_allclose(gradient, 0, atol=0.2)  # the sum of squares is 1000 whatever the data


def test_ten_thousand_small_systems() -> None:
    """A batch of which each system is checked, with its gradient."""
    a, b = T.tensor3("a"), T.tensor3("b")
    x = T.solve(a, b)
    matrices = (RNG.standard_normal((10000, 8, 8)) + 6 * np.eye(8)).astype("float32")
    right = RNG.standard_normal((10000, 8, 1)).astype("float32")
    got, by_a, by_b = symc.function([a, b], [x, *T.grad(T.sqr(x).sum() / 2, [a, b])])(matrices, right)
    wide = matrices.astype("float64")
    want = np.linalg.solve(wide, right)
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)
    back = np.linalg.solve(wide.swapaxes(1, 2), want)
    np.testing.assert_allclose(by_b, back, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(by_a, -back @ want.swapaxes(1, 2), rtol=1e-3, atol=1e-4)


def test_systems_in_a_loop_call_no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scan with a factorisation inside: Newton's iteration for the square root of a matrix."""
    a = T.dmatrix("a")
    roots, _ = symc.scan(
        lambda r, a: (r + T.dot(nlinalg.matrix_inverse(r), a)) / 2, outputs_info=[a], non_sequences=[a], n_steps=12
    )
    spd = scipy.linalg.hilbert(4) + np.eye(4)
    f = symc.function([a], roots[-1])
    f(np.eye(4))
    if f.device == "c":
        monkeypatch.setattr(Op, "evaluate", lambda self, arrays: pytest.fail(f"{self.name} was computed in Python"))
    np.testing.assert_allclose(f(spd), scipy.linalg.sqrtm(spd), atol=1e-10)
