"""Linear algebra against NumPy and SciPy: many matrices at once, gradients by differences, singular matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg

import symc
import symc.tensor as T
from symc.errors import ShapeError
from symc.tensor import nlinalg, slinalg

RNG = np.random.default_rng(0)
A3 = RNG.standard_normal((3, 3))
MANY = RNG.standard_normal((2, 4, 3, 3))
SPD = A3 @ A3.T + np.eye(3)
TALL = RNG.standard_normal((5, 3))


def sym(x):
    return (x + (x.swapaxes(-1, -2) if isinstance(x, np.ndarray) else T.swapaxes(x, -1, -2))) / 2


def by_hand(f: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of one matrix, applied to each of many."""
    return np.vectorize(f, signature="(m,n)->(p,q)")


# name: (in symc, by NumPy or SciPy, values)
FUNCTIONS: dict[str, tuple[Callable, Callable, list[np.ndarray]]] = {
    "solve": (T.solve, np.linalg.solve, [MANY, RNG.standard_normal((2, 4, 3, 2))]),
    "solve, one matrix": (T.solve, lambda a, b: np.linalg.inv(a) @ b, [A3, RNG.standard_normal((4, 3, 2))]),
    "solve, a vector": (T.solve, lambda a, b: np.linalg.inv(a) @ b, [MANY, RNG.standard_normal(3)]),
    "lower": (
        slinalg.solve_lower_triangular,
        lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True),
        [A3 + 3 * np.eye(3), RNG.standard_normal((3, 2))],
    ),
    "upper": (
        slinalg.solve_upper_triangular,
        lambda a, b: scipy.linalg.solve_triangular(a, b),
        [A3 + 3 * np.eye(3), RNG.standard_normal((3, 2))],
    ),
    "inverse": (nlinalg.matrix_inverse, np.linalg.inv, [MANY]),
    "det": (nlinalg.det, np.linalg.det, [MANY]),
    "slogdet": (lambda a: nlinalg.slogdet(a)[1], lambda a: np.linalg.slogdet(a)[1], [MANY]),
    "pinv, tall": (nlinalg.pinv, np.linalg.pinv, [TALL]),
    "pinv, wide": (nlinalg.pinv, np.linalg.pinv, [TALL.T]),
    "expm": (slinalg.expm, by_hand(scipy.linalg.expm), [MANY]),
    "expm, large": (slinalg.expm, scipy.linalg.expm, [4 * A3]),
    "eigvalsh": (lambda a: slinalg.eigvalsh(sym(a)), lambda a: np.linalg.eigvalsh(sym(a)), [MANY]),
    "eigvalsh, two matrices": (
        lambda a, b: slinalg.eigvalsh(sym(a), sym(b)),
        lambda a, b: scipy.linalg.eigvalsh(sym(a), sym(b)),
        [A3, SPD],
    ),
    "kron": (slinalg.kron, np.kron, [A3, TALL]),
    "kron, fewer axes": (slinalg.kron, np.kron, [TALL, RNG.standard_normal(2)]),
    "power 0": (lambda a: nlinalg.matrix_power(a, 0), lambda a: np.linalg.matrix_power(a, 0), [MANY]),
    "power 5": (lambda a: nlinalg.matrix_power(a, 5), lambda a: np.linalg.matrix_power(a, 5), [MANY]),
    "power -3": (lambda a: nlinalg.matrix_power(a, -3), lambda a: np.linalg.matrix_power(a, -3), [A3]),
    "matrix_dot": (nlinalg.matrix_dot, lambda a, b, c: a @ b @ c, [TALL.T, TALL, A3]),
    "tensorinv": (
        nlinalg.tensorinv,
        np.linalg.tensorinv,
        [RNG.standard_normal((4, 6, 8, 3))],
    ),
    "tensorinv, 1": (lambda a: nlinalg.tensorinv(a, 1), lambda a: np.linalg.tensorinv(a, 1), [A3.reshape(3, 3, 1)]),
    "tensorsolve": (
        nlinalg.tensorsolve, np.linalg.tensorsolve, [RNG.standard_normal((2, 3, 6)), RNG.standard_normal((2, 3))],
    ),
    "tensorsolve, axes": (
        lambda a, b: nlinalg.tensorsolve(a, b, (0,)),
        lambda a, b: np.linalg.tensorsolve(a, b, (0,)),
        [RNG.standard_normal((6, 2, 3)), RNG.standard_normal((2, 3))],
    ),
    "trace": (nlinalg.trace, np.trace, [A3]),
    "extract_diag": (nlinalg.extract_diag, np.diag, [A3]),
    "alloc_diag": (nlinalg.alloc_diag, np.diag, [TALL[0]]),
    **{
        f"norm {order} of a matrix": (
            lambda a, order=order: nlinalg.norm(a, order), lambda a, order=order: np.linalg.norm(a, order), [TALL]
        )
        for order in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
    **{
        f"norm {order} of a vector": (
            lambda a, order=order: nlinalg.norm(a, order), lambda a, order=order: np.linalg.norm(a, order), [TALL[1]]
        )
        for order in (None, 0, 1, 2, 3, -2, np.inf, -np.inf)
    },
    "norms of columns": (
        lambda a: nlinalg.norm(a, 2, axis=-2, keepdims=True),
        lambda a: np.linalg.norm(a, 2, axis=-2, keepdims=True),
        [MANY],
    ),
    "norms of matrices": (
        lambda a: nlinalg.norm(a, "nuc", axis=(1, -1)), lambda a: np.linalg.norm(a, "nuc", axis=(1, -1)), [MANY],
    ),
    "norms of turned matrices": (
        lambda a: nlinalg.norm(a, 1, axis=(3, 0), keepdims=True),
        lambda a: np.linalg.norm(a, 1, axis=(3, 0), keepdims=True),
        [MANY],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_gradient(name: str) -> None:
    function, oracle, values = FUNCTIONS[name]
    xs = [T.tensor("float64", shape=(None,) * v.ndim) for v in values]
    y = function(*xs)
    want = oracle(*values)
    weights = np.random.default_rng(1).standard_normal(want.shape)
    grads = T.grad((y * weights).sum(), xs, disconnected_inputs="ignore")
    got, *slopes = symc.function(xs, [y, *grads], device="interp", on_unused_input="ignore")(*values)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
    assert got.shape == want.shape
    for k, slope in enumerate(slopes):
        step = np.random.default_rng(2 + k).standard_normal(values[k].shape)
        ahead, behind = (oracle(*(v + s * 1e-6 * step if j == k else v for j, v in enumerate(values))) for s in (1, -1))
        expected = ((ahead - behind) * weights).sum() / 2e-6
        np.testing.assert_allclose((slope * step).sum(), expected, rtol=2e-5, atol=1e-6)


def test_the_gradient_of_a_determinant_is_the_matrix_of_cofactors() -> None:
    a = T.dmatrix("a")
    f = symc.function([a], T.grad(nlinalg.det(a), a))
    singular = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    np.testing.assert_allclose(f(singular), [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]], atol=1e-12)
    np.testing.assert_allclose(f(np.zeros((3, 3))), np.zeros((3, 3)))
    np.testing.assert_allclose(f(np.ones((1, 1)) * 5), [[1.0]])
    np.testing.assert_allclose(f(A3), np.linalg.det(A3) * np.linalg.inv(A3).T)


def test_second_derivatives_of_the_logarithm_of_a_determinant() -> None:
    a = T.dmatrix("a")
    first = T.grad(nlinalg.slogdet(a)[1], a)
    v = T.dmatrix("v")
    got = symc.function([a, v], T.grad((first * v).sum(), a))(SPD, A3)
    inverse = np.linalg.inv(SPD)
    np.testing.assert_allclose(got, -(inverse @ A3 @ inverse).T, rtol=1e-9)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3)])
