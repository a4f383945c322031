"""Where plans of functions are kept (``symc.runtime.kept_plans``): in the cache, per compiler and processor.

A plan contains the lines of the program that its messages name, so that another one is kept after each change of that
file. Those that were not used for the longest time are removed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from symc.runtime.kept_plans import sources_of
from symc_backends import cache
from symc_backends.c import toolchain

__all__ = ["MOST_BYTES", "identity", "read", "write"]

MOST_BYTES = 256 << 20
"""The size of all plans in the cache."""


def identity() -> str:
    """The compiler, flags and processor, and a digest of the sources of this back end."""
    return toolchain.identity() + _sources()


@lru_cache(maxsize=1)
def _sources() -> str:
    return sources_of(Path(__file__).parents[1])


def read(name: str) -> bytes | None:
    """The plan of this name, or None; it counts as used now."""
    data = cache.read(name)
    place = cache.folder()
    if data is not None and place is not None:
        with suppress(OSError):
            os.utime(place / name)
    return data


def write(name: str, data: bytes) -> None:
    """Keep a plan, if possible, and remove old ones if there are too many."""
    cache.write(name, data)
    place = cache.folder()
    if place is None:
        return
    with suppress(OSError):  # another process may remove some at the same time
        known = sorted((status.st_mtime_ns, status.st_size, p) for p in place.glob("*.plan") for status in [p.stat()])
        total = sum(size for _, size, _ in known)
        for _, size, path in known[:-1]:
            if total > MOST_BYTES:
                path.unlink()
                total -= size
