"""Preprocess: the same result from files, images and arrays; resizing against Pillow; refusals by name."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from lasagne_like.data import Preprocess

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


@pytest.fixture
def picture(rng):
    return rng.randint(0, 256, (47, 61, 3)).astype("uint8")


@pytest.mark.parametrize("size", [(30, 20), (80, 95), (47, 30), (13, 61), (1, 1)])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_resizing_is_pillows(picture, size, interpolation):
    mine = Preprocess(resize=size, interpolation=interpolation)(picture)[0].transpose(1, 2, 0)
    theirs = np.asarray(Image.fromarray(picture).resize(size[::-1], FILTERS[interpolation]))
    # Pillow rounds to integers after each of the two axes.
    assert np.abs(mine - theirs).max() <= (1.5 if interpolation != "nearest" else 0)


def test_every_form_of_a_picture_gives_one_result(picture, tmp_path):
    preprocess = Preprocess(resize=32, crop=(24, 28), scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path)
    wanted = preprocess(picture)
    assert wanted.shape == (1, 3, 24, 28) and wanted.dtype == np.float32 and wanted.flags.c_contiguous
    opaque = np.dstack([picture, np.full(picture.shape[:2], 7, "uint8")])
    forms = [path, str(path), Image.open(path), picture.transpose(2, 0, 1), opaque, picture.astype("int64")]
    for form in forms:
        np.testing.assert_array_equal(preprocess(form), wanted)
    several = preprocess([*forms, np.stack([picture] * 2), np.stack([picture.transpose(2, 0, 1)] * 3)])
    np.testing.assert_array_equal(several, np.repeat(wanted, 11, axis=0))


def test_pixels_by_hand():
    pixel = np.array([[[10, 20, 30]]], "uint8")
    rgb = Preprocess(scale=0.1, mean=(1, 2, 3), std=(2, 1, 0.5))(pixel)
    np.testing.assert_allclose(rgb[0, :, 0, 0], [0, 0, 0], atol=1e-6)
    bgr = Preprocess(channels="bgr", mean=(1, 2, 3))(pixel)
    np.testing.assert_allclose(bgr[0, :, 0, 0], [29, 18, 7])
    grey = Preprocess(channels="grey", std=2)(pixel)
    np.testing.assert_allclose(grey[0, :, 0, 0], [(2.99 + 11.74 + 3.42) / 2], rtol=1e-6)
    np.testing.assert_array_equal(Preprocess()(np.array([[5]], "uint8"))[0, :, 0, 0], [5, 5, 5])
    greys = np.full((2, 1, 5, 6), 9, "uint8")
    np.testing.assert_array_equal(Preprocess(channels="grey")(greys), greys)


def test_the_shorter_side_and_the_centre():
    rows, columns = np.mgrid[0:40, 0:100].astype("uint8")
    picture = np.stack([rows, columns, rows], axis=2)
    out = Preprocess(resize=40, crop=(20, 30))(picture)[0]
    np.testing.assert_array_equal(out[0, :, 0], np.arange(10, 30))
    np.testing.assert_array_equal(out[1, 0], np.arange(35, 65))
    assert Preprocess(resize=20)(picture).shape == (1, 3, 20, 50)
    assert Preprocess(resize=20)(picture.transpose(1, 0, 2)).shape == (1, 3, 50, 20)


def test_undo_returns_the_picture(picture):
    for channels in ("rgb", "bgr"):
        preprocess = Preprocess(channels=channels, scale=1 / 255, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
        inputs = preprocess(picture)
        np.testing.assert_array_equal(preprocess.undo(inputs)[0], picture.transpose(2, 0, 1))
        np.testing.assert_array_equal(preprocess.undo(inputs[0]), picture.transpose(2, 0, 1))


def test_through_json_and_back():
    for preprocess in (
        Preprocess(),
        Preprocess(resize=(8, 9), crop=4, interpolation="nearest", channels="bgr", mean=(1, 2, 3), std=np.ones(3)),
    ):
        again = Preprocess.from_dict(json.loads(json.dumps(preprocess.to_dict())))
        assert again == preprocess and hash(again) == hash(preprocess)
    with pytest.raises(dataclasses.FrozenInstanceError):
        preprocess.scale = 2


@pytest.mark.parametrize(
    "shape",
    [(None, None), (3, 224, 224), (3, 8, 9), (1, 7, 7)],
)
def test_output_shape(shape, picture):
    preprocess = {
        (None, None): Preprocess(resize=20),
        (3, 224, 224): Preprocess(resize=256, crop=224),
        (3, 8, 9): Preprocess(resize=(8, 9), channels="bgr"),
        (1, 7, 7): Preprocess(crop=7, channels="grey"),
    }[shape]
    got = preprocess(picture).shape[1:]
    assert all(want in (None, have) for want, have in zip(preprocess.output_shape, got))
    assert preprocess.output_shape[-2:] == shape[-2:]


def test_upright_and_sixteen_bits(picture, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    turned = Preprocess()(tmp_path / "turned.png")
    np.testing.assert_array_equal(turned[0].transpose(1, 2, 0), np.rot90(picture, -1))
    Image.fromarray(picture[:, :, 0].astype("uint16") * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(Preprocess()(tmp_path / "deep.png")[0, 1], picture[:, :, 0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"resize": 0}, "resize=0 must be a number of pixels"),
        ({"crop": (3, 4, 5)}, r"crop=\(3, 4, 5\) must be"),
        ({"crop": 2.5}, "crop=2.5 must be"),
        ({"crop": True}, "crop=True must be"),
        ({"resize": 10**9}, "from 1 to 16384"),
        ({"interpolation": "area"}, "interpolation='area' must be one of 'bilinear'"),
        ({"channels": "RGB"}, "channels='RGB' must be one of 'rgb', 'bgr', 'grey'"),
        ({"mean": (1, 2)}, "mean has 2 values, expected one number or 3"),
        ({"std": (1, 0, 1)}, "contains a zero"),
        ({"scale": float("nan")}, "scale=nan must be a finite number"),
        ({"mean": 10**400}, "must be a finite number"),
        ({"scale": 0}, "scale=0 would make all pictures equal"),
        ({"resize": 100, "crop": 128}, "crop=128 is larger than resize=100"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Preprocess(**arguments)


def test_unknown_entries_are_refused():
    with pytest.raises(ValueError, match="unknown entries size; known are channels, crop"):
        Preprocess.from_dict({"size": 3})
    with pytest.raises(ValueError, match="expected a dictionary, got list"):
        Preprocess.from_dict([])


def test_pictures_are_checked(picture, tmp_path):
    preprocess = Preprocess()
    with pytest.raises(TypeError, match=r"dtype float64; for values from 0 to 1, pass \(255 \* pictures\)"):
        preprocess(picture / 255)
    with pytest.raises(ValueError, match=r"shape \(5, 28, 28\).*pass \(n, 1, rows, columns\)"):
        preprocess(np.zeros((5, 28, 28), "uint8"))
    with pytest.raises(ValueError, match="values from 0 to 255, got 0 to 300"):
        preprocess(np.array([[0, 300]]))
    with pytest.raises(ValueError, match="no elements"):
        preprocess(np.zeros((0, 3, 8, 8), "uint8"))
    with pytest.raises(ValueError, match="no pictures were given"):
        preprocess([])
    with pytest.raises(TypeError, match="expected pictures as file names.*got int"):
        preprocess(3)
    with pytest.raises(ValueError, match=r"differ in size \(47 x 61, 61 x 47\)"):
        preprocess([picture, picture.transpose(1, 0, 2)])
    with pytest.raises(ValueError, match="cannot crop 50 x 20 pixels from a picture of 47 x 61"):
        Preprocess(crop=(50, 20))(picture)
    with pytest.raises(FileNotFoundError, match="no picture"):
        preprocess(tmp_path / "none.jpg")
    with pytest.raises(ValueError, match="is a folder"):
        preprocess(tmp_path)
    broken = tmp_path / "broken.jpg"
    Image.fromarray(picture).save(broken)
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(ValueError, match="broken.jpg is not a picture that Pillow reads, or is damaged"):
        preprocess(broken)


def test_without_a_margin_pictures_of_the_right_size_are_taken_as_they_are(picture):
    with_margin = Preprocess(resize=36, crop=32, mean=(1.0, 2.0, 3.0))
    whole = with_margin.whole()
    small = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    np.testing.assert_allclose(whole(small), small - np.array([1, 2, 3], "float32").reshape(3, 1, 1), atol=1e-5)
    assert not np.allclose(with_margin(small), whole(small))
    assert whole.whole() == whole and whole.output_shape == with_margin.output_shape
    assert Preprocess(resize=40, crop=(20, 30)).whole()(picture).shape == (1, 3, 20, 30)
    assert Preprocess(resize=(40, 50)).whole() == Preprocess(resize=(40, 50))
