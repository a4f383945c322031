"""A residual network with shortcuts of both kinds, in the style of recipes of 2016."""

import lasagne
import numpy as np
import theano
import theano.tensor as T
from lasagne.layers import Conv2DLayer as ConvLayer
from lasagne.layers import (
    DenseLayer,
    ElemwiseSumLayer,
    ExpressionLayer,
    GlobalPoolLayer,
    InputLayer,
    NonlinearityLayer,
    PadLayer,
    batch_norm,
)
from lasagne.nonlinearities import rectify, softmax


def build(input_var=None, n=1):
    def residual_block(l, increase_dim=False, projection=False):
        input_num_filters = l.output_shape[1]
        if increase_dim:
            first_stride, out_num_filters = (2, 2), input_num_filters * 2
        else:
            first_stride, out_num_filters = (1, 1), input_num_filters
        W = lasagne.init.HeNormal(gain="relu")
        stack_1 = batch_norm(
            ConvLayer(
                l, out_num_filters, (3, 3), stride=first_stride, nonlinearity=rectify, pad="same", W=W,
                flip_filters=False,
            )
        )  # fmt: skip
        stack_2 = batch_norm(
            ConvLayer(
                stack_1, out_num_filters, (3, 3), stride=(1, 1), nonlinearity=None, pad="same", W=W, flip_filters=False
            )
        )
        if not increase_dim:
            return NonlinearityLayer(ElemwiseSumLayer([stack_2, l]), nonlinearity=rectify)
        if projection:
            shortcut = batch_norm(
                ConvLayer(l, out_num_filters, (1, 1), stride=(2, 2), nonlinearity=None, pad="same", b=None)
            )
        else:
            identity = ExpressionLayer(l, lambda X: X[:, :, ::2, ::2], lambda s: (s[0], s[1], s[2] // 2, s[3] // 2))
            shortcut = PadLayer(identity, [out_num_filters // 4, 0, 0], batch_ndim=1)
        return NonlinearityLayer(ElemwiseSumLayer([stack_2, shortcut]), nonlinearity=rectify)

    l = InputLayer(shape=(None, 1, 12, 12), input_var=input_var)
    l = batch_norm(ConvLayer(l, 4, (3, 3), nonlinearity=rectify, pad="same", flip_filters=False))
    for _ in range(n):
        l = residual_block(l)
    l = residual_block(l, increase_dim=True)
    l = residual_block(l, increase_dim=True, projection=True)
    return DenseLayer(GlobalPoolLayer(l), 3, W=lasagne.init.HeNormal(), nonlinearity=softmax)


def main(pictures, labels, epochs=8):
    lasagne.random.set_rng(np.random.RandomState(4))
    X = np.asarray(pictures, dtype=theano.config.floatX).reshape(-1, 1, 12, 12)
    Y = np.asarray(labels, dtype="int32")
    input_var, target_var = T.tensor4("inputs"), T.ivector("targets")
    network = build(input_var)
    prediction = lasagne.layers.get_output(network)
    loss = lasagne.objectives.categorical_crossentropy(prediction, target_var).mean()
    all_layers = lasagne.layers.get_all_layers(network)
    l2_penalty = lasagne.regularization.regularize_layer_params(all_layers, lasagne.regularization.l2) * 0.0001
    params = lasagne.layers.get_all_params(network, trainable=True)
    sh_lr = theano.shared(lasagne.utils.floatX(0.05))
    updates = lasagne.updates.momentum(loss + l2_penalty, params, learning_rate=sh_lr, momentum=0.9)
    train_fn = theano.function([input_var, target_var], loss, updates=updates)
    test_prediction = lasagne.layers.get_output(network, deterministic=True)
    val_fn = theano.function([input_var], T.argmax(test_prediction, axis=1))
    losses = []
    for epoch in range(epochs):
        losses.append(np.mean([train_fn(X[i : i + 20], Y[i : i + 20]) for i in range(0, len(X), 20)]))
        if epoch + 1 == 6:
            sh_lr.set_value(lasagne.utils.floatX(sh_lr.get_value() * 0.1))
    return losses, np.mean(val_fn(X) == Y)
