"""Behaviour that layers written for Lasagne rely on."""

import copy
import pickle

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import init, layers
from lasagne_like.layers import (
    BatchNormLayer,
    Conv2DLayer,
    DenseLayer,
    ElemwiseSumLayer,
    InputLayer,
    Layer,
    MergeLayer,
    get_all_layers,
    get_all_params,
    get_output,
    get_output_shape,
)


class Gain(Layer):
    """Reads its output shape before it has all that its output is computed from."""

    def __init__(self, incoming, **kwargs):
        super().__init__(incoming, **kwargs)
        self.gain = self.add_param(init.Constant(2), self.output_shape[1:], name="gain")

    def get_output_for(self, input, **kwargs):
        return input * self.gain


class Stacked(Layer):
    """States its shape, and reads it in its constructor."""

    def __init__(self, incoming, times, **kwargs):
        super().__init__(incoming, **kwargs)
        self.times = times
        self.b = self.add_param(init.Constant(1), self.output_shape[1:], name="b")

    def get_output_shape_for(self, input_shape):
        shape = super().get_output_shape_for(input_shape)
        assert shape is input_shape
        return shape[:1] + (self.times * shape[1],)

    def get_output_for(self, input, **kwargs):
        return T.concatenate([input] * self.times, axis=1) + self.b


class Inferred(Layer):
    """Changes the shape and states nothing; reads the output shape when all is set."""

    def __init__(self, incoming, **kwargs):
        super().__init__(incoming, **kwargs)
        self.size = self.output_shape[1]

    def get_output_for(self, input, **kwargs):
        return T.concatenate([input, input], axis=1)


# --- output shapes in constructors --------------------------------------------------------------------------------


def test_the_base_class_returns_its_argument():
    layer, shape = Layer((None, 3)), (7, 5)
    assert layer.get_output_shape_for(shape) is shape and layer.output_shape == (None, 3)
    with pytest.raises(NotImplementedError):
        MergeLayer([(None, 3)]).get_output_shape_for([shape])


def test_output_shapes_may_be_read_in_constructors():
    gain = Gain(InputLayer((None, 3)))
    assert gain.gain.get_value().shape == (3,) and gain.output_shape == (None, 3)
    assert gain.get_output_shape_for((5, 3)) == (5, 3)
    stacked = Stacked(gain, 2)
    assert stacked.b.get_value().shape == (6,) and stacked.output_shape == (None, 6)
    inferred = Inferred(stacked)
    assert inferred.size == 12 and inferred.output_shape == (None, 12)
    assert DenseLayer(inferred, 4).W.get_value().shape == (12, 4)
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(get_output(inferred, T.constant(x)).eval(), np.full((2, 12), 3))


def test_a_shape_read_too_early_is_never_wrong_in_silence():
    class Early(Layer):
        def __init__(self, incoming, **kwargs):
            super().__init__(incoming, **kwargs)
            self.b = self.add_param(init.Constant(0), self.output_shape[1:], name="b")
            self.times = 2

        def get_output_for(self, input, **kwargs):
            return T.concatenate([input] * self.times, axis=1)

    with pytest.raises(ValueError, match=r"Early \(name='e'\) reads its output_shape.*\(None, 3\).*\(None, 6\)"):
        Early((None, 3), name="e")


def test_subclasses_of_subclasses():
    class More(Gain):
        def __init__(self, incoming, **kwargs):
            super().__init__(incoming, **kwargs)
            self.shift = self.add_param(init.Constant(1), self.output_shape[1:], name="shift")

        def get_output_for(self, input, **kwargs):
            return super().get_output_for(input) + self.shift

    layer = More(InputLayer((None, 3)))
    assert layer.output_shape == (None, 3) and [p.name for p in layer.get_params()] == ["gain", "shift"]


def test_copies_and_pickles_of_finished_layers_stay_finished():
    layer = Gain(InputLayer((None, 3)), name="g")
    for twin in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.output_shape == (None, 3) and twin.get_output_shape_for((5, 3)) == (5, 3)


# --- errors of a layer's own --------------------------------------------------------------------------------------


class Trouble(Layer):
    def __init__(self, incoming, error, states=True, **kwargs):
        super().__init__(incoming, **kwargs)
        self.error = error
        if states:
            self.get_output_shape_for = lambda input_shape: input_shape

    def get_output_for(self, input, **kwargs):
        raise self.error


