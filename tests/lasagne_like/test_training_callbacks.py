"""Callbacks, early stopping, logs and learning-rate schedules."""

import copy
import csv
import json
import math
import pickle
import struct

import numpy as np
import pytest

import lasagne_like
from lasagne_like import Trainer
from lasagne_like.layers import DenseLayer, InputLayer
from lasagne_like.nonlinearities import softmax
from lasagne_like.training import (
    Callback,
    Constant,
    Cosine,
    CSVLogger,
    EarlyStopping,
    Exponential,
    JSONLogger,
    Metric,
    OneCycle,
    Piecewise,
    ReduceOnPlateau,
    StepDecay,
    TensorBoard,
    Warmup,
    cosine,
    step_decay,
)
from lasagne_like.training.callbacks import as_callbacks
from lasagne_like.training.logs import _masked
from lasagne_like.training.schedules import as_schedule
from lasagne_like.updates import sgd

RNG = np.random.RandomState(0)
X = RNG.randn(40, 4).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def trainer(**kwargs):
    lasagne_like.random.set_rng(np.random.RandomState(0))
    network = DenseLayer(InputLayer((None, 4), name="input"), 2, nonlinearity=softmax, name="out")
    return Trainer(network, **({"verbose": False, "batch_size": 10, "learning_rate": 0.01} | kwargs))


def scripted(values, **kwargs):
    """A trainer whose metric ``judged`` takes given values, epoch by epoch."""
    holder = []
    judge = Metric("judged", kwargs.pop("better", "min"), whole=lambda p, t, w: values[holder[0].epoch])
    holder.append(trainer(metrics=[judge], **kwargs))
    return holder[0]


def test_callbacks_are_called_in_order():
    calls = []

    class Recorder(Callback):
        def on_train_begin(self, trainer):
            calls.append("train begin")

        def on_epoch_begin(self, trainer, epoch):
            calls.append(f"epoch {epoch} begin")

        def on_batch_end(self, trainer, batch):
            calls.append(f"batch {batch}")
            assert math.isfinite(trainer.running_loss)

        def on_epoch_end(self, trainer, record):
            calls.append(f"epoch {record['epoch']} end")
            assert record["train_loss"] == trainer.history["train_loss"][-1]

        def on_train_end(self, trainer):
            calls.append("train end")

    class Partial:
        def on_epoch_end(self, trainer, record):
            calls.append("partial")

    seen = []
    trainer(batch_size=20).fit(X, Y, 2, callbacks=[Recorder(), Partial(), lambda made, record: seen.append(record)])
    epoch = ["batch 1", "batch 2"]
    assert calls == [
        "train begin",
        *["epoch 1 begin", *epoch, "epoch 1 end", "partial"],
        *["epoch 2 begin", *epoch, "epoch 2 end", "partial"],
        "train end",
    ]
    assert [record["epoch"] for record in seen] == [1, 2]
    trainer().fit(X, Y, 1, callbacks=lambda made, record: seen.append(made))
    assert isinstance(seen[-1], Trainer)


def test_the_end_is_announced_after_an_error_too():
    ended = []

    class Fails:
        def on_epoch_end(self, trainer, record):
            raise RuntimeError("enough")

        def on_train_end(self, trainer):
            ended.append(trainer.weights_from)

    with pytest.raises(RuntimeError, match="enough"):
        trainer().fit(X, Y, 3, callbacks=[Fails()])
    assert ended == ["of epoch 1, the last"]


@pytest.mark.parametrize("wrong", [EarlyStopping, "early", 3, [Callback, 1]])
def test_what_is_no_callback(wrong):
    with pytest.raises(TypeError, match="callbacks: "):
        trainer().fit(X, Y, 1, callbacks=wrong)


def test_a_callback_stops_training(capsys):
    def enough(made, record):
        if record["epoch"] == 2:
            made.stop("it is late")

    made = trainer(verbose=True)
    assert made.fit(X, Y, 9, callbacks=enough)["epoch"] == [1, 2]
    assert "stopped after epoch 2: it is late" in capsys.readouterr().out
    assert made.fit(X, Y, 1)["epoch"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("better", "options", "epochs"),
    [
        ("min", {}, 5),  # the best is epoch 3
        ("max", {}, 3),  # the best is epoch 1
        ("max", {"mode": "min"}, 5),
        ("min", {"min_delta": 0.5}, 4),  # 4.0 at epoch 2 is the last that counts
        ("min", {"patience": 3}, 7),
    ],
)
def test_early_stopping(better, options, epochs):
    values = [5.0, 4.0, 3.8, math.nan, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9]
    values = values if options.get("patience") != 3 else [5.0, 4.0, 3.8, 3.7, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9]
    made = scripted(values, better=better)
    stopping = EarlyStopping(**{"monitor": "valid_judged", "patience": 2, **options})
    assert len(made.fit(X, Y, 10, validation=(X, Y), callbacks=stopping)["epoch"]) == epochs


