"""Dims that an expression requires to be equal become one symbol, wherever they stand."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import ShapeError


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


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "fast_run"])
def test_alloc_repeats_only_what_was_known_to_have_length_1(mode):
    """The length of a shared variable at the moment of compiling changes nothing."""
    for value in (symc.shared(np.ones(1)), T.vector("v", dtype="float64")):
        n = T.iscalar("n")
        inputs = [n] if isinstance(value, symc.SharedVariable) else [value, n]
        f = symc.function(inputs, T.alloc(value, 2, n), mode=mode)
        one = [] if len(inputs) == 1 else [np.ones(1)]
        assert f(*one, 1).shape == (2, 1)
        with pytest.raises(ShapeError, match="alloc"):
            f(*one, 3)
    row = T.TensorType("float64", (True,))("row")
    f = symc.function([row, n], T.alloc(row, 2, n), mode=mode)
    assert f(np.ones(1), 3).shape == (2, 3)
