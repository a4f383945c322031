"""What is put into the GPU's stream: a kernel or a library call, with arguments that are written in advance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from symc.errors import KernelError
from symc.loops.ir import Step
from symc_backends.cuda.device import Device
from symc_backends.cuda.grids import Grid

__all__ = ["ClearTask", "KernelTask", "LibraryTask", "Task"]


class Task(Protocol):
    """One thing to start. ``number`` is the step of the program that it belongs to, ``spare`` the scratch it wants."""

    number: int
    step: Step
    spare: int

    def point(self, pointers: np.ndarray, spare: int) -> None:
        """Write down the addresses of the program's buffers and of spare memory."""

    def start(self, device: Device) -> None:
        """Put it into the stream."""

    def wait(self, device: Device) -> None:
        """Wait for the stream, and blame this task for what went wrong."""


def failed(step: Step, reason: Exception) -> KernelError:
    """The error of a step that the GPU did not run, or not to its end."""
    lines = "".join(f"\n  computes: {location}" for location in step.locations)
    return KernelError(f"the kernel {step.kernel.name} failed on the GPU: {reason}{lines}")


class _Blamed:
    step: Step

    def wait(self, device: Device) -> None:
        try:
            device.synchronize()
        except device.driver.Error as reason:
            raise failed(self.step, reason) from None


class KernelTask(_Blamed):
    """A launch of a generated kernel.

    Its arguments are 8-byte words: addresses of buffers, dims, spare memory and the bytes that each thread_group has
    of it (if it is ``private`` memory that thread_groups want), the address of the buffer ``status`` (if the launch is
    guarded by it).
    """

    def __init__(
        self, number: int, step: Step, function: Any, grid: Grid, dims: Sequence[int], private: bool, status: int | None
    ) -> None:
        self.number = number
        self.step = step
        self.function = function
        self.grid = grid
        self.spare = grid.spare
        words = [0] * len(step.buffers) + list(dims) + ([0, grid.own] if private else [])
        self._spare_at = len(step.buffers) + len(dims) if grid.spare else -1
        places = list(range(len(step.buffers)))
        buffers = list(step.buffers)
        if status is not None:
            places.append(len(words))
            buffers.append(status)
            words.append(0)
        self._places, self._buffers = np.array(places, "intp"), np.array(buffers, "intp")
        self._arguments = np.array(words, "int64").view("uint64")

    def point(self, pointers: np.ndarray, spare: int) -> None:
        self._arguments[self._places] = pointers[self._buffers]
        if self._spare_at >= 0:
            self._arguments[self._spare_at] = spare

    def start(self, device: Device) -> None:
        grid = self.grid
        try:
            device.launch(self.function, grid.grid, grid.block, self._arguments, grid.shared)
        except device.driver.Error as reason:
            raise failed(self.step, reason) from None


class ClearTask(_Blamed):
    """Sets the status to "nothing went wrong"."""

    def __init__(self, step: Step, status: int) -> None:
        self.number = 0
        self.step = step
        self.spare = 0
        self._status = status
        self._pointer = 0

    def point(self, pointers: np.ndarray, spare: int) -> None:
        self._pointer = int(pointers[self._status])

    def start(self, device: Device) -> None:
        device.clear(self._pointer, 8)


class LibraryTask(_Blamed):
    """A library call on buffers of the program."""

    def __init__(self, number: int, step: Step, bound: Any, buffers: Sequence[int]) -> None:
        self.number = number
        self.step = step
        self.bound = bound
        self.spare = bound.workspace
        self._buffers = np.array(buffers, "intp")
        self._pointers: list[int] = []
        self._workspace = 0

    def point(self, pointers: np.ndarray, spare: int) -> None:
        self._pointers = [int(p) for p in pointers[self._buffers]]
        self._workspace = spare

    def start(self, device: Device) -> None:
        try:
            self.bound(self._pointers, self._workspace)
        except device.driver.Error as reason:
            raise failed(self.step, reason) from None
