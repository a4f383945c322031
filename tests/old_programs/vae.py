"""A variational autoencoder in the style of 2014: a reparametrised normal code, Adam written by hand."""

import numpy as np
import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams as RandomStreams

floatX = theano.config.floatX


def make_data(n=200, size=16, seed=0):
    rng = np.random.RandomState(seed)
    prototypes = rng.rand(4, size) < 0.4
    noisy = prototypes[rng.randint(4, size=n)] ^ (rng.rand(n, size) < 0.05)
    return np.asarray(noisy, dtype=floatX)


class VAE(object):
    def __init__(self, n_in, n_hidden, n_code, batch_size, learning_rate=0.01, seed=1):
        self.rng = np.random.RandomState(seed)
        self.srng = RandomStreams(seed=self.rng.randint(999999))
        self.batch_size = batch_size
        self.params = []
        names = [("W_xh", n_in, n_hidden), ("W_hmu", n_hidden, n_code), ("W_hsigma", n_hidden, n_code)]
        names += [("W_zh", n_code, n_hidden), ("W_hx", n_hidden, n_in)]
        for name, n_from, n_to in names:
            self.weight(name, n_from, n_to)
        x = T.matrix("x")
        mu, log_sigma = self.encode(x)
        eps = self.srng.normal(mu.shape, avg=0.0, std=1.0, dtype=floatX)
        reconstructed = self.decode(mu + T.exp(0.5 * log_sigma) * eps)
        divergence = -0.5 * T.sum(1 + log_sigma - mu**2 - T.exp(log_sigma), axis=1)
        log_px = T.sum(x * T.log(reconstructed) + (1 - x) * T.log(1 - reconstructed), axis=1)
        bound = T.mean(log_px - divergence)
        gradients = T.grad(-bound, self.params)
        data = theano.shared(np.zeros((1, n_in), dtype=floatX), borrow=True)
        self.data = data
        index = T.iscalar("index")
        rows = {x: data[index * batch_size : (index + 1) * batch_size]}
        self.update = theano.function([index], bound, updates=self.adam(gradients, learning_rate), givens=rows)
        self.encode_fn = theano.function([x], [mu, log_sigma])
        z = T.matrix("z")
        self.decode_fn = theano.function([z], self.decode(z))

    def weight(self, name, n_from, n_to):
        W = theano.shared(np.asarray(0.1 * self.rng.randn(n_from, n_to), dtype=floatX), name=name)
        b = theano.shared(np.zeros((n_to,), dtype=floatX), name=name.replace("W", "b"))
        setattr(self, name, W)
        setattr(self, b.name, b)
        self.params += [W, b]

    def encode(self, x):
        h = T.nnet.softplus(T.dot(x, self.W_xh) + self.b_xh)
        return T.dot(h, self.W_hmu) + self.b_hmu, T.dot(h, self.W_hsigma) + self.b_hsigma

    def decode(self, z):
        h = T.nnet.softplus(T.dot(z, self.W_zh) + self.b_zh)
        return T.nnet.sigmoid(T.dot(h, self.W_hx) + self.b_hx)

    def adam(self, gradients, learning_rate, b1=0.1, b2=0.001, e=1e-8):
        step = theano.shared(np.asarray(0, dtype=floatX))
        updates = [(step, step + 1)]
        scale = learning_rate * T.sqrt(1.0 - (1.0 - b2) ** (step + 1)) / (1.0 - (1.0 - b1) ** (step + 1))
        for p, g in zip(self.params, gradients):
            m, v = theano.shared(p.get_value() * 0), theano.shared(p.get_value() * 0)
            m_t, v_t = b1 * g + (1 - b1) * m, b2 * T.sqr(g) + (1 - b2) * v
            updates += [(m, m_t), (v, v_t), (p, p - scale * m_t / (T.sqrt(v_t) + e))]
        return [(old, T.cast(new, old.dtype)) for old, new in updates]


def train(epochs=20, batch_size=20):
    x = make_data()
    model = VAE(x.shape[1], 20, 3, batch_size)
    model.data.set_value(x)
    bounds = []
    for _ in range(epochs):
        bounds.append(np.mean([model.update(i) for i in range(len(x) // batch_size)]))
    mu, _ = model.encode_fn(x)
    return bounds, x, model.decode_fn(mu)


if __name__ == "__main__":
    print(train()[0])
