"""Training from a Loader: the same bits for arrays of batches, any number of threads, and a resumed run."""

import numpy as np
import pytest

import lasagne_like
from lasagne_like import layers as L
from lasagne_like.data import Flip, Loader, Mixup, Rotate, Shift, Standardiser, image_folder
from lasagne_like.training import Trainer

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 3, 12, 12), dtype=np.uint8)
Y = np.arange(40) % 2
X[Y == 1, 0] //= 3


def network(seed):
    lasagne_like.random.set_rng(np.random.RandomState(seed))
    net = L.RescaleLayer(L.InputLayer((None, 3, 12, 12)))
    net = L.RandomAffine(net, name="augment")
    net = L.RandomContrast(net, name="contrast")
    net = L.Conv2DLayer(net, 4, 3, name="conv")
    return L.DenseLayer(L.GlobalPoolLayer(net), 2, nonlinearity="softmax", name="out")


def loader(**options):
    return Loader(X, Y, batch_size=16, augment=[Flip(), Shift(0.2), Rotate(20)], seed=3, **options)


def weights(trainer):
    return L.get_all_param_values(trainer.network)


def test_threads_change_no_bit():
    results = []
    for workers in (0, 3):
        trainer = Trainer(network(1), verbose=False)
        trainer.fit(loader(workers=workers), epochs=3)
        results.append(weights(trainer))
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


def test_a_resumed_run_has_the_same_bits(tmp_path):
    straight = Trainer(network(1), verbose=False)
    straight.fit(loader(), epochs=4, validation=(X[:9], Y[:9]))
    first = Trainer(network(1), verbose=False)
    first.fit(loader(), epochs=2, validation=(X[:9], Y[:9]))
    first.save(tmp_path / "state.safetensors")
    second = Trainer(network(2), verbose=False)  # other weights, other random streams
    second.load(tmp_path / "state.safetensors")
    second.fit(loader(workers=1), epochs=4, validation=(X[:9], Y[:9]), resume=True)
    assert second.history["train_loss"] == straight.history["train_loss"]
    for one, other in zip(weights(straight), weights(second)):
        np.testing.assert_array_equal(one, other)


def test_learning_and_predicting():
    trainer = Trainer(network(1), learning_rate=0.05, verbose=False)
    trainer.fit(Loader(X, Y, batch_size=8, augment=[Flip()]), epochs=15, validation=Loader(X, Y, shuffle=False))
    assert trainer.evaluate(X, Y)["error"] < 0.1
    ordered = Loader(X, Y, batch_size=7, shuffle=False)
    np.testing.assert_allclose(trainer.predict(ordered), trainer.predict(X), atol=1e-6)


def test_mixed_targets_train():
    trainer = Trainer(network(1), verbose=False)
    history = trainer.fit(Loader(X, Y, batch_size=8, augment=[Mixup()]), epochs=2)
    assert np.isfinite(history["train_loss"]).all()


def test_weights_of_items_and_standardised_inputs():
    scaler = Standardiser.fit(X, per="channel")
    net = L.DenseLayer(L.InputLayer((None, 3, 12, 12)), 2, nonlinearity="softmax")
    trainer = Trainer(net, learning_rate=0.01, verbose=False)
    wrong = np.where(np.arange(40) < 20, Y, 1 - Y)  # the second half has no weight
    item_weights = (np.arange(40) < 20).astype("float32")
    trainer.fit(Loader(X, wrong, weights=item_weights, batch_size=8, preprocess=scaler), epochs=20)
    assert trainer.evaluate(scaler(X), Y)["error"] < 0.3


def test_pictures_of_a_folder(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    for k in range(40):
        folder = tmp_path / "ab"[Y[k]]
        folder.mkdir(exist_ok=True)
        image_module.fromarray(X[k].transpose(1, 2, 0)).save(folder / f"{k}.png")
    data = image_folder(tmp_path, 12, lazy=True)
    trainer = Trainer(network(1), learning_rate=0.05, verbose=False)
    trainer.fit(Loader(data, batch_size=8), epochs=15)
    assert (trainer.predict(data.images).argmax(1) == data.labels).mean() > 0.9
    assert (trainer.predict(data.preprocess(data.paths)).argmax(1) == data.labels).mean() > 0.9
