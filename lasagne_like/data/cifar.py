"""The CIFAR-10 and CIFAR-100 pictures, from the binary or the Python version of the published archives."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..pickles import read_pickle
from .folders import PictureSet, Splits

__all__ = ["load_cifar10", "load_cifar100"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_PIXELS = 3 * 32 * 32

Files = dict[str, Callable[[], bytes]]
"""Name of a file without folders to a function that reads it."""


def load_cifar10(path: str | os.PathLike) -> Splits:
    """Load CIFAR-10: 50,000 training and 10,000 test pictures of ten classes.

    Parameters
    ----------
    path : path
        The folder with ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin`` (the binary version), or the
        pickles ``data_batch_1`` to ``data_batch_5`` and ``test_batch`` (the Python version), at any depth; or one
        of the published archives (``cifar-10-binary.tar.gz``, ``cifar-10-python.tar.gz``). No code in pickles is run.

    Returns
    -------
    Splits
        ``train, test``: each with ``images`` uint8 ``(n, 3, 32, 32)``, ``labels`` int32 and ``classes``.

    Raises
    ------
    FileNotFoundError
        If the path or one of its files does not exist; the files are named.
    ValueError
        If a file is damaged.

    References
    ----------
    .. [1] Alex Krizhevsky (2009): Learning multiple layers of features from tiny images.
    """
    files = _files(path)
    train = [f"data_batch_{k}" for k in range(1, 6)]
    classes = _names(files, "batches.meta", "label_names", CLASSES)
    return Splits(
        _part(files, path, train, ("labels",), 0, classes),
        test=_part(files, path, ["test_batch"], ("labels",), 0, classes),
    )


def load_cifar100(path: str | os.PathLike, labels: str = "fine") -> Splits:
    """Load CIFAR-100: 50,000 training and 10,000 test pictures of 100 classes in 20 groups.

    Parameters
    ----------
    path : path
        The folder with ``train.bin`` and ``test.bin``, or with the pickles ``train`` and ``test``, at any depth; or one
        of the published archives.
    labels : {'fine', 'coarse'}
        Whether labels are the 100 classes or the 20 groups.

    Returns
    -------
    Splits
        As for :func:`load_cifar10`.

    Raises
    ------
    FileNotFoundError, ValueError
        As for :func:`load_cifar10`; or if `labels` is unknown.
    """
    kinds = ("coarse", "fine")  # the order in the binary version
    if labels not in kinds:
        raise ValueError(f"load_cifar100: labels={labels!r}: expected 'fine' or 'coarse'")
    files = _files(path)
    count = 100 if labels == "fine" else 20
    classes = _names(files, "meta", f"{labels}_label_names", tuple(map(str, range(count))))
    keys = tuple(f"{kind}_labels" for kind in kinds)
    train, test = (_part(files, path, [name], keys, kinds.index(labels), classes) for name in ("train", "test"))
    return Splits(train, test=test)


def _files(path: str | os.PathLike) -> Files:
    path = Path(path).expanduser()
    if path.is_dir():
        return {file.name: file.read_bytes for file in sorted(path.rglob("*"), reverse=True) if file.is_file()}
    if not path.exists():
        raise FileNotFoundError(f"no {path}: expected the folder of a CIFAR data set, or its .tar.gz archive")
    try:
        with tarfile.open(path) as archive:
            # All members are read here: a compressed archive can be read in order only.
            contents = {
                Path(member.name).name: archive.extractfile(member).read()  # type: ignore[union-attr]
                for member in archive
                if member.isfile()
            }
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no complete .tar.gz archive ({error}): download it again") from error
    return {name: (lambda data=data: data) for name, data in contents.items()}  # type: ignore[misc]


def _part(
    files: Files, path: Any, names: Sequence[str], keys: Sequence[str], wanted: int, classes: tuple[str, ...]
) -> PictureSet:
    """Read the pictures of some files, each in the binary or the Python version."""
    suffix = ".bin" if f"{names[0]}.bin" in files else ""
    missing = [name + suffix for name in names if name + suffix not in files]
    if missing:
        either = f" (or {missing[0]}.bin)" if not suffix else ""
        raise FileNotFoundError(f"{path} lacks {', '.join(missing)}{either} of the files of CIFAR")
    images, labels = [], []
    for name in names:
        data = files[name + suffix]()
        read = _from_binary if suffix else _from_pickle
        pixels, targets = read(data, name + suffix, keys, wanted)
        if len(targets) and not 0 <= targets.min() <= targets.max() < len(classes):
            raise ValueError(
                f"{path}: {name + suffix} has labels up to {targets.max()}, expected 0 to {len(classes) - 1}"
            )
        images.append(pixels.reshape(-1, 3, 32, 32))
        labels.append(targets.astype(np.int32))
    return PictureSet(np.concatenate(images), np.concatenate(labels), classes)


def _from_binary(data: bytes, name: str, keys: Sequence[str], wanted: int) -> tuple[np.ndarray, np.ndarray]:
    length = len(keys) + _PIXELS
    if not data or len(data) % length:
        raise ValueError(
            f"{name} has {len(data)} bytes, which is no multiple of {length}: damaged, or not of this data set"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, length)
    return records[:, len(keys) :], records[:, wanted]


def _from_pickle(data: bytes, name: str, keys: Sequence[str], wanted: int) -> tuple[np.ndarray, np.ndarray]:
    content = _unpickled(data, name)
    missing = [key for key in ("data", keys[wanted]) if key not in content]
    if missing:
        raise ValueError(f"{name} has no entry {missing[0]!r}: not of this data set?")
    pixels, labels = np.asarray(content["data"]), np.asarray(content[keys[wanted]])
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), _PIXELS) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name} holds data of shape {pixels.shape} and dtype {pixels.dtype} and labels of shape {labels.shape}: "
            f"expected uint8 (n, {_PIXELS}) and n integers"
        )
    return pixels, labels


def _unpickled(data: bytes, name: str) -> dict[str, Any]:
    try:
        content = read_pickle(io.BytesIO(data))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} holds a {type(content).__name__}, expected a dict: not of this data set?")
    return {_text(key): value for key, value in content.items()}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _names(files: Files, meta: str, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the classes, from the file that lists them if it exists."""
    if meta in files:
        return tuple(map(_text, _unpickled(files[meta](), meta).get(key, default)))
    listed = f"{meta}.txt" if meta == "batches.meta" else f"{key}.txt"
    if listed in files:
        names = tuple(filter(None, files[listed]().decode("latin-1").split()))
        return names if len(names) == len(default) else default
    return default