def test_best_by_a_quantity_of_ones_choice():
    values = [1.0, 3.0, 2.0]
    made = scripted(values, better="max", monitor="judged")
    made.fit(X, Y, 3, validation=(X, Y))
    assert made.best_epoch == 2
    made = scripted(values, monitor="judged")
    made.fit(X, Y, 3, validation=(X, Y))
    assert made.best_epoch == 1
    made = scripted(values, monitor="valid_loss")
    made.fit(X, Y, 3, validation=(X, Y))
    assert made.best_epoch == 3


def test_reduce_on_plateau():
    made = scripted([5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0], learning_rate=0.8, update=sgd)
    reduce = ReduceOnPlateau("valid_judged", factor=0.5, patience=2, min_rate=0.3)
    rates = made.fit(X, Y, 8, validation=(X, Y), callbacks=reduce)["learning_rate"]
    np.testing.assert_allclose(rates, [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.3, 0.3])
    assert made.rate_factor < 1
    with pytest.raises(ValueError, match="factor=2"):
        ReduceOnPlateau(factor=2)


def test_an_unknown_quantity_is_named():
    with pytest.raises(ValueError, match="there is no quantity 'valid_acuracy'.*there are epoch, train_loss"):
        trainer().fit(X, Y, 1, validation=(X, Y), callbacks=EarlyStopping("valid_acuracy"))


# Logs.


def test_csv_and_json_hold_the_history(tmp_path):
    made = trainer()
    logs = [CSVLogger(tmp_path / "new" / "log.csv"), JSONLogger(tmp_path / "new" / "log.jsonl")]
    made.fit(X, Y, 2, callbacks=logs)
    made.fit(X, Y, 1, validation=(X, Y), callbacks=logs)
    with open(tmp_path / "new" / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["train_loss"]) for row in rows] == made.history["train_loss"]
    assert [row["valid_error"] for row in rows[:2]] == ["nan", "nan"]
    lines = [json.loads(line) for line in (tmp_path / "new" / "log.jsonl").read_text().splitlines()]
    assert [line["train_loss"] for line in lines] == made.history["train_loss"]
    assert lines[0]["valid_error"] is None and lines[2]["valid_error"] == made.history["valid_error"][2]


def fields(data):
    """Decode a protocol buffer into (number, value) pairs."""
    position, found = 0, []

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        found.append((key >> 3, data[position : position + size]))
        position += size
    return found


def test_tensorboard_events(tmp_path):
    made = trainer()
    made.fit(X, Y, 3, validation=(X, Y), callbacks=TensorBoard(tmp_path / "run"))
    (path,) = (tmp_path / "run").iterdir()
    content, events = path.read_bytes(), []
    while content:
        (size,) = struct.unpack("<Q", content[:8])
        data = content[12 : 12 + size]
        for checked, where in ((content[:8], 8), (data, 12 + size)):
            assert struct.unpack("<I", content[where : where + 4])[0] == _masked(checked)
        events.append(dict(fields(data)))
        content = content[16 + size :]
    assert events[0][3] == b"brain.Event:2"
    seen = {}
    for event in events[1:]:
        ((_, entry),) = fields(event[5])
        entry = dict(fields(entry))
        seen.setdefault(entry[1].decode(), []).append((event[2], struct.unpack("<f", entry[2])[0]))
    assert set(seen) == {"loss/train", "loss/valid", "error/valid", "learning_rate", "seconds"}
    for name, column in (("loss/train", "train_loss"), ("error/valid", "valid_error")):
        assert [step for step, _ in seen[name]] == [1, 2, 3]
        np.testing.assert_allclose([value for _, value in seen[name]], made.history[column], rtol=1e-6)


