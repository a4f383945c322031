import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.layers import EmbeddingLayer, InputLayer, get_output


def test_embedding(rng):
    table = rng.randn(7, 5).astype("float32")
    x = T.imatrix("x")
    layer = EmbeddingLayer(InputLayer((None, 3), x), input_size=7, output_size=5, W=table)
    indices = np.array([[0, 6, 2], [2, 2, 5]], "int32")
    assert np.array_equal(get_output(layer).eval({x: indices}), table[indices])


def test_embedding_gradient(rng):
    x = T.ivector("x")
    layer = EmbeddingLayer(InputLayer((None,), x), input_size=4, output_size=2)
    gradient = symc.grad(get_output(layer).sum(), layer.W)
    result = symc.function([x], gradient)(np.array([1, 3, 1], "int32"))
    assert np.array_equal(result, [[0, 0], [2, 2], [0, 0], [1, 1]])


def test_the_shape_needs_no_integer_variable():
    assert EmbeddingLayer(InputLayer((None, 3)), 7, 5).output_shape == (None, 3, 5)


def test_floats_are_refused():
    layer = EmbeddingLayer(InputLayer((None, 3), name="in"), 7, 5, name="words")
    with pytest.raises(TypeError, match="name='words'.*integer dtype, got float32"):
        get_output(layer)
