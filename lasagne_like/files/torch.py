"""The tensors in ``.pth`` and ``.pt`` files of PyTorch, without executing code from them.

Both formats are read: zip archives (since PyTorch 1.6) and sequences of pickles (before). The pickles may name only
what tensors need; each name is replaced by a stand-in, as in :mod:`lasagne_like.pickles`.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from ..pickles import RefusedPickleError, Sealed, check_opcodes, stand_in_for
from .report import ModelFileError

__all__ = ["read_torch"]

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


@dataclass(frozen=True)
class _StorageType(Sealed):
    dtype: str

    @property
    def itemsize(self) -> int:
        return 2 if self.dtype == "bf16" else np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class _Storage(Sealed):
    key: str
    type: _StorageType
    count: int


@dataclass(frozen=True)
class _Tensor(Sealed):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor(Sealed):
    """``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``."""

    def __call__(self, storage: object, offset: object, shape: object, strides: object, *rest: object) -> _Tensor:
        valid = isinstance(storage, _Storage) and type(offset) is int and offset >= 0
        for each in (shape, strides):
            valid = valid and isinstance(each, tuple) and all(type(n) is int and n >= 0 for n in each)
        if not valid or len(shape) != len(strides):  # type: ignore[arg-type]
            raise RefusedPickleError("the pickle holds a tensor whose storage, shape or strides are not valid")
        return _checked(_Tensor(storage, offset, shape, strides))  # type: ignore[arg-type]


def _checked(tensor: _Tensor) -> _Tensor:
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides))
    count = math.prod(tensor.shape)
    if count and (last >= tensor.storage.count or count > tensor.storage.count):
        raise RefusedPickleError(
            f"the pickle holds a tensor of shape {tensor.shape} in a storage of {tensor.storage.count} items"
        )
    return tensor


class _RebuildParameter(Sealed):
    """``torch._utils._rebuild_parameter(data, requires_grad, hooks)``."""

    def __call__(self, data: object, *rest: object) -> object:
        return data


class _MakeDict(Sealed):
    """``collections.OrderedDict()``; a state dict's attribute ``_metadata`` is dropped."""

    def __call__(self, items: Any = ()) -> _Dict:
        return _Dict(items)


class _Dict(OrderedDict):
    def __setstate__(self, state: object) -> None:
        """Ignore the attributes of a state dict."""


class _Size(Sealed):
    """``torch.Size(sizes)``."""

    def __call__(self, sizes: Any = ()) -> tuple:
        return tuple(sizes)


_ALLOWED = {
    ("collections", "OrderedDict"): _MakeDict,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor,
    ("torch._utils", "_rebuild_tensor"): _RebuildTensor,
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter,
    ("torch", "Size"): _Size,
}