def test_the_checksum_is_crc32c():
    crc = 0xE3069283  # of "123456789", from the definition of CRC-32C
    assert _masked(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


# Schedules.


def test_schedules():
    def rates(schedule, count=6):
        return [schedule(epoch) for epoch in range(count)]

    assert rates(Constant(0.1), 2) == [0.1, 0.1]
    half = math.sqrt(0.5)
    np.testing.assert_allclose(rates(Cosine(1.0, 4, 0.2)), [1, 0.6 + 0.4 * half, 0.6, 0.6 - 0.4 * half, 0.2, 0.2])
    np.testing.assert_allclose(rates(StepDecay(1, every=2, factor=0.5)), [1, 1, 0.5, 0.5, 0.25, 0.25])
    np.testing.assert_allclose(rates(Exponential(2, 0.5), 4), [2, 1, 0.5, 0.25])
    assert rates(Piecewise({0: 1.0, 2: 0.1, 5: 0.01})) == [1, 1, 0.1, 0.1, 0.1, 0.01]
    np.testing.assert_allclose(rates(Warmup(3, StepDecay(4, every=1, factor=0.5))), [1, 2, 3, 4, 2, 1])
    assert rates(Warmup(1, 0.2), 3) == [0.1, 0.2, 0.2]
    assert cosine(0.1, 3) == Cosine(0.1, epochs=3) and step_decay(0.1, every=2) == StepDecay(0.1, 2)
    assert repr(Cosine(0.1, 3)) == "Cosine(start=0.1, epochs=3, end=0.0)"
    for schedule in (Cosine(0.1, 3), Warmup(2, Piecewise({0: 1.0}))):
        assert pickle.loads(pickle.dumps(schedule)) == copy.deepcopy(schedule) == schedule


def test_schedules_that_are_none():
    for wrong in (lambda: Cosine(0.1, 0), lambda: StepDecay(1, 0), lambda: Piecewise({1: 0.1}), lambda: Constant(-1)):
        with pytest.raises(ValueError, match="expected"):
            wrong()
    with pytest.raises(TypeError, match="got the class Cosine: call it"):
        trainer(learning_rate=Cosine)
    with pytest.raises(ValueError, match="the schedule returned nan"):
        trainer(learning_rate=lambda epoch: math.nan)


@pytest.mark.parametrize("callback", [EarlyStopping, ReduceOnPlateau])
def test_a_quantity_that_does_not_exist_is_refused_before_the_first_epoch(callback):
    trainer = Trainer(DenseLayer(InputLayer((None, 4)), 2, nonlinearity=softmax), verbose=False)
    X, y = np.zeros((8, 4), "float32"), np.zeros(8, int)
    with pytest.raises(
        ValueError, match=f"{callback.__name__}: there is no quantity 'val_loss'.*perhaps you meant valid_loss"
    ):
        trainer.fit(X, y, 1, validation=(X, y), callbacks=[callback("val_loss")])
    with pytest.raises(ValueError, match="valid_loss.*give fit.*validation"):
        trainer.fit(X, y, 1, callbacks=[callback("valid_loss")])
    assert trainer.epoch == 0

    def adds(trainer, record):
        record["seen"] = 1.0

    trainer.fit(X, y, 1, callbacks=[adds, callback("seen")])
    trainer.fit(X, y, 1, validation=(X, y), callbacks=[callback("error")])
    assert trainer.epoch == 2


class _Short(Callback):
    def on_epoch_end(self, trainer):
        """Lacks the record."""


class _Plain:
    def on_epoch_begin(self):
        """Lacks trainer and epoch."""


@pytest.mark.parametrize(
    ("callback", "text"),
    [
        (lambda trainer: None, r"<lambda>\(trainer\) cannot be called as <lambda>\(trainer, record\)"),
        (_Short(), r"_Short: on_epoch_end\(trainer\) cannot be called as on_epoch_end\(trainer, record\)"),
        (_Plain(), r"_Plain: on_epoch_begin\(\) cannot be called as on_epoch_begin\(trainer, epoch\)"),
    ],
)
def test_callbacks_with_other_arguments_are_refused_before_training(callback, text):
    with pytest.raises(TypeError, match=f"^callbacks.*{text}"):
        as_callbacks([callback])


def test_schedules_with_other_arguments_are_refused():
    with pytest.raises(TypeError, match=r"learning_rate: <lambda>\(\) cannot be called as <lambda>\(epoch\)"):
        as_schedule(lambda: 1)
    assert as_schedule(lambda epoch, base=2: base - epoch)(1) == 1


def test_one_cycle():
    """The formula of the rate at its ends, at its peak, and half way up and down."""
    schedule = OneCycle(1.0, 11, rise=0.4, divide=10, end=100)
    rates = [schedule(epoch) for epoch in range(13)]
    np.testing.assert_allclose(rates[0], 0.1)
    np.testing.assert_allclose(rates[2], 0.55)
    np.testing.assert_allclose(rates[4], 1.0)
    np.testing.assert_allclose(rates[7], (1 + 0.01) / 2)
    np.testing.assert_allclose(rates[10:], 0.01)
    assert all(a < b for a, b in zip(rates[:4], rates[1:5])) and all(a > b for a, b in zip(rates[4:10], rates[5:11]))
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    for wrong in ({"epochs": 1}, {"epochs": 5, "rise": 1.0}, {"epochs": 5, "divide": 0.5}):
        with pytest.raises(ValueError, match="OneCycle"):
            OneCycle(0.1, **wrong)
