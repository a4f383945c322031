"""Augmentations against SciPy's interpolation, NumPy's slices and closed forms; speed at a usual size."""

import time

import numpy as np
import pytest
from scipy import ndimage

from lasagne_like.data import Colour, Crop, Cutout, Draws, Flip, Loader, Rotate, Shift, Zoom, average_crops, ten_crop
from lasagne_like.data.augment import apply_all
from lasagne_like.data.warp import warp

EDGES = {"reflect": dict(mode="reflect"), "nearest": dict(mode="nearest"), 7: dict(mode="grid-constant", cval=7)}


def smooth(count=3, channels=2, height=23, width=30, dtype="float32"):
    noise = np.random.default_rng(0).uniform(0, 255, (count, channels, height, width))
    return ndimage.gaussian_filter(noise, (0, 0, 2, 2)).astype(dtype)


def sampled(picture, each, **edge):
    """SciPy's bilinear interpolation of one picture under a map about the centre."""
    centre = (np.array(picture.shape[1:]) - 1) / 2
    matrix, offset = each[:, :2], each[:, 2] + centre - each[:, :2] @ centre
    planes = [ndimage.affine_transform(plane, matrix, offset, order=1, **edge) for plane in picture.astype(float)]
    return np.stack(planes)


def maps(count, seed=1, strength=0.3):
    rng = np.random.default_rng(seed)
    result = np.tile(np.eye(2, 3), (count, 1, 1))
    result[:, :, :2] += rng.uniform(-strength, strength, (count, 2, 2))
    result[:, :, 2] = rng.uniform(-4, 4, (count, 2))
    return result


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 0.01), ("uint8", 1.0)])
def test_warp_is_bilinear_interpolation(edge, dtype, tolerance):
    X, each = smooth(dtype=dtype), maps(3)
    result = warp(X, each, edge)
    assert result.dtype == X.dtype and result.shape == X.shape
    expected = np.stack([sampled(x, m, **EDGES[edge]) for x, m in zip(X, each)])
    np.testing.assert_allclose(result, expected, atol=tolerance)


@pytest.mark.parametrize("edge", EDGES)
def test_whole_shifts_and_mirrors_are_exact(edge):
    X = np.random.default_rng(0).integers(0, 256, (1, 3, 6, 9), dtype=np.uint8)
    for rows in (-3, 0, 2):
        for columns in (-4, 0, 1):
            for mirror in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
                each = np.zeros((1, 2, 3))
                each[0, 0, 0], each[0, 1, 1] = mirror
                each[0, :, 2] = rows, columns
                expected = sampled(X[0], each[0], **EDGES[edge])
                np.testing.assert_array_equal(warp(X, each, edge)[0], expected.astype(np.uint8))


def test_flip():
    X = smooth(200)
    result = Flip(0.3, 0.6)(X, seed=1)
    kinds = {(h, v): x for h in (0, 1) for v in (0, 1) for x in [X[..., :: 1 - 2 * v, :: 1 - 2 * h]]}
    found = {key: (result == x).all(axis=(1, 2, 3)).mean() for key, x in kinds.items()}
    assert sum(found.values()) == 1
    assert abs(found[1, 0] + found[1, 1] - 0.3) < 0.1 and abs(found[0, 1] + found[1, 1] - 0.6) < 0.1
    np.testing.assert_array_equal(Flip(1)(X), X[..., ::-1])
    np.testing.assert_array_equal(Flip(0)(X), X)


