"""Checkpoints: the whole state of a trainer in one safetensors file."""

from __future__ import annotations

import json
import os
import secrets
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["read_checkpoint", "write_checkpoint"]

FORMAT = "lasagne_like.training 1"


def write_checkpoint(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
    """Write arrays and other state to a file; an existing file is replaced atomically.

    Raises
    ------
    ValueError
        If the path does not end in ``.safetensors``.
    OSError
        If the file cannot be written; an existing file is not changed.
    """
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"cannot save a checkpoint as {path.name!r}: expected a name that ends in .safetensors")
    values = {name: np.array(value, order="C", copy=None) for name, value in arrays.items()}
    text = json.dumps(state, default=_plain)
    content = save(values, metadata={"format": FORMAT, "state": text, "checksum": _checksum(values, text)})
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _checksum(arrays: Mapping[str, np.ndarray], text: str) -> str:
    """A CRC-32 of all arrays with their names, dtypes and shapes, and of the other state."""
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        crc = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"


def _plain(value: Any) -> Any:
    """Convert NumPy's numbers and arrays, which callbacks may have in their state."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__} in the state of a callback: {value!r}")


def _flush_folder(folder: Path) -> None:
    """Make a renaming in a folder durable, where folders can be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def read_checkpoint(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`write_checkpoint` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or is not a checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        with safe_open(str(path), framework="numpy") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise ValueError(
                    f"{path} is not a checkpoint of a Trainer; for files of weights use lasagne_like.load_weights"
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if _checksum(arrays, about["state"]) != about["checksum"]:
            raise ValueError(f"{path} is damaged: its contents differ from what was saved")
        return arrays, json.loads(about["state"])
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a checkpoint, or is damaged: {error}") from error
