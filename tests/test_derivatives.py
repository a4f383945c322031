"""Products with Jacobians, Jacobians, Hessians, and the check of gradients by differences."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import DisconnectedInputError, GradientError, ShapeError

RNG = np.random.default_rng(0)


def network(x, w):
    """From ``(3, 4)`` and ``(4, 2)`` to ``(3,)``: a product, something smooth, a reduction and an indexing."""
    return T.tanh(T.dot(x, w)).sum(axis=1) * x[:, 1]


X, W = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 2))


def jacobians():
    """The Jacobians of ``network`` at ``X`` and ``W``, by central differences."""
    x, w = T.dmatrices("x", "w")
    f = symc.function([x, w], network(x, w))
    found = []
    for k, point in enumerate((X, W)):
        columns = np.zeros((3, *point.shape))
        for index in np.ndindex(point.shape):
            step = np.zeros(point.shape)
            step[index] = 1e-6
            up, down = ([X, W], [X, W])
            up[k], down[k] = point + step, point - step
            columns[(slice(None), *index)] = (f(*up) - f(*down)) / 2e-6
        found.append(columns)
    return found


def test_products_with_the_jacobian_from_both_sides():
    x, w = T.dmatrices("x", "w")
    u, v = T.dvector("u"), T.dmatrix("v")
    y = network(x, w)
    of_x, of_w = jacobians()
    left, right, ahead = RNG.standard_normal(3), RNG.standard_normal((4, 2)), RNG.standard_normal((3, 4))
    back = symc.function([x, w, u], T.Lop(y, [x, w], u))(X, W, left)
    np.testing.assert_allclose(back[0], np.tensordot(left, of_x, 1), rtol=1e-5)
    np.testing.assert_allclose(back[1], np.tensordot(left, of_w, 1), rtol=1e-5)
    p = T.dmatrix("p")
    made = symc.function([x, w, p, v], [T.Rop(y, w, v), T.Rop(y, [x, w], [p, v])])(X, W, ahead, right)
    np.testing.assert_allclose(made[0], np.tensordot(of_w, right, 2), rtol=1e-5)
    np.testing.assert_allclose(made[1], np.tensordot(of_w, right, 2) + np.tensordot(of_x, ahead, 2), rtol=1e-5)


def test_the_product_of_a_hessian_with_a_vector():
    x, v = T.dvectors("x", "v")
    slope = T.grad((x**3).sum(), x)
    f = symc.function([x, v], symc.gradient.Rop(slope, x, v))
    np.testing.assert_allclose(f([1.0, 2.0], [3.0, -1.0]), [18, -12])


def test_jacobian_and_hessian():
    x = T.tensor("float64", shape=(3,), name="x")
    w = T.dmatrix("w")
    y = T.tanh(T.dot(x, w)) * x.sum()
    y = T.specify_shape(y, (2,))
    by_x, by_w = symc.function([x, w], T.jacobian(y, [x, w]))(X[0, :3], W[:3])
    assert by_x.shape == (2, 3) and by_w.shape == (2, 3, 2)
    t = np.tanh(X[0, :3] @ W[:3])
    total = X[0, :3].sum()
    np.testing.assert_allclose(by_x, (W[:3] * (1 - t**2) * total + t).T, rtol=1e-9)
    np.testing.assert_allclose(by_w[1, :, 1], X[0, :3] * (1 - t[1] ** 2) * total, rtol=1e-9)
    np.testing.assert_array_equal(by_w[1, :, 0], 0)
    curve = symc.function([x], T.hessian((x[0] * x[1] ** 2 + T.exp(x[2])), x))([2.0, 3.0, 0.0])
    np.testing.assert_allclose(curve, [[0, 6, 0], [6, 4, 0], [0, 0, 1]])
    assert T.jacobian(x.sum(), x).ndim == 1


@pytest.mark.parametrize("known", [False, True])
def test_jacobian_and_hessian_of_long_vectors_and_of_lengths_known_only_at_call_time(known):
    x = T.tensor("float64", shape=(20 if known else None,), name="x")
    y = T.dvector("y")
    z = T.tanh(x) * (x * y).sum()
    by_x, by_y = T.jacobian(z, [x, y])
    curvature = T.hessian((x**3).sum() * x.sum(), x)
    f = symc.function([x, y], [by_x, by_y, curvature, T.grad((by_x**2).sum(), y)])
    for n in (20,) if known else (5, 1, 0):
        a, b = np.random.default_rng(n).standard_normal((2, n))
        t, total = np.tanh(a), a @ b
        jacobian = np.diag((1 - t**2) * total) + np.outer(t, b)
        got = f(a, b)
        np.testing.assert_allclose(got[0], jacobian, rtol=1e-9)
        np.testing.assert_allclose(got[1], np.outer(t, a), rtol=1e-9)
        np.testing.assert_allclose(got[2], np.diag(6 * a) * a.sum() + np.add.outer(3 * a**2, 3 * a**2), rtol=1e-9)
        # d sum(J**2) / d y: J depends on y through the total and through the outer product
        slope = 2 * (np.diag(jacobian) * (1 - t**2)).sum() * a + 2 * t @ jacobian
        np.testing.assert_allclose(got[3], slope, rtol=1e-9)


def test_results_come_as_wrt_is_given():
    x, y = T.dvectors("x", "y")
    cost = (x**2 * y).sum()
    for take in (T.grad, T.hessian):
        assert isinstance(take(cost, (x, y)), tuple) and isinstance(take(cost, [x, y]), list)
    assert isinstance(T.jacobian(x * y, (x,)), tuple) and isinstance(T.jacobian(x * y, [x]), list)


def test_the_hessian_of_a_linear_function_is_zero():
    x, y = T.dvectors("x", "y")
    by_x, by_y = symc.function([x, y], T.hessian((x**2 * y).sum() + y.sum(), [x, y]))([1.0, 2], [3.0, 4])
    assert by_x.tolist() == [[6, 0], [0, 8]] and by_y.tolist() == [[0, 0], [0, 0]]
    assert T.hessian(y.sum(), y).eval({y: [1.0, 2, 3]}).tolist() == np.zeros((3, 3)).tolist()
    with pytest.raises(DisconnectedInputError):
        T.hessian(y.sum(), x)


def test_jacobians_of_integers_and_of_what_does_not_depend():
    x, y, n = T.dvector("x"), T.dvector("y"), T.lvector("n")
    steps = T.jacobian(T.cast(x * 2, "int64"), x)
    assert symc.function([x], steps)([1.0, 2.0]).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(DisconnectedInputError):
        T.jacobian(x * 2, y)
    zeros = symc.function([x, y], T.jacobian(x * 2, y, disconnected_inputs="ignore"))
    assert zeros([1.0, 2], [3.0]).tolist() == [[0], [0]]
    growth = T.exp(x)
    fixed = T.jacobian(x * growth, x, consider_constant=[growth])
    np.testing.assert_allclose(symc.function([x], fixed)([1.0, 2]), np.diag(np.exp([1.0, 2])))
    for cost, by in ((T.sum(n * n), n), (T.sum(T.cast(x, "int64")), x)):  # a step function
        slope = symc.function([by], T.grad(cost, by))([1, 2])
        assert slope.tolist() == [0, 0] and slope.dtype == (symc.config.floatX if by is n else "float64")


def test_what_they_refuse():
    x, y, m = T.vector("x"), T.vector("y"), T.matrix("m")
    with pytest.raises(ShapeError, match="scalar or a vector"):
        T.jacobian(m, m)
    with pytest.raises(ShapeError, match="wrt to be vectors"):
        T.hessian(m.sum(), m)
    with pytest.raises(ShapeError, match="axes of its variable"):
        T.Rop(x * 2, x, m)
    with pytest.raises(ValueError, match="expected 1 evaluation points, got 2"):
        T.Lop(x * 2, x, [x, x])
    with pytest.raises(DisconnectedInputError, match="does not depend on any"):
        T.Rop(x * 2, y, y, disconnected_outputs="raise")
    assert T.Rop(x * 2, y, y).eval({x: [1.0]}) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_verify_grad_confirms_and_objects(dtype):
    points = [X[:2, :3].astype(dtype), W[:3].astype(dtype)]
    T.verify_grad(lambda x, w: T.tanh(T.dot(x, w)), points)
    symc.gradient.verify_grad(T.sqr, points[:1], n_tests=1, rng=np.random.RandomState(0))
    with pytest.raises(GradientError, match=r"input 0, entry \(0, 0\): the gradient is 0, differences give"):
        T.verify_grad(lambda x: T.sqr(T.disconnected_grad(x)), points[:1])
    with pytest.raises(GradientError, match="input 1"):
        T.verify_grad(lambda x, w: x.sum() * symc.gradient.grad_scale(w, 3).sum(), points)


def test_nothing_stands_for_a_disconnected_gradient_in_theanos_spelling():
    x, y = T.vectors("x", "y")
    for spelling in ("None", "none"):
        found = T.grad(x.sum(), [x, y], disconnected_inputs="ignore", return_disconnected=spelling)
        assert found[0] is not None and found[1] is None


def test_the_gradient_of_a_join_of_many_is_built_without_recursion():
    x = T.vector("x")
    one = symc.grad((T.concatenate([x * k for k in range(1200)]) ** 2).sum(), x)
    assert one.ndim == 1
    parts = [x, T.constant(np.ones(2, "float32")), x * 2, x[:1], x[1:] * 3]
    f = symc.function([x], symc.grad((T.concatenate(parts) * T.arange(x.shape[0] * 3 + 2)).sum(), x))
    v = np.array([1, 2, 3, 4], "float32")
    weights = np.arange(14.0)
    want = weights[:4] + 2 * weights[6:10]
    want[0] += weights[10]
    want[1:] += 3 * weights[11:]
    np.testing.assert_allclose(f(v), want)
