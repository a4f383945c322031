"""Arrays in GPU memory, and the memory space of functions on the GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from symc.runtime.storage import Storage
from symc_backends.cuda import device, dlpack

__all__ = ["DeviceArray", "DeviceSpace", "space"]


class DeviceArray:
    """A C-contiguous array in GPU memory.

    ``np.asarray(a)`` and ``a.download()`` copy it to the host. Libraries that support ``__cuda_array_interface__`` or
    DLPack (PyTorch, CuPy, JAX, Numba, PyCUDA) accept it without a copy.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    pointer : int
        The address of the first element.
    owner : object
        The object that keeps the memory alive.
    """

    __slots__ = ("device", "dtype", "owner", "pointer", "shape")

    def __init__(self, owner: Any, pointer: int, shape: Sequence[int], dtype: Any, device: device.Device) -> None:
        self.owner = owner
        self.pointer = pointer
        self.shape = tuple(int(n) for n in shape)
        self.dtype = np.dtype(dtype)
        self.device = device

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.size * self.dtype.itemsize

    def download(self) -> np.ndarray:
        """Copy the elements to a new NumPy array."""
        array = np.empty(self.shape, self.dtype)
        if array.size:
            with self.device as d:
                d.fetch(self.pointer, array)
        return array

    def copy(self) -> DeviceArray:
        """Copy the array to new memory."""
        with self.device as d:
            fresh = allocate(d, self.shape, self.dtype)
            if self.nbytes:
                d.driver.memcpy_dtod_async(fresh.pointer, self.pointer, self.nbytes, d.stream)
        return fresh

    def overlaps(self, other: Any) -> bool:
        """Whether the two arrays share memory."""
        if not isinstance(other, DeviceArray):
            return False
        return self.pointer < other.pointer + other.nbytes and other.pointer < self.pointer + self.nbytes

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array on the GPU is always copied to the host; copy=False is not possible")
        array = self.download()
        return array if dtype is None else array.astype(dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "data": (self.pointer, False), "strides": None,
            "version": 3, "stream": int(self.device.stream.handle) or 1,
        }  # fmt: skip

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self.device.ordinal

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        with self.device as d:
            d.synchronize()  # the elements are complete for any stream of the consumer
        return dlpack.capsule(self, self.pointer, self.shape, self.dtype, self.device.ordinal)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array without axes has no length")
        return self.shape[0]

    def __float__(self) -> float:
        return float(self.download())

    def __int__(self) -> int:
        return int(self.download())

    def __repr__(self) -> str:
        return f"<DeviceArray {self.dtype}{self.shape} on {self.device.name}>"


def allocate(owner: device.Device, shape: Sequence[int], dtype: Any) -> DeviceArray:
    """Allocate an uninitialised array."""
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    memory = owner.empty(nbytes)
    return DeviceArray(memory, int(memory), shape, dtype, owner)


def upload(owner: device.Device, array: np.ndarray) -> DeviceArray:
    """Copy a host array to the GPU."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    fresh = allocate(owner, array.shape, array.dtype)
    if array.nbytes:
        owner.send(array, fresh.pointer)
    return fresh


class DeviceSpace:
    """The memory space of the GPU; see ``symc.runtime.storage.Space``."""

    def __init__(self, owner: device.Device) -> None:
        self.device = owner

    def given(self, value: Any) -> DeviceArray | None:
        if isinstance(value, DeviceArray):
            return value if value.device is self.device else None
        if isinstance(value, (np.ndarray, np.generic, int, float, list, tuple)):
            return None
        described = getattr(value, "__cuda_array_interface__", None)
        return None if described is None else self._adopt(value, described)

    def _adopt(self, value: Any, described: dict[str, Any]) -> DeviceArray:
        """Wrap an array of another library without a copy; ValueError if it is not contiguous."""
        shape, dtype = tuple(described["shape"]), np.dtype(described["typestr"])
        strides = described.get("strides")
        dense = tuple(dtype.itemsize * math.prod(shape[k + 1 :]) for k in range(len(shape)))
        if strides is not None and tuple(strides) != dense and 0 not in shape:
            raise ValueError(
                f"an array on the GPU must be C-contiguous, got shape {shape} with strides {tuple(strides)}\n"
                "  repair: make a contiguous copy first, with .contiguous() (PyTorch) or cupy.ascontiguousarray"
            )
        stream = described.get("stream")
        with self.device as d:
            if stream is None or int(stream) != int(d.stream.handle):
                d.context.synchronize()  # its producer may still be writing, on another stream
        return DeviceArray(value, int(described["data"][0]), shape, dtype, self.device)

    def of(self, storage: Storage) -> DeviceArray:
        remote = storage.remote
        if not isinstance(remote, DeviceArray) or remote.device is not self.device:
            with self.device as d:
                remote = upload(d, storage.array)
            storage.place(remote, only=False)
        return remote

    def empty(self, shape: Sequence[int], dtype: str) -> DeviceArray:
        with self.device as d:
            return allocate(d, shape, dtype)

    def keep(self, storage: Storage, array: DeviceArray) -> None:
        storage.place(array, only=True)

    def changed(self, storage: Storage) -> None:
        storage.place(storage.remote, only=True)

    def part(self, array: DeviceArray, shape: Sequence[int]) -> DeviceArray:
        first = DeviceArray(array.owner, array.pointer, shape, array.dtype, self.device)
        return first.copy() if first.size < array.size else first

    def result(self, array: DeviceArray, borrow: bool) -> Any:
        return array if borrow else array.download()


@lru_cache(maxsize=8)
def _space(owner: device.Device) -> DeviceSpace:
    return DeviceSpace(owner)


def space() -> DeviceSpace:
    """The memory space of the current device."""
    return _space(device.current())
