"""Dims that an expression requires to be equal become one symbol, wherever they stand."""

import numpy as np

import symc
import symc.tensor as T


def test_broadcast_along_a_known_axis_keeps_no_symbol(rng):
    """The labels' batch and the scores' batch are one, though the labels are repeated along an axis of known length."""
    # The symbol whose name sorts later gives way, which must be the labels' here.
    scores, labels = T.tensor("float32", shape=(None, 3), name="a"), T.ivector("b")
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(scores), labels).mean()
    f = symc.function([scores, labels], [loss, T.grad(loss, scores)])
    x, y = rng.standard_normal((5, 3)).astype("float32"), rng.integers(0, 3, 5).astype("int32")
    q = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    found, g = f(x, y)
    np.testing.assert_allclose(found, -np.log(q[np.arange(5), y]).mean(), rtol=1e-5)
    np.testing.assert_allclose(g, (q - np.eye(3)[y]) / 5, rtol=1e-4, atol=1e-6)
