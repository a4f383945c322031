"""The content-addressed cache: files named by the digest of everything they were made from.

Nothing in it is trusted: a file stands beside a file that holds its own digest, and one that fails it is built
again. Files are written under a temporary name and renamed, so that there are no locks and no halves.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from symc.config import config

__all__ = ["artifact", "digest", "folder", "library", "read_text", "write_text"]


def digest(*parts: str | bytes) -> str:
    """A name for content: SHA-256 over the parts and their lengths, shortened to 40 hex digits."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()[:40]


def folder() -> Path:
    """The cache folder, made on first use for its owner alone."""
    path = Path(config.cache_dir)
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_text(name: str) -> str | None:
    """A small text of the cache, or None."""
    try:
        return (folder() / name).read_text(encoding="utf-8")
    except OSError:
        return None


def write_text(name: str, text: str) -> None:
    _replace(folder() / name, text.encode())


def _sum(path: Path) -> Path:
    """Where the digest of a file lies."""
    return path.with_suffix(".sum")


def _sound(path: Path) -> bool:
    try:
        expected = _sum(path).read_text(encoding="ascii")
        return hashlib.sha256(path.read_bytes()).hexdigest() == expected
    except OSError:
        return False


def library(key: str, build: Callable[[str], None]) -> str:
    """The path of the shared library called ``key``, made by ``build(path)`` if it is not there or not sound."""
    return artifact(f"{key}.so", build)


def artifact(name: str, build: Callable[[str], None]) -> str:
    """The path of the cache's file ``name``, made by ``build(path)`` if it is not there or not sound."""
    path = folder() / name
    if _sound(path):
        return str(path)
    handle, fresh = tempfile.mkstemp(dir=folder(), prefix=".new-", suffix=path.suffix)
    os.close(handle)
    try:
        build(fresh)
        content = Path(fresh).read_bytes()
        _replace(_sum(path), hashlib.sha256(content).hexdigest().encode())
        os.chmod(fresh, 0o700)
        os.replace(fresh, path)
    except BaseException:
        if os.path.exists(fresh):
            os.unlink(fresh)
        raise
    return str(path)
