"""Checkpoints: a run that is killed and resumed ends with the same bits; damaged and foreign files are refused."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lasagne_like
from lasagne_like import Trainer
from lasagne_like.layers import DenseLayer, DropoutLayer, GaussianNoiseLayer, InputLayer, batch_norm
from lasagne_like.nonlinearities import linear, softmax
from lasagne_like.training import Checkpoint, Cosine, EarlyStopping, ReduceOnPlateau
from lasagne_like.training.checkpoint import read_checkpoint
from lasagne_like.transfer import freeze, unfreeze

RNG = np.random.RandomState(0)
X = RNG.randn(70, 4).astype("float32")
Y = (X @ [1.0, -2, 0.5, 0] + 0.5 * RNG.randn(70) > 0).astype("int64")


def network(seed=0):
    lasagne_like.random.set_rng(np.random.RandomState(seed))
    layer = GaussianNoiseLayer(InputLayer((None, 4), name="input"), sigma=0.1, name="noise")
    layer = batch_norm(DenseLayer(layer, 8, name="hidden"))
    return DenseLayer(DropoutLayer(layer, p=0.3, name="dropout"), 2, nonlinearity=softmax, name="out")


def trainer(net=None, **kwargs):
    settings = {"batch_size": 16, "learning_rate": Cosine(0.05, 12), "verbose": False}
    return Trainer(network() if net is None else net, **(settings | kwargs))


def everything(made):
    """All state as bytes, but the time that epochs took."""
    arrays, state = made._snapshot()
    state["history"] = {name: column for name, column in state["history"].items() if name != "seconds"}
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}, str(state)


def test_the_file_names_its_contents(tmp_path):
    made = trainer()
    made.fit(X, Y, 2, validation=(X, Y))
    made.save(tmp_path / "run.safetensors")
    names = set(load_file(tmp_path / "run.safetensors"))
    params = {"hidden.W", "hidden_bn.beta", "hidden_bn.gamma", "hidden_bn.mean", "hidden_bn.inv_std", "out.W", "out.b"}
    trained = params - {"hidden_bn.mean", "hidden_bn.inv_std"}
    moments = {f"adam.{role}/{name}" for role in "mv" for name in trained} | {"adam.t"}
    streams = {"random/noise.0", "random/dropout.0"}
    assert names == params | {f"best/{name}" for name in params} | moments | streams


@pytest.mark.parametrize(
    "update", ["sgd", "momentum", "nesterov_momentum", "adagrad", "rmsprop", "adadelta", "adamax", "amsgrad"]
)
def test_every_optimiser_goes_on(update, tmp_path):
    def save(made, record):
        if record["epoch"] == 2:
            made.save(tmp_path / "run.safetensors")

    whole = trainer(update=update)
    whole.fit(X, Y, 3, callbacks=save)
    rest = trainer(network(seed=5), update=update)
    rest.load(tmp_path / "run.safetensors")
    rest.fit(X, Y, 3, resume=True)
    assert everything(whole)[0] == everything(rest)[0]


def test_a_resumed_fit_continues_best_patience_and_callbacks(tmp_path):
    path = tmp_path / "run.safetensors"

    def callbacks():
        return [EarlyStopping("valid_loss", patience=4), ReduceOnPlateau("valid_loss", 0.5, patience=2)]

    whole = trainer(learning_rate=0.3)
    whole.fit(X, Y, 30, validation=(X, Y), callbacks=callbacks())
    assert len(whole.history["epoch"]) < 30 and whole.rate_factor < 1
    for stop in (1, 3, len(whole.history["epoch"]) - 1):

        class Kill(Exception):
            pass

        def interrupt(made, record, stop=stop, error=Kill):
            if record["epoch"] == stop:
                made.save(path)
                raise error

        first = trainer(learning_rate=0.3)
        with pytest.raises(Kill):
            first.fit(X, Y, 30, validation=(X, Y), callbacks=[*callbacks(), interrupt])
        second = trainer(network(seed=1), learning_rate=0.3)
        second.load(path)
        second.fit(X, Y, 30, validation=(X, Y), callbacks=callbacks(), resume=True)
        assert everything(whole)[0] == everything(second)[0]
        assert whole.best_epoch == second.best_epoch and whole.weights_from == second.weights_from
        assert whole.history["valid_loss"] == second.history["valid_loss"]


@pytest.mark.parametrize("by_callback", [False, True])
def test_a_run_that_stopped_early_stays_stopped(by_callback, tmp_path):
    """The checkpoint of the last epoch knows that it is the last, in whatever order the callbacks are given."""
    path = tmp_path / "run.safetensors"
    settings = {"learning_rate": 0.0} | ({} if by_callback else {"patience": 2})

    def callbacks():
        return [Checkpoint(path, every=5), *([EarlyStopping("train_loss", patience=2, min_delta=1)] * by_callback)]

    whole = trainer(**settings)
    whole.fit(X, Y, 20, validation=(X, Y), callbacks=callbacks())
    assert 3 <= whole.epoch < 20
    again = trainer(network(seed=4), **settings)
    again.load(path)
    again.fit(X, Y, 20, validation=(X, Y), callbacks=callbacks(), resume=True)
    assert everything(whole)[0] == everything(again)[0] and again.epoch == whole.epoch


def test_resume_without_an_earlier_fit_begins_and_after_a_complete_one_does_nothing(tmp_path):
    made = trainer()
    made.fit(X, Y, 2, validation=(X, Y), resume=True)
    assert made.epoch == 2
    before = everything(made)
    made.fit(X, Y, 2, validation=(X, Y), resume=True)
    assert everything(made) == before
    made.fit(X, Y, 3, validation=(X, Y), resume=True)
    assert made.epoch == 3
    made.fit(X, Y, 1, validation=(X, Y))
    assert made.run.first == 3


def test_the_state_of_frozen_and_unfrozen_layers_goes_on(tmp_path):
    path = tmp_path / "run.safetensors"

    def run(save_and_load):
        net = network()
        made = trainer(net, learning_rate={"out": 0.05, "*": 0.01})
        freeze("hidden*", net)
        made.fit(X, Y, 2)
        unfreeze("hidden*", net)
        made.fit(X, Y, 2)
        if save_and_load:
            made.save(path)
            net = network(seed=9)
            made = trainer(net, learning_rate={"out": 0.05, "*": 0.01})
            made.load(path)
        made.fit(X, Y, 2)
        return made

    assert everything(run(False)) == everything(run(True))


def test_weights_that_are_not_trained_are_saved_once(tmp_path):
    net = network()
    freeze("hidden*", net)
    made = trainer(net)
    made.fit(X, Y, 2, validation=(X, Y))
    made.save(tmp_path / "run.safetensors")
    assert {n for n in load_file(tmp_path / "run.safetensors") if n.startswith("best/")} == {"best/out.W", "best/out.b"}
    other = trainer(network(seed=3))
    other.load(tmp_path / "run.safetensors")
    assert everything(made) == everything(other)


SCRIPT = """
import sys
import numpy as np
sys.path.insert(0, {folder!r})
from test_training_checkpoints import X, Y, trainer
from lasagne_like.training import Checkpoint
import os, time

