"""The optimisers, against figures of an independent NumPy implementation.

Ten steps on ``sum(C * W**2) + sum((sum(W, axis=0) - b)**2)`` from the start below, in float64, with gradients written
by hand and the formulas of the papers; twelve digits.
"""

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import layers, updates
from lasagne_like.utils import floatX

W0 = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
B0 = np.array([0.1, -0.2, 0.3])
C = np.array([0.1, 0.2, 0.3])

SETTINGS = {
    "sgd": {"learning_rate": 0.1},
    "momentum": {"learning_rate": 0.1, "momentum": 0.5},
    "nesterov_momentum": {"learning_rate": 0.1, "momentum": 0.5},
    "adagrad": {"learning_rate": 0.1},
    "rmsprop": {"learning_rate": 0.01},
    "adadelta": {},
    "adam": {"learning_rate": 0.01},
    "adamax": {"learning_rate": 0.01},
    "amsgrad": {"learning_rate": 0.01, "beta2": 0.5},
}

FIGURES = {
    "sgd": (
        [[-0.0790396775569, -0.573286718109, 0.971060804851], [0.738033129331, 0.25775407688, -0.51013075891]],
        [0.681054806779, -0.336993884169, 0.508468777797],
    ),
    "momentum": (
        [[-0.0490742483093, -0.415599745362, 0.561917896104], [0.635774446909, 0.1444417769, -0.192439832292]],
        [0.663650934835, -0.307928146482, 0.441367660735],
    ),
    "nesterov_momentum": (
        [[-0.0272161020372, -0.41563581557, 0.573450855961], [0.64744933389, 0.135720035858, -0.188024724013]],
        [0.641725003671, -0.2991424853, 0.425454620625],
    ),
    "adagrad": (
        [[0.0935076824697, -0.697450653042, 1.60097137728], [1.08696862484, 0.320192764142, -0.878734877516]],
        [0.507407177276, -0.380491555719, 0.609628435683],
    ),
    "rmsprop": (
        [[0.335536078632, -0.852557034927, 1.83836673571], [1.33504378382, 0.374368085989, -0.89151880833]],
        [0.264532690628, -0.335831855301, 0.454243136023],
    ),
    "adadelta": (
        [[0.454919643233, -0.956693007719, 1.95526876018], [1.45486651001, 0.291804747533, -0.793049423114]],
        [0.145087750013, -0.242476962761, 0.344025402319],
    ),
    "adam": (
        [[0.4005838473, -0.901958998606, 1.90081543238], [1.40055168423, 0.346422550372, -0.847838141468]],
        [0.199420654022, -0.29720847668, 0.398676696181],
    ),
    "adamax": (
        [[0.403608121285, -0.910016133849, 1.90489222656], [1.40341018782, 0.334773005727, -0.839054177284]],
        [0.19641940795, -0.287079727608, 0.392534343272],
    ),
    "amsgrad": (
        [[0.399796786738, -0.902517437917, 1.90019133779], [1.39977331885, 0.343778579539, -0.84695156236]],
        [0.200206494268, -0.295452136088, 0.398836981682],
    ),
}


def make():
    """Build the loss of the figures on fresh parameters."""
    W = symc.shared(floatX(W0), name="W", shape=W0.shape)
    b = symc.shared(floatX(B0), name="b", shape=B0.shape)
    loss = T.sum(floatX(C) * W**2) + T.sum((W.sum(axis=0) - b) ** 2)
    return loss, [W, b]


def train(update, params, steps=10):
    step = symc.function([], [], updates=update)
    for _ in range(steps):
        step()
    return [param.get_value() for param in params]


@pytest.mark.parametrize("method", FIGURES)
@pytest.mark.parametrize("form", ["loss", "gradients", "symbolic settings"])
def test_figures(method, form, float64):
    loss, params = make()
    settings = SETTINGS[method]
    if form == "symbolic settings":
        settings = {name: symc.shared(floatX(value)) for name, value in settings.items()}
    start = symc.grad(loss, params) if form == "gradients" else loss
    for value, expected in zip(
        train(getattr(updates, method)(start, params, **settings), params), FIGURES[method], strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-10)


