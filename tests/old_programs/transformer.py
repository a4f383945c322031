"""A spatial transformer in the style of 2015: a small network finds where in a cluttered picture to look."""

import lasagne
import numpy as np
import theano
import theano.tensor as T
from lasagne.layers import Conv2DLayer, DenseLayer, InputLayer, MaxPool2DLayer, TransformerLayer

SIZE = 16


def make_pictures(n, seed=0):
    """Bars, across or down, anywhere in a larger picture."""
    rng = np.random.RandomState(seed)
    x = 0.05 * rng.rand(n, 1, SIZE, SIZE)
    y = rng.randint(2, size=n)
    for picture, kind in zip(x[:, 0], y):
        r, c = rng.randint(2, SIZE - 8, size=2)
        if kind:
            picture[r : r + 6, c + 2 : c + 4] += 1
        else:
            picture[r + 2 : r + 4, c : c + 6] += 1
    return np.asarray(x, dtype=theano.config.floatX), np.asarray(y, dtype="int32")


def build():
    ini = lasagne.init.HeUniform()
    l_in = InputLayer(shape=(None, 1, SIZE, SIZE))
    b = np.zeros((2, 3), dtype="float32")
    b[0, 0] = b[1, 1] = 1
    l_loc = MaxPool2DLayer(l_in, pool_size=(2, 2))
    l_loc = Conv2DLayer(l_loc, num_filters=4, filter_size=(3, 3), W=ini)
    l_loc = DenseLayer(l_loc, num_units=10, W=lasagne.init.HeUniform("relu"))
    l_trans = DenseLayer(
        l_loc, num_units=6, b=b.flatten(), W=lasagne.init.Constant(0.0), nonlinearity=lasagne.nonlinearities.identity
    )
    l_trans = TransformerLayer(l_in, l_trans, downsample_factor=2)
    l_class = Conv2DLayer(l_trans, num_filters=6, filter_size=(3, 3), W=ini)
    l_class = MaxPool2DLayer(l_class, pool_size=(2, 2))
    l_out = DenseLayer(l_class, num_units=2, nonlinearity=lasagne.nonlinearities.softmax, W=ini)
    return l_out, l_trans


def train(epochs=15, batch=20):
    lasagne.random.set_rng(np.random.RandomState(6))
    X_tr, y_tr = make_pictures(200)
    model, l_transform = build()
    X, y = T.tensor4(), T.ivector()
    output_train = lasagne.layers.get_output(model, X, deterministic=False)
    output_eval, transform_eval = lasagne.layers.get_output([model, l_transform], X, deterministic=True)
    sh_lr = theano.shared(lasagne.utils.floatX(0.01))
    cost = T.mean(T.nnet.categorical_crossentropy(output_train, y))
    updates = lasagne.updates.adam(cost, lasagne.layers.get_all_params(model, trainable=True), learning_rate=sh_lr)
    train_fn = theano.function([X, y], [cost, output_train], updates=updates)
    eval_fn = theano.function([X], [output_eval, transform_eval])
    costs = []
    for _ in range(epochs):
        shuffle = np.random.RandomState(7).permutation(len(X_tr))
        for i in range(len(X_tr) // batch):
            idx = shuffle[i * batch : (i + 1) * batch]
            costs.append(float(train_fn(X_tr[idx], y_tr[idx])[0]))
        sh_lr.set_value(lasagne.utils.floatX(sh_lr.get_value() * 0.97))
    X_test, y_test = make_pictures(100, seed=1)
    out, looked_at = eval_fn(X_test)
    return costs, float((np.argmax(out, 1) == y_test).mean()), looked_at


if __name__ == "__main__":
    print(train()[:2])
