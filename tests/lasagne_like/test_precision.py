"""Mixed precision: rounded values and gradients against NumPy, the scale of the loss, the trainer's option."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import Trainer, layers, nonlinearities, precision, updates
from lasagne_like import random as lasagne_random

DTYPES = pytest.mark.parametrize("dtype", ["bfloat16", "float16"])


def short(x, dtype):
    """The nearest numbers of the 16-bit dtype, with ties to even."""
    if dtype == "float16":
        return np.float32(np.asarray(x).astype("float16"))
    mantissa, exponent = np.frexp(np.asarray(x, "float64"))
    return np.float32(np.ldexp(np.rint(mantissa * 256) / 256, exponent))


def network(seed=1):
    lasagne_random.set_rng(np.random.RandomState(seed))
    l_in = layers.InputLayer((None, 3))
    hidden = layers.DenseLayer(l_in, 4, nonlinearity=nonlinearities.tanh)
    return layers.DenseLayer(hidden, 2, nonlinearity=None)


@DTYPES
def test_values_and_gradients(dtype):
    net = network()
    x, params = T.matrix("x"), layers.get_all_params(net)
    out = precision.mixed_output(net, x, dtype)
    f = symc.function([x], [out, *symc.grad((out**2).sum(), params)])
    X = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    W, b, V, c = (p.get_value() for p in params)
    assert {p.dtype for p in params} == {"float32"}
    xs, ws, vs = short(X, dtype), short(W, dtype), short(V, dtype)
    h = np.tanh(xs @ ws + short(b, dtype))
    hs = short(h, dtype)
    y = hs @ vs + short(c, dtype)
    g = 2 * y
    back = (g @ vs.T if dtype == "bfloat16" else short(g @ vs.T, dtype)) * (1 - h**2)
    wanted = [y, xs.T @ back, back.sum(0), hs.T @ g, g.sum(0)]
    if dtype == "float16":
        wanted = [y, *[short(v, dtype) for v in wanted[1:]]]
    for got, want in zip(f(X), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5 if dtype == "bfloat16" else 2.0**-10, atol=1e-6)
        assert got.dtype == "float32"
    np.testing.assert_allclose(f(X)[0], y, rtol=1e-5)  # the output itself is not rounded
    assert dtype == "bfloat16" or (f(X)[1] == short(f(X)[1], dtype)).all()


def test_statistics_of_batches_are_not_rounded():
    net = layers.batch_norm(network())
    x = T.matrix("x")
    values = layers.get_all_layers(net)
    mean = next(p for layer in values for p in layer.get_params(batch_norm_stat=True))
    out = precision.mixed_output([net], x, "bfloat16", deterministic=True)[0]
    f = symc.function([x], out)
    mean.set_value(np.full(mean.get_value().shape, 1.001, "float32"))
    first = f(np.zeros((1, 3)))
    mean.set_value(np.full(mean.get_value().shape, 1.0, "float32"))
    np.testing.assert_allclose(f(np.zeros((1, 3))) - first, 0.001, rtol=1e-2)


def test_small_gradients_need_a_scale():
    w = symc.shared(np.float32(1), "w")
    loss = precision.rounded(w, "float16") * 1e-9
    scale = precision.LossScale(initial=2.0**15)
    plain, (scaled,) = symc.grad(loss, w), scale.gradients(loss, [w])
    found = symc.function([], [plain, scaled])()
    assert found[0] == 0 and found[1] == pytest.approx(1e-9, rel=1e-2)


def test_the_scale_adapts():
    w, x = symc.shared(np.float32(1), "w"), T.scalar("x")
    loss = precision.rounded(w, "float16") * x
    scale = precision.LossScale(initial=2.0**10, interval=3)
    gradients = scale.gradients(loss, [w])
    step = symc.function([x], [], updates=scale.guarded(updates.sgd(gradients, [w], 0.125), gradients))
    found = []
    for value in (1, 1, 1000, 1, 1, 1, 1):  # 1000 * 1024 is infinite in float16
        step(value)
        found.append((float(w.get_value()), float(scale.value.get_value())))
    assert [v for v, _ in found] == [0.875, 0.75, 0.75, 0.625, 0.5, 0.375, 0.25]
    assert [v for _, v in found] == [1024, 1024, 512, 512, 512, 1024, 1024]
    for wrong in ({"initial": 0.5}, {"factor": 1}, {"interval": 0}):
        with pytest.raises(ValueError, match="expected a scale"):
            precision.LossScale(**wrong)


@DTYPES
def test_trainer(dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3)).astype("float32")
    y = X @ np.float32([[1, 0], [0, -1], [0.5, 0]])
    net = network()
    trainer = Trainer(net, learning_rate=0.02, batch_size=20, precision=dtype, verbose=False)
    history = trainer.fit(X, y, epochs=15, validation=(X, y))
    assert history["train_loss"][-1] < 0.2 * history["train_loss"][0]
    assert {p.dtype for p in layers.get_all_params(net)} == {"float32"}
    plain = symc.function([net.input_layer.input_layer.input_var], layers.get_output(net, deterministic=True))(X)
    assert history["valid_loss"][-1] == pytest.approx(((plain - y) ** 2).mean(), rel=1e-4)
    weights = layers.get_all_param_values(net)
    assert any((w != short(w, dtype)).any() for w in weights)  # the masters keep more digits


def test_overflow_in_the_trainer_is_no_failure():
    X, y = np.full((20, 3), 100, "float32"), np.full((20, 2), 3e4, "float32")
    trainer = Trainer(network(), update="sgd", learning_rate=1e-9, batch_size=10, precision="float16", verbose=False)
    history = trainer.fit(X, y, epochs=20)
    assert np.isfinite(history["train_loss"][-1])


def test_mistakes():
    with pytest.raises(ValueError, match="precision='half': expected one of float32, bfloat16, float16"):
        Trainer(network(), precision="half")
    with pytest.raises(ValueError, match="precision='float64'"):
        precision.mixed_output(network(), T.matrix(), "float64")
