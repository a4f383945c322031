"""Private build folders, and removal of those left by killed processes.

A folder is locked while its process uses it. The system releases the lock when the process ends in any way, so that a
folder without a lock is abandoned, and a locked folder is never removed.
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
except ImportError:  # without file locks, only age indicates that a folder is abandoned
    fcntl = None  # type: ignore[assignment]

__all__ = ["folder", "sweep"]

PREFIX = "symc-build-"
AGE = 600.0 if fcntl is not None else 86400.0
"""Seconds after which a folder without a lock counts as abandoned: a new folder has no lock yet."""
ROOM = 64 << 20
"""Free bytes that a place for builds should have."""


@contextmanager
def folder(other: Path | None = None) -> Iterator[Path]:
    """Create a private folder for the duration of a ``with`` block; in ``other``, if temporary folders are full."""
    place = _place(other)
    _sweep_builds(place)
    try:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    except OSError as problem:
        repair = "free space there, or set TMPDIR to a writable folder"
        raise CompileError(f"no folder for a build can be made in {place}: {problem.strerror}; {repair}") from problem
    lock = _locked(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _place(other: Path | None) -> str:
    """Choose the place for builds: the first with free space of the system's temporary folder, memory and ``other``."""
    places = ["/dev/shm"] if other is None else ["/dev/shm", str(other)]
    with suppress(OSError):
        places.insert(0, tempfile.gettempdir())
    for place in places:
        with suppress(OSError):
            if os.access(place, os.W_OK | os.X_OK) and shutil.disk_usage(place).free >= ROOM:
                return place
    return places[0]


def _locked(path: Path) -> int | None:
    """Lock a folder and return the handle; None if another process holds the lock, or it cannot be locked."""
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
    """Remove abandoned build folders in ``place``, once per process."""
    sweep(Path(place), PREFIX)


def sweep(place: Path, prefix: str = "") -> None:
    """Remove folders in ``place`` with names starting with ``prefix`` that this user's processes abandoned."""
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
