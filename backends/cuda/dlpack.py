"""DLPack: arrays in capsules that other libraries open without a copy.

The structures are those of DLPack's header, version 0.8 (https://dmlc.github.io/dlpack/latest/c_api.html), which
every consumer still accepts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["CUDA", "capsule"]

CUDA = 2
"""DLPack's device type for NVIDIA GPUs."""
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_NAME = b"dltensor"


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("ordinal", ctypes.c_int32)]


class _Type(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32), ("dtype", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]
_Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_alive: dict[int, Any] = {}
"""The contents of capsules, kept until the last user of a capsule calls its deleter."""


@_Deleter
def _delete(managed: Any) -> None:
    _alive.pop(ctypes.addressof(managed.contents), None)


@lru_cache(maxsize=1)
def _python() -> Any:
    """Python's capsule API. A capsule that is being destroyed must be passed as a plain address."""
    python = ctypes.PyDLL(None)
    python.PyCapsule_New.restype = ctypes.py_object
    python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _Destructor]
    python.PyCapsule_IsValid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return python


@_Destructor
def _destroy(capsule: Any) -> None:
    """Release the contents of a capsule that was never opened; an opened capsule has another name."""
    if _python().PyCapsule_IsValid(capsule, _NAME):
        _alive.pop(_python().PyCapsule_GetPointer(capsule, _NAME), None)


def capsule(owner: Any, pointer: int, shape: Sequence[int], dtype: np.dtype, ordinal: int) -> Any:
    """Create a DLPack capsule of C-contiguous GPU memory, which ``owner`` keeps alive."""
    lengths = (ctypes.c_int64 * max(len(shape), 1))(*shape)
    managed = _Managed()
    managed.tensor = _Tensor(
        pointer, _Device(CUDA, ordinal), len(shape), _Type(_CODES[dtype.kind], dtype.itemsize * 8, 1), lengths, None, 0
    )
    managed.deleter = _delete
    address = ctypes.addressof(managed)
    _alive[address] = (owner, managed, lengths)
    return _python().PyCapsule_New(address, _NAME, _destroy)
