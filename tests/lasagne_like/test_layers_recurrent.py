"""Recurrent layers against loops in NumPy: steps, masks, directions, initial states, clipped gradients, training."""

import numpy as np
import pytest

import lasagne_like
import symc
import symc.tensor as T
from lasagne_like import init
from lasagne_like import layers as L
from lasagne_like.nonlinearities import tanh

BATCH, TIME, INPUTS, UNITS = 3, 6, 4, 5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(p, x, states):
    c, h = states

    def total(gate):
        return x @ p[f"W_in_to_{gate}"] + h @ p[f"W_hid_to_{gate}"] + p[f"b_{gate}"]

    def peep(gate, cell):
        return cell * p[f"W_cell_to_{gate}"] if f"W_cell_to_{gate}" in p else 0

    i, f = sigmoid(total("ingate") + peep("ingate", c)), sigmoid(total("forgetgate") + peep("forgetgate", c))
    c = f * c + i * np.tanh(total("cell"))
    return c, sigmoid(total("outgate") + peep("outgate", c)) * np.tanh(c)


def gru(p, x, states):
    (h,) = states

    def total(gate, factor=1):
        return x @ p[f"W_in_to_{gate}"] + factor * (h @ p[f"W_hid_to_{gate}"]) + p[f"b_{gate}"]

    u = sigmoid(total("updategate"))
    return ((1 - u) * h + u * np.tanh(total("hidden_update", sigmoid(total("resetgate")))),)


def plain(p, x, states):
    return (np.tanh(x @ p["input_to_hidden.W"] + p["input_to_hidden.b"] + states[0] @ p["hidden_to_hidden.W"]),)


KINDS = {
    "lstm": (L.LSTMLayer, lstm, ["cell_init", "hid_init"], {}),
    "lstm without peepholes": (L.LSTMLayer, lstm, ["cell_init", "hid_init"], {"peepholes": False}),
    "gru": (L.GRULayer, gru, ["hid_init"], {}),
    "recurrent": (L.RecurrentLayer, plain, ["hid_init"], {"nonlinearity": tanh}),
}


def loop(step, p, initial, x, mask=None, backwards=False):
    """The hidden states of all times, ``(batch, time, units)``."""
    states = [np.broadcast_to(p[name], (len(x), UNITS)) for name in initial]
    found = np.zeros((len(x), x.shape[1], UNITS))
    for t in range(x.shape[1])[:: -1 if backwards else 1]:
        after = step(p, x[:, t], states)
        keep = np.ones((len(x), 1), bool) if mask is None else mask[:, t, None] != 0
        states = [np.where(keep, a, b) for a, b in zip(after, states)]
        found[:, t] = states[-1]
    return found


def parameters(layer, rng):
    for param in layer.get_params():
        param.set_value(rng.normal(0, 0.7, param.get_value().shape))
    return {param.name: param.get_value() for param in layer.get_params()}


@pytest.mark.parametrize(
    "kind, backwards, unroll",
    [*((kind, backwards, False) for kind in KINDS for backwards in (False, True)), ("lstm", True, True)],
)
def test_against_a_loop(kind, backwards, unroll, rng, float64):
    cls, step, initial, options = KINDS[kind]
    incoming, mask = L.InputLayer((None, TIME, INPUTS)), L.InputLayer((None, TIME))
    options = options | {"backwards": backwards, "unroll_scan": unroll, "precompute_input": not unroll}
    layer = cls(incoming, UNITS, mask_input=mask, **options)
    p = parameters(layer, rng)
    last = cls(incoming, UNITS, only_return_final=True, **options)
    for ours, theirs in zip(last.get_params(), layer.get_params(), strict=True):
        ours.set_value(theirs.get_value())
    assert layer.output_shape == (None, TIME, UNITS) and last.output_shape == (None, UNITS)

    f = symc.function([incoming.input_var, mask.input_var], L.get_output([layer, last]))
    x = rng.normal(size=(BATCH, TIME, INPUTS))
    given = (np.arange(TIME) < np.array([[4], [6], [1]])).astype(float)
    every, final = f(x, given)
    np.testing.assert_allclose(every, loop(step, p, initial, x, given, backwards), atol=1e-12)
    np.testing.assert_allclose(final, loop(step, p, initial, x, None, backwards)[:, 0 if backwards else -1], atol=1e-12)


