"""Fast calls: a compiled function behind the launcher, which checks arguments and allocates results without Python.

The launcher is optional. If it cannot be built, or a function needs Python at every call (steps in Python without
native code), calls use the slow path in ``symc.runtime.function``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from symc.errors import CompileError
from symc.graph import dims
from symc.loops.ir import Buffer, Program
from symc.runtime.exchange import Exchange
from symc.runtime.storage import Storage
from symc.runtime.turns import CHANGED, COUNTS, LOCK
from symc_backends import cache
from symc_backends.c import launcher, toolchain
from symc_backends.c.build import ffi
from symc_backends.c.run import Executable
from symc_backends.c.tiers import when_optimised

__all__ = ["Fast", "available", "empty", "launch"]


def _built(text: str, flags: Sequence[str]) -> str:
    def make(target: str) -> None:
        toolchain.compile_shared(text, target, ".", [f for f in flags if f != "-shared"])

    return cache.library(cache.digest("launcher", text, *flags, toolchain.identity()), make)


@lru_cache(maxsize=1)
def _module() -> ModuleType | None:
    try:
        return launcher.load(_built)
    except (CompileError, ImportError, OSError):
        return None  # without Python's headers, or with incompatible ones, calls are slower but correct


def available() -> bool:
    """Whether the launcher exists or can be built."""
    return _module() is not None


def empty(shape: Sequence[int], dtype: str) -> np.ndarray:
    """Memory for a result: if it is large, that of an earlier one which no longer exists, for fresh pages are slow."""
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    module = _module() if nbytes >= LARGE else None
    if module is None:
        return np.empty(shape, dtype)
    made: np.ndarray = module.empty(tuple(map(int, shape)), np.dtype(dtype).num, nbytes)
    return made


LARGE = 1 << 16
"""The least bytes of a result whose memory is kept, as in runtime/launcher/result_memory.h."""
SINGLE = 0
"""``returns`` of a function whose result is one array, not a list; see ``Launcher`` in runtime/launcher/launcher.c."""


class Fast:
    """A function's fast path: called with arrays, after ``prepare`` has made a plan for their shapes."""

    def __init__(
        self,
        executable: Executable,
        slow: Callable[..., Any],
        fail: Callable[[int, Sequence[Any]], None],
        returns: int,
        module: ModuleType,
    ) -> None:
        self.executable, self.returns = executable, returns
        self.program: Program = executable.program
        self.symbols = {s: k for k, s in enumerate(self.program.symbols)}
        ins = [b for b in self.program.buffers if b.role == "input"]
        self.outs = [b for b in self.program.buffers if b.role == "output"]
        extra = [d for b in ins for d in b.shape if type(d) is not int and d not in self.symbols]
        for d in dict.fromkeys(extra):
            self.symbols[d] = len(self.symbols)
        first = len(self.symbols)
        outputs = []
        for b in self.outs:
            outputs.append((np.dtype(b.dtype).num, (-1,) * len(b.shape), tuple(range(first, first + len(b.shape)))))
            first += len(b.shape)
        inputs = tuple(self._spec(b) for b in ins)
        library = executable.library
        entry, sizes = self._addresses(library)
        segments = len(executable.segments)
        self.rest = self.program.buffers[len(ins) + len(self.outs) :]
        count = len(self.program.buffers)
        handles = len(executable.stored) + executable.held
        self.handles = list(range(count, count + 1 + handles)) if handles or executable.calls_back else []

        def failed(status: int, arrays: Sequence[Any]) -> None:
            executable.raise_again()
            fail(status, arrays)

        self.call = module.Launcher(
            entry, inputs, tuple(outputs), count + len(self.handles), slow, failed, returns, segments, sizes
        )
        when_optimised(library, self._take_over)

    def _addresses(self, library: Any) -> tuple[int, int]:
        """The addresses of the functions of the code."""
        several = len(self.executable.segments) > 1
        entry = int(ffi.cast("uintptr_t", library.symc_entry))
        return entry, int(ffi.cast("uintptr_t", library.symc_sizes)) if several else 0

    def _take_over(self, library: Any) -> None:
        """Run optimised code from now on; the executable keeps it and the earlier code loaded."""
        self.call.replace(*self._addresses(library))

    def _spec(self, b: Buffer) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        sizes = tuple(d if type(d) is int else -1 for d in b.shape)
        return np.dtype(b.dtype).num, sizes, tuple(0 if type(d) is int else self.symbols[d] for d in b.shape)

    def prepare(
        self,
        symbols: dict[Any, int],
        arrays: Sequence[np.ndarray | None],
        values: Sequence[int],
        turns: tuple[Sequence[np.ndarray], Sequence[np.ndarray]] = ((), ()),
        swapped: Sequence[tuple[int, int, Storage]] = (),
        watched: Sequence[tuple[np.ndarray, int]] = (),
    ) -> None:
        """Prepare the fast path for similar calls.

        Parameters
        ----------
        symbols : dict
            Values of the symbols of arguments' axes.
        arrays : sequence
            The arrays of all buffers in the preceding call.
        values : sequence of int
            The values of the program's symbols in that call.
        turns : pair
            The turns of shared variables that a call reads and of those that it writes.
        swapped : sequence
            The shared variables whose values a call replaces: the buffers of the old and of the new value, the storage.
        watched : sequence
            Turns of shared variables, with the counts of writes that they must have for a call to be fast.
        """
        given = self.program.given
        loan = self.executable.lend(values[:given])
        if loan is None:
            return
        own = len(self.program.symbols)
        base = [*values[:own], *(dims.evaluate(d, symbols) for d in list(self.symbols)[own:])]
        at = len(self.program.buffers) - len(self.rest)
        buffers = self.program.buffers
        places = [*range(at, len(buffers)), *self.handles]
        pointers = [int(ffi.cast("uintptr_t", loan.workspace.pointers[k])) for k in places]
        shapes = [a.shape for a in arrays[at - len(self.outs) : at] if a is not None]
        sizes_of_axes = (*base, *(n for shape in shapes for n in shape))
        changed = [arrays[k] for k in self.program.updated]
        written = tuple((a.ctypes.data, a.nbytes) for a in changed if a is not None)
        read, write = (tuple(t.ctypes.data for t in group) for group in turns)
        sizes = tuple(loan.workspace.sizes[1:])
        replaced = {k for old, new, _ in swapped for k in (old, new)}
        keep = (loan, [a for k, a in enumerate(arrays[at:], at) if k not in replaced], turns, watched)
        seen = tuple((turn.ctypes.data, count) for turn, count in watched)
        held = sum(arena.size for arena in loan.workspace.arenas if arena is not None)
        if not swapped:
            self.call.prepare(
                sizes_of_axes, tuple(pointers), keep, True, written, sizes, read, write, held, watched=seen
            )
            return
        spare = [np.empty_like(storage.array) for *_, storage in swapped]
        following = list(pointers)
        roots = dict(self.executable.aliases)
        for (old, new, storage), array in zip(swapped, spare):
            now, then = storage.array.ctypes.data, array.ctypes.data
            for k in range(at, len(buffers)):
                root = roots.get(k, k)
                if root in (old, new):
                    pointers[k - at], following[k - at] = (now, then) if root == old else (then, now)
        exchange = Exchange([storage for *_, storage in swapped], spare, self)
        self.call.prepare(
            sizes_of_axes,
            tuple(pointers),
            keep,
            True,
            written,
            sizes,
            read,
            write,
            held,
            exchange,
            tuple(following),
            seen,
        )

    def attempt(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray] | None:
        """Call with arguments that a plan fits; None, without having changed anything, if there is no such plan."""
        found = self.call.attempt(*arrays)
        if found is NotImplemented:
            return None
        return [] if found is None else [found] if self.returns == SINGLE else found

    def yield_memory(self) -> None:
        """Return a plan's memory for another call if it is large, unless a call is running the plan."""
        self.call.rest()

    def forget(self) -> None:
        """Drop the plans, because an array whose address they hold was replaced."""
        self.call.forget()


def launch(
    executable: Executable, slow: Callable[..., Any], fail: Callable[[int, Sequence[Any]], None], returns: int
) -> Fast | None:
    """Create the fast path of a function; None if it cannot have one."""
    module = _module()
    if module is None or executable.needs_python:
        return None
    module.set_turns(LOCK, CHANGED.notify_all, COUNTS.ctypes.data)
    return Fast(executable, slow, fail, returns, module)
