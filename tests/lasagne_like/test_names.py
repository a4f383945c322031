"""Names that people bring from other libraries: each error says what the name is here, and what it says is true."""

import copy
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lasagne_like
import symc
from lasagne_like import (
    Trainer,
    data,
    foreign_methods,
    foreign_names,
    init,
    layers,
    models,
    nonlinearities,
    objectives,
    regularization,
    training,
    transfer,
    updates,
    utils,
)
from lasagne_like.layers import DenseLayer, InputLayer
from lasagne_like.naming import canonical
from symc.config import Config, read_flags

MODULES = {
    "lasagne_like": lasagne_like, "layers": layers, "nonlinearities": nonlinearities, "updates": updates,
    "objectives": objectives, "init": init, "models": models, "data": data, "training": training,
    "regularization": regularization, "utils": utils,
}  # fmt: skip


@pytest.mark.parametrize("module, name, instead", [
    (layers, "MaxPooling2DLayer", "MaxPool2DLayer"),
    (layers, "MaxPooling2D", "MaxPool2DLayer"),
    (layers, "GlobalAveragePooling2D", "GlobalPoolLayer"),
    (layers, "Conv2D", "Conv2DLayer"),
    (layers, "Conv2d", "Conv2DLayer"),
    (layers, "Dense", "DenseLayer"),
    (layers, "Linear", "DenseLayer"),
    (layers, "BatchNormalization", "batch_norm"),
    (layers, "relu", "nonlinearities.rectify"),
    (layers, "DensLayer", "perhaps you meant DenseLayer"),
    (layers, "adam", "lasagne_like.updates.adam"),
    (models, "VGG16", "models.vgg16"),
    (nonlinearities, "relu", "rectify"),
    (nonlinearities, "ReLU", "rectify"),
    (init, "Zeros", "Constant(0)"),
    (init, "ones", "Constant(1)"),
    (init, "TruncatedNormal", "Normal"),
    (regularization, "L2", "regularization.l2"),
    (regularization, "weight_decay", "penalty"),
    (training, "CosineAnnealingLR", "Cosine"),
    (training, "ReduceLROnPlateau", "here it is ReduceOnPlateau"),
    (training, "ModelCheckpoint", "Checkpoint"),
    (utils, "to_categorical", "one_hot"),
    (data, "transforms", "Flip"),
    (updates, "Adam", "updates.adam"),
    (updates, "AdamW", "adamw"),
    (objectives, "mse", "squared_error"),
    (objectives, "CrossEntropyLoss", "categorical_crossentropy"),
    (init, "xavier", "GlorotUniform"),
    (data, "DataLoader", "data.Loader"),
    (data, "ImageFolder", "data.image_folder"),
    (lasagne_like, "optimizers", "lasagne_like.updates"),
    (lasagne_like, "Dense", "lasagne_like.layers.DenseLayer"),
    (lasagne_like, "Sequential", "one layer after another"),
    (lasagne_like, "VGG16", "lasagne_like.models.vgg16"),
])  # fmt: skip
def test_names_of_other_libraries(module, name, instead):
    with pytest.raises(AttributeError, match=re.escape(instead)) as caught:
        getattr(module, name)
    assert name in str(caught.value)
    assert not hasattr(module, name)
    # Python would replace the message of an AttributeError here.
    with pytest.raises(ImportError, match=re.escape(instead)):
        exec(f"from {module.__name__} import {name}")


