"""The Loader: order, augmentation as a function of (seed, epoch, item), threads that end, errors that are named."""

import gc
import pickle
import threading
import time

import numpy as np
import pytest
from PIL import Image

from lasagne_like.data import (
    Colour,
    Crop,
    CutMix,
    Cutout,
    Flip,
    LazyPictures,
    Loader,
    LoaderError,
    Mixup,
    PictureSet,
    Rotate,
    Shift,
    Zoom,
    augmented_copies,
)  # fmt: skip


def pictures(count=13, channels=3, height=11, width=14):
    return np.random.default_rng(0).integers(0, 256, (count, channels, height, width), dtype=np.uint8)


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("symc-loader")]


def test_every_item_once_per_epoch():
    X, y = np.arange(10) * 10.0, np.arange(10)
    loader = Loader(X, y, batch_size=4, seed=1)
    assert len(loader) == 3
    epochs = []
    for _ in range(2):
        batches = list(loader)
        assert [len(t) for _, t in batches] == [4, 4, 2]
        for inputs, targets in batches:
            np.testing.assert_array_equal(inputs, targets * 10.0)
        epochs.append(np.concatenate([t for _, t in batches]).tolist())
        assert sorted(epochs[-1]) == list(range(10))
    assert epochs[0] != epochs[1]  # each iteration is an epoch of its own
    loader.set_epoch(0)
    assert np.concatenate([t for _, t in loader]).tolist() == epochs[0]
    assert loader.epoch == 1


def test_without_shuffling_and_without_the_last_batch():
    loader = Loader(np.arange(10), np.arange(10), batch_size=4, shuffle=False, drop_last=True)
    assert len(loader) == 2 and np.concatenate([t for _, t in loader]).tolist() == list(range(8))


AUGMENT = [Flip(0.5, 0.5), Shift(0.2), Zoom(0.3), Rotate(20), Crop(8), Colour(), Cutout()]


def test_a_function_of_seed_epoch_and_item():
    X, y = pictures(), np.arange(13)
    kept = {}
    for workers, size, prefetch in ((0, 13, None), (1, 4, 1), (3, 5, 2), (4, 1, 7)):
        loader = Loader(X, y, batch_size=size, augment=AUGMENT, workers=workers, prefetch=prefetch, seed=5)
        loader.set_epoch(3)
        inputs, targets = (np.concatenate(parts) for parts in zip(*loader))
        kept[workers] = targets, inputs
    for targets, inputs in kept.values():
        np.testing.assert_array_equal(targets, kept[0][0])
        np.testing.assert_array_equal(inputs, kept[0][1])
    others = [dict(seed=6, epoch=3), dict(seed=5, epoch=4)]
    for other in others:
        loader = Loader(X, y, batch_size=13, augment=AUGMENT, seed=other["seed"], shuffle=False)
        loader.set_epoch(other["epoch"])
        changed = next(iter(loader))[0]
        assert (changed != kept[0][1][np.argsort(kept[0][0])]).any(axis=(1, 2, 3)).all()


