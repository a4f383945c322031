"""Two networks that compete, in the style of 2015: transposed convolutions, batch normalisation, two updates."""

import lasagne
import numpy as np
import theano
import theano.tensor as T
from lasagne.layers import Conv2DLayer, DenseLayer, InputLayer, ReshapeLayer, TransposedConv2DLayer, batch_norm
from lasagne.nonlinearities import LeakyRectify, sigmoid


def build_generator(input_var=None):
    layer = InputLayer(shape=(None, 8), input_var=input_var)
    layer = batch_norm(DenseLayer(layer, 6 * 3 * 3))
    layer = ReshapeLayer(layer, ([0], 6, 3, 3))
    layer = batch_norm(TransposedConv2DLayer(layer, 4, 4, stride=2, crop=1))
    return TransposedConv2DLayer(layer, 1, 4, stride=2, crop=1, nonlinearity=sigmoid)


def build_critic(input_var=None):
    lrelu = LeakyRectify(0.2)
    layer = InputLayer(shape=(None, 1, 12, 12), input_var=input_var)
    layer = batch_norm(Conv2DLayer(layer, 6, 4, stride=2, pad=1, nonlinearity=lrelu))
    layer = batch_norm(DenseLayer(layer, 16, nonlinearity=lrelu))
    return DenseLayer(layer, 1, nonlinearity=sigmoid)


def main(pictures, steps=30, initial_eta=2e-3):
    lasagne.random.set_rng(np.random.RandomState(2))
    noise_var, input_var = T.matrix("noise"), T.tensor4("inputs")
    generator, critic = build_generator(noise_var), build_critic(input_var)
    real_out = lasagne.layers.get_output(critic)
    fake_out = lasagne.layers.get_output(critic, lasagne.layers.get_output(generator))
    generator_loss = lasagne.objectives.binary_crossentropy(fake_out, 1).mean()
    critic_loss = (
        lasagne.objectives.binary_crossentropy(real_out, 1) + lasagne.objectives.binary_crossentropy(fake_out, 0)
    ).mean()
    generator_params = lasagne.layers.get_all_params(generator, trainable=True)
    critic_params = lasagne.layers.get_all_params(critic, trainable=True)
    eta = theano.shared(lasagne.utils.floatX(initial_eta))
    updates = lasagne.updates.adam(generator_loss, generator_params, learning_rate=eta, beta1=0.5)
    updates.update(lasagne.updates.adam(critic_loss, critic_params, learning_rate=eta, beta1=0.5))
    train_fn = theano.function([noise_var, input_var], [(real_out > 0.5).mean(), critic_loss], updates=updates)
    gen_fn = theano.function([noise_var], lasagne.layers.get_output(generator, deterministic=True))
    rng = np.random.RandomState(3)
    X = np.asarray(pictures, dtype=theano.config.floatX).reshape(-1, 1, 12, 12)
    found = []
    for step in range(steps):
        batch = X[rng.randint(0, len(X), size=20)]
        found.append(train_fn(lasagne.utils.floatX(rng.rand(20, 8)), batch))
        eta.set_value(lasagne.utils.floatX(initial_eta * min(1, 2 * (1 - step / float(steps)))))
    return np.array(found), gen_fn(lasagne.utils.floatX(rng.rand(4, 8)))