class _Reader(pickle.Unpickler):
    """An unpickler that resolves only what tensors and arrays need; ``storages`` collects their storages by key."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]()
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        return stand_in_for(module, name)

    def persistent_load(self, pid: object) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage" or pid[5:] not in ((), (None,)):
            raise RefusedPickleError(f"the pickle refers to an object outside itself ({str(pid)[:60]}): refused")
        kind, key, count = pid[1], pid[2], pid[4]
        if not isinstance(kind, _StorageType) or not isinstance(key, str) or type(count) is not int or count < 0:
            raise RefusedPickleError("the pickle refers to a storage that is not valid")
        return self.storages.setdefault(key, _Storage(key, kind, count))


def read_torch(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the tensors of a PyTorch file.

    Parameters
    ----------
    path : path
        A file written by ``torch.save``: a state dict, or a dictionary that contains one, such as a checkpoint.

    Returns
    -------
    dict of str to numpy.ndarray
        The tensors, in the order of the file. Those in nested dictionaries have names joined by dots, except that the
        only dictionary of tensors in a checkpoint (``"state_dict"``, ``"model"``) has no prefix.

    Raises
    ------
    RefusedPickleError
        If the file names anything that tensors do not need; the message names it.
    ModelFileError
        If the file is damaged, or contains no tensors.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content, arrays = _zipped(file) if zipfile.is_zipfile(file) else _sequence(file)
    except (RefusedPickleError, ModelFileError, FileNotFoundError):
        raise
    except Exception as error:
        # A damaged pickle can raise any exception.
        raise ModelFileError(f"{path} is not a PyTorch file, or is damaged: {type(error).__name__}: {error}") from error
    found = _tensors(_state_dict(content))
    if not found:
        raise ModelFileError(f"{path} contains no tensors")
    return {name: _value(item, arrays) if isinstance(item, _Tensor) else item for name, item in found.items()}


def _load(file: BinaryIO) -> tuple[Any, dict[str, _Storage]]:
    """Read one pickle, after a look at its opcodes."""
    check_opcodes(file)
    reader = _Reader(file)
    return reader.load(), reader.storages


def _zipped(file: BinaryIO) -> tuple[Any, dict[str, np.ndarray]]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        roots = [name.removesuffix("data.pkl") for name in names if name.rpartition("/")[2] == "data.pkl"]
        if len(roots) != 1:
            raise ModelFileError("the zip archive is not a file of torch.save: it has no data.pkl")
        root = roots[0]
        if any(name.startswith(f"{root}code/") for name in names):
            raise ModelFileError("the file is a TorchScript program; save the state dict by torch.save instead")
        order = archive.read(f"{root}byteorder").strip() if f"{root}byteorder" in names else b"little"
        pickled = archive.read(_stored(archive, f"{root}data.pkl"))
        content, storages = _load(io.BytesIO(pickled))
        arrays = {}
        for key, storage in storages.items():
            info = _stored(archive, f"{root}data/{key}")
            if info.file_size < storage.count * storage.type.itemsize:
                raise ModelFileError(f"the storage {key} has {info.file_size} bytes for {storage.count} items")
            arrays[key] = _items(archive.read(info), storage, "<" if order == b"little" else ">")
    return content, arrays


def _stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ModelFileError(f"the entry {name} of the archive is compressed; PyTorch stores tensors uncompressed")
    return info


def _sequence(file: BinaryIO) -> tuple[Any, dict[str, np.ndarray]]:
    file.seek(0)
    if _load(file)[0] != _MAGIC:
        raise ModelFileError("the file is not one of torch.save: it does not begin with its number")
    version, info = _load(file)[0], _load(file)[0]
    if version != 1001 or not isinstance(info, dict):
        raise ModelFileError(f"the file has the version {version!r} of the format, expected 1001")
    order: Literal["<", ">"] = "<" if info.get("little_endian", True) else ">"
    content, storages = _load(file)
    keys, _ = _load(file)
    end = file.seek(0, os.SEEK_END) if (at := file.tell()) >= 0 else 0
    file.seek(at)
    arrays = {}
    for key in keys:
        storage = storages[key]
        size = storage.count * storage.type.itemsize
        stated = int.from_bytes(file.read(8), "little" if order == "<" else "big")
        if stated != storage.count or size > end - file.tell():
            raise ModelFileError(f"the storage {key} states {stated} items, expected {storage.count}, or is truncated")
        arrays[key] = _items(file.read(size), storage, order)
    return content, arrays


def _items(data: bytes, storage: _Storage, order: Literal["<", ">"]) -> np.ndarray:
    if storage.type.dtype == "bf16":
        bits = np.frombuffer(data, f"{order}u2", storage.count)
        return (bits.astype(np.uint32) << 16).view(np.float32)
    array = np.frombuffer(data, np.dtype(storage.type.dtype).newbyteorder(order), storage.count)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _value(tensor: _Tensor, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    items = arrays[tensor.storage.key]
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, items.dtype)
    if items.size < tensor.storage.count:
        raise ModelFileError(f"the storage {tensor.storage.key} is truncated")
    # The other bounds were checked when the tensor was rebuilt, and it cannot be altered.
    strides = tuple(step * items.itemsize for step in tensor.strides)
    view = np.lib.stride_tricks.as_strided(items[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(view)


def _state_dict(content: Any) -> Any:
    """Return the dictionary of tensors in a checkpoint, if there is exactly one."""
    if not isinstance(content, Mapping) or any(isinstance(item, _Tensor) for item in content.values()):
        return content
    for key in ("state_dict", "model_state_dict", "model", "net", "weights"):
        if isinstance(content.get(key), Mapping) and _tensors(content[key]):
            return content[key]
    return content


def _tensors(content: Any) -> dict[str, Any]:
    """List the tensors in nested containers, by their keys joined by dots."""
    found: dict[str, Any] = {}
    seen: dict[int, Any] = {}

    def visit(item: Any, name: str, depth: int) -> None:
        if isinstance(item, _Tensor):
            found[name or "tensor"] = item
        elif isinstance(item, Mapping | list | tuple) and depth < 20 and id(item) not in seen:
            seen[id(item)] = item
            for key, each in item.items() if isinstance(item, Mapping) else enumerate(item):
                visit(each, f"{name}.{key}" if name else str(key), depth + 1)

    visit(content, "", 0)
    return found