def test_initial_states_from_layers(rng, float64):
    incoming, first, second = L.InputLayer((None, None, INPUTS)), L.InputLayer((None, UNITS)), L.InputLayer((None, 2))
    made = L.DenseLayer(second, UNITS, nonlinearity=None)
    layer = L.LSTMLayer(incoming, UNITS, hid_init=first, cell_init=made)
    assert layer.input_layers == [incoming, first, made]
    assert (layer.mask_incoming_index, layer.hid_init_incoming_index, layer.cell_init_incoming_index) == (-1, 1, 2)
    p = parameters(layer, rng)
    assert "hid_init" not in p and "cell_init" not in p
    f = symc.function([each.input_var for each in (incoming, first, second)], L.get_output(layer))
    x, h, z = rng.normal(size=(BATCH, TIME, INPUTS)), rng.normal(size=(BATCH, UNITS)), rng.normal(size=(BATCH, 2))
    p |= {"hid_init": h, "cell_init": z @ made.W.get_value()}
    np.testing.assert_allclose(f(x, h, z), loop(lstm, p, ["cell_init", "hid_init"], x), atol=1e-12)


def test_one_layer_gives_both_initial_states(rng, float64):
    incoming, both = L.InputLayer((None, None, INPUTS)), L.InputLayer((None, UNITS))
    layer = L.LSTMLayer(incoming, UNITS, hid_init=both, cell_init=both)
    p = parameters(layer, rng)
    f = symc.function([incoming.input_var, both.input_var], L.get_output(layer))
    x, h = rng.normal(size=(BATCH, TIME, INPUTS)), rng.normal(size=(BATCH, UNITS))
    expected = loop(lstm, p | {"hid_init": h, "cell_init": h}, ["cell_init", "hid_init"], x)
    np.testing.assert_allclose(f(x, h), expected, atol=1e-12)


def test_parameters_and_their_tags():
    layer = L.LSTMLayer((None, None, INPUTS), UNITS, name="l")
    gates = ["ingate", "forgetgate", "cell", "outgate"]
    names = [f"l.{part}_{gate}" for gate in gates for part in ("W_in_to", "W_hid_to", "b")]
    names += [f"l.W_cell_to_{gate}" for gate in ("ingate", "forgetgate", "outgate")]
    assert [each.name for each in layer.get_params()] == [*names, "l.cell_init", "l.hid_init"]
    assert [each.name for each in layer.get_params(trainable=True)] == names
    assert [each.name for each in layer.get_params(regularizable=True)] == [n for n in names if ".b_" not in n]
    learned = L.GRULayer((None, None, INPUTS), UNITS, learn_init=True)
    assert learned.get_params(trainable=True)[-1] is learned.hid_init
    assert learned.hid_init not in learned.get_params(regularizable=True)


def test_gates_keep_their_own_nonlinearities(rng, float64):
    incoming = L.InputLayer((None, TIME, INPUTS))
    layer = L.GRULayer(incoming, UNITS, updategate=L.Gate(b=init.Constant(2.0), nonlinearity=None))
    p = parameters(layer, rng)
    x = rng.normal(size=(BATCH, TIME, INPUTS))
    found = L.get_output(layer, T.constant(x)).eval()
    h = np.broadcast_to(p["hid_init"], (BATCH, UNITS))
    u = x[:, 0] @ p["W_in_to_updategate"] + h @ p["W_hid_to_updategate"] + p["b_updategate"]
    new = gru(p, x[:, 0], [h])[0]
    s = sigmoid(u)
    candidate = (new - (1 - s) * h) / s
    np.testing.assert_allclose(found[:, 0], (1 - u) * h + u * candidate, atol=1e-10)