def test_qr(shape: tuple[int, ...]) -> None:
    value = RNG.standard_normal(shape)
    a = T.tensor("float64", shape=(None,) * len(shape))
    q, r = nlinalg.qr(a)
    found_q, found_r, only = symc.function([a], [q, r, nlinalg.qr(a, "r")])(value)
    np.testing.assert_allclose(found_q @ found_r, value, atol=1e-12)
    np.testing.assert_allclose(
        found_q.swapaxes(-1, -2) @ found_q,
        np.broadcast_to(np.eye(found_q.shape[-1]), (*shape[:-2], *[found_q.shape[-1]] * 2)),
        atol=1e-12,
    )
    np.testing.assert_array_equal(found_r, np.triu(found_r))
    np.testing.assert_array_equal(only, found_r)


def test_eigenvectors_of_equal_eigenvalues_do_no_harm() -> None:
    a = T.dmatrix("a")
    w, v = nlinalg.eigh(a)
    slopes = symc.function([a], [T.grad(w.sum(), a), T.grad(w[0], a)])(np.eye(3) * 2)
    np.testing.assert_allclose(slopes[0], np.eye(3), atol=1e-12)
    assert np.isfinite(slopes[1]).all()


def test_refusals() -> None:
    a, v = T.tensor("float64", shape=(2, 3), name="a"), T.dvector("v")
    with pytest.raises(ShapeError, match="not square"):
        nlinalg.det(a)
    with pytest.raises(ShapeError, match="expected a matrix"):
        nlinalg.pinv(v)
    with pytest.raises(ShapeError, match="another number of rows"):
        T.solve(T.tensor("float64", shape=(2, 2)), T.tensor("float64", shape=(3, 1)))
    with pytest.raises(ValueError, match="UPLO"):
        nlinalg.eigh(a, "X")
    with pytest.raises(ValueError, match="mode must be"):
        nlinalg.qr(a, "complete")
    with pytest.raises(ValueError, match="not defined for matrices"):
        nlinalg.norm(a, 3)
    with pytest.raises(ValueError, match="not defined for vectors"):
        nlinalg.norm(v, "fro")
    with pytest.raises(ValueError, match="ind=2 must leave axes"):
        nlinalg.tensorinv(a)
    f = symc.function([a], nlinalg.matrix_inverse(a[:, :2]))
    with pytest.raises(np.linalg.LinAlgError, match="matrix_inverse"):
        f(np.ones((2, 3)))
