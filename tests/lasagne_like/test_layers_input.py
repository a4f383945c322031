import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.layers import InputLayer, get_output


def test_the_variable():
    layer = InputLayer((None, 3), name="in")
    assert layer.output_shape == layer.shape == (None, 3)
    assert layer.input_var.name == "in.input"
    assert layer.input_var.static_shape == (None, 3)
    assert layer.input_var.dtype == symc.config.floatX
    assert layer.input_layers == []
    assert layer.get_params() == []
    assert InputLayer((2,)).input_var.name == "input"


def test_a_given_variable():
    x = T.itensor4("x")
    layer = InputLayer((None, 1, 28, 28), input_var=x)
    assert layer.input_var is x
    assert get_output(layer).static_shape == (None, 1, 28, 28)
    assert get_output(layer).dtype == "int32"


def test_the_shape_is_checked_at_the_call():
    x = T.matrix("x")
    run = symc.function([x], get_output(InputLayer((None, 3), x)) * 2)
    assert run(np.ones((5, 3), "float32")).shape == (5, 3)
    with pytest.raises(ValueError):
        run(np.ones((5, 4), "float32"))


def test_wrong_number_of_dimensions():
    with pytest.raises(ValueError, match="shape has 2 dimensions, but variable has 4"):
        InputLayer((3, 2), T.tensor4())
