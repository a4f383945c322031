"""Axes that do not exist are refused by every layer that takes one, not read modulo the number of axes."""

from __future__ import annotations

import pytest

from lasagne_like import layers

MAKERS = {
    "concat": lambda x, axis: layers.ConcatLayer([x, x], axis=axis),
    "slice": lambda x, axis: layers.SliceLayer(x, 0, axis=axis),
    "dropout": lambda x, axis: layers.DropoutLayer(x, shared_axes=(axis,)),
    "feature pool": lambda x, axis: layers.FeaturePoolLayer(x, 2, axis=axis),
}


@pytest.mark.parametrize("axis", [3, 5, -4])
@pytest.mark.parametrize("name", list(MAKERS))
def test_an_axis_that_does_not_exist_is_refused(name, axis):
    x = layers.InputLayer((2, 4, 6))
    with pytest.raises(ValueError, match="do not exist in an input of 3 dimensions"):
        layers.get_output(MAKERS[name](x, axis))


@pytest.mark.parametrize("name, shape", [("concat", (2, 4, 12)), ("slice", (2, 4)), ("feature pool", (2, 4, 3))])
def test_axes_count_from_the_end(name, shape):
    assert MAKERS[name](layers.InputLayer((2, 4, 6)), -1).output_shape == shape
