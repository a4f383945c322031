"""The content-addressed cache: files named by the digest of everything they depend on.

Cached files are not trusted. A file ends with a digest of its name and content, and is rebuilt if the check fails. Only
checked content is used, never the file itself, which may change later. Files are written under a temporary name and
renamed, so that there are no locks and no partial files. A folder that others could write to is not used at all.

The cache only saves work: without a usable folder, everything is built when needed, after one warning that names the
folder and a repair.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from weakref import WeakValueDictionary

from symc.config import config
from symc_backends import loading, scratch

__all__ = ["content", "digest", "folder", "library", "read", "read_text", "write", "write_text"]

_FORMAT = b"symc cache 2"
"""Part of every name, so that files of another format have other names."""
_MARK = b"\nsymc"
_SEAL = len(_MARK) + 64
"""The number of bytes at the end of a file: a marker, and the digest in hexadecimal."""


def digest(*parts: str | bytes) -> str:
    """Compute a name for content: SHA-256 over the parts and their lengths, truncated to 40 hex digits."""
    h = hashlib.sha256(_FORMAT)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()[:40]


# --- the folder -------------------------------------------------------------------------------------------------------


def folder() -> Path | None:
    """The cache folder, created on first use with access for its owner only; None if no folder is usable."""
    path = config.cache_dir
    try:
        if path.startswith("~"):
            raise _Unusable("the home folder of that user is unknown", _ANOTHER)
        os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            raise _Unusable("it is not a folder", _ANOTHER)
        if os.name == "posix":
            if status.st_uid != os.geteuid():
                raise _Unusable("it belongs to another user, and the code in it is run", _ANOTHER)
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise _Unusable("others can write to it, and the code in it is run", f"run: chmod go-w {path}")
    except OSError as problem:
        _warn(path, f"{problem.strerror or problem}", _ANOTHER)
        return None
    except _Unusable as problem:
        _warn(path, *problem.args)
        return None
    return Path(path)


class _Unusable(Exception):
    """The reason why a folder cannot be used, and a repair."""


_ANOTHER = "set SYMC_CACHE, or symc.config.cache_dir, to a folder of your own that can be written to"
_warned: set[str] = set()
_warning = threading.Lock()


def _warn(path: str, reason: str, repair: str) -> None:
    """Warn once per folder why compiled code is not cached in it."""
    with _warning:
        if path in _warned:
            return
        _warned.add(path)
    text = f"compiled code is not cached, so that every process compiles again: the cache folder {path} cannot be used"
    warnings.warn(f"{text} ({reason}); {repair}", stacklevel=3)


# --- its files --------------------------------------------------------------------------------------------------------


def _seal(name: str, data: bytes) -> bytes:
    h = hashlib.sha256(name.encode() + b"\0")
    h.update(data)
    return _MARK + h.hexdigest().encode()


def read(name: str) -> bytes | None:
    """Read the content of the cached file ``name``; None if it is missing or damaged."""
    place = folder()
    if place is None:
        return None
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(place / name, flags), "rb") as f:
            if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
                return None
            whole = f.read()
    except OSError:
        return None
    data = whole[:-_SEAL]
    return data if whole[-_SEAL:] == _seal(name, data) else None


def write(name: str, data: bytes) -> None:
    """Store ``data`` as the cached file ``name``, if possible."""
    place = folder()
    if place is None:
        return
    try:
        partial = place / "partial"
        partial.mkdir(mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=partial)
        try:
            with os.fdopen(handle, "wb") as f:
                f.write(data)
                f.write(_seal(name, data))
            os.replace(temporary, place / name)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as problem:
        repair = f"free space in it and make it writable, or {_ANOTHER}"
        _warn(str(place), f"a file cannot be written there: {problem.strerror or problem}", repair)


def read_text(name: str) -> str | None:
    """Read a small cached text, or None."""
    data = read(name)
    return None if data is None else data.decode()


def write_text(name: str, text: str) -> None:
    """Store a small text."""
    write(name, text.encode())


def content(name: str, build: Callable[[str], None]) -> bytes:
    """Return the content of the cached file ``name``, built by ``build(path)`` if it is missing or damaged.

    ``build`` may leave other files beside ``path``; they are removed.
    """
    found = read(name)
    if found is not None:
        return found
    with _turn(name):
        found = read(name)
        if found is None:
            _sweep(config.cache_dir)
            with scratch.folder(folder()) as place:
                target = place / name
                build(str(target))
                found = target.read_bytes()
            write(name, found)
    return found


def library(key: str, build: Callable[[str], None]) -> str:
    """Return a path under which the shared library named ``key`` can be loaded until the process ends."""
    return loading.lasting_path(content(f"{key}.so", build))


@lru_cache(maxsize=4)
def _sweep(path: str) -> None:
    """Remove files left by processes that were killed while writing to the cache; once per process."""
    place = folder()
    if place is not None:
        scratch.sweep(place / "partial")


class _Turn:
    """A lock held by the thread that builds a file; others wait for it instead of building the same file."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
_turning = threading.Lock()


@contextmanager
def _turn(name: str) -> Iterator[None]:
    with _turning:
        turn = _turns.setdefault(name, _Turn())
    with turn.lock:
        yield


def _forget_turns() -> None:
    """Discard locks after a fork: those held by other threads of the parent would never be released."""
    global _turning
    _turning = threading.Lock()
    _turns.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_turns)