@pytest.mark.parametrize("unroll", [False, True], ids=["loop", "unrolled"])
def test_gradients_are_clipped_in_every_step(unroll, rng, float64):
    """A linear recurrence of one unit: the gradient of a step is clipped before it goes on to the step before it."""
    options = {"nonlinearity": None, "W_hid_to_hid": np.array([[1.5]]), "W_in_to_hid": np.array([[1.0]])}
    incoming = L.InputLayer((None, 4, 1))
    gradients = {}
    for bound in (0, 2):
        layer = L.RecurrentLayer(incoming, 1, grad_clipping=bound, unroll_scan=unroll, **options)
        cost = L.get_output(layer)[:, -1].sum() * 3
        gradients[bound] = symc.grad(cost, incoming.input_var)
    f = symc.function([incoming.input_var], list(gradients.values()))
    free, clipped = f(rng.normal(size=(1, 4, 1)))
    np.testing.assert_allclose(free.ravel(), 3 * 1.5 ** np.arange(3, -1, -1))
    g, expected = 3.0, []
    for _ in range(4):
        g = min(g, 2.0)
        expected.append(g)
        g *= 1.5
    np.testing.assert_allclose(clipped.ravel(), expected[::-1])


def test_gradients_go_back_through_some_steps_only(rng, float64):
    incoming = L.InputLayer((None, 5, 1))
    weights = {"W_hid_to_hid": np.array([[0.5]]), "W_in_to_hid": np.array([[2.0]]), "nonlinearity": None}
    layer = L.RecurrentLayer(incoming, 1, gradient_steps=2, only_return_final=True, **weights)
    gradient = symc.grad(L.get_output(layer).sum(), incoming.input_var)
    found = symc.function([incoming.input_var], gradient, on_unused_input="ignore")(rng.normal(size=(1, 5, 1)))
    np.testing.assert_allclose(found.ravel(), [0, 0, 0, 1, 2])


def test_noise_inside_a_recurrent_network_differs_from_step_to_step(rng):
    """Dropout in the transition draws anew for every step and every call, and does nothing in testing."""
    incoming = L.InputLayer((None, 6, 4))
    of_input = L.DenseLayer(L.InputLayer((None, 4)), 4, W=np.zeros((4, 4), "float32"), nonlinearity=None)
    of_hidden = L.DropoutLayer(L.InputLayer((None, 4)), 0.5, rescale=False)
    layer = L.CustomRecurrentLayer(incoming, of_input, of_hidden, None, hid_init=init.Constant(1.0))
    f = symc.function([incoming.input_var], L.get_output(layer))
    x = np.zeros((50, 6, 4), "float32")
    first, second = f(x), f(x)
    assert not np.array_equal(first, second)
    kept = first.mean((0, 2))  # half of what is left goes in every step
    np.testing.assert_allclose(kept[:3], [0.5, 0.25, 0.125], atol=0.1)
    assert (np.diff(first, axis=1) <= 0).all()
    still = symc.function([incoming.input_var], L.get_output(layer, deterministic=True))(x)
    np.testing.assert_array_equal(still, 1)


def test_a_network_learns_which_bit_came_first(rng):
    x = rng.randint(0, 2, (200, 8, 1)).astype("float32")
    y = x[:, 0, 0].astype("int32")
    incoming = L.InputLayer((None, None, 1))
    layer = L.GRULayer(incoming, 8, only_return_final=True, grad_clipping=5)
    out = L.DenseLayer(layer, 2, nonlinearity=lasagne_like.nonlinearities.softmax)
    target = T.ivector()
    loss = lasagne_like.objectives.categorical_crossentropy(L.get_output(out), target).mean()
    updates = lasagne_like.updates.adam(loss, L.get_all_params(out, trainable=True), learning_rate=0.05)
    train = symc.function([incoming.input_var, target], loss, updates=updates)
    losses = [float(train(x, y)) for _ in range(80)]
    assert losses[-1] < 0.1 < 0.6 < losses[0]


