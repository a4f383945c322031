"""Calls of fit: fresh state, layers that change, sources of data, weights, several inputs and outputs, blame."""

import copy
import importlib.util
import pickle
import sys
import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import lasagne_like
import symc
import symc.tensor as T
from lasagne_like import Model, Trainer
from lasagne_like.data import Preprocess
from lasagne_like.layers import (
    ConcatLayer,
    Conv2DLayer,
    DenseLayer,
    DropoutLayer,
    ElemwiseSumLayer,
    EmbeddingLayer,
    FlattenLayer,
    InputLayer,
    Layer,
    NonlinearityLayer,
    RandomFlip,
    RescaleLayer,
    batch_norm,
)
from lasagne_like.nonlinearities import linear, sigmoid, softmax, tanh
from lasagne_like.training import Cosine, NonFiniteLossError
from lasagne_like.transfer import freeze, unfreeze
from lasagne_like.updates import adam, sgd, total_norm_constraint

RNG = np.random.RandomState(0)
X = RNG.randn(80, 4).astype("float32")
Y = (X @ [1.0, -2, 0.5, 0] > 0).astype("int64")


def classifier(seed=0, noisy=False):
    lasagne_like.random.set_rng(np.random.RandomState(seed))
    layer = DenseLayer(InputLayer((None, 4), name="input"), 8, name="hidden")
    if noisy:
        layer = DropoutLayer(batch_norm(layer), p=0.3, name="dropout")
    return DenseLayer(layer, 2, nonlinearity=softmax, name="out")


def quiet(network, **kwargs):
    return Trainer(network, **({"verbose": False, "batch_size": 16, "learning_rate": 0.02} | kwargs))


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)


# Fresh state.


def test_a_second_fit_does_not_rewind_to_the_first():
    trainer = quiet(classifier(), learning_rate=0.1)
    trainer.fit(X, Y, 6, validation=(X, Y))
    first, best = trainer.param_values(), min(trainer.history["valid_error"])
    trainer.fit(X, 1 - Y, 1, validation=(X, 1 - Y))
    assert trainer.history["valid_error"][-1] > best  # it is worse than what the first fit had on its own data
    assert trainer.best_epoch == 7 and not same(first, trainer.param_values())


def test_fit_in_a_loop_moves_on():
    trainer = quiet(classifier(), update=sgd, learning_rate=0.5)
    for k in range(3):
        before = trainer.param_values()
        trainer.fit(X, 1 - Y if k else Y, 1, validation=(X, Y))
        assert trainer.best_epoch == k + 1 and not same(before, trainer.param_values())
    assert trainer.history["epoch"] == [1, 2, 3]


def test_a_fit_after_an_interruption_starts_from_the_present():
    class Interrupt:
        def on_epoch_end(self, trainer, record):
            if record["epoch"] == 3:
                raise KeyboardInterrupt

    trainer = quiet(classifier())
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, 5, validation=(X, Y), callbacks=Interrupt())
    assert "the best by valid_error" in trainer.weights_from
    trainer.fit(X, 1 - Y, 4, validation=(X, 1 - Y))
    assert trainer.best_epoch > 3


def test_patience_is_fresh_too():
    trainer = quiet(classifier(), learning_rate=0.0, patience=2)
    assert len(trainer.fit(X, Y, 10, validation=(X, Y))["epoch"]) == 3
    assert len(trainer.fit(X, Y, 10, validation=(X, Y))["epoch"]) == 6


def test_patience_needs_something_to_watch():
    with pytest.raises(ValueError, match="patience=2 needs a quantity to watch: give fit.*validation.*'train_loss'"):
        quiet(classifier(), patience=2).fit(X, Y, 1)
    with pytest.raises(ValueError, match="restore_best=True needs a quantity to watch"):
        quiet(classifier(), restore_best=True).fit(X, Y, 1)
    trainer = quiet(
        classifier(), patience=2, monitor="train_loss", learning_rate=lambda epoch: 0.1 if epoch < 2 else 5.0
    )
    history = trainer.fit(X, Y, 60)
    losses = history["train_loss"]
    assert len(losses) == int(np.argmin(losses)) + 3 < 60 and trainer.best_epoch == int(np.argmin(losses)) + 1
    with pytest.raises(ValueError, match="monitor='valid_auc' is no quantity of this run"):
        quiet(classifier(), monitor="valid_auc").fit(X, Y, 1, validation=(X, Y))