@pytest.mark.parametrize("states", [True, False], ids=["stated", "inferred"])
@pytest.mark.parametrize("error", [ValueError("mine"), RuntimeError("mine"), KeyError("mine"), AttributeError("mine")])
def test_errors_in_get_output_for_are_not_swallowed(error, states):
    for incoming in ((None, 3), InputLayer((None, 3)), InputLayer((None, 3), T.matrix("x"))):
        layer = Trouble(incoming, error, states, name="bad")
        with pytest.raises(type(error), match="mine") as caught:
            DenseLayer(layer, 4)
        assert caught.value is error and "Trouble (name='bad')" in "".join(error.__notes__)


def test_type_errors_are_not_swallowed_where_the_input_is_known():
    with pytest.raises(TypeError, match="mine"):
        DenseLayer(Trouble(InputLayer((None, 3)), TypeError("mine")), 4)
    with pytest.raises(TypeError, match="mine"):
        DenseLayer(Trouble(InputLayer((None, 3), T.matrix()), TypeError("mine"), states=False), 4)


def test_errors_while_the_constructor_reads_the_shape():
    class Broken(Layer):
        def __init__(self, incoming, **kwargs):
            super().__init__(incoming, **kwargs)
            self.size = self.output_shape[1]

        def get_output_for(self, input, **kwargs):
            return input.no_such_method()

    with pytest.raises(AttributeError, match="no_such_method"):
        Broken(InputLayer((None, 3)))

    class Forgetful(Layer):
        def __init__(self, incoming, **kwargs):
            super().__init__(incoming, **kwargs)
            self.size = self.output_shape[1]

        def get_output_for(self, input, **kwargs):
            return input * self.never_set

    with pytest.raises(AttributeError, match="never_set"):
        Forgetful(InputLayer((None, 3)))


class Table(Layer):
    """An embedding as written for Lasagne: nothing tells that its input must be of integers."""

    def __init__(self, incoming, size, **kwargs):
        super().__init__(incoming, **kwargs)
        self.W = self.add_param(init.Normal(), (7, size), name="W")

    def get_output_shape_for(self, input_shape):
        return (*input_shape, self.W.get_value().shape[1])

    def get_output_for(self, input, **kwargs):
        return self.W[input]


class UnstatedTable(Table):
    get_output_shape_for = Layer.get_output_shape_for


@pytest.mark.parametrize("cls", [Table, UnstatedTable])
def test_layers_of_integers_need_no_declaration(cls):
    l_in = InputLayer((None, 3))
    for incoming in ((None, 3), l_in, InputLayer((None, 3), T.imatrix())):
        assert cls(incoming, 5).output_shape == (None, 3, 5)
    net = DenseLayer(cls(l_in, 5), 2, nonlinearity=None)
    assert net.W.get_value().shape == (15, 2)
    x = T.imatrix()
    assert get_output(net, {l_in: x}).eval({x: [[0, 1, 2], [3, 4, 5]]}).shape == (2, 2)


class Undo(MergeLayer):
    """A layer of gradients, whose inputs are no independent placeholders."""

    def __init__(self, incoming, layer, **kwargs):
        super().__init__([incoming, layer, layer.input_layer], **kwargs)

    def get_output_for(self, inputs, **kwargs):
        input, layer_out, layer_in = inputs
        return symc.grad(None, wrt=layer_in, known_grads={layer_out: input})


class StatedUndo(Undo):
    def get_output_shape_for(self, input_shapes):
        return input_shapes[2]


@pytest.mark.parametrize("cls", [Undo, StatedUndo, layers.InverseLayer])
def test_layers_of_gradients(cls):
    hidden = DenseLayer(DenseLayer(InputLayer((None, 20)), 9), 5, nonlinearity=None)
    top = DenseLayer(hidden, 4)
    undone = cls(DenseLayer(top, 5), hidden)
    assert undone.output_shape == (None, 9)
    assert DenseLayer(undone, 3).W.get_value().shape == (9, 3)
    assert get_output(undone).static_shape == (None, 9)


# --- parameters ---------------------------------------------------------------------------------------------------