@pytest.mark.parametrize("method", FIGURES)
def test_float32_stays_float32(method):
    loss, params = make()
    result = getattr(updates, method)(loss, params, **SETTINGS[method])
    assert {variable.dtype for variable in result} == {"float32"}
    assert {expression.dtype for expression in result.values()} == {"float32"}
    for value, expected in zip(train(result, params), FIGURES[method], strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-5)


@pytest.mark.parametrize(
    "plain, with_momentum", [("apply_momentum", "momentum"), ("apply_nesterov_momentum", "nesterov_momentum")]
)
def test_momentum_is_a_combinator(plain, with_momentum, float64):
    loss, params = make()
    before = updates.sgd(loss, params, 0.1)
    untouched = dict(before)
    after = getattr(updates, plain)(before, momentum=0.5)
    assert dict(before) == untouched
    for value, expected in zip(train(after, params), FIGURES[with_momentum], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_momentum_for_some_parameters(float64):
    loss, params = make()
    result = updates.apply_momentum(updates.sgd(loss, params, 0.1), params=params[:1], momentum=0.5)
    assert len(result) == 3
    assert list(result)[:2] == params


def test_momentum_of_all_updates_includes_the_state(float64):
    loss, params = make()
    result = updates.rmsprop(loss, params, 0.01)
    assert len(updates.apply_momentum(result, params)) == 6
    assert len(updates.apply_momentum(result)) == 8


class TestGetOrComputeGrads:
    def test_list_passes(self):
        loss, params = make()
        grads = [T.matrix(), T.vector()]
        assert updates.get_or_compute_grads(grads, params) == grads

    def test_wrong_number(self):
        loss, params = make()
        with pytest.raises(ValueError, match="Got 1 gradient expressions for 2 parameters"):
            updates.get_or_compute_grads([T.matrix()], params)

    def test_expressions_are_no_parameters(self):
        loss, params = make()
        with pytest.raises(ValueError, match="collect_shared_vars"):
            updates.sgd(loss, [params[0] * 2], 0.1)


@pytest.mark.parametrize(
    "shape, axes, default",
    [((4, 3), (0,), True), ((3, 2, 5), (1, 2), True), ((3, 2, 2, 2), (1, 2, 3), True), ((4, 3), (1,), False)],
)
def test_norm_constraint(shape, axes, default, rng, float64):
    value = rng.randn(*shape)
    x = T.tensor("float64", shape=(None,) * len(shape))
    constrained = updates.norm_constraint(x, 1.5, norm_axes=None if default else axes).eval({x: value})
    before = np.sqrt((value**2).sum(axis=axes))
    after = np.sqrt((constrained**2).sum(axis=axes))
    assert (before > 1.5).any()
    np.testing.assert_allclose(after, np.minimum(before, 1.5), rtol=1e-6)
    np.testing.assert_allclose(
        constrained / value,
        np.broadcast_to(
            (after / before).reshape([1 if axis in axes else size for axis, size in enumerate(shape)]), shape
        ),
        rtol=1e-6,
    )


def test_norm_constraint_of_zeros_is_finite(float64):
    x = T.matrix()
    assert np.array_equal(updates.norm_constraint(x, 1.0).eval({x: np.zeros((2, 3))}), np.zeros((2, 3)))


def test_norm_constraint_needs_axes_for_vectors():
    with pytest.raises(ValueError, match="norm_axes"):
        updates.norm_constraint(T.vector(), 1.0)


@pytest.mark.parametrize("scale, clipped", [(10.0, True), (0.01, False)])
def test_total_norm_constraint(scale, clipped, rng, float64):
    values = [scale * rng.randn(3, 4), scale * rng.randn(5)]
    variables = [T.matrix(), T.vector()]
    scaled, norm = updates.total_norm_constraint(variables, 2.0, return_norm=True)
    *result, total = symc.function(variables, [*scaled, norm])(*values)
    expected = np.sqrt(sum((value**2).sum() for value in values))
    np.testing.assert_allclose(total, expected)
    assert (expected > 2.0) == clipped
    for before, after in zip(values, result, strict=True):
        np.testing.assert_allclose(after, before * (2.0 / expected if clipped else 1), rtol=1e-4)
    assert len(updates.total_norm_constraint(variables, 2.0)) == 2


# --- optimisers after Lasagne, in NumPy from the formulas of their papers ---------------------------------------------


def gradients(W, b):
    inner = 2 * (W.sum(axis=0) - b)
    return [2 * C * W + inner, -inner]


def adamw(t, p, g, state, eta=0.01, b1=0.9, b2=0.99, decay=0.1):
    m, v = state = [b1 * state[0] + (1 - b1) * g, b2 * state[1] + (1 - b2) * g**2]
    return p - eta * decay * p - eta * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8), state