path = sys.argv[1]
made = trainer()
if os.path.exists(path):
    made.load(path)

class Slow:
    ready = False

    def on_batch_end(self, made, number):
        time.sleep(0.004)  # so that there is a middle of an epoch

    def on_epoch_end(self, made, record):
        if not self.ready:
            print("ready", flush=True)
            self.ready = True

made.fit(X, Y, 50, validation=(X, Y), callbacks=[Slow(), Checkpoint(path)], resume=True)
made.save(sys.argv[2])
"""


def test_a_run_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    moments = random.Random(1)

    def start(name):
        command = [
            sys.executable,
            str(script),
            str(tmp_path / f"{name}.safetensors"),
            str(tmp_path / f"{name}-end.safetensors"),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline().strip() == "ready"
        return process

    assert start("whole").wait(timeout=120) == 0
    reached = []
    for _ in range(6):
        process = start("killed")
        time.sleep(moments.uniform(0, 0.08))
        assert process.poll() is None, "the run ended before it was killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        path = tmp_path / "killed.safetensors"
        reached.append(read_checkpoint(path)[1]["epoch"] if path.exists() else 0)
    assert start("killed").wait(timeout=120) == 0
    assert len(set(reached)) >= 3, reached  # killed at different moments
    whole, killed = (load_file(tmp_path / f"{name}-end.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    for name, value in whole.items():
        assert value.tobytes() == killed[name].tobytes(), name


# Refusals.


def test_other_networks_and_damaged_files_change_nothing(tmp_path):
    path = tmp_path / "run.safetensors"
    made = trainer()
    made.fit(X, Y, 1)
    made.save(path)
    before = everything(made)
    other = Trainer(DenseLayer(InputLayer((None, 4)), 1, nonlinearity=linear, name="out"), verbose=False)
    with pytest.raises(ValueError, match="belongs to another network; nothing was loaded. Missing.*extra in the file"):
        other.load(path)
    content = path.read_bytes()
    for cut in (0, 5, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.safetensors").write_bytes(content[:cut])
        with pytest.raises(ValueError, match="not a checkpoint"):
            made.load(tmp_path / "cut.safetensors")
    places = random.Random(0)
    for _ in range(300):
        place = places.randrange(len(content))
        damaged = content[:place] + bytes([content[place] ^ 1 << places.randrange(8)]) + content[place + 1 :]
        (tmp_path / "odd.safetensors").write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged|not a checkpoint"):
            made.load(tmp_path / "odd.safetensors")
    save_file({"out.W": np.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="not a checkpoint of a Trainer; for files of weights use"):
        made.load(tmp_path / "weights.safetensors")
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        made.load(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="ends in .safetensors"):
        made.save(tmp_path / "run.pkl")
    assert everything(made) == before


def test_other_settings_are_noticed(tmp_path):
    path = tmp_path / "run.safetensors"
    made = trainer()
    made.fit(X, Y, 1)
    made.save(path)
    other = trainer(update="momentum")
    other.load(path)
    with pytest.raises(
        ValueError, match="another optimiser: it holds adam.m, adam.t, adam.v, but the update momentum has"
    ):
        other.fit(X, Y, 2, resume=True)
    with pytest.warns(UserWarning, match="batch_size=8, but .* was saved with 16"):
        trainer(batch_size=8).load(path)


def test_saving_replaces_atomically(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    made = trainer()
    made.fit(X, Y, 1)
    made.save(path)
    content = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        made.save(path)
    assert path.read_bytes() == content and [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_checkpoint_is_not_saved_in_the_middle_of_an_epoch(tmp_path):
    made = trainer()

    class Hasty:
        def on_batch_end(self, trainer, batch):
            trainer.save(tmp_path / "run.safetensors")

    with pytest.raises(ValueError, match="an epoch is not complete"):
        made.fit(X, Y, 1, callbacks=Hasty())
    made.save(tmp_path / "run.safetensors")


def test_the_callback_saves_every_so_often(tmp_path):
    made = trainer()
    made.fit(X, Y, 5, callbacks=Checkpoint(tmp_path / "at{epoch}.safetensors", every=2))
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"at{k}.safetensors" for k in (2, 4, 5)]
    with pytest.raises(FileNotFoundError, match="no folder"):
        made.fit(X, Y, 1, callbacks=Checkpoint(tmp_path / "nowhere" / "run.safetensors"))
    with pytest.raises(ValueError, match="every=0"):
        Checkpoint("a.safetensors", every=0)