def test_a_layer_on_a_convolution_with_a_shared_variable():
    w = np.ones((16, 3, 5, 5), "float32")
    for W in (symc.shared(w), symc.shared(w) * 2, T.tensor4("w")):
        conv = Conv2DLayer(InputLayer((None, 3, 12, 12)), 16, 5, W=W)
        assert conv.W is W and conv.output_shape == (None, 16, 8, 8)
        assert get_output(conv).static_shape == (None, 16, 8, 8)
        assert DenseLayer(conv, 10).W.get_value().shape == (16 * 64, 10)
        assert get_output_shape(conv, (7, 3, 9, 9)) == (7, 16, 5, 5)


def test_tied_weights_keep_shapes_known():
    first = DenseLayer(InputLayer((None, 6)), 4, W=symc.shared(np.ones((6, 4), "float32")), b=None)
    second = DenseLayer(first, 6, W=first.W.T)
    assert second.output_shape == (None, 6) and get_output(second).static_shape == (None, 6)
    assert get_all_params(second) == [first.W, second.b]
    loss = get_output(second, T.constant(np.ones((2, 6), "float32"))).sum()
    assert symc.grad(loss, first.W).eval().shape == (6, 4)


def test_a_layer_whose_own_parameter_is_an_expression():
    class Twice(Layer):
        def __init__(self, incoming, W, **kwargs):
            super().__init__(incoming, **kwargs)
            self.W = self.add_param(W, (self.input_shape[1], 7))

        def get_output_for(self, input, **kwargs):
            return T.dot(input, T.concatenate([self.W, self.W], axis=1))

    W = symc.shared(np.ones((3, 7), "float32"))
    assert Twice((None, 3), W).output_shape == (None, 14)
    assert Twice((None, 3), T.exp(W)).output_shape == (None, 14)
    with pytest.raises(ValueError, match=r"has shape \(3, 8\), should be \(3, 7\)"):
        Twice((None, 3), T.ones((3, 8)) * 2)


def test_the_declared_shape_is_checked_when_called():
    w = symc.shared(np.ones((3, 4), "float32"), "w")
    net = DenseLayer(InputLayer((None, 3)), 4, W=w)
    f = symc.function([get_all_layers(net)[0].input_var], get_output(net), device="interp")
    x = np.ones((2, 3), "float32")
    assert f(x).shape == (2, 4)
    w.set_value(np.ones((3, 5)))
    with pytest.raises(ValueError):
        f(x)


def test_statistics_of_batch_normalisation_are_tagged():
    norm = BatchNormLayer(DenseLayer(InputLayer((None, 3)), 4), name="bn")
    top = layers.batch_norm(DenseLayer(norm, 5, name="top"))
    stats = get_all_params(top, batch_norm_stat=True)
    assert [p.name for p in stats] == ["bn.mean", "bn.inv_std", "top_bn.mean", "top_bn.inv_std"]
    assert norm.params[norm.mean] == norm.params[norm.inv_std] == {"batch_norm_stat"}
    others = get_all_params(top, batch_norm_stat=False)
    assert set(others) | set(stats) == set(get_all_params(top)) and not set(others) & set(stats)
    assert get_all_params(top, trainable=True) == others


# --- inputs -------------------------------------------------------------------------------------------------------


def test_inputs_are_lists():
    a, b = InputLayer((None, 3)), InputLayer((None, 3))
    both = ElemwiseSumLayer((a, b))
    assert both.input_layers == [a, b] and both.input_shapes == [(None, 3), (None, 3)]
    both.input_layers[1] = c = InputLayer((None, 3))
    assert get_all_layers(both) == [a, c, both]
    assert isinstance(DenseLayer(a, 2).input_layers, list) and isinstance(DenseLayer((None, 3), 2).input_shapes, list)
    seen = []

    class Recorder(MergeLayer):
        def get_output_for(self, inputs, **kwargs):
            seen.append(inputs)
            return inputs[0]

        def get_output_shape_for(self, input_shapes):
            seen.append(input_shapes)
            return input_shapes[0]

    layer = Recorder([a, b])
    get_output(layer)
    get_output_shape(layer, {a: (2, 3), b: (2, 3)})
    assert len(seen) >= 2 and all(isinstance(each, list) for each in seen)