def test_ordinary_imports_still_work():
    code = (
        "from lasagne_like.layers import conv, DenseLayer\nfrom lasagne_like import plot, layers\n"
        "import lasagne_like.layers.dense as d\nfrom lasagne_like.layers import *\nassert d.DenseLayer is DenseLayer\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="'__path_of_nothing__'$"):
        layers.__path_of_nothing__  # noqa: B018


NET = InputLayer((None, 3, 8, 8))


@pytest.mark.parametrize("make, parts", [
    (lambda: DenseLayer(NET, units=10), ["'units' (here it is num_units)"]),
    (lambda: DenseLayer(NET, 10, activation="relu"), ["'activation' (here it is nonlinearity)"]),
    (lambda: DenseLayer(NET, activation="relu", units=3), ["'activation'", "'units' (here it is num_units)"]),
    (lambda: layers.Conv2DLayer(NET, filters=3, kernel_size=3, strides=2, padding="same"),
     ["num_filters", "filter_size", "stride", "pad"]),
    (lambda: layers.MaxPool2DLayer(NET, kernel_size=2), ["pool_size"]),
    (lambda: layers.DropoutLayer(NET, rate=0.5), ["'rate' (here it is p)"]),
    (lambda: layers.BatchNormLayer(NET, momentum=0.9), ["alpha = 1 - momentum"]),
    (lambda: layers.BatchNormLayer(NET, eps=1e-5), ["epsilon"]),
    (lambda: DenseLayer(NET, 3, use_bias=False), ["b=None"]),
    (lambda: DenseLayer(NET, 3, input_shape=(3,)), ["an InputLayer(shape) below the layer"]),
    (lambda: layers.Conv2DLayer(NET, 3, 3, data_format="channels_last"), ["(batch, channels, rows, columns)"]),
    (lambda: DenseLayer(NET, 3, num_unit=4), ["perhaps you meant num_units"]),
    (lambda: layers.RandomRotation(NET, factor=0.1), ["degrees"]),
    (lambda: layers.RandomShift(NET, height_factor=0.1), ["shift"]),
])  # fmt: skip
def test_arguments_of_other_libraries(make, parts):
    with pytest.raises(TypeError, match="unexpected keyword argument") as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("make, parts", [
    (lambda: data.image_folder("x", target_size=(150, 150)), ["image_folder got", "'target_size' (here it is size)"]),
    (lambda: data.image_folder(directory="x", color_mode="rgb"), ["'directory' (here it is path)", "mode"]),
    (lambda: data.image_splits(Path(__file__).parent, validation_split=0.2), ["image_splits(path, test=0.2)"]),
    (lambda: data.Loader([1.0], num_workers=2, transform=None), ["Loader got", "workers", "augment"]),
    (lambda: data.Loader(dataset=[1.0]), ["'dataset' (here it is X)"]),
    (lambda: data.Loader([1.0], horizontal_flip=True), ["augment=[Flip()]"]),
    (lambda: data.Rotate(angle=3), ["Rotate got", "degrees"]),
    (lambda: data.Shift(fill_mode="nearest"), ["edge"]),
    (lambda: data.train_test_split([1, 2], test_size=1, random_state=0), ["'test_size' (here it is test)", "seed"]),
    (lambda: updates.adam(1, [], lr=0.1), ["adam got", "learning_rate"]),
    (lambda: updates.sgd(1, [], 0.1, momentum=0.9), ["updates.momentum"]),
    (lambda: updates.adam(1, [], 0.1, learning_rates=0.1), ["perhaps you meant learning_rate"]),
])  # fmt: skip
def test_arguments_of_functions(make, parts):
    with pytest.raises(TypeError, match="unexpected keyword argument") as caught:
        make()
    for part in parts:
        assert part in str(caught.value)
    with pytest.raises(TypeError, match=r"train_test_split\(\) got an unexpected|'lists'"):
        data.train_test_split([1, 2], lists=3)
    with pytest.raises(TypeError, match=r"adam\(\) missing 1 required positional argument: 'params'"):
        updates.adam(1)


def test_a_layer_may_take_arguments_of_these_names():
    class Own(layers.Layer):
        def __init__(self, incoming, units, **kwargs):
            self.rate = kwargs.pop("rate", 1)
            super().__init__(incoming, **kwargs)

        def get_output_for(self, input, **kwargs):
            return input * self.rate

    assert Own(NET, units=3, rate=2).rate == 2
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'units'"):
        Own(NET)


def test_nonlinearities_by_name():
    for given, meant in (
        ("relu", "rectify"), ("ReLU", "rectify"), ("rectify", "rectify"), ("Softmax", "softmax"), ("linear", "linear"),
        ("leaky_relu", "leaky_rectify"), ("very_leaky_rectify", "very_leaky_rectify"), (None, "identity"),
    ):  # fmt: skip
        expected = getattr(nonlinearities, meant)
        assert DenseLayer(NET, 3, nonlinearity=given).nonlinearity is expected
        assert layers.Conv2DLayer(NET, 3, 3, nonlinearity=given).nonlinearity is expected
        assert layers.NonlinearityLayer(NET, given).nonlinearity is expected
        assert layers.NINLayer(NET, 3, nonlinearity=given).nonlinearity is expected
    x = np.array([-1.0, 2.0], "float32")
    network = layers.NonlinearityLayer(InputLayer((None,)), "relu")
    assert symc.function([network.input_layer.input_var], layers.get_output(network))(x).tolist() == [0, 2]
    with pytest.raises(ValueError, match="nonlinearity='relux' is unknown; .*or one of the names elu, gelu"):
        DenseLayer(NET, 3, nonlinearity="relux")
    assert DenseLayer(NET, 3, nonlinearity="Swish").nonlinearity is nonlinearities.silu
    with pytest.raises(ValueError, match="here it is softmax: the loss categorical_crossentropy"):
        DenseLayer(NET, 3, nonlinearity="log_softmax")
    with pytest.raises(TypeError, match=r"the class LeakyRectify: pass an instance"):
        DenseLayer(NET, 3, nonlinearity=nonlinearities.LeakyRectify)
    with pytest.raises(TypeError, match="nonlinearity=3"):
        DenseLayer(NET, 3, nonlinearity=3)


def test_initialisers_by_name():
    def deviation(spec):
        return float(DenseLayer((None, 400), 400, W=spec).W.get_value().std())

    assert abs(deviation("glorot") - np.sqrt(2 / 800)) < 2e-3
    assert abs(deviation("HeNormal") - np.sqrt(1 / 400)) < 2e-3
    assert abs(deviation("he_normal") - np.sqrt(2 / 400)) < 3e-3  # the rectifiers' gain, as where the name comes from
    assert deviation("zeros") == 0 and DenseLayer((None, 4), 4, b="ones").b.get_value().tolist() == [1] * 4
    with pytest.raises(ValueError, match="'glorot_unifrm' is unknown; perhaps you meant 'glorot_uniform'"):
        DenseLayer(NET, 3, W="glorot_unifrm")
    with pytest.raises(ValueError, match="pass nonlinearity='relu'"):
        DenseLayer(NET, 3, "relu")  # the third argument is W


@pytest.mark.parametrize("name, instead", [
    ("summary", "layers.summary"), ("fit", "Trainer(network).fit"), ("predict", "Trainer(network).predict"),
    ("get_weights", "get_all_param_values"), ("state_dict", "save_weights"), ("parameters", "get_all_params"),
    ("shape", "output_shape"), ("bias", "layer.b"),
])  # fmt: skip
def test_methods_of_models(name, instead):
    with pytest.raises(AttributeError, match=re.escape(instead)):
        getattr(DenseLayer(NET, 3), name)
    if name not in ("predict", "shape", "bias"):
        with pytest.raises(AttributeError, match=re.escape(instead)):
            getattr(lasagne_like.Model(DenseLayer(NET, 3)), name)


def test_layers_of_a_model_by_wrong_names():
    network = lasagne_like.Model(DenseLayer(NET, 3, name="block5_pool"))
    with pytest.raises(KeyError, match="no layer 'block5_pol'; perhaps you meant 'block5_pool'"):
        network["block5_pol"]
    twin = copy.deepcopy(network)
    assert "block5_pool" in twin and twin.get("other") is None and not hasattr(twin, "nothing")


@pytest.mark.parametrize("make, message", [
    (lambda: layers.Conv2DLayer(NET, 32, 3, "relu"), "got 'relu': to set a nonlinearity, pass nonlinearity='relu'"),
    (lambda: InputLayer(32, 32, 3), r"InputLayer: shape=32: expected a tuple .* such as \(None, 3, 160, 160\)"),
    (lambda: DenseLayer(NET, "10"), "num_units=.10.: expected an integer"),
    (lambda: DenseLayer(10, NET), "the layer below comes first"),
    (lambda: DenseLayer(10)(NET), "missing 1 required .* 'num_units'; the first argument is the layer"),
    (lambda: layers.GlobalPoolLayer(NET, "avg"), "pool_function='avg': expected a function .* such as T.mean"),
    (lambda: layers.FeaturePoolLayer(NET, 3, pool_function="max"), "pool_function='max'"),
])  # fmt: skip
def test_arguments_in_the_order_of_other_libraries(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_errors_of_constructors_name_the_layer():
    with pytest.raises(TypeError) as caught:
        layers.Conv2DLayer(NET, 32, 3, 1.5)
    assert "Conv2DLayer" in "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def test_modes_of_other_libraries():
    with pytest.warns(UserWarning, match=r"training \(here it is deterministic: deterministic=True"):
        layers.get_output(NET, training=False)


def test_layers_are_copied_and_pickled_as_before():
    layer = DenseLayer(NET, 3)
    for twin in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.num_units == 3
    assert not hasattr(layer, "nothing") and not hasattr(NET, "input_layer")
    with pytest.raises(AttributeError, match="InputLayer has 0 inputs, hence no input_layer"):
        NET.input_layer  # noqa: B018


def test_functions_take_the_dict_of_a_model():
    network = {"input": InputLayer((None, 4))}
    network["hidden"] = DenseLayer(network["input"], 3, name="hidden")
    network["output"] = DenseLayer(network["hidden"], 2, name="output")
    top = network["output"]
    assert layers.summary(network) == layers.summary(top) and layers.count_params(network) == 23
    assert layers.get_all_layers(network) == layers.get_all_layers(top)
    assert layers.get_all_params(network, trainable=True) == layers.get_all_params(top)
    assert layers.get_output_shape(network) == (None, 2)
    assert layers.get_output_shape(network, (7, 4)) == (7, 2)
    x = np.ones((5, 4), "float32")
    expected, found = (layers.get_output(n, x).eval() for n in (top, network))
    np.testing.assert_array_equal(found, expected)
    layers.set_all_param_values(network, layers.get_all_param_values(network))
    assert (
        regularization.regularize_network_params(network, regularization.l2).eval()
        == regularization.regularize_layer_params(network, regularization.l2).eval()
    )
    with pytest.raises(TypeError, match=r"a dict of 3 layers: choose one of them, such as network\['output'\]"):
        DenseLayer(network, 3)


def test_version():
    assert lasagne_like.__version__ == symc.__version__ == "0.1.0"


@pytest.mark.parametrize("value, threads", [("1", 1), ("3,2", 3), ("", 0), ("many", 0)])
def test_number_of_threads(value, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert Config().threads == threads
    settings = Config()
    read_flags(settings, "threads=2")  # what SYMC_FLAGS says counts more
    assert settings.threads == 2


@pytest.mark.parametrize("function, argument, instead", [
    (models.vgg16, "classes", "num_classes"),
    (models.resnet18, "pretrained", "weights='imagenet'"),
    (models.efficientnet_lite0, "input_tensor", "input_var"),
    (models.lenet5, "activation", "nonlinearity"),
    (models.vgg16, "weigths", "perhaps you meant weights"),
    (lasagne_like.NeuralNetClassifier, "hidden_layer_sizes", "network"),
    (lasagne_like.NeuralNetRegressor, "max_iter", "epochs"),
    (training.StepDecay, "step_size", "every"),
    (training.Exponential, "gamma", "factor"),
    (training.Cosine, "T_max", "epochs"),
    (training.Warmup, "warmup_epochs", "epochs"),
    (training.Piecewise, "milestones", "rates"),
    (training.EarlyStopping, "restore_best_weights", "restore_best=True"),
    (training.ReduceOnPlateau, "min_lr", "min_rate"),
    (training.Checkpoint, "filepath", "path"),
    (training.CSVLogger, "filename", "path"),
    (training.TensorBoard, "log_dir", "folder"),
    (training.Metric, "fn", "items"),
    (data.Preprocess, "rescale", "scale"),
    (data.Preprocess, "size", "resize"),
])  # fmt: skip
def test_arguments_of_builders_and_estimators(function, argument, instead):
    with pytest.raises(TypeError, match=f"{function.__name__} got .*'{argument}' .*{re.escape(instead)}"):
        function(**{argument: 1})


@pytest.mark.parametrize("name, instead", [("lr", "learning_rate"), ("optimizer", "update"),
                                           ("batchsize", "batch_size"), ("learnig_rate", "learning_rate")])  # fmt: skip
def test_attributes_of_a_trainer_that_would_have_no_effect_are_refused(name, instead):
    trainer = Trainer(dense("softmax"))
    with pytest.raises(AttributeError, match=f"'{name}'; .*{instead}"):
        setattr(trainer, name, 1e-4)
    with pytest.raises(AttributeError, match=f"'{name}'; .*{instead}"):
        getattr(trainer, name)
    trainer.note = "attributes of your own are welcome"
    trainer.learning_rate = 1e-4
    assert trainer.learning_rate == pytest.approx(1e-4)
    assert pickle.loads(pickle.dumps(trainer)).note == trainer.note


@pytest.mark.parametrize("name, instead", [("summary", "layers.summary"), ("compile", "Trainer"), ("score", "evaluate"),
                                           ("predict_proba", "predict"), ("state_dict", "save")])  # fmt: skip
def test_methods_of_models_of_other_libraries_on_a_trainer(name, instead):
    with pytest.raises(AttributeError, match=f"'{name}'; here it is .*{re.escape(instead)}"):
        getattr(Trainer(dense("softmax")), name)


@pytest.mark.parametrize("call, error, message", [
    (lambda net: Trainer(net, penalty="l2"), TypeError, "penalty='l2'.*regularize_network_params"),
    (lambda net: Trainer(net, penalty=1e-4), TypeError, "penalty=0.0001.*expected a scalar expression"),
    (lambda net: transfer.replace_head(net, classes=3), TypeError, "got 3; if that is their number, use num_classes"),
    (lambda net: transfer.replace_head(net, classes={"cat", "dog"}), TypeError, "set, which has no order"),
    (lambda net: lasagne_like.Model(net, classes=frozenset("abc")), TypeError, "frozenset, which has no order"),
    (lambda net: lasagne_like.save(net, "model.safetensors"), TypeError, "the path comes first, got DenseLayer"),
    (lambda net: lasagne_like.save("model.safetensors", Trainer(net)), TypeError, "trainer.network"),
    (lambda net: lasagne_like.save_weights(net, "weights.npz"), TypeError, "the path comes first"),
    (lambda net: lasagne_like.load_weights(net, "weights.npz"), TypeError, "the path comes first"),
    (lambda net: Trainer(net).evaluate(np.zeros((2, 4))), TypeError, r"targets y are missing: evaluate\(X, y\)"),
    (lambda net: DenseLayer(InputLayer((5,)), 3), ValueError, r"the first axis is the batch: InputLayer\(\(None"),
    (lambda net: training.Cosine("0.1", 5), ValueError, "Cosine: start='0.1', expected a finite number"),
    (lambda net: training.StepDecay(0.1, 2, -1), ValueError, "StepDecay: factor=-1"),
    (lambda net: training.Exponential(0.1, -1), ValueError, "Exponential: factor=-1"),
    (lambda net: training.Piecewise([0.1]), ValueError, "expected a dict from the first epoch"),
    (lambda net: training.Piecewise({0: 0.1, 3: None}), ValueError, "rates=.*expected finite numbers"),
    (lambda net: training.Metric("share", whole=3), TypeError, "'share': items and whole are functions"),
])  # fmt: skip
def test_arguments_of_the_wrong_kind_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(dense("softmax"))
    assert layers.MaxPool2DLayer((None, 3, 16, 16), 17, pad=1).output_shape == (None, 3, 1, 1)


def dense(nonlinearity):
    return DenseLayer(InputLayer((None, 4), name="input"), 2, nonlinearity=nonlinearity, name="out")


def constructor_arguments():
    classes = [c for c in vars(layers).values() if inspect.isclass(c) and issubclass(c, layers.Layer)]
    functions = [getattr(module, name) for module in (data, updates, models) for name in module.__all__]
    functions += [lasagne_like.NeuralNetClassifier.__init__]
    functions += [c.__init__ for c in vars(training).values() if inspect.isclass(c)]
    functions = [f for f in functions if callable(f) and not (inspect.isclass(f) and issubclass(f, Exception))]
    return {name for c in [*(c.__init__ for c in classes), *functions] for name in inspect.signature(c).parameters}


def test_the_tables_are_true():
    """Every name that an error recommends exists."""
    for home, tables in foreign_names.TABLES.items():
        for foreign, instead in ((k, v) for table in tables for k, v in table.items()):
            if home in ("lasagne_like", "data", "training", "utils") or " of your own" in instead:
                continue
            if home == "init":
                named = re.match(r"\w+", instead)[0]
                assert named in init.__all__ or named == "an" or init.resolve(instead), foreign
                continue
            first = re.match(r"\w+", instead)[0]
            exact = first in MODULES[home].__all__ or canonical(first, MODULES[home].__all__, {})
            assert exact or " " in instead, f"{home}: {foreign} -> {instead}"
    for instead in foreign_names.TRAINING.values():
        first = re.match(r"\w+", instead)[0]
        assert first in training.__all__ or " " in instead or first == "Trainer", instead
    trained = {*vars(Trainer(dense("softmax"))), *dir(Trainer), *inspect.signature(Trainer).parameters}
    for instead in foreign_methods.TRAINER_ATTRIBUTES.values():
        named = re.match(r"\w+", instead)[0]
        assert named in trained or named in ("Trainer", "lasagne_like"), instead
    sentences = [v for name in ("TOP", "LAYERS") for v in getattr(foreign_names, name).values()]
    sentences += [*foreign_methods.METHODS.values(), *foreign_methods.TRAINER_ATTRIBUTES.values()]
    for sentence in sentences:
        for path in re.findall(r"\b(?:lasagne_like|layers|nonlinearities|data)\.[\w.]+\w", sentence):
            found = lasagne_like
            for part in path.removeprefix("lasagne_like.").split("."):
                if path not in UNBUILT:
                    found = getattr(found, part)
    known = constructor_arguments()
    for foreign, options in foreign_names.ARGUMENTS.items():
        for option in options:
            name = re.match(r"\w+", option)[0]
            assert name in known or " " in option, f"{foreign} -> {option}"


UNBUILT: set[str] = {"lasagne_like.save", "lasagne_like.save_weights", "lasagne_like.load_weights"}