def radam(t, p, g, state, eta=0.01, b1=0.9, b2=0.8):
    m, v = state = [b1 * state[0] + (1 - b1) * g, b2 * state[1] + (1 - b2) * g**2]
    longest = 2 / (1 - b2) - 1
    length = longest - 2 * t * b2**t / (1 - b2**t)
    m = m / (1 - b1**t)
    if length <= 5:
        return p - eta * m, state
    r = np.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
    return p - eta * r * m * np.sqrt(1 - b2**t) / (np.sqrt(v) + 1e-8), state


def lion(t, p, g, state, eta=0.01, b1=0.9, b2=0.95, decay=0.1):
    m = state[0]
    return p - eta * (np.sign(b1 * m + (1 - b1) * g) + decay * p), [b2 * m + (1 - b2) * g]


LATER = {
    "adamw": (adamw, {"learning_rate": 0.01, "beta2": 0.99, "weight_decay": 0.1}),
    "radam": (radam, {"learning_rate": 0.01, "beta2": 0.8}),
    "lion": (lion, {"learning_rate": 0.01, "beta2": 0.95, "weight_decay": 0.1}),
}


def followed(step, steps, after=lambda t, values: values):
    values, states = [W0.copy(), B0.copy()], [[0, 0], [0, 0]]
    for t in range(1, steps + 1):
        found = [step(t, *each) for each in zip(values, gradients(*values), states)]
        values, states = after(t, [each[0] for each in found]), [each[1] for each in found]
    return values


@pytest.mark.parametrize("method", LATER)
def test_later_optimisers(method, float64):
    step, settings = LATER[method]
    loss, params = make()
    for value, expected in zip(
        train(getattr(updates, method)(loss, params, **settings), params, 12), followed(step, 12), strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-10)


@pytest.mark.parametrize("method", LATER)
def test_later_optimisers_stay_in_float32(method):
    loss, params = make()
    result = getattr(updates, method)(loss, params, **LATER[method][1])
    assert {variable.dtype for variable in [*result, *result.values()]} == {"float32"}


def test_lookahead(float64):
    slow = [W0, B0]

    def after(t, values):
        nonlocal slow
        if t % 3:
            return values
        slow = [s + 0.25 * (v - s) for s, v in zip(slow, values)]
        return slow

    loss, params = make()
    update = updates.lookahead(updates.lion(loss, params, **LATER["lion"][1]), steps=3, alpha=0.25)
    for value, expected in zip(train(update, params, 8), followed(lion, 8, after), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-10)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        updates.lookahead(update, steps=0)


@pytest.mark.parametrize("debias", [True, False])
def test_averaged_weights(debias, float64):
    loss, params = make()
    update, averages = updates.average_weights(updates.sgd(loss, params, 0.1), decay=0.8, debias=debias)
    assert list(averages) == params
    expected, seen = [W0, B0], [W0, B0]
    for t in range(6):
        seen = [v - 0.1 * g for v, g in zip(seen, gradients(*seen))]
        d = min(0.8, (1 + t) / (10 + t)) if debias else 0.8
        expected = [d * a + (1 - d) * v for a, v in zip(expected, seen)]
    train(update, params, 6)
    for average, value in zip(averages.values(), expected, strict=True):
        np.testing.assert_allclose(average.get_value(), value, rtol=1e-12)
    at_average = symc.function([], loss, givens=averages)()
    W, b = expected
    np.testing.assert_allclose(at_average, (C * W**2).sum() + ((W.sum(0) - b) ** 2).sum())


