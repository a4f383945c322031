"""Lasagne's way of training, in the style of its examples of 2015: custom loops, dropout, saved parameters."""

import lasagne
import numpy as np
import theano
import theano.tensor as T

try:
    from lasagne.layers.dnn import Conv2DDNNLayer as ConvLayer
    from lasagne.layers.dnn import MaxPool2DDNNLayer as PoolLayer
except ImportError:
    from lasagne.layers import Conv2DLayer as ConvLayer
    from lasagne.layers import MaxPool2DLayer as PoolLayer


def build_cnn(input_var=None):
    network = lasagne.layers.InputLayer(shape=(500, 1, 12, 12), input_var=input_var)  # the batches are smaller
    network = ConvLayer(
        network,
        num_filters=6,
        filter_size=(3, 3),
        nonlinearity=lasagne.nonlinearities.rectify,
        W=lasagne.init.GlorotUniform(),
    )
    network = PoolLayer(network, pool_size=(2, 2))
    network = lasagne.layers.DenseLayer(
        lasagne.layers.dropout(network, p=0.2), num_units=24, nonlinearity=lasagne.nonlinearities.rectify
    )
    return lasagne.layers.DenseLayer(
        lasagne.layers.dropout(network, p=0.2), num_units=3, nonlinearity=lasagne.nonlinearities.softmax
    )


def iterate_minibatches(inputs, targets, batchsize, shuffle=False):
    assert len(inputs) == len(targets)
    indices = np.arange(len(inputs))
    if shuffle:
        np.random.RandomState(5).shuffle(indices)
    for start_idx in range(0, len(inputs) - batchsize + 1, batchsize):
        excerpt = indices[start_idx : start_idx + batchsize]
        yield inputs[excerpt], targets[excerpt]


def main(pictures, labels, path, num_epochs=12):
    lasagne.random.set_rng(np.random.RandomState(1))
    X = np.asarray(pictures, dtype=theano.config.floatX).reshape(-1, 1, 12, 12)
    Y = np.asarray(labels, dtype=np.int32)
    input_var, target_var = T.tensor4("inputs"), T.ivector("targets")
    network = build_cnn(input_var)
    prediction = lasagne.layers.get_output(network)
    loss = lasagne.objectives.categorical_crossentropy(prediction, target_var).mean()
    loss = loss + 1e-4 * lasagne.regularization.regularize_network_params(network, lasagne.regularization.l2)
    params = lasagne.layers.get_all_params(network, trainable=True)
    updates = lasagne.updates.nesterov_momentum(loss, params, learning_rate=0.05, momentum=0.9)
    test_prediction = lasagne.layers.get_output(network, deterministic=True)
    test_acc = T.mean(T.eq(T.argmax(test_prediction, axis=1), target_var), dtype=theano.config.floatX)
    train_fn = theano.function([input_var, target_var], loss, updates=updates)
    val_fn = theano.function([input_var, target_var], test_acc)
    losses = []
    for _ in range(num_epochs):
        losses.append(np.mean([train_fn(*batch) for batch in iterate_minibatches(X, Y, 20, shuffle=True)]))
    accuracy = val_fn(X, Y)
    np.savez(path, *lasagne.layers.get_all_param_values(network))
    with np.load(path) as f:
        param_values = [f["arr_%d" % i] for i in range(len(f.files))]
    other = build_cnn(input_var)
    lasagne.layers.set_all_param_values(other, param_values)
    again = theano.function([input_var], lasagne.layers.get_output(other, deterministic=True))(X)
    return losses, accuracy, np.mean(np.argmax(again, axis=1) == Y)
