import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.init import Constant, Normal
from lasagne_like.layers import DenseLayer, InputLayer, Layer, MergeLayer, get_output


class Doubled(Layer):
    def get_output_for(self, input, **kwargs):
        return T.concatenate([input, input], axis=1)


class AsForLasagne(Layer):
    """A layer as programs written for Lasagne define it."""

    def __init__(self, incoming, num_units, W=Normal(0.01), **kwargs):  # noqa: B008
        super().__init__(incoming, **kwargs)
        self.num_units = num_units
        self.W = self.add_param(W, (self.input_shape[1], num_units), name="W")

    def get_output_for(self, input, **kwargs):
        return T.dot(input, self.W)

    def get_output_shape_for(self, input_shape):
        return (input_shape[0], self.num_units)


class Stacked(MergeLayer):
    def get_output_for(self, inputs, **kwargs):
        return inputs[0] - inputs[1]

    def get_output_shape_for(self, input_shapes):
        return input_shapes[0]


def test_the_shape_is_inferred():
    layer = Doubled(InputLayer((None, 3)))
    assert layer.output_shape == (None, 6)
    assert layer.get_output_shape_for((5, 4)) == (5, 8)


def test_a_layer_written_for_lasagne(rng):
    l_in = InputLayer((None, 3), name="in")
    layer = AsForLasagne(l_in, 4, name="mine")
    assert layer.output_shape == (None, 4)
    assert layer.input_layer is l_in
    assert layer.input_shape == (None, 3)
    assert layer.input_layers == [l_in] and layer.input_shapes == [(None, 3)]
    assert layer.W.name == "mine.W"
    x = rng.randn(5, 3).astype("float32")
    result = get_output(layer).eval({l_in.input_var: x})
    np.testing.assert_allclose(result, x @ layer.W.get_value(), rtol=1e-5)


def test_a_merge_layer_written_for_lasagne():
    a, b = InputLayer((None, 3)), InputLayer((None, 3))
    layer = Stacked([a, b])
    assert layer.input_layers == [a, b]
    assert layer.input_shapes == [(None, 3), (None, 3)]
    assert layer.output_shape == (None, 3)
    assert not hasattr(layer, "input_layer")


def test_a_contradiction_is_found():
    class Wrong(Doubled):
        def get_output_shape_for(self, input_shape):
            return (input_shape[0], 3 * input_shape[1])

    with pytest.raises(ValueError, match=r"contradicts itself.*\(None, 9\).*\(None, 6\)"):
        Wrong((None, 3)).output_shape  # noqa: B018


def test_a_stated_shape_may_be_less_exact():
    class Vague(Doubled):
        def get_output_shape_for(self, input_shape):
            return (None, None)

    assert Vague((None, 3)).output_shape == (None, None)


def test_a_stated_shape_stands_for_a_layer_that_takes_no_placeholder():
    class Table(Layer):
        def get_output_for(self, input, **kwargs):
            raise TypeError("needs integers")

        def get_output_shape_for(self, input_shape):
            return (*input_shape, 7)

    assert Table((None, 3)).output_shape == (None, 3, 7)


def test_a_symbolic_shape_is_refused():
    class Symbolic(Layer):
        def get_output_for(self, input, **kwargs):
            return input

        def get_output_shape_for(self, input_shape):
            return (T.iscalar(),)

    with pytest.raises(ValueError, match="symbolic output shape"):
        Symbolic((3,)).output_shape  # noqa: B018


def test_an_error_while_inferring_names_the_layer():
    class Broken(Layer):
        def get_output_for(self, input, **kwargs):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        Broken((None, 3), name="bad").output_shape  # noqa: B018
    assert "Broken (name='bad')" in caught.value.__notes__[0]


def test_a_layer_without_keyword_arguments():
    class Strict(Layer):
        def get_output_for(self, input):
            return input

    assert Strict((None, 3)).output_shape == (None, 3)


def test_layers_need_get_output_for():
    with pytest.raises(NotImplementedError, match="Layer must define get_output_for"):
        Layer((None, 3)).get_output_for(T.matrix())
    with pytest.raises(NotImplementedError, match="MergeLayer must define"):
        MergeLayer([(None, 3)]).get_output_for([T.matrix()])


def test_unknown_arguments_suggest_the_nearest():
    with pytest.raises(TypeError, match=r"DenseLayer got .* 'nonlinarity' \(perhaps you meant nonlinearity\)"):
        DenseLayer((None, 3), num_units=4, nonlinarity=None)
    with pytest.raises(TypeError, match=r"'nam' \(perhaps you meant name\)"):
        InputLayer((None, 3), nam="x")
    with pytest.raises(TypeError, match="'quux'$"):
        Layer((None, 3), quux=1)


@pytest.mark.parametrize(
    "incoming, hint", [([None, 3], "list"), (T.matrix(), "InputLayer"), (3, "int"), ((2.5,), "2.5")]
)
def test_incoming_must_be_a_layer_or_a_shape(incoming, hint):
    with pytest.raises(TypeError, match=f"incoming must be a Layer or a tuple.*{hint}"):
        Layer(incoming)


def test_a_merge_layer_takes_a_list():
    with pytest.raises(TypeError, match="list of layers"):
        Stacked(InputLayer((None, 3)))


@pytest.mark.parametrize("shape", [(None, 0), (-1, 3)])
def test_sizes_must_be_positive(shape):
    with pytest.raises(ValueError, match="non-positive"):
        Layer(shape)
    with pytest.raises(ValueError, match="non-positive"):
        InputLayer(shape)


def test_replacing_the_input_of_a_layer():
    a, b = InputLayer((None, 3)), InputLayer((None, 3))
    layer = Doubled(a)
    layer.input_layer = b
    assert layer.input_layers == [b]
    x = T.matrix()
    assert get_output(layer, {b: x}).eval({x: np.ones((2, 3))}).shape == (2, 6)


class TestParams:
    @pytest.fixture
    def layer(self):
        layer = Layer((None, 3))
        layer.a = layer.add_param(Constant(), (2,), name="a")
        layer.b = layer.add_param(Constant(), (2,), name="b", regularizable=False)
        layer.c = layer.add_param(Constant(), (2,), name="c", trainable=False, special=True)
        return layer

    def test_all(self, layer):
        assert layer.get_params() == [layer.a, layer.b, layer.c]

    @pytest.mark.parametrize(
        "tags, names",
        [
            ({"trainable": True}, "ab"),
            ({"regularizable": True}, "ac"),
            ({"trainable": True, "regularizable": True}, "a"),
            ({"trainable": True, "regularizable": False}, "b"),
            ({"special": True}, "c"),
            ({"special": False}, "ab"),
            ({"unheard": True}, ""),
            ({"unheard": False}, "abc"),
        ],
    )
    def test_tags(self, layer, tags, names):
        assert [param.name for param in layer.get_params(**tags)] == list(names)

    def test_expressions(self, layer):
        u, v = (symc.shared(np.ones(2, "float32"), name=name) for name in "uv")
        expression = layer.add_param(u * v, (2,), name="d", regularizable=False)
        assert layer.get_params(regularizable=False) == [layer.b, u, v]
        assert layer.get_params(unwrap_shared=False, regularizable=False) == [layer.b, expression]

    def test_names(self):
        assert Layer((3,), name="l").add_param(Constant(), (2,), name="W").name == "l.W"
        assert Layer((3,)).add_param(Constant(), (2,), name="W").name == "W"
        assert Layer((3,), name="l").add_param(Constant(), (2,)).name is None
