"""Augmentation layers against SciPy's interpolation under the same map, and what is drawn against its range."""

import numpy as np
import pytest
from scipy import ndimage

import lasagne_like.random
import symc
import symc.tensor as T
from lasagne_like import layers as L

EDGES = {"reflect": dict(mode="reflect"), "nearest": dict(mode="nearest"), 7: dict(mode="grid-constant", cval=7)}


def pictures(count=3, channels=2, height=13, width=18):
    noise = np.random.default_rng(0).uniform(0, 255, (count, channels, height, width))
    return ndimage.gaussian_filter(noise, (0, 0, 1, 1)).astype("float32")


def run(layer, X, **kwargs):
    source = layer.input_layer
    return symc.function([source.input_var], L.get_output(layer, **kwargs))(X)


def with_draws(layer, draws):
    """Replace the random numbers of a layer by given ones, from -1 to 1: ``(kinds, batch)``."""
    constants = [T.constant(np.asarray(draw, "float32")[:, None, None]) for draw in draws]
    layer._draws = lambda input, count: constants[:count]
    return layer


def expected(picture, edge, angle=0.0, factor=1.0, offset=(0, 0)):
    """Read each pixel of the result at the rotated, scaled and shifted position about the centre."""
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, sin], [-sin, cos]]) / factor
    centre = (np.array(picture.shape[1:]) - 1) / 2
    start = centre - matrix @ centre + offset
    planes = [ndimage.affine_transform(p.astype(float), matrix, start, order=1, **EDGES[edge]) for p in picture]
    return np.stack(planes)


DRAWS = np.array([[1, 1, 1], [1, 1, 1], [-1, 0.5, 0.1], [0.7, -1, 0], [-1, 0.3, 1], [0.4, 1, -1]])


@pytest.mark.parametrize("edge", EDGES)
def test_affine_map(edge):
    X = pictures()
    source = L.InputLayer((None, 2, 13, 18))
    layer = with_draws(L.RandomAffine(source, shift=(0.3, 0.2), zoom=(0.5, 1.5), degrees=50, edge=edge), DRAWS)
    result = run(layer, X)
    for k, x in enumerate(X):
        _, _, rows, columns, scale, turn = DRAWS[:, k]
        low, high = np.log(0.5), np.log(1.5)
        factor = np.exp((low + high) / 2 + scale * (high - low) / 2)
        offset = np.rint([rows * 0.3 * 13, columns * 0.2 * 18])
        reference = expected(x, edge, np.deg2rad(50 * turn), factor, offset)
        np.testing.assert_allclose(result[k], reference, atol=0.02)


@pytest.mark.parametrize("edge", EDGES)
def test_shift_is_exact(edge):
    X = pictures()
    source = L.InputLayer((None, None, None, None))
    layer = with_draws(L.RandomShift(source, (1, 0.5), edge), DRAWS)
    result = run(layer, X)
    for k, x in enumerate(X):
        offset = np.rint([DRAWS[2, k] * 13, DRAWS[3, k] * 9])
        np.testing.assert_array_equal(result[k], expected(x, edge, offset=offset).astype("float32"))


@pytest.mark.parametrize("edge", EDGES)
def test_far_beyond_the_edges(edge):
    """A picture shrunk to a tenth shows its mirror images again and again."""
    X = pictures(1)
    layer = L.RandomZoom(L.InputLayer((None, 2, 13, 18)), (0.1, 0.1), edge)
    np.testing.assert_allclose(run(layer, X)[0], expected(X[0], edge, factor=0.1), atol=0.05)


def test_flip():
    X = pictures(400)
    source = L.InputLayer((None, 2, 13, 18))
    result = run(L.RandomFlip(source, 0.3, 0.6), X)
    kinds = {(h, v): X[..., :: 1 - 2 * v, :: 1 - 2 * h] for h in (0, 1) for v in (0, 1)}
    found = {key: (result == x).all(axis=(1, 2, 3)).mean() for key, x in kinds.items()}
    assert sum(found.values()) == 1
    assert abs(found[1, 0] + found[1, 1] - 0.3) < 0.08 and abs(found[0, 1] + found[1, 1] - 0.6) < 0.08
    np.testing.assert_array_equal(run(L.RandomFlip(source, 1, 1), X), X[..., ::-1, ::-1])
    np.testing.assert_array_equal(run(L.RandomFlip(source, 0, 0), X), X)


def test_rotation_by_known_angles():
    ramp = np.tile(np.arange(15.0, dtype="float32"), (200, 1, 15, 1))
    result = run(L.RandomRotation(L.InputLayer((None, 1, 15, 15)), 30), ramp)
    # At the centre, the slope of a rotated ramp is the cosine along columns, and the sine along rows.
    across = (result[:, 0, 7, 8] - result[:, 0, 7, 6]) / 2
    down = (result[:, 0, 8, 7] - result[:, 0, 6, 7]) / 2
    np.testing.assert_allclose(across**2 + down**2, 1, atol=1e-4)
    angles = np.degrees(np.arctan2(down, across))
    assert (np.abs(angles) <= 30.001).all() and angles.min() < -24 and angles.max() > 24 and abs(angles.mean()) < 4


def test_zoom_range():
    ramp = np.tile(np.arange(15.0, dtype="float32"), (200, 1, 15, 1))
    result = run(L.RandomZoom(L.InputLayer((None, 1, 15, 15)), (0.5, 1.5)), ramp)
    factor = 2 / (result[:, 0, 7, 8] - result[:, 0, 7, 6])
    assert ((0.4999 < factor) & (factor < 1.5001)).all() and factor.min() < 0.55 and factor.max() > 1.4


