"""Pictures from folders: what is read, in which order, in which colours, and what is said about the rest."""

import numpy as np
import pytest
from PIL import Image

from lasagne_like.data import LazyPictures, image_folder, image_splits, read_pictures, train_test_split
from lasagne_like.data.decoding import decode_picture
from lasagne_like.data.split import split_indices


def save(path, colour=(10, 20, 30), size=(16, 12), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


@pytest.fixture
def root(tmp_path):
    for k in range(5):
        save(tmp_path / "dog" / f"{k}.png", (k, 0, 0))
    for k in range(3):
        save(tmp_path / "cat" / f"{k}.PNG", (100 + k, 0, 0))
    save(tmp_path / "cat" / "more" / "9.png", (109, 0, 0))
    return tmp_path


def test_order_labels_and_what_is_skipped(root):
    (root / "cat" / ".hidden.png").write_bytes(b"x")
    (root / "cat" / "notes.txt").write_text("x")
    (root / "readme.md").write_text("x")
    (root / ".git").mkdir()
    data = image_folder(root, size=(12, 16))
    images, labels, classes = data
    assert images.shape == (9, 3, 12, 16) and images.dtype == np.uint8
    assert classes == ("cat", "dog") and labels.dtype == np.int32
    assert images[:, 0, 0, 0].tolist() == [100, 101, 102, 109, 0, 1, 2, 3, 4]
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert [p.name for p in data.paths[:4]] == ["0.PNG", "1.PNG", "2.PNG", "9.png"]
    assert sorted(p.name for p in data.skipped) == [".hidden.png", "notes.txt", "readme.md"]
    assert data.counts == {"cat": 4, "dog": 5}
    assert "cat 4, dog 5; 3 files skipped" in repr(data)


def test_classes_in_a_given_order(root):
    images, labels, classes = image_folder(root, size=4, classes=["dog", "cat"])
    assert classes == ("dog", "cat") and labels.tolist() == [0] * 5 + [1] * 4 and images[0, 0, 0, 0] == 0
    assert image_folder(root, size=4, classes=["dog"]).counts == {"dog": 5}
    with pytest.raises(ValueError, match="no folder for the class 'fox'; it contains the folders cat, dog"):
        image_folder(root, classes=["fox"])


def test_per_class(root):
    small, large = (set(image_folder(root, 4, per_class=n, seed=3).paths) for n in (2, 3))
    assert len(small) == 4 and len(large) == 6 and small < large
    others = [set(image_folder(root, 4, per_class=2, seed=k).paths) for k in range(5)]
    assert any(other != others[0] for other in others)
    firsts = image_folder(root, 4, per_class=2, seed=None).paths
    assert [p.name for p in firsts] == ["0.PNG", "1.PNG", "0.png", "1.png"]
    with pytest.raises(ValueError, match="per_class=0"):
        image_folder(root, per_class=0)


@pytest.mark.parametrize("size, fit, mode", [(50, "crop", "rgb"), (48, "crop", "grey"), ((40, 60), "stretch", "rgb")])
def test_the_preprocessing_of_new_pictures_is_that_of_the_folder(tmp_path, size, fit, mode):
    y, x = np.mgrid[:150, :200]
    picture = np.stack([128 + 100 * np.sin(x / 20), 128 + 100 * np.cos(y / 15), (x + y) / 2], -1).astype(np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(picture).save(tmp_path / name / "0.png")
    data = image_folder(tmp_path, size, fit=fit, mode=mode)
    again = data.preprocess([path for path in data.paths])
    assert again.shape == data.images.shape and again.dtype == np.float32
    assert np.abs(again - data.images).max() < (1.5 if fit == "stretch" else 12)  # the crop rounds to whole pixels
    assert np.abs(again - data.images).mean() < 1.5
    assert image_folder(tmp_path, size, fit="pad").preprocess is None
    assert image_folder(tmp_path, (40, 60), fit="crop").preprocess is None
    assert image_folder(tmp_path, None).preprocess(data.paths[0]).shape == (1, 3, 150, 200)


def test_number_of_threads_changes_nothing(root):
    one, many = (image_folder(root, 8, workers=n) for n in (0, 5))
    np.testing.assert_array_equal(one.images, many.images)
    assert one.paths == many.paths


def test_broken_pictures_are_named(root):
    (root / "cat" / "2.PNG").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    whole = (root / "dog" / "1.png").read_bytes()
    (root / "dog" / "1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="2 pictures cannot be read") as caught:
        image_folder(root)
    assert str(root / "cat" / "2.PNG") in str(caught.value) and str(root / "dog" / "1.png") in str(caught.value)
    data = image_folder(root, 4, skip_broken=True)
    assert data.counts == {"cat": 3, "dog": 4} and {p.name for p in data.skipped} == {"2.PNG", "1.png"}
    assert data.images[:, 0, 0, 0].tolist() == [100, 101, 109, 0, 2, 3, 4]


def test_links_in_circles(root):
    (root / "cat" / "again").symlink_to(root / "cat", target_is_directory=True)
    (root / "cat" / "more" / "up").symlink_to(root, target_is_directory=True)
    assert image_folder(root, 4).counts["dog"] == 5
    assert image_folder(root, 4, classes=["dog"]).counts == {"dog": 5}


def test_damaged_exif_data_do_not_matter(tmp_path):
    save(tmp_path / "a.jpg", exif=b"Exif\x00\x00XX not a header")
    assert read_pictures(tmp_path / "a.jpg", 8).shape == (1, 3, 8, 8)


def test_truncated_jpeg_is_named(tmp_path):
    path = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"a\.jpg is not a readable picture .*truncated"):
        read_pictures([path])


def test_what_is_no_folder_of_classes(tmp_path, root):
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        image_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="contains no folders.*read_pictures"):
        image_folder(root / "dog")
    (root / "fox").mkdir()
    with pytest.raises(ValueError, match="fox .*no pictures"):
        image_folder(root)
    assert image_folder(root, 4, classes=["cat", "fox"]).counts == {"cat": 4, "fox": 0}


def test_sizes(root):
    with pytest.raises(ValueError, match=r"size=\(0, 3\)"):
        image_folder(root, size=(0, 3))
    with pytest.raises(ValueError, match="size='big'"):
        image_folder(root, size="big")
    assert image_folder(root, size=None).images.shape == (9, 3, 12, 16)
    odd = save(root / "dog" / "odd.png", size=(20, 10))
    with pytest.raises(ValueError, match=r"different sizes: .*odd\.png has 10 x 20"):
        image_folder(root, size=None)
    with pytest.raises(ValueError, match="mode='RGB'"):
        image_folder(root, mode="RGB")
    with pytest.raises(ValueError, match="fit='cover'"):
        image_folder(root, fit="cover")
    assert odd.exists()


@pytest.fixture
def wide(tmp_path):
    """Three vertical stripes of 10 x 10 pixels: red, green, blue."""
    pixels = np.zeros((10, 30, 3), np.uint8)
    for k in range(3):
        pixels[:, 10 * k : 10 * k + 10, k] = 255
    path = tmp_path / "wide.png"
    Image.fromarray(pixels).save(path)
    return path


def test_fit(wide):
    cropped = decode_picture(wide, (10, 10), fit="crop")
    assert (cropped[1] == 255).all() and not cropped[[0, 2]].any()  # the middle stripe
    stretched = decode_picture(wide, (10, 30 // 3 * 3), fit="stretch")
    assert stretched.shape == (3, 10, 30)
    narrow = decode_picture(wide, (10, 9), fit="stretch")
    assert narrow[0, 5, 1] == 255 and narrow[1, 5, 4] == 255 and narrow[2, 5, 7] == 255
    padded = decode_picture(wide, (30, 30), fit="pad")
    assert not padded[:, :10].any() and not padded[:, 20:].any() and (padded[:, 10:20].sum(0) == 255).all()


def test_draft_mode_of_jpeg_is_close_to_full_decoding(tmp_path):
    y, x = np.mgrid[:512, :768]
    picture = np.stack([128 + 100 * np.sin(x / 60), 128 + 100 * np.cos(y / 50), (x + y) / 5], -1).astype(np.uint8)
    path = tmp_path / "big.jpg"
    Image.fromarray(picture).save(path, quality=95)
    drafted = decode_picture(path, (64, 64)).astype(int)
    exact = np.asarray(Image.fromarray(picture[:, 128:640]).resize((64, 64), Image.Resampling.BOX)).transpose(2, 0, 1)
    assert np.abs(drafted - exact).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    # The stored picture, from which the orientation leads back: of each pair the first undoes the second.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1), 7: upright[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(decode_picture(tmp_path / "a.png", None), upright.transpose(2, 0, 1))


def test_colours(tmp_path):
    def pixel(mode, **options):
        return decode_picture(path, None, mode, **options)[:, 0, 0].tolist()

    path = save(tmp_path / "grey.png", 77, mode="L")
    assert pixel("rgb") == [77, 77, 77] and pixel("grey") == [77]
    path = save(tmp_path / "rgb.png", (200, 100, 50))
    assert pixel("grey") == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]
    path = save(tmp_path / "rgba.png", (200, 100, 0, 51), mode="RGBA")
    assert pixel("rgb") == [200, 100, 0]
    path = save(tmp_path / "la.png", (7, 0), mode="LA")
    assert pixel("rgb") == [7, 7, 7] and pixel("grey") == [7]
    path = tmp_path / "float.tif"
    Image.fromarray(np.ones((4, 4), np.float32)).save(path)
    with pytest.raises(ValueError, match="floating-point values"):
        pixel("rgb")
    path = tmp_path / "palette.png"
    Image.new("RGB", (4, 4), (1, 2, 3)).convert("P", palette=Image.Palette.ADAPTIVE).save(path)
    assert pixel("rgb") == [1, 2, 3]
    path = save(tmp_path / "one.png", 1, mode="1")
    assert pixel("rgb") == [255, 255, 255]
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 200 * 257, np.uint16)).save(path)
    assert pixel("rgb") == [200, 200, 200] and pixel("grey") == [200]
    path = save(tmp_path / "cmyk.jpg", (0, 255, 255, 0), mode="CMYK", quality=100)  # magenta and yellow: red
    assert pixel("rgb")[0] > 200 and max(pixel("rgb")[1:]) < 60
    assert 60 < pixel("grey")[0] < 100


