"""The MNIST handwritten digits, from the original IDX files or from the sample in ``examples/data``.

The sample ``mnist_sample.npz`` holds 6,000 training and 1,000 test digits of MNIST, 600 and 100 per class, in a
compressed file of 1.1 MB. It was created as follows (``images`` and ``labels`` are the arrays of the IDX files)::

    rng = np.random.default_rng(2015)

    def pick(labels, count):
        of_class = [rng.choice(np.flatnonzero(labels == k), count // 10, replace=False) for k in range(10)]
        return rng.permutation(np.concatenate(of_class))

    train, test = pick(train_labels, 6000), pick(test_labels, 1000)
    np.savez_compressed("mnist_sample.npz",
                        train_images=train_images[train], train_labels=train_labels[train],
                        test_images=test_images[test], test_labels=test_labels[test])

References
----------
.. [1] LeCun, Bottou, Bengio, Haffner (1998): Gradient-based learning applied to document recognition.
       Proceedings of the IEEE 86(11).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Digits", "load_mnist", "download_mnist", "offer_download", "read_idx", "find_sample"]

MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"


@dataclass(frozen=True)
class _File:
    """One file of MNIST, with the SHA-256 digests of the published gzip file and of its uncompressed content."""

    name: str
    archive: str
    content: str


# The content digest is needed because mirrors recompress the files.
_MNIST = {
    "train_images": _File(
        "train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train_labels": _File(
        "train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "test_images": _File(
        "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "test_labels": _File(
        "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}

_IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@dataclass(frozen=True)
class Digits:
    """Labelled digits, split into training, validation and test set.

    Attributes
    ----------
    X_train, X_valid, X_test : numpy.ndarray
        Images of shape ``(n, 1, 28, 28)`` (image, channel, row, column), float32 in ``[0, 1]``; 1 is ink.
    y_train, y_valid, y_test : numpy.ndarray
        Labels from 0 to 9, of shape ``(n,)``, int32.
    """

    X_train: np.ndarray
    y_train: np.ndarray
    X_valid: np.ndarray
    y_valid: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def limit(self, count: int | None) -> Digits:
        """Return the first ``count`` training digits, and a sixth as many (at least 10) of the other sets."""
        if count is None:
            return self
        rest = max(10, count // 6)
        return Digits(
            self.X_train[:count],
            self.y_train[:count],
            self.X_valid[:rest],
            self.y_valid[:rest],
            self.X_test[:rest],
            self.y_test[:rest],
        )

    def only(self, labels: tuple[int, ...]) -> Digits:
        """Return the digits of the given classes, relabelled 0, 1, 2, ... in the given order."""
        parts: list[np.ndarray] = []
        for images, targets in (
            (self.X_train, self.y_train),
            (self.X_valid, self.y_valid),
            (self.X_test, self.y_test),
        ):
            keep = np.isin(targets, labels)
            relabel = {label: new for new, label in enumerate(labels)}
            parts += [images[keep], np.array([relabel[int(t)] for t in targets[keep]], dtype=np.int32)]
        return Digits(*parts)


def load_mnist(folder: str | os.PathLike | None = None, *, validation: int | None = None) -> Digits:
    """Load MNIST from its four IDX files, or the sample of 7,000 digits distributed with the sources.

    Parameters
    ----------
    folder : path, optional
        The folder with ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``, gzipped (``.gz``) or not. By default the sample is loaded.
    validation : int, optional
        The number of digits to split off the end of the training set as validation set; by default a sixth (10,000 of
        60,000, or 1,000 of the 6,000 in the sample). 0 keeps all digits for training.

    Returns
    -------
    Digits
        The three sets; images are float32 ``(n, 1, 28, 28)`` in ``[0, 1]``, labels int32 ``(n,)``.

    Raises
    ------
    FileNotFoundError
        If the folder, one of its files, or the sample does not exist.
    ValueError
        If a file is not an IDX file, is truncated, or does not hold 28 x 28 images or labels from 0 to 9; or if
        `validation` exceeds the number of digits.

    Examples
    --------
    >>> digits = load_mnist()
    >>> digits.X_train.shape, digits.X_valid.shape, digits.X_test.shape
    ((5000, 1, 28, 28), (1000, 1, 28, 28), (1000, 1, 28, 28))
    """
    raw = _read_sample() if folder is None else _read_folder(Path(folder))
    X_train, y_train = _checked(raw["train_images"], raw["train_labels"], "train")
    X_test, y_test = _checked(raw["test_images"], raw["test_labels"], "test")
    count = len(X_train)
    held = count // 6 if validation is None else validation
    if not 0 <= held < count:
        raise ValueError(f"validation={held}: expected 0 <= validation < {count}, the number of training digits")
    cut = count - held
    return Digits(X_train[:cut], y_train[:cut], X_train[cut:], y_train[cut:], X_test, y_test)


def _checked(images: np.ndarray, labels: np.ndarray, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Check that images and labels match; return the images, scaled to [0, 1], with a channel axis, and the labels."""
    if images.ndim != 3 or images.shape[1:] != (28, 28) or images.dtype != np.uint8:
        raise ValueError(
            f"the {part} images have shape {images.shape} and dtype {images.dtype}, expected (n, 28, 28) of uint8: "
            "not the MNIST data set?"
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"the {part} part has {len(images)} images but labels of shape {labels.shape}: the files do not match"
        )
    if labels.size and labels.max() > 9:
        raise ValueError(f"the {part} labels reach {labels.max()}, expected 0 to 9: not the MNIST data set?")
    return (images[:, None] / np.float32(255)).astype(np.float32), labels.astype(np.int32)


