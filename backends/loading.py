"""Loading of machine code from memory with the system's loader.

The loader needs a path. A file of the cache may change after it was checked, even while the code runs, since pages are
read when they are first used. The checked content is therefore copied to an anonymous file in memory that has a path
but no name in any folder; where the system has none, to a file that is removed once it is loaded.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from symc.errors import CompileError
from symc_backends import scratch

__all__ = ["lasting_path", "load"]

T = TypeVar("T")
_numbers = itertools.count(1)


def load(data: bytes, opened: Callable[[str], T]) -> T:
    """Call ``opened(path)``, where ``path`` holds the shared library ``data`` for the duration of the call.

    Raises
    ------
    CompileError
        If the loader rejects the library; includes the loader's message.
    """
    problem: OSError | None = None
    for place in (_in_memory, _in_file):
        try:
            with place(data) as path:
                return opened(path)
        except OSError as reason:
            problem = reason
    raise CompileError(f"compiled code cannot be loaded: {problem}") from problem


def lasting_path(data: bytes) -> str:
    """Return a path that holds ``data`` until the process ends."""
    with suppress(OSError):
        return _alias(_memory(data))
    place = tempfile.mkdtemp(prefix=scratch.PREFIX)
    atexit.register(shutil.rmtree, place, True)
    path = os.path.join(place, "library.so")
    with open(path, "wb") as f:
        f.write(data)
    return path


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    handle = _memory(data)
    try:
        yield _alias(handle)
    finally:
        os.close(handle)


@contextmanager
def _in_file(data: bytes) -> Iterator[str]:
    with scratch.folder() as place:
        path = place / f"library{next(_numbers)}.so"
        path.write_bytes(data)
        yield str(path)


def _memory(data: bytes) -> int:
    """Create an anonymous file in memory that holds ``data``; returns its handle."""
    if not hasattr(os, "memfd_create"):
        raise OSError("this system has no anonymous files in memory")
    handle = os.memfd_create("symc", os.MFD_CLOEXEC)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
    except BaseException:
        os.close(handle)
        raise
    return handle


def _alias(handle: int) -> str:
    """Return a path for the file behind ``handle`` that was never used before in this process.

    The loader treats equal paths as the same library, but handle numbers are reused. The path therefore encodes a
    counter in binary, with ``/.`` for 1 and ``/`` for 0.
    """
    spelt = "".join("/." if bit == "1" else "/" for bit in f"{next(_numbers):b}")
    return f"/proc/self/fd{spelt}/{handle}"
