"""Programs in the style of 2010 to 2016 run unchanged through ``symc.compat``, and learn what they learnt then."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import symc.compat

PROGRAMS = Path(__file__).parent / "old_programs"


@pytest.fixture(scope="module", autouse=True)
def old_names():
    """Theano's and Lasagne's names in this process, with float32, while this module runs."""
    before = {name: os.environ.get(name) for name in ("THEANO_FLAGS", "THEANORC")}
    os.environ.update(THEANO_FLAGS="floatX=float32", THEANORC="")
    sys.path.insert(0, str(PROGRAMS))
    symc.compat.install()
    yield
    symc.compat.uninstall()
    sys.path.remove(str(PROGRAMS))
    for path in PROGRAMS.glob("*.py"):
        sys.modules.pop(path.stem, None)
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "pool_2d: ignore_border")
        yield


def program(name):
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def bars(old_names):
    return program("lenet").bars(100)


def test_logistic_regression():
    module = program("logistic_sgd")
    costs, error, (w, b) = module.sgd_optimization(n_epochs=4)
    x, y = module.make_data(200)
    W, B, wanted = np.zeros((12, 3)), np.zeros(3), []
    for _ in range(4):
        for rows in np.split(np.arange(200), 10):
            scores = x[rows] @ W + B
            p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
            wanted.append(-np.log(p[np.arange(20), y[rows]]).mean())
            slope = (p - np.eye(3)[y[rows]]) / 20
            W, B = W - 0.5 * x[rows].T @ slope, B - 0.5 * slope.sum(0)
    np.testing.assert_allclose(np.ravel(costs), wanted, rtol=1e-4)
    np.testing.assert_allclose(w, W, atol=1e-4)
    np.testing.assert_allclose(b, B, atol=1e-4)
    v_x, v_y = module.make_data(60, seed=1)
    assert error == pytest.approx((np.argmax(v_x @ W + B, 1) != v_y).mean(), abs=1e-6)


def test_a_script_from_the_command_line():
    env = {**os.environ, "THEANO_FLAGS": "floatX=float32"}
    command = [sys.executable, "-m", "symc.compat", str(PROGRAMS / "mlp.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    first, last = (eval(f"[{part}]") for part in done.stdout.strip().strip("[]").split("] ["))
    assert last[0] < 0.5 * first[0], done.stderr
    assert "theano" not in done.stderr


def test_perceptron():
    history, params = program("mlp").test_mlp()
    costs = np.array(history)[:, 0]
    assert costs[-10:].mean() < 0.5 * costs[:10].mean() and len(params) == 4


def test_lenet():
    costs = program("lenet").evaluate_lenet5()
    assert costs[-1] < 0.4 * costs[0]


def test_denoising_autoencoder():
    costs = program("denoising").train()
    assert costs[-1] < 0.7 * costs[0]


def test_restricted_boltzmann_machine():
    history, chain, _ = program("rbm").train()
    assert history[-1] > history[0] + 2  # the pseudo-likelihood
    assert set(np.unique(chain)) <= {0, 1} and chain.any()


def test_interchangeable_layers(bars):
    costs, accuracy = program("network3").train(*bars)
    assert costs[-1] < 0.6 * costs[0] and accuracy > 0.7


def test_functions_with_dropout_and_rmsprop(bars):
    costs, accuracy = program("convnet_rmsprop").train(*bars)
    assert costs[-1] < 0.6 * costs[0] and accuracy > 0.8


def test_lasagnes_example(bars, tmp_path):
    losses, accuracy, again = program("lasagne_mnist").main(*bars, str(tmp_path / "model.npz"))
    assert losses[-1] < 0.6 * losses[0] and accuracy > 0.8
    assert again == pytest.approx(accuracy)


def test_networks_that_compete(bars):
    found, pictures = program("dcgan").main(bars[0])
    assert np.isfinite(found).all() and found[-5:, 1].mean() < found[:5, 1].mean()
    assert pictures.shape == (4, 1, 12, 12) and 0 <= pictures.min() <= pictures.max() <= 1


def test_residual_network(bars):
    losses, accuracy = program("resnet").main(*bars)
    assert losses[-1] < 0.6 * losses[0] and accuracy > 0.6


def forward(params, data):
    """The recurrent network of ``recurrent.with_scan``, in NumPy."""
    w_in, w_rec, b, w_out = params
    x, y, mask = data
    h = np.zeros((len(x), len(b)))
    for t in range(x.shape[1]):
        m = mask[:, t, None]
        h = m * np.tanh(x[:, t] @ w_in + h @ w_rec + b) + (1 - m) * h
    return ((h @ w_out - y) ** 2).mean()


def test_a_recurrence_with_scan():
    costs, params, first, data = program("recurrent").with_scan()
    params, data = [np.float64(p) for p in params], [np.float64(v) for v in data]
    assert first[0] == pytest.approx(forward(params, data), rel=1e-5)
    for k, place in ((0, (1, 3)), (1, (2, 4)), (2, (5,)), (3, (0,))):
        changed = [p.copy() for p in params]
        changed[k][place] += 1e-5
        slope = (forward(changed, data) - forward(params, data)) / 1e-5
        assert first[k + 1][place] == pytest.approx(slope, rel=1e-2, abs=1e-5)
    assert costs[-1] < 0.6 * costs[0]


def test_recurrent_layers_with_masks():
    costs = program("recurrent").with_layers()
    assert costs[-1] < 0.5 * costs[0]


def test_variational_autoencoder():
    bounds, x, rebuilt = program("vae").train()
    assert bounds[-1] > bounds[0] + 2
    assert np.abs(x - rebuilt).mean() < 0.7 * np.abs(x - x.mean(0)).mean()


def test_tagger_of_sentences():
    costs, _, embeddings = program("lstm_tagger").train()
    assert costs[0] == pytest.approx(np.log(2), rel=0.05) and costs[-1] < 0.85 * costs[0]
    np.testing.assert_allclose((embeddings**2).sum(1), 1, rtol=1e-5)


def test_hybrid_monte_carlo():
    drawn, mean, covariance, stepsize, rate = program("hmc").sample()
    assert drawn.shape == (8000, 3) and 0.05 < stepsize <= 0.5 and 0.7 < rate <= 1
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.2)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.5)


def test_style_transfer():
    first, last, picture = program("style").transfer()
    assert last < 0.4 * first and picture.shape == (1, 3, 12, 12)


def test_spatial_transformer():
    costs, accuracy, looked_at = program("transformer").train()
    assert np.mean(costs[-10:]) < 0.3 * np.mean(costs[:10]) and accuracy > 0.9
    assert looked_at.shape == (100, 1, 8, 8)


def test_the_report_on_these_programs():
    report = symc.compat.check(PROGRAMS)
    assert report.ok and report.files >= 16, str(report)
    kinds = {use.fate.old: use.fate.kind for use in report.uses}
    assert kinds["theano.scan"] == "same" and kinds["theano.tensor.signal.downsample.max_pool_2d"] == "served"
