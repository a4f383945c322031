"""Reads the arrays in files of weights, whatever library wrote them. No code from a file is executed."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..pickles import read_recipe
from .blocks import Block, blocks_of_torch
from .caffe import read_caffemodel
from .keras import read_keras
from .onnx import read_onnx
from .report import ModelFileError
from .safetensors_format import read_safetensors
from .torch import read_torch

__all__ = ["FORMATS", "WeightsContent", "read_weights"]


@dataclass
class WeightsContent:
    """The content of a file of weights.

    Attributes
    ----------
    values : dict of str to numpy.ndarray, or list of numpy.ndarray
        Arrays by the names of this library's parameters, or by position; empty if the file has blocks.
    blocks : list of Block
        The arrays of another library, layer by layer; empty if the file has values.
    classes : list of str
        The names of the classes, if the file contains them.
    """

    values: dict[str, np.ndarray] | list[np.ndarray] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)


def _read_npz(path: Path) -> WeightsContent:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            values = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, AttributeError, KeyError) as error:
        raise ModelFileError(f"{path} is not an npz file of numeric arrays, or is damaged: {error}") from error
    if values and all(re.fullmatch(r"arr_\d+", name) for name in values):
        return WeightsContent([values[name] for name in sorted(values, key=lambda name: int(name[4:]))])
    return WeightsContent(values)


def _read_safetensors(path: Path) -> WeightsContent:
    values, metadata = read_safetensors(path)
    torch_like = any(name.endswith((".weight", ".running_mean")) for name in values)
    if metadata.get("format") == "pt" or torch_like:
        return WeightsContent(blocks=blocks_of_torch(values))
    # Arrays of a model file that are not parameters.
    return WeightsContent({name: value for name, value in values.items() if not name.startswith("__")})


def _read_recipe(path: Path) -> WeightsContent:
    recipe = read_recipe(path)
    return WeightsContent(recipe.param_values, classes=recipe.synset_words)


def _read_torch(path: Path) -> WeightsContent:
    return WeightsContent(blocks=blocks_of_torch(read_torch(path)))


#: Suffix of a file to its reader.
FORMATS: dict[str, Callable[[Path], WeightsContent]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".pkl": _read_recipe,
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".h5": lambda path: WeightsContent(blocks=read_keras(path)),
    ".hdf5": lambda path: WeightsContent(blocks=read_keras(path)),
    ".caffemodel": lambda path: WeightsContent(blocks=read_caffemodel(path)),
    ".onnx": lambda path: WeightsContent(blocks=read_onnx(path)),
}


def read_weights(path: str | os.PathLike) -> WeightsContent:
    """Read a file of weights in any supported format.

    Parameters
    ----------
    path : path
        ``.safetensors``, ``.npz``, ``.pkl`` (a Lasagne recipe), ``.pth`` or ``.pt`` (PyTorch), ``.h5`` or ``.hdf5``
        (Keras), ``.caffemodel`` or ``.onnx``.

    Returns
    -------
    WeightsContent

    Raises
    ------
    ModelFileError
        If the file is damaged, or names anything that arrays do not need.
    ValueError
        If the path has another suffix.
    FileNotFoundError
        If the file does not exist.
    """
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        known = f"{', '.join(list(FORMATS)[:-1])} or {list(FORMATS)[-1]}"
        raise ValueError(f"cannot load weights as {path.name!r}: expected a name ending in {known}")
    if not path.is_file():
        raise FileNotFoundError(f"no weight file {path}")
    try:
        return form(path)
    except (ModelFileError, ImportError, PermissionError):
        raise
    except Exception as error:
        # What libraries raise for damaged archives and arrays is not documented.
        raise ModelFileError(f"{path} is damaged: {type(error).__name__}: {str(error)[:200]}") from error
