"""LeNet from the old convolution and pooling, in the style of 2012."""

import os
import sys

import numpy
import theano
import theano.tensor as T
from theano.tensor.nnet import conv
from theano.tensor.signal import downsample

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from logistic_sgd import LogisticRegression, shared_dataset  # noqa: E402
from mlp import HiddenLayer  # noqa: E402


class LeNetConvPoolLayer(object):
    def __init__(self, rng, input, filter_shape, image_shape, poolsize=(2, 2)):
        assert image_shape[1] == filter_shape[1]
        self.input = input
        fan_in = numpy.prod(filter_shape[1:])
        fan_out = filter_shape[0] * numpy.prod(filter_shape[2:]) / numpy.prod(poolsize)
        W_bound = numpy.sqrt(6.0 / (fan_in + fan_out))
        self.W = theano.shared(
            numpy.asarray(rng.uniform(low=-W_bound, high=W_bound, size=filter_shape), dtype=theano.config.floatX),
            borrow=True,
        )
        self.b = theano.shared(value=numpy.zeros((filter_shape[0],), dtype=theano.config.floatX), borrow=True)
        conv_out = conv.conv2d(input=input, filters=self.W, filter_shape=filter_shape, image_shape=image_shape)
        pooled_out = downsample.max_pool_2d(input=conv_out, ds=poolsize, ignore_border=True)
        self.output = T.tanh(pooled_out + self.b.dimshuffle("x", 0, "x", "x"))
        self.params = [self.W, self.b]


def bars(n, seed=0):
    """Pictures of 12 x 12 with a horizontal, a vertical or no bar."""
    rng = numpy.random.RandomState(seed)
    pictures, kinds = rng.uniform(0, 0.2, size=(n, 12, 12)), rng.randint(0, 3, size=n)
    for picture, kind, at in zip(pictures, kinds, rng.randint(1, 11, size=n)):
        if kind == 0:
            picture[at] = 1
        elif kind == 1:
            picture[:, at] = 1
    return pictures.reshape(n, 144), kinds


def evaluate_lenet5(learning_rate=0.3, n_epochs=40, nkerns=(4, 6), batch_size=20):
    rng = numpy.random.RandomState(23455)
    train_set_x, train_set_y = shared_dataset(bars(120))
    index, x, y = T.lscalar(), T.matrix("x"), T.ivector("y")
    layer0_input = x.reshape((batch_size, 1, 12, 12))
    layer0 = LeNetConvPoolLayer(
        rng, input=layer0_input, image_shape=(batch_size, 1, 12, 12), filter_shape=(nkerns[0], 1, 3, 3), poolsize=(2, 2)
    )
    layer1 = LeNetConvPoolLayer(
        rng,
        input=layer0.output,
        image_shape=(batch_size, nkerns[0], 5, 5),
        filter_shape=(nkerns[1], nkerns[0], 2, 2),
        poolsize=(2, 2),
    )
    layer2 = HiddenLayer(rng, input=layer1.output.flatten(2), n_in=nkerns[1] * 2 * 2, n_out=10, activation=T.tanh)
    layer3 = LogisticRegression(input=layer2.output, n_in=10, n_out=3)
    cost = layer3.negative_log_likelihood(y)
    params = layer3.params + layer2.params + layer1.params + layer0.params
    grads = T.grad(cost, params)
    updates = [(param_i, param_i - learning_rate * grad_i) for param_i, grad_i in zip(params, grads)]
    train_model = theano.function(
        [index],
        cost,
        updates=updates,
        givens={
            x: train_set_x[index * batch_size : (index + 1) * batch_size],
            y: train_set_y[index * batch_size : (index + 1) * batch_size],
        },
    )
    return [numpy.mean([train_model(i) for i in range(6)]) for _ in range(n_epochs)]


if __name__ == "__main__":
    print(evaluate_lenet5())
