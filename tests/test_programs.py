"""Typical user programs, from first steps to small networks, compared with NumPy."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc import function, shared
from symc.tensor.shared_randomstreams import RandomStreams

f32 = np.float32


@pytest.fixture(params=["interp", "c"], autouse=True)
def device(request):
    with symc.config.change(device=request.param):
        yield request.param


@pytest.fixture
def data(rng):
    """60 points of 12 features in 4 classes."""
    return rng.normal(size=(60, 12)).astype(f32), rng.integers(0, 4, 60).astype("int32")


def softmax(z):
    powers = np.exp(z - z.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


# --- first steps ------------------------------------------------------------------------------------------------------


def test_adding_numbers_and_matrices():
    x, y = T.dscalars("x", "y")
    f = function([x, y], x + y)
    assert f(16.3, 12.1) == 16.3 + 12.1
    assert f(2, 3).dtype == np.float64
    assert (x + y).eval({x: 16.3, y: 12.1}) == 16.3 + 12.1
    a, b = T.dmatrices("a", "b")
    np.testing.assert_array_equal(function([a, b], a + b)([[1, 2], [3, 4]], np.ones((2, 2))), [[2, 3], [4, 5]])
    v = T.vector()
    np.testing.assert_array_equal(function([v], v + v**10)([0, 1, 2]), [0, 2, 1026])


def test_numbers_beside_float64_keep_all_their_digits(rng):
    x = T.dmatrix("x")
    value = rng.uniform(0.2, 1, (3, 3))
    got = function([x], [x * 0.3, 0.1 + x, x / 0.3, T.clip(x, 0.3, 0.7), x**0.3])(value)
    for result, want in zip(
        got, [value * 0.3, 0.1 + value, value / 0.3, np.clip(value, 0.3, 0.7), value**0.3], strict=True
    ):
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, want, rtol=1e-14)


def test_a_counter_and_a_function_that_skips_it():
    state, step = shared(0), T.iscalar("step")
    accumulate = function([step], state, updates=[(state, state + step)])
    assert accumulate(1) == 0 and accumulate(300) == 1 and state.get_value() == 301
    state.set_value(-1)
    assert accumulate(3) == -1 and state.get_value() == 2
    other = T.scalar(dtype=state.dtype)
    skip = function([step, other], state * 2 + step, givens=[(state, other)])
    assert skip(1, 3) == 7 and state.get_value() == 2


def test_random_streams_advance_unless_told_not_to():
    stream = RandomStreams(seed=234)
    u, n = stream.uniform((2, 2)), stream.normal((2, 2))
    f, g = function([], u), function([], n, no_default_updates=True)
    assert not np.array_equal(f(), f())
    np.testing.assert_array_equal(g(), g())
    np.testing.assert_allclose(function([], u + u - 2 * u)(), 0, atol=1e-6)


def test_jacobian_and_hessian_row_by_row():
    x = T.dvector("x")
    y = x**2 + x.sum()
    jacobian = T.stack([T.grad(y[i], x) for i in range(3)])
    np.testing.assert_allclose(function([x], jacobian)([1, 2, 3]), np.diag([2, 4, 6.0]) + 1)
    slope = T.grad((x**3).sum(), x)
    hessian = T.stack([T.grad(slope[i], x) for i in range(3)])
    np.testing.assert_allclose(function([x], hessian)([1, 2, 3]), np.diag([6, 12, 18.0]))


# --- models -----------------------------------------------------------------------------------------------------------


def test_softmax_regression_on_slices_of_shared_data(data):
    images, labels = data
    kept, kept_labels = shared(images, borrow=True), T.cast(shared(labels.astype(f32)), "int32")
    index, x, y, size = T.lscalar("index"), T.matrix("x"), T.ivector("y"), 20
    w, b = shared(np.zeros((12, 4), f32), "w"), shared(np.zeros(4, f32), "b")
    p = T.nnet.softmax(T.dot(x, w) + b)
    cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
    slopes = T.grad(cost, [w, b])
    batch = slice(index * size, (index + 1) * size)
    train = function(
        [index],
        cost,
        updates=[(v, v - 0.13 * g) for v, g in zip([w, b], slopes)],
        givens={x: kept[batch], y: kept_labels[batch]},
    )
    weights, bias = np.zeros((12, 4)), np.zeros(4)
    for k in [0, 1, 2, 0, 1, 2]:
        xs, ys = images[k * size : (k + 1) * size], labels[k * size : (k + 1) * size]
        q = softmax(xs @ weights + bias)
        np.testing.assert_allclose(train(k), -np.log(q[np.arange(size), ys]).mean(), rtol=1e-4)
        q[np.arange(size), ys] -= 1
        weights, bias = weights - 0.13 * xs.T @ q / size, bias - 0.13 * q.mean(0)
    np.testing.assert_allclose(w.get_value(), weights, atol=1e-5)
    np.testing.assert_allclose(b.get_value(), bias, atol=1e-5)


def test_a_hidden_layer_with_both_penalties(data, rng):
    images, labels = data
    x, y = T.matrix("x"), T.ivector("y")
    start = [rng.uniform(-0.5, 0.5, s).astype(f32) for s in ((12, 7), (7,), (7, 4), (4,))]
    params = [shared(v) for v in start]
    w1, b1, w2, b2 = params
    p = T.nnet.softmax(T.dot(T.tanh(T.dot(x, w1) + b1), w2) + b2)
    penalty = 0.001 * (abs(w1).sum() + abs(w2).sum()) + 0.01 * ((w1**2).sum() + (w2**2).sum())
    cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y]) + penalty
    train = function([x, y], cost, updates=[(v, v - 0.1 * T.grad(cost, v)) for v in params])
    v1, c1, v2, c2 = (v.astype("float64") for v in start)
    for _ in range(3):
        h = np.tanh(images @ v1 + c1)
        q = softmax(h @ v2 + c2)
        want = -np.log(q[np.arange(60), labels]).mean() + 0.001 * (np.abs(v1).sum() + np.abs(v2).sum())
        np.testing.assert_allclose(train(images, labels), want + 0.01 * ((v1**2).sum() + (v2**2).sum()), rtol=1e-4)
        q[np.arange(60), labels] -= 1
        q /= 60
        inner = q @ v2.T * (1 - h**2)
        v2, c2 = v2 - 0.1 * (h.T @ q + 0.001 * np.sign(v2) + 0.02 * v2), c2 - 0.1 * q.sum(0)
        v1, c1 = v1 - 0.1 * (images.T @ inner + 0.001 * np.sign(v1) + 0.02 * v1), c1 - 0.1 * inner.sum(0)
    for v, want in zip(params, [v1, c1, v2, c2], strict=True):
        np.testing.assert_allclose(v.get_value(), want, atol=1e-5)


def test_a_small_convolutional_network_learns_down_its_slope(rng):
    x, y = T.dmatrix("x"), T.ivector("y")
    start = [rng.normal(0, 0.3, s) for s in ((2, 1, 3, 3), (2,), (18, 3), (3,))]
    params = [shared(v) for v in start]
    images = T.nnet.conv2d(x.reshape((4, 1, 8, 8)), params[0])
    pooled = T.signal.pool.pool_2d(images, (2, 2), ignore_border=True)
    h = T.tanh(pooled + params[1].dimshuffle("x", 0, "x", "x")).flatten(2)
    p = T.nnet.softmax(T.dot(h, params[2]) + params[3])
    cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
    f = function([x, y], [cost, *T.grad(cost, params)])
    xs, ys = rng.normal(size=(4, 64)), np.array([0, 1, 2, 1], "int32")
    slopes = f(xs, ys)[1:]
    way = [rng.normal(size=v.shape) for v in start]
    costs = []
    for step in (1e-5, -1e-5):
        for v, s, d in zip(params, start, way):
            v.set_value(s + step * d)
        costs.append(f(xs, ys)[0])
    want = sum((g * d).sum() for g, d in zip(slopes, way))
    np.testing.assert_allclose((costs[0] - costs[1]) / 2e-5, want, rtol=1e-5)


def test_a_denoising_autoencoder_corrupts_anew_and_learns(data, rng):
    bits = (data[0] > 0).astype(f32)
    x, stream = T.matrix("x"), RandomStreams(7)
    w = shared(rng.uniform(-0.5, 0.5, (12, 6)).astype(f32))
    b, c = shared(np.zeros(6, f32)), shared(np.zeros(12, f32))
    corrupted = stream.binomial(size=x.shape, n=1, p=0.7, dtype=symc.config.floatX) * x
    z = T.nnet.sigmoid(T.dot(T.nnet.sigmoid(T.dot(corrupted, w) + b), w.T) + c)
    cost = T.mean(-T.sum(x * T.log(z) + (1 - x) * T.log(1 - z), axis=1))
    train = function([x], [cost, corrupted], updates=[(v, v - 0.1 * T.grad(cost, v)) for v in (w, b, c)])
    first, seen = train(bits)
    assert 0.6 < (seen[bits > 0] != 0).mean() < 0.8 and not seen[bits == 0].any()
    assert not np.array_equal(train(bits)[1], seen)
    for _ in range(20):
        last = train(bits)[0]
    assert last < first


def test_a_boltzmann_machine_by_contrastive_divergence(data, rng):
    bits = (data[0] > 0).astype(f32)
    v, stream = T.matrix("v"), RandomStreams(9)
    w = shared(rng.normal(0, 0.1, (12, 6)).astype(f32))
    hb, vb = shared(np.zeros(6, f32)), shared(np.zeros(12, f32))

    def sample(mean):
        return stream.binomial(size=mean.shape, n=1, p=mean, dtype=symc.config.floatX)

    def energy(s):
        return -T.dot(s, vb) - T.sum(T.log(1 + T.exp(T.dot(s, w) + hb)), axis=1)

    end = v
    for _ in range(2):
        end = sample(T.nnet.sigmoid(T.dot(sample(T.nnet.sigmoid(T.dot(end, w) + hb)), w.T) + vb))
    cost = T.mean(energy(v)) - T.mean(energy(end))
    slopes = T.grad(cost, [w, hb, vb], consider_constant=[end])
    train = function([v], [cost, end], updates=[(p, p - 0.1 * g) for p, g in zip([w, hb, vb], slopes)])
    for _ in range(3):
        value, chain = train(bits)
    assert np.isfinite(value) and set(np.unique(chain)) <= {0.0, 1.0}
    place = shared(0)
    flipped = T.set_subtensor(v[:, place], 1 - v[:, place])
    watch = function([v], T.mean(energy(flipped) - energy(v)), updates=[(place, (place + 1) % 12)])
    weights, hidden, visible = (p.get_value().astype("float64") for p in (w, hb, vb))
    for k in range(3):
        other = bits.copy()
        other[:, k] = 1 - other[:, k]
        want = [-(s @ visible) - np.log1p(np.exp(s @ weights + hidden)).sum(1) for s in (other, bits)]
        np.testing.assert_allclose(watch(bits), (want[0] - want[1]).mean(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(50, 130), (50, 2, 130)])
def test_rows_added_to_a_table_by_several_threads(shape, rng, monkeypatch):
    """Threads own columns, so that the sums do not depend on their number; the table is made where it is changed."""
    x, y = (T.tensor("float32", shape=(None,) * len(shape)) for _ in "xy")
    at = [T.lvector() for _ in shape[:-1]]
    rows = y if len(at) == 1 else y[:, 0]
    f = symc.function([x, y, *at], T.inc_subtensor((2 * x)[tuple(at)], rows))
    a, b = rng.standard_normal(shape).astype("float32"), rng.standard_normal((3000, *shape[1:])).astype("float32")
    index = [rng.integers(0, n, 3000) for n in shape[:-1]]
    want = 2.0 * a.astype("float64")
    np.add.at(want, tuple(index), b if len(at) == 1 else b[:, 0])
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(symc.config, "threads", threads)
        found.append(f(a, b, *index))
    np.testing.assert_allclose(found[0], want, rtol=1e-5, atol=1e-4)
    assert all(np.array_equal(one, found[0]) for one in found)
    assert all(b.name != "mul" for b in f.specialisation.program.buffers)


def test_word_vectors_change_only_where_they_were_looked_up(rng):
    table, rows = shared(rng.normal(size=(20, 5)).astype(f32)), T.lvector("rows")
    chosen = table[rows]
    step = function([rows], updates=[(table, T.inc_subtensor(chosen, -0.1 * T.grad((chosen**2).sum(), chosen)))])
    want = table.get_value()
    step([3, 3, 5])
    np.add.at(want, [3, 3, 5], -0.2 * want[[3, 3, 5]])
    np.testing.assert_allclose(table.get_value(), want, rtol=1e-5)
    function([rows], updates=[(table, T.set_subtensor(table[rows], 0))])([0, 1])
    want[:2] = 0
    np.testing.assert_allclose(table.get_value(), want, rtol=1e-5)


def test_a_loss_over_the_valid_labels_only():
    labels, logs = T.ivector(), T.matrix()
    valid = T.neq(labels, -1)
    picked = logs[T.arange(labels.shape[0]), T.switch(valid, labels, 0)]
    loss = -T.sum(T.switch(valid, picked, 0)) / T.sum(valid)
    given = np.log(np.array([[0.1, 0.9], [0.5, 0.5], [0.3, 0.7]], f32))
    want = -(np.log(0.9) + np.log(0.3)) / 2
    np.testing.assert_allclose(function([labels, logs], loss)(np.array([1, -1, 0]), given), want, rtol=1e-5)


# --- parts, and writing into them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(None, None), (3, 1)])
def test_writing_into_the_whole_and_into_parts_of_parts(shape):
    x, z = T.tensor(dtype="float32", shape=shape), T.scalar()
    value = np.arange(3.0, dtype=f32).reshape(3, 1) + 1
    places = np.array([2, 0, 0])
    outputs = [
        T.set_subtensor(x[:], 7),
        T.inc_subtensor(x[...], x),
        T.set_subtensor(x[:, 0], x[:, 0] * 2),
        T.set_subtensor(z[()], 3.0),
        T.grad(T.inc_subtensor(x[:], x * 3).sum(), x),
        T.inc_subtensor(x[::-1][places], 1),
        T.inc_subtensor(x[2, :][0:1], 1),
        T.set_subtensor(T.stack([z, z * 2])[1], 5),
    ]
    reversed_more = value[::-1].copy()
    np.add.at(reversed_more, places, 1)
    wanted = [value * 0 + 7, value * 2, value * 2, 3, value * 0 + 4, reversed_more, value[2] + 1, [1, 5]]
    for got, want in zip(function([x, z], outputs)(value, 1.0), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def test_lengths_that_follow_from_values_and_from_other_lengths():
    x, n = T.matrix(), T.lscalar()
    part = x[:n]
    count = T.cast(part.sum(), "int64")
    f = function([x, n], [T.arange(count) * 2, T.zeros((count, n)), part[: count % 3]])
    for rows, k in [(2, 4), (3, 6), (2, 4)]:
        evens, zeros, some = f(np.ones((5, 2), f32), rows)
        assert evens.tolist() == list(range(0, 2 * k, 2)) and zeros.shape == (k, rows) and some.shape == (k % 3, 2)
    known = T.tensor(dtype="float32", shape=(3, 4))
    assert T.arange(known.shape[0]).type.shape == (3,)
    assert T.zeros(known.shape[1:]).type.shape == (4,)


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64"])
def test_whole_numbers_behave_as_in_numpy(dtype):
    signed = dtype.startswith("i")
    a = np.array([7, -7, 7, -7, 0, 100] if signed else [7, 8, 9, 200, 0, 100], dtype)
    b = np.array([2, 2, -2, -2, 3, 7] if signed else [2, 3, 4, 7, 3, 7], dtype)
    x, y = T.vector(dtype=dtype), T.vector(dtype=dtype)
    forms = [
        lambda x, y: x // y, lambda x, y: x % y, lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x - y,
        lambda x, y: x & y, lambda x, y: x ^ y, lambda x, y: ~x, lambda x, y: abs(x), lambda x, y: x**2,
        lambda x, y: x**3, lambda x, y: x.sum(), lambda x, y: x.prod(), lambda x, y: x.max(), lambda x, y: x[::-1],
    ]  # fmt: skip
    for got, form in zip(function([x, y], [form(x, y) for form in forms])(a, b), forms, strict=True):
        want = np.asarray(form(a, b))
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_a_whole_number_is_never_wrapped_into_a_narrow_dtype():
    x, y = T.bvector(), T.ubvector()
    got, lower, less = function([x, y], [x + 300, y + (-1), T.lt(x, 300)])([100, -3], [0, 9])
    assert got.tolist() == [400, 297] and lower.tolist() == [-1, 8] and less.tolist() == [True, True]
    assert (x + 1).dtype == "int8"
    assert (T.ones_like(T.dscalar()) * 0.5).dtype == "float64"


def test_extremes_of_nothing_are_an_error_when_called():
    x = T.matrix()
    for reduce in (T.max, T.min, T.argmax):
        for axis in (None, 0):
            with pytest.raises(ValueError, match="no elements"):
                function([x], reduce(x, axis=axis))(np.zeros((0, 3)))
        assert function([x], reduce(x, axis=1))(np.zeros((0, 3))).shape == (0,)


def test_the_slope_of_a_maximum_of_equals_counts_once():
    x = T.dvector()
    for y in (T.maximum(x, x + 0), T.minimum(x, T.switch(x > 0, x, x))):
        np.testing.assert_array_equal(function([x], T.grad(y.sum(), x))([1, -2]), [1, 1])


@pytest.mark.parametrize("form", [lambda x: -x, lambda x: -x + 1, lambda x: 2 - x, lambda x: x * -3])
def test_log_of_a_sum_of_exponentials_of_any_sign(form, rng):
    x, value = T.dmatrix(), rng.normal(size=(3, 4)) * 500
    inner = form(value)
    top = inner.max(0)
    want = np.log(np.exp(inner - top).sum(0)) + top
    np.testing.assert_allclose(function([x], T.log(T.sum(T.exp(form(x)), axis=0)))(value), want)


# --- state ------------------------------------------------------------------------------------------------------------


def test_an_argument_that_is_the_memory_of_an_updated_variable():
    w, x = shared(np.arange(5, dtype=f32)), T.vector()
    f = function([x], x * 1, updates=[(w, w + x[::-1])])
    for _ in range(3):
        alias = w.get_value(borrow=True)
        before = alias.copy()
        np.testing.assert_array_equal(f(alias), before)
        np.testing.assert_array_equal(w.get_value(), before + before[::-1])


def test_a_call_that_fails_leaves_all_state_as_it_was():
    i, a, b = T.lscalar(), shared(np.zeros(4, f32)), shared(np.zeros(4, f32))
    f = function([i], b[i], updates=[(a, a + 1), (b, b + 1)])
    f(1)
    for _ in range(2):
        with pytest.raises(IndexError):
            f(9)
    assert a.get_value().tolist() == b.get_value().tolist() == [1, 1, 1, 1]


def test_carried_updates_of_one_variable_follow_one_another():
    m, x, y = shared(np.float64(0), "m"), T.dvector(), T.dvector()

    def centred(v):
        return T.carry_updates(v - v.mean(), {m: 0.5 * m + 0.5 * v.mean()})

    def after(inputs, outputs, *arrays, **options):
        m.set_value(0.0)
        function(inputs, outputs, **options)(*arrays)
        return m.get_value()

    assert after([x, y], [centred(x), centred(y)], [2, 2], [4, 4]) == 2.5
    assert after([x], [centred(x), centred(x)], [2, 2]) == 1
    assert after([x], [centred(centred(x) * 3 + 1)], [2, 4]) == 1.25
    assert after([x], [centred(x)], [2, 4], updates=[(m, m + 7)]) == 7
    assert after([y], [centred(x)], [2, 4], givens={x: y * 2}) == 3


def test_a_shared_variable_takes_values_of_other_shapes():
    w, x = shared(np.ones((2, 3), f32)), T.matrix()
    f = function([x], T.dot(x, w))
    assert f(np.ones((4, 2))).shape == (4, 3)
    w.set_value(np.ones((5, 7), f32))
    assert f(np.ones((4, 5))).shape == (4, 7)
    grow = function([], [w.shape, w.sum()], updates=[(w, T.concatenate([w, w], axis=0))])
    for k in range(3):
        size, total = grow()
        assert size.tolist() == [5 * 2**k, 7] and total == 35 * 2**k


def test_many_threads_call_one_function(rng):
    x, w = T.matrix(), shared(rng.normal(size=(8, 8)).astype(f32))
    f, weights, wrong = function([x], [T.tanh(T.dot(x, w)), x.sum(0)]), w.get_value(), []

    def work(seed):
        random = np.random.default_rng(seed)
        for _ in range(30):
            value = random.normal(size=(int(random.integers(1, 9)), 8)).astype(f32)
            a, b = f(value)
            if not (np.allclose(a, np.tanh(value @ weights), atol=1e-5) and np.allclose(b, value.sum(0), atol=1e-5)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