@pytest.fixture
def parted(tmp_path):
    for part, count in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            for k in range(count):
                save(tmp_path / "data" / part / name / f"{k}.png", (k, 0, 0))
    return tmp_path / "data"


def test_parts(parted):
    with pytest.raises(ValueError, match="contains the parts train, test, not classes: .*image_splits"):
        image_folder(parted)
    train, test = image_splits(parted, 4)
    assert train.counts == {"cat": 4, "dog": 4} and test.counts == {"cat": 2, "dog": 2}
    train, test = image_splits(parted, 4, per_class=3)
    assert train.counts == {"cat": 3, "dog": 3} and test.counts == {"cat": 2, "dog": 2}
    save(parted / "val" / "cat" / "0.png")
    (parted / "val" / "dog").mkdir()
    splits = image_splits(parted, 4)
    assert [len(part.labels) for part in splits] == [8, 1, 4] and splits.valid.classes == splits.classes
    save(parted / "test" / "fox" / "0.png")
    with pytest.raises(ValueError, match="classes fox, which the training part lacks"):
        image_splits(parted, 4)


def test_a_folder_without_parts_is_split(root):
    train, test = image_splits(root, 4, test=4)
    assert train.counts == {"cat": 2, "dog": 3} and test.counts == {"cat": 2, "dog": 2}
    assert not set(train.paths) & set(test.paths)


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train", "bus"):
        save(tmp_path / name / "0.png")
    assert image_folder(tmp_path, 4).classes == ("bus", "train")


