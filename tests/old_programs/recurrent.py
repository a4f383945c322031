"""Recurrent networks: one written with scan, one of Lasagne's layers with masks, in the style of 2015."""

import lasagne
import numpy as np
import theano
import theano.tensor as T


def sums(n, length, seed=0):
    """Sequences of (number, marker) pairs with masks; the target is the sum of the two marked numbers."""
    rng = np.random.RandomState(seed)
    X = np.concatenate([rng.uniform(size=(n, length, 1)), np.zeros((n, length, 1))], axis=-1)
    mask, y = np.zeros((n, length)), np.zeros(n)
    for k in range(n):
        used = rng.randint(length // 2, length)
        mask[k, :used] = 1
        marked = rng.choice(used, 2, replace=False)
        X[k, marked, 1] = 1
        y[k] = X[k, marked, 0].sum()
    return [v.astype(theano.config.floatX) for v in (X, y, mask)]


def with_scan(n_hidden=10, steps=60):
    X, y, mask = sums(40, 8)
    rng = np.random.RandomState(0)

    def weights(*shape):
        return theano.shared(np.asarray(rng.normal(0, 0.3, size=shape), dtype=theano.config.floatX))

    W_in, W_rec, b, W_out = weights(2, n_hidden), weights(n_hidden, n_hidden), weights(n_hidden), weights(n_hidden)
    x, t, m = T.tensor3("x"), T.vector("t"), T.matrix("m")

    def step(x_t, m_t, h_tm1, W_rec):
        h_t = T.tanh(T.dot(x_t, W_in) + T.dot(h_tm1, W_rec) + b)
        return m_t.dimshuffle(0, "x") * h_t + (1 - m_t.dimshuffle(0, "x")) * h_tm1

    h, updates = theano.scan(
        fn=step,
        sequences=[x.dimshuffle(1, 0, 2), m.T],
        outputs_info=T.alloc(np.asarray(0.0, dtype=theano.config.floatX), x.shape[0], n_hidden),
        non_sequences=W_rec,
    )
    cost = T.mean((T.dot(h[-1], W_out) - t) ** 2)
    params = [W_in, W_rec, b, W_out]
    before = [p.get_value() for p in params]
    gradients = theano.function([x, t, m], [cost] + T.grad(cost, params), updates=updates)
    first = gradients(X, y, mask)
    train = theano.function([x, t, m], cost, updates=[(p, p - 0.1 * g) for p, g in zip(params, T.grad(cost, params))])
    return [train(X, y, mask) for _ in range(steps)], before, first, (X, y, mask)


def with_layers(steps=40):
    lasagne.random.set_rng(np.random.RandomState(42))
    X, y, mask = sums(40, 8)
    l_in = lasagne.layers.InputLayer(shape=(None, None, 2))
    l_mask = lasagne.layers.InputLayer(shape=(None, None))
    gate = lasagne.layers.Gate(W_in=lasagne.init.Orthogonal(), b=lasagne.init.Constant(1.0))
    l_forward = lasagne.layers.LSTMLayer(
        l_in, 8, mask_input=l_mask, forgetgate=gate, grad_clipping=100.0, only_return_final=True
    )
    l_backward = lasagne.layers.GRULayer(l_in, 8, mask_input=l_mask, backwards=True, only_return_final=True)
    l_out = lasagne.layers.DenseLayer(
        lasagne.layers.ConcatLayer([l_forward, l_backward]), num_units=1, nonlinearity=lasagne.nonlinearities.tanh
    )
    target_values = T.vector("target_output")
    predicted_values = lasagne.layers.get_output(l_out).flatten()
    cost = T.mean((predicted_values - target_values) ** 2)
    all_params = lasagne.layers.get_all_params(l_out)
    updates = lasagne.updates.adagrad(cost, all_params, 0.05)
    train = theano.function([l_in.input_var, target_values, l_mask.input_var], cost, updates=updates)
    return [train(X, y, mask) for _ in range(steps)]
