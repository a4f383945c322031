"""Reading MNIST: the IDX form, the folder's checks, the sample, and downloads that need consent."""

import gzip
import struct

import numpy as np
import pytest

from lasagne_like.data import download_mnist, load_mnist, offer_download, read_idx
from lasagne_like.data import mnist as datasets


def idx(array, code=0x08):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def write_folder(folder, train=12, test=5, compress=True):
    rng = np.random.default_rng(0)
    made = {}
    for part, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        made[part] = images, labels
        for array, name in ((images, f"{part}-images-idx3-ubyte"), (labels, f"{part}-labels-idx1-ubyte")):
            data = idx(array)
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / name).write_bytes(data)
    return made


@pytest.mark.parametrize("compress", [True, False])
def test_folder(tmp_path, compress):
    made = write_folder(tmp_path, compress=compress)
    digits = load_mnist(tmp_path)
    assert digits.X_train.shape == (10, 1, 28, 28) and digits.X_valid.shape == (2, 1, 28, 28)
    assert digits.X_test.shape == (5, 1, 28, 28)
    assert digits.X_train.dtype == np.float32 and digits.y_train.dtype == np.int32
    images, labels = made["train"]
    both = np.concatenate([digits.X_train, digits.X_valid])
    np.testing.assert_array_equal(np.rint(both[:, 0] * 255).astype(np.uint8), images)
    np.testing.assert_array_equal(np.concatenate([digits.y_train, digits.y_valid]), labels)
    assert both.min() >= 0 and both.max() == 1


def test_validation_count(tmp_path):
    write_folder(tmp_path)
    assert len(load_mnist(tmp_path, validation=0).X_valid) == 0
    assert len(load_mnist(tmp_path, validation=5).X_train) == 7
    with pytest.raises(ValueError, match="validation=12"):
        load_mnist(tmp_path, validation=12)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_mnist(tmp_path / "nowhere")
    write_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="lacks t10k-labels-idx1-ubyte.gz"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "no IDX file"),
        (b"PK\3\4 something", "no IDX file: it begins with 50 4b 03 04"),
        (b"\0\0\x08\3\0\0", "ends within its header"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], "holds 5 bytes of items"),
        (idx(np.zeros((2, 3), np.uint8)) + b"x", "holds 7 bytes of items"),
        (gzip.compress(idx(np.zeros((50, 3), np.uint8)), mtime=0)[:-6], "damaged or incomplete gzip"),
        (b"\x1f\x8b\x08" + bytes(range(40)), "damaged or incomplete gzip"),
    ],
)
def test_damaged_files(tmp_path, data, message):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_idx(path)


def test_other_dtypes_become_native(tmp_path):
    path = tmp_path / "file"
    values = np.array([[1, -2, 300]], ">i2")
    path.write_bytes(idx(values, 0x0B))
    read = read_idx(path)
    assert read.dtype == np.int16 and read.dtype.isnative
    np.testing.assert_array_equal(read, [[1, -2, 300]])


def test_files_that_do_not_belong_together(tmp_path):
    write_folder(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(idx(np.zeros(11, np.uint8)))
    with pytest.raises(ValueError, match="12 images but labels of shape"):
        load_mnist(tmp_path)
    labels.write_bytes(idx(np.full(12, 17, np.uint8)))
    with pytest.raises(ValueError, match="labels reach 17"):
        load_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(idx(np.zeros((12, 32, 32), np.uint8)))
    with pytest.raises(ValueError, match=r"shape \(12, 32, 32\)"):
        load_mnist(tmp_path)


def test_sample():
    digits = load_mnist(validation=0)
    assert digits.X_train.shape == (6000, 1, 28, 28) and digits.X_test.shape == (1000, 1, 28, 28)
    assert np.bincount(digits.y_train).tolist() == [600] * 10
    assert np.bincount(digits.y_test).tolist() == [100] * 10
    assert 0.12 < digits.X_train.mean() < 0.14  # ink is bright: the full set's mean is 0.1307
    # A random order, so that any slice holds all classes.
    assert (np.bincount(digits.y_train[:500], minlength=10) > 25).all()


def test_only_and_limit():
    digits = load_mnist()
    high = digits.only((5, 6, 7, 8, 9))
    assert set(high.y_test) == {0, 1, 2, 3, 4} and len(high.y_test) == 500
    np.testing.assert_array_equal(high.X_test, digits.X_test[digits.y_test >= 5])
    np.testing.assert_array_equal(high.y_test, digits.y_test[digits.y_test >= 5] - 5)
    few = digits.limit(60)
    assert [len(part) for part in (few.y_train, few.y_valid, few.y_test)] == [60, 10, 10]
    assert digits.limit(None) is digits


def test_nothing_is_downloaded_without_consent(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("downloaded without consent")

    monkeypatch.setattr(datasets, "download_mnist", fail)
    assert offer_download(tmp_path, ask=fail) is None  # standard input is no terminal under pytest

    class Terminal:
        def isatty(self):
            return True

    monkeypatch.setattr(datasets.sys, "stdin", Terminal())
    monkeypatch.setattr(datasets.sys, "stdout", Terminal())
    assert offer_download(tmp_path, ask=lambda question: "") is None
    assert offer_download(tmp_path, ask=lambda question: "n") is None
    monkeypatch.setattr(datasets, "download_mnist", lambda folder: folder)
    assert offer_download(tmp_path, ask=lambda question: " Yes ") == tmp_path
    assert offer_download(tmp_path, agreed=True, ask=fail) == tmp_path


def test_download_refuses_wrong_content(tmp_path):
    pytest.importorskip("pooch")
    served = tmp_path / "served"
    served.mkdir()
    write_folder(served)
    target = tmp_path / "target"
    with pytest.raises(ValueError, match="(?i)hash"):
        with serving(served) as url:
            download_mnist(target, url=url)
    assert not list(target.glob("*ubyte*"))


def test_download_keeps_what_is_right(tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    write_folder(tmp_path)
    files = {}
    for part, file in datasets._MNIST.items():
        archive = (tmp_path / file.name).read_bytes()
        digests = (datasets.hashlib.sha256(data).hexdigest() for data in (archive, gzip.decompress(archive)))
        files[part] = datasets._File(file.name, *digests)
    monkeypatch.setattr(datasets, "_MNIST", files)
    target = tmp_path / "target"
    with serving(tmp_path) as url:
        assert download_mnist(target, url=url) == target
    assert load_mnist(target).X_train.shape == (10, 1, 28, 28)
    monkeypatch.setattr(pooch, "retrieve", None)
    download_mnist(target, url="http://localhost:1/")


class serving:
    """Serve a folder over HTTP on the local machine."""

    def __init__(self, folder):
        from functools import partial
        from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))

    def __enter__(self):
        from threading import Thread

        Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()
