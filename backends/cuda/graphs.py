"""CUDA graphs: launches recorded once and replayed by a single driver call.

A recording contains addresses, so it is valid for calls with the same buffer addresses. The memory pool reuses blocks,
so most calls of a training loop qualify. Launches are recorded when their addresses occur for the second time; a few
recordings are kept, since results that the caller keeps alive make the addresses alternate.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from symc.config import config
from symc_backends.cuda import libraries
from symc_backends.cuda.device import Device

__all__ = ["Graphs"]

KEPT = 4
"""The number of recordings for the same values of symbols."""
FEWEST = 3
"""The smallest number of tasks for which recording is worthwhile."""
MOST = 4096
"""The largest number of tasks for which the memory of a recording is justified."""
_THREAD_LOCAL = 1
"""Capture mode: thread-local, independent of calls in other threads."""


@lru_cache(maxsize=1)
def _driver() -> Any:
    return libraries.find("libcuda.so.1").library


class Graphs:
    """The recordings of the same launches for several addresses."""

    def __init__(self) -> None:
        self._recorded: dict[tuple[int, ...], Recording] = {}
        self._seen: deque[tuple[int, ...]] = deque(maxlen=2 * KEPT)
        self._hopeless = False

    def run(self, device: Device, key: tuple[int, ...], start: Callable[[], int]) -> None:
        """Run the work that ``start`` enqueues; it returns the number of tasks. ``key`` holds all addresses."""
        found = self._recorded.get(key)
        if found is None and config.cuda_graphs and not self._hopeless and key in self._seen:
            found = Recording.of(device, start)
            self._hopeless = found is None
            if found is not None:
                if len(self._recorded) >= KEPT:
                    self._recorded.pop(next(iter(self._recorded)))
                self._recorded[key] = found
        if found is not None:
            found.replay(device)
        elif FEWEST <= start() <= MOST:
            self._seen.append(key)


class Recording:
    """An instantiated graph, destroyed with this object."""

    def __init__(self, device: Device, executable: ctypes.c_void_p) -> None:
        self._device = device
        self._executable = executable

    @classmethod
    def of(cls, device: Device, start: Callable[[], Any]) -> Recording | None:
        """Record the work that ``start`` enqueues instead of running it."""
        driver, stream = _driver(), ctypes.c_void_p(int(device.stream.handle))
        if driver is None or driver.cuStreamBeginCapture_v2(stream, _THREAD_LOCAL):
            return None
        graph = ctypes.c_void_p()
        try:
            start()
        except Exception:  # work that cannot be recorded is enqueued directly, which raises its own errors
            driver.cuStreamEndCapture(stream, ctypes.byref(graph))
            return None
        if driver.cuStreamEndCapture(stream, ctypes.byref(graph)) or not graph:
            return None
        executable = ctypes.c_void_p()
        failed = driver.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
        driver.cuGraphDestroy(graph)
        return None if failed else cls(device, executable)

    def replay(self, device: Device) -> None:
        """Enqueue the recorded work."""
        status = _driver().cuGraphLaunch(self._executable, ctypes.c_void_p(int(device.stream.handle)))
        if status:
            raise device.driver.LaunchError(f"cuGraphLaunch failed with status {status}")

    def __del__(self) -> None:
        with self._device:
            _driver().cuGraphExecDestroy(self._executable)