def test_pickled_between_epochs():
    loader = Loader(pictures(), np.arange(13), augment=[Flip()], batch_size=4, seed=1)
    list(loader)
    again = pickle.loads(pickle.dumps(loader))
    for (a, t), (b, u) in zip(loader, again, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(t, u)


def test_threads_end_and_leaving_early_is_clean():
    loader = Loader(pictures(40), np.arange(40), batch_size=2, workers=3)
    for _ in loader:
        assert loader_threads()
        break
    gc.collect()
    assert not loader_threads()
    assert len(list(loader)) == 20  # and again
    assert not loader_threads()
    iterator = iter(loader)
    next(iterator)
    iterator.close()
    assert not loader_threads()
    first, second = iter(loader), iter(loader)  # two at once do not disturb each other
    assert len(list(zip(first, second))) == 20
    del first, second, iterator
    gc.collect()
    assert not loader_threads()


def test_work_is_done_ahead_and_not_too_far():
    made = []

    def slow(inputs):
        made.append(len(inputs))
        return inputs

    iterator = iter(Loader(np.arange(40), batch_size=2, preprocess=slow, workers=2, prefetch=3))
    next(iterator)
    deadline = time.monotonic() + 5
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(made) == 3  # the first one, and two more until it is asked for the second
    iterator.close()


def test_errors_of_threads_name_the_items(tmp_path):
    files = [tmp_path / f"{k}.png" for k in range(6)]
    for file in files:
        Image.new("RGB", (4, 4)).save(file)
    files[4].write_bytes(b"broken")
    loader = Loader(LazyPictures(files, 4), np.arange(6), batch_size=2, shuffle=False, workers=2)
    seen = []
    with pytest.raises(LoaderError, match=r"batch 2 of epoch 0 \(items 4, 5\) failed while reading .*4\.png"):
        for batch in loader:
            seen.append(batch)
    assert len(seen) == 2
    gc.collect()
    assert not loader_threads()

    def wrong(inputs):
        raise KeyError("colour")

    with pytest.raises(LoaderError, match="failed while preprocessing: KeyError: 'colour'") as caught:
        next(iter(Loader(np.zeros(4), batch_size=2, preprocess=wrong)))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(LoaderError, match=r"expected pictures of shape \(n, channels, height, width\), got .*\(2, 7\)"):
        next(iter(Loader(np.zeros((2, 7)), augment=[Flip()])))
    with pytest.raises(LoaderError, match="failed while augmenting: ValueError: Crop: the window of 99 x 99"):
        next(iter(Loader(pictures(), augment=[Crop(99)])))


def test_several_inputs_outputs_and_weights():
    X = {"left": pictures(), "right": np.arange(13)}
    y = (np.arange(13), np.arange(13) * 2.0)
    loader = Loader(X, y, weights=np.arange(13) / 13, batch_size=5, augment={"left": [Flip(1)]})
    inputs, targets, weights = next(iter(loader))
    assert set(inputs) == {"left", "right"} and isinstance(targets, tuple)
    np.testing.assert_array_equal(inputs["left"], X["left"][inputs["right"]][..., ::-1])
    np.testing.assert_array_equal(targets[1], inputs["right"] * 2.0)
    np.testing.assert_allclose(weights, inputs["right"] / 13)
    inputs, targets = next(iter(Loader((X["left"], X["right"]), y[0], preprocess={0: lambda x: x / 255})))
    assert inputs[0].max() <= 1
    with pytest.raises(TypeError, match="there are 2 inputs: pass augment="):
        Loader(X, y, augment=[Flip()])
    with pytest.raises(ValueError, match="names the input 'up'; the inputs are 'left', 'right'"):
        Loader(X, y, augment={"up": [Flip()]})


def test_without_targets_and_from_a_picture_set():
    assert [len(batch) for batch in Loader(np.arange(5), batch_size=2)] == [1, 1, 1]
    data = PictureSet(pictures(), np.arange(13) % 2, ("a", "b", "c"))
    loader = Loader(data, augment=[Mixup()])
    inputs, targets = next(iter(loader))
    assert targets.shape == (13, 3)  # the classes of the set, although no item has the third


def test_memory_maps(tmp_path):
    np.save(tmp_path / "x.npy", pictures())
    loader = Loader(np.load(tmp_path / "x.npy", mmap_mode="r"), np.arange(13), batch_size=5)
    for inputs, targets in loader:
        assert type(inputs) is np.ndarray
        np.testing.assert_array_equal(inputs, pictures()[targets])


@pytest.mark.parametrize("kind", [Mixup, CutMix])
def test_mixed_targets_are_the_share_of_pictures(kind):
    X = np.zeros((12, 1, 20, 20), np.float32)
    y = np.arange(12) % 3
    X += y[:, None, None, None]
    loader = Loader(X, y, batch_size=12, augment=[Flip(), kind(1.0)], seed=2)
    inputs, targets = next(iter(loader))
    assert targets.shape == (12, 3) and targets.dtype == np.float32
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(targets @ [0, 1, 2], inputs.mean(axis=(1, 2, 3)), atol=1e-5)
    assert (targets.max(axis=1) < 0.99).any()
    floats = next(iter(Loader(X, y.astype("float32"), batch_size=12, augment=[kind()])))[1]
    assert floats.shape == (12,)  # targets that are numbers are mixed as they are


def test_plain_functions_augment():
    def noise(inputs, rng):
        return inputs + rng.normal(size=inputs.shape)

    a, b = (next(iter(Loader(np.zeros((6, 2)), augment=[noise], workers=w)))[0] for w in (0, 2))
    assert a.std() > 0.3
    np.testing.assert_array_equal(a, b)


def test_arguments():
    with pytest.raises(ValueError, match="the numbers of items differ: X has 5, y has 4"):
        Loader(np.zeros(5), np.zeros(4))
    with pytest.raises(ValueError, match="no items"):
        Loader(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="batch_size=0"):
        Loader(np.zeros(5), batch_size=0)
    with pytest.raises(TypeError, match="LazyPictures"):
        Loader(["a.jpg", "b.jpg"], [0, 1])
    with pytest.raises(TypeError, match=r"the class Flip: pass Flip\(\)"):
        Loader(pictures(), augment=[Flip])
    with pytest.raises(ValueError, match="workers=-1"):
        Loader(np.zeros(5), workers=-1)
    with pytest.raises(ValueError, match="set_epoch"):
        Loader(np.zeros(5)).set_epoch(-1)


def test_augmented_copies():
    X, y = pictures(), np.arange(26).reshape(13, 2)
    many, targets = augmented_copies(X, y, augment=[Flip(), Shift(0.3)], copies=2, seed=4)
    assert many.shape == (39, *X.shape[1:]) and many.dtype == X.dtype
    np.testing.assert_array_equal(many[:13], X)
    np.testing.assert_array_equal(targets, np.concatenate([y, y, y]))
    loader = Loader(X, y, augment=[Flip(), Shift(0.3)], shuffle=False, seed=4)
    for k in range(2):
        loader.set_epoch(k)
        np.testing.assert_array_equal(many[13 * (k + 1) : 13 * (k + 2)], next(iter(loader))[0])
    data = PictureSet(X, y[:, 0] % 2, ("a", "b"))
    assert augmented_copies(data, augment=[Flip()], copies=0)[1].shape == (13,)
    with pytest.raises(ValueError, match="mixes pictures"):
        augmented_copies(data, augment=[Mixup()])
    with pytest.raises(ValueError, match="array of targets"):
        augmented_copies(X, augment=[Flip()])
