"""Models in one file: every layer goes through a file; damaged, altered and hostile files are refused whole."""

import json
import os
import random
import subprocess
import sys

import model_file_fuzz
import numpy as np
import pytest
from PIL import Image
from test_layers_cases import ALL, build, sample

import lasagne_like
import symc
import symc.tensor as T
from lasagne_like import layers as L
from lasagne_like import nonlinearities
from lasagne_like.__main__ import main
from lasagne_like.data import Preprocess
from lasagne_like.files import ModelFileError, UnknownPartError, model_file
from lasagne_like.files.safetensors_format import read_safetensors, write_safetensors
from lasagne_like.models import Model, small_vgg
from lasagne_like.transfer import freeze


def square(x):
    return x**2


class Doubling(L.Layer):
    def __init__(self, incoming, factor=2, **kwargs):
        super().__init__(incoming, **kwargs)
        self.by = factor
        self.offset = self.add_param(lambda shape: np.ones(shape, "float32"), (self.input_shape[1],), name="offset")

    def get_output_for(self, input, **kwargs):
        return self.by * input + self.offset


def outputs(network, values):
    model = Model(network)
    return model.outputs(values)


def same(first, second, tolerance=0):
    np.testing.assert_allclose(first, second, rtol=tolerance, atol=tolerance)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def x(rng):
    return rng.uniform(-1, 1, (3, 4)).astype("float32")


def dense(nonlinearity=nonlinearities.softmax):
    layer = L.DenseLayer(L.InputLayer((None, 4), name="input"), 5, name="hidden")
    return L.DenseLayer(layer, 3, nonlinearity=nonlinearity, name="out")


@pytest.mark.filterwarnings("ignore:the model is saved without a known answer")
@pytest.mark.parametrize("cls, shapes, args, kwargs", ALL)
def test_every_layer_goes_through_a_file(cls, shapes, args, kwargs, path, rng):
    inputs, layer = build(cls, shapes, args, kwargs)
    for param in layer.get_params():
        param.set_value(rng.uniform(0.2, 1, param.get_value().shape).astype(param.dtype))
    nameless = [each for each in args if getattr(each, "__name__", "") == "<lambda>"]
    custom = dict(zip(["case"], nameless))
    lasagne_like.save(path, layer, custom=custom)
    model = lasagne_like.load(path, custom=custom)
    again = model.output_layer
    assert type(again) is cls and again.output_shape == layer.output_shape
    assert [sorted(tags) for tags in again.params.values()] == [sorted(tags) for tags in layer.params.values()]
    values = list(sample(inputs, rng))
    assert [each.shape for each in model.input_layers] == [each.shape for each in inputs]
    results = [
        symc.function([each.input_var for each in ins], L.get_output(of, deterministic=True), device="interp")(*values)
        for ins, of in ((inputs, layer), (model.input_layers, again))
    ]
    np.testing.assert_array_equal(*results)
    plain = {key for key, value in vars(layer).items() if isinstance(value, str | int | float | tuple)} - {"created_at"}
    assert {key: vars(layer)[key] for key in plain} == {key: vars(again)[key] for key in plain}


def test_inverse_layer(path, x):
    hidden = L.DenseLayer(L.InputLayer((None, 4), name="input"), 6, nonlinearity=nonlinearities.tanh, name="hidden")
    network = L.InverseLayer(hidden, hidden, name="inverse")
    lasagne_like.save(path, network)
    loaded = lasagne_like.load(path)
    same(loaded.outputs(x), outputs(network, x))
    assert loaded["inverse"].input_layers[1] is loaded["hidden"]


def changed_nonlinearity(layer):
    layer.nonlinearity = nonlinearities.LeakyRectify(0.3)
    return layer


def tied(layer):
    return L.DenseLayer(layer, 4, W=layer.W.T, b=None, name="decoder")


def shared_twice(layer):
    return L.ElemwiseSumLayer(
        [layer, L.DenseLayer(layer.input_layer, 5, W=layer.W, b=layer.b, name="twin")], name="sum"
    )


