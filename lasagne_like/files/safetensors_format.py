"""The safetensors format: a header in JSON, then the bytes of the arrays.

https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .report import ModelFileError

__all__ = ["read_header", "read_safetensors", "write_safetensors"]

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}
_CODES = {np.dtype(dtype): code for code, dtype in _DTYPES.items() if code != "BF16"}
_LONGEST_HEADER = 32 * 2**20
_METADATA = "__metadata__"


def write_safetensors(path: str | os.PathLike, values: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays and metadata to a file.

    Parameters
    ----------
    path : path
        The file.
    values : mapping of str to numpy.ndarray
        The arrays, of a numeric dtype or bool.
    metadata : mapping of str to str
        The metadata; empty for none.

    Raises
    ------
    TypeError
        If an array is of another dtype.
    """
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    arrays, at = [], 0
    # The widest items first, so that all are aligned.
    for name in sorted(values, key=lambda name: (-values[name].dtype.itemsize, name)):
        array = np.asarray(values[name])
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
        if array.dtype not in _CODES:
            raise TypeError(f"the array {name!r} of dtype {array.dtype} cannot be stored in a safetensors file")
        code = _CODES[array.dtype]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
        arrays.append(array)
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > _LONGEST_HEADER:
        raise ValueError(
            f"the description of the file needs {len(text)} bytes, at most {_LONGEST_HEADER} are supported"
        )
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in arrays:
            file.write(array.reshape(-1).view(np.uint8).data if array.size else b"")


def read_safetensors(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read all arrays and the metadata of a file.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    (dict of str to numpy.ndarray, dict of str to str)
        The arrays, writable and in the order in which they are stored; bfloat16 is converted to float32. The metadata.

    Raises
    ------
    ModelFileError
        If the file is not a safetensors file, or is damaged. All that the header states is checked before any array
        is read: the arrays must fill the file without gaps and overlaps.
    FileNotFoundError
        If the file does not exist.
    """
    path = Path(path)
    with open(path, "rb") as file:
        entries, metadata = read_header(file, path)
        values = {name: _read_array(file, path, *entry) for name, entry in entries.items()}
    return values, metadata


def read_header(file: BinaryIO, path: Path) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, str]]:
    """Read and check the header of an open file, up to the first byte of the arrays.

    Returns
    -------
    (dict of str to (str, tuple), dict of str to str)
        The dtype code and the shape of each array, in the order in which they are stored; the metadata.
    """

    def damaged(reason: str) -> ModelFileError:
        return ModelFileError(f"{path} is not a safetensors file, or is damaged: {reason}")

    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little") if size >= 8 else size
    if length > min(size - 8, _LONGEST_HEADER):
        raise damaged(f"it has {size} bytes and states a header of {length}")
    header = parsed_json(file.read(length), damaged)
    if not isinstance(header, dict):
        raise damaged("the header is not a dictionary")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged("the metadata are not texts")
    spans = {name: _span(name, entry, damaged) for name, entry in header.items()}
    ordered = sorted(spans.items(), key=lambda item: item[1][2:])
    at = 0
    for name, (_, _, begin, end) in ordered:
        if begin != at:
            raise damaged(f"the array {name[:80]!r} begins at byte {begin}, expected {at}")
        at = end
    if at != size - 8 - length:
        raise damaged(f"the arrays have {at} bytes, {size - 8 - length} are in the file")
    return {name: (code, shape) for name, (code, shape, _, _) in ordered}, metadata


def parsed_json(text: bytes, damaged: Any) -> Any:
    """Parse JSON; numbers that are not JSON, repeated keys and deep nesting are refused with ``damaged(reason)``."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key is repeated")
        return result

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a number of JSON")

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise damaged(f"{type(error).__name__}: {str(error)[:200]}") from error


def _span(name: str, entry: Any, damaged: Any) -> tuple[str, tuple[int, ...], int, int]:
    what = f"the entry of the array {name[:80]!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise damaged(f"{what} does not have dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise damaged(f"{what} has the dtype {str(code)[:40]!r}; supported are {', '.join(_DTYPES)}")
    if not isinstance(shape, list) or len(shape) > 32 or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        raise damaged(f"{what} has the shape {str(shape)[:80]}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(n) is int and n >= 0 for n in offsets):
        raise damaged(f"{what} has the offsets {str(offsets)[:80]}")
    wanted = math.prod(shape) * np.dtype(_DTYPES[code]).itemsize
    if offsets[1] - offsets[0] != wanted:
        raise damaged(f"{what} has {offsets[1] - offsets[0]} bytes for {code} of shape {tuple(shape)}")
    return code, tuple(shape), offsets[0], offsets[1]


def _read_array(file: BinaryIO, path: Path, code: str, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, _DTYPES[code])
    if array.size and file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:  # type: ignore[attr-defined]
        raise ModelFileError(f"{path} is damaged: it ended while it was read")
    if code == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    if code == "BOOL" and array.size and array.view(np.uint8).max() > 1:
        raise ModelFileError(f"{path} is damaged: an array of truth values contains other bytes")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
