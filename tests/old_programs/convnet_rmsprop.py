"""A convolutional network from functions, with dropout and RMSprop, in the style of tutorials of 2014."""

import numpy as np
import theano
from theano import tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams as RandomStreams
from theano.tensor.nnet.conv import conv2d
from theano.tensor.signal.downsample import max_pool_2d

srng = RandomStreams()


def floatX(X):
    return np.asarray(X, dtype=theano.config.floatX)


def init_weights(shape, rng=np.random.RandomState(2)):
    return theano.shared(floatX(rng.randn(*shape) * 0.2))


def rectify(X):
    return T.maximum(X, 0.0)


def softmax(X):
    e_x = T.exp(X - X.max(axis=1).dimshuffle(0, "x"))
    return e_x / e_x.sum(axis=1).dimshuffle(0, "x")


def dropout(X, p=0.0):
    if p > 0:
        retain_prob = 1 - p
        X *= srng.binomial(X.shape, p=retain_prob, dtype=theano.config.floatX)
        X /= retain_prob
    return X


def RMSprop(cost, params, lr=0.01, rho=0.9, epsilon=1e-6):
    grads = T.grad(cost=cost, wrt=params)
    updates = []
    for p, g in zip(params, grads):
        acc = theano.shared(p.get_value() * 0.0)
        acc_new = rho * acc + (1 - rho) * g**2
        gradient_scaling = T.sqrt(acc_new + epsilon)
        g = g / gradient_scaling
        updates.append((acc, acc_new))
        updates.append([p, p - lr * g])
    return updates


def model(X, w, w2, w_h, w_o, p_drop_conv, p_drop_hidden):
    l1a = rectify(conv2d(X, w, border_mode="full"))
    l1 = dropout(max_pool_2d(l1a, (2, 2)), p_drop_conv)
    l2a = rectify(conv2d(l1, w2))
    l2b = max_pool_2d(l2a, (2, 2))
    l2 = dropout(T.flatten(l2b, outdim=2), p_drop_conv)
    l3 = dropout(rectify(T.dot(l2, w_h)), p_drop_hidden)
    return softmax(T.dot(l3, w_o))


def train(pictures, labels, epochs=12):
    X, Y = T.ftensor4(), T.fmatrix()
    w, w2 = init_weights((4, 1, 3, 3)), init_weights((6, 4, 3, 3))
    w_h, w_o = init_weights((6 * 3 * 3, 20)), init_weights((20, 3))
    noise_py_x = model(X, w, w2, w_h, w_o, 0.1, 0.2)
    py_x = model(X, w, w2, w_h, w_o, 0.0, 0.0)
    y_x = T.argmax(py_x, axis=1)
    cost = T.mean(T.nnet.categorical_crossentropy(noise_py_x, Y))
    updates = RMSprop(cost, [w, w2, w_h, w_o], lr=0.01)
    fit = theano.function(inputs=[X, Y], outputs=cost, updates=updates, allow_input_downcast=True)
    predict = theano.function(inputs=[X], outputs=y_x, allow_input_downcast=True)
    trX, trY = floatX(pictures).reshape(-1, 1, 12, 12), np.eye(3)[labels]
    costs = []
    for _ in range(epochs):
        batches = zip(range(0, len(trX), 20), range(20, len(trX) + 1, 20))
        costs.append(np.mean([fit(trX[start:end], trY[start:end]) for start, end in batches]))
    return costs, np.mean(np.argmax(trY, axis=1) == predict(trX))