def test_read_pictures(root, wide):
    assert read_pictures(root / "cat", 4)[:, 0, 0, 0].tolist() == [100, 101, 102, 109]
    assert read_pictures(wide, 4).shape == (1, 3, 4, 4)
    assert read_pictures([str(wide), wide], (4, 5), mode="grey").shape == (2, 1, 4, 5)
    with pytest.raises(FileNotFoundError):
        read_pictures([root / "none.png"])


def test_lazy_pictures_are_the_decoded_ones(root, tmp_path):
    eager, lazy = (image_folder(root, (8, 6), lazy=way) for way in (False, True))
    pictures = lazy.images
    assert isinstance(pictures, LazyPictures) and len(pictures) == 9 and pictures.nbytes == eager.images.nbytes
    assert pictures.shape == eager.images.shape and pictures.dtype == eager.images.dtype
    for key in (3, -1, slice(2, 7, 2), np.array([5, 0, 5]), eager.labels == 1, (slice(0, 3), 0), np.array([[1], [2]])):
        np.testing.assert_array_equal(pictures[key], eager.images[key])
    np.testing.assert_array_equal(np.asarray(pictures), eager.images)
    stored = pictures.to_memmap(tmp_path / "cache.npy")
    assert isinstance(stored, np.memmap)
    np.testing.assert_array_equal(stored, eager.images)
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(IndexError):
        pictures[9]
    first, second = lazy.split(4, seed=1)
    assert isinstance(first.images, LazyPictures) and len(second.labels) == 4
    (root / "cat" / "0.PNG").write_bytes(b"")
    with pytest.raises(ValueError, match=r"0\.PNG"):
        pictures[0]


def test_train_test_split():
    X, y = np.arange(20).reshape(10, 2), np.arange(10) % 2
    X1, X2, y1, y2 = train_test_split(X, y, test=0.3, seed=1)
    assert X1.shape == (7, 2) and y2.shape == (3,)
    np.testing.assert_array_equal(np.sort(np.concatenate([X1, X2])[:, 0]), X[:, 0])
    np.testing.assert_array_equal(X1[:, 0] // 2 % 2, y1)
    first = train_test_split(list("abcdefghij"), test=2, seed=5)
    assert first == train_test_split(list("abcdefghij"), test=2, seed=5) and len(first[1]) == 2
    with pytest.raises(ValueError, match=r"different lengths \[10, 3\]"):
        train_test_split(X, y[:3])
    for bad in (0, 1.0, -0.1, 10, 0.01):
        with pytest.raises(ValueError, match="a part of"):
            train_test_split(X, test=bad)


@pytest.mark.parametrize("seed", range(3))
def test_stratified_splits_keep_proportions(seed):
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    first, second = split_indices(100, 0.2, seed, labels)
    assert np.bincount(labels[second]).tolist() == [12, 6, 2] and np.bincount(labels[first]).tolist() == [48, 24, 8]
    labels = np.repeat(["a", "b", "c"], [2, 9, 9])
    first, second = split_indices(20, 0.25, seed, labels)
    assert len(second) == 5 and set(labels[second]) == set(labels[first]) == {"a", "b", "c"}
    with pytest.raises(ValueError, match="single item"):
        split_indices(3, 1, seed, [0, 0, 1])
    with pytest.raises(ValueError, match="cannot hold each of 3 classes"):
        split_indices(20, 2, seed, labels)
