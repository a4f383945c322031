"""A restricted Boltzmann machine by persistent contrastive divergence, in the style of 2010."""

import numpy
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams


class RBM(object):
    def __init__(self, input, n_visible=12, n_hidden=8, numpy_rng=None):
        numpy_rng = numpy_rng or numpy.random.RandomState(1234)
        self.n_visible, self.n_hidden = n_visible, n_hidden
        self.theano_rng = RandomStreams(numpy_rng.randint(2**30))
        bound = 4 * numpy.sqrt(6.0 / (n_hidden + n_visible))
        values = numpy.asarray(numpy_rng.uniform(-bound, bound, (n_visible, n_hidden)), dtype=theano.config.floatX)
        self.W = theano.shared(value=values, name="W", borrow=True)
        self.hbias = theano.shared(numpy.zeros(n_hidden, dtype=theano.config.floatX), name="hbias", borrow=True)
        self.vbias = theano.shared(numpy.zeros(n_visible, dtype=theano.config.floatX), name="vbias", borrow=True)
        self.input = input
        self.params = [self.W, self.hbias, self.vbias]

    def free_energy(self, v_sample):
        wx_b = T.dot(v_sample, self.W) + self.hbias
        vbias_term = T.dot(v_sample, self.vbias)
        hidden_term = T.sum(T.log(1 + T.exp(wx_b)), axis=1)
        return -hidden_term - vbias_term

    def sample_h_given_v(self, v0_sample):
        pre = T.dot(v0_sample, self.W) + self.hbias
        mean = T.nnet.sigmoid(pre)
        return [pre, mean, self.theano_rng.binomial(size=mean.shape, n=1, p=mean, dtype=theano.config.floatX)]

    def sample_v_given_h(self, h0_sample):
        pre = T.dot(h0_sample, self.W.T) + self.vbias
        mean = T.nnet.sigmoid(pre)
        return [pre, mean, self.theano_rng.binomial(size=mean.shape, n=1, p=mean, dtype=theano.config.floatX)]

    def gibbs_hvh(self, h0_sample):
        return self.sample_v_given_h(h0_sample) + self.sample_h_given_v(self.sample_v_given_h(h0_sample)[2])

    def get_cost_updates(self, lr=0.1, persistent=None, k=1):
        chain_start = self.sample_h_given_v(self.input)[2] if persistent is None else persistent
        (
            [pre_sigmoid_nvs, nv_means, nv_samples, pre_sigmoid_nhs, nh_means, nh_samples],
            updates,
        ) = theano.scan(self.gibbs_hvh, outputs_info=[None, None, None, None, None, chain_start], n_steps=k)
        chain_end = nv_samples[-1]
        cost = T.mean(self.free_energy(self.input)) - T.mean(self.free_energy(chain_end))
        gparams = T.grad(cost, self.params, consider_constant=[chain_end])
        for gparam, param in zip(gparams, self.params):
            updates[param] = param - gparam * T.cast(lr, dtype=theano.config.floatX)
        updates[persistent] = nh_samples[-1]
        return self.get_pseudo_likelihood_cost(updates), updates

    def get_pseudo_likelihood_cost(self, updates):
        bit_i_idx = theano.shared(value=0, name="bit_i_idx")
        xi = T.round(self.input)
        fe_xi = self.free_energy(xi)
        xi_flip = T.set_subtensor(xi[:, bit_i_idx], 1 - xi[:, bit_i_idx])
        fe_xi_flip = self.free_energy(xi_flip)
        cost = T.mean(self.n_visible * T.log(T.nnet.sigmoid(fe_xi_flip - fe_xi)))
        updates[bit_i_idx] = (bit_i_idx + 1) % self.n_visible
        return cost


def train(epochs=30, k=3):
    rng = numpy.random.RandomState(0)
    patterns = rng.randint(0, 2, size=(3, 12))
    data = theano.shared(numpy.asarray(patterns[rng.randint(0, 3, size=60)], dtype=theano.config.floatX), borrow=True)
    index, x = T.lscalar("index"), T.matrix("x")
    persistent_chain = theano.shared(numpy.zeros((20, 8), dtype=theano.config.floatX), borrow=True)
    rbm = RBM(input=x, numpy_rng=rng)
    cost, updates = rbm.get_cost_updates(lr=0.1, persistent=persistent_chain, k=k)
    train_rbm = theano.function([index], cost, updates=updates, givens={x: data[index * 20 : (index + 1) * 20]})
    history = [numpy.mean([train_rbm(i) for i in range(3)]) for _ in range(epochs)]
    return history, persistent_chain.get_value(), patterns


if __name__ == "__main__":
    print(train()[0])