@pytest.mark.parametrize(
    ("settings", "validation", "text"),
    [
        ({}, None, "of epoch 2, the last"),
        ({}, (X, Y), "the best by valid_error"),
        ({"monitor": "valid_loss"}, (X, Y), "of epoch 2, the best by valid_loss"),
        ({"metrics": ["auc"], "restore_best": "valid_auc"}, 0.25, "the best by valid_auc"),
        ({"restore_best": False}, (X, Y), "of epoch 2, the last"),
    ],
)
def test_one_sentence_says_which_weights_remain(settings, validation, text, capsys):
    trainer = quiet(classifier(), verbose=True, **settings)
    trainer.fit(X, Y, 2, validation=validation)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"weights: {trainer.weights_from}" and text in last


def test_columns_of_the_history_have_one_entry_per_epoch():
    trainer = quiet(classifier())
    trainer.fit(X, Y, 1)
    trainer.fit(X, Y, 1, validation=(X, Y))
    history = trainer.fit(X, Y, 1)
    assert {len(column) for column in history.values()} == {3}
    np.testing.assert_array_equal(np.isnan(history["valid_error"]), [True, False, True])


# What changes between two fits.


def test_freezing_after_the_first_fit_takes_effect():
    network = classifier()
    trainer = quiet(network)
    trainer.fit(X, Y, 1)
    before = trainer.param_values()
    moments = trainer.training_step(trainer._step_key[0]).values()
    freeze("hidden", network)
    trainer.fit(X, Y, 1)
    after = trainer.param_values()
    assert all(np.array_equal(before[n], after[n]) == n.startswith("hidden") for n in before)
    kept = trainer._step.values()
    assert set(kept) == {"adam.t", "adam.m/out.W", "adam.v/out.W", "adam.m/out.b", "adam.v/out.b"}
    assert kept["adam.t"] == 2 * moments["adam.t"] == 10
    unfreeze("hidden", network)
    trainer.fit(X, Y, 1)
    states = trainer._step.values()
    assert states["adam.t"] == 15 and states["adam.t@1"] == 5
    assert not np.array_equal(trainer.param_values()["hidden.W"], after["hidden.W"])


def test_unfrozen_parameters_take_the_first_step_of_adam():
    """Moments of zero with an old step count would make this step about three times too long."""
    network = classifier()
    freeze("hidden", network)
    trainer = quiet(network, batch_size=80, learning_rate=0.001)
    trainer.fit(X, Y, 300)
    unfreeze("hidden", network)
    before = trainer.param_values()["hidden.W"]
    trainer.fit(X, Y, 1)
    step = abs(trainer.param_values()["hidden.W"] - before)
    np.testing.assert_allclose(step[step > 1e-6], 0.001, rtol=0.02)


def test_settings_of_layers_take_effect():
    network = classifier(noisy=True)
    dropout = network.input_layer
    trainer = quiet(network, update=sgd, learning_rate=0.0)
    first = trainer.fit(X, Y, 1)["train_loss"]
    dropout.p = 0.0
    losses = trainer.fit(X, Y, 2)["train_loss"]
    assert losses[1] == pytest.approx(losses[2], abs=0.05) and first[0] != losses[1]


def test_the_learning_rate_can_be_assigned():
    trainer = quiet(classifier())
    trainer.fit(X, Y, 1)
    trainer.learning_rate = 1e-5
    assert trainer.learning_rate == 1e-5
    before = trainer.param_values()
    assert trainer.fit(X, Y, 1)["learning_rate"] == [0.02, 1e-5]
    moved = max(abs(after - before[name]).max() for name, after in trainer.param_values().items())
    assert 0 < moved < 1e-4
    with pytest.raises(TypeError, match="learning_rate='fast'"):
        trainer.learning_rate = "fast"


def test_new_rates_do_not_compile_anything(monkeypatch):
    trainer = quiet(classifier())
    trainer.fit(X, Y, 1)
    monkeypatch.setattr(symc, "function", None)
    trainer.learning_rate = 0.5
    trainer.fit(X, Y, 1)
    trainer.schedule = Cosine(0.1, epochs=9)
    assert trainer.fit(X, Y, 1)["learning_rate"] == [0.02, 0.5, Cosine(0.1, 9)(2)]