@pytest.mark.parametrize("augmentation", [Shift((0.2, 0.3)), Zoom(0.4), Rotate(40), Zoom((1.5, 1.5), edge="nearest")])
def test_geometric_augmentations_are_the_maps_they_draw(augmentation):
    X = smooth(8)
    draws = Draws(3, 2, np.arange(8), 0)
    each = augmentation.matrices(draws, *X.shape[2:])
    result = augmentation.apply(X, draws)
    expected = np.stack([sampled(x, m, **EDGES[augmentation.edge]) for x, m in zip(X, each)])
    np.testing.assert_allclose(result, expected, atol=0.01)
    linear = each[:, :, :2]
    scale = np.sqrt(np.abs(np.linalg.det(linear)))
    if isinstance(augmentation, Shift):
        assert (np.abs(each[:, 0, 2]) <= 0.2 * 23 + 0.5).all() and (np.abs(each[:, 1, 2]) <= 9).all()
        assert len(np.unique(each[:, :, 2])) > 5
    elif isinstance(augmentation, Zoom):
        low, high = augmentation.amount
        assert ((1 / high - 1e-9 <= scale) & (scale <= 1 / low + 1e-9)).all()
        np.testing.assert_allclose(linear, scale[:, None, None] * np.eye(2))
    else:
        np.testing.assert_allclose(linear @ linear.transpose(0, 2, 1), np.tile(np.eye(2), (8, 1, 1)), atol=1e-12)
        angles = np.degrees(np.arcsin(linear[:, 0, 1]))
        assert (np.abs(angles) <= 40).all() and angles.min() < -5 and angles.max() > 5


def test_combined_maps_are_one_interpolation():
    X = smooth(6, height=40, width=40)
    chain = [Flip(0.5, 0.5), Shift(0.1), Zoom(0.2), Rotate(20)]
    draws = [Draws(1, 0, np.arange(6), k) for k in range(4)]
    together = apply_all(chain, X, draws)
    apart = X
    for augmentation, numbers in zip(chain, draws):
        apart = augmentation.apply(apart, numbers)
    centre = np.s_[..., 12:-12, 12:-12]
    np.testing.assert_allclose(together[centre], apart[centre], atol=6)  # twice interpolated is smoother
    assert np.abs(together[centre] - apart[centre]).mean() < 1
    different = apply_all([Zoom(0.2, edge=0), Rotate(20, edge="nearest")], X, draws[:2])
    one = Rotate(20, edge="nearest").apply(Zoom(0.2, edge=0).apply(X, draws[0]), draws[1])
    np.testing.assert_array_equal(different, one)


def test_crop():
    X = np.arange(2 * 7 * 9, dtype=np.float32).reshape(1, 2, 7, 9).repeat(300, 0)
    result = Crop((4, 5))(X)
    corner = result[:, 0, 0, 0].astype(int)
    tops, lefts = corner // 9, corner % 9
    assert set(tops) == set(range(4)) and set(lefts) == set(range(5))
    for window, top, left in zip(result, tops, lefts):
        np.testing.assert_array_equal(window, X[0, :, top : top + 4, left : left + 5])
    assert Crop(9, pad=2, edge=0)(X).shape == (300, 2, 9, 9)
    with pytest.raises(ValueError, match="larger than the pictures"):
        Crop(10)(X)


def test_colour():
    X = np.random.default_rng(0).uniform(50, 200, (5, 3, 6, 7)).astype(np.float32)
    bright = Colour(0.5, 0, 0)(X)
    factor = bright / X
    np.testing.assert_allclose(factor, factor[:, :1, :1, :1].repeat(3, 1).repeat(6, 2).repeat(7, 3), rtol=1e-5)
    assert len(np.unique(factor[:, 0, 0, 0].round(4))) == 5 and (np.abs(factor - 1) <= 0.5).all()
    grey = np.einsum("c,nchw->nhw", [0.299, 0.587, 0.114], X)
    contrast = Colour(0, 0.5, 0)(X)
    mean = grey.mean(axis=(1, 2))[:, None, None, None]
    factor = (contrast - mean) / (X - mean)
    np.testing.assert_allclose(factor.std(axis=(1, 2, 3)), 0, atol=2e-2)
    saturated = Colour(0, 0, 0.5)(X)
    np.testing.assert_allclose(np.einsum("c,nchw->nhw", [0.299, 0.587, 0.114], saturated), grey, rtol=1e-5)
    factor = (saturated - grey[:, None]) / (X - grey[:, None])
    np.testing.assert_allclose(np.median(factor, axis=(1, 2, 3)), factor[:, 0, 0, 0], rtol=1e-3)
    np.testing.assert_array_equal(Colour(0, 0, 0)(X.astype(np.uint8)), X.astype(np.uint8))
    whole = Colour(1, 1, 1)(np.full((20, 3, 4, 4), 250, np.uint8))
    assert whole.dtype == np.uint8 and whole.max() == 255
    assert Colour()(X[:, :1]).shape == (5, 1, 6, 7)


