"""Model: a dictionary of layers that predicts; its forms, checks, copies and pickles."""

import copy
import pickle

import numpy as np
import pytest
from PIL import Image

from lasagne_like.data import Preprocess
from lasagne_like.layers import ConcatLayer, DenseLayer, InputLayer, get_output_shape
from lasagne_like.models import Model, Prediction
from lasagne_like.nonlinearities import rectify, sigmoid, softmax


def classifier(nonlinearity=softmax, units=3):
    """Classes of 1 x 2 x 2 pictures by the value of the first pixels."""
    layer = InputLayer((None, 3, 2, 2), name="input")
    weights = np.zeros((12, units), "float32")
    weights[: 4 * units : 4] = np.eye(units)[: weights[: 4 * units : 4].shape[0]]
    return DenseLayer(layer, units, W=weights, nonlinearity=nonlinearity, name="out")


PREPROCESS = Preprocess(resize=(2, 2), scale=1 / 25)


def coloured(channel, size=7):
    picture = np.zeros((size, size, 3), "uint8")
    picture[..., channel] = 250
    return picture


@pytest.mark.parametrize("nonlinearity", [softmax, None])
def test_one_picture_or_several(tmp_path, nonlinearity):
    model = Model(classifier(nonlinearity), preprocess=PREPROCESS, classes=["red", "green", "blue"])
    probability = np.exp(10) / (np.exp(10) + 2)
    path = tmp_path / "green.png"
    Image.fromarray(coloured(1)).save(path)
    one = model.predict(path)
    assert isinstance(one, Prediction) and one.label == "green"
    np.testing.assert_allclose(one.probability, probability, rtol=1e-6)
    assert [label for label, _ in one.top] == ["green", "red", "blue"]
    assert "green" in repr(one) and str(one).splitlines()[0].split() == ["99.99", "%", "green"]
    assert one.to_dict()["label"] == "green" and len(one.to_dict()["top"]) == 3
    batch = np.stack([coloured(k) for k in (2, 0)]).transpose(0, 3, 1, 2)
    assert [each.label for each in model.predict(batch, top=1, batch_size=1)] == ["blue", "red"]
    assert [each.label for each in model.predict([Image.open(path), coloured(2), str(path)])] == [
        "green",
        "blue",
        "green",
    ]
    assert len(model.predict(batch, top=2)[0].top) == 2
    np.testing.assert_allclose(model.probabilities(batch).sum(axis=1), 1, rtol=1e-6)
    many = [each.label for each in model.predict((coloured(k % 3) for k in range(5)), batch_size=2)]
    assert many == ["red", "green", "blue", "red", "green"]


def test_binary_and_unnamed_and_regression():
    single = Model(classifier(sigmoid, units=1), preprocess=PREPROCESS, classes=["other", "red"])
    assert [each.label for each in single.predict([coloured(0), coloured(1)], top=1)] == ["red", "other"]
    np.testing.assert_allclose(single.predict(coloured(0)).probability, 1 / (1 + np.exp(-10)), rtol=1e-6)
    unnamed = Model(classifier(), preprocess=PREPROCESS)
    assert unnamed.predict(coloured(2)).label == "class 2"
    values = Model(classifier(rectify)).predict(np.ones((5, 3, 2, 2), "float32"))
    assert values.shape == (5, 3) and (values == 1).all()


def test_several_inputs():
    first, second = InputLayer((None, 2), name="a"), InputLayer((None, 3), name="b")
    model = Model(ConcatLayer([first, second], name="joined"))
    assert list(model) == ["a", "b", "joined"] and model.input_layers == [first, second]
    a, b = np.ones((2, 2), "float32"), np.zeros((2, 3), "float32")
    np.testing.assert_array_equal(model.outputs((a, b)), np.hstack([a, b]))
    with pytest.raises(ValueError, match="got 1 inputs for 2 input layers"):
        model.outputs(a)
    with pytest.raises(ValueError, match="the inputs have 2, 1 examples"):
        model.outputs((a, b[:1]))


def test_forms_of_a_network():
    out = classifier()
    for given in (
        out,
        [out],
        {"input": out.input_layer, "out": out},
        [("input", out.input_layer), ("out", out)],
        Model(out),
    ):
        model = Model(given)
        assert list(model) == ["input", "out"] and model.output_layer is out
    unnamed = Model(DenseLayer(InputLayer((None, 2)), 2))
    assert list(unnamed) == ["0_InputLayer", "1_DenseLayer"]
    assert get_output_shape(unnamed.output_layer) == (None, 2)
    with pytest.raises(ValueError, match="two layers are called 'x'"):
        Model(DenseLayer(DenseLayer((None, 2), 2, name="x"), 2, name="x"))
    with pytest.raises(TypeError, match="expected a Layer"):
        Model([1, 2])
    with pytest.raises(ValueError, match="no layers"):
        Model().output_layer  # noqa: B018


def test_copies_and_pickles():
    model = Model(classifier(), preprocess=PREPROCESS, classes=["red", "green", "blue"], name="tiny")
    model.predict(coloured(0))
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        assert type(twin) is Model and list(twin) == list(model) and repr(twin) == repr(model)
        assert twin.predict(coloured(2)).label == "blue"
    deep = copy.deepcopy(model)
    deep["out"].W.set_value(np.zeros((12, 3), "float32"))
    assert model.predict(coloured(2)).probability > 0.9 > deep.predict(coloured(2)).probability
    model["prob"] = DenseLayer(model["out"], 2, name="prob")
    model.classes = None
    assert model.predict(coloured(2)).shape == (1, 2)


def test_mistakes_are_named():
    with pytest.raises(
        ValueError, match=r"classes has 2 names, but the output layer <DenseLayer 'out'> has .*\(None, 3\)"
    ):
        Model(classifier(), classes=["a", "b"])
    with pytest.raises(TypeError, match="classes must be a list of names, got str"):
        Model(classifier(), classes="abc")
    with pytest.raises(TypeError, match="got 1 in it; convert it by str"):
        Model(classifier(), classes=[1, 2, 3])
    with pytest.raises(TypeError, match="preprocess must be a lasagne_like.data.Preprocess, got dict"):
        Model(classifier(), preprocess={})
    model = Model(classifier())
    with pytest.raises(TypeError, match="the model has no preprocess"):
        model.predict("cat.jpg")
    with pytest.raises(
        ValueError, match=r"shape \(1, 2, 2, 3\), but <InputLayer 'input'> expects \(None, 3, 2, 2\); set"
    ):
        model.predict(np.zeros((1, 2, 2, 3), "float32"))
    with pytest.raises(ValueError, match="top must be at least 1"):
        model.predict(np.zeros((1, 3, 2, 2), "float32"), top=0)
