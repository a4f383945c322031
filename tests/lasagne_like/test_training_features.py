"""Training on features of a frozen base: the same result, computed once."""

import numpy as np
import pytest

import lasagne_like
import symc.tensor as T
from lasagne_like import Trainer
from lasagne_like.data import Flip, Loader, Preprocess
from lasagne_like.layers import (
    Conv2DLayer,
    DenseLayer,
    DropoutLayer,
    InputLayer,
    MaxPool2DLayer,
    batch_norm,
    get_output,
)
from lasagne_like.models import Model
from lasagne_like.nonlinearities import softmax
from lasagne_like.training import NonFiniteLossError
from lasagne_like.transfer import freeze

RNG = np.random.RandomState(0)
X = RNG.randint(0, 256, (48, 1, 6, 6)).astype("uint8")
Y = (X[:, 0, :3].mean(axis=(1, 2)) > X[:, 0, 3:].mean(axis=(1, 2))).astype("int64")


def network(frozen=True, below=0.0):
    lasagne_like.random.set_rng(np.random.RandomState(0))
    layer = InputLayer((None, 1, 6, 6), name="input")
    if below:
        layer = DropoutLayer(layer, p=below, name="noise")
    layer = batch_norm(Conv2DLayer(layer, 4, 3, name="conv"))
    layer = MaxPool2DLayer(layer, 2, name="pool")
    layer = DropoutLayer(DenseLayer(DropoutLayer(layer, p=0.3, name="drop"), 6, name="hidden"), p=0.3, name="drop2")
    net = DenseLayer(layer, 2, nonlinearity=softmax, name="out")
    if frozen:
        freeze("conv*", net)
    return net


def quiet(net, **kwargs):
    return Trainer(net, **({"verbose": False, "batch_size": 16, "learning_rate": 0.01} | kwargs))


def used(trainer):
    """The layers at which the last fit took features."""
    return [layer.name for layer in trainer._step.objective.border]