def test_the_transitions_are_any_networks(rng, float64):
    """A hidden layer inside the transition, with the batch and the time as they come."""
    incoming = L.InputLayer((None, None, INPUTS))
    of_input = L.DenseLayer(L.InputLayer((None, INPUTS)), UNITS, nonlinearity=None, name="in")
    inner = L.DenseLayer(L.InputLayer((None, UNITS)), 7, nonlinearity=tanh, name="inner")
    of_hidden = L.DenseLayer(inner, UNITS, b=None, nonlinearity=None, name="out")
    x = rng.normal(size=(BATCH, TIME, INPUTS))
    for precompute in (True, False):
        layer = L.CustomRecurrentLayer(incoming, of_input, of_hidden, tanh, precompute_input=precompute)
        p = parameters(layer, rng)

        def step(p, x, states):
            hidden = np.tanh(states[0] @ p["inner.W"] + p["inner.b"])
            return (np.tanh(x @ p["in.W"] + p["in.b"] + hidden @ p["out.W"]),)

        found = symc.function([incoming.input_var], L.get_output(layer))(x)
        np.testing.assert_allclose(found, loop(step, p, ["hid_init"], x), atol=1e-12)
        names = {each.name for each in L.get_all_params(layer, trainable=True)}
        assert names == {"in.W", "in.b", "inner.W", "inner.b", "out.W"}


def test_a_frozen_layer_freezes_its_networks():
    of_input, of_hidden = (L.DenseLayer(L.InputLayer((None, n)), UNITS) for n in (INPUTS, UNITS))
    layer = L.CustomRecurrentLayer((None, None, INPUTS), of_input, of_hidden)
    layer.trainable = False
    assert not layer.get_params(trainable=True) and not of_hidden.get_params(trainable=True)
    layer.trainable = True
    assert len(layer.get_params(trainable=True)) == 4


def test_what_does_not_fit_is_refused():
    dense = [L.DenseLayer(L.InputLayer((None, n)), m) for n, m in ((INPUTS, 5), (5, 5), (5, 7), (7, 5), (3, 5))]
    sequence = (None, None, INPUTS)
    with pytest.raises(ValueError, match="must be equal after the first dimension"):
        L.CustomRecurrentLayer(sequence, dense[0], dense[2])
    with pytest.raises(ValueError, match="must be equal to its input shape"):
        L.CustomRecurrentLayer(sequence, dense[0], dense[3])
    with pytest.raises(ValueError, match=r"one time of the input shape \(None, None, 4\)"):
        L.CustomRecurrentLayer(sequence, dense[4], dense[1])
    with pytest.raises(TypeError, match="hidden_to_hidden must be a layer"):
        L.CustomRecurrentLayer(sequence, dense[0], T.tanh)
    with pytest.raises(ValueError, match="cannot be specified as None when unroll_scan is True"):
        L.LSTMLayer(sequence, 3, unroll_scan=True)
    with pytest.raises(ValueError, match="steps must be -1 when unroll_scan is True"):
        L.GRULayer((None, 5, 4), 3, unroll_scan=True, gradient_steps=2)
    with pytest.raises(ValueError, match=r"hid_init is a layer with the output shape \(None, 2\)"):
        L.GRULayer(sequence, 3, hid_init=L.InputLayer((None, 2)))
    with pytest.raises(TypeError, match="expected a Gate for 'ingate'"):
        L.LSTMLayer(sequence, 3, ingate=T.tanh)
    with pytest.raises(ValueError, match="use peepholes=False"):
        L.LSTMLayer(sequence, 3, outgate=L.Gate(W_cell=None))
    with pytest.raises(ValueError, match="needs known sizes"):
        L.LSTMLayer((None, 5, None), 3)
    with pytest.raises(ValueError, match=r"mask_input must be \(batch, time\)"):
        L.GRULayer(sequence, 3, mask_input=L.InputLayer((None, None, 1)))
    with pytest.raises(ValueError, match="needs an input"):
        L.GRULayer((None,), 3)


def test_unroll_scan(rng):
    x = rng.normal(size=(5, 3)).astype("float32")
    powers = lasagne_like.utils.unroll_scan(
        lambda v, s, k: [s * k + v], T.constant(x), [T.zeros(3)], [T.constant(2.0)], 5
    )
    s, expected = 0, []
    for row in x:
        s = s * 2 + row
        expected.append(s)
    np.testing.assert_allclose(powers[0].eval(), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="at least 1"):
        lasagne_like.utils.unroll_scan(lambda s: s, [], [T.zeros(3)], [], 0)