def test_contrast_and_brightness():
    X = pictures(50)
    source = L.InputLayer((None, 2, 13, 18))
    mean = X.mean(axis=(2, 3), keepdims=True)
    contrast = run(L.RandomContrast(source, 0.5), X)
    np.testing.assert_allclose(contrast.mean(axis=(2, 3), keepdims=True), mean, rtol=1e-4)
    for factor in (
        contrast.std(axis=(2, 3)) / X.std(axis=(2, 3)),
        (run(L.RandomBrightness(source, 0.5), X) / X)[:, :, 4, 4],
    ):
        np.testing.assert_allclose(factor[:, 0], factor[:, 1], rtol=1e-3)
        assert 0.5 <= factor.min() < 0.6 and 1.4 < factor.max() <= 1.5


RANDOM = [
    L.RandomAffine,
    L.RandomFlip,
    L.RandomShift,
    L.RandomZoom,
    L.RandomRotation,
    L.RandomContrast,
    L.RandomBrightness,
]


@pytest.mark.parametrize("cls", RANDOM)
def test_deterministic_is_the_identity(cls):
    X = pictures(20)
    layer = cls(L.InputLayer((None, 2, 13, 18)))
    assert layer.output_shape == (None, 2, 13, 18)
    np.testing.assert_array_equal(run(layer, X, deterministic=True), X)
    assert (run(layer, X) != X).any()
    whole = cls(L.InputLayer((None, 2, 13, 18), T.tensor("uint8", shape=(None, 2, 13, 18))))
    for mode in (True, False):
        assert run(whole, X.astype("uint8"), deterministic=mode).dtype == np.float32


@pytest.mark.parametrize("cls", [L.RandomAffine, L.RandomContrast])
def test_seeded_by_the_library(cls):
    X, results = pictures(), []
    for seed in (1, 1, 2):
        lasagne_like.random.set_rng(np.random.RandomState(seed))
        layer = cls(L.InputLayer((None, 2, 13, 18)))
        f = symc.function([layer.input_layer.input_var], L.get_output(layer))
        results.append([f(X), f(X)])
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0][0] != results[0][1]).any() and (results[0][0] != results[2][0]).any()


def test_gradients_pass():
    """The parameters above get the gradient at the augmented pictures; the pictures get that of the interpolation."""
    X = pictures()
    source = L.InputLayer((None, 2, 13, 18))
    layer = with_draws(L.RandomAffine(source, shift=0, degrees=20), DRAWS)
    dense = L.DenseLayer(layer, 1, nonlinearity=None)
    output = L.get_output(dense)
    on_weights, on_input = symc.function([source.input_var], T.grad(output.sum(), [dense.W, source.input_var]))(X)
    np.testing.assert_allclose(on_weights[:, 0], run(layer, X).sum(0).ravel(), rtol=1e-4)
    # The output is linear in the input: its gradient is the adjoint of the interpolation.
    step = np.random.default_rng(1).normal(size=X.shape).astype("float32")
    f = symc.function([source.input_var], output.sum())
    np.testing.assert_allclose((on_input * step).sum(), f(X + step) - f(X), rtol=2e-3, atol=1e-2)


def test_rescale():
    X = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6)).astype("uint8")
    source = L.InputLayer((None, 3, 5, 6), T.tensor("uint8", shape=(None, 3, 5, 6)))
    result = run(L.RescaleLayer(source, mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4]), X)
    reference = (X / 255 - np.reshape([0.5, 0.4, 0.3], (3, 1, 1))) / np.reshape([0.2, 0.3, 0.4], (3, 1, 1))
    np.testing.assert_allclose(result, reference, atol=1e-6)
    assert result.dtype == np.float32
    np.testing.assert_allclose(run(L.RescaleLayer(source, 1, mean=128), X), X - 128.0, atol=1e-4)
    flat = L.RescaleLayer(L.InputLayer((None, 4)), 2, std=(1, 2, 4, 8))
    np.testing.assert_allclose(run(flat, np.ones((1, 4), "float32")), [[2, 1, 0.5, 0.25]])


@pytest.mark.parametrize("make, message", [
    (lambda l: L.RandomFlip(l, "horizontal"), "expected a probability; horizontal=0.5 mirrors left and right"),
    (lambda l: L.RandomFlip(l, 1.5), "horizontal=1.5"),
    (lambda l: L.RandomShift(l, 2), "shift=2"),
    (lambda l: L.RandomZoom(l, 1), "zoom=1"),
    (lambda l: L.RandomRotation(l, -5), "degrees=-5"),
    (lambda l: L.RandomShift(l, edge="wrap"), "edge='wrap'"),
    (lambda l: L.RandomContrast(l, -1), "amount=-1"),
    (lambda l: L.RandomFlip((None, 4)), "requires pictures of shape"),
    (lambda l: L.RandomFlip((None, 8, 8, 3)), "channels come first here"),
    (lambda l: L.RescaleLayer(l, std=0), "contains a zero"),
    (lambda l: L.RescaleLayer(l, mean=(1, 2)), "one for each of the 3 channels"),
])  # fmt: skip
def test_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make(L.InputLayer((None, 3, 8, 8)))


def test_fractions_of_a_turn_are_suspicious():
    with pytest.warns(UserWarning, match="degrees=36"):
        L.RandomRotation(L.InputLayer((None, 3, 8, 8)), 0.1)
