"""Programs with loops that Theano users write: samplers, recurrent networks, chains, filters, a Turing machine."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.scan_module import until


@pytest.fixture(autouse=True)
def _wide():
    with symc.config.change(floatX="float64"):
        yield


def close(got, want, rtol=1e-8):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


def along(f, arrays, slopes, rng, step=1e-6):
    """Compare the slopes of the scalar function ``f`` with differences along one random direction per argument."""
    for k, slope in enumerate(slopes):
        direction = rng.standard_normal(arrays[k].shape)
        moved = [[a + sign * step * direction if j == k else a for j, a in enumerate(arrays)] for sign in (1, -1)]
        np.testing.assert_allclose(
            np.vdot(slope, direction), (f(*moved[0]) - f(*moved[1])) / (2 * step), rtol=2e-5, atol=1e-7
        )


def logsumexp(x, axis=None):
    top = x.max(axis=axis, keepdims=True)
    return (np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top).squeeze(axis)


# --- Theano's tutorial ------------------------------------------------------------------------------------------------


def test_the_examples_of_the_tutorial(rng):
    k, a, x = T.iscalar("k"), T.dvector("a"), T.dscalar("x")
    powers, updates = symc.scan(lambda p, a: p * a, outputs_info=T.ones_like(a), non_sequences=a, n_steps=k)
    power = symc.function([a, k], powers[-1], updates=updates)
    close(power(range(10), 2), np.arange(10.0) ** 2)
    coefficients = T.dvector("coefficients")
    terms, _ = symc.scan(
        lambda c, n, free: c * free**n, [coefficients, T.arange(10000)], outputs_info=None, non_sequences=x
    )
    close(symc.function([coefficients, x], terms.sum())([1, 0, 2], 3), 19)
    up_to = T.iscalar("up_to")
    sums, _ = symc.scan(lambda n, before: n + before, T.arange(up_to), np.int64(0))
    assert symc.function([up_to], sums)(15).tolist() == np.cumsum(np.arange(15)).tolist()
    limit = T.dscalar("limit")
    doubled, _ = symc.scan(lambda v, top: (v * 2, until(v * 2 > top)), None, T.constant(1.0), limit, n_steps=1024)
    close(symc.function([limit], doubled)(45), [2, 4, 8, 16, 32, 64])
    places, values = T.lmatrix("places"), T.dvector("values")
    model = T.zeros((3, 3))
    placed, _ = symc.scan(
        lambda at, value, into: T.set_subtensor(T.zeros_like(into)[at[0], at[1]], value), [places, values], None, model
    )
    got = symc.function([places, values], placed)([[1, 1], [2, 0]], [42, 50])
    assert got[0, 1, 1] == 42 and got[1, 2, 0] == 50 and got.sum() == 92


def test_a_recurrent_network_with_taps(rng):
    """``tanh(x[t] W + y[t-1] U + y[t-2] V)``, and the squared distances of neighbours along the sequence."""
    x, y0 = T.dmatrix("x"), T.dmatrix("y0")
    w, u, v = (symc.shared(rng.standard_normal((3, 3)) / 2, n) for n in "wuv")
    states, _ = symc.scan(
        lambda x_t, near, far: T.tanh(T.dot(x_t, w) + T.dot(near, u) + T.dot(far, v)),
        x,
        dict(initial=y0, taps=[-1, -2]),
    )
    gaps, _ = symc.scan(lambda now, after: ((after - now) ** 2).sum(), dict(input=states, taps=[0, 1]))
    cost = gaps.sum()
    arrays = [rng.standard_normal((6, 3)), rng.standard_normal((2, 3))]
    past = list(arrays[1])
    for row in arrays[0]:
        past.append(np.tanh(row @ w.get_value() + past[-1] @ u.get_value() + past[-2] @ v.get_value()))
    value, *slopes = symc.function([x, y0], [states, *T.grad(cost, [x, y0])])(*arrays)
    close(value, past[2:])
    only = symc.function([x, y0], cost)
    close(only(*arrays), sum(((b - a) ** 2).sum() for a, b in itertools.pairwise(past[2:])))
    along(only, arrays, slopes, rng)


def test_jacobian_and_hessian_by_scan(rng):
    x, w = T.dvector("x"), T.dmatrix("w")
    y = T.tanh(T.dot(x, w))
    rows, updates = symc.scan(lambda i: T.grad(y[i], x), T.arange(y.shape[0]))
    cost = (y**2).sum()
    slope = T.grad(cost, x)
    curvature, _ = symc.scan(lambda i, slope, x: T.grad(slope[i], x), T.arange(slope.shape[0]), None, [slope, x])
    a, b = rng.standard_normal(3), rng.standard_normal((3, 4))
    got, second = symc.function([x, w], [rows, curvature], updates=updates)(a, b)
    t = np.tanh(a @ b)
    close(got, (b * (1 - t**2)).T)
    outer = 2 * (1 - t**2) ** 2 - 4 * t**2 * (1 - t**2)
    close(second, (b * outer) @ b.T)


# --- samplers ---------------------------------------------------------------------------------------------------------


def test_restricted_boltzmann_machine_with_persistent_chains():
    """Gibbs steps in a scan, as in the deep learning tutorials: the chain's distribution, and learning."""
    patterns = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], "float64")
    streams = T.shared_randomstreams.RandomStreams(1)
    w = symc.shared(np.array([[3.0, -3], [3, -3], [-3, 3], [-3, 3]]) / 3, "w")
    hb, vb = symc.shared(np.zeros(2), "hb"), symc.shared(np.zeros(4), "vb")

    def free_energy(v):
        return -T.dot(v, vb) - T.nnet.softplus(T.dot(v, w) + hb).sum(axis=1)

    def gibbs(v):
        h = streams.binomial(n=1, p=T.nnet.sigmoid(T.dot(v, w) + hb), dtype="float64")
        mean = T.nnet.sigmoid(T.dot(h, w.T) + vb)
        return [mean, streams.binomial(n=1, p=mean, dtype="float64")]

    chain = symc.shared(np.zeros((400, 4)), "chain")
    (_, samples), updates = symc.scan(gibbs, outputs_info=[None, chain], n_steps=10)
    sample = symc.function([], samples[-1], updates={**updates, chain: samples[-1]})
    drawn = np.concatenate([sample() for _ in range(8)][2:])
    states = np.array(list(itertools.product([0.0, 1], repeat=4)))
    log_weights = -symc.function([], free_energy(T.constant(states)))()
    want = np.exp(log_weights - logsumexp(log_weights))
    counts = np.array([(drawn == s).all(axis=1).mean() for s in states])
    assert np.abs(counts - want).max() < 0.05 and want.max() > 0.1

    v = T.dmatrix("v")
    end = samples[-1]
    cost = free_energy(v).mean() - free_energy(end).mean()
    parameters = [w, hb, vb]
    slopes = T.grad(cost, parameters, consider_constant=[end])
    updates.update({p: p - 0.2 * g for p, g in zip(parameters, slopes)})
    updates[chain] = end
    train = symc.function([v], updates=updates)
    likelihood = symc.function([v], (-free_energy(v)).mean())

    def log_probability():
        log_z = logsumexp(-symc.function([], free_energy(T.constant(states)))())
        return likelihood(patterns) - log_z

    before = log_probability()
    for _ in range(60):
        train(np.tile(patterns, (5, 1)))
    assert before < -1.6 and log_probability() > before + 0.3 > -2


def test_hamiltonian_monte_carlo():
    """Leapfrog steps inside a scan; the acceptance rate and the moments of a correlated normal distribution."""
    precision = np.array([[2.0, 0.8], [0.8, 1.0]])
    covariance = np.linalg.inv(precision)

    def rate(step):
        """The acceptance rate of chains that have converged, by simulation."""
        rng = np.random.default_rng(0)
        q, p = rng.multivariate_normal(np.zeros(2), covariance, 40000), rng.standard_normal((40000, 2))
        before = 0.5 * (((q @ precision) * q).sum(axis=1) + (p**2).sum(axis=1))
        for _ in range(length):
            p = p - 0.5 * step * q @ precision
            q = q + step * p
            p = p - 0.5 * step * q @ precision
        after = 0.5 * (((q @ precision) * q).sum(axis=1) + (p**2).sum(axis=1))
        return np.minimum(1, np.exp(before - after)).mean()

    streams = T.shared_randomstreams.RandomStreams(11)
    place = symc.shared(np.zeros((500, 2)), "place")
    step, length = T.dscalar("step"), 8

    def energy(q):
        return 0.5 * (T.dot(q, precision) * q).sum(axis=1)

    def slope(q):
        return T.grad(energy(q).sum(), q)

    def leapfrog(q, p):
        half = p - 0.5 * step * slope(q)
        q = q + step * half
        return [q, half - 0.5 * step * slope(q)]

    def move(q):
        p = streams.normal(q.shape)
        (path, momenta), inner = symc.scan(leapfrog, outputs_info=[q, p], n_steps=length)
        before, after = (energy(a) + 0.5 * (b**2).sum(axis=1) for a, b in ((q, p), (path[-1], momenta[-1])))
        accepted = streams.uniform((q.shape[0],)) < T.exp(before - after)
        return [T.switch(accepted.dimshuffle(0, "x"), path[-1], q), T.minimum(1, T.exp(before - after)).mean()], inner

    (places, rates), updates = symc.scan(move, outputs_info=[place, None], n_steps=10)
    updates[place] = places[-1]
    sample = symc.function([step], [places, rates], updates=updates)
    for size in (0.3, 1.1):
        sample(size)
        drawn, rates = sample(size)
        values = drawn.reshape(-1, 2)
        close(np.cov(values.T), covariance, 0.1)
        assert np.abs(values.mean(axis=0)).max() < 0.1
        assert abs(rates.mean() - rate(size)) < 0.01
    assert rate(1.1) < 0.93


