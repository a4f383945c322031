"""Deferred initial values: nothing is drawn before it is needed, and nothing depends on when that is."""

import copy
import pickle

import numpy as np
import pytest

import lasagne_like
import symc
from lasagne_like import init, models
from lasagne_like.layers import (
    DenseLayer,
    InputLayer,
    count_params,
    get_all_param_values,
    get_all_params,
    get_output,
    set_all_param_values,
    summary,
)
from lasagne_like.lazy import lazy_init
from lasagne_like.utils import hand_over, shape_of


class Counting(init.Initializer):
    """Counts its calls."""

    def __init__(self):
        self.calls = 0

    def sample(self, shape):
        self.calls += 1
        return lasagne_like.utils.floatX(lasagne_like.random.get_rng().normal(size=shape))


def network(W):
    return DenseLayer(DenseLayer(InputLayer((None, 4), name="input"), 5, W=W, name="a"), 3, W=W, name="b")


def test_values_that_are_replaced_are_never_drawn(tmp_path):
    counting = Counting()
    with lazy_init():
        net = network(counting)
    saved = network(init.Normal())
    assert count_params(net) == 43 and "a" in summary(net)
    copies = [shape_of(param) for param in get_all_params(net)]
    assert copies == [(4, 5), (5,), (5, 3), (3,)]
    lasagne_like.save_weights(tmp_path / "w.npz", saved)
    lasagne_like.load_weights(tmp_path / "w.npz", net)
    assert counting.calls == 0
    set_all_param_values(net, get_all_param_values(saved))
    np.testing.assert_array_equal(net.W.get_value(), saved.W.get_value())
    assert counting.calls == 0


@pytest.mark.parametrize("first", ["a", "b", "function", "copy", "pickle"])
def test_values_do_not_depend_on_the_order_in_which_they_are_needed(first):
    def built():
        lasagne_like.random.set_rng(np.random.RandomState(3))
        with lazy_init():
            net = network(init.GlorotUniform())
        lasagne_like.random.get_rng().normal(size=7)
        return net

    wanted = get_all_param_values(built())
    net = built()
    if first in ("a", "b"):
        ({"a": net.input_layer, "b": net}[first]).W.get_value()
    elif first == "function":
        x = net.input_layer.input_layer.input_var
        value = symc.function([x], get_output(net))(np.ones((1, 4), "float32"))
        hidden = np.maximum(np.ones((1, 4)) @ wanted[0] + wanted[1], 0)
        np.testing.assert_allclose(value, np.maximum(hidden @ wanted[2] + wanted[3], 0), rtol=1e-5, atol=1e-6)
    else:
        twin = copy.deepcopy(net) if first == "copy" else pickle.loads(pickle.dumps(net))
        for mine, theirs in zip(get_all_param_values(twin), wanted):
            np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(get_all_param_values(net), wanted):
        np.testing.assert_array_equal(mine, theirs)


def test_the_precision_is_that_of_the_construction():
    with symc.config.change(floatX="float64"), lazy_init():
        layer = DenseLayer((None, 2), 3, W=init.Normal())
    value = layer.W.get_value()
    assert value.dtype == np.float64 and not np.array_equal(value, value.astype("float32"))


def test_outside_of_the_context_values_are_drawn_at_once():
    counting = Counting()
    network(counting)
    assert counting.calls == 2
    with lazy_init():
        assert DenseLayer((None, 2), 3, W=lambda shape: np.ones(shape, "float32")).W.get_value().sum() == 6


def test_vgg16_is_built_without_its_numbers(monkeypatch):
    def fail(self, shape):
        raise AssertionError("numbers were drawn")

    monkeypatch.setattr(init.He, "sample", fail)
    monkeypatch.setattr(init.Glorot, "sample", fail)
    net = models.vgg16()
    assert count_params(net["prob"]) == 138_357_544
    net["fc8"].W.set_value(np.zeros((4096, 1000), "float32"))
    with pytest.raises(AssertionError, match="numbers were drawn"):
        net["fc7"].W.get_value()


def test_functions_as_initial_values():
    made = symc.shared(lambda: np.arange(3.0), shape=(3,), dtype="float64", name="v")
    assert made.get_value().tolist() == [0, 1, 2] and made.static_shape == (3,)
    for arguments in ({}, {"shape": (3,)}, {"dtype": "float64"}, {"shape": (None,), "dtype": "float64"}):
        with pytest.raises(TypeError, match="needs a dtype and a shape without None"):
            symc.shared(lambda: np.arange(3.0), **arguments)
    wrong = symc.shared(lambda: np.arange(4.0), shape=(3,), dtype="float64", name="v")
    with pytest.raises(ValueError, match=r"computes v returned float64\(4,\), expected float64\(3,\)"):
        wrong.get_value()
    wrong.set_value(np.zeros(3))
    assert wrong.get_value().sum() == 0
    zero = symc.shared(lambda: np.ones(2, "float32"), shape=(2,), dtype="float32")
    zero.zero()
    assert zero.get_value().tolist() == [0, 0]
    count = symc.shared(lambda: np.ones(2), shape=(2,), dtype="float64")
    step = symc.function([], count.sum(), updates={count: count + 1})
    assert [step(), step()] == [2, 4]


def test_arrays_that_are_handed_over():
    large = symc.shared(np.zeros((40, 50), "float32"))
    array = np.ones((40, 50), "float32")
    hand_over(large, array)
    assert np.shares_memory(large.get_value(borrow=True), array)
    param = symc.shared(np.zeros((2, 3), "float32"), shape=(2, 3), name="p")
    with pytest.raises(ValueError, match=r"p has the shape \(2, 3\), the new value \(3,\)"):
        hand_over(param, np.ones(3, "float32"))
    frozen = np.frombuffer(np.full(6, 2, "float32").tobytes(), "float32").reshape(2, 3)
    hand_over(param, frozen)
    assert param.get_value(borrow=True).flags.writeable and param.get_value().sum() == 12
