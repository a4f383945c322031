"""CIFAR in both published versions, and CSV tables: what is read, and what is said about the rest."""

import pickle
import tarfile

import numpy as np
import pytest

from lasagne_like.data import load_cifar10, load_cifar100, read_csv

RNG = np.random.default_rng(0)


def batches(kinds, count=6, classes=10):
    return RNG.integers(0, classes, (count, kinds)).astype(np.uint8), RNG.integers(
        0, 256, (count, 3072), dtype=np.uint8
    )


TEN = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]


def write_ten(folder, binary):
    made = {}
    for name in TEN:
        labels, pixels = made[name] = batches(1)
        if binary:
            (folder / f"{name}.bin").write_bytes(np.hstack([labels, pixels]).tobytes())
        else:
            content = {b"data": pixels, b"labels": labels[:, 0].tolist(), b"filenames": [b"a.png"] * 6}
            (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return made


@pytest.mark.parametrize("binary", [True, False])
def test_cifar10(tmp_path, binary):
    folder = tmp_path / "cifar-10-batches"
    folder.mkdir()
    made = write_ten(folder, binary)
    train, test = load_cifar10(tmp_path)
    assert train.images.shape == (30, 3, 32, 32) and test.images.dtype == np.uint8 and train.labels.dtype == np.int32
    labels, pixels = made["data_batch_2"]
    np.testing.assert_array_equal(train.labels[6:12], labels[:, 0])
    # The 1024 red values come first, row by row.
    assert train.images[7, 0, 2, 5] == pixels[1, 2 * 32 + 5] and train.images[7, 2, 31, 31] == pixels[1, 3071]
    np.testing.assert_array_equal(test.images.reshape(6, -1), made["test_batch"][1])
    assert train.classes[:4] == ("airplane", "automobile", "bird", "cat")
    archive = tmp_path / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "cifar-10-batches")
    np.testing.assert_array_equal(load_cifar10(archive).train.images, train.images)
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(ValueError, match="no complete .tar.gz"):
        load_cifar10(archive)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("kind", ["coarse", "fine"])
def test_cifar100(tmp_path, binary, kind):
    made = {}
    for name in ("train", "test"):
        labels, pixels = made[name] = batches(2, classes=20)
        if binary:
            (tmp_path / f"{name}.bin").write_bytes(np.hstack([labels, pixels]).tobytes())
        else:
            content = {"data": pixels, "coarse_labels": labels[:, 0].tolist(), "fine_labels": labels[:, 1].tolist()}
            (tmp_path / name).write_bytes(pickle.dumps(content, protocol=2))
    if not binary:
        (tmp_path / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"n{k}" for k in range(100)]}, protocol=2))
    train, test = load_cifar100(tmp_path, kind)
    np.testing.assert_array_equal(test.labels, made["test"][0][:, ["coarse", "fine"].index(kind)])
    assert len(train.classes) == (100 if kind == "fine" else 20)
    assert train.classes[3] == ("n3" if kind == "fine" and not binary else "3")


def test_cifar_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_cifar10(tmp_path / "nowhere")
    write_ten(tmp_path, True)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match="lacks data_batch_3.bin"):
        load_cifar10(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(b"\1" * 3000)
    with pytest.raises(ValueError, match="data_batch_3.bin has 3000 bytes"):
        load_cifar10(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(b"\x0b" * 3073)
    with pytest.raises(ValueError, match="labels up to 11"):
        load_cifar10(tmp_path)
    with pytest.raises(ValueError, match="labels='both'"):
        load_cifar100(tmp_path, "both")


def test_no_code_of_a_pickle_is_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    for name in TEN:
        (tmp_path / name).write_bytes(pickle.dumps({b"data": Hostile()}, protocol=2))
    with pytest.raises(ValueError, match="data_batch_1"):
        load_cifar10(tmp_path)
    assert not (tmp_path / "made").exists()


def csv_file(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_csv(tmp_path):
    path = csv_file(tmp_path, 'a, b,"the kind"\n1,2.5,dog\n\n3,-4e2,cat\n5,0,dog\n')
    table = read_csv(path, target="the kind")
    X, y = table
    np.testing.assert_array_equal(X, [[1, 2.5], [3, -400], [5, 0]])
    assert X.dtype == np.float32 and y.tolist() == [1, 0, 1] and y.dtype == np.int32
    assert table.classes == ("cat", "dog") and table.columns == ("a", "b") and table.target == "the kind"
    np.testing.assert_array_equal(read_csv(path, target=-1).y, y)
    np.testing.assert_array_equal(read_csv(path, target="a", columns=["b"]).X, X[:, 1:])
    assert read_csv(path, target="a", columns=["b"]).y.dtype == np.int32
    assert read_csv(path, target="b", columns=["a"]).y.dtype == np.float32
    assert read_csv(path, columns=[1, 0]).X.tolist() == X[:, ::-1].tolist()
    assert read_csv(path, columns=["a"]).y is None


def test_csv_without_header_and_with_other_delimiters(tmp_path):
    path = csv_file(tmp_path, "5.1;3.5;Iris-setosa\n4.9;3.0;Iris-virginica\n")
    table = read_csv(path, target=-1)
    assert table.X.tolist() == np.float32([[5.1, 3.5], [4.9, 3.0]]).tolist() and table.columns == ("0", "1")
    assert read_csv(csv_file(tmp_path, "1\t2\n3\t4\n"), header=True).X.tolist() == [[3, 4]]
    assert read_csv(csv_file(tmp_path, "1 2\n3 4\n"), delimiter=" ").X.shape == (2, 2)


def test_csv_missing_values(tmp_path):
    path = csv_file(tmp_path, "a,b,t\n1,,0\n2,5,1\n?,7,\n3,9,1\n")
    with pytest.raises(ValueError, match=r"missing='drop', .*line 2 column 'b', line 4 column 'a'"):
        read_csv(path, "t")
    X, y = read_csv(path, "t", missing="drop")
    assert X.tolist() == [[2, 5], [3, 9]] and y.tolist() == [1, 1]
    with pytest.raises(ValueError, match="target are missing.*line 4 column 't'"):
        read_csv(path, "t", missing=0)
    assert read_csv(path, columns=["a", "b"], missing="mean").X.tolist() == [[1, 7], [2, 5], [2, 7], [3, 9]]
    assert read_csv(path, columns=["a", "b"], missing=-1).X.tolist() == [[1, -1], [2, 5], [-1, 7], [3, 9]]


@pytest.mark.parametrize("text, options, message", [
    ("a,b\n1,x\n2,y\n", {}, "'x' is not a number; .*line 2 column 'b', line 3"),
    ("a,b\n1,2\n3\n", {}, "line 3 has 1 fields, expected 2"),
    ("", {}, "is empty"),
    ("a,b\n", {"header": True}, "no rows"),
    ("a,b\n1,2\n", {"target": "c"}, "no column 'c'; the columns are 'a', 'b'"),
    ("a,b\n1,2\n", {"target": 2}, "no column 2"),
    ("a,b\n1,2\n", {"target": "a", "columns": ["a"]}, "is one of the columns"),
    ("a\n1\n2\n", {"target": "a"}, "no column besides"),
    ("a,b\n,2\n", {"missing": "drop"}, "no complete row"),
    ("a,b\n1,2\n", {"missing": "ignore"}, "missing='ignore'"),
])  # fmt: skip
def test_csv_errors(tmp_path, text, options, message):
    with pytest.raises(ValueError, match=message):
        read_csv(csv_file(tmp_path, text), **options)


def test_csv_that_is_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(ValueError, match="UTF-8"):
        read_csv(tmp_path / "a.csv")