def test_cutout():
    X = np.ones((400, 1, 20, 30), np.float32)
    result = Cutout(0.5, value=0)(X)
    holes = (result[:, 0] == 0).sum(axis=(1, 2))
    assert holes.max() == 100 and holes.min() < 60  # 10 x 10, or less at the border
    rows = (result[:, 0] == 0).any(axis=2).sum(axis=1)
    assert rows.max() == 10
    assert 0.2 < (Cutout(0.5, probability=0.3, value=0)(X) == 1).all(axis=(1, 2, 3)).mean() - 0.5 < 0.3
    picture = smooth(1)
    cut = Cutout(0.5)(picture)
    changed = cut != picture
    np.testing.assert_allclose(cut[0, 1][changed[0, 1]], picture[0, 1].mean(), rtol=1e-5)


def test_ten_crop():
    X = smooth(2)
    crops = ten_crop(X, (20, 24))
    assert crops.shape == (2, 10, 2, 20, 24)
    np.testing.assert_array_equal(crops[:, 1], X[:, :, :20, 6:])
    np.testing.assert_array_equal(crops[:, 4], X[:, :, 1:21, 3:27])
    np.testing.assert_array_equal(crops[:, 5:], crops[:, :5, ..., ::-1])
    result = average_crops(lambda x: x[:, 0, :2, 0], X, (20, 24))
    np.testing.assert_allclose(result, crops[:, :, 0, :2, 0].mean(axis=1), rtol=1e-6)
    with pytest.raises(ValueError, match="larger"):
        ten_crop(X, 40)


def test_draws():
    many = Draws(1, 2, np.arange(20000), 3).uniform(2, -1, 3)
    assert many.shape == (2, 20000) and many.min() >= -1 and many.max() < 3
    np.testing.assert_allclose(many.mean(axis=1), 1, atol=0.03)
    np.testing.assert_allclose(many.std(axis=1), 4 / np.sqrt(12), atol=0.02)
    assert abs(np.corrcoef(many)[0, 1]) < 0.03 and abs(np.corrcoef(many[0, 1:], many[0, :-1])[0, 1]) < 0.03
    for other in (Draws(2, 2, np.arange(20000), 3), Draws(1, 3, np.arange(20000), 3), Draws(1, 2, np.arange(20000), 4)):
        assert abs(np.corrcoef(many[0], other.uniform(1)[0])[0, 1]) < 0.03
    np.testing.assert_array_equal(Draws(1, 2, np.array([7, 5]), 3).uniform(1, -1, 3)[0], many[0, [7, 5]])


@pytest.mark.parametrize("make, message", [
    (lambda: Flip(2), "horizontal=2"), (lambda: Shift(-1), "amount=-1"), (lambda: Zoom(1), "amount=1"),
    (lambda: Rotate(200), "degrees=200"), (lambda: Colour(-1), "brightness=-1"), (lambda: Cutout(2), "size=2"),
    (lambda: Crop(None), "size=None"),
    (lambda: Shift(edge="wrap")(smooth()), "edge='wrap'"),
    (lambda: Flip()(np.zeros((2, 8, 9, 3))), r"use pictures.transpose\(0, 3, 1, 2\)"),
    (lambda: Flip()(np.zeros((3, 4, 4))), r"\(n, channels, height, width\)"),
])  # fmt: skip
def test_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_integer_pictures_are_refused():
    with pytest.raises(TypeError, match="int64"):
        Flip()(np.zeros((1, 3, 4, 4), int))


def test_training_does_not_wait_for_pictures():
    """Far below what was measured (650 pictures per second on one thread), since machines are shared."""
    X = np.random.default_rng(0).integers(0, 256, (96, 3, 160, 160), dtype=np.uint8)
    loader = Loader(X, np.zeros(96), augment=[Flip(), Shift(), Zoom(), Rotate()], workers=1)
    rates = []
    for _ in range(3):
        began = time.perf_counter()
        list(loader)
        rates.append(96 / (time.perf_counter() - began))
    assert max(rates) > 100