CHANGES = {
    "batch_norm": lambda layer: L.batch_norm(layer),
    "prelu": lambda layer: L.prelu(layer, name="prelu"),
    "layer_norm": lambda layer: L.layer_norm(layer),
    "changed nonlinearity": changed_nonlinearity,
    "tied weights": tied,
    "shared weights": shared_twice,
    "standardised": lambda layer: L.standardize(layer, np.arange(5.0), np.arange(1.0, 6.0)),
    "dropout of a shared variable": lambda layer: L.DropoutLayer(layer, symc.shared(np.float32(0.5)), name="drop"),
    "infinite argument": lambda layer: L.PadLayer(layer, 1, val=-np.inf, batch_ndim=1, name="pad"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_layers_changed_after_they_were_made(change, path, x):
    layer = L.DenseLayer(L.InputLayer((None, 4), name="input"), 5, name="hidden")
    network = CHANGES[change](layer)
    lasagne_like.save(path, network)
    loaded = lasagne_like.load(path)
    same(loaded.outputs(x), outputs(network, x))
    mine, theirs = L.get_all_params(network), L.get_all_params(loaded.output_layer)
    assert len(mine) == len(theirs)
    if change == "tied weights":
        loaded["hidden"].W.set_value(np.zeros((4, 5), "float32"))
        assert not outputs(loaded, x).any()


def test_frozen_layers_stay_frozen(path):
    network = small_vgg((1, 8, 8), 3, channels=(4,), dense=5)
    freeze("*1_1", network)
    lasagne_like.save(path, network)
    loaded = lasagne_like.load(path)
    assert list(loaded) == list(network) and loaded.name == "small_vgg"
    for tags in ({"trainable": True}, {"trainable": False}, {"frozen": True}):
        names = [[p.name for p in L.get_all_params(net["prob"], **tags)] for net in (network, loaded)]
        assert names[0] == names[1] and names[0]
    assert loaded["bn1_1"].frozen is True and loaded["bn1_2"].frozen is False
    pictures = np.random.RandomState(0).rand(4, 1, 8, 8).astype("float32")
    training = [
        symc.function([net["input"].input_var], L.get_output(net["bn1_2"], batch_norm_update_averages=False))(pictures)
        for net in (network, loaded)
    ]
    same(*training)


def test_values_and_dtypes_are_exact(path, x):
    layer = L.DenseLayer(L.InputLayer((None, 4), name="input"), 3, W=symc.shared(np.eye(4, 3)), name="out")
    lasagne_like.save(path, layer)
    loaded = lasagne_like.load(path)
    assert loaded["out"].W.dtype == "float64" and loaded["out"].b.dtype == "float32"
    integers = L.EmbeddingLayer(L.InputLayer((None, 2), T.imatrix("i"), name="input"), 7, 3, name="embedding")
    lasagne_like.save(path, integers)
    again = lasagne_like.load(path)
    same(again.outputs(np.array([[6, 2]], "int32")), outputs(integers, np.array([[6, 2]], "int32")))


def test_several_inputs_and_free_shapes(path):
    a, b = L.InputLayer((None, 2, None), name="a"), L.InputLayer((5, 2, None), name="b")
    lasagne_like.save(path, {"a": a, "b": b, "joined": L.ConcatLayer([a, b], axis=0, name="joined")})
    loaded = lasagne_like.load(path)
    values = np.ones((4, 2, 3), "float32"), np.zeros((5, 2, 3), "float32")
    assert loaded._function()(*values).shape == (9, 2, 3)
    with pytest.warns(UserWarning, match="saved without a known answer"):
        lasagne_like.save(path, L.DenseLayer((None, 4), 3, name="floating"))
    assert lasagne_like.load(path)["floating"].input_shape == (None, 4)


# A fresh process, the command line, and files of weights.


@pytest.fixture
def classifier(path, tmp_path):
    """A saved model that tells red from green and blue pictures, and one picture of each."""
    weights = np.repeat(np.eye(3, dtype="float32"), 16, axis=0)
    layer = L.InputLayer((None, 3, 4, 4), name="input")
    layer = L.DenseLayer(layer, 3, W=weights, nonlinearity=nonlinearities.softmax, name="out")
    lasagne_like.save(
        path, layer, classes=["red", "green", "blau \u00fc"], preprocess=Preprocess(resize=4, crop=4, scale=1 / 2550)
    )
    pictures = []
    for channel, name in enumerate(("red", "green", "blue")):
        pixels = np.zeros((9, 7, 3), "uint8")
        pixels[..., channel] = 255
        pictures.append(tmp_path / f"{name}.png")
        Image.fromarray(pixels).save(pictures[-1])
    return path, pictures


def test_three_lines_in_a_fresh_process(classifier):
    path, pictures = classifier
    lines = f"import lasagne_like\nmodel = lasagne_like.load({str(path)!r})\n"
    code = f"{lines}print(model.predict({str(pictures[1])!r}).label)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "green\n"
    assert lasagne_like.predict(path, pictures[0]).label == "red"
    several = lasagne_like.predict(lasagne_like.load(path), pictures, top=1)
    assert [each.label for each in several] == ["red", "green", "blau \u00fc"]


def test_command_line(classifier, capsys, path, tmp_path):
    path, pictures = classifier
    assert main(["predict", str(path), *map(str, pictures), "--top", "2", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in lines] == ["red", "green", "blau \u00fc"]
    assert lines[0]["picture"] == str(pictures[0]) and len(lines[0]["top"]) == 2
    assert main(["predict", str(path), str(pictures[2])]) == 0
    text = capsys.readouterr().out.splitlines()
    assert text[0] == str(pictures[2]) and "blau" in text[1] and len(text) == 4
    # A missing picture does not hide the others.
    assert main(["predict", str(path), str(tmp_path / "none.png"), str(pictures[0])]) == 1
    captured = capsys.readouterr()
    assert "no picture" in captured.err and "red" in captured.out
    assert main(["predict", str(pictures[0]), str(pictures[0])]) == 1
    assert "is not a safetensors file" in capsys.readouterr().err
    assert main(["info", str(path)]) == 0
    assert "parameters 147" in capsys.readouterr().out
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"][0] == "red"
    lasagne_like.save(path, dense())
    assert main(["predict", str(path), str(pictures[0])]) == 1
    assert "was saved without preprocess=" in capsys.readouterr().err


def test_weights_of_a_model_file(path, x):
    network, other = dense(), dense()
    lasagne_like.save(path, network)
    assert lasagne_like.load_weights(path, other).matches
    same(outputs(network, x), outputs(other, x))
    lasagne_like.save_weights(path, network)
    with pytest.raises(ModelFileError, match="contains weights, but no architecture: .* lasagne_like.load_weights"):
        lasagne_like.load(path)


# What is not part of the library.


def test_custom_layers_and_functions(path, x):
    network = L.ExpressionLayer(Doubling(dense(), 3, name="double"), square, name="square")
    network.input_layer.offset.set_value(np.array([1, 2, 3], "float32"))
    lasagne_like.save(path, network)
    with pytest.raises(
        UnknownPartError, match=r"custom layer Doubling \(layer 'double'\).*custom=\{'Doubling': Doubling\}"
    ):
        lasagne_like.load(path)
    with pytest.raises(UnknownPartError, match="custom function square; pass load"):
        lasagne_like.load(path, custom={"Doubling": Doubling})
    loaded = lasagne_like.load(path, custom={"Doubling": Doubling, "square": square})
    same(loaded.outputs(x), outputs(network, x))
    assert loaded["double"].by == 3
    with pytest.raises(ModelFileError, match="must be a subclass of Layer"):
        lasagne_like.load(path, custom={"Doubling": dict, "square": square})


def test_what_cannot_be_described_is_named(path):
    lasagne_like.save(path, dense())
    before = path.read_bytes()
    nameless = L.ExpressionLayer(dense(), lambda x: x * 2, name="twice")
    with pytest.raises(
        UnknownPartError, match=r"argument 'function' of the layer <ExpressionLayer 'twice'> is the function.*custom="
    ):
        lasagne_like.save(path, nameless)
    with pytest.raises(UnknownPartError, match="argument 'W' of the layer <DenseLayer 'new'> is the expression"):
        lasagne_like.save(path, L.DenseLayer(dense(), 2, W=symc.shared(np.ones((3, 2), "float32")) * 2, name="new"))
    with pytest.raises(ValueError, match="expected a name ending in .safetensors"):
        lasagne_like.save(path.with_suffix(".pkl"), dense())
    with pytest.raises(ValueError, match="classes has 2 names, but the output layer"):
        lasagne_like.save(path, dense(), classes=["a", "b"])
    with pytest.raises(
        ValueError, match=r"preprocess gives pictures of shape \(3, 8, 8\), but the network takes \(4,\)"
    ):
        lasagne_like.save(path, dense(), preprocess=Preprocess(resize=8, crop=8))
    with pytest.raises(TypeError, match="expected a Layer"):
        lasagne_like.save(path, [1])
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


def test_what_is_not_plain_about_a_network(path, x):
    scaled = L.DenseLayer(L.InputLayer((None, 4), T.matrix("x") / 255, name="input"), 3, name="out")
    with pytest.raises(UnknownPartError, match="the input of the layer <InputLayer 'input'> is"):
        lasagne_like.save(path, scaled)
    noise = symc.tensor.shared_randomstreams.RandomStreams(3)
    always = L.ExpressionLayer(dense(), lambda x: x + noise.normal(x.shape), name="noise")
    with pytest.warns(UserWarning, match="without a known answer: .*its output is random"):
        lasagne_like.save(path, always, custom={"noisy": always.function})
    assert list(lasagne_like.load(path, custom={"noisy": always.function})) == ["input", "hidden", "out", "noise"]
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        lasagne_like.save(path.parent / "nowhere" / "m.safetensors", dense())


# Damaged and hostile files.


def test_an_interrupted_save_leaves_the_old_file(path, monkeypatch):
    lasagne_like.save(path, dense())
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        lasagne_like.save(path, dense())
    assert path.read_bytes() == before and [each.name for each in path.parent.iterdir()] == [path.name]


def test_every_truncation_and_every_changed_byte_is_refused(path, tmp_path):
    lasagne_like.save(path, dense(), classes=["a", "b", "c"])
    data = path.read_bytes()
    random_ = random.Random(0)
    damaged = tmp_path / "damaged.safetensors"
    for place in [*range(0, len(data), 29), *random_.sample(range(len(data)), 100)]:
        damaged.write_bytes(data[:place])
        with pytest.raises(ModelFileError):
            lasagne_like.load(damaged)
        changed = bytearray(data)
        changed[place] ^= 1 << random_.randrange(8)
        damaged.write_bytes(changed)
        with pytest.raises(ModelFileError):
            lasagne_like.load(damaged)


def altered(path, change, fix_digest=True):
    """Change the description in a file."""
    arrays, metadata = read_safetensors(path)
    content = json.loads(metadata["lasagne_like"])
    change(content, arrays)
    text = json.dumps(content)
    digest = model_file._digest(text, arrays) if fix_digest else metadata["sha256"]
    write_safetensors(path, arrays, {"lasagne_like": text, "sha256": digest})


def argument(name, value, layer=1):
    return lambda content, arrays: content["network"]["layers"][layer]["arguments"].__setitem__(name, value)


def double_weights(content, arrays):
    arrays["out.W"] = arrays["out.W"] * 2


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda content, arrays: content.__setitem__("version", 2), "has the version 2 of the format.*update it"),
        (lambda content, arrays: content["network"]["layers"][1].__setitem__("class", "Layer"), "custom layer Layer"),
        (argument("nonlinearity", {"function": "os.system"}), "names the function 'os.system'"),
        (argument("nonlinearity", {"object": ["builtins.eval", {}]}), "names the object"),
        (argument("nonlinearity", {"code": "print(1)"}), "unknown kind 'code'"),
        (argument("num_units", 10**9), "shape"),
        (argument("num_units", 10**30), "too large"),
        (argument("__class__", 3), "unexpected keyword argument '__class__'"),
        (argument("units", 3), "units"),
        (
            lambda content, arrays: content["network"]["layers"][1].pop("params"),
            "entries arguments, class, name, params",
        ),
        (
            lambda content, arrays: content["network"]["layers"][1].__setitem__("inputs", {"layer": 2}),
            "does not precede",
        ),
        (lambda content, arrays: content["network"]["layers"][1].__setitem__("state", {"W": 1}), "the state"),
        (lambda content, arrays: content.__setitem__("classes", ["a"]), "classes has 1 names"),
        (lambda content, arrays: content.__setitem__("preprocess", {"crop": -1}), "crop=-1"),
        (lambda content, arrays: arrays.pop("out.W"), "'out.W' is not in the file"),
        (double_weights, "does not compute the known answer"),
    ],
)
def test_hostile_descriptions(change, message, path):
    lasagne_like.save(path, dense())
    altered(path, change)
    with pytest.raises(ModelFileError, match=message):
        lasagne_like.load(path)


def test_the_digest_covers_the_description(path):
    lasagne_like.save(path, dense(), classes=["a", "b", "c"])
    altered(path, lambda content, arrays: content.__setitem__("classes", ["b", "a", "c"]), fix_digest=False)
    with pytest.raises(ModelFileError, match="was altered"):
        lasagne_like.load(path)


def test_mutated_files():
    outcomes = model_file_fuzz.run(150, seed=4)
    assert sum(outcomes.values()) == 150
    assert outcomes["bytes", "ModelFileError"] > 50 and outcomes["structure", "ModelFileError"] > 50