# --- recurrent networks -----------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_numpy(x, mask, w, u, b):
    h = c = np.zeros((x.shape[1], u.shape[0]))
    states = []
    for row, m in zip(x, mask):
        i, f, o, g = np.split(row @ w + h @ u + b, 4, axis=1)
        new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        c, h = (m[:, None] * a + (1 - m[:, None]) * old for a, old in ((new, c), (sigmoid(o) * np.tanh(new), h)))
        states.append(h)
    return np.array(states)


def lstm(x, mask, w, u, b, units):
    def step(row, m, h, c):
        gates = row + T.dot(h, u)
        i, f, o = (T.nnet.sigmoid(gates[:, k * units : (k + 1) * units]) for k in range(3))
        new = f * c + i * T.tanh(gates[:, 3 * units :])
        m = m.dimshuffle(0, "x")
        return m * (o * T.tanh(new)) + (1 - m) * h, m * new + (1 - m) * c

    start = T.zeros((x.shape[1], units))
    return symc.scan(step, [T.dot(x, w) + b, mask], [start, start])[0][0]


def test_lstm_with_masks(rng):
    x, mask, w, u, b = T.dtensor3("x"), T.dmatrix("mask"), T.dmatrix("w"), T.dmatrix("u"), T.dvector("b")
    states = lstm(x, mask, w, u, b, 5)
    cost = (states[-1] ** 2).sum() + T.sin(states).mean()
    f = symc.function([x, mask, w, u, b], [states, *T.grad(cost, [x, w, u, b])])
    value = symc.function([x, mask, w, u, b], cost)
    for steps, batch in ((7, 3), (4, 2)):
        lengths = rng.integers(1, steps + 1, batch)
        m = (np.arange(steps)[:, None] < lengths).astype("float64")
        arrays = [rng.standard_normal(s) for s in ((steps, batch, 4), (4, 20), (5, 20), (20,))]
        x_, *rest = arrays
        states_, *slopes = f(x_, m, *rest)
        close(states_, lstm_numpy(x_, m, *rest))
        along(lambda x, w, u, b, m=m: value(x, m, w, u, b), arrays, slopes, rng)
        for k, n in enumerate(lengths):
            assert not slopes[0][n:, k].any()  # padding has no influence