def close(first, second):
    for name, value in first.param_values().items():
        np.testing.assert_allclose(value, second.param_values()[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_result_is_that_of_training_without_features():
    once, always = quiet(network()), quiet(network(), precompute=False)
    for trainer in (once, always):
        trainer.fit(X, Y, 3, validation=(X[:20], Y[:20]))
    assert used(once) == ["pool"] and used(always) == []
    close(once, always)
    np.testing.assert_allclose(once.history["train_loss"], always.history["train_loss"], rtol=1e-3)
    np.testing.assert_allclose(once.history["valid_loss"], always.history["valid_loss"], rtol=1e-3)
    np.testing.assert_allclose(once.evaluate(X, Y), always.evaluate(X, Y), rtol=1e-3, atol=1e-5)
    held, split = quiet(network(), precompute=False), quiet(network())
    for trainer in (held, split):
        trainer.fit(X, Y, 2, validation=0.25)
    assert used(split) == ["pool"]
    close(split, held)


def test_a_loader_that_does_not_augment():
    def run(**options):
        trainer = quiet(network(), **options)
        loader = Loader(X, Y, batch_size=20, preprocess=lambda x: x.astype("float32") / 255, seed=3, drop_last=True)
        trainer.fit(loader, epochs=3, validation=Loader(X, Y, batch_size=48, shuffle=False))
        return trainer

    once, always = run(), run(precompute=False)
    assert used(once) == ["pool"] and used(always) == []
    close(once, always)


@pytest.mark.parametrize(
    "case", ["one epoch", "not frozen", "random below", "augmented", "iterable", "penalty of the input", "off"]
)
def test_where_nothing_can_be_computed_once(case):
    net = network(frozen=case != "not frozen", below=0.1 * (case == "random below"))
    penalty = T.mean(get_output(net, deterministic=True) ** 2) if case == "penalty of the input" else None
    trainer = quiet(net, precompute=case != "off", penalty=penalty)
    data = X, Y
    if case == "augmented":
        data = Loader(X, Y, augment=[Flip()]), None
    elif case == "iterable":
        data = [(X, Y)], None
    trainer.fit(*data, 1 if case == "one epoch" else 2)
    assert used(trainer) == []


def test_a_resumed_run_takes_the_same_features(tmp_path):
    path = tmp_path / "run.safetensors"
    whole = quiet(network())
    whole.fit(X, Y, 4)

    def save(trainer, record):
        if record["epoch"] == 3:
            trainer.save(path)

    quiet(network()).fit(X, Y, 4, callbacks=save)
    rest = quiet(network())
    rest.load(path)
    rest.fit(X, Y, 4, resume=True)
    assert all(value.tobytes() == rest.param_values()[name].tobytes() for name, value in whole.param_values().items())


def test_unfreezing_ends_it_and_keeps_the_optimiser():
    net = network()
    trainer = quiet(net)
    trainer.fit(X, Y, 2)
    steps = trainer._step.values()["adam.t"]
    lasagne_like.transfer.unfreeze("*", net)
    trainer.fit(X, Y, 2)
    assert used(trainer) == []
    values = trainer._step.values()
    assert values["adam.t"] == 2 * steps and values["adam.t@1"] == steps


def test_a_callback_may_unfreeze():
    def unfreeze_late(trainer, record):
        if record["epoch"] == 2:
            lasagne_like.transfer.unfreeze("*", trainer.network)

    results = []
    for precompute in (True, False):
        trainer = quiet(network(), precompute=precompute)
        trainer.fit(X, Y, 4, validation=(X, Y), callbacks=unfreeze_late)
        assert used(trainer) == [] and trainer._step.values()["adam.t@1"] == 6
        results.append(trainer)
    for name, value in results[1].param_values().items():
        np.testing.assert_allclose(results[0].param_values()[name], value, rtol=0.02, atol=0.02)
    assert not np.array_equal(quiet(network()).param_values()["conv.W"], results[0].param_values()["conv.W"])


def test_blame_above_the_border():
    net = network()
    hidden = net.input_layer.input_layer
    hidden.nonlinearity = lambda x: T.log(-(x**2) - 1)
    with pytest.raises(NonFiniteLossError) as info:
        quiet(net).fit(X, Y, 2)
    assert info.value.origin == "output of layer hidden (DenseLayer)" and info.value.op == "log"


def test_it_is_said(capsys):
    quiet(network(), verbose=True).fit(X, Y, 2)
    assert "computing the outputs of pool once: all below is frozen" in capsys.readouterr().out


def test_pictures_pass_through_the_preprocessing_of_a_model():
    half = X.repeat(2, axis=2).repeat(2, axis=3)  # 12 x 12, which the model halves
    made = []
    for precompute in (True, False):
        preprocess = Preprocess(resize=(6, 6), interpolation="nearest", channels="grey", scale=1 / 255, mean=0.5)
        model = Model(network(), preprocess=preprocess, classes=["up", "down"])
        trainer = quiet(model, precompute=precompute)
        trainer.fit(half, Y, 2, validation=(half[:9], Y[:9]))
        made.append(trainer)
        np.testing.assert_allclose(trainer.predict(half[:5]), model.outputs(half[:5]), rtol=1e-4, atol=1e-6)
    loaded = quiet(Model(network(), preprocess=preprocess))
    loaded.fit(Loader(half, Y, batch_size=16), epochs=2, validation=(half[:9], Y[:9]))
    by_loader = quiet(Model(network(), preprocess=preprocess), precompute=False)
    by_loader.fit(Loader(half, Y, batch_size=16), epochs=2, validation=(half[:9], Y[:9]))
    assert used(loaded) == ["pool"]
    close(loaded, by_loader)
    plain = quiet(network())
    plain.fit(X / np.float32(255) - np.float32(0.5), Y, 2, validation=(X[:9] / 255 - 0.5, Y[:9]))
    assert used(made[0]) == used(plain) == ["pool"] and used(made[1]) == []
    close(made[0], made[1])
    close(made[0], plain)