def test_a_schedule_that_ended_is_noticed():
    trainer = quiet(classifier(), learning_rate=Cosine(0.1, epochs=2))
    trainer.fit(X, Y, 2)
    with pytest.warns(UserWarning, match="learning rate is 0 from epoch 3 on"):
        trainer.fit(X, Y, 1)


def test_a_step_returns_without_python():
    """The launcher of the C back end serves a step: its cost beside a bare function is that of the batch."""
    from symc_backends.c import launch

    trainer = quiet(classifier(noisy=True))
    trainer.fit(X, Y, 1)
    assert trainer._step.function._fast is not None or not launch.available()


def test_learning_rates_by_layer():
    network = classifier()
    trainer = quiet(network, update=sgd, learning_rate={"hid*": 0.0, "*": lambda epoch: 0.1 / (epoch + 1)})
    before = trainer.param_values()
    history = trainer.fit(X, Y, 2)
    after = trainer.param_values()
    assert history["learning_rate hid*"] == [0, 0] and history["learning_rate *"] == [0.1, 0.05]
    assert all(np.array_equal(before[n], after[n]) == n.startswith("hidden") for n in before)
    assert trainer.learning_rate == {"hid*": 0.0, "*": 0.1 / 3}
    one, other = quiet(classifier(), learning_rate={"out": 0.02, "*": 0.02}), quiet(classifier())
    one.fit(X, Y, 2), other.fit(X, Y, 2)
    for name, value in other.param_values().items():
        np.testing.assert_allclose(one.param_values()[name], value, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="no layer's name matches 'block5.'.*names: input, hidden, out"):
        quiet(classifier(), learning_rate={"block5*": 0.1, "*": 1})
    with pytest.raises(ValueError, match="no pattern matches the layers of hidden.W, hidden.b: add an entry"):
        quiet(classifier(), learning_rate={"out": 0.1}).fit(X, Y, 1)


# Sources of data.


def batches(size=16):
    return [(X[k : k + size], Y[k : k + size]) for k in range(0, len(X), size)]


def test_iterables_and_arrays_train_alike():
    source = quiet(classifier(), update=sgd)
    source.fit(batches(), epochs=2, validation=batches(20))
    by_function = quiet(classifier(), update=sgd)
    by_function.fit(lambda: iter(batches()), epochs=2, validation=(X, Y))
    assert same(source.param_values(), by_function.param_values())
    np.testing.assert_allclose(source.history["valid_loss"], by_function.history["valid_loss"], rtol=1e-5)
    with pytest.raises(ValueError, match="a generator can be read only once"):
        source.fit(iter(batches()), epochs=2)
    assert len(source.fit(iter(batches()), epochs=1)["epoch"]) == 3
    assert len(source.fit(batches(), 2)["epoch"]) == 5


def test_a_source_is_told_the_epoch():
    class Source:
        told = []

        def set_epoch(self, epoch):
            self.told.append(epoch)

        def __iter__(self):
            return iter(batches())

        def __len__(self):
            return 5

    trainer = quiet(classifier())
    trainer.fit(Source(), epochs=2)
    trainer.fit(Source(), epochs=1)
    assert Source.told == [0, 1, 2]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (X, TypeError, "X is an array, so the targets y are missing"),
        ((X, Y), TypeError, "give them as two arguments"),
        (5, TypeError, "an iterable of batches"),
        ([X[:3], X[3:6]], TypeError, "give them as two arguments"),
        ([X[:3]], ValueError, "batch 1 is ndarray: expected a tuple"),
        ([(X[:3], Y[:4])], ValueError, "X has 3 items and y has 4"),
        ([(X[:3], Y[:3]), (X[:3], np.eye(2)[Y[:3]])], ValueError, "batch 2 of epoch 1 has targets"),
        ([], ValueError, "yields no batch in epoch 1"),
    ],
)
def test_what_is_no_source(source, error, message):
    with pytest.raises(error, match=message):
        quiet(classifier()).fit(source, epochs=1)


