"""The weights in ``.caffemodel`` files.

https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from .blocks import Block
from .protobuf import fields, integers, numbers, text
from .report import ModelFileError

__all__ = ["read_caffemodel"]

# Fields of NetParameter that hold layers, to the fields of the layer: name, type, blobs.
_LAYERS = {100: (1, 2, 7), 2: (4, 5, 6)}
_OLD_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}


def read_caffemodel(path: str | os.PathLike) -> list[Block]:
    """Read the weights of a Caffe model.

    Parameters
    ----------
    path : path
        The file, of the current or of the first version of the format.

    Returns
    -------
    list of Block
        One per layer with weights; a ``Scale`` layer is merged into the ``BatchNorm`` before it.

    Raises
    ------
    ModelFileError
        If the file is damaged, or contains no layer with weights.
    """
    blocks: list[Block] = []
    for number, value in fields(memoryview(Path(path).read_bytes())):
        if number not in _LAYERS or not isinstance(value, memoryview):
            continue
        name, kind, blobs = _layer(value, *_LAYERS[number])
        if not blobs:
            continue
        if kind == "Scale" and blocks and blocks[-1].kind == "batch_norm" and "gamma" not in blocks[-1].arrays:
            blocks[-1].arrays |= dict(zip(("gamma", "beta"), blobs))
        else:
            blocks.append(_block(name, kind, blobs))
    if not blocks:
        raise ModelFileError(f"{path} is not a Caffe model, or is damaged: it has no layer with weights")
    return blocks


def _layer(data: memoryview, name_field: int, type_field: int, blob_field: int) -> tuple[str, str, list[np.ndarray]]:
    name, kind, blobs = "", "", []
    for number, value in fields(data):
        if number == name_field:
            name = text(value)
        elif number == type_field:
            kind = _OLD_TYPES.get(value, str(value)) if isinstance(value, int) else text(value)
        elif number == blob_field and isinstance(value, memoryview):
            blobs.append(_blob(value))
    return name, kind, blobs


def _blob(data: memoryview) -> np.ndarray:
    shape: list[int] | None = None
    old_shape: dict[int, int] = {}
    parts: list[np.ndarray] = []
    for number, value in fields(data):
        if number == 7 and isinstance(value, memoryview):
            shape = [size for inner, each in fields(value) if inner == 1 for size in integers(each)]
        elif number in (1, 2, 3, 4) and isinstance(value, int):
            old_shape[number] = value
        elif number in (5, 8):
            parts.append(numbers(value, "<f4" if number == 5 else "<f8"))
    values = np.concatenate(parts) if len(parts) != 1 else parts[0]
    sizes = [old_shape.get(number, 1) for number in (1, 2, 3, 4)] if shape is None else shape
    if any(size < 0 for size in sizes) or len(sizes) > 32 or math.prod(sizes) != values.size:
        raise ModelFileError(f"damaged Caffe model: a blob has {values.size} items for the shape {tuple(sizes[:8])}")
    return values.reshape(sizes)


def _block(name: str, kind: str, blobs: list[np.ndarray]) -> Block:
    if kind == "Convolution":
        arrays = {"W": blobs[0]}
    elif kind == "InnerProduct":
        arrays = {"W": blobs[0].reshape(blobs[0].shape[-2:]).T}
    elif kind == "BatchNorm" and len(blobs) >= 3:
        factor = float(blobs[2].reshape(-1)[0]) if blobs[2].size else 0.0
        scale = 1.0 / factor if factor else 0.0
        return Block(name, "batch_norm", {role: np.float32(scale) * blob for role, blob in zip(("mean", "var"), blobs)})
    else:
        return Block(name, "other", {f"blob{number}": blob for number, blob in enumerate(blobs)})
    if len(blobs) > 1:
        arrays["b"] = blobs[1].reshape(-1)
    return Block(name, "conv" if kind == "Convolution" else "dense", arrays)
