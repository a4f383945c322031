"""Style transfer in the style of 2015: Gram matrices of a network's features, the picture optimised by L-BFGS."""

import lasagne
import numpy as np
import scipy.optimize
import theano
import theano.tensor as T
from lasagne.layers import Conv2DLayer, InputLayer, Pool2DLayer
from lasagne.utils import floatX


def build_model(size):
    lasagne.random.set_rng(np.random.RandomState(4))
    net = {}
    net["input"] = InputLayer((1, 3, size, size))
    net["conv1_1"] = Conv2DLayer(net["input"], 8, 3, pad=1, flip_filters=False)
    net["conv1_2"] = Conv2DLayer(net["conv1_1"], 8, 3, pad=1, flip_filters=False)
    net["pool1"] = Pool2DLayer(net["conv1_2"], 2, mode="average_exc_pad")
    net["conv2_1"] = Conv2DLayer(net["pool1"], 12, 3, pad=1, flip_filters=False)
    return net


def gram_matrix(x):
    x = x.flatten(ndim=3)
    return T.tensordot(x, x, axes=([2], [2]))


def content_loss(P, X, layer):
    return 1.0 / 2 * ((X[layer] - P[layer]) ** 2).sum()


def style_loss(A, X, layer):
    a, x = A[layer], X[layer]
    N = a.shape[1]
    M = a.shape[2] * a.shape[3]
    return 1.0 / (4 * N**2 * M**2) * ((gram_matrix(x) - gram_matrix(a)) ** 2).sum()


def total_variation_loss(x):
    down, right = x[:, :, :-1, :-1] - x[:, :, 1:, :-1], x[:, :, :-1, :-1] - x[:, :, :-1, 1:]
    return ((down**2 + right**2) ** 1.25).sum()


def transfer(size=12, maxfun=40):
    net = build_model(size)
    layers = dict((k, net[k]) for k in ["conv1_1", "conv1_2", "conv2_1"])
    rng = np.random.RandomState(5)
    photo = floatX(rng.rand(1, 3, size, size))
    art = floatX((np.indices((size, size)).sum(0) % 4 < 2)[None, None] * np.ones((1, 3, 1, 1)))
    input_im_theano = T.tensor4()
    outputs = lasagne.layers.get_output(list(layers.values()), input_im_theano)
    photo_features = dict(
        (k, theano.shared(output.eval({input_im_theano: photo}))) for k, output in zip(layers.keys(), outputs)
    )
    art_features = dict(
        (k, theano.shared(output.eval({input_im_theano: art}))) for k, output in zip(layers.keys(), outputs)
    )
    generated_image = theano.shared(floatX(rng.uniform(0, 1, (1, 3, size, size))))
    features = dict(zip(layers.keys(), lasagne.layers.get_output(list(layers.values()), generated_image)))
    losses = [0.01 * content_loss(photo_features, features, "conv2_1")]
    losses += [50.0 * style_loss(art_features, features, k) for k in layers]
    losses += [1e-4 * total_variation_loss(generated_image)]
    total_loss = sum(losses)
    f_loss = theano.function([], total_loss)
    f_grad = theano.function([], T.grad(total_loss, generated_image))

    def eval_loss(x0):
        generated_image.set_value(floatX(x0.reshape((1, 3, size, size))))
        return f_loss().astype("float64")

    def eval_grad(x0):
        generated_image.set_value(floatX(x0.reshape((1, 3, size, size))))
        return np.array(f_grad()).flatten().astype("float64")

    x0 = generated_image.get_value().astype("float64")
    first = eval_loss(x0)
    scipy.optimize.fmin_l_bfgs_b(eval_loss, x0.flatten(), fprime=eval_grad, maxfun=maxfun)
    last = f_loss()
    return float(first), float(last), generated_image.get_value()


if __name__ == "__main__":
    print(transfer()[:2])