def test_averages_leave_out_the_state_of_optimisers(float64):
    loss, params = make()
    _, averages = updates.average_weights(updates.adamw(loss, params))
    assert list(averages) == params
    with pytest.raises(TypeError, match="params must be shared variables"):
        updates.average_weights({}, [T.vector()])


# --- learning rates per parameter -------------------------------------------------------------------------------------

ALL = ["sgd", "momentum", "nesterov_momentum", "adagrad", "rmsprop", "adadelta", "adam", "adamax", "amsgrad", "adamw",
       "radam", "lion"]  # fmt: skip


def two_layers():
    first = layers.DenseLayer(layers.InputLayer((None, 2)), 3, name="first")
    return first, layers.DenseLayer(first, 1, name="second")


@pytest.mark.parametrize("name", ALL)
def test_rates_per_parameter_are_those_of_separate_calls(name, float64):
    method = getattr(updates, name)
    a, b = (symc.shared(np.array(v), name=n) for v, n in (([1.0, 2.0], "a"), ([3.0], "b")))
    loss = (a**2).sum() + (b**3).sum()
    symc.function([], [], updates=method(loss, [a, b], learning_rate={a: 0.01, "*": 0.2}))()
    together = a.get_value(), b.get_value()
    a.set_value(np.array([1.0, 2.0]))
    b.set_value(np.array([3.0]))
    apart = method(symc.grad((a**2).sum(), [a]), [a], learning_rate=0.01)
    apart.update(method(symc.grad((b**3).sum(), [b]), [b], learning_rate=0.2))
    symc.function([], [], updates=apart)()
    np.testing.assert_allclose(together[0], a.get_value(), rtol=1e-12)
    np.testing.assert_allclose(together[1], b.get_value(), rtol=1e-12)
    assert not np.allclose(together[0], [1, 2])


def test_keys_of_rates():
    first, second = two_layers()
    params = layers.get_all_params(second)
    before = [p.get_value() for p in params]
    rate = symc.shared(np.float32(2))
    steps = updates.sgd([T.ones_like(p) for p in params], params, learning_rate={first: rate, "second.W": 3, "*": 4})
    symc.function([], [], updates=steps)()
    moved = [float((old - p.get_value()).mean()) for old, p in zip(before, params)]
    np.testing.assert_allclose(moved, [2, 2, 3, 4], rtol=1e-5)
    rate.set_value(np.float32(0))
    steps = updates.sgd([T.ones_like(p) for p in params], params, lambda p: rate if p.name.endswith(".W") else 1)
    before = [p.get_value() for p in params]
    symc.function([], [], updates=steps)()
    moved = [float((old - p.get_value()).mean()) for old, p in zip(before, params)]
    np.testing.assert_allclose(moved, [0, 1, 0, 1], atol=1e-5)


def test_rates_that_do_not_fit():
    first, second = two_layers()
    params = layers.get_all_params(second)
    grads = [T.ones_like(p) for p in params]
    with pytest.raises(ValueError, match=r"'frist\.W' matches no parameter.*first\.W"):
        updates.sgd(grads, params, {"frist.W": 1, "*": 2})
    with pytest.raises(ValueError, match=r"no rate for second\.W, second\.b"):
        updates.adam(grads, params, {first: 1})
    with pytest.raises(TypeError, match=r"learning_rate of first\.W: .* got 'fast'"):
        updates.adam(grads, params, {"*": "fast"})
    with pytest.raises(TypeError, match="a schedule belongs to a Trainer"):
        updates.adam(grads, params, lambda p: p)
