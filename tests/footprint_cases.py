"""Functions whose memory is estimated and then measured: on the CPU (``test_footprint.py`` runs this file), on a GPU.

Run as a program, it prints for each name in its arguments the estimate and the memory that a first call really took.
"""

from __future__ import annotations

import gc
import json
import os
import sys

import numpy as np

import symc
import symc.tensor as T
from lasagne_like import layers, nonlinearities, objectives, updates

__all__ = ["CASES", "build"]


def training(net, x, y):
    """A step of Adam."""
    net = layers.DenseLayer(net, 10, nonlinearity=nonlinearities.softmax)
    loss = objectives.categorical_crossentropy(layers.get_output(net), y).mean()
    return symc.function([x, y], loss, updates=updates.adam(loss, layers.get_all_params(net, trainable=True)))


def mlp(n):
    x, y = T.matrix("x"), T.ivector("y")
    net = layers.DenseLayer(layers.InputLayer((None, 784), input_var=x), n // 4)
    return training(layers.DenseLayer(net, n // 4), x, y), [(n, 784), (n,)]


def lenet(n):
    x, y = T.tensor4("x"), T.ivector("y")
    net = layers.InputLayer((None, 1, 28, 28), input_var=x)
    for filters in (20, 50):
        net = layers.MaxPool2DLayer(layers.Conv2DLayer(net, filters, 5), 2)
    return training(layers.DenseLayer(net, 100), x, y), [(n, 1, 28, 28), (n,)]


def vgg(n):
    x, y = T.tensor4("x"), T.ivector("y")
    net = layers.InputLayer((None, 3, 16, 16), input_var=x)
    for filters in (32, 64):
        net = layers.batch_norm(layers.Conv2DLayer(net, filters, 3, pad="same"))
        net = layers.MaxPool2DLayer(layers.batch_norm(layers.Conv2DLayer(net, filters, 3, pad="same")), 2)
    return training(layers.DenseLayer(layers.DropoutLayer(net), 64), x, y), [(n, 3, 16, 16), (n,)]


def recurrent(n):
    """Threads run the loops of a recurrent network on rows of their own, each with scratch memory for its products."""
    x, h = T.tensor3("x"), T.matrix("h")
    u = symc.shared(np.full((200, 200), 0.001, "float32"))
    out, _ = symc.scan(lambda x, h: T.tanh(x + T.dot(h, u)), x, h)
    return symc.function([x, h], symc.grad((out**2).sum(), u)), [(6, n, 200), (n, 200)]


def chain(n):
    x = T.vector("x")
    return symc.function([x], [T.tanh(x) * 2 + 1, T.exp(-x * x).sum()]), [(n,)]


def softmax(n):
    x = T.matrix("x")
    return symc.function([x], T.nnet.softmax(x)), [(n // 100, 100)]


def long_softmax(n):
    x = T.matrix("x")
    return symc.function([x], T.nnet.softmax(x)), [(10, n // 10)]


def attention(n):
    """Blocks of rows: threads have memory for the scores of theirs, and share packed keys and values."""
    q, k, v = T.tensor3s("q", "k", "v")
    weights = T.nnet.softmax(T.batched_dot(q, k.dimshuffle(0, 2, 1)), axis=-1)
    return symc.function([q, k, v], T.batched_dot(weights, v)), [(3, n, 64), (3, n, 64), (3, n, 64)]


def gemm(n):
    x, y = T.matrices("x", "y")
    return symc.function([x, y], T.dot(x.T, y) + 1), [(n, n + 7), (n, n - 5)]


def deep_gemm(n):
    x, y = T.matrices("x", "y")
    return symc.function([x, y], T.dot(x, y)), [(n, 50 * n), (50 * n, n)]


def swapped(n):
    w = symc.shared(np.ones((n, n), "float32"), "w")
    return symc.function([], [], updates={w: T.dot(w, w) * 1e-3}), []


def convolution(slope, images, filters, pad):
    """Forward (0), or the gradient with respect to the images (1) or the filters (2)."""

    def build(n):
        x, w = T.tensor4("x"), T.tensor4("w")
        out = T.nnet.conv2d(x, w, border_mode=pad)
        results = out if slope == 0 else T.grad((out * out).sum(), (x, w)[slope - 1])
        return symc.function([x, w], results), [(n, *images), filters]

    return build


CASES = {
    "mlp": (mlp, 4000, 40),
    "lenet": (lenet, 512, 3),
    "vgg": (vgg, 256, 3),
    "recurrent": (recurrent, 1500, 16),
    "chain": (chain, 20_000_000, 30_000),
    "softmax": (softmax, 20_000_000, 3_000),
    "long softmax": (long_softmax, 20_000_000, 30_000),
    "attention": (attention, 5000, 20),
    "gemm": (gemm, 3000, 60),
    "deep gemm": (deep_gemm, 400, 20),
    "swapped": (swapped, 3000, 50),
    "convolution 3x3": (convolution(0, (64, 56, 56), (64, 64, 3, 3), 1), 32, 1),
    "convolution 3x3 images": (convolution(1, (64, 56, 56), (64, 64, 3, 3), 1), 32, 1),
    "convolution 3x3 filters": (convolution(2, (256, 14, 14), (256, 256, 3, 3), 1), 64, 1),
    "convolution 5x5": (convolution(0, (3, 64, 64), (40, 3, 5, 5), 2), 128, 1),
    "convolution 5x5 images": (convolution(1, (24, 40, 40), (24, 24, 5, 5), 0), 256, 1),
    "convolution 5x5 filters": (convolution(2, (24, 40, 40), (24, 24, 5, 5), 0), 256, 1),
    "convolution 1x1": (convolution(0, (128, 28, 28), (128, 128, 1, 1), 0), 64, 1),
}
"""Name: what builds function and shapes, its size for the CPU, its size for an emulated GPU."""


def build(name, emulated):
    """The function of a case and arguments for it."""
    make, large, small = CASES[name]
    f, shapes = make(small if emulated else large)
    return f, [np.ones(shape, v.dtype) for v, shape in zip(f.inputs, shapes)]


def status(key):
    """A line of what Linux says of this process, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))


def measure(name):
    """The estimate of a first call, and by how much the process grew during it."""
    f, arguments = build(name, False)
    estimate = symc.memory_estimate(f, arguments)
    gc.collect()
    before = status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the high-water mark starts anew
    f(*arguments)
    return {"peak": estimate.peak, "call": estimate.call, "measured": status("VmHWM") - before}


if __name__ == "__main__":
    for case in sys.argv[1:]:
        child = os.fork()  # a process for each: threads keep their scratch memory, which would hide the next one's
        if child == 0:
            print(json.dumps({"name": case, **measure(case)}), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
