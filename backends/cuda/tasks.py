"""Tasks of the GPU's stream: kernels and library calls with prepared arguments.

Tasks refer to memory by *slots*: positions in an array of addresses that is passed to ``point``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from symc.errors import KernelError
from symc.loops.ir import Step
from symc_backends.cuda.device import Device
from symc_backends.cuda.grids import Grid

__all__ = ["ClearTask", "KeepTask", "KernelTask", "LibraryTask", "Prepared", "Task"]

WORD = 8
"""Size of the status, in bytes."""


class Task(Protocol):
    """An item of work. ``number`` is its step of the program, ``spare`` the scratch memory it needs."""

    number: int
    step: Step | None
    spare: int

    def point(self, pointers: np.ndarray, spare: int) -> None:
        """Set the addresses of memory, by slot, and of scratch memory."""

    def start(self, device: Device) -> None:
        """Enqueue the task."""

    def wait(self, device: Device) -> None:
        """Wait for the stream, and attribute an error to this task."""


def failed(step: Step | None, reason: Exception) -> KernelError:
    """The error for a step that failed on the GPU."""
    if step is None:
        return KernelError(f"the GPU failed: {reason}")
    lines = "".join(f"\n  computes: {location}" for location in step.locations)
    return KernelError(f"the kernel {step.kernel.name} failed on the GPU: {reason}{lines}")


class Prepared(NamedTuple):
    """Launches for certain dims, and the largest scratch size among them, in bytes."""

    tasks: list[Task]
    spare: int


class _Blamed:
    step: Step | None

    def wait(self, device: Device) -> None:
        try:
            device.synchronize()
        except device.driver.Error as reason:
            raise failed(self.step, reason) from None


class KernelTask(_Blamed):
    """A launch of a generated kernel.

    Its arguments have 8 bytes each: addresses of buffers, dims, the address of scratch memory and its bytes per thread
    group (if thread groups have ``private`` arrays), and the address of the status that ``guards`` it.
    """

    def __init__(
        self,
        number: int,
        step: Step,
        function: Any,
        grid: Grid,
        slots: Sequence[int],
        dims: Sequence[int],
        private: bool,
        guard: int | None,
    ) -> None:
        self.number = number
        self.step = step
        self.function = function
        self.grid = grid
        self.spare = grid.spare
        words = [0] * len(slots) + list(dims) + ([0, grid.own] if private else [])
        self._spare_at = len(slots) + len(dims) if grid.spare else -1
        places, named = list(range(len(slots))), list(slots)
        if guard is not None:
            places.append(len(words))
            named.append(guard)
            words.append(0)
        self._places, self._slots = np.array(places, "intp"), np.array(named, "intp")
        self._arguments = np.array(words, "int64").view("uint64")

    def point(self, pointers: np.ndarray, spare: int) -> None:
        self._arguments[self._places] = pointers[self._slots]
        if self._spare_at >= 0:
            self._arguments[self._spare_at] = spare

    def start(self, device: Device) -> None:
        grid = self.grid
        try:
            device.launch(self.function, grid.grid, grid.block, self._arguments, grid.shared)
        except device.driver.Error as reason:
            raise failed(self.step, reason) from None


class _StatusTask(_Blamed):
    """A task that touches nothing but the status and its copy."""

    def __init__(self, number: int, slot: int) -> None:
        self.number = number
        self.step = None
        self.spare = 0
        self._slot = slot
        self._pointer = 0

    def point(self, pointers: np.ndarray, spare: int) -> None:
        self._pointer = int(pointers[self._slot])


class ClearTask(_StatusTask):
    """A task that resets the status and its copy to "no error"."""

    def start(self, device: Device) -> None:
        device.clear(self._pointer, 2 * WORD)


class KeepTask(_StatusTask):
    """A task that copies the status, so that a step that may set the status can read whether an earlier step did."""

    def start(self, device: Device) -> None:
        device.driver.memcpy_dtod_async(self._pointer + WORD, self._pointer, WORD, device.stream)


class LibraryTask(_Blamed):
    """A library call."""

    def __init__(self, number: int, step: Step, bound: Any, slots: Sequence[int]) -> None:
        self.number = number
        self.step = step
        self.bound = bound
        self.spare = bound.workspace
        self._slots = np.array(slots, "intp")
        self._pointers: list[int] = []
        self._workspace = 0

    def point(self, pointers: np.ndarray, spare: int) -> None:
        self._pointers = pointers[self._slots].tolist()
        self._workspace = spare

    def start(self, device: Device) -> None:
        try:
            self.bound(self._pointers, self._workspace)
        except device.driver.Error as reason:
            raise failed(self.step, reason) from None
