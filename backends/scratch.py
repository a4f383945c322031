"""Private folders for builds, and the removal of what killed processes left.

A folder is locked for as long as its process uses it. The system drops the lock when the process ends, however that
happens, so that a folder without a lock is abandoned, and one with a lock is never touched.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from symc.errors import CompileError

try:
    import fcntl
except ImportError:  # where files cannot be locked, age alone tells what is abandoned
    fcntl = None  # type: ignore[assignment]

__all__ = ["folder", "sweep"]

PREFIX = "symc-build-"
AGE = 600.0 if fcntl is not None else 86400.0
"""Seconds after which a folder without a lock counts as abandoned: one that was just made has no lock yet."""
ROOM = 64 << 20
"""Bytes that a place for builds should have free."""


@contextmanager
def folder(other: Path | None = None) -> Iterator[Path]:
    """A private folder for the length of a ``with`` block; in ``other``, where temporary folders have no room."""
    place = _place(other)
    _sweep_builds(place)
    try:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    except OSError as problem:
        repair = "make room there, or set TMPDIR to a folder that can be written to"
        raise CompileError(f"no folder for a build can be made in {place}: {problem.strerror}; {repair}") from problem
    lock = _locked(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _place(other: Path | None) -> str:
    """Where builds are done: the first place with room, of the system's temporary folder, memory and ``other``."""
    places = ["/dev/shm"] if other is None else ["/dev/shm", str(other)]
    with suppress(OSError):
        places.insert(0, tempfile.gettempdir())
    for place in places:
        with suppress(OSError):
            if os.access(place, os.W_OK | os.X_OK) and shutil.disk_usage(place).free >= ROOM:
                return place
    return places[0]


def _locked(path: Path) -> int | None:
    """A handle that holds the lock of a folder; None if another process holds it, or it cannot be locked."""
    if fcntl is None:
        return None
    handle = None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if handle is not None:
            os.close(handle)
        return None
    return handle


@lru_cache(maxsize=4)
def _sweep_builds(place: str) -> None:
    """Once in a process."""
    sweep(Path(place), PREFIX)


def sweep(place: Path, prefix: str = "") -> None:
    """Remove what this user's processes abandoned in ``place``, of the names that start with ``prefix``."""
    try:
        entries = [entry for entry in os.scandir(place) if entry.name.startswith(prefix)]
    except OSError:
        return
    for entry in entries:
        with suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            old = time.time() - status.st_mtime > AGE
            if not old or hasattr(os, "geteuid") and status.st_uid != os.geteuid():
                continue
            if stat.S_ISDIR(status.st_mode):
                _remove_abandoned(Path(entry.path))
            elif stat.S_ISREG(status.st_mode):
                os.unlink(entry.path)


def _remove_abandoned(path: Path) -> None:
    lock = _locked(path)
    if lock is None and fcntl is not None:
        return
    shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        os.close(lock)
