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
    "kron, a vector": (
        slinalg.kron, lambda a, b: np.kron(a[None], b).ravel(), [RNG.standard_normal(2), TALL],
    ),
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
    "solve, positive definite": (
        lambda a, b: T.solve(sym(a), b, assume_a="pos"), lambda a, b: np.linalg.solve(sym(a), b),
        [SPD, RNG.standard_normal((3, 2))],
    ),
    "solve_triangular, transposed": (
        lambda a, b: slinalg.solve_triangular(a, b, trans="T", lower=True),
        lambda a, b: scipy.linalg.solve_triangular(a, b, trans="T", lower=True),
        [A3 + 3 * np.eye(3), RNG.standard_normal(3)],
    ),
    "cho_solve": (
        lambda a, b: slinalg.cho_solve((a, False), b), lambda a, b: scipy.linalg.cho_solve((a, False), b),
        [A3 + 3 * np.eye(3), RNG.standard_normal((3, 2))],
    ),
    "cholesky, of one triangle": (slinalg.cholesky, np.linalg.cholesky, [SPD]),
    "cholesky, of the other triangle": (
        lambda a: slinalg.cholesky(a, lower=False), lambda a: scipy.linalg.cholesky(a), [SPD],
    ),
    "eigh, of one triangle": (
        lambda a: nlinalg.eigh(a, "U")[0], lambda a: np.linalg.eigvalsh(a, "U"), [MANY],
    ),
    "eigvalsh, of one triangle each": (
        lambda a, b: slinalg.eigvalsh(a, b, lower=False),
        lambda a, b: scipy.linalg.eigh(a, b, lower=False, eigvals_only=True),
        [A3, SPD],
    ),
    "svd, full": (
        lambda a: T.dot(nlinalg.svd(a)[0][:, 3:], nlinalg.svd(a)[0][:, 3:].T),
        lambda a: np.eye(5) - a @ np.linalg.pinv(a),
        [TALL],
    ),
    "lstsq": (lambda a, b: nlinalg.lstsq(a, b)[0], lambda a, b: np.linalg.lstsq(a, b)[0], [TALL, TALL[:, :2] ** 2]),
    "lstsq, a vector": (
        lambda a, b: nlinalg.lstsq()(a, b, -1)[0], lambda a, b: np.linalg.lstsq(a, b)[0], [TALL.T, A3[0]],
    ),
    "residuals of lstsq": (
        lambda a, b: nlinalg.lstsq(a, b)[1], lambda a, b: np.linalg.lstsq(a, b)[1], [TALL, TALL[:, :2] ** 2],
    ),
    **{
        f"cond {order}": (
            lambda a, order=order: nlinalg.cond(a, order), lambda a, order=order: np.linalg.cond(a, order), [MANY],
        )
        for order in (None, "fro", 1, -1, 2, -2, np.inf, -np.inf)
    },
    "cond of a matrix that is not square": (nlinalg.cond, np.linalg.cond, [TALL]),
    "norm 'inf' as in Theano": (lambda a: nlinalg.norm(a, "inf"), lambda a: np.linalg.norm(a, np.inf), [TALL]),
    "norm '-inf' as in Theano": (lambda a: nlinalg.norm(a, "-inf"), lambda a: np.linalg.norm(a, -np.inf), [TALL[1]]),
    "product with an inverse": (
        lambda a, b: T.dot(nlinalg.matrix_inverse(a), b), lambda a, b: np.linalg.solve(a, b), [A3, TALL.T],
    ),
    "product with the transpose of an inverse": (
        lambda a, b: T.dot(b, nlinalg.matrix_inverse(a).T), lambda a, b: np.linalg.solve(a, b.T).T, [A3, TALL],
    ),
    "products with inverses": (
        lambda a, b: T.matmul(b, nlinalg.matrix_inverse(a)), lambda a, b: b @ np.linalg.inv(a), [MANY[0], MANY[1]],
    ),
    "logarithm of a determinant": (
        lambda a: T.log(nlinalg.det(a)), lambda a: np.log(np.linalg.det(a)), [SPD],
    ),
    "logarithm of the size of a determinant": (
        lambda a: T.log(abs(nlinalg.det(a))), lambda a: np.log(abs(np.linalg.det(a))), [MANY],
    ),
    **{
        f"{name} as a class": (function, oracle, values)
        for name, function, oracle, values in [
            ("MatrixInverse", nlinalg.MatrixInverse(), np.linalg.inv, [A3]),
            ("MatrixPinv", nlinalg.MatrixPinv(), np.linalg.pinv, [TALL]),
            ("AllocDiag", nlinalg.AllocDiag(), np.diag, [TALL[0]]),
            ("ExtractDiag", nlinalg.ExtractDiag(view=True), np.diag, [A3]),
            ("Det", nlinalg.Det(), np.linalg.det, [A3]),
            ("Eigh", lambda a: nlinalg.Eigh("U")(a)[0], lambda a: np.linalg.eigvalsh(a, "U"), [A3]),
            ("SVD", lambda a: nlinalg.SVD(False, False)(a), lambda a: np.linalg.svd(a)[1], [TALL]),
            ("QRIncomplete", lambda a: abs(nlinalg.QRIncomplete("r")(a)), lambda a: abs(np.linalg.qr(a, "r")), [TALL]),
            ("QRFull", lambda a: T.dot(*nlinalg.QRFull("full")(a)), lambda a: a, [TALL]),
            ("TensorInv", nlinalg.TensorInv(1), lambda a: np.linalg.tensorinv(a, 1), [A3.reshape(3, 3, 1)]),
            ("Cholesky", slinalg.Cholesky(lower=False, on_error="nan"), lambda a: np.linalg.cholesky(a.T).T, [SPD]),
            ("Expm", slinalg.Expm(), scipy.linalg.expm, [A3]),
            ("Eigvalsh", slinalg.Eigvalsh(True), lambda a: np.linalg.eigvalsh(a), [A3]),
            ("Solve", slinalg.Solve(), np.linalg.solve, [A3, TALL.T]),
            ("Solve, symmetric", slinalg.Solve("symmetric"), np.linalg.solve, [SPD, TALL.T]),
            (
                "Solve, lower", slinalg.Solve(A_structure="lower_triangular", lower=True),
                lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True), [A3 + 3 * np.eye(3), TALL.T],
            ),
            (
                "Solve, upper", slinalg.Solve("upper_triangular"),
                lambda a, b: scipy.linalg.solve_triangular(a, b), [A3 + 3 * np.eye(3), TALL[1]],
            ),
        ]
    },
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
        nlinalg.qr(a, "raw")
    with pytest.raises(ValueError, match="not defined for matrices"):
        nlinalg.norm(a, 3)
    with pytest.raises(ValueError, match="not defined for vectors"):
        nlinalg.norm(v, "fro")
    with pytest.raises(ValueError, match="ind=2 must leave axes"):
        nlinalg.tensorinv(a)
    f = symc.function([a], nlinalg.matrix_inverse(a[:, :2]))
    with pytest.raises(np.linalg.LinAlgError, match="matrix_inverse"):
        f(np.ones((2, 3)))


