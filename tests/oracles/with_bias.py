"""Oracles of softmaxes with a bias, of the softmax in two levels, causal convolution and shapes of convolutions."""

from __future__ import annotations

import numpy as np
from scipy import special

import symc.tensor as T

from . import Table, draw, example, whole

nnet = T.nnet
SCORES, BIAS, LABELS = draw(4, 5, low=-6, high=6), draw(5), whole(4, high=5)


def softmax(x):
    return special.softmax(x, -1)


def losses(x, y):
    return -special.log_softmax(x, 1)[np.arange(len(y)), y]


def with_largest(x, y):
    return [losses(x, y), softmax(x), softmax(x).max(1), x.argmax(1)]


def in_two_levels(x, w1, b1, w2, b2):
    """Every output of a softmax in two levels: 3 classes of 4 outputs, the last of which is not used."""
    group = softmax(x @ w1 + b1)
    rows = [np.concatenate([group[n, c] * softmax(x[n] @ w2[c] + b2[c]) for c in range(3)]) for n in range(len(x))]
    return np.array(rows)[:, :11]


TWO_LEVELS = [draw(5, 6), draw(6, 3, seed=1), draw(3, seed=2), draw(3, 6, 4, seed=3), draw(3, 4, seed=4)]
CHOSEN = [0, 10, 4, 7, 3]


def causal(x, w, stride=1, dilation=1):
    """Each output is a sum over the present and earlier inputs; the filters are flipped."""
    n, c, length = x.shape
    out = np.zeros((n, len(w), length))
    for t in range(length):
        for k in range(w.shape[2]):
            if t - k * dilation >= 0:
                out[:, :, t] += x[:, :, t - k * dilation] @ w[:, :, k].T
    return out[:, :, ::stride]


def length(i, k, pad, stride=1, dilation=1):
    return len(range(0, i + pad - dilation * (k - 1), stride))


TABLE: Table = {
    "nnet.softmax_with_bias": [example(nnet.softmax_with_bias, lambda x, b: softmax(x + b), SCORES, BIAS)],
    "nnet.crossentropy_softmax_1hot_with_bias": [
        example(
            nnet.crossentropy_softmax_1hot_with_bias,
            lambda x, b, y: [losses(x + b, y), softmax(x + b)],
            SCORES,
            BIAS,
            LABELS,
        )
    ],
    "nnet.crossentropy_softmax_argmax_1hot_with_bias": [
        example(
            nnet.crossentropy_softmax_argmax_1hot_with_bias,
            lambda x, b, y: [losses(x + b, y), softmax(x + b), (x + b).argmax(1)],
            SCORES,
            BIAS,
            LABELS,
        )
    ],
    "nnet.crossentropy_softmax_max_and_argmax_1hot": [
        example(nnet.crossentropy_softmax_max_and_argmax_1hot, with_largest, SCORES, LABELS)
    ],
    "nnet.crossentropy_softmax_max_and_argmax_1hot_with_bias": [
        example(
            nnet.crossentropy_softmax_max_and_argmax_1hot_with_bias,
            lambda x, b, y: with_largest(x + b, y),
            SCORES,
            BIAS,
            LABELS,
        )
    ],
    "nnet.h_softmax": [
        example(lambda x, *w: nnet.h_softmax(x, 5, 11, 3, 4, *w), in_two_levels, *TWO_LEVELS),
        example(
            lambda *w: nnet.h_softmax(w[0], 5, 11, 3, 4, *w[1:5], w[5]),
            lambda *w: in_two_levels(*w[:5])[np.arange(5), w[5]],
            *TWO_LEVELS,
            CHOSEN,
        ),
    ],
    "nnet.causal_conv1d": [
        example(lambda x, w: nnet.causal_conv1d(x, w, (4, 3, 2)), causal, draw(2, 3, 7), draw(4, 3, 2, seed=1)),
        example(
            lambda x, w: nnet.causal_conv1d(x, w, (2, 1, 3), (2, 1, 9), subsample=2, filter_dilation=3),
            lambda x, w: causal(x, w, 2, 3),
            draw(2, 1, 9),
            draw(2, 1, 3, seed=1),
        ),
    ],
    "nnet.get_conv_shape_1axis": [
        example(
            lambda x: [
                nnet.get_conv_shape_1axis(x.shape[0], 3, "full", 2, 2),
                nnet.get_conv_shape_1axis(11, 5, (1, 2), 3),
                nnet.get_conv_shape_1axis(10, 4, "half", 1, 2),
            ],
            lambda x: [np.int64(v) for v in (length(7, 3, 8, 2, 2), length(11, 5, 3, 3), length(10, 4, 6, 1, 2))],
            draw(7),
        )
    ],
    "nnet.get_conv_output_shape": [
        example(
            lambda x: nnet.get_conv_output_shape(tuple(x.shape), (6, 3, 2, 3), ("half", (1, 0)), (2, 1), (1, 2))[1:],
            lambda x: [np.int64(v) for v in (6, length(8, 2, 2, 2), length(9, 3, 1, 1, 2))],
            draw(5, 3, 8, 9),
        )
    ],
    "nnet.get_conv_gradweights_shape": [
        example(
            lambda x: nnet.get_conv_gradweights_shape((5, 4, 8, 9), (5, 6, 7, 5), (0, "full"), (1, 1), (1, 1), 2)[:3],
            lambda x: [np.int64(v) for v in (6, 2, 2)],
            draw(1),
        )
    ],
    "nnet.get_conv_gradinputs_shape": [
        example(
            lambda x: nnet.get_conv_gradinputs_shape((6, 2, 2, 3), (5, 6, 7, 5), ("valid", "half"), (1, 1), (1, 2), 2),
            lambda x: [np.int64(v) for v in (5, 4, 8, 5)],
            draw(1),
        )
    ],
}