def test_epochs_must_be_given():
    for epochs in (None, -1, 1.5, True):
        with pytest.raises(TypeError, match="number of passes over the data"):
            quiet(classifier()).fit(X, Y, epochs)
    assert quiet(classifier()).fit(X, Y, 0) == {}


def test_memory_maps_and_chunked_files_are_read_batch_by_batch(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "Y.npy", Y)

    class Chunked:
        """Reads increasing rows only, like h5py."""

        chunks, shape, dtype, largest = (8, 4), X.shape, X.dtype, 0

        def __len__(self):
            return len(X)

        def __getitem__(self, rows):
            if not isinstance(rows, slice):
                assert (np.diff(rows) > 0).all()
            Chunked.largest = max(Chunked.largest, len(X[rows]))
            return X[rows]

    results = []
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r"), np.load(tmp_path / "Y.npy", mmap_mode="r")
    for inputs, targets in ((X, Y), mapped, (Chunked(), Y)):
        trainer = quiet(classifier())
        trainer.fit(inputs, targets, 2, validation=(inputs, targets))
        results.append(trainer.param_values())
    assert same(results[0], results[1]) and same(results[0], results[2])
    assert Chunked.largest == 16


def test_bytes_are_converted_per_batch():
    pictures = np.random.RandomState(0).randint(0, 256, (40, 3, 4, 4)).astype("uint8")
    labels = (pictures[:, 0].mean(axis=(1, 2)) > 127).astype("uint8")
    made = []
    for array in (pictures, pictures.astype("float32"), pictures.astype("float64"), list(pictures)):
        lasagne_like.random.set_rng(np.random.RandomState(0))
        trainer = quiet(DenseLayer(InputLayer((None, 3, 4, 4)), 2, nonlinearity=softmax), learning_rate=1e-4)
        trainer.fit(array, labels, 1, validation=0.2)
        made.append(trainer.param_values())
    assert all(same(made[0], other) for other in made[1:])