def test_rank_and_least_squares_of_matrices_without_full_rank() -> None:
    a, b, v = T.dmatrix("a"), T.dmatrix("b"), T.dvector("v")
    many = T.dtensor3("many")
    f = symc.function([a, b], [*nlinalg.lstsq(a, b), nlinalg.matrix_rank(a), nlinalg.matrix_rank(a, 3.0)])
    thin = np.outer([1.0, 2, 3, 4], [1.0, -1, 2]) + np.outer([0.0, 1, 1, 0], [1.0, 0, 0])
    for value in (thin, thin.T, np.zeros((3, 2)), np.ones((2, 2)), RNG.standard_normal((4, 2))):
        right = RNG.standard_normal((len(value), 2))
        x, residuals, rank, s, same, large = f(value, right)
        want = np.linalg.lstsq(value, right, rcond=None)
        np.testing.assert_allclose(x, want[0], atol=1e-12)
        np.testing.assert_allclose(residuals, want[1], atol=1e-12)
        assert residuals.shape == want[1].shape and rank == want[2] == same == np.linalg.matrix_rank(value)
        np.testing.assert_allclose(s, want[3], atol=1e-12)
        assert large == np.linalg.matrix_rank(value, tol=3.0)
    values = np.stack([np.eye(3), np.diag([1.0, 0, 0]), np.zeros((3, 3))])
    ranks = symc.function([many], [nlinalg.matrix_rank(many), nlinalg.matrix_rank(many, hermitian=True)])(values)
    np.testing.assert_array_equal(ranks, [[3, 1, 0]] * 2)
    assert symc.function([v], nlinalg.matrix_rank(v))(np.zeros(3)) == 0
    integers = T.lmatrix("i")
    found = symc.function([integers, b], nlinalg.lstsq()(integers, b, 1)[0])(np.array([[2, 1], [3, 4]]), np.eye(2))
    np.testing.assert_allclose(found, np.linalg.lstsq([[2, 1], [3, 4]], np.eye(2), rcond=1)[0], atol=1e-12)