# --- chains -----------------------------------------------------------------------------------------------------------


def test_linear_chain_crf(rng):
    """The forward recursion and Viterbi's, against all paths; the gradient is the difference of expected counts."""
    emissions, transitions, labels = T.dmatrix("emissions"), T.dmatrix("transitions"), T.lvector("labels")

    def forward(e, a):
        return e + T.log(T.exp(a.dimshuffle(0, "x") + transitions).sum(axis=0))

    alphas, _ = symc.scan(forward, emissions[1:], emissions[0])
    log_z = T.log(T.exp(alphas[-1]).sum())
    score = emissions[T.arange(labels.shape[0]), labels].sum() + transitions[labels[:-1], labels[1:]].sum()
    loss = log_z - score

    def best(e, d):
        scores = d.dimshuffle(0, "x") + transitions
        return e + scores.max(axis=0), scores.argmax(axis=0)

    (deltas, pointers), _ = symc.scan(best, emissions[1:], [emissions[0], None])
    last = deltas[-1].argmax()
    path, _ = symc.scan(lambda pointer, state: pointer[state], pointers, last, go_backwards=True)
    path = T.concatenate([path[::-1], last.dimshuffle("x")])
    f = symc.function([emissions, transitions, labels], [log_z, loss, path, *T.grad(loss, [emissions, transitions])])
    e, t = rng.standard_normal((5, 3)), rng.standard_normal((3, 3))
    given = rng.integers(0, 3, 5)
    paths = np.array(list(itertools.product(range(3), repeat=5)))
    scores = e[np.arange(5), paths].sum(axis=1) + t[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    got = f(e, t, given)
    close(got[0], logsumexp(scores))
    close(got[1], logsumexp(scores) - (e[np.arange(5), given].sum() + t[given[:-1], given[1:]].sum()))
    assert got[2].tolist() == paths[scores.argmax()].tolist()
    weights = np.exp(scores - logsumexp(scores))
    marginals = np.array([[weights[paths[:, k] == s].sum() for s in range(3)] for k in range(5)])
    marginals[np.arange(5), given] -= 1
    close(got[3], marginals)
    pairs = np.zeros((3, 3))
    for weight, p in zip(weights, paths):
        np.add.at(pairs, (p[:-1], p[1:]), weight)
    np.subtract.at(pairs, (given[:-1], given[1:]), 1)
    close(got[4], pairs)


def test_kalman_filter(rng):
    """Against NumPy, and its likelihood against the joint normal distribution of all observations."""
    a = np.array([[1.0, 0.3], [-0.2, 0.9]])
    c = np.array([[1.0, 0.5]])
    y, log_q, r = T.dmatrix("y"), T.dscalar("log_q"), 0.4
    q = T.exp(log_q) * T.eye(2)

    def step(y_t, m, p):
        m, p = T.dot(a, m), T.dot(T.dot(a, p), a.T) + q
        s = T.dot(T.dot(c, p), c.T) + r
        gain = T.dot(p, c.T) / s
        error = y_t - T.dot(c, m)
        density = -0.5 * (T.log(2 * np.pi * s).sum() + (error**2 / s[0]).sum())
        return m + T.dot(gain, error), p - T.dot(gain, T.dot(c, p)), density

    (means, covariances, densities), _ = symc.scan(step, y, [T.zeros((2,)), T.eye(2), None])
    total = densities.sum()
    f = symc.function([y, log_q], [means, covariances, total, T.grad(total, log_q)])
    observed = rng.standard_normal((6, 1))

    def joint(log_q):
        """The mean of the last state given all, and the density of the observations, without recursion."""
        n, noise = 6, np.exp(log_q) * np.eye(2)
        powers = [np.linalg.matrix_power(a, k) for k in range(n + 1)]
        cov = np.zeros((n, n, 2, 2))
        for i, j in itertools.product(range(n), repeat=2):
            cov[i, j] = powers[i + 1] @ powers[j + 1].T
            cov[i, j] += sum(powers[i - k] @ noise @ powers[j - k].T for k in range(min(i, j) + 1))
        observations = np.einsum("ax,ijxy,by->ij", c, cov, c) + r * np.eye(n)
        cross = np.einsum("jxy,by->xj", cov[n - 1], c)
        v = observed[:, 0]
        solved = np.linalg.solve(observations, v)
        density = -0.5 * (np.linalg.slogdet(2 * np.pi * observations)[1] + v @ solved)
        covariance = cov[n - 1, n - 1] - cross @ np.linalg.solve(observations, cross.T)
        return cross @ solved, covariance, density

    got = f(observed, -1.0)
    want = joint(-1.0)
    close(got[0][-1], want[0])
    close(got[1][-1], want[1])
    close(got[2], want[2])
    close(got[3], (joint(-1 + 1e-5)[2] - joint(-1 - 1e-5)[2]) / 2e-5, 1e-6)


def test_hidden_markov_model_trained_by_gradient():
    """The likelihood by enumeration; gradient descent approaches the model that made the sequence."""
    rng = np.random.default_rng(4)
    hidden, symbols = 2, 3
    transitions, emissions = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    states, seen = [0], []
    for _ in range(400):
        states.append(rng.choice(2, p=transitions[states[-1]]))
        seen.append(rng.choice(3, p=emissions[states[-1]]))
    seen = np.array(seen)
    a, b = (
        symc.shared(rng.standard_normal(s) * 0.5, n) for s, n in (((hidden, hidden), "a"), ((hidden, symbols), "b"))
    )
    x = T.lvector("x")
    p, e = T.nnet.softmax(a), T.nnet.softmax(b)

    def step(symbol, belief):
        joint = T.dot(belief, p) * e[:, symbol]
        return joint / joint.sum(), T.log(joint.sum())

    (_, logs), _ = symc.scan(step, x, [T.ones((hidden,)) / hidden, None])
    loss = -logs.mean()
    likelihood = symc.function([x], logs.sum())
    pv, ev = symc.function([], [p, e])()
    short = seen[:5]
    want = 0.0
    for path in itertools.product(range(hidden), repeat=6):
        steps = [pv[i, j] * ev[j, s] for i, j, s in zip(path, path[1:], short)]
        want += np.prod(steps) / hidden
    close(likelihood(short), np.log(want))
    train = symc.function([x], loss, updates=[(v, v - 2.0 * T.grad(loss, v)) for v in (a, b)])
    losses = [train(seen) for _ in range(250)]
    truth, belief = 0.0, np.ones(2) / 2
    for s in seen:
        joint = (belief @ transitions) * emissions[:, s]
        belief, truth = joint / joint.sum(), truth - np.log(joint.sum()) / len(seen)
    assert losses[0] > truth + 0.05 and losses[-1] < truth + 0.01


# --- a neural Turing machine ------------------------------------------------------------------------------------------


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def turing_machine(lib, np_like, x, memory, weights, read, parameters):
    """One step, in the functions of ``lib``: a controller, and a head that addresses memory by content and by place."""
    (w_in, w_read, w_head, w_out), width = parameters, 4
    controller = lib.tanh(lib.dot(x, w_in) + lib.dot(read, w_read))
    head = lib.dot(controller, w_head)
    key, add, erase = head[:width], lib.tanh(head[width : 2 * width]), np_like.sigmoid(head[2 * width : 3 * width])
    beta, gate, gamma = np_like.softplus(head[12]), np_like.sigmoid(head[13]), 1 + np_like.softplus(head[14])
    shift = np_like.softmax(head[15:18])
    norms = lib.sqrt((memory**2).sum(axis=1) * (key**2).sum() + 1e-6)
    content = np_like.softmax(beta * lib.dot(memory, key) / norms)
    mixed = gate * content + (1 - gate) * weights
    turned = sum(shift[k] * np_like.roll(mixed, k - 1) for k in range(3))
    sharp = turned**gamma
    weights = sharp / sharp.sum()
    memory = memory * (1 - np_like.outer(weights, erase)) + np_like.outer(weights, add)
    read = lib.dot(weights, memory)
    return memory, weights, read, np_like.sigmoid(lib.dot(controller, w_out) + read[:3])


class _Symbolic:
    sigmoid, softplus, roll, outer = T.nnet.sigmoid, T.nnet.softplus, T.roll, T.outer

    @staticmethod
    def softmax(x):
        return T.nnet.softmax(x)


class _Numeric:
    roll, outer, softmax = np.roll, np.outer, staticmethod(softmax)

    @staticmethod
    def sigmoid(x):
        return sigmoid(x)

    @staticmethod
    def softplus(x):
        return np.log1p(np.exp(x))


def test_copy_task_of_a_neural_turing_machine(rng):
    """Values against the same step in NumPy, slopes against differences, and a training step that helps."""
    x, y = T.dmatrix("x"), T.dmatrix("y")
    shapes = ((4, 8), (4, 8), (8, 18), (8, 3))
    values = [rng.standard_normal(s) / 2 for s in shapes]
    parameters = [symc.shared(v, f"w{k}") for k, v in enumerate(values)]
    starts = [0.1 * rng.standard_normal((6, 4)), softmax(rng.standard_normal(6)), np.zeros(4)]
    (_, _, _, out), _ = symc.scan(
        lambda x, m, w, r: turing_machine(T, _Symbolic, x, m, w, r, parameters),
        x,
        [*(T.constant(s) for s in starts), None],
    )
    loss = T.nnet.binary_crossentropy(out[-y.shape[0] :], y).mean()
    slopes = T.grad(loss, parameters)
    bits = rng.integers(0, 2, (4, 3)).astype("float64")
    inputs = np.zeros((9, 4))
    inputs[:4, :3], inputs[4, 3] = bits, 1
    f = symc.function([x, y], [out, loss, *slopes])
    got = f(inputs, bits)

    def numpy_loss(*weights):
        state, outputs = starts, []
        for row in inputs:
            *state, o = turing_machine(np, _Numeric, row, *state, weights)
            outputs.append(o)
        tail = np.array(outputs)[-4:]
        return -(bits * np.log(tail) + (1 - bits) * np.log(1 - tail)).mean()

    close(got[1], numpy_loss(*values))
    along(numpy_loss, values, got[2:], rng)
    train = symc.function([x, y], loss, updates=[(p, p - 0.5 * g) for p, g in zip(parameters, slopes)])
    losses = [train(inputs, bits) for _ in range(30)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    "step",
    [
        lambda k, x, ks: x.reshape((k, -1)),
        lambda k, x, ks: x[: ks[k]] * 2,
        lambda k, x, ks: T.zeros((k - 1,)) + x[0],
        lambda k, x, ks: x[T.arange(12 // k) % 2],
        lambda k, x, ks: T.repeat(x, k),
        lambda k, x, ks: T.alloc(x[0], k),
    ],
    ids=["reshape", "index", "difference", "quotient", "repeat", "alloc"],
)
def test_lengths_that_the_step_computes_need_no_step(step):
    x, ks = T.vector("x"), T.ivector("ks")
    out, _ = symc.scan(lambda k, x, ks: step(k, x, ks), sequences=ks, non_sequences=[x, ks])
    f = symc.function([x, ks], [out, symc.grad(out.sum(), x)], on_unused_input="ignore")
    values = np.arange(1, 5, dtype="float32")
    one = symc.function([x, ks], step(T.constant(2), x, ks), on_unused_input="ignore")(values, [2, 2, 2])
    np.testing.assert_array_equal(f(values, [2, 2, 2])[0], [one] * 3)
    found, slope = f(values, [])
    assert found.shape == (0, *[0] * one.ndim) and not slope.any()
