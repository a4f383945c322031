"""The GPU: one primary context, one stream, a memory pool, modules, launches.

Nothing here runs at import. ``current()`` opens the device on first use; ``problem()`` states in one sentence why it
cannot. All work of this process goes to one stream, in order: memory that a launch still reads may be reused
immediately, since later writes come later in the same stream.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import CompileError, KernelError, OutOfMemoryError
from symc_backends.cuda import libraries

__all__ = ["Device", "DeviceMemoryError", "current", "problem"]


LEAST = 16
"""Size of the smallest memory block, in bytes."""
IDLE = 64 << 20
"""Bytes of free blocks that the pool may keep even if fewer bytes are in use."""
FLYING = 64 << 20
"""Bytes of page-locked memory for concurrent copies."""


class DeviceMemoryError(OutOfMemoryError):
    """The GPU has too little free memory; ``asked`` bytes were requested."""

    def __init__(self, asked: int, held: int, free: int) -> None:
        super().__init__(f"the GPU has no memory for {asked:,} more bytes: symc holds {held:,}, {free:,} are free")
        self.asked = asked


def problem() -> str | None:
    """Return why no GPU can be used on this machine, and a repair; None if one can."""
    try:
        current()
    except CompileError as reason:
        return str(reason)
    return None


def current() -> Device:
    """The device with the index ``symc.config.cuda_device``, opened on first use.

    Raises
    ------
    CompileError
        If PyCUDA, the driver or a GPU is missing.
    """
    return _open(config.cuda_device)


@lru_cache(maxsize=8)
def _open(ordinal: int) -> Device:
    return Device(ordinal, _driver())


def _driver() -> Any:
    """PyCUDA's driver module, initialised."""
    try:
        libraries.preload("libcuda.so.1")
        import pycuda.driver as driver
    except ModuleNotFoundError as reason:
        raise CompileError(f"PyCUDA is not installed ({reason}); run: pip install 'symc[cuda]'") from None
    except (ImportError, OSError) as reason:
        text = f"PyCUDA cannot load the NVIDIA driver ({reason})"
        raise CompileError(f"{text}; install a driver that supports CUDA 12 or newer") from None
    try:
        driver.init()
        count = driver.Device.count()
    except driver.Error as reason:
        raise CompileError(f"the NVIDIA driver does not start ({reason}); check it with nvidia-smi") from None
    if count == 0:
        raise CompileError("the NVIDIA driver finds no GPU; check it with nvidia-smi, and CUDA_VISIBLE_DEVICES")
    return driver


class Memory:
    """A block of the pool: ``int(block)`` is its address, and deleting it returns it to the pool.

    The pool needs a current context when a block is returned, and Python may delete objects in any thread.
    """

    __slots__ = ("_block", "_device")

    def __init__(self, owner: Device, block: Any) -> None:
        self._device = owner
        self._block = block

    def __int__(self) -> int:
        return int(self._block)

    def __del__(self) -> None:
        with self._device:
            self._block = None


