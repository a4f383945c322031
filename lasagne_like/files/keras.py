"""The weights in HDF5 files of Keras: ``save_weights`` and ``save`` of Keras 2, ``.weights.h5`` of Keras 3."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from .blocks import Block
from .report import ModelFileError

__all__ = ["read_keras"]

_ROLES = {
    "kernel": "W",
    "depthwise_kernel": "W",
    "W": "W",
    "bias": "b",
    "b": "b",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "mean",
    "moving_variance": "var",
}


def read_keras(path: str | os.PathLike) -> list[Block]:
    """Read the weights of a Keras model from an HDF5 file.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    list of Block
        One per layer with weights; in the order of the file's list of layers (Keras 2), or sorted by name and number
        (Keras 3, whose files do not keep the order).

    Raises
    ------
    ImportError
        If h5py is not installed.
    ModelFileError
        If the file is not HDF5, is damaged, or contains no weights of Keras layers.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f"reading {path} requires the package h5py: pip install h5py") from error
    try:
        with h5py.File(path, "r") as file:
            blocks = [_block(name, arrays) for name, arrays in _layers(file, h5py) if arrays]
    except ModelFileError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path} is not an HDF5 file of Keras weights, or is damaged: {error}") from error
    if not blocks:
        raise ModelFileError(f"{path} contains no weights of Keras layers")
    return blocks


def _layers(file: Any, h5py: Any) -> Iterator[tuple[str, list[tuple[str, np.ndarray]]]]:
    root = file["model_weights"] if "model_weights" in file else file
    if "layer_names" in root.attrs:
        for raw in root.attrs["layer_names"]:
            name = _text(raw)
            group = root[name]
            names = [_text(each) for each in group.attrs.get("weight_names", ())]
            yield name, [(each.rpartition("/")[2].partition(":")[0], _array(group[each], h5py)) for each in names]
        return
    found: list[tuple[str, Any]] = []
    # Links are not followed by visititems, and therefore not to other files.
    root.visititems(lambda name, item: found.append((name, item)) if name.endswith("vars") else None)
    for name, group in sorted(found, key=lambda item: _natural(item[0])):
        if not name.startswith("optimizer") and isinstance(group, h5py.Group):
            numbered = sorted(group, key=_natural)
            yield name.removesuffix("/vars").removeprefix("layers/"), [(k, _array(group[k], h5py)) for k in numbered]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _natural(name: str) -> list[Any]:
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)]


def _array(dataset: Any, h5py: Any) -> np.ndarray:
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiub":
        raise ModelFileError("the HDF5 file contains something other than arrays of numbers in place of weights")
    if dataset.external or dataset.is_virtual:
        raise ModelFileError(f"the weights {dataset.name} are stored in another file, which is not read")
    if dataset.size * dataset.dtype.itemsize > 1000 * max(dataset.id.get_storage_size(), 4096):
        raise ModelFileError(f"the weights {dataset.name} of shape {dataset.shape} have no values in the file")
    return dataset[()]


def _block(name: str, entries: list[tuple[str, np.ndarray]]) -> Block:
    if entries[0][0].isdigit():
        roles = ["gamma", "beta", "mean", "var"] if len(entries) == 4 and entries[0][1].ndim == 1 else ["W", "b"]
        if len(entries) > len(roles):
            return Block(name, "other", dict(entries))
        arrays = {role: array for role, (_, array) in zip(roles, entries)}
    else:
        arrays = {_role(role): array for role, array in entries}
    depthwise = any(role.endswith("depthwise_kernel") for role, _ in entries) or "depthwise" in name.rpartition("/")[2]
    if "mean" in arrays:
        return Block(name, "batch_norm", arrays)
    weights = arrays.get("W")
    if weights is None or not set(arrays) <= {"W", "b"} or weights.ndim not in (2, 3, 4):
        return Block(name, "other", arrays)
    if weights.ndim == 2:
        return Block(name, "dense", arrays, channels_last=True)
    return Block(name, "conv", arrays | {"W": _convolution(weights, depthwise)}, channels_last=True)


def _role(name: str) -> str:
    """Return the role of an array by its name: ``kernel``, or ``block1_conv1_W_1`` of the first versions of Keras."""
    found = re.fullmatch(
        r"(?:.*_)?(depthwise_kernel|kernel|bias|gamma|beta|moving_mean|moving_variance|W|b)(?:_\d+)?", name
    )
    return name if found is None else _ROLES[found[1]]


def _convolution(weights: np.ndarray, depthwise: bool) -> np.ndarray:
    """Bring ``(rows, columns, channels, filters)`` to ``(filters, channels, rows, columns)``."""
    if depthwise:  # (rows, columns, channels, multiplier)
        rows, columns, channels, multiplier = weights.shape
        return weights.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, rows, columns)
    return np.moveaxis(weights, (-1, -2), (0, 1))
