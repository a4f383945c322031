"""Networks of interchangeable layers with dropout, in the style of a book of 2014."""

import numpy as np
import theano
import theano.tensor as T
from theano.tensor import shared_randomstreams
from theano.tensor.nnet import conv, sigmoid, softmax
from theano.tensor.signal import downsample


def linear(z):
    return z


def ReLU(z):
    return T.maximum(0.0, z)


class Network(object):
    def __init__(self, layers, mini_batch_size):
        self.layers, self.mini_batch_size = layers, mini_batch_size
        self.params = [param for layer in self.layers for param in layer.params]
        self.x, self.y = T.matrix("x"), T.ivector("y")
        init_layer = self.layers[0]
        init_layer.set_inpt(self.x, self.x, self.mini_batch_size)
        for j in range(1, len(self.layers)):
            prev_layer, layer = self.layers[j - 1], self.layers[j]
            layer.set_inpt(prev_layer.output, prev_layer.output_dropout, self.mini_batch_size)
        self.output, self.output_dropout = self.layers[-1].output, self.layers[-1].output_dropout

    def SGD(self, training_x, training_y, epochs, eta, lmbda=0.0):
        n = training_x.get_value(borrow=True).shape[0]
        num_training_batches = int(n / self.mini_batch_size)
        l2_norm_squared = sum([(layer.w**2).sum() for layer in self.layers])
        cost = self.layers[-1].cost(self) + 0.5 * lmbda * l2_norm_squared / num_training_batches
        grads = T.grad(cost, self.params)
        updates = [(param, param - eta * grad) for param, grad in zip(self.params, grads)]
        i = T.lscalar()
        batch = {
            self.x: training_x[i * self.mini_batch_size : (i + 1) * self.mini_batch_size],
            self.y: training_y[i * self.mini_batch_size : (i + 1) * self.mini_batch_size],
        }
        train_mb = theano.function([i], cost, updates=updates, givens=batch)
        accuracy = theano.function([i], self.layers[-1].accuracy(self.y), givens=batch)
        costs = []
        for _ in range(epochs):
            costs.append(np.mean([train_mb(j) for j in range(num_training_batches)]))
        return costs, np.mean([accuracy(j) for j in range(num_training_batches)])


class ConvPoolLayer(object):
    def __init__(self, filter_shape, image_shape, poolsize=(2, 2), activation_fn=sigmoid):
        self.filter_shape, self.image_shape, self.poolsize = filter_shape, image_shape, poolsize
        self.activation_fn = activation_fn
        n_out = filter_shape[0] * np.prod(filter_shape[2:]) / np.prod(poolsize)
        rng = np.random.RandomState(3)
        self.w = theano.shared(
            np.asarray(rng.normal(loc=0, scale=np.sqrt(1.0 / n_out), size=filter_shape), dtype=theano.config.floatX),
            borrow=True,
        )
        self.b = theano.shared(
            np.asarray(rng.normal(loc=0, scale=1.0, size=(filter_shape[0],)), dtype=theano.config.floatX), borrow=True
        )
        self.params = [self.w, self.b]

    def set_inpt(self, inpt, inpt_dropout, mini_batch_size):
        self.inpt = inpt.reshape(self.image_shape)
        conv_out = conv.conv2d(
            input=self.inpt, filters=self.w, filter_shape=self.filter_shape, image_shape=self.image_shape
        )
        pooled_out = downsample.max_pool_2d(input=conv_out, ds=self.poolsize, ignore_border=True)
        self.output = self.activation_fn(pooled_out + self.b.dimshuffle("x", 0, "x", "x"))
        self.output_dropout = self.output


class FullyConnectedLayer(object):
    def __init__(self, n_in, n_out, activation_fn=sigmoid, p_dropout=0.0):
        self.n_in, self.n_out, self.activation_fn, self.p_dropout = n_in, n_out, activation_fn, p_dropout
        rng = np.random.RandomState(4)
        self.w = theano.shared(
            np.asarray(rng.normal(loc=0.0, scale=np.sqrt(1.0 / n_out), size=(n_in, n_out)), theano.config.floatX),
            name="w",
            borrow=True,
        )
        self.b = theano.shared(np.zeros((n_out,), dtype=theano.config.floatX), name="b", borrow=True)
        self.params = [self.w, self.b]

    def set_inpt(self, inpt, inpt_dropout, mini_batch_size):
        self.inpt = inpt.reshape((mini_batch_size, self.n_in))
        self.output = self.activation_fn((1 - self.p_dropout) * T.dot(self.inpt, self.w) + self.b)
        self.y_out = T.argmax(self.output, axis=1)
        self.inpt_dropout = dropout_layer(inpt_dropout.reshape((mini_batch_size, self.n_in)), self.p_dropout)
        self.output_dropout = self.activation_fn(T.dot(self.inpt_dropout, self.w) + self.b)

    def accuracy(self, y):
        return T.mean(T.eq(y, self.y_out))


class SoftmaxLayer(FullyConnectedLayer):
    def __init__(self, n_in, n_out, p_dropout=0.0):
        super(SoftmaxLayer, self).__init__(n_in, n_out, softmax, p_dropout)
        self.w.set_value(np.zeros((n_in, n_out), dtype=theano.config.floatX))

    def cost(self, net):
        return -T.mean(T.log(self.output_dropout)[T.arange(net.y.shape[0]), net.y])


def dropout_layer(layer, p_dropout):
    srng = shared_randomstreams.RandomStreams(np.random.RandomState(0).randint(999999))
    mask = srng.binomial(n=1, p=1 - p_dropout, size=layer.shape)
    return layer * T.cast(mask, theano.config.floatX)


def train(pictures, labels, epochs=60):
    x = theano.shared(np.asarray(pictures, dtype=theano.config.floatX), borrow=True)
    y = T.cast(theano.shared(np.asarray(labels, dtype=theano.config.floatX), borrow=True), "int32")
    net = Network(
        [
            ConvPoolLayer(image_shape=(20, 1, 12, 12), filter_shape=(5, 1, 3, 3), poolsize=(2, 2), activation_fn=ReLU),
            FullyConnectedLayer(n_in=5 * 5 * 5, n_out=20, activation_fn=ReLU, p_dropout=0.2),
            SoftmaxLayer(n_in=20, n_out=3, p_dropout=0.2),
        ],
        20,
    )
    return net.SGD(x, y, epochs, 0.1, lmbda=0.01)