class Device:
    """One GPU. ``with device:`` makes its context current in this thread and excludes other threads.

    Attributes
    ----------
    driver : module
        ``pycuda.driver``.
    name, arch : str
        The product name, and the architecture under its compilers' name, such as ``"sm_90"``.
    stream : pycuda.driver.Stream
        The stream on which everything runs.
    processors : int
        The number of multiprocessors.
    """

    def __init__(self, ordinal: int, driver: Any) -> None:
        count = driver.Device.count()
        if not 0 <= ordinal < count:
            raise CompileError(f"symc.config.cuda_device is {ordinal}, but the GPUs here are 0 .. {count - 1}")
        self.driver = driver
        self.ordinal = ordinal
        handle = driver.Device(ordinal)
        self.name = str(handle.name())
        self.capability = handle.compute_capability()
        self.arch = "sm_{}{}".format(*self.capability)
        self.processors = int(handle.multiprocessor_count)
        self.total = int(handle.total_memory())
        self.lock = threading.RLock()
        self._depth = 0
        self.context = handle.retain_primary_context()
        with self:
            self.stream = driver.Stream()
            from pycuda.tools import DeviceMemoryPool, PageLockedMemoryPool

            self._pool = DeviceMemoryPool()
            self._pinned = PageLockedMemoryPool()
            self._flying: deque[tuple[Any, np.ndarray]] = deque()
            self._flying_bytes = 0
            self._shared: dict[str, tuple[Memory, int]] = {}
        atexit.register(self._close)

    def __enter__(self) -> Device:
        self.lock.acquire()
        if self._depth == 0:
            self.context.push()
        self._depth += 1
        return self

    def __exit__(self, *_: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.context.pop()
        self.lock.release()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let other threads use the device for the duration of a block inside ``with device:``."""
        depth = self._depth
        for _ in range(depth):
            self.__exit__()
        try:
            yield
        finally:
            for _ in range(depth):
                self.__enter__()

    def _close(self) -> None:
        with self:
            self._shared.clear()
            self.synchronize()
            self._pool.stop_holding()
            self._pinned.stop_holding()

    # --- memory ---------------------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Bytes that the pool holds, in use or free for reuse."""
        return int(self._pool.managed_bytes)

    @property
    def active(self) -> int:
        """Bytes of the pool that are in use."""
        return int(self._pool.active_bytes)

    def block(self, nbytes: int) -> int:
        """The bytes that the pool allocates on the GPU for ``nbytes``: blocks have certain sizes only."""
        return int(self._pool.alloc_size(self._pool.bin_number(max(nbytes, LEAST))))

    def empty(self, nbytes: int) -> Memory:
        """Allocate memory from the pool; must be called within ``with device:``.

        Returned blocks stay in the pool for the next allocation of their size; but when the pool must grow and more
        bytes are free than in use, the free blocks are returned to the GPU. Shapes that change with every call
        therefore do not fill it.
        """
        nbytes = max(nbytes, LEAST)
        limit, before = config.cuda_memory, self.held
        if limit and not self._pool.held_blocks and self.held + self.block(nbytes) > limit:
            raise DeviceMemoryError(nbytes, self.held, max(limit - self.held, 0))
        memory = self._allocate(nbytes)
        over = limit and self.held > limit
        if over or self.held > before and self.held - self.active > max(self.active, IDLE):
            self._pool.free_held()  # no free block has this size, and perhaps none ever will
        if over and self.held > limit:
            del memory
            self._pool.free_held()
            raise DeviceMemoryError(nbytes, self.held, max(limit - self.held, 0))
        return memory

    def _allocate(self, nbytes: int) -> Memory:
        try:
            return Memory(self, self._pool.allocate(nbytes))
        except self.driver.MemoryError:
            self.synchronize()
            self._pool.free_held()
        try:
            return Memory(self, self._pool.allocate(nbytes))
        except self.driver.MemoryError:
            free, _ = self.driver.mem_get_info()
            raise DeviceMemoryError(nbytes, self.held, int(free)) from None

    def arena(self, nbytes: int) -> int:
        """The address of memory for temporaries that all functions share; it moves when it grows."""
        return self._grown("arena", nbytes)

    def scratch(self, nbytes: int) -> int:
        """The address of scratch memory that every task may use; it moves when it grows."""
        return self._grown("scratch", nbytes)

    @property
    def scratch_place(self) -> tuple[int, int]:
        """The current address of scratch memory, and its size in bytes."""
        memory, size = self._shared.get("scratch", (0, 0))
        return int(memory), size

    def _grown(self, name: str, nbytes: int) -> int:
        found = self._shared.get(name)
        if found is None or found[1] < nbytes:
            found = None
            self._shared.pop(name, None)  # freed first, so that both need not fit at once
            found = self._shared[name] = self.empty(nbytes), nbytes
        return int(found[0])

    # --- copies ---------------------------------------------------------------------------------------------------

    def send(self, array: np.ndarray, pointer: int) -> None:
        """Copy a C-contiguous host array to ``pointer``; the array may be modified once this returns.

        The copy goes through page-locked memory, from which the GPU reads it asynchronously.
        """
        if array.nbytes > FLYING:
            self.driver.memcpy_htod(pointer, array)
            return
        while self._flying and (self._flying_bytes > FLYING or self._flying[0][0].query()):
            event, done = self._flying.popleft()
            event.synchronize()
            self._flying_bytes -= done.nbytes
        pinned = self._pinned.allocate(array.shape, array.dtype)
        np.copyto(pinned, array)
        self.driver.memcpy_htod_async(pointer, pinned, self.stream)
        event = self.driver.Event(self.driver.event_flags.DISABLE_TIMING)
        event.record(self.stream)
        self._flying.append((event, pinned))
        self._flying_bytes += pinned.nbytes

    def fetch(self, pointer: int, array: np.ndarray) -> None:
        """Wait for all work, and copy from ``pointer`` into a host array; see ``fetch_all``."""
        self.fetch_all([(pointer, array)])

    def fetch_all(self, wanted: Sequence[tuple[int, np.ndarray]]) -> None:
        """Wait for all work, and copy from addresses into C-contiguous host arrays.

        Raises
        ------
        KernelError
            If a previously queued kernel failed.
        """
        try:
            for pointer, array in wanted:
                self.driver.memcpy_dtoh_async(array, pointer, self.stream)
            self.synchronize()
        except self.driver.Error as reason:
            text = f"the GPU failed while running previously queued work: {reason}"
            raise KernelError(
                f"{text}\n  repair: set symc.config.cuda_blocking = True to learn which kernel it is"
            ) from None

    def clear(self, pointer: int, nbytes: int) -> None:
        """Enqueue filling memory with zeros."""
        self.driver.memset_d8_async(pointer, 0, nbytes, self.stream)

    def synchronize(self) -> None:
        """Wait for all work."""
        self.stream.synchronize()
        self._flying.clear()
        self._flying_bytes = 0

    # --- code -----------------------------------------------------------------------------------------------------

    def load(self, cubin: bytes) -> Any:
        """Load a module from machine code; ``module.get_function(name)`` returns its kernels."""
        return self.driver.module_from_buffer(cubin)

    def launch(self, function: Any, grid: Any, block: Any, arguments: np.ndarray, shared: int = 0) -> None:
        """Start a kernel; ``arguments`` holds one 8-byte value per parameter (an address or an int64)."""
        function._launch_kernel(grid, block, arguments, shared, self.stream)