def find_sample() -> Path:
    """Return the path of the sample ``examples/data/mnist_sample.npz``.

    Raises
    ------
    FileNotFoundError
        If the package was installed without the ``examples`` folder of the sources.
    """
    # Next to the package in a checkout or an editable install; otherwise in the current folder.
    roots = (Path(__file__).resolve().parents[2], Path.cwd())
    tried = [root / "examples" / "data" / "mnist_sample.npz" for root in roots]
    for path in tried:
        if path.is_file():
            return path
    places = " nor ".join(str(path) for path in tried)
    raise FileNotFoundError(
        f"the MNIST sample is neither at {places}: run from a checkout of the sources, or pass a folder with the IDX "
        "files of MNIST"
    )


def _read_sample() -> dict[str, np.ndarray]:
    with np.load(find_sample(), allow_pickle=False) as archive:
        return {part: archive[part] for part in _MNIST}


def _read_folder(folder: Path) -> dict[str, np.ndarray]:
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}: expected a folder with the four IDX files of MNIST")
    found = {}
    missing = []
    for part, file in _MNIST.items():
        candidates = (folder / file.name, folder / file.name.removesuffix(".gz"))
        path = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path is None:
            missing.append(file.name)
        else:
            found[part] = path
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)} (gzipped or not) of the four files of MNIST")
    return {part: read_idx(path) for part, path in found.items()}


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Read one IDX file, gzipped or not.

    An IDX file consists of two zero bytes, a byte for the dtype, a byte for the number of axes, the size of each axis
    as a big-endian 32-bit integer, and the items in row-major order and big-endian.

    Parameters
    ----------
    path : path
        The file to read.

    Returns
    -------
    numpy.ndarray
        The items in native byte order.

    Raises
    ------
    ValueError
        If the magic number is wrong, the length does not match the header, or the compressed data are damaged.
    """
    path = Path(path)
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is a damaged or incomplete gzip file ({error}): download it again") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_DTYPES or data[3] == 0:
        raise ValueError(f"{path} is no IDX file: it begins with {data[:4].hex(' ')}, expected 00 00 <dtype> <axes>")
    axes = data[3]
    start = 4 + 4 * axes
    if len(data) < start:
        raise ValueError(f"{path} ends within its header of {start} bytes")
    shape = struct.unpack(f">{axes}I", data[4:start])
    dtype = np.dtype(_IDX_DTYPES[data[2]])
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) - start != wanted:
        raise ValueError(
            f"{path} holds {len(data) - start} bytes of items, but its header says shape {shape} of {dtype.name}, "
            f"which are {wanted}: download it again"
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def download_mnist(folder: str | os.PathLike, *, url: str = MNIST_URL) -> Path:
    """Download the four files of MNIST (11.6 MB) to a folder and verify their SHA-256 digests.

    Existing files with the correct digest are kept. Ask the user for consent before calling this function, for example
    with :func:`offer_download`.

    Parameters
    ----------
    folder : path
        The folder for the files; created if needed.
    url : str
        The address of the folder to download from, ending in a slash.

    Returns
    -------
    pathlib.Path
        The folder, ready for :func:`load_mnist`.

    Raises
    ------
    ImportError
        If the package ``pooch`` is not installed.
    ValueError
        If the digest of a file is wrong.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError("downloading requires the package pooch: pip install pooch (or symc[examples])") from error
    folder = Path(folder)
    for file in _MNIST.values():
        if not _is_intact(folder / file.name, file):
            pooch.retrieve(url + file.name, known_hash=f"sha256:{file.archive}", fname=file.name, path=folder)
    return folder


def _is_intact(path: Path, file: _File) -> bool:
    try:
        return hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() == file.content
    except (EOFError, OSError, zlib.error):
        return False


def offer_download(
    folder: str | os.PathLike, *, agreed: bool = False, ask: Callable[[str], str] = input
) -> Path | None:
    """Download MNIST if the user agrees, either in advance (``agreed``) or when prompted on a terminal.

    If the input or output of the program is not a terminal (a pipe, a batch job), nothing is asked or downloaded.

    Parameters
    ----------
    folder : path
        The folder for the files.
    agreed : bool
        Whether the user has agreed already, for example by a ``--download`` flag.
    ask : callable
        Shows a prompt and returns the answer.

    Returns
    -------
    pathlib.Path or None
        The folder, or None if the user did not agree.
    """
    if not agreed:
        if not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty()):
            return None
        answer = ask(f"Download the full MNIST (11.6 MB) from {MNIST_URL} to {folder}? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            return None
    return download_mnist(folder)
