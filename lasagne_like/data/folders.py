"""Labelled pictures from folders, one folder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..naming import names_arguments
from .decoding import as_size, decode_pictures
from .lazy import LazyPictures
from .preprocess import Preprocess
from .split import split_indices

__all__ = ["PictureSet", "Splits", "image_folder", "image_splits", "read_pictures"]

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .dib .gif .tif .tiff .webp .avif .ppm .pgm .pbm .pnm .jp2 .tga .ico".split()
)
PARTS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing", "eval"),
}


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Labelled pictures. It unpacks to ``images, labels, classes``.

    Attributes
    ----------
    images : numpy.ndarray or LazyPictures
        uint8, ``(n, channels, height, width)``.
    labels : numpy.ndarray
        int32 ``(n,)``: positions in `classes`.
    classes : tuple of str
        The names of the classes.
    paths : tuple of pathlib.Path
        The file of each picture.
    skipped : tuple of pathlib.Path
        Files that were not used: hidden files, files that are no pictures by their suffix, and, if allowed, pictures
        that could not be decoded.
    preprocess : Preprocess or None
        Turns other pictures, of any size, into inputs like `images`: to be saved with a network that is trained on
        them. None if it cannot do what was done: padding, and crops that are not square.
    """

    images: Any
    labels: np.ndarray
    classes: tuple[str, ...]
    paths: tuple[Path, ...] = ()
    skipped: tuple[Path, ...] = field(default=(), repr=False)
    preprocess: Preprocess | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.images, self.labels, self.classes))

    @property
    def counts(self) -> dict[str, int]:
        """dict of str to int : The number of pictures of each class."""
        return dict(zip(self.classes, np.bincount(self.labels, minlength=len(self.classes)).tolist()))

    def subset(self, chosen: Any) -> PictureSet:
        """Return the pictures at the given positions (an index array, a slice or a mask), in that order."""
        paths = tuple(self.paths[k] for k in np.arange(len(self.labels))[chosen]) if self.paths else ()
        images = self.images.lazy(chosen) if isinstance(self.images, LazyPictures) else self.images[chosen]
        return replace(self, images=images, labels=self.labels[chosen], paths=paths)

    def split(self, fraction: float = 0.2, seed: int = 0) -> tuple[PictureSet, PictureSet]:
        """Split into two sets at random, with the same proportions of classes; the second has `fraction` of all."""
        first, second = split_indices(len(self.labels), fraction, seed, self.labels)
        return self.subset(first), self.subset(second)

    def __repr__(self) -> str:
        listed = ", ".join(f"{name} {count}" for name, count in list(self.counts.items())[:10])
        more = f", and {len(self.classes) - 10} more" if len(self.classes) > 10 else ""
        skipped = f"; {len(self.skipped)} files skipped" if self.skipped else ""
        return (
            f"<{len(self.labels)} pictures {self.images.shape[1:]} {self.images.dtype}, "
            f"{len(self.classes)} classes: {listed}{more}{skipped}>"
        )


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of a data set. It unpacks to those that exist, in the order ``train, valid, test``.

    Attributes
    ----------
    train, valid, test : PictureSet or None
        The parts; all have the same classes.
    """

    train: PictureSet
    valid: PictureSet | None = None
    test: PictureSet | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """tuple of str : The names of the classes."""
        return self.train.classes

    def __iter__(self) -> Iterator[PictureSet]:
        return iter([part for part in (self.train, self.valid, self.test) if part is not None])


@names_arguments
def image_folder(
    path: str | os.PathLike,
    size: Any = (160, 160),
    *,
    mode: str = "rgb",
    fit: str = "crop",
    classes: Sequence[str] | None = None,
    per_class: int | None = None,
    seed: int | None = 0,
    lazy: bool = False,
    skip_broken: bool = False,
    workers: int | None = None,
) -> PictureSet:
    """Load labelled pictures from a folder that contains one folder per class.

    Parameters
    ----------
    path : path
        The folder. The names of its subfolders are the classes; their pictures, at any depth, are read. Hidden files
        and files whose suffix is not that of a picture are skipped and listed in the result.
    size : tuple of int, int or None
        Height and width of the results in pixels; a number for a square. None keeps the size that all pictures share.
    mode : {'rgb', 'grey'}
        Three channels (red, green, blue) or one.
    fit : {'crop', 'stretch', 'pad'}
        What happens to pictures of another aspect ratio: scale to cover `size` and cut off what overhangs; scale each
        axis separately; or scale to fit into `size` and fill the borders with black.
    classes : sequence of str, optional
        The classes to read, in the order of their labels; by default all, in the order of their names.
    per_class : int, optional
        The largest number of pictures per class, for experiments with few pictures.
    seed : int or None
        The seed by which `per_class` pictures are chosen; None takes the first ones in the order of their names. A
        larger `per_class` with the same seed contains the pictures of a smaller one.
    lazy : bool
        Decode pictures when they are used, for data larger than memory: ``images`` is a :class:`LazyPictures`.
    skip_broken : bool
        Skip pictures that cannot be decoded, instead of raising.
    workers : int, optional
        The number of threads that decode; by default one for each core.

    Returns
    -------
    PictureSet
        With ``images`` of dtype uint8 and shape ``(n, channels, height, width)``, ``labels``, ``classes``, ``paths``
        and ``skipped``. It unpacks to the first three. The order is that of the classes, then of the paths.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the folder holds no pictures, or parts such as ``train`` and ``test`` instead of classes; if a class of
        `classes` is missing; or if pictures cannot be decoded, with their paths.

    See Also
    --------
    image_splits : for folders with the parts ``train`` and ``test``.

    Examples
    --------
    ::

        images, labels, classes = image_folder("photos/train", size=(160, 160))
    """
    root = _checked_folder(path)
    folders = _class_folders(root, classes)
    names = tuple(folder.name for folder in folders)
    files: list[Path] = []
    labels: list[int] = []
    skipped: list[Path] = [p for p in _entries(root) if not p.is_dir()]
    empty = []
    for label, folder in enumerate(folders):
        found, others = _pictures(folder)
        skipped += others
        if not found:
            empty.append(folder.name)
        chosen = _limited(found, per_class, seed, label)
        files += chosen
        labels += [label] * len(chosen)
    if not files or (empty and classes is None):
        what = f"the folders {', '.join(empty)} of {root} hold" if empty else f"{root} holds"
        raise ValueError(f"{what} no pictures: remove them, or name the classes to read with classes=[...]")
    targets = np.array(labels, np.int32)
    if lazy:
        images = LazyPictures(files, size, mode=mode, fit=fit)
        return PictureSet(images, targets, names, tuple(files), tuple(skipped), _preprocess(size, mode, fit))
    pictures, decoded, messages = decode_pictures(files, size, mode, fit, workers)
    if messages and not skip_broken:
        _raise_broken(messages)
    kept = set(decoded)
    skipped += [file for k, file in enumerate(files) if k not in kept]
    paths = tuple(files[k] for k in decoded)
    return PictureSet(pictures, targets[decoded], names, paths, tuple(skipped), _preprocess(size, mode, fit))


def _preprocess(size: Any, mode: str, fit: str) -> Preprocess | None:
    """The preprocessing with the geometry of decoded pictures."""
    wanted = as_size(size)
    if wanted is None:
        return Preprocess(channels=mode)
    if fit == "stretch":
        return Preprocess(resize=wanted, channels=mode)
    square = fit == "crop" and wanted[0] == wanted[1]
    return Preprocess(resize=wanted[0], crop=wanted, channels=mode) if square else None


def image_splits(path: str | os.PathLike, size: Any = (160, 160), *, test: float = 0.2, **options: Any) -> Splits:
    """Load labelled pictures from a folder with the parts ``train`` and ``test``, and perhaps ``valid``.

    A folder that contains classes directly is split at random, with the same proportions of classes in both parts.

    Parameters
    ----------
    path : path
        The folder.
    size, **options
        See :func:`image_folder`. A limit `per_class` applies to the training part alone, if the folder has parts.
    test : float
        The fraction of pictures in the test set, if the folder has no parts.

    Returns
    -------
    Splits
        It unpacks to ``train, test`` or ``train, valid, test``.

    Raises
    ------
    FileNotFoundError, ValueError
        As for :func:`image_folder`; or if the parts have different classes.
    """
    root = _checked_folder(path)
    parts = _parts(root)
    if "train" not in parts:
        if parts:
            raise ValueError(f"{root} has the part {', '.join(parts)} but no folder train: name it 'train'")
        train, rest = image_folder(root, size, **options).split(test, options.get("seed") or 0)
        return Splits(train, test=rest)
    train = image_folder(parts.pop("train"), size, **options)
    others = {}
    for name, folder in parts.items():
        unknown = {f.name for f in _folders(folder)} - set(train.classes)
        if unknown and options.get("classes") is None:
            raise ValueError(
                f"{folder} has the classes {', '.join(sorted(unknown))}, which the training part lacks: "
                "pass classes=[...] to choose the classes"
            )
        rest_options = {k: v for k, v in options.items() if k != "per_class"} | {"classes": train.classes}
        others[name] = image_folder(folder, size, **rest_options)
    return Splits(train, **others)


@names_arguments
def read_pictures(
    files: Any, size: Any = (160, 160), *, mode: str = "rgb", fit: str = "crop", workers: int | None = None
) -> np.ndarray:
    """Read pictures without labels.

    Parameters
    ----------
    files : path, or sequence of paths
        A folder, whose pictures are read in the order of their paths; one file; or files.
    size, mode, fit, workers
        See :func:`image_folder`.

    Returns
    -------
    numpy.ndarray
        uint8, ``(n, channels, height, width)``.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If a file is not a readable picture, or a folder holds none.
    """
    if isinstance(files, (str, os.PathLike)):
        path = Path(files).expanduser()
        if path.is_dir():
            found, _ = _pictures(path)
            if not found:
                raise ValueError(f"{path} holds no pictures")
            files = found
        else:
            files = [path]
    pictures, _, messages = decode_pictures(list(files), size, mode, fit, workers)
    if messages:
        _raise_broken(messages)
    return pictures


def _raise_broken(messages: list[str]) -> None:
    shown = "\n  ".join(messages[:10])
    more = f"\n  and {len(messages) - 10} more" if len(messages) > 10 else ""
    count = "1 picture" if len(messages) == 1 else f"{len(messages)} pictures"
    raise ValueError(f"{count} cannot be read; remove the files, or pass skip_broken=True:\n  {shown}{more}")


def _checked_folder(path: str | os.PathLike) -> Path:
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}: expected a folder that contains one folder of pictures per class")
    return root


def _hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir() and not _hidden(entry)]


def _parts(root: Path) -> dict[str, Path]:
    """The folders of `root` that are parts of a data set (``train``, ``test``, ...), if they contain folders."""
    folders = _folders(root)
    return {
        part: folder
        for part, names in PARTS.items()
        for folder in folders
        if folder.name.lower() in names and _folders(folder)
    }


def _class_folders(root: Path, classes: Sequence[str] | None) -> list[Path]:
    folders = _folders(root)
    if classes is not None:
        missing = [name for name in classes if not (root / name).is_dir()]
        if missing:
            raise ValueError(
                f"{root} has no folder for the class {', '.join(map(repr, missing))}; it contains the folders "
                f"{', '.join(folder.name for folder in folders) or 'none'}"
            )
        return [root / name for name in classes]
    parts = _parts(root)
    if parts and len(parts) == len(folders):
        raise ValueError(
            f"{root} contains the parts {', '.join(f.name for f in parts.values())}, not classes: load them with "
            f"image_splits({str(root)!r}), or one of them with image_folder({str(next(iter(parts.values())))!r})"
        )
    if not folders:
        here = any(entry.suffix.lower() in SUFFIXES for entry in _entries(root))
        hint = "; to read pictures without labels, use read_pictures" if here else ""
        raise ValueError(f"{root} contains no folders: expected one folder of pictures per class{hint}")
    return folders


def _pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures in a folder at any depth, and its other files, each sorted by path."""
    found: list[Path] = []
    others: list[Path] = []
    entered = {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, followlinks=True):
        inner = {name: os.path.realpath(os.path.join(place, name)) for name in folders if not _hidden(Path(name))}
        folders[:] = [name for name, real in inner.items() if real not in entered]  # links may lead in circles
        entered |= set(inner.values())
        for name in files:
            path = Path(place, name)
            usable = path.suffix.lower() in SUFFIXES and not _hidden(path)
            (found if usable else others).append(path)
    return sorted(found), sorted(others)


def _limited(files: list[Path], count: int | None, seed: int | None, label: int) -> list[Path]:
    if count is None:
        return files
    if count < 1:
        raise ValueError(f"per_class={count}: expected at least 1")
    if seed is None:
        return files[:count]
    order = np.random.default_rng([seed, label]).permutation(len(files))[:count]
    return [files[k] for k in sorted(order)]