@pytest.mark.parametrize("shapes", [((2, 3, 4), (6, 7)), ((2, 3), (6, 7, 8)), ((2,), (3, 4, 5)), ((2, 3), (4,))])
def test_kron_of_other_than_two_matrices(shapes: tuple[tuple[int, ...], ...]) -> None:
    """All products, from which axes are merged as in Theano."""
    a, b = (T.tensor("float64", shape=(None,) * len(s)) for s in shapes)
    values = [RNG.standard_normal(s) for s in shapes]
    found = symc.function([a, b], slinalg.kron(a, b))(*values)
    every = np.multiply.outer(*values)
    if every.ndim == 3:
        np.testing.assert_array_equal(found, np.moveaxis(every, 1, 0).ravel())
        return
    pairs = [every[i, :, k] for i in range(every.shape[0]) for k in range(every.shape[2])]
    want = np.stack([p.reshape(-1, *p.shape[2:]) for p in pairs])
    np.testing.assert_array_equal(found, want)


def test_the_logarithm_of_a_determinant_neither_overflows_nor_loses_its_sign() -> None:
    a = T.dmatrix("a")
    value, slope = (lambda y: symc.function([a], [y, T.grad(y, a)]))(T.log(nlinalg.det(a)))(1e200 * np.eye(3))
    np.testing.assert_allclose(value, 3 * np.log(1e200))
    np.testing.assert_allclose(slope, 1e-200 * np.eye(3))
    f = symc.function([a], T.log(nlinalg.det(a)))
    assert np.isnan(f(np.diag([1.0, -1]))) and f(np.zeros((2, 2))) == -np.inf
    np.testing.assert_allclose(f(np.diag([-1.0, -2])), np.log(2))
    assert np.isnan(symc.function([a], T.grad(nlinalg.slogdet(a)[1], a))(np.ones((2, 2)))).all()


def test_an_inverse_in_a_product_is_not_computed() -> None:
    a, b = T.dmatrix("a"), T.dmatrix("b")
    f = symc.function([a, b], T.dot(nlinalg.matrix_inverse(a), b), profile=True)
    with pytest.raises(np.linalg.LinAlgError, match="solve"):
        f(np.ones((2, 2)), np.eye(2))
    f(np.eye(2), np.eye(2))
    assert "lu_inverse" not in f.profile.summary()


def test_refusals_of_arguments() -> None:
    a, v = T.dmatrix("a"), T.dvector("v")
    with pytest.raises(TypeError, match="three or more axes"):
        slinalg.kron(v, v)
    with pytest.raises(ValueError, match="A_structure"):
        slinalg.Solve("triangular")
    with pytest.raises(ValueError, match="assume_a"):
        T.solve(a, v, assume_a="spd")
    with pytest.raises(ValueError, match="trans must be"):
        slinalg.solve_triangular(a, v, trans=3)
    with pytest.raises(ValueError, match="on_error"):
        slinalg.cholesky(a, on_error="ignore")
    with pytest.raises(ShapeError, match="rcond"):
        nlinalg.pinv(a, v)
    with pytest.raises(ShapeError, match="lstsq"):
        nlinalg.lstsq(T.dtensor3(), a)
    for refuse in (nlinalg.alloc_diag, nlinalg.AllocDiag()):
        with pytest.raises(TypeError, match="expected a vector"):
            refuse(a)
    with pytest.raises(TypeError, match="expected a matrix"):
        nlinalg.extract_diag(v)
    with pytest.raises(ValueError, match="not defined"):
        nlinalg.norm(a, 0)
