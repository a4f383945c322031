"""Gradients of selections: derivatives of every order are zero for branches that were not selected."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph import ancestors

MODES = ("fast_run", "no_rewrite")
POINTS = np.array([-3.0, -1.0, 0.0, 0.5, 2.0])


def derivatives(build, points, order=2):
    """The derivatives of ``sum(build(x))`` up to ``order``, in every mode, which must agree."""
    x = T.dvector("x")
    found, slope = [], build(x).sum()
    for _ in range(order):
        slope = symc.grad(slope, x, disconnected_inputs="ignore")
        found.append(slope)
        slope = slope.sum()
    results = [symc.function([x], found, mode=mode, on_unused_input="ignore")(points) for mode in MODES]
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    return results[0]


def inside(condition, first, second):
    """First and second derivative where ``condition`` holds; 0 elsewhere."""
    with np.errstate(all="ignore"):
        return [np.where(condition, first, 0), np.where(condition, second, 0)]


def twice(x):
    return T.concatenate([x, x])


def column(x):
    return x.dimshuffle(0, "x")


P = POINTS
ARC = 1 - P**2
with np.errstate(all="ignore"):
    GUARDED = {
        "1/x": (lambda x: T.switch(T.neq(x, 0), 1 / x, 0), P != 0, -1 / P**2, 2 / P**3),
        "x log x": (lambda x: T.switch(x > 0, x * T.log(x), 0), P > 0, np.log(P) + 1, 1 / P),
        "x**0.5": (lambda x: T.switch(x > 0, x**0.5, 0), P > 0, 0.5 / np.sqrt(P), -0.25 * P**-1.5),
        "sqrt": (lambda x: T.where(T.gt(x, 0), T.sqrt(x), 0.0), P > 0, 0.5 / np.sqrt(P), -0.25 * P**-1.5),
        "deep": (
            lambda x: T.switch(x > 0, T.tanh(T.sqr(T.log(T.sqrt(x)) + 1) * 0.1 - 2), 0),
            P > 0,
            None,
            None,
        ),
        "swapped": (lambda x: T.switch(x <= 0, 0, T.log(x)), P > 0, 1 / P, -1 / P**2),
        "maximum": (lambda x: T.maximum(T.log(abs(x)), -100), P != 0, 1 / P, -1 / P**2),
        "minimum of infinities": (lambda x: T.minimum(1 / abs(x), 5), P != 0, -np.sign(P) / P**2, 2 / abs(P) ** 3),
        "clip": (lambda x: T.clip(1 / abs(x), 0, 5), P != 0, -np.sign(P) / P**2, 2 / abs(P) ** 3),
        "relu": (lambda x: T.nnet.relu(-T.log(abs(x))), (abs(P) < 1) & (P != 0), -1 / P, 1 / P**2),
        "read": (lambda x: T.log(x)[3:], P > 0, 1 / P, -1 / P**2),
        "gathered": (lambda x: T.log(x)[np.array([4, 3])], P > 0, 1 / P, -1 / P**2),
        "written over": (lambda x: T.set_subtensor(T.log(x)[:3], 0.0), P > 0, 1 / P, -1 / P**2),
        "written over at indices": (
            lambda x: T.set_subtensor(T.log(x)[np.array([0, 2, 1])], 0.0),
            P > 0,
            1 / P,
            -1 / P**2,
        ),
        "largest": (lambda x: T.log(abs(x)).max(), P == -3, 1 / P, -1 / P**2),
        "smallest": (lambda x: (1 / abs(x)).min(), P == -3, 1 / P**2, -2 / P**3),
        "rounded": (lambda x: T.switch(x > 0, x * T.floor(1 / x), 0), P > 0, np.floor(1 / P), 0 * P),
        "turned": (lambda x: T.switch(x > 0, T.log(x).dimshuffle("x", 0).T[:, 0], 0), P > 0, 1 / P, -1 / P**2),
        "reversed": (lambda x: T.switch(x > 0, T.log(x)[::-1][::-1], 0), P > 0, 1 / P, -1 / P**2),
        "joined": (lambda x: T.switch(twice(x) > 0, T.log(twice(x)), 0)[:5], P > 0, 1 / P, -1 / P**2),
        "reshaped": (lambda x: T.switch(x > 0, T.log(x).reshape((5, 1)).reshape((5,)), 0), P > 0, 1 / P, -1 / P**2),
        "by a sum": (lambda x: T.switch(x > 0, T.log(column(x)).sum(axis=1), 0), P > 0, 1 / P, -1 / P**2),
        "by a product": (lambda x: T.switch(x > 0, T.log(column(x)).prod(axis=1), 0), P > 0, 1 / P, -1 / P**2),
        "by hand through a cast": (lambda x: T.switch(x > 0, T.cast(T.log(x), "float64"), 0), P > 0, 1 / P, -1 / P**2),
        "log1p(where)": (lambda x: T.log1p(T.switch(x > -1, x, 0)), P > -1, 1 / (1 + P), -1 / (1 + P) ** 2),
        "arcsin": (lambda x: T.switch(abs(x) < 1, T.arcsin(x), 0), abs(P) < 1, ARC**-0.5, P * ARC**-1.5),
        "arccosh": (lambda x: T.switch(x > 1, T.arccosh(x), x * 0), P > 1, (-ARC) ** -0.5, -P * (-ARC) ** -1.5),
        "exp": (lambda x: T.switch(x < 1, T.exp(500 * x), 0), P < 1, 500 * np.exp(500 * P), 250000 * np.exp(500 * P)),
    }  # fmt: skip


@pytest.mark.parametrize("name", GUARDED)
def test_what_was_not_chosen_has_a_gradient_of_zero(name):
    build, chosen, first, second = GUARDED[name]
    found = derivatives(build, POINTS)
    if first is None:
        for f in found:
            assert np.isfinite(f).all() and not f[~chosen].any() and f[chosen].all()
        return
    if "infinities" in name or name == "clip":
        chosen = chosen & (abs(POINTS) > 0.2)
    for f, want in zip(found, inside(chosen, first, second)):
        np.testing.assert_allclose(f, want, rtol=1e-10)


def test_the_example_of_a_switch_between_a_line_and_a_root():
    v = T.scalar("v")
    slope = symc.grad(T.switch(v < 7, v, T.sqrt(v - 7)), v)
    for mode in MODES:
        f = symc.function([v], [slope, symc.grad(slope, v)], mode=mode)
        np.testing.assert_allclose(f(5), [1, 0])
        np.testing.assert_allclose(f(11), [0.25, -1 / 32])


def test_a_handwritten_elu_and_nested_switches():
    alpha = 1.5
    first, second = derivatives(lambda x: T.switch(x > 0, x, alpha * (T.exp(x) - 1)), [-2.0, 0.0, 3.0, 1000.0])
    np.testing.assert_allclose(first, [alpha * np.exp(-2), alpha, 1, 1])
    np.testing.assert_allclose(second, [alpha * np.exp(-2), alpha, 0, 0])

    def nested(x):
        return T.switch(x > 0, T.switch(x > 1, T.log(x - 1), T.sqrt(1 - x)), T.switch(x < -1, 1 / (x + 1), x**3))

    first, second = derivatives(nested, [3.0, 0.5, -2.0, -0.5, -1.0])
    np.testing.assert_allclose(first, [0.5, -0.5 / np.sqrt(0.5), -1, 0.75, 3])
    np.testing.assert_allclose(second, [-0.25, -0.25 * 0.5**-1.5, -2, -3, -6])


def test_a_variable_that_is_used_in_several_branches_and_outside():
    def build(x):
        u = x - 1
        return T.switch(x > 1, T.log(u), T.sqrt(-u)) + T.switch(x > 2, T.sqrt(x - 2), 0) + u * x

    first, second = derivatives(build, [0.0, 1.5, 4.0])
    x = np.array([0.0, 1.5, 4.0])
    want = np.where(x > 1, 1 / (x - 1), -0.5 / np.sqrt(abs(1 - x))) + np.where(x > 2, 0.5 / np.sqrt(abs(x - 2)), 0)
    np.testing.assert_allclose(first, want + 2 * x - 1)
    bend = np.where(x > 1, -1 / (x - 1) ** 2, -0.25 * abs(1 - x) ** -1.5)
    np.testing.assert_allclose(second, bend + np.where(x > 2, -0.25 * abs(x - 2) ** -1.5, 0) + 2)


def test_a_nan_of_the_chosen_branch_stays():
    x = T.dvector("x")
    slope = symc.grad(T.switch(x < 0, T.sqrt(x), x).sum(), x)
    np.testing.assert_array_equal(symc.function([x], slope)([-1.0, 2.0]), [np.nan, 1])
    slope = symc.grad(T.log(x).max(), x)
    np.testing.assert_array_equal(symc.function([x], slope)([0.0, 0.0]), [np.inf, np.inf])


def test_one_condition_for_a_whole_expression():
    """A scalar, or one entry per row, decides about reductions, products, a softmax and a product of elements."""
    x, w, ok = T.dmatrix("x"), T.dmatrix("w"), T.dscalar("ok")
    costs = [
        T.switch(ok > 0, T.dot(1 / x, T.log(w)).sum(), 0),
        T.switch(ok > 0, T.nnet.softmax(1 / x).var() * w.sum() * 0, 0),
        T.switch(ok > 0, T.log(x).prod(axis=0).max(), w.sum() * 0),
        T.switch(ok > 0, T.tensordot(T.sqrt(x), 1 / w, 1).std(), 0),
    ]
    bad, good = np.array([[0.0, -1.0], [2.0, 3.0]]), np.array([[0.0, 1.0], [-2.0, 3.0]])
    for cost in costs:
        slopes = symc.grad(cost, [x, w])
        again = symc.grad(slopes[0].sum() + slopes[1].sum(), [x, w], disconnected_inputs="ignore")
        for mode in MODES:
            for found in symc.function([x, w, ok], [*slopes, *again], mode=mode, on_unused_input="ignore")(
                bad, good, -1.0
            ):
                np.testing.assert_array_equal(found, np.zeros((2, 2)))


@pytest.mark.parametrize("condition", ["rows", "elements"])
def test_rows_that_are_not_chosen_stay_out_of_matrix_products(condition):
    x, w = T.dmatrix("x"), T.dmatrix("w")
    product = T.dot(1 / x, w)
    if condition == "rows":
        y = T.switch(T.all(T.neq(x, 0), axis=1, keepdims=True), product, 0)
    else:
        y = T.switch(T.isinf(product) | T.isnan(product), 0, product)
    at, weights = np.array([[0.0, 2.0], [4.0, 5.0]]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    slopes = symc.grad(y.sum(), [x, w])
    bend = symc.grad(slopes[0].sum(), [x, w])
    for mode in MODES:
        by_x, by_w, bend_x, bend_w = symc.function([x, w], [*slopes, *bend], mode=mode)(at, weights)
        lines = weights.sum(1)
        np.testing.assert_allclose(by_w, np.repeat([[1 / 4], [1 / 5]], 3, 1))
        np.testing.assert_allclose(by_x, [[0, 0], [-lines[0] / 16, -lines[1] / 25]])
        np.testing.assert_allclose(bend_x, [[0, 0], [2 * lines[0] / 64, 2 * lines[1] / 125]])
        np.testing.assert_allclose(bend_w, np.repeat([[-1 / 16], [-1 / 25]], 3, 1))


def test_choices_reach_through_repetition():
    """One entry that is used in many places counts where it does in one of them."""
    b, x = T.dvector("b"), T.dmatrix("x")
    data, bias = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([1.0, 0.0, 2.0])
    for build in (
        lambda b: T.switch(T.isinf(T.log(b) + x), 0, T.log(b) + x),
        lambda b: T.maximum(T.log(b) + x, 0),
        lambda b: T.clip(T.log(b) + x, -1, 100),
        lambda b: T.switch(b > 0, T.log(b), 0) + x,
        lambda b: T.switch(T.alloc(b, 2, 3) > 0, T.alloc(T.log(b), 2, 3), 0),
    ):
        slope = symc.grad(build(b).sum(), b)
        for mode in MODES:
            f = symc.function([b, x], [slope, symc.grad(slope.sum(), b)], mode=mode, on_unused_input="ignore")
            first, second = f(bias, data)
            np.testing.assert_allclose(first, [2, 0, 1])
            np.testing.assert_allclose(second, [-2, 0, -0.5])


def test_missing_values_stay_out_of_the_gradient_of_a_model():
    x, w, b = T.dmatrix("x"), T.dmatrix("w"), T.dvector("b")
    y = T.tanh(T.dot(x, w) + b)
    cost = T.switch(T.isnan(y), 0, y**2).sum()
    data = np.array([[1.0, 2.0], [np.nan, 1.0], [3.0, -1.0]])
    weights, bias = np.array([[0.1, 0.2], [0.3, -0.4]]), np.array([0.5, -0.5])
    found = symc.function([x, w, b], symc.grad(cost, [w, b]))
    for got, want in zip(found(data, weights, bias), found(data[[0, 2]], weights, bias)):
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got, want)


def test_images_that_are_not_chosen_stay_out_of_convolutions():
    x, w = T.dtensor4("x"), T.dtensor4("w")
    maps = T.nnet.conv2d(T.log(x), w)
    y = T.switch(T.all(x > 0, axis=(1, 2, 3), keepdims=True), maps, 0)
    rng = np.random.default_rng(0)
    images, filters = rng.uniform(1, 2, (2, 1, 3, 3)), rng.uniform(-1, 1, (2, 1, 2, 2))
    images[0, 0, 1, 1] = -1
    f = symc.function([x, w], symc.grad(y.sum(), [x, w]))
    by_x, by_w = f(images, filters)
    assert not by_x[0].any()
    alone = f(images[1:], filters)
    np.testing.assert_allclose(by_x[1:], alone[0])
    np.testing.assert_allclose(by_w, alone[1])


@pytest.mark.parametrize("mode", ["max", "average_exc_pad", "sum"])
def test_pooling_windows(mode):
    x = T.dmatrix("x")
    data = np.array([[0.0, 2.0, 0.0], [3.0, 1.0, 4.0], [0.0, 0.0, 0.0]])
    if mode == "max":
        y = T.signal.pool.pool_2d(T.log(x), (3, 3), ignore_border=True)
        want = np.where(data == 4, 0.25, 0)
    else:  # the last column and row are in no window
        y = T.signal.pool.pool_2d(
            T.log(x[:, ::-1] + (T.arange(3) < 2) * (T.arange(3) < 2).dimshuffle(0, "x")),
            (2, 2),
            ignore_border=True,
            mode=mode,
        )
        inner = 1 / (data[:2, ::-1][:, :2] + 1)
        want = np.zeros((3, 3))
        want[:2, 1:] = (inner / (4 if mode != "sum" else 1))[:, ::-1]
    slope = symc.grad(y.sum(), x)
    for found in symc.function([x], [slope, symc.grad(slope.sum(), x)])(data):
        assert np.isfinite(found).all()
    np.testing.assert_allclose(symc.function([x], slope)(data), want)


def test_losses_that_choose():
    score = T.dvector("score")
    hinge = T.maximum(0, 1 - T.log(score))
    huber = T.switch(abs(score) < 1, 0.5 * score**2, abs(score) - 0.5)
    at = np.array([0.0, 0.5, 100.0])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(symc.function([score], symc.grad(hinge.sum(), score))(at), [-np.inf, -2, 0])
    np.testing.assert_allclose(symc.function([score], symc.grad(huber.sum(), score))([-3.0, 0.5, 2.0]), [-1, 0.5, 1])
    p, y = T.dmatrix("p"), T.lvector("y")
    cost = T.nnet.categorical_crossentropy(p, y).sum()
    found = symc.function([p, y], symc.grad(cost, p))([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]], [0, 1])
    np.testing.assert_array_equal(found, [[-2, 0, 0], [0, -1, 0]])


def test_forward_mode_selects_too():
    x, v = T.dvectors("x", "v")
    y = T.switch(x > 0, T.log(x), x)
    f = symc.function([x, v], [T.Rop(y, x, v), T.Rop(symc.grad(y.sum(), x), x, v)])
    first, second = f([-1.0, 0.0, 2.0], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(first, [1, 2, 1.5])
    np.testing.assert_allclose(second, [0, 0, -0.75])


def test_many_choices_on_top_of_one_another():
    """More conditions than are kept apart; the last one guards the logarithm."""
    x = T.dvector("x")
    u = T.switch(x > 0, T.log(x), 0)
    for k in range(30):
        u = T.switch(u > -100 - k, T.sqrt(u + 200 + k) - 10, 0)
    found = symc.function([x], symc.grad(u.sum(), x))([-1.0, 0.0, 2.0])
    assert np.isfinite(found).all() and found[2] != 0 and not found[:2].any()


def test_choices_cost_no_more_than_they_must():
    """Both branches of one switch become one choice; a rectifier selects once, and multiplies by no mask."""
    x, w = T.matrix("x"), T.matrix("w")
    names = ops_of_the_gradient(T.switch(x > 0, x, 0.1 * x).sum(), x)
    assert names.count("switch") == 1
    names = ops_of_the_gradient(T.nnet.relu(T.dot(x, w)).sum(), w)
    assert names.count("switch") == 1 and "mul" not in names


def ops_of_the_gradient(cost, wrt):
    """The names of the ops that differentiation added."""
    before = set(ancestors([cost]))
    return [v.owner.op.name for v in ancestors([symc.grad(cost, wrt)]) if v.owner is not None and v not in before]