def test_bytes_enter_expressions_that_refer_to_the_input():
    pixels = T.tensor4("pixels")
    layer = InputLayer((None, 3, 4, 4), pixels)
    network = DenseLayer(layer, 2, nonlinearity=softmax, name="out")
    pictures = np.random.RandomState(0).randint(0, 256, (40, 3, 4, 4)).astype("uint8")
    start = network.W.get_value()
    losses = []
    for array in (pictures, pictures.astype("float32")):
        network.W.set_value(start)
        network.b.set_value(np.zeros(2))
        trainer = quiet(
            network,
            loss=lambda p, t: (p[:, 0] - t) ** 2 + 1e-3 * pixels.mean(axis=(1, 2, 3)),
            penalty=1e-3 * T.mean(pixels),
            update="sgd",
            learning_rate=1e-5,
        )
        history = trainer.fit(array, np.arange(40) % 2, 2)
        losses.append(history["train_loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    pictures[:] = 255
    network.W.set_value(np.full((48, 2), 1e38))
    assert blamed(network, pictures, np.zeros(40, int)).origin == "output of layer out (DenseLayer)"


def test_a_held_out_fraction_is_never_trained_on():
    marked = np.zeros((50, 1), "float32")
    seen = []

    class Spy:
        def on_batch_end(self, trainer, batch):
            seen.append(batch)

    network = DenseLayer(InputLayer((None, 1)), 1, nonlinearity=linear, name="out")
    trainer = quiet(network, batch_size=1)
    trainer.fit(marked, marked, 2, validation=0.2, callbacks=[Spy()])
    assert len(seen) == 2 * 40
    with pytest.raises(ValueError, match="expected a fraction between 0 and 1"):
        trainer.fit(marked, marked, 1, validation=1.5)


def test_the_order_is_a_function_of_seed_and_epoch():
    first, second = quiet(classifier(), seed=3), quiet(classifier(), seed=3)
    first.fit(X, Y, 3)
    for _ in range(3):
        second.fit(X, Y, 1)
    assert same(first.param_values(), second.param_values())
    other = quiet(classifier(), seed=4)
    other.fit(X, Y, 3)
    assert not same(first.param_values(), other.param_values())


# Weights.


def test_weights_count_items_several_times():
    weights = np.random.RandomState(2).randint(0, 4, 80)
    weighted = quiet(classifier(), batch_size=1000, update=sgd)
    repeated = quiet(classifier(), batch_size=1000, update=sgd)
    weighted.fit(X, Y, 3, sample_weights=weights)
    XX, YY = np.repeat(X, weights, axis=0), np.repeat(Y, weights)
    repeated.fit(XX, YY, 3)
    for name, value in repeated.param_values().items():
        np.testing.assert_allclose(weighted.param_values()[name], value, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weighted.history["train_loss"], repeated.history["train_loss"], rtol=1e-5)
    np.testing.assert_allclose(weighted.evaluate(X, Y, weights), repeated.evaluate(XX, YY), rtol=1e-5)
    weighted.fit(X, Y, 1, sample_weights=np.zeros(80))
    assert weighted.history["train_loss"][-1] == 0


def test_class_weights_are_weights_of_items():
    by_class, by_item = quiet(classifier()), quiet(classifier())
    by_class.fit(X, Y, 2, class_weights={0: 0.5, 1: 2})
    by_item.fit(X, Y, 2, sample_weights=np.where(Y == 1, 2, 0.5))
    assert same(by_class.param_values(), by_item.param_values())
    one_hot = quiet(classifier())
    one_hot.fit([(x, np.eye(2)[y]) for x, y in batches()], epochs=1, class_weights=[0.5, 2])
    assert one_hot.history["train_loss"][0] > 0
    balanced = quiet(classifier(), update=sgd)
    balanced.fit(X, Y, 1, class_weights="balanced")
    n, ones = len(Y), int(Y.sum())
    explicit = quiet(classifier(), update=sgd)
    explicit.fit(X, Y, 1, class_weights={0: n / (2 * (n - ones)), 1: n / (2 * ones)})
    assert same(balanced.param_values(), explicit.param_values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weights": np.ones(79)}, "expected 80 numbers, one per item"),
        ({"sample_weights": -np.ones(80)}, "finite and not negative"),
        ({"class_weights": {0: 1, 2: 1}}, "the output has 2 classes"),
        ({"class_weights": "even"}, "expected a dict, a list, or 'balanced'"),
    ],
)
def test_weights_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        quiet(classifier()).fit(X, Y, 1, **options)


# Several inputs and outputs.


def test_several_inputs_by_order_and_by_name():
    def build():
        lasagne_like.random.set_rng(np.random.RandomState(0))
        left, right = InputLayer((None, 3), name="left"), InputLayer((None, 1), name="right")
        return DenseLayer(ConcatLayer([left, right]), 2, nonlinearity=softmax, name="out")

    results = []
    for inputs in ((X[:, :3], X[:, 3:]), [X[:, :3], X[:, 3:]], {"right": X[:, 3:], "left": X[:, :3]}):
        trainer = quiet(build())
        trainer.fit(inputs, Y, 2, validation=(inputs, Y))
        results.append(trainer.param_values())
        assert trainer.predict(inputs).shape == (80, 2)
    assert same(results[0], results[1]) and same(results[0], results[2])
    with pytest.raises(ValueError, match=r"2 input layers \(left, right\): give a tuple of 2 arrays.*got ndarray"):
        trainer.fit(X, Y, 1)
    with pytest.raises(ValueError, match=r"inputs for \['lft'\]: the network has the input layers"):
        trainer.predict({"lft": X})


def test_several_outputs():
    hidden = DenseLayer(InputLayer((None, 4), name="input"), 8, nonlinearity=tanh, name="hidden")
    kind = DenseLayer(hidden, 2, nonlinearity=softmax, name="kind")
    size = DenseLayer(hidden, 1, nonlinearity=linear, name="size")
    sizes = X[:, 0] - X[:, 1]
    trainer = quiet([kind, size], loss_weights={"size": 0.5})
    history = trainer.fit(X, (Y, sizes), 3, validation=(X, {"size": sizes, "kind": Y}))
    assert {"valid_loss", "valid_kind.error", "valid_kind.loss", "valid_size.rmse", "valid_size.loss"} <= set(history)
    scores = trainer.evaluate(X, (Y, sizes))
    assert scores["loss"] == pytest.approx(scores["kind.loss"] + 0.5 * scores["size.loss"])
    probabilities, predicted = trainer.predict(X)
    assert scores["size.rmse"] == pytest.approx(np.sqrt(np.mean((predicted[:, 0] - sizes) ** 2)), rel=1e-4)
    assert scores["kind.error"] == pytest.approx((probabilities.argmax(axis=1) != Y).mean())
    with pytest.raises(ValueError, match=r"2 outputs \(kind, size\): give a tuple of 2 arrays of targets"):
        trainer.fit(X, Y, 1)
    with pytest.raises(ValueError, match="loss has 3 entries for 2 outputs"):
        Trainer([kind, size], loss=[None] * 3)


def test_integer_inputs():
    words = np.random.RandomState(0).randint(0, 10, (40, 3))
    network = FlattenLayer(EmbeddingLayer(InputLayer((None, 3), T.imatrix("words")), 10, 4))
    trainer = quiet(DenseLayer(network, 1, nonlinearity=sigmoid))
    trainer.fit(words, words[:, 0] > 4, 2)
    with pytest.raises(TypeError, match="X has dtype float64, but the network's input has dtype int32: give integers"):
        trainer.predict(words + 0.5)


# Blame.


def blamed(network, inputs=X, targets=Y, **kwargs):
    trainer = quiet(network, **kwargs)
    before = trainer.param_values()
    with pytest.raises(NonFiniteLossError) as info:
        trainer.fit(inputs, targets, 1)
    assert same(before, trainer.param_values())
    return info.value


@pytest.mark.parametrize("units", [1, 2, 3])
def test_the_op_and_the_line_are_named_for_outputs_of_any_width(units):
    hidden = DenseLayer(InputLayer((None, 4)), 4, nonlinearity=tanh, name="hidden")
    root = NonlinearityLayer(hidden, lambda x: T.sqrt(x - 2), name="root")  # the guilty line
    activation = sigmoid if units == 1 else softmax
    error = blamed(DenseLayer(root, units, nonlinearity=activation, name="out"), targets=np.zeros(80))
    assert error.origin == "output of layer root (NonlinearityLayer)" and error.op == "sqrt"
    assert error.line.endswith("# the guilty line") and __file__ in error.line
    assert error.where == "epoch 1, batch 1"
    assert "the op sqrt, whose operands are finite, at " in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_layer_without_a_line_of_its_own_is_located_where_it_was_created():
    network = classifier()
    hidden = network.input_layer
    hidden.W.set_value(np.full((4, 8), 1e38, "float32"))
    error = blamed(network, inputs=np.full((80, 4), 9.0))
    assert error.origin == "output of layer hidden (DenseLayer)" and error.op == "dot"
    assert 'name="hidden"' in error.line


class Scaled(Layer):
    """``sqrt(scale) * x``: the slope by the scale is infinite at 0, though the values are finite."""

    def __init__(self, incoming, **kwargs):
        super().__init__(incoming, **kwargs)
        self.scale = self.add_param(np.zeros(4, "float32"), (4,), name="scale")

    def get_output_for(self, input, **kwargs):
        return input * T.sqrt(self.scale)


def test_a_gradient_that_is_not_finite_is_blamed_on_its_layer():
    scaled = Scaled(InputLayer((None, 4), name="input"), name="scaled")  # created here
    error = blamed(DenseLayer(scaled, 2, nonlinearity=softmax, name="out"))
    assert error.origin == "gradient through layer scaled (Scaled)" and error.line.endswith("# created here")
    assert "a gradient is not finite, in epoch 1, batch 1" in str(error) and "4 infinite of 4 values" in str(error)

    def odd(prediction, target):
        return T.sqrt((prediction - prediction) ** 2) + (prediction - target) ** 2

    error = blamed(DenseLayer(InputLayer((None, 4)), 1, nonlinearity=linear, name="out"), loss=odd)
    assert error.origin == "gradient of the loss" and "def odd" in error.line


def test_an_update_that_clips_may_take_an_infinite_gradient():
    def clipped(loss, params, learning_rate):
        return sgd([T.clip(g, -1, 1) for g in symc.grad(loss, params)], params, learning_rate)

    scaled = Scaled(InputLayer((None, 4)), name="scaled")
    trainer = quiet(DenseLayer(scaled, 2, nonlinearity=softmax, name="out"), update=clipped, batch_size=80)
    trainer.fit(X, Y, 1)
    np.testing.assert_allclose(abs(trainer.param_values()["scaled.scale"]), 0.02, rtol=1e-5)


def test_the_right_batch_is_blamed_and_nothing_after_it_counts():
    """The trainer looks for failures only now and then; the failing step and later ones must change nothing."""
    bad = X.copy()
    order = np.random.default_rng([0, 0]).permutation(80)
    bad[order[16 * 2 + 3]] = np.nan
    network, until_then = classifier(noisy=True), classifier(noisy=True)
    trainer = quiet(network)
    with pytest.raises(NonFiniteLossError, match="epoch 1, batch 3") as info:
        trainer.fit(bad, Y, 1)
    assert info.value.origin == "input"
    other = quiet(until_then)
    other.fit([(X[rows], Y[rows]) for rows in (order[:16], order[16:32])], epochs=1)
    assert same(trainer.param_values(), other.param_values())
    assert all(np.isfinite(value).all() for value in trainer.param_values().values())


def test_random_layers_draw_in_the_diagnosis_what_they_drew_in_the_step():
    dropped = DropoutLayer(InputLayer((None, 4)), p=0.5, rescale=False, name="dropout")
    network = DenseLayer(NonlinearityLayer(dropped, lambda x: T.log(x), name="log"), 2, nonlinearity=softmax)
    error = blamed(network, inputs=np.ones((80, 4)), batch_size=80)
    assert error.origin == "output of layer log (NonlinearityLayer)" and error.op == "log"


# Copies.


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_copies_go_on_alike(twin):
    trainer = quiet(classifier(noisy=True))
    fresh = twin(trainer)
    trainer.fit(X, Y, 2, validation=(X, Y))
    fresh.fit(X, Y, 2, validation=(X, Y))
    assert same(trainer.param_values(), fresh.param_values())
    other = twin(trainer)
    before = trainer.param_values()
    other.fit(X, Y, 2)
    assert same(before, trainer.param_values())
    trainer.fit(X, Y, 2)
    assert same(trainer.param_values(), other.param_values())
    assert trainer.history["train_loss"] == other.history["train_loss"]


def test_an_update_of_ones_own_sees_all_parameters():
    seen = []

    def clipped(loss, params, learning_rate):
        seen.append(len(params))
        gradients = total_norm_constraint(symc.grad(loss, params), 0.1)
        return sgd(gradients, params, learning_rate)

    trainer = quiet(classifier(), update=clipped)
    trainer.fit(X, Y, 1)
    assert seen == [4]


def test_progress_within_an_epoch_where_a_person_watches(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    quiet(classifier(), verbose=True).fit(X, Y, 1)
    assert "epoch 1" in capsys.readouterr().err
    quiet(classifier()).fit(X, Y, 1)
    assert capsys.readouterr() == ("", "")


def test_progress_in_a_notebook(monkeypatch, capsys):
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # without widgets
    quiet(classifier(), verbose=True).fit(X, Y, 1)
    assert "epoch 1" in capsys.readouterr().err


def test_settings_of_an_optimiser():
    trainer = quiet(classifier(), update=partial(adam, beta1=0.5))
    trainer.fit(X, Y, 1)
    assert {"adam.t", "adam.m/out.W"} <= set(trainer._step.values())


def test_two_layers_that_share_parameters_are_trained_once():
    inputs = InputLayer((None, 4), name="input")
    one = DenseLayer(inputs, 4, nonlinearity=None, name="one")
    two = DenseLayer(one, 4, W=one.W, b=one.b, name="two")
    trainer = quiet(DenseLayer(ElemwiseSumLayer([one, two]), 2, nonlinearity=softmax, name="out"))
    trainer.fit(X, Y, 1)
    assert sorted(trainer.param_values()) == ["one.W", "one.b", "out.W", "out.b"]


# A last batch of one item, and what else the data may hide.


def test_a_last_batch_of_one_item_does_not_spoil_batch_normalisation():
    """17 items in batches of 16: the averages are those of the batches of 16 alone."""
    layer = batch_norm(DenseLayer(InputLayer((None, 4)), 3, nonlinearity=None, name="hidden"), alpha=0.5)
    trainer = quiet(DenseLayer(layer, 2, nonlinearity=softmax), learning_rate=0.0)
    trainer.fit(X[:17], Y[:17], 1)
    norm = next(each for each in trainer.objective.layers if type(each).__name__ == "BatchNormLayer")
    weights = norm.input_layer.W.get_value()
    averages = norm.mean.get_value()
    projected = X[:17] @ weights
    without_one = (projected.sum(axis=0) - projected) / 16  # the mean of the 16 others, for each item
    assert np.abs(0.5 * without_one - averages).max(axis=1).min() < 1e-5
    assert norm.inv_std.get_value().max() < 2 + 0.5 / projected.std(axis=0).min()


def test_batches_of_one_item_below_batch_normalisation_are_reported():
    network = DenseLayer(batch_norm(DenseLayer(InputLayer((None, 4)), 3, name="hidden")), 2, nonlinearity=softmax)
    with pytest.warns(UserWarning, match="every mini-batch has one item.*hidden_bn") as found:
        quiet(network, batch_size=1).fit(X[:3], Y[:3], 1)
    assert found[0].filename == __file__
    freeze("*", network)
    head = DenseLayer(network, 2, nonlinearity=softmax)
    quiet(head, batch_size=1).fit(X[:3], Y[:3], 1)


def test_errors_of_validation_data_say_so():
    with pytest.raises(ValueError, match="^validation: X has 5 items and y has 6"):
        quiet(classifier()).fit(X, Y, 1, validation=(X[:5], Y[:6]))
    with pytest.raises(ValueError, match="^validation: y holds the classes 7 to 8"):
        quiet(classifier()).fit(X, Y, 1, validation=(X, Y + 7))
    with pytest.raises(ValueError, match="^validation must be a pair of inputs and targets"):
        quiet(classifier()).fit(X, Y, 1, validation=X)


def test_a_layer_made_untrainable_between_two_fits_keeps_its_bits():
    network = classifier()
    trainer = quiet(network)
    trainer.fit(X, Y, 1)
    hidden = network.input_layer
    hidden.trainable = False
    before, head = [p.get_value().copy() for p in (hidden.W, hidden.b)], network.W.get_value().copy()
    trainer.fit(X, Y, 2)
    assert all(np.array_equal(old, p.get_value()) for old, p in zip(before, (hidden.W, hidden.b)))
    assert not np.array_equal(head, network.W.get_value())
    hidden.trainable = True
    trainer.fit(X, Y, 1)
    assert not np.array_equal(before[0], hidden.W.get_value())


@pytest.mark.parametrize("targets", [np.full((80, 2), 0.9), X[:, 0], np.eye(3)[Y], Y + 0.5])
def test_no_advice_would_destroy_the_targets(targets):
    """Casting fractions or one-hot rows to integers, or reshaping them, would run, and train on nonsense."""
    with pytest.raises(ValueError, match="targets") as found:
        quiet(classifier()).fit(X, targets, 1)
    assert not any(word in str(found.value) for word in ("astype", "int32", "reshape", "ravel"))


@pytest.mark.parametrize(
    ("below", "warned"),
    [
        (lambda layer: layer, True),
        (RandomFlip, True),
        (RescaleLayer, False),
        (lambda layer: batch_norm(Conv2DLayer(layer, 2, 1)), False),
    ],
)
def test_pictures_of_bytes_that_nothing_scales_are_reported(below, warned):
    pictures = np.random.default_rng(0).integers(0, 256, (6, 3, 5, 5)).astype("uint8")
    network = DenseLayer(Conv2DLayer(below(InputLayer((None, 3, 5, 5))), 2, 3, name="first"), 2, nonlinearity=softmax)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        quiet(network).fit(pictures, Y[:6], 1)
        quiet(network).fit(pictures / np.float32(255), Y[:6], 1)
        quiet(Model(network, preprocess=Preprocess(crop=5))).fit(pictures, Y[:6], 1)
    texts = [str(w.message) for w in found if "unscaled" in str(w.message)]
    assert len(texts) == warned and all("'first' reads them unscaled: put a RescaleLayer" in text for text in texts)
