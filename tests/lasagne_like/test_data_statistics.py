"""Standardisation, whitening and statistics of channels against NumPy on the whole data."""

import doctest

import numpy as np
import pytest

import lasagne_like.data.loader
import lasagne_like.data.split
import lasagne_like.data.statistics as statistics
from lasagne_like.data import Loader, Standardiser, Whitening, channel_statistics, standardise, whiten

RNG = np.random.default_rng(0)
PICTURES = (RNG.uniform(0, 1, (50, 3, 4, 5)) * [[[[200]], [[100]], [[50]]]]).astype(np.uint8)


@pytest.mark.parametrize("block", [1, 10_000, 1 << 30])
def test_channel_statistics(block, monkeypatch):
    monkeypatch.setattr(statistics, "_BLOCK", block)
    expected = PICTURES.mean(axis=(0, 2, 3)), PICTURES.std(axis=(0, 2, 3))
    mean, std = found = channel_statistics(PICTURES)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-12)
    np.testing.assert_allclose(std, expected[1], rtol=1e-12)
    assert found.count == 50 * 20
    streamed = channel_statistics(Loader(PICTURES, np.zeros(50), batch_size=7, preprocess=lambda x: x / 255))
    np.testing.assert_allclose(streamed.mean, expected[0] / 255, rtol=1e-9)
    np.testing.assert_allclose(streamed.std, expected[1] / 255, rtol=1e-9)


def test_statistics_of_large_offsets():
    X = 1e8 + RNG.normal(size=(1000, 2))
    np.testing.assert_allclose(channel_statistics(X).std, X.std(axis=0), rtol=1e-6)


@pytest.mark.parametrize("per, axes", [("feature", 0), ("channel", (0, 2, 3)), ("all", None)])
def test_standardise(per, axes):
    train, test, scaler = standardise(PICTURES, PICTURES[:5], per=per)
    assert train.dtype == np.float32
    np.testing.assert_allclose(train.mean(axis=axes), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=axes), 1, rtol=1e-4)
    np.testing.assert_array_equal(test, train[:5])
    np.testing.assert_allclose(scaler.inverse(test), PICTURES[:5], atol=1e-3)


def test_targets_and_constant_columns():
    y = RNG.normal(100, 20, 30)
    scaled, scaler = standardise(y)
    np.testing.assert_allclose(scaler.inverse(scaled), y, rtol=1e-6)
    np.testing.assert_allclose(scaler.inverse(scaled[:4].astype("float64")), y[:4], rtol=1e-6)
    X = np.stack([np.full(5, 0.1), np.arange(5.0)], 1)
    scaled, scaler = standardise(X)
    assert not scaled[:, 0].any() and scaler.std[0] == 1
    np.testing.assert_allclose(standardise(y[:, None])[0][:, 0], (y - y.mean()) / y.std(), rtol=1e-5)
    tiny, _ = standardise(np.array([1e-30, 3e-30]))
    np.testing.assert_allclose(tiny, [-1, 1], rtol=1e-6)


def test_large_values_keep_their_digits():
    X = 1e9 + np.arange(10.0)
    scaled, scaler = standardise(X)
    np.testing.assert_allclose(np.diff(scaled), 1 / np.arange(10).std(), rtol=1e-5)


def test_statistics_errors():
    X = np.ones((4, 3))
    X[2, 1] = np.nan
    with pytest.raises(ValueError, match="column 1 are not all finite"):
        standardise(X)
    with pytest.raises(ValueError, match="channel 1 are not"):
        channel_statistics(X)
    with pytest.raises(ValueError, match="per='row'"):
        standardise(np.ones(3), per="row")
    with pytest.raises(ValueError, match="no values"):
        Standardiser.fit(np.ones((0, 3)))
    with pytest.raises(ValueError, match=r"\(n, channels, ...\)"):
        channel_statistics(np.ones(4))


MIXED = RNG.normal(size=(400, 4)) @ RNG.normal(size=(4, 6)) + 3  # six columns in which four numbers vary


@pytest.mark.parametrize("zca", [False, True])
def test_whitening(zca):
    white, again, whitening = whiten(MIXED, MIXED[:7], zca=zca, epsilon=0)
    assert white.shape == (400, 6 if zca else 4) and whitening.components.shape == (4, 6)
    np.testing.assert_allclose(again, white[:7], atol=1e-5)
    np.testing.assert_allclose(whitening.inverse(white), MIXED, atol=1e-4)
    covariance = np.cov(white.T, bias=True)
    if zca:
        projector = whitening.components.T @ whitening.components
        np.testing.assert_allclose(covariance, projector, atol=1e-4)
        # Of all whitened data, those by ZCA are nearest to the original: their cross-covariance is symmetric.
        cross = (MIXED - MIXED.mean(0)).T @ white
        np.testing.assert_allclose(cross, cross.T, atol=0.02)
    else:
        np.testing.assert_allclose(covariance, np.eye(4), atol=1e-4)
        values = np.linalg.eigvalsh(np.cov(MIXED.T, bias=True))[::-1]
        np.testing.assert_allclose(whitening.variance, values[:4], rtol=1e-8)


def test_number_of_components():
    values = np.linalg.eigvalsh(np.cov(MIXED.T, bias=True))[::-1]
    assert whiten(MIXED, components=2)[0].shape == (400, 2)
    needed = int(np.searchsorted(np.cumsum(values) / values.sum(), 0.8)) + 1
    assert whiten(MIXED, components=0.8)[0].shape == (400, needed)
    assert whiten(MIXED, components=1.0)[0].shape == (400, 4)
    pictures, whitening = whiten(PICTURES, zca=True)
    assert pictures.shape == PICTURES.shape
    with pytest.raises(ValueError, match=r"items of shape \(3, 4, 5\)"):
        whitening(PICTURES[:, :2])
    for bad in (0, 7, 1.5, 0.0):
        with pytest.raises(ValueError, match="components="):
            Whitening.fit(MIXED, bad)
    with pytest.raises(ValueError, match="all items are equal"):
        whiten(np.ones((3, 3)))


@pytest.mark.parametrize("module", [statistics, lasagne_like.data.loader, lasagne_like.data.split])
def test_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed
